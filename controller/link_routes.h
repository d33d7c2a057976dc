/*
 * Virtual links on the substrate: the paths that links with a `via` ask for.
 *
 * A link without a via takes the default path between its ends' edges, with the substrate's own backup. One with a via
 * has a route of its own in each direction, the one back over the same switches in reverse order.
 */
#ifndef CONTROLLER_LINK_ROUTES_H
#define CONTROLLER_LINK_ROUTES_H 1

#include "controller/controller.h"

/* States anew what routes are wanted.  After the model's links or switches changed, before what compiles them is told. */
void link_routes_update(struct controller *);
/* The path class of frames from this end of a link to its peer; 0: the default path, also when both are on one edge. */
uint8_t link_route_class(struct controller *, const struct port *end);
/* The names of the switches from ends[0] to ends[1], both included; empty when there is no path. New tree. */
cJSON *link_path_json(struct controller *, const struct vlink *);

#endif
