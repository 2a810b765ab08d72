#include "container.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"

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

int container_claim(const char *root, struct container *container, struct fault *f)
{
    const char *id = container->id;
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
    if (container->dir >= 0)
        return 0;
    (void)fault_errno(f, STAGE_STATE, "open %s/%s", root, id);
    (void)unlinkat(parent, id, AT_REMOVEDIR);
    return -1;
}

int container_load(const char *root, const char *id, struct container *container, struct fault *f)
{
    *container = (struct container){.dir = -1, .id = id};
    if (container_check_id(id, f) < 0)
        return -1;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", root, id);
    container->dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (container->dir < 0)
        return errno == ENOENT ? fault_told(f, STAGE_STATE, ENOENT, "container does not exist")
                               : fault_errno(f, STAGE_STATE, "open %s", path);
    return container_read_state(container, f) < 0 ? -1 : cgroup_open(&container->cgroup, f);
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

void container_abandon(const char *root, struct container *container)
{
    struct fault ignored = {0}; /* the first fault is what the caller hears */
    if (container->pid > 0)
        kill_process(container->pid);
    (void)cgroup_remove(&container->cgroup, &ignored);
    container_remove_folder(root, container->id);
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
