/* Connections over real loopback sockets: negotiation, keep-alive, reconnection, pauses, and closing from within callbacks. */
#include "ofproto/of_conn.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "ofproto/of_peer.h"
#include "tests/unit.h"

unit_suite_fn of_conn_test_suite;

#define OF13_BIT (1u << OF13_VERSION)

struct rig {
    struct event_base *base;
    struct stream_listener *listener;
    struct of_conn_options options;     /* Of the accepting side. */
    struct of_peer *server, *client;    /* `server` gets the last connection that was accepted. */
    unsigned n_accepted;
};

static void on_accept(struct stream *stream, void *r_)
{
    struct rig *r = r_;
    if (r->server->conn) {
        of_conn_close(r->server->conn);
    }
    r->server->conn = of_conn_accepted(r->base, stream, &r->options, &of_peer_ops, r->server);
    r->n_accepted++;
}

static void rig_init(struct rig *r)
{
    struct err err = ERR_INIT;
    *r = (struct rig) { .base = event_base_new(), .options = { .versions = OF13_BIT }, .server = of_peer_new(), .client = of_peer_new() };
    r->listener = stream_listen(r->base, "ptcp:0:127.0.0.1", NULL, on_accept, r, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->listener);
}

static void rig_connect(struct rig *r, const struct of_conn_options *options)
{
    struct err err = ERR_INIT;
    char target[40];
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", stream_listener_port(r->listener));
    r->client->conn = of_conn_connect(r->base, target, NULL, options, &of_peer_ops, r->client, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->client->conn);
}

static void rig_fini(struct rig *r)
{
    of_peer_free(r->client);
    of_peer_free(r->server);
    if (r->listener) {
        stream_listener_close(r->listener);
    }
    event_base_free(r->base);
}

static void test_up(void)
{
    struct rig r;
    rig_init(&r);
    rig_connect(&r, &r.options);
    CU_ASSERT_TRUE_FATAL(loop_until(r.base, &r.client->n_up, 1) && loop_until(r.base, &r.server->n_up, 1));
    CU_ASSERT_EQUAL(of_conn_version(r.client->conn), OF13_VERSION);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BARRIER_REQUEST, 0);
    uint32_t xid = of_conn_send(r.client->conn, &msg);
    CU_ASSERT_NOT_EQUAL(xid, 0);
    struct of_msg got = of_peer_take(r.base, r.server);
    CU_ASSERT_EQUAL(got.type, OFPT_BARRIER_REQUEST);
    CU_ASSERT_EQUAL(got.xid, xid);
    of_msg_init(&msg, OFPT_PORT_STATUS, 0);
    CU_ASSERT_EQUAL(of_conn_send(r.server->conn, &msg), 0);     /* Asynchronous: no xid. */
    got = of_peer_take(r.base, r.client);
    CU_ASSERT_EQUAL(got.xid, 0);
    struct of_conn_counters counters;
    of_conn_counters(r.client->conn, &counters);
    CU_ASSERT_STRING_EQUAL(counters.state, "up");
    CU_ASSERT_EQUAL(counters.reconnects, 0);
    CU_ASSERT_EQUAL(counters.tx_messages, 2);                   /* With the hello. */
    rig_fini(&r);
}

/* What a peer says first, and how it ends: the version, or the error type and code that it gets (-1: silence). */
static void test_negotiation(void)
{
    static const struct { const char *hello; int version, type, code; } cases[] = {
        { "04 00 0010 00000007 0001 0008 00000010", 4, 0, 0 },
        { "06 00 0010 00000007 0001 0008 00000052", 4, 0, 0 },          /* A higher version with a bitmap that has ours. */
        { "06 00 0008 00000007", 4, 0, 0 },                             /* The smaller of the two. */
        { "04 00 0008 00000007", 4, 0, 0 },
        { "ff 00 0008 00000007", 4, 0, 0 },                             /* "Experimental" in the ONF's words, and larger all the same. */
        { "01 00 0008 00000007", 0, OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE },
        { "04 00 0010 00000007 0001 0008 00000002", 0, OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE },
        { "04 05 0008 00000007", 0, OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE },
        { "04 00 000c 00000007 0001 0003", 0, OFPET_BAD_REQUEST, OFPBRC_BAD_LEN },
        { "04 00 0004 00000007", 0, OFPET_BAD_REQUEST, OFPBRC_BAD_LEN },
        { "47455420 2f204854 54502f31 2e310d0a", 0, OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE },  /* "GET / HTTP/1.1" */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig r;
        uint8_t in[400];
        rig_init(&r);
        int fd = raw_connect(stream_listener_port(r.listener));
        raw_send_hex(fd, cases[i].hello);
        if (cases[i].version) {
            CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_up, 1));
            CU_ASSERT_EQUAL(of_conn_version(r.server->conn), cases[i].version);
        } else {
            size_t n = raw_read(r.base, fd, in, sizeof in);     /* Until it closes. */
            unsigned hello = of_frame_length(in, n);
            struct of_msg msg;
            CU_ASSERT_TRUE_FATAL(n > hello + 12 && in[1] == OFPT_HELLO && of_frame_length(in + hello, n - hello) == n - hello);
            CU_ASSERT_TRUE_FATAL(of_ok(of_decode(in + hello, n - hello, &msg)));
            CU_ASSERT_EQUAL(msg.error.error.type, cases[i].type);
            CU_ASSERT_EQUAL(msg.error.error.code, cases[i].code);
            CU_ASSERT_TRUE(msg.error.size > 10 && msg.version <= OF13_VERSION);
            of_msg_fini(&msg);
            CU_ASSERT_EQUAL(r.server->n_up, 0);
            CU_ASSERT_EQUAL(r.server->n_down, 1);
        }
        close(fd);
        rig_fini(&r);
    }
}

static void test_errors_live(void)
{
    struct rig r;
    uint8_t in[256];
    rig_init(&r);
    int fd = raw_connect(stream_listener_port(r.listener));
    raw_send_hex(fd, "04 00 0008 00000001");
    CU_ASSERT_EQUAL(raw_read(r.base, fd, in, 16), 16);                  /* Its hello. */
    raw_send_hex(fd, "04 63 0008 00000002");                            /* Unknown type. */
    CU_ASSERT_EQUAL_FATAL(raw_read(r.base, fd, in, 20), 20);
    CU_ASSERT_EQUAL(memcmp(in, (uint8_t[]) { 4, 1, 0, 20, 0, 0, 0, 2, 0, OFPET_BAD_REQUEST, 0, OFPBRC_BAD_TYPE, 4, 0x63, 0, 8, 0, 0, 0, 2 }, 20), 0);
    raw_send_hex(fd, "05 05 0008 00000003");                            /* Another version. */
    CU_ASSERT_EQUAL_FATAL(raw_read(r.base, fd, in, 20), 20);
    CU_ASSERT_TRUE(in[0] == 4 && in[9] == OFPET_BAD_REQUEST && in[11] == OFPBRC_BAD_VERSION);
    raw_send_hex(fd, "04 01 0008 00000004");                            /* A malformed error: never answered. */
    raw_send_hex(fd, "04 02 000c 00000005 61626364");                   /* Echo, in two pieces. */
    CU_ASSERT_EQUAL_FATAL(raw_read(r.base, fd, in, 12), 12);
    CU_ASSERT_EQUAL(memcmp(in, (uint8_t[]) { 4, 3, 0, 12, 0, 0, 0, 5, 'a', 'b', 'c', 'd' }, 12), 0);
    raw_send_hex(fd, "04 02 00");
    loop_for(r.base, 20);
    raw_send_hex(fd, "08 00000006 04 02");
    CU_ASSERT_EQUAL(raw_read(r.base, fd, in, 8), 8);
    CU_ASSERT_EQUAL(in[7], 6);
    struct of_conn_counters counters;
    of_conn_counters(r.server->conn, &counters);
    CU_ASSERT_EQUAL(counters.rx_errors, 3);
    raw_send_hex(fd, "0004 00000007");                                  /* Completes a header with a length of 4: the end. */
    CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_down, 1));
    close(fd);
    rig_fini(&r);
}

static void test_reconnect(void)
{
    struct rig r;
    struct of_conn_options options = { .versions = OF13_BIT, .max_backoff_ms = 60 };
    struct err err = ERR_INIT;
    char listen[40];
    rig_init(&r);
    rig_connect(&r, &options);
    CU_ASSERT_TRUE_FATAL(loop_until(r.base, &r.client->n_up, 1) && loop_until(r.base, &r.server->n_up, 1));
    snprintf(listen, sizeof listen, "ptcp:%u:127.0.0.1", stream_listener_port(r.listener));
    stream_listener_close(r.listener);
    of_conn_close(r.server->conn);
    r.server->conn = NULL;
    CU_ASSERT_TRUE(loop_until(r.base, &r.client->n_down, 3));           /* And refused twice. */
    CU_ASSERT_FALSE(of_conn_is_up(r.client->conn));
    r.listener = stream_listen(r.base, listen, NULL, on_accept, &r, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.listener);
    CU_ASSERT_TRUE(loop_until(r.base, &r.client->n_up, 2));
    struct of_conn_counters counters;
    of_conn_counters(r.client->conn, &counters);
    CU_ASSERT_TRUE(counters.reconnects >= 3);
    rig_fini(&r);
}

/* A peer that says hello and then nothing gets an echo request, and is given up when that is not answered. */
static void test_keep_alive(void)
{
    struct rig r;
    uint8_t in[64];
    rig_init(&r);
    r.options.echo_interval_ms = 60;
    int fd = raw_connect(stream_listener_port(r.listener));
    raw_send_hex(fd, "04 00 0008 00000001");
    CU_ASSERT_EQUAL(raw_read(r.base, fd, in, 24), 24);
    CU_ASSERT_EQUAL(in[17], OFPT_ECHO_REQUEST);
    raw_send_hex(fd, "04 03 0008 00000009");                            /* Once it is. */
    CU_ASSERT_EQUAL(raw_read(r.base, fd, in, 8), 8);
    CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_down, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.server->why, "echo"));
    close(fd);
    fd = raw_connect(stream_listener_port(r.listener));                 /* No hello at all. */
    CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_down, 2));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.server->why, "HELLO"));
    close(fd);
    rig_fini(&r);
}

/* Two of_conns keep each other up. */
static void test_keep_alive_both(void)
{
    struct rig r;
    rig_init(&r);
    r.options.echo_interval_ms = 20;
    rig_connect(&r, &r.options);
    loop_for(r.base, 300);
    CU_ASSERT_TRUE(r.client->n_up == 1 && r.client->n_down == 0 && r.server->n_down == 0);
    rig_fini(&r);
}

/* While the owner does not want to read, nothing is delivered; then everything, in order, also what had arrived already. */
static void test_pause(void)
{
    struct rig r;
    struct of_msg msg;
    rig_init(&r);
    rig_connect(&r, &r.options);
    CU_ASSERT_TRUE_FATAL(loop_until(r.base, &r.client->n_up, 1) && loop_until(r.base, &r.server->n_up, 1));
    of_conn_read_enable(r.server->conn, false);
    for (uint32_t i = 1; i <= 40; i++) {
        of_msg_init(&msg, OFPT_BARRIER_REQUEST, 1000 + i);
        of_conn_send(r.client->conn, &msg);
    }
    loop_for(r.base, 50);
    CU_ASSERT_EQUAL(r.server->n_messages, 0);
    of_conn_read_enable(r.server->conn, true);
    for (uint32_t i = 1; i <= 40; i++) {
        msg = of_peer_take(r.base, r.server);
        CU_ASSERT_EQUAL(msg.xid, 1000 + i);
    }
    rig_fini(&r);
}

/* A peer that asks and does not read the answers is not read from either: the backlog is bounded. */
static void test_backpressure(void)
{
    enum { N = 3000, SIZE = 8192 };
    struct rig r;
    uint8_t hello[16], *in = xmalloc(N * (size_t) SIZE);
    struct buf out = BUF_INIT;
    rig_init(&r);
    r.options.max_backlog = 256 << 10;
    int fd = raw_connect(stream_listener_port(r.listener));
    raw_send_hex(fd, "04 00 0008 00000001");
    CU_ASSERT_EQUAL(raw_read(r.base, fd, hello, 16), 16);
    struct of_msg echo;
    of_msg_init(&echo, OFPT_ECHO_REQUEST, 5);
    echo.echo.size = SIZE - OF_HEADER_SIZE;
    echo.echo.data = xcalloc(1, echo.echo.size);
    for (unsigned i = 0; i < N; i++) {
        of_encode(&echo, &out);
    }
    of_msg_fini(&echo);
    size_t sent = 0, largest = 0;
    for (unsigned idle = 0; sent < out.size && idle < 100; ) {
        ssize_t n = send(fd, out.data + sent, out.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t) n : 0;
        idle = n > 0 ? 0 : idle + 1;
        loop_for(r.base, 1);
        largest = MAX(largest, of_conn_backlog(r.server->conn));
    }
    CU_ASSERT_TRUE(sent < out.size);                                    /* It stopped reading … */
    CU_ASSERT_TRUE(largest > r.options.max_backlog && largest <= r.options.max_backlog + SIZE);
    size_t got = 0;
    while (got < out.size) {                                            /* … and goes on when the answers are taken. */
        ssize_t n = send(fd, out.data + sent, out.size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t) n : 0;
        size_t part = raw_read(r.base, fd, in + got, MIN(out.size - got, (size_t) SIZE));
        if (!part) {
            break;
        }
        got += part;
    }
    CU_ASSERT_EQUAL(got, out.size);
    CU_ASSERT_TRUE(r.server->n_drained > 0);
    close(fd);
    free(in);
    buf_fini(&out);
    rig_fini(&r);
}

static void test_close_in_callbacks(void)
{
    for (unsigned i = 0; i < 3; i++) {
        struct rig r;
        struct of_msg msg;
        rig_init(&r);
        r.server->close_on_up = i == 0;
        r.server->close_on_message = i == 1;
        r.server->close_on_down = i == 2;
        rig_connect(&r, &r.options);
        CU_ASSERT_TRUE_FATAL(loop_until(r.base, &r.client->n_up, 1) && loop_until(r.base, &r.server->n_up, 1));
        if (i == 1) {
            for (unsigned j = 0; j < 3; j++) {
                of_msg_init(&msg, OFPT_BARRIER_REQUEST, 0);
                of_conn_send(r.client->conn, &msg);
            }
            CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_messages, 1));
        }
        if (i == 2) {
            of_conn_close(r.client->conn);
            r.client->conn = NULL;
            CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_down, 1));
        }
        loop_for(r.base, 20);
        CU_ASSERT_PTR_NULL(r.server->conn);
        CU_ASSERT_EQUAL(r.server->n_messages, i == 1);
        rig_fini(&r);
    }
}

static uint64_t now_of(void *now_ns)
{
    return *(uint64_t *) now_ns;
}

/* However long it takes, a connection has had as much time as its clock says. */
static void test_clock(void)
{
    enum { ECHO_MS = 10 };
    uint64_t now_ns = 5;
    struct rig r;
    rig_init(&r);
    r.options.clock = (struct clock) { now_of, &now_ns };
    r.options.echo_interval_ms = ECHO_MS;
    int fd = raw_connect(stream_listener_port(r.listener));
    CU_ASSERT_TRUE(loop_until(r.base, &r.n_accepted, 1));
    loop_for(r.base, 6 * ECHO_MS);
    CU_ASSERT_EQUAL(r.server->n_down, 0);
    now_ns += 3 * ECHO_MS * 1000000 / 2 - 1;
    loop_for(r.base, 6 * ECHO_MS);
    CU_ASSERT_EQUAL(r.server->n_down, 0);
    now_ns++;
    CU_ASSERT_TRUE(loop_until(r.base, &r.server->n_down, 1));
    CU_ASSERT_STRING_EQUAL(r.server->why, "the peer sent no OFPT_HELLO");
    close(fd);
    rig_fini(&r);
}

static void test_bad_target(void)
{
    struct event_base *base = event_base_new();
    struct of_conn_options options = { .versions = OF13_BIT };
    struct err err = ERR_INIT;
    CU_ASSERT_PTR_NULL(of_conn_connect(base, "tcp:nowhere.example", NULL, &options, &of_peer_ops, NULL, &err));
    CU_ASSERT_NOT_EQUAL(err.code, ERR_NONE);
    event_base_free(base);
}

void of_conn_test_suite(void)
{
    UNIT_SUITE("of_conn", { "up", test_up }, { "negotiation", test_negotiation }, { "errors and fragments", test_errors_live },
               { "reconnect", test_reconnect }, { "keep-alive", test_keep_alive }, { "keep-alive of both", test_keep_alive_both },
               { "pause", test_pause }, { "backpressure", test_backpressure }, { "close in callbacks", test_close_in_callbacks },
               { "the clock's time", test_clock }, { "bad target", test_bad_target });
}
