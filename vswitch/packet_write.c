/*
 * Set-field: one field in the frame and in the key, with every checksum that covers it.
 *
 * Each writer locates the header by the offsets that packet_extract() left, so an absent header cannot be written.
 * `change()` is the only place that stores into a checksummed header: it knows which checksums a byte is part of.
 */
#include "vswitch/packet.h"

#include "vswitch/checksum.h"

enum { IN_IP_HEADER = 1, IN_L4 = 2 };   /* What covers the bytes: the IPv4 header checksum; the layer-4 checksum (body or pseudo header). */

/* The layer-4 checksum field, or NULL when this frame has none (SCTP is apart). */
static uint8_t *l4_checksum(const struct packet *p, const struct flow *f, bool pseudo_header)
{
    uint8_t *h = p->data + p->l4_ofs;
    if (!p->l4_ofs) {
        return NULL;
    }
    switch (f->ip_proto) {
    case IPPROTO_TCP_: return h + 16;
    case IPPROTO_UDP_: return h + 6;
    case IPPROTO_ICMPV6_: return h + 2;
    case IPPROTO_ICMPV4_: return pseudo_header ? NULL : h + 2;
    default: return NULL;
    }
}

/* Stores `n` bytes at `at`; `odd`: at an odd offset of its header. */
static void change(struct packet *p, const struct flow *f, uint8_t *at, const void *bytes, size_t n, unsigned odd, unsigned covered, bool pseudo_header)
{
    uint32_t delta = checksum_delta(at, bytes, n, odd);
    memcpy(at, bytes, n);
    if (covered & IN_IP_HEADER && be16_get(f->eth_type) == ETH_TYPE_IPV4) {
        uint8_t *c = p->data + p->l3_ofs + 10;
        wire_put16(c, checksum_update(wire_get16(c), delta));
    }
    uint8_t *c = covered & IN_L4 ? l4_checksum(p, f, pseudo_header) : NULL;
    if (c) {
        uint16_t old = wire_get16(c);
        wire_put16(c, f->ip_proto == IPPROTO_UDP_ ? checksum_update_udp(old, delta) : checksum_update(old, delta));
    }
}

static bool set_ethernet(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (p->len < ETH_HEADER_SIZE) {
        return false;
    }
    switch (id) {
    case FIELD_ETH_DST: memcpy(p->data, v + 10, 6); break;
    case FIELD_ETH_SRC: memcpy(p->data + 6, v + 10, 6); break;
    case FIELD_ETH_TYPE:
        /* A length is no type, and a frame with a length has no type to set. */
        if (be16_get(f->eth_type) < ETH_TYPE_MIN || wire_get16(v + 14) < ETH_TYPE_MIN) {
            return false;
        }
        memcpy(p->data + p->l2_len - 2, v + 14, 2);
        packet_extract(p, f);
        return true;
    default: return false;
    }
    return true;
}

static bool set_vlan(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (!f->vlan_vid.v) {
        return false;
    }
    uint16_t tci = wire_get16(p->data + ETH_HEADER_SIZE);
    if (id == FIELD_VLAN_VID) {
        /* Section 7.2.3.8: set-field gives OFPVID_PRESENT | vid; the tag itself has no such bit. */
        tci = (uint16_t) ((tci & 0xf000) | (wire_get16(v + 14) & 0xfff));
        f->vlan_vid = be16_put(FLOW_VLAN_PRESENT | (tci & 0xfff));
    } else {
        tci = (uint16_t) ((tci & 0x1fff) | (v[15] & 7) << 13);
    }
    wire_put16(p->data + ETH_HEADER_SIZE, tci);
    return true;
}

static bool set_mpls(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (!eth_type_is_mpls(be16_get(f->eth_type)) || p->len - p->l2_len < 4) {
        return false;
    }
    uint8_t *at = p->data + p->l2_len;
    uint32_t lse = wire_get32(at), x = wire_get32(v + 12);
    switch (id) {
    case FIELD_MPLS_LABEL: lse = (lse & 0xfff) | x << 12; break;
    case FIELD_MPLS_TC: lse = (lse & ~UINT32_C(0xe00)) | (x & 7) << 9; break;
    case FIELD_MPLS_BOS: lse = (lse & ~UINT32_C(0x100)) | (x & 1) << 8; break;
    default: lse = (lse & ~UINT32_C(0xff)) | (x & 0xff); break;
    }
    wire_put32(at, lse);
    return true;
}

static bool set_pbb(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (be16_get(f->eth_type) != ETH_TYPE_PBB || p->len - p->l2_len < 4) {
        return false;
    }
    uint8_t *at = p->data + p->l2_len;
    uint32_t tag = wire_get32(at), x = wire_get32(v + 12);
    tag = id == FIELD_PBB_ISID ? (tag & 0xff000000) | (x & 0xffffff) : (tag & ~(UINT32_C(1) << 27)) | (x & 1) << 27;
    wire_put32(at, tag);
    return true;
}

static bool set_arp(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (!p->l3_ofs || be16_get(f->eth_type) != ETH_TYPE_ARP) {
        return false;
    }
    uint8_t *h = p->data + p->l3_ofs;
    switch (id) {
    case FIELD_ARP_OP: memcpy(h + 6, v + 14, 2); break;
    case FIELD_ARP_SHA: memcpy(h + 8, v + 10, 6); break;
    case FIELD_ARP_SPA: memcpy(h + 14, v + 12, 4); break;
    case FIELD_ARP_THA: memcpy(h + 18, v + 10, 6); break;
    default: memcpy(h + 24, v + 12, 4); break;
    }
    return true;
}

/* The protocol number sits in the IPv4 header or in the last header of the IPv6 chain, and in the pseudo header of the layer-4 checksum as it is now. */
static bool set_ip_proto(struct packet *p, struct flow *f, uint8_t proto)
{
    uint8_t *h = p->data + p->l3_ofs;
    if (be16_get(f->eth_type) == ETH_TYPE_IPV4) {
        uint32_t delta = checksum_delta(h + 9, &proto, 1, 1);
        change(p, f, h + 9, &proto, 1, 1, IN_IP_HEADER, true);
        uint8_t *c = l4_checksum(p, f, true);
        if (c) {
            wire_put16(c, f->ip_proto == IPPROTO_UDP_ ? checksum_update_udp(wire_get16(c), delta) : checksum_update(wire_get16(c), delta));
        }
    } else {
        struct ipv6_chain chain;
        packet_walk_ipv6(h, packet_l3_end(p, f) - p->l3_ofs, &chain);
        /* In the pseudo header the number is the low byte of a word, wherever it is in the frame. */
        change(p, f, h + chain.proto_ofs, &proto, 1, 1, IN_L4, true);
    }
    packet_extract(p, f);
    return true;
}

static bool set_ip(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    bool v4 = be16_get(f->eth_type) == ETH_TYPE_IPV4;
    if (!p->l3_ofs || (!v4 && be16_get(f->eth_type) != ETH_TYPE_IPV6)) {
        return false;
    }
    uint8_t *h = p->data + p->l3_ofs, b = v[15];
    unsigned dscp = id == FIELD_IP_DSCP ? b & 63 : f->ip_dscp, ecn = id == FIELD_IP_ECN ? b & 3 : f->ip_ecn;
    switch (id) {
    case FIELD_IP_PROTO:
        return set_ip_proto(p, f, b);
    case FIELD_NW_TTL:
        change(p, f, h + (v4 ? 8 : 7), &b, 1, v4 ? 0 : 1, IN_IP_HEADER, false);
        break;
    default:
        b = (uint8_t) (dscp << 2 | ecn);
        if (v4) {
            change(p, f, h + 1, &b, 1, 1, IN_IP_HEADER, false);
        } else {
            wire_put32(h, (wire_get32(h) & 0xf00fffff) | (uint32_t) b << 20);
        }
        break;
    }
    return true;
}

static bool set_ip_address(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    bool v4 = id == FIELD_IPV4_SRC || id == FIELD_IPV4_DST;
    if (!p->l3_ofs || be16_get(f->eth_type) != (v4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6)) {
        return false;
    }
    uint8_t *h = p->data + p->l3_ofs;
    unsigned covered = IN_IP_HEADER | IN_L4;
    switch (id) {
    case FIELD_IPV4_SRC: change(p, f, h + 12, v + 12, 4, 0, covered, true); break;
    case FIELD_IPV4_DST: change(p, f, h + 16, v + 12, 4, 0, covered, true); break;
    case FIELD_IPV6_SRC: change(p, f, h + 8, v, 16, 0, IN_L4, true); break;
    case FIELD_IPV6_DST:
        /* RFC 8200 section 8.1: with a routing header the pseudo header has the final destination, which is not this address until no segment is left. */
        if (be16_get(f->ipv6_exthdr) & OFPIEH_ROUTER) {
            struct ipv6_chain chain;
            packet_walk_ipv6(h, packet_l3_end(p, f) - p->l3_ofs, &chain);
            covered = chain.rerouted ? 0 : IN_L4;
        } else {
            covered = IN_L4;
        }
        change(p, f, h + 24, v, 16, 0, covered, true);
        break;
    default:            /* FIELD_IPV6_FLABEL is in no checksum. */
        wire_put32(h, (wire_get32(h) & 0xfff00000) | (wire_get32(v + 12) & 0xfffff));
        break;
    }
    return true;
}

static bool set_port(struct packet *p, struct flow *f, uint8_t proto, unsigned ofs, const uint8_t *v)
{
    if (!p->l4_ofs || f->ip_proto != proto) {
        return false;
    }
    uint8_t *h = p->data + p->l4_ofs;
    if (proto == IPPROTO_SCTP_ && !f->ip_frag) {
        /* RFC 9260 section 6.8.  The packet's own length counts, also when the frame is cut off. */
        const uint8_t *ip = p->data + p->l3_ofs;
        size_t l4 = be16_get(f->eth_type) == ETH_TYPE_IPV4 ? wire_get16(ip + 2) - (size_t) (p->l4_ofs - p->l3_ofs)
            : 40u + wire_get16(ip + 4) - (size_t) (p->l4_ofs - p->l3_ofs);
        uint8_t diff[4] = { 0 };
        diff[ofs] = h[ofs] ^ v[14];
        diff[ofs + 1] = h[ofs + 1] ^ v[15];
        uint32_t crc;
        memcpy(&crc, h + 8, 4);                 /* Least significant byte first on the wire. */
        crc ^= checksum_crc32c_delta(diff, l4 - 4);
        memcpy(h + 8, &crc, 4);
    }
    change(p, f, h + ofs, v + 14, 2, 0, proto == IPPROTO_SCTP_ ? 0 : IN_L4, false);
    return true;
}

static bool set_icmp(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    bool v4 = id == FIELD_ICMPV4_TYPE || id == FIELD_ICMPV4_CODE, code = id == FIELD_ICMPV4_CODE || id == FIELD_ICMPV6_CODE;
    if (!p->l4_ofs || f->ip_proto != (v4 ? IPPROTO_ICMPV4_ : IPPROTO_ICMPV6_)) {
        return false;
    }
    change(p, f, p->data + p->l4_ofs + code, v + 15, 1, code, IN_L4, false);
    packet_extract(p, f);       /* The type decides whether there are neighbour-discovery fields. */
    return true;
}

static bool set_nd(struct packet *p, struct flow *f, enum field_id id, const uint8_t *v)
{
    if (!p->l4_ofs || f->ip_proto != IPPROTO_ICMPV6_ || (f->icmp_type != ND_NEIGHBOR_SOLICIT && f->icmp_type != ND_NEIGHBOR_ADVERT)
        || packet_l3_end(p, f) < p->l4_ofs + 24u) {
        return false;
    }
    uint8_t *h = p->data + p->l4_ofs, *o;
    switch (id) {
    case FIELD_ND_RESERVED:
        change(p, f, h + 4, v + 12, 4, 0, IN_L4, false);
        return true;
    case FIELD_IPV6_ND_TARGET:
        change(p, f, h + 8, v, 16, 0, IN_L4, false);
        return true;
    case FIELD_ND_OPTIONS_TYPE:
        o = packet_nd_option(p, f, 0);
        if (o) {
            change(p, f, o, v + 15, 1, 0, IN_L4, false);
        }
        break;
    default:
        if (f->icmp_type != (id == FIELD_IPV6_ND_SLL ? ND_NEIGHBOR_SOLICIT : ND_NEIGHBOR_ADVERT)) {
            return false;
        }
        o = packet_nd_option(p, f, id == FIELD_IPV6_ND_SLL ? ND_OPTION_SLL : ND_OPTION_TLL);
        if (o) {
            change(p, f, o + 2, v + 10, 6, 0, IN_L4, false);
        }
        break;
    }
    packet_extract(p, f);
    return o;
}

bool packet_set_field(struct packet *p, struct flow *f, const struct field *field, const union field_value *value)
{
    enum field_id id = field_id_of(field);
    const uint8_t *v = value->b;
    bool done;
    switch (id) {
    case FIELD_ETH_DST: case FIELD_ETH_SRC: done = set_ethernet(p, f, id, v); break;
    case FIELD_ETH_TYPE: return set_ethernet(p, f, id, v);
    case FIELD_VLAN_VID: return set_vlan(p, f, id, v);
    case FIELD_VLAN_PCP: done = set_vlan(p, f, id, v); break;
    case FIELD_MPLS_LABEL: case FIELD_MPLS_TC: case FIELD_MPLS_BOS: case FIELD_MPLS_TTL: done = set_mpls(p, f, id, v); break;
    case FIELD_PBB_ISID: case FIELD_PBB_UCA: done = set_pbb(p, f, id, v); break;
    case FIELD_ARP_OP: case FIELD_ARP_SPA: case FIELD_ARP_TPA: case FIELD_ARP_SHA: case FIELD_ARP_THA: done = set_arp(p, f, id, v); break;
    case FIELD_IP_PROTO: return set_ip(p, f, id, v);
    case FIELD_IP_DSCP: case FIELD_IP_ECN: case FIELD_NW_TTL: done = set_ip(p, f, id, v); break;
    case FIELD_IPV4_SRC: case FIELD_IPV4_DST: case FIELD_IPV6_SRC: case FIELD_IPV6_DST: case FIELD_IPV6_FLABEL: done = set_ip_address(p, f, id, v); break;
    case FIELD_TCP_SRC: done = set_port(p, f, IPPROTO_TCP_, 0, v); break;
    case FIELD_TCP_DST: done = set_port(p, f, IPPROTO_TCP_, 2, v); break;
    case FIELD_UDP_SRC: done = set_port(p, f, IPPROTO_UDP_, 0, v); break;
    case FIELD_UDP_DST: done = set_port(p, f, IPPROTO_UDP_, 2, v); break;
    case FIELD_SCTP_SRC: done = set_port(p, f, IPPROTO_SCTP_, 0, v); break;
    case FIELD_SCTP_DST: done = set_port(p, f, IPPROTO_SCTP_, 2, v); break;
    case FIELD_ICMPV4_TYPE: case FIELD_ICMPV4_CODE: case FIELD_ICMPV6_TYPE: case FIELD_ICMPV6_CODE: return set_icmp(p, f, id, v);
    case FIELD_ND_RESERVED: case FIELD_IPV6_ND_TARGET: done = set_nd(p, f, id, v); break;
    case FIELD_ND_OPTIONS_TYPE: case FIELD_IPV6_ND_SLL: case FIELD_IPV6_ND_TLL: return set_nd(p, f, id, v);
    default: return false;
    }
    if (done) {
        memcpy((uint8_t *) f + field->offset, v + 16 - field->size, field->size);
    }
    return done;
}

bool packet_set_u8(struct packet *p, struct flow *f, enum field_id id, uint8_t x)
{
    union field_value v = { .w = { 0, 0 } };
    v.b[15] = x;
    return packet_set_field(p, f, field_row(id), &v);
}
