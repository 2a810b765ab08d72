/* What the parts of exec share: exec.c is the parent's half, exec-child.c the child's, exec-process.c what is run. */
#ifndef MINIRUN_EXEC_H
#define MINIRUN_EXEC_H

#include "container.h"
#include "launch.h"
#include "options.h"

struct exec_options {
    const char *console_socket, *pidfd_socket, *cwd, *user, *process, *pid_file, *label, *apparmor;
    unsigned preserve_fds;
    bool tty, detach, no_new_privileges, ignore_paused;
    struct option_values env, groups, capabilities, cgroups;
};

struct execution {
    const struct exec_options *options;
    struct container container;
    struct config config; /* its arena, process and personality */
    struct json_document *document;
    struct cgroup cgroup; /* where the process goes: the container's, or below */
    struct launch launch;
    int init, sync, pidfd, signals, console, terminal;
    pid_t pid;
};

/* exec-process.c: fills config.process. */
int exec_process_from_flags(struct execution *e, int words, char **argv, struct fault *f);
int exec_process_from_file(struct execution *e, struct fault *f);

/* exec-child.c: the process, as our child, in the container's namespaces; it goes on to execve, asking by sync. */
int exec_clone_inside(struct execution *e, struct fault *f);

#endif
