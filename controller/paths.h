/*
 * Paths over the substrate's links: shortest ones, and pairs of trees with local repair.  Pure: no switches, no loop,
 * no time.
 *
 * Nodes are numbered 0..n-1 by the caller, in ascending order of datapath id (so that ties break by datapath id). Links
 * are added one direction at a time; only those that exist in both directions carry traffic. A path's cost is (edges in
 * transit, hops), compared in that order: an edge, whose core belongs to its VMs, carries other edges' traffic only
 * when no path over fabric switches exists, and then as few as possible do.
 *
 * The problem. A switch that loses a port must go on without asking anybody, and a plain OpenFlow 1.3 fabric switch can
 * mark nothing in a frame that is not its own: it knows the destination (edge, class) and the port of arrival. Frames
 * have no hop limit, so whatever fails, and however much at once, there must be no loop.
 *
 * The solution: two colours (independent trees; Zehavi and Itai 1989, RFC 7811 calls them maximally redundant). Towards
 * one destination d each block (2-connected component) gets an order of its nodes in which d, or the cut vertex that
 * leads to d, is below all and above all at once (an st-numbering), and each other node has a neighbour below and one
 * above. A red arc leads down in the order, a blue one up: no arc is both, both end at d. A class starts on one colour:
 *
 *     class 0: first colour red, final colour blue         class 1: first colour blue, final colour red
 *     start:   the first colour's best arc, its second best, the final colour's best arc        (a fast-failover group)
 *     final:   the final colour's best arc
 *
 * A frame that arrives by an arc of the final colour is in state "final", any other in state "start"; the port of
 * arrival tells. Where the best way on is the port of arrival itself, the choice says so by being equal to it (OpenFlow
 * sends it back by OFPP_IN_PORT only).
 *
 * (What comes from a node that only sends is in state start, whatever its arc: it is the trip's begin.)
 *
 * No loops, whatever fails: in state start the order falls strictly (class 0), then the state changes once, then the
 * order rises strictly until the block's root, which belongs to the block nearer to d; blocks form a tree.
 * One failure, of a link or a switch v: a frame that cannot go down at x turns at x > v and rises from there: it meets
 * nothing below x. So everything arrives that still can, in any graph (also with bridges, cut vertices and parallel
 * links). The rules stay few: each node has one arc of the final colour, so per destination and class there are on
 * average one rule for arrivals in state final, one for a frame that is sent back, and one for all others.
 *
 * Which of several orders: one that makes paths short. Ears are added in order of the distance to d, each beginning
 * with a node's arc on its shortest path, on that side of the neighbour where the neighbour's own shortest path lies;
 * the source takes the class that is shorter for it. In lines, rings and leaf-spines all paths are shortest ones; how
 * long they are in random graphs, paths_trees_test.c prints.
 *
 * A route of its own (explicit hops) is a third state in front of these two: frames follow the given arcs; at a dead
 * one they turn to red or blue arcs that are none of the route's, so again the port of arrival tells the state.
 *
 * What is computed towards one destination is kept until a link is added.
 */
#ifndef CONTROLLER_PATHS_H
#define CONTROLLER_PATHS_H 1

#include <stdbool.h>
#include <stdint.h>

struct paths;
/* is_edge[i]: node i is an edge.  Copied. */
struct paths *paths_new(unsigned n, const bool *is_edge);
void paths_free(struct paths *);
void paths_add_link(struct paths *, unsigned a, uint32_t port_a, unsigned b, uint32_t port_b);

/* The hop from `from` towards `to` on a shortest path: its port, the neighbour and the port where the neighbour receives.  Of equal ones the lowest
 * (neighbour, port).  False when there is no path, or from == to. */
struct path_step { unsigned to; uint32_t out_port, in_port; };
bool paths_next(struct paths *, unsigned from, unsigned to, struct path_step *);
bool paths_connected(struct paths *, unsigned a, unsigned b);          /* True for a == b. */

/* paths_bridges.c: without the cable at that port its ends are not connected.  False also where there is no cable in both directions. */
bool paths_is_bridge(struct paths *, unsigned a, uint32_t port_a);

/* Ways on, the best first; a switch takes the first whose port is live. */
#define PATHS_CHOICES 3
struct path_choices { unsigned n; struct path_step step[PATHS_CHOICES]; };

/* --- paths_trees.c: the pair of classes towards one destination --- */
/* What node `at` does with frames for `to` in class 0 or 1 in state start; n = 0: no path. */
void paths_start(struct paths *, unsigned at, unsigned to, unsigned class, struct path_choices *);
/* The ports where frames of that class may arrive at `at` that are not to be treated so, and how they are: in state final, or back to
 * where they came from (a choice whose out_port is in_port). */
void paths_arrivals(struct paths *, unsigned at, unsigned to, unsigned class, void (*fn)(uint32_t in_port, const struct path_choices *, void *aux), void *aux);
/* The class in which the path from `from` is the shorter one (0 when equal). */
unsigned paths_class(struct paths *, unsigned from, unsigned to);
/* Some edge's class is 1. */
bool paths_uses_second(struct paths *, unsigned to);
/* A neighbour may send frames for `to` to `at`, if something fails. */
bool paths_is_transit(struct paths *, unsigned at, unsigned to);
/* Hops in state start, nothing having failed, at most `max`; returns their number, 0 without a path. */
unsigned paths_walk(struct paths *, unsigned from, unsigned to, unsigned class, struct path_step *out, unsigned max);

/* --- paths_route.c: a route of its own --- */
struct path_route;
/* From `from` over the nodes via[] in this order to `to`, each leg a shortest path that repeats no node.  NULL when there is none. */
struct path_route *path_route_new(struct paths *, unsigned from, unsigned to, const unsigned *via, unsigned n_via);
void path_route_free(struct path_route *);
unsigned path_route_hops(const struct path_route *, const struct path_step **out);              /* Owned by the route. */
/* As above: what `at` does with the route's frames: those that it sends itself (only at `from`), those that arrive otherwise than named here, and by port. */
bool path_route_local(const struct path_route *, unsigned at, struct path_choices *);
bool path_route_is_transit(const struct path_route *, unsigned at);
void path_route_start(const struct path_route *, unsigned at, struct path_choices *);
void path_route_arrivals(const struct path_route *, unsigned at, void (*fn)(uint32_t in_port, const struct path_choices *, void *aux), void *aux);

#endif
