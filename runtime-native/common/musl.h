/* Included before everything where the launcher is built with musl: what glibc declares and musl 1.2.3 does not. */
#ifndef MINIDOCK_MUSL_H
#define MINIDOCK_MUSL_H

#include <linux/stat.h> /* first: that musl's <sys/stat.h> defines the same again is then a system header's affair */
#include <sys/syscall.h>
#include <unistd.h>

static inline int statx(int dir, const char *path, int flags, unsigned mask, struct statx *status)
{
    return (int)syscall(SYS_statx, dir, path, flags, mask, status);
}

#endif
