#ifndef MINIRUN_CONTAINER_MATCH_H
#define MINIRUN_CONTAINER_MATCH_H

#include "fault.h"

typedef int container_action(const char *root, const char *id, void *context, struct fault *f);

/* Acts on every container below root whose id the extended regular expression matches. */
int container_match(const char *root, const char *pattern, container_action *act, void *context, struct fault *f);

#endif
