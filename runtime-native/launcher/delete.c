#include <errno.h>

#include "commands.h"
#include "container-match.h"
#include "container.h"
#include "io.h"
#include "options.h"

static int delete (const char *root, struct container *container, bool force, struct fault *f)
{
    enum container_status status = container_status(container);
    if (!force && status != STATUS_STOPPED && status != STATUS_CREATED)
        return fault_text(f, STAGE_STATE, "cannot delete container %s that is not stopped: %s", container->id,
                          container_status_name(status));
    if (status != STATUS_STOPPED && container_end(container, f) < 0)
        return -1;
    return container_destroy(root, container, f);
}

static int delete_by_id(const char *root, const char *id, void *context, struct fault *f)
{
    const bool *force = context;
    struct container container;
    int result = container_load(root, id, &container, f);
    if (result == 0) {
        result = delete (root, &container, *force, f);
    } else if (f->error == ENOENT) {
        struct fault unfinished = {0};
        result = container_remove_unfinished(root, id, &unfinished) == 0 && *force ? 0 : -1;
        if (unfinished.stage)
            *f = unfinished;
    }
    container_close(&container);
    return result;
}

int command_delete(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    bool force = false, is_pattern = false;
    const struct option_rule rules[] = {
        {"force", "f", OPTION_FLAG, &force, "kill it first; no error if there is none"},
        {"regex", "r", OPTION_FLAG, &is_pattern, "every container whose id matches"},
        OPTIONS_END,
    };
    if (options_parse(globals->usage, rules, argc, argv, f) < 0)
        return FAILED;
    return is_pattern ? container_match(globals->root, argv[0], delete_by_id, &force, f)
                      : delete_by_id(globals->root, argv[0], &force, f);
}
