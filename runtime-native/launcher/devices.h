#ifndef MINIRUN_DEVICES_H
#define MINIRUN_DEVICES_H

#include "rootfs.h"

/* In the parent, for a container with a user namespace: the nodes that only we may make. */
int devices_open_sources(struct launch *launch, struct fault *f);
/* The default nodes and those of the config, ptmx and the usual links, unless /dev is somebody else's (a bind mount).
 */
int devices_create(const struct launch *launch, const struct rootfs *rootfs, struct fault *f);
/* The default nodes, then those of the config. */
size_t devices_count(const struct config *config);
const struct device *devices_at(const struct config *config, size_t index);
bool devices_are_ours(const struct config *config);
/* Standard streams that are the host's /dev/null become the container's. After rootfs_enter. */
int devices_reopen_null(struct fault *f);
bool device_is_null(int fd);

#endif
