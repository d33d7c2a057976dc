/* The field table's own consistency, bit copies, presence. */
#include <string.h>

#include "lib/util.h"
#include "ofproto/field.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

/* Section 7.2.3.8, table 12, typed from the specification: number, bits, mask, and the bytes of the payload. */
static const struct { enum field_id id; unsigned number, bits, bytes; bool mask; } table12[] = {
    { FIELD_IN_PORT, 0, 32, 4, false }, { FIELD_IN_PHY_PORT, 1, 32, 4, false }, { FIELD_METADATA, 2, 64, 8, true },
    { FIELD_ETH_DST, 3, 48, 6, true }, { FIELD_ETH_SRC, 4, 48, 6, true }, { FIELD_ETH_TYPE, 5, 16, 2, false },
    { FIELD_VLAN_VID, 6, 13, 2, true }, { FIELD_VLAN_PCP, 7, 3, 1, false }, { FIELD_IP_DSCP, 8, 6, 1, false },
    { FIELD_IP_ECN, 9, 2, 1, false }, { FIELD_IP_PROTO, 10, 8, 1, false }, { FIELD_IPV4_SRC, 11, 32, 4, true },
    { FIELD_IPV4_DST, 12, 32, 4, true }, { FIELD_TCP_SRC, 13, 16, 2, false }, { FIELD_TCP_DST, 14, 16, 2, false },
    { FIELD_UDP_SRC, 15, 16, 2, false }, { FIELD_UDP_DST, 16, 16, 2, false }, { FIELD_SCTP_SRC, 17, 16, 2, false },
    { FIELD_SCTP_DST, 18, 16, 2, false }, { FIELD_ICMPV4_TYPE, 19, 8, 1, false }, { FIELD_ICMPV4_CODE, 20, 8, 1, false },
    { FIELD_ARP_OP, 21, 16, 2, false }, { FIELD_ARP_SPA, 22, 32, 4, true }, { FIELD_ARP_TPA, 23, 32, 4, true },
    { FIELD_ARP_SHA, 24, 48, 6, true }, { FIELD_ARP_THA, 25, 48, 6, true }, { FIELD_IPV6_SRC, 26, 128, 16, true },
    { FIELD_IPV6_DST, 27, 128, 16, true }, { FIELD_IPV6_FLABEL, 28, 20, 4, true }, { FIELD_ICMPV6_TYPE, 29, 8, 1, false },
    { FIELD_ICMPV6_CODE, 30, 8, 1, false }, { FIELD_IPV6_ND_TARGET, 31, 128, 16, false }, { FIELD_IPV6_ND_SLL, 32, 48, 6, false },
    { FIELD_IPV6_ND_TLL, 33, 48, 6, false }, { FIELD_MPLS_LABEL, 34, 20, 4, false }, { FIELD_MPLS_TC, 35, 3, 1, false },
    { FIELD_MPLS_BOS, 36, 1, 1, false }, { FIELD_PBB_ISID, 37, 24, 3, true }, { FIELD_TUNNEL_ID, 38, 64, 8, true },
    { FIELD_IPV6_EXTHDR, 39, 9, 2, true },
};

static void test_table(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table12); i++) {
        const struct field *f = field_row(table12[i].id);
        CU_ASSERT_EQUAL(f->oxm, 0x80000000u | table12[i].number << 9);
        CU_ASSERT_EQUAL(f->bits, table12[i].bits);
        CU_ASSERT_EQUAL(f->wire_size, table12[i].bytes);
        CU_ASSERT_EQUAL(f->maskable, table12[i].mask);
    }
}

/* fields_of_word[] is typed by hand: field by field and byte by byte it is what the rows say. */
static void test_words(void)
{
    field_bits all = 0;
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row(id);
        bool wide = id >= FIELD_XREG0 && id <= FIELD_XXREG3;
        for (unsigned word = 0; word < FLOW_N_WORDS; word++) {
            bool lies = false;
            for (unsigned byte = f->offset; byte < f->offset + f->size; byte++) {
                lies |= byte / 8 == word;
            }
            CU_ASSERT_EQUAL((bool) (fields_of_word[word] >> id & 1), lies && !wide);
        }
        all |= (field_bits) !wide << id;
    }
    CU_ASSERT(fields_of_words(0) == 0 && fields_of_words((UINT64_C(1) << FLOW_N_WORDS) - 1) == all);
    enum field_id before = N_FIELDS;
    for (field_bits rest = all; rest; ) {
        enum field_id id = field_bits_pop(&rest);
        CU_ASSERT(before == N_FIELDS || id > before);
        CU_ASSERT(all >> id & 1 && !(rest >> id & 1));
        before = id;
    }
    CU_ASSERT_EQUAL(before, N_FIELDS - 1);
}

/* Of each size that there is: the last bytes of the value, and no other byte of the memory. */
static void test_load_store(void)
{
    static const unsigned sizes[] = { 1, 2, 3, 4, 6, 8, 16 };
    const uint8_t bytes[16] = { 0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0x17, 0x28, 0x39, 0x4a, 0x5b, 0x6c, 0x7d, 0x8e, 0x9f, 0xf0 };
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        union field_value v = { .w = { UINT64_MAX, UINT64_MAX } };
        uint8_t expected[16] = { 0 }, out[18];
        field_value_load(&v, bytes, sizes[i]);
        memcpy(expected + 16 - sizes[i], bytes, sizes[i]);
        CU_ASSERT(!memcmp(v.b, expected, 16));
        memset(out, 0x55, sizeof out);
        field_value_store(&v, out + 1, sizes[i]);
        CU_ASSERT(out[0] == 0x55 && out[1 + sizes[i]] == 0x55 && !memcmp(out + 1, bytes, sizes[i]));
    }
}

static void test_lookup(void)
{
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row(id);
        CU_ASSERT_FATAL(f->name != NULL && (f->oxm || f->nxm));
        CU_ASSERT_EQUAL(field_id_of(f), id);
        CU_ASSERT(f->offset + f->size <= sizeof(struct flow) && f->bits <= 8 * f->wire_size && f->wire_size <= f->size);
        CU_ASSERT(!f->oxm == !f->oxm_name && !f->nxm == !f->nxm_name);
        CU_ASSERT(!f->oxm || field_from_header(f->oxm | 0x1ff, f->experimenter) == f);
        CU_ASSERT(!f->nxm || field_from_header(f->nxm | 0x1ff, 0) == f);
        CU_ASSERT_PTR_EQUAL(field_from_name(f->name, strlen(f->name)), f);
        CU_ASSERT(!f->alias || field_from_name(f->alias, strlen(f->alias)) == f);
        CU_ASSERT(!f->nxm_name || field_from_name(f->nxm_name, strlen(f->nxm_name)) == f);
        CU_ASSERT_PTR_EQUAL(field_from_header(field_header(f), f->experimenter), f);
        for (unsigned bit = 0; bit < 128; bit++) {
            CU_ASSERT_EQUAL(f->all.b[15 - bit / 8] >> bit % 8 & 1, bit < f->bits);
        }
    }
    CU_ASSERT_PTR_NULL(field_from_name("reg1", 3));
    CU_ASSERT_PTR_EQUAL(field_from_name("reg1x", 4), field_row(FIELD_REG0 + 1));
    CU_ASSERT_PTR_NULL(field_from_name("", 0));
    CU_ASSERT_PTR_NULL(field_from_header(UINT32_C(0xffff5400), 1));
    CU_ASSERT_PTR_NULL(field_from_header(UINT32_C(0x00000000), 0));
}

/* Registers are windows on the same bytes, most significant first. */
static void test_registers(void)
{
    struct flow flow;
    union field_value v = { .w = { 0, 0 } };
    flow_init(&flow);
    for (unsigned i = 0; i < 16; i++) {
        v.b[i] = (uint8_t) (i + 1);
    }
    field_set(field_row(FIELD_XXREG0 + 1), &flow, &v);
    CU_ASSERT_EQUAL(be32_get(flow.regs[4]), 0x01020304);
    CU_ASSERT_EQUAL(be32_get(flow.regs[7]), 0x0d0e0f10);
    field_get(field_row(FIELD_XREG0 + 3), &flow, &v);
    CU_ASSERT_EQUAL(field_value_u64(&v), UINT64_C(0x090a0b0c0d0e0f10));
    CU_ASSERT_EQUAL(v.w[0], 0);
}

static bool bit_of(const union field_value *v, unsigned i)
{
    return v->b[15 - i / 8] >> i % 8 & 1;
}

static void test_copy_bits(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 20000; i++) {
        unsigned n = rng_below(&r, 4) ? rng_below(&r, 129) : 128, from = rng_below(&r, 129 - n), to = rng_below(&r, 129 - n);
        union field_value src = { .w = { rng_u64(&r), rng_u64(&r) } }, dst = { .w = { rng_u64(&r), rng_u64(&r) } }, old = dst;
        field_copy_bits(&src, from, &dst, to, n);
        bool ok = true;
        for (unsigned k = 0; k < 128; k++) {
            ok = ok && bit_of(&dst, k) == (k >= to && k < to + n ? bit_of(&src, k - to + from) : bit_of(&old, k));
        }
        CU_ASSERT_FATAL(ok);
    }
}

static void test_values(void)
{
    union field_value v = field_value_from_u64(UINT64_C(0x1122334455667788));
    CU_ASSERT_EQUAL(v.w[0], 0);
    CU_ASSERT(v.b[8] == 0x11 && v.b[15] == 0x88);
    CU_ASSERT_EQUAL(field_value_u64(&v), UINT64_C(0x1122334455667788));
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row(id);
        union field_value all = field_mask_all(f);
        for (unsigned i = 0; i < 128; i++) {
            CU_ASSERT_EQUAL(bit_of(&all, i), i < f->bits);
            union field_value one = { .w = { 0, 0 } };
            one.b[15 - i / 8] = (uint8_t) (1u << i % 8);
            CU_ASSERT_EQUAL(field_value_valid(f, &one), i < f->bits);
        }
    }
}

static void test_present(void)
{
    struct flow f;
    flow_init(&f);
    for (enum field_prereq p = PREREQ_VLAN; p <= PREREQ_PBB; p++) {
        CU_ASSERT(!field_present(p, &f));
    }
    CU_ASSERT(field_present(PREREQ_NONE, &f) && field_present(PREREQ_IN_PORT, &f));
    f.vlan_vid = be16_put(0x1000);
    CU_ASSERT(field_present(PREREQ_VLAN, &f));
    f.ip_proto = 58;
    f.icmp_type = 135;
    f.eth_type = be16_put(0x0800);
    CU_ASSERT(field_present(PREREQ_IP, &f) && field_present(PREREQ_IPV4, &f) && !field_present(PREREQ_IPV6, &f) && !field_present(PREREQ_ICMPV6, &f));
    f.eth_type = be16_put(0x86dd);
    CU_ASSERT(field_present(PREREQ_IP, &f) && field_present(PREREQ_ICMPV6, &f) && field_present(PREREQ_ND, &f));
    CU_ASSERT(field_present(PREREQ_ND_NS, &f) && !field_present(PREREQ_ND_NA, &f));
    f.icmp_type = 136;
    CU_ASSERT(field_present(PREREQ_ND, &f) && !field_present(PREREQ_ND_NS, &f) && field_present(PREREQ_ND_NA, &f));
    f.ip_frag = FLOW_FRAG_ANY | FLOW_FRAG_LATER;
    CU_ASSERT(!field_present(PREREQ_ICMPV6, &f) && field_present(PREREQ_IPV6, &f));
    f.ip_frag = FLOW_FRAG_ANY;
    f.ip_proto = 6;
    CU_ASSERT(field_present(PREREQ_TCP, &f) && !field_present(PREREQ_UDP, &f));
    f.eth_type = be16_put(0x8848);
    CU_ASSERT(field_present(PREREQ_MPLS, &f) && !field_present(PREREQ_TCP, &f));
}

static void test_text(void)
{
    struct rng r;
    rng_seed(&r, unit_seed() + 2);
    for (unsigned i = 0; i < 40000; i++) {
        const struct field *f = field_row((enum field_id) rng_below(&r, N_FIELDS));
        union field_value value, mask, value2, mask2;
        char text[100];
        struct err err = ERR_INIT;
        random_value(&r, f, &value);
        random_mask(&r, f, &mask);
        if (rng_below(&r, 3) == 0) {
            mask = field_mask_all(f);
        }
        value.w[0] &= mask.w[0];
        value.w[1] &= mask.w[1];
        field_format_value(f, &value, &mask, text, sizeof text);
        if (!field_parse_value(f, text, &value2, &mask2, &err) || memcmp(&value, &value2, sizeof value) || memcmp(&mask, &mask2, sizeof mask)) {
            printf("%s=%s: %s\n", f->name, text, err.message);
            CU_FAIL_FATAL("the text does not mean the value");
        }
    }
}

static void test_bad_text(void)
{
    static const struct { const char *field, *text; } bad[] = {
        { "in_port", "65536x" }, { "in_port", "" }, { "in_port", "4294967296" }, { "eth_src", "01:02:03:04:05" }, { "eth_src", "5" },
        { "ip_src", "10.0.0.256" }, { "ip_src", "10.0.0.0/33" }, { "ip_src", "::1" }, { "ip_src", "10.0.0.0/" }, { "ipv6_src", "10.0.0.1" },
        { "ipv6_src", "fd00::/129" }, { "ip_dscp", "64" }, { "vlan_vid", "8192" }, { "tcp_dst", "65536" }, { "tcp_dst", "-1" },
        { "tcp_flags", "+sin" }, { "tcp_flags", "+syn+syn" }, { "tcp_flags", "+" }, { "ip_frag", "maybe" }, { "metadata", "0x1_0" },
        { "xxreg0", "0x100000000000000000000000000000000" }, { "reg0", "0x1/0x100000000" }, { "reg0", "1/2/3" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        union field_value value, mask;
        struct err err = ERR_INIT;
        const struct field *f = field_from_name(bad[i].field, strlen(bad[i].field));
        CU_ASSERT_FATAL(f != NULL);
        bool parsed = field_parse_value(f, bad[i].text, &value, &mask, &err);
        CU_ASSERT(!parsed);
        if (parsed) {
            printf("%s=%s was taken\n", bad[i].field, bad[i].text);
        }
        CU_ASSERT(err.code == ERR_INVALID && !strcmp(err.field, bad[i].field) && err.message[0]);
    }
}

void field_test_suite(void);
void field_test_suite(void)
{
    UNIT_SUITE("field", { "table 12", test_table }, { "words", test_words }, { "load and store", test_load_store }, { "lookup", test_lookup },
               { "registers", test_registers }, { "bit copies", test_copy_bits }, { "values", test_values }, { "presence", test_present },
               { "text round trip", test_text }, { "bad text", test_bad_text });
}
