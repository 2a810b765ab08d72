/* The writing half of json.h. A failed allocation sticks: later calls do nothing, and the caller looks at `failed`
 * once. */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static bool reserve(struct json_writer *w, size_t more)
{
    if (w->failed)
        return false;
    if (w->capacity - w->length > more)
        return true;
    size_t capacity = w->capacity ? w->capacity * 2 : 256;
    while (capacity - w->length <= more)
        capacity *= 2;
    char *text = realloc(w->text, capacity);
    if (text == NULL) {
        w->failed = true;
        return false;
    }
    w->text = text;
    w->capacity = capacity;
    return true;
}

/* Keeps the text NUL-terminated, so that it can be passed on as a string at any time. */
static void append(struct json_writer *w, const char *bytes, size_t length)
{
    if (!reserve(w, length))
        return;
    memcpy(w->text + w->length, bytes, length);
    w->length += length;
    w->text[w->length] = '\0';
}

static void append_text(struct json_writer *w, const char *text)
{
    append(w, text, strlen(text));
}

/* Escapes what JSON must escape and nothing else; bytes that are no UTF-8 become U+FFFD. */
static void append_quoted(struct json_writer *w, const char *bytes, size_t length)
{
    static const char hex[] = "0123456789abcdef", special[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    size_t from = 0;
    append_text(w, "\"");
    for (size_t at = 0; at < length;) {
        size_t size = utf8_length(bytes + at, length - at);
        char c = bytes[at];
        if (size > 1 || (size == 1 && (unsigned char)c >= 0x20 && c != '"' && c != '\\')) {
            at += size;
            continue;
        }
        append(w, bytes + from, at - from);
        const char *found = c ? strchr(special, c) : NULL;
        if (size == 0)
            append_text(w, "\xef\xbf\xbd");
        else if (found != NULL)
            append(w, (const char[]){'\\', names[found - special]}, 2);
        else
            append(w, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 0xf]}, 6);
        from = ++at;
    }
    append(w, bytes + from, length - from);
    append_text(w, "\"");
}

static void begin_value(struct json_writer *w, const char *key)
{
    if (w->needs_comma)
        append_text(w, ",");
    w->needs_comma = true;
    if (key == NULL)
        return;
    append_quoted(w, key, strlen(key));
    append_text(w, ":");
}

static void begin_container(struct json_writer *w, const char *key, const char *bracket)
{
    begin_value(w, key);
    append_text(w, bracket);
    w->needs_comma = false;
}

static void end_container(struct json_writer *w, const char *bracket)
{
    append_text(w, bracket);
    w->needs_comma = true;
}

void json_begin_object(struct json_writer *w, const char *key)
{
    begin_container(w, key, "{");
}

void json_end_object(struct json_writer *w)
{
    end_container(w, "}");
}

void json_begin_array(struct json_writer *w, const char *key)
{
    begin_container(w, key, "[");
}

void json_end_array(struct json_writer *w)
{
    end_container(w, "]");
}

void json_put_string(struct json_writer *w, const char *key, const char *value)
{
    json_put_bytes(w, key, value, strlen(value));
}

void json_put_bytes(struct json_writer *w, const char *key, const char *bytes, size_t length)
{
    begin_value(w, key);
    append_quoted(w, bytes, length);
}

void json_put_int(struct json_writer *w, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    begin_value(w, key);
    append_text(w, text);
}

void json_put_bool(struct json_writer *w, const char *key, bool value)
{
    begin_value(w, key);
    append_text(w, value ? "true" : "false");
}

void json_put_null(struct json_writer *w, const char *key)
{
    begin_value(w, key);
    append_text(w, "null");
}

void json_put_raw(struct json_writer *w, const char *key, const char *json)
{
    begin_value(w, key);
    append_text(w, json);
}

void json_put_json(struct json_writer *w, const char *key, const struct json *value)
{
    if (value == NULL || value->type == JSON_NULL) {
        json_put_null(w, key);
    } else if (value->type == JSON_BOOL) {
        json_put_bool(w, key, value->boolean);
    } else if (value->type == JSON_STRING) {
        json_put_bytes(w, key, value->text, value->length);
    } else if (value->type == JSON_NUMBER) {
        begin_value(w, key);
        append(w, value->text, value->length);
    } else {
        bool is_object = value->type == JSON_OBJECT;
        begin_container(w, key, is_object ? "{" : "[");
        json_each(member, value) json_put_json(w, is_object ? member->key : NULL, member);
        end_container(w, is_object ? "}" : "]");
    }
}

void json_writer_free(struct json_writer *w)
{
    free(w->text);
    *w = (struct json_writer){0};
}
