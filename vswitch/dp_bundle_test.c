/* Bundles in the datapath: nothing is seen before the commit, everything after it, nothing after an abort. */
#include "tests/unit.h"
#include "vswitch/dp_fixture.h"

unit_suite_fn dp_bundle_test_suite;

#define TCP "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_src=1000,tcp_dst=80,nw_ttl=64"
#define BUCKETS(...) (const char *const []) { __VA_ARGS__ }, ARRAY_SIZE(((const char *const []) { __VA_ARGS__ }))

static void begin(struct fixture *fx)
{
    dp_bundle_begin(fx->dp);
    flow_tables_begin(dp_flows(fx->dp));
    group_table_begin(dp_groups(fx->dp));
}

static void commit(struct fixture *fx)
{
    dp_bundle_commit(fx->dp);
    group_table_commit(dp_groups(fx->dp));
    flow_tables_commit(dp_flows(fx->dp));
}

static void abort_bundle(struct fixture *fx)
{
    dp_bundle_abort(fx->dp);
    group_table_abort(dp_groups(fx->dp));
    flow_tables_abort(dp_flows(fx->dp));
}

static void expect(struct fixture *fx, const char *ports)
{
    fixture_receive_flow(fx, 1, TCP);
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), ports);
    CU_ASSERT_EQUAL(fx->n_live, 0);
}

static uint64_t packets_of(struct fixture *fx, uint8_t table, uint16_t priority, const char *text)
{
    struct match m;
    struct err err = ERR_INIT;
    struct of_flow_stats fs;
    CU_ASSERT_TRUE_FATAL(match_parse(text, &m, &err));
    const struct flow_entry *e = flow_tables_find(dp_flows(fx->dp), table, priority, &m);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    flow_entry_stats(dp_flows(fx->dp), e, &fs);
    of_flow_stats_fini(&fs);
    return fs.packet_count;
}

/* Every kind of change there is, so that commit and abort are told apart by one packet. */
static void change_all(struct fixture *fx)
{
    fixture_add(fx, "table=0,priority=9,tcp,actions=set_field:1->reg0,resubmit(,1)");
    fixture_flow(fx, OFPFC_DELETE, 0, "table=0,ip,actions=drop", NULL);
    fixture_add(fx, "table=0,priority=5,tcp,actions=set_field:2->reg0,resubmit(,1)");
    fixture_flow(fx, OFPFC_MODIFY, 0, "table=1,actions=group:1", NULL);
    fixture_group(fx, OFPGC_MODIFY, 1, OFPGT_ALL, BUCKETS("-|-|-|output:4"), NULL);
    fixture_group(fx, OFPGC_DELETE, 2, OFPGT_ALL, BUCKETS("-|-|-|output:4"), NULL);
    fixture_group(fx, OFPGC_ADD, 3, OFPGT_ALL, BUCKETS("-|-|-|output:2", "-|-|-|group:1"), NULL);
    fixture_flow(fx, OFPFC_MODIFY, 0, "table=1,reg0=2,actions=group:3", NULL);
}

static void before(struct fixture *fx)
{
    fixture_init(fx);
    fixture_group(fx, OFPGC_ADD, 1, OFPGT_ALL, BUCKETS("-|-|-|output:3"), NULL);
    fixture_group(fx, OFPGC_ADD, 2, OFPGT_ALL, BUCKETS("-|-|-|output:3"), NULL);
    fixture_add(fx, "table=0,priority=5,tcp,actions=set_field:1->reg0,resubmit(,1),group:2");
    fixture_add(fx, "table=1,priority=5,reg0=1,actions=output:2,group:1");
    fixture_add(fx, "table=1,priority=5,reg0=2,actions=output:4");
    expect(fx, "2,3,3");
}

static void test_commit(void)
{
    struct fixture fx;
    before(&fx);
    begin(&fx);
    change_all(&fx);
    expect(&fx, "2,3,3");               /* The packet is still of the former version. */
    CU_ASSERT_EQUAL(fx.n_removed, 0);
    commit(&fx);
    expect(&fx, "2,4");
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), 0), 1);
    CU_ASSERT_PTR_NULL(group_table_find(dp_groups(fx.dp), 2));
    /* A modify in a bundle keeps the counters: one packet before, two after the group's… entries of table 1 had two and one. */
    CU_ASSERT_EQUAL(packets_of(&fx, 1, 5, "reg0=1"), 2);
    CU_ASSERT_EQUAL(packets_of(&fx, 1, 5, "reg0=2"), 1);
    CU_ASSERT_EQUAL(packets_of(&fx, 0, 5, "tcp"), 1);
    /* A second bundle finds it all in order: a group that goes and comes back. */
    begin(&fx);
    fixture_group(&fx, OFPGC_DELETE, 3, OFPGT_ALL, BUCKETS("-|-|-|output:4"), NULL);
    fixture_group(&fx, OFPGC_ADD, 3, OFPGT_ALL, BUCKETS("-|-|-|output:4"), NULL);
    fixture_add(&fx, "table=1,priority=5,reg0=2,actions=group:3");
    expect(&fx, "2,4");
    commit(&fx);
    expect(&fx, "4");
    fixture_fini(&fx);
}

static void test_abort(void)
{
    struct fixture fx;
    before(&fx);
    begin(&fx);
    change_all(&fx);
    abort_bundle(&fx);
    expect(&fx, "2,3,3");
    CU_ASSERT_EQUAL(fx.n_removed, 0);
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), OFPTT_ALL), 3);
    CU_ASSERT_PTR_NOT_NULL(group_table_find(dp_groups(fx.dp), 2));
    CU_ASSERT_PTR_NULL(group_table_find(dp_groups(fx.dp), 3));
    CU_ASSERT_EQUAL(flow_tables_group_refs(dp_flows(fx.dp), 1), 1);
    CU_ASSERT_EQUAL(packets_of(&fx, 1, 5, "reg0=1"), 2);
    /* Everything can be changed as before. */
    fixture_group(&fx, OFPGC_DELETE, 2, OFPGT_ALL, BUCKETS("-|-|-|output:4"), NULL);
    expect(&fx, "");
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), 0), 0);
    begin(&fx);
    fixture_flow(&fx, OFPFC_DELETE, 0, "table=1,actions=drop", NULL);
    abort_bundle(&fx);
    fixture_add(&fx, "table=0,priority=5,tcp,actions=set_field:1->reg0,resubmit(,1)");
    expect(&fx, "2,3");
    fixture_fini(&fx);
}

/* Entries and groups that are of one bundle only, and flow-removed. */
static void test_within(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_flow(&fx, OFPFC_ADD, OFPFF_SEND_FLOW_REM, "priority=1,actions=output:2", NULL);
    begin(&fx);
    fixture_group(&fx, OFPGC_ADD, 7, OFPGT_ALL, BUCKETS("-|-|-|output:3"), NULL);
    fixture_add(&fx, "table=3,priority=1,actions=group:7");
    fixture_group(&fx, OFPGC_DELETE, 7, OFPGT_ALL, BUCKETS("-|-|-|output:3"), NULL);
    fixture_flow(&fx, OFPFC_DELETE, 0, "table=0,actions=drop", NULL);
    CU_ASSERT_EQUAL(fx.n_removed, 0);
    abort_bundle(&fx);
    expect(&fx, "2");
    begin(&fx);
    fixture_flow(&fx, OFPFC_DELETE, 0, "table=0,actions=drop", NULL);
    commit(&fx);
    CU_ASSERT_EQUAL(fx.n_removed, 1);
    CU_ASSERT_EQUAL(fx.removed_reason, OFPRR_DELETE);
    expect(&fx, "");
    fixture_fini(&fx);
}

/* Nicira's controller action tells whom the packet-in is for, and brings bytes of the controller's own, from a bucket too. */
static void test_controller(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_INDIRECT, BUCKETS("-|-|-|controller(id=8,userdata=0a)"), NULL);
    fixture_add(&fx, "priority=1,actions=controller(id=7,userdata=01.02.03,max_len=99),group:1");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL_FATAL(fx.n_in, 2);
    CU_ASSERT_TRUE(fx.in[0].id == 7 && fx.in[0].max_len == 99 && fx.in[0].userdata_size == 3 && fx.in[0].userdata[2] == 3);
    CU_ASSERT_TRUE(fx.in[1].id == 8 && fx.in[1].userdata_size == 1 && fx.in[1].userdata[0] == 10);
    fixture_fini(&fx);
}

/* 1.0's misses, and its set-fields that hold for any packet. */
static void test_of10(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 0);
    dp_set_misses(fx.dp, true);
    fixture_drop(&fx);
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_TRUE(fx.n_in == 1 && fx.in[0].reason == OFPR_IMPLICIT_MISS && fx.in[0].cookie == UINT64_MAX);
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "");
    fixture_add(&fx, "priority=1,actions=resubmit(,9)");        /* A resubmit that misses does nothing. */
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 0);
    fixture_fini(&fx);
}

void dp_bundle_test_suite(void)
{
    UNIT_SUITE("dp bundles", { "commit", test_commit }, { "abort", test_abort }, { "within a bundle", test_within },
               { "controller action", test_controller }, { "misses of 1.0", test_of10 });
}
