/*
 * Bundles (OpenFlow 1.4 section 6.8 and 7.3.9; for 1.3 the ONF's extension 230): messages that are carried out together, or not at all.
 *
 * Messages are decoded as they are added and kept with the connection; nothing of the switch changes before the commit.  A commit begins a transaction in the tables and in the
 * backend, carries the messages out in order, and either publishes all of it in one step or takes all of it back.  So every commit is atomic and ordered, whatever the flags say.
 *
 * Meters that are modified or deleted are so at the commit; new ones are there before, when no packet sees an entry that uses them (meter_table.h).
 * Packet-outs are carried out after the rest, in order.  Port-mods are no part of the one step, hence not allowed where OFPBF_ATOMIC is asked for; when something fails they are
 * set back.
 */
#include "ofproto/agent_private.h"

#include <stdlib.h>
#include <string.h>

#define FAILED(CODE) OF_ERROR(OFPET_BUNDLE_FAILED, CODE)

enum { ERROR_BYTES = 64 };

struct member {
    struct of_msg msg;
    uint8_t raw[ERROR_BYTES];   /* The message's beginning, for errors. */
    unsigned raw_size;
    uint8_t *whole;             /* All of it, where it may have to be forwarded to other controllers; else NULL. */
    unsigned whole_size;
    bool port_changed;          /* A port-mod that has been carried out; */
    struct of_port_mod undo;    /* what takes it back. */
};

struct agent_bundle {
    struct agent_bundle *next;
    uint32_t id;
    uint16_t flags;
    bool closed;
    struct member *members;
    size_t n, room, bytes;
};

static struct agent_bundle *find(struct agent_conn *ac, uint32_t id)
{
    struct agent_bundle *b = ac->bundles;
    while (b && b->id != id) {
        b = b->next;
    }
    return b;
}

static void discard(struct agent_conn *ac, struct agent_bundle *bundle)
{
    struct agent_bundle **at = &ac->bundles;
    while (*at != bundle) {
        at = &(*at)->next;
    }
    *at = bundle->next;
    for (size_t i = 0; i < bundle->n; i++) {
        of_msg_fini(&bundle->members[i].msg);
        free(bundle->members[i].whole);
    }
    free(bundle->members);
    free(bundle);
}

void agent_bundles_discard(struct agent_conn *ac)
{
    while (ac->bundles) {
        discard(ac, ac->bundles);
    }
}

static struct of_error open_bundle(struct agent_conn *ac, uint32_t id, uint16_t flags, struct agent_bundle **out)
{
    unsigned n = 0;
    for (const struct agent_bundle *b = ac->bundles; b; b = b->next) {
        n++;
    }
    if (find(ac, id)) {
        return FAILED(OFPBFC_BUNDLE_EXIST);
    }
    if (flags & ~(OFPBF_ATOMIC | OFPBF_ORDERED)) {
        return FAILED(OFPBFC_BAD_FLAGS);
    }
    if (n >= ac->agent->max_bundles) {
        return FAILED(OFPBFC_OUT_OF_BUNDLES);
    }
    struct agent_bundle *b = XNEW(struct agent_bundle);
    b->id = id;
    b->flags = flags;
    b->next = ac->bundles;
    ac->bundles = b;
    *out = b;
    return OF_OK;
}

/* --- Adding --- */

static bool is_forwarded(const struct of_msg *msg)
{
    return msg->type == OFPT_GROUP_MOD || msg->type == OFPT_METER_MOD;
}

static struct of_error acceptable(const struct agent_conn *ac, const struct agent_bundle *b, const struct of_msg *msg)
{
    switch ((unsigned) msg->type) {
    case OFPT_FLOW_MOD:
    case OFPT_GROUP_MOD:
    case OFPT_PACKET_OUT:
        return OF_OK;
    case OFPT_PORT_MOD:
        return b->flags & OFPBF_ATOMIC ? FAILED(OFPBFC_MSG_CONFLICT) : OF_OK;
    case OFPT_METER_MOD:
        return ac->agent->ops->meters ? OF_OK : FAILED(OFPBFC_MSG_UNSUP);
    default:
        return FAILED(OFPBFC_MSG_UNSUP);
    }
}

static struct of_error add(struct agent_conn *ac, struct agent_bundle *b, const uint8_t *data, unsigned size)
{
    if (b->bytes + sizeof(struct member) + size > ac->agent->max_bundle_bytes) {
        return FAILED(OFPBFC_MSG_TOO_MANY);
    }
    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 16;
        b->members = xrealloc(b->members, b->room * sizeof *b->members);
    }
    struct member *m = &b->members[b->n];
    memset(m, 0, sizeof *m);
    struct of_error error = of_decode(data, size, &m->msg);
    if (!of_ok(error)) {
        return error;
    }
    error = acceptable(ac, b, &m->msg);
    if (!of_ok(error)) {
        of_msg_fini(&m->msg);
        return error;
    }
    m->raw_size = MIN(size, (unsigned) ERROR_BYTES);
    memcpy(m->raw, data, m->raw_size);
    if (is_forwarded(&m->msg)) {
        m->whole = memcpy(xmalloc(size), data, size);
        m->whole_size = size;
    }
    b->n++;
    b->bytes += sizeof *m + size;
    return OF_OK;
}

struct of_error agent_bundle_add(struct agent_conn *ac, const struct of_msg *msg)
{
    struct agent_bundle *b = find(ac, msg->bundle_add.id);
    const uint8_t *data = msg->bundle_add.data;
    if (!ac->agent->ops->bundle) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    }
    if (!b) {                   /* "If the bundle does not exist, it is created", as with Open vSwitch. */
        struct of_error error = open_bundle(ac, msg->bundle_add.id, msg->bundle_add.flags, &b);
        if (!of_ok(error)) {
            return error;
        }
    }
    if (b->closed) {
        return FAILED(OFPBFC_BUNDLE_CLOSED);
    }
    if (b->flags != msg->bundle_add.flags) {
        return FAILED(OFPBFC_BAD_FLAGS);
    }
    /* "The xid of the message must be identical to that of the OFPT_BUNDLE_ADD_MESSAGE". */
    if (wire_get32(data + 4) != msg->xid) {
        return FAILED(OFPBFC_MSG_BAD_XID);
    }
    if (data[0] != msg->version) {
        return OF_ERROR(OFPET_NICIRA, NXE_BUNDLE_BAD_VERSION);
    }
    return add(ac, b, data, msg->bundle_add.size);
}

/* --- Committing --- */

struct port_search { uint32_t port_no; bool found; struct of_port port; };

static void match_port(const struct of_port *port, void *search_)
{
    struct port_search *s = search_;
    if (port->port_no == s->port_no) {
        s->found = true;
        s->port = *port;
    }
}

static struct of_error carry_out_port_mod(struct of_agent *agent, struct member *m)
{
    struct port_search s = { .port_no = m->msg.port_mod.port_no };
    agent->ops->ports(agent->aux, match_port, &s);
    struct of_error error = agent_port_mod(agent, &m->msg);
    m->port_changed = of_ok(error) && s.found;
    m->undo = (struct of_port_mod) { .port_no = s.port_no, .hw_addr = s.port.hw_addr, .config = s.port.config, .mask = m->msg.port_mod.mask };
    return error;
}

static struct of_error carry_out(struct agent_conn *ac, struct member *m)
{
    ac->agent->changes.xid = m->msg.xid;
    switch ((unsigned) m->msg.type) {
    case OFPT_FLOW_MOD:
        return agent_flow_mod(ac, &m->msg);
    case OFPT_GROUP_MOD:
        return agent_group_mod(ac, &m->msg.group_mod);
    case OFPT_METER_MOD:
        return agent_meter_mod(ac, &m->msg.meter_mod);
    case OFPT_PACKET_OUT:
        return agent_packet_out_check(ac, &m->msg.packet_out);
    default:
        return carry_out_port_mod(ac->agent, m);
    }
}

static void take_back_ports(struct of_agent *agent, const struct agent_bundle *b)
{
    for (size_t i = b->n; i--; ) {
        if (b->members[i].port_changed) {
            agent->ops->port_mod(agent->aux, &b->members[i].undo);
        }
    }
}

static void forward_requests(struct agent_conn *ac, const struct agent_bundle *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct member *m = &b->members[i];
        if (m->whole) {
            agent_request_forward(ac->agent, ac, m->msg.type == OFPT_GROUP_MOD ? OFPRFR_GROUP_MOD : OFPRFR_METER_MOD, m->whole, m->whole_size);
        }
    }
}

static void send_packets(struct agent_conn *ac, const struct agent_bundle *b)
{
    struct of_agent *agent = ac->agent;
    for (size_t i = 0; i < b->n; i++) {
        const struct member *m = &b->members[i];
        if (m->msg.type == OFPT_PACKET_OUT) {
            struct of_error error = agent_packet_out(agent, &m->msg.packet_out);
            if (!of_ok(error)) {
                of_conn_send_error(ac->conn, error, m->raw, m->raw_size);
            }
        }
    }
}

/* The error of the message that failed is sent first, in answer to that message. */
static struct of_error commit(struct agent_conn *ac, struct agent_bundle *b)
{
    struct of_agent *agent = ac->agent;
    struct flow_tables *flows = agent->ops->flows(agent->aux);
    struct group_table *groups = agent->ops->groups(agent->aux);
    struct meter_table *meters = agent->ops->meters ? agent->ops->meters(agent->aux) : NULL;
    struct of_error error = OF_OK;
    size_t i = 0;
    agent->ops->bundle(agent->aux, BUNDLE_BEGIN);
    flow_tables_begin(flows);
    group_table_begin(groups);
    if (meters) {
        meter_table_begin(meters);
    }
    agent_changes_begin(agent);
    while (i < b->n && of_ok(error = carry_out(ac, &b->members[i]))) {
        i++;
    }
    if (of_ok(error)) {
        agent->ops->bundle(agent->aux, BUNDLE_COMMIT);
        group_table_commit(groups);
        agent_changes_end(agent, true);
        flow_tables_commit(flows);
        if (meters) {
            meter_table_commit(meters);
        }
        send_packets(ac, b);
        forward_requests(ac, b);
        return OF_OK;
    }
    agent->ops->bundle(agent->aux, BUNDLE_ABORT);
    group_table_abort(groups);
    agent_changes_end(agent, false);
    flow_tables_abort(flows);
    if (meters) {
        meter_table_abort(meters);
    }
    take_back_ports(agent, b);
    of_conn_send_error(ac->conn, error, b->members[i].raw, b->members[i].raw_size);
    return FAILED(OFPBFC_MSG_FAILED);
}

static struct of_error control(struct agent_conn *ac, const struct of_msg *msg)
{
    struct agent_bundle *b = find(ac, msg->bundle.id);
    if (msg->bundle.type == OFPBCT_OPEN_REQUEST) {
        return open_bundle(ac, msg->bundle.id, msg->bundle.flags, &b);
    }
    if (msg->bundle.type % 2 || msg->bundle.type > OFPBCT_DISCARD_REQUEST) {
        return FAILED(OFPBFC_BAD_TYPE);
    }
    if (!b) {
        return FAILED(OFPBFC_BAD_ID);
    }
    struct of_error error = OF_OK;
    if (msg->bundle.type == OFPBCT_CLOSE_REQUEST) {
        error = b->closed ? FAILED(OFPBFC_BUNDLE_CLOSED) : b->flags != msg->bundle.flags ? FAILED(OFPBFC_BAD_FLAGS) : OF_OK;
        b->closed |= of_ok(error);
        return error;
    }
    if (msg->bundle.type == OFPBCT_COMMIT_REQUEST) {
        error = b->flags != msg->bundle.flags ? FAILED(OFPBFC_BAD_FLAGS) : commit(ac, b);
    }
    discard(ac, b);             /* Committed or failed: "the bundle is discarded". */
    return error;
}

struct of_error agent_bundle_control(struct agent_conn *ac, const struct of_msg *msg)
{
    if (!ac->agent->ops->bundle) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    }
    struct of_error error = control(ac, msg);
    if (of_ok(error)) {
        agent_changes_flush(ac->agent);         /* Monitors hear of the changes before they are confirmed. */
        struct of_msg reply;
        of_msg_init(&reply, OFPT_BUNDLE_CONTROL, msg->xid);
        reply.is_reply = true;
        reply.bundle.id = msg->bundle.id;
        reply.bundle.type = msg->bundle.type + 1u;
        reply.bundle.flags = msg->bundle.flags;
        of_conn_send(ac->conn, &reply);
    }
    return error;
}
