/* without openat2[,close_range…] program [arguments]: runs the program in a world where these system calls are missing,
 * as on an older kernel or behind a container engine's older filter: they answer ENOSYS. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned number;
} calls[] = {
    {"openat2", SYS_openat2},
    {"close_range", SYS_close_range},
    {"clone3", SYS_clone3},
    {"open_tree", SYS_open_tree},
    {"move_mount", SYS_move_mount},
    {"fsopen", SYS_fsopen},
    {"mount_setattr", SYS_mount_setattr},
};

#define MOST_CALLS (sizeof calls / sizeof calls[0])

static int install(char *names)
{
    struct sock_filter code[2 * MOST_CALLS + 2], *next = code;
    *next++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (char *state = NULL, *name = strtok_r(names, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
        size_t i = 0;
        while (i < MOST_CALLS && strcmp(calls[i].name, name) != 0)
            i++;
        if (i == MOST_CALLS || next + 3 > code + sizeof code / sizeof code[0]) {
            errno = EINVAL;
            return -1;
        }
        *next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    }
    *next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = (unsigned short)(next - code), .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    if (argc < 3 || install(argv[1]) < 0) {
        perror("without");
        return 125;
    }
    (void)execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
