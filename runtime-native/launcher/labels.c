#include "labels.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "path.h"

bool labels_are_wanted(const struct process_config *process)
{
    return (process->apparmor_profile && *process->apparmor_profile) ||
           (process->selinux_label && *process->selinux_label);
}

/* A label that lands in another file leaves the process unconfined (CVE-2019-16884): same procfs, nothing mounted over.
 */
static int open_attribute(int proc, const char *file)
{
    char path[64];
    /* Not gettid(3): musl's remembers the thread's number from before clone3. */
    (void)snprintf(path, sizeof path, "%ld/attr/%s", syscall(SYS_gettid), file);
    return path_open_plain(proc, path, O_WRONLY, PATH_NO_LINKS | PATH_SAME_MOUNT);
}

static bool has_apparmor(void)
{
    char answer = 'N';
    AUTO_CLOSE int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read_some(fd, &answer, 1) == 1 && answer == 'Y';
}

void labels_drop_unknown(struct process_config *process, const char **mount_label)
{
    const char **profile = &process->apparmor_profile;
    if (*profile && **profile && !has_apparmor()) {
        log_warning("this kernel has no AppArmor: the profile %s is not applied", *profile);
        *profile = NULL;
    }
    if (*mount_label && **mount_label && access("/sys/fs/selinux/enforce", F_OK) < 0) {
        log_warning("SELinux is not enabled: the mount label %s is not applied", *mount_label);
        *mount_label = NULL;
    }
}

static int apply_apparmor(const char *profile, int proc, struct fault *f)
{
    char text[512];
    int length = snprintf(text, sizeof text, "exec %s", profile);
    const char *file = "apparmor/exec"; /* since Linux 5.8, for stacked modules */
    AUTO_CLOSE int fd = open_attribute(proc, file);
    if (fd < 0)
        fd = open_attribute(proc, file = "exec");
    if (length < 0 || (size_t)length >= sizeof text || fd < 0 || write_all(fd, text, (size_t)length) < 0)
        return fault_errno(f, STAGE_LABEL,
                           "unable to apply apparmor profile: apparmor failed to apply profile: write "
                           "fsmount:fscontext:proc/thread-self/attr/%s",
                           file);
    return 0;
}

int labels_apply(const struct process_config *process, int proc, struct fault *f)
{
    if (process->apparmor_profile && *process->apparmor_profile &&
        apply_apparmor(process->apparmor_profile, proc, f) < 0)
        return -1;
    if (!process->selinux_label || !*process->selinux_label)
        return 0;
    AUTO_CLOSE int fd = open_attribute(proc, "exec");
    if (fd < 0 || write_all(fd, process->selinux_label, strlen(process->selinux_label)) < 0)
        return fault_errno(f, STAGE_LABEL, "can't set process label");
    return 0;
}

/* The kernel labels procfs, sysfs, cgroups and message queues itself. */
const char *label_mount_data(const char *label, const char *type, const char *data, char *buffer, size_t size)
{
    static const char *const own[] = {"proc", "sysfs", "cgroup", "cgroup2", "mqueue"};
    if (!label || !*label)
        return data;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(type, own[i]) == 0)
            return data;
    (void)snprintf(buffer, size, "%s%scontext=\"%s\"", data ? data : "", data && *data ? "," : "", label);
    return buffer;
}

int label_file(const char *label, int fd, struct fault *f)
{
    char path[40];
    if (!label || !*label)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (setxattr(path, "security.selinux", label, strlen(label) + 1, 0) < 0)
        return fault_errno(f, STAGE_LABEL, "failed to set file label");
    return 0;
}
