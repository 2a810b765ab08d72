/* tmpcopyup: fills a new tmpfs with what the image has at that place. By descriptors only, and no link is followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"

static int copy_contents(int from, int to)
{
    for (;;) {
        ssize_t sent = sendfile(to, from, NULL, 1 << 20);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return (int)sent;
    }
}

static int copy_link(int from, int to, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    return symlinkat(target, to, name);
}

static int copy_file(int from, int to, const char *name)
{
    AUTO_CLOSE int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    AUTO_CLOSE int made = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return source < 0 || made < 0 ? -1 : copy_contents(source, made);
}

static int copy_tree(int from, int to, unsigned depth);

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    int result;
    if (S_ISDIR(status.st_mode)) {
        AUTO_CLOSE int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        result = source < 0 ? -1 : mkdirat(to, name, 0700);
        AUTO_CLOSE int made = result < 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        result = made < 0 ? -1 : copy_tree(source, made, depth + 1);
    } else if (S_ISLNK(status.st_mode)) {
        result = copy_link(from, to, name);
    } else if (S_ISREG(status.st_mode)) {
        result = copy_file(from, to, name);
    } else {
        result = mknodat(to, name, status.st_mode & S_IFMT, status.st_rdev);
    }
    if (result < 0 || fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    return S_ISLNK(status.st_mode) ? 0 : fchmodat(to, name, status.st_mode & 07777, 0);
}

static int copy_tree(int from, int to, unsigned depth)
{
    int copy = depth > 128 ? -1 : openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (!listing) {
        close_fd(&copy);
        return -1;
    }
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(listing));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = copy_entry(from, to, entry->d_name, depth);
    int error = errno;
    (void)closedir(listing);
    errno = error;
    return result;
}

int copy_up(int from, int to, struct fault *f)
{
    return copy_tree(from, to, 0) < 0 ? fault_errno(f, STAGE_MOUNT, "tmpcopyup: failed to copy") : 0;
}
