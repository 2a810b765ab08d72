/* Protocol buffers as far as CRIU's RPC needs them: varints, texts, messages in messages.
 * protobuf.dev/programming-guides/encoding */
#ifndef MINIRUN_CRIU_MESSAGE_H
#define MINIRUN_CRIU_MESSAGE_H

#include <stdint.h>

#include "buffer.h"

struct message {
    struct buffer bytes;
    bool failed; /* ENOMEM: sticks, and shows when the message is sent */
};

void message_put_number(struct message *m, unsigned field, int64_t value); /* bool, enum, int32 */
void message_put_text(struct message *m, unsigned field, const char *text);
void message_put_message(struct message *m, unsigned field, const struct message *inner);
void message_free(struct message *m); /* for AUTO_MESSAGE */
#define AUTO_MESSAGE __attribute__((cleanup(message_free)))

struct message_reader {
    const unsigned char *at, *end;
};

struct message_field {
    unsigned number;
    int64_t value;              /* of a varint */
    struct message_reader text; /* of a text or message */
};

/* 1: the next field; 0: the end; -1: this is no message. Fields of fixed size are passed over. */
int message_next(struct message_reader *reader, struct message_field *field);

#endif
