/* Actions on the wire: OpenFlow 1.3.5 section 7.2.5, and the tables that lead to the experimenter actions (action_nx.c). */
#include <assert.h>

#include "lib/util.h"
#include "ofproto/action_row.h"
#include "ofproto/polder.h"

static struct of_error bad_action(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_ACTION, code);
}

/* A truncated body is a length error; everything else was judged by the caller. */
static struct of_error finish(const struct cursor *c)
{
    return c->failed ? bad_action(OFPBAC_BAD_LEN) : OF_OK;
}

bool action_ethertype_valid(enum action_type type, uint16_t ethertype)
{
    switch (type) {
    case ACTION_PUSH_VLAN: return ethertype == 0x8100 || ethertype == 0x88a8;
    case ACTION_PUSH_MPLS: return ethertype == 0x8847 || ethertype == 0x8848;
    case ACTION_PUSH_PBB: return ethertype == 0x88e7;
    default: return true;
    }
}

static struct of_error decode_output(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->output.port = cursor_be32(c);
    a->output.max_len = cursor_be16(c);
    return finish(c);
}

static struct of_error decode_u32(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    uint32_t id = cursor_be32(c);
    if (a->type == ACTION_GROUP) {
        a->group = id;
    } else {
        a->queue = id;
    }
    return finish(c);
}

static struct of_error decode_ttl(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->ttl = cursor_u8(c);
    return finish(c);
}

static struct of_error decode_ethertype(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    a->ethertype = cursor_be16(c);
    if (!c->failed && !action_ethertype_valid(a->type, a->ethertype)) {
        return bad_action(OFPBAC_BAD_ARGUMENT);
    }
    return finish(c);
}

static struct of_error decode_nothing(struct cursor *c, struct action *a UNUSED, unsigned depth UNUSED)
{
    return finish(c);
}

/* The errors of an OXM TLV, in the words of set-field. */
static struct of_error set_error(struct of_error e)
{
    switch (e.code) {
    case OFPBMC_BAD_FIELD: return bad_action(OFPBAC_BAD_SET_TYPE);
    case OFPBMC_BAD_LEN: return bad_action(OFPBAC_BAD_SET_LEN);
    default: return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
}

struct of_error action_decode_oxm(struct cursor *c, struct action *a)
{
    struct of_error e = oxm_get(c, &a->set_field.field, &a->set_field.value, &a->set_field.mask, &a->set_field.masked);
    if (!of_ok(e)) {
        return set_error(e);
    }
    if (!a->set_field.field->settable) {
        return bad_action(OFPBAC_BAD_SET_TYPE);
    }
    /* OFPVID_PRESENT must be set: a set-field changes a tag, it does not remove one. */
    if (field_id_of(a->set_field.field) == FIELD_VLAN_VID && !a->set_field.masked && !(field_value_u64(&a->set_field.value) & FLOW_VLAN_PRESENT)) {
        return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    return cursor_left(c) >= 8 ? bad_action(OFPBAC_BAD_SET_LEN) : OF_OK;
}

/* Section 7.2.5 leaves IN_PORT and METADATA out of set-field "because those are not header fields"; Open vSwitch takes and sends them, so they are taken here. */
static struct of_error decode_set_field(struct cursor *c, struct action *a, unsigned depth UNUSED)
{
    struct of_error e = action_decode_oxm(c, a);
    if (!of_ok(e)) {
        return e;
    }
    /* "oxm_hasmask must be zero" (section 7.2.5). */
    return a->set_field.masked ? bad_action(OFPBAC_BAD_SET_ARGUMENT) : OF_OK;
}

#define STANDARD(TYPE, SIZE, ACTION, DECODE) { OFPAT_##TYPE, 0, 0, SIZE, ACTION_##ACTION, decode_##DECODE }
#define NICIRA(SUBTYPE, SIZE, ACTION, DECODE) { OFPAT_EXPERIMENTER, NX_EXPERIMENTER, NXAST_##SUBTYPE, SIZE, ACTION_##ACTION, nx_decode_##DECODE }
const struct action_wire action_wires[] = {
    STANDARD(OUTPUT, 16, OUTPUT, output),
    STANDARD(COPY_TTL_OUT, 8, COPY_TTL_OUT, nothing),
    STANDARD(COPY_TTL_IN, 8, COPY_TTL_IN, nothing),
    STANDARD(SET_MPLS_TTL, 8, SET_MPLS_TTL, ttl),
    STANDARD(DEC_MPLS_TTL, 8, DEC_MPLS_TTL, nothing),
    STANDARD(PUSH_VLAN, 8, PUSH_VLAN, ethertype),
    STANDARD(POP_VLAN, 8, POP_VLAN, nothing),
    STANDARD(PUSH_MPLS, 8, PUSH_MPLS, ethertype),
    STANDARD(POP_MPLS, 8, POP_MPLS, ethertype),
    STANDARD(SET_QUEUE, 8, SET_QUEUE, u32),
    STANDARD(GROUP, 8, GROUP, u32),
    STANDARD(SET_NW_TTL, 8, SET_NW_TTL, ttl),
    STANDARD(DEC_NW_TTL, 8, DEC_NW_TTL, nothing),
    STANDARD(SET_FIELD, 0, SET_FIELD, set_field),
    STANDARD(PUSH_PBB, 8, PUSH_PBB, ethertype),
    STANDARD(POP_PBB, 8, POP_PBB, nothing),
    NICIRA(RESUBMIT, 16, RESUBMIT, resubmit),
    NICIRA(RESUBMIT_TABLE, 16, RESUBMIT, resubmit_table),
    NICIRA(REG_MOVE, 0, MOVE, move),
    NICIRA(REG_LOAD, 24, LOAD, load),
    NICIRA(REG_LOAD2, 0, SET_FIELD, reg_load2),
    NICIRA(OUTPUT_REG, 24, OUTPUT_REG, output_reg),
    NICIRA(OUTPUT_REG2, 24, OUTPUT_REG, output_reg2),
    NICIRA(CONTROLLER, 16, CONTROLLER, controller),
    NICIRA(CONTROLLER2, 0, CONTROLLER, controller2),
    NICIRA(CLONE, 0, CLONE, clone),
    NICIRA(NOTE, 0, NOTE, note),
    NICIRA(CONJUNCTION, 16, CONJUNCTION, conjunction),
    NICIRA(POP_QUEUE, 16, POP_QUEUE, pop_queue),
};
const unsigned n_action_wires = ARRAY_SIZE(action_wires);

/* Which row a type (and, for an experimenter action, the words behind its length) means. */
static struct of_error find_wire(uint16_t type, struct cursor *body, const struct action_wire **out)
{
    uint32_t experimenter = 0;
    uint16_t subtype = 0;
    bool known_experimenter = false;

    if (type == OFPAT_EXPERIMENTER) {
        experimenter = cursor_be32(body);
        subtype = cursor_be16(body);
        if (body->failed) {
            return bad_action(OFPBAC_BAD_LEN);
        }
    }
    for (unsigned i = 0; i < n_action_wires; i++) {
        const struct action_wire *w = &action_wires[i];
        if (w->type != type || w->experimenter != experimenter) {
            continue;
        }
        if (w->subtype == subtype) {
            *out = w;
            return OF_OK;
        }
        known_experimenter = true;
    }
    if (type != OFPAT_EXPERIMENTER) {
        return bad_action(OFPBAC_BAD_TYPE);
    }
    return bad_action(known_experimenter ? OFPBAC_BAD_EXP_TYPE : OFPBAC_BAD_EXPERIMENTER);
}

static struct of_error decode_one(struct cursor *c, struct actions *out, unsigned depth)
{
    uint16_t type = cursor_be16(c), len = cursor_be16(c);
    if (c->failed || len < 8 || len % 8) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    struct cursor body = cursor_sub(c, len - 4u);
    if (c->failed) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    const struct action_wire *wire = NULL;
    struct of_error e = find_wire(type, &body, &wire);
    if (!of_ok(e)) {
        return e;
    }
    if (wire->size && wire->size != len) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    /* Added before it is decoded, so that the list owns whatever the decoder allocates. */
    return wire->decode(&body, actions_add(out, wire->action), depth);
}

struct of_error actions_decode_nested(struct cursor c, struct actions *out, unsigned depth)
{
    struct of_error e = OF_OK;

    actions_init(out);
    if (depth > ACTION_MAX_DEPTH) {
        return bad_action(OFPBAC_TOO_MANY);
    }
    e = actions_decode_append(c, out, depth);
    if (!of_ok(e)) {
        actions_fini(out);
    }
    return e;
}

struct of_error actions_decode_append(struct cursor c, struct actions *out, unsigned depth)
{
    struct of_error e = OF_OK;
    while (of_ok(e) && cursor_left(&c)) {
        e = decode_one(&c, out, depth);
    }
    return e;
}

struct of_error actions_decode(struct cursor c, struct actions *out)
{
    return actions_decode_nested(c, out, 0);
}

static void put_header(struct buf *b, uint16_t type)
{
    buf_put_be16(b, type);
    buf_put_be16(b, 0);
}

static void encode_output(const struct action *a, struct buf *b)
{
    put_header(b, OFPAT_OUTPUT);
    buf_put_be32(b, a->output.port);
    buf_put_be16(b, a->output.max_len);
}

static void encode_group(const struct action *a, struct buf *b)
{
    put_header(b, OFPAT_GROUP);
    buf_put_be32(b, a->group);
}

static void encode_set_queue(const struct action *a, struct buf *b)
{
    put_header(b, OFPAT_SET_QUEUE);
    buf_put_be32(b, a->queue);
}

static void encode_set_field(const struct action *a, struct buf *b)
{
    if (a->set_field.masked) {
        nx_put_header(b, NXAST_REG_LOAD2);
    } else {
        put_header(b, OFPAT_SET_FIELD);
    }
    oxm_put(b, a->set_field.field, &a->set_field.value, a->set_field.masked ? &a->set_field.mask : NULL);
}

/* The number of a standard action that has one wire form. */
static uint16_t standard_type(enum action_type type)
{
    for (unsigned i = 0; i < n_action_wires; i++) {
        if (action_wires[i].action == type) {
            return action_wires[i].type;
        }
    }
    assert(!"every action has a wire form");
    return OFPAT_EXPERIMENTER;
}

static void encode_ethertype(const struct action *a, struct buf *b)
{
    put_header(b, standard_type(a->type));
    buf_put_be16(b, a->ethertype);
}

static void encode_ttl(const struct action *a, struct buf *b)
{
    put_header(b, standard_type(a->type));
    buf_put_u8(b, a->ttl);
}

static void encode_nothing(const struct action *a, struct buf *b)
{
    put_header(b, standard_type(a->type));
}

const struct action_row action_rows[N_ACTION_TYPES] = {
    [ACTION_OUTPUT] = { "output", encode_output, true },
    [ACTION_GROUP] = { "group", encode_group, true },
    [ACTION_SET_QUEUE] = { "set_queue", encode_set_queue, true },
    [ACTION_SET_FIELD] = { "set_field", encode_set_field, true },
    [ACTION_PUSH_VLAN] = { "push_vlan", encode_ethertype, true },
    [ACTION_POP_VLAN] = { "pop_vlan", encode_nothing, true },
    [ACTION_PUSH_MPLS] = { "push_mpls", encode_ethertype, true },
    [ACTION_POP_MPLS] = { "pop_mpls", encode_ethertype, true },
    [ACTION_PUSH_PBB] = { "push_pbb", encode_ethertype, true },
    [ACTION_POP_PBB] = { "pop_pbb", encode_nothing, true },
    [ACTION_SET_NW_TTL] = { "mod_nw_ttl", encode_ttl, true },
    [ACTION_DEC_NW_TTL] = { "dec_ttl", encode_nothing, true },
    [ACTION_SET_MPLS_TTL] = { "set_mpls_ttl", encode_ttl, true },
    [ACTION_DEC_MPLS_TTL] = { "dec_mpls_ttl", encode_nothing, true },
    [ACTION_COPY_TTL_OUT] = { "copy_ttl_out", encode_nothing, true },
    [ACTION_COPY_TTL_IN] = { "copy_ttl_in", encode_nothing, true },
    [ACTION_RESUBMIT] = { "resubmit", nx_encode_resubmit, true },
    [ACTION_MOVE] = { "move", nx_encode_move, true },
    [ACTION_LOAD] = { "load", nx_encode_load, true },
    [ACTION_OUTPUT_REG] = { "output", nx_encode_output_reg, false },
    [ACTION_CONTROLLER] = { "controller", nx_encode_controller, false },
    [ACTION_CLONE] = { "clone", nx_encode_clone, false },
    [ACTION_NOTE] = { "note", nx_encode_note, false },
    [ACTION_CONJUNCTION] = { "conjunction", nx_encode_conjunction, false },
    [ACTION_POP_QUEUE] = { "pop_queue", nx_encode_pop_queue, false },
    [ACTION_DROP] = { "drop", nx_encode_drop, false },
};

void actions_encode(const struct actions *as, struct buf *b)
{
    for (unsigned i = 0; i < as->n; i++) {
        size_t start = b->size;
        action_rows[as->list[i].type].encode(&as->list[i], b);
        /* Each is "padded to 64 bits" (section 7.2.5). */
        buf_pad(b, start, 8);
        buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
    }
}
