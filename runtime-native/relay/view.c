#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "resolver.h"

#define HOLDERS_MAX 4096

static int read_upstreams(struct view *v, const struct json *upstreams)
{
    v->upstreams = calloc(upstreams ? upstreams->count + 1 : 1, sizeof *v->upstreams);
    if (!v->upstreams)
        return -1;
    json_each(upstream, upstreams)
    {
        struct upstream *u = &v->upstreams[v->upstream_count];
        const char *text = json_string(upstream, "address");
        u->is_hosts = json_bool(upstream, "isHosts", false);
        /* Who asks itself never ends. */
        bool is_own = text && !u->is_hosts && strcmp(text, RESOLVER_ADDRESS) == 0;
        if (text && !is_own && address_parse(text, &u->address))
            v->upstream_count++;
    }
    return 0;
}

int view_read(struct view *v, struct json_document **record)
{
    const struct json *root = json_root(*record);
    *v = (struct view){
        .networks = json_get(root, "networks"),
        .is_ndots_set = json_bool(root, "isNdotsSet", false),
        .can_forward = json_bool(root, "canForward", false),
    };
    if (read_upstreams(v, json_get(root, "upstreams")) < 0)
        return -1;
    v->record = *record;
    *record = NULL;
    return 0;
}

void view_free(struct view *v)
{
    json_free(v->record);
    free(v->upstreams);
    *v = (struct view){0};
}

static const struct network *find_network(const struct names *names, const struct json *membership)
{
    const char *id = json_string(membership, "id");
    return id ? names_network(names, id) : NULL;
}

/* Everyone who has the name on the first network where somebody has it. NULL: nobody. */
static const struct alias *holders_on(const struct view *v, const struct names *names, const char *name,
                                      const char *network_name)
{
    json_each(membership, v->networks)
    {
        const char *own_name = json_string(membership, "name");
        if (network_name && (!own_name || strcmp(own_name, network_name) != 0))
            continue;
        const struct network *network = find_network(names, membership);
        const char *linked = json_string(json_get(membership, "links"), name);
        const struct alias *holder = network ? names_find(network, linked ? linked : name) : NULL;
        if (holder)
            return holder;
    }
    return NULL;
}

/* A name may be followed by that of its network, and both may hold dots: `a.b.c` is also a.b in network c, and a in
 * b.c. */
static const struct alias *holders_of(const struct view *v, const struct names *names, const char *name)
{
    const struct alias *holder = holders_on(v, names, name, NULL);
    char text[NAME_TEXT_SIZE];
    strcpy(text, name); /* of a query: it fits */
    for (char *dot = strrchr(text, '.'); !holder && dot; dot = strrchr(text, '.')) {
        *dot = '\0';
        holder = holders_on(v, names, text, name + (dot - text) + 1);
    }
    return holder;
}

/* Round robin by lot, as moby does it. */
static void shuffle(const struct address **found, size_t count)
{
    static uint64_t state; /* of xorshift: nothing depends on it but who gets the load */
    if (state == 0 && getrandom(&state, sizeof state, GRND_NONBLOCK) < 0)
        state = 1;
    for (size_t i = count; i > 1; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t j = (size_t)(state % i);
        const struct address *swapped = found[i - 1];
        found[i - 1] = found[j];
        found[j] = swapped;
    }
}

static void put_addresses(const struct alias *holder, sa_family_t family, struct answer *a)
{
    const struct address *found[HOLDERS_MAX];
    size_t count = 0;
    for (const struct entry *e = &holder->entry; e && count < HOLDERS_MAX; e = table_find_next(e)) {
        const struct endpoint *endpoint = owner_of(e, struct alias, entry)->endpoint;
        for (size_t i = 0; i < endpoint->address_count && count < HOLDERS_MAX; i++)
            if (endpoint->addresses[i].family == family)
                found[count++] = &endpoint->addresses[i];
    }
    shuffle(found, count);
    for (size_t i = 0; i < count; i++)
        answer_address(a, found[i]);
}

static bool put_pointer(const struct view *v, const struct names *names, const struct query *q, struct answer *a)
{
    struct address address;
    if (!query_pointer(q, &address))
        return false;
    json_each(membership, v->networks)
    {
        const struct network *network = find_network(names, membership);
        const struct endpoint *endpoint = network ? names_at(network, &address) : NULL;
        const char *name = json_string(membership, "name");
        if (!endpoint || !endpoint->first_name || !name)
            continue;
        char text[NAME_TEXT_SIZE];
        int length = snprintf(text, sizeof text, "%s.%s", endpoint->first_name, name);
        if (length < 0 || (size_t)length >= sizeof text)
            return false;
        answer_name(a, text);
        return true;
    }
    return false;
}

bool view_answer(const struct view *v, const struct names *names, const struct query *q, struct answer *a)
{
    if (q->type == DNS_PTR)
        return put_pointer(v, names, q, a);
    if (q->type != DNS_A && q->type != DNS_AAAA && q->type != DNS_MX)
        return false;
    const struct alias *holder = holders_of(v, names, q->name);
    /* A container is its own mail host: no MX record, and the client asks for its address. */
    if (holder && q->type != DNS_MX)
        put_addresses(holder, q->type == DNS_A ? AF_INET : AF_INET6, a);
    bool is_bare = v->is_ndots_set && q->type != DNS_MX && !strchr(q->name, '.');
    return holder || is_bare;
}
