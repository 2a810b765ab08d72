/* A small fuzzer guided by coverage: driver NAME CORPUS SECONDS. The code under test is compiled with gcc's
 * -fsanitize-coverage=trace-pc, which calls us at every branch; an input that reaches a new place joins the pool that
 * others are mutated from. Targets have libFuzzer's interface, so clang's driver would do as well.
 * The input that crashed is left in build/debug/fuzz/crash-NAME. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "io.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
void __sanitizer_cov_trace_pc(void);

#define PLACES     65536U
#define MOST_BYTES 4096U
#define MOST_POOL  4096U

struct input {
    uint8_t *bytes;
    size_t size;
};

static uint8_t seen[PLACES], hit[PLACES];
static size_t places;
static struct input pool[MOST_POOL];
static size_t pool_size;
static uint64_t state = 88172645463325252U;

/* Pairs of places, so that the order counts: as AFL does. */
void __sanitizer_cov_trace_pc(void)
{
    static uintptr_t previous;
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    hit[((here >> 1) ^ previous * 31) % PLACES] = 1;
    previous = here >> 1;
}

static uint64_t random_below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return limit ? state % limit : 0;
}

static bool found_new_place(void)
{
    bool found = false;
    for (size_t i = 0; i < PLACES; i++) {
        static const uint8_t none[64];
        if (i % sizeof none == 0 && memcmp(&hit[i], none, sizeof none) == 0)
            i += sizeof none - 1; /* most are not hit */
        else if (hit[i] && !seen[i]) {
            seen[i] = 1;
            places++;
            found = true;
        }
    }
    memset(hit, 0, sizeof hit);
    return found;
}

static void keep(const uint8_t *bytes, size_t size)
{
    size_t slot = pool_size < MOST_POOL ? pool_size++ : random_below(MOST_POOL);
    free(pool[slot].bytes);
    pool[slot] = (struct input){.bytes = malloc(size + 1), .size = size};
    if (!pool[slot].bytes)
        abort();
    memcpy(pool[slot].bytes, bytes, size);
}

static void run(uint8_t *shown, const uint8_t *bytes, size_t size)
{
    memset(shown, 0, MOST_BYTES);
    memcpy(shown, bytes, size);
    /* A copy of exactly this size, so that ASan sees a read beyond its end. */
    AUTO_FREE uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    if (found_new_place())
        keep(bytes, size);
}

static size_t insert(uint8_t *bytes, size_t size, const uint8_t *what, size_t length)
{
    size_t at = random_below(size + 1);
    if (size + length > MOST_BYTES)
        return size;
    memmove(bytes + at + length, bytes + at, size - at);
    memmove(bytes + at, what, length);
    return size + length;
}

static size_t mutate_once(uint8_t *bytes, size_t size)
{
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "\"",
                                        "\\u0000",
                                        "-1",
                                        "0",
                                        "1e9",
                                        "../",
                                        "/",
                                        ".",
                                        "null",
                                        "true",
                                        "18446744073709551616",
                                        "4294967296",
                                        "\xff\xff",
                                        "\n"};
    const struct input *other = &pool[random_below(pool_size)];
    size_t from = random_below(other->size), length = 1 + random_below(16);
    uint8_t copy[MOST_BYTES];
    const char *word = words[random_below(sizeof words / sizeof words[0])];
    switch (random_below(7)) {
    case 0:
        if (size)
            bytes[random_below(size)] ^= (uint8_t)(1U << random_below(8));
        return size;
    case 1:
        if (size)
            bytes[random_below(size)] = (uint8_t)random_below(256);
        return size;
    case 2: /* cut */
        from = random_below(size);
        length = length < size - from ? length : size - from;
        memmove(bytes + from, bytes + from + length, size - from - length);
        return size - length;
    case 3: /* repeat */
        from = random_below(size);
        length = length < size - from ? length : size - from;
        memcpy(copy, bytes + from, length);
        return insert(bytes, size, copy, length);
    case 4:
        return insert(bytes, size, (const uint8_t *)word, strlen(word));
    case 5: /* a piece of another input */
        length = random_below(other->size - from + 1);
        return insert(bytes, size, other->bytes + from, length);
    default:
        bytes[size < MOST_BYTES ? size : 0] = (uint8_t)random_below(256);
        return size < MOST_BYTES ? size + 1 : size;
    }
}

static void read_corpus(const char *path, uint8_t *shown)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        size_t size = 0;
        AUTO_FREE char *text =
            entry->d_name[0] == '.' ? NULL : read_file_at(dirfd(listing), entry->d_name, 1 << 20, &size);
        if (text)
            run(shown, (const uint8_t *)text, size < MOST_BYTES ? size : MOST_BYTES);
    }
    if (listing)
        (void)closedir(listing);
    if (!pool_size)
        keep((const uint8_t *)"", 0);
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    char crash[4096];
    (void)snprintf(crash, sizeof crash, "build/debug/fuzz/crash-%s", argv[1]);
    int fd = open(crash, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    uint8_t *shown = fd < 0 || ftruncate(fd, MOST_BYTES) < 0
                         ? MAP_FAILED
                         : mmap(NULL, MOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shown == MAP_FAILED)
        return 2;
    uint64_t start = (uint64_t)(seconds_now() * 1e9) | 1, runs = 0;
    double end = seconds_now() + atof(argv[3]);
    read_corpus(argv[2], shown);
    for (state ^= start; seconds_now() < end; runs++) {
        uint8_t bytes[MOST_BYTES];
        const struct input *input = &pool[random_below(pool_size)];
        size_t size = input->size;
        memcpy(bytes, input->bytes, size);
        for (uint64_t i = 0, steps = 1 + random_below(8); i < steps; i++)
            size = mutate_once(bytes, size);
        (void)alarm(20); /* a run without end is a finding */
        run(shown, bytes, size);
    }
    (void)unlink(crash);
    printf("ok: fuzz %s: %llu runs, %zu places, %zu inputs\n", argv[1], (unsigned long long)runs, places, pool_size);
    return 0;
}
