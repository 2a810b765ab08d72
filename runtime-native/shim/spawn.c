/* minispawn. Order of a spawn: the socket listens before the fork, so that the daemon can connect as soon as it has the
 * answer; the log is fd 2 before the exec, so that nothing a shim says is lost. */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "buffer.h"
#include "fault.h"
#include "io.h"
#include "json.h"
#include "note.h"

#define REQUEST_MAX ((size_t)64 << 10)
#define SHIM_SOCKET 3 /* a helper's, too */

struct request {
    const char *bundle;
    const char *socket; /* NULL: clean up after a shim that was killed */
    const char *binary; /* another resident helper instead of a shim; it has no bundle, and no log */
    bool is_namespaces; /* nothing is started that stays */
    struct namespaces_request namespaces;
};

static int listen_on(const char *path, struct fault *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return fault_errno(f, STAGE_IO, "bind %s", path);
    }
    (void)strcpy(address.sun_path, path);
    (void)unlink(path); /* of a shim that was killed */
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The umask is 0177: nobody else may connect, from the first moment on. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fault_errno(f, STAGE_IO, "bind %s", path);
    if (listen(fd, SOMAXCONN) < 0)
        return fault_errno(f, STAGE_IO, "listen on %s", path);
    return take_fd(&fd);
}

/* Node ignores SIGPIPE, and what is ignored or blocked stays so over execve(2). */
static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The runtime looks for its helpers by PATH; nothing else of the daemon's environment is for it. */
static char *path_variable(void)
{
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "PATH=", 5) == 0)
            return *variable;
    return (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static void become(const struct request *r, int listener, int log, int error_pipe)
{
    char *const cleaning[] = {"minishim", "--clean", (char *)r->bundle, NULL};
    char *const serving[] = {"minishim", (char *)r->bundle, (char *)r->socket, NULL};
    char *const helping[] = {(char *)r->binary, (char *)r->socket, NULL};
    char *const *arguments = r->binary ? helping : listener < 0 ? cleaning : serving;
    char *const environment[] = {path_variable(), NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    reset_signals();
    (void)umask(027); /* the log is 0640, as dockerd has it */
    /* Copies above everything first: a target number may be one of the sources. */
    int socket_copy = listener < 0 ? -1 : fcntl(listener, F_DUPFD_CLOEXEC, 10);
    int log_copy = fcntl(log, F_DUPFD_CLOEXEC, 10);
    error_pipe = fcntl(error_pipe, F_DUPFD_CLOEXEC, 10);
    if (null >= 0 && log_copy >= 0 && setsid() >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 &&
        dup2(log_copy, 2) == 2 && (listener < 0 || dup2(socket_copy, SHIM_SOCKET) == SHIM_SOCKET))
        (void)execve(r->binary ? r->binary : "/proc/self/exe", arguments, environment);
    int error = errno;
    (void)write_all(error_pipe, &error, sizeof error);
    _exit(127);
}

static int open_log(const struct request *r, struct fault *f)
{
    if (r->binary)
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    AUTO_CLOSE int bundle = open(r->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (bundle < 0)
        return fault_errno(f, STAGE_IO, "open %s", r->bundle);
    int log = openat(bundle, "shim.log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    return log < 0 ? fault_errno(f, STAGE_IO, "open %s/shim.log", r->bundle) : log;
}

/* The pipe's end closes at execve; before that it tells errno. */
static int start(const struct request *r, int listener, pid_t *pid, struct fault *f)
{
    int ends[2];
    const char *program = r->binary ? r->binary : "minishim";
    AUTO_CLOSE int log = open_log(r, f);
    if (log < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fault_errno(f, STAGE_IO, "start %s", program);
    AUTO_CLOSE int reading = ends[0];
    AUTO_CLOSE int writing = ends[1];
    *pid = fork();
    if (*pid < 0)
        return fault_errno(f, STAGE_IO, "start %s", program);
    if (*pid == 0)
        become(r, listener, log, writing);
    close_fd(&writing);
    int error = 0;
    if (read_all(reading, &error, sizeof error) <= 0)
        return 0;
    errno = error;
    return fault_errno(f, STAGE_IO, "start %s", program);
}

static int spawn(const struct request *r, pid_t *pid, struct fault *f)
{
    if (!r->socket)
        return start(r, -1, pid, f);
    AUTO_CLOSE int listener = listen_on(r->socket, f);
    if (listener < 0)
        return -1;
    if (start(r, listener, pid, f) == 0)
        return 0;
    (void)unlink(r->socket);
    return -1;
}

static bool is_path(const char *text)
{
    return text && text[0] == '/';
}

static int read_namespaces(const struct json *root, struct request *r, struct fault *f)
{
    r->is_namespaces = true;
    r->namespaces = (struct namespaces_request){.user = json_string(root, "user"),
                                                .network = json_string(root, "network"),
                                                .joins = json_string(root, "joins"),
                                                .uid_map = json_string(root, "uidMap"),
                                                .gid_map = json_string(root, "gidMap")};
    bool has_maps = r->namespaces.uid_map && r->namespaces.gid_map;
    return r->namespaces.joins || has_maps
               ? 0
               : fault_text(f, STAGE_ARGUMENTS, "namespaces need maps, or a user namespace to join");
}

static int read_request(const struct json *root, struct request *r, struct fault *f)
{
    const char *op = json_string(root, "op");
    r->bundle = json_string(root, "bundle");
    r->socket = json_string(root, "socket");
    r->binary = json_string(root, "binary");
    bool is_spawn = op && strcmp(op, "spawn") == 0, is_clean = op && strcmp(op, "clean") == 0;
    if (op && strcmp(op, "help") == 0)
        return is_path(r->binary) && r->socket ? 0
                                               : fault_text(f, STAGE_ARGUMENTS, "a helper needs a binary and a socket");
    r->binary = NULL;
    if (op && strcmp(op, "namespaces") == 0)
        return read_namespaces(root, r, f);
    if (!is_path(r->bundle) || !(is_spawn || is_clean) || is_spawn != (r->socket != NULL))
        return fault_text(f, STAGE_ARGUMENTS, "a request needs op, an absolute bundle and, to spawn, a socket");
    return 0;
}

static void answer(const struct request *r, pid_t pid, const struct fault *f)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "bundle", r->bundle ? r->bundle : "");
    if (f) {
        put_fault(&w, f);
    } else {
        json_put_int(&w, "pid", pid);
    }
    json_end_object(&w);
    if (!w.failed && (write_all(1, w.text, w.length) < 0 || write_all(1, "\n", 1) < 0))
        exit(0); /* the daemon has gone */
    json_writer_free(&w);
}

static void serve_line(const char *line, size_t length)
{
    struct fault f = {0};
    struct request r = {0};
    pid_t pid = 0;
    AUTO_JSON struct json_document *document = json_parse(line, length, &f);
    bool is_ok = document && read_request(json_root(document), &r, &f) == 0 &&
                 (r.is_namespaces ? namespaces_make(&r.namespaces, &f) : spawn(&r, &pid, &f)) == 0;
    answer(&r, pid, is_ok ? NULL : &f);
}

int spawner_main(void)
{
    struct buffer in = {0};
    char chunk[4096];
    (void)umask(0177);
    /* Shims that end, and the containers of shims that were killed, are nobody's zombies: wait(2), NOTES. */
    (void)signal(SIGCHLD, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    for (;;) {
        ssize_t count = read_some(0, chunk, sizeof chunk);
        if (count <= 0 || !buffer_append(&in, chunk, (size_t)count))
            return 0;
        const char *newline;
        while (buffer_size(&in) > 0 && (newline = memchr(buffer_first(&in), '\n', buffer_size(&in)))) {
            size_t length = (size_t)(newline - buffer_first(&in));
            serve_line(buffer_first(&in), length);
            buffer_take(&in, length + 1);
        }
        if (buffer_size(&in) > REQUEST_MAX)
            return 1; /* no daemon of ours */
    }
}
