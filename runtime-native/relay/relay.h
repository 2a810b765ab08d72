/* minirelay: what a container's network needs from a process that outlives the daemon. It answers name queries at
 * 127.0.0.11 in every sandbox, and holds the published ports, passing on what the kernel's NAT does not take.
 * docs/relay-protocol.md is its contract. One thread; it is in the host's network namespace except inside
 * relay_socket. */
#ifndef MINIRELAY_RELAY_H
#define MINIRELAY_RELAY_H

#include "loop.h"
#include "names.h"
#include "table.h"

struct relay {
    struct loop loop;
    struct source listener; /* of the control socket */
    int host_namespace;
    int spare; /* given up for a moment when there is no descriptor left: see relay_accept */
    struct names names;
    struct table resolvers, ports;
};

/* A socket in the namespace that the descriptor is open on, -1 for the host's; not blocking, close-on-exec. */
int relay_socket(const struct relay *r, int namespace_fd, int family, int type, int protocol);
/* A connection that waits, or -1. Out of descriptors it turns one client away, since a listener that nobody empties
 * would wake the loop for ever. */
int relay_accept(struct relay *r, int listener);

int control_open(struct relay *r, int listener); /* takes the descriptor of a listening socket */

#endif
