/* OXM on the wire: golden bytes written by hand from section 7.2.3, errors, random round trips. */
#include "lib/util.h"
#include "ofproto/match.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

/* TLVs in the order in which they are encoded, and what they say. */
static const struct { const char *text, *tlvs; } golden[] = {
    { "", "" },
    { "in_port=7", "80000004 00000007" },
    { "in_port=LOCAL,in_phy_port=3", "80000004 fffffffe 80000204 00000003" },
    { "metadata=0x1122334455667788", "80000408 1122334455667788" },
    { "metadata=0x5500/0xff00", "80000510 0000000000005500 000000000000ff00" },
    { "dl_dst=01:02:03:04:05:06", "80000606 010203040506" },
    { "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "8000070c 010000000000 010000000000" },
    { "dl_src=01:02:03:04:05:06", "80000806 010203040506" },
    { "dl_src=01:02:03:00:00:00/ff:ff:ff:00:00:00", "8000090c 010203000000 ffffff000000" },
    { "dl_type=0x88cc", "80000a02 88cc" },
    { "dl_vlan=10", "80000c02 100a" },
    { "vlan_tci=0x0000/0x1fff", "80000c02 0000" },
    { "vlan_tci=0x1000/0x1000", "80000d04 1000 1000" },
    { "dl_vlan=10,dl_vlan_pcp=5", "80000c02 100a 80000e01 05" },
    { "ip,ip_dscp=46", "80000a02 0800 80001001 2e" },
    { "ipv6,nw_ecn=3", "80000a02 86dd 80001201 03" },
    { "ip,nw_proto=47", "80000a02 0800 80001401 2f" },
    { "ip,nw_src=10.1.2.3", "80000a02 0800 80001604 0a010203" },
    { "ip,nw_src=10.0.0.0/8", "80000a02 0800 80001708 0a000000 ff000000" },
    { "ip,nw_dst=10.0.0.3", "80000a02 0800 80001804 0a000003" },
    { "ip,nw_dst=10.0.0.3/255.0.0.255", "80000a02 0800 80001908 0a000003 ff0000ff" },
    { "tcp,tcp_src=80", "80000a02 0800 80001401 06 80001a02 0050" },
    { "tcp6,tcp_dst=80", "80000a02 86dd 80001401 06 80001c02 0050" },
    { "tcp,tcp_dst=0x50/0xfff0", "80000a02 0800 80001401 06 00001504 0050 fff0" },
    { "udp,udp_src=53", "80000a02 0800 80001401 11 80001e02 0035" },
    { "udp6,udp_dst=53", "80000a02 86dd 80001401 11 80002002 0035" },
    { "sctp,sctp_src=1", "80000a02 0800 80001401 84 80002202 0001" },
    { "sctp6,sctp_dst=2", "80000a02 86dd 80001401 84 80002402 0002" },
    { "icmp,icmp_type=8,icmp_code=1", "80000a02 0800 80001401 01 80002601 08 80002801 01" },
    { "arp,arp_op=2", "80000a02 0806 80002a02 0002" },
    { "arp,arp_spa=1.2.3.4,arp_tpa=1.2.3.5", "80000a02 0806 80002c04 01020304 80002e04 01020305" },
    { "arp,arp_spa=1.2.0.0/16,arp_tpa=1.0.0.0/8", "80000a02 0806 80002d08 01020000 ffff0000 80002f08 01000000 ff000000" },
    { "arp,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02", "80000a02 0806 80003006 020000000001 80003206 020000000002" },
    { "arp,arp_sha=02:00:00:00:00:00/ff:00:00:00:00:00", "80000a02 0806 8000310c 020000000000 ff0000000000" },
    { "ipv6,ipv6_src=fd00::1,ipv6_dst=fd00::2",
      "80000a02 86dd 80003410 fd000000000000000000000000000001 80003610 fd000000000000000000000000000002" },
    { "ipv6,ipv6_src=fd00::/16", "80000a02 86dd 80003520 fd000000000000000000000000000000 ffff0000000000000000000000000000" },
    { "ipv6,ipv6_label=0x12345", "80000a02 86dd 80003804 00012345" },
    { "ipv6,ipv6_label=0x12000/0xff000", "80000a02 86dd 80003908 00012000 000ff000" },
    { "icmp6,icmpv6_type=128,icmpv6_code=0", "80000a02 86dd 80001401 3a 80003a01 80 80003c01 00" },
    { "icmp6,icmpv6_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:01",
      "80000a02 86dd 80001401 3a 80003a01 87 80003e10 fe800000000000000000000000000001 80004006 020000000001" },
    { "icmp6,icmpv6_type=136,nd_tll=02:00:00:00:00:01", "80000a02 86dd 80001401 3a 80003a01 88 80004206 020000000001" },
    { "icmp6,icmpv6_type=136,nd_target=fe80::/16",
      "80000a02 86dd 80001401 3a 80003a01 88 00012f20 fe800000000000000000000000000000 ffff0000000000000000000000000000" },
    { "icmp6,icmpv6_type=136,nd_reserved=1610612736,nd_options_type=2", "80000a02 86dd 80001401 3a 80003a01 88 10000204 60000000 10000401 02" },
    { "mpls,mpls_label=1048575,mpls_tc=7,mpls_bos=1,mpls_ttl=64", "80000a02 8847 80004404 000fffff 80004601 07 80004801 01 00013c01 40" },
    { "dl_type=0x88e7,pbb_isid=66051,pbb_uca=1", "80000a02 88e7 80004a03 010203 80005201 01" },
    { "dl_type=0x88e7,pbb_isid=0x100/0xf00", "80000a02 88e7 80004b06 000100 000f00" },
    { "tun_id=0x7", "80004c08 0000000000000007" },
    { "tun_id=0x7/0xf", "80004d10 0000000000000007 000000000000000f" },
    { "ipv6,ipv6_exthdr=0x44", "80000a02 86dd 80004e02 0044" },
    { "ipv6,ipv6_exthdr=0x40/0x1f0", "80000a02 86dd 80004f04 0040 01f0" },
    { "tcp,tcp_flags=0x12", "80000a02 0800 80001401 06 ffff5406 4f4e4600 0012" },
    { "tcp,tcp_flags=+syn-ack", "80000a02 0800 80001401 06 ffff5508 4f4e4600 0002 0012" },
    { "actset_output=2", "ffff5608 4f4e4600 00000002" },
    { "reg0=0x1,reg15=0xff00/0xff00", "00010004 00000001 00011f08 0000ff00 0000ff00" },
    { "pkt_mark=0x9,conj_id=4", "00014204 00000009 00014a04 00000004" },
    { "ip,nw_ttl=64,nw_frag=no", "80000a02 0800 00013a01 40 00013401 00" },
    { "ip,nw_frag=yes", "80000a02 0800 00013502 01 01" },
    { "sctp,sctp_dst=0x50/0xfff0", "80000a02 0800 80001401 84 80002504 0050 fff0" },         /* There is no NXM header for it. */
};

static void test_golden(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(golden); i++) {
        struct buf want = BUF_INIT, got = BUF_INIT, text = BUF_INIT;
        struct match decoded, parsed;
        struct err err = ERR_INIT;

        put_hex(&want, golden[i].tlvs);
        struct of_error e = match_decode_oxm(cursor_make(want.data, want.size), &decoded);
        CU_ASSERT(of_ok(e));
        match_format(&decoded, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), golden[i].text);

        CU_ASSERT(match_parse(golden[i].text, &parsed, &err));
        CU_ASSERT(match_equal(&parsed, &decoded));
        match_encode(&parsed, &got);
        CU_ASSERT_EQUAL(got.size, ROUND_UP(4 + want.size, 8));
        CU_ASSERT(wire_get16(got.data) == 1 && wire_get16(got.data + 2) == 4 + want.size);
        CU_ASSERT(want.size == 0 || !memcmp(got.data + 4, want.data, want.size));
        for (size_t at = 4 + want.size; at < got.size; at++) {
            CU_ASSERT_EQUAL(got.data[at], 0);
        }
        if (CU_get_number_of_failures() && strcmp(buf_cstr(&text), golden[i].text)) {
            printf("golden \"%s\": decoded as \"%s\", parse says %s %s\n", golden[i].text, buf_cstr(&text), err.field, err.message);
        }
        buf_fini(&want);
        buf_fini(&got);
        buf_fini(&text);
    }
}

/* Other spellings of the same match: they decode, but are not what is encoded. */
static void test_aliases(void)
{
    static const struct { const char *text, *tlvs; } aliases[] = {
        { "dl_src=01:02:03:04:05:06", "00000406 010203040506" },                /* NXM_OF_ETH_SRC */
        { "arp,arp_sha=02:00:00:00:00:01", "00000602 0806 00012206 020000000001" },
        { "ipv6,ipv6_label=0x5", "00000602 86dd 00013604 00000005" },
        { "tcp,tcp_flags=0x2", "80000a02 0800 80001401 06 00014402 0002" },      /* NXM_NX_TCP_FLAGS */
        { "tcp,tcp_flags=0x2", "80000a02 0800 80001401 06 80005402 0002" },      /* OpenFlow 1.5 */
        { "actset_output=2", "80005604 00000002" },
        { "reg0=0x1,reg1=0x2", "80010008 0000000100000002" },                    /* OXM_OF_PKT_REG0 */
        { "reg4=0x1,reg5=0x2,reg6=0x3,reg7=0x4", "0001e010 00000001000000020000000300000004" },    /* NXM_NX_XXREG1 */
        { "tun_id=0x5", "00012008 0000000000000005" },
        { "tcp,tcp_src=0x50/0xfff0", "80000a02 0800 80001401 06 80001b04 0050 fff0" },       /* As Open vSwitch's clients write it. */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++) {
        struct buf in = BUF_INIT, text = BUF_INIT;
        struct match m;
        put_hex(&in, aliases[i].tlvs);
        CU_ASSERT(of_ok(match_decode_oxm(cursor_make(in.data, in.size), &m)));
        match_format(&m, &text);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&text), aliases[i].text);
        buf_fini(&in);
        buf_fini(&text);
    }
}

static void test_errors(void)
{
    static const struct { const char *tlvs; uint16_t code; } errors[] = {
        { "80005004 00000001", OFPBMC_BAD_FIELD },                               /* No field 40. */
        { "80040004 00000001", OFPBMC_BAD_FIELD },                               /* No such class. */
        { "ffff5408 00002320 0012 0000", OFPBMC_BAD_FIELD },                     /* Not under this experimenter. */
        { "ffff5402 4f4e", OFPBMC_BAD_LEN },
        { "800000", OFPBMC_BAD_LEN },
        { "80000004 000001", OFPBMC_BAD_LEN },                                   /* Cut off. */
        { "80000002 0001", OFPBMC_BAD_LEN },                                     /* Too short for the field. */
        { "80000108 00000001 ffffffff", OFPBMC_BAD_MASK },                       /* IN_PORT is not maskable. */
        { "80000a02 0800 80001401 01 80002702 08ff", OFPBMC_BAD_MASK },           /* ICMPV4_TYPE. */
        { "80000c02 100a 80000f02 0101", OFPBMC_BAD_MASK },
        { "8000070c 010000000001 010000000000", OFPBMC_BAD_WILDCARDS },
        { "80000c02 2000", OFPBMC_BAD_VALUE },                                   /* Beyond 13 bits. */
        { "80000c02 000a", OFPBMC_BAD_VALUE },                                   /* A VID without OFPVID_PRESENT. */
        { "80000d04 000a 1fff", OFPBMC_BAD_VALUE },
        { "80000a02 0800 80001001 40", OFPBMC_BAD_VALUE },                       /* DSCP has 6 bits. */
        { "80000a02 86dd 80003804 00100000", OFPBMC_BAD_VALUE },
        { "80000204 00000001", OFPBMC_BAD_PREREQ },                              /* IN_PHY_PORT without IN_PORT. */
        { "80000e01 01", OFPBMC_BAD_PREREQ },
        { "80000c02 0000 80000e01 01", OFPBMC_BAD_PREREQ },                      /* PCP of an untagged frame. */
        { "80001604 0a000001", OFPBMC_BAD_PREREQ },
        { "80001604 0a000001 80000a02 0800", OFPBMC_BAD_PREREQ },                /* Prerequisite after the field. */
        { "80000a02 86dd 80001604 0a000001", OFPBMC_BAD_PREREQ },
        { "80000a02 0800 80001401 11 80001a02 0050", OFPBMC_BAD_PREREQ },        /* TCP port of UDP. */
        { "80000a02 0806 80001401 06", OFPBMC_BAD_PREREQ },
        { "80000a02 86dd 80001401 3a 80003a01 88 80004006 020000000001", OFPBMC_BAD_PREREQ },     /* SLL in an NA. */
        { "80000a02 86dd 80001401 3a 80003a01 80 80003e10 fe800000000000000000000000000001", OFPBMC_BAD_PREREQ },
        { "80000a02 0800 80004404 00000001", OFPBMC_BAD_PREREQ },
        { "80000a02 0800 80004a03 000001", OFPBMC_BAD_PREREQ },
        { "80000004 00000001 80000004 00000001", OFPBMC_DUP_FIELD },
        { "80000606 010203040506 00000206 010203040506", OFPBMC_DUP_FIELD },     /* OXM and NXM of one field. */
        { "00010004 00000001 80010008 0000000100000002", OFPBMC_DUP_FIELD },     /* reg0 is part of xreg0. */
        { "8000070c 000000000000 000000000000 80000606 010203040506", OFPBMC_DUP_FIELD },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        struct buf in = BUF_INIT;
        struct match m;
        put_hex(&in, errors[i].tlvs);
        struct of_error e = match_decode_oxm(cursor_make(in.data, in.size), &m);
        CU_ASSERT_EQUAL(e.type, OFPET_BAD_MATCH);
        CU_ASSERT_EQUAL(e.code, errors[i].code);
        if (e.code != errors[i].code) {
            printf("\"%s\": code %u instead of %u\n", errors[i].tlvs, e.code, errors[i].code);
        }
        buf_fini(&in);
    }
}

static void test_header(void)
{
    static const struct { const char *bytes; int code; size_t used; } rows[] = {
        { "0001 0004 00000000", -1, 8 },
        { "0001 000c 80000004 00000007 00000000 ffff", -1, 16 },
        { "0000 0004 00000000", OFPBMC_BAD_TYPE, 0 },                            /* OFPMT_STANDARD */
        { "0001 0003 00000000", OFPBMC_BAD_LEN, 0 },
        { "0001 0004 0000", OFPBMC_BAD_LEN, 0 },                                 /* Padding missing. */
        { "0001 0010 80000004 00000007", OFPBMC_BAD_LEN, 0 },
        { "0001", OFPBMC_BAD_LEN, 0 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf in = BUF_INIT;
        struct match m;
        put_hex(&in, rows[i].bytes);
        struct cursor c = cursor_make(in.data, in.size);
        struct of_error e = match_decode(&c, &m);
        if (rows[i].code < 0) {
            CU_ASSERT(of_ok(e));
            CU_ASSERT_EQUAL(c.p - in.data, (ptrdiff_t) rows[i].used);
        } else {
            CU_ASSERT(e.type == OFPET_BAD_MATCH && e.code == rows[i].code);
        }
        buf_fini(&in);
    }
}

static void test_loose_masks(void)
{
    /* A mask of 0xffff for the 13 bits of VLAN_VID is the exact match; a mask of zeros is no match at all. */
    struct buf in = BUF_INIT, out = BUF_INIT;
    struct match m;
    put_hex(&in, "80000d04 100a ffff 80000510 0000000000000000 0000000000000000");
    CU_ASSERT(of_ok(match_decode_oxm(cursor_make(in.data, in.size), &m)));
    match_format(&m, &out);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&out), "dl_vlan=10");
    buf_fini(&in);
    buf_fini(&out);
}

static void test_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 20000; i++) {
        struct match m, back;
        struct buf b = BUF_INIT, again = BUF_INIT;
        random_match(&r, &m);
        match_encode(&m, &b);
        buf_put_u8(&b, 0x55);
        struct cursor c = cursor_make(b.data, b.size);
        struct of_error e = match_decode(&c, &back);
        if (!of_ok(e)) {
            struct buf text = BUF_INIT;
            char scratch[32];
            match_format(&m, &text);
            printf("%s: %s\n", buf_cstr(&text), of_error_name(e, scratch));
            buf_fini(&text);
        }
        CU_ASSERT_FATAL(of_ok(e));
        CU_ASSERT_EQUAL_FATAL(cursor_left(&c), 1);
        CU_ASSERT_FATAL(match_equal(&m, &back));
        match_encode(&back, &again);
        CU_ASSERT_FATAL(again.size + 1 == b.size && !memcmp(again.data, b.data, again.size));
        buf_fini(&b);
        buf_fini(&again);
    }
}

void oxm_test_suite(void);
void oxm_test_suite(void)
{
    UNIT_SUITE("oxm", { "golden TLVs", test_golden }, { "NXM and 1.5 spellings", test_aliases }, { "errors", test_errors },
               { "ofp_match header", test_header }, { "loose masks", test_loose_masks }, { "random round trip", test_round_trip });
}
