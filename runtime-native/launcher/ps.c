#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "io.h"
#include "namespaces.h"
#include "options.h"

static bool contains(const pid_t *pids, size_t count, long pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Which word of the title is "PID", -1 when none is. */
static int pid_column(const char *title)
{
    char copy[4096], *state = NULL;
    int column = 0;
    (void)snprintf(copy, sizeof copy, "%s", title);
    for (char *word = strtok_r(copy, " \n", &state); word; word = strtok_r(NULL, " \n", &state), column++)
        if (strcmp(word, "PID") == 0)
            return column;
    return -1;
}

static long pid_of(const char *line, int column)
{
    char copy[4096], *state = NULL;
    (void)snprintf(copy, sizeof copy, "%s", line);
    char *word = strtok_r(copy, " \n", &state);
    for (; word && column > 0; column--)
        word = strtok_r(NULL, " \n", &state);
    return word ? strtol(word, NULL, 10) : -1;
}

/* The lines of the host's ps(1) that are about the container's processes. */
static int filter_ps(char **arguments, const pid_t *pids, size_t count, struct fault *f)
{
    int fds[2];
    if (pipe(fds) < 0)
        return fault_errno(f, STAGE_RUNTIME, "pipe");
    pid_t child = clone_process(0, NULL);
    if (child == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execvp("ps", arguments);
        _exit(127);
    }
    (void)close(fds[1]);
    FILE *output = fdopen(fds[0], "r");
    char *line = NULL;
    size_t size = 0;
    int column = -2;
    while (output && column != -1 && getline(&line, &size, output) > 0) {
        if (column == -2)
            column = pid_column(line);
        else if (!contains(pids, count, pid_of(line, column)))
            continue;
        (void)fputs(line, stdout);
    }
    free(line);
    if (output)
        (void)fclose(output);
    int status = 0;
    (void)wait_process(child, &status);
    if (column == -1)
        return fault_text(f, STAGE_RUNTIME, "couldn't find PID field in ps output");
    return status == 0 ? 0 : fault_text(f, STAGE_RUNTIME, "exit status %d", WEXITSTATUS(status));
}

static int show(const char *format, int words, char **argv, const pid_t *pids, size_t count, struct fault *f)
{
    if (strcmp(format, "json") == 0) {
        (void)putchar('[');
        for (size_t i = 0; i < count; i++)
            (void)printf(i ? ",%d" : "%d", (int)pids[i]);
        (void)puts("]");
        return 0;
    }
    char *arguments[64] = {(char[]){"ps"}, (char[]){"-ef"}};
    for (int i = 1; i < words && i < 62; i++)
        arguments[i] = argv[i];
    return filter_ps(arguments, pids, count, f);
}

int command_ps(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    const char *format = "table";
    const struct option_rule rules[] = {{"format", "f", OPTION_TEXT, &format, "table or json (default: table)"},
                                        OPTIONS_END};
    int words = options_parse(globals->usage, rules, argc, argv, f);
    if (words < 0)
        return FAILED;
    if (strcmp(format, "json") != 0 && strcmp(format, "table") != 0)
        return fault_text(f, STAGE_ARGUMENTS, "invalid format option");
    struct container container;
    pid_t *pids = NULL;
    size_t count = 0;
    int result = container_load(globals->root, argv[0], &container, f);
    if (result == 0)
        result = container_processes(&container, &pids, &count, f);
    if (result == 0)
        result = show(format, words, argv, pids, count, f);
    free(pids);
    container_close(&container);
    return result;
}
