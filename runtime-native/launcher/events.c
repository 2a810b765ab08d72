#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "options.h"

static int print_stats(const struct container *container, struct fault *f)
{
    struct json_writer w = {0};
    int result = cgroup_stats(&container->cgroup, container->id, &w, f);
    if (result == 0)
        (void)printf("%.*s\n", (int)w.length, w.text);
    (void)fflush(stdout);
    json_writer_free(&w);
    return result;
}

/* v1: an eventfd registered with the memory controller; v2: a watch on memory.events. -1 where there is neither. */
static int watch_oom(const struct container *container)
{
    const struct cgroup_dir *memory = cgroup_find(&container->cgroup, "memory");
    if (memory && memory->fd >= 0) {
        AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        AUTO_CLOSE int control = openat(memory->fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
        char text[32];
        (void)snprintf(text, sizeof text, "%d %d", event, control);
        return event < 0 || control < 0 || write_file_at(memory->fd, "cgroup.event_control", text) < 0
                   ? -1
                   : take_fd(&event);
    }
    const struct cgroup_dir *unified = cgroup_unified(&container->cgroup);
    if (!unified || unified->fd < 0)
        return -1;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/memory.events", unified->fd);
    AUTO_CLOSE int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0 ? -1 : take_fd(&watch);
}

/* v1 tells of each time that memory ran out. v2 tells of every change of memory.events, and up to 10 ms late: there the
 * number of kills decides. */
static void report_oom(const struct container *container, int oom, unsigned long *kills)
{
    char bytes[4096];
    bool was_told = read_some(oom, bytes, sizeof bytes) > 0;
    unsigned long now = cgroup_oom_kills(&container->cgroup);
    bool is_news = cgroup_find(&container->cgroup, "memory") ? was_told : now > *kills;
    *kills = now;
    if (!is_news)
        return;
    (void)printf("{\"type\":\"oom\",\"id\":\"%s\"}\n", container->id);
    (void)fflush(stdout);
}

static int follow(const struct container *container, int interval_ms, struct fault *f)
{
    AUTO_CLOSE int init = container_pidfd(container, f);
    if (init < 0)
        return -1;
    AUTO_CLOSE int oom = watch_oom(container);
    struct pollfd fds[2] = {{.fd = init, .events = POLLIN}, {.fd = oom, .events = POLLIN}};
    unsigned long kills = cgroup_oom_kills(&container->cgroup);
    for (;;) {
        int ready = poll(fds, 2, interval_ms);
        if (ready < 0 && errno != EINTR)
            return fault_errno(f, STAGE_RUNTIME, "poll");
        if (fds[0].revents || fds[1].revents)
            report_oom(container, oom, &kills);
        if (fds[0].revents)
            return 0;
        if (ready == 0 && print_stats(container, f) < 0)
            return -1;
    }
}

/* Go's durations: "5s", "1m30s", "1.5h", "100ms". In milliseconds, rounded up; -1: none, or not above zero. */
static int parse_interval(const char *text)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"h", 3600e3}, {"ms", 1}, {"m", 60e3}, {"s", 1e3}, {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6}};
    double total = 0;
    while (*text) {
        char *end;
        double number = strtod(text, &end);
        size_t unit = 0;
        while (unit < sizeof units / sizeof units[0] && strncmp(end, units[unit].name, strlen(units[unit].name)) != 0)
            unit++;
        if (end == text || !(isdigit((unsigned char)*text) || *text == '.') || unit == sizeof units / sizeof units[0])
            return -1;
        total += number * units[unit].ms;
        text = end + strlen(units[unit].name);
    }
    return total <= 0 || total > INT_MAX - 1 ? -1 : (int)total + (total > (int)total);
}

int command_events(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    bool only_stats = false;
    const char *interval = "5s";
    const struct option_rule rules[] = {
        {"stats", NULL, OPTION_FLAG, &only_stats, "print the statistics once"},
        {"interval", NULL, OPTION_TEXT, &interval, "time between statistics (default: 5s)"},
        OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    int interval_ms = parse_interval(interval);
    if (interval_ms < 0)
        return fault_text(f, STAGE_ARGUMENTS, "duration interval must be greater than 0");
    struct container container;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0 && container_status(&container) == STATUS_STOPPED)
        result = fault_text(f, STAGE_STATE, "container with id %s is not running", argv[0]);
    if (result == 0)
        result = only_stats ? print_stats(&container, f) : follow(&container, interval_ms, f);
    container_close(&container);
    return result;
}
