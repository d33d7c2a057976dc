/* Statistics of OpenFlow 1.0 (section 5.3.5), and the forms that Nicira added: entries with NXM matches, port descriptions. */
#include "ofproto/of10.h"

#include <stdio.h>
#include <string.h>
#include "lib/util.h"
#include "ofproto/nxm.h"
#include "ofproto/of_multipart_codec.h"

/* --- Requests --- */

static struct of_error filter_get(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_filter *f = &msg->multipart.filter;
    of_flow_filter_init(f);
    of10_match_decode(c, &f->match);
    f->table_id = cursor_u8(c);
    cursor_skip(c, 1);
    uint16_t port = cursor_be16(c);
    f->out_port = port == UINT16_MAX ? OFPP_ANY : of10_port_get(port);
    return OF_OK;
}

static void filter_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_filter *f = &msg->multipart.filter;
    of10_match_encode(&f->match, b);
    buf_put_u8(b, f->table_id);
    buf_put_zeros(b, 1);
    buf_put_be16(b, of10_port_put(f->out_port));
}

static struct of_error nx_filter_get(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_filter *f = &msg->multipart.filter;
    of_flow_filter_init(f);
    uint16_t port = cursor_be16(c), match_len = cursor_be16(c);
    f->out_port = port == UINT16_MAX ? OFPP_ANY : of10_port_get(port);
    f->table_id = cursor_u8(c);
    cursor_skip(c, 3);
    return nxm_decode(c, match_len, &f->match, &f->cookie, &f->cookie_mask);
}

static void nx_filter_put(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_filter *f = &msg->multipart.filter;
    buf_put_be16(b, of10_port_put(f->out_port));
    size_t match_len = b->size;
    buf_put_be16(b, 0);
    buf_put_u8(b, f->table_id);
    buf_put_zeros(b, 3);
    buf_set_be16(b, match_len, nxm_encode(&f->match, f->cookie, f->cookie_mask, b));
}

static struct of_error port_get(struct cursor *c, struct of_msg *msg)
{
    uint16_t port = cursor_be16(c);
    msg->multipart.id = port == UINT16_MAX ? OFPP_ANY : of10_port_get(port);
    cursor_skip(c, 6);
    return OF_OK;
}

static void port_put(const struct of_msg *msg, struct buf *b)
{
    buf_put_be16(b, of10_port_put(msg->multipart.id));
    buf_put_zeros(b, 6);
}

/* A port of OFPP_ALL is all of them; later versions have OFPP_ANY for that. */
static struct of_error queue_get(struct cursor *c, struct of_msg *msg)
{
    uint32_t port = of10_port_get(cursor_be16(c));
    msg->multipart.queue.port_no = port == OFPP_ALL ? OFPP_ANY : port;
    cursor_skip(c, 2);
    msg->multipart.queue.queue_id = cursor_be32(c);
    return OF_OK;
}

static void queue_put(const struct of_msg *msg, struct buf *b)
{
    uint32_t port = msg->multipart.queue.port_no;
    buf_put_be16(b, of10_port_put(port == OFPP_ANY ? OFPP_ALL : port));
    buf_put_zeros(b, 2);
    buf_put_be32(b, msg->multipart.queue.queue_id);
}

static const struct of_request requests[] = {
    { "desc", OFPMP_DESC, 0, false, false, NULL, NULL, OF10 },
    { "flow", OFPMP_FLOW, 44, false, false, filter_get, filter_put, OF10 },
    { "aggregate", OFPMP_AGGREGATE, 44, false, false, filter_get, filter_put, OF10 },
    { "table", OFPMP_TABLE, 0, false, false, NULL, NULL, OF10 },
    { "port-stats", OFPMP_PORT_STATS, 8, false, false, port_get, port_put, OF10 },
    { "queue", OFPMP_QUEUE, 8, false, false, queue_get, queue_put, OF10 },
    { "port-desc", OFPMP_PORT_DESC, 0, false, false, NULL, NULL, OF10 },
};
static const struct of_request nx_requests[] = {
    { "flow", OFPMP_FLOW, 8, true, false, nx_filter_get, nx_filter_put, OF10 },
    { "aggregate", OFPMP_AGGREGATE, 8, true, false, nx_filter_get, nx_filter_put, OF10 },
    { "flow-monitor", OFPMP_FLOW_MONITOR, 16, true, false, of_monitor_request_get, of_monitor_request_put, OF10 },
};

const struct of_request *of10_request(uint16_t type, bool nicira)
{
    const struct of_request *rows = nicira || type == OFPMP_FLOW_MONITOR ? nx_requests : requests;
    unsigned n = rows == nx_requests ? ARRAY_SIZE(nx_requests) : ARRAY_SIZE(requests);
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].type == type) {
            return &rows[i];
        }
    }
    return NULL;
}

/* --- Replies --- */

enum { FLOW_SIZE = 88, NX_FLOW_SIZE = 48, OFPFW_ALL = 0x3fffff, TABLE_NAME = 32 };

static struct of_error flow_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_flow_stats *fs = item;
    struct cursor c = of_element(all, 0, FLOW_SIZE);
    cursor_skip(&c, 2);
    fs->table_id = cursor_u8(&c);
    cursor_skip(&c, 1);
    of10_match_decode(&c, &fs->match);
    fs->duration_sec = cursor_be32(&c);
    fs->duration_nsec = cursor_be32(&c);
    fs->priority = cursor_be16(&c);
    fs->idle_timeout = cursor_be16(&c);
    fs->hard_timeout = cursor_be16(&c);
    cursor_skip(&c, 6);
    fs->cookie = cursor_be64(&c);
    fs->packet_count = cursor_be64(&c);
    fs->byte_count = cursor_be64(&c);
    return c.failed ? OF_BAD_LEN : of10_instructions_decode(c, &fs->instructions);
}

static void flow_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_flow_stats *fs = item;
    buf_put_be16(b, 0);
    buf_put_u8(b, fs->table_id);
    buf_put_zeros(b, 1);
    of10_match_encode(&fs->match, b);
    buf_put_be32(b, fs->duration_sec);
    buf_put_be32(b, fs->duration_nsec);
    buf_put_be16(b, fs->priority);
    buf_put_be16(b, fs->idle_timeout);
    buf_put_be16(b, fs->hard_timeout);
    buf_put_zeros(b, 6);
    buf_put_be64(b, fs->cookie);
    buf_put_be64(b, fs->packet_count);
    buf_put_be64(b, fs->byte_count);
    of10_instructions_encode(&fs->instructions, b);
}

static struct of_error nx_flow_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_flow_stats *fs = item;
    struct cursor c = of_element(all, 0, NX_FLOW_SIZE);
    cursor_skip(&c, 2);
    fs->table_id = cursor_u8(&c);
    cursor_skip(&c, 1);
    fs->duration_sec = cursor_be32(&c);
    fs->duration_nsec = cursor_be32(&c);
    fs->priority = cursor_be16(&c);
    fs->idle_timeout = cursor_be16(&c);
    fs->hard_timeout = cursor_be16(&c);
    uint16_t match_len = cursor_be16(&c);
    cursor_skip(&c, 4);
    fs->cookie = cursor_be64(&c);
    fs->packet_count = cursor_be64(&c);
    fs->byte_count = cursor_be64(&c);
    if (c.failed) {
        return OF_BAD_LEN;
    }
    struct of_error error = nxm_decode(&c, match_len, &fs->match, NULL, NULL);
    return of_ok(error) ? of10_instructions_decode(c, &fs->instructions) : error;
}

static void nx_flow_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_flow_stats *fs = item;
    buf_put_be16(b, 0);
    buf_put_u8(b, fs->table_id);
    buf_put_zeros(b, 1);
    buf_put_be32(b, fs->duration_sec);
    buf_put_be32(b, fs->duration_nsec);
    buf_put_be16(b, fs->priority);
    buf_put_be16(b, fs->idle_timeout);
    buf_put_be16(b, fs->hard_timeout);
    size_t match_len = b->size;
    buf_put_zeros(b, 6);        /* And idle_age, hard_age: 0 is "not told". */
    buf_put_be64(b, fs->cookie);
    buf_put_be64(b, fs->packet_count);
    buf_put_be64(b, fs->byte_count);
    buf_set_be16(b, match_len, nxm_encode(&fs->match, 0, 0, b));
    of10_instructions_encode(&fs->instructions, b);
}

static struct of_error table_get(struct cursor *c, void *item, uint8_t version UNUSED)
{
    struct of_table_stats *ts = item;
    ts->table_id = cursor_u8(c);
    cursor_skip(c, 3 + TABLE_NAME + 4);
    ts->max_entries = cursor_be32(c);
    ts->active_count = cursor_be32(c);
    ts->lookup_count = cursor_be64(c);
    ts->matched_count = cursor_be64(c);
    return OF_OK;
}

static void table_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_table_stats *ts = item;
    char name[TABLE_NAME] = "";
    snprintf(name, sizeof name, "table%u", ts->table_id);
    buf_put_u8(b, ts->table_id);
    buf_put_zeros(b, 3);
    buf_put(b, name, sizeof name);
    buf_put_be32(b, OFPFW_ALL);
    buf_put_be32(b, ts->max_entries);
    buf_put_be32(b, ts->active_count);
    buf_put_be64(b, ts->lookup_count);
    buf_put_be64(b, ts->matched_count);
}

static struct of_error port_stats_get(struct cursor *c, void *item, uint8_t version UNUSED)
{
    struct of_port_stats *ps = item;
    ps->port_no = of10_port_get(cursor_be16(c));
    cursor_skip(c, 6);
    of_port_counters_get(c, ps);
    return OF_OK;
}

static void port_stats_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_port_stats *ps = item;
    buf_put_be16(b, of10_port_put(ps->port_no));
    buf_put_zeros(b, 6);
    of_port_counters_put(ps, b);
}

static const struct of_reply replies[] = {
    { .type = OFPMP_DESC, .versions = OF10, .wire_size = 1056, .get_one = of_desc_get, .put_one = of_desc_put },
    { .type = OFPMP_FLOW, .versions = OF10, .item_size = sizeof(struct of_flow_stats), .get = flow_get, .put = flow_put, .fini = of_flow_stats_item_fini },
    { .type = OFPMP_FLOW, .versions = OF10, .nicira = true, .item_size = sizeof(struct of_flow_stats), .get = nx_flow_get, .put = nx_flow_put,
      .fini = of_flow_stats_item_fini },
    { .type = OFPMP_AGGREGATE, .versions = OF10, .wire_size = 24, .get_one = of_aggregate_get, .put_one = of_aggregate_put },
    { .type = OFPMP_AGGREGATE, .versions = OF10, .nicira = true, .wire_size = 24, .get_one = of_aggregate_get, .put_one = of_aggregate_put },
    { .type = OFPMP_TABLE, .versions = OF10, .item_size = sizeof(struct of_table_stats), .wire_size = 64, .get = table_get, .put = table_put },
    { .type = OFPMP_PORT_STATS, .versions = OF10, .item_size = sizeof(struct of_port_stats), .wire_size = 104, .get = port_stats_get, .put = port_stats_put },
    { .type = OFPMP_QUEUE, .versions = OF10, .item_size = sizeof(struct of_queue), .wire_size = 32, .get = of_queue_stats_get, .put = of_queue_stats_put },
    { .type = OFPMP_PORT_DESC, .versions = OF10, .item_size = sizeof(struct of_port), .wire_size = 48, .get = of_port_item_get, .put = of_port_item_put },
    { .type = OFPMP_FLOW_MONITOR, .versions = OF10, .nicira = true, .item_size = sizeof(struct of_monitor_update), .get = of_monitor_update_get,
      .put = of_monitor_update_put, .fini = of_monitor_update_fini },
};

const struct of_reply *of10_reply(uint16_t type, bool nicira)
{
    nicira |= type == OFPMP_FLOW_MONITOR;
    for (unsigned i = 0; i < ARRAY_SIZE(replies); i++) {
        if (replies[i].type == type && replies[i].nicira == nicira) {
            return &replies[i];
        }
    }
    return NULL;
}
