/* linux.resources → files of the v1 controllers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-resources.h"

static int put_memory_limit(const struct cgroup_dir *dir, long long limit, struct fault *f)
{
    unsigned long long usage = 0, peak = 0;
    if (!limit || cgroup_put_number(dir, "memory.limit_in_bytes", limit, f) == 0)
        return 0;
    if (f->error == EBUSY && cgroup_read_number(dir, "memory.usage_in_bytes", &usage) == 0 &&
        cgroup_read_number(dir, "memory.max_usage_in_bytes", &peak) == 0)
        return fault_told(f, STAGE_CGROUP, EBUSY,
                          "unable to set memory limit to %lld (current usage: %llu, peak usage: %llu)", limit, usage,
                          peak);
    return -1;
}

/* memory ≤ memory+swap must hold at every moment, so the order depends on whether they grow or shrink. */
static int put_memory_limits(const struct cgroup_dir *dir, const struct json *memory, struct fault *f)
{
    static const char swap_file[] = "memory.memsw.limit_in_bytes";
    int64_t limit = 0, swap = 0;
    unsigned long long now = 0;
    if (json_int64(memory, "limit", &limit) < 0 || json_int64(memory, "swap", &swap) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: memory limits must be integers");
    if (limit == -1 && swap == 0 && cgroup_has_file(dir, swap_file))
        swap = -1;
    bool swap_first = limit && swap && cgroup_read_number(dir, swap_file, &now) == 0 &&
                      (limit == -1 || now < (unsigned long long)limit);
    if (swap_first)
        return cgroup_put_number(dir, swap_file, swap, f) < 0 ? -1 : put_memory_limit(dir, limit, f);
    if (put_memory_limit(dir, limit, f) < 0)
        return -1;
    return swap ? cgroup_put_number(dir, swap_file, swap, f) : 0;
}

int cgroup_v1_memory(const struct cgroup_dir *dir, const struct json *memory, struct fault *f)
{
    uint64_t swappiness = 0;
    int has_swappiness = json_uint64(memory, "swappiness", &swappiness);
    if (has_swappiness < 0 || swappiness > 100)
        return fault_text(f, STAGE_CGROUP, "invalid memory swappiness value: %llu (valid range is 0-100)",
                          (unsigned long long)swappiness);
    /* A kernel without the old flat accounting (since 5.11) has no choice to offer; asking for it changes nothing. */
    if (json_bool(memory, "useHierarchy", false) && cgroup_put(dir, "memory.use_hierarchy", "1", f) < 0)
        return -1;
    if (put_memory_limits(dir, memory, f) < 0 ||
        cgroup_put_member(dir, "memory.soft_limit_in_bytes", memory, "reservation", f) < 0 ||
        cgroup_put_member(dir, "memory.kmem.limit_in_bytes", memory, "kernel", f) < 0 ||
        cgroup_put_member(dir, "memory.kmem.tcp.limit_in_bytes", memory, "kernelTCP", f) < 0)
        return -1;
    if (json_bool(memory, "disableOOMKiller", false) && cgroup_put(dir, "memory.oom_control", "1", f) < 0)
        return -1;
    return has_swappiness ? cgroup_put_number(dir, "memory.swappiness", (long long)swappiness, f) : 0;
}

/* The kernel clamps cpu.shares without a word; runc's words for it. */
static int put_shares(const struct cgroup_dir *dir, const struct json *cpu, struct fault *f)
{
    uint64_t shares = 0;
    unsigned long long actual = 0;
    if (cgroup_put_member(dir, "cpu.shares", cpu, "shares", f) < 0)
        return -1;
    if (json_uint64(cpu, "shares", &shares) <= 0 || !shares || cgroup_read_number(dir, "cpu.shares", &actual) < 0)
        return 0;
    if (shares > actual)
        return fault_text(f, STAGE_CGROUP, "the maximum allowed cpu-shares is %llu", actual);
    if (shares < actual)
        return fault_text(f, STAGE_CGROUP, "the minimum allowed cpu-shares is %llu", actual);
    return 0;
}

/* The numbers of cpu as text: "" for absent ones, and for zeros unless they mean something. */
static int read_setting(const struct json *cpu, const char *key, bool zero_counts, char value[32], struct fault *f)
{
    int64_t number = 0;
    int found = json_int64(cpu, key, &number);
    if (found < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: %s is no integer", key);
    if (found && (number || zero_counts))
        (void)snprintf(value, 32, "%lld", (long long)number);
    return 0;
}

int cgroup_v1_cpu(const struct cgroup_dir *dir, const struct json *cpu, struct fault *f)
{
    struct cgroup_setting quota[] = {{"cpu.cfs_period_us", ""}, {"cpu.cfs_burst_us", ""}, {"cpu.cfs_quota_us", ""}};
    struct cgroup_setting realtime[] = {{"cpu.rt_period_us", ""}, {"cpu.rt_runtime_us", ""}};
    char idle[32] = "";
    if (read_setting(cpu, "period", false, quota[0].value, f) < 0 ||
        read_setting(cpu, "burst", true, quota[1].value, f) < 0 ||
        read_setting(cpu, "quota", false, quota[2].value, f) < 0 ||
        read_setting(cpu, "realtimePeriod", false, realtime[0].value, f) < 0 ||
        read_setting(cpu, "realtimeRuntime", false, realtime[1].value, f) < 0 ||
        read_setting(cpu, "idle", true, idle, f) < 0)
        return -1;
    if (put_shares(dir, cpu, f) < 0 || cgroup_put_together(dir, quota, 3, f) < 0 ||
        cgroup_put(dir, "cpu.idle", idle, f) < 0)
        return -1;
    return cgroup_put_together(dir, realtime, 2, f);
}

int cgroup_v1_cpuset(const struct cgroup_dir *dir, const struct json *cpu, struct fault *f)
{
    return cgroup_put(dir, "cpuset.cpus", json_string(cpu, "cpus"), f) < 0
               ? -1
               : cgroup_put(dir, "cpuset.mems", json_string(cpu, "mems"), f);
}

/* [{"major":8,"minor":0,"<key>":n}] → one write of "8:0 n" for each that has the key. */
static int put_device_list(const struct cgroup_dir *dir, const char *file, const struct json *list, const char *key,
                           struct fault *f)
{
    json_each(item, list)
    {
        int64_t major = 0, minor = 0;
        uint64_t value = 0;
        char text[96];
        int found = json_uint64(item, key, &value);
        if (json_int64(item, "major", &major) < 0 || json_int64(item, "minor", &minor) < 0 || found < 0)
            return fault_text(f, STAGE_CGROUP, "linux.resources.blockIO: a device's numbers must be integers");
        (void)snprintf(text, sizeof text, "%lld:%lld %llu", (long long)major, (long long)minor,
                       (unsigned long long)value);
        if (found && cgroup_put(dir, file, text, f) < 0)
            return -1;
    }
    return 0;
}

int cgroup_v1_block_io(const struct cgroup_dir *dir, const struct json *io, struct fault *f)
{
    static const struct {
        const char *member, *file;
    } throttles[] = {
        {"throttleReadBpsDevice", "blkio.throttle.read_bps_device"},
        {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device"},
        {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device"},
        {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"},
    };
    const struct json *devices = json_get(io, "weightDevice");
    /* The old scheduler's file, gone since 5.0, was blkio.weight. */
    bool has_bfq = !cgroup_has_file(dir, "blkio.weight");
    if (cgroup_put_member(dir, has_bfq ? "blkio.bfq.weight" : "blkio.weight", io, "weight", f) < 0 ||
        cgroup_put_member(dir, "blkio.leaf_weight", io, "leafWeight", f) < 0 ||
        put_device_list(dir, has_bfq ? "blkio.bfq.weight_device" : "blkio.weight_device", devices, "weight", f) < 0 ||
        put_device_list(dir, "blkio.leaf_weight_device", devices, "leafWeight", f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof throttles / sizeof throttles[0]; i++)
        if (put_device_list(dir, throttles[i].file, json_get(io, throttles[i].member), "rate", f) < 0)
            return -1;
    return 0;
}

int cgroup_v1_hugepages(const struct cgroup_dir *dir, const struct json *limits, struct fault *f)
{
    return cgroup_put_hugepages(dir, limits, "limit_in_bytes", f);
}

int cgroup_v1_classes(const struct cgroup_dir *dir, const struct json *network, struct fault *f)
{
    return cgroup_put_member(dir, "net_cls.classid", network, "classID", f);
}

int cgroup_v1_priorities(const struct cgroup_dir *dir, const struct json *network, struct fault *f)
{
    json_each(item, json_get(network, "priorities"))
    {
        char text[96];
        uint64_t priority = 0;
        const char *name = json_string(item, "name");
        if (!name || json_uint64(item, "priority", &priority) < 0)
            return fault_text(f, STAGE_CGROUP, "linux.resources.network: a priority needs a name and a number");
        (void)snprintf(text, sizeof text, "%s %llu", name, (unsigned long long)priority);
        if (cgroup_put(dir, "net_prio.ifpriomap", text, f) < 0)
            return -1;
    }
    return 0;
}
