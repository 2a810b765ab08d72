#include "scheduler.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

struct number_word {
    const char *name;
    uint64_t value;
};

/* sched_setattr(2): glibc has no struct for it before 2.41. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static int find_word(const struct number_word *words, const char *name, uint64_t *value)
{
    for (; name && words->name; words++) {
        if (strcmp(words->name, name) == 0) {
            *value = words->value;
            return 0;
        }
    }
    return -1;
}

/* The kernel has one EINVAL for all that sched(7) asks of a deadline. */
static int explain_deadline(const struct json *scheduler, const struct scheduling *asked, struct fault *f)
{
    const struct {
        const char *name;
        uint64_t value;
        bool is_optional;
    } times[] = {
        {"runtime", asked->runtime, false}, {"deadline", asked->deadline, false}, {"period", asked->period, true}};
    const uint64_t least = 1024, most = UINT64_C(1) << 63;
    for (size_t i = 0; i < 3; i++) {
        if (!json_get(scheduler, times[i].name) && !times[i].is_optional)
            return fault_told(f, STAGE_CONFIG, EINVAL, "sched_setattr: `SCHED_DEADLINE` requires `%s`", times[i].name);
        if (!times[i].value && !times[i].is_optional)
            return fault_told(f, STAGE_CONFIG, EINVAL, "sched_setattr: `SCHED_DEADLINE` %s must be greater than 0",
                              times[i].name);
    }
    for (size_t i = 0; i < 2; i++)
        if (times[i].value > times[i + 1].value && (times[i + 1].value || !times[i + 1].is_optional))
            return fault_told(f, STAGE_CONFIG, EINVAL,
                              "sched_setattr: `SCHED_DEADLINE` %s (%" PRIu64 ") must be <= %s (%" PRIu64 ")",
                              times[i].name, times[i].value, times[i + 1].name, times[i + 1].value);
    for (size_t i = 0; i < 3; i++)
        if ((times[i].value || !times[i].is_optional) && (times[i].value < least || times[i].value > most))
            return fault_told(f, STAGE_CONFIG, EINVAL,
                              "sched_setattr: `SCHED_DEADLINE` %s (%" PRIu64 ") must be between %" PRIu64
                              " and %" PRIu64,
                              times[i].name, times[i].value, least, most);
    return fault_told(f, STAGE_CONFIG, EINVAL, "error setting scheduler: invalid argument");
}

static bool is_present(const struct json *section)
{
    return section && section->type == JSON_OBJECT;
}

/* What the kernel would take without a word, or refuse with only EINVAL: sched_setattr(2). */
static int check_scheduling(const struct scheduling *asked, const char *policy, struct fault *f)
{
    bool is_fair = asked->policy == SCHED_OTHER || asked->policy == SCHED_BATCH;
    bool is_realtime = asked->policy == SCHED_FIFO || asked->policy == SCHED_RR;
    if (is_fair && (asked->nice < -20 || asked->nice > 19))
        return fault_text(f, STAGE_CONFIG, "invalid scheduler.nice: %d when scheduler.policy is %s", asked->nice,
                          policy);
    if (asked->priority && !is_realtime)
        return fault_text(f, STAGE_CONFIG, "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    if (asked->policy != SCHED_DEADLINE && (asked->runtime || asked->deadline || asked->period))
        return fault_text(f, STAGE_CONFIG,
                          "scheduler runtime/deadline/period can only be specified for SchedDeadline policy");
    return 0;
}

static int parse_scheduler(const struct json *scheduler, struct scheduling *attributes, struct fault *f)
{
    static const struct number_word policies[] = {{"SCHED_OTHER", 0},    {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
                                                  {"SCHED_BATCH", 3},    {"SCHED_ISO", 4},  {"SCHED_IDLE", 5},
                                                  {"SCHED_DEADLINE", 6}, {NULL, 0}};
    static const struct number_word flags[] = {{"SCHED_FLAG_RESET_ON_FORK", 1},   {"SCHED_FLAG_RECLAIM", 2},
                                               {"SCHED_FLAG_DL_OVERRUN", 4},      {"SCHED_FLAG_KEEP_POLICY", 8},
                                               {"SCHED_FLAG_KEEP_PARAMS", 16},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 32},
                                               {"SCHED_FLAG_UTIL_CLAMP_MAX", 64}, {NULL, 0}};
    uint64_t policy = 0, flag = 0;
    int64_t nice = 0, priority = 0;
    *attributes = (struct scheduling){.size = sizeof *attributes};
    const char *name = json_string(scheduler, "policy");
    if (find_word(policies, name, &policy) < 0)
        return fault_text(f, STAGE_CONFIG, "invalid scheduler policy: %s", name ? name : "");
    if (json_int64(scheduler, "nice", &nice) < 0 || json_int64(scheduler, "priority", &priority) < 0 ||
        json_uint64(scheduler, "runtime", &attributes->runtime) < 0 ||
        json_uint64(scheduler, "deadline", &attributes->deadline) < 0 ||
        json_uint64(scheduler, "period", &attributes->period) < 0 || nice != (int32_t)nice ||
        priority != (int32_t)priority)
        return fault_text(f, STAGE_CONFIG, "scheduler: numbers must be integers");
    attributes->policy = (uint32_t)policy;
    attributes->nice = (int32_t)nice;
    attributes->priority = (uint32_t)priority;
    json_each(item, json_get(scheduler, "flags"))
    {
        if (find_word(flags, item->text, &flag) < 0)
            return fault_text(f, STAGE_CONFIG, "invalid scheduler flag: %s", item->text ? item->text : "");
        attributes->flags |= flag;
    }
    return check_scheduling(attributes, name, f);
}

static int apply_scheduler(const struct json *scheduler, struct fault *f)
{
    struct scheduling attributes;
    if (parse_scheduler(scheduler, &attributes, f) < 0)
        return -1;
    bool has_failed = syscall(SYS_sched_setattr, 0, &attributes, 0) < 0;
    if (has_failed && errno == EINVAL && attributes.policy == SCHED_DEADLINE)
        return explain_deadline(scheduler, &attributes, f);
    if (has_failed)
        return fault_errno(f, STAGE_CONFIG, "error setting scheduler");
    return 0;
}

static int parse_io_priority(const struct json *io, int *value, struct fault *f)
{
    static const struct number_word classes[] = {
        {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}, {NULL, 0}};
    uint64_t class = 0;
    int64_t priority = 0;
    const char *name = json_string(io, "class");
    if (find_word(classes, name, &class) < 0)
        return fault_text(f, STAGE_CONFIG, "invalid ioPriority.Class: \"%s\"", name ? name : "");
    if (json_int64(io, "priority", &priority) < 0 || priority < 0 || priority > 7)
        return fault_text(f, STAGE_CONFIG, "invalid ioPriority.Priority: %lld", (long long)priority);
    *value = (int)class << 13 | (int)priority;
    return 0;
}

static int apply_io_priority(const struct json *io, struct fault *f)
{
    const int who_process = 1; /* IOPRIO_WHO_PROCESS: ioprio_set(2) */
    int value;
    if (parse_io_priority(io, &value, f) < 0)
        return -1;
    if (syscall(SYS_ioprio_set, who_process, 0, value) < 0)
        return fault_errno(f, STAGE_CONFIG, "failed to set io priority");
    return 0;
}

static int parse_personality(const struct json *section, uint64_t *domain, struct fault *f)
{
    static const struct number_word domains[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}, {NULL, 0}};
    const char *name = json_string(section, "domain");
    if (json_get(section, "flags") && json_get(section, "flags")->count)
        return fault_text(f, STAGE_CONFIG, "additional flags for personality are not supported");
    if (find_word(domains, name, domain) < 0)
        return fault_text(f, STAGE_CONFIG, "invalid personality domain %s", name ? name : "");
    return 0;
}

static int apply_personality(const struct json *section, struct fault *f)
{
    uint64_t domain = 0;
    if (parse_personality(section, &domain, f) < 0)
        return -1;
    return personality(domain) < 0 ? fault_errno(f, STAGE_CONFIG, "set personality") : 0;
}

int scheduler_validate(const struct process_config *process, struct fault *f)
{
    struct scheduling attributes;
    int io = 0;
    if (is_present(process->scheduler) && parse_scheduler(process->scheduler, &attributes, f) < 0)
        return -1;
    return is_present(process->io_priority) ? parse_io_priority(process->io_priority, &io, f) : 0;
}

int personality_validate(const struct json *section, struct fault *f)
{
    uint64_t domain = 0;
    return is_present(section) ? parse_personality(section, &domain, f) : 0;
}

int scheduler_apply(const struct process_config *process, const struct config *config, struct fault *f)
{
    if (is_present(process->scheduler) && apply_scheduler(process->scheduler, f) < 0) {
        const char *cpus = json_string(json_get(config->resources, "cpu"), "cpus");
        /* SCHED_DEADLINE needs a process that may run everywhere: sched_setattr(2). */
        return f->error == EPERM && cpus && *cpus
                   ? fault_told(f, STAGE_CONFIG, EPERM, "process scheduler can't be used together with AllowedCPUs")
                   : -1;
    }
    if (is_present(process->io_priority) && apply_io_priority(process->io_priority, f) < 0)
        return -1;
    return is_present(config->personality) ? apply_personality(config->personality, f) : 0;
}

/* "0-3,7" */
static int parse_cpus(const char *text, cpu_set_t *set)
{
    CPU_ZERO(set);
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text)
            return -1;
        if (*end == '-') {
            const char *second = end + 1;
            last = strtoul(second, &end, 10);
            if (end == second)
                return -1;
        }
        if (last < first || last >= CPU_SETSIZE || (*end && *end != ','))
            return -1;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, set);
        text = *end ? end + 1 : end;
    }
    return 0;
}

int affinity_apply(const struct process_config *process, const char *moment, struct fault *f)
{
    const char *cpus = json_string(process->cpu_affinity, moment);
    cpu_set_t set;
    if (!cpus || !*cpus)
        return 0;
    if (parse_cpus(cpus, &set) < 0)
        return fault_text(f, STAGE_CONFIG, "bad CPU affinity: \"%s\"", cpus);
    return sched_setaffinity(0, sizeof set, &set) < 0 ? fault_errno(f, STAGE_CONFIG, "set CPU affinity %s", cpus) : 0;
}

/* The kernel keeps the CPUs that exist and that the cpuset allows, so all of CPU_SETSIZE may be asked for. */
void affinity_reset(void)
{
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all);
}

int affinity_settle(const struct process_config *process, struct fault *f)
{
    if (!json_get(process->cpu_affinity, "initial") && !json_get(process->cpu_affinity, "final"))
        affinity_reset();
    return affinity_apply(process, "final", f);
}
