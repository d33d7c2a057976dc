#include "ofproto/nxm.h"

#include "lib/util.h"

#define NXM_OF_IN_PORT UINT32_C(0x00000002)
#define NXM_OF_VLAN_TCI UINT32_C(0x00000802)
#define NXM_OF_VLAN_TCI_W UINT32_C(0x00000904)
#define NXM_OF_IP_TOS UINT32_C(0x00000a01)
#define NXM_NX_COOKIE UINT32_C(0x00013c08)
#define NXM_NX_COOKIE_W UINT32_C(0x00013d10)

enum { TCI_VID = 0x1fff /* with the "present" bit, which is the tag's CFI */, TCI_PCP_SHIFT = 13 };

static struct of_error bad_match(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_MATCH, code);
}

/* The TCI is VID and PCP in one; what is masked on it lands in both fields. */
static struct of_error tci_get(struct cursor *c, bool masked, struct match *m)
{
    uint16_t value = cursor_be16(c), mask = masked ? cursor_be16(c) : UINT16_MAX;
    if (c->failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    if (value & ~mask) {
        return bad_match(OFPBMC_BAD_WILDCARDS);
    }
    if (mask == UINT16_MAX && !value) { /* No tag: there is no PCP to compare. */
        mask = TCI_VID;
    }
    match_set_u64_masked(m, FIELD_VLAN_VID, value & TCI_VID, mask & TCI_VID);
    match_set_u64_masked(m, FIELD_VLAN_PCP, value >> TCI_PCP_SHIFT, mask >> TCI_PCP_SHIFT);
    return OF_OK;
}

/* True when the TLV is one of those that OXM does not have. */
static bool special_get(struct cursor *c, struct match *m, uint64_t *cookie, uint64_t *cookie_mask, struct of_error *error)
{
    uint32_t header = cursor_left(c) >= 4 ? wire_get32(c->p) : UINT32_MAX;
    struct cursor body = *c;
    cursor_skip(&body, 4);
    *error = OF_OK;
    switch (header) {
    case NXM_OF_IN_PORT: {
        uint16_t port = cursor_be16(&body);
        match_set_u64(m, FIELD_IN_PORT, port >= 0xff00 ? UINT32_C(0xffff0000) | port : port);
        break;
    }
    case NXM_OF_VLAN_TCI:
    case NXM_OF_VLAN_TCI_W:
        *error = tci_get(&body, header == NXM_OF_VLAN_TCI_W, m);
        break;
    case NXM_OF_IP_TOS: {
        uint8_t tos = cursor_u8(&body);
        *error = tos & 3 ? bad_match(OFPBMC_BAD_VALUE) : match_has_prereq(m, PREREQ_IP) ? OF_OK : bad_match(OFPBMC_BAD_PREREQ);
        match_set_u64(m, FIELD_IP_DSCP, tos >> 2);
        break;
    }
    case NXM_NX_COOKIE:
    case NXM_NX_COOKIE_W:
        if (!cookie) {
            *error = bad_match(OFPBMC_BAD_FIELD);
            return true;
        }
        *cookie = cursor_be64(&body);
        *cookie_mask = header == NXM_NX_COOKIE_W ? cursor_be64(&body) : UINT64_MAX;
        break;
    default:
        return false;
    }
    if (body.failed && of_ok(*error)) {
        *error = bad_match(OFPBMC_BAD_LEN);
    }
    *c = body;
    return true;
}

static bool used(const struct match *m, const struct field *f)
{
    union field_value mask;
    field_get(f, &m->mask.flow, &mask);
    return mask.w[0] || mask.w[1];
}

static struct of_error get_one(struct cursor *c, struct match *m, uint64_t *cookie, uint64_t *cookie_mask)
{
    struct of_error error;
    if (special_get(c, m, cookie, cookie_mask, &error)) {
        return error;
    }
    const struct field *f;
    union field_value value, mask;
    bool has_mask;
    error = oxm_get(c, &f, &value, &mask, &has_mask);
    if (!of_ok(error)) {
        return error;
    }
    if (!match_has_prereq(m, f->prereq)) {
        return bad_match(OFPBMC_BAD_PREREQ);
    }
    if (used(m, f)) {
        return bad_match(OFPBMC_DUP_FIELD);
    }
    match_set(m, field_id_of(f), &value, &mask);
    return OF_OK;
}

struct of_error nxm_decode(struct cursor *c, uint16_t size, struct match *m, uint64_t *cookie, uint64_t *cookie_mask)
{
    match_init(m);
    struct cursor tlvs = cursor_sub(c, size);
    cursor_skip(c, ROUND_UP(size, 8u) - size);
    if (c->failed) {
        return bad_match(OFPBMC_BAD_LEN);
    }
    struct of_error error = OF_OK;
    while (of_ok(error) && cursor_left(&tlvs)) {
        error = get_one(&tlvs, m, cookie, cookie_mask);
    }
    return error;
}

static void tci_put(const struct match *m, struct buf *b)
{
    uint16_t value = (uint16_t) (be16_get(m->value.flow.vlan_vid) | m->value.flow.vlan_pcp << TCI_PCP_SHIFT);
    uint16_t mask = (uint16_t) (be16_get(m->mask.flow.vlan_vid) | m->mask.flow.vlan_pcp << TCI_PCP_SHIFT);
    if (!value && mask == TCI_VID) {
        mask = UINT16_MAX;
    }
    if (!mask) {
        return;
    }
    buf_put_be32(b, mask == UINT16_MAX ? NXM_OF_VLAN_TCI : NXM_OF_VLAN_TCI_W);
    buf_put_be16(b, value);
    if (mask != UINT16_MAX) {
        buf_put_be16(b, mask);
    }
}

static void field_put(const struct match *m, enum field_id id, struct buf *b)
{
    union field_value value, mask;
    struct field f = *field_row(id);
    if (!match_get(m, id, &value, &mask)) {
        return;
    }
    switch ((unsigned) id) {
    case FIELD_IN_PORT:
        buf_put_be32(b, NXM_OF_IN_PORT);
        buf_put_be16(b, (uint16_t) field_value_u64(&value));
        break;
    case FIELD_VLAN_VID:
    case FIELD_VLAN_PCP:
        break;                  /* tci_put() */
    case FIELD_IP_DSCP:
        buf_put_be32(b, NXM_OF_IP_TOS);
        buf_put_u8(b, (uint8_t) (field_value_u64(&value) << 2));
        break;
    default:
        if (f.nxm) {            /* Its NXM number, where it has both. */
            f.oxm = 0;
            f.maskable |= f.nxm_maskable;
        }
        oxm_put(b, &f, &value, &mask);
    }
}

uint16_t nxm_encode(const struct match *m, uint64_t cookie, uint64_t cookie_mask, struct buf *b)
{
    size_t start = b->size;
    for (enum field_id id = 0; id < N_FIELDS; id++) {
        if (id == FIELD_VLAN_VID) {
            tci_put(m, b);
        }
        field_put(m, id, b);
    }
    if (cookie_mask) {
        buf_put_be32(b, cookie_mask == UINT64_MAX ? NXM_NX_COOKIE : NXM_NX_COOKIE_W);
        buf_put_be64(b, cookie & cookie_mask);
        if (cookie_mask != UINT64_MAX) {
            buf_put_be64(b, cookie_mask);
        }
    }
    uint16_t size = (uint16_t) (b->size - start);
    buf_pad(b, start, 8);
    return size;
}
