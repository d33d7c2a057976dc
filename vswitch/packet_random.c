#include "vswitch/packet_random.h"

#include <stdlib.h>
#include "vswitch/checksum.h"

static uint8_t u8(struct rng *r) { return (uint8_t) rng_u64(r); }
static be16 any16(struct rng *r) { return be16_put((uint16_t) rng_u64(r)); }
static be32 any32(struct rng *r) { return be32_put((uint32_t) rng_u64(r)); }

static struct ip any_ip6(struct rng *r)
{
    struct ip ip;
    for (unsigned i = 0; i < 16; i++) {
        ip.b[i] = u8(r);
    }
    return ip;
}

static void random_l4(struct rng *r, struct flow *f, bool v6)
{
    static const uint8_t protos[] = { IPPROTO_TCP_, IPPROTO_UDP_, IPPROTO_SCTP_, IPPROTO_ICMPV4_, IPPROTO_ICMPV6_, 89 };
    f->ip_proto = protos[rng_below(r, sizeof protos)];
    if (f->ip_frag & FLOW_FRAG_LATER) {
        return;
    }
    switch (f->ip_proto) {
    case IPPROTO_TCP_: f->tcp_flags = be16_put(rng_u64(r) & 0xfff); /* fall through */
    case IPPROTO_UDP_: case IPPROTO_SCTP_:
        f->tp_src = any16(r);
        f->tp_dst = any16(r);
        break;
    case IPPROTO_ICMPV4_: case IPPROTO_ICMPV6_:
        if (v6 != (f->ip_proto == IPPROTO_ICMPV6_)) {
            break;
        }
        f->icmp_type = rng_below(r, 2) ? (uint8_t) (ND_NEIGHBOR_SOLICIT + rng_below(r, 2)) : u8(r);
        f->icmp_code = u8(r);
        if (v6 && (f->icmp_type == ND_NEIGHBOR_SOLICIT || f->icmp_type == ND_NEIGHBOR_ADVERT)) {
            f->nd_target = any_ip6(r);
            f->nd_reserved = any32(r);
            f->nd_options_type = (uint8_t) rng_below(r, 3);
            f->nd_sll = f->nd_options_type == ND_OPTION_SLL ? mac_from_u64(rng_u64(r) >> 16 | 1) : (struct mac) { { 0 } };
            f->nd_tll = f->nd_options_type == ND_OPTION_TLL ? mac_from_u64(rng_u64(r) >> 16 | 1) : (struct mac) { { 0 } };
        }
        break;
    default: break;
    }
}

static void random_ip(struct rng *r, struct flow *f, bool v6)
{
    static const uint8_t frags[] = { 0, 0, 0, FLOW_FRAG_ANY, FLOW_FRAG_ANY | FLOW_FRAG_LATER };
    f->ip_dscp = u8(r) & 63;
    f->ip_ecn = u8(r) & 3;
    f->nw_ttl = u8(r) | 1;
    f->ip_frag = frags[rng_below(r, sizeof frags)];
    random_l4(r, f, v6);
    if (!v6) {
        f->ipv4_src = any32(r);
        f->ipv4_dst = any32(r);
        return;
    }
    f->ipv6_src = any_ip6(r);
    f->ipv6_dst = any_ip6(r);
    f->ipv6_flabel = be32_put(rng_u64(r) & 0xfffff);
    uint16_t bits = rng_below(r, 2) ? 0 : (uint16_t) rng_u64(r) & (OFPIEH_HOP | OFPIEH_ROUTER | OFPIEH_AUTH | OFPIEH_DEST);
    if (f->ip_frag & FLOW_FRAG_LATER) {
        bits &= OFPIEH_HOP | OFPIEH_ROUTER;
    }
    f->ipv6_exthdr = be16_put(bits | (f->ip_frag ? OFPIEH_FRAG : 0));
}

void random_key(struct rng *r, struct flow *f)
{
    static const uint16_t types[] = { ETH_TYPE_IPV4, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_IPV6, ETH_TYPE_ARP, ETH_TYPE_MPLS, ETH_TYPE_MPLS_MCAST, ETH_TYPE_PBB,
                                      ETH_TYPE_NONE, 0x88cc };
    flow_init(f);
    f->eth_dst = mac_from_u64(rng_u64(r) >> 16);
    f->eth_src = mac_from_u64(rng_u64(r) >> 16);
    f->eth_type = be16_put(types[rng_below(r, ARRAY_SIZE(types))]);
    if (rng_below(r, 2)) {
        f->vlan_vid = be16_put(FLOW_VLAN_PRESENT | (rng_u64(r) & 0xfff));
        f->vlan_pcp = u8(r) & 7;
        f->vlan_tpid = be16_put(rng_below(r, 2) ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
    }
    switch (be16_get(f->eth_type)) {
    case ETH_TYPE_IPV4: random_ip(r, f, false); break;
    case ETH_TYPE_IPV6: random_ip(r, f, true); break;
    case ETH_TYPE_ARP:
        f->arp_op = any16(r);
        f->arp_spa = any32(r);
        f->arp_tpa = any32(r);
        f->arp_sha = mac_from_u64(rng_u64(r) >> 16);
        f->arp_tha = mac_from_u64(rng_u64(r) >> 16);
        break;
    case ETH_TYPE_MPLS: case ETH_TYPE_MPLS_MCAST:
        f->mpls_label = be32_put(rng_u64(r) & 0xfffff);
        f->mpls_tc = u8(r) & 7;
        f->mpls_bos = u8(r) & 1;
        f->mpls_ttl = u8(r);
        break;
    case ETH_TYPE_PBB:
        f->pbb_isid = be32_put(rng_u64(r) & 0xffffff);
        f->pbb_uca = u8(r) & 1;
        break;
    default: break;
    }
}

struct packet *packet_from_bytes(const void *bytes, uint32_t len, uint32_t headroom, uint32_t tailroom)
{
    struct packet *p = xmalloc(sizeof *p + headroom + len + tailroom);
    *p = (struct packet) { .data = (uint8_t *) (p + 1) + headroom, .len = len, .headroom = headroom, .tailroom = tailroom };
    if (len) {
        memcpy(p->data, bytes, len);
    }
    return p;
}

struct packet *random_frame(struct rng *r, const struct flow *f, unsigned payload_size)
{
    struct buf b = BUF_INIT;
    packet_compose(f, &b, payload_size);
    bool front = rng_below(r, 4);
    struct packet *p = packet_from_bytes(b.data, (uint32_t) b.size, front ? 128 : 0, front ? 0 : 128);
    buf_fini(&b);
    return p;
}

void random_labels(struct rng *r, struct buf *frame, uint32_t ofs)
{
    static const uint8_t ttls[] = { 1, 2, 3, 64 };
    unsigned n = rng_below(r, 5);
    for (unsigned i = 0; i < n; i++) {  /* The last one first. */
        bool bottom = rng_below(r, 16) ? !i : i;
        uint32_t label = rng_below(r, 8) ? 16 + rng_below(r, 2) : 0x45000;         /* The beginning of an IPv4 header. */
        buf_put_zeros(frame, 4);
        memmove(frame->data + ofs + 4, frame->data + ofs, frame->size - ofs - 4);
        wire_put32(frame->data + ofs, label << 12 | rng_below(r, 2) << 9 | (bottom ? 0x100 : 0) | ttls[rng_below(r, sizeof ttls)]);
    }
    if (n) {
        wire_put16(frame->data + ofs - 2, rng_below(r, 4) ? ETH_TYPE_MPLS : ETH_TYPE_MPLS_MCAST);
    }
}

/* Every sum over the whole, nothing incremental. */
bool checksums_right(const struct packet *p, const struct flow *f)
{
    const uint8_t *ip = p->data + p->l3_ofs, *l4 = p->data + p->l4_ofs;
    bool v4 = be16_get(f->eth_type) == ETH_TYPE_IPV4;
    if (!p->l3_ofs || (!v4 && be16_get(f->eth_type) != ETH_TYPE_IPV6)) {
        return true;
    }
    if (v4 && checksum_full(ip, (ip[0] & 15) * 4u, 0)) {
        return false;
    }
    if (!p->l4_ofs || f->ip_frag) {
        return true;
    }
    size_t size = packet_l3_end(p, f) - p->l4_ofs;
    if (f->ip_proto == IPPROTO_SCTP_) {
        uint8_t *copy = xmalloc(size);
        uint32_t crc, right;
        memcpy(copy, l4, size);
        memcpy(&crc, copy + 8, 4);
        memset(copy + 8, 0, 4);
        right = checksum_crc32c(copy, size);
        free(copy);
        return crc == right;
    }
    uint32_t sum = f->ip_proto == IPPROTO_ICMPV4_ ? 0 : (uint16_t) ~checksum_full(ip + (v4 ? 12 : 8), v4 ? 8 : 32, f->ip_proto + (uint32_t) size);
    return !checksum_full(l4, size, sum);
}

union field_value random_value(struct rng *r, const struct field *f)
{
    union field_value v = { .w = { rng_u64(r), rng_u64(r) } }, all = field_mask_all(f);
    v.w[0] &= all.w[0];
    v.w[1] &= all.w[1];
    return v;
}
