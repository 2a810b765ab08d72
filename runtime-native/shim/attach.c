/* Attached clients: stdcopy frames (8 bytes of header: stream, three zeros, length) or a terminal's raw bytes out,
 * stdin in. A slow client holds the process's output back; one that leaves is forgotten. Of a direct client the daemon
 * has passed the descriptor: its output goes there, and its connection here has stdin only. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io.h"
#include "shim.h"

#define FRAME_HEADER 8

static bool is_client(const struct connection *c, const struct process *p)
{
    return c->process == p;
}

bool attach_has_clients(const struct process *p)
{
    for (const struct connection *c = p->shim->connections; c; c = c->next)
        if (is_client(c, p))
            return true;
    return false;
}

static void watch(struct connection *c)
{
    uint32_t events = 0;
    bool reads = !c->wants_stdin || c->is_finished || process_takes_stdin(c->process) || c->process->has_ended;
    if (reads && !c->has_ended_stdin)
        events |= EPOLLIN;
    uint32_t unsent = buffer_size(&c->out) > 0 ? EPOLLOUT : 0;
    bool is_direct = c->client.fd >= 0;
    if (is_direct)
        (void)loop_watch(&c->shim->loop, &c->client, unsent);
    (void)loop_watch(&c->shim->loop, &c->source, is_direct ? events : events | unsent);
}

void attach_watch(struct process *p)
{
    for (struct connection *c = p->shim->connections; c; c = c->next)
        if (is_client(c, p))
            watch(c);
}

/* Our side ends when everything is sent; the client's may go on, and is read, so that it sees no reset: unix(7). */
static void finish_if_sent(struct connection *c)
{
    if (!c->process->has_ended || c->is_finished || buffer_size(&c->out) > 0)
        return;
    c->is_finished = true;
    loop_close(&c->shim->loop, &c->client);
    (void)shutdown(c->source.fd, SHUT_WR);
    if (c->has_ended_stdin)
        connection_close(c);
    else
        watch(c);
}

void attach_finish(struct process *p)
{
    for (struct connection *c = p->shim->connections, *next; c; c = next) {
        next = c->next;
        if (is_client(c, p))
            finish_if_sent(c);
    }
}

static void end_stdin(struct connection *c)
{
    if (c->has_ended_stdin)
        return;
    c->has_ended_stdin = true;
    if (c->wants_stdin && c->process->closes_stdin && !c->process->has_ended)
        process_close_stdin(c->process);
}

/* False: nothing more to read now. */
static bool read_stdin(struct connection *c)
{
    char *chunk = c->shim->chunk;
    ssize_t count = read_some(c->source.fd, chunk, CHUNK_BYTES);
    if (count < 0 && errno == EAGAIN)
        return false;
    if (count <= 0) {
        end_stdin(c);
        return false;
    }
    if (c->wants_stdin)
        process_write_stdin(c->process, chunk, (size_t)count);
    return true;
}

static bool are_slow(const struct process *p)
{
    for (const struct connection *c = p->shim->connections; c; c = c->next)
        if (is_client(c, p) && buffer_size(&c->out) > CLIENT_LIMIT / 2)
            return true;
    return false;
}

/* One of its clients is not what it was. */
static void settle(struct process *p)
{
    if (p->is_held && !are_slow(p))
        process_resume(p);
    attach_watch(p);
    exec_release(p);
}

void attach_ready(struct connection *c, uint32_t events)
{
    struct process *p = c->process;
    if (events & (EPOLLHUP | EPOLLERR)) {
        /* Gone. What it sent before is at most what its socket holds, and goes to the process all the same. */
        while (!c->has_ended_stdin && read_stdin(c))
            ;
        end_stdin(c);
        connection_close(c);
    } else {
        if (events & EPOLLIN)
            (void)read_stdin(c);
        if (events & EPOLLOUT)
            (void)connection_flush(c);
        if (c->source.fd >= 0 && c->is_finished && c->has_ended_stdin)
            connection_close(c);
        else if (c->source.fd >= 0)
            finish_if_sent(c);
    }
    settle(p);
}

/* A direct client takes no more. What it sent before may still be on its way through the daemon, which is told. */
void attach_client_left(struct connection *c)
{
    loop_close(&c->shim->loop, &c->client);
    buffer_free(&c->out);
    c->wants_stdout = c->wants_stderr = false;
    (void)connection_send(c, "{\"left\":true}\n", 14);
}

static void client_ready(struct source *source, uint32_t events)
{
    struct connection *c = OWNER_OF(source, struct connection, client);
    struct process *p = c->process;
    if (events & (EPOLLHUP | EPOLLERR))
        attach_client_left(c);
    else
        (void)connection_flush(c);
    if (c->source.fd >= 0)
        finish_if_sent(c);
    settle(p);
}

/* As much at once as the socket takes; only what is left over is copied. */
static void send_frame(struct connection *c, const char *header, size_t header_size, const char *bytes, size_t size)
{
    size_t sent = 0;
    if (buffer_size(&c->out) == 0) {
        struct iovec parts[2] = {{(void *)(uintptr_t)header, header_size}, {(void *)(uintptr_t)bytes, size}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        int fd = c->client.fd >= 0 ? c->client.fd : c->source.fd;
        ssize_t count = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN && errno != EINTR)
            return; /* it has left: the hang-up is about to be reported */
        sent = count > 0 ? (size_t)count : 0;
    }
    size_t of_header = sent < header_size ? sent : header_size;
    sent -= of_header;
    if (!buffer_append(&c->out, header + of_header, header_size - of_header) ||
        !buffer_append(&c->out, bytes + sent, size - sent))
        connection_close(c);
}

void attach_send(struct process *p, int stream, const char *bytes, size_t size)
{
    char header[FRAME_HEADER] = {(char)stream};
    uint32_t length = htonl((uint32_t)size);
    memcpy(header + 4, &length, sizeof length);
    for (struct connection *c = p->shim->connections, *next; c; c = next) {
        next = c->next;
        if (!is_client(c, p) || !(stream == 1 ? c->wants_stdout : c->wants_stderr) || c->is_finished)
            continue;
        send_frame(c, header, p->terminal ? 0 : FRAME_HEADER, bytes, size);
        if (c->source.fd < 0)
            continue;
        if (buffer_size(&c->out) > CLIENT_LIMIT)
            process_hold(p);
        watch(c);
    }
}

static void refuse(struct connection *c, const char *exec)
{
    struct json_writer w = {0};
    struct fault f;
    fault_told(&f, STAGE_STATE, ESRCH, "%s", exec);
    json_begin_object(&w, NULL);
    put_fault(&w, &f);
    json_end_object(&w);
    if (!w.failed && connection_send(c, w.text, w.length))
        (void)connection_send(c, "\n", 1);
    json_writer_free(&w);
    connection_close(c);
}

/* The line is the connection's first; what follows it is stdin. */
void attach_begin(struct connection *c, const struct json *request)
{
    const char *exec = json_string(request, "exec");
    struct process *p = process_find(c->shim, exec);
    if (!p) {
        refuse(c, "no such exec");
        return;
    }
    c->wants_stdin = json_bool(request, "stdin", false);
    c->wants_stdout = json_bool(request, "stdout", false);
    c->wants_stderr = json_bool(request, "stderr", false);
    bool is_direct = c->passed >= 0;
    if (!connection_send(c, is_direct ? "{\"ok\":{\"direct\":true}}\n" : "{\"ok\":{}}\n", is_direct ? 23 : 10))
        return;
    if (is_direct && buffer_size(&c->out) > 0) { /* of a peer that does not take its answers: not for the client */
        connection_close(c);
        return;
    }
    c->process = p;
    c->client = (struct source){.fd = take_fd(&c->passed), .ready = client_ready};
    process_fit_pipes(p);
    if (c->wants_stdin)
        process_write_stdin(p, buffer_first(&c->in), buffer_size(&c->in));
    buffer_free(&c->in);
    watch(c);
    finish_if_sent(c);
}
