/* The container's log: cuts output into lines as dockerd's copier does, and writes them in the driver's format. */
#ifndef MINISHIM_LOG_H
#define MINISHIM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "buffer.h"
#include "fault.h"
#include "json.h"
#include "loop.h"

enum log_driver { LOG_NONE, LOG_JSON_FILE, LOG_LOCAL };

struct log_options {
    enum log_driver driver;
    const char *path;
    uint64_t max_size; /* 0: never rotated */
    unsigned max_files;
    bool compress;
    bool is_non_blocking;
    size_t max_buffer;
    const struct json *attrs;
};

/* ---- log-file.c: entries into a file that rotates */

struct log_file {
    int fd; /* -1 where a writer has it */
    const char *path;
    uint64_t size, max_size;
    unsigned max_files;
    bool has_rotated; /* since somebody looked */
    char *buffer;
    size_t used, capacity;
    bool is_failing;
    uint64_t dropped_bytes;
};

int log_file_open(struct log_file *f, const struct log_options *o, size_t entry_max, struct fault *fault);
char *log_file_reserve(struct log_file *f,
                       size_t entry_max); /* room for one entry; rotates before it where it is due */
void log_file_commit(struct log_file *f, const char *end);
void log_file_flush(struct log_file *f); /* what cannot be written is dropped, and noted */
void log_file_close(struct log_file *f);

/* ---- log-writer.c: mode=non-blocking. A process of its own waits for the disk; what it does not take in time is
 * dropped */

struct log_writer {
    struct source source; /* our end of its socket; -1: none */
    struct loop *loop;
    pid_t pid;
    struct buffer waiting;
    size_t max_waiting;
    uint64_t dropped_entries;
};

int log_writer_start(struct log_writer *w, const struct log_options *o, struct log_file *f, struct loop *l,
                     struct fault *fault);
void log_writer_take(struct log_writer *w, const char *entry, size_t size);
void log_writer_send(struct log_writer *w);  /* what the child takes now */
void log_writer_close(struct log_writer *w); /* waits until all is written */

/* ---- log-json.c, log-local.c: formats */

#define LOG_LINE_MAX ((size_t)16 << 10) /* moby daemon/logger/copier.go: longer lines come in parts */

struct log_entry {
    int stream;
    const char *text;
    size_t length;
    const struct timespec *time;
    bool is_partial;  /* more of this line follows */
    unsigned ordinal; /* which part, from 1; 0: a whole line */
    const char *part_id;
};

char *log_json_attrs(const struct json *attrs); /* `"attrs":{…},` from malloc, or "" */
size_t log_json_max(const char *attrs);
char *log_json_encode(char *out, const struct log_entry *e, const char *attrs);
size_t log_local_max(void);
char *log_local_encode(char *out, const struct log_entry *e);

/* ---- log.c */

struct log_stream {
    char *carry; /* the start of a line whose end has not come */
    size_t length;
    struct timespec part_time;
    unsigned parts;
    char part_id[65];
};

struct log {
    enum log_driver driver;
    struct log_file file;
    struct log_writer writer;
    char *attrs;
    size_t entry_max;
    bool compress;
    uint64_t sent; /* to the writer, since the file was last full of it */
    time_t told_at;
    struct log_stream streams[2];
};

int log_open(struct log *l, const struct log_options *o, struct loop *loop, struct fault *f);
void log_write(struct log *l, int stream, const char *bytes, size_t size);
bool log_has_rotated(struct log *l); /* for who compresses: at most once a second */
void log_close(struct log *l);       /* writes what has no end of line */

#endif
