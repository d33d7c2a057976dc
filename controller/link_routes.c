#include "controller/link_routes.h"

#include <stdlib.h>
#include "controller/substrate.h"

#define MAX_HOPS 64

/* The switch of an end's edge; NULL while the substrate has none. */
static struct sw *end_switch(struct controller *c, const struct port *end)
{
    return end->edge ? substrate_find(c->substrate, end->edge->datapath_id) : NULL;
}

/* The via as seen from an end; the caller frees the array, not the names. */
static char **via_from(const struct vlink *l, const struct port *end)
{
    char **via = xmalloc((l->n_via + 1) * sizeof *via);
    for (unsigned i = 0; i < l->n_via; i++) {
        via[i] = l->via[end == l->ends[0] ? i : l->n_via - 1 - i];
    }
    return via;
}

void link_routes_update(struct controller *c)
{
    unsigned n = 0, n_links = model_count(c->model, KIND_LINK);
    struct route_wish *wishes = xcalloc(2 * n_links + 1, sizeof *wishes);
    for (unsigned i = 0; i < n_links; i++) {
        const struct vlink *l = model_at(c->model, KIND_LINK, i);
        struct sw *ends[2] = { end_switch(c, l->ends[0]), end_switch(c, l->ends[1]) };
        for (unsigned from = 0; l->n_via && ends[0] && ends[1] && ends[0] != ends[1] && from < 2; from++) {
            wishes[n++] = (struct route_wish) { ends[from], ends[!from], via_from(l, l->ends[from]), l->n_via };
        }
    }
    substrate_set_routes(c->substrate, wishes, n);
    for (unsigned i = 0; i < n; i++) {
        free((void *) wishes[i].via);
    }
    free(wishes);
}

uint8_t link_route_class(struct controller *c, const struct port *end)
{
    const struct vlink *l = end->link;
    struct sw *from = end_switch(c, end), *to = end_switch(c, vlink_peer(end));
    if (!l->n_via || !from || !to || from == to) {
        return 0;
    }
    char **via = via_from(l, end);
    uint8_t class = substrate_route_class(c->substrate, from, to, via, l->n_via);
    free(via);
    return class;
}

cJSON *link_path_json(struct controller *c, const struct vlink *l)
{
    struct sw *a = end_switch(c, l->ends[0]), *b = end_switch(c, l->ends[1]);
    cJSON *path = cJSON_CreateArray();
    struct hop hops[MAX_HOPS];
    unsigned n = 0;
    if (a && a == b) {
        hops[n++] = (struct hop) { a, 0, 0 };
    } else if (a && b) {
        const uint8_t class = link_route_class(c, l->ends[0]);
        n = substrate_path(c->substrate, a, b, class ? class : substrate_default_class(c->substrate, a, b), hops, MAX_HOPS);
    }
    for (unsigned i = 0; i < n; i++) {
        cJSON_AddItemToArray(path, cJSON_CreateString(hops[i].sw->edge->name));
    }
    return path;
}
