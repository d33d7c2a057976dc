/* Which edges are next to each other, for the topology preset "mirror": see model_set_neighbours(). */
#include "controller/substrate.h"

#include <stdlib.h>
#include "controller/controller.h"

/* Links seen up, both directions of each cable that carries traffic. */
struct cables { struct { struct sw *a, *b; uint32_t port_a, port_b; } *list; unsigned n, allocated; };

static void collect(const struct link *l, void *cables_)
{
    struct cables *c = cables_;
    if (!l->up) {
        return;
    }
    if (c->n == c->allocated) {
        c->allocated = c->allocated ? 2 * c->allocated : 64;
        c->list = xrealloc(c->list, c->allocated * sizeof *c->list);
    }
    c->list[c->n].a = l->a;
    c->list[c->n].b = l->b;
    c->list[c->n].port_a = l->port_a;
    c->list[c->n++].port_b = l->port_b;
}

static bool goes_back(const struct cables *c, unsigned i)
{
    for (unsigned j = 0; j < c->n; j++) {
        if (c->list[j].a == c->list[i].b && c->list[j].port_a == c->list[i].port_b && c->list[j].b == c->list[i].a && c->list[j].port_b == c->list[i].port_a) {
            return true;
        }
    }
    return false;
}

/* The switches reached so far; those from `next` on have not been looked at. */
struct reach { struct sw **list; unsigned n, next; };

static bool reached(struct reach *r, struct sw *sw)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (r->list[i] == sw) {
            return true;
        }
    }
    r->list = xrealloc(r->list, (r->n + 1) * sizeof *r->list);
    r->list[r->n++] = sw;
    return false;
}

void substrate_neighbours(const struct edge *from, void (*found)(const struct edge *, void *), void *found_aux, void *controller_)
{
    struct substrate *s = ((struct controller *) controller_)->substrate;
    struct sw *start = substrate_find(s, from->datapath_id);
    struct cables cables = { .n = 0 };
    struct reach r = { .n = 0 };
    if (start) {
        substrate_each_link(s, collect, &cables);
        reached(&r, start);
    }
    for (; r.next < r.n; r.next++) {
        struct sw *at = r.list[r.next];
        if (at != start && !at->is_fabric) {
            continue;                           /* Edges are ends: what is behind one is not next to us. */
        }
        for (unsigned i = 0; i < cables.n; i++) {
            if (cables.list[i].a == at && goes_back(&cables, i) && !reached(&r, cables.list[i].b) && !cables.list[i].b->is_fabric) {
                found(cables.list[i].b->edge, found_aux);
            }
        }
    }
    free(r.list);
    free(cables.list);
}
