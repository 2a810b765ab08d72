/* The OCI runtime-spec 1.2 configuration: what is asked for, checked for shape and contradictions, nothing done yet.
 * Parts that one file alone interprets (resources, seccomp, hooks …) stay JSON until that file reads them. */
#ifndef MINIRUN_CONFIG_H
#define MINIRUN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "arena.h"
#include "fault.h"
#include "json.h"

enum namespace_kind { NS_USER, NS_MOUNT, NS_PID, NS_NETWORK, NS_IPC, NS_UTS, NS_CGROUP, NS_TIME, NS_COUNT };

struct namespace
{
    bool is_set;
    const char *path; /* to join; NULL: make a new one */
};

struct id_mapping {
    uint32_t container, host, size;
};

struct id_mappings {
    struct id_mapping *items;
    size_t count;
};

struct capability_sets {
    uint64_t bounding, permitted, effective, inheritable, ambient;
};

struct rlimit_request {
    int resource;
    const char *name;
    struct rlimit limit;
};

struct process_config {
    char **args, **env; /* NULL-terminated */
    const char *cwd;
    uint32_t uid, gid;
    gid_t *groups;
    size_t group_count;
    bool has_umask;
    mode_t umask;
    struct capability_sets capabilities; /* all empty when the section is absent: nothing is kept by default */
    struct rlimit_request *rlimits;
    size_t rlimit_count;
    bool no_new_privileges, has_terminal;
    unsigned short console_height, console_width;
    bool has_oom_score;
    int oom_score;
    const char *apparmor_profile, *selinux_label;
    const struct json *scheduler, *io_priority, *cpu_affinity;
};

struct mount_entry {
    const char *destination, *type, *source, *data; /* data: the options left for the file system, comma separated */
    bool is_bind, is_recursive, copies_up, is_idmapped, is_recursively_idmapped;
    bool copies_link;                           /* a source that is a symlink is not mounted but made anew */
    bool source_is_final, destination_is_final; /* …-nofollow: no symlink is followed there */
    const char *link;                           /* copies_link: what the symlink says */
    unsigned long flags, cleared;               /* MS_ */
    unsigned long propagation;                  /* MS_SHARED …, with MS_REC; 0: none asked */
    uint64_t recursive_set, recursive_clear;    /* MOUNT_ATTR_, for rro and its like */
    const char *idmap_text;                     /* of the option idmap=, NULL */
    struct id_mappings uids, gids;
};

struct device {
    const char *path;
    char type; /* b, c or p */
    unsigned major, minor;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

struct config {
    struct arena arena;
    struct json_document *document;
    const struct json *root;
    const char *version, *bundle, *rootfs, *file; /* file: the config.json; all as absolute paths */
    bool is_rootfs_readonly;
    unsigned long rootfs_propagation; /* MS_, 0: not said */
    const char *hostname, *domainname, *cgroups_path, *mount_label;
    bool has_process;
    struct process_config process;
    struct namespace namespaces[NS_COUNT];
    struct id_mappings uid_mappings, gid_mappings;
    struct mount_entry *mounts;
    size_t mount_count;
    struct device *devices;
    size_t device_count;
    char **masked_paths, **readonly_paths; /* NULL-terminated */
    const struct json *resources, *seccomp, *sysctl, *hooks, *annotations, *time_offsets, *personality,
        *network_devices, *memory_policy;
};

/* file: NULL, or another config.json, by its path or its name in the bundle; a path is the caller's, as in crun. */
int config_load(struct config *config, const char *bundle, const char *file, struct fault *f);
/* A process section, of config.json or from `exec --process`. It points into the JSON, which must outlive it. */
int config_parse_process(struct arena *arena, struct process_config *process, const struct json *json, struct fault *f);
int process_validate(const struct process_config *process, struct fault *f);
int config_validate(const struct config *config, struct fault *f);
void config_free(struct config *config);

/* For the files of the sections. */
int config_strings(struct arena *arena, const struct json *array, char ***strings, struct fault *f);
int config_uint32(const struct json *object, const char *key, const char *field, uint32_t *value, struct fault *f);
int config_mappings(struct arena *arena, const struct json *array, struct id_mappings *mappings, struct fault *f);
int config_parse_mounts(struct config *config, const struct json *mounts, struct fault *f); /* mount-options.c */
int config_parse_propagation(const char *name, unsigned long *flags);                       /* mount-options.c */
void config_each_mount_option(struct json_writer *w); /* mount-options.c: the words it knows, for `features` */
bool config_has_new_namespace(const struct config *config, enum namespace_kind kind);

#endif
