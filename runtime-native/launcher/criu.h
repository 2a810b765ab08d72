/* CRIU at work for one request: `criu swrk`, which speaks its RPC (images/rpc.proto) over a socket pair. It finds our
 * folders and descriptors as /proc/<our pid>/fd/<n>, and asks at certain points (notices) before it goes on. */
#ifndef MINIRUN_CRIU_H
#define MINIRUN_CRIU_H

#include <sys/types.h>

#include "cgroup.h"
#include "config.h"
#include "criu-message.h"
#include "options.h"

enum criu_request {
    CRIU_DUMP = 1,
    CRIU_RESTORE = 2,
    CRIU_PRE_DUMP = 4,
    CRIU_NOTIFY = 6,
    CRIU_FEATURE_CHECK = 9,
    CRIU_VERSION = 10,
};

/* Fields of criu_opts. */
enum criu_option {
    CRIU_IMAGES_DIR_FD = 1,
    CRIU_PID = 2,
    CRIU_LEAVE_RUNNING = 3,
    CRIU_EXT_UNIX_SK = 4,
    CRIU_TCP_ESTABLISHED = 5,
    CRIU_EVASIVE_DEVICES = 6,
    CRIU_SHELL_JOB = 7,
    CRIU_FILE_LOCKS = 8,
    CRIU_LOG_LEVEL = 9,
    CRIU_LOG_FILE = 10,
    CRIU_PAGE_SERVER = 11,
    CRIU_NOTIFY_SCRIPTS = 12,
    CRIU_ROOT = 13,
    CRIU_PARENT_IMAGE = 14,
    CRIU_TRACK_MEMORY = 15,
    CRIU_AUTO_DEDUP = 16,
    CRIU_WORK_DIR_FD = 17,
    CRIU_LINK_REMAP = 18,
    CRIU_EXTERNAL_MOUNT = 23,
    CRIU_MANAGE_CGROUPS = 24,
    CRIU_CGROUP_ROOT = 25,
    CRIU_RESTORE_SIBLING = 26,
    CRIU_INHERIT_FD = 27,
    CRIU_CGROUPS_MODE = 34,
    CRIU_EXTERNAL = 37,
    CRIU_EMPTY_NS = 38,
    CRIU_JOIN_NS = 39,
    CRIU_FREEZE_CGROUP = 44,
    CRIU_TCP_SKIP_IN_FLIGHT = 46,
    CRIU_LAZY_PAGES = 48,
    CRIU_ORPHAN_PTS_MASTER = 50,
    CRIU_CONFIG_FILE = 51,
    CRIU_TCP_CLOSE = 52,
    CRIU_LSM_PROFILE = 53,
    CRIU_LSM_MOUNT_CONTEXT = 63,
};

/* What checkpoint and restore are both told on the command line. */
struct criu_flags {
    const char *image_path, *work_path, *cgroups_mode;
    bool tcp_established, ext_unix_sk, shell_job, file_locks, auto_dedup, lazy_pages;
    struct option_values empty_ns;
};
#define CRIU_FLAG_RULES(flags)                                                                                         \
    {"image-path", NULL, OPTION_TEXT, &(flags)->image_path, "folder of the images (default: ./checkpoint)"},           \
        {"work-path", NULL, OPTION_TEXT, &(flags)->work_path, "folder of the log (default: that of the images)"},      \
        {"tcp-established", NULL, OPTION_FLAG, &(flags)->tcp_established, "keep TCP connections"},                     \
        {"ext-unix-sk", NULL, OPTION_FLAG, &(flags)->ext_unix_sk, "allow unix sockets to the outside"},                \
        {"shell-job", NULL, OPTION_FLAG, &(flags)->shell_job, "allow a terminal of the outside"},                      \
        {"file-locks", NULL, OPTION_FLAG, &(flags)->file_locks, "keep file locks"},                                    \
        {"manage-cgroups-mode", NULL, OPTION_TEXT, &(flags)->cgroups_mode, "soft (default), full, strict or ignore"},  \
        {"empty-ns", NULL, OPTION_LIST, &(flags)->empty_ns, "restore no properties of it: network"},                   \
        {"auto-dedup", NULL, OPTION_FLAG, &(flags)->auto_dedup, "drop pages that a later image has"},                  \
    {                                                                                                                  \
        "lazy-pages", NULL, OPTION_FLAG, &(flags)->lazy_pages, "move memory when it is touched"                        \
    }

#define CRIU_DESCRIPTORS   "descriptors.json" /* in the images: what 0, 1 and 2 were */
#define CRIU_MAX_INHERITED 4

struct criu_notice {
    const char *script; /* "post-dump", "setup-namespaces" … */
    pid_t pid;          /* of the restored init */
    int fd;             /* a terminal's master; -1: none */
};

struct criu {
    const char *log_name;
    int images, work, log_folder; /* log_folder is one of the two */
    struct message options;
    int inherited[CRIU_MAX_INHERITED];
    size_t inherited_count;
    pid_t pid;
    int socket;
    int (*notify)(void *context, const struct criu_notice *notice, struct fault *f);
    void *context;
};

/* Refuses a CRIU that is missing, too old, or lacks one of the features asked for. */
int criu_require(bool memory_tracking, bool lazy_pages, struct fault *f);

/* Opens the folders and notes the options of both commands. */
int criu_open(struct criu *criu, const struct criu_flags *flags, const char *log_name, bool makes_images,
              struct fault *f);
/* CRIU itself gets this descriptor, and uses it for whatever the images know by that name. Before criu_start. */
int criu_inherit(struct criu *criu, int fd, const char *name, struct fault *f);
void criu_put_inherited(struct criu *criu, int fd, const char *name); /* fd as CRIU counts */
void criu_put_pair(struct criu *criu, enum criu_option option, const char *one, const char *other);
void criu_put_config_file(struct criu *criu, const struct json *annotations);

/* Starts CRIU with our standard streams, or with /dev/null for them. It must be in the mount namespace that criu_open
 * was called in. */
int criu_start(struct criu *criu, bool keeps_streams, struct fault *f);
int criu_ask(struct criu *criu, enum criu_request type, struct fault *f);
/* Quotes the errors of CRIU's log as warnings. */
void criu_quote_log(const struct criu *criu);
/* Ends the conversation and waits for CRIU's end. */
void criu_close(struct criu *criu);

/* criu-mounts.c: the mounts that are not in the images: binds, v1 cgroups, masks and device nodes. They are known by
 * their destination; a restore says what to put there. `root` is the container's root. */
int criu_put_mounts(struct criu *criu, const struct config *config, const struct cgroup *cgroup, int root,
                    bool is_restore, struct fault *f);

#endif
