/* Parsing: composed frames, hand-made ones, and every way to cut them off. */
#include "tests/unit.h"
#include "vswitch/packet_random.h"

unit_suite_fn packet_test_suite;

static void extract(const void *bytes, size_t n, struct packet *view, struct flow *f)
{
    /* Memory of exactly this size, so that a sanitizer sees a read beyond it. */
    uint8_t *memory = malloc(n ? n : 1);
    if (n) {
        memcpy(memory, bytes, n);
    }
    flow_init(f);
    *view = (struct packet) { .data = memory, .len = (uint32_t) n };
    packet_extract(view, f);
    view->data = NULL;
    free(memory);
}

/* Hex with spaces; returns the size. */
static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text != ' ') {
            unsigned byte = 0;
            sscanf(text++, "%2x", &byte);
            out[n++] = (uint8_t) byte;
        }
    }
    return n;
}

static void parse(const char *hex, struct packet *view, struct flow *f)
{
    uint8_t bytes[512];
    extract(bytes, unhex(hex, bytes), view, f);
}

static void test_compose(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 20000; round++) {
        struct flow key, got;
        random_key(&rng, &key);
        struct packet *p = random_frame(&rng, &key, rng_below(&rng, 100));
        flow_init(&got);
        packet_extract(p, &got);
        if (memcmp(&key, &got, sizeof key)) {
            for (unsigned i = 0; i < sizeof key; i++) {
                if (((uint8_t *) &key)[i] != ((uint8_t *) &got)[i]) {
                    printf("  round %u: byte %u of the key differs\n", round, i);
                    break;
                }
            }
        }
        CU_ASSERT_FALSE(memcmp(&key, &got, sizeof key));
        CU_ASSERT_TRUE(checksums_right(p, &got));
        free(p);
    }
}

/* What is cut off is zero; what is there is as in the whole frame. */
static void test_truncation(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 500; round++) {
        struct flow key, got;
        random_key(&rng, &key);
        struct packet *p = random_frame(&rng, &key, 30), view;
        for (uint32_t n = 0; n <= p->len; n++) {
            extract(p->data, n, &view, &got);
            const uint8_t *whole = (const uint8_t *) &key, *part = (const uint8_t *) &got;
            unsigned bad = 0;
            for (size_t i = offsetof(struct flow, ipv4_src); i < sizeof got; i++) {
                bool is_option = i == offsetof(struct flow, nd_options_type) || i == offsetof(struct flow, ipv6_exthdr) + 1;
                bad += part[i] && part[i] != whole[i] && !is_option;
            }
            CU_ASSERT_EQUAL(bad, 0);
            CU_ASSERT_TRUE(view.l4_ofs <= n && view.l3_ofs <= n && view.l2_len <= n);
        }
        free(p);
    }
}

#define MACS "000000000002 000000000001 "
#define IP4 "4500 001c 0001 0000 4011 0000 0a000001 0a000002 "
#define UDP "03e8 0050 0008 0000 "

static void test_ethernet(void)
{
    struct packet v;
    struct flow f;
    /* QinQ: the outer tag is the key's, the type is behind both. */
    parse(MACS "88a8 6064 8100 2005 0800" IP4 UDP, &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.vlan_tpid), 0x88a8);
    CU_ASSERT_EQUAL(be16_get(f.vlan_vid), 0x1064);
    CU_ASSERT_EQUAL(f.vlan_pcp, 3);
    CU_ASSERT_EQUAL(be16_get(f.eth_type), 0x800);
    CU_ASSERT_EQUAL(v.l2_len, 22);
    CU_ASSERT_EQUAL(v.l3_ofs, 22);
    CU_ASSERT_EQUAL(v.l4_ofs, 42);
    CU_ASSERT_EQUAL(be16_get(f.tp_dst), 80);
    /* 802.2: without SNAP no type; with SNAP its type; another OUI has none. */
    parse(MACS "0003 424203", &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.eth_type), 0x5ff);
    CU_ASSERT_EQUAL(v.l2_len, 14);
    parse(MACS "0024 aaaa03 000000 0800" IP4 UDP, &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.eth_type), 0x800);
    CU_ASSERT_EQUAL(v.l3_ofs, 22);
    CU_ASSERT_EQUAL(be16_get(f.tp_dst), 80);
    parse(MACS "0024 aaaa03 00000c 2000 0000", &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.eth_type), 0x5ff);
    /* A tag that is cut off is no tag. */
    parse(MACS "8100 00", &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.eth_type), 0x8100);
    CU_ASSERT_EQUAL(be16_get(f.vlan_vid), 0);
    /* Only the outermost label. */
    parse(MACS "8847 000641ff 00065140", &v, &f);
    CU_ASSERT_EQUAL(be32_get(f.mpls_label), 100);
    CU_ASSERT_EQUAL(f.mpls_bos, 1);
    CU_ASSERT_EQUAL(f.mpls_ttl, 255);
    parse(MACS "88e7 e8000064 " MACS "0800", &v, &f);
    CU_ASSERT_EQUAL(be32_get(f.pbb_isid), 100);
    CU_ASSERT_EQUAL(f.pbb_uca, 1);
    parse("000000", &v, &f);
    CU_ASSERT_EQUAL(v.l2_len, 0);
}

static void test_ipv4(void)
{
    struct packet v;
    struct flow f;
    /* Options are stepped over. */
    parse(MACS "0800 4600 0020 0001 0000 4011 0000 0a000001 0a000002 01010101" UDP, &v, &f);
    CU_ASSERT_EQUAL(v.l4_ofs, 38);
    CU_ASSERT_EQUAL(be16_get(f.tp_src), 1000);
    /* Padding behind the total length is no UDP header. */
    parse(MACS "0800 4500 0014 0001 0000 4011 0000 0a000001 0a000002" UDP, &v, &f);
    CU_ASSERT_EQUAL(f.ip_proto, 17);
    CU_ASSERT_EQUAL(v.l4_ofs, 0);
    CU_ASSERT_EQUAL(be16_get(f.tp_src), 0);
    /* Malformed: IHL 4, IHL beyond the frame, version 5, total length below the header: no IP at all. */
    static const char *const bad[] = {
        MACS "0800 4400 001c 0001 0000 4011 0000 0a000001 0a000002" UDP,
        MACS "0800 4f00 001c 0001 0000 4011 0000 0a000001 0a000002" UDP,
        MACS "0800 5500 001c 0001 0000 4011 0000 0a000001 0a000002" UDP,
        MACS "0800 4500 0013 0001 0000 4011 0000 0a000001 0a000002" UDP,
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        parse(bad[i], &v, &f);
        CU_ASSERT_EQUAL(v.l3_ofs, 0);
        CU_ASSERT_EQUAL(be32_get(f.ipv4_src), 0);
        CU_ASSERT_EQUAL(f.ip_proto, 0);
    }
    /* Fragments. */
    parse(MACS "0800 4500 001c 0001 2000 4011 0000 0a000001 0a000002" UDP, &v, &f);
    CU_ASSERT_EQUAL(f.ip_frag, FLOW_FRAG_ANY);
    CU_ASSERT_EQUAL(be16_get(f.tp_dst), 80);
    parse(MACS "0800 4500 001c 0001 0001 4011 0000 0a000001 0a000002" UDP, &v, &f);
    CU_ASSERT_EQUAL(f.ip_frag, FLOW_FRAG_ANY | FLOW_FRAG_LATER);
    CU_ASSERT_EQUAL(be16_get(f.tp_dst), 0);
    CU_ASSERT_EQUAL(v.l4_ofs, 0);
}

#define IP6(LEN, NEXT) MACS "86dd 60000000 " LEN NEXT "40 00000000000000000000000000000001 00000000000000000000000000000002 "

static void check_chain(const char *hex, unsigned bits, unsigned proto, unsigned l4_ofs)
{
    struct packet v;
    struct flow f;
    parse(hex, &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.ipv6_exthdr), bits);
    CU_ASSERT_EQUAL(f.ip_proto, proto);
    CU_ASSERT_EQUAL(v.l4_ofs, l4_ofs);
}

/* Section 7.2.3.8, bit by bit. */
static void test_ipv6_chain(void)
{
    check_chain(IP6("0008", "11") UDP, 0, 17, 54);
    check_chain(IP6("0010", "00") "1100010400000000" UDP, OFPIEH_HOP, 17, 62);
    check_chain(IP6("0010", "33") "1100000000000000" UDP, OFPIEH_AUTH, 17, 62);
    check_chain(IP6("0008", "32") "0000000000000000", OFPIEH_ESP, 50, 0);
    check_chain(IP6("0000", "3b"), OFPIEH_NONEXT, 59, 0);
    check_chain(IP6("0010", "2c") "1100000000000001" UDP, OFPIEH_FRAG, 17, 62);
    check_chain(IP6("0010", "2c") "1100000800000001" UDP, OFPIEH_FRAG, 17, 0);
    /* Two destination options headers where RFC 8200 has them: before routing and last. */
    check_chain(IP6("0020", "3c") "2b00010400000000 3c00000000000000 1100010400000000" UDP, OFPIEH_DEST | OFPIEH_ROUTER, 17, 78);
    /* A third one is one too many. */
    check_chain(IP6("0020", "3c") "3c00010400000000 3c00010400000000 1100010400000000" UDP, OFPIEH_DEST | OFPIEH_UNREP, 17, 78);
    /* Routing after fragment: not in the preferred order. */
    check_chain(IP6("0018", "2c") "2b00000000000001 1100000000000000" UDP, OFPIEH_FRAG | OFPIEH_ROUTER | OFPIEH_UNSEQ, 17, 70);
    /* Hop-by-hop that is not first does not count as one. */
    check_chain(IP6("0018", "2b") "0000000000000000 1100010400000000" UDP, OFPIEH_ROUTER | OFPIEH_UNSEQ, 17, 70);
    check_chain(IP6("0018", "2b") "2b00000000000000 1100000000000000" UDP, OFPIEH_ROUTER | OFPIEH_UNREP, 17, 70);
    /* A header longer than the packet: the chain ends there. */
    check_chain(IP6("0010", "00") "11ff010400000000" UDP, OFPIEH_HOP, 0, 0);
    check_chain(IP6("0004", "00") "1100010400000000" UDP, 0, 0, 0);
}

static void test_nd(void)
{
    struct packet v;
    struct flow f;
    /* An unknown option first; option type is the first address option's. */
    parse(IP6("0030", "3a") "8700 0000 00000000 20010db8000000000000000000000009 0e01000000000000 01010200000000aa 0201020000000bbb", &v, &f);
    CU_ASSERT_EQUAL(f.nd_options_type, 1);
    CU_ASSERT_EQUAL(mac_u64(f.nd_sll), UINT64_C(0x0200000000aa));
    CU_ASSERT_EQUAL(mac_u64(f.nd_tll), UINT64_C(0x020000000bbb));
    CU_ASSERT_EQUAL(f.nd_target.b[15], 9);
    /* RFC 4861 section 4.6: length zero ends it. */
    parse(IP6("0020", "3a") "8700 0000 00000000 20010db8000000000000000000000009 01000200000000aa", &v, &f);
    CU_ASSERT_EQUAL(f.nd_options_type, 0);
    /* Too short for a target. */
    parse(IP6("0014", "3a") "8800 0000 20000000 20010db80000000000000000", &v, &f);
    CU_ASSERT_EQUAL(f.icmp_type, 136);
    CU_ASSERT_EQUAL(be32_get(f.nd_reserved), 0);
}

static void test_arp(void)
{
    struct packet v;
    struct flow f;
    parse(MACS "0806 0001080006040002 00000000000a 0a000001 00000000000b 0a000002", &v, &f);
    CU_ASSERT_EQUAL(be16_get(f.arp_op), 2);
    CU_ASSERT_EQUAL(be32_get(f.arp_spa), 0x0a000001);
    CU_ASSERT_EQUAL(be32_get(f.arp_tpa), 0x0a000002);
    CU_ASSERT_EQUAL(mac_u64(f.arp_sha), 10);
    CU_ASSERT_EQUAL(mac_u64(f.arp_tha), 11);
    /* Not of Ethernet and IPv4. */
    parse(MACS "0806 0001080006050002 00000000000a 0a000001 00000000000b 0a000002", &v, &f);
    CU_ASSERT_EQUAL(v.l3_ofs, 0);
    CU_ASSERT_EQUAL(be16_get(f.arp_op), 0);
}

static void test_keeps_pipeline_fields(void)
{
    struct packet v;
    struct flow f;
    uint8_t bytes[64];
    size_t n = unhex(MACS "0800" IP4 UDP, bytes);
    memset(&f, 0xee, sizeof f);
    v = (struct packet) { .data = bytes, .len = (uint32_t) n };
    packet_extract(&v, &f);
    CU_ASSERT_EQUAL(be32_get(f.regs[3]), 0xeeeeeeee);
    CU_ASSERT_EQUAL(be32_get(f.in_port), 0xeeeeeeee);
    CU_ASSERT_EQUAL(be32_get(f.pbb_isid), 0);
    CU_ASSERT_EQUAL(be16_get(f.arp_op), 0);
}

void packet_test_suite(void)
{
    UNIT_SUITE("packet",
        { "compose and extract", test_compose },
        { "cut off anywhere", test_truncation },
        { "Ethernet, tags, labels", test_ethernet },
        { "IPv4", test_ipv4 },
        { "IPv6 header chain", test_ipv6_chain },
        { "neighbour discovery", test_nd },
        { "ARP", test_arp },
        { "pipeline fields stay", test_keeps_pipeline_fields });
}
