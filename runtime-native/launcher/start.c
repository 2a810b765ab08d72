#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "options.h"

#define EXECVE_TIMEOUT_MS 10000 /* startContainer hooks come before it */

/* The init reads one byte from the pipe. Its unlinking is what makes the container "running" for everybody else, so it
 * comes first; a second start does not find it. */
static int release(const struct container *container, struct fault *f)
{
    AUTO_CLOSE int fifo = openat(container->dir, "exec.fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fifo < 0)
        return errno == ENXIO ? fault_text(f, STAGE_STATE, "cannot start a container that has stopped")
                              : fault_errno(f, STAGE_STATE, "exec fifo: open exec.fifo");
    if (unlinkat(container->dir, "exec.fifo", 0) < 0)
        return fault_errno(f, STAGE_STATE, "remove exec.fifo");
    if (write_all(fifo, "0", 1) < 0)
        return fault_errno(f, STAGE_STATE, "write exec fifo");
    /* execve closes the other end: from then on a signal meets the program, not what we were before. */
    struct pollfd end = {.fd = fifo};
    (void)poll(&end, 1, EXECVE_TIMEOUT_MS);
    return 0;
}

static int start(const char *root, struct container *container, struct fault *f)
{
    switch (container_status(container)) {
    case STATUS_CREATED:
        break;
    case STATUS_STOPPED:
        return fault_text(f, STAGE_STATE, "cannot start a container that has stopped");
    case STATUS_RUNNING:
        return fault_text(f, STAGE_STATE, "cannot start an already running container");
    default:
        return fault_text(f, STAGE_STATE, "cannot start a container in the paused state");
    }
    if (release(container, f) < 0)
        return -1;
    struct hook_state state;
    container_hook_state(container, "running", &state);
    if (hooks_run(container->hooks, "poststart", &state, f) == 0)
        return 0;
    /* The spec: stop the container and delete it. */
    struct fault ignored = {0};
    if (container_end(container, &ignored) == 0)
        (void)container_destroy(root, container, &ignored);
    return -1;
}

int command_start(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    const struct option_rule rules[] = {OPTIONS_END};
    struct container container;
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    int result = container_load(globals->root, argv[0], &container, f) < 0 ? -1 : start(globals->root, &container, f);
    container_close(&container);
    return result;
}
