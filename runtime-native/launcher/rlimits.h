#ifndef MINIRUN_RLIMITS_H
#define MINIRUN_RLIMITS_H

#include "config.h"

int rlimits_parse(struct arena *arena, struct process_config *process, const struct json *array, struct fault *f);
/* On the process `pid`. A hard limit above ours needs CAP_SYS_RESOURCE; without it the highest that we may give is
 * given and one line says so. */
int rlimits_apply(pid_t pid, const struct process_config *process, struct fault *f);

#endif
