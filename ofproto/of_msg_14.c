/*
 * Bodies that OpenFlow 1.4 changed or added: properties in port-mod, table-mod and asynchronous configuration,
 * role-status, table-status, request-forward, bundles.
 *
 * A property is type, length (without its padding) and value, padded to 8 bytes (OpenFlow 1.4 section 7.2, "property
 * list").  One that is not known is OFPBPC_BAD_TYPE, since it was sent to have an effect.
 */
#include "ofproto/of_msg_codec.h"

#include <assert.h>
#include "lib/util.h"

#define BAD_PROPERTY(CODE) OF_ERROR(OFPET_BAD_PROPERTY, CODE)

enum { PROP_HEADER_SIZE = 4, PROP_ETHERNET = 0 };
enum { OFPTMPT_EVICTION = 2, OFPTMPT_VACANCY = 3, OFPTMPT_EXPERIMENTER = 0xffff };
enum { ASYNC_EXPERIMENTER_SLAVE = 0xfffe, ASYNC_EXPERIMENTER_MASTER = 0xffff };

struct property { uint16_t type; struct cursor body; };

static struct of_error property_get(struct cursor *c, struct property *p)
{
    p->type = cursor_be16(c);
    uint16_t length = cursor_be16(c);
    if (c->failed || length < PROP_HEADER_SIZE) {
        return BAD_PROPERTY(OFPBPC_BAD_LEN);
    }
    p->body = cursor_sub(c, length - (unsigned) PROP_HEADER_SIZE);
    cursor_skip(c, ROUND_UP(length, 8u) - length);
    return c->failed ? BAD_PROPERTY(OFPBPC_BAD_LEN) : OF_OK;
}

static void property_header(struct buf *b, uint16_t type, uint16_t length)
{
    buf_put_be16(b, type);
    buf_put_be16(b, length);
}

/* --- Port-mod (section 7.3.4.3) --- */

struct of_error of14_port_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_port_mod *pm = &msg->port_mod;
    pm->port_no = cursor_be32(c);
    cursor_skip(c, 4);
    cursor_copy(c, pm->hw_addr.b, 6);
    cursor_skip(c, 2);
    pm->config = cursor_be32(c);
    pm->mask = cursor_be32(c);
    bool seen = false;
    while (!c->failed && cursor_left(c)) {
        struct property p;
        struct of_error error = property_get(c, &p);
        if (!of_ok(error)) {
            return error;
        }
        if (p.type != PROP_ETHERNET) {
            return BAD_PROPERTY(p.type == 0xffff ? OFPBPC_BAD_EXPERIMENTER : OFPBPC_BAD_TYPE);
        }
        if (seen) {
            return BAD_PROPERTY(OFPBPC_DUP_TYPE);
        }
        seen = true;
        pm->advertise = cursor_be32(&p.body);
        if (p.body.failed || cursor_left(&p.body)) {
            return BAD_PROPERTY(OFPBPC_BAD_LEN);
        }
    }
    return OF_OK;
}

void of14_port_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_port_mod *pm = &msg->port_mod;
    buf_put_be32(b, pm->port_no);
    buf_put_zeros(b, 4);
    buf_put(b, pm->hw_addr.b, 6);
    buf_put_zeros(b, 2);
    buf_put_be32(b, pm->config);
    buf_put_be32(b, pm->mask);
    property_header(b, PROP_ETHERNET, 8);
    buf_put_be32(b, pm->advertise);
}

/* --- Tables (sections 7.3.3, 7.3.5.15 and 7.4.5) --- */

struct of_error of_table_properties_get(struct cursor *c, struct of_table_config *t)
{
    while (!c->failed && cursor_left(c)) {
        struct property p;
        struct of_error error = property_get(c, &p);
        if (!of_ok(error)) {
            return error;
        }
        if (p.type == OFPTMPT_EVICTION && !t->has_eviction) {
            t->has_eviction = true;
            t->eviction_flags = cursor_be32(&p.body);
        } else if (p.type == OFPTMPT_VACANCY && !t->has_vacancy) {
            t->has_vacancy = true;
            t->vacancy_down = cursor_u8(&p.body);
            t->vacancy_up = cursor_u8(&p.body);
            t->vacancy = cursor_u8(&p.body);
            cursor_skip(&p.body, 1);
        } else {
            return BAD_PROPERTY(p.type == OFPTMPT_EVICTION || p.type == OFPTMPT_VACANCY ? OFPBPC_DUP_TYPE
                                : p.type == OFPTMPT_EXPERIMENTER ? OFPBPC_BAD_EXPERIMENTER : OFPBPC_BAD_TYPE);
        }
        if (p.body.failed || cursor_left(&p.body)) {
            return BAD_PROPERTY(OFPBPC_BAD_LEN);
        }
        if (t->vacancy_down > 100 || t->vacancy_up > 100 || t->vacancy_down > t->vacancy_up || t->vacancy > 100) {
            return BAD_PROPERTY(OFPBPC_BAD_VALUE);
        }
    }
    return c->failed ? OF_BAD_LEN : OF_OK;
}

void of_table_properties_put(struct buf *b, const struct of_table_config *t)
{
    if (t->has_eviction) {
        property_header(b, OFPTMPT_EVICTION, 8);
        buf_put_be32(b, t->eviction_flags);
    }
    if (t->has_vacancy) {
        property_header(b, OFPTMPT_VACANCY, 8);
        buf_put_u8(b, t->vacancy_down);
        buf_put_u8(b, t->vacancy_up);
        buf_put_u8(b, t->vacancy);
        buf_put_zeros(b, 1);
    }
}

struct of_error of14_table_mod_decode(struct cursor *c, struct of_msg *msg)
{
    msg->table_mod.table_id = cursor_u8(c);
    cursor_skip(c, 3);
    msg->table_mod.config = cursor_be32(c);
    return of_table_properties_get(c, &msg->table_mod);
}

void of14_table_mod_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->table_mod.table_id);
    buf_put_zeros(b, 3);
    buf_put_be32(b, msg->table_mod.config);
    of_table_properties_put(b, &msg->table_mod);
}

/* ofp_table_desc; the cursor is one element. */
struct of_error of_table_desc_get(struct cursor *c, struct of_table_config *t)
{
    cursor_skip(c, 2);
    t->table_id = cursor_u8(c);
    cursor_skip(c, 1);
    t->config = cursor_be32(c);
    return of_table_properties_get(c, t);
}

void of_table_desc_put(struct buf *b, const struct of_table_config *t)
{
    buf_put_u8(b, t->table_id);
    buf_put_zeros(b, 1);
    buf_put_be32(b, t->config);
    of_table_properties_put(b, t);
}

struct of_error of14_table_status_decode(struct cursor *c, struct of_msg *msg)
{
    msg->table_status.reason = cursor_u8(c);
    cursor_skip(c, 7);
    if (!c->failed && (cursor_left(c) < 8 || wire_get16(c->p) != cursor_left(c))) {
        return OF_BAD_LEN;
    }
    return of_table_desc_get(c, &msg->table_status.table);
}

void of14_table_status_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_u8(b, msg->table_status.reason);
    buf_put_zeros(b, 7);
    size_t start = b->size;
    buf_put_be16(b, 0);
    of_table_desc_put(b, &msg->table_status.table);
    buf_set_be16(b, start, (uint16_t) (b->size - start));
}

/* --- Asynchronous configuration (section 7.3.10) --- */

/* In the order of their property types: 2n is the slave's mask, 2n + 1 the master's. */
static void async_masks(struct of_async *a, uint32_t *masks[6])
{
    uint32_t *all[6] = { a->packet_in, a->port_status, a->flow_removed, a->role_status, a->table_status, a->requestforward };
    memcpy(masks, all, sizeof all);
}

struct of_error of14_async_decode(struct cursor *c, struct of_msg *msg)
{
    uint32_t *masks[6];
    async_masks(&msg->async, masks);
    msg->async.given = 0;
    while (!c->failed && cursor_left(c)) {
        struct property p;
        struct of_error error = property_get(c, &p);
        if (!of_ok(error)) {
            return error;
        }
        if (p.type >= 12) {
            return p.type == ASYNC_EXPERIMENTER_SLAVE || p.type == ASYNC_EXPERIMENTER_MASTER ? BAD_PROPERTY(OFPBPC_BAD_EXPERIMENTER)
                                                                                               : BAD_PROPERTY(OFPBPC_BAD_TYPE);
        }
        if (msg->async.given & (1u << p.type)) {
            return BAD_PROPERTY(OFPBPC_DUP_TYPE);
        }
        msg->async.given |= 1u << p.type;
        masks[p.type / 2][p.type % 2 ? 0 : 1] = cursor_be32(&p.body);
        if (p.body.failed || cursor_left(&p.body)) {
            return BAD_PROPERTY(OFPBPC_BAD_LEN);
        }
    }
    return OF_OK;
}

void of14_async_encode(const struct of_msg *msg, struct buf *b)
{
    struct of_async async = msg->async;
    uint32_t *masks[6];
    async_masks(&async, masks);
    for (unsigned type = 0; type < 12; type++) {
        if (msg->async.given & (1u << type)) {
            property_header(b, (uint16_t) type, 8);
            buf_put_be32(b, masks[type / 2][type % 2 ? 0 : 1]);
        }
    }
}

/* --- Role-status, request-forward (sections 7.4.4 and 7.4.6) --- */

struct of_error of14_role_status_decode(struct cursor *c, struct of_msg *msg)
{
    msg->role_status.role = cursor_be32(c);
    msg->role_status.reason = cursor_u8(c);
    cursor_skip(c, 3);
    msg->role_status.generation_id = cursor_be64(c);
    return !c->failed && cursor_left(c) ? BAD_PROPERTY(OFPBPC_BAD_EXPERIMENTER) : OF_OK;
}

void of14_role_status_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->role_status.role);
    buf_put_u8(b, msg->role_status.reason);
    buf_put_zeros(b, 3);
    buf_put_be64(b, msg->role_status.generation_id);
}

struct of_error of14_requestforward_decode(struct cursor *c, struct of_msg *msg)
{
    if (of_frame_length(c->p, cursor_left(c)) != cursor_left(c)) {
        return OF_BAD_LEN;
    }
    msg->requestforward.data = of_rest_get(c, &msg->requestforward.size);
    return OF_OK;
}

void of14_requestforward_encode(const struct of_msg *msg, struct buf *b)
{
    assert(msg->requestforward.size <= OF_MAX_MESSAGE - OF_HEADER_SIZE);
    buf_put(b, msg->requestforward.data, msg->requestforward.size);
}

/* --- Bundles (section 7.3.9) --- */

struct of_error of_bundle_control_decode(struct cursor *c, struct of_msg *msg)
{
    msg->bundle.id = cursor_be32(c);
    msg->bundle.type = cursor_be16(c);
    msg->bundle.flags = cursor_be16(c);
    /* There are experimenter properties only. */
    return !c->failed && cursor_left(c) ? BAD_PROPERTY(OFPBPC_BAD_EXPERIMENTER) : OF_OK;
}

void of_bundle_control_encode(const struct of_msg *msg, struct buf *b)
{
    buf_put_be32(b, msg->bundle.id);
    buf_put_be16(b, msg->bundle.type);
    buf_put_be16(b, msg->bundle.flags);
}

/* The message may be padded where properties follow, and there are experimenter properties only. */
struct of_error of_bundle_add_decode(struct cursor *c, struct of_msg *msg)
{
    msg->bundle_add.id = cursor_be32(c);
    cursor_skip(c, 2);
    msg->bundle_add.flags = cursor_be16(c);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    unsigned length = of_frame_length(c->p, cursor_left(c));
    if (length < OF_HEADER_SIZE || length > cursor_left(c)) {
        return OF_ERROR(OFPET_BUNDLE_FAILED, OFPBFC_MSG_BAD_LEN);
    }
    struct cursor inner = cursor_sub(c, length);
    cursor_skip(c, MIN(cursor_left(c), ROUND_UP(length, 8u) - length));
    if (cursor_left(c)) {
        return BAD_PROPERTY(OFPBPC_BAD_EXPERIMENTER);
    }
    msg->bundle_add.data = of_rest_get(&inner, &msg->bundle_add.size);
    return OF_OK;
}

void of_bundle_add_encode(const struct of_msg *msg, struct buf *b)
{
    assert(msg->bundle_add.size <= OF_MAX_MESSAGE - 24u);
    buf_put_be32(b, msg->bundle_add.id);
    buf_put_zeros(b, 2);
    buf_put_be16(b, msg->bundle_add.flags);
    buf_put(b, msg->bundle_add.data, msg->bundle_add.size);
}
