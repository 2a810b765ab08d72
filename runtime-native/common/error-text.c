/* errno in the words of Go, which the users of runc know and programs look for: "no such file or directory". */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"

/* Where strerror(3) says something else: musl's of these are its own. */
static const struct {
    int error;
    const char *text;
} texts[] = {
    {EADDRINUSE, "address already in use"},
    {EADDRNOTAVAIL, "cannot assign requested address"},
    {EBUSY, "device or resource busy"},
    {ECHILD, "no child processes"},
    {EDEADLK, "resource deadlock avoided"},
    {EDQUOT, "disk quota exceeded"},
    {EHOSTUNREACH, "no route to host"},
    {EIO, "input/output error"},
    {ELOOP, "too many levels of symbolic links"},
    {EMFILE, "too many open files"},
    {EMSGSIZE, "message too long"},
    {ENAMETOOLONG, "file name too long"},
    {ENETUNREACH, "network is unreachable"},
    {ENOMEM, "cannot allocate memory"},
    {ENOTCONN, "transport endpoint is not connected"},
    {ENOTSUP, "operation not supported"},
    {ENOTTY, "inappropriate ioctl for device"},
    {EOVERFLOW, "value too large for defined data type"},
    {ERANGE, "numerical result out of range"},
    {ESPIPE, "illegal seek"},
    {ETIMEDOUT, "connection timed out"},
    {EUCLEAN, "structure needs cleaning"},
    {EUSERS, "too many users"},
    {EXDEV, "invalid cross-device link"},
};

const char *error_text(int error)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].error == error)
            return texts[i].text;
    static char text[128];
    (void)snprintf(text, sizeof text, "%s", strerror(error));
    if (isupper((unsigned char)text[0]) && islower((unsigned char)text[1]))
        text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}
