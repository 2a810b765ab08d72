#include "names.h"

#include <stdlib.h>
#include <string.h>

static void network_release(struct names *n, struct network *network)
{
    if (network->endpoints > 0)
        return;
    table_remove(&n->networks, &network->by_id);
    table_free(&network->names);
    table_free(&network->addresses);
    free(network);
}

static struct network *network_ensure(struct names *n, const char *id)
{
    struct entry *found = table_find(&n->networks, id);
    if (found)
        return owner_of(found, struct network, by_id);
    size_t size = strlen(id) + 1;
    struct network *network = calloc(1, sizeof *network + size);
    if (!network)
        return NULL;
    memcpy(network->id, id, size);
    if (table_insert(&n->networks, &network->by_id, network->id) == 0)
        return network;
    free(network);
    return NULL;
}

/* Also of one that was put in only in part. */
static void endpoint_free(struct names *n, struct endpoint *e)
{
    for (size_t i = 0; i < e->name_count; i++)
        if (e->names[i].endpoint)
            table_remove(&e->network->names, &e->names[i].entry);
    for (size_t i = 0; i < e->address_count; i++)
        if (e->addressed[i].endpoint)
            table_remove(&e->network->addresses, &e->addressed[i].entry);
    e->network->endpoints--;
    network_release(n, e->network);
    free(e->names);
    json_free(e->record);
    free(e);
}

static int put_names(struct endpoint *e, const struct json *names)
{
    if (!names || names->count == 0)
        return 0;
    e->names = calloc(names->count, sizeof *e->names);
    if (!e->names)
        return -1;
    json_each(name, names)
    {
        struct alias *alias = &e->names[e->name_count];
        if (!name->text || table_insert(&e->network->names, &alias->entry, name->text) < 0)
            return -1;
        alias->endpoint = e;
        e->name_count++;
    }
    e->first_name = e->names[0].entry.key;
    return 0;
}

static int put_addresses(struct endpoint *e, const struct json *addresses)
{
    json_each(address, addresses)
    {
        size_t i = e->address_count;
        if (i == ADDRESSES_MAX || !address->text || !address_parse(address->text, &e->addresses[i]))
            continue;
        address_print(&e->addresses[i], e->texts[i]);
        if (table_insert(&e->network->addresses, &e->addressed[i].entry, e->texts[i]) < 0)
            return -1;
        e->addressed[i].endpoint = e;
        e->address_count++;
    }
    return 0;
}

int names_put(struct names *n, struct json_document **record, struct fault *f)
{
    const struct json *request = json_root(*record);
    const char *id = json_string(request, "id"), *network_id = json_string(request, "network");
    if (!id || !network_id)
        return fault_text(f, STAGE_ARGUMENTS, "an endpoint needs an id and a network");
    names_drop(n, id);
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return fault_errno(f, STAGE_NETWORK, "put endpoint");
    e->network = network_ensure(n, network_id);
    if (!e->network) {
        free(e);
        return fault_errno(f, STAGE_NETWORK, "put endpoint");
    }
    e->network->endpoints++;
    e->record = *record;
    *record = NULL;
    if (put_names(e, json_get(request, "names")) == 0 && put_addresses(e, json_get(request, "addresses")) == 0 &&
        table_insert(&n->endpoints, &e->by_id, id) == 0)
        return 0;
    (void)fault_errno(f, STAGE_NETWORK, "put endpoint");
    endpoint_free(n, e);
    return -1;
}

void names_drop(struct names *n, const char *endpoint_id)
{
    struct entry *found = table_find(&n->endpoints, endpoint_id);
    if (!found)
        return;
    table_remove(&n->endpoints, found);
    endpoint_free(n, owner_of(found, struct endpoint, by_id));
}

const struct network *names_network(const struct names *n, const char *id)
{
    const struct entry *found = table_find(&n->networks, id);
    return found ? owner_of(found, struct network, by_id) : NULL;
}

const struct alias *names_find(const struct network *network, const char *name)
{
    const struct entry *found = table_find(&network->names, name);
    return found ? owner_of(found, struct alias, entry) : NULL;
}

const struct endpoint *names_at(const struct network *network, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    address_print(address, text);
    const struct entry *found = table_find(&network->addresses, text);
    return found ? owner_of(found, struct alias, entry)->endpoint : NULL;
}
