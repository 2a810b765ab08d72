#ifndef MINISHIM_SPAWN_H
#define MINISHIM_SPAWN_H

#include <stdbool.h>

int spawner_main(void); /* minispawn: starts shims for the daemon until its requests end */
int shim_main(const char *bundle, const char *socket_path, bool is_cleaning);

#endif
