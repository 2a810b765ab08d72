#ifndef MINIRUN_MEMORY_POLICY_H
#define MINIRUN_MEMORY_POLICY_H

#include "fault.h"
#include "json.h"

/* Sets this process's NUMA policy by the linux.memoryPolicy section (runtime-spec 1.3); children inherit it. */
int memory_policy_apply(const struct json *section, struct fault *f);

#endif
