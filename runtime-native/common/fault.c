#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int fill(struct fault *f, enum fault_stage stage, int error, const char *format, va_list arguments)
{
    f->stage = stage;
    f->error = error;
    f->told = false;
    (void)vsnprintf(f->message, sizeof f->message, format, arguments);
    errno = error;
    return -1;
}

int fault_errno(struct fault *f, enum fault_stage stage, const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    fill(f, stage, error, format, arguments);
    va_end(arguments);
    return -1;
}

int fault_text(struct fault *f, enum fault_stage stage, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(f, stage, 0, format, arguments);
    va_end(arguments);
    return -1;
}

int fault_told(struct fault *f, enum fault_stage stage, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(f, stage, error, format, arguments);
    va_end(arguments);
    f->told = true;
    return -1;
}

int fault_wrap(struct fault *f, const char *format, ...)
{
    char prefix[FAULT_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    if (length <= 0 || (size_t)length >= sizeof prefix)
        return -1;
    size_t before = (size_t)length;
    size_t rest = strnlen(f->message, sizeof f->message - 1);
    if (rest > sizeof f->message - 1 - before)
        rest = sizeof f->message - 1 - before;
    memmove(f->message + before, f->message, rest);
    memcpy(f->message, prefix, before);
    f->message[before + rest] = '\0';
    return -1;
}

const char *fault_stage_name(enum fault_stage stage)
{
    static const char *const names[] = {
        [STAGE_NONE] = "none",
        [STAGE_ARGUMENTS] = "arguments",
        [STAGE_CONFIG] = "config",
        [STAGE_STATE] = "state",
        [STAGE_NAMESPACE] = "namespace",
        [STAGE_USER] = "user",
        [STAGE_CGROUP] = "cgroup",
        [STAGE_ROOTFS] = "rootfs",
        [STAGE_MOUNT] = "mount",
        [STAGE_DEVICE] = "device",
        [STAGE_NETWORK] = "network",
        [STAGE_SYSCTL] = "sysctl",
        [STAGE_CAPABILITY] = "capability",
        [STAGE_SECCOMP] = "seccomp",
        [STAGE_LABEL] = "label",
        [STAGE_RLIMIT] = "rlimit",
        [STAGE_HOOK] = "hook",
        [STAGE_CONSOLE] = "console",
        [STAGE_CWD] = "cwd",
        [STAGE_EXEC] = "exec",
        [STAGE_IO] = "io",
        [STAGE_RUNTIME] = "runtime",
        [STAGE_CHECKPOINT] = "checkpoint",
    };
    return (size_t)stage < sizeof names / sizeof names[0] ? names[stage] : "unknown";
}

void fault_describe(const struct fault *f, char *text, size_t size)
{
    if (f->error && !f->told)
        (void)snprintf(text, size, "%s: %s", f->message, error_text(f->error));
    else
        (void)snprintf(text, size, "%s", f->message);
}
