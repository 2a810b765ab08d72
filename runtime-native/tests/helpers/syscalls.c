/* syscalls: makes the calls that a default container must not get through with, and tells what each one answers. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#endif

static void tell(const char *name, long result)
{
    const char *answer = result >= 0 ? "allowed" : strerrorname_np((int)-result);
    (void)printf("%s %s\n", name, answer == NULL ? "?" : answer);
}

static long call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e)
{
    long result = syscall(number, a, b, c, d, e);
    return result < 0 ? -errno : result;
}

#ifdef __x86_64__
/* As a program of 32 bits does it: the numbers are others, and the filter must know them, too. */
static long call32(unsigned number, unsigned a, unsigned b, unsigned c)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)result;
}

static void foreign(void)
{
    enum { SOCKETCALL = 102, ADD_KEY = 286, UNSHARE = 310, PERF_EVENT_OPEN = 336, OPEN_BY_HANDLE_AT = 342 };
    enum { BPF = 357, SOCKET = 359, USERFAULTFD = 374, IO_URING_SETUP = 425, SYS_SOCKET = 1, X32 = 0x40000000 };
    tell("i386 socket(AF_ALG)", call32(SOCKET, AF_ALG, SOCK_SEQPACKET, 0));
    tell("i386 socket(AF_VSOCK)", call32(SOCKET, AF_VSOCK, SOCK_STREAM, 0));
    tell("i386 socket(AF_INET)", call32(SOCKET, AF_INET, SOCK_STREAM, 0));
    tell("i386 add_key", call32(ADD_KEY, 0, 0, 0));
    tell("i386 unshare(CLONE_NEWUSER)", call32(UNSHARE, 0x10000000, 0, 0));
    tell("i386 bpf", call32(BPF, 0, 0, 0));
    tell("i386 perf_event_open", call32(PERF_EVENT_OPEN, 0, 0, 0));
    tell("i386 open_by_handle_at", call32(OPEN_BY_HANDLE_AT, 0, 0, 0));
    tell("i386 userfaultfd", call32(USERFAULTFD, 0, 0, 0));
    tell("i386 io_uring_setup", call32(IO_URING_SETUP, 0, 0, 0));
    unsigned *arguments = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (arguments != MAP_FAILED) {
        arguments[0] = AF_INET, arguments[1] = SOCK_STREAM, arguments[2] = 0;
        tell("i386 socketcall(AF_INET)", call32(SOCKETCALL, SYS_SOCKET, (unsigned)(uintptr_t)arguments, 0));
    }
    tell("x32 socket(AF_ALG)", call(X32 | SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0, 0));
    tell("x32 add_key", call(X32 | SYS_add_key, 0, 0, 0, 0, 0));
    tell("x32 bpf", call(X32 | SYS_bpf, 0, 0, 0, 0, 0));
}
#else
static void foreign(void)
{
}
#endif

int main(void)
{
    struct {
        unsigned bytes;
        int type;
        unsigned char inode[8];
    } handle = {8, 1, {2}};
    tell("socket(AF_INET)", call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0));
    tell("socket(AF_ALG)", call(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0, 0));
    tell("socket(AF_VSOCK)", call(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0, 0));
    tell("add_key", call(SYS_add_key, (uintptr_t) "user", (uintptr_t) "name", (uintptr_t) "x", 1, (uintptr_t)-3));
    tell("keyctl", call(SYS_keyctl, 0, (uintptr_t)-3, 0, 0, 0));
    tell("request_key", call(SYS_request_key, (uintptr_t) "user", (uintptr_t) "name", 0, 0, 0));
    tell("userfaultfd", call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0));
    tell("io_uring_setup", call(__NR_io_uring_setup, 1, (uintptr_t)(char[128]){0}, 0, 0, 0));
    tell("bpf", call(SYS_bpf, 0, (uintptr_t)(char[128]){0}, 128, 0, 0));
    tell("perf_event_open", call(SYS_perf_event_open, (uintptr_t)(char[128]){0}, 0, (uintptr_t)-1, (uintptr_t)-1, 0));
    tell("open_by_handle_at", call(SYS_open_by_handle_at, (uintptr_t)AT_FDCWD, (uintptr_t)&handle, O_RDONLY, 0, 0));
    tell("unshare(CLONE_NEWUSER)", call(SYS_unshare, 0x10000000, 0, 0, 0, 0));
    tell("mount", call(SYS_mount, (uintptr_t) "none", (uintptr_t) "/tmp", (uintptr_t) "tmpfs", 0, 0));
    tell("kexec_load", call(SYS_kexec_load, 0, 0, 0, 0, 0));
    tell("init_module", call(SYS_init_module, 0, 0, 0, 0, 0));
    tell("swapon", call(SYS_swapon, (uintptr_t) "/", 0, 0, 0, 0));
    tell("clone3", call(SYS_clone3, 0, 0, 0, 0, 0));
    foreign();
    return 0;
}
