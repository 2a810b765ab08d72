#include "options.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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
        return fault_text(f, STAGE_ARGUMENTS, "invalid boolean value \"%s\" for -%s: parse error", value, rule->name);
    return 0;
}

static int set_count(const struct option_rule *rule, const char *value, struct fault *f)
{
    char *end;
    unsigned long count = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || count > UINT16_MAX)
        return fault_text(f, STAGE_ARGUMENTS, "invalid value \"%s\" for flag -%s: parse error", value, rule->name);
    *(unsigned *)rule->target = (unsigned)count;
    return 0;
}

static int set_value(const struct option_rule *rule, const char *value, struct fault *f)
{
    if (rule->kind == OPTION_TEXT) {
        *(const char **)rule->target = value;
        return 0;
    }
    if (rule->kind == OPTION_COUNT)
        return set_count(rule, value, f);
    struct option_values *list = rule->target;
    if (list->count == MAX_OPTION_VALUES)
        return fault_text(f, STAGE_ARGUMENTS, "too many -%s", rule->name);
    list->items[list->count++] = value;
    return 0;
}

void options_print(const struct option_rule *rules)
{
    for (const struct option_rule *rule = rules; rule->name; rule++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s%s", rule->name, rule->short_name ? ", -" : "",
                       rule->short_name ? rule->short_name : "", rule->kind == OPTION_FLAG ? "" : " VALUE");
        if (rule->help)
            (void)printf("  %-29s %s\n", left, rule->help);
    }
    (void)printf("  %-29s %s\n", "--help, -h", "show this");
}

static void print_usage_and_exit(const struct usage *usage, const struct option_rule *rules) __attribute__((noreturn));
static void print_usage_and_exit(const struct usage *usage, const struct option_rule *rules)
{
    (void)printf("Usage: minirun %s [flags] %s\n\n%s\n\nFlags:\n", usage->command, usage->words, usage->purpose);
    options_print(rules);
    exit(fflush(stdout) == 0 ? 0 : 1);
}

static int check_words(const struct usage *usage, int count, struct fault *f)
{
    if (count >= usage->least && (usage->most < 0 || count <= usage->most))
        return count;
    const char *how = usage->least == usage->most ? "exactly" : count < usage->least ? "a minimum of" : "a maximum of";
    return fault_text(f, STAGE_ARGUMENTS, "minirun: \"%s\" requires %s %d argument(s)", usage->command, how,
                      count < usage->least ? usage->least : usage->most);
}

/* How many of argv's words this flag takes, or -1. */
static int parse_flag(const struct usage *usage, const struct option_rule *rules, char **argv, struct fault *f)
{
    const char *name = argv[0] + (argv[0][1] == '-' ? 2 : 1);
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct option_rule *rule = find_rule(rules, name, length);
    if (!rule && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0))
        print_usage_and_exit(usage, rules);
    if (!rule)
        return fault_text(f, STAGE_ARGUMENTS, "flag provided but not defined: -%s", name);
    if (rule->kind == OPTION_FLAG)
        return set_flag(rule, value, f) < 0 ? -1 : 1;
    if (!value && !argv[1])
        return fault_text(f, STAGE_ARGUMENTS, "flag needs an argument: -%s", name);
    if (set_value(rule, value ? value : argv[1], f) < 0)
        return -1;
    return value ? 1 : 2;
}

int options_parse(const struct usage *usage, const struct option_rule *rules, int argc, char **argv, struct fault *f)
{
    int words = 0;
    bool only_words = false;
    for (int i = 0; i < argc;) {
        char *word = argv[i];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            i++;
        } else if (only_words || word[0] != '-' || word[1] == '\0') {
            argv[words++] = word;
            only_words = only_words || usage->stops_at_word;
            i++;
        } else {
            int taken = parse_flag(usage, rules, argv + i, f);
            if (taken < 0)
                return -1;
            i += taken;
        }
    }
    if (words < argc)
        argv[words] = NULL; /* what was moved to the front is not read again */
    return check_words(usage, words, f);
}
