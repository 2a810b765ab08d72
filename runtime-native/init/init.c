/*
 * minidock-init: PID 1 of containers that were started with --init, mounted there as /sbin/docker-init. It starts one
 * program, passes every signal on to it, and reaps whatever is orphaned; its exit status is the program's.
 *
 *     docker-init [-h | --version | --] PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 1, EXIT_NOT_INVOCABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNALED = 128 };

static void complain(const char *what, const char *object)
{
    int number = errno;
    fprintf(stderr, "[FATAL docker-init (%d)] %s %s failed: %s\n", (int)getpid(), what, object, strerror(number));
}

/*
 * Everything is blocked and taken one by one from sigwaitinfo, but for the signals that this process causes itself:
 * blocked, those would be ignored or loop (sigaction(2), signal(7)).
 */
static void block_signals(sigset_t *waited, sigset_t *before)
{
    static const int own[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
    sigfillset(waited);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(waited, own[i]);
    sigprocmask(SIG_SETMASK, waited, before);
    /* The child gets the terminal: writing to it from the background must not stop PID 1. */
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
}

/* In the child: a process group of its own in the terminal's foreground, so that ctrl-c reaches it and not its init. */
static _Noreturn void become(char **program, const sigset_t *before)
{
    setpgid(0, 0);
    if (tcsetpgrp(STDIN_FILENO, getpgrp()) < 0 && errno != ENOTTY && errno != ENXIO && errno != EBADF) {
        complain("tcsetpgrp of", program[0]);
        _exit(EXIT_USAGE);
    }
    signal(SIGTTIN, SIG_DFL);
    signal(SIGTTOU, SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
    execvp(program[0], program);
    int status = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_INVOCABLE;
    complain("exec", program[0]);
    _exit(status);
}

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? EXIT_SIGNALED + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Reaps all that have ended. Returns 1 when the program is among them, with its status. */
static int reap(pid_t program, int *status)
{
    int has_ended = 0;
    for (;;) {
        int ended_with;
        pid_t ended = waitpid(-1, &ended_with, WNOHANG);
        if (ended <= 0)
            return has_ended;
        if (ended == program) {
            *status = ended_with;
            has_ended = 1;
        }
    }
}

static int supervise(pid_t program, const sigset_t *waited)
{
    for (;;) {
        int status;
        int number = sigwaitinfo(waited, NULL);
        if (number < 0)
            continue; /* EINTR: stopped and continued */
        if (number != SIGCHLD)
            kill(program, number); /* ESRCH: it has just ended, and SIGCHLD says so */
        else if (reap(program, &status))
            return exit_code(status);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    char **program = argv + 1;
    if (*program && strcmp(*program, "--version") == 0) {
        puts("minidock-init version " MINIDOCK_VERSION);
        return 0;
    }
    if (*program && strcmp(*program, "--") == 0)
        program++;
    if (!*program || strcmp(*program, "-h") == 0) {
        fprintf(stderr, "usage: %s [-h | --version | --] PROGRAM [ARGUMENT...]\n", argv[0]);
        return EXIT_USAGE;
    }
    sigset_t waited, before;
    block_signals(&waited, &before);
    pid_t child = fork();
    if (child < 0) {
        complain("fork for", *program);
        return EXIT_USAGE;
    }
    if (child == 0)
        become(program, &before);
    return supervise(child, &waited);
}
