#define LOG_MODULE "substrate"
#include "controller/substrate_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/log.h"

#define MAX_PATHS_WAIT_NS UINT64_C(2000000000)

const char *sw_name(const struct sw *sw) { return sw->edge ? sw->edge->name : "?"; }

static uint32_t hash_u64(uint64_t x) { return (uint32_t) hash_mix64(x); }

/* --- Registry --- */

struct sw_impl *substrate_find_impl(struct substrate *s, uint64_t datapath_id)
{
    struct sw_impl *sw;
    HMAP_FOR_EACH_WITH_HASH(sw, pub.by_dpid, hash_u64(datapath_id), &s->switches) {
        if (sw->pub.datapath_id == datapath_id) {
            return sw;
        }
    }
    return NULL;
}

struct sw *substrate_find(struct substrate *s, uint64_t datapath_id)
{
    struct sw_impl *sw = substrate_find_impl(s, datapath_id);
    return sw ? &sw->pub : NULL;
}

void substrate_each(struct substrate *s, void (*fn)(struct sw *, void *aux), void *aux)
{
    for (unsigned i = 0; i < s->n_order; i++) {
        fn(&s->order[i]->pub, aux);
    }
}

struct sw_port *sw_port_find(struct sw *sw, uint32_t port_no)
{
    unsigned i = sw_port_place(sw->ports, sw->n_ports, port_no);
    return i < sw->n_ports && sw->ports[i].of.port_no == port_no ? &sw->ports[i] : NULL;
}

/* OpenFlow 1.3 cuts names to 15 bytes (section 7.2.1). */
struct sw_port *sw_port_by_name(struct sw *sw, const char *name)
{
    for (unsigned i = 0; i < sw->n_ports; i++) {
        if (!strncmp(sw->ports[i].of.name, name, sizeof sw->ports[i].of.name - 1)) {
            return &sw->ports[i];
        }
    }
    return NULL;
}

static int compare_switches(const void *a_, const void *b_)
{
    const struct sw_impl *const *a = a_, *const *b = b_;
    return ((*a)->pub.datapath_id > (*b)->pub.datapath_id) - ((*a)->pub.datapath_id < (*b)->pub.datapath_id);
}

static void sort_switches(struct substrate *s)
{
    s->order = xrealloc(s->order, (s->switches.n + 1) * sizeof(struct sw_impl *));
    s->n_order = 0;
    struct sw_impl *sw;
    HMAP_FOR_EACH(sw, pub.by_dpid, &s->switches) {
        s->order[s->n_order++] = sw;
    }
    qsort(s->order, s->n_order, sizeof(struct sw_impl *), compare_switches);
    for (unsigned i = 0; i < s->n_order; i++) {
        s->order[i]->index = i;
    }
    if (s->paths) {             /* Else nobody has asked yet. */
        substrate_paths_stale(s);
    }
}

static void mark_or_add(struct substrate *s, struct edge *edge, bool is_fabric)
{
    struct sw_impl *sw = substrate_find_impl(s, edge->datapath_id);
    if (!sw) {
        sw = XNEW(struct sw_impl);
        sw->substrate = s;
        sw->pub.datapath_id = edge->datapath_id;
        sw->component = is_fabric ? 0 : edge->datapath_id;
        list_init(&sw->lldp_ports);
        hmap_insert(&s->switches, &sw->pub.by_dpid, hash_u64(edge->datapath_id));
    }
    sw->pub.edge = edge;
    sw->pub.is_fabric = is_fabric;
    sw->in_model = true;
}

static void remove_link(struct substrate *s, struct link_impl *l);

static void remove_switch(struct substrate *s, struct sw_impl *sw)
{
    southbound_detach(sw, "the switch left the model");
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if (l->pub.a == &sw->pub || l->pub.b == &sw->pub) {
            remove_link(s, l);
        }
    }
    discovery_forget(sw);
    hmap_remove(&s->switches, &sw->pub.by_dpid);
    free(sw);
}

void substrate_forget(struct substrate *s, uint64_t datapath_id)
{
    struct sw_impl *sw = substrate_find_impl(s, datapath_id);
    if (sw) {
        remove_switch(s, sw);
        sort_switches(s);
    }
}

void substrate_model_changed(struct substrate *s)
{
    const struct model *m = s->controller->model;
    struct sw_impl *sw;
    HMAP_FOR_EACH(sw, pub.by_dpid, &s->switches) {
        sw->in_model = false;
    }
    static const enum model_kind kinds[] = { KIND_EDGE, KIND_FABRIC_SWITCH };
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < model_count(m, kinds[k]); i++) {
            mark_or_add(s, model_at(m, kinds[k], i), kinds[k] == KIND_FABRIC_SWITCH);
        }
    }
    HMAP_FOR_EACH(sw, pub.by_dpid, &s->switches) {
        if (!sw->in_model) {
            sw->pub.edge = NULL;        /* Freed by the commit; substrate_forget() before it is the usual way. */
            remove_switch(s, sw);
        }
    }
    sort_switches(s);
    southbound_attach_known(s);
}

void substrate_bindings_changed(struct substrate *s) { discovery_bindings_changed(s); }

/* --- Links --- */

static uint32_t sender_hash(const struct sw *a, uint32_t port_a) { return hash_u64(a->datapath_id * 31 + port_a); }

struct link_impl *link_find(struct substrate *s, const struct sw *a, uint32_t port_a)
{
    struct link_impl *l;
    HMAP_FOR_EACH_WITH_HASH(l, by_sender, sender_hash(a, port_a), &s->links) {
        if (l->pub.a == a && l->pub.port_a == port_a) {
            return l;
        }
    }
    return NULL;
}

struct link_impl *link_reverse(struct substrate *s, const struct link_impl *l)
{
    struct link_impl *r = link_find(s, l->pub.b, l->pub.port_b);
    return r && r->pub.b == l->pub.a && r->pub.port_b == l->pub.port_a ? r : NULL;
}

bool link_is_canonical(const struct link_impl *l)
{
    const struct link *p = &l->pub;
    return p->a->datapath_id != p->b->datapath_id ? p->a->datapath_id < p->b->datapath_id : p->port_a < p->port_b;
}

void link_name(const struct link_impl *l, char name[LINK_NAME_SIZE])
{
    snprintf(name, LINK_NAME_SIZE, "%s:%u-%s:%u", sw_name(l->pub.a), l->pub.port_a, sw_name(l->pub.b), l->pub.port_b);
}

/*
 * A switch that dies takes dozens of links with it, and its neighbours tell one by one. So where paths are dear, in a
 * large site, at most a fifth of the time goes to them: the next computation waits for that. Switches' own failover
 * waits for nothing.
 */
void substrate_paths_stale(struct substrate *s)
{
    substrate_forget_paths(s);
    const uint64_t now = substrate_now(s), due = s->changed_ns + MIN(5 * (s->path_ns - s->path_ns_before), MAX_PATHS_WAIT_NS);
    if (due <= now) {
        event_active(s->links_changed, EV_TIMEOUT, 0);
    } else if (!event_pending(s->links_changed, EV_TIMEOUT, NULL)) {
        struct timeval wait = { .tv_sec = (time_t) ((due - now) / 1000000000), .tv_usec = (suseconds_t) ((due - now) / 1000 % 1000000) };
        event_add(s->links_changed, &wait);
    }
}

static void set_up(struct substrate *s, struct link_impl *l, bool up, const char *why)
{
    if (l->pub.up == up) {
        return;
    }
    l->pub.up = up;
    if (up) {
        link_back(s, l);
    } else {
        link_failed(s, l);
    }
    l->pub.since_ns = substrate_now(s);
    struct sw_port *end = sw_port_find(l->pub.b, l->pub.port_b);
    if (end) {
        end->has_link = up;
    }
    LOG(LOG_INFO, "link %s:%u -> %s:%u is %s (%s)%s", sw_name(l->pub.a), l->pub.port_a, sw_name(l->pub.b), l->pub.port_b, up ? "up" : "down", why,
        l->held ? "; held, unless nothing else leads there" : "");
    substrate_paths_stale(s);
}

static void remove_link(struct substrate *s, struct link_impl *l)
{
    set_up(s, l, false, "gone");
    hmap_remove(&s->links, &l->by_sender);
    free(l);
}

/* A cable has two ends: a port that now leads elsewhere, or is led to from elsewhere, was plugged over. */
static void remove_contradicting(struct substrate *s, const struct link *seen)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        bool same_sender = l->pub.a == seen->a && l->pub.port_a == seen->port_a;
        bool same_receiver = l->pub.b == seen->b && l->pub.port_b == seen->port_b;
        if (same_sender != same_receiver) {
            remove_link(s, l);
        }
    }
}

void link_seen(struct substrate *s, struct sw *a, struct lldp_port *sender, struct sw *b, uint32_t port_b)
{
    const uint32_t port_a = sender->port_no;
    struct link seen = { .a = a, .b = b, .port_a = port_a, .port_b = port_b };
    struct link_impl *l = link_find(s, a, port_a);
    if (!l || l->pub.b != b || l->pub.port_b != port_b) {
        remove_contradicting(s, &seen);
        l = XNEW(struct link_impl);
        l->pub = seen;
        hmap_insert(&s->links, &l->by_sender, sender_hash(a, port_a));
    }
    l->pub.last_seen_ns = substrate_now(s);
    l->interval_ns = sender->interval_ns;
    if (!l->pub.up) {
        set_up(s, l, true, "LLDP");
        discovery_hurry(s, sender);
    }
}

void links_kill_port(struct substrate *s, const struct sw *sw, uint32_t port_no)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if ((l->pub.a == sw && l->pub.port_a == port_no) || (l->pub.b == sw && l->pub.port_b == port_no)) {
            set_up(s, l, false, "port down");
        }
    }
}

void links_refresh(struct substrate *s, struct sw *sw)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if (l->pub.a != sw && l->pub.b != sw) {
            continue;
        }
        const struct sw_port *p = sw_port_find(sw, l->pub.a == sw ? l->pub.port_a : l->pub.port_b);
        if (!p || !p->is_uplink_candidate || !sw_port_is_up(p)) {
            set_up(s, l, false, "port down");
        } else if (l->pub.up) {
            l->pub.last_seen_ns = substrate_now(s);
            struct sw_port *end = l->pub.b == sw ? sw_port_find(sw, l->pub.port_b) : NULL;
            if (end) {
                end->has_link = true;
            }
        }
    }
}

void links_expire(struct substrate *s)
{
    const uint64_t now = substrate_now(s);
    struct paths *all = NULL;           /* Made when a link is late, with those that are up at that time. */
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        const bool watched = sw_impl_of(l->pub.a)->sb && sw_impl_of(l->pub.b)->sb;
        const uint64_t late = now - l->pub.last_seen_ns, missed = 3 * l->interval_ns + l->interval_ns / 2;
        if (!l->pub.up || late <= (watched ? missed : MAX(LINK_ORPHAN_NS, 4 * l->interval_ns))) {
            continue;
        }
        if (!watched) {
            set_up(s, l, false, "switch not connected");
            continue;
        }
        all = all ? all : substrate_graph(s, true);
        if (late > LINK_SOLE_PATIENCE * missed || !paths_is_bridge(all, sw_impl_of(l->pub.a)->index, l->pub.port_a)) {
            set_up(s, l, false, "LLDP is missed");
        }
    }
    paths_free(all);
}

/* This process did not run: what came meanwhile is still unread, and nothing was sent. */
void links_forgive(struct substrate *s, uint64_t gap_ns)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        l->pub.last_seen_ns = MIN(l->pub.last_seen_ns + gap_ns, substrate_now(s));
    }
}

void substrate_each_link(struct substrate *s, void (*fn)(const struct link *, void *aux), void *aux)
{
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        fn(&l->pub, aux);
    }
}

/* --- Life --- */

void substrate_tick(struct substrate *s)
{
    const uint64_t now = substrate_now(s), gap = s->ticked_ns ? now - s->ticked_ns : 0;
    s->ticked_ns = now;
    if (gap > discovery_keepalive_ns(s) / 2) {
        links_forgive(s, gap);
    }
    southbound_tick(s);
    discovery_tick(s);
    links_expire(s);
    links_release_due(s);
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *s) { substrate_tick(s); }

bool substrate_busy(const struct substrate *s)
{
    return s && event_pending(s->links_changed, EV_TIMEOUT, NULL);
}

static void on_links_changed(evutil_socket_t fd UNUSED, short what UNUSED, void *s_)
{
    struct substrate *s = s_;
    s->changed_ns = substrate_now(s);
    s->path_ns_before = s->path_ns;
    substrate_paths(s);
    s->ops.links_changed(s->ops_aux);
    if (s->reach_changed) {
        s->reach_changed = false;
        if (s->ops.reach_changed) {
            s->ops.reach_changed(s->ops_aux);
        }
    }
}

struct substrate *substrate_new(struct controller *c, const struct substrate_ops *ops, void *aux, struct err *err)
{
    struct substrate *s = XNEW(struct substrate);
    s->controller = c;
    s->ops = *ops;
    s->ops_aux = aux;
    hmap_init(&s->switches);
    hmap_init(&s->links);
    list_init(&s->conns);
    s->tick = event_new(c->base, -1, EV_PERSIST, on_tick, s);
    s->links_changed = event_new(c->base, -1, 0, on_links_changed, s);
    unsigned tick_ms = (unsigned) MIN(MAX(discovery_keepalive_ns(s) / 10000000, 5u), 100u);
    struct timeval tick = { .tv_usec = (suseconds_t) tick_ms * 1000 };
    if (!s->tick || !s->links_changed || event_add(s->tick, &tick)) {
        err_set(err, ERR_FAILED, NULL, "no timer can be had");
        substrate_free(s);
        return NULL;
    }
    if (!discovery_init(s, err)) {
        substrate_free(s);
        return NULL;
    }
    discovery_bindings_changed(s);
    substrate_model_changed(s);
    return s;
}

bool substrate_listen(struct substrate *s, struct err *err) { return southbound_listen(s, err); }

void substrate_close(struct substrate *s) { southbound_close(s); }

void substrate_free(struct substrate *s)
{
    if (!s) {
        return;
    }
    southbound_close(s);
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        hmap_remove(&s->links, &l->by_sender);
        free(l);
    }
    struct sw_impl *sw;
    HMAP_FOR_EACH(sw, pub.by_dpid, &s->switches) {
        discovery_forget(sw);
        hmap_remove(&s->switches, &sw->pub.by_dpid);
        free(sw);
    }
    hmap_fini(&s->links);
    hmap_fini(&s->switches);
    if (s->tick) {
        event_free(s->tick);
    }
    if (s->links_changed) {
        event_free(s->links_changed);
    }
    substrate_forget_paths(s);
    substrate_free_routes(s);
    free(s->order);
    free(s->bound);
    free(s);
}
