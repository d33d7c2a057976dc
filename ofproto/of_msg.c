#include "ofproto/of_msg_codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define ALL_VERSIONS 0xffffffffu
#define OF13 (1u << OF13_VERSION)
#define OF14 (1u << OF14_VERSION)
#define OF13_UP (OF13 | OF14)

/* --- Small bodies --- */

enum { OFPHET_VERSIONBITMAP = 1 };

/* Section 7.5.1: elements that are not known are skipped, so that a later version may add some. */
static struct of_error hello_decode(struct cursor *c, struct of_msg *msg)
{
    while (cursor_left(c) >= 4) {
        uint16_t type = cursor_be16(c), length = cursor_be16(c);
        if (length < 4) {
            return OF_BAD_LEN;
        }
        struct cursor body = cursor_sub(c, length - 4u);
        if (body.failed || (type == OFPHET_VERSIONBITMAP && length < 8)) {
            return OF_BAD_LEN;
        }
        if (type == OFPHET_VERSIONBITMAP) {
            msg->hello.has_bitmap = true;
            msg->hello.version_bitmap = cursor_be32(&body);
        }
        cursor_skip(c, MIN(ROUND_UP((size_t) length, 8) - length, cursor_left(c)));
    }
    return OF_OK;
}

static void hello_encode(const struct of_msg *msg, struct buf *b)
{
    if (msg->hello.has_bitmap) {
        buf_put_be16(b, OFPHET_VERSIONBITMAP);
        buf_put_be16(b, 8);
        buf_put_be32(b, msg->hello.version_bitmap);
    }
}

uint8_t *of_rest_get(struct cursor *c, unsigned *size)
{
    *size = (unsigned) cursor_left(c);
    if (!*size) {
        return NULL;
    }
    uint8_t *data = xmalloc(*size);
    cursor_copy(c, data, *size);
    return data;
}

static struct of_error error_decode(struct cursor *c, struct of_msg *msg)
{
    msg->error.error.type = cursor_be16(c);
    msg->error.error.code = cursor_be16(c);
    msg->error.data = of_rest_get(c, &msg->error.size);
    return OF_OK;
}

static void error_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be16(b, msg->error.error.type);
    buf_put_be16(b, msg->error.error.code);
    buf_put(b, msg->error.data, MIN(msg->error.size, OF_MAX_MESSAGE - 12u));
}

static struct of_error echo_decode(struct cursor *c, struct of_msg *msg)
{
    msg->echo.data = of_rest_get(c, &msg->echo.size);
    return OF_OK;
}

static void echo_encode(const struct of_msg *msg, struct buf *b)
{
    assert(msg->echo.size <= OF_MAX_MESSAGE - OF_HEADER_SIZE);
    buf_put(b, msg->echo.data, msg->echo.size);
}

struct of_error of_experimenter_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_error error = OF_OK;
    if (of_ext_decode(c, msg, &error)) {
        return error;
    }
    msg->experimenter.experimenter = cursor_be32(c);
    if (msg->version == OF10_VERSION && cursor_left(c) < 4) {    /* 1.0's vendor messages need not have a type. */
        cursor_skip(c, cursor_left(c));
    } else {
        msg->experimenter.exp_type = cursor_be32(c);
    }
    msg->experimenter.data = of_rest_get(c, &msg->experimenter.size);
    return OF_OK;
}

void of_experimenter_encode(const struct of_msg *msg, struct buf *b)
{
    assert(msg->experimenter.size <= OF_MAX_MESSAGE - 16u);
    buf_put_be32(b, msg->experimenter.experimenter);
    buf_put_be32(b, msg->experimenter.exp_type);
    buf_put(b, msg->experimenter.data, msg->experimenter.size);
}

static struct of_error features_decode(struct cursor *c, struct of_msg *msg)
{
    msg->features.datapath_id = cursor_be64(c);
    msg->features.n_buffers = cursor_be32(c);
    msg->features.n_tables = cursor_u8(c);
    msg->features.auxiliary_id = cursor_u8(c);
    cursor_skip(c, 2);
    msg->features.capabilities = cursor_be32(c);
    return OF_OK;
}

static void features_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be64(b, msg->features.datapath_id);
    buf_put_be32(b, msg->features.n_buffers);
    buf_put_u8(b, msg->features.n_tables);
    buf_put_u8(b, msg->features.auxiliary_id);
    buf_put_zeros(b, 2);
    buf_put_be32(b, msg->features.capabilities);
    buf_put_zeros(b, 4);
}

struct of_error of_config_decode(struct cursor *c, struct of_msg *msg)
{
    msg->config.flags = cursor_be16(c);
    msg->config.miss_send_len = cursor_be16(c);
    return OF_OK;
}

void of_config_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be16(b, msg->config.flags);
    buf_put_be16(b, msg->config.miss_send_len);
}

static struct of_error table_mod_decode(struct cursor *c, struct of_msg *msg)
{
    msg->table_mod.table_id = cursor_u8(c);
    cursor_skip(c, 3);
    msg->table_mod.config = cursor_be32(c);
    return OF_OK;
}

static void table_mod_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->table_mod.table_id);
    buf_put_zeros(b, 3);
    buf_put_be32(b, msg->table_mod.config);
}

static struct of_error role_decode(struct cursor *c, struct of_msg *msg)
{
    msg->role.role = cursor_be32(c);
    cursor_skip(c, 4);
    msg->role.generation_id = cursor_be64(c);
    return OF_OK;
}

static void role_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->role.role);
    buf_put_zeros(b, 4);
    buf_put_be64(b, msg->role.generation_id);
}

struct of_error of_async_decode(struct cursor *c, struct of_msg *msg)
{
    for (unsigned i = 0; i < 2; i++) {
        msg->async.packet_in[i] = cursor_be32(c);
    }
    for (unsigned i = 0; i < 2; i++) {
        msg->async.port_status[i] = cursor_be32(c);
    }
    for (unsigned i = 0; i < 2; i++) {
        msg->async.flow_removed[i] = cursor_be32(c);
    }
    return OF_OK;
}

void of_async_encode(const struct of_msg *msg, struct buf *b)
{
    for (unsigned i = 0; i < 2; i++) {
        buf_put_be32(b, msg->async.packet_in[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        buf_put_be32(b, msg->async.port_status[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        buf_put_be32(b, msg->async.flow_removed[i]);
    }
}

/* --- The rows --- */

static const struct of_row rows[OF_N_TYPES] = {
    [OFPT_HELLO] = { "hello", 8, false, ALL_VERSIONS, hello_decode, hello_encode, 0 },
    [OFPT_ERROR] = { "error", 12, false, ALL_VERSIONS, error_decode, error_encode, 0 },
    [OFPT_ECHO_REQUEST] = { "echo-request", 8, false, ALL_VERSIONS, echo_decode, echo_encode, 0 },
    [OFPT_ECHO_REPLY] = { "echo-reply", 8, false, ALL_VERSIONS, echo_decode, echo_encode, 0 },
    [OFPT_EXPERIMENTER] = { "experimenter", 16, false, OF13_UP, of_experimenter_decode, of_experimenter_encode, 0 },
    [OFPT_FEATURES_REQUEST] = { "features-request", 8, true, OF13_UP, NULL, NULL, 0 },
    [OFPT_FEATURES_REPLY] = { "features-reply", 32, true, OF13_UP, features_decode, features_encode, 0 },
    [OFPT_GET_CONFIG_REQUEST] = { "get-config-request", 8, true, OF13_UP, NULL, NULL, 0 },
    [OFPT_GET_CONFIG_REPLY] = { "get-config-reply", 12, true, OF13_UP, of_config_decode, of_config_encode, 0 },
    [OFPT_SET_CONFIG] = { "set-config", 12, true, OF13_UP, of_config_decode, of_config_encode, 0 },
    [OFPT_PACKET_IN] = { "packet-in", 34, false, OF13_UP, of_packet_in_decode, of_packet_in_encode, 0 },
    [OFPT_FLOW_REMOVED] = { "flow-removed", 56, false, OF13_UP, of_flow_removed_decode, of_flow_removed_encode, 0 },
    [OFPT_PORT_STATUS] = { "port-status", 80, false, OF13_UP, of_port_status_decode, of_port_status_encode, 0 },
    [OFPT_PACKET_OUT] = { "packet-out", 24, false, OF13_UP, of_packet_out_decode, of_packet_out_encode, 0 },
    [OFPT_FLOW_MOD] = { "flow-mod", 56, false, OF13_UP, of_flow_mod_decode, of_flow_mod_encode, 0 },
    [OFPT_GROUP_MOD] = { "group-mod", 16, false, OF13_UP, of_group_mod_decode, of_group_mod_encode, 0 },
    [OFPT_PORT_MOD] = { "port-mod", 40, true, OF13, of_port_mod_decode, of_port_mod_encode, 0 },
    [OFPT_TABLE_MOD] = { "table-mod", 16, true, OF13, table_mod_decode, table_mod_encode, 0 },
    [OFPT_MULTIPART_REQUEST] = { "multipart-request", 16, false, OF13_UP, of_multipart_request_decode, of_multipart_request_encode, 0 },
    [OFPT_MULTIPART_REPLY] = { "multipart-reply", 16, false, OF13_UP, of_multipart_reply_decode, NULL /* of_multipart_reply_encode() */, 0 },
    [OFPT_BARRIER_REQUEST] = { "barrier-request", 8, true, OF13_UP, NULL, NULL, 0 },
    [OFPT_BARRIER_REPLY] = { "barrier-reply", 8, true, OF13_UP, NULL, NULL, 0 },
    [OFPT_QUEUE_GET_CONFIG_REQUEST] = { "queue-get-config-request", 16, true, OF13, of_queue_config_request_decode, of_queue_config_request_encode, 0 },
    [OFPT_QUEUE_GET_CONFIG_REPLY] = { "queue-get-config-reply", 16, false, OF13, of_queue_config_reply_decode, of_queue_config_reply_encode, 0 },
    [OFPT_ROLE_REQUEST] = { "role-request", 24, true, OF13_UP, role_decode, role_encode, 0 },
    [OFPT_ROLE_REPLY] = { "role-reply", 24, true, OF13_UP, role_decode, role_encode, 0 },
    [OFPT_GET_ASYNC_REQUEST] = { "get-async-request", 8, true, OF13_UP, NULL, NULL, 0 },
    [OFPT_GET_ASYNC_REPLY] = { "get-async-reply", 32, true, OF13, of_async_decode, of_async_encode, 0 },
    [OFPT_SET_ASYNC] = { "set-async", 32, true, OF13, of_async_decode, of_async_encode, 0 },
    [OFPT_METER_MOD] = { "meter-mod", 16, false, OF13_UP, of_meter_mod_decode, of_meter_mod_encode, 0 },
    [OFPT_ROLE_STATUS] = { "role-status", 24, false, OF14, of14_role_status_decode, of14_role_status_encode, 0 },
    [OFPT_TABLE_STATUS] = { "table-status", 24, false, OF14, of14_table_status_decode, of14_table_status_encode, 0 },
    [OFPT_REQUESTFORWARD] = { "requestforward", 16, false, OF14, of14_requestforward_decode, of14_requestforward_encode, 0 },
    [OFPT_BUNDLE_CONTROL] = { "bundle-control", 16, false, OF14, of_bundle_control_decode, of_bundle_control_encode, 0 },
    [OFPT_BUNDLE_ADD_MESSAGE] = { "bundle-add-message", 24, false, OF14, of_bundle_add_decode, of_bundle_add_encode, 0 },
    [OFPT_NX_SET_FLOW_FORMAT] = { "set-flow-format", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_FLOW_MOD_TABLE_ID] = { "flow-mod-table-id", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_SET_PACKET_IN_FORMAT] = { "set-packet-in-format", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_SET_CONTROLLER_ID] = { "set-controller-id", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_MONITOR_CANCEL] = { "monitor-cancel", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_MONITOR_PAUSED] = { "monitor-paused", 0, false, 0, NULL, NULL, 0 },
    [OFPT_NX_MONITOR_RESUMED] = { "monitor-resumed", 0, false, 0, NULL, NULL, 0 },
};

/* Where 1.4 has another layout. */
static const struct of_row rows14[] = {
    [OFPT_PORT_MOD] = { "port-mod", 32, false, OF14, of14_port_mod_decode, of14_port_mod_encode, 0 },
    [OFPT_TABLE_MOD] = { "table-mod", 16, false, OF14, of14_table_mod_decode, of14_table_mod_encode, 0 },
    [OFPT_GET_ASYNC_REPLY] = { "get-async-reply", 8, false, OF14, of14_async_decode, of14_async_encode, 0 },
    [OFPT_SET_ASYNC] = { "set-async", 8, false, OF14, of14_async_decode, of14_async_encode, 0 },
};

/* NULL when the version has no message of that type, or only inside an experimenter message. */
static const struct of_row *find_row(uint8_t version, enum of_type type)
{
    if ((unsigned) type >= OF_N_TYPES || (version >= 32 && type != OFPT_HELLO)) {
        return NULL;
    }
    if (type == OFPT_HELLO) {           /* Hellos of all versions are alike, and a version is agreed on with any (section 6.3.1). */
        return &rows[type];
    }
    if (version == OF10_VERSION && type > OFPT_ECHO_REPLY) {
        return of10_row(type);
    }
    if (version == OF14_VERSION && (unsigned) type < ARRAY_SIZE(rows14) && rows14[type].name) {
        return &rows14[type];
    }
    return rows[type].versions & (1u << version) ? &rows[type] : NULL;
}

bool of_has_form(uint8_t version, enum of_type type)
{
    return find_row(version, type) || of_ext_has(version, type);
}

const char *of_type_name(enum of_type type)
{
    return (unsigned) type < OF_N_TYPES ? rows[type].name : "unknown";
}

/* --- Whole messages --- */

static void set_defaults(struct of_flow_mod *fm)
{
    fm->priority = 0x8000;
    fm->buffer_id = OFP_NO_BUFFER;
    fm->out_port = OFPP_ANY;
    fm->out_group = OFPG_ANY;
}

void of_flow_mod_init(struct of_flow_mod *fm)
{
    memset(fm, 0, sizeof *fm);
    set_defaults(fm);
}

void of_flow_filter_init(struct of_flow_filter *f)
{
    memset(f, 0, sizeof *f);
    f->table_id = OFPTT_ALL;
    f->out_port = OFPP_ANY;
    f->out_group = OFPG_ANY;
    match_init(&f->match);
}

void of_msg_init(struct of_msg *msg, enum of_type type, uint32_t xid)
{
    memset(msg, 0, sizeof *msg);                        /* Matches that match all and empty lists are zeros. */
    msg->version = OF13_VERSION;
    msg->type = type;
    msg->xid = xid;
    msg->is_reply = type == OFPT_MULTIPART_REPLY;
    switch ((unsigned) type) {
    case OFPT_FLOW_MOD:
        set_defaults(&msg->flow_mod);
        break;
    case OFPT_PACKET_IN:
        msg->packet_in.buffer_id = OFP_NO_BUFFER;
        break;
    case OFPT_PACKET_OUT:
        msg->packet_out.buffer_id = OFP_NO_BUFFER;
        msg->packet_out.in_port = OFPP_CONTROLLER;
        break;
    }
}

void of_msg_fini(struct of_msg *msg)
{
    switch ((unsigned) msg->type) {
    case OFPT_ERROR:
        free(msg->error.data);
        break;
    case OFPT_ECHO_REQUEST:
    case OFPT_ECHO_REPLY:
        free(msg->echo.data);
        break;
    case OFPT_EXPERIMENTER:
        free(msg->experimenter.data);
        break;
    case OFPT_FEATURES_REPLY:
        free(msg->features.ports);
        break;
    case OFPT_PACKET_IN:
        free(msg->packet_in.data);
        free(msg->packet_in.userdata);
        break;
    case OFPT_REQUESTFORWARD:
        free(msg->requestforward.data);
        break;
    case OFPT_BUNDLE_ADD_MESSAGE:
        free(msg->bundle_add.data);
        break;
    case OFPT_PACKET_OUT:
        actions_fini(&msg->packet_out.actions);
        free(msg->packet_out.data);
        break;
    case OFPT_FLOW_MOD:
        instructions_fini(&msg->flow_mod.instructions);
        break;
    case OFPT_GROUP_MOD:
        of_buckets_free(msg->group_mod.buckets, msg->group_mod.n_buckets);
        break;
    case OFPT_METER_MOD:
        free(msg->meter_mod.bands);
        break;
    case OFPT_QUEUE_GET_CONFIG_REPLY:
        free(msg->queue_config.v);
        break;
    case OFPT_MULTIPART_REQUEST:
    case OFPT_MULTIPART_REPLY:
        of_multipart_fini(msg);
        break;
    }
    uint8_t version = msg->version;
    enum of_type type = msg->type;
    uint32_t xid = msg->xid;
    memset(msg, 0, sizeof *msg);        /* A second fini finds nothing to free. */
    msg->version = version;
    msg->type = type;
    msg->xid = xid;
}

/* What the header says the message is; OFPBRC_BAD_TYPE or BAD_VERSION when it says nothing that is known. */
static struct of_error find_type(const uint8_t *data, enum of_type *type, const struct of_row **row)
{
    uint8_t version = data[0];
    *type = (enum of_type) data[1];
    if (version != OF10_VERSION && version != OF13_VERSION && version != OF14_VERSION && data[1] > OFPT_ECHO_REPLY) {
        return OF_ERROR(OFPET_BAD_REQUEST, data[1] < OF_N_WIRE_TYPES ? OFPBRC_BAD_VERSION : OFPBRC_BAD_TYPE);
    }
    if (version == OF10_VERSION && !of10_type(data[1], type)) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    }
    if (version >= 32 && *type != OFPT_HELLO) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_VERSION);
    }
    *row = (unsigned) *type < OF_N_WIRE_TYPES ? find_row(version, *type) : NULL;
    return *row ? OF_OK : OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
}

struct of_error of_decode(const uint8_t *data, size_t size, struct of_msg *msg)
{
    memset(msg, 0, offsetof(struct of_msg, xid));
    if (size < OF_HEADER_SIZE) {
        return OF_BAD_LEN;
    }
    enum of_type type;
    const struct of_row *row = NULL;
    struct of_error error = find_type(data, &type, &row);
    if (!of_ok(error)) {
        msg->version = data[0];
        msg->type = type;
        msg->xid = wire_get32(data + 4);
        return error;
    }
    of_msg_init(msg, type, wire_get32(data + 4));
    msg->version = data[0];
    if (wire_get16(data + 2) != size || size < row->size || (row->fixed && size != row->size)) {
        return OF_BAD_LEN;
    }
    if (!row->decode) {
        return OF_OK;
    }
    struct cursor c = cursor_make(data + OF_HEADER_SIZE, size - OF_HEADER_SIZE);
    error = row->decode(&c, msg);
    if (of_ok(error) && c.failed) {
        error = OF_BAD_LEN;
    }
    if (!of_ok(error)) {
        of_msg_fini(msg);
    }
    return error;
}

size_t of_header_open(struct buf *b, uint8_t version, enum of_type type, uint32_t xid)
{
    size_t start = b->size;
    const struct of_row *row = version == OF10_VERSION ? of10_row(type) : NULL;
    buf_put_u8(b, version);
    buf_put_u8(b, row ? row->wire_type : (uint8_t) type);
    buf_put_be16(b, 0);
    buf_put_be32(b, xid);
    return start;
}

void of_header_close(struct buf *b, size_t start)
{
    assert(b->size - start <= OF_MAX_MESSAGE);
    buf_set_be16(b, start + 2, (uint16_t) (b->size - start));
}

void of_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_row *row = find_row(msg->version, msg->type);
    bool ext = (!row || msg->nicira || msg->type == OFPT_PACKET_IN) && of_ext_has(msg->version, msg->type);
    assert(row || ext);
    if (msg->type == OFPT_MULTIPART_REPLY) {
        of_multipart_reply_encode(msg, b);
        return;
    }
    size_t start = of_header_open(b, msg->version, ext ? OFPT_EXPERIMENTER : msg->type, msg->xid);
    if (ext && of_ext_encode(msg, b)) {
        of_header_close(b, start);
        return;
    }
    if (ext) {                          /* A packet-in in the standard format. */
        b->size = start;
        start = of_header_open(b, msg->version, msg->type, msg->xid);
    }
    if (row->encode) {
        row->encode(msg, b);
    }
    of_header_close(b, start);
}

/* Section 7.4.4: the data is "at least 64 bytes of the failed request", all of it when it is shorter. */
void of_error_encode(struct of_error error, const uint8_t *request, size_t size, struct buf *b)
{
    uint8_t version = size >= 1 ? request[0] : OF13_VERSION;
    size_t start = of_header_open(b, version, OFPT_ERROR, size >= OF_HEADER_SIZE ? wire_get32(request + 4) : 0);
    of_error_put(b, version, error);
    buf_put(b, request, MIN(size, 64u));
    of_header_close(b, start);
}
