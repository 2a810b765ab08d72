/* One failure, told as data: which stage, which errno, about which object. Fixed size, so that a child can write it
 * into a pipe after clone without malloc. Success leaves it alone. */
#ifndef MINIDOCK_FAULT_H
#define MINIDOCK_FAULT_H

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
};

#define FAULT_MESSAGE_SIZE 1024

struct fault {
    enum fault_stage stage;
    int error; /* errno, or 0 where no system call failed */
    char message[FAULT_MESSAGE_SIZE];
};

/* Both return -1, so that a failing function ends with `return fault_errno(f, …);`. The text of errno is not added to
 * the message: whoever prints the fault does that. */
int fault_errno(struct fault *f, enum fault_stage stage, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fault_text(struct fault *f, enum fault_stage stage, const char *format, ...) __attribute__((format(printf, 3, 4)));

const char *fault_stage_name(enum fault_stage stage);

#endif
