/* Cables that nothing replaces: bridges, by depth-first search (Tarjan 1974), without recursion. */
#include "controller/paths_impl.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

/* seen: the number in order of discovery, from 1; low: the least number that the node's subtree reaches by an arc that is not in the tree. */
struct search { uint32_t *seen, *low, *came_by, *next, n_seen; };

static void discover(struct search *s, const struct paths *p, uint32_t node, uint32_t arc)
{
    s->seen[node] = s->low[node] = ++s->n_seen;
    s->came_by[node] = arc;
    s->next[node] = p->first[node];
}

static void search_from(struct search *s, struct paths *p, uint32_t at)
{
    discover(s, p, at, NO_ARC);
    for (;;) {
        const uint32_t by = s->came_by[at];
        if (s->next[at] < p->first[at + 1]) {
            const uint32_t arc = s->next[at]++, to = p->arcs[arc].to;
            if (!s->seen[to]) {
                discover(s, p, to, arc);
                at = to;
            } else if (by == NO_ARC || arc != p->reverse[by]) {         /* A parallel cable leads back, too. */
                s->low[at] = MIN(s->low[at], s->seen[to]);
            }
        } else if (by == NO_ARC) {
            return;
        } else {
            const uint32_t up = p->arcs[by].from;
            p->bridge[by] = p->bridge[p->reverse[by]] = s->low[at] > s->seen[up];
            s->low[up] = MIN(s->low[up], s->low[at]);
            at = up;
        }
    }
}

static void find_bridges(struct paths *p)
{
    struct search s = {
        .seen = xcalloc(p->n + 1, sizeof *s.seen), .low = xcalloc(p->n + 1, sizeof *s.low),
        .came_by = xcalloc(p->n + 1, sizeof *s.came_by), .next = xcalloc(p->n + 1, sizeof *s.next),
    };
    p->bridge = xcalloc(p->n_arcs + 1, sizeof *p->bridge);
    for (uint32_t node = 0; node < p->n; node++) {
        if (!s.seen[node]) {
            search_from(&s, p, node);
        }
    }
    free(s.seen);
    free(s.low);
    free(s.came_by);
    free(s.next);
}

bool paths_is_bridge(struct paths *p, unsigned a, uint32_t port_a)
{
    assert(a < p->n);
    paths_prepare(p);
    if (!p->bridge) {
        find_bridges(p);
    }
    for (unsigned i = p->first[a]; i < p->first[a + 1]; i++) {
        if (p->arcs[i].out_port == port_a) {
            return p->bridge[i];
        }
    }
    return false;
}
