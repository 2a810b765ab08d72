#include "memory-policy.h"

#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In linux/mempolicy.h since 5.15 and 6.9. */
#define PREFERRED_MANY      5
#define WEIGHTED_INTERLEAVE 6
#define NUMA_BALANCING      (1 << 13)

#define MAX_NODES 1024 /* CONFIG_NODES_SHIFT is at most 10 */
#define WORD_BITS (8 * sizeof(unsigned long))

struct policy_word {
    const char *name;
    int value;
};

static int find_word(const struct policy_word *words, const char *name)
{
    for (; name && words->name; words++)
        if (strcmp(words->name, name) == 0)
            return words->value;
    return -1;
}

/* "0-3,7" */
static int parse_nodes(const char *text, unsigned long *mask)
{
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        bool is_valid = end != text;
        if (is_valid && *end == '-') {
            const char *second = end + 1;
            last = strtoul(second, &end, 10);
            is_valid = end != second;
        }
        if (!is_valid || last < first || last >= MAX_NODES || (*end && *end != ','))
            return -1;
        for (unsigned long node = first; node <= last; node++)
            mask[node / WORD_BITS] |= 1UL << node % WORD_BITS;
        text = *end ? end + 1 : end;
    }
    return 0;
}

static int check_nodes(int mode, const unsigned long *mask, struct fault *f)
{
    int count = 0;
    for (size_t i = 0; i < MAX_NODES / WORD_BITS; i++)
        count += __builtin_popcountl(mask[i]);
    if ((mode == MPOL_DEFAULT || mode == MPOL_LOCAL) && count)
        return fault_text(f, STAGE_CONFIG, "memory policy mode requires 0 nodes but got %d", count);
    if (mode != MPOL_DEFAULT && mode != MPOL_LOCAL && mode != MPOL_PREFERRED && !count)
        return fault_text(f, STAGE_CONFIG, "memory policy mode requires at least one node but got 0");
    return 0;
}

int memory_policy_apply(const struct json *section, struct fault *f)
{
    static const struct policy_word modes[] = {{"MPOL_DEFAULT", MPOL_DEFAULT},
                                               {"MPOL_PREFERRED", MPOL_PREFERRED},
                                               {"MPOL_BIND", MPOL_BIND},
                                               {"MPOL_INTERLEAVE", MPOL_INTERLEAVE},
                                               {"MPOL_LOCAL", MPOL_LOCAL},
                                               {"MPOL_PREFERRED_MANY", PREFERRED_MANY},
                                               {"MPOL_WEIGHTED_INTERLEAVE", WEIGHTED_INTERLEAVE},
                                               {NULL, 0}};
    static const struct policy_word flags[] = {{"MPOL_F_NUMA_BALANCING", NUMA_BALANCING},
                                               {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
                                               {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
                                               {NULL, 0}};
    if (!section || section->type != JSON_OBJECT)
        return 0;
    const char *name = json_string(section, "mode"), *nodes = json_string(section, "nodes");
    int mode = find_word(modes, name);
    if (mode < 0)
        return fault_text(f, STAGE_CONFIG, "invalid memory policy mode: %s", name ? name : "");
    int mode_flags = 0;
    json_each(item, json_get(section, "flags"))
    {
        int flag = item->type == JSON_STRING ? find_word(flags, item->text) : -1;
        if (flag < 0)
            return fault_text(f, STAGE_CONFIG, "invalid memory policy flag: %s", item->text ? item->text : "");
        mode_flags |= flag;
    }
    unsigned long mask[MAX_NODES / WORD_BITS] = {0};
    if (nodes && parse_nodes(nodes, mask) < 0)
        return fault_text(f, STAGE_CONFIG, "invalid memory policy nodes: %s", nodes);
    if (check_nodes(mode, mask, f) < 0)
        return -1;
    /* The kernel takes one bit less than it is told: set_mempolicy(2). */
    bool has_nodes = nodes && *nodes;
    if (syscall(SYS_set_mempolicy, mode | mode_flags, has_nodes ? mask : NULL, has_nodes ? MAX_NODES + 1UL : 0UL) < 0)
        return fault_errno(f, STAGE_CONFIG, "error setting memory policy %s", name);
    return 0;
}
