#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices.h"
#include "io.h"
#include "labels.h"
#include "mount-flags.h"
#include "mount-legacy.h"
#include "mounts.h"
#include "path.h"

#define PROC_ROOT_INODE 1 /* of any procfs, and of nothing else in it */

static int set_path_propagation(const char *path, unsigned long propagation, bool recursive)
{
    if (mount_is_legacy())
        return mount(NULL, path, NULL, propagation | (recursive ? MS_REC : 0UL), NULL);
    struct mount_attr attributes = {.propagation = propagation};
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, recursive ? (unsigned)AT_RECURSIVE : 0U, &attributes,
                        sizeof attributes);
}

/* pivot_root refuses a root whose parent mount is shared, and what is attached under a shared one would show up
 * outside. */
static int detach_parent(int rootfs, unsigned long propagation, struct fault *f)
{
    AUTO_CLOSE int here = openat(rootfs, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat old, new = {0};
    while (here >= 0 && mount_set(here, 0, 0, propagation & MS_SLAVE ? MS_SLAVE : MS_PRIVATE, false) < 0) {
        bool is_mount = errno != EINVAL;
        AUTO_CLOSE int parent = openat(here, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (is_mount || fstat(here, &old) < 0 || parent < 0 || fstat(parent, &new) < 0 ||
            (old.st_dev == new.st_dev &&old.st_ino == new.st_ino))
            return fault_errno(f, STAGE_ROOTFS, "error preparing rootfs: make its parent mount private");
        close_fd(&here);
        here = take_fd(&parent);
    }
    return here < 0 ? fault_errno(f, STAGE_ROOTFS, "error preparing rootfs: open its folder") : 0;
}

int rootfs_attach(const struct launch *launch, struct rootfs *rootfs, struct fault *f)
{
    const struct config *config = launch->config;
    unsigned long propagation = config->rootfs_propagation ? config->rootfs_propagation : MS_SLAVE | MS_REC;
    if (propagation & MS_UNBINDABLE) /* only at the end: meanwhile the host's mounts have to be bound */
        propagation = MS_PRIVATE | MS_REC;
    *rootfs = (struct rootfs){.fd = -1, .proc = -1, .devpts = -1};
    if (config->namespaces[NS_MOUNT].is_set &&
        set_path_propagation("/", propagation & ~(unsigned long)MS_REC, propagation & MS_REC) < 0)
        return fault_errno(f, STAGE_ROOTFS, "error preparing rootfs: set the propagation of /");
    AUTO_CLOSE int place = open(config->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place < 0)
        return fault_errno(f, STAGE_ROOTFS, "error preparing rootfs: open %s", config->rootfs);
    if (config->namespaces[NS_MOUNT].is_set && detach_parent(place, propagation, f) < 0)
        return -1;
    bool is_legacy = config->namespaces[NS_MOUNT].is_set && mount_is_legacy();
    AUTO_CLOSE int tree = is_legacy ? legacy_attach_root(config->rootfs) : mount_clone(place, "", true);
    if (tree < 0 || (!is_legacy && mount_move(tree, place) < 0))
        return fault_errno(f, STAGE_ROOTFS, "error preparing rootfs: mount %s", config->rootfs);
    rootfs->fd = take_fd(&tree);
    return 0;
}

/* pivot_root(".", ".") stacks the old root on the new one, so no folder for it is needed: pivot_root(2). */
static int pivot(const struct rootfs *rootfs, struct fault *f)
{
    AUTO_CLOSE int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || fchdir(rootfs->fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: pivot_root .");
    if (fchdir(old) < 0 || set_path_propagation(".", MS_SLAVE, true) < 0 || umount2(".", MNT_DETACH) < 0)
        return fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: detach the old root");
    /* umount2 begins with what lies over a mount, if anything does. EINVAL says that the old root itself is gone. */
    while (umount2(".", MNT_DETACH) == 0)
        ;
    if (errno != EINVAL)
        return fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: detach the old root");
    return chdir("/") < 0 ? fault_errno(f, STAGE_ROOTFS, "chdir /") : 0;
}

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/* mountinfo writes spaces and the like as three octal digits: proc(5). */
static void unescape(char *path)
{
    char *to = path;
    for (const char *at = path; *at; at++) {
        unsigned byte;
        bool is_escape = *at == '\\' && sscanf(at + 1, "%3o", &byte) == 1;
        *to++ = is_escape ? (char)byte : *at;
        at += is_escape ? 3 : 0;
    }
    *to = '\0';
}

static int hide(const char *path, struct fault *f)
{
    if (set_path_propagation(path, MS_SLAVE, true) < 0)
        return errno == ENOENT ? 0 : fault_errno(f, STAGE_ROOTFS, "hide %s", path); /* below one that is gone */
    if (umount2(path, MNT_DETACH) == 0 ||
        ((errno == EINVAL || errno == EPERM) && mount("tmpfs", path, "tmpfs", 0, NULL) == 0))
        return 0;
    return fault_errno(f, STAGE_ROOTFS, "hide %s", path);
}

/* A procfs or sysfs with nothing over it, even where no path leads to it, is a licence to mount another: user
 * namespaces of the container's would get one without masks. */
static int hide_bare_mounts(const char *rootfs, struct fault *f)
{
    AUTO_FREE char *mountinfo = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 64 * 1024 * 1024, NULL);
    if (!mountinfo)
        return fault_errno(f, STAGE_ROOTFS, "read /proc/self/mountinfo");
    char *state = NULL;
    for (char *line = strtok_r(mountinfo, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char path[PATH_MAX], type[64];
        const char *separator = strstr(line, " - ");
        if (!separator || sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1 || sscanf(separator, " - %63s", type) != 1)
            continue;
        unescape(path);
        if ((strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0) && !lies_in(path, rootfs) && hide(path, f) < 0)
            return -1;
    }
    return 0;
}

/* For a root that cannot be pivoted (the initial ramdisk): the tree is moved over "/". */
static int move_over(const struct config *config, const struct rootfs *rootfs, struct fault *f)
{
    if (hide_bare_mounts(config->rootfs, f) < 0)
        return -1;
    AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || fchdir(rootfs->fd) < 0 || mount_move(rootfs->fd, root) < 0)
        return fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: move the root mount");
    if (chroot(".") < 0 || chdir("/") < 0)
        return fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: chroot .");
    return 0;
}

int rootfs_enter(const struct launch *launch, const struct rootfs *rootfs, struct fault *f)
{
    const struct config *config = launch->config;
    int result;
    if (!config->namespaces[NS_MOUNT].is_set)
        result = fchdir(rootfs->fd) < 0 || chroot(".") < 0 || chdir("/") < 0
                     ? fault_errno(f, STAGE_ROOTFS, "error jailing process inside rootfs: chroot .")
                     : 0;
    else
        result = launch->keeps_root ? move_over(config, rootfs, f) : pivot(rootfs, f);
    return result;
}

static int make_readonly(const char *path, struct fault *f)
{
    AUTO_CLOSE int target = path_open(AT_FDCWD, path, O_PATH);
    if (target < 0)
        return errno == ENOENT ? 0 : fault_errno(f, STAGE_MOUNT, "can't make \"%s\" read-only", path);
    AUTO_CLOSE int mount = mount_clone(target, "", true);
    if (mount < 0 || mount_set(mount, MOUNT_ATTR_RDONLY, 0, 0, false) < 0 || mount_move(mount, target) < 0)
        return fault_errno(f, STAGE_MOUNT, "can't make \"%s\" read-only", path);
    return 0;
}

/* What covers masked paths: /dev/null for files (checked to be that: CVE-2025-31133), one empty tmpfs for folders. */
struct masks {
    int null, tmpfs;
};

/* The tmpfs itself covers the first folder, and its clones the others: before Linux 6.15 only an attached mount can be
 * cloned. */
static int mask_folder(struct masks *masks, int target, const char *label)
{
    if (masks->tmpfs >= 0) {
        struct stat cover_status, status;
        if (fstat(masks->tmpfs, &cover_status) == 0 && fstat(target, &status) == 0 &&
            status.st_dev == cover_status.st_dev)
            return 0; /* named twice */
        AUTO_CLOSE int cover = mount_clone(masks->tmpfs, "", false);
        return cover < 0 ? -1 : mount_move(cover, target);
    }
    char buffer[512];
    const char *data = label_mount_data(label, "tmpfs", "nr_blocks=1,nr_inodes=1", buffer, sizeof buffer);
    masks->tmpfs = mount_make("tmpfs", "tmpfs", data, MS_RDONLY);
    return masks->tmpfs < 0 ? -1 : mount_move(masks->tmpfs, target);
}

static int mask_file(struct masks *masks, int target, const char *path, struct fault *f)
{
    if (device_is_null(target))
        return 0; /* named twice */
    if (masks->null < 0)
        masks->null = path_open(AT_FDCWD, "/dev/null", O_PATH);
    if (masks->null < 0)
        return fault_errno(f, STAGE_MOUNT, "can't mask paths: open /dev/null");
    if (!device_is_null(masks->null))
        return fault_text(f, STAGE_MOUNT, "can't mask paths: /dev/null is not the null device");
    AUTO_CLOSE int cover = mount_clone(masks->null, "", false);
    return cover < 0 || mount_move(cover, target) < 0 ? fault_errno(f, STAGE_MOUNT, "can't mask path \"%s\"", path) : 0;
}

static int mask(struct masks *masks, const char *path, const char *label, struct fault *f)
{
    AUTO_CLOSE int target = path_open(AT_FDCWD, path, O_PATH);
    struct stat status;
    if (target < 0 || fstat(target, &status) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fault_errno(f, STAGE_MOUNT, "can't mask path \"%s\"", path);
    if (!S_ISDIR(status.st_mode))
        return mask_file(masks, target, path, f);
    return mask_folder(masks, target, label) < 0 ? fault_errno(f, STAGE_MOUNT, "can't mask dir \"%s\"", path) : 0;
}

int rootfs_propagate(const struct config *config, struct fault *f)
{
    unsigned long propagation = config->rootfs_propagation;
    if (propagation & (MS_SHARED | MS_UNBINDABLE) &&
        set_path_propagation("/", propagation & ~(unsigned long)MS_REC, propagation & MS_REC) < 0)
        return fault_errno(f, STAGE_ROOTFS, "unable to apply root propagation flags");
    return 0;
}

int rootfs_protect(const struct config *config, struct fault *f)
{
    for (char **path = config->readonly_paths; *path; path++)
        if (make_readonly(*path, f) < 0)
            return -1;
    struct masks masks = {-1, -1};
    int result = 0;
    for (char **path = config->masked_paths; result == 0 && *path; path++)
        result = mask(&masks, *path, config->mount_label, f);
    close_fd(&masks.null);
    close_fd(&masks.tmpfs);
    return result;
}

int rootfs_open_proc(const struct rootfs *rootfs, struct fault *f)
{
    if (rootfs->proc >= 0)
        return fcntl(rootfs->proc, F_DUPFD_CLOEXEC, 3);
    int proc = mount_make("proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
    if (proc >= 0)
        return proc;
    struct statfs fs;
    struct stat status;
    proc = path_open_plain(AT_FDCWD, "proc", O_PATH | O_DIRECTORY, PATH_NO_LINKS);
    if (proc >= 0 && fstatfs(proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC && fstat(proc, &status) == 0 &&
        status.st_ino == PROC_ROOT_INODE)
        return proc;
    close_fd(&proc);
    return fault_text(f, STAGE_SYSCTL, "unsafe procfs detected");
}
