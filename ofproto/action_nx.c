/*
 * Experimenter actions on the wire: the Nicira extensions as Open vSwitch publishes them (nicira-ext.h, ofp-actions.c).  Polder's own drop travels in a note.
 */
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/action_row.h"
#include "ofproto/polder.h"

static struct of_error bad_action(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_ACTION, code);
}

/* A truncated body is a length error; everything else was judged before. */
static struct of_error finish(const struct cursor *c)
{
    return c->failed ? bad_action(OFPBAC_BAD_LEN) : OF_OK;
}

struct of_error nx_decode_reg_load2(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    struct of_error e = action_decode_oxm(c, a);
    if (of_ok(e)) {
        /* A mask of ones is the plain set-field. */
        union field_value all = field_mask_all(a->set_field.field);
        a->set_field.masked = memcmp(&all, &a->set_field.mask, sizeof all) != 0;
    }
    return e;
}

static uint32_t port_from_of10(uint16_t port)
{
    return port >= 0xff00 ? UINT32_C(0xffff0000) | port : port;
}

struct of_error nx_decode_resubmit(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->resubmit.in_port = port_from_of10(cursor_be16(c));
    a->resubmit.table = RESUBMIT_CURRENT_TABLE;
    return finish(c);
}

struct of_error nx_decode_resubmit_table(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->resubmit.in_port = port_from_of10(cursor_be16(c));
    a->resubmit.table = cursor_u8(c);
    return finish(c);
}

#define NXM_OF_IN_PORT UINT32_C(0x00000002)

/* The header of a subfield's field (4 bytes, 8 for experimenter classes); OVN and others name the 16-bit NXM_OF_IN_PORT, which is the low half of in_port. */
static struct of_error get_subfield_field(struct cursor *c, struct subfield *s)
{
    uint32_t header = cursor_be32(c);
    uint32_t experimenter = header >> 16 == 0xffff ? cursor_be32(c) : 0;
    if (c->failed) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    if (header == NXM_OF_IN_PORT) {
        s->field = field_row(FIELD_IN_PORT);
        return s->n_bits && s->ofs + s->n_bits <= 16 ? OF_OK : bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    s->field = field_from_header(header, experimenter);
    /* A short spelling of a field whose own header is longer would make the action grow when it is encoded again. */
    if (!s->field || (field_header(s->field) >> 16 == 0xffff && header >> 16 != 0xffff)) {
        return bad_action(OFPBAC_BAD_SET_TYPE);
    }
    unsigned size = s->field->wire_size + (header >> 16 == 0xffff ? 4u : 0);
    if ((header & 0x1ff) != size) {
        return bad_action(OFPBAC_BAD_SET_LEN);
    }
    return subfield_valid(s) ? OF_OK : bad_action(OFPBAC_BAD_SET_ARGUMENT);
}

static void get_ofs_nbits(struct cursor *c, struct subfield *s)
{
    uint16_t ofs_nbits = cursor_be16(c);
    s->ofs = ofs_nbits >> 6;
    s->n_bits = (ofs_nbits & 0x3f) + 1;
}

struct of_error nx_decode_move(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->move.src.n_bits = a->move.dst.n_bits = cursor_be16(c);
    a->move.src.ofs = cursor_be16(c);
    a->move.dst.ofs = cursor_be16(c);
    struct of_error e = get_subfield_field(c, &a->move.src);
    if (of_ok(e)) {
        e = get_subfield_field(c, &a->move.dst);
    }
    if (of_ok(e) && !a->move.dst.field->settable) {
        e = bad_action(OFPBAC_BAD_SET_TYPE);
    }
    if (of_ok(e) && cursor_left(c) >= 8) {
        e = bad_action(OFPBAC_BAD_LEN);
    }
    return e;
}

struct of_error nx_decode_load(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    get_ofs_nbits(c, &a->load.dst);
    struct of_error e = get_subfield_field(c, &a->load.dst);
    if (!of_ok(e)) {
        return e;
    }
    a->load.value = cursor_be64(c);
    if (!a->load.dst.field->settable) {
        return bad_action(OFPBAC_BAD_SET_TYPE);
    }
    if (a->load.dst.n_bits < 64 && a->load.value >> a->load.dst.n_bits) {
        return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    return finish(c);
}

struct of_error nx_decode_output_reg(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    get_ofs_nbits(c, &a->output_reg.src);
    struct of_error e = get_subfield_field(c, &a->output_reg.src);
    a->output_reg.max_len = cursor_be16(c);
    if (!of_ok(e)) {
        return e;
    }
    return a->output_reg.src.n_bits <= 32 ? finish(c) : bad_action(OFPBAC_BAD_ARGUMENT);
}

struct of_error nx_decode_output_reg2(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    get_ofs_nbits(c, &a->output_reg.src);
    a->output_reg.max_len = cursor_be16(c);
    struct of_error e = get_subfield_field(c, &a->output_reg.src);
    if (!of_ok(e)) {
        return e;
    }
    return a->output_reg.src.n_bits <= 32 ? finish(c) : bad_action(OFPBAC_BAD_ARGUMENT);
}

struct of_error nx_decode_controller(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->controller.max_len = cursor_be16(c);
    a->controller.controller_id = cursor_be16(c);
    a->controller.reason = cursor_u8(c);
    return finish(c);
}

enum { NXAC2PT_MAX_LEN, NXAC2PT_CONTROLLER_ID, NXAC2PT_REASON, NXAC2PT_USERDATA, NXAC2PT_PAUSE, NXAC2PT_METER_ID };

/* Properties, each padded to 8 bytes.  A pause is not supported: continuations would have to outlive the tables. */
struct of_error nx_decode_controller2(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->controller.max_len = UINT16_MAX;
    a->controller.reason = REASON_ACTION;
    cursor_skip(c, 6);
    while (cursor_left(c) && !c->failed) {
        uint16_t type = cursor_be16(c), len = cursor_be16(c);
        if (c->failed || len < 4) {
            return bad_action(OFPBAC_BAD_LEN);
        }
        struct cursor p = cursor_sub(c, len - 4u);
        cursor_skip(c, ROUND_UP(len, 8u) - len);
        if (c->failed) {
            return bad_action(OFPBAC_BAD_LEN);
        }
        switch (type) {
        case NXAC2PT_MAX_LEN: a->controller.max_len = cursor_be16(&p); break;
        case NXAC2PT_CONTROLLER_ID: a->controller.controller_id = cursor_be16(&p); break;
        case NXAC2PT_REASON: a->controller.reason = cursor_u8(&p); break;
        case NXAC2PT_METER_ID: a->controller.meter = cursor_be32(&p); break;
        case NXAC2PT_USERDATA:
            free(a->controller.userdata);
            a->controller.userdata_size = (uint16_t) cursor_left(&p);
            a->controller.userdata = a->controller.userdata_size ? xmalloc(a->controller.userdata_size) : NULL;
            cursor_copy(&p, a->controller.userdata, a->controller.userdata_size);
            break;
        default: return bad_action(OFPBAC_BAD_ARGUMENT);
        }
        if (p.failed) {
            return bad_action(OFPBAC_BAD_LEN);
        }
    }
    return a->controller.meter <= OFPM_MAX ? finish(c) : bad_action(OFPBAC_BAD_ARGUMENT);
}

struct of_error nx_decode_clone(struct cursor *c, struct action *a, unsigned depth)
{
    cursor_skip(c, 6);
    if (c->failed) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    return actions_decode_nested(*c, &a->nested, depth + 1);
}

/* Six bytes that begin with POLDER_DROP_NOTE are a drop with a reason (ofproto/polder.h); any other note is just a note. */
void action_set_note(struct action *a, const uint8_t *data, unsigned size)
{
    if (size == 6 && wire_get32(data) == POLDER_DROP_NOTE && wire_get16(data + 4) < DROP_N_REASONS) {
        a->type = ACTION_DROP;
        a->drop_reason = wire_get16(data + 4);
    } else {
        a->type = ACTION_NOTE;
        a->note.size = size;
        a->note.data = xmalloc(size);
        memcpy(a->note.data, data, size);
    }
}

struct of_error nx_decode_conjunction(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->conjunction.clause = cursor_u8(c);
    a->conjunction.n_clauses = cursor_u8(c);
    a->conjunction.id = cursor_be32(c);
    if (a->conjunction.n_clauses < 2 || a->conjunction.n_clauses > 64 || a->conjunction.clause >= a->conjunction.n_clauses) {
        return OF_ERROR(OFPET_NICIRA, NXE_BAD_CONJUNCTION);
    }
    return finish(c);
}

void nx_encode_conjunction(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_CONJUNCTION);
    buf_put_u8(b, a->conjunction.clause);
    buf_put_u8(b, a->conjunction.n_clauses);
    buf_put_be32(b, a->conjunction.id);
}

struct of_error nx_decode_note(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    /* At least six bytes, as the whole has 16 or more. */
    unsigned size = (unsigned) cursor_left(c);
    const uint8_t *data = cursor_take(c, size);
    if (!data || size < 6) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    action_set_note(a, data, size);
    return OF_OK;
}

/* Type, length (patched later), experimenter, subtype. */
void nx_put_header(struct buf *b, uint16_t subtype)
{
    buf_put_be16(b, OFPAT_EXPERIMENTER);
    buf_put_be16(b, 0);
    buf_put_be32(b, NX_EXPERIMENTER);
    buf_put_be16(b, subtype);
}

static void put_field_header(struct buf *b, const struct field *f)
{
    uint32_t header = field_header(f);
    buf_put_be32(b, header);
    if (header >> 16 == 0xffff) {
        buf_put_be32(b, f->experimenter);
    }
}

static uint16_t ofs_nbits(const struct subfield *s)
{
    return (uint16_t) (s->ofs << 6 | (s->n_bits - 1));
}

void nx_encode_resubmit(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_RESUBMIT_TABLE);
    buf_put_be16(b, (uint16_t) a->resubmit.in_port);
    buf_put_u8(b, a->resubmit.table);
}

void nx_encode_move(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_REG_MOVE);
    buf_put_be16(b, a->move.src.n_bits);
    buf_put_be16(b, a->move.src.ofs);
    buf_put_be16(b, a->move.dst.ofs);
    put_field_header(b, a->move.src.field);
    put_field_header(b, a->move.dst.field);
}

void nx_encode_load(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_REG_LOAD);
    buf_put_be16(b, ofs_nbits(&a->load.dst));
    put_field_header(b, a->load.dst.field);
    buf_put_be64(b, a->load.value);
}

void nx_encode_output_reg(const struct action *a, struct buf *b)
{
    /* The first form has room for a 4-byte header only. */
    if (field_header(a->output_reg.src.field) >> 16 == 0xffff) {
        nx_put_header(b, NXAST_OUTPUT_REG2);
        buf_put_be16(b, ofs_nbits(&a->output_reg.src));
        buf_put_be16(b, a->output_reg.max_len);
        put_field_header(b, a->output_reg.src.field);
    } else {
        nx_put_header(b, NXAST_OUTPUT_REG);
        buf_put_be16(b, ofs_nbits(&a->output_reg.src));
        put_field_header(b, a->output_reg.src.field);
        buf_put_be16(b, a->output_reg.max_len);
        buf_put_zeros(b, 6);
    }
}

static void put_property(struct buf *b, uint16_t type, uint32_t value, unsigned size)
{
    size_t start = b->size;
    buf_put_be16(b, type);
    buf_put_be16(b, 8);
    if (size == 1) {
        buf_put_u8(b, (uint8_t) value);
    } else if (size == 2) {
        buf_put_be16(b, (uint16_t) value);
    } else {
        buf_put_be32(b, value);
    }
    buf_pad(b, start, 8);
}

void nx_encode_controller(const struct action *a, struct buf *b)
{
    if (!a->controller.meter && !a->controller.userdata_size) {
        nx_put_header(b, NXAST_CONTROLLER);
        buf_put_be16(b, a->controller.max_len);
        buf_put_be16(b, a->controller.controller_id);
        buf_put_u8(b, a->controller.reason);
        return;
    }
    nx_put_header(b, NXAST_CONTROLLER2);
    buf_put_zeros(b, 6);
    if (a->controller.max_len != UINT16_MAX) {
        put_property(b, NXAC2PT_MAX_LEN, a->controller.max_len, 2);
    }
    if (a->controller.controller_id) {
        put_property(b, NXAC2PT_CONTROLLER_ID, a->controller.controller_id, 2);
    }
    if (a->controller.reason != REASON_ACTION) {
        put_property(b, NXAC2PT_REASON, a->controller.reason, 1);
    }
    if (a->controller.userdata_size) {
        size_t start = b->size;
        buf_put_be16(b, NXAC2PT_USERDATA);
        buf_put_be16(b, (uint16_t) (4 + a->controller.userdata_size));
        buf_put(b, a->controller.userdata, a->controller.userdata_size);
        buf_pad(b, start, 8);
    }
    if (a->controller.meter) {
        put_property(b, NXAC2PT_METER_ID, a->controller.meter, 4);
    }
}

void nx_encode_clone(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_CLONE);
    buf_put_zeros(b, 6);
    actions_encode(&a->nested, b);
}

void nx_encode_note(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_NOTE);
    buf_put(b, a->note.data, a->note.size);
}

void nx_encode_drop(const struct action *a, struct buf *b)
{
    nx_put_header(b, NXAST_NOTE);
    buf_put_be32(b, POLDER_DROP_NOTE);
    buf_put_be16(b, a->drop_reason);
}


struct of_error nx_decode_pop_queue(struct cursor *c, struct action *a UNUSED, unsigned depth UNUSED)
{
    cursor_skip(c, 6);
    return finish(c);
}

void nx_encode_pop_queue(const struct action *a UNUSED, struct buf *b)
{
    nx_put_header(b, NXAST_POP_QUEUE);
}
