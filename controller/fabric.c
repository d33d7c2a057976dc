/* The compiler's front: notes what changed, compiles it once per loop turn. See fabric.h. */
#define LOG_MODULE "fabric"
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/room.h"
#include "controller/vsw_counters.h"
#include "controller/vsw_hold.h"
#include "controller/ruleset.h"
#include "controller/slice.h"
#include "lib/json.h"
#include "lib/log.h"

void fabric_schedule(struct fabric *f)
{
    gather_poke(&f->work);
}

bool fabric_busy(const struct fabric *f)
{
    return f && f->work.pending;
}

static uint32_t vsw_hash(uint32_t id)
{
    return (uint32_t) hash_mix64(id);
}

struct vsw *fabric_find_vsw(const struct fabric *f, uint32_t network_id)
{
    struct vsw *vsw;
    HMAP_FOR_EACH_WITH_HASH (vsw, node, vsw_hash(network_id), &f->vsws) {
        if (vsw->id == network_id) {
            return vsw;
        }
    }
    return NULL;
}

void fabric_work(struct vsw *vsw)
{
    if (list_empty(&vsw->work)) {
        list_push_back(&vsw->fabric->work_list, &vsw->work);
    }
    fabric_schedule(vsw->fabric);
}

void fabric_entries_changed(struct vsw *vsw)
{
    if (!vsw->entries_dirty) {
        vsw->entries_dirty = true;
        fabric_work(vsw);
    }
}

/* --- Networks --- */

static void drop_vsw(struct fabric *f, struct vsw *vsw)
{
    for (unsigned i = 0; i < vsw->n_edges; i++) {
        compile_network_gone(f->controller, vsw->id, vsw->edges[i]);
    }
    hmap_remove(&f->vsws, &vsw->node);
    slice_agent_close(vsw);
    vsw_free(vsw);
}

static void network_changed(struct fabric *f, uint32_t id)
{
    struct network *network = model_network_by_id(f->controller->model, id);
    struct vsw *vsw = fabric_find_vsw(f, id);

    if (!network) {
        if (vsw) {
            drop_vsw(f, vsw);
        }
        return;
    }
    if (!vsw) {
        vsw = vsw_new(f, network);
        hmap_insert(&f->vsws, &vsw->node, vsw_hash(id));
    }
    vsw->network = network;
    vsw->dirty = vsw->entries_dirty = true;             /* Its ports, and so where entries can match, may be others. */
    intern_network_changed(f->intern, vsw);
    if (vsw->is_slice) {
        vsw->ports_dirty = true;
        vsw_ports_review(vsw);
        slice_agent_update(vsw);
    } else {
        vpc_program(vsw);
    }
    fabric_work(vsw);
}

void fabric_networks_changed(struct fabric *f, const uint32_t *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        network_changed(f, ids[i]);
    }
}

void fabric_slice_changed(struct fabric *f, const struct slice *slice)
{
    for (unsigned i = 0; i < slice->n_switches; i++) {
        struct vsw *vsw = fabric_find_vsw(f, slice->switches[i]->id);
        if (vsw) {
            slice_agent_update(vsw);
        }
    }
}

static bool has_datapath(const uint64_t *ids, unsigned n, uint64_t id)
{
    for (unsigned i = 0; i < n; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void compile_edge(struct fabric *f, struct vsw *vsw, const struct edge *edge)
{
    if (vsw->dirty || vsw->devices_dirty) {
        compile_network(f->controller, vsw, edge);
    }
    if (vsw->entries_dirty) {
        compile_entries(vsw, edge);
    }
}

/* Of an edge that never connected nothing is known. */
static bool has_foreign_edge(const struct vsw *vsw)
{
    bool has = false;
    for (unsigned i = 0; !has && i < vsw->network->n_landings; i++) {
        const struct sw *sw = substrate_find(vsw->controller->substrate, vsw->network->landings[i].edge->datapath_id);
        has = sw && sw->connected_ns && !sw->is_vswitchd;
    }
    return has;
}

/* Where an entry can match may have changed, and so what it costs. */
static void review_cost(struct flow_entry *entry, void *vsw) { vsw_review_cost(vsw, entry); }

/* The edges of the other ends of its links, where it has no port of its own. */
static void compile_guests(struct fabric *f, struct vsw *vsw, uint64_t *edges, unsigned *n)
{
    const struct network *network = vsw->network;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct edge *edge = network->ports[i]->link ? vlink_peer(network->ports[i])->edge : NULL;
        if (edge && !has_datapath(edges, *n, edge->datapath_id)) {
            edges[(*n)++] = edge->datapath_id;
            compile_network_guest(f->controller, vsw, edge);
        }
    }
}

static void compile_vsw(struct fabric *f, struct vsw *vsw)
{
    const struct network *network = vsw->network;
    uint64_t *edges = xcalloc(network->n_landings + network->n_ports + 1, sizeof *edges);
    unsigned n = 0;

    if (vsw->is_slice && vsw->entries_dirty) {
        struct of_flow_filter all;
        of_flow_filter_init(&all);
        vsw->has_foreign_edge = has_foreign_edge(vsw);
        room_vsw_update(vsw);
        flow_tables_each(vsw->flows, &all, false, review_cost, vsw);
    }
    for (unsigned i = 0; i < network->n_landings; i++) {
        edges[n++] = network->landings[i].edge->datapath_id;
        compile_edge(f, vsw, network->landings[i].edge);
    }
    if (vsw->is_slice) {
        compile_guests(f, vsw, edges, &n);
    }
    for (unsigned i = 0; i < vsw->n_edges; i++) {
        if (!has_datapath(edges, n, vsw->edges[i])) {
            compile_network_gone(f->controller, vsw->id, vsw->edges[i]);
        }
    }
    free(vsw->edges);
    vsw->edges = edges;
    vsw->n_edges = n;
    vsw->dirty = vsw->entries_dirty = vsw->devices_dirty = false;
}

static void compile_devices(struct fabric *f, struct vsw *vsw)
{
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        const struct edge *edge = vsw->network->landings[i].edge;
        if (has_datapath(f->devices, f->n_devices, edge->datapath_id)) {
            compile_network(f->controller, vsw, edge);
        }
    }
    if (vsw->n_ff_groups) {
        compile_groups_again(vsw);
    }
    vsw->devices_dirty = false;
}

/* --- Switches --- */

static void each_switch(struct fabric *f, void (*fn)(struct fabric *, const struct edge *, bool is_fabric))
{
    static const enum model_kind kinds[] = { KIND_EDGE, KIND_FABRIC_SWITCH };
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < model_count(f->controller->model, kinds[k]); i++) {
            fn(f, model_at(f->controller->model, kinds[k], i), kinds[k] == KIND_FABRIC_SWITCH);
        }
    }
}

static void compile_one_switch(struct fabric *f, const struct edge *edge, bool is_fabric)
{
    compile_switch(f->controller, edge, is_fabric);
}

static void note_switch(struct fabric *f, const struct edge *edge, bool is_fabric UNUSED)
{
    f->known = xrealloc(f->known, (f->n_known + 1) * sizeof *f->known);
    f->known[f->n_known++] = edge->datapath_id;
}

static void all_dirty(struct fabric *f)
{
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        vsw->dirty = vsw->entries_dirty = vsw->ports_dirty = true;
        fabric_work(vsw);
    }
    f->switches_dirty = true;
    fabric_schedule(f);
}

void fabric_substrate_changed(struct fabric *f)
{
    uint64_t *before = f->known;
    unsigned n_before = f->n_known;

    f->known = NULL;
    f->n_known = 0;
    each_switch(f, note_switch);
    for (unsigned i = 0; i < n_before; i++) {
        if (!has_datapath(f->known, f->n_known, before[i])) {
            struct vsw *vsw;
            HMAP_FOR_EACH (vsw, node, &f->vsws) {       /* An edge that changed its datapath id. */
                for (unsigned j = 0; j < vsw->n_edges; j++) {
                    if (vsw->edges[j] == before[i]) {
                        vsw->edges[j] = vsw->edges[--vsw->n_edges];
                        break;
                    }
                }
            }
            ruleset_drop_switch(f->controller->rulesets, before[i]);
        }
    }
    free(before);
    all_dirty(f);
}

void fabric_load(struct fabric *f)
{
    struct vsw *vsw;
    fabric_substrate_changed(f);
    id_pool_start(&f->group_ids, 1 + rng_below(&f->controller->rng, TENANT_GROUP_MAX));
    id_pool_start(&f->meter_ids, 1 + rng_below(&f->controller->rng, TENANT_METER_MAX));
    static const enum model_kind kinds[] = { KIND_NETWORK, KIND_SWITCH };
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < model_count(f->controller->model, kinds[k]); i++) {
            const struct network *network = model_at(f->controller->model, kinds[k], i);
            network_changed(f, network->id);
        }
    }
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        vsw_hold_begin(vsw);
    }
}

/* The switch's ports are what its networks' rules name, there and on no other edge. */
void fabric_ports_changed(struct fabric *f, struct sw *sw)
{
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        if (sw->edge && vsw_has_edge(vsw, sw->edge)) {
            vsw->devices_dirty = vsw->ports_dirty = true;
            fabric_work(vsw);
        }
    }
    if (!has_datapath(f->devices, f->n_devices, sw->datapath_id)) {
        f->devices = xrealloc(f->devices, (f->n_devices + 1) * sizeof *f->devices);
        f->devices[f->n_devices++] = sw->datapath_id;
    }
    f->switches_dirty = true;
    fabric_schedule(f);
}

void fabric_sw_up(struct fabric *f, struct sw *sw)
{
    struct vsw *vsw;
    fabric_ports_changed(f, sw);
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        if (vsw->is_slice && vsw->has_foreign_edge != has_foreign_edge(vsw)) {
            fabric_entries_changed(vsw);
        }
    }
}

/* What a disconnected switch should hold stays as it was; paths are links_changed's. */
void fabric_sw_down(struct fabric *f, struct sw *sw)
{
    vsw_stats_sw_down(f->stats, sw);
}

void fabric_links_changed(struct fabric *f)
{
    f->switches_dirty = true;
    fabric_schedule(f);
}

void fabric_reach_changed(struct fabric *f)
{
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        if (vsw->is_slice) {                            /* A virtual link may have lost its last path, or found one. */
            vsw->ports_dirty = true;
            fabric_work(vsw);
        }
    }
}

void fabric_packet_in(struct fabric *f, struct sw *sw, struct of_packet_in *pin)
{
    if ((uint32_t) pin->cookie == COOKIE_INTERN) {
        intern_packet_in(f->intern, sw, pin);
    } else {
        slice_packet_in(f, pin);
    }
}

void fabric_refused(struct fabric *f, uint32_t network, enum refused_kind kind, uint32_t number, struct of_error error)
{
    struct vsw *vsw = fabric_find_vsw(f, network);
    if (!vsw || (!vsw->is_slice && kind != REFUSED_METER)) {
        return;                                         /* The VPC application's: reconcile shows it. */
    }
    switch (kind) {
    case REFUSED_ENTRY: vsw_refused_entry(vsw, number, error); break;
    case REFUSED_GROUP: vsw_refused_group(vsw, number, error); break;
    case REFUSED_METER: vsw_refused_meter(vsw, number, error); break;
    }
}

bool fabric_reply(struct fabric *f, struct sw *sw, struct of_msg *msg)
{
    if (msg->type == OFPT_FLOW_REMOVED) {
        vsw_stats_flow_removed(f->stats, sw, &msg->flow_removed);
        return true;
    }
    return vsw_stats_reply(f->stats, sw, msg) || intern_reply(f->intern, sw, msg);
}

static void work_cb(void *aux)
{
    struct fabric *f = aux;
    uint64_t start = clock_now_ns(&f->controller->clock);
    struct vsw *vsw;

    if (f->switches_dirty) {
        f->switches_dirty = false;
        each_switch(f, compile_one_switch);
    }
    while (!list_empty(&f->work_list)) {
        vsw = CONTAINER_OF(f->work_list.next, struct vsw, work);
        list_remove(&vsw->work);
        uint64_t begun = vsw->usage ? clock_now_ns(&f->controller->clock) : 0;
        if (vsw->is_slice && vsw->ports_dirty) {
            vsw->ports_dirty = false;
            vsw_ports_review(vsw);
        }
        if (vsw->dirty || vsw->entries_dirty) {
            compile_vsw(f, vsw);
            f->n_compiles++;
        } else if (vsw->devices_dirty) {
            compile_devices(f, vsw);
            f->n_compiles++;
        }
        if (vsw->is_slice) {
            vsw_changes_turn(vsw);
            vsw->usage->compile_ns += clock_now_ns(&f->controller->clock) - begun;
        }
    }
    f->n_devices = 0;
    f->compile_ns += clock_now_ns(&f->controller->clock) - start;
    reconcile_kick(f->controller->reconcile);
}

static void retry_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *aux)
{
    slice_agent_retry(aux);
    vsw_hold_tick(aux);
}

struct fabric *fabric_new(struct controller *controller)
{
    struct fabric *f = XNEW(struct fabric);
    f->controller = controller;
    hmap_init(&f->vsws);
    hmap_init(&f->usages);
    list_init(&f->work_list);
    id_pool_init(&f->group_ids, TENANT_GROUP_MAX);
    id_pool_init(&f->meter_ids, TENANT_METER_MAX);
    gather_init(&f->work, controller->base, &controller->idle_turn, work_cb, f);
    f->retry = event_new(controller->base, -1, EV_PERSIST, retry_cb, f);
    struct timeval interval = { .tv_sec = 2 };
    event_add(f->retry, &interval);
    f->intern = intern_new(f);
    f->limits = limits_new(f);
    f->stats = vsw_stats_new(f, &vsw_counters_ops);
    return f;
}

void fabric_free(struct fabric *f)
{
    if (f) {
        struct vsw *vsw;
        HMAP_FOR_EACH (vsw, node, &f->vsws) {
            hmap_remove(&f->vsws, &vsw->node);
            slice_agent_close(vsw);
            vsw_free(vsw);
        }
        hmap_fini(&f->vsws);
        hmap_fini(&f->usages);
        id_pool_fini(&f->group_ids);
        id_pool_fini(&f->meter_ids);
        intern_free(f->intern);
        limits_free(f->limits);
        vsw_stats_free(f->stats);
        gather_fini(&f->work);
        event_free(f->retry);
        free(f->rooms);
        free(f->known);
        free(f->devices);
        free(f);
    }
}
