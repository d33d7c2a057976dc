/* The compiler's front: notes what changed, compiles it once per loop turn. See fabric.h. */
#define LOG_MODULE "fabric"
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "lib/json.h"
#include "lib/log.h"

void fabric_schedule(struct fabric *f)
{
    if (!f->work_pending) {
        f->work_pending = true;
        event_active(f->work, EV_TIMEOUT, 0);
    }
}

bool fabric_busy(const struct fabric *f)
{
    return f && f->work_pending;
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

static void vsw_changed(struct vsw *vsw, void *aux)
{
    vsw->dirty = true;
    fabric_schedule(aux);
}

/* --- Networks --- */

static void drop_vsw(struct fabric *f, struct vsw *vsw)
{
    for (unsigned i = 0; i < vsw->n_edges; i++) {
        compile_network_gone(f->controller, vsw->id, vsw->edges[i]);
    }
    hmap_remove(&f->vsws, &vsw->node);
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
        vsw = vsw_new(network, f->controller->clock, vsw_changed, f);
        hmap_insert(&f->vsws, &vsw->node, vsw_hash(id));
    }
    vsw->network = network;
    vsw->dirty = true;
    intern_network_changed(f->intern, vsw);
    if (network->vpc) {
        vpc_program(vsw);
    }
    fabric_schedule(f);
}

void fabric_networks_changed(struct fabric *f, const uint32_t *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        network_changed(f, ids[i]);
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

static void compile_vsw(struct fabric *f, struct vsw *vsw)
{
    const struct network *network = vsw->network;
    uint64_t *edges = xcalloc(network->n_landings + 1, sizeof *edges);

    for (unsigned i = 0; i < network->n_landings; i++) {
        edges[i] = network->landings[i].edge->datapath_id;
        compile_network(f->controller, vsw, network->landings[i].edge);
    }
    for (unsigned i = 0; i < vsw->n_edges; i++) {
        if (!has_datapath(edges, network->n_landings, vsw->edges[i])) {
            compile_network_gone(f->controller, vsw->id, vsw->edges[i]);
        }
    }
    free(vsw->edges);
    vsw->edges = edges;
    vsw->n_edges = network->n_landings;
    vsw->dirty = vsw->devices_dirty = false;
}

static void compile_devices(struct fabric *f, struct vsw *vsw)
{
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        const struct edge *edge = vsw->network->landings[i].edge;
        if (has_datapath(f->devices, f->n_devices, edge->datapath_id)) {
            compile_network(f->controller, vsw, edge);
        }
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
        vsw->dirty = true;
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
    fabric_substrate_changed(f);
    static const enum model_kind kinds[] = { KIND_NETWORK, KIND_SWITCH };
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < model_count(f->controller->model, kinds[k]); i++) {
            const struct network *network = model_at(f->controller->model, kinds[k], i);
            network_changed(f, network->id);
        }
    }
}

/* The switch's ports are what its networks' rules name, there and on no other edge. */
void fabric_ports_changed(struct fabric *f, struct sw *sw)
{
    struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        vsw->devices_dirty |= sw->edge && vsw_has_edge(vsw, sw->edge);
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
    fabric_ports_changed(f, sw);
}

/* What a disconnected switch should hold stays as it was; paths are links_changed's. */
void fabric_sw_down(struct fabric *f UNUSED, struct sw *sw UNUSED)
{
}

void fabric_links_changed(struct fabric *f)
{
    f->switches_dirty = true;
    fabric_schedule(f);
}

void fabric_packet_in(struct fabric *f, struct sw *sw, struct of_packet_in *pin)
{
    if ((uint32_t) pin->cookie == COOKIE_INTERN) {
        intern_packet_in(f->intern, sw, pin);
    }
}

bool fabric_reply(struct fabric *f, struct sw *sw, struct of_msg *msg)
{
    return intern_reply(f->intern, sw, msg);
}

static void work_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *aux)
{
    struct fabric *f = aux;
    uint64_t start = clock_now_ns(&f->controller->clock);
    struct vsw *vsw;

    if (f->switches_dirty) {
        f->switches_dirty = false;
        each_switch(f, compile_one_switch);
    }
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        if (vsw->dirty) {
            compile_vsw(f, vsw);
            f->n_compiles++;
        } else if (vsw->devices_dirty) {
            compile_devices(f, vsw);
            f->n_compiles++;
        }
    }
    f->n_devices = 0;
    f->compile_ns += clock_now_ns(&f->controller->clock) - start;
    f->work_pending = false;
    reconcile_kick(f->controller->reconcile);
}

struct fabric *fabric_new(struct controller *controller)
{
    struct fabric *f = XNEW(struct fabric);
    f->controller = controller;
    hmap_init(&f->vsws);
    f->work = event_new(controller->base, -1, 0, work_cb, f);
    f->intern = intern_new(f);
    return f;
}

void fabric_free(struct fabric *f)
{
    if (f) {
        struct vsw *vsw;
        HMAP_FOR_EACH (vsw, node, &f->vsws) {
            hmap_remove(&f->vsws, &vsw->node);
            vsw_free(vsw);
        }
        hmap_fini(&f->vsws);
        intern_free(f->intern);
        event_free(f->work);
        free(f->known);
        free(f->devices);
        free(f);
    }
}

/* --- Status --- */

static cJSON *port_status(struct fabric *f, const struct port *port)
{
    cJSON *json = cJSON_CreateObject();
    struct sw *sw = port->edge ? substrate_find(f->controller->substrate, port->edge->datapath_id) : NULL;
    char name[33];
    const struct sw_port *device = sw ? sw_port_by_name(sw, port_device_name(port, name)) : NULL;

    json_add_string(json, "state", !port->edge ? "unbound" : !sw || !sw->connected ? "edge-down" : !device ? "pending"
                    : device->of.state & OFPPS_LINK_DOWN ? "down" : "up");
    if (port->edge) {
        json_add_string(json, "device", name);
    }
    if (device) {
        json_add_u64(json, "edge_port", device->of.port_no);
    }
    return json;
}

cJSON *fabric_status_json(struct fabric *f, enum model_kind kind, const void *object)
{
    if (kind == KIND_PORT || kind == KIND_SWITCH_PORT) {
        return port_status(f, object);
    }
    if (kind == KIND_NETWORK || kind == KIND_SWITCH) {
        const struct network *network = object;
        const struct vsw *vsw = fabric_find_vsw(f, network->id);
        unsigned up = 0;
        for (unsigned i = 0; i < network->n_ports; i++) {
            cJSON *status = port_status(f, network->ports[i]);
            const cJSON *state = cJSON_GetObjectItemCaseSensitive(status, "state");
            up += !strcmp(state->valuestring, "up");
            cJSON_Delete(status);
        }
        cJSON *json = cJSON_CreateObject();
        json_add_u64(json, "ports", network->n_ports);
        json_add_u64(json, "ports_up", up);
        json_add_u64(json, "flow_entries", vsw ? flow_tables_count(vsw->flows, OFPTT_ALL) : 0);
        json_add_u64(json, "interned_pairs", vsw ? vsw->n_pairs : 0);
        return json;
    }
    return NULL;
}

void fabric_metrics(struct fabric *f, struct buf *out)
{
    buf_printf(out, "# HELP polder_compiles_total Networks compiled\n# TYPE polder_compiles_total counter\npolder_compiles_total %" PRIu64 "\n",
               f->n_compiles);
    buf_printf(out, "# HELP polder_compile_seconds_total Time spent compiling\n# TYPE polder_compile_seconds_total counter\n"
               "polder_compile_seconds_total %.6f\n", (double) f->compile_ns / 1e9);
    intern_metrics(f->intern, out);
}
