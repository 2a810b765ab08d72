/* Bind sources that the parent opens: in a container with a user namespace its root may have no way to them, and an
 * id-mapped mount can only be made by the owner of the file system. What lies inside the root is opened by the child,
 * when its turn comes: earlier mounts of the same container may lie over it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "idmap.h"
#include "io.h"
#include "mount-legacy.h"
#include "mounts.h"

static bool is_inside(const struct config *config, const struct mount_entry *entry)
{
    size_t length = strlen(config->rootfs);
    return strncmp(entry->source, config->rootfs, length) == 0 &&
           (entry->source[length] == '/' || !entry->source[length]);
}

int mounts_map_inside(struct launch *launch, int pidfd, int number, struct fault *f)
{
    size_t index = 0; /* mounts are made in their order: the first that still waits */
    while (index < launch->config->mount_count && launch->mount_fds[index] != SOURCE_INSIDE)
        index++;
    AUTO_CLOSE int mount = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (index == launch->config->mount_count || mount < 0)
        return fault_errno(f, STAGE_MOUNT, "fetch a mount to map its ids");
    launch->mount_fds[index] = -1;
    return idmap_apply(launch, &launch->config->mounts[index], mount, f);
}

int mounts_open_sources(struct launch *launch, struct arena *arena, struct fault *f)
{
    const struct config *config = launch->config;
    launch->mount_fds = arena_alloc(arena, config->mount_count + 1, sizeof *launch->mount_fds);
    if (!launch->mount_fds)
        return fault_errno(f, STAGE_MOUNT, "open mount sources");
    for (size_t i = 0; i < config->mount_count; i++)
        launch->mount_fds[i] = -1;
    for (size_t i = 0; i < config->mount_count; i++) {
        const struct mount_entry *entry = &config->mounts[i];
        if (mount_is_legacy() && (entry->is_idmapped || entry->recursive_set || entry->recursive_clear))
            return fault_told(
                f, STAGE_MOUNT, ENOSYS,
                "mount %s: id-mapped mounts and recursive options (rro) need mount_setattr(2), Linux 5.12",
                entry->destination);
        if (!entry->is_bind || entry->link || !(entry->is_idmapped || launch->has_user_namespace))
            continue;
        if (is_inside(config, entry)) {
            launch->mount_fds[i] = entry->is_idmapped ? SOURCE_INSIDE : -1;
            continue;
        }
        int mount = mount_clone_source(entry);
        if (mount < 0 && (errno == EPERM || errno == ENOSYS) && !entry->is_idmapped)
            continue; /* unprivileged: the container's root is ourselves, and has the rights to do it */
        if (mount < 0)
            return fault_errno(f, STAGE_MOUNT, "failed to fulfil mount request: open %s", entry->source);
        launch->mount_fds[i] = mount;
        /* It is still a peer of the host's mount; a clone made in the child's namespace would be its slave. */
        if (mount_set(mount, 0, 0, MS_SLAVE, true) < 0)
            return fault_errno(f, STAGE_MOUNT, "make %s a slave mount", entry->source);
        if (entry->is_idmapped && idmap_apply(launch, entry, mount, f) < 0)
            return -1;
    }
    return 0;
}
