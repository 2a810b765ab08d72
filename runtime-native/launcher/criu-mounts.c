#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "criu.h"
#include "devices.h"
#include "io.h"
#include "path.h"

struct external {
    struct criu *criu;
    int root;
    bool is_restore;
};

/* A destination as mountinfo has it: resolved inside the root as far as it exists there, as its mount point was. */
static int resolve(int root, const char *destination, char *path, size_t size)
{
    char head[PATH_MAX];
    (void)snprintf(head, sizeof head, "%s", destination);
    for (;;) {
        AUTO_CLOSE int fd = path_open(root, *head ? head : "/", O_PATH);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
            return -1;
        const char *rest = destination + strlen(head);
        char *slash = strrchr(head, '/');
        if (fd >= 0 || !slash) {
            char start[PATH_MAX] = "/";
            if (fd >= 0 && path_name(root, fd, start, sizeof start) < 0)
                return -1;
            (void)snprintf(path, size, "%s%s", *rest && strcmp(start, "/") == 0 ? "" : start, rest);
            return 0;
        }
        *slash = '\0';
    }
}

static int put(const struct external *external, const char *destination, const char *source, struct fault *f)
{
    char path[PATH_MAX];
    if (resolve(external->root, destination, path, sizeof path) < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "resolve %s in rootfs", destination);
    criu_put_pair(external->criu, CRIU_EXTERNAL_MOUNT, path, external->is_restore ? source : path);
    return 0;
}

/* v1 without a namespace of its own: each controller's folder is a bind mount of the container's group. */
static int put_cgroups(const struct external *external, const struct mount_entry *entry, const struct cgroup *cgroup,
                       struct fault *f)
{
    static const char top[] = "/sys/fs/cgroup/";
    for (size_t i = 0; i < cgroup->count; i++) {
        const struct cgroup_dir *dir = &cgroup->dirs[i];
        if (!*dir->controllers || strncmp(dir->path, top, sizeof top - 1) != 0)
            continue;
        const char *name = dir->path + sizeof top - 1;
        char destination[PATH_MAX];
        (void)snprintf(destination, sizeof destination, "%s/%.*s", entry->destination, (int)strcspn(name, "/"), name);
        if (put(external, destination, dir->path, f) < 0)
            return -1;
    }
    return 0;
}

/* Masked files have /dev/null over them, and share that name. Masked folders have a tmpfs, which is in the images. */
static void put_masks(const struct external *external, const struct config *config)
{
    if (external->is_restore) {
        criu_put_pair(external->criu, CRIU_EXTERNAL_MOUNT, "/dev/null", "/dev/null");
        return;
    }
    for (char **path = config->masked_paths; *path; path++) {
        struct stat status;
        AUTO_CLOSE int fd = path_open(external->root, *path, O_PATH);
        if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISDIR(status.st_mode))
            criu_put_pair(external->criu, CRIU_EXTERNAL_MOUNT, *path, "/dev/null");
    }
}

int criu_put_mounts(struct criu *criu, const struct config *config, const struct cgroup *cgroup, int root,
                    bool is_restore, struct fault *f)
{
    const struct external external = {.criu = criu, .root = root, .is_restore = is_restore};
    bool binds_cgroups = cgroup->mode != CGROUP_V2 && !config->namespaces[NS_CGROUP].is_set;
    for (size_t i = 0; i < config->mount_count; i++) {
        const struct mount_entry *entry = &config->mounts[i];
        if (entry->is_bind && put(&external, entry->destination, entry->source, f) < 0)
            return -1;
        if (!entry->is_bind && strcmp(entry->type, "cgroup") == 0 && binds_cgroups &&
            put_cgroups(&external, entry, cgroup, f) < 0)
            return -1;
    }
    put_masks(&external, config);
    /* In a user namespace device nodes are bind mounts; for others these names mean nothing. */
    for (size_t i = 0; i < devices_count(config); i++) {
        const char *path = devices_at(config, i)->path;
        if (put(&external, path, path, f) < 0)
            return -1;
    }
    return 0;
}
