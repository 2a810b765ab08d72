/* linux.resources → files of the unified hierarchy, with v1's scales translated as runc and crun do. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"
#include "log.h"

/* Turns the controllers of a group on for its children, level by level. One that cannot be enabled (real-time tasks and
 * "cpu", a threaded parent) must not take the others with it, so each is written alone after the whole was refused. */
static void enable_in(int dir)
{
    AUTO_FREE char *available = read_file_at(dir, "cgroup.controllers", 4096, NULL);
    if (!available)
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

int cgroup_v2_enable_controllers(const char *mountpoint, const char *path, struct fault *f)
{
    char copy[PATH_MAX], *state = NULL;
    (void)snprintf(copy, sizeof copy, "%s", path + strlen(mountpoint));
    AUTO_CLOSE int here = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (here < 0)
        return fault_errno(f, STAGE_CGROUP, "open %s", mountpoint);
    for (char *name = strtok_r(copy, "/", &state); name; name = strtok_r(NULL, "/", &state)) {
        enable_in(here);
        if (mkdirat(here, name, 0755) < 0 && errno != EEXIST)
            return fault_errno(f, STAGE_CGROUP, "mkdir %s", path);
        int next = openat(here, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(here);
        here = next;
        if (here < 0)
            return fault_errno(f, STAGE_CGROUP, "open %s", path);
    }
    return 0;
}

static int put(const struct cgroup *cgroup, const char *file, const char *value, struct fault *f)
{
    const struct cgroup_dir *dir = cgroup_unified(cgroup);
    if (!cgroup_has_file(dir, file)) {
        log_warning("no cgroup setting %s on this machine: \"%s\" is not applied", file, value);
        return 0;
    }
    if (cgroup_write(dir, file, value, f) == 0)
        return 0;
    if (cgroup->is_rootless && (f->error == EACCES || f->error == EPERM)) {
        log_warning("%s: permission denied: \"%s\" is not applied", file, value);
        return 0;
    }
    return -1;
}

static int put_limit(const struct cgroup *cgroup, const char *file, int64_t value, struct fault *f)
{
    char text[32] = "max";
    if (value >= 0)
        (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return put(cgroup, file, text, f);
}

/* v1 counts memory and swap together, v2 swap alone. */
static int apply_memory(const struct cgroup *cgroup, const struct json *memory, struct fault *f)
{
    int64_t limit = 0, both = 0, reservation = 0;
    if (json_int64(memory, "limit", &limit) < 0 || json_int64(memory, "swap", &both) < 0 ||
        json_int64(memory, "reservation", &reservation) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: memory limits must be integers");
    if (both == 0 && limit == -1)
        both = -1;
    if (both > 0 && limit <= 0)
        return fault_text(f, STAGE_CGROUP, "unable to set swap limit without memory limit");
    if (both > 0 && both < limit)
        return fault_text(f, STAGE_CGROUP, "memory+swap limit should be >= memory limit");
    if (both && put_limit(cgroup, "memory.swap.max", both < 0 ? -1 : both - limit, f) < 0)
        return -1;
    if (limit && put_limit(cgroup, "memory.max", limit, f) < 0)
        return -1;
    return reservation ? put_limit(cgroup, "memory.low", reservation, f) : 0;
}

/* shares 2…262144 → weight 1…10000, straight. */
static unsigned long long weight_of_shares(uint64_t shares)
{
    if (shares < 2)
        shares = 2;
    if (shares > 262144)
        shares = 262144;
    return 1 + (shares - 2) * 9999 / 262142;
}

static int apply_cpu(const struct cgroup *cgroup, const struct json *cpu, struct fault *f)
{
    uint64_t shares = 0, period = 0, burst = 0;
    int64_t quota = 0, idle = 0;
    if (json_uint64(cpu, "shares", &shares) < 0 || json_uint64(cpu, "period", &period) < 0 ||
        json_int64(cpu, "quota", &quota) < 0 || json_uint64(cpu, "burst", &burst) < 0 ||
        json_int64(cpu, "idle", &idle) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: cpu numbers must be integers");
    if (idle && put_limit(cgroup, "cpu.idle", idle, f) < 0)
        return -1;
    if (shares && put_limit(cgroup, "cpu.weight", (int64_t)weight_of_shares(shares), f) < 0)
        return -1;
    if (quota || period) {
        char text[64], maximum[32] = "max";
        if (quota > 0)
            (void)snprintf(maximum, sizeof maximum, "%lld", (long long)quota);
        (void)snprintf(text, sizeof text, "%s %llu", maximum, (unsigned long long)(period ? period : 100000));
        if (put(cgroup, "cpu.max", text, f) < 0)
            return -1;
    }
    if (burst && put_limit(cgroup, "cpu.max.burst", (int64_t)burst, f) < 0)
        return -1;
    const char *cpus = json_string(cpu, "cpus"), *mems = json_string(cpu, "mems");
    if (cpus && *cpus && put(cgroup, "cpuset.cpus", cpus, f) < 0)
        return -1;
    return mems && *mems ? put(cgroup, "cpuset.mems", mems, f) : 0;
}

static int put_device(const struct cgroup *cgroup, const char *file, const struct json *item, const char *key,
                      const char *format_key, struct fault *f)
{
    int64_t major = 0, minor = 0;
    uint64_t value = 0;
    if (json_int64(item, "major", &major) < 0 || json_int64(item, "minor", &minor) < 0 ||
        json_uint64(item, key, &value) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: a device's numbers must be integers");
    char text[128];
    (void)snprintf(text, sizeof text, "%lld:%lld %s%llu", (long long)major, (long long)minor, format_key,
                   (unsigned long long)value);
    return put(cgroup, file, text, f);
}

static int apply_io(const struct cgroup *cgroup, const struct json *io, struct fault *f)
{
    static const struct {
        const char *member, *key;
    } limits[] = {
        {"throttleReadBpsDevice", "rbps="},
        {"throttleWriteBpsDevice", "wbps="},
        {"throttleReadIOPSDevice", "riops="},
        {"throttleWriteIOPSDevice", "wiops="},
    };
    uint64_t weight = 0;
    bool has_bfq = cgroup_has_file(cgroup_unified(cgroup), "io.bfq.weight");
    if (json_uint64(io, "weight", &weight) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: the blockIO weight must be an integer");
    /* 10…1000 of v1 is bfq's own scale; io.weight goes to 10000. */
    if (weight && put_limit(cgroup, has_bfq ? "io.bfq.weight" : "io.weight",
                            has_bfq ? (int64_t)weight : (int64_t)(1 + (weight - 10) * 9999 / 990), f) < 0)
        return -1;
    json_each(item, json_get(io, "weightDevice"))
    {
        if (put_device(cgroup, has_bfq ? "io.bfq.weight" : "io.weight", item, "weight", "", f) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        json_each(item, json_get(io, limits[i].member))
        {
            if (put_device(cgroup, "io.max", item, "rate", limits[i].key, f) < 0)
                return -1;
        }
    return 0;
}

static int apply_hugepages(const struct cgroup *cgroup, const struct json *limits, struct fault *f)
{
    json_each(item, limits)
    {
        const char *size = json_string(item, "pageSize");
        uint64_t limit = 0;
        char file[96];
        if (!size || strchr(size, '/') || json_uint64(item, "limit", &limit) < 0)
            return fault_text(f, STAGE_CGROUP, "resources: hugepageLimits need a pageSize and a limit");
        (void)snprintf(file, sizeof file, "hugetlb.%s.max", size);
        if (put_limit(cgroup, file, (int64_t)limit, f) < 0)
            return -1;
        (void)snprintf(file, sizeof file, "hugetlb.%s.rsvd.max", size);
        if (cgroup_has_file(cgroup_unified(cgroup), file) && put_limit(cgroup, file, (int64_t)limit, f) < 0)
            return -1;
    }
    return 0;
}

/* "unified" names the files themselves; a name with a slash would lead elsewhere. */
static int apply_unified(const struct cgroup *cgroup, const struct json *unified, struct fault *f)
{
    json_each(item, unified)
    {
        if (strchr(item->key, '/'))
            return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" must be a file name (no slashes)", item->key);
        if (!cgroup_has_file(cgroup_unified(cgroup), item->key))
            return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" can't be set: no such file", item->key);
        if (item->type != JSON_STRING)
            return fault_text(f, STAGE_CGROUP, "unified resource \"%s\" must be a string", item->key);
        /* Several lines are several settings: io.max takes one device a write. */
        char copy[4096], *state = NULL;
        (void)snprintf(copy, sizeof copy, "%s", item->text);
        for (char *line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
            if (put(cgroup, item->key, line, f) < 0)
                return -1;
    }
    return 0;
}

int cgroup_v2_apply(const struct cgroup *cgroup, const struct json *resources, struct fault *f)
{
    const struct cgroup_dir *dir = cgroup_unified(cgroup);
    if (!dir || dir->fd < 0)
        return 0;
    int64_t pids = 0;
    if (json_int64(json_get(resources, "pids"), "limit", &pids) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: the pids limit must be an integer");
    if (pids && put_limit(cgroup, "pids.max", pids, f) < 0)
        return -1;
    if (apply_memory(cgroup, json_get(resources, "memory"), f) < 0 ||
        apply_cpu(cgroup, json_get(resources, "cpu"), f) < 0 ||
        apply_io(cgroup, json_get(resources, "blockIO"), f) < 0 ||
        apply_hugepages(cgroup, json_get(resources, "hugepageLimits"), f) < 0 ||
        apply_unified(cgroup, json_get(resources, "unified"), f) < 0)
        return -1;
    const struct json *devices = json_get(resources, "devices");
    return devices && !cgroup->is_rootless ? cgroup_devices_v2(dir, devices, f) : 0;
}
