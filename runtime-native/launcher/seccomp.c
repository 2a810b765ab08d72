#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

#define FILTER_FILE "seccomp.bpf"

#if defined(__x86_64__)
#define NATIVE_ABI ABI_X86_64
#elif defined(__aarch64__)
#define NATIVE_ABI ABI_AARCH64
#else
#error "name this architecture's ABI in syscalls.h"
#endif

static int parse_action(const struct json *holder, const char *name, const char *errno_key, uint32_t errno_default,
                        uint32_t *action, struct fault *f)
{
    static const struct {
        const char *name;
        uint32_t action;
    } actions[] = {
        {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
        {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
        {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
        {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
        {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
        {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
        {"SCMP_ACT_LOG", SECCOMP_RET_LOG},
        {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF},
    };
    for (size_t i = 0; name && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, name) != 0)
            continue;
        *action = actions[i].action;
        if (*action != SECCOMP_RET_ERRNO && *action != SECCOMP_RET_TRACE)
            return 0;
        uint64_t value = errno_default;
        if (json_uint64(holder, errno_key, &value) < 0 || value > SECCOMP_RET_DATA)
            return fault_text(f, STAGE_SECCOMP, "seccomp: %s is no errno", errno_key);
        *action |= (uint32_t)value;
        return 0;
    }
    return fault_text(f, STAGE_SECCOMP, "string %s is not a valid action for seccomp", name ? name : "");
}

static int parse_condition(const struct json *json, struct seccomp_condition *condition, struct fault *f)
{
    static const char *const operators[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                            "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
    const char *name = json_string(json, "op");
    size_t op = 0;
    while (op < sizeof operators / sizeof operators[0] && (!name || strcmp(operators[op], name) != 0))
        op++;
    if (op == sizeof operators / sizeof operators[0])
        return fault_text(f, STAGE_SECCOMP, "string %s is not a valid operator for seccomp", name ? name : "");
    uint64_t index = 0, value = 0, second = 0;
    if (json_uint64(json, "index", &index) < 0 || json_uint64(json, "value", &value) < 0 ||
        json_uint64(json, "valueTwo", &second) < 0)
        return fault_text(f, STAGE_SECCOMP, "seccomp: the index and values of a condition are unsigned numbers");
    if (index > 5)
        return fault_text(f, STAGE_SECCOMP, "syscalls only have up to 6 arguments (%llu given)",
                          (unsigned long long)index);
    condition->argument = (unsigned)index;
    condition->operator=(enum seccomp_operator) op;
    condition->value = op == OP_MASKED_EQ ? second : value;
    condition->mask = op == OP_MASKED_EQ ? value : UINT64_MAX;
    return 0;
}

/* Rules over one argument twice are alternatives, others must all hold: libseccomp and runc since their beginnings. */
static int parse_rules(struct arena *arena, const struct json *args, uint32_t action, struct seccomp_rule **rules,
                       struct fault *f)
{
    struct seccomp_condition *conditions = arena_alloc(arena, args->count, sizeof *conditions);
    *rules = arena_alloc(arena, args->count, sizeof **rules);
    if (!conditions || !*rules)
        return fault_errno(f, STAGE_SECCOMP, "read seccomp");
    unsigned seen = 0;
    bool are_alternatives = false;
    size_t count = 0;
    json_each(item, args)
    {
        if (parse_condition(item, &conditions[count], f) < 0)
            return -1;
        are_alternatives = are_alternatives || seen & 1U << conditions[count].argument;
        seen |= 1U << conditions[count++].argument;
    }
    if (!are_alternatives) {
        (*rules)[0] = (struct seccomp_rule){.conditions = conditions, .condition_count = count, .action = action};
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        (*rules)[i] = (struct seccomp_rule){.conditions = &conditions[i],
                                            .condition_count = 1,
                                            .action = action,
                                            .next = i + 1 < count ? &(*rules)[i + 1] : NULL};
    return 0;
}

/* Adds a copy of the rules' chain to a call; an unconditional rule stands above all conditions. */
static int add_rules(struct arena *arena, struct seccomp_verdict *verdict, const struct seccomp_rule *rules,
                     uint32_t action, struct fault *f)
{
    if (verdict->is_decided)
        return 0;
    if (!rules) {
        *verdict = (struct seccomp_verdict){.action = action, .is_decided = true};
        return 0;
    }
    struct seccomp_rule *last = verdict->rules;
    while (last && last->next)
        last = (struct seccomp_rule *)(uintptr_t)last->next;
    for (const struct seccomp_rule *rule = rules; rule; rule = rule->next) {
        struct seccomp_rule *copy = arena_alloc(arena, 1, sizeof *copy);
        if (!copy)
            return fault_errno(f, STAGE_SECCOMP, "read seccomp");
        *copy = *rule;
        copy->next = NULL;
        if (last)
            last->next = copy;
        else
            verdict->rules = copy;
        last = copy;
    }
    return 0;
}

static int add_multiplexed(struct arena *arena, struct seccomp_policy *policy, const char *name, uint32_t action,
                           struct fault *f)
{
    const struct multiplexed_call *call = syscall_multiplexed(name);
    if (!call)
        return 0;
    short number = syscall_find(call->through)->numbers[ABI_I386];
    struct seccomp_condition *condition = arena_alloc(arena, 1, sizeof *condition);
    if (!condition)
        return fault_errno(f, STAGE_SECCOMP, "read seccomp");
    *condition = (struct seccomp_condition){.operator= OP_EQ, .value = call->number, .mask = UINT64_MAX};
    struct seccomp_rule rule = {.conditions = condition, .condition_count = 1, .action = action};
    return add_rules(arena, &policy->abis[ABI_I386].verdicts[number], &rule, action, f);
}

static int add_call(struct arena *arena, struct seccomp_policy *policy, const char *name,
                    const struct seccomp_rule *rules, uint32_t action, struct fault *f)
{
    const struct syscall_numbers *call = syscall_find(name);
    if (!call && policy->is_strict)
        return fault_text(f, STAGE_SECCOMP, "unknown seccomp syscall \"%s\"", name);
    if (!call) {
        log_debug("unknown seccomp syscall \"%s\" ignored", name);
        return 0;
    }
    for (int abi = 0; abi < ABI_COUNT; abi++) {
        int number = call->numbers[abi];
        if (!policy->abis[abi].is_wanted || number < 0)
            continue;
        if (number > policy->abis[abi].last)
            policy->abis[abi].last = number;
        if (action != policy->default_action && /* the rule says nothing new */
            add_rules(arena, &policy->abis[abi].verdicts[number], rules, action, f) < 0)
            return -1;
    }
    if (policy->abis[ABI_I386].is_wanted && !rules && action != policy->default_action)
        return add_multiplexed(arena, policy, name, action, f);
    return 0;
}

static int parse_call(struct arena *arena, struct seccomp_policy *policy, const struct json *entry, struct fault *f)
{
    uint32_t action;
    if (parse_action(entry, json_string(entry, "action"), "errnoRet", EPERM, &action, f) < 0)
        return -1;
    policy->notifies = policy->notifies || action == SECCOMP_RET_USER_NOTIF;
    const struct json *args = json_get(entry, "args");
    struct seccomp_rule *rules = NULL;
    if (args && args->count && parse_rules(arena, args, action, &rules, f) < 0)
        return -1;
    json_each(name, json_get(entry, "names"))
    {
        if (name->type != JSON_STRING || !name->length)
            return fault_text(f, STAGE_SECCOMP, "empty string is not a valid syscall");
        /* The listener's descriptor is reported with write(2) after the filter is in force. */
        if (action == SECCOMP_RET_USER_NOTIF && strcmp(name->text, "write") == 0)
            return fault_text(f, STAGE_SECCOMP, "SCMP_ACT_NOTIFY cannot be used for the write syscall");
        if (add_call(arena, policy, name->text, rules, action, f) < 0)
            return -1;
    }
    return 0;
}

static int parse_architectures(struct seccomp_policy *policy, const struct json *architectures, struct fault *f)
{
    static const struct {
        const char *name;
        int abi; /* -1: known to the spec, but this filter never sees it on our machines */
    } names[] = {
        {"SCMP_ARCH_NATIVE", NATIVE_ABI},
        {"SCMP_ARCH_X86_64", ABI_X86_64},
        {"SCMP_ARCH_X86", ABI_I386},
        {"SCMP_ARCH_X32", ABI_X32},
        {"SCMP_ARCH_AARCH64", ABI_AARCH64},
        {"SCMP_ARCH_ARM", -1},
        {"SCMP_ARCH_MIPS", -1},
        {"SCMP_ARCH_MIPS64", -1},
        {"SCMP_ARCH_MIPS64N32", -1},
        {"SCMP_ARCH_MIPSEL", -1},
        {"SCMP_ARCH_MIPSEL64", -1},
        {"SCMP_ARCH_MIPSEL64N32", -1},
        {"SCMP_ARCH_PPC", -1},
        {"SCMP_ARCH_PPC64", -1},
        {"SCMP_ARCH_PPC64LE", -1},
        {"SCMP_ARCH_S390", -1},
        {"SCMP_ARCH_S390X", -1},
        {"SCMP_ARCH_PARISC", -1},
        {"SCMP_ARCH_PARISC64", -1},
        {"SCMP_ARCH_RISCV64", -1},
        {"SCMP_ARCH_LOONGARCH64", -1},
        {"SCMP_ARCH_M68K", -1},
        {"SCMP_ARCH_SH", -1},
        {"SCMP_ARCH_SHEB", -1},
    };
    policy->abis[NATIVE_ABI].is_wanted = true;
    json_each(item, architectures)
    {
        size_t i = 0;
        while (i < sizeof names / sizeof names[0] && (!item->text || strcmp(names[i].name, item->text) != 0))
            i++;
        if (i == sizeof names / sizeof names[0])
            return fault_text(f, STAGE_SECCOMP, "string %s is not a valid arch for seccomp",
                              item->text ? item->text : "");
        if (names[i].abi >= 0)
            policy->abis[names[i].abi].is_wanted = true;
    }
    return 0;
}

static int parse_flags(const struct json *profile, struct seccomp_filter *filter, struct fault *f)
{
    const struct json *flags = json_get(profile, "flags");
    if (!flags || flags->type != JSON_ARRAY) {
        filter->flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* runc's default since 1.1: no slow-down by spectre guards */
        return 0;
    }
    json_each(item, flags)
    {
        const char *name = item->text ? item->text : "";
        if (strcmp(name, "SECCOMP_FILTER_FLAG_LOG") == 0)
            filter->flags |= SECCOMP_FILTER_FLAG_LOG;
        else if (strcmp(name, "SECCOMP_FILTER_FLAG_SPEC_ALLOW") == 0)
            filter->flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        else if (strcmp(name, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0)
            filter->flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        else if (strcmp(name, "SECCOMP_FILTER_FLAG_TSYNC") != 0) /* one thread: nothing to synchronise */
            return fault_text(f, STAGE_SECCOMP, "seccomp flag %s is not known to runc", name);
    }
    return 0;
}

static int read_policy(struct arena *arena, const struct json *profile, struct seccomp_policy *policy, struct fault *f)
{
    if (parse_action(profile, json_string(profile, "defaultAction"), "defaultErrnoRet", EPERM, &policy->default_action,
                     f) < 0)
        return -1;
    uint32_t kind = policy->default_action & SECCOMP_RET_ACTION_FULL;
    if (kind == SECCOMP_RET_USER_NOTIF)
        return fault_text(f, STAGE_SECCOMP, "SCMP_ACT_NOTIFY cannot be used as default action");
    policy->answers_enosys = kind != SECCOMP_RET_ALLOW && kind != SECCOMP_RET_LOG && kind != SECCOMP_RET_TRACE;
    if (parse_architectures(policy, json_get(profile, "architectures"), f) < 0)
        return -1;
    for (int abi = 0; abi < ABI_COUNT; abi++) {
        policy->abis[abi].last = -1;
        for (int number = 0; number < SYSCALL_LIMIT; number++)
            policy->abis[abi].verdicts[number].action = policy->default_action;
    }
    json_each(entry, json_get(profile, "syscalls"))
    {
        if (parse_call(arena, policy, entry, f) < 0)
            return -1;
    }
    return 0;
}

int seccomp_prepare(struct arena *arena, const struct json *profile, bool is_strict, struct seccomp_filter *filter,
                    struct fault *f)
{
    *filter = (struct seccomp_filter){0};
    if (!profile || profile->type != JSON_OBJECT)
        return 0;
    /* A profile that allows everything and names nothing is no profile. */
    AUTO_FREE struct seccomp_policy *policy = calloc(1, sizeof *policy);
    if (!policy)
        return fault_errno(f, STAGE_SECCOMP, "read seccomp");
    policy->is_strict = is_strict;
    if (read_policy(arena, profile, policy, f) < 0 || parse_flags(profile, filter, f) < 0)
        return -1;
    filter->listener_path = json_string(profile, "listenerPath");
    /* Without a rule that notifies, who listens still gets a descriptor (crun); that nobody listens is no fault (runc).
     */
    filter->notifies = policy->notifies || (filter->listener_path && access(filter->listener_path, F_OK) == 0);
    filter->listener_metadata = json_string(profile, "listenerMetadata");
    if (policy->notifies && (!filter->listener_path || !*filter->listener_path))
        return fault_text(f, STAGE_SECCOMP, "seccomp listenerPath is not set");
    if (filter->notifies)
        filter->flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else
        filter->flags &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; /* EINVAL without a listener: seccomp(2) */
    log_debug("seccomp filter flags: %u", filter->flags);
    return seccomp_compile(arena, policy, filter, f);
}

int seccomp_install(const struct seccomp_filter *filter, int *listener, struct fault *f)
{
    if (!filter->length)
        return 0;
    struct sock_fprog program = {.len = filter->length, .filter = filter->code};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program);
    if (result < 0)
        return fault_errno(f, STAGE_SECCOMP, "unable to init seccomp: error loading seccomp filter into kernel");
    if (filter->notifies)
        *listener = (int)result;
    return 0;
}

/* The head of FILTER_FILE; both texts and the code follow. */
struct saved_filter {
    uint32_t flags, notifies, path_size, metadata_size;
};

int seccomp_save(const struct seccomp_filter *filter, int dir, struct fault *f)
{
    if (!filter->length)
        return 0;
    AUTO_CLOSE int fd = openat(dir, FILTER_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    const char *path = filter->listener_path ? filter->listener_path : "",
               *metadata = filter->listener_metadata ? filter->listener_metadata : "";
    struct saved_filter saved = {.flags = filter->flags,
                                 .notifies = filter->notifies,
                                 .path_size = (uint32_t)strlen(path) + 1,
                                 .metadata_size = (uint32_t)strlen(metadata) + 1};
    if (fd < 0 || write_all(fd, &saved, sizeof saved) < 0 || write_all(fd, path, saved.path_size) < 0 ||
        write_all(fd, metadata, saved.metadata_size) < 0 ||
        write_all(fd, filter->code, filter->length * sizeof *filter->code) < 0)
        return fault_errno(f, STAGE_SECCOMP, "write " FILTER_FILE);
    return 0;
}

int seccomp_load(struct arena *arena, int dir, struct seccomp_filter *filter, struct fault *f)
{
    *filter = (struct seccomp_filter){0};
    size_t size = 0;
    AUTO_FREE char *bytes = read_file_at(dir, FILTER_FILE, 1024 * 1024, &size);
    if (!bytes)
        return errno == ENOENT ? 0 : fault_errno(f, STAGE_SECCOMP, "read " FILTER_FILE);
    struct saved_filter saved = {0};
    if (size >= sizeof saved)
        memcpy(&saved, bytes, sizeof saved);
    size_t before = sizeof saved + (size_t)saved.path_size + saved.metadata_size, code_size = size - before;
    if (!saved.path_size || !saved.metadata_size || before > size || code_size % sizeof *filter->code ||
        code_size / sizeof *filter->code > BPF_MAXINSNS)
        return fault_text(f, STAGE_SECCOMP, FILTER_FILE " is damaged");
    filter->code = arena_alloc(arena, code_size, 1);
    const char *path = bytes + sizeof saved;
    filter->listener_path = arena_format(arena, "%.*s", (int)saved.path_size - 1, path);
    filter->listener_metadata = arena_format(arena, "%.*s", (int)saved.metadata_size - 1, path + saved.path_size);
    if (!filter->code || !filter->listener_path || !filter->listener_metadata)
        return fault_errno(f, STAGE_SECCOMP, "read " FILTER_FILE);
    memcpy(filter->code, bytes + before, code_size);
    filter->flags = saved.flags;
    filter->notifies = saved.notifies;
    filter->length = (unsigned short)(code_size / sizeof *filter->code);
    return 0;
}
