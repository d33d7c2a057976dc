/* Meters in the pipeline. */
#include "lib/util.h"
#include "tests/unit.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/meter.h"

unit_suite_fn meter_test_suite;

#define S INT64_C(1000000000)

static struct of_error meter_mod(struct fixture *fx, enum of_meter_command command, uint32_t id, uint16_t flags, const struct of_meter_band *bands, unsigned n)
{
    struct of_meter_mod mm = { .command = command, .flags = flags, .meter_id = id, .n_bands = n, .bands = n ? xcalloc(n, sizeof *bands) : NULL };
    for (unsigned i = 0; i < n; i++) {
        mm.bands[i] = bands[i];
    }
    struct of_error error = meter_table_mod(dp_meters(fx->dp), &mm);
    free(mm.bands);
    return error;
}

#define METER(FX, COMMAND, FLAGS, ...) do { static const struct of_meter_band b_[] = { __VA_ARGS__ }; \
    CU_ASSERT_TRUE(of_ok(meter_mod(FX, COMMAND, 5, FLAGS, b_, sizeof b_ / sizeof b_[0]))); } while (0)

static struct of_meter_stats stats(struct fixture *fx)
{
    struct of_meter_stats ms;
    meter_table_stats(dp_meters(fx->dp), meter_table_find(dp_meters(fx->dp), 5), &ms);
    return ms;
}

/* How many of n packets, evenly over a second, come out of port 2. */
static unsigned second(struct fixture *fx, unsigned n)
{
    unsigned out = 0;
    for (unsigned i = 0; i < n; i++) {
        fx->now_ns += (uint64_t) S / n;
        fixture_receive_flow(fx, 1, "udp,ip_dscp=10,nw_src=10.0.0.1,nw_dst=10.0.0.2");
        out += fx->n_out;
    }
    return out;
}

static void test_drop(void)
{
    struct fixture fx;
    fixture_init(&fx);
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST | OFPMF_STATS, { .type = OFPMBT_DROP, .rate = 100, .burst_size = 10 });
    fixture_add(&fx, "in_port=1,actions=meter:5,output:2");
    unsigned out = second(&fx, 1000);
    CU_ASSERT_TRUE(out >= 109 && out <= 111);
    CU_ASSERT_EQUAL(second(&fx, 50), 50);
    struct of_meter_stats ms = stats(&fx);
    CU_ASSERT_EQUAL(ms.packet_in_count, 1050);
    CU_ASSERT_EQUAL(ms.bands[0].packet_count, 1000 - out);
    CU_ASSERT_EQUAL(ms.byte_in_count / 1050, ms.bands[0].byte_count / (1000 - out));
    CU_ASSERT_EQUAL(dp_drops(fx.dp, 1, DROP_METER), 1000 - out);
    free(ms.bands);
    /* Modify: the meter's counters stay, its bands' begin again; the entry meets the new rate. */
    METER(&fx, OFPMC_MODIFY, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 500, .burst_size = 1 });
    out = second(&fx, 1000);
    CU_ASSERT_TRUE(out >= 499 && out <= 502);
    ms = stats(&fx);
    CU_ASSERT_EQUAL(ms.packet_in_count, 2050);
    CU_ASSERT_EQUAL(ms.bands[0].packet_count, 1000 - out);
    free(ms.bands);
    fixture_fini(&fx);
}

static void test_kbps(void)
{
    struct fixture fx;
    fixture_init(&fx);
    METER(&fx, OFPMC_ADD, 0, { .type = OFPMBT_DROP, .rate = 100 });
    fixture_add(&fx, "in_port=1,actions=meter:5,output:2");
    second(&fx, 1000);                  /* The bucket's depth is used up. */
    unsigned out = second(&fx, 1000), size = fx.n_out ? fx.out[0].len : 0;
    if (!size) {
        fixture_receive_flow(&fx, 2, "udp,ip_dscp=10,nw_src=10.0.0.1,nw_dst=10.0.0.2");
        struct of_meter_stats ms = stats(&fx);
        size = (unsigned) (ms.byte_in_count / ms.packet_in_count);
        free(ms.bands);
    }
    CU_ASSERT_DOUBLE_EQUAL(out * size * 8, 100000, 1000);
    fixture_fini(&fx);
}

static unsigned dscp_out(struct fixture *fx, const char *match)
{
    fixture_receive_flow(fx, 1, match);
    struct flow f;
    flow_init(&f);
    struct packet p = { .data = fx->out[0].data, .len = fx->out[0].len };
    packet_extract(&p, &f);
    return fx->n_out == 1 ? f.ip_dscp : 99;
}

static void test_remark(void)
{
    struct fixture fx;
    fixture_init(&fx);
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DSCP_REMARK, .rate = 1, .burst_size = 1, .prec_level = 1 });
    fixture_add(&fx, "in_port=1,actions=meter:5,output:2");
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=18"), 18);
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=18"), 20);
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp6,ip_dscp=20"), 22);
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=22"), 22);       /* There is no fourth. */
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=46"), 46);       /* Expedited forwarding, best effort and class selectors have no precedence. */
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=0"), 0);
    CU_ASSERT_EQUAL(dscp_out(&fx, "udp,ip_dscp=24"), 24);
    fixture_receive_flow(&fx, 1, "arp,arp_op=1");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2");
    fixture_fini(&fx);
}

/* "The meter applies the meter band with the highest configured rate that is lower than the current measured rate." */
static void test_bands(void)
{
    struct fixture fx;
    fixture_init(&fx);
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 200, .burst_size = 1 },
          { .type = OFPMBT_DSCP_REMARK, .rate = 100, .burst_size = 1, .prec_level = 2 });
    fixture_add(&fx, "in_port=1,ip,ip_dscp=10,actions=meter:5,output:2");
    CU_ASSERT_EQUAL(second(&fx, 50), 50);
    struct of_meter_stats ms = stats(&fx);
    CU_ASSERT_TRUE(!ms.bands[0].packet_count && !ms.bands[1].packet_count);
    free(ms.bands);
    CU_ASSERT_EQUAL(second(&fx, 150), 150);
    ms = stats(&fx);
    CU_ASSERT_EQUAL(ms.bands[0].packet_count, 0);
    CU_ASSERT_TRUE(ms.bands[1].packet_count >= 48 && ms.bands[1].packet_count <= 51);
    free(ms.bands);
    unsigned out = second(&fx, 1000);
    CU_ASSERT_TRUE(out >= 199 && out <= 202);
    ms = stats(&fx);
    CU_ASSERT_EQUAL(ms.bands[0].packet_count, 1000 - out);
    CU_ASSERT_TRUE(ms.bands[1].packet_count >= 147 && ms.bands[1].packet_count <= 153);
    free(ms.bands);
    fixture_fini(&fx);
}

/* Entries may name only what is there, go with it, and the action set goes with a dropped packet. */
static void test_life(void)
{
    struct fixture fx;
    struct of_error error;
    fixture_init(&fx);
    fixture_flow(&fx, OFPFC_ADD, 0, "in_port=1,actions=meter:5,output:2", &error);
    CU_ASSERT_TRUE(error.type == OFPET_METER_MOD_FAILED && error.code == OFPMMFC_INVALID_METER);
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 1, .burst_size = 1 });
    fixture_add(&fx, "table=1,in_port=1,actions=meter:5,output:2");
    fixture_add(&fx, "in_port=1,actions=write_actions(output:3),goto_table:1");
    fixture_receive_flow(&fx, 1, "udp");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2,3");
    fixture_receive_flow(&fx, 1, "udp");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "");
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "meter");
    CU_ASSERT_TRUE(of_ok(meter_mod(&fx, OFPMC_DELETE, 5, 0, NULL, 0)));
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), OFPTT_ALL), 1);
    /* A meter without bands lets everything through and counts it; it may still be in use at the end. */
    CU_ASSERT_TRUE(of_ok(meter_mod(&fx, OFPMC_ADD, 5, 0, NULL, 0)));
    fixture_add(&fx, "table=1,in_port=1,actions=meter:5,output:2");
    CU_ASSERT_EQUAL(second(&fx, 10), 20);
    struct of_meter_stats ms = stats(&fx);
    CU_ASSERT_EQUAL(ms.packet_in_count, 10);
    CU_ASSERT_EQUAL(ms.duration_sec, 1);
    free(ms.bands);
    fixture_fini(&fx);
}

/* The Nicira controller action may name a meter for its packet-ins; the packet goes on. */
static void test_packet_ins(void)
{
    struct fixture fx;
    struct of_error error;
    unsigned n_in = 0, n_out = 0;
    fixture_init(&fx);
    fixture_flow(&fx, OFPFC_ADD, 0, "in_port=1,actions=controller(max_len=64,meter_id=5),output:2", &error);
    CU_ASSERT_TRUE(error.type == OFPET_METER_MOD_FAILED && error.code == OFPMMFC_INVALID_METER);
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 10, .burst_size = 5 });
    fixture_add(&fx, "in_port=1,actions=controller(max_len=64,meter_id=5),output:2");
    fixture_add(&fx, "in_port=3,actions=controller(max_len=64,meter_id=5)");
    for (unsigned i = 0; i < 20; i++) {
        fixture_receive_flow(&fx, 1, "udp");
        n_in += fx.n_in;
        n_out += fx.n_out;
    }
    CU_ASSERT_TRUE(n_in == 5 && n_out == 20);
    CU_ASSERT_EQUAL(dp_drops(fx.dp, 1, DROP_PACKET_IN_LIMIT), 15);
    fixture_receive_flow(&fx, 3, "udp");
    CU_ASSERT_EQUAL(fx.n_in, 0);
    const char *bucket = "-|-|-|controller(max_len=64,meter_id=5)";
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_INDIRECT, &bucket, 1, NULL);
    CU_ASSERT_TRUE(of_ok(meter_mod(&fx, OFPMC_DELETE, 5, 0, NULL, 0)));
    fixture_receive_flow(&fx, 1, "udp");        /* Nothing is measured any more. */
    CU_ASSERT_EQUAL(fx.n_in, 1);
    fixture_fini(&fx);
}

/* In a bundle: an entry with a meter that came with it; a modify that nothing sees before the commit; a meter made anew. */
static void test_bundle(void)
{
    struct fixture fx;
    fixture_init(&fx);
    dp_bundle_begin(fx.dp);
    flow_tables_begin(dp_flows(fx.dp));
    meter_table_begin(dp_meters(fx.dp));
    METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 1, .burst_size = 2 });
    fixture_add(&fx, "in_port=1,actions=meter:5,output:2");
    dp_bundle_commit(fx.dp);
    flow_tables_commit(dp_flows(fx.dp));
    meter_table_commit(dp_meters(fx.dp));
    unsigned passed = 0;
    for (unsigned i = 0; i < 10; i++) {
        fixture_receive_flow(&fx, 1, "tcp");
        passed += fx.n_out;
    }
    CU_ASSERT_TRUE(passed >= 2 && passed <= 3);
    for (unsigned abort = 0; abort < 2; abort++) {
        dp_bundle_begin(fx.dp);
        flow_tables_begin(dp_flows(fx.dp));
        meter_table_begin(dp_meters(fx.dp));
        flow_tables_meter_deleted(dp_flows(fx.dp), 5);
        METER(&fx, OFPMC_DELETE, 0, { .type = OFPMBT_DROP });
        METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST, { .type = OFPMBT_DROP, .rate = 1, .burst_size = 100 });
        fixture_add(&fx, "in_port=1,actions=meter:5,output:3");
        fixture_receive_flow(&fx, 1, "tcp");
        CU_ASSERT_EQUAL(fx.n_out, 0);           /* Still by the old one. */
        if (!abort) {
            dp_bundle_abort(fx.dp);
            flow_tables_abort(dp_flows(fx.dp));
            meter_table_abort(dp_meters(fx.dp));
            fixture_receive_flow(&fx, 1, "tcp");
            CU_ASSERT_EQUAL(fx.n_out, 0);
        } else {
            dp_bundle_commit(fx.dp);
            flow_tables_commit(dp_flows(fx.dp));
            meter_table_commit(dp_meters(fx.dp));
            fixture_receive_flow(&fx, 1, "tcp");
            CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "3");
        }
    }
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), OFPTT_ALL), 1);
    fixture_fini(&fx);
}

/* From the cache: who is dropped has met the meter's rule, and no other behind it; what left before stays sent. */
static void test_replayed(void)
{
    for (unsigned k = 0; k < 3; k++) {
        struct fixture fx;
        struct dp_cache_stats cs;
        struct of_table_stats ts;
        fixture_init(&fx);
        dp_set_cache(fx.dp, 1000, false);
        METER(&fx, OFPMC_ADD, OFPMF_PKTPS | OFPMF_BURST | OFPMF_STATS, { .type = OFPMBT_DROP, .rate = 100, .burst_size = 10 });
        fixture_add(&fx, k == 1 ? "in_port=1,actions=output:3,goto_table:1" : "in_port=1,actions=goto_table:1");
        fixture_add(&fx, "table=1,ip,actions=meter:5,dec_ttl,goto_table:2");
        fixture_add(&fx, k == 2 ? "table=2,actions=drop" : "table=2,actions=push_vlan:0x8100,output:2");
        unsigned out = second(&fx, 1000), passed;
        struct of_meter_stats ms = stats(&fx);
        dp_cache_stats(fx.dp, 1, &cs);
        CU_ASSERT_EQUAL(cs.hits, 999);
        CU_ASSERT_EQUAL(cs.guided, 0);
        CU_ASSERT_EQUAL(ms.packet_in_count, 1000);
        passed = (unsigned) (1000 - ms.bands[0].packet_count);
        CU_ASSERT_TRUE(passed >= 109 && passed <= 111);
        CU_ASSERT_EQUAL(out, k == 0 ? passed : k == 1 ? 1000 + passed : 0);
        dp_table_stats(fx.dp, 1, &ts);
        CU_ASSERT_EQUAL(ts.lookup_count, 1000);
        dp_table_stats(fx.dp, 2, &ts);
        CU_ASSERT_EQUAL(ts.lookup_count, passed);
        CU_ASSERT_EQUAL(dp_drops(fx.dp, 1, DROP_METER), k == 1 ? 0 : 1000 - passed);
        free(ms.bands);
        fixture_fini(&fx);
    }
}

void meter_test_suite(void)
{
    UNIT_SUITE("meters",
        { "drop", test_drop },
        { "kilobits", test_kbps }, { "dscp-remark", test_remark }, { "several bands", test_bands }, { "life", test_life },
        { "packet-ins", test_packet_ins }, { "bundles", test_bundle }, { "from the cache", test_replayed });
}
