/* Bytes choose a profile and calls; the compiled filter must answer each call as a plain reading of the profile does.
 */
#include <errno.h>
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>

#include "../bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define ENTRIES    6U
#define NAMES      3U
#define CONDITIONS 4U

struct condition {
    unsigned argument, operator;
    uint64_t value, second;
};

struct entry {
    uint32_t action;
    const char *action_name, *names[NAMES];
    struct condition conditions[CONDITIONS];
    unsigned name_count, condition_count;
};

struct profile {
    uint32_t default_action;
    const char *default_name;
    bool wants[ABI_COUNT];
    struct entry entries[ENTRIES];
    unsigned count;
};

static const struct {
    const char *name;
    uint32_t action;
} actions[] = {
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO | EPERM},
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
};

static const char *const names[] = {"read",         "write",
                                    "ioctl",        "socket",
                                    "bind",         "socketcall",
                                    "semctl",       "ipc",
                                    "clone3",       "openat2",
                                    "no_such_call", "personality",
                                    "mmap2",        "arm_fadvise64_64",
                                    "exit",         "set_mempolicy_home_node"};
static const char *const operators[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                        "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
static const uint64_t values[] = {0, 1, 2, 4, 5, 0xffffffff, 0x100000000, 0x100000001, 0x200000000, UINT64_MAX};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct stream {
    const uint8_t *at, *end;
};

static unsigned choose(struct stream *s, size_t limit)
{
    return s->at < s->end ? (unsigned)(*s->at++ % limit) : 0;
}

static void choose_profile(struct stream *s, struct profile *profile)
{
    unsigned action = choose(s, COUNT(actions)), abis = choose(s, 1U << ABI_COUNT);
    *profile = (struct profile){.default_action = actions[action].action, .default_name = actions[action].name};
    for (unsigned abi = 0; abi < ABI_COUNT; abi++)
        profile->wants[abi] = abis & 1U << abi;
    profile->count = choose(s, ENTRIES + 1);
    for (unsigned i = 0; i < profile->count; i++) {
        struct entry *entry = &profile->entries[i];
        action = choose(s, COUNT(actions));
        entry->action = actions[action].action;
        entry->action_name = actions[action].name;
        entry->name_count = 1 + choose(s, NAMES);
        for (unsigned n = 0; n < entry->name_count; n++)
            entry->names[n] = names[choose(s, COUNT(names))];
        entry->condition_count = choose(s, CONDITIONS + 1);
        for (unsigned c = 0; c < entry->condition_count; c++)
            entry->conditions[c] =
                (struct condition){choose(s, 3), choose(s, COUNT(operators)), values[choose(s, COUNT(values))],
                                   values[choose(s, COUNT(values))]};
    }
}

static void put_number(struct json_writer *w, const char *key, uint64_t value)
{
    char text[24];
    struct json number = {.type = JSON_NUMBER, .text = text};
    number.length = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_put_json(w, key, &number);
}

static void write_entry(struct json_writer *w, const struct entry *entry)
{
    json_begin_object(w, NULL);
    json_put_string(w, "action", entry->action_name);
    json_begin_array(w, "names");
    for (unsigned i = 0; i < entry->name_count; i++)
        json_put_string(w, NULL, entry->names[i]);
    json_end_array(w);
    json_begin_array(w, "args");
    for (unsigned i = 0; i < entry->condition_count; i++) {
        json_begin_object(w, NULL);
        put_number(w, "index", entry->conditions[i].argument);
        json_put_string(w, "op", operators[entry->conditions[i].operator]);
        put_number(w, "value", entry->conditions[i].value);
        put_number(w, "valueTwo", entry->conditions[i].second);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void write_profile(struct json_writer *w, const struct profile *profile)
{
    static const char *const abis[ABI_COUNT] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
                                                "SCMP_ARCH_AARCH64"};
    json_begin_object(w, NULL);
    json_put_string(w, "defaultAction", profile->default_name);
    json_begin_array(w, "architectures");
    for (unsigned abi = 0; abi < ABI_COUNT; abi++)
        if (profile->wants[abi])
            json_put_string(w, NULL, abis[abi]);
    json_end_array(w);
    json_begin_array(w, "syscalls");
    for (unsigned i = 0; i < profile->count; i++)
        write_entry(w, &profile->entries[i]);
    json_end_array(w);
    json_end_object(w);
}

static bool holds(const struct condition *condition, const uint64_t *arguments, bool is_32bit)
{
    uint64_t mask = is_32bit ? UINT32_MAX : UINT64_MAX, argument = arguments[condition->argument] & mask;
    uint64_t value = condition->value & mask, second = condition->second & mask;
    switch (condition->operator) {
    case OP_NE:
        return argument != value;
    case OP_LT:
        return argument < value;
    case OP_LE:
        return argument <= value;
    case OP_EQ:
        return argument == value;
    case OP_GE:
        return argument >= value;
    case OP_GT:
        return argument > value;
    default:
        return (argument & value) == second;
    }
}

/* Over one argument twice: alternatives. Else all must hold. */
static bool entry_holds(const struct entry *entry, const uint64_t *arguments, bool is_32bit)
{
    bool are_alternatives = false, all = true, any = false;
    for (unsigned i = 0; i < entry->condition_count; i++) {
        for (unsigned j = 0; j < i; j++)
            are_alternatives = are_alternatives || entry->conditions[i].argument == entry->conditions[j].argument;
        bool this = holds(&entry->conditions[i], arguments, is_32bit);
        all = all && this;
        any = any || this;
    }
    return are_alternatives ? any : all;
}

/* The first unconditional entry that names the call, else the first whose conditions hold, else the default. */
static uint32_t answer(const struct profile *profile, enum syscall_abi abi, unsigned number, const uint64_t *arguments)
{
    int last = -1;
    bool is_decided = false, is_matched = false;
    uint32_t decided = 0, matched = 0;
    for (unsigned i = 0; i < profile->count; i++) {
        const struct entry *entry = &profile->entries[i];
        for (unsigned n = 0; n < entry->name_count; n++) {
            const struct syscall_numbers *call = syscall_find(entry->names[n]);
            const struct multiplexed_call *through = syscall_multiplexed(entry->names[n]);
            if (!call)
                continue;
            last = call->numbers[abi] > last ? call->numbers[abi] : last;
            bool is_plain = !entry->condition_count, is_this = call->numbers[abi] == (int)number;
            bool is_through = abi == ABI_I386 && through && is_plain && (uint32_t)arguments[0] == through->number &&
                              syscall_find(through->through)->numbers[abi] == (int)number;
            if (entry->action == profile->default_action)
                continue;
            if (is_this && is_plain && !is_decided) {
                is_decided = true;
                decided = entry->action;
            } else if (!is_matched &&
                       (is_through || (is_this && !is_plain && entry_holds(entry, arguments, abi == ABI_I386)))) {
                is_matched = true;
                matched = entry->action;
            }
        }
    }
    bool is_lax = profile->default_action == SECCOMP_RET_ALLOW || profile->default_action == SECCOMP_RET_LOG;
    if ((int)number > last && last >= 0 && !is_lax)
        return SECCOMP_RET_ERRNO | ENOSYS;
    return is_decided ? decided : is_matched ? matched : profile->default_action;
}

static void check_call(const struct profile *profile, const struct seccomp_filter *filter, struct stream *s)
{
    static const uint32_t audits[ABI_COUNT] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_X86_64,
                                               AUDIT_ARCH_AARCH64};
    enum syscall_abi abi = (enum syscall_abi)choose(s, ABI_COUNT);
    const struct syscall_numbers *call = syscall_find(names[choose(s, COUNT(names))]);
    int number = call && call->numbers[abi] >= 0 ? call->numbers[abi] : (int)choose(s, 256);
    struct seccomp_data data = {.arch = audits[abi]};
    for (unsigned i = 0; i < 3; i++)
        data.args[i] = values[choose(s, COUNT(values))] & (abi == ABI_I386 ? UINT32_MAX : UINT64_MAX);
    data.nr = abi == ABI_X32 ? (int)((unsigned)number | X32_BIT) : number;
    uint64_t arguments[6];
    memcpy(arguments, data.args, sizeof arguments);
    bool is_wanted = profile->wants[abi] || abi == ABI_X86_64; /* the native one always is */
    uint32_t wanted = is_wanted ? answer(profile, abi, (unsigned)number, arguments) : SECCOMP_RET_KILL_THREAD;
    uint32_t got = bpf_run(filter, &data);
    if (got == wanted)
        return;
    fprintf(stderr, "abi %d, call %d: %#x instead of %#x\n", (int)abi, number, got, wanted);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct stream s = {bytes, bytes + size};
    struct profile profile;
    struct fault f = {0};
    struct arena arena = {0};
    struct seccomp_filter filter;
    struct json_writer w = {0};
    choose_profile(&s, &profile);
    write_profile(&w, &profile);
    AUTO_JSON struct json_document *document = json_parse(w.text, w.length, &f);
    if (!document || seccomp_prepare(&arena, json_root(document), false, &filter, &f) < 0) {
        fprintf(stderr, "%s: %s\n", f.message, w.text);
        abort();
    }
    for (int i = 0; i < 8; i++)
        check_call(&profile, &filter, &s);
    json_writer_free(&w);
    arena_free(&arena);
    return 0;
}
