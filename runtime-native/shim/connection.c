/* The shim's socket. Only the user that the shim runs as may speak to it (and root); a peer that does not take its
 * answers, or sends lines without end, is dropped; connections beyond the limit wait in the kernel's queue. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

#define CONNECTIONS_MAX 4096
#define LINE_MAX_BYTES  ((size_t)4 << 20)
#define ANSWERS_MAX     ((size_t)4 << 20)

static void listen_again(struct shim *s)
{
    if (s->is_full && s->listener.fd >= 0)
        s->is_full = loop_watch(&s->loop, &s->listener, EPOLLIN) < 0;
}

void connection_close(struct connection *c)
{
    struct shim *s = c->shim;
    if (c->source.fd < 0)
        return;
    loop_close(&s->loop, &c->source);
    loop_close(&s->loop, &c->client);
    close_fd(&c->passed);
    for (struct connection **link = &s->connections; *link; link = &(*link)->next) {
        if (*link == c) {
            *link = c->next;
            break;
        }
    }
    s->connection_count--;
    if (c->process)
        process_fit_pipes(c->process);
    buffer_free(&c->in);
    buffer_free(&c->out);
    loop_free(&s->loop, &c->source);
    listen_again(s);
    lifecycle_connection_closed(s);
}

bool connection_flush(struct connection *c)
{
    bool is_direct = c->client.fd >= 0;
    int fd = is_direct ? c->client.fd : c->source.fd;
    while (buffer_size(&c->out) > 0) {
        ssize_t count = send(fd, buffer_first(&c->out), buffer_size(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return true;
        if (count < 0 && is_direct) {
            attach_client_left(c);
            return false;
        }
        if (count < 0) {
            connection_close(c);
            return false;
        }
        buffer_take(&c->out, (size_t)count);
    }
    return true;
}

bool connection_send(struct connection *c, const char *bytes, size_t size)
{
    if (buffer_size(&c->out) + size > ANSWERS_MAX || !buffer_append(&c->out, bytes, size)) {
        connection_close(c);
        return false;
    }
    if (!connection_flush(c))
        return false;
    if (!c->process)
        (void)loop_watch(&c->shim->loop, &c->source, EPOLLIN | (buffer_size(&c->out) > 0 ? EPOLLOUT : 0));
    return true;
}

static void send_object(struct connection *c, const struct json_writer *w)
{
    if (w->failed)
        connection_close(c);
    else if (connection_send(c, w->text, w->length))
        (void)connection_send(c, "\n", 1);
}

/* The connection may be gone: then nobody wants to know. */
static void answer(struct shim *s, struct asker a, const struct json_writer *w)
{
    for (struct connection *c = s->connections; c; c = c->next) {
        if (c->serial == a.connection) {
            send_object(c, w);
            return;
        }
    }
}

void answer_ok(struct shim *s, struct asker a, const struct json_writer *object)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_int(&w, "seq", a.seq);
    json_put_raw(&w, "ok", object && object->text ? object->text : "{}");
    json_end_object(&w);
    w.failed |= object && object->failed;
    answer(s, a, &w);
    json_writer_free(&w);
}

void answer_fault(struct shim *s, struct asker a, const struct fault *f)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_int(&w, "seq", a.seq);
    put_fault(&w, f);
    json_end_object(&w);
    answer(s, a, &w);
    json_writer_free(&w);
}

void answer_refusal(struct shim *s, struct asker a, int error, const char *message)
{
    struct fault f;
    fault_told(&f, STAGE_STATE, error, "%s", message);
    answer_fault(s, a, &f);
}

void publish(struct shim *s, const struct json_writer *event)
{
    for (struct connection *c = s->connections, *next; c; c = next) {
        next = c->next;
        if (c->is_subscriber)
            send_object(c, event);
    }
}

/* Lines that are complete; one of them may turn the connection into an attached client, or close it. */
static void take_lines(struct connection *c)
{
    while (c->source.fd >= 0 && !c->process && buffer_size(&c->in) > 0) {
        size_t size = buffer_size(&c->in);
        const char *newline = memchr(buffer_first(&c->in), '\n', size);
        if (!newline) {
            if (size > LINE_MAX_BYTES)
                connection_close(c);
            return;
        }
        size_t length = (size_t)(newline - buffer_first(&c->in));
        AUTO_FREE char *line = malloc(length + 1);
        if (!line) {
            connection_close(c);
            return;
        }
        memcpy(line, buffer_first(&c->in), length);
        line[length] = '\0';
        buffer_take(&c->in, length + 1);
        control_request(c, line, length);
    }
}

static void control_ready(struct connection *c, uint32_t events)
{
    if ((events & EPOLLOUT) && (!connection_flush(c) || !connection_send(c, "", 0)))
        return;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t count = receive_some(c->source.fd, c->shim->chunk, CHUNK_BYTES, &c->passed);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0 || !buffer_append(&c->in, c->shim->chunk, (size_t)count))
        connection_close(c);
    else
        take_lines(c);
}

static void connection_ready(struct source *source, uint32_t events)
{
    struct connection *c = OWNER_OF(source, struct connection, source);
    if (c->process)
        attach_ready(c, events);
    else
        control_ready(c, events);
}

/* THREATS 2020-15257: the path is 0600 already; this holds even if somebody passes the descriptor on. */
static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_one(struct shim *s, int fd)
{
    struct connection *c = is_trusted(fd) ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        (void)close(fd);
        return;
    }
    c->source = (struct source){.fd = fd, .ready = connection_ready};
    c->client.fd = c->passed = -1;
    c->shim = s;
    c->serial = ++s->last_serial;
    c->next = s->connections;
    s->connections = c;
    s->connection_count++;
    if (loop_watch(&s->loop, &c->source, EPOLLIN) < 0)
        connection_close(c);
}

static void listener_ready(struct source *source, uint32_t events)
{
    struct shim *s = OWNER_OF(source, struct shim, listener);
    (void)events;
    int fd =
        s->connection_count < CONNECTIONS_MAX ? accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd >= 0) {
        accept_one(s, fd);
    } else if (s->connection_count >= CONNECTIONS_MAX || errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        s->is_full = true;
        loop_unwatch(&s->loop, &s->listener);
    }
}

int listener_start(struct shim *s, int fd)
{
    s->listener = (struct source){.fd = fd, .ready = listener_ready};
    return loop_watch(&s->loop, &s->listener, EPOLLIN);
}

void listener_stop(struct shim *s)
{
    if (s->listener.fd < 0)
        return;
    (void)unlink(s->socket_path);
    loop_close(&s->loop, &s->listener);
}
