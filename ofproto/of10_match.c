/* ofp_match of OpenFlow 1.0 (section 5.2.3): twelve fields and their wildcard bits. */
#include "ofproto/of10.h"

#include "ofproto/of_msg_codec.h"

enum {                          /* ofp_flow_wildcards */
    OFPFW_IN_PORT = 1 << 0, OFPFW_DL_VLAN = 1 << 1, OFPFW_DL_SRC = 1 << 2, OFPFW_DL_DST = 1 << 3, OFPFW_DL_TYPE = 1 << 4, OFPFW_NW_PROTO = 1 << 5,
    OFPFW_TP_SRC = 1 << 6, OFPFW_TP_DST = 1 << 7, OFPFW_NW_SRC_SHIFT = 8, OFPFW_NW_DST_SHIFT = 14, OFPFW_NW_MASK = 0x3f, OFPFW_DL_VLAN_PCP = 1 << 20,
    OFPFW_NW_TOS = 1 << 21,
};
enum { OFP_VLAN_NONE = 0xffff, VID_MASK = 0xfff, ETH_TYPE_IP = 0x0800, ETH_TYPE_ARP = 0x0806 };

struct of10_match {
    uint32_t wildcards, nw_src, nw_dst;
    uint16_t in_port, dl_vlan, dl_type, tp_src, tp_dst;
    uint8_t dl_vlan_pcp, nw_tos, nw_proto;
    struct mac dl_src, dl_dst;
};

static void get(struct cursor *c, struct of10_match *m)
{
    m->wildcards = cursor_be32(c);
    m->in_port = cursor_be16(c);
    cursor_copy(c, m->dl_src.b, 6);
    cursor_copy(c, m->dl_dst.b, 6);
    m->dl_vlan = cursor_be16(c);
    m->dl_vlan_pcp = cursor_u8(c);
    cursor_skip(c, 1);
    m->dl_type = cursor_be16(c);
    m->nw_tos = cursor_u8(c);
    m->nw_proto = cursor_u8(c);
    cursor_skip(c, 2);
    m->nw_src = cursor_be32(c);
    m->nw_dst = cursor_be32(c);
    m->tp_src = cursor_be16(c);
    m->tp_dst = cursor_be16(c);
}

/* The number of low bits that do not count; 32 and more: none counts. */
static uint32_t prefix_mask(uint32_t wildcards, unsigned shift)
{
    unsigned n = wildcards >> shift & OFPFW_NW_MASK;
    return n >= 32 ? 0 : UINT32_MAX << n;
}

static void set_vlan(struct match *m, const struct of10_match *w)
{
    bool vid = !(w->wildcards & OFPFW_DL_VLAN), pcp = !(w->wildcards & OFPFW_DL_VLAN_PCP);
    if (vid && w->dl_vlan == OFP_VLAN_NONE) {
        match_set_u64(m, FIELD_VLAN_VID, 0);    /* "no VLAN id was set": the PCP does not count. */
        return;
    }
    if (vid) {
        match_set_u64(m, FIELD_VLAN_VID, FLOW_VLAN_PRESENT | (w->dl_vlan & VID_MASK));
    } else if (pcp) {
        match_set_u64_masked(m, FIELD_VLAN_VID, FLOW_VLAN_PRESENT, FLOW_VLAN_PRESENT);
    }
    if (pcp) {
        match_set_u64(m, FIELD_VLAN_PCP, w->dl_vlan_pcp & 7);
    }
}

static void set_transport(struct match *m, const struct of10_match *w)
{
    static const struct { uint8_t proto; enum field_id src, dst; } protocols[] = {
        { 6, FIELD_TCP_SRC, FIELD_TCP_DST }, { 17, FIELD_UDP_SRC, FIELD_UDP_DST }, { 1, FIELD_ICMPV4_TYPE, FIELD_ICMPV4_CODE },
        { 132, FIELD_SCTP_SRC, FIELD_SCTP_DST },
    };
    for (unsigned i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (protocols[i].proto != w->nw_proto) {
            continue;
        }
        if (!(w->wildcards & OFPFW_TP_SRC)) {
            match_set_u64(m, protocols[i].src, w->tp_src);
        }
        if (!(w->wildcards & OFPFW_TP_DST)) {
            match_set_u64(m, protocols[i].dst, w->tp_dst);
        }
    }
}

/* Fields of protocols that the match does not name are "ignored" (section 3.4), that is, left open. */
static void set_network(struct match *m, const struct of10_match *w)
{
    bool ip = w->dl_type == ETH_TYPE_IP, proto = !(w->wildcards & OFPFW_NW_PROTO);
    match_set_u64_masked(m, ip ? FIELD_IPV4_SRC : FIELD_ARP_SPA, w->nw_src, prefix_mask(w->wildcards, OFPFW_NW_SRC_SHIFT));
    match_set_u64_masked(m, ip ? FIELD_IPV4_DST : FIELD_ARP_TPA, w->nw_dst, prefix_mask(w->wildcards, OFPFW_NW_DST_SHIFT));
    if (proto) {
        match_set_u64(m, ip ? FIELD_IP_PROTO : FIELD_ARP_OP, w->nw_proto);
    }
    if (ip && !(w->wildcards & OFPFW_NW_TOS)) {
        match_set_u64(m, FIELD_IP_DSCP, w->nw_tos >> 2);
    }
    if (ip && proto) {
        set_transport(m, w);
    }
}

void of10_match_decode(struct cursor *c, struct match *m)
{
    struct of10_match w;
    get(c, &w);
    match_init(m);
    if (!(w.wildcards & OFPFW_IN_PORT)) {
        match_set_u64(m, FIELD_IN_PORT, of10_port_get(w.in_port));
    }
    if (!(w.wildcards & OFPFW_DL_SRC)) {
        match_set_mac(m, FIELD_ETH_SRC, w.dl_src);
    }
    if (!(w.wildcards & OFPFW_DL_DST)) {
        match_set_mac(m, FIELD_ETH_DST, w.dl_dst);
    }
    set_vlan(m, &w);
    if (!(w.wildcards & OFPFW_DL_TYPE)) {
        match_set_u64(m, FIELD_ETH_TYPE, w.dl_type);
        if (w.dl_type == ETH_TYPE_IP || w.dl_type == ETH_TYPE_ARP) {
            set_network(m, &w);
        }
    }
}

/* --- And back --- */

/* The field's value when it is matched exactly and fits; 0 and the wildcard bit otherwise. */
static uint64_t exact(const struct match *m, enum field_id id, uint32_t wildcard, struct of10_match *w)
{
    union field_value value, mask, all = field_mask_all(field_row(id));
    if (match_get(m, id, &value, &mask) && !memcmp(&mask, &all, sizeof all)) {
        return field_value_u64(&value);
    }
    w->wildcards |= wildcard;
    return 0;
}

/* A prefix; the longest one inside the mask where the mask is none. */
static uint32_t prefix(const struct match *m, enum field_id id, unsigned shift, struct of10_match *w)
{
    union field_value value, mask;
    unsigned n = 32;
    if (match_get(m, id, &value, &mask)) {
        uint32_t inverse = ~(uint32_t) field_value_u64(&mask);
        n = inverse ? 32u - (unsigned) __builtin_clz(inverse) : 0;
    }
    w->wildcards |= n << shift;
    return n >= 32 ? 0 : (uint32_t) field_value_u64(&value) & (UINT32_MAX << n);
}

static void get_vlan(const struct match *m, struct of10_match *w)
{
    uint16_t vid = be16_get(m->value.flow.vlan_vid), mask = be16_get(m->mask.flow.vlan_vid);
    if (mask == (FLOW_VLAN_PRESENT | VID_MASK)) {
        w->dl_vlan = vid & FLOW_VLAN_PRESENT ? vid & VID_MASK : OFP_VLAN_NONE;
    } else {
        w->wildcards |= OFPFW_DL_VLAN;
    }
    w->dl_vlan_pcp = (uint8_t) exact(m, FIELD_VLAN_PCP, OFPFW_DL_VLAN_PCP, w);
}

static void get_network(const struct match *m, struct of10_match *w)
{
    bool arp = w->dl_type == ETH_TYPE_ARP;
    uint64_t proto = exact(m, arp ? FIELD_ARP_OP : FIELD_IP_PROTO, OFPFW_NW_PROTO, w);
    if (proto > UINT8_MAX) {
        w->wildcards |= OFPFW_NW_PROTO;
        proto = 0;
    }
    w->nw_proto = (uint8_t) proto;
    w->nw_src = prefix(m, arp ? FIELD_ARP_SPA : FIELD_IPV4_SRC, OFPFW_NW_SRC_SHIFT, w);
    w->nw_dst = prefix(m, arp ? FIELD_ARP_TPA : FIELD_IPV4_DST, OFPFW_NW_DST_SHIFT, w);
    w->nw_tos = (uint8_t) (exact(m, FIELD_IP_DSCP, OFPFW_NW_TOS, w) << 2);
    enum field_id src = FIELD_TCP_SRC, dst = FIELD_TCP_DST;
    if (w->nw_proto == 1) {
        src = FIELD_ICMPV4_TYPE;
        dst = FIELD_ICMPV4_CODE;
    } else if (w->nw_proto == 17) {
        src = FIELD_UDP_SRC;
        dst = FIELD_UDP_DST;
    } else if (w->nw_proto == 132) {
        src = FIELD_SCTP_SRC;
        dst = FIELD_SCTP_DST;
    }
    w->tp_src = (uint16_t) exact(m, src, OFPFW_TP_SRC, w);
    w->tp_dst = (uint16_t) exact(m, dst, OFPFW_TP_DST, w);
}

void of10_match_encode(const struct match *m, struct buf *b)
{
    struct of10_match w = { .wildcards = 0 };
    w.in_port = of10_port_put((uint32_t) exact(m, FIELD_IN_PORT, OFPFW_IN_PORT, &w));
    w.dl_src = mac_from_u64(exact(m, FIELD_ETH_SRC, OFPFW_DL_SRC, &w));
    w.dl_dst = mac_from_u64(exact(m, FIELD_ETH_DST, OFPFW_DL_DST, &w));
    get_vlan(m, &w);
    w.dl_type = (uint16_t) exact(m, FIELD_ETH_TYPE, OFPFW_DL_TYPE, &w);
    if (w.dl_type == ETH_TYPE_IP || w.dl_type == ETH_TYPE_ARP) {
        get_network(m, &w);
    } else {
        w.wildcards |= OFPFW_NW_PROTO | OFPFW_NW_TOS | OFPFW_TP_SRC | OFPFW_TP_DST | 32u << OFPFW_NW_SRC_SHIFT | 32u << OFPFW_NW_DST_SHIFT;
    }
    buf_put_be32(b, w.wildcards);
    buf_put_be16(b, w.in_port);
    buf_put(b, w.dl_src.b, 6);
    buf_put(b, w.dl_dst.b, 6);
    buf_put_be16(b, w.dl_vlan);
    buf_put_u8(b, w.dl_vlan_pcp);
    buf_put_zeros(b, 1);
    buf_put_be16(b, w.dl_type);
    buf_put_u8(b, w.nw_tos);
    buf_put_u8(b, w.nw_proto);
    buf_put_zeros(b, 2);
    buf_put_be32(b, w.nw_src);
    buf_put_be32(b, w.nw_dst);
    buf_put_be16(b, w.tp_src);
    buf_put_be16(b, w.tp_dst);
}
