/* The field table and what follows from a row alone: lookup, byte ranges, bit ranges, presence. */
#include "ofproto/field.h"

#include "lib/util.h"

#define OXM(FIELD) (UINT32_C(0x8000) << 16 | (uint32_t) (FIELD) << 9)
#define PKT_REG(FIELD) (UINT32_C(0x8001) << 16 | (uint32_t) (FIELD) << 9)
#define NXM0(FIELD) ((uint32_t) (FIELD) << 9)
#define NXM1(FIELD) (UINT32_C(0x0001) << 16 | (uint32_t) (FIELD) << 9)
#define ERIC(FIELD) (UINT32_C(0x1000) << 16 | (uint32_t) (FIELD) << 9)
#define EXPERIMENTER(FIELD) (UINT32_C(0xffff) << 16 | (uint32_t) (FIELD) << 9)
#define ONF_EXPERIMENTER UINT32_C(0x4f4e4600)

/* The lowest BITS ones of a value. */
#define ONES64(BITS) __builtin_bswap64((BITS) >= 64 ? UINT64_MAX : (UINT64_C(1) << (BITS) % 64) - 1)
#define ONES(BITS) { .w = { ONES64((BITS) > 64 ? (BITS) - 64 : 0), ONES64(BITS) } }

/* One row; ALIAS, NXM and their names may be NULL/0.  Sizes come from the member, bits and the rest from the specification. */
#define ROW(ID, NAME, ALIAS, OXM_HEADER, OXM_NAME, NXM_HEADER, NXM_NAME, MEMBER, BITS, MASK, SET, PREREQ, FORMAT, ...) \
    [FIELD_##ID] = { .name = NAME, .alias = ALIAS, .oxm = OXM_HEADER, .oxm_name = OXM_NAME, .nxm = NXM_HEADER, .nxm_name = NXM_NAME, \
        .offset = offsetof(struct flow, MEMBER), .size = sizeof ((struct flow *) 0)->MEMBER, .wire_size = (BITS) == 24 ? 3 : sizeof ((struct flow *) 0)->MEMBER, \
        .bits = BITS, .all = ONES(BITS), .maskable = MASK, .settable = SET, .prereq = PREREQ_##PREREQ, .format = FORMAT_##FORMAT, ##__VA_ARGS__ }
/* A field of the basic class 0x8000. */
#define BASIC(ID, NUMBER, NAME, ALIAS, NXM_HEADER, NXM_NAME, MEMBER, BITS, MASK, SET, PREREQ, FORMAT, ...) \
    ROW(ID, NAME, ALIAS, OXM(NUMBER), "OXM_OF_" #ID, NXM_HEADER, NXM_NAME, MEMBER, BITS, MASK, SET, PREREQ, FORMAT, ##__VA_ARGS__)
#define NXM_ONLY(ID, HEADER, NXM_NAME, NAME, ALIAS, MEMBER, BITS, MASK, SET, PREREQ, FORMAT) \
    ROW(ID, NAME, ALIAS, 0, NULL, HEADER, NXM_NAME, MEMBER, BITS, MASK, SET, PREREQ, FORMAT)

#define REG_ROW(N) [FIELD_REG0 + N] = { .name = "reg" #N, .nxm = NXM1(N), .nxm_name = "NXM_NX_REG" #N, \
    .offset = offsetof(struct flow, regs) + 4 * N, .size = 4, .all = ONES(32), \
    .wire_size = 4, .bits = 32, .maskable = true, .settable = true, \
    .prereq = PREREQ_NONE, .format = FORMAT_HEX }
#define XREG_ROW(N) [FIELD_XREG0 + N] = { .name = "xreg" #N, .oxm = PKT_REG(N), .oxm_name = "OXM_OF_PKT_REG" #N, \
    .offset = offsetof(struct flow, regs) + 8 * N, .size = 8, .all = ONES(64), \
    .wire_size = 8, .bits = 64, .maskable = true, .settable = true, \
    .prereq = PREREQ_NONE, .format = FORMAT_HEX }
#define XXREG_ROW(N) [FIELD_XXREG0 + N] = { .name = "xxreg" #N, .nxm = NXM1(111 + N), .nxm_name = "NXM_NX_XXREG" #N, \
    .offset = offsetof(struct flow, regs) + 16 * N, .size = 16, .all = ONES(128), \
    .wire_size = 16, .bits = 128, .maskable = true, .settable = true, \
    .prereq = PREREQ_NONE, .format = FORMAT_HEX }

#define Y true
#define N false
/* OpenFlow 1.3.5 section 7.2.3.8, table 12: width, mask, prerequisite.  Settable is the switch's own choice, as section 7.2.5 leaves it open. */
const struct field fields[N_FIELDS] = {
    BASIC(IN_PORT, 0, "in_port", NULL, 0, NULL, in_port, 32, N, Y, NONE, PORT),
    BASIC(IN_PHY_PORT, 1, "in_phy_port", NULL, 0, NULL, in_phy_port, 32, N, N, IN_PORT, PORT),
    BASIC(METADATA, 2, "metadata", NULL, 0, NULL, metadata, 64, Y, Y, NONE, HEX),
    BASIC(ETH_DST, 3, "eth_dst", "dl_dst", NXM0(1), "NXM_OF_ETH_DST", eth_dst, 48, Y, Y, NONE, MAC),
    BASIC(ETH_SRC, 4, "eth_src", "dl_src", NXM0(2), "NXM_OF_ETH_SRC", eth_src, 48, Y, Y, NONE, MAC),
    BASIC(ETH_TYPE, 5, "eth_type", "dl_type", NXM0(3), "NXM_OF_ETH_TYPE", eth_type, 16, N, Y, NONE, HEX),
    BASIC(VLAN_VID, 6, "vlan_vid", NULL, 0, NULL, vlan_vid, 13, Y, Y, NONE, VLAN),
    BASIC(VLAN_PCP, 7, "vlan_pcp", "dl_vlan_pcp", 0, NULL, vlan_pcp, 3, N, Y, VLAN, DECIMAL),
    BASIC(IP_DSCP, 8, "ip_dscp", NULL, 0, NULL, ip_dscp, 6, N, Y, IP, DECIMAL),
    BASIC(IP_ECN, 9, "nw_ecn", "ip_ecn", NXM1(28), "NXM_NX_IP_ECN", ip_ecn, 2, N, Y, IP, DECIMAL),
    BASIC(IP_PROTO, 10, "ip_proto", "nw_proto", NXM0(6), "NXM_OF_IP_PROTO", ip_proto, 8, N, Y, IP, DECIMAL),
    BASIC(IPV4_SRC, 11, "ip_src", "nw_src", NXM0(7), "NXM_OF_IP_SRC", ipv4_src, 32, Y, Y, IPV4, IPV4),
    BASIC(IPV4_DST, 12, "ip_dst", "nw_dst", NXM0(8), "NXM_OF_IP_DST", ipv4_dst, 32, Y, Y, IPV4, IPV4),
    BASIC(TCP_SRC, 13, "tcp_src", NULL, NXM0(9), "NXM_OF_TCP_SRC", tp_src, 16, N, Y, TCP, DECIMAL, .nxm_maskable = true),
    BASIC(TCP_DST, 14, "tcp_dst", NULL, NXM0(10), "NXM_OF_TCP_DST", tp_dst, 16, N, Y, TCP, DECIMAL, .nxm_maskable = true),
    BASIC(UDP_SRC, 15, "udp_src", NULL, NXM0(11), "NXM_OF_UDP_SRC", tp_src, 16, N, Y, UDP, DECIMAL, .nxm_maskable = true),
    BASIC(UDP_DST, 16, "udp_dst", NULL, NXM0(12), "NXM_OF_UDP_DST", tp_dst, 16, N, Y, UDP, DECIMAL, .nxm_maskable = true),
    BASIC(SCTP_SRC, 17, "sctp_src", NULL, 0, NULL, tp_src, 16, N, Y, SCTP, DECIMAL, .nxm_maskable = true),
    BASIC(SCTP_DST, 18, "sctp_dst", NULL, 0, NULL, tp_dst, 16, N, Y, SCTP, DECIMAL, .nxm_maskable = true),
    BASIC(ICMPV4_TYPE, 19, "icmp_type", "icmpv4_type", NXM0(13), "NXM_OF_ICMP_TYPE", icmp_type, 8, N, Y, ICMPV4, DECIMAL),
    BASIC(ICMPV4_CODE, 20, "icmp_code", "icmpv4_code", NXM0(14), "NXM_OF_ICMP_CODE", icmp_code, 8, N, Y, ICMPV4, DECIMAL),
    BASIC(ARP_OP, 21, "arp_op", NULL, NXM0(15), "NXM_OF_ARP_OP", arp_op, 16, N, Y, ARP, DECIMAL),
    BASIC(ARP_SPA, 22, "arp_spa", NULL, NXM0(16), "NXM_OF_ARP_SPA", arp_spa, 32, Y, Y, ARP, IPV4),
    BASIC(ARP_TPA, 23, "arp_tpa", NULL, NXM0(17), "NXM_OF_ARP_TPA", arp_tpa, 32, Y, Y, ARP, IPV4),
    BASIC(ARP_SHA, 24, "arp_sha", NULL, NXM1(17), "NXM_NX_ARP_SHA", arp_sha, 48, Y, Y, ARP, MAC),
    BASIC(ARP_THA, 25, "arp_tha", NULL, NXM1(18), "NXM_NX_ARP_THA", arp_tha, 48, Y, Y, ARP, MAC),
    BASIC(IPV6_SRC, 26, "ipv6_src", NULL, NXM1(19), "NXM_NX_IPV6_SRC", ipv6_src, 128, Y, Y, IPV6, IPV6),
    BASIC(IPV6_DST, 27, "ipv6_dst", NULL, NXM1(20), "NXM_NX_IPV6_DST", ipv6_dst, 128, Y, Y, IPV6, IPV6),
    BASIC(IPV6_FLABEL, 28, "ipv6_label", "ipv6_flabel", NXM1(27), "NXM_NX_IPV6_LABEL", ipv6_flabel, 20, Y, Y, IPV6, HEX),
    BASIC(ICMPV6_TYPE, 29, "icmpv6_type", NULL, NXM1(21), "NXM_NX_ICMPV6_TYPE", icmp_type, 8, N, Y, ICMPV6, DECIMAL),
    BASIC(ICMPV6_CODE, 30, "icmpv6_code", NULL, NXM1(22), "NXM_NX_ICMPV6_CODE", icmp_code, 8, N, Y, ICMPV6, DECIMAL),
    BASIC(IPV6_ND_TARGET, 31, "nd_target", "ipv6_nd_target", NXM1(23), "NXM_NX_ND_TARGET", nd_target, 128, N, Y, ND, IPV6, .nxm_maskable = true),
    BASIC(IPV6_ND_SLL, 32, "nd_sll", "ipv6_nd_sll", NXM1(24), "NXM_NX_ND_SLL", nd_sll, 48, N, Y, ND_NS, MAC, .nxm_maskable = true),
    BASIC(IPV6_ND_TLL, 33, "nd_tll", "ipv6_nd_tll", NXM1(25), "NXM_NX_ND_TLL", nd_tll, 48, N, Y, ND_NA, MAC, .nxm_maskable = true),
    BASIC(MPLS_LABEL, 34, "mpls_label", NULL, 0, NULL, mpls_label, 20, N, Y, MPLS, DECIMAL),
    BASIC(MPLS_TC, 35, "mpls_tc", NULL, 0, NULL, mpls_tc, 3, N, Y, MPLS, DECIMAL),
    BASIC(MPLS_BOS, 36, "mpls_bos", NULL, 0, NULL, mpls_bos, 1, N, Y, MPLS, DECIMAL),
    BASIC(PBB_ISID, 37, "pbb_isid", NULL, 0, NULL, pbb_isid, 24, Y, Y, PBB, DECIMAL),
    BASIC(TUNNEL_ID, 38, "tun_id", "tunnel_id", NXM1(16), "NXM_NX_TUN_ID", tunnel_id, 64, Y, Y, NONE, HEX),
    BASIC(IPV6_EXTHDR, 39, "ipv6_exthdr", NULL, 0, NULL, ipv6_exthdr, 9, Y, N, IPV6, HEX),
    BASIC(PBB_UCA, 41, "pbb_uca", NULL, 0, NULL, pbb_uca, 1, N, Y, PBB, DECIMAL),
    ROW(TCP_FLAGS, "tcp_flags", NULL, EXPERIMENTER(42), "ONFOXM_ET_TCP_FLAGS", NXM1(34), "NXM_NX_TCP_FLAGS", tcp_flags, 12, Y, N, TCP, TCP_FLAGS,
        .experimenter = ONF_EXPERIMENTER),
    ROW(ACTSET_OUTPUT, "actset_output", NULL, EXPERIMENTER(43), "ONFOXM_ET_ACTSET_OUTPUT", 0, NULL, actset_output, 32, N, N, NONE, PORT,
        .experimenter = ONF_EXPERIMENTER),
    REG_ROW(0), REG_ROW(1), REG_ROW(2), REG_ROW(3), REG_ROW(4), REG_ROW(5), REG_ROW(6), REG_ROW(7),
    REG_ROW(8), REG_ROW(9), REG_ROW(10), REG_ROW(11), REG_ROW(12), REG_ROW(13), REG_ROW(14), REG_ROW(15),
    XREG_ROW(0), XREG_ROW(1), XREG_ROW(2), XREG_ROW(3), XREG_ROW(4), XREG_ROW(5), XREG_ROW(6), XREG_ROW(7),
    XXREG_ROW(0), XXREG_ROW(1), XXREG_ROW(2), XXREG_ROW(3),
    NXM_ONLY(PKT_MARK, NXM1(33), "NXM_NX_PKT_MARK", "pkt_mark", NULL, pkt_mark, 32, Y, Y, NONE, HEX),
    NXM_ONLY(CONJ_ID, NXM1(37), "NXM_NX_CONJ_ID", "conj_id", NULL, conj_id, 32, N, N, NONE, DECIMAL),
    NXM_ONLY(NW_TTL, NXM1(29), "NXM_NX_IP_TTL", "nw_ttl", NULL, nw_ttl, 8, N, Y, IP, DECIMAL),
    NXM_ONLY(IP_FRAG, NXM1(26), "NXM_NX_IP_FRAG", "ip_frag", "nw_frag", ip_frag, 2, Y, N, IP, FRAG),
    NXM_ONLY(MPLS_TTL, NXM1(30), "NXM_NX_MPLS_TTL", "mpls_ttl", NULL, mpls_ttl, 8, N, Y, MPLS, DECIMAL),
    NXM_ONLY(ND_RESERVED, ERIC(1), "ERICOXM_OF_ICMPV6_ND_RESERVED", "nd_reserved", NULL, nd_reserved, 32, N, Y, ND, DECIMAL),
    NXM_ONLY(ND_OPTIONS_TYPE, ERIC(2), "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", "nd_options_type", NULL, nd_options_type, 8, N, Y, ND, DECIMAL),
};
#undef Y
#undef N

#define WORD(MEMBER) (offsetof(struct flow, MEMBER) / 8)
#define ONE(ID) ((field_bits) 1 << (FIELD_##ID))
#define REG_PAIR(N) [WORD(regs) + (N)] = ONE(REG0 + 2 * (N)) | ONE(REG0 + 2 * (N) + 1)
const field_bits fields_of_word[FLOW_N_WORDS] = {
    REG_PAIR(0), REG_PAIR(1), REG_PAIR(2), REG_PAIR(3), REG_PAIR(4), REG_PAIR(5), REG_PAIR(6), REG_PAIR(7),
    [WORD(metadata)] = ONE(METADATA),
    [WORD(tunnel_id)] = ONE(TUNNEL_ID),
    [WORD(in_port)] = ONE(IN_PORT) | ONE(IN_PHY_PORT),
    [WORD(pkt_mark)] = ONE(PKT_MARK) | ONE(CONJ_ID),
    [WORD(actset_output)] = ONE(ACTSET_OUTPUT) | ONE(PBB_ISID),
    [WORD(eth_dst)] = ONE(ETH_DST) | ONE(ETH_SRC),
    [WORD(eth_type)] = ONE(ETH_SRC) | ONE(ETH_TYPE) | ONE(VLAN_VID),
    [WORD(vlan_pcp)] = ONE(VLAN_PCP) | ONE(MPLS_TC) | ONE(MPLS_BOS) | ONE(MPLS_TTL) | ONE(MPLS_LABEL),
    [WORD(ip_proto)] = ONE(PBB_UCA) | ONE(IP_PROTO) | ONE(IP_DSCP) | ONE(IP_ECN) | ONE(NW_TTL) | ONE(IP_FRAG),
    [WORD(ipv4_src)] = ONE(IPV4_SRC) | ONE(IPV4_DST),
    [WORD(ipv6_src)] = ONE(IPV6_SRC), [WORD(ipv6_src) + 1] = ONE(IPV6_SRC),
    [WORD(ipv6_dst)] = ONE(IPV6_DST), [WORD(ipv6_dst) + 1] = ONE(IPV6_DST),
    [WORD(ipv6_flabel)] = ONE(IPV6_FLABEL) | ONE(IPV6_EXTHDR) | ONE(ARP_OP),
    [WORD(arp_spa)] = ONE(ARP_SPA) | ONE(ARP_TPA),
    [WORD(arp_sha)] = ONE(ARP_SHA) | ONE(ARP_THA),
    [WORD(tp_src)] = ONE(ARP_THA) | ONE(TCP_SRC) | ONE(TCP_DST) | ONE(UDP_SRC) | ONE(UDP_DST) | ONE(SCTP_SRC) | ONE(SCTP_DST),
    [WORD(tcp_flags)] = ONE(TCP_FLAGS) | ONE(ICMPV4_TYPE) | ONE(ICMPV4_CODE) | ONE(ICMPV6_TYPE) | ONE(ICMPV6_CODE) | ONE(IPV6_ND_TARGET),
    [WORD(nd_target) + 1] = ONE(IPV6_ND_TARGET),
    [WORD(nd_sll)] = ONE(IPV6_ND_TARGET) | ONE(IPV6_ND_SLL),
    [WORD(nd_tll)] = ONE(IPV6_ND_SLL) | ONE(IPV6_ND_TLL),
    [WORD(nd_reserved)] = ONE(ND_RESERVED) | ONE(ND_OPTIONS_TYPE),
};

/* Spellings beside a row's own: the OpenFlow 1.5 numbers of two fields, and the other names that people write. */
static const struct { uint32_t header; enum field_id id; } more_headers[] = {
    { OXM(42), FIELD_TCP_FLAGS },
    { OXM(43), FIELD_ACTSET_OUTPUT },
};
static const struct { const char *name; enum field_id id; } more_names[] = {
    { "ipv4_src", FIELD_IPV4_SRC }, { "ipv4_dst", FIELD_IPV4_DST },
    { "tp_src", FIELD_TCP_SRC }, { "tp_dst", FIELD_TCP_DST },
    { "OXM_OF_TCP_FLAGS", FIELD_TCP_FLAGS }, { "OXM_OF_ACTSET_OUTPUT", FIELD_ACTSET_OUTPUT }, { "NXM_NX_IPV6_FLABEL", FIELD_IPV6_FLABEL },
};

#define HEADER_ID UINT32_C(0xfffffe00)      /* Class and field, without the mask bit and the length. */

const struct field *field_from_header(uint32_t header, uint32_t experimenter)
{
    header &= HEADER_ID;
    /* The basic class up to 39 is in enum order. */
    uint32_t number = header >> 9 & 0x7f;
    if (header >> 16 == 0x8000 && number <= 39) {
        return &fields[number];
    }
    if (header >> 16 == 0x0001 && number < FLOW_N_REGS) {
        return &fields[FIELD_REG0 + number];
    }
    bool is_experimenter = header >> 16 == 0xffff;
    for (unsigned i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        if (f->oxm && f->oxm == header && (!is_experimenter || f->experimenter == experimenter)) {
            return f;
        }
        if (f->nxm && f->nxm == header) {
            return f;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(more_headers); i++) {
        if (more_headers[i].header == header) {
            return &fields[more_headers[i].id];
        }
    }
    return NULL;
}

static bool name_is(const char *candidate, const char *name, size_t len)
{
    return candidate && !strncmp(candidate, name, len) && !candidate[len];
}

const struct field *field_from_name(const char *name, size_t len)
{
    if (!len) {
        return NULL;
    }
    for (unsigned i = 0; i < N_FIELDS; i++) {
        const struct field *f = &fields[i];
        if (name_is(f->name, name, len) || name_is(f->alias, name, len) || name_is(f->oxm_name, name, len) || name_is(f->nxm_name, name, len)) {
            return f;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(more_names); i++) {
        if (name_is(more_names[i].name, name, len)) {
            return &fields[more_names[i].id];
        }
    }
    return NULL;
}

uint32_t field_header(const struct field *f)
{
    uint32_t id = f->oxm && !(f->experimenter && f->nxm) ? f->oxm : f->nxm;
    return id | (f->experimenter && id == f->oxm ? f->wire_size + 4u : f->wire_size);
}

static unsigned __int128 value_u128(const union field_value *v)
{
    return (unsigned __int128) wire_get64(v->b) << 64 | wire_get64(v->b + 8);
}

static union field_value value_from_u128(unsigned __int128 x)
{
    union field_value v;
    wire_put64(v.b, (uint64_t) (x >> 64));
    wire_put64(v.b + 8, (uint64_t) x);
    return v;
}

static unsigned __int128 low_ones(unsigned n)
{
    return n >= 128 ? ~(unsigned __int128) 0 : ((unsigned __int128) 1 << n) - 1;
}

void field_copy_bits(const union field_value *src, unsigned src_ofs, union field_value *dst, unsigned dst_ofs, unsigned n)
{
    if (!n) {
        return;
    }
    unsigned __int128 ones = low_ones(n);
    unsigned __int128 bits = value_u128(src) >> src_ofs & ones;
    *dst = value_from_u128((value_u128(dst) & ~(ones << dst_ofs)) | bits << dst_ofs);
}

uint64_t field_value_u64(const union field_value *v)
{
    return wire_get64(v->b + 8);
}

union field_value field_value_from_u64(uint64_t x)
{
    return value_from_u128(x);
}

static bool is_ip4(const struct flow *f) { return be16_get(f->eth_type) == 0x0800; }
static bool is_ip6(const struct flow *f) { return be16_get(f->eth_type) == 0x86dd; }
/* A later fragment has no transport header. */
static bool has_l4(const struct flow *f) { return !(f->ip_frag & FLOW_FRAG_LATER); }
static bool is_ip_l4(const struct flow *f, uint8_t proto) { return (is_ip4(f) || is_ip6(f)) && f->ip_proto == proto && has_l4(f); }
static bool is_icmp6(const struct flow *f) { return is_ip6(f) && f->ip_proto == 58 && has_l4(f); }

bool field_present(enum field_prereq prereq, const struct flow *f)
{
    uint16_t type = be16_get(f->eth_type);
    switch (prereq) {
    case PREREQ_NONE: case PREREQ_IN_PORT: return true;
    case PREREQ_VLAN: return be16_get(f->vlan_vid) & FLOW_VLAN_PRESENT;
    case PREREQ_IP: return is_ip4(f) || is_ip6(f);
    case PREREQ_IPV4: return is_ip4(f);
    case PREREQ_IPV6: return is_ip6(f);
    case PREREQ_ARP: return type == 0x0806;
    case PREREQ_TCP: return is_ip_l4(f, 6);
    case PREREQ_UDP: return is_ip_l4(f, 17);
    case PREREQ_SCTP: return is_ip_l4(f, 132);
    case PREREQ_ICMPV4: return is_ip4(f) && f->ip_proto == 1 && has_l4(f);
    case PREREQ_ICMPV6: return is_icmp6(f);
    case PREREQ_ND: return is_icmp6(f) && (f->icmp_type == 135 || f->icmp_type == 136);
    case PREREQ_ND_NS: return is_icmp6(f) && f->icmp_type == 135;
    case PREREQ_ND_NA: return is_icmp6(f) && f->icmp_type == 136;
    case PREREQ_MPLS: return type == 0x8847 || type == 0x8848;
    case PREREQ_PBB: return type == 0x88e7;
    }
    return false;
}
