/*
 * Flow monitors on the wire: OpenFlow 1.4 section 7.3.5.17, and the same as Nicira's extension to 1.0 and the ONF's to
 * 1.3, which are laid out alike but for the match: Nicira's is bare fields, the ONF's is an ofp_match with its length,
 * without the padding, said once more before it.
 *
 * The forms differ in their numbers: Nicira's flags have no NO_ABBREV (and OWN one bit lower), its events begin with
 * ADDED, and one request may hold several monitors.
 */
#include "ofproto/of_multipart_codec.h"

#include <stdlib.h>
#include "lib/util.h"
#include "ofproto/nxm.h"
#include "ofproto/of10.h"

enum { NXFMF_OWN = 32, NX_FLAGS = OFPFMF_INITIAL | OFPFMF_ADD | OFPFMF_REMOVED | OFPFMF_MODIFY | OFPFMF_INSTRUCTIONS };
enum { UPDATE_HEADER_SIZE = 4, ABBREV_SIZE = 8, FULL_SIZE = 24 };
enum { NXFME_ADDED, NXFME_DELETED, NXFME_MODIFIED, NXFME_ABBREV };

static struct of_error bad_flags(void)
{
    return OF_ERROR(OFPET_FLOW_MONITOR_FAILED, OFPMOFC_BAD_FLAGS);
}

/* --- Requests --- */

static struct of_error request14_get(struct cursor *c, struct of_monitor *m)
{
    m->id = cursor_be32(c);
    m->out_port = cursor_be32(c);
    m->out_group = cursor_be32(c);
    m->flags = cursor_be16(c);
    m->table_id = cursor_u8(c);
    m->command = cursor_u8(c);
    if (m->command > OFPFMC_DELETE) {
        return OF_ERROR(OFPET_FLOW_MONITOR_FAILED, OFPMOFC_BAD_COMMAND);
    }
    if (m->flags & ~(NX_FLAGS | OFPFMF_NO_ABBREV | OFPFMF_ONLY_OWN)) {
        return bad_flags();
    }
    return match_decode(c, &m->match);
}

/* Nicira's OWN asks for the whole of what this controller itself changes, instead of abbreviations: that is NO_ABBREV. */
static struct of_error nicira_flags_get(uint16_t flags, struct of_monitor *m)
{
    if (flags & ~(NX_FLAGS | NXFMF_OWN)) {
        return bad_flags();
    }
    m->flags = (uint16_t) ((flags & NX_FLAGS) | (flags & NXFMF_OWN ? OFPFMF_NO_ABBREV : 0));
    return OF_OK;
}

static uint16_t nicira_flags_put(const struct of_monitor *m)
{
    return (uint16_t) ((m->flags & NX_FLAGS) | (m->flags & OFPFMF_NO_ABBREV ? NXFMF_OWN : 0));
}

/* The match where its length stands apart. */
static struct of_error sized_match_get(struct cursor *c, uint16_t match_len, struct match *m, uint8_t version)
{
    if (version == OF10_VERSION) {
        return nxm_decode(c, match_len, m, NULL, NULL);
    }
    if (cursor_left(c) < 4 || wire_get16(c->p + 2) != match_len) {
        return OF_ERROR(OFPET_BAD_MATCH, OFPBMC_BAD_LEN);
    }
    return match_decode(c, m);
}

static uint16_t sized_match_put(const struct match *m, struct buf *b, uint8_t version)
{
    if (version == OF10_VERSION) {
        return nxm_encode(m, 0, 0, b);
    }
    size_t start = b->size;
    match_encode(m, b);
    return wire_get16(b->data + start + 2);
}

static struct of_error request10_get(struct cursor *c, struct of_monitor *m)
{
    m->id = cursor_be32(c);
    struct of_error error = nicira_flags_get(cursor_be16(c), m);
    uint16_t port = cursor_be16(c), match_len = cursor_be16(c);
    m->out_port = port == UINT16_MAX ? OFPP_ANY : of10_port_get(port);
    m->out_group = OFPG_ANY;
    m->table_id = cursor_u8(c);
    cursor_skip(c, 5);
    return of_ok(error) ? sized_match_get(c, match_len, &m->match, OF10_VERSION) : error;
}

static struct of_error request13_get(struct cursor *c, struct of_monitor *m)
{
    m->id = cursor_be32(c);
    struct of_error error = nicira_flags_get(cursor_be16(c), m);
    uint16_t match_len = cursor_be16(c);
    m->out_port = cursor_be32(c);
    m->out_group = OFPG_ANY;
    m->table_id = cursor_u8(c);
    cursor_skip(c, 3);
    return of_ok(error) ? sized_match_get(c, match_len, &m->match, OF13_VERSION) : error;
}

struct of_error of_monitor_request_get(struct cursor *c, struct of_msg *msg)
{
    struct of_multipart_msg *mp = &msg->multipart;
    struct of_error error = OF_OK;
    do {
        mp->monitors.v = xrealloc(mp->monitors.v, (mp->monitors.n + 1) * sizeof *mp->monitors.v);
        struct of_monitor *m = &mp->monitors.v[mp->monitors.n++];
        memset(m, 0, sizeof *m);
        error = msg->version == OF10_VERSION ? request10_get(c, m) : msg->version < OF14_VERSION ? request13_get(c, m) : request14_get(c, m);
        if (of_ok(error) && c->failed) {
            error = OF_BAD_LEN;
        }
    } while (of_ok(error) && cursor_left(c));
    if (!of_ok(error)) {
        free(mp->monitors.v);
        mp->monitors.v = NULL;
        mp->monitors.n = 0;
    }
    return error;
}

void of_monitor_request_put(const struct of_msg *msg, struct buf *b)
{
    for (unsigned i = 0; i < msg->multipart.monitors.n; i++) {
        const struct of_monitor *m = &msg->multipart.monitors.v[i];
        buf_put_be32(b, m->id);
        if (msg->version >= OF14_VERSION) {
            buf_put_be32(b, m->out_port);
            buf_put_be32(b, m->out_group);
            buf_put_be16(b, m->flags);
            buf_put_u8(b, m->table_id);
            buf_put_u8(b, m->command);
            match_encode(&m->match, b);
            continue;
        }
        bool of10 = msg->version == OF10_VERSION;
        buf_put_be16(b, nicira_flags_put(m));
        if (of10) {
            buf_put_be16(b, of10_port_put(m->out_port));
        }
        size_t match_len = b->size;
        buf_put_be16(b, 0);
        if (!of10) {
            buf_put_be32(b, m->out_port);
        }
        buf_put_u8(b, m->table_id);
        buf_put_zeros(b, of10 ? 5 : 3);
        buf_set_be16(b, match_len, sized_match_put(&m->match, b, msg->version));
    }
}

/* --- Updates --- */

static bool event_from_nicira(uint16_t event, uint8_t *out)
{
    static const uint8_t events[] = { [NXFME_ADDED] = OFPFME_ADDED, [NXFME_DELETED] = OFPFME_REMOVED, [NXFME_MODIFIED] = OFPFME_MODIFIED,
                                      [NXFME_ABBREV] = OFPFME_ABBREV };
    *out = event < ARRAY_SIZE(events) ? events[event] : 0;
    return event < ARRAY_SIZE(events);
}

static uint16_t event_to_nicira(uint8_t event)
{
    return event == OFPFME_REMOVED ? NXFME_DELETED : event == OFPFME_MODIFIED ? NXFME_MODIFIED : event == OFPFME_ABBREV ? NXFME_ABBREV : NXFME_ADDED;
}

static struct of_error nicira_full_get(struct cursor *c, struct of_monitor_update *u, uint8_t version)
{
    u->reason = (uint8_t) cursor_be16(c);
    u->priority = cursor_be16(c);
    u->idle_timeout = cursor_be16(c);
    u->hard_timeout = cursor_be16(c);
    uint16_t match_len = cursor_be16(c);
    u->table_id = cursor_u8(c);
    cursor_skip(c, 1);
    u->cookie = cursor_be64(c);
    struct of_error error = sized_match_get(c, match_len, &u->match, version);
    if (!of_ok(error)) {
        return error;
    }
    return version == OF10_VERSION ? of10_instructions_decode(*c, &u->instructions) : instructions_decode(*c, &u->instructions);
}

static struct of_error full_get(struct cursor *c, struct of_monitor_update *u)
{
    u->table_id = cursor_u8(c);
    u->reason = cursor_u8(c);
    u->idle_timeout = cursor_be16(c);
    u->hard_timeout = cursor_be16(c);
    u->priority = cursor_be16(c);
    cursor_skip(c, 4);
    u->cookie = cursor_be64(c);
    struct of_error error = match_decode(c, &u->match);
    return of_ok(error) ? instructions_decode(*c, &u->instructions) : error;
}

struct of_error of_monitor_update_get(struct cursor *all, void *item, uint8_t version)
{
    struct of_monitor_update *u = item;
    struct cursor c = of_element(all, 0, ABBREV_SIZE);
    cursor_skip(&c, 2);
    uint16_t event = cursor_be16(&c);
    if (c.failed || (version < OF14_VERSION ? !event_from_nicira(event, &u->event) : event > OFPFME_RESUMED)) {
        return OF_BAD_LEN;
    }
    if (version >= OF14_VERSION) {
        u->event = (uint8_t) event;
    }
    if (u->event >= OFPFME_ABBREV) {
        uint32_t xid = cursor_be32(&c);
        u->xid = u->event == OFPFME_ABBREV ? xid : 0;
        return c.failed || cursor_left(&c) ? OF_BAD_LEN : OF_OK;
    }
    if (cursor_left(&c) < FULL_SIZE - UPDATE_HEADER_SIZE) {
        return OF_BAD_LEN;
    }
    return version < OF14_VERSION ? nicira_full_get(&c, u, version) : full_get(&c, u);
}

void of_monitor_update_put(const void *item, struct buf *b, uint8_t version)
{
    const struct of_monitor_update *u = item;
    buf_put_be16(b, 0);
    buf_put_be16(b, version < OF14_VERSION ? event_to_nicira(u->event) : u->event);
    if (u->event >= OFPFME_ABBREV) {
        buf_put_be32(b, u->event == OFPFME_ABBREV ? u->xid : 0);
    } else if (version < OF14_VERSION) {
        buf_put_be16(b, u->reason);
        buf_put_be16(b, u->priority);
        buf_put_be16(b, u->idle_timeout);
        buf_put_be16(b, u->hard_timeout);
        size_t match_len = b->size;
        buf_put_be16(b, 0);
        buf_put_u8(b, u->table_id);
        buf_put_zeros(b, 1);
        buf_put_be64(b, u->cookie);
        buf_set_be16(b, match_len, sized_match_put(&u->match, b, version));
        if (version == OF10_VERSION) {
            of10_instructions_encode(&u->instructions, b);
        } else {
            instructions_encode(&u->instructions, b);
        }
    } else {
        buf_put_u8(b, u->table_id);
        buf_put_u8(b, u->reason);
        buf_put_be16(b, u->idle_timeout);
        buf_put_be16(b, u->hard_timeout);
        buf_put_be16(b, u->priority);
        buf_put_zeros(b, 4);
        buf_put_be64(b, u->cookie);
        match_encode(&u->match, b);
        instructions_encode(&u->instructions, b);
    }
}

void of_monitor_update_fini(void *update)
{
    instructions_fini(&((struct of_monitor_update *) update)->instructions);
}
