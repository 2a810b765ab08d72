#ifndef MINIRUN_LABELS_H
#define MINIRUN_LABELS_H

#include "config.h"

/* The AppArmor profile and the SELinux label that take effect at execve, written below a verified procfs. */
int labels_apply(const struct process_config *process, int proc, struct fault *f);
bool labels_are_wanted(const struct process_config *process);

#endif
