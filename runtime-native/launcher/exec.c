/* A further process in a running container. It is born in the container's namespaces: a helper joins them, with one
 * setns on the init's pidfd, and clones it as our child, so we keep our view of the host for pid files and logs. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capabilities.h"
#include "commands.h"
#include "console.h"
#include "container.h"
#include "foreground.h"
#include "io.h"
#include "keyring.h"
#include "labels.h"
#include "launch.h"
#include "listener.h"
#include "log.h"
#include "mounts.h"
#include "namespaces.h"
#include "options.h"
#include "rlimits.h"
#include "rootfs.h"
#include "scheduler.h"
#include "self.h"
#include "user-namespace.h"

struct exec_options {
    const char *console_socket, *pidfd_socket, *cwd, *user, *process, *pid_file, *label, *apparmor;
    unsigned preserve_fds;
    bool tty, detach, no_new_privileges, ignore_paused;
    struct option_values env, groups, capabilities, cgroups;
};

struct execution {
    const struct exec_options *options;
    struct container container;
    struct config config; /* its arena, process and personality */
    struct json_document *document;
    struct cgroup cgroup; /* where the process goes: the container's, or below */
    struct launch launch;
    int init, sync, pidfd, signals, console, terminal;
    pid_t pid;
};

static int parse_user(struct process_config *process, const char *text, struct fault *f)
{
    char *end;
    errno = 0;
    unsigned long uid = strtoul(text, &end, 10), gid = process->gid;
    bool is_valid = *text >= '0' && *text <= '9' && (*end == '\0' || *end == ':');
    if (is_valid && *end == ':') {
        const char *group = end + 1;
        gid = strtoul(group, &end, 10);
        is_valid = *group >= '0' && *group <= '9' && *end == '\0';
    }
    if (!is_valid || errno || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return fault_text(f, STAGE_ARGUMENTS, "parsing %s as int for uid failed: invalid syntax", text);
    process->uid = (uid_t)uid;
    process->gid = (gid_t)gid;
    return 0;
}

static int append_strings(struct arena *arena, char ***list, const struct option_values *more, struct fault *f)
{
    size_t count = 0;
    while ((*list)[count])
        count++;
    char **grown = arena_alloc(arena, count + more->count + 1, sizeof *grown);
    if (!grown)
        return fault_errno(f, STAGE_CONFIG, "read arguments");
    memcpy(grown, *list, count * sizeof *grown);
    for (size_t i = 0; i < more->count; i++)
        grown[count + i] = (char *)(uintptr_t)more->items[i];
    *list = grown;
    return 0;
}

static int add_groups(struct arena *arena, struct process_config *process, const struct option_values *more,
                      struct fault *f)
{
    gid_t *groups = arena_alloc(arena, process->group_count + more->count + 1, sizeof *groups);
    if (!groups)
        return fault_errno(f, STAGE_CONFIG, "read groups");
    memcpy(groups, process->groups, process->group_count * sizeof *groups);
    for (size_t i = 0; i < more->count; i++) {
        char *end;
        unsigned long gid = strtoul(more->items[i], &end, 10);
        if (*end || end == more->items[i] || gid >= UINT32_MAX)
            return fault_text(f, STAGE_ARGUMENTS, "invalid value \"%s\" for flag -additional-gids", more->items[i]);
        groups[process->group_count++] = (gid_t)gid;
    }
    process->groups = groups;
    return 0;
}

/* The container's own process section with what the flags change. */
static int process_from_flags(struct execution *e, int words, char **argv, struct fault *f)
{
    const struct exec_options *options = e->options;
    struct process_config *process = &e->config.process;
    struct option_values arguments = {0};
    if (config_load(&e->config, e->container.bundle, e->container.config, f) < 0)
        return -1;
    if (words < 2)
        return fault_text(f, STAGE_ARGUMENTS, "exec args cannot be empty");
    if (words - 1 > MAX_OPTION_VALUES)
        return fault_text(f, STAGE_ARGUMENTS, "too many arguments");
    for (int i = 1; i < words; i++)
        arguments.items[arguments.count++] = argv[i];
    process->args[0] = NULL;
    if (append_strings(&e->config.arena, &process->args, &arguments, f) < 0 ||
        append_strings(&e->config.arena, &process->env, &options->env, f) < 0 ||
        add_groups(&e->config.arena, process, &options->groups, f) < 0 ||
        (options->user && parse_user(process, options->user, f) < 0))
        return -1;
    if (options->cwd && *options->cwd)
        process->cwd = options->cwd;
    if (options->apparmor && *options->apparmor)
        process->apparmor_profile = options->apparmor;
    if (options->label && *options->label)
        process->selinux_label = options->label;
    for (size_t i = 0; i < options->capabilities.count; i++) {
        int number = capability_number(options->capabilities.items[i]);
        if (number < 0)
            log_warning("ignoring unknown or unavailable capabilities: [%s]", options->capabilities.items[i]);
        uint64_t bit = number < 0 ? 0 : UINT64_C(1) << number;
        process->capabilities.bounding |= bit;
        process->capabilities.permitted |= bit;
        process->capabilities.effective |= bit;
        if (process->capabilities.inheritable)
            process->capabilities.ambient |= bit;
    }
    process->no_new_privileges = process->no_new_privileges || options->no_new_privileges;
    process->has_terminal = options->tty;
    return 0;
}

/* What a process.json says nothing of is as confined as the container's own process, never less (youki#3434). */
static int inherit_confinement(struct execution *e, const struct json *given, struct fault *f)
{
    struct process_config *process = &e->config.process;
    bool has_all = json_get(given, "capabilities") && process->apparmor_profile && process->selinux_label;
    struct config container = {0};
    if (has_all || config_load(&container, e->container.bundle, e->container.config, f) < 0) {
        config_free(&container);
        return has_all ? 0 : -1;
    }
    if (!json_get(given, "capabilities"))
        process->capabilities = container.process.capabilities;
    if (!process->apparmor_profile && container.process.apparmor_profile)
        process->apparmor_profile = arena_format(&e->config.arena, "%s", container.process.apparmor_profile);
    if (!process->selinux_label && container.process.selinux_label)
        process->selinux_label = arena_format(&e->config.arena, "%s", container.process.selinux_label);
    config_free(&container);
    return 0;
}

static int process_from_file(struct execution *e, struct fault *f)
{
    size_t size = 0;
    AUTO_FREE char *text = read_file_at(AT_FDCWD, e->options->process, 16 * 1024 * 1024, &size);
    if (!text)
        return fault_errno(f, STAGE_CONFIG, "open %s", e->options->process);
    e->document = json_parse(text, size, f);
    if (!e->document)
        return -1;
    const struct json *given = json_root(e->document);
    return config_parse_process(&e->config.arena, &e->config.process, given, f) < 0 ? -1
                                                                                    : inherit_confinement(e, given, f);
}

/* The container's groups, or those below that --cgroup names. A container may have moved away from its v2 group. Groups
 * that are gone are left out: inside, their paths would be the container's. */
static int choose_cgroup(struct execution *e, struct fault *f)
{
    const struct option_values *wanted = &e->options->cgroups;
    struct cgroup *cgroup = &e->cgroup;
    *cgroup = e->container.cgroup;
    if (cgroup_choose_below(&e->config.arena, cgroup, wanted->items, wanted->count, f) < 0 ||
        cgroup_open(cgroup, f) < 0)
        return -1;
    for (size_t i = 0; i < cgroup->count; i++) {
        if (cgroup->dirs[i].fd >= 0)
            continue;
        if (wanted->count)
            return fault_told(f, STAGE_CGROUP, ENOENT,
                              "error adding pid 0 to cgroups: open %s/cgroup.procs: no such file or directory",
                              cgroup->dirs[i].path);
        if (cgroup->mode == CGROUP_V2)
            return cgroup_follow(cgroup, e->container.pid, f);
        cgroup->dirs[i--] = cgroup->dirs[--cgroup->count];
    }
    return 0;
}

static int prepare(struct execution *e, int words, char **argv, struct fault *f)
{
    enum container_status status = container_status(&e->container);
    if (status == STATUS_STOPPED)
        return fault_text(f, STAGE_STATE, "cannot exec in a stopped container");
    if (status == STATUS_PAUSED && !e->options->ignore_paused)
        return fault_text(f, STAGE_STATE, "cannot exec in a paused container (use --ignore-paused to override)");
    e->init = container_pidfd(&e->container, f);
    if (e->init < 0)
        return -1;
    bool has_file = e->options->process && *e->options->process;
    if ((has_file ? process_from_file(e, f) : process_from_flags(e, words, argv, f)) < 0 ||
        process_validate(&e->config.process, f) < 0 || choose_cgroup(e, f) < 0)
        return -1;
    e->config.mount_label = NULL;
    labels_drop_unknown(&e->config.process, &e->config.mount_label);
    e->config.personality = e->container.personality;
    e->config.memory_policy = e->container.memory_policy;
    e->launch = (struct launch){.config = &e->config,
                                .process = &e->config.process,
                                .arena = &e->config.arena,
                                .id = e->container.id,
                                .bundle = e->container.bundle,
                                .cgroup = &e->cgroup,
                                .sync = -1,
                                .exec_fifo = -1,
                                .console_socket = -1,
                                .is_foreground = !e->options->detach,
                                .keeps_keyring = e->container.keeps_keyring};
    e->launch.has_user_namespace = e->container.namespaces & CLONE_NEWUSER;
    e->launch.denies_groups = user_namespace_denies_groups(e->container.pid);
    e->launch.keeps_groups = json_get(e->container.annotations, KEEP_GROUPS_ANNOTATION);
    e->launch.parent_sets_rlimits = e->container.namespaces & CLONE_NEWUSER;
    e->launch.preserved_fds = e->options->preserve_fds;
    if (seccomp_load(&e->config.arena, e->container.dir, &e->launch.seccomp, f) < 0)
        return -1;
    return console_open(&e->config.process, e->options->console_socket, e->options->detach, &e->launch.console_socket,
                        &e->console, f);
}

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
    _exit(255);
}

static int accompany(struct execution *e, struct fault *f)
{
    for (bool is_ready = false;;) {
        int argument = 0, message = sync_receive(e->sync, &argument, f);
        if (message < 0)
            return fault_wrap(f, "unable to start container process: ");
        if (message == 0)
            return is_ready ? 0
                            : fault_text(f, STAGE_RUNTIME, "unable to start container process: the process is gone");
        if (message == SYNC_LISTENER) {
            if (listener_forward(&e->launch.seccomp, &e->container,
                                 &(struct notifying_process){e->pid, e->pidfd, argument}, f) < 0 ||
                sync_send(e->sync, SYNC_LISTENER, 0, f) < 0)
                return -1;
            continue;
        }
        is_ready = true;
        if (e->launch.parent_sets_rlimits && rlimits_apply(e->pid, &e->config.process, f) < 0)
            return -1;
        if (e->launch.parent_sets_rlimits && sync_send(e->sync, SYNC_GO, 0, f) < 0)
            return -1;
    }
}

/* The cgroup namespace is entered later, by the process itself: from within, the way into its cgroup may be barred. */
static void join_and_clone(struct execution *e) __attribute__((noreturn, noinline));
static void join_and_clone(struct execution *e)
{
    struct fault f = {0};
    pid_t pid = -1;
    unsigned namespaces = e->container.namespaces & ~(unsigned)CLONE_NEWCGROUP;
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
static int clone_inside(struct execution *e, struct fault *f)
{
    int pid = 0;
    pid_t helper = e->container.namespaces & CLONE_NEWTIME ? fork() : vfork();
    if (helper == 0)
        join_and_clone(e);
    if (helper < 0)
        return fault_errno(f, STAGE_NAMESPACE, "clone");
    int result = sync_expect(e->sync, SYNC_MAPPED, &pid, f);
    (void)waitpid(helper, NULL, 0);
    if (result < 0)
        return -1;
    e->launch.enters_cgroup = pid > 0; /* told, since a forked helper's memory is not ours */
    e->pid = abs(pid);
    e->pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
    log_debug("container %s: a further process is %d", e->container.id, (int)e->pid);
    return e->pidfd < 0 ? fault_errno(f, STAGE_NAMESPACE, "pidfd_open") : 0;
}

/* v2: a group that has given controllers to groups below takes no processes (EBUSY); the init is in one of those then.
 */
static int enter_cgroup(struct execution *e, struct fault *f)
{
    if (cgroup_enter(&e->cgroup, e->pid, f) == 0)
        return 0;
    if (f->error != EBUSY || e->cgroup.mode != CGROUP_V2 || e->options->cgroups.count)
        return -1;
    return cgroup_follow(&e->cgroup, e->container.pid, f) < 0 ? -1 : cgroup_enter(&e->cgroup, e->pid, f);
}

static int launch_child(struct execution *e, struct fault *f)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, STAGE_RUNTIME, "socketpair");
    e->sync = pair[0];
    e->launch.sync = pair[1];
    self_release();
    if (clone_inside(e, f) < 0)
        return -1;
    close_fd(&e->launch.sync);
    close_fd(&e->launch.console_socket);
    if (!e->launch.enters_cgroup && enter_cgroup(e, f) < 0)
        return fault_wrap(f, "unable to start container process: error adding pid %d to cgroups: ", (int)e->pid);
    if (sync_send(e->sync, SYNC_CGROUP, 0, f) < 0)
        return -1;
    if (e->options->pidfd_socket) {
        AUTO_CLOSE int socket = console_connect(e->options->pidfd_socket, f);
        if (socket < 0 || send_descriptor(socket, e->pidfd, "setns", f) < 0)
            return -1;
    }
    return accompany(e, f);
}

static int execute(struct execution *e, struct fault *f)
{
    bool is_foreground = !e->options->detach;
    e->signals = is_foreground ? foreground_block_signals(f) : -1;
    if (is_foreground && e->signals < 0)
        return -1;
    int result = launch_child(e, f);
    if (result == 0 && e->console >= 0) {
        e->terminal = console_receive(e->console, f);
        result = e->terminal < 0 ? -1 : 0;
    }
    if (result == 0)
        result = write_pid_file(e->options->pid_file, e->pid, f);
    if (result == 0)
        return is_foreground ? foreground_wait(e->pid, e->signals, e->terminal) : 0;
    if (e->pid > 0) {
        (void)kill(e->pid, SIGKILL);
        while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    return -1;
}

static int parse_options(const struct globals *globals, int argc, char **argv, struct exec_options *options,
                         struct fault *f)
{
    const struct option_rule rules[] = {
        {"console-socket", NULL, OPTION_TEXT, &options->console_socket, "send the terminal to this socket"},
        {"pidfd-socket", NULL, OPTION_TEXT, &options->pidfd_socket, "send the process's descriptor to this socket"},
        {"cwd", NULL, OPTION_TEXT, &options->cwd, "working directory"},
        {"env", "e", OPTION_LIST, &options->env, "a variable, NAME=VALUE"},
        {"tty", "t", OPTION_FLAG, &options->tty, "with a terminal"},
        {"user", "u", OPTION_TEXT, &options->user, "uid[:gid]"},
        {"additional-gids", "g", OPTION_LIST, &options->groups, "one more group"},
        {"process", "p", OPTION_TEXT, &options->process, "a file with the process as in config.json"},
        {"detach", "d", OPTION_FLAG, &options->detach, "do not wait for its end"},
        {"pid-file", NULL, OPTION_TEXT, &options->pid_file, "write the process id there"},
        {"process-label", NULL, OPTION_TEXT, &options->label, "SELinux label"},
        {"apparmor", NULL, OPTION_TEXT, &options->apparmor, "AppArmor profile"},
        {"no-new-privs", NULL, OPTION_FLAG, &options->no_new_privileges, "with no_new_privs"},
        {"cap", "c", OPTION_LIST, &options->capabilities, "one more capability"},
        {"preserve-fds", NULL, OPTION_COUNT, &options->preserve_fds, "pass on that many descriptors after 2"},
        {"cgroup", NULL, OPTION_LIST, &options->cgroups, "[controller:]path of a group below its own"},
        {"ignore-paused", NULL, OPTION_FLAG, &options->ignore_paused, "also in a paused container"},
        OPTIONS_END,
    };
    return options_parse(globals->usage, rules, argc, argv, f);
}

int command_exec(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct exec_options options = {0};
    struct execution e = {.options = &options,
                          .init = -1,
                          .sync = -1,
                          .pidfd = -1,
                          .signals = -1,
                          .console = -1,
                          .terminal = -1,
                          .container = {.dir = -1}};
    int words = parse_options(globals, argc, argv, &options, f);
    if (words < 0)
        return FAILED;
    int result = container_load(globals->root, argv[0], &e.container, f);
    if (result == 0)
        result = prepare(&e, words, argv, f);
    if (result == 0)
        result = execute(&e, f);
    cgroup_close(&e.cgroup);
    container_close(&e.container);
    json_free(e.document);
    config_free(&e.config);
    close_fd(&e.init);
    close_fd(&e.sync);
    close_fd(&e.pidfd);
    if (result >= 0)
        return result;
    (void)fault_wrap(f, "exec failed: ");
    log_fault(f);
    return 255;
}
