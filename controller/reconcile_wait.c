/* Waiting for switches to confirm, and what is shown of them.  See ruleset.h. */
#include "controller/reconcile_impl.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric.h"
#include "controller/substrate.h"
#include "lib/json.h"

struct waiter {
    struct list node;
    uint64_t deadline_ns;
    uint32_t owner;             /* 0: every switch that changed after `since`. */
    uint64_t since;
    void (*fn)(const struct err *, void *aux);
    void *aux;
};

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
    if (s->n_failed) {
        snprintf(out, size, "switch %s refused a rule: %.300s", switch_name(r, s, name), s->last_error);
        return out;
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

void reconcile_check_waiters(struct reconcile *r)
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
    gather_poke(&r->work);
}

void reconcile_wait(struct reconcile *r, uint64_t since, unsigned timeout_ms, void (*fn)(const struct err *, void *aux), void *aux)
{
    wait_for(r, (struct waiter) { .since = since, .fn = fn, .aux = aux }, timeout_ms);
}

void reconcile_wait_owner(struct reconcile *r, uint32_t owner, unsigned timeout_ms, void (*fn)(const struct err *, void *aux), void *aux)
{
    wait_for(r, (struct waiter) { .owner = owner, .fn = fn, .aux = aux }, timeout_ms);
}

void reconcile_end_waiters(struct reconcile *r)
{
    struct waiter *w;
    LIST_FOR_EACH (w, node, &r->waiters) {
        struct err err = ERR_INIT;
        err_set(&err, ERR_FAILED, "", "controllerd is stopping");
        list_remove(&w->node);
        w->fn(&err, w->aux);
        free(w);
    }
}

/* --- Confirmations --- */

struct confirm_part { struct list node; struct confirm *confirm; uint64_t generation; };
struct confirm {
    void (*fn)(void *aux);
    void *aux;
    unsigned n_left, n;
    struct confirm_part parts[];
};

struct confirm *reconcile_confirm(struct reconcile *r, const uint64_t *datapath_ids, unsigned n, void (*fn)(void *aux), void *aux)
{
    struct confirm *confirm = xcalloc(1, sizeof *confirm + n * sizeof confirm->parts[0]);
    confirm->fn = fn;
    confirm->aux = aux;
    for (unsigned i = 0; i < n; i++) {
        struct sw_rules *s = sw_rules_find(r->controller->rulesets, datapath_ids[i]);
        if (s && s->sw && s->acked_generation != s->generation) {
            struct confirm_part *part = &confirm->parts[confirm->n_left++];
            *part = (struct confirm_part) { .confirm = confirm, .generation = s->generation };
            list_push_back(&s->confirms, &part->node);
        }
    }
    confirm->n = confirm->n_left;
    if (!confirm->n_left) {
        free(confirm);
        fn(aux);
        return NULL;
    }
    return confirm;
}

void confirm_cancel(struct confirm *confirm)
{
    for (unsigned i = 0; i < confirm->n; i++) {
        list_remove(&confirm->parts[i].node);
    }
    free(confirm);
}

void reconcile_confirmed(struct sw_rules *s, uint64_t generation)
{
    while (!list_empty(&s->confirms)) {
        struct confirm_part *part = CONTAINER_OF(s->confirms.next, struct confirm_part, node);
        struct confirm *confirm = part->confirm;
        if (part->generation > generation) {
            break;
        }
        list_remove(&part->node);
        if (!--confirm->n_left) {
            void (*fn)(void *) = confirm->fn;
            void *aux = confirm->aux;
            free(confirm);
            fn(aux);
        }
    }
}

/* --- Showing --- */

cJSON *reconcile_json(struct reconcile *r, const struct sw *sw)
{
    const struct sw_rules *s = sw_rules_find(r->controller->rulesets, sw->datapath_id);
    cJSON *json = cJSON_CreateObject();
    char text[500];

    if (!s) {
        json_add_string(json, "state", sw->connected ? "in-sync" : "disconnected");
        return json;
    }
    unsigned failed = s->n_failed;
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
