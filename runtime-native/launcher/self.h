#ifndef MINIRUN_SELF_H
#define MINIRUN_SELF_H

#include "fault.h"

/* Goes on from this binary on a read-only mount, or, where that may not be made, from a sealed copy in memory: no
 * container can write to it through /proc/<pid>/exe (CVE-2019-5736). Returns 0 when that is so already (a caller may
 * start us from such a file); it does not return when it had to be done. */
int self_seal(char **argv, struct fault *f);
/* Closes the last descriptor of that mount. This waits for an RCU grace period, on a busy machine a millisecond: it is
 * called when the child has all that it needs from us. */
void self_release(void);

#endif
