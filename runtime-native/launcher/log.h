/* What minirun tells its caller: the lines of --log, as runc writes them, with stage and errno as data in the JSON
 * form. */
#ifndef MINIRUN_LOG_H
#define MINIRUN_LOG_H

#include <stddef.h>

#include "fault.h"

int log_open(const char *path, const char *format, bool debug, struct fault *f); /* path NULL: standard error */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The last line of a failed command, also on standard error when the log is a file. */
void log_fault(const struct fault *f);

/* The fault's message with the text of its errno, in Go's spelling: what users of runc know. */
void fault_describe(const struct fault *f, char *text, size_t size);
/* strerror(3) as Go spells it: "no such file or directory". */
const char *error_text(int error);

#endif
