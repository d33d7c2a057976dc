/* Desired state by owner: the keep-or-change pass.  See ruleset.h. */
#include "controller/ruleset_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controller/vsw_hold.h"

struct rulesets *rulesets_new(struct controller *controller)
{
    struct rulesets *r = XNEW(struct rulesets);
    r->controller = controller;
    hmap_init(&r->switches);
    return r;
}

void rulesets_free(struct rulesets *r)
{
    if (r) {
        struct sw_rules *s;
        HMAP_FOR_EACH (s, node, &r->switches) {
            sw_rules_free(r, s);
        }
        hmap_fini(&r->switches);
        free(r);
    }
}

void ruleset_drop_switch(struct rulesets *r, uint64_t datapath_id)
{
    struct sw_rules *s = sw_rules_find(r, datapath_id);
    if (s) {
        assert(r->open != s);
        if (s->sw) {
            reconcile_sw_down(r->controller->reconcile, s->sw);
        }
        sw_rules_free(r, s);
    }
}

static void open_owner(struct rulesets *r, uint64_t datapath_id, uint32_t owner)
{
    assert(!r->open);
    struct sw_rules *s = r->open = sw_rules_get(r, datapath_id);
    struct owner_rules *o;

    r->open_generation = s->generation;
    r->open_owner = NULL;
    HMAP_FOR_EACH_WITH_HASH (o, node, (uint32_t) hash_mix64(owner), &s->owners) {
        if (o->owner == owner) {
            r->open_owner = o;
        }
    }
    if (!r->open_owner) {
        o = r->open_owner = XNEW(struct owner_rules);
        o->owner = owner;
        list_init(&o->rules);
        list_init(&o->groups);
        list_init(&o->meters);
        hmap_insert(&s->owners, &o->node, (uint32_t) hash_mix64(owner));
    }
}

void ruleset_edit_begin(struct rulesets *r, uint64_t datapath_id, uint32_t owner)
{
    open_owner(r, datapath_id, owner);
}

void ruleset_begin(struct rulesets *r, uint64_t datapath_id, uint32_t owner)
{
    open_owner(r, datapath_id, owner);
    struct sw_rules *s = r->open;
    struct rule *rule;
    LIST_FOR_EACH (rule, owned, &r->open_owner->rules) {
        rule->kept = false;
    }
    struct rule_group *group;
    LIST_FOR_EACH (group, owned, &r->open_owner->groups) {
        group->kept = false;
    }
    struct rule_meter *meter;
    LIST_FOR_EACH (meter, owned, &r->open_owner->meters) {
        meter->kept = false;
    }
    struct rule_port *port;
    LIST_FOR_EACH (port, node, &s->ports) {
        if (port->owner == owner) {
            port->kept = false;
        }
    }
}

static void make_dirty(struct sw_rules *s, struct list *node, struct list *head)
{
    list_remove(node);
    list_push_back(head, node);
    s->generation++;
}

/* What was put anew is not what was refused; but the switch may refuse that, too, and still have what was there before both. */
static void try_again(struct sw_rules *s, bool *failed)
{
    if (*failed) {
        s->refused_generation = s->generation;
    }
    rule_set_failed(s, failed, false);
}

/* Deletes are for what a connected switch may have. One that is away, or is being read and has not told of it, will be read: what it has then and nobody wants is
 * deleted. So the dead are never more than what was on the switch, whatever is put and withdrawn meanwhile. While some virtual switch is held the rule may have been put
 * where one of an earlier life of ours is. */
static void bury_rule(struct rulesets *r, struct sw_rules *s, struct rule *rule)
{
    hmap_remove(&s->rules, &rule->node);
    list_remove(&rule->owned);
    make_dirty(s, &rule->dirty, &s->dead);
    if (!s->sw || (!rule->there && !vsw_hold_keeps_others(r->controller->fabric))) {
        rule_free(s, rule);
    }
}

void ruleset_flow(struct rulesets *r, uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie,
                  const struct instructions *instructions)
{
    ruleset_flow_flags(r, table, priority, match, cookie, 0, instructions);
}

void ruleset_flow_flags(struct rulesets *r, uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie, uint16_t flags,
                        const struct instructions *instructions)
{
    struct instructions copy;
    instructions_copy(&copy, instructions);
    ruleset_flow_take(r, table, priority, match, cookie, flags, &copy);
}

void ruleset_flow_take(struct rulesets *r, uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie, uint16_t flags,
                       struct instructions *instructions)
{
    struct sw_rules *s = r->open;
    union minimatch_room room;
    const struct minimatch *mini = minimatch_build(&room, match);
    struct rule *rule = sw_rules_find_mini(s, table, priority, mini);

    /* Without a rule: a dead one may still be on the switch. */
    bool reset = flags & OFPFF_RESET_COUNTS || (flags & RULE_BEGINS && (!rule || rule->cookie != cookie));
    uint16_t kept_flags = flags & (uint16_t) ~(OFPFF_RESET_COUNTS | RULE_BEGINS | RULE_TELLS);

    assert(cookie);
    if (rule && rule->tells && reset && rule->cookie != cookie) {
        bury_rule(r, s, rule);
        rule = NULL;
    }
    if (rule) {
        assert(rule->owner == r->open_owner->owner);            /* Two owners with one identity: the compiler is wrong. */
        rule->kept = true;
        if (rule->cookie == cookie && rule->flags == kept_flags && !reset && instructions_equal(&rule->instructions, instructions)) {
            instructions_fini(instructions);
            return;
        }
        instructions_fini(&rule->instructions);
    } else {
        rule = rule_new(table, priority, mini);
        rule->owner = r->open_owner->owner;
        rule->kept = true;
        list_push_back(&r->open_owner->rules, &rule->owned);
        sw_rules_insert_rule(s, rule);
    }
    rule->cookie = cookie;
    rule->flags = kept_flags;
    rule->tells = flags & RULE_TELLS;
    rule->reset |= reset;
    rule->begun = reset ? cookie : rule->begun;
    rule->instructions = *instructions;
    instructions_init(instructions);
    rule->seen = false;
    make_dirty(s, &rule->dirty, &s->dirty);
    try_again(s, &rule->failed);
}

static void bury_group(struct sw_rules *s, struct rule_group *group)
{
    hmap_remove(&s->groups, &group->node);
    list_remove(&group->owned);
    make_dirty(s, &group->dirty, &s->dead_groups);
    group->buried = s->generation;
    if (!s->sw || !group->sent) {
        rule_group_free(s, group);                      /* As a rule's. */
    }
}

static void bury_meter(struct sw_rules *s, struct rule_meter *meter)
{
    hmap_remove(&s->meters, &meter->node);
    list_remove(&meter->owned);
    make_dirty(s, &meter->dirty, &s->dead_meters);
    meter->buried = s->generation;
    if (!s->sw || !meter->sent) {
        rule_meter_free(s, meter);
    }
}

bool ruleset_flow_gone(struct rulesets *r, uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie)
{
    struct rule *rule = sw_rules_find_rule(r->open, table, priority, match);
    if (!rule || rule->owner != r->open_owner->owner || rule->cookie != cookie) {
        return false;
    }
    /* While it is read: as far as is known. */
    bool is_there = r->open->sw && (rule->there || (r->open->state == SYNC_READING && rule->xid)) && !rule->failed;
    bury_rule(r, r->open, rule);
    return is_there;
}

void ruleset_group_gone(struct rulesets *r, uint32_t group_id)
{
    struct rule_group *group = sw_rules_find_group(r->open, group_id);
    if (group && group->owner == r->open_owner->owner) {
        bury_group(r->open, group);
    }
}

void ruleset_meter_gone(struct rulesets *r, uint32_t meter_id)
{
    struct rule_meter *meter = sw_rules_find_meter(r->open, meter_id);
    if (meter && meter->owner == r->open_owner->owner) {
        bury_meter(r->open, meter);
    }
}

static void note_reference(uint32_t group UNUSED, void *refers)
{
    *(bool *) refers = true;
}

bool buckets_refer(const struct of_bucket *buckets, unsigned n)
{
    bool refers = false;
    of_buckets_each_group(buckets, n, note_reference, &refers);
    return refers;
}

bool buckets_equal(const struct of_bucket *a, unsigned n_a, const struct of_bucket *b, unsigned n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (unsigned i = 0; i < n_a; i++) {
        if (a[i].weight != b[i].weight || a[i].watch_port != b[i].watch_port || a[i].watch_group != b[i].watch_group
            || !actions_equal(&a[i].actions, &b[i].actions)) {
            return false;
        }
    }
    return true;
}

void ruleset_group(struct rulesets *r, uint32_t group_id, enum of_group_type type, const struct of_bucket *buckets, unsigned n)
{
    struct sw_rules *s = r->open;
    struct rule_group *group = sw_rules_find_group(s, group_id);

    if (group) {
        assert(group->owner == r->open_owner->owner);
        group->kept = true;
        if (group->type == type && buckets_equal(group->buckets, group->n_buckets, buckets, n)) {
            return;
        }
        of_buckets_free(group->buckets, group->n_buckets);
    } else {
        group = XNEW(struct rule_group);
        group->owner = r->open_owner->owner;
        group->id = group_id;
        group->kept = true;
        list_init(&group->dirty);
        list_push_back(&r->open_owner->groups, &group->owned);
        hmap_insert(&s->groups, &group->node, (uint32_t) hash_mix64(group_id));
    }
    group->type = type;
    group->n_buckets = n;
    group->buckets = xcalloc(n ? n : 1, sizeof *group->buckets);
    for (unsigned i = 0; i < n; i++) {
        of_bucket_copy(&group->buckets[i], &buckets[i]);
    }
    group->seen = false;
    make_dirty(s, &group->dirty, &s->dirty_groups);
    try_again(s, &group->failed);
}

bool bands_equal(const struct of_meter_band *a, unsigned n_a, const struct of_meter_band *b, unsigned n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (unsigned i = 0; i < n_a; i++) {
        if (a[i].type != b[i].type || a[i].rate != b[i].rate || a[i].burst_size != b[i].burst_size || a[i].prec_level != b[i].prec_level) {
            return false;
        }
    }
    return true;
}

void ruleset_meter(struct rulesets *r, uint32_t meter_id, uint16_t flags, const struct of_meter_band *bands, unsigned n)
{
    struct sw_rules *s = r->open;
    struct rule_meter *meter = sw_rules_find_meter(s, meter_id);

    if (meter) {
        assert(meter->owner == r->open_owner->owner);
        meter->kept = true;
        if (meter->flags == flags && bands_equal(meter->bands, meter->n_bands, bands, n)) {
            return;
        }
        free(meter->bands);
    } else {
        meter = XNEW(struct rule_meter);
        meter->owner = r->open_owner->owner;
        meter->id = meter_id;
        meter->kept = true;
        list_init(&meter->dirty);
        list_push_back(&r->open_owner->meters, &meter->owned);
        hmap_insert(&s->meters, &meter->node, (uint32_t) hash_mix64(meter_id));
    }
    meter->flags = flags;
    meter->n_bands = n;
    meter->bands = xcalloc(n ? n : 1, sizeof *bands);
    memcpy(meter->bands, bands, n * sizeof *bands);
    meter->seen = false;
    make_dirty(s, &meter->dirty, &s->dirty_meters);
    try_again(s, &meter->failed);
}

void ruleset_port(struct rulesets *r, const char *name, const char *role, unsigned queues)
{
    struct sw_rules *s = r->open;
    struct rule_port *port;

    LIST_FOR_EACH (port, node, &s->ports) {
        if (!strcmp(port->name, name)) {
            port->kept = true;
            if (!strcmp(port->role, role) && port->queues == queues) {
                return;
            }
            port->requested = port->failed = false;
            goto fill;
        }
    }
    port = XNEW(struct rule_port);
    port->owner = r->open_owner->owner;
    port->kept = true;
    list_push_back(&s->ports, &port->node);
fill:
    str_copy(port->name, sizeof port->name, name);
    str_copy(port->role, sizeof port->role, role);
    port->queues = queues;
    s->generation++;
    s->ports_changed = true;
}

void ruleset_end(struct rulesets *r)
{
    struct sw_rules *s = r->open;
    struct owner_rules *o = r->open_owner;
    struct rule *rule;
    struct rule_group *group;
    struct rule_meter *meter;
    struct rule_port *port;

    LIST_FOR_EACH (rule, owned, &o->rules) {
        if (!rule->kept) {
            bury_rule(r, s, rule);
        }
    }
    LIST_FOR_EACH (group, owned, &o->groups) {
        if (!group->kept) {
            bury_group(s, group);
        }
    }
    LIST_FOR_EACH (meter, owned, &o->meters) {
        if (!meter->kept) {
            bury_meter(s, meter);
        }
    }
    LIST_FOR_EACH (port, node, &s->ports) {
        if (port->owner == o->owner && !port->kept) {
            if (s->sw) {                                /* Else they are read, too. */
                s->stale_ports = xrealloc(s->stale_ports, (s->n_stale_ports + 1) * sizeof *s->stale_ports);
                s->stale_ports[s->n_stale_ports++] = xstrdup(port->name);
            }
            list_remove(&port->node);
            free(port);
            s->generation++;
            s->ports_changed = true;
        }
    }
    ruleset_edit_end(r);
}

void ruleset_edit_end(struct rulesets *r)
{
    struct sw_rules *s = r->open;
    struct owner_rules *o = r->open_owner;
    if (list_empty(&o->rules) && list_empty(&o->groups) && list_empty(&o->meters)) {
        hmap_remove(&s->owners, &o->node);
        free(o);
    }
    r->open = NULL;
    r->open_owner = NULL;
    if (s->generation != r->open_generation) {
        s->changed = ++r->sequence;
    }
    if (s->generation != s->sent_generation) {
        reconcile_poke(r->controller->reconcile, s);
    }
}

uint64_t ruleset_sequence(const struct rulesets *r)
{
    return r->sequence;
}

unsigned ruleset_count(const struct rulesets *r, uint64_t datapath_id)
{
    const struct sw_rules *s = sw_rules_find(r, datapath_id);
    return s ? (unsigned) s->rules.n : 0;
}

void ruleset_each(const struct rulesets *r, uint64_t datapath_id,
                  void (*fn)(uint8_t, uint16_t, const struct match *, uint64_t, const struct instructions *, uint32_t, void *), void *aux)
{
    const struct sw_rules *s = sw_rules_find(r, datapath_id);
    struct rule *rule;

    if (s) {
        HMAP_FOR_EACH (rule, node, &s->rules) {
            struct match match;
            minimatch_expand(rule->match, &match);
            fn(rule->table, rule->priority, &match, rule->cookie, &rule->instructions, rule->owner, aux);
        }
    }
}

void ruleset_each_group(const struct rulesets *r, uint64_t datapath_id,
                        void (*fn)(uint32_t, enum of_group_type, const struct of_bucket *, unsigned, uint32_t, void *), void *aux)
{
    const struct sw_rules *s = sw_rules_find(r, datapath_id);
    struct rule_group *group;

    if (s) {
        HMAP_FOR_EACH (group, node, &s->groups) {
            fn(group->id, group->type, group->buckets, group->n_buckets, group->owner, aux);
        }
    }
}

void ruleset_each_meter(const struct rulesets *r, uint64_t datapath_id,
                        void (*fn)(uint32_t, uint16_t, const struct of_meter_band *, unsigned, uint32_t, void *), void *aux)
{
    const struct sw_rules *s = sw_rules_find(r, datapath_id);
    struct rule_meter *meter;

    if (s) {
        HMAP_FOR_EACH (meter, node, &s->meters) {
            fn(meter->id, meter->flags, meter->bands, meter->n_bands, meter->owner, aux);
        }
    }
}
