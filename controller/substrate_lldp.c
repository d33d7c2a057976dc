#define LOG_MODULE "discovery"
#include "controller/substrate_impl.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include "controller/config.h"
#include "controller/store.h"
#include "lib/log.h"

#define META_KEY "lldp_key"
#define RANDOM_KEY_SIZE 32
#define LLDP_BUDGET 2000        /* Frames a second on ports that have links, of all switches together. */

/* From the configured file; else the store's, made on first use. */
bool discovery_init(struct substrate *s, struct err *err)
{
    const char *file = s->controller->config.lldp_key_file;
    if (file) {
        return config_lldp_key(file, &s->key, err);
    }
    char *hex = store_meta_get(s->controller->store, META_KEY);
    if (hex) {
        s->key.size = sizeof s->key.b;
        bool ok = hex_to_bytes(hex, s->key.b, &s->key.size) && s->key.size >= LLDP_KEY_MIN;
        free(hex);
        return ok || err_set(err, ERR_FAILED, "store", "%s is no LLDP key", META_KEY);
    }
    if (RAND_bytes(s->key.b, RANDOM_KEY_SIZE) != 1) {
        return err_set(err, ERR_FAILED, NULL, "OpenSSL has no random bytes for an LLDP key");
    }
    s->key.size = RANDOM_KEY_SIZE;
    char text[2 * RANDOM_KEY_SIZE + 1];
    bytes_to_hex(s->key.b, s->key.size, text);
    return store_meta_set(s->controller->store, META_KEY, text, err);
}

/* --- Which ports --- */

static int compare_bound(const void *a_, const void *b_)
{
    const struct bound_name *a = a_, *b = b_;
    int d = (a->datapath_id > b->datapath_id) - (a->datapath_id < b->datapath_id);
    return d ? d : strcmp(a->name, b->name);
}

/* Ports that controllerd made are named p<id>; those that it was given are in the list. */
static bool is_bound(const struct substrate *s, uint64_t datapath_id, const char *name)
{
    uint64_t id;
    if (name[0] == 'p' && str_to_u64(name + 1, UINT32_MAX, &id)) {
        const struct port *p = model_port_by_id(s->controller->model, (uint32_t) id);
        if (p && p->edge && p->edge->datapath_id == datapath_id && !*p->ofport_of) {
            return true;
        }
    }
    struct bound_name key = { .datapath_id = datapath_id };
    str_copy(key.name, sizeof key.name, name);
    return s->n_bound && bsearch(&key, s->bound, s->n_bound, sizeof key, compare_bound);
}

bool discovery_is_candidate(const struct sb_conn *sb, const struct of_port *of)
{
    if (!of->port_no || of->port_no >= OFPP_MAX || is_bound(sb->substrate, sb->datapath_id, of->name)) {
        return false;
    }
    if (!sb->is_vswitchd) {
        return true;
    }
    for (unsigned i = 0; i < sb->n_devices; i++) {
        if (sb->devices[i].port_no == of->port_no) {
            return sb->devices[i].is_dpdk;
        }
    }
    return false;
}

void discovery_bindings_changed(struct substrate *s)
{
    static const enum model_kind kinds[] = { KIND_PORT, KIND_SWITCH_PORT };
    const struct model *m = s->controller->model;
    unsigned allocated = s->n_bound;
    s->n_bound = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < model_count(m, kinds[k]); i++) {
            const struct port *p = model_at(m, kinds[k], i);
            if (!p->edge || !*p->ofport_of) {
                continue;
            }
            if (s->n_bound == allocated) {
                allocated = allocated ? 2 * allocated : 16;
                s->bound = xrealloc(s->bound, allocated * sizeof *s->bound);
            }
            struct bound_name *b = &s->bound[s->n_bound++];
            memset(b, 0, sizeof *b);
            b->datapath_id = p->edge->datapath_id;
            str_copy(b->name, sizeof b->name, p->ofport_of);
        }
    }
    if (s->n_bound) {
        qsort(s->bound, s->n_bound, sizeof *s->bound, compare_bound);
    }
    struct sb_conn *sb;
    LIST_FOR_EACH(sb, node, &s->conns) {
        if (sb->sw) {
            sb_conn_review_ports(sb);
        }
    }
}

static struct lldp_port *find_lldp_port(struct sw_impl *sw, uint32_t port_no)
{
    struct lldp_port *p;
    LIST_FOR_EACH(p, node, &sw->lldp_ports) {
        if (p->port_no == port_no) {
            return p;
        }
    }
    return NULL;
}

static struct lldp_port *lldp_port_new(struct substrate *s, uint32_t port_no)
{
    struct lldp_port *p = XNEW(struct lldp_port);
    p->port_no = port_no;
    /* A run starts anywhere in 2^63 sequences: what an earlier run signed is outside of this one's window. */
    lldp_sent_init(&p->sent, rng_u64(&s->controller->rng) >> 1);
    p->interval_ns = (uint64_t) s->controller->config.lldp_interval_ms * 1000000;
    p->next_ns = substrate_now(s) + (uint64_t) rng_below(&s->controller->rng, s->controller->config.lldp_interval_ms) * 1000000;
    return p;
}

/* Removes what is at `at` in the list and below the port number; returns the next. */
static struct list *drop_below(struct sw_impl *sw, struct list *at, uint64_t port_no)
{
    while (at != &sw->lldp_ports && CONTAINER_OF(at, struct lldp_port, node)->port_no < port_no) {
        struct lldp_port *p = CONTAINER_OF(at, struct lldp_port, node);
        at = at->next;
        list_remove(&p->node);
        free(p);
    }
    return at;
}

/* Both are in the order of port numbers: one pass, for a switch may tell of its ports often. */
void discovery_review(struct sw_impl *sw)
{
    struct list *at = sw->lldp_ports.next;
    for (unsigned i = 0; i < sw->pub.n_ports; i++) {
        const struct sw_port *port = &sw->pub.ports[i];
        if (!port->is_uplink_candidate) {
            continue;
        }
        at = drop_below(sw, at, port->of.port_no);
        if (at != &sw->lldp_ports && CONTAINER_OF(at, struct lldp_port, node)->port_no == port->of.port_no) {
            at = at->next;
        } else {
            list_insert_before(at, &lldp_port_new(sw->substrate, port->of.port_no)->node);
        }
    }
    drop_below(sw, at, UINT64_MAX);
}

void discovery_forget(struct sw_impl *sw)
{
    struct lldp_port *p;
    LIST_FOR_EACH(p, node, &sw->lldp_ports) {
        list_remove(&p->node);
        free(p);
    }
}

/* --- Sending --- */

/* The configured one, but all ports together send LLDP_BUDGET frames a second at most. */
uint64_t discovery_keepalive_ns(const struct substrate *s)
{
    const struct controller_config *c = &s->controller->config;
    const uint64_t interval = (uint64_t) c->lldp_interval_ms * 1000000;
    const uint64_t wanted = c->lldp_keepalive_ms ? (uint64_t) c->lldp_keepalive_ms * 1000000 : interval;
    return MIN(interval, MAX(wanted, s->n_uplinks * (UINT64_C(1000000000) / LLDP_BUDGET)));
}

void discovery_hurry(struct substrate *s, struct lldp_port *p)
{
    p->next_ns = MIN(p->next_ns, substrate_now(s) + discovery_keepalive_ns(s));
}

static void send_lldp(struct substrate *s, struct sw_impl *sw, struct lldp_port *p, const struct sw_port *port)
{
    const unsigned interval_ms = s->controller->config.lldp_interval_ms;
    struct lldp_info info = {
        .datapath_id = sw->pub.datapath_id, .port = p->port_no, .ttl = (uint16_t) MAX(1u, (3 * interval_ms + 999) / 1000),
        .sequence = lldp_sent_next(&p->sent),
    };
    struct buf frame = BUF_INIT;
    lldp_build(&s->key, &info, port->of.hw_addr, &frame);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, of_conn_next_xid(sw->pub.conn));
    msg.packet_out.buffer_id = OFP_NO_BUFFER;
    msg.packet_out.in_port = OFPP_CONTROLLER;
    actions_output(&msg.packet_out.actions, p->port_no);
    msg.packet_out.data = frame.data;           /* The message owns it now. */
    msg.packet_out.size = (unsigned) frame.size;
    of_conn_send(sw->pub.conn, &msg);
    of_msg_fini(&msg);
    s->n_lldp_sent++;
}

/* The port's turn has come. */
static void take_turn(struct substrate *s, struct sw_impl *sw, struct lldp_port *p, uint64_t now)
{
    const struct sw_port *port = sw_port_find(&sw->pub, p->port_no);
    const struct link_impl *l = link_find(s, &sw->pub, p->port_no);
    p->interval_ns = l && l->pub.up ? discovery_keepalive_ns(s) : (uint64_t) s->controller->config.lldp_interval_ms * 1000000;
    /* Late by more than an interval (a stopped process): start again from now, no burst. */
    p->next_ns = now - p->next_ns > p->interval_ns ? now + p->interval_ns : p->next_ns + p->interval_ns;
    if (port && sw_port_is_up(port)) {
        send_lldp(s, sw, p, port);
    }
}

void discovery_tick(struct substrate *s)
{
    const uint64_t now = substrate_now(s);
    unsigned n_uplinks = 0;
    for (unsigned i = 0; i < s->n_order; i++) {
        struct sw_impl *sw = s->order[i];
        struct lldp_port *p;
        if (!sw->sb) {
            continue;
        }
        for (unsigned j = 0; j < sw->pub.n_ports; j++) {
            n_uplinks += sw->pub.ports[j].has_link;
        }
        LIST_FOR_EACH(p, node, &sw->lldp_ports) {
            if (now >= p->next_ns) {
                take_turn(s, sw, p, now);
            }
        }
    }
    s->n_uplinks = n_uplinks;
}

/* --- Receiving --- */

static void note_fault(struct substrate *s, enum lldp_fault fault, const struct sw_impl *sw, uint32_t in_port, const char *what)
{
    s->n_lldp_faults[fault]++;
    LOG_RATE(LOG_WARN, 5, "%s port %u: LLDP frame refused: %s", sw_name(&sw->pub), in_port, what);
}

bool discovery_packet_in(struct substrate *s, struct sw_impl *sw, const struct of_packet_in *in)
{
    struct lldp_info info;
    /* What an entry of a network sent (its id is in the cookie, see edge_tables.h) is a tenant's frame, whatever it looks like. */
    if (in->size < 14 || wire_get16(in->data + 12) != LLDP_ETHERTYPE || in->cookie >> 32) {
        return false;
    }
    const uint32_t in_port = be32_get(in->match.value.flow.in_port);
    switch (lldp_parse(&s->key, in->data, in->size, &info)) {
    case LLDP_FOREIGN:
        return false;
    case LLDP_MALFORMED:
        note_fault(s, FAULT_MALFORMED, sw, in_port, "malformed");
        return true;
    case LLDP_FORGED:
        note_fault(s, FAULT_FORGED, sw, in_port, "not signed with this site's key");
        return true;
    case LLDP_OK:
        break;
    }
    struct sw_impl *from = substrate_find_impl(s, info.datapath_id);
    struct lldp_port *sender = from && from->sb ? find_lldp_port(from, info.port) : NULL;
    const struct sw_port *port = sw_port_find(&sw->pub, in_port);
    if (!port || !port->is_uplink_candidate || !sw_port_is_up(port)) {
        note_fault(s, FAULT_WRONG_PORT, sw, in_port, "this port is no uplink");
    } else if (!sender || !lldp_fresh(&sender->sent, info.sequence)) {
        note_fault(s, FAULT_STALE, sw, in_port, "stale (replayed?)");
    } else {
        s->n_lldp_received++;
        link_seen(s, &from->pub, sender, &sw->pub, in_port);
    }
    return true;
}
