/* Message bodies of OpenFlow 1.0 (section 5), and their numbers. */
#include "ofproto/of10.h"

#include <assert.h>
#include "lib/util.h"
#include "ofproto/of_msg_codec.h"

enum { OFPFF10_SEND_FLOW_REM = 1, OFPFF10_CHECK_OVERLAP = 2, OFPFF10_EMERG = 4 };
enum { OF10_ACTIONS = 0xfff };  /* Bitmap of ofp_action_type: all twelve. */
enum { OFPC10_MASK = OFPC_FLOW_STATS | OFPC_TABLE_STATS | OFPC_PORT_STATS | OFPC_IP_REASM | OFPC_QUEUE_STATS, OFPC10_ARP_MATCH_IP = 1 << 7 };

/* --- Features (section 5.3.1) --- */

static struct of_error features_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_features *f = &msg->features;
    f->datapath_id = cursor_be64(c);
    f->n_buffers = cursor_be32(c);
    f->n_tables = cursor_u8(c);
    cursor_skip(c, 3);
    f->capabilities = cursor_be32(c) & OFPC10_MASK;
    cursor_skip(c, 4);
    if (c->failed || cursor_left(c) % 48) {
        return OF_BAD_LEN;
    }
    unsigned n = (unsigned) (cursor_left(c) / 48);
    f->ports = n ? xcalloc(n, sizeof *f->ports) : NULL;
    for (; f->n_ports < n; f->n_ports++) {
        of_port_get(c, &f->ports[f->n_ports], OF10_VERSION);
    }
    return OF_OK;
}

/* What does not fit the message is asked for by OFPST_PORT_DESC, as with Open vSwitch. */
static void features_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_features *f = &msg->features;
    size_t start = b->size - OF_HEADER_SIZE;
    buf_put_be64(b, f->datapath_id);
    buf_put_be32(b, f->n_buffers);
    buf_put_u8(b, f->n_tables);
    buf_put_zeros(b, 3);
    buf_put_be32(b, (f->capabilities & OFPC10_MASK) | OFPC10_ARP_MATCH_IP);
    buf_put_be32(b, OF10_ACTIONS);
    for (unsigned i = 0; i < f->n_ports && b->size - start + 48 <= OF_MAX_MESSAGE; i++) {
        of_port_put(b, &f->ports[i], OF10_VERSION);
    }
}

/* --- Flow-mod, flow-removed (sections 5.3.3 and 5.4.2) --- */

struct of_error of10_flow_mod_rest(struct cursor *c, struct of_flow_mod *fm)
{
    if (fm->flags & ~(OFPFF10_SEND_FLOW_REM | OFPFF10_CHECK_OVERLAP | OFPFF10_EMERG)) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_FLAGS);
    }
    if (fm->flags & OFPFF10_EMERG) {    /* "Timeouts must be zero"; there is no emergency table, which OFPFMFC_ALL_TABLES_FULL says. */
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, fm->idle_timeout || fm->hard_timeout ? OFPFMFC_BAD_TIMEOUT : OFPFMFC_TABLE_FULL);
    }
    if (fm->command == OFPFC_ADD) {     /* Section 4.6 of 1.0: an add that replaces an entry clears its counters. */
        fm->flags |= OFPFF_RESET_COUNTS;
    }
    if (cursor_left(c) > OF_MAX_ACTION_BYTES) {
        return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_TOO_MANY);
    }
    return of10_instructions_decode(cursor_sub(c, cursor_left(c)), &fm->instructions);
}

uint16_t of10_flags_put(uint16_t flags)
{
    return flags & (OFPFF10_SEND_FLOW_REM | OFPFF10_CHECK_OVERLAP);
}

static struct of_error flow_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_mod *fm = &msg->flow_mod;
    of10_match_decode(c, &fm->match);
    fm->cookie = cursor_be64(c);
    uint16_t command = cursor_be16(c);
    fm->idle_timeout = cursor_be16(c);
    fm->hard_timeout = cursor_be16(c);
    fm->priority = cursor_be16(c);
    fm->buffer_id = cursor_be32(c);
    fm->out_port = of10_port_get(cursor_be16(c));
    fm->flags = cursor_be16(c);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    struct of_error error = of10_command_get(command, fm);
    return of_ok(error) ? of10_flow_mod_rest(c, fm) : error;
}

static void flow_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_mod *fm = &msg->flow_mod;
    of10_match_encode(&fm->match, b);
    buf_put_be64(b, fm->cookie);
    buf_put_u8(b, fm->table_id);
    buf_put_u8(b, (uint8_t) fm->command);
    buf_put_be16(b, fm->idle_timeout);
    buf_put_be16(b, fm->hard_timeout);
    buf_put_be16(b, fm->priority);
    buf_put_be32(b, fm->buffer_id);
    buf_put_be16(b, of10_port_put(fm->out_port));
    buf_put_be16(b, of10_flags_put(fm->flags));
    of10_instructions_encode(&fm->instructions, b);
}

static struct of_error flow_removed_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_removed *fr = &msg->flow_removed;
    of10_match_decode(c, &fr->match);
    fr->cookie = cursor_be64(c);
    fr->priority = cursor_be16(c);
    fr->reason = cursor_u8(c);
    cursor_skip(c, 1);
    fr->duration_sec = cursor_be32(c);
    fr->duration_nsec = cursor_be32(c);
    fr->idle_timeout = cursor_be16(c);
    cursor_skip(c, 2);
    fr->packet_count = cursor_be64(c);
    fr->byte_count = cursor_be64(c);
    return OF_OK;
}

static void flow_removed_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_removed *fr = &msg->flow_removed;
    of10_match_encode(&fr->match, b);
    buf_put_be64(b, fr->cookie);
    buf_put_be16(b, fr->priority);
    buf_put_u8(b, fr->reason);
    buf_put_zeros(b, 1);
    buf_put_be32(b, fr->duration_sec);
    buf_put_be32(b, fr->duration_nsec);
    buf_put_be16(b, fr->idle_timeout);
    buf_put_zeros(b, 2);
    buf_put_be64(b, fr->packet_count);
    buf_put_be64(b, fr->byte_count);
}

/* --- Packets (sections 5.4.1 and 5.3.6) --- */

static struct of_error packet_in_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_in *pi = &msg->packet_in;
    pi->buffer_id = cursor_be32(c);
    pi->total_len = cursor_be16(c);
    match_set_u64(&pi->match, FIELD_IN_PORT, of10_port_get(cursor_be16(c)));
    pi->reason = cursor_u8(c);
    cursor_skip(c, 1);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    pi->data = of_rest_get(c, &pi->size);
    return OF_OK;
}

static void packet_in_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_in *pi = &msg->packet_in;
    size_t start = b->size - OF_HEADER_SIZE;
    buf_put_be32(b, pi->buffer_id);
    buf_put_be16(b, pi->total_len);
    buf_put_be16(b, of10_port_put(be32_get(pi->match.value.flow.in_port)));
    buf_put_u8(b, pi->reason);
    buf_put_zeros(b, 1);
    buf_put(b, pi->data, MIN(pi->size, OF_MAX_MESSAGE - (b->size - start)));
}

static struct of_error packet_out_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_out *po = &msg->packet_out;
    po->buffer_id = cursor_be32(c);
    uint16_t in_port = cursor_be16(c);
    /* "OFPP_NONE if none": later versions say OFPP_CONTROLLER there. */
    po->in_port = in_port == UINT16_MAX ? OFPP_CONTROLLER : of10_port_get(in_port);
    struct cursor actions = cursor_sub(c, cursor_be16(c));
    if (c->failed) {
        return OF_BAD_LEN;
    }
    struct of_error error = of10_actions_decode(actions, &po->actions);
    if (of_ok(error)) {
        po->data = of_rest_get(c, &po->size);
    }
    return error;
}

static void packet_out_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_out *po = &msg->packet_out;
    buf_put_be32(b, po->buffer_id);
    buf_put_be16(b, po->in_port == OFPP_CONTROLLER ? UINT16_MAX : of10_port_put(po->in_port));
    size_t actions_len = b->size;
    buf_put_be16(b, 0);
    of10_actions_encode(&po->actions, b);
    buf_set_be16(b, actions_len, (uint16_t) (b->size - actions_len - 2));
    buf_put(b, po->data, po->size);
}

/* --- Ports (section 5.3.3) --- */

static struct of_error port_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_port_mod *pm = &msg->port_mod;
    pm->port_no = of10_port_get(cursor_be16(c));
    cursor_copy(c, pm->hw_addr.b, 6);
    pm->config = cursor_be32(c);
    pm->mask = cursor_be32(c);
    pm->advertise = cursor_be32(c);
    cursor_skip(c, 4);
    return OF_OK;
}

static void port_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_port_mod *pm = &msg->port_mod;
    buf_put_be16(b, of10_port_put(pm->port_no));
    buf_put(b, pm->hw_addr.b, 6);
    buf_put_be32(b, pm->config);
    buf_put_be32(b, pm->mask);
    buf_put_be32(b, pm->advertise);
    buf_put_zeros(b, 4);
}

/* --- The rows --- */

#define OF10 (1u << OF10_VERSION)
static const struct of_row rows[] = {
    [OFPT_EXPERIMENTER] = { "experimenter", 12, false, OF10, of_experimenter_decode, of_experimenter_encode, 4 },
    [OFPT_FEATURES_REQUEST] = { "features-request", 8, true, OF10, NULL, NULL, 5 },
    [OFPT_FEATURES_REPLY] = { "features-reply", 32, false, OF10, features_decode, features_encode, 6 },
    [OFPT_GET_CONFIG_REQUEST] = { "get-config-request", 8, true, OF10, NULL, NULL, 7 },
    [OFPT_GET_CONFIG_REPLY] = { "get-config-reply", 12, true, OF10, of_config_decode, of_config_encode, 8 },
    [OFPT_SET_CONFIG] = { "set-config", 12, true, OF10, of_config_decode, of_config_encode, 9 },
    [OFPT_PACKET_IN] = { "packet-in", 18, false, OF10, packet_in_decode, packet_in_encode, 10 },
    [OFPT_FLOW_REMOVED] = { "flow-removed", 88, true, OF10, flow_removed_decode, flow_removed_encode, 11 },
    [OFPT_PORT_STATUS] = { "port-status", 64, true, OF10, of_port_status_decode, of_port_status_encode, 12 },
    [OFPT_PACKET_OUT] = { "packet-out", 16, false, OF10, packet_out_decode, packet_out_encode, 13 },
    [OFPT_FLOW_MOD] = { "flow-mod", 72, false, OF10, flow_mod_decode, flow_mod_encode, 14 },
    [OFPT_PORT_MOD] = { "port-mod", 32, true, OF10, port_mod_decode, port_mod_encode, 15 },
    [OFPT_MULTIPART_REQUEST] = { "multipart-request", 12, false, OF10, of_multipart_request_decode, of_multipart_request_encode, 16 },
    [OFPT_MULTIPART_REPLY] = { "multipart-reply", 12, false, OF10, of_multipart_reply_decode, NULL /* of_multipart_reply_encode() */, 17 },
    [OFPT_BARRIER_REQUEST] = { "barrier-request", 8, true, OF10, NULL, NULL, 18 },
    [OFPT_BARRIER_REPLY] = { "barrier-reply", 8, true, OF10, NULL, NULL, 19 },
    [OFPT_QUEUE_GET_CONFIG_REQUEST] = { "queue-get-config-request", 12, true, OF10, of_queue_config_request_decode, of_queue_config_request_encode, 20 },
    [OFPT_QUEUE_GET_CONFIG_REPLY] = { "queue-get-config-reply", 16, false, OF10, of_queue_config_reply_decode, of_queue_config_reply_encode, 21 },
};

const struct of_row *of10_row(enum of_type type)
{
    return (unsigned) type < ARRAY_SIZE(rows) && rows[type].name ? &rows[type] : NULL;
}

bool of10_type(uint8_t wire_type, enum of_type *type)
{
    if (wire_type <= OFPT_ECHO_REPLY) {
        *type = (enum of_type) wire_type;
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].name && rows[i].wire_type == wire_type) {
            *type = (enum of_type) i;
            return true;
        }
    }
    return false;
}
