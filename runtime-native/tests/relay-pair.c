/* relay/pair.c: a child holds a port and joins its clients to a server here, as minirelay does for a container. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../relay/ports.h"
#include "check.h"

#define PATIENCE_MS 5000

/* What main.c does with namespaces and spare descriptors. */
int relay_socket(const struct relay *r, int namespace_fd, int family, int type, int protocol)
{
    (void)r, (void)namespace_fd;
    return socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}

int relay_accept(struct relay *r, int listener)
{
    (void)r;
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int bound_socket(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        exit(1);
    *port = ntohs(address.sin_port);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 500; i++) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        (void)poll(NULL, 0, 10); /* until the child listens */
    }
    return -1;
}

static pid_t start_relay(int listener, uint16_t port, uint16_t target)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)close(listener);
    static struct relay relay;
    struct fault f = {0};
    char text[256];
    int length = snprintf(text, sizeof text,
                          "[{\"id\":\"p\",\"protocol\":\"tcp\",\"host\":\"127.0.0.1\",\"hostPort\":%u,"
                          "\"target\":\"127.0.0.1\",\"targetPort\":%u}]",
                          port, target);
    size_t failed;
    struct json_document *wish = json_parse(text, (size_t)length, &f);
    (void)signal(SIGPIPE, SIG_IGN);
    if (!wish || loop_open(&relay.loop) < 0 || ports_hold(&relay, json_root(wish), &failed, &f) < 0)
        _exit(1);
    loop_run(&relay.loop);
    _exit(0);
}

static bool is_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, PATIENCE_MS) == 1;
}

/* -1: nothing came in time, or the connection is broken. */
static ssize_t read_all(int fd, char *bytes, size_t length)
{
    size_t sum = 0;
    while (sum < length) {
        ssize_t count = is_ready(fd, POLLIN) ? read(fd, bytes + sum, length - sum) : -1;
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        sum += (size_t)count;
    }
    return (ssize_t)sum;
}

static int accept_from(int listener)
{
    return is_ready(listener, POLLIN) ? accept(listener, NULL, NULL) : -1;
}

static int count_descriptors(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    int count = 0;
    while (directory && readdir(directory))
        count++;
    if (directory)
        (void)closedir(directory);
    return count;
}

static bool has_descriptors(pid_t pid, int count)
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (count_descriptors(pid) == count)
            return true;
        (void)poll(NULL, 0, 10);
    }
    printf("%d descriptors, not %d\n", count_descriptors(pid), count);
    return false;
}

static void test_directions(int listener, uint16_t port)
{
    char bytes[16];
    int client = connect_to(port), server = accept_from(listener);
    expect(write(client, "ask", 3) == 3 && read_all(server, bytes, 3) == 3 && memcmp(bytes, "ask", 3) == 0, "there");
    (void)shutdown(client, SHUT_WR);
    expect(read_all(server, bytes, 1) == 0, "the client's end reaches the server");
    expect(write(server, "answer", 6) == 6 && read_all(client, bytes, 6) == 6,
           "what comes after it reaches the client");
    (void)close(server);
    expect(read_all(client, bytes, 1) == 0, "the server's end reaches the client");
    (void)close(client);
}

static void test_slow_reader(int listener, uint16_t port)
{
    static char chunk[1 << 20];
    int client = connect_to(port), server = accept_from(listener);
    size_t sent = 0;
    for (;;) {
        ssize_t count = send(server, chunk, sizeof chunk, MSG_DONTWAIT);
        if (count > 0)
            sent += (size_t)count;
        else if (poll(&(struct pollfd){.fd = server, .events = POLLOUT}, 1, 200) == 0)
            break;
    }
    expect(sent < (size_t)64 << 20, "a client that does not read stops the server, not the relay's memory");
    (void)shutdown(server, SHUT_WR);
    size_t got = 0;
    for (ssize_t count; (count = read_all(client, chunk, sizeof chunk)) > 0;)
        got += (size_t)count;
    expect(got == sent, "it gets everything when it reads");
    (void)close(client);
    (void)close(server);
}

static void test_crowd(pid_t pid, int idle, int listener, uint16_t port)
{
    enum { CROWD = 200 };
    int clients[CROWD], servers[CROWD];
    for (int i = 0; i < CROWD; i++)
        clients[i] = connect_to(port), servers[i] = accept_from(listener);
    expect(has_descriptors(pid, idle + 2 * CROWD), "two descriptors for each connection");
    /* Every other one is broken off instead of ended. */
    for (int i = 0; i < CROWD; i++) {
        struct linger at_once = {.l_onoff = i % 2, .l_linger = 0};
        (void)setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        (void)close(clients[i]);
    }
    char byte;
    int ended = 0;
    for (int i = 0; i < CROWD; i++)
        ended += is_ready(servers[i], POLLIN) && read(servers[i], &byte, 1) <= 0;
    expect(ended == CROWD, "each server hears of it");
    for (int i = 0; i < CROWD; i++)
        (void)close(servers[i]);
    expect(has_descriptors(pid, idle), "no descriptor is left");
}

static void test_nobody_there(pid_t pid, int idle, int listener, uint16_t port)
{
    char byte;
    (void)close(listener);
    int client = connect_to(port);
    expect(is_ready(client, POLLIN) && read(client, &byte, 1) <= 0, "a server that is not there: the client is let go");
    (void)close(client);
    expect(has_descriptors(pid, idle), "and nothing is left of it");
}

int main(void)
{
    uint16_t port, target;
    int listener = bound_socket(&target), placeholder = bound_socket(&port);
    (void)close(placeholder);
    if (listen(listener, 1000) < 0)
        return 1;
    pid_t pid = start_relay(listener, port, target);
    char byte = 0;
    int client = connect_to(port), server = accept_from(listener);
    expect(write(client, &byte, 1) == 1 && read_all(server, &byte, 1) == 1, "a byte, and the pipe for it stays");
    int idle = count_descriptors(pid) - 2;
    (void)close(client), (void)close(server);
    test_directions(listener, port);
    test_slow_reader(listener, port);
    test_crowd(pid, idle, listener, port);
    test_nobody_there(pid, idle, listener, port);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return report("relay-pair");
}
