/* Shares of edges' tables against a count of what there is, while ports, quotas, sizes and entries change at random. */
#include <stdlib.h>
#include <string.h>

#include "controller/room.h"
#include "controller/ruleset.h"
#include "controller/vsw_rig.h"
#include "lib/json.h"
#include "tests/unit.h"

unit_suite_fn room_test_suite;

static void apply(struct vsw_rig *b, const char *document)
{
    struct err err = ERR_INIT;
    unsigned n;
    char *text = fixture_quote(document);
    cJSON *tree = json_parse(text, strlen(text), 1 << 20, &err);
    struct model_txn *txn = model_apply(b->f.c.model, tree, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
    const uint32_t *ids = model_txn_networks(txn, &n);
    uint32_t *networks = xcalloc(n + 1, sizeof *networks);
    memcpy(networks, ids, n * sizeof *networks);
    model_txn_commit(txn);
    room_changed(b->f.c.fabric);
    fabric_networks_changed(b->f.c.fabric, networks, n);
    fixture_turn(&b->f, 1);
    free(networks);
    free(text);
    cJSON_Delete(tree);
}

struct on_edge { const struct vsw *vsw; const struct edge *edge; uint64_t n; };

static void count(struct flow_entry *entry, void *on_)
{
    struct on_edge *on = on_;
    struct match match;
    minimatch_expand(entry->match, &match);
    bool any = !be32_get(match.mask.flow.in_port);
    on->n += vsw_has_edge(on->vsw, on->edge) && (any || vsw_in_port_on(on->vsw, be32_get(match.value.flow.in_port), on->edge));
}

static uint64_t used(const struct vsw *vsw, const struct edge *edge)
{
    struct of_flow_filter all;
    struct on_edge on = { vsw, edge, 0 };
    of_flow_filter_init(&all);
    flow_tables_each(vsw->flows, &all, false, count, &on);
    return on.n;
}

/* red and blue have a switch each. */
static void check(struct vsw *const vsws[2], const struct edge *edge)
{
    uint64_t n[2], taken = 0, sum = 0, guaranteed = 0;
    uint64_t rules = ruleset_count(vsws[0]->controller->rulesets, edge->datapath_id);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t quota = network_tenant(vsws[i]->network)->quota.edge_entries;
        bool there = vsw_has_edge(vsws[i], edge);
        n[i] = used(vsws[i], edge);
        sum += n[i];
        guaranteed += there ? quota : 0;
        taken += there ? MAX(n[i], quota) : n[i];
    }
    uint64_t own = rules > sum ? rules - sum : 0;
    for (unsigned i = 0; i < 2; i++) {
        bool fits = !vsw_has_edge(vsws[i], edge) || !edge->flow_entries || n[i] < network_tenant(vsws[i]->network)->quota.edge_entries || taken + own < edge->flow_entries;
        CU_ASSERT_EQUAL(room_for(vsws[i], edge->index), fits);
    }
    cJSON *json = cJSON_CreateObject();
    room_status_json(vsws[0]->fabric, edge, json);
    CU_ASSERT_EQUAL(cJSON_GetObjectItemCaseSensitive(json, "tenant_entries")->valuedouble, (double) sum);
    CU_ASSERT_EQUAL(cJSON_GetObjectItemCaseSensitive(json, "guaranteed_entries")->valuedouble, (double) guaranteed);
    CU_ASSERT_EQUAL(cJSON_GetObjectItemCaseSensitive(json, "own_entries")->valuedouble, (double) own);
    const cJSON *over = cJSON_GetObjectItemCaseSensitive(json, "overcommitted_entries");
    CU_ASSERT_EQUAL(over ? over->valuedouble : 0, edge->flow_entries && guaranteed && guaranteed + own > edge->flow_entries ? (double) (guaranteed + own - edge->flow_entries) : 0);
    cJSON_Delete(json);
}

static void flow(struct vsw *vsw, struct rng *g)
{
    struct of_flow_mod mod;
    of_flow_mod_init(&mod);
    mod.command = rng_below(g, 5) < 3 ? OFPFC_ADD : rng_below(g, 8) ? OFPFC_DELETE_STRICT : OFPFC_DELETE;
    mod.priority = (uint16_t) rng_below(g, 6);
    if (rng_below(g, 3)) {
        match_set_u64(&mod.match, FIELD_IN_PORT, 1 + rng_below(g, 4));
    }
    vsw_flow_mod(vsw, &mod);                            /* Refused or not: what counts is what there is. */
    instructions_fini(&mod.instructions);
}

static void test_random(void)
{
    static const char *const where[] = { "'e1'", "'e2'", "null" };
    struct vsw_rig b;
    struct rng g;
    char text[300];
    rng_seed(&g, unit_seed());
    vsw_rig_init(&b);
    apply(&b, "{'tenants':[{'name':'blue','quota':{'edge_entries':5}},{'name':'red','quota':{'edge_entries':5}}],"
              "'slices':[{'name':'lab','tenant':'blue','topology':'custom','switches':[{'name':'s1','edges':['e1','e2']}]}]}");
    struct vsw *const vsws[] = { b.vsw, fabric_find_vsw(b.f.c.fabric, ((struct network *) model_find(b.f.c.model, KIND_SWITCH, "blue/lab/s1"))->id) };
    for (unsigned i = 0; i < 3000; i++) {
        unsigned who = rng_below(&g, 2);
        const char *name = who ? "blue" : "red";
        if (rng_below(&g, 10)) {
            flow(vsws[who], &g);
        } else if (rng_below(&g, 2)) {
            snprintf(text, sizeof text, "{'slices':[{'name':'lab','tenant':'%s','switches':[{'name':'s1','ports':[{'name':'p%u','edge':%s}]}]}]}",
                     name, rng_below(&g, 3), where[rng_below(&g, 3)]);
            apply(&b, text);
        } else {
            unsigned size = rng_below(&g, 20), number = 1 + rng_below(&g, 2);
            const struct edge *edge = model_find(b.f.c.model, KIND_EDGE, number == 1 ? "e1" : "e2");
            snprintf(text, sizeof text, "{'edges':[{'name':'e%u','flow_entries':%u}],'tenants':[{'name':'%s','quota':{'edge_entries':%u}}]}",
                     number, size ? room_own_rules(edge, &b.f.c) + size : 0, name, rng_below(&g, 10));
            apply(&b, text);
        }
        check(vsws, model_find(b.f.c.model, KIND_EDGE, "e1"));
        check(vsws, model_find(b.f.c.model, KIND_EDGE, "e2"));
    }
    vsw_rig_fini(&b);
}

void room_test_suite(void)
{
    UNIT_SUITE("room", { "random", test_random });
}
