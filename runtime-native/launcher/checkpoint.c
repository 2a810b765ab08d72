/* checkpoint: CRIU writes the container's processes to a folder of images, and ends them unless they are to go on. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "criu.h"
#include "io.h"
#include "log.h"

struct checkpoint_options {
    struct criu_flags flags;
    const char *parent_path, *status_fd, *page_server;
    bool leave_running, pre_dump, tcp_skip_in_flight, link_remap;
};

struct checkpoint {
    const struct checkpoint_options *options;
    struct container container;
    struct config config;
    struct criu criu;
    int status; /* gets a byte when the pages can be asked for, -1 */
};

static int parse_options(const struct globals *globals, int argc, char **argv, struct checkpoint_options *options,
                         struct fault *f)
{
    const struct option_rule rules[] = {
        CRIU_FLAG_RULES(&options->flags),
        {"parent-path", NULL, OPTION_TEXT, &options->parent_path,
         "images of an earlier --pre-dump, relative to --image-path"},
        {"leave-running", NULL, OPTION_FLAG, &options->leave_running, "do not stop the container"},
        {"tcp-skip-in-flight", NULL, OPTION_FLAG, &options->tcp_skip_in_flight,
         "leave out connections that are being made"},
        {"link-remap", NULL, OPTION_FLAG, &options->link_remap, "keep files that are open and unlinked"},
        {"status-fd", NULL, OPTION_TEXT, &options->status_fd, "gets a byte when --lazy-pages can be served"},
        {"page-server", NULL, OPTION_TEXT, &options->page_server, "ADDRESS:PORT that gets the memory"},
        {"pre-dump", NULL, OPTION_FLAG, &options->pre_dump, "only the memory, and go on running"},
        OPTIONS_END,
    };
    return options_parse(globals->usage, rules, argc, argv, f);
}

/* --status-fd: must be open for writing. */
static int open_status(struct checkpoint *c, struct fault *f)
{
    const char *text = c->options->status_fd;
    char *end = NULL;
    long number = text && *text ? strtol(text, &end, 10) : -1;
    c->status = -1;
    if (number < 0 && (!end || !*end))
        return 0;
    int flags = end && !*end && number <= INT_MAX ? fcntl((int)number, F_GETFL) : (errno = EBADF, -1);
    if (flags < 0)
        return fault_errno(f, STAGE_ARGUMENTS, "invalid --status-fd argument %s", text);
    if ((flags & O_ACCMODE) == O_RDONLY)
        return fault_text(f, STAGE_ARGUMENTS, "invalid --status-fd argument %s: not writable", text);
    c->status = (int)number;
    return fcntl(c->status, F_SETFD, FD_CLOEXEC);
}

static int put_page_server(struct criu *criu, const char *server, struct fault *f)
{
    char address[256], *end;
    if (!server || !*server)
        return 0;
    (void)snprintf(address, sizeof address, "%s", server + (*server == '['));
    char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1])
        return fault_text(f, STAGE_ARGUMENTS, "Use --page-server ADDRESS:PORT to specify page server");
    *colon = '\0';
    if (*server == '[' && colon[-1] == ']')
        colon[-1] = '\0';
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > 65535)
        return fault_text(f, STAGE_ARGUMENTS, "Invalid port number");
    AUTO_MESSAGE struct message where = {0};
    message_put_text(&where, 1, address);
    message_put_number(&where, 2, (int64_t)port);
    message_put_message(&criu->options, CRIU_PAGE_SERVER, &where);
    return 0;
}

/* Pages that have not changed since an earlier checkpoint are left there. */
static int put_parent(struct criu *criu, const char *parent, struct fault *f)
{
    struct stat status;
    if (!parent || !*parent)
        return 0;
    if (*parent == '/')
        return fault_text(f, STAGE_ARGUMENTS, "--parent-path must be relative");
    int result = fstatat(criu->images, parent, &status, 0);
    if (result == 0 && !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        result = -1;
    }
    if (result < 0)
        return fault_errno(f, STAGE_ARGUMENTS, "invalid --parent-path: stat %s", parent);
    message_put_text(&criu->options, CRIU_PARENT_IMAGE, parent);
    message_put_number(&criu->options, CRIU_TRACK_MEMORY, true);
    return 0;
}

/* A namespace that was joined by its path is not dumped; the restore brings the one of its own config. */
static int put_external_namespaces(struct criu *criu, const struct config *config, struct fault *f)
{
    static const struct {
        enum namespace_kind kind;
        const char *name, *key;
    } external[] = {{NS_NETWORK, "net", "extRootNetNS"}, {NS_PID, "pid", "extRootPidNS"}};
    for (size_t i = 0; i < sizeof external / sizeof external[0]; i++) {
        const char *path = config->namespaces[external[i].kind].path;
        struct stat status;
        char text[64];
        if (!path)
            continue;
        if (stat(path, &status) < 0)
            return fault_errno(f, STAGE_NAMESPACE, "stat %s", path);
        (void)snprintf(text, sizeof text, "%s[%lu]:%s", external[i].name, (unsigned long)status.st_ino,
                       external[i].key);
        message_put_text(&criu->options, CRIU_EXTERNAL, text);
    }
    return 0;
}

static int write_descriptors(const struct checkpoint *c, struct fault *f)
{
    struct json_writer w = {0};
    json_begin_array(&w, NULL);
    for (int fd = 0; fd < 3; fd++)
        json_put_string(&w, NULL, c->container.descriptors[fd]);
    json_end_array(&w);
    int result = w.failed ? -1 : create_file_at(c->criu.images, CRIU_DESCRIPTORS, w.text, 0600);
    json_writer_free(&w);
    return result < 0 ? fault_errno(f, STAGE_CHECKPOINT, "write " CRIU_DESCRIPTORS) : 0;
}

/* What the images will not contain, and who will have to bring it. */
static int put_surroundings(struct checkpoint *c, struct fault *f)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/root", (int)c->container.pid);
    AUTO_CLOSE int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return fault_errno(f, STAGE_CHECKPOINT, "open %s", path);
    if (criu_put_mounts(&c->criu, &c->config, &c->container.cgroup, root, false, f) < 0)
        return -1;
    return write_descriptors(c, f);
}

static int notify(void *context, const struct criu_notice *notice, struct fault *f)
{
    struct checkpoint *c = context;
    if (strcmp(notice->script, "status-ready") != 0 || c->status < 0)
        return 0;
    int result = write_all(c->status, "", 1);
    close_fd(&c->status);
    return result < 0 ? fault_errno(f, STAGE_CHECKPOINT, "write to --status-fd") : 0;
}

static int put_options(struct checkpoint *c, struct fault *f)
{
    const struct checkpoint_options *options = c->options;
    struct message *message = &c->criu.options;
    const struct cgroup_dir *freezer = cgroup_find(&c->container.cgroup, "freezer");
    if (!freezer)
        freezer = cgroup_unified(&c->container.cgroup);
    message_put_number(message, CRIU_PID, c->container.pid);
    message_put_text(message, CRIU_ROOT, c->container.rootfs);
    message_put_number(message, CRIU_LEAVE_RUNNING, options->leave_running);
    message_put_number(message, CRIU_TCP_SKIP_IN_FLIGHT, options->tcp_skip_in_flight);
    message_put_number(message, CRIU_LINK_REMAP, options->link_remap);
    /* Interfaces and addresses are the caller's: they are never in the images. */
    message_put_number(message, CRIU_EMPTY_NS, CLONE_NEWNET);
    if (freezer)
        message_put_text(message, CRIU_FREEZE_CGROUP, freezer->path);
    criu_put_config_file(&c->criu, c->config.annotations);
    if (put_external_namespaces(&c->criu, &c->config, f) < 0 ||
        put_page_server(&c->criu, options->page_server, f) < 0 || put_parent(&c->criu, options->parent_path, f) < 0)
        return -1;
    return options->pre_dump ? 0 : put_surroundings(c, f);
}

static int take(struct checkpoint *c, struct fault *f)
{
    const struct checkpoint_options *options = c->options;
    enum container_status status = container_status(&c->container);
    if (status == STATUS_CREATED || status == STATUS_STOPPED)
        return fault_text(f, STAGE_STATE, "Container cannot be checkpointed in %s state",
                          container_status_name(status));
    if (open_status(c, f) < 0 || config_load(&c->config, c->container.bundle, c->container.config, f) < 0 ||
        criu_open(&c->criu, &options->flags, "dump.log", true, f) < 0 || put_options(c, f) < 0 ||
        criu_require(options->pre_dump, options->flags.lazy_pages, f) < 0 || criu_start(&c->criu, false, f) < 0)
        return -1;
    int result = criu_ask(&c->criu, options->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP, f);
    if (result < 0)
        criu_quote_log(&c->criu);
    return result;
}

int command_checkpoint(const struct globals *globals, int argc, char **argv, struct fault *f)
{
    struct checkpoint_options options = {0};
    struct checkpoint c = {.options = &options, .status = -1};
    if (parse_options(globals, argc, argv, &options, f) < 0)
        return FAILED;
    if (globals->is_rootless)
        log_warning("minirun checkpoint is untested with rootless containers");
    c.criu = (struct criu){.images = -1, .work = -1, .log_folder = -1, .socket = -1, .notify = notify, .context = &c};
    int result = container_load(globals->root, argv[0], &c.container, f) < 0 ? -1 : take(&c, f);
    criu_close(&c.criu);
    struct fault left = {0};
    if (result == 0 && !options.leave_running && !options.pre_dump &&
        container_destroy(globals->root, &c.container, &left) < 0)
        log_warning("%s: %s", left.message, error_text(left.error));
    config_free(&c.config);
    container_close(&c.container);
    return result;
}
