#include <stddef.h>

#include "commands.h"
#include "container.h"
#include "options.h"

int command_state(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    const struct option_rule rules[] = {OPTIONS_END};
    struct container container;
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0) {
        struct json_writer w = {0};
        container_describe(&container, &w, "");
        print_json(&w, "  ");
        json_writer_free(&w);
    }
    container_close(&container);
    return result;
}
