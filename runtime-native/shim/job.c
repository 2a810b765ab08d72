/* One call of the OCI runtime: fork, exec, and when it has ended the failure that its log tells. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "note.h"
#include "shim.h"

#define ARGUMENTS_MAX 64
#define LOG_MAX       ((size_t)1 << 20)
#define LOG_NAME_SIZE 32

static void log_name(char name[LOG_NAME_SIZE], unsigned number)
{
    snprintf(name, LOG_NAME_SIZE, "runtime-%u.log", number);
}

/* runtime [its arguments] --log … --log-format json command … */
static int build_arguments(const struct shim *s, const struct job_options *o, char *log, const char **arguments,
                           struct fault *f)
{
    int count = 0;
    arguments[count++] = s->config.runtime;
    json_each(argument, s->config.runtime_args)
    {
        if (count > ARGUMENTS_MAX - 16 || !argument->text)
            return fault_text(f, STAGE_ARGUMENTS, "shim.json: runtime.args: too many, or no text");
        arguments[count++] = argument->text;
    }
    arguments[count++] = "--log";
    arguments[count++] = log;
    arguments[count++] = "--log-format";
    arguments[count++] = "json";
    for (int i = 0; o->arguments[i]; i++)
        arguments[count++] = o->arguments[i];
    arguments[count] = NULL;
    return 0;
}

static void fail_in_child(int fault_fd, const struct fault *f)
{
    (void)write_all(fault_fd, f, sizeof *f);
    _exit(127);
}

/* In the child. What the shim has set for itself must not reach the container. */
static void run(const struct shim *s, const struct job_options *o, const char *const *arguments, int fault_fd)
{
    struct fault f = {0};
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)umask(022); /* what a container begins with, unless its config says otherwise */
    (void)setrlimit(RLIMIT_NOFILE, &s->file_limit);
    for (int i = 0; i < 3; i++) {
        int fd = o->stdio[i];
        if (fd < 0)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        /* The shim holds /dev/null and its log on 0 to 2, so no source is overwritten before it is used. */
        if (fd < 0 || dup2(fd, i) < 0) {
            fault_errno(&f, STAGE_IO, "open /dev/null");
            fail_in_child(fault_fd, &f);
        }
    }
    if (o->mounts_rootfs && rootfs_mount(&s->config, &f) < 0)
        fail_in_child(fault_fd, &f);
    (void)execv(s->config.runtime, (char *const *)arguments);
    fault_errno(&f, STAGE_RUNTIME, "fork/exec %s", s->config.runtime);
    fail_in_child(fault_fd, &f);
}

int job_start(struct shim *s, const struct job_options *o, struct fault *f)
{
    const char *arguments[ARGUMENTS_MAX];
    char log[LOG_NAME_SIZE];
    int ends[2];
    log_name(log, s->last_job + 1);
    if (build_arguments(s, o, log, arguments, f) < 0)
        return -1;
    /* A runtime that finds no place for its log can tell nobody why it fails. */
    if (o->asker.connection && create_file_at(AT_FDCWD, log, "", 0600) < 0)
        return fault_errno(f, STAGE_IO, "open %s", log);
    AUTO_FREE struct job *j = calloc(1, sizeof *j);
    if (!j || pipe2(ends, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_RUNTIME, "start %s", s->config.runtime);
    AUTO_CLOSE int reading = ends[0];
    AUTO_CLOSE int writing = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return fault_errno(f, STAGE_RUNTIME, "start %s", s->config.runtime);
    if (pid == 0)
        run(s, o, arguments, writing);
    *j = (struct job){.next = s->jobs,
                      .shim = s,
                      .pid = pid,
                      .number = ++s->last_job,
                      .makes_process = o->makes_process,
                      .fault_fd = take_fd(&reading),
                      .done = o->done,
                      .asker = o->asker,
                      .process = o->process};
    s->jobs = j;
    j = NULL;
    return 0;
}

bool job_is_making(const struct shim *s)
{
    for (const struct job *j = s->jobs; j; j = j->next)
        if (j->makes_process)
            return true;
    return false;
}

void job_kill_all(const struct shim *s)
{
    for (const struct job *j = s->jobs; j; j = j->next)
        (void)kill(j->pid, SIGKILL);
}

static enum fault_stage stage_of(const char *name)
{
    for (int stage = STAGE_NONE; name && stage <= STAGE_CHECKPOINT; stage++)
        if (strcmp(name, fault_stage_name((enum fault_stage)stage)) == 0)
            return (enum fault_stage)stage;
    return STAGE_RUNTIME;
}

/* minirun says stage and errno; runc and others only msg. */
static bool read_log_record(const char *text, size_t length, struct fault *f)
{
    struct fault ignored;
    AUTO_JSON struct json_document *document = json_parse(text, length, &ignored);
    const struct json *root = json_root(document);
    const char *level = json_string(root, "level"), *message = json_string(root, "msg");
    int64_t error = 0;
    if (!level || !message || (strcmp(level, "error") != 0 && strcmp(level, "fatal") != 0))
        return false;
    (void)json_int64(root, "errno", &error);
    fault_told(f, stage_of(json_string(root, "stage")), (int)error, "%s", message);
    return true;
}

/* A line; crun writes an object over several, up to one that is its end. */
static size_t record_length(const char *text)
{
    const char *end = strncmp(text, "{\n", 2) == 0 ? strstr(text, "\n}") : NULL;
    return end ? (size_t)(end + 2 - text) : strcspn(text, "\n");
}

/* The last error of the log; the runtime's exit status where there is none. */
static void read_failure(const struct job *j, int status, struct fault *f)
{
    char name[LOG_NAME_SIZE];
    size_t size;
    log_name(name, j->number);
    if (WIFSIGNALED(status))
        fault_text(f, STAGE_RUNTIME, "OCI runtime did not terminate successfully: signal: %s",
                   strsignal(WTERMSIG(status)));
    else
        fault_text(f, STAGE_RUNTIME, "OCI runtime did not terminate successfully: exit status %d", WEXITSTATUS(status));
    AUTO_FREE char *log = read_file_at(AT_FDCWD, name, LOG_MAX, &size);
    for (const char *line = log; line && *line;) {
        size_t length = record_length(line);
        (void)read_log_record(line, length, f);
        line += length + (line[length] == '\n');
    }
}

static void finish(struct job *j, int status)
{
    struct fault f = {0};
    char name[LOG_NAME_SIZE];
    bool is_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    /* Where the child failed before execve it has written a whole fault (smaller than a pipe's page) before it ended.
     */
    if (!is_ok && read_all(j->fault_fd, &f, sizeof f) != (ssize_t)sizeof f)
        read_failure(j, status, &f);
    log_name(name, j->number);
    (void)unlink(name);
    close_fd(&j->fault_fd);
    j->done(j, is_ok, &f);
    free(j);
}

bool job_reap(struct shim *s, pid_t pid, int status)
{
    for (struct job **link = &s->jobs; *link; link = &(*link)->next) {
        struct job *j = *link;
        if (j->pid != pid)
            continue;
        *link = j->next;
        finish(j, status);
        if (!job_is_making(s))
            s->orphan_count = 0;
        if (!s->jobs && s->is_leaving)
            lifecycle_leave(s);
        return true;
    }
    return false;
}
