/* User namespaces: id mappings, written by the parent of the first process inside, and what follows from them. */
#ifndef MINIRUN_USER_NAMESPACE_H
#define MINIRUN_USER_NAMESPACE_H

#include <sys/types.h>

#include "config.h"

/* Contradictions of mappings and of mounts that name ids, before anything is made. */
/* As in crun, a user without privileges always gets a namespace, and without mappings our own ids are its root. */
int user_namespace_default(struct config *config, struct fault *f);
int user_namespace_validate(const struct config *config, struct fault *f);
/* In the parent: the mappings of the child's user namespace. */
int user_namespace_map(pid_t pid, const struct id_mappings *uids, const struct id_mappings *gids, struct fault *f);
/* A namespace with these mappings that lives as long as the descriptor; for id-mapped mounts. */
int user_namespace_make(const struct id_mappings *uids, const struct id_mappings *gids, struct fault *f);
/* What an id of the container is outside; itself where it is not mapped. */
uint32_t user_namespace_outside(const struct id_mappings *mappings, uint32_t id);
/* Inside of one that was joined: its mappings are those of the config, if that has any (podman, containerd). */
int user_namespace_check_joined(const struct config *config, struct fault *f);
/* Inside: its root. */
int user_namespace_become_root(struct fault *f);
/* Whether setgroups(2) was given up in the user namespace of a process; 0: ours. */
bool user_namespace_denies_groups(pid_t pid);

#endif
