/*
 * States: BACKOFF (outgoing, waiting to try again) → CONNECTING → HELLO (ours is sent, theirs is awaited) → UP; CLOSING while an error is still on its way out;
 * DOWN for an accepted connection that ended.  One timer serves them all: retry, handshake limit, keep-alive, linger; its deadline is of the injected clock, so that
 * where that stands still (tests, fuzzing) nothing ends by itself, however slow the machine.
 *
 * Bytes that cannot be processed yet (reading is paused in the middle of what arrived, or a message is not whole) are kept in `in`.
 * With a share (of_share.h) they are also kept while the connection waits for its turn: `yielded`.
 * Callbacks may call of_conn_close(): the struct and the bytes of the message at hand live until the outermost call (`depth`) returns.
 */
#define LOG_MODULE "of_conn"
#include "ofproto/of_conn_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>

#include "lib/log.h"

enum {
    MIN_BACKOFF_MS = 250,
    LINGER_MS = 1000,           /* For the last error to leave. */
    MAX_STALLED = 12,           /* Keep-alive turns without a byte taken by the peer. */
};

static void go_down(struct of_conn *, const char *why);

/* The loop's time only wakes us up: whether the deadline has come, the connection's clock says. */
static void sleep_until_deadline(struct of_conn *c, uint64_t now_ns)
{
    uint64_t us = (c->deadline_ns - now_ns + 999) / 1000;
    event_add(c->timer, &(struct timeval) { .tv_sec = (time_t) (us / 1000000), .tv_usec = (suseconds_t) (us % 1000000) });
}

static void arm(struct of_conn *c, unsigned ms)
{
    uint64_t now_ns = clock_now_ns(&c->options.clock);
    c->deadline_ns = now_ns + ms * UINT64_C(1000000);
    sleep_until_deadline(c, now_ns);
}

static void destroy(struct of_conn *c)
{
    if (c->stream) {
        stream_close(c->stream);
    }
    event_free(c->timer);
    event_free(c->resume);
    of_conn_turns_fini(c);
    tls_config_unref(c->tls);
    buf_fini(&c->in);
    buf_fini(&c->out);
    free(c->target);
    free(c->peer);
    free(c);
}

void of_conn_enter(struct of_conn *c)
{
    c->depth++;
}

/* False when the connection is gone. */
bool of_conn_leave(struct of_conn *c)
{
    if (!--c->depth && c->dead) {
        destroy(c);
        return false;
    }
    return true;
}

static uint8_t highest(uint32_t bitmap)
{
    return (uint8_t) (31 - __builtin_clz(bitmap));
}

bool of_conn_paused(const struct of_conn *c)
{
    return !c->read_wanted || stream_backlog(c->stream) > c->options.max_backlog || (c->options.share && c->options.share->held);
}

/* Tells the stream whether bytes are wanted now; returns that. */
bool of_conn_set_reading(struct of_conn *c)
{
    if (!c->stream || c->dead) {
        return false;
    }
    bool on = (c->state == HELLO || c->state == UP) && !c->yielded && !of_conn_paused(c);
    stream_read_enable(c->stream, on);
    return on;
}

/* After a pause may have ended: what was kept is processed from the loop, not from within the caller. */
static void update_read(struct of_conn *c)
{
    if (of_conn_set_reading(c) && c->in.size) {
        event_active(c->resume, 0, 0);
    }
}

/* --- Sending --- */

static const char unread[] = "the peer does not read what is sent to it";

static void write_messages(struct of_conn *c, const uint8_t *data, size_t size, unsigned n)
{
    stream_write(c->stream, data, size);
    c->counters.tx_messages += n;
    if (c->state == UP && c->options.max_unread && !c->overflowed && stream_backlog(c->stream) > c->options.max_unread) {
        c->overflowed = true;
        arm(c, 0);              /* From the loop: the caller may be anywhere. */
    }
}

static void flush_out(struct of_conn *c)
{
    write_messages(c, c->out.data, c->out.size, 1);
    buf_clear(&c->out);
    if (c->out.allocated > 1 << 20) {
        buf_fini(&c->out);
    }
}

static bool is_request(const struct of_msg *msg)
{
    switch ((unsigned) msg->type) {
    case OFPT_ERROR:
    case OFPT_ECHO_REPLY:
    case OFPT_FEATURES_REPLY:
    case OFPT_GET_CONFIG_REPLY:
    case OFPT_PACKET_IN:
    case OFPT_FLOW_REMOVED:
    case OFPT_PORT_STATUS:
    case OFPT_MULTIPART_REPLY:
    case OFPT_BARRIER_REPLY:
    case OFPT_QUEUE_GET_CONFIG_REPLY:
    case OFPT_ROLE_REPLY:
    case OFPT_GET_ASYNC_REPLY:
        return false;
    }
    return !msg->is_reply;
}

static void send_now(struct of_conn *c, struct of_msg *msg)
{
    of_encode(msg, &c->out);
    flush_out(c);
}

uint32_t of_conn_next_xid(struct of_conn *c)
{
    if (!++c->last_xid) {
        c->last_xid = 1;
    }
    return c->last_xid;
}

uint32_t of_conn_send(struct of_conn *c, struct of_msg *msg)
{
    if (!msg->xid && is_request(msg)) {
        msg->xid = of_conn_next_xid(c);
    }
    if (c->state == UP && !c->dead && !c->overflowed) {
        msg->version = c->version;
        send_now(c, msg);
    }
    return msg->xid;
}

void of_conn_send_encoded(struct of_conn *c, const uint8_t *data, size_t size, unsigned n)
{
    if (c->state == UP && !c->dead && !c->overflowed) {
        write_messages(c, data, size, n);
    }
}

void of_conn_send_error(struct of_conn *c, struct of_error error, const uint8_t *raw, size_t size)
{
    if (c->state == UP && !c->dead && !c->overflowed) {
        of_error_encode(error, raw, size, &c->out);
        c->out.data[0] = c->version;
        flush_out(c);
    }
}

static void send_hello(struct of_conn *c)
{
    struct of_msg hello;
    of_msg_init(&hello, OFPT_HELLO, of_conn_next_xid(c));
    hello.version = highest(c->options.versions);
    hello.hello.has_bitmap = true;
    hello.hello.version_bitmap = c->options.versions;
    send_now(c, &hello);
}

/* Sends an error with a text for people, and ends the connection when it has left. */
static void fail_hello(struct of_conn *c, uint8_t version, uint32_t xid, struct of_error error, const char *text)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_ERROR, xid);
    msg.version = version;
    msg.error.error = error;
    msg.error.size = (unsigned) strlen(text);
    msg.error.data = (uint8_t *) xstrdup(text);
    c->counters.rx_errors++;
    c->state = CLOSING;
    str_copy(c->why, sizeof c->why, text);
    stream_read_enable(c->stream, false);
    stream_set_low_mark(c->stream, 0);
    send_now(c, &msg);
    of_msg_fini(&msg);
    arm(c, LINGER_MS);
}

/* --- Receiving --- */

/*
 * Section 6.3.1: with bitmaps on both sides the highest common version, else the smaller of the two header versions, if it is supported.
 */
static bool negotiate(struct of_conn *c, const struct of_msg *hello)
{
    if (hello->hello.has_bitmap) {
        uint32_t common = hello->hello.version_bitmap & c->options.versions;
        c->version = common ? highest(common) : 0;
        return common;
    }
    c->version = MIN(hello->version, highest(c->options.versions));
    return c->version < 32 && (c->options.versions & (1u << c->version));
}

static void receive_hello(struct of_conn *c, const uint8_t *raw, size_t size)
{
    struct of_msg msg;
    char text[160];
    uint8_t ours = highest(c->options.versions);
    struct of_error error = of_decode(raw, size, &msg);
    uint8_t version = MIN(raw[0], ours);
    if (raw[1] == OFPT_ERROR && of_ok(error)) {
        char name[32];
        snprintf(text, sizeof text, "the peer refused the hello: %s %.*s", of_error_name(msg.error.error, name),
                 (int) MIN(msg.error.size, 80u), msg.error.data ? (const char *) msg.error.data : "");
        of_msg_fini(&msg);
        go_down(c, text);
        return;
    }
    if (raw[1] != OFPT_HELLO) {
        if (of_ok(error)) {
            of_msg_fini(&msg);
        }
        snprintf(text, sizeof text, "expected OFPT_HELLO, got message type %u", raw[1]);
        fail_hello(c, version, wire_get32(raw + 4), OF_ERROR(OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE), text);
        return;
    }
    if (!of_ok(error)) {
        fail_hello(c, version, msg.xid, error, "malformed OFPT_HELLO");
        return;
    }
    if (!negotiate(c, &msg)) {
        snprintf(text, sizeof text, "no common OpenFlow version: ours are 0x%08x (bitmap), yours is 0x%02x%s", c->options.versions, msg.version,
                 msg.hello.has_bitmap ? " with a bitmap that has none of them" : "");
        fail_hello(c, version, msg.xid, OF_ERROR(OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE), text);
        return;
    }
    c->state = UP;
    c->backoff_ms = MIN_BACKOFF_MS;
    c->received = c->echo_pending = c->overflowed = false;
    c->stalled = 0;
    c->last_backlog = 0;
    c->counters.up_since_ns = clock_now_ns(&c->options.clock);
    arm(c, c->options.echo_interval_ms);
    c->ops->up(c, c->aux);
}

static void receive_up(struct of_conn *c, const uint8_t *raw, size_t size)
{
    struct of_msg msg;
    /* Another version's body is not looked at: only hello may have one (section 6.3.1). */
    struct of_error error = raw[0] == c->version || raw[1] == OFPT_HELLO ? of_decode(raw, size, &msg) : OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_VERSION);
    if (!of_ok(error)) {
        c->counters.rx_errors++;
        if (c->options.share && c->options.share->garbage) {
            c->options.share->garbage(c->options.share);
        }
        if (raw[1] != OFPT_ERROR) {     /* Errors are never answered: two peers could go on for ever. */
            of_conn_send_error(c, error, raw, size);
        }
        return;
    }
    switch ((unsigned) msg.type) {
    case OFPT_HELLO:
        break;
    case OFPT_ECHO_REQUEST:
        msg.type = OFPT_ECHO_REPLY;
        of_conn_send(c, &msg);
        break;
    case OFPT_ECHO_REPLY:
        break;                          /* That bytes came is all that keep-alive wants. */
    default:
        c->ops->message(c, &msg, raw, size, c->aux);
    }
    of_msg_fini(&msg);
}

/* The first whole message, if reading is not paused; returns the bytes used, 0: there is none, or the connection ends. */
size_t of_conn_process_one(struct of_conn *c, const uint8_t *raw, size_t size)
{
    if (!c->stream || c->dead || (c->state != HELLO && c->state != UP) || of_conn_paused(c) || size < OF_HEADER_SIZE) {
        return 0;
    }
    unsigned length = of_frame_length(raw, size);
    if (length < OF_HEADER_SIZE) {
        uint8_t version = c->state == UP ? c->version : MIN(raw[0], highest(c->options.versions));
        fail_hello(c, version, wire_get32(raw + 4), OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_LEN), "a message claims a length below 8");
        return 0;
    }
    if (c->state == HELLO && raw[1] != OFPT_HELLO && raw[1] != OFPT_ERROR) {
        receive_hello(c, raw, MIN(size, length));               /* No need to wait for all of what is no hello. */
        return 0;
    }
    if (size < length) {
        return 0;
    }
    c->received = true;
    c->counters.rx_messages++;
    if (c->state == HELLO) {
        receive_hello(c, raw, length);
    } else {
        receive_up(c, raw, length);
    }
    return length;
}

static void process_kept(struct of_conn *c)
{
    size_t used = of_conn_process(c, c->in.data, c->in.size);
    if (c->stream) {
        buf_consume(&c->in, used);
    }
}

static void on_resume(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct of_conn *c = c_;
    of_conn_enter(c);
    if (c->stream && c->again && !c->yielded) {
        of_conn_run_again(c);
    }
    if (c->stream && c->in.size) {
        process_kept(c);
        of_conn_set_reading(c);
    }
    of_conn_leave(c);
}

/* --- The stream's callbacks --- */

static long on_readable(struct stream *stream UNUSED, const uint8_t *data, size_t size, void *c_)
{
    struct of_conn *c = c_;
    of_conn_enter(c);
    if (c->in.size) {
        buf_put(&c->in, data, size);
        process_kept(c);
    } else {
        size_t used = of_conn_process(c, data, size);
        if (c->stream && !c->dead && used < size) {
            buf_put(&c->in, data + used, size - used);
        }
    }
    of_conn_set_reading(c);
    bool gone = !c->stream;
    return of_conn_leave(c) && !gone ? (long) size : -1;
}

static void on_connected(struct stream *stream UNUSED, void *c_)
{
    struct of_conn *c = c_;
    c->state = HELLO;
    arm(c, c->options.echo_interval_ms * 3 / 2);        /* Public suites give a switch 10 s to turn away who says nothing. */
    send_hello(c);
    update_read(c);
}

static void on_drained(struct stream *stream UNUSED, void *c_)
{
    struct of_conn *c = c_;
    of_conn_enter(c);
    if (c->state == CLOSING) {
        go_down(c, c->why);
    } else {
        update_read(c);
        if (c->state == UP && c->ops->drained) {
            c->ops->drained(c, c->aux);
        }
    }
    of_conn_leave(c);
}

static void on_closed(struct stream *stream UNUSED, const char *why, void *c_)
{
    struct of_conn *c = c_;
    of_conn_enter(c);
    go_down(c, c->state == CLOSING ? c->why : why);
    of_conn_leave(c);
}

static const struct stream_ops stream_callbacks = { on_connected, on_readable, on_drained, on_closed };

/* --- Life --- */

static void set_marks(struct of_conn *c)
{
    stream_set_low_mark(c->stream, c->options.max_backlog / 4);
    if (c->options.share) {
        stream_set_read_size(c->stream, OF_SHARE_READ);
    }
}

static void start_connecting(struct of_conn *c)
{
    struct err err = ERR_INIT;
    c->state = CONNECTING;
    c->stream = stream_connect(c->base, c->target, c->tls, &stream_callbacks, c, &err);
    if (!c->stream) {
        char text[300];
        go_down(c, err_format(&err, text, sizeof text));
        return;
    }
    set_marks(c);
    arm(c, 2 * c->options.echo_interval_ms);
}

/* Must run between of_conn_enter() and of_conn_leave(): down() may close the connection. */
static void go_down(struct of_conn *c, const char *why)
{
    char reason[sizeof c->why];
    str_copy(reason, sizeof reason, why);       /* May be the stream's, or c->why. */
    bool was_up = c->counters.up_since_ns != 0;
    c->refused = c->stream && stream_peer_refused(c->stream);
    if (c->stream) {
        stream_close(c->stream);
        c->stream = NULL;
    }
    of_conn_end_yield(c);
    c->again = false;
    buf_clear(&c->in);
    c->counters.up_since_ns = 0;
    c->read_wanted = true;
    if (c->target) {
        uint32_t delay = c->backoff_ms - c->backoff_ms / 4 + rng_below(&c->rng, c->backoff_ms / 2 + 1);
        c->backoff_ms = MIN(2 * c->backoff_ms, c->options.max_backoff_ms);
        c->state = BACKOFF;
        arm(c, MIN(delay, c->options.max_backoff_ms));
        if (was_up) {
            LOG(LOG_INFO, "%s: down: %s", c->target, reason);
        } else {
            LOG(LOG_DEBUG, "%s: cannot connect: %s", c->target, reason);
        }
    } else {
        c->state = DOWN;
        event_del(c->timer);
        LOG(LOG_DEBUG, "%s: down: %s", c->peer, reason);
    }
    if (!c->dead) {
        c->ops->down(c, reason, c->aux);
    }
}

static void keep_alive(struct of_conn *c)
{
    size_t backlog = stream_backlog(c->stream);
    if (c->overflowed) {
        go_down(c, unread);
        return;
    }
    c->stalled = backlog && backlog >= c->last_backlog ? c->stalled + 1 : 0;
    c->last_backlog = backlog;
    if (c->stalled > MAX_STALLED) {
        go_down(c, unread);
        return;
    }
    if (c->received || of_conn_paused(c)) {     /* A silence that we asked for tells nothing. */
        c->received = c->echo_pending = false;
    } else if (c->echo_pending) {
        go_down(c, "no answer to an echo request");
        return;
    } else {
        struct of_msg echo;
        of_msg_init(&echo, OFPT_ECHO_REQUEST, 0);
        of_conn_send(c, &echo);
        c->echo_pending = true;
    }
    arm(c, c->overflowed ? 0 : c->options.echo_interval_ms);
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct of_conn *c = c_;
    uint64_t now_ns = clock_now_ns(&c->options.clock);
    if (now_ns < c->deadline_ns) {
        sleep_until_deadline(c, now_ns);
        return;
    }
    of_conn_enter(c);
    switch (c->state) {
    case BACKOFF:
        c->counters.reconnects += c->attempted;
        c->attempted = true;
        start_connecting(c);
        break;
    case CONNECTING:
        go_down(c, "connecting took too long");
        break;
    case HELLO:
        go_down(c, "the peer sent no OFPT_HELLO");
        break;
    case UP:
        keep_alive(c);
        break;
    case CLOSING:
        go_down(c, c->why);
        break;
    case DOWN:
        break;
    }
    of_conn_leave(c);
}

static struct of_conn *conn_new(struct event_base *base, const struct of_conn_options *options, const struct of_conn_ops *ops, void *aux)
{
    struct of_conn *c = XNEW(struct of_conn);
    c->base = base;
    c->options = *options;
    assert(options->versions);
    if (!c->options.echo_interval_ms) {
        c->options.echo_interval_ms = 5000;
    }
    if (!c->options.max_backoff_ms) {
        c->options.max_backoff_ms = 8000;
    }
    if (!c->options.max_backlog) {
        c->options.max_backlog = 1 << 20;
    }
    if (!c->options.clock.now_ns) {
        c->options.clock = clock_monotonic();
    }
    c->ops = ops;
    c->aux = aux;
    c->backoff_ms = MIN(MIN_BACKOFF_MS, c->options.max_backoff_ms);
    rng_seed_random(&c->rng);
    c->timer = evtimer_new(base, on_timer, c);
    c->resume = event_new(base, -1, 0, on_resume, c);
    of_conn_turns_init(c);
    buf_init(&c->in);
    buf_init(&c->out);
    c->read_wanted = true;
    return c;
}

struct of_conn *of_conn_connect(struct event_base *base, const char *target, struct tls_config *tls, const struct of_conn_options *options,
                                const struct of_conn_ops *ops, void *aux, struct err *err)
{
    if (!stream_target_valid(target, false, err)) {
        return NULL;
    }
    struct of_conn *c = conn_new(base, options, ops, aux);
    c->target = xstrdup(target);
    c->tls = tls ? tls_config_ref(tls) : NULL;
    /* From the loop, so that no callback runs before the caller has the connection. */
    c->state = BACKOFF;
    arm(c, 0);
    return c;
}

struct of_conn *of_conn_accepted(struct event_base *base, struct stream *stream, const struct of_conn_options *options,
                                 const struct of_conn_ops *ops, void *aux)
{
    struct of_conn *c = conn_new(base, options, ops, aux);
    c->stream = stream;
    c->peer = xstrdup(stream_peer(stream));
    stream_set_ops(stream, &stream_callbacks, c);
    set_marks(c);
    on_connected(stream, c);
    return c;
}

void of_conn_close(struct of_conn *c)
{
    if (c && !c->dead) {
        c->dead = true;
        event_del(c->timer);
        event_del(c->resume);
        of_conn_end_yield(c);
        if (!c->depth) {
            destroy(c);
        }
    }
}

bool of_conn_peer_refused(const struct of_conn *c)
{
    return c->refused;
}

bool of_conn_peer_names(const struct of_conn *c, void (*fn)(const char *name, void *aux), void *aux)
{
    return c->stream && stream_peer_names(c->stream, fn, aux);
}

bool of_conn_is_up(const struct of_conn *c)
{
    return c->state == UP && !c->dead;
}

uint8_t of_conn_version(const struct of_conn *c)
{
    return c->version;
}

const char *of_conn_peer(const struct of_conn *c)
{
    return c->target ? c->target : c->peer;
}

size_t of_conn_backlog(const struct of_conn *c)
{
    return c->stream ? stream_backlog(c->stream) : 0;
}

void of_conn_read_enable(struct of_conn *c, bool on)
{
    c->read_wanted = on;
    update_read(c);
}

void of_conn_counters(const struct of_conn *c, struct of_conn_counters *out)
{
    static const char *const names[] = { "backoff", "connecting", "hello", "up", "closing", "down" };
    *out = c->counters;
    out->state = names[c->state];
}
