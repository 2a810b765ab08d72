#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

void close_fd(int *fd)
{
    int error = errno;
    if (*fd >= 0)
        (void)close(*fd); /* after EINTR the descriptor is gone on Linux: close(2) */
    *fd = -1;
    errno = error;
}

static int compare_fds(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* close_range(2), or before Linux 5.9 one by one, as far as a descriptor may have been opened. */
static int close_between(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return 0;
    struct rlimit limit;
    if (errno != ENOSYS || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    unsigned most = limit.rlim_max < 65536 ? 65536 : limit.rlim_max > 1048576 ? 1048576 : (unsigned)limit.rlim_max;
    for (unsigned fd = first; fd <= last && fd < most; fd++)
        (void)close((int)fd);
    return 0;
}

int close_all_but(int first, int *kept, size_t count)
{
    qsort(kept, count, sizeof *kept, compare_fds);
    unsigned from = (unsigned)first;
    for (size_t i = 0; i < count; i++) {
        if (kept[i] < 0 || (unsigned)kept[i] < from)
            continue;
        if ((unsigned)kept[i] > from && close_between(from, (unsigned)kept[i] - 1) < 0)
            return -1;
        from = (unsigned)kept[i] + 1;
    }
    return close_between(from, ~0U);
}

void free_memory(void *ptr)
{
    int error = errno;
    void **owner = ptr;
    free(*owner);
    *owner = NULL;
    errno = error;
}

int write_all(int fd, const void *bytes, size_t size)
{
    const char *next = bytes;
    while (size > 0) {
        ssize_t written = write(fd, next, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

ssize_t read_some(int fd, void *bytes, size_t size)
{
    ssize_t count;
    do
        count = read(fd, bytes, size);
    while (count < 0 && errno == EINTR);
    return count;
}

pid_t wait_process(pid_t pid, int *status)
{
    pid_t ended;
    do
        ended = waitpid(pid, status, 0);
    while (ended < 0 && errno == EINTR);
    return ended;
}

void kill_process(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)wait_process(pid, NULL);
}

ssize_t receive_some(int socket, void *bytes, size_t size, int *passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_LEN(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t count;
    do
        count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    const struct cmsghdr *header = count < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        close_fd(passed);
        memcpy(passed, CMSG_DATA(header), sizeof *passed);
    }
    return count;
}

ssize_t read_all(int fd, void *bytes, size_t size)
{
    size_t total = 0;
    while (total < size) {
        ssize_t count = read_some(fd, (char *)bytes + total, size - total);
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        total += (size_t)count;
    }
    return (ssize_t)total;
}

/* Files of procfs and cgroupfs say they have size 0, and most are short: the first page is read on the stack, so that
 * the memory asked for is what the text needs. */
static char *read_open_file(int fd, size_t max, size_t *size)
{
    char first[4096];
    ssize_t count = read_all(fd, first, sizeof first);
    if (count < 0)
        return NULL;
    size_t length = (size_t)count, capacity = length < sizeof first ? length : 4 * sizeof first;
    AUTO_FREE char *text = malloc(capacity + 1);
    if (!text)
        return NULL;
    memcpy(text, first, length);
    while (length >= sizeof first) {
        count = read_all(fd, text + length, capacity - length);
        if (count < 0)
            return NULL;
        length += (size_t)count;
        if (length < capacity || length > max)
            break;
        char *grown = realloc(text, 2 * capacity + 1);
        if (!grown)
            return NULL;
        text = grown;
        capacity *= 2;
    }
    if (length > max) {
        errno = EFBIG;
        return NULL;
    }
    text[length] = '\0';
    if (size)
        *size = length;
    char *result = text;
    text = NULL;
    return result;
}

char *read_file_at(int dir, const char *path, size_t max, size_t *size)
{
    AUTO_CLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? NULL : read_open_file(fd, max, size);
}

int write_file_at(int dir, const char *path, const char *text)
{
    AUTO_CLOSE int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t length = strlen(text);
    ssize_t written;
    do
        written = write(fd, text, length);
    while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written != length)
        errno = EIO;
    return written >= 0 && (size_t)written == length ? 0 : -1;
}

int create_file_at(int dir, const char *path, const char *text, mode_t mode)
{
    char temporary[4096];
    int length = snprintf(temporary, sizeof temporary, "%s.%d.tmp", path, (int)getpid());
    if (length < 0 || (size_t)length >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    AUTO_CLOSE int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -1;
    if (write_all(fd, text, strlen(text)) == 0 && renameat(dir, temporary, dir, path) == 0)
        return 0;
    int error = errno;
    (void)unlinkat(dir, temporary, 0);
    errno = error;
    return -1;
}
