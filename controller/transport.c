/*
 * The translate transport: provider addresses between edges, tenant addresses everywhere else. DESIGN.md decision 4;
 * tables in edge_tables.h.
 *
 * Restoring is the exact inverse of translating because each replaced part leaves a flag in the provider source MAC,
 * and because the switch updates checksums incrementally by a bijection (vswitch/checksum.h): whatever a tenant sent,
 * also frames with wrong checksums, comes out byte for byte.
 */
#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/link_routes.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "ofproto/polder.h"

#define MAC_BROADCAST UINT64_C(0xffffffffffff)
enum { ETH_IPV4 = 0x0800, ETH_ARP = 0x0806, ETH_IPV6 = 0x86dd };

static struct rule_builder *start(struct edge_context *x, uint8_t table, uint16_t priority)
{
    rule_start(&x->rule, table, priority, COOKIE(x->vsw->id, COOKIE_TRANSPORT));
    match_set_u64(&x->rule.match, R_VSW, x->vsw->id);
    return &x->rule;
}

static void match_flags(struct rule_builder *r, uint64_t mask, uint64_t value)
{
    match_set_u64_masked(&r->match, R_FLAGS, value, mask);
}

static void set_flag(struct rule_builder *r, unsigned flag)
{
    actions_load(rule_apply(r), R_FLAGS, (unsigned) __builtin_ctz(flag), 1, 1);
}

static void output_device(struct edge_context *x, const struct port *port, uint32_t device)
{
    struct rule_builder *r = &x->rule;
    if (!vsw_port_forwards(x->vsw, port)) {
        rule_drop(x, DROP_PORT_CONFIG);
    } else if (device) {
        actions_output(rule_apply(r), device);
    } else {
        rule_drop(x, DROP_PORT_DOWN);
    }
}

/* --- Restore: from the fabric --- */

static void landing(struct edge_context *x, uint16_t id, uint32_t out, const struct mac *mac)
{
    struct rule_builder *r = &x->rule;
    rule_start(r, T_LANDING, 100, COOKIE(x->vsw->id, COOKIE_TRANSPORT));
    match_set_mac_masked(&r->match, FIELD_ETH_DST, mac_from_u64(provider_landing_mac(x->edge->index, 0, id)),
                         mac_from_u64(UINT64_C(0xffffff00ffff)));
    actions_load(rule_apply(r), R_VSW, 0, 32, x->vsw->id);
    actions_load(rule_apply(r), R_OUT, 0, 32, out);
    actions_load(rule_apply(r), R_FLAGS, 0, 32, 0);
    actions_move(rule_apply(r), FIELD_ETH_SRC, PSRC_FLAGS_OFS, R_FLAGS, 0, 6);
    if (mac) {
        actions_set_mac(rule_apply(r), FIELD_ETH_DST, *mac);
    }
    rule_goto(r, T_R_SRC);
    rule_put(r);
}

/* The id stands for src, or with `dst` for the pair.  Only flag PAIR takes part in the match. */
static void restore_source(struct edge_context *x, uint16_t edge, uint32_t id, struct mac src, const struct mac *dst)
{
    struct rule_builder *r = start(x, T_R_SRC, 100);
    match_set_mac_masked(&r->match, FIELD_ETH_SRC, mac_from_u64(provider_source_mac(dst ? PROVIDER_PAIR : 0, edge, id)),
                         mac_from_u64(UINT64_C(0x07ffffffffff)));
    actions_set_mac(rule_apply(r), FIELD_ETH_SRC, src);
    if (dst) {
        actions_set_mac(rule_apply(r), FIELD_ETH_DST, *dst);
    }
    rule_goto(r, T_R_SIP);
    rule_put(r);
}

/* One address of a port, in IPv4 or IPv6 and (IPv4) ARP: `from` is replaced by `to`; flag: on restore required, on translate set. */
static void address_rule(struct edge_context *x, uint8_t table, const struct ip *from, const struct ip *to, unsigned flag, bool restore)
{
    bool v4 = ip_is_v4(from), src = flag == PROVIDER_SRC_IP;
    struct { uint16_t eth_type; enum field_id field; } rows[] = {
        { v4 ? ETH_IPV4 : ETH_IPV6, v4 ? (src ? FIELD_IPV4_SRC : FIELD_IPV4_DST) : (src ? FIELD_IPV6_SRC : FIELD_IPV6_DST) },
        { ETH_ARP, src ? FIELD_ARP_SPA : FIELD_ARP_TPA },
    };
    for (unsigned i = 0; i < (v4 ? 2u : 1u); i++) {
        struct rule_builder *r = start(x, table, 100);
        match_set_u64(&r->match, FIELD_ETH_TYPE, rows[i].eth_type);
        match_set_ip(&r->match, rows[i].field, from);
        if (restore) {
            match_flags(r, flag, flag);
        }
        actions_set_ip(rule_apply(r), rows[i].field, to);
        if (!restore) {
            set_flag(r, flag);
        }
        rule_goto(r, (uint8_t) (table + 1));
        rule_put(r);
    }
}

/* All addresses of a port, on the way out (tenant to provider) or in. */
static void address_rules(struct edge_context *x, uint8_t table, const struct port *port, unsigned flag, bool restore)
{
    for (unsigned i = 0; i < port->n_ips; i++) {
        struct ip provider = model_provider_ip(x->controller->model, port->edge, ip_is_v4(&port->ips[i].ip), port->ips[i].slot);
        const struct ip *tenant = &port->ips[i].ip;
        address_rule(x, table, restore ? &provider : tenant, restore ? tenant : &provider, flag, restore);
    }
}

/* --- Virtual links --- */

/* Into the virtual switch at the other end: as if the frame came in by its port. */
static void cross(struct edge_context *x, const struct port *peer, struct actions *out)
{
    const struct vsw *other = peer->network == x->vsw->network ? x->vsw : fabric_find_vsw(x->controller->fabric, peer->network->id);
    if (!other || peer->link->admin_down || !vsw_port_receives(other, peer)) {
        actions_drop(out, DROP_PORT_CONFIG);
        return;
    }
    actions_load(out, R_VSW, 0, 32, peer->network->id);
    actions_load(out, R_IN, 0, 32, vsw_port_no(peer));
    actions_load(out, FIELD_METADATA, 0, 64, 0);
    actions_load(out, FIELD_IN_PORT, 0, 16, 0);
}

/* What a link's end sends, and what of it arrives, is counted by rules with cookies of their own (vsw_counters.c). */
static void count_link(struct rule_builder *r, const struct port *out, unsigned kind)
{
    if (out->link) {
        r->cookie = COOKIE(r->cookie >> 32, COOKIE_LINK(kind, vsw_port_no(out)));
        r->flags = COUNTING_RULE;
    }
}

static bool crosses(const struct actions *actions) { return actions->list[actions->n - 1].type != ACTION_DROP; }

/* What port (of this network) sends over its link lands here: at the other end's landing. */
static void land_link(struct edge_context *x, const struct port *port)
{
    const struct port *peer = vlink_peer(port);
    landing(x, peer->local, vsw_port_no(port), &peer->mac);
    struct rule_builder *r = start(x, T_LAND, 100);
    match_set_u64(&r->match, R_OUT, vsw_port_no(port));
    if (port->link->admin_down) {
        r->flags = RULE_BEGINS;
    } else {
        count_link(r, port, LINK_LANDS);
    }
    cross(x, peer, rule_apply(r));
    if (crosses(rule_apply(r))) {
        rule_goto(r, T_VIRT);
    }
    rule_put(r);
}

/* Floods go only where somebody hears them. */
static bool has_device_port(const struct network *network, const struct edge *edge)
{
    if (!network->slice) {
        return true;
    }
    for (unsigned i = 0; i < network->n_ports; i++) {
        if (network->ports[i]->edge == edge && !network->ports[i]->link) {
            return true;
        }
    }
    return false;
}

static void land(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    struct rule_builder *r;

    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (port->link) {
            const struct port *peer = vlink_peer(port);
            if (peer->edge == x->edge) {
                land_link(x, port);
            }
        } else if (port->edge == x->edge) {
            uint32_t device = edge_device_port(x, port);
            r = start(x, T_LAND, 100);
            match_set_u64(&r->match, R_OUT, vsw_port_no(port));
            output_device(x, port, device);
            rule_put(r);
        }
    }
    if (!has_device_port(network, x->edge)) {
        return;
    }
    r = start(x, T_LAND, 100);
    match_set_u64(&r->match, R_OUT, OFPP_FLOOD);
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        uint32_t device = port->edge == x->edge && !port->link && vsw_port_forwards(x->vsw, port) && vsw_port_floods(x->vsw, port) ? edge_device_port(x, port) : 0;
        if (device) {
            actions_output(rule_apply(r), device);
        }
    }
    rule_put(r);
}

void transport_restore_pair(struct edge_context *x, const struct pair *pair) { restore_source(x, pair->edge, pair->id, pair->src, &pair->dst); }

void transport_restore(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    const struct mac broadcast = mac_from_u64(MAC_BROADCAST);
    const struct pair *pair;

    for (unsigned i = 0; i < network->n_landings; i++) {
        if (network->landings[i].edge == x->edge && has_device_port(network, x->edge)) {
            landing(x, network->landings[i].landing, OFPP_FLOOD, NULL);
        }
    }
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (!port->edge) {
            continue;
        }
        if (port->edge == x->edge) {
            if (!port->link) {                          /* A link's landing belongs to who sends there: the other end's network. */
                landing(x, port->local, vsw_port_no(port), &port->mac);
            }
        } else {
            restore_source(x, port->edge->index, port->local, port->mac, NULL);
            restore_source(x, port->edge->index, port->local, port->mac, &broadcast);
            address_rules(x, T_R_SIP, port, PROVIDER_SRC_IP, true);
        }
        address_rules(x, T_R_DIP, port, PROVIDER_DST_IP, true);
    }
    LIST_FOR_EACH (pair, node, &x->vsw->pairs) {
        if (pair->edge != x->edge->index) {
            transport_restore_pair(x, pair);
        }
    }
    land(x);
}

/* --- Deliver: out of the virtual switch --- */

static void deliver_local(struct edge_context *x, const struct port *port)
{
    uint32_t device = edge_device_port(x, port);
    struct rule_builder *r = start(x, T_DELIVER, 110);
    match_set_u64(&r->match, R_OUT, vsw_port_no(port));
    match_set_u64(&r->match, R_IN, vsw_port_no(port));
    rule_drop(x, DROP_IN_PORT);                         /* Section 7.2.5: out of the ingress port only by OFPP_IN_PORT. */
    rule_put(r);

    r = start(x, T_DELIVER, 100);
    match_set_u64(&r->match, R_OUT, vsw_port_no(port));
    output_device(x, port, device);
    rule_put(r);

    if (device && vsw_port_forwards(x->vsw, port)) {
        r = start(x, T_DELIVER, 100);
        match_set_u64(&r->match, R_OUT, OFPP_IN_PORT);
        match_set_u64(&r->match, R_IN, vsw_port_no(port));
        actions_load(rule_apply(r), FIELD_IN_PORT, 0, 16, 0);   /* Else the switch would not send it back where it came from. */
        actions_output(rule_apply(r), device);
        rule_put(r);
    }
}

/* To port's landing, as what the virtual switch sends out of `out`: the port itself, or the end of a link to it.
 * kind 0: another destination MAC than the port's (the id must stand for the pair); 1: the port's; 2: an ARP whose target hardware address is the port's, too. */
static void deliver_remote(struct edge_context *x, const struct port *out, const struct port *port, unsigned kind)
{
    struct rule_builder *r = start(x, T_DELIVER, (uint16_t) (100 + 10 * kind));
    match_set_u64(&r->match, R_OUT, vsw_port_no(out));
    count_link(r, out, LINK_LEAVES + kind);
    if (kind >= 1) {
        match_set_mac(&r->match, FIELD_ETH_DST, port->mac);
    }
    if (kind == 2) {
        match_set_u64(&r->match, FIELD_ETH_TYPE, ETH_ARP);
        match_set_mac(&r->match, FIELD_ARP_THA, port->mac);
    }
    /* A link's route begins where the link does. */
    uint8_t class = out->link && out->edge == x->edge ? link_route_class(x->controller, out) : 0;
    actions_load(rule_apply(r), R_PDST, 0, 64, provider_landing_mac(port->edge->index, class, port->local));
    actions_load(rule_apply(r), R_FLAGS, 0, 32, kind == 0 ? PROVIDER_PAIR : kind == 1 ? 0 : PROVIDER_ARP_THA);
    rule_goto(r, T_X_SRC);
    rule_put(r);
}

/* Straight from whichever edge the frame is on: a link's end is nowhere but at the other end. */
static void deliver_link(struct edge_context *x, const struct port *port)
{
    const struct port *peer = vlink_peer(port);
    struct rule_builder *r = start(x, T_DELIVER, 130);
    match_set_u64(&r->match, R_OUT, vsw_port_no(port));
    match_set_u64(&r->match, R_IN, vsw_port_no(port));
    rule_drop(x, DROP_IN_PORT);
    rule_put(r);
    if (port->edge == x->edge) {
        r = start(x, T_DELIVER, 100);
        match_set_u64(&r->match, R_OUT, OFPP_IN_PORT);
        match_set_u64(&r->match, R_IN, vsw_port_no(port));
        actions_load(rule_apply(r), R_IN, 0, 32, 0);
        actions_load(rule_apply(r), R_OUT, 0, 32, vsw_port_no(port));
        actions_resubmit(rule_apply(r), T_DELIVER);
        rule_put(r);
    }
    if (!vsw_port_forwards(x->vsw, port) || port->link->admin_down) {
        r = start(x, T_DELIVER, 100);
        r->flags = RULE_BEGINS;                         /* What it drops was not sent. */
        match_set_u64(&r->match, R_OUT, vsw_port_no(port));
        rule_drop(x, DROP_PORT_CONFIG);
        rule_put(r);
    } else if (peer->edge == x->edge) {
        r = start(x, T_DELIVER, 100);
        match_set_u64(&r->match, R_OUT, vsw_port_no(port));
        count_link(r, port, LINK_CROSSES);
        struct actions *copy = actions_clone(rule_apply(r));
        cross(x, peer, copy);
        if (crosses(copy)) {
            actions_resubmit(copy, T_VIRT);
        }
        rule_put(r);
    } else if (peer->edge) {
        for (unsigned kind = 0; kind < 3; kind++) {
            deliver_remote(x, port, peer, kind);
        }
    }
}

static struct actions *bucket_add(struct of_bucket *buckets, unsigned *n)
{
    struct of_bucket *b = &buckets[(*n)++];
    b->weight = 0;
    b->watch_port = OFPP_ANY;
    b->watch_group = OFPG_ANY;
    actions_init(&b->actions);
    return &b->actions;
}

static void deliver_flood(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    struct of_bucket *buckets = xcalloc(network->n_ports + network->n_landings, sizeof *buckets);
    unsigned n = 0;

    for (unsigned i = 0; i < network->n_ports; i++) {
        if ((network->ports[i]->edge == x->edge || network->ports[i]->link) && vsw_port_floods(x->vsw, network->ports[i])) {
            struct actions *a = bucket_add(buckets, &n);
            actions_load(a, R_OUT, 0, 32, vsw_port_no(network->ports[i]));
            actions_resubmit(a, T_DELIVER);
        }
    }
    for (unsigned i = 0; i < network->n_landings; i++) {
        const struct network_landing *l = &network->landings[i];
        if (l->edge != x->edge && has_device_port(network, l->edge)) {
            struct actions *a = bucket_add(buckets, &n);
            actions_load(a, R_PDST, 0, 64, provider_landing_mac(l->edge->index, 0, l->landing));
            actions_load(a, R_FLAGS, 0, 32, PROVIDER_PAIR);
            actions_resubmit(a, T_X_SRC);
        }
    }
    ruleset_group(x->controller->rulesets, FLOOD_GROUP(x->vsw->id), OFPGT_ALL, buckets, n);
    of_buckets_free(buckets, n);

    struct rule_builder *r = start(x, T_DELIVER, 100);
    match_set_u64(&r->match, R_OUT, OFPP_FLOOD);
    actions_group(rule_apply(r), FLOOD_GROUP(x->vsw->id));
    rule_put(r);
}

/* OFPP_ALL: where OFPP_FLOOD goes, and the ports that a controller of OpenFlow 1.0 took out of that. */
static void deliver_all(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    struct rule_builder *r = start(x, T_DELIVER, 100);
    match_set_u64(&r->match, R_OUT, OFPP_ALL);
    for (unsigned i = 0; i < network->n_ports; i++) {
        if (!vsw_port_floods(x->vsw, network->ports[i])) {
            struct actions *copy = actions_clone(rule_apply(r));
            actions_load(copy, R_OUT, 0, 32, vsw_port_no(network->ports[i]));
            actions_resubmit(copy, T_DELIVER);
        }
    }
    actions_group(rule_apply(r), FLOOD_GROUP(x->vsw->id));
    rule_put(r);
}

void transport_deliver(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (port->link) {
            deliver_link(x, port);
        } else if (port->edge == x->edge) {
            deliver_local(x, port);
        } else if (port->edge) {
            for (unsigned kind = 0; kind < 3; kind++) {
                deliver_remote(x, port, port, kind);
            }
        }
    }
    deliver_flood(x);
    if (x->vsw->is_slice) {
        deliver_all(x);
        /* From an action set; elsewhere the entry outputs by itself. */
        struct rule_builder *r = start(x, T_DELIVER, 100);
        match_set_u64(&r->match, R_OUT, OFPP_CONTROLLER);
        compile_controller(x->vsw, rule_apply(r));
        rule_put(r);
    }
}

/* --- Translate: to the fabric --- */

/* eth_src (dst NULL), or the pair, has this id; an ARP that repeats eth_src as its sender has that replaced, too. */
static void translate_source(struct edge_context *x, uint32_t id, struct mac src, const struct mac *dst, unsigned cookie)
{
    for (int arp = 0; arp < 2; arp++) {
        struct rule_builder *r = start(x, T_X_SRC, arp ? 110 : 100);
        r->cookie = COOKIE(x->vsw->id, cookie);
        match_set_mac(&r->match, FIELD_ETH_SRC, src);
        if (dst) {
            /* Also for a frame to the landing's own MAC: an unregistered eth_src has no id but the pair's. */
            match_set_mac(&r->match, FIELD_ETH_DST, *dst);
            set_flag(r, PROVIDER_PAIR);
        } else {
            match_flags(r, PROVIDER_PAIR, 0);
        }
        if (arp) {
            match_set_u64(&r->match, FIELD_ETH_TYPE, ETH_ARP);
            match_set_mac(&r->match, FIELD_ARP_SHA, src);
            set_flag(r, PROVIDER_ARP_SHA);
        }
        actions_load(rule_apply(r), R_PSRC, 0, 64, provider_source_mac(0, x->edge->index, id));
        rule_goto(r, T_X_SIP);
        rule_put(r);
    }
}

/* Not seen before: controllerd carries it, or gives it an id (intern.c). */
static void unknown_pair(struct edge_context *x, uint16_t priority, uint32_t in_port, uint16_t local)
{
    const struct of_meter_band band = { .type = OFPMBT_DROP, .rate = RELAY_PORT_RATE, .burst_size = RELAY_PORT_RATE };
    uint32_t meter = x->vsw->unmetered ? 0 : LANDING_METER(local);
    struct rule_builder *r = start(x, T_X_SRC, priority);
    r->cookie = COOKIE(x->vsw->id, COOKIE_INTERN);
    if (in_port) {
        match_set_u64(&r->match, R_IN, in_port);
    }
    if (meter) {
        ruleset_meter(x->controller->rulesets, meter, OFPMF_PKTPS | OFPMF_BURST, &band, 1);
    }
    actions_controller(rule_apply(r), meter);
    rule_put(r);
}

/* Each port has a rate of its own, so that what one machine scans keeps nobody else's first frame from controllerd; what came over virtual links
 * from other edges, and what controllers send, has the network's. */
static void unknown_pairs(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (port->edge == x->edge) {
            unknown_pair(x, 20, vsw_port_no(port), port->local);
        }
    }
    for (unsigned i = 0; i < network->n_landings; i++) {
        if (network->landings[i].edge == x->edge) {
            unknown_pair(x, 10, 0, network->landings[i].landing);
        }
    }
}

void transport_translate_pair(struct edge_context *x, const struct pair *pair) { translate_source(x, pair->id, pair->src, &pair->dst, COOKIE_PAIR); }

void transport_translate(struct edge_context *x)
{
    const struct network *network = x->vsw->network;
    const struct mac broadcast = mac_from_u64(MAC_BROADCAST);
    const struct pair *pair;

    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        if (port->edge == x->edge) {
            translate_source(x, port->local, port->mac, NULL, COOKIE_TRANSPORT);
            translate_source(x, port->local, port->mac, &broadcast, COOKIE_TRANSPORT);
            address_rules(x, T_X_SIP, port, PROVIDER_SRC_IP, false);
        }
        if (port->edge) {
            address_rules(x, T_X_DIP, port, PROVIDER_DST_IP, false);
        }
    }
    LIST_FOR_EACH (pair, node, &x->vsw->pairs) {
        if (pair->edge == x->edge->index && pair->state == PAIR_ACTIVE) {
            transport_translate_pair(x, pair);
        }
    }
    unknown_pairs(x);
}
