/* One switch: what the agent asks of its backend, answered from tables without a datapath. */
#include "utilities/control-bench/sim_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>

#include "lib/json.h"
#include "ofproto/meter_bands.h"

enum { MAX_FLOWS = 1 << 21, MAX_GROUPS = 1 << 16, MAX_METERS = 1 << 16, MAX_BACKOFF_MS = 250, PACKET_IN_RATE = 10000000 };

/* --- Tables --- */

static void note_change(struct sim_switch *sw, const struct flow_entry *e)
{
    if (e->table_id >= sw->first_counted && e->table_id <= sw->last_counted) {
        sw->n_changed++;
        if (sw->net->hooks.changed) {
            sw->net->hooks.changed(sw, e, sw->net->hooks_aux);
        }
    }
}

static struct of_error flow_insert(struct flow_entry *e, void *sw)
{
    note_change(sw, e);
    return OF_OK;
}

static struct of_error flow_modify(struct flow_entry *e, const struct instructions *old UNUSED, bool reset UNUSED, void *sw)
{
    note_change(sw, e);
    return OF_OK;
}

static void flow_remove(struct flow_entry *e, int reason, void *sw_)
{
    struct sim_switch *sw = sw_;
    sw->n_removed++;
    if (reason >= 0 && sw->agent) {
        of_agent_flow_removed(sw->agent, e, (uint8_t) reason);
    }
}

static void flow_counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *sw UNUSED)
{
    *packets = *bytes = 0;      /* No frame is ever counted. */
    *used_ns = e->created_ns;
}

static struct of_error group_ok(struct group *g UNUSED, void *sw UNUSED) { return OF_OK; }
static void group_gone(struct group *g UNUSED, void *sw UNUSED) { }

static struct of_error meter_insert(struct meter *m, void *sw)
{
    m->aux = meter_bands_new(m, clock_now_ns(&((struct sim_switch *) sw)->net->clock));
    return OF_OK;
}

static struct of_error meter_modify(struct meter *m, void *sw)
{
    free(m->aux);
    return meter_insert(m, sw);
}

static void meter_gone(struct meter *m, void *sw UNUSED) { free(m->aux); }
static void meter_counters(const struct meter *m UNUSED, struct of_meter_stats *out UNUSED, void *sw UNUSED) { }

static const struct flow_table_ops flow_ops = { flow_insert, flow_modify, flow_remove, flow_counters };
static const struct group_ops group_ops = { group_ok, group_ok, group_gone };
static const struct meter_ops meter_ops = { meter_insert, meter_modify, meter_gone, meter_counters };

/* --- The agent's backend --- */

static void features(void *sw_, struct of_features *out)
{
    struct sim_switch *sw = sw_;
    *out = (struct of_features) { .datapath_id = sw->dpid, .n_tables = OF_N_TABLES,
                                  .capabilities = OFPC_FLOW_STATS | OFPC_TABLE_STATS | OFPC_PORT_STATS | OFPC_GROUP_STATS };
}

static void desc(void *sw_, struct of_desc *out)
{
    struct sim_switch *sw = sw_;
    str_copy(out->mfr, sizeof out->mfr, "Polder");
    str_copy(out->hw, sizeof out->hw, "none");
    str_copy(out->sw, sizeof out->sw, "control-sim");
    snprintf(out->serial, sizeof out->serial, "%llu", (unsigned long long) sw->dpid);
    str_copy(out->dp, sizeof out->dp, "simulated switch");
}

static struct flow_tables *flows(void *sw) { return ((struct sim_switch *) sw)->flows; }
static struct group_table *groups(void *sw) { return ((struct sim_switch *) sw)->groups; }
static struct meter_table *meters(void *sw) { return ((struct sim_switch *) sw)->meters; }
static void table_stats(void *sw UNUSED, uint8_t table UNUSED, struct of_table_stats *out UNUSED) { }

static void ports(void *sw_, void (*fn)(const struct of_port *, void *), void *aux)
{
    struct sim_switch *sw = sw_;
    for (unsigned i = 0; i < sw->n_ports; i++) {
        fn(&sw->ports[i].of, aux);
    }
}

static bool port_stats(void *sw_, uint32_t port_no, struct of_port_stats *out)
{
    struct sim_switch *sw = sw_;
    *out = (struct of_port_stats) { .port_no = port_no };
    return port_no && port_no <= sw->n_ports;
}

static bool group_stats(void *sw UNUSED, struct group *g, struct of_group_stats *out)
{
    out->n_buckets = g->n_buckets;
    out->buckets = xcalloc(g->n_buckets ? g->n_buckets : 1, sizeof *out->buckets);
    return true;
}

static struct of_error port_mod(void *sw_, const struct of_port_mod *pm)
{
    struct sim_switch *sw = sw_;
    if (!pm->port_no || pm->port_no > sw->n_ports) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT);
    }
    struct of_port *port = &sw->ports[pm->port_no - 1].of;
    port->config = (port->config & ~pm->mask) | (pm->config & pm->mask);
    of_agent_port_status(sw->agent, OFPPR_MODIFY, port);
    return OF_OK;
}

static void barrier(void *sw UNUSED, void (*done)(void *), void *token)
{
    done(token);
}

static void controllers_changed(void *sw_, unsigned n_up)
{
    ((struct sim_switch *) sw_)->n_controllers = n_up;
}

/* What controllerd asks of a vswitchd: what it is, and which ports are cables. */
static char *polder_request(void *sw_, const char *json, size_t size)
{
    struct sim_switch *sw = sw_;
    struct err err = ERR_INIT;
    cJSON *request = json_parse(json, size, 1 << 16, &err), *reply = cJSON_CreateObject();
    const char *method = request ? cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "method")) : NULL;
    if (method && !strcmp(method, "features")) {
        json_add_string(json_add_object(reply, "result"), "version", "control-sim");
    } else if (method && !strcmp(method, "ports")) {
        cJSON *list = json_add_array(json_add_object(reply, "result"), "ports");
        for (unsigned i = 0; i < sw->n_ports; i++) {
            cJSON *port = json_append_object(list);
            json_add_string(port, "name", sw->ports[i].of.name);
            json_add_string(port, "type", i < sw->n_devices ? "vhost-user" : "dpdk");
            json_add_u64(port, "ofport", i + 1);
        }
    } else {
        err_set(&err, ERR_NOT_FOUND, "method", "a simulated switch has no %s", method ? method : "such method");
        cJSON_Delete(reply);
        reply = json_from_err(&err);
    }
    char *text = json_text(reply, false);
    cJSON_Delete(request);
    cJSON_Delete(reply);
    return text;
}

/* --- Frames --- */

struct frame_pass { const uint8_t *data; unsigned size; struct sim_packet_in *example; bool found; };

static void do_output(struct sim_switch *sw, uint32_t port_no, void *pass_)
{
    struct frame_pass *pass = pass_;
    if (!pass->example) {
        sim_transmit(sw, port_no, pass->data, pass->size);
    }
}

void sim_switch_packet_in(struct sim_switch *sw, const struct sim_packet_in *p)
{
    const struct meter *meter = p->meter_id ? meter_table_find(sw->meters, p->meter_id) : NULL;
    const struct meter_band *band = meter ? meter_bands_measure(meter->aux, p->in.size, clock_now_ns(&sw->net->clock)) : NULL;
    if (band && band->type == OFPMBT_DROP) {
        sw->n_metered++;
    } else {
        sw->n_packet_ins += of_agent_packet_in(sw->agent, &p->in);
    }
}

static void do_packet_in(struct sim_switch *sw, const struct sim_packet_in *in, void *pass_)
{
    struct frame_pass *pass = pass_;
    struct sim_packet_in whole = *in;
    whole.in.data = (uint8_t *) pass->data;     /* Lent. */
    whole.in.size = pass->size;
    whole.in.total_len = (uint16_t) pass->size;
    if (pass->example) {
        *pass->example = whole;
        pass->found = true;
    } else {
        sim_switch_packet_in(sw, &whole);
    }
}

void sim_switch_receive(struct sim_switch *sw, uint32_t in_port, const uint8_t *data, unsigned size)
{
    struct frame_pass pass = { data, size, NULL, false };
    const struct sim_verdict verdict = { do_output, do_packet_in, &pass };
    struct flow key;
    if (sw->agent && in_port && in_port <= sw->n_ports && !(sw->ports[in_port - 1].of.config & (OFPPC_PORT_DOWN | OFPPC_NO_RECV))) {
        sim_parse(data, size, in_port, &key);
        sim_pipeline(sw, &key, &verdict);
    }
}

bool sim_packet_in_example(struct sim_switch *sw, uint32_t in_port, const uint8_t *data, unsigned size, struct sim_packet_in *out)
{
    struct frame_pass pass = { data, size, out, false };
    const struct sim_verdict verdict = { do_output, do_packet_in, &pass };
    struct flow key;
    sim_parse(data, size, in_port, &key);
    sim_pipeline(sw, &key, &verdict);
    return pass.found;
}

static struct of_error packet_out(void *sw_, const struct of_packet_out *po)
{
    struct sim_switch *sw = sw_;
    struct frame_pass pass = { po->data, po->size, NULL, false };
    const struct sim_verdict verdict = { do_output, do_packet_in, &pass };
    struct flow key;
    if (wire_get16(po->data + 12) == SIM_LLDP_ETHERTYPE) {      /* The agent has seen to it that there is an Ethernet header. */
        sim_parse(po->data, po->size, po->in_port, &key);
        sim_actions(sw, &po->actions, &key, &verdict);
        return OF_OK;
    }
    sw->n_packet_outs++;
    if (sw->net->hooks.packet_out) {
        sw->net->hooks.packet_out(sw, po, sw->net->hooks_aux);
    }
    return OF_OK;
}

/* --- Life --- */

static const struct of_backend_ops ops = {
    .features = features, .desc = desc, .flows = flows, .groups = groups, .table_stats = table_stats, .ports = ports, .port_stats = port_stats,
    .group_stats = group_stats, .port_mod = port_mod, .packet_out = packet_out, .meters = meters, .barrier = barrier,
    .controllers_changed = controllers_changed,
}, vswitchd_ops = {
    .features = features, .desc = desc, .flows = flows, .groups = groups, .table_stats = table_stats, .ports = ports, .port_stats = port_stats,
    .group_stats = group_stats, .port_mod = port_mod, .packet_out = packet_out, .meters = meters, .barrier = barrier,
    .controllers_changed = controllers_changed, .polder_request = polder_request,
};

struct sim_switch *sim_switch_new(struct sim_net *net, uint64_t dpid, unsigned n_devices)
{
    struct sim_switch *sw = XNEW(struct sim_switch);
    sw->net = net;
    sw->last_counted = UINT8_MAX;
    sw->dpid = dpid;
    sw->flows = flow_tables_new(MAX_FLOWS, net->clock, &flow_ops, sw);
    sw->groups = group_table_new(MAX_GROUPS, net->clock, &group_ops, sw);
    sw->meters = meter_table_new(MAX_METERS, net->clock, &meter_ops, sw);
    sw->n_devices = sw->n_ports = n_devices;
    sw->ports = xcalloc(n_devices + 1, sizeof *sw->ports);
    for (unsigned i = 0; i < n_devices; i++) {
        struct of_port *of = &sw->ports[i].of;
        of->port_no = i + 1;
        of->hw_addr = mac_from_u64(UINT64_C(0x026400000000) | (dpid & 0xffff) << 16 | (i + 1));
        of->state = OFPPS_LIVE;
        snprintf(of->name, sizeof of->name, "d%u", i + 1);
    }
    return sw;
}

bool sim_switch_connect(struct sim_switch *sw, const char *target, struct err *err)
{
    __typeof__(((struct of_agent_config *) NULL)->controllers[0]) controller = { target, MAX_BACKOFF_MS };
    const struct of_agent_config config = {
        .controllers = &controller, .n_controllers = 1, .versions = 1u << OF13_VERSION, .packet_in_rate = PACKET_IN_RATE,
    };
    sw->agent = of_agent_new(sw->net->base, &config, sw->net->clock, sw->net->vswitchd ? &vswitchd_ops : &ops, sw, err);
    return sw->agent;
}

void sim_switch_free(struct sim_switch *sw)
{
    of_agent_free(sw->agent);
    sw->agent = NULL;
    flow_tables_free(sw->flows);
    group_table_free(sw->groups);
    meter_table_free(sw->meters);
    free(sw->ports);
    free(sw);
}
