/* The device policy as a program for BPF_PROG_TYPE_CGROUP_DEVICE: it is asked for every mknod and open of a node. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup-devices.h"
#include "io.h"
#include "log.h"

#define INSTRUCTION(op, dst, src, offset, value)                                                                       \
    ((struct bpf_insn){                                                                                                \
        .code = (unsigned char)(op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value)})

/* Registers: r1 the context, r2 the type, r3 the access asked for, r4 major, r5 minor; r0 the answer. */
static size_t emit_prologue(struct bpf_insn *code)
{
    size_t n = 0;
    code[n++] = INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
    code[n++] = INSTRUCTION(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    code[n++] = INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 0, 0);
    code[n++] = INSTRUCTION(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);
    code[n++] = INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
    code[n++] = INSTRUCTION(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
    return n;
}

static size_t emit_answer(struct bpf_insn *code, bool allow)
{
    code[0] = INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, allow);
    code[1] = INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return 2;
}

/* An exception that allows must cover everything that is asked for; one that denies, any of it. */
static size_t emit_exception(struct bpf_insn *code, const struct device_exception *exception, bool allow)
{
    size_t n = 0, tests[4], count = 0;
    tests[count++] = n;
    code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0,
                            exception->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (exception->access != ALL_ACCESS) {
        code[n++] = INSTRUCTION(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
        code[n++] = INSTRUCTION(BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int)exception->access);
        tests[count++] = n;
        code[n++] = allow ? INSTRUCTION(BPF_JMP | BPF_JNE | BPF_X, 1, 3, 0, 0)
                          : INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 0);
    }
    if (exception->major != ANY_DEVICE) {
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 0, (int)exception->major);
    }
    if (exception->minor != ANY_DEVICE) {
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 0, (int)exception->minor);
    }
    n += emit_answer(&code[n], allow);
    for (size_t i = 0; i < count; i++)
        code[tests[i]].off = (short)(n - tests[i] - 1);
    return n;
}

/* All exceptions of a policy give the same answer, so their order is free. */
size_t device_program(const struct device_policy *policy, struct bpf_insn *code)
{
    size_t length = emit_prologue(code);
    for (size_t i = 0; i < policy->count; i++)
        length += emit_exception(&code[length], &policy->exceptions[i], !policy->allows);
    return length + emit_answer(&code[length], policy->allows);
}

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int load_program(const struct bpf_insn *code, size_t count)
{
    static const char license[] = "Apache-2.0";
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = (uint64_t)(uintptr_t)code;
    attributes.insn_cnt = (uint32_t)count;
    attributes.license = (uint64_t)(uintptr_t)license;
    return bpf(BPF_PROG_LOAD, &attributes);
}

#define MAX_PROGRAMS 16

/* The programs that this group itself has now. */
static uint32_t query_programs(int group, uint32_t ids[MAX_PROGRAMS])
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = (uint32_t)group;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.query.prog_cnt = MAX_PROGRAMS;
    return bpf(BPF_PROG_QUERY, &attributes) < 0 ? 0 : attributes.query.prog_cnt;
}

static int program_of(uint32_t id)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = id;
    return bpf(BPF_PROG_GET_FD_BY_ID, &attributes);
}

/* replaced -1: beside those that are there. */
static int attach(int group, int program, int replaced)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)group;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI | (replaced < 0 ? 0 : BPF_F_REPLACE);
    attributes.replace_bpf_fd = replaced < 0 ? 0 : (uint32_t)replaced;
    return bpf(BPF_PROG_ATTACH, &attributes);
}

static void detach(int group, uint32_t id)
{
    union bpf_attr attributes;
    AUTO_CLOSE int program = program_of(id);
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)group;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (program < 0 || bpf(BPF_PROG_DETACH, &attributes) < 0)
        log_warning("cannot detach the former device program: %s", error_text(errno));
}

/* All programs of a group and of its parents must agree. One that is there is replaced in one step (since Linux 5.6);
 * otherwise the new one is in force before the old ones go: at no moment is a container without. */
static int replace_program(int group, int program)
{
    uint32_t former[MAX_PROGRAMS];
    uint32_t count = query_programs(group, former);
    if (count == 1) {
        AUTO_CLOSE int old = program_of(former[0]);
        if (old >= 0 && attach(group, program, old) == 0)
            return 0;
    }
    if (attach(group, program, -1) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        detach(group, former[i]);
    return 0;
}

int cgroup_devices_v2(const struct cgroup_dir *dir, const struct device_policy *policy, struct fault *f)
{
    AUTO_FREE struct bpf_insn *code = calloc(MAX_DEVICE_PROGRAM, sizeof *code);
    if (!code)
        return fault_errno(f, STAGE_CGROUP, "load program");
    AUTO_CLOSE int program = load_program(code, device_program(policy, code));
    if (program < 0)
        return fault_errno(f, STAGE_CGROUP, "load program");
    AUTO_CLOSE int group = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0 || replace_program(group, program) < 0)
        return fault_errno(f, STAGE_CGROUP, "failed to call BPF_PROG_ATTACH (BPF_CGROUP_DEVICE)");
    return 0;
}
