/* System call numbers by name, for the architectures that a filter may name. */
#ifndef MINIRUN_SYSCALLS_H
#define MINIRUN_SYSCALLS_H

#include <stdbool.h>
#include <stdint.h>

enum syscall_abi { ABI_X86_64, ABI_I386, ABI_X32, ABI_AARCH64, ABI_COUNT };
#define SYSCALL_LIMIT 1024 /* above every number of the table */
#define X32_BIT       0x40000000U

struct syscall_numbers {
    const char *name;
    short numbers[ABI_COUNT]; /* -1: there is no such call; x32 without its bit */
};

const struct syscall_numbers *syscall_find(const char *name);

/* On i386 these calls also arrive through socketcall(2) or ipc(2), with this number as the first argument. */
struct multiplexed_call {
    const char *name, *through;
    unsigned char number;
};
const struct multiplexed_call *syscall_multiplexed(const char *name);

#endif
