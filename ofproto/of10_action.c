/*
 * Actions of OpenFlow 1.0 (section 5.2.4), and Nicira's that stand for what later versions have as standard actions.
 *
 * Nicira's other actions look the same in every version and go through action_codec.c, one at a time.  Only clone()
 * needs a look of its own, because the list in it is again 1.0's.
 */
#include "ofproto/of10.h"

#include <stdlib.h>
#include "lib/util.h"
#include "ofproto/action_row.h"
#include "ofproto/of_msg_codec.h"

enum {                          /* ofp_action_type of 1.0. */
    OFPAT10_OUTPUT, OFPAT10_SET_VLAN_VID, OFPAT10_SET_VLAN_PCP, OFPAT10_STRIP_VLAN, OFPAT10_SET_DL_SRC, OFPAT10_SET_DL_DST, OFPAT10_SET_NW_SRC,
    OFPAT10_SET_NW_DST, OFPAT10_SET_NW_TOS, OFPAT10_SET_TP_SRC, OFPAT10_SET_TP_DST, OFPAT10_ENQUEUE, OFPAT10_N, OFPAT10_VENDOR = 0xffff,
};
enum {                          /* Nicira's, for what 1.0 lacks. */
    NXAST10_SET_QUEUE = 4, NXAST10_DEC_TTL = 18, NXAST10_PUSH_MPLS = 23, NXAST10_POP_MPLS = 24, NXAST10_SET_MPLS_TTL = 25, NXAST10_DEC_MPLS_TTL = 26,
    NXAST10_SET_MPLS_LABEL = 30, NXAST10_SET_MPLS_TC = 31,
};

static const uint16_t sizes[OFPAT10_N] = { 8, 8, 8, 8, 16, 16, 8, 8, 8, 8, 8, 16 };

static struct of_error bad_action(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_ACTION, code);
}

static void add_set(struct actions *out, enum field_id id, uint64_t value)
{
    struct action *a = actions_add(out, ACTION_SET_FIELD);
    a->set_field.field = field_row(id);
    a->set_field.value = field_value_from_u64(value);
    a->set_field.mask = field_mask_all(a->set_field.field);
    a->set_field.of10 = true;
}

/* Which of the fields that share their bytes a tp_src or tp_dst means is the packet's to say; TCP stands for all of them. */
static struct of_error decode_standard(uint16_t type, struct cursor *c, struct actions *out)
{
    switch (type) {
    case OFPAT10_OUTPUT: {
        struct action *a = actions_add(out, ACTION_OUTPUT);
        a->output.port = of10_port_get(cursor_be16(c));
        a->output.max_len = cursor_be16(c);
        return OF_OK;
    }
    case OFPAT10_SET_VLAN_VID: {
        uint16_t vid = cursor_be16(c);
        add_set(out, FIELD_VLAN_VID, FLOW_VLAN_PRESENT | vid);
        return vid > 0xfff ? bad_action(OFPBAC_BAD_ARGUMENT) : OF_OK;
    }
    case OFPAT10_SET_VLAN_PCP: {
        uint8_t pcp = cursor_u8(c);
        add_set(out, FIELD_VLAN_PCP, pcp);
        return pcp > 7 ? bad_action(OFPBAC_BAD_ARGUMENT) : OF_OK;
    }
    case OFPAT10_STRIP_VLAN: actions_add(out, ACTION_POP_VLAN); return OF_OK;
    case OFPAT10_SET_DL_SRC: add_set(out, FIELD_ETH_SRC, (uint64_t) cursor_be16(c) << 32 | cursor_be32(c)); return OF_OK;
    case OFPAT10_SET_DL_DST: add_set(out, FIELD_ETH_DST, (uint64_t) cursor_be16(c) << 32 | cursor_be32(c)); return OF_OK;
    case OFPAT10_SET_NW_SRC: add_set(out, FIELD_IPV4_SRC, cursor_be32(c)); return OF_OK;
    case OFPAT10_SET_NW_DST: add_set(out, FIELD_IPV4_DST, cursor_be32(c)); return OF_OK;
    case OFPAT10_SET_NW_TOS: {
        uint8_t tos = cursor_u8(c);
        add_set(out, FIELD_IP_DSCP, tos >> 2);
        return tos & 3 ? bad_action(OFPBAC_BAD_ARGUMENT) : OF_OK;
    }
    case OFPAT10_SET_TP_SRC: add_set(out, FIELD_TCP_SRC, cursor_be16(c)); return OF_OK;
    case OFPAT10_SET_TP_DST: add_set(out, FIELD_TCP_DST, cursor_be16(c)); return OF_OK;
    default: {                  /* OFPAT10_ENQUEUE */
        uint32_t port = of10_port_get(cursor_be16(c));
        cursor_skip(c, 6);
        actions_enqueue(out, port, cursor_be32(c));
        /* Section 5.3.3: "Should refer to a valid physical port (i.e. < OFPP_MAX) or OFPP_IN_PORT." */
        return port <= OFPP_MAX || port == OFPP_IN_PORT ? OF_OK : bad_action(OFPBAC_BAD_OUT_PORT);
    }
    }
}

/* True when the subtype is one of those above; the cursor stands behind it. */
static bool decode_nicira(uint16_t subtype, struct cursor *c, struct actions *out)
{
    switch (subtype) {
    case NXAST10_SET_QUEUE: cursor_skip(c, 2); actions_add(out, ACTION_SET_QUEUE)->queue = cursor_be32(c); return true;
    case NXAST10_DEC_TTL: actions_add(out, ACTION_DEC_NW_TTL); return true;
    case NXAST10_PUSH_MPLS: actions_add(out, ACTION_PUSH_MPLS)->ethertype = cursor_be16(c); return true;
    case NXAST10_POP_MPLS: actions_add(out, ACTION_POP_MPLS)->ethertype = cursor_be16(c); return true;
    case NXAST10_SET_MPLS_TTL: actions_add(out, ACTION_SET_MPLS_TTL)->ttl = cursor_u8(c); return true;
    case NXAST10_DEC_MPLS_TTL: actions_add(out, ACTION_DEC_MPLS_TTL); return true;
    case NXAST10_SET_MPLS_LABEL: cursor_skip(c, 2); add_set(out, FIELD_MPLS_LABEL, cursor_be32(c) & 0xfffff); return true;
    case NXAST10_SET_MPLS_TC: add_set(out, FIELD_MPLS_TC, cursor_u8(c) & 7); return true;
    default: return false;
    }
}

static struct of_error decode_list(struct cursor, struct actions *, unsigned depth);

static struct of_error decode_vendor(struct cursor whole, struct actions *out, unsigned depth)
{
    struct cursor c = whole;
    cursor_skip(&c, 4);
    uint32_t vendor = cursor_be32(&c);
    uint16_t subtype = cursor_be16(&c);
    if (c.failed) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    if (vendor == NX_EXPERIMENTER && subtype == NXAST_CLONE) {
        cursor_skip(&c, 6);
        return c.failed ? bad_action(OFPBAC_BAD_LEN) : decode_list(c, &actions_add(out, ACTION_CLONE)->nested, depth + 1);
    }
    if (vendor == NX_EXPERIMENTER && decode_nicira(subtype, &c, out)) {
        const struct action *a = &out->list[out->n - 1];
        return c.failed || cursor_left(&whole) != 16 ? bad_action(OFPBAC_BAD_LEN)
             : a->type == ACTION_PUSH_MPLS && !action_ethertype_valid(a->type, a->ethertype) ? bad_action(OFPBAC_BAD_ARGUMENT) : OF_OK;
    }
    return actions_decode_append(whole, out, depth);
}

static struct of_error decode_one(struct cursor *c, struct actions *out, unsigned depth)
{
    struct cursor rest = *c;
    uint16_t type = cursor_be16(&rest), length = cursor_be16(&rest);
    if (rest.failed || length < 8 || length % 8) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    struct cursor whole = cursor_sub(c, length), body = whole;
    if (c->failed) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    if (type == OFPAT10_VENDOR) {
        return decode_vendor(whole, out, depth);
    }
    if (type >= OFPAT10_N) {
        return bad_action(OFPBAC_BAD_TYPE);
    }
    if (length != sizes[type]) {
        return bad_action(OFPBAC_BAD_LEN);
    }
    cursor_skip(&body, 4);
    return decode_standard(type, &body, out);
}

static struct of_error decode_list(struct cursor c, struct actions *out, unsigned depth)
{
    struct of_error e = OF_OK;
    actions_init(out);
    if (depth > ACTION_MAX_DEPTH) {
        return bad_action(OFPBAC_TOO_MANY);
    }
    while (of_ok(e) && cursor_left(&c)) {
        e = decode_one(&c, out, depth);
    }
    if (!of_ok(e)) {
        actions_fini(out);
    }
    return e;
}

struct of_error of10_actions_decode(struct cursor c, struct actions *out)
{
    return decode_list(c, out, 0);
}

/* --- Encoding --- */

static size_t open_standard(struct buf *b, uint16_t type)
{
    size_t start = b->size;
    buf_put_be16(b, type);
    buf_put_be16(b, sizes[type]);
    return start;
}

static bool encode_set(const struct action *a, struct buf *b)
{
    uint64_t value = field_value_u64(&a->set_field.value);
    size_t start;
    if (a->set_field.masked) {
        return false;
    }
    switch ((unsigned) field_id_of(a->set_field.field)) {
    case FIELD_ETH_SRC:
    case FIELD_ETH_DST:
        start = open_standard(b, field_id_of(a->set_field.field) == FIELD_ETH_SRC ? OFPAT10_SET_DL_SRC : OFPAT10_SET_DL_DST);
        buf_put(b, a->set_field.value.b + 10, 6);
        break;
    case FIELD_VLAN_VID: start = open_standard(b, OFPAT10_SET_VLAN_VID); buf_put_be16(b, value & 0xfff); break;
    case FIELD_VLAN_PCP: start = open_standard(b, OFPAT10_SET_VLAN_PCP); buf_put_u8(b, (uint8_t) value); break;
    case FIELD_IPV4_SRC: start = open_standard(b, OFPAT10_SET_NW_SRC); buf_put_be32(b, (uint32_t) value); break;
    case FIELD_IPV4_DST: start = open_standard(b, OFPAT10_SET_NW_DST); buf_put_be32(b, (uint32_t) value); break;
    case FIELD_IP_DSCP: start = open_standard(b, OFPAT10_SET_NW_TOS); buf_put_u8(b, (uint8_t) (value << 2)); break;
    case FIELD_TCP_SRC: case FIELD_UDP_SRC: case FIELD_SCTP_SRC: start = open_standard(b, OFPAT10_SET_TP_SRC); buf_put_be16(b, (uint16_t) value); break;
    case FIELD_TCP_DST: case FIELD_UDP_DST: case FIELD_SCTP_DST: start = open_standard(b, OFPAT10_SET_TP_DST); buf_put_be16(b, (uint16_t) value); break;
    default: return false;
    }
    buf_pad(b, start, 8);
    return true;
}

static size_t open_nicira(struct buf *b, uint16_t subtype)
{
    size_t start = b->size;
    nx_put_header(b, subtype);
    return start;
}

static void close_nicira(struct buf *b, size_t start)
{
    buf_pad(b, start, 16);
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
}

static void encode_nicira(const struct action *a, struct buf *b)
{
    size_t start;
    switch (a->type) {
    case ACTION_SET_QUEUE: start = open_nicira(b, NXAST10_SET_QUEUE); buf_put_zeros(b, 2); buf_put_be32(b, a->queue); break;
    case ACTION_DEC_NW_TTL: start = open_nicira(b, NXAST10_DEC_TTL); break;
    case ACTION_PUSH_MPLS: start = open_nicira(b, NXAST10_PUSH_MPLS); buf_put_be16(b, a->ethertype); break;
    case ACTION_POP_MPLS: start = open_nicira(b, NXAST10_POP_MPLS); buf_put_be16(b, a->ethertype); break;
    case ACTION_SET_MPLS_TTL: start = open_nicira(b, NXAST10_SET_MPLS_TTL); buf_put_u8(b, a->ttl); break;
    default: start = open_nicira(b, NXAST10_DEC_MPLS_TTL); break;
    }
    close_nicira(b, start);
}

/* A set-field of what 1.0 has no action for is a reg_load2, which is Nicira's for any field and mask. */
static void encode_load2(const struct action *a, struct buf *b)
{
    size_t start = open_nicira(b, NXAST_REG_LOAD2);
    oxm_put(b, a->set_field.field, &a->set_field.value, a->set_field.masked ? &a->set_field.mask : NULL);
    buf_pad(b, start, 8);
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
}

static void encode_one(const struct action *a, struct buf *b)
{
    size_t start = b->size;
    switch (a->type) {
    case ACTION_OUTPUT:
        open_standard(b, OFPAT10_OUTPUT);
        buf_put_be16(b, of10_port_put(a->output.port));
        buf_put_be16(b, a->output.max_len);
        break;
    case ACTION_POP_VLAN: open_standard(b, OFPAT10_STRIP_VLAN); buf_pad(b, start, 8); break;
    case ACTION_SET_FIELD:
        if (!encode_set(a, b)) {
            encode_load2(a, b);
        }
        break;
    case ACTION_SET_QUEUE: case ACTION_DEC_NW_TTL: case ACTION_PUSH_MPLS: case ACTION_POP_MPLS: case ACTION_SET_MPLS_TTL: case ACTION_DEC_MPLS_TTL:
        encode_nicira(a, b);
        break;
    case ACTION_CLONE:
        nx_put_header(b, NXAST_CLONE);
        buf_put_zeros(b, 6);
        of10_actions_encode(&a->nested, b);
        buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
        break;
    case ACTION_GROUP: case ACTION_PUSH_VLAN: case ACTION_PUSH_PBB: case ACTION_POP_PBB: case ACTION_SET_NW_TTL: case ACTION_COPY_TTL_OUT: case ACTION_COPY_TTL_IN:
        break;                  /* Nothing in 1.0 says that. */
    default: {
        struct actions one = { .list = (struct action *) (uintptr_t) a, .n = 1 };
        actions_encode(&one, b);
    }
    }
}

static bool is_enqueue(const struct action *a, unsigned n)
{
    return n >= 3 && a[0].type == ACTION_SET_QUEUE && a[1].type == ACTION_OUTPUT && a[2].type == ACTION_POP_QUEUE
        && (a[1].output.port <= OFPP_MAX || a[1].output.port == OFPP_IN_PORT) && !a[1].output.max_len;
}

void of10_actions_encode(const struct actions *as, struct buf *b)
{
    for (unsigned i = 0; i < as->n; i++) {
        if (is_enqueue(&as->list[i], as->n - i)) {
            open_standard(b, OFPAT10_ENQUEUE);
            buf_put_be16(b, of10_port_put(as->list[i + 1].output.port));
            buf_put_zeros(b, 6);
            buf_put_be32(b, as->list[i].queue);
            i += 2;
        } else {
            encode_one(&as->list[i], b);
        }
    }
}

/* --- As instructions --- */

struct of_error of10_instructions_decode(struct cursor c, struct instructions *is)
{
    instructions_init(is);
    struct of_error error = of10_actions_decode(c, &is->apply);
    is->has_apply = of_ok(error) && is->apply.n;
    return error;
}

void of10_instructions_encode(const struct instructions *is, struct buf *b)
{
    of10_actions_encode(&is->apply, b);
    if (is->has_goto) {
        struct action resubmit = { .type = ACTION_RESUBMIT, .resubmit = { OFPP_IN_PORT, is->goto_table } };
        encode_one(&resubmit, b);
    }
}
