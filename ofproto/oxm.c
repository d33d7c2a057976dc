/* OXM TLVs and ofp_match: OpenFlow 1.3.5 sections 7.2.3.1 to 7.2.3.8. */
#include <assert.h>

#include "lib/util.h"
#include "ofproto/match.h"

#define CLASS_EXPERIMENTER 0xffff
#define CLASS_NXM_MAX 0x0001
#define OFPMT_OXM 1

static struct of_error bad_match(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_MATCH, code);
}

void oxm_put(struct buf *b, const struct field *f, const union field_value *value, const union field_value *mask)
{
    bool masked = mask && (mask->w[0] != f->all.w[0] || mask->w[1] != f->all.w[1]);
    uint32_t id = f->oxm && !(masked && !f->maskable && f->nxm) ? f->oxm : f->nxm;
    bool experimenter = id >> 16 == CLASS_EXPERIMENTER;
    unsigned size = f->wire_size;

    buf_put_be32(b, id | (masked ? 0x100u : 0) | ((experimenter ? 4 : 0) + (masked ? 2 * size : size)));
    if (experimenter) {
        buf_put_be32(b, f->experimenter);
    }
    field_value_store(value, buf_put_uninit(b, size), size);
    if (masked) {
        field_value_store(mask, buf_put_uninit(b, size), size);
    }
}

struct of_error oxm_get(struct cursor *c, const struct field **field, union field_value *value, union field_value *mask, bool *has_mask)
{
    uint32_t header = cursor_be32(c);
    struct cursor body = cursor_sub(c, header & 0xff);
    if (c->failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    uint32_t experimenter = header >> 16 == CLASS_EXPERIMENTER ? cursor_be32(&body) : 0;
    if (body.failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    const struct field *f = field_from_header(header, experimenter);
    if (!f) {
        return bad_match(OFPBMC_BAD_FIELD);
    }
    *field = f;
    *has_mask = header & 0x100;
    if (cursor_left(&body) != (*has_mask ? 2u : 1u) * f->wire_size) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    if (*has_mask && !f->maskable && !f->nxm_maskable) {
        return bad_match(OFPBMC_BAD_MASK);
    }
    field_value_load(value, cursor_take(&body, f->wire_size), f->wire_size);
    if (!field_value_valid(f, value)) {
        return bad_match(OFPBMC_BAD_VALUE);
    }
    *mask = f->all;
    if (*has_mask) {
        /* Mask bits beyond the field's width mean nothing; peers that send 0xffff for "exact" are taken at their word. */
        field_value_load(mask, cursor_take(&body, f->wire_size), f->wire_size);
        mask->w[0] &= f->all.w[0];
        mask->w[1] &= f->all.w[1];
        /* "oxm_value must be zero where oxm_mask is" (section 7.2.3.5: OFPBMC_BAD_WILDCARDS otherwise). */
        if ((value->w[0] & ~mask->w[0]) || (value->w[1] & ~mask->w[1])) {
            return bad_match(OFPBMC_BAD_WILDCARDS);
        }
    }
    return OF_OK;
}

/* Section 7.2.3.8, table 13: a VID means something only behind OFPVID_PRESENT; without it only "no tag" can be asked for. */
static bool vlan_vid_valid(const union field_value *value, const union field_value *mask)
{
    uint64_t v = field_value_u64(value), m = field_value_u64(mask);
    return !(m & FLOW_VLAN_PRESENT) || (v & FLOW_VLAN_PRESENT) || !v;
}

static bool mask_range_used(const struct match *m, const struct field *f)
{
    union field_value used;
    field_get(f, &m->mask.flow, &used);
    return !field_value_is_zero(&used);
}

struct of_error match_decode_oxm(struct cursor c, struct match *m)
{
    field_bits seen = 0;

    match_init(m);
    while (cursor_left(&c)) {
        const struct field *f;
        union field_value value, mask;
        bool has_mask;
        struct of_error error = oxm_get(&c, &f, &value, &mask, &has_mask);
        if (!of_ok(error)) {
            return error;
        }
        /* "If a prerequisite is missing [...] or does not precede the field" (section 7.2.3.6). */
        if (f->prereq == PREREQ_IN_PORT ? !(seen >> FIELD_IN_PORT & 1) : !match_has_prereq(m, f->prereq)) {
            return bad_match(OFPBMC_BAD_PREREQ);
        }
        /* A register and the wider one that contains it are the same bits, hence the second test. */
        if (seen >> field_id_of(f) & 1 || mask_range_used(m, f)) {
            return bad_match(OFPBMC_DUP_FIELD);
        }
        if (field_id_of(f) == FIELD_VLAN_VID && !vlan_vid_valid(&value, &mask)) {
            return bad_match(OFPBMC_BAD_VALUE);
        }
        seen |= (field_bits) 1 << field_id_of(f);
        match_set(m, field_id_of(f), &value, &mask);
    }
    return OF_OK;
}

struct of_error match_decode(struct cursor *c, struct match *m)
{
    uint16_t type = cursor_be16(c);
    uint16_t length = cursor_be16(c);
    if (c->failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    if (type != OFPMT_OXM) {
        return bad_match(OFPBMC_BAD_TYPE);
    }
    if (length < 4) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    struct cursor tlvs = cursor_sub(c, length - 4u);
    cursor_skip(c, ROUND_UP(length, 8u) - length);
    if (c->failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    return match_decode_oxm(tlvs, m);
}

void match_encode_oxm(const struct match *m, struct buf *b)
{
    for (field_bits rest = fields_of_words(match_words(m)); rest; ) {
        const enum field_id id = field_bits_pop(&rest);
        union field_value value, mask;
        if (match_get(m, id, &value, &mask)) {
            oxm_put(b, field_row(id), &value, &mask);
        }
    }
}

void match_encode(const struct match *m, struct buf *b)
{
    size_t start = b->size;
    buf_put_be16(b, OFPMT_OXM);
    buf_put_be16(b, 0);
    match_encode_oxm(m, b);
    assert(b->size - start <= UINT16_MAX);
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
    buf_pad(b, start, 8);
}
