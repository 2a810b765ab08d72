/* --console-socket: the runtime connects and sends the terminal's master by SCM_RIGHTS, while it creates the process.
 * The socket stands in the bundle and is reached by a relative name (the runtime runs there), so no path is ever too
 * long. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

void console_name(const struct process *p, char *name, size_t size)
{
    snprintf(name, size, "console-%s.sock", *p->exec ? p->exec : "init");
}

int console_listen(struct process *p, struct fault *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    console_name(p, address.sun_path, sizeof address.sun_path);
    (void)unlink(address.sun_path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
        return fault_errno(f, STAGE_CONSOLE, "listen on %s", address.sun_path);
    p->console = take_fd(&fd);
    return 0;
}

void console_close(struct process *p)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    if (p->console < 0)
        return;
    console_name(p, name, sizeof name);
    (void)unlink(name);
    close_fd(&p->console);
}

/* The runtime has ended with success, so both its connection and its message are there: nothing here waits. */
int console_take(struct process *p, struct fault *f)
{
    AUTO_CLOSE int connection = accept4(p->console, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return fault_errno(f, STAGE_CONSOLE, "the runtime sent no terminal");
    AUTO_CLOSE int master = -1;
    errno = EPROTO; /* of a message without one */
    if (receive_some(connection, p->shim->chunk, CHUNK_BYTES, &master) < 0 || master < 0)
        return fault_errno(f, STAGE_CONSOLE, "the runtime sent no terminal");
    if (!isatty(master) || fcntl(master, F_SETFL, O_NONBLOCK) < 0)
        return fault_errno(f, STAGE_CONSOLE, "what the runtime sent is no terminal");
    int copy = fcntl(master, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return fault_errno(f, STAGE_CONSOLE, "keep the terminal");
    p->outputs[0].source.fd = take_fd(&master);
    p->input.source.fd = copy;
    return 0;
}
