#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* By number: capability.h of the kernel. */
static const char *const names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
#define KNOWN ((int)(sizeof names / sizeof names[0]))

int capability_number(const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (strcasecmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *capability_name(int number)
{
    return number >= 0 && number < KNOWN ? names[number] : NULL;
}

static uint64_t parse_set(const struct json *array, char *unknown, size_t size)
{
    uint64_t set = 0;
    json_each(item, array)
    {
        int number = item->text ? capability_number(item->text) : -1;
        if (number >= 0)
            set |= UINT64_C(1) << number;
        else if (item->text && !strstr(unknown, item->text) && strlen(unknown) + strlen(item->text) + 2 < size)
            (void)snprintf(unknown + strlen(unknown), size - strlen(unknown), *unknown ? " %s" : "%s", item->text);
    }
    return set;
}

void capabilities_parse(struct capability_sets *sets, const struct json *capabilities)
{
    char unknown[512] = "";
    sets->bounding = parse_set(json_get(capabilities, "bounding"), unknown, sizeof unknown);
    sets->permitted = parse_set(json_get(capabilities, "permitted"), unknown, sizeof unknown);
    sets->effective = parse_set(json_get(capabilities, "effective"), unknown, sizeof unknown);
    sets->inheritable = parse_set(json_get(capabilities, "inheritable"), unknown, sizeof unknown);
    sets->ambient = parse_set(json_get(capabilities, "ambient"), unknown, sizeof unknown);
    if (*unknown)
        log_warning("ignoring unknown or unavailable capabilities: [%s]", unknown);
}

int capabilities_limit_bounding(const struct capability_sets *sets, struct fault *f)
{
    for (int cap = 0; cap < 64; cap++) {
        if (sets->bounding & (UINT64_C(1) << cap))
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                break; /* the first number that this kernel does not know: capabilities(7) */
            return fault_errno(f, STAGE_CAPABILITY, "unable to apply bounding set: %s", capability_name(cap));
        }
    }
    return 0;
}

static int held(struct __user_cap_data_struct data[2], struct fault *f)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    if (syscall(SYS_capget, &header, data) < 0)
        return fault_errno(f, STAGE_CAPABILITY, "unable to apply caps: capget");
    return 0;
}

static int set_process_sets(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

/* Asked for in the bounding set, but not in our own: such a one cannot be inherited either. */
static uint64_t missing_from_bounding(const struct capability_sets *sets)
{
    uint64_t missing = 0;
    for (int cap = 0; cap < KNOWN; cap++)
        if (sets->bounding & (UINT64_C(1) << cap) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
            missing |= UINT64_C(1) << cap;
    return missing;
}

/* What the caller itself does not hold (inside another container, or this VM without CAP_SYS_RESOURCE) cannot be given:
 * the rest is, as runc does. */
int capabilities_apply(const struct capability_sets *sets, struct fault *f)
{
    struct __user_cap_data_struct now[2];
    if (held(now, f) < 0)
        return -1;
    uint64_t permitted_now = (uint64_t)now[1].permitted << 32 | now[0].permitted;
    uint64_t permitted = sets->permitted & permitted_now;
    uint64_t effective = sets->effective & permitted;
    uint64_t inheritable = sets->inheritable & (permitted | sets->bounding);
    int result = set_process_sets(effective, permitted, inheritable);
    if (result < 0 && errno == EPERM)
        result = set_process_sets(effective, permitted, inheritable & ~missing_from_bounding(sets));
    if (result < 0)
        return fault_errno(f, STAGE_CAPABILITY, "unable to apply caps: capset");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return fault_errno(f, STAGE_CAPABILITY, "unable to apply caps: clear ambient");
    for (int cap = 0; cap < KNOWN; cap++) {
        if (!(sets->ambient & (UINT64_C(1) << cap)))
            continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            log_warning("can't raise ambient capability %s: %s", capability_name(cap), error_text(errno));
    }
    return 0;
}
