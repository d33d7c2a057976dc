/* Groups: buckets, hashing, fast failover, chaining, counters. */
#include "tests/unit.h"
#include "vswitch/dp_fixture.h"
#include "lib/util.h"

unit_suite_fn dp_group_test_suite;

#define TCP "tcp,eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_src=1000,tcp_dst=80,nw_ttl=64"
#define BUCKETS(...) (const char *const []) { __VA_ARGS__ }, ARRAY_SIZE(((const char *const []) { __VA_ARGS__ }))

static void test_all(void)
{
    struct fixture fx;
    fixture_init(&fx);
    /* Each bucket is an action set on a copy of its own: registers and edits stay inside; the ingress port is left out. */
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_ALL,
                  BUCKETS("-|-|-|output:2,set_field:00:00:00:00:00:bb->eth_dst", "-|-|-|load:3->NXM_NX_REG0[],resubmit(,1)", "-|-|-|output:1",
                          "-|-|-|resubmit(,1)"), NULL);
    fixture_add(&fx, "table=0,priority=1,actions=group:1,output:4");
    fixture_add(&fx, "table=1,priority=1,reg0=3,actions=output:3");
    fixture_add(&fx, "table=1,priority=1,reg0=0,actions=IN_PORT");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2,3,1,4");
    CU_ASSERT_EQUAL(fx.out[0].data[5], 0xbb);
    CU_ASSERT_EQUAL(fx.out[1].data[5], 2);
    CU_ASSERT_EQUAL(fx.out[3].data[5], 2);
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "");
    CU_ASSERT_EQUAL(fx.n_live, 0);
    /* From the action set too, where it takes the place of an output. */
    fixture_add(&fx, "table=0,priority=2,actions=write_actions(output:4,group:1)");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2,3,1");
    CU_ASSERT_EQUAL(fx.n_live, 0);
    fixture_fini(&fx);
}

static void test_bucket_order(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_INDIRECT, BUCKETS("-|-|-|output:2,output:3,set_field:0x1007->vlan_vid,push_vlan:0x8100"), NULL);
    fixture_add(&fx, "priority=1,actions=group:1");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "3");
    CU_ASSERT_EQUAL(wire_get32(fx.out[0].data + 12), 0x81000007);
    CU_ASSERT_EQUAL(fx.n_copies, 0);
    fixture_fini(&fx);
}

/* Shares by weight within 10 %, on any of the fields that tell flows apart; a flow sticks to its bucket. */
static void test_select_shares(void)
{
    static const char *const varied[] = {
        "tcp,ip_src=10.%u.%u.1,tcp_src=%u", "udp,udp_src=%u,udp_dst=%u,nw_dst=10.0.0.%u", "arp,arp_spa=10.%u.%u.1,arp_op=%u",
        "eth_src=02:00:00:00:%02x:%02x,eth_dst=02:00:00:00:00:%02x",
        "tcp6,ipv6_src=fd00::%x:%x,tcp_dst=%u",
    };
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_SELECT, BUCKETS("1|-|-|output:2", "2|-|-|output:3", "0|-|-|output:4"), NULL);
    fixture_add(&fx, "priority=1,actions=group:1");
    for (unsigned v = 0; v < ARRAY_SIZE(varied); v++) {
        unsigned n[5] = { 0 }, moved = 0, total = 3000;
        for (unsigned i = 0; i < total; i++) {
            char match[128];
            snprintf(match, sizeof match, varied[v], i % 250, i / 250, i % 200);
            fixture_receive_flow(&fx, 1, match);
            uint32_t port = fx.out[0].port;
            n[port]++;
            fixture_receive_flow(&fx, 1, match);
            moved += fx.out[0].port != port;
        }
        CU_ASSERT_EQUAL(moved, 0);
        CU_ASSERT_EQUAL(n[4], 0);
        CU_ASSERT_TRUE(n[2] > total / 3 * 9 / 10 && n[2] < total / 3 * 11 / 10);
    }
    fixture_fini(&fx);
}

/* Flows of live buckets stay where they are; those of the dead one spread over the rest; fragments follow their first one. */
static void test_select_liveness(void)
{
    struct fixture fx;
    uint32_t before[600];
    unsigned strayed = 0, n[5] = { 0 };
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_SELECT, BUCKETS("1|2|-|output:2", "1|3|-|output:3", "1|4|-|output:4"), NULL);
    fixture_add(&fx, "priority=1,actions=group:1");
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < ARRAY_SIZE(before); i++) {
            char match[64];
            snprintf(match, sizeof match, "tcp,tcp_src=%u,nw_dst=10.0.0.%u", i, i % 200);
            fixture_receive_flow(&fx, 1, match);
            if (!pass) {
                before[i] = fx.out[0].port;
            } else if (before[i] != 3) {
                strayed += fx.out[0].port != before[i];
            } else {
                n[fx.out[0].port]++;
            }
        }
        dp_port_set(fx.dp, 3, 0, false);
    }
    CU_ASSERT_EQUAL(strayed, 0);
    CU_ASSERT_EQUAL(n[3], 0);
    CU_ASSERT_TRUE(n[2] > 50 && n[4] > 50);
    fixture_receive_flow(&fx, 1, "udp,ip_src=10.0.0.1,ip_dst=10.0.0.2,udp_src=77,udp_dst=78,ip_frag=first");
    uint32_t port = fx.out[0].port;
    fixture_receive_flow(&fx, 1, "udp,ip_src=10.0.0.1,ip_dst=10.0.0.2,ip_frag=later");
    CU_ASSERT_EQUAL(fx.out[0].port, port);
    dp_port_set(fx.dp, 2, 0, false);
    dp_port_set(fx.dp, 4, 0, false);
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "group-dead");
    fixture_fini(&fx);
}

static void expect(struct fixture *fx, const char *ports)
{
    fixture_receive_flow(fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), ports);
}

static void test_fast_failover(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 7, OFPGT_FF, BUCKETS("-|4|-|output:4"), NULL);
    fixture_group(&fx, OFPGC_ADD, 8, OFPGT_FF, BUCKETS("-|2|-|output:2", "-|3|-|output:3", "-|-|7|group:7"), NULL);
    fixture_add(&fx, "priority=1,actions=group:8");
    expect(&fx, "2");
    dp_port_set(fx.dp, 2, 0, false);
    expect(&fx, "3");
    dp_port_remove(fx.dp, 3);
    expect(&fx, "4");
    dp_port_set(fx.dp, 4, 0, false);
    expect(&fx, "");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "group-dead");
    /* A watched group that is changed is live or dead at once. */
    fixture_group(&fx, OFPGC_MODIFY, 7, OFPGT_FF, BUCKETS("-|1|-|IN_PORT"), NULL);
    expect(&fx, "1");
    dp_port_set(fx.dp, 3, 0, true);
    expect(&fx, "3");
    dp_port_set(fx.dp, 2, 0, true);
    expect(&fx, "2");
    fixture_fini(&fx);
}

static void test_counters_and_deletion(void)
{
    struct fixture fx;
    struct of_group_stats stats;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_ALL, BUCKETS("-|-|-|output:2", "-|-|-|output:3"), NULL);
    fixture_flow(&fx, OFPFC_ADD, OFPFF_SEND_FLOW_REM, "priority=1,actions=group:1", NULL);
    expect(&fx, "2,3");
    expect(&fx, "2,3");
    uint32_t len = fx.out[0].len;
    memset(&stats, 0, sizeof stats);
    CU_ASSERT_TRUE(dp_group_stats(fx.dp, group_table_find(dp_groups(fx.dp), 1), &stats));
    CU_ASSERT_EQUAL(stats.packet_count, 2);
    CU_ASSERT_EQUAL(stats.byte_count, 2 * len);
    CU_ASSERT_EQUAL(stats.n_buckets, 2);
    CU_ASSERT_EQUAL(stats.buckets[1].packet_count, 2);
    free(stats.buckets);
    /* Section 6.5: the group's own counters outlive a modify, the buckets' do not. */
    fixture_group(&fx, OFPGC_MODIFY, 1, OFPGT_INDIRECT, BUCKETS("-|-|-|output:4"), NULL);
    expect(&fx, "4");
    CU_ASSERT_TRUE(dp_group_stats(fx.dp, group_table_find(dp_groups(fx.dp), 1), &stats));
    CU_ASSERT_EQUAL(stats.packet_count, 3);
    CU_ASSERT_EQUAL(stats.n_buckets, 1);
    CU_ASSERT_EQUAL(stats.buckets[0].packet_count, 1);
    free(stats.buckets);
    /* Entries that use a group go with it. */
    fixture_group(&fx, OFPGC_DELETE, 1, OFPGT_ALL, NULL, 0, NULL);
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), OFPTT_ALL), 0);
    CU_ASSERT_EQUAL(fx.n_removed, 1);
    CU_ASSERT_EQUAL(fx.removed_reason, OFPRR_GROUP_DELETE);
    expect(&fx, "");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "no-match");
    fixture_fini(&fx);
}

static void test_empty(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_ALL, NULL, 0, NULL);
    fixture_add(&fx, "priority=1,actions=group:1");
    expect(&fx, "");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "group-dead");
    fixture_execute(&fx, 1, "group:99", TCP);
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "group-dead");
    fixture_fini(&fx);
}

void dp_group_test_suite(void)
{
    UNIT_SUITE("groups",
        { "all", test_all },
        { "a bucket is an action set", test_bucket_order },
        { "select: shares and stickiness", test_select_shares },
        { "select: liveness and fragments", test_select_liveness },
        { "fast failover", test_fast_failover },
        { "counters, modify, delete", test_counters_and_deletion },
        { "empty and unknown", test_empty });
}
