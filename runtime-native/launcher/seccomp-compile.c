/* Policy → classic BPF. For each ABI the numbers are cut into segments that share a verdict, and a balanced tree over
 * the segments leads a call to its verdict. Blocks are emitted left to right; a jump that does not fit into its eight
 * bits goes over a JA. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#include "seccomp.h"

#define BAD_ARCHITECTURE SECCOMP_RET_KILL_THREAD /* libseccomp's answer too */

struct segment {
    unsigned first; /* up to the next segment's first */
    const struct seccomp_verdict *verdict;
};

struct emitter {
    struct sock_filter code[BPF_MAXINSNS];
    size_t length;
    bool is_full;
};

static void emit(struct emitter *e, unsigned code, uint32_t k, unsigned jump_true, unsigned jump_false)
{
    if (e->length == BPF_MAXINSNS) {
        e->is_full = true;
        return;
    }
    e->code[e->length++] =
        (struct sock_filter){(unsigned short)code, (unsigned char)jump_true, (unsigned char)jump_false, k};
}

static void emit_return(struct emitter *e, uint32_t action)
{
    emit(e, BPF_RET | BPF_K, action, 0, 0);
}

static void emit_load(struct emitter *e, size_t offset)
{
    emit(e, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

#define TO_FAIL 255 /* placeholder: patched to the end of the rule */

/* Goes on at the next instruction when the condition holds, to the end of the rule when not. seccomp_data has the
 * arguments as 64 bit numbers; a 32 bit ABI only has the low half. */
static void emit_condition(struct emitter *e, const struct seccomp_condition *condition, bool is_32bit)
{
    size_t low = offsetof(struct seccomp_data, args) + 8 * condition->argument, high = low + 4;
    uint32_t value_low = (uint32_t)condition->value, value_high = (uint32_t)(condition->value >> 32);
    enum seccomp_operator op = condition->operator;
    /* Two-word comparison: the high words decide unless equal. `pass` skips the three or so instructions of the low
     * word. */
    if (!is_32bit) {
        emit_load(e, high);
        if (op == OP_MASKED_EQ)
            emit(e, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(condition->mask >> 32), 0, 0);
        if (op == OP_EQ || op == OP_MASKED_EQ)
            emit(e, BPF_JMP | BPF_JEQ | BPF_K, value_high, 0, TO_FAIL);
        else if (op == OP_NE)
            emit(e, BPF_JMP | BPF_JEQ | BPF_K, value_high, 0, 2);
        else {
            bool is_greater = op == OP_GE || op == OP_GT;
            emit(e, BPF_JMP | BPF_JGT | BPF_K, value_high, is_greater ? 3 : TO_FAIL, 0);
            emit(e, BPF_JMP | BPF_JEQ | BPF_K, value_high, 0, is_greater ? TO_FAIL : 2);
        }
    }
    emit_load(e, low);
    if (op == OP_MASKED_EQ)
        emit(e, BPF_ALU | BPF_AND | BPF_K, (uint32_t)condition->mask, 0, 0);
    bool is_negated = op == OP_NE || op == OP_LT || op == OP_LE;
    unsigned jump = op == OP_GE || op == OP_LT ? BPF_JGE : op == OP_GT || op == OP_LE ? BPF_JGT : BPF_JEQ;
    emit(e, BPF_JMP | jump | BPF_K, value_low, is_negated ? TO_FAIL : 0, is_negated ? 0 : TO_FAIL);
}

static void emit_rule(struct emitter *e, const struct seccomp_rule *rule, bool is_32bit)
{
    size_t start = e->length;
    for (size_t i = 0; i < rule->condition_count; i++)
        emit_condition(e, &rule->conditions[i], is_32bit);
    emit_return(e, rule->action);
    for (size_t at = start; at < e->length; at++) {
        struct sock_filter *instruction = &e->code[at];
        unsigned char distance = (unsigned char)(e->length - at - 1); /* a rule has at most six conditions: it fits */
        if (BPF_CLASS(instruction->code) != BPF_JMP)
            continue;
        if (instruction->jt == TO_FAIL)
            instruction->jt = distance;
        if (instruction->jf == TO_FAIL)
            instruction->jf = distance;
    }
}

static void emit_verdict(struct emitter *e, const struct seccomp_verdict *verdict, bool is_32bit)
{
    for (const struct seccomp_rule *rule = verdict->rules; rule; rule = rule->next)
        emit_rule(e, rule, is_32bit);
    emit_return(e, verdict->action);
}

/* The accumulator holds the number. Below the middle segment: the left block, at once; else the right one, after it. */
static void emit_tree(struct emitter *e, const struct segment *segments, size_t count, bool is_32bit)
{
    if (count == 1) {
        emit_verdict(e, segments[0].verdict, is_32bit);
        return;
    }
    size_t middle = count / 2, node = e->length;
    emit(e, BPF_JMP | BPF_JGE | BPF_K, segments[middle].first, 0, 0);
    emit_tree(e, segments, middle, is_32bit);
    size_t left = e->length - node - 1;
    if (left <= 255 && !e->is_full) {
        e->code[node].jt = (unsigned char)left;
    } else if (e->length < BPF_MAXINSNS) {
        memmove(&e->code[node + 2], &e->code[node + 1], left * sizeof e->code[0]);
        e->code[node].jf = 1;
        e->code[node + 1] = (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, (uint32_t)left};
        e->length++;
    } else {
        e->is_full = true;
        return;
    }
    emit_tree(e, segments + middle, count - middle, is_32bit);
}

static size_t cut_segments(const struct seccomp_abi *abi, const struct seccomp_verdict *beyond, unsigned bit,
                           struct segment *segments)
{
    size_t count = 0;
    const struct seccomp_verdict *previous = NULL;
    for (int number = 0; number <= abi->last + 1; number++) {
        const struct seccomp_verdict *verdict = number > abi->last ? beyond : &abi->verdicts[number];
        if (previous && !previous->rules && !verdict->rules && previous->action == verdict->action)
            continue;
        segments[count++] = (struct segment){.first = (unsigned)number | bit, .verdict = verdict};
        previous = verdict;
    }
    return count;
}

static void emit_abi(struct emitter *e, const struct seccomp_policy *policy, enum syscall_abi kind)
{
    const struct seccomp_abi *abi = &policy->abis[kind];
    struct seccomp_verdict beyond = {.action = policy->answers_enosys && abi->last >= 0 ? SECCOMP_RET_ERRNO | ENOSYS
                                                                                        : policy->default_action};
    struct segment segments[SYSCALL_LIMIT + 1];
    size_t count = cut_segments(abi, &beyond, kind == ABI_X32 ? X32_BIT : 0, segments);
    emit_tree(e, segments, count, kind == ABI_I386);
}

/* x86_64 and x32 share an architecture; bit 30 of the number tells them apart. */
static void emit_x86_64(struct emitter *e, const struct seccomp_policy *policy)
{
    size_t test = e->length;
    emit(e, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    emit(e, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_abi(e, policy, ABI_X86_64);
    if (e->is_full)
        return;
    e->code[test + 1].k = (uint32_t)(e->length - test - 2);
    if (policy->abis[ABI_X32].is_wanted)
        emit_abi(e, policy, ABI_X32);
    else
        emit_return(e, BAD_ARCHITECTURE);
}

static void emit_architecture(struct emitter *e, const struct seccomp_policy *policy, uint32_t audit,
                              enum syscall_abi abi)
{
    if (!policy->abis[abi].is_wanted)
        return;
    size_t test = e->length;
    emit(e, BPF_JMP | BPF_JEQ | BPF_K, audit, 1, 0);
    emit(e, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_load(e, offsetof(struct seccomp_data, nr));
    if (abi == ABI_X86_64)
        emit_x86_64(e, policy);
    else
        emit_abi(e, policy, abi);
    if (!e->is_full)
        e->code[test + 1].k = (uint32_t)(e->length - test - 2);
}

int seccomp_compile(struct arena *arena, const struct seccomp_policy *policy, struct seccomp_filter *filter,
                    struct fault *f)
{
    struct emitter *e = arena_alloc(arena, 1, sizeof *e);
    if (!e)
        return fault_errno(f, STAGE_SECCOMP, "compile seccomp");
    emit_load(e, offsetof(struct seccomp_data, arch));
    emit_architecture(e, policy, AUDIT_ARCH_X86_64, ABI_X86_64);
    emit_architecture(e, policy, AUDIT_ARCH_AARCH64, ABI_AARCH64);
    emit_architecture(e, policy, AUDIT_ARCH_I386, ABI_I386);
    emit_return(e, BAD_ARCHITECTURE);
    if (e->is_full)
        return fault_text(f, STAGE_SECCOMP, "seccomp: the profile needs more than %d instructions", BPF_MAXINSNS);
    filter->code = e->code;
    filter->length = (unsigned short)e->length;
    return 0;
}
