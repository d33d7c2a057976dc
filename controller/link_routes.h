/*
 * Virtual links on the substrate: the paths that links with a `via` ask for, and how a link fares.
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
/* Both ends' edges are connected and reach each other, and nobody has set the link or an end down. */
bool link_is_up(struct controller *, const struct vlink *);
/* {"state": "up" | "down" | "admin-down", "path": [names of switches from ends[0] to ends[1]]}. New tree. */
cJSON *link_status_json(struct controller *, const struct vlink *);

#endif
