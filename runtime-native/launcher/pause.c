#include <stddef.h>

#include "commands.h"
#include "container.h"
#include "options.h"

static int change(const struct globals *globals, int argc, char **argv, bool freeze, struct fault *f)
{
    const struct option_rule rules[] = {OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    struct container container;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0) {
        enum container_status status = container_status(&container);
        if (freeze && status != STATUS_RUNNING && status != STATUS_CREATED)
            result = fault_text(f, STAGE_STATE, "container not running");
        else if (!freeze && status != STATUS_PAUSED)
            result = fault_text(f, STAGE_STATE, "container not paused");
        else
            result = cgroup_freeze(&container.cgroup, freeze, f);
    }
    container_close(&container);
    return result;
}

int command_pause(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    return change(globals, argc, argv, true, f);
}

int command_resume(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    return change(globals, argc, argv, false, f);
}
