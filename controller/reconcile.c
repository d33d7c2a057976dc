/*
 * Makes switches hold what their rulesets say.  The only writer to switches.
 *
 * Per connected switch: READING (its flows and groups are fetched and compared with the desired ones), then STEADY,
 * where whatever a ruleset pass left in the dirty and dead lists goes out as one batch closed by a barrier. One batch
 * is in flight at a time, so generations are confirmed in order. A reconnect starts with READING again; nothing is ever
 * wiped. Order within a batch: groups, barrier, flows added or changed, flows deleted, barrier, groups deleted, final
 * barrier (sections 6.2 and 6.5: a flow may refer only to a group that exists, and deleting a group takes its flows
 * along).
 */
#define LOG_MODULE "reconcile"
#include "controller/ruleset_impl.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "lib/log.h"

#define AUDIT_INTERVAL_NS (60 * UINT64_C(1000000000))
#define TICK_MS 500

struct waiter {
    struct list node;
    uint64_t deadline_ns;
    uint32_t owner;             /* 0: every switch that changed after `since`. */
    uint64_t since;
    void (*fn)(const struct err *, void *aux);
    void *aux;
};

struct reconcile {
    struct controller *controller;
    struct event *work;         /* Sends batches and looks at waiters, once per loop turn. */
    struct event *tick;         /* Deadlines and audits. */
    struct list waiters;
};

static void run(struct reconcile *);

static struct sw_rules *rules_of(const struct reconcile *r, const struct sw *sw)
{
    return sw_rules_find(r->controller->rulesets, sw->datapath_id);
}

void reconcile_poke(struct reconcile *r, struct sw_rules *s UNUSED)
{
    if (r) {
        event_active(r->work, EV_TIMEOUT, 0);
    }
}

void reconcile_kick(struct reconcile *r)
{
    event_active(r->work, EV_TIMEOUT, 0);
}

/* --- Sending --- */

static void send_group(struct sw_rules *s, struct rule_group *group, enum of_group_command command)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_GROUP_MOD, of_conn_next_xid(s->sw->conn));
    msg.group_mod.command = command;
    msg.group_mod.type = (uint8_t) group->type;
    msg.group_mod.group_id = group->id;
    if (command != OFPGC_DELETE) {
        msg.group_mod.buckets = group->buckets;         /* Lent for the encoding. */
        msg.group_mod.n_buckets = group->n_buckets;
    }
    group->xid = of_conn_send(s->sw->conn, &msg);
}

static void send_flow(struct sw_rules *s, struct rule *rule, enum of_flow_command command)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, of_conn_next_xid(s->sw->conn));
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = command;
    msg.flow_mod.table_id = rule->table;
    msg.flow_mod.priority = rule->priority;
    minimatch_expand(rule->match, &msg.flow_mod.match);
    if (command == OFPFC_ADD) {
        msg.flow_mod.cookie = rule->cookie;
        msg.flow_mod.instructions = rule->instructions; /* Lent. */
        s->n_sent_adds++;
    } else {
        s->n_sent_deletes++;
    }
    rule->xid = of_conn_send(s->sw->conn, &msg);
}

static uint32_t send_simple(struct sw_rules *s, enum of_type type)
{
    struct of_msg msg;
    of_msg_init(&msg, type, of_conn_next_xid(s->sw->conn));
    return of_conn_send(s->sw->conn, &msg);
}

/* Sends all that is dirty. The lists are emptied: what the switch refuses comes back as an error, what is lost with the connection is found by the next reading. */
static void send_batch(struct sw_rules *s)
{
    struct rule *rule;
    struct rule_group *group;
    bool groups = !list_empty(&s->dirty_groups), dead_groups = !list_empty(&s->dead_groups);

    LIST_FOR_EACH (group, dirty, &s->dirty_groups) {
        send_group(s, group, group->sent ? OFPGC_MODIFY : OFPGC_ADD);
        group->sent = true;
        list_remove(&group->dirty);
    }
    if (groups) {
        send_simple(s, OFPT_BARRIER_REQUEST);
    }
    LIST_FOR_EACH (rule, dirty, &s->dirty) {
        send_flow(s, rule, OFPFC_ADD);
        list_remove(&rule->dirty);
    }
    LIST_FOR_EACH (rule, dirty, &s->dead) {
        /* A dead rule whose identity was put again later is desired: the add has replaced it. */
        struct match match;
        minimatch_expand(rule->match, &match);
        if (!sw_rules_find_rule(s, rule->table, rule->priority, &match)) {
            send_flow(s, rule, OFPFC_DELETE_STRICT);
        }
        rule_free(rule);
    }
    if (dead_groups) {
        send_simple(s, OFPT_BARRIER_REQUEST);
        LIST_FOR_EACH (group, dirty, &s->dead_groups) {
            if (!sw_rules_find_group(s, group->id)) {
                send_group(s, group, OFPGC_DELETE);
            }
            rule_group_free(group);
        }
    }
    s->sent_generation = s->barrier_generation = s->generation;
    s->barrier_xid = send_simple(s, OFPT_BARRIER_REQUEST);
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
    }
    event_active(request->reconcile->work, EV_TIMEOUT, 0);
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

/* Ports on the switch that an earlier life of ours made and nobody wants any more. */
static void find_stale_ports(struct sw_rules *s)
{
    for (unsigned i = 0; i < s->sw->n_ports; i++) {
        const char *name = s->sw->ports[i].of.name;
        if (name[0] == 'p' && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1) && !find_port(s, name)) {
            s->stale_ports = xrealloc(s->stale_ports, (s->n_stale_ports + 1) * sizeof *s->stale_ports);
            s->stale_ports[s->n_stale_ports++] = xstrdup(name);
        }
    }
}

/* --- Reading back --- */

static void start_reading(struct sw_rules *s, bool audit)
{
    struct rule *rule;
    struct rule_group *group;
    struct of_msg msg;

    s->state = SYNC_READING;
    s->audit = audit;
    HMAP_FOR_EACH (rule, node, &s->rules) {
        rule->seen = false;
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        group->seen = false;
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

static void read_flow(struct sw_rules *s, const struct of_flow_stats *flow)
{
    struct rule *rule = sw_rules_find_rule(s, flow->table_id, flow->priority, &flow->match);
    if (rule) {
        rule->seen = rule->cookie == flow->cookie && instructions_equal(&rule->instructions, &flow->instructions);
        return;
    }
    /* Nobody wants it: it is deleted like a rule that was withdrawn. */
    rule = XNEW(struct rule);
    rule->table = flow->table_id;
    rule->priority = flow->priority;
    rule->match = minimatch_new(&flow->match);
    instructions_init(&rule->instructions);
    list_init(&rule->owned);
    list_init(&rule->dirty);
    list_push_back(&s->dead, &rule->dirty);
    s->generation++;
    repair(s, "was not ours", "a flow entry");
}

static void read_group(struct sw_rules *s, const struct of_group_desc *desc)
{
    struct rule_group *group = sw_rules_find_group(s, desc->group_id);
    if (group) {
        group->sent = true;
        group->seen = group->type == desc->type && buckets_equal(group->buckets, group->n_buckets, desc->buckets, desc->n_buckets);
        return;
    }
    group = XNEW(struct rule_group);
    group->id = desc->group_id;
    group->type = (enum of_group_type) desc->type;
    list_init(&group->owned);
    list_init(&group->dirty);
    list_push_back(&s->dead_groups, &group->dirty);
    s->generation++;
    repair(s, "was not ours", "a group");
}

/* Everything is read: what was not seen as it should be is dirty. */
static void finish_reading(struct reconcile *r, struct sw_rules *s)
{
    struct rule *rule;
    struct rule_group *group;
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
    if (!s->audit) {
        LOG(LOG_INFO, "switch %016" PRIx64 ": %zu rules wanted, %u to send", s->datapath_id, s->rules.n, n);
        find_stale_ports(s);
    }
    s->state = SYNC_STEADY;
    s->next_audit_ns = clock_now_ns(&r->controller->clock) + AUDIT_INTERVAL_NS;
    event_active(r->work, EV_TIMEOUT, 0);
}

static bool read_reply(struct reconcile *r, struct sw_rules *s, const struct of_msg *msg)
{
    if (s->state != SYNC_READING) {
        return false;
    }
    if (s->read_flows_xid && msg->xid == s->read_flows_xid && msg->multipart.type == OFPMP_FLOW) {
        for (unsigned i = 0; i < msg->multipart.flows.n; i++) {
            read_flow(s, &msg->multipart.flows.v[i]);
        }
        s->read_flows_xid = msg->multipart.flags & OFPMPF_MORE ? s->read_flows_xid : 0;
    } else if (s->read_groups_xid && msg->xid == s->read_groups_xid && msg->multipart.type == OFPMP_GROUP_DESC) {
        for (unsigned i = 0; i < msg->multipart.group_descs.n; i++) {
            read_group(s, &msg->multipart.group_descs.v[i]);
        }
        s->read_groups_xid = msg->multipart.flags & OFPMPF_MORE ? s->read_groups_xid : 0;
    } else {
        return false;
    }
    if (!s->read_flows_xid && !s->read_groups_xid) {
        finish_reading(r, s);
    }
    return true;
}

/* --- Errors --- */

static bool take_error(struct sw_rules *s, const struct of_msg *msg)
{
    char scratch[32];
    const char *name = of_error_name(msg->error.error, scratch);
    struct rule *rule;
    struct rule_group *group;

    HMAP_FOR_EACH (rule, node, &s->rules) {
        if (rule->xid == msg->xid) {
            struct buf text = BUF_INIT;
            struct match match;
            rule->failed = true;
            minimatch_expand(rule->match, &match);
            buf_printf(&text, "%s for table=%u,priority=%u,", name, rule->table, rule->priority);
            match_format(&match, &text);
            buf_puts(&text, " actions=");
            instructions_format(&rule->instructions, &text);
            str_copy(s->last_error, sizeof s->last_error, buf_cstr(&text));
            buf_fini(&text);
            goto found;
        }
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        if (group->xid == msg->xid) {
            group->failed = true;
            group->sent = false;
            snprintf(s->last_error, sizeof s->last_error, "%s for group %u", name, group->id);
            goto found;
        }
    }
    return false;
found:
    s->n_errors++;
    LOG_RATE(LOG_ERROR, 20, "switch %016" PRIx64 " refused a rule: %s", s->datapath_id, s->last_error);
    return true;
}

bool reconcile_reply(struct reconcile *r, struct sw *sw, struct of_msg *msg)
{
    struct sw_rules *s = rules_of(r, sw);
    if (!s || s->sw != sw) {
        return false;
    }
    switch (msg->type) {
    case OFPT_BARRIER_REPLY:
        if (s->barrier_xid && msg->xid == s->barrier_xid) {
            s->barrier_xid = 0;
            s->acked_generation = s->barrier_generation;
            event_active(r->work, EV_TIMEOUT, 0);
        }
        return true;                                    /* Inner barriers of a batch are ours, too. */
    case OFPT_MULTIPART_REPLY:
        return read_reply(r, s, msg);
    case OFPT_ERROR:
        return take_error(s, msg);
    default:
        return false;
    }
}

void reconcile_sw_up(struct reconcile *r, struct sw *sw)
{
    struct sw_rules *s = sw_rules_get(r->controller->rulesets, sw->datapath_id);
    struct rule_port *port;
    struct rule_group *group;
    struct rule *rule;

    s->sw = sw;
    s->barrier_xid = 0;
    s->port_requests = 0;
    s->acked_generation = 0;
    s->generation++;
    LIST_FOR_EACH (port, node, &s->ports) {
        port->requested = port->failed = false;
    }
    HMAP_FOR_EACH (group, node, &s->groups) {
        group->sent = group->failed = false;
    }
    HMAP_FOR_EACH (rule, node, &s->rules) {
        rule->failed = false;
    }
    start_reading(s, false);
}

void reconcile_sw_down(struct reconcile *r, struct sw *sw)
{
    struct sw_rules *s = rules_of(r, sw);
    if (s && s->sw == sw) {
        s->sw = NULL;
        s->state = SYNC_DISCONNECTED;
        s->barrier_xid = s->read_flows_xid = s->read_groups_xid = 0;
        s->acked_generation = 0;
        s->generation++;
    }
}

/* --- Waiting --- */

/* "host1 (0000000000000001)". */
#define SWITCH_NAME_SIZE 56
static const char *switch_name(const struct reconcile *r, const struct sw_rules *s, char *out)
{
    bool is_fabric;
    const struct edge *edge = model_edge_by_datapath(r->controller->model, s->datapath_id, &is_fabric);
    snprintf(out, SWITCH_NAME_SIZE, "%s (%016" PRIx64 ")", edge ? edge->name : "unknown", s->datapath_id);
    return out;
}

/* NULL when the switch holds everything, else what is missing, in `out`. */
static const char *missing(const struct reconcile *r, const struct sw_rules *s, char *out, size_t size)
{
    char name[SWITCH_NAME_SIZE];
    struct rule_port *port;

    if (!s->rules.n && !s->groups.n && list_empty(&s->ports)) {
        return NULL;
    }
    if (s->state == SYNC_DISCONNECTED) {
        snprintf(out, size, "switch %s is not connected", switch_name(r, s, name));
        return out;
    }
    LIST_FOR_EACH (port, node, &s->ports) {
        if (port->failed) {
            snprintf(out, size, "switch %s cannot make port %s: %s", switch_name(r, s, name), port->name, port->error);
            return out;
        }
        if (s->sw->is_vswitchd && !sw_port_by_name(s->sw, port->name)) {
            snprintf(out, size, "switch %s does not have port %s yet", switch_name(r, s, name), port->name);
            return out;
        }
    }
    if (s->state != SYNC_STEADY || s->acked_generation != s->generation) {
        snprintf(out, size, "switch %s has not confirmed its rules", switch_name(r, s, name));
        return out;
    }
    const struct rule *rule;
    HMAP_FOR_EACH (rule, node, &s->rules) {
        if (rule->failed) {
            snprintf(out, size, "switch %s refused a rule: %.300s", switch_name(r, s, name), s->last_error);
            return out;
        }
    }
    return NULL;
}

static bool has_owner(const struct sw_rules *s, uint32_t owner)
{
    const struct owner_rules *o;
    HMAP_FOR_EACH_WITH_HASH (o, node, (uint32_t) hash_mix64(owner), &s->owners) {
        if (o->owner == owner) {
            return true;
        }
    }
    return false;
}

/* Something changed that the rulesets do not say yet: until then no switch can be called in sync. */
#define COMPILING "rules are still being compiled"
static bool is_compiling(const struct reconcile *r)
{
    return fabric_busy(r->controller->fabric) || substrate_busy(r->controller->substrate);
}

/* What keeps the waiter waiting; NULL when nothing does. */
static const char *missing_for(const struct reconcile *r, uint32_t owner, uint64_t since, char *out, size_t size)
{
    const struct sw_rules *s;

    if (is_compiling(r)) {
        return COMPILING;
    }
    HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
        if (!owner) {
            if (s->changed > since && missing(r, s, out, size)) {
                return out;
            }
        } else if (s->state != SYNC_DISCONNECTED && s->acked_generation != s->generation && has_owner(s, owner)) {
            char name[SWITCH_NAME_SIZE];
            snprintf(out, size, "switch %s has not confirmed its rules", switch_name(r, s, name));
            return out;
        }
    }
    return NULL;
}

static void check_waiters(struct reconcile *r)
{
    char text[500];
    struct waiter *w;
    uint64_t now = clock_now_ns(&r->controller->clock);

    LIST_FOR_EACH (w, node, &r->waiters) {
        const char *what = missing_for(r, w->owner, w->since, text, sizeof text);
        if (!what || now >= w->deadline_ns) {
            struct err err = ERR_INIT;
            if (what) {
                err_set(&err, ERR_TIMEOUT, "", "%s", what);
                err_hint(&err, "vpcctl get edges shows each switch's state");
            }
            list_remove(&w->node);
            w->fn(what ? &err : NULL, w->aux);
            free(w);
        }
    }
}

static void wait_for(struct reconcile *r, struct waiter waiter, unsigned timeout_ms)
{
    struct waiter *w = XNEW(struct waiter);
    *w = waiter;
    w->deadline_ns = clock_now_ns(&r->controller->clock) + timeout_ms * UINT64_C(1000000);
    list_push_back(&r->waiters, &w->node);
    event_active(r->work, EV_TIMEOUT, 0);
}

void reconcile_wait(struct reconcile *r, uint64_t since, unsigned timeout_ms, void (*fn)(const struct err *, void *aux), void *aux)
{
    wait_for(r, (struct waiter) { .since = since, .fn = fn, .aux = aux }, timeout_ms);
}

void reconcile_wait_owner(struct reconcile *r, uint32_t owner, unsigned timeout_ms, void (*fn)(const struct err *, void *aux), void *aux)
{
    wait_for(r, (struct waiter) { .owner = owner, .fn = fn, .aux = aux }, timeout_ms);
}

static void run(struct reconcile *r)
{
    struct sw_rules *s;

    HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
        if (s->state == SYNC_STEADY) {
            if (!s->barrier_xid && s->acked_generation != s->generation) {
                send_batch(s);
            }
            run_ports(r, s);
        }
    }
    check_waiters(r);
}

static void work_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *aux)
{
    run(aux);
}

static void tick_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *aux)
{
    struct reconcile *r = aux;
    struct sw_rules *s;
    uint64_t now = clock_now_ns(&r->controller->clock);

    HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
        if (s->state == SYNC_STEADY && !s->barrier_xid && s->acked_generation == s->generation && now >= s->next_audit_ns) {
            start_reading(s, true);
        }
    }
    check_waiters(r);
}

struct reconcile *reconcile_new(struct controller *controller)
{
    struct reconcile *r = XNEW(struct reconcile);
    r->controller = controller;
    list_init(&r->waiters);
    r->work = event_new(controller->base, -1, 0, work_cb, r);
    r->tick = event_new(controller->base, -1, EV_PERSIST, tick_cb, r);
    struct timeval interval = { .tv_usec = TICK_MS * 1000 };
    event_add(r->tick, &interval);
    return r;
}

void reconcile_free(struct reconcile *r)
{
    if (r) {
        struct waiter *w;
        LIST_FOR_EACH (w, node, &r->waiters) {
            struct err err = ERR_INIT;
            err_set(&err, ERR_FAILED, "", "controllerd is stopping");
            list_remove(&w->node);
            w->fn(&err, w->aux);
            free(w);
        }
        event_free(r->work);
        event_free(r->tick);
        free(r);
    }
}

cJSON *reconcile_json(struct reconcile *r, const struct sw *sw)
{
    const struct sw_rules *s = sw_rules_find(r->controller->rulesets, sw->datapath_id);
    cJSON *json = cJSON_CreateObject();
    char text[500];

    if (!s) {
        json_add_string(json, "state", sw->connected ? "in-sync" : "disconnected");
        return json;
    }
    unsigned failed = 0;
    const struct rule *rule;
    HMAP_FOR_EACH (rule, node, &s->rules) {
        failed += rule->failed;
    }
    const char *what = is_compiling(r) ? COMPILING : missing(r, s, text, sizeof text);
    json_add_string(json, "state", s->state == SYNC_DISCONNECTED ? "disconnected" : failed ? "failed" : what ? "syncing" : "in-sync");
    json_add_u64(json, "rules", s->rules.n);
    json_add_u64(json, "groups", s->groups.n);
    json_add_u64(json, "failed", failed);
    if (what) {
        json_add_string(json, "missing", what);
    }
    if (failed) {
        json_add_string(json, "last_error", s->last_error);
    }
    return json;
}

void reconcile_metrics(struct reconcile *r, struct buf *out)
{
    static const struct { const char *name, *help; } rows[] = {
        { "rules", "Flow entries that the switch should hold" },
        { "flow_adds_total", "Flow entries sent to the switch" },
        { "flow_deletes_total", "Flow entries deleted from the switch" },
        { "errors_total", "Rules that the switch refused" },
        { "repairs_total", "Differences that an audit found and repaired" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sw_rules *s;
        buf_printf(out, "# HELP polder_switch_%s %s\n# TYPE polder_switch_%s %s\n", rows[i].name, rows[i].help, rows[i].name,
                   i ? "counter" : "gauge");
        HMAP_FOR_EACH (s, node, &r->controller->rulesets->switches) {
            const uint64_t values[] = { s->rules.n, s->n_sent_adds, s->n_sent_deletes, s->n_errors, s->n_repairs };
            bool is_fabric;
            const struct edge *edge = model_edge_by_datapath(r->controller->model, s->datapath_id, &is_fabric);
            buf_printf(out, "polder_switch_%s{switch=\"%s\"} %" PRIu64 "\n", rows[i].name, edge ? edge->name : "", values[i]);
        }
    }
}
