#include "cgroup-resources.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

bool cgroup_is_listed(const char *controllers, const char *controller)
{
    size_t length = strlen(controller);
    for (const char *at = controllers; *at; at += at[strcspn(at, ", \n")] ? strcspn(at, ", \n") + 1 : strlen(at))
        if (strncmp(at, controller, length) == 0 && strcspn(at, ", \n") == length)
            return true;
    return !*controllers && !*controller;
}

static enum { FOUND_OUT, ROOTLESS, ROOTFUL } assumption;

void cgroup_assume_rootless(bool is_rootless)
{
    assumption = is_rootless ? ROOTLESS : ROOTFUL;
}

bool cgroup_is_rootless(void)
{
    if (assumption != FOUND_OUT || geteuid() != 0)
        return assumption != ROOTFUL;
    AUTO_FREE char *map = read_file_at(AT_FDCWD, "/proc/self/uid_map", 65536, NULL);
    unsigned long long inside = 0, outside = 0, size = 0;
    return map && (sscanf(map, "%llu %llu %llu", &inside, &outside, &size) != 3 || outside != 0 || size != UINT32_MAX);
}

const struct cgroup_dir *cgroup_find(const struct cgroup *cgroup, const char *controller)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (*cgroup->dirs[i].controllers && cgroup_is_listed(cgroup->dirs[i].controllers, controller))
            return &cgroup->dirs[i];
    return NULL;
}

struct cgroup_dir *cgroup_unified(const struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (!*cgroup->dirs[i].controllers)
            return (struct cgroup_dir *)&cgroup->dirs[i];
    return NULL;
}

bool cgroup_has_file(const struct cgroup_dir *dir, const char *file)
{
    return dir && faccessat(dir->fd, file, F_OK, 0) == 0;
}

int cgroup_write(const struct cgroup_dir *dir, const char *file, const char *value, struct fault *f)
{
    if (write_file_at(dir->fd, file, value) < 0)
        return fault_errno(f, STAGE_CGROUP, "failed to write \"%s\": write %s/%s", value, dir->path, file);
    return 0;
}

int cgroup_read_number(const struct cgroup_dir *dir, const char *file, unsigned long long *value)
{
    AUTO_FREE char *text = dir ? read_file_at(dir->fd, file, 4096, NULL) : NULL;
    if (!text)
        return -1;
    *value = strncmp(text, "max", 3) == 0 ? ULLONG_MAX : strtoull(text, NULL, 10);
    return 0;
}

/* A new v1 cpuset has no CPUs and no memory nodes, and nobody can enter it: it takes its parent's. */
static int inherit_cpuset(int parent, int child, struct fault *f)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < 2; i++) {
        AUTO_FREE char *mine = read_file_at(child, files[i], 65536, NULL);
        if (!mine || mine[strspn(mine, " \n")] != '\0')
            continue;
        AUTO_FREE char *theirs = read_file_at(parent, files[i], 65536, NULL);
        if (!theirs || write_file_at(child, files[i], theirs) < 0)
            return fault_errno(f, STAGE_CGROUP, "copy %s from the parent cgroup", files[i]);
    }
    return 0;
}

/* Reusing a group is allowed; sharing one with strangers, or starting in a frozen one, is not. */
static int check_reused(const struct cgroup *cgroup, const struct cgroup_dir *dir, struct fault *f)
{
    pid_t *pids = NULL;
    size_t count = 0;
    struct cgroup alone = {.mode = cgroup->mode, .count = 1, .dirs = {*dir}};
    if (cgroup_processes(&alone, &pids, &count, f) < 0)
        return -1;
    free(pids);
    if (count)
        return fault_text(f, STAGE_CGROUP, "container's cgroup is not empty: %zu process(es) found", count);
    return cgroup_is_frozen(&alone) ? fault_text(f, STAGE_CGROUP, "container's cgroup unexpectedly frozen") : 0;
}

/* mkdir -p by descriptors from the mount point on. */
static int create_dir(const struct cgroup *cgroup, struct cgroup_dir *dir, struct fault *f)
{
    bool is_cpuset = cgroup_is_listed(dir->controllers, "cpuset"), is_new = true;
    AUTO_CLOSE int here = open(dir->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0)
        return fault_errno(f, STAGE_CGROUP, "open %s", dir->mountpoint);
    char path[PATH_MAX], *state = NULL;
    (void)snprintf(path, sizeof path, "%s", dir->path + strlen(dir->mountpoint));
    for (char *name = strtok_r(path, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        is_new = mkdirat(here, name, 0755) == 0;
        int error = errno;
        int next = openat(here, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            error = is_new ? errno : error;
            if (is_new)
                (void)unlinkat(here, name, AT_REMOVEDIR);
            errno = error;
            return fault_errno(f, STAGE_CGROUP, "mkdir %s", dir->path);
        }
        int result = is_cpuset ? inherit_cpuset(here, next, f) : 0;
        (void)close(here);
        here = next;
        if (result < 0) {
            if (is_new && (!state || !*state))
                dir->fd = take_fd(&here); /* ours already, and to be removed */
            return -1;
        }
    }
    dir->fd = take_fd(&here);
    if (is_new || check_reused(cgroup, dir, f) == 0)
        return 0;
    close_fd(&dir->fd); /* not ours: nothing removes it */
    return -1;
}

/* Rootless and without a path of its own to insist on, a container does without the groups that may not be made. */
static int forgive(const struct cgroup *cgroup, struct cgroup_dir *dir, const struct fault *f)
{
    if (cgroup->has_wanted_path || !(f->error == EACCES || f->error == EPERM || f->error == EROFS) ||
        !cgroup_is_rootless())
        return -1;
    log_debug("no cgroup for a rootless container: %s: %s", f->message, error_text(f->error));
    close_fd(&dir->fd);
    return 0;
}

int cgroup_create_unified(struct cgroup *cgroup, struct fault *f)
{
    struct cgroup_dir *dir = cgroup_unified(cgroup);
    if (!dir || dir->fd >= 0)
        return 0;
    if ((cgroup->mode != CGROUP_V2 || cgroup_v2_enable_controllers(dir, f) == 0) && create_dir(cgroup, dir, f) == 0)
        return 0;
    return forgive(cgroup, dir, f);
}

int cgroup_create(struct cgroup *cgroup, struct fault *f)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_dir *dir = &cgroup->dirs[i];
        if (*dir->controllers && dir->fd < 0 && create_dir(cgroup, dir, f) < 0 && forgive(cgroup, dir, f) < 0)
            return -1;
    }
    return 0;
}

int cgroup_delegate(const struct cgroup *cgroup, uid_t owner, struct fault *f)
{
    const struct cgroup_dir *dir = cgroup->mode == CGROUP_V2 ? cgroup_unified(cgroup) : NULL;
    if (!dir || dir->fd < 0)
        return 0;
    /* The kernel lists the files that may be given away, since 4.15; those of limits stay ours. */
    AUTO_FREE char *files = read_file_at(AT_FDCWD, "/sys/kernel/cgroup/delegate", 65536, NULL);
    char fallback[] = "cgroup.procs cgroup.threads cgroup.subtree_control", *state = NULL;
    if (fchownat(dir->fd, "", owner, (gid_t)-1, AT_EMPTY_PATH) < 0)
        return fault_errno(f, STAGE_CGROUP, "chown %s", dir->path);
    for (char *file = strtok_r(files ? files : fallback, " \n", &state); file; file = strtok_r(NULL, " \n", &state))
        if (fchownat(dir->fd, file, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return fault_errno(f, STAGE_CGROUP, "chown %s/%s", dir->path, file);
    return 0;
}

int cgroup_open(struct cgroup *cgroup, struct fault *f)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        struct cgroup_dir *dir = &cgroup->dirs[i];
        dir->fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir->fd < 0 && errno != ENOENT)
            return fault_errno(f, STAGE_CGROUP, "open %s", dir->path);
    }
    return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++)
        close_fd(&cgroup->dirs[i].fd);
}

/* A group below one with threads may only hold threads itself: cgroups(7), "domain invalid". */
static int write_pid(const struct cgroup_dir *dir, const char *pid, struct fault *f)
{
    if (write_file_at(dir->fd, "cgroup.procs", pid) == 0 ||
        (errno == EOPNOTSUPP && write_file_at(dir->fd, "cgroup.type", "threaded") == 0 &&
         write_file_at(dir->fd, "cgroup.procs", pid) == 0))
        return 0;
    return fault_errno(f, STAGE_CGROUP, "failed to write %s: write %s/cgroup.procs", pid, dir->path);
}

static bool may_stay_outside(const struct cgroup *cgroup, int error)
{
    return !cgroup->has_wanted_path && (error == EACCES || error == EPERM || error == EROFS || error == ENOENT) &&
           cgroup_is_rootless();
}

int cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct fault *f)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", (int)pid);
    for (size_t i = 0; i < cgroup->count; i++)
        if (cgroup->dirs[i].fd >= 0 && write_pid(&cgroup->dirs[i], text, f) < 0 && !may_stay_outside(cgroup, f->error))
            return -1;
    return 0;
}

int cgroup_enter_self(const struct cgroup *cgroup, struct fault *f)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        const struct cgroup_dir *dir = &cgroup->dirs[i];
        if (!*dir->controllers)
            continue;
        char path[PATH_MAX];
        bool is_open = dir->fd >= 0;
        (void)snprintf(path, sizeof path, "%s/tasks", dir->path);
        if (write_file_at(is_open ? dir->fd : AT_FDCWD, is_open ? "tasks" : path, "0") < 0 &&
            !may_stay_outside(cgroup, errno))
            return fault_errno(f, STAGE_CGROUP, "failed to write \"0\": write %s", path);
    }
    return 0;
}

int cgroup_follow(struct cgroup *cgroup, pid_t pid, struct fault *f)
{
    struct cgroup_dir *dir = cgroup_unified(cgroup);
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    AUTO_FREE char *text = read_file_at(AT_FDCWD, path, 65536, NULL);
    const char *group = text ? strstr(text, "0::/") : NULL;
    if (!dir || !dir->mountpoint || !group)
        return fault_errno(f, STAGE_CGROUP, "read %s", path);
    (void)snprintf(path, sizeof path, "%s%.*s", dir->mountpoint, (int)strcspn(group + 3, "\n"), group + 3);
    close_fd(&dir->fd);
    dir->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir->fd < 0 ? fault_errno(f, STAGE_CGROUP, "open %s", path) : 0;
}
