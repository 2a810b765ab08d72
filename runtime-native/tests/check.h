/* What a unit test says: a line for each thing that is not so, one at its end, and its exit status. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int failures;

__attribute__((format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("not ok: ");
    (void)vprintf(format, args);
    putchar('\n');
    va_end(args);
    failures++;
}

static inline void expect(bool is_true, const char *name)
{
    if (!is_true)
        fail("%s (errno: %m)", name);
}

static inline int report(const char *name)
{
    printf("%s: %s\n", failures ? "not ok" : "ok", name);
    return failures > 0;
}
#endif
