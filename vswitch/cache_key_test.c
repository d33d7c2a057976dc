/* Keys against their naive twin: what packet_extract() finds in any frame, and what it finds once labels have been popped for real. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/packet_random.h"

unit_suite_fn cache_key_test_suite;

enum { FIRST_WORD = offsetof(struct flow, eth_dst) / 8 };

/* A plan that asks for everything. */
static void ask_all(struct cache_plan *plan, bool labels)
{
    *plan = (struct cache_plan) { .depth = CACHE_DEPTH_ALL, .shape = true, .inner = true, .labels = labels, .label_mask = labels ? 0xfffffeff : 0 };
    for (unsigned i = FIRST_WORD; i < FLOW_N_WORDS; i++) {
        plan->index[plan->n_words] = (uint8_t) i;
        plan->mask[plan->n_words++] = UINT64_MAX;
    }
    plan->n_key = (uint8_t) (plan->n_words + 1 + labels);
}

/* Plain ones, any, those that are cut off or damaged, and labelled ones; with room for padding. */
static struct packet *some_frame(struct rng *r)
{
    struct flow key;
    random_key(r, &key);
    if (rng_below(r, 2)) {
        key.ip_frag = 0;
        key.ipv6_exthdr = be16_put(0);
        key.ip_proto = rng_below(r, 2) ? IPPROTO_TCP_ : IPPROTO_UDP_;
        key.eth_type = be16_put(rng_below(r, 2) ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6);
    }
    struct buf b = BUF_INIT;
    packet_compose(&key, &b, rng_below(r, 20));
    if (rng_below(r, 3) == 0) {
        random_labels(r, &b, key.vlan_vid.v ? ETH_HEADER_SIZE + 4 : ETH_HEADER_SIZE);
    }
    struct packet *p = packet_from_bytes(b.data, (uint32_t) b.size, 0, 128);
    buf_fini(&b);
    if (rng_below(r, 4) == 0) {
        p->len = p->len > 72 && rng_below(r, 2) ? ETH_FRAME_MIN + rng_below(r, 12) : p->len - rng_below(r, p->len - ETH_HEADER_SIZE + 1);
    }
    if (rng_below(r, 4) == 0) {
        p->data[12 + rng_below(r, p->len > 40 ? 28 : 2)] ^= (uint8_t) (1u << rng_below(r, 8));
    }
    return p;
}

/* Whether the zeros that a frame gets when all in front of `ofs` is popped bring up a header. */
static bool padding_matters(const struct packet *p, uint16_t type, uint32_t ofs)
{
    struct flow before, after;
    uint32_t popped = p->len - (ofs - ETH_HEADER_SIZE), zeros = p->len >= ETH_FRAME_MIN && popped < ETH_FRAME_MIN ? ETH_FRAME_MIN - popped : 0;
    struct packet *c = packet_from_bytes(p->data, p->len, 0, 0), *padded = packet_from_bytes(p->data, p->len, 0, zeros);
    memset(padded->data + padded->len, 0, zeros);
    padded->len += zeros;
    if (type) {                         /* Of that header alone. */
        flow_init(&before);
        before.eth_type = be16_put(type);
        after = before;
        packet_extract_l3(c, &before, ofs);
        packet_extract_l3(padded, &after, ofs);
    } else {
        packet_extract(c, &before);
        packet_extract(padded, &after);
    }
    bool differs = memcmp((const uint8_t *) &before + FIRST_WORD * 8, (const uint8_t *) &after + FIRST_WORD * 8, sizeof before - FIRST_WORD * 8);
    free(c);
    free(padded);
    return differs;
}

static uint64_t naive_shape(const struct packet *p, const struct flow *f)
{
    const uint8_t *d = p->data;
    bool room = !p->l3_ofs && p->len - p->l2_len >= 4, two_tags = f->vlan_vid.v && p->l2_len >= 22 && eth_type_is_vlan(wire_get16(d + 16));
    return p->l2_len | (p->l3_ofs ? SHAPE_L3 : 0) | (p->l4_ofs ? SHAPE_L4 : 0) | (room ? SHAPE_ROOM : 0) | (packet_has_llc(p, f) ? SHAPE_SNAP : 0)
        | (two_tags ? (uint64_t) wire_get32(d + 16) << 32 : 0);
}

/* Pops all labels: their bits, and the fields behind the last one in place of none in `f`. */
static uint64_t naive_labels(const struct packet *p, struct flow *f, uint64_t *others)
{
    struct packet *c = packet_from_bytes(p->data, p->len, 0, 128);
    struct flow popped;
    uint64_t shape = 0;
    unsigned n = 0;
    flow_init(&popped);
    packet_extract(c, &popped);
    *others = 0;
    for (bool more = true; more && n < CACHE_MAX_LABELS && eth_type_is_mpls(be16_get(popped.eth_type)) && c->len - c->l2_len >= 4; ) {
        uint32_t lse = wire_get32(c->data + c->l2_len);
        *others = n ? *others << 32 | (lse & 0xfffffeff) : 0;
        n++;
        more = !popped.mpls_bos;
        uint16_t behind = more ? ETH_TYPE_MPLS : c->len - c->l2_len > 4 && c->data[c->l2_len + 4] >> 4 == 6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4;
        packet_remove_label(c, behind);
        packet_extract(c, &popped);
        if (!more) {
            shape = (uint64_t) n << SHAPE_LABELS_SHIFT | (!c->l3_ofs ? 0 : behind == ETH_TYPE_IPV4 ? SHAPE_V4_BEHIND : SHAPE_V6_BEHIND) | (c->l4_ofs ? SHAPE_L4_BEHIND : 0);
            memcpy(&f->ip_proto, &popped.ip_proto, sizeof *f - offsetof(struct flow, ip_proto));
            shape |= padding_matters(p, behind, p->l2_len + 4 * n) ? SHAPE_CUT : 0;
        }
    }
    *others = shape ? *others : 0;
    free(c);
    return shape;
}

static void check_frame(struct packet *p, bool labels, unsigned *n_behind, unsigned *n_cut)
{
    struct cache_plan plan;
    struct flow full;
    struct cache_key got, keys[2];
    uint64_t hash, hashes[2], others = 0;
    ask_all(&plan, labels);
    flow_init(&full);
    packet_extract(p, &full);
    uint64_t shape = naive_shape(p, &full);
    bool cut = padding_matters(p, 0, p->l2_len);
    if (labels && eth_type_is_mpls(be16_get(full.eth_type))) {
        shape |= naive_labels(p, &full, &others);
        cut = cut || shape & SHAPE_CUT;
        *n_behind += !(shape & SHAPE_CUT) && shape & (SHAPE_V4_BEHIND | SHAPE_V6_BEHIND);
    }
    *n_cut += cut;
    p->l2_len = p->l3_ofs = p->l4_ofs = 77;
    cache_keys(&plan, &p, 1, 1, &got, &hash);
    /* Of what is cut off it says no more than that; some that are not are taken for it. */
    CU_ASSERT_TRUE(got.w[plan.n_words] & SHAPE_CUT || !cut);
    if (!(got.w[plan.n_words] & SHAPE_CUT)) {
        CU_ASSERT_FALSE(memcmp(got.w, (const uint8_t *) &full + FIRST_WORD * 8, plan.n_words * sizeof(uint64_t)));
        CU_ASSERT_EQUAL(got.w[plan.n_words], shape);
        CU_ASSERT_TRUE(!labels || got.w[plan.n_words + 1] == others);
    }
    /* And in a batch that has others in it. */
    struct packet short_one = { .data = p->data, .len = ETH_HEADER_SIZE }, *both[2] = { p, &short_one };
    cache_keys(&plan, both, 2, 1, keys, hashes);
    CU_ASSERT_FALSE(memcmp(&keys[0], &got, plan.n_key * sizeof got.w[0]));
    CU_ASSERT_EQUAL(hashes[0], hash);
}

static void test_keys(void)
{
    struct rng rng;
    unsigned n_behind = 0, n_cut = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned i = 0; i < 200000; i++) {
        struct packet *p = some_frame(&rng);
        check_frame(p, i & 1, &n_behind, &n_cut);
        free(p);
    }
    CU_ASSERT_TRUE(n_behind > 5000 && n_cut > 50);
}

void cache_key_test_suite(void)
{
    UNIT_SUITE("cache keys", { "as the frames are parsed", test_keys });
}
