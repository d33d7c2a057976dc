/*
 * A frame from a key, for traces and tests: what packet_extract() finds in it is the key again.
 *
 * Where a key cannot say something, the frame has what a well-formed one would: TTL 64 for 0, "no next header" for an
 * IPv6 protocol of 0, TPID 0x8100 for a tag without one, an 802.2 header for a frame without an Ethernet type, right
 * lengths and checksums.
 */
#include "vswitch/checksum.h"
#include "vswitch/packet.h"

static void put_ethernet(const struct flow *f, struct buf *b)
{
    uint16_t type = be16_get(f->eth_type);
    buf_put(b, &f->eth_dst, 6);
    buf_put(b, &f->eth_src, 6);
    if (f->vlan_vid.v) {
        buf_put_be16(b, f->vlan_tpid.v ? be16_get(f->vlan_tpid) : ETH_TYPE_VLAN);
        buf_put_be16(b, (uint16_t) (f->vlan_pcp << 13 | (be16_get(f->vlan_vid) & 0xfff)));
    }
    if (type >= ETH_TYPE_MIN) {
        buf_put_be16(b, type);
    } else {
        buf_put_be16(b, 3);
        buf_put(b, "\x42\x42\x03", 3);          /* 802.2 UI to the spanning-tree SAP: no SNAP, no type. */
    }
}

static void put_payload(struct buf *b, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        buf_put_u8(b, (uint8_t) i);
    }
}

static void put_nd_option(struct buf *b, uint8_t type, struct mac mac)
{
    buf_put_u8(b, type);
    buf_put_u8(b, 1);
    buf_put(b, &mac, 6);
}

static void put_nd(const struct flow *f, struct buf *b)
{
    bool sll = mac_u64(f->nd_sll) || f->nd_options_type == ND_OPTION_SLL, tll = mac_u64(f->nd_tll) || f->nd_options_type == ND_OPTION_TLL;
    buf_put(b, &f->nd_reserved, 4);
    buf_put(b, &f->nd_target, 16);
    if (tll && f->nd_options_type == ND_OPTION_TLL) {
        put_nd_option(b, ND_OPTION_TLL, f->nd_tll);
    }
    if (sll) {
        put_nd_option(b, ND_OPTION_SLL, f->nd_sll);
    }
    if (tll && f->nd_options_type != ND_OPTION_TLL) {
        put_nd_option(b, ND_OPTION_TLL, f->nd_tll);
    }
}

/* The layer-4 header and payload; returns where in the header the checksum goes, or 0. */
static unsigned put_l4(const struct flow *f, struct buf *b, bool v6, unsigned payload_size)
{
    unsigned checksum_ofs = 0;
    size_t start = b->size;
    switch (f->ip_proto) {
    case IPPROTO_TCP_:
        buf_put(b, &f->tp_src, 2);
        buf_put(b, &f->tp_dst, 2);
        buf_put_zeros(b, 8);
        buf_put_be16(b, (uint16_t) (5 << 12 | be16_get(f->tcp_flags)));
        buf_put_zeros(b, 6);
        checksum_ofs = 16;
        break;
    case IPPROTO_UDP_:
        buf_put(b, &f->tp_src, 2);
        buf_put(b, &f->tp_dst, 2);
        buf_put_be16(b, (uint16_t) (8 + payload_size));
        buf_put_be16(b, 0);
        checksum_ofs = 6;
        break;
    case IPPROTO_SCTP_:
        buf_put(b, &f->tp_src, 2);
        buf_put(b, &f->tp_dst, 2);
        buf_put_zeros(b, 8);
        break;
    case IPPROTO_ICMPV4_: case IPPROTO_ICMPV6_:
        if (v6 != (f->ip_proto == IPPROTO_ICMPV6_)) {
            break;
        }
        buf_put_u8(b, f->icmp_type);
        buf_put_u8(b, f->icmp_code);
        buf_put_be16(b, 0);
        if (v6 && (f->icmp_type == ND_NEIGHBOR_SOLICIT || f->icmp_type == ND_NEIGHBOR_ADVERT)) {
            put_nd(f, b);
            payload_size = 0;
        }
        checksum_ofs = 2;
        break;
    default: break;
    }
    put_payload(b, payload_size);
    if (f->ip_proto == IPPROTO_SCTP_) {
        uint32_t crc = checksum_crc32c(b->data + start, b->size - start);
        memcpy(b->data + start + 8, &crc, 4);
    }
    return checksum_ofs;
}

static void finish_l4(struct buf *b, size_t start, unsigned ofs, const void *addresses, size_t n, uint8_t proto, bool pseudo)
{
    size_t size = b->size - start;
    uint32_t sum = 0;
    if (!ofs) {
        return;
    }
    if (pseudo) {
        sum = (uint16_t) ~checksum_full(addresses, n, (uint32_t) size + proto);
    }
    uint16_t c = checksum_full(b->data + start, size, sum);
    buf_set_be16(b, start + ofs, c || proto != IPPROTO_UDP_ ? c : 0xffff);
}

static void put_ipv4(const struct flow *f, struct buf *b, unsigned payload_size)
{
    size_t start = b->size;
    bool later = f->ip_frag & FLOW_FRAG_LATER;
    buf_put_u8(b, 0x45);
    buf_put_u8(b, (uint8_t) (f->ip_dscp << 2 | f->ip_ecn));
    buf_put_be32(b, 0);
    buf_put_be16(b, later ? 1 : f->ip_frag ? 0x2000 : 0);
    buf_put_u8(b, f->nw_ttl ? f->nw_ttl : 64);
    buf_put_u8(b, f->ip_proto);
    buf_put_be16(b, 0);
    buf_put(b, &f->ipv4_src, 4);
    buf_put(b, &f->ipv4_dst, 4);
    size_t l4 = b->size;
    if (later) {
        put_payload(b, MAX(payload_size, 8u));
    } else {
        unsigned ofs = put_l4(f, b, false, payload_size);
        finish_l4(b, l4, ofs, b->data + start + 12, 8, f->ip_proto, f->ip_proto != IPPROTO_ICMPV4_);
    }
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
    buf_set_be16(b, start + 10, checksum_full(b->data + start, 20, 0));
}

/* An extension header of eight bytes; AH counts its length in four-byte units less two. */
static void put_extension(struct buf *b, size_t *next, uint8_t type, uint16_t frag)
{
    b->data[*next] = type;
    *next = b->size;
    buf_put_be16(b, 0);
    buf_put_be16(b, frag);
    buf_put_be32(b, type == IPPROTO_HOPOPTS_ || type == IPPROTO_DSTOPTS_ ? 0x01020000 : 0);     /* PadN; the two bytes before are Pad1. */
}

static void put_ipv6(const struct flow *f, struct buf *b, unsigned payload_size)
{
    size_t start = b->size, next = start + 6;
    uint16_t bits = be16_get(f->ipv6_exthdr);
    bool later = f->ip_frag & FLOW_FRAG_LATER;
    buf_put_be32(b, UINT32_C(6) << 28 | (uint32_t) f->ip_dscp << 22 | (uint32_t) f->ip_ecn << 20 | be32_get(f->ipv6_flabel));
    buf_put_be16(b, 0);
    buf_put_u8(b, 0);
    buf_put_u8(b, f->nw_ttl ? f->nw_ttl : 64);
    buf_put(b, &f->ipv6_src, 16);
    buf_put(b, &f->ipv6_dst, 16);
    if (bits & OFPIEH_HOP) {
        put_extension(b, &next, IPPROTO_HOPOPTS_, 0);
    }
    if (bits & OFPIEH_ROUTER) {
        put_extension(b, &next, IPPROTO_ROUTING_, 0);
    }
    if (bits & OFPIEH_FRAG || f->ip_frag) {
        put_extension(b, &next, IPPROTO_FRAGMENT_, later ? 8 : f->ip_frag ? 1 : 0);
    }
    if (bits & OFPIEH_AUTH && !later) {
        put_extension(b, &next, IPPROTO_AH_, 0);
    }
    if (bits & OFPIEH_DEST && !later) {
        put_extension(b, &next, IPPROTO_DSTOPTS_, 0);
    }
    uint8_t proto = f->ip_proto ? f->ip_proto : IPPROTO_NONE_;
    b->data[next] = proto;
    size_t l4 = b->size;
    if (later) {
        put_payload(b, MAX(payload_size, 8u));
    } else {
        unsigned ofs = put_l4(f, b, true, payload_size);
        finish_l4(b, l4, ofs, b->data + start + 8, 32, proto, true);
    }
    buf_set_be16(b, start + 4, (uint16_t) (b->size - start - 40));
}

static void put_arp(const struct flow *f, struct buf *b)
{
    buf_put_be32(b, 0x00010800);
    buf_put_be16(b, 0x0604);
    buf_put(b, &f->arp_op, 2);
    buf_put(b, &f->arp_sha, 6);
    buf_put(b, &f->arp_spa, 4);
    buf_put(b, &f->arp_tha, 6);
    buf_put(b, &f->arp_tpa, 4);
}

void packet_compose(const struct flow *f, struct buf *b, unsigned payload_size)
{
    uint16_t type = be16_get(f->eth_type);
    put_ethernet(f, b);
    if (type == ETH_TYPE_IPV4) {
        put_ipv4(f, b, payload_size);
    } else if (type == ETH_TYPE_IPV6) {
        put_ipv6(f, b, payload_size);
    } else if (type == ETH_TYPE_ARP) {
        put_arp(f, b);
    } else {
        if (eth_type_is_mpls(type)) {
            buf_put_be32(b, be32_get(f->mpls_label) << 12 | (uint32_t) f->mpls_tc << 9 | (uint32_t) f->mpls_bos << 8 | f->mpls_ttl);
        } else if (type == ETH_TYPE_PBB) {
            buf_put_be32(b, (uint32_t) f->pbb_uca << 27 | be32_get(f->pbb_isid));
        }
        put_payload(b, payload_size);
    }
}
