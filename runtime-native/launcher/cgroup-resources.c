#include "cgroup-resources.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cgroup-devices.h"
#include "io.h"
#include "log.h"

int cgroup_put(const struct cgroup_dir *dir, const char *file, const char *value, struct fault *f)
{
    if (!value || !*value)
        return 0;
    if (cgroup_write(dir, file, value, f) == 0)
        return 0;
    if (f->error != ENOENT || cgroup_has_file(dir, file))
        return -1;
    log_warning("this machine has no cgroup setting %s: \"%s\" is not applied", file, value);
    return 0;
}

int cgroup_put_number(const struct cgroup_dir *dir, const char *file, long long value, struct fault *f)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", value);
    return cgroup_put(dir, file, text, f);
}

int cgroup_put_member(const struct cgroup_dir *dir, const char *file, const struct json *section, const char *key,
                      struct fault *f)
{
    int64_t number = 0;
    uint64_t large = 0;
    const struct json *member = json_get(section, key);
    if (json_int64(section, key, &number) < 0 && json_uint64(section, key, &large) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: %s is no integer", key);
    return number || large ? cgroup_put(dir, file, member->text, f) : 0;
}

int cgroup_put_together(const struct cgroup_dir *dir, const struct cgroup_setting *settings, size_t count,
                        struct fault *f)
{
    bool is_refused[8] = {false};
    for (size_t i = 0; i < count; i++) {
        struct fault first = {0};
        is_refused[i] = cgroup_put(dir, settings[i].file, settings[i].value, &first) < 0;
        if (is_refused[i] && first.error != EINVAL) {
            *f = first;
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (is_refused[i] && cgroup_put(dir, settings[i].file, settings[i].value, f) < 0)
            return -1;
    return 0;
}

int cgroup_put_hugepages(const struct cgroup_dir *dir, const struct json *limits, const char *suffix, struct fault *f)
{
    json_each(item, limits)
    {
        const char *size = json_string(item, "pageSize");
        uint64_t limit = 0;
        char file[128], text[32];
        if (!size || strchr(size, '/') || json_uint64(item, "limit", &limit) <= 0)
            return fault_text(f, STAGE_CGROUP, "linux.resources.hugepageLimits: a pageSize and a limit are needed");
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)limit);
        (void)snprintf(file, sizeof file, "hugetlb.%s.%s", size, suffix);
        if (cgroup_put(dir, file, text, f) < 0)
            return -1;
        (void)snprintf(file, sizeof file, "hugetlb.%s.rsvd.%s", size, suffix); /* since 5.7 */
        if (cgroup_has_file(dir, file) && cgroup_put(dir, file, text, f) < 0)
            return -1;
    }
    return 0;
}

static int put_pids(const struct cgroup_dir *dir, const struct json *pids, struct fault *f)
{
    int64_t limit = 0;
    if (json_int64(pids, "limit", &limit) < 0)
        return fault_text(f, STAGE_CGROUP, "linux.resources: the pids limit must be an integer");
    return limit < 0 ? cgroup_put(dir, "pids.max", "max", f) : cgroup_put_member(dir, "pids.max", pids, "limit", f);
}

static int put_rdma(const struct cgroup_dir *dir, const struct json *rdma, struct fault *f)
{
    json_each(item, rdma)
    {
        uint64_t handles = 0, objects = 0;
        int has_handles = json_uint64(item, "hcaHandles", &handles),
            has_objects = json_uint64(item, "hcaObjects", &objects);
        char text[256], first[48] = "", second[48] = "";
        if (has_handles < 0 || has_objects < 0)
            return fault_text(f, STAGE_CGROUP, "linux.resources.rdma: %s needs integers", item->key);
        if (has_handles)
            (void)snprintf(first, sizeof first, " hca_handle=%llu", (unsigned long long)handles);
        if (has_objects)
            (void)snprintf(second, sizeof second, " hca_object=%llu", (unsigned long long)objects);
        int length = snprintf(text, sizeof text, "%s%s%s", item->key, first, second);
        if (length < 0 || (size_t)length >= sizeof text)
            return fault_text(f, STAGE_CGROUP, "linux.resources.rdma: the name of %.64s… is too long", item->key);
        if ((has_handles || has_objects) && cgroup_put(dir, "rdma.max", text, f) < 0)
            return -1;
    }
    return 0;
}

/* Whether there is more in it than zeros and empty sections, which callers write for what they do not want. */
static bool asks_for_something(const struct json *section)
{
    static const char zero_counts[] = "swap,swappiness,burst,idle";
    if (!section)
        return false;
    if (section->type == JSON_NUMBER)
        return strcmp(section->text, "0") != 0 || (section->key && cgroup_is_listed(zero_counts, section->key));
    if (section->type == JSON_STRING)
        return section->length > 0;
    json_each(member, section)
    {
        if (asks_for_something(member))
            return true;
    }
    return section->type == JSON_BOOL && section->boolean;
}

static const struct section {
    const char *name, *v1_controller, *v2_controller; /* NULL: that version does not have it */
    cgroup_section *v1, *v2;
    const char *members; /* those that are the controller's; NULL: all */
} sections[] = {
    {"pids", "pids", "pids", put_pids, put_pids, NULL},
    {"memory", "memory", "memory", cgroup_v1_memory, cgroup_v2_memory, NULL},
    {"cpu", "cpuset", "cpuset", cgroup_v1_cpuset, cgroup_v2_cpuset, "cpus,mems"},
    {"cpu", "cpu", "cpu", cgroup_v1_cpu, cgroup_v2_cpu,
     "shares,quota,burst,period,realtimeRuntime,realtimePeriod,idle"},
    {"blockIO", "blkio", "io", cgroup_v1_block_io, cgroup_v2_block_io, NULL},
    {"hugepageLimits", "hugetlb", "hugetlb", cgroup_v1_hugepages, cgroup_v2_hugepages, NULL},
    {"rdma", "rdma", "rdma", put_rdma, put_rdma, NULL},
    {"network", "net_cls", NULL, cgroup_v1_classes, NULL, "classID"},
    {"network", "net_prio", NULL, cgroup_v1_priorities, NULL, "priorities"},
};

static bool is_asked_for(const struct section *section, const struct json *resources)
{
    const struct json *json = json_get(resources, section->name);
    if (!section->members)
        return asks_for_something(json);
    json_each(member, json)
    {
        if (cgroup_is_listed(section->members, member->key) && asks_for_something(member))
            return true;
    }
    return false;
}

static bool has_controller(const struct cgroup_dir *unified, const char *controller)
{
    AUTO_FREE char *controllers = read_file_at(unified->fd, "cgroup.controllers", 4096, NULL);
    return controllers && *controllers && cgroup_is_listed(controllers, controller);
}

/* On a hybrid machine the controllers that no v1 hierarchy took are the unified one's; nobody enables them there
 * before somebody asks. */
static const struct cgroup_dir *find_v2(const struct cgroup *cgroup, const char *controller)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    struct fault ignored = {0};
    if (!unified || unified->fd < 0 || !controller)
        return NULL;
    if (has_controller(unified, controller))
        return unified;
    return cgroup->mode == CGROUP_HYBRID && cgroup_v2_enable_controllers(unified, &ignored) == 0 &&
                   has_controller(unified, controller)
               ? unified
               : NULL;
}

/* A rootless container may have no group at all; a limit that was asked for is a failure then. */
static int explain_absence(const struct cgroup *cgroup, const struct section *section, struct fault *f)
{
    const struct cgroup_dir *unified = cgroup_unified(cgroup);
    if (cgroup->mode == CGROUP_NONE)
        return fault_text(f, STAGE_CGROUP, "cannot set limits without cgroups: linux.resources.%s", section->name);
    if (cgroup->mode == CGROUP_V2 && unified && unified->fd < 0)
        return fault_told(f, STAGE_CGROUP, EACCES,
                          "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: mkdir "
                          "%s: permission denied",
                          unified->path);
    if (cgroup->count == 0)
        return fault_text(f, STAGE_CGROUP, "cannot set %s limit: container could not join or create cgroup",
                          section->v1_controller);
    log_warning("this machine has no %s cgroup controller: linux.resources.%s is not applied",
                cgroup->mode == CGROUP_V2 && section->v2_controller ? section->v2_controller : section->v1_controller,
                section->name);
    return 0;
}

static int apply_section(const struct cgroup *cgroup, const struct section *section, const struct json *resources,
                         struct fault *f)
{
    const struct cgroup_dir *v1 = cgroup_find(cgroup, section->v1_controller), *v2 = NULL;
    const struct json *json = json_get(resources, section->name);
    if (!is_asked_for(section, resources))
        return 0;
    if (v1 && v1->fd < 0)
        return fault_text(f, STAGE_CGROUP, "cannot set %s limit: container could not join or create cgroup",
                          section->v1_controller);
    if (v1)
        return section->v1(v1, json, f);
    v2 = find_v2(cgroup, section->v2_controller);
    return v2 ? section->v2(v2, json, f) : explain_absence(cgroup, section, f);
}

int cgroup_apply(const struct cgroup *cgroup, const struct json *resources, bool is_update, struct fault *f)
{
    const struct json *unified = json_get(resources, "unified"), *devices = json_get(resources, "devices");
    if (cgroup->mode != CGROUP_V2 && unified && unified->count)
        return fault_text(f, STAGE_CGROUP, "invalid configuration: cannot use unified on cgroup v1");
    if ((!is_update || devices) && cgroup_devices_apply(cgroup, devices, f) < 0)
        return -1;
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (apply_section(cgroup, &sections[i], resources, f) < 0)
            return -1;
    if (!unified || !unified->count)
        return 0;
    const struct cgroup_dir *dir = cgroup_unified(cgroup);
    return dir->fd < 0 ? explain_absence(cgroup, &(struct section){.name = "unified"}, f)
                       : cgroup_v2_unified(dir, unified, f);
}
