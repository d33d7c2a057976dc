/*
 * Rule sets that other switches take at full speed and that this cache once could not: each has to be known after its first packets.  That what is
 * replayed is right is the test mode's to say, which is on in all of them.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"

unit_suite_fn cache_cliff_test_suite;

static struct fixture *begin(void)
{
    struct fixture *fx = XNEW(struct fixture);
    fixture_init(fx);
    dp_set_cache(fx->dp, 1 << 20, true);
    return fx;
}

static void end(struct fixture *fx)
{
    struct dp_cache_stats stats;
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    fixture_fini(fx);
    free(fx);
}

/* Hits among n packets of one flow, those that ran live not counted. */
static unsigned replayed(struct fixture *fx, unsigned n, const char *flow)
{
    struct dp_cache_stats before, after;
    dp_cache_stats(fx->dp, 1, &before);
    for (unsigned i = 0; i < n; i++) {
        fixture_receive_flow(fx, 1, flow);
    }
    dp_cache_stats(fx->dp, 1, &after);
    return (unsigned) (after.hits - before.hits - (after.guided - before.guided));
}

/* Through so many tables, each of which is also looked up a second time; the key is as wide as it gets. */
static void test_long_walks(void)
{
    static const struct { unsigned n_tables; bool twice, cached; } cases[] = { { 5, false, true }, { 38, false, true }, { 38, true, true }, { 60, true, true }, { 70, true, false } };
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        struct fixture *fx = begin();
        char text[200];
        for (unsigned t = 0; t < cases[k].n_tables; t++) {
            snprintf(text, sizeof text, "table=%u,priority=1,%sactions=%s%sgoto_table:%u", t, t ? "" : "ip,", cases[k].twice ? "resubmit(,200)," : "", t ? "" : "dec_ttl,", t + 1);
            fixture_add(fx, text);
        }
        snprintf(text, sizeof text, "table=%u,priority=1,actions=output:2", cases[k].n_tables);
        fixture_add(fx, text);
        fixture_add(fx, "table=200,priority=1,actions=load:1->NXM_NX_REG0[]");
        fixture_add(fx, "table=1,priority=5,arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02,actions=drop");
        fixture_add(fx, "table=1,priority=5,icmp6,icmpv6_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:01,actions=drop");
        fixture_add(fx, "table=1,priority=5,icmp6,icmpv6_type=136,nd_target=fe80::1,nd_tll=02:00:00:00:00:01,actions=drop");
        fixture_add(fx, "table=1,priority=5,tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,tp_src=1,tp_dst=2,tcp_flags=+syn,ipv6_label=5,actions=drop");
        fixture_add(fx, "table=1,priority=5,tcp,nw_src=10.9.9.9,nw_dst=10.9.9.8,nw_tos=32,vlan_tci=0x3005,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:08,actions=drop");
        fixture_receive_flow(fx, 1, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2");
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        dp_tick(fx->dp);
        fixture_receive_flow(fx, 1, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2");
        CU_ASSERT_EQUAL(replayed(fx, 10, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2"), cases[k].cached ? 10 : 0);
        /* Once such walks are gone, and rules with them, entries are small again. */
        struct dp_cache_stats stats;
        fixture_flow(fx, OFPFC_DELETE, 0, "table=200", NULL);
        fx->now_ns += UINT64_C(6000000000);
        dp_tick(fx->dp);
        dp_cache_stats(fx->dp, 1, &stats);
        CU_ASSERT_TRUE(stats.stride <= 16 + 8 * 24 + 4 * (CACHE_USUAL_IDS + 4));
        end(fx);
    }
}

enum { N_PROGRAMS = CACHE_MAX_PROGRAMS + 5000 };

static void add_programs(struct fixture *fx)
{
    char text[200];
    for (unsigned i = 0; i < N_PROGRAMS; i++) {
        snprintf(text, sizeof text, "priority=1,ip,nw_dst=10.0.%u.%u,actions=set_field:02:00:00:00:%02x:%02x->eth_dst,output:2", i >> 8, i & 255, i >> 8, i & 255);
        fixture_add(fx, text);
    }
}

/* More different things to do than programs: those that find no room are known as well, if more slowly. */
static void test_many_programs(void)
{
    struct fixture *fx = begin();
    struct dp_cache_stats stats, before;
    char text[200];
    add_programs(fx);
    for (unsigned round = 0; round < 9; round++) {
        dp_cache_stats(fx->dp, 1, &before);
        for (unsigned i = 0; i < N_PROGRAMS; i++) {
            snprintf(text, sizeof text, "ip,nw_dst=10.0.%u.%u", i >> 8, i & 255);
            fixture_receive_flow(fx, 1, text);
            CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
            CU_ASSERT_EQUAL(fx->out[0].data[4], i >> 8);
            CU_ASSERT_EQUAL(fx->out[0].data[5], i & 255);
        }
        dp_tick(fx->dp);
    }
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.hits - before.hits, N_PROGRAMS);
    CU_ASSERT_TRUE(stats.guided - before.guided > 0 && stats.guided - before.guided < 6000);
    end(fx);
}

/* There is room again when more have been turned away than there are flows, since most must be gone. */
static void test_programs_that_are_gone(void)
{
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats stats;
    char text[200];
    fixture_init(fx);
    dp_set_cache(fx->dp, 100, false);
    add_programs(fx);
    for (unsigned i = 0; i < 3 * N_PROGRAMS; i++) {
        snprintf(text, sizeof text, "ip,nw_dst=10.0.%u.%u", i / 3 >> 8, i / 3 & 255);
        fixture_receive_flow(fx, 1, text);
        CU_ASSERT_EQUAL(fx->out[0].data[5], i / 3 & 255);
    }
    CU_ASSERT_EQUAL(replayed(fx, 10, text), 10);
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.resets, 2);           /* One of them is the beginning. */
    fixture_fini(fx);
    free(fx);
}

void cache_cliff_test_suite(void)
{
    UNIT_SUITE("cache, cliffs", { "long walks", test_long_walks }, { "many programs", test_many_programs }, { "programs that are gone", test_programs_that_are_gone });
}
