#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

static bool is_in_list(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0' || at[length] == '\n'))
            return true;
    return false;
}

/* The mount point of the hierarchy whose first controller is `controller` ("" for v2), from mountinfo's text. */
static const char *find_mountpoint(struct arena *arena, const char *mountinfo, const char *controller)
{
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        char mountpoint[PATH_MAX], type[64], options[1024];
        const char *end = strchr(line, '\n');
        const char *separator = strstr(line, " - ");
        if (!separator || (end && separator > end) || sscanf(line, "%*s %*s %*s %*s %4095s", mountpoint) != 1 ||
            sscanf(separator, " - %63s %*s %1023s", type, options) != 2)
            continue;
        bool matches =
            *controller ? strcmp(type, "cgroup") == 0 && is_in_list(options, controller) : strcmp(type, "cgroup2") == 0;
        if (matches && strncmp(mountpoint, CGROUP_ROOT, sizeof CGROUP_ROOT - 1) == 0)
            return arena_format(arena, "%s", mountpoint);
    }
    return NULL;
}

static int add_dir(struct arena *arena, struct cgroup *cgroup, const char *controllers, const char *mountpoint,
                   const char *own, const char *wanted, struct fault *f)
{
    bool is_absolute = *wanted == '/';
    struct cgroup_dir *dir = &cgroup->dirs[cgroup->count];
    *dir = (struct cgroup_dir){.fd = -1, .mountpoint = mountpoint};
    dir->controllers = arena_format(arena, "%s", controllers);
    const char *base = is_absolute || strcmp(own, "/") == 0 ? "" : own;
    dir->path = arena_format(arena, "%s%s%s%s", mountpoint, base, is_absolute ? "" : "/", wanted);
    if (!dir->controllers || !dir->path)
        return fault_errno(f, STAGE_CGROUP, "plan cgroups");
    cgroup->count++;
    return 0;
}

/* Lines of /proc/self/cgroup: "4:memory:/own/path", "0::/" for v2. */
static int plan_hierarchies(struct arena *arena, struct cgroup *cgroup, const char *wanted, struct fault *f)
{
    AUTO_FREE char *own = read_file_at(AT_FDCWD, "/proc/self/cgroup", 1024 * 1024, NULL);
    AUTO_FREE char *mountinfo = read_file_at(AT_FDCWD, "/proc/self/mountinfo", 64 * 1024 * 1024, NULL);
    if (!own || !mountinfo)
        return fault_errno(f, STAGE_CGROUP, "read /proc/self/cgroup");
    bool has_v1 = false, has_v2 = false;
    char *state = NULL;
    for (char *line = strtok_r(own, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path || cgroup->count == MAX_HIERARCHIES)
            continue;
        *path++ = '\0';
        controllers++;
        char first[128];
        (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(controllers, ","), controllers);
        const char *mountpoint = find_mountpoint(arena, mountinfo, first);
        if (!mountpoint)
            continue;
        has_v1 = has_v1 || *controllers;
        has_v2 = has_v2 || !*controllers;
        if (add_dir(arena, cgroup, controllers, mountpoint, path, wanted, f) < 0)
            return -1;
    }
    cgroup->mode = has_v1 ? has_v2 ? CGROUP_HYBRID : CGROUP_V1 : has_v2 ? CGROUP_V2 : CGROUP_NONE;
    return 0;
}

static int plan_unified(struct arena *arena, struct cgroup *cgroup, const char *wanted, struct fault *f)
{
    AUTO_FREE char *own = read_file_at(AT_FDCWD, "/proc/self/cgroup", 1024 * 1024, NULL);
    char *path = own ? strstr(own, "0::") : NULL;
    if (!path)
        return fault_errno(f, STAGE_CGROUP, "read /proc/self/cgroup");
    path += 3;
    path[strcspn(path, "\n")] = '\0';
    cgroup->mode = CGROUP_V2;
    /* Processes and child groups exclude each other in v2, so a relative path starts beside our own group, not below.
     */
    if (*wanted != '/') {
        char *slash = strrchr(path, '/');
        if (slash)
            slash[slash == path] = '\0';
    }
    return add_dir(arena, cgroup, "", CGROUP_ROOT, path, wanted, f);
}

int cgroup_plan(struct arena *arena, const struct config *config, const char *id, struct cgroup *cgroup,
                struct fault *f)
{
    *cgroup = (struct cgroup){.is_rootless = geteuid() != 0};
    const char *wanted = config->cgroups_path && *config->cgroups_path ? config->cgroups_path : id;
    for (const char *at = wanted; (at = strstr(at, "..")); at += 2)
        if ((at == wanted || at[-1] == '/') && (at[2] == '/' || !at[2]))
            return fault_text(f, STAGE_CGROUP, "invalid cgroupsPath: %s", wanted);
    struct statfs status;
    if (statfs(CGROUP_ROOT, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
        return plan_unified(arena, cgroup, wanted, f);
    return plan_hierarchies(arena, cgroup, wanted, f);
}

const struct cgroup_dir *cgroup_find(const struct cgroup *cgroup, const char *controller)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (is_in_list(cgroup->dirs[i].controllers, controller))
            return &cgroup->dirs[i];
    return NULL;
}

const struct cgroup_dir *cgroup_unified(const struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (!*cgroup->dirs[i].controllers)
            return &cgroup->dirs[i];
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

int cgroup_write_number(const struct cgroup_dir *dir, const char *file, long long value, struct fault *f)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", value);
    return cgroup_write(dir, file, text, f);
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

/* mkdir -p by descriptors from the mount point on. */
static int create_dir(struct cgroup_dir *dir, struct fault *f)
{
    bool is_cpuset = is_in_list(dir->controllers, "cpuset");
    AUTO_CLOSE int here = open(dir->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0)
        return fault_errno(f, STAGE_CGROUP, "open %s", dir->mountpoint);
    char path[PATH_MAX], *state = NULL;
    (void)snprintf(path, sizeof path, "%s", dir->path + strlen(dir->mountpoint));
    for (char *name = strtok_r(path, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        bool is_new = mkdirat(here, name, 0755) == 0;
        if (!is_new && errno != EEXIST)
            return fault_errno(f, STAGE_CGROUP, "mkdir %s", dir->path);
        int next = openat(here, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return fault_errno(f, STAGE_CGROUP, "open %s", dir->path);
        int result = is_cpuset ? inherit_cpuset(here, next, f) : 0;
        (void)close(here);
        here = next;
        if (result < 0)
            return -1;
    }
    dir->fd = take_fd(&here);
    return 0;
}

int cgroup_create_unified(struct cgroup *cgroup, struct fault *f)
{
    struct cgroup_dir *unified = (struct cgroup_dir *)(uintptr_t)cgroup_unified(cgroup);
    if (!unified)
        return 0;
    if (cgroup->mode == CGROUP_V2 && cgroup_v2_enable_controllers(unified->mountpoint, unified->path, f) < 0)
        return cgroup->is_rootless ? 0 : -1;
    return create_dir(unified, f) < 0 && !cgroup->is_rootless ? -1 : 0;
}

int cgroup_create(struct cgroup *cgroup, struct fault *f)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        if (cgroup->dirs[i].fd >= 0 || create_dir(&cgroup->dirs[i], f) == 0)
            continue;
        if (!cgroup->is_rootless)
            return -1;
        log_debug("no cgroup for a rootless container: %s: %s", f->message, error_text(f->error));
        cgroup->dirs[i--] = cgroup->dirs[--cgroup->count];
    }
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

int cgroup_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f)
{
    if (cgroup->mode == CGROUP_V2)
        return cgroup_v2_apply(cgroup, resources, f);
    if (json_get(resources, "unified") && json_get(resources, "unified")->count)
        return fault_text(f, STAGE_CGROUP, "invalid configuration: cannot use unified on cgroup v1");
    return cgroup_v1_apply(cgroup, resources, is_update, f);
}

int cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct fault *f)
{
    for (size_t i = 0; i < cgroup->count; i++)
        if (cgroup->dirs[i].fd >= 0 && cgroup_write_number(&cgroup->dirs[i], "cgroup.procs", pid, f) < 0)
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
        if (write_file_at(is_open ? dir->fd : AT_FDCWD, is_open ? "tasks" : path, "0") < 0)
            return fault_errno(f, STAGE_CGROUP, "failed to write \"0\": write %s", path);
    }
    return 0;
}

/* Removes the groups below `dir`, deepest first: a container may have made its own. */
static void remove_children(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        close_fd(&copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        AUTO_CLOSE int child = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            remove_children(child);
        (void)unlinkat(dir, entry->d_name, AT_REMOVEDIR);
    }
    (void)closedir(listing);
}

/* "populated 0" in cgroup.events says that the last process is gone; the kernel wakes pollers: cgroups(7). */
static void wait_until_empty(const struct cgroup *cgroup, int timeout_ms)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    AUTO_CLOSE int events =
        unified && unified->fd >= 0 ? openat(unified->fd, "cgroup.events", O_RDONLY | O_CLOEXEC) : -1;
    for (int waited = 0; events >= 0 && waited < 2; waited++) {
        char text[256] = "";
        if (pread(events, text, sizeof text - 1, 0) < 0 || strstr(text, "populated 0"))
            return;
        struct pollfd change = {.fd = events, .events = POLLPRI};
        (void)poll(&change, 1, timeout_ms);
    }
}

static int remove_dir(const struct cgroup *cgroup, struct cgroup_dir *dir, struct fault *f)
{
    /* Only v1 alone has no event to wait for; there the pause doubles from 1 ms. */
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        if (rmdir(dir->path) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            break;
        if (attempt == 0 && dir->fd >= 0)
            remove_children(dir->fd);
        else if (attempt == 1)
            wait_until_empty(cgroup, 1000);
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000000L << attempt >> 2}, NULL);
    }
    return fault_errno(f, STAGE_CGROUP, "unable to remove cgroup: rmdir %s", dir->path);
}

int cgroup_remove(struct cgroup *cgroup, struct fault *f)
{
    int result = 0;
    for (size_t i = 0; i < cgroup->count; i++)
        if (remove_dir(cgroup, &cgroup->dirs[i], f) < 0 && !cgroup->is_rootless)
            result = -1;
    return result;
}
