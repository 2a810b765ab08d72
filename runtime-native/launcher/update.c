/* New limits for a container: a resources document (-r FILE, "-" is standard input), or flags that make one. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup-resources.h"
#include "commands.h"
#include "container.h"
#include "io.h"
#include "options.h"

#define MAX_RESOURCES (4 * 1024 * 1024)

struct update_flag {
    const char *name, *section, *member;
    enum { NUMBER, SIZE, TEXT, PROCESSES } kind;
    const char *help, *value;
};

static struct update_flag flags[] = {
    {"blkio-weight", "blockIO", "weight", NUMBER, "10 to 1000", NULL},
    {"cpu-period", "cpu", "period", NUMBER, "of the CPU quota, in microseconds", NULL},
    {"cpu-quota", "cpu", "quota", NUMBER, "CPU time in each period, in microseconds", NULL},
    {"cpu-burst", "cpu", "burst", NUMBER, "CPU time that may be saved up, in microseconds", NULL},
    {"cpu-share", "cpu", "shares", NUMBER, "weight against other containers", NULL},
    {"cpu-rt-period", "cpu", "realtimePeriod", NUMBER, "of the realtime quota, in microseconds", NULL},
    {"cpu-rt-runtime", "cpu", "realtimeRuntime", NUMBER, "realtime CPU time in each period", NULL},
    {"cpu-idle", "cpu", "idle", NUMBER, "1: only what others leave (SCHED_IDLE)", NULL},
    {"cpuset-cpus", "cpu", "cpus", TEXT, "CPUs to use", NULL},
    {"cpuset-mems", "cpu", "mems", TEXT, "memory nodes to use", NULL},
    {"memory", "memory", "limit", SIZE, "limit in bytes, or with a unit (64m)", NULL},
    {"memory-reservation", "memory", "reservation", SIZE, "soft limit", NULL},
    {"memory-swap", "memory", "swap", SIZE, "limit of memory and swap; -1: none", NULL},
    {"pids-limit", "pids", "limit", PROCESSES, "how many processes; -1: no limit", NULL},
    {"kernel-memory", NULL, NULL, SIZE, NULL, NULL}, /* taken and ignored: the kernel has no such limit any more */
    {"kernel-memory-tcp", "memory", "kernelTCP", SIZE, NULL, NULL},
};
#define FLAGS (sizeof flags / sizeof flags[0])

/* "512m", "1.5g", "-1" in bytes. */
static int parse_size(const char *text, long long *bytes)
{
    static const char units[] = "bkmgtp";
    char *end;
    if (strcmp(text, "-1") == 0) {
        *bytes = -1;
        return 0;
    }
    double number = strtod(text, &end);
    if (end == text || number < 0 || number > 9e18 || !(isdigit((unsigned char)*text) || *text == '.'))
        return -1;
    while (*end == ' ')
        end++;
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units;
    if (!unit || !*unit)
        return -1;
    if (*end)
        end++;
    if (unit != units && (*end == 'b' || *end == 'B'))
        end++;
    for (; unit > units; unit--)
        number *= 1024;
    if (*end || number > 9e18)
        return -1;
    *bytes = (long long)number;
    return 0;
}

static int put_flag(struct json_writer *w, const struct update_flag *flag, struct fault *f)
{
    char *end;
    long long number = 0;
    if (flag->kind == TEXT) {
        json_put_string(w, flag->member, flag->value);
        return 0;
    }
    if (flag->kind == SIZE && parse_size(flag->value, &number) < 0)
        return fault_text(f, STAGE_ARGUMENTS, "invalid value for %s: invalid size: '%s'", flag->name, flag->value);
    if (flag->kind == NUMBER || flag->kind == PROCESSES) {
        errno = 0;
        number = strtoll(flag->value, &end, 10);
        if (errno || *end || end == flag->value)
            return fault_text(f, STAGE_ARGUMENTS, "invalid value for %s: parsing \"%s\": invalid syntax", flag->name,
                              flag->value);
    }
    /* Zero in a document says nothing; the flag's means the least there can be (as runc 1.4). */
    json_put_int(w, flag->member, flag->kind == PROCESSES && number == 0 ? 1 : number);
    return 0;
}

static int put_section(struct json_writer *w, const char *section, struct fault *f)
{
    json_begin_object(w, section);
    for (size_t i = 0; i < FLAGS; i++)
        if (flags[i].value && *flags[i].value && flags[i].section && strcmp(flags[i].section, section) == 0 &&
            put_flag(w, &flags[i], f) < 0)
            return -1;
    json_end_object(w);
    return 0;
}

static struct json_document *from_flags(struct fault *f)
{
    static const char *const sections[] = {"cpu", "memory", "pids", "blockIO"};
    struct json_writer w = {0};
    struct json_document *document = NULL;
    int result = 0;
    json_begin_object(&w, NULL);
    for (size_t i = 0; result == 0 && i < sizeof sections / sizeof sections[0]; i++)
        result = put_section(&w, sections[i], f);
    json_end_object(&w);
    if (result == 0)
        document = json_parse(w.text, w.length, f);
    json_writer_free(&w);
    return document;
}

static struct json_document *from_file(const char *path, struct fault *f)
{
    size_t size = 0;
    AUTO_CLOSE int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    AUTO_FREE char *text = fd < 0 ? NULL : malloc(MAX_RESOURCES);
    ssize_t length = text ? read_all(fd, text, MAX_RESOURCES) : -1;
    if (length < 0) {
        (void)fault_errno(f, STAGE_ARGUMENTS, "open %s", path);
        return NULL;
    }
    size = (size_t)length;
    return json_parse(text, size, f);
}

static int update(const struct container *container, const char *resources, struct fault *f)
{
    if (container_status(container) == STATUS_STOPPED)
        return fault_text(f, STAGE_STATE, "container not running");
    AUTO_JSON struct json_document *document = resources ? from_file(resources, f) : from_flags(f);
    return document ? cgroup_apply(&container->cgroup, json_root(document), true, f) : -1;
}

int command_update(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    const char *resources = NULL, *cache = NULL, *bandwidth = NULL;
    struct option_rule rules[FLAGS + 4] = {
        {"resources", "r", OPTION_TEXT, &resources, "a file with linux.resources; -: standard input"},
        {"l3-cache-schema", NULL, OPTION_TEXT, &cache, "refused: Intel RDT is not supported"},
        {"mem-bw-schema", NULL, OPTION_TEXT, &bandwidth, "refused likewise"}};
    for (size_t i = 0; i < FLAGS; i++)
        rules[i + 3] = (struct option_rule){flags[i].name, NULL, OPTION_TEXT, &flags[i].value, flags[i].help};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    if (cache && *cache)
        return fault_text(f, STAGE_ARGUMENTS, "Intel RDT/CAT: l3 cache schema is not enabled");
    if (bandwidth && *bandwidth)
        return fault_text(f, STAGE_ARGUMENTS, "Intel RDT/MBA: memory bandwidth schema is not enabled");
    struct container container;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0)
        result = update(&container, resources, f);
    container_close(&container);
    return result;
}
