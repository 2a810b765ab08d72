#ifndef MINIRUN_IDMAP_H
#define MINIRUN_IDMAP_H

#include "launch.h"

/* Checks what a mount asks for, after the mappings of the container are known. */
int idmap_parse(struct config *config, struct mount_entry *entry, struct fault *f);
/* On a detached bind mount, by who owns its file system. */
int idmap_apply(const struct launch *launch, const struct mount_entry *entry, int mount, struct fault *f);

#endif
