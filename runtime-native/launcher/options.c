#include "options.h"

#include <string.h>

static const struct option_rule *find_rule(const struct option_rule *rules, const char *name, size_t length)
{
    for (const struct option_rule *rule = rules; rule->name; rule++) {
        if (strlen(rule->name) == length && strncmp(rule->name, name, length) == 0)
            return rule;
        if (rule->short_name && strlen(rule->short_name) == length && strncmp(rule->short_name, name, length) == 0)
            return rule;
    }
    return NULL;
}

static int set_flag(const struct option_rule *rule, const char *value, struct fault *f)
{
    bool *target = rule->target;
    if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
        *target = true;
    else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        *target = false;
    else
        return fault_text(f, STAGE_ARGUMENTS, "invalid boolean value \"%s\" for -%s", value, rule->name);
    return 0;
}

static int set_value(const struct option_rule *rule, const char *value, struct fault *f)
{
    if (rule->kind == OPTION_TEXT) {
        *(const char **)rule->target = value;
        return 0;
    }
    struct option_values *list = rule->target;
    if (list->count == MAX_OPTION_VALUES)
        return fault_text(f, STAGE_ARGUMENTS, "too many -%s", rule->name);
    list->items[list->count++] = value;
    return 0;
}

int options_parse(const struct option_rule *rules, int argc, char **argv, bool interspersed, struct fault *f)
{
    int words = 0;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            continue;
        }
        if (only_words || word[0] != '-' || word[1] == '\0') {
            argv[words++] = word;
            only_words = only_words || !interspersed;
            continue;
        }
        const char *name = word + (word[1] == '-' ? 2 : 1);
        size_t length = strcspn(name, "=");
        const char *value = name[length] == '=' ? name + length + 1 : NULL;
        const struct option_rule *rule = find_rule(rules, name, length);
        if (!rule)
            return fault_text(f, STAGE_ARGUMENTS, "flag provided but not defined: -%s", name);
        if (rule->kind == OPTION_FLAG) {
            if (set_flag(rule, value, f) < 0)
                return -1;
            continue;
        }
        if (!value && ++i < argc)
            value = argv[i];
        if (!value)
            return fault_text(f, STAGE_ARGUMENTS, "flag needs an argument: -%s", name);
        if (set_value(rule, value, f) < 0)
            return -1;
    }
    return words;
}

int check_words(const char *command, int count, int least, int most, struct fault *f)
{
    if (count >= least && (most < 0 || count <= most))
        return 0;
    if (least == most)
        return fault_text(f, STAGE_ARGUMENTS, "minirun: \"%s\" requires exactly %d argument(s)", command, least);
    if (count < least)
        return fault_text(f, STAGE_ARGUMENTS, "minirun: \"%s\" requires a minimum of %d argument(s)", command, least);
    return fault_text(f, STAGE_ARGUMENTS, "minirun: \"%s\" requires a maximum of %d argument(s)", command, most);
}
