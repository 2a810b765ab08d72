/* Out-of-memory events of the container's cgroup: v1 by an eventfd on memory.oom_control, v2 by inotify on
 * memory.events (kernel: Documentation/admin-guide/cgroup-v1/memory.rst section 10, cgroup-v2.rst). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "io.h"
#include "shim.h"

#define TABLE_MAX ((size_t)1 << 20)

/* Is `name` one of the comma-separated `names`? */
static bool has_name(const char *names, size_t length, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = names, *end = names + length; at < end;) {
        size_t word = strcspn(at, ",");
        if (at + word > end)
            word = (size_t)(end - at);
        if (word == size && memcmp(at, name, size) == 0)
            return true;
        at += word + 1;
    }
    return false;
}

/* The path in /proc/<pid>/cgroup ("4:memory:/docker/x", "0::/docker/x"): v1 where memory is a v1 controller. */
static char *find_membership(pid_t pid, bool *is_v2)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/cgroup", (int)pid);
    AUTO_FREE char *table = read_file_at(AT_FDCWD, name, TABLE_MAX, NULL);
    char *unified = NULL;
    for (char *rest = table, *line; rest && (line = strsep(&rest, "\n"));) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        if (has_name(names + 1, (size_t)(path - names - 1), "memory")) {
            free(unified);
            *is_v2 = false;
            return strdup(path + 1);
        }
        if (path == names + 1 && !unified)
            unified = strdup(path + 1);
    }
    *is_v2 = true;
    return unified;
}

/* mountinfo: "35 31 0:32 <root> <mount point> … - cgroup cgroup rw,memory": proc_pid_mountinfo(5) */
static bool parse_mount(char *line, bool is_v2, char **root, char **mount_point)
{
    char *separator = strstr(line, " - ");
    if (!separator)
        return false;
    char *type = separator + 3, *options = strrchr(type, ' ');
    if (!options || strncmp(type, is_v2 ? "cgroup2 " : "cgroup ", is_v2 ? 8 : 7) != 0)
        return false;
    if (!is_v2 && !has_name(options + 1, strlen(options + 1), "memory"))
        return false;
    *separator = '\0';
    for (int field = 0; line && field < 3; field++)
        (void)strsep(&line, " ");
    *root = strsep(&line, " ");
    *mount_point = strsep(&line, " ");
    return *root && *mount_point;
}

static int open_folder(const char *membership, bool is_v2)
{
    AUTO_FREE char *mounts = read_file_at(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, NULL);
    for (char *rest = mounts, *line; rest && (line = strsep(&rest, "\n"));) {
        char path[PATH_MAX], *root, *mount_point;
        if (!parse_mount(line, is_v2, &root, &mount_point))
            continue;
        /* Where only a part of the hierarchy is mounted (Docker in Docker), paths are shown from that part on. */
        size_t skip = strcmp(root, "/") != 0 && strncmp(membership, root, strlen(root)) == 0 ? strlen(root) : 0;
        snprintf(path, sizeof path, "%s%s", mount_point, membership + skip);
        return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

static uint64_t read_kills(const struct oom *o)
{
    AUTO_FREE char *table = read_file_at(o->folder, o->is_v2 ? "memory.events" : "memory.oom_control", TABLE_MAX, NULL);
    const char *found = table ? strstr(table, "oom_kill ") : NULL;
    return found ? strtoull(found + strlen("oom_kill "), NULL, 10) : 0;
}

static void tell(struct shim *s)
{
    struct json_writer w = {0};
    s->oom.has_happened = true;
    json_begin_object(&w, NULL);
    json_put_string(&w, "event", "oom");
    json_end_object(&w);
    publish(s, &w);
    json_writer_free(&w);
}

static void oom_ready(struct source *source, uint32_t events)
{
    struct shim *s = OWNER_OF(source, struct shim, oom.source);
    char ignored[4096];
    (void)events;
    if (read_some(source->fd, ignored, sizeof ignored) <= 0)
        return;
    uint64_t kills = read_kills(&s->oom);
    /* v1 wakes before the kill is counted, and once more when the cgroup goes: then its files are gone. */
    bool is_there = faccessat(s->oom.folder, "cgroup.procs", F_OK, 0) == 0;
    if (is_there && (!s->oom.is_v2 || kills > s->oom.kills))
        tell(s);
    s->oom.kills = kills;
}

static int watch_v1(const struct oom *o)
{
    char line[32];
    AUTO_CLOSE int control = openat(o->folder, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    AUTO_CLOSE int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control < 0 || event < 0)
        return -1;
    snprintf(line, sizeof line, "%d %d", event, control);
    return write_file_at(o->folder, "cgroup.event_control", line) < 0 ? -1 : take_fd(&event);
}

static int watch_v2(const struct oom *o)
{
    char path[64];
    AUTO_CLOSE int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof path, "/proc/self/fd/%d/memory.events", o->folder);
    return inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY) < 0 ? -1 : take_fd(&inotify);
}

void oom_watch(struct shim *s, pid_t pid)
{
    struct oom *o = &s->oom;
    AUTO_FREE char *membership = find_membership(pid, &o->is_v2);
    if (!membership || (o->folder = open_folder(membership, o->is_v2)) < 0)
        return;
    o->kills = read_kills(o);
    o->source.fd = o->is_v2 ? watch_v2(o) : watch_v1(o);
    o->source.ready = oom_ready;
    if (o->source.fd >= 0)
        (void)loop_watch(&s->loop, &o->source, EPOLLIN);
}

void oom_stop(struct shim *s)
{
    struct oom *o = &s->oom;
    if (o->folder < 0)
        return;
    if (o->source.fd >= 0)
        oom_ready(&o->source, EPOLLIN);
    uint64_t kills = read_kills(o);
    if (kills > 0 && !o->has_happened)
        tell(s);
    loop_close(&s->loop, &o->source);
    close_fd(&o->folder);
}
