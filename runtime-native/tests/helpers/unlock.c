/* unlock PATH: what an attacker with CAP_SYS_ADMIN does to a runtime's read-only mount: makes it writable from another
 * mount namespace, through /proc/<pid>/exe, and opens the file for writing. Exit status 0: that could be done. */
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int file = argc == 2 ? open(argv[1], O_PATH | O_CLOEXEC) : -1;
    struct mount_attr writable = {.attr_clr = MOUNT_ATTR_RDONLY};
    if (file < 0 || unshare(CLONE_NEWNS) < 0) {
        perror("unlock");
        return 2;
    }
    long result = syscall(SYS_mount_setattr, file, "", AT_EMPTY_PATH, &writable, sizeof writable);
    return result < 0 ? 1 : 0;
}
