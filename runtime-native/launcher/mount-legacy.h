#ifndef MINIRUN_MOUNT_LEGACY_H
#define MINIRUN_MOUNT_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

bool mount_is_legacy(void);
/* Binds the root file system on itself and opens it; from then on the others work, in this process only. */
int legacy_attach_root(const char *rootfs);
/* After the last mount. */
int legacy_finish(void);

/* As mount_clone and so on of mounts.h. */
int legacy_clone(int dir, const char *path, bool recursive);
int legacy_make(const char *type, const char *source, const char *data, unsigned long flags);
int legacy_set(int target, uint64_t set, uint64_t clear, unsigned long propagation, bool recursive);
int legacy_move(int from, int to);

#endif
