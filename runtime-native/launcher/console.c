#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "io.h"
#include "mounts.h"
#include "path.h"

#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif

/* What is at /dev/pts/ptmx may be the container's invention: it must be a device 5:2 of a devpts. */
static int open_master(int devpts, struct fault *f)
{
    AUTO_CLOSE int master = devpts >= 0 ? openat(devpts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC)
                                        : path_open(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
    if (master < 0)
        return fault_errno(f, STAGE_CONSOLE, "open /dev/ptmx");
    struct stat status;
    struct statfs fs;
    if (fstat(master, &status) < 0 || fstatfs(master, &fs) < 0)
        return fault_errno(f, STAGE_CONSOLE, "stat /dev/ptmx");
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2) || fs.f_type != DEVPTS_SUPER_MAGIC)
        return fault_text(f, STAGE_CONSOLE, "container's /dev/ptmx is invalid");
    return take_fd(&master);
}

/* TIOCGPTPEER opens the other end itself; by its path a container could swap it (CVE-2025-52565). */
static int open_slave(int master, struct fault *f)
{
    int unlocked = 0;
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
        return fault_errno(f, STAGE_CONSOLE, "unlock the terminal");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return slave < 0 ? fault_errno(f, STAGE_CONSOLE, "open the terminal's peer") : slave;
}

static int mount_console(int dev, int slave, struct fault *f)
{
    if (mknodat(dev, "console", S_IFREG | 0666, 0) < 0 && errno != EEXIST)
        return fault_errno(f, STAGE_CONSOLE, "make /dev/console");
    AUTO_CLOSE int target = openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    AUTO_CLOSE int source = mount_clone(slave, "", false);
    if (target < 0 || source < 0 || mount_move(source, target) < 0)
        return fault_errno(f, STAGE_CONSOLE, "mount the terminal on /dev/console");
    return 0;
}

int send_descriptor(int socket, int fd, const char *name, struct fault *f)
{
    char control[CMSG_SPACE(sizeof fd)];
    memset(control, 0, sizeof control);
    struct iovec content = {.iov_base = (void *)(uintptr_t)name, .iov_len = strlen(name)};
    struct msghdr message = {
        .msg_iov = &content, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        return fault_errno(f, STAGE_CONSOLE, "send %s", name);
    return 0;
}

/* For a terminal that we stand before ourselves: the caller's own adds the carriage returns, and what it has in a file
 * or pipe has none (as runc). */
static void leave_newlines(int slave)
{
    struct termios settings;
    if (tcgetattr(slave, &settings) < 0)
        return;
    settings.c_oflag &= ~(tcflag_t)ONLCR;
    (void)tcsetattr(slave, TCSANOW, &settings);
}

int console_setup(const struct launch *launch, int devpts, int dev, struct fault *f)
{
    const struct process_config *process = launch->process;
    AUTO_CLOSE int master = open_master(devpts, f);
    AUTO_CLOSE int slave = master < 0 ? -1 : open_slave(master, f);
    if (slave < 0)
        return -1;
    struct winsize size = {.ws_row = process->console_height, .ws_col = process->console_width};
    if (size.ws_row && size.ws_col && ioctl(master, TIOCSWINSZ, &size) < 0)
        return fault_errno(f, STAGE_CONSOLE, "set the terminal's size");
    if (launch->is_foreground)
        leave_newlines(slave);
    if (dev >= 0 && mount_console(dev, slave, f) < 0)
        return -1;
    if (send_descriptor(launch->console_socket, master, "/dev/ptmx", f) < 0)
        return -1;
    for (int fd = 0; fd < 3; fd++)
        if (dup3(slave, fd, 0) < 0)
            return fault_errno(f, STAGE_CONSOLE, "dup the terminal");
    return ioctl(0, TIOCSCTTY, 0) < 0 ? fault_errno(f, STAGE_CONSOLE, "ioctl(setctty)") : 0;
}

int console_open(const struct process_config *process, const char *socket_path, bool is_detached, int *theirs,
                 int *ours, struct fault *f)
{
    bool has_terminal = process->has_terminal, has_socket = socket_path && *socket_path;
    if (is_detached && has_terminal && !has_socket)
        return fault_text(f, STAGE_CONSOLE, "cannot allocate tty if runc will detach without setting console socket");
    if ((!is_detached || !has_terminal) && has_socket)
        return fault_text(f, STAGE_CONSOLE, "cannot use console socket if runc will not detach or allocate tty");
    if (has_socket) {
        *theirs = console_connect(socket_path, f);
        return *theirs < 0 ? -1 : 0;
    }
    if (!has_terminal)
        return 0;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, STAGE_CONSOLE, "socketpair");
    *ours = pair[0];
    *theirs = pair[1];
    return 0;
}

int console_connect(const char *path, struct fault *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fault_text(f, STAGE_CONSOLE, "console socket path %s is too long", path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return fault_errno(f, STAGE_CONSOLE, "dial unix %s: connect", path);
    return take_fd(&fd);
}

int console_receive(int socket, struct fault *f)
{
    char name[64], control[CMSG_SPACE(sizeof(int))];
    struct iovec content = {.iov_base = name, .iov_len = sizeof name};
    struct msghdr message = {
        .msg_iov = &content, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0)
        return fault_errno(f, STAGE_CONSOLE, "receive the terminal");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        return fault_text(f, STAGE_CONSOLE, "no terminal came");
    int fd;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}
