/* exchange ONE OTHER: swaps two names of a shared volume for ever, as a container would that races its runtime. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return 2;
    (void)puts("ready");
    (void)fflush(stdout);
    for (;;)
        if (renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE) < 0)
            return 1;
}
