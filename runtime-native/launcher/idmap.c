/* Id-mapped mounts: whose ids a mount shows is said by a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP). The
 * mapping is the mount's own (uidMappings and gidMappings, or crun's option "idmap=uids=0-1000-1;gids=0-1000-1"), else
 * the container's. */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "user-namespace.h"

static bool take_number(const char **text, char after, uint32_t *number)
{
    char *end;
    unsigned long value = **text >= '0' && **text <= '9' ? strtoul(*text, &end, 10) : ULONG_MAX;
    if (value > UINT32_MAX || (after && *end != after))
        return false;
    *number = (uint32_t)value;
    *text = end + (after != '\0');
    return true;
}

/* "0-1000-1#1-2000-10": up to the end or ";". With "@" the second numbers are ids of the container. */
static int parse_triples(struct arena *arena, const char **text, const struct id_mappings *container,
                         struct id_mappings *mappings)
{
    size_t most = 1;
    for (const char *at = *text; *at && *at != ';'; at++)
        most += *at == '#';
    mappings->items = arena_alloc(arena, most, sizeof *mappings->items);
    bool is_relative = **text == '@';
    *text += is_relative;
    while (mappings->items && mappings->count < most) {
        struct id_mapping *item = &mappings->items[mappings->count++];
        if (!take_number(text, '-', &item->container) || !take_number(text, '-', &item->host) ||
            !take_number(text, '\0', &item->size))
            return -1;
        if (is_relative)
            item->host = user_namespace_outside(container, item->host);
        if (**text != '#')
            return 0;
        *text += 1;
    }
    return -1;
}

int idmap_parse(struct config *config, struct mount_entry *entry, struct fault *f)
{
    const char *at = entry->idmap_text;
    while (at && *at) {
        bool is_uids = strncmp(at, "uids=", 5) == 0;
        struct id_mappings *mappings = is_uids ? &entry->uids : &entry->gids;
        if ((!is_uids && strncmp(at, "gids=", 5) != 0) || mappings->count ||
            (at += 5, parse_triples(&config->arena, &at, is_uids ? &config->uid_mappings : &config->gid_mappings,
                                    mappings)) < 0 ||
            (*at && *at != ';'))
            return fault_text(f, STAGE_MOUNT, "invalid mount option idmap=%s", entry->idmap_text);
        at += *at == ';';
    }
    if (!entry->is_idmapped)
        return 0;
    if (!entry->is_bind)
        return fault_text(f, STAGE_MOUNT, "invalid mount %s: id-mapped mounts are only supported for bind-mounts",
                          entry->destination);
    bool has_own = entry->uids.count && entry->gids.count;
    bool has_none = !entry->uids.count && !entry->gids.count;
    if (has_own || (has_none && config->namespaces[NS_USER].is_set))
        return 0;
    return fault_text(f, STAGE_MOUNT,
                      "invalid mount %s: id-mapped mounts must have both uid and gid mappings specified",
                      entry->destination);
}

static int open_namespace(const struct launch *launch, const struct mount_entry *entry, struct fault *f)
{
    const struct config *config = launch->config;
    if (entry->uids.count)
        return user_namespace_make(&entry->uids, &entry->gids, f);
    if (launch->namespace_fds[NS_USER] < 0)
        return user_namespace_make(&config->uid_mappings, &config->gid_mappings, f);
    int copy = fcntl(launch->namespace_fds[NS_USER], F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? fault_errno(f, STAGE_USER, "dup") : copy;
}

int idmap_apply(const struct launch *launch, const struct mount_entry *entry, int mount, struct fault *f)
{
    AUTO_CLOSE int user = open_namespace(launch, entry, f);
    if (user < 0)
        return -1;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user};
    unsigned flags = (unsigned)AT_EMPTY_PATH | (entry->is_recursively_idmapped ? (unsigned)AT_RECURSIVE : 0U);
    if (syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) == 0)
        return 0;
    if (errno == EINVAL)
        return fault_errno(f, STAGE_MOUNT,
                           "failed to set MOUNT_ATTR_IDMAP on %s: maybe the filesystem used doesn't support idmap "
                           "mounts on this kernel?",
                           entry->source);
    return fault_errno(f, STAGE_MOUNT, "failed to set MOUNT_ATTR_IDMAP on %s", entry->source);
}
