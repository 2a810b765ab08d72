/* DNS over TCP: each message behind its length in two bytes (RFC 1035, 4.2.2). */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io.h"
#include "resolver.h"

#define STREAMS_MAX 512
#define IDLE_MS     10000
#define UNREAD_MAX  ((size_t)1 << 20) /* answers that a client does not fetch */

void stream_end(struct stream *s)
{
    struct resolver *r = s->resolver;
    struct loop *loop = &r->relay->loop;
    forward_cancel(r, s);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    r->stream_count--;
    loop_clear_timer(loop, &s->idle);
    buffer_free(&s->in);
    buffer_free(&s->out);
    loop_close(loop, &s->source);
    loop_free(loop, &s->source);
}

static void idle_expired(struct timer *t)
{
    stream_end(owner_of(t, struct stream, idle));
}

static bool flush(struct stream *s)
{
    while (buffer_size(&s->out) > 0) {
        ssize_t count = send(s->source.fd, buffer_first(&s->out), buffer_size(&s->out), MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (count < 0)
            break;
        buffer_take(&s->out, (size_t)count);
    }
    uint32_t events = EPOLLIN | (buffer_size(&s->out) > 0 ? EPOLLOUT : 0u);
    return loop_watch(&s->resolver->relay->loop, &s->source, events) == 0;
}

/* Writes only to memory: a caller in the middle of this stream's messages keeps it. The socket follows in its turn. */
void stream_send(struct stream *s, const uint8_t *bytes, size_t length)
{
    char head[2] = {(char)(length >> 8), (char)length};
    bool is_kept = buffer_size(&s->out) < UNREAD_MAX && buffer_append(&s->out, head, sizeof head) &&
                   buffer_append(&s->out, (const char *)bytes, length);
    if (is_kept)
        (void)loop_watch(&s->resolver->relay->loop, &s->source, EPOLLIN | EPOLLOUT);
}

static void serve_messages(struct stream *s)
{
    const struct asker asker = {.stream = s};
    while (buffer_size(&s->in) >= 2) {
        const uint8_t *bytes = (const uint8_t *)buffer_first(&s->in);
        size_t length = (size_t)(bytes[0] << 8 | bytes[1]);
        if (buffer_size(&s->in) < 2 + length)
            return;
        resolver_serve(s->resolver, &asker, bytes + 2, length);
        buffer_take(&s->in, 2 + length);
    }
}

static void stream_ready(struct source *source, uint32_t events)
{
    struct stream *s = (struct stream *)source;
    char chunk[4096];
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t count = read_some(source->fd, chunk, sizeof chunk);
        bool is_gone = count == 0 || (count < 0 && errno != EAGAIN);
        if (is_gone || (count > 0 && !buffer_append(&s->in, chunk, (size_t)count))) {
            stream_end(s);
            return;
        }
        loop_set_timer(&s->resolver->relay->loop, &s->idle, IDLE_MS, idle_expired);
        serve_messages(s);
    }
    if (!flush(s))
        stream_end(s);
}

void stream_accept(struct resolver *r)
{
    AUTO_CLOSE int fd = relay_accept(r->relay, r->listener.fd);
    struct stream *s = fd < 0 || r->stream_count >= STREAMS_MAX ? NULL : calloc(1, sizeof *s);
    if (!s)
        return;
    s->resolver = r;
    s->source = (struct source){.fd = take_fd(&fd), .ready = stream_ready};
    s->next = r->streams;
    s->link = &r->streams;
    if (s->next)
        s->next->link = &s->next;
    r->streams = s;
    r->stream_count++;
    loop_set_timer(&r->relay->loop, &s->idle, IDLE_MS, idle_expired);
    if (loop_watch(&r->relay->loop, &s->source, EPOLLIN) < 0)
        stream_end(s);
}
