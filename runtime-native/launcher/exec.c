/* exec: a further process in a running container. This is the parent's half; it keeps our view of the host, for pid
 * files and logs. */
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "commands.h"
#include "console.h"
#include "exec.h"
#include "foreground.h"
#include "io.h"
#include "labels.h"
#include "listener.h"
#include "log.h"
#include "rlimits.h"
#include "self.h"
#include "user-namespace.h"

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
    if ((has_file ? exec_process_from_file(e, f) : exec_process_from_flags(e, words, argv, f)) < 0 ||
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
    if (exec_clone_inside(e, f) < 0)
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
    if (result == 0 && is_foreground)
        result = foreground_wait(e->pid, e->signals, e->terminal, f);
    if (result < 0 && e->pid > 0)
        kill_process(e->pid);
    return result;
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
