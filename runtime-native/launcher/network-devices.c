/* Network devices that the config names go to the container, by rtnetlink(7). Moving one takes its addresses away, so
 * they are listed before and given back after: those that are permanent and of global scope. */
#include "network-devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io.h"

#define MOST_ADDRESSES 64

struct request {
    struct nlmsghdr header;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
    };
    char attributes[512];
};

struct namespaces {
    int theirs, ours;
};

/* As in the kernel's dump, to be sent back to it. */
struct addresses {
    size_t count;
    struct request items[MOST_ADDRESSES];
};

static bool is_valid_name(const char *name)
{
    return name && *name && strlen(name) < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !strpbrk(name, "/: \t\n");
}

int network_devices_validate(const struct config *config, struct fault *f)
{
    if (!config->network_devices || !config->network_devices->count)
        return 0;
    if (!config->namespaces[NS_NETWORK].is_set)
        return fault_text(f, STAGE_NETWORK, "unable to move network devices without a NET namespace");
    if (geteuid() != 0)
        return fault_text(f, STAGE_NETWORK, "network devices are not supported for rootless containers");
    json_each(device, config->network_devices)
    {
        const char *name = json_string(device, "name");
        if (!is_valid_name(device->key) || (name && *name && !is_valid_name(name)))
            return fault_text(f, STAGE_NETWORK, "invalid network device name \"%s\"",
                              is_valid_name(device->key) ? name : device->key);
    }
    return 0;
}

static void begin(struct request *request, unsigned short type, unsigned short flags, size_t body)
{
    *request = (struct request){.header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags}};
    request->header.nlmsg_len = (unsigned)NLMSG_LENGTH(body);
}

static void put(struct request *request, unsigned short type, const void *bytes, size_t size)
{
    struct rtattr *attribute = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), bytes, size);
    request->header.nlmsg_len = (unsigned)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

/* Keeps an address of a dump that is to be given back. */
static void take_address(const struct nlmsghdr *message, int index, struct addresses *addresses)
{
    const struct ifaddrmsg *address = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWADDR || (int)address->ifa_index != index ||
        address->ifa_scope != RT_SCOPE_UNIVERSE || !(address->ifa_flags & IFA_F_PERMANENT) ||
        addresses->count == MOST_ADDRESSES)
        return;
    struct request *request = &addresses->items[addresses->count++];
    begin(request, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sizeof *address);
    request->address = *address;
    unsigned length = (unsigned)IFA_PAYLOAD(message);
    for (const struct rtattr *at = IFA_RTA(address); RTA_OK(at, length); at = RTA_NEXT(at, length))
        if (at->rta_type == IFA_ADDRESS || at->rta_type == IFA_LOCAL || at->rta_type == IFA_BROADCAST)
            put(request, at->rta_type, RTA_DATA(at), RTA_PAYLOAD(at));
}

/* Up to the acknowledgement or the end of the dump. */
static int talk(int socket, const struct request *request, int index, struct addresses *addresses)
{
    char buffer[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
    if (send(socket, request, request->header.nlmsg_len, 0) < 0)
        return -1;
    for (;;) {
        ssize_t size = recv(socket, buffer, sizeof buffer, 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return -1;
        unsigned left = (unsigned)size;
        for (const struct nlmsghdr *at = (void *)buffer; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
            if (at->nlmsg_type == NLMSG_DONE)
                return 0;
            if (at->nlmsg_type == NLMSG_ERROR) {
                errno = -((const struct nlmsgerr *)NLMSG_DATA(at))->error;
                return errno == 0 ? 0 : -1;
            }
            if (addresses)
                take_address(at, index, addresses);
        }
    }
}

static int set_link(int socket, int index, bool is_up)
{
    struct request request;
    begin(&request, RTM_NEWLINK, NLM_F_ACK, sizeof request.link);
    request.link = (struct ifinfomsg){.ifi_index = index, .ifi_change = IFF_UP, .ifi_flags = is_up ? IFF_UP : 0};
    return talk(socket, &request, 0, NULL);
}

static int list_addresses(int socket, int index, struct addresses *addresses)
{
    struct request request;
    begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof request.address);
    return talk(socket, &request, index, addresses);
}

static int move_link(int socket, int index, int namespace, const char *name)
{
    struct request request;
    begin(&request, RTM_NEWLINK, NLM_F_ACK, sizeof request.link);
    request.link.ifi_index = index;
    put(&request, IFLA_NET_NS_FD, &namespace, sizeof namespace);
    put(&request, IFLA_IFNAME, name, strlen(name) + 1);
    return talk(socket, &request, 0, NULL);
}

static int open_rtnetlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

/* The number may change on the way, and "eth%d" is completed by the kernel: then only the number is known. */
static int index_inside(const char *name, int index)
{
    return strchr(name, '%') ? index : (int)if_nametoindex(name);
}

/* With our own network namespace being that of the container. */
static int configure(const char *name, int index, struct addresses *addresses, struct fault *f)
{
    AUTO_CLOSE int socket = open_rtnetlink();
    int number = socket < 0 ? 0 : index_inside(name, index);
    if (number <= 0)
        return fault_errno(f, STAGE_NETWORK, "link not found for interface %s in the container", name);
    for (size_t i = 0; i < addresses->count; i++) {
        addresses->items[i].address.ifa_index = (unsigned)number;
        if (talk(socket, &addresses->items[i], 0, NULL) < 0)
            return fault_errno(f, STAGE_NETWORK, "fail to set up an address of %s in the container", name);
    }
    return set_link(socket, number, true) < 0
               ? fault_errno(f, STAGE_NETWORK, "fail to set up interface %s in the container", name)
               : 0;
}

/* The kernel would move the device, find the name taken, and leave it there under its old one. */
static int check_name(const char *name, struct fault *f)
{
    return strchr(name, '%') || !if_nametoindex(name)
               ? 0
               : fault_told(f, STAGE_NETWORK, EEXIST, "the container has a network device %s already", name);
}

/* One step inside: check_name, then configure. */
static int inside(const struct namespaces *namespaces, const char *name, int index, struct addresses *addresses,
                  struct fault *f)
{
    if (setns(namespaces->theirs, CLONE_NEWNET) < 0)
        return fault_errno(f, STAGE_NETWORK, "enter the container's network namespace");
    int result = addresses ? configure(name, index, addresses, f) : check_name(name, f);
    if (setns(namespaces->ours, CLONE_NEWNET) < 0)
        return fault_errno(f, STAGE_NETWORK, "return to our network namespace");
    return result;
}

static int move(const struct json *device, const struct namespaces *namespaces, struct fault *f)
{
    struct addresses addresses = {0};
    const char *name = json_string(device, "name");
    if (!name || !*name)
        name = device->key;
    AUTO_CLOSE int host = open_rtnetlink();
    int index = host < 0 ? 0 : (int)if_nametoindex(device->key);
    if (index <= 0)
        return fault_errno(f, STAGE_NETWORK, "link not found for interface %s on runtime namespace", device->key);
    if (inside(namespaces, name, 0, NULL, f) < 0)
        return -1;
    if (set_link(host, index, false) < 0)
        return fault_errno(f, STAGE_NETWORK, "fail to set link %s down", device->key);
    if (list_addresses(host, index, &addresses) < 0)
        return fault_errno(f, STAGE_NETWORK, "fail to get ip addresses of %s", device->key);
    if (move_link(host, index, namespaces->theirs, name) < 0)
        return fault_errno(f, STAGE_NETWORK, "fail to move network device %s to the container as %s", device->key,
                           name);
    return inside(namespaces, name, index, &addresses, f);
}

int network_devices_move(const struct config *config, pid_t pid, struct fault *f)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    AUTO_CLOSE int theirs = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    const struct namespaces namespaces = {theirs, ours};
    if (theirs < 0 || ours < 0)
        return fault_errno(f, STAGE_NETWORK, "open %s", path);
    json_each(device, config->network_devices)
    {
        if (move(device, &namespaces, f) < 0)
            return -1;
    }
    return 0;
}
