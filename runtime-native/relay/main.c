#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay.h"

#define LISTENER 3 /* minispawn listens for us: the daemon can connect as soon as it has its answer */

int relay_socket(const struct relay *r, int namespace_fd, int family, int type, int protocol)
{
    int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    if (namespace_fd < 0)
        return socket(family, type | flags, protocol);
    if (setns(namespace_fd, CLONE_NEWNET) < 0)
        return -1;
    int fd = socket(family, type | flags, protocol), error = errno;
    if (setns(r->host_namespace, CLONE_NEWNET) < 0)
        abort(); /* better gone than serving from inside a container */
    errno = error;
    return fd;
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int relay_accept(struct relay *r, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
        return fd;
    (void)close(r->spare);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    r->spare = open_spare();
    return -1;
}

/* Thousands of published ports are thousands of descriptors. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_relay(struct relay *r)
{
    (void)signal(SIGPIPE, SIG_IGN);
    raise_limit();
    r->host_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    r->spare = open_spare();
    if (r->host_namespace < 0 || r->spare < 0 || loop_open(&r->loop) < 0)
        return -1;
    return control_open(r, LISTENER);
}

int main(int count, char **arguments)
{
    static struct relay relay;
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        printf("minirelay version %s\n", MINIDOCK_VERSION);
        return 0;
    }
    if (count != 2 || arguments[1][0] != '/') {
        fprintf(stderr, "minirelay is started by minidockd: docs/relay-protocol.md\n");
        return 2;
    }
    if (open_relay(&relay) < 0) {
        fprintf(stderr, "minirelay: %s: %s\n", arguments[1], strerror(errno));
        return 1;
    }
    if (chdir("/") < 0)
        return 1;
    loop_run(&relay.loop);
    (void)unlink(arguments[1]);
    return 0;
}
