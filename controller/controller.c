#define LOG_MODULE "controller"
#include "controller/controller.h"

#include <event2/event.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "controller/fabric.h"
#include "controller/link_routes.h"
#include "controller/rest.h"
#include "controller/room.h"
#include "controller/ruleset.h"
#include "controller/store.h"
#include "controller/substrate.h"
#include "lib/log.h"
#include "ofproto/of_share.h"

/* --- Commits: one at a time, from the open transaction to the recompiled networks --- */

struct waiter { struct list node; void (*fn)(void *aux); void *aux; };
struct commits {
    struct model_txn *txn;      /* On its way to the store, or NULL. */
    controller_commit_fn *fn;
    void *aux;
    struct event *empty;        /* Ends a transaction that changes nothing, from the loop. */
    struct event *idle;         /* Serves the waiters. */
    struct list waiters;
};

bool controller_busy(const struct controller *c) { return c->commits->txn; }

static void serve_waiters(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct controller *c = c_;
    while (!c->commits->txn && !list_empty(&c->commits->waiters)) {
        struct waiter *w = CONTAINER_OF(c->commits->waiters.next, struct waiter, node);
        list_remove(&w->node);
        w->fn(w->aux);
        free(w);
    }
}

void controller_when_idle(struct controller *c, void (*fn)(void *aux), void *aux)
{
    struct waiter *w = XNEW(struct waiter);
    *w = (struct waiter) { .fn = fn, .aux = aux };
    list_push_back(&c->commits->waiters, &w->node);
    if (!c->commits->txn) {
        event_active(c->commits->idle, EV_TIMEOUT, 0);
    }
}

static void finish(struct controller *c, const struct err *err)
{
    struct commits *q = c->commits;
    controller_commit_fn *fn = q->fn;
    q->txn = NULL;
    fn(err, model_revision(c->model), q->aux);
    event_active(q->idle, EV_TIMEOUT, 0);
}

static void on_empty(evutil_socket_t fd UNUSED, short what UNUSED, void *c_)
{
    struct controller *c = c_;
    model_txn_abort(c->commits->txn);
    finish(c, NULL);
}

/* A switch whose object goes, or takes another datapath id, is let go while its object still lives. */
static void forget_switches(struct controller *c, const struct model_change *changes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct model_change *change = &changes[i];
        bool is_switch = change->kind == KIND_EDGE || change->kind == KIND_FABRIC_SWITCH;
        const struct edge *edge = is_switch && change->action != MODEL_CREATE ? model_find(c->model, change->kind, change->name) : NULL;
        uint64_t datapath_id;
        if (!edge) {
            continue;
        }
        const char *after = change->action == MODEL_DELETE ? NULL
                            : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(change->new_spec, "datapath_id"));
        if (!after || !str_to_hex(after, 16, &datapath_id) || datapath_id != edge->datapath_id) {
            substrate_forget(c->substrate, edge->datapath_id);
        }
    }
}

/* What a transaction touched, kept beyond its end. */
struct touched { uint32_t *networks; char **slices; unsigned n_networks, n_slices; bool substrate, room; };

static struct touched touched_by(const struct model_txn *txn)
{
    struct touched t;
    const uint32_t *networks = model_txn_networks(txn, &t.n_networks);
    const char *const *slices = model_txn_slices(txn, &t.n_slices);
    unsigned n;
    const struct model_change *changes = model_txn_changes(txn, &n);
    t.substrate = model_txn_substrate_changed(txn);
    t.room = false;
    for (unsigned i = 0; i < n; i++) {
        t.room |= changes[i].kind == KIND_TENANT || changes[i].kind == KIND_EDGE;
    }
    t.networks = xcalloc(t.n_networks + 1, sizeof *t.networks);
    t.slices = xcalloc(t.n_slices + 1, sizeof *t.slices);
    if (t.n_networks) {
        memcpy(t.networks, networks, t.n_networks * sizeof *networks);
    }
    for (unsigned i = 0; i < t.n_slices; i++) {
        t.slices[i] = xstrdup(slices[i]);
    }
    return t;
}

static void touched_free(struct touched *t)
{
    for (unsigned i = 0; i < t->n_slices; i++) {
        free(t->slices[i]);
    }
    free(t->slices);
    free(t->networks);
}

/* The model is committed: the layers below hear of it, from the physical to the virtual. */
static void tell(struct controller *c, const struct touched *t)
{
    if (t->substrate) {
        substrate_model_changed(c->substrate);
        fabric_substrate_changed(c->fabric);
    }
    if (t->room) {
        room_changed(c->fabric);
    }
    if (t->n_networks) {
        substrate_bindings_changed(c->substrate);
    }
    if (t->n_slices || t->substrate) {
        link_routes_update(c);
    }
    fabric_networks_changed(c->fabric, t->networks, t->n_networks);
    for (unsigned i = 0; i < t->n_slices; i++) {
        const struct slice *slice = model_find(c->model, KIND_SLICE, t->slices[i]);
        if (slice) {
            fabric_slice_changed(c->fabric, slice);
        }
    }
}

static void on_stored(const struct err *err, void *c_)
{
    struct controller *c = c_;
    struct commits *q = c->commits;
    if (err) {
        LOG(LOG_ERROR, "revision %llu was not stored: %s", (unsigned long long) model_txn_revision(q->txn), err->message);
        model_txn_abort(q->txn);
        finish(c, err);
        return;
    }
    unsigned n_changes;
    const struct model_change *changes = model_txn_changes(q->txn, &n_changes);
    struct touched touched = touched_by(q->txn);
    c->revisions[model_txn_revision(q->txn) % ARRAY_SIZE(c->revisions)] =
        (struct revision_mark) { model_txn_revision(q->txn), ruleset_sequence(c->rulesets) };
    if (touched.substrate) {
        forget_switches(c, changes, n_changes);
    }
    model_txn_commit(q->txn);
    tell(c, &touched);
    LOG(LOG_INFO, "revision %llu: %u objects changed, %u networks touched", (unsigned long long) model_revision(c->model), n_changes, touched.n_networks);
    touched_free(&touched);
    finish(c, NULL);
}

uint64_t controller_sequence_before(const struct controller *c, uint64_t revision)
{
    const struct revision_mark *mark = &c->revisions[revision % ARRAY_SIZE(c->revisions)];
    return revision && mark->revision == revision ? mark->sequence : 0;
}

void controller_commit(struct controller *c, struct model_txn *txn, controller_commit_fn *fn, void *aux)
{
    struct commits *q = c->commits;
    unsigned n;
    const struct model_change *changes = model_txn_changes(txn, &n);
    q->txn = txn;
    q->fn = fn;
    q->aux = aux;
    if (!n) {
        event_active(q->empty, EV_TIMEOUT, 0);
        return;
    }
    store_commit(c->store, model_txn_revision(txn), changes, n, on_stored, c);
}

/* --- What the substrate tells the layers below --- */

static void on_sw_up(struct sw *sw, void *c_)
{
    struct controller *c = c_;
    reconcile_sw_up(c->reconcile, sw);
    fabric_sw_up(c->fabric, sw);
}

static void on_sw_down(struct sw *sw, void *c_)
{
    struct controller *c = c_;
    reconcile_sw_down(c->reconcile, sw);
    fabric_sw_down(c->fabric, sw);
}

static void on_ports_changed(struct sw *sw, void *c_) { fabric_ports_changed(((struct controller *) c_)->fabric, sw); }
static void on_reach_changed(void *c_) { fabric_reach_changed(((struct controller *) c_)->fabric); }
static void on_links_changed(void *c_) { fabric_links_changed(((struct controller *) c_)->fabric); }
static void on_packet_in(struct sw *sw, struct of_packet_in *in, void *c_) { fabric_packet_in(((struct controller *) c_)->fabric, sw, in); }

static bool on_reply(struct sw *sw, struct of_msg *msg, void *c_)
{
    struct controller *c = c_;
    return reconcile_reply(c->reconcile, sw, msg) || fabric_reply(c->fabric, sw, msg);
}

/* --- Life --- */

/* Makes a directory and those above it. */
static bool make_dir(const char *path, const char *field, struct err *err)
{
    char *copy = xstrdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok && p; ) {
        p = strchr(p, '/');
        if (p) {
            *p = '\0';
        }
        ok = !mkdir(copy, p ? 0755 : 0750) || errno == EEXIST;
        if (!ok) {
            err_set(err, ERR_FAILED, field, "%s: %s", copy, strerror(errno));
        }
        if (p) {
            *p++ = '/';
        }
    }
    free(copy);
    return ok;
}

struct event_base *controller_base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;
    if (config && !event_config_set_max_dispatch_interval(config, NULL, 1, OF_SHARE_PRIORITIES - 1)) {
        base = event_base_new_with_config(config);
    }
    if (config) {
        event_config_free(config);
    }
    if (base && event_base_priority_init(base, OF_SHARE_PRIORITIES)) {
        event_base_free(base);
        base = NULL;
    }
    return base;
}

bool controller_start(struct controller *c, struct err *err)
{
    static const struct substrate_ops ops = {
        .sw_up = on_sw_up, .sw_down = on_sw_down, .ports_changed = on_ports_changed, .links_changed = on_links_changed,
        .reach_changed = on_reach_changed,
        .packet_in = on_packet_in, .reply = on_reply,
    };
    c->commits = XNEW(struct commits);
    list_init(&c->commits->waiters);
    c->commits->empty = event_new(c->base, -1, 0, on_empty, c);
    c->commits->idle = event_new(c->base, -1, 0, serve_waiters, c);
    if (!c->commits->empty || !c->commits->idle) {
        return err_set(err, ERR_FAILED, NULL, "no event can be had");
    }
    if (!make_dir(c->config.run_dir, "run_dir", err)) {
        return false;
    }
    c->model = model_new(&c->config.provider);
    model_set_neighbours(c->model, substrate_neighbours, c);
    model_set_own_rules(c->model, room_own_rules, c);
    c->store = store_open(c->config.store_path, c->base, err);
    if (!c->store || !store_load(c->store, c->model, err)) {
        return false;
    }
    LOG(LOG_INFO, "%s: revision %llu, %u tenants, %u networks, %u virtual switches, %u ports, %u edges", c->config.store_path, (unsigned long long) model_revision(c->model),
        model_count(c->model, KIND_TENANT), model_count(c->model, KIND_NETWORK), model_count(c->model, KIND_SWITCH),
        model_count(c->model, KIND_PORT) + model_count(c->model, KIND_SWITCH_PORT), model_count(c->model, KIND_EDGE));
    c->substrate = substrate_new(c, &ops, c, err);
    if (!c->substrate) {
        return false;
    }
    c->rulesets = rulesets_new(c);
    c->reconcile = reconcile_new(c);
    c->fabric = fabric_new(c);
    link_routes_update(c);
    fabric_load(c->fabric);
    c->rest = rest_new(c, err);
    return c->rest && substrate_listen(c->substrate, err);
}

void controller_stop(struct controller *c)
{
    /* The store first: it finishes what was accepted.  Then the connections, which ends traces; then reconcile, which ends waits; nothing holds a request when REST goes. */
    store_close(c->store);
    if (c->substrate) {
        substrate_close(c->substrate);
    }
    if (c->reconcile) {
        reconcile_free(c->reconcile);
        c->reconcile = NULL;
    }
    if (c->fabric) {
        fabric_free(c->fabric);
        c->fabric = NULL;
    }
    rest_free(c->rest);
    substrate_free(c->substrate);
    if (c->rulesets) {
        rulesets_free(c->rulesets);
    }
    if (c->commits) {
        struct waiter *w;
        LIST_FOR_EACH(w, node, &c->commits->waiters) {
            free(w);
        }
        if (c->commits->txn) {
            model_txn_abort(c->commits->txn);   /* One that changed nothing. */
        }
        if (c->commits->empty) {
            event_free(c->commits->empty);
        }
        if (c->commits->idle) {
            event_free(c->commits->idle);
        }
        free(c->commits);
    }
    if (c->model) {
        model_free(c->model);
    }
    c->store = NULL;
    c->rest = NULL;
    c->substrate = NULL;
    c->rulesets = NULL;
    c->commits = NULL;
    c->model = NULL;
}
