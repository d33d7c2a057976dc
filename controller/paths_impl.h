/* What paths.c (graph, shortest paths), paths_order.c (orders), paths_trees.c (two colours) and paths_route.c share. */
#ifndef CONTROLLER_PATHS_IMPL_H
#define CONTROLLER_PATHS_IMPL_H 1

#include "controller/paths.h"

#define COST_NONE UINT32_MAX
#define COST_TRANSIT (UINT32_C(1) << 16)        /* Above any number of hops. */
#define NO_NODE UINT32_MAX
#define NO_ARC UINT32_MAX

enum colour { RED, BLUE, N_COLOURS };           /* Down, up. */

struct arc { uint32_t from, to, out_port, in_port; };
struct tree;
struct paths {
    unsigned n;
    bool *is_edge;
    struct arc *seen;           /* As added. */
    unsigned n_seen, allocated;
    struct arc *arcs;           /* Those of both directions, sorted by (from, to, out_port); NULL until asked for. */
    unsigned n_arcs;
    uint32_t *reverse;          /* The same cable's other direction, by arc. */
    unsigned *first;            /* n + 1 indexes into arcs. */
    uint32_t **cost;            /* Per destination, computed when first asked for. */
    struct tree **tree;         /* Likewise. */
    bool *bridge;               /* By arc; NULL until asked for. */
};

/* paths.c */
void paths_prepare(struct paths *);             /* Arcs are sorted after it. */
const uint32_t *paths_costs(struct paths *, unsigned to);               /* n costs; COST_NONE: no path. */
uint32_t paths_step_cost(const struct paths *, unsigned next, unsigned to);     /* What the hop into `next` adds to a path towards `to`. */

/*
 * paths_order.c: the order towards one destination.  Each node with a path has a block, whose root is the destination
 * or a cut vertex; labels are compared within one block only. by_block: nodes with a path but the destination, block
 * after block (a root comes before its block's nodes), ascending within one.
 */
struct order {
    uint32_t *root;             /* Block's root; NO_NODE for the destination and where there is no path. */
    uint64_t *label;
    bool *root_above;           /* Arcs from this node to its root lead up, not down. */
    uint32_t *by_block;
    unsigned n;
};
void order_init(struct order *, struct paths *, unsigned to);
void order_fini(struct order *);
/* -1: the arc leads into a block farther from the destination. */
int order_colour(const struct order *, const struct arc *);

/* paths_trees.c: best and second best arc of each colour. `cost`: towards the block's root by the best one. transit: some node's arc leads here. */
struct tree_node { uint32_t arc[N_COLOURS][2], root, cost[N_COLOURS]; bool transit; };
/* Arcs with skip[arc] are left out (NULL: none). */
void tree_nodes_init(struct tree_node *, struct paths *, const struct order *, unsigned to, const bool *skip);
void tree_free(struct tree *);
/* The arrivals of one destination and first colour: see paths_arrivals(). */
void tree_arrivals(const struct paths *, const struct tree_node *, unsigned at, enum colour first, const bool *skip,
                   void (*fn)(uint32_t in_port, const struct path_choices *, void *aux), void *aux);
void tree_start(const struct paths *, const struct tree_node *, unsigned at, enum colour first, struct path_choices *);
void path_choices_add(struct path_choices *, const struct paths *, uint32_t arc);       /* NO_ARC and repetitions are left out. */

#endif
