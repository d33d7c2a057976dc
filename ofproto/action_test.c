/* Actions and instructions on the wire: golden bytes written by hand from section 7.2.4, 7.2.5 and nicira-ext.h; errors; random round trips. */
#include "lib/util.h"
#include "ofproto/action_row.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

static const struct { const char *text, *bytes; } golden[] = {
    { "output:2", "0000 0010 00000002 0000 000000000000" },
    { "CONTROLLER:128", "0000 0010 fffffffd 0080 000000000000" },
    { "IN_PORT", "0000 0010 fffffff8 0000 000000000000" },
    { "copy_ttl_out", "000b 0008 00000000" },
    { "copy_ttl_in", "000c 0008 00000000" },
    { "set_mpls_ttl(9)", "000f 0008 09 000000" },
    { "dec_mpls_ttl", "0010 0008 00000000" },
    { "push_vlan:0x88a8", "0011 0008 88a8 0000" },
    { "pop_vlan", "0012 0008 00000000" },
    { "push_mpls:0x8847", "0013 0008 8847 0000" },
    { "pop_mpls:0x0800", "0014 0008 0800 0000" },
    { "set_queue:5", "0015 0008 00000005" },
    { "pop_queue", "ffff 0010 00002320 0005 000000000000" },
    { "group:66051", "0016 0008 00010203" },
    { "mod_nw_ttl:64", "0017 0008 40 000000" },
    { "dec_ttl", "0018 0008 00000000" },
    { "set_field:10.0.0.1->ip_src", "0019 0010 80001604 0a000001 00000000" },
    { "set_field:02:00:00:00:00:01->eth_dst", "0019 0010 80000606 020000000001 0000" },
    { "set_field:4106->vlan_vid", "0019 0010 80000c02 100a 000000000000" },
    { "set_field:5->vlan_pcp", "0019 0010 80000e01 05 00000000000000" },
    { "set_field:fd00::1->ipv6_dst", "0019 0018 80003610 fd000000000000000000000000000001" },
    { "set_field:66051->pbb_isid", "0019 0010 80004a03 010203 0000000000" },
    { "set_field:0x7->tun_id", "0019 0010 80004c08 0000000000000007" },
    { "set_field:0x7->reg3", "0019 0010 00010604 00000007 00000000" },
    { "set_field:0x7->xreg1", "0019 0010 80010208 0000000000000007" },
    { "set_field:64->nw_ttl", "0019 0010 00013a01 40 00000000000000" },
    { "push_pbb:0x88e7", "001a 0008 88e7 0000" },
    { "pop_pbb", "001b 0008 00000000" },
    { "resubmit(,5)", "ffff 0010 00002320 000e fff8 05 000000" },
    { "resubmit(3,4)", "ffff 0010 00002320 000e 0003 04 000000" },
    { "resubmit:7", "ffff 0010 00002320 000e 0007 ff 000000" },
    { "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "ffff 0018 00002320 0006 0030 0000 0000 80000806 80000606" },
    { "move:NXM_NX_REG0[4..7]->NXM_NX_REG1[8..11]", "ffff 0018 00002320 0006 0004 0004 0008 00010004 00010204" },
    { "move:ONFOXM_ET_ACTSET_OUTPUT[]->NXM_NX_REG1[]", "ffff 0020 00002320 0006 0020 0000 0000 ffff5608 4f4e4600 00010204 00000000" },
    { "load:0x1->NXM_NX_REG0[0..15]", "ffff 0018 00002320 0007 000f 00010004 0000000000000001" },
    { "load:0x1->NXM_NX_REG2[31]", "ffff 0018 00002320 0007 07c0 00010404 0000000000000001" },
    { "load:0->OXM_OF_IN_PORT[]", "ffff 0018 00002320 0007 001f 80000004 0000000000000000" },
    { "set_field:0x5/0xff->reg0", "ffff 0018 00002320 0021 00010108 00000005 000000ff 0000" },
    { "set_field:0x50/0xf0->tcp_dst", "ffff 0018 00002320 0021 00001504 0050 00f0 000000000000" },
    { "output:NXM_NX_REG0[]", "ffff 0018 00002320 000f 001f 00010004 ffff 000000000000" },
    { "output:NXM_NX_REG1[16..31]", "ffff 0018 00002320 000f 040f 00010204 ffff 000000000000" },
    { "output:ONFOXM_ET_ACTSET_OUTPUT[]", "ffff 0018 00002320 0020 001f ffff ffff5608 4f4e4600 0000" },
    { "controller(reason=no_match,max_len=128,id=5)", "ffff 0010 00002320 0014 0080 0005 00 00" },
    { "controller(max_len=65535)", "ffff 0010 00002320 0014 ffff 0000 01 00" },
    { "controller(max_len=65535,meter_id=5)",
      "ffff 0018 00002320 0025 000000000000 0005 0008 00000005" },
    { "controller(reason=no_match,max_len=64,id=2,meter_id=5)",
      "ffff 0030 00002320 0025 000000000000 0000 0008 0040 0000 0001 0008 0002 0000 0002 0008 00 000000 0005 0008 00000005" },
    { "clone(output:1,dec_ttl)", "ffff 0028 00002320 002a 000000000000 0000 0010 00000001 0000 000000000000 0018 0008 00000000" },
    { "clone(drop)", "ffff 0010 00002320 002a 000000000000" },
    { "note:01.02.03.04.05.06", "ffff 0010 00002320 0008 010203040506" },
    { "note:01.02.03.04.05.06.07.00.00.00.00.00.00.00", "ffff 0018 00002320 0008 0102030405060700000000000000" },
    { "drop(anti-spoof)", "ffff 0010 00002320 0008 504f4c00 0020" },
    { "controller(max_len=65535,id=7,userdata=01.02)", "ffff 0020 00002320 0025 000000000000 0001 0008 0007 0000 0003 0006 0102 0000" },
    { "conjunction(66051,2/3)", "ffff 0010 00002320 0022 01 03 00010203" },
    { "drop", "" },
    { "output:1,output:2", "0000 0010 00000001 0000 000000000000 0000 0010 00000002 0000 000000000000" },
};

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return a->size == b->size && (!a->size || !memcmp(a->data, b->data, a->size));
}

static void test_golden(void)
{
    bool seen[N_ACTION_TYPES] = { false };
    for (unsigned i = 0; i < ARRAY_SIZE(golden); i++) {
        struct buf want = BUF_INIT, got = BUF_INIT, text = BUF_INIT;
        struct actions decoded, parsed;
        struct err err = ERR_INIT;

        put_hex(&want, golden[i].bytes);
        CU_ASSERT(of_ok(actions_decode(cursor_make(want.data, want.size), &decoded)));
        actions_format(&decoded, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), golden[i].text);
        CU_ASSERT(actions_parse(golden[i].text, &parsed, &err));
        CU_ASSERT(actions_equal(&parsed, &decoded));
        actions_encode(&parsed, &got);
        CU_ASSERT(same_bytes(&got, &want));
        if (!same_bytes(&got, &want) || strcmp(buf_cstr(&text), golden[i].text)) {
            printf("golden \"%s\": decoded as \"%s\", parse says %s %s\n", golden[i].text, buf_cstr(&text), err.field, err.message);
        }
        for (unsigned k = 0; k < decoded.n; k++) {
            seen[decoded.list[k].type] = true;
        }
        actions_fini(&decoded);
        actions_fini(&parsed);
        buf_fini(&want);
        buf_fini(&got);
        buf_fini(&text);
    }
    for (unsigned i = 0; i < N_ACTION_TYPES; i++) {
        CU_ASSERT(seen[i]);
    }
}

/* Wire forms that decode, but are not what is encoded. */
static void test_other_forms(void)
{
    static const struct { const char *text, *bytes; } forms[] = {
        { "resubmit:7", "ffff 0010 00002320 0001 0007 00 000000" },                                     /* NXAST_RESUBMIT */
        { "resubmit(,)", "ffff 0010 00002320 0001 fff8 00 000000" },
        { "output:NXM_NX_REG0[]", "ffff 0018 00002320 0020 001f ffff 00010004 000000000000" },          /* NXAST_OUTPUT_REG2 */
        { "set_field:0x5->reg0", "ffff 0018 00002320 0021 00010004 00000005 000000000000" },            /* NXAST_REG_LOAD2, no mask */
        { "set_field:0x5->reg0", "ffff 0018 00002320 0021 00010108 00000005 ffffffff 0000" },
        { "set_field:0x5->metadata", "0019 0010 80000408 0000000000000005" },
        { "load:0->OXM_OF_IN_PORT[0..15]", "ffff 0018 00002320 0007 000f 00000002 0000000000000000" },  /* NXM_OF_IN_PORT, as OVN uses it */
        { "controller(max_len=128,id=7)", "ffff 0020 00002320 0025 000000000000 0000 0006 0080 0000 0001 0006 0007 0000" },
        { "note:50.4f.4c.00.00.40", "ffff 0010 00002320 0008 504f4c00 0040" },                           /* No such drop reason: a note. */
        { "note:50.4f.4c.00.00.20.00.00.00.00.00.00.00.00", "ffff 0018 00002320 0008 504f4c00 0020 0000000000000000" },
        { "load:0x5->NXM_OF_ETH_SRC[]", "ffff 0018 00002320 0007 002f 00000406 0000000000000005" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        struct buf in = BUF_INIT, text = BUF_INIT;
        struct actions as;
        put_hex(&in, forms[i].bytes);
        CU_ASSERT(of_ok(actions_decode(cursor_make(in.data, in.size), &as)));
        actions_format(&as, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), forms[i].text);
        actions_fini(&as);
        buf_fini(&in);
        buf_fini(&text);
    }
}

static void test_errors(void)
{
    static const struct { const char *bytes; uint16_t code; } errors[] = {
        { "0000 0010 00000001 0000 0000", OFPBAC_BAD_LEN },                      /* Cut off. */
        { "0000 0008 00000001", OFPBAC_BAD_LEN },                                /* An output has 16 bytes. */
        { "0000 0004", OFPBAC_BAD_LEN },
        { "0000", OFPBAC_BAD_LEN },
        { "0000 0000 00000000", OFPBAC_BAD_LEN },
        { "0018 000c 0000000000000000", OFPBAC_BAD_LEN },                        /* Not a multiple of 8. */
        { "0001 0008 00000000", OFPBAC_BAD_TYPE },
        { "001c 0008 00000000", OFPBAC_BAD_TYPE },
        { "ffff 0008 00002320", OFPBAC_BAD_LEN },
        { "ffff 0010 12345678 0001 0000 00000000", OFPBAC_BAD_EXPERIMENTER },
        { "ffff 0010 00002320 00ff 0000 00000000", OFPBAC_BAD_EXP_TYPE },
        { "0011 0008 0800 0000", OFPBAC_BAD_ARGUMENT },                          /* No VLAN tag type. */
        { "0013 0008 8100 0000", OFPBAC_BAD_ARGUMENT },
        { "001a 0008 8100 0000", OFPBAC_BAD_ARGUMENT },
        { "0019 0008 80001604", OFPBAC_BAD_SET_LEN },
        { "0019 0010 80005004 00000001 00000000", OFPBAC_BAD_SET_TYPE },         /* Field 40. */
        { "0019 0010 80000204 00000001 00000000", OFPBAC_BAD_SET_TYPE },         /* IN_PHY_PORT */
        { "0019 0010 80004e02 0001 000000000000", OFPBAC_BAD_SET_TYPE },         /* IPV6_EXTHDR */
        { "0019 0010 80001602 0a00 000000000000", OFPBAC_BAD_SET_LEN },
        { "0019 0018 80001604 0a000001 000000000000000000000000", OFPBAC_BAD_SET_LEN },
        { "0019 0010 80001708 0a000000 ff000000", OFPBAC_BAD_SET_ARGUMENT },     /* "oxm_hasmask must be zero" */
        { "0019 0010 80001001 40 00000000000000", OFPBAC_BAD_SET_ARGUMENT },
        { "0019 0010 80000c02 000a 000000000000", OFPBAC_BAD_SET_ARGUMENT },     /* No OFPVID_PRESENT. */
        { "ffff 0018 00002320 0007 000f 00010004 0000000000010000", OFPBAC_BAD_SET_ARGUMENT },   /* 17 bits into 16. */
        { "ffff 0018 00002320 0007 041f 00010004 0000000000000000", OFPBAC_BAD_SET_ARGUMENT },   /* 16..47 of 32. */
        { "ffff 0018 00002320 0007 0000 80000204 0000000000000000", OFPBAC_BAD_SET_TYPE },
        { "ffff 0018 00002320 0007 0000 00010002 0000000000000000", OFPBAC_BAD_SET_LEN },
        { "ffff 0018 00002320 0006 0000 0000 0000 00010004 00010204", OFPBAC_BAD_SET_ARGUMENT }, /* Zero bits. */
        { "ffff 0018 00002320 0006 0000 0000 0000 00000002 00010204", OFPBAC_BAD_SET_ARGUMENT },
        { "ffff 0018 00002320 0006 0021 0000 0000 00010004 00010204", OFPBAC_BAD_SET_ARGUMENT },
        { "ffff 0018 00002320 0006 0020 0000 0000 00010004 80000204", OFPBAC_BAD_SET_TYPE },
        { "ffff 0018 00002320 000f 003f 80010008 ffff 000000000000", OFPBAC_BAD_ARGUMENT },      /* A port of 64 bits. */
        { "ffff 0020 00002320 0025 000000000000 0004 0004 00000000 0001 0006 0007 0000", OFPBAC_BAD_ARGUMENT },   /* A pause. */
        { "ffff 0018 00002320 0025 000000000000 0005 0008 ffff0001", OFPBAC_BAD_ARGUMENT },
        { "ffff 0018 00002320 0006 0020 0000 0000 80005604 00010204", OFPBAC_BAD_SET_TYPE },
        { "ffff 0018 00002320 0025 000000000000 0000 0002 0102 0000", OFPBAC_BAD_LEN },
        { "ffff 0018 00002320 0025 000000000000 0000 0005 0100 0000", OFPBAC_BAD_LEN },
        { "ffff 0018 00002320 002a 000000000000 0018 0010 00000000", OFPBAC_BAD_LEN },           /* Inside a clone. */
        { "0018 0008 00000000 0001 0008 00000000", OFPBAC_BAD_TYPE },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        struct buf in = BUF_INIT;
        struct actions as;
        put_hex(&in, errors[i].bytes);
        struct of_error e = actions_decode(cursor_make(in.data, in.size), &as);
        CU_ASSERT(e.type == OFPET_BAD_ACTION && e.code == errors[i].code);
        CU_ASSERT(as.n == 0 && !as.list);
        if (e.code != errors[i].code) {
            printf("\"%s\": code %d instead of %u\n", errors[i].bytes, e.code, errors[i].code);
        }
        actions_fini(&as);
        buf_fini(&in);
    }
}

static void test_nesting(void)
{
    for (unsigned depth = 1; depth <= ACTION_MAX_DEPTH + 1; depth++) {
        struct actions as, back;
        struct buf b = BUF_INIT;
        actions_init(&as);
        struct actions *inner = &as;
        for (unsigned i = 0; i < depth; i++) {
            inner = actions_clone(inner);
        }
        actions_output(inner, 1);
        actions_encode(&as, &b);
        struct of_error e = actions_decode(cursor_make(b.data, b.size), &back);
        if (depth <= ACTION_MAX_DEPTH) {
            CU_ASSERT(of_ok(e) && actions_equal(&as, &back));
            CU_ASSERT(of_ok(actions_check(&as, NULL, 0, false)));
        } else {
            CU_ASSERT(e.type == OFPET_BAD_ACTION && e.code == OFPBAC_TOO_MANY);
            CU_ASSERT_EQUAL(actions_check(&as, NULL, 0, false).code, OFPBAC_TOO_MANY);
        }
        actions_fini(&as);
        actions_fini(&back);
        buf_fini(&b);
    }
}

static void test_builders(void)
{
    struct actions built, parsed;
    struct err err = ERR_INIT;
    struct ip ip4, ip6;
    struct mac mac;

    CU_ASSERT(ip_parse("10.0.0.1", &ip4) && ip_parse("fd00::1", &ip6) && mac_parse("02:00:00:00:00:01", &mac));
    actions_init(&built);
    actions_set_mac(&built, FIELD_ETH_SRC, mac);
    actions_set_ip(&built, FIELD_IPV4_DST, &ip4);
    actions_set_ip(&built, FIELD_IPV6_SRC, &ip6);
    actions_set_u64(&built, FIELD_METADATA, 5);
    actions_load(&built, FIELD_REG0, 16, 16, 0x8001);
    actions_move(&built, FIELD_REG0, 0, FIELD_REG0 + 1, 8, 24);
    actions_group(&built, 3);
    actions_output(actions_clone(&built), OFPP_CONTROLLER);
    actions_resubmit(&built, 9);
    actions_output(&built, OFPP_IN_PORT);
    actions_drop(&built, 33);
    CU_ASSERT_FATAL(actions_parse("set_field:02:00:00:00:00:01->eth_src,set_field:10.0.0.1->ip_dst,set_field:fd00::1->ipv6_src,set_field:5->metadata,"
                                  "load:0x8001->NXM_NX_REG0[16..31],move:reg0[0..23]->reg1[8..31],group:3,clone(controller),resubmit(,9),in_port,"
                                  "drop(unknown-unicast)", &parsed, &err));
    CU_ASSERT(actions_equal(&built, &parsed));
    parsed.list[6].group = 4;
    CU_ASSERT(!actions_equal(&built, &parsed));
    parsed.list[6].group = 3;
    parsed.list[7].nested.list[0].output.port = 5;
    CU_ASSERT(!actions_equal(&built, &parsed));
    actions_fini(&built);
    actions_fini(&parsed);
}

/* Decodes, compares, encodes again; also a copy must be equal and independent. */
static void test_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 10000; i++) {
        struct instructions is, back, copy;
        struct buf b = BUF_INIT, again = BUF_INIT;
        random_instructions(&r, &is, false);
        instructions_encode(&is, &b);
        struct of_error e = instructions_decode(cursor_make(b.data, b.size), &back);
        if (!of_ok(e)) {
            char scratch[32];
            struct buf text = BUF_INIT;
            instructions_format(&is, &text);
            printf("%s: %s\n", buf_cstr(&text), of_error_name(e, scratch));
            buf_fini(&text);
        }
        CU_ASSERT_FATAL(of_ok(e));
        CU_ASSERT_FATAL(instructions_equal(&is, &back));
        instructions_copy(&copy, &back);
        instructions_fini(&back);
        CU_ASSERT_FATAL(instructions_equal(&is, &copy));
        instructions_encode(&copy, &again);
        CU_ASSERT_FATAL(same_bytes(&b, &again));
        actions_output(&copy.apply, 1);
        CU_ASSERT_FATAL(!instructions_equal(&is, &copy));
        instructions_fini(&copy);
        instructions_fini(&is);
        buf_fini(&b);
        buf_fini(&again);
    }
}

static void test_instructions(void)
{
    static const struct { const char *text, *bytes; } rows[] = {
        { "drop", "" },
        { "goto_table:3", "0001 0008 03 000000" },
        { "write_metadata:0x5", "0002 0018 00000000 0000000000000005 ffffffffffffffff" },
        { "write_metadata:0x5/0xff", "0002 0018 00000000 0000000000000005 00000000000000ff" },
        { "write_actions(output:1)", "0003 0018 00000000 0000 0010 00000001 0000 000000000000" },
        { "write_actions(drop)", "0003 0008 00000000" },
        { "output:1", "0004 0018 00000000 0000 0010 00000001 0000 000000000000" },
        { "clear_actions", "0005 0008 00000000" },
        { "meter:7", "0006 0008 00000007" },
        { "meter:7,dec_ttl,clear_actions,write_actions(group:1),write_metadata:0x1,goto_table:9",
          "0006 0008 00000007 0004 0010 00000000 0018 0008 00000000 0005 0008 00000000 0003 0010 00000000 0016 0008 00000001"
          "0002 0018 00000000 0000000000000001 ffffffffffffffff 0001 0008 09 000000" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf want = BUF_INIT, got = BUF_INIT, text = BUF_INIT;
        struct instructions decoded, parsed;
        struct err err = ERR_INIT;
        put_hex(&want, rows[i].bytes);
        CU_ASSERT(of_ok(instructions_decode(cursor_make(want.data, want.size), &decoded)));
        instructions_format(&decoded, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), rows[i].text);
        CU_ASSERT(instructions_parse(rows[i].text, &parsed, &err));
        CU_ASSERT(instructions_equal(&decoded, &parsed));
        instructions_encode(&parsed, &got);
        CU_ASSERT(same_bytes(&got, &want));
        instructions_fini(&decoded);
        instructions_fini(&parsed);
        buf_fini(&want);
        buf_fini(&got);
        buf_fini(&text);
    }
}

static void test_instruction_errors(void)
{
    static const struct { const char *bytes; uint16_t type, code; } errors[] = {
        { "0001 0008 03", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0001 0010 03 000000 0000000000000000", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0001 0004", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0002 0008 00000000", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0004 000c 00000000 00000000", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0005 0010 000000000000000000000000", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_LEN },
        { "0007 0008 00000000", OFPET_BAD_INSTRUCTION, OFPBIC_UNKNOWN_INST },
        { "0000 0008 00000000", OFPET_BAD_INSTRUCTION, OFPBIC_UNKNOWN_INST },
        { "ffff 0008 00002320", OFPET_BAD_INSTRUCTION, OFPBIC_BAD_EXPERIMENTER },
        { "0001 0008 03 000000 0001 0008 04 000000", OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST },
        { "0004 0008 00000000 0004 0008 00000000", OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST },
        { "0004 0010 00000000 0001 0008 00000000", OFPET_BAD_ACTION, OFPBAC_BAD_TYPE },
        { "0003 0010 00000000 0018 0010 00000000", OFPET_BAD_ACTION, OFPBAC_BAD_LEN },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        struct buf in = BUF_INIT;
        struct instructions is;
        put_hex(&in, errors[i].bytes);
        struct of_error e = instructions_decode(cursor_make(in.data, in.size), &is);
        CU_ASSERT(e.type == errors[i].type && e.code == errors[i].code);
        if (e.type != errors[i].type || e.code != errors[i].code) {
            printf("\"%s\": %u/%u\n", errors[i].bytes, e.type, e.code);
        }
        CU_ASSERT(!is.has_apply && !is.apply.n && !is.write.n);
        instructions_fini(&is);
        buf_fini(&in);
    }
}

void action_test_suite(void);
void action_test_suite(void)
{
    UNIT_SUITE("action", { "golden actions", test_golden }, { "other wire forms", test_other_forms }, { "errors", test_errors }, { "nesting", test_nesting },
               { "builders", test_builders }, { "golden instructions", test_instructions }, { "instruction errors", test_instruction_errors },
               { "random round trip", test_round_trip });
}
