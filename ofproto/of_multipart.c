/* Multipart requests, and the table of multipart types (OpenFlow 1.3.5 section 7.3.5). */
#include "ofproto/of_multipart_codec.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

static struct of_error filter_get(struct cursor *c, struct of_multipart_msg *mp)
{
    struct of_flow_filter *f = &mp->filter;
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

static void filter_put(const struct of_multipart_msg *mp, struct buf *b)
{
    const struct of_flow_filter *f = &mp->filter;
    buf_put_u8(b, f->table_id);
    buf_put_zeros(b, 3);
    buf_put_be32(b, f->out_port);
    buf_put_be32(b, f->out_group);
    buf_put_zeros(b, 4);
    buf_put_be64(b, f->cookie);
    buf_put_be64(b, f->cookie_mask);
    match_encode(&f->match, b);
}

static struct of_error id_get(struct cursor *c, struct of_multipart_msg *mp)
{
    mp->id = cursor_be32(c);
    cursor_skip(c, 4);
    return OF_OK;
}

static void id_put(const struct of_multipart_msg *mp, struct buf *b)
{
    buf_put_be32(b, mp->id);
    buf_put_zeros(b, 4);
}

static struct of_error queue_get(struct cursor *c, struct of_multipart_msg *mp)
{
    mp->queue.port_no = cursor_be32(c);
    mp->queue.queue_id = cursor_be32(c);
    return OF_OK;
}

static void queue_put(const struct of_multipart_msg *mp, struct buf *b)
{
    buf_put_be32(b, mp->queue.port_no);
    buf_put_be32(b, mp->queue.queue_id);
}

static struct of_error raw_get(struct cursor *c, struct of_multipart_msg *mp)
{
    mp->raw.v = of_rest_get(c, &mp->raw.n);
    return mp->type == OFPMP_TABLE_FEATURES && !of_table_features_framed(mp->raw.v, mp->raw.n)
           ? OF_ERROR(OFPET_TABLE_FEATURES_FAILED, OFPTFFC_BAD_LEN) : OF_OK;
}

static void raw_put(const struct of_multipart_msg *mp, struct buf *b)
{
    assert(mp->raw.n <= OF_MAX_MESSAGE - MULTIPART_HEADER_SIZE);
    buf_put(b, mp->raw.v, mp->raw.n);
}

/* Request bodies; the replies' are of_multipart_reply.c's. */
static const struct request {
    const char *name;
    uint16_t type, size;        /* size: of the body, the least when `open`. */
    bool open, raw;
    struct of_error (*get)(struct cursor *, struct of_multipart_msg *);
    void (*put)(const struct of_multipart_msg *, struct buf *);
} requests[] = {
    { "desc", OFPMP_DESC, 0, false, false, NULL, NULL },
    { "flow", OFPMP_FLOW, 40, true, false, filter_get, filter_put },
    { "aggregate", OFPMP_AGGREGATE, 40, true, false, filter_get, filter_put },
    { "table", OFPMP_TABLE, 0, false, false, NULL, NULL },
    { "port-stats", OFPMP_PORT_STATS, 8, false, false, id_get, id_put },
    { "queue", OFPMP_QUEUE, 8, false, false, queue_get, queue_put },
    { "group", OFPMP_GROUP, 8, false, false, id_get, id_put },
    { "group-desc", OFPMP_GROUP_DESC, 0, false, false, NULL, NULL },
    { "group-features", OFPMP_GROUP_FEATURES, 0, false, false, NULL, NULL },
    { "meter", OFPMP_METER, 8, false, false, id_get, id_put },
    { "meter-config", OFPMP_METER_CONFIG, 8, false, false, id_get, id_put },
    { "meter-features", OFPMP_METER_FEATURES, 0, false, false, NULL, NULL },
    { "table-features", OFPMP_TABLE_FEATURES, 0, true, true, raw_get, raw_put },
    { "port-desc", OFPMP_PORT_DESC, 0, false, false, NULL, NULL },
    { "experimenter", OFPMP_EXPERIMENTER, 8, true, true, raw_get, raw_put },
};

static const struct request *find(uint16_t type)
{
    if (type < ARRAY_SIZE(requests) - 1) {
        return &requests[type];         /* In order of type but for the last. */
    }
    return type == OFPMP_EXPERIMENTER ? &requests[ARRAY_SIZE(requests) - 1] : NULL;
}

const char *of_multipart_name(uint16_t type)
{
    const struct request *r = find(type);
    return r ? r->name : NULL;
}

struct of_error of_multipart_request_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    mp->type = cursor_be16(c);
    mp->flags = cursor_be16(c);
    cursor_skip(c, 4);
    const struct request *r = find(mp->type);
    if (!r) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART);
    }
    if (cursor_left(c) < r->size || (!r->open && cursor_left(c) != r->size)) {
        return OF_BAD_LEN;
    }
    struct of_error error = r->get ? r->get(c, mp) : OF_OK;
    return of_ok(error) && cursor_left(c) ? OF_BAD_LEN : error;
}

void of_multipart_request_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_multipart_msg *mp = &msg->multipart;
    const struct request *r = find(mp->type);
    assert(r);
    buf_put_be16(b, mp->type);
    buf_put_be16(b, mp->flags);
    buf_put_zeros(b, 4);
    if (r->put) {
        r->put(mp, b);
    }
}

void of_multipart_fini(struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    if (msg->type == OFPT_MULTIPART_REPLY) {
        of_multipart_reply_fini(mp);
        return;
    }
    const struct request *r = find(mp->type);
    if (r && r->raw) {
        free(mp->raw.v);
    }
}
