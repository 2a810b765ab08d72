/* The requests of a control connection: docs/shim-protocol.md has the table. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

struct request {
    struct shim *shim;
    struct connection *connection;
    struct asker asker;
    const struct json *fields;
};

static void refuse(const struct request *r, int error, const char *message)
{
    answer_refusal(r->shim, r->asker, error, message);
}

/* For calls of which only the success matters. */
static void answer_job(struct job *j, bool is_ok, const struct fault *f)
{
    if (is_ok)
        answer_ok(j->shim, j->asker, NULL);
    else
        answer_fault(j->shim, j->asker, f);
}

/* False: it was answered already. */
static bool start_job(const struct request *r, const char *const *arguments, int input, job_done *done)
{
    struct fault f;
    struct job_options o = {.arguments = arguments, .stdio = {input, -1, -1}, .done = done, .asker = r->asker};
    if (r->shim->status == SHIM_NEW || r->shim->status == SHIM_CREATING || r->shim->status == SHIM_STOPPED)
        refuse(r, ESRCH, "the container is not running");
    else if (job_start(r->shim, &o, &f) < 0)
        answer_fault(r->shim, r->asker, &f);
    else
        return true;
    return false;
}

static void do_create(const struct request *r)
{
    lifecycle_create(r->shim, r->asker, json_string(r->fields, "checkpoint"));
}

static void do_start(const struct request *r)
{
    lifecycle_start(r->shim, r->asker);
}

static void do_delete(const struct request *r)
{
    lifecycle_delete(r->shim, r->asker);
}

static void answer_kill(const struct request *r, const struct process *p, int signal)
{
    struct fault f;
    if (process_kill(p, signal) == 0) {
        answer_ok(r->shim, r->asker, NULL);
        return;
    }
    fault_errno(&f, STAGE_STATE, "signal %d", signal);
    answer_fault(r->shim, r->asker, &f);
}

/* 0 where it is no signal's number: the process is looked for, no more. */
static int signal_of(const struct request *r)
{
    int64_t signal = 0;
    return json_int64(r->fields, "signal", &signal) > 0 && signal > 0 && signal < NSIG ? (int)signal : 0;
}

static void do_kill(const struct request *r)
{
    char number[12];
    int signal = signal_of(r);
    if (!json_bool(r->fields, "all", false)) {
        answer_kill(r, &r->shim->init, signal);
        return;
    }
    snprintf(number, sizeof number, "%d", signal);
    (void)start_job(r, (const char *const[]){"kill", "--all", r->shim->config.id, number, NULL}, -1, answer_job);
}

static void paused(struct job *j, bool is_ok, const struct fault *f)
{
    if (is_ok && j->shim->status == SHIM_RUNNING)
        j->shim->status = SHIM_PAUSED;
    answer_job(j, is_ok, f);
}

static void resumed(struct job *j, bool is_ok, const struct fault *f)
{
    if (is_ok && j->shim->status == SHIM_PAUSED)
        j->shim->status = SHIM_RUNNING;
    answer_job(j, is_ok, f);
}

static void do_pause(const struct request *r)
{
    (void)start_job(r, (const char *const[]){"pause", r->shim->config.id, NULL}, -1, paused);
}

static void do_resume(const struct request *r)
{
    (void)start_job(r, (const char *const[]){"resume", r->shim->config.id, NULL}, -1, resumed);
}

static void checkpointed(struct job *j, bool is_ok, const struct fault *f)
{
    struct process *init = &j->shim->init;
    answer_job(j, is_ok, f);
    init->has_call = false;
    process_check_end(init);
}

/* The images are the caller's; CRIU's log stays in the bundle. The container's end is told after the answer. */
static void do_checkpoint(const struct request *r)
{
    const char *path = json_string(r->fields, "path"), *id = r->shim->config.id;
    const char *arguments[8] = {"checkpoint", "--image-path", path, "--work-path", r->shim->bundle, id};
    if (!json_bool(r->fields, "exit", false)) {
        arguments[5] = "--leave-running";
        arguments[6] = id;
    }
    if (!path || (r->shim->status != SHIM_RUNNING && r->shim->status != SHIM_PAUSED) || r->shim->init.has_call) {
        refuse(r, path ? ESRCH : EINVAL, "the container is not running");
        return;
    }
    r->shim->init.has_call = true;
    if (!start_job(r, arguments, -1, checkpointed))
        r->shim->init.has_call = false;
}

static void do_update(const struct request *r)
{
    struct json_writer w = {0};
    json_put_json(&w, NULL, json_get(r->fields, "resources"));
    AUTO_CLOSE int input = w.failed ? -1 : memfd_create("resources", MFD_CLOEXEC);
    bool is_written = input >= 0 && write_all(input, w.text, w.length) == 0 && lseek(input, 0, SEEK_SET) == 0;
    json_writer_free(&w);
    if (is_written)
        (void)start_job(r, (const char *const[]){"update", "--resources", "-", r->shim->config.id, NULL}, input,
                        answer_job);
    else
        refuse(r, errno, "pass the resources on");
}

/* NULL, and the answer, where the exec that was named is not known. */
static struct process *named_process(const struct request *r)
{
    struct process *p = process_find(r->shim, json_string(r->fields, "exec"));
    if (!p)
        refuse(r, ESRCH, "no such exec");
    return p;
}

static void do_resize(const struct request *r)
{
    struct fault f;
    uint64_t height = 0, width = 0;
    struct process *p = named_process(r);
    if (!p)
        return;
    (void)json_uint64(r->fields, "height", &height);
    (void)json_uint64(r->fields, "width", &width);
    if (p->has_ended || !p->terminal) {
        refuse(r, p->has_ended ? ESRCH : ENOTTY, "resize");
    } else if (process_resize(p, (unsigned short)height, (unsigned short)width) < 0) {
        fault_errno(&f, STAGE_CONSOLE, "resize");
        answer_fault(r->shim, r->asker, &f);
    } else {
        answer_ok(r->shim, r->asker, NULL);
    }
}

static void do_close_stdin(const struct request *r)
{
    struct process *p = named_process(r);
    if (!p)
        return;
    process_close_stdin(p);
    answer_ok(r->shim, r->asker, NULL);
}

static void do_exec_create(const struct request *r)
{
    exec_create(r->shim, r->asker, r->fields);
}

static void do_exec_start(const struct request *r)
{
    exec_start(r->shim, r->asker, json_string(r->fields, "exec"));
}

static void do_exec_delete(const struct request *r)
{
    exec_delete(r->shim, r->asker, json_string(r->fields, "exec"));
}

static void do_exec_kill(const struct request *r)
{
    struct process *p = named_process(r);
    if (p)
        answer_kill(r, p, signal_of(r));
}

static void do_state(const struct request *r)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    put_state(r->shim, &w);
    json_end_object(&w);
    answer_ok(r->shim, r->asker, &w);
    json_writer_free(&w);
}

static void do_subscribe(const struct request *r)
{
    r->connection->is_subscriber = true;
    do_state(r);
}

static const struct {
    const char *name;
    void (*run)(const struct request *r);
} operations[] = {
    {"create", do_create},
    {"start", do_start},
    {"delete", do_delete},
    {"kill", do_kill},
    {"pause", do_pause},
    {"resume", do_resume},
    {"checkpoint", do_checkpoint},
    {"update", do_update},
    {"resize", do_resize},
    {"close-stdin", do_close_stdin},
    {"exec-create", do_exec_create},
    {"exec-start", do_exec_start},
    {"exec-kill", do_exec_kill},
    {"exec-delete", do_exec_delete},
    {"state", do_state},
    {"subscribe", do_subscribe},
};

static void run(const struct request *r, const char *op)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(op, operations[i].name) == 0) {
            operations[i].run(r);
            return;
        }
    }
    refuse(r, EOPNOTSUPP, "unknown op");
}

/* What cannot be read is refused too: whoever loses the connection takes us for dead, and the container with us. Its
 * number stands at the line's begin. */
static int64_t number_of(const char *line)
{
    static const char before[] = "{\"seq\":";
    return strncmp(line, before, sizeof before - 1) == 0 ? strtoll(line + sizeof before - 1, NULL, 10) : 0;
}

void control_request(struct connection *c, const char *line, size_t length)
{
    struct fault f;
    AUTO_JSON struct json_document *document = json_parse(line, length, &f);
    const struct json *root = json_root(document);
    const char *op = json_string(root, "op");
    struct request r = {.shim = c->shim, .connection = c, .asker.connection = c->serial, .fields = root};
    if (op && strcmp(op, "attach") == 0) {
        attach_begin(c, root);
    } else if (op && json_int64(root, "seq", &r.asker.seq) > 0) {
        run(&r, op);
    } else {
        r.asker.seq = number_of(line);
        refuse(&r, EINVAL, document ? "op or seq is missing" : f.message);
    }
}
