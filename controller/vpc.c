/*
 * The VPC application: a managed L2 network as the program of a virtual switch.
 *
 *   table 0  anti-spoofing   a port sends only from its own MAC and addresses
 *   table 1  ARP and ND      answered here, at the edge where they are asked
 *   table 2  L2              a port's MAC to the port, broadcast and multicast to all, unknown nowhere
 *   table 3  ND answer       a solicitation that table 1 made an advertisement gets its option, and goes back
 *
 * Table 3 is there because Open vSwitch takes a set-field of the target link-layer option only in an entry that matches
 * advertisements.
 *
 * It speaks OpenFlow to the virtual switch exactly as a tenant's controller would, but for drop reasons. Each pass
 * states all entries that should be there; those that were not stated go.
 */
#define LOG_MODULE "vpc"
#include "controller/vsw.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/log.h"
#include "ofproto/polder.h"

enum { TABLE_SPOOF, TABLE_RESOLVE, TABLE_L2, TABLE_ND_ANSWER };
enum { ETH_IPV4 = 0x0800, ETH_ARP = 0x0806, ETH_IPV6 = 0x86dd };
enum { PROTO_UDP = 17, PROTO_ICMPV6 = 58 };
enum { ND_RS = 133, ND_RA = 134, ND_NS = 135, ND_NA = 136, ND_REDIRECT = 137 };

/* The entry being built: fill match and instructions, then put(). */
struct entry { struct vsw *vsw; struct of_flow_mod mod; };

static struct entry entry_start(struct vsw *vsw, uint8_t table, uint16_t priority)
{
    struct entry e = { .vsw = vsw };
    of_flow_mod_init(&e.mod);
    e.mod.table_id = table;
    e.mod.priority = priority;
    return e;
}

static void entry_goto(struct entry *e, uint8_t table)
{
    e->mod.instructions.has_goto = true;
    e->mod.instructions.goto_table = table;
}

static struct actions *entry_apply(struct entry *e)
{
    e->mod.instructions.has_apply = true;
    return &e->mod.instructions.apply;
}

static void entry_drop(struct entry *e, enum drop_reason reason)
{
    actions_drop(entry_apply(e), (uint16_t) reason);
}

/* Adds the entry unless the virtual switch has it already, and notes that it is wanted. */
static void put(struct entry *e)
{
    struct flow_entry *old = flow_tables_find(e->vsw->flows, e->mod.table_id, e->mod.priority, &e->mod.match);
    if (old && instructions_equal(&old->instructions, &e->mod.instructions)) {
        ((struct vflow *) old->aux)->kept = true;
    } else {
        struct of_error error = vsw_flow_mod(e->vsw, &e->mod);
        if (!of_ok(error)) {
            char scratch[32];
            struct buf text = BUF_INIT;
            match_format(&e->mod.match, &text);
            LOG(LOG_ERROR, "network %s: table %u: %s refused: %s", e->vsw->network->name, e->mod.table_id, buf_cstr(&text),
                of_error_name(error, scratch));
            buf_fini(&text);
        }
    }
    instructions_fini(&e->mod.instructions);
}


/* --- Table 0 --- */

/* One way in that is allowed for the port; the caller adds the rest of the match. */
static struct entry allowed(struct vsw *vsw, const struct port *port, uint16_t eth_type)
{
    struct entry e = entry_start(vsw, TABLE_SPOOF, 100);
    match_set_u64(&e.mod.match, FIELD_IN_PORT, vsw_port_no(port));
    match_set_mac(&e.mod.match, FIELD_ETH_SRC, port->mac);
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, eth_type);
    entry_goto(&e, TABLE_RESOLVE);
    return e;
}

static void spoof_arp(struct vsw *vsw, const struct port *port, const struct ip *spa)
{
    struct entry e = allowed(vsw, port, ETH_ARP);
    match_set_mac(&e.mod.match, FIELD_ARP_SHA, port->mac);
    match_set_ip(&e.mod.match, FIELD_ARP_SPA, spa);
    put(&e);
}

static void spoof_port(struct vsw *vsw, const struct port *port)
{
    struct entry e;
    bool has_v4 = false;

    if (!port->anti_spoofing) {
        e = entry_start(vsw, TABLE_SPOOF, 90);
        match_set_u64(&e.mod.match, FIELD_IN_PORT, vsw_port_no(port));
        entry_goto(&e, TABLE_RESOLVE);
        put(&e);
        return;
    }
    for (unsigned i = 0; i < port->n_ips; i++) {
        const struct ip *ip = &port->ips[i].ip;
        bool v4 = ip_is_v4(ip);
        e = allowed(vsw, port, v4 ? ETH_IPV4 : ETH_IPV6);
        match_set_ip(&e.mod.match, v4 ? FIELD_IPV4_SRC : FIELD_IPV6_SRC, ip);
        put(&e);
        if (v4) {
            spoof_arp(vsw, port, ip);
            has_v4 = true;
        }
    }
    if (has_v4) {
        /* Probes (RFC 5227 section 2.1.1) and DHCP clients (RFC 2131 section 4.1) have no address yet. */
        struct ip none = ip_from_v4(0);
        spoof_arp(vsw, port, &none);
        e = allowed(vsw, port, ETH_IPV4);
        match_set_ip(&e.mod.match, FIELD_IPV4_SRC, &none);
        match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_UDP);
        match_set_u64(&e.mod.match, FIELD_UDP_SRC, 68);
        match_set_u64(&e.mod.match, FIELD_UDP_DST, 67);
        put(&e);
    }
    /* The unspecified address: duplicate address detection and MLD only, which are ICMPv6 (RFC 4862, RFC 2710). */
    e = allowed(vsw, port, ETH_IPV6);
    struct ip unspecified = { { 0 } };
    match_set_ip(&e.mod.match, FIELD_IPV6_SRC, &unspecified);
    match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_ICMPV6);
    put(&e);

    /* Other addresses of the three protocols are spoofed; other ethertypes pass from the right MAC. */
    static const uint16_t checked[] = { ETH_IPV4, ETH_ARP, ETH_IPV6 };
    for (unsigned i = 0; i < ARRAY_SIZE(checked); i++) {
        e = entry_start(vsw, TABLE_SPOOF, 80);
        match_set_u64(&e.mod.match, FIELD_IN_PORT, vsw_port_no(port));
        match_set_u64(&e.mod.match, FIELD_ETH_TYPE, checked[i]);
        entry_drop(&e, DROP_ANTI_SPOOF);
        put(&e);
    }
    e = entry_start(vsw, TABLE_SPOOF, 70);
    match_set_u64(&e.mod.match, FIELD_IN_PORT, vsw_port_no(port));
    match_set_mac(&e.mod.match, FIELD_ETH_SRC, port->mac);
    entry_goto(&e, TABLE_RESOLVE);
    put(&e);
}

/* --- Table 1 --- */

static void arp_reply(struct vsw *vsw, const struct port *port, const struct ip *ip)
{
    struct entry e = entry_start(vsw, TABLE_RESOLVE, 100);
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_ARP);
    match_set_u64(&e.mod.match, FIELD_ARP_OP, 1);
    match_set_ip(&e.mod.match, FIELD_ARP_TPA, ip);
    struct actions *a = entry_apply(&e);
    actions_move(a, FIELD_ETH_SRC, 0, FIELD_ETH_DST, 0, 48);
    actions_set_mac(a, FIELD_ETH_SRC, port->mac);
    actions_set_u64(a, FIELD_ARP_OP, 2);
    actions_move(a, FIELD_ARP_SHA, 0, FIELD_ARP_THA, 0, 48);
    actions_set_mac(a, FIELD_ARP_SHA, port->mac);
    actions_move(a, FIELD_ARP_SPA, 0, FIELD_ARP_TPA, 0, 32);
    actions_set_ip(a, FIELD_ARP_SPA, ip);
    actions_output(a, OFPP_IN_PORT);
    put(&e);

    /* Asking for one's own address is an announcement or a conflict probe (RFC 5227): the neighbours hear it, nobody answers. */
    e = entry_start(vsw, TABLE_RESOLVE, 110);
    match_set_u64(&e.mod.match, FIELD_IN_PORT, vsw_port_no(port));
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_ARP);
    match_set_u64(&e.mod.match, FIELD_ARP_OP, 1);
    match_set_ip(&e.mod.match, FIELD_ARP_TPA, ip);
    entry_goto(&e, TABLE_L2);
    put(&e);
}

/* NS to NA: RFC 4861 section 7.2.4; flags Solicited and Override; the source link-layer option becomes the target's. */
static void nd_reply(struct vsw *vsw, const struct port *port, const struct ip *ip)
{
    struct entry e = entry_start(vsw, TABLE_RESOLVE, 100);
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_IPV6);
    match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_ICMPV6);
    match_set_u64(&e.mod.match, FIELD_ICMPV6_TYPE, ND_NS);
    match_set_ip(&e.mod.match, FIELD_IPV6_ND_TARGET, ip);
    struct actions *a = entry_apply(&e);
    actions_move(a, FIELD_ETH_SRC, 0, FIELD_ETH_DST, 0, 48);
    actions_set_mac(a, FIELD_ETH_SRC, port->mac);
    actions_move(a, FIELD_IPV6_SRC, 0, FIELD_IPV6_DST, 0, 128);
    actions_set_ip(a, FIELD_IPV6_SRC, ip);
    actions_set_u64(a, FIELD_ICMPV6_TYPE, ND_NA);
    actions_set_u64(a, FIELD_ND_RESERVED, 0x60000000);
    actions_set_u64(a, FIELD_ND_OPTIONS_TYPE, 2);
    entry_goto(&e, TABLE_ND_ANSWER);
    put(&e);

    e = entry_start(vsw, TABLE_ND_ANSWER, 100);
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_IPV6);
    match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_ICMPV6);
    match_set_u64(&e.mod.match, FIELD_ICMPV6_TYPE, ND_NA);
    match_set_ip(&e.mod.match, FIELD_IPV6_ND_TARGET, ip);
    a = entry_apply(&e);
    actions_set_mac(a, FIELD_IPV6_ND_TLL, port->mac);
    actions_output(a, OFPP_IN_PORT);
    put(&e);
}

static void nd_filter(struct vsw *vsw, uint8_t type, bool only_unspecified, uint16_t priority)
{
    struct entry e = entry_start(vsw, TABLE_RESOLVE, priority);
    match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_IPV6);
    match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_ICMPV6);
    match_set_u64(&e.mod.match, FIELD_ICMPV6_TYPE, type);
    if (only_unspecified) {
        struct ip unspecified = { { 0 } };
        match_set_ip(&e.mod.match, FIELD_IPV6_SRC, &unspecified);
    }
    entry_drop(&e, DROP_ND_FILTERED);
    put(&e);
}

static void resolve(struct vsw *vsw, bool closed)
{
    const struct network *network = vsw->network;
    struct entry e;

    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        for (unsigned j = 0; j < port->n_ips; j++) {
            if (ip_is_v4(&port->ips[j].ip)) {
                arp_reply(vsw, port, &port->ips[j].ip);
            } else {
                nd_reply(vsw, port, &port->ips[j].ip);
            }
        }
    }
    /* Duplicate address detection asks for an address that the network gave to the asker. */
    nd_filter(vsw, ND_NS, true, 120);
    /* Nobody on a managed network routes or snoops: solicitations, advertisements, redirects, MLD end here. */
    static const uint8_t filtered[] = { ND_RS, ND_RA, ND_NA, ND_REDIRECT, 130, 131, 132, 143 };
    for (unsigned i = 0; closed && i < ARRAY_SIZE(filtered); i++) {
        nd_filter(vsw, filtered[i], false, 50);
    }
    /* With every address known, what asks for another one asks for nobody. */
    if (closed) {
        e = entry_start(vsw, TABLE_RESOLVE, 40);
        match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_ARP);
        match_set_u64(&e.mod.match, FIELD_ARP_OP, 1);
        entry_drop(&e, DROP_UNKNOWN_TARGET);
        put(&e);
        e = entry_start(vsw, TABLE_RESOLVE, 40);
        match_set_u64(&e.mod.match, FIELD_ETH_TYPE, ETH_IPV6);
        match_set_u64(&e.mod.match, FIELD_IP_PROTO, PROTO_ICMPV6);
        match_set_u64(&e.mod.match, FIELD_ICMPV6_TYPE, ND_NS);
        entry_drop(&e, DROP_UNKNOWN_TARGET);
        put(&e);
    }
    e = entry_start(vsw, TABLE_RESOLVE, 0);
    entry_goto(&e, TABLE_L2);
    put(&e);
}

/* --- Table 2 --- */

static void forward(struct vsw *vsw)
{
    const struct network *network = vsw->network;
    struct entry e;

    for (unsigned i = 0; i < network->n_ports; i++) {
        e = entry_start(vsw, TABLE_L2, 100);
        match_set_mac(&e.mod.match, FIELD_ETH_DST, network->ports[i]->mac);
        actions_output(entry_apply(&e), vsw_port_no(network->ports[i]));
        put(&e);
    }
    e = entry_start(vsw, TABLE_L2, 50);
    match_set_mac_masked(&e.mod.match, FIELD_ETH_DST, mac_from_u64(UINT64_C(1) << 40), mac_from_u64(UINT64_C(1) << 40));
    actions_output(entry_apply(&e), OFPP_FLOOD);
    put(&e);
    e = entry_start(vsw, TABLE_L2, 0);
    entry_drop(&e, DROP_UNKNOWN_UNICAST);
    put(&e);
}

/* --- The pass --- */

static void unkeep(struct flow_entry *entry, void *aux UNUSED)
{
    ((struct vflow *) entry->aux)->kept = false;
}

struct sweep { struct of_flow_mod *mods; unsigned n; };

static void collect(struct flow_entry *entry, void *aux)
{
    struct sweep *sweep = aux;
    if (!((struct vflow *) entry->aux)->kept) {
        sweep->mods = xrealloc(sweep->mods, (sweep->n + 1) * sizeof *sweep->mods);
        struct of_flow_mod *mod = &sweep->mods[sweep->n++];
        of_flow_mod_init(mod);
        mod->command = OFPFC_DELETE_STRICT;
        mod->table_id = entry->table_id;
        mod->priority = entry->priority;
        minimatch_expand(entry->match, &mod->match);
    }
}

void vpc_program(struct vsw *vsw)
{
    struct of_flow_filter all = { .table_id = OFPTT_ALL, .out_port = OFPP_ANY, .out_group = OFPG_ANY };
    struct sweep sweep = { 0 };
    bool closed = true;

    match_init(&all.match);
    flow_tables_each(vsw->flows, &all, false, unkeep, NULL);
    for (unsigned i = 0; i < vsw->network->n_ports; i++) {
        closed &= vsw->network->ports[i]->anti_spoofing;
        spoof_port(vsw, vsw->network->ports[i]);
    }
    struct entry e = entry_start(vsw, TABLE_SPOOF, 0);
    entry_drop(&e, DROP_ANTI_SPOOF);
    put(&e);
    resolve(vsw, closed);
    forward(vsw);

    flow_tables_each(vsw->flows, &all, false, collect, &sweep);
    for (unsigned i = 0; i < sweep.n; i++) {
        struct of_error error = vsw_flow_mod(vsw, &sweep.mods[i]);
        assert(of_ok(error));
        instructions_fini(&sweep.mods[i].instructions);
    }
    free(sweep.mods);
}
