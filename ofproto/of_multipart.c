/* Multipart requests of 1.3 and 1.4, and the table of multipart types (OpenFlow 1.3.5 section 7.3.5). */
#include "ofproto/of_multipart_codec.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

static struct of_error filter_get(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_filter *f = &msg->multipart.filter;
    match_init(&f->match);
    f->table_id = cursor_u8(c);
    cursor_skip(c, 3);
    f->out_port = cursor_be32(c);
    f->out_group = cursor_be32(c);
    cursor_skip(c, 4);
    f->cookie = cursor_be64(c);
    f->cookie_mask = cursor_be64(c);
    return match_decode(c, &f->match);
}

static void filter_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_filter *f = &msg->multipart.filter;
    buf_put_u8(b, f->table_id);
    buf_put_zeros(b, 3);
    buf_put_be32(b, f->out_port);
    buf_put_be32(b, f->out_group);
    buf_put_zeros(b, 4);
    buf_put_be64(b, f->cookie);
    buf_put_be64(b, f->cookie_mask);
    match_encode(&f->match, b);
}

static struct of_error id_get(struct cursor *c, struct of_msg *msg)
{
    msg->multipart.id = cursor_be32(c);
    cursor_skip(c, 4);
    return OF_OK;
}

static void id_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->multipart.id);
    buf_put_zeros(b, 4);
}

static struct of_error queue_get(struct cursor *c, struct of_msg *msg)
{
    msg->multipart.queue.port_no = cursor_be32(c);
    msg->multipart.queue.queue_id = cursor_be32(c);
    return OF_OK;
}

static void queue_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->multipart.queue.port_no);
    buf_put_be32(b, msg->multipart.queue.queue_id);
}

static struct of_error raw_get(struct cursor *c, struct of_msg *msg)
{
    msg->multipart.raw.v = of_rest_get(c, &msg->multipart.raw.n);
    return msg->multipart.type == OFPMP_TABLE_FEATURES && !of_table_features_framed(msg->multipart.raw.v, msg->multipart.raw.n)
           ? OF_ERROR(OFPET_TABLE_FEATURES_FAILED, OFPTFFC_BAD_LEN) : OF_OK;
}

static void raw_put(const struct of_msg *msg, struct buf *b)
{
    assert(msg->multipart.raw.n <= OF_MAX_MESSAGE - MULTIPART_HEADER_SIZE);
    buf_put(b, msg->multipart.raw.v, msg->multipart.raw.n);
}

/* Request bodies; the replies' are of_multipart_reply.c's. */
#define SINCE_13 (OF13 | OF14)
static const struct of_request requests[] = {
    { "desc", OFPMP_DESC, 0, false, false, NULL, NULL, SINCE_13 },
    { "flow", OFPMP_FLOW, 40, true, false, filter_get, filter_put, SINCE_13 },
    { "aggregate", OFPMP_AGGREGATE, 40, true, false, filter_get, filter_put, SINCE_13 },
    { "table", OFPMP_TABLE, 0, false, false, NULL, NULL, SINCE_13 },
    { "port-stats", OFPMP_PORT_STATS, 8, false, false, id_get, id_put, SINCE_13 },
    { "queue", OFPMP_QUEUE, 8, false, false, queue_get, queue_put, SINCE_13 },
    { "group", OFPMP_GROUP, 8, false, false, id_get, id_put, SINCE_13 },
    { "group-desc", OFPMP_GROUP_DESC, 0, false, false, NULL, NULL, SINCE_13 },
    { "group-features", OFPMP_GROUP_FEATURES, 0, false, false, NULL, NULL, SINCE_13 },
    { "meter", OFPMP_METER, 8, false, false, id_get, id_put, SINCE_13 },
    { "meter-config", OFPMP_METER_CONFIG, 8, false, false, id_get, id_put, SINCE_13 },
    { "meter-features", OFPMP_METER_FEATURES, 0, false, false, NULL, NULL, SINCE_13 },
    { "table-features", OFPMP_TABLE_FEATURES, 0, true, true, raw_get, raw_put, SINCE_13 },
    { "port-desc", OFPMP_PORT_DESC, 0, false, false, NULL, NULL, SINCE_13 },
    { "table-desc", OFPMP_TABLE_DESC, 0, false, false, NULL, NULL, OF14 },
    { "queue-desc", OFPMP_QUEUE_DESC, 8, false, false, queue_get, queue_put, OF14 },
    { "flow-monitor", OFPMP_FLOW_MONITOR, 16, true, false, of_monitor_request_get, of_monitor_request_put, SINCE_13 },
    { "experimenter", OFPMP_EXPERIMENTER, 8, true, true, raw_get, raw_put, SINCE_13 },
};

static const struct of_request *find(uint16_t type)
{
    if (type < ARRAY_SIZE(requests) - 1) {
        return &requests[type];         /* In order of type but for the last. */
    }
    return type == OFPMP_EXPERIMENTER ? &requests[ARRAY_SIZE(requests) - 1] : NULL;
}

static const struct of_request *find_in(const struct of_msg *msg)
{
    if (msg->version == OF10_VERSION) {
        return of10_request(msg->multipart.type, msg->nicira);
    }
    const struct of_request *r = find(msg->multipart.type);
    /* 1.3 has the flow monitor as an extension only. */
    bool known = r && r->versions & (1u << msg->version) && (r->type != OFPMP_FLOW_MONITOR || msg->version >= OF14_VERSION || of_multipart_is_extension(msg));
    return known ? r : NULL;
}

const char *of_multipart_name(uint16_t type)
{
    const struct of_request *r = find(type);
    return r ? r->name : NULL;
}

struct of_error of_multipart_request_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_error error = of_multipart_header_get(c, msg);
    if (!of_ok(error)) {
        return error;
    }
    const struct of_request *r = find_in(msg);
    if (!r) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART);
    }
    if (cursor_left(c) < r->size || (!r->open && cursor_left(c) != r->size)) {
        return OF_BAD_LEN;
    }
    error = r->get ? r->get(c, msg) : OF_OK;
    return of_ok(error) && cursor_left(c) ? OF_BAD_LEN : error;
}

void of_multipart_request_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_request *r = find_in(msg);
    assert(r);
    of_multipart_header_put(msg, b);
    if (r->put) {
        r->put(msg, b);
    }
}

void of_multipart_fini(struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    if (msg->type == OFPT_MULTIPART_REPLY) {
        of_multipart_reply_fini(msg);
        return;
    }
    const struct of_request *r = find_in(msg);
    if (r && r->raw) {
        free(mp->raw.v);
    } else if (r && r->type == OFPMP_FLOW_MONITOR) {
        free(mp->monitors.v);
    }
}

/* --- The header --- */

enum { NXST_FLOW = 0, NXST_AGGREGATE = 1, NXST_FLOW_MONITOR = 2, ONFST_FLOW_MONITOR = 1870 };

bool of_multipart_is_extension(const struct of_msg *msg)
{
    return msg->version == OF10_VERSION ? msg->nicira || msg->multipart.type == OFPMP_FLOW_MONITOR
                                        : msg->version < OF14_VERSION && msg->multipart.type == OFPMP_FLOW_MONITOR;
}

static struct of_error of10_vendor_get(struct cursor *c, struct of_msg *msg)
{
    static const uint16_t types[] = { [NXST_FLOW] = OFPMP_FLOW, [NXST_AGGREGATE] = OFPMP_AGGREGATE, [NXST_FLOW_MONITOR] = OFPMP_FLOW_MONITOR };
    uint32_t vendor = cursor_be32(c);
    if (!c->failed && vendor != NX_VENDOR) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    }
    uint32_t subtype = cursor_be32(c);
    cursor_skip(c, 4);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    if (subtype >= ARRAY_SIZE(types)) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_EXP_TYPE);
    }
    msg->multipart.type = types[subtype];
    msg->nicira = true;
    return OF_OK;
}

struct of_error of_multipart_header_get(struct cursor *c, struct of_msg *msg)
{
    msg->multipart.type = cursor_be16(c);
    msg->multipart.flags = cursor_be16(c);
    if (msg->version == OF10_VERSION) {
        uint16_t type = msg->multipart.type;
        if (type == OFPMP_EXPERIMENTER) {
            return of10_vendor_get(c, msg);
        }
        return type <= OFPMP_QUEUE || type == OFPMP_PORT_DESC ? OF_OK : OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART);
    }
    cursor_skip(c, 4);
    if (msg->version < OF14_VERSION && msg->multipart.type == OFPMP_FLOW_MONITOR) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART);       /* Its number in 1.4; in 1.3 it comes as follows. */
    }
    if (msg->version == OF13_VERSION && msg->multipart.type == OFPMP_EXPERIMENTER && cursor_left(c) >= 8 && wire_get32(c->p) == ONF_VENDOR
        && wire_get32(c->p + 4) == ONFST_FLOW_MONITOR) {
        cursor_skip(c, 8);
        msg->multipart.type = OFPMP_FLOW_MONITOR;
    }
    return OF_OK;
}

void of_multipart_header_put(const struct of_msg *msg, struct buf *b)
{
    static const uint32_t subtypes[] = { [OFPMP_FLOW] = NXST_FLOW, [OFPMP_AGGREGATE] = NXST_AGGREGATE, [OFPMP_FLOW_MONITOR] = NXST_FLOW_MONITOR };
    bool extension = of_multipart_is_extension(msg);
    buf_put_be16(b, extension ? (uint16_t) OFPMP_EXPERIMENTER : msg->multipart.type);
    buf_put_be16(b, msg->multipart.flags);
    if (msg->version != OF10_VERSION) {
        buf_put_zeros(b, 4);
    }
    if (extension) {
        bool nicira = msg->version == OF10_VERSION;
        buf_put_be32(b, nicira ? NX_VENDOR : ONF_VENDOR);
        buf_put_be32(b, nicira ? subtypes[msg->multipart.type] : ONFST_FLOW_MONITOR);
        buf_put_zeros(b, nicira ? 4 : 0);
    }
}
