/* Namespaces that wait for a container, with names in the file system and no process in them. The daemon has many
 * threads, and user namespaces are only for processes with one (unshare(2), setns(2)), so a child makes them. Its
 * order: the user namespace, whose ids this side maps; the network namespace, which belongs to it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "spawn.h"

/* Says 0 or an errno. */
static bool tell(int sync, int error)
{
    return write_all(sync, &error, sizeof error) == 0;
}

/* In the child. It stays until our side has given names to what it has made. */
static void make(const struct namespaces_request *r, int sync)
{
    int mapped;
    if (r->joins) {
        AUTO_CLOSE int user = open(r->joins, O_RDONLY | O_CLOEXEC);
        if (user < 0 || setns(user, CLONE_NEWUSER) < 0)
            _exit(tell(sync, errno));
    } else if (read_all(sync, &mapped, sizeof mapped) != sizeof mapped) {
        _exit(0);
    }
    (void)tell(sync, r->network && unshare(CLONE_NEWNET) < 0 ? errno : 0);
    char end;
    (void)read_some(sync, &end, 1);
    _exit(0);
}

static pid_t clone_child(bool is_new_user)
{
    struct clone_args arguments = {.flags = is_new_user ? CLONE_NEWUSER : 0, .exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static int map_ids(pid_t pid, const struct namespaces_request *r, struct fault *f)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    if (write_file_at(AT_FDCWD, path, r->uid_map) < 0)
        return fault_errno(f, STAGE_USER, "write %s", path);
    (void)snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    return write_file_at(AT_FDCWD, path, r->gid_map) < 0 ? fault_errno(f, STAGE_USER, "write %s", path) : 0;
}

static int give_name(pid_t pid, const char *kind, const char *target, struct fault *f)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    AUTO_CLOSE int file = open(target, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return fault_errno(f, STAGE_NAMESPACE, "create %s", target);
    if (mount(path, target, NULL, MS_BIND, NULL) == 0)
        return 0;
    (void)fault_errno(f, STAGE_NAMESPACE, "mount %s on %s", path, target);
    (void)unlink(target);
    return -1;
}

static int give_names(pid_t pid, const struct namespaces_request *r, struct fault *f)
{
    if (r->user && give_name(pid, "user", r->user, f) < 0)
        return -1;
    if (!r->network || give_name(pid, "net", r->network, f) == 0)
        return 0;
    if (r->user) {
        (void)umount2(r->user, MNT_DETACH);
        (void)unlink(r->user);
    }
    return -1;
}

int namespaces_make(const struct namespaces_request *r, struct fault *f)
{
    int ends[2], error = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return fault_errno(f, STAGE_NAMESPACE, "socketpair");
    AUTO_CLOSE int ours = ends[0]; /* closing it ends the child */
    AUTO_CLOSE int its = ends[1];
    pid_t pid = clone_child(!r->joins);
    if (pid == 0) {
        close_fd(&ours);
        make(r, its);
    }
    close_fd(&its);
    if (pid < 0)
        return fault_errno(f, STAGE_NAMESPACE, "clone");
    if (!r->joins && (map_ids(pid, r, f) < 0 || !tell(ours, 0)))
        return -1;
    if (read_all(ours, &error, sizeof error) != sizeof error)
        error = ECHILD;
    errno = error;
    return error ? fault_errno(f, STAGE_NAMESPACE, "make namespaces") : give_names(pid, r, f);
}
