#ifndef MINIRUN_LISTENER_H
#define MINIRUN_LISTENER_H

#include "container.h"
#include "seccomp.h"

/* Fetches the seccomp listener `number` of the process behind pidfd and hands it to listenerPath, with the container
 * process state that the runtime-spec describes. */
int listener_forward(const struct seccomp_filter *filter, const struct container *container, int pidfd, int number,
                     struct fault *f);

#endif
