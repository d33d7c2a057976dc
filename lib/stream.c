/*
 * Connected streams. All work happens in three callbacks of the loop: on_readable, on_writable (connecting, and output
 * that the kernel did not take at once) and on_kick, which runs soon after whoever called stream_write() returns, so
 * that many small writes make one system call.
 *
 * Lifetime: an owner may call stream_close() in any callback. It frees everything but the struct itself, which lives
 * until the outermost call on the stack (`depth`) returns; after each call into the owner `dead` tells whether to go
 * on.
 */
#define _GNU_SOURCE 1          /* struct ucred */
#include "lib/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>

#include "lib/buf.h"
#include "lib/stream_accept.h"
#include "lib/target.h"
#include "lib/tls.h"
#include "lib/util.h"

enum {
    READ_SIZE = 65536,          /* At most so much per turn of the loop, so that one peer cannot starve the others; stream_set_read_size() makes it less. */
    WRITE_SIZE = 65536,         /* Plaintext that is encrypted at a time. */
    WRITE_TURN = 1 << 20,       /* At most so much is written per turn. */
    CORK_SIZE = 8192,           /* What gathers in a corked stream. */
    KEEP_SIZE = 4096,           /* A larger buffer is given back when it runs empty. */
};

/* Bytes in order of arrival; the first `off` of `b` are gone already. */
struct queue { struct buf b; size_t off; };

struct stream {
    const struct stream_ops *ops;
    void *aux;
    int fd;
    struct event *readable, *writable, *kick;
    struct tls_session *tls;
    struct queue in, out;       /* As the owner sees them: plaintext. */
    struct queue cipher;        /* Encrypted output. */
    size_t low_mark, read_size;
    int connect_error;          /* errno of connect(), reported from the loop. */
    unsigned depth;
    bool outgoing, connecting, ready, failed, dead;
    bool want_read, in_readable, offer_again, above_mark, writing, corked;
    char peer[TARGET_STRLEN];
};

static size_t queue_size(const struct queue *q)
{
    return q->b.size - q->off;
}

static void queue_drop(struct queue *q, size_t n)
{
    q->off += n;
    if (q->off == q->b.size) {
        q->off = 0;
        buf_clear(&q->b);
        if (q->b.allocated > KEEP_SIZE) {
            buf_fini(&q->b);
        }
    } else if (q->off > q->b.size / 2) {        /* Each byte moves at most once on average. */
        buf_consume(&q->b, q->off);
        q->off = 0;
    }
}

static void queue_fini(struct queue *q)
{
    buf_fini(&q->b);
    q->off = 0;
}

/* Brackets every callback of the loop; leave() frees a stream that was closed meanwhile. */
static void enter(struct stream *s)
{
    s->depth++;
}

static void leave(struct stream *s)
{
    if (!--s->depth && s->dead) {
        queue_fini(&s->in);     /* Not before: its bytes may be what the owner was looking at when it closed. */
        free(s);
    }
}

static bool alive(const struct stream *s)
{
    return !s->dead && !s->failed;
}

static void want_write(struct stream *s, bool on)
{
    if (on != s->writing) {
        s->writing = on;
        if (on) {
            event_add(s->writable, NULL);
        } else {
            event_del(s->writable);
        }
    }
}

static void kick(struct stream *s)
{
    event_active(s->kick, EV_TIMEOUT, 1);
}

static void update_read(struct stream *s)
{
    /* During a TLS handshake the peer's bytes are wanted whatever the owner says. */
    if (!s->failed && !s->connecting && s->ops && (s->want_read || !s->ready)) {
        event_add(s->readable, NULL);
    } else {
        event_del(s->readable);
    }
}

/* The end of the stream: tells the owner, once; nothing but stream_close() has an effect afterwards. */
static void fail(struct stream *s, const char *why)
{
    if (!alive(s)) {
        return;
    }
    s->failed = true;
    update_read(s);
    want_write(s, false);
    event_del(s->kick);
    queue_fini(&s->out);
    queue_fini(&s->cipher);
    s->ops->closed(s, why, s->aux);
}

static void fail_errno(struct stream *s, const char *doing, int error)
{
    char why[160], text[96];
    snprintf(why, sizeof why, "%s: %s", doing, strerror_r(error, text, sizeof text));
    fail(s, why);
}

/* Gives the owner `size` bytes.  Returns how many it consumed, or -1 when the stream ended meanwhile. */
static long offer(struct stream *s, const uint8_t *data, size_t size)
{
    s->in_readable = true;
    long used = s->ops->readable(s, data, size, s->aux);
    s->in_readable = false;
    if (!alive(s)) {
        return -1;
    }
    assert(used >= 0 && (size_t) used <= size);
    return used;
}

/* Offers what waits in the queue. */
static void offer_queue(struct stream *s)
{
    if (s->want_read && s->ready && queue_size(&s->in)) {
        long used = offer(s, s->in.b.data + s->in.off, queue_size(&s->in));
        if (used > 0) {
            queue_drop(&s->in, (size_t) used);
        }
    }
}

/* New plaintext.  Only what the owner leaves is copied, so an idle stream holds no memory. */
static void deliver(struct stream *s, const uint8_t *data, size_t size)
{
    if (queue_size(&s->in) || !s->want_read || !s->ready) {
        buf_put(&s->in.b, data, size);
        offer_queue(s);
        return;
    }
    long used = offer(s, data, size);
    if (used >= 0) {
        buf_put(&s->in.b, data + used, size - (size_t) used);
    }
}

/* Hands output to the kernel until it takes no more or `left` bytes are gone.  Calls nobody.  False when the stream is
 * broken, with `why`. */
static bool push(struct stream *s, size_t left, char why[TLS_WHY_SIZE])
{
    struct queue *q = s->tls ? &s->cipher : &s->out;
    while (left) {
        if (s->tls && !queue_size(q) && s->ready && queue_size(&s->out)) {
            size_t n = MIN(queue_size(&s->out), (size_t) WRITE_SIZE);
            if (!tls_session_send(s->tls, s->out.b.data + s->out.off, n, &q->b, why)) {
                return false;
            }
            queue_drop(&s->out, n);
        }
        if (!queue_size(q)) {
            break;
        }
        ssize_t n = send(s->fd, q->b.data + q->off, MIN(queue_size(q), left), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n < 0) {
            char text[96];
            snprintf(why, TLS_WHY_SIZE, "cannot write: %s", strerror_r(errno, text, sizeof text));
            return false;
        }
        queue_drop(q, (size_t) n);
        left -= (size_t) n;
    }
    return true;
}

static void become_ready(struct stream *s)
{
    s->ready = true;
    update_read(s);
    if (s->outgoing && s->ops->connected) {
        s->ops->connected(s, s->aux);
    }
    if (alive(s)) {
        kick(s);                /* For what was written before. */
    }
}

/* Ciphertext from the peer; size 0 starts a handshake. */
static void receive_tls(struct stream *s, const void *data, size_t size)
{
    char why[TLS_WHY_SIZE], push_why[TLS_WHY_SIZE];
    struct buf plain = BUF_INIT;
    enum tls_status status = tls_session_receive(s->tls, data, size, &plain, &s->cipher.b, why);
    if (status == TLS_FAILED) {
        (void) push(s, SIZE_MAX, push_why);     /* The alert; `why` is the reason that counts. */
    } else if (queue_size(&s->cipher)) {
        kick(s);
    }
    if (!s->ready && tls_session_ready(s->tls)) {
        become_ready(s);
    }
    if (plain.size && alive(s)) {
        deliver(s, plain.data, plain.size);
    }
    buf_fini(&plain);
    if (status != TLS_OK) {
        fail(s, why);
    }
}

static void read_some(struct stream *s)
{
    uint8_t chunk[READ_SIZE];
    if (s->offer_again) {       /* Older bytes come first, and before an end of file. */
        s->offer_again = false;
        offer_queue(s);
        if (!alive(s) || (s->ready && !s->want_read)) {
            return;
        }
    }
    ssize_t n = recv(s->fd, chunk, s->read_size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        fail_errno(s, "cannot read", errno);
    } else if (!n) {
        fail(s, s->tls ? "the peer closed the connection without ending TLS" : "the peer closed the connection");
    } else if (s->tls) {
        receive_tls(s, chunk, (size_t) n);
    } else {
        deliver(s, chunk, (size_t) n);
    }
}

static void flush(struct stream *s)
{
    char why[TLS_WHY_SIZE];
    if (!push(s, WRITE_TURN, why)) {
        if (s->want_read) {     /* The peer may have said why it left. */
            read_some(s);
        }
        fail(s, why);
        return;
    }
    want_write(s, queue_size(&s->cipher) || (s->ready && queue_size(&s->out)));
    if (s->above_mark && stream_backlog(s) <= s->low_mark) {
        s->above_mark = false;
        if (s->ops->drained) {
            s->ops->drained(s, s->aux);
        }
    }
}

static void finish_connect(struct stream *s)
{
    int error = s->connect_error;
    socklen_t size = sizeof error;
    if (!error && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size)) {
        error = errno;
    }
    if (error) {
        fail_errno(s, "cannot connect", error);
        return;
    }
    s->connecting = false;
    want_write(s, false);
    if (s->tls) {
        update_read(s);
        receive_tls(s, NULL, 0);
    } else {
        become_ready(s);
    }
}

static void on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *s_)
{
    struct stream *s = s_;
    enter(s);
    read_some(s);
    leave(s);
}

static void on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *s_)
{
    struct stream *s = s_;
    enter(s);
    if (s->connecting) {
        finish_connect(s);
    } else {
        flush(s);
    }
    leave(s);
}

static void on_kick(evutil_socket_t fd UNUSED, short what UNUSED, void *s_)
{
    struct stream *s = s_;
    enter(s);
    if (s->connecting) {
        if (s->connect_error || !s->writing) {
            finish_connect(s);
        }
    } else {
        if (s->offer_again) {
            s->offer_again = false;
            offer_queue(s);
        }
        if (alive(s)) {
            flush(s);
        }
    }
    leave(s);
}

static struct stream *stream_new(struct event_base *base, int fd, const struct target *peer, struct tls_config *tls, bool outgoing)
{
    struct stream *s = XNEW(struct stream);
    int one = 1;
    s->fd = fd;
    s->outgoing = outgoing;
    s->want_read = true;
    s->read_size = READ_SIZE;
    s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, s);
    s->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, s);
    s->kick = event_new(base, -1, 0, on_kick, s);
    s->tls = peer->tls ? tls_session_new(tls, !outgoing) : NULL;
    target_format(peer, s->peer);
    if (peer->addr.ss_family != AF_UNIX) {
        /* Only latency is lost when this fails, and there is nobody to tell. */
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return s;
}

int stream_socket(const char *text, bool listener, const struct tls_config *tls, struct target *target, struct err *err)
{
    if (!target_parse(text, listener, target, err)) {
        return -1;
    }
    if (target->tls && !tls) {
        err_set(err, ERR_INVALID, NULL, "\"%.150s\" needs a TLS configuration; give certificate and private key", text);
        return -1;
    }
    int fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set(err, ERR_FAILED, NULL, "no socket for \"%.150s\": %s", text, strerror(errno));
    }
    return fd;
}

struct stream *stream_connect(struct event_base *base, const char *text, struct tls_config *tls,
                              const struct stream_ops *ops, void *aux, struct err *err)
{
    struct target target;
    int fd = stream_socket(text, false, tls, &target, err);
    if (fd < 0) {
        return NULL;
    }
    struct stream *s = stream_new(base, fd, &target, tls, true);
    s->ops = ops;
    s->aux = aux;
    s->connecting = true;
    if (!connect(fd, (struct sockaddr *) (void *) &target.addr, target.addr_len)) {
        kick(s);
    } else if (errno == EINPROGRESS) {
        want_write(s, true);
    } else {
        s->connect_error = errno;
        kick(s);                /* Reported from the loop, never from within this call. */
    }
    return s;
}

struct stream *stream_new_accepted(struct event_base *base, int fd, const struct target *peer, struct tls_config *tls)
{
    struct stream *s = stream_new(base, fd, peer, tls, false);
    s->ready = !peer->tls;
    return s;
}

void stream_close(struct stream *s)
{
    char why[TLS_WHY_SIZE];
    if (!s) {
        return;
    }
    enter(s);
    if (alive(s) && s->ready && push(s, WRITE_TURN, why) && s->tls && !stream_backlog(s)) {
        tls_session_shutdown(s->tls, &s->cipher.b);
        (void) push(s, WRITE_TURN, why);        /* A courtesy: the connection ends anyway. */
    }
    s->dead = true;
    event_free(s->readable);
    event_free(s->writable);
    event_free(s->kick);
    tls_session_free(s->tls);
    close(s->fd);
    queue_fini(&s->out);
    queue_fini(&s->cipher);
    leave(s);
}

void stream_set_ops(struct stream *s, const struct stream_ops *ops, void *aux)
{
    s->ops = ops;
    s->aux = aux;
    update_read(s);
}

void stream_write(struct stream *s, const void *data, size_t size)
{
    if (!alive(s) || !size) {
        return;
    }
    buf_put(&s->out.b, data, size);
    s->above_mark |= stream_backlog(s) > s->low_mark;
    if (!s->connecting && !s->writing && !(s->corked && stream_backlog(s) < CORK_SIZE)) {
        kick(s);
    }
}

void stream_cork(struct stream *s, bool on)
{
    const bool was = s->corked;
    s->corked = on;
    if (was && !on && alive(s) && !s->connecting && !s->writing && stream_backlog(s)) {
        kick(s);
    }
}

size_t stream_backlog(const struct stream *s)
{
    return queue_size(&s->out) + queue_size(&s->cipher);
}

void stream_set_low_mark(struct stream *s, size_t bytes)
{
    s->low_mark = bytes;
    s->above_mark |= stream_backlog(s) > bytes;
}

void stream_read_enable(struct stream *s, bool on)
{
    if (!alive(s) || on == s->want_read) {
        return;
    }
    s->want_read = on;
    update_read(s);
    if (on && queue_size(&s->in) && !s->in_readable) {
        s->offer_again = true;
        kick(s);
    }
}

void stream_set_read_size(struct stream *s, size_t bytes)
{
    s->read_size = MIN(MAX(bytes, (size_t) 1), (size_t) READ_SIZE);
}

const char *stream_peer(const struct stream *s)
{
    return s->peer;
}

bool stream_peer_refused(const struct stream *s)
{
    return s->tls && tls_session_refused(s->tls);
}

bool stream_peer_names(const struct stream *s, void (*fn)(const char *name, void *aux), void *aux)
{
    if (s->tls) {
        tls_session_peer_names(s->tls, fn, aux);
    }
    return s->tls;
}

bool stream_peer_uid(const struct stream *s, unsigned *uid)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (strncmp(s->peer, "unix:", 5) || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &cred, &size)) {
        return false;
    }
    *uid = cred.uid;
    return true;
}
