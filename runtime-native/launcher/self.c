#include "self.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3: executable where vm.memfd_noexec asks for a decision */
#endif

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int copy_all(int from, int to, size_t size)
{
    while (size > 0) {
        ssize_t count = sendfile(to, from, NULL, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return -1;
        size -= (size_t)count;
    }
    return 0;
}

/* The same file on a read-only mount that is in no namespace: 20 us, where a copy takes 400. Whoever opens it through
 * /proc gets this mount, and only a namespace that has a mount can remount it. The descriptor outlives execve, see
 * self_release, away from those that --preserve-fds counts. */
static int open_readonly(int self)
{
    AUTO_CLOSE int mount = mount_clone(self, "", false);
    return mount < 0 || mount_set(mount, MOUNT_ATTR_RDONLY, 0, 0, false) < 0 ? -1 : fcntl(mount, F_DUPFD, 63);
}

/* The descriptor that execveat(2) was given: the kernel says its number, the inode that it is still the same. */
static int executed_descriptor(int self)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    struct stat ours, theirs;
    int fd = -1;
    if (!name || sscanf(name, "/dev/fd/%d", &fd) != 1 || fstat(self, &ours) < 0 || fstat(fd, &theirs) < 0 ||
        ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return fd;
}

static bool is_protected(int self)
{
    struct statvfs fs;
    int seals = fcntl(self, F_GET_SEALS);
    return (seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS) || (fstatvfs(self, &fs) == 0 && fs.f_flag & ST_RDONLY);
}

static int open_copy(int self, struct fault *f)
{
    struct stat status;
    if (fstat(self, &status) < 0)
        return fault_errno(f, STAGE_RUNTIME, "stat /proc/self/exe");
    AUTO_CLOSE int copy = memfd_create("minirun", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL)
        copy = memfd_create("minirun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0 || copy_all(self, copy, (size_t)status.st_size) < 0 || fcntl(copy, F_ADD_SEALS, ALL_SEALS) < 0)
        return fault_errno(f, STAGE_RUNTIME, "make a sealed copy of minirun");
    return take_fd(&copy);
}

static int held = -1;

void self_release(void)
{
    close_fd(&held);
}

int self_seal(char **argv, struct fault *f)
{
    AUTO_CLOSE int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0)
        return fault_errno(f, STAGE_RUNTIME, "open /proc/self/exe");
    if (is_protected(self)) {
        held = executed_descriptor(self);
        return 0;
    }
    AUTO_CLOSE int guarded = open_readonly(self);
    if (guarded < 0)
        guarded = open_copy(self, f);
    if (guarded < 0)
        return -1;
    (void)syscall(SYS_execveat, guarded, "", argv, environ, AT_EMPTY_PATH);
    return fault_errno(f, STAGE_RUNTIME, "execute the sealed minirun");
}
