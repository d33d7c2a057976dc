/* What a switch should hold, as objects: found by identity, made, and given up.  See ruleset_impl.h. */
#include "controller/ruleset_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint32_t rule_hash(uint8_t table, uint16_t priority, const struct minimatch *match)
{
    return (uint32_t) hash_mix64((uint64_t) match->hash << 24 | (uint64_t) priority << 8 | table);
}

static uint32_t dpid_hash(uint64_t datapath_id)
{
    return (uint32_t) hash_mix64(datapath_id);
}

/* --- Life --- */

/* The object, which was last sent with this xid, is no more. The number may be one of a former connection, and another's now. */
static void forget_sent(struct sw_rules *s, const void *object, uint32_t xid)
{
    struct batch *batch;
    LIST_FOR_EACH (batch, node, &s->batches) {
        unsigned i = xid - batch->first_xid;
        if (i < batch->n && batch->sent[i].object == object) {
            batch->sent[i].object = NULL;
        }
    }
}

void batch_free(struct sw_rules *s, struct batch *batch)
{
    list_remove(&batch->node);
    s->n_batches--;
    if (!s->spare && batch->room <= SPARE_NOTES) {
        batch->n = 0;
        s->spare = batch;
        return;
    }
    free(batch->sent);
    free(batch);
}

struct batch *batch_new(struct sw_rules *s)
{
    struct batch *batch = s->spare ? s->spare : XNEW(struct batch);
    s->spare = NULL;
    list_push_back(&s->batches, &batch->node);
    s->n_batches++;
    return batch;
}

void rule_set_failed(struct sw_rules *s, bool *failed, bool value)
{
    s->n_failed += value;
    s->n_failed -= *failed;
    *failed = value;
}

struct rule *rule_new(uint8_t table, uint16_t priority, const struct minimatch *match)
{
    const size_t size = minimatch_size(match);
    struct rule *rule = xmalloc(sizeof *rule + size);
    memset(rule, 0, sizeof *rule);
    rule->match = memcpy(rule + 1, match, size);
    rule->table = table;
    rule->priority = priority;
    instructions_init(&rule->instructions);
    list_init(&rule->owned);
    list_init(&rule->dirty);
    return rule;
}

void rule_free(struct sw_rules *s, struct rule *rule)
{
    forget_sent(s, rule, rule->xid);
    rule_set_failed(s, &rule->failed, false);
    list_remove(&rule->owned);
    list_remove(&rule->dirty);
    instructions_fini(&rule->instructions);
    free(rule);
}

void rule_meter_free(struct sw_rules *s, struct rule_meter *meter)
{
    forget_sent(s, meter, meter->xid);
    rule_set_failed(s, &meter->failed, false);
    list_remove(&meter->owned);
    list_remove(&meter->dirty);
    free(meter->bands);
    free(meter);
}

void rule_group_free(struct sw_rules *s, struct rule_group *group)
{
    forget_sent(s, group, group->xid);
    rule_set_failed(s, &group->failed, false);
    list_remove(&group->owned);
    list_remove(&group->dirty);
    of_buckets_free(group->buckets, group->n_buckets);
    free(group);
}

void sw_rules_forget_dead(struct sw_rules *s)
{
    struct rule *rule;
    struct rule_group *group;
    struct rule_meter *meter;
    LIST_FOR_EACH (rule, dirty, &s->dead) {
        rule_free(s, rule);
    }
    LIST_FOR_EACH (group, dirty, &s->dead_groups) {
        rule_group_free(s, group);
    }
    LIST_FOR_EACH (meter, dirty, &s->dead_meters) {
        rule_meter_free(s, meter);
    }
    for (unsigned i = 0; i < s->n_stale_ports; i++) {
        free(s->stale_ports[i]);
    }
    s->n_stale_ports = 0;
}

void sw_rules_free(struct rulesets *r, struct sw_rules *s)
{
    struct rule *rule;
    struct rule_group *group;
    struct rule_meter *meter;
    struct rule_port *port;
    struct owner_rules *owner;

    HMAP_FOR_EACH (rule, node, &s->rules) {
        hmap_remove(&s->rules, &rule->node);
        rule_free(s, rule);
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        hmap_remove(&s->groups, &group->node);
        rule_group_free(s, group);
    }
    HMAP_FOR_EACH (meter, node, &s->meters) {
        hmap_remove(&s->meters, &meter->node);
        rule_meter_free(s, meter);
    }
    sw_rules_forget_dead(s);
    LIST_FOR_EACH (port, node, &s->ports) {
        list_remove(&port->node);
        free(port);
    }
    HMAP_FOR_EACH (owner, node, &s->owners) {
        hmap_remove(&s->owners, &owner->node);
        free(owner);
    }
    free(s->stale_ports);
    hmap_fini(&s->rules);
    hmap_fini(&s->groups);
    hmap_fini(&s->meters);
    hmap_fini(&s->owners);
    assert(list_empty(&s->confirms) && list_empty(&s->batches));       /* reconcile_sw_down() ended them. */
    if (s->spare) {
        free(s->spare->sent);
        free(s->spare);
    }
    list_remove(&s->work);
    hmap_remove(&r->switches, &s->node);
    free(s);
}

struct sw_rules *sw_rules_find(const struct rulesets *r, uint64_t datapath_id)
{
    struct sw_rules *s;
    HMAP_FOR_EACH_WITH_HASH (s, node, dpid_hash(datapath_id), &r->switches) {
        if (s->datapath_id == datapath_id) {
            return s;
        }
    }
    return NULL;
}

struct sw_rules *sw_rules_get(struct rulesets *r, uint64_t datapath_id)
{
    struct sw_rules *s = sw_rules_find(r, datapath_id);
    if (!s) {
        s = XNEW(struct sw_rules);
        s->datapath_id = datapath_id;
        hmap_init(&s->rules);
        hmap_init(&s->groups);
        hmap_init(&s->meters);
        hmap_init(&s->owners);
        list_init(&s->ports);
        list_init(&s->dirty);
        list_init(&s->dead);
        list_init(&s->dirty_groups);
        list_init(&s->dead_groups);
        list_init(&s->dirty_meters);
        list_init(&s->dead_meters);
        list_init(&s->work);
        list_init(&s->confirms);
        list_init(&s->batches);
        hmap_insert(&r->switches, &s->node, dpid_hash(datapath_id));
    }
    return s;
}

/* --- By identity --- */

struct rule *sw_rules_find_mini(const struct sw_rules *s, uint8_t table, uint16_t priority, const struct minimatch *match)
{
    struct rule *rule;
    HMAP_FOR_EACH_WITH_HASH (rule, node, rule_hash(table, priority, match), &s->rules) {
        if (rule->table == table && rule->priority == priority && minimatch_equal(rule->match, match)) {
            return rule;
        }
    }
    return NULL;
}

void sw_rules_insert_rule(struct sw_rules *s, struct rule *rule)
{
    hmap_insert(&s->rules, &rule->node, rule_hash(rule->table, rule->priority, rule->match));
}

struct rule *sw_rules_find_rule(const struct sw_rules *s, uint8_t table, uint16_t priority, const struct match *match)
{
    union minimatch_room room;
    return sw_rules_find_mini(s, table, priority, minimatch_build(&room, match));
}

const struct rule *rule_successor(const struct sw_rules *s, const struct rule *dead)
{
    return sw_rules_find_mini(s, dead->table, dead->priority, dead->match);
}

struct rule_meter *sw_rules_find_meter(const struct sw_rules *s, uint32_t id)
{
    struct rule_meter *meter;
    HMAP_FOR_EACH_WITH_HASH (meter, node, (uint32_t) hash_mix64(id), &s->meters) {
        if (meter->id == id) {
            return meter;
        }
    }
    return NULL;
}

struct rule_group *sw_rules_find_group(const struct sw_rules *s, uint32_t id)
{
    struct rule_group *group;
    HMAP_FOR_EACH_WITH_HASH (group, node, (uint32_t) hash_mix64(id), &s->groups) {
        if (group->id == id) {
            return group;
        }
    }
    return NULL;
}
