/* ovs-ofctl's language: what is read, what is written, and what an error says. */
#include "lib/util.h"
#include "ofproto/action.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

/* Each input, and the canonical text of what it means. */
static const struct { const char *in, *out; } matches[] = {
    { "", "" },
    { " ip , nw_dst=10.1.2.3/8 tcp_dst=80,nw_proto=6", "tcp,nw_dst=10.0.0.0/8,tcp_dst=80" },
    { "tcp,tp_dst=80", "tcp,tcp_dst=80" },
    { "udp6,tp_src=53", "udp6,udp_src=53" },
    { "sctp,tp_src=53", "sctp,sctp_src=53" },
    { "dl_type=0x0800", "ip" },
    { "eth_type=0x0800,ip_proto=6", "tcp" },
    { "dl_type=0x86dd,nw_proto=58", "icmp6" },
    { "icmp6,icmp_type=135,ipv6_nd_target=::1", "icmp6,icmpv6_type=135,nd_target=::1" },
    { "ip,nw_proto=89", "ip,nw_proto=89" },
    { "in_port=local", "in_port=LOCAL" },
    { "in_port=4294967294", "in_port=LOCAL" },
    { "vlan_tci=0", "vlan_tci=0x0000/0x1fff" },
    { "dl_vlan=0xffff", "vlan_tci=0x0000/0x1fff" },
    { "vlan_vid=0x1000/0x1000", "vlan_tci=0x1000/0x1000" },
    { "vlan_vid=4106", "dl_vlan=10" },
    { "vlan_tci=0x700a", "dl_vlan=10,dl_vlan_pcp=3" },
    { "vlan_tci=0xf000/0xf000", "vlan_tci=0x1000/0x1000,dl_vlan_pcp=7" },
    { "ip,nw_tos=184", "ip,ip_dscp=46" },
    { "ip,ip_frag=later", "ip,nw_frag=later" },
    { "nw_frag=first,ip", "ip,nw_frag=first" },
    { "tcp,tcp_flags=+syn-ack", "tcp,tcp_flags=+syn-ack" },
    { "tcp,tcp_flags=2/0x12", "tcp,tcp_flags=+syn-ack" },
    { "NXM_NX_REG0=5,OXM_OF_METADATA=7/15", "metadata=0x7/0xf,reg0=0x5" },
    { "xreg0=0x100000002", "reg0=0x1,reg1=0x2" },
    { "xxreg0=0x10000000200000003", "reg0=0,reg1=0x1,reg2=0x2,reg3=0x3" },
    { "reg0=0/0", "" },
    { "ipv6,ipv6_src=::ffff:1.2.3.4", "ipv6,ipv6_src=::ffff:1.2.3.4" },
    { "ipv6,ipv6_src=fd00::/ffff::ff", "ipv6,ipv6_src=fd00::/ffff::ff" },
    { "mpls,mpls_label=16", "mpls,mpls_label=16" },
    { "dl_type=0x88e7,pbb_isid=5/7", "dl_type=0x88e7,pbb_isid=0x5/0x7" },
    { "arp,arp_spa=10.0.0.0/255.0.0.255", "arp,arp_spa=10.0.0.0/255.0.0.255" },
    { "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00" },
};

static const struct { const char *in, *out; } lists[] = {
    { "", "drop" },
    { "drop", "drop" },
    { "1,2", "output:1,output:2" },
    { "output:LOCAL", "LOCAL" },
    { "controller", "CONTROLLER:65535" },
    { "controller:128", "CONTROLLER:128" },
    { "output:controller", "CONTROLLER:65535" },
    { "controller()", "controller(max_len=65535)" },
    { "controller(id=1,reason=invalid_ttl)", "controller(reason=invalid_ttl,max_len=65535,id=1)" },
    { "in_port normal,FLOOD ALL", "IN_PORT,NORMAL,FLOOD,ALL" },
    { "mod_dl_src:02:00:00:00:00:01,mod_nw_dst:1.2.3.4,mod_vlan_pcp:3,strip_vlan,dec_nw_ttl,set_nw_ttl:3",
      "set_field:02:00:00:00:00:01->eth_src,set_field:1.2.3.4->ip_dst,set_field:3->vlan_pcp,pop_vlan,dec_ttl,mod_nw_ttl:3" },
    { "set_field:1.2.3.4->nw_src", "set_field:1.2.3.4->ip_src" },
    { "set_field:0xff/0xff->reg1", "set_field:0xff/0xff->reg1" },
    { "set_field:0x1ff/0xff->reg1", "set_field:0xff/0xff->reg1" },
    { "load:5->reg3[]", "load:0x5->NXM_NX_REG3[]" },
    { "load:0->NXM_OF_IN_PORT[]", "load:0->OXM_OF_IN_PORT[0..15]" },
    { "move:reg0[3]->xreg1[63]", "move:NXM_NX_REG0[3]->OXM_OF_PKT_REG1[63]" },
    { "output:reg5", "output:NXM_NX_REG5[]" },
    { "resubmit(,3),resubmit(1,),resubmit(2),resubmit:LOCAL,resubmit(in_port,3)", "resubmit(,3),resubmit:1,resubmit:2,resubmit:LOCAL,resubmit(,3)" },
    { "clone(clone(output:1),push_vlan:0x8100,drop(meter)),output:2", "clone(clone(output:1),push_vlan:0x8100,drop(meter)),output:2" },
    { "clone()", "clone(drop)" },
    { "drop(63)", "drop(63)" },
    { "drop(32)", "drop(anti-spoof)" },
    { "note:", "note:00.00.00.00.00.00" },
    { "note:50.4f.4c.00.00.20", "drop(anti-spoof)" },
    { "note:0102ff", "note:01.02.ff.00.00.00" },
    { "enqueue:5:7,enqueue(in_port,1)", "set_queue:7,output:5,pop_queue,set_queue:1,IN_PORT,pop_queue" },
    { "pop_mpls:2048,group:1,set_queue:7", "pop_mpls:0x0800,group:1,set_queue:7" },
};

static const struct { const char *in, *out; } flows[] = {
    { "drop", "drop" },
    { "", "drop" },
    { "goto_table:5,1", "output:1,goto_table:5" },
    { "apply_actions(output:1,2),clear_actions", "output:1,output:2,clear_actions" },
    { "apply_actions()", "drop" },
    { "write_actions()", "write_actions(drop)" },
    { "write_metadata:0xff/0x0f meter:3", "meter:3,write_metadata:0xf/0xf" },
};

static void test_matches(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(matches); i++) {
        struct match m, again;
        struct err err = ERR_INIT;
        struct buf b = BUF_INIT;
        if (!match_parse(matches[i].in, &m, &err)) {
            printf("\"%s\": %s: %s\n", matches[i].in, err.field, err.message);
            CU_FAIL_FATAL("a match is refused");
        }
        match_format(&m, &b);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), matches[i].out);
        if (strcmp(buf_cstr(&b), matches[i].out)) {
            printf("\"%s\" gives \"%s\"\n", matches[i].in, buf_cstr(&b));
        }
        CU_ASSERT(match_parse(buf_cstr(&b), &again, &err) && match_equal(&m, &again));
        buf_fini(&b);
    }
}

static void test_actions(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        struct actions as, again;
        struct err err = ERR_INIT;
        struct buf b = BUF_INIT;
        if (!actions_parse(lists[i].in, &as, &err)) {
            printf("\"%s\": %s: %s\n", lists[i].in, err.field, err.message);
            CU_FAIL_FATAL("a list is refused");
        }
        actions_format(&as, &b);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), lists[i].out);
        if (strcmp(buf_cstr(&b), lists[i].out)) {
            printf("\"%s\" gives \"%s\"\n", lists[i].in, buf_cstr(&b));
        }
        CU_ASSERT(actions_parse(buf_cstr(&b), &again, &err) && actions_equal(&as, &again));
        actions_fini(&as);
        actions_fini(&again);
        buf_fini(&b);
    }
}

static void test_flows(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(flows); i++) {
        struct instructions is;
        struct err err = ERR_INIT;
        struct buf b = BUF_INIT;
        CU_ASSERT_FATAL(instructions_parse(flows[i].in, &is, &err));
        instructions_format(&is, &b);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), flows[i].out);
        instructions_fini(&is);
        buf_fini(&b);
    }
}

/* Inputs that are refused, and the token that the error names. */
static const struct { const char *in, *field; } bad_matches[] = {
    { "nosuch", "nosuch" }, { "nosuch=1", "nosuch" }, { "tcp,tcp_dst=x", "tcp_dst" }, { "tcp_dst=80", "tcp_dst" }, { "udp,tcp_dst=80", "tcp_dst" },
    { "ip,tp_dst=80", "tcp_dst" }, { "tcp,udp", "udp" }, { "ip,ipv6", "ipv6" }, { "in_port=1,in_port=2", "in_port" },
    { "reg0=1,xreg0=5", "xreg0" }, { "dl_vlan=4096", "dl_vlan" }, { "vlan_vid=10", "vlan_vid" }, { "vlan_tci=10", "vlan_tci" },
    { "vlan_tci=0x3000/0x3000", "vlan_tci" }, { "dl_vlan_pcp=3", "vlan_pcp" }, { "ip,nw_tos=3", "nw_tos" }, { "ip,ip_dscp=0x8/0x8", "ip_dscp" },
    { "in_phy_port=3", "in_phy_port" }, { "arp,nw_src=1.2.3.4", "ip_src" }, { "ip=1", "ip" },
    { "icmp,icmp_type=1/1", "icmp_type" },
    { "icmp6,icmp_type=136,nd_sll=00:00:00:00:00:01", "nd_sll" }, { "reg0", "reg0" }, { "reg0=", "reg0" },
};
static const struct { const char *in, *field; } bad_lists[] = {
    { "nosuch", "nosuch" }, { "nosuch:1", "nosuch" }, { "output", "output" }, { "output:", "output" }, { "output:nosuch", "nosuch" },
    { "output:xreg0", "output" }, { "4294967296", "4294967296" }, { "group:x", "group" }, { "group", "group" }, { "push_vlan:0x0800", "push_vlan" },
    { "push_vlan", "push_vlan" }, { "pop_vlan:1", "pop_vlan" }, { "drop,output:1", "drop" }, { "output:1,drop", "drop" }, { "drop(nosuch)", "drop" },
    { "enqueue:1", "enqueue" }, { "enqueue:x:1", "enqueue" }, { "enqueue:1:x", "enqueue" }, { "pop_queue:1", "pop_queue" },
    { "drop(64)", "drop" }, { "set_field:1", "set_field" }, { "set_field:1->nosuch", "set_field" }, { "set_field:1->conj_id", "set_field" },
    { "set_field:10->vlan_vid", "vlan_vid" }, { "set_field:1.2.3.4->eth_src", "eth_src" }, { "set_field:1/1->ip_dscp", "ip_dscp" },
    { "load:1", "load" }, { "load:2->reg0[3]", "load" }, { "load:1->reg0[30..33]", "reg0" }, { "load:1->reg0[5..3]", "reg0" }, { "load:1->reg0[", "reg0[" },
    { "load:0->ipv6_src", "load" }, { "load:0->NXM_OF_IN_PORT[0..16]", "NXM_OF_IN_PORT" }, { "move:reg0->reg1[0..3]", "move" }, { "move:reg0", "move" },
    { "move:reg0->conj_id", "move" }, { "resubmit", "resubmit" }, { "resubmit(,256)", "resubmit" }, { "resubmit(x,1)", "resubmit" },
    { "resubmit:65280", "resubmit" }, { "controller(nosuch=1)", "controller" }, { "controller(max_len=65536)", "max_len" }, { "controller:x", "controller" },
    { "clone", "clone" }, { "clone(output:1", "clone(output:1" }, { "clone(nosuch)", "nosuch" }, { "note:1", "note" }, { "note:0g", "note" },
    { "clone(clone(clone(clone(clone(clone(clone(clone(clone(output:1)))))))))", "clone" }, { "mod_dl_src", "mod_dl_src" },
    { "mod_nw_src:1.2.3.0/24", "mod_nw_src" }, { "goto_table:1", "goto_table" },
};
static const struct { const char *in, *field; } bad_flows[] = {
    { "goto_table:1,goto_table:2", "goto_table" }, { "goto_table:255", "goto_table" }, { "goto_table", "goto_table" }, { "drop,goto_table:1", "drop" },
    { "meter", "meter" }, { "write_metadata:1/x", "write_metadata" }, { "write_metadata", "write_metadata" }, { "clear_actions()", "clear_actions" },
    { "write_actions(nosuch)", "nosuch" }, { "write_actions", "write_actions" }, { "output:1,nosuch", "nosuch" }, { "write_actions(1),write_actions(2)", "write_actions" },
};

static void expect_error(const char *in, bool parsed, const struct err *err, const char *field)
{
    bool as_said = !parsed && err->code == ERR_INVALID && !strcmp(err->field, field) && err->message[0];
    CU_ASSERT(as_said);
    if (!as_said) {
        printf("\"%s\": %s, names \"%s\" instead of \"%s\": %s\n", in, parsed ? "taken" : "refused", err->field, field, err->message);
    }
}

static void test_errors(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bad_matches); i++) {
        struct match m;
        struct err err = ERR_INIT;
        expect_error(bad_matches[i].in, match_parse(bad_matches[i].in, &m, &err), &err, bad_matches[i].field);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad_lists); i++) {
        struct actions as;
        struct err err = ERR_INIT;
        expect_error(bad_lists[i].in, actions_parse(bad_lists[i].in, &as, &err), &err, bad_lists[i].field);
        actions_fini(&as);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad_flows); i++) {
        struct instructions is;
        struct err err = ERR_INIT;
        expect_error(bad_flows[i].in, instructions_parse(bad_flows[i].in, &is, &err), &err, bad_flows[i].field);
        instructions_fini(&is);
    }
}

static void test_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 10000; i++) {
        struct match m, m2;
        struct instructions is, is2;
        struct err err = ERR_INIT;
        struct buf b = BUF_INIT;
        random_match(&r, &m);
        match_format(&m, &b);
        if (!match_parse(buf_cstr(&b), &m2, &err) || !match_equal(&m, &m2)) {
            printf("%s: %s %s\n", buf_cstr(&b), err.field, err.message);
            CU_FAIL_FATAL("a match does not survive its text");
        }
        buf_clear(&b);
        random_instructions(&r, &is, true);
        instructions_format(&is, &b);
        if (!instructions_parse(buf_cstr(&b), &is2, &err) || !instructions_equal(&is, &is2)) {
            printf("%s: %s %s\n", buf_cstr(&b), err.field, err.message);
            CU_FAIL_FATAL("instructions do not survive their text");
        }
        instructions_fini(&is);
        instructions_fini(&is2);
        buf_fini(&b);
    }
}

/* Error names: the ones of the specification, numbers for what it does not name. */
static void test_error_names(void)
{
    char scratch[32];
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_ERROR(OFPET_BAD_MATCH, OFPBMC_BAD_PREREQ), scratch), "OFPBMC_BAD_PREREQ");
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_BANDS), scratch), "OFPMMFC_OUT_OF_BANDS");
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_ERROR(OFPET_HELLO_FAILED, 0), scratch), "OFPHFC_INCOMPATIBLE");
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_ERROR(OFPET_BAD_MATCH, 99), scratch), "OFPET_BAD_MATCH/0x63");
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_ERROR(77, 1), scratch), "error 0x4d/0x1");
    CU_ASSERT_STRING_EQUAL(of_error_name(OF_OK, scratch), "no error");
}

void text_test_suite(void);
void text_test_suite(void)
{
    UNIT_SUITE("text", { "matches", test_matches }, { "actions", test_actions }, { "instructions", test_flows }, { "errors name the token", test_errors },
               { "random round trip", test_round_trip }, { "OpenFlow error names", test_error_names });
}
