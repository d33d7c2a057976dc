/*
 * Local repair on random graphs: a naive simulator forwards a frame by what paths.h says each node does, as a plain
 * OpenFlow switch would (the first choice whose port is live; never out of the port of arrival unless told so), while
 * links and nodes are dead that nobody has told the computation of.
 */
#include <string.h>
#include "controller/paths_impl.h"
#include "lib/util.h"
#include "tests/unit.h"

#define MAX_N 24
#define MAX_CABLES 120
#define MAX_PORTS 64

struct cable { unsigned a, b; uint32_t port_a, port_b; bool dead; };
struct world {
    unsigned n, n_cables;
    bool is_edge[MAX_N], dead[MAX_N];
    uint32_t n_ports[MAX_N];
    struct cable cables[MAX_CABLES];
    int at_port[MAX_N][MAX_PORTS];              /* Cable. */
    struct paths *paths;
    const struct path_route *route;             /* Or NULL: classes. */
};

static void join(struct world *w, unsigned a, unsigned b)
{
    struct cable c = { .a = a, .b = b, .port_a = ++w->n_ports[a], .port_b = ++w->n_ports[b] };
    w->at_port[a][c.port_a] = w->at_port[b][c.port_b] = (int) w->n_cables;
    w->cables[w->n_cables++] = c;
}

static void learn(struct world *w)
{
    w->paths = paths_new(w->n, w->is_edge);
    for (unsigned i = 0; i < w->n_cables; i++) {
        const struct cable *c = &w->cables[i];
        paths_add_link(w->paths, c->a, c->port_a, c->b, c->port_b);
        paths_add_link(w->paths, c->b, c->port_b, c->a, c->port_a);
    }
}

static void mend(struct world *w)
{
    memset(w->dead, 0, sizeof w->dead);
    for (unsigned i = 0; i < w->n_cables; i++) {
        w->cables[i].dead = false;
    }
}

static bool live(const struct world *w, unsigned node, uint32_t port)
{
    const struct cable *c = &w->cables[w->at_port[node][port]];
    return !c->dead && !w->dead[c->a] && !w->dead[c->b];
}

/* --- The frame's trip --- */

struct lookup { uint32_t in_port; const struct path_choices *found; struct path_choices copy; };

static void compare_port(uint32_t in_port, const struct path_choices *choices, void *x_)
{
    struct lookup *x = x_;
    if (in_port == x->in_port) {
        CU_ASSERT_PTR_NULL(x->found);           /* One rule for a port. */
        x->copy = *choices;
        x->found = &x->copy;
    }
}

static bool choose(const struct world *w, unsigned at, uint32_t in_port, unsigned to, unsigned class, struct path_step *out)
{
    struct lookup x = { .in_port = in_port };
    struct path_choices generic;
    CU_ASSERT_TRUE(!in_port || (w->route ? path_route_is_transit(w->route, at) : paths_is_transit(w->paths, at, to)));
    if (w->route) {
        path_route_arrivals(w->route, at, compare_port, &x);
        if (in_port || !path_route_local(w->route, at, &generic)) {
            path_route_start(w->route, at, &generic);
        }
    } else {
        paths_arrivals(w->paths, at, to, class, compare_port, &x);
        paths_start(w->paths, at, to, class, &generic);
    }
    const struct path_choices *c = in_port && x.found ? x.found : &generic;
    for (unsigned i = 0; i < c->n; i++) {
        if (live(w, at, c->step[i].out_port)) {
            *out = c->step[i];
            return x.found || out->out_port != in_port;         /* Else the switch swallows it. */
        }
    }
    return false;
}

/* Hops; 0: lost. Fails the test on a loop: the state is (node, port), so a loop repeats one. */
static unsigned send(const struct world *w, unsigned from, unsigned to, unsigned class)
{
    unsigned hops = 0;
    uint32_t in_port = 0;
    struct path_step s;
    for (unsigned at = from; at != to; at = s.to, in_port = s.in_port) {
        if (!choose(w, at, in_port, to, class, &s)) {
            return 0;
        }
        if (++hops > 2 * w->n_cables + 1) {
            CU_FAIL("a frame goes round");
            return 0;
        }
    }
    return hops;
}

/* The naive twin of "everything arrives that still can". */
static bool connected(const struct world *w, unsigned from, unsigned to)
{
    bool reached[MAX_N] = { false };
    reached[from] = !w->dead[from];
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < w->n_cables; i++) {
            const struct cable *c = &w->cables[i];
            if (!c->dead && !w->dead[c->a] && !w->dead[c->b] && reached[c->a] != reached[c->b]) {
                reached[c->a] = reached[c->b] = more = true;
            }
        }
    }
    return reached[to] && !w->dead[to];
}

/* --- Worlds --- */

static void random_world(struct rng *rng, struct world *w)
{
    memset(w, 0, sizeof *w);
    w->n = 2 + rng_below(rng, MAX_N - 1);
    unsigned edges = rng_below(rng, 4);         /* None, a quarter … */
    for (unsigned i = 0; i < w->n; i++) {
        w->is_edge[i] = rng_below(rng, 4) < edges;
    }
    unsigned cables = rng_below(rng, 3 * w->n + 1);
    for (unsigned i = 0; i < cables; i++) {
        unsigned a = rng_below(rng, w->n), b = rng_below(rng, w->n);
        if (a != b && w->n_ports[a] < MAX_PORTS - 2 && w->n_ports[b] < MAX_PORTS - 2) {
            join(w, a, b);
            if (!rng_below(rng, 12)) {
                join(w, a, b);
            }
        }
    }
    learn(w);
}

struct score { unsigned long tried, arrived, pairs, shortest, hops, shortest_hops; };

static void try_all(struct world *w, struct score *score)
{
    for (unsigned from = 0; from < w->n; from++) {
        for (unsigned to = 0; to < w->n; to++) {
            for (unsigned class = 0; from != to && class < 2 && connected(w, from, to); class++) {
                score->tried++;
                score->arrived += send(w, from, to, class) > 0;
            }
        }
    }
}

static void cut_each_link(struct world *w, struct score *score)
{
    for (unsigned i = 0; i < w->n_cables; i++) {
        w->cables[i].dead = true;
        try_all(w, score);
        w->cables[i].dead = false;
    }
}

static void kill_each_node(struct world *w, struct score *score)
{
    for (unsigned i = 0; i < w->n; i++) {
        w->dead[i] = true;
        try_all(w, score);
        w->dead[i] = false;
    }
}

static unsigned shortest(const struct world *w, unsigned from, unsigned to)
{
    unsigned hops = 0;
    struct path_step s;
    for (unsigned at = from; at != to && paths_next(w->paths, at, to, &s); at = s.to) {
        hops++;
    }
    return hops;
}

/* Nothing dead: as long as paths_walk() says, in the class that paths_class() says; how much longer than the shortest? */
static void measure(struct world *w, struct score *score)
{
    for (unsigned from = 0; from < w->n; from++) {
        for (unsigned to = 0; to < w->n; to++) {
            struct path_step hops[MAX_N];
            CU_ASSERT_EQUAL(paths_connected(w->paths, from, to), connected(w, from, to));
            if (from == to || !connected(w, from, to)) {
                CU_ASSERT_EQUAL(paths_walk(w->paths, from, to, 0, hops, MAX_N), 0);
                continue;
            }
            unsigned class = paths_class(w->paths, from, to), n = send(w, from, to, class), best = shortest(w, from, to);
            CU_ASSERT_EQUAL(n, paths_walk(w->paths, from, to, class, hops, MAX_N));
            CU_ASSERT_TRUE(n && n <= MAX(send(w, from, to, !class), n));
            CU_ASSERT_TRUE(!class || paths_uses_second(w->paths, to) || !w->is_edge[from]);
            score->pairs++;
            score->shortest += n == best;
            score->hops += n;
            score->shortest_hops += best;
        }
    }
}

static void show(const char *what, const struct score *s)
{
    if (s->pairs) {
        printf("\n    %s: %.1f %% of %lu paths are shortest ones, %.1f %% more hops in all", what, 100.0 * (double) s->shortest / (double) s->pairs,
               s->pairs, 100.0 * (double) s->hops / (double) s->shortest_hops - 100);
    } else {
        printf("\n    %s: %.2f %% of %lu arrive", what, 100.0 * (double) s->arrived / (double) MAX(s->tried, 1ul), s->tried);
    }
}

static void test_random(void)
{
    struct rng rng;
    struct score length = { 0 }, one = { 0 }, two = { 0 };
    rng_seed(&rng, unit_seed());
    for (int round = 0; round < 150; round++) {
        struct world w;
        random_world(&rng, &w);
        measure(&w, &length);
        cut_each_link(&w, &one);
        kill_each_node(&w, &one);
        for (unsigned i = 0; i < 10; i++) {     /* Many at once: nothing goes round (send() looks). */
            for (unsigned j = 0, dead = 2 + rng_below(&rng, 5); w.n_cables && j < dead; j++) {
                w.cables[rng_below(&rng, w.n_cables)].dead = true;
            }
            w.dead[rng_below(&rng, w.n)] = !rng_below(&rng, 3);
            try_all(&w, &two);
            mend(&w);
        }
        paths_free(w.paths);
    }
    CU_ASSERT_EQUAL(one.arrived, one.tried);
    show("random graphs", &length);
    show("one link or node dead", &one);
    show("two to seven dead", &two);
}

/* --- Routes --- */

static void check_route(struct world *w, struct rng *rng, struct score *one, struct score *many)
{
    unsigned via[2] = { rng_below(rng, w->n), rng_below(rng, w->n) }, n_via = rng_below(rng, 3), from = rng_below(rng, w->n), to = rng_below(rng, w->n);
    struct path_route *r = from == to ? NULL : path_route_new(w->paths, from, to, via, n_via);
    if (!r) {
        return;
    }
    const struct path_step *hops;
    unsigned n = path_route_hops(r, &hops), at_via = 0;
    for (unsigned i = 0; i < n && at_via < n_via; i++) {
        at_via += hops[i].to == via[at_via];
    }
    CU_ASSERT_EQUAL(at_via, n_via);
    w->route = r;
    CU_ASSERT_EQUAL(send(w, from, to, 0), n);
    for (unsigned i = 0; i < w->n_cables; i++) {
        w->cables[i].dead = true;
        if (connected(w, from, to)) {
            one->tried++;
            one->arrived += send(w, from, to, 0) > 0;
        }
        w->cables[i].dead = false;
    }
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned j = 0; j < 4; j++) {
            w->cables[rng_below(rng, w->n_cables)].dead = true;
        }
        if (connected(w, from, to)) {
            many->tried++;
            many->arrived += send(w, from, to, 0) > 0;
        }
        mend(w);
    }
    w->route = NULL;
    path_route_free(r);
}

static void test_routes(void)
{
    struct rng rng;
    struct score one = { 0 }, many = { 0 };
    rng_seed(&rng, unit_seed());
    for (int round = 0; round < 300; round++) {
        struct world w;
        random_world(&rng, &w);
        for (unsigned i = 0; w.n_cables && i < 5; i++) {
            check_route(&w, &rng, &one, &many);
        }
        paths_free(w.paths);
    }
    CU_ASSERT_TRUE(one.arrived * 100 >= one.tried * 95);
    show("routes, one link dead", &one);
    show("routes, up to four links dead", &many);
}

/* --- Fabrics --- */

/* All paths are shortest ones. */
static void check_fabric(struct world *w)
{
    struct score length = { 0 }, one = { 0 };
    learn(w);
    measure(w, &length);
    cut_each_link(w, &one);
    kill_each_node(w, &one);
    CU_ASSERT_EQUAL(one.arrived, one.tried);
    CU_ASSERT_EQUAL(length.shortest, length.pairs);
    paths_free(w->paths);
}

static void test_fabrics(void)
{
    static struct world w;
    memset(&w, 0, sizeof w);
    w.n = 5;
    for (unsigned i = 0; i + 1 < 5; i++) {
        w.is_edge[i] = true;
        join(&w, i, i + 1);
    }
    check_fabric(&w);

    for (unsigned n = 3; n < 12; n++) {         /* Fabric switches with an edge at each; and edges alone. */
        memset(&w, 0, sizeof w);
        w.n = 2 * n;
        for (unsigned i = 0; i < n; i++) {
            w.is_edge[i] = true;
            join(&w, i, n + i);
            join(&w, n + i, n + (i + 1) % n);
        }
        check_fabric(&w);
        memset(&w, 0, sizeof w);
        w.n = n;
        for (unsigned i = 0; i < n; i++) {
            w.is_edge[i] = true;
            join(&w, i, (i + 1) % n);
        }
        check_fabric(&w);
    }

    memset(&w, 0, sizeof w);                    /* 10 edges on pairs of 4 leaves, 3 spines. */
    w.n = 17;
    for (unsigned i = 0; i < 10; i++) {
        w.is_edge[i] = true;
        join(&w, i, 10 + 2 * (i % 2));
        join(&w, i, 11 + 2 * (i % 2));
    }
    for (unsigned i = 0; i < 12; i++) {
        join(&w, 10 + i % 4, 14 + i / 4);
    }
    check_fabric(&w);
}

void paths_trees_test_suite(void);
void paths_trees_test_suite(void)
{
    UNIT_SUITE("paths, two colours", { "random graphs: one failure loses nothing, no failures loop", test_random },
               { "routes of their own", test_routes }, { "lines, rings, leaf-spine", test_fabrics });
}
