/*
 * Multipart replies of 1.3 and 1.4 (OpenFlow 1.3.5 section 7.3.5): one row per type.
 *
 * Most bodies are arrays.  The generic code sees them as (pointer, count) through the `raw` member of the union, whose
 * layout all the arrays share; a row gives the size of one element and its codec.  The encoder appends element by
 * element and begins a new message with the element that no longer fits.
 */
#include "ofproto/of_multipart_codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define TABLE_FEATURES_SIZE 64u
#define EXPERIMENTER_HEADER_SIZE 8u

struct cursor of_element(struct cursor *c, unsigned offset, unsigned min)
{
    size_t length = cursor_left(c) >= min ? wire_get16(c->p + offset) : 0;
    return length >= min ? cursor_sub(c, length) : (struct cursor) { NULL, NULL, true };
}

/* --- Elements --- */

static struct of_error flow_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_flow_stats *fs = item;
    struct cursor c = of_element(all, 0, 56);
    cursor_skip(&c, 2);
    fs->table_id = cursor_u8(&c);
    cursor_skip(&c, 1);
    fs->duration_sec = cursor_be32(&c);
    fs->duration_nsec = cursor_be32(&c);
    fs->priority = cursor_be16(&c);
    fs->idle_timeout = cursor_be16(&c);
    fs->hard_timeout = cursor_be16(&c);
    fs->flags = cursor_be16(&c);
    fs->importance = cursor_be16(&c);   /* Padding before 1.4. */
    if (version < OF14_VERSION) {
        fs->importance = 0;
    }
    cursor_skip(&c, 2);
    fs->cookie = cursor_be64(&c);
    fs->packet_count = cursor_be64(&c);
    fs->byte_count = cursor_be64(&c);
    if (c.failed) {
        return OF_BAD_LEN;
    }
    struct of_error error = match_decode(&c, &fs->match);
    return of_ok(error) ? instructions_decode(c, &fs->instructions) : error;
}

static void flow_put(const void *item, struct buf *b, uint8_t version UNUSED)
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
    buf_put_be16(b, fs->flags);
    buf_put_be16(b, version >= OF14_VERSION ? fs->importance : 0);
    buf_put_zeros(b, 2);
    buf_put_be64(b, fs->cookie);
    buf_put_be64(b, fs->packet_count);
    buf_put_be64(b, fs->byte_count);
    match_encode(&fs->match, b);
    instructions_encode(&fs->instructions, b);
}

void of_flow_stats_item_fini(void *item)
{
    instructions_fini(&((struct of_flow_stats *) item)->instructions);
}

static struct of_error table_get(struct cursor *c, void *item, uint8_t version UNUSED)
{
    struct of_table_stats *ts = item;
    ts->table_id = cursor_u8(c);
    cursor_skip(c, 3);
    ts->active_count = cursor_be32(c);
    ts->lookup_count = cursor_be64(c);
    ts->matched_count = cursor_be64(c);
    return OF_OK;
}

static void table_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_table_stats *ts = item;
    buf_put_u8(b, ts->table_id);
    buf_put_zeros(b, 3);
    buf_put_be32(b, ts->active_count);
    buf_put_be64(b, ts->lookup_count);
    buf_put_be64(b, ts->matched_count);
}

#define PORT_COUNTERS(X) \
    X(rx_packets) X(tx_packets) X(rx_bytes) X(tx_bytes) X(rx_dropped) X(tx_dropped) X(rx_errors) X(tx_errors)
#define ETHERNET_COUNTERS(X) X(rx_frame_err) X(rx_over_err) X(rx_crc_err) X(collisions)

void of_port_counters_get(struct cursor *c, struct of_port_stats *ps)
{
#define X(NAME) ps->NAME = cursor_be64(c);
    PORT_COUNTERS(X)
    ETHERNET_COUNTERS(X)
#undef X
}

void of_port_counters_put(const struct of_port_stats *ps, struct buf *b)
{
#define X(NAME) buf_put_be64(b, ps->NAME);
    PORT_COUNTERS(X)
    ETHERNET_COUNTERS(X)
#undef X
}

static struct of_error port_stats_get(struct cursor *c, void *item, uint8_t version UNUSED)
{
    struct of_port_stats *ps = item;
    ps->port_no = cursor_be32(c);
    cursor_skip(c, 4);
    of_port_counters_get(c, ps);
    ps->duration_sec = cursor_be32(c);
    ps->duration_nsec = cursor_be32(c);
    return OF_OK;
}

static void port_stats_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_port_stats *ps = item;
    buf_put_be32(b, ps->port_no);
    buf_put_zeros(b, 4);
    of_port_counters_put(ps, b);
    buf_put_be32(b, ps->duration_sec);
    buf_put_be32(b, ps->duration_nsec);
}

/* 1.4 has the Ethernet counters in a property. */
enum { PORT14_STATS_SIZE = 80, STATS_ETHERNET = 0, STATS_ETHERNET_SIZE = 40 };

static struct of_error port14_stats_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct of_port_stats *ps = item;
    struct cursor c = of_element(all, 0, PORT14_STATS_SIZE);
    cursor_skip(&c, 4);
    ps->port_no = cursor_be32(&c);
    ps->duration_sec = cursor_be32(&c);
    ps->duration_nsec = cursor_be32(&c);
#define X(NAME) ps->NAME = cursor_be64(&c);
    PORT_COUNTERS(X)
    while (!c.failed && cursor_left(&c)) {
        uint16_t type = cursor_be16(&c), length = cursor_be16(&c);
        struct cursor body = length >= 4 ? cursor_sub(&c, length - 4u) : (struct cursor) { NULL, NULL, true };
        cursor_skip(&c, (8u - length % 8u) % 8u);
        if (type == STATS_ETHERNET && length == STATS_ETHERNET_SIZE && !c.failed) {
            struct cursor *pc = &body;
            cursor_skip(pc, 4);
#undef X
#define X(NAME) ps->NAME = cursor_be64(pc);
            ETHERNET_COUNTERS(X)
#undef X
        } else if (length < 4) {
            return OF_BAD_LEN;
        }
    }
    return c.failed ? OF_BAD_LEN : OF_OK;
}

static void port14_stats_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    const struct of_port_stats *ps = item;
    buf_put_zeros(b, 4);
    buf_put_be32(b, ps->port_no);
    buf_put_be32(b, ps->duration_sec);
    buf_put_be32(b, ps->duration_nsec);
#define X(NAME) buf_put_be64(b, ps->NAME);
    PORT_COUNTERS(X)
    buf_put_be16(b, STATS_ETHERNET);
    buf_put_be16(b, STATS_ETHERNET_SIZE);
    buf_put_zeros(b, 4);
    ETHERNET_COUNTERS(X)
#undef X
}

struct of_error of_port_item_get(struct cursor *c, void *item, uint8_t version)
{
    of_port_get(c, item, version);
    return OF_OK;
}

void of_port_item_put(const void *item, struct buf *b, uint8_t version)
{
    of_port_put(b, item, version);
}

static struct of_error table_desc_get(struct cursor *all, void *item, uint8_t version UNUSED)
{
    struct cursor c = of_element(all, 0, 8);
    return c.failed ? OF_BAD_LEN : of_table_desc_get(&c, item);
}

static void table_desc_put(const void *item, struct buf *b, uint8_t version UNUSED)
{
    buf_put_be16(b, 0);
    of_table_desc_put(b, item);
}

/* --- Single structures --- */

static void text_get(struct cursor *c, char *out, size_t size)
{
    cursor_copy(c, out, size);
    out[size - 1] = '\0';
}

static void text_put(const char *in, size_t size, struct buf *b)
{
    size_t length = strnlen(in, size - 1);
    buf_put(b, in, length);
    buf_put_zeros(b, size - length);
}

void of_desc_get(struct cursor *c, struct of_multipart_msg *mp)
{
    struct of_desc *d = mp->desc = XNEW(struct of_desc);
    text_get(c, d->mfr, sizeof d->mfr);
    text_get(c, d->hw, sizeof d->hw);
    text_get(c, d->sw, sizeof d->sw);
    text_get(c, d->serial, sizeof d->serial);
    text_get(c, d->dp, sizeof d->dp);
}

void of_desc_put(const struct of_multipart_msg *mp, struct buf *b)
{
    const struct of_desc *d = mp->desc;
    text_put(d->mfr, sizeof d->mfr, b);
    text_put(d->hw, sizeof d->hw, b);
    text_put(d->sw, sizeof d->sw, b);
    text_put(d->serial, sizeof d->serial, b);
    text_put(d->dp, sizeof d->dp, b);
}

void of_aggregate_get(struct cursor *c, struct of_multipart_msg *mp)
{
    mp->aggregate.packet_count = cursor_be64(c);
    mp->aggregate.byte_count = cursor_be64(c);
    mp->aggregate.flow_count = cursor_be32(c);
}

void of_aggregate_put(const struct of_multipart_msg *mp, struct buf *b)
{
    buf_put_be64(b, mp->aggregate.packet_count);
    buf_put_be64(b, mp->aggregate.byte_count);
    buf_put_be32(b, mp->aggregate.flow_count);
    buf_put_zeros(b, 4);
}

static void group_features_get(struct cursor *c, struct of_multipart_msg *mp)
{
    struct of_group_features *gf = &mp->group_features;
    gf->types = cursor_be32(c);
    gf->capabilities = cursor_be32(c);
    for (unsigned i = 0; i < 4; i++) {
        gf->max_groups[i] = cursor_be32(c);
    }
    for (unsigned i = 0; i < 4; i++) {
        gf->actions[i] = cursor_be32(c);
    }
}

static void group_features_put(const struct of_multipart_msg *mp, struct buf *b)
{
    const struct of_group_features *gf = &mp->group_features;
    buf_put_be32(b, gf->types);
    buf_put_be32(b, gf->capabilities);
    for (unsigned i = 0; i < 4; i++) {
        buf_put_be32(b, gf->max_groups[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        buf_put_be32(b, gf->actions[i]);
    }
}

static void meter_features_get(struct cursor *c, struct of_multipart_msg *mp)
{
    mp->meter_features.max_meter = cursor_be32(c);
    mp->meter_features.band_types = cursor_be32(c);
    mp->meter_features.capabilities = cursor_be32(c);
    mp->meter_features.max_bands = cursor_u8(c);
    mp->meter_features.max_color = cursor_u8(c);
}

static void meter_features_put(const struct of_multipart_msg *mp, struct buf *b)
{
    buf_put_be32(b, mp->meter_features.max_meter);
    buf_put_be32(b, mp->meter_features.band_types);
    buf_put_be32(b, mp->meter_features.capabilities);
    buf_put_u8(b, mp->meter_features.max_bands);
    buf_put_u8(b, mp->meter_features.max_color);
    buf_put_zeros(b, 2);
}

/* --- The rows --- */

#define SINCE_13 (OF13 | OF14)
#define ARRAY(TYPE, VERSIONS, STRUCT, SIZE, OFFSET, NAME, FINI) \
    { .type = OFPMP_##TYPE, .versions = VERSIONS, .item_size = sizeof(STRUCT), .wire_size = SIZE, .length_offset = OFFSET, .get = NAME##_get, .put = NAME##_put, .fini = FINI }
#define SINGLE(TYPE, SIZE, NAME) { .type = OFPMP_##TYPE, .versions = SINCE_13, .wire_size = SIZE, .get_one = NAME##_get, .put_one = NAME##_put }
#define RAW(TYPE, VERSIONS) { .type = OFPMP_##TYPE, .versions = VERSIONS, .item_size = 1 }
static const struct of_reply replies[] = {
    SINGLE(DESC, 1056, of_desc),
    ARRAY(FLOW, SINCE_13, struct of_flow_stats, 0, 0, flow, of_flow_stats_item_fini),
    SINGLE(AGGREGATE, 24, of_aggregate),
    ARRAY(TABLE, SINCE_13, struct of_table_stats, 24, 0, table, NULL),
    ARRAY(PORT_STATS, OF13, struct of_port_stats, 112, 0, port_stats, NULL),
    ARRAY(PORT_STATS, OF14, struct of_port_stats, 0, 0, port14_stats, NULL),
    ARRAY(QUEUE, OF13, struct of_queue, 40, 0, of_queue_stats, NULL),
    ARRAY(QUEUE, OF14, struct of_queue, 0, 0, of_queue_stats, NULL),
    ARRAY(GROUP, SINCE_13, struct of_group_stats, 0, 0, of_group_item, of_group_item_fini),
    ARRAY(GROUP_DESC, SINCE_13, struct of_group_desc, 0, 0, of_group_desc_item, of_group_desc_item_fini),
    SINGLE(GROUP_FEATURES, 40, group_features),
    ARRAY(METER, SINCE_13, struct of_meter_stats, 0, 4, of_meter_item, of_meter_item_fini),
    ARRAY(METER_CONFIG, SINCE_13, struct of_meter_mod, 0, 0, of_meter_config_item, of_meter_config_item_fini),
    SINGLE(METER_FEATURES, 16, meter_features),
    RAW(TABLE_FEATURES, SINCE_13),
    ARRAY(PORT_DESC, OF13, struct of_port, 64, 0, of_port_item, NULL),
    ARRAY(PORT_DESC, OF14, struct of_port, 0, 4, of_port_item, NULL),
    ARRAY(TABLE_DESC, OF14, struct of_table_config, 0, 0, table_desc, NULL),
    ARRAY(QUEUE_DESC, OF14, struct of_queue, 0, 8, of_queue_desc, NULL),
    ARRAY(FLOW_MONITOR, SINCE_13, struct of_monitor_update, 0, 0, of_monitor_update, of_monitor_update_fini),
    RAW(EXPERIMENTER, SINCE_13),
};

static const struct of_reply *find(const struct of_msg *msg)
{
    if (msg->version == OF10_VERSION) {
        return of10_reply(msg->multipart.type, msg->nicira);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(replies); i++) {
        if (replies[i].type == msg->multipart.type && replies[i].versions & (1u << msg->version)) {
            return &replies[i];
        }
    }
    return NULL;
}

bool of_table_features_framed(const uint8_t *data, size_t size)
{
    while (size) {
        size_t length = size >= TABLE_FEATURES_SIZE ? wire_get16(data) : 0;
        if (length < TABLE_FEATURES_SIZE || length % 8 || length > size) {
            return false;
        }
        data += length;
        size -= length;
    }
    return true;
}

static struct of_error raw_get(struct cursor *c, struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    mp->raw.v = of_rest_get(c, &mp->raw.n);
    bool ok = mp->type == OFPMP_TABLE_FEATURES ? of_table_features_framed(mp->raw.v, mp->raw.n)
            : mp->raw.n >= EXPERIMENTER_HEADER_SIZE;
    return ok ? OF_OK : OF_BAD_LEN;
}

static struct of_error array_get(struct cursor *c, const struct of_reply *r, struct of_multipart_msg *mp, uint8_t version)
{
    size_t room = 0;
    while (cursor_left(c)) {
        if (mp->raw.n == room) {
            room = room ? 2 * room : r->wire_size ? cursor_left(c) / r->wire_size + 1 : 8;
            mp->raw.v = xrealloc(mp->raw.v, room * r->item_size);
        }
        void *item = mp->raw.v + mp->raw.n * r->item_size;
        memset(item, 0, r->item_size);
        mp->raw.n++;                    /* Counted before it is whole, so that an error frees what it has. */
        struct of_error error = r->get(c, item, version);
        if (!of_ok(error)) {
            return error;
        }
        if (c->failed) {
            return OF_BAD_LEN;
        }
    }
    return OF_OK;
}

struct of_error of_multipart_reply_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    struct of_error error = of_multipart_header_get(c, msg);
    if (!of_ok(error)) {
        return error;
    }
    const struct of_reply *r = find(msg);
    if (!r) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART);
    }
    if (r->get_one) {
        if (cursor_left(c) != r->wire_size) {
            return OF_BAD_LEN;
        }
        r->get_one(c, mp);
        return OF_OK;
    }
    return r->get ? array_get(c, r, mp, msg->version) : raw_get(c, msg);
}

void of_multipart_reply_fini(struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    const struct of_reply *r = NULL;     /* Of whatever version: in memory they are the same. */
    for (unsigned i = 0; i < ARRAY_SIZE(replies) && !r; i++) {
        r = replies[i].type == mp->type ? &replies[i] : NULL;
    }
    if (mp->type == OFPMP_DESC) {
        free(mp->desc);
    } else if (r && r->item_size) {
        for (unsigned i = 0; r->fini && i < mp->raw.n; i++) {
            r->fini(mp->raw.v + i * r->item_size);
        }
        free(mp->raw.v);
    }
}

/* --- Segments --- */

struct segment { const struct of_msg *msg; struct buf *b; size_t start, header_size; };

static void segment_open(struct segment *s)
{
    s->start = of_header_open(s->b, s->msg->version, OFPT_MULTIPART_REPLY, s->msg->xid);
    of_multipart_header_put(s->msg, s->b);
    s->header_size = s->b->size - s->start;
}

/* Called with an element just appended from `item` on: moves it into a new segment when this one has become too long. */
static void segment_check(struct segment *s, size_t item)
{
    struct buf *b = s->b;
    if (b->size - s->start <= OF_MAX_MESSAGE) {
        return;
    }
    size_t size = b->size - item;
    assert(size <= OF_MAX_MESSAGE - s->header_size);    /* OF_MAX_ACTION_BYTES sees to that. */
    buf_put_uninit(b, s->header_size);
    memmove(b->data + item + s->header_size, b->data + item, size);
    b->size = item;
    buf_set_be16(b, s->start + 10, s->msg->multipart.flags | OFPMPF_MORE);
    of_header_close(b, s->start);
    segment_open(s);
    b->size += size;
}

static void raw_put(struct segment *s, const struct of_multipart_msg *mp)
{
    bool experimenter = mp->type == OFPMP_EXPERIMENTER;
    size_t at = experimenter ? EXPERIMENTER_HEADER_SIZE : 0;     /* Every segment names the experimenter again. */
    assert(mp->raw.n >= at);
    do {
        size_t left = mp->raw.n - at, item = s->b->size;
        size_t n = experimenter ? MIN(left, OF_MAX_MESSAGE - MULTIPART_HEADER_SIZE - EXPERIMENTER_HEADER_SIZE) : left ? wire_get16(mp->raw.v + at) : 0;
        n = MIN(n, left);
        if (experimenter) {
            buf_put(s->b, mp->raw.v, EXPERIMENTER_HEADER_SIZE);
        }
        if (n) {                        /* An empty body has no bytes to point to. */
            buf_put(s->b, mp->raw.v + at, n);
        }
        segment_check(s, item);
        assert(n || !left);
        at += n;
    } while (at < mp->raw.n);
}

void of_multipart_reply_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_multipart_msg *mp = &msg->multipart;
    const struct of_reply *r = find(msg);
    assert(r);
    struct segment s = { msg, b, 0, 0 };
    segment_open(&s);
    if (r->put_one) {
        r->put_one(mp, b);
    } else if (!r->put) {
        raw_put(&s, mp);
    } else {
        for (unsigned i = 0; i < mp->raw.n; i++) {
            size_t item = b->size;
            r->put(mp->raw.v + i * r->item_size, b, msg->version);
            if (!r->wire_size) {
                assert(b->size - item <= UINT16_MAX);
                buf_set_be16(b, item + r->length_offset, (uint16_t) (b->size - item));
            }
            segment_check(&s, item);
        }
    }
    of_header_close(b, s.start);
}
