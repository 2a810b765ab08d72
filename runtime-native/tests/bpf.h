/* An interpreter for the instructions that the seccomp compiler emits, for its tests. */
#ifndef MINIRUN_TEST_BPF_H
#define MINIRUN_TEST_BPF_H

#include <linux/seccomp.h>
#include <string.h>

#include "../launcher/seccomp.h"

#define BPF_INVALID 0xdeadbeefU

static inline uint32_t bpf_load(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word = 0;
    if (offset + sizeof word <= sizeof *data)
        memcpy(&word, (const char *)data + offset, sizeof word);
    return word;
}

/* Anything but the subset that the compiler emits, and a jump out of the program, is BPF_INVALID. */
static inline uint32_t bpf_run(const struct seccomp_filter *filter, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (size_t at = 0; at < filter->length; at++) {
        const struct sock_filter *i = &filter->code[at];
        bool is_true = false;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = bpf_load(data, i->k);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            continue;
        case BPF_JMP | BPF_JA:
            at += i->k;
            continue;
        case BPF_RET | BPF_K:
            return i->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
            is_true = a == i->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            is_true = a > i->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            is_true = a >= i->k;
            break;
        default:
            return BPF_INVALID;
        }
        at += is_true ? i->jt : i->jf;
    }
    return BPF_INVALID;
}

#endif
