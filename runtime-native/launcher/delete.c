#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "options.h"

#define KILL_TIMEOUT_MS 10000

/* Kills the init and waits for its end, which its descriptor reports. */
static int kill_init(const struct container *container, struct fault *f)
{
    struct fault gone = {0};
    AUTO_CLOSE int pidfd = container_pidfd(container, &gone);
    if (pidfd < 0)
        return 0;
    struct fault ignored = {0};
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return fault_errno(f, STAGE_STATE, "unable to signal init");
    if (cgroup_is_frozen(&container->cgroup))
        (void)cgroup_freeze(&container->cgroup, false, &ignored);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    return poll(&end, 1, KILL_TIMEOUT_MS) == 1 ? 0 : fault_text(f, STAGE_STATE, "container init still running");
}

static int delete (const char *root, struct container *container, bool force, struct fault *f)
{
    enum container_status status = container_status(container);
    if (!force && status != STATUS_STOPPED && status != STATUS_CREATED)
        return fault_text(f, STAGE_STATE, "cannot delete container %s that is not stopped: %s", container->id,
                          container_status_name(status));
    if (status != STATUS_STOPPED && kill_init(container, f) < 0)
        return -1;
    return container_destroy(root, container, f);
}

int command_delete(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    bool force = false;
    const struct option_rule rules[] = {{"force", "f", OPTION_FLAG, &force, "kill it first; no error if there is none"},
                                        OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    struct container container;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0) {
        result = delete (globals->root, &container, force, f);
    } else if (f->error == ENOENT) {
        /* A create that was killed half way leaves a folder without a state. */
        container_remove_folder(globals->root, argv[0]);
        result = force ? 0 : -1;
    }
    container_close(&container);
    return result;
}
