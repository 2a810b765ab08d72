/* TCP: a client and the container, joined. Bytes are kept only when one side does not take what the other has sent; an
 * idle pair holds no buffer. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "buffer.h"
#include "io.h"
#include "ports.h"

#define CHUNK (64 << 10)

struct side {
    struct source source;
    struct pair *pair;
    struct side *other;
    struct buffer unsent; /* what this side is still to get */
    bool is_connecting, has_ended;
};

struct pair {
    struct side client; /* first: loop_free */
    struct side container;
    struct port *port;
    struct pair *next, **link;
};

static void pair_end(struct pair *p)
{
    struct loop *loop = &p->port->relay->loop;
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    buffer_free(&p->client.unsent);
    buffer_free(&p->container.unsent);
    loop_close(loop, &p->container.source);
    loop_close(loop, &p->client.source);
    loop_free(loop, &p->client.source);
}

void pairs_end(struct port *port)
{
    while (port->pairs)
        pair_end(port->pairs);
}

/* 0, or -1 when the connection is broken. */
static int give(struct side *s, const char *bytes, size_t length)
{
    size_t sent = 0;
    if (buffer_size(&s->unsent) == 0 && !s->is_connecting) {
        ssize_t count = send(s->source.fd, bytes, length, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        sent = count < 0 ? 0 : (size_t)count;
    }
    return buffer_append(&s->unsent, bytes + sent, length - sent) ? 0 : -1;
}

static int give_rest(struct side *s)
{
    while (buffer_size(&s->unsent) > 0) {
        ssize_t count = send(s->source.fd, buffer_first(&s->unsent), buffer_size(&s->unsent), MSG_NOSIGNAL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        buffer_take(&s->unsent, (size_t)count);
    }
    return 0;
}

static int take(struct side *s)
{
    static char chunk[CHUNK];
    ssize_t count = read_some(s->source.fd, chunk, sizeof chunk);
    if (count > 0)
        return give(s->other, chunk, (size_t)count);
    if (count < 0)
        return errno == EAGAIN ? 0 : -1;
    s->has_ended = true;
    return 0;
}

/* The end of one direction is passed on behind its last byte. */
static void pass_end(struct side *s)
{
    if (s->other->has_ended && buffer_size(&s->unsent) == 0 && !s->is_connecting)
        (void)shutdown(s->source.fd, SHUT_WR);
}

static int watch(struct side *s)
{
    uint32_t events = 0;
    if (!s->has_ended && buffer_size(&s->other->unsent) == 0)
        events |= EPOLLIN;
    if (s->is_connecting || buffer_size(&s->unsent) > 0)
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
    if (!s->is_connecting && give_rest(s) < 0)
        return -1;
    bool is_readable = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !s->has_ended && !s->is_connecting;
    if (is_readable && buffer_size(&s->other->unsent) == 0 && take(s) < 0)
        return -1;
    pass_end(s);
    pass_end(s->other);
    bool is_over =
        s->has_ended && s->other->has_ended && buffer_size(&s->unsent) == 0 && buffer_size(&s->other->unsent) == 0;
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
