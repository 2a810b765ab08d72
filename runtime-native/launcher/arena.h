/* Memory that lives as long as one configuration and is freed as a whole. */
#ifndef MINIRUN_ARENA_H
#define MINIRUN_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t count, size_t size); /* zeroed; NULL with ENOMEM */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

#endif
