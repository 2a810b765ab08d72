/* The socket pair between minirun and the process it makes. SOCK_SEQPACKET keeps messages whole. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"
#include "launch.h"

struct packet {
    unsigned char kind;
    int argument;
};

int sync_send(int fd, enum sync_message message, int argument, struct fault *f)
{
    struct packet packet;
    memset(&packet, 0, sizeof packet);
    packet.kind = (unsigned char)message;
    packet.argument = argument;
    /* write(2), not send(2): a seccomp filter that is in force already must allow write for any program to live. */
    if (write_all(fd, &packet, sizeof packet) < 0)
        return fault_errno(f, STAGE_RUNTIME, "sync %c", (char)message);
    return 0;
}

int sync_send_fault(int fd, const struct fault *f)
{
    return write_all(fd, f, sizeof *f);
}

int sync_receive(int fd, int *argument, struct fault *f)
{
    union {
        struct packet packet;
        struct fault fault;
    } message;
    ssize_t size = read_some(fd, &message, sizeof message);
    if (size < 0 && errno != ECONNRESET)
        return fault_errno(f, STAGE_RUNTIME, "sync");
    if (size <= 0)
        return 0;
    if ((size_t)size == sizeof message.fault) {
        *f = message.fault;
        return -1;
    }
    if ((size_t)size != sizeof message.packet)
        return fault_text(f, STAGE_RUNTIME, "sync: a message of %zd bytes", size);
    if (argument)
        *argument = message.packet.argument;
    return message.packet.kind;
}

int sync_expect(int fd, enum sync_message message, int *argument, struct fault *f)
{
    int got = sync_receive(fd, argument, f);
    if (got < 0)
        return -1;
    if (got == 0)
        return fault_text(f, STAGE_RUNTIME, "the other side is gone");
    return got == (int)message ? 0 : fault_text(f, STAGE_RUNTIME, "sync: %c instead of %c", (char)got, (char)message);
}

int sync_ready(const struct launch *launch, struct fault *f)
{
    if (sync_send(launch->sync, SYNC_READY, 0, f) < 0)
        return -1;
    return launch->parent_sets_rlimits ? sync_expect(launch->sync, SYNC_GO, NULL, f) : 0;
}
