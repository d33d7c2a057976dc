/*
 * A switch's own rules: what is there without any tenant.
 *
 * Fabric switches get plain OpenFlow 1.3 in table 0: LLDP to the controller, one entry per (edge, path class), a
 * table-miss that drops. Nothing in them grows with tenants, ports or flows.
 */
#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "ofproto/polder.h"

#define LLDP_MAC UINT64_C(0x0180c200000e)
#define LLDP_TYPE 0x88cc
#define EDGE_CLASS_MASK UINT64_C(0xffffffff0000)
#define PROVIDER_BYTE_MASK UINT64_C(0xff0000000000)
enum { ETH_ARP = 0x0806 };

static struct rule_builder *start(struct edge_context *x, uint8_t table, uint16_t priority)
{
    rule_start(&x->rule, table, priority, COOKIE_SUBSTRATE);
    return &x->rule;
}

static void to_controller(struct rule_builder *r)
{
    actions_output(rule_apply(r), OFPP_CONTROLLER);
    rule_apply(r)->list[rule_apply(r)->n - 1].output.max_len = OFPCML_NO_BUFFER;
}

static void lldp(struct edge_context *x, uint16_t priority, uint32_t in_port)
{
    struct rule_builder *r = start(x, T_CLASSIFY, priority);
    if (in_port) {
        match_set_u64(&r->match, FIELD_IN_PORT, in_port);
    }
    match_set_mac(&r->match, FIELD_ETH_DST, mac_from_u64(LLDP_MAC));
    match_set_u64(&r->match, FIELD_ETH_TYPE, LLDP_TYPE);
    to_controller(r);
    rule_put(r);
}

/* One entry per other edge: (edge, path class 0) to the next hop. */
static void forward(struct edge_context *x, uint8_t table)
{
    for (unsigned i = 0; i < model_count(x->controller->model, KIND_EDGE); i++) {
        const struct edge *edge = model_at(x->controller->model, KIND_EDGE, i);
        const struct sw *to = substrate_find(x->controller->substrate, edge->datapath_id);
        uint32_t hop = edge == x->edge || !to || !x->sw ? 0 : substrate_next_hop(x->controller->substrate, x->sw, to);
        if (hop) {
            struct rule_builder *r = start(x, table, 100);
            match_set_mac_masked(&r->match, FIELD_ETH_DST, mac_from_u64(provider_landing_mac(edge->index, 0, 0)),
                                 mac_from_u64(EDGE_CLASS_MASK));
            actions_output(rule_apply(r), hop);
            rule_put(r);
        }
    }
}

static void drop(struct edge_context *x, uint8_t table, uint16_t priority, enum drop_reason reason)
{
    start(x, table, priority);
    rule_drop(x, reason);
    rule_put(&x->rule);
}

static void pass(struct edge_context *x, uint8_t table, uint8_t next)
{
    rule_goto(start(x, table, 0), next);
    rule_put(&x->rule);
}

static void edge_in(struct edge_context *x)
{
    struct rule_builder *r;

    for (unsigned i = 0; x->sw && i < x->sw->n_ports; i++) {
        const struct sw_port *port = &x->sw->ports[i];
        if (port->has_link) {
            lldp(x, 210, port->of.port_no);
            r = start(x, T_CLASSIFY, 200);
            match_set_u64(&r->match, FIELD_IN_PORT, port->of.port_no);
            rule_goto(r, T_LANDING);
            rule_put(r);
        }
    }
    lldp(x, 50, 0);
    drop(x, T_CLASSIFY, 0, DROP_UNBOUND_PORT);

    r = start(x, T_LANDING, 50);
    match_set_mac_masked(&r->match, FIELD_ETH_DST, mac_from_u64(provider_landing_mac(x->edge->index, 0, 0)),
                         mac_from_u64(UINT64_C(0xffffff000000)));
    rule_drop(x, DROP_FOREIGN_LANDING);
    rule_put(r);
    r = start(x, T_LANDING, 40);
    match_set_mac_masked(&r->match, FIELD_ETH_DST, mac_from_u64(provider_landing_mac(0, 0, 0)), mac_from_u64(PROVIDER_BYTE_MASK));
    rule_goto(r, T_FABRIC);
    rule_put(r);
    drop(x, T_LANDING, 0, DROP_NOT_PROVIDER);
}

/* R_ARP restores, X_OUT writes, the ARP hardware addresses that equalled the frame's. */
static void arp_hardware(struct edge_context *x, uint8_t table, unsigned flags, bool restore)
{
    struct rule_builder *r = start(x, table, (uint16_t) (flags ? 10 + 10 * (unsigned) __builtin_popcount(flags) : 0));
    if (flags) {
        match_set_u64(&r->match, FIELD_ETH_TYPE, ETH_ARP);
        match_set_u64_masked(&r->match, R_FLAGS, flags, flags);
    }
    if (!restore) {
        actions_move(rule_apply(r), R_FLAGS, 0, R_PSRC, PSRC_FLAGS_OFS, 6);
        actions_move(rule_apply(r), R_PSRC, 0, FIELD_ETH_SRC, 0, 48);
        actions_move(rule_apply(r), R_PDST, 0, FIELD_ETH_DST, 0, 48);
    }
    if (flags & PROVIDER_ARP_SHA) {
        actions_move(rule_apply(r), FIELD_ETH_SRC, 0, FIELD_ARP_SHA, 0, 48);
    }
    if (flags & PROVIDER_ARP_THA) {
        actions_move(rule_apply(r), FIELD_ETH_DST, 0, FIELD_ARP_THA, 0, 48);
    }
    rule_goto(r, restore ? T_LAND : T_FABRIC);
    rule_put(r);
}

static void restore_miss(struct edge_context *x, uint8_t table, unsigned flag)
{
    struct rule_builder *r = start(x, table, 10);
    match_set_u64_masked(&r->match, R_FLAGS, flag, flag);
    rule_drop(x, DROP_RESTORE);
    rule_put(r);
    pass(x, table, (uint8_t) (table + 1));
}

static void edge_rules(struct edge_context *x)
{
    static const unsigned arp_flags[] = { 0, PROVIDER_ARP_SHA, PROVIDER_ARP_THA, PROVIDER_ARP_SHA | PROVIDER_ARP_THA };

    edge_in(x);
    drop(x, T_R_SRC, 0, DROP_FOREIGN_SOURCE);
    restore_miss(x, T_R_SIP, PROVIDER_SRC_IP);
    restore_miss(x, T_R_DIP, PROVIDER_DST_IP);
    for (unsigned i = 0; i < ARRAY_SIZE(arp_flags); i++) {
        arp_hardware(x, T_R_ARP, arp_flags[i], true);
        arp_hardware(x, T_X_OUT, arp_flags[i], false);
    }
    drop(x, T_LAND, 0, DROP_NO_OUTPUT);
    drop(x, T_DELIVER, 0, DROP_NO_PORT);
    pass(x, T_X_SIP, T_X_DIP);
    pass(x, T_X_DIP, T_X_OUT);
    forward(x, T_FABRIC);
    drop(x, T_FABRIC, 0, DROP_NO_PATH);
}

void compile_switch(struct controller *c, const struct edge *edge, bool is_fabric)
{
    struct sw *sw = substrate_find(c->substrate, edge->datapath_id);
    struct edge_context x = {
        .controller = c, .edge = edge, .sw = sw, .rule.rulesets = c->rulesets,
    };

    /* What a switch should hold while it is away is what it held: its ports and links are not known until it is back. */
    if (sw && !sw->connected && ruleset_count(c->rulesets, edge->datapath_id)) {
        return;
    }
    ruleset_begin(c->rulesets, edge->datapath_id, OWNER_SUBSTRATE);
    if (is_fabric) {
        lldp(&x, 200, 0);
        forward(&x, T_CLASSIFY);
        rule_put(start(&x, T_CLASSIFY, 0));             /* A fabric switch may be anything: no note, just nothing. */
    } else {
        edge_rules(&x);
    }
    ruleset_end(c->rulesets);
}
