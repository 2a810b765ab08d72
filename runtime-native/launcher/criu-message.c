#include "criu-message.h"

#include <string.h>

enum wire_type { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };

static void put_bytes(struct message *m, const char *bytes, size_t size)
{
    m->failed = m->failed || !buffer_append(&m->bytes, bytes, size);
}

static void put_varint(struct message *m, uint64_t value)
{
    char bytes[10];
    size_t size = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[size++] = (char)(value | 0x80);
    bytes[size++] = (char)value;
    put_bytes(m, bytes, size);
}

static void put_key(struct message *m, unsigned field, enum wire_type type)
{
    put_varint(m, (uint64_t)field << 3 | type);
}

void message_put_number(struct message *m, unsigned field, int64_t value)
{
    put_key(m, field, WIRE_VARINT);
    put_varint(m, (uint64_t)value);
}

static void put_field(struct message *m, unsigned field, const char *bytes, size_t size)
{
    put_key(m, field, WIRE_BYTES);
    put_varint(m, size);
    put_bytes(m, bytes, size);
}

void message_put_text(struct message *m, unsigned field, const char *text)
{
    put_field(m, field, text, strlen(text));
}

void message_put_message(struct message *m, unsigned field, const struct message *inner)
{
    m->failed = m->failed || inner->failed;
    if (!m->failed)
        put_field(m, field, buffer_first(&inner->bytes), buffer_size(&inner->bytes));
}

void message_free(struct message *m)
{
    buffer_free(&m->bytes);
}

static bool take_varint(struct message_reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool take_bytes(struct message_reader *reader, uint64_t size, struct message_reader *bytes)
{
    if (size > (uint64_t)(reader->end - reader->at))
        return false;
    *bytes = (struct message_reader){reader->at, reader->at + size};
    reader->at += size;
    return true;
}

int message_next(struct message_reader *reader, struct message_field *field)
{
    uint64_t key, value = 0;
    while (reader->at < reader->end) {
        *field = (struct message_field){0};
        if (!take_varint(reader, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
            return -1;
        field->number = (unsigned)(key >> 3);
        switch (key & 7) {
        case WIRE_VARINT:
            if (!take_varint(reader, &value))
                return -1;
            field->value = (int64_t)value;
            return 1;
        case WIRE_BYTES:
            return take_varint(reader, &value) && take_bytes(reader, value, &field->text) ? 1 : -1;
        case WIRE_FIXED64:
        case WIRE_FIXED32:
            if (!take_bytes(reader, (key & 7) == WIRE_FIXED64 ? 8 : 4, &field->text))
                return -1;
            break;
        default:
            return -1;
        }
    }
    return 0;
}
