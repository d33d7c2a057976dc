/* Port descriptions of all versions, port-status and 1.3's port-mod (OpenFlow 1.3.5 sections 7.2.1, 7.4.3 and 7.3.4.3). */
#include "ofproto/of_msg_codec.h"

#include <string.h>

/* The properties that 1.4 puts behind `state`; earlier versions have the same words there, or (1.0) fewer of them. */
enum { PORT_ETHERNET = 0, PORT_ETHERNET_SIZE = 32, PORT14_SIZE = 40 };

/* ofp_port_features: the rates up to 10 Gb/s have the same bits in all versions; 1.0 knows none above, nor any other rate, and has what follows (copper to
 * asymmetric pause) right behind them. */
enum { SAME_FEATURES = 0x7f, FEATURES_BEHIND = 0xf800, FEATURES_SHIFT = 4 };

static uint32_t features_get(struct cursor *c, uint8_t version)
{
    uint32_t features = cursor_be32(c);
    return version == OF10_VERSION ? (features & SAME_FEATURES) | (features << FEATURES_SHIFT & FEATURES_BEHIND) : features;
}

static void features_put(struct buf *b, uint32_t features, uint8_t version)
{
    buf_put_be32(b, version == OF10_VERSION ? (features & SAME_FEATURES) | (features & FEATURES_BEHIND) >> FEATURES_SHIFT : features);
}

static void ethernet_get(struct cursor *c, struct of_port *p, uint8_t version)
{
    p->curr = features_get(c, version);
    p->advertised = features_get(c, version);
    p->supported = features_get(c, version);
    p->peer = features_get(c, version);
    if (version != OF10_VERSION) {
        p->curr_speed = cursor_be32(c);
        p->max_speed = cursor_be32(c);
    }
}

static void properties_get(struct cursor *c, struct of_port *p)
{
    while (!c->failed && cursor_left(c)) {
        uint16_t type = cursor_be16(c), length = cursor_be16(c);
        if (length < 4) {
            c->failed = true;
            return;
        }
        struct cursor body = cursor_sub(c, length - 4u);
        cursor_skip(c, (8u - length % 8u) % 8u);
        if (type == PORT_ETHERNET) {
            cursor_skip(&body, 4);
            ethernet_get(&body, p, OF14_VERSION);
            c->failed |= body.failed;
        }
    }
}

static void name_get(struct cursor *c, struct of_port *p)
{
    cursor_copy(c, p->name, sizeof p->name);
    p->name[sizeof p->name - 1] = '\0';
}

static void name_put(struct buf *b, const struct of_port *p)
{
    size_t length = strnlen(p->name, sizeof p->name - 1);
    buf_put(b, p->name, length);
    buf_put_zeros(b, sizeof p->name - length);
}

void of_port_get(struct cursor *c, struct of_port *p, uint8_t version)
{
    if (version == OF10_VERSION) {
        p->port_no = of10_port_get(cursor_be16(c));
        cursor_copy(c, p->hw_addr.b, 6);
        name_get(c, p);
        p->config = cursor_be32(c);
        p->state = cursor_be32(c);
        ethernet_get(c, p, version);
        return;
    }
    p->port_no = cursor_be32(c);
    uint16_t length = cursor_be16(c);
    cursor_skip(c, 2);
    cursor_copy(c, p->hw_addr.b, 6);
    cursor_skip(c, 2);
    name_get(c, p);
    p->config = cursor_be32(c);
    p->state = cursor_be32(c);
    if (version < OF14_VERSION) {
        ethernet_get(c, p, version);
    } else if (length < PORT14_SIZE) {
        c->failed = true;
    } else {
        struct cursor properties = cursor_sub(c, length - (unsigned) PORT14_SIZE);
        properties_get(&properties, p);
        c->failed |= properties.failed;
    }
}

void of_port_put(struct buf *b, const struct of_port *p, uint8_t version)
{
    if (version == OF10_VERSION) {
        buf_put_be16(b, of10_port_put(p->port_no));
        buf_put(b, p->hw_addr.b, 6);
    } else {
        buf_put_be32(b, p->port_no);
        buf_put_be16(b, version >= OF14_VERSION ? PORT14_SIZE + PORT_ETHERNET_SIZE : 0);
        buf_put_zeros(b, 2);
        buf_put(b, p->hw_addr.b, 6);
        buf_put_zeros(b, 2);
    }
    name_put(b, p);
    buf_put_be32(b, version == OF10_VERSION ? p->config : p->config & ~(uint32_t) OFPPC10_NO_FLOOD);
    /* 1.0 knows the link's state only. */
    buf_put_be32(b, version == OF10_VERSION ? p->state & OFPPS_LINK_DOWN : p->state);
    if (version >= OF14_VERSION) {
        buf_put_be16(b, PORT_ETHERNET);
        buf_put_be16(b, PORT_ETHERNET_SIZE);
        buf_put_zeros(b, 4);
    }
    features_put(b, p->curr, version);
    features_put(b, p->advertised, version);
    features_put(b, p->supported, version);
    features_put(b, p->peer, version);
    if (version != OF10_VERSION) {
        buf_put_be32(b, p->curr_speed);
        buf_put_be32(b, p->max_speed);
    }
}

struct of_error of_port_status_decode(struct cursor *c, struct of_msg *msg)
{
    msg->port_status.reason = cursor_u8(c);
    cursor_skip(c, 7);
    of_port_get(c, &msg->port_status.port, msg->version);
    return c->failed || cursor_left(c) ? OF_BAD_LEN : OF_OK;
}

void of_port_status_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->port_status.reason);
    buf_put_zeros(b, 7);
    of_port_put(b, &msg->port_status.port, msg->version);
}

struct of_error of_port_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_port_mod *pm = &msg->port_mod;
    pm->port_no = cursor_be32(c);
    cursor_skip(c, 4);
    cursor_copy(c, pm->hw_addr.b, 6);
    cursor_skip(c, 2);
    pm->config = cursor_be32(c);
    pm->mask = cursor_be32(c);
    pm->advertise = cursor_be32(c);
    cursor_skip(c, 4);
    return OF_OK;
}

void of_port_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_port_mod *pm = &msg->port_mod;
    buf_put_be32(b, pm->port_no);
    buf_put_zeros(b, 4);
    buf_put(b, pm->hw_addr.b, 6);
    buf_put_zeros(b, 2);
    buf_put_be32(b, pm->config);
    buf_put_be32(b, pm->mask);
    buf_put_be32(b, pm->advertise);
    buf_put_zeros(b, 4);
}
