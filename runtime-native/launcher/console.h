#ifndef MINIRUN_CONSOLE_H
#define MINIRUN_CONSOLE_H

#include "rootfs.h"

/* A terminal of the container's own devpts becomes our standard streams and controlling terminal; its master goes to
 * the console socket. With dev >= 0 the slave is also mounted on "console" in that folder. */
int console_setup(const struct launch *launch, int devpts, int dev, struct fault *f);
/* Where the master will go: to the console socket, or, of a foreground container, through a pair to *ours. */
int console_open(const struct process_config *process, const char *socket_path, bool is_detached, int *theirs,
                 int *ours, struct fault *f);
int console_connect(const char *path, struct fault *f); /* --console-socket */
int console_receive(int socket, struct fault *f);       /* the master, for a foreground container */
int send_descriptor(int socket, int fd, const char *name, struct fault *f);

#endif
