/* What a container uses, in the form of `runc events --stats`: zeros are left out where Go's omitempty leaves them. */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"

static const struct cgroup_dir *open_dir(const struct cgroup *cgroup, const char *controller)
{
    const struct cgroup_dir *dir = cgroup_find(cgroup, controller);
    dir = dir ? dir : cgroup_unified(cgroup);
    return dir && dir->fd >= 0 ? dir : NULL;
}

static char *read_text(const struct cgroup_dir *dir, const char *file)
{
    return dir ? read_file_at(dir->fd, file, 1 << 20, NULL) : NULL;
}

static unsigned long long read_number(const struct cgroup_dir *dir, const char *file)
{
    unsigned long long value = 0;
    return file && cgroup_read_number(dir, file, &value) == 0 ? value : 0;
}

static void put(struct json_writer *w, const char *key, unsigned long long value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", value);
    json_put_raw(w, key, text);
}

static void put_some(struct json_writer *w, const char *key, unsigned long long value)
{
    if (value)
        put(w, key, value);
}

/* The number after `name` in a file of "name number" lines. */
static unsigned long long find_number(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length, NULL, 10);
    return 0;
}

/* "some avg10=0.12 avg60=0.00 avg300=0.00 total=123": pressure stall information, since Linux 4.20. */
static void put_pressure(struct json_writer *w, const struct cgroup_dir *dir, const char *file)
{
    AUTO_FREE char *text = read_text(dir, file);
    char *state = NULL;
    if (!text)
        return;
    json_begin_object(w, "psi");
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char kind[8], ten[24], sixty[24], long_run[24], total[24];
        if (sscanf(line, "%7s avg10=%23s avg60=%23s avg300=%23s total=%23s", kind, ten, sixty, long_run, total) != 5)
            continue;
        const char *const keys[] = {"avg10", "avg60", "avg300", "total"};
        char *const values[] = {ten, sixty, long_run, total};
        json_begin_object(w, kind);
        for (int i = 0; i < 4; i++) {
            /* The shortest form, as Go prints it: 1.50 is 1.5, and 0.00 is 0. */
            for (size_t end = strlen(values[i]); strchr(values[i], '.') && strchr("0.", values[i][end - 1]); end--) {
                bool is_point = values[i][end - 1] == '.';
                values[i][end - 1] = '\0';
                if (is_point)
                    break;
            }
            json_put_raw(w, keys[i], values[i]);
        }
        json_end_object(w);
    }
    json_end_object(w);
}

static void put_throttling(struct json_writer *w, const char *stat, const char *time, unsigned long long unit)
{
    json_begin_object(w, "throttling");
    put_some(w, "periods", find_number(stat, "nr_periods"));
    put_some(w, "throttledPeriods", find_number(stat, "nr_throttled"));
    put_some(w, "throttledTime", find_number(stat, time) * unit);
    json_end_object(w);
}

/* One number of each CPU: column 0 of a line of numbers, else that column of a table with a line for each CPU. */
static void put_per_cpu(struct json_writer *w, const char *key, const char *text, int column)
{
    if (!text || !*text)
        return;
    json_begin_array(w, key);
    const char *at = column ? strchr(text, '\n') : text;
    for (char *end; at && *at; at = column ? strchr(end, '\n') : end) {
        unsigned long long value = strtoull(at, &end, 10);
        bool is_number = end != at;
        for (int i = 0; i < column; i++)
            value = strtoull(end, &end, 10);
        if (!is_number)
            break;
        put(w, NULL, value);
    }
    json_end_array(w);
}

static void put_cpu_v1(const struct cgroup *cgroup, struct json_writer *w)
{
    const struct cgroup_dir *accounting = cgroup_find(cgroup, "cpuacct"), *cpu = cgroup_find(cgroup, "cpu");
    accounting = accounting && accounting->fd >= 0 ? accounting : NULL;
    AUTO_FREE char *per_cpu = read_text(accounting, "cpuacct.usage_percpu");
    AUTO_FREE char *modes = read_text(accounting, "cpuacct.usage_all"); /* "cpu user system", since 4.8 */
    AUTO_FREE char *split = read_text(accounting, "cpuacct.stat");
    AUTO_FREE char *stat = cpu && cpu->fd >= 0 ? read_text(cpu, "cpu.stat") : NULL;
    unsigned long long tick_ns = 1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK);
    json_begin_object(w, "usage");
    put_some(w, "total", read_number(accounting, "cpuacct.usage"));
    put_per_cpu(w, "percpu", per_cpu, 0);
    put_per_cpu(w, "percpu_kernel", modes, 2);
    put_per_cpu(w, "percpu_user", modes, 1);
    put(w, "kernel", find_number(split, "system") * tick_ns);
    put(w, "user", find_number(split, "user") * tick_ns);
    json_end_object(w);
    put_throttling(w, stat, "throttled_time", 1);
}

static void put_cpu_v2(const struct cgroup_dir *dir, struct json_writer *w)
{
    AUTO_FREE char *stat = read_text(dir, "cpu.stat");
    json_begin_object(w, "usage");
    put_some(w, "total", find_number(stat, "usage_usec") * 1000);
    put(w, "kernel", find_number(stat, "system_usec") * 1000);
    put(w, "user", find_number(stat, "user_usec") * 1000);
    json_end_object(w);
    put_throttling(w, stat, "throttled_usec", 1000);
    put_pressure(w, dir, "cpu.pressure");
}

/* "0-2,7" → [0,1,2,7] */
static void put_list(struct json_writer *w, const char *key, const char *text)
{
    if (!text || *text == '\n' || !*text)
        return;
    json_begin_array(w, key);
    for (const char *at = text; *at && *at != '\n';) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        for (unsigned long i = first; i <= last && last < 65536; i++)
            put(w, NULL, i);
        at = *end == ',' ? end + 1 : "";
    }
    json_end_array(w);
}

static void put_cpuset_flag(struct json_writer *w, const struct cgroup_dir *dir, const char *name)
{
    char file[64];
    (void)snprintf(file, sizeof file, "cpuset.%s", name);
    AUTO_FREE char *value = read_text(dir, file);
    json_put_int(w, name, value ? strtoll(value, NULL, 10) : 0);
}

static void put_cpuset(const struct cgroup_dir *dir, struct json_writer *w)
{
    static const char *const flags[] = {"mem_hardwall",       "mem_exclusive",           "memory_migrate",
                                        "memory_spread_page", "memory_spread_slab",      "memory_pressure",
                                        "sched_load_balance", "sched_relax_domain_level"};
    AUTO_FREE char *cpus = read_text(dir, "cpuset.cpus");
    AUTO_FREE char *mems = read_text(dir, "cpuset.mems");
    json_begin_object(w, "cpuset");
    put_list(w, "cpus", cpus);
    put_cpuset_flag(w, dir, "cpu_exclusive");
    put_list(w, "mems", mems);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        put_cpuset_flag(w, dir, flags[i]);
    json_end_object(w);
}

struct amount {
    unsigned long long limit, usage, max, failures;
};

static struct amount read_amount_v1(const struct cgroup_dir *dir, const char *name)
{
    static const char *const kinds[] = {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"};
    unsigned long long values[4];
    for (int i = 0; i < 4; i++) {
        char file[64];
        (void)snprintf(file, sizeof file, "memory.%s%s", name, kinds[i]);
        values[i] = read_number(dir, file);
    }
    return (struct amount){values[0], values[1], values[2], values[3]};
}

static void put_amount(struct json_writer *w, const char *key, struct amount amount)
{
    json_begin_object(w, key);
    put(w, "limit", amount.limit);
    put_some(w, "usage", amount.usage);
    put_some(w, "max", amount.max);
    put(w, "failcnt", amount.failures);
    json_end_object(w);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* memory.stat, sorted as Go prints a map. */
static void put_raw(struct json_writer *w, char *text)
{
    char *lines[256], *state = NULL;
    size_t count = 0;
    for (char *line = text ? strtok_r(text, "\n", &state) : NULL; line && count < 256;
         line = strtok_r(NULL, "\n", &state)) {
        char *space = strchr(line, ' ');
        if (!space)
            continue;
        *space = '\0';
        lines[count++] = line;
    }
    if (!count)
        return;
    qsort(lines, count, sizeof *lines, by_text);
    json_begin_object(w, "raw");
    for (size_t i = 0; i < count; i++)
        put(w, lines[i], strtoull(lines[i] + strlen(lines[i]) + 1, NULL, 10));
    json_end_object(w);
}

/* v1 counts memory and swap together, and that is the form of the statistics. */
static struct amount combine(struct amount memory, const struct cgroup_dir *dir)
{
    struct amount swap = {read_number(dir, "memory.swap.max"), read_number(dir, "memory.swap.current"), 0, 0};
    swap.usage += memory.usage;
    if (swap.limit != ULLONG_MAX)
        swap.limit += memory.limit;
    return swap;
}

static void put_memory(const struct cgroup_dir *dir, bool is_v1, struct json_writer *w)
{
    AUTO_FREE char *stat = read_text(dir, "memory.stat");
    struct amount memory = is_v1 ? read_amount_v1(dir, "")
                                 : (struct amount){read_number(dir, "memory.max"), read_number(dir, "memory.current"),
                                                   read_number(dir, "memory.peak"), 0};
    json_begin_object(w, "memory");
    put_some(w, "cache", find_number(stat, is_v1 ? "cache" : "file"));
    put_amount(w, "usage", memory);
    put_amount(w, "swap", is_v1 ? read_amount_v1(dir, "memsw.") : combine(memory, dir));
    put_amount(w, "kernel", is_v1 ? read_amount_v1(dir, "kmem.") : (struct amount){0});
    put_amount(w, "kernelTCP", is_v1 ? read_amount_v1(dir, "kmem.tcp.") : (struct amount){0});
    put_raw(w, stat);
    if (!is_v1)
        put_pressure(w, dir, "memory.pressure");
    json_end_object(w);
}

static void put_block_entry(struct json_writer *w, const char *device, const char *operation, unsigned long long value)
{
    unsigned major = 0, minor = 0;
    (void)sscanf(device, "%u:%u", &major, &minor);
    json_begin_object(w, NULL);
    put_some(w, "major", major);
    put_some(w, "minor", minor);
    json_put_string(w, "op", operation);
    put_some(w, "value", value);
    json_end_object(w);
}

/* Lines of "8:0 Read 123"; the file of the first name that has any. */
static void put_block_io_v1(struct json_writer *w, const char *key, const struct cgroup_dir *dir,
                            const char *const files[])
{
    for (; *files; files++) {
        AUTO_FREE char *text = read_text(dir, *files);
        char *state = NULL;
        if (!text || strncmp(text, "Total", 5) == 0 || !*text)
            continue;
        json_begin_array(w, key);
        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
            char device[32], operation[32];
            unsigned long long value;
            if (sscanf(line, "%31[0-9:] %31s %llu", device, operation, &value) == 3)
                put_block_entry(w, device, operation, value);
        }
        json_end_array(w);
        return;
    }
}

/* Lines of "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …". */
static void put_block_io_v2(struct json_writer *w, const char *key, const char *text, const char *read_key,
                            const char *write_key)
{
    const char *const keys[] = {read_key, write_key}, *const operations[] = {"Read", "Write"};
    bool is_open = false;
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        for (int i = 0; i < 2; i++) {
            const char *end = line + strcspn(line, "\n"), *found = strstr(line, keys[i]);
            if (!found || found > end)
                continue;
            if (!is_open)
                json_begin_array(w, key);
            is_open = true;
            put_block_entry(w, line, operations[i], strtoull(found + strlen(keys[i]), NULL, 10));
        }
    if (is_open)
        json_end_array(w);
}

static void put_block_io(const struct cgroup *cgroup, struct json_writer *w)
{
    static const char *const bytes[] = {"blkio.bfq.io_service_bytes_recursive", "blkio.io_service_bytes_recursive",
                                        "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes",
                                        NULL};
    static const char *const operations[] = {"blkio.bfq.io_serviced_recursive", "blkio.io_serviced_recursive",
                                             "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced",
                                             NULL};
    const struct cgroup_dir *v1 = cgroup_find(cgroup, "blkio"), *v2 = cgroup_unified(cgroup);
    json_begin_object(w, "blkio");
    if (v1 && v1->fd >= 0) {
        put_block_io_v1(w, "ioServiceBytesRecursive", v1, bytes);
        put_block_io_v1(w, "ioServicedRecursive", v1, operations);
    } else if (v2 && v2->fd >= 0) {
        AUTO_FREE char *stat = read_text(v2, "io.stat");
        put_block_io_v2(w, "ioServiceBytesRecursive", stat, " rbytes=", " wbytes=");
        put_block_io_v2(w, "ioServicedRecursive", stat, " rios=", " wios=");
        put_pressure(w, v2, "io.pressure");
    }
    json_end_object(w);
}

/* hugetlb.2MB.usage_in_bytes, or of v2 hugetlb.2MB.current: the reserved pages where the kernel counts them (5.7). */
static void put_huge_page(const struct cgroup_dir *dir, const char *size, struct json_writer *w)
{
    const char *kinds[] = {".rsvd", ""};
    for (size_t i = 0; i < 2; i++) {
        char usage[96], peak[96], failures[96];
        bool is_v1 = *dir->controllers;
        unsigned long long value = 0;
        (void)snprintf(usage, sizeof usage, "hugetlb.%s%s.%s", size, kinds[i], is_v1 ? "usage_in_bytes" : "current");
        if (cgroup_read_number(dir, usage, &value) < 0)
            continue;
        (void)snprintf(peak, sizeof peak, "hugetlb.%s%s.max_usage_in_bytes", size, kinds[i]);
        (void)snprintf(failures, sizeof failures, is_v1 ? "hugetlb.%s%s.failcnt" : "hugetlb.%s.events", size, kinds[i]);
        AUTO_FREE char *events = is_v1 ? NULL : read_text(dir, failures);
        json_begin_object(w, size);
        put_some(w, "usage", value);
        put_some(w, "max", is_v1 ? read_number(dir, peak) : 0);
        put(w, "failcnt", is_v1 ? read_number(dir, failures) : find_number(events, "max"));
        json_end_object(w);
        return;
    }
}

/* The sizes that this machine has, by their names in the controller: 64KB, 2MB, 1GB. */
static void put_huge_pages(const struct cgroup_dir *dir, struct json_writer *w)
{
    json_begin_object(w, "hugetlb");
    for (unsigned order = 12; dir && order < 40; order++) {
        char size[16], path[64];
        unsigned long long kilobytes = 1ULL << order >> 10;
        (void)snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-%llukB", kilobytes);
        (void)snprintf(size, sizeof size, "%llu%s",
                       order >= 30   ? kilobytes >> 20
                       : order >= 20 ? kilobytes >> 10
                                     : kilobytes,
                       order >= 30   ? "GB"
                       : order >= 20 ? "MB"
                                     : "KB");
        if (access(path, F_OK) == 0)
            put_huge_page(dir, size, w);
    }
    json_end_object(w);
}

static void put_pids(const struct cgroup *cgroup, struct json_writer *w)
{
    const struct cgroup_dir *dir = open_dir(cgroup, "pids");
    unsigned long long limit = read_number(dir, "pids.max");
    json_begin_object(w, "pids");
    put_some(w, "current", read_number(dir, "pids.current"));
    put_some(w, "limit", limit == ULLONG_MAX ? 0 : limit);
    json_end_object(w);
}

int cgroup_stats(const struct cgroup *cgroup, const char *id, struct json_writer *w, struct fault *f)
{
    const struct cgroup_dir *cpuset = cgroup_find(cgroup, "cpuset"), *memory = open_dir(cgroup, "memory");
    json_begin_object(w, NULL);
    json_put_string(w, "type", "stats");
    json_put_string(w, "id", id);
    json_begin_object(w, "data");
    json_begin_object(w, "cpu");
    if (cgroup->mode == CGROUP_V2)
        put_cpu_v2(open_dir(cgroup, "cpu"), w);
    else
        put_cpu_v1(cgroup, w);
    json_end_object(w);
    put_cpuset(cpuset && cpuset->fd >= 0 ? cpuset : NULL, w);
    put_memory(memory, memory && *memory->controllers, w);
    put_pids(cgroup, w);
    put_block_io(cgroup, w);
    put_huge_pages(open_dir(cgroup, "hugetlb"), w);
    json_begin_object(w, "intel_rdt");
    json_end_object(w);
    json_put_null(w, "network_interfaces");
    json_end_object(w);
    json_end_object(w);
    return w->failed ? fault_text(f, STAGE_RUNTIME, "out of memory") : 0;
}
