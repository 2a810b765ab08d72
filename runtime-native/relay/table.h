/* A hash table of what embeds an entry, by a text that the owner keeps. Several entries may have one key. */
#ifndef MINIRELAY_TABLE_H
#define MINIRELAY_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct entry {
    const char *key;
    uint32_t hash;
    struct entry *next;
};

struct table {
    struct entry **buckets;
    size_t size, count; /* size is a power of two, or 0 */
};

int table_insert(struct table *t, struct entry *e, const char *key); /* -1: ENOMEM */
void table_remove(struct table *t, struct entry *e);
struct entry *table_find(const struct table *t, const char *key);
struct entry *table_find_next(const struct entry *e); /* the next one with the same key */
void table_free(struct table *t);                     /* not its entries */

/* The entries may be removed while it goes on. */
struct entry *table_first(const struct table *t);

#define table_each(e, t)                                                                                               \
    for (size_t bucket_ = 0; bucket_ < (t)->size; bucket_++)                                                           \
        for (struct entry *e = (t)->buckets[bucket_]; e; e = e->next)

#define owner_of(e, type, member) ((type *)(void *)((char *)(e)-offsetof(type, member)))

#endif
