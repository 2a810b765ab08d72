#ifndef MINIRUN_SCHEDULER_H
#define MINIRUN_SCHEDULER_H

#include "config.h"

/* process.scheduler, process.ioPriority and linux.personality, on ourselves. */
int scheduler_apply(const struct process_config *process, const struct json *personality, struct fault *f);
/* execCPUAffinity: "initial" before the process enters its cgroups, "final" after. */
int affinity_apply(const struct process_config *process, const char *moment, struct fault *f);

#endif
