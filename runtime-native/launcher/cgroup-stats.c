/* What a container uses, in the form of `runc events --stats`. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "io.h"

static const struct cgroup_dir *open_dir(const struct cgroup *cgroup, const char *controller)
{
    const struct cgroup_dir *dir = cgroup->mode == CGROUP_V2 ? cgroup_unified(cgroup) : cgroup_find(cgroup, controller);
    return dir && dir->fd >= 0 ? dir : NULL;
}

static void put(struct json_writer *w, const char *key, unsigned long long value)
{
    json_put_int(w, key, value > INT64_MAX ? INT64_MAX : (int64_t)value); /* "max" */
}

static void put_file(struct json_writer *w, const char *key, const struct cgroup_dir *dir, const char *file)
{
    unsigned long long value = 0;
    if (cgroup_read_number(dir, file, &value) == 0)
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

static void put_cpu_v1(const struct cgroup *cgroup, struct json_writer *w)
{
    const struct cgroup_dir *accounting = open_dir(cgroup, "cpuacct"), *cpu = open_dir(cgroup, "cpu");
    AUTO_FREE char *per_cpu = accounting ? read_file_at(accounting->fd, "cpuacct.usage_percpu", 65536, NULL) : NULL;
    AUTO_FREE char *split = accounting ? read_file_at(accounting->fd, "cpuacct.stat", 4096, NULL) : NULL;
    AUTO_FREE char *throttling = cpu ? read_file_at(cpu->fd, "cpu.stat", 4096, NULL) : NULL;
    unsigned long long tick_ns = 1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK);
    json_begin_object(w, "cpu");
    json_begin_object(w, "usage");
    put_file(w, "total", accounting, "cpuacct.usage");
    json_begin_array(w, "percpu");
    for (char *at = per_cpu, *end; at; at = end) {
        unsigned long long value = strtoull(at, &end, 10);
        if (end == at)
            break;
        put(w, NULL, value);
    }
    json_end_array(w);
    put(w, "kernel", find_number(split, "system") * tick_ns);
    put(w, "user", find_number(split, "user") * tick_ns);
    json_end_object(w);
    json_begin_object(w, "throttling");
    put(w, "periods", find_number(throttling, "nr_periods"));
    put(w, "throttledPeriods", find_number(throttling, "nr_throttled"));
    put(w, "throttledTime", find_number(throttling, "throttled_time"));
    json_end_object(w);
    json_end_object(w);
}

static void put_cpu_v2(const struct cgroup *cgroup, struct json_writer *w)
{
    const struct cgroup_dir *dir = open_dir(cgroup, "");
    AUTO_FREE char *text = dir ? read_file_at(dir->fd, "cpu.stat", 4096, NULL) : NULL;
    json_begin_object(w, "cpu");
    json_begin_object(w, "usage");
    put(w, "total", find_number(text, "usage_usec") * 1000);
    put(w, "kernel", find_number(text, "system_usec") * 1000);
    put(w, "user", find_number(text, "user_usec") * 1000);
    json_end_object(w);
    json_begin_object(w, "throttling");
    put(w, "periods", find_number(text, "nr_periods"));
    put(w, "throttledPeriods", find_number(text, "nr_throttled"));
    put(w, "throttledTime", find_number(text, "throttled_usec") * 1000);
    json_end_object(w);
    json_end_object(w);
}

static void put_raw(struct json_writer *w, char *text)
{
    char *state = NULL;
    json_begin_object(w, "raw");
    for (char *line = text ? strtok_r(text, "\n", &state) : NULL; line; line = strtok_r(NULL, "\n", &state)) {
        char *space = strchr(line, ' ');
        if (!space)
            continue;
        *space = '\0';
        put(w, line, strtoull(space + 1, NULL, 10));
    }
    json_end_object(w);
}

static void put_amount(struct json_writer *w, const char *key, const struct cgroup_dir *dir, const char *const files[4])
{
    static const char *const names[4] = {"limit", "usage", "max", "failcnt"};
    json_begin_object(w, key);
    for (int i = 0; i < 4; i++)
        if (files[i])
            put_file(w, names[i], dir, files[i]);
    json_end_object(w);
}

static void put_memory(const struct cgroup *cgroup, struct json_writer *w)
{
    static const char *const v1[4] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
                                      "memory.failcnt"};
    static const char *const v1_swap[4] = {"memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes",
                                           "memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt"};
    static const char *const v2[4] = {"memory.max", "memory.current", "memory.peak", NULL};
    static const char *const v2_swap[4] = {"memory.swap.max", "memory.swap.current", "memory.swap.peak", NULL};
    const struct cgroup_dir *dir = open_dir(cgroup, "memory");
    bool is_v2 = cgroup->mode == CGROUP_V2;
    AUTO_FREE char *stat = dir ? read_file_at(dir->fd, "memory.stat", 65536, NULL) : NULL;
    json_begin_object(w, "memory");
    put(w, "cache", find_number(stat, is_v2 ? "file" : "cache"));
    put_amount(w, "usage", dir, is_v2 ? v2 : v1);
    put_amount(w, "swap", dir, is_v2 ? v2_swap : v1_swap);
    put_raw(w, stat);
    json_end_object(w);
}

/* Lines of "8:0 Read 123" → entries of io_service_bytes_recursive and its like. */
static void put_block_io(struct json_writer *w, const char *key, const struct cgroup_dir *dir, const char *file)
{
    AUTO_FREE char *text = dir ? read_file_at(dir->fd, file, 1 << 20, NULL) : NULL;
    char *state = NULL;
    json_begin_array(w, key);
    for (char *line = text ? strtok_r(text, "\n", &state) : NULL; line; line = strtok_r(NULL, "\n", &state)) {
        unsigned major, minor;
        char operation[32];
        unsigned long long value;
        if (sscanf(line, "%u:%u %31s %llu", &major, &minor, operation, &value) != 4)
            continue;
        json_begin_object(w, NULL);
        json_put_int(w, "major", major);
        json_put_int(w, "minor", minor);
        json_put_string(w, "op", operation);
        put(w, "value", value);
        json_end_object(w);
    }
    json_end_array(w);
}

int cgroup_stats(const struct cgroup *cgroup, const char *id, struct json_writer *w, struct fault *f)
{
    json_begin_object(w, NULL);
    json_put_string(w, "type", "stats");
    json_put_string(w, "id", id);
    json_begin_object(w, "data");
    if (cgroup->mode == CGROUP_V2)
        put_cpu_v2(cgroup, w);
    else
        put_cpu_v1(cgroup, w);
    put_memory(cgroup, w);
    json_begin_object(w, "pids");
    put_file(w, "current", open_dir(cgroup, "pids"), "pids.current");
    unsigned long long limit = 0;
    if (cgroup_read_number(open_dir(cgroup, "pids"), "pids.max", &limit) == 0 && limit != ULLONG_MAX)
        put(w, "limit", limit);
    json_end_object(w);
    json_begin_object(w, "blkio");
    if (cgroup->mode != CGROUP_V2) {
        put_block_io(w, "ioServiceBytesRecursive", open_dir(cgroup, "blkio"),
                     "blkio.throttle.io_service_bytes_recursive");
        put_block_io(w, "ioServicedRecursive", open_dir(cgroup, "blkio"), "blkio.throttle.io_serviced_recursive");
    }
    json_end_object(w);
    json_begin_object(w, "hugetlb");
    json_end_object(w);
    json_begin_object(w, "intel_rdt");
    json_end_object(w);
    json_put_null(w, "network_interfaces");
    json_end_object(w);
    json_end_object(w);
    return w->failed ? fault_text(f, STAGE_RUNTIME, "out of memory") : 0;
}
