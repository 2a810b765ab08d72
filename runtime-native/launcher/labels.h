#ifndef MINIRUN_LABELS_H
#define MINIRUN_LABELS_H

#include "config.h"

/* The AppArmor profile and the SELinux label that take effect at execve, written below a verified procfs. */
int labels_apply(const struct process_config *process, int proc, struct fault *f);
/* On the host: forgets, with a warning, the profile and the mount label that this kernel cannot apply. */
void labels_drop_unknown(struct process_config *process, const char **mount_label);
bool labels_are_wanted(const struct process_config *process);

/* The options of a new file system with the container's label for its files, where the type takes one; in `buffer`. */
const char *label_mount_data(const char *label, const char *type, const char *data, char *buffer, size_t size);
int label_file(const char *label, int fd, struct fault *f); /* one file; an O_PATH descriptor will do */

#endif
