#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"
#include "path.h"

static const struct device defaults[] = {
    {"/dev/null", 'c', 1, 3, 0666, 0, 0}, {"/dev/random", 'c', 1, 8, 0666, 0, 0},
    {"/dev/full", 'c', 1, 7, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
    {"/dev/zero", 'c', 1, 5, 0666, 0, 0}, {"/dev/urandom", 'c', 1, 9, 0666, 0, 0},
};

bool devices_are_ours(const struct config *config)
{
    for (size_t i = 0; i < config->mount_count; i++) {
        const char *destination = config->mounts[i].destination;
        if (config->mounts[i].is_bind && (strcmp(destination, "/dev") == 0 || strcmp(destination, "/dev/") == 0))
            return false;
    }
    return true;
}

/* In a user namespace nodes cannot be made; the host's node, bind-mounted on a file, is as good. */
static int bind_node(int dir, const char *name, const struct device *device)
{
    if (mknodat(dir, name, S_IFREG, 0) < 0 && errno != EEXIST)
        return -1;
    AUTO_CLOSE int target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int source = mount_clone(AT_FDCWD, device->path, false);
    return target < 0 || source < 0 ? -1 : mount_move(source, target);
}

static int make_node(int dir, const char *name, const struct device *device)
{
    mode_t type = device->type == 'b' ? S_IFBLK : device->type == 'p' ? S_IFIFO : S_IFCHR;
    dev_t number = device->type == 'p' ? 0 : makedev(device->major, device->minor);
    if (mknodat(dir, name, type | device->mode, number) < 0)
        return -1;
    /* The umask is 0 and we are root: only another owner needs a second call. */
    return device->uid || device->gid ? fchownat(dir, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) : 0;
}

static int create_node(const struct launch *launch, int dir, const char *name, const struct device *device,
                       struct fault *f)
{
    if (!launch->is_new_user_namespace) {
        if (make_node(dir, name, device) == 0 || errno == EEXIST)
            return 0;
        if (errno != EPERM && errno != EACCES)
            return fault_errno(f, STAGE_DEVICE, "error creating device nodes: mknodat %s", device->path);
    }
    if (bind_node(dir, name, device) < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: create device inode %s", device->path);
    return 0;
}

static int create_defaults(const struct launch *launch, int dev, struct fault *f)
{
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        if (create_node(launch, dev, defaults[i].path + 5, &defaults[i], f) < 0)
            return -1;
    return 0;
}

static int create_configured(const struct launch *launch, const struct rootfs *rootfs, struct fault *f)
{
    for (size_t i = 0; i < launch->config->device_count; i++) {
        const struct device *device = &launch->config->devices[i];
        const char *name;
        if (strcmp(device->path, "/dev/ptmx") == 0)
            continue; /* that one leads to the container's own devpts */
        AUTO_CLOSE int dir = path_make_parent(rootfs->fd, device->path, &name);
        if (dir < 0)
            return fault_errno(f, STAGE_DEVICE, "error creating device nodes: mkdir parent of device inode \"%s\"",
                               device->path);
        if (create_node(launch, dir, name, device, f) < 0)
            return -1;
    }
    return 0;
}

static int create_links(int dev, struct fault *f)
{
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"},
    };
    if (unlinkat(dev, "ptmx", 0) < 0 && errno != ENOENT)
        return fault_errno(f, STAGE_DEVICE, "error setting up ptmx");
    if (symlinkat("pts/ptmx", dev, "ptmx") < 0)
        return fault_errno(f, STAGE_DEVICE, "error setting up ptmx");
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (strcmp(links[i][1], "core") == 0 && access("/proc/kcore", F_OK) < 0)
            continue;
        if (symlinkat(links[i][0], dev, links[i][1]) < 0 && errno != EEXIST)
            return fault_errno(f, STAGE_DEVICE, "error setting up /dev symlinks: %s", links[i][1]);
    }
    return 0;
}

int devices_create(const struct launch *launch, const struct rootfs *rootfs, struct fault *f)
{
    /* An image may ship /dev as a link to the host's world (CVE-2026-41579): it is resolved inside the root. */
    AUTO_CLOSE int dev = path_make_directory(rootfs->fd, "/dev");
    if (dev < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: open /dev");
    if (create_defaults(launch, dev, f) < 0 || create_configured(launch, rootfs, f) < 0)
        return -1;
    return create_links(dev, f);
}

bool device_is_null(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

int devices_reopen_null(struct fault *f)
{
    AUTO_CLOSE int null = -1;
    for (int fd = 0; fd < 3; fd++) {
        if (!device_is_null(fd))
            continue;
        if (null < 0)
            null = path_open(AT_FDCWD, "/dev/null", O_RDWR | O_NOCTTY);
        if (null < 0 || !device_is_null(null))
            return fault_errno(f, STAGE_DEVICE, "error reopening /dev/null inside container");
        if (dup3(null, fd, 0) < 0)
            return fault_errno(f, STAGE_DEVICE, "dup /dev/null");
    }
    return 0;
}
