/* Any bytes: read, written and read again they say the same. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool is_equal_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool is_equal(const struct json *one, const struct json *other)
{
    if (one->type != other->type || one->boolean != other->boolean || one->count != other->count ||
        one->length != other->length || (one->text && memcmp(one->text, other->text, one->length) != 0))
        return false;
    const struct json *match = other->first;
    for (const struct json *item = one->first; item; item = item->next, match = match->next)
        if (!match || !is_equal_text(item->key, match->key) || !is_equal(item, match))
            return false;
    return !match;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fault f = {0};
    AUTO_JSON struct json_document *document = json_parse((const char *)bytes, size, &f);
    if (!document) {
        if (f.stage == STAGE_NONE || !*f.message)
            abort(); /* a refusal says why */
        return 0;
    }
    struct json_writer w = {0};
    json_put_json(&w, NULL, json_root(document));
    AUTO_JSON struct json_document *again = w.failed ? NULL : json_parse(w.text, w.length, &f);
    if (!again || !is_equal(json_root(document), json_root(again)))
        abort();
    json_writer_free(&w);
    return 0;
}
