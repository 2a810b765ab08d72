/* RFC 8259 parser. Two allocations per document, sized by a first look at the text: nothing grows, no reader owns
 * anything. */
#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

#define DEPTH_MAX  128
#define LENGTH_MAX ((size_t)64 << 20)

struct json_document {
    struct json *nodes; /* the first is the root */
    char *strings;
};

struct parser {
    const char *start, *at, *end;
    struct json *next_node;
    char *next_string;
    struct fault *f;
};

static int refuse(struct parser *p, const char *reason)
{
    return fault_text(p->f, STAGE_CONFIG, "invalid JSON at byte %zu: %s", (size_t)(p->at - p->start), reason);
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool take(struct parser *p, char wanted)
{
    if (p->at == p->end || *p->at != wanted)
        return false;
    p->at++;
    return true;
}

static char *put_code_point(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | (code >> 6));
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | (code >> 12));
        } else {
            *out++ = (char)(0xf0 | (code >> 18));
            *out++ = (char)(0x80 | ((code >> 12) & 0x3f));
        }
        *out++ = (char)(0x80 | ((code >> 6) & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits after \u. */
static int parse_hex(struct parser *p, uint32_t *code)
{
    if (p->end - p->at < 4)
        return refuse(p, "\\u needs four hexadecimal digits");
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p->at[i]);
        if (digit < 0)
            return refuse(p, "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)digit;
    }
    p->at += 4;
    return 0;
}

/* A surrogate without its other half becomes U+FFFD, as in Go. NUL is refused: every string here ends in a system call
 * that would see only what stands before it. */
static int parse_unicode_escape(struct parser *p, char **out)
{
    uint32_t code, low;
    if (parse_hex(p, &code) < 0)
        return -1;
    if (code == 0)
        return refuse(p, "NUL in a string");
    if (code >= 0xd800 && code <= 0xdbff && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        const char *before = p->at;
        p->at += 2;
        if (parse_hex(p, &low) < 0)
            return -1;
        if (low >= 0xdc00 && low <= 0xdfff)
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        else
            p->at = before;
    }
    *out = put_code_point(*out, code >= 0xd800 && code <= 0xdfff ? 0xfffd : code);
    return 0;
}

static int parse_escape(struct parser *p, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (p->at == p->end)
        return refuse(p, "the string does not end");
    char name = *p->at++;
    if (name == 'u')
        return parse_unicode_escape(p, out);
    const char *found = name ? strchr(names, name) : NULL;
    if (found == NULL)
        return refuse(p, "unknown escape");
    *(*out)++ = values[found - names];
    return 0;
}

/* Where the string that starts at `at` ends (its closing quote), or NULL. */
static const char *find_quote(const char *at, const char *end)
{
    for (; at < end && *at != '"'; at++)
        if (*at == '\\' && ++at == end)
            return NULL;
    return at < end ? at : NULL;
}

static int parse_string(struct parser *p, const char **text, size_t *length)
{
    if (!take(p, '"'))
        return refuse(p, "a string was expected");
    const char *quote = find_quote(p->at, p->end);
    if (quote == NULL)
        return refuse(p, "the string does not end");
    char *out = p->next_string;
    *text = out;
    while (p->at < quote) {
        if (*p->at == '\\') {
            p->at++;
            if (parse_escape(p, &out) < 0)
                return -1;
            continue;
        }
        if ((unsigned char)*p->at < 0x20)
            return refuse(p, "control character in a string");
        size_t size = utf8_length(p->at, (size_t)(quote - p->at));
        if (size == 0)
            return refuse(p, "invalid UTF-8");
        memcpy(out, p->at, size);
        out += size;
        p->at += size;
    }
    p->at = quote + 1;
    *out = '\0';
    *length = (size_t)(out - *text);
    p->next_string = out + 1;
    return 0;
}

static bool take_digits(struct parser *p)
{
    const char *first = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > first;
}

static int parse_number(struct parser *p, struct json *value)
{
    const char *first = p->at;
    take(p, '-');
    if (!take(p, '0') && !take_digits(p))
        return refuse(p, "a value was expected");
    if (take(p, '.') && !take_digits(p))
        return refuse(p, "digits must follow the point");
    if (take(p, 'e') || take(p, 'E')) {
        if (!take(p, '+'))
            take(p, '-');
        if (!take_digits(p))
            return refuse(p, "the exponent has no digits");
    }
    value->type = JSON_NUMBER;
    value->length = (size_t)(p->at - first);
    memcpy(p->next_string, first, value->length);
    p->next_string[value->length] = '\0';
    value->text = p->next_string;
    p->next_string += value->length + 1;
    return 0;
}

static int parse_word(struct parser *p, struct json *value)
{
    static const struct {
        const char *text;
        enum json_type type;
        bool boolean;
    } words[] = {{"true", JSON_BOOL, true}, {"false", JSON_BOOL, false}, {"null", JSON_NULL, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].text);
        if ((size_t)(p->end - p->at) >= length && memcmp(p->at, words[i].text, length) == 0) {
            p->at += length;
            value->type = words[i].type;
            value->boolean = words[i].boolean;
            return 0;
        }
    }
    return refuse(p, "a value was expected");
}

static int parse_value(struct parser *p, struct json *value, int depth);

/* Members up to `close`; the opening bracket has been read. */
static int parse_members(struct parser *p, struct json *parent, char close, int depth)
{
    struct json **link = &parent->first;
    skip_space(p);
    if (take(p, close))
        return 0;
    for (;;) {
        struct json *member = p->next_node++;
        if (parent->type == JSON_OBJECT) {
            size_t length;
            skip_space(p);
            if (parse_string(p, &member->key, &length) < 0)
                return -1;
            skip_space(p);
            if (!take(p, ':'))
                return refuse(p, "':' was expected");
        }
        if (parse_value(p, member, depth) < 0)
            return -1;
        *link = member;
        link = &member->next;
        parent->count++;
        skip_space(p);
        if (take(p, close))
            return 0;
        if (!take(p, ','))
            return refuse(p, "',' or a closing bracket was expected");
    }
}

static int parse_value(struct parser *p, struct json *value, int depth)
{
    if (depth > DEPTH_MAX)
        return refuse(p, "nested too deeply");
    skip_space(p);
    if (p->at == p->end)
        return refuse(p, "unexpected end");
    switch (*p->at) {
    case '"':
        value->type = JSON_STRING;
        return parse_string(p, &value->text, &value->length);
    case '{':
        p->at++;
        value->type = JSON_OBJECT;
        return parse_members(p, value, '}', depth + 1);
    case '[':
        p->at++;
        value->type = JSON_ARRAY;
        return parse_members(p, value, ']', depth + 1);
    case 't':
    case 'f':
    case 'n':
        return parse_word(p, value);
    default:
        return parse_number(p, value);
    }
}

/* Room for every value: each but the root follows a comma or an opening bracket. And for every text: a string's two
 * quotes pay for its NUL, no escape is shorter than what it stands for, and the byte that ends a number pays for the
 * number's. */
static struct json_document *allocate_document(const char *text, size_t length)
{
    AUTO_JSON struct json_document *document = calloc(1, sizeof *document);
    if (document == NULL)
        return NULL;
    size_t values = 1;
    for (size_t i = 0; i < length; i++)
        values += text[i] == ',' || text[i] == '[' || text[i] == '{';
    document->nodes = calloc(values, sizeof *document->nodes);
    document->strings = malloc(length + 1);
    if (document->nodes == NULL || document->strings == NULL)
        return NULL;
    struct json_document *result = document;
    document = NULL;
    return result;
}

struct json_document *json_parse(const char *text, size_t length, struct fault *f)
{
    if (length > LENGTH_MAX) {
        fault_text(f, STAGE_CONFIG, "invalid JSON: %zu bytes are too many", length);
        return NULL;
    }
    AUTO_JSON struct json_document *document = allocate_document(text, length);
    if (document == NULL) {
        fault_errno(f, STAGE_CONFIG, "parse JSON");
        return NULL;
    }
    struct parser p = {.start = text, .at = text, .end = text + length, .f = f};
    p.next_node = document->nodes + 1;
    p.next_string = document->strings;
    if (parse_value(&p, document->nodes, 0) < 0)
        return NULL;
    skip_space(&p);
    if (p.at != p.end) {
        refuse(&p, "more text after the value");
        return NULL;
    }
    struct json_document *result = document;
    document = NULL;
    return result;
}

const struct json *json_root(const struct json_document *document)
{
    return document ? document->nodes : NULL;
}

void json_free(struct json_document *document)
{
    if (document == NULL)
        return;
    free(document->nodes);
    free(document->strings);
    free(document);
}

void json_release(struct json_document **document)
{
    int error = errno;
    json_free(*document);
    *document = NULL;
    errno = error;
}

const struct json *json_get(const struct json *object, const char *key)
{
    const struct json *found = NULL;
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    json_each(member, object) if (strcmp(member->key, key) == 0) found = member;
    return found != NULL && found->type != JSON_NULL ? found : NULL;
}

const char *json_string(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    return value != NULL && value->type == JSON_STRING ? value->text : NULL;
}

bool json_bool(const struct json *object, const char *key, bool fallback)
{
    const struct json *value = json_get(object, key);
    return value != NULL && value->type == JSON_BOOL ? value->boolean : fallback;
}

/* Digits only: as Go, no fraction or exponent where an integer belongs, even if its value is whole. */
static bool is_integer(const struct json *value, bool is_signed)
{
    if (value->type != JSON_NUMBER)
        return false;
    const char *digits = value->text + (is_signed && *value->text == '-');
    return *digits != '\0' && digits[strspn(digits, "0123456789")] == '\0';
}

int json_int64(const struct json *object, const char *key, int64_t *value)
{
    const struct json *number = json_get(object, key);
    if (number == NULL)
        return 0;
    if (!is_integer(number, true))
        return -1;
    errno = 0;
    long long parsed = strtoll(number->text, NULL, 10);
    if (errno != 0)
        return -1;
    *value = parsed;
    return 1;
}

int json_uint64(const struct json *object, const char *key, uint64_t *value)
{
    const struct json *number = json_get(object, key);
    if (number == NULL)
        return 0;
    if (!is_integer(number, false))
        return -1;
    errno = 0;
    unsigned long long parsed = strtoull(number->text, NULL, 10);
    if (errno != 0)
        return -1;
    *value = parsed;
    return 1;
}
