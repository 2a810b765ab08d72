/* The processes of a container as its cgroups know them: list, signal, freeze. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"
#include "log.h"

struct pid_list {
    pid_t *items;
    size_t count, capacity;
};

static int append(struct pid_list *list, pid_t pid)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        pid_t *grown = realloc(list->items, capacity * sizeof *grown);
        if (!grown)
            return -1;
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = pid;
    return 0;
}

static int collect(int dir, struct pid_list *list)
{
    AUTO_FREE char *text = read_file_at(dir, "cgroup.procs", 16 * 1024 * 1024, NULL);
    if (!text && errno == EOPNOTSUPP) /* of a threaded group only threads are known */
        text = read_file_at(dir, "cgroup.threads", 16 * 1024 * 1024, NULL);
    if (!text)
        return errno == ENOENT || errno == ENODEV ? 0 : -1;
    for (char *at = text, *end; *at; at = end + (*end == '\n')) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        if (pid > 0 && append(list, (pid_t)pid) < 0)
            return -1;
    }
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        close_fd(&copy);
        return 0;
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(listing));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        AUTO_CLOSE int child = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        result = child < 0 ? 0 : collect(child, list);
    }
    (void)closedir(listing);
    return result;
}

/* Any hierarchy will do; the first that is a real controller's, as runc asks "devices". */
const struct cgroup_dir *cgroup_tasks_dir(const struct cgroup *cgroup)
{
    static const char *const preferred[] = {"devices", "freezer", "pids", "memory", "cpu"};
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    if (unified && unified->fd >= 0)
        return unified;
    for (size_t i = 0; i < sizeof preferred / sizeof preferred[0]; i++) {
        const struct cgroup_dir *dir = cgroup_find(cgroup, preferred[i]);
        if (dir && dir->fd >= 0)
            return dir;
    }
    return cgroup->count && cgroup->dirs[0].fd >= 0 ? &cgroup->dirs[0] : NULL;
}

int cgroup_processes(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct fault *f)
{
    const struct cgroup_dir *dir = cgroup_tasks_dir(cgroup);
    struct pid_list list = {0};
    if (dir && collect(dir->fd, &list) < 0) {
        free(list.items);
        return fault_errno(f, STAGE_CGROUP, "read %s/cgroup.procs", dir->path);
    }
    *pids = list.items;
    *count = list.count;
    return 0;
}

/* Freezing first keeps the list true: nobody forks between reading it and the last signal. */
int cgroup_signal(const struct cgroup *cgroup, int signal, struct fault *f)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    if (signal == SIGKILL && unified && unified->fd >= 0 && write_file_at(unified->fd, "cgroup.kill", "1") == 0) {
        struct fault ignored = {0};
        (void)cgroup_freeze(cgroup, false, &ignored);
        return 0;
    }
    bool was_frozen = cgroup_is_frozen(cgroup);
    struct fault ignored = {0};
    if (!was_frozen)
        (void)cgroup_freeze(cgroup, true, &ignored);
    pid_t *pids = NULL;
    size_t count = 0;
    int result = cgroup_processes(cgroup, &pids, &count, f);
    for (size_t i = 0; i < count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            log_warning("kill %d: %s", (int)pids[i], error_text(errno));
    free(pids);
    if (!was_frozen || signal == SIGKILL)
        (void)cgroup_freeze(cgroup, false, &ignored);
    return result;
}

/* v1 reports FREEZING until the last task has stopped; writing the state again is what makes it look again. */
static int freeze_v1(const struct cgroup_dir *dir, bool frozen, struct fault *f)
{
    const char *wanted = frozen ? "FROZEN" : "THAWED";
    for (int attempt = 0; attempt < 1000; attempt++) {
        if (cgroup_write(dir, "freezer.state", wanted, f) < 0)
            return -1;
        AUTO_FREE char *state = read_file_at(dir->fd, "freezer.state", 64, NULL);
        if (!state)
            return fault_errno(f, STAGE_CGROUP, "read %s/freezer.state", dir->path);
        if (strncmp(state, wanted, 6) == 0)
            return 0;
        if (attempt % 50 ==
            49) { /* a task that forks all the time escapes for ever: let it run for a moment (runc#2774) */
            (void)cgroup_write(dir, "freezer.state", "THAWED", f);
            (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    (void)cgroup_write(dir, "freezer.state", "THAWED", f);
    return fault_text(f, STAGE_CGROUP, "unable to freeze");
}

static int freeze_v2(const struct cgroup_dir *dir, bool frozen, struct fault *f)
{
    AUTO_CLOSE int events = openat(dir->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (events < 0 || cgroup_write(dir, "cgroup.freeze", frozen ? "1" : "0", f) < 0)
        return fault_errno(f, STAGE_CGROUP, "freeze %s", dir->path);
    for (int waited = 0; waited < 100; waited++) {
        char text[256] = "";
        if (pread(events, text, sizeof text - 1, 0) < 0)
            return fault_errno(f, STAGE_CGROUP, "read %s/cgroup.events", dir->path);
        if (strstr(text, frozen ? "frozen 1" : "frozen 0"))
            return 0;
        struct pollfd change = {.fd = events, .events = POLLPRI};
        (void)poll(&change, 1, 100);
    }
    return fault_text(f, STAGE_CGROUP, "unable to freeze");
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct fault *f)
{
    const struct cgroup_dir *freezer = cgroup_find(cgroup, "freezer");
    if (freezer && freezer->fd >= 0)
        return freeze_v1(freezer, frozen, f);
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    if (unified && unified->fd >= 0)
        return freeze_v2(unified, frozen, f);
    return fault_text(f, STAGE_CGROUP, "cannot %s: the freezer cgroup is not there", frozen ? "pause" : "resume");
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
    const struct cgroup_dir *freezer = cgroup_find(cgroup, "freezer");
    if (freezer && freezer->fd >= 0) {
        AUTO_FREE char *state = read_file_at(freezer->fd, "freezer.state", 64, NULL);
        return state && strncmp(state, "THAWED", 6) != 0;
    }
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    AUTO_FREE char *frozen = unified && unified->fd >= 0 ? read_file_at(unified->fd, "cgroup.freeze", 64, NULL) : NULL;
    return frozen && frozen[0] == '1';
}

/* "oom_kill 1" in memory.oom_control (v1) or memory.events (v2). */
unsigned long cgroup_oom_kills(const struct cgroup *cgroup)
{
    const struct cgroup_dir *v1 = cgroup_find(cgroup, "memory"), *dir = v1 ? v1 : cgroup_unified(cgroup);
    AUTO_FREE char *text =
        dir && dir->fd >= 0 ? read_file_at(dir->fd, v1 ? "memory.oom_control" : "memory.events", 4096, NULL) : NULL;
    const char *kills = text ? strstr(text, "oom_kill ") : NULL;
    return kills ? strtoul(kills + sizeof "oom_kill " - 1, NULL, 10) : 0;
}
