#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "json.h"

static struct {
    int fd;
    bool is_json;
    enum log_level level;
} log_target = {.fd = STDERR_FILENO, .level = LOG_WARNING};

int log_open(const char *path, const char *format, struct fault *f)
{
    if (format && strcmp(format, "json") == 0)
        log_target.is_json = true;
    else if (format && *format && strcmp(format, "text") != 0)
        return fault_text(f, STAGE_ARGUMENTS, "invalid log-format: %s", format);
    if (!path || !*path)
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return fault_errno(f, STAGE_ARGUMENTS, "open %s", path);
    log_target.fd = fd;
    return 0;
}

int log_set_level(const char *name, struct fault *f)
{
    static const char *const names[] = {"error", "warning", "debug"};
    for (size_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) {
            log_target.level = (enum log_level)i;
            return 0;
        }
    return name ? fault_text(f, STAGE_ARGUMENTS, "invalid log-level: %s", name) : 0;
}

int log_descriptor(void)
{
    return log_target.fd;
}

static void write_json(const char *level, const char *message, const char *time, const struct fault *f)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "level", level);
    json_put_string(&w, "msg", message);
    if (f) {
        json_put_string(&w, "stage", fault_stage_name(f->stage));
        json_put_int(&w, "errno", f->error);
    }
    json_put_string(&w, "time", time);
    json_end_object(&w);
    if (!w.failed) {
        AUTO_FREE char *line = NULL;
        int length = asprintf(&line, "%.*s\n", (int)w.length, w.text);
        if (length > 0)
            (void)write_all(log_target.fd, line, (size_t)length); /* one write: O_APPEND keeps lines whole */
        else
            line = NULL;
    }
    json_writer_free(&w);
}

/* logrus' text form, quoted as Go's %q does for what messages contain. */
static void write_text(const char *level, const char *message, const char *time)
{
    char line[4 * FAULT_MESSAGE_SIZE];
    size_t at = (size_t)snprintf(line, sizeof line, "time=\"%s\" level=%s msg=\"", time, level);
    for (const char *next = message; *next && at < sizeof line - 8; next++) {
        if (*next == '"' || *next == '\\')
            line[at++] = '\\';
        if (*next == '\n') {
            line[at++] = '\\';
            line[at++] = 'n';
        } else {
            line[at++] = *next;
        }
    }
    line[at++] = '"';
    line[at++] = '\n';
    (void)write_all(log_target.fd, line, at);
}

static void log_line(const char *level, const char *message, const struct fault *f)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        stamp[0] = '\0';
    if (log_target.is_json)
        write_json(level, message, stamp, f);
    else
        write_text(level, message, stamp);
}

void log_debug(const char *format, ...)
{
    if (log_target.level < LOG_DEBUG)
        return;
    int error = errno;
    char message[FAULT_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_line("debug", message, NULL);
    errno = error;
}

void log_warning(const char *format, ...)
{
    if (log_target.level < LOG_WARNING)
        return;
    int error = errno;
    char message[FAULT_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    log_line("warning", message, NULL);
    errno = error;
}

void log_fault(const struct fault *f)
{
    char message[FAULT_MESSAGE_SIZE + 128];
    fault_describe(f, message, sizeof message);
    log_line("error", message, f);
    if (log_target.fd != STDERR_FILENO)
        (void)dprintf(STDERR_FILENO, "%s\n", message);
}
