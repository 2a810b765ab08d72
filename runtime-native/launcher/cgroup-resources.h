/* linux.resources → files of cgroups. One function for each controller and version; cgroup-resources.c chooses. Zero
 * and absent mean "leave it" for nearly every number of the spec. */
#ifndef MINIRUN_CGROUP_RESOURCES_H
#define MINIRUN_CGROUP_RESOURCES_H

#include "cgroup.h"

int cgroup_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f);

/* Writes a setting. One whose file this kernel lacks costs a line in the log, not the container: what can be kept is
 * kept. */
int cgroup_put(const struct cgroup_dir *dir, const char *file, const char *value, struct fault *f);
int cgroup_put_number(const struct cgroup_dir *dir, const char *file, long long value, struct fault *f);
/* section[key] as it is; nothing when it is absent or 0. */
int cgroup_put_member(const struct cgroup_dir *dir, const char *file, const struct json *section, const char *key,
                      struct fault *f);
int cgroup_put_hugepages(const struct cgroup_dir *dir, const struct json *limits, const char *suffix, struct fault *f);
/* Writes of two files that bind each other: what the kernel refuses (EINVAL) while the other has its old value is
 * written again after it. */
struct cgroup_setting {
    const char *file;
    char value[32]; /* "": not asked for */
};
int cgroup_put_together(const struct cgroup_dir *dir, const struct cgroup_setting *settings, size_t count,
                        struct fault *f);

typedef int cgroup_section(const struct cgroup_dir *dir, const struct json *section, struct fault *f);
cgroup_section cgroup_v1_memory, cgroup_v1_cpu, cgroup_v1_cpuset, cgroup_v1_block_io, cgroup_v1_hugepages,
    cgroup_v1_classes, cgroup_v1_priorities;
cgroup_section cgroup_v2_memory, cgroup_v2_cpu, cgroup_v2_cpuset, cgroup_v2_block_io, cgroup_v2_hugepages;
cgroup_section cgroup_v2_unified;
unsigned long long cgroup_v2_weight(unsigned long long shares); /* of cpu.shares, in cpu.weight */

/* Enables every controller for the group at dir->path in its parents, from the mount point down. */
int cgroup_v2_enable_controllers(const struct cgroup_dir *dir, struct fault *f);

#endif
