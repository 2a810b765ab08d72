/* Control groups of one container: v1 (one folder per hierarchy), v2 (one folder), hybrid (v1 plus a v2 folder without
 * controllers, for kill, freeze and events). */
#ifndef MINIRUN_CGROUP_H
#define MINIRUN_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"

enum cgroup_mode { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

#define MAX_HIERARCHIES 24

struct cgroup_dir {
    const char *controllers; /* "cpu,cpuacct", "name=systemd"; "" is the unified (v2) hierarchy */
    const char *mountpoint;  /* NULL after loading from the state */
    const char *path;        /* the container's folder */
    int fd;                  /* O_PATH of it, -1 when not open */
};

struct cgroup {
    enum cgroup_mode mode;
    bool is_rootless; /* what may not be written is left */
    size_t count;
    struct cgroup_dir dirs[MAX_HIERARCHIES];
};

/* Where the container's groups are to be: from linux.cgroupsPath, or the id below our own group. */
int cgroup_plan(struct arena *arena, const struct config *config, const char *id, struct cgroup *cgroup,
                struct fault *f);
int cgroup_create(struct cgroup *cgroup, struct fault *f);
int cgroup_create_unified(struct cgroup *cgroup, struct fault *f); /* only what clone_into_cgroup needs */
int cgroup_open(struct cgroup *cgroup, struct fault *f);           /* those that exist */
int cgroup_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f);
/* Moving another process waits for an RCU grace period, some milliseconds: it locks out all forks of the machine
 * (cgroup_threadgroup_rwsem). Where it can be avoided it is: a process is cloned into its v2 group (CLONE_INTO_CGROUP),
 * and a single thread may move itself in v1 without that lock. */
int cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct fault *f);
int cgroup_enter_self(const struct cgroup *cgroup, struct fault *f); /* all but v2 */
/* Waits until every process is gone (they are killed already), then removes the folders with those below. */
int cgroup_remove(struct cgroup *cgroup, struct fault *f);
void cgroup_close(struct cgroup *cgroup);

const struct cgroup_dir *cgroup_find(const struct cgroup *cgroup, const char *controller);
const struct cgroup_dir *cgroup_unified(const struct cgroup *cgroup);

/* cgroup-tasks.c */
int cgroup_processes(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct fault *f); /* malloc */
int cgroup_signal(const struct cgroup *cgroup, int signal, struct fault *f);
int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct fault *f);
bool cgroup_was_oom_killed(const struct cgroup *cgroup);
bool cgroup_is_frozen(const struct cgroup *cgroup);

/* One file of a group; a fault in runc's words. */
int cgroup_write(const struct cgroup_dir *dir, const char *file, const char *value, struct fault *f);
int cgroup_write_number(const struct cgroup_dir *dir, const char *file, long long value, struct fault *f);
bool cgroup_has_file(const struct cgroup_dir *dir, const char *file);
int cgroup_read_number(const struct cgroup_dir *dir, const char *file,
                       unsigned long long *value); /* "max": ULLONG_MAX */

int cgroup_v1_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f);
int cgroup_v2_apply(const struct cgroup *cgroup, const struct json *resources, struct fault *f);
int cgroup_v2_enable_controllers(const char *mountpoint, const char *path, struct fault *f);

/* cgroup-devices.c: the spec's rules, then the devices that every container has. */
int cgroup_devices_v1(const struct cgroup_dir *dir, const struct json *rules, struct fault *f);
int cgroup_devices_v2(const struct cgroup_dir *dir, const struct json *rules, struct fault *f);

/* cgroup-stats.c: `events --stats` in runc's form. */
int cgroup_stats(const struct cgroup *cgroup, const char *id, struct json_writer *w, struct fault *f);

#endif
