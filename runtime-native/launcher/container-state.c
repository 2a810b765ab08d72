/* state.json: what create writes and every later command reads; and the form in which callers see it. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "container.h"
#include "io.h"

#define STATE_FILE "state.json"

int container_save(const struct container *container, struct fault *f)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "ociVersion", container->version);
    json_put_string(&w, "id", container->id);
    json_put_int(&w, "pid", container->pid);
    json_put_int(&w, "startTime", (int64_t)container->start_time);
    json_put_string(&w, "bundle", container->bundle);
    json_put_string(&w, "config", container->config);
    json_put_string(&w, "rootfs", container->rootfs);
    json_put_string(&w, "created", container->created);
    json_put_int(&w, "namespaces", container->namespaces);
    json_put_bool(&w, "hasOwnPids", container->has_own_pids);
    json_put_bool(&w, "keepsKeyring", container->keeps_keyring);
    json_put_int(&w, "cgroupMode", container->cgroup.mode);
    json_begin_array(&w, "cgroups");
    for (size_t i = 0; i < container->cgroup.count; i++) {
        const struct cgroup_dir *dir = &container->cgroup.dirs[i];
        if (dir->fd < 0)
            continue;
        json_begin_object(&w, NULL);
        json_put_string(&w, "controllers", dir->controllers);
        json_put_string(&w, "mountpoint", dir->mountpoint);
        json_put_string(&w, "path", dir->path);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_begin_array(&w, "descriptors");
    for (size_t i = 0; i < 3; i++)
        json_put_string(&w, NULL, container->descriptors[i]);
    json_end_array(&w);
    if (container->annotations)
        json_put_json(&w, "annotations", container->annotations);
    if (container->hooks)
        json_put_json(&w, "hooks", container->hooks);
    if (container->personality)
        json_put_json(&w, "personality", container->personality);
    if (container->memory_policy)
        json_put_json(&w, "memoryPolicy", container->memory_policy);
    json_end_object(&w);
    int result = w.failed ? -1 : create_file_at(container->dir, STATE_FILE, w.text, 0600);
    json_writer_free(&w);
    return result < 0 ? fault_errno(f, STAGE_STATE, "write " STATE_FILE) : 0;
}

static unsigned joined_namespaces(const struct config *config)
{
    static const unsigned flags[NS_COUNT] = {
        [NS_USER] = CLONE_NEWUSER, [NS_MOUNT] = CLONE_NEWNS, [NS_PID] = CLONE_NEWPID,       [NS_NETWORK] = CLONE_NEWNET,
        [NS_IPC] = CLONE_NEWIPC,   [NS_UTS] = CLONE_NEWUTS,  [NS_CGROUP] = CLONE_NEWCGROUP, [NS_TIME] = 0x80,
    };
    unsigned all = 0;
    for (int kind = 0; kind < NS_COUNT; kind++)
        all |= config->namespaces[kind].is_set ? flags[kind] : 0;
    return all;
}

static const char *creation_time(struct arena *arena)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (!gmtime_r(&now.tv_sec, &utc) || !strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc))
        stamp[0] = '\0';
    return arena_format(arena, "%s.%09ldZ", stamp, now.tv_nsec);
}

/* Ours are the container's: it inherits them. */
static const char *name_descriptor(struct arena *arena, int fd)
{
    char path[32], name[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, name, sizeof name - 1);
    return arena_format(arena, "%.*s", length < 0 ? 0 : (int)length, name);
}

int container_record(struct container *container, const struct config *config, struct fault *f)
{
    char state = 0;
    container->version = OCI_VERSION;
    container->bundle = config->bundle;
    container->config = config->file;
    container->rootfs = config->rootfs;
    container->created = creation_time(&container->arena);
    container->start_time = process_start_time(container->pid, &state);
    container->namespaces = joined_namespaces(config);
    container->has_own_pids = config_has_new_namespace(config, NS_PID);
    container->hooks = config->hooks;
    container->annotations = config->annotations;
    container->personality = config->personality;
    container->memory_policy = config->memory_policy;
    for (int fd = 0; fd < 3; fd++)
        container->descriptors[fd] = name_descriptor(&container->arena, fd);
    return container->created ? container_save(container, f) : fault_errno(f, STAGE_STATE, "describe the container");
}

static const char *text_or(const struct json *object, const char *key, const char *fallback)
{
    const char *text = json_string(object, key);
    return text ? text : fallback;
}

static void read_cgroups(struct container *container, const struct json *root)
{
    int64_t mode = 0;
    (void)json_int64(root, "cgroupMode", &mode);
    container->cgroup.mode = (enum cgroup_mode)mode;
    json_each(item, json_get(root, "cgroups"))
    {
        if (container->cgroup.count == MAX_HIERARCHIES)
            break;
        container->cgroup.dirs[container->cgroup.count++] =
            (struct cgroup_dir){.controllers = text_or(item, "controllers", ""),
                                .mountpoint = text_or(item, "mountpoint", ""),
                                .path = text_or(item, "path", ""),
                                .fd = -1};
    }
}

int container_read_state(struct container *container, struct fault *f)
{
    size_t size = 0;
    AUTO_FREE char *text = read_file_at(container->dir, STATE_FILE, 64 * 1024 * 1024, &size);
    if (!text)
        return errno == ENOENT ? fault_told(f, STAGE_STATE, ENOENT, "container does not exist")
                               : fault_errno(f, STAGE_STATE, "open " STATE_FILE " of %s", container->id);
    container->document = json_parse(text, size, f);
    if (!container->document)
        return -1;
    const struct json *root = json_root(container->document);
    int64_t pid = 0, start = 0, namespaces = 0;
    if (json_int64(root, "pid", &pid) < 0 || json_int64(root, "startTime", &start) < 0 ||
        json_int64(root, "namespaces", &namespaces) < 0)
        return fault_text(f, STAGE_STATE, STATE_FILE " is damaged");
    container->pid = (pid_t)pid;
    container->start_time = (unsigned long long)start;
    container->namespaces = (unsigned)namespaces;
    container->version = text_or(root, "ociVersion", OCI_VERSION);
    container->bundle = text_or(root, "bundle", "");
    container->config = text_or(root, "config", "");
    container->rootfs = text_or(root, "rootfs", "");
    container->created = text_or(root, "created", "");
    container->has_own_pids = json_bool(root, "hasOwnPids", false);
    container->keeps_keyring = json_bool(root, "keepsKeyring", false);
    container->annotations = json_get(root, "annotations");
    container->hooks = json_get(root, "hooks");
    container->personality = json_get(root, "personality");
    container->memory_policy = json_get(root, "memoryPolicy");
    const struct json *descriptors = json_get(root, "descriptors");
    const struct json *descriptor = descriptors ? descriptors->first : NULL;
    for (int fd = 0; fd < 3; fd++, descriptor = descriptor ? descriptor->next : NULL)
        container->descriptors[fd] = descriptor && descriptor->text ? descriptor->text : "";
    read_cgroups(container, root);
    return 0;
}

void container_describe(const struct container *container, struct json_writer *w, const char *owner)
{
    enum container_status status = container_status(container);
    json_begin_object(w, NULL);
    json_put_string(w, "ociVersion", container->version);
    json_put_string(w, "id", container->id);
    json_put_int(w, "pid", status == STATUS_STOPPED ? 0 : container->pid);
    json_put_string(w, "status", container_status_name(status));
    json_put_string(w, "bundle", container->bundle);
    json_put_string(w, "rootfs", container->rootfs);
    json_put_string(w, "created", container->created);
    if (container->annotations && container->annotations->count)
        json_put_json(w, "annotations", container->annotations);
    json_put_string(w, "owner", owner);
    json_end_object(w);
}
