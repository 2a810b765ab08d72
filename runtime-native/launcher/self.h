#ifndef MINIRUN_SELF_H
#define MINIRUN_SELF_H

#include "fault.h"

/* Goes on from a sealed copy in memory, so that no container can write to this binary through /proc/<pid>/exe
 * (CVE-2019-5736). Returns 0 when we already are that copy; it does not return when it makes one. */
int self_seal(char **argv, struct fault *f);

#endif
