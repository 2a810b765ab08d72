/* common/json.c: what it accepts, refuses and writes. */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Parses and writes again; NULL where the parser refuses. The caller frees it. */
static char *round_trip(const char *text, size_t length)
{
    struct fault f = {0};
    struct json_writer w = {0};
    /* A buffer of the exact size, so that the sanitizer sees a read past the end. */
    char *exact = malloc(length ? length : 1);
    if (!exact)
        abort();
    memcpy(exact, text, length);
    AUTO_JSON struct json_document *document = json_parse(exact, length, &f);
    free(exact);
    if (!document) {
        expect(f.stage == STAGE_CONFIG && strncmp(f.message, "invalid JSON", 12) == 0, text);
        return NULL;
    }
    json_put_json(&w, NULL, json_root(document));
    return w.text;
}

static void accepts(const char *text, const char *written)
{
    char *result = round_trip(text, strlen(text));
    if (!result || strcmp(result, written) != 0)
        fail("%s gives %s", text, result ? result : "an error");
    free(result);
}

static void refuses(const char *text)
{
    char *result = round_trip(text, strlen(text));
    if (result)
        fail("%s is accepted as %s", text, result);
    free(result);
}

static void test_values(void)
{
    accepts(" { \"a\" : [ 1 , -2.5e+3 , true , false , null , \"x\" , { } , [ ] ] }\n",
            "{\"a\":[1,-2.5e+3,true,false,null,\"x\",{},[]]}");
    accepts("0", "0");
    accepts("\"\"", "\"\"");
    accepts("\"\\u0041\\n\\/\\u00e4\\u20ac\\ud83d\\ude00\"", "\"A\\n/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    accepts("\"\\ud800x\\udc00\\ud800\\ud800\\udc00\"", "\"\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xf0\x90\x80\x80\"");
    accepts("\"\\u0001\\u007f\"", "\"\\u0001\x7f\"");
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[1",
        "[1,]",
        "[,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "tru",
        "nul",
        "truex",
        "\"",
        "\"\\",
        "\"\\u12\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "1 2",
        "\"\\u0000\"",
        "\"\\ud800\\u00\"",
        "{1:2}",
        "[1 2]",
        "'a'",
        "\"a\\",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i]);
    char *result = round_trip("\"a\0b\"", 5);
    expect(!result, "a NUL byte in a string");
    free(result);
}

static void test_depth(void)
{
    char text[600];
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    char *result = round_trip(text, 256);
    expect(result != NULL, "128 levels");
    free(result);
    memset(text, '[', 300);
    memset(text + 300, ']', 300);
    result = round_trip(text, 600);
    expect(!result, "300 levels");
    free(result);
}

static void test_readers(void)
{
    struct fault f;
    static const char text[] =
        "{\"s\":\"x\",\"i\":-9223372036854775808,\"u\":18446744073709551615,\"f\":1.0,\"b\":true,"
        "\"n\":null,\"o\":{\"k\":\"v\"},\"d\":1,\"d\":2,\"big\":18446744073709551616}";
    AUTO_JSON struct json_document *document = json_parse(text, sizeof text - 1, &f);
    const struct json *root = json_root(document);
    int64_t number = 7;
    uint64_t natural = 7;
    expect(document != NULL, "the readers' document");
    expect(strcmp(json_string(root, "s"), "x") == 0 && !json_string(root, "i"), "json_string");
    expect(json_int64(root, "i", &number) == 1 && number == INT64_MIN, "json_int64: the least");
    expect(json_int64(root, "u", &number) == -1 && json_int64(root, "f", &number) == -1, "json_int64: no such integer");
    expect(json_int64(root, "missing", &number) == 0 && json_int64(root, "n", &number) == 0, "json_int64: absent");
    expect(json_uint64(root, "u", &natural) == 1 && natural == UINT64_MAX, "json_uint64: the greatest");
    expect(json_uint64(root, "i", &natural) == -1 && json_uint64(root, "big", &natural) == -1,
           "json_uint64: out of range");
    expect(json_bool(root, "b", false) && json_bool(root, "s", true), "json_bool");
    expect(json_int64(root, "d", &number) == 1 && number == 2, "the last of two equal keys wins");
    expect(!json_get(root, "n") && !json_get(json_get(root, "s"), "x"), "null and scalars have no members");
    expect(strcmp(json_string(json_get(root, "o"), "k"), "v") == 0, "lookups chain");
    expect(root->count == 10, "members are counted");
}

static void test_writer(void)
{
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_bytes(&w, "bytes", "a\xff\"\0\x1f", 5);
    json_begin_array(&w, "list");
    json_put_int(&w, NULL, -1);
    json_put_bool(&w, NULL, true);
    json_put_null(&w, NULL);
    json_end_array(&w);
    json_put_raw(&w, "raw", "{}");
    json_put_string(&w, "tab\t", "/");
    json_end_object(&w);
    expect(!w.failed && strcmp(w.text, "{\"bytes\":\"a\xef\xbf\xbd\\\"\\u0000\\u001f\",\"list\":[-1,true,null],"
                                       "\"raw\":{},\"tab\\t\":\"/\"}") == 0,
           "the writer");
    json_writer_free(&w);
}

int main(void)
{
    test_values();
    test_refusals();
    test_depth();
    test_readers();
    test_writer();
    return report("json");
}
