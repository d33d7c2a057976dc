/* Two colours towards one destination: from the order to the ways on. See paths.h. */
#include "controller/paths_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

struct tree { bool uses_second; uint32_t *total[2]; struct tree_node nodes[]; };        /* total: cost to the destination, by class. */

/* --- Best arcs --- */

static uint32_t cost_over(const struct paths *p, const struct tree_node *nodes, const struct arc *a, enum colour c, unsigned to)
{
    bool ends = a->to == nodes[a->from].root;
    uint32_t rest = ends ? 0 : nodes[a->to].cost[c];
    return rest == COST_NONE ? COST_NONE : rest + paths_step_cost(p, a->to, to);
}

/* Equal ways are spread over the fabric: by destination and by node, and the same again after a change elsewhere. */
static uint64_t preference(const struct arc *a, unsigned to)
{
    return hash_mix64(((uint64_t) a->from << 32 | a->to) ^ hash_mix64((uint64_t) to << 32 | a->out_port));
}

struct candidate { uint32_t arc, cost; bool parallel; uint64_t preference; };

static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (b->arc == NO_ARC || a->parallel != b->parallel) {
        return b->arc == NO_ARC || b->parallel;
    }
    return a->cost != b->cost ? a->cost < b->cost : a->preference < b->preference;
}

/* The second best leads to another node where it can: it has to help when the best one's node is dead, too. */
static void choose(struct tree_node *nodes, struct paths *p, const struct order *o, unsigned to, const bool *skip, uint32_t at, enum colour c)
{
    struct tree_node *t = &nodes[at];
    for (unsigned rank = 0; rank < 2; rank++) {
        struct candidate best = { .arc = NO_ARC };
        for (uint32_t i = p->first[at]; i < p->first[at + 1]; i++) {
            const struct arc *a = &p->arcs[i];
            struct candidate x = { i, COST_NONE, false, 0 };
            if ((skip && skip[i]) || order_colour(o, a) != (int) c || (x.cost = cost_over(p, nodes, a, c, to)) == COST_NONE || (rank && i == t->arc[c][0])) {
                continue;
            }
            x.parallel = rank && a->to == p->arcs[t->arc[c][0]].to;
            x.preference = preference(a, to);
            if (is_better(&x, &best)) {
                best = x;
            }
        }
        t->arc[c][rank] = best.arc;
        if (!rank) {
            t->cost[c] = best.arc == NO_ARC ? COST_NONE : best.cost;
        }
        if (best.arc == NO_ARC) {
            return;
        }
    }
}

/* A colour's way falls, or rises, so what it leads over is known before. */
void tree_nodes_init(struct tree_node *nodes, struct paths *p, const struct order *o, unsigned to, const bool *skip)
{
    for (unsigned i = 0; i < p->n; i++) {
        nodes[i] = (struct tree_node) {
            .arc = { { NO_ARC, NO_ARC }, { NO_ARC, NO_ARC } }, .root = o->root[i], .cost = { COST_NONE, COST_NONE },
        };
    }
    for (unsigned i = 0; i < o->n; i++) {
        choose(nodes, p, o, to, skip, o->by_block[i], RED);
        choose(nodes, p, o, to, skip, o->by_block[o->n - 1 - i], BLUE);
    }
    for (unsigned i = 0; i < p->n; i++) {
        for (unsigned c = 0; c < 2 * N_COLOURS; c++) {
            const uint32_t arc = nodes[i].arc[c / 2][c % 2];
            if (arc != NO_ARC) {
                nodes[p->arcs[arc].to].transit = true;
            }
        }
    }
}

/* --- One destination --- */

/* Costs from node to destination, block after block: a root's comes first. */
static void add_totals(struct tree *t, const struct paths *p, const struct order *o, unsigned to)
{
    for (unsigned class = 0; class < 2; class++) {
        t->total[class] = xcalloc(p->n + 1, sizeof *t->total[class]);
        for (unsigned i = 0; i < o->n; i++) {
            const uint32_t at = o->by_block[i];
            const struct tree_node *node = &t->nodes[at];
            uint32_t own = node->cost[class] != COST_NONE ? node->cost[class] : node->cost[!class];
            t->total[class][at] = own + (node->root == to ? 0 : t->total[class][node->root]);
        }
    }
    for (unsigned i = 0; i < p->n; i++) {
        t->uses_second |= p->is_edge[i] && t->total[1][i] < t->total[0][i];
    }
}

static struct tree *tree_of(struct paths *p, unsigned to)
{
    assert(to < p->n);
    paths_prepare(p);
    if (!p->tree[to]) {
        struct order o;
        order_init(&o, p, to);
        struct tree *t = xcalloc(1, sizeof *t + p->n * sizeof t->nodes[0]);
        tree_nodes_init(t->nodes, p, &o, to, NULL);
        add_totals(t, p, &o, to);
        order_fini(&o);
        p->tree[to] = t;
    }
    return p->tree[to];
}

void tree_free(struct tree *t)
{
    if (t) {
        free(t->total[0]);
        free(t->total[1]);
        free(t);
    }
}

/* --- Choices --- */

void path_choices_add(struct path_choices *c, const struct paths *p, uint32_t arc)
{
    if (arc == NO_ARC || c->n == PATHS_CHOICES) {
        return;
    }
    const struct arc *a = &p->arcs[arc];
    for (unsigned i = 0; i < c->n; i++) {
        if (c->step[i].out_port == a->out_port) {
            return;
        }
    }
    c->step[c->n++] = (struct path_step) { a->to, a->out_port, a->in_port };
}

void tree_start(const struct paths *p, const struct tree_node *nodes, unsigned at, enum colour first, struct path_choices *out)
{
    const struct tree_node *t = &nodes[at];
    out->n = 0;
    path_choices_add(out, p, t->arc[first][0]);
    path_choices_add(out, p, t->arc[first][1]);
    path_choices_add(out, p, t->arc[!first][0]);
    if (t->arc[!first][1] != NO_ARC && p->arcs[t->arc[!first][1]].to == t->root) {
        path_choices_add(out, p, t->arc[!first][1]);            /* Into the root a frame is in state start again, by whichever cable. */
    }
}

void tree_arrivals(const struct paths *p, const struct tree_node *nodes, unsigned at, enum colour first, const bool *skip,
                   void (*fn)(uint32_t in_port, const struct path_choices *, void *aux), void *aux)
{
    const enum colour final = !first;
    struct path_choices start, last = { .n = 0 };
    tree_start(p, nodes, at, first, &start);
    path_choices_add(&last, p, nodes[at].arc[final][0]);
    for (uint32_t i = p->first[at]; i < p->first[at + 1]; i++) {
        const uint32_t port = p->arcs[i].out_port, back = p->reverse[i];
        const struct tree_node *sender = &nodes[p->arcs[i].to];
        if (!sender->transit || sender->root == NO_NODE || sender->root == at || (skip && skip[back])) {
            continue;           /* Only its own frames come from there, or nothing; or a block begins here; or the arc belongs to a route. */
        }
        if (sender->arc[final][0] == back) {
            fn(port, &last, aux);
        } else if (sender->arc[first][0] == back || sender->arc[first][1] == back) {
            bool bounces = false;
            for (unsigned j = 0; j < start.n; j++) {
                bounces |= start.step[j].out_port == port;
            }
            if (bounces) {
                fn(port, &start, aux);
            }
        }
    }
}

void paths_start(struct paths *p, unsigned at, unsigned to, unsigned class, struct path_choices *out)
{
    assert(at < p->n && class < 2);
    tree_start(p, tree_of(p, to)->nodes, at, (enum colour) class, out);
}

void paths_arrivals(struct paths *p, unsigned at, unsigned to, unsigned class, void (*fn)(uint32_t, const struct path_choices *, void *), void *aux)
{
    assert(at < p->n && class < 2);
    const struct tree *t = tree_of(p, to);
    if (at != to) {
        tree_arrivals(p, t->nodes, at, (enum colour) class, NULL, fn, aux);
    }
}

unsigned paths_class(struct paths *p, unsigned from, unsigned to)
{
    assert(from < p->n);
    const struct tree *t = tree_of(p, to);
    return t->total[1][from] < t->total[0][from];
}

bool paths_uses_second(struct paths *p, unsigned to) { return tree_of(p, to)->uses_second; }

bool paths_is_transit(struct paths *p, unsigned at, unsigned to)
{
    assert(at < p->n);
    const struct tree *t = tree_of(p, to);
    return at != to && t->nodes[at].transit;
}

unsigned paths_walk(struct paths *p, unsigned from, unsigned to, unsigned class, struct path_step *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned at = from; at != to; at = out[n++].to) {
        struct path_choices c;
        paths_start(p, at, to, class, &c);
        if (!c.n || n == max) {
            return 0;
        }
        out[n] = c.step[0];
    }
    return n;
}
