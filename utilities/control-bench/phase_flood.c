/*
 * Phases about a bad neighbour: tenant 0's latency while tenant 1 floods, beside that while it does not.
 *
 * Both are measured in short turns, in the order flood, quiet, quiet, flood and so on, so that they are of the same seconds of a machine on which others
 * work.  The flood is made between samples, in this thread, as much as controllerd takes: it has the flood to read all the time, and making it costs no
 * sample anything.  A sample still counts what the flood's rules cost the simulated switch, and what the flood leaves in this CPU's caches: the direct
 * lane shows the latter.  Before a quiet turn begins, all of the flood is answered; its samples come as slowly as those of the flood (a CPU that has
 * slept for longer wakes up more slowly).
 */
#include "utilities/control-bench/control_sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>

#include "lib/json.h"
#include "lib/target.h"
#include "utilities/control-bench/phase.h"

enum {
    TURN_SAMPLES = 300,
    WARM_SAMPLES = 30,          /* At the beginning of each turn, not counted. */
    WINDOW = 64,                /* Batches, each with a barrier, that may be open. */
    FLOW_MODS_A_BATCH = 64, GARBAGE_A_BATCH = 64,
    PACKET_INS_A_TURN = 256,    /* Before each sample. */
    CONNECT_EVERY = 4,          /* Samples: some thousands a second. More, and the kernel's work for them is seen, wherever they go. */
    N_CONNECTIONS = 64,         /* The oldest is cut off when there would be more. */
    FLOOD_KEYS = 4096,
    MAX_CATCH_UP = 16,          /* Turns of the loop. */
    GARBAGE_SIZE = 64,
};

struct flood {
    void (*make)(struct bench *, struct flood *);       /* Some, if there is room. */
    struct packet_source source;
    bool unmetered;
    struct target at;           /* Of reconnections. */
    int fds[N_CONNECTIONS];     /* -1: none. */
    unsigned open;              /* Tenant 1's barriers. */
    uint64_t n;                 /* Messages, or connections. */
    uint64_t made, making_ns;   /* Calls of make, and the time they took. */
    struct rng rng;
};

void flood_barrier(struct bench *b)
{
    if (b->flood && b->flood->open) {
        b->flood->open--;
    }
}

void flood_gone(struct bench *b)
{
    if (b->flood) {
        b->flood->open = 0;
    }
}

/* NULL: controllerd has thrown it out; it will come again. */
static struct tenant_conn *flooder(struct bench *b)
{
    return tenant_switch(b->tenants, 1, 0, DIRECT_DPID);
}

static bool has_neighbour(struct bench *b, void *aux UNUSED)
{
    return b->tenants->n > 1 && flooder(b);
}

/* --- What a flood is --- */

static void make_flow_mods(struct bench *b, struct flood *f)
{
    struct tenant_conn *tc = flooder(b);
    if (tc && f->open < WINDOW) {
        for (unsigned i = 0; i < FLOW_MODS_A_BATCH; i++, f->n++) {
            tenant_add(tc, (uint32_t) (f->n % FLOOD_KEYS), 1 + f->n / FLOOD_KEYS % 2);
        }
        tenant_barrier(tc);
        f->open++;
    }
}

static void make_packet_ins(struct bench *b UNUSED, struct flood *f)
{
    for (unsigned i = 0; i < PACKET_INS_A_TURN; i++, f->n++) {
        packet_source_send(&f->source);
    }
}

static void make_questions(struct bench *b, struct flood *f)
{
    struct tenant_conn *tc = flooder(b);
    struct of_msg msg;
    if (tc) {
        of_conn_read_enable(tc->conn, false);
    }
    if (tc && f->open < WINDOW) {
        of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
        msg.multipart.type = OFPMP_FLOW;
        of_flow_filter_init(&msg.multipart.filter);
        of_conn_send(tc->conn, &msg);
        f->n++;
        tenant_barrier(tc);
        f->open++;
    }
}

/* Messages of every type, with a header that is right and a body that is noise: most can be decoded no further than that. */
static void make_garbage(struct bench *b, struct flood *f)
{
    struct tenant_conn *tc = flooder(b);
    uint8_t message[GARBAGE_SIZE] = { OF13_VERSION };
    if (tc && f->open < WINDOW) {
        for (unsigned i = 0; i < GARBAGE_A_BATCH; i++, f->n++) {
            static const uint8_t types[] = { OFPT_FLOW_MOD, OFPT_GROUP_MOD, OFPT_METER_MOD, OFPT_PACKET_OUT, OFPT_MULTIPART_REQUEST, 99 };
            for (unsigned j = 4; j < GARBAGE_SIZE; j++) {
                message[j] = (uint8_t) rng_below(&f->rng, 256);
            }
            message[1] = types[f->n % ARRAY_SIZE(types)];
            wire_put16(message + 2, GARBAGE_SIZE);
            of_conn_send_encoded(tc->conn, message, GARBAGE_SIZE, 1);
        }
        tenant_barrier(tc);
        f->open++;
    }
}

/* Connects, greets, and is gone again: with a reset, so that no port is left waiting. */
static void make_connections(struct bench *b UNUSED, struct flood *f)
{
    static const uint8_t hello[] = { OF13_VERSION, OFPT_HELLO, 0, 8, 0, 0, 0, 1 };
    const struct linger reset = { 1, 0 };
    if (f->made % CONNECT_EVERY == 0) {
        int *fd = &f->fds[f->n++ % N_CONNECTIONS];
        if (*fd >= 0) {
            setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            close(*fd);
        }
        *fd = socket(f->at.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (*fd >= 0) {
            connect(*fd, (const struct sockaddr *) (const void *) &f->at.addr, f->at.addr_len);
            send(*fd, hello, sizeof hello, MSG_NOSIGNAL);       /* Fails when nobody has room for another connection: that one does nothing. */
        }
    }
}

static void end_connections(struct flood *f)
{
    for (unsigned i = 0; i < N_CONNECTIONS; i++) {
        if (f->fds[i] >= 0) {
            close(f->fds[i]);
        }
        f->fds[i] = -1;
    }
}

/* --- Turns --- */

/* Each sample, exactly: the two sides are to be compared to a few percent. */
struct samples { uint64_t *ns; unsigned n; uint64_t *p99_of_turns; unsigned n_turns; };
struct side { struct samples lanes[N_LANES]; };

static int compare(const void *a_, const void *b_)
{
    const uint64_t *a = a_, *b = b_;
    return *a < *b ? -1 : *a > *b;
}

static bool is_answered(struct bench *b, void *f_)
{
    const struct flood *f = f_;
    return flooder(b) && !f->open;
}

/* Until nothing of the flood is on its way. */
static bool settle(struct bench *b, struct flood *f, struct err *err)
{
    struct tenant_conn *tc = flooder(b);
    end_connections(f);
    if (tc) {
        of_conn_read_enable(tc->conn, true);
        tenant_barrier(tc);
        f->open++;
    }
    return bench_wait(b, is_answered, f, WAIT_NS, false) || err_set(err, ERR_TIMEOUT, NULL, "the flood does not end");
}

static uint64_t quantile(uint64_t *ns, unsigned n, double share)
{
    qsort(ns, n, sizeof *ns, compare);
    return ns[MIN((unsigned) (share * n), n - 1)];
}

/* The switch and the tenants' controllers do what has come for them: each would have a CPU of its own, and not begin a sample with a queue. */
static void catch_up(struct bench *b)
{
    uint64_t before = UINT64_MAX;
    for (unsigned i = 0; i < MAX_CATCH_UP && before != b->net->switches[0]->n_changed; i++) {
        before = b->net->switches[0]->n_changed;
        event_base_loop(b->base, EVLOOP_NONBLOCK);
    }
}

/* What happens before each sample. */
static void between(struct bench *b, struct flood *f, bool flooding)
{
    const uint64_t begun = bench_now();
    if (flooding) {
        f->make(b, f);
        f->made++;
        f->making_ns += bench_now() - begun;
    } else {
        while (bench_now() - begun < f->making_ns / f->made) { }
    }
    catch_up(b);
}

static bool turn(struct bench *b, struct flood *f, bool flooding, struct side *side, struct err *err)
{
    struct latency *l = xcalloc(2, sizeof *l);
    bool ok = true;
    for (unsigned i = 0; ok && i < WARM_SAMPLES + TURN_SAMPLES; i++) {
        for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
            struct samples *s = &side->lanes[lane];
            between(b, f, flooding);
            l[1].sum = 0;
            ok = sample_flow_mod(b, lane, SAMPLE_KEY + i, &l[0], &l[1], err);
            if (i >= WARM_SAMPLES) {
                s->ns[s->n++] = l[1].sum;
            }
        }
    }
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        struct samples *s = &side->lanes[lane];
        s->p99_of_turns[s->n_turns++] = quantile(s->ns + s->n - TURN_SAMPLES, TURN_SAMPLES, 0.99);
    }
    free(l);
    return ok;
}

static void print(struct side *side, cJSON *result, const char *key)
{
    cJSON *object = json_add_object(result, key);
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        struct samples *s = &side->lanes[lane];
        cJSON *o = json_add_object(object, lane_name(lane));
        cJSON_AddNumberToObject(o, "p50", (double) quantile(s->ns, s->n, 0.5) / 1e3);
        cJSON_AddNumberToObject(o, "p99", (double) quantile(s->ns, s->n, 0.99) / 1e3);
        cJSON_AddNumberToObject(o, "max", (double) s->ns[s->n - 1] / 1e3);
        cJSON_AddNumberToObject(o, "median_p99", (double) quantile(s->p99_of_turns, s->n_turns, 0.5) / 1e3);
    }
}

static struct side *sides_new(uint64_t n_turns)
{
    struct side *sides = xcalloc(2, sizeof *sides);
    for (unsigned i = 0; i < 2 * N_LANES; i++) {
        sides[i / N_LANES].lanes[i % N_LANES] = (struct samples) {
            .ns = xcalloc(n_turns * TURN_SAMPLES, sizeof(uint64_t)), .p99_of_turns = xcalloc(n_turns, sizeof(uint64_t)),
        };
    }
    return sides;
}

static void sides_free(struct side *sides)
{
    for (unsigned i = 0; i < 2 * N_LANES; i++) {
        free(sides[i / N_LANES].lanes[i % N_LANES].ns);
        free(sides[i / N_LANES].lanes[i % N_LANES].p99_of_turns);
    }
    free(sides);
}

static bool run(struct bench *b, struct flood *f, uint64_t n, cJSON *result, struct err *err)
{
    struct side *sides = sides_new(MAX(n, 1u));
    uint64_t spent = 0;
    bool ok = bench_check_lanes(b, err);
    b->flood = f;
    for (uint64_t i = 0; ok && i < 2 * MAX(n, 1u); i++) {
        const bool flooding = i % 4 == 0 || i % 4 == 3;
        const uint64_t begun = bench_now();
        ok = turn(b, f, flooding, &sides[flooding], err);
        spent += flooding ? bench_now() - begun : 0;
        ok = ok && settle(b, f, err);
    }
    end_connections(f);
    if (ok) {
        print(&sides[false], result, "quiet");
        print(&sides[true], result, "flood");
        cJSON_AddNumberToObject(result, "flooded_per_second", (double) f->n * 1e9 / (double) spent);
    }
    b->flood = NULL;
    sides_free(sides);
    return ok;
}

/* --- Phases --- */

static bool begin(struct bench *b, struct flood *f, void (*make)(struct bench *, struct flood *), struct err *err)
{
    *f = (struct flood) { .make = make };
    rng_seed(&f->rng, 1);
    memset(f->fds, -1, sizeof f->fds);
    if (!b->o->openflow || b->tenants->n < 2) {
        return err_set(err, ERR_USAGE, NULL, "a flood needs controllerd and --tenants 2");
    }
    return bench_wait(b, has_neighbour, NULL, WAIT_NS, false) || err_set(err, ERR_TIMEOUT, NULL, "tenant 1 has no switch");
}

bool phase_flood_flow_mods(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    return begin(b, &f, make_flow_mods, err) && run(b, &f, n, result, err);
}

bool phase_flood_stall(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    if (!begin(b, &f, make_questions, err)) {
        return false;
    }
    for (uint32_t i = 0; i < FLOOD_KEYS; i++) {         /* So that there is much to tell. */
        tenant_add(flooder(b), i, 1);
    }
    return run(b, &f, n, result, err);
}

bool phase_flood_garbage(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    return begin(b, &f, make_garbage, err) && run(b, &f, n, result, err);
}

bool phase_flood_reconnect(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    return begin(b, &f, make_connections, err)
           && (b->o->flood_at ? target_parse(b->o->flood_at, false, &f.at, err) : err_set(err, ERR_USAGE, NULL, "nothing to connect to without --flood-at"))
           && run(b, &f, n, result, err);
}

static bool has_source(struct bench *b, void *f)
{
    return packet_source_find(b, LANE_SLICE, &((struct flood *) f)->source);
}

static bool flood_packets(struct bench *b, bool metered, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    if (!begin(b, &f, make_packet_ins, err)) {
        return false;
    }
    tenant_miss(flooder(b));
    if (!bench_wait(b, has_source, &f, WAIT_NS, false)) {
        return err_set(err, ERR_TIMEOUT, NULL, "no frame of tenant 1's machine becomes a packet-in");
    }
    if (metered && !f.source.packet.meter_id) {
        return err_set(err, ERR_FAILED, NULL, "controllerd has given packet-ins no meter");
    }
    f.source.packet.meter_id = metered ? f.source.packet.meter_id : 0;
    const uint64_t passed = f.source.sw->n_packet_ins;
    bool ok = run(b, &f, n, result, err);
    json_add_u64(result, "passed", f.source.sw->n_packet_ins - passed);
    return ok;
}

bool phase_flood_packet_ins(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_packets(b, true, n, result, err);
}

bool phase_flood_unmetered(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_packets(b, false, n, result, err);
}
