/* The device policy and its program: what a program answers is what the policy says, for rules in every combination;
 * and the curve from cpu.shares to cpu.weight. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../launcher/cgroup-devices.h"
#include "../launcher/cgroup-resources.h"

static struct device_policy policy;

static int parse(const char *text)
{
    struct fault f = {0};
    AUTO_JSON struct json_document *document = json_parse(text, strlen(text), &f);
    assert(document);
    return device_policy_parse(json_root(document), &policy, &f);
}

struct request {
    unsigned type, access, major, minor;
};

/* The few instructions that the compiler emits, as the kernel runs them. */
static bool run(const struct bpf_insn *code, size_t length, struct request request)
{
    unsigned long long r[11] = {0};
    const unsigned context[3] = {request.access << 16 | request.type, request.major, request.minor};
    for (size_t at = 0; at < length; at++) {
        const struct bpf_insn *i = &code[at];
        unsigned long long value = (unsigned long long)(long long)i->imm;
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert(i->src_reg == 1);
            r[i->dst_reg] = context[i->off / 4];
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            r[i->dst_reg] = (unsigned)(r[i->dst_reg] & value);
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            r[i->dst_reg] = (unsigned)r[i->dst_reg] >> value;
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
            r[i->dst_reg] = (unsigned)r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            r[i->dst_reg] = value;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            at += r[i->dst_reg] != value ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += r[i->dst_reg] == value ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JNE | BPF_X:
            at += r[i->dst_reg] != r[i->src_reg] ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return r[0];
        default:
            assert(!"an instruction that the compiler does not know");
        }
    }
    assert(!"a program must end with exit");
    return false;
}

static bool answer(struct request request)
{
    static struct bpf_insn code[MAX_DEVICE_PROGRAM];
    size_t length = device_program(&policy, code);
    assert(length <= MAX_DEVICE_PROGRAM);
    return run(code, length, request);
}

enum {
    R = BPF_DEVCG_ACC_READ,
    W = BPF_DEVCG_ACC_WRITE,
    M = BPF_DEVCG_ACC_MKNOD,
    C = BPF_DEVCG_DEV_CHAR,
    B = BPF_DEVCG_DEV_BLOCK
};

static void test_defaults(void)
{
    assert(parse("[]") == 0);
    assert(answer((struct request){C, R | W, 1, 3}));   /* null */
    assert(answer((struct request){C, M, 4, 64}));      /* any node may be made … */
    assert(!answer((struct request){C, R, 4, 64}));     /* … and not be opened */
    assert(!answer((struct request){B, R, 1, 3}));      /* a block device of null's numbers */
    assert(answer((struct request){C, R | W, 136, 7})); /* any terminal */
}

static void test_rules(void)
{
    assert(parse("[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"b\",\"major\":8,\"minor\":0,"
                 "\"access\":\"r\"}]") == 0);
    assert(answer((struct request){B, R, 8, 0}) && !answer((struct request){B, R | W, 8, 0}));
    assert(!answer((struct request){B, R, 8, 1}));
    /* Rules about one node add up: an open for both is one request. */
    assert(parse("[{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"},{\"allow\":true,\"type\":\"b\","
                 "\"major\":8,\"access\":\"w\"}]") == 0);
    assert(answer((struct request){B, R | W, 8, 9}));
    /* A default of allow: an exception refuses whoever asks for any of it. */
    assert(parse("[{\"allow\":true,\"access\":\"rwm\"},{\"allow\":false,\"type\":\"b\",\"major\":8,\"minor\":0,"
                 "\"access\":\"w\"}]") == 0);
    assert(!answer((struct request){B, R | W, 8, 0}) && answer((struct request){B, R, 8, 0}));
    assert(answer((struct request){C, R | W, 99, 9}));
    /* Taking away again what was added. */
    assert(parse("[{\"allow\":true,\"type\":\"c\",\"major\":9,\"minor\":9,\"access\":\"rw\"},{\"allow\":false,\"type\":"
                 "\"c\",\"major\":9,\"minor\":9,\"access\":\"w\"}]") == 0);
    assert(answer((struct request){C, R, 9, 9}) && !answer((struct request){C, W, 9, 9}));
    /* A rule for all types forgets those before it. */
    assert(parse("[{\"allow\":true,\"type\":\"c\",\"major\":9,\"minor\":9},{\"allow\":false,\"type\":\"a\",\"major\":1,"
                 "\"minor\":1,\"access\":\"r\"}]") == 0);
    assert(!answer((struct request){C, R, 9, 9}));
}

static void test_refused(void)
{
    assert(parse("[{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"},{\"allow\":false,\"type\":\"b\","
                 "\"major\":8,\"minor\":1,\"access\":\"r\"}]") < 0);
    assert(parse("[{\"allow\":true,\"type\":\"x\",\"access\":\"r\"}]") < 0);
    assert(parse("[{\"allow\":true,\"type\":\"c\",\"access\":\"rx\"}]") == 0); /* a letter that means nothing */
    assert(parse("[{\"allow\":true,\"type\":\"c\",\"major\":4294967296,\"access\":\"r\"}]") < 0);
}

/* Any list of rules, against the policy asked directly. */
static void test_random(void)
{
    srand(1);
    for (int round = 0; round < 2000; round++) {
        char text[4096] = "[";
        int rules = rand() % 6;
        for (int i = 0; i < rules; i++) {
            static const char *const accesses[] = {"r", "w", "m", "rw", "rm", "wm", "rwm"};
            size_t at = strlen(text);
            (void)snprintf(text + at, sizeof text - at,
                           "%s{\"allow\":%s,\"type\":\"%c\",\"access\":\"%s\",\"major\":%d,\"minor\":%d}", i ? "," : "",
                           rand() % 2 ? "true" : "false", "abcc"[rand() % 4], accesses[rand() % 7], rand() % 3 - 1,
                           rand() % 3 - 1);
        }
        (void)strcat(text, "]");
        if (parse(text) < 0)
            continue;
        for (unsigned n = 0; n < 2 * 7 * 3 * 3; n++) {
            struct request q = {n % 2 ? C : B, n / 2 % 7 + 1, n / 14 % 3, n / 42};
            bool fits = false;
            for (size_t i = 0; i < policy.count; i++) {
                const struct device_exception *e = &policy.exceptions[i];
                bool is_it = (e->type == 'c') == (q.type == C) && (e->major == ANY_DEVICE || e->major == q.major) &&
                             (e->minor == ANY_DEVICE || e->minor == q.minor);
                fits = fits || (is_it && (policy.allows ? e->access & q.access : (e->access & q.access) == q.access));
            }
            assert(answer(q) == (fits != policy.allows));
        }
    }
}

static void test_weights(void)
{
    static const struct {
        unsigned long long shares, weight;
    } known[] = {{0, 1},      {2, 1},         {3, 2},         {512, 59},       {1024, 100},
                 {2048, 174}, {131072, 5478}, {260000, 9929}, {262144, 10000}, {1ULL << 40, 10000}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (cgroup_v2_weight(known[i].shares) != known[i].weight)
            printf("not ok: %llu shares are %llu\n", known[i].shares, cgroup_v2_weight(known[i].shares)), abort();
}

int main(void)
{
    test_defaults();
    test_rules();
    test_refused();
    test_random();
    test_weights();
    puts("ok: launcher-cgroup");
    return 0;
}
