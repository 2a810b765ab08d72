/* The protocol buffers of launcher/criu-message.c: bytes as protobuf.dev has them, and nothing believed that is cut
 * off. */
#include <stdio.h>
#include <string.h>

#include "../launcher/criu-message.h"
#include "check.h"

static bool has_bytes(const struct message *m, const char *bytes, size_t size)
{
    return !m->failed && buffer_size(&m->bytes) == size && memcmp(buffer_first(&m->bytes), bytes, size) == 0;
}

static void test_writing(void)
{
    AUTO_MESSAGE struct message number = {0}, negative = {0}, outer = {0}, inner = {0};
    message_put_number(&number, 1, 150);
    expect(has_bytes(&number, "\x08\x96\x01", 3), "a varint has its low bits first");
    message_put_number(&negative, 1, -1);
    expect(has_bytes(&negative, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), "a negative number has ten bytes");
    message_put_text(&inner, 63, "on");
    message_put_message(&outer, 2, &inner);
    expect(has_bytes(&outer, "\x12\x05\xfa\x03\x02on", 7), "a message in a message, a key of two bytes");
}

static struct message_reader reader_of(const char *bytes, size_t size)
{
    return (struct message_reader){(const unsigned char *)bytes, (const unsigned char *)bytes + size};
}

static void test_reading(void)
{
    static const char bytes[] = "\x08\x96\x01\x15xxxx\x11yyyyyyyy\x1a\x02hi";
    struct message_reader reader = reader_of(bytes, sizeof bytes - 1);
    struct message_field field;
    expect(message_next(&reader, &field) == 1 && field.number == 1 && field.value == 150, "a number");
    expect(message_next(&reader, &field) == 1 && field.number == 3 && field.text.end - field.text.at == 2 &&
               memcmp(field.text.at, "hi", 2) == 0,
           "fixed fields are passed over");
    expect(message_next(&reader, &field) == 0, "the end");
}

static void test_refusing(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } bad[] = {
        {"\x08", 1, "a key without a value"},
        {"\x08\x96", 2, "a varint that is cut off"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "a varint of more than ten bytes"},
        {"\x0a\x05hi", 4, "a text that is cut off"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "a text of 2^64-1 bytes"},
        {"\x15xxx", 4, "a fixed field that is cut off"},
        {"\x0b", 1, "a group"},
        {"\x00\x00", 2, "field 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct message_reader reader = reader_of(bad[i].bytes, bad[i].size);
        struct message_field field;
        expect(message_next(&reader, &field) == -1, bad[i].name);
    }
}

int main(void)
{
    test_writing();
    test_reading();
    test_refusing();
    return report("launcher-criu");
}
