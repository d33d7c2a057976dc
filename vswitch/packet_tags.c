/* Pushing and popping tags, and the TTL copies between them (OpenFlow 1.3.5 sections 5.12, 5.13, 7.2.5).  The layout changes, so each edit ends by parsing again. */
#include "vswitch/packet.h"

#include "vswitch/checksum.h"

/* Makes room for n bytes at `ofs` by moving what is before it down (or, without headroom, what is behind it up). */
static bool insert_bytes(struct packet *p, uint32_t ofs, uint32_t n)
{
    if (p->headroom >= n) {
        memmove(p->data - n, p->data, ofs);
        p->data -= n;
        p->headroom -= n;
    } else if (p->tailroom >= n) {
        memmove(p->data + ofs + n, p->data + ofs, p->len - ofs);
        p->tailroom -= n;
    } else {
        return false;
    }
    p->len += n;
    return true;
}

/*
 * A frame that is long enough for Ethernet stays so: what lost a tag gets padding behind instead (IEEE 802.3 clause
 * 3.2.8, 60 bytes without the FCS).  The ports of a virtual switch have no hardware that would do it.  A frame that came
 * shorter, as VMs may send them, is not this function's to mend.
 */
static void remove_bytes(struct packet *p, uint32_t ofs, uint32_t n)
{
    if (p->len >= ETH_FRAME_MIN && p->len - n < ETH_FRAME_MIN) {
        uint32_t kept = p->len - n;
        memmove(p->data + ofs, p->data + ofs + n, kept - ofs);
        memset(p->data + kept, 0, ETH_FRAME_MIN - kept);
        p->tailroom += p->len - ETH_FRAME_MIN;
        p->len = ETH_FRAME_MIN;
        return;
    }
    memmove(p->data + n, p->data, ofs);
    p->data += n;
    p->headroom += n;
    p->len -= n;
}

/* Behind an 802.2 header there is a length that the edits below would falsify. */
bool packet_has_llc(const struct packet *p, const struct flow *f)
{
    return be16_get(f->eth_type) < ETH_TYPE_MIN
        || (p->l2_len >= ETH_HEADER_SIZE + 8 && wire_get48(p->data + p->l2_len - 8) == UINT64_C(0xaaaa03000000) && wire_get16(p->data + p->l2_len - 10) < ETH_TYPE_MIN);
}

static void move_headers(struct packet *p, int by)
{
    p->l2_len = (uint16_t) (p->l2_len + by);
    p->l3_ofs = (uint16_t) (p->l3_ofs ? p->l3_ofs + by : 0);
    p->l4_ofs = (uint16_t) (p->l4_ofs ? p->l4_ofs + by : 0);
}

bool packet_insert_vlan(struct packet *p, uint16_t tpid, uint16_t tci)
{
    if (!insert_bytes(p, 12, 4)) {
        return false;
    }
    wire_put16(p->data + 12, tpid);
    wire_put16(p->data + 14, tci);
    move_headers(p, 4);
    return true;
}

void packet_remove_vlan(struct packet *p)
{
    remove_bytes(p, 12, 4);
    move_headers(p, -4);
}

bool packet_push_vlan(struct packet *p, struct flow *f, uint16_t tpid)
{
    /* "The outermost VLAN tag, immediately after the Ethernet header"; VID and priority are copied from the tag that was outermost, or zero. */
    uint16_t tci = (uint16_t) ((be16_get(f->vlan_vid) & 0xfff) | f->vlan_pcp << 13);
    if (p->len < ETH_HEADER_SIZE || !eth_type_is_vlan(tpid) || !packet_insert_vlan(p, tpid, tci)) {
        return false;
    }
    packet_extract(p, f);
    return true;
}

bool packet_pop_vlan(struct packet *p, struct flow *f)
{
    if (!f->vlan_vid.v) {
        return false;
    }
    packet_remove_vlan(p);
    packet_extract(p, f);
    return true;
}

bool packet_insert_label(struct packet *p, uint16_t ethertype, uint32_t lse)
{
    if (!insert_bytes(p, ETH_HEADER_SIZE - 2, 4)) {
        return false;
    }
    /* The bytes moved end before the old type; the label goes over it and the type moves in front. */
    wire_put16(p->data + ETH_HEADER_SIZE - 2, ethertype);
    wire_put32(p->data + ETH_HEADER_SIZE, lse);
    p->l2_len = ETH_HEADER_SIZE;
    p->l3_ofs = p->l4_ofs = 0;
    return true;
}

void packet_remove_label(struct packet *p, uint16_t ethertype)
{
    remove_bytes(p, p->l2_len, 4);
    wire_put16(p->data + p->l2_len - 2, ethertype);
}

bool packet_push_mpls(struct packet *p, struct flow *f, uint16_t ethertype)
{
    bool mpls = eth_type_is_mpls(be16_get(f->eth_type)) && p->len - p->l2_len >= 4;
    if (p->len < ETH_HEADER_SIZE || packet_has_llc(p, f) || !eth_type_is_mpls(ethertype)) {
        return false;
    }
    /* "Immediately after the Ethernet header and before other tags." TTL from MPLS or IP; label and traffic class from MPLS; all else zero. */
    uint32_t lse = mpls ? be32_get(f->mpls_label) << 12 | (uint32_t) f->mpls_tc << 9 | f->mpls_ttl : f->nw_ttl;
    /* The bottom-of-stack bit tells what follows: a VLAN tag is no label. */
    if (!mpls || f->vlan_vid.v) {
        lse |= 0x100;
    }
    if (!packet_insert_label(p, ethertype, lse)) {
        return false;
    }
    packet_extract(p, f);
    return true;
}

bool packet_pop_mpls(struct packet *p, struct flow *f, uint16_t ethertype)
{
    if (!eth_type_is_mpls(be16_get(f->eth_type)) || p->len - p->l2_len < 4 || packet_has_llc(p, f) || ethertype < ETH_TYPE_MIN) {
        return false;
    }
    packet_remove_label(p, ethertype);
    packet_extract(p, f);
    return true;
}

bool packet_push_pbb(struct packet *p, struct flow *f, uint16_t ethertype)
{
    if (p->len < ETH_HEADER_SIZE || ethertype != ETH_TYPE_PBB) {
        return false;
    }
    /* I-SID from an I-TAG that is there, I-PCP from the VLAN tag, C-DA and C-SA from the Ethernet header. */
    uint32_t tag = (uint32_t) f->vlan_pcp << 29 | be32_get(f->pbb_isid);
    if (!insert_bytes(p, 12, 18)) {
        return false;
    }
    wire_put16(p->data + 12, ethertype);
    wire_put32(p->data + 14, tag);
    memcpy(p->data + 18, p->data, 12);
    packet_extract(p, f);
    return true;
}

bool packet_pop_pbb(struct packet *p, struct flow *f)
{
    if (be16_get(f->eth_type) != ETH_TYPE_PBB || p->l2_len + 4u + ETH_HEADER_SIZE > p->len || packet_has_llc(p, f)) {
        return false;
    }
    /* The backbone header goes as a whole, with its B-TAG; the customer's frame is what remains. */
    remove_bytes(p, 0, p->l2_len + 4u);
    packet_extract(p, f);
    return true;
}

/* The TTL behind the outermost label: the next label's, or that of the IP header at the bottom of the stack. NULL when there is none. */
static uint8_t *inner_ttl(const struct packet *p, const struct flow *f, uint8_t **ipv4)
{
    uint32_t ofs = p->l2_len + 4u;
    *ipv4 = NULL;
    if (!eth_type_is_mpls(be16_get(f->eth_type)) || ofs > p->len) {
        return NULL;
    }
    uint8_t *h = p->data + ofs;
    uint32_t room = p->len - ofs;
    if (!f->mpls_bos) {
        return room >= 4 ? h + 3 : NULL;
    }
    if (room >= 20 && h[0] >> 4 == 4 && (h[0] & 15) >= 5) {
        *ipv4 = h;
        return h + 8;
    }
    return room >= 40 && h[0] >> 4 == 6 ? h + 7 : NULL;
}

bool packet_copy_ttl_out(struct packet *p, struct flow *f)
{
    uint8_t *ipv4, *inner = inner_ttl(p, f, &ipv4);
    return inner && packet_set_u8(p, f, FIELD_MPLS_TTL, *inner);
}

bool packet_copy_ttl_in(struct packet *p, struct flow *f)
{
    uint8_t *ipv4, *inner = inner_ttl(p, f, &ipv4);
    if (!inner) {
        return false;
    }
    if (ipv4) {
        uint32_t delta = checksum_delta(inner, &f->mpls_ttl, 1, 0);
        wire_put16(ipv4 + 10, checksum_update(wire_get16(ipv4 + 10), delta));
    }
    *inner = f->mpls_ttl;
    return true;
}
