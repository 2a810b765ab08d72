#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "container-match.h"
#include "container.h"
#include "io.h"
#include "options.h"

/* A container counts its real-time signals from 34, as glibc does, and Go: not as the libc does that we are built with.
 */
#define FIRST_REALTIME 34
#define LAST_REALTIME  64

static const char *const signal_names[] = {
    [SIGHUP] = "HUP",       [SIGINT] = "INT",   [SIGQUIT] = "QUIT",   [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
    [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",   [SIGFPE] = "FPE",     [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
    [SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2", [SIGPIPE] = "PIPE",   [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
    [SIGSTKFLT] = "STKFLT", [SIGCHLD] = "CHLD", [SIGCONT] = "CONT",   [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
    [SIGTTIN] = "TTIN",     [SIGTTOU] = "TTOU", [SIGURG] = "URG",     [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ",
    [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH", [SIGIO] = "IO",     [SIGPWR] = "PWR",
    [SIGSYS] = "SYS",
};

static int signal_by_name(const char *name)
{
    for (size_t i = 1; i < sizeof signal_names / sizeof signal_names[0]; i++)
        if (strcasecmp(signal_names[i], name) == 0)
            return (int)i;
    return strcasecmp(name, "IOT") == 0 ? SIGABRT : strcasecmp(name, "POLL") == 0 ? SIGIO : -1;
}

/* "9", "KILL", "SIGKILL", "sigkill", "RTMIN+3"; -1 when it is none. */
static int parse_signal(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end != text && *end == '\0')
        return number >= 0 && number <= LAST_REALTIME ? (int)number : -1;
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    if (strncasecmp(name, "RTMIN", 5) == 0 && (name[5] == '+' || !name[5]))
        number = FIRST_REALTIME + (name[5] ? strtol(name + 6, NULL, 10) : 0);
    else if (strncasecmp(name, "RTMAX", 5) == 0 && (name[5] == '-' || !name[5]))
        number = LAST_REALTIME - (name[5] ? strtol(name + 6, NULL, 10) : 0);
    else
        return signal_by_name(name);
    return number >= FIRST_REALTIME && number <= LAST_REALTIME ? (int)number : -1;
}

static int signal_init(const struct container *container, int signal, struct fault *f)
{
    AUTO_CLOSE int pidfd = container_pidfd(container, f);
    if (pidfd < 0)
        return -1;
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0)
        return errno == ESRCH ? fault_told(f, STAGE_STATE, ESRCH, "container not running")
                              : fault_errno(f, STAGE_STATE, "unable to signal init");
    /* v1: what is frozen does not die before it thaws. */
    struct fault ignored = {0};
    if (signal == SIGKILL && cgroup_is_frozen(&container->cgroup))
        (void)cgroup_freeze(&container->cgroup, false, &ignored);
    return 0;
}

/* For a container without cgroups, which cannot be frozen meanwhile. */
static int signal_each(const pid_t *pids, size_t count, int signal, struct fault *f)
{
    for (size_t i = 0; i < count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            return fault_errno(f, STAGE_STATE, "unable to signal process %d", (int)pids[i]);
    return 0;
}

static int send_signal(const struct container *container, int signal, bool everyone, struct fault *f)
{
    /* Without PIDs of its own the container's other processes outlive its init, so SIGKILL means all of them: runc. */
    if (!everyone && (signal != SIGKILL || container->has_own_pids))
        return signal_init(container, signal, f);
    pid_t *pids = NULL;
    size_t count = 0;
    int result = container_processes(container, &pids, &count, f);
    if (result == 0 && count == 0 && !everyone)
        result = fault_told(f, STAGE_STATE, ESRCH, "container not running");
    else if (result == 0 && count > 0)
        result = cgroup_tasks_dir(&container->cgroup) ? cgroup_signal(&container->cgroup, signal, f)
                                                      : signal_each(pids, count, signal, f);
    free(pids);
    return result;
}

struct request {
    const char *signal;
    bool everyone;
};

static int kill_by_id(const char *root, const char *id, void *context, struct fault *f)
{
    const struct request *request = context;
    struct container container;
    int result = container_load(root, id, &container, f);
    int signal = parse_signal(request->signal);
    if (result == 0 && signal < 0)
        result = fault_text(f, STAGE_ARGUMENTS, "unknown signal \"%s\"", request->signal);
    if (result == 0)
        result = send_signal(&container, signal, request->everyone, f);
    container_close(&container);
    return result;
}

int command_kill(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct request request = {.signal = "TERM"};
    bool is_pattern = false;
    const struct option_rule rules[] = {
        {"all", "a", OPTION_FLAG, &request.everyone, "signal every process of the container"},
        {"regex", "r", OPTION_FLAG, &is_pattern, "every container whose id matches"},
        OPTIONS_END,
    };
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    if (words > 1)
        request.signal = argv[1];
    return is_pattern ? container_match(globals->root, argv[0], kill_by_id, &request, f)
                      : kill_by_id(globals->root, argv[0], &request, f);
}
