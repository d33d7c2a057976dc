#define LOG_MODULE "southbound"
#include "controller/substrate_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/config.h"
#include "lib/log.h"
#include "ofproto/polder.h"

#define SPARE_CONNECTIONS 256   /* Beyond two for each switch of the model. */
/* First fragments have layer-4 fields (section 7.3.2: "normal" is "no special handling"). What Open vSwitch calls normal hides them; its own setting shows them. */
enum fragments { OFPC_FRAG_NORMAL = 0, OFPC_FRAG_NX_MATCH = 3 };

/* --- Handshake, attach, detach --- */

static void sb_conn_free(struct sb_conn *sb, const char *why)
{
    polder_requests_fail(sb, ERR_UNREACHABLE, why);
    list_remove(&sb->node);
    sb->substrate->n_conns--;
    of_conn_close(sb->conn);
    sb_conn_free_ports(sb);
    free(sb);
}

static void detach(struct sb_conn *sb, const char *why)
{
    struct sw_impl *sw = sb->sw;
    struct substrate *s = sb->substrate;
    LOG(LOG_WARN, "%s (%016llx) at %s is down: %s", sw_name(&sw->pub), (unsigned long long) sw->pub.datapath_id, sw->pub.peer, why);
    sb->sw = NULL;
    sw->sb = NULL;
    sw->pub.connected = false;
    sw->pub.conn = NULL;
    if (!sw->held) {
        s->ops.sw_down(&sw->pub, s->ops_aux);
    }
    sw->held = false;
    sw->pub.ports = NULL;
    sw->pub.n_ports = 0;
    discovery_review(sw);
    polder_requests_fail(sb, ERR_UNREACHABLE, why);
}

void southbound_detach(struct sw_impl *sw, const char *why)
{
    struct sb_conn *sb = sw->sb;
    if (sb) {
        detach(sb, why);
        sb_conn_free(sb, why);
    }
}

/* Each uplink that could have a link has it, in both directions. */
static bool has_all_links(struct substrate *s, const struct sw_impl *sw)
{
    unsigned n = 0;
    for (unsigned i = 0; i < sw->pub.n_ports; i++) {
        const struct sw_port *p = &sw->pub.ports[i];
        const struct link_impl *l = link_find(s, &sw->pub, p->of.port_no);
        if (!p->is_uplink_candidate || !sw_port_is_up(p)) {
            continue;
        }
        if (!p->has_link || !l || !l->pub.up) {
            return false;
        }
        n++;
    }
    return n;
}

static bool all_attached(const struct substrate *s)
{
    for (unsigned i = 0; i < s->n_order; i++) {
        if (!s->order[i]->sb) {
            return false;
        }
    }
    return true;
}

/* All together: a path leads over several switches.  Over when everybody has come and found its links; or when LLDP had its time and who is missing had, too. */
static bool hold_is_over(struct substrate *s)
{
    const uint64_t now = substrate_now(s), interval = (uint64_t) s->controller->config.lldp_interval_ms * 1000000;
    uint64_t first = UINT64_MAX, last = 0;
    bool links_known = true;
    for (unsigned i = 0; i < s->n_order; i++) {
        if (s->order[i]->held) {
            first = MIN(first, s->order[i]->attached_ns);
            last = MAX(last, s->order[i]->attached_ns);
            links_known = links_known && has_all_links(s, s->order[i]);
        }
    }
    bool late = last && now - first >= STARTUP_HOLD_NS;         /* Others that come one by one do not hold it for ever. */
    bool complete = all_attached(s) || now - s->started_ns >= STARTUP_HOLD_NS;
    return last && (late || (complete && (links_known || now - last >= interval + interval / 2)));
}

static void release(struct sw_impl *sw)
{
    struct substrate *s = sw->substrate;
    sw->held = false;
    sw->was_up = true;
    sw->pub.connected = true;
    s->ops.sw_up(&sw->pub, s->ops_aux);
}

static void release_due(struct substrate *s)
{
    bool over = hold_is_over(s);
    for (unsigned i = 0; over && i < s->n_order; i++) {
        if (s->order[i]->held) {
            release(s->order[i]);
        }
    }
}

static void set_config(struct of_conn *conn, enum fragments fragments)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_SET_CONFIG, of_conn_next_xid(conn));
    msg.config.flags = (uint16_t) fragments;
    msg.config.miss_send_len = OFPCML_NO_BUFFER;                /* Whole packets, section 6.1.2. */
    of_conn_send(conn, &msg);
    of_msg_fini(&msg);
}

/* Section 7.3.10. Unasked, Open vSwitch tells a controller nothing of expired TTLs, of which a tenant's is to hear; the rest is as it is by default. */
static void ask_for_expired_ttls(struct of_conn *conn)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_SET_ASYNC, of_conn_next_xid(conn));
    msg.async.packet_in[0] = 1 << OFPR_NO_MATCH | 1 << OFPR_ACTION | 1 << OFPR_INVALID_TTL;
    msg.async.port_status[0] = msg.async.port_status[1] = 7;    /* Add, delete, modify. */
    msg.async.flow_removed[0] = 15;                             /* Idle, hard, delete, group delete. */
    of_conn_send(conn, &msg);
    of_msg_fini(&msg);
}

static void attach(struct sb_conn *sb, struct sw_impl *sw)
{
    struct substrate *s = sb->substrate;
    southbound_detach(sw, "the switch connected again");
    sb->sw = sw;
    sw->sb = sb;
    sw->attached_ns = substrate_now(s);
    sw->pub.is_vswitchd = sb->is_vswitchd;
    sw->pub.lacks_failover = sb->lacks_failover;
    sw->pub.conn = sb->conn;
    sw->pub.connected_ns = sw->attached_ns;
    if (!sb->is_vswitchd && !sw->pub.is_fabric) {
        set_config(sb->conn, OFPC_FRAG_NX_MATCH);
        ask_for_expired_ttls(sb->conn);
    }
    str_copy(sw->pub.peer, sizeof sw->pub.peer, of_conn_peer(sb->conn));
    sb_conn_show_ports(sb);
    for (unsigned i = 0; i < sb->n_ports; i++) {
        sb->ports[i].is_uplink_candidate = discovery_is_candidate(sb, &sb->ports[i].of);
    }
    links_refresh(s, &sw->pub);
    discovery_review(sw);
    s->n_connects++;
    sw->held = !sw->was_up && sb->n_flows;
    LOG(LOG_INFO, "%s (%016llx) is connected from %s: %s, %u ports, %u flows%s", sw_name(&sw->pub), (unsigned long long) sw->pub.datapath_id, sw->pub.peer,
        sb->is_vswitchd ? "vswitchd" : "OpenFlow switch", sb->n_ports, sb->n_flows, sw->held ? "; looking for its links first" : "");
    if (!sw->held) {
        release(sw);
    }
}

static bool is_ready(const struct sb_conn *sb)
{
    return sb->has_features && sb->has_ports && sb->has_flow_count && sb->polder_known && (!sb->is_vswitchd || sb->devices_known);
}

/* The oldest unknown switch makes room. */
static void bound_unknown(struct substrate *s)
{
    struct sb_conn *sb, *oldest = NULL;
    unsigned n = 0;
    LIST_FOR_EACH(sb, node, &s->conns) {
        if (!sb->sw && is_ready(sb)) {
            oldest = oldest ? oldest : sb;
            n++;
        }
    }
    if (n > MAX_UNKNOWN) {
        sb_conn_free(oldest, "too many unknown switches");
    }
}

static void check_ready(struct sb_conn *sb)
{
    if (sb->has_features && !sb->may_be && !(sb->may_be = southbound_may_be(sb))) {
        sb_conn_free(sb, "its certificate is not for this datapath id");
        return;
    }
    if (sb->sw || !is_ready(sb)) {
        return;
    }
    struct sw_impl *sw = substrate_find_impl(sb->substrate, sb->datapath_id);
    if (sw) {
        attach(sb, sw);
        return;
    }
    LOG_RATE(LOG_WARN, 10, "%s: datapath id %016llx is no edge or fabric switch of the model; apply one to use it", of_conn_peer(sb->conn),
             (unsigned long long) sb->datapath_id);
    bound_unknown(sb->substrate);
}

/* From the start again after each: attaching frees the connection that it replaces. */
void southbound_attach_known(struct substrate *s)
{
    for (bool again = true; again;) {
        struct sb_conn *sb;
        again = false;
        LIST_FOR_EACH(sb, node, &s->conns) {
            struct sw_impl *sw = !sb->sw && is_ready(sb) ? substrate_find_impl(s, sb->datapath_id) : NULL;
            if (sw) {
                attach(sb, sw);
                again = true;
                break;
            }
        }
    }
}

static void on_polder_features(const cJSON *result, const struct err *err UNUSED, void *sb_)
{
    struct sb_conn *sb = sb_;
    sb->polder_known = true;
    sb->is_vswitchd = result != NULL;           /* Others answer with an error, or not at all. */
    if (sb->is_vswitchd) {
        sb_conn_ask_devices(sb);
    }
}

static uint32_t ask(struct of_conn *conn, enum of_type type, enum of_multipart part)
{
    struct of_msg msg;
    of_msg_init(&msg, type, of_conn_next_xid(conn));
    if (type == OFPT_MULTIPART_REQUEST) {
        msg.multipart.type = part;
        if (part == OFPMP_AGGREGATE) {
            msg.multipart.filter = (struct of_flow_filter) { .table_id = OFPTT_ALL, .out_port = OFPP_ANY, .out_group = OFPG_ANY };
        }
    }
    uint32_t xid = of_conn_send(conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

static void on_up(struct of_conn *conn, void *sb_)
{
    struct sb_conn *sb = sb_;
    ask(conn, OFPT_FEATURES_REQUEST, OFPMP_DESC);
    set_config(conn, OFPC_FRAG_NORMAL);
    sb->ports_xid = ask(conn, OFPT_MULTIPART_REQUEST, OFPMP_PORT_DESC);
    sb->flow_count_xid = ask(conn, OFPT_MULTIPART_REQUEST, OFPMP_AGGREGATE);
    sb->groups_xid = ask(conn, OFPT_MULTIPART_REQUEST, OFPMP_GROUP_FEATURES);
    polder_request_send(sb, "features", NULL, on_polder_features, sb);
}

/* --- Messages --- */

/* It may come before or after the switch is attached; paths are compiled anew if it makes a difference. */
static void on_group_features(struct sb_conn *sb, uint32_t types)
{
    sb->lacks_failover = !(types & (UINT32_C(1) << OFPGT_FF));
    if (sb->lacks_failover) {
        LOG(LOG_WARN, "%s has no fast-failover groups: what it forwards waits for controllerd when a port dies", of_conn_peer(sb->conn));
    }
    if (sb->sw && sb->sw->pub.lacks_failover != sb->lacks_failover) {
        sb->sw->pub.lacks_failover = sb->lacks_failover;
        if (!sb->sw->held) {
            sb->substrate->ops.ports_changed(&sb->sw->pub, sb->substrate->ops_aux);
        }
    }
}

/* True when the message was this file's own. */
static bool take_reply(struct sb_conn *sb, struct of_msg *msg)
{
    if (msg->type == OFPT_FEATURES_REPLY && !sb->has_features) {
        sb->datapath_id = msg->features.datapath_id;
        sb->has_features = true;
        return true;
    }
    if (msg->type == OFPT_MULTIPART_REPLY && msg->xid == sb->ports_xid && msg->multipart.type == OFPMP_PORT_DESC && !sb->has_ports) {
        sb_conn_port_desc(sb, msg);
        return true;
    }
    if (msg->xid == sb->flow_count_xid && !sb->has_flow_count && (msg->type == OFPT_ERROR || msg->type == OFPT_MULTIPART_REPLY)) {
        sb->n_flows = msg->type == OFPT_ERROR ? 1 : msg->multipart.aggregate.flow_count;       /* One that cannot tell may have some. */
        sb->has_flow_count = true;
        return true;
    }
    if (msg->xid == sb->groups_xid && (msg->type == OFPT_ERROR || msg->type == OFPT_MULTIPART_REPLY)) {
        on_group_features(sb, msg->type == OFPT_ERROR ? 0 : msg->multipart.group_features.types);
        return true;
    }
    bool polder = msg->type == OFPT_EXPERIMENTER && msg->experimenter.experimenter == POLDER_EXPERIMENTER && msg->experimenter.exp_type == POLDER_REPLY;
    if (!polder && msg->type != OFPT_ERROR) {
        return false;
    }
    struct polder_request *r = polder_request_take(sb, msg->xid);
    if (r && polder) {
        polder_request_reply(r, msg->experimenter.data, msg->experimenter.size);
    } else if (r) {
        struct err err = ERR_INIT;
        char scratch[32];
        err_set(&err, ERR_FAILED, NULL, "the switch answered %s", of_error_name(msg->error.error, scratch));
        polder_request_end(r, NULL, &err);
    }
    return r != NULL;
}

static void on_message(struct of_conn *conn, struct of_msg *msg, const uint8_t *raw UNUSED, size_t size UNUSED, void *sb_)
{
    struct sb_conn *sb = sb_;
    struct substrate *s = sb->substrate;
    if (msg->type == OFPT_PORT_STATUS) {
        sb_conn_port_status(sb, msg->port_status.reason, &msg->port_status.port);
    } else if (msg->type == OFPT_FEATURES_REPLY && msg->features.auxiliary_id) {
        LOG_RATE(LOG_WARN, 10, "%s: auxiliary connections are not used", of_conn_peer(conn));
        if (sb->sw) {
            detach(sb, "it says now that it is an auxiliary connection");
        }
        sb_conn_free(sb, "auxiliary connection");
    } else if (take_reply(sb, msg)) {
        check_ready(sb);
    } else if (!sb->sw) {
        LOG(LOG_DEBUG, "%s: %s before the handshake's end", of_conn_peer(conn), of_type_name(msg->type));
    } else if (msg->type == OFPT_PACKET_IN) {
        s->n_packet_ins++;
        if (!discovery_packet_in(s, sb->sw, &msg->packet_in) && !sb->sw->held) {
            s->ops.packet_in(&sb->sw->pub, &msg->packet_in, s->ops_aux);
        }
    } else if (sb->sw->held || !s->ops.reply(&sb->sw->pub, msg, s->ops_aux)) {
        LOG_RATE(LOG_INFO, 10, "%s: unexpected %s, xid 0x%x", sw_name(&sb->sw->pub), of_type_name(msg->type), msg->xid);
    }
}

static void on_down(struct of_conn *conn, const char *why, void *sb_)
{
    struct sb_conn *sb = sb_;
    if (sb->sw) {
        detach(sb, why);
    } else {
        LOG_RATE(LOG_INFO, 10, "%s: %s", of_conn_peer(conn), why);
    }
    sb_conn_free(sb, why);
}

/* The oldest connection that is no switch of the model (yet): those that stay half-open keep no switch out. */
static bool make_room(struct substrate *s)
{
    struct sb_conn *sb;
    LIST_FOR_EACH(sb, node, &s->conns) {
        if (!sb->sw) {
            sb_conn_free(sb, "another needs its place");
            return true;
        }
    }
    return false;
}

static void on_accept(struct stream *stream, void *s_)
{
    static const struct of_conn_ops ops = { .up = on_up, .message = on_message, .down = on_down };
    struct substrate *s = s_;
    if (s->n_conns >= 2 * s->n_order + SPARE_CONNECTIONS && !make_room(s)) {
        LOG_RATE(LOG_WARN, 5, "%s: refused, there are %u connections already", stream_peer(stream), s->n_conns);
        stream_close(stream);
        return;
    }
    struct sb_conn *sb = XNEW(struct sb_conn);
    struct of_conn_options options = { .versions = 1u << OF13_VERSION, .max_backlog = 64u << 20, .clock = s->controller->clock };
    sb->substrate = s;
    sb->since_ns = substrate_now(s);
    list_init(&sb->requests);
    list_push_back(&s->conns, &sb->node);
    s->n_conns++;
    sb->conn = of_conn_accepted(s->controller->base, stream, &options, &ops, sb);
}

/* --- Life --- */

void southbound_tick(struct substrate *s)
{
    const uint64_t now = substrate_now(s);
    struct sb_conn *sb;
    LIST_FOR_EACH(sb, node, &s->conns) {
        polder_requests_expire(sb);
    }
    LIST_FOR_EACH(sb, node, &s->conns) {
        if (!sb->sw && !is_ready(sb) && now - sb->since_ns > HANDSHAKE_TIMEOUT_NS) {
            LOG_RATE(LOG_WARN, 10, "%s: no handshake within %u s", of_conn_peer(sb->conn), (unsigned) (HANDSHAKE_TIMEOUT_NS / 1000000000));
            sb_conn_free(sb, "handshake timed out");
        }
    }
    release_due(s);
    southbound_attach_known(s);         /* Those for which a request's time-out was the answer. */
}

bool southbound_listen(struct substrate *s, struct err *err)
{
    const struct controller_config *c = &s->controller->config;
    if (!config_openflow_tls(c, &s->tls, err)) {
        return false;
    }
    s->started_ns = substrate_now(s);
    s->listeners = xcalloc(c->n_openflow_listen + 1, sizeof(struct stream_listener *));
    for (unsigned i = 0; i < c->n_openflow_listen; i++) {
        const char *target = c->openflow_listen[i];
        struct stream_listener *l = stream_listen(s->controller->base, target, s->tls, on_accept, s, err);
        if (!l) {
            char field[40];
            snprintf(field, sizeof field, "openflow.listen[%u]", i);
            str_copy(err->field, sizeof err->field, field);
            return false;
        }
        s->listeners[s->n_listeners++] = l;
        LOG(LOG_INFO, "listening for switches on %s", target);
    }
    return true;
}

void southbound_close(struct substrate *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++) {
        stream_listener_close(s->listeners[i]);
    }
    free(s->listeners);
    s->listeners = NULL;
    s->n_listeners = 0;
    while (!list_empty(&s->conns)) {
        struct sb_conn *sb = CONTAINER_OF(s->conns.next, struct sb_conn, node);
        if (sb->sw) {
            detach(sb, "controllerd stops");
        }
        sb_conn_free(sb, "controllerd stops");
    }
    tls_config_unref(s->tls);
    s->tls = NULL;
}
