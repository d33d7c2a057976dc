/* The pipeline from a received frame to its outputs and its one drop. */
#include "tests/unit.h"
#include "vswitch/dp_fixture.h"

unit_suite_fn dp_test_suite;

static void check_ports(struct fixture *fx, const char *ports, const char *drop)
{
    const char *got_ports = fixture_ports(fx), *got_drop = fixture_drop(fx);
    if (strcmp(got_ports, ports) || strcmp(got_drop, drop)) {
        printf("\n  outputs \"%s\" (want \"%s\"), drop \"%s\" (want \"%s\")\n", got_ports, ports, got_drop, drop);
    }
    CU_ASSERT_STRING_EQUAL(got_ports, ports);
    CU_ASSERT_STRING_EQUAL(got_drop, drop);
    CU_ASSERT_EQUAL(fx->n_live, 0);
}

#define TCP "tcp,eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_src=1000,tcp_dst=80,nw_ttl=64"

static void test_outputs(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-match");
    fixture_add(&fx, "priority=1,in_port=1,actions=output:2,output:3");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_copies, 1);
    check_ports(&fx, "2,3", "");
    fixture_add(&fx, "priority=2,in_port=1,tcp,tcp_dst=80,actions=output:1");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "output-to-ingress");
    fixture_add(&fx, "priority=3,in_port=1,actions=IN_PORT");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_copies, 0);
    check_ports(&fx, "1", "");
    fixture_add(&fx, "priority=4,in_port=1,actions=FLOOD");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_copies, 2);
    check_ports(&fx, "2,3,4", "");
    dp_port_set(fx.dp, 3, OFPPC10_NO_FLOOD, true);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "2,4", "");
    fixture_execute(&fx, 1, "NORMAL", TCP);
    check_ports(&fx, "2,4", "");
    fixture_execute(&fx, 1, "ALL", TCP);
    check_ports(&fx, "2,3,4", "");
    dp_port_set(fx.dp, 3, OFPPC_NO_FWD, true);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "2,4", "");
    fixture_add(&fx, "priority=5,in_port=1,actions=output:3");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "port-config");
    fixture_add(&fx, "priority=6,in_port=1,actions=output:9");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-port");
    fixture_add(&fx, "priority=7,in_port=1,actions=drop");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-output");
    fixture_add(&fx, "priority=8,in_port=1,actions=load:0->NXM_OF_IN_PORT[],output:1");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "1", "");
    fixture_add(&fx, "priority=9,in_port=1,actions=load:3->NXM_NX_REG4[],load:1->NXM_NX_REG5[8..15],move:NXM_NX_REG4[0..7]->NXM_NX_REG5[0..7],output:NXM_NX_REG5[0..7]");
    dp_port_set(fx.dp, 3, 0, true);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "3", "");
    fixture_add(&fx, "priority=10,in_port=1,actions=load:0xfff8->NXM_NX_REG4[],output:NXM_NX_REG4[0..15]");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "1", "");
    /* Of a field that the packet lacks nothing is moved. */
    fixture_add(&fx, "priority=11,tcp,in_port=1,actions=load:3->NXM_NX_REG4[],move:NXM_OF_TCP_DST[]->NXM_NX_REG4[0..15],output:NXM_NX_REG4[]");
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_dst=4");
    check_ports(&fx, "4", "");
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,nw_frag=later");
    check_ports(&fx, "3", "");
    dp_set_drop_fragments(fx.dp, true);
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,nw_frag=later");
    check_ports(&fx, "", "fragment");
    fixture_receive_flow(&fx, 1, "udp6,ipv6_src=::1,ipv6_dst=::2,ip_frag=first");
    check_ports(&fx, "", "fragment");
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_dst=4");
    check_ports(&fx, "4", "");
    dp_set_drop_fragments(fx.dp, false);
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,nw_frag=later");
    check_ports(&fx, "3", "");
    dp_port_set(fx.dp, 1, OFPPC_NO_RECV, true);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "port-config");
    fixture_receive(&fx, 2, "short", 5);
    check_ports(&fx, "", "runt");
    fixture_fini(&fx);
}

static void test_pipeline(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=1,actions=write_actions(output:2,set_field:00:00:00:00:00:aa->eth_dst),write_metadata:0x5,goto_table:1");
    fixture_add(&fx, "table=1,priority=1,metadata=5,actions=goto_table:2");
    fixture_add(&fx, "table=2,priority=1,actions=write_actions(set_field:00:00:00:00:00:bb->eth_dst)");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.out[0].data[5], 0xbb);
    CU_ASSERT_EQUAL(fx.n_copies, 0);
    check_ports(&fx, "2", "");
    /* Apply-actions act at once, on what the set then acts on. */
    fixture_add(&fx, "table=2,priority=2,actions=output:3,clear_actions,write_actions(output:4)");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.out[0].data[5], 2);
    CU_ASSERT_EQUAL(fx.out[1].data[5], 2);
    check_ports(&fx, "3,4", "");
    /* A miss after a goto drops, with the action set. */
    fixture_add(&fx, "table=1,priority=2,metadata=0x5/0xf,actions=goto_table:9");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-match");
    struct of_table_stats stats;
    dp_table_stats(fx.dp, 9, &stats);
    CU_ASSERT_EQUAL(stats.lookup_count, 1);
    CU_ASSERT_EQUAL(stats.matched_count, 0);
    dp_table_stats(fx.dp, 0, &stats);
    CU_ASSERT_EQUAL(stats.lookup_count, 3);
    CU_ASSERT_EQUAL(stats.matched_count, 3);
    CU_ASSERT_EQUAL(stats.active_count, 1);
    fixture_fini(&fx);
}

static void test_resubmit_and_clone(void)
{
    struct fixture fx;
    fixture_init(&fx);
    /* A resubmit's changes stay; a miss in it is nothing. */
    fixture_add(&fx, "table=0,priority=1,actions=load:2->NXM_NX_REG0[],resubmit(,1),resubmit(,7),output:NXM_NX_REG0[]");
    fixture_add(&fx, "table=1,priority=1,reg0=2,actions=load:3->NXM_NX_REG0[]");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "3", "");
    /* A clone's do not, nor do its edits of the frame; a drop in it ends it alone. */
    fixture_add(&fx, "table=0,priority=2,actions=load:2->NXM_NX_REG0[],clone(load:3->NXM_NX_REG0[],set_field:00:00:00:00:00:cc->eth_dst,"
                "output:NXM_NX_REG0[],drop(anti-spoof),output:4),output:NXM_NX_REG0[]");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.out[0].data[5], 0xcc);
    CU_ASSERT_EQUAL(fx.out[1].data[5], 2);
    check_ports(&fx, "3,2", "");
    /* The lookup sees resubmit's in_port; the actions do not. */
    fixture_add(&fx, "table=0,priority=3,actions=resubmit(7,2)");
    fixture_add(&fx, "table=2,priority=1,in_port=7,actions=IN_PORT");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "1", "");
    /* Write-actions of a resubmitted entry run at the end; then the packet may not have been given away before. */
    fixture_add(&fx, "table=0,priority=4,actions=resubmit(,3),output:2");
    fixture_add(&fx, "table=3,priority=1,actions=write_actions(output:4)");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "2,4", "");
    /* A clone runs its own copy of the set; clear-actions of a resubmitted entry empties it there alone. */
    fixture_add(&fx, "table=0,priority=5,actions=clone(resubmit(,3)),output:2");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "4,2", "");
    fixture_add(&fx, "table=0,priority=6,actions=write_actions(output:3),goto_table:5");
    fixture_add(&fx, "table=5,priority=1,actions=clone(output:2),clone(resubmit(,3)),clone(resubmit(,6),output:1,resubmit(,3))");
    fixture_add(&fx, "table=6,priority=1,actions=clear_actions");
    fixture_receive_flow(&fx, 5, TCP);
    check_ports(&fx, "2,3,4,1,4,3", "");
    /* One that compiles to nothing, too. */
    fixture_add(&fx, "table=5,priority=1,actions=clone(clone(note:01.02.03.04.05.06),output:2),output:1");
    fixture_receive_flow(&fx, 5, TCP);
    check_ports(&fx, "3,2,3,1,3", "");
    /* What ended in it does not run one. */
    fixture_add(&fx, "table=5,priority=1,actions=clone(resubmit(,3),drop(anti-spoof)),output:1");
    fixture_receive_flow(&fx, 5, TCP);
    check_ports(&fx, "1,3", "");
    fixture_add(&fx, "table=0,priority=7,actions=resubmit(,4)");
    fixture_add(&fx, "table=4,priority=1,actions=resubmit(,4),resubmit(,4)");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "pipeline-depth");
    /* Copies that cannot be had are a drop of their own. */
    fixture_add(&fx, "table=0,priority=8,actions=output:2,output:3");
    fx.fail_copies = 1;
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "3", "no-memory");
    fixture_add(&fx, "table=0,priority=9,actions=clone(output:2),clone(output:3)");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_copies, 1);
    check_ports(&fx, "2,3", "");
    fixture_fini(&fx);
}

static void test_drop_reasons(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "priority=1,actions=resubmit(,9),output:1,drop(unknown-unicast)");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "unknown-unicast");
    fixture_add(&fx, "priority=2,actions=resubmit(,9),output:1");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "output-to-ingress");
    fixture_add(&fx, "priority=3,actions=resubmit(,9)");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-match");
    fixture_add(&fx, "priority=4,actions=output:2,drop(anti-spoof)");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "2", "");
    fixture_add(&fx, "priority=5,ip,actions=dec_ttl,output:2");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.out[0].data[22], 63);
    check_ports(&fx, "2", "");
    fixture_receive_flow(&fx, 1, "ip,nw_ttl=1");
    CU_ASSERT_EQUAL(fx.n_in, 1);
    CU_ASSERT_EQUAL(fx.in[0].reason, OFPR_INVALID_TTL);
    check_ports(&fx, "", "ttl-expired");
    /* Per port, and the sum over all. */
    fixture_receive_flow(&fx, 2, "ip,nw_ttl=1");
    CU_ASSERT_EQUAL(dp_drops(fx.dp, 1, DROP_TTL), 0);
    CU_ASSERT_EQUAL(dp_drops(fx.dp, 2, DROP_TTL), 1);
    CU_ASSERT_EQUAL(dp_drops(fx.dp, 0, DROP_TTL), 1);
    fixture_fini(&fx);
}

static void test_controller(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=0,cookie=0x77,actions=CONTROLLER:65535");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 1);
    CU_ASSERT_EQUAL(fx.in[0].reason, OFPR_NO_MATCH);
    CU_ASSERT_EQUAL(fx.in[0].cookie, 0x77);
    CU_ASSERT_EQUAL(fx.in[0].max_len, 65535);
    check_ports(&fx, "", "");
    fixture_add(&fx, "table=0,priority=1,tcp,actions=load:9->NXM_NX_REG1[],set_field:7->metadata,goto_table:1");
    fixture_add(&fx, "table=1,priority=1,cookie=0x78,actions=CONTROLLER:64,output:2");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 1);
    CU_ASSERT_EQUAL(fx.in[0].reason, OFPR_ACTION);
    CU_ASSERT_EQUAL(fx.in[0].table, 1);
    CU_ASSERT_EQUAL(fx.in[0].cookie, 0x78);
    CU_ASSERT_EQUAL(be32_get(fx.in[0].flow.regs[1]), 9);
    CU_ASSERT_EQUAL(be64_get(fx.in[0].flow.metadata), 7);
    check_ports(&fx, "2", "");
    /* From the action set and from buckets no cookie "can be associated with a particular flow" (section 7.4.1). */
    fixture_add(&fx, "table=1,priority=2,cookie=0x79,actions=write_actions(CONTROLLER:64)");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 1);
    CU_ASSERT_TRUE(fx.in[0].cookie == UINT64_MAX && fx.in[0].reason == OFPR_ACTION_SET);
    fixture_group(&fx, OFPGC_ADD, 5, OFPGT_INDIRECT, (const char *const []) { "-|-|-|CONTROLLER:64" }, 1, NULL);
    fixture_add(&fx, "table=1,priority=3,cookie=0x7a,actions=group:5,CONTROLLER:64");
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 2);
    CU_ASSERT_TRUE(fx.in[0].cookie == UINT64_MAX && fx.in[0].reason == OFPR_GROUP);
    CU_ASSERT_TRUE(fx.in[1].cookie == 0x7a && fx.in[1].reason == OFPR_ACTION);
    fixture_execute(&fx, 1, "CONTROLLER:64", TCP);
    CU_ASSERT_TRUE(fx.n_in == 1 && fx.in[0].cookie == UINT64_MAX && fx.in[0].reason == OFPR_PACKET_OUT);
    fx.refuse_packet_ins = true;
    fixture_receive_flow(&fx, 1, "arp");
    check_ports(&fx, "", "packet-in-limit");
    dp_port_set(fx.dp, 1, OFPPC_NO_PACKET_IN, true);
    fixture_receive_flow(&fx, 1, "arp");
    check_ports(&fx, "", "port-config");
    fx.refuse_packet_ins = false;
    fixture_receive_flow(&fx, 1, TCP);
    CU_ASSERT_EQUAL(fx.n_in, 2);
    fixture_fini(&fx);
}

static void test_packet_out(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=1,in_port=3,actions=write_actions(output:4)");
    fixture_add(&fx, "table=0,priority=1,in_port=CONTROLLER,actions=output:1");
    fixture_execute(&fx, OFPP_CONTROLLER, "output:2,output:TABLE,output:3", TCP);
    check_ports(&fx, "2,1,3", "");
    fixture_execute(&fx, 3, "set_field:00:00:00:00:00:ee->eth_dst,output:TABLE", TCP);
    CU_ASSERT_EQUAL(fx.out[0].data[5], 0xee);
    check_ports(&fx, "4", "");
    fixture_execute(&fx, 3, "output:3", TCP);
    check_ports(&fx, "", "output-to-ingress");
    fixture_execute(&fx, 3, "FLOOD", TCP);
    check_ports(&fx, "1,2,4", "");
    /* In an entry, TABLE has no meaning. */
    struct of_error error;
    fixture_flow(&fx, OFPFC_ADD, 0, "table=0,priority=9,actions=output:TABLE", &error);
    CU_ASSERT_FALSE(of_ok(error));
    fixture_fini(&fx);
}

static void flow_counters(struct fixture *fx, const char *text, uint64_t *packets, uint64_t *bytes, uint64_t *used)
{
    struct match m;
    struct err err = ERR_INIT;
    CU_ASSERT_TRUE_FATAL(match_parse(text, &m, &err));
    const struct flow_entry *e = flow_tables_find(dp_flows(fx->dp), 0, 5, &m);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    struct of_flow_stats stats;
    flow_entry_stats(dp_flows(fx->dp), e, &stats);
    *packets = stats.packet_count;
    *bytes = stats.byte_count;
    *used = stats.duration_sec;
    of_flow_stats_fini(&stats);
}

static void test_entry_counters(void)
{
    struct fixture fx;
    uint64_t packets, bytes, used;
    fixture_init(&fx);
    fixture_add(&fx, "priority=5,in_port=1,actions=output:2");
    fixture_receive_flow(&fx, 1, TCP);
    uint32_t len = fx.out[0].len;
    fixture_receive_flow(&fx, 1, TCP);
    flow_counters(&fx, "in_port=1", &packets, &bytes, &used);
    CU_ASSERT_EQUAL(packets, 2);
    CU_ASSERT_EQUAL(bytes, 2 * len);
    /* Section 6.4: an add that replaces keeps the counters unless told otherwise; a modify likewise. */
    fixture_add(&fx, "priority=5,in_port=1,actions=output:3");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "3", "");
    fixture_flow(&fx, OFPFC_MODIFY_STRICT, 0, "priority=5,in_port=1,actions=output:4", NULL);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "4", "");
    flow_counters(&fx, "in_port=1", &packets, &bytes, &used);
    CU_ASSERT_EQUAL(packets, 4);
    fixture_flow(&fx, OFPFC_MODIFY_STRICT, OFPFF_RESET_COUNTS, "priority=5,in_port=1,actions=output:4", NULL);
    fixture_receive_flow(&fx, 1, TCP);
    flow_counters(&fx, "in_port=1", &packets, &bytes, &used);
    CU_ASSERT_EQUAL(packets, 1);
    fixture_flow(&fx, OFPFC_ADD, OFPFF_RESET_COUNTS, "priority=5,in_port=1,actions=output:4", NULL);
    flow_counters(&fx, "in_port=1", &packets, &bytes, &used);
    CU_ASSERT_EQUAL(packets, 0);
    /* An entry in use does not idle out. */
    fixture_flow(&fx, OFPFC_ADD, OFPFF_SEND_FLOW_REM, "priority=5,idle_timeout=10,in_port=1,actions=output:4", NULL);
    for (unsigned i = 0; i < 5; i++) {
        fx.now_ns += UINT64_C(6000000000);
        fixture_receive_flow(&fx, 1, TCP);
        flow_tables_expire(dp_flows(fx.dp));
    }
    CU_ASSERT_EQUAL(fx.n_removed, 0);
    fx.now_ns += UINT64_C(11000000000);
    flow_tables_expire(dp_flows(fx.dp));
    CU_ASSERT_EQUAL(fx.n_removed, 1);
    CU_ASSERT_EQUAL(fx.removed_reason, OFPRR_IDLE_TIMEOUT);
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "", "no-match");
    fixture_fini(&fx);
}

static void test_standalone(void)
{
    struct fixture fx;
    fixture_init(&fx);
    dp_set_standalone(fx.dp, true);
    fixture_receive_flow(&fx, 1, "eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02");
    check_ports(&fx, "2,3,4", "");
    fixture_receive_flow(&fx, 3, "eth_src=00:00:00:00:00:02,eth_dst=00:00:00:00:00:01");
    check_ports(&fx, "1", "");
    fixture_receive_flow(&fx, 1, "eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02");
    check_ports(&fx, "3", "");
    /* The station moves; then the port goes. */
    fixture_receive_flow(&fx, 4, "eth_src=00:00:00:00:00:02,eth_dst=ff:ff:ff:ff:ff:ff");
    check_ports(&fx, "1,2,3", "");
    fixture_receive_flow(&fx, 1, "eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02");
    check_ports(&fx, "4", "");
    dp_port_remove(fx.dp, 4);
    fixture_receive_flow(&fx, 1, "eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02");
    check_ports(&fx, "2,3", "");
    /* Ten minutes of silence are forgotten. */
    fx.now_ns += UINT64_C(600000000000);
    fixture_receive_flow(&fx, 3, "eth_src=00:00:00:00:00:03,eth_dst=00:00:00:00:00:01");
    check_ports(&fx, "1,2", "");
    fixture_add(&fx, "priority=1,actions=drop");
    fixture_receive_flow(&fx, 1, "eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:03");
    check_ports(&fx, "", "no-output");
    fixture_fini(&fx);
}

static void test_set_order(void)
{
    struct fixture fx;
    fixture_init(&fx);
    /* Section 5.10: pop before push before set, whatever the order they are written in; the output comes last. */
    fixture_add(&fx, "priority=1,ip,actions=write_actions(output:2,set_field:0x1063->vlan_vid,push_vlan:0x88a8,dec_ttl)");
    struct buf b = BUF_INIT;
    fixture_compose(TCP, &b);
    fixture_receive(&fx, 1, b.data, (uint32_t) b.size);
    CU_ASSERT_EQUAL(fx.out[0].len, b.size + 4);
    CU_ASSERT_EQUAL(wire_get16(fx.out[0].data + 12), 0x88a8);
    CU_ASSERT_EQUAL(wire_get16(fx.out[0].data + 14), 0x63);
    CU_ASSERT_EQUAL(fx.out[0].data[26], 63);
    check_ports(&fx, "2", "");
    buf_fini(&b);
    /* actset_output follows the set. */
    fixture_add(&fx, "table=0,priority=2,actions=write_actions(output:3),goto_table:1");
    fixture_add(&fx, "table=1,priority=2,actset_output=3,actions=output:4");
    fixture_receive_flow(&fx, 1, TCP);
    check_ports(&fx, "4,3", "");
    fixture_fini(&fx);
}

static void test_refusals(void)
{
    struct fixture fx;
    struct of_error error;
    fixture_init(&fx);
    fixture_flow(&fx, OFPFC_ADD, 0, "priority=1,actions=group:5", &error);
    CU_ASSERT_EQUAL(error.type, OFPET_BAD_ACTION);
    CU_ASSERT_EQUAL(error.code, OFPBAC_BAD_OUT_GROUP);
    fixture_flow(&fx, OFPFC_ADD, 0, "priority=1,actions=set_queue:4294967295,output:1", &error);
    CU_ASSERT_EQUAL(error.code, OFPBAC_BAD_QUEUE);
    fixture_flow(&fx, OFPFC_ADD, 0, "priority=1,actions=meter:5,output:1", &error);
    CU_ASSERT_TRUE(error.type == OFPET_METER_MOD_FAILED && error.code == OFPMMFC_INVALID_METER);
    CU_ASSERT_EQUAL(flow_tables_count(dp_flows(fx.dp), OFPTT_ALL), 0);
    fixture_fini(&fx);
}

/* set_queue holds until the next one, for copies too; what a clone or a bucket sets is its own; an action set sets it before it outputs. */
static void test_queues(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_group(&fx, OFPGC_ADD, 1, OFPGT_ALL, (const char *const []) { "-|-|-|set_queue:9,output:2", "-|-|-|output:3" }, 2, NULL);
    fixture_add(&fx, "table=0,priority=1,actions=output:2,set_queue:7,output:3,clone(set_queue:8,output:4),group:1,enqueue:2:5,output:3,goto_table:1");
    fixture_add(&fx, "table=1,priority=1,actions=write_actions(output:4,set_queue:4294967294)");
    fixture_receive_flow(&fx, 1, "tcp,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_dst=80,nw_ttl=64");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2,3,4,2,3,2,3,4");
    static const uint32_t queues[] = { 0, 7, 8, 9, 7, 5, 0, 4294967294 };
    for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
        CU_ASSERT_EQUAL(fx.out[i].queue, queues[i]);
    }
    fixture_fini(&fx);
}

void dp_test_suite(void)
{
    UNIT_SUITE("dp",
        { "outputs", test_outputs },
        { "tables, metadata, action set", test_pipeline },
        { "resubmit and clone", test_resubmit_and_clone },
        { "one drop, the most telling reason", test_drop_reasons },
        { "controller", test_controller },
        { "packet-out", test_packet_out },
        { "entry counters", test_entry_counters },
        { "fail-standalone", test_standalone },
        { "action set order", test_set_order },
        { "queues", test_queues },
        { "what is refused", test_refusals });
}
