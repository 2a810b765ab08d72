/* Mounts the root file system for `runtime create`, in a mount namespace that only that call and the container see:
 * when the container's last process ends, the kernel unmounts it, whoever has died before. */
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

/* Mount flags among mount(8)'s options; the rest is for the file system. */
static const struct {
    const char *name;
    unsigned long flag;
} flag_names[] = {
    {"ro", MS_RDONLY},        {"nosuid", MS_NOSUID},   {"nodev", MS_NODEV},           {"noexec", MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS}, {"noatime", MS_NOATIME}, {"nodiratime", MS_NODIRATIME}, {"relatime", MS_RELATIME}};

static unsigned long take_flag(const char *option)
{
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (strcmp(option, flag_names[i].name) == 0)
            return flag_names[i].flag;
    return 0;
}

static unsigned long split_options(const char *options, char *data)
{
    AUTO_FREE char *copy = strdup(options ? options : "");
    unsigned long flags = 0;
    char *rest = copy, *option;
    *data = '\0';
    while (copy && (option = strsep(&rest, ","))) {
        unsigned long flag = take_flag(option);
        flags |= flag;
        if (flag || !*option || strcmp(option, "rw") == 0)
            continue;
        if (*data)
            (void)strcat(data, ",");
        (void)strcat(data, option);
    }
    return flags;
}

/* The folder that all lower layers stand in: what comes before the first difference, up to a slash. */
static size_t common_folder(const char *layers, size_t length)
{
    size_t common = 0;
    for (size_t at = 0; at < length && layers[at] != ':'; at++)
        if (layers[at] == '/')
            common = at + 1;
    for (const char *layer = layers; common > 0 && layer;) {
        size_t same = 0;
        while (same < common && layer[same] == layers[same])
            same++;
        if (same < common)
            while (common > 0 && (common > same || layers[common - 1] != '/'))
                common--;
        layer = memchr(layer, ':', length - (size_t)(layer - layers));
        layer = layer ? layer + 1 : NULL;
    }
    return common;
}

/* mount(2) takes one page of options, and a hundred layers are more. Relative names from their common folder are not.
 */
static int shorten_layers(char *data, struct fault *f)
{
    char *layers = strstr(data, "lowerdir=");
    if (!layers || (layers != data && layers[-1] != ','))
        return 0;
    layers += strlen("lowerdir=");
    size_t length = strcspn(layers, ","), common = common_folder(layers, length);
    if (common == 0 || layers[0] != '/')
        return 0;
    AUTO_FREE char *folder = strndup(layers, common);
    if (!folder || chdir(folder) < 0)
        return fault_errno(f, STAGE_ROOTFS, "chdir %s", folder ? folder : "");
    char *out = layers;
    for (char *layer = layers, *end = layers + length; layer < end;) {
        size_t size = strcspn(layer, ":,");
        memmove(out, layer + common, size - common);
        out += size - common;
        if (layer[size] != ':' || layer + size >= end)
            break;
        *out++ = ':';
        layer += size + 1;
    }
    memmove(out, layers + length, strlen(layers + length) + 1);
    return 0;
}

/* What overlayfs makes for itself (work folders, copies, whiteouts) it makes as who has mounted it: with all of root's
 * capabilities, which setfsuid(2) would take. */
static int become_owner(uint64_t uid, uint64_t gid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    (void)setfsgid((gid_t)gid);
    (void)setfsuid((uid_t)uid);
    return (int)syscall(SYS_capset, &header, data);
}

static int mount_overlay(const struct config *c, const char *target, struct fault *f)
{
    AUTO_FREE char *data = malloc(strlen(c->rootfs_options ? c->rootfs_options : "") + 2);
    if (!data)
        return fault_errno(f, STAGE_ROOTFS, "mount %s", target);
    unsigned long flags = split_options(c->rootfs_options, data);
    if (strlen(data) >= (size_t)sysconf(_SC_PAGESIZE) && shorten_layers(data, f) < 0)
        return -1;
    if (become_owner(c->rootfs_uid, c->rootfs_gid) < 0)
        return fault_errno(f, STAGE_ROOTFS, "setfsuid");
    int result = mount(c->rootfs_source ? c->rootfs_source : c->rootfs_type, target, c->rootfs_type, flags, data);
    if (result < 0)
        fault_errno(f, STAGE_ROOTFS, "mount %s on %s", c->rootfs_type, target);
    (void)become_owner(0, 0);
    return result;
}

static int mount_bind(const struct config *c, const char *target, struct fault *f)
{
    AUTO_FREE char *data = malloc(strlen(c->rootfs_options ? c->rootfs_options : "") + 2);
    if (!data)
        return fault_errno(f, STAGE_ROOTFS, "mount %s", target);
    unsigned long flags = split_options(c->rootfs_options, data);
    if (mount(c->rootfs_source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
        return fault_errno(f, STAGE_ROOTFS, "mount %s on %s", c->rootfs_source, target);
    if (flags && mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | flags, NULL) < 0)
        return fault_errno(f, STAGE_ROOTFS, "remount %s", target);
    return 0;
}

/* The last process of a mount namespace takes it apart when it exits, and waits there for the kernel's readers: 1 ms,
 * 10 on a busy machine. The runtime's exit is what the daemon waits for, so a child stays a moment longer than it, and
 * pays. */
static void leave_undertaker(void)
{
    pid_t parent = getpid();
    if (fork() != 0)
        return; /* where it fails, the runtime pays itself */
    (void)close_range(0, ~0U, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent)
        (void)pause();
    _exit(0);
}

int rootfs_mount(const struct config *c, struct fault *f)
{
    AUTO_CLOSE int bundle = -1;
    char target[PATH_MAX];
    if (!c->rootfs_type)
        return 0;
    if (unshare(CLONE_NEWNS) < 0)
        return fault_errno(f, STAGE_ROOTFS, "unshare the mount namespace");
    if (!getcwd(target, sizeof target - sizeof "/rootfs"))
        return fault_errno(f, STAGE_ROOTFS, "getcwd");
    bundle = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (bundle < 0)
        return fault_errno(f, STAGE_ROOTFS, "open %s", target);
    (void)strcat(target, "/rootfs");
    bool is_bind = strcmp(c->rootfs_type, "bind") == 0;
    if ((is_bind ? mount_bind(c, target, f) : mount_overlay(c, target, f)) < 0)
        return -1;
    if (fchdir(bundle) < 0)
        return fault_errno(f, STAGE_ROOTFS, "chdir to the bundle");
    leave_undertaker();
    return 0;
}
