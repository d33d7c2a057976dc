/*
 * Queues on the wire: statistics, descriptions and the configuration that 1.0 and 1.3 ask for, in each version's
 * layout.
 *
 * One struct of_queue serves all three.  Properties that this code does not know (experimenters') are skipped; a rate
 * that is not configured has no property. Specification: OpenFlow 1.0 section 5.3.4, 1.3.5 sections 7.2.2 and 7.3.5.8,
 * 1.4 sections 7.3.5.8 and 7.3.5.19.
 */
#include "ofproto/of_multipart_codec.h"

#include <stdlib.h>
#include "lib/util.h"

enum { OFPQT_MIN_RATE = 1, OFPQT_MAX_RATE = 2 };

/* --- Statistics --- */

static void counters_get(struct cursor *c, struct of_queue *q)
{
    q->tx_bytes = cursor_be64(c);
    q->tx_packets = cursor_be64(c);
    q->tx_errors = cursor_be64(c);
}

static void counters_put(const struct of_queue *q, struct buf *b)
{
    buf_put_be64(b, q->tx_bytes);
    buf_put_be64(b, q->tx_packets);
    buf_put_be64(b, q->tx_errors);
}

static void no_rates(struct of_queue *q)
{
    q->min_rate = q->max_rate = OF_RATE_NONE;
}

struct of_error of_queue_stats_get(struct cursor *c, void *item, uint8_t version)
{
    struct of_queue *q = item;
    struct cursor own;
    no_rates(q);
    if (version >= OF14_VERSION) {
        own = of_element(c, 0, 48);
        c = &own;
        cursor_skip(c, 8);
    }
    q->port_no = version == OF10_VERSION ? of10_port_get(cursor_be16(c)) : cursor_be32(c);
    cursor_skip(c, version == OF10_VERSION ? 2 : 0);
    q->id = cursor_be32(c);
    counters_get(c, q);
    if (version > OF10_VERSION) {
        q->duration_sec = cursor_be32(c);
        q->duration_nsec = cursor_be32(c);
    }
    return c->failed ? OF_BAD_LEN : OF_OK;
}

void of_queue_stats_put(const void *item, struct buf *b, uint8_t version)
{
    const struct of_queue *q = item;
    if (version == OF10_VERSION) {
        buf_put_be16(b, of10_port_put(q->port_no));
        buf_put_zeros(b, 2);
    } else {
        buf_put_zeros(b, version >= OF14_VERSION ? 8 : 0);
        buf_put_be32(b, q->port_no);
    }
    buf_put_be32(b, q->id);
    counters_put(q, b);
    if (version > OF10_VERSION) {
        buf_put_be32(b, q->duration_sec);
        buf_put_be32(b, q->duration_nsec);
    }
}

/* --- Rates --- */

/* Properties to the end of the cursor: a header of 8 bytes and the rate in 8 before 1.4, of 4 and 4 from then on. */
static struct of_error rates_get(struct cursor *c, struct of_queue *q, uint8_t version)
{
    unsigned header = version >= OF14_VERSION ? 4 : 8;
    no_rates(q);
    while (cursor_left(c)) {
        struct cursor p = of_element(c, 2, header);
        uint16_t type = cursor_be16(&p);
        cursor_skip(&p, header - 2);
        if (type == OFPQT_MIN_RATE) {
            q->min_rate = cursor_be16(&p);
        } else if (type == OFPQT_MAX_RATE) {
            q->max_rate = cursor_be16(&p);
        }
        if (c->failed || p.failed) {
            return OF_BAD_LEN;
        }
    }
    return OF_OK;
}

static void rate_put(struct buf *b, uint16_t type, uint16_t rate, uint8_t version)
{
    if (rate == OF_RATE_NONE || (version == OF10_VERSION && type != OFPQT_MIN_RATE)) {
        return;
    }
    buf_put_be16(b, type);
    buf_put_be16(b, version >= OF14_VERSION ? 8 : 16);
    buf_put_zeros(b, version >= OF14_VERSION ? 0 : 4);
    buf_put_be16(b, rate);
    buf_put_zeros(b, version >= OF14_VERSION ? 2 : 6);
}

static void rates_put(struct buf *b, const struct of_queue *q, uint8_t version)
{
    rate_put(b, OFPQT_MIN_RATE, q->min_rate, version);
    rate_put(b, OFPQT_MAX_RATE, q->max_rate, version);
}

struct of_error of_queue_desc_get(struct cursor *c, void *item, uint8_t version)
{
    struct of_queue *q = item;
    struct cursor own = of_element(c, 8, 16);
    q->port_no = cursor_be32(&own);
    q->id = cursor_be32(&own);
    cursor_skip(&own, 8);
    return own.failed ? OF_BAD_LEN : rates_get(&own, q, version);
}

/* Without its length, at offset 8. */
void of_queue_desc_put(const void *item, struct buf *b, uint8_t version)
{
    const struct of_queue *q = item;
    buf_put_be32(b, q->port_no);
    buf_put_be32(b, q->id);
    buf_put_zeros(b, 8);
    rates_put(b, q, version);
}

/* --- The configuration (gone from 1.4) --- */

static uint32_t config_port_get(struct cursor *c, uint8_t version)
{
    return version == OF10_VERSION ? of10_port_get(cursor_be16(c)) : cursor_be32(c);
}

static void config_port_put(struct buf *b, uint32_t port, uint8_t version)
{
    if (version == OF10_VERSION) {
        buf_put_be16(b, of10_port_put(port));
    } else {
        buf_put_be32(b, port);
    }
}

struct of_error of_queue_config_request_decode(struct cursor *c, struct of_msg *msg)
{
    msg->queue_config.port = config_port_get(c, msg->version);
    return OF_OK;
}

void of_queue_config_request_encode(const struct of_msg *msg, struct buf *b)
{
    config_port_put(b, msg->queue_config.port, msg->version);
    buf_put_zeros(b, msg->version == OF10_VERSION ? 2 : 4);
}

/* One ofp_packet_queue; 1.0's has no port of its own. */
static struct of_error packet_queue_get(struct cursor *c, struct of_queue *q, uint32_t port, uint8_t version)
{
    bool of10 = version == OF10_VERSION;
    struct cursor own = of_element(c, of10 ? 4 : 8, of10 ? 8 : 16);
    q->id = cursor_be32(&own);
    q->port_no = of10 ? port : cursor_be32(&own);
    cursor_skip(&own, of10 ? 4 : 8);
    return own.failed ? OF_BAD_LEN : rates_get(&own, q, version);
}

struct of_error of_queue_config_reply_decode(struct cursor *c, struct of_msg *msg)
{
    msg->queue_config.port = config_port_get(c, msg->version);
    cursor_skip(c, msg->version == OF10_VERSION ? 6 : 4);
    for (size_t room = 0; cursor_left(c); ) {
        if (msg->queue_config.n == room) {
            room = room ? 2 * room : 8;
            msg->queue_config.v = xrealloc(msg->queue_config.v, room * sizeof msg->queue_config.v[0]);
        }
        struct of_queue *q = &msg->queue_config.v[msg->queue_config.n++];
        *q = (struct of_queue) { .port_no = 0 };
        struct of_error error = packet_queue_get(c, q, msg->queue_config.port, msg->version);
        if (!of_ok(error)) {
            return error;
        }
    }
    return OF_OK;
}

void of_queue_config_reply_encode(const struct of_msg *msg, struct buf *b)
{
    bool of10 = msg->version == OF10_VERSION;
    config_port_put(b, msg->queue_config.port, msg->version);
    buf_put_zeros(b, of10 ? 6 : 4);
    for (unsigned i = 0; i < msg->queue_config.n; i++) {
        const struct of_queue *q = &msg->queue_config.v[i];
        size_t start = b->size;
        buf_put_be32(b, q->id);
        if (!of10) {
            buf_put_be32(b, q->port_no);
        }
        buf_put_zeros(b, of10 ? 4 : 8);
        rates_put(b, q, msg->version);
        buf_set_be16(b, start + (of10 ? 4 : 8), (uint16_t) (b->size - start));
    }
}
