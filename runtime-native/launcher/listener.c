#include "listener.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "console.h"
#include "io.h"

int listener_forward(const struct seccomp_filter *filter, const struct container *container,
                     const struct notifying_process *process, struct fault *f)
{
    bool is_init = process->pid == container->pid;
    AUTO_CLOSE int listener = (int)syscall(SYS_pidfd_getfd, process->pidfd, process->listener, 0);
    if (listener < 0)
        return fault_errno(f, STAGE_SECCOMP, "fetch the seccomp listener");
    AUTO_CLOSE int socket = console_connect(filter->listener_path, f);
    if (socket < 0) {
        f->stage = STAGE_SECCOMP;
        return fault_wrap(f, "failed to connect with seccomp agent specified in the seccomp profile: ");
    }
    struct json_writer w = {0};
    json_begin_object(&w, NULL);
    json_put_string(&w, "ociVersion", container->version ? container->version : OCI_VERSION);
    json_begin_array(&w, "fds");
    json_put_string(&w, NULL, "seccompFd");
    json_end_array(&w);
    json_put_int(&w, "pid", process->pid);
    if (filter->listener_metadata && *filter->listener_metadata)
        json_put_string(&w, "metadata", filter->listener_metadata);
    json_begin_object(&w, "state");
    json_put_string(&w, "ociVersion", container->version ? container->version : OCI_VERSION);
    json_put_string(&w, "id", container->id);
    json_put_string(&w, "status", is_init ? "creating" : container_status_name(container_status(container)));
    json_put_int(&w, "pid", container->pid);
    json_put_string(&w, "bundle", container->bundle ? container->bundle : "");
    if (container->annotations)
        json_put_json(&w, "annotations", container->annotations);
    json_end_object(&w);
    json_end_object(&w);
    int result =
        w.failed ? fault_text(f, STAGE_SECCOMP, "out of memory") : send_descriptor(socket, listener, w.text, f);
    json_writer_free(&w);
    return result;
}
