/* Published ports: a socket on the host that keeps others away, and serves whom the kernel's NAT does not lead to the
 * container (IPv6 to one that has only IPv4, ::1, the moment in which somebody has flushed the rules). */
#ifndef MINIRELAY_PORTS_H
#define MINIRELAY_PORTS_H

#include "json.h"
#include "relay.h"

struct port {
    struct source source; /* first: loop_free */
    struct entry by_id;
    struct relay *relay;
    char *id;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    struct address target;
    uint16_t target_port;
    struct pair *pairs; /* TCP */
    struct table flows; /* UDP */
};

/* [{"id","protocol","host","hostPort","target","targetPort"}]: all or none. One that is held already gets its new
 * target. On failure `failed` is the index of the one that cannot be had. */
int ports_hold(struct relay *r, const struct json *ports, size_t *failed, struct fault *f);
void ports_drop(struct relay *r, const char *id);

void pair_begin(struct port *p); /* there is a client */
void pairs_end(struct port *p);

void flow_datagrams(struct port *p); /* there are datagrams */
void flows_end(struct port *p);
int flows_prepare(int fd, int family);

#endif
