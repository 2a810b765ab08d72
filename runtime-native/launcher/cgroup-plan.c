/* Where a container's groups are to be: linux.cgroupsPath, or its id, in every hierarchy of this machine; and for exec,
 * which groups below those. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>

#include "cgroup.h"
#include "io.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* "a/../../b//c" → "/b/c": what would climb out stays at the top. */
static char *clean_path(struct arena *arena, const char *path)
{
    char *clean = arena_format(arena, "/%s", path), copy[PATH_MAX], *state = NULL;
    if (!clean || strlen(path) >= sizeof copy)
        return NULL;
    (void)snprintf(copy, sizeof copy, "%s", path);
    size_t length = 0;
    for (char *name = strtok_r(copy, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        if (strcmp(name, "..") == 0)
            while (length > 0 && clean[--length] != '/')
                ;
        else if (strcmp(name, ".") != 0)
            length += (size_t)sprintf(clean + length, "/%s", name);
    }
    clean[length] = '\0';
    return clean;
}

/* A hierarchy as it is mounted: `root` is the group that the mount point shows, "/" unless we are in a container. */
struct hierarchy {
    char root[PATH_MAX], mountpoint[PATH_MAX];
};

/* The hierarchy whose first controller is `controller` ("" for v2), from mountinfo's text. */
static bool find_hierarchy(const char *mountinfo, const char *controller, struct hierarchy *found)
{
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        char type[64], options[1024];
        const char *end = strchr(line, '\n'), *separator = strstr(line, " - ");
        if (!separator || (end && separator > end) || strncmp(separator, " - cgroup", 9) != 0 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", found->root, found->mountpoint) != 2 ||
            sscanf(separator, " - %63s %*s %1023s", type, options) != 2)
            continue;
        bool matches = *controller ? strcmp(type, "cgroup") == 0 && cgroup_is_listed(options, controller)
                                   : strcmp(type, "cgroup2") == 0;
        if (matches && strncmp(found->mountpoint, CGROUP_ROOT, sizeof CGROUP_ROOT - 1) == 0)
            return true;
    }
    return false;
}

/* An absolute path counts from the mount point, a relative one from `own`, the group that we are in ourselves. */
static int add_dir(struct arena *arena, struct cgroup *cgroup, const char *controllers, const char *mountpoint,
                   const char *own, const char *wanted, struct fault *f)
{
    struct cgroup_dir *dir = &cgroup->dirs[cgroup->count];
    *dir = (struct cgroup_dir){.fd = -1};
    char *inner = clean_path(arena, wanted);
    const char *base = *wanted == '/' || strcmp(own, "/") == 0 ? "" : own;
    dir->controllers = arena_format(arena, "%s", controllers);
    dir->mountpoint = arena_format(arena, "%s", mountpoint);
    dir->path = inner ? arena_format(arena, "%s%s%s", mountpoint, base, inner) : NULL;
    dir->own = arena_format(arena, "%s%s", mountpoint, own);
    if (!inner || !dir->controllers || !dir->mountpoint || !dir->path || !dir->own)
        return fault_errno(f, STAGE_CGROUP, "invalid cgroupsPath %s", wanted);
    if (!*inner)
        return fault_text(f, STAGE_CGROUP, "invalid cgroupsPath %s: a container cannot have the root cgroup", wanted);
    cgroup->count++;
    return 0;
}

/* In a container without a cgroup namespace "/docker/1" is shown at the mount point itself: both names lose it. */
static const char *below_root(const char *own, const char *root)
{
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, "/..", 3) == 0 || strncmp(own, root, length) != 0)
        return "/";
    return own[length] ? own + length : "/";
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
        struct hierarchy hierarchy;
        char first[128];
        if (!path || cgroup->count == MAX_HIERARCHIES)
            continue;
        *path++ = '\0';
        controllers++;
        (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(controllers, ","), controllers);
        if (!find_hierarchy(mountinfo, first, &hierarchy))
            continue;
        has_v1 = has_v1 || *controllers;
        has_v2 = has_v2 || !*controllers;
        if (add_dir(arena, cgroup, controllers, hierarchy.mountpoint, below_root(path, hierarchy.root), wanted, f) < 0)
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
    /* Processes and child groups exclude each other in v2, so a relative path starts beside our own group. */
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = '\0';
    cgroup->mode = CGROUP_V2;
    return add_dir(arena, cgroup, "", CGROUP_ROOT, path, wanted, f);
}

int cgroup_plan(struct arena *arena, const struct config *config, const char *id, struct cgroup *cgroup,
                struct fault *f)
{
    struct statfs status;
    *cgroup = (struct cgroup){.has_wanted_path = config->cgroups_path && *config->cgroups_path};
    const char *wanted = cgroup->has_wanted_path ? config->cgroups_path : id;
    if (statfs(CGROUP_ROOT, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
        return plan_unified(arena, cgroup, wanted, f);
    return plan_hierarchies(arena, cgroup, wanted, f);
}

static int go_below(struct arena *arena, struct cgroup_dir *dir, const char *path, struct fault *f)
{
    int depth = 0;
    for (const char *at = path; *at;) {
        size_t length = strcspn(at, "/");
        depth += length == 2 && strncmp(at, "..", 2) == 0 ? -1 : length && !(length == 1 && *at == '.');
        if (depth < 0)
            return fault_text(f, STAGE_CGROUP, "bad sub cgroup path: %s is not a sub cgroup path", path);
        at += length + (at[length] == '/');
    }
    const char *clean = clean_path(arena, path);
    dir->path = clean ? arena_format(arena, "%s%s", dir->path, clean) : NULL;
    return dir->path ? 0 : fault_errno(f, STAGE_CGROUP, "read --cgroup");
}

/* "cpu,cpuacct:path"; *chosen has a bit for each hierarchy that is done. */
static int choose_for_controllers(struct arena *arena, struct cgroup *cgroup, const char *text, unsigned *chosen,
                                  struct fault *f)
{
    const char *path = strchr(text, ':') + 1;
    unsigned now = 0;
    for (const char *at = text; at < path;) {
        size_t length = strcspn(at, ",:"), i = 0;
        char name[64];
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (!*name)
            return fault_text(f, STAGE_ARGUMENTS, "invalid --cgroup argument: %s (empty <controller> prefix)", text);
        while (i < cgroup->count && !cgroup_is_listed(cgroup->dirs[i].controllers, name))
            i++;
        if (i == cgroup->count)
            return fault_text(f, STAGE_CGROUP, "unknown controller %s in SubCgroupPaths", name);
        if (*chosen & 1U << i)
            return fault_text(f, STAGE_ARGUMENTS,
                              "invalid --cgroup argument(s): controller %s specified multiple times", name);
        if (!(now & 1U << i) && go_below(arena, &cgroup->dirs[i], path, f) < 0)
            return -1;
        now |= 1U << i;
        at += length + 1;
    }
    *chosen |= now;
    return 0;
}

int cgroup_choose_below(struct arena *arena, struct cgroup *cgroup, const char *const *wanted, size_t count,
                        struct fault *f)
{
    unsigned chosen = 0;
    for (size_t i = 0; i < cgroup->count; i++)
        cgroup->dirs[i].fd = -1;
    for (size_t i = 0; i < count; i++) {
        bool has_controllers = strchr(wanted[i], ':');
        if (!has_controllers && count != 1)
            return fault_text(f, STAGE_ARGUMENTS, "invalid --cgroup argument: %s (missing <controller>: prefix)",
                              wanted[i]);
        if (has_controllers && choose_for_controllers(arena, cgroup, wanted[i], &chosen, f) < 0)
            return -1;
        for (size_t j = 0; !has_controllers && j < cgroup->count; j++)
            if (go_below(arena, &cgroup->dirs[j], wanted[i], f) < 0)
                return -1;
    }
    return 0;
}
