/* TCP: a client and the container, joined. Bytes go from one to the other through a pipe, and none is copied
 * (splice(2)); a pair keeps a pipe only while one side does not take what the other has sent. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io.h"
#include "ports.h"

#define PIPE_BYTES (1 << 20)

struct side {
    struct source source;
    struct pair *pair;
    struct side *other;
    struct pipe {
        int out, in;
    } pipe;        /* in it lies what this side is still to get, */
    size_t unsent; /* so many bytes; there is a pipe only for that */
    bool is_connecting, has_ended;
};

struct pair {
    struct side client; /* first: loop_free */
    struct side container;
    struct port *port;
    struct pair *next, **link;
};

/* The one that was used last: where both sides take what comes, one serves all pairs by turns. */
static struct pipe spare = {.out = -1};

static int pipe_take(struct pipe *p)
{
    int fds[2];
    if (spare.out >= 0) {
        *p = spare;
        spare.out = -1;
        return 0;
    }
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    *p = (struct pipe){.out = fds[0], .in = fds[1]};
    (void)fcntl(p->in, F_SETPIPE_SZ, PIPE_BYTES); /* a smaller one does it too */
    return 0;
}

/* An empty one may serve again. */
static void pipe_give(struct side *s)
{
    if (s->unsent == 0 && spare.out < 0)
        spare = s->pipe;
    else {
        (void)close(s->pipe.out);
        (void)close(s->pipe.in);
    }
    s->unsent = 0;
}

static void pair_end(struct pair *p)
{
    struct loop *loop = &p->port->relay->loop;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    if (p->client.unsent > 0)
        pipe_give(&p->client);
    if (p->container.unsent > 0)
        pipe_give(&p->container);
    loop_close(loop, &p->container.source);
    loop_close(loop, &p->client.source);
    loop_free(loop, &p->client.source);
}

void pairs_end(struct port *port)
{
    while (port->pairs)
        pair_end(port->pairs);
}

static ssize_t pass(int from, int to, size_t count)
{
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* 0, or -1 when the connection is broken. */
static int give(struct side *s)
{
    if (s->unsent == 0 || s->is_connecting)
        return 0;
    while (s->unsent > 0) {
        ssize_t count = pass(s->pipe.out, s->source.fd, s->unsent);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        s->unsent -= (size_t)count;
    }
    pipe_give(s);
    return 0;
}

static int take(struct side *s)
{
    struct side *to = s->other;
    if (pipe_take(&to->pipe) < 0)
        return -1;
    ssize_t count = pass(s->source.fd, to->pipe.in, PIPE_BYTES);
    int problem = errno;
    if (count > 0) {
        to->unsent = (size_t)count;
        return give(to);
    }
    pipe_give(to);
    if (count < 0)
        return problem == EAGAIN || problem == EINTR ? 0 : -1;
    s->has_ended = true;
    return 0;
}

/* The end of one direction is passed on behind its last byte. */
static void pass_end(struct side *s)
{
    if (s->other->has_ended && s->unsent == 0 && !s->is_connecting)
        (void)shutdown(s->source.fd, SHUT_WR);
}

static int watch(struct side *s)
{
    uint32_t events = 0;
    if (!s->has_ended && s->other->unsent == 0)
        events |= EPOLLIN;
    if (s->is_connecting || s->unsent > 0)
        events |= EPOLLOUT;
    if (events)
        return loop_watch(&s->pair->port->relay->loop, &s->source, events);
    loop_unwatch(&s->pair->port->relay->loop, &s->source);
    return 0;
}

static int finish_connect(struct side *s)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(s->source.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0)
        return -1;
    s->is_connecting = false;
    return 0;
}

static int serve(struct side *s, uint32_t events)
{
    if (s->is_connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && finish_connect(s) < 0)
        return -1;
    if (give(s) < 0)
        return -1;
    bool is_readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !s->has_ended && !s->is_connecting;
    if (is_readable && s->other->unsent == 0 && take(s) < 0)
        return -1;
    pass_end(s);
    pass_end(s->other);
    bool is_over = s->has_ended && s->other->has_ended && s->unsent == 0 && s->other->unsent == 0;
    return is_over || watch(s) < 0 || watch(s->other) < 0 ? -1 : 0;
}

static void side_ready(struct source *source, uint32_t events)
{
    struct side *s = (struct side *)source;
    if (serve(s, events) < 0)
        pair_end(s->pair);
}

static void join(struct side *s, int fd, struct pair *p, struct side *other)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *s = (struct side){.source = {.fd = fd, .ready = side_ready}, .pair = p, .other = other};
}

void pair_begin(struct port *port)
{
    union socket_address address;
    socklen_t size = address_at(&port->target, port->target_port, &address);
    AUTO_CLOSE int client = relay_accept(port->relay, port->source.fd);
    if (client < 0)
        return;
    AUTO_CLOSE int container = relay_socket(port->relay, -1, port->target.family, SOCK_STREAM, 0);
    if (container < 0 || (connect(container, &address.any, size) < 0 && errno != EINPROGRESS))
        return;
    struct pair *p = calloc(1, sizeof *p);
    if (!p)
        return;
    join(&p->client, take_fd(&client), p, &p->container);
    join(&p->container, take_fd(&container), p, &p->client);
    p->container.is_connecting = true;
    p->port = port;
    p->next = port->pairs;
    p->link = &port->pairs;
    if (p->next)
        p->next->link = &p->next;
    port->pairs = p;
    if (watch(&p->client) < 0 || watch(&p->container) < 0)
        pair_end(p);
}
