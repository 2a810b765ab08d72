/* minirun: an OCI runtime. The command line of runc: minirun [global flags] command [flags] [words]. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "log.h"
#include "options.h"
#include "self.h"

static const struct command {
    const char *name, *usage;
    int (*run)(const struct globals *globals, int argc, char **argv, struct fault *f);
    bool enters; /* a process of ours will be seen from inside a container */
} commands[] = {
    {"create", "<container-id>  make a container from a bundle; its process waits for start", command_create, true},
    {"delete", "<container-id>  remove what a stopped container holds", command_delete, false},
    {"events", "<container-id>  print resource statistics and OOM notices", command_events, false},
    {"exec", "<container-id> <command> [args]  run a further process in a container", command_exec, true},
    {"features", "  print what this runtime can do", command_features, false},
    {"kill", "<container-id> [signal]  send a signal (default: SIGTERM) to the container's init", command_kill, false},
    {"list", "  list the containers below --root", command_list, false},
    {"pause", "<container-id>  suspend all processes", command_pause, false},
    {"ps", "<container-id> [ps options]  list the processes", command_ps, false},
    {"resume", "<container-id>  go on after pause", command_resume, false},
    {"run", "<container-id>  create and start a container", command_run, true},
    {"spec", "  write an example config.json", command_spec, false},
    {"start", "<container-id>  let a created container's process go", command_start, false},
    {"state", "<container-id>  print the state as JSON", command_state, false},
    {"update", "<container-id>  change resource limits", command_update, false},
};

static void print_help(void)
{
    (void)puts(
        "minirun - Open Container Initiative runtime\n\nUsage: minirun [global flags] command [flags] [words]\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        (void)printf("  %-9s %s\n", commands[i].name, commands[i].usage);
    (void)puts("\nGlobal flags:\n"
               "  --root DIR                where states are kept (default /run/minirun)\n"
               "  --log FILE                write the log there (default: standard error)\n"
               "  --log-format text|json\n"
               "  --debug                   log more\n"
               "  --log-level error|warning|debug\n"
               "  --cgroup-manager cgroupfs|disabled\n"
               "  --rootless true|false|auto\n"
               "  --version, --help");
}

static int print_version(void)
{
    (void)printf("minirun version %s\nspec: %s\n", MINIDOCK_VERSION, OCI_VERSION);
    return 0;
}

static const char *default_root(void)
{
    static char path[PATH_MAX];
    const char *runtime_dir = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 || !runtime_dir || !*runtime_dir)
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

static int parse_globals(int argc, char **argv, struct global_options *options, struct globals *globals,
                         struct fault *f)
{
    const struct option_rule rules[] = {
        {"root", NULL, OPTION_TEXT, &options->root},
        {"log", NULL, OPTION_TEXT, &options->log},
        {"log-format", NULL, OPTION_TEXT, &options->log_format},
        {"log-level", NULL, OPTION_TEXT, &options->log_level},
        {"debug", NULL, OPTION_FLAG, &options->debug},
        {"rootless", NULL, OPTION_TEXT, &options->rootless},
        {"systemd-cgroup", NULL, OPTION_FLAG, &options->systemd_cgroup},
        {"cgroup-manager", NULL, OPTION_TEXT, &options->cgroup_manager},
        {"version", "v", OPTION_FLAG, &options->version},
        {"help", "h", OPTION_FLAG, &options->help},
        {NULL, NULL, OPTION_FLAG, NULL},
    };
    int words = options_parse(rules, argc, argv, false, f);
    if (words < 0 || log_open(options->log, options->log_format, f) < 0 ||
        log_set_level(options->debug ? "debug" : options->log_level, f) < 0 || absolute_root(&options->root, f) < 0)
        return -1;
    const char *manager = options->systemd_cgroup ? "systemd" : options->cgroup_manager;
    if (manager && strcmp(manager, "systemd") == 0)
        return fault_text(f, STAGE_ARGUMENTS, "minirun manages cgroups itself: --systemd-cgroup is not supported");
    globals->has_no_cgroups = manager && strcmp(manager, "disabled") == 0;
    if (manager && !globals->has_no_cgroups && strcmp(manager, "cgroupfs") != 0)
        return fault_text(f, STAGE_ARGUMENTS, "unknown cgroup manager specified: %s", manager);
    globals->root = options->root;
    globals->is_rootless = geteuid() != 0;
    return words;
}

static int dispatch(const struct globals *globals, int argc, char **argv, char **all, struct fault *f)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, argv[0]) != 0)
            continue;
        if (commands[i].enters && self_seal(all, f) < 0)
            return FAILED;
        return commands[i].run(globals, argc - 1, argv + 1, f);
    }
    (void)fault_text(f, STAGE_ARGUMENTS, "No help topic for '%s'", argv[0]);
    log_fault(f);
    return 3;
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
    struct globals globals = {0};
    struct global_options options = {.root = default_root()};
    /* Parsing moves words within the array; the sealed copy must be started with what we were started with. */
    char **all = calloc((size_t)argc + 1, sizeof *all);
    if (!all)
        return 1;
    memcpy(all, argv, (size_t)argc * sizeof *all);
    int words = ensure_streams(&f) < 0 ? -1 : parse_globals(argc - 1, argv + 1, &options, &globals, &f);
    int code = FAILED;
    if (words >= 0 && options.version)
        code = print_version();
    else if (words == 0 || (words > 0 && options.help) || (words > 0 && strcmp(argv[1], "help") == 0))
        code = (print_help(), 0);
    else if (words > 0)
        code = dispatch(&globals, words, argv + 1, all, &f);
    free(all);
    if (code != FAILED)
        return code;
    log_fault(&f);
    return 1;
}
