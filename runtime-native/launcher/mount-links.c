/* crun's options for bind mounts of symlinks: src-nofollow, dest-nofollow and copy-symlink. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"
#include "path.h"

int mount_clone_source(const struct mount_entry *entry)
{
    if (!entry->source_is_final)
        return mount_clone(AT_FDCWD, entry->source, entry->is_recursive);
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (entry->is_recursive ? (unsigned)AT_RECURSIVE : 0U) |
                     (unsigned)AT_SYMLINK_NOFOLLOW;
    return (int)syscall(SYS_open_tree, AT_FDCWD, entry->source, flags);
}

int mount_open_final(const struct rootfs *rootfs, const struct mount_entry *entry, bool is_file)
{
    const char *name;
    AUTO_CLOSE int dir = path_make_parent(rootfs->fd, entry->destination, &name);
    int fd = dir < 0 ? -1 : openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if ((is_file ? mknodat(dir, name, S_IFREG | 0644, 0) : mkdirat(dir, name, 0755)) < 0)
        return -1;
    return openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int mount_copy_link(const struct rootfs *rootfs, const struct mount_entry *entry, struct fault *f)
{
    const char *name;
    AUTO_CLOSE int dir = path_make_parent(rootfs->fd, entry->destination, &name);
    if (dir >= 0 && symlinkat(entry->link, dir, name) == 0)
        return 0;
    char there[4096];
    ssize_t length = dir >= 0 && errno == EEXIST ? readlinkat(dir, name, there, sizeof there) : -1;
    if (length >= 0 && (size_t)length == strlen(entry->link) && memcmp(there, entry->link, (size_t)length) == 0)
        return 0;
    return fault_errno(f, STAGE_MOUNT, "create the symlink %s -> %s", entry->destination, entry->link);
}
