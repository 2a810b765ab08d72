#include <stddef.h>

#include "capabilities.h"
#include "commands.h"
#include "container.h"
#include "launch.h"
#include "options.h"

static void put_list(struct json_writer *w, const char *key, const char *const *words)
{
    json_begin_array(w, key);
    for (; *words; words++)
        json_put_string(w, NULL, *words);
    json_end_array(w);
}

static void put_enabled(struct json_writer *w, const char *key, bool enabled)
{
    json_begin_object(w, key);
    json_put_bool(w, "enabled", enabled);
    json_end_object(w);
}

static void put_seccomp(struct json_writer *w)
{
    static const char *const actions[] = {
        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",  "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",         NULL};
    static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                                            "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL};
    static const char *const architectures[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_X32", "SCMP_ARCH_X86",
                                                "SCMP_ARCH_X86_64", NULL};
    static const char *const flags[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                        "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};
    json_begin_object(w, "seccomp");
    json_put_bool(w, "enabled", true);
    put_list(w, "actions", actions);
    put_list(w, "operators", operators);
    put_list(w, "archs", architectures);
    put_list(w, "knownFlags", flags);
    put_list(w, "supportedFlags", flags);
    json_end_object(w);
}

static void put_linux(struct json_writer *w)
{
    static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts", NULL};
    json_begin_object(w, "linux");
    put_list(w, "namespaces", namespaces);
    json_begin_array(w, "capabilities");
    for (int i = 0; capability_name(i); i++)
        json_put_string(w, NULL, capability_name(i));
    json_end_array(w);
    json_begin_object(w, "cgroup");
    json_put_bool(w, "v1", true);
    json_put_bool(w, "v2", true);
    json_put_bool(w, "systemd", false);
    json_put_bool(w, "systemdUser", false);
    json_put_bool(w, "rdma", true);
    json_end_object(w);
    put_seccomp(w);
    put_enabled(w, "apparmor", true);
    put_enabled(w, "selinux", true);
    put_enabled(w, "intelRdt", false);
    put_enabled(w, "netDevices", true);
    json_begin_object(w, "mountExtensions");
    put_enabled(w, "idmap", true);
    json_end_object(w);
    json_end_object(w);
}

int command_features(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    static const char *const unsafe_annotations[] = {KEEP_GROUPS_ANNOTATION, STRICT_SECCOMP_ANNOTATION,
                                                     "org.criu.config", NULL};
    static const char *const hooks[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", NULL};
    const struct option_rule rules[] = {OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "ociVersionMin", "1.0.0");
    json_put_string(&w, "ociVersionMax", OCI_VERSION);
    put_list(&w, "hooks", hooks);
    json_begin_array(&w, "mountOptions");
    config_each_mount_option(&w);
    json_end_array(&w);
    put_linux(&w);
    put_list(&w, "potentiallyUnsafeConfigAnnotations", unsafe_annotations);
    json_begin_object(&w, "annotations");
    json_put_string(&w, "org.minidock.minirun.version", MINIDOCK_VERSION);
    json_put_string(&w, "org.opencontainers.runc.checkpoint.enabled", "true");
    json_end_object(&w);
    json_end_object(&w);
    print_json(&w, "    ");
    json_writer_free(&w);
    return 0;
}
