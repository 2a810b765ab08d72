/* DNS messages (RFC 1035) as far as a resolver for container names needs them: one question, plain answers. */
#ifndef MINIRELAY_MESSAGE_H
#define MINIRELAY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_AAAA = 28, DNS_OPT = 41 };
enum { DNS_NO_ERROR = 0, DNS_FORMAT_ERROR = 1, DNS_SERVER_FAILURE = 2, DNS_NOT_IMPLEMENTED = 4, DNS_REFUSED = 5 };

#define MESSAGE_MAX    65535
#define MESSAGE_HEADER 12
#define NAME_TEXT_SIZE 256

struct query {
    const uint8_t *bytes;      /* the whole message */
    size_t question_end;       /* of the section that an answer repeats */
    char name[NAME_TEXT_SIZE]; /* in lower case, without the final dot */
    uint16_t type;
    bool is_edns;
    size_t limit; /* how large an answer over UDP may be */
};

/* False for what is no query with one question. */
bool query_parse(const uint8_t *bytes, size_t length, struct query *q);
/* Says so to whoever sent it. The length of the reply, or 0: it deserves none. */
size_t message_reject(const uint8_t *bytes, size_t length, uint8_t reply[MESSAGE_HEADER]);
/* False when the name stands for no address: `2.0.17.172.in-addr.arpa` and its like do. */
bool query_pointer(const struct query *q, struct address *a);

/* An answer under construction. */
struct answer {
    uint8_t bytes[MESSAGE_MAX];
    size_t length, limit;
    uint16_t count;
};

void answer_begin(struct answer *a, const struct query *q, unsigned code, bool is_stream);
void answer_address(struct answer *a, const struct address *address);
void answer_name(struct answer *a, const char *name);
void answer_end(struct answer *a, const struct query *q);

static inline unsigned message_code(const uint8_t *bytes)
{
    return bytes[3] & 0x0f;
}

#endif
