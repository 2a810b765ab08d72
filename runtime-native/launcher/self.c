#include "self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"

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

int self_seal(char **argv, struct fault *f)
{
    AUTO_CLOSE int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (self < 0 || fstat(self, &status) < 0)
        return fault_errno(f, STAGE_RUNTIME, "open /proc/self/exe");
    int seals = fcntl(self, F_GET_SEALS);
    if (seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS)
        return 0;
    AUTO_CLOSE int copy = memfd_create("minirun", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL)
        copy = memfd_create("minirun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0 || copy_all(self, copy, (size_t)status.st_size) < 0 || fcntl(copy, F_ADD_SEALS, ALL_SEALS) < 0)
        return fault_errno(f, STAGE_RUNTIME, "make a sealed copy of minirun");
    (void)execveat(copy, "", argv, environ, AT_EMPTY_PATH);
    return fault_errno(f, STAGE_RUNTIME, "execute the sealed copy of minirun");
}
