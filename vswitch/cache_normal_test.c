/*
 * OFPP_NORMAL from the cache: a step that asks the learning table for each packet.  What it does is what the executor does on a datapath without a cache, and it is a
 * replay, not a live walk, where nothing else becomes of the packet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/buf.h"
#include "tests/unit.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"

unit_suite_fn cache_normal_test_suite;

#define FROM(SRC, DST) "udp,dl_src=02:00:00:00:00:" SRC ",dl_dst=" DST ",nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2"
#define STATION(N) "02:00:00:00:00:" N

struct pair { struct fixture cached, plain; bool test_mode; };         /* test_mode: which copies, too. */

static struct pair *begin(bool test_mode)
{
    struct pair *p = XNEW(struct pair);
    p->test_mode = test_mode;
    fixture_init(&p->cached);
    fixture_init(&p->plain);
    dp_set_cache(p->cached.dp, 1 << 16, test_mode);
    dp_set_cache(p->plain.dp, 0, false);
    return p;
}

static void end(struct pair *p)
{
    struct dp_cache_stats stats;
    dp_cache_stats(p->cached.dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    fixture_fini(&p->cached);
    fixture_fini(&p->plain);
    free(p);
}

static void add(struct pair *p, const char *text)
{
    fixture_add(&p->cached, text);
    fixture_add(&p->plain, text);
}

static void set_port(struct pair *p, uint32_t port, uint32_t config)
{
    dp_port_set(p->cached.dp, port, config, true);
    dp_port_set(p->plain.dp, port, config, true);
}

/* Received on both, twice on the cached one, so that it knows the flow: the same ports, the same drop, the same bytes. */
static void check(struct pair *p, uint32_t in_port, const char *flow, const char *ports, const char *drop)
{
    fixture_receive_flow(&p->plain, in_port, flow);
    CU_ASSERT_STRING_EQUAL(fixture_ports(&p->plain), ports);
    CU_ASSERT_STRING_EQUAL(fixture_drop(&p->plain), drop);
    for (unsigned i = 0; i < 2; i++) {
        fixture_receive_flow(&p->cached, in_port, flow);
        CU_ASSERT_STRING_EQUAL(fixture_ports(&p->cached), ports);
        CU_ASSERT_STRING_EQUAL(fixture_drop(&p->cached), drop);
        CU_ASSERT_TRUE(p->test_mode || p->cached.n_copies == p->plain.n_copies);
        for (unsigned k = 0; k < p->plain.n_out; k++) {
            CU_ASSERT_EQUAL(p->cached.out[k].queue, p->plain.out[k].queue);
            CU_ASSERT_EQUAL(p->cached.out[k].len, p->plain.out[k].len);
            CU_ASSERT_TRUE(!memcmp(p->cached.out[k].data, p->plain.out[k].data, p->plain.out[k].len));
        }
    }
}

/* Of n more packets of a flow: replays. */
static unsigned replayed(struct fixture *fx, unsigned n, const char *flow)
{
    struct dp_cache_stats before, after;
    fixture_receive_flow(fx, 1, flow);
    dp_cache_stats(fx->dp, 1, &before);
    for (unsigned i = 0; i < n; i++) {
        fixture_receive_flow(fx, 1, flow);
    }
    dp_cache_stats(fx->dp, 1, &after);
    return (unsigned) (after.hits - before.hits - (after.guided - before.guided));
}

static void test_stations(void)
{
    struct pair *p = begin(false);
    add(p, "priority=1,actions=NORMAL");
    check(p, 1, FROM("01", STATION("02")), "2,3,4", "");
    check(p, 2, FROM("02", STATION("01")), "1", "");
    check(p, 1, FROM("01", STATION("02")), "2", "");
    check(p, 1, FROM("01", "ff:ff:ff:ff:ff:ff"), "2,3,4", "");
    check(p, 1, FROM("01", "01:00:5e:00:00:01"), "2,3,4", "");
    /* To itself, and to its own port. */
    check(p, 1, FROM("01", STATION("01")), "", "output-to-ingress");
    check(p, 1, FROM("03", STATION("01")), "", "output-to-ingress");
    /* It moves. */
    check(p, 3, FROM("02", STATION("01")), "1", "");
    check(p, 1, FROM("01", STATION("02")), "3", "");
    /* Ports. */
    set_port(p, 3, OFPPC_PORT_DOWN);
    check(p, 1, FROM("01", STATION("02")), "", "port-down");
    set_port(p, 3, OFPPC_NO_FWD);
    check(p, 1, FROM("01", STATION("02")), "", "port-config");
    check(p, 1, FROM("01", STATION("09")), "2,4", "");
    set_port(p, 3, OFPPC10_NO_FLOOD);
    check(p, 1, FROM("01", STATION("02")), "3", "");
    check(p, 1, FROM("01", STATION("09")), "2,4", "");
    set_port(p, 3, 0);
    set_port(p, 2, OFPPC_PORT_DOWN);
    set_port(p, 4, OFPPC_PORT_DOWN);
    set_port(p, 3, OFPPC_PORT_DOWN);
    check(p, 1, FROM("01", STATION("09")), "", "output-to-ingress");
    set_port(p, 2, 0);
    set_port(p, 3, 0);
    /* Replays alone keep a station fresh; without any it is forgotten. */
    for (unsigned minute = 0; minute < 8; minute++) {
        p->cached.now_ns += UINT64_C(60000000000);
        p->plain.now_ns += UINT64_C(60000000000);
        check(p, 1, FROM("01", STATION("09")), "2,3", "");
    }
    check(p, 2, FROM("0a", STATION("01")), "1", "");
    p->cached.now_ns += UINT64_C(301000000000);
    p->plain.now_ns += UINT64_C(301000000000);
    check(p, 2, FROM("0a", STATION("01")), "1,3", "");
    CU_ASSERT_EQUAL(replayed(&p->cached, 10, FROM("01", STATION("02"))), 10);
    CU_ASSERT_EQUAL(replayed(&p->cached, 10, FROM("01", STATION("0b"))), 10);
    /* No memory for a copy: the others get theirs. */
    set_port(p, 4, 0);
    p->cached.fail_copies = 1;
    fixture_receive_flow(&p->cached, 1, FROM("01", STATION("0b")));
    CU_ASSERT_STRING_EQUAL(fixture_ports(&p->cached), "3,4");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&p->cached), "no-memory");
    end(p);
}

/* After other steps, and where it is not alone. */
static void test_around(void)
{
    static const struct { const char *actions, *flood, *known; bool replayed; } cases[] = {
        { "set_field:02:00:00:00:00:02->eth_dst,NORMAL", "2,3,4", "2", true },
        { "dec_ttl,set_queue:7,push_vlan:0x8100,set_field:0x1005->vlan_vid,NORMAL", "2,3,4", "2", true },
        { "set_field:02:00:00:00:00:07->eth_src,set_field:10.0.0.9->ip_dst,NORMAL", "2,3,4", "2", true },
        { "resubmit(,1),NORMAL", "2,3,4", "2", true },
        { "goto_table:2", "2,3,4", "2", true },
        { "write_actions(set_field:5->ip_dscp,output:NORMAL)", "2,3,4", "2", true },
        { "group:1", "2,3,4", "2", true },
        { "output:4,NORMAL", "4,2,3,4", "4,2", false },
        { "NORMAL,output:4", "2,3,4,4", "2,4", false },
        { "NORMAL,write_actions(output:4)", "2,3,4,4", "2,4", false },
        { "clone(NORMAL),output:4", "2,3,4,4", "2,4", false },
        { "load:2->NXM_OF_IN_PORT[],NORMAL", "1,3,4", "", false },
        { "group:2", "2,3,4,4", "2,4", false },
        { "output:1,NORMAL", "2,3,4", "2", false },
    };
    for (unsigned test_mode = 0; test_mode < 2; test_mode++) {
        for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
            struct pair *p = begin(test_mode);
            char text[200];
            fixture_group(&p->cached, OFPGC_ADD, 1, OFPGT_INDIRECT, (const char *[]) { "-|-|-|set_field:3->ip_dscp,NORMAL" }, 1, NULL);
            fixture_group(&p->plain, OFPGC_ADD, 1, OFPGT_INDIRECT, (const char *[]) { "-|-|-|set_field:3->ip_dscp,NORMAL" }, 1, NULL);
            fixture_group(&p->cached, OFPGC_ADD, 2, OFPGT_ALL, (const char *[]) { "-|-|-|NORMAL", "-|-|-|output:4" }, 2, NULL);
            fixture_group(&p->plain, OFPGC_ADD, 2, OFPGT_ALL, (const char *[]) { "-|-|-|NORMAL", "-|-|-|output:4" }, 2, NULL);
            snprintf(text, sizeof text, "priority=1,ip,in_port=1,actions=%s", cases[k].actions);
            add(p, text);
            add(p, "priority=1,in_port=2,actions=NORMAL");
            add(p, "table=1,priority=1,actions=load:1->NXM_NX_REG0[]");
            add(p, "table=2,priority=1,ip,actions=dec_ttl,NORMAL");
            check(p, 1, FROM("01", STATION("02")), cases[k].flood, "");
            check(p, 2, FROM("02", "ff:ff:ff:ff:ff:ff"), "1,3,4", "");
            check(p, 1, FROM("01", STATION("02")), cases[k].known, *cases[k].known ? "" : "output-to-ingress");
            CU_ASSERT_EQUAL(replayed(&p->cached, 10, FROM("01", STATION("02"))), cases[k].replayed ? 10 : 0);
            end(p);
        }
    }
}

/* A switch without entries whose controllers are gone. */
static void test_standalone(void)
{
    struct pair *p = begin(false);
    dp_set_standalone(p->cached.dp, true);
    dp_set_standalone(p->plain.dp, true);
    check(p, 1, FROM("01", STATION("02")), "2,3,4", "");
    check(p, 2, FROM("02", STATION("01")), "1", "");
    check(p, 1, FROM("01", STATION("02")), "2", "");
    CU_ASSERT_EQUAL(replayed(&p->cached, 10, FROM("01", STATION("02"))), 10);
    add(p, "priority=1,dl_dst=02:00:00:00:00:02,actions=output:4");
    check(p, 1, FROM("01", STATION("02")), "4", "");
    check(p, 1, FROM("01", STATION("03")), "", "no-match");
    fixture_flow(&p->cached, OFPFC_DELETE, 0, "", NULL);
    fixture_flow(&p->plain, OFPFC_DELETE, 0, "", NULL);
    check(p, 1, FROM("01", STATION("02")), "2", "");
    dp_set_standalone(p->cached.dp, false);
    dp_set_standalone(p->plain.dp, false);
    check(p, 1, FROM("01", STATION("02")), "", "no-match");
    end(p);
}

/* The test mode has seen the same when stations move between any two packets of one flow. */
static void test_random(void)
{
    struct pair *p = begin(true);
    struct rng rng;
    char flow[200], ports[64];
    rng_seed(&rng, unit_seed());
    add(p, "priority=1,actions=NORMAL");
    add(p, "priority=2,dl_src=02:00:00:00:00:03,actions=set_field:02:00:00:00:00:04->eth_src,NORMAL");
    add(p, "priority=3,dl_dst=02:00:00:00:00:05,actions=output:2");
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t in_port = 1 + rng_below(&rng, 4);
        snprintf(flow, sizeof flow, "udp,dl_src=02:00:00:00:00:%02x,dl_dst=02:00:00:00:00:%02x,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2", rng_below(&rng, 8),
                 rng_below(&rng, 8));
        if (rng_below(&rng, 1000) == 0) {
            set_port(p, 1 + rng_below(&rng, 4), (uint32_t[]) { 0, 0, OFPPC_PORT_DOWN, OFPPC_NO_FWD, OFPPC10_NO_FLOOD }[rng_below(&rng, 5)]);
        }
        fixture_receive_flow(&p->plain, in_port, flow);
        snprintf(ports, sizeof ports, "%s", fixture_ports(&p->plain));
        fixture_receive_flow(&p->cached, in_port, flow);
        CU_ASSERT_STRING_EQUAL(fixture_ports(&p->cached), ports);
    }
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        CU_ASSERT_EQUAL(dp_drops(p->cached.dp, 0, reason), dp_drops(p->plain.dp, 0, reason));
    }
    CU_ASSERT_TRUE(dp_drops(p->plain.dp, 0, DROP_IN_PORT) > 1000);
    struct dp_cache_stats stats;
    dp_cache_stats(p->cached.dp, 1, &stats);
    CU_ASSERT_TRUE(stats.hits > 3000);         /* Of 20,000, but ports that are down take none. */
    end(p);
}

void cache_normal_test_suite(void)
{
    UNIT_SUITE("cache, NORMAL", { "stations", test_stations }, { "around", test_around }, { "standalone", test_standalone }, { "random", test_random });
}
