/* minirun: an OCI runtime. The command line of runc: minirun [global flags] command [flags] [words]. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "log.h"
#include "options.h"
#include "self.h"

#define ID "<container-id>"

static const struct command {
    struct usage usage;
    int (*run)(const struct globals *globals, int argc, char **argv, struct fault *f);
    bool enters; /* a process of ours will be seen from inside a container */
} commands[] = {
    {{"checkpoint", ID, "write the processes to a folder", 1, 1, false}, command_checkpoint, false},
    {{"create", ID, "make a container from a bundle; its process waits for start", 1, 1, false}, command_create, true},
    {{"delete", ID, "remove what a stopped container holds", 1, 1, false}, command_delete, false},
    {{"events", ID, "print resource statistics and OOM notices", 1, 1, false}, command_events, false},
    {{"exec", ID " <command> [args]", "run a further process in a container", 1, -1, true}, command_exec, true},
    {{"features", "", "print what this runtime can do", 0, 0, false}, command_features, false},
    {{"kill", ID " [signal]", "send a signal (default: SIGTERM) to the init", 1, 2, false}, command_kill, false},
    {{"list", "", "list the containers below --root", 0, 0, false}, command_list, false},
    {{"pause", ID, "suspend all processes", 1, 1, false}, command_pause, false},
    {{"ps", ID " [ps options]", "list the processes", 1, -1, true}, command_ps, false},
    {{"restore", ID, "make a container from a checkpoint", 1, 1, false}, command_restore, false},
    {{"resume", ID, "go on after pause", 1, 1, false}, command_resume, false},
    {{"run", ID, "create and start a container", 1, 1, false}, command_run, true},
    {{"spec", "", "write an example config.json", 0, 0, false}, command_spec, false},
    {{"start", ID, "let a created container's process go", 1, 1, false}, command_start, false},
    {{"state", ID, "print the state as JSON", 1, 1, false}, command_state, false},
    {{"update", ID, "change resource limits", 1, 1, false}, command_update, false},
};

static void print_help(const struct option_rule *rules)
{
    (void)puts(
        "minirun - Open Container Initiative runtime\n\n"
        "Usage: minirun [global flags] command [flags] [words]\n\nCommands (minirun command --help tells more):");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)printf("  %-10s %-31s %s\n", commands[i].usage.command, commands[i].usage.words,
                     commands[i].usage.purpose);
    (void)puts("\nGlobal flags:");
    options_print(rules);
}

/* dockerd shows the words after "version" and "commit:". */
static int print_version(void)
{
    (void)printf("minirun version %s\ncommit: %s\nspec: %s\n", MINIDOCK_VERSION, MINIDOCK_VERSION, OCI_VERSION);
    return 0;
}

/* Root of a user namespace (podman without rights) is the user it was outside, unless it says to be root: runc. */
static bool owns_run(void)
{
    const char *user = getenv("USER");
    return geteuid() == 0 && (!cgroup_is_rootless() || (user && strcmp(user, "root") == 0));
}

static const char *default_root(void)
{
    static char path[PATH_MAX];
    const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
    if (!runtime_dir || !*runtime_dir || owns_run())
        return "/run/minirun";
    (void)snprintf(path, sizeof path, "%s/minirun", runtime_dir);
    return path;
}

/* Commands may change their folder, so the root is made absolute at once. */
static int absolute_root(const char **root, struct fault *f)
{
    static char path[2 * PATH_MAX];
    if (**root == '/' && strspn(*root, "/") < strlen(*root))
        return 0;
    if (**root == '/' || !**root)
        return fault_text(f, STAGE_ARGUMENTS, "Option --root argument should not be set to /");
    char cwd[PATH_MAX];
    if (!getcwd(cwd, sizeof cwd))
        return fault_errno(f, STAGE_ARGUMENTS, "getcwd");
    (void)snprintf(path, sizeof path, "%s/%s", cwd, *root);
    *root = path;
    return 0;
}

struct global_options {
    const char *root, *log, *log_format, *log_level, *rootless, *cgroup_manager;
    bool debug, systemd_cgroup, version, help;
};

static int choose_cgroup_manager(const struct global_options *options, struct globals *globals, struct fault *f)
{
    const char *manager = options->systemd_cgroup ? "systemd" : options->cgroup_manager;
    globals->has_no_cgroups = strcmp(manager, "disabled") == 0;
    if (globals->has_no_cgroups || strcmp(manager, "cgroupfs") == 0)
        return 0;
    if (strcmp(manager, "systemd") != 0)
        return fault_text(f, STAGE_ARGUMENTS, "unknown cgroup manager specified: %s", manager);
    return fault_text(f, STAGE_ARGUMENTS,
                      access("/run/systemd/system", F_OK) < 0
                          ? "systemd not running on this host, cannot use systemd cgroups manager"
                          : "minirun manages cgroups itself: use the cgroupfs driver instead of --systemd-cgroup");
}

static int apply_globals(struct global_options *options, struct globals *globals, struct fault *f)
{
    static const char *const rootless[] = {"auto", "true", "false", "1", "0"};
    size_t known = 0;
    while (known < sizeof rootless / sizeof rootless[0] && strcmp(rootless[known], options->rootless) != 0)
        known++;
    if (known == sizeof rootless / sizeof rootless[0])
        return fault_text(f, STAGE_ARGUMENTS, "invalid argument for rootless: %s", options->rootless);
    if (known > 0)
        cgroup_assume_rootless(known % 2 == 1);
    globals->has_default_root = !options->root;
    if (!options->root)
        options->root = default_root();
    if (log_open(options->log, options->log_format, f) < 0 ||
        log_set_level(options->debug ? "debug" : options->log_level, f) < 0 || absolute_root(&options->root, f) < 0)
        return -1;
    globals->root = options->root;
    globals->is_rootless = geteuid() != 0;
    return choose_cgroup_manager(options, globals, f);
}

static int dispatch(struct globals *globals, int argc, char **argv, char **all, struct fault *f)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].usage.command, argv[0]) != 0)
            continue;
        if (commands[i].enters && self_seal(all, f) < 0)
            return FAILED;
        globals->usage = &commands[i].usage;
        return commands[i].run(globals, argc - 1, argv + 1, f);
    }
    (void)fault_text(f, STAGE_ARGUMENTS, "No help topic for '%s'", argv[0]);
    log_fault(f);
    return 3;
}

static int run(int argc, char **argv, char **all, struct fault *f)
{
    static const struct usage usage = {"", "", "", 0, -1, true};
    static char help_flag[] = "--help";
    struct globals globals = {0};
    struct global_options options = {.rootless = "auto", .cgroup_manager = "cgroupfs"};
    const struct option_rule rules[] = {
        {"root", NULL, OPTION_TEXT, &options.root, "where states are kept (default: /run/minirun)"},
        {"log", NULL, OPTION_TEXT, &options.log, "write the log to this file (default: standard error)"},
        {"log-format", NULL, OPTION_TEXT, &options.log_format, "text or json (default: text)"},
        {"log-level", NULL, OPTION_TEXT, &options.log_level, "error, warning or debug (default: warning)"},
        {"debug", NULL, OPTION_FLAG, &options.debug, "the same as --log-level debug"},
        {"rootless", NULL, OPTION_TEXT, &options.rootless,
         "true: what cannot be done with cgroups is left (default: auto)"},
        {"cgroup-manager", NULL, OPTION_TEXT, &options.cgroup_manager, "cgroupfs or disabled (default: cgroupfs)"},
        {"systemd-cgroup", NULL, OPTION_FLAG, &options.systemd_cgroup, NULL},
        {"version", "v", OPTION_FLAG, &options.version, "show the version"},
        {"help", "h", OPTION_FLAG, &options.help, NULL},
        OPTIONS_END,
    };
    int words = options_parse(&usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    if (options.version)
        return print_version();
    bool asks_help = words > 0 && (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "h") == 0);
    if (words == 0 || options.help || (asks_help && words == 1)) {
        print_help(rules);
        return 0;
    }
    if (asks_help) { /* `help kill` is `kill --help` */
        argv[0] = argv[1];
        argv[1] = help_flag;
    }
    return apply_globals(&options, &globals, f) < 0 ? FAILED : dispatch(&globals, words, argv, all, f);
}

/* 0, 1 and 2 must be something: what is opened next must not become a standard stream. */
static int ensure_streams(struct fault *f)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            return fault_errno(f, STAGE_RUNTIME, "open /dev/null");
    return 0;
}

int main(int argc, char **argv)
{
    struct fault f = {0};
    /* Parsing moves words within the array; the sealed copy must be started with what we were started with. */
    char **all = calloc((size_t)argc + 1, sizeof *all);
    if (!all)
        return 1;
    memcpy(all, argv, (size_t)argc * sizeof *all);
    (void)signal(SIGCHLD, SIG_DFL); /* who ignores it gets no end of a child to wait for, and ignoring is inherited */
    int code = ensure_streams(&f) < 0 ? FAILED : run(argc - 1, argv + 1, all, &f);
    free(all);
    if (code != FAILED)
        return code;
    log_fault(&f);
    return 1;
}
