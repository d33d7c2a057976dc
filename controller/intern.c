/*
 * Interning: an id on the fabric for an address pair that no port registered.
 *
 * A frame that meets no entry in X_SRC comes here. The pair (eth_src, eth_dst) gets an id of the sending edge and
 * network, bounded by quota; the receivers get the restoring entry first, then, confirmed, the sender gets the
 * translating one, then the frame that was held goes on from X_SRC where it stopped. So no frame is ever on the fabric
 * whose id a receiver does not know. A pair that the sender has not used for the idle time, or whose place is wanted
 * (intern_quota.c), goes in the opposite order, with a grace period for frames under way. Only what a tenant's tables
 * decided to send to a remote port gets here, and of that only pairs that are answered or repeat get an id; the others'
 * frames, and those for whom there is no id left, are carried by controllerd (relay.c), so that a scan takes none,
 * whatever a tenant's tables flood and whatever its machines write as their address.
 *
 * A pair that comes, goes or changes its state is an edit of that pair's entries on the network's edges, compile_pair(), whatever else the network has; a
 * whole compile of the network makes the same entries from the same pairs, and intern_test.c holds the one against the other.
 */
#define LOG_MODULE "intern"
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "lib/log.h"

#define CONFIRM_TIMEOUT_MS 5000
#define MAC_BROADCAST UINT64_C(0xffffffffffff)
#define DRAIN_NS (5 * UINT64_C(1000000000))
#define MAX_HELD 1024           /* Frames held in all, */
#define MAX_HELD_PER_TENANT 256 /* of a tenant, so that others' find room, */
#define MAX_HELD_PER_PORT 64    /* of one of its ports, */
#define MAX_HELD_PER_PAIR 16    /* and for a pair that is spreading, so that a short burst arrives whole. */
#define TICK_S 2
#define ASKS_PER_IDLE_TIME 4

struct intern {
    struct fabric *fabric;
    struct event *tick;
    struct list held;
    unsigned n_held;
    uint64_t n_interned, n_reclaimed, n_evicted, n_over_quota, n_resent, n_relayed, n_unrelayed;
};

/* A frame that waits for its pair, with the context it had. */
struct held {
    struct list node;
    struct intern *intern;
    char tenant[33];
    uint32_t network, pair_id, virtual_port, in_port, flags;
    uint16_t edge;
    uint64_t datapath_id, pdst;
    uint8_t *data;
    unsigned size;
};

static uint32_t pair_hash(struct mac src, struct mac dst) { return (uint32_t) hash_mix64(mac_u64(src) ^ hash_mix64(mac_u64(dst))); }

static struct pair *find_pair(const struct vsw *vsw, uint16_t edge, struct mac src, struct mac dst)
{
    struct pair *pair;
    HMAP_FOR_EACH_WITH_HASH (pair, by_addresses, pair_hash(src, dst), &vsw->pair_addresses) {
        if (pair->edge == edge && mac_u64(pair->src) == mac_u64(src) && mac_u64(pair->dst) == mac_u64(dst)) {
            return pair;
        }
    }
    return NULL;
}

bool intern_has_pair(const struct vsw *vsw, struct mac src, struct mac dst)
{
    const struct pair *pair;
    HMAP_FOR_EACH_WITH_HASH (pair, by_addresses, pair_hash(src, dst), &vsw->pair_addresses) {
        if (mac_u64(pair->src) == mac_u64(src) && mac_u64(pair->dst) == mac_u64(dst)) {
            return true;
        }
    }
    return false;
}

static uint32_t id_hash(uint16_t edge, uint32_t id) { return (uint32_t) hash_mix64((uint64_t) edge << 32 | id); }

static struct pair *find_pair_id(const struct vsw *vsw, uint16_t edge, uint32_t id)
{
    struct pair *pair;
    HMAP_FOR_EACH_WITH_HASH (pair, by_id, id_hash(edge, id), &vsw->pair_ids) {
        if (pair->edge == edge && pair->id == id) {
            return pair;
        }
    }
    return NULL;
}

static uint32_t allocate_id(struct vsw *vsw, uint16_t edge)
{
    do {
        vsw->next_pair = vsw->next_pair >= 0xffffff ? PROVIDER_FIRST_INTERNED : vsw->next_pair + 1;
    } while (find_pair_id(vsw, edge, vsw->next_pair));
    return vsw->next_pair;
}

static void remove_pair(struct vsw *vsw, struct pair *pair)
{
    compile_pair(vsw, pair, true);
    list_remove(&pair->node);
    hmap_remove(&vsw->pair_addresses, &pair->by_addresses);
    hmap_remove(&vsw->pair_ids, &pair->by_id);
    intern_quota_remove(vsw, pair);
    free(pair);
}

/* --- Ports' own addresses: their ids are known beforehand --- */

#define PORT_KEY(MAC, EDGE) (mac_u64(MAC) << 16 | (EDGE))

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

static void note_ports(struct vsw *vsw)
{
    const struct network *network = vsw->network;
    free(vsw->port_keys);
    vsw->port_keys = xcalloc(network->n_ports + 1, sizeof *vsw->port_keys);
    vsw->n_port_keys = network->n_ports;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        vsw->port_keys[i] = PORT_KEY(port->mac, port->edge ? port->edge->index : 0u);
    }
    qsort(vsw->port_keys, vsw->n_port_keys, sizeof *vsw->port_keys, by_key);
}

/* Whether there is a key from `first` to `last`. */
static bool has_key(const struct vsw *vsw, uint64_t first, uint64_t last)
{
    unsigned low = 0, high = vsw->n_port_keys;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (vsw->port_keys[middle] < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < vsw->n_port_keys && vsw->port_keys[low] <= last;
}

bool intern_is_port(const struct vsw *vsw, struct mac mac) { return has_key(vsw, PORT_KEY(mac, 0u), PORT_KEY(mac, 0xffffu)); }

/* A port's own entries translate frames from it to everybody: a pair for them would be in their way. */
static bool is_ports(const struct vsw *vsw, uint16_t edge, struct mac src, struct mac dst)
{
    return mac_u64(dst) == MAC_BROADCAST && has_key(vsw, PORT_KEY(src, edge), PORT_KEY(src, edge));
}

static void held_free(struct held *held)
{
    held->intern->n_held--;
    list_remove(&held->node);
    free(held->data);
    free(held);
}

/* --- Resending --- */

static void resend(struct held *held)
{
    struct controller *c = held->intern->fabric->controller;
    struct sw *sw = substrate_find(c->substrate, held->datapath_id);
    struct of_msg msg;

    if (!sw || !sw->conn) {
        return;
    }
    of_msg_init(&msg, OFPT_PACKET_OUT, of_conn_next_xid(sw->conn));
    msg.packet_out.buffer_id = OFP_NO_BUFFER;
    msg.packet_out.in_port = held->in_port ? held->in_port : OFPP_CONTROLLER;     /* None: it came over a virtual link. */
    msg.packet_out.data = held->data;                   /* Lent. */
    msg.packet_out.size = held->size;
    actions_load(&msg.packet_out.actions, R_VSW, 0, 32, held->network);
    actions_load(&msg.packet_out.actions, R_PDST, 0, 64, held->pdst);
    actions_load(&msg.packet_out.actions, R_FLAGS, 0, 32, held->flags);
    actions_resubmit(&msg.packet_out.actions, T_X_SRC);
    of_conn_send(sw->conn, &msg);
    actions_fini(&msg.packet_out.actions);
    held->intern->n_resent++;
}

static void sender_ready(const struct err *err, void *aux)
{
    struct held *held = aux;
    if (!err) {
        resend(held);
    }
    held_free(held);
}

static void receivers_ready(const struct err *err, void *aux)
{
    struct held *held = aux;
    struct intern *intern = held->intern;
    struct controller *c = intern->fabric->controller;
    struct vsw *vsw = fabric_find_vsw(intern->fabric, held->network);
    struct pair *pair = vsw ? find_pair_id(vsw, held->edge, held->pair_id) : NULL;

    if (!pair || err) {
        if (pair) {
            LOG_RATE(LOG_WARN, 10, "network %s: receivers did not confirm an address pair: %s", vsw->network->name, err->message);
            remove_pair(vsw, pair);                     /* The next frame tries again. */
        }
        held_free(held);
        return;
    }
    if (pair->state == PAIR_SPREADING) {
        pair->state = PAIR_ACTIVE;
        pair->used_ns = clock_now_ns(&c->clock);
        compile_pair(vsw, pair, false);
    }
    reconcile_wait_owner(c->reconcile, held->network, CONFIRM_TIMEOUT_MS, sender_ready, held);
}

/* --- Packet-in --- */

static void drain(struct intern *intern, struct vsw *vsw, struct pair *pair)
{
    pair->state = PAIR_DRAINING;
    pair->drain_ns = clock_now_ns(&intern->fabric->controller->clock) + DRAIN_NS;
    intern_quota_drain(vsw, pair);
    compile_pair(vsw, pair, false);
}

static struct pair *new_pair(struct intern *intern, struct vsw *vsw, const struct sw *sw, uint32_t in_port, struct mac src, struct mac dst, bool unanswered)
{
    struct pair *pair, *victim;
    bool allowed = intern_quota_allows(vsw, in_port, unanswered, &victim);

    if (victim) {
        intern->n_evicted++;
        drain(intern, vsw, victim);
    }
    if (!allowed) {
        intern->n_over_quota++;
        return NULL;
    }
    pair = XNEW(struct pair);
    pair->edge = sw->edge->index;
    pair->id = allocate_id(vsw, pair->edge);
    pair->src = src;
    pair->dst = dst;
    pair->used_ns = clock_now_ns(&intern->fabric->controller->clock);
    pair->unanswered = unanswered;
    list_push_back(&vsw->pairs, &pair->node);
    hmap_insert(&vsw->pair_addresses, &pair->by_addresses, pair_hash(src, dst));
    hmap_insert(&vsw->pair_ids, &pair->by_id, id_hash(pair->edge, pair->id));
    compile_pair(vsw, pair, false);
    intern_quota_add(vsw, pair, in_port);
    intern->n_interned++;
    return pair;
}

static bool may_hold(const struct intern *intern, const struct vsw *vsw, uint32_t in_port, const struct pair *pair)
{
    const char *tenant = network_tenant(vsw->network)->name;
    const struct held *held;
    unsigned n_pair = 0, n_port = 0, n_tenant = 0;
    LIST_FOR_EACH (held, node, &intern->held) {
        n_pair += pair && held->network == vsw->id && held->edge == pair->edge && held->pair_id == pair->id;
        n_port += held->network == vsw->id && held->virtual_port == in_port;
        n_tenant += !strcmp(held->tenant, tenant);
    }
    return intern->n_held < MAX_HELD && n_tenant < MAX_HELD_PER_TENANT && n_port < MAX_HELD_PER_PORT && n_pair < MAX_HELD_PER_PAIR;
}

static uint64_t context(const struct of_packet_in *pin, enum field_id id)
{
    union field_value value;
    field_get(field_row(id), &pin->match.value.flow, &value);
    return field_value_u64(&value);
}

static struct held *hold(struct intern *intern, const struct vsw *vsw, const struct sw *sw, const struct pair *pair, const struct of_packet_in *pin)
{
    struct held *held = XNEW(struct held);

    held->intern = intern;
    str_copy(held->tenant, sizeof held->tenant, network_tenant(vsw->network)->name);
    held->network = vsw->id;
    held->edge = pair->edge;
    held->pair_id = pair->id;
    held->virtual_port = (uint32_t) context(pin, R_IN);
    held->datapath_id = sw->datapath_id;
    held->in_port = be32_get(pin->match.value.flow.in_port);
    held->pdst = context(pin, R_PDST);
    held->flags = (uint32_t) context(pin, R_FLAGS);
    held->data = (uint8_t *) xmemdup0((const char *) pin->data, pin->size);
    held->size = pin->size;
    list_push_back(&intern->held, &held->node);
    intern->n_held++;
    return held;
}

static void carry(struct intern *intern, struct vsw *vsw, const struct sw *sw, struct of_packet_in *pin)
{
    bool relayed = relay_frame(vsw, (uint32_t) context(pin, R_IN), sw, context(pin, R_PDST), pin->data, pin->size);
    intern->n_relayed += relayed;
    intern->n_unrelayed += !relayed;
}

/* The pair's, or that of a new one that has earned it; NULL: it has not, or there is no room for one more. */
static struct pair *pair_for(struct intern *intern, struct vsw *vsw, const struct sw *sw, const struct of_packet_in *pin)
{
    uint32_t in_port = (uint32_t) context(pin, R_IN);
    struct mac src, dst;
    memcpy(dst.b, pin->data, 6);
    memcpy(src.b, pin->data + 6, 6);
    struct pair *pair = find_pair(vsw, sw->edge->index, src, dst);
    bool answered = relay_answered(vsw, src, dst);      /* Before this frame is remembered: its place may be that of the one that it answers. */
    bool repeats = relay_repeats(vsw, in_port, sw->edge->index, src, dst, context(pin, R_PDST));
    bool early = is_ports(vsw, sw->edge->index, src, dst);      /* Sent before the edge had the port's entries. */
    if (early || (!pair && !answered && !repeats) || !may_hold(intern, vsw, in_port, pair)) {
        return NULL;
    }
    return pair ? pair : new_pair(intern, vsw, sw, in_port, src, dst, !answered);
}

void intern_packet_in(struct intern *intern, struct sw *sw, struct of_packet_in *pin)
{
    struct controller *c = intern->fabric->controller;
    struct vsw *vsw = fabric_find_vsw(intern->fabric, (uint32_t) (pin->cookie >> 32));

    if (!vsw || !sw->edge || pin->table_id != T_X_SRC || pin->size < 14 || !vsw_has_edge(vsw, sw->edge)) {
        return;
    }
    struct pair *pair = pair_for(intern, vsw, sw, pin);
    if (!pair) {
        carry(intern, vsw, sw, pin);
        return;
    }
    if (pair->state == PAIR_DRAINING) {                 /* The receivers still have it. */
        pair->state = PAIR_ACTIVE;
        pair->used_ns = clock_now_ns(&c->clock);
        intern_quota_revive(vsw, pair);
        compile_pair(vsw, pair, false);
    }
    struct held *held = hold(intern, vsw, sw, pair, pin);
    reconcile_wait_owner(c->reconcile, vsw->id, CONFIRM_TIMEOUT_MS, pair->state == PAIR_ACTIVE ? sender_ready : receivers_ready, held);
}

/* --- Idle pairs --- */

static void ask_edge(const struct vsw *vsw, const struct edge *edge)
{
    struct sw *sw = substrate_find(vsw->controller->substrate, edge->datapath_id);
    struct of_msg msg;
    if (!sw || !sw->conn) {
        return;
    }
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(sw->conn));
    msg.multipart.type = OFPMP_FLOW;
    msg.multipart.filter.table_id = T_X_SRC;
    msg.multipart.filter.out_port = OFPP_ANY;
    msg.multipart.filter.out_group = OFPG_ANY;
    msg.multipart.filter.cookie = COOKIE(vsw->id, COOKIE_PAIR);
    msg.multipart.filter.cookie_mask = UINT64_MAX;
    match_init(&msg.multipart.filter.match);
    of_conn_send(sw->conn, &msg);
}

static void ask(struct vsw *vsw, uint64_t now)
{
    struct pair *pair;
    vsw->pairs_asked_ns = now;
    LIST_FOR_EACH (pair, node, &vsw->pairs) {
        pair->reading = 0;
        pair->was_read = false;
    }
    for (unsigned i = 0; i < vsw->network->n_landings; i++) {
        ask_edge(vsw, vsw->network->landings[i].edge);
    }
}

bool intern_reply(struct intern *intern, struct sw *sw, struct of_msg *msg)
{
    if (msg->type != OFPT_MULTIPART_REPLY || msg->multipart.type != OFPMP_FLOW || !sw->edge) {
        return false;
    }
    uint64_t now = clock_now_ns(&intern->fabric->controller->clock);
    for (unsigned i = 0; i < msg->multipart.flows.n; i++) {
        const struct of_flow_stats *flow = &msg->multipart.flows.v[i];
        struct vsw *vsw = fabric_find_vsw(intern->fabric, (uint32_t) (flow->cookie >> 32));
        struct pair *pair = vsw && (uint32_t) flow->cookie == COOKIE_PAIR
            ? find_pair(vsw, sw->edge->index, flow->match.value.flow.eth_src, flow->match.value.flow.eth_dst) : NULL;
        /* A pair has two entries (ARP and the rest): each counts as use when it has more packets than the sum was last time. */
        if (pair) {
            pair->was_read = true;
            pair->reading += flow->packet_count;
            if (pair->reading > pair->packets) {
                pair->packets = pair->reading;
                pair->used_ns = now;
                intern_quota_used(pair);
            }
        }
    }
    return true;
}

static void age(struct intern *intern, struct vsw *vsw, uint64_t now, uint64_t idle_ns)
{
    struct pair *pair;
    LIST_FOR_EACH (pair, node, &vsw->pairs) {
        pair->idle = pair->state == PAIR_ACTIVE && pair->was_read && pair->used_ns < vsw->pairs_asked_ns;
        if (pair->state == PAIR_ACTIVE && now - pair->used_ns > idle_ns) {
            drain(intern, vsw, pair);
        } else if (pair->state == PAIR_DRAINING && now >= pair->drain_ns) {
            intern->n_reclaimed++;
            remove_pair(vsw, pair);
        }
    }
}

void intern_tick(struct intern *intern)
{
    struct controller *c = intern->fabric->controller;
    uint64_t now = clock_now_ns(&c->clock), idle_ns = c->config.intern_idle_s * UINT64_C(1000000000);
    struct vsw *vsw;

    HMAP_FOR_EACH (vsw, node, &intern->fabric->vsws) {
        relay_forget(vsw, false);
        age(intern, vsw, now, idle_ns);
        if (vsw->n_pairs[PAIRS_ALL] && (intern_quota_pressed(vsw) || now - vsw->pairs_asked_ns >= idle_ns / ASKS_PER_IDLE_TIME)) {
            ask(vsw, now);
        }
    }
}

static void tick_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *intern) { intern_tick(intern); }

void intern_network_changed(struct intern *intern, struct vsw *vsw)
{
    struct pair *pair;
    note_ports(vsw);
    LIST_FOR_EACH (pair, node, &vsw->pairs) {
        const struct edge *edge = model_edge_by_index(intern->fabric->controller->model, pair->edge);
        if (!edge || !vsw_has_edge(vsw, edge)) {
            remove_pair(vsw, pair);
        } else if (pair->state != PAIR_DRAINING && is_ports(vsw, pair->edge, pair->src, pair->dst)) {
            drain(intern, vsw, pair);
        }
    }
}

struct intern *intern_new(struct fabric *fabric)
{
    struct intern *intern = XNEW(struct intern);
    struct timeval interval = { .tv_sec = TICK_S };

    intern->fabric = fabric;
    list_init(&intern->held);
    intern->tick = event_new(fabric->controller->base, -1, EV_PERSIST, tick_cb, intern);
    event_add(intern->tick, &interval);
    return intern;
}

void intern_free(struct intern *intern)
{
    struct held *held;
    LIST_FOR_EACH (held, node, &intern->held) {
        held_free(held);                                /* reconcile is gone already, and called its waiters. */
    }
    event_free(intern->tick);
    free(intern);
}

void intern_metrics(struct intern *intern, struct buf *out)
{
    const struct { const char *name, *type, *help; uint64_t value; } rows[] = {
        { "interned_total", "counter", "Address pairs that got a provider id", intern->n_interned },
        { "reclaimed_total", "counter", "Idle address pairs whose id was taken back", intern->n_reclaimed },
        { "evicted_total", "counter", "Address pairs whose id was taken back before the idle time, for others", intern->n_evicted },
        { "over_quota_total", "counter", "Frames of pairs that got no id because of the network's quota", intern->n_over_quota },
        { "resent_total", "counter", "Held frames sent on", intern->n_resent },
        { "relayed_total", "counter", "Frames of pairs without an id that controllerd carried", intern->n_relayed },
        { "unrelayed_total", "counter", "Frames of pairs without an id that it did not carry: over the rate, or no way leads there", intern->n_unrelayed },
        { "held", "gauge", "Frames waiting for their pair", intern->n_held },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "# HELP polder_intern_%s %s\n# TYPE polder_intern_%s %s\npolder_intern_%s %" PRIu64 "\n", rows[i].name, rows[i].help,
                   rows[i].name, rows[i].type, rows[i].name, rows[i].value);
    }
}
