/* Further processes in the container. An exec is registered, attached to, started, and deleted when its end is known.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

static void file_name(const char *exec, const char *suffix, char *name, size_t size)
{
    snprintf(name, size, "exec-%.*s.%s", EXEC_ID_MAX, exec, suffix);
}

/* It becomes part of a file's name. */
static bool is_id(const char *text)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    size_t length = text ? strlen(text) : 0;
    return length > 0 && length <= EXEC_ID_MAX && strspn(text, letters) == length;
}

static int write_process(const char *exec, const struct json *process, struct fault *f)
{
    char name[EXEC_ID_MAX + 16];
    struct json_writer w = {0};
    file_name(exec, "json", name, sizeof name);
    json_put_json(&w, NULL, process);
    int result = w.failed ? -1 : create_file_at(AT_FDCWD, name, w.text, 0600);
    if (result < 0)
        fault_errno(f, STAGE_IO, "write %s", name);
    json_writer_free(&w);
    return result;
}

static unsigned short read_size(const struct json *size, const char *field)
{
    uint64_t value = 0;
    return json_uint64(size, field, &value) > 0 && value <= UINT16_MAX ? (unsigned short)value : 0;
}

static int add_exec(struct shim *s, const struct json *request, struct fault *f)
{
    const char *id = json_string(request, "exec");
    const struct json *process = json_get(request, "process"), *size = json_get(process, "consoleSize");
    if (s->status != SHIM_RUNNING && s->status != SHIM_PAUSED)
        return fault_text(f, STAGE_STATE, "the container is not running");
    if (!is_id(id) || !process || process->type != JSON_OBJECT)
        return fault_text(f, STAGE_ARGUMENTS, "exec-create needs exec, an id, and process");
    if (process_find(s, id))
        return fault_text(f, STAGE_STATE, "the exec %s exists already", id);
    if (write_process(id, process, f) < 0)
        return -1;
    struct process *p = malloc(sizeof *p);
    if (!p)
        return fault_errno(f, STAGE_IO, "exec-create");
    process_init(p, s);
    (void)strcpy(p->exec, id);
    p->terminal = json_bool(process, "terminal", false);
    p->has_stdin = json_bool(request, "stdin", false);
    p->closes_stdin = true;
    p->height = read_size(size, "height");
    p->width = read_size(size, "width");
    p->next = s->execs;
    s->execs = p;
    return 0;
}

void exec_create(struct shim *s, struct asker a, const struct json *request)
{
    struct fault f;
    if (add_exec(s, request, &f) < 0)
        answer_fault(s, a, &f);
    else
        answer_ok(s, a, NULL);
}

static void remove_files(const struct process *p)
{
    char name[EXEC_ID_MAX + 16];
    file_name(p->exec, "json", name, sizeof name);
    (void)unlink(name);
    file_name(p->exec, "pid", name, sizeof name);
    (void)unlink(name);
}

static void fail(struct process *p, struct asker a, const struct fault *f)
{
    answer_fault(p->shim, a, f);
    process_drop(p);
    remove_files(p);
    p->has_call = false;
    p->has_ended = true;
    p->exit_code = 127;
    attach_finish(p);
    exec_release(p);
}

static void started(struct job *j, bool is_ok, const struct fault *f)
{
    struct process *p = j->process;
    struct fault own = *f;
    char name[EXEC_ID_MAX + 16];
    pid_t pid = 0;
    file_name(p->exec, "pid", name, sizeof name);
    if (!is_ok || read_pid_file(name, &pid, &own) < 0 || process_open(p, &own) < 0) {
        if (pid > 0)
            (void)kill(pid, SIGKILL);
        fail(p, j->asker, &own);
        return;
    }
    remove_files(p);
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_int(&w, "pid", pid);
    json_end_object(&w);
    answer_ok(p->shim, j->asker, &w);
    json_writer_free(&w);
    p->has_call = false;
    process_adopt(p, pid);
}

static int run_exec(struct process *p, struct asker a, struct fault *f)
{
    char process_file[EXEC_ID_MAX + 16], pid_file[EXEC_ID_MAX + 16], console[EXEC_ID_MAX + 32];
    const char *arguments[10] = {"exec", "--detach", "--process", process_file, "--pid-file", pid_file};
    int count = 6;
    file_name(p->exec, "json", process_file, sizeof process_file);
    file_name(p->exec, "pid", pid_file, sizeof pid_file);
    if (process_prepare(p, f) < 0)
        return -1;
    if (p->terminal) {
        console_name(p, console, sizeof console);
        arguments[count++] = "--console-socket";
        arguments[count++] = console;
    }
    arguments[count++] = p->shim->config.id;
    arguments[count] = NULL;
    struct job_options o = {.arguments = arguments,
                            .stdio = {p->child_stdio[0], p->child_stdio[1], p->child_stdio[2]},
                            .makes_process = true,
                            .done = started,
                            .asker = a,
                            .process = p};
    p->has_call = true;
    return job_start(p->shim, &o, f);
}

void exec_start(struct shim *s, struct asker a, const char *exec)
{
    struct fault f;
    struct process *p = exec && *exec ? process_find(s, exec) : NULL;
    if (!p || p->has_call || p->pid > 0 || p->has_ended || s->is_leaving) {
        fault_told(&f, STAGE_STATE, p ? EBUSY : ESRCH, p ? "the exec %s was started already" : "no such exec: %s",
                   exec ? exec : "");
        answer_fault(s, a, &f);
        return;
    }
    if (run_exec(p, a, &f) < 0)
        fail(p, a, &f);
}

static void tell_end(struct process *p)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "event", "exec-exit");
    json_put_string(&w, "exec", p->exec);
    json_put_int(&w, "exitCode", p->exit_code);
    json_end_object(&w);
    publish(p->shim, &w);
    json_writer_free(&w);
}

void exec_ended(struct process *p)
{
    tell_end(p);
    attach_finish(p);
    exec_release(p);
}

void exec_release(struct process *p)
{
    if (!*p->exec || !p->is_deleted || attach_has_clients(p))
        return;
    for (struct process **link = &p->shim->execs; *link; link = &(*link)->next) {
        if (*link == p) {
            *link = p->next;
            break;
        }
    }
    loop_free(&p->shim->loop, &p->outputs[0].source);
}

void exec_delete(struct shim *s, struct asker a, const char *exec)
{
    struct fault f;
    struct process *p = exec && *exec ? process_find(s, exec) : NULL;
    if (!p || p->has_call || (p->pid > 0 && !p->has_ended)) {
        fault_told(&f, STAGE_STATE, p ? EBUSY : ESRCH, p ? "the exec %s is running" : "no such exec: %s",
                   exec ? exec : "");
        answer_fault(s, a, &f);
        return;
    }
    if (!p->has_ended)
        remove_files(p);
    p->has_ended = true;
    p->is_deleted = true;
    attach_finish(p);
    exec_release(p);
    answer_ok(s, a, NULL);
}

/* The container is over, and with it its execs: they were killed together with its first process. */
void exec_end_all(struct shim *s)
{
    for (struct process *p = s->execs; p; p = p->next) {
        if (p->has_ended)
            continue;
        bool has_run = p->pid > 0;
        if (p->grace.is_set)
            loop_clear_timer(&s->loop, &p->grace);
        if (has_run && !p->has_exited)
            p->exit_code = 128 + SIGKILL;
        p->has_ended = true;
        process_drop(p);
        if (has_run)
            tell_end(p);
        attach_finish(p);
    }
}
