/* The mounts section: option words → flags, propagation, recursive attributes, and what is left for the file system. */
#include <errno.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "idmap.h"

#define FLAG_IVERSION (1UL << 23) /* MS_I_VERSION: mount(8) knows it, most file systems do not */

struct flag_word {
    const char *name;
    bool clears;
    unsigned long flag;
};

static const struct flag_word flag_words[] = {
    {"async", true, MS_SYNCHRONOUS},
    {"atime", true, MS_NOATIME},
    {"bind", false, MS_BIND},
    {"defaults", false, 0},
    {"dev", true, MS_NODEV},
    {"diratime", true, MS_NODIRATIME},
    {"dirsync", false, MS_DIRSYNC},
    {"exec", true, MS_NOEXEC},
    {"iversion", false, FLAG_IVERSION},
    {"lazytime", false, MS_LAZYTIME},
    {"loud", true, MS_SILENT},
    {"mand", false, MS_MANDLOCK},
    {"noatime", false, MS_NOATIME},
    {"nodev", false, MS_NODEV},
    {"nodiratime", false, MS_NODIRATIME},
    {"noexec", false, MS_NOEXEC},
    {"noiversion", true, FLAG_IVERSION},
    {"nolazytime", true, MS_LAZYTIME},
    {"nomand", true, MS_MANDLOCK},
    {"norelatime", true, MS_RELATIME},
    {"nostrictatime", true, MS_STRICTATIME},
    {"nosuid", false, MS_NOSUID},
    {"nosymfollow", false, MS_NOSYMFOLLOW},
    {"rbind", false, MS_BIND | MS_REC},
    {"relatime", false, MS_RELATIME},
    {"remount", false, MS_REMOUNT},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"silent", false, MS_SILENT},
    {"strictatime", false, MS_STRICTATIME},
    {"suid", true, MS_NOSUID},
    {"sync", false, MS_SYNCHRONOUS},
    {"symfollow", true, MS_NOSYMFOLLOW},
};

static const struct {
    const char *name;
    unsigned long flags;
} propagation_words[] = {
    {"private", MS_PRIVATE},
    {"shared", MS_SHARED},
    {"slave", MS_SLAVE},
    {"unbindable", MS_UNBINDABLE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"rshared", MS_SHARED | MS_REC},
    {"rslave", MS_SLAVE | MS_REC},
    {"runbindable", MS_UNBINDABLE | MS_REC},
};

/* mount_setattr(2) with AT_RECURSIVE. An atime word replaces the whole atime field. */
static const struct {
    const char *name;
    uint64_t set, clear;
} recursive_words[] = {
    {"rro", MOUNT_ATTR_RDONLY, 0},
    {"rrw", 0, MOUNT_ATTR_RDONLY},
    {"rnosuid", MOUNT_ATTR_NOSUID, 0},
    {"rsuid", 0, MOUNT_ATTR_NOSUID},
    {"rnodev", MOUNT_ATTR_NODEV, 0},
    {"rdev", 0, MOUNT_ATTR_NODEV},
    {"rnoexec", MOUNT_ATTR_NOEXEC, 0},
    {"rexec", 0, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"rdiratime", 0, MOUNT_ATTR_NODIRATIME},
    {"rrelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"rnorelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"ratime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"rnostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

int config_parse_propagation(const char *name, unsigned long *flags)
{
    for (size_t i = 0; i < COUNT(propagation_words); i++) {
        if (strcmp(propagation_words[i].name, name) == 0) {
            *flags = propagation_words[i].flags;
            return 0;
        }
    }
    return -1;
}

static bool take_flag(struct mount_entry *entry, const char *word)
{
    for (size_t i = 0; i < COUNT(flag_words); i++) {
        if (strcmp(flag_words[i].name, word) != 0)
            continue;
        if (flag_words[i].clears) {
            entry->flags &= ~flag_words[i].flag;
            entry->cleared |= flag_words[i].flag;
        } else {
            entry->flags |= flag_words[i].flag;
            entry->cleared &= ~flag_words[i].flag;
        }
        return true;
    }
    return false;
}

static bool take_recursive(struct mount_entry *entry, const char *word)
{
    for (size_t i = 0; i < COUNT(recursive_words); i++) {
        if (strcmp(recursive_words[i].name, word) != 0)
            continue;
        uint64_t touched = recursive_words[i].set | recursive_words[i].clear;
        entry->recursive_set = (entry->recursive_set & ~touched) | recursive_words[i].set;
        entry->recursive_clear = (entry->recursive_clear & ~recursive_words[i].set) | recursive_words[i].clear;
        return true;
    }
    return false;
}

static bool take_extension(struct mount_entry *entry, const char *word)
{
    if (strcmp(word, "tmpcopyup") == 0)
        return entry->copies_up = true;
    if (strcmp(word, "copy-symlink") == 0)
        return entry->copies_link = true;
    if (strcmp(word, "src-nofollow") == 0)
        return entry->source_is_final = true;
    if (strcmp(word, "dest-nofollow") == 0)
        return entry->destination_is_final = true;
    bool is_recursive = *word == 'r';
    const char *idmap = word + is_recursive;
    if (strcmp(idmap, "idmap") != 0 && strncmp(idmap, "idmap=", 6) != 0)
        return false;
    entry->is_recursively_idmapped = is_recursive;
    entry->idmap_text = idmap[5] ? idmap + 6 : NULL;
    return entry->is_idmapped = true;
}

static int parse_options(struct config *config, struct mount_entry *entry, const struct json *options, struct fault *f)
{
    char **words;
    if (config_strings(&config->arena, options, &words, f) < 0)
        return -1;
    for (; *words; words++) {
        if (take_flag(entry, *words) || config_parse_propagation(*words, &entry->propagation) == 0 ||
            take_recursive(entry, *words) || take_extension(entry, *words))
            continue;
        entry->data = entry->data ? arena_format(&config->arena, "%s,%s", entry->data, *words) : *words;
        if (!entry->data)
            return fault_errno(f, STAGE_CONFIG, "read mount options");
    }
    return 0;
}

/* Not a link: an ordinary bind mount. */
static int read_link(struct config *config, struct mount_entry *entry)
{
    char link[PATH_MAX];
    ssize_t length = readlink(entry->source, link, sizeof link);
    if (length < 0)
        return errno == EINVAL || errno == ENOENT ? 0 : -1;
    entry->link = arena_format(&config->arena, "%.*s", (int)length, link);
    return entry->link ? 0 : -1;
}

/* Old callers name targets by the host's path: what begins with the root's own path is meant below it (as runc). */
static const char *strip_root(const char *destination, const char *rootfs)
{
    size_t length = strlen(rootfs);
    return strncmp(destination, rootfs, length) == 0 && destination[length] == '/' ? destination + length : destination;
}

static int parse_mount(struct config *config, struct mount_entry *entry, const struct json *json, struct fault *f)
{
    entry->destination = json_string(json, "destination");
    entry->type = json_string(json, "type");
    entry->source = json_string(json, "source");
    if (!entry->destination || !*entry->destination)
        return fault_text(f, STAGE_MOUNT, "mount destination must not be empty");
    entry->destination = strip_root(entry->destination, config->rootfs);
    if (parse_options(config, entry, json_get(json, "options"), f) < 0)
        return -1;
    entry->is_bind = entry->flags & MS_BIND || (entry->type && strcmp(entry->type, "bind") == 0);
    entry->is_recursive = entry->flags & MS_REC;
    if (entry->is_bind && entry->source && *entry->source != '/')
        entry->source = arena_format(&config->arena, "%s/%s", config->bundle, entry->source);
    if (!entry->source)
        entry->source = "";
    if (!entry->type)
        entry->type = entry->is_bind ? "bind" : "";
    if (entry->copies_link && read_link(config, entry) < 0)
        return fault_errno(f, STAGE_MOUNT, "readlink %s", entry->source);
    if (config_mappings(&config->arena, json_get(json, "uidMappings"), &entry->uids, f) < 0 ||
        config_mappings(&config->arena, json_get(json, "gidMappings"), &entry->gids, f) < 0)
        return -1;
    entry->is_idmapped = entry->is_idmapped || entry->uids.count || entry->gids.count;
    return idmap_parse(config, entry, f);
}

int config_parse_mounts(struct config *config, const struct json *mounts, struct fault *f)
{
    config->mounts = arena_alloc(&config->arena, (mounts ? mounts->count : 0) + 1, sizeof *config->mounts);
    if (!config->mounts)
        return fault_errno(f, STAGE_CONFIG, "read mounts");
    json_each(item, mounts)
    {
        if (parse_mount(config, &config->mounts[config->mount_count], item, f) < 0)
            return -1;
        config->mount_count++;
    }
    return 0;
}

void config_each_mount_option(struct json_writer *w)
{
    for (size_t i = 0; i < COUNT(flag_words); i++)
        json_put_string(w, NULL, flag_words[i].name);
    for (size_t i = 0; i < COUNT(propagation_words); i++)
        json_put_string(w, NULL, propagation_words[i].name);
    for (size_t i = 0; i < COUNT(recursive_words); i++)
        json_put_string(w, NULL, recursive_words[i].name);
    json_put_string(w, NULL, "copy-symlink");
    json_put_string(w, NULL, "dest-nofollow");
    json_put_string(w, NULL, "src-nofollow");
    json_put_string(w, NULL, "tmpcopyup");
    json_put_string(w, NULL, "idmap");
    json_put_string(w, NULL, "ridmap");
}
