/* shim.json, and the one thing of config.json that the shim must know. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "shim.h"

#define CONFIG_MAX ((size_t)16 << 20)

static struct json_document *read_json(const char *path, struct fault *f)
{
    size_t size;
    AUTO_FREE char *text = read_file_at(AT_FDCWD, path, CONFIG_MAX, &size);
    if (!text) {
        fault_errno(f, STAGE_CONFIG, "read %s", path);
        return NULL;
    }
    return json_parse(text, size, f);
}

/* The index of the word that stands in a field; words[0] is meant where the field is absent. */
static int choose(const struct json *object, const char *field, const char *const *words, struct fault *f)
{
    const char *text = json_string(object, field);
    if (!text)
        return 0;
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return fault_text(f, STAGE_CONFIG, "shim.json: %s: unknown value \"%s\"", field, text);
}

static int read_log(struct log_options *o, const struct json *log, struct fault *f)
{
    static const char *const drivers[] = {"none", "json-file", "local", NULL};
    static const char *const modes[] = {"blocking", "non-blocking", NULL};
    uint64_t max_files = 1, max_buffer = 1 << 20;
    int driver = choose(log, "driver", drivers, f), mode = choose(log, "mode", modes, f);
    if (driver < 0 || mode < 0)
        return -1;
    if (json_uint64(log, "maxSizeBytes", &o->max_size) < 0 || json_uint64(log, "maxFiles", &max_files) < 0 ||
        json_uint64(log, "maxBufferBytes", &max_buffer) < 0)
        return fault_text(f, STAGE_CONFIG, "shim.json: log: a size is no number");
    o->driver = (enum log_driver)driver;
    o->is_non_blocking = mode == 1;
    o->max_files = max_files < UINT_MAX ? (unsigned)max_files : UINT_MAX;
    o->max_buffer = max_buffer;
    o->compress = json_bool(log, "compress", false);
    o->path = json_string(log, "path");
    o->attrs = json_get(log, "attrs");
    if (o->driver != LOG_NONE && !o->path)
        return fault_text(f, STAGE_CONFIG, "shim.json: log: path is missing");
    return 0;
}

static void read_console_size(struct config *c, const struct json *size)
{
    if (!size || size->type != JSON_ARRAY || size->count != 2)
        return;
    c->height = (unsigned short)strtoul(size->first->text ? size->first->text : "0", NULL, 10);
    c->width = (unsigned short)strtoul(size->first->next->text ? size->first->next->text : "0", NULL, 10);
}

static int read_shim_json(struct config *c, struct fault *f)
{
    static const char *const stdin_modes[] = {"none", "open", "once", NULL};
    c->document = read_json("shim.json", f);
    if (!c->document)
        return -1;
    const struct json *root = json_root(c->document), *runtime = json_get(root, "runtime");
    const struct json *rootfs = json_get(root, "rootfs");
    int stdin_mode = choose(root, "stdin", stdin_modes, f);
    if (stdin_mode < 0 || read_log(&c->log, json_get(root, "log"), f) < 0)
        return -1;
    c->stdin_mode = (enum stdin_mode)stdin_mode;
    c->id = json_string(root, "id");
    c->runtime = json_string(runtime, "path");
    c->runtime_args = json_get(runtime, "args");
    c->rootfs_type = json_string(rootfs, "type");
    c->rootfs_source = json_string(rootfs, "source");
    c->rootfs_options = json_string(rootfs, "options");
    const struct json *owner = json_get(rootfs, "owner");
    if (json_uint64(owner, "uid", &c->rootfs_uid) < 0 || json_uint64(owner, "gid", &c->rootfs_gid) < 0)
        return fault_text(f, STAGE_CONFIG, "shim.json: rootfs: an id is no number");
    c->terminal = json_bool(root, "terminal", false);
    c->has_oom_score_adj = json_int64(root, "oomScoreAdj", &c->oom_score_adj) > 0;
    read_console_size(c, json_get(root, "consoleSize"));
    if (!c->id || !c->runtime)
        return fault_text(f, STAGE_CONFIG, "shim.json: id or runtime.path is missing");
    return 0;
}

int config_read(struct config *c, struct fault *f)
{
    if (read_shim_json(c, f) < 0)
        return -1;
    AUTO_JSON struct json_document *spec = read_json("config.json", f);
    if (!spec)
        return -1;
    const struct json *namespaces = json_get(json_get(json_root(spec), "linux"), "namespaces");
    json_each(namespace, namespaces)
    {
        const char *type = json_string(namespace, "type"), *path = json_string(namespace, "path");
        if (type && strcmp(type, "pid") == 0 && (!path || !*path))
            c->has_private_pid = true;
    }
    return 0;
}
