/* The compiled filter, run by a small interpreter over made-up system calls: what each is answered. */
#include "bpf.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

struct call {
    uint32_t arch;
    int number;
    uint64_t args[6];
};

static void expect_answer(const struct seccomp_filter *filter, struct call call, uint32_t wanted, const char *name)
{
    struct seccomp_data data = {.nr = call.number, .arch = call.arch};
    memcpy(data.args, call.args, sizeof data.args);
    uint32_t got = bpf_run(filter, &data);
    if (got == wanted)
        return;
    fail("%s: %#x instead of %#x", name, got, wanted);
}

static void with_profile(const char *text, void (*test)(const struct seccomp_filter *filter))
{
    struct fault f = {0};
    struct arena arena = {0};
    struct seccomp_filter filter;
    AUTO_JSON struct json_document *document = json_parse(text, strlen(text), &f);
    if (!document || seccomp_prepare(&arena, json_root(document), false, &filter, &f) < 0) {
        fail("%s", f.message);
    } else {
        test(&filter);
    }
    arena_free(&arena);
}

static void refuses(const char *text, const char *message)
{
    struct fault f = {0};
    struct arena arena = {0};
    struct seccomp_filter filter;
    AUTO_JSON struct json_document *document = json_parse(text, strlen(text), &f);
    if (!document || seccomp_prepare(&arena, json_root(document), false, &filter, &f) == 0 ||
        strcmp(f.message, message) != 0)
        fail("%s instead of %s", f.message, message);
    arena_free(&arena);
}

#define X64    AUDIT_ARCH_X86_64
#define I386   AUDIT_ARCH_I386
#define ARM    AUDIT_ARCH_AARCH64
#define ERR(n) (SECCOMP_RET_ERRNO | (n))

static void test_allow_list(const struct seccomp_filter *filter)
{
    expect_answer(filter, (struct call){X64, 0, {0}}, SECCOMP_RET_ALLOW, "read is allowed");
    expect_answer(filter, (struct call){X64, 1, {0}}, ERR(EPERM), "write is not");
    expect_answer(filter, (struct call){X64, 435, {0}}, ERR(ENOSYS), "clone3 has its own errno");
    expect_answer(filter, (struct call){X64, 436, {0}}, ERR(ENOSYS), "a call above all that is named is unknown");
    expect_answer(filter, (struct call){X64, 0x40000000, {0}}, SECCOMP_RET_KILL_THREAD, "x32 was not asked for");
    expect_answer(filter, (struct call){I386, 3, {0}}, SECCOMP_RET_ALLOW, "read of i386");
    expect_answer(filter, (struct call){I386, 4, {0}}, ERR(EPERM), "write of i386");
    expect_answer(filter, (struct call){I386, 102, {1}}, SECCOMP_RET_ALLOW, "socket through socketcall");
    expect_answer(filter, (struct call){I386, 102, {2}}, ERR(EPERM), "bind through socketcall");
    expect_answer(filter, (struct call){ARM, 63, {0}}, SECCOMP_RET_KILL_THREAD, "another architecture");
}

static void test_conditions(const struct seccomp_filter *filter)
{
    const uint64_t high = UINT64_C(1) << 40;
    expect_answer(filter, (struct call){X64, 41, {40}}, ERR(1), "NE: the one value");
    expect_answer(filter, (struct call){X64, 41, {40 | high}}, SECCOMP_RET_ALLOW, "NE: differs in the high word");
    expect_answer(filter, (struct call){X64, 41, {2}}, SECCOMP_RET_ALLOW, "NE: another value");
    expect_answer(filter, (struct call){X64, 56, {0x7e020000}}, ERR(1), "MASKED_EQ: a masked bit is set");
    expect_answer(filter, (struct call){X64, 56, {0x11}}, SECCOMP_RET_ALLOW, "MASKED_EQ: none is");
    expect_answer(filter, (struct call){X64, 0, {high + 4}}, ERR(1), "GT: equal");
    expect_answer(filter, (struct call){X64, 0, {high + 5}}, SECCOMP_RET_ALLOW, "GT: one more");
    expect_answer(filter, (struct call){X64, 0, {2 * high}}, SECCOMP_RET_ALLOW, "GT: by the high word");
    expect_answer(filter, (struct call){X64, 0, {5}}, ERR(1), "GT: only the low word is greater");
    expect_answer(filter, (struct call){X64, 1, {high + 4}}, ERR(1), "LT: equal");
    expect_answer(filter, (struct call){X64, 1, {high + 3}}, SECCOMP_RET_ALLOW, "LT: one less");
    expect_answer(filter, (struct call){X64, 1, {9}}, SECCOMP_RET_ALLOW, "LT: by the high word");
    expect_answer(filter, (struct call){X64, 1, {2 * high}}, ERR(1), "LT: greater by the high word");
    expect_answer(filter, (struct call){X64, 2, {high + 4}}, SECCOMP_RET_ALLOW, "LE: equal");
    expect_answer(filter, (struct call){X64, 2, {high + 5}}, ERR(1), "LE: one more");
    expect_answer(filter, (struct call){X64, 3, {high + 4}}, SECCOMP_RET_ALLOW, "GE: equal");
    expect_answer(filter, (struct call){X64, 3, {high + 3}}, ERR(1), "GE: one less");
    expect_answer(filter, (struct call){X64, 135, {0}}, SECCOMP_RET_ALLOW, "EQ of one argument twice: the first");
    expect_answer(filter, (struct call){X64, 135, {8}}, SECCOMP_RET_ALLOW, "EQ of one argument twice: the second");
    expect_answer(filter, (struct call){X64, 135, {1}}, ERR(1), "EQ of one argument twice: neither");
    expect_answer(filter, (struct call){X64, 16, {1, 7}}, SECCOMP_RET_ALLOW, "two arguments: both hold");
    expect_answer(filter, (struct call){X64, 16, {1, 8}}, ERR(1), "two arguments: one does not");
    expect_answer(filter, (struct call){X64, 39, {1}}, SECCOMP_RET_ALLOW,
                  "an unconditional rule stands above a condition");
    expect_answer(filter, (struct call){X64, (int)0x40000000, {high + 5}}, SECCOMP_RET_ALLOW, "x32 read");
    expect_answer(filter, (struct call){X64, (int)(0x40000000 + 600), {0}}, ERR(ENOSYS), "x32 above all that is named");
}

static void test_deny_list(const struct seccomp_filter *filter)
{
    expect_answer(filter, (struct call){X64, 0, {0}}, SECCOMP_RET_ALLOW, "the default");
    expect_answer(filter, (struct call){X64, 101, {0}}, SECCOMP_RET_KILL_PROCESS, "ptrace kills");
    expect_answer(filter, (struct call){X64, 999, {0}}, SECCOMP_RET_ALLOW, "no ENOSYS where the default allows");
}

int main(void)
{
    with_profile("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"],"
                 "\"syscalls\":["
                 "{\"names\":[\"read\",\"socket\",\"nosuchcall\"],\"action\":\"SCMP_ACT_ALLOW\"},"
                 "{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}]}",
                 test_allow_list);
    with_profile("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X32\"],"
                 "\"syscalls\":["
                 "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":40,\"op\":"
                 "\"SCMP_CMP_NE\"}]},"
                 "{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"
                 "\"valueTwo\":0,"
                 "\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
                 "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1099511627780,"
                 "\"op\":\"SCMP_CMP_GT\"}]},"
                 "{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1099511627780,"
                 "\"op\":\"SCMP_CMP_LT\"}]},"
                 "{\"names\":[\"open\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1099511627780,"
                 "\"op\":\"SCMP_CMP_LE\"}]},"
                 "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1099511627780,"
                 "\"op\":\"SCMP_CMP_GE\"}]},"
                 "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":0,\"op\":"
                 "\"SCMP_CMP_EQ\"},"
                 "{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]},"
                 "{\"names\":[\"ioctl\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":"
                 "\"SCMP_CMP_EQ\"},"
                 "{\"index\":1,\"value\":7,\"op\":\"SCMP_CMP_EQ\"}]},"
                 "{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":9,\"op\":"
                 "\"SCMP_CMP_EQ\"}]},"
                 "{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}",
                 test_conditions);
    with_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"ptrace\"],\"action\":"
                 "\"SCMP_ACT_KILL_PROCESS\"}]}",
                 test_deny_list);
    refuses("{\"defaultAction\":\"SCMP_ACT_X\"}", "string SCMP_ACT_X is not a valid action for seccomp");
    refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_Z80\"]}",
            "string SCMP_ARCH_Z80 is not a valid arch for seccomp");
    refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "seccomp flag X is not known to runc");
    refuses("{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY cannot be used as default action");
    refuses(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"write\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
        "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_LOG\","
            "\"args\":"
            "[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
            "syscalls only have up to 6 arguments (6 given)");
    return report("launcher-seccomp");
}
