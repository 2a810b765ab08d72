/* One failure, told as data: which stage, which errno, about which object. Fixed size, so that a child can write it
 * into a pipe after clone without malloc. Success leaves it alone. */
#ifndef MINIDOCK_FAULT_H
#define MINIDOCK_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_stage {
    STAGE_NONE,
    STAGE_ARGUMENTS,
    STAGE_CONFIG,
    STAGE_STATE,
    STAGE_NAMESPACE,
    STAGE_USER,
    STAGE_CGROUP,
    STAGE_ROOTFS,
    STAGE_MOUNT,
    STAGE_DEVICE,
    STAGE_NETWORK,
    STAGE_SYSCTL,
    STAGE_CAPABILITY,
    STAGE_SECCOMP,
    STAGE_LABEL,
    STAGE_RLIMIT,
    STAGE_HOOK,
    STAGE_CONSOLE,
    STAGE_CWD,
    STAGE_EXEC,
    STAGE_IO,
    STAGE_RUNTIME,
    STAGE_CHECKPOINT,
};

#define FAULT_MESSAGE_SIZE 1024

struct fault {
    enum fault_stage stage;
    int error; /* errno, or 0 where no system call failed */
    bool told; /* the message says the error in words of its own: do not add strerror */
    char message[FAULT_MESSAGE_SIZE];
};

/* Both return -1, so that a failing function ends with `return fault_errno(f, …);`. The text of errno is not added to
 * the message: whoever prints the fault does that. */
int fault_errno(struct fault *f, enum fault_stage stage, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fault_text(struct fault *f, enum fault_stage stage, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For an error whose words are fixed by others: `exec: "x": executable file not found in $PATH` is ENOENT. */
int fault_told(struct fault *f, enum fault_stage stage, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts more context before the message: `fault_wrap(f, "error mounting %s: ", path)`. Returns -1. */
int fault_wrap(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *fault_stage_name(enum fault_stage stage);
/* The fault's message with the text of its errno, in Go's spelling: what users of runc know. */
void fault_describe(const struct fault *f, char *text, size_t size);
const char *error_text(int error); /* error-text.c */

#endif
