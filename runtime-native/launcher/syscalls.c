#include "syscalls.h"

#include <stdlib.h>
#include <string.h>

static const struct syscall_numbers table[] = {
#include "syscall-table.h"
};

static int compare(const void *name, const void *entry)
{
    return strcmp(name, ((const struct syscall_numbers *)entry)->name);
}

const struct syscall_numbers *syscall_find(const char *name)
{
    return bsearch(name, table, sizeof table / sizeof table[0], sizeof table[0], compare);
}

const struct multiplexed_call *syscall_multiplexed(const char *name)
{
    static const struct multiplexed_call calls[] = {
        {"socket", "socketcall", 1},
        {"bind", "socketcall", 2},
        {"connect", "socketcall", 3},
        {"listen", "socketcall", 4},
        {"accept", "socketcall", 5},
        {"getsockname", "socketcall", 6},
        {"getpeername", "socketcall", 7},
        {"socketpair", "socketcall", 8},
        {"send", "socketcall", 9},
        {"recv", "socketcall", 10},
        {"sendto", "socketcall", 11},
        {"recvfrom", "socketcall", 12},
        {"shutdown", "socketcall", 13},
        {"setsockopt", "socketcall", 14},
        {"getsockopt", "socketcall", 15},
        {"sendmsg", "socketcall", 16},
        {"recvmsg", "socketcall", 17},
        {"accept4", "socketcall", 18},
        {"recvmmsg", "socketcall", 19},
        {"sendmmsg", "socketcall", 20},
        {"semop", "ipc", 1},
        {"semget", "ipc", 2},
        {"semctl", "ipc", 3},
        {"semtimedop", "ipc", 4},
        {"msgsnd", "ipc", 11},
        {"msgrcv", "ipc", 12},
        {"msgget", "ipc", 13},
        {"msgctl", "ipc", 14},
        {"shmat", "ipc", 21},
        {"shmdt", "ipc", 22},
        {"shmget", "ipc", 23},
        {"shmctl", "ipc", 24},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    return NULL;
}
