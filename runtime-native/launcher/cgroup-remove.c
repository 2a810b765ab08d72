#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"

/* Removes the groups below `dir`, deepest first: a container may have made its own. */
static void remove_children(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        close_fd(&copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        AUTO_CLOSE int child = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0)
            remove_children(child);
        (void)unlinkat(dir, entry->d_name, AT_REMOVEDIR);
    }
    (void)closedir(listing);
}

/* "populated 0" in cgroup.events says that the last process is gone; the kernel wakes pollers: cgroups(7). */
static void wait_until_empty(const struct cgroup *cgroup, int timeout_ms)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    AUTO_CLOSE int events =
        unified && unified->fd >= 0 ? openat(unified->fd, "cgroup.events", O_RDONLY | O_CLOEXEC) : -1;
    for (int waited = 0; events >= 0 && waited < 2; waited++) {
        char text[256] = "";
        if (pread(events, text, sizeof text - 1, 0) < 0 || strstr(text, "populated 0"))
            return;
        struct pollfd change = {.fd = events, .events = POLLPRI};
        (void)poll(&change, 1, timeout_ms);
    }
}

static int remove_dir(const struct cgroup *cgroup, struct cgroup_dir *dir, struct fault *f)
{
    /* Only v1 alone has no event to wait for; there the pause doubles from 1 ms. */
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        if (rmdir(dir->path) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            break;
        if (attempt == 0)
            remove_children(dir->fd);
        else if (attempt == 1)
            wait_until_empty(cgroup, 1000);
        else
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000000L << attempt >> 2}, NULL);
    }
    return fault_errno(f, STAGE_CGROUP, "unable to remove cgroup: rmdir %s", dir->path);
}

int cgroup_remove(struct cgroup *cgroup, struct fault *f)
{
    int result = 0;
    for (size_t i = 0; i < cgroup->count; i++)
        if (cgroup->dirs[i].fd >= 0 && remove_dir(cgroup, &cgroup->dirs[i], f) < 0 &&
            !(f->error != EBUSY && cgroup_is_rootless()))
            result = -1;
    return result;
}
