/* restore: CRIU makes the container's processes again from their images. Everything around them comes from the bundle
 * as in create: cgroups and limits, mount points, what is mounted there, namespaces, hooks. Of what lies with the
 * images only the names of the three standard streams are read here, and nothing is followed out of that folder. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup-resources.h"
#include "commands.h"
#include "console.h"
#include "container.h"
#include "criu.h"
#include "devices.h"
#include "foreground.h"
#include "io.h"
#include "labels.h"
#include "log.h"
#include "mounts.h"
#include "namespaces.h"

struct restore_options {
    struct criu_flags flags;
    const char *bundle, *console_socket, *pid_file, *lsm_profile, *lsm_mount_context;
    bool detach, no_subreaper, no_pivot, tcp_close;
};

struct restoration {
    const struct globals *globals;
    const struct restore_options *options;
    struct config config;
    struct container container;
    struct launch launch;
    struct criu criu;
    int signals, terminal, console, namespaces[2]; /* console: our end, for a foreground terminal */
};

static int parse_options(const struct globals *globals, int argc, char **argv, struct restore_options *options,
                         struct fault *f)
{
    const struct option_rule rules[] = {
        CRIU_FLAG_RULES(&options->flags),
        {"bundle", "b", OPTION_TEXT, &options->bundle, "folder of config.json (default: .)"},
        {"console-socket", NULL, OPTION_TEXT, &options->console_socket, "unix socket that gets the terminal"},
        {"pid-file", NULL, OPTION_TEXT, &options->pid_file, "where the process id is written"},
        {"lsm-profile", NULL, OPTION_TEXT, &options->lsm_profile, "TYPE:NAME of another security profile"},
        {"lsm-mount-context", NULL, OPTION_TEXT, &options->lsm_mount_context, "another SELinux context for mounts"},
        {"detach", "d", OPTION_FLAG, &options->detach, "do not wait for the container's end"},
        {"no-subreaper", NULL, OPTION_FLAG, &options->no_subreaper, "do not collect orphans"},
        {"no-pivot", NULL, OPTION_FLAG, &options->no_pivot, "has no meaning here: CRIU mounts the root"},
        {"tcp-close", NULL, OPTION_FLAG, &options->tcp_close, "restore TCP connections as closed"},
        OPTIONS_END,
    };
    return options_parse(globals->usage, rules, argc, argv, f);
}

static int prepare(struct restoration *r, struct fault *f)
{
    const struct restore_options *options = r->options;
    struct config *config = &r->config;
    struct launch *launch = &r->launch;
    for (int kind = 0; kind < NS_COUNT; kind++)
        launch->namespace_fds[kind] = -1;
    const char *bundle = options->bundle && *options->bundle ? options->bundle : ".";
    if (config_load(config, bundle, NULL, f) < 0 || config_validate(config, f) < 0 ||
        console_open(&config->process, options->console_socket, options->detach, &launch->console_socket, &r->console,
                     f) < 0)
        return -1;
    labels_drop_unknown(&config->process, &config->mount_label);
    launch->config = config;
    launch->process = &config->process;
    launch->arena = &config->arena;
    launch->id = r->container.id;
    launch->bundle = config->bundle;
    launch->cgroup = &r->container.cgroup;
    if (seccomp_prepare(&config->arena, config->seccomp, json_get(config->annotations, STRICT_SECCOMP_ANNOTATION),
                        &launch->seccomp, f) < 0)
        return -1;
    return r->globals->has_no_cgroups ? 0
                                      : cgroup_plan(&config->arena, config, r->container.id, &r->container.cgroup, f);
}

/* Pipes that were standard streams are replaced by ours. The file is not trusted: nothing else can be asked for. */
static int put_streams(struct restoration *r, struct fault *f)
{
    AUTO_CLOSE int file = openat(r->criu.images, CRIU_DESCRIPTORS, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[16384];
    ssize_t size = file < 0 ? -1 : read_all(file, text, sizeof text);
    if (size < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "open " CRIU_DESCRIPTORS);
    AUTO_JSON struct json_document *document = json_parse(text, (size_t)size, f);
    if (!document)
        return fault_wrap(f, CRIU_DESCRIPTORS ": ");
    int fd = 0;
    json_each(item, json_root(document))
    {
        if (fd < 3 && item->type == JSON_STRING && strncmp(item->text, "pipe:", 5) == 0)
            criu_put_inherited(&r->criu, fd, item->text);
        fd++;
    }
    return 0;
}

/* CRIU writes netns-N.img for a network namespace that was joined. */
static bool has_external_network(int images)
{
    bool has_one = false;
    int copy = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        has_one = has_one || strncmp(entry->d_name, "netns-", 6) == 0;
    if (listing)
        (void)closedir(listing);
    return has_one;
}

/* Namespaces of the config that exist already. CRIU takes the external ones of its images by descriptor; others, also
 * the network of a container that had made its own (under dockerd), are joined instead. */
static int put_namespaces(struct restoration *r, struct fault *f)
{
    static const struct {
        enum namespace_kind kind;
        const char *name, *inherited;
    } known[] = {{NS_NETWORK, "net", "extRootNetNS"},
                 {NS_PID, "pid", "extRootPidNS"},
                 {NS_IPC, "ipc", NULL},
                 {NS_UTS, "uts", NULL},
                 {NS_USER, "user", NULL},
                 {NS_TIME, "time", NULL},
                 {NS_MOUNT, "mnt", NULL}};
    const struct namespace *namespaces = r->config.namespaces;
    bool joins_network = namespaces[NS_NETWORK].path && !has_external_network(r->criu.images);
    if (namespaces[NS_CGROUP].path)
        return fault_text(f, STAGE_NAMESPACE, "Do not know how to handle namespace NEWCGROUP");
    if (!joins_network)
        message_put_number(&r->criu.options, CRIU_EMPTY_NS, CLONE_NEWNET);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *path = namespaces[known[i].kind].path;
        if (!path)
            continue;
        if (!known[i].inherited || (known[i].kind == NS_NETWORK && joins_network)) {
            criu_put_pair(&r->criu, CRIU_JOIN_NS, known[i].name, path);
            continue;
        }
        r->namespaces[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (r->namespaces[i] < 0)
            return fault_errno(f, STAGE_NAMESPACE, "Requested %s namespace %s does not exist", known[i].name, path);
        if (criu_inherit(&r->criu, r->namespaces[i], known[i].inherited, f) < 0)
            return -1;
    }
    return 0;
}

static int put_options(struct restoration *r, struct fault *f)
{
    const struct restore_options *options = r->options;
    struct message *message = &r->criu.options;
    AUTO_CLOSE int root = open(r->config.rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(f, STAGE_ROOTFS, "open %s", r->config.rootfs);
    message_put_text(message, CRIU_ROOT, r->config.rootfs);
    message_put_number(message, CRIU_EVASIVE_DEVICES, true);
    message_put_number(message, CRIU_RESTORE_SIBLING, true);
    message_put_number(message, CRIU_TCP_CLOSE, options->tcp_close);
    if (options->lsm_profile && *options->lsm_profile)
        message_put_text(message, CRIU_LSM_PROFILE, options->lsm_profile);
    if (options->lsm_mount_context && *options->lsm_mount_context)
        message_put_text(message, CRIU_LSM_MOUNT_CONTEXT, options->lsm_mount_context);
    criu_put_config_file(&r->criu, r->config.annotations);
    if (put_namespaces(r, f) < 0 || put_streams(r, f) < 0)
        return -1;
    return criu_put_mounts(&r->criu, &r->config, &r->container.cgroup, root, true, f);
}

/* In a process and a mount namespace that end with it: what create would do. The mount points stay. */
static void build_rootfs(struct launch *launch, int report) __attribute__((noreturn));
static void build_rootfs(struct launch *launch, int report)
{
    struct fault f = {0};
    struct rootfs rootfs = {-1, -1, -1};
    (void)umask(0);
    if (mounts_open_sources(launch, launch->arena, &f) < 0 || rootfs_attach(launch, &rootfs, &f) < 0 ||
        mounts_apply(launch, &rootfs, &f) < 0 ||
        (devices_are_ours(launch->config) && devices_create(launch, &rootfs, &f) < 0))
        (void)sync_send_fault(report, &f);
    else
        (void)sync_send(report, SYNC_READY, 0, &f);
    _exit(0);
}

static int make_mount_points(struct launch *launch, struct fault *f)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, STAGE_ROOTFS, "socketpair");
    AUTO_CLOSE int ours = pair[0];
    AUTO_CLOSE int theirs = pair[1];
    pid_t child = clone_process(CLONE_NEWNS, NULL);
    if (child == 0)
        build_rootfs(launch, theirs);
    if (child < 0)
        return fault_errno(f, STAGE_ROOTFS, "clone");
    close_fd(&theirs);
    int result = sync_expect(ours, SYNC_READY, NULL, f);
    (void)wait_process(child, NULL);
    return result;
}

/* CRIU wants the root to be a mount point. For that it gets a mount namespace, which ends with it: nothing to unmount
 * here, whatever happens. Its folders must be open in that namespace too, so we go there first and come back. */
struct world {
    int mounts, root, cwd;
};

static int enter_mounts(struct world *world, const struct launch *launch, struct fault *f)
{
    struct rootfs rootfs = {-1, -1, -1};
    world->mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    world->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    world->cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (world->mounts < 0 || world->root < 0 || world->cwd < 0 || unshare(CLONE_NEWNS) < 0)
        return fault_errno(f, STAGE_ROOTFS, "unshare the mount namespace");
    int result = rootfs_attach(launch, &rootfs, f);
    close_fd(&rootfs.fd);
    return result;
}

static int leave_mounts(struct world *world, struct fault *f)
{
    int result = 0;
    if (setns(world->mounts, CLONE_NEWNS) < 0 || fchdir(world->root) < 0 || chroot(".") < 0 || fchdir(world->cwd) < 0)
        result = fault_errno(f, STAGE_ROOTFS, "return to our mount namespace");
    close_fd(&world->mounts);
    close_fd(&world->root);
    close_fd(&world->cwd);
    return result;
}

static int start_criu(struct restoration *r, struct fault *f)
{
    struct world world = {-1, -1, -1};
    int result = enter_mounts(&world, &r->launch, f);
    if (result == 0 && (criu_open(&r->criu, &r->options->flags, "restore.log", false, f) < 0 || put_options(r, f) < 0 ||
                        criu_start(&r->criu, true, f) < 0))
        result = -1;
    struct fault stuck = {0};
    return leave_mounts(&world, result < 0 ? &stuck : f) < 0 ? -1 : result;
}

/* CRIU works inside the container's cgroups: its children, the container, are born there. */
static int enter_cgroups(struct restoration *r, struct fault *f)
{
    char path[64], *state = NULL;
    if (cgroup_enter(&r->container.cgroup, r->criu.pid, f) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)r->criu.pid);
    AUTO_FREE char *own = read_file_at(AT_FDCWD, path, 65536, NULL);
    if (!own)
        return fault_errno(f, STAGE_CGROUP, "read %s", path);
    for (char *line = strtok_r(own, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *controllers = strchr(line, ':'), *place = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!place)
            continue;
        *place++ = '\0';
        /* The unified hierarchy has no controllers, and the empty name. */
        for (char *name = controllers + 1, *comma; name; name = comma) {
            comma = strchr(name, ',');
            if (comma)
                *comma++ = '\0';
            criu_put_pair(&r->criu, CRIU_CGROUP_ROOT, name, place);
        }
    }
    return 0;
}

static bool is_in_our_time(pid_t pid)
{
    char path[64];
    struct stat ours, theirs;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/time", (int)pid);
    return stat("/proc/self/ns/time", &ours) < 0 || stat(path, &theirs) < 0 || ours.st_ino == theirs.st_ino;
}

/* A network namespace of its own is empty again: CRIU has made a new one. */
static int raise_its_loopback(pid_t pid, struct fault *f)
{
    char path[64];
    struct fault failure = {0};
    int status = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    AUTO_CLOSE int network = open(path, O_RDONLY | O_CLOEXEC);
    pid_t child = network < 0 ? -1 : clone_process(0, NULL);
    if (child == 0)
        _exit(setns(network, CLONE_NEWNET) < 0 || raise_loopback(&failure) < 0);
    if (child < 0 || wait_process(child, &status) < 0 || status != 0)
        return fault_errno(f, STAGE_NETWORK, "bring up the loopback interface");
    return 0;
}

static int run_hooks(struct restoration *r, struct fault *f)
{
    struct hook_state state;
    container_hook_state(&r->container, "creating", &state);
    state.directory = r->config.bundle;
    state.version = r->config.version;
    state.bundle = r->config.bundle;
    state.annotations = r->config.annotations;
    return hooks_run(r->config.hooks, "prestart", &state, f) < 0
               ? -1
               : hooks_run(r->config.hooks, "createRuntime", &state, f);
}

static int notify(void *context, const struct criu_notice *notice, struct fault *f)
{
    struct restoration *r = context;
    if (strcmp(notice->script, "setup-namespaces") == 0) {
        r->container.pid = notice->pid;
        if (config_has_new_namespace(&r->config, NS_NETWORK) && raise_its_loopback(notice->pid, f) < 0)
            return -1;
        return run_hooks(r, f);
    }
    if (strcmp(notice->script, "orphan-pts-master") == 0 && notice->fd >= 0 && r->launch.console_socket >= 0)
        return send_descriptor(r->launch.console_socket, notice->fd, "/dev/ptmx", f);
    if (strcmp(notice->script, "post-restore") != 0)
        return 0;
    r->container.pid = notice->pid;
    /* CRIU keeps clocks from jumping by a time namespace; exec must join it. */
    r->config.namespaces[NS_TIME].is_set = r->config.namespaces[NS_TIME].is_set || !is_in_our_time(notice->pid);
    return container_record(&r->container, &r->config, f) < 0 ? -1
                                                              : seccomp_save(&r->launch.seccomp, r->container.dir, f);
}

static int restore_processes(struct restoration *r, struct fault *f)
{
    if (start_criu(r, f) < 0 || enter_cgroups(r, f) < 0)
        return -1;
    int result = criu_ask(&r->criu, CRIU_RESTORE, f);
    if (result < 0)
        criu_quote_log(&r->criu);
    return result;
}

static int set_up_cgroups(struct restoration *r, struct fault *f)
{
    struct cgroup *cgroup = &r->container.cgroup;
    if (r->globals->has_no_cgroups)
        return 0;
    if (cgroup_create_unified(cgroup, f) < 0 || cgroup_create(cgroup, f) < 0)
        return fault_wrap(f, "unable to apply cgroup configuration: ");
    return cgroup_apply(cgroup, r->config.resources, false, f);
}

static int make_container(struct restoration *r, struct fault *f)
{
    if (set_up_cgroups(r, f) < 0 || make_mount_points(&r->launch, f) < 0)
        return -1;
    int result = restore_processes(r, f);
    criu_close(&r->criu);
    if (result < 0)
        return -1;
    if (r->console >= 0) {
        r->terminal = console_receive(r->console, f);
        if (r->terminal < 0)
            return -1;
    }
    return write_pid_file(r->options->pid_file, r->container.pid, f);
}

static void undo(struct restoration *r)
{
    criu_close(&r->criu);
    container_abandon(r->globals->root, &r->container);
}

static int restore(struct restoration *r, struct fault *f)
{
    const struct restore_options *options = r->options;
    if (prepare(r, f) < 0 || criu_require(false, options->flags.lazy_pages, f) < 0 ||
        container_claim(r->globals->root, &r->container, f) < 0)
        return -1;
    if (!options->detach) {
        if (!options->no_subreaper)
            (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        r->signals = foreground_block_signals(f);
    }
    if ((!options->detach && r->signals < 0) || make_container(r, f) < 0) {
        undo(r);
        return -1;
    }
    if (options->detach)
        return 0;
    int code = foreground_wait(r->container.pid, r->signals, r->terminal, f);
    if (code < 0) {
        undo(r);
        return -1;
    }
    r->container.pid = 0;
    if (container_destroy(r->globals->root, &r->container, f) < 0)
        log_warning("%s: %s", f->message, error_text(f->error));
    return code;
}

int command_restore(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct restore_options options = {0};
    struct restoration r = {.globals = globals,
                            .options = &options,
                            .signals = -1,
                            .terminal = -1,
                            .console = -1,
                            .namespaces = {-1, -1},
                            .launch = {.sync = -1, .exec_fifo = -1, .device_nodes = -1, .console_socket = -1}};
    if (parse_options(globals, argc, argv, &options, f) < 0)
        return FAILED;
    if (globals->is_rootless)
        log_warning("minirun restore is untested with rootless containers");
    r.container = (struct container){.dir = -1, .id = argv[0]};
    r.criu = (struct criu){.images = -1, .work = -1, .log_folder = -1, .socket = -1, .notify = notify, .context = &r};
    int result = restore(&r, f);
    criu_close(&r.criu);
    container_close(&r.container);
    config_free(&r.config);
    close_fd(&r.launch.console_socket);
    for (size_t i = 0; i < 2; i++)
        close_fd(&r.namespaces[i]);
    return result;
}
