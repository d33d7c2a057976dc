#include "lib/stream_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <event2/event.h>
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn stream_test_suite;

static void end_connected(struct stream *s, void *end_)
{
    struct end *e = end_;
    e->connected = true;
    if (e->close_in_connected) {
        e->s = NULL;
        stream_close(s);
    }
}

static long end_readable(struct stream *s, const uint8_t *data, size_t size, void *end_)
{
    struct end *e = end_;
    size_t used = e->quantum ? size - size % e->quantum : size;
    e->offered = size;
    if (e->close_in_readable) {
        e->s = NULL;
        stream_close(s);
        return -1;
    }
    buf_put(&e->got, data, used);
    return (long) used;
}

static void end_drained(struct stream *s UNUSED, void *end_)
{
    ((struct end *) end_)->n_drained++;
}

static void end_closed(struct stream *s UNUSED, const char *why, void *end_)
{
    struct end *e = end_;
    e->closed = true;
    e->n_closed++;
    str_copy(e->why, sizeof e->why, why);
}

const struct stream_ops end_ops = { end_connected, end_readable, end_drained, end_closed };

static void rig_accept(struct stream *s, void *rig_)
{
    struct rig *r = rig_;
    CU_ASSERT_PTR_NULL(r->server.s);
    r->server.s = s;
    r->server.connected = true;
    stream_set_ops(s, &end_ops, &r->server);
}

void rig_init(struct rig *r, const char *listen, struct tls_config *tls)
{
    struct err err = ERR_INIT;
    *r = (struct rig) { .base = event_base_new() };
    r->listener = stream_listen(r->base, listen, tls, rig_accept, r, &err);
    if (!r->listener) {
        printf("%s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->listener);
}

static bool rig_connect_to(struct rig *r, const char *target, struct tls_config *tls)
{
    struct err err = ERR_INIT;
    r->client.s = stream_connect(r->base, target, tls, &end_ops, &r->client, &err);
    if (!r->client.s) {
        printf("%s\n", err.message);
    }
    CU_ASSERT_FALSE(r->client.connected);       /* Only from the loop. */
    return r->client.s != NULL;
}

bool rig_connect(struct rig *r, struct tls_config *tls)
{
    char target[64];
    snprintf(target, sizeof target, "%s:127.0.0.1:%u", tls ? "tls" : "tcp", stream_listener_port(r->listener));
    return rig_connect_to(r, target, tls);
}

void rig_fini(struct rig *r)
{
    stream_close(r->client.s);
    stream_close(r->server.s);
    stream_listener_close(r->listener);
    buf_fini(&r->client.got);
    buf_fini(&r->server.got);
    event_base_free(r->base);
}

void rig_run_for(struct rig *r, unsigned ms)
{
    struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    event_base_loopexit(r->base, &tv);
    event_base_loop(r->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

bool rig_run_until(struct rig *r, const bool *flag)
{
    struct clock c = clock_monotonic();
    uint64_t end = clock_now_ns(&c) + UINT64_C(5000000000);
    while (!*flag && clock_now_ns(&c) < end) {
        rig_run_for(r, 2);
    }
    return *flag;
}

bool rig_run_until_got(struct rig *r, struct end *e, size_t bytes)
{
    struct clock c = clock_monotonic();
    uint64_t end = clock_now_ns(&c) + UINT64_C(5000000000);
    while (e->got.size < bytes && !e->closed && clock_now_ns(&c) < end) {
        rig_run_for(r, 2);
    }
    return e->got.size >= bytes;
}

static void start(struct rig *r)
{
    rig_init(r, "ptcp:0:127.0.0.1", NULL);
    CU_ASSERT_FATAL(rig_connect(r, NULL));
    CU_ASSERT_FATAL(rig_run_until(r, &r->client.connected) && rig_run_until(r, &r->server.connected));
}

static void test_targets(void)
{
    static const char *const targets[] = { "tcp:127.0.0.1:6653", "tls:localhost:1", "ssl:[::1]:65535", "unix:/x", "unix:relative" };
    static const char *const listeners[] = { "ptcp:0", "ptcp:6653:127.0.0.1", "ptls:6654:[::1]", "pssl:1:localhost", "punix:/x" };
    static const char *const bad[] = { "", "tcp", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:127.0.0.1:0", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:0x10",
                                       "tcp:example.org:1", "tcp:::1:1", "tcp:[::1:1", "tcp:[127.0.0.1]:1", "tcp:1", "unix:", "udp:1.2.3.4:5", "TCP:127.0.0.1:1",
                                       "tcp:127.0.0.1:99999999999", "tcp:127.0.0.1: 1" };
    static const char *const bad_listeners[] = { "ptcp:", "ptcp:x", "ptcp:1:", "ptcp:1:host", "ptcp:65536", "punix:", "tcp:127.0.0.1:1", "ptcp:1:::1" };
    struct err err;
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        CU_ASSERT_TRUE(stream_target_valid(targets[i], false, &err));
        CU_ASSERT_FALSE(stream_target_valid(targets[i], true, &err));
    }
    for (size_t i = 0; i < ARRAY_SIZE(listeners); i++) {
        CU_ASSERT_TRUE(stream_target_valid(listeners[i], true, &err));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        err = ERR_INIT;
        CU_ASSERT_FALSE(stream_target_valid(bad[i], false, &err));
        CU_ASSERT(err.code == ERR_INVALID && err.message[0] && err.hint[0]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_listeners); i++) {
        CU_ASSERT_FALSE(stream_target_valid(bad_listeners[i], true, &err));
    }
    char path[200] = "unix:/";
    memset(path + 6, 'x', 106);
    CU_ASSERT_TRUE(stream_target_valid(path, false, &err));
    path[112] = 'x';
    CU_ASSERT_FALSE(stream_target_valid(path, false, &err));
}

static void test_tcp(void)
{
    struct rig r;
    char want[64];
    unsigned uid;
    start(&r);
    snprintf(want, sizeof want, "tcp:127.0.0.1:%u", stream_listener_port(r.listener));
    CU_ASSERT_STRING_EQUAL(stream_peer(r.client.s), want);
    CU_ASSERT_EQUAL(strncmp(stream_peer(r.server.s), "tcp:127.0.0.1:", 14), 0);
    CU_ASSERT_FALSE(stream_peer_uid(r.client.s, &uid));
    stream_write(r.client.s, "hello ", 6);
    stream_write(r.client.s, "world", 5);
    CU_ASSERT_EQUAL(stream_backlog(r.client.s), 11);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 11));
    CU_ASSERT_EQUAL(r.server.offered, 11);              /* Both writes in one. */
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.server.got), "hello world");
    CU_ASSERT_EQUAL(stream_backlog(r.client.s), 0);
    stream_write(r.server.s, "answer", 6);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.client, 6));
    rig_fini(&r);
}

static void test_unix(void)
{
    char dir[] = "/tmp/polder-stream-XXXXXX", listen[64], target[64];
    struct rig r;
    struct stat st;
    struct err err = ERR_INIT;
    unsigned uid = 12345;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(listen, sizeof listen, "punix:%s/s", dir);
    snprintf(target, sizeof target, "unix:%s/s", dir);
    rig_init(&r, listen, NULL);
    CU_ASSERT(!stat(target + 5, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660);
    CU_ASSERT(!stream_listen(r.base, listen, NULL, rig_accept, &r, &err) && err.code == ERR_CONFLICT);
    /* That attempt has connected to see whether anybody listens, and has gone again. */
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    stream_close(r.server.s);
    r.server = (struct end) { .s = NULL };

    CU_ASSERT_FATAL(rig_connect_to(&r, target, NULL));
    stream_write(r.client.s, "early", 5);               /* Before it is connected. */
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 5));
    CU_ASSERT_TRUE(r.client.connected);
    CU_ASSERT_STRING_EQUAL(stream_peer(r.client.s), target);
    CU_ASSERT_STRING_EQUAL(stream_peer(r.server.s), "unix:(client)");
    CU_ASSERT(stream_peer_uid(r.server.s, &uid) && uid == geteuid());
    rig_fini(&r);
    CU_ASSERT(stat(target + 5, &st) == -1 && errno == ENOENT);

    /* A file left by a process that died is taken over; one that is no socket is not. */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    str_copy(un.sun_path, sizeof un.sun_path, target + 5);
    CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *) (void *) &un, sizeof un), 0);
    close(fd);
    rig_init(&r, listen, NULL);
    /* What another process puts in its place is not unlinked. */
    CU_ASSERT_EQUAL(unlink(target + 5), 0);
    FILE *f = fopen(target + 5, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fclose(f);
    CU_ASSERT(!stream_listen(r.base, listen, NULL, rig_accept, &r, &err) && err.code == ERR_CONFLICT);
    rig_fini(&r);
    CU_ASSERT_EQUAL(unlink(target + 5), 0);
    CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void test_refused(void)
{
    struct rig r;
    char target[64];
    struct err err = ERR_INIT;
    rig_init(&r, "ptcp:0:127.0.0.1", NULL);
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", stream_listener_port(r.listener));
    stream_listener_close(r.listener);
    r.listener = NULL;
    CU_ASSERT_FATAL(rig_connect_to(&r, target, NULL));
    stream_write(r.client.s, "x", 1);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.closed));
    CU_ASSERT_STRING_EQUAL(r.client.why, "cannot connect: Connection refused");
    CU_ASSERT_FALSE(r.client.connected);
    stream_write(r.client.s, "x", 1);                   /* No effect any more. */
    CU_ASSERT_EQUAL(stream_backlog(r.client.s), 0);
    stream_close(r.client.s);

    r.client = (struct end) { .s = NULL };              /* connect() fails at once, the owner hears of it later. */
    CU_ASSERT_FATAL(rig_connect_to(&r, "unix:/nonexistent/socket", NULL));
    CU_ASSERT_FALSE(r.client.closed);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.closed));
    CU_ASSERT_STRING_EQUAL(r.client.why, "cannot connect: No such file or directory");
    stream_close(r.client.s);
    r.client.s = NULL;
    CU_ASSERT_EQUAL(r.client.n_closed, 1);

    CU_ASSERT_PTR_NULL(stream_connect(r.base, "tls:127.0.0.1:1", NULL, &end_ops, &r.client, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "TLS"));
    CU_ASSERT_PTR_NULL(stream_connect(r.base, "tcp:nowhere", NULL, &end_ops, &r.client, &err));
    CU_ASSERT_PTR_NULL(stream_listen(r.base, "punix:/nonexistent/socket", NULL, rig_accept, &r, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "No such file"));
    CU_ASSERT_PTR_NULL(stream_listen(r.base, "ptcp:0:192.0.2.1", NULL, rig_accept, &r, &err));
    rig_fini(&r);
}

static void test_close(void)
{
    struct rig r;
    start(&r);
    stream_write(r.client.s, "last words", 10);
    stream_close(r.client.s);                           /* What the kernel takes at once still goes. */
    r.client.s = NULL;
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.server.got), "last words");
    CU_ASSERT_STRING_EQUAL(r.server.why, "the peer closed the connection");
    CU_ASSERT_EQUAL(r.server.n_closed, 1);
    rig_fini(&r);

    start(&r);                                          /* In a callback. */
    r.server.close_in_readable = true;
    stream_write(r.client.s, "x", 1);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.closed));
    CU_ASSERT_PTR_NULL(r.server.s);
    CU_ASSERT_EQUAL(r.server.n_closed, 0);              /* No callback follows a close. */
    rig_fini(&r);

    rig_init(&r, "ptcp:0:127.0.0.1", NULL);
    r.client.close_in_connected = true;
    CU_ASSERT_FATAL(rig_connect(&r, NULL));
    stream_write(r.client.s, "x", 1);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_PTR_NULL(r.client.s);
    rig_fini(&r);
}

/* The part of an offer that is left comes again with more, and again when reading is enabled anew. */
static void test_partial(void)
{
    struct rig r;
    start(&r);
    r.server.quantum = 4;
    stream_write(r.client.s, "abcdef", 6);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 4));
    stream_write(r.client.s, "gh", 2);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, 8));
    CU_ASSERT_EQUAL(r.server.offered, 4);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.server.got), "abcdefgh");
    stream_write(r.client.s, "xyz", 3);
    rig_run_for(&r, 20);
    CU_ASSERT(r.server.offered == 3 && r.server.got.size == 8);
    stream_read_enable(r.server.s, false);
    r.server.quantum = 0;
    stream_close(r.client.s);                           /* Data that wait come before the end. */
    r.client.s = NULL;
    rig_run_for(&r, 20);
    CU_ASSERT_FALSE(r.server.closed);
    stream_read_enable(r.server.s, true);
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.closed));
    CU_ASSERT_STRING_EQUAL(buf_cstr(&r.server.got), "abcdefghxyz");
    rig_fini(&r);
}

/* One who floods: is read a little at a time, and what he is told gathers. */
static void test_read_size_and_cork(void)
{
    static uint8_t bytes[10000];
    struct rig r;
    start(&r);
    stream_set_read_size(r.server.s, 512);
    stream_write(r.client.s, bytes, sizeof bytes);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, sizeof bytes));
    CU_ASSERT_EQUAL(r.server.offered, sizeof bytes % 512);      /* The last one. */
    stream_cork(r.server.s, true);
    stream_write(r.server.s, bytes, 100);
    rig_run_for(&r, 20);
    CU_ASSERT_EQUAL(r.client.got.size, 0);
    stream_cork(r.server.s, false);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.client, 100));
    stream_cork(r.server.s, true);
    stream_write(r.server.s, bytes, sizeof bytes);              /* Much: it does not wait. */
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.client, 100 + sizeof bytes));
    rig_fini(&r);
}

static void test_backpressure(void)
{
    enum { CHUNK = 1 << 16 };
    static uint8_t chunk[CHUNK];
    struct rig r;
    size_t sent = 0, backlog;
    start(&r);
    stream_read_enable(r.server.s, false);
    stream_set_low_mark(r.client.s, 100000);
    for (int i = 0; i < 400; i++) {                     /* 25 MB, more than the kernel's buffers hold. */
        memset(chunk, i, sizeof chunk);
        stream_write(r.client.s, chunk, sizeof chunk);
        sent += sizeof chunk;
    }
    rig_run_for(&r, 100);
    backlog = stream_backlog(r.client.s);
    CU_ASSERT(backlog > 1 << 20 && backlog < sent);     /* Nobody reads: it stays with us. */
    CU_ASSERT(r.client.n_drained == 0 && r.server.got.size == 0);
    stream_read_enable(r.server.s, true);
    CU_ASSERT_TRUE(rig_run_until_got(&r, &r.server, sent));
    rig_run_for(&r, 5);
    CU_ASSERT(r.client.n_drained == 1 && stream_backlog(r.client.s) == 0);
    for (size_t i = 0; i < sent; i += CHUNK / 2) {
        if (r.server.got.data[i] != (uint8_t) (i / CHUNK)) {
            CU_FAIL("bytes out of order");
            break;
        }
    }
    rig_fini(&r);
}

static void stop_listening(struct stream *s, void *rig_)
{
    struct rig *r = rig_;
    rig_accept(s, r);
    stream_listener_close(r->listener);
    r->listener = NULL;
}

static void test_listener_closes_in_accept(void)
{
    struct rig r = { .base = event_base_new() };
    struct err err = ERR_INIT;
    r.listener = stream_listen(r.base, "ptcp:0", NULL, stop_listening, &r, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.listener);
    CU_ASSERT_FATAL(rig_connect(&r, NULL));
    CU_ASSERT_TRUE(rig_run_until(&r, &r.server.connected));
    CU_ASSERT_PTR_NULL(r.listener);
    rig_fini(&r);
}

static void count_accept(struct stream *s, void *n)
{
    ++*(unsigned *) n;
    stream_close(s);
}

/* Many peers at once are accepted turn by turn, so that nobody else waits for all of them. */
static void test_accepts_in_turns(void)
{
    enum { PEERS = 5 };
    struct event_base *base = event_base_new();
    struct err err = ERR_INIT;
    unsigned n = 0;
    int fds[PEERS];
    struct stream_listener *listener = stream_listen(base, "ptcp:0:127.0.0.1", NULL, count_accept, &n, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
    const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t) stream_listener_port(listener)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (unsigned i = 0; i < PEERS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_EQUAL_FATAL(connect(fds[i], (const struct sockaddr *) (const void *) &at, sizeof at), 0);
    }
    for (unsigned i = 1; i <= PEERS; i++) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        CU_ASSERT_EQUAL(n, i);
    }
    for (unsigned i = 0; i < PEERS; i++) {
        close(fds[i]);
    }
    stream_listener_close(listener);
    event_base_free(base);
}

static void test_ipv6(void)
{
    struct rig r = { .base = event_base_new() };
    struct err err = ERR_INIT;
    char target[64];
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    r.listener = stream_listen(r.base, "ptcp:0:[::1]", NULL, rig_accept, &r, &err);
    if (fd >= 0) {
        close(fd);
    }
    if (!r.listener) {          /* A host without IPv6 must say so. */
        CU_ASSERT(fd < 0 || strstr(err.message, "Cannot assign requested address"));
        event_base_free(r.base);
        return;
    }
    snprintf(target, sizeof target, "tcp:[::1]:%u", stream_listener_port(r.listener));
    CU_ASSERT_FATAL(rig_connect_to(&r, target, NULL));
    CU_ASSERT_TRUE(rig_run_until(&r, &r.client.connected) && rig_run_until(&r, &r.server.connected));
    CU_ASSERT_STRING_EQUAL(stream_peer(r.client.s), target);
    CU_ASSERT_EQUAL(strncmp(stream_peer(r.server.s), "tcp:[::1]:", 10), 0);
    rig_fini(&r);
}

void stream_test_suite(void)
{
    UNIT_SUITE("stream", { "targets", test_targets }, { "tcp", test_tcp }, { "unix", test_unix }, { "refused", test_refused },
               { "close", test_close }, { "partial reads", test_partial }, { "backpressure", test_backpressure },
               { "little at a time", test_read_size_and_cork },
               { "listener closed while accepting", test_listener_closes_in_accept }, { "peers at once", test_accepts_in_turns }, { "IPv6", test_ipv6 });
}
