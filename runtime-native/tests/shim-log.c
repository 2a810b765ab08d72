/* shim/log*.c: lines cut anywhere give the same log, and the encoder stays within the room that it was promised. */
#include "../shim/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "io.h"

/* The log of `input` written in pieces of `step` bytes, without its times. */
static char *log_of(const char *input, size_t size, size_t step)
{
    char path[] = "/tmp/shim-log-XXXXXX";
    struct fault f;
    struct log log;
    int fd = mkstemp(path);
    struct log_options o = {.driver = LOG_JSON_FILE, .path = path};
    if (fd < 0 || log_open(&log, &o, NULL, &f) < 0)
        abort();
    for (size_t at = 0; at < size; at += step)
        log_write(&log, 1, input + at, size - at < step ? size - at : step);
    log_close(&log);
    char *text = read_file_at(-1, path, (size_t)64 << 20, NULL);
    (void)unlink(path);
    (void)close(fd);
    if (!text)
        abort();
    char *out = text;
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n'), *time = strstr(line, ",\"time\":");
        if (!end || !time || time > end)
            abort();
        memmove(out, line, (size_t)(time - line));
        out += time - line;
        *out++ = '\n';
        line = end + 1;
    }
    *out = '\0';
    return text;
}

static void test_cuts(void)
{
    enum { SIZE = 100000 };
    char *input = malloc(SIZE);
    unsigned seed = 1;
    if (!input)
        abort();
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned byte = seed >> 16 & 0xff;
        input[i] = i < 40000 ? (char)(byte % 64 == 0 ? '\n' : byte) : (char)(i % 37000 == 0 ? '\n' : 'a' + byte % 26);
    }
    char *whole = log_of(input, SIZE, SIZE);
    static const size_t steps[] = {1, 7, 4096, 16383, 16384, 16385, 65536};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char *cut = log_of(input, SIZE, steps[i]);
        expect(strcmp(whole, cut) == 0, "the log does not depend on how output is read");
        free(cut);
    }
    free(whole);
    free(input);
}

/* Every byte at its longest: the sanitizer watches the buffer. */
static void test_longest(void)
{
    char line[LOG_LINE_MAX];
    static const char bytes[] = {'<', '\1', '\xff', '\xe2'};
    struct timespec time = {.tv_sec = 1700000000, .tv_nsec = 123456789};
    for (size_t i = 0; i < sizeof bytes; i++) {
        memset(line, bytes[i], sizeof line);
        size_t room = log_json_max("");
        char *out = malloc(room);
        struct log_entry e = {.stream = 2, .text = line, .length = sizeof line, .time = &time};
        expect(out && log_json_encode(out, &e, "") <= out + room, "an entry fits");
        free(out);
    }
}

int main(void)
{
    test_cuts();
    test_longest();
    return report("shim-log");
}
