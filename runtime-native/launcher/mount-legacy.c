/* Mounts where mount_setattr(2) is missing: before Linux 5.12, and behind filters that do not know it. mount(2) knows
 * no detached mounts, so they are made in a tmpfs over the root of the container's tree, and moved from there. Lookups
 * that begin at that root start below it. */
#include "mount-legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "mount-flags.h"
#include "mounts.h"

static struct {
    int fd; /* of the tmpfs */
    unsigned count;
} workshop = {.fd = -1};

bool mount_is_legacy(void)
{
    static enum { UNKNOWN, MODERN, LEGACY } answer;
    /* A kernel that knows the call objects to the size before it looks at anything else. */
    if (answer == UNKNOWN)
        answer = syscall(SYS_mount_setattr, -1, "", 0U, NULL, (size_t)0) < 0 && errno == EINVAL ? MODERN : LEGACY;
    return answer == LEGACY;
}

struct fd_path {
    char text[80];
};

static struct fd_path path_of(int fd)
{
    struct fd_path path;
    (void)snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

int legacy_attach_root(const char *rootfs)
{
    if (mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -1;
    AUTO_CLOSE int tree = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tree < 0 || mount("workshop", rootfs, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") < 0 ||
        mount(NULL, rootfs, NULL, MS_PRIVATE, NULL) < 0)
        return -1;
    workshop.fd = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return workshop.fd < 0 ? -1 : take_fd(&tree);
}

/* "." of the tmpfs is its own mount, however much lies over "/". */
int legacy_finish(void)
{
    if (workshop.fd < 0)
        return 0;
    int result = fchdir(workshop.fd) < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
    close_fd(&workshop.fd);
    return result;
}

/* A new place to mount on. Without a mount namespace of our own there is none. */
static int make_place(bool is_folder, struct fd_path *place, char name[16])
{
    if (workshop.fd < 0) {
        errno = ENOSYS;
        return -1;
    }
    (void)snprintf(name, 16, "%u", workshop.count++);
    (void)snprintf(place->text, sizeof place->text, "%.40s/%s", path_of(workshop.fd).text, name);
    return is_folder ? mkdirat(workshop.fd, name, 0700) : mknodat(workshop.fd, name, S_IFREG | 0600, 0);
}

static int mount_in_workshop(const char *source, const char *type, unsigned long flags, const char *data)
{
    struct fd_path place;
    struct stat status = {.st_mode = S_IFDIR};
    char name[16];
    if (flags & MS_BIND && stat(source, &status) < 0)
        return -1;
    if (make_place(S_ISDIR(status.st_mode), &place, name) < 0 || mount(source, place.text, type, flags, data) < 0)
        return -1;
    return openat(workshop.fd, name, O_PATH | O_CLOEXEC);
}

int legacy_clone(int dir, const char *path, bool recursive)
{
    char source[4200];
    bool is_beside = *path && *path != '/' && dir != AT_FDCWD;
    (void)snprintf(source, sizeof source, "%s%s%s", *path && !is_beside ? "" : path_of(dir).text, is_beside ? "/" : "",
                   path);
    return mount_in_workshop(source, NULL, MS_BIND | (recursive ? MS_REC : 0UL), NULL);
}

int legacy_make(const char *type, const char *source, const char *data, unsigned long flags)
{
    return mount_in_workshop(source && *source ? source : type, type, flags, data);
}

/* What the mount has, in mount(2)'s words: statfs(2) has its own for the last two. */
static unsigned long present_flags(const struct statfs *fs)
{
    const unsigned long same = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME;
    unsigned long flags = (unsigned long)fs->f_flags;
    return (flags & same) | (flags & 0x1000 ? MS_RELATIME : 0UL) | (flags & 0x2000 ? MS_NOSYMFOLLOW : 0UL);
}

static unsigned long change_flags(unsigned long flags, uint64_t set, uint64_t clear)
{
    const unsigned long atimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
    const unsigned long plain[] = {MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NODIRATIME, MS_NOSYMFOLLOW};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        flags &= clear & mount_attributes(plain[i]) ? ~plain[i] : ~0UL;
        flags |= set & mount_attributes(plain[i]) ? plain[i] : 0UL;
    }
    if ((clear & MOUNT_ATTR__ATIME) == 0)
        return flags;
    return (flags & ~atimes) | (set & MOUNT_ATTR_NOATIME       ? MS_NOATIME
                                : set & MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME
                                                               : MS_RELATIME);
}

int legacy_set(int target, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive)
{
    struct fd_path path = path_of(target);
    struct statfs fs;
    if (propagation && mount(NULL, path.text, NULL, propagation | (recursive ? MS_REC : 0UL), NULL) < 0)
        return -1;
    if (!set && !clear)
        return 0;
    if (recursive) { /* mount(2) changes one mount only */
        errno = ENOSYS;
        return -1;
    }
    if (fstatfs(target, &fs) < 0)
        return -1;
    unsigned long flags = change_flags(present_flags(&fs), set, clear);
    return mount(NULL, path.text, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

int legacy_move(int from, int to)
{
    return mount(path_of(from).text, path_of(to).text, NULL, MS_MOVE, NULL);
}
