/* See room.h. */
#define LOG_MODULE "room"
#include "controller/room.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "lib/json.h"
#include "lib/log.h"

static uint64_t weight(const struct usage *usage, const struct room_share *share)
{
    return share->n_switches ? MAX(share->used, usage->guaranteed) : share->used;
}

static const struct room_share *share_at(const struct usage *usage, uint32_t edge)
{
    static const struct room_share none;
    return edge < usage->n_shares ? &usage->shares[edge] : &none;
}

static struct room *room_at(struct fabric *f, uint32_t edge)
{
    if (edge >= f->n_rooms) {
        f->rooms = xrealloc(f->rooms, (edge + 1) * sizeof *f->rooms);
        memset(&f->rooms[f->n_rooms], 0, (edge + 1 - f->n_rooms) * sizeof *f->rooms);
        f->n_rooms = edge + 1;
    }
    return &f->rooms[edge];
}

static void change(struct vsw *vsw, uint32_t edge, int64_t used, int switches)
{
    struct usage *usage = vsw->usage;
    struct room *room = room_at(vsw->fabric, edge);
    if (edge >= usage->n_shares) {
        usage->shares = xrealloc(usage->shares, (edge + 1) * sizeof *usage->shares);
        memset(&usage->shares[usage->n_shares], 0, (edge + 1 - usage->n_shares) * sizeof *usage->shares);
        usage->n_shares = edge + 1;
    }
    struct room_share *share = &usage->shares[edge];
    uint64_t before = weight(usage, share);
    share->used = (uint32_t) (share->used + used);
    share->n_switches = (uint32_t) ((int) share->n_switches + switches);
    room->used += (uint64_t) used;
    room->taken += weight(usage, share) - before;       /* Of no account while it is stale. */
}

/* What of the edge is used or promised. */
static uint64_t taken(struct fabric *f, const struct edge *edge)
{
    struct room *room = room_at(f, edge->index);
    if (room->generation != f->rooms_generation + 1) {
        uint64_t guaranteed = 0;
        struct usage *usage;
        room->taken = 0;
        room->generation = f->rooms_generation + 1;
        HMAP_FOR_EACH (usage, node, &f->usages) {
            const struct room_share *share = share_at(usage, edge->index);
            room->taken += weight(usage, share);
            guaranteed += share->n_switches ? usage->guaranteed : 0;
        }
        uint32_t own = room_own_rules(edge, f->controller);
        if (guaranteed + own > edge->flow_entries) {
            LOG_RATE(LOG_WARN, 10, "edge %s takes %u entries, of which %u are Polder's own, and its tenants are guaranteed %" PRIu64, edge->name,
                     edge->flow_entries, own, guaranteed);
        }
    }
    return room->taken;
}

uint32_t room_own_rules(const struct edge *edge, void *controller)
{
    const struct controller *c = controller;
    uint64_t rules = c->rulesets ? ruleset_count(c->rulesets, edge->datapath_id) : 0;
    uint64_t used = c->fabric && edge->index < c->fabric->n_rooms ? c->fabric->rooms[edge->index].used : 0;
    return (uint32_t) (rules > used ? rules - used : 0);        /* Less while tenants' entries wait to be compiled. */
}

uint32_t room_where(const struct vsw *vsw, const struct minimatch *match)
{
    struct match full;
    if (!(match->map & UINT64_C(1) << offsetof(struct flow, in_port) / 8)) {
        return ROOM_EVERYWHERE;
    }
    minimatch_expand(match, &full);
    uint32_t in_port = be32_get(full.value.flow.in_port);
    if (in_port > OFPP_MAX) {
        return ROOM_EVERYWHERE;
    }
    const struct port *port = network_port_by_number(vsw->network, in_port);
    return port && port->edge && vsw_has_edge(vsw, port->edge) ? port->edge->index : ROOM_NOWHERE;
}

static bool room_on(const struct vsw *vsw, const struct edge *edge)
{
    return !edge->flow_entries || share_at(vsw->usage, edge->index)->used < vsw->usage->guaranteed
           || taken(vsw->fabric, edge) + room_own_rules(edge, vsw->controller) < edge->flow_entries;
}

bool room_for(const struct vsw *vsw, uint32_t where)
{
    for (unsigned i = 0; where != ROOM_NOWHERE && i < vsw->network->n_landings; i++) {
        const struct edge *edge = vsw->network->landings[i].edge;
        if ((where == ROOM_EVERYWHERE || where == edge->index) && !room_on(vsw, edge)) {
            return false;
        }
    }
    return true;
}

void room_take(struct vsw *vsw, uint32_t where, int n)
{
    for (unsigned i = 0; i < vsw->n_room_edges; i++) {
        struct room_edge *e = &vsw->room_edges[i];
        if (where == ROOM_EVERYWHERE || where == e->index) {
            e->used = (uint32_t) ((int64_t) e->used + n);
            change(vsw, e->index, n, 0);
        }
    }
}

void room_vsw_fini(struct vsw *vsw)
{
    for (unsigned i = 0; i < vsw->n_room_edges; i++) {
        change(vsw, vsw->room_edges[i].index, -(int64_t) vsw->room_edges[i].used, -1);
    }
    free(vsw->room_edges);
    vsw->room_edges = NULL;
    vsw->n_room_edges = 0;
}

/* The virtual switch is new there. */
static void warn_of_unknown(const struct vsw *vsw, const struct edge *edge)
{
    bool is_new = true;
    for (unsigned i = 0; i < vsw->n_room_edges; i++) {
        is_new = is_new && vsw->room_edges[i].index != edge->index;
    }
    if (is_new && !edge->flow_entries && vsw->usage->guaranteed) {
        LOG_RATE(LOG_WARN, 10, "edge %s: how many entries it takes is not known (flow_entries is 0), so nothing stands behind the %u that tenant %s is guaranteed there",
                 edge->name, vsw->usage->guaranteed, vsw->usage->tenant);
    }
}

void room_vsw_update(struct vsw *vsw)
{
    const struct network *network = vsw->network;
    for (unsigned i = 0; i < network->n_landings; i++) {
        warn_of_unknown(vsw, network->landings[i].edge);
    }
    room_vsw_fini(vsw);
    vsw->room_edges = xcalloc(network->n_landings + 1, sizeof *vsw->room_edges);
    vsw->n_room_edges = network->n_landings;
    for (unsigned i = 0; i < network->n_landings; i++) {
        vsw->room_edges[i].index = network->landings[i].edge->index;
        change(vsw, vsw->room_edges[i].index, 0, +1);
    }
}

void room_changed(struct fabric *f)
{
    struct usage *usage;
    f->rooms_generation++;
    HMAP_FOR_EACH (usage, node, &f->usages) {
        const struct tenant *tenant = model_find(f->controller->model, KIND_TENANT, usage->tenant);
        usage->guaranteed = tenant ? tenant->quota.edge_entries : 0;
    }
}

void room_status_json(const struct fabric *f, const struct edge *edge, cJSON *json)
{
    uint64_t used = 0, guaranteed = 0;
    const struct usage *usage;
    HMAP_FOR_EACH (usage, node, &f->usages) {
        const struct room_share *share = share_at(usage, edge->index);
        used += share->used;
        guaranteed += share->n_switches ? usage->guaranteed : 0;
    }
    json_add_u64(json, "tenant_entries", used);
    json_add_u64(json, "guaranteed_entries", guaranteed);
    uint64_t own = room_own_rules(edge, f->controller);
    json_add_u64(json, "own_entries", own);
    if (edge->flow_entries && guaranteed && guaranteed + own > edge->flow_entries) {
        json_add_u64(json, "overcommitted_entries", guaranteed + own - edge->flow_entries);
    }
}
