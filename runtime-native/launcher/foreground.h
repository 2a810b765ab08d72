#ifndef MINIRUN_FOREGROUND_H
#define MINIRUN_FOREGROUND_H

#include <sys/types.h>

#include "fault.h"

/* Before the clone: no signal may be lost between it and the waiting. Returns a signalfd. */
int foreground_block_signals(struct fault *f);
/* Passes signals on, and bytes between our terminal and `master` (-1: none), until the process ends: its exit code, or
 * -1 when there is no waiting for it: the caller ends it then. */
int foreground_wait(pid_t pid, int signals, int master, struct fault *f);

#endif
