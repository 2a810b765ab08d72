#include "rlimits.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

static const struct {
    const char *name;
    int resource;
} known[] = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME},
};

static int resource_of(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (name && strcmp(known[i].name, name) == 0)
            return known[i].resource;
    return -1;
}

int rlimits_parse(struct arena *arena, struct process_config *process, const struct json *array, struct fault *f)
{
    size_t count = array ? array->count : 0;
    process->rlimits = arena_alloc(arena, count + 1, sizeof *process->rlimits);
    if (!process->rlimits)
        return fault_errno(f, STAGE_CONFIG, "read rlimits");
    json_each(item, array)
    {
        struct rlimit_request *request = &process->rlimits[process->rlimit_count];
        uint64_t soft = 0, hard = 0;
        request->name = json_string(item, "type");
        request->resource = resource_of(request->name);
        if (request->resource < 0)
            return fault_text(f, STAGE_RLIMIT, "wrong rlimit value: %s", request->name ? request->name : "");
        for (size_t i = 0; i < process->rlimit_count; i++)
            if (process->rlimits[i].resource == request->resource)
                return fault_text(f, STAGE_RLIMIT, "duplicated rlimit type: %s", request->name);
        if (json_uint64(item, "soft", &soft) < 0 || json_uint64(item, "hard", &hard) < 0)
            return fault_text(f, STAGE_RLIMIT, "%s: limits are unsigned 64 bit numbers", request->name);
        request->limit = (struct rlimit){.rlim_cur = soft, .rlim_max = hard};
        process->rlimit_count++;
    }
    return 0;
}

/* prlimit(2) by its number: each libc has a type of its own for the resource. */
static int set_limit(pid_t pid, int resource, const struct rlimit *new, struct rlimit *old)
{
    return (int)syscall(SYS_prlimit64, pid, resource, new, old);
}

static int apply_within_reach(pid_t pid, const struct rlimit_request *request, struct fault *f)
{
    struct rlimit now, want = request->limit;
    if (set_limit(pid, request->resource, NULL, &now) < 0)
        return fault_errno(f, STAGE_RLIMIT, "error setting rlimit type %d", request->resource);
    if (want.rlim_max > now.rlim_max)
        want.rlim_max = now.rlim_max;
    if (want.rlim_cur > want.rlim_max)
        want.rlim_cur = want.rlim_max;
    if (set_limit(pid, request->resource, &want, NULL) < 0)
        return fault_errno(f, STAGE_RLIMIT, "error setting rlimit type %d", request->resource);
    log_warning("%s: no CAP_SYS_RESOURCE to raise the hard limit from %llu to %llu; kept at %llu", request->name,
                (unsigned long long)now.rlim_max, (unsigned long long)request->limit.rlim_max,
                (unsigned long long)want.rlim_max);
    return 0;
}

int rlimits_apply(pid_t pid, const struct process_config *process, struct fault *f)
{
    for (size_t i = 0; i < process->rlimit_count; i++) {
        const struct rlimit_request *request = &process->rlimits[i];
        if (set_limit(pid, request->resource, &request->limit, NULL) == 0)
            continue;
        if (errno != EPERM)
            return fault_errno(f, STAGE_RLIMIT, "error setting rlimit type %d", request->resource);
        if (apply_within_reach(pid, request, f) < 0)
            return -1;
    }
    return 0;
}
