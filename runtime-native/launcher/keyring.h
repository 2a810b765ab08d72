#ifndef MINIRUN_KEYRING_H
#define MINIRUN_KEYRING_H

#include <stdbool.h>

#include "fault.h"

/* A session keyring of the container's own, by name, so that exec joins the same. */
int keyring_join(const char *id, bool in_user_namespace, struct fault *f);

#endif
