/* Entries are gathered and written together. As in moby's loggerutils.LogFile a file may grow past its limit by the
 * entry that crosses it; the next one goes into a new file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "log.h"
#include "note.h"

#define GATHER_BYTES ((size_t)64 << 10)

/* Never through a symbolic link: THREATS C2, containerd 2026-53489. */
static int open_log(const char *path, int flags)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0640);
}

int log_file_open(struct log_file *f, const struct log_options *o, size_t entry_max, struct fault *fault)
{
    struct stat status;
    *f = (struct log_file){.path = o->path, .max_size = o->max_size, .max_files = o->max_files ? o->max_files : 1};
    f->fd = open_log(o->path, 0);
    if (f->fd < 0 || fstat(f->fd, &status) < 0)
        return fault_errno(fault, STAGE_IO, "open %s", o->path);
    f->size = (uint64_t)status.st_size;
    f->capacity = GATHER_BYTES + entry_max;
    f->buffer = malloc(f->capacity);
    return f->buffer ? 0 : fault_errno(fault, STAGE_IO, "open %s", o->path);
}

void log_file_flush(struct log_file *f)
{
    if (f->used == 0)
        return;
    if (write_all(f->fd, f->buffer, f->used) == 0) {
        f->size += f->used;
        if (f->is_failing)
            note("the log is written again; %llu bytes were dropped", (unsigned long long)f->dropped_bytes);
        f->is_failing = false;
    } else {
        /* Disk full, most often. The container goes on; half an entry would spoil the next one, so it is cut off. */
        if (!f->is_failing)
            note("write %s: %m: output is dropped", f->path);
        f->dropped_bytes = (f->is_failing ? f->dropped_bytes : 0) + f->used;
        f->is_failing = true;
        if (ftruncate(f->fd, (off_t)f->size) < 0)
            note("ftruncate %s: %m", f->path);
    }
    f->used = 0;
}

/* The file that was rotated `age` times; 0: the one that is written. Its form is "" or ".gz". */
static void name_of(char name[PATH_MAX], const char *path, unsigned age, const char *form)
{
    if (age == 0)
        snprintf(name, PATH_MAX, "%s%s", path, form);
    else
        snprintf(name, PATH_MAX, "%s.%u%s", path, age, form);
}

static bool exists(const char *path, unsigned age)
{
    char plain[PATH_MAX], packed[PATH_MAX];
    name_of(plain, path, age, "");
    name_of(packed, path, age, ".gz");
    return access(plain, F_OK) == 0 || access(packed, F_OK) == 0;
}

/* What the older file leaves behind under the new name in the other form must not be taken for this one. */
static void make_older(const char *path, unsigned age, const char *form)
{
    char old[PATH_MAX], new[PATH_MAX];
    name_of(old, path, age, form);
    name_of(new, path, age + 1, form);
    if (rename(old, new) == 0)
        return;
    if (errno == ENOENT)
        (void)unlink(new);
    else
        note("rename %s: %m", old);
}

/* Makes each file one older, up to the first free name: `max-file` may be far more than there are. */
static void shift(const char *path, unsigned max_files)
{
    unsigned age = 1;
    while (age < max_files - 1 && exists(path, age))
        age++;
    while (age-- > 0) {
        make_older(path, age, "");
        make_older(path, age, ".gz");
    }
}

/* The daemon puts compressed files in place under the same lock (src/engine/log/compressor.ts). It is not waited for:
 * what holds it may be stopped. */
static int lock_names(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    AUTO_CLOSE int fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -1 : take_fd(&fd);
}

/* Readers may be in the middle of the file, so it is moved or unlinked, never cut. */
static void rotate(struct log_file *f)
{
    AUTO_CLOSE int lock = lock_names(f->path);
    if (lock < 0)
        return; /* before the next entry, then */
    if (f->max_files < 2)
        (void)unlink(f->path);
    else
        shift(f->path, f->max_files);
    int fd = open_log(f->path, O_TRUNC);
    if (fd < 0) {
        note("open %s: %m", f->path);
        return; /* goes on in the old one */
    }
    (void)close(f->fd);
    f->fd = fd;
    f->size = 0;
    f->has_rotated = f->max_files > 1;
}

char *log_file_reserve(struct log_file *f, size_t entry_max)
{
    if (f->max_size > 0 && f->size + f->used >= f->max_size) {
        log_file_flush(f);
        if (f->size >= f->max_size)
            rotate(f);
    }
    if (f->capacity - f->used < entry_max)
        log_file_flush(f);
    return f->buffer + f->used;
}

void log_file_commit(struct log_file *f, const char *end)
{
    f->used = (size_t)(end - f->buffer);
}

void log_file_close(struct log_file *f)
{
    log_file_flush(f);
    close_fd(&f->fd);
    free(f->buffer);
    f->buffer = NULL;
}
