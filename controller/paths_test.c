#include "controller/paths.h"

#include <string.h>
#include "lib/util.h"
#include "tests/unit.h"

#define MAX_N 14
#define NONE 1000000u

struct naive_link { unsigned a, b; uint32_t port_a, port_b; };
struct naive { unsigned n, n_links; bool is_edge[MAX_N]; struct naive_link links[200]; };

static bool both_ways(const struct naive *g, const struct naive_link *l)
{
    for (unsigned i = 0; i < g->n_links; i++) {
        const struct naive_link *r = &g->links[i];
        if (r->a == l->b && r->b == l->a && r->port_a == l->port_b && r->port_b == l->port_a) {
            return true;
        }
    }
    return false;
}

/* Bellman and Ford: relax until nothing changes. Costs as 1000 * transit edges + hops. */
static void naive_costs(const struct naive *g, unsigned to, unsigned cost[MAX_N])
{
    for (unsigned i = 0; i < g->n; i++) {
        cost[i] = i == to ? 0 : NONE;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned i = 0; i < g->n_links; i++) {
            const struct naive_link *l = &g->links[i];
            unsigned c = cost[l->b] + 1 + (g->is_edge[l->b] && l->b != to ? 1000 : 0);
            if (l->a != l->b && cost[l->b] != NONE && both_ways(g, l) && c < cost[l->a]) {
                cost[l->a] = c;
                changed = true;
            }
        }
    }
}

static bool naive_next(const struct naive *g, unsigned from, unsigned to, struct path_step *best)
{
    unsigned cost[MAX_N];
    bool found = false;
    naive_costs(g, to, cost);
    for (unsigned i = 0; i < g->n_links && from != to && cost[from] != NONE; i++) {
        const struct naive_link *l = &g->links[i];
        if (l->a != from || l->a == l->b || cost[l->b] == NONE || !both_ways(g, l)
            || cost[l->b] + 1 + (g->is_edge[l->b] && l->b != to ? 1000 : 0) != cost[from]) {
            continue;
        }
        if (!found || l->b < best->to || (l->b == best->to && l->port_a < best->out_port)) {
            *best = (struct path_step) { l->b, l->port_a, l->port_b };
            found = true;
        }
    }
    return found;
}

static void random_graph(struct rng *rng, struct naive *g)
{
    memset(g, 0, sizeof *g);
    g->n = 1 + rng_below(rng, MAX_N);
    for (unsigned i = 0; i < g->n; i++) {
        g->is_edge[i] = rng_below(rng, 2);
    }
    unsigned cables = rng_below(rng, 2 * g->n + 1);
    uint32_t ports[MAX_N] = { 0 };
    for (unsigned i = 0; i < cables; i++) {
        unsigned a = rng_below(rng, g->n), b = rng_below(rng, g->n);
        struct naive_link l = { a, b, ++ports[a], ++ports[b] };
        if (rng_below(rng, 8)) {
            g->links[g->n_links++] = l;
        }
        if (rng_below(rng, 8)) {
            g->links[g->n_links++] = (struct naive_link) { b, a, l.port_b, l.port_a };
        }
    }
    for (unsigned i = g->n_links; i > 1; i--) {         /* In any order. */
        unsigned j = rng_below(rng, i);
        struct naive_link t = g->links[i - 1];
        g->links[i - 1] = g->links[j];
        g->links[j] = t;
    }
}

static void check_walk(struct paths *p, unsigned n, unsigned from, unsigned to)
{
    struct path_step step;
    unsigned at = from, hops = 0;
    while (at != to && paths_next(p, at, to, &step)) {
        at = step.to;
        if (++hops > n) {
            break;
        }
    }
    CU_ASSERT_EQUAL(at, to);
    CU_ASSERT_TRUE(hops < n);
}

static void test_naive(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (int round = 0; round < 400; round++) {
        struct naive g;
        random_graph(&rng, &g);
        struct paths *p = paths_new(g.n, g.is_edge);
        for (unsigned i = 0; i < g.n_links; i++) {
            paths_add_link(p, g.links[i].a, g.links[i].port_a, g.links[i].b, g.links[i].port_b);
            if (!rng_below(&rng, 20)) {         /* Asking in between must not freeze the answer. */
                struct path_step step;
                paths_next(p, 0, g.n - 1, &step);
            }
        }
        for (unsigned from = 0; from < g.n; from++) {
            for (unsigned to = 0; to < g.n; to++) {
                struct path_step a = { 0 }, b = { 0 };
                bool found = paths_next(p, from, to, &a), expected = naive_next(&g, from, to, &b);
                CU_ASSERT_EQUAL(found, expected);
                if (found && expected) {
                    CU_ASSERT_TRUE(a.to == b.to && a.out_port == b.out_port && a.in_port == b.in_port);
                    check_walk(p, g.n, from, to);
                }
            }
        }
        paths_free(p);
    }
}

/* Without l's cable its ends are apart: what is reached from a, step by step. */
static bool naive_is_bridge(const struct naive *g, const struct naive_link *l)
{
    bool reached[MAX_N] = { false };
    reached[l->a] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned i = 0; i < g->n_links; i++) {
            const struct naive_link *m = &g->links[i];
            bool is_l = (m->a == l->a && m->port_a == l->port_a) || (m->b == l->a && m->port_b == l->port_a);
            if (!is_l && both_ways(g, m) && reached[m->a] && !reached[m->b]) {
                reached[m->b] = changed = true;
            }
        }
    }
    return l->a != l->b && both_ways(g, l) && !reached[l->b];
}

static void test_bridges(void)
{
    struct rng rng;
    unsigned n_bridges = 0, n_others = 0;
    rng_seed(&rng, unit_seed());
    for (int round = 0; round < 400; round++) {
        struct naive g;
        random_graph(&rng, &g);
        struct paths *p = paths_new(g.n, g.is_edge);
        for (unsigned i = 0; i < g.n_links; i++) {
            const struct naive_link *l = &g.links[i];
            paths_is_bridge(p, l->a, l->port_a);        /* Asking in between must not freeze the answer. */
            paths_add_link(p, l->a, l->port_a, l->b, l->port_b);
        }
        for (unsigned i = 0; i < g.n_links; i++) {
            const struct naive_link *l = &g.links[i];
            bool expected = naive_is_bridge(&g, l);
            CU_ASSERT_EQUAL(paths_is_bridge(p, l->a, l->port_a), expected);
            n_bridges += expected;
            n_others += !expected;
        }
        CU_ASSERT_FALSE(paths_is_bridge(p, 0, 1000));
        paths_free(p);
    }
    CU_ASSERT_TRUE(n_bridges > 100 && n_others > 100);
}

static void cable(struct paths *p, unsigned a, uint32_t port_a, unsigned b, uint32_t port_b)
{
    paths_add_link(p, a, port_a, b, port_b);
    paths_add_link(p, b, port_b, a, port_a);
}

/* 0 and 2 are edges, 1 an edge between them; the way round over the fabric 3, 4 is longer and yet the one. */
static void test_transit(void)
{
    static const bool is_edge[] = { true, true, true, false, false };
    struct path_step step;
    struct paths *p = paths_new(5, is_edge);
    cable(p, 0, 1, 1, 1);
    cable(p, 1, 2, 2, 1);
    CU_ASSERT_TRUE(paths_next(p, 0, 2, &step) && step.to == 1 && step.out_port == 1);
    cable(p, 0, 2, 3, 1);
    cable(p, 3, 2, 4, 1);
    CU_ASSERT_TRUE(paths_next(p, 0, 2, &step) && step.to == 1);
    cable(p, 4, 2, 2, 2);
    CU_ASSERT_TRUE(paths_next(p, 0, 2, &step) && step.to == 3 && step.out_port == 2 && step.in_port == 1);
    CU_ASSERT_TRUE(paths_next(p, 0, 1, &step) && step.to == 1);         /* As a destination an edge is no transit. */
    CU_ASSERT_FALSE(paths_next(p, 0, 0, &step));
    paths_free(p);
    p = paths_new(0, NULL);
    paths_free(p);
}

void paths_test_suite(void);
void paths_test_suite(void)
{
    UNIT_SUITE("paths", { "random graphs against a naive twin", test_naive }, { "bridges against a naive twin", test_bridges }, { "edges as transit", test_transit });
}
