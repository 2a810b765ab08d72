#ifndef MINIRUN_LISTENER_H
#define MINIRUN_LISTENER_H

#include "container.h"
#include "seccomp.h"

struct notifying_process {
    pid_t pid;
    int pidfd, listener; /* a descriptor there */
};

/* Fetches the process's seccomp listener and hands it to listenerPath, with the container process state that the
 * runtime-spec describes. */
int listener_forward(const struct seccomp_filter *filter, const struct container *container,
                     const struct notifying_process *process, struct fault *f);

#endif
