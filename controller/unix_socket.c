#include "controller/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

bool unix_socket_claim(const char *path, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;
    if (lstat(path, &st)) {
        return errno == ENOENT || err_set(err, ERR_FAILED, NULL, "%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(err, ERR_CONFLICT, NULL, "%s exists and is no socket", path);
    }
    if (strlen(path) >= sizeof address.sun_path) {
        return err_set(err, ERR_INVALID, NULL, "%s is longer than a socket's path may be", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return err_set(err, ERR_FAILED, NULL, "socket: %s", strerror(errno));
    }
    bool refused = connect(fd, (struct sockaddr *) &address, sizeof address) && errno == ECONNREFUSED;
    close(fd);
    if (!refused) {
        err_set(err, ERR_CONFLICT, NULL, "%s is in use by a running process", path);
        return err_hint(err, "stop that one first, or choose another path");
    }
    return (!unlink(path) || errno == ENOENT) || err_set(err, ERR_FAILED, NULL, "%s: %s", path, strerror(errno));
}
