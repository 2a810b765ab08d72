/* UDP: each client has a socket of its own towards the container, so that answers find back. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "ports.h"

#define FLOWS_MAX          4096
#define IDLE_MS            90000 /* docker-proxy's */
#define DATAGRAM_MAX       65535
#define DATAGRAMS_PER_TURN 64
#define KEY_SIZE           64
#define CONTROL_SIZE       CMSG_SPACE(sizeof(struct in6_pktinfo))

/* Where a datagram came from and which of the host's addresses it was for: the answer goes from there. */
struct correspondent {
    union socket_address address;
    socklen_t address_size;
    alignas(struct cmsghdr) char control[CONTROL_SIZE];
    size_t control_size;
};

struct flow {
    struct source source; /* first: loop_free */
    struct entry by_client;
    struct timer idle;
    struct port *port;
    struct correspondent client;
    int64_t used_at_ms;
    char key[KEY_SIZE];
};

static char datagram[DATAGRAM_MAX];

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int flows_prepare(int fd, int family)
{
    const int on = 1;
    return family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
                             : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

static void flow_end(struct flow *f)
{
    struct loop *loop = &f->port->relay->loop;
    table_remove(&f->port->flows, &f->by_client);
    loop_clear_timer(loop, &f->idle);
    loop_close(loop, &f->source);
    loop_free(loop, &f->source);
}

void flows_end(struct port *p)
{
    for (struct entry *e = table_first(&p->flows); e; e = table_first(&p->flows))
        flow_end(owner_of(e, struct flow, by_client));
    table_free(&p->flows);
}

static void idle_expired(struct timer *t)
{
    struct flow *f = owner_of(t, struct flow, idle);
    int64_t left = f->used_at_ms + IDLE_MS - now_ms();
    if (left > 0)
        loop_set_timer(&f->port->relay->loop, t, left, idle_expired);
    else
        flow_end(f);
}

static ssize_t receive(int fd, struct correspondent *from)
{
    struct iovec bytes = {.iov_base = datagram, .iov_len = sizeof datagram};
    struct msghdr message = {
        .msg_name = &from->address,
        .msg_namelen = sizeof from->address,
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = from->control,
        .msg_controllen = sizeof from->control,
    };
    ssize_t count = recvmsg(fd, &message, 0);
    from->address_size = message.msg_namelen;
    from->control_size = message.msg_controllen;
    return count;
}

/* From the address that the client wrote to; by whichever interface leads to the client now. */
static void answer(struct flow *f, size_t length)
{
    struct correspondent *to = &f->client;
    struct iovec bytes = {.iov_base = datagram, .iov_len = length};
    struct msghdr message = {
        .msg_name = &to->address,
        .msg_namelen = to->address_size,
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = to->control_size > 0 ? to->control : NULL,
        .msg_controllen = to->control_size,
    };
    (void)sendmsg(f->port->source.fd, &message, MSG_NOSIGNAL);
}

static void clear_interface(struct correspondent *c)
{
    struct msghdr message = {.msg_control = c->control, .msg_controllen = c->control_size};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header)
        return;
    if (header->cmsg_level == IPPROTO_IP) {
        struct in_pktinfo *info = (void *)CMSG_DATA(header);
        info->ipi_ifindex = 0;
        info->ipi_spec_dst = info->ipi_addr;
    } else {
        struct in6_pktinfo *info = (void *)CMSG_DATA(header);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
            info->ipi6_ifindex = 0;
    }
}

static void flow_ready(struct source *s, uint32_t events)
{
    (void)events;
    struct flow *f = (struct flow *)s;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        ssize_t count = recv(s->fd, datagram, sizeof datagram, 0);
        if (count < 0)
            return; /* also when nobody listens in the container: the client will ask again, or not */
        f->used_at_ms = now_ms();
        answer(f, (size_t)count);
    }
}

static void print_key(const struct correspondent *c, char key[KEY_SIZE])
{
    char text[INET6_ADDRSTRLEN];
    bool is_ipv4 = c->address.any.sa_family == AF_INET;
    const void *bytes = is_ipv4 ? (const void *)&c->address.inet.sin_addr : &c->address.inet6.sin6_addr;
    (void)inet_ntop(c->address.any.sa_family, bytes, text, sizeof text);
    (void)snprintf(key, KEY_SIZE, "%s %u", text, ntohs(c->address.inet.sin_port)); /* the same place in both */
}

static struct flow *flow_begin(struct port *p, const struct correspondent *client, const char *key)
{
    struct flow *f = p->flows.count >= FLOWS_MAX ? NULL : calloc(1, sizeof *f);
    if (!f)
        return NULL;
    union socket_address address;
    socklen_t size = address_at(&p->target, p->target_port, &address);
    f->port = p;
    f->client = *client;
    clear_interface(&f->client);
    memcpy(f->key, key, KEY_SIZE);
    f->source = (struct source){.fd = relay_socket(p->relay, -1, p->target.family, SOCK_DGRAM, 0), .ready = flow_ready};
    if (f->source.fd < 0 || connect(f->source.fd, &address.any, size) < 0 ||
        table_insert(&p->flows, &f->by_client, f->key) < 0) {
        loop_close(&p->relay->loop, &f->source);
        free(f);
        return NULL;
    }
    if (loop_watch(&p->relay->loop, &f->source, EPOLLIN) == 0) {
        loop_set_timer(&p->relay->loop, &f->idle, IDLE_MS, idle_expired);
        return f;
    }
    flow_end(f);
    return NULL;
}

static struct flow *flow_of(struct port *p, const struct correspondent *client)
{
    char key[KEY_SIZE];
    print_key(client, key);
    struct entry *found = table_find(&p->flows, key);
    return found ? owner_of(found, struct flow, by_client) : flow_begin(p, client, key);
}

void flow_datagrams(struct port *p)
{
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        struct correspondent client;
        ssize_t count = receive(p->source.fd, &client);
        if (count < 0)
            return;
        struct flow *f = flow_of(p, &client);
        if (!f)
            continue;
        f->used_at_ms = now_ms();
        (void)send(f->source.fd, datagram, (size_t)count, MSG_NOSIGNAL);
    }
}
