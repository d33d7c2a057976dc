/*
 * Two poll-mode threads run packets while the control thread replaces, modifies and deletes everything under them.  No
 * packet may fall into a gap, none may leak, and every one is counted.  Under TSan this is also the proof that readers
 * and the writer share nothing but atomics.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/cache.h"
#include "vswitch/dp_private.h"

unit_suite_fn dp_stress_test_suite;

enum { N_POLL = 2, N_STEPS = 20000, ROOM = 64, N_PORTS = 256, PORT_OFS = 34 };

struct grave { void (*fn)(void *); void *arg; };

/* Per poll-mode thread; read by the control thread after the join only. */
struct poller { struct stress *stress; unsigned index; pthread_t thread; uint64_t received, sent, packet_ins, live; struct buf frame; _Atomic uint64_t turns; };

struct stress {
    struct dp *dp;
    struct poller pollers[N_POLL + 1];
    struct grave *graves;               /* Control thread only. */
    size_t n_graves, room;
    _Atomic bool stop;
    bool vary;                          /* Source ports 0 to N_PORTS - 1 in turn. Written before the threads start. */
};

static struct packet *packet_new(struct dp_thread *t, const uint8_t *data, uint32_t len, void *s)
{
    struct packet *p = xmalloc(sizeof *p + ROOM + len);
    *p = (struct packet) { .data = (uint8_t *) (p + 1) + ROOM, .len = len, .headroom = ROOM };
    memcpy(p->data, data, len);
    ((struct stress *) s)->pollers[dp_thread_index(t)].live++;
    return p;
}

static void packet_free(struct dp_thread *t, struct packet *p, void *s)
{
    ((struct stress *) s)->pollers[dp_thread_index(t)].live--;
    free(p);
}

static void output(struct dp_thread *t, struct packet *p, uint32_t port UNUSED, void *s)
{
    ((struct stress *) s)->pollers[dp_thread_index(t)].sent++;
    packet_free(t, p, s);
}

static void output_batch(struct dp_thread *t, struct packet **packets, unsigned n, uint32_t port, void *s)
{
    for (unsigned i = 0; i < n; i++) {
        output(t, packets[i], port, s);
    }
}

static struct packet *copy(struct dp_thread *t, const struct packet *p, void *s)
{
    return packet_new(t, p->data, p->len, s);
}

static bool packet_in(struct dp_thread *t, const struct packet *p UNUSED, const struct flow *f UNUSED, uint64_t cookie UNUSED, uint8_t table UNUSED, uint8_t reason UNUSED,
                      const struct dp_controller *controller UNUSED, void *s)
{
    ((struct stress *) s)->pollers[dp_thread_index(t)].packet_ins++;
    return true;
}

/* Nothing is freed before the readers have gone: their grace period is the whole test. */
static void defer(void (*fn)(void *), void *arg, void *s_)
{
    struct stress *s = s_;
    if (s->n_graves == s->room) {
        s->room = MAX(1024, 2 * s->room);
        s->graves = xrealloc(s->graves, s->room * sizeof s->graves[0]);
    }
    s->graves[s->n_graves++] = (struct grave) { fn, arg };
}

static void compose(struct poller *me)
{
    struct match m;
    struct err err = ERR_INIT;
    if (!match_parse("tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_src=1000,tcp_dst=80,nw_ttl=64", &m, &err)) {
        abort();
    }
    packet_compose(&m.value.flow, &me->frame, 10);
}

static void poll_once(struct poller *me)
{
    struct stress *s = me->stress;
    struct dp_thread *t = dp_thread(s->dp, me->index);
    struct packet *batch[8];
    for (unsigned i = 0; i < ARRAY_SIZE(batch); i++) {
        if (s->vary) {
            me->frame.data[PORT_OFS] = 0;
            me->frame.data[PORT_OFS + 1] = (uint8_t) (me->received + i);
        }
        batch[i] = packet_new(t, me->frame.data, (uint32_t) me->frame.size, s);
    }
    dp_receive(t, batch, ARRAY_SIZE(batch), me->index, me->received + 1);
    me->received += ARRAY_SIZE(batch);
}

static void *poll_thread(void *poller)
{
    struct poller *me = poller;
    while (!atomic_load_explicit(&me->stress->stop, memory_order_relaxed)) {
        poll_once(me);
        atomic_fetch_add_explicit(&me->turns, 1, memory_order_relaxed);
    }
    return NULL;
}

static void flow_mod(struct stress *s, enum of_flow_command command, uint8_t table, uint16_t priority, const char *match, const char *actions)
{
    struct of_flow_mod fm;
    struct err err = ERR_INIT;
    of_flow_mod_init(&fm);
    fm.command = command;
    fm.table_id = table;
    fm.priority = priority;
    CU_ASSERT_TRUE(match_parse(match, &fm.match, &err));
    CU_ASSERT_TRUE(instructions_parse(actions, &fm.instructions, &err));
    CU_ASSERT_TRUE(of_ok(flow_tables_mod(dp_flows(s->dp), &fm)));
    instructions_fini(&fm.instructions);
}

static void group_mod(struct stress *s, enum of_group_command command, uint8_t type, uint32_t id, unsigned n_buckets)
{
    struct of_group_mod gm = { .command = command, .group_id = id, .type = type, .n_buckets = n_buckets };
    gm.buckets = xcalloc(n_buckets, sizeof gm.buckets[0]);
    for (unsigned i = 0; i < n_buckets; i++) {
        gm.buckets[i] = (struct of_bucket) { .weight = type == OFPGT_SELECT, .watch_port = type == OFPGT_FF ? 3 + i : OFPP_ANY, .watch_group = OFPG_ANY };
        actions_init(&gm.buckets[i].actions);
        actions_output(&gm.buckets[i].actions, 3 + i);
    }
    CU_ASSERT_TRUE(of_ok(group_table_mod(dp_groups(s->dp), &gm)));
    of_buckets_free(gm.buckets, gm.n_buckets);
}

static void disturb(struct stress *s, struct rng *rng)
{
    char match[64];
    static const uint8_t types[] = { OFPGT_ALL, OFPGT_SELECT, OFPGT_FF, OFPGT_INDIRECT };
    switch (rng_below(rng, 6)) {
    case 0: flow_mod(s, OFPFC_ADD, 0, 1, "", "goto_table:1"); break;
    case 1: flow_mod(s, OFPFC_ADD, 1, 5, "tcp", rng_below(rng, 2) ? "group:1" : "write_actions(group:1)"); break;
    case 2: flow_mod(s, OFPFC_MODIFY_STRICT, 1, 5, "tcp", rng_below(rng, 2) ? "push_vlan:0x8100,output:4" : "dec_ttl,CONTROLLER,output:3"); break;
    case 3: {
        uint8_t type = types[rng_below(rng, 4)];
        group_mod(s, OFPGC_MODIFY, type, 1, type == OFPGT_INDIRECT ? 1 : 2);
        break;
    }
    case 4:
        dp_port_set(s->dp, 5 + rng_below(rng, 3), 0, rng_below(rng, 2));
        dp_port_remove(s->dp, 5 + rng_below(rng, 3));
        break;
    default:
        /* Rules that do not match, of many masks, come and go beside. */
        snprintf(match, sizeof match, "reg%u=%u/0x%x", rng_below(rng, 4), 1 + rng_below(rng, 50), 0xff + 0x100 * rng_below(rng, 3));
        flow_mod(s, rng_below(rng, 2) ? OFPFC_ADD : OFPFC_DELETE_STRICT, (uint8_t) rng_below(rng, 2), (uint16_t) (10 + rng_below(rng, 30)), match, "drop");
        break;
    }
}

static void start_pollers(struct stress *s)
{
    for (unsigned i = 1; i <= N_POLL; i++) {
        s->pollers[i].stress = s;
        s->pollers[i].index = i;
        s->pollers[i].frame = (struct buf) BUF_INIT;
        compose(&s->pollers[i]);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&s->pollers[i].thread, NULL, poll_thread, &s->pollers[i]), 0);
    }
}

/* Until each thread has begun and ended a batch, or does not get to it. */
static void wait_for_turns(struct stress *s)
{
    for (unsigned i = 1; i <= N_POLL; i++) {
        uint64_t turns = atomic_load_explicit(&s->pollers[i].turns, memory_order_relaxed);
        for (unsigned spins = 0; atomic_load_explicit(&s->pollers[i].turns, memory_order_relaxed) == turns && (!turns || spins < 1000); spins++) {
            if (!turns) {
                sched_yield();
            }
        }
    }
}

/* What was deferred may defer more. */
static void finish(struct stress *s)
{
    for (size_t i = 0; i < s->n_graves; i++) {
        s->graves[i].fn(s->graves[i].arg);
    }
    dp_free(s->dp);
    free(s->graves);
    for (unsigned i = 1; i <= N_POLL; i++) {
        buf_fini(&s->pollers[i].frame);
    }
}

static void test_stress(void)
{
    static const struct dp_ops ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = packet_free, .packet_in = packet_in, .defer = defer };
    struct stress *s = XNEW(struct stress);
    struct rng rng;
    uint64_t received = 0, delivered = 0, packets, bytes;
    rng_seed(&rng, unit_seed());
    s->dp = dp_new(N_POLL + 1, 10000, 100, clock_monotonic(), &ops, s);
    dp_set_cache(s->dp, 1000, false);
    for (uint32_t port = 1; port <= 4; port++) {
        dp_port_set(s->dp, port, 0, true);
    }
    group_mod(s, OFPGC_ADD, OFPGT_ALL, 1, 2);
    flow_mod(s, OFPFC_ADD, 0, 1, "", "goto_table:1");
    flow_mod(s, OFPFC_ADD, 1, 5, "tcp", "group:1");
    start_pollers(s);
    for (unsigned step = 0; step < N_STEPS; step++) {
        disturb(s, &rng);
    }
    atomic_store(&s->stop, true);
    for (unsigned i = 1; i <= N_POLL; i++) {
        pthread_join(s->pollers[i].thread, NULL);
        received += s->pollers[i].received;
        delivered += s->pollers[i].sent + s->pollers[i].packet_ins;
        CU_ASSERT_EQUAL(s->pollers[i].live, 0);
    }
    CU_ASSERT_TRUE(received > 0 && delivered >= received);
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        CU_ASSERT_EQUAL(dp_drops(s->dp, 0, reason), 0);
    }
    /* Adds that replaced kept the counters: each packet is in them once. */
    struct match m;
    match_init(&m);
    const struct flow_entry *e = flow_tables_find(dp_flows(s->dp), 0, 1, &m);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    struct of_flow_stats stats;
    flow_entry_stats(dp_flows(s->dp), e, &stats);
    packets = stats.packet_count;
    bytes = stats.byte_count;
    of_flow_stats_fini(&stats);
    CU_ASSERT_EQUAL(packets, received);
    CU_ASSERT_EQUAL(bytes, received * 64);
    finish(s);
    free(s);
}

/* Table 0 marks packets with a number, table 1 knows that number only, by way of a group that is new each time: whoever saw a part of a bundle would drop. */
static void test_bundles(void)
{
    static const struct dp_ops ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = packet_free, .packet_in = packet_in, .defer = defer };
    struct stress *s = XNEW(struct stress);
    uint64_t received = 0, sent = 0;
    char match[32], actions[64];
    s->dp = dp_new(N_POLL + 1, 10000, 100, clock_monotonic(), &ops, s);
    dp_set_cache(s->dp, 1000, false);
    for (uint32_t port = 1; port <= 4; port++) {
        dp_port_set(s->dp, port, 0, true);
    }
    group_mod(s, OFPGC_ADD, OFPGT_INDIRECT, 1, 1);
    flow_mod(s, OFPFC_ADD, 0, 1, "", "set_field:1->reg0,resubmit(,1)");
    flow_mod(s, OFPFC_ADD, 1, 1, "reg0=1", "group:1");
    start_pollers(s);
    for (unsigned step = 2; step < N_STEPS / 10; step++) {
        bool good = step % 3;
        dp_bundle_begin(s->dp);
        flow_tables_begin(dp_flows(s->dp));
        group_table_begin(dp_groups(s->dp));
        group_mod(s, OFPGC_DELETE, OFPGT_ALL, 1, 0);
        flow_mod(s, OFPFC_DELETE, 1, 0, "", "drop");
        group_mod(s, OFPGC_ADD, step % 2 ? OFPGT_INDIRECT : OFPGT_SELECT, 1, 1);
        snprintf(match, sizeof match, "reg0=%u", step);
        flow_mod(s, OFPFC_ADD, 1, 1, match, "group:1");
        snprintf(actions, sizeof actions, "set_field:%u->reg0,resubmit(,1)", step);
        flow_mod(s, step % 2 ? OFPFC_ADD : OFPFC_MODIFY, 0, 1, "", actions);
        if (good) {
            dp_bundle_commit(s->dp);
            group_table_commit(dp_groups(s->dp));
            flow_tables_commit(dp_flows(s->dp));
        } else {
            dp_bundle_abort(s->dp);
            group_table_abort(dp_groups(s->dp));
            flow_tables_abort(dp_flows(s->dp));
        }
    }
    atomic_store(&s->stop, true);
    for (unsigned i = 1; i <= N_POLL; i++) {
        pthread_join(s->pollers[i].thread, NULL);
        received += s->pollers[i].received;
        sent += s->pollers[i].sent;
        CU_ASSERT_EQUAL(s->pollers[i].live, 0);
    }
    CU_ASSERT_TRUE(received > 0);
    CU_ASSERT_EQUAL(sent, received);
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        CU_ASSERT_EQUAL(dp_drops(s->dp, 0, reason), 0);
    }
    finish(s);
    free(s);
}

/* Rules that tell apart what was one class come while packets of both parts are looked up: no thread keeps an entry for the wrong part. */
static void test_classes(void)
{
    static const struct dp_ops ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = packet_free, .packet_in = packet_in, .defer = defer };
    struct stress *s = XNEW(struct stress);
    struct rng rng;
    struct dp_cache_stats stats;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 60; round++) {
        memset(s, 0, sizeof *s);
        s->vary = true;
        s->dp = dp_new(N_POLL + 1, 10000, 100, clock_monotonic(), &ops, s);
        s->dp->cache->lanes.on = true;
        dp_set_cache(s->dp, 1000, false);
        for (uint32_t port = 1; port <= 4; port++) {
            dp_port_set(s->dp, port, 0, true);
        }
        flow_mod(s, OFPFC_ADD, 0, 1, "", "output:3");
        flow_mod(s, OFPFC_ADD, 0, 1, "tcp,tcp_src=65535", "drop");
        start_pollers(s);
        wait_for_turns(s);
        for (unsigned step = 0; step < 60; step++) {
            char match[64];
            snprintf(match, sizeof match, "tcp,tcp_src=%u/0x%x", rng_below(&rng, N_PORTS), 0xffffu << rng_below(&rng, 3) & 0xffff);
            flow_mod(s, OFPFC_ADD, 0, 1, "", "output:3");       /* What was known of all others is out of date: it is written down anew meanwhile. */
            flow_mod(s, OFPFC_ADD, 0, (uint16_t) (2 + step), match, step % 2 ? "output:4" : "drop");
            wait_for_turns(s);
        }
        atomic_store(&s->stop, true);
        for (unsigned i = 1; i <= N_POLL; i++) {
            pthread_join(s->pollers[i].thread, NULL);
        }
        dp_set_cache(s->dp, 1000, true);        /* The same plan: what was cached is held against the tables. */
        atomic_store(&s->stop, false);
        for (unsigned i = 1; i <= N_POLL; i++) {
            uint64_t until = s->pollers[i].received + N_PORTS;
            dp_cache_stats(s->dp, i, &stats);
            uint64_t resets = stats.resets;
            while (s->pollers[i].received < until) {
                poll_once(&s->pollers[i]);
            }
            dp_cache_stats(s->dp, i, &stats);
            CU_ASSERT_EQUAL(stats.lanes, 1);
            CU_ASSERT_EQUAL(stats.resets, resets);
            CU_ASSERT_EQUAL(stats.mismatches, 0);
            CU_ASSERT_EQUAL(s->pollers[i].live, 0);
        }
        finish(s);
    }
    free(s);
}

void dp_stress_test_suite(void)
{
    UNIT_SUITE("dp under change", { "bundles are seen whole", test_bundles }, { "no gap, no leak, every packet counted", test_stress },
               { "classes are split under lookups", test_classes });
}
