/*
 * Keys: the plan's bits of each frame of a batch, and their hashes.
 *
 * Most frames are IPv4 or IPv6 with TCP or UDP, with at most one tag, not fragmented, without options.  Of those each word of struct flow is a load or two;
 * all others go through packet_extract().  A batch of nothing but the commonest ones is done word by word, not frame by frame: the same few instructions for all.  All three
 * give the same words (cache_test.c compares them on random frames), and leave the packet's offsets.
 */
#include "vswitch/cache.h"

#include <string.h>
#include "lib/util.h"
#include "vswitch/packet.h"

#define WORD(MEMBER) (offsetof(struct flow, MEMBER) / 8)
enum { W_ETH = WORD(eth_dst), W_ETH2 = W_ETH + 1, W_TAG = WORD(vlan_pcp), W_IP = WORD(vlan_tpid), W_IPV4 = WORD(ipv4_src), W_IPV6 = WORD(ipv6_src),
       W_LABEL = WORD(ipv6_flabel), W_PORTS = WORD(tp_src), W_TCP = WORD(tcp_flags) };
_Static_assert(offsetof(struct flow, eth_dst) % 8 == 0 && offsetof(struct flow, vlan_pcp) % 8 == 0 && offsetof(struct flow, vlan_tpid) % 8 == 0
               && offsetof(struct flow, ipv4_src) % 8 == 0 && offsetof(struct flow, ipv6_src) % 8 == 0 && offsetof(struct flow, ipv6_flabel) % 8 == 0
               && offsetof(struct flow, tp_src) % 8 == 4 && offsetof(struct flow, tcp_flags) % 8 == 0, "words as fast_words() fills them");

static inline uint64_t load64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
static inline uint32_t load32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

/* The layer-4 header of a packet that ends at `end`; false: not one of the plain ones. */
static inline bool fast_l4(struct packet *p, uint64_t *w, uint8_t proto, uint32_t ofs, uint32_t end)
{
    const uint8_t *h = p->data + ofs;
    if (proto == IPPROTO_TCP_) {
        if (end < ofs + 20) {
            return false;
        }
        w[W_TCP] = (uint64_t) be16_put(wire_get16(h + 12) & 0xfff).v;
    } else if (proto == IPPROTO_UDP_) {
        if (end < ofs + 8) {
            return false;
        }
        w[W_TCP] = 0;
    } else {
        return false;
    }
    w[W_PORTS] = (uint64_t) load32(h) << 32;
    p->l4_ofs = (uint16_t) ofs;
    return true;
}

/* Only little-endian machines: a word's first byte is its lowest. */
static inline bool fast_words(struct packet *p, uint64_t *w)
{
    const uint8_t *d = p->data;
    uint32_t ofs = ETH_HEADER_SIZE;
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || p->len < ETH_HEADER_SIZE + 28) {
        return false;
    }
    uint16_t type = wire_get16(d + 12);
    uint64_t src_type = load64(d + 8) & UINT64_C(0xffffffffffff), pcp = 0, tpid = 0;
    if (type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ) {
        uint16_t tci = wire_get16(d + 14);
        tpid = be16_put(type).v;
        type = wire_get16(d + 16);
        src_type = load32(d + 8) | (uint64_t) be16_put(type).v << 32 | (uint64_t) be16_put(FLOW_VLAN_PRESENT | (tci & 0xfff)).v << 48;
        pcp = tci >> 13;
        ofs += 4;
    }
    const uint8_t *h = d + ofs;
    if (type == ETH_TYPE_IPV4) {
        uint32_t room = p->len - ofs, total = wire_get16(h + 2);
        if (h[0] != 0x45 || room < 28 || total < 20 || wire_get16(h + 6) & 0x3fff || !fast_l4(p, w, h[9], ofs + 20, ofs + MIN(room, total))) {
            return false;
        }
        w[W_IP] = tpid | (uint64_t) h[9] << 24 | (uint64_t) (h[1] >> 2) << 32 | (uint64_t) (h[1] & 3) << 40 | (uint64_t) h[8] << 48;
        w[W_IPV4] = load64(h + 12);
        w[W_IPV6] = w[W_IPV6 + 1] = w[W_IPV6 + 2] = w[W_IPV6 + 3] = w[W_LABEL] = 0;
    } else if (type == ETH_TYPE_IPV6) {
        uint32_t room = p->len - ofs, first;
        if (room < 48 || h[0] >> 4 != 6 || !fast_l4(p, w, h[6], ofs + 40, ofs + MIN(room, 40u + wire_get16(h + 4)))) {
            return false;
        }
        first = wire_get32(h);
        w[W_IP] = tpid | (uint64_t) h[6] << 24 | (uint64_t) (first >> 22 & 0x3f) << 32 | (uint64_t) (first >> 20 & 3) << 40 | (uint64_t) h[7] << 48;
        w[W_IPV4] = 0;
        w[W_IPV6] = load64(h + 8);
        w[W_IPV6 + 1] = load64(h + 16);
        w[W_IPV6 + 2] = load64(h + 24);
        w[W_IPV6 + 3] = load64(h + 32);
        w[W_LABEL] = be32_put(first & 0xfffff).v;
    } else {
        return false;
    }
    w[W_ETH] = load64(d);
    w[W_ETH2] = src_type;
    w[W_TAG] = pcp;
    p->l2_len = p->l3_ofs = (uint16_t) ofs;
    return true;
}

/* Which headers are there. */
static inline uint64_t shape(const struct packet *p)
{
    return (uint64_t) p->l2_len | (p->l3_ofs ? SHAPE_L3 : p->len - p->l2_len >= 4 ? SHAPE_ROOM : 0) | (p->l4_ofs ? SHAPE_L4 : 0);
}

/* Whether a header at `ofs` that is not there might be if some zeros followed the frame. */
static bool cut_off(const struct packet *p, const struct flow *f, uint32_t ofs)
{
    uint32_t room = p->len - ofs;
    uint16_t type = be16_get(f->eth_type);
    if (p->l3_ofs && type != ETH_TYPE_ARP) {
        const uint8_t *ip = p->data + p->l3_ofs;
        return !p->l4_ofs && room < (type == ETH_TYPE_IPV4 ? wire_get16(ip + 2) : 40u + wire_get16(ip + 4));
    }
    /* Longest IP header; ARP; SNAP, tags and labels. */
    return !p->l3_ofs && room < (type == ETH_TYPE_IPV4 || type == ETH_TYPE_IPV6 ? 60 : type == ETH_TYPE_ARP ? 28 : 8);
}

/* The fields and the shape of what is behind the last label, and the bits of the second and third that are read. */
static uint64_t behind_labels(const struct cache_plan *plan, struct packet *p, struct flow *f, uint64_t *others)
{
    uint32_t ofs = p->l2_len, n = 0, lse;
    uint64_t words = 0;
    do {
        if (p->len - ofs < 4 || n == CACHE_MAX_LABELS) {
            return 0;
        }
        lse = wire_get32(p->data + ofs);
        words = words << 32 | (n ? lse & plan->label_mask : 0);
        ofs += 4;
        n++;
    } while (!(lse & 0x100));
    *others = words;
    be16 outer = f->eth_type;
    unsigned version = ofs < p->len ? p->data[ofs] >> 4 : 0;
    uint64_t s = (uint64_t) n << SHAPE_LABELS_SHIFT;
    if (version == 4 || version == 6) {
        f->eth_type = be16_put(version == 4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6);
        packet_extract_l3(p, f, ofs);
        s |= (cut_off(p, f, ofs) ? SHAPE_CUT : 0) | (!p->l3_ofs ? 0 : version == 4 ? SHAPE_V4_BEHIND : SHAPE_V6_BEHIND) | (p->l4_ofs ? SHAPE_L4_BEHIND : 0);
        f->eth_type = outer;
        p->l3_ofs = p->l4_ofs = 0;
    }
    return s;
}

/* The rest of the shape, of a frame that is not one of the plain ones. */
static uint64_t odd_shape(const struct cache_plan *plan, struct packet *p, struct flow *f, uint64_t *others)
{
    uint64_t s = (packet_has_llc(p, f) ? SHAPE_SNAP : 0) | (cut_off(p, f, p->l2_len) ? SHAPE_CUT : 0);
    return plan->labels && eth_type_is_mpls(be16_get(f->eth_type)) ? s | behind_labels(plan, p, f, others) : s;
}

/* The tag behind the outermost one: its type and all its bits. */
static inline uint64_t inner_tag(const struct packet *p)
{
    const uint8_t *d = p->data;
    return p->l2_len >= ETH_HEADER_SIZE + 8 && eth_type_is_vlan(wire_get16(d + 12)) && eth_type_is_vlan(wire_get16(d + 16)) ? (uint64_t) wire_get32(d + 16) << 32 : 0;
}

static inline uint64_t hash_key(const struct cache_plan *plan, const uint64_t *key, uint32_t in_port)
{
    uint64_t h = cache_mix(in_port ^ plan->seeds[0], plan->seeds[1]);
    unsigned i = 0;
    for (; i + 1 < plan->n_key; i += 2) {
        h ^= cache_mix(key[i] ^ plan->seeds[i + 2], key[i + 1] ^ plan->seeds[i + 3]);
    }
    if (i < plan->n_key) {
        h ^= cache_mix(key[i] ^ plan->seeds[i + 2], plan->seeds[1]);
    }
    return cache_mix(h, UINT64_C(0x9e3779b97f4a7c15));
}

static void ethernet_words(const struct cache_plan *plan, struct packet **packets, unsigned n, struct cache_key *keys)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < plan->n_words; k++) {
            const uint8_t *d = packets[i]->data;
            keys[i].w[k] = (plan->index[k] == W_ETH ? load64(d) : load32(d + 8)) & plan->mask[k];
        }
    }
}

static void any_words(const struct cache_plan *plan, struct packet **packets, unsigned n, struct cache_key *keys)
{
    union flow_words fast, slow;
    flow_init(&fast.flow);
    for (unsigned i = 0; i < n; i++) {
        const union flow_words *words = &fast;
        uint64_t odd = 0, labels = 0;
        packets[i]->l4_ofs = 0;
        if (!fast_words(packets[i], fast.w)) {
            packet_extract(packets[i], &slow.flow);
            odd = plan->shape ? odd_shape(plan, packets[i], &slow.flow, &labels) : 0;
            words = &slow;
        }
        for (unsigned k = 0; k < plan->n_words; k++) {
            keys[i].w[k] = words->w[plan->index[k]] & plan->mask[k];
        }
        if (plan->shape) {
            keys[i].w[plan->n_words] = shape(packets[i]) | odd | (plan->inner ? inner_tag(packets[i]) : 0);
        }
        if (plan->label_mask) {
            keys[i].w[plan->n_words + 1] = labels;
        }
    }
}

/* --- Batches of the plainest frames: all of IPv4 without tag --- */

enum { V4 = ETH_HEADER_SIZE, V4_TOS = V4 + 1, V4_TTL = V4 + 8, V4_PROTO = V4 + 9, V4_ADDRESSES = V4 + 12, V4_PORTS = V4 + 20, V4_TCP_FLAGS = V4_PORTS + 12 };

/* Whether all are; then they have their offsets, and `data` their bytes. */
static bool all_plain(struct packet **packets, unsigned n, const uint8_t **data)
{
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
        return false;
    }
    bool all = true;
    for (unsigned i = 0; i < n; i++) {
        struct packet *p = packets[i];
        const uint8_t *h = p->data + V4;
        if (p->len < V4 + 28) {
            return false;
        }
        /* No branch on what differs from frame to frame: no processor foresees TCP or UDP. */
        bool tcp = h[9] == IPPROTO_TCP_, udp = h[9] == IPPROTO_UDP_;
        uint32_t size = MIN(p->len - V4, (uint32_t) wire_get16(h + 2));
        all &= (wire_get16(h - 2) == ETH_TYPE_IPV4) & (h[0] == 0x45) & !(wire_get16(h + 6) & 0x3fff) & (tcp | udp) & (size >= 28u + 12u * tcp);
        p->l2_len = p->l3_ofs = V4;
        p->l4_ofs = V4_PORTS;
        data[i] = p->data;
    }
    return all;
}

static inline uint64_t plain_ip(const uint8_t *d)
{
    return (uint64_t) d[V4_PROTO] << 24 | (uint64_t) (d[V4_TOS] >> 2) << 32 | (uint64_t) (d[V4_TOS] & 3) << 40 | (uint64_t) d[V4_TTL] << 48;
}

static inline uint64_t plain_tcp(const uint8_t *d)
{
    bool tcp = d[V4_PROTO] == IPPROTO_TCP_;
    return be16_put(wire_get16(d + V4_TCP_FLAGS * tcp) & 0xfff).v & -(uint64_t) tcp;
}

/* One word for all packets; D: its bytes. */
#define FILL(K, WORD) do { for (unsigned i_ = 0; i_ < n; i_++) { const uint8_t *D = data[i_]; (void) D; keys[i_].w[K] = (WORD); } } while (0)

/* The same words as fast_words() makes. */
static void plain_words(const struct cache_plan *plan, const uint8_t *const *data, unsigned n, struct cache_key *keys)
{
    for (unsigned k = 0; k < plan->n_words; k++) {
        uint64_t m = plan->mask[k];
        switch (plan->index[k]) {
        case W_ETH: FILL(k, load64(D) & m); break;
        case W_ETH2: FILL(k, load64(D + 8) & m & UINT64_C(0xffffffffffff)); break;
        case W_IP: FILL(k, plain_ip(D) & m); break;
        case W_IPV4: FILL(k, load64(D + V4_ADDRESSES) & m); break;
        case W_PORTS: FILL(k, (uint64_t) load32(D + V4_PORTS) << 32 & m); break;
        case W_TCP: FILL(k, plain_tcp(D) & m); break;
        default: FILL(k, 0); break;
        }
    }
    if (plan->shape) {
        FILL(plan->n_words, V4 | SHAPE_L3 | SHAPE_L4);
    }
    if (plan->label_mask) {
        FILL(plan->n_words + 1u, 0);
    }
}

/* --- */

static inline void lanes(const struct cache_plan *plan, unsigned n, struct cache_key *keys)
{
    for (unsigned l = 0; l < plan->n_lanes; l++) {
        const struct value_classes *vc = plan->lanes[l].classes;
        unsigned k = plan->lanes[l].word, shift = plan->lanes[l].shift;
        for (unsigned i = 0; i < n; i++) {
            uint64_t w = keys[i].w[k];
            keys[i].w[k] = (w & ~(UINT64_C(0xffff) << shift)) | (uint64_t) value_classes_of(vc, (uint16_t) (w >> shift)) << shift;
        }
    }
}

void cache_keys(const struct cache_plan *plan, struct packet **packets, unsigned n, uint32_t in_port, struct cache_key *keys, uint64_t *hashes)
{
    const uint8_t *data[DP_BATCH];
    if (plan->depth == CACHE_DEPTH_ETHERNET) {
        ethernet_words(plan, packets, n, keys);
    } else if (all_plain(packets, n, data)) {
        plain_words(plan, data, n, keys);
    } else {
        any_words(plan, packets, n, keys);
    }
    lanes(plan, n, keys);
    for (unsigned i = 0; i < n; i++) {
        hashes[i] = hash_key(plan, keys[i].w, in_port);
    }
}
