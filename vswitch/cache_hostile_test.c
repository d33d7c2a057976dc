/* The cache against traffic and rules that are meant to hurt it, and one that a key without its shape word gets wrong. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"
#include "vswitch/packet.h"

unit_suite_fn cache_hostile_test_suite;

enum { N_KNOWN = 400, N_FLOOD = 200000, N_BACK = 20000, N_MASKS = 1500, N_COLLIDING = 200, MAC_OFS = 8, IP_OFS = 26, PORT_OFS = 34, TTL_OFS = 22 };
#define KNOWN UINT32_C(0x0a000000)
#define FLOOD UINT32_C(0x0b000000)
#define BACK UINT32_C(0x0c000000)

/* Of a UDP frame: nothing here looks at checksums. */
static void set_bytes(struct buf *frame, unsigned at, uint32_t value)
{
    frame->data[at] = (uint8_t) (value >> 24);
    frame->data[at + 1] = (uint8_t) (value >> 16);
    frame->data[at + 2] = (uint8_t) (value >> 8);
    frame->data[at + 3] = (uint8_t) value;
}

/* Flows are told apart by the last four bytes of a MAC address, which has no classes. */
static void set_source(struct buf *frame, uint32_t number)
{
    set_bytes(frame, MAC_OFS, number);
}

/* One packet of each of n flows; the hits among them. */
static uint64_t pass(struct fixture *fx, struct buf *frame, uint32_t first, unsigned n)
{
    struct dp_cache_stats before, after;
    unsigned right = 0;
    dp_cache_stats(fx->dp, 1, &before);
    for (unsigned i = 0; i < n; i++) {
        set_source(frame, first + i);
        fixture_receive(fx, 1, frame->data, (uint32_t) frame->size);
        right += fx->n_out == 1 && fx->out[0].port == 2;
        if (i % 10000 == 9999) {
            fx->now_ns += 20000000;
            dp_tick(fx->dp);
        }
    }
    CU_ASSERT_EQUAL(right, n);
    dp_cache_stats(fx->dp, 1, &after);
    return after.hits - before.hits;
}

static struct fixture *begin(struct buf *frame)
{
    struct fixture *fx = XNEW(struct fixture);
    fixture_init(fx);
    dp_set_cache(fx->dp, 100000, false);
    fixture_add(fx, "priority=5,udp,dl_src=02:00:01:02:03:04,tp_src=7,actions=drop");
    fixture_add(fx, "priority=1,actions=output:2");
    fixture_compose("udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=9,tp_dst=9", frame);
    return fx;
}

/* Flows that never come back drive out none that do, and make nothing grow; flows that do come back are let in. */
static void test_flood(void)
{
    struct buf frame = BUF_INIT;
    struct fixture *fx = begin(&frame);
    struct dp_cache_stats before, after;
    pass(fx, &frame, KNOWN, N_KNOWN);
    CU_ASSERT_EQUAL(pass(fx, &frame, KNOWN, N_KNOWN), N_KNOWN);
    dp_cache_stats(fx->dp, 1, &before);
    pass(fx, &frame, FLOOD, N_FLOOD);
    dp_cache_stats(fx->dp, 1, &after);
    CU_ASSERT_EQUAL(after.n_flows, before.n_flows);
    CU_ASSERT_TRUE(after.evictions - before.evictions < 50);    /* Marks of 16 bits agree by chance: three times. */
    CU_ASSERT_TRUE(pass(fx, &frame, KNOWN, N_KNOWN) > N_KNOWN - 50);
    for (unsigned i = 0; i < 5; i++) {
        pass(fx, &frame, BACK, N_BACK);
    }
    dp_cache_stats(fx->dp, 1, &after);
    CU_ASSERT_TRUE(after.n_flows > before.n_flows);
    CU_ASSERT_TRUE(pass(fx, &frame, BACK, N_BACK) > N_BACK / 100 * 98);
    CU_ASSERT_TRUE(after.bytes <= 128 * after.n_flows + (4u << 20));
    buf_fini(&frame);
    fixture_fini(fx);
    free(fx);
}

/* Flows of one set (which nobody outside can find: the hash is keyed) lose each other's places, not other flows'. */
static void test_collisions(void)
{
    struct buf frame = BUF_INIT;
    struct fixture *fx = begin(&frame);
    const struct cache_plan *plan = atomic_load(&fx->dp->plan);
    const struct cache *c = &dp_thread(fx->dp, 1)->cache;
    pass(fx, &frame, KNOWN, N_KNOWN);
    uint32_t *colliding = xcalloc(N_COLLIDING, sizeof colliding[0]);
    unsigned n = 0;
    for (uint32_t address = FLOOD; n < N_COLLIDING; address++) {
        struct cache_key key;
        uint64_t hash;
        set_source(&frame, address);
        struct packet p = { .data = frame.data, .len = (uint32_t) frame.size }, *one = &p;
        cache_keys(plan, &one, 1, 1, &key, &hash);
        if (cache_bucket1(c, hash) == 0) {
            colliding[n++] = address;
        }
    }
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < n; i++) {
            pass(fx, &frame, colliding[i], 1);
        }
    }
    CU_ASSERT_TRUE(pass(fx, &frame, KNOWN, N_KNOWN) > N_KNOWN - 100);
    free(colliding);
    buf_fini(&frame);
    fixture_fini(fx);
    free(fx);
}

/* As many masks as rules: lookups of known flows do not notice, and walks are right. */
static void test_masks(void)
{
    struct fixture *cached = XNEW(struct fixture), *plain = XNEW(struct fixture);
    struct buf frame = BUF_INIT;
    struct rng rng;
    fixture_init(cached);
    fixture_init(plain);
    dp_set_cache(cached->dp, 1000, false);
    dp_set_cache(plain->dp, 0, false);
    rng_seed(&rng, unit_seed());
    for (unsigned i = 0; i < N_MASKS; i++) {
        char text[160];
        uint32_t mask = (uint32_t) rng_u64(&rng) & (uint32_t) rng_u64(&rng), value = (KNOWN | i % N_KNOWN) & mask;
        snprintf(text, sizeof text, "priority=%u,udp,nw_src=%u.%u.%u.%u/%u.%u.%u.%u,actions=output:%u", 10 + i, value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255,
                 mask >> 24, mask >> 16 & 255, mask >> 8 & 255, mask & 255, 2 + i % 3);
        fixture_add(cached, text);
        fixture_add(plain, text);
    }
    fixture_compose("udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=9,tp_dst=9", &frame);
    uint64_t hits = 0;
    for (unsigned round = 0; round < 3; round++) {
        hits = fixture_hits(cached);
        for (unsigned i = 0; i < N_KNOWN; i++) {
            set_bytes(&frame, IP_OFS, KNOWN + i * 7);
            fixture_receive(cached, 1, frame.data, (uint32_t) frame.size);
            fixture_receive(plain, 1, frame.data, (uint32_t) frame.size);
            CU_ASSERT_STRING_EQUAL(fixture_ports(cached), fixture_ports(plain));
        }
    }
    CU_ASSERT_EQUAL(fixture_hits(cached) - hits, N_KNOWN);
    buf_fini(&frame);
    fixture_fini(cached);
    fixture_fini(plain);
    free(cached);
    free(plain);
}

/* Two frames alike in every field that is read, one of them without the header that the action is for. */
static void test_shape(void)
{
    struct fixture *fx = XNEW(struct fixture);
    struct buf whole = BUF_INIT;
    fixture_init(fx);
    dp_set_cache(fx->dp, 1000, false);
    fixture_add(fx, "priority=5,ip,actions=dec_ttl,output:2");
    fixture_compose("ip,nw_proto=0,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64", &whole);
    for (unsigned i = 0; i < 2; i++) {
        fixture_receive(fx, 1, whole.data, (uint32_t) whole.size);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        CU_ASSERT_EQUAL(fx->out[0].data[TTL_OFS], 63);
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 1);
    fixture_receive(fx, 1, whole.data, TTL_OFS + 4);    /* Cut off behind the TTL: no header, so nothing to take it from. */
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
    CU_ASSERT_EQUAL(fx->out[0].data[TTL_OFS], 64);
    CU_ASSERT_EQUAL(fixture_hits(fx), 1);
    buf_fini(&whole);
    fixture_fini(fx);
    free(fx);
}

/* All flows that no rule tells apart are one, until one comes that does. */
static void test_classes(void)
{
    struct buf frame = BUF_INIT;
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats stats;
    fixture_init(fx);
    dp_set_cache(fx->dp, 1000, true);
    fixture_add(fx, "priority=5,udp,tp_src=7,actions=drop");
    fixture_add(fx, "priority=5,udp,nw_src=10.0.0.0/28,tp_dst=9,actions=output:3");
    fixture_add(fx, "priority=1,actions=output:2");
    fixture_compose("udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=9,tp_dst=9", &frame);
    for (unsigned i = 0; i < 50000; i++) {
        set_bytes(&frame, IP_OFS, KNOWN + i % 32);
        set_bytes(&frame, PORT_OFS, (1000 + i) << 16 | 9);
        fixture_receive(fx, 1, frame.data, (uint32_t) frame.size);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i % 32 < 16 ? "3" : "2");
    }
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.inserts, 2);
    set_bytes(&frame, IP_OFS, KNOWN + 31);
    for (unsigned port = 1000; port < 1400; port++) {   /* The first of these also stands for those that nobody asks for. */
        char text[80];
        snprintf(text, sizeof text, "priority=9,udp,tp_src=%u,actions=output:4", port);
        fixture_add(fx, text);
        for (unsigned other = port; other < port + 2; other++) {
            set_bytes(&frame, PORT_OFS, other << 16 | 9);
            fixture_receive(fx, 1, frame.data, (uint32_t) frame.size);
            CU_ASSERT_STRING_EQUAL(fixture_ports(fx), other == port ? "4" : "2");
        }
    }
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_TRUE(stats.inserts < 500);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    /* Far more than are kept apart: as without classes. */
    for (unsigned port = 2; port < 20000; port += 3) {
        char text[80];
        snprintf(text, sizeof text, "priority=8,udp,tp_src=%u,actions=output:3", port);
        fixture_add(fx, text);
    }
    for (unsigned i = 0; i < 3000; i++) {
        set_bytes(&frame, PORT_OFS, (2000 + i) << 16 | 9);
        fixture_receive(fx, 1, frame.data, (uint32_t) frame.size);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), (2000 + i) % 3 == 2 ? "3" : "2");
    }
    buf_fini(&frame);
    fixture_fini(fx);
    free(fx);
}

static void tell_apart(struct fixture *fx)
{
    fixture_add(fx, "priority=9,tcp,tp_src=20,actions=output:4");
}

/* A rule cuts a class in two between a packet's key and its walk: what the walk finds holds for its part only. */
static void test_split_in_batch(void)
{
    struct fixture *fx = XNEW(struct fixture);
    struct buf frames[3] = { BUF_INIT, BUF_INIT, BUF_INIT };
    struct packet *packets[2];
    fixture_init(fx);
    dp_set_cache(fx->dp, 1000, true);
    fixture_add(fx, "priority=5,tcp,tp_src=7,actions=CONTROLLER");
    fixture_add(fx, "priority=1,actions=output:2");
    fixture_compose("tcp,tp_src=7", &frames[0]);
    fixture_compose("tcp,tp_src=20", &frames[1]);
    fixture_compose("tcp,tp_src=21", &frames[2]);
    for (unsigned i = 0; i < 2; i++) {
        packets[i] = fixture_packet(fx, frames[i].data, (uint32_t) frames[i].size);
    }
    fx->on_packet_in = tell_apart;
    dp_receive(dp_thread(fx->dp, 1), packets, 2, 1, fx->now_ns);
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "4");
    fx->on_packet_in = NULL;
    for (unsigned i = 0; i < 4; i++) {
        const struct buf *frame = &frames[1 + i % 2];
        fixture_receive(fx, 1, frame->data, (uint32_t) frame->size);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i % 2 ? "2" : "4");
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 2);
    for (unsigned i = 0; i < 3; i++) {
        buf_fini(&frames[i]);
    }
    fixture_fini(fx);
    free(fx);
}

/* Source ports that never come back: after half a second all flows are one; a minute later it is tried without, which does not last, and then for longer. */
static void turns(unsigned tick_ms)
{
    enum { PER_MS = 13, SECONDS = 200 };
    struct buf frame = BUF_INIT;
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats stats, before = { .hits = 0 };
    unsigned n_on[2] = { 0, 0 }, n_turns = 0;
    fixture_init(fx);
    dp_set_cache(fx->dp, 1000, false);
    fixture_add(fx, "priority=5,udp,tp_src=7,actions=drop");
    fixture_add(fx, "priority=1,actions=output:2");
    fixture_compose("udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=9,tp_dst=9", &frame);
    unsigned n_ticks = SECONDS * 1000 / tick_ms, n = PER_MS * tick_ms;
    for (unsigned tick = 0; tick < n_ticks; tick++) {
        for (unsigned i = 0; i < n; i++) {
            set_bytes(&frame, PORT_OFS, (1000 + (tick * n + i) % 60000) << 16 | 9);
            fixture_receive(fx, 1, frame.data, (uint32_t) frame.size);
        }
        fx->now_ns += tick_ms * UINT64_C(1000000);
        dp_tick(fx->dp);
        dp_tick(fx->dp);                /* News of a link: it says nothing about the traffic. */
        dp_cache_stats(fx->dp, 1, &stats);
        n_turns += stats.lanes != before.lanes;
        n_on[tick >= n_ticks / 2] += stats.lanes != 0;
        if (before.lanes && stats.lanes && stats.hits - before.hits < n - 1) {
            CU_FAIL("misses with lanes");
        }
        before = stats;
    }
    CU_ASSERT_EQUAL(n_turns, 5);        /* On, off after a minute, on, off after two, on. */
    CU_ASSERT_TRUE(n_on[0] > n_ticks / 100 * 49 && n_on[1] > n_ticks / 100 * 49);
    /* Few flows: nothing speaks for it after the next trial. */
    for (unsigned tick = 0; tick < 6 * n_ticks && stats.lanes; tick++) {
        fixture_receive(fx, 1, frame.data, (uint32_t) frame.size);
        fx->now_ns += tick_ms * UINT64_C(1000000);
        dp_tick(fx->dp);
        dp_cache_stats(fx->dp, 1, &stats);
    }
    CU_ASSERT_EQUAL(stats.lanes, 0);
    buf_fini(&frame);
    fixture_fini(fx);
    free(fx);
}

/* Whatever the control thread's pace. */
static void test_turns(void)
{
    turns(20);
    turns(100);
}

void cache_hostile_test_suite(void)
{
    UNIT_SUITE("cache, hostile", { "flood", test_flood }, { "collisions", test_collisions }, { "masks", test_masks }, { "shape", test_shape },
               { "what no rule tells apart", test_classes }, { "a class cut in a batch", test_split_in_batch },
               { "only while it pays", test_turns });
}
