/*
 * Frames of address pairs that have not earned an id: controllerd carries them to where they land.
 *
 * A tenant's tables may flood whatever they do not know, and a machine may write any source address, so one that scans
 * makes as many pairs as it likes. An id is for pairs that will be used again: those that are answered (a frame of the
 * opposite pair has come, or both addresses are ports'), and those that repeat. A scan of random destinations is neither,
 * and one from random sources is neither. Until then the frame, as the tenant's tables sent it, goes out at the landing's
 * edge from table LAND, at a bounded rate. Machines find their neighbours by three requests to addresses of their own
 * (RFC 4861, section 10: MAX_MULTICAST_SOLICIT), so it takes more than these to repeat.
 *
 * What is remembered is of a fixed size for each virtual switch, and forgotten when nothing has come for a while: a
 * pair that was displaced begins to count anew, and is carried meanwhile. Ports have shares of it, and of the rate, by
 * their number: a machine that scans forgets and uses up what is its own port's. Loop thread only.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"

#define REPEATS 5               /* Frames of a pair that nobody answers, until it gets an id. */
#define N_SHARES 16
#define N_CANDIDATES 256        /* Of each share. */
#define PAIR_MEMORY_NS (60 * UINT64_C(1000000000))
#define FORGET_NS (300 * UINT64_C(1000000000))
#define SWITCH_RATE 1000u       /* Frames a second that are carried for a virtual switch, */
#define SHARE_MIN_RATE 50u      /* and of each share at least. */

struct relay {
    uint32_t seed;
    uint64_t used_ns;
    struct budget all;
    struct share {
        struct budget most, least;
        /* Pairs: as sent to the first landing that they went to, for a flood comes once for each. */
        struct candidate { uint64_t seen_ns, pdst; struct mac src, dst; uint16_t edge, n; } candidates[N_CANDIDATES];
    } shares[N_SHARES];
};

static struct share *share_of(const struct vsw *vsw, uint32_t in_port) { return &vsw->relay->shares[in_port % N_SHARES]; }

static struct candidate *candidate_of(const struct relay *relay, struct share *share, struct mac src, struct mac dst)
{
    struct { struct mac src, dst; } key = { src, dst };
    return &share->candidates[hash_bytes(&key, sizeof key, relay->seed) % N_CANDIDATES];
}

static bool is_pair(const struct candidate *c, struct mac src, struct mac dst, uint64_t now)
{
    return c->n && mac_u64(c->src) == mac_u64(src) && mac_u64(c->dst) == mac_u64(dst) && now - c->seen_ns < PAIR_MEMORY_NS;
}

/* --- Is the pair answered? --- */

/* By whichever port the frame came in. */
static bool has_seen(const struct vsw *vsw, struct mac src, struct mac dst)
{
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    bool seen = intern_has_pair(vsw, src, dst);
    for (unsigned i = 0; vsw->relay && !seen && i < N_SHARES; i++) {
        seen = is_pair(candidate_of(vsw->relay, &vsw->relay->shares[i], src, dst), src, dst, now);
    }
    return seen;
}

bool relay_answered(const struct vsw *vsw, struct mac src, struct mac dst)
{
    const struct slice *slice = vsw->network->slice;
    bool seen = has_seen(vsw, dst, src), from_port = intern_is_port(vsw, src), to_port = intern_is_port(vsw, dst);
    if (dst.b[0] & 1) {
        return false;                                   /* A group never answers. */
    }
    for (unsigned i = 0; slice && !seen && i < slice->n_switches; i++) {        /* Over a virtual link, answers come from another switch's network. */
        const struct vsw *other = fabric_find_vsw(vsw->fabric, slice->switches[i]->id);
        seen = other && other != vsw && has_seen(other, dst, src);
        from_port |= other && intern_is_port(other, src);
        to_port |= other && intern_is_port(other, dst);
    }
    return seen || (from_port && to_port);
}

/* --- Does the pair repeat? --- */

bool relay_repeats(struct vsw *vsw, uint32_t in_port, uint16_t edge, struct mac src, struct mac dst, uint64_t pdst)
{
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    if (!vsw->relay) {
        vsw->relay = XNEW(struct relay);
        vsw->relay->seed = (uint32_t) rng_u64(&vsw->controller->rng);
    }
    struct candidate *c = candidate_of(vsw->relay, share_of(vsw, in_port), src, dst);
    if (is_pair(c, src, dst, now) && c->edge == edge) {
        c->n = (uint16_t) (c->n + (c->pdst == pdst && c->n < REPEATS));
    } else {
        *c = (struct candidate) { .pdst = pdst, .src = src, .dst = dst, .edge = edge, .n = 1 };
    }
    c->seen_ns = vsw->relay->used_ns = now;
    return c->n >= REPEATS;
}

/* --- Carrying --- */

static bool may_carry(struct vsw *vsw, uint32_t in_port)
{
    uint64_t now = clock_now_ns(&vsw->controller->clock);
    struct share *share = share_of(vsw, in_port);
    return budget_may(&share->most, RELAY_PORT_RATE, now)
           && (budget_may(&vsw->relay->all, SWITCH_RATE, now) || budget_may(&share->least, SHARE_MIN_RATE, now));
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

bool relay_frame(struct vsw *vsw, uint32_t in_port, const struct sw *from, uint64_t pdst, uint8_t *data, unsigned size)
{
    struct controller *c = vsw->controller;
    const struct edge *edge;
    uint32_t out = landing_port(vsw->network, pdst, &edge);
    const struct sw *to = out ? substrate_find(c->substrate, edge->datapath_id) : NULL;
    struct of_msg msg;

    /* Where no cable leads, nothing arrives: controllerd is no path. */
    if (!to || !to->conn || !substrate_reachable(c->substrate, from, to) || !may_carry(vsw, in_port)) {
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
    if (vsw->relay && (always || clock_now_ns(&vsw->controller->clock) - vsw->relay->used_ns > FORGET_NS)) {
        free(vsw->relay);
        vsw->relay = NULL;
    }
}
