#include "devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"
#include "path.h"
#include "user-namespace.h"

static const struct device defaults[] = {
    {"/dev/null", 'c', 1, 3, 0666, 0, 0}, {"/dev/random", 'c', 1, 8, 0666, 0, 0},
    {"/dev/full", 'c', 1, 7, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
    {"/dev/zero", 'c', 1, 5, 0666, 0, 0}, {"/dev/urandom", 'c', 1, 9, 0666, 0, 0},
};

#define DEFAULTS (sizeof defaults / sizeof defaults[0])

bool devices_are_ours(const struct config *config)
{
    for (size_t i = 0; i < config->mount_count; i++) {
        const char *destination = config->mounts[i].destination;
        if (config->mounts[i].is_bind && (strcmp(destination, "/dev") == 0 || strcmp(destination, "/dev/") == 0))
            return false;
    }
    return true;
}

static int make_node(int dir, const char *name, const struct device *device, uid_t uid, gid_t gid)
{
    mode_t type = device->type == 'b' ? S_IFBLK : device->type == 'p' ? S_IFIFO : S_IFCHR;
    dev_t number = device->type == 'p' ? 0 : makedev(device->major, device->minor);
    if (mknodat(dir, name, type | device->mode, number) < 0)
        return -1;
    /* The umask is 0 and we are root: only another owner needs a second call. */
    return uid || gid ? fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) : 0;
}

size_t devices_count(const struct config *config)
{
    return DEFAULTS + config->device_count;
}

const struct device *devices_at(const struct config *config, size_t index)
{
    return index < DEFAULTS ? &defaults[index] : &config->devices[index - DEFAULTS];
}

/* Nodes by their index in a tmpfs that is nowhere attached yet: the child has no right to make them. */
int devices_open_sources(struct launch *launch, struct fault *f)
{
    launch->device_nodes = -1;
    if (!launch->has_user_namespace || !devices_are_ours(launch->config))
        return 0;
    const struct config *config = launch->config;
    mode_t mask = umask(0);
    AUTO_CLOSE int nodes = mount_make("tmpfs", "tmpfs", "mode=755", MS_NOSUID | MS_NOEXEC);
    int result = nodes < 0 ? -1 : 0;
    for (size_t i = 0; result == 0 && i < devices_count(config); i++) {
        const struct device *device = devices_at(config, i);
        char name[24];
        (void)snprintf(name, sizeof name, "%zu", i);
        result = make_node(nodes, name, device, user_namespace_outside(&config->uid_mappings, device->uid),
                           user_namespace_outside(&config->gid_mappings, device->gid));
    }
    (void)umask(mask);
    if (result < 0 && errno != EPERM && errno != ENOSYS)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes");
    if (result == 0)
        launch->device_nodes = take_fd(&nodes);
    return 0;
}

/* Before Linux 6.15 only what is attached can be cloned. Over the host's "/" it is in nobody's way: lookups start
 * below. */
static int attach_sources(const struct launch *launch, struct fault *f)
{
    AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root < 0 || mount_move(launch->device_nodes, root) < 0
               ? fault_errno(f, STAGE_DEVICE, "error creating device nodes: attach their source")
               : 0;
}

/* Nodes cannot be made in a user namespace. What the parent made, or the host's own node, is mounted on a file. */
static int bind_node(const struct launch *launch, int dir, const char *name, size_t index)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%zu", index);
    if (mknodat(dir, name, S_IFREG, 0) < 0 && errno != EEXIST)
        return -1;
    AUTO_CLOSE int target = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int source = launch->device_nodes >= 0
                                ? mount_clone(launch->device_nodes, number, false)
                                : mount_clone(AT_FDCWD, devices_at(launch->config, index)->path, false);
    if (target < 0 || source < 0 || mount_set(source, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, 0, false) < 0)
        return -1;
    return mount_move(source, target);
}

/* The image may have it already; then it must be that very device. */
static int check_existing(int dir, const char *name, const struct device *device, struct fault *f)
{
    struct stat status;
    mode_t type = device->type == 'b' ? S_IFBLK : device->type == 'p' ? S_IFIFO : S_IFCHR;
    if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: stat %s", device->path);
    if ((status.st_mode & S_IFMT) == type &&
        (device->type == 'p' || status.st_rdev == makedev(device->major, device->minor)))
        return 0;
    return fault_told(f, STAGE_DEVICE, EEXIST,
                      "error creating device nodes: %s exists already, and is not the device that was asked for",
                      device->path);
}

static int create_node(const struct launch *launch, int dir, const char *name, size_t index, struct fault *f)
{
    const struct device *device = devices_at(launch->config, index);
    if (!launch->has_user_namespace || device->type == 'p') {
        if (make_node(dir, name, device, device->uid, device->gid) == 0)
            return 0;
        if (errno == EEXIST)
            return check_existing(dir, name, device, f);
        if (errno != EPERM && errno != EACCES)
            return fault_errno(f, STAGE_DEVICE, "error creating device nodes: mknodat %s", device->path);
    }
    if (bind_node(launch, dir, name, index) < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: create device inode %s", device->path);
    return 0;
}

static int create_nodes(const struct launch *launch, const struct rootfs *rootfs, int dev, struct fault *f)
{
    for (size_t i = 0; i < devices_count(launch->config); i++) {
        const char *path = devices_at(launch->config, i)->path, *name = path + sizeof "/dev";
        if (strcmp(path, "/dev/ptmx") == 0)
            continue; /* that one leads to the container's own devpts */
        AUTO_CLOSE int dir = i < DEFAULTS ? -1 : path_make_parent(rootfs->fd, path, &name);
        if (i >= DEFAULTS && dir < 0)
            return fault_errno(f, STAGE_DEVICE, "error creating device nodes: mkdir parent of device inode \"%s\"",
                               path);
        if (create_node(launch, i < DEFAULTS ? dev : dir, name, i, f) < 0)
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
    /* An image may ship /dev as a link to the host's world (CVE-2026-41579): that is refused. */
    if (mkdirat(rootfs->fd, "dev", 0755) < 0 && errno != EEXIST)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: mkdir /dev");
    AUTO_CLOSE int dev = path_open_plain(rootfs->fd, "/dev", O_PATH | O_DIRECTORY, PATH_NO_LINKS);
    if (dev < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: open /dev");
    bool has_sources = launch->device_nodes >= 0;
    if ((has_sources && attach_sources(launch, f) < 0) || create_nodes(launch, rootfs, dev, f) < 0)
        return -1;
    if (has_sources && mount_detach(launch->device_nodes) < 0)
        return fault_errno(f, STAGE_DEVICE, "error creating device nodes: detach their source");
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
