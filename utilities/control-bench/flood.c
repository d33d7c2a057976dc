/* See flood.h. */
#include "utilities/control-bench/flood.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    N_FLOODERS = 4,             /* Connections that flood at the same time. */
    SMALL_BUFFER = 4096,        /* A socket's: on loopback the flooder's kernel work for what waits there would be done by controllerd (README.md). */
    CHUNK = 16384,              /* At most so much at once. */
    GARBAGE_SIZE = 64, N_GARBAGE = 1024,
    PACKET_INS_AT_ONCE = 256,
};
#define MESSAGES_A_SECOND 1000000
#define PACKET_INS_A_SECOND 2000000
#define CONNECTIONS_A_SECOND 2000       /* At thirty thousand the kernel's own work for them moves the figures as much when they go to a port where nobody listens. */
#define AGAIN_NS UINT64_C(10000000)     /* A refused one tries again. */
#define STALL_NS UINT64_C(40000000)     /* 4 connections, 25 times a second: what a tenant's quota lets in. */

/* --- Connections --- */

static void cut(struct flood *f, unsigned i)
{
    const struct linger reset = { 1, 0 };
    if (f->fds[i] >= 0) {
        setsockopt(f->fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(f->fds[i]);
        f->fds[i] = -1;
    }
}

/* Connects and greets; what comes of it is the flood's own business. */
static void renew(struct flood *f, unsigned i)
{
    static const uint8_t hello[] = { OF13_VERSION, OFPT_HELLO, 0, 8, 0, 0, 0, 1 };
    const int size = SMALL_BUFFER;
    cut(f, i);
    int fd = socket(f->at.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        connect(fd, (const struct sockaddr *) (const void *) &f->at.addr, f->at.addr_len);
        send(fd, hello, sizeof hello, MSG_NOSIGNAL);    /* Fails when nobody has room for another connection: that one does nothing. */
    }
    f->fds[i] = fd;
    f->offsets[i] = 0;
}

static uint64_t n_due(struct flood *f)
{
    const uint64_t due = (bench_now() - f->begun_ns) * f->per_second / 1000000000, n = due - f->due;
    f->due = due;
    f->offered += n;
    return n;
}

static void make_connections(struct flood *f)
{
    for (uint64_t n = n_due(f); n; n--) {
        renew(f, f->next++ % f->n_connections);
    }
}

/* Some of what the connection has to say; the bytes that were taken. */
static size_t write_some(struct flood *f, unsigned i, size_t most)
{
    size_t left = f->bytes.size - f->offsets[i];
    ssize_t n = f->fds[i] < 0 ? -1 : send(f->fds[i], f->bytes.data + f->offsets[i], MIN(MIN(left, most), (size_t) CHUNK), MSG_NOSIGNAL);
    if (n <= 0) {
        return 0;
    }
    f->offsets[i] = (f->offsets[i] + (size_t) n) % f->bytes.size;
    return (size_t) n;
}

static void make_messages(struct flood *f)
{
    size_t left = n_due(f) * f->message_size;
    unsigned refused = 0;
    if (f->renew_ns && bench_now() - f->renewed_ns >= f->renew_ns / f->n_connections) {
        f->renewed_ns = bench_now();
        renew(f, f->next++ % f->n_connections);
    }
    while (left && refused < f->n_connections) {
        size_t n = write_some(f, f->next++ % f->n_connections, left);
        f->written_bytes += n;
        left -= n;
        refused = n ? 0 : refused + 1;
    }
}

static void make_packet_ins(struct flood *f)
{
    const uint64_t due = n_due(f), n = MIN(due, (uint64_t) PACKET_INS_AT_ONCE);
    f->offered -= due - n;      /* A switch has no frames to offer that it has not received. */
    for (uint64_t i = 0; i < n; i++) {
        packet_source_send(&f->source);
    }
}

/* --- What is said --- */

static void put_flow_mod(struct buf *out, uint32_t key, uint32_t port)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, 1);
    msg.version = OF13_VERSION;
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = OFPFC_ADD;
    msg.flow_mod.priority = 100;
    match_set_mac(&msg.flow_mod.match, FIELD_ETH_DST, mac_from_u64(TENANT_MAC(key)));
    msg.flow_mod.instructions.has_apply = true;
    actions_output(&msg.flow_mod.instructions.apply, port);
    of_encode(&msg, out);
    of_msg_fini(&msg);
}

static void put_question(struct buf *out)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 1);
    msg.version = OF13_VERSION;
    msg.multipart.type = OFPMP_FLOW;
    of_flow_filter_init(&msg.multipart.filter);
    of_encode(&msg, out);
    of_msg_fini(&msg);
}

/* Messages of many types, with a header that is right and a body that is noise: most can be decoded no further than that. */
static void put_garbage(struct buf *out, struct rng *rng, unsigned i)
{
    static const uint8_t types[] = { OFPT_FLOW_MOD, OFPT_GROUP_MOD, OFPT_METER_MOD, OFPT_PACKET_OUT, OFPT_MULTIPART_REQUEST, 99 };
    uint8_t message[GARBAGE_SIZE] = { OF13_VERSION, types[i % ARRAY_SIZE(types)], 0, GARBAGE_SIZE };
    for (unsigned j = 4; j < GARBAGE_SIZE; j++) {
        message[j] = (uint8_t) rng_below(rng, 256);
    }
    buf_put(out, message, sizeof message);
}

/* --- Kinds --- */

static void init(struct flood *f, void (*make)(struct flood *), const struct target *at, unsigned n_connections, uint64_t per_second)
{
    *f = (struct flood) { .make = make, .n_connections = n_connections, .per_second = per_second };
    if (at) {
        f->at = *at;
    }
    memset(f->fds, -1, sizeof f->fds);
    buf_init(&f->bytes);
}

void flood_init_flow_mods(struct flood *f, const struct target *at)
{
    init(f, make_messages, at, N_FLOODERS, MESSAGES_A_SECOND);
    for (uint32_t i = 0; i < 2 * FLOOD_KEYS; i++) {
        put_flow_mod(&f->bytes, i % FLOOD_KEYS, 1 + i / FLOOD_KEYS);    /* Each changes an entry. */
    }
    f->message_size = (unsigned) (f->bytes.size / (2 * FLOOD_KEYS));
}

void flood_init_questions(struct flood *f, const struct target *at)
{
    init(f, make_messages, at, N_FLOODERS, MESSAGES_A_SECOND);
    put_question(&f->bytes);
    f->message_size = (unsigned) f->bytes.size;
    f->renew_ns = STALL_NS;
}

void flood_init_garbage(struct flood *f, const struct target *at)
{
    struct rng rng;
    rng_seed(&rng, 1);
    init(f, make_messages, at, N_FLOODERS, MESSAGES_A_SECOND);
    for (unsigned i = 0; i < N_GARBAGE; i++) {
        put_garbage(&f->bytes, &rng, i);
    }
    f->message_size = GARBAGE_SIZE;
}

void flood_init_connections(struct flood *f, const struct target *at)
{
    init(f, make_connections, at, FLOOD_MAX_CONNECTIONS, CONNECTIONS_A_SECOND);
}

void flood_init_packet_ins(struct flood *f, const struct packet_source *source)
{
    init(f, make_packet_ins, NULL, 0, PACKET_INS_A_SECOND);
    f->source = *source;
    f->source.packet.in.data = f->source.frame;
}

void flood_fini(struct flood *f)
{
    flood_end(f);
    buf_fini(&f->bytes);
}

void flood_begin(struct flood *f)
{
    for (unsigned i = 0; f->message_size && i < f->n_connections; i++) {
        renew(f, i);
    }
}

bool flood_is_heard(struct flood *f)
{
    const bool may_renew = bench_now() - f->renewed_ns >= AGAIN_NS;
    bool heard = true;
    for (unsigned i = 0; f->message_size && i < f->n_connections; i++) {
        uint8_t hello;
        ssize_t n = recv(f->fds[i], &hello, sizeof hello, MSG_PEEK | MSG_DONTWAIT);
        if (n <= 0 && !(n < 0 && errno == EAGAIN) && may_renew) {
            f->renewed_ns = bench_now();
            renew(f, i);
        }
        heard &= n > 0;
    }
    return heard;
}

void flood_start(struct flood *f)
{
    f->begun_ns = f->renewed_ns = bench_now();
    f->due = 0;
}

void flood_make(struct flood *f, uint64_t until_ns)
{
    do {
        f->make(f);
    } while (bench_now() < until_ns);
}

void flood_end(struct flood *f)
{
    for (unsigned i = 0; i < FLOOD_MAX_CONNECTIONS; i++) {
        cut(f, i);
    }
}

void flood_put_entries(struct tenant_conn *tc)
{
    for (uint32_t i = 0; i < FLOOD_KEYS; i++) {
        tenant_add(tc, i, 1);
    }
}
