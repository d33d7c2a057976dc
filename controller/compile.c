/*
 * A network on an edge: the way in, and the devices behind its ports. The transport is transport.c's, what the network's
 * programmer wants compile_entry.c's.
 */
#include "controller/compile.h"

#include <stdlib.h>

#include "controller/edge_tables.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "ofproto/polder.h"

void rule_start(struct rule_builder *r, uint8_t table, uint16_t priority, uint64_t cookie)
{
    r->table = table;
    r->priority = priority;
    r->flags = 0;
    r->cookie = cookie;
    match_init(&r->match);
    instructions_init(&r->instructions);
}

struct actions *rule_apply(struct rule_builder *r)
{
    r->instructions.has_apply = true;
    return &r->instructions.apply;
}

void rule_goto(struct rule_builder *r, uint8_t table)
{
    r->instructions.has_goto = true;
    r->instructions.goto_table = table;
}

void rule_put(struct rule_builder *r)
{
    if (r->withdraws) {
        ruleset_flow_gone(r->rulesets, r->table, r->priority, &r->match, r->cookie);
    } else {
        ruleset_flow_flags(r->rulesets, r->table, r->priority, &r->match, r->cookie, (uint16_t) r->flags, &r->instructions);
    }
    instructions_fini(&r->instructions);
}

void rule_drop(struct edge_context *x, unsigned reason)
{
    actions_drop(rule_apply(&x->rule), (uint16_t) reason);
}

uint32_t edge_device_port(const struct edge_context *x, const struct port *port)
{
    char name[33];
    const struct sw_port *p = x->sw && !port->link ? sw_port_by_name(x->sw, port_device_name(port, name)) : NULL;
    return p && !p->has_link ? p->of.port_no : 0;
}

/* --- The way in --- */

static struct rule_builder *classify_start(struct edge_context *x, uint16_t priority, uint32_t device)
{
    rule_start(&x->rule, T_CLASSIFY, priority, COOKIE(x->vsw->id, COOKIE_TRANSPORT));
    match_set_u64(&x->rule.match, FIELD_IN_PORT, device);
    return &x->rule;
}

/* A packet-out to the tables: controllerd has set reg0 and reg1. No frame comes in by this port. */
static void classify_packet_out(struct edge_context *x)
{
    struct rule_builder *r = classify_start(x, 150, OFPP_CONTROLLER);
    match_set_u64(&r->match, R_VSW, x->vsw->id);
    rule_goto(r, T_VIRT);
    rule_put(r);
}

static void classify(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    if (x->vsw->is_slice) {
        classify_packet_out(x);
    }
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        uint32_t device = port->edge == x->edge && !port->link ? edge_device_port(x, port) : 0;
        if (!device) {
            continue;
        }
        bool spoof_check = x->vsw->is_slice && port->anti_spoofing, receives = vsw_port_receives(x->vsw, port);
        struct rule_builder *r = classify_start(x, 100, device);
        if (spoof_check && receives) {                  /* A VPC's ports are checked by its own entries. */
            match_set_mac(&r->match, FIELD_ETH_SRC, port->mac);
        }
        if (receives) {
            actions_load(rule_apply(r), R_VSW, 0, 32, x->vsw->id);
            actions_load(rule_apply(r), R_IN, 0, 32, vsw_port_no(port));
            rule_goto(r, T_VIRT);
        } else {
            rule_drop(x, DROP_PORT_CONFIG);
        }
        rule_put(r);
        if (spoof_check && receives) {
            r = classify_start(x, 90, device);
            rule_drop(x, DROP_ANTI_SPOOF);
            rule_put(r);
        }
    }
}

static void device_ports(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (port->edge == x->edge && !port->ofport_of[0] && !port->link) {
            char name[33];
            ruleset_port(x->controller->rulesets, port_device_name(port, name), port->vhost_role, port->vhost_queues);
        }
    }
}

void compile_network(struct controller *c, const struct vsw *vsw, const struct edge *edge)
{
    struct sw *sw = substrate_find(c->substrate, edge->datapath_id);
    struct edge_context x = {
        .controller = c, .vsw = vsw, .edge = edge, .sw = sw, .rule.rulesets = c->rulesets,
    };

    ruleset_begin(c->rulesets, edge->datapath_id, vsw->id);
    classify(&x);
    transport_restore(&x);
    transport_deliver(&x);
    transport_translate(&x);
    device_ports(&x);
    ruleset_end(c->rulesets);
}

void compile_network_guest(struct controller *c, const struct vsw *vsw, const struct edge *edge)
{
    struct edge_context x = {
        .controller = c, .vsw = vsw, .edge = edge, .sw = substrate_find(c->substrate, edge->datapath_id), .rule.rulesets = c->rulesets,
    };
    ruleset_begin(c->rulesets, edge->datapath_id, vsw->id);
    transport_restore(&x);
    ruleset_end(c->rulesets);
}

void compile_pair(struct vsw *vsw, const struct pair *pair, bool gone)
{
    struct controller *c = vsw->controller;
    const struct edge *sender = model_edge_by_index(c->model, pair->edge);
    for (unsigned i = 0; !vsw->dirty && i < vsw->n_edges; i++) {
        struct edge_context x = { .controller = c, .vsw = vsw, .rule.rulesets = c->rulesets };
        bool sends = sender && sender->datapath_id == vsw->edges[i];
        x.edge = sends ? sender : NULL;
        x.rule.withdraws = gone || (sends && pair->state != PAIR_ACTIVE);
        ruleset_edit_begin(c->rulesets, vsw->edges[i], vsw->id);
        (sends ? transport_translate_pair : transport_restore_pair)(&x, pair);
        ruleset_edit_end(c->rulesets);
    }
}

void compile_network_gone(struct controller *c, uint32_t network, uint64_t datapath_id)
{
    ruleset_begin(c->rulesets, datapath_id, network);
    ruleset_end(c->rulesets);
    ruleset_begin(c->rulesets, datapath_id, OWNER_ENTRIES(network));
    ruleset_end(c->rulesets);
}
