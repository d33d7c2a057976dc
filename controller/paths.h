/*
 * Shortest paths over the substrate's links.  Pure: no switches, no loop, no time.
 *
 * Nodes are numbered 0..n-1 by the caller, in ascending order of datapath id (so that ties break by datapath id). Links
 * are added one direction at a time; only those that exist in both directions carry traffic. A path's cost is (edges in
 * transit, hops), compared in that order: an edge, whose core belongs to its VMs, carries other edges' traffic only
 * when no path over fabric switches exists, and then as few as possible do.
 *
 * Forwarding is hop by hop, by destination. The cost of a node is one hop more than that of its next hop's (or one
 * transit edge more), so along next hops the cost falls strictly: there are no loops, whatever the ties. Costs towards
 * one destination are computed at once and kept until a link changes.
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
/* The hop from `from` towards `to`: its port, the neighbour and the port where the neighbour receives.  Of equal ones the lowest (neighbour, port).
 * False when there is no path, or from == to. */
struct path_step { unsigned to; uint32_t out_port, in_port; };
bool paths_next(struct paths *, unsigned from, unsigned to, struct path_step *);

#endif
