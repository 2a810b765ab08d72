/* A create that is killed half way has written no state yet, but may have made cgroups, with its child in them: a note
 * of where they are lies in the folder from the beginning. A symbolic link is one system call to write. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "container.h"
#include "io.h"
#include "log.h"

#define NOTE "cgroups"

void container_note_cgroups(const struct container *container)
{
    char text[PATH_MAX] = "";
    size_t length = 0;
    for (size_t i = 0; i < container->cgroup.count && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s:%s\n",
                                   container->cgroup.dirs[i].controllers, container->cgroup.dirs[i].path);
    if (length < sizeof text && symlinkat(text, container->dir, NOTE) < 0)
        log_debug("no note of the cgroups: %s", error_text(errno));
}

static void read_note(char *text, struct cgroup *cgroup)
{
    char *state = NULL;
    *cgroup = (struct cgroup){.mode = CGROUP_V2};
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *path = strchr(line, ':');
        if (!path || cgroup->count == MAX_HIERARCHIES)
            continue;
        *path++ = '\0';
        cgroup->mode = *line ? CGROUP_HYBRID : cgroup->mode;
        cgroup->dirs[cgroup->count++] = (struct cgroup_dir){.controllers = line, .path = path, .fd = -1};
    }
}

int container_remove_unfinished(const char *root, const char *id, struct fault *f)
{
    char path[PATH_MAX], text[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s/" NOTE, root, id);
    ssize_t length = readlink(path, text, sizeof text - 1);
    struct cgroup cgroup = {0};
    if (length > 0) {
        text[length] = '\0';
        read_note(text, &cgroup);
    }
    int result = cgroup_open(&cgroup, f);
    if (result == 0 && cgroup.count)
        result = cgroup_signal(&cgroup, SIGKILL, f) < 0 ? -1 : cgroup_remove(&cgroup, f);
    cgroup_close(&cgroup);
    if (result == 0)
        container_remove_folder(root, id);
    return result;
}
