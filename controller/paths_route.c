/* A route of its own: given hops first, two colours behind them. See paths.h. */
#include "controller/paths_impl.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

struct path_route {
    struct paths *paths;
    unsigned from, to;
    uint32_t *arcs; unsigned n;         /* The route's own, in order. */
    struct path_step *hops;
    bool *own;                          /* By arc: it is the route's. */
    struct tree_node *nodes;            /* The colours without the route's arcs. */
};

/* Costs from `to` backwards over nodes that are not used; NULL when `from` has none.  Links run both ways. */
static uint32_t *leg_costs(const struct paths *p, unsigned from, unsigned to, const bool *used)
{
    uint32_t *cost = xmalloc(p->n * sizeof *cost);
    bool *done = xcalloc(p->n, sizeof *done);
    for (unsigned i = 0; i < p->n; i++) {
        cost[i] = COST_NONE;
    }
    cost[to] = 0;
    for (;;) {
        uint32_t at = NO_NODE;
        for (uint32_t i = 0; i < p->n; i++) {
            if (!done[i] && cost[i] != COST_NONE && (at == NO_NODE || cost[i] < cost[at])) {
                at = i;
            }
        }
        if (at == NO_NODE || at == from) {
            break;
        }
        done[at] = true;
        for (uint32_t i = p->first[at]; i < p->first[at + 1]; i++) {
            uint32_t next = p->arcs[i].to, c = cost[at] + paths_step_cost(p, at, to);
            if ((!used[next] || next == from) && c < cost[next]) {
                cost[next] = c;
            }
        }
    }
    free(done);
    if (cost[from] == COST_NONE) {
        free(cost);
        return NULL;
    }
    return cost;
}

/* Appends the arcs of the leg and marks its nodes used. */
static bool add_leg(struct path_route *r, unsigned from, unsigned to, bool *used)
{
    const struct paths *p = r->paths;
    uint32_t *cost = leg_costs(p, from, to, used);
    for (unsigned at = from; cost && at != to;) {
        uint32_t i = p->first[at];
        while (cost[p->arcs[i].to] == COST_NONE || cost[p->arcs[i].to] + paths_step_cost(p, p->arcs[i].to, to) != cost[at]) {
            i++;
        }
        r->arcs[r->n++] = i;
        at = p->arcs[i].to;
        used[at] = true;
    }
    free(cost);
    return cost != NULL;
}

static bool add_legs(struct path_route *r, const unsigned *via, unsigned n_via)
{
    bool *used = xcalloc(r->paths->n, sizeof *used), ok = true;
    used[r->from] = used[r->to] = true;
    for (unsigned i = 0; i < n_via; i++) {
        ok &= !used[via[i]];
        used[via[i]] = true;
    }
    unsigned at = r->from;
    for (unsigned i = 0; ok && i <= n_via; i++) {
        unsigned next = i < n_via ? via[i] : r->to;
        used[next] = false;
        ok = add_leg(r, at, next, used);
        at = next;
    }
    free(used);
    return ok;
}

struct path_route *path_route_new(struct paths *p, unsigned from, unsigned to, const unsigned *via, unsigned n_via)
{
    assert(from < p->n && to < p->n && from != to);
    struct path_route *r = XNEW(struct path_route);
    paths_prepare(p);
    r->paths = p;
    r->from = from;
    r->to = to;
    r->arcs = xcalloc(p->n, sizeof *r->arcs);
    if (!add_legs(r, via, n_via)) {
        path_route_free(r);
        return NULL;
    }
    r->hops = xcalloc(r->n, sizeof *r->hops);
    r->own = xcalloc(p->n_arcs, sizeof *r->own);
    for (unsigned i = 0; i < r->n; i++) {
        const struct arc *a = &p->arcs[r->arcs[i]];
        r->hops[i] = (struct path_step) { a->to, a->out_port, a->in_port };
        r->own[r->arcs[i]] = true;
    }
    struct order o;
    order_init(&o, p, to);
    r->nodes = xcalloc(p->n, sizeof *r->nodes);
    tree_nodes_init(r->nodes, p, &o, to, r->own);
    order_fini(&o);
    return r;
}

void path_route_free(struct path_route *r)
{
    if (r) {
        free(r->arcs);
        free(r->hops);
        free(r->own);
        free(r->nodes);
        free(r);
    }
}

unsigned path_route_hops(const struct path_route *r, const struct path_step **out)
{
    *out = r->hops;
    return r->n;
}

/* The route's hop i first, then the colours. */
static void on_route(const struct path_route *r, unsigned at, unsigned i, struct path_choices *out)
{
    out->n = 0;
    path_choices_add(out, r->paths, r->arcs[i]);
    path_choices_add(out, r->paths, r->nodes[at].arc[RED][0]);
    path_choices_add(out, r->paths, r->nodes[at].arc[BLUE][0]);
}

bool path_route_local(const struct path_route *r, unsigned at, struct path_choices *out)
{
    if (at == r->from) {
        on_route(r, at, 0, out);
    }
    return at == r->from;
}

bool path_route_is_transit(const struct path_route *r, unsigned at)
{
    assert(at < r->paths->n);
    for (unsigned i = 0; i + 1 < r->n; i++) {
        if (r->hops[i].to == at) {
            return true;
        }
    }
    return at != r->to && r->nodes[at].transit;
}

void path_route_start(const struct path_route *r, unsigned at, struct path_choices *out)
{
    assert(at < r->paths->n);
    tree_start(r->paths, r->nodes, at, RED, out);
}

void path_route_arrivals(const struct path_route *r, unsigned at, void (*fn)(uint32_t, const struct path_choices *, void *), void *aux)
{
    if (at == r->to) {
        return;
    }
    for (unsigned i = 0; i + 1 < r->n; i++) {
        if (r->hops[i].to == at) {
            struct path_choices c;
            on_route(r, at, i + 1, &c);
            fn(r->hops[i].in_port, &c, aux);
        }
    }
    tree_arrivals(r->paths, r->nodes, at, RED, r->own, fn, aux);
}
