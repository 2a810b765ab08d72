#include "arena.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_SIZE (16 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    max_align_t bytes[];
};

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX / 2) / size) {
        errno = ENOMEM;
        return NULL;
    }
    size_t align = sizeof(max_align_t);
    size_t wanted = (count * size + align - 1) / align * align;
    struct arena_block *block = arena->blocks;
    if (!block || block->capacity - block->used < wanted) {
        size_t capacity = wanted > BLOCK_SIZE ? wanted : BLOCK_SIZE;
        block = calloc(1, sizeof *block + capacity);
        if (!block)
            return NULL;
        block->capacity = capacity;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = (char *)block->bytes + block->used;
    block->used += wanted;
    return result;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1, 1);
    if (text)
        (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
