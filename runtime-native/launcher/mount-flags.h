/* What glibc's <sys/mount.h> would tell: before glibc 2.37 it cannot be included beside <linux/mount.h>, which has the
 * flags of mount(2). */
#ifndef MINIRUN_MOUNT_FLAGS_H
#define MINIRUN_MOUNT_FLAGS_H

#include <linux/mount.h>

#define MNT_DETACH 2
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
extern int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
extern int umount2(const char *target, int flags);

/* By the names that runc prints. */
static const struct {
    unsigned long flag;
    const char *name;
} mount_flag_names[] = {
    {MS_RDONLY, "MS_RDONLY"},
    {MS_NOSUID, "MS_NOSUID"},
    {MS_NODEV, "MS_NODEV"},
    {MS_NOEXEC, "MS_NOEXEC"},
    {MS_SYNCHRONOUS, "MS_SYNCHRONOUS"},
    {MS_REMOUNT, "MS_REMOUNT"},
    {MS_MANDLOCK, "MS_MANDLOCK"},
    {MS_DIRSYNC, "MS_DIRSYNC"},
    {MS_NOSYMFOLLOW, "MS_NOSYMFOLLOW"},
    {MS_NOATIME, "MS_NOATIME"},
    {MS_NODIRATIME, "MS_NODIRATIME"},
    {MS_BIND, "MS_BIND"},
    {MS_REC, "MS_REC"},
    {MS_SILENT, "MS_SILENT"},
    {MS_RELATIME, "MS_RELATIME"},
    {MS_STRICTATIME, "MS_STRICTATIME"},
    {MS_LAZYTIME, "MS_LAZYTIME"},
};

#endif
