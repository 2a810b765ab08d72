/* `delete --regex` and `kill --regex`, from crun: one command for every container whose id matches. */
#include "container-match.h"

#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>

int container_match(const char *root, const char *pattern, container_action *act, void *context, struct fault *f)
{
    regex_t expression;
    if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return fault_text(f, STAGE_ARGUMENTS, "invalid regular expression \"%s\"", pattern);
    DIR *listing = opendir(root);
    int result = !listing && errno != ENOENT ? fault_errno(f, STAGE_STATE, "open %s", root) : 0;
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        if (entry->d_name[0] != '.' && entry->d_type == DT_DIR &&
            regexec(&expression, entry->d_name, 0, NULL, 0) == 0 && act(root, entry->d_name, context, f) < 0)
            result = -1; /* the others are still tried; the last failure is told */
    if (listing)
        (void)closedir(listing);
    regfree(&expression);
    return result;
}
