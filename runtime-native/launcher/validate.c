/* Contradictions that are refused before anything is touched, in runc's words. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "log.h"
#include "network-devices.h"
#include "scheduler.h"
#include "sysctl.h"
#include "user-namespace.h"

int process_validate(const struct process_config *process, struct fault *f)
{
    if (!*process->cwd)
        return fault_text(f, STAGE_CONFIG, "Cwd property must not be empty");
    if (*process->cwd != '/')
        return fault_text(f, STAGE_CONFIG, "Cwd must be an absolute path");
    if (!process->args[0])
        return fault_text(f, STAGE_CONFIG, "args must not be empty");
    if (process->selinux_label && *process->selinux_label && access("/sys/fs/selinux/enforce", F_OK) < 0)
        return fault_text(f, STAGE_LABEL,
                          "selinux label is specified in config, but selinux is disabled or not supported");
    return scheduler_validate(process, f);
}

static int validate_time_namespace(const struct config *config, struct fault *f)
{
    bool has_offsets = config->time_offsets && config->time_offsets->count;
    if (has_offsets && !config->namespaces[NS_TIME].is_set)
        return fault_text(f, STAGE_NAMESPACE,
                          "time namespace offsets specified, but time namespace isn't enabled in the config");
    if (has_offsets && config->namespaces[NS_TIME].path)
        return fault_text(f, STAGE_NAMESPACE,
                          "time namespace enabled, but both namespace path and time offsets "
                          "specified -- you may only provide one");
    return 0;
}

int config_validate(const struct config *config, struct fault *f)
{
    if (config->version && strtoul(config->version, NULL, 10) > 1)
        return fault_text(f, STAGE_CONFIG, "unsupported ociVersion %s: only 1.x is known", config->version);
    for (size_t i = 0; i < config->mount_count; i++)
        if (config->mounts[i].is_bind && config->mounts[i].data)
            log_warning("the options \"%s\" mean nothing to the bind mount on %s", config->mounts[i].data,
                        config->mounts[i].destination);
    if (!config->has_process)
        return fault_text(f, STAGE_CONFIG, "process property must not be empty");
    if (process_validate(&config->process, f) < 0 || personality_validate(config->personality, f) < 0)
        return -1;
    if (config->hostname && *config->hostname && !config->namespaces[NS_UTS].is_set)
        return fault_text(f, STAGE_CONFIG, "unable to set hostname without a private UTS namespace");
    if (config->domainname && *config->domainname && !config->namespaces[NS_UTS].is_set)
        return fault_text(f, STAGE_CONFIG, "unable to set domainname without a private UTS namespace");
    if ((config->masked_paths[0] || config->readonly_paths[0]) && !config->namespaces[NS_MOUNT].is_set)
        return fault_text(f, STAGE_CONFIG, "unable to restrict sys entries without a private MNT namespace");
    if (user_namespace_validate(config, f) < 0 || validate_time_namespace(config, f) < 0)
        return -1;
    return network_devices_validate(config, f) < 0 ? -1 : sysctl_validate(config, f);
}
