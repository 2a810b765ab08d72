/* The daemon's side: lines of JSON, answered one by one and in order. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buffer.h"
#include "fault.h"
#include "io.h"
#include "json.h"
#include "ports.h"
#include "relay.h"
#include "resolver.h"

#define LINE_MAX_SIZE ((size_t)4 << 20)

struct connection {
    struct source source;
    struct relay *relay;
    struct buffer in, out;
};

static void put_ids(struct json_writer *w, const char *key, const struct table *t)
{
    json_begin_array(w, key);
    table_each(e, t) json_put_string(w, NULL, e->key);
    json_end_array(w);
}

static int op_list(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    (void)request, (void)f;
    put_ids(w, "endpoints", &r->names.endpoints);
    put_ids(w, "resolvers", &r->resolvers);
    put_ids(w, "ports", &r->ports);
    return 0;
}

static int op_endpoint(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    (void)w;
    return names_put(&r->names, request, f);
}

static int op_resolver(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    struct resolver_ports ports;
    if (resolver_put(r, request, &ports, f) < 0)
        return -1;
    json_put_int(w, "udp", ports.udp);
    json_put_int(w, "tcp", ports.tcp);
    return 0;
}

static int op_ports(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    size_t failed = 0;
    if (ports_hold(r, json_get(json_root(*request), "ports"), &failed, f) == 0)
        return 0;
    json_put_int(w, "index", (int64_t)failed);
    return -1;
}

static int op_drop(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    (void)w, (void)f;
    json_each(id, json_get(json_root(*request), "endpoints")) names_drop(&r->names, id->text ? id->text : "");
    json_each(id, json_get(json_root(*request), "resolvers")) resolver_drop(r, id->text ? id->text : "");
    json_each(id, json_get(json_root(*request), "ports")) ports_drop(r, id->text ? id->text : "");
    return 0;
}

static int op_end(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    (void)request, (void)w, (void)f;
    r->loop.is_done = true;
    return 0;
}

/* An operation that takes the document out of `request` owns it from then on. */
static const struct operation {
    const char *name;
    int (*run)(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f);
} operations[] = {
    {"list", op_list},   {"endpoint", op_endpoint}, {"resolver", op_resolver},
    {"ports", op_ports}, {"drop", op_drop},         {"end", op_end},
};

static int run(struct relay *r, struct json_document **request, struct json_writer *w, struct fault *f)
{
    const char *name = json_string(json_root(*request), "op");
    for (size_t i = 0; name && i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(name, operations[i].name) == 0)
            return operations[i].run(r, request, w, f);
    return fault_text(f, STAGE_ARGUMENTS, "unknown op");
}

static void put_error(struct json_writer *w, const struct fault *f)
{
    json_begin_object(w, "error");
    json_put_string(w, "stage", fault_stage_name(f->stage));
    json_put_int(w, "errno", f->error);
    json_put_string(w, "message", f->message);
    json_end_object(w);
}

/* False: no memory for an answer. */
static bool serve_line(struct connection *c, const char *line, size_t length)
{
    struct fault f = {0};
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    AUTO_JSON struct json_document *document = json_parse(line, length, &f);
    if (!document || run(c->relay, &document, &w, &f) < 0)
        put_error(&w, &f);
    json_end_object(&w);
    bool is_kept = !w.failed && buffer_append(&c->out, w.text, w.length) && buffer_append(&c->out, "\n", 1);
    json_writer_free(&w);
    return is_kept;
}

static bool serve_lines(struct connection *c)
{
    const char *newline;
    while (buffer_size(&c->in) > 0 && (newline = memchr(buffer_first(&c->in), '\n', buffer_size(&c->in)))) {
        size_t length = (size_t)(newline - buffer_first(&c->in));
        if (!serve_line(c, buffer_first(&c->in), length))
            return false;
        buffer_take(&c->in, length + 1);
    }
    return buffer_size(&c->in) <= LINE_MAX_SIZE;
}

static bool flush(struct connection *c)
{
    while (buffer_size(&c->out) > 0) {
        ssize_t count = send(c->source.fd, buffer_first(&c->out), buffer_size(&c->out), MSG_NOSIGNAL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        buffer_take(&c->out, (size_t)count);
    }
    return true;
}

static void hang_up(struct connection *c)
{
    buffer_free(&c->in);
    buffer_free(&c->out);
    loop_close(&c->relay->loop, &c->source);
    loop_free(&c->relay->loop, &c->source);
}

static void connection_ready(struct source *s, uint32_t events)
{
    struct connection *c = (struct connection *)s;
    char chunk[16384];
    ssize_t count = -1;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        count = read_some(s->fd, chunk, sizeof chunk);
        bool is_gone = count == 0 || (count < 0 && errno != EAGAIN);
        if (is_gone || (count > 0 && !buffer_append(&c->in, chunk, (size_t)count))) {
            hang_up(c);
            return;
        }
    }
    uint32_t wanted = EPOLLIN;
    bool is_alive = (count <= 0 || serve_lines(c)) && flush(c);
    if (buffer_size(&c->out) > 0)
        wanted |= EPOLLOUT;
    if (!is_alive || loop_watch(&c->relay->loop, s, wanted) < 0)
        hang_up(c);
}

/* The socket's mode keeps others out; this keeps out whoever got hold of a descriptor. */
static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static void listener_ready(struct source *s, uint32_t events)
{
    (void)events;
    struct relay *r = owner_of(s, struct relay, listener);
    AUTO_CLOSE int fd = relay_accept(r, s->fd);
    struct connection *c = fd < 0 || !is_ours(fd) ? NULL : calloc(1, sizeof *c);
    if (!c)
        return;
    c->relay = r;
    c->source = (struct source){.fd = take_fd(&fd), .ready = connection_ready};
    if (loop_watch(&r->loop, &c->source, EPOLLIN) < 0)
        hang_up(c);
}

int control_open(struct relay *r, int listener)
{
    if (fcntl(listener, F_SETFD, FD_CLOEXEC) < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
        return -1;
    r->listener = (struct source){.fd = listener, .ready = listener_ready};
    return loop_watch(&r->loop, &r->listener, EPOLLIN);
}
