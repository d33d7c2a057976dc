/* Matches as (value, mask) words, and their compressed form. */
#include "ofproto/match.h"

#include <assert.h>

#include "lib/util.h"

void match_init(struct match *m)
{
    memset(m, 0, sizeof *m);
}

void match_set(struct match *m, enum field_id id, const union field_value *value, const union field_value *mask)
{
    const struct field *f = field_row(id);
    union field_value v = *value, all = field_mask_all(f);
    union field_value k = mask ? *mask : all;

    for (unsigned i = 0; i < 2; i++) {
        k.w[i] &= all.w[i];
        v.w[i] &= k.w[i];
    }
    field_set(f, &m->value.flow, &v);
    field_set(f, &m->mask.flow, &k);
}

void match_set_u64(struct match *m, enum field_id id, uint64_t value)
{
    union field_value v = field_value_from_u64(value);
    match_set(m, id, &v, NULL);
}

void match_set_u64_masked(struct match *m, enum field_id id, uint64_t value, uint64_t mask)
{
    union field_value v = field_value_from_u64(value), k = field_value_from_u64(mask);
    match_set(m, id, &v, &k);
}

void match_set_mac(struct match *m, enum field_id id, struct mac mac)
{
    match_set_u64(m, id, mac_u64(mac));
}

void match_set_mac_masked(struct match *m, enum field_id id, struct mac mac, struct mac mask)
{
    match_set_u64_masked(m, id, mac_u64(mac), mac_u64(mask));
}

/* The last four bytes of an IPv4 address in `ip` form are the address; the ::ffff: in front is not part of a 32-bit field. */
static union field_value value_of_ip(const struct field *f, const struct ip *ip)
{
    union field_value v = { .w = { 0, 0 } };
    memcpy(v.b + 16 - f->size, ip->b + 16 - f->size, f->size);
    return v;
}

void match_set_ip(struct match *m, enum field_id id, const struct ip *ip)
{
    union field_value v = value_of_ip(field_row(id), ip);
    match_set(m, id, &v, NULL);
}

void match_set_prefix(struct match *m, enum field_id id, const struct prefix *prefix)
{
    const struct field *f = field_row(id);
    unsigned width = f->size * 8u;
    assert(prefix->is_v4 == (width == 32) && prefix->len <= width);
    union field_value v = value_of_ip(f, &prefix->ip), zero = { .w = { 0, 0 } };
    union field_value mask = field_mask_all(f);
    field_copy_bits(&zero, 0, &mask, 0, width - prefix->len);
    match_set(m, id, &v, &mask);
}

bool match_equal(const struct match *a, const struct match *b)
{
    return !memcmp(a, b, sizeof *a);
}

bool match_covers_flow(const struct match *m, const struct flow *flow)
{
    union flow_words words;
    words.flow = *flow;
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        if ((words.w[i] ^ m->value.w[i]) & m->mask.w[i]) {
            return false;
        }
    }
    return true;
}

bool match_subsumes(const struct match *a, const struct match *b)
{
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        if ((a->mask.w[i] & ~b->mask.w[i]) || ((a->value.w[i] ^ b->value.w[i]) & a->mask.w[i])) {
            return false;
        }
    }
    return true;
}

bool match_overlaps(const struct match *a, const struct match *b)
{
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        if ((a->value.w[i] ^ b->value.w[i]) & a->mask.w[i] & b->mask.w[i]) {
            return false;
        }
    }
    return true;
}

bool match_has_prereq(const struct match *m, enum field_prereq prereq)
{
    if (prereq == PREREQ_IN_PORT) {
        return be32_get(m->mask.flow.in_port) != 0;
    }
    if (prereq == PREREQ_NONE) {
        return true;
    }
    /* The deciding fields are zero in the value unless matched, and no prerequisite is met by zeros.  A match on fragments does not take away what it says
     * about ports. */
    if (!m->value.flow.ip_frag) {
        return field_present(prereq, &m->value.flow);
    }
    struct flow values = m->value.flow;
    values.ip_frag = 0;
    return field_present(prereq, &values);
}

/* Whether no field at f's bytes has its prerequisite, and f is the first of them: then f stands for the (invalid) match, so that nothing goes unseen. */
static bool stands_for_invalid(const struct match *m, const struct field *f)
{
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        const struct field *other = field_row(id);
        if (other->offset == f->offset && (other < f || match_has_prereq(m, other->prereq))) {
            return false;
        }
    }
    return true;
}

uint64_t match_words(const struct match *m)
{
    const uint64_t *w = m->mask.w;
    uint64_t words = 0;
    unsigned i = 0;
    for (; i + 4 <= FLOW_N_WORDS; i += 4) {             /* Most have none. */
        if (w[i] | w[i + 1] | w[i + 2] | w[i + 3]) {
            words |= (uint64_t) ((w[i] != 0) | (w[i + 1] != 0) << 1 | (w[i + 2] != 0) << 2 | (w[i + 3] != 0) << 3) << i;
        }
    }
    for (; i < FLOW_N_WORDS; i++) {
        words |= (uint64_t) (w[i] != 0) << i;
    }
    return words;
}

bool match_get(const struct match *m, enum field_id id, union field_value *value, union field_value *mask)
{
    const struct field *f = field_row(id);
    field_get(f, &m->mask.flow, mask);
    field_get(f, &m->value.flow, value);
    if (field_value_is_zero(mask) || (id >= FIELD_XREG0 && id <= FIELD_XXREG3)) {
        return false;
    }
    return match_has_prereq(m, f->prereq) || stands_for_invalid(m, f);
}

struct of_error match_check_prereqs(const struct match *m)
{
    for (field_bits rest = fields_of_words(match_words(m)); rest; ) {
        const enum field_id id = field_bits_pop(&rest);
        union field_value value, mask;
        if (match_get(m, id, &value, &mask) && !match_has_prereq(m, field_row(id)->prereq)) {
            return OF_ERROR(OFPET_BAD_MATCH, OFPBMC_BAD_PREREQ);
        }
    }
    return OF_OK;
}

static void build(struct minimatch *mini, const struct match *m, uint64_t map, unsigned n)
{
    mini->map = map;
    mini->n = n;

    uint64_t hash = hash_mix64(map);
    unsigned at = 0;
    for (uint64_t rest = map; rest; rest &= rest - 1, at++) {
        unsigned i = (unsigned) __builtin_ctzll(rest);
        mini->words[at] = m->mask.w[i];
        mini->words[n + at] = m->value.w[i];
        hash = hash_mix64(hash ^ m->mask.w[i]);
        hash = hash_mix64(hash + m->value.w[i]);
    }
    mini->hash = (uint32_t) (hash ^ hash >> 32);
}

struct minimatch *minimatch_new(const struct match *m)
{
    const uint64_t map = match_words(m);
    unsigned n = (unsigned) __builtin_popcountll(map);
    struct minimatch *mini = xmalloc(sizeof *mini + 2 * n * sizeof mini->words[0]);
    build(mini, m, map, n);
    return mini;
}

const struct minimatch *minimatch_build(union minimatch_room *room, const struct match *m)
{
    const uint64_t map = match_words(m);
    build(&room->mini, m, map, (unsigned) __builtin_popcountll(map));
    return &room->mini;
}

void minimatch_expand(const struct minimatch *mini, struct match *m)
{
    match_init(m);
    unsigned at = 0;
    for (uint64_t rest = mini->map; rest; rest &= rest - 1, at++) {
        unsigned i = (unsigned) __builtin_ctzll(rest);
        m->mask.w[i] = mini->words[at];
        m->value.w[i] = mini->words[mini->n + at];
    }
}

bool minimatch_equal(const struct minimatch *a, const struct minimatch *b)
{
    return a->map == b->map && a->hash == b->hash && !memcmp(a->words, b->words, 2 * a->n * sizeof a->words[0]);
}
