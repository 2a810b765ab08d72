/* One binary, two names. minispawn: the resident helper of the daemon. minishim: one per container, started by
 * minispawn with its listening socket as fd 3. */
#include <stdio.h>
#include <string.h>

#include "spawn.h"

int main(int count, char **arguments)
{
    const char *slash = count > 0 ? strrchr(arguments[0], '/') : NULL;
    const char *name = slash ? slash + 1 : count > 0 ? arguments[0] : "";
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        printf("%s version %s\n", name, MINIDOCK_VERSION);
        return 0;
    }
    if (strcmp(name, "minispawn") == 0 && count == 1)
        return spawner_main();
    if (strcmp(name, "minishim") == 0 && count == 3 && strcmp(arguments[1], "--clean") == 0)
        return shim_main(arguments[2], NULL, true);
    if (strcmp(name, "minishim") == 0 && count == 3)
        return shim_main(arguments[1], arguments[2], false);
    fprintf(stderr, "%s is started by minidockd: docs/shim-protocol.md\n", name);
    return 2;
}
