/* Runs the commands on standard input, one a line, words between tabs: label, then argv. After each a pause, so that
 * what the kernel still tears down (a network namespace takes it some milliseconds) is not charged to the next one.
 *   stopwatch PAUSE_US <plan   → label, microseconds from fork to exit, status, peak RSS in KB: one line for each
 * The label "-" is not reported; "print" passes the command's output on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void measure(const char *label, char **argv)
{
    struct rusage usage;
    int status = 0;
    double start = now();
    pid_t pid = vfork();
    if (pid == 0) {
        if (strcmp(label, "print") != 0)
            (void)dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDOUT_FILENO);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    (void)wait4(pid, &status, 0, &usage);
    double took = now() - start;
    if (strcmp(label, "-") != 0 && strcmp(label, "print") != 0)
        (void)printf("%s\t%.1f\t%d\t%ld\n", label, took, status, usage.ru_maxrss);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    char *line = NULL, *words[64], *state = NULL;
    size_t size = 0;
    useconds_t pause = argc > 1 ? (useconds_t)atoi(argv[1]) : 0;
    FILE *plan = fdopen(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), "r"); /* the commands get /dev/null instead */
    (void)dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
    while (plan && getline(&line, &size, plan) > 0) {
        int count = 0;
        line[strcspn(line, "\n")] = '\0';
        for (char *word = strtok_r(line, "\t", &state); word && count < 63; word = strtok_r(NULL, "\t", &state))
            words[count++] = word;
        words[count] = NULL;
        if (count > 1)
            measure(words[0], words + 1);
        (void)usleep(pause);
    }
    free(line);
    return 0;
}
