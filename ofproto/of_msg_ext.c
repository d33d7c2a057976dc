/*
 * Messages that travel inside experimenter messages: Nicira's extensions as Open vSwitch publishes them (nicira-ext.h,
 * ofp-msgs.h), and the ONF's extension 230, which is 1.4's bundles for 1.3.  One row per (experimenter, subtype):
 * decode turns the message into the type that it stands for, so that an agent sees one kind of role request, flow-mod
 * or bundle, whatever version it came in.
 */
#include "ofproto/of_msg_codec.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "ofproto/nxm.h"
#include "ofproto/of10.h"
#include "ofproto/of_property.h"

#define OF10 (1u << OF10_VERSION)
#define OF13 (1u << OF13_VERSION)
#define OF14 (1u << OF14_VERSION)
#define ALL (OF10 | OF13 | OF14)

enum {
    NXT_ROLE_REQUEST = 10, NXT_ROLE_REPLY = 11, NXT_SET_FLOW_FORMAT = 12, NXT_FLOW_MOD = 13, NXT_FLOW_REMOVED = 14, NXT_FLOW_MOD_TABLE_ID = 15,
    NXT_SET_PACKET_IN_FORMAT = 16, NXT_PACKET_IN = 17, NXT_SET_ASYNC_CONFIG = 19, NXT_SET_CONTROLLER_ID = 20, NXT_FLOW_MONITOR_CANCEL = 21,
    NXT_FLOW_MONITOR_PAUSED = 22, NXT_FLOW_MONITOR_RESUMED = 23, NXT_PACKET_IN2 = 30,
    ONF_BUNDLE_CONTROL = 2300, ONF_BUNDLE_ADD_MESSAGE = 2301, ONF_FLOW_MONITOR_CANCEL = 1870, ONF_FLOW_MONITOR_PAUSED = 1871,
    ONF_FLOW_MONITOR_RESUMED = 1872,
};

/* --- Small bodies --- */

/* Nicira's roles are OTHER, MASTER and SLAVE from 0 on, and there is no generation. */
static struct of_error role_get(struct cursor *c, struct of_msg *msg)
{
    uint32_t role = cursor_be32(c);
    msg->role.role = role <= 2 ? OFPCR_ROLE_EQUAL + role : UINT32_MAX;
    msg->role.generation_id = UINT64_MAX;
    return OF_OK;
}

static void role_put(const struct of_msg *msg, struct buf *b)
{
    uint32_t role = msg->role.role;
    buf_put_be32(b, role >= OFPCR_ROLE_EQUAL && role <= OFPCR_ROLE_SLAVE ? role - OFPCR_ROLE_EQUAL : role == OFPCR_ROLE_NOCHANGE ? 0 : role);
}

static struct of_error value_get(struct cursor *c, struct of_msg *msg)
{
    msg->nx_value = cursor_be32(c);
    return OF_OK;
}

static void value_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->nx_value);
}

static struct of_error table_id_get(struct cursor *c, struct of_msg *msg)
{
    msg->nx_value = cursor_u8(c) != 0;
    cursor_skip(c, 7);
    return OF_OK;
}

static void table_id_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->nx_value != 0);
    buf_put_zeros(b, 7);
}

static struct of_error controller_id_get(struct cursor *c, struct of_msg *msg)
{
    cursor_skip(c, 6);
    msg->nx_value = cursor_be16(c);
    return OF_OK;
}

static void controller_id_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_zeros(b, 6);
    buf_put_be16(b, (uint16_t) msg->nx_value);
}

/* --- Flow-mod and flow-removed with an NXM match --- */

struct of_error of10_command_get(uint16_t command, struct of_flow_mod *fm)
{
    /* The upper byte is the table, where NXT_FLOW_MOD_TABLE_ID has said so; it is the agent's to judge. */
    fm->table_id = (uint8_t) (command >> 8);
    if ((command & 0xff) > OFPFC_DELETE_STRICT) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND);
    }
    fm->command = (enum of_flow_command) (command & 0xff);
    return OF_OK;
}

static struct of_error flow_mod_get(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_mod *fm = &msg->flow_mod;
    msg->nicira = true;
    fm->cookie = cursor_be64(c);
    uint16_t command = cursor_be16(c);
    fm->idle_timeout = cursor_be16(c);
    fm->hard_timeout = cursor_be16(c);
    fm->priority = cursor_be16(c);
    fm->buffer_id = cursor_be32(c);
    fm->out_port = of10_port_get(cursor_be16(c));
    fm->flags = cursor_be16(c);
    uint16_t match_len = cursor_be16(c);
    cursor_skip(c, 6);
    struct of_error error = of10_command_get(command, fm);
    if (of_ok(error)) {
        error = nxm_decode(c, match_len, &fm->match, &fm->cookie, &fm->cookie_mask);
    }
    return of_ok(error) ? of10_flow_mod_rest(c, fm) : error;
}

static void flow_mod_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_mod *fm = &msg->flow_mod;
    /* Only an add has a cookie to set; otherwise the cookie is a part of the match. */
    bool filter = fm->command != OFPFC_ADD && fm->cookie_mask;
    buf_put_be64(b, filter ? UINT64_MAX : fm->cookie);
    buf_put_u8(b, fm->table_id);
    buf_put_u8(b, (uint8_t) fm->command);
    buf_put_be16(b, fm->idle_timeout);
    buf_put_be16(b, fm->hard_timeout);
    buf_put_be16(b, fm->priority);
    buf_put_be32(b, fm->buffer_id);
    buf_put_be16(b, of10_port_put(fm->out_port));
    buf_put_be16(b, of10_flags_put(fm->flags));
    size_t match_len = b->size;
    buf_put_zeros(b, 8);
    buf_set_be16(b, match_len, nxm_encode(&fm->match, fm->cookie, filter ? fm->cookie_mask : 0, b));
    of10_instructions_encode(&fm->instructions, b);
}

static struct of_error flow_removed_get(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_removed *fr = &msg->flow_removed;
    msg->nicira = true;
    fr->cookie = cursor_be64(c);
    fr->priority = cursor_be16(c);
    fr->reason = cursor_u8(c);
    uint8_t table = cursor_u8(c);       /* Plus one; 0: not told. */
    fr->table_id = table ? (uint8_t) (table - 1) : 0;
    fr->duration_sec = cursor_be32(c);
    fr->duration_nsec = cursor_be32(c);
    fr->idle_timeout = cursor_be16(c);
    uint16_t match_len = cursor_be16(c);
    fr->packet_count = cursor_be64(c);
    fr->byte_count = cursor_be64(c);
    struct of_error error = nxm_decode(c, match_len, &fr->match, NULL, NULL);
    return of_ok(error) && cursor_left(c) ? OF_BAD_LEN : error;
}

static void flow_removed_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_removed *fr = &msg->flow_removed;
    buf_put_be64(b, fr->cookie);
    buf_put_be16(b, fr->priority);
    buf_put_u8(b, fr->reason);
    buf_put_u8(b, (uint8_t) (fr->table_id + 1));
    buf_put_be32(b, fr->duration_sec);
    buf_put_be32(b, fr->duration_nsec);
    buf_put_be16(b, fr->idle_timeout);
    size_t match_len = b->size;
    buf_put_be16(b, 0);
    buf_put_be64(b, fr->packet_count);
    buf_put_be64(b, fr->byte_count);
    buf_set_be16(b, match_len, nxm_encode(&fr->match, 0, 0, b));
}

/* --- Packet-ins --- */

static struct of_error packet_in_get(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_in *pi = &msg->packet_in;
    pi->format = NX_PACKET_IN_NXM;
    pi->buffer_id = cursor_be32(c);
    pi->total_len = cursor_be16(c);
    pi->reason = cursor_u8(c);
    pi->table_id = cursor_u8(c);
    pi->cookie = cursor_be64(c);
    uint16_t match_len = cursor_be16(c);
    cursor_skip(c, 6);
    struct of_error error = nxm_decode(c, match_len, &pi->match, NULL, NULL);
    if (!of_ok(error)) {
        return error;
    }
    cursor_skip(c, 2);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    pi->data = of_rest_get(c, &pi->size);
    return OF_OK;
}

static void packet_in_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_in *pi = &msg->packet_in;
    size_t start = b->size - 16;
    buf_put_be32(b, pi->buffer_id);
    buf_put_be16(b, pi->total_len);
    buf_put_u8(b, pi->reason);
    buf_put_u8(b, pi->table_id);
    buf_put_be64(b, pi->cookie);
    size_t match_len = b->size;
    buf_put_zeros(b, 8);
    buf_set_be16(b, match_len, nxm_encode(&pi->match, 0, 0, b));
    buf_put_zeros(b, 2);
    buf_put(b, pi->data, MIN(pi->size, OF_MAX_MESSAGE - (b->size - start)));
}

enum nx_packet_in2 {            /* Properties of NXT_PACKET_IN2. */
    NXPINT_PACKET, NXPINT_FULL_LEN, NXPINT_BUFFER_ID, NXPINT_TABLE_ID, NXPINT_COOKIE, NXPINT_REASON, NXPINT_METADATA, NXPINT_USERDATA,
};

static uint8_t *bytes_get(struct cursor *c, uint8_t *old, unsigned *size)
{
    free(old);
    return of_rest_get(c, size);
}

static struct of_error packet_in2_property(uint16_t type, struct cursor *c, struct of_packet_in *pi)
{
    uint32_t full_len;
    switch (type) {
    case NXPINT_PACKET: pi->data = bytes_get(c, pi->data, &pi->size); break;
    case NXPINT_FULL_LEN: full_len = cursor_be32(c); pi->total_len = (uint16_t) MIN(full_len, UINT16_MAX); break;
    case NXPINT_BUFFER_ID: pi->buffer_id = cursor_be32(c); break;
    case NXPINT_TABLE_ID: pi->table_id = cursor_u8(c); break;
    case NXPINT_COOKIE: cursor_skip(c, 4); pi->cookie = cursor_be64(c); break;
    case NXPINT_REASON: pi->reason = cursor_u8(c); break;
    case NXPINT_METADATA: return match_decode_oxm(*c, &pi->match);
    case NXPINT_USERDATA: pi->userdata = bytes_get(c, pi->userdata, &pi->userdata_size); break;
    default: break;             /* What is not known is for others (a continuation, say). */
    }
    return c->failed ? OF_ERROR(OFPET_BAD_PROPERTY, OFPBPC_BAD_LEN) : OF_OK;
}

static struct of_error packet_in2_get(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_in *pi = &msg->packet_in;
    struct of_error error = OF_OK;
    pi->format = NX_PACKET_IN_NXT2;
    pi->cookie = UINT64_MAX;
    while (of_ok(error) && cursor_left(c)) {
        uint16_t type = cursor_be16(c), length = cursor_be16(c);
        struct cursor body = length >= 4 ? cursor_sub(c, length - 4u) : (struct cursor) { NULL, NULL, true };
        cursor_skip(c, (8u - length % 8u) % 8u);
        if (body.failed || c->failed) {
            return OF_ERROR(OFPET_BAD_PROPERTY, OFPBPC_BAD_LEN);
        }
        error = packet_in2_property(type, &body, pi);
    }
    if (of_ok(error) && !pi->total_len) {
        pi->total_len = (uint16_t) MIN(pi->size, UINT16_MAX);
    }
    return error;
}

/* A packet that does not fit is cut; total_len tells. */
static void packet_in2_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_in *pi = &msg->packet_in;
    unsigned room = OF_MAX_MESSAGE - 1024u - pi->userdata_size, size = MIN(pi->size, room);
    size_t p = of_property_open(b, NXPINT_PACKET);
    buf_put(b, pi->data, size);
    of_property_close(b, p);
    if (size != pi->total_len) {
        p = of_property_open(b, NXPINT_FULL_LEN);
        buf_put_be32(b, pi->total_len);
        of_property_close(b, p);
    }
    if (pi->buffer_id != OFP_NO_BUFFER) {
        p = of_property_open(b, NXPINT_BUFFER_ID);
        buf_put_be32(b, pi->buffer_id);
        of_property_close(b, p);
    }
    p = of_property_open(b, NXPINT_TABLE_ID);
    buf_put_u8(b, pi->table_id);
    of_property_close(b, p);
    if (pi->cookie != UINT64_MAX) {
        p = of_property_open(b, NXPINT_COOKIE);
        buf_put_zeros(b, 4);
        buf_put_be64(b, pi->cookie);
        of_property_close(b, p);
    }
    p = of_property_open(b, NXPINT_REASON);
    buf_put_u8(b, pi->reason);
    of_property_close(b, p);
    p = of_property_open(b, NXPINT_METADATA);
    match_encode_oxm(&pi->match, b);
    of_property_close(b, p);
    if (pi->userdata_size) {
        p = of_property_open(b, NXPINT_USERDATA);
        buf_put(b, pi->userdata, pi->userdata_size);
        of_property_close(b, p);
    }
}

/* --- The rows --- */

static const struct ext {
    uint32_t experimenter, subtype, versions;
    uint16_t size;              /* Of the body; the least when `open`. */
    bool open;
    enum of_type type;
    of_msg_decode_fn *decode;
    of_msg_encode_fn *encode;
} exts[] = {
    { NX_VENDOR, NXT_ROLE_REQUEST, OF10, 4, false, OFPT_ROLE_REQUEST, role_get, role_put },
    { NX_VENDOR, NXT_ROLE_REPLY, OF10, 4, false, OFPT_ROLE_REPLY, role_get, role_put },
    { NX_VENDOR, NXT_SET_FLOW_FORMAT, OF10, 4, false, OFPT_NX_SET_FLOW_FORMAT, value_get, value_put },
    { NX_VENDOR, NXT_FLOW_MOD, OF10, 32, true, OFPT_FLOW_MOD, flow_mod_get, flow_mod_put },
    { NX_VENDOR, NXT_FLOW_REMOVED, OF10, 40, true, OFPT_FLOW_REMOVED, flow_removed_get, flow_removed_put },
    { NX_VENDOR, NXT_FLOW_MOD_TABLE_ID, OF10, 8, false, OFPT_NX_FLOW_MOD_TABLE_ID, table_id_get, table_id_put },
    { NX_VENDOR, NXT_SET_PACKET_IN_FORMAT, ALL, 4, false, OFPT_NX_SET_PACKET_IN_FORMAT, value_get, value_put },
    { NX_VENDOR, NXT_PACKET_IN, OF10, 26, true, OFPT_PACKET_IN, packet_in_get, packet_in_put },
    { NX_VENDOR, NXT_PACKET_IN2, ALL, 0, true, OFPT_PACKET_IN, packet_in2_get, packet_in2_put },
    { NX_VENDOR, NXT_SET_ASYNC_CONFIG, OF10, 24, false, OFPT_SET_ASYNC, of_async_decode, of_async_encode },
    { NX_VENDOR, NXT_SET_CONTROLLER_ID, ALL, 8, false, OFPT_NX_SET_CONTROLLER_ID, controller_id_get, controller_id_put },
    { NX_VENDOR, NXT_FLOW_MONITOR_CANCEL, OF10, 4, false, OFPT_NX_MONITOR_CANCEL, value_get, value_put },
    { NX_VENDOR, NXT_FLOW_MONITOR_PAUSED, OF10, 0, false, OFPT_NX_MONITOR_PAUSED, NULL, NULL },
    { NX_VENDOR, NXT_FLOW_MONITOR_RESUMED, OF10, 0, false, OFPT_NX_MONITOR_RESUMED, NULL, NULL },
    { ONF_VENDOR, ONF_FLOW_MONITOR_CANCEL, OF13, 4, false, OFPT_NX_MONITOR_CANCEL, value_get, value_put },
    { ONF_VENDOR, ONF_FLOW_MONITOR_PAUSED, OF13, 0, false, OFPT_NX_MONITOR_PAUSED, NULL, NULL },
    { ONF_VENDOR, ONF_FLOW_MONITOR_RESUMED, OF13, 0, false, OFPT_NX_MONITOR_RESUMED, NULL, NULL },
    { ONF_VENDOR, ONF_BUNDLE_CONTROL, OF13, 8, true, OFPT_BUNDLE_CONTROL, of_bundle_control_decode, of_bundle_control_encode },
    { ONF_VENDOR, ONF_BUNDLE_ADD_MESSAGE, OF13, 16, true, OFPT_BUNDLE_ADD_MESSAGE, of_bundle_add_decode, of_bundle_add_encode },
};

bool of_ext_decode(struct cursor *c, struct of_msg *msg, struct of_error *error)
{
    if (cursor_left(c) < 8) {
        return false;
    }
    uint32_t experimenter = wire_get32(c->p), subtype = wire_get32(c->p + 4);
    for (unsigned i = 0; i < ARRAY_SIZE(exts); i++) {
        const struct ext *e = &exts[i];
        if (e->experimenter != experimenter || e->subtype != subtype || !(e->versions & (1u << msg->version))) {
            continue;
        }
        uint8_t version = msg->version;
        of_msg_init(msg, e->type, msg->xid);
        msg->version = version;
        cursor_skip(c, 8);
        if (cursor_left(c) < e->size || (!e->open && cursor_left(c) != e->size)) {
            *error = OF_BAD_LEN;
        } else {
            *error = e->decode ? e->decode(c, msg) : OF_OK;
        }
        return true;
    }
    return false;
}

static const struct ext *find(uint8_t version, const struct of_msg *msg, enum of_type type)
{
    for (unsigned i = 0; i < ARRAY_SIZE(exts) && version < 32; i++) {
        const struct ext *e = &exts[i];
        if (e->type != type || !(e->versions & (1u << version))) {
            continue;
        }
        if (msg && type == OFPT_PACKET_IN && msg->packet_in.format != (e->subtype == NXT_PACKET_IN2 ? NX_PACKET_IN_NXT2 : NX_PACKET_IN_NXM)) {
            continue;
        }
        return e;
    }
    return NULL;
}

bool of_ext_has(uint8_t version, enum of_type type)
{
    return find(version, NULL, type);
}

bool of_ext_encode(const struct of_msg *msg, struct buf *b)
{
    const struct ext *e = find(msg->version, msg, msg->type);
    if (!e) {
        return false;
    }
    buf_put_be32(b, e->experimenter);
    buf_put_be32(b, e->subtype);
    if (e->encode) {
        e->encode(msg, b);
    }
    return true;
}
