/* See tenant.h. */
#include "utilities/control-bench/tenant.h"

#include <stdlib.h>
#include <event2/event.h>

enum { RULE_PRIORITY = 100 };

/* --- Connections --- */

static void on_up(struct of_conn *conn, void *tc UNUSED)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FEATURES_REQUEST, 0);
    of_conn_send(conn, &msg);
}

static void on_message(struct of_conn *conn UNUSED, struct of_msg *msg, const uint8_t *raw UNUSED, size_t size UNUSED, void *tc_)
{
    struct tenant_conn *tc = tc_;
    struct tenants *all = tc->all;
    switch ((unsigned) msg->type) {
    case OFPT_FEATURES_REPLY:
        if (!tc->ready) {
            tc->dpid = msg->features.datapath_id;
            tc->ready = true;
            all->n_ready++;
            all->hooks->ready(tc, all->aux);
        }
        break;
    case OFPT_BARRIER_REPLY:
        all->hooks->barrier(tc, msg->xid, all->aux);
        break;
    case OFPT_PACKET_IN:
        all->hooks->packet_in(tc, &msg->packet_in, all->aux);
        break;
    case OFPT_ERROR:
        all->hooks->error(tc, msg->error.error, all->aux);
        break;
    }
}

static void conn_free(struct tenant_conn *tc)
{
    list_remove(&tc->node);
    of_conn_close(tc->conn);
    tc->all->n_ready -= tc->ready;
    free(tc);
}

static void on_down(struct of_conn *conn UNUSED, const char *why UNUSED, void *tc_)
{
    struct tenant_conn *tc = tc_;
    if (tc->ready) {
        tc->all->hooks->gone(tc, tc->all->aux);
    }
    conn_free(tc);
}

struct listening { struct tenants *all; unsigned tenant; };

static void on_accept(struct stream *stream, void *listening_)
{
    static const struct of_conn_ops ops = { .up = on_up, .message = on_message, .down = on_down };
    static const struct of_conn_options options = { .versions = 1u << OF13_VERSION, .echo_interval_ms = 30000, .max_backlog = 16 << 20 };
    const struct listening *listening = listening_;
    struct tenant_conn *tc = XNEW(struct tenant_conn);
    tc->all = listening->all;
    tc->tenant = listening->tenant;
    list_push_back(&tc->all->v[tc->tenant].conns, &tc->node);
    struct of_conn_options with_clock = options;
    with_clock.clock = clock_monotonic();
    tc->conn = of_conn_accepted(tc->all->base, stream, &with_clock, &ops, tc);
}

struct tenants *tenants_new(struct event_base *base, unsigned n, unsigned first_port, const struct tenant_hooks *hooks, void *aux, struct err *err)
{
    struct tenants *all = XNEW(struct tenants);
    struct listening *listening = xcalloc(n + 1, sizeof *listening);
    *all = (struct tenants) { .base = base, .v = xcalloc(n + 1, sizeof *all->v), .n = n, .hooks = hooks, .aux = aux, .listening = listening };
    for (unsigned i = 0; i < n; i++) {
        list_init(&all->v[i].conns);
    }
    for (unsigned i = 0; i < n; i++) {
        char *target = xasprintf("ptcp:%u:127.0.0.1", first_port ? first_port + i : 0);
        listening[i] = (struct listening) { all, i };
        all->v[i].listener = stream_listen(base, target, NULL, on_accept, &listening[i], err);
        free(target);
        if (!all->v[i].listener) {
            tenants_free(all);
            return NULL;
        }
    }
    return all;
}

void tenants_free(struct tenants *all)
{
    for (unsigned i = 0; all && i < all->n; i++) {
        struct tenant_conn *tc;
        if (all->v[i].listener) {
            stream_listener_close(all->v[i].listener);
        }
        LIST_FOR_EACH (tc, node, &all->v[i].conns) {
            conn_free(tc);
        }
    }
    if (all) {
        free(all->listening);
        free(all->v);
    }
    free(all);
}

unsigned tenants_port(const struct tenants *all, unsigned tenant)
{
    return stream_listener_port(all->v[tenant].listener);
}

struct tenant_conn *tenant_switch(struct tenants *all, unsigned tenant, uint64_t dpid, uint64_t except)
{
    struct tenant_conn *tc;
    LIST_FOR_EACH (tc, node, &all->v[tenant].conns) {
        if (tc->ready && (dpid ? tc->dpid == dpid : tc->dpid != except)) {
            return tc;
        }
    }
    return NULL;
}

/* --- Messages --- */

static uint32_t send_mod(struct tenant_conn *tc, enum of_flow_command command, const uint64_t *mac, uint16_t priority, uint32_t out_port)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = command;
    msg.flow_mod.priority = priority;
    if (mac) {
        match_set_mac(&msg.flow_mod.match, FIELD_ETH_DST, mac_from_u64(*mac));
    }
    if (out_port) {
        msg.flow_mod.instructions.has_apply = true;
        actions_output(&msg.flow_mod.instructions.apply, out_port);
        msg.flow_mod.instructions.apply.list[0].output.max_len = OFPCML_NO_BUFFER;
    }
    uint32_t xid = of_conn_send(tc->conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

uint32_t tenant_add(struct tenant_conn *tc, uint32_t key, uint32_t out_port)
{
    const uint64_t mac = TENANT_MAC(key);
    return send_mod(tc, OFPFC_ADD, &mac, RULE_PRIORITY, out_port);
}

uint32_t tenant_delete(struct tenant_conn *tc, uint32_t key)
{
    const uint64_t mac = TENANT_MAC(key);
    return send_mod(tc, OFPFC_DELETE_STRICT, &mac, RULE_PRIORITY, 0);
}

uint32_t tenant_delete_all(struct tenant_conn *tc)
{
    return send_mod(tc, OFPFC_DELETE, NULL, 0, 0);
}

uint32_t tenant_miss(struct tenant_conn *tc)
{
    return send_mod(tc, OFPFC_ADD, NULL, 0, OFPP_CONTROLLER);
}

uint32_t tenant_barrier(struct tenant_conn *tc)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BARRIER_REQUEST, 0);
    return of_conn_send(tc->conn, &msg);
}

void tenant_packet_out(struct tenant_conn *tc, const struct of_packet_in *in, uint32_t out_port)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, 0);
    msg.packet_out.buffer_id = OFP_NO_BUFFER;
    msg.packet_out.in_port = be32_get(in->match.value.flow.in_port);
    actions_output(&msg.packet_out.actions, out_port);
    msg.packet_out.data = in->data;     /* Lent for the encoding. */
    msg.packet_out.size = in->size;
    of_conn_send(tc->conn, &msg);
    msg.packet_out.data = NULL;
    of_msg_fini(&msg);
}
