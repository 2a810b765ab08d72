/* What parent and child of one clone share: everything is decided and opened before, so that the child only acts. */
#ifndef MINIRUN_LAUNCH_H
#define MINIRUN_LAUNCH_H

#include "cgroup.h"
#include "config.h"
#include "seccomp.h"

#define KEEP_GROUPS_ANNOTATION "run.oci.keep_original_groups"

struct launch {
    const struct config *config;
    struct process_config *process;
    struct arena *arena;
    const char *id, *bundle;
    struct cgroup *cgroup;
    struct seccomp_filter seccomp;
    int namespace_fds[NS_COUNT]; /* to join, -1 */
    int *mount_fds; /* by index: bind sources that only the parent may open; later, mounts that wait for mounts_seal */
    int device_nodes;       /* a tmpfs with them, made by the parent; -1: the child makes or finds them */
    int sync;               /* the child's end of the socket pair */
    int exec_fifo;          /* create: read before execve; -1: none */
    int console_socket;     /* gets the terminal's master, -1 */
    unsigned preserved_fds; /* beside 0, 1, 2 */
    bool is_new_user_namespace, has_user_namespace /* not ours: new or joined */;
    bool keeps_groups;    /* those of our caller: podman's --group-add keep-groups */
    bool denies_groups;   /* setgroups(2) is given up in there */
    bool is_unprivileged; /* who made us is not root */
    bool keeps_keyring, keeps_root /* --no-pivot */;
    bool is_foreground;                      /* minirun itself passes the terminal's bytes on */
    bool parent_sets_rlimits, enters_cgroup; /* the child moves itself: cgroup_enter_self */
};

/* Messages of one byte; anything larger is a struct fault and the end. */
enum sync_message {
    SYNC_MAPPED = 'm', /* to the child: user ids are mapped */
    SYNC_CGROUP =
        'c', /* to the child: its cgroups are ready, unless enters_cgroup it is in them; the state is written */
    SYNC_NETWORK = 'n', /* the child is in its network namespace, where devices are to come; answered by the same */
    SYNC_HOOKS = 'h',   /* the child's mounts are there: prestart and createRuntime hooks; answered by the same */
    SYNC_READY = 'r',   /* the child only has to become the container's process; parent_sets_rlimits: answered by */
    SYNC_GO = 'g',
    SYNC_IDMAP = 'i',    /* with the number of a mount in the child: mounts_map_inside; answered by the same */
    SYNC_LISTENER = 'l', /* with the number of the seccomp listener in the child; answered by the same */
    SYNC_WAITING = 'w',  /* create: done, waiting for start */
};

int sync_send(int fd, enum sync_message message, int argument, struct fault *f);
/* The child's SYNC_READY. Each answer waited for costs a busy machine a turn of its scheduler. */
int sync_ready(const struct launch *launch, struct fault *f);
int sync_send_fault(int fd, const struct fault *f);
/* 0: that message came. -1: the peer's fault, or its end, is in f. */
int sync_expect(int fd, enum sync_message message, int *argument, struct fault *f);
/* The next message, 0 at the end of the connection, -1 and the peer's fault. */
int sync_receive(int fd, int *argument, struct fault *f);

/* init.c: the container's first process from clone to execve. */
void container_init(struct launch *launch) __attribute__((noreturn));
int raise_loopback(struct fault *f); /* of the network namespace that we are in */
/* process.c: once the host's tree is gone, nothing that is open may lead back to it, neither after execve
 * (CVE-2024-21626) nor before: an exec before start, or a container that shares our PID namespace, sees a process that
 * waits, and with CAP_SYS_PTRACE its descriptors (CVE-2016-9962). What stays is O_CLOEXEC; the sync socket's end tells
 * of execve. */
int process_drop_host(const struct launch *launch, int proc, struct fault *f);
/* The last steps, the same for init and exec: user, capabilities, seccomp, execve. */
int process_prepare(struct launch *launch, int proc, char **executable, struct fault *f);
void process_execute(struct launch *launch, const char *executable) __attribute__((noreturn));
void process_end(int code) __attribute__((noreturn)); /* _exit(2) for who may be filtered already */

#endif
