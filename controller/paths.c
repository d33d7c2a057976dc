#include "controller/paths_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

struct paths *paths_new(unsigned n, const bool *is_edge)
{
    assert(n < COST_TRANSIT);
    struct paths *p = XNEW(struct paths);
    p->n = n;
    p->is_edge = xcalloc(n + 1, sizeof *p->is_edge);
    if (n) {
        memcpy(p->is_edge, is_edge, n * sizeof *is_edge);
    }
    p->first = xcalloc(n + 1, sizeof *p->first);
    p->cost = xcalloc(n + 1, sizeof(uint32_t *));
    p->tree = xcalloc(n + 1, sizeof(struct tree *));
    return p;
}

static void forget(struct paths *p)
{
    free(p->arcs);
    free(p->reverse);
    free(p->bridge);
    p->arcs = NULL;
    p->reverse = NULL;
    p->bridge = NULL;
    for (unsigned i = 0; i < p->n; i++) {
        free(p->cost[i]);
        tree_free(p->tree[i]);
        p->cost[i] = NULL;
        p->tree[i] = NULL;
    }
}

void paths_free(struct paths *p)
{
    if (!p) {
        return;
    }
    forget(p);
    free(p->cost);
    free(p->tree);
    free(p->is_edge);
    free(p->seen);
    free(p->first);
    free(p);
}

void paths_add_link(struct paths *p, unsigned a, uint32_t port_a, unsigned b, uint32_t port_b)
{
    assert(a < p->n && b < p->n);
    if (a == b) {
        return;                 /* A cable from a switch to itself leads nowhere. */
    }
    if (p->n_seen == p->allocated) {
        p->allocated = p->allocated ? 2 * p->allocated : 64;
        p->seen = xrealloc(p->seen, p->allocated * sizeof *p->seen);
    }
    p->seen[p->n_seen++] = (struct arc) { a, b, port_a, port_b };
    if (p->arcs) {
        forget(p);
    }
}

static int compare_u32(uint32_t a, uint32_t b) { return (a > b) - (a < b); }

static int compare_arcs(const void *a_, const void *b_)
{
    const struct arc *a = a_, *b = b_;
    int d = compare_u32(a->from, b->from);
    d = d ? d : compare_u32(a->to, b->to);
    d = d ? d : compare_u32(a->out_port, b->out_port);
    return d ? d : compare_u32(a->in_port, b->in_port);
}

static struct arc reverse_of(const struct arc *a) { return (struct arc) { a->to, a->from, a->in_port, a->out_port }; }

/* Sorts, and leaves out what was seen in one direction only. */
static void sort_arcs(struct paths *p)
{
    if (p->n_seen) {
        qsort(p->seen, p->n_seen, sizeof *p->seen, compare_arcs);
    }
    p->arcs = xcalloc(p->n_seen + 1, sizeof *p->arcs);
    p->n_arcs = 0;
    for (unsigned i = 0; i < p->n_seen; i++) {
        const struct arc *a = &p->seen[i];
        struct arc back = reverse_of(a);
        bool repeated = i && !compare_arcs(a, a - 1);
        if (!repeated && bsearch(&back, p->seen, p->n_seen, sizeof back, compare_arcs)) {
            p->arcs[p->n_arcs++] = *a;
        }
    }
    for (unsigned node = 0, i = 0; node <= p->n; node++) {
        while (i < p->n_arcs && p->arcs[i].from < node) {
            i++;
        }
        p->first[node] = i;
    }
    p->reverse = xcalloc(p->n_arcs + 1, sizeof *p->reverse);
    for (unsigned i = 0; i < p->n_arcs; i++) {
        struct arc back = reverse_of(&p->arcs[i]);
        const struct arc *found = bsearch(&back, p->arcs, p->n_arcs, sizeof back, compare_arcs);
        p->reverse[i] = (uint32_t) (found - p->arcs);
    }
}

void paths_prepare(struct paths *p)
{
    if (!p->arcs) {
        sort_arcs(p);
    }
}

uint32_t paths_step_cost(const struct paths *p, unsigned next, unsigned to)
{
    return 1 + (p->is_edge[next] && next != to ? COST_TRANSIT : 0);
}

struct heap_item { uint32_t cost; unsigned node; };
struct heap { struct heap_item *v; unsigned n; };

static void heap_push(struct heap *h, struct heap_item x)
{
    unsigned i = h->n++;
    for (; i && h->v[(i - 1) / 2].cost > x.cost; i = (i - 1) / 2) {
        h->v[i] = h->v[(i - 1) / 2];
    }
    h->v[i] = x;
}

static struct heap_item heap_pop(struct heap *h)
{
    struct heap_item top = h->v[0], x = h->v[--h->n];
    unsigned i = 0;
    for (unsigned child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && h->v[child + 1].cost < h->v[child].cost) {
            child++;
        }
        if (h->v[child].cost >= x.cost) {
            break;
        }
        h->v[i] = h->v[child];
    }
    h->v[i] = x;
    return top;
}

/* Dijkstra from the destination outwards; links run both ways, so the arcs of a node serve backwards too. */
const uint32_t *paths_costs(struct paths *p, unsigned to)
{
    paths_prepare(p);
    if (p->cost[to]) {
        return p->cost[to];
    }
    uint32_t *cost = xmalloc(p->n * sizeof *cost);
    for (unsigned i = 0; i < p->n; i++) {
        cost[i] = COST_NONE;
    }
    struct heap heap = { xmalloc((p->n_arcs + 1) * sizeof *heap.v), 0 };
    cost[to] = 0;
    heap_push(&heap, (struct heap_item) { 0, to });
    while (heap.n) {
        struct heap_item x = heap_pop(&heap);
        if (x.cost > cost[x.node]) {
            continue;
        }
        uint32_t c = x.cost + paths_step_cost(p, x.node, to);
        for (unsigned i = p->first[x.node]; i < p->first[x.node + 1]; i++) {
            unsigned neighbour = p->arcs[i].to;
            if (c < cost[neighbour]) {
                cost[neighbour] = c;
                heap_push(&heap, (struct heap_item) { c, neighbour });
            }
        }
    }
    free(heap.v);
    p->cost[to] = cost;
    return cost;
}

bool paths_next(struct paths *p, unsigned from, unsigned to, struct path_step *step)
{
    assert(from < p->n && to < p->n);
    const uint32_t *cost = paths_costs(p, to);
    if (from == to || cost[from] == COST_NONE) {
        return false;
    }
    for (unsigned i = p->first[from]; i < p->first[from + 1]; i++) {
        const struct arc *a = &p->arcs[i];
        if (cost[a->to] != COST_NONE && cost[a->to] + paths_step_cost(p, a->to, to) == cost[from]) {
            *step = (struct path_step) { a->to, a->out_port, a->in_port };
            return true;
        }
    }
    assert(!"a finite cost has a next hop");
    return false;
}

bool paths_connected(struct paths *p, unsigned a, unsigned b)
{
    assert(a < p->n && b < p->n);
    return a == b || paths_costs(p, b)[a] != COST_NONE;
}
