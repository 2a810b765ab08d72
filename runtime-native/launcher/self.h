#ifndef MINIRUN_SELF_H
#define MINIRUN_SELF_H

#include "fault.h"

/* Goes on from this binary on a read-only mount, or, where that may not be made, from a sealed copy in memory: no
 * container can write to it through /proc/<pid>/exe (CVE-2019-5736). Returns 0 when that is so already (a caller may
 * start us from such a file); it does not return when it had to be done. */
int self_seal(char **argv, struct fault *f);
/* Closes our descriptor of that mount. As long as one is open the mount is in an anonymous namespace, and whoever gets
 * at it through /proc/<pid>/exe with CAP_SYS_ADMIN of its own may make it writable again: mount_setattr(2). So all are
 * closed before a container can see a process of ours. The last waits for an RCU grace period, on a busy machine a
 * millisecond: better beside the child's work. */
void self_release(void);

#endif
