#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "path.h"

/* sysctl(8): either separator may come first, and then the other one stands for itself: net/ipv4/conf/eth0.100/x. */
static void to_dots(const char *key, char *dotted, size_t size)
{
    (void)snprintf(dotted, size, "%s", key);
    char *first = strpbrk(dotted, "./");
    if (!first || *first == '.')
        return;
    for (char *at = dotted; *at; at++)
        *at = (char)(*at == '/' ? '.' : *at == '.' ? '/' : *at);
}

static bool belongs_to_ipc(const char *key)
{
    static const char *const keys[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
                                       "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return strncmp(key, "fs.mqueue.", 10) == 0;
}

static int check_host_network(const struct config *config, const char *key, struct fault *f)
{
    const struct namespace *network = &config->namespaces[NS_NETWORK];
    if (network->is_set && !network->path)
        return 0;
    struct stat ours, theirs;
    if (network->path) {
        if (stat(network->path, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0)
            return fault_errno(f, STAGE_NAMESPACE, "invalid netns path: stat %s", network->path);
        if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
            return 0;
    }
    return fault_text(f, STAGE_SYSCTL, "sysctl \"%s\" not allowed in host network namespace", key);
}

static int validate_key(const struct config *config, const char *key, const char *value, struct fault *f)
{
    if (belongs_to_ipc(key))
        return config->namespaces[NS_IPC].is_set
                   ? 0
                   : fault_text(f, STAGE_SYSCTL, "sysctl \"%s\" is not allowed in the hosts ipc namespace", key);
    if (strncmp(key, "net.", 4) == 0)
        return check_host_network(config, key, f);
    if (config->namespaces[NS_UTS].is_set && strcmp(key, "kernel.domainname") == 0)
        return !config->domainname || strcmp(config->domainname, value) == 0
                   ? 0
                   : fault_text(f, STAGE_SYSCTL,
                                "sysctl \"%s\" is not allowed as it conflicts with the OCI \"domainname\" field", key);
    if (config->namespaces[NS_UTS].is_set && strcmp(key, "kernel.hostname") == 0)
        return fault_text(f, STAGE_SYSCTL,
                          "sysctl \"%s\" is not allowed as it conflicts with the OCI \"hostname\" field", key);
    if (strncmp(key, "user.", 5) == 0)
        return config->namespaces[NS_USER].is_set
                   ? 0
                   : fault_text(f, STAGE_SYSCTL, "setting ucounts without a user namespace not allowed: %s", key);
    return fault_text(f, STAGE_SYSCTL, "sysctl \"%s\" is not in a separate kernel namespace", key);
}

int sysctl_validate(const struct config *config, struct fault *f)
{
    json_each(item, config->sysctl)
    {
        char key[256];
        to_dots(item->key, key, sizeof key);
        if (item->type != JSON_STRING || strlen(item->key) >= sizeof key)
            return fault_text(f, STAGE_SYSCTL, "sysctl \"%s\": the value must be a string", item->key);
        /* "net.//.kernel.core_pattern" would climb out of "net" again. */
        if (strstr(key, "//") || strstr(key, ".."))
            return fault_text(f, STAGE_SYSCTL, "sysctl \"%s\" is not in a separate kernel namespace", key);
        if (validate_key(config, key, item->text, f) < 0)
            return -1;
    }
    return 0;
}

static void to_path(const char *key, char *path, size_t size)
{
    (void)snprintf(path, size, "sys/%s", key);
    for (char *at = path + 4; *at; at++)
        *at = (char)(*at == '.' ? '/' : *at == '/' ? '.' : *at);
}

/* No links, no "..", no other mount: what is opened is that file of this procfs (CVE-2025-52881). */
static int open_sysctl(int proc, const char *key)
{
    char path[300];
    to_path(key, path, sizeof path);
    return path_open_plain(proc, path, O_WRONLY, PATH_NO_LINKS | PATH_SAME_MOUNT);
}

int sysctl_apply(const struct json *sysctl, int proc, struct fault *f)
{
    json_each(item, sysctl)
    {
        char key[256];
        to_dots(item->key, key, sizeof key);
        AUTO_CLOSE int fd = open_sysctl(proc, key);
        if (fd < 0) {
            char path[300];
            to_path(key, path, sizeof path);
            return fault_errno(f, STAGE_SYSCTL,
                               "open sysctl %s file: unsafe procfs detected: openat2 "
                               "fsmount:fscontext:proc/./%s",
                               key, path);
        }
        if (write_all(fd, item->text, item->length) < 0)
            return fault_errno(f, STAGE_SYSCTL, "failed to write sysctl %s = \"%s\"", key, item->text);
    }
    return 0;
}
