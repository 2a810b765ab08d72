#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"

#define MAX_DEPTH 256
#define MAX_LINKS 40 /* as the kernel: path_resolution(7) */

/* The directories from the root to here. ".." pops instead of being asked of the kernel: a directory that is moved out
 * of the root while we are in it cannot take us along. */
struct trail {
    int root;
    int fds[MAX_DEPTH];
    size_t depth;
};

static void trail_close(struct trail *trail)
{
    int error = errno;
    while (trail->depth > 0)
        (void)close(trail->fds[--trail->depth]);
    errno = error;
}

static int trail_here(const struct trail *trail)
{
    return trail->depth > 0 ? trail->fds[trail->depth - 1] : trail->root;
}

static int trail_push(struct trail *trail, int fd)
{
    if (trail->depth == MAX_DEPTH) {
        (void)close(fd);
        errno = ENAMETOOLONG;
        return -1;
    }
    trail->fds[trail->depth++] = fd;
    return 0;
}

/* Cuts the first component off *rest. False at the end of the path. */
static bool next_component(char **rest, char **component, bool *is_last)
{
    char *start = *rest + strspn(*rest, "/");
    if (!*start)
        return false;
    char *end = start + strcspn(start, "/");
    char *after = end + strspn(end, "/");
    *is_last = *after == '\0';
    *rest = *is_last ? after : end + 1;
    *end = '\0';
    *component = start;
    return true;
}

static int open_component(int dir, const char *name, bool is_last, enum path_missing missing)
{
    for (int attempt = 0;; attempt++) {
        int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT || missing == PATH_MISSING_FAILS || attempt > 8)
            return fd;
        if (is_last && missing == PATH_MISSING_FILE) {
            AUTO_CLOSE int made = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
            if (made < 0 && errno != EEXIST)
                return -1;
        } else if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
            return -1;
        }
    }
}

/* Puts the link's target before what is left of the path. */
static int expand_link(int link, const char *rest, char *buffer, size_t size)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    size_t rest_length = strlen(rest);
    if ((size_t)length + 1 + rest_length + 1 > size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memmove(buffer + length + 1, rest, rest_length + 1);
    memcpy(buffer, target, (size_t)length);
    buffer[length] = '/';
    return 0;
}

/* Opens what the walk has arrived at with the caller's flags. O_NOFOLLOW: it was no link when we looked. */
static int open_last(int dir, const char *name, int found, int flags)
{
    if (flags & O_PATH)
        return fcntl(found, F_DUPFD_CLOEXEC, 3);
    return openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
}

static int walk_components(struct trail *trail, char *buffer, size_t size, int flags, enum path_missing missing)
{
    char *rest = buffer, *component;
    bool is_last;
    int links = 0;
    while (next_component(&rest, &component, &is_last)) {
        if (strcmp(component, ".") == 0)
            continue;
        if (strcmp(component, "..") == 0) {
            if (trail->depth > 0)
                (void)close(trail->fds[--trail->depth]);
            continue;
        }
        int here = trail_here(trail);
        AUTO_CLOSE int fd = open_component(here, component, is_last, missing);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) < 0)
            return -1;
        if (S_ISLNK(status.st_mode) && !(is_last && (flags & O_NOFOLLOW))) {
            if (++links > MAX_LINKS) {
                errno = ELOOP;
                return -1;
            }
            if (expand_link(fd, rest, buffer, size) < 0)
                return -1;
            rest = buffer;
            if (*buffer == '/')
                trail_close(trail);
            continue;
        }
        if (is_last && !S_ISDIR(status.st_mode)) {
            if (flags & O_DIRECTORY) {
                errno = ENOTDIR;
                return -1;
            }
            return open_last(here, component, fd, flags);
        }
        if (!S_ISDIR(status.st_mode)) {
            errno = ENOTDIR;
            return -1;
        }
        if (trail_push(trail, take_fd(&fd)) < 0)
            return -1;
    }
    return openat(trail_here(trail), ".", flags | O_CLOEXEC);
}

int path_walk(int root, const char *path, int flags, enum path_missing missing)
{
    char buffer[2 * PATH_MAX];
    size_t length = strlen(path);
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(buffer, path, length + 1);
    struct trail trail = {.root = root};
    int fd = walk_components(&trail, buffer, sizeof buffer, flags, missing);
    trail_close(&trail);
    return fd;
}

int path_open(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    for (int attempt = 0; attempt < 128; attempt++) {
        int fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (fd >= 0)
            return fd;
        /* EAGAIN: something was renamed or mounted meanwhile, and the kernel asks to look again: openat2(2). */
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return errno == ENOSYS || errno == EAGAIN ? path_walk(root, path, flags, PATH_MISSING_FAILS) : -1;
}

int path_make_directory(int root, const char *path)
{
    int fd = path_open(root, path, O_PATH | O_DIRECTORY);
    return fd >= 0 || errno != ENOENT ? fd : path_walk(root, path, O_PATH | O_DIRECTORY, PATH_MISSING_DIRECTORY);
}

int path_make_file(int root, const char *path)
{
    int fd = path_open(root, path, O_PATH);
    return fd >= 0 || errno != ENOENT ? fd : path_walk(root, path, O_PATH, PATH_MISSING_FILE);
}

int path_make_parent(int root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
        errno = EINVAL;
        return -1;
    }
    char parent[PATH_MAX];
    int length = snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    if (length < 0 || (size_t)length >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return path_make_directory(root, parent);
}
