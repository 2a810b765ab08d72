#include "table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 16

/* FNV-1a. Names come from whoever may start containers: nobody to defend the buckets against. */
static uint32_t hash_of(const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return hash;
}

static void put(struct entry **buckets, size_t size, struct entry *e)
{
    struct entry **head = &buckets[e->hash & (size - 1)];
    e->next = *head;
    *head = e;
}

static int grow(struct table *t)
{
    size_t size = t->size ? 2 * t->size : FIRST_SIZE;
    struct entry **buckets = calloc(size, sizeof *buckets);
    if (!buckets)
        return -1;
    for (size_t i = 0; i < t->size; i++) {
        for (struct entry *e = t->buckets[i], *next; e; e = next) {
            next = e->next;
            put(buckets, size, e);
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->size = size;
    return 0;
}

int table_insert(struct table *t, struct entry *e, const char *key)
{
    if (t->count >= t->size && grow(t) < 0)
        return -1;
    e->key = key;
    e->hash = hash_of(key);
    put(t->buckets, t->size, e);
    t->count++;
    return 0;
}

void table_remove(struct table *t, struct entry *e)
{
    for (struct entry **link = &t->buckets[e->hash & (t->size - 1)]; *link; link = &(*link)->next) {
        if (*link != e)
            continue;
        *link = e->next;
        t->count--;
        return;
    }
}

static struct entry *search(struct entry *e, const char *key, uint32_t hash)
{
    while (e && (e->hash != hash || strcmp(e->key, key) != 0))
        e = e->next;
    return e;
}

struct entry *table_find(const struct table *t, const char *key)
{
    uint32_t hash = hash_of(key);
    return t->size ? search(t->buckets[hash & (t->size - 1)], key, hash) : NULL;
}

struct entry *table_find_next(const struct entry *e)
{
    return search(e->next, e->key, e->hash);
}

struct entry *table_first(const struct table *t)
{
    table_each(e, t) return e;
    return NULL;
}

void table_free(struct table *t)
{
    free(t->buckets);
    *t = (struct table){0};
}
