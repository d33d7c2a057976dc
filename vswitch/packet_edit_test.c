/* Set-field, tags, TTLs: the key is always what a fresh parse finds, checksums stay right if they were, and stay exactly as wrong if they were not. */
#include "tests/unit.h"
#include "vswitch/checksum.h"
#include "vswitch/packet_random.h"

unit_suite_fn packet_edit_test_suite;

static bool key_is_true(const struct packet *p, const struct flow *f)
{
    struct packet view = *p;
    struct flow fresh = *f;
    packet_extract(&view, &fresh);
    return !memcmp(&fresh, f, sizeof fresh) && view.l2_len == p->l2_len && view.l3_ofs == p->l3_ofs && view.l4_ofs == p->l4_ofs;
}

/* One edit of any kind, whether or not it applies; false if it says that it did not. */
static bool random_edit(struct rng *r, struct packet *p, struct flow *f, bool *moves_checksum)
{
    enum field_id id = FIELD_ETH_DST + rng_below(r, N_FIELDS - FIELD_ETH_DST);
    const struct field *row = field_row(id);
    union field_value v = random_value(r, row);
    *moves_checksum = false;
    switch (rng_below(r, 24)) {
    case 0: return packet_push_vlan(p, f, rng_below(r, 2) ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
    case 1: return packet_pop_vlan(p, f);
    case 2: return packet_push_mpls(p, f, rng_below(r, 2) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST);
    case 3:
        *moves_checksum = true;         /* The given type need not be what follows. */
        return packet_pop_mpls(p, f, rng_below(r, 2) ? ETH_TYPE_IPV4 : rng_below(r, 2) ? ETH_TYPE_IPV6 : ETH_TYPE_MPLS);
    case 4: return rng_below(r, 4) == 0 && packet_push_pbb(p, f, ETH_TYPE_PBB);
    case 5: return packet_pop_pbb(p, f);
    case 6: return packet_copy_ttl_out(p, f);
    case 7: return packet_copy_ttl_in(p, f);
    default:
        if (!row->settable || row->offset < offsetof(struct flow, eth_dst)) {
            return false;
        }
        /* These change which bytes a checksum covers, or where it is. */
        *moves_checksum = id == FIELD_IP_PROTO || id == FIELD_ETH_TYPE;
        return packet_set_field(p, f, row, &v);
    }
}

static void test_random_edits(void)
{
    struct rng rng;
    unsigned n_done = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 5000; round++) {
        struct flow f;
        random_key(&rng, &f);
        struct packet *p = random_frame(&rng, &f, rng_below(&rng, 60));
        bool right = true;
        if (rng_below(&rng, 4) == 0) {          /* Cut off, or garbage in the middle. */
            p->len = rng_below(&rng, p->len + 1);
            right = false;
            for (unsigned i = 0; p->len && i < 3; i++) {
                p->data[rng_below(&rng, p->len)] = (uint8_t) rng_u64(&rng);
            }
        }
        packet_extract(p, &f);
        for (unsigned i = 0; i < 12; i++) {
            bool moves;
            struct packet before = *p;
            struct flow key = f;
            if (random_edit(&rng, p, &f, &moves)) {
                n_done++;
                right = right && !moves;
            } else {
                CU_ASSERT_FALSE(memcmp(&f, &key, sizeof f));
                CU_ASSERT_TRUE(p->len == before.len && p->data == before.data);
            }
            bool same = key_is_true(p, &f);
            CU_ASSERT_TRUE(same);
            if (right) {
                CU_ASSERT_TRUE(checksums_right(p, &f));
            }
            if (!same) {
                free(p);
                return;
            }
        }
        free(p);
    }
    CU_ASSERT_TRUE(n_done > 10000);
}

/* Any field there and back, on frames with right, random and extreme checksums, whole or cut off: the same bytes. */
static void test_round_trip(void)
{
    static const uint16_t extremes[] = { 0, 1, 0xfffe, 0xffff };
    struct rng rng;
    unsigned n_done = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 40000; round++) {
        struct flow f;
        random_key(&rng, &f);
        struct packet *p = random_frame(&rng, &f, rng_below(&rng, 40));
        packet_extract(p, &f);
        unsigned ofs = f.ip_proto == IPPROTO_TCP_ ? 16 : f.ip_proto == IPPROTO_UDP_ ? 6 : 2;
        if (p->l4_ofs && rng_below(&rng, 2)) {
            wire_put16(p->data + p->l4_ofs + ofs, extremes[rng_below(&rng, 4)]);
        }
        if (p->l3_ofs && be16_get(f.eth_type) == ETH_TYPE_IPV4 && rng_below(&rng, 2)) {
            wire_put16(p->data + p->l3_ofs + 10, extremes[rng_below(&rng, 4)]);
        }
        if (rng_below(&rng, 4) == 0) {
            p->len = rng_below(&rng, p->len + 1);
        }
        packet_extract(p, &f);
        uint8_t *original = xmalloc(p->len + 1);
        memcpy(original, p->data, p->len);
        for (unsigned i = 0; i < 4; i++) {
            enum field_id id = FIELD_ETH_DST + rng_below(&rng, FIELD_PBB_UCA - FIELD_ETH_DST + 1);
            const struct field *row = field_row(id);
            union field_value old, v = random_value(&rng, row);
            /* What moves other fields about is not undone by setting it back field by field when the new layout has no such field. */
            if (!row->settable || row->offset < offsetof(struct flow, eth_dst) || id == FIELD_ETH_TYPE || id == FIELD_IP_PROTO) {
                continue;
            }
            field_get(row, &f, &old);
            if (packet_set_field(p, &f, row, &v)) {
                CU_ASSERT_TRUE(packet_set_field(p, &f, row, &old));
                n_done++;
            }
            CU_ASSERT_FALSE(memcmp(original, p->data, p->len));
        }
        free(original);
        free(p);
    }
    CU_ASSERT_TRUE(n_done > 10000);
}

static struct packet *frame_of(const struct flow *key, struct flow *f)
{
    struct buf b = BUF_INIT;
    packet_compose(key, &b, 16);
    struct packet *p = packet_from_bytes(b.data, (uint32_t) b.size, 64, 64);
    buf_fini(&b);
    flow_init(f);
    packet_extract(p, f);
    return p;
}

/* Section 5.13's defaults and section 5.12's order. */
static void test_pushed_headers(void)
{
    struct flow key = { .eth_type = be16_put(ETH_TYPE_IPV4), .ip_proto = 17, .nw_ttl = 33, .eth_src = { { 0, 0, 0, 0, 0, 1 } } }, f;
    struct packet *p = frame_of(&key, &f);
    uint32_t len = p->len;
    CU_ASSERT_TRUE(packet_push_vlan(p, &f, ETH_TYPE_VLAN));
    CU_ASSERT_EQUAL(wire_get32(p->data + 12), 0x81000000);
    packet_set_field(p, &f, field_row(FIELD_VLAN_VID), &(union field_value) { .b = { [14] = 0x10, [15] = 0x64 } });
    packet_set_u8(p, &f, FIELD_VLAN_PCP, 5);
    CU_ASSERT_TRUE(packet_push_vlan(p, &f, ETH_TYPE_QINQ));
    CU_ASSERT_EQUAL(wire_get64(p->data + 12), UINT64_C(0x88a8a0648100a064));
    /* MPLS goes in front of the tags; TTL from IP, label and class zero, bottom of stack. */
    CU_ASSERT_TRUE(packet_push_mpls(p, &f, ETH_TYPE_MPLS));
    CU_ASSERT_EQUAL(wire_get16(p->data + 12), 0x8847);
    CU_ASSERT_EQUAL(wire_get32(p->data + 14), 0x00000121);
    CU_ASSERT_EQUAL(f.vlan_vid.v, 0);
    packet_set_field(p, &f, field_row(FIELD_MPLS_LABEL), &(union field_value) { .b = { [13] = 1, [14] = 2, [15] = 3 } });
    packet_set_u8(p, &f, FIELD_MPLS_TC, 6);
    CU_ASSERT_TRUE(packet_push_mpls(p, &f, ETH_TYPE_MPLS_MCAST));
    CU_ASSERT_EQUAL(wire_get16(p->data + 12), 0x8848);
    CU_ASSERT_EQUAL(wire_get64(p->data + 14), UINT64_C(0x10203c2110203d21));
    CU_ASSERT_TRUE(packet_set_u8(p, &f, FIELD_MPLS_TTL, 9));
    CU_ASSERT_TRUE(packet_copy_ttl_in(p, &f));
    CU_ASSERT_EQUAL(p->data[21], 9);
    CU_ASSERT_TRUE(packet_pop_mpls(p, &f, ETH_TYPE_MPLS));
    CU_ASSERT_TRUE(packet_pop_mpls(p, &f, ETH_TYPE_QINQ));
    CU_ASSERT_EQUAL(be16_get(f.vlan_vid), 0x1064);
    /* PBB copies the addresses and the priority. */
    CU_ASSERT_TRUE(packet_push_pbb(p, &f, ETH_TYPE_PBB));
    CU_ASSERT_EQUAL(wire_get16(p->data + 12), 0x88e7);
    CU_ASSERT_EQUAL(wire_get32(p->data + 14), 0xa0000000);
    CU_ASSERT_FALSE(memcmp(p->data, p->data + 18, 12));
    CU_ASSERT_EQUAL(wire_get16(p->data + 30), 0x88a8);
    CU_ASSERT_TRUE(packet_pop_pbb(p, &f));
    CU_ASSERT_TRUE(packet_pop_vlan(p, &f));
    CU_ASSERT_TRUE(packet_pop_vlan(p, &f));
    CU_ASSERT_FALSE(packet_pop_vlan(p, &f));
    /* It had become long enough for Ethernet and stays so. */
    CU_ASSERT_TRUE(len < ETH_FRAME_MIN && p->len == ETH_FRAME_MIN);
    CU_ASSERT_TRUE(checksums_right(p, &f));
    CU_ASSERT_EQUAL(f.nw_ttl, 33);
    free(p);
}

/* What a tag leaves behind is padded with zeros to 60 bytes, unless it was shorter than that with the tag. */
static void test_padding(void)
{
    static const struct { uint32_t len, left; } rows[] = { { 50, 46 }, { 59, 55 }, { 60, 60 }, { 62, 60 }, { 64, 60 }, { 65, 61 }, { 1500, 1496 } };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t frame[1500];
        struct flow f;
        memset(frame, 0xee, sizeof frame);
        wire_put16(frame + 12, ETH_TYPE_VLAN);
        wire_put16(frame + 16, 0x88b5);
        struct packet *p = packet_from_bytes(frame, rows[i].len, 0, 0);
        flow_init(&f);
        packet_extract(p, &f);
        CU_ASSERT_TRUE(packet_pop_vlan(p, &f));
        CU_ASSERT_EQUAL(p->len, rows[i].left);
        CU_ASSERT_EQUAL(p->headroom + p->tailroom, rows[i].len - rows[i].left);
        CU_ASSERT_FALSE(memcmp(p->data, frame, 12));
        CU_ASSERT_FALSE(memcmp(p->data + 12, frame + 16, rows[i].len - 16));
        for (uint32_t j = rows[i].len - 4; j < p->len; j++) {
            CU_ASSERT_EQUAL(p->data[j], 0);
        }
        CU_ASSERT_TRUE(key_is_true(p, &f));
        free(p);
    }
}

static void test_ttl_copies(void)
{
    struct flow key = { .eth_type = be16_put(ETH_TYPE_IPV4), .ip_proto = 6, .nw_ttl = 33 }, f;
    struct packet *p = frame_of(&key, &f);
    CU_ASSERT_FALSE(packet_copy_ttl_out(p, &f));
    CU_ASSERT_TRUE(packet_push_mpls(p, &f, ETH_TYPE_MPLS));
    packet_set_u8(p, &f, FIELD_MPLS_TTL, 200);
    CU_ASSERT_TRUE(packet_copy_ttl_in(p, &f));
    CU_ASSERT_TRUE(packet_pop_mpls(p, &f, ETH_TYPE_IPV4));
    CU_ASSERT_EQUAL(f.nw_ttl, 200);
    CU_ASSERT_TRUE(checksums_right(p, &f));
    CU_ASSERT_TRUE(packet_push_mpls(p, &f, ETH_TYPE_MPLS));
    packet_set_u8(p, &f, FIELD_MPLS_TTL, 1);
    CU_ASSERT_TRUE(packet_copy_ttl_out(p, &f));
    CU_ASSERT_EQUAL(f.mpls_ttl, 200);
    free(p);
}

static void test_no_room(void)
{
    struct flow f;
    uint8_t bytes[60] = { [12] = 0x88, [13] = 0xcc };
    struct packet *p = packet_from_bytes(bytes, sizeof bytes, 3, 3);
    packet_extract(p, &f);
    CU_ASSERT_FALSE(packet_push_vlan(p, &f, ETH_TYPE_VLAN));
    CU_ASSERT_EQUAL(p->len, sizeof bytes);
    CU_ASSERT_FALSE(memcmp(p->data, bytes, sizeof bytes));
    free(p);
}

/* RFC 8200 section 8.1: with segments left the destination is not the one in the pseudo header. */
static void test_routing_header(void)
{
    struct flow key = { .eth_type = be16_put(ETH_TYPE_IPV6), .ip_proto = 17, .nw_ttl = 33, .ipv6_exthdr = be16_put(OFPIEH_ROUTER), .tp_dst = be16_put(80) }, f;
    union field_value v = { .b = { 0x20, 1, [15] = 7 } };
    for (unsigned segments = 0; segments <= 1; segments++) {
        struct packet *p = frame_of(&key, &f);
        p->data[14 + 40 + 3] = (uint8_t) segments;
        uint16_t before = wire_get16(p->data + p->l4_ofs + 6);
        CU_ASSERT_TRUE(packet_set_field(p, &f, field_row(FIELD_IPV6_DST), &v));
        CU_ASSERT_EQUAL(wire_get16(p->data + p->l4_ofs + 6) == before, segments == 1);
        CU_ASSERT_EQUAL(checksums_right(p, &f), segments == 0);
        free(p);
    }
}

/* A first fragment's checksum covers bytes that are elsewhere, and is updated all the same; a later one has none. */
static void test_fragments(void)
{
    struct flow key = { .eth_type = be16_put(ETH_TYPE_IPV4), .ip_proto = 17, .nw_ttl = 33, .ip_frag = FLOW_FRAG_ANY, .tp_dst = be16_put(80) }, f;
    struct packet *p = frame_of(&key, &f);
    uint16_t before = wire_get16(p->data + p->l4_ofs + 6);
    union field_value v = { .b = { [12] = 10, [15] = 7 } };
    CU_ASSERT_TRUE(packet_set_field(p, &f, field_row(FIELD_IPV4_SRC), &v));
    CU_ASSERT_EQUAL(wire_get16(p->data + p->l4_ofs + 6), checksum_update_udp(before, checksum_delta("\0\0\0\0", "\x0a\0\0\x07", 4, 0)));
    free(p);
    key.ip_frag |= FLOW_FRAG_LATER;
    p = frame_of(&key, &f);
    uint8_t body[16];
    memcpy(body, p->data + p->l3_ofs + 20, sizeof body);
    CU_ASSERT_TRUE(packet_set_field(p, &f, field_row(FIELD_IPV4_SRC), &v));
    CU_ASSERT_FALSE(memcmp(body, p->data + p->l3_ofs + 20, sizeof body));
    CU_ASSERT_FALSE(packet_set_field(p, &f, field_row(FIELD_UDP_DST), &v));
    CU_ASSERT_TRUE(checksums_right(p, &f));
    free(p);
}

/* The protocol number is in the pseudo header; the checksum is that of the header that is there. */
static void test_ip_proto(void)
{
    for (unsigned v6 = 0; v6 <= 1; v6++) {
        struct flow key = { .eth_type = be16_put(v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4), .ip_proto = 6, .nw_ttl = 33, .tp_dst = be16_put(80) }, f;
        struct packet *p = frame_of(&key, &f);
        uint16_t before = wire_get16(p->data + p->l4_ofs + 16);
        unsigned l4 = p->l4_ofs;
        CU_ASSERT_TRUE(packet_set_u8(p, &f, FIELD_IP_PROTO, 17));
        CU_ASSERT_EQUAL(f.ip_proto, 17);
        CU_ASSERT_EQUAL(be16_get(f.tcp_flags), 0);
        CU_ASSERT_EQUAL(wire_get16(p->data + l4 + 16), checksum_update(before, checksum_delta("\x06", "\x11", 1, 1)));
        free(p);
    }
}

void packet_edit_test_suite(void)
{
    UNIT_SUITE("packet edits",
        { "random edits keep key and checksums", test_random_edits },
        { "there and back is the same bytes", test_round_trip },
        { "pushed headers", test_pushed_headers },
        { "padding", test_padding }, { "TTL copies", test_ttl_copies },
        { "no room", test_no_room },
        { "routing header", test_routing_header },
        { "fragments", test_fragments },
        { "protocol number", test_ip_proto });
}
