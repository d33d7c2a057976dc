#define _GNU_SOURCE 1          /* accept4 */
#define LOG_MODULE "stream"
#include "lib/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/event.h>

#include "lib/log.h"
#include "lib/stream_accept.h"
#include "lib/target.h"
#include "lib/util.h"

enum { UNIX_MODE = 0660 };

struct stream_listener {
    struct event_base *base;
    struct event *acceptable, *resume;
    struct tls_config *tls;
    stream_accept_fn *accept;
    void *aux;
    int fd;
    struct target target;       /* Where it is bound. */
    dev_t dev;                  /* Of the unix socket's file, so that nobody else's is unlinked. */
    ino_t ino;
    bool accepting, paused, closed;
};

static const char *unix_path(const struct target *t)
{
    return t->addr.ss_family == AF_UNIX ? ((const struct sockaddr_un *) (const void *) &t->addr)->sun_path : NULL;
}

static void listener_free(struct stream_listener *l)
{
    tls_config_unref(l->tls);
    free(l);
}

static void on_resume(evutil_socket_t fd UNUSED, short what UNUSED, void *l_)
{
    struct stream_listener *l = l_;
    l->paused = false;
    event_add(l->acceptable, NULL);
}

void stream_listener_pause(struct stream_listener *l, unsigned ms)
{
    const struct timeval rest = { ms / 1000, ms % 1000 * 1000 };
    event_del(l->acceptable);
    event_add(l->resume, &rest);
    l->paused = true;
}

/* Without descriptors or memory the waiting peer would wake the loop for ever: rest a little. */
static void pause_accepting(struct stream_listener *l, int error)
{
    LOG_RATE(LOG_WARN, 5, "cannot accept a connection: %s", strerror(error));
    stream_listener_pause(l, 100);
}

/* One each turn of the loop: making a connection takes tens of microseconds, and others wait no longer than that however many come at once. */
static void on_acceptable(evutil_socket_t fd UNUSED, short what UNUSED, void *l_)
{
    struct stream_listener *l = l_;
    l->accepting = true;
    struct target peer = { .tls = l->target.tls, .addr_len = sizeof peer.addr };
    int conn = accept4(l->fd, (struct sockaddr *) (void *) &peer.addr, &peer.addr_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (conn >= 0) {
        l->accept(stream_new_accepted(l->base, conn, &peer, l->tls), l->aux);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_accepting(l, errno);
    }                           /* Otherwise the peer left before it was accepted (accept(2), "Error handling"), or another turn has done it. */
    l->accepting = false;
    if (l->closed) {
        listener_free(l);
    }
}

/* A socket file that nobody listens on any more is left from an earlier run: removes it.  False if it is in use. */
static bool remove_stale(const struct target *t, const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st) || !S_ISSOCK(st.st_mode)) {
        return true;            /* bind() will say what is wrong, if anything is. */
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(err, ERR_FAILED, NULL, "no socket: %s", strerror(errno));
    }
    bool stale = connect(fd, (const struct sockaddr *) (const void *) &t->addr, t->addr_len) && errno == ECONNREFUSED;
    close(fd);
    if (!stale) {
        err_set(err, ERR_CONFLICT, NULL, "another process listens on %s", path);
        return err_hint(err, "stop it or choose another path");
    }
    if (unlink(path)) {
        return err_set(err, ERR_FAILED, NULL, "cannot remove the old socket %s: %s", path, strerror(errno));
    }
    return true;
}

static bool listen_on(struct stream_listener *l, const char *text, struct err *err)
{
    struct target *t = &l->target;
    const char *path = unix_path(t);
    struct stat st;
    int one = 1;
    if (path && !remove_stale(t, path, err)) {
        return false;
    }
    /* On Linux the file gets the socket inode's mode (less the umask): there is no moment at which others can connect. */
    if (path ? fchmod(l->fd, UNIX_MODE) : setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)) {
        return err_set(err, ERR_FAILED, NULL, "cannot prepare a socket for \"%.150s\": %s", text, strerror(errno));
    }
    if (bind(l->fd, (struct sockaddr *) (void *) &t->addr, t->addr_len)) {
        int error = errno;
        err_set(err, error == EADDRINUSE ? ERR_CONFLICT : ERR_FAILED, NULL, "cannot listen on \"%.150s\": %s", text, strerror(error));
        return err_hint(err, "%s", error == EADDRINUSE ? "another process or file is there; stop it or choose another place"
                                 : path ? "the directory must exist and be writable" : "the address must be this host's own");
    }
    if (path && (chmod(path, UNIX_MODE) || stat(path, &st))) {
        int error = errno;
        unlink(path);
        return err_set(err, ERR_FAILED, NULL, "cannot set the mode of %s: %s", path, strerror(error));
    }
    if (path) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    } else {
        t->addr_len = sizeof t->addr;
    }
    if (listen(l->fd, SOMAXCONN)
        || (!path && getsockname(l->fd, (struct sockaddr *) (void *) &t->addr, &t->addr_len))) {
        int error = errno;
        if (path) {
            unlink(path);
        }
        return err_set(err, error == EADDRINUSE ? ERR_CONFLICT : ERR_FAILED, NULL, "cannot listen on \"%.150s\": %s", text,
                       strerror(error));
    }
    return true;
}

struct stream_listener *stream_listen(struct event_base *base, const char *text, struct tls_config *tls,
                                      stream_accept_fn *accept, void *aux, struct err *err)
{
    struct target target;
    int fd = stream_socket(text, true, tls, &target, err);
    if (fd < 0) {
        return NULL;
    }
    struct stream_listener *l = XNEW(struct stream_listener);
    *l = (struct stream_listener) { .base = base, .tls = tls_config_ref(tls), .accept = accept, .aux = aux, .fd = fd, .target = target };
    if (!listen_on(l, text, err)) {
        close(fd);
        listener_free(l);
        return NULL;
    }
    l->acceptable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->resume = event_new(base, -1, 0, on_resume, l);
    event_add(l->acceptable, NULL);
    return l;
}

unsigned stream_listener_port(const struct stream_listener *l)
{
    return target_port(&l->target);
}

void stream_listener_close(struct stream_listener *l)
{
    struct stat st;
    if (!l) {
        return;
    }
    assert(!l->closed);
    const char *path = unix_path(&l->target);
    event_free(l->acceptable);
    event_free(l->resume);
    if (path && !stat(path, &st) && st.st_dev == l->dev && st.st_ino == l->ino) {
        unlink(path);
    }
    close(l->fd);
    l->closed = true;
    if (!l->accepting) {
        listener_free(l);
    }
}
