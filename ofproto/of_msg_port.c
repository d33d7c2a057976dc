/* Port descriptions, port-status and port-mod bodies (OpenFlow 1.3.5 sections 7.2.1, 7.4.3 and 7.3.4.3). */
#include "ofproto/of_msg_codec.h"

#include <string.h>

void of_port_get(struct cursor *c, struct of_port *p)
{
    p->port_no = cursor_be32(c);
    cursor_skip(c, 4);
    cursor_copy(c, p->hw_addr.b, 6);
    cursor_skip(c, 2);
    cursor_copy(c, p->name, sizeof p->name);
    p->name[sizeof p->name - 1] = '\0';
    p->config = cursor_be32(c);
    p->state = cursor_be32(c);
    p->curr = cursor_be32(c);
    p->advertised = cursor_be32(c);
    p->supported = cursor_be32(c);
    p->peer = cursor_be32(c);
    p->curr_speed = cursor_be32(c);
    p->max_speed = cursor_be32(c);
}

void of_port_put(struct buf *b, const struct of_port *p)
{
    buf_put_be32(b, p->port_no);
    buf_put_zeros(b, 4);
    buf_put(b, p->hw_addr.b, 6);
    buf_put_zeros(b, 2);
    size_t length = strnlen(p->name, sizeof p->name - 1);
    buf_put(b, p->name, length);
    buf_put_zeros(b, sizeof p->name - length);
    buf_put_be32(b, p->config);
    buf_put_be32(b, p->state);
    buf_put_be32(b, p->curr);
    buf_put_be32(b, p->advertised);
    buf_put_be32(b, p->supported);
    buf_put_be32(b, p->peer);
    buf_put_be32(b, p->curr_speed);
    buf_put_be32(b, p->max_speed);
}

struct of_error of_port_status_decode(struct cursor *c, struct of_msg *msg)
{
    msg->port_status.reason = cursor_u8(c);
    cursor_skip(c, 7);
    of_port_get(c, &msg->port_status.port);
    return OF_OK;
}

void of_port_status_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->port_status.reason);
    buf_put_zeros(b, 7);
    of_port_put(b, &msg->port_status.port);
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
