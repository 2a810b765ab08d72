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
    const char *mountpoint;
    const char *path; /* the container's folder */
    const char *own;  /* ours, where a container stays that may not have one; NULL after loading */
    int fd;           /* O_PATH of it, -1 when not open */
};

struct cgroup {
    enum cgroup_mode mode;
    bool has_wanted_path; /* linux.cgroupsPath: one that cannot be made is a failure then, rootless or not */
    size_t count;
    struct cgroup_dir dirs[MAX_HIERARCHIES];
};

/* cgroup-plan.c: nothing is made or opened yet. */
int cgroup_plan(struct arena *arena, const struct config *config, const char *id, struct cgroup *cgroup,
                struct fault *f);
/* Moves the paths of a copy to groups below, as `exec --cgroup [<controller>[,…]:]<path>` says. */
int cgroup_choose_below(struct arena *arena, struct cgroup *cgroup, const char *const *wanted, size_t count,
                        struct fault *f);

/* cgroup.c */
int cgroup_create(struct cgroup *cgroup, struct fault *f);
int cgroup_create_unified(struct cgroup *cgroup, struct fault *f); /* only what clone_into_cgroup needs */
int cgroup_open(struct cgroup *cgroup, struct fault *f);           /* those that exist */
void cgroup_close(struct cgroup *cgroup);
/* Moving another process waits for an RCU grace period, some milliseconds: it locks out all forks of the machine
 * (cgroup_threadgroup_rwsem). Where it can be avoided it is: a process is cloned into its v2 group (CLONE_INTO_CGROUP),
 * and a single thread may move itself in v1 without that lock. */
int cgroup_enter(const struct cgroup *cgroup, pid_t pid, struct fault *f);
int cgroup_enter_self(const struct cgroup *cgroup, struct fault *f); /* all but v2 */
/* v2: from now on the group that process is in: a container's init may have moved, and taken its groups with it. */
int cgroup_follow(struct cgroup *cgroup, pid_t pid, struct fault *f);
/* v2: gives the group to the root of a user namespace, so that it can make groups of its own (cgroups(7), delegation).
 */
int cgroup_delegate(const struct cgroup *cgroup, uid_t owner, struct fault *f);
/* Without root's rights over cgroups: no root, or root of a user namespace. What may not be made is left then. */
bool cgroup_is_rootless(void);
void cgroup_assume_rootless(bool is_rootless);                          /* --rootless: do not find out */
bool cgroup_is_listed(const char *controllers, const char *controller); /* in "cpu,cpuacct" or "cpu io" */

const struct cgroup_dir *cgroup_find(const struct cgroup *cgroup, const char *controller); /* of v1 */
struct cgroup_dir *cgroup_unified(const struct cgroup *cgroup);

/* One file of a group; a fault in runc's words. */
int cgroup_write(const struct cgroup_dir *dir, const char *file, const char *value, struct fault *f);
bool cgroup_has_file(const struct cgroup_dir *dir, const char *file);
int cgroup_read_number(const struct cgroup_dir *dir, const char *file,
                       unsigned long long *value); /* "max": ULLONG_MAX */

/* cgroup-remove.c: waits until every process is gone (they are killed already), then removes the folders with those
 * below. */
int cgroup_remove(struct cgroup *cgroup, struct fault *f);

/* cgroup-tasks.c */
const struct cgroup_dir *cgroup_tasks_dir(const struct cgroup *cgroup); /* NULL: no group of its own */
int cgroup_processes(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct fault *f); /* malloc */
int cgroup_signal(const struct cgroup *cgroup, int signal, struct fault *f);
int cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct fault *f);
bool cgroup_is_frozen(const struct cgroup *cgroup);
unsigned long cgroup_oom_kills(const struct cgroup *cgroup); /* so far */

/* cgroup-stats.c: `events --stats` in runc's form. */
int cgroup_stats(const struct cgroup *cgroup, const char *id, struct json_writer *w, struct fault *f);

#endif
