#include "resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io.h"

#define RECEIVE_BUFFER     (8 << 20) /* a burst waits in the kernel rather than being lost */
#define DATAGRAM_MAX       65535
#define DATAGRAMS_PER_TURN 256
#define BACKLOG            511

void resolver_reply(struct resolver *r, const struct asker *asker, const uint8_t *bytes, size_t length)
{
    if (asker->stream)
        stream_send(asker->stream, bytes, length);
    else
        (void)sendto(r->datagrams.fd, bytes, length, MSG_NOSIGNAL, &asker->address.any, asker->address_size);
}

void resolver_serve(struct resolver *r, const struct asker *asker, const uint8_t *bytes, size_t length)
{
    static struct answer answer; /* large, and used up before the next query */
    struct query query;
    if (!query_parse(bytes, length, &query)) {
        uint8_t reply[MESSAGE_HEADER];
        size_t size = message_reject(bytes, length, reply);
        if (size > 0)
            resolver_reply(r, asker, reply, size);
        return;
    }
    answer_begin(&answer, &query, DNS_NO_ERROR, asker->stream != NULL);
    if (!view_answer(&r->view, &r->relay->names, &query, &answer)) {
        forward_begin(r, asker, &query, length);
        return;
    }
    answer_end(&answer, &query);
    resolver_reply(r, asker, answer.bytes, answer.length);
}

static void datagrams_ready(struct source *s, uint32_t events)
{
    static uint8_t bytes[DATAGRAM_MAX];
    (void)events;
    struct resolver *r = (struct resolver *)s;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        struct asker asker = {.address_size = sizeof asker.address};
        ssize_t count = recvfrom(s->fd, bytes, sizeof bytes, 0, &asker.address.any, &asker.address_size);
        if (count < 0 && errno != EINTR)
            return;
        if (count > 0)
            resolver_serve(r, &asker, bytes, (size_t)count);
    }
}

static void listener_ready(struct source *s, uint32_t events)
{
    (void)events;
    stream_accept(owner_of(s, struct resolver, listener));
}

/* On a port of the kernel's choice: 53 is the container's own to bind, the daemon redirects. */
static int open_socket(const struct resolver *r, int type)
{
    struct address address;
    (void)address_parse(RESOLVER_ADDRESS, &address);
    union socket_address socket_address;
    socklen_t size = address_at(&address, 0, &socket_address);
    AUTO_CLOSE int fd = relay_socket(r->relay, r->namespace_fd, AF_INET, type, 0);
    if (fd < 0 || bind(fd, &socket_address.any, size) < 0)
        return -1;
    const int buffer = RECEIVE_BUFFER;
    if (type == SOCK_DGRAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    else if (listen(fd, BACKLOG) < 0)
        return -1;
    return take_fd(&fd);
}

static uint16_t port_of(int fd)
{
    union socket_address address = {0};
    socklen_t size = sizeof address;
    return getsockname(fd, &address.any, &size) < 0 ? 0 : ntohs(address.inet.sin_port);
}

static int open_sockets(struct resolver *r)
{
    struct loop *loop = &r->relay->loop;
    r->datagrams = (struct source){.fd = open_socket(r, SOCK_DGRAM), .ready = datagrams_ready};
    r->listener = (struct source){.fd = open_socket(r, SOCK_STREAM), .ready = listener_ready};
    return r->datagrams.fd < 0 || r->listener.fd < 0 || loop_watch(loop, &r->datagrams, EPOLLIN) < 0 ||
                   loop_watch(loop, &r->listener, EPOLLIN) < 0
               ? -1
               : 0;
}

static void resolver_free(struct resolver *r)
{
    forward_cancel(r, NULL);
    while (r->streams)
        stream_end(r->streams);
    loop_close(&r->relay->loop, &r->datagrams);
    loop_close(&r->relay->loop, &r->listener);
    close_fd(&r->namespace_fd);
    view_free(&r->view);
    free(r->id);
    loop_free(&r->relay->loop, &r->datagrams);
}

static struct resolver *resolver_open(struct relay *relay, const char *id, const char *path, struct fault *f)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r) {
        (void)fault_errno(f, STAGE_NETWORK, "open resolver");
        return NULL;
    }
    r->relay = relay;
    r->datagrams.fd = r->listener.fd = -1;
    r->id = strdup(id);
    r->namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->id && r->namespace_fd >= 0 && open_sockets(r) == 0 && table_insert(&relay->resolvers, &r->by_id, r->id) == 0)
        return r;
    (void)fault_errno(f, STAGE_NETWORK, "open resolver in %s", path);
    resolver_free(r);
    return NULL;
}

int resolver_put(struct relay *relay, struct json_document **record, struct resolver_ports *ports, struct fault *f)
{
    const struct json *request = json_root(*record);
    const char *id = json_string(request, "id"), *path = json_string(request, "namespace");
    if (!id || !path)
        return fault_text(f, STAGE_ARGUMENTS, "a resolver needs an id and a namespace");
    struct entry *found = table_find(&relay->resolvers, id);
    struct resolver *r = found ? owner_of(found, struct resolver, by_id) : resolver_open(relay, id, path, f);
    if (!r)
        return -1;
    struct view before = r->view;
    if (view_read(&r->view, record) < 0) {
        r->view = before;
        return fault_errno(f, STAGE_NETWORK, "open resolver");
    }
    view_free(&before);
    *ports = (struct resolver_ports){.udp = port_of(r->datagrams.fd), .tcp = port_of(r->listener.fd)};
    return 0;
}

void resolver_drop(struct relay *relay, const char *id)
{
    struct entry *found = table_find(&relay->resolvers, id);
    if (!found)
        return;
    table_remove(&relay->resolvers, found);
    resolver_free(owner_of(found, struct resolver, by_id));
}
