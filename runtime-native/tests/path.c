/* common/path.c: nothing below a root leads out of it, by openat2 and by the walk that stands in for it: everything is
 * done twice, the second time in a process for which openat2 does not exist. */
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "io.h"

static void make_tree(int root)
{
    expect(mkdirat(root, "outside", 0755) == 0 && mkdirat(root, "root", 0755) == 0, "make folders");
    AUTO_CLOSE int inner = openat(root, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect(mkdirat(inner, "a", 0755) == 0 && mkdirat(inner, "a/b", 0755) == 0, "make inner folders");
    expect(create_file_at(inner, "a/file", "inside", 0644) == 0, "make a file");
    expect(create_file_at(root, "outside/secret", "secret", 0644) == 0, "make a secret");
    expect(symlinkat("../../../../../outside", inner, "up") == 0, "link up");
    expect(symlinkat("/outside", inner, "absolute") == 0, "link to an absolute path");
    expect(symlinkat("/a/b/../file", inner, "good") == 0, "link inside");
    expect(symlinkat("../missing/deep", inner, "a/dangling") == 0, "dangling link");
    expect(symlinkat("loop", inner, "loop") == 0, "loop");
    expect(symlinkat("/proc/self/fd/3", inner, "magic") == 0, "link to a magic link");
}

static bool is_same(int one, int other)
{
    struct stat a, b;
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void opens(int root, const char *path, const char *same, const char *name)
{
    AUTO_CLOSE int wanted = openat(root, same, O_PATH | O_CLOEXEC);
    AUTO_CLOSE int found = path_open(root, path, O_PATH);
    expect(found >= 0 && is_same(found, wanted), name);
}

static void fails(int root, const char *path, int error, const char *name)
{
    AUTO_CLOSE int found = path_open(root, path, O_PATH);
    expect(found < 0 && errno == error, name);
}

static void test_opening(int root)
{
    opens(root, "a/file", "a/file", "a relative path");
    opens(root, "/a//./b/../file", "a/file", "dots and slashes");
    opens(root, "good", "a/file", "a link inside");
    opens(root, "/../../../a", "a", "the root's parent is the root");
    opens(root, "", ".", "the empty path is the root");
    opens(root, "/", ".", "the root");
    fails(root, "up/secret", ENOENT, "a link upwards stays inside");
    fails(root, "absolute/secret", ENOENT, "an absolute link stays inside");
    fails(root, "loop", ELOOP, "a loop of links");
    fails(root, "a/file/x", ENOTDIR, "a file is no folder");
    fails(root, "a/dangling", ENOENT, "a dangling link");
    fails(root, "magic", ENOENT, "there is no /proc in this root");
    fails(root, "a/file/", ENOTDIR, "a slash after a file");
    AUTO_CLOSE int link = path_open(root, "good", O_PATH | O_NOFOLLOW);
    struct stat status;
    expect(link >= 0 && fstat(link, &status) == 0 && S_ISLNK(status.st_mode), "a link itself");
    expect(path_open(root, "good", O_RDONLY | O_NOFOLLOW) < 0 && errno == ELOOP, "a link that may not be followed");
}

static void test_plain(int root)
{
    AUTO_CLOSE int plain = path_open_plain(root, "a/b", O_PATH, PATH_NO_LINKS | PATH_SAME_MOUNT);
    expect(plain >= 0, "a path without links on one mount");
    expect(path_open_plain(root, "good", O_PATH, PATH_NO_LINKS) < 0 && errno == ELOOP, "a link at the end");
    expect(path_open_plain(root, "absolute/x", O_PATH, PATH_NO_LINKS) < 0 && errno == ELOOP, "a link on the way");
    AUTO_CLOSE int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    expect(path_open_plain(host, "proc/version", O_RDONLY, PATH_SAME_MOUNT) < 0 && errno == EXDEV, "another mount");
    expect(path_open_plain(host, "proc/self", O_PATH, PATH_NO_LINKS) < 0 && errno == ELOOP, "procfs's own link");
    AUTO_CLOSE int stat = path_open(host, "proc/self/stat", O_RDONLY);
    expect(stat >= 0, "which may be followed else");
    AUTO_CLOSE int mounts = path_open(host, "proc/mounts", O_RDONLY);
    expect(mounts >= 0, "and so may /proc/mounts");
    static const char *const magic[] = {"proc/self/exe", "proc/self/cwd/x", "proc/self/root", "proc/self/fd/0",
                                        "proc/self/ns/net"};
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
        expect(path_open(host, magic[i], O_RDONLY) < 0 && errno == ELOOP, magic[i]);
    AUTO_CLOSE int inside = path_open_inside("/proc/self", O_PATH | O_DIRECTORY);
    expect(inside >= 0, "from the root, wherever this process stands");
}

static void test_making(int root, int outside)
{
    AUTO_CLOSE int made = path_make_directory(root, "/up/new/folder");
    AUTO_CLOSE int found = openat(root, "outside/new/folder", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    expect(made >= 0 && is_same(made, found), "folders behind a link upwards are made inside");
    expect(faccessat(outside, "new", F_OK, 0) < 0 && errno == ENOENT, "and not outside");
    AUTO_CLOSE int dangling = path_make_directory(root, "a/dangling");
    expect(dangling >= 0 && faccessat(root, "missing/deep", F_OK, 0) == 0, "a dangling link's folder is made inside");
    AUTO_CLOSE int file = path_make_file(root, "x/y/file");
    struct stat status;
    expect(file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0,
           "an empty file is made");
    const char *name;
    AUTO_CLOSE int parent = path_make_parent(root, "/p/q/name", &name);
    expect(parent >= 0 && strcmp(name, "name") == 0 && faccessat(root, "p/q", F_OK, 0) == 0, "a parent is made");
    expect(path_make_parent(root, "/p/..", &name) < 0 && errno == EINVAL, "a path that names no entry");
    char deep[4 * 300 + 1];
    for (size_t i = 0; i < 300; i++)
        memcpy(deep + 4 * i, "d/d/", 4);
    deep[sizeof deep - 1] = '\0';
    expect(path_walk(root, deep, O_PATH | O_DIRECTORY, 0, PATH_MISSING_DIRECTORY) < 0 && errno == ENAMETOOLONG,
           "a path that is too deep is refused");
}

static void remove_tree(const char *path)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf %s", path);
    expect(system(command) == 0, "clean up");
}

static int forget_openat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_all(void)
{
    char directory[] = "/var/tmp/path-test-XXXXXX";
    if (!mkdtemp(directory))
        abort();
    AUTO_CLOSE int base = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_tree(base);
    AUTO_CLOSE int root = openat(base, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int outside = openat(base, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    test_opening(root);
    test_plain(root);
    test_making(root, outside);
    remove_tree(directory);
}

int main(void)
{
    test_all();
    int by_kernel = report("path by openat2");
    expect(forget_openat2() == 0, "filter openat2");
    test_all();
    return report("path by the walk") || by_kernel;
}
