/* The last steps before the container's program, in this order for these reasons:
 *   1. no_new_privs, scheduler: need nothing.           4. capabilities: only now, setuid needs them.
 *   2. seccomp without no_new_privs: it needs CAP_SYS_ADMIN.   5. seccomp with no_new_privs: as late as possible.
 *   3. bounding set, groups, user.                      6. execve.
 * Before 1 every descriptor of the host was closed (process_drop_host); before 2 cwd is entered and HOME is found: a
 * filter may deny the calls for that. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capabilities.h"
#include "devices.h"
#include "io.h"
#include "labels.h"
#include "launch.h"
#include "log.h"
#include "memory-policy.h"
#include "path.h"
#include "rlimits.h"
#include "scheduler.h"

/* Go's exec.LookPath, whose words dockerd and its users know. */
static int check_executable(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -1;
    if (S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    int result = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS);
    /* The container's filter may be older than faccessat2(2): then the mode must do, and execve has the last word. */
    if (result < 0 && (errno == EPERM || errno == ENOSYS)) {
        errno = EACCES;
        return status.st_mode & 0111 ? 0 : -1;
    }
    return result;
}

static const char *find_variable(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    const char *value = NULL;
    for (; *environment; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            value = *environment + length + 1; /* the last one counts, as for the program itself */
    return value;
}

static int look_up(struct arena *arena, const struct process_config *process, char **executable, struct fault *f)
{
    const char *name = process->args[0];
    if (strchr(name, '/')) {
        if (check_executable(name) == 0) {
            *executable = process->args[0];
            return 0;
        }
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
            return fault_errno(f, STAGE_EXEC, "exec: \"%s\": stat %s", name, name);
        return fault_errno(f, STAGE_EXEC, "exec: \"%s\"", name);
    }
    const char *path = find_variable(process->env, "PATH");
    for (const char *dir = path && *name ? path : ""; *dir; dir += strcspn(dir, ":"), dir += *dir == ':') {
        int length = (int)strcspn(dir, ":");
        char *candidate = arena_format(arena, "%.*s/%s", length ? length : 1, length ? dir : ".", name);
        if (!candidate)
            return fault_errno(f, STAGE_EXEC, "exec: \"%s\"", name);
        if (check_executable(candidate) < 0)
            continue;
        if (*candidate != '/')
            return fault_told(f, STAGE_EXEC, ENOENT,
                              "exec: \"%s\": cannot run executable found relative to current directory", name);
        *executable = candidate;
        return 0;
    }
    return fault_told(f, STAGE_EXEC, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

/* HOME of the user by the container's own passwd file, which may be anything: it is read as data, and not for long. */
static const char *home_of(struct arena *arena, uid_t uid)
{
    AUTO_CLOSE int fd = path_open_inside("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > 1 << 20)
        return "/";
    size_t size = (size_t)status.st_size;
    char *text = arena_alloc(arena, size + 1, 1), *state = NULL;
    if (!text || read_all(fd, text, size) < 0)
        return "/";
    for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        char *field[7] = {line};
        int count = 1;
        for (char *at = line; count < 7 && (at = strchr(at, ':')); count++) {
            *at++ = '\0';
            field[count] = at;
        }
        char *end = NULL;
        if (count == 7 && *field[2] >= '0' && *field[2] <= '9' && strtoul(field[2], &end, 10) == uid && !*end &&
            *field[5])
            return field[5];
    }
    return "/";
}

static bool is_same_variable(const char *one, const char *other)
{
    size_t length = strcspn(one, "=");
    return strncmp(one, other, length) == 0 && other[length] == '=';
}

/* Of a name given twice the last value stays, and there is always a HOME: runc. */
static int prepare_environment(struct arena *arena, struct process_config *process, struct fault *f)
{
    size_t count = 0, kept = 0;
    while (process->env[count])
        count++;
    char **env = arena_alloc(arena, count + 2, sizeof *env);
    if (!env)
        return fault_errno(f, STAGE_EXEC, "prepare the environment");
    for (size_t i = 0; i < count; i++) {
        if (!strchr(process->env[i], '='))
            return fault_text(f, STAGE_EXEC, "invalid environment variable: missing '='");
        if (*process->env[i] == '=')
            return fault_text(f, STAGE_EXEC, "invalid environment variable: name cannot be empty");
        size_t later = i + 1;
        while (later < count && !is_same_variable(process->env[i], process->env[later]))
            later++;
        if (later == count && strcmp(process->env[i], "HOME=") != 0)
            env[kept++] = process->env[i];
    }
    if (!find_variable(env, "HOME"))
        env[kept++] = arena_format(arena, "HOME=%s", home_of(arena, process->uid));
    process->env = env;
    return 0;
}

/* The program must be able to use its own streams, whoever made them. */
static int own_streams(uid_t uid, gid_t gid, struct fault *f)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (fstat(fd, &status) < 0)
            return fault_errno(f, STAGE_USER, "unable to setup user: fstat %d", fd);
        /* A terminal's group is for its mount to say ("tty"). */
        gid_t group = S_ISCHR(status.st_mode) ? (gid_t)-1 : gid;
        if (status.st_uid == uid || device_is_null(fd) || fchown(fd, uid, group) == 0)
            continue;
        /* The owner has no id in this user namespace, or the file system is read-only: leave it. */
        if (errno != EPERM && errno != EROFS && errno != EINVAL)
            return fault_errno(f, STAGE_USER, "unable to setup user: chown %d", fd);
    }
    return 0;
}

static int change_user(const struct launch *launch, struct fault *f)
{
    const struct process_config *process = launch->process;
    if (own_streams(process->uid, process->gid, f) < 0)
        return -1;
    if (launch->denies_groups && !launch->keeps_groups && process->group_count)
        return fault_text(f, STAGE_USER,
                          "unable to setup user: cannot set any additional groups in a rootless container");
    if (!launch->keeps_groups && !launch->denies_groups && setgroups(process->group_count, process->groups) < 0)
        return fault_errno(f, STAGE_USER, "unable to setup user: setgroups");
    if (setresgid(process->gid, process->gid, process->gid) < 0)
        return errno == EINVAL ? fault_told(f, STAGE_USER, EINVAL,
                                            "unable to setup user: cannot setgid to unmapped gid %u in user namespace",
                                            process->gid)
                               : fault_errno(f, STAGE_USER, "unable to setup user: setgid");
    if (setresuid(process->uid, process->uid, process->uid) < 0)
        return errno == EINVAL ? fault_told(f, STAGE_USER, EINVAL,
                                            "unable to setup user: cannot setuid to unmapped uid %u in user namespace",
                                            process->uid)
                               : fault_errno(f, STAGE_USER, "unable to setup user: setuid");
    return 0;
}

/* A folder behind a leaked descriptor of the host would be a way out; the kernel shows it as "(unreachable)". */
static int verify_cwd(struct fault *f)
{
    char cwd[PATH_MAX];
    long length = syscall(SYS_getcwd, cwd, sizeof cwd);
    if (length > 0 && cwd[0] == '/')
        return 0;
    if (length < 0 && errno != ENOENT)
        return fault_errno(f, STAGE_CWD, "failed to verify if current working directory is safe");
    return fault_text(f, STAGE_CWD,
                      "current working directory is outside of container mount namespace root -- possible "
                      "container breakout detected");
}

/* /proc/self/fd/7 is a magic link, which is not followed. */
static int enter_cwd(const char *cwd, struct fault *f)
{
    AUTO_CLOSE int dir = path_open_inside(cwd, O_PATH | O_DIRECTORY);
    return dir < 0 || fchdir(dir) < 0
               ? fault_errno(f, STAGE_CWD, "chdir to cwd (\"%s\") set in config.json failed", cwd)
               : verify_cwd(f);
}

/* Root may enter folders that the user may not; where root may not (NFS), the user tries again. */
static int enter_cwd_as_root(const char *cwd, bool *is_there, struct fault *f)
{
    struct fault refused = {0};
    *is_there = enter_cwd(cwd, &refused) == 0;
    if (*is_there || refused.error == EACCES || refused.error == EPERM)
        return 0;
    *f = refused;
    return -1;
}

static int become_user(const struct launch *launch, bool is_there, struct fault *f)
{
    const struct process_config *process = launch->process;
    if (capabilities_limit_bounding(&process->capabilities, f) < 0)
        return -1;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return fault_errno(f, STAGE_CAPABILITY, "unable to set keep caps");
    if (change_user(launch, f) < 0 || (!is_there && enter_cwd(process->cwd, f) < 0))
        return -1;
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        return fault_errno(f, STAGE_CAPABILITY, "unable to clear keep caps");
    return capabilities_apply(&process->capabilities, f);
}

/* Sends the number of the listener to the parent, who fetches it with pidfd_getfd(2). */
static int install_filter(struct launch *launch, struct fault *f)
{
    AUTO_CLOSE int listener = -1;
    if (seccomp_install(&launch->seccomp, &listener, f) < 0)
        return -1;
    if (listener < 0)
        return 0;
    if (sync_send(launch->sync, SYNC_LISTENER, listener, f) < 0)
        return -1;
    return sync_expect(launch->sync, SYNC_LISTENER, NULL, f);
}

int process_drop_host(const struct launch *launch, int proc, struct fault *f)
{
    int kept[] = {launch->sync, launch->exec_fifo, launch->console_socket, proc, log_descriptor()};
    if (close_all_but((int)(3 + launch->preserved_fds), kept, sizeof kept / sizeof kept[0]) < 0)
        return fault_errno(f, STAGE_RUNTIME, "close the host's descriptors");
    return 0;
}

int process_prepare(struct launch *launch, int proc, char **executable, struct fault *f)
{
    struct process_config *process = launch->process;
    if (!launch->parent_sets_rlimits && rlimits_apply(0, process, f) < 0)
        return -1;
    if (process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault_errno(f, STAGE_CAPABILITY, "prctl(SET_NO_NEW_PRIVS)");
    if (scheduler_apply(process, launch->config, f) < 0)
        return -1;
    if (memory_policy_apply(launch->config->memory_policy, f) < 0)
        return -1;
    if (labels_are_wanted(process) && labels_apply(process, proc, f) < 0)
        return -1;
    bool is_there;
    if (prepare_environment(launch->arena, process, f) < 0 || enter_cwd_as_root(process->cwd, &is_there, f) < 0)
        return -1;
    if (!process->no_new_privileges && install_filter(launch, f) < 0)
        return -1;
    if (become_user(launch, is_there, f) < 0 || look_up(launch->arena, process, executable, f) < 0)
        return -1;
    return process->no_new_privileges ? install_filter(launch, f) : 0;
}

/* The container's filter may forbid even exit(2), and musl tries that for ever. A trap ends also PID 1. */
void process_end(int code)
{
    (void)syscall(SYS_exit_group, code);
    __builtin_trap();
}

void process_execute(struct launch *launch, const char *executable)
{
    (void)umask(launch->process->has_umask ? launch->process->umask : 022);
    (void)execve(executable, launch->process->args, launch->process->env);
    /* After start nobody listens any more but who reads the container's standard error. */
    (void)dprintf(STDERR_FILENO, "exec %s: %s\n", executable, error_text(errno));
    process_end(255);
}
