#include "container.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

#define STATE_FILE "state.json"

int container_check_id(const char *id, struct fault *f)
{
    if (!id || !*id)
        return fault_text(f, STAGE_ARGUMENTS, "container id cannot be empty");
    for (const char *at = id; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("_+-.", *at))
            return fault_text(f, STAGE_ARGUMENTS, "invalid container ID format: invalid character '%c'", *at);
    if (*id == '.' || strlen(id) > 255) /* hidden names are not listed */
        return fault_text(f, STAGE_ARGUMENTS, "invalid container ID format");
    return 0;
}

static int make_root(const char *root, struct fault *f)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", root) >= (int)sizeof path)
        return fault_text(f, STAGE_STATE, "--root is too long");
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    /* Sticky: what cleans up $XDG_RUNTIME_DIR leaves it. */
    return mkdir(path, 01700) < 0 && errno != EEXIST ? fault_errno(f, STAGE_STATE, "mkdir %s", root) : 0;
}

int container_claim(const char *root, const char *id, struct container *container, struct fault *f)
{
    *container = (struct container){.dir = -1, .id = id};
    if (container_check_id(id, f) < 0)
        return -1;
    AUTO_CLOSE int parent = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 && errno == ENOENT && make_root(root, f) == 0)
        parent = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return f->stage ? -1 : fault_errno(f, STAGE_STATE, "open %s", root);
    if (mkdirat(parent, id, 0711) < 0)
        return errno == EEXIST ? fault_told(f, STAGE_STATE, EEXIST, "container with given ID already exists")
                               : fault_errno(f, STAGE_STATE, "mkdir %s/%s", root, id);
    container->dir = openat(parent, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return container->dir < 0 ? fault_errno(f, STAGE_STATE, "open %s/%s", root, id) : 0;
}

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

static int parse_state(struct container *container, const char *text, size_t size, struct fault *f)
{
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

int container_load(const char *root, const char *id, struct container *container, struct fault *f)
{
    *container = (struct container){.dir = -1, .id = id};
    if (container_check_id(id, f) < 0)
        return -1;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, id);
    container->dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    size_t size = 0;
    AUTO_FREE char *text =
        container->dir < 0 ? NULL : read_file_at(container->dir, STATE_FILE, 64 * 1024 * 1024, &size);
    if (!text)
        return errno == ENOENT ? fault_told(f, STAGE_STATE, ENOENT, "container does not exist")
                               : fault_errno(f, STAGE_STATE, "open %s/" STATE_FILE, path);
    return parse_state(container, text, size, f) < 0 ? -1 : cgroup_open(&container->cgroup, f);
}

void container_close(struct container *container)
{
    cgroup_close(&container->cgroup);
    close_fd(&container->dir);
    json_free(container->document);
    container->document = NULL;
    arena_free(&container->arena);
}

/* Field 22 of /proc/pid/stat, after the name that may itself contain spaces and brackets: proc(5). */
unsigned long long process_start_time(pid_t pid, char *state)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    AUTO_FREE char *text = read_file_at(AT_FDCWD, path, 4096, NULL);
    char *after = text ? strrchr(text, ')') : NULL;
    unsigned long long start = 0;
    if (!after || sscanf(after, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                         state, &start) != 2)
        return 0;
    return start;
}

static bool is_alive(const struct container *container)
{
    char state = 0;
    unsigned long long start = container->pid > 0 ? process_start_time(container->pid, &state) : 0;
    return start && start == container->start_time && state != 'Z' && state != 'X';
}

enum container_status container_status(const struct container *container)
{
    if (!is_alive(container))
        return STATUS_STOPPED;
    if (cgroup_is_frozen(&container->cgroup))
        return STATUS_PAUSED; /* a created one may be paused too, and must be resumed before start */
    return faccessat(container->dir, "exec.fifo", F_OK, 0) == 0 ? STATUS_CREATED : STATUS_RUNNING;
}

const char *container_status_name(enum container_status status)
{
    static const char *const names[] = {"created", "running", "paused", "stopped"};
    return names[status];
}

int container_pidfd(const struct container *container, struct fault *f)
{
    /* Opened first, checked after: what the descriptor means cannot change any more. */
    AUTO_CLOSE int fd = container->pid > 0 ? (int)syscall(SYS_pidfd_open, container->pid, 0) : -1;
    if (fd < 0 || !is_alive(container))
        return fault_told(f, STAGE_STATE, ESRCH, "container not running");
    return take_fd(&fd);
}

void container_remove_folder(const char *root, const char *id)
{
    AUTO_CLOSE int parent = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int folder = parent < 0 ? -1 : openat(parent, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int listing = folder < 0 ? -1 : openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listing < 0 ? NULL : fdopendir(listing);
    if (!entries) {
        close_fd(&listing);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_type != DT_DIR)
            (void)unlinkat(folder, entry->d_name, 0);
    (void)closedir(entries);
    (void)unlinkat(parent, id, AT_REMOVEDIR);
}

void container_hook_state(const struct container *container, const char *status, struct hook_state *state)
{
    *state = (struct hook_state){.version = container->version,
                                 .id = container->id,
                                 .status = status,
                                 .bundle = container->bundle,
                                 .pid = container->pid,
                                 .annotations = container->annotations};
}

#define KILL_TIMEOUT_MS 10000

int container_end(const struct container *container, struct fault *f)
{
    struct fault gone = {0};
    AUTO_CLOSE int pidfd = container_pidfd(container, &gone);
    if (pidfd < 0)
        return 0;
    struct fault ignored = {0};
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return fault_errno(f, STAGE_STATE, "unable to signal init");
    if (cgroup_is_frozen(&container->cgroup))
        (void)cgroup_freeze(&container->cgroup, false, &ignored);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, KILL_TIMEOUT_MS) == 1 ? 0 : fault_text(f, STAGE_STATE, "container init still running");
}

int container_destroy(const char *root, struct container *container, struct fault *f)
{
    if (!container->has_own_pids && cgroup_signal(&container->cgroup, SIGKILL, f) < 0)
        return -1;
    /* The folder goes last: as long as it is there, delete can be asked again. */
    if (cgroup_remove(&container->cgroup, f) < 0)
        return -1;
    container_remove_folder(root, container->id);
    struct hook_state state;
    container_hook_state(container, "stopped", &state);
    state.pid = 0;
    hooks_run_poststop(container->hooks, &state);
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

static void new_line(const char *indent, int depth)
{
    (void)putchar('\n');
    for (int i = 0; i < depth; i++)
        (void)fputs(indent, stdout);
}

/* The writer's text is valid JSON, so brackets and commas outside of strings are all there is to see. */
void print_json(const struct json_writer *w, const char *indent)
{
    bool in_string = false;
    int depth = 0;
    for (size_t i = 0; i < w->length; i++) {
        char c = w->text[i];
        if (in_string || !indent) {
            (void)putchar(c);
            if (c == '\\' && in_string && i + 1 < w->length)
                (void)putchar(w->text[++i]);
            else if (c == '"')
                in_string = !in_string;
            continue;
        }
        bool is_empty = i + 1 < w->length && (c == '{' || c == '[') && (w->text[i + 1] == '}' || w->text[i + 1] == ']');
        if (c == '}' || c == ']')
            new_line(indent, --depth);
        (void)putchar(c);
        if (is_empty)
            (void)putchar(w->text[++i]);
        else if (c == '{' || c == '[')
            new_line(indent, ++depth);
        else if (c == ',')
            new_line(indent, depth);
        else if (c == ':')
            (void)putchar(' ');
        in_string = c == '"';
    }
}
