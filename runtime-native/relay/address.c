#include "address.h"

#include <arpa/inet.h>
#include <string.h>

bool address_parse(const char *text, struct address *a)
{
    *a = (struct address){.family = AF_INET};
    if (inet_pton(AF_INET, text, a->bytes) == 1)
        return true;
    a->family = AF_INET6;
    return inet_pton(AF_INET6, text, a->bytes) == 1;
}

void address_print(const struct address *a, char text[ADDRESS_TEXT_SIZE])
{
    (void)inet_ntop(a->family, a->bytes, text, ADDRESS_TEXT_SIZE);
}

socklen_t address_at(const struct address *a, uint16_t port, union socket_address *socket_address)
{
    memset(socket_address, 0, sizeof *socket_address);
    if (a->family == AF_INET) {
        socket_address->inet.sin_family = AF_INET;
        socket_address->inet.sin_port = htons(port);
        memcpy(&socket_address->inet.sin_addr, a->bytes, 4);
        return sizeof socket_address->inet;
    }
    socket_address->inet6.sin6_family = AF_INET6;
    socket_address->inet6.sin6_port = htons(port);
    memcpy(&socket_address->inet6.sin6_addr, a->bytes, 16);
    return sizeof socket_address->inet6;
}
