#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "note.h"

int log_open(struct log *l, const struct log_options *o, struct loop *loop, struct fault *f)
{
    *l = (struct log){.driver = o->driver, .compress = o->compress, .file.fd = -1, .writer.source.fd = -1};
    if (o->driver == LOG_NONE)
        return 0;
    l->attrs = log_json_attrs(o->attrs);
    if (!l->attrs)
        return fault_errno(f, STAGE_IO, "open %s", o->path);
    l->entry_max = o->driver == LOG_JSON_FILE ? log_json_max(l->attrs) : log_local_max();
    if (log_file_open(&l->file, o, l->entry_max, f) < 0)
        return -1;
    return o->is_non_blocking ? log_writer_start(&l->writer, o, &l->file, loop, f) : 0;
}

static void write_entry(struct log *l, const struct log_entry *e)
{
    bool has_writer = l->writer.source.fd >= 0;
    char *start = has_writer ? l->file.buffer : log_file_reserve(&l->file, l->entry_max);
    char *end = l->driver == LOG_JSON_FILE ? log_json_encode(start, e, l->attrs) : log_local_encode(start, e);
    if (!has_writer) {
        log_file_commit(&l->file, end);
        return;
    }
    log_writer_take(&l->writer, start, (size_t)(end - start));
    l->sent += (uint64_t)(end - start);
    if (l->file.max_size > 0 && l->sent >= l->file.max_size) {
        l->file.has_rotated = true; /* or will soon */
        l->sent = 0;
    }
}

bool log_has_rotated(struct log *l)
{
    struct timespec now;
    if (!l->compress || !l->file.has_rotated || clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0 ||
        (l->told_at > 0 && now.tv_sec == l->told_at))
        return false;
    l->told_at = now.tv_sec;
    l->file.has_rotated = false;
    return true;
}

static void new_part_id(char id[65])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[32] = {0};
    if (getrandom(bytes, sizeof bytes, 0) < 0)
        note("getrandom: %m");
    for (size_t i = 0; i < sizeof bytes; i++) {
        id[2 * i] = hex[bytes[i] >> 4];
        id[2 * i + 1] = hex[bytes[i] & 15];
    }
    id[64] = '\0';
}

/* All parts of one line carry the time of the first. */
static void end_line(struct log *l, int stream, const char *text, size_t length, bool is_partial)
{
    struct log_stream *s = &l->streams[stream - 1];
    struct timespec now = s->part_time;
    if (s->parts == 0)
        clock_gettime(CLOCK_REALTIME, &now);
    if (is_partial && s->parts == 0) {
        s->part_time = now;
        new_part_id(s->part_id);
    }
    if (is_partial || s->parts > 0)
        s->parts++;
    write_entry(l, &(struct log_entry){.stream = stream,
                                       .text = text,
                                       .length = length,
                                       .time = s->parts > 0 ? &s->part_time : &now,
                                       .is_partial = is_partial,
                                       .ordinal = s->parts,
                                       .part_id = s->part_id});
    if (!is_partial)
        s->parts = 0;
}

static bool keep(struct log_stream *s, const char *bytes, size_t size)
{
    if (!s->carry)
        s->carry = malloc(LOG_LINE_MAX);
    if (!s->carry)
        return false;
    memcpy(s->carry + s->length, bytes, size);
    s->length += size;
    return true;
}

void log_write(struct log *l, int stream, const char *bytes, size_t size)
{
    if (l->driver == LOG_NONE)
        return;
    struct log_stream *s = &l->streams[stream - 1];
    while (size > 0) {
        size_t room = LOG_LINE_MAX - s->length, look = size < room ? size : room;
        const char *newline = memchr(bytes, '\n', look);
        size_t part = newline ? (size_t)(newline - bytes) : look;
        bool is_complete = newline || look == room;
        if (is_complete && s->length == 0) {
            end_line(l, stream, bytes, part, !newline);
        } else {
            if (!keep(s, bytes, part))
                note("a line is lost: %m");
            if (is_complete) {
                end_line(l, stream, s->carry, s->length, !newline);
                s->length = 0;
            }
        }
        bytes += part + (newline ? 1 : 0);
        size -= part + (newline ? 1 : 0);
    }
    if (l->writer.source.fd >= 0)
        log_writer_send(&l->writer);
    else
        log_file_flush(&l->file);
}

void log_close(struct log *l)
{
    if (l->driver == LOG_NONE)
        return;
    for (int stream = 1; stream <= 2; stream++) {
        struct log_stream *s = &l->streams[stream - 1];
        if (s->length > 0)
            end_line(l, stream, s->carry, s->length, true);
        free(s->carry);
    }
    log_writer_close(&l->writer);
    log_file_close(&l->file);
    free(l->attrs);
    *l = (struct log){.driver = LOG_NONE, .file.fd = -1, .writer.source.fd = -1};
}
