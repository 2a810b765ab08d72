/* minishim: setting up, reaping, and cleaning up after one that was killed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"
#include "spawn.h"

#define LISTENER_FD 3
/* The daemon died between the start of this shim and its first connection. */
#define IDLE_MS 30000

static void keep_orphan(struct shim *s, pid_t pid, int status)
{
    const unsigned size = sizeof s->orphans / sizeof *s->orphans;
    if (!job_is_making(s))
        return;
    if (s->orphan_count == size)
        memmove(s->orphans, s->orphans + 1, sizeof *s->orphans * --s->orphan_count);
    s->orphans[s->orphan_count++] = (struct orphan){pid, status};
}

static void reaped(struct shim *s, pid_t pid, int status)
{
    if (job_reap(s, pid, status))
        return;
    if (s->init.pid == pid && !s->init.has_exited) {
        process_exited(&s->init, status);
        return;
    }
    for (struct process *p = s->execs; p; p = p->next) {
        if (p->pid == pid && !p->has_exited) {
            process_exited(p, status);
            return;
        }
    }
    keep_orphan(s, pid, status);
}

static void signals_ready(struct source *source, uint32_t events)
{
    struct shim *s = OWNER_OF(source, struct shim, signals);
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;
    (void)events;
    while (read_some(source->fd, &ignored, sizeof ignored) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        reaped(s, pid, status);
}

/* Nobody but SIGKILL ends a shim while its container lives. job.c gives the container the defaults back. */
static int take_signals(struct shim *s)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};
    sigset_t children;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)signal(ignored[i], SIG_IGN);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &children, NULL) < 0)
        return -1;
    s->signals = (struct source){.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signals_ready};
    return s->signals.fd < 0 ? -1 : loop_watch(&s->loop, &s->signals, EPOLLIN);
}

static void raise_file_limit(struct shim *s)
{
    if (getrlimit(RLIMIT_NOFILE, &s->file_limit) < 0)
        return;
    struct rlimit raised = {.rlim_cur = s->file_limit.rlim_max, .rlim_max = s->file_limit.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &raised);
}

static void adjust_oom_score(const struct config *c)
{
    char text[24];
    if (!c->has_oom_score_adj)
        return;
    snprintf(text, sizeof text, "%lld", (long long)c->oom_score_adj);
    if (write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", text) < 0 && errno != EACCES)
        note("oom_score_adj: %m"); /* EACCES: lowering takes CAP_SYS_RESOURCE */
}

static int set_up(struct shim *s)
{
    if (chdir(s->bundle) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || loop_open(&s->loop) < 0 || take_signals(s) < 0)
        return -1;
    raise_file_limit(s);
    s->has_config = config_read(&s->config, &s->config_fault) == 0;
    adjust_oom_score(&s->config);
    process_init(&s->init, s);
    s->listener.fd = -1;
    s->oom.folder = s->oom.source.fd = -1;
    return 0;
}

static void idle_expired(struct timer *t)
{
    struct shim *s = OWNER_OF(t, struct shim, idle);
    lifecycle_connection_closed(s);
}

static int serve(struct shim *s)
{
    if (fcntl(LISTENER_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(LISTENER_FD, F_SETFL, O_NONBLOCK) < 0 ||
        listener_start(s, LISTENER_FD) < 0) {
        note("listen: %m");
        return 1;
    }
    loop_set_timer(&s->loop, &s->idle, IDLE_MS, idle_expired);
    loop_run(&s->loop);
    return 0;
}

/* The shim of this bundle was killed. Its container, if it still runs, is nobody's child that could be waited for. */
static int clean(struct shim *s)
{
    if (!s->has_config) {
        note("clean: %s", s->config_fault.message);
        return 1;
    }
    s->status = SHIM_STOPPED;
    lifecycle_leave(s);
    loop_run(&s->loop);
    if (faccessat(AT_FDCWD, "exit.json", F_OK, 0) == 0)
        return 0;
    char record[160], now[TIME_TEXT_SIZE];
    time_text_now(now);
    snprintf(record, sizeof record, "{\"exitCode\":137,\"signal\":9,\"exitedAt\":\"%s\",\"oomKilled\":false}", now);
    return create_file_at(AT_FDCWD, "exit.json", record, 0600) < 0;
}

int shim_main(const char *bundle, const char *socket_path, bool is_cleaning)
{
    static struct shim
        shim; /* beyond the stack's first page: most of it is the chunk, untouched until there is output */
    struct shim *s = &shim;
    s->bundle = bundle;
    s->socket_path = socket_path;
    if (set_up(s) < 0) {
        note("set up: %m");
        return 1;
    }
    return is_cleaning ? clean(s) : serve(s);
}
