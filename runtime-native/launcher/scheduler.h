#ifndef MINIRUN_SCHEDULER_H
#define MINIRUN_SCHEDULER_H

#include "config.h"

/* process.scheduler, process.ioPriority and linux.personality: whether they make sense; and on ourselves. */
int scheduler_validate(const struct process_config *process, struct fault *f);
int personality_validate(const struct json *section, struct fault *f);
int scheduler_apply(const struct process_config *process, const struct config *config, struct fault *f);
/* execCPUAffinity's "initial", before the process enters its cgroups, or "final". */
int affinity_apply(const struct process_config *process, const char *moment, struct fault *f);
/* In the cgroups: all CPUs they allow, not the caller's own mask, unless execCPUAffinity says otherwise. */
void affinity_reset(void);
int affinity_settle(const struct process_config *process, struct fault *f);

#endif
