/* The container's file system, from the bundle's folder to "/". */
#ifndef MINIRUN_ROOTFS_H
#define MINIRUN_ROOTFS_H

#include "launch.h"

struct rootfs {
    int fd;     /* the root of the container's tree; everything below is opened from it */
    int proc;   /* a procfs that we mounted ourselves, -1 */
    int devpts; /* likewise, -1 */
};

int rootfs_attach(const struct launch *launch, struct rootfs *rootfs, struct fault *f);
/* Makes it "/"; the host's tree is out of reach from then on. */
int rootfs_enter(const struct launch *launch, const struct rootfs *rootfs, struct fault *f);
/* What must not be writable or seen. */
int rootfs_protect(const struct config *config, struct fault *f);
/* Last: of an unbindable tree nothing can be cloned any more. */
int rootfs_propagate(const struct config *config, struct fault *f);

/* A procfs that is surely one, for sysctls and labels. */
int rootfs_open_proc(const struct rootfs *rootfs, struct fault *f);

#endif
