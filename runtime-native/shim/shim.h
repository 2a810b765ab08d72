/* One container's supervisor. Everything it knows hangs on one struct, which the loop's callbacks reach through their
 * owner. docs/shim-protocol.md says what it does; here is how its parts fit:
 *
 *   connection.c   the socket: lines in, answers and events out         control.c  what each request does
 *   attach.c       clients of a process's streams                       process.c  stdio of the init and of execs
 *   job.c          one call of the OCI runtime                          console.c  takes a terminal from the runtime
 *   lifecycle.c    create, start, exit, the end                         exec.c     execs
 *   log*.c         the container's log file                             oom.c      memory events
 */
#ifndef MINISHIM_SHIM_H
#define MINISHIM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "buffer.h"
#include "fault.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "note.h"

#define PIPE_BYTES   ((size_t)64 << 10)  /* as the kernel makes them */
#define CHUNK_BYTES  (2 * PIPE_BYTES)    /* one read, at the most */
#define CLIENT_LIMIT ((size_t)256 << 10) /* what may wait for one attached client */
#define EXEC_ID_MAX  64

struct shim;
struct process;
struct connection;

#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- config.c: shim.json and config.json of the working directory, which is the bundle */

enum stdin_mode { STDIN_NONE, STDIN_OPEN, STDIN_ONCE };

struct config {
    struct json_document *document; /* owns every text below */
    const char *id;
    const char *runtime;
    const struct json *runtime_args;
    const char *rootfs_type, *rootfs_source, *rootfs_options; /* type NULL: it is there already */
    uint64_t rootfs_uid, rootfs_gid;
    bool terminal;
    unsigned short height, width;
    enum stdin_mode stdin_mode;
    int64_t oom_score_adj;
    bool has_oom_score_adj;
    bool has_private_pid; /* the kernel ends all other processes together with the init */
    struct log_options log;
};

int config_read(struct config *c, struct fault *f);

/* ---- rootfs.c */
int rootfs_mount(const struct config *c, struct fault *f); /* in a new mount namespace of the calling process */

/* ---- connection.c */

struct connection {
    struct source source; /* first: see loop_free */
    struct connection *next;
    struct shim *shim;
    uint64_t serial; /* what a job remembers: the connection may be gone before its answer */
    struct buffer in, out;
    bool is_subscriber;
    int passed; /* a descriptor that came with the lines */
    /* Of an attached client; process is NULL for a control connection. */
    struct process *process;
    struct source client; /* where its output goes; -1: over the connection itself */
    bool wants_stdin, wants_stdout, wants_stderr;
    bool has_ended_stdin;
    bool is_finished; /* all was sent, our side is shut down */
};

/* Whom to answer when a job is done. */
struct asker {
    uint64_t connection;
    int64_t seq;
};

int listener_start(struct shim *s, int fd);
void listener_stop(struct shim *s);
void connection_close(struct connection *c);
bool connection_send(struct connection *c, const char *bytes, size_t size); /* false: it is closed */
bool connection_flush(struct connection *c);
void answer_ok(struct shim *s, struct asker a, const struct json_writer *object); /* NULL: {} */
void answer_fault(struct shim *s, struct asker a, const struct fault *f);
void answer_refusal(struct shim *s, struct asker a, int error, const char *message);
void publish(struct shim *s, const struct json_writer *event);

/* ---- control.c */
void control_request(struct connection *c, const char *line, size_t length);

/* ---- attach.c */
void attach_begin(struct connection *c, const struct json *request);
void attach_ready(struct connection *c, uint32_t events);
void attach_client_left(struct connection *c);
void attach_watch(struct process *p); /* the process takes stdin again, or no more */
void attach_send(struct process *p, int stream, const char *bytes, size_t size);
void attach_finish(struct process *p);
bool attach_has_clients(const struct process *p);

/* ---- job.c */

struct job;
typedef void job_done(struct job *j, bool is_ok, const struct fault *f);

struct job_options {
    const char *const *arguments; /* the command and what follows it; ends with NULL */
    int stdio[3];                 /* -1: /dev/null */
    bool mounts_rootfs;
    bool makes_process; /* its child will be ours to reap */
    job_done *done;
    struct asker asker;
    struct process *process;
};

struct job {
    struct job *next;
    struct shim *shim;
    pid_t pid;
    unsigned number;
    int fault_fd; /* tells what failed before execve */
    bool makes_process;
    job_done *done;
    struct asker asker;
    struct process *process;
};

int job_start(struct shim *s, const struct job_options *o, struct fault *f);
bool job_reap(struct shim *s, pid_t pid, int status); /* false: no job of ours */
bool job_is_making(const struct shim *s);
void job_kill_all(const struct shim *s); /* a runtime that waits for a disk may do so for ever */

/* ---- process.c */

struct output {
    struct source source;
    struct process *process;
    int stream; /* 1 stdout or the terminal, 2 stderr */
};

struct input {
    struct source source; /* the writing end of stdin, or the terminal */
    struct buffer pending;
    bool closes_when_written;
};

struct process {
    struct output outputs[2]; /* first: see loop_free */
    struct shim *shim;
    struct process *next;
    char exec[EXEC_ID_MAX + 1]; /* empty: the container's first process */
    bool terminal, has_stdin;
    bool closes_stdin; /* with the first client whose stdin ends */
    unsigned short height, width;
    bool is_open;               /* its streams exist */
    bool has_call;              /* a call of the runtime is under way that must be answered before the end is told */
    bool is_held;               /* a client is slow: nothing is read */
    bool has_exited, has_ended; /* ended: exited, and its output was read */
    bool is_deleted;            /* freed with its last client */
    pid_t pid;
    int pidfd;
    int exit_code, signal;
    char exited_at[TIME_TEXT_SIZE];
    struct input input;
    struct timer grace; /* after the exit: how long others may hold the pipes */
    int child_stdio[3]; /* the container's ends, until the runtime has them */
    int console;        /* waits for the terminal; -1 */
};

void process_init(struct process *p, struct shim *s);
struct process *process_find(struct shim *s, const char *exec); /* NULL or "": the first */
int process_prepare(struct process *p, struct fault *f);        /* child_stdio, or a console socket */
int process_open(struct process *p, struct fault *f);           /* the runtime has its ends: begin to read and write */
void process_fit_pipes(struct process *p);                      /* a client has come, or left */
void process_drop(struct process *p);                           /* the runtime failed */
void process_adopt(struct process *p, pid_t pid);
void process_exited(struct process *p, int status);
void process_check_end(struct process *p);
void process_hold(struct process *p);
void process_resume(struct process *p);
bool process_takes_stdin(const struct process *p);
void process_write_stdin(struct process *p, const char *bytes, size_t size);
void process_close_stdin(struct process *p);
int process_kill(const struct process *p, int signal);
int process_resize(struct process *p, unsigned short height, unsigned short width);

/* ---- console.c */
void console_name(const struct process *p, char *name, size_t size); /* relative to the bundle */
int console_listen(struct process *p, struct fault *f);
int console_take(struct process *p, struct fault *f);
void console_close(struct process *p);

/* ---- exec.c */
void exec_create(struct shim *s, struct asker a, const struct json *request);
void exec_start(struct shim *s, struct asker a, const char *exec);
void exec_delete(struct shim *s, struct asker a, const char *exec);
void exec_ended(struct process *p);
void exec_release(struct process *p); /* frees what was deleted and has no clients any more */
void exec_end_all(struct shim *s);

/* ---- oom.c */
struct oom {
    struct source source; /* eventfd on v1, inotify on v2 */
    int folder;           /* the container's memory cgroup; -1 */
    bool is_v2;
    uint64_t kills;
    bool has_happened;
};
void oom_watch(struct shim *s, pid_t pid);
void oom_stop(struct shim *s); /* looks a last time: the cgroup is about to go */

/* ---- lifecycle.c */

enum shim_status { SHIM_NEW, SHIM_CREATING, SHIM_CREATED, SHIM_RUNNING, SHIM_PAUSED, SHIM_STOPPED };

struct shim {
    struct loop loop;
    struct config config;
    struct fault config_fault; /* told to whoever asks for `create` */
    bool has_config;
    enum shim_status status;
    const char *bundle, *socket_path;
    struct rlimit file_limit; /* as it was given to us, for the container */
    struct source listener;
    bool is_full; /* no accept until a connection closes */
    struct connection *connections;
    unsigned connection_count;
    uint64_t last_serial;
    struct source signals;
    struct job *jobs;
    unsigned last_job;
    struct orphan {
        pid_t pid;
        int status;
    } orphans[64]; /* reaped before the runtime told us who they are */
    unsigned orphan_count;
    struct process init;
    struct process *execs;
    struct log log;
    struct oom oom;
    struct timer idle, linger;
    char started_at[TIME_TEXT_SIZE];
    char *checkpoint; /* folder that start restores from; NULL: start is the runtime's */
    struct asker deleter;
    bool is_leaving, is_deleting, has_deleted;
    char chunk[CHUNK_BYTES];
};

void lifecycle_create(struct shim *s, struct asker a, const char *checkpoint);
void lifecycle_start(struct shim *s, struct asker a);
void lifecycle_delete(struct shim *s, struct asker a);
void lifecycle_leave(struct shim *s); /* when jobs and clients allow it */
void lifecycle_init_exited(struct shim *s);
void lifecycle_init_ended(struct shim *s);
void lifecycle_connection_closed(struct shim *s);
int read_pid_file(const char *name, pid_t *pid, struct fault *f);
void put_state(const struct shim *s, struct json_writer *w);

#endif
