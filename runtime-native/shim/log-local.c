/* The local driver's format: protobuf entries (moby api/types/plugins/logdriver/entry.proto) between their lengths. */
#include <endian.h>
#include <string.h>

#include "log.h"

enum wire_type { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static char *put_varint(char *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (char)(value | 0x80);
    *out++ = (char)value;
    return out;
}

static char *put_number(char *out, unsigned field, uint64_t value)
{
    return value ? put_varint(put_varint(out, field << 3 | WIRE_VARINT), value) : out;
}

static char *put_bytes(char *out, unsigned field, const char *bytes, size_t length)
{
    if (length == 0)
        return out;
    out = put_varint(put_varint(out, field << 3 | WIRE_BYTES), length);
    memcpy(out, bytes, length);
    return out + length;
}

static char *put_length(char *out, size_t length)
{
    uint32_t big_endian = htobe32((uint32_t)length);
    memcpy(out, &big_endian, sizeof big_endian);
    return out + sizeof big_endian;
}

size_t log_local_max(void)
{
    return LOG_LINE_MAX + 256;
}

char *log_local_encode(char *out, const struct log_entry *e)
{
    char *message = out + sizeof(uint32_t), *at = message, part[128];
    at = put_bytes(at, 1, e->stream == 2 ? "stderr" : "stdout", 6);
    at = put_number(at, 2, (uint64_t)e->time->tv_sec * 1000000000u + (uint64_t)e->time->tv_nsec);
    at = put_bytes(at, 3, e->text, e->length);
    if (e->ordinal > 0) {
        char *end = put_number(part, 1, !e->is_partial);
        end = put_bytes(end, 2, e->part_id, strlen(e->part_id));
        end = put_number(end, 3, e->ordinal);
        at = put_number(at, 4, 1);
        at = put_bytes(at, 5, part, (size_t)(end - part));
    }
    size_t length = (size_t)(at - message);
    (void)put_length(out, length);
    return put_length(at, length);
}
