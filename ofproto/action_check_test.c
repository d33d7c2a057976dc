/* What may be done to the packets of a match. */
#include "lib/util.h"
#include "ofproto/action.h"
#include "tests/unit.h"

#define OK (-1)

/* Match, instructions, and the OFPBAC code or OK. */
static const struct { const char *match, *actions; int code; } rows[] = {
    { "", "output:1", OK },
    { "", "output:0", OFPBAC_BAD_OUT_PORT },
    { "", "output:4294967040", OK },                                             /* OFPP_MAX */
    { "", "output:4294967041", OFPBAC_BAD_OUT_PORT },
    { "", "any", OFPBAC_BAD_OUT_PORT },
    { "", "table", OFPBAC_BAD_OUT_PORT },
    { "", "in_port,normal,flood,all,controller,local", OK },
    { "", "group:4294967040", OK },
    { "", "group:4294967041", OFPBAC_BAD_OUT_GROUP },
    { "", "set_field:1.2.3.4->ip_src", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "set_field:1.2.3.4->ip_src", OK },
    { "ipv6", "set_field:1.2.3.4->ip_src", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT },
    { "tcp", "set_field:80->tcp_dst", OK },
    { "tcp6", "set_field:80->tcp_dst", OK },
    { "tcp", "set_field:80->udp_dst", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "dec_ttl,mod_nw_ttl:5", OK },
    { "ipv6", "dec_ttl", OK },
    { "arp", "dec_ttl", OFPBAC_MATCH_INCONSISTENT },
    { "", "dec_ttl", OFPBAC_MATCH_INCONSISTENT },
    { "arp", "set_field:2->arp_op,set_field:1.2.3.4->arp_spa", OK },
    { "", "set_field:4106->vlan_vid", OK },
    { "dl_vlan=3", "set_field:4106->vlan_vid,set_field:3->vlan_pcp", OK },
    { "dl_vlan=0xffff", "set_field:4106->vlan_vid", OFPBAC_MATCH_INCONSISTENT },
    { "dl_vlan=0xffff", "pop_vlan", OFPBAC_MATCH_INCONSISTENT },
    { "dl_vlan=0xffff", "push_vlan:0x8100,set_field:4106->vlan_vid,set_field:3->vlan_pcp,pop_vlan", OK },
    { "", "set_field:3->vlan_pcp", OFPBAC_MATCH_INCONSISTENT },
    { "dl_vlan=3", "pop_vlan,set_field:3->vlan_pcp", OFPBAC_MATCH_INCONSISTENT },
    { "", "pop_vlan", OK },
    { "ip", "pop_mpls:0x0800", OFPBAC_MATCH_INCONSISTENT },
    { "mpls", "pop_mpls:0x0800,dec_ttl", OK },
    { "mpls", "dec_ttl", OFPBAC_MATCH_INCONSISTENT },
    { "mpls", "set_mpls_ttl:3,dec_mpls_ttl,copy_ttl_in,copy_ttl_out,set_field:5->mpls_label", OK },
    { "tcp", "push_mpls:0x8847,set_field:5->mpls_label", OK },
    { "tcp", "push_mpls:0x8847,set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT },
    { "tcp", "push_mpls:0x8847,pop_mpls:0x0800,set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT },    /* What lies there now is not known. */
    { "ip", "set_mpls_ttl:3", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "push_pbb:0x88e7,set_field:5->pbb_isid,pop_pbb", OK },
    { "ip", "pop_pbb", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "push_pbb:0x88e7,pop_pbb,dec_ttl", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "set_field:0x86dd->eth_type,set_field:fd00::1->ipv6_src", OK },
    { "ip", "set_field:6->ip_proto,set_field:80->tcp_dst", OK },
    { "ip", "load:6->NXM_OF_IP_PROTO[],set_field:80->tcp_dst", OK },
    { "tcp", "move:NXM_NX_REG0[0..7]->NXM_OF_IP_PROTO[],set_field:80->tcp_dst", OFPBAC_MATCH_INCONSISTENT },
    { "", "load:1->NXM_NX_REG0[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", OK },
    { "", "load:0->NXM_OF_IN_PORT[],in_port", OK },
    { "", "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]", OFPBAC_MATCH_INCONSISTENT },
    { "ip", "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[]", OK },
    { "", "output:NXM_NX_REG0[]", OK },
    { "", "output:NXM_OF_IP_SRC[]", OFPBAC_MATCH_INCONSISTENT },
    { "", "resubmit(,253)", OK },
    { "", "resubmit(,255)", OK },
    { "", "resubmit(,254)", OFPBAC_BAD_ARGUMENT },
    { "", "clone(dec_ttl)", OFPBAC_MATCH_INCONSISTENT },
    { "", "clone(push_vlan:0x8100),set_field:3->vlan_pcp", OFPBAC_MATCH_INCONSISTENT },      /* A clone keeps its tags to itself. */
    { "", "controller(id=3),note:01,set_queue:3,pop_queue,drop(anti-spoof)", OK },
    { "", "set_queue:4294967294", OK }, { "", "set_queue:4294967295", OFPBAC_BAD_QUEUE },
    { "", "write_actions(output:1,group:3,set_field:5->reg0,load:1->NXM_NX_REG0[])", OK },
    { "", "write_actions(dec_ttl)", OFPBAC_MATCH_INCONSISTENT },
    { "tcp", "push_mpls:0x8847,write_actions(set_field:5->mpls_label)", OK },       /* As the apply-actions leave it. */
    { "tcp", "push_mpls:0x8847,write_actions(set_field:80->tcp_dst)", OFPBAC_MATCH_INCONSISTENT },
    { "tcp", "write_actions(set_field:5->mpls_label,dec_mpls_ttl,push_mpls:0x8847)", OK },      /* As the set will be carried out. */
    { "mpls", "write_actions(dec_ttl,pop_mpls:0x0800)", OK },
    { "ip", "write_actions(dec_ttl,push_mpls:0x8847)", OK },
    { "ip", "write_actions(push_mpls:0x8847,dec_ttl)", OFPBAC_MATCH_INCONSISTENT },
    { "tcp", "write_actions(set_field:5->mpls_label,push_mpls:0x8847,drop(anti-spoof))", OFPBAC_BAD_TYPE },
    { "ip", "clone(push_mpls:0x8847),write_actions(dec_ttl)", OK },
    { "", "write_actions(resubmit(,3))", OK },
    { "", "write_actions(clone(output:1))", OFPBAC_BAD_TYPE },
    { "", "write_actions(drop(anti-spoof))", OFPBAC_BAD_TYPE },
    { "", "write_actions(table)", OFPBAC_BAD_OUT_PORT },
};

static void test_rows(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct match m;
        struct instructions is;
        struct err err = ERR_INIT;
        CU_ASSERT_FATAL(match_parse(rows[i].match, &m, &err));
        if (!instructions_parse(rows[i].actions, &is, &err)) {
            printf("%s: %s %s\n", rows[i].actions, err.field, err.message);
            CU_FAIL_FATAL("a row does not parse");
        }
        struct of_error e = instructions_check(&is, &m, 0);
        bool as_said = rows[i].code == OK ? of_ok(e) : e.type == OFPET_BAD_ACTION && e.code == rows[i].code;
        CU_ASSERT(as_said);
        if (!as_said) {
            printf("\"%s\" with \"%s\": %u/%u, not %d\n", rows[i].match, rows[i].actions, e.type, e.code, rows[i].code);
        }
        instructions_fini(&is);
    }
}

static void test_tables(void)
{
    static const struct { const char *text; uint8_t table; uint16_t type; int code; } tables[] = {
        { "goto_table:1", 0, 0, OK }, { "goto_table:253", 252, 0, OK },
        { "goto_table:1", 1, OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID }, { "goto_table:0", 0, OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID },
        { "goto_table:254", 0, OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID },
        { "meter:0", 0, OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER }, { "meter:1", 0, 0, OK },
    };
    struct match any;
    match_init(&any);
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        struct instructions is;
        struct err err = ERR_INIT;
        CU_ASSERT_FATAL(instructions_parse(tables[i].text, &is, &err));
        struct of_error e = instructions_check(&is, &any, tables[i].table);
        CU_ASSERT(tables[i].code == OK ? of_ok(e) : e.type == tables[i].type && e.code == tables[i].code);
        instructions_fini(&is);
    }
}

/* Without a match the packet decides; OFPTT_ALL marks a packet-out. */
static void test_packet_out(void)
{
    struct actions as;
    struct err err = ERR_INIT;
    CU_ASSERT_FATAL(actions_parse("dec_ttl,set_field:80->tcp_dst,pop_mpls:0x0800,table", &as, &err));
    CU_ASSERT(of_ok(actions_check(&as, NULL, OFPTT_ALL, false)));
    CU_ASSERT_EQUAL(actions_check(&as, NULL, 0, false).code, OFPBAC_BAD_OUT_PORT);
    as.list[1].set_field.field = field_row(FIELD_IPV6_EXTHDR);
    CU_ASSERT_EQUAL(actions_check(&as, NULL, OFPTT_ALL, false).code, OFPBAC_BAD_SET_TYPE);
    actions_fini(&as);
}

void action_check_test_suite(void);
void action_check_test_suite(void)
{
    UNIT_SUITE("action_check", { "actions and matches", test_rows }, { "tables and meters", test_tables }, { "packet-out", test_packet_out });
}
