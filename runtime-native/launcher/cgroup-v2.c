/* linux.resources → files of the unified hierarchy, with v1's scales translated as runc and crun do. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup-resources.h"
#include "io.h"
#include "log.h"

/* Turns the controllers of a group on for its children. One that cannot be enabled (real-time tasks and "cpu", a
 * threaded parent) must not take the others with it, so each is written alone after the whole was refused. */
static void enable_in(int dir)
{
    AUTO_FREE char *available = read_file_at(dir, "cgroup.controllers", 4096, NULL);
    AUTO_FREE char *enabled = read_file_at(dir, "cgroup.subtree_control", 4096, NULL);
    /* Even a write that changes nothing waits for groups that are just dying. */
    if (!available || (enabled && strcmp(available, enabled) == 0))
        return;
    char all[4096] = "", *state = NULL;
    char *names[64];
    size_t count = 0;
    for (char *name = strtok_r(available, " \n", &state); name && count < 64; name = strtok_r(NULL, " \n", &state)) {
        names[count++] = name;
        size_t at = strlen(all);
        (void)snprintf(all + at, sizeof all - at, "%s+%s", at ? " " : "", name);
    }
    if (!count || write_file_at(dir, "cgroup.subtree_control", all) == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char one[128];
        (void)snprintf(one, sizeof one, "+%s", names[i]);
        if (write_file_at(dir, "cgroup.subtree_control", one) < 0)
            log_debug("cannot enable the %s controller: %s", names[i], error_text(errno));
    }
}

int cgroup_v2_enable_controllers(const struct cgroup_dir *dir, struct fault *f)
{
    char copy[PATH_MAX], *state = NULL;
    (void)snprintf(copy, sizeof copy, "%s", dir->path + strlen(dir->mountpoint));
    AUTO_CLOSE int here = open(dir->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0)
        return fault_errno(f, STAGE_CGROUP, "open %s", dir->mountpoint);
    for (char *name = strtok_r(copy, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        enable_in(here);
        int error = mkdirat(here, name, 0755) < 0 ? errno : 0;
        int next = openat(here, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(here);
        here = next;
        if (here < 0) {
            errno = error ? error : errno;
            return fault_errno(f, STAGE_CGROUP, "mkdir %s", dir->path);
        }
    }
    return 0;
}

static int put_limit(const struct cgroup_dir *dir, const char *file, long long value, struct fault *f)
{
    return value < 0 ? cgroup_put(dir, file, "max", f) : cgroup_put_number(dir, file, value, f);
}

/* v1 counts memory and swap together, v2 swap alone. What an update does not say stays as it was: the sum, too. */
static int put_swap(const struct cgroup_dir *dir, long long limit, long long both, struct fault *f)
{
    unsigned long long old_limit = ULLONG_MAX, old_swap = ULLONG_MAX;
    (void)cgroup_read_number(dir, "memory.max", &old_limit);
    (void)cgroup_read_number(dir, "memory.swap.max", &old_swap);
    if (both == 0 && limit > 0 && old_limit != ULLONG_MAX && old_swap != ULLONG_MAX)
        both = (long long)(old_limit + old_swap);
    if (both > 0 && limit == 0 && old_limit != ULLONG_MAX)
        limit = (long long)old_limit;
    if (both == 0)
        return limit == -1 && old_swap != ULLONG_MAX ? put_limit(dir, "memory.swap.max", -1, f) : 0;
    if (both > 0 && limit == 0)
        return fault_text(f, STAGE_CGROUP, "unable to set swap limit without memory limit");
    if (both > 0 && both < limit)
        return fault_text(f, STAGE_CGROUP, "memory+swap limit should be >= memory limit");
    long long swap = both > 0 && limit > 0 ? both - limit : both;
    /* A kernel that does not count swap has none to forbid, and none to allow. */
    if (swap <= 0 && !cgroup_has_file(dir, "memory.swap.max"))
        return 0;
    return put_limit(dir, "memory.swap.max", swap, f);
}

/* The kernel would take any limit and kill: checkBeforeUpdate asks to be refused instead. */
static int check_usage(const struct cgroup_dir *dir, long long limit, long long both, struct fault *f)
{
    unsigned long long usage = 0;
    if (cgroup_read_number(dir, "memory.current", &usage) < 0)
        return 0;
    if (both > 0 && (unsigned long long)both <= usage)
        return fault_text(f, STAGE_CGROUP, "rejecting memory+swap limit %lld <= usage %llu", both, usage);
    if (limit > 0 && (unsigned long long)limit <= usage)
        return fault_text(f, STAGE_CGROUP, "rejecting memory limit %lld <= usage %llu", limit, usage);
    return 0;
}

/* What v1 can and v2 cannot is named by v1's file, which is not there: that costs a line. */
static int put_memory_of_v1(const struct cgroup_dir *dir, const struct json *memory, struct fault *f)
{
    const struct json *swappiness = json_get(memory, "swappiness");
    if (json_bool(memory, "disableOOMKiller", false) && cgroup_put(dir, "memory.oom_control", "1", f) < 0)
        return -1;
    if (swappiness && cgroup_put(dir, "memory.swappiness", swappiness->text, f) < 0)
        return -1;
    return cgroup_put_member(dir, "memory.kmem.limit_in_bytes", memory, "kernel", f) < 0
               ? -1
               : cgroup_put_member(dir, "memory.kmem.tcp.limit_in_bytes", memory, "kernelTCP", f);
}

int cgroup_v2_memory(const struct cgroup_dir *dir, const struct json *memory, struct fault *f)
{
    int64_t limit = 0, both = 0, reservation = 0;
    if (json_int64(memory, "limit", &limit) < 0 || json_int64(memory, "swap", &both) < 0 ||
        json_int64(memory, "reservation", &reservation) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: memory limits must be integers");
    if (json_bool(memory, "checkBeforeUpdate", false) && check_usage(dir, limit, both, f) < 0)
        return -1;
    if ((limit || both) && put_swap(dir, limit, both, f) < 0)
        return -1;
    /* A sum of zero says nothing beside a limit (runc); alone it can only mean: no swap (crun). */
    bool forbids_swap = json_get(memory, "swap") && !both && !json_get(memory, "limit");
    if (forbids_swap && cgroup_has_file(dir, "memory.swap.max") && put_limit(dir, "memory.swap.max", 0, f) < 0)
        return -1;
    if (limit && put_limit(dir, "memory.max", limit, f) < 0)
        return -1;
    if (reservation && put_limit(dir, "memory.low", reservation, f) < 0)
        return -1;
    return put_memory_of_v1(dir, memory, f);
}

/* shares 2…262144 → weight 1…10000 through 1024 → 100: a quadratic in their logarithms, as runc 1.3 and crun 1.23. */
unsigned long long cgroup_v2_weight(unsigned long long shares)
{
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2((double)shares);
    return (unsigned long long)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

/* cpu.max is both numbers in one file: the one that is not said keeps its value. */
static int put_quota(const struct cgroup_dir *dir, long long quota, unsigned long long period, struct fault *f)
{
    char text[64], old_quota[32] = "max";
    unsigned long long old_period = 100000;
    AUTO_FREE char *now = quota && period ? NULL : read_file_at(dir->fd, "cpu.max", 64, NULL);
    if (now)
        (void)sscanf(now, "%31s %llu", old_quota, &old_period);
    if (quota)
        (void)snprintf(old_quota, sizeof old_quota, "%lld", quota);
    (void)snprintf(text, sizeof text, "%s %llu", quota < 0 ? "max" : old_quota, period ? period : old_period);
    return cgroup_put(dir, "cpu.max", text, f);
}

int cgroup_v2_cpu(const struct cgroup_dir *dir, const struct json *cpu, struct fault *f)
{
    uint64_t shares = 0, period = 0, burst = 0;
    int64_t quota = 0, idle = 0;
    int has_idle = json_int64(cpu, "idle", &idle), has_burst = json_uint64(cpu, "burst", &burst);
    if (has_idle < 0 || has_burst < 0 || json_uint64(cpu, "shares", &shares) < 0 ||
        json_uint64(cpu, "period", &period) < 0 || json_int64(cpu, "quota", &quota) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: cpu numbers must be integers");
    if (has_idle && cgroup_put_number(dir, "cpu.idle", idle, f) < 0)
        return -1;
    if (shares && cgroup_put_number(dir, "cpu.weight", (long long)cgroup_v2_weight(shares), f) < 0)
        return -1;
    /* A burst above the old quota is refused until the new one stands, a quota below the old burst until that is gone.
     */
    struct fault first = {0};
    int burst_result = has_burst ? cgroup_put_number(dir, "cpu.max.burst", (long long)burst, &first) : 0;
    if ((quota || period) && put_quota(dir, quota, period, f) < 0)
        return -1;
    if (burst_result < 0 && cgroup_put_number(dir, "cpu.max.burst", (long long)burst, f) < 0)
        return -1;
    return cgroup_put_member(dir, "cpu.rt_period_us", cpu, "realtimePeriod", f) < 0
               ? -1
               : cgroup_put_member(dir, "cpu.rt_runtime_us", cpu, "realtimeRuntime", f);
}

int cgroup_v2_cpuset(const struct cgroup_dir *dir, const struct json *cpu, struct fault *f)
{
    return cgroup_put(dir, "cpuset.cpus", json_string(cpu, "cpus"), f) < 0
               ? -1
               : cgroup_put(dir, "cpuset.mems", json_string(cpu, "mems"), f);
}

/* {"major":8,"minor":0,"<member>":n} → "8:0 <key>n"; a rate of zero takes a limit away. */
static int put_device(const struct cgroup_dir *dir, const char *file, const struct json *item, const char *member,
                      const char *key, struct fault *f)
{
    int64_t major = 0, minor = 0;
    uint64_t value = 0;
    char text[96], number[32] = "max";
    int found = json_uint64(item, member, &value);
    if (json_int64(item, "major", &major) < 0 || json_int64(item, "minor", &minor) < 0 || found < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources.blockIO: a device's numbers must be integers");
    if (value)
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)value);
    (void)snprintf(text, sizeof text, "%lld:%lld %s%s", (long long)major, (long long)minor, key, number);
    return found && (value || *key) ? cgroup_put(dir, file, text, f) : 0;
}

/* v1's weights go from 10 to 1000, which is bfq's scale too; those of io.weight to 10000. A bfq before 5.19 has no
 * weights for single devices, and shows just a number. */
static int put_weights(const struct cgroup_dir *dir, const struct json *io, struct fault *f)
{
    uint64_t weight = 0;
    if (json_uint64(io, "weight", &weight) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: the blockIO weight must be an integer");
    if (!weight && !json_get(io, "weightDevice"))
        return 0;
    AUTO_FREE char *bfq = read_file_at(dir->fd, "io.bfq.weight", 65536, NULL);
    bool has_device_weights = bfq && strchr(bfq, ' ');
    if (!bfq && weight && cgroup_put_number(dir, "io.weight", 1 + ((long long)weight - 10) * 9999 / 990, f) < 0)
        return -1;
    if (json_get(io, "weightDevice") && !has_device_weights)
        log_warning("this machine has no weights of devices in io.bfq.weight: weightDevice is not applied");
    if (bfq && weight && cgroup_put_number(dir, "io.bfq.weight", (long long)weight, f) < 0)
        return -1;
    json_each(item, has_device_weights ? json_get(io, "weightDevice") : NULL)
    {
        if (put_device(dir, "io.bfq.weight", item, "weight", "", f) < 0)
            return -1;
    }
    return 0;
}

int cgroup_v2_block_io(const struct cgroup_dir *dir, const struct json *io, struct fault *f)
{
    static const struct {
        const char *member, *key;
    } limits[] = {
        {"throttleReadBpsDevice", "rbps="},
        {"throttleWriteBpsDevice", "wbps="},
        {"throttleReadIOPSDevice", "riops="},
        {"throttleWriteIOPSDevice", "wiops="},
    };
    if (put_weights(dir, io, f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        json_each(item, json_get(io, limits[i].member))
        {
            if (put_device(dir, "io.max", item, "rate", limits[i].key, f) < 0)
                return -1;
        }
    return 0;
}

int cgroup_v2_hugepages(const struct cgroup_dir *dir, const struct json *limits, struct fault *f)
{
    return cgroup_put_hugepages(dir, limits, "max", f);
}

static int explain_unified(const struct cgroup_dir *dir, const char *key, struct fault *f)
{
    AUTO_FREE char *controllers = read_file_at(dir->fd, "cgroup.controllers", 4096, NULL);
    size_t length = strcspn(key, ".");
    char controller[64];
    (void)snprintf(controller, sizeof controller, "%.*s", (int)length, key);
    if (!key[length])
        return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" must be in the form CONTROLLER.PARAMETER", key);
    if (strcmp(controller, "cgroup") != 0 && controllers && !cgroup_is_listed(controllers, controller))
        return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" can't be set: controller \"%s\" not available", key,
                          controller);
    return fault_wrap(f, "unable to set unified resource \"%s\": ", key);
}

/* "unified" names the files themselves; a name with a slash would lead elsewhere. */
int cgroup_v2_unified(const struct cgroup_dir *dir, const struct json *unified, struct fault *f)
{
    json_each(item, unified)
    {
        if (strchr(item->key, '/'))
            return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" must be a file name (no slashes)", item->key);
        if (item->type != JSON_STRING)
            return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" must be a string", item->key);
        /* Several lines are several settings: io.max takes one device a write. */
        AUTO_FREE char *copy = strdup(item->text);
        char *state = NULL;
        if (!copy)
            return fault_errno(f, STAGE_CGROUP, "unified resource \"%s\"", item->key);
        for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
            if (cgroup_write(dir, item->key, line, f) < 0)
                return f->error == ENOENT || f->error == EACCES || f->error == EPERM
                           ? explain_unified(dir, item->key, f)
                           : fault_wrap(f, "unable to set unified resource \"%s\": ", item->key);
    }
    return 0;
}
