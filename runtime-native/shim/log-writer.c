/* mode=non-blocking: the container never waits for the disk. A child takes entries from a socket and writes them; it
 * may hang as long as the disk does. What waits for it is bounded, and a new entry is dropped when it does not fit any
 * more (moby daemon/logger/ring.go drops the new one too). */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "note.h"

#define PIECE_BYTES ((size_t)64 << 10)

/* The size of the entry at the start of `bytes`, 0 where it is not whole yet. */
static size_t entry_size(enum log_driver driver, const char *bytes, size_t size)
{
    if (driver == LOG_JSON_FILE) {
        const char *newline = memchr(bytes, '\n', size);
        return newline ? (size_t)(newline - bytes) + 1 : 0;
    }
    uint32_t length;
    if (size < sizeof length)
        return 0;
    memcpy(&length, bytes, sizeof length);
    size_t whole = be32toh(length) + 2 * sizeof length;
    return size < whole ? 0 : whole;
}

static void write_entries(struct log_file *f, enum log_driver driver, struct buffer *in)
{
    size_t size;
    while (buffer_size(in) > 0 && (size = entry_size(driver, buffer_first(in), buffer_size(in))) > 0) {
        char *out = log_file_reserve(f, size);
        memcpy(out, buffer_first(in), size);
        log_file_commit(f, out + size);
        buffer_take(in, size);
    }
    log_file_flush(f);
}

/* The child. It must not hold the container's pipes, whose end somebody waits for: all but its three files are closed.
 */
static void run_writer(struct log_file *f, enum log_driver driver, int socket)
{
    struct buffer in = {0};
    char *piece = malloc(PIECE_BYTES);
    ssize_t count;
    (void)prctl(PR_SET_NAME, "minishim-log");
    if (!piece || dup2(socket, 0) < 0 || dup2(f->fd, 1) < 0 || close_range(3, ~0U, 0) < 0)
        _exit(1);
    f->fd = 1;
    while ((count = read_some(0, piece, PIECE_BYTES)) > 0 && buffer_append(&in, piece, (size_t)count))
        write_entries(f, driver, &in);
    log_file_close(f);
    _exit(0);
}

void log_writer_send(struct log_writer *w)
{
    while (buffer_size(&w->waiting) > 0) {
        ssize_t count = send(w->source.fd, buffer_first(&w->waiting), buffer_size(&w->waiting), MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN) {
            (void)loop_watch(w->loop, &w->source, EPOLLOUT);
            return;
        }
        if (count < 0) {
            note("the log's writer has ended: output is dropped");
            buffer_free(&w->waiting);
            break;
        }
        buffer_take(&w->waiting, (size_t)count);
    }
    loop_unwatch(w->loop, &w->source);
}

static void writer_ready(struct source *source, uint32_t events)
{
    (void)events;
    log_writer_send((struct log_writer *)(void *)source);
}

int log_writer_start(struct log_writer *w, const struct log_options *o, struct log_file *f, struct loop *l,
                     struct fault *fault)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return fault_errno(fault, STAGE_IO, "start the log's writer");
    AUTO_CLOSE int ours = ends[0];
    AUTO_CLOSE int theirs = ends[1];
    pid_t pid = fcntl(ours, F_SETFL, O_NONBLOCK) < 0 ? -1 : fork();
    if (pid < 0)
        return fault_errno(fault, STAGE_IO, "start the log's writer");
    if (pid == 0)
        run_writer(f, o->driver, theirs);
    close_fd(&f->fd);
    *w = (struct log_writer){
        .source = {.fd = take_fd(&ours), .ready = writer_ready}, .loop = l, .pid = pid, .max_waiting = o->max_buffer};
    return 0;
}

static bool has_room(const struct log_writer *w, size_t size)
{
    return buffer_size(&w->waiting) == 0 || buffer_size(&w->waiting) + size <= w->max_waiting;
}

void log_writer_take(struct log_writer *w, const char *entry, size_t size)
{
    if (!has_room(w, size))
        log_writer_send(w);
    if (!has_room(w, size) || !buffer_append(&w->waiting, entry, size))
        w->dropped_entries++;
}

void log_writer_close(struct log_writer *w)
{
    if (w->source.fd < 0)
        return;
    if (w->dropped_entries > 0)
        note("the disk was too slow: %llu log entries were dropped", (unsigned long long)w->dropped_entries);
    if (fcntl(w->source.fd, F_SETFL, 0) < 0 ||
        write_all(w->source.fd, buffer_first(&w->waiting), buffer_size(&w->waiting)) < 0)
        note("the log's writer has ended: output is dropped");
    buffer_free(&w->waiting);
    loop_close(w->loop, &w->source);
    (void)wait_process(w->pid, NULL);
}
