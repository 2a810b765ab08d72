#include "buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_append(struct buffer *b, const char *bytes, size_t size)
{
    if (size == 0)
        return true;
    if (b->start > 0 && b->capacity - b->end < size) {
        memmove(b->bytes, buffer_first(b), buffer_size(b));
        b->end -= b->start;
        b->start = 0;
    }
    if (b->capacity - b->end < size) {
        size_t capacity = b->capacity ? b->capacity : 1024;
        while (capacity - b->end < size)
            capacity *= 2;
        char *grown = realloc(b->bytes, capacity);
        if (!grown)
            return false;
        b->bytes = grown;
        b->capacity = capacity;
    }
    memcpy(b->bytes + b->end, bytes, size);
    b->end += size;
    return true;
}

void buffer_take(struct buffer *b, size_t size)
{
    b->start += size;
    if (b->start == b->end)
        buffer_free(b);
}

void buffer_free(struct buffer *b)
{
    free(b->bytes);
    *b = (struct buffer){0};
}
