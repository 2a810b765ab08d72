/* Command line flags in the forms that runc takes: --name value, --name=value, -name, -n. Parsing stops at the first
 * word that is no flag, or, with `interspersed`, takes flags after the container id too (`runc kill ID --all`). */
#ifndef MINIRUN_OPTIONS_H
#define MINIRUN_OPTIONS_H

#include "fault.h"

#include <stddef.h>

#define MAX_OPTION_VALUES 256

struct option_values {
    const char *items[MAX_OPTION_VALUES];
    size_t count;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST };

struct option_rule {
    const char *name, *short_name; /* without dashes; short_name may be NULL */
    enum option_kind kind;
    void *target; /* bool *, const char ** or struct option_values * */
};

/* Positional words are moved to the front of argv; their number is returned, or -1. */
int options_parse(const struct option_rule *rules, int argc, char **argv, bool interspersed, struct fault *f);

/* Refuses any other number of words, in runc's words; most < 0: no limit. */
int check_words(const char *command, int count, int least, int most, struct fault *f);

#endif
