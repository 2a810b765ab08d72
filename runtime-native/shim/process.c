/* The streams of one process, the container's first or an exec: pipes or a terminal, read as long as clients keep up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

/* How long after the exit a process that outlives it may keep the pipes: moby waits as long (daemon/monitor.go). */
#define GRACE_MS 2000

void process_init(struct process *p, struct shim *s)
{
    *p = (struct process){.shim = s, .pidfd = -1, .console = -1, .child_stdio = {-1, -1, -1}};
    p->input.source.fd = -1;
    for (int i = 0; i < 2; i++)
        p->outputs[i] = (struct output){.source.fd = -1, .process = p, .stream = i + 1};
}

static int make_pipe(int *ours, int *theirs, bool is_ours_writing, struct fault *f)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_IO, "pipe");
    *ours = ends[is_ours_writing ? 1 : 0];
    *theirs = ends[is_ours_writing ? 0 : 1];
    /* Only our end: the container's flags are its own, and a shared file description would share them. */
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? fault_errno(f, STAGE_IO, "fcntl") : 0;
}

int process_prepare(struct process *p, struct fault *f)
{
    if (p->terminal)
        return console_listen(p, f);
    if (p->has_stdin && make_pipe(&p->input.source.fd, &p->child_stdio[0], true, f) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (make_pipe(&p->outputs[i].source.fd, &p->child_stdio[i + 1], false, f) < 0)
            return -1;
    return 0;
}

/* In a pipe of one read, the process and its clients would take turns. The pages of all pipes of a user are counted,
 * and beyond a limit its new pipes are tiny (pipe(7)): only while somebody looks on. What does not fit back stays wide.
 */
void process_fit_pipes(struct process *p)
{
    int size = (int)PIPE_BYTES * (attach_has_clients(p) ? 4 : 1);
    for (int i = 0; i < 2 && !p->terminal; i++)
        if (p->outputs[i].source.fd >= 0)
            (void)fcntl(p->outputs[i].source.fd, F_SETPIPE_SZ, size);
}

static void close_child_ends(struct process *p)
{
    for (int i = 0; i < 3; i++)
        close_fd(&p->child_stdio[i]);
}

void process_drop(struct process *p)
{
    struct loop *l = &p->shim->loop;
    close_child_ends(p);
    console_close(p);
    for (int i = 0; i < 2; i++)
        loop_close(l, &p->outputs[i].source);
    loop_close(l, &p->input.source);
    buffer_free(&p->input.pending);
    close_fd(&p->pidfd);
}

void process_check_end(struct process *p)
{
    if (!p->has_exited || p->has_ended || p->has_call || p->outputs[0].source.fd >= 0 || p->outputs[1].source.fd >= 0)
        return;
    if (p->grace.is_set)
        loop_clear_timer(&p->shim->loop, &p->grace);
    p->has_ended = true;
    process_drop(p);
    if (*p->exec)
        exec_ended(p);
    else
        lifecycle_init_ended(p->shim);
}

static void write_log(struct shim *s, int stream, size_t size)
{
    log_write(&s->log, stream, s->chunk, size);
    if (!log_has_rotated(&s->log))
        return;
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "event", "log-rotated");
    json_end_object(&w);
    publish(s, &w);
    json_writer_free(&w);
}

/* One read. False: there is nothing more, now or ever. */
static bool read_output(struct output *o)
{
    struct process *p = o->process;
    ssize_t count = read_some(o->source.fd, p->shim->chunk, CHUNK_BYTES);
    if (count < 0 && errno == EAGAIN)
        return false;
    if (count <= 0) { /* a terminal without any user reads as EIO: tty_ioctl(4) */
        loop_close(&p->shim->loop, &o->source);
        return false;
    }
    if (!*p->exec)
        write_log(p->shim, o->stream, (size_t)count);
    attach_send(p, o->stream, p->shim->chunk, (size_t)count);
    return true;
}

static void output_ready(struct source *source, uint32_t events)
{
    struct output *o = OWNER_OF(source, struct output, source);
    (void)events;
    (void)read_output(o);
    process_check_end(o->process);
}

void process_hold(struct process *p)
{
    if (p->is_held || p->has_exited)
        return;
    p->is_held = true;
    for (int i = 0; i < 2; i++)
        loop_unwatch(&p->shim->loop, &p->outputs[i].source);
}

void process_resume(struct process *p)
{
    p->is_held = false;
    for (int i = 0; i < 2; i++)
        if (p->outputs[i].source.fd >= 0)
            (void)loop_watch(&p->shim->loop, &p->outputs[i].source, EPOLLIN);
}

static void close_input(struct process *p)
{
    loop_close(&p->shim->loop, &p->input.source);
    buffer_free(&p->input.pending);
}

/* Nobody reads it any more: what clients still send is thrown away. */
static void write_pending(struct process *p)
{
    struct buffer *b = &p->input.pending;
    while (buffer_size(b) > 0) {
        ssize_t count = write(p->input.source.fd, buffer_first(b), buffer_size(b));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN) {
            (void)loop_watch(&p->shim->loop, &p->input.source, EPOLLOUT);
            return;
        }
        if (count < 0) {
            close_input(p);
            return;
        }
        buffer_take(b, (size_t)count);
    }
    loop_unwatch(&p->shim->loop, &p->input.source);
    if (p->input.closes_when_written)
        close_input(p);
}

static void input_ready(struct source *source, uint32_t events)
{
    struct process *p = OWNER_OF(source, struct process, input.source);
    (void)events;
    write_pending(p);
    if (process_takes_stdin(p))
        attach_watch(p);
}

int process_open(struct process *p, struct fault *f)
{
    close_child_ends(p);
    if (p->terminal) {
        if (console_take(p, f) < 0)
            return -1;
        console_close(p);
        if (p->height > 0 && p->width > 0)
            (void)process_resize(p, p->height, p->width);
    }
    p->is_open = true;
    process_fit_pipes(p);
    for (int i = 0; i < 2; i++)
        p->outputs[i].source.ready = output_ready;
    p->input.source.ready = input_ready;
    process_resume(p);
    if (p->input.source.fd >= 0)
        write_pending(p);
    attach_watch(p);
    return 0;
}

/* True too when stdin is closed or was never there: clients are read, so that their end is seen. */
bool process_takes_stdin(const struct process *p)
{
    return p->is_open && buffer_size(&p->input.pending) == 0;
}

void process_write_stdin(struct process *p, const char *bytes, size_t size)
{
    bool is_lost = p->has_ended || (p->is_open && p->input.source.fd < 0);
    if (!p->has_stdin || is_lost || p->input.closes_when_written || !buffer_append(&p->input.pending, bytes, size))
        return;
    if (p->is_open)
        write_pending(p);
}

void process_close_stdin(struct process *p)
{
    if (p->terminal)
        return;
    p->input.closes_when_written = true;
    if (p->is_open && p->input.source.fd >= 0)
        write_pending(p);
}

static void grace_expired(struct timer *t)
{
    struct process *p = OWNER_OF(t, struct process, grace);
    for (int i = 0; i < 2; i++) {
        while (p->outputs[i].source.fd >= 0 && read_output(&p->outputs[i]))
            ;
        loop_close(&p->shim->loop, &p->outputs[i].source);
    }
    process_check_end(p);
}

void process_exited(struct process *p, int status)
{
    if (p->has_ended)
        return;
    p->has_exited = true;
    p->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    p->exit_code = p->signal ? 128 + p->signal : WEXITSTATUS(status);
    time_text_now(p->exited_at);
    close_fd(&p->pidfd);
    process_resume(p);
    loop_set_timer(&p->shim->loop, &p->grace, GRACE_MS, grace_expired);
    if (!*p->exec)
        lifecycle_init_exited(p->shim);
    process_check_end(p);
}

/* The runtime is done: the process is our child now, and may have ended already. */
void process_adopt(struct process *p, pid_t pid)
{
    struct shim *s = p->shim;
    p->pid = pid;
    for (unsigned i = 0; i < s->orphan_count; i++) {
        if (s->orphans[i].pid == pid) {
            process_exited(p, s->orphans[i].status);
            return;
        }
    }
    p->pidfd = pidfd_open(pid, 0);
}

int process_kill(const struct process *p, int signal)
{
    if (p->pidfd < 0) {
        errno = ESRCH;
        return -1;
    }
    return pidfd_send_signal(p->pidfd, signal, NULL, 0);
}

int process_resize(struct process *p, unsigned short height, unsigned short width)
{
    struct winsize size = {.ws_row = height, .ws_col = width};
    p->height = height;
    p->width = width;
    if (!p->is_open && p->outputs[0].source.fd < 0)
        return 0; /* kept for when the terminal comes */
    return ioctl(p->outputs[0].source.fd, TIOCSWINSZ, &size);
}

struct process *process_find(struct shim *s, const char *exec)
{
    if (!exec || !*exec)
        return &s->init;
    for (struct process *p = s->execs; p; p = p->next)
        if (strcmp(p->exec, exec) == 0)
            return p;
    return NULL;
}
