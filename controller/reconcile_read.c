/*
 * Reading back: what a switch holds against what it should hold; after a connect, and now and then as an audit.
 *
 * What is as it should be is left alone, what differs is made dirty, what nobody wants is made dead: the next batch is
 * the smallest diff.
 */
#define LOG_MODULE "reconcile"
#include "controller/reconcile_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/substrate.h"
#include "controller/vsw_hold.h"
#include "lib/log.h"

static bool has_port(struct sw_rules *s, const char *name)
{
    struct rule_port *port;
    LIST_FOR_EACH (port, node, &s->ports) {
        if (!strcmp(port->name, name)) {
            return true;
        }
    }
    return false;
}

/* Ports on the switch that an earlier life of ours made and nobody wants any more. */
static void find_stale_ports(struct sw_rules *s)
{
    for (unsigned i = 0; i < s->sw->n_ports; i++) {
        const char *name = s->sw->ports[i].of.name;
        if (name[0] == 'p' && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1) && !has_port(s, name)) {
            s->stale_ports = xrealloc(s->stale_ports, (s->n_stale_ports + 1) * sizeof *s->stale_ports);
            s->stale_ports[s->n_stale_ports++] = xstrdup(name);
        }
    }
}

void reconcile_start_reading(struct reconcile *r UNUSED, struct sw_rules *s, bool audit)
{
    struct rule *rule;
    struct rule_group *group;
    struct rule_meter *meter;
    struct of_msg msg;

    s->state = SYNC_READING;
    s->audit = audit;
    s->read_again = false;
    HMAP_FOR_EACH (rule, node, &s->rules) {
        rule->seen = rule->there = false;
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        group->seen = false;
    }
    HMAP_FOR_EACH (meter, node, &s->meters) {
        meter->seen = false;
    }
    s->read_meters_xid = 0;
    if (!s->sw->is_fabric) {
        of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(s->sw->conn));
        msg.multipart.type = OFPMP_METER_CONFIG;
        msg.multipart.id = OFPM_ALL;
        s->read_meters_xid = of_conn_send(s->sw->conn, &msg);
    }
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(s->sw->conn));
    msg.multipart.type = OFPMP_GROUP_DESC;
    s->read_groups_xid = of_conn_send(s->sw->conn, &msg);
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(s->sw->conn));
    msg.multipart.type = OFPMP_FLOW;
    msg.multipart.filter.table_id = OFPTT_ALL;
    msg.multipart.filter.out_port = OFPP_ANY;
    msg.multipart.filter.out_group = OFPG_ANY;
    match_init(&msg.multipart.filter.match);
    s->read_flows_xid = of_conn_send(s->sw->conn, &msg);
}

static void repair(struct sw_rules *s, const char *what, const char *name)
{
    if (s->audit) {
        s->n_repairs++;
        LOG_RATE(LOG_WARN, 10, "switch %016" PRIx64 ": audit: %s %s, repaired", s->datapath_id, name, what);
    }
}

/* It is deleted like a rule that was withdrawn. */
static void bury_flow(struct sw_rules *s, const struct of_flow_stats *flow)
{
    union minimatch_room room;
    struct rule *rule = rule_new(flow->table_id, flow->priority, minimatch_build(&room, &flow->match));
    rule->flags = flow->flags & OFPFF_SEND_FLOW_REM;
    list_push_back(&s->dead, &rule->dirty);
    s->generation++;
}

/* The switch has another's counters in the rule's place. Cookies of one that goes on with them are numbers that count up from where they began. */
static void read_predecessor(struct reconcile *r, struct sw_rules *s, struct rule *rule, const struct of_flow_stats *flow)
{
    bool is_ours = s->known && !vsw_hold_keeps_flow(r->controller->fabric, flow->table_id, flow->cookie);
    rule->reset |= rule->begun && flow->cookie - rule->begun > rule->cookie - rule->begun;
    if (is_ours && rule->reset && flow->flags & OFPFF_SEND_FLOW_REM) {
        bury_flow(s, flow);                             /* So that the switch tells what it had counted: an add that replaces is silent. */
    }
}

static void read_flow(struct reconcile *r, struct sw_rules *s, const struct of_flow_stats *flow)
{
    struct rule *rule = sw_rules_find_rule(s, flow->table_id, flow->priority, &flow->match);
    if (rule) {
        rule->there = true;
        if (rule->cookie != flow->cookie) {
            read_predecessor(r, s, rule, flow);
        }
        rule->seen = rule->cookie == flow->cookie && rule->flags == (flow->flags & OFPFF_SEND_FLOW_REM) && instructions_equal(&rule->instructions, &flow->instructions);
        return;
    }
    if (vsw_hold_keeps_flow(r->controller->fabric, flow->table_id, flow->cookie)) {
        return;
    }
    bury_flow(s, flow);                                 /* Nobody wants it. */
    repair(s, "was not ours", "a flow entry");
}

static void read_group(struct reconcile *r, struct sw_rules *s, const struct of_group_desc *desc)
{
    struct rule_group *group = sw_rules_find_group(s, desc->group_id);
    if (group) {
        group->sent = true;
        group->chained = buckets_refer(desc->buckets, desc->n_buckets);
        group->seen = group->type == desc->type && buckets_equal(group->buckets, group->n_buckets, desc->buckets, desc->n_buckets);
        return;
    }
    if (vsw_hold_keeps_others(r->controller->fabric)) {
        return;
    }
    group = XNEW(struct rule_group);
    group->id = desc->group_id;
    group->type = (enum of_group_type) desc->type;
    list_init(&group->owned);
    list_init(&group->dirty);
    list_push_back(&s->dead_groups, &group->dirty);
    group->sent = true;
    group->chained = buckets_refer(desc->buckets, desc->n_buckets);
    group->buried = ++s->generation;
    repair(s, "was not ours", "a group");
}

static void read_meter(struct reconcile *r, struct sw_rules *s, const struct of_meter_mod *config)
{
    struct rule_meter *meter = sw_rules_find_meter(s, config->meter_id);
    if (meter) {
        meter->sent = true;
        /* An id of tenants' that was another's in an earlier life: rules that are kept for that one may name it. */
        meter->foreign = !s->known && meter->owner != OWNER_NETWORK(meter->owner);
        meter->seen = !meter->foreign && meter->flags == config->flags && bands_equal(meter->bands, meter->n_bands, config->bands, config->n_bands);
        return;
    }
    if (vsw_hold_keeps_others(r->controller->fabric)) {
        return;
    }
    meter = XNEW(struct rule_meter);
    meter->id = config->meter_id;
    list_init(&meter->owned);
    list_init(&meter->dirty);
    list_push_back(&s->dead_meters, &meter->dirty);
    meter->sent = true;
    meter->buried = ++s->generation;
    repair(s, "was not ours", "a meter");
}

/* Everything is read: what was not seen as it should be is dirty. */
static void finish_reading(struct reconcile *r, struct sw_rules *s)
{
    struct rule *rule;
    struct rule_group *group;
    struct rule_meter *meter;
    unsigned n = 0;

    HMAP_FOR_EACH (rule, node, &s->rules) {
        if (rule->seen && !list_empty(&rule->dirty)) {
            list_remove(&rule->dirty);                  /* Put while disconnected, and the switch has it. */
        } else if (!rule->seen && list_empty(&rule->dirty) && !(s->audit && rule->failed)) {
            list_push_back(&s->dirty, &rule->dirty);
            repair(s, "was missing or different", "a flow entry");
            s->generation++;
        }
        n += !list_empty(&rule->dirty);
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        if (!group->seen && list_empty(&group->dirty) && !(s->audit && group->failed)) {
            list_push_back(&s->dirty_groups, &group->dirty);
            repair(s, "was missing or different", "a group");
            s->generation++;
        }
    }
    HMAP_FOR_EACH (meter, node, &s->meters) {
        if (!meter->seen && list_empty(&meter->dirty) && !(s->audit && meter->failed)) {
            list_push_back(&s->dirty_meters, &meter->dirty);
            repair(s, "was missing or different", "a meter");
            s->generation++;
        }
    }
    if (!s->audit) {
        LOG(LOG_INFO, "switch %016" PRIx64 ": %zu rules wanted, %u to send", s->datapath_id, s->rules.n, n);
        find_stale_ports(s);
    }
    s->state = SYNC_STEADY;
    s->refused_generation = s->generation;              /* What is about to be sent may be refused, and leave what was read. */
    s->known = true;
    s->next_audit_ns = clock_now_ns(&r->controller->clock) + AUDIT_INTERVAL_NS;
    reconcile_poke(r, s);
}

bool reconcile_read_reply(struct reconcile *r, struct sw_rules *s, const struct of_msg *msg)
{
    if (s->state != SYNC_READING) {
        return false;
    }
    if (msg->type == OFPT_ERROR) {
        /* A switch without meters. */
        if (!s->read_meters_xid || msg->xid != s->read_meters_xid) {
            return false;
        }
        s->read_meters_xid = 0;
    } else if (s->read_meters_xid && msg->xid == s->read_meters_xid && msg->multipart.type == OFPMP_METER_CONFIG) {
        for (unsigned i = 0; i < msg->multipart.meter_configs.n; i++) {
            read_meter(r, s, &msg->multipart.meter_configs.v[i]);
        }
        s->read_meters_xid = msg->multipart.flags & OFPMPF_MORE ? s->read_meters_xid : 0;
    } else if (s->read_flows_xid && msg->xid == s->read_flows_xid && msg->multipart.type == OFPMP_FLOW) {
        for (unsigned i = 0; i < msg->multipart.flows.n; i++) {
            read_flow(r, s, &msg->multipart.flows.v[i]);
        }
        s->read_flows_xid = msg->multipart.flags & OFPMPF_MORE ? s->read_flows_xid : 0;
    } else if (s->read_groups_xid && msg->xid == s->read_groups_xid && msg->multipart.type == OFPMP_GROUP_DESC) {
        for (unsigned i = 0; i < msg->multipart.group_descs.n; i++) {
            read_group(r, s, &msg->multipart.group_descs.v[i]);
        }
        s->read_groups_xid = msg->multipart.flags & OFPMPF_MORE ? s->read_groups_xid : 0;
    } else {
        return false;
    }
    if (!s->read_flows_xid && !s->read_groups_xid && !s->read_meters_xid) {
        finish_reading(r, s);
    }
    return true;
}
