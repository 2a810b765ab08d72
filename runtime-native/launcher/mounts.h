/* Mounts by descriptors: a file system is made or cloned detached, given its attributes, and moved to a target that was
 * resolved inside the root. No path below the root is used twice. Before Linux 5.12: mount-legacy.c. */
#ifndef MINIRUN_MOUNTS_H
#define MINIRUN_MOUNTS_H

#include "rootfs.h"

int mounts_apply(const struct launch *launch, struct rootfs *rootfs, struct fault *f);
/* Sources that the child cannot reach or map, opened by the parent: launch->mount_fds. */
int mounts_open_sources(struct launch *launch, struct arena *arena, struct fault *f);
/* SYNC_IDMAP: the child has cloned a source inside the root, as this descriptor; its owner maps the ids. */
#define SOURCE_INSIDE (-2)
int mounts_map_inside(struct launch *launch, int pidfd, int number, struct fault *f);
/* Mounts that were to become read-only only after they were filled. */
int mounts_seal(const struct launch *launch, struct fault *f);

/* Building blocks, for the root file system, masks, devices and cgroups. */
uint64_t mount_attributes(unsigned long flags);
int mount_clone(int dir, const char *path, bool recursive);
int mount_set(int mount, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive);
int mount_move(int mount, int target);
int mount_detach(int mount); /* with what is mounted below */
/* A detached file system: type, source, comma separated data, MS_ flags. */
int mount_make(const char *type, const char *source, const char *data, unsigned long flags);

/* The attached mount, or -1. */
int mounts_cgroup(const struct launch *launch, const struct mount_entry *entry, int target, struct fault *f);
/* mount-links.c: the source's tree; the target whose last component is no link to follow; a link instead of a mount. */
int mount_clone_source(const struct mount_entry *entry);
int mount_open_final(const struct rootfs *rootfs, const struct mount_entry *entry, bool is_file);
int mount_copy_link(const struct rootfs *rootfs, const struct mount_entry *entry, struct fault *f);
int copy_up(int from, int to, struct fault *f); /* copy-up.c: tmpcopyup */

#endif
