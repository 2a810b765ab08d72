/* seccomp-listener PATH COUNT: takes COUNT listeners of seccomp filters from runtimes at the socket PATH
 * (listenerPath), prints the container process states that come with them, and answers every call that is notified with
 * EXDEV, which none of the tests' calls fails with by itself. Ends with the last container. */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST 8

static int take_listener(int server)
{
    char state[4096], control[CMSG_SPACE(sizeof(int))];
    struct iovec content = {.iov_base = state, .iov_len = sizeof state};
    struct msghdr message = {
        .msg_iov = &content, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int connection = accept(server, NULL, NULL), fd = -1;
    ssize_t length = connection < 0 ? -1 : recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    (void)printf("%.*s\n", (int)length, state);
    (void)fflush(stdout);
    return fd;
}

static void answer(int listener)
{
    struct seccomp_notif call;
    memset(&call, 0, sizeof call);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
        return;
    struct seccomp_notif_resp reply = {.id = call.id, .error = -EXDEV};
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), wanted = argc == 3 ? atoi(argv[2]) : 0;
    if (wanted < 1 || wanted >= MOST || strlen(argv[1]) >= sizeof address.sun_path)
        return 125;
    (void)strcpy(address.sun_path, argv[1]);
    if (bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, MOST) < 0)
        return 1;
    (void)puts("listening");
    (void)fflush(stdout);
    struct pollfd fds[MOST] = {{.fd = server, .events = POLLIN}};
    for (int taken = 0, left = wanted; left > 0 && poll(fds, (nfds_t)(taken + 1), -1) > 0;) {
        for (int i = 1; i <= taken; i++) {
            if (fds[i].revents & POLLIN) {
                answer(fds[i].fd);
            } else if (fds[i].revents & POLLHUP) {
                fds[i].fd = -1;
                left--;
            }
        }
        if (fds[0].revents & POLLIN && (fds[taken + 1].fd = take_listener(server)) >= 0) {
            fds[++taken].events = POLLIN;
            fds[0].fd = taken == wanted ? -1 : server;
        }
    }
    return 0;
}
