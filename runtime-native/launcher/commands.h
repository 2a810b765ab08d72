/* One function for each command; argv starts after the command's name. The result is minirun's exit code. A failure is
 * reported by main.c from the fault. */
#ifndef MINIRUN_COMMANDS_H
#define MINIRUN_COMMANDS_H

#include "options.h"

struct globals {
    const char *root;
    bool has_default_root, is_rootless,
        has_no_cgroups;        /* --cgroup-manager disabled: what is made stays in our own cgroups */
    const struct usage *usage; /* of the command that runs */
};

#define FAILED (-1) /* the fault says why; exit code 1 */

int command_create(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_run(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_start(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_exec(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_state(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_kill(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_delete(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_list(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_ps(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_pause(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_resume(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_update(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_events(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_spec(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_checkpoint(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_restore(const struct globals *globals, int argc, char **argv, struct fault *f);
int command_features(const struct globals *globals, int argc, char **argv, struct fault *f);

int write_pid_file(const char *path, int pid, struct fault *f);

#endif
