/* Which device nodes may be made and opened: v1's devices controller takes rules as text, v2 a BPF program. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"
#include "log.h"

#define ANY       (-1)
#define MAX_RULES 512

struct device_rule {
    bool allow;
    char type; /* a, b or c */
    long long major, minor;
    unsigned access; /* BPF_DEVCG_ACC_ */
};

/* What every container may use, whatever the spec says: OCI "default devices", mknod of anything, terminals. */
static const struct device_rule default_rules[] = {
    {true, 'c', ANY, ANY, BPF_DEVCG_ACC_MKNOD},
    {true, 'b', ANY, ANY, BPF_DEVCG_ACC_MKNOD},
    {true, 'c', 1, 3, 7},     /* null */
    {true, 'c', 1, 8, 7},     /* random */
    {true, 'c', 1, 7, 7},     /* full */
    {true, 'c', 5, 0, 7},     /* tty */
    {true, 'c', 1, 5, 7},     /* zero */
    {true, 'c', 1, 9, 7},     /* urandom */
    {true, 'c', 136, ANY, 7}, /* pts */
    {true, 'c', 5, 2, 7},     /* ptmx */
    {true, 'c', 10, 200, 7},  /* net/tun */
};
#define DEFAULT_RULES (sizeof default_rules / sizeof default_rules[0])

static int parse_rule(const struct json *json, struct device_rule *rule, struct fault *f)
{
    int64_t major = ANY, minor = ANY;
    const char *type = json_string(json, "type"), *access = json_string(json, "access");
    if (json_int64(json, "major", &major) < 0 || json_int64(json, "minor", &minor) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: a device rule's numbers must be integers");
    *rule = (struct device_rule){.allow = json_bool(json, "allow", false),
                                 .type = type && *type ? *type : 'a',
                                 .major = major < 0 ? ANY : major,
                                 .minor = minor < 0 ? ANY : minor};
    if (!strchr("abcu", rule->type) || (type && *type && type[1]))
        return fault_text(f, STAGE_DEVICE, "invalid device type \"%s\"", type);
    if (rule->type == 'u')
        rule->type = 'c';
    for (const char *at = access && *access ? access : "rwm"; *at; at++)
        rule->access |= *at == 'r'   ? BPF_DEVCG_ACC_READ
                        : *at == 'w' ? BPF_DEVCG_ACC_WRITE
                        : *at == 'm' ? BPF_DEVCG_ACC_MKNOD
                                     : 0U;
    return 0;
}

static int parse_rules(const struct json *json, struct device_rule *rules, size_t *count, struct fault *f)
{
    *count = 0;
    json_each(item, json)
    {
        if (*count + DEFAULT_RULES == MAX_RULES)
            return fault_text(f, STAGE_CGROUP, "resources: more than %d device rules", MAX_RULES);
        if (parse_rule(item, &rules[(*count)++], f) < 0)
            return -1;
    }
    memcpy(&rules[*count], default_rules, sizeof default_rules);
    *count += DEFAULT_RULES;
    return 0;
}

static void format_number(long long number, char *text, size_t size)
{
    if (number == ANY)
        (void)snprintf(text, size, "*");
    else
        (void)snprintf(text, size, "%lld", number);
}

int cgroup_devices_v1(const struct cgroup_dir *dir, const struct json *json, struct fault *f)
{
    struct device_rule rules[MAX_RULES];
    size_t count;
    if (parse_rules(json, rules, &count, f) < 0)
        return -1;
    AUTO_CLOSE int allow = openat(dir->fd, "devices.allow", O_WRONLY | O_CLOEXEC);
    AUTO_CLOSE int deny = openat(dir->fd, "devices.deny", O_WRONLY | O_CLOEXEC);
    if (allow < 0 || deny < 0)
        return fault_errno(f, STAGE_CGROUP, "open %s/devices.allow", dir->path);
    for (size_t i = 0; i < count; i++) {
        const struct device_rule *rule = &rules[i];
        char major[24], minor[24], text[64];
        format_number(rule->major, major, sizeof major);
        format_number(rule->minor, minor, sizeof minor);
        (void)snprintf(text, sizeof text, "%c %s:%s %s%s%s", rule->type, major, minor,
                       rule->access & BPF_DEVCG_ACC_READ ? "r" : "", rule->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
                       rule->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");
        if (rule->type == 'a')
            (void)snprintf(text, sizeof text, "a");
        if (write_all(rule->allow ? allow : deny, text, strlen(text)) < 0)
            return fault_errno(f, STAGE_CGROUP, "failed to write \"%s\": write %s/devices.%s", text, dir->path,
                               rule->allow ? "allow" : "deny");
    }
    return 0;
}

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

/* A rule that fits ends the program. An allow rule must cover everything asked for, a deny rule any of it. */
static size_t emit_rule(struct bpf_insn *code, const struct device_rule *rule)
{
    size_t n = 0, tests[6], count = 0;
    if (rule->type != 'a') {
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0,
                                rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (rule->access != 7 && rule->allow) {
        code[n++] = INSTRUCTION(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
        code[n++] = INSTRUCTION(BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int)rule->access);
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_X, 1, 3, 0, 0);
    } else if (rule->access != 7) {
        code[n++] = INSTRUCTION(BPF_ALU | BPF_MOV | BPF_X, 1, 3, 0, 0);
        code[n++] = INSTRUCTION(BPF_ALU | BPF_AND | BPF_K, 1, 0, 0, (int)rule->access);
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 0);
    }
    if (rule->type != 'a' && rule->major != ANY) {
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 0, (int)rule->major);
    }
    if (rule->type != 'a' && rule->minor != ANY) {
        tests[count++] = n;
        code[n++] = INSTRUCTION(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 0, (int)rule->minor);
    }
    code[n++] = INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, rule->allow);
    code[n++] = INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (size_t i = 0; i < count; i++)
        code[tests[i]].off = (short)(n - tests[i] - 1);
    return n;
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
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

/* The programs that this group has now; at most `size`. */
static uint32_t query_programs(int group, uint32_t *ids, uint32_t size)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = (uint32_t)group;
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attributes.query.prog_cnt = size;
    return syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof attributes) < 0 ? 0 : attributes.query.prog_cnt;
}

static void detach_program(int group, uint32_t id)
{
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = id;
    AUTO_CLOSE int program = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attributes, sizeof attributes);
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)group;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    if (program < 0 || syscall(SYS_bpf, BPF_PROG_DETACH, &attributes, sizeof attributes) < 0)
        log_warning("cannot detach the former device program: %s", error_text(errno));
}

/* All programs of a group and its parents must agree, so the new one is in force before the old one goes. */
static int attach_program(int group, int program)
{
    uint32_t former[16];
    uint32_t count = query_programs(group, former, 16);
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.target_fd = (uint32_t)group;
    attributes.attach_bpf_fd = (uint32_t)program;
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attributes, sizeof attributes) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        detach_program(group, former[i]);
    return 0;
}

int cgroup_devices_v2(const struct cgroup_dir *dir, const struct json *json, struct fault *f)
{
    static struct bpf_insn code[MAX_RULES * 12];
    struct device_rule rules[MAX_RULES];
    size_t count, length;
    if (parse_rules(json, rules, &count, f) < 0)
        return -1;
    length = emit_prologue(code);
    bool is_complete = false;
    /* The last rule that fits decides, so the program asks from the end. One that fits everything ends it: the verifier
     * refuses instructions that nothing reaches. */
    for (size_t i = count; i-- > 0 && !is_complete;) {
        length += emit_rule(&code[length], &rules[i]);
        is_complete = rules[i].type == 'a' && rules[i].access == 7;
    }
    if (!is_complete) {
        code[length++] = INSTRUCTION(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
        code[length++] = INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    AUTO_CLOSE int program = load_program(code, length);
    if (program < 0)
        return fault_errno(f, STAGE_CGROUP, "load program");
    AUTO_CLOSE int group = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0 || attach_program(group, program) < 0)
        return fault_errno(f, STAGE_CGROUP, "failed to call BPF_PROG_ATTACH (BPF_CGROUP_DEVICE)");
    return 0;
}
