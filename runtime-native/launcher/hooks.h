#ifndef MINIRUN_HOOKS_H
#define MINIRUN_HOOKS_H

#include "config.h"

struct hook_state {
    const char *version, *id, *status, *bundle;
    const char *directory; /* where they run; NULL: where we are */
    pid_t pid;
    const struct json *annotations;
    char **environment; /* for hooks that bring none of their own; NULL: empty */
};

/* Runs config.hooks[name] one after the other, the state on standard input. The first failure is the fault. */
int hooks_run(const struct json *hooks, const char *name, const struct hook_state *state, struct fault *f);
/* A failure is logged, and the others run: nothing can be undone any more. */
void hooks_run_poststop(const struct json *hooks, const struct hook_state *state);
bool hooks_exist(const struct json *hooks, const char *name);

#endif
