/* OCI seccomp profiles: read, compiled to BPF here (no libseccomp), installed. */
#ifndef MINIRUN_SECCOMP_H
#define MINIRUN_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "fault.h"
#include "json.h"
#include "syscalls.h"

enum seccomp_operator { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ };

struct seccomp_condition {
    unsigned argument;
    enum seccomp_operator operator;
    uint64_t value, mask; /* OP_MASKED_EQ: (argument & mask) == value */
};

/* One call with all of its conditions: the action when they hold. */
struct seccomp_rule {
    const struct seccomp_condition *conditions;
    size_t condition_count;
    uint32_t action;
    const struct seccomp_rule *next;
};

/* What happens to one call: rules in order, else the action. */
struct seccomp_verdict {
    uint32_t action;
    bool is_decided; /* an unconditional rule named it */
    struct seccomp_rule *rules;
};

struct seccomp_abi {
    bool is_wanted;
    int last; /* the highest number that the profile names; what is newer gets ENOSYS */
    struct seccomp_verdict verdicts[SYSCALL_LIMIT];
};

struct seccomp_policy {
    uint32_t default_action, errno_default;
    bool answers_enosys;      /* calls above `last` are unknown to the profile's author: ENOSYS lets libc fall back */
    bool notifies, is_strict; /* is_strict: an unknown call is a fault */
    struct seccomp_abi abis[ABI_COUNT];
};

struct seccomp_filter {
    struct sock_filter *code;
    unsigned short length;
    unsigned flags; /* SECCOMP_FILTER_FLAG_ */
    bool notifies;
    const char *listener_path, *listener_metadata;
};

/* seccomp.c: profile → policy → filter. The filter lives in the arena; length 0: no profile. */
int seccomp_prepare(struct arena *arena, const struct json *profile, bool is_strict, struct seccomp_filter *filter,
                    struct fault *f);
#define STRICT_SECCOMP_ANNOTATION "run.oci.seccomp_fail_unknown_syscall" /* crun */
/* seccomp-compile.c: a tree over the numbers of each ABI, so that a call costs about seven comparisons. */
int seccomp_compile(struct arena *arena, const struct seccomp_policy *policy, struct seccomp_filter *filter,
                    struct fault *f);
/* On this thread. *listener is set when the filter notifies. Without no_new_privs it needs CAP_SYS_ADMIN. */
int seccomp_install(const struct seccomp_filter *filter, int *listener, struct fault *f);

/* Kept beside the state, so that exec does not compile it again. */
int seccomp_save(const struct seccomp_filter *filter, int dir, struct fault *f);
int seccomp_load(struct arena *arena, int dir, struct seccomp_filter *filter, struct fault *f);

#endif
