/* The one way to a file below a container's root: every path is resolved by openat2(2) inside the root and then used by
 * its descriptor. Symlinks are read as the container would read them; a magic link (/proc/self/fd/3) is never followed.
 * Where the kernel has no openat2 (before 5.6) a walk by descriptors does the same, component by component. */
#ifndef MINIDOCK_PATH_H
#define MINIDOCK_PATH_H

#include <sys/stat.h>
#include <sys/types.h>

/* Opens an existing object: a descriptor, or -1 with errno. O_CLOEXEC is added; flags must not create. */
int path_open(int root, const char *path, int flags);

/* The same, stricter: for procfs, whose files must be those that are asked for and no others that lie over them. */
enum { PATH_NO_LINKS = 1, PATH_SAME_MOUNT = 2 };
int path_open_plain(int root, const char *path, int flags, unsigned rules);

/* From this process's own root, wherever it stands: for what has already entered a container. */
int path_open_inside(const char *path, int flags);

/* An O_PATH descriptor of the directory, made (0755, step by step) where it is missing. A dangling symlink leads to the
 * directory that it names inside the root. */
int path_make_directory(int root, const char *path);

/* An O_PATH descriptor of what is there, or of an empty regular file made in its place. */
int path_make_file(int root, const char *path);

/* The directory that holds path's last component, made where missing; *name is set to that component (inside path). */
int path_make_parent(int root, const char *path, const char **name);

/* Where a descriptor is, as a path inside the root; EXDEV when it is outside. */
int path_name(int root, int fd, char *path, size_t size);

/* The walk itself, for its tests and for kernels without openat2. */
enum path_missing { PATH_MISSING_FAILS, PATH_MISSING_DIRECTORY, PATH_MISSING_FILE };
int path_walk(int root, const char *path, int flags, unsigned rules, enum path_missing missing);

#endif
