#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "log.h"
#include "options.h"

/* The name of the folder's owner, from the host's passwd file; no NSS, the binary is static. */
static void owner_name(uid_t uid, char *name, size_t size)
{
    (void)snprintf(name, size, "#%u", uid);
    FILE *file = fopen("/etc/passwd", "re");
    if (!file)
        return;
    for (struct passwd *entry; (entry = fgetpwent(file));) {
        if (entry->pw_uid != uid)
            continue;
        (void)snprintf(name, size, "%s", entry->pw_name);
        break;
    }
    (void)fclose(file);
}

struct table {
    struct json_writer json;
    bool is_quiet, is_json;
    char *rows; /* tab separated */
    size_t size;
    FILE *stream;
};

static void add(const char *root, const char *id, uid_t uid, struct table *table)
{
    struct container container;
    struct fault f = {0};
    char owner[64];
    owner_name(uid, owner, sizeof owner);
    if (container_load(root, id, &container, &f) < 0)
        (void)fprintf(stderr, "load container %s: %s\n", id, f.message);
    else if (table->is_quiet)
        (void)puts(id);
    else if (table->is_json)
        container_describe(&container, &table->json, owner);
    else {
        enum container_status status = container_status(&container);
        (void)fprintf(table->stream, "%s\t%d\t%s\t%s\t%s\t%s\n", id, status == STATUS_STOPPED ? 0 : (int)container.pid,
                      container_status_name(status), container.bundle, container.created, owner);
    }
    container_close(&container);
}

#define COLUMNS 6

/* Columns as wide as their widest cell and three spaces, but at least twelve: Go's tabwriter(12, 1, 3). */
static void print_rows(const char *rows)
{
    size_t widths[COLUMNS] = {0};
    for (int pass = 0; pass < 2; pass++) {
        const char *at = rows;
        while (*at) {
            for (int column = 0; column < COLUMNS; column++) {
                size_t length = strcspn(at, "\t\n");
                bool is_last = at[length] == '\n';
                if (pass == 0 && length + 3 > widths[column])
                    widths[column] = length + 3 > 12 ? length + 3 : 12;
                else if (pass == 0 && widths[column] < 12)
                    widths[column] = 12;
                if (pass == 1)
                    (void)printf("%-*.*s", is_last ? 0 : (int)widths[column], (int)length, at);
                at += length + 1;
            }
            if (pass == 1)
                (void)putchar('\n');
        }
    }
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The default root comes with the first container; one that was named must be there. */
static int list(const struct globals *globals, struct table *table, struct fault *f)
{
    AUTO_CLOSE int root = open(globals->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct dirent **entries = NULL;
    int count = scandir(globals->root, &entries, is_visible, alphasort);
    if (count < 0)
        return errno == ENOENT && globals->has_default_root ? 0 : fault_errno(f, STAGE_STATE, "open %s", globals->root);
    for (int i = 0; i < count; i++) {
        struct stat status;
        if (fstatat(root, entries[i]->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
            add(globals->root, entries[i]->d_name, status.st_uid, table);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int command_list(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    const char *format = "table";
    struct table table = {0};
    const struct option_rule rules[] = {{"format", "f", OPTION_TEXT, &format, "table or json (default: table)"},
                                        {"quiet", "q", OPTION_FLAG, &table.is_quiet, "only the ids"},
                                        OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    table.is_json = strcmp(format, "json") == 0;
    if (!table.is_json && strcmp(format, "table") != 0)
        return fault_text(f, STAGE_ARGUMENTS, "invalid format option");
    table.stream = open_memstream(&table.rows, &table.size);
    if (!table.stream)
        return fault_errno(f, STAGE_RUNTIME, "list");
    (void)fputs("ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n", table.stream);
    json_begin_array(&table.json, NULL);
    int result = list(globals, &table, f);
    json_end_array(&table.json);
    (void)fclose(table.stream);
    if (result == 0 && table.is_json && !table.is_quiet) {
        /* Go prints an empty list as null. */
        (void)printf("%s\n", strcmp(table.json.text, "[]") == 0 ? "null" : table.json.text);
    } else if (result == 0 && !table.is_quiet) {
        print_rows(table.rows);
    }
    free(table.rows);
    json_writer_free(&table.json);
    return result;
}
