#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capabilities.h"
#include "io.h"
#include "log.h"
#include "rlimits.h"

#define MAX_CONFIG_SIZE (16 * 1024 * 1024)

static const char *json_type_name(const struct json *value)
{
    static const char *const names[] = {"null", "bool", "number", "string", "array", "object"};
    return names[value->type];
}

/* Go's words for a value of the wrong type: callers of runc have seen them for years. */
static int wrong_type(const struct json *value, const char *field, const char *wanted, struct fault *f)
{
    bool shows_value =
        value->type == JSON_NUMBER && strncmp(wanted, "uint", 4) == 0; /* of the right type, but too large */
    return fault_text(f, STAGE_CONFIG, "json: cannot unmarshal %s%s%s into Go struct field %s of type %s",
                      json_type_name(value), shows_value ? " " : "", shows_value ? value->text : "", field, wanted);
}

static int get_string(const struct json *object, const char *key, const char *field, const char **text, struct fault *f)
{
    const struct json *value = json_get(object, key);
    if (!value || value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_STRING)
        return wrong_type(value, field, "string", f);
    if (memchr(value->text, '\0', value->length))
        return fault_text(f, STAGE_CONFIG, "%s: a string with a NUL byte", field);
    *text = value->text;
    return 0;
}

int config_uint32(const struct json *object, const char *key, const char *field, uint32_t *value, struct fault *f)
{
    uint64_t number = 0;
    int found = json_uint64(object, key, &number);
    if (found < 0 || number > UINT32_MAX)
        return wrong_type(json_get(object, key), field, "uint32", f);
    if (found)
        *value = (uint32_t)number;
    return 0;
}

int config_strings(struct arena *arena, const struct json *array, char ***strings, struct fault *f)
{
    if (array && array->type != JSON_ARRAY && array->type != JSON_NULL)
        return wrong_type(array, array->key ? array->key : "list", "[]string", f);
    *strings = arena_alloc(arena, (array ? array->count : 0) + 1, sizeof **strings);
    if (!*strings)
        return fault_errno(f, STAGE_CONFIG, "read a list of strings");
    size_t count = 0;
    json_each(item, array)
    {
        if (item->type != JSON_STRING)
            return wrong_type(item, array->key ? array->key : "list", "string", f);
        if (memchr(item->text, '\0', item->length))
            return fault_text(f, STAGE_CONFIG, "%s: a string with a NUL byte", array->key ? array->key : "list");
        (*strings)[count++] = (char *)(uintptr_t)item->text; /* execve(2) wants char *, and only reads */
    }
    return 0;
}

int config_mappings(struct arena *arena, const struct json *array, struct id_mappings *mappings, struct fault *f)
{
    mappings->items = arena_alloc(arena, (array ? array->count : 0) + 1, sizeof *mappings->items);
    if (!mappings->items)
        return fault_errno(f, STAGE_CONFIG, "read id mappings");
    json_each(item, array)
    {
        struct id_mapping *mapping = &mappings->items[mappings->count++];
        if (config_uint32(item, "containerID", "LinuxIDMapping.containerID", &mapping->container, f) < 0 ||
            config_uint32(item, "hostID", "LinuxIDMapping.hostID", &mapping->host, f) < 0 ||
            config_uint32(item, "size", "LinuxIDMapping.size", &mapping->size, f) < 0)
            return -1;
    }
    return 0;
}

static int parse_user(struct arena *arena, struct process_config *process, const struct json *user, struct fault *f)
{
    if (config_uint32(user, "uid", "User.process.user.uid", &process->uid, f) < 0 ||
        config_uint32(user, "gid", "User.process.user.gid", &process->gid, f) < 0)
        return -1;
    /* -1 says "as it is" to setresuid(2): root would stay root. */
    if (process->uid == UINT32_MAX || process->gid == UINT32_MAX)
        return fault_text(f, STAGE_USER, "user ids must be below 4294967295");
    uint64_t mask = 0;
    process->has_umask = json_uint64(user, "umask", &mask) > 0;
    process->umask = (mode_t)(mask & 0777);
    const struct json *groups = json_get(user, "additionalGids");
    process->groups = arena_alloc(arena, (groups ? groups->count : 0) + 1, sizeof *process->groups);
    if (!process->groups)
        return fault_errno(f, STAGE_CONFIG, "read additionalGids");
    json_each(item, groups)
    {
        char *end;
        errno = 0;
        unsigned long gid = item->type == JSON_NUMBER ? strtoul(item->text, &end, 10) : ULONG_MAX;
        if (item->type != JSON_NUMBER || errno || *end || *item->text == '-' || gid > UINT32_MAX)
            return wrong_type(item, "User.process.user.additionalGids", "uint32", f);
        process->groups[process->group_count++] = (gid_t)gid;
    }
    return 0;
}

static int parse_flags(struct process_config *process, const struct json *json, struct fault *f)
{
    process->has_terminal = json_bool(json, "terminal", false);
    process->no_new_privileges = json_bool(json, "noNewPrivileges", false);
    const struct json *size = json_get(json, "consoleSize");
    uint32_t height = 0, width = 0;
    if (config_uint32(size, "height", "Box.process.consoleSize.height", &height, f) < 0 ||
        config_uint32(size, "width", "Box.process.consoleSize.width", &width, f) < 0)
        return -1;
    process->console_height = (unsigned short)height;
    process->console_width = (unsigned short)width;
    int64_t score = 0;
    int found = json_int64(json, "oomScoreAdj", &score);
    if (found < 0 || score < -1000 || score > 1000)
        return fault_text(f, STAGE_CONFIG, "oomScoreAdj must be between -1000 and 1000");
    process->has_oom_score = found > 0;
    process->oom_score = (int)score;
    process->scheduler = json_get(json, "scheduler");
    process->io_priority = json_get(json, "ioPriority");
    process->cpu_affinity = json_get(json, "execCPUAffinity");
    return 0;
}

int config_parse_process(struct arena *arena, struct process_config *process, const struct json *json, struct fault *f)
{
    process->cwd = "";
    if (config_strings(arena, json_get(json, "args"), &process->args, f) < 0 ||
        config_strings(arena, json_get(json, "env"), &process->env, f) < 0 ||
        get_string(json, "cwd", "Process.process.cwd", &process->cwd, f) < 0 ||
        get_string(json, "apparmorProfile", "Process.process.apparmorProfile", &process->apparmor_profile, f) < 0 ||
        get_string(json, "selinuxLabel", "Process.process.selinuxLabel", &process->selinux_label, f) < 0 ||
        parse_user(arena, process, json_get(json, "user"), f) < 0 || parse_flags(process, json, f) < 0 ||
        rlimits_parse(arena, process, json_get(json, "rlimits"), f) < 0)
        return -1;
    capabilities_parse(&process->capabilities, json_get(json, "capabilities"));
    return 0;
}

static int parse_namespaces(struct config *config, const struct json *namespaces, struct fault *f)
{
    static const char *const names[NS_COUNT] = {"user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"};
    json_each(item, namespaces)
    {
        const char *type = json_string(item, "type"), *path = json_string(item, "path");
        int kind = 0;
        while (kind < NS_COUNT && (!type || strcmp(names[kind], type) != 0))
            kind++;
        if (kind == NS_COUNT)
            return fault_text(f, STAGE_NAMESPACE, "namespace {\"%s\" \"%s\"} does not exist", type ? type : "",
                              path ? path : "");
        if (config->namespaces[kind].is_set)
            return fault_text(f, STAGE_NAMESPACE, "malformed spec file: duplicated ns {\"%s\" \"%s\"}", type,
                              path ? path : "");
        config->namespaces[kind] = (struct namespace){.is_set = true, .path = path && *path ? path : NULL};
    }
    return 0;
}

static int parse_device(struct arena *arena, struct device *device, const struct json *json, struct fault *f)
{
    const char *type = json_string(json, "type");
    device->path = json_string(json, "path");
    if (!type || !type[0] || type[1] || !strchr("cubp", type[0]))
        return fault_text(f, STAGE_DEVICE, "invalid device type \"%s\"", type ? type : "");
    if (!device->path)
        return fault_text(f, STAGE_DEVICE, "device path must not be empty");
    size_t length = strlen(device->path);
    while (length > 1 && device->path[length - 1] == '/')
        length--;
    device->path = arena_format(arena, "%.*s", (int)length, device->path);
    if (!device->path)
        return fault_errno(f, STAGE_DEVICE, "read devices");
    device->type = type[0] == 'u' ? 'c' : type[0];
    uint32_t mode = 0666;
    if (config_uint32(json, "major", "LinuxDevice.linux.devices.major", &device->major, f) < 0 ||
        config_uint32(json, "minor", "LinuxDevice.linux.devices.minor", &device->minor, f) < 0 ||
        config_uint32(json, "fileMode", "LinuxDevice.linux.devices.fileMode", &mode, f) < 0 ||
        config_uint32(json, "uid", "LinuxDevice.linux.devices.uid", &device->uid, f) < 0 ||
        config_uint32(json, "gid", "LinuxDevice.linux.devices.gid", &device->gid, f) < 0)
        return -1;
    device->mode = (mode_t)(mode & 07777);
    return 0;
}

static int parse_devices(struct config *config, const struct json *devices, struct fault *f)
{
    config->devices = arena_alloc(&config->arena, (devices ? devices->count : 0) + 1, sizeof *config->devices);
    if (!config->devices)
        return fault_errno(f, STAGE_CONFIG, "read devices");
    json_each(item, devices)
    {
        if (parse_device(&config->arena, &config->devices[config->device_count], item, f) < 0)
            return -1;
        config->device_count++;
    }
    return 0;
}

static int parse_linux(struct config *config, const struct json *section, struct fault *f)
{
    const char *propagation = NULL;
    if (parse_namespaces(config, json_get(section, "namespaces"), f) < 0 ||
        parse_devices(config, json_get(section, "devices"), f) < 0 ||
        config_mappings(&config->arena, json_get(section, "uidMappings"), &config->uid_mappings, f) < 0 ||
        config_mappings(&config->arena, json_get(section, "gidMappings"), &config->gid_mappings, f) < 0 ||
        config_strings(&config->arena, json_get(section, "maskedPaths"), &config->masked_paths, f) < 0 ||
        config_strings(&config->arena, json_get(section, "readonlyPaths"), &config->readonly_paths, f) < 0 ||
        get_string(section, "cgroupsPath", "Linux.linux.cgroupsPath", &config->cgroups_path, f) < 0 ||
        get_string(section, "mountLabel", "Linux.linux.mountLabel", &config->mount_label, f) < 0 ||
        get_string(section, "rootfsPropagation", "Linux.linux.rootfsPropagation", &propagation, f) < 0)
        return -1;
    if (propagation && *propagation && config_parse_propagation(propagation, &config->rootfs_propagation) < 0)
        return fault_text(f, STAGE_CONFIG, "rootfsPropagation=%s is not supported", propagation);
    config->resources = json_get(section, "resources");
    config->seccomp = json_get(section, "seccomp");
    config->sysctl = json_get(section, "sysctl");
    config->time_offsets = json_get(section, "timeOffsets");
    config->personality = json_get(section, "personality");
    config->network_devices = json_get(section, "netDevices");
    config->memory_policy = json_get(section, "memoryPolicy");
    if (json_get(section, "intelRdt") && json_get(section, "intelRdt")->type == JSON_OBJECT)
        return fault_text(f, STAGE_CONFIG, "intelRdt is specified in config, but Intel RDT is not enabled");
    return 0;
}

static int find_rootfs(struct config *config, struct fault *f)
{
    const char *path = "";
    const struct json *root = json_get(config->root, "root");
    if (!root)
        return fault_text(f, STAGE_CONFIG, "root must be specified");
    if (get_string(root, "path", "Root.root.path", &path, f) < 0)
        return -1;
    const char *whole = *path == '/' ? path : arena_format(&config->arena, "%s/%s", config->bundle, path);
    if (!whole)
        return fault_errno(f, STAGE_CONFIG, "read root");
    if (access(whole, F_OK) < 0)
        return fault_errno(f, STAGE_ROOTFS, "invalid rootfs: stat %s", whole);
    AUTO_FREE char *real = realpath(whole, NULL);
    config->rootfs = real ? arena_format(&config->arena, "%s", real) : NULL;
    config->is_rootfs_readonly = json_bool(root, "readonly", false);
    return config->rootfs ? 0 : fault_errno(f, STAGE_ROOTFS, "invalid rootfs: %s", whole);
}

static int parse_root(struct config *config, struct fault *f)
{
    if (get_string(config->root, "ociVersion", "Spec.ociVersion", &config->version, f) < 0 ||
        get_string(config->root, "hostname", "Spec.hostname", &config->hostname, f) < 0 ||
        get_string(config->root, "domainname", "Spec.domainname", &config->domainname, f) < 0 ||
        find_rootfs(config, f) < 0)
        return -1;
    const struct json *process = json_get(config->root, "process");
    config->has_process = process && process->type == JSON_OBJECT;
    if (config->has_process && config_parse_process(&config->arena, &config->process, process, f) < 0)
        return -1;
    config->hooks = json_get(config->root, "hooks");
    config->annotations = json_get(config->root, "annotations");
    return parse_linux(config, json_get(config->root, "linux"), f) < 0
               ? -1
               : config_parse_mounts(config, json_get(config->root, "mounts"), f);
}

int config_load(struct config *config, const char *bundle, const char *file, struct fault *f)
{
    AUTO_FREE char *absolute = realpath(bundle, NULL);
    if (!absolute)
        return fault_errno(f, STAGE_CONFIG, "chdir %s", bundle);
    config->bundle = arena_format(&config->arena, "%s", absolute);
    const char *name = file && *file ? file : "config.json";
    AUTO_FREE char *elsewhere = strcmp(name, "config.json") == 0 ? NULL : realpath(name, NULL);
    config->file = elsewhere ? arena_format(&config->arena, "%s", elsewhere)
                             : arena_format(&config->arena, "%s/%s", absolute, name);
    if (!config->bundle || !config->file)
        return fault_errno(f, STAGE_CONFIG, "chdir %s", bundle);
    size_t size = 0;
    AUTO_FREE char *text = read_file_at(AT_FDCWD, config->file, MAX_CONFIG_SIZE, &size);
    if (!text && errno == ENOENT)
        return fault_told(f, STAGE_CONFIG, ENOENT, "JSON specification file %s not found", name);
    if (!text)
        return fault_errno(f, STAGE_CONFIG, "open %s", config->file);
    config->document = json_parse(text, size, f);
    if (!config->document)
        return -1;
    config->root = json_root(config->document);
    if (config->root->type != JSON_OBJECT)
        return wrong_type(config->root, "config.json", "specs.Spec", f);
    return parse_root(config, f);
}

void config_free(struct config *config)
{
    json_free(config->document);
    config->document = NULL;
    arena_free(&config->arena);
}

bool config_has_new_namespace(const struct config *config, enum namespace_kind kind)
{
    return config->namespaces[kind].is_set && !config->namespaces[kind].path;
}
