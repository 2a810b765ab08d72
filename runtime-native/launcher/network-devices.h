#ifndef MINIRUN_NETWORK_DEVICES_H
#define MINIRUN_NETWORK_DEVICES_H

#include <sys/types.h>

#include "config.h"

int network_devices_validate(const struct config *config, struct fault *f);
/* linux.netDevices: moves them from our network namespace into that of the process, with their addresses, and up. */
int network_devices_move(const struct config *config, pid_t pid, struct fault *f);

#endif
