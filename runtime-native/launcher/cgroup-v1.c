/* linux.resources → files of the v1 controllers. A controller that this machine lacks costs one line per setting that
 * was asked for, not the container: what can be kept is kept. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "log.h"

struct target {
    const struct cgroup *cgroup;
    const struct cgroup_dir *dir; /* NULL when the controller is not mounted */
    const char *controller;
};

static struct target target_of(const struct cgroup *cgroup, const char *controller)
{
    const struct cgroup_dir *dir = cgroup_find(cgroup, controller);
    return (struct target){cgroup, dir && dir->fd >= 0 ? dir : NULL, controller};
}

static int put_text(const struct target *target, const char *file, const char *value, struct fault *f)
{
    if (!value || !*value)
        return 0;
    if (!cgroup_has_file(target->dir, file)) {
        log_warning("no cgroup setting %s on this machine: \"%s\" is not applied", file, value);
        return 0;
    }
    if (cgroup_write(target->dir, file, value, f) == 0)
        return 0;
    if (target->cgroup->is_rootless && (f->error == EACCES || f->error == EPERM || f->error == EROFS)) {
        log_warning("%s: permission denied: \"%s\" is not applied", file, value);
        return 0;
    }
    return -1;
}

static int put_number(const struct target *target, const char *file, long long value, struct fault *f)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", value);
    return put_text(target, file, text, f);
}

/* Zero means "not set" for nearly every number of the spec's resources. */
static int put_member(const struct target *target, const char *file, const struct json *section, const char *key,
                      struct fault *f)
{
    int64_t value = 0;
    int found = json_int64(section, key, &value);
    uint64_t large = 0;
    if (found < 0 && json_uint64(section, key, &large) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: %s is no integer", key);
    if (large) {
        char text[32];
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)large);
        return put_text(target, file, text, f);
    }
    return value ? put_number(target, file, value, f) : 0;
}

static int put_memory_limit(const struct target *target, long long limit, struct fault *f)
{
    if (put_number(target, "memory.limit_in_bytes", limit, f) == 0)
        return 0;
    unsigned long long usage = 0, peak = 0;
    if (f->error == EBUSY && cgroup_read_number(target->dir, "memory.usage_in_bytes", &usage) == 0 &&
        cgroup_read_number(target->dir, "memory.max_usage_in_bytes", &peak) == 0)
        return fault_told(f, STAGE_CGROUP, EBUSY,
                          "unable to set memory limit to %lld (current usage: %llu, peak usage: %llu)", limit, usage,
                          peak);
    return -1;
}

/* memory ≤ memory+swap must hold at every moment, so the order depends on whether they grow or shrink. */
static int apply_memory_limits(const struct target *target, const struct json *memory, struct fault *f)
{
    int64_t limit = 0, swap = 0;
    if (json_int64(memory, "limit", &limit) < 0 || json_int64(memory, "swap", &swap) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: memory limits must be integers");
    const char *swap_file = "memory.memsw.limit_in_bytes";
    if (limit == -1 && swap == 0 && cgroup_has_file(target->dir, swap_file))
        swap = -1;
    unsigned long long now = 0;
    bool swap_first = limit && swap && cgroup_read_number(target->dir, swap_file, &now) == 0 &&
                      (swap == -1 || (limit > 0 && now < (unsigned long long)limit));
    if (swap_first && put_number(target, swap_file, swap, f) < 0)
        return -1;
    if (limit && put_memory_limit(target, limit, f) < 0)
        return -1;
    return swap && !swap_first ? put_number(target, swap_file, swap, f) : 0;
}

static int apply_memory(const struct cgroup *cgroup, const struct json *memory, struct fault *f)
{
    struct target target = target_of(cgroup, "memory");
    if (apply_memory_limits(&target, memory, f) < 0 ||
        put_member(&target, "memory.soft_limit_in_bytes", memory, "reservation", f) < 0 ||
        put_member(&target, "memory.kmem.tcp.limit_in_bytes", memory, "kernelTCP", f) < 0)
        return -1;
    if (json_bool(memory, "disableOOMKiller", false) && put_text(&target, "memory.oom_control", "1", f) < 0)
        return -1;
    uint64_t swappiness = 0;
    int found = json_uint64(memory, "swappiness", &swappiness);
    if (found < 0 || (found && swappiness > 100))
        return fault_text(f, STAGE_CGROUP, "invalid memory swappiness value: valid range is 0-100");
    return found ? put_number(&target, "memory.swappiness", (long long)swappiness, f) : 0;
}

/* The kernel clamps cpu.shares without a word; runc's words for it. */
static int apply_cpu_shares(const struct target *target, const struct json *cpu, struct fault *f)
{
    uint64_t shares = 0;
    unsigned long long actual = 0;
    if (json_uint64(cpu, "shares", &shares) <= 0 || !shares)
        return 0;
    if (put_member(target, "cpu.shares", cpu, "shares", f) < 0)
        return -1;
    if (cgroup_read_number(target->dir, "cpu.shares", &actual) < 0)
        return 0;
    if (shares > actual)
        return fault_text(f, STAGE_CGROUP, "the maximum allowed cpu-shares is %llu", actual);
    if (shares < actual)
        return fault_text(f, STAGE_CGROUP, "the minimum allowed cpu-shares is %llu", actual);
    return 0;
}

/* A period below the quota's reach is refused while the old quota stands: then the quota goes first. */
static int apply_cpu_quota(const struct target *target, const struct json *cpu, struct fault *f)
{
    struct fault first = {0};
    bool again = put_member(target, "cpu.cfs_period_us", cpu, "period", &first) < 0;
    if (again && first.error != EINVAL) {
        *f = first;
        return -1;
    }
    if (put_member(target, "cpu.cfs_quota_us", cpu, "quota", f) < 0)
        return -1;
    if (again && put_member(target, "cpu.cfs_period_us", cpu, "period", f) < 0)
        return -1;
    return put_member(target, "cpu.cfs_burst_us", cpu, "burst", f);
}

static int apply_cpu(const struct cgroup *cgroup, const struct json *cpu, struct fault *f)
{
    struct target cpu_target = target_of(cgroup, "cpu"), cpuset = target_of(cgroup, "cpuset");
    if (apply_cpu_shares(&cpu_target, cpu, f) < 0 || apply_cpu_quota(&cpu_target, cpu, f) < 0 ||
        put_member(&cpu_target, "cpu.rt_period_us", cpu, "realtimePeriod", f) < 0 ||
        put_member(&cpu_target, "cpu.rt_runtime_us", cpu, "realtimeRuntime", f) < 0 ||
        put_member(&cpu_target, "cpu.idle", cpu, "idle", f) < 0)
        return -1;
    return put_text(&cpuset, "cpuset.cpus", json_string(cpu, "cpus"), f) < 0
               ? -1
               : put_text(&cpuset, "cpuset.mems", json_string(cpu, "mems"), f);
}

/* [{"major":8,"minor":0,"<key>":n}] → one write of "8:0 n" for each. */
static int put_device_list(const struct target *target, const char *file, const struct json *list, const char *key,
                           struct fault *f)
{
    json_each(item, list)
    {
        int64_t major = 0, minor = 0;
        uint64_t value = 0;
        char text[96];
        if (json_int64(item, "major", &major) < 0 || json_int64(item, "minor", &minor) < 0 ||
            json_uint64(item, key, &value) < 0)
            return fault_text(f, STAGE_CGROUP, "resources: a device's numbers must be integers");
        (void)snprintf(text, sizeof text, "%lld:%lld %llu", (long long)major, (long long)minor,
                       (unsigned long long)value);
        if (put_text(target, file, text, f) < 0)
            return -1;
    }
    return 0;
}

static int apply_block_io(const struct cgroup *cgroup, const struct json *io, struct fault *f)
{
    static const struct {
        const char *member, *file;
    } throttles[] = {
        {"throttleReadBpsDevice", "blkio.throttle.read_bps_device"},
        {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device"},
        {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device"},
        {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"},
    };
    struct target target = target_of(cgroup, "blkio");
    bool has_bfq = cgroup_has_file(target.dir, "blkio.bfq.weight");
    if (put_member(&target, has_bfq ? "blkio.bfq.weight" : "blkio.weight", io, "weight", f) < 0 ||
        put_member(&target, "blkio.leaf_weight", io, "leafWeight", f) < 0 ||
        put_device_list(&target, has_bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
                        json_get(io, "weightDevice"), "weight", f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof throttles / sizeof throttles[0]; i++)
        if (put_device_list(&target, throttles[i].file, json_get(io, throttles[i].member), "rate", f) < 0)
            return -1;
    return 0;
}

static int apply_hugepages(const struct cgroup *cgroup, const struct json *limits, struct fault *f)
{
    struct target target = target_of(cgroup, "hugetlb");
    json_each(item, limits)
    {
        char file[96];
        const char *size = json_string(item, "pageSize");
        if (!size || strchr(size, '/'))
            return fault_text(f, STAGE_CGROUP, "resources: hugepageLimits without a pageSize");
        (void)snprintf(file, sizeof file, "hugetlb.%s.limit_in_bytes", size);
        if (put_member(&target, file, item, "limit", f) < 0)
            return -1;
        (void)snprintf(file, sizeof file, "hugetlb.%s.rsvd.limit_in_bytes", size);
        if (cgroup_has_file(target.dir, file) && put_member(&target, file, item, "limit", f) < 0)
            return -1;
    }
    return 0;
}

static int apply_network(const struct cgroup *cgroup, const struct json *network, struct fault *f)
{
    struct target classes = target_of(cgroup, "net_cls"), priorities = target_of(cgroup, "net_prio");
    if (put_member(&classes, "net_cls.classid", network, "classID", f) < 0)
        return -1;
    json_each(item, json_get(network, "priorities"))
    {
        char text[96];
        uint64_t priority = 0;
        const char *name = json_string(item, "name");
        if (!name || json_uint64(item, "priority", &priority) < 0)
            return fault_text(f, STAGE_CGROUP, "resources: a network priority needs a name and a number");
        (void)snprintf(text, sizeof text, "%s %llu", name, (unsigned long long)priority);
        if (put_text(&priorities, "net_prio.ifpriomap", text, f) < 0)
            return -1;
    }
    return 0;
}

static int apply_rdma(const struct cgroup *cgroup, const struct json *rdma, struct fault *f)
{
    struct target target = target_of(cgroup, "rdma");
    json_each(item, rdma)
    {
        uint64_t handles = 0, objects = 0;
        int has_handles = json_uint64(item, "hcaHandles", &handles),
            has_objects = json_uint64(item, "hcaObjects", &objects);
        char text[160];
        int at = snprintf(text, sizeof text, "%s", item->key);
        if (at > 0 && at < 64 && has_handles > 0)
            at += snprintf(text + at, sizeof text - (size_t)at, " hca_handle=%llu", (unsigned long long)handles);
        if (at > 0 && at < 128 && has_objects > 0)
            (void)snprintf(text + at, sizeof text - (size_t)at, " hca_object=%llu", (unsigned long long)objects);
        if (put_text(&target, "rdma.max", text, f) < 0)
            return -1;
    }
    return 0;
}

static int apply_pids(const struct cgroup *cgroup, const struct json *pids, struct fault *f)
{
    struct target target = target_of(cgroup, "pids");
    int64_t limit = 0;
    if (json_int64(pids, "limit", &limit) < 0)
        return fault_text(f, STAGE_CGROUP, "resources: the pids limit must be an integer");
    if (limit == 0)
        return 0;
    return limit < 0 ? put_text(&target, "pids.max", "max", f) : put_number(&target, "pids.max", limit, f);
}

int cgroup_v1_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f)
{
    const struct cgroup_dir *devices = cgroup_find(cgroup, "devices");
    if (devices && devices->fd >= 0 && (!is_update || json_get(resources, "devices")) && !cgroup->is_rootless &&
        cgroup_devices_v1(devices, json_get(resources, "devices"), f) < 0)
        return -1;
    if (apply_memory(cgroup, json_get(resources, "memory"), f) < 0 ||
        apply_cpu(cgroup, json_get(resources, "cpu"), f) < 0 ||
        apply_pids(cgroup, json_get(resources, "pids"), f) < 0 ||
        apply_block_io(cgroup, json_get(resources, "blockIO"), f) < 0 ||
        apply_hugepages(cgroup, json_get(resources, "hugepageLimits"), f) < 0 ||
        apply_network(cgroup, json_get(resources, "network"), f) < 0)
        return -1;
    return apply_rdma(cgroup, json_get(resources, "rdma"), f);
}
