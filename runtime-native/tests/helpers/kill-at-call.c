/*
 * kill-at-call PID N [PROGRAM]: kills the process before its Nth system call that changes something outside of it; 0:
 * never. With PROGRAM, not that process is meant but one of its descendants that has that name. Each such call is a
 * line: its number, process, name and path. "attached" comes first. Without its tracer the process goes on as if
 * nothing had been.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct call {
    long number;
    const char *name;
    int path; /* the argument that is one; -1: none */
    enum { ALWAYS, IF_CREATING, IF_SHOWN, IF_FIRST } counts;
};

#define CALL(name, path, counts)                                                                                       \
    {                                                                                                                  \
        SYS_##name, #name, path, counts                                                                                \
    }

static const struct call calls[] = {
#ifdef __x86_64__
    CALL(open, 0, IF_CREATING),
    CALL(mkdir, 0, ALWAYS),
    CALL(rmdir, 0, ALWAYS),
    CALL(unlink, 0, ALWAYS),
    CALL(rename, 0, ALWAYS),
    CALL(symlink, 1, ALWAYS),
    CALL(link, 1, ALWAYS),
    CALL(mknod, 0, ALWAYS),
    CALL(chmod, 0, ALWAYS),
    CALL(chown, 0, ALWAYS),
    CALL(lchown, 0, ALWAYS),
    CALL(vfork, -1, ALWAYS),
#endif
    CALL(openat, 1, IF_CREATING),
    CALL(mkdirat, 1, ALWAYS),
    CALL(unlinkat, 1, ALWAYS),
    CALL(renameat, 1, ALWAYS),
    CALL(renameat2, 1, ALWAYS),
    CALL(symlinkat, 2, ALWAYS),
    CALL(linkat, 3, ALWAYS),
    CALL(mknodat, 1, ALWAYS),
    CALL(fchmod, -1, ALWAYS),
    CALL(fchmodat, 1, ALWAYS),
    CALL(fchown, -1, ALWAYS),
    CALL(fchownat, 1, ALWAYS),
    CALL(setxattr, 0, ALWAYS),
    CALL(fsetxattr, -1, ALWAYS),
    CALL(lsetxattr, 0, ALWAYS),
    CALL(utimensat, 1, ALWAYS),
    CALL(ftruncate, -1, ALWAYS),
    CALL(truncate, 0, ALWAYS),
    CALL(fsync, -1, ALWAYS),
    CALL(fdatasync, -1, ALWAYS),
    CALL(syncfs, -1, ALWAYS),
    CALL(mount, 1, ALWAYS),
    CALL(umount2, 0, ALWAYS),
    CALL(move_mount, 3, ALWAYS),
    CALL(setns, -1, ALWAYS),
    CALL(unshare, -1, ALWAYS),
    CALL(clone, -1, ALWAYS),
    CALL(clone3, -1, ALWAYS),
    CALL(execve, 0, ALWAYS),
    CALL(kill, -1, ALWAYS),
    CALL(pidfd_send_signal, -1, ALWAYS),
    CALL(connect, -1, ALWAYS),
    CALL(bind, -1, ALWAYS),
    CALL(listen, -1, ALWAYS),
    CALL(sendto, -1, ALWAYS),
    CALL(sendmsg, -1, ALWAYS),
    CALL(write, -1, IF_SHOWN),
    CALL(writev, -1, IF_SHOWN),
    CALL(pwrite64, -1, IF_FIRST),
};

static pid_t target;
static const char *program;
static long wanted, count;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void name_of(pid_t pid, char name[32])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    name[0] = 0;
    if (file == NULL)
        return;
    if (fgets(name, 32, file) != NULL)
        name[strcspn(name, "\n")] = 0;
    fclose(file);
}

static pid_t process_of(pid_t thread)
{
    char path[64], line[128];
    pid_t process = thread;
    snprintf(path, sizeof path, "/proc/%d/status", thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return process;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Tgid: %d", &process) == 1)
            break;
    fclose(file);
    return process;
}

/* What a descriptor leads to. A pipe or an eventfd is between threads, or the log. */
static int is_shown(pid_t pid, unsigned long long fd, char text[128])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%llu", pid, fd);
    ssize_t length = readlink(path, text, 127);
    text[length < 0 ? 0 : length] = 0;
    return length > 0 && (strncmp(text, "socket:", 7) == 0 || (text[0] == '/' && strncmp(text, "/dev/", 5) != 0));
}

static void read_path(pid_t pid, unsigned long long address, char text[128])
{
    struct iovec here = {text, 127}, there = {(void *)(uintptr_t)address, 127};
    ssize_t length = process_vm_readv(pid, &here, 1, &there, 1, 0);
    if (length < 0) { /* the end of a page */
        there.iov_len = here.iov_len = 4096 - (address & 4095) < 127 ? 4096 - (address & 4095) : 127;
        length = process_vm_readv(pid, &here, 1, &there, 1, 0);
    }
    text[length < 0 ? 0 : length] = 0;
}

static const struct call *find(unsigned long long number)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if ((unsigned long long)calls[i].number == number)
            return &calls[i];
    return NULL;
}

static void look(pid_t thread)
{
    static unsigned long long last;
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    unsigned long long before = last;
    last = info.entry.nr;
    const struct call *call = find(info.entry.nr);
    if (call == NULL)
        return;
    char text[128] = "", name[32];
    if (call->counts == IF_SHOWN && !is_shown(thread, info.entry.args[0], text))
        return;
    if (call->counts == IF_CREATING && (info.entry.args[call->path + 1] & (O_CREAT | O_TRUNC)) == 0)
        return;
    /* The pages of one transaction: what is written last makes it one. */
    if (call->counts == IF_FIRST && before == info.entry.nr)
        return;
    pid_t process = process_of(thread);
    if (program != NULL) {
        name_of(process, name);
        if (strcmp(name, program) != 0)
            return;
    }
    if (call->path >= 0)
        read_path(thread, info.entry.args[call->path], text);
    else if (text[0] == 0)
        is_shown(thread, info.entry.args[0], text);
    printf("%ld %d %s %s\n", ++count, process, call->name, text);
    if (count == wanted && kill(process, SIGKILL) < 0)
        fail("kill");
}

static void follow(pid_t pid)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
                         (program == NULL ? 0 : PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL)
        fail(path);
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        pid_t thread = atoi(entry->d_name);
        if (thread == 0)
            continue;
        if (ptrace(PTRACE_SEIZE, thread, 0, options) < 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0)
            fail("ptrace");
    }
    closedir(threads);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    target = atoi(argv[1]);
    wanted = atol(argv[2]);
    program = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0);
    follow(target);
    puts("attached");
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0)
            return errno == ECHILD ? 0 : 1;
        if (!WIFSTOPPED(status))
            continue;
        int signal = WSTOPSIG(status), event = status >> 16;
        if (signal == (SIGTRAP | 0x80))
            look(thread);
        if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, thread, 0, 0);
            continue;
        }
        bool is_ours = event != 0 || signal == (SIGTRAP | 0x80);
        ptrace(PTRACE_SYSCALL, thread, 0, is_ours ? 0 : signal);
    }
}
