#include "message.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FLAG_RESPONSE            0x80
#define OPCODE_MASK              0x78
#define FLAG_TRUNCATED           0x02
#define FLAG_RECURSION_DESIRED   0x01
#define FLAG_RECURSION_AVAILABLE 0x80
#define CLASS_INTERNET           1
#define TIME_TO_LIVE             600 /* moby's */
#define PLAIN_LIMIT              512
#define OPT_SIZE                 11
#define OUR_LIMIT                1232 /* what fits everywhere: dnsflagday.net/2020 */

static uint16_t read_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void write_u16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

/* Labels without compression: a question is the first name of its message. The offset behind it, or 0. */
static size_t read_name(const uint8_t *bytes, size_t length, char text[NAME_TEXT_SIZE])
{
    size_t at = MESSAGE_HEADER, end = 0;
    for (;;) {
        if (at >= length || bytes[at] > 63 || at + 1 + bytes[at] > length || end + bytes[at] + 1u >= NAME_TEXT_SIZE)
            return 0;
        size_t size = bytes[at++];
        if (size == 0)
            break;
        if (end > 0)
            text[end++] = '.';
        for (size_t i = 0; i < size; i++)
            text[end++] = (char)tolower(bytes[at + i]);
        at += size;
    }
    text[end] = '\0';
    return strlen(text) == end ? at : 0; /* a NUL inside is nobody's name */
}

bool query_parse(const uint8_t *bytes, size_t length, struct query *q)
{
    if (length < MESSAGE_HEADER || (bytes[2] & (FLAG_RESPONSE | OPCODE_MASK)) != 0 || read_u16(bytes + 4) != 1)
        return false;
    size_t at = read_name(bytes, length, q->name);
    if (at == 0 || at + 4 > length)
        return false;
    q->bytes = bytes;
    q->type = read_u16(bytes + at);
    q->question_end = at + 4;
    q->limit = PLAIN_LIMIT;
    const uint8_t *extra = bytes + q->question_end;
    q->is_edns = read_u16(bytes + 10) > 0 && length >= q->question_end + OPT_SIZE && extra[0] == 0 &&
                 read_u16(extra + 1) == DNS_OPT;
    if (q->is_edns && read_u16(extra + 3) > PLAIN_LIMIT)
        q->limit = read_u16(extra + 3);
    return true;
}

static bool pointer4(const char *name, struct address *a)
{
    a->family = AF_INET;
    for (int i = 3; i >= 0; i--) {
        char *end;
        unsigned long part = strtoul(name, &end, 10);
        if (!isdigit((unsigned char)*name) || part > 255 || *end != '.')
            return false;
        a->bytes[i] = (uint8_t)part;
        name = end + 1;
    }
    return strcmp(name, "in-addr.arpa") == 0;
}

static bool pointer6(const char *name, struct address *a)
{
    a->family = AF_INET6;
    for (int i = 31; i >= 0; i--, name += 2) {
        if (!isxdigit((unsigned char)name[0]) || name[1] != '.')
            return false;
        unsigned digit = (unsigned)(isdigit((unsigned char)*name) ? *name - '0' : *name - 'a' + 10);
        a->bytes[i / 2] |= (uint8_t)(i % 2 ? digit : digit << 4);
    }
    return strcmp(name, "ip6.arpa") == 0;
}

bool query_pointer(const struct query *q, struct address *a)
{
    memset(a, 0, sizeof *a);
    if (pointer4(q->name, a))
        return true;
    memset(a, 0, sizeof *a);
    return pointer6(q->name, a);
}

size_t message_reject(const uint8_t *bytes, size_t length, uint8_t reply[MESSAGE_HEADER])
{
    if (length < MESSAGE_HEADER || (bytes[2] & FLAG_RESPONSE) != 0)
        return 0;
    memset(reply, 0, MESSAGE_HEADER);
    memcpy(reply, bytes, 2);
    reply[2] = (uint8_t)(FLAG_RESPONSE | (bytes[2] & (OPCODE_MASK | FLAG_RECURSION_DESIRED)));
    reply[3] = (bytes[2] & OPCODE_MASK) != 0 ? DNS_NOT_IMPLEMENTED : DNS_FORMAT_ERROR;
    return MESSAGE_HEADER;
}

void answer_begin(struct answer *a, const struct query *q, unsigned code, bool is_stream)
{
    memcpy(a->bytes, q->bytes, q->question_end);
    a->bytes[2] = (uint8_t)(FLAG_RESPONSE | (q->bytes[2] & FLAG_RECURSION_DESIRED));
    a->bytes[3] = (uint8_t)(FLAG_RECURSION_AVAILABLE | code);
    memset(a->bytes + 6, 0, 6);
    a->length = q->question_end;
    a->count = 0;
    a->limit = (is_stream ? MESSAGE_MAX : q->limit) - (q->is_edns ? OPT_SIZE : 0);
}

/* The name is that of the question. */
static void add_record(struct answer *a, uint16_t type, const uint8_t *content, size_t size)
{
    /* What does not fit is left out and marked: the client asks again by TCP. */
    if (a->length + 12 + size > a->limit) {
        a->bytes[2] |= FLAG_TRUNCATED;
        return;
    }
    uint8_t *record = a->bytes + a->length;
    write_u16(record, 0xc000 | MESSAGE_HEADER);
    write_u16(record + 2, type);
    write_u16(record + 4, CLASS_INTERNET);
    write_u16(record + 6, 0);
    write_u16(record + 8, TIME_TO_LIVE);
    write_u16(record + 10, size);
    memcpy(record + 12, content, size);
    a->length += 12 + size;
    a->count++;
}

void answer_address(struct answer *a, const struct address *address)
{
    bool is_ipv4 = address->family == AF_INET;
    add_record(a, is_ipv4 ? DNS_A : DNS_AAAA, address->bytes, is_ipv4 ? 4 : 16);
}

void answer_name(struct answer *a, const char *name)
{
    uint8_t content[NAME_TEXT_SIZE + 2];
    size_t length = 0;
    while (*name) {
        size_t size = strcspn(name, ".");
        if (size > 63 || length + size + 2 > sizeof content)
            return;
        if (size > 0) {
            content[length++] = (uint8_t)size;
            memcpy(content + length, name, size);
            length += size;
        }
        name += size + (name[size] == '.');
    }
    content[length++] = 0;
    add_record(a, DNS_PTR, content, length);
}

void answer_end(struct answer *a, const struct query *q)
{
    write_u16(a->bytes + 6, a->count);
    if (!q->is_edns)
        return;
    uint8_t *opt = a->bytes + a->length; /* RFC 6891, 6.1.1: whoever asked with one is answered with one */
    memset(opt, 0, OPT_SIZE);
    write_u16(opt + 1, DNS_OPT);
    write_u16(opt + 3, OUR_LIMIT);
    write_u16(a->bytes + 10, 1);
    a->length += OPT_SIZE;
}
