#include "ports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io.h"

#define BACKLOG 4096

static void port_ready(struct source *s, uint32_t events)
{
    (void)events;
    struct port *p = (struct port *)s;
    if (p->type == SOCK_DGRAM)
        flow_datagrams(p);
    else
        pair_begin(p);
}

static void port_free(struct port *p)
{
    pairs_end(p);
    flows_end(p);
    free(p->id);
    loop_close(&p->relay->loop, &p->source);
    loop_free(&p->relay->loop, &p->source);
}

static int set_options(int fd, int family, int type)
{
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -1;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return -1;
    return type == SOCK_DGRAM ? flows_prepare(fd, family) : 0;
}

static int bind_port(struct port *p, const struct json *wish, int protocol)
{
    struct address host;
    int64_t number = 0;
    const char *text = json_string(wish, "host");
    if (!text || !address_parse(text, &host) || json_int64(wish, "hostPort", &number) != 1)
        return errno = EINVAL, -1;
    union socket_address address;
    socklen_t size = address_at(&host, (uint16_t)number, &address);
    p->source.fd = relay_socket(p->relay, -1, host.family, p->type, protocol);
    if (p->source.fd < 0 || set_options(p->source.fd, host.family, p->type) < 0)
        return -1;
    if (bind(p->source.fd, &address.any, size) < 0)
        return -1;
    /* With SO_REUSEADDR only listening tells whether somebody else has the port on another address. */
    return p->type == SOCK_STREAM ? listen(p->source.fd, BACKLOG) : 0;
}

static int read_target(struct port *p, const struct json *wish)
{
    int64_t number = 0;
    const char *text = json_string(wish, "target");
    if (!text || !address_parse(text, &p->target) || json_int64(wish, "targetPort", &number) != 1)
        return errno = EINVAL, -1;
    p->target_port = (uint16_t)number;
    return 0;
}

static int hold(struct relay *r, const struct json *wish)
{
    const char *id = json_string(wish, "id"), *protocol = json_string(wish, "protocol");
    if (!id || !protocol)
        return errno = EINVAL, -1;
    struct entry *found = table_find(&r->ports, id);
    if (found)
        return read_target(owner_of(found, struct port, by_id), wish);
    struct port *p = calloc(1, sizeof *p);
    if (!p)
        return -1;
    bool is_sctp = strcmp(protocol, "sctp") == 0;
    bool is_served = !is_sctp && json_bool(wish, "isServed", true);
    *p = (struct port){.source = {.fd = -1, .ready = port_ready}, .relay = r, .id = strdup(id)};
    p->type = strcmp(protocol, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    bool is_held = p->id && read_target(p, wish) == 0 && bind_port(p, wish, is_sctp ? IPPROTO_SCTP : 0) == 0 &&
                   (!is_served || loop_watch(&r->loop, &p->source, EPOLLIN) == 0) &&
                   table_insert(&r->ports, &p->by_id, p->id) == 0;
    if (is_held)
        return 0;
    int error = errno;
    port_free(p);
    errno = error;
    return -1;
}

int ports_hold(struct relay *r, const struct json *ports, size_t *failed, struct fault *f)
{
    *failed = 0;
    json_each(wish, ports)
    {
        const char *id = json_string(wish, "id");
        if (hold(r, wish) == 0) {
            ++*failed;
            continue;
        }
        (void)fault_errno(f, STAGE_NETWORK, "hold port %s", id ? id : "");
        size_t held = *failed;
        json_each(before, ports) if (held-- > 0) ports_drop(r, json_string(before, "id"));
        else break;
        return -1;
    }
    return 0;
}

void ports_drop(struct relay *r, const char *id)
{
    struct entry *found = table_find(&r->ports, id);
    if (!found)
        return;
    table_remove(&r->ports, found);
    port_free(owner_of(found, struct port, by_id));
}
