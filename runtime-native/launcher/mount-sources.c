/* Bind sources that the parent opens: in a container with a user namespace its root may have no way to them, and an
 * id-mapped mount can only be made by the owner of the file system. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"
#include "namespaces.h"

/* A user namespace with these mappings: it lives as long as the descriptor. The child only has to exist meanwhile. */
static int make_user_namespace(const struct id_mappings *uids, const struct id_mappings *gids, struct fault *f)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_USER, "pipe");
    AUTO_CLOSE int reader = pipe_fds[0];
    AUTO_CLOSE int writer = pipe_fds[1];
    pid_t child = clone_process(CLONE_NEWUSER, NULL);
    if (child == 0) {
        char byte;
        (void)close(writer);
        (void)read_some(reader, &byte, 1);
        _exit(0);
    }
    if (child < 0)
        return fault_errno(f, STAGE_USER, "clone");
    struct config mapped = {.uid_mappings = *uids, .gid_mappings = *gids};
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
    int result = namespaces_map_ids(child, &mapped, f);
    int fd = result < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (result == 0 && fd < 0)
        (void)fault_errno(f, STAGE_USER, "open %s", path);
    close_fd(&writer);
    (void)waitpid(child, NULL, 0);
    return fd;
}

static int map_ids(const struct config *config, const struct mount_entry *entry, int mount, struct fault *f)
{
    bool has_own = entry->uids.count || entry->gids.count;
    AUTO_CLOSE int user = make_user_namespace(has_own ? &entry->uids : &config->uid_mappings,
                                              has_own ? &entry->gids : &config->gid_mappings, f);
    if (user < 0)
        return -1;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user};
    unsigned flags = (unsigned)AT_EMPTY_PATH | (entry->is_recursively_idmapped ? (unsigned)AT_RECURSIVE : 0U);
    if (syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) < 0)
        return fault_errno(f, STAGE_MOUNT, "failed to set MOUNT_ATTR_IDMAP on %s", entry->source);
    return 0;
}

int mounts_open_sources(struct launch *launch, struct arena *arena, struct fault *f)
{
    const struct config *config = launch->config;
    launch->source_fds = arena_alloc(arena, config->mount_count + 1, sizeof *launch->source_fds);
    if (!launch->source_fds)
        return fault_errno(f, STAGE_MOUNT, "open mount sources");
    for (size_t i = 0; i < config->mount_count; i++)
        launch->source_fds[i] = -1;
    for (size_t i = 0; i < config->mount_count; i++) {
        const struct mount_entry *entry = &config->mounts[i];
        if (!entry->is_bind || !(entry->is_idmapped || launch->is_new_user_namespace))
            continue;
        int mount = mount_clone(AT_FDCWD, entry->source, entry->is_recursive);
        if (mount < 0)
            return fault_errno(f, STAGE_MOUNT, "failed to fulfil mount request: open %s", entry->source);
        launch->source_fds[i] = mount;
        /* It is still a peer of the host's mount; a clone made in the child's namespace would be its slave. */
        if (mount_set(mount, 0, 0, MS_SLAVE, true) < 0)
            return fault_errno(f, STAGE_MOUNT, "make %s a slave mount", entry->source);
        if (entry->is_idmapped && map_ids(config, entry, mount, f) < 0)
            return -1;
    }
    return 0;
}
