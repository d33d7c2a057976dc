/*
 * Virtual entries to edge rules.
 *
 * An entry of virtual table t becomes one rule in physical table 16 + t on each edge of the virtual switch: its own
 * match, plus reg0 (whose it is), with in_port as reg1. `output:P` becomes "reg2 = P, resubmit(,DELIVER)" in a clone,
 * because delivery translates the copy and the list may go on with the frame as it was.
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
    ruleset_flow(r->rulesets, r->table, r->priority, &r->match, r->cookie, &r->instructions);
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

static void output_virtual(struct actions *out, uint32_t port)
{
    actions_load(out, R_OUT, 0, 32, port == OFPP_ALL ? OFPP_FLOOD : port);
    actions_resubmit(out, T_DELIVER);
}

void compile_actions(const struct actions *in, struct actions *out, bool clone_last)
{
    for (unsigned i = 0; i < in->n; i++) {
        const struct action *a = &in->list[i];
        if (a->type == ACTION_OUTPUT) {
            bool last = i + 1 == in->n && !clone_last;
            output_virtual(last ? out : actions_clone(out), a->output.port);
        } else if (a->type == ACTION_CLONE) {
            compile_actions(&a->nested, actions_clone(out), false);
        } else {
            struct actions one = { (struct action *) a, 1 }, copy;
            actions_copy(&copy, &one);
            *actions_add(out, a->type) = copy.list[0];  /* Nested parts move. */
            free(copy.list);
        }
    }
}

/* --- Entries --- */

/* False when the entry can match nothing on this edge: its in_port is elsewhere. */
static bool compile_match(const struct edge_context *x, const struct flow_entry *entry, struct match *match)
{
    minimatch_expand(entry->match, match);
    if (match->mask.flow.in_port.v) {
        const struct port *port = model_port_by_id(x->controller->model, be32_get(match->value.flow.in_port));
        match_set_u64(match, R_IN, be32_get(match->value.flow.in_port));
        match->value.flow.in_port = match->mask.flow.in_port = be32_put(0);
        if (!port || port->edge != x->edge) {
            return false;
        }
    }
    match_set_u64(match, R_VSW, x->vsw->id);
    return true;
}

static void compile_entry(struct flow_entry *entry, void *aux)
{
    struct edge_context *x = aux;
    const struct instructions *in = &entry->instructions;
    const struct vflow *vflow = entry->aux;
    struct rule_builder *r = &x->rule;

    rule_start(r, (uint8_t) (T_VIRT + entry->table_id), entry->priority, COOKIE(x->vsw->id, vflow->number));
    if (!compile_match(x, entry, &r->match)) {
        return;
    }
    if (in->has_apply) {
        if (in->apply.n == 1 && in->apply.list[0].type == ACTION_DROP) {
            rule_drop(x, in->apply.list[0].drop_reason);
        } else {
            compile_actions(&in->apply, rule_apply(r), in->has_goto || x->vsw->n_write_actions);
        }
    }
    if (in->has_write) {
        r->instructions.has_write = true;
        compile_actions(&in->write, &r->instructions.write, false);
    }
    r->instructions.clear = in->clear;
    r->instructions.has_metadata = in->has_metadata;
    r->instructions.metadata = in->metadata;
    r->instructions.metadata_mask = in->metadata_mask;
    if (in->has_goto) {
        rule_goto(r, (uint8_t) (T_VIRT + in->goto_table));
    }
    rule_put(r);
}

/* --- The way in --- */

static void classify(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        uint32_t device = port->edge == x->edge ? edge_device_port(x, port) : 0;
        if (device) {
            struct rule_builder *r = &x->rule;
            rule_start(r, T_CLASSIFY, 100, COOKIE(x->vsw->id, COOKIE_TRANSPORT));
            match_set_u64(&r->match, FIELD_IN_PORT, device);
            actions_load(rule_apply(r), R_VSW, 0, 32, x->vsw->id);
            actions_load(rule_apply(r), R_IN, 0, 32, vsw_port_no(port));
            rule_goto(r, T_VIRT);
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
    struct of_flow_filter all = { .table_id = OFPTT_ALL, .out_port = OFPP_ANY, .out_group = OFPG_ANY };
    struct sw *sw = substrate_find(c->substrate, edge->datapath_id);
    struct edge_context x = {
        .controller = c, .vsw = vsw, .edge = edge, .sw = sw, .rule.rulesets = c->rulesets,
    };

    match_init(&all.match);
    ruleset_begin(c->rulesets, edge->datapath_id, vsw->id);
    classify(&x);
    transport_restore(&x);
    flow_tables_each(vsw->flows, &all, false, compile_entry, &x);
    transport_deliver(&x);
    transport_translate(&x);
    device_ports(&x);
    ruleset_end(c->rulesets);
}

void compile_network_gone(struct controller *c, uint32_t network, uint64_t datapath_id)
{
    ruleset_begin(c->rulesets, datapath_id, network);
    ruleset_end(c->rulesets);
}
