/* The json-file format, byte for byte as moby's jsonlog writes it: {"log":…,"stream":…,"attrs":…,"time":…}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "log.h"
#include "note.h"
#include "utf8.h"

/* ASCII that may stand as it is in Go's JSON, which also guards against being read as HTML. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Eight bytes at a time: is none of them special? The sum carries into bit 7 of every byte that is. */
static bool are_plain(const char *text)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    uint64_t word;
    memcpy(&word, text, sizeof word);
#define HAS_BYTE(value) ((((word ^ (ones * (value))) - ones) & ~(word ^ (ones * (value)))))
    uint64_t special =
        word | (word - ones * 0x20) | HAS_BYTE('"') | HAS_BYTE('\\') | HAS_BYTE('<') | HAS_BYTE('>') | HAS_BYTE('&');
#undef HAS_BYTE
    return (special & high) == 0;
}

static char *put_escape(char *out, unsigned char c, const char *special, const char *names)
{
    static const char hex[] = "0123456789abcdef";
    const char *found = c ? strchr(special, c) : NULL;
    *out++ = '\\';
    if (found) {
        *out++ = names[found - special];
        return out;
    }
    memcpy(out, "u00", 3);
    out[3] = hex[c >> 4];
    out[4] = hex[c & 15];
    return out + 5;
}

static char *put_text(char *out, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

/* At most six bytes for each. `special` and `names`: the control characters with an escape of their own. */
static char *put_quoted(char *out, const char *text, size_t length, const char *special, const char *names)
{
    size_t at = 0;
    while (at < length) {
        while (length - at >= 8 && are_plain(text + at)) {
            memcpy(out, text + at, 8);
            out += 8;
            at += 8;
        }
        if (at == length)
            break;
        unsigned char c = (unsigned char)text[at];
        if (c < 0x80) {
            if (is_plain(c))
                *out++ = (char)c;
            else
                out = put_escape(out, c, special, names);
            at++;
            continue;
        }
        size_t size = utf8_length(text + at, length - at);
        if (size == 0) {
            out = put_text(out, "\\ufffd");
            at++;
            continue;
        }
        /* U+2028 and U+2029 end a line in JavaScript. */
        if (size == 3 && memcmp(text + at, "\xe2\x80", 2) == 0 && ((unsigned char)text[at + 2] & 0xfe) == 0xa8) {
            out = put_text(out, text[at + 2] & 1 ? "\\u2029" : "\\u2028");
        } else {
            memcpy(out, text + at, size);
            out += size;
        }
        at += size;
    }
    return out;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct json *const *)a)->key, (*(const struct json *const *)b)->key);
}

/* As encoding/json writes a map: sorted keys, and more short escapes than moby's own encoder of lines has. */
char *log_json_attrs(const struct json *attrs)
{
    static const char special[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    if (!attrs || attrs->count == 0)
        return strdup("");
    AUTO_FREE const struct json **members = calloc(attrs->count, sizeof *members);
    size_t count = 0, size = sizeof "\"attrs\":{},";
    if (!members)
        return NULL;
    json_each(member, attrs)
    {
        members[count++] = member;
        size += 6 * (strlen(member->key) + member->length) + sizeof "\"\":\"\",";
    }
    char *text = malloc(size);
    if (!text)
        return NULL;
    qsort(members, count, sizeof *members, by_key);
    char *out = put_text(text, "\"attrs\":{");
    for (size_t i = 0; i < count; i++) {
        out = put_text(out, i ? ",\"" : "\"");
        out = put_quoted(out, members[i]->key, strlen(members[i]->key), special, names);
        out = put_text(out, "\":\"");
        out = put_quoted(out, members[i]->text ? members[i]->text : "", members[i]->length, special, names);
        out = put_text(out, "\"");
    }
    (void)strcpy(out, "},");
    return text;
}

size_t log_json_max(const char *attrs)
{
    return 6 * LOG_LINE_MAX + strlen(attrs) + 128;
}

/* Lines of one second share the formatted part of their time. */
static char *put_time(char *out, const struct timespec *time)
{
    static struct timespec second;
    static char text[TIME_TEXT_SIZE];
    static size_t length;
    if (length == 0 || second.tv_sec != time->tv_sec) {
        second.tv_sec = time->tv_sec;
        length = time_text(text, &second) - 1;
    }
    memcpy(out, text, length);
    out += length;
    if (time->tv_nsec > 0) {
        *out++ = '.';
        for (long rest = time->tv_nsec, unit = 100000000; rest > 0; rest %= unit, unit /= 10)
            *out++ = (char)('0' + rest / unit);
    }
    *out++ = 'Z';
    return out;
}

char *log_json_encode(char *out, const struct log_entry *e, const char *attrs)
{
    out = put_text(out, "{\"log\":\"");
    out = put_quoted(out, e->text, e->length, "\"\\\n\r", "\"\\nr");
    if (!e->is_partial)
        out = put_text(out, "\\n");
    out = put_text(out, e->stream == 2 ? "\",\"stream\":\"stderr\"," : "\",\"stream\":\"stdout\",");
    out = put_text(out, attrs);
    out = put_text(out, "\"time\":\"");
    out = put_time(out, e->time);
    return put_text(out, "\"}\n");
}
