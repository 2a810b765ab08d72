/* Who is who: the endpoints of every network, by their names and addresses. */
#ifndef MINIRELAY_NAMES_H
#define MINIRELAY_NAMES_H

#include <stddef.h>

#include "address.h"
#include "json.h"
#include "table.h"

struct network {
    struct entry by_id;
    struct table names, addresses; /* of struct alias */
    size_t endpoints;
    char id[];
};

struct alias {
    struct entry entry;
    struct endpoint *endpoint;
};

#define ADDRESSES_MAX 2 /* one a family */

struct endpoint {
    struct entry by_id;
    struct network *network;
    struct json_document *record; /* what the daemon said of it: keys and names stand there */
    const char *first_name;       /* what its addresses resolve to */
    size_t name_count, address_count;
    struct alias *names;
    struct alias addressed[ADDRESSES_MAX];
    struct address addresses[ADDRESSES_MAX];
    char texts[ADDRESSES_MAX][ADDRESS_TEXT_SIZE];
};

struct names {
    struct table networks, endpoints;
};

/* {"id","network","names":[lower case],"addresses":[]}, in place of one with the same id. Takes the document. */
int names_put(struct names *n, struct json_document **record, struct fault *f);
void names_drop(struct names *n, const char *endpoint_id); /* unknown: nothing to do */

const struct network *names_network(const struct names *n, const char *id); /* NULL: nobody is on it */
/* The first of those who have the name; the others by table_find_next. */
const struct alias *names_find(const struct network *network, const char *name);
const struct endpoint *names_at(const struct network *network, const struct address *address);

#endif
