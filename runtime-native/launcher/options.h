/* Command line flags in the forms that runc takes: --name value, --name=value, -name, -n; --help and -h print what
 * there is and exit. Parsing stops at the first word that is no flag, or, without `stops_at_word`, takes flags after
 * the container id too (`runc kill ID --all`). */
#ifndef MINIRUN_OPTIONS_H
#define MINIRUN_OPTIONS_H

#include "fault.h"

#include <stddef.h>

#define MAX_OPTION_VALUES 256

struct option_values {
    const char *items[MAX_OPTION_VALUES];
    size_t count;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_COUNT };

struct option_rule {
    const char *name, *short_name; /* without dashes; short_name may be NULL */
    enum option_kind kind;
    void *target;     /* bool *, const char **, struct option_values * or unsigned * */
    const char *help; /* NULL: taken for other callers' sake, and not shown */
};

#define OPTIONS_END                                                                                                    \
    {                                                                                                                  \
        NULL, NULL, OPTION_FLAG, NULL, NULL                                                                            \
    }

struct usage {
    const char *command, *words, *purpose;
    int least, most; /* how many words; most < 0: no limit */
    bool stops_at_word;
};

/* Positional words are moved to the front of argv; their number is returned, or -1. */
int options_parse(const struct usage *usage, const struct option_rule *rules, int argc, char **argv, struct fault *f);

/* "--name VALUE, -n" and the help of each rule. */
void options_print(const struct option_rule *rules);

#endif
