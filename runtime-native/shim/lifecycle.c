/* From create to the end. Order of the end, for safety: the log is whole, then exit.json stands, then the event goes
 * out; only then the runtime's state is deleted, and only when that is done the socket goes and control connections
 * close. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

/* A client that has been sent everything closes; if it does not, we do. */
#define LINGER_MS 5000

static const char *status_name(const struct shim *s)
{
    static const char *const names[] = {"creating", "creating", "created", "running", "paused", "stopped"};
    return names[s->status];
}

static void put_exit(const struct shim *s, struct json_writer *w)
{
    json_put_int(w, "exitCode", s->init.exit_code);
    json_put_int(w, "signal", s->init.signal);
    json_put_string(w, "exitedAt", s->init.exited_at);
    json_put_bool(w, "oomKilled", s->oom.has_happened);
}

void put_state(const struct shim *s, struct json_writer *w)
{
    json_put_string(w, "status", status_name(s));
    json_put_int(w, "pid", s->init.pid);
    json_put_string(w, "startedAt", s->started_at);
    if (s->init.has_ended && s->init.pid) {
        json_begin_object(w, "exit");
        put_exit(s, w);
        json_end_object(w);
    }
    json_begin_array(w, "execs");
    for (const struct process *p = s->execs; p; p = p->next) {
        if (p->is_deleted)
            continue;
        json_begin_object(w, NULL);
        json_put_string(w, "exec", p->exec);
        json_put_int(w, "pid", p->pid);
        if (p->has_ended)
            json_put_int(w, "exitCode", p->exit_code);
        json_end_object(w);
    }
    json_end_array(w);
}

int read_pid_file(const char *name, pid_t *pid, struct fault *f)
{
    AUTO_FREE char *text = read_file_at(AT_FDCWD, name, 64, NULL);
    long value = text ? strtol(text, NULL, 10) : 0;
    if (value <= 0 || value > INT32_MAX)
        return fault_text(f, STAGE_RUNTIME, "the runtime wrote no pid into %s", name);
    *pid = (pid_t)value;
    return 0;
}

/* ---- create, start */

/* There is no container, and there will be none: whoever is attached gets the end of file. */
static void give_up(struct shim *s)
{
    process_drop(&s->init);
    log_close(&s->log);
    s->init.has_ended = true;
    attach_finish(&s->init);
    s->status = SHIM_STOPPED;
    lifecycle_leave(s);
}

static void fail_create(struct shim *s, struct asker a, const struct fault *f)
{
    answer_fault(s, a, f);
    give_up(s);
}

/* The runtime has made the container's first process. 0, or a fault. */
static int take_process(struct shim *s, bool is_ok, pid_t *pid, struct fault *f)
{
    if (!is_ok || read_pid_file("init.pid", pid, f) < 0 || process_open(&s->init, f) < 0)
        return -1;
    oom_watch(s, *pid);
    return 0;
}

static void created(struct job *j, bool is_ok, const struct fault *f)
{
    struct shim *s = j->shim;
    struct fault own = *f;
    pid_t pid = 0;
    if (take_process(s, is_ok, &pid, &own) < 0) {
        fail_create(s, j->asker, &own);
        return;
    }
    struct json_writer w = {0};
    s->status = SHIM_CREATED;
    json_begin_object(&w, NULL);
    json_put_int(&w, "pid", pid);
    json_end_object(&w);
    answer_ok(s, j->asker, &w);
    json_writer_free(&w);
    process_adopt(&s->init, pid);
    if (s->deleter.connection)
        (void)process_kill(&s->init, SIGKILL);
}

static int prepare_streams(struct shim *s, struct fault *f)
{
    const struct config *c = &s->config;
    struct process *p = &s->init;
    p->terminal = c->terminal;
    p->has_stdin = c->stdin_mode != STDIN_NONE;
    p->closes_stdin = c->stdin_mode == STDIN_ONCE;
    p->height = p->height ? p->height : c->height;
    p->width = p->width ? p->width : c->width;
    return log_open(&s->log, &c->log, &s->loop, f) < 0 || process_prepare(p, f) < 0 ? -1 : 0;
}

/* `create`, or `restore` from s->checkpoint. CRIU's log stays in the bundle. */
static int make_container(struct shim *s, struct asker a, job_done *done, struct fault *f)
{
    const struct process *p = &s->init;
    char console[64];
    const char *arguments[16] = {s->checkpoint ? "restore" : "create", "--bundle", s->bundle, "--pid-file", "init.pid"};
    int count = 5;
    if (p->terminal) {
        console_name(p, console, sizeof console);
        arguments[count++] = "--console-socket";
        arguments[count++] = console;
    }
    if (s->checkpoint) {
        arguments[count++] = "--detach";
        arguments[count++] = "--image-path";
        arguments[count++] = s->checkpoint;
        arguments[count++] = "--work-path";
        arguments[count++] = s->bundle;
    }
    arguments[count++] = s->config.id;
    arguments[count] = NULL;
    struct job_options o = {.arguments = arguments,
                            .stdio = {p->child_stdio[0], p->child_stdio[1], p->child_stdio[2]},
                            .mounts_rootfs = true,
                            .makes_process = true,
                            .done = done,
                            .asker = a};
    return job_start(s, &o, f);
}

/* What is restored runs at once, so that is for start. */
static int begin_create(struct shim *s, struct asker a, const char *checkpoint, struct fault *f)
{
    if (prepare_streams(s, f) < 0)
        return -1;
    if (!checkpoint)
        return make_container(s, a, created, f);
    s->checkpoint = strdup(checkpoint);
    if (!s->checkpoint)
        return fault_errno(f, STAGE_RUNTIME, "create");
    struct json_writer w = {0};
    s->status = SHIM_CREATED;
    json_begin_object(&w, NULL);
    json_put_int(&w, "pid", 0);
    json_end_object(&w);
    answer_ok(s, a, &w);
    json_writer_free(&w);
    return 0;
}

void lifecycle_create(struct shim *s, struct asker a, const char *checkpoint)
{
    struct fault f;
    if (s->status != SHIM_NEW) {
        answer_refusal(s, a, EEXIST, "the container was created already");
        return;
    }
    s->status = SHIM_CREATING;
    if (!s->has_config)
        fail_create(s, a, &s->config_fault);
    else if (begin_create(s, a, checkpoint, &f) < 0)
        fail_create(s, a, &f);
}

static void answer_start(struct shim *s, struct asker a)
{
    struct json_writer w = {0};
    if (s->status == SHIM_CREATED)
        s->status = SHIM_RUNNING;
    time_text_now(s->started_at);
    json_begin_object(&w, NULL);
    json_put_string(&w, "startedAt", s->started_at);
    json_put_int(&w, "pid", s->init.pid);
    json_end_object(&w);
    answer_ok(s, a, &w);
    json_writer_free(&w);
}

static void started(struct job *j, bool is_ok, const struct fault *f)
{
    struct shim *s = j->shim;
    if (is_ok)
        answer_start(s, j->asker);
    else
        answer_fault(s, j->asker, f);
    s->init.has_call = false;
    process_check_end(&s->init);
}

static void restored(struct job *j, bool is_ok, const struct fault *f)
{
    struct shim *s = j->shim;
    struct fault own = *f;
    pid_t pid = 0;
    if (take_process(s, is_ok, &pid, &own) < 0) {
        s->init.has_call = false;
        fail_create(s, j->asker, &own);
        return;
    }
    process_adopt(&s->init, pid);
    answer_start(s, j->asker);
    s->init.has_call = false;
    process_check_end(&s->init);
}

void lifecycle_start(struct shim *s, struct asker a)
{
    struct fault f;
    const char *const arguments[] = {"start", s->config.id, NULL};
    struct job_options o = {.arguments = arguments, .stdio = {-1, -1, -1}, .done = started, .asker = a};
    if (s->status != SHIM_CREATED || s->init.has_call) {
        answer_refusal(s, a, EBUSY, "the container is not waiting to be started");
        return;
    }
    s->init.has_call = true;
    if ((s->checkpoint ? make_container(s, a, restored, &f) : job_start(s, &o, &f)) == 0)
        return;
    s->init.has_call = false;
    answer_fault(s, a, &f);
}

/* ---- the end */

static void ignore(struct job *j, bool is_ok, const struct fault *f)
{
    if (!is_ok)
        note("%s", f->message);
    (void)j;
}

/* Without a pid namespace of its own the container's other processes live on, and hold its pipes and mounts. */
void lifecycle_init_exited(struct shim *s)
{
    struct fault f;
    const char *const arguments[] = {"kill", "--all", s->config.id, "9", NULL};
    struct job_options o = {.arguments = arguments, .stdio = {-1, -1, -1}, .done = ignore};
    if (!s->config.has_private_pid && job_start(s, &o, &f) < 0)
        note("%s", f.message);
}

static void write_exit_record(const struct shim *s)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    put_exit(s, &w);
    json_end_object(&w);
    if (w.failed || create_file_at(AT_FDCWD, "exit.json", w.text, 0600) < 0)
        note("write exit.json: %m");
    json_writer_free(&w);
}

static void tell_exit(struct shim *s)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "event", "exit");
    put_exit(s, &w);
    json_end_object(&w);
    publish(s, &w);
    json_writer_free(&w);
}

void lifecycle_init_ended(struct shim *s)
{
    log_close(&s->log);
    oom_stop(s);
    s->status = SHIM_STOPPED;
    exec_end_all(s);
    write_exit_record(s);
    tell_exit(s);
    attach_finish(&s->init);
    lifecycle_leave(s);
}

static void close_if(struct shim *s, bool (*is_due)(const struct connection *c))
{
    for (struct connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        if (is_due(c))
            connection_close(c);
    }
}

static bool is_control(const struct connection *c)
{
    return !c->process;
}

static bool is_finished(const struct connection *c)
{
    return c->is_finished;
}

static void linger_expired(struct timer *t)
{
    struct shim *s = OWNER_OF(t, struct shim, linger);
    close_if(s, is_finished);
    if (s->connections)
        loop_set_timer(&s->loop, &s->linger, LINGER_MS, linger_expired);
}

/* What holds the shim now is only what attached clients have not read yet. */
static void deleted(struct job *j, bool is_ok, const struct fault *f)
{
    struct shim *s = j->shim;
    if (!is_ok)
        note("delete: %s", f->message);
    s->has_deleted = true;
    listener_stop(s);
    answer_ok(s, s->deleter, NULL);
    close_if(s, is_control);
    loop_set_timer(&s->loop, &s->linger, LINGER_MS, linger_expired);
    lifecycle_connection_closed(s);
}

void lifecycle_leave(struct shim *s)
{
    struct fault f;
    const char *const arguments[] = {"delete", "--force", s->config.id, NULL};
    struct job_options o = {.arguments = arguments, .stdio = {-1, -1, -1}, .done = deleted};
    s->is_leaving = true;
    if (s->jobs || s->is_deleting)
        return;
    s->is_deleting = true;
    if (s->has_config && job_start(s, &o, &f) == 0)
        return;
    deleted(&(struct job){.shim = s}, !s->has_config, &f);
}

void lifecycle_delete(struct shim *s, struct asker a)
{
    if (s->status == SHIM_RUNNING || s->status == SHIM_PAUSED) {
        answer_refusal(s, a, EBUSY, "the container is running");
        return;
    }
    s->deleter = a;
    /* Its end leads to ours; where it never was, or is over, only ours is left. */
    if (s->status == SHIM_CREATING || s->init.has_call) {
        job_kill_all(s);
        (void)process_kill(&s->init, SIGKILL);
    } else if (s->status == SHIM_CREATED && !s->init.is_open)
        give_up(s);
    else if (s->status != SHIM_CREATED || process_kill(&s->init, SIGKILL) < 0)
        lifecycle_leave(s);
}

/* A shim without a container lives as long as somebody may still ask for one; at the end, until the last client has
 * left. */
void lifecycle_connection_closed(struct shim *s)
{
    if (s->connections)
        return;
    if (s->has_deleted)
        s->loop.is_done = true;
    else if (s->status == SHIM_NEW && !s->idle.is_set)
        lifecycle_leave(s);
}
