/*
 * A switch's own rules: what is there without any tenant.
 *
 * Fabric switches get plain OpenFlow 1.3 in table 0: LLDP to the controller, entries per (edge, path class), a
 * table-miss that drops. Nothing in them grows with tenants, ports or flows.
 *
 * Where there are several ways on, a fast-failover group (section 5.6.1) takes the first whose port is live, without
 * asking anybody. Groups are named by what they hold, so one serves all edges and classes with the same ways on, and
 * none ever changes: other ways are another group. On an edge, a frame that it sends itself (reg0 says whose it is) may
 * leave with another class than one in transit has (substrate_each_path()).
 */
#include "controller/compile.h"

#include <stdlib.h>

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

/* --- Ways on --- */

struct way { struct hmap_node node; uint32_t id, in_port; struct path_choices choices; };       /* A group that this switch has. */
struct ways { struct edge_context *x; uint8_t table; struct hmap groups; };

/* Where a choice leads: a switch sends nothing out of the port of arrival but by this name (section 7.2.5). */
static uint32_t way_port(const struct way *w, unsigned i)
{
    return w->choices.step[i].out_port == w->in_port ? OFPP_IN_PORT : w->choices.step[i].out_port;
}

static bool same_way(const struct way *a, const struct way *b)
{
    bool same = a->choices.n == b->choices.n;
    for (unsigned i = 0; same && i < a->choices.n; i++) {
        same = a->choices.step[i].out_port == b->choices.step[i].out_port && way_port(a, i) == way_port(b, i);
    }
    return same;
}

static void put_group(struct ways *ways, const struct way *w)
{
    struct of_bucket buckets[PATHS_CHOICES];
    for (unsigned i = 0; i < w->choices.n; i++) {
        buckets[i] = (struct of_bucket) { .watch_port = w->choices.step[i].out_port, .watch_group = OFPG_ANY };
        actions_init(&buckets[i].actions);
        actions_output(&buckets[i].actions, way_port(w, i));
    }
    ruleset_group(ways->x->controller->rulesets, w->id, OFPGT_FF, buckets, w->choices.n);
    for (unsigned i = 0; i < w->choices.n; i++) {
        actions_fini(&buckets[i].actions);
    }
}

static const struct way *find_group(const struct ways *ways, uint32_t id)
{
    const struct way *w;
    HMAP_FOR_EACH_WITH_HASH (w, node, (uint32_t) hash_mix64(id), &ways->groups) {
        if (w->id == id) {
            return w;
        }
    }
    return NULL;
}

/* The group's number comes from what it holds; the next one if another group has it. */
static uint32_t group_of(struct ways *ways, const struct way *wanted)
{
    uint64_t hash = wanted->choices.n;
    for (unsigned i = 0; i < wanted->choices.n; i++) {
        hash = hash_mix64(hash ^ ((uint64_t) wanted->choices.step[i].out_port << 32 | way_port(wanted, i)));
    }
    for (uint32_t i = 0;; i++) {
        const uint32_t id = PATH_GROUP(hash + i);
        const struct way *found = find_group(ways, id);
        if (found && same_way(found, wanted)) {
            return id;
        }
        if (!found) {
            struct way *w = xmalloc(sizeof *w);
            *w = *wanted;
            w->id = id;
            hmap_insert(&ways->groups, &w->node, (uint32_t) hash_mix64(id));
            put_group(ways, w);
            return id;
        }
    }
}

static void put_path(const struct path_rule *rule, void *ways_)
{
    struct ways *ways = ways_;
    struct edge_context *x = ways->x;
    const struct way way = { .in_port = rule->in_port, .choices = *rule->choices };
    struct rule_builder *r = start(x, ways->table, rule->in_port ? 120 : rule->local ? 100 : 110);
    match_set_mac_masked(&r->match, FIELD_ETH_DST, mac_from_u64(provider_landing_mac(rule->to->index, rule->class, 0)),
                         mac_from_u64(EDGE_CLASS_MASK));
    if (rule->in_port) {
        match_set_u64(&r->match, FIELD_IN_PORT, rule->in_port);
    } else if (!rule->local && ways->table == T_FABRIC) {
        match_set_u64(&r->match, R_VSW, 0);
    }
    if (rule->local && rule->send_as != rule->class) {
        actions_load(rule_apply(r), FIELD_ETH_DST, LANDING_CLASS_OFS, 8, rule->send_as);
    }
    if (way.choices.n > 1 && !x->sw->lacks_failover) {
        actions_group(rule_apply(r), group_of(ways, &way));
    } else {
        actions_output(rule_apply(r), way_port(&way, 0));
    }
    rule_put(r);
}

static void forward(struct edge_context *x, uint8_t table)
{
    struct ways ways = { .x = x, .table = table };
    struct way *w;
    hmap_init(&ways.groups);
    if (x->sw) {
        substrate_each_path(x->controller->substrate, x->sw, put_path, &ways);
    }
    HMAP_FOR_EACH (w, node, &ways.groups) {
        hmap_remove(&ways.groups, &w->node);
        free(w);
    }
    hmap_fini(&ways.groups);
}

/* --- An edge's own tables --- */

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

/* Of a switch that has not come yet nothing is known. */
static bool is_inexact(const struct sw *sw) { return sw && sw->connected_ns && !sw->is_vswitchd; }

/* To and from such an edge (NULL: this one) only the frame's own addresses are replaced, for what is inside of it would not always arrive as it was: which headers Open
 * vSwitch takes for IP or ARP, behind how many tags, and which checksums it updates, is not what vswitchd does, nor is its update of checksums a bijection. */
static void only_macs(struct edge_context *x, const struct edge *to)
{
    struct rule_builder *r = start(x, T_X_SIP, 200);
    if (to) {
        match_set_u64_masked(&r->match, R_PDST, (uint64_t) to->index << LANDING_EDGE_OFS, UINT64_C(0xffff) << LANDING_EDGE_OFS);
    }
    actions_load(rule_apply(r), R_FLAGS, (unsigned) __builtin_ctz(PROVIDER_ARP_SHA), 2, 0);
    rule_goto(r, T_X_OUT);
    rule_put(r);
}

static void inexact_edges(struct edge_context *x)
{
    const struct model *model = x->controller->model;
    if (is_inexact(x->sw)) {
        only_macs(x, NULL);
        return;
    }
    for (unsigned i = 0; i < model_count(model, KIND_EDGE); i++) {
        const struct edge *edge = model_at(model, KIND_EDGE, i);
        if (is_inexact(substrate_find(x->controller->substrate, edge->datapath_id))) {
            only_macs(x, edge);
        }
    }
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
    inexact_edges(x);
    pass(x, T_X_SIP, T_X_DIP);
    pass(x, T_X_DIP, T_X_OUT);
    forward(x, T_FABRIC);
    drop(x, T_FABRIC, 0, DROP_NO_PATH);
    start(x, T_CLEAR, 0)->instructions.clear = true;
    rule_put(&x->rule);
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
