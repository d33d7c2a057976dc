#include "utilities/vswctl.h"

#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/util.h"

#define MAX_LINE (1u << 30)             /* A million flows are about 300 MB. */

static bool only_socket(char *path, size_t size, struct err *err)
{
    glob_t found;
    if (glob("/run/polder/*/vswitchd.sock", 0, NULL, &found)) {
        err_set(err, ERR_UNREACHABLE, NULL, "there is no socket /run/polder/*/vswitchd.sock: no vswitchd runs here");
        return err_hint(err, "start vswitchd, or name its control socket with -s");
    }
    if (found.gl_pathc > 1) {
        err_set(err, ERR_USAGE, NULL, "%zu vswitchds run here (%s, %s%s)", found.gl_pathc, found.gl_pathv[0], found.gl_pathv[1], found.gl_pathc > 2 ? ", …" : "");
        err_hint(err, "choose one with -n NAME or -s SOCKET");
    } else {
        str_copy(path, size, found.gl_pathv[0]);
    }
    globfree(&found);
    return err->code == ERR_NONE;
}

bool vswctl_connect(struct vswctl *c, const char *path, const char *name, struct err *err)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char text[256];
    if (path) {
        str_copy(text, sizeof text, path);
    } else if (name) {
        snprintf(text, sizeof text, "/run/polder/%s/vswitchd.sock", name);
    } else if (!only_socket(text, sizeof text, err)) {
        return false;
    }
    if (strlen(text) >= sizeof addr.sun_path) {
        return err_set(err, ERR_USAGE, NULL, "%s: the path of a unix socket may have %zu bytes", text, sizeof addr.sun_path - 1);
    }
    str_copy(addr.sun_path, sizeof addr.sun_path, text);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &addr, sizeof addr)) {
        int why = errno;
        err_set(err, ERR_UNREACHABLE, NULL, "cannot reach vswitchd at %s: %s", text, strerror(why));
        return err_hint(err, why == EACCES ? "you need the rights of vswitchd's user or group" : "is vswitchd running?");
    }
    return true;
}

void vswctl_close(struct vswctl *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->in);
}

bool vswctl_send(struct vswctl *c, const char *method, cJSON *params, struct err *err)
{
    cJSON *request = cJSON_CreateObject();
    json_add_u64(request, "id", 1);
    json_add_string(request, "method", method);
    if (params) {
        cJSON_AddItemToObject(request, "params", params);
    }
    char *text = json_text(request, false);
    cJSON_Delete(request);
    size_t size = strlen(text), done = 0;
    text[size++] = '\n';        /* In the terminator's place. */
    while (done < size) {
        ssize_t n = send(c->fd, text + done, size - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            free(text);
            return err_set(err, ERR_UNREACHABLE, NULL, "vswitchd does not take the request: %s", strerror(errno));
        }
        done += n > 0 ? (size_t) n : 0;
    }
    free(text);
    return true;
}

/* Waits for bytes; false with err, or with ERR_NONE when a signal came and the wait was endless. */
static bool fill(struct vswctl *c, unsigned seconds, struct err *err)
{
    if (c->n_in == c->room) {
        c->room = c->room ? c->room * 2 : 65536;
        c->in = xrealloc(c->in, c->room);
    }
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
    int rc = poll(&pfd, 1, seconds ? (int) seconds * 1000 : -1);
    if (rc == 0) {
        return err_set(err, ERR_TIMEOUT, NULL, "vswitchd has not answered for %u s", seconds);
    }
    if (rc < 0) {
        return errno == EINTR && !seconds ? false : err_set(err, ERR_FAILED, NULL, "poll: %s", strerror(errno));
    }
    ssize_t n = read(c->fd, c->in + c->n_in, c->room - c->n_in);
    if (n <= 0) {
        return err_set(err, ERR_UNREACHABLE, NULL, "vswitchd closed the connection%s%s", n ? ": " : "", n ? strerror(errno) : "");
    }
    c->n_in += (size_t) n;
    return true;
}

cJSON *vswctl_receive(struct vswctl *c, unsigned seconds, struct err *err)
{
    size_t looked = 0;
    char *end;
    while (!(end = c->n_in > looked ? memchr(c->in + looked, '\n', c->n_in - looked) : NULL)) {
        looked = c->n_in;
        if (!fill(c, seconds, err)) {
            return NULL;
        }
    }
    size_t size = (size_t) (end - c->in);
    cJSON *line = json_parse(c->in, size, MAX_LINE, err);
    c->n_in -= size + 1;
    memmove(c->in, end + 1, c->n_in);
    if (line && json_to_err(line, err)) {
        cJSON_Delete(line);
        line = NULL;
    }
    return line;
}

cJSON *vswctl_call(struct vswctl *c, const char *method, cJSON *params, struct err *err)
{
    cJSON *line = vswctl_send(c, method, params, err) ? vswctl_receive(c, 60, err) : NULL;
    cJSON *result = line ? cJSON_DetachItemFromObjectCaseSensitive(line, "result") : NULL;
    if (line && !result) {
        err_set(err, ERR_FAILED, NULL, "vswitchd's answer has no result: is it of another version?");
    }
    cJSON_Delete(line);
    return result;
}
