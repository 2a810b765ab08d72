/* The words for an errno are glibc's and Go's, whichever libc the launcher itself is built with. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "../launcher/log.h"
#include "check.h"

int main(void)
{
    for (int error = 1; error < 134; error++) {
        const char *theirs = strerrordesc_np(error), *ours = error_text(error);
        if (!theirs ||
            (tolower((unsigned char)*theirs) == tolower((unsigned char)*ours) && strcmp(theirs + 1, ours + 1) == 0))
            continue;
        fail("%d is \"%s\", not \"%s\"", error, theirs, ours);
    }
    return report("launcher-error-text");
}
