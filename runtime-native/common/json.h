/* JSON (RFC 8259) for what crosses the line: OCI config.json, process.json, shim.json, the shim's socket. A document is
 * parsed once into one arena and freed as a whole. Depth, size and UTF-8 are checked; duplicate keys: the last wins, as
 * in Go. */
#ifndef MINIDOCK_JSON_H
#define MINIDOCK_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    const char *key;  /* member name inside an object, else NULL */
    const char *text; /* JSON_STRING: the decoded value, NUL-terminated; JSON_NUMBER: as written */
    size_t length;    /* of text */
    bool boolean;
    size_t count;       /* members of an array or object */
    struct json *first; /* first member */
    struct json *next;  /* next sibling */
};

struct json_document;

/* NULL and a fault (STAGE_CONFIG) on bad input. The root is valid until json_free. */
struct json_document *json_parse(const char *text, size_t length, struct fault *f);
const struct json *json_root(const struct json_document *document);
void json_free(struct json_document *document);
void json_release(struct json_document **document); /* for AUTO_JSON */
#define AUTO_JSON __attribute__((cleanup(json_release)))

/* Every reader takes NULL and JSON_NULL as "absent", so that lookups chain: json_get(json_get(root, "linux"),
 * "seccomp"). */
const struct json *json_get(const struct json *object, const char *key);
const char *json_string(const struct json *object, const char *key); /* NULL when absent or no string */
bool json_bool(const struct json *object, const char *key, bool fallback);
int json_int64(const struct json *object, const char *key, int64_t *value);   /* 1 found, 0 absent, -1 no integer */
int json_uint64(const struct json *object, const char *key, uint64_t *value); /* 1 found, 0 absent, -1 no integer */
#define json_each(member, container)                                                                                   \
    for (const struct json *member = (container) ? (container)->first : NULL; member; member = member->next)

/* Writer: grows its own buffer; errors (ENOMEM) stick and show at the end. */
struct json_writer {
    char *text;
    size_t length, capacity;
    bool needs_comma, failed;
};
void json_begin_object(struct json_writer *w, const char *key);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w, const char *key);
void json_end_array(struct json_writer *w);
void json_put_string(struct json_writer *w, const char *key, const char *value);
void json_put_bytes(struct json_writer *w, const char *key, const char *bytes, size_t length);
void json_put_int(struct json_writer *w, const char *key, int64_t value);
void json_put_bool(struct json_writer *w, const char *key, bool value);
void json_put_null(struct json_writer *w, const char *key);
void json_put_json(struct json_writer *w, const char *key, const struct json *value);
void json_put_raw(struct json_writer *w, const char *key, const char *json); /* text that is JSON already */
void json_writer_free(struct json_writer *w);

#endif
