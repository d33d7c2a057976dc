/*
 * The substrate's paths: which links carry, who can reach whom, and what each switch does with frames for each edge.
 *
 * The pair of trees towards an edge, and local repair, are paths.h's. Here classes get their numbers: in the fabric, 0
 * and 1 are the two trees, above are routes of their own (struct sb_route). An edge's tenants' rules know class 0 and
 * routes only; which tree class 0 stands for is decided where the frame leaves, in table FABRIC, by what is shorter
 * now. So a change of paths changes no tenant's rule.
 *
 * Restoring. A cable that fails and comes back is held: known, shown, but not used, for the hold time of the
 * configuration ("manual": until the operator says so). The hold doubles with each failure that comes before it has
 * been in use for eight hold times, up to 32-fold. A held cable is used at once where nothing else connects its ends.
 */
#define LOG_MODULE "paths"
#include "controller/substrate_impl.h"

#include <stdlib.h>
#include <string.h>
#include "lib/log.h"

#define MAX_HOLD_DOUBLINGS 5
#define CALM_HOLDS 8            /* In use for so many hold times, a cable's failures are forgotten. */
#define FIRST_ROUTE 2           /* Classes below are the trees'. */

/* --- Holding --- */

static uint64_t hold_ns(const struct substrate *s, const struct link_impl *l)
{
    unsigned doublings = l->n_failures ? MIN(l->n_failures - 1, (unsigned) MAX_HOLD_DOUBLINGS) : 0;
    return ((uint64_t) s->controller->config.restore_hold_ms * 1000000) << doublings;
}

void link_failed(struct substrate *s, struct link_impl *l)
{
    if (!l->held && substrate_now(s) - l->used_since_ns > CALM_HOLDS * hold_ns(s, l)) {
        l->n_failures = 0;
    }
    l->n_failures++;
    l->held = false;
}

void link_back(struct substrate *s, struct link_impl *l)
{
    l->used_since_ns = substrate_now(s);
    l->held = l->n_failures && (s->controller->config.restore_manual || s->controller->config.restore_hold_ms);
    l->release_ns = s->controller->config.restore_manual ? UINT64_MAX : l->used_since_ns + hold_ns(s, l);
}

static void release(struct substrate *s, struct link_impl *l, const char *why)
{
    l->held = false;
    l->used_since_ns = substrate_now(s);
    LOG(LOG_INFO, "link %s:%u -> %s:%u is used again (%s)", sw_name(l->pub.a), l->pub.port_a, sw_name(l->pub.b), l->pub.port_b, why);
    substrate_paths_stale(s);
}

void links_release_due(struct substrate *s)
{
    const uint64_t now = substrate_now(s);
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if (l->pub.up && l->held && now >= l->release_ns) {
            release(s, l, "hold time is over");
        }
    }
}

bool substrate_restore(struct substrate *s, const char *name, struct err *err)
{
    bool found = false;
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        const struct link_impl *back = link_reverse(s, l);
        char text[LINK_NAME_SIZE];
        link_name(back && !link_is_canonical(l) ? back : l, text);
        if (!strcmp(text, name)) {
            found = true;
            if (l->pub.up && l->held) {
                release(s, l, "asked for");
            }
        }
    }
    if (!found) {
        err_set(err, ERR_NOT_FOUND, "name", "there is no link %s", name);
        return err_hint(err, "vpcctl get links lists them");
    }
    return true;
}

/* --- Which cables carry, and components --- */

static struct link_impl *cable(struct substrate *s, struct link_impl *l)
{
    struct link_impl *back = link_reverse(s, l);
    return l->pub.up && back && back->pub.up && link_is_canonical(l) ? back : NULL;
}

static unsigned find_root(unsigned *parent, unsigned i)
{
    while (parent[i] != i) {
        i = parent[i] = parent[parent[i]];
    }
    return i;
}

static void unite(unsigned *parent, const struct link_impl *l)
{
    parent[find_root(parent, sw_impl_of(l->pub.a)->index)] = find_root(parent, sw_impl_of(l->pub.b)->index);
}

/* A held cable is better than none. */
static void release_needed(struct substrate *s, unsigned *parent)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        struct link_impl *back = cable(s, l);
        if (back && !l->held && !back->held) {
            unite(parent, l);
        }
    }
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        struct link_impl *back = cable(s, l);
        if (back && (l->held || back->held)
            && find_root(parent, sw_impl_of(l->pub.a)->index) != find_root(parent, sw_impl_of(l->pub.b)->index)) {
            l->held = back->held = false;
            l->used_since_ns = back->used_since_ns = substrate_now(s);
            unite(parent, l);
        }
    }
}

/* Each switch learns the lowest edge that it is connected to. */
static void name_components(struct substrate *s, unsigned *parent)
{
    uint64_t *lowest = xcalloc(s->n_order + 1, sizeof *lowest);
    for (unsigned i = 0; i < s->n_order; i++) {
        unsigned root = find_root(parent, i);
        if (!s->order[i]->pub.is_fabric && !lowest[root]) {
            lowest[root] = s->order[i]->pub.datapath_id;
        }
    }
    for (unsigned i = 0; i < s->n_order; i++) {
        uint64_t component = lowest[find_root(parent, i)];
        if (!s->order[i]->pub.is_fabric && component != s->order[i]->component) {
            s->reach_changed = true;
        }
        s->order[i]->component = component;
    }
    free(lowest);
}

void substrate_forget_paths(struct substrate *s)
{
    for (unsigned i = 0; i < s->n_routes; i++) {
        path_route_free(s->routes[i].route);
        s->routes[i].route = NULL;
        s->routes[i].tried = false;
    }
    paths_free(s->paths);
    s->paths = NULL;
}

struct paths *substrate_graph(struct substrate *s, bool with_held)
{
    bool *is_edge = xcalloc(s->n_order + 1, sizeof *is_edge);
    for (unsigned i = 0; i < s->n_order; i++) {
        is_edge[i] = !s->order[i]->pub.is_fabric;
    }
    struct paths *graph = paths_new(s->n_order, is_edge);
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if (l->pub.up && (with_held || !l->held)) {
            paths_add_link(graph, sw_impl_of(l->pub.a)->index, l->pub.port_a, sw_impl_of(l->pub.b)->index, l->pub.port_b);
        }
    }
    free(is_edge);
    return graph;
}

struct paths *substrate_paths(struct substrate *s)
{
    if (s->paths) {
        return s->paths;
    }
    const uint64_t start = substrate_now(s);
    unsigned *parent = xcalloc(s->n_order + 1, sizeof *parent);
    for (unsigned i = 0; i < s->n_order; i++) {
        parent[i] = i;
    }
    release_needed(s, parent);
    name_components(s, parent);
    s->paths = substrate_graph(s, false);
    free(parent);
    s->n_path_computations++;
    s->path_ns += substrate_now(s) - start;
    return s->paths;
}

bool substrate_reachable(struct substrate *s, const struct sw *from, const struct sw *to)
{
    substrate_paths(s);
    return from == to || (sw_impl_of(from)->component && sw_impl_of(from)->component == sw_impl_of(to)->component);
}

/* --- Routes of their own --- */

static bool same_route(const struct sb_route *r, const struct sw *from, const struct sw *to, char *const *via, unsigned n_via)
{
    bool same = r->from == from->datapath_id && r->to == to->datapath_id && r->n_via == n_via;
    for (unsigned i = 0; same && i < n_via; i++) {
        same = !strcmp(r->via[i], via[i]);
    }
    return same;
}

static struct sb_route *find_route(struct substrate *s, const struct sw *from, const struct sw *to, char *const *via, unsigned n_via)
{
    for (unsigned i = 0; i < s->n_routes; i++) {
        if (same_route(&s->routes[i], from, to, via, n_via)) {
            return &s->routes[i];
        }
    }
    return NULL;
}

static void free_route(struct sb_route *r)
{
    for (unsigned i = 0; i < r->n_via; i++) {
        free(r->via[i]);
    }
    free(r->via);
    path_route_free(r->route);
}

void substrate_free_routes(struct substrate *s)
{
    for (unsigned i = 0; i < s->n_routes; i++) {
        free_route(&s->routes[i]);
    }
    free(s->routes);
    s->routes = NULL;
    s->n_routes = 0;
}

/* The lowest class that no route to that edge has; 0: all are taken. */
static uint8_t free_class(const struct substrate *s, uint64_t to)
{
    bool taken[256] = { false };
    for (unsigned i = 0; i < s->n_routes; i++) {
        taken[s->routes[i].class] |= s->routes[i].to == to;
    }
    for (unsigned class = FIRST_ROUTE; class < 256; class++) {
        if (!taken[class]) {
            return (uint8_t) class;
        }
    }
    return 0;
}

static void add_route(struct substrate *s, const struct route_wish *w, uint8_t class)
{
    s->routes = xrealloc(s->routes, (s->n_routes + 1) * sizeof *s->routes);
    struct sb_route *r = &s->routes[s->n_routes++];
    *r = (struct sb_route) { .from = w->from->datapath_id, .to = w->to->datapath_id, .n_via = w->n_via, .class = class, .wanted = true };
    r->via = xcalloc(w->n_via + 1, sizeof(char *));
    for (unsigned i = 0; i < w->n_via; i++) {
        r->via[i] = xstrdup(w->via[i]);
    }
}

unsigned substrate_set_routes(struct substrate *s, const struct route_wish *wishes, unsigned n)
{
    bool changed = false;
    unsigned refused = 0;
    for (unsigned i = 0; i < s->n_routes; i++) {
        s->routes[i].wanted = false;
    }
    for (unsigned i = 0; i < n; i++) {
        struct sb_route *r = find_route(s, wishes[i].from, wishes[i].to, wishes[i].via, wishes[i].n_via);
        if (r) {
            r->wanted = true;
        }
    }
    for (unsigned i = 0; i < s->n_routes;) {
        if (!s->routes[i].wanted) {
            free_route(&s->routes[i]);
            s->routes[i] = s->routes[--s->n_routes];
            changed = true;
        } else {
            i++;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        const struct route_wish *w = &wishes[i];
        if (find_route(s, w->from, w->to, w->via, w->n_via)) {
            continue;
        }
        uint8_t class = free_class(s, w->to->datapath_id);
        if (!class) {
            refused++;
            LOG_RATE(LOG_WARN, 5, "no path class is left for another route to %s: it takes the default path", sw_name(w->to));
            continue;
        }
        add_route(s, w, class);
        changed = true;
    }
    s->n_routes_refused = refused;
    if (changed) {
        event_active(s->links_changed, EV_TIMEOUT, 0);
    }
    return refused;
}

uint8_t substrate_route_class(struct substrate *s, const struct sw *from, const struct sw *to, char *const *via, unsigned n_via)
{
    const struct sb_route *r = n_via ? find_route(s, from, to, via, n_via) : NULL;
    return r ? r->class : 0;
}

static struct sw_impl *find_named(struct substrate *s, const char *name)
{
    for (unsigned i = 0; i < s->n_order; i++) {
        if (!strcmp(sw_name(&s->order[i]->pub), name)) {
            return s->order[i];
        }
    }
    return NULL;
}

/* NULL: over these switches there is no way now; the default path serves. */
static const struct path_route *route_of(struct substrate *s, struct sb_route *r)
{
    struct paths *paths = substrate_paths(s);
    const struct sw_impl *from = substrate_find_impl(s, r->from), *to = substrate_find_impl(s, r->to);
    if (r->tried || !from || !to) {
        return r->route;
    }
    unsigned *via = xcalloc(r->n_via + 1, sizeof *via);
    bool known = true;
    for (unsigned i = 0; i < r->n_via; i++) {
        const struct sw_impl *sw = find_named(s, r->via[i]);
        known &= sw != NULL;
        via[i] = sw ? sw->index : 0;
    }
    r->tried = true;
    r->route = known && from != to ? path_route_new(paths, from->index, to->index, via, r->n_via) : NULL;
    free(via);
    return r->route;
}

/* --- What a switch does --- */

struct each { struct path_rule rule; void (*fn)(const struct path_rule *, void *); void *aux; };

static void emit(struct each *e, bool local, uint8_t send_as, uint32_t in_port, const struct path_choices *choices)
{
    if (choices->n) {
        e->rule.local = local;
        e->rule.send_as = send_as;
        e->rule.in_port = in_port;
        e->rule.choices = choices;
        e->fn(&e->rule, e->aux);
    }
}

static void on_arrival(uint32_t in_port, const struct path_choices *choices, void *e_)
{
    struct each *e = e_;
    emit(e, false, e->rule.class, in_port, choices);
}

static void each_tree(struct paths *p, struct each *e, unsigned at, unsigned to, bool is_edge)
{
    struct path_choices choices;
    if (is_edge) {
        const unsigned class = paths_class(p, at, to);
        e->rule.class = 0;
        paths_start(p, at, to, class, &choices);
        emit(e, true, (uint8_t) class, 0, &choices);
    }
    for (unsigned class = 0; class < 2 && (!class || paths_uses_second(p, to)) && paths_is_transit(p, at, to); class++) {
        e->rule.class = (uint8_t) class;
        paths_start(p, at, to, class, &choices);
        emit(e, false, e->rule.class, 0, &choices);
        paths_arrivals(p, at, to, class, on_arrival, e);
    }
}

static void each_route(struct substrate *s, struct each *e, struct sb_route *r, const struct sw_impl *at, unsigned to)
{
    struct paths *p = substrate_paths(s);
    const struct path_route *route = route_of(s, r);
    const bool is_source = at->pub.datapath_id == r->from;
    struct path_choices choices;
    e->rule.class = r->class;
    if (!route) {               /* The default path's rules, from the source on. */
        if (is_source) {
            const unsigned class = paths_class(p, at->index, to);
            paths_start(p, at->index, to, class, &choices);
            emit(e, true, (uint8_t) class, 0, &choices);
        }
        return;
    }
    if (path_route_local(route, at->index, &choices)) {
        emit(e, true, r->class, 0, &choices);
    }
    if (path_route_is_transit(route, at->index)) {
        path_route_start(route, at->index, &choices);
        emit(e, false, r->class, 0, &choices);
        path_route_arrivals(route, at->index, on_arrival, e);
    }
}

void substrate_each_path(struct substrate *s, const struct sw *at_, void (*fn)(const struct path_rule *, void *), void *aux)
{
    struct paths *p = substrate_paths(s);
    const struct sw_impl *at = sw_impl_of(at_);
    const uint64_t start = substrate_now(s);
    for (unsigned to = 0; to < s->n_order; to++) {
        if (to == at->index || s->order[to]->pub.is_fabric) {
            continue;
        }
        struct each e = { .rule.to = s->order[to]->pub.edge, .fn = fn, .aux = aux };
        each_tree(p, &e, at->index, to, !at_->is_fabric);
        for (unsigned i = 0; i < s->n_routes; i++) {
            if (s->routes[i].to == s->order[to]->pub.datapath_id) {
                each_route(s, &e, &s->routes[i], at, to);
            }
        }
    }
    s->path_ns += substrate_now(s) - start;
}

/* --- Whole paths --- */

static unsigned steps_of(struct substrate *s, unsigned from, unsigned to, uint8_t class, struct path_step *steps, unsigned max)
{
    struct paths *p = substrate_paths(s);
    for (unsigned i = 0; class >= FIRST_ROUTE && i < s->n_routes; i++) {
        struct sb_route *r = &s->routes[i];
        const struct path_route *route = r->to == s->order[to]->pub.datapath_id && r->class == class ? route_of(s, r) : NULL;
        const struct path_step *hops;
        unsigned n = route ? path_route_hops(route, &hops) : 0;
        if (n && n <= max) {
            memcpy(steps, hops, n * sizeof *steps);
            return n;
        }
    }
    return paths_walk(p, from, to, class < FIRST_ROUTE ? class : paths_class(p, from, to), steps, max);
}

unsigned substrate_path(struct substrate *s, const struct sw *from_, const struct sw *to_, uint8_t class, struct hop *out, unsigned max)
{
    const unsigned from = sw_impl_of(from_)->index, to = sw_impl_of(to_)->index;
    struct path_step *steps = xcalloc(max + 1, sizeof *steps);
    unsigned n = max ? steps_of(s, from, to, class, steps, max - 1) : 0;
    if (from == to && max) {
        out[0] = (struct hop) { .sw = &s->order[from]->pub };
        n = 1;
    } else if (n) {
        for (unsigned i = 0; i <= n; i++) {
            out[i].sw = i ? &s->order[steps[i - 1].to]->pub : &s->order[from]->pub;
            out[i].in_port = i ? steps[i - 1].in_port : 0;
            out[i].out_port = i < n ? steps[i].out_port : 0;
        }
        n++;
    }
    free(steps);
    return n;
}

uint8_t substrate_default_class(struct substrate *s, const struct sw *from, const struct sw *to)
{
    return (uint8_t) paths_class(substrate_paths(s), sw_impl_of(from)->index, sw_impl_of(to)->index);
}

/* --- Metrics --- */

static unsigned held_links(struct substrate *s)
{
    unsigned n = 0;
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        n += l->pub.up && l->held;
    }
    return n;
}

/* Edges with neighbours that one failure of a cable cuts off from somebody: they have one way only. */
static unsigned unprotected_edges(struct substrate *s)
{
    struct paths *p = substrate_paths(s);
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_order; i++) {
        bool alone = false;
        for (unsigned to = 0; !s->order[i]->pub.is_fabric && to < s->n_order && !alone; to++) {
            struct path_choices c = { .n = 0 };
            if (to != i && !s->order[to]->pub.is_fabric) {
                paths_start(p, i, to, 0, &c);
            }
            alone = c.n == 1;
        }
        n += alone;
    }
    return n;
}

static unsigned partitions(const struct substrate *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_order; i++) {
        n += !s->order[i]->pub.is_fabric && s->order[i]->component == s->order[i]->pub.datapath_id;
    }
    return n;
}

void substrate_path_metrics(struct substrate *s, struct buf *out)
{
    const struct { const char *name, *type, *help; double value; } rows[] = {
        { "polder_path_computations_total", "counter", "How often the substrate's links changed and paths were computed.", (double) s->n_path_computations },
        { "polder_path_seconds_total", "counter", "Time spent on paths.", (double) s->path_ns / 1e9 },
        { "polder_path_links_held", "gauge", "Directed links that are back and not used yet.", held_links(s) },
        { "polder_path_partitions", "gauge", "Groups of edges that reach each other; 1 is whole.", (substrate_paths(s), partitions(s)) },
        { "polder_path_unprotected_edges", "gauge", "Edges that have no second way to some other edge.", unprotected_edges(s) },
        { "polder_path_routes", "gauge", "Routes of their own that virtual links have, by direction.", s->n_routes },
        { "polder_path_routes_refused", "gauge", "Virtual links' routes for which no path class was left.", s->n_routes_refused },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.9g\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name, rows[i].value);
    }
}
