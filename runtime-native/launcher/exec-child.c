/* exec's process from its birth to execve. It is born in the container's namespaces: a helper joins them, with one
 * setns on the init's pidfd, and clones it as our child. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console.h"
#include "exec.h"
#include "io.h"
#include "keyring.h"
#include "log.h"
#include "namespaces.h"
#include "rootfs.h"
#include "scheduler.h"
#include "user-namespace.h"

/* In the container's namespaces, but not yet its process: the container sees it, and with CAP_SYS_PTRACE it may follow
 * /proc/<pid>/fd. So of the host's nothing stays open beyond the move into the cgroups. */
static int enter(struct execution *e, int *proc, struct fault *f)
{
    const struct process_config *process = &e->config.process;
    if (setsid() < 0)
        return fault_errno(f, STAGE_NAMESPACE, "setsid");
    if (affinity_apply(process, "initial", f) < 0 || sync_expect(e->launch.sync, SYNC_CGROUP, NULL, f) < 0)
        return -1;
    if (e->launch.enters_cgroup && cgroup_enter_self(&e->cgroup, f) < 0)
        return fault_wrap(f, "error adding pid %d to cgroups: ", (int)getpid());
    if (affinity_settle(process, f) < 0)
        return -1;
    if (e->container.namespaces & CLONE_NEWCGROUP && setns(e->init, CLONE_NEWCGROUP) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to setns into the container's cgroup namespace");
    if (process_drop_host(&e->launch, -1, f) < 0)
        return -1;
    if (e->container.namespaces & CLONE_NEWUSER && user_namespace_become_root(f) < 0)
        return -1;
    if (chdir("/") < 0)
        return fault_errno(f, STAGE_CWD, "chdir /");
    if (!e->launch.keeps_keyring && keyring_join(e->launch.id, e->container.namespaces & CLONE_NEWUSER, f) < 0)
        return -1;
    if (process->has_terminal && console_setup(&e->launch, -1, -1, f) < 0)
        return -1;
    if ((process->apparmor_profile && *process->apparmor_profile) ||
        (process->selinux_label && *process->selinux_label)) {
        const struct rootfs none = {-1, -1, -1};
        *proc = rootfs_open_proc(&none, f);
        if (*proc < 0)
            return -1;
    }
    return sync_ready(&e->launch, f);
}

static void run_child(struct execution *e) __attribute__((noreturn));

static void run_child(struct execution *e)
{
    struct fault f = {0};
    char *executable = NULL;
    int proc = -1;
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (enter(e, &proc, &f) == 0 && process_prepare(&e->launch, proc, &executable, &f) == 0)
        process_execute(&e->launch, executable);
    (void)sync_send_fault(e->launch.sync, &f);
    process_end(255);
}

/* The cgroup namespace is entered later, by the process itself: from within, the way into its cgroup may be barred. */
static void join_and_clone(struct execution *e) __attribute__((noreturn, noinline));

static void join_and_clone(struct execution *e)
{
    struct fault f = {0};
    pid_t pid = -1;
    unsigned namespaces = e->container.namespaces & ~(unsigned)CLONE_NEWCGROUP;
    (void)close(e->sync); /* ours only: descriptors are not shared; it stays open in the parent */
    /* Its children inherit this: no tracing by the container before execve, for all that is not the host's root. */
    if (geteuid() == 0)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (namespaces && setns(e->init, (int)namespaces) < 0)
        (void)fault_errno(&f, STAGE_NAMESPACE, "failed to setns into the container's namespaces");
    else if ((pid = clone_into_cgroup(CLONE_PARENT, NULL, &e->cgroup, &e->launch.enters_cgroup)) == 0)
        run_child(e);
    else if (pid < 0)
        (void)fault_errno(&f, STAGE_NAMESPACE, "clone");
    if (pid > 0)
        (void)sync_send(e->launch.sync, SYNC_MAPPED, e->launch.enters_cgroup ? pid : -pid, &f);
    else
        (void)sync_send_fault(e->launch.sync, &f);
    _exit(0);
}

/* A process between us and the container's, which the container cannot see, joins the namespaces: who is in the PID
 * namespace and not yet in the mount namespace would show the host's files as /proc/<pid>/root. It shares our memory,
 * which spares a copy, but for a time namespace: that can only be joined alone, setns(2). */
int exec_clone_inside(struct execution *e, struct fault *f)
{
    int pid = 0;
    pid_t helper = e->container.namespaces & CLONE_NEWTIME ? fork() : vfork();
    if (helper == 0)
        join_and_clone(e);
    if (helper < 0)
        return fault_errno(f, STAGE_NAMESPACE, "clone");
    int result = sync_expect(e->sync, SYNC_MAPPED, &pid, f);
    (void)wait_process(helper, NULL);
    if (result < 0)
        return -1;
    e->launch.enters_cgroup = pid > 0; /* told, since a forked helper's memory is not ours */
    e->pid = abs(pid);
    e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
    log_debug("container %s: a further process is %d", e->container.id, (int)e->pid);
    return e->pidfd < 0 ? fault_errno(f, STAGE_NAMESPACE, "pidfd_open") : 0;
}
