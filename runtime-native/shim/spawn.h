#ifndef MINISHIM_SPAWN_H
#define MINISHIM_SPAWN_H

#include <stdbool.h>

#include "fault.h"

/* Names are paths where nothing is yet; NULL: not wanted. */
struct namespaces_request {
    const char *user;
    const char *network;
    const char *joins;             /* a user namespace that there is already, instead of a new one */
    const char *uid_map, *gid_map; /* of a new one, as user_namespaces(7) has it */
};
int namespaces_make(const struct namespaces_request *r, struct fault *f);

int spawner_main(void); /* minispawn: starts shims for the daemon until its requests end */
int shim_main(const char *bundle, const char *socket_path, bool is_cleaning);

#endif
