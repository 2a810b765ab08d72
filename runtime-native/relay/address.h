/* IP addresses as they stand in messages, records and system calls. */
#ifndef MINIRELAY_ADDRESS_H
#define MINIRELAY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
    sa_family_t family;
    uint8_t bytes[16]; /* 4 of them for AF_INET */
};

union socket_address {
    struct sockaddr any;
    struct sockaddr_in inet;
    struct sockaddr_in6 inet6;
};

#define ADDRESS_TEXT_SIZE INET6_ADDRSTRLEN

bool address_parse(const char *text, struct address *a);
void address_print(const struct address *a, char text[ADDRESS_TEXT_SIZE]);
socklen_t address_at(const struct address *a, uint16_t port, union socket_address *socket_address);

#endif
