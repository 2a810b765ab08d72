/* Queries about the rest of the world, passed on as they are: one socket each, so that every query has a port of its
 * own for whoever would forge an answer to guess. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io.h"
#include "resolver.h"

#define FORWARDS_MAX 1024 /* moby's */
#define WAITING_MAX  16384
#define WAITING_SIZE 512 /* of a query: nobody's memory is full of those that wait */
#define PATIENCE_MS  4000
#define DNS_PORT     53
#define ANSWER_MAX   65535

struct forward {
    struct source source;
    struct timer patience;
    struct resolver *resolver;
    struct asker asker;
    size_t upstream;       /* the next one to ask */
    struct buffer in, out; /* by TCP */
    struct forward *next, **link;
    int64_t waits_until_ms; /* 0: it does not wait */
    size_t length;
    uint8_t query[];
};

static void try_next(struct forward *f);

static void forward_unlink(struct forward *f)
{
    struct resolver *r = f->resolver;
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    else if (f->waits_until_ms)
        r->waiting_end = f->link;
    if (f->waits_until_ms)
        r->waiting_count--;
    else
        r->forward_count--;
}

static void forward_end(struct forward *f)
{
    struct resolver *r = f->resolver;
    struct loop *loop = &r->relay->loop;
    forward_unlink(f);
    loop_clear_timer(loop, &f->patience);
    buffer_free(&f->in);
    buffer_free(&f->out);
    loop_close(loop, &f->source);
    loop_free(loop, &f->source);
}

static void cancel_of(struct forward *first, const struct stream *stream)
{
    for (struct forward *f = first, *next; f; f = next) {
        next = f->next;
        if (!stream || f->asker.stream == stream)
            forward_end(f);
    }
}

static void refuse(struct resolver *r, const struct asker *asker, const struct query *q, unsigned code)
{
    static struct answer answer;
    answer_begin(&answer, q, code, asker->stream != NULL);
    answer_end(&answer, q);
    resolver_reply(r, asker, answer.bytes, answer.length);
}

static void fail(struct forward *f, unsigned code)
{
    struct query query;
    if (query_parse(f->query, f->length, &query))
        refuse(f->resolver, &f->asker, &query, code);
    forward_end(f);
}

static void begin(struct forward *f)
{
    struct resolver *r = f->resolver;
    f->next = r->forwards;
    f->link = &r->forwards;
    if (f->next)
        f->next->link = &f->next;
    r->forwards = f;
    r->forward_count++;
    try_next(f);
}

static void turn_expired(struct timer *t);

/* Whoever waits takes the places that are free; who has waited too long is refused. */
static void serve_waiting(struct resolver *r)
{
    while (r->waiting && r->forward_count < FORWARDS_MAX) {
        struct forward *f = r->waiting;
        forward_unlink(f);
        f->waits_until_ms = 0;
        begin(f);
    }
    while (r->waiting && r->waiting->waits_until_ms <= loop_now_ms())
        fail(r->waiting, DNS_REFUSED);
    struct loop *loop = &r->relay->loop;
    if (!r->waiting)
        loop_clear_timer(loop, &r->turn);
    else if (!r->turn.is_set)
        loop_set_timer(loop, &r->turn, r->waiting->waits_until_ms - loop_now_ms(), turn_expired);
}

static void turn_expired(struct timer *t)
{
    serve_waiting(owner_of(t, struct resolver, turn));
}

static void wait_for_turn(struct forward *f)
{
    struct resolver *r = f->resolver;
    f->waits_until_ms = loop_now_ms() + PATIENCE_MS;
    f->link = r->waiting ? r->waiting_end : &r->waiting;
    *f->link = f;
    r->waiting_end = &f->next;
    r->waiting_count++;
    serve_waiting(r);
}

void forward_cancel(struct resolver *r, const struct stream *stream)
{
    cancel_of(r->waiting, stream);
    cancel_of(r->forwards, stream);
    serve_waiting(r);
}

/* An answer to our question, or -1 while it has not come. Whether it is a good one is for the client to see, unless the
 * server says that it does not serve. */
static bool is_answer(const struct forward *f, const uint8_t *bytes, size_t length)
{
    return length >= MESSAGE_HEADER && memcmp(bytes, f->query, 2) == 0 && (bytes[2] & 0x80) != 0;
}

static void take_answer(struct forward *f, const uint8_t *bytes, size_t length)
{
    unsigned code = message_code(bytes);
    if (code == DNS_SERVER_FAILURE || code == DNS_REFUSED) {
        try_next(f);
        return;
    }
    resolver_reply(f->resolver, &f->asker, bytes, length);
    forward_end(f);
}

static void datagram_ready(struct source *s, uint32_t events)
{
    static uint8_t bytes[ANSWER_MAX];
    (void)events;
    struct forward *f = (struct forward *)s;
    struct resolver *r = f->resolver;
    ssize_t count = recv(s->fd, bytes, sizeof bytes, 0);
    if (count < 0 && errno != EAGAIN && errno != EINTR)
        try_next(f); /* nobody listens there */
    else if (count > 0 && is_answer(f, bytes, (size_t)count))
        take_answer(f, bytes, (size_t)count);
    serve_waiting(r);
}

static bool stream_flush(struct forward *f)
{
    if (buffer_size(&f->out) > 0) {
        ssize_t count = send(f->source.fd, buffer_first(&f->out), buffer_size(&f->out), MSG_NOSIGNAL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        buffer_take(&f->out, (size_t)count);
    }
    uint32_t events = EPOLLIN | (buffer_size(&f->out) > 0 ? EPOLLOUT : 0u);
    return loop_watch(&f->resolver->relay->loop, &f->source, events) == 0;
}

static void stream_step(struct forward *f, uint32_t events)
{
    char chunk[4096];
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t count = read_some(f->source.fd, chunk, sizeof chunk);
        bool is_gone = count == 0 || (count < 0 && errno != EAGAIN);
        if (is_gone || (count > 0 && !buffer_append(&f->in, chunk, (size_t)count))) {
            try_next(f);
            return;
        }
    }
    const uint8_t *bytes = (const uint8_t *)buffer_first(&f->in);
    size_t length = buffer_size(&f->in) < 2 ? 0 : (size_t)(bytes[0] << 8 | bytes[1]);
    if (length > 0 && buffer_size(&f->in) >= 2 + length) {
        if (is_answer(f, bytes + 2, length))
            take_answer(f, bytes + 2, length);
        else
            try_next(f);
    } else if (!stream_flush(f)) {
        try_next(f);
    }
}

static void stream_ready(struct source *s, uint32_t events)
{
    struct forward *f = (struct forward *)s;
    struct resolver *r = f->resolver;
    stream_step(f, events);
    serve_waiting(r);
}

static void patience_expired(struct timer *t)
{
    struct forward *f = owner_of(t, struct forward, patience);
    struct resolver *r = f->resolver;
    try_next(f);
    serve_waiting(r);
}

static int ask_datagram(struct forward *f)
{
    if (send(f->source.fd, f->query, f->length, MSG_NOSIGNAL) < 0)
        return -1;
    return loop_watch(&f->resolver->relay->loop, &f->source, EPOLLIN);
}

static int ask_stream(struct forward *f)
{
    char head[2] = {(char)(f->length >> 8), (char)f->length};
    if (!buffer_append(&f->out, head, sizeof head) || !buffer_append(&f->out, (const char *)f->query, f->length))
        return -1;
    return loop_watch(&f->resolver->relay->loop, &f->source, EPOLLIN | EPOLLOUT);
}

static int ask(struct forward *f, const struct upstream *u)
{
    struct resolver *r = f->resolver;
    bool is_stream = f->asker.stream != NULL;
    union socket_address address;
    socklen_t size = address_at(&u->address, DNS_PORT, &address);
    int namespace_fd = u->is_hosts ? -1 : r->namespace_fd;
    f->source = (struct source){
        .fd = relay_socket(r->relay, namespace_fd, u->address.family, is_stream ? SOCK_STREAM : SOCK_DGRAM, 0),
        .ready = is_stream ? stream_ready : datagram_ready,
    };
    if (f->source.fd < 0 || (connect(f->source.fd, &address.any, size) < 0 && errno != EINPROGRESS))
        return -1;
    loop_set_timer(&r->relay->loop, &f->patience, PATIENCE_MS, patience_expired);
    return is_stream ? ask_stream(f) : ask_datagram(f);
}

/* A server of `--dns` may be on an internal network itself; the host's are behind its border. */
static void try_next(struct forward *f)
{
    const struct view *view = &f->resolver->view;
    struct loop *loop = &f->resolver->relay->loop;
    for (;;) {
        loop_close(loop, &f->source);
        buffer_free(&f->in);
        buffer_free(&f->out);
        while (f->upstream < view->upstream_count && view->upstreams[f->upstream].is_hosts && !view->can_forward)
            f->upstream++;
        if (f->upstream >= view->upstream_count)
            break;
        if (ask(f, &view->upstreams[f->upstream++]) == 0)
            return;
    }
    fail(f, DNS_SERVER_FAILURE);
}

void forward_begin(struct resolver *r, const struct asker *asker, const struct query *q, size_t length)
{
    bool is_full = r->forward_count >= FORWARDS_MAX;
    bool is_too_much = is_full && (r->waiting_count >= WAITING_MAX || length > WAITING_SIZE);
    struct forward *f = is_too_much ? NULL : calloc(1, sizeof *f + length);
    if (!f) {
        refuse(r, asker, q, DNS_REFUSED);
        return;
    }
    memcpy(f->query, q->bytes, length);
    f->length = length;
    f->resolver = r;
    f->asker = *asker;
    f->source.fd = -1;
    if (is_full)
        wait_for_turn(f);
    else
        begin(f);
}
