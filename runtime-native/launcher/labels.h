#ifndef MINIRUN_LABELS_H
#define MINIRUN_LABELS_H

#include "config.h"

/* The AppArmor profile and the SELinux label that take effect at execve, written below a verified procfs. */
int labels_apply(const struct process_config *process, int proc, struct fault *f);
/* On the host: forgets, with a warning, the profile that this kernel cannot apply. */
void labels_drop_unknown(struct process_config *process);
bool labels_are_wanted(const struct process_config *process);

#endif
