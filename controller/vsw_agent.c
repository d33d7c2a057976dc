/*
 * A virtual switch as the backend of its OpenFlow agent: what vswitchd's datapath is to vswitchd's agent.
 *
 * Packet-outs run on one edge: that of the ingress port, where the port's own rules and addresses are; else that of the
 * first port that is output to. Packet-ins come with the virtual switch and port in registers, which only CLASSIFY,
 * LANDING and virtual links write (edge_tables.h).
 */
#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/ruleset.h"
#include "controller/slice.h"
#include "controller/vsw_counters.h"
#include "controller/vsw_hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

/* --- Questions --- */

static void be_features(void *vsw_, struct of_features *out)
{
    const struct vsw *vsw = vsw_;
    *out = (struct of_features) {
        .datapath_id = vsw->network->datapath_id, .n_tables = (uint8_t) MIN(vsw->network->quota.tables, (uint32_t) VIRT_N_TABLES),
        .capabilities = OFPC_FLOW_STATS | OFPC_TABLE_STATS | OFPC_PORT_STATS | OFPC_GROUP_STATS,
    };
}

static void be_desc(void *vsw_, struct of_desc *out)
{
    const struct vsw *vsw = vsw_;
    memset(out, 0, sizeof *out);
    str_copy(out->mfr, sizeof out->mfr, "Polder");
    str_copy(out->hw, sizeof out->hw, "virtual switch");
    str_copy(out->sw, sizeof out->sw, PACKAGE_VERSION);
    str_copy(out->serial, sizeof out->serial, "None");
    str_copy(out->dp, sizeof out->dp, vsw->network->name);
}

static void be_limits(void *vsw_, struct of_limits *out)
{
    const struct vsw *vsw = vsw_;
    const struct switch_quota *own = &vsw->network->quota;
    const struct quota *all = &network_tenant(vsw->network)->quota;
    *out = (struct of_limits) { .flows = MIN(own->flows, all->flow_entries), .groups = MIN(own->groups, all->groups), .meters = MIN(own->meters, all->meters),
                               .no_queues = true, .has_field = vsw_has_field };
}

static struct flow_tables *be_flows(void *vsw) { return ((struct vsw *) vsw)->flows; }
static struct group_table *be_groups(void *vsw) { return ((struct vsw *) vsw)->groups; }
static struct meter_table *be_meters(void *vsw) { return ((struct vsw *) vsw)->meters; }

static int by_number(const void *a, const void *b)
{
    uint32_t x = (*(struct vport *const *) a)->number, y = (*(struct vport *const *) b)->number;
    return x < y ? -1 : x > y;
}

static void be_ports(void *vsw_, void (*fn)(const struct of_port *, void *), void *fn_aux)
{
    const struct vsw *vsw = vsw_;
    struct vport *vport, **sorted = xcalloc(vsw->ports.n + 1, sizeof *sorted);
    unsigned n = 0;
    HMAP_FOR_EACH (vport, node, &vsw->ports) {
        sorted[n++] = vport;
    }
    qsort(sorted, n, sizeof *sorted, by_number);
    for (unsigned i = 0; i < n; i++) {
        fn(&sorted[i]->told, fn_aux);
    }
    free(sorted);
}

/* --- Changes --- */

static void be_request(void *vsw, const struct of_request *request)
{
    limits_change(vsw);
    vsw_change_begin(vsw, request->conn, request->raw, request->size);
}

static bool be_accept(void *vsw, unsigned *pause_ms) { return limits_accept(vsw, pause_ms); }
static void be_peer_refused(void *vsw, const char *peer, const char *why) { limits_peer_refused(vsw, peer, why); }
static void be_barrier(void *vsw, void (*done)(void *token), void *token) { vsw_barrier(vsw, done, token); }

/* One connection to one edge keeps what was said in order; with several edges one could be ahead of the other. */
static bool be_barrier_passes(void *vsw_)
{
    const struct vsw *vsw = vsw_;
    return vsw->n_edges == 1 && !vsw->resets && !vsw->n_reading_resets && !vsw->dirty && !vsw->entries_dirty && reconcile_in_order(vsw->controller->reconcile, vsw->edges[0]);
}

static struct of_error be_port_mod(void *vsw, const struct of_port_mod *mod) { return vsw_port_mod(vsw, mod); }

static void be_controllers_changed(void *vsw, unsigned n_up) { vsw_hold_connected(vsw, n_up); }

static void be_misses_wanted(void *vsw_, bool wanted)
{
    struct vsw *vsw = vsw_;
    vsw->misses = wanted;
    fabric_entries_changed(vsw);
}

/* --- Packet-out --- */

static const struct edge *edge_of(const struct vsw *vsw, uint32_t number)
{
    const struct port *port = number <= OFPP_MAX ? network_port_by_number(vsw->network, number) : NULL;
    return port ? port->edge : NULL;
}

static bool is_up(const struct vsw *vsw, const struct edge *edge)
{
    const struct sw *sw = substrate_find(vsw->controller->substrate, edge->datapath_id);
    return sw && sw->connected;
}

static const struct edge *packet_out_edge(const struct vsw *vsw, const struct of_packet_out *po)
{
    const struct edge *edge = edge_of(vsw, po->in_port);
    for (unsigned i = 0; !edge && i < po->actions.n; i++) {
        edge = po->actions.list[i].type == ACTION_OUTPUT ? edge_of(vsw, po->actions.list[i].output.port) : NULL;
    }
    for (unsigned i = 0; !edge && i < vsw->network->n_landings; i++) {
        edge = is_up(vsw, vsw->network->landings[i].edge) ? vsw->network->landings[i].edge : NULL;
    }
    return edge;
}

struct of_error vsw_packet_out(const struct vsw *vsw, const struct of_packet_out *po, const struct edge **edge, struct actions *out)
{
    struct of_error error = vsw_check_actions(vsw, &po->actions, true);
    if (!of_ok(error)) {
        return error;
    }
    *edge = packet_out_edge(vsw, po);
    actions_load(out, R_VSW, 0, 32, vsw->id);
    actions_load(out, R_IN, 0, 32, po->in_port);
    compile_actions(vsw, &po->actions, out, BEHIND_NOTHING);
    return OF_OK;
}

static struct of_error be_packet_out(void *vsw_, const struct of_packet_out *po)
{
    const struct vsw *vsw = vsw_;
    const struct edge *edge;
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, 0);
    struct of_error error = vsw_packet_out(vsw, po, &edge, &msg.packet_out.actions);
    if (!of_ok(error)) {
        return error;
    }
    const struct sw *sw = edge ? substrate_find(vsw->controller->substrate, edge->datapath_id) : NULL;
    if (!sw || !sw->conn) {
        vsw->fabric->n_packet_outs_lost++;
        actions_fini(&msg.packet_out.actions);
        return OF_OK;
    }
    reconcile_flush(vsw->controller->reconcile, edge->datapath_id);        /* What the tenant said before is there when the frame is. */
    msg.packet_out.buffer_id = OFP_NO_BUFFER;
    msg.packet_out.in_port = OFPP_CONTROLLER;
    msg.packet_out.data = po->data;                     /* Lent. */
    msg.packet_out.size = po->size;
    of_conn_send(sw->conn, &msg);
    actions_fini(&msg.packet_out.actions);
    vsw->fabric->n_packet_outs++;
    return OF_OK;
}

const struct of_backend_ops vsw_backend_ops = {
    .features = be_features, .desc = be_desc, .flows = be_flows, .groups = be_groups, .meters = be_meters, .limits = be_limits, .ports = be_ports,
    .table_stats = vsw_counters_table, .port_stats = vsw_counters_port, .group_stats = vsw_counters_group, .refresh = vsw_counters_refresh,
    .port_mod = be_port_mod, .packet_out = be_packet_out, .barrier = be_barrier, .barrier_passes = be_barrier_passes, .request = be_request,
    .controllers_changed = be_controllers_changed, .misses_wanted = be_misses_wanted, .accept = be_accept, .peer_refused = be_peer_refused,
};

/* --- Packet-in --- */

/* The entry that it came from; NULL: a group, a packet-out, or one that is gone. */
static const struct flow_entry *packet_in_entry(const struct vsw *vsw, const struct of_packet_in *pin)
{
    uint32_t number = (uint32_t) pin->cookie;
    if (pin->table_id == T_DELIVER) {
        number = be32_get(pin->match.value.flow.regs[R_ENTRY - FIELD_REG0]);
    } else if (pin->cookie == UINT64_MAX || number < COOKIE_FIRST_VFLOW) {
        return NULL;
    }
    const struct vflow *vflow = vsw_find_number(vsw, number);
    return vflow ? vflow->entry : NULL;
}

struct vsw *slice_packet_in_read(const struct fabric *f, const struct of_packet_in *pin, struct of_packet_in *out)
{
    const struct flow *context = &pin->match.value.flow;
    struct vsw *vsw = fabric_find_vsw(f, be32_get(context->regs[R_VSW - FIELD_REG0]));
    uint32_t in_port = be32_get(context->regs[R_IN - FIELD_REG0]);
    if (!vsw || !vsw->is_slice) {
        return NULL;
    }
    bool is_miss = (uint32_t) pin->cookie == COOKIE_MISS;
    const struct flow_entry *entry = is_miss ? NULL : packet_in_entry(vsw, pin);
    bool from_set = pin->table_id == T_DELIVER;
    *out = (struct of_packet_in) {
        .buffer_id = OFP_NO_BUFFER, .total_len = pin->total_len, .reason = pin->reason, .cookie = entry && !from_set ? entry->cookie : UINT64_MAX,
        .table_id = entry ? entry->table_id : pin->table_id >= T_VIRT && pin->table_id <= T_VIRT_LAST ? (uint8_t) (pin->table_id - T_VIRT) : 0,
        .data = pin->data, .size = pin->size,
    };
    if (is_miss) {
        out->reason = OFPR_IMPLICIT_MISS;
    } else if (entry && !from_set && !entry->priority && !entry->match->n && pin->reason != OFPR_INVALID_TTL) {
        out->reason = OFPR_NO_MATCH;
    }
    const struct vport *vport = vsw_port_find(vsw, in_port);
    bool no_match = out->reason == OFPR_NO_MATCH || out->reason == OFPR_IMPLICIT_MISS;
    if (no_match && vport && vport->config & OFPPC_NO_PACKET_IN) {
        return NULL;
    }
    match_init(&out->match);
    match_set_u64(&out->match, FIELD_IN_PORT, in_port);
    if (context->metadata.v) {
        match_set_u64(&out->match, FIELD_METADATA, be64_get(context->metadata));
    }
    return vsw;
}

void slice_packet_in(struct fabric *f, const struct of_packet_in *pin)
{
    struct of_packet_in out;
    struct vsw *vsw = slice_packet_in_read(f, pin, &out);
    if (vsw && vsw->agent && limits_packet_in(vsw) && of_agent_packet_in(vsw->agent, &out)) {
        f->n_packet_ins++;
    } else {
        f->n_packet_ins_lost++;
    }
}
