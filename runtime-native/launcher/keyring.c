#include "keyring.h"

#include <errno.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

int keyring_join(const char *id, bool in_user_namespace, struct fault *f)
{
    char name[NAME_MAX + 8];
    (void)snprintf(name, sizeof name, "_ses.%s", id);
    long key = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name);
    if (key < 0 && (errno == ENOSYS || errno == EPERM || errno == EDQUOT)) {
        /* No keys in this kernel, or a filter around us forbids them: they protect little, the container may start. */
        log_warning("KeyctlJoinSessionKeyring: %s", error_text(errno));
        return 0;
    }
    if (key < 0)
        return fault_errno(f, STAGE_RUNTIME, "unable to join session keyring");
    long permissions = syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, NULL, 0);
    char description[512] = "";
    unsigned current = 0;
    if (permissions > 0 && syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, description, sizeof description) > 0)
        (void)sscanf(description, "%*[^;];%*d;%*d;%x;", &current);
    /* Search for the user, or for others where the user has another id: keyctl_setperm(3). */
    unsigned wanted = current | (in_user_namespace ? 0x8U : 0x80000U);
    if (current && wanted != current && syscall(SYS_keyctl, KEYCTL_SETPERM, key, wanted) < 0)
        return fault_errno(f, STAGE_RUNTIME, "unable to mod keyring permissions");
    return 0;
}
