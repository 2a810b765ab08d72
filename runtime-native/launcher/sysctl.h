#ifndef MINIRUN_SYSCTL_H
#define MINIRUN_SYSCTL_H

#include "config.h"

/* Only keys that belong to a namespace of the container are let through. */
int sysctl_validate(const struct config *config, struct fault *f);
/* Writes them below `proc`, the root of a procfs that we mounted ourselves. */
int sysctl_apply(const struct json *sysctl, int proc, struct fault *f);

#endif
