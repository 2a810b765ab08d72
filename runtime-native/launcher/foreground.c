/* `run` and `exec` without --detach: stand before the container's process. */
#include "foreground.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "io.h"

int foreground_block_signals(struct fault *f)
{
    sigset_t all;
    memset(&all, 0xff, sizeof all); /* sigfillset(3) leaves out what the libc keeps for itself: musl signal 34 too */
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return fault_errno(f, STAGE_RUNTIME, "block signals");
    int fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? fault_errno(f, STAGE_RUNTIME, "signalfd") : fd;
}

static void copy_size(int master)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(master, TIOCSWINSZ, &size);
}

enum { RUNS, ENDED };

/* RUNS, ENDED, or -1 when nobody can tell. Other children (we may be a subreaper) are only collected. */
static int reap(pid_t pid, int *code, struct fault *f)
{
    int status, result = RUNS;
    pid_t child;
    while ((child = waitpid(-1, &status, WNOHANG)) > 0) {
        if (child != pid)
            continue;
        *code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        result = ENDED;
    }
    return result == RUNS && child < 0 ? fault_errno(f, STAGE_RUNTIME, "wait for process %d", (int)pid) : result;
}

static int handle_signals(pid_t pid, int signals, int master, int *code, struct fault *f)
{
    struct signalfd_siginfo one;
    int result = RUNS;
    while (result == RUNS && read_some(signals, &one, sizeof one) == (ssize_t)sizeof one) {
        if (one.ssi_signo == SIGCHLD)
            result = reap(pid, code, f);
        else if (one.ssi_signo == SIGWINCH && master >= 0)
            copy_size(master);
        else
            (void)kill(pid, (int)one.ssi_signo);
    }
    return result;
}

/* False at the end of `from`. */
static bool pump(int from, int to)
{
    char bytes[32768];
    ssize_t count = read_some(from, bytes, sizeof bytes);
    return count > 0 && write_all(to, bytes, (size_t)count) == 0;
}

static void pump_rest(int master)
{
    struct pollfd rest = {.fd = master, .events = POLLIN};
    while (poll(&rest, 1, 0) > 0 && rest.revents & POLLIN && pump(master, STDOUT_FILENO))
        ;
}

static int wait_loop(pid_t pid, int signals, int master, struct fault *f)
{
    int code = 0, result = RUNS;
    struct pollfd fds[3] = {{.fd = signals, .events = POLLIN},
                            {.fd = master, .events = POLLIN},
                            {.fd = master >= 0 ? STDIN_FILENO : -1, .events = POLLIN}};
    while (result == RUNS) {
        if (poll(fds, 3, -1) < 0) {
            if (errno != EINTR)
                return fault_errno(f, STAGE_RUNTIME, "poll");
            continue;
        }
        if (fds[1].revents && !pump(master, STDOUT_FILENO))
            fds[1].fd = -1;
        if (fds[2].revents && !pump(STDIN_FILENO, master))
            fds[2].fd = -1;
        if (fds[0].revents)
            result = handle_signals(pid, signals, master, &code, f);
    }
    return result < 0 ? -1 : code;
}

int foreground_wait(pid_t pid, int signals, int master, struct fault *f)
{
    struct termios saved, raw;
    bool is_terminal = master >= 0 && tcgetattr(STDIN_FILENO, &saved) == 0;
    if (is_terminal) {
        raw = saved;
        cfmakeraw(&raw);
        raw.c_oflag |= OPOST; /* the carriage returns that console_setup keeps out of ours */
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        copy_size(master);
    }
    int code = wait_loop(pid, signals, master, f);
    if (master >= 0)
        pump_rest(master);
    if (is_terminal)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    return code;
}
