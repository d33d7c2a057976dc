/* See vsw_stats.h. */
#include "controller/vsw_stats.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

#include "controller/departures.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"

#define TICK_MS 100
#define NS_PER_S UINT64_C(1000000000)
#define DECODING 6              /* A reply takes as many times as long, with decoding, as adding up what it says. */

/* --- Who waits for what --- */

struct waiter { struct list node; unsigned kinds; void (*done)(void *token); void *token; };

/* A question to one edge. */
struct question {
    struct hmap_node node;      /* In vsw_stats.questions. */
    struct list of_tally;
    struct tally *tally;
    uint64_t datapath_id;
    uint32_t xid;
    uint16_t edge;              /* Index. */
    enum vsw_stats_kind kind;
};

/* One virtual switch. */
struct tally {
    struct hmap_node node;      /* In vsw_stats.tallies, by network id. */
    struct vsw_stats *stats;
    struct vsw *vsw;
    struct list now, next;      /* Waiters of the collection under way, and of the one after it. */
    struct list questions;      /* Not answered. */
    bool collecting;
    uint64_t number;            /* Of the latest collection of flows. */
    uint64_t deadline_ns;       /* Of the collection. */
    struct departures departures;
    bool has_timeouts;
    uint16_t idle_s;            /* The shortest idle timeout; 0: none. */
    uint64_t look_ns;           /* When to look at timeouts next. */
};

struct vsw_stats {
    struct fabric *fabric;
    const struct vsw_stats_ops *ops;
    struct hmap tallies, questions;
    struct event *tick;
    bool ticking;
    uint64_t n_collections, n_questions, n_unanswered, n_departed, n_untold;
};

static uint64_t now_of(const struct vsw_stats *s) { return clock_now_ns(&s->fabric->controller->clock); }
static uint32_t id_hash(uint32_t id) { return (uint32_t) hash_mix64(id); }
static uint32_t question_hash(uint64_t datapath_id, uint32_t xid) { return (uint32_t) hash_mix64(datapath_id * 31 + xid); }

static void keep_ticking(struct vsw_stats *s)
{
    if (!s->ticking) {
        struct timeval interval = { .tv_usec = TICK_MS * 1000 };
        event_add(s->tick, &interval);
        s->ticking = true;
    }
}

static struct tally *tally_find(const struct vsw_stats *s, uint32_t id)
{
    struct tally *t;
    HMAP_FOR_EACH_WITH_HASH (t, node, id_hash(id), &s->tallies) {
        if (t->vsw->id == id) {
            return t;
        }
    }
    return NULL;
}

static struct tally *tally_get(struct vsw_stats *s, struct vsw *vsw)
{
    struct tally *t = tally_find(s, vsw->id);
    if (!t) {
        t = XNEW(struct tally);
        t->stats = s;
        t->vsw = vsw;
        list_init(&t->now);
        list_init(&t->next);
        list_init(&t->questions);
        departures_init(&t->departures);
        hmap_insert(&s->tallies, &t->node, id_hash(vsw->id));
    }
    return t;
}

static void question_free(struct question *q)
{
    hmap_remove(&q->tally->stats->questions, &q->node);
    list_remove(&q->of_tally);
    free(q);
}

/* --- A collection --- */

static void start(struct tally *);

/* Work for the collection has taken the time since then. */
static void charge(struct tally *t, uint64_t begun_ns, unsigned times)
{
    uint64_t now = now_of(t->stats), *paid = &t->vsw->usage->collections_paid_ns;
    *paid = MIN(MAX(*paid, now) + (now - begun_ns) * times * COLLECT_SHARE, now + COLLECT_AHEAD_NS + COLLECT_WAIT_NS);
}

static void start_if_paid(struct tally *t)
{
    if (t->vsw->usage->collections_paid_ns <= now_of(t->stats) + COLLECT_AHEAD_NS) {
        start(t);
    } else {
        keep_ticking(t->stats);
    }
}

/* Calls who waited; they may ask again, or take the virtual switch away. */
static void finish(struct tally *t)
{
    struct vsw_stats *s = t->stats;
    uint32_t id = t->vsw->id;
    struct question *q;

    LIST_FOR_EACH (q, of_tally, &t->questions) {
        s->n_unanswered++;
        question_free(q);
    }
    t->collecting = false;
    while ((t = tally_find(s, id)) && !list_empty(&t->now)) {
        struct waiter *w = CONTAINER_OF(t->now.next, struct waiter, node);
        void (*done)(void *) = w->done;
        void *token = w->token;
        const uint64_t begun = now_of(s);
        list_remove(&w->node);
        free(w);
        done(token);
        if ((t = tally_find(s, id))) {
            charge(t, begun, 1);
        }
    }
    if (t && !t->collecting && !list_empty(&t->next)) {
        start_if_paid(t);
    }
}

static void ask(struct tally *t, const struct edge *edge, struct sw *sw, enum vsw_stats_kind kind, struct of_msg *msg)
{
    struct question *q = XNEW(struct question);
    q->tally = t;
    q->datapath_id = sw->datapath_id;
    q->edge = edge->index;
    q->kind = kind;
    q->xid = of_conn_send(sw->conn, msg);
    list_push_back(&t->questions, &q->of_tally);
    hmap_insert(&t->stats->questions, &q->node, question_hash(q->datapath_id, q->xid));
    t->stats->n_questions++;
}

static void ask_flows(struct tally *t, const struct edge *edge, struct sw *sw)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(sw->conn));
    msg.multipart.type = OFPMP_FLOW;
    of_flow_filter_init(&msg.multipart.filter);
    msg.multipart.filter.cookie = COOKIE(t->vsw->id, 0);
    msg.multipart.filter.cookie_mask = COOKIE(UINT32_MAX, 0);
    ask(t, edge, sw, VSW_STATS_FLOWS, &msg);
}

static void ask_id(struct tally *t, const struct edge *edge, struct sw *sw, enum vsw_stats_kind kind, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, of_conn_next_xid(sw->conn));
    msg.multipart.type = kind == VSW_STATS_GROUPS ? OFPMP_GROUP : kind == VSW_STATS_METERS ? OFPMP_METER : OFPMP_PORT_STATS;
    msg.multipart.id = id;
    ask(t, edge, sw, kind, &msg);
}

static void ask_ids(struct tally *t, const struct edge *edge, struct sw *sw, enum vsw_stats_kind kind)
{
    unsigned n;
    uint32_t *ids = t->stats->ops->ids(t->vsw, edge, kind, &n);
    for (unsigned i = 0; i < n; i++) {
        ask_id(t, edge, sw, kind, ids[i]);
    }
    free(ids);
}

static void ask_edge(struct tally *t, const struct edge *edge, unsigned kinds)
{
    struct sw *sw = substrate_find(t->stats->fabric->controller->substrate, edge->datapath_id);

    if (!sw || !sw->connected) {
        return;
    }
    if (kinds & VSW_STATS_FLOWS) {
        if (t->vsw->resets) {                           /* Its rules may have other cookies now: the question is behind them. */
            reconcile_flush(t->vsw->controller->reconcile, edge->datapath_id);
        }
        ask_flows(t, edge, sw);
    }
    for (unsigned kind = VSW_STATS_GROUPS; kind <= VSW_STATS_PORTS; kind <<= 1) {
        if (kinds & kind) {
            ask_ids(t, edge, sw, (enum vsw_stats_kind) kind);
        }
    }
}

/* Whether the link of port i ends on an edge where the network has nothing but the ends of its links, and it is the first that ends there. */
static bool is_elsewhere(const struct network *network, unsigned i)
{
    const struct edge *edge = network->ports[i]->link ? vlink_peer(network->ports[i])->edge : NULL;
    for (unsigned j = 0; edge && j < network->n_landings; j++) {
        edge = network->landings[j].edge == edge ? NULL : edge;
    }
    for (unsigned j = 0; edge && j < i; j++) {
        edge = network->ports[j]->link && vlink_peer(network->ports[j])->edge == edge ? NULL : edge;
    }
    return edge != NULL;
}

static void start(struct tally *t)
{
    const struct network *network = t->vsw->network;
    unsigned kinds = 0;
    struct waiter *w;

    LIST_FOR_EACH (w, node, &t->next) {
        kinds |= w->kinds;
        list_remove(&w->node);
        list_push_back(&t->now, &w->node);
    }
    t->collecting = true;
    t->number += (kinds & VSW_STATS_FLOWS) != 0;
    t->deadline_ns = now_of(t->stats) + COLLECT_TIMEOUT_NS;
    t->stats->n_collections++;
    for (unsigned i = 0; i < network->n_landings; i++) {
        ask_edge(t, network->landings[i].edge, kinds);
    }
    for (unsigned i = 0; kinds & VSW_STATS_FLOWS && i < network->n_ports; i++) {
        if (is_elsewhere(network, i)) {
            ask_edge(t, vlink_peer(network->ports[i])->edge, VSW_STATS_FLOWS);
        }
    }
    if (list_empty(&t->questions)) {
        finish(t);
    } else {
        keep_ticking(t->stats);
    }
}

void vsw_stats_refresh(struct vsw_stats *s, struct vsw *vsw, unsigned kinds, void (*done)(void *token), void *token)
{
    struct tally *t = tally_get(s, vsw);
    struct waiter *w = XNEW(struct waiter);

    *w = (struct waiter) { .kinds = kinds, .done = done, .token = token };
    list_push_back(&t->next, &w->node);
    if (!t->collecting) {
        start_if_paid(t);
    }
}

void vsw_stats_ask_port(struct vsw_stats *s, struct vsw *vsw, const struct edge *edge, struct sw *sw, uint32_t port_no)
{
    ask_id(tally_get(s, vsw), edge, sw, VSW_STATS_PORTS, port_no);
}

uint64_t vsw_stats_next(struct vsw_stats *s, struct vsw *vsw) { return tally_get(s, vsw)->number + 1; }

void vsw_stats_after(struct vsw_stats *s, struct vsw *vsw, void (*done)(void *token), void *token)
{
    struct tally *t = tally_get(s, vsw);
    bool waits = !list_empty(&t->next);
    if (!waits && !t->collecting) {
        done(token);
        return;
    }
    struct waiter *w = XNEW(struct waiter);
    *w = (struct waiter) { .done = done, .token = token };
    list_push_back(waits ? &t->next : &t->now, &w->node);
}

/* --- Departures --- */

static void departed(struct tally *t, struct departure *d)
{
    t->stats->n_untold += d->n_left;
    struct of_flow_removed *msg = departures_end(&t->departures, d);
    if (msg) {
        t->stats->n_departed++;
        t->stats->ops->gone(t->vsw, msg);
        free(msg);
    }
}

/* What an edge says by itself comes behind the latest collection that it has answered. */
static uint64_t reading_behind(const struct tally *t, uint16_t edge)
{
    const struct question *q;
    bool asked = false;
    LIST_FOR_EACH (q, of_tally, &t->questions) {
        asked |= q->edge == edge && q->kind == VSW_STATS_FLOWS;
    }
    return asked ? t->number : t->number + 1;
}

/* final: it is off the edge. */
static void departing_counted(struct tally *t, struct departure *d, uint16_t edge, uint64_t packets, uint64_t bytes, bool final)
{
    uint64_t before = d->sum.packets;
    if (final) {
        counter_sum_final(&d->sum, edge, packets, bytes, now_of(t->stats), reading_behind(t, edge));
    } else {
        counter_sum_read_numbered(&d->sum, edge, packets, bytes, now_of(t->stats), t->number);
    }
    t->stats->ops->late(t->vsw, d->table, d->sum.packets - before);
}

/* --- Answers --- */

static struct question *question_find(struct vsw_stats *s, uint64_t datapath_id, uint32_t xid)
{
    struct question *q;
    HMAP_FOR_EACH_WITH_HASH (q, node, question_hash(datapath_id, xid), &s->questions) {
        if (q->datapath_id == datapath_id && q->xid == xid) {
            return q;
        }
    }
    return NULL;
}

static void take_flows(struct question *q, const struct of_multipart_msg *mp, uint64_t now)
{
    struct tally *t = q->tally;
    for (unsigned i = 0; i < mp->flows.n; i++) {
        const struct of_flow_stats *f = &mp->flows.v[i];
        struct counter_sum *sum = t->stats->ops->flow(t->vsw, (uint32_t) f->cookie);
        struct departure *d = sum ? NULL : departures_find(&t->departures, (uint32_t) f->cookie);
        if (sum) {
            counter_sum_read_numbered(sum, q->edge, f->packet_count, f->byte_count, now, t->number);
        } else if (d) {
            departing_counted(t, d, q->edge, f->packet_count, f->byte_count, false);
        }
    }
}

static void take(struct question *q, const struct of_multipart_msg *mp)
{
    struct tally *t = q->tally;
    const struct vsw_stats_ops *ops = t->stats->ops;
    uint64_t now = now_of(t->stats);

    switch (q->kind) {
    case VSW_STATS_FLOWS:
        take_flows(q, mp, now);
        break;
    case VSW_STATS_GROUPS:
        for (unsigned i = 0; i < mp->groups.n; i++) {
            ops->group(t->vsw, q->edge, &mp->groups.v[i], now);
        }
        break;
    case VSW_STATS_METERS:
        for (unsigned i = 0; i < mp->meters.n; i++) {
            ops->meter(t->vsw, q->edge, &mp->meters.v[i], now);
        }
        break;
    case VSW_STATS_PORTS:
        for (unsigned i = 0; i < mp->port_stats.n; i++) {
            ops->port(t->vsw, q->edge, &mp->port_stats.v[i], now);
        }
        break;
    }
}

static void answered(struct question *q)
{
    struct tally *t = q->tally;
    question_free(q);
    if (list_empty(&t->questions)) {
        finish(t);
    }
}

bool vsw_stats_reply(struct vsw_stats *s, struct sw *sw, const struct of_msg *msg)
{
    struct question *q = question_find(s, sw->datapath_id, msg->xid);

    if (!q || (msg->type != OFPT_MULTIPART_REPLY && msg->type != OFPT_ERROR)) {
        return false;
    }
    bool more = false;
    if (msg->type == OFPT_MULTIPART_REPLY) {            /* An error: what was asked for has just gone. */
        const uint64_t begun = now_of(s);
        take(q, &msg->multipart);
        charge(q->tally, begun, DECODING);
        more = msg->multipart.flags & OFPMPF_MORE;
    }
    if (!more) {
        answered(q);
    }
    return true;
}

/* --- Who leaves --- */

void vsw_stats_depart(struct vsw_stats *s, struct vsw *vsw, const struct flow_entry *entry, uint32_t number,
                      struct counter_sum *sum, int reason, unsigned n_edges)
{
    struct tally *t = tally_get(s, vsw);
    struct departure *d = departures_add(&t->departures, entry, number, sum, reason, n_edges, now_of(s));

    if (n_edges) {
        keep_ticking(s);
    } else {
        departed(t, d);
    }
}

void vsw_stats_flow_removed(struct vsw_stats *s, struct sw *sw, const struct of_flow_removed *msg)
{
    struct tally *t = tally_find(s, (uint32_t) (msg->cookie >> 32));
    struct vsw *vsw = t ? t->vsw : fabric_find_vsw(s->fabric, (uint32_t) (msg->cookie >> 32));
    uint32_t number = (uint32_t) msg->cookie;
    struct departure *d = t ? departures_find(&t->departures, number) : NULL;
    /* Else the entry stays and only this edge has lost it: the edge is not the virtual switch's any more, say. */
    struct counter_sum *sum = vsw && !d ? s->ops->flow(vsw, number) : NULL;

    if (d && sw->edge) {
        departing_counted(t, d, sw->edge->index, msg->packet_count, msg->byte_count, true);
    } else if (sum && sw->edge) {
        counter_sum_final(sum, sw->edge->index, msg->packet_count, msg->byte_count, now_of(s), t ? reading_behind(t, sw->edge->index) : 1);
    }
    if (d && !--d->n_left) {
        departed(t, d);
    }
}

/* --- Timeouts --- */

static uint64_t idle_poll_ns(const struct tally *t)
{
    return MAX(t->idle_s * NS_PER_S / 10, IDLE_POLL_MIN_NS);
}

static void expire(void *tally_)
{
    struct tally *t = tally_;
    uint64_t left = flow_tables_expire(t->vsw->flows);

    t->has_timeouts = left != UINT64_MAX;
    t->idle_s = t->has_timeouts ? t->idle_s : 0;
    t->look_ns = now_of(t->stats) + (t->idle_s ? MIN(left, idle_poll_ns(t)) : left);
}

static void look(struct tally *t)
{
    if (t->idle_s) {
        t->look_ns = UINT64_MAX;                        /* Until the counters are there. */
        vsw_stats_refresh(t->stats, t->vsw, VSW_STATS_FLOWS, expire, t);
    } else {
        expire(t);
    }
}

void vsw_stats_timeouts(struct vsw_stats *s, struct vsw *vsw, const struct flow_entry *entry)
{
    if (!entry->idle_timeout && !entry->hard_timeout) {
        return;
    }
    struct tally *t = tally_get(s, vsw);
    uint64_t due = UINT64_MAX, now = now_of(s);
    if (entry->idle_timeout) {
        t->idle_s = t->idle_s ? MIN(t->idle_s, entry->idle_timeout) : entry->idle_timeout;
        due = now + idle_poll_ns(t);
    }
    if (entry->hard_timeout) {
        due = MIN(due, now + entry->hard_timeout * NS_PER_S);
    }
    t->look_ns = t->has_timeouts ? MIN(t->look_ns, due) : due;
    t->has_timeouts = true;
    keep_ticking(s);
}

/* --- Time --- */

static bool tick_tally(struct tally *t, uint64_t now)
{
    struct departure *d;

    while ((d = departures_overdue(&t->departures, now))) {
        departed(t, d);
    }
    if (t->has_timeouts && now >= t->look_ns) {
        look(t);
    }
    if (!t->collecting && !list_empty(&t->next)) {
        start_if_paid(t);                               /* Answers may come at once, and the virtual switch be gone. */
        return true;
    }
    bool busy = t->collecting || t->has_timeouts || t->departures.by_number.n;
    if (t->collecting && now >= t->deadline_ns) {
        finish(t);                                      /* The virtual switch may be gone now. */
    }
    return busy;
}

void vsw_stats_tick(struct vsw_stats *s)
{
    uint64_t now = now_of(s);
    bool busy = false;
    struct tally *t;

    HMAP_FOR_EACH (t, node, &s->tallies) {
        busy |= tick_tally(t, now);
    }
    if (!busy && s->ticking) {
        event_del(s->tick);
        s->ticking = false;
    }
}

static void tick_cb(evutil_socket_t fd UNUSED, short events UNUSED, void *s)
{
    vsw_stats_tick(s);
}

/* --- Life --- */

void vsw_stats_sw_down(struct vsw_stats *s, struct sw *sw)
{
    struct question *q;
    bool again;

    do {                        /* Waiters that are called may ask anew. */
        again = false;
        HMAP_FOR_EACH (q, node, &s->questions) {
            if (q->datapath_id == sw->datapath_id) {
                s->n_unanswered++;
                answered(q);
                again = true;
                break;
            }
        }
    } while (again);
}

void vsw_stats_vsw_gone(struct vsw_stats *s, struct vsw *vsw)
{
    struct tally *t = tally_find(s, vsw->id);
    struct list *lists[2];

    if (!t) {
        return;
    }
    departures_fini(&t->departures);
    while (!list_empty(&t->questions)) {
        question_free(CONTAINER_OF(t->questions.next, struct question, of_tally));
    }
    hmap_remove(&s->tallies, &t->node);
    lists[0] = &t->now;
    lists[1] = &t->next;
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        while (!list_empty(lists[i])) {
            struct waiter *w = CONTAINER_OF(lists[i]->next, struct waiter, node);
            list_remove(&w->node);
            if (w->token != t) {                        /* Its own look at timeouts. */
                w->done(w->token);
            }
            free(w);
        }
    }
    free(t);
}

struct vsw_stats *vsw_stats_new(struct fabric *f, const struct vsw_stats_ops *ops)
{
    struct vsw_stats *s = XNEW(struct vsw_stats);
    s->fabric = f;
    s->ops = ops;
    hmap_init(&s->tallies);
    hmap_init(&s->questions);
    s->tick = event_new(f->controller->base, -1, EV_PERSIST, tick_cb, s);
    return s;
}

void vsw_stats_free(struct vsw_stats *s)
{
    struct tally *t;

    if (!s) {
        return;
    }
    HMAP_FOR_EACH (t, node, &s->tallies) {
        vsw_stats_vsw_gone(s, t->vsw);
    }
    hmap_fini(&s->tallies);
    hmap_fini(&s->questions);
    event_free(s->tick);
    free(s);
}

void vsw_stats_metrics(const struct vsw_stats *s, struct buf *out)
{
    const struct { const char *name, *help; uint64_t value; } rows[] = {
        { "collections", "Times that a virtual switch's counters were read from its edges", s->n_collections },
        { "questions", "Statistics requests sent to edges for that", s->n_questions },
        { "unanswered", "Of these, not answered in time", s->n_unanswered },
        { "departed", "Entries of virtual switches that left with a flow-removed message", s->n_departed },
        { "untold", "Edges that had not told the last counters of such an entry in time", s->n_untold },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "# HELP polder_stats_%s_total %s\n# TYPE polder_stats_%s_total counter\npolder_stats_%s_total %" PRIu64 "\n",
                   rows[i].name, rows[i].help, rows[i].name, rows[i].name, rows[i].value);
    }
}
