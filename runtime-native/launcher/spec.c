#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "options.h"

/* The config that `runc spec` writes: a shell with few rights in namespaces of its own. */
static const char example[] =
    "{\"ociVersion\":\"" OCI_VERSION
    "\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],"
    "\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"TERM=xterm\"],\"cwd\":\"/\","
    "\"capabilities\":{\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"minirun\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/"
    "dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\","
    "\"size=65536k\"]},"
    "{\"destination\":\"/dev/"
    "pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\","
    "\"ptmxmode=0666\",\"mode=0620\"%s]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\","
    "\"mode=1777\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/"
    "mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
    "%s"
    "{\"destination\":\"/sys/fs/"
    "cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\",\"options\":[\"nosuid\",\"noexec\",\"nodev\","
    "\"relatime\",\"ro\"]}],"
    "\"linux\":{%s\"namespaces\":[{\"type\":\"pid\"},%s{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}%s%s],"
    "\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/kcore\",\"/proc/keys\",\"/proc/latency_stats\",\"/proc/"
    "timer_list\","
    "\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

/* As runc: a namespace hides little where each v1 controller has a tree of its own. */
static bool has_unified_cgroups(void)
{
    struct statfs status;
    return statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

static void format_example(bool rootless, char *text, size_t size)
{
    char mappings[256] = "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},";
    if (rootless)
        (void)snprintf(mappings, sizeof mappings,
                       "\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],"
                       "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":1}],",
                       geteuid(), getegid());
    (void)snprintf(
        text, size, example, rootless ? "" : ",\"gid=5\"",
        rootless
            ? "{\"destination\":\"/sys\",\"type\":\"none\",\"source\":\"/sys\",\"options\":[\"rbind\",\"nosuid\","
              "\"noexec\",\"nodev\",\"ro\"]},"
            : "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\","
              "\"nodev\",\"ro\"]},",
        mappings, rootless ? "" : "{\"type\":\"network\"},", has_unified_cgroups() ? ",{\"type\":\"cgroup\"}" : "",
        rootless ? ",{\"type\":\"user\"}" : "");
}

static int write_example(bool rootless, struct fault *f)
{
    char text[8192];
    format_example(rootless, text, sizeof text);
    AUTO_CLOSE int fd = open("config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno == EEXIST ? fault_told(f, STAGE_IO, EEXIST, "File config.json exists. Remove it first")
                               : fault_errno(f, STAGE_IO, "open config.json");
    if (dup2(fd, STDOUT_FILENO) < 0)
        return fault_errno(f, STAGE_IO, "write config.json");
    struct json_writer w = {.text = text, .length = strlen(text)};
    print_json(&w, "\t");
    return fflush(stdout) != 0 ? fault_errno(f, STAGE_IO, "write config.json") : 0;
}

int command_spec(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    bool rootless = false;
    const char *bundle = NULL;
    const struct option_rule rules[] = {
        {"bundle", "b", OPTION_TEXT, &bundle, "write it into this folder"},
        {"rootless", NULL, OPTION_FLAG, &rootless, "for a user without rights: maps just that one"},
        OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    if (bundle && chdir(bundle) < 0)
        return fault_errno(f, STAGE_ARGUMENTS, "chdir %s", bundle);
    return write_example(rootless, f);
}
