/* A container that exists: its folder below --root, what was written there at create, and the process it names. */
#ifndef MINIRUN_CONTAINER_H
#define MINIRUN_CONTAINER_H

#include <stdbool.h>

#include "cgroup.h"
#include "config.h"
#include "hooks.h"

#define OCI_VERSION "1.2.1"

enum container_status { STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };

struct container {
    struct arena arena;
    struct json_document *document;
    int dir;                                                       /* of the state, -1 */
    const char *id, *version, *bundle, *config, *rootfs, *created; /* config: the file */
    pid_t pid;
    unsigned long long start_time; /* of pid, in clock ticks since boot: a pid alone may be somebody else's by now */
    unsigned namespaces;           /* CLONE_NEW*: those that exec joins */
    bool has_own_pids;             /* the init's death ends all processes */
    bool keeps_keyring;
    const char *descriptors[3]; /* what 0, 1 and 2 were at create ("pipe:[123]"): for checkpoint */
    struct cgroup cgroup;
    const struct json *hooks, *annotations, *personality, *memory_policy;
};

int container_check_id(const char *id, struct fault *f);
/* Makes the folder of a new container, of which the id is known; it must not exist. */
int container_claim(const char *root, struct container *container, struct fault *f);
/* What a failure leaves of one that was claimed: its init, a child of ours, its cgroups, its folder. */
void container_abandon(const char *root, struct container *container);
/* container-unfinished.c: what a create that dies half way would leave, noted beforehand; removed without a state. */
void container_note_cgroups(const struct container *container);
int container_remove_unfinished(const char *root, const char *id, struct fault *f);
int container_load(const char *root, const char *id, struct container *container, struct fault *f);
void container_close(struct container *container);

enum container_status container_status(const struct container *container);
const char *container_status_name(enum container_status status);
/* A descriptor of the init, checked to be the process that the state means; -1 and "container not running". */
int container_pidfd(const struct container *container, struct fault *f);
unsigned long long process_start_time(pid_t pid, char *state);

/* Kills the init and waits for its end. */
int container_end(const struct container *container, struct fault *f);
/* container-processes.c: those in its cgroups; without cgroups those in its PID namespace. malloc. */
int container_processes(const struct container *container, pid_t **pids, size_t *count, struct fault *f);

/* Removes cgroups and folder, then runs the poststop hooks. The init must be dead. */
int container_destroy(const char *root, struct container *container, struct fault *f);
void container_remove_folder(const char *root, const char *id);
void container_hook_state(const struct container *container, const char *status, struct hook_state *state);

/* container-state.c: state.json in that folder. */
int container_save(const struct container *container, struct fault *f);
int container_read_state(struct container *container, struct fault *f);
/* Takes over what config says of the container that pid has just become, and saves it. */
int container_record(struct container *container, const struct config *config, struct fault *f);
/* runc's form of state, for `state` and `list`. */
void container_describe(const struct container *container, struct json_writer *w, const char *owner);

/* print-json.c */
void print_json(const struct json_writer *w, const char *indent); /* indent NULL: on one line */

#endif
