/* Match algebra against a reading of it bit by bit. */
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/match.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

#define N_BITS (8 * sizeof(struct flow))

static bool bit(const union flow_words *w, size_t i)
{
    return ((const uint8_t *) w)[i / 8] >> i % 8 & 1;
}

/* The naive twins: a match is a list of bits, each 0, 1 or open. */
static bool naive_subsumes(const struct match *a, const struct match *b)
{
    for (size_t i = 0; i < N_BITS; i++) {
        if (bit(&a->mask, i) && (!bit(&b->mask, i) || bit(&a->value, i) != bit(&b->value, i))) {
            return false;
        }
    }
    return true;
}

static bool naive_overlaps(const struct match *a, const struct match *b)
{
    for (size_t i = 0; i < N_BITS; i++) {
        if (bit(&a->mask, i) && bit(&b->mask, i) && bit(&a->value, i) != bit(&b->value, i)) {
            return false;
        }
    }
    return true;
}

static bool naive_covers(const struct match *m, const union flow_words *f)
{
    for (size_t i = 0; i < N_BITS; i++) {
        if (bit(&m->mask, i) && bit(&m->value, i) != bit(f, i)) {
            return false;
        }
    }
    return true;
}

/* A match made from `m` by opening, closing or flipping a few bits, so that both answers of each question come up. */
static void perturb(struct rng *r, const struct match *m, struct match *out)
{
    *out = *m;
    for (unsigned n = rng_below(r, 4); n; n--) {
        size_t i = rng_below(r, N_BITS);
        uint8_t *value = (uint8_t *) &out->value + i / 8, *mask = (uint8_t *) &out->mask + i / 8, b = (uint8_t) (1u << i % 8);
        switch (rng_below(r, 3)) {
        case 0: *mask &= (uint8_t) ~b; *value &= (uint8_t) ~b; break;
        case 1: *mask |= b; break;
        case 2: if (*mask & b) { *value ^= b; } break;
        }
    }
}

static void test_twins(void)
{
    struct rng r;
    unsigned yes[3] = { 0, 0, 0 };
    const unsigned rounds = 3000;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < rounds; i++) {
        struct match a, b;
        union flow_words flow;
        random_match(&r, &a);
        perturb(&r, &a, &b);
        bool subsumes = match_subsumes(&a, &b), overlaps = match_overlaps(&a, &b);
        CU_ASSERT_EQUAL(subsumes, naive_subsumes(&a, &b));
        CU_ASSERT_EQUAL(overlaps, naive_overlaps(&a, &b));
        CU_ASSERT_EQUAL(match_overlaps(&b, &a), overlaps);
        for (size_t w = 0; w < FLOW_N_WORDS; w++) {
            flow.w[w] = (rng_u64(&r) & ~b.mask.w[w]) | b.value.w[w];
        }
        bool covers = match_covers_flow(&a, &flow.flow);
        CU_ASSERT_EQUAL(covers, naive_covers(&a, &flow));
        CU_ASSERT(match_covers_flow(&b, &flow.flow));
        CU_ASSERT(!subsumes || covers);
        CU_ASSERT(!covers || overlaps);
        yes[0] += subsumes;
        yes[1] += overlaps;
        yes[2] += covers;
    }
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT(yes[i] > rounds / 20 && yes[i] < rounds);
    }
}

static void test_minimatch(void)
{
    struct rng r;
    unsigned same = 0;
    rng_seed(&r, unit_seed() + 1);
    for (unsigned i = 0; i < 3000; i++) {
        struct match a, b, back;
        random_match(&r, &a);
        perturb(&r, &a, &b);
        struct minimatch *ma = minimatch_new(&a), *mb = minimatch_new(&b);
        minimatch_expand(ma, &back);
        CU_ASSERT(match_equal(&a, &back));
        CU_ASSERT_EQUAL(minimatch_equal(ma, mb), match_equal(&a, &b));
        CU_ASSERT(!minimatch_equal(ma, mb) || ma->hash == mb->hash);
        same += minimatch_equal(ma, mb);
        for (unsigned w = 0; w < ma->n; w++) {
            CU_ASSERT(minimatch_masks(ma)[w] != 0 && !(minimatch_values(ma)[w] & ~minimatch_masks(ma)[w]));
        }
        free(ma);
        free(mb);
    }
    CU_ASSERT(same > 0 && same < 3000);
}

static void test_setters(void)
{
    struct match a, b;
    struct err err = ERR_INIT;
    struct prefix prefix;
    struct ip ip;
    struct mac mac;

    match_init(&a);
    match_set_u64(&a, FIELD_ETH_TYPE, 0x0800);
    CU_ASSERT(prefix_parse("10.0.0.0/8", &prefix));
    match_set_prefix(&a, FIELD_IPV4_DST, &prefix);
    CU_ASSERT(ip_parse("192.168.1.2", &ip));
    match_set_ip(&a, FIELD_IPV4_SRC, &ip);
    CU_ASSERT(mac_parse("02:00:00:00:00:01", &mac));
    match_set_mac(&a, FIELD_ETH_SRC, mac);
    match_set_mac_masked(&a, FIELD_ETH_DST, mac, mac_from_u64(UINT64_C(0xff0000000000)));
    match_set_u64_masked(&a, FIELD_REG0 + 3, 0x1234, 0xff);
    CU_ASSERT_FATAL(match_parse("ip,nw_dst=10.0.0.0/8,nw_src=192.168.1.2,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:00/ff:00:00:00:00:00,reg3=0x34/0xff", &b, &err));
    CU_ASSERT(match_equal(&a, &b));

    match_init(&a);
    match_set_u64(&a, FIELD_ETH_TYPE, 0x86dd);
    CU_ASSERT(prefix_parse("fd00:1::/33", &prefix));
    match_set_prefix(&a, FIELD_IPV6_SRC, &prefix);
    CU_ASSERT(ip_parse("fd00::9", &ip));
    match_set_ip(&a, FIELD_IPV6_DST, &ip);
    CU_ASSERT_FATAL(match_parse("ipv6,ipv6_src=fd00:1::/33,ipv6_dst=fd00::9", &b, &err));
    CU_ASSERT(match_equal(&a, &b));
    CU_ASSERT(prefix_parse("0.0.0.0/0", &prefix));
    match_init(&a);
    match_set_prefix(&a, FIELD_ARP_SPA, &prefix);
    match_init(&b);
    CU_ASSERT(match_equal(&a, &b));
}

static void test_prereqs(void)
{
    struct match m;
    struct of_error e;
    match_init(&m);
    CU_ASSERT(of_ok(match_check_prereqs(&m)));
    match_set_u64(&m, FIELD_TCP_DST, 80);
    e = match_check_prereqs(&m);
    CU_ASSERT(e.type == OFPET_BAD_MATCH && e.code == OFPBMC_BAD_PREREQ);
    match_set_u64(&m, FIELD_ETH_TYPE, 0x86dd);
    CU_ASSERT(!of_ok(match_check_prereqs(&m)));
    match_set_u64(&m, FIELD_IP_PROTO, 17);
    CU_ASSERT(of_ok(match_check_prereqs(&m)));
    CU_ASSERT(match_has_prereq(&m, PREREQ_UDP) && !match_has_prereq(&m, PREREQ_TCP));
    /* The same bytes are reported under the name that the protocol gives them, once. */
    union field_value value, mask;
    CU_ASSERT(!match_get(&m, FIELD_TCP_DST, &value, &mask));
    CU_ASSERT(match_get(&m, FIELD_UDP_DST, &value, &mask));
    CU_ASSERT_EQUAL(field_value_u64(&value), 80);
    CU_ASSERT(!match_get(&m, FIELD_SCTP_DST, &value, &mask));
}

void match_test_suite(void);
void match_test_suite(void)
{
    UNIT_SUITE("match", { "against bitwise twins", test_twins }, { "minimatch", test_minimatch }, { "setters", test_setters },
               { "prerequisites", test_prereqs });
}
