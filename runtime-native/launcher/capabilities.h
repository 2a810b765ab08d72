#ifndef MINIRUN_CAPABILITIES_H
#define MINIRUN_CAPABILITIES_H

#include "config.h"

/* The five sets of the process section; unknown names are skipped with a warning, as the spec asks. */
void capabilities_parse(struct capability_sets *sets, const struct json *capabilities);
int capability_number(const char *name); /* "CAP_CHOWN" → 0; -1 when unknown */
const char *capability_name(int number);

/* In this order around the change of user: bounding set, keep, (setuid), apply. */
int capabilities_limit_bounding(const struct capability_sets *sets, struct fault *f);
int capabilities_apply(const struct capability_sets *sets, struct fault *f);

#endif
