#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"

#define MAX_DEPTH 256
#define MAX_LINKS 40 /* as the kernel: path_resolution(7) */

/* The directories from the root to here. ".." pops instead of being asked of the kernel: a directory that is moved out
 * of the root while we are in it cannot take us along. */
struct trail {
    int root;
    int flags;      /* for the last open(2) */
    unsigned rules; /* PATH_NO_LINKS, PATH_SAME_MOUNT */
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

static bool is_procfs(int fd)
{
    struct statfs status;
    return fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

/* Puts the link's target before what is left of the path. procfs's own plain links (self, net, mounts) are relative;
 * what reads as an absolute path or as "net:[4026531840]" there is a magic link. */
static int expand_link(int link, const char *rest, char *buffer, size_t size)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    if ((*target == '/' || strchr(target, ':')) && is_procfs(link)) {
        errno = ELOOP;
        return -1;
    }
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

/* By mount id where the kernel tells it (5.8), else by file system. */
static bool is_same_mount(int one, int other)
{
    struct statx a, b;
    if (statx(one, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) < 0 || statx(other, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) < 0)
        return false;
    if (a.stx_mask & b.stx_mask & STATX_MNT_ID)
        return a.stx_mnt_id == b.stx_mnt_id;
    return a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
}

static int check_mount(const struct trail *trail, int fd)
{
    if (!(trail->rules & PATH_SAME_MOUNT) || is_same_mount(trail->root, fd))
        return 0;
    errno = EXDEV;
    return -1;
}

/* Opens what the walk has arrived at with the caller's flags. O_NOFOLLOW: it was no link when we looked. */
static int open_last(const struct trail *trail, const char *name, int found)
{
    if (trail->flags & O_PATH)
        return fcntl(found, F_DUPFD_CLOEXEC, 3);
    AUTO_CLOSE int fd = openat(trail_here(trail), name, trail->flags | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || check_mount(trail, fd) < 0 ? -1 : take_fd(&fd);
}

static int follow_link(struct trail *trail, int link, int *links, char **rest, char *buffer, size_t size)
{
    if (trail->rules & PATH_NO_LINKS || ++*links > MAX_LINKS) {
        errno = ELOOP;
        return -1;
    }
    bool is_last = **rest == '\0';
    if (expand_link(link, *rest, buffer, size) < 0)
        return -1;
    size_t length = strlen(buffer); /* expand_link has added one slash */
    if (is_last && length > 1 && buffer[length - 2] == '/')
        trail->flags |= O_DIRECTORY;
    *rest = buffer;
    if (*buffer == '/')
        trail_close(trail);
    return 0;
}

static int walk_components(struct trail *trail, char *buffer, size_t size, enum path_missing missing)
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
        AUTO_CLOSE int fd = open_component(trail_here(trail), component, is_last, missing);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) < 0 || check_mount(trail, fd) < 0)
            return -1;
        if (S_ISLNK(status.st_mode) && !(is_last && trail->flags & O_NOFOLLOW)) {
            if (follow_link(trail, fd, &links, &rest, buffer, size) < 0)
                return -1;
            continue;
        }
        if (is_last && !S_ISDIR(status.st_mode) && !(trail->flags & O_DIRECTORY))
            return open_last(trail, component, fd);
        if (!S_ISDIR(status.st_mode)) {
            errno = ENOTDIR;
            return -1;
        }
        if (trail_push(trail, take_fd(&fd)) < 0)
            return -1;
    }
    return openat(trail_here(trail), ".", trail->flags | O_CLOEXEC);
}

int path_walk(int root, const char *path, int flags, unsigned rules, enum path_missing missing)
{
    char buffer[2 * PATH_MAX];
    size_t length = strlen(path);
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(buffer, path, length + 1);
    if (length && path[length - 1] == '/')
        flags = (flags | O_DIRECTORY) & ~O_NOFOLLOW;
    struct trail trail = {.root = root, .flags = flags, .rules = rules};
    int fd = walk_components(&trail, buffer, sizeof buffer, missing);
    trail_close(&trail);
    return fd;
}

/* EPERM: what filters of the time before openat2 answer for a call that they do not know. */
static bool is_openat2_missing(int error)
{
    return error == ENOSYS || error == EPERM || error == EAGAIN;
}

static int open_by(int root, const char *path, int flags, uint64_t resolve, unsigned rules)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = resolve};
    for (int attempt = 0; attempt < 128; attempt++) {
        int fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
        if (fd >= 0)
            return fd;
        /* EAGAIN: something was renamed or mounted meanwhile, and the kernel asks to look again: openat2(2). */
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return is_openat2_missing(errno) ? path_walk(root, path, flags, rules, PATH_MISSING_FAILS) : -1;
}

int path_open(int root, const char *path, int flags)
{
    return open_by(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, 0);
}

int path_open_plain(int root, const char *path, int flags, unsigned rules)
{
    uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (rules & PATH_NO_LINKS ? RESOLVE_NO_SYMLINKS : 0U) |
                       (rules & PATH_SAME_MOUNT ? RESOLVE_NO_XDEV : 0U);
    return open_by(root, path, flags, resolve, rules);
}

int path_open_inside(const char *path, int flags)
{
    AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -1 : path_open(root, path, flags);
}

int path_make_directory(int root, const char *path)
{
    int fd = path_open(root, path, O_PATH | O_DIRECTORY);
    return fd >= 0 || errno != ENOENT ? fd : path_walk(root, path, O_PATH | O_DIRECTORY, 0, PATH_MISSING_DIRECTORY);
}

int path_make_file(int root, const char *path)
{
    int fd = path_open(root, path, O_PATH);
    return fd >= 0 || errno != ENOENT ? fd : path_walk(root, path, O_PATH, 0, PATH_MISSING_FILE);
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

static ssize_t read_name(int fd, char name[PATH_MAX])
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, PATH_MAX - 1);
    name[length < 0 ? 0 : length] = '\0';
    return length;
}

int path_name(int root, int fd, char *path, size_t size)
{
    char top[PATH_MAX], whole[PATH_MAX];
    ssize_t length = read_name(root, top);
    if (length < 0 || read_name(fd, whole) < 0)
        return -1;
    if (strcmp(top, "/") == 0)
        length = 0;
    const char *rest = whole + length;
    if (strncmp(whole, top, (size_t)length) != 0 || (*rest != '/' && *rest)) {
        errno = EXDEV;
        return -1;
    }
    (void)snprintf(path, size, "%s", *rest ? rest : "/");
    return 0;
}
