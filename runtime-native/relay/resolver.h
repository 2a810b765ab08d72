/* The resolver of one sandbox: its sockets at 127.0.0.11, what it may see, and whom it asks about the rest. */
#ifndef MINIRELAY_RESOLVER_H
#define MINIRELAY_RESOLVER_H

#include "buffer.h"
#include "message.h"
#include "relay.h"

#define RESOLVER_ADDRESS "127.0.0.11"

struct upstream {
    struct address address;
    bool is_hosts; /* asked from the host, not from the sandbox */
};

/* What the daemon said of it last. */
struct view {
    struct json_document *record;
    const struct json *networks; /* [{"id","name","links":{alias: name}}], in the order of the search */
    struct upstream *upstreams;
    size_t upstream_count;
    bool is_ndots_set; /* a bare name is for the search list, not for the world */
    bool can_forward;  /* false: the host's servers are not for this sandbox */
};

struct resolver {
    struct source datagrams; /* first: loop_free */
    struct source listener;
    struct entry by_id;
    struct relay *relay;
    char *id;
    int namespace_fd;
    struct view view;
    struct stream *streams;
    size_t stream_count;
    struct forward *forwards; /* queries that upstream servers have */
    size_t forward_count;
    struct forward *waiting, **waiting_end; /* those beyond, in the order in which they came */
    size_t waiting_count;
    struct timer turn; /* when the first of them has waited long enough */
};

/* A client over TCP. */
struct stream {
    struct source source;
    struct timer idle;
    struct resolver *resolver;
    struct buffer in, out;
    struct stream *next, **link;
};

/* Where an answer goes: a client by TCP, or an address. */
struct asker {
    struct stream *stream;
    union socket_address address;
    socklen_t address_size;
};

struct resolver_ports {
    uint16_t udp, tcp;
};

/* Takes the document. */
int resolver_put(struct relay *r, struct json_document **record, struct resolver_ports *ports, struct fault *f);
void resolver_drop(struct relay *r, const char *id);
void resolver_reply(struct resolver *r, const struct asker *asker, const uint8_t *bytes, size_t length);
void resolver_serve(struct resolver *r, const struct asker *asker, const uint8_t *bytes, size_t length);

int view_read(struct view *v, struct json_document **record); /* takes the document; -1: ENOMEM */
void view_free(struct view *v);
/* Fills in what the sandbox may know about the name. False: not ours to say. */
bool view_answer(const struct view *v, const struct names *names, const struct query *q, struct answer *a);

void stream_accept(struct resolver *r);
void stream_send(struct stream *s, const uint8_t *bytes, size_t length); /* may end the stream */
void stream_end(struct stream *s);

/* Asks one upstream server after the other; the answer, or a failure, goes to the asker. */
void forward_begin(struct resolver *r, const struct asker *asker, const struct query *q, size_t length);
void forward_cancel(struct resolver *r, const struct stream *stream); /* NULL: all of them */

#endif
