/* The PID and user namespaces are made by clone3, the others by the child itself: a network namespace alone takes half
 * a millisecond, and meanwhile the parent makes the cgroups. Those to join are joined around that: the PID namespace by
 * the parent (it only takes effect for children), the others by the child. Where user namespaces are in play too, a
 * process between does the joining. */
#include "namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "user-namespace.h"

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
        int type = ioctl(fds[kind], NS_GET_NSTYPE);
        if (type < 0)
            return fault_text(f, STAGE_NAMESPACE, "namespace path %s is no namespace", path);
        if ((unsigned)type != kinds[kind].flag)
            return fault_text(f, STAGE_NAMESPACE, "namespace path %s is not of type %s", path, kinds[kind].file);
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
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid >= 0 || errno != ENOSYS || cgroup >= 0)
        return pid;
    /* Before Linux 5.3, or a filter that cannot look into clone3's arguments. minirun has no signal handlers. */
    unsigned long old = (unsigned long)flags | (pidfd ? CLONE_PIDFD : 0) | arguments.exit_signal;
    return (pid_t)syscall(SYS_clone, old, NULL, pidfd, NULL, 0);
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
 * time: its offsets can only be set while nobody is in it. */
static unsigned long long new_flags(const struct config *config)
{
    unsigned long long flags = 0;
    for (int kind = 0; kind < NS_COUNT; kind++)
        if (kind != NS_CGROUP && kind != NS_TIME && config_has_new_namespace(config, (enum namespace_kind)kind))
            flags |= kinds[kind].flag;
    return flags;
}

static int describe_offsets(const struct json *offsets, char *text, size_t size, struct fault *f)
{
    size_t at = 0;
    json_each(item, offsets)
    {
        int64_t seconds = 0;
        uint64_t nanoseconds = 0;
        if (json_int64(item, "secs", &seconds) < 0 || json_uint64(item, "nanosecs", &nanoseconds) < 0)
            return fault_text(f, STAGE_NAMESPACE, "timeOffsets: %s needs integers", item->key);
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "%s %lld %llu\n", item->key, (long long)seconds,
                                   (unsigned long long)nanoseconds);
    }
    return 0;
}

/* A time namespace is made for one's children and entered at last, with its offsets written in between. `file` is our
 * timens_offsets, opened before we took another user's ids: afterwards it belongs to the root of the host. */
static int make_time_namespace(int file, const struct json *offsets, struct fault *f)
{
    char text[256] = "";
    if (describe_offsets(offsets, text, sizeof text, f) < 0)
        return -1;
    if (unshare(CLONE_NEWTIME) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to unshare the time namespace");
    if (*text && (file < 0 || write_all(file, text, strlen(text)) < 0))
        return fault_errno(f, STAGE_NAMESPACE, "failed to update /proc/self/timens_offsets");
    AUTO_CLOSE int children = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    return children < 0 || setns(children, CLONE_NEWTIME) < 0
               ? fault_errno(f, STAGE_NAMESPACE, "failed to enter the time namespace")
               : 0;
}

int namespaces_make_time(const struct config *config, struct fault *f)
{
    AUTO_CLOSE int file = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    return make_time_namespace(file, config->time_offsets, f);
}

/* Joins what was opened. A namespace that belongs to a user namespace that is yet to be joined refuses now. */
static int join(struct launch *launch, bool may_refuse, struct fault *f)
{
    static const enum namespace_kind order[] = {NS_IPC, NS_UTS, NS_NETWORK, NS_CGROUP, NS_TIME, NS_PID};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        int *fd = &launch->namespace_fds[order[i]];
        if (*fd < 0)
            continue;
        if (setns(*fd, (int)kinds[order[i]].flag) == 0)
            close_fd(fd);
        else if (!may_refuse || errno != EPERM)
            return fault_errno(f, STAGE_NAMESPACE, "failed to setns into %s namespace", kinds[order[i]].file);
    }
    return 0;
}

static int join_user_namespace(struct launch *launch, struct fault *f)
{
    bool has_new_time = config_has_new_namespace(launch->config, NS_TIME);
    AUTO_CLOSE int offsets = has_new_time ? open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC) : -1;
    if (setns(launch->namespace_fds[NS_USER], CLONE_NEWUSER) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to setns into user namespace");
    close_fd(&launch->namespace_fds[NS_USER]);
    launch->denies_groups = user_namespace_denies_groups(0);
    if (user_namespace_check_joined(launch->config, f) < 0 || user_namespace_become_root(f) < 0)
        return -1;
    return has_new_time ? make_time_namespace(offsets, launch->config->time_offsets, f) : 0;
}

/* A process between: joins, and clones the container's process as a sibling of itself. Namespaces of our own user need
 * the rights that we have now, those of the container's user namespace the rights in there. */
static void between(struct launch *launch) __attribute__((noreturn));
static void between(struct launch *launch)
{
    struct fault f = {0};
    pid_t pid = -1;
    bool joins_user = launch->namespace_fds[NS_USER] >= 0;
    if (join(launch, joins_user, &f) == 0 &&
        (!joins_user || (join_user_namespace(launch, &f) == 0 && join(launch, false, &f) == 0))) {
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

static int clone_through_helper(struct launch *launch, int parent_sync, pid_t *pid, int *pidfd, struct fault *f)
{
    pid_t helper = clone_process(0, NULL);
    if (helper == 0) {
        (void)close(parent_sync);
        between(launch);
    }
    if (helper < 0)
        return fault_errno(f, STAGE_NAMESPACE, "clone");
    int number = 0, result = sync_expect(parent_sync, SYNC_MAPPED, &number, f);
    (void)wait_process(helper, NULL);
    if (result < 0)
        return -1;
    *pid = number;
    *pidfd = (int)syscall(SYS_pidfd_open, number, 0);
    return *pidfd < 0 ? fault_errno(f, STAGE_NAMESPACE, "pidfd_open") : 0;
}

/* A user namespace comes before all that is made in it, and after all that is joined with the rights we have now. */
static bool needs_helper(const struct launch *launch)
{
    if (launch->namespace_fds[NS_USER] >= 0)
        return true;
    for (int kind = 0; kind < NS_COUNT; kind++)
        if (launch->is_new_user_namespace && kind != NS_MOUNT && launch->namespace_fds[kind] >= 0)
            return true;
    return false;
}

/* The PID namespace of our children-to-be is put back at the end, so that hooks run in ours. */
static int join_pids_for_children(const struct launch *launch, int *saved, struct fault *f)
{
    if (launch->namespace_fds[NS_PID] < 0)
        return 0;
    *saved = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    return *saved < 0 || setns(launch->namespace_fds[NS_PID], CLONE_NEWPID) < 0
               ? fault_errno(f, STAGE_NAMESPACE, "failed to setns into pid namespace")
               : 0;
}

int namespaces_clone(struct launch *launch, int parent_sync, pid_t *pid, int *pidfd, struct fault *f)
{
    if (needs_helper(launch))
        return clone_through_helper(launch, parent_sync, pid, pidfd, f);
    AUTO_CLOSE int saved = -1;
    int result = join_pids_for_children(launch, &saved, f);
    if (result == 0) {
        unsigned long long flags = new_flags(launch->config) & IN_CLONE;
        /* A child in another user or mount namespace cannot reach the host's cgroups. */
        bool can_enter = !launch->is_new_user_namespace && launch->namespace_fds[NS_MOUNT] < 0;
        *pid = can_enter ? clone_into_cgroup(flags, pidfd, launch->cgroup, &launch->enters_cgroup)
                         : clone_process(flags, pidfd);
        if (*pid == 0) {
            (void)close(parent_sync); /* so that our end tells of the parent's */
            container_init(launch);
        }
        if (*pid < 0)
            result = fault_errno(f, STAGE_NAMESPACE, "clone");
    }
    if (saved >= 0)
        (void)setns(saved, CLONE_NEWPID);
    return result;
}

int namespaces_enter(struct launch *launch, struct fault *f)
{
    int new = (int)(new_flags(launch->config) & ~(unsigned long long)IN_CLONE);
    if (new &&unshare(new) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to unshare namespaces");
    close_fd(&launch->namespace_fds[NS_PID]); /* we are in it since the clone */
    if (join(launch, false, f) < 0)
        return -1;
    int mount = launch->namespace_fds[NS_MOUNT];
    return mount >= 0 && setns(mount, CLONE_NEWNS) < 0
               ? fault_errno(f, STAGE_NAMESPACE, "failed to setns into mnt namespace")
               : 0;
}
