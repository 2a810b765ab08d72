/* Lines for the operator in <bundle>/shim.log, which is fd 2. */
#ifndef MINISHIM_NOTE_H
#define MINISHIM_NOTE_H

#include <time.h>

#include "fault.h"
#include "json.h"

void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* RFC 3339 with up to nine digits and no trailing zeros, as Go prints time.RFC3339Nano. Returns the length. */
#define TIME_TEXT_SIZE 40
size_t time_text(char text[TIME_TEXT_SIZE], const struct timespec *time);
void time_text_now(char text[TIME_TEXT_SIZE]);

/* As the member "error" of an answer. */
void put_fault(struct json_writer *w, const struct fault *f);

#endif
