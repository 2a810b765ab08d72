#include "criu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "launch.h"
#include "log.h"
#include "namespaces.h"

#define MINIMUM_VERSION 31600 /* external PID namespaces, LSM profiles, "status-ready" */
#define SERVICE_FD      3     /* CRIU's end of the socket pair; inherited descriptors follow */

/* Fields of criu_req, criu_resp and of what is in them. */
enum { REQUEST_TYPE = 1, REQUEST_OPTIONS = 2, REQUEST_NOTIFY_SUCCESS = 3, REQUEST_FEATURES = 5 };
enum {
    RESPONSE_TYPE = 1,
    RESPONSE_SUCCESS = 2,
    RESPONSE_NOTIFY = 5,
    RESPONSE_ERRNO = 7,
    RESPONSE_FEATURES = 8,
    RESPONSE_VERSION = 10,
};
enum { FEATURE_MEMORY_TRACKING = 1, FEATURE_LAZY_PAGES = 2 };
enum { VERSION_MAJOR = 1, VERSION_MINOR = 2, VERSION_SUBLEVEL = 4 };
enum { NOTIFY_SCRIPT = 1, NOTIFY_PID = 2 };

struct response {
    enum criu_request type;
    bool is_success;
    int error;
    char script[64];
    pid_t pid;
    int version;
    bool tracks_memory, has_lazy_pages;
};

static const char *request_name(enum criu_request type)
{
    static const char *const names[] = {[CRIU_DUMP] = "DUMP",
                                        [CRIU_RESTORE] = "RESTORE",
                                        [CRIU_PRE_DUMP] = "PRE_DUMP",
                                        [CRIU_NOTIFY] = "NOTIFY",
                                        [CRIU_FEATURE_CHECK] = "FEATURE_CHECK",
                                        [CRIU_VERSION] = "VERSION"};
    const char *name = type < sizeof names / sizeof names[0] ? names[type] : NULL;
    return name ? name : "EMPTY";
}

static int open_folder(const char *path, bool makes, struct fault *f)
{
    if (makes && mkdir(path, 0700) < 0 && errno != EEXIST)
        return fault_errno(f, STAGE_CHECKPOINT, "mkdir %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fault_errno(f, STAGE_CHECKPOINT, "open %s", path) : fd;
}

static int parse_cgroups_mode(const char *mode, struct fault *f)
{
    static const struct {
        const char *name;
        int mode;
    } modes[] = {{"", 3}, {"soft", 3}, {"full", 4}, {"strict", 5}, {"ignore", 0}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode ? mode : "", modes[i].name) == 0)
            return modes[i].mode;
    return fault_text(f, STAGE_ARGUMENTS, "invalid manage-cgroups-mode value");
}

static int put_flags(struct criu *criu, const struct criu_flags *flags, struct fault *f)
{
    struct message *options = &criu->options;
    int mode = parse_cgroups_mode(flags->cgroups_mode, f);
    for (size_t i = 0; mode >= 0 && i < flags->empty_ns.count; i++)
        if (strcmp(flags->empty_ns.items[i], "network") != 0)
            return fault_text(f, STAGE_ARGUMENTS, "namespace \"%s\" is not supported", flags->empty_ns.items[i]);
    message_put_number(options, CRIU_EXT_UNIX_SK, flags->ext_unix_sk);
    message_put_number(options, CRIU_TCP_ESTABLISHED, flags->tcp_established);
    message_put_number(options, CRIU_SHELL_JOB, flags->shell_job);
    message_put_number(options, CRIU_FILE_LOCKS, flags->file_locks);
    message_put_number(options, CRIU_AUTO_DEDUP, flags->auto_dedup);
    message_put_number(options, CRIU_LAZY_PAGES, flags->lazy_pages);
    message_put_number(options, CRIU_MANAGE_CGROUPS, true);
    message_put_number(options, CRIU_CGROUPS_MODE, mode);
    return mode < 0 ? -1 : 0;
}

/* A checkpoint may come from elsewhere: what CRIU is going to write must not be a link that it follows out of there
 * (containerd's CVE-2026-53489). */
static void remove_links(int folder, const char *log_name)
{
    const char *const written[] = {log_name, "stats-dump", "stats-restore"};
    struct stat status;
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
        if (fstatat(folder, written[i], &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode))
            (void)unlinkat(folder, written[i], 0);
}

int criu_open(struct criu *criu, const struct criu_flags *flags, const char *log_name, bool makes_images,
              struct fault *f)
{
    struct message *options = &criu->options;
    criu->log_name = log_name;
    const char *images = flags->image_path && *flags->image_path ? flags->image_path : "checkpoint";
    criu->log_folder = criu->images = open_folder(images, makes_images, f);
    if (criu->images < 0)
        return -1;
    if (flags->work_path && *flags->work_path) {
        criu->log_folder = criu->work = open_folder(flags->work_path, true, f);
        if (criu->work < 0)
            return -1;
        message_put_number(options, CRIU_WORK_DIR_FD, criu->work);
    }
    remove_links(criu->log_folder, log_name);
    message_put_number(options, CRIU_IMAGES_DIR_FD, criu->images);
    message_put_number(options, CRIU_LOG_LEVEL, 4);
    message_put_text(options, CRIU_LOG_FILE, log_name);
    message_put_number(options, CRIU_NOTIFY_SCRIPTS, true);
    message_put_number(options, CRIU_ORPHAN_PTS_MASTER, true);
    return put_flags(criu, flags, f);
}

void criu_put_pair(struct criu *criu, enum criu_option option, const char *one, const char *other)
{
    AUTO_MESSAGE struct message pair = {0};
    message_put_text(&pair, 1, one);
    message_put_text(&pair, 2, other);
    message_put_message(&criu->options, option, &pair);
}

void criu_put_inherited(struct criu *criu, int fd, const char *name)
{
    AUTO_MESSAGE struct message inherited = {0};
    message_put_text(&inherited, 1, name);
    message_put_number(&inherited, 2, fd);
    message_put_message(&criu->options, CRIU_INHERIT_FD, &inherited);
}

int criu_inherit(struct criu *criu, int fd, const char *name, struct fault *f)
{
    if (criu->inherited_count == CRIU_MAX_INHERITED)
        return fault_text(f, STAGE_CHECKPOINT, "too many descriptors for CRIU");
    criu_put_inherited(criu, SERVICE_FD + 1 + (int)criu->inherited_count, name);
    criu->inherited[criu->inherited_count++] = fd;
    return 0;
}

void criu_put_config_file(struct criu *criu, const struct json *annotations)
{
    const char *file = json_string(annotations, "org.criu.config");
    if (!file || *file)
        message_put_text(&criu->options, CRIU_CONFIG_FILE, file ? file : "/etc/criu/runc.conf");
}

/* First out of the way of each other, then to their places. */
static int place_descriptors(const struct criu *criu, int service, int *report)
{
    int high[1 + CRIU_MAX_INHERITED];
    size_t count = 1 + criu->inherited_count;
    *report = fcntl(*report, F_DUPFD_CLOEXEC, 64);
    for (size_t i = 0; i < count; i++)
        high[i] = fcntl(i == 0 ? service : criu->inherited[i - 1], F_DUPFD_CLOEXEC, 64);
    for (size_t i = 0; i < count; i++)
        if (*report < 0 || high[i] < 0 || dup3(high[i], SERVICE_FD + (int)i, 0) < 0)
            return -1;
    return (int)syscall(SYS_close_range, SERVICE_FD + count, ~0U, CLOSE_RANGE_CLOEXEC);
}

static int drop_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        if (null < 0 || dup3(null, fd, 0) < 0)
            return -1;
    return 0;
}

static void become_criu(const struct criu *criu, int service, int report, bool keeps_streams) __attribute__((noreturn));
static void become_criu(const struct criu *criu, int service, int report, bool keeps_streams)
{
    struct fault f = {0};
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (place_descriptors(criu, service, &report) < 0 || (!keeps_streams && drop_streams() < 0)) {
        (void)fault_errno(&f, STAGE_CHECKPOINT, "prepare CRIU's descriptors");
    } else {
        (void)execlp("criu", "criu", "swrk", "3", (char *)NULL);
        if (errno == ENOENT)
            (void)fault_told(&f, STAGE_CHECKPOINT, ENOENT, "exec: \"criu\": executable file not found in $PATH");
        else
            (void)fault_errno(&f, STAGE_CHECKPOINT, "exec: \"criu\"");
    }
    (void)sync_send_fault(report, &f);
    _exit(1);
}

int criu_start(struct criu *criu, bool keeps_streams, struct fault *f)
{
    int pair[2], reports[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "socketpair");
    criu->socket = pair[0];
    AUTO_CLOSE int service = pair[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports) < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "socketpair");
    AUTO_CLOSE int report = reports[0];
    AUTO_CLOSE int child_report = reports[1];
    criu->pid = clone_process(0, NULL);
    if (criu->pid == 0)
        become_criu(criu, service, child_report, keeps_streams);
    if (criu->pid < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "clone");
    close_fd(&child_report);
    return sync_receive(report, NULL, f); /* its end: CRIU is executed */
}

static int send_request(const struct criu *criu, const struct message *request, struct fault *f)
{
    if (request->failed) {
        errno = ENOMEM;
        return fault_errno(f, STAGE_CHECKPOINT, "write a request for CRIU");
    }
    if (write_all(criu->socket, buffer_first(&request->bytes), buffer_size(&request->bytes)) < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "send a request to CRIU");
    return 0;
}

static void read_inner(struct message_reader reader, unsigned outer, struct response *response)
{
    struct message_field field;
    while (message_next(&reader, &field) == 1) {
        int value = (int)field.value;
        if (outer == RESPONSE_NOTIFY && field.number == NOTIFY_SCRIPT && field.text.at)
            (void)snprintf(response->script, sizeof response->script, "%.*s", (int)(field.text.end - field.text.at),
                           (const char *)field.text.at);
        else if (outer == RESPONSE_NOTIFY && field.number == NOTIFY_PID)
            response->pid = value;
        else if (outer == RESPONSE_FEATURES && field.number == FEATURE_MEMORY_TRACKING)
            response->tracks_memory = value;
        else if (outer == RESPONSE_FEATURES && field.number == FEATURE_LAZY_PAGES)
            response->has_lazy_pages = value;
        else if (outer == RESPONSE_VERSION && field.number <= VERSION_SUBLEVEL && !field.text.at)
            response->version += value * (field.number == VERSION_MAJOR      ? 10000
                                          : field.number == VERSION_MINOR    ? 100
                                          : field.number == VERSION_SUBLEVEL ? 1
                                                                             : 0);
    }
}

static int read_response(struct message_reader reader, struct response *response, struct fault *f)
{
    struct message_field field;
    int more;
    *response = (struct response){0};
    while ((more = message_next(&reader, &field)) == 1) {
        if (field.text.at)
            read_inner(field.text, field.number, response);
        else if (field.number == RESPONSE_TYPE)
            response->type = (enum criu_request)field.value;
        else if (field.number == RESPONSE_SUCCESS)
            response->is_success = field.value;
        else if (field.number == RESPONSE_ERRNO)
            response->error = (int)field.value;
    }
    return more < 0 ? fault_text(f, STAGE_CHECKPOINT, "unable to parse the response of CRIU") : 0;
}

/* *fd is a descriptor that came along, or -1. */
static int receive(const struct criu *criu, struct response *response, int *fd, struct fault *f)
{
    static unsigned char bytes[65536];
    char control[CMSG_SPACE(sizeof *fd)];
    struct iovec content = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {
        .msg_iov = &content, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t size;
    do
        size = recvmsg(criu->socket, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    *fd = -1;
    if (size < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "hear from CRIU");
    if (size == 0)
        return fault_text(f, STAGE_CHECKPOINT, "criu failed: it has ended without an answer");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    if (message.msg_flags & MSG_TRUNC)
        return fault_text(f, STAGE_CHECKPOINT, "unable to parse the response of CRIU");
    return read_response((struct message_reader){bytes, bytes + size}, response, f);
}

static int answer_notice(const struct criu *criu, const struct response *response, int fd, struct fault *refusal,
                         struct fault *f)
{
    const struct criu_notice notice = {.script = response->script, .pid = response->pid, .fd = fd};
    if (criu->notify && !refusal->stage)
        (void)criu->notify(criu->context, &notice, refusal);
    AUTO_MESSAGE struct message request = {0};
    message_put_number(&request, REQUEST_TYPE, CRIU_NOTIFY);
    message_put_number(&request, REQUEST_NOTIFY_SUCCESS, !refusal->stage);
    return send_request(criu, &request, f);
}

/* Answers notices until the response to the request is there. When we refuse one, CRIU undoes what it did and fails
 * too: our reason is the one that counts. */
static int converse(const struct criu *criu, const struct message *request, struct response *response, struct fault *f)
{
    struct fault refusal = {0};
    int result = send_request(criu, request, f);
    while (result == 0) {
        AUTO_CLOSE int fd = -1;
        result = receive(criu, response, &fd, f);
        if (result == 0 && !response->is_success)
            result = fault_told(f, STAGE_CHECKPOINT, response->error, "criu failed: type %s errno %d",
                                request_name(response->type), response->error);
        if (result == 0 && response->type != CRIU_NOTIFY)
            break;
        if (result == 0)
            result = answer_notice(criu, response, fd, &refusal, f);
    }
    if (refusal.stage) {
        *f = refusal;
        return -1;
    }
    return result;
}

int criu_ask(struct criu *criu, enum criu_request type, struct fault *f)
{
    AUTO_MESSAGE struct message request = {0};
    struct response response = {0};
    message_put_number(&request, REQUEST_TYPE, type);
    message_put_message(&request, REQUEST_OPTIONS, &criu->options);
    return converse(criu, &request, &response, f);
}

/* A process of CRIU answers one question. */
static int inquire(enum criu_request type, const struct message *features, struct response *response, struct fault *f)
{
    struct criu criu = {.images = -1, .work = -1, .socket = -1};
    AUTO_MESSAGE struct message request = {0};
    message_put_number(&request, REQUEST_TYPE, type);
    if (features)
        message_put_message(&request, REQUEST_FEATURES, features);
    int result = criu_start(&criu, false, f) < 0 ? -1 : converse(&criu, &request, response, f);
    criu_close(&criu);
    return result;
}

int criu_require(bool memory_tracking, bool lazy_pages, struct fault *f)
{
    struct response response = {0};
    if (inquire(CRIU_VERSION, NULL, &response, f) < 0)
        return fault_wrap(f, "CRIU version check failed: ");
    if (response.version < MINIMUM_VERSION)
        return fault_text(f, STAGE_CHECKPOINT, "CRIU version %d must be %d or higher", response.version,
                          MINIMUM_VERSION);
    if (!memory_tracking && !lazy_pages)
        return 0;
    AUTO_MESSAGE struct message features = {0};
    message_put_number(&features, FEATURE_MEMORY_TRACKING, memory_tracking);
    message_put_number(&features, FEATURE_LAZY_PAGES, lazy_pages);
    if (inquire(CRIU_FEATURE_CHECK, &features, &response, f) < 0)
        return fault_wrap(f, "CRIU feature check failed: ");
    if ((memory_tracking && !response.tracks_memory) || (lazy_pages && !response.has_lazy_pages))
        return fault_text(f, STAGE_CHECKPOINT, "criu is missing features: [%s]",
                          lazy_pages && !response.has_lazy_pages ? "LazyPages" : "MemTrack");
    return 0;
}

void criu_quote_log(const struct criu *criu)
{
    AUTO_CLOSE int file =
        criu->log_folder < 0 ? -1 : openat(criu->log_folder, criu->log_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    FILE *log = file < 0 ? NULL : fdopen(file, "re");
    if (!log)
        return;
    file = -1;
    char line[1024];
    while (fgets(line, sizeof line, log))
        if (strstr(line, "Error"))
            log_warning("%s: %.*s", criu->log_name, (int)strcspn(line, "\n"), line);
    (void)fclose(log);
}

void criu_close(struct criu *criu)
{
    close_fd(&criu->socket);
    if (criu->pid > 0)
        (void)wait_process(criu->pid, NULL);
    close_fd(&criu->images);
    close_fd(&criu->work);
    message_free(&criu->options);
}
