#include "cgroup-devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "log.h"

#define DEVICES_LIST_SIZE (1024 * 1024)

/* What every container may use, whatever the spec says: OCI "default devices", mknod of anything, terminals. */
static const struct device_exception default_devices[] = {
    {'c', ANY_DEVICE, ANY_DEVICE, BPF_DEVCG_ACC_MKNOD},
    {'b', ANY_DEVICE, ANY_DEVICE, BPF_DEVCG_ACC_MKNOD},
    {'c', 1, 3, ALL_ACCESS},            /* null */
    {'c', 1, 8, ALL_ACCESS},            /* random */
    {'c', 1, 7, ALL_ACCESS},            /* full */
    {'c', 5, 0, ALL_ACCESS},            /* tty */
    {'c', 1, 5, ALL_ACCESS},            /* zero */
    {'c', 1, 9, ALL_ACCESS},            /* urandom */
    {'c', 136, ANY_DEVICE, ALL_ACCESS}, /* pts */
    {'c', 5, 2, ALL_ACCESS},            /* ptmx */
    {'c', 10, 200, ALL_ACCESS},         /* net/tun */
};

static bool is_same(const struct device_exception *a, const struct device_exception *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static bool covers(const struct device_exception *wide, const struct device_exception *narrow)
{
    return wide->type == narrow->type && (wide->major == ANY_DEVICE || wide->major == narrow->major) &&
           (wide->minor == ANY_DEVICE || wide->minor == narrow->minor);
}

static int add(struct device_policy *policy, const struct device_exception *rule, struct fault *f)
{
    for (size_t i = 0; i < policy->count; i++)
        if (is_same(&policy->exceptions[i], rule)) {
            policy->exceptions[i].access |= rule->access;
            return 0;
        }
    if (policy->count == MAX_EXCEPTIONS)
        return fault_text(f, STAGE_CGROUP, "linux.resources: more than %d device rules", MAX_EXCEPTIONS);
    policy->exceptions[policy->count++] = *rule;
    return 0;
}

/* v1 passes over a request to take something out of a wider exception; who asks must know that it would not happen. */
static int take_away(struct device_policy *policy, const struct device_exception *rule, struct fault *f)
{
    for (size_t i = 0; i < policy->count; i++) {
        struct device_exception *exception = &policy->exceptions[i];
        if (is_same(exception, rule)) {
            exception->access &= ~rule->access;
            if (!exception->access)
                policy->exceptions[i--] = policy->exceptions[--policy->count];
        } else if (covers(exception, rule) && exception->access & rule->access) {
            return fault_text(f, STAGE_CGROUP,
                              "unable to remove '%s' exception: requested rule [%c %lld:%lld] not supported by devices "
                              "cgroupv1 (cannot punch hole in existing wildcard rule [%c %lld:%lld])",
                              policy->allows ? "deny" : "allow", rule->type, rule->major, rule->minor, exception->type,
                              exception->major, exception->minor);
        }
    }
    return 0;
}

/* A rule for all types starts anew, whatever numbers and access it names: that is how the kernel reads "a". */
static int apply_rule(struct device_policy *policy, const struct device_exception *rule, bool allow, struct fault *f)
{
    if (rule->type == 'a') {
        policy->allows = allow;
        policy->count = 0;
        return 0;
    }
    return allow == policy->allows ? take_away(policy, rule, f) : add(policy, rule, f);
}

static int parse_rule(const struct json *json, struct device_exception *rule, struct fault *f)
{
    int64_t major = ANY_DEVICE, minor = ANY_DEVICE;
    const char *type = json_string(json, "type"), *access = json_string(json, "access");
    if (json_int64(json, "major", &major) < 0 || json_int64(json, "minor", &minor) < 0 || major > UINT32_MAX ||
        minor > UINT32_MAX)
        return fault_text(f, STAGE_CGROUP, "linux.resources: a device's numbers must be integers of 32 bits");
    *rule = (struct device_exception){.type = type && *type ? *type : 'a',
                                      .major = major < 0 ? ANY_DEVICE : major,
                                      .minor = minor < 0 ? ANY_DEVICE : minor};
    if (!strchr("abcu", rule->type) || (type && *type && type[1]))
        return fault_text(f, STAGE_DEVICE, "invalid device type \"%s\"", type);
    if (rule->type == 'u')
        rule->type = 'c';
    for (const char *at = access && *access ? access : "rwm"; *at; at++) {
        const char *known = strchr("mrw", *at); /* BPF_DEVCG_ACC_MKNOD is 1, READ 2, WRITE 4 */
        if (known)                              /* other letters mean nothing, to runc too */
            rule->access |= 1U << (known - "mrw");
    }
    return 0;
}

int device_policy_parse(const struct json *rules, struct device_policy *policy, struct fault *f)
{
    struct device_exception rule;
    policy->allows = false;
    policy->count = 0;
    json_each(item, rules)
    {
        if (parse_rule(item, &rule, f) < 0 || apply_rule(policy, &rule, json_bool(item, "allow", false), f) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof default_devices / sizeof default_devices[0]; i++)
        if (apply_rule(policy, &default_devices[i], true, f) < 0)
            return -1;
    return 0;
}

/* A policy as devices.list shows it. A default of "allow" hides its exceptions, so it counts as unknown. */
static bool read_policy(const struct cgroup_dir *dir, struct device_policy *policy)
{
    AUTO_FREE char *list = read_file_at(dir->fd, "devices.list", DEVICES_LIST_SIZE, NULL);
    char *state = NULL;
    struct fault ignored = {0};
    policy->allows = false;
    policy->count = 0;
    for (char *line = list ? strtok_r(list, "\n", &state) : NULL; line; line = strtok_r(NULL, "\n", &state)) {
        char major[16], minor[16], access[8];
        struct device_exception rule = {0};
        if (sscanf(line, "%c %15[^:]:%15s %7s", &rule.type, major, minor, access) != 4 || rule.type == 'a')
            return false;
        rule.major = *major == '*' ? ANY_DEVICE : strtoll(major, NULL, 10);
        rule.minor = *minor == '*' ? ANY_DEVICE : strtoll(minor, NULL, 10);
        for (const char *at = access; *at; at++)
            rule.access |= *at == 'm' ? BPF_DEVCG_ACC_MKNOD : *at == 'r' ? BPF_DEVCG_ACC_READ : BPF_DEVCG_ACC_WRITE;
        if (add(policy, &rule, &ignored) < 0)
            return false;
    }
    return list;
}

static int write_rule(int fd, const struct cgroup_dir *dir, const struct device_exception *rule, struct fault *f)
{
    char major[24] = "*", minor[24] = "*", text[64] = "a";
    if (rule->major != ANY_DEVICE)
        (void)snprintf(major, sizeof major, "%lld", rule->major);
    if (rule->minor != ANY_DEVICE)
        (void)snprintf(minor, sizeof minor, "%lld", rule->minor);
    if (rule->type != 'a')
        (void)snprintf(text, sizeof text, "%c %s:%s %s%s%s", rule->type, major, minor,
                       rule->access & BPF_DEVCG_ACC_READ ? "r" : "", rule->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
                       rule->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");
    return write_all(fd, text, strlen(text)) < 0
               ? fault_errno(f, STAGE_CGROUP, "failed to write \"%s\": write %s/devices", text, dir->path)
               : 0;
}

/* The access of `rule` that no equal exception of `policy` has. */
static struct device_exception without(const struct device_exception *rule, const struct device_policy *policy)
{
    struct device_exception rest = *rule;
    for (size_t i = 0; i < policy->count; i++)
        if (is_same(&policy->exceptions[i], rule))
            rest.access &= ~policy->exceptions[i].access;
    return rest;
}

/* Writes only the difference where the old policy is known: running processes keep what both policies allow. */
static int apply_v1(const struct cgroup_dir *dir, const struct device_policy *policy, struct fault *f)
{
    AUTO_CLOSE int allow = openat(dir->fd, "devices.allow", O_WRONLY | O_CLOEXEC);
    AUTO_CLOSE int deny = openat(dir->fd, "devices.deny", O_WRONLY | O_CLOEXEC);
    AUTO_FREE struct device_policy *old = malloc(sizeof *old);
    if (allow < 0 || deny < 0 || !old)
        return fault_errno(f, STAGE_CGROUP, "open %s/devices.allow", dir->path);
    int to_default = policy->allows ? allow : deny, to_exception = policy->allows ? deny : allow;
    if (!read_policy(dir, old) || policy->allows) {
        old->count = 0;
        if (write_rule(to_default, dir, &(struct device_exception){.type = 'a'}, f) < 0)
            return -1;
    }
    for (size_t i = 0; i < old->count; i++) {
        struct device_exception rest = without(&old->exceptions[i], policy);
        if (rest.access && write_rule(to_default, dir, &rest, f) < 0)
            return -1;
    }
    for (size_t i = 0; i < policy->count; i++) {
        struct device_exception rest = without(&policy->exceptions[i], old);
        if (rest.access && write_rule(to_exception, dir, &rest, f) < 0)
            return -1;
    }
    return 0;
}

/* Without the devices controller of v1 the unified hierarchy takes a program, also beside other v1 controllers. Root of
 * a user namespace may do neither, and need not: it cannot make nodes of devices either. */
int cgroup_devices_apply(const struct cgroup *cgroup, const struct json *rules, struct fault *f)
{
    const struct cgroup_dir *v1 = cgroup_find(cgroup, "devices"), *unified = cgroup_unified(cgroup);
    AUTO_FREE struct device_policy *policy = malloc(sizeof *policy);
    if (!policy)
        return fault_errno(f, STAGE_CGROUP, "linux.resources.devices");
    if (device_policy_parse(rules, policy, f) < 0)
        return -1;
    if (cgroup->mode == CGROUP_NONE)
        return 0;
    int result = v1 && v1->fd >= 0 ? apply_v1(v1, policy, f)
                 : unified && unified->fd >= 0
                     ? cgroup_devices_v2(unified, policy, f)
                     : fault_told(f, STAGE_CGROUP, ENOENT, "no cgroup that could restrict devices");
    if (result < 0 && cgroup_is_rootless()) {
        log_debug("devices are not restricted: %s: %s", f->message, error_text(f->error));
        return 0;
    }
    return result;
}
