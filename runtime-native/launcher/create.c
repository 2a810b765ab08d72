/* create and run: the parent's half of making a container. While the child builds its mounts, the parent makes the
 * cgroups and writes the state; they meet at the messages of launch.h. A failure anywhere leaves nothing behind. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup-resources.h"
#include "commands.h"
#include "console.h"
#include "container.h"
#include "devices.h"
#include "foreground.h"
#include "io.h"
#include "labels.h"
#include "launch.h"
#include "listener.h"
#include "log.h"
#include "mounts.h"
#include "namespaces.h"
#include "network-devices.h"
#include "options.h"
#include "rlimits.h"
#include "self.h"
#include "user-namespace.h"

struct create_options {
    const char *bundle, *config, *console_socket, *pidfd_socket, *pid_file;
    unsigned preserve_fds;
    bool detach, keep, no_pivot, no_new_keyring, no_subreaper;
};

struct creation {
    const struct globals *globals;
    const struct create_options *options;
    bool runs; /* run: nobody waits for start */
    struct config config;
    struct container container;
    struct launch launch;
    int sync, pidfd, signals, terminal, console; /* ours; console: our end, for a foreground terminal */
};

static int parse_options(const struct globals *globals, int argc, char **argv, bool runs,
                         struct create_options *options, struct fault *f)
{
    const struct option_rule rules[] = {
        {"bundle", "b", OPTION_TEXT, &options->bundle, "folder with config.json (default: here)"},
        {"config", "f", OPTION_TEXT, &options->config, "a file to read in the place of the bundle's config.json"},
        {"console-socket", NULL, OPTION_TEXT, &options->console_socket, "send the terminal to this socket"},
        {"pidfd-socket", NULL, OPTION_TEXT, &options->pidfd_socket, "send the init's descriptor to this socket"},
        {"pid-file", NULL, OPTION_TEXT, &options->pid_file, "write the process id there"},
        {"preserve-fds", NULL, OPTION_COUNT, &options->preserve_fds, "pass on that many descriptors after 2"},
        {"no-pivot", NULL, OPTION_FLAG, &options->no_pivot, "move the root instead of pivot_root: for a ramdisk"},
        {"no-new-keyring", NULL, OPTION_FLAG, &options->no_new_keyring, "keep the caller's session keyring"},
        {"no-subreaper", NULL, OPTION_FLAG, &options->no_subreaper, "leave orphaned processes to the caller's parent"},
        /* For create the list ends here. */
        {runs ? "detach" : NULL, "d", OPTION_FLAG, &options->detach, "do not wait for its end"},
        {"keep", NULL, OPTION_FLAG, &options->keep, "do not delete it at its end"},
        OPTIONS_END,
    };
    return options_parse(globals->usage, rules, argc, argv, f);
}

/* What stands before the container's own descriptors: those passed by socket activation, and --preserve-fds. Not each
 * must be open (crun), and what is ours among them closes with execve. */
static int count_preserved(struct creation *c, struct fault *f)
{
    const char *listen = getenv("LISTEN_FDS"), *listen_pid = getenv("LISTEN_PID");
    unsigned long count = 0;
    if (listen && (!listen_pid || strtol(listen_pid, NULL, 10) == getpid()))
        count = strtoul(listen, NULL, 10);
    if (count > 1024)
        return fault_text(f, STAGE_ARGUMENTS, "too many descriptors to preserve");
    c->launch.preserved_fds = c->options->preserve_fds + (unsigned)count;
    if (!count)
        return 0;
    struct process_config *process = &c->config.process;
    size_t variables = 0;
    while (process->env[variables])
        variables++;
    char **env = arena_alloc(&c->config.arena, variables + 3, sizeof *env);
    if (!env)
        return fault_errno(f, STAGE_CONFIG, "prepare the environment");
    memcpy(env, process->env, variables * sizeof *env);
    env[variables] = arena_format(&c->config.arena, "LISTEN_FDS=%lu", count);
    env[variables + 1] = arena_format(&c->config.arena, "LISTEN_PID=1");
    process->env = env;
    return 0;
}

/* The decisions: everything that can be refused or opened before anything exists. */
static int prepare(struct creation *c, struct fault *f)
{
    struct config *config = &c->config;
    struct launch *launch = &c->launch;
    *launch = (struct launch){.config = config,
                              .process = &config->process,
                              .arena = &config->arena,
                              .sync = -1,
                              .exec_fifo = -1,
                              .device_nodes = -1,
                              .console_socket = -1,
                              .is_foreground = c->runs && !c->options->detach,
                              .keeps_keyring = c->options->no_new_keyring,
                              .keeps_root = c->options->no_pivot};
    for (int kind = 0; kind < NS_COUNT; kind++)
        launch->namespace_fds[kind] = -1;
    const char *bundle = c->options->bundle && *c->options->bundle ? c->options->bundle : ".";
    bool is_detached = !c->runs || c->options->detach;
    if (config_load(config, bundle, c->options->config, f) < 0 || user_namespace_default(config, f) < 0 ||
        config_validate(config, f) < 0 ||
        console_open(&config->process, c->options->console_socket, is_detached, &launch->console_socket, &c->console,
                     f) < 0 ||
        count_preserved(c, f) < 0)
        return -1;
    labels_drop_unknown(&config->process, &config->mount_label);
    launch->keeps_groups = json_get(config->annotations, KEEP_GROUPS_ANNOTATION);
    launch->id = c->container.id;
    launch->bundle = config->bundle;
    launch->cgroup = &c->container.cgroup;
    launch->is_new_user_namespace = config_has_new_namespace(config, NS_USER);
    launch->has_user_namespace = config->namespaces[NS_USER].is_set;
    launch->denies_groups = user_namespace_denies_groups(0); /* of ours; the child asks again in its own */
    launch->is_unprivileged = geteuid() != 0;
    launch->parent_sets_rlimits = config->namespaces[NS_USER].is_set && geteuid() == 0;
    if (seccomp_prepare(&config->arena, config->seccomp, json_get(config->annotations, STRICT_SECCOMP_ANNOTATION),
                        &launch->seccomp, f) < 0 ||
        namespaces_open(config, launch->namespace_fds, f) < 0 || mounts_open_sources(launch, &config->arena, f) < 0 ||
        devices_open_sources(launch, f) < 0)
        return -1;
    return c->globals->has_no_cgroups ? 0
                                      : cgroup_plan(&config->arena, config, c->container.id, &c->container.cgroup, f);
}

static int make_fifo(struct creation *c, struct fault *f)
{
    if (c->runs)
        return 0;
    if (mkfifoat(c->container.dir, "exec.fifo", 0600) < 0)
        return fault_errno(f, STAGE_STATE, "mkfifo exec.fifo");
    c->launch.exec_fifo = openat(c->container.dir, "exec.fifo", O_RDWR | O_CLOEXEC);
    return c->launch.exec_fifo < 0 ? fault_errno(f, STAGE_STATE, "open exec.fifo") : 0;
}

/* Lowering the score below what we have ourselves needs CAP_SYS_RESOURCE. */
static int set_oom_score(const struct creation *c, struct fault *f)
{
    char path[64], text[16];
    if (!c->config.process.has_oom_score)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)c->container.pid);
    (void)snprintf(text, sizeof text, "%d", c->config.process.oom_score);
    if (write_file_at(AT_FDCWD, path, text) == 0)
        return 0;
    if (errno != EACCES && errno != EPERM)
        return fault_errno(f, STAGE_RUNTIME, "failed to update /proc/self/oom_score_adj");
    log_warning("no CAP_SYS_RESOURCE to set oom_score_adj to %s: it stays as it is", text);
    return 0;
}

/* Who has user and cgroup namespaces of his own, and a writable view of the group, is to manage it himself. */
static int delegate_cgroup(const struct creation *c, struct fault *f)
{
    const struct config *config = &c->config;
    bool sees_it_writable = false;
    for (size_t i = 0; i < config->mount_count; i++)
        sees_it_writable = sees_it_writable ||
                           (strcmp(config->mounts[i].type, "cgroup") == 0 && !(config->mounts[i].flags & MS_RDONLY));
    if (!sees_it_writable || !c->launch.is_new_user_namespace || !config_has_new_namespace(config, NS_CGROUP))
        return 0;
    for (size_t i = 0; i < config->uid_mappings.count; i++) {
        const struct id_mapping *mapping = &config->uid_mappings.items[i];
        if (config->process.uid >= mapping->container && config->process.uid - mapping->container < mapping->size)
            return cgroup_delegate(&c->container.cgroup, mapping->host + config->process.uid - mapping->container, f);
    }
    return 0;
}

static int set_up_cgroups(struct creation *c, struct fault *f)
{
    struct cgroup *cgroup = &c->container.cgroup;
    if (cgroup_create(cgroup, f) < 0)
        return fault_wrap(f, "unable to start container process: unable to apply cgroup configuration: ");
    if (cgroup_apply(cgroup, c->config.resources, false, f) < 0)
        return fault_wrap(f,
                          "unable to start container process: error during container init: error setting cgroup config "
                          "for procHooks process: ");
    if ((!c->launch.enters_cgroup && cgroup_enter(cgroup, c->container.pid, f) < 0) || delegate_cgroup(c, f) < 0)
        return fault_wrap(f, "unable to start container process: unable to apply cgroup configuration: ");
    if (!cgroup_tasks_dir(cgroup) && !config_has_new_namespace(&c->config, NS_PID))
        log_warning(
            "Container %s has no cgroup and no private pid namespace. Such configuration is strongly discouraged "
            "(nothing can find all of its processes to kill them)",
            c->container.id);
    return 0;
}

static int run_hooks(const struct creation *c, struct fault *f)
{
    struct hook_state state;
    container_hook_state(&c->container, "created", &state); /* prestart, by the spec's older versions */
    state.version = c->config.version;
    state.directory = c->config.bundle;
    int result = hooks_run(c->config.hooks, "prestart", &state, f);
    state.status = "creating";
    if (result < 0 || hooks_run(c->config.hooks, "createRuntime", &state, f) < 0)
        return fault_wrap(f, "unable to start container process: error during container init: ");
    return 0;
}

static int explain_death(const struct creation *c, struct fault *f)
{
    if (cgroup_oom_kills(&c->container.cgroup))
        return fault_text(f, STAGE_CGROUP,
                          "unable to start container process: container init was OOM-killed (memory limit "
                          "too low?)");
    return fault_text(f, STAGE_RUNTIME,
                      "unable to start container process: the init process has ended before it was ready");
}

/* The child works through its half; this answers where it asks, until it executes (run) or waits for start (create). */
static int accompany(struct creation *c, struct fault *f)
{
    bool is_ready = false;
    for (;;) {
        int argument = 0, message = sync_receive(c->sync, &argument, f);
        switch (message) {
        case SYNC_NETWORK:
            if (network_devices_move(&c->config, c->container.pid, f) < 0 || sync_send(c->sync, SYNC_NETWORK, 0, f) < 0)
                return -1;
            break;
        case SYNC_HOOKS:
            if (run_hooks(c, f) < 0 || sync_send(c->sync, SYNC_HOOKS, 0, f) < 0)
                return -1;
            break;
        case SYNC_READY:
            is_ready = true;
            if (c->launch.parent_sets_rlimits && rlimits_apply(c->container.pid, &c->config.process, f) < 0)
                return fault_wrap(
                    f, "unable to start container process: error during container init: error setting rlimits "
                       "for ready process: ");
            if (c->launch.parent_sets_rlimits && sync_send(c->sync, SYNC_GO, 0, f) < 0)
                return -1;
            break;
        case SYNC_IDMAP:
            if (mounts_map_inside(&c->launch, c->pidfd, argument, f) < 0 || sync_send(c->sync, SYNC_IDMAP, 0, f) < 0)
                return -1;
            break;
        case SYNC_LISTENER:
            if (listener_forward(&c->launch.seccomp, &c->container,
                                 &(struct notifying_process){c->container.pid, c->pidfd, argument}, f) < 0 ||
                sync_send(c->sync, SYNC_LISTENER, 0, f) < 0)
                return -1;
            break;
        case SYNC_WAITING:
            return 0;
        case 0:
            return is_ready && c->runs ? 0 : explain_death(c, f);
        default:
            if (message >= 0)
                (void)fault_text(f, STAGE_RUNTIME, "an unknown message %d", message);
            return fault_wrap(f, "unable to start container process: error during container init: ");
        }
    }
}

static int launch_child(struct creation *c, struct fault *f)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, STAGE_RUNTIME, "socketpair");
    c->sync = pair[0];
    c->launch.sync = pair[1];
    if (cgroup_create_unified(&c->container.cgroup, f) < 0)
        return fault_wrap(f, "unable to start container process: unable to apply cgroup configuration: ");
    if (c->launch.namespace_fds[NS_PID] >= 0)
        self_release(); /* others are there already */
    if (namespaces_clone(&c->launch, c->sync, &c->container.pid, &c->pidfd, f) < 0)
        return fault_wrap(f, "unable to start container process: ");
    log_debug("container %s: its init is process %d", c->container.id, (int)c->container.pid);
    close_fd(&c->launch.sync); /* so that the child's end is the last */
    close_fd(&c->launch.console_socket);
    if (c->launch.is_new_user_namespace &&
        (user_namespace_map(c->container.pid, &c->config.uid_mappings, &c->config.gid_mappings, f) < 0 ||
         sync_send(c->sync, SYNC_MAPPED, 0, f) < 0))
        return fault_wrap(f, "unable to start container process: ");
    if (set_oom_score(c, f) < 0 || set_up_cgroups(c, f) < 0)
        return -1;
    c->container.keeps_keyring = c->launch.keeps_keyring;
    if (container_record(&c->container, &c->config, f) < 0 || seccomp_save(&c->launch.seccomp, c->container.dir, f) < 0)
        return -1;
    if (c->options->pidfd_socket) {
        AUTO_CLOSE int socket = console_connect(c->options->pidfd_socket, f);
        if (socket < 0 || send_descriptor(socket, c->pidfd, "standard", f) < 0)
            return -1;
    }
    self_release();
    /* Where this fails the child has failed, or its limits have killed it: it tells the reason, or its end does. */
    struct fault ignored;
    (void)sync_send(c->sync, SYNC_CGROUP, 0, &ignored);
    return accompany(c, f);
}

int write_pid_file(const char *path, int pid, struct fault *f)
{
    char text[16];
    if (!path || !*path)
        return 0;
    (void)snprintf(text, sizeof text, "%d", pid);
    return create_file_at(AT_FDCWD, path, text, 0644) < 0 ? fault_errno(f, STAGE_IO, "open %s", path) : 0;
}

static int make_container(struct creation *c, struct fault *f)
{
    if (make_fifo(c, f) < 0 || launch_child(c, f) < 0)
        return -1;
    if (c->console >= 0) {
        c->terminal = console_receive(c->console, f);
        if (c->terminal < 0)
            return -1;
    }
    return write_pid_file(c->options->pid_file, c->container.pid, f);
}

static int run_poststart(const struct creation *c, struct fault *f)
{
    struct hook_state state;
    container_hook_state(&c->container, "running", &state);
    return hooks_run(c->config.hooks, "poststart", &state, f);
}

static int run_to_end(struct creation *c, struct fault *f)
{
    int code = foreground_wait(c->container.pid, c->signals, c->terminal, f);
    if (code < 0) {
        container_abandon(c->globals->root, &c->container);
        return -1;
    }
    c->container.pid = 0;
    if (!c->options->keep && container_destroy(c->globals->root, &c->container, f) < 0)
        log_warning("%s: %s", f->message, error_text(f->error));
    return code;
}

static int create(const struct globals *globals, const struct create_options *options, const char *id, bool runs,
                  struct fault *f)
{
    struct creation c = {.globals = globals,
                         .options = options,
                         .runs = runs,
                         .sync = -1,
                         .pidfd = -1,
                         .signals = -1,
                         .terminal = -1,
                         .console = -1,
                         .container = {.dir = -1, .id = id}};
    bool is_foreground = runs && !options->detach;
    int result = container_check_id(id, f) < 0 ? -1 : prepare(&c, f);
    bool is_claimed = result == 0 && container_claim(globals->root, &c.container, f) == 0;
    if (is_claimed)
        container_note_cgroups(&c.container);
    if (is_claimed && is_foreground) {
        if (!options->no_subreaper)
            (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        c.signals = foreground_block_signals(f);
    }
    result = is_claimed && (!is_foreground || c.signals >= 0) ? make_container(&c, f) : -1;
    if (result == 0 && runs)
        result = run_poststart(&c, f);
    if (result < 0 && is_claimed)
        container_abandon(globals->root, &c.container);
    if (result == 0 && is_foreground)
        result = run_to_end(&c, f);
    container_close(&c.container);
    config_free(&c.config);
    close_fd(&c.sync);
    close_fd(&c.pidfd);
    return result;
}

int command_create(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct create_options options = {0};
    if (parse_options(globals, argc, argv, false, &options, f) < 0)
        return FAILED;
    return create(globals, &options, argv[0], false, f) < 0 ? fault_wrap(f, "runc create failed: ") : 0;
}

int command_run(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct create_options options = {0};
    if (parse_options(globals, argc, argv, true, &options, f) < 0)
        return FAILED;
    int code = create(globals, &options, argv[0], true, f);
    return code < 0 ? fault_wrap(f, "runc run failed: ") : code;
}
