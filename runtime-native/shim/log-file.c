/* Entries are gathered and written together. As in moby's loggerutils.LogFile a file may grow past its limit by the
 * entry that crosses it; the next one goes into a new file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The file that was rotated `age` times; 0: the one that is written. */
static const char *name_of(char name[PATH_MAX], const char *path, unsigned age)
{
    if (age == 0)
        snprintf(name, PATH_MAX, "%s", path);
    else
        snprintf(name, PATH_MAX, "%s.%u", path, age);
    return name;
}

/* Makes each file one older, up to the first free name: `max-file` may be far more than there are. */
static void shift(const char *path, unsigned max_files)
{
    char old[PATH_MAX], new[PATH_MAX];
    unsigned age = 1;
    while (age < max_files - 1 && access(name_of(new, path, age), F_OK) == 0)
        age++;
    for (; age > 0; age--)
        if (rename(name_of(old, path, age - 1), name_of(new, path, age)) < 0 && errno != ENOENT)
            note("rename %s: %m", old);
}

/* Readers may be in the middle of the file, so it is moved or unlinked, never cut. */
static void rotate(struct log_file *f)
{
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
