#ifndef MINIRUN_NAMESPACES_H
#define MINIRUN_NAMESPACES_H

#include <sys/types.h>

#include "launch.h"

/* Opens what is to be joined, so that a path is resolved once, in the caller's world. */
int namespaces_open(const struct config *config, int fds[NS_COUNT], struct fault *f);
void namespaces_close(int fds[NS_COUNT]);

/* Clones the container's first process into its new namespaces and runs container_init there. */
int namespaces_clone(struct launch *launch, int parent_sync, pid_t *pid, int *pidfd, struct fault *f);
/* In the child, with the ids that it was cloned with: a time namespace with its offsets. */
int namespaces_make_time(const struct config *config, struct fault *f);
/* In the child: makes and joins the rest, the mount namespace last. */
int namespaces_enter(struct launch *launch, struct fault *f);

pid_t clone_process(unsigned long long flags, int *pidfd);
/* Into a v2 cgroup; *is_inside says whether that could be done. */
pid_t clone_into_cgroup(unsigned long long flags, int *pidfd, const struct cgroup *cgroup, bool *is_inside);

#endif
