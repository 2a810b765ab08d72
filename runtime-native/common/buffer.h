/* Bytes that wait: appended at the end, taken from the start. Empty, it owns no memory. */
#ifndef MINIDOCK_BUFFER_H
#define MINIDOCK_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *bytes;
    size_t start, end, capacity;
};

static inline size_t buffer_size(const struct buffer *b)
{
    return b->end - b->start;
}

static inline char *buffer_first(const struct buffer *b)
{
    return b->bytes + b->start;
}

bool buffer_append(struct buffer *b, const char *bytes, size_t size); /* false: ENOMEM */
void buffer_take(struct buffer *b, size_t size);
void buffer_free(struct buffer *b);

#endif
