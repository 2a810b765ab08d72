/* Which process an exec is: the container's own with what the flags change, or a process.json. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "capabilities.h"
#include "exec.h"
#include "io.h"
#include "log.h"

static int parse_user(struct process_config *process, const char *text, struct fault *f)
{
    char *end;
    errno = 0;
    unsigned long uid = strtoul(text, &end, 10), gid = process->gid;
    bool is_valid = *text >= '0' && *text <= '9' && (*end == '\0' || *end == ':');
    if (is_valid && *end == ':') {
        const char *group = end + 1;
        gid = strtoul(group, &end, 10);
        is_valid = *group >= '0' && *group <= '9' && *end == '\0';
    }
    if (!is_valid || errno || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return fault_text(f, STAGE_ARGUMENTS, "parsing %s as int for uid failed: invalid syntax", text);
    process->uid = (uid_t)uid;
    process->gid = (gid_t)gid;
    return 0;
}

static int append_strings(struct arena *arena, char ***list, const struct option_values *more, struct fault *f)
{
    size_t count = 0;
    while ((*list)[count])
        count++;
    char **grown = arena_alloc(arena, count + more->count + 1, sizeof *grown);
    if (!grown)
        return fault_errno(f, STAGE_CONFIG, "read arguments");
    memcpy(grown, *list, count * sizeof *grown);
    for (size_t i = 0; i < more->count; i++)
        grown[count + i] = (char *)(uintptr_t)more->items[i];
    *list = grown;
    return 0;
}

static int add_groups(struct arena *arena, struct process_config *process, const struct option_values *more,
                      struct fault *f)
{
    gid_t *groups = arena_alloc(arena, process->group_count + more->count + 1, sizeof *groups);
    if (!groups)
        return fault_errno(f, STAGE_CONFIG, "read groups");
    memcpy(groups, process->groups, process->group_count * sizeof *groups);
    for (size_t i = 0; i < more->count; i++) {
        char *end;
        unsigned long gid = strtoul(more->items[i], &end, 10);
        if (*end || end == more->items[i] || gid >= UINT32_MAX)
            return fault_text(f, STAGE_ARGUMENTS, "invalid value \"%s\" for flag -additional-gids", more->items[i]);
        groups[process->group_count++] = (gid_t)gid;
    }
    process->groups = groups;
    return 0;
}

/* The container's own process section with what the flags change. */
int exec_process_from_flags(struct execution *e, int words, char **argv, struct fault *f)
{
    const struct exec_options *options = e->options;
    struct process_config *process = &e->config.process;
    struct option_values arguments = {0};
    if (config_load(&e->config, e->container.bundle, e->container.config, f) < 0)
        return -1;
    if (words < 2)
        return fault_text(f, STAGE_ARGUMENTS, "exec args cannot be empty");
    if (words - 1 > MAX_OPTION_VALUES)
        return fault_text(f, STAGE_ARGUMENTS, "too many arguments");
    for (int i = 1; i < words; i++)
        arguments.items[arguments.count++] = argv[i];
    process->args[0] = NULL;
    if (append_strings(&e->config.arena, &process->args, &arguments, f) < 0 ||
        append_strings(&e->config.arena, &process->env, &options->env, f) < 0 ||
        add_groups(&e->config.arena, process, &options->groups, f) < 0 ||
        (options->user && parse_user(process, options->user, f) < 0))
        return -1;
    if (options->cwd && *options->cwd)
        process->cwd = options->cwd;
    if (options->apparmor && *options->apparmor)
        process->apparmor_profile = options->apparmor;
    if (options->label && *options->label)
        process->selinux_label = options->label;
    for (size_t i = 0; i < options->capabilities.count; i++) {
        int number = capability_number(options->capabilities.items[i]);
        if (number < 0)
            log_warning("ignoring unknown or unavailable capabilities: [%s]", options->capabilities.items[i]);
        uint64_t bit = number < 0 ? 0 : UINT64_C(1) << number;
        process->capabilities.bounding |= bit;
        process->capabilities.permitted |= bit;
        process->capabilities.effective |= bit;
        if (process->capabilities.inheritable)
            process->capabilities.ambient |= bit;
    }
    process->no_new_privileges = process->no_new_privileges || options->no_new_privileges;
    process->has_terminal = options->tty;
    return 0;
}

/* What a process.json says nothing of is as confined as the container's own process, never less (youki#3434). */
static int inherit_confinement(struct execution *e, const struct json *given, struct fault *f)
{
    struct process_config *process = &e->config.process;
    bool has_all = json_get(given, "capabilities") && process->apparmor_profile && process->selinux_label;
    struct config container = {0};
    if (has_all || config_load(&container, e->container.bundle, e->container.config, f) < 0) {
        config_free(&container);
        return has_all ? 0 : -1;
    }
    if (!json_get(given, "capabilities"))
        process->capabilities = container.process.capabilities;
    if (!process->apparmor_profile && container.process.apparmor_profile)
        process->apparmor_profile = arena_format(&e->config.arena, "%s", container.process.apparmor_profile);
    if (!process->selinux_label && container.process.selinux_label)
        process->selinux_label = arena_format(&e->config.arena, "%s", container.process.selinux_label);
    config_free(&container);
    return 0;
}

int exec_process_from_file(struct execution *e, struct fault *f)
{
    size_t size = 0;
    AUTO_FREE char *text = read_file_at(AT_FDCWD, e->options->process, 16 * 1024 * 1024, &size);
    if (!text)
        return fault_errno(f, STAGE_CONFIG, "open %s", e->options->process);
    e->document = json_parse(text, size, f);
    if (!e->document)
        return -1;
    const struct json *given = json_root(e->document);
    return config_parse_process(&e->config.arena, &e->config.process, given, f) < 0 ? -1
                                                                                    : inherit_confinement(e, given, f);
}
