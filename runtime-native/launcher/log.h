/* What minirun tells its caller: the lines of --log, as runc writes them, with stage and errno as data in the JSON
 * form. */
#ifndef MINIRUN_LOG_H
#define MINIRUN_LOG_H

#include <stddef.h>

#include "fault.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_DEBUG };

int log_open(const char *path, const char *format, struct fault *f); /* path NULL: standard error */
int log_set_level(const char *name, struct fault *f);                /* error, warning or debug; NULL: warning */
int log_descriptor(void); /* where it goes: a child that closes the rest keeps it */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The last line of a failed command, also on standard error when the log is a file. */
void log_fault(const struct fault *f);

#endif
