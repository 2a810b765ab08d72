#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container.h"
#include "io.h"

static bool is_in_namespace(int proc, const char *name, const struct stat *namespace)
{
    char path[280];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/ns/pid", name);
    return fstatat(proc, path, &status, 0) == 0 && status.st_dev == namespace->st_dev &&
           status.st_ino == namespace->st_ino;
}

/* A rootless container may have no cgroup. It has a PID namespace, or else only its init is known. */
static int list_namespace(const struct container *container, pid_t **pids, size_t *count, struct fault *f)
{
    char path[40];
    struct stat namespace;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)container->pid);
    DIR *proc = opendir("/proc");
    if (!proc || stat(path, &namespace) < 0) {
        if (proc)
            (void)closedir(proc);
        return errno == ENOENT ? 0 : fault_errno(f, STAGE_STATE, "stat %s", path);
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(proc));) {
        long pid = strtol(entry->d_name, NULL, 10);
        bool is_ours = container->has_own_pids ? pid > 0 && is_in_namespace(dirfd(proc), entry->d_name, &namespace)
                                               : pid == container->pid;
        if (!is_ours)
            continue;
        pid_t *grown = realloc(*pids, (*count + 1) * sizeof *grown);
        if (!grown) {
            result = fault_errno(f, STAGE_STATE, "list the processes");
            break;
        }
        grown[(*count)++] = (pid_t)pid;
        *pids = grown;
    }
    (void)closedir(proc);
    return result;
}

int container_processes(const struct container *container, pid_t **pids, size_t *count, struct fault *f)
{
    *pids = NULL;
    *count = 0;
    if (cgroup_tasks_dir(&container->cgroup))
        return cgroup_processes(&container->cgroup, pids, count, f);
    return container_status(container) == STATUS_STOPPED ? 0 : list_namespace(container, pids, count, f);
}
