/* Which device nodes a container may make and open. The spec's list of rules becomes a policy, as the devices
 * controller of v1 keeps it: a default, and exceptions to it; v1 takes that as text, v2 as a BPF program. */
#ifndef MINIRUN_CGROUP_DEVICES_H
#define MINIRUN_CGROUP_DEVICES_H

#include <linux/bpf.h>

#include "cgroup.h"

#define ANY_DEVICE     (-1)
#define MAX_EXCEPTIONS 512
#define ALL_ACCESS     (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD)

struct device_exception {
    char type; /* b or c */
    long long major, minor;
    unsigned access; /* BPF_DEVCG_ACC_ */
};

struct device_policy {
    bool allows; /* what no exception is about */
    size_t count;
    struct device_exception exceptions[MAX_EXCEPTIONS];
};

/* The spec's rules, then the devices that every container has. */
int device_policy_parse(const struct json *rules, struct device_policy *policy, struct fault *f);
int cgroup_devices_apply(const struct cgroup *cgroup, const struct json *rules, struct fault *f);

/* cgroup-bpf.c */
#define MAX_DEVICE_PROGRAM (MAX_EXCEPTIONS * 9 + 8)
size_t device_program(const struct device_policy *policy, struct bpf_insn *code);
int cgroup_devices_v2(const struct cgroup_dir *dir, const struct device_policy *policy, struct fault *f);

#endif
