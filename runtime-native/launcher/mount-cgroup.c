/* /sys/fs/cgroup in the container: v2 is one mount; v1 is a tmpfs with a folder for every controller, each showing the
 * container's own group. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"

#define SAFE_FLAGS (MS_NOEXEC | MS_NOSUID | MS_NODEV)

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The group's folder. Without rights and without one there is only the group that we are in, and not for writing. */
static int clone_group(const struct cgroup_dir *dir, unsigned long flags)
{
    int mount = mount_clone(AT_FDCWD, dir->path, true);
    if (mount < 0 && errno == ENOENT) {
        mount = mount_clone(AT_FDCWD, dir->own, true);
        flags |= MS_RDONLY;
    }
    if (mount >= 0 && mount_set(mount, mount_attributes(flags), 0, 0, false) < 0)
        close_fd(&mount);
    return mount;
}

static int mount_unified(const struct launch *launch, const struct mount_entry *entry, int target, struct fault *f)
{
    const struct cgroup_dir *unified = cgroup_unified(launch->cgroup);
    AUTO_CLOSE int mount = mount_make("cgroup2", entry->source, entry->data, entry->flags);
    /* In a user namespace without a cgroup namespace the kernel refuses a new mount: the group's folder does as well.
     */
    if (mount < 0 && (errno == EPERM || errno == EBUSY) && unified)
        mount = clone_group(unified, entry->flags);
    if (mount < 0 || (entry->propagation && mount_set(mount, 0, 0, entry->propagation, false) < 0) ||
        mount_move(mount, target) < 0)
        return fault_errno(f, STAGE_MOUNT, "mount cgroup2");
    return take_fd(&mount);
}

static int make_controller(const struct launch *launch, const struct mount_entry *entry, const struct cgroup_dir *dir)
{
    unsigned long flags = SAFE_FLAGS | (entry->flags & MS_RDONLY);
    if (config_has_new_namespace(launch->config, NS_CGROUP))
        return mount_make("cgroup", "cgroup", dir->controllers, flags);
    return clone_group(dir, entry->flags);
}

/* "cpu,cpuacct" is one folder; each of the two names leads to it. */
static int link_controllers(int tmpfs, const char *name)
{
    char copy[256], *state = NULL;
    (void)snprintf(copy, sizeof copy, "%s", name);
    if (!strchr(copy, ','))
        return 0;
    for (char *one = strtok_r(copy, ",", &state); one; one = strtok_r(NULL, ",", &state))
        if (symlinkat(name, tmpfs, one) < 0 && errno != EEXIST)
            return -1;
    return 0;
}

static int mount_hierarchies(const struct launch *launch, const struct mount_entry *entry, int tmpfs, struct fault *f)
{
    /* The kernel lists the newest hierarchy first; mounts show them in the order in which they came. */
    for (size_t i = launch->cgroup->count; i-- > 0;) {
        const struct cgroup_dir *dir = &launch->cgroup->dirs[i];
        if (!*dir->controllers)
            continue;
        const char *name = base_name(dir->mountpoint);
        if (mkdirat(tmpfs, name, 0755) < 0 && errno != EEXIST)
            return fault_errno(f, STAGE_MOUNT, "mkdir %s", name);
        AUTO_CLOSE int mount = make_controller(launch, entry, dir);
        AUTO_CLOSE int target = openat(tmpfs, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (mount < 0 || target < 0 || mount_move(mount, target) < 0 || link_controllers(tmpfs, name) < 0)
            return fault_errno(f, STAGE_MOUNT, "mount the %s controller", dir->controllers);
    }
    return 0;
}

int mounts_cgroup(const struct launch *launch, const struct mount_entry *entry, int target, struct fault *f)
{
    if (launch->cgroup->mode == CGROUP_V2)
        return mount_unified(launch, entry, target, f);
    AUTO_CLOSE int tmpfs = mount_make("tmpfs", "tmpfs", "mode=755", SAFE_FLAGS);
    if (tmpfs < 0)
        return fault_errno(f, STAGE_MOUNT, "mount tmpfs for cgroups");
    /* It must be attached before anything can be mounted on it: a detached mount takes no children before Linux 6.15.
     */
    if (mount_move(tmpfs, target) < 0)
        return fault_errno(f, STAGE_MOUNT, "mount tmpfs for cgroups");
    return mount_hierarchies(launch, entry, tmpfs, f) < 0 ? -1 : take_fd(&tmpfs);
}
