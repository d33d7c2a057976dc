/* Parsing: one forward pass over the frame, every header checked against its own bounds before it is read. */
#include "vswitch/packet.h"

#define MAX_OFS 60000           /* Offsets are kept in 16 bits; what lies deeper is opaque. */
#define SNAP_SIZE 8

/* Rank in the order that RFC 8200 section 4.1 prefers; a destination options header may stand in two places. */
enum { RANK_HOP = 1, RANK_DEST_FIRST, RANK_ROUTER, RANK_FRAG, RANK_AUTH, RANK_ESP, RANK_DEST_LAST };

static uint16_t note_ext_header(struct ipv6_chain *c, uint8_t proto, unsigned *rank, unsigned *n_dest)
{
    static const struct { uint8_t proto, rank; uint16_t bit; } rows[] = {
        { IPPROTO_HOPOPTS_, RANK_HOP, OFPIEH_HOP }, { IPPROTO_ROUTING_, RANK_ROUTER, OFPIEH_ROUTER }, { IPPROTO_FRAGMENT_, RANK_FRAG, OFPIEH_FRAG },
        { IPPROTO_AH_, RANK_AUTH, OFPIEH_AUTH }, { IPPROTO_ESP_, RANK_ESP, OFPIEH_ESP }, { IPPROTO_DSTOPTS_, RANK_DEST_LAST, OFPIEH_DEST },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].proto != proto) {
            continue;
        }
        unsigned here = rows[i].rank;
        bool repeated = c->exthdr & rows[i].bit;
        if (proto == IPPROTO_DSTOPTS_) {
            here = *rank < RANK_DEST_FIRST ? RANK_DEST_FIRST : RANK_DEST_LAST;
            repeated = ++*n_dest > 2;
        }
        /* "Two destination options headers may be expected and would not cause this bit to be set." */
        uint16_t bits = repeated ? OFPIEH_UNREP : 0;
        if (here < *rank || (here == *rank && !repeated)) {
            bits |= OFPIEH_UNSEQ;
        }
        /* "OFPIEH_HOP is set to 1 if a hop-by-hop IPv6 extension header is found as the first extension header in the packet." */
        if (proto != IPPROTO_HOPOPTS_ || !*rank) {
            bits |= rows[i].bit;
        }
        *rank = here > *rank ? here : *rank;
        return bits;
    }
    return 0;
}

static bool is_walkable(uint8_t proto)
{
    return proto == IPPROTO_HOPOPTS_ || proto == IPPROTO_ROUTING_ || proto == IPPROTO_FRAGMENT_ || proto == IPPROTO_AH_ || proto == IPPROTO_DSTOPTS_;
}

void packet_walk_ipv6(const uint8_t *ip, uint32_t size, struct ipv6_chain *c)
{
    *c = (struct ipv6_chain) { .proto = ip[6], .proto_ofs = 6 };
    unsigned rank = 0, n_dest = 0;
    uint32_t ofs = 40;
    while (is_walkable(c->proto)) {
        const uint8_t *h = ip + ofs;
        if (size - ofs < 8) {
            return;
        }
        uint32_t len = c->proto == IPPROTO_FRAGMENT_ ? 8 : c->proto == IPPROTO_AH_ ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
        c->exthdr |= note_ext_header(c, c->proto, &rank, &n_dest);
        if (size - ofs < len || ofs + len > MAX_OFS) {
            return;
        }
        bool later = false;
        if (c->proto == IPPROTO_FRAGMENT_) {
            uint16_t field = wire_get16(h + 2);
            later = field & 0xfff8;
            /* An atomic fragment (RFC 6946) is a fragment to nobody. */
            c->frag = later ? FLOW_FRAG_ANY | FLOW_FRAG_LATER : field & 1 ? FLOW_FRAG_ANY : c->frag;
        } else if (c->proto == IPPROTO_ROUTING_ && h[3]) {
            c->rerouted = true;
        }
        c->proto = h[0];
        c->proto_ofs = ofs;
        ofs += len;
        if (later) {
            return;
        }
    }
    if (c->proto == IPPROTO_NONE_) {
        c->exthdr |= OFPIEH_NONEXT;
    } else if (c->proto == IPPROTO_ESP_) {
        c->exthdr |= note_ext_header(c, c->proto, &rank, &n_dest);
    }
    c->l4_ofs = ofs;
}

uint32_t packet_l3_end(const struct packet *p, const struct flow *f)
{
    const uint8_t *ip = p->data + p->l3_ofs;
    uint32_t size = be16_get(f->eth_type) == ETH_TYPE_IPV4 ? wire_get16(ip + 2) : 40u + wire_get16(ip + 4);
    return MIN(p->len, p->l3_ofs + size);
}

uint8_t *packet_nd_option(const struct packet *p, const struct flow *f, uint8_t type)
{
    uint32_t end = packet_l3_end(p, f);
    for (uint32_t ofs = p->l4_ofs + 24u; ofs + 8 <= end; ) {
        uint8_t *o = p->data + ofs;
        uint32_t len = o[1] * 8u;
        if (!len || ofs + len > end) {
            return NULL;
        }
        if (type ? o[0] == type : o[0] == ND_OPTION_SLL || o[0] == ND_OPTION_TLL) {
            return o;
        }
        ofs += len;
    }
    return NULL;
}

static void extract_nd(const struct packet *p, struct flow *f, const uint8_t *h)
{
    f->nd_reserved = be32_put(wire_get32(h + 4));
    memcpy(&f->nd_target, h + 8, 16);
    const uint8_t *o = packet_nd_option(p, f, 0);
    f->nd_options_type = o ? o[0] : 0;
    o = packet_nd_option(p, f, ND_OPTION_SLL);
    if (o) {
        memcpy(&f->nd_sll, o + 2, 6);
    }
    o = packet_nd_option(p, f, ND_OPTION_TLL);
    if (o) {
        memcpy(&f->nd_tll, o + 2, 6);
    }
}

/* The layer-4 header at `ofs`, of a packet that ends at `end`. A header that is cut off leaves l4_ofs and its fields zero. */
static void extract_l4(struct packet *p, struct flow *f, uint32_t ofs, uint32_t end)
{
    const uint8_t *h = p->data + ofs;
    uint32_t size = end - ofs, need;
    bool v6 = be16_get(f->eth_type) == ETH_TYPE_IPV6;
    switch (f->ip_proto) {
    case IPPROTO_TCP_: need = 20; break;
    case IPPROTO_UDP_: need = 8; break;
    case IPPROTO_SCTP_: need = 12; break;
    case IPPROTO_ICMPV4_: need = v6 ? UINT32_MAX : 4; break;
    case IPPROTO_ICMPV6_: need = v6 ? 4 : UINT32_MAX; break;
    default: return;
    }
    if (size < need || ofs > UINT16_MAX) {
        return;
    }
    p->l4_ofs = (uint16_t) ofs;
    if (need == 4) {
        f->icmp_type = h[0];
        f->icmp_code = h[1];
        if (v6 && (h[0] == ND_NEIGHBOR_SOLICIT || h[0] == ND_NEIGHBOR_ADVERT) && size >= 24) {
            extract_nd(p, f, h);
        }
        return;
    }
    memcpy(&f->tp_src, h, 2);
    memcpy(&f->tp_dst, h + 2, 2);
    if (need == 20) {
        f->tcp_flags = be16_put(wire_get16(h + 12) & 0xfff);
    }
}

static void extract_ipv4(struct packet *p, struct flow *f, uint32_t ofs)
{
    const uint8_t *h = p->data + ofs;
    uint32_t room = p->len - ofs;
    if (room < 20) {
        return;
    }
    uint32_t header = (h[0] & 15) * 4u, total = wire_get16(h + 2);
    if (h[0] >> 4 != 4 || header < 20 || header > room || total < header) {
        return;
    }
    p->l3_ofs = (uint16_t) ofs;
    f->ip_dscp = h[1] >> 2;
    f->ip_ecn = h[1] & 3;
    f->nw_ttl = h[8];
    f->ip_proto = h[9];
    memcpy(&f->ipv4_src, h + 12, 4);
    memcpy(&f->ipv4_dst, h + 16, 4);
    uint16_t frag = wire_get16(h + 6);
    if (frag & 0x1fff) {
        f->ip_frag = FLOW_FRAG_ANY | FLOW_FRAG_LATER;
        return;
    }
    f->ip_frag = frag & 0x2000 ? FLOW_FRAG_ANY : 0;
    extract_l4(p, f, ofs + header, ofs + MIN(room, total));
}

static void extract_ipv6(struct packet *p, struct flow *f, uint32_t ofs)
{
    const uint8_t *h = p->data + ofs;
    uint32_t room = p->len - ofs;
    if (room < 40 || h[0] >> 4 != 6) {
        return;
    }
    p->l3_ofs = (uint16_t) ofs;
    uint32_t first = wire_get32(h), size = MIN(room, 40u + wire_get16(h + 4));
    f->ip_dscp = first >> 22 & 0x3f;
    f->ip_ecn = first >> 20 & 3;
    f->ipv6_flabel = be32_put(first & 0xfffff);
    f->nw_ttl = h[7];
    memcpy(&f->ipv6_src, h + 8, 16);
    memcpy(&f->ipv6_dst, h + 24, 16);
    struct ipv6_chain c;
    packet_walk_ipv6(h, size, &c);
    f->ip_proto = c.proto;
    f->ip_frag = c.frag;
    f->ipv6_exthdr = be16_put(c.exthdr);
    if (c.l4_ofs) {
        extract_l4(p, f, ofs + c.l4_ofs, ofs + size);
    }
}

static void extract_arp(struct packet *p, struct flow *f, uint32_t ofs)
{
    const uint8_t *h = p->data + ofs;
    /* Ethernet and IPv4 only: hardware 1, protocol 0x0800, lengths 6 and 4. */
    if (p->len - ofs < 28 || wire_get64(h) >> 16 != UINT64_C(0x000108000604)) {
        return;
    }
    p->l3_ofs = (uint16_t) ofs;
    memcpy(&f->arp_op, h + 6, 2);
    memcpy(&f->arp_sha, h + 8, 6);
    memcpy(&f->arp_spa, h + 14, 4);
    memcpy(&f->arp_tha, h + 18, 6);
    memcpy(&f->arp_tpa, h + 24, 4);
}

/* Tags and the Ethernet type behind them; returns the payload's offset. */
static uint32_t extract_ethernet(const struct packet *p, struct flow *f)
{
    memcpy(&f->eth_dst, p->data, 6);
    memcpy(&f->eth_src, p->data + 6, 6);
    uint16_t type = wire_get16(p->data + 12);
    uint32_t ofs = ETH_HEADER_SIZE;
    while (eth_type_is_vlan(type) && p->len - ofs >= 4 && ofs < MAX_OFS) {
        uint16_t tci = wire_get16(p->data + ofs);
        if (ofs == ETH_HEADER_SIZE) {           /* "OXM_OF_VLAN_VID" is the outermost tag's. */
            f->vlan_vid = be16_put(FLOW_VLAN_PRESENT | (tci & 0xfff));
            f->vlan_pcp = (uint8_t) (tci >> 13);
            f->vlan_tpid = be16_put(type);
        }
        type = wire_get16(p->data + ofs + 2);
        ofs += 4;
    }
    if (type < ETH_TYPE_MIN) {
        const uint8_t *llc = p->data + ofs;
        type = ETH_TYPE_NONE;
        /* 802.2 SNAP with OUI 0 carries an Ethernet type (RFC 1042). */
        if (p->len - ofs >= SNAP_SIZE && wire_get48(llc) == UINT64_C(0xaaaa03000000) && wire_get16(llc + 6) >= ETH_TYPE_MIN) {
            type = wire_get16(llc + 6);
            ofs += SNAP_SIZE;
        }
    }
    f->eth_type = be16_put(type);
    return ofs;
}

void packet_extract_l3(struct packet *p, struct flow *f, uint32_t ofs)
{
    uint16_t type = be16_get(f->eth_type);
    if (type == ETH_TYPE_IPV4) {
        extract_ipv4(p, f, ofs);
    } else if (type == ETH_TYPE_IPV6) {
        extract_ipv6(p, f, ofs);
    } else if (type == ETH_TYPE_ARP) {
        extract_arp(p, f, ofs);
    }
}

void packet_extract(struct packet *p, struct flow *f)
{
    memset((uint8_t *) f + offsetof(struct flow, eth_dst), 0, sizeof *f - offsetof(struct flow, eth_dst));
    f->pbb_isid = be32_put(0);
    p->l2_len = p->l3_ofs = p->l4_ofs = 0;
    if (p->len < ETH_HEADER_SIZE) {
        return;
    }
    uint32_t ofs = extract_ethernet(p, f);
    p->l2_len = (uint16_t) ofs;
    uint16_t type = be16_get(f->eth_type);
    if (type == ETH_TYPE_IPV4 || type == ETH_TYPE_IPV6 || type == ETH_TYPE_ARP) {
        packet_extract_l3(p, f, ofs);
    } else if (eth_type_is_mpls(type) && p->len - ofs >= 4) {
        uint32_t lse = wire_get32(p->data + ofs);
        f->mpls_label = be32_put(lse >> 12);
        f->mpls_tc = lse >> 9 & 7;
        f->mpls_bos = lse >> 8 & 1;
        f->mpls_ttl = (uint8_t) lse;
    } else if (type == ETH_TYPE_PBB && p->len - ofs >= 4) {
        uint32_t tag = wire_get32(p->data + ofs);
        f->pbb_uca = tag >> 27 & 1;
        f->pbb_isid = be32_put(tag & 0xffffff);
    }
}
