/*
 * Virtual entries, groups and meters to those of an edge.
 *
 * An entry of virtual table t becomes one rule in physical table 16 + t on each edge of the virtual switch where it can
 * match: its own match, plus reg0 (whose it is), with in_port as reg1. `output:P` becomes "reg2 = P, resubmit(,DELIVER)"
 * in a clone, because delivery translates the copy and the list may go on with the frame as it was.
 *
 * Action sets. As long as no entry of the virtual switch both writes actions and goes on to another table, an entry's
 * written actions are all that the set can hold at the pipeline's end, so they are compiled in the set's order (section
 * 5.10) behind its applied ones. That is exact, and costs the switch no set. Otherwise the switch's own set is used;
 * output is then "reg2 = P, resubmit", so that a later output takes its place. As a clone runs its copy of the set at
 * its end, each clone then empties that first, by way of table CLEAR; groups are in clones, too, since what a bucket
 * delivers over a virtual link may write to the set. What matches nothing is dropped, so it runs no set (section 5.4).
 *
 * A packet-in bears the entry's cookie when the entry itself outputs. One from an action set has no cookie (section
 * 7.4.1), but its entry's table: it goes by way of DELIVER, with the entry named in reg8. One from a bucket has neither;
 * vswitchd adds the table by itself. Elsewhere (Open vSwitch) a bucket is an action set, and those run no Nicira action
 * that names a meter: where an edge is no vswitchd, buckets go by way of DELIVER, too, and entries that lead to a group
 * name themselves in reg8 first.
 */
#include "controller/compile.h"

#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/ruleset.h"
#include "controller/vsw_hold.h"
#include "ofproto/polder.h"

#define MIN_PACKET_IN_BURST 16u

/* --- Actions --- */

void compile_controller(const struct vsw *vsw, struct actions *out)
{
    actions_controller(out, vsw->unmetered ? 0 : vsw->packet_in_meter);
}

/* What the edge drops at once: a flood of packet-ins costs nobody else anything. A tenth of a second's worth may come at once. */
static void put_packet_in_meter(struct edge_context *x)
{
    uint32_t rate = MAX(limits_packet_in_rate(x->vsw), 1u);
    struct of_meter_band band = { .type = OFPMBT_DROP, .rate = rate, .burst_size = MAX(rate / 10, MIN_PACKET_IN_BURST) };
    if (x->vsw->packet_in_meter && !x->vsw->unmetered) {
        ruleset_meter(x->controller->rulesets, x->vsw->packet_in_meter, OFPMF_PKTPS | OFPMF_BURST, &band, 1);
    }
}

static void output_virtual(const struct vsw *vsw, struct actions *out, uint32_t port)
{
    actions_load(out, R_OUT, 0, 32, port == OFPP_ALL && !vsw->is_slice ? OFPP_FLOOD : port);
    actions_resubmit(out, T_DELIVER);
}

static void copy_one(const struct action *a, struct actions *out)
{
    struct actions one = { .list = (struct action *) a, .n = 1 }, copy;
    actions_copy(&copy, &one);
    *actions_add(out, a->type) = copy.list[0];          /* Nested parts move. */
    free(copy.list);
}

/* Where what leaves the switch is put: a copy of the frame and its context, without the action set, unless nothing is behind. */
static struct actions *own_copy(struct actions *out, enum compile_behind behind)
{
    struct actions *copy = behind == BEHIND_NOTHING ? out : actions_clone(out);
    if (behind == BEHIND_SET) {
        actions_resubmit(copy, T_CLEAR);
    }
    return copy;
}

void compile_actions(const struct vsw *vsw, const struct actions *in, struct actions *out, enum compile_behind behind_all)
{
    for (unsigned i = 0; i < in->n; i++) {
        const struct action *a = &in->list[i];
        enum compile_behind behind = i + 1 == in->n ? behind_all : MAX(behind_all, BEHIND_MORE);
        if (a->type == ACTION_OUTPUT && a->output.port == OFPP_CONTROLLER) {
            compile_controller(vsw, out);
        } else if (a->type == ACTION_OUTPUT && a->output.port == OFPP_TABLE) {
            /* A packet-out: CLASSIFY leads on; unlike a resubmit's, the pipeline's action set runs. */
            actions_output(own_copy(out, behind), OFPP_TABLE);
        } else if (a->type == ACTION_OUTPUT) {
            output_virtual(vsw, own_copy(out, behind), a->output.port);
        } else if (a->type == ACTION_GROUP) {
            actions_group(behind == BEHIND_SET ? own_copy(out, behind) : out, vsw_physical_group(vsw, a->group));
        } else if (a->type == ACTION_CLONE) {
            compile_actions(vsw, &a->nested, own_copy(out, MAX(behind, BEHIND_MORE)), BEHIND_NOTHING);
        } else {
            copy_one(a, out);
        }
    }
}

/* Section 5.10's order; of one kind the last counts, but each field is one. */
static const enum action_type set_order[] = {
    ACTION_COPY_TTL_IN, ACTION_POP_VLAN, ACTION_POP_PBB, ACTION_POP_MPLS, ACTION_PUSH_MPLS, ACTION_PUSH_PBB, ACTION_PUSH_VLAN, ACTION_COPY_TTL_OUT,
    ACTION_DEC_MPLS_TTL, ACTION_DEC_NW_TTL, ACTION_SET_MPLS_TTL, ACTION_SET_NW_TTL, ACTION_SET_FIELD, ACTION_GROUP, ACTION_OUTPUT,
};

static void output_controller_from_set(const struct vsw *vsw, struct actions *out, uint32_t number)
{
    actions_load(out, R_ENTRY, 0, 32, number);
    output_virtual(vsw, out, OFPP_CONTROLLER);
}

static bool leads_to_group(const struct actions *in)
{
    bool leads = false;
    for (unsigned i = 0; !leads && i < in->n; i++) {
        leads = in->list[i].type == ACTION_GROUP || (in->list[i].type == ACTION_CLONE && leads_to_group(&in->list[i].nested));
    }
    return leads;
}

/* For a packet-in from a bucket of a group that these actions lead to. */
static void name_entry(const struct vsw *vsw, const struct actions *in, uint32_t number, struct actions *out)
{
    if (vsw->has_foreign_edge && leads_to_group(in)) {
        actions_load(out, R_ENTRY, 0, 32, number);
    }
}

/* What an action set with these actions in it does, as a list. number: the entry's; 0: a bucket. */
static void compile_set(const struct vsw *vsw, const struct actions *in, uint32_t number, struct actions *out)
{
    struct actions ordered;
    bool forwarded = false;
    actions_init(&ordered);
    for (unsigned k = 0; k < ARRAY_SIZE(set_order); k++) {
        const struct action *last = NULL;
        for (unsigned i = 0; i < in->n; i++) {
            if (in->list[i].type == set_order[k]) {
                last = &in->list[i];
                if (set_order[k] == ACTION_SET_FIELD) {
                    copy_one(last, &ordered);
                }
            }
        }
        bool forwards = set_order[k] == ACTION_GROUP || set_order[k] == ACTION_OUTPUT;
        if (last && set_order[k] != ACTION_SET_FIELD && !(forwards && forwarded)) {
            copy_one(last, &ordered);
            forwarded |= forwards;
        }
    }
    const struct action *end = ordered.n ? &ordered.list[ordered.n - 1] : NULL;
    if (end && (number || vsw->has_foreign_edge) && end->type == ACTION_OUTPUT && end->output.port == OFPP_CONTROLLER) {
        ordered.n--;                                    /* It owns nothing. */
        compile_actions(vsw, &ordered, out, BEHIND_MORE);
        if (number) {
            output_controller_from_set(vsw, out, number);
        } else {
            output_virtual(vsw, out, OFPP_CONTROLLER);
        }
    } else {
        compile_actions(vsw, &ordered, out, BEHIND_NOTHING);
    }
    actions_fini(&ordered);
}

/* Actions to be written to the switch's own set. */
static void compile_write(const struct vsw *vsw, const struct actions *in, uint32_t number, struct actions *out)
{
    for (unsigned i = 0; i < in->n; i++) {
        const struct action *a = &in->list[i];
        if (a->type == ACTION_OUTPUT && a->output.port == OFPP_CONTROLLER) {
            output_controller_from_set(vsw, out, number);
        } else if (a->type == ACTION_OUTPUT) {
            output_virtual(vsw, out, a->output.port);
        } else if (a->type == ACTION_GROUP) {
            actions_group(out, vsw_physical_group(vsw, a->group));
        } else {
            copy_one(a, out);
        }
    }
}

/* --- Entries --- */

static void set_register(struct match *match, enum field_id id, uint32_t value)
{
    match->value.flow.regs[id - FIELD_REG0] = be32_put(value);
    match->mask.flow.regs[id - FIELD_REG0] = be32_put(UINT32_MAX);
}

/* The in_port that it matches, 0: any. */
static uint32_t compile_match(const struct vsw *vsw, const struct flow_entry *entry, struct match *match)
{
    uint32_t in_port = 0;
    minimatch_expand(entry->match, match);
    if (match->mask.flow.in_port.v) {
        in_port = be32_get(match->value.flow.in_port);
        set_register(match, R_IN, in_port);
        match->value.flow.in_port = match->mask.flow.in_port = be32_put(0);
    }
    set_register(match, R_VSW, vsw->id);
    return in_port;
}

/* As an action, for what applies the set has to run behind it (section 5.9: write-metadata comes before the set is executed). */
static void write_metadata(const struct instructions *in, struct actions *out)
{
    actions_set_u64(out, FIELD_METADATA, in->metadata & in->metadata_mask);
    struct action *a = &out->list[out->n - 1];
    a->set_field.masked = in->metadata_mask != UINT64_MAX;
    a->set_field.mask = field_value_from_u64(in->metadata_mask);
}

static void compile_instructions(const struct vsw *vsw, const struct flow_entry *entry, struct instructions *out)
{
    const struct instructions *in = &entry->instructions;
    const struct vflow *vflow = entry->aux;
    bool set_known = !vsw->n_write_goto, write = in->has_write && in->write.n;

    if (in->has_meter) {
        out->has_meter = true;
        out->meter = vsw_physical_meter(vsw, in->meter);
    }
    if (in->has_apply) {
        out->has_apply = true;
        name_entry(vsw, &in->apply, vflow->number, &out->apply);
        compile_actions(vsw, &in->apply, &out->apply, !set_known ? BEHIND_SET : in->has_goto || write ? BEHIND_MORE : BEHIND_NOTHING);
    }
    if (write && set_known) {
        out->has_apply = true;
        if (in->has_metadata && in->metadata_mask) {
            write_metadata(in, &out->apply);
        }
        name_entry(vsw, &in->write, vflow->number, &out->apply);
        compile_set(vsw, &in->write, vflow->number, &out->apply);
    } else if (write) {
        out->has_write = true;
        name_entry(vsw, &in->write, vflow->number, &out->write);
        compile_write(vsw, &in->write, vflow->number, &out->write);
    }
    out->clear = in->clear && !set_known;
    out->has_metadata = in->has_metadata && !(write && set_known);
    out->metadata = in->metadata;
    out->metadata_mask = in->metadata_mask;
    if (in->has_goto) {
        out->has_goto = true;
        out->goto_table = (uint8_t) (T_VIRT + in->goto_table);
    }
}

struct entry_rule { struct match match; uint32_t in_port; uint64_t cookie; struct instructions instructions; };

static void entry_rule_init(struct entry_rule *rule, const struct vsw *vsw, const struct flow_entry *entry)
{
    rule->in_port = compile_match(vsw, entry, &rule->match);
    rule->cookie = COOKIE(vsw->id, ((const struct vflow *) entry->aux)->number);
    instructions_init(&rule->instructions);
    compile_instructions(vsw, entry, &rule->instructions);
}

/* reset: OFPFF_RESET_COUNTS, RULE_BEGINS or 0. last: the instructions are not needed again. */
static void rule_put_entry(struct rulesets *rulesets, const struct vsw *vsw, const struct flow_entry *entry, struct entry_rule *rule, unsigned reset, bool last)
{
    uint16_t flags = (uint16_t) ((vsw->is_slice ? OFPFF_SEND_FLOW_REM : 0) | reset);        /* Whatever the tenant asked for: its table's counters, too, want the last ones. */
    if (last) {
        ruleset_flow_take(rulesets, (uint8_t) (T_VIRT + entry->table_id), entry->priority, &rule->match, rule->cookie, flags, &rule->instructions);
    } else {
        ruleset_flow_flags(rulesets, (uint8_t) (T_VIRT + entry->table_id), entry->priority, &rule->match, rule->cookie, flags, &rule->instructions);
    }
}

/* A controller of OpenFlow 1.0 gets what matches nothing, unless its own entry is as unspecific as this one. */
static void put_miss(struct rulesets *rulesets, struct vsw *vsw)
{
    struct match all;
    match_init(&all);
    if (!vsw->misses || vsw_is_held(vsw) || flow_tables_find(vsw->flows, 0, 0, &all)) {
        return;
    }
    struct instructions in;
    instructions_init(&in);
    in.has_apply = true;
    compile_controller(vsw, &in.apply);
    match_set_u64(&all, R_VSW, vsw->id);
    ruleset_flow_flags(rulesets, T_VIRT, 0, &all, COOKIE(vsw->id, COOKIE_MISS), COUNTING_RULE, &in);
    instructions_fini(&in);
}

static bool takes_place_of_miss(const struct vsw *vsw, const struct flow_entry *entry)
{
    return vsw->misses && !entry->table_id && !entry->priority && !entry->match->n;
}

void compile_entry_put(struct vsw *vsw, const struct flow_entry *entry, bool begins)
{
    struct rulesets *rulesets = vsw->controller->rulesets;
    struct entry_rule rule;
    entry_rule_init(&rule, vsw, entry);
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        const struct edge *edge = vsw->network->landings[i].edge;
        if (!rule.in_port || vsw_in_port_on(vsw, rule.in_port, edge)) {
            ruleset_edit_begin(rulesets, edge->datapath_id, OWNER_ENTRIES(vsw->id));
            rule_put_entry(rulesets, vsw, entry, &rule, begins ? OFPFF_RESET_COUNTS : 0, i + 1 == vsw->network->n_landings);
            ruleset_edit_end(rulesets);
        }
    }
    instructions_fini(&rule.instructions);
}

unsigned compile_entry_gone(struct vsw *vsw, const struct flow_entry *entry)
{
    struct rulesets *rulesets = vsw->controller->rulesets;
    struct match match;
    uint64_t cookie = COOKIE(vsw->id, ((const struct vflow *) entry->aux)->number);
    uint32_t in_port = compile_match(vsw, entry, &match);
    unsigned n_told = 0;
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        const struct edge *edge = vsw->network->landings[i].edge;
        if (!in_port || vsw_in_port_on(vsw, in_port, edge)) {
            ruleset_edit_begin(rulesets, edge->datapath_id, OWNER_ENTRIES(vsw->id));
            n_told += ruleset_flow_gone(rulesets, (uint8_t) (T_VIRT + entry->table_id), entry->priority, &match, cookie);
            if (takes_place_of_miss(vsw, entry)) {
                put_miss(rulesets, vsw);
            }
            ruleset_edit_end(rulesets);
        }
    }
    return n_told;
}

/* What no entry of the table matches is counted by a rule of its own, where no entry of priority 0 could overlap with it. */
static void put_unmatched(struct edge_context *x, unsigned table)
{
    struct match match;
    struct instructions in;
    /* Where the tenant's entry of priority 0 may be held nothing takes its place. */
    bool wanted = x->vsw->counts_unmatched[table] && !(x->vsw->misses && !table) && !vsw_is_held(x->vsw);
    match_init(&match);
    match_set_u64(&match, R_VSW, x->vsw->id);
    if (wanted) {
        instructions_init(&in);
        in.has_apply = true;
        in.clear = true;
        actions_drop(&in.apply, DROP_NO_MATCH);
        ruleset_flow_flags(x->controller->rulesets, (uint8_t) (T_VIRT + table), 0, &match, COOKIE(x->vsw->id, COOKIE_UNMATCHED(table)), COUNTING_RULE, &in);
        instructions_fini(&in);
    } else {
        ruleset_flow_gone(x->controller->rulesets, (uint8_t) (T_VIRT + table), 0, &match, COOKIE(x->vsw->id, COOKIE_UNMATCHED(table)));
    }
}

static void edit_unmatched(struct edge_context *x, const void *table) { put_unmatched(x, *(const uint8_t *) table); }


/* --- Groups --- */

static void set_watch(struct of_bucket *b, uint32_t watch_port, uint32_t watch_group)
{
    b->watch_port = watch_port;
    b->watch_group = watch_group;
}

/*
 * What a bucket watches on this edge. A port that the edge has is watched by the switch itself. Of another one, behind a
 * link or on another edge, it is known here whether it is live: then the bucket watches a group that always is, else it
 * is left out (false); vsw_ports_review() compiles again when that changes.
 */
static bool compile_watch(const struct edge_context *x, uint8_t type, const struct of_bucket *in, struct of_bucket *out)
{
    set_watch(out, OFPP_ANY, OFPG_ANY);
    if (type != OFPGT_FF && type != OFPGT_SELECT) {
        return true;
    }
    if (in->watch_group != OFPG_ANY) {
        out->watch_group = vsw_physical_group(x->vsw, in->watch_group);
    }
    if (in->watch_port == OFPP_ANY) {
        return true;
    }
    const struct port *port = network_port_by_number(x->vsw->network, in->watch_port);
    uint32_t device = port && port->edge == x->edge && !port->link && !vsw_port_down(x->vsw, port) ? edge_device_port(x, port) : 0;
    if (device) {
        out->watch_port = device;
        return true;
    }
    bool live = port && port->edge != NULL && (port->link || port->edge != x->edge) && vsw_port_live(x->vsw, port);
    if (live && type == OFPGT_FF) {
        set_watch(out, OFPP_ANY, ALIVE_GROUP(x->vsw->id));
    }
    return live;
}

static void put_group(struct edge_context *x, const struct group *g)
{
    const struct vgroup *vgroup = g->aux;
    struct of_bucket *buckets = xcalloc(g->n_buckets + 1, sizeof *buckets);
    unsigned n = 0;
    for (unsigned i = 0; i < g->n_buckets; i++) {
        struct of_bucket *b = &buckets[n];
        if (compile_watch(x, g->type, &g->buckets[i], b)) {
            b->weight = g->buckets[i].weight;
            actions_init(&b->actions);
            compile_set(x->vsw, &g->buckets[i].actions, 0, &b->actions);
            n++;
        }
    }
    ruleset_group(x->controller->rulesets, vgroup->physical, (enum of_group_type) g->type, buckets, n);
    of_buckets_free(buckets, n);
}

unsigned compile_group_buckets(struct vsw *vsw, const struct edge *edge, const struct group *g, unsigned *bucket_of)
{
    struct edge_context x = {
        .controller = vsw->controller, .vsw = vsw, .edge = edge, .sw = substrate_find(vsw->controller->substrate, edge->datapath_id),
    };
    unsigned n = 0;
    for (unsigned i = 0; i < g->n_buckets; i++) {
        struct of_bucket bucket;
        if (compile_watch(&x, g->type, &g->buckets[i], &bucket)) {
            bucket_of[n++] = i;
        }
    }
    return n;
}

static void put_alive_group(struct edge_context *x)
{
    struct of_bucket bucket = { .watch_port = OFPP_ANY, .watch_group = OFPG_ANY };
    if (x->vsw->n_ff_groups) {
        actions_init(&bucket.actions);
        ruleset_group(x->controller->rulesets, ALIVE_GROUP(x->vsw->id), OFPGT_INDIRECT, &bucket, 1);
    } else {
        ruleset_group_gone(x->controller->rulesets, ALIVE_GROUP(x->vsw->id));   /* Behind those that watched it. */
    }
}

static struct edge_context context(struct vsw *vsw, const struct edge *edge)
{
    return (struct edge_context) {
        .controller = vsw->controller, .vsw = vsw, .edge = edge, .sw = substrate_find(vsw->controller->substrate, edge->datapath_id),
        .rule.rulesets = vsw->controller->rulesets,
    };
}

/* fn inside of an edit on each edge, except where all will be compiled anyway: a switch that leaves is dirty for good, and its network may be gone. */
static void edit_each_edge(struct vsw *vsw, void (*fn)(struct edge_context *, const void *object), const void *object)
{
    for (unsigned i = 0; !vsw->entries_dirty && i < vsw->network->n_landings; i++) {
        struct edge_context x = context(vsw, vsw->network->landings[i].edge);
        ruleset_edit_begin(vsw->controller->rulesets, x.edge->datapath_id, OWNER_ENTRIES(vsw->id));
        fn(&x, object);
        ruleset_edit_end(vsw->controller->rulesets);
    }
}

void compile_unmatched(struct vsw *vsw, uint8_t table) { edit_each_edge(vsw, edit_unmatched, &table); }

static void edit_group(struct edge_context *x, const void *g)
{
    if (x->vsw->n_ff_groups) {
        put_alive_group(x);
    }
    put_group(x, g);
    put_alive_group(x);
}

static void edit_group_gone(struct edge_context *x, const void *g)
{
    ruleset_group_gone(x->controller->rulesets, ((const struct vgroup *) ((const struct group *) g)->aux)->physical);
    put_alive_group(x);
}

void compile_group_put(struct vsw *vsw, const struct group *g) { edit_each_edge(vsw, edit_group, g); }
void compile_group_gone(struct vsw *vsw, const struct group *g) { edit_each_edge(vsw, edit_group_gone, g); }

static void put_group_again(struct group *g, void *x) { put_group(x, g); }

static void edit_groups(struct edge_context *x, const void *unused UNUSED)
{
    group_table_each(x->vsw->groups, put_group_again, x);
}

void compile_groups_again(struct vsw *vsw) { edit_each_edge(vsw, edit_groups, NULL); }

/* --- Meters --- */

static void edit_meter(struct edge_context *x, const void *m_)
{
    const struct meter *m = m_;
    ruleset_meter(x->controller->rulesets, ((const struct vmeter *) m->aux)->physical, m->flags, m->bands, m->n_bands);
}

static void edit_meter_gone(struct edge_context *x, const void *m)
{
    ruleset_meter_gone(x->controller->rulesets, ((const struct vmeter *) ((const struct meter *) m)->aux)->physical);
}

void compile_meter_put(struct vsw *vsw, const struct meter *m) { edit_each_edge(vsw, edit_meter, m); }
void compile_meter_gone(struct vsw *vsw, const struct meter *m) { edit_each_edge(vsw, edit_meter_gone, m); }

/* --- All of it --- */

static void put_meter_again(struct meter *m, void *x) { edit_meter(x, m); }

static void put_entry_again(struct flow_entry *entry, void *x_)
{
    struct edge_context *x = x_;
    struct entry_rule rule;
    entry_rule_init(&rule, x->vsw, entry);
    if (!rule.in_port || vsw_in_port_on(x->vsw, rule.in_port, x->edge)) {
        rule_put_entry(x->controller->rulesets, x->vsw, entry, &rule, ((const struct vflow *) entry->aux)->took_over ? 0 : RULE_BEGINS, true);
    }
    instructions_fini(&rule.instructions);
}

void compile_entries(struct vsw *vsw, const struct edge *edge)
{
    struct edge_context x = context(vsw, edge);
    struct of_flow_filter all;
    of_flow_filter_init(&all);
    ruleset_begin(vsw->controller->rulesets, edge->datapath_id, OWNER_ENTRIES(vsw->id));
    if (vsw->is_slice) {
        put_packet_in_meter(&x);
        put_alive_group(&x);
        group_table_each(vsw->groups, put_group_again, &x);
        meter_table_each(vsw->meters, put_meter_again, &x);
    }
    flow_tables_each(vsw->flows, &all, false, put_entry_again, &x);
    for (unsigned table = 0; table < VIRT_N_TABLES; table++) {
        if (vsw->counts_unmatched[table]) {
            put_unmatched(&x, table);
        }
    }
    put_miss(vsw->controller->rulesets, vsw);
    ruleset_end(vsw->controller->rulesets);
}
