/* The container's first process between clone and execve. The order is what keeps it safe:
 *   namespaces → mounts (host tree still there) → hooks → pivot_root → console, sysctls, masks (nothing of the host is
 * left) → identity → wait for start → execve. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console.h"
#include "devices.h"
#include "hooks.h"
#include "io.h"
#include "keyring.h"
#include "labels.h"
#include "launch.h"
#include "log.h"
#include "mount-legacy.h"
#include "mounts.h"
#include "namespaces.h"
#include "path.h"
#include "rootfs.h"
#include "scheduler.h"
#include "self.h"
#include "sysctl.h"
#include "user-namespace.h"

int raise_loopback(struct fault *f)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return fault_errno(f, STAGE_NETWORK, "bring up the loopback interface");
    return 0;
}

static int enter_namespaces(struct launch *launch, struct fault *f)
{
    const struct config *config = launch->config;
    bool joins_user = config->namespaces[NS_USER].path != NULL; /* then a process between has made the time namespace */
    if (!joins_user && config_has_new_namespace(config, NS_TIME) && namespaces_make_time(config, f) < 0)
        return -1;
    if (launch->is_new_user_namespace) {
        if (sync_expect(launch->sync, SYNC_MAPPED, NULL, f) < 0 || user_namespace_become_root(f) < 0)
            return -1;
        launch->denies_groups = user_namespace_denies_groups(0);
    }
    if (namespaces_enter(launch, f) < 0)
        return -1;
    if (!launch->keeps_keyring && keyring_join(launch->id, launch->has_user_namespace, f) < 0)
        return -1;
    return config_has_new_namespace(config, NS_NETWORK) ? raise_loopback(f) : 0;
}

/* The cgroup namespace is rooted where we are when it is made: that must be the container's group. */
static int enter_cgroup(const struct launch *launch, struct fault *f)
{
    if (sync_expect(launch->sync, SYNC_CGROUP, NULL, f) < 0)
        return -1;
    /* Who shares our PID namespace may not look into us until execve. Not before: an unprivileged parent writes our
     * /proc files until here, and has to fetch the seccomp listener later. */
    if (!launch->is_unprivileged)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (launch->enters_cgroup && cgroup_enter_self(launch->cgroup, f) < 0)
        return fault_wrap(f, "unable to apply cgroup configuration: ");
    affinity_reset();
    if (config_has_new_namespace(launch->config, NS_CGROUP) && unshare(CLONE_NEWCGROUP) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "failed to unshare cgroup namespace");
    return 0;
}

static int run_hooks(const struct launch *launch, const char *name, const char *status, struct fault *f)
{
    if (!hooks_exist(launch->config->hooks, name))
        return 0;
    struct hook_state state = {.version = launch->config->version,
                               .id = launch->id,
                               .status = status,
                               .bundle = launch->bundle,
                               .pid = getpid(),
                               .annotations = launch->config->annotations,
                               .environment = strcmp(name, "startContainer") == 0 ? launch->process->env : NULL};
    return hooks_run(launch->config->hooks, name, &state, f);
}

static int ask_parent(const struct launch *launch, enum sync_message message, struct fault *f)
{
    return sync_send(launch->sync, message, 0, f) < 0 ? -1 : sync_expect(launch->sync, message, NULL, f);
}

/* Everything that needs the host's tree: sources of mounts, its devices, hooks that look at both. */
static int build_rootfs(struct launch *launch, struct rootfs *rootfs, struct fault *f)
{
    if (rootfs_attach(launch, rootfs, f) < 0 || enter_cgroup(launch, f) < 0 || mounts_apply(launch, rootfs, f) < 0)
        return -1;
    if (devices_are_ours(launch->config) && devices_create(launch, rootfs, f) < 0)
        return -1;
    const struct json *hooks = launch->config->hooks, *devices = launch->config->network_devices;
    if (devices && devices->count && ask_parent(launch, SYNC_NETWORK, f) < 0)
        return -1;
    if ((hooks_exist(hooks, "prestart") || hooks_exist(hooks, "createRuntime")) &&
        ask_parent(launch, SYNC_HOOKS, f) < 0)
        return -1;
    /* As in runc they find themselves in the root, whose mounts are to be changed. */
    return fchdir(rootfs->fd) < 0 ? fault_errno(f, STAGE_ROOTFS, "chdir to rootfs")
                                  : run_hooks(launch, "createContainer", "creating", f);
}

static int make_root_readonly(struct fault *f)
{
    AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || mount_set(root, MOUNT_ATTR_RDONLY, 0, 0, false) < 0)
        return fault_errno(f, STAGE_ROOTFS, "error setting rootfs as readonly");
    return 0;
}

static int make_cwd(const struct launch *launch, struct fault *f)
{
    AUTO_CLOSE int cwd = path_make_directory(AT_FDCWD, launch->process->cwd);
    /* What only the container's user may enter is no failure here; process.c tries again as that user. */
    if (cwd < 0 && errno != EACCES && errno != EPERM)
        return fault_errno(f, STAGE_CWD, "mkdir %s", launch->process->cwd);
    return 0;
}

static int set_up_console(const struct launch *launch, const struct rootfs *rootfs, struct fault *f)
{
    AUTO_CLOSE int dev = path_make_directory(AT_FDCWD, "/dev");
    return dev < 0 ? fault_errno(f, STAGE_CONSOLE, "open /dev") : console_setup(launch, rootfs->devpts, dev, f);
}

static int set_names(const struct config *config, struct fault *f)
{
    if (config->hostname && *config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "sethostname");
    if (config->domainname && *config->domainname && setdomainname(config->domainname, strlen(config->domainname)) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "setdomainname");
    return 0;
}

/* Inside: paths are the container's own from here on. *proc is set when a label has to be written later. */
static int furnish(const struct launch *launch, const struct rootfs *rootfs, int *proc, struct fault *f)
{
    const struct config *config = launch->config;
    if (devices_are_ours(config) && devices_reopen_null(f) < 0)
        return -1;
    if (make_cwd(launch, f) < 0)
        return -1;
    if (launch->process->has_terminal && set_up_console(launch, rootfs, f) < 0)
        return -1;
    if (config->namespaces[NS_MOUNT].is_set && mounts_seal(launch, f) < 0)
        return -1;
    if (config->is_rootfs_readonly && make_root_readonly(f) < 0)
        return -1;
    if (set_names(config, f) < 0)
        return -1;
    bool has_sysctls = config->sysctl && config->sysctl->count;
    if (has_sysctls || labels_are_wanted(launch->process)) {
        *proc = rootfs_open_proc(rootfs, f);
        if (*proc < 0 || (has_sysctls && sysctl_apply(config->sysctl, *proc, f) < 0))
            return -1;
    }
    if (rootfs_protect(config, f) < 0)
        return -1;
    if (legacy_finish() < 0)
        return fault_errno(f, STAGE_MOUNT, "detach the tmpfs that mounts were made in");
    return rootfs_propagate(config, f);
}

static void end(int signal)
{
    _exit(128 + signal);
}

/* The first process of a PID namespace gets only signals that it handles; so that `kill` ends what was never started.
 */
static void take_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (signal(signals[i], end) == SIG_IGN)
            (void)signal(signals[i], SIG_IGN);
}

/* One byte from `minirun start`. The pipe is open for writing here too, so there is no end of file to mistake for it.
 */
static int wait_for_start(const struct launch *launch, struct fault *f)
{
    char byte;
    if (launch->exec_fifo < 0)
        return 0;
    if (sync_send(launch->sync, SYNC_WAITING, 0, f) < 0)
        return -1;
    return read_some(launch->exec_fifo, &byte, 1) == 1 ? 0 : fault_errno(f, STAGE_STATE, "read exec fifo");
}

static int run(struct launch *launch, char **executable, struct fault *f)
{
    struct rootfs rootfs = {-1, -1, -1};
    AUTO_CLOSE int proc = -1;
    (void)umask(0);
    if (launch->exec_fifo >= 0)
        take_signals();
    if (setsid() < 0 && errno != EPERM)
        return fault_errno(f, STAGE_NAMESPACE, "setsid");
    if (enter_namespaces(launch, f) < 0 || build_rootfs(launch, &rootfs, f) < 0 ||
        rootfs_enter(launch, &rootfs, f) < 0 || furnish(launch, &rootfs, &proc, f) < 0)
        return -1;
    close_fd(&launch->console_socket);
    if (process_drop_host(launch, proc, f) < 0)
        return -1;
    if (sync_ready(launch, f) < 0)
        return -1;
    return process_prepare(launch, proc, executable, f);
}

void container_init(struct launch *launch)
{
    struct fault f = {0};
    char *executable = NULL;
    sigset_t none;
    self_release();
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (run(launch, &executable, &f) == 0 && wait_for_start(launch, &f) == 0) {
        if (run_hooks(launch, "startContainer", "created", &f) == 0)
            process_execute(launch, executable);
        (void)dprintf(STDERR_FILENO, "%s\n", f.message);
    }
    (void)sync_send_fault(launch->sync, &f);
    process_end(1);
}
