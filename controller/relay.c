/*
 * Frames of address pairs that have not earned an id: controllerd carries them to where they land.
 *
 * A tenant's tables may flood whatever they do not know, so a machine that scans makes as many pairs as it likes. An id
 * is for pairs that will be used again: those whose destination has been a source (it answers), and those that repeat.
 * Until then the frame, as the tenant's tables sent it, goes out at the landing's edge from table LAND, at a bounded
 * rate. Repeated pairs without an answer (groups, mostly) never get more than half of the quota, so that a patient scan
 * leaves the other half to those that answer. Machines find their neighbours by three requests to addresses of their
 * own (RFC 4861, section 10: MAX_MULTICAST_SOLICIT), so it takes more than these to repeat.
 *
 * What is remembered is of a fixed size for each virtual switch, and forgotten when nothing has come for a while: a
 * pair that was displaced begins to count anew, and is carried meanwhile. Loop thread only.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"

#define REPEATS 5               /* Frames of a pair that nobody answers, until it gets an id. */
#define N_CANDIDATES 256
#define N_SOURCES 256
#define PAIR_MEMORY_NS (60 * UINT64_C(1000000000))
#define SOURCE_MEMORY_NS (300 * UINT64_C(1000000000))
#define RATE 1000u              /* Frames a second that are carried for a virtual switch, */
#define BURST 250u              /* and how many at once. */
#define INTERVAL_NS (UINT64_C(1000000000) / RATE)

struct relay {
    uint32_t seed;
    uint64_t used_ns, free_ns;  /* free_ns: when all that was carried is paid for. */
    /* Of pairs: as sent to the first landing that they went to, for a flood comes once for each. */
    struct candidate { uint64_t seen_ns, pdst; struct mac src, dst; uint16_t edge, n; } candidates[N_CANDIDATES];
    struct { uint64_t seen_ns; struct mac mac; } sources[N_SOURCES];
};

static unsigned source_slot(const struct relay *relay, struct mac mac) { return hash_bytes(mac.b, sizeof mac.b, relay->seed) % N_SOURCES; }

void relay_saw(struct vsw *vsw, struct mac src)
{
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    if (!vsw->relay) {
        vsw->relay = XNEW(struct relay);
        vsw->relay->seed = (uint32_t) rng_u64(&vsw->controller->rng);
    }
    struct relay *relay = vsw->relay;
    unsigned slot = source_slot(relay, src);
    relay->used_ns = now;
    relay->sources[slot].mac = src;
    relay->sources[slot].seen_ns = now;
}

/* --- Has the destination been a source? --- */

static bool network_has(const struct fabric *f, const struct network *network, struct mac mac, uint64_t now)
{
    for (unsigned i = 0; i < network->n_ports; i++) {
        if (mac_u64(network->ports[i]->mac) == mac_u64(mac)) {
            return true;
        }
    }
    const struct vsw *vsw = fabric_find_vsw(f, network->id);
    if (!vsw) {
        return false;
    }
    const struct relay *relay = vsw->relay;
    unsigned slot = relay ? source_slot(relay, mac) : 0;
    return intern_is_source(vsw, mac)
           || (relay && mac_u64(relay->sources[slot].mac) == mac_u64(mac) && relay->sources[slot].seen_ns && now - relay->sources[slot].seen_ns < SOURCE_MEMORY_NS);
}

bool relay_is_source(const struct vsw *vsw, struct mac mac)
{
    const struct slice *slice = vsw->network->slice;
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    if (mac.b[0] & 1) {
        return false;                                   /* A group never is. */
    }
    if (network_has(vsw->fabric, vsw->network, mac, now)) {
        return true;
    }
    for (unsigned i = 0; slice && i < slice->n_switches; i++) {     /* Over a virtual link, answers come from another switch's network. */
        if (slice->switches[i] != vsw->network && network_has(vsw->fabric, slice->switches[i], mac, now)) {
            return true;
        }
    }
    return false;
}

/* --- Does the pair repeat? --- */

bool relay_repeats(struct vsw *vsw, uint16_t edge, struct mac src, struct mac dst, uint64_t pdst)
{
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    struct { struct mac src, dst; uint16_t edge; } key = { src, dst, edge };
    struct candidate *c = &vsw->relay->candidates[hash_bytes(&key, sizeof key, vsw->relay->seed) % N_CANDIDATES];
    if (c->n && c->edge == edge && mac_u64(c->src) == mac_u64(src) && mac_u64(c->dst) == mac_u64(dst) && now - c->seen_ns < PAIR_MEMORY_NS) {
        c->n = (uint16_t) (c->n + (c->pdst == pdst && c->n < REPEATS));
    } else {
        *c = (struct candidate) { .pdst = pdst, .src = src, .dst = dst, .edge = edge, .n = 1 };
    }
    c->seen_ns = now;
    return c->n >= REPEATS;
}

/* --- Carrying --- */

static bool may_carry(struct relay *relay, uint64_t now)
{
    if (relay->free_ns < now) {
        relay->free_ns = now;
    }
    if (relay->free_ns - now > (BURST - 1) * INTERVAL_NS) {
        return false;
    }
    relay->free_ns += INTERVAL_NS;
    return true;
}

/* The virtual port (or OFPP_FLOOD) that a provider address stands for when this network sends to it; 0: none any more. */
static uint32_t landing_port(const struct network *network, uint64_t pdst, const struct edge **edge)
{
    uint16_t index = (uint16_t) (pdst >> 24), id = (uint16_t) pdst;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i], *lands = port->link ? vlink_peer(port) : port;
        if (lands->edge && lands->edge->index == index && lands->local == id) {
            *edge = lands->edge;
            return vsw_port_no(port);
        }
    }
    for (unsigned i = 0; i < network->n_landings; i++) {
        if (network->landings[i].edge->index == index && network->landings[i].landing == id) {
            *edge = network->landings[i].edge;
            return OFPP_FLOOD;
        }
    }
    return 0;
}

bool relay_frame(struct vsw *vsw, const struct sw *from, uint64_t pdst, uint8_t *data, unsigned size)
{
    struct controller *c = vsw->controller;
    const struct edge *edge;
    uint32_t out = landing_port(vsw->network, pdst, &edge);
    const struct sw *to = out ? substrate_find(c->substrate, edge->datapath_id) : NULL;
    struct of_msg msg;

    /* Where no cable leads, nothing arrives: controllerd is no path. */
    if (!to || !to->conn || !substrate_reachable(c->substrate, from, to) || !may_carry(vsw->relay, clock_now_ns(&c->clock))) {
        return false;
    }
    of_msg_init(&msg, OFPT_PACKET_OUT, of_conn_next_xid(to->conn));
    msg.packet_out.buffer_id = OFP_NO_BUFFER;
    msg.packet_out.in_port = OFPP_CONTROLLER;
    msg.packet_out.data = data;                         /* Lent. */
    msg.packet_out.size = size;
    actions_load(&msg.packet_out.actions, R_VSW, 0, 32, vsw->id);
    actions_load(&msg.packet_out.actions, R_OUT, 0, 32, out);
    actions_load(&msg.packet_out.actions, R_FLAGS, 0, 32, 0);
    actions_resubmit(&msg.packet_out.actions, T_LAND);
    of_conn_send(to->conn, &msg);
    actions_fini(&msg.packet_out.actions);
    return true;
}

void relay_forget(struct vsw *vsw, bool always)
{
    if (vsw->relay && (always || clock_now_ns(&vsw->controller->clock) - vsw->relay->used_ns > SOURCE_MEMORY_NS)) {
        free(vsw->relay);
        vsw->relay = NULL;
    }
}
