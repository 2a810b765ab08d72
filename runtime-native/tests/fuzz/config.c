/* Any config.json: it is read or refused with a reason, and what is read can be looked at. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../launcher/config.h"
#include "../../launcher/log.h"
#include "io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static int file = -1;
    if (file < 0)
        file = log_set_level("error", &(struct fault){0}) < 0 ? -1 : memfd_create("config.json", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, 0) < 0 || pwrite(file, bytes, size, 0) != (ssize_t)size)
        abort();
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct fault f = {0};
    struct config config = {0};
    if ((config_load(&config, "/", path, &f) < 0 || config_validate(&config, &f) < 0) && !*f.message)
        abort();
    config_free(&config);
    return 0;
}
