#include "note.h"

#include <stdarg.h>
#include <stdio.h>

#include "io.h"

size_t time_text(char text[TIME_TEXT_SIZE], const struct timespec *time)
{
    struct tm parts;
    gmtime_r(&time->tv_sec, &parts); /* and no strftime(3), which reads /etc/localtime */
    int written = snprintf(text, TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", (parts.tm_year + 1900) % 10000,
                           parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    size_t length = written > 0 ? (size_t)written : 0;
    if (time->tv_nsec > 0) {
        text[length++] = '.';
        for (long rest = time->tv_nsec, unit = 100000000; rest > 0; rest %= unit, unit /= 10)
            text[length++] = (char)('0' + rest / unit);
    }
    text[length++] = 'Z';
    text[length] = '\0';
    return length;
}

void time_text_now(char text[TIME_TEXT_SIZE])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    (void)time_text(text, &now);
}

void note(const char *format, ...)
{
    char line[1400], time[TIME_TEXT_SIZE];
    time_text_now(time);
    int length = snprintf(line, sizeof line, "%s ", time);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if ((size_t)length > sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    (void)write_all(2, line, (size_t)length); /* a full disk must not end a container */
}

void put_fault(struct json_writer *w, const struct fault *f)
{
    char message[FAULT_MESSAGE_SIZE + 128];
    fault_describe(f, message, sizeof message);
    json_begin_object(w, "error");
    json_put_string(w, "stage", fault_stage_name(f->stage));
    json_put_int(w, "errno", f->error);
    json_put_string(w, "message", message);
    json_end_object(w);
}
