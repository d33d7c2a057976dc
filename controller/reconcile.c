/*
 * Makes switches hold what their rulesets say.  The only writer to switches.
 *
 * Per connected switch: READING (its flows, groups and meters are fetched and compared with the desired ones), then
 * STEADY, where whatever a ruleset pass or edit left in the dirty and dead lists goes out as one batch closed by a
 * barrier, once per loop turn. A few batches may be in flight; a switch answers barriers in order, so generations are
 * confirmed in order. While the window is full changes gather for the next batch, which is all the backpressure that is
 * needed: what changed twice meanwhile is sent once. A reconnect starts with READING again; nothing is ever wiped. What is
 * in a batch, and in which order, is reconcile_send.c's. Groups and meters are deleted one batch after what referred to
 * them, once that is confirmed; which is a change of its own (a generation), so that nobody but reconcile_wait() waits for it.
 *
 * Errors. A batch knows which xid carried what, so an error finds its rule at once. It comes before the batch's barrier
 * reply, so whoever owns the rule hears of it (fabric_refused()) before anybody is told that all is in force.
 */
#define LOG_MODULE "reconcile"
#include "controller/reconcile_impl.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "lib/log.h"

#define TICK_MS 500
#define MAX_BATCHES 16          /* In flight per switch. */

static struct sw_rules *rules_of(const struct reconcile *r, const struct sw *sw)
{
    return sw_rules_find(r->controller->rulesets, sw->datapath_id);
}

void reconcile_poke(struct reconcile *r, struct sw_rules *s)
{
    if (r) {
        if (list_empty(&s->work)) {
            list_push_back(&r->work_list, &s->work);
        }
        gather_poke(&r->work);
    }
}

void reconcile_kick(struct reconcile *r)
{
    if (!list_empty(&r->waiters) || !list_empty(&r->work_list)) {
        gather_poke(&r->work);
    }
}

/* The batch whose closing barrier has this xid. */
static struct batch *find_batch(const struct sw_rules *s, uint32_t barrier_xid)
{
    struct batch *batch;
    LIST_FOR_EACH (batch, node, &s->batches) {
        if (barrier_xid - batch->first_xid + 1 == batch->n) {
            return batch;
        }
    }
    return NULL;
}

/* --- vhost ports, by Polder requests --- */

struct port_request { struct reconcile *reconcile; uint64_t datapath_id; char name[33]; bool is_add; };

static struct rule_port *find_port(struct sw_rules *s, const char *name)
{
    struct rule_port *port;
    LIST_FOR_EACH (port, node, &s->ports) {
        if (!strcmp(port->name, name)) {
            return port;
        }
    }
    return NULL;
}

static void port_request_done(const cJSON *result UNUSED, const struct err *err, void *aux)
{
    struct port_request *request = aux;
    struct sw_rules *s = sw_rules_find(request->reconcile->controller->rulesets, request->datapath_id);
    if (s) {
        struct rule_port *port = find_port(s, request->name);
        s->port_requests -= s->port_requests > 0;
        if (err) {
            LOG(LOG_WARN, "switch %016" PRIx64 ": %s %s: %s", s->datapath_id, request->is_add ? "port-add" : "port-del", request->name,
                err->message);
            if (request->is_add && port) {
                port->failed = true;
                str_copy(port->error, sizeof port->error, err->message);
            }
        }
        s->ports_changed = true;
        reconcile_poke(request->reconcile, s);
    }
    reconcile_kick(request->reconcile);
    free(request);
}

static void port_request(struct reconcile *r, struct sw_rules *s, const char *method, const char *name, cJSON *params)
{
    struct port_request *request = XNEW(struct port_request);
    request->reconcile = r;
    request->datapath_id = s->datapath_id;
    request->is_add = !strcmp(method, "port-add");
    str_copy(request->name, sizeof request->name, name);
    s->port_requests++;
    sw_polder_request(s->sw, method, params, port_request_done, request);
}

static void run_ports(struct reconcile *r, struct sw_rules *s)
{
    struct rule_port *port;

    if (!s->sw->is_vswitchd) {
        return;
    }
    /* Stale ones go once the rules that used them are gone. */
    if (s->acked_generation == s->generation) {
        for (unsigned i = 0; i < s->n_stale_ports; i++) {
            if (!find_port(s, s->stale_ports[i]) && sw_port_by_name(s->sw, s->stale_ports[i])) {
                cJSON *params = cJSON_CreateObject();
                json_add_string(params, "name", s->stale_ports[i]);
                port_request(r, s, "port-del", s->stale_ports[i], params);
            }
            free(s->stale_ports[i]);
        }
        s->n_stale_ports = 0;
        s->ports_changed = false;
    }
    LIST_FOR_EACH (port, node, &s->ports) {
        if (!port->requested && !port->failed) {
            cJSON *params = cJSON_CreateObject();
            json_add_string(params, "name", port->name);
            json_add_string(params, "type", "vhost-user");
            json_add_string(params, "role", port->role);
            json_add_u64(params, "queues", port->queues);
            port->requested = true;                     /* Idempotent on the switch: asking for one that exists is fine. */
            port_request(r, s, "port-add", port->name, params);
        }
    }
}

/* --- Errors --- */

static void describe_rule(struct sw_rules *s, const struct rule *rule, const char *error)
{
    struct buf text = BUF_INIT;
    struct match match;
    minimatch_expand(rule->match, &match);
    buf_printf(&text, "%s for table=%u,priority=%u,", error, rule->table, rule->priority);
    match_format(&match, &text);
    buf_puts(&text, " actions=");
    instructions_format(&rule->instructions, &text);
    str_copy(s->last_error, sizeof s->last_error, buf_cstr(&text));
    buf_fini(&text);
}

/* The switch has not got it. Nothing of that counts when it was put anew since: that is on its way. */
static void mark_failed(struct sw_rules *s, const struct sent *sent, struct of_error error)
{
    if (sent->kind == DESIRED_RULE) {
        struct rule *rule = sent->object;
        rule_set_failed(s, &rule->failed, list_empty(&rule->dirty));
    } else if (sent->kind == DESIRED_GROUP) {
        struct rule_group *group = sent->object;
        rule_set_failed(s, &group->failed, list_empty(&group->dirty));
        bool exists = error.type == OFPET_GROUP_MOD_FAILED && error.code == OFPGMFC_GROUP_EXISTS;
        bool unknown = error.type == OFPET_GROUP_MOD_FAILED && error.code == OFPGMFC_UNKNOWN_GROUP;
        group->sent = sent->is_add ? exists : !unknown;                 /* A refused modify leaves what was there. */
    } else {
        struct rule_meter *meter = sent->object;
        rule_set_failed(s, &meter->failed, list_empty(&meter->dirty));
        bool exists = error.type == OFPET_METER_MOD_FAILED && error.code == OFPMMFC_METER_EXISTS;
        bool unknown = error.type == OFPET_METER_MOD_FAILED && error.code == OFPMMFC_UNKNOWN_METER;
        meter->sent = sent->is_add ? exists : !unknown;
    }
}

static void refused(struct reconcile *r, struct sw_rules *s, const struct sent *sent, struct of_error error)
{
    static const enum refused_kind kinds[] = { [DESIRED_RULE] = REFUSED_ENTRY, [DESIRED_GROUP] = REFUSED_GROUP, [DESIRED_METER] = REFUSED_METER };
    static const char *const nouns[] = { [DESIRED_RULE] = "entry", [DESIRED_GROUP] = "group", [DESIRED_METER] = "meter" };
    char scratch[32];
    const char *name = of_error_name(error, scratch);
    struct fabric *fabric = r->controller->fabric;

    s->n_errors++;
    if (sent->is_delete) {
        LOG_RATE(LOG_WARN, 20, "switch %016" PRIx64 " refused to delete a %s: %s", s->datapath_id, nouns[sent->kind], name);
        return;                                         /* An audit tries again. */
    }
    if (sent->object && sent->kind == DESIRED_RULE) {
        describe_rule(s, sent->object, name);
    } else {
        snprintf(s->last_error, sizeof s->last_error, "%s for %s %u", name, nouns[sent->kind], sent->number);
    }
    if (sent->object) {
        mark_failed(s, sent, error);
    }
    LOG_RATE(LOG_WARN, 20, "switch %016" PRIx64 " refused %s%s", s->datapath_id, sent->kind == DESIRED_RULE ? "a rule: " : "", s->last_error);
    if (fabric && (sent->kind == DESIRED_METER || sent->owner != OWNER_NETWORK(sent->owner))) {
        fabric_refused(fabric, OWNER_NETWORK(sent->owner), kinds[sent->kind], sent->number, error);
    }
}

static bool take_error(struct reconcile *r, struct sw_rules *s, const struct of_msg *msg)
{
    struct batch *batch;
    LIST_FOR_EACH (batch, node, &s->batches) {
        unsigned i = msg->xid - batch->first_xid;
        if (i < batch->n) {
            struct sent sent = batch->sent[i];
            batch->sent[i] = (struct sent) { .object = NULL };          /* One error each. */
            if (sent.object || sent.replaced || sent.is_delete) {       /* Of what was withdrawn since, nobody misses it. */
                refused(r, s, &sent, msg->error.error);
            }
            s->refused_generation = s->generation;
            return true;
        }
    }
    return false;
}

static void take_barrier(struct reconcile *r, struct sw_rules *s, uint32_t xid)
{
    struct batch *batch = find_batch(s, xid);
    if (!batch) {
        return;                                         /* An inner one. */
    }
    uint64_t generation = batch->generation;
    /* Those before it, too: a switch that lost an answer is not waited for. */
    struct batch *older;
    LIST_FOR_EACH (older, node, &s->batches) {
        bool last = older == batch;
        batch_free(s, older);
        if (last) {
            break;
        }
    }
    s->acked_generation = generation;
    s->generation += reconcile_graves_wait(s);          /* A change that is to be sent. */
    reconcile_confirmed(s, generation);
    if (s->acked_generation != s->generation || s->ports_changed) {
        reconcile_poke(r, s);
    }
    reconcile_kick(r);
}

bool reconcile_reply(struct reconcile *r, struct sw *sw, struct of_msg *msg)
{
    struct sw_rules *s = rules_of(r, sw);
    if (!s || s->sw != sw) {
        return false;
    }
    switch (msg->type) {
    case OFPT_BARRIER_REPLY:
        take_barrier(r, s, msg->xid);
        return true;                                    /* Inner barriers of a batch are ours, too. */
    case OFPT_MULTIPART_REPLY:
        return reconcile_read_reply(r, s, msg);
    case OFPT_ERROR:
        return reconcile_read_reply(r, s, msg) || take_error(r, s, msg);
    default:
        return false;
    }
}

void reconcile_sw_up(struct reconcile *r, struct sw *sw)
{
    struct sw_rules *s = sw_rules_get(r->controller->rulesets, sw->datapath_id);
    struct rule_port *port;
    struct rule_group *group;
    struct rule_meter *meter;
    struct rule *rule;

    s->sw = sw;
    s->ports_changed = true;
    s->port_requests = 0;
    s->acked_generation = s->refused_generation = 0;
    s->generation++;
    LIST_FOR_EACH (port, node, &s->ports) {
        port->requested = port->failed = false;
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        group->sent = group->failed = false;
    }
    HMAP_FOR_EACH (meter, node, &s->meters) {
        meter->sent = meter->failed = false;
    }
    HMAP_FOR_EACH (rule, node, &s->rules) {
        rule->failed = false;
    }
    s->n_failed = 0;
    reconcile_start_reading(r, s, false);
}

void reconcile_sw_down(struct reconcile *r, struct sw *sw)
{
    struct sw_rules *s = rules_of(r, sw);
    if (s && s->sw == sw) {
        s->sw = NULL;
        struct batch *batch;
        s->state = SYNC_DISCONNECTED;
        s->read_flows_xid = s->read_groups_xid = s->read_meters_xid = 0;
        LIST_FOR_EACH (batch, node, &s->batches) {
            batch_free(s, batch);
        }
        sw_rules_forget_dead(s);
        s->acked_generation = 0;
        s->generation++;
        reconcile_confirmed(s, UINT64_MAX);             /* Nobody waits for what cannot forward. */
        reconcile_kick(r);
    }
}

static void run(struct reconcile *r)
{
    struct sw_rules *s;

    LIST_FOR_EACH (s, work, &r->work_list) {
        if (s->state != SYNC_STEADY) {
            list_remove(&s->work);                      /* It is looked at when it has been read. */
            continue;
        }
        if (s->n_batches >= MAX_BATCHES) {
            continue;
        }
        list_remove(&s->work);
        if (s->sent_generation != s->generation || (!s->n_batches && s->acked_generation != s->generation)) {
            reconcile_send_batch(r, s);
        }
        if (s->ports_changed) {
            run_ports(r, s);
        }
    }
    reconcile_check_waiters(r);
}

bool reconcile_in_order(const struct reconcile *r, uint64_t datapath_id)
{
    const struct sw_rules *s = sw_rules_find(r->controller->rulesets, datapath_id);
    return s && s->state == SYNC_STEADY && list_empty(&s->dead) && list_empty(&s->dead_groups) && list_empty(&s->dead_meters);
}

/* Over the window of batches, if need be: packet-outs are few. */
void reconcile_flush(struct reconcile *r, uint64_t datapath_id)
{
    struct sw_rules *s = sw_rules_find(r->controller->rulesets, datapath_id);
    if (s && s->state == SYNC_STEADY && s->sent_generation != s->generation) {
        reconcile_send_batch(r, s);
    }
}

void reconcile_read_again(struct reconcile *r, uint64_t datapath_id)
{
    struct sw_rules *s = sw_rules_find(r->controller->rulesets, datapath_id);
    if (s) {
        s->read_again = true;
    }
}

static void work_cb(void *aux)
{
    run(aux);
}

static void tick_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *aux)
{
    struct reconcile *r = aux;
    struct sw_rules *s;
    uint64_t now = clock_now_ns(&r->controller->clock);

    HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
        bool idle = s->state == SYNC_STEADY && !s->n_batches && s->acked_generation == s->generation;
        if (idle && (s->read_again || now >= s->next_audit_ns)) {
            reconcile_start_reading(r, s, !s->read_again);
        }
    }
    reconcile_check_waiters(r);
}

struct reconcile *reconcile_new(struct controller *controller)
{
    struct reconcile *r = XNEW(struct reconcile);
    r->controller = controller;
    list_init(&r->waiters);
    list_init(&r->work_list);
    gather_init(&r->work, controller->base, &controller->idle_turn, work_cb, r);
    r->tick = event_new(controller->base, -1, EV_PERSIST, tick_cb, r);
    struct timeval interval = { .tv_usec = TICK_MS * 1000 };
    event_add(r->tick, &interval);
    buf_init(&r->out);
    return r;
}

void reconcile_free(struct reconcile *r)
{
    if (r) {
        struct sw_rules *s;
        reconcile_end_waiters(r);
        HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
            if (s->sw) {
                reconcile_sw_down(r, s->sw);
            }
        }
        LIST_FOR_EACH (s, work, &r->work_list) {
            list_remove(&s->work);
        }
        gather_fini(&r->work);
        event_free(r->tick);
        buf_fini(&r->out);
        free(r);
    }
}
