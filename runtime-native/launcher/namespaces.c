/* The PID and user namespaces are made by clone3, the others by the child itself: a network namespace alone takes half
 * a millisecond, and meanwhile the parent makes the cgroups. Those to join are joined around that: the PID namespace by
 * the parent (it only takes effect for children), the others by the child. A user namespace to join must come before
 * anything that is made in it, so then, and only then, there is a process between. */
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const struct {
    unsigned long long flag;
    const char *file;
} kinds[NS_COUNT] = {
    [NS_USER] = {CLONE_NEWUSER, "user"},       [NS_MOUNT] = {CLONE_NEWNS, "mnt"},   [NS_PID] = {CLONE_NEWPID, "pid"},
    [NS_NETWORK] = {CLONE_NEWNET, "net"},      [NS_IPC] = {CLONE_NEWIPC, "ipc"},    [NS_UTS] = {CLONE_NEWUTS, "uts"},
    [NS_CGROUP] = {CLONE_NEWCGROUP, "cgroup"}, [NS_TIME] = {CLONE_NEWTIME, "time"},
};

int namespaces_open(const struct config *config, int fds[NS_COUNT], struct fault *f)
{
    for (int kind = 0; kind < NS_COUNT; kind++)
        fds[kind] = -1;
    for (int kind = 0; kind < NS_COUNT; kind++) {
        const char *path = config->namespaces[kind].path;
        if (!path)
            continue;
        if (*path != '/')
            return fault_text(f, STAGE_NAMESPACE, "namespace path %s is not an absolute path", path);
        fds[kind] = open(path, O_RDONLY | O_CLOEXEC);
        if (fds[kind] < 0)
            return fault_errno(f, STAGE_NAMESPACE, "unable to create new parent process: namespace path: lstat %s",
                               path);
    }
    return 0;
}

void namespaces_close(int fds[NS_COUNT])
{
    for (int kind = 0; kind < NS_COUNT; kind++)
        close_fd(&fds[kind]);
}

static pid_t clone_with(unsigned long long flags, int *pidfd, int cgroup)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_CLEAR_SIGHAND | (pidfd ? CLONE_PIDFD : 0) | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uintptr_t)pidfd,
        .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
        .cgroup = cgroup >= 0 ? (unsigned)cgroup : 0,
    };
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

pid_t clone_process(unsigned long long flags, int *pidfd)
{
    return clone_with(flags, pidfd, -1);
}

pid_t clone_into_cgroup(unsigned long long flags, int *pidfd, const struct cgroup *cgroup, bool *is_inside)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    *is_inside = true; /* set before: the child sees it too */
    if (!unified || unified->fd < 0)
        return clone_with(flags, pidfd, -1);
    pid_t pid = clone_with(flags, pidfd, unified->fd);
    if (pid >= 0)
        return pid;
    *is_inside = false; /* an unusual hierarchy, or a filter around us: the parent moves it */
    return clone_with(flags, pidfd, -1);
}

#define IN_CLONE (CLONE_NEWUSER | CLONE_NEWPID)

/* cgroup: its root is where the process is when it is made, so the child unshares it after it was moved.
 * time: offsets can only be set while nobody is in it, so the parent unshares it for its children. */
static unsigned long long new_flags(const struct config *config)
{
    unsigned long long flags = 0;
    for (int kind = 0; kind < NS_COUNT; kind++)
        if (kind != NS_CGROUP && kind != NS_TIME && config_has_new_namespace(config, (enum namespace_kind)kind))
            flags |= kinds[kind].flag;
    return flags;
}

static int write_time_offsets(const struct json *offsets, struct fault *f)
{
    char text[256] = "";
    json_each(item, offsets)
    {
        int64_t seconds = 0;
        uint64_t nanoseconds = 0;
        if (json_int64(item, "secs", &seconds) < 0 || json_uint64(item, "nanosecs", &nanoseconds) < 0)
            return fault_text(f, STAGE_NAMESPACE, "timeOffsets: %s needs integers", item->key);
        size_t at = strlen(text);
        (void)snprintf(text + at, sizeof text - at, "%s %lld %llu\n", item->key, (long long)seconds,
                       (unsigned long long)nanoseconds);
    }
    if (*text && write_file_at(AT_FDCWD, "/proc/self/timens_offsets", text) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to update /proc/self/timens_offsets");
    return 0;
}

/* The namespaces of our children-to-be, put back at the end so that hooks run in ours. */
struct child_namespaces {
    int pid, time;
};

static void restore_children(struct child_namespaces *saved)
{
    if (saved->pid >= 0)
        (void)setns(saved->pid, CLONE_NEWPID);
    if (saved->time >= 0)
        (void)setns(saved->time, CLONE_NEWTIME);
    close_fd(&saved->pid);
    close_fd(&saved->time);
}

static int prepare_children(const struct launch *launch, struct child_namespaces *saved, struct fault *f)
{
    if (launch->namespace_fds[NS_PID] >= 0) {
        saved->pid = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (saved->pid < 0 || setns(launch->namespace_fds[NS_PID], CLONE_NEWPID) < 0)
            return fault_errno(f, STAGE_NAMESPACE, "failed to setns into pid namespace");
    }
    if (config_has_new_namespace(launch->config, NS_TIME)) {
        saved->time = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
        if (saved->time < 0 || unshare(CLONE_NEWTIME) < 0)
            return fault_errno(f, STAGE_NAMESPACE, "failed to unshare the time namespace");
        return write_time_offsets(launch->config->time_offsets, f);
    }
    return 0;
}

/* Joins the user namespace and clones the container's process as a sibling of itself. */
static void between(struct launch *launch, struct child_namespaces *saved) __attribute__((noreturn));
static void between(struct launch *launch, struct child_namespaces *saved)
{
    struct fault f = {0};
    pid_t pid = -1;
    if (setns(launch->namespace_fds[NS_USER], CLONE_NEWUSER) < 0)
        (void)fault_errno(&f, STAGE_NAMESPACE, "failed to setns into user namespace");
    else if (namespaces_become_root(&f) == 0 && prepare_children(launch, saved, &f) == 0) {
        close_fd(&launch->namespace_fds[NS_USER]);
        pid = clone_process((new_flags(launch->config) & IN_CLONE) | CLONE_PARENT, NULL);
        if (pid == 0)
            container_init(launch);
        if (pid < 0)
            (void)fault_errno(&f, STAGE_NAMESPACE, "clone");
    }
    if (pid > 0)
        (void)sync_send(launch->sync, SYNC_MAPPED, pid, &f);
    else
        (void)sync_send_fault(launch->sync, &f);
    _exit(pid > 0 ? 0 : 1);
}

static int clone_through_user_namespace(struct launch *launch, int parent_sync, pid_t *pid, int *pidfd, struct fault *f)
{
    struct child_namespaces saved = {-1, -1};
    pid_t helper = clone_process(0, NULL);
    if (helper == 0)
        between(launch, &saved);
    if (helper < 0)
        return fault_errno(f, STAGE_NAMESPACE, "clone");
    int number = 0, result = sync_expect(parent_sync, SYNC_MAPPED, &number, f);
    (void)waitpid(helper, NULL, 0);
    if (result < 0)
        return -1;
    *pid = number;
    *pidfd = (int)syscall(SYS_pidfd_open, number, 0);
    return *pidfd < 0 ? fault_errno(f, STAGE_NAMESPACE, "pidfd_open") : 0;
}

int namespaces_clone(struct launch *launch, int parent_sync, pid_t *pid, int *pidfd, struct fault *f)
{
    if (launch->namespace_fds[NS_USER] >= 0)
        return clone_through_user_namespace(launch, parent_sync, pid, pidfd, f);
    struct child_namespaces saved = {-1, -1};
    int result = prepare_children(launch, &saved, f);
    if (result == 0) {
        unsigned long long flags = new_flags(launch->config) & IN_CLONE;
        /* A child in another user or mount namespace cannot reach the host's cgroups. */
        bool can_enter = !launch->is_new_user_namespace && launch->namespace_fds[NS_MOUNT] < 0;
        *pid = can_enter ? clone_into_cgroup(flags, pidfd, launch->cgroup, &launch->enters_cgroup)
                         : clone_process(flags, pidfd);
        if (*pid == 0)
            container_init(launch);
        if (*pid < 0)
            result = fault_errno(f, STAGE_NAMESPACE, "clone");
    }
    restore_children(&saved);
    return result;
}

static int write_map(pid_t pid, const char *file, const struct id_mappings *mappings)
{
    char path[64], text[8192] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    for (size_t i = 0; i < mappings->count; i++) {
        size_t at = strlen(text);
        (void)snprintf(text + at, sizeof text - at, "%u %u %u\n", mappings->items[i].container, mappings->items[i].host,
                       mappings->items[i].size);
    }
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
        (void)waitpid(child, &status, 0);
    arena_free(&arena);
    return status == 0 ? 0 : fault_text(f, STAGE_USER, "%s failed (status %d)", helper, WEXITSTATUS(status));
}

int namespaces_map_ids(pid_t pid, const struct config *config, struct fault *f)
{
    char setgroups[64];
    (void)snprintf(setgroups, sizeof setgroups, "/proc/%d/setgroups", (int)pid);
    if (write_map(pid, "uid_map", &config->uid_mappings) < 0 &&
        (errno != EPERM || map_with_helper(pid, "newuidmap", &config->uid_mappings, f) < 0))
        return f->stage ? -1 : fault_errno(f, STAGE_USER, "failed to update /proc/%d/uid_map", (int)pid);
    if (write_map(pid, "gid_map", &config->gid_mappings) == 0)
        return 0;
    if (errno == EPERM && map_with_helper(pid, "newgidmap", &config->gid_mappings, f) == 0)
        return 0;
    *f = (struct fault){0};
    /* Unprivileged and alone, one's own gid may only be mapped where setgroups(2) is given up: user_namespaces(7). */
    if (write_file_at(AT_FDCWD, setgroups, "deny") == 0 && write_map(pid, "gid_map", &config->gid_mappings) == 0)
        return 0;
    return fault_errno(f, STAGE_USER, "failed to update /proc/%d/gid_map", (int)pid);
}

int namespaces_become_root(struct fault *f)
{
    if (setresgid(0, 0, 0) < 0)
        return fault_errno(f, STAGE_USER, "setresgid(0)");
    if (setresuid(0, 0, 0) < 0)
        return fault_errno(f, STAGE_USER, "setresuid(0)");
    return 0;
}

int namespaces_enter(const struct launch *launch, struct fault *f)
{
    int new = (int)(new_flags(launch->config) & ~(unsigned long long)IN_CLONE);
    if (new &&unshare(new) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to unshare namespaces");
    static const enum namespace_kind order[] = {NS_IPC, NS_UTS, NS_NETWORK, NS_CGROUP, NS_TIME, NS_MOUNT};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int fd = launch->namespace_fds[order[i]];
        if (fd >= 0 && setns(fd, (int)kinds[order[i]].flag) < 0)
            return fault_errno(f, STAGE_NAMESPACE, "failed to setns into %s namespace", kinds[order[i]].file);
    }
    return 0;
}
