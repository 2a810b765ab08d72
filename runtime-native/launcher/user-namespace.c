#include "user-namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "namespaces.h"

static bool maps(const struct id_mappings *mappings, unsigned long id)
{
    for (size_t i = 0; i < mappings->count; i++)
        if (id >= mappings->items[i].container && id - mappings->items[i].container < mappings->items[i].size)
            return true;
    return false;
}

uint32_t user_namespace_outside(const struct id_mappings *mappings, uint32_t id)
{
    for (size_t i = 0; i < mappings->count; i++)
        if (id >= mappings->items[i].container && id - mappings->items[i].container < mappings->items[i].size)
            return mappings->items[i].host + (id - mappings->items[i].container);
    return id;
}

/* "gid=5" of a devpts, with an id that has no number outside: the kernel would only say EINVAL. */
static int check_mount_option(const struct config *config, const char *option, struct fault *f)
{
    bool is_uid = strncmp(option, "uid=", 4) == 0;
    if (!is_uid && strncmp(option, "gid=", 4) != 0)
        return 0;
    char *end;
    unsigned long id = strtoul(option + 4, &end, 10);
    if (end == option + 4 || (*end && *end != ',') || maps(is_uid ? &config->uid_mappings : &config->gid_mappings, id))
        return 0;
    return fault_text(f, STAGE_MOUNT,
                      "cannot specify %.*s mount option for a container with a user namespace: the id is not mapped",
                      (int)(end - option), option);
}

static int check_mount_options(const struct config *config, struct fault *f)
{
    for (size_t i = 0; i < config->mount_count; i++)
        for (const char *option = config->mounts[i].data; option; option = strchr(option, ',')) {
            option += *option == ',';
            if (check_mount_option(config, option, f) < 0)
                return -1;
        }
    return 0;
}

static int map_self(struct arena *arena, struct id_mappings *mappings, uint32_t id, struct fault *f)
{
    if (mappings->count)
        return 0;
    mappings->items = arena_alloc(arena, 1, sizeof *mappings->items);
    if (!mappings->items)
        return fault_errno(f, STAGE_NAMESPACE, "map ids");
    mappings->items[mappings->count++] = (struct id_mapping){.container = 0, .host = id, .size = 1};
    return 0;
}

int user_namespace_default(struct config *config, struct fault *f)
{
    bool has_mappings = config->uid_mappings.count || config->gid_mappings.count;
    if (geteuid() != 0 && !has_mappings)
        config->namespaces[NS_USER].is_set = true;
    if (!config_has_new_namespace(config, NS_USER))
        return 0;
    return map_self(&config->arena, &config->uid_mappings, geteuid(), f) < 0
               ? -1
               : map_self(&config->arena, &config->gid_mappings, getegid(), f);
}

int user_namespace_validate(const struct config *config, struct fault *f)
{
    const struct namespace *user = &config->namespaces[NS_USER];
    bool has_mappings = config->uid_mappings.count || config->gid_mappings.count;
    if (!user->is_set && has_mappings)
        return fault_text(f, STAGE_NAMESPACE,
                          "user namespace mappings specified, but user namespace isn't enabled in the config");
    if (!user->is_set)
        return geteuid() == 0 ? 0 : fault_text(f, STAGE_NAMESPACE, "rootless container requires user namespaces");
    if (user->path && !has_mappings)
        return 0;
    if (!maps(&config->uid_mappings, 0) || !maps(&config->gid_mappings, 0))
        return fault_text(f, STAGE_NAMESPACE, "user namespaces enabled, but no %s mapping for the container's root",
                          maps(&config->uid_mappings, 0) ? "gid" : "uid");
    return check_mount_options(config, f);
}

static int write_map(pid_t pid, const char *file, const struct id_mappings *mappings)
{
    char path[64], text[16384] = ""; /* at most 340 lines: user_namespaces(7) */
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    size_t at = 0;
    for (size_t i = 0; i < mappings->count && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%u %u %u\n", mappings->items[i].container,
                               mappings->items[i].host, mappings->items[i].size);
    return write_file_at(AT_FDCWD, path, text);
}

/* newuidmap(1) and newgidmap(1) may map what /etc/subuid grants to an unprivileged user. */
static int map_with_helper(pid_t pid, const char *helper, const struct id_mappings *mappings, struct fault *f)
{
    struct arena arena = {0};
    char **arguments = arena_alloc(&arena, 3 * mappings->count + 3, sizeof *arguments);
    size_t n = 0;
    if (arguments) {
        arguments[n++] = arena_format(&arena, "%s", helper);
        arguments[n++] = arena_format(&arena, "%d", (int)pid);
        for (size_t i = 0; i < mappings->count; i++) {
            arguments[n++] = arena_format(&arena, "%u", mappings->items[i].container);
            arguments[n++] = arena_format(&arena, "%u", mappings->items[i].host);
            arguments[n++] = arena_format(&arena, "%u", mappings->items[i].size);
        }
    }
    pid_t child = arguments ? clone_process(0, NULL) : -1;
    if (child == 0) {
        (void)execvp(helper, arguments);
        _exit(127);
    }
    int status = -1;
    if (child > 0)
        (void)wait_process(child, &status);
    arena_free(&arena);
    if (child < 0)
        return fault_errno(f, STAGE_USER, "clone");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fault_told(f, STAGE_USER, ENOENT, "mappings beyond one's own id need %s, which was not found", helper);
    return status == 0 ? 0 : fault_text(f, STAGE_USER, "%s failed: exit status %d", helper, WEXITSTATUS(status));
}

static int map_users(pid_t pid, const struct id_mappings *uids, struct fault *f)
{
    if (write_map(pid, "uid_map", uids) == 0)
        return 0;
    if (errno == EPERM && geteuid() != 0)
        return map_with_helper(pid, "newuidmap", uids, f);
    return fault_errno(f, STAGE_USER, "failed to update /proc/%d/uid_map", (int)pid);
}

static int map_groups(pid_t pid, const struct id_mappings *gids, struct fault *f)
{
    char setgroups[64];
    (void)snprintf(setgroups, sizeof setgroups, "/proc/%d/setgroups", (int)pid);
    if (write_map(pid, "gid_map", gids) == 0)
        return 0;
    bool is_refused = errno == EPERM && geteuid() != 0;
    if (is_refused && (gids->count != 1 || gids->items[0].size != 1 || gids->items[0].host != getegid()))
        return map_with_helper(pid, "newgidmap", gids, f);
    /* One's own gid may be mapped by oneself where setgroups(2) is given up: user_namespaces(7). */
    if (is_refused && write_file_at(AT_FDCWD, setgroups, "deny") == 0 && write_map(pid, "gid_map", gids) == 0)
        return 0;
    return fault_errno(f, STAGE_USER, "failed to update /proc/%d/gid_map", (int)pid);
}

int user_namespace_map(pid_t pid, const struct id_mappings *uids, const struct id_mappings *gids, struct fault *f)
{
    return map_users(pid, uids, f) < 0 ? -1 : map_groups(pid, gids, f);
}

int user_namespace_make(const struct id_mappings *uids, const struct id_mappings *gids, struct fault *f)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_USER, "pipe");
    AUTO_CLOSE int reader = pipe_fds[0];
    AUTO_CLOSE int writer = pipe_fds[1];
    /* The child only has to exist until the namespace is open. */
    pid_t child = clone_process(CLONE_NEWUSER, NULL);
    if (child == 0) {
        char byte;
        (void)close(writer);
        (void)read_some(reader, &byte, 1);
        _exit(0);
    }
    if (child < 0)
        return fault_errno(f, STAGE_USER, "clone");
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
    int result = user_namespace_map(child, uids, gids, f);
    int fd = result < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (result == 0 && fd < 0)
        (void)fault_errno(f, STAGE_USER, "open %s", path);
    close_fd(&writer);
    (void)wait_process(child, NULL);
    return fd;
}

/* Every line of the file is one of the mappings, and there are as many. */
static bool is_mapped_by(const char *file, const struct id_mappings *mappings)
{
    AUTO_FREE char *text = read_file_at(AT_FDCWD, file, 16384, NULL);
    unsigned container, host, size;
    size_t matching = 0, lines = 0;
    for (const char *line = text; line && sscanf(line, "%u %u %u", &container, &host, &size) == 3; lines++) {
        for (size_t i = 0; i < mappings->count; i++)
            matching += mappings->items[i].container == container && mappings->items[i].host == host &&
                        mappings->items[i].size == size;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return matching == mappings->count && lines == matching;
}

int user_namespace_check_joined(const struct config *config, struct fault *f)
{
    bool has_mappings = config->uid_mappings.count || config->gid_mappings.count;
    if (!has_mappings || (is_mapped_by("/proc/self/uid_map", &config->uid_mappings) &&
                          is_mapped_by("/proc/self/gid_map", &config->gid_mappings)))
        return 0;
    return fault_text(f, STAGE_NAMESPACE,
                      "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may "
                      "only provide one");
}

int user_namespace_become_root(struct fault *f)
{
    if (setresgid(0, 0, 0) < 0)
        return fault_errno(f, STAGE_USER, "setresgid(0)");
    if (setresuid(0, 0, 0) < 0)
        return fault_errno(f, STAGE_USER, "setresuid(0)");
    return 0;
}

bool user_namespace_denies_groups(pid_t pid)
{
    char path[64] = "/proc/self/setgroups";
    if (pid > 0)
        (void)snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
    AUTO_FREE char *text = read_file_at(AT_FDCWD, path, 64, NULL);
    return text && strncmp(text, "deny", 4) == 0;
}
