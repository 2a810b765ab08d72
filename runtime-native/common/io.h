/* System calls with their EINTR loops, and owners for fds and memory. The only place that retries. */
#ifndef MINIDOCK_IO_H
#define MINIDOCK_IO_H

#include <stddef.h>
#include <sys/types.h>

void close_fd(int *fd);      /* for AUTO_CLOSE: closes when >= 0, keeps errno */
void free_memory(void *ptr); /* for AUTO_FREE: takes the address of the pointer, keeps errno */

#define AUTO_CLOSE __attribute__((cleanup(close_fd)))
#define AUTO_FREE  __attribute__((cleanup(free_memory)))

/* Gives up ownership of an AUTO_CLOSE fd. */
static inline int take_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

/* Closes every descriptor from first on but those listed (-1 is skipped); the list gets sorted. */
int close_all_but(int first, int *kept, size_t count);

int write_all(int fd, const void *bytes, size_t size); /* 0, or -1 with errno */
ssize_t read_some(int fd, void *bytes, size_t size);   /* one read(2), EINTR retried */
ssize_t read_all(int fd, void *bytes, size_t size);    /* up to size, until end of file */
/* One recvmsg(2), EINTR retried. A descriptor that comes along takes the place of *passed, which the caller owns. */
ssize_t receive_some(int socket, void *bytes, size_t size, int *passed);
pid_t wait_process(pid_t pid, int *status); /* waitpid(2) without options; status may be NULL */
void kill_process(pid_t pid);               /* a child of ours, by SIGKILL; returns when it has ended */
/* The whole file as a NUL-terminated buffer from malloc; EFBIG above max. */
char *read_file_at(int dir, const char *path, size_t max, size_t *size);
int write_file_at(int dir, const char *path, const char *text); /* one write to an existing file: cgroupfs, procfs */
int create_file_at(int dir, const char *path, const char *text,
                   mode_t mode); /* temp name, then rename: whole or not at all */

#endif
