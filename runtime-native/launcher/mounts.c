#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "labels.h"
#include "mount-flags.h"
#include "mount-legacy.h"
#include "path.h"

uint64_t mount_attributes(unsigned long flags)
{
    return (flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0U) | (flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0U) |
           (flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0U) | (flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0U) |
           (flags & MS_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0U) |
           (flags & MS_NOSYMFOLLOW ? MOUNT_ATTR_NOSYMFOLLOW : 0U) |
           (flags & MS_NOATIME       ? MOUNT_ATTR_NOATIME
            : flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME
                                     : 0U);
}

int mount_clone(int dir, const char *path, bool recursive)
{
    if (mount_is_legacy())
        return legacy_clone(dir, path, recursive);
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? (unsigned)AT_RECURSIVE : 0U) |
                     (*path ? 0U : (unsigned)AT_EMPTY_PATH);
    return (int)syscall(SYS_open_tree, dir, path, flags);
}

int mount_set(int mount, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive)
{
    if (mount_is_legacy())
        return legacy_set(mount, set, clear, propagation & ~(unsigned long)MS_REC, recursive);
    struct mount_attr attributes = {
        .attr_set = set, .attr_clr = clear, .propagation = propagation & ~(unsigned long)MS_REC};
    unsigned flags = (unsigned)AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0U);
    return (int)syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes);
}

int mount_move(int mount, int target)
{
    if (mount_is_legacy())
        return legacy_move(mount, target);
    return (int)syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mount_detach(int mount)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", mount);
    return umount2(path, MNT_DETACH);
}

static int configure(int context, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, context, command, key, value, 0);
}

static int configure_flags(int context, unsigned long flags)
{
    static const struct {
        unsigned long flag;
        const char *key;
    } words[] = {{MS_RDONLY, "ro"},
                 {MS_SYNCHRONOUS, "sync"},
                 {MS_DIRSYNC, "dirsync"},
                 {MS_MANDLOCK, "mand"},
                 {MS_LAZYTIME, "lazytime"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (flags & words[i].flag && configure(context, FSCONFIG_SET_FLAG, words[i].key, NULL) < 0)
            return -1;
    return 0;
}

/* Up to the next comma that is not in quotes, as labels are: context="system_u:object_r:t:s0:c1,c2". */
static char *next_option(char *data, char **state)
{
    char *option = data ? data : *state, *end = option;
    bool is_quoted = false;
    while (end && *end && (*end != ',' || is_quoted))
        is_quoted ^= *end++ == '"';
    if (!end || end == option)
        return end && *end ? next_option(end + 1, state) : NULL;
    *state = *end ? end + 1 : end;
    *end = '\0';
    return option;
}

static int configure_data(int context, const char *data)
{
    char copy[4096], *state = NULL;
    if (snprintf(copy, sizeof copy, "%s", data) >= (int)sizeof copy) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *option = next_option(copy, &state); option; option = next_option(NULL, &state)) {
        char *value = strchr(option, '=');
        if (value)
            *value++ = '\0';
        if (value && *value == '"' && value[strlen(value) - 1] == '"') {
            value[strlen(value) - 1] = '\0';
            value++;
        }
        if (configure(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value) < 0)
            return -1;
    }
    return 0;
}

int mount_make(const char *type, const char *source, const char *data, unsigned long flags)
{
    if (mount_is_legacy())
        return legacy_make(type, source, data, flags);
    AUTO_CLOSE int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    if (source && *source && configure(context, FSCONFIG_SET_STRING, "source", source) < 0)
        return -1;
    if (configure_flags(context, flags) < 0 || (data && configure_data(context, data) < 0) ||
        configure(context, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        return -1;
    return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)mount_attributes(flags));
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_procfs(int fd)
{
    struct statfs status;
    return fstatfs(fd, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

/* By its device: a folder that holds our procfs may have been renamed since, by who shares it. */
static bool is_own_proc(const struct rootfs *rootfs, int target)
{
    struct stat proc, status;
    return rootfs->proc >= 0 && fstat(rootfs->proc, &proc) == 0 && fstat(target, &status) == 0 &&
           proc.st_dev == status.st_dev;
}

/* A container that can put something of its own over a file of /proc makes the runtime write or read that instead
 * (CVE-2019-16884, CVE-2023-27561). Allowed are procfs itself, and the files that lxcfs replaces. */
static int check_target(const struct rootfs *rootfs, const struct mount_entry *entry, int source, int target,
                        struct fault *f)
{
    static const char *const replaceable[] = {
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    };
    char where[PATH_MAX];
    if (path_name(rootfs->fd, target, where, sizeof where) < 0)
        return fault_errno(f, STAGE_MOUNT, "mountpoint \"%s\" is outside of rootfs", entry->destination);
    /* A new root is only meant where "/" is said, not where the image has a link to it. */
    if (entry->is_bind && strcmp(where, "/") == 0 && strcmp(entry->destination, "/") != 0)
        return fault_text(f, STAGE_MOUNT, "create mountpoint for %s mount: mountpoint is on the top of rootfs",
                          entry->destination);
    if (!is_below(where, "/proc") && !is_own_proc(rootfs, target))
        return 0;
    if (strcmp(where, "/proc") == 0) {
        if (entry->is_bind ? is_procfs(source) : strcmp(entry->type, "proc") == 0)
            return 0;
        return fault_text(f, STAGE_MOUNT, "\"%s\" cannot be mounted because it is not of type proc", where);
    }
    for (size_t i = 0; i < sizeof replaceable / sizeof replaceable[0]; i++)
        if (strcmp(where, replaceable[i]) == 0)
            return 0;
    return fault_text(f, STAGE_MOUNT, "\"%s\" cannot be mounted because it is inside /proc", where);
}

/* procfs and sysfs must come to lie on a directory of that very name: no link on the way. */
static int open_plain_directory(const struct rootfs *rootfs, const struct mount_entry *entry, struct fault *f)
{
    int fd = path_open_plain(rootfs->fd, entry->destination, O_PATH | O_DIRECTORY, PATH_NO_LINKS);
    if (fd < 0 && errno == ENOENT) {
        AUTO_CLOSE int made = path_make_directory(rootfs->fd, entry->destination);
        fd = path_open_plain(rootfs->fd, entry->destination, O_PATH | O_DIRECTORY, PATH_NO_LINKS);
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fault_text(f, STAGE_MOUNT, "filesystem \"%s\" must be mounted on ordinary directory", entry->type);
    return fd < 0 ? fault_errno(f, STAGE_MOUNT, "mkdir %s", entry->destination) : fd;
}

/* What is there, or a folder or an empty file (whichever the source is) made in its place. */
static int open_target(const struct rootfs *rootfs, const struct mount_entry *entry, int source, bool *is_made,
                       struct fault *f)
{
    *is_made = false;
    if (strcmp(entry->type, "proc") == 0 || strcmp(entry->type, "sysfs") == 0)
        return open_plain_directory(rootfs, entry, f);
    struct stat status;
    bool is_file = source >= 0 && fstat(source, &status) == 0 && !S_ISDIR(status.st_mode);
    int fd = entry->destination_is_final ? mount_open_final(rootfs, entry, is_file)
                                         : path_open(rootfs->fd, entry->destination, O_PATH);
    *is_made = fd < 0 && errno == ENOENT;
    if (*is_made)
        fd = is_file ? path_make_file(rootfs->fd, entry->destination)
                     : path_make_directory(rootfs->fd, entry->destination);
    if (fd < 0)
        return fault_errno(f, STAGE_MOUNT, "create mountpoint for %s mount: make mountpoint \"%s\"", entry->destination,
                           entry->destination);
    return fd;
}

static void describe_flags(unsigned long flags, char *text, size_t size)
{
    size_t at = 0;
    *text = '\0';
    for (size_t i = 0; i < sizeof mount_flag_names / sizeof mount_flag_names[0]; i++)
        if (flags & mount_flag_names[i].flag && at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? "|" : ", flags=", mount_flag_names[i].name);
}

static int mount_fault(const struct mount_entry *entry, int target, const char *data, struct fault *f)
{
    char flags[256];
    unsigned long shown = entry->flags;
    if (strcmp(entry->type, "tmpfs") == 0)
        shown &= ~(unsigned long)MS_RDONLY;
    describe_flags(shown, flags, sizeof flags);
    return fault_errno(f, STAGE_MOUNT, "mount src=%s, dst=%s, dstFd=/proc/thread-self/fd/%d%s%s%s", entry->source,
                       entry->destination, target, flags, data && *data ? ", data=" : "", data ? data : "");
}

/* Sets exactly the flags that were asked for. Where the mount is locked (it came from another user namespace) what was
 * not asked for stays as it is. Without any flag the source's own are kept. */
static int set_bind_flags(const struct mount_entry *entry, int mount)
{
    const uint64_t plain =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
    const unsigned long atimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME | MS_NODIRATIME;
    unsigned long flags = entry->flags & ~(unsigned long)(MS_BIND | MS_REC | MS_REMOUNT);
    if (flags || entry->cleared) {
        uint64_t set = mount_attributes(flags), clear = plain & ~set;
        uint64_t time = flags & atimes ? (uint64_t)MOUNT_ATTR__ATIME : 0;
        if (mount_set(mount, set, clear | time, 0, false) < 0 &&
            (errno != EPERM || mount_set(mount, set, mount_attributes(entry->cleared) | time, 0, false) < 0))
            return -1;
    }
    if (entry->recursive_set || entry->recursive_clear)
        return mount_set(mount, entry->recursive_set, entry->recursive_clear, 0, true);
    return 0;
}

static int propagate(const struct mount_entry *entry, int mount)
{
    return entry->propagation ? mount_set(mount, 0, 0, entry->propagation, entry->propagation & MS_REC) : 0;
}

static bool fits(int source, int target)
{
    struct stat one, other;
    if (fstat(source, &one) < 0 || fstat(target, &other) < 0)
        return false;
    if (S_ISDIR(one.st_mode) == S_ISDIR(other.st_mode))
        return true;
    errno = ENOTDIR; /* mount(2) says so; move_mount(2) has only EINVAL for it */
    return false;
}

static int clone_source(const struct launch *launch, size_t index, struct fault *f)
{
    const struct mount_entry *entry = &launch->config->mounts[index];
    int given = take_fd(&launch->mount_fds[index]);
    if (given >= 0)
        return given;
    AUTO_CLOSE int source = mount_clone_source(entry);
    if (source < 0)
        return fault_errno(f, STAGE_MOUNT, "failed to fulfil mount request: open %s", entry->source);
    if (given == SOURCE_INSIDE &&
        (sync_send(launch->sync, SYNC_IDMAP, source, f) < 0 || sync_expect(launch->sync, SYNC_IDMAP, NULL, f) < 0))
        return -1;
    return take_fd(&source);
}

static int mount_bind(const struct launch *launch, struct rootfs *rootfs, size_t index, struct fault *f)
{
    const struct mount_entry *entry = &launch->config->mounts[index];
    if (entry->link)
        return mount_copy_link(rootfs, entry, f);
    AUTO_CLOSE int source = clone_source(launch, index, f);
    if (source < 0)
        return -1;
    bool is_made;
    AUTO_CLOSE int target = open_target(rootfs, entry, source, &is_made, f);
    if (target >= 0 && check_target(rootfs, entry, source, target, f) == 0) {
        if (fits(source, target) && set_bind_flags(entry, source) == 0 && propagate(entry, source) == 0 &&
            mount_move(source, target) == 0) {
            if (strcmp(entry->destination, "/") == 0) {
                close_fd(&rootfs->fd);
                rootfs->fd = take_fd(&source);
            }
            return 0;
        }
        (void)mount_fault(entry, target, NULL, f);
    }
    return fault_wrap(f, "error mounting \"%s\" to rootfs at \"%s\": ", entry->source, entry->destination);
}

/* Over an existing folder a tmpfs takes that folder's mode, unless told otherwise. */
static const char *tmpfs_data(const struct mount_entry *entry, int target, char *buffer, size_t size)
{
    struct stat status;
    if (strcmp(entry->type, "tmpfs") != 0 || fstat(target, &status) < 0)
        return entry->data;
    (void)snprintf(buffer, size, "mode=%04o%s%s", (unsigned)status.st_mode & 07777, entry->data ? "," : "",
                   entry->data ? entry->data : "");
    return buffer;
}

/* /dev, tmpfs and the tmpfs of cgroup v1 are filled by us first, and may get mount points of further mounts; they
 * become read-only in mounts_seal. */
static bool is_sealed_later(const struct mount_entry *entry)
{
    return !entry->is_bind && (strcmp(entry->type, "tmpfs") == 0 || strcmp(entry->type, "cgroup") == 0 ||
                               strcmp(entry->destination, "/dev") == 0);
}

/* A sysfs of one's own needs a network namespace of one's own. Without, the host's does as well, read-only with all
 * that is mounted below it: cgroups must not be writable by the way (CVE-2023-25809). */
static int clone_sysfs(unsigned long flags)
{
    AUTO_CLOSE int mount = mount_clone(AT_FDCWD, "/sys", true);
    return mount < 0 || mount_set(mount, mount_attributes(flags), 0, 0, true) < 0 ? -1 : take_fd(&mount);
}

/* The mount, attached, or -1. */
static int mount_new(const struct launch *launch, const struct mount_entry *entry, int target, bool is_made,
                     struct fault *f)
{
    char buffer[4200], labelled[4600];
    const char *data = is_made ? entry->data : tmpfs_data(entry, target, buffer, sizeof buffer);
    data = label_mount_data(launch->config->mount_label, entry->type, data, labelled, sizeof labelled);
    unsigned long flags = is_sealed_later(entry) ? entry->flags & ~(unsigned long)MS_RDONLY : entry->flags;
    AUTO_CLOSE int mount = mount_make(entry->type, entry->source, data, flags);
    if (mount < 0 && errno == EPERM && flags & MS_RDONLY && strcmp(entry->type, "sysfs") == 0)
        mount = clone_sysfs(flags);
    if (mount < 0)
        return mount_fault(entry, target, entry->data, f);
    if (entry->copies_up && copy_up(target, mount, f) < 0)
        return -1;
    if ((entry->recursive_set || entry->recursive_clear) &&
        mount_set(mount, entry->recursive_set, entry->recursive_clear, 0, true) < 0)
        return mount_fault(entry, target, entry->data, f);
    if (propagate(entry, mount) < 0 || mount_move(mount, target) < 0)
        return mount_fault(entry, target, entry->data, f);
    if (strcmp(entry->type, "mqueue") == 0 && label_file(launch->config->mount_label, mount, f) < 0)
        return -1;
    return take_fd(&mount);
}

static void keep_mount(const struct launch *launch, struct rootfs *rootfs, size_t index, int *mount)
{
    const struct mount_entry *entry = &launch->config->mounts[index];
    if (strcmp(entry->type, "proc") == 0 && rootfs->proc < 0)
        rootfs->proc = take_fd(mount);
    else if (strcmp(entry->type, "devpts") == 0 && rootfs->devpts < 0)
        rootfs->devpts = take_fd(mount);
    else if (is_sealed_later(entry) && entry->flags & MS_RDONLY)
        launch->mount_fds[index] = take_fd(mount);
}

static int mount_entry_apply(const struct launch *launch, struct rootfs *rootfs, size_t index, struct fault *f)
{
    const struct mount_entry *entry = &launch->config->mounts[index];
    if (entry->is_bind)
        return mount_bind(launch, rootfs, index, f);
    bool is_made;
    AUTO_CLOSE int target = open_target(rootfs, entry, -1, &is_made, f);
    if (target >= 0 && check_target(rootfs, entry, -1, target, f) == 0) {
        AUTO_CLOSE int mount = strcmp(entry->type, "cgroup") == 0 ? mounts_cgroup(launch, entry, target, f)
                                                                  : mount_new(launch, entry, target, is_made, f);
        if (mount >= 0) {
            keep_mount(launch, rootfs, index, &mount);
            return 0;
        }
    }
    return fault_wrap(f, "error mounting \"%s\" to rootfs at \"%s\": ", entry->source, entry->destination);
}

int mounts_apply(const struct launch *launch, struct rootfs *rootfs, struct fault *f)
{
    for (size_t i = 0; i < launch->config->mount_count; i++)
        if (mount_entry_apply(launch, rootfs, i, f) < 0)
            return -1;
    return 0;
}

/* By the descriptors of the mounts: who shares a volume may have changed what their paths lead to. */
int mounts_seal(const struct launch *launch, struct fault *f)
{
    for (size_t i = 0; i < launch->config->mount_count; i++)
        if (launch->mount_fds[i] >= 0 && mount_set(launch->mount_fds[i], MOUNT_ATTR_RDONLY, 0, 0, false) < 0)
            return fault_errno(f, STAGE_MOUNT, "remount %s read-only", launch->config->mounts[i].destination);
    return 0;
}
