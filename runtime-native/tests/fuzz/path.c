/* A script of lines makes a tree and asks for paths in it: `d dir`, `f file`, `l link target`, `m dir` and `n file`
 * (made where they are missing), anything else is a path to open. openat2 and the walk that stands in for it must find
 * the same, and neither may leave the root. */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char base[] = "/dev/shm/fuzz-path-XXXXXX";
static int base_fd = -1;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    return place->level ? remove(path) : 0;
}

static void clear(void)
{
    if (nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
        abort();
}

static void leave(void)
{
    clear();
    (void)rmdir(base);
}

static void prepare(void)
{
    if (base_fd < 0) {
        if (!mkdtemp(base) || (base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
            abort();
        (void)atexit(leave);
    }
    clear();
    if (mkdirat(base_fd, "root", 0755) < 0 || mkdirat(base_fd, "outside", 0755) < 0)
        abort();
}

static bool is_inside(int fd)
{
    char link[64], path[PATH_MAX], root[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int length = snprintf(root, sizeof root, "%s/root", base);
    ssize_t read = readlink(link, path, sizeof path - 1);
    return read >= length && strncmp(path, root, (size_t)length) == 0;
}

static void compare(int root, const char *path, int flags, unsigned rules)
{
    errno = 0;
    AUTO_CLOSE int by_kernel = path_open_plain(root, path, flags, rules);
    int kernel_error = by_kernel < 0 ? errno : 0;
    AUTO_CLOSE int by_walk = path_walk(root, path, flags, rules, PATH_MISSING_FAILS);
    int walk_error = by_walk < 0 ? errno : 0;
    struct stat one, other;
    bool is_same = kernel_error == walk_error;
    if (by_kernel >= 0 && by_walk >= 0)
        is_same = fstat(by_kernel, &one) == 0 && fstat(by_walk, &other) == 0 && one.st_ino == other.st_ino &&
                  one.st_dev == other.st_dev && is_inside(by_walk);
    if (is_same)
        return;
    fprintf(stderr, "\"%s\" (flags %#x, rules %u): errno %d by openat2, %d by the walk\n", path, (unsigned)flags, rules,
            kernel_error, walk_error);
    abort();
}

static void ask(int root, const char *path)
{
    compare(root, path, O_PATH, 0);
    compare(root, path, O_PATH | O_NOFOLLOW, 0);
    compare(root, path, O_RDONLY | O_NONBLOCK, 0);
    compare(root, path, O_PATH | O_DIRECTORY, 0);
    compare(root, path, O_PATH, PATH_NO_LINKS | PATH_SAME_MOUNT);
}

static void obey(int root, char *line)
{
    char *argument = line + 2, *target = NULL;
    if (!*line || line[1] != ' ' || !strchr("dflmn", *line)) {
        ask(root, line);
        return;
    }
    if (*line == 'l' && (target = strchr(argument, ' ')))
        *target++ = '\0';
    const char *name;
    AUTO_CLOSE int parent = strchr("dfl", *line) ? path_make_parent(root, argument, &name) : -1;
    AUTO_CLOSE int made = -1;
    switch (*line) {
    case 'd':
        (void)(parent < 0 ? 0 : mkdirat(parent, name, 0755));
        break;
    case 'f':
        (void)(parent < 0 ? 0 : mknodat(parent, name, S_IFREG | 0644, 0));
        break;
    case 'l':
        (void)(parent < 0 || !target ? 0 : symlinkat(target, parent, name));
        break;
    case 'm':
        made = path_make_directory(root, argument);
        break;
    default:
        made = path_make_file(root, argument);
    }
    if (made >= 0 && !is_inside(made))
        abort();
}

static bool is_plain(const char *text, size_t size)
{
    return size < 1024 && !memchr(text, '\0', size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!is_plain((const char *)bytes, size))
        return 0;
    prepare();
    char text[1025], *state = NULL;
    memcpy(text, bytes, size);
    text[size] = '\0';
    AUTO_CLOSE int root = openat(base_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int outside = openat(base_fd, "outside", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &state); line && lines < 24; line = strtok_r(NULL, "\n", &state), lines++)
        obey(root, line);
    if (unlinkat(base_fd, "outside", AT_REMOVEDIR) < 0)
        abort(); /* somebody has put something there */
    return 0;
}
