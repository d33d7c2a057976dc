/* What tenants are guaranteed against the size of edges' tables: what is refused and what is blamed, and random documents against a plain sum. */
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "tenants/model_fixture.h"
#include "tests/unit.h"

unit_suite_fn validate_room_test_suite;

#define OWN 10u                 /* Polder's own rules, on every edge. */

static uint32_t own_rules(const struct edge *edge UNUSED, void *aux UNUSED) { return OWN; }

static struct model *small_model(void)
{
    struct model *m = test_model();
    struct err err;
    model_set_own_rules(m, own_rules, NULL);
    CU_ASSERT_EQUAL(test_apply(m, "{'edges':[{'name':'e1','flow_entries':60},{'name':'e2','flow_entries':0}],"
                                  "'tenants':[{'name':'red','quota':{'edge_entries':20}},{'name':'blue','quota':{'edge_entries':30}}]}", &err), 4);
    return m;
}

#define SLICE(TENANT, EDGE) "'slices':[{'name':'lab','tenant':'" TENANT "','topology':'custom','switches':[{'name':'s1','edges':['e1','e2']," \
    "'ports':[{'name':'a','edge':'" EDGE "'}]}]}]"

static void expect_refused(struct model *m, const char *doc, const char *field, const char *numbers)
{
    struct err err = ERR_INIT;
    CU_ASSERT_EQUAL(test_apply(m, doc, &err), -1);
    CU_ASSERT_EQUAL(err.code, ERR_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.field, field);
    CU_ASSERT_STRING_EQUAL(err.message, numbers);
}

static void test_refused(void)
{
    struct model *m = small_model();
    struct err err = ERR_INIT;
    CU_ASSERT(test_apply(m, "{" SLICE("red", "e1") "}", &err) > 0);
    CU_ASSERT(test_apply(m, "{" SLICE("blue", "e1") "}", &err) > 0);            /* 10 + 20 + 30: just fits. */
    expect_refused(m, "{'tenants':[{'name':'red','quota':{'edge_entries':21}}]}", "tenants[0].quota.edge_entries",
                   "edge e1 takes 60 entries: 10 are Polder's own, and tenants would be guaranteed 51");
    expect_refused(m, "{'edges':[{'name':'e1','flow_entries':59}]}", "edges[0].flow_entries",
                   "edge e1 takes 59 entries: 10 are Polder's own, and tenants would be guaranteed 50");
    expect_refused(m, "{'tenants':[{'name':'green','quota':{'edge_entries':1}}]," SLICE("green", "e1") "}", "slices[0].switches[0].ports[0].edge",
                   "edge e1 takes 60 entries: 10 are Polder's own, and tenants would be guaranteed 51");
    /* Less than before, elsewhere, a second switch of one who is there, and both at once. */
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'edge_entries':19}},{'name':'blue','quota':{'edge_entries':31}}]}", &err), 2);
    CU_ASSERT(test_apply(m, "{'tenants':[{'name':'green','quota':{'edge_entries':500}}]," SLICE("green", "e2") "}", &err) > 0);
    CU_ASSERT(test_apply(m, "{'slices':[{'name':'lab','tenant':'red','switches':[{'name':'s2','edges':['e1'],'ports':[{'name':'a','edge':'e1'}]}]}]}", &err) > 0);
    expect_refused(m, "{'edges':[{'name':'e2','flow_entries':509}]}", "edges[0].flow_entries",
                   "edge e2 takes 509 entries: 10 are Polder's own, and tenants would be guaranteed 500");
    CU_ASSERT_EQUAL(test_apply(m, "{'edges':[{'name':'e1','flow_entries':570},{'name':'e2','flow_entries':510}]}", &err), 2);
    /* A new edge with a smaller table is as welcome as any; a tenant that wants a port there is not. */
    CU_ASSERT_EQUAL(test_apply(m, "{'edges':[{'name':'e3','datapath_id':'0000000000000033','flow_entries':40}]}", &err), 1);
    expect_refused(m, "{'slices':[{'name':'lab','tenant':'blue','switches':[{'name':'s1','edges':['e1','e2','e3'],'ports':[{'name':'a','edge':'e3'}]}]}]}",
                   "slices[0].switches[0].ports[0].edge", "edge e3 takes 40 entries: 10 are Polder's own, and tenants would be guaranteed 31");
    test_invariants(m);
    model_free(m);
}

/* What is guaranteed on an edge, by looking at everything. */
static uint64_t guaranteed(const struct model *m, const struct edge *edge)
{
    uint64_t sum = 0;
    for (unsigned t = 0; t < model_count(m, KIND_TENANT); t++) {
        const struct tenant *tenant = model_at(m, KIND_TENANT, t);
        bool is_there = false;
        for (unsigned i = 0; i < model_count(m, KIND_SWITCH_PORT); i++) {
            const struct port *port = model_at(m, KIND_SWITCH_PORT, i);
            is_there |= port->edge == edge && network_tenant(port->network) == tenant;
        }
        sum += is_there ? tenant->quota.edge_entries : 0;
    }
    return sum;
}

static void random_document(struct rng *g, char doc[400])
{
    static const char *const tenants[] = { "red", "blue", "green" }, *const places[] = { "'e1'", "'e2'", "null" };
    const char *tenant = tenants[rng_below(g, 3)];
    switch (rng_below(g, 4)) {
    case 0:
        snprintf(doc, 400, "{'edges':[{'name':'e%u','flow_entries':%u}]}", 1 + rng_below(g, 2), rng_below(g, 4) ? 20 + rng_below(g, 80) : 0);
        break;
    case 1:
        snprintf(doc, 400, "{'tenants':[{'name':'%s','quota':{'edge_entries':%u}}]}", tenant, rng_below(g, 40));
        break;
    default:
        snprintf(doc, 400, "{'slices':[{'name':'lab','tenant':'%s','topology':'custom','switches':[{'name':'s%u','edges':['e1','e2'],'ports':[{'name':'p%u','edge':%s}]}]}]}",
                 tenant, rng_below(g, 2), rng_below(g, 2), places[rng_below(g, 3)]);
    }
}

/* After each document everything fits, unless it was so before and nothing of it was made worse. */
static void test_random(void)
{
    struct model *m = small_model();
    struct rng g;
    struct err err = ERR_INIT;
    unsigned n_refused = 0, n_taken = 0;
    rng_seed(&g, unit_seed());
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'green','quota':{'edge_entries':10}}]}", &err), 1);
    for (unsigned i = 0; i < 2000; i++) {
        const struct edge *edges[2] = { model_find(m, KIND_EDGE, "e1"), model_find(m, KIND_EDGE, "e2") };
        uint64_t before[2] = { guaranteed(m, edges[0]), guaranteed(m, edges[1]) };
        uint32_t size[2] = { edges[0]->flow_entries, edges[1]->flow_entries };
        char doc[400];
        random_document(&g, doc);
        int n = test_apply(m, doc, &err);
        n_taken += n > 0;
        n_refused += n < 0;
        CU_ASSERT_TRUE(n >= 0 || (err.code == ERR_CONFLICT && err.field[0] && strstr(err.message, "Polder's own")));
        for (unsigned e = 0; e < 2; e++) {
            uint64_t now = guaranteed(m, edges[e]);
            bool fits = !edges[e]->flow_entries || now + OWN <= edges[e]->flow_entries;
            bool no_worse = now <= before[e] && (!now || edges[e]->flow_entries == size[e] || (size[e] && edges[e]->flow_entries > size[e]));
            CU_ASSERT_TRUE(fits || no_worse);
        }
    }
    CU_ASSERT_TRUE(n_refused > 100 && n_taken > 100);
    model_free(m);
}

void validate_room_test_suite(void)
{
    UNIT_SUITE("guarantees", { "refused", test_refused }, { "random", test_random });
}
