/* nest N: makes N folders, each in the one before, which a shell cannot: their path is longer than PATH_MAX. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (long left = strtol(argv[1], NULL, 10); left > 0; left--)
        if (mkdir("d", 0755) < 0 || chdir("d") < 0)
            return 1;
    return puts("nested") < 0;
}
