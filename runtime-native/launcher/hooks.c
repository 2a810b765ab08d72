#include "hooks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "namespaces.h"

bool hooks_exist(const struct json *hooks, const char *name)
{
    const struct json *list = json_get(hooks, name);
    return list && list->count > 0;
}

/* A file in memory with the state: written before the hook starts, so nobody has to feed a pipe. */
static int state_file(const struct hook_state *state, struct fault *f)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "ociVersion", state->version ? state->version : "1.2.1");
    json_put_string(&w, "id", state->id);
    json_put_string(&w, "status", state->status);
    json_put_int(&w, "pid", state->pid);
    json_put_string(&w, "bundle", state->bundle);
    if (state->annotations && state->annotations->count)
        json_put_json(&w, "annotations", state->annotations);
    json_end_object(&w);
    AUTO_CLOSE int fd = memfd_create("state", MFD_CLOEXEC);
    bool failed = w.failed || fd < 0 || write_all(fd, w.text, w.length) < 0 || lseek(fd, 0, SEEK_SET) < 0;
    json_writer_free(&w);
    return failed ? fault_errno(f, STAGE_HOOK, "write the hook's state") : take_fd(&fd);
}

struct program {
    const char *path, *directory;
    char **arguments, **environment;
    int in, out, err;
    int failure[2]; /* a pipe that execve closes, or that gets its errno */
};

static void run_child(const struct program *program) __attribute__((noreturn));
static void run_child(const struct program *program)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if ((!program->directory || chdir(program->directory) == 0) && dup3(program->in, 0, 0) >= 0 &&
        dup3(program->out, 1, 0) >= 0 && dup3(program->err, 2, 0) >= 0)
        (void)execve(program->path, program->arguments, program->environment);
    (void)write_all(program->failure[1], &errno, sizeof errno);
    _exit(127);
}

static void read_text(int fd, char *text, size_t size)
{
    ssize_t length = pread(fd, text, size - 1, 0);
    text[length > 0 ? length : 0] = '\0';
}

static int open_streams(const struct hook_state *state, struct program *program, struct fault *f)
{
    program->in = state_file(state, f);
    if (program->in < 0)
        return -1;
    program->out = memfd_create("stdout", MFD_CLOEXEC);
    program->err = memfd_create("stderr", MFD_CLOEXEC);
    if (program->out < 0 || program->err < 0 || pipe2(program->failure, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_HOOK, "open the hook's streams");
    return 0;
}

static void close_streams(struct program *program)
{
    close_fd(&program->in);
    close_fd(&program->out);
    close_fd(&program->err);
    close_fd(&program->failure[0]);
    close_fd(&program->failure[1]);
}

static int explain_status(const struct program *program, int status, struct fault *f)
{
    char output[256], errors[256], how[48];
    read_text(program->out, output, sizeof output);
    read_text(program->err, errors, sizeof errors);
    if (WIFSIGNALED(status))
        (void)snprintf(how, sizeof how, "signal: %c%s", tolower(strsignal(WTERMSIG(status))[0]),
                       strsignal(WTERMSIG(status)) + 1);
    else
        (void)snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
    return fault_text(f, STAGE_HOOK, "%s, stdout: %s, stderr: %s", how, output, errors);
}

/* 0 when it ended with 0 in time. */
static int wait_for(const struct program *program, pid_t pid, int pidfd, int64_t timeout_s, struct fault *f)
{
    int failure = 0, status = 0, ready;
    bool has_failed = read_some(program->failure[0], &failure, sizeof failure) == (ssize_t)sizeof failure;
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    do
        ready = poll(&end, 1, timeout_s > 0 ? (int)(timeout_s * 1000) : -1);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        (void)kill(pid, SIGKILL);
    pid_t ended = wait_process(pid, &status);
    if (ready < 0 || ended < 0)
        return fault_errno(f, STAGE_HOOK, "wait for %s", program->path);
    if (ready == 0)
        return fault_text(f, STAGE_HOOK, "hook ran past specified timeout of %lld.0s", (long long)timeout_s);
    errno = failure;
    if (has_failed)
        return fault_errno(f, STAGE_HOOK, "fork/exec %s", program->path);
    return status == 0 ? 0 : explain_status(program, status, f);
}

static int run_program(struct program *program, int64_t timeout_s, struct fault *f)
{
    AUTO_CLOSE int pidfd = -1;
    pid_t pid = clone_process(0, &pidfd);
    if (pid == 0)
        run_child(program);
    if (pid < 0)
        return fault_errno(f, STAGE_HOOK, "clone");
    close_fd(&program->failure[1]);
    return wait_for(program, pid, pidfd, timeout_s, f);
}

static int run_one(struct arena *arena, const struct json *hook, const struct hook_state *state, struct fault *f)
{
    int64_t timeout = 0;
    struct program program = {.path = json_string(hook, "path"),
                              .directory = state->directory,
                              .in = -1,
                              .out = -1,
                              .err = -1,
                              .failure = {-1, -1}};
    if (!program.path || *program.path != '/')
        return fault_text(f, STAGE_HOOK, "path must be absolute");
    if (json_int64(hook, "timeout", &timeout) < 0 || timeout < 0 || timeout > 1000000)
        return fault_text(f, STAGE_HOOK, "timeout must be greater than zero");
    if (config_strings(arena, json_get(hook, "args"), &program.arguments, f) < 0 ||
        config_strings(arena, json_get(hook, "env"), &program.environment, f) < 0)
        return -1;
    char *only_path[] = {(char *)(uintptr_t)program.path, NULL};
    if (!program.arguments[0])
        program.arguments = only_path;
    if (!json_get(hook, "env"))
        program.environment = state->environment ? state->environment : environ; /* as runc and crun do */
    int result = open_streams(state, &program, f) < 0 ? -1 : run_program(&program, timeout, f);
    close_streams(&program);
    return result;
}

static int run_in_arena(const struct json *hook, const char *name, size_t index, const struct hook_state *state,
                        struct fault *f)
{
    struct arena arena = {0};
    int result = run_one(&arena, hook, state, f);
    arena_free(&arena);
    return result < 0 ? fault_wrap(f, "error running %s hook #%zu: ", name, index) : 0;
}

int hooks_run(const struct json *hooks, const char *name, const struct hook_state *state, struct fault *f)
{
    size_t index = 0;
    json_each(hook, json_get(hooks, name)) if (run_in_arena(hook, name, index++, state, f) < 0) return -1;
    return 0;
}

void hooks_run_poststop(const struct json *hooks, const struct hook_state *state)
{
    size_t index = 0;
    json_each(hook, json_get(hooks, "poststop"))
    {
        struct fault f = {0};
        if (run_in_arena(hook, "poststop", index++, state, &f) < 0)
            log_warning("poststop hook failed with exit code or signal: %s", f.message);
    }
}
