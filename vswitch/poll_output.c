/* Transmit side of a poll-mode thread: frames collect in a buffer per port and thread, and leave in bursts when it is full or at the end of the round. */
#include "vswitch/capture.h"
#include "vswitch/poll.h"
#include "vswitch/queue.h"

#define FLUSH_TRIES 4           /* A guest that is taking frames makes room within a burst's time. */

static void drop(struct poll_thread *t, struct port *p, struct rte_mbuf *m, enum drop_reason reason)
{
    counter_add(&p->threads[t->index + 1].counters.tx_dropped, 1);
    dp_thread_drop(t->dp, mbuf_priv(m)->packet.in_port, reason);
    rte_pktmbuf_free(m);
}

/* A port with queues: its thread sends, see poll_serve(). */
static void enqueue(struct poll_thread *t, struct port *p, struct queues *q, struct rte_mbuf **frames, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!queues_put(q, frames[i], mbuf_priv(frames[i])->packet.queue)) {
            drop(t, p, frames[i], DROP_QUEUE_FULL);
        }
    }
    if (p->rx_thread[0] != t->index) {
        poll_wake(t->poll, p->rx_thread[0]);
    }
}

static unsigned serve(struct poll_thread *t, struct port *p, struct queues *q)
{
    struct rte_mbuf *frames[DP_BATCH];
    uint32_t len[DP_BATCH];
    uint64_t bytes = 0;
    unsigned n = queues_waiting(q) ? queues_get(q, clock_now_ns(&t->poll->clock), frames) : 0, sent = 0;
    if (n && !device_link_up(p->device)) {
        for (unsigned i = 0; i < n; i++) {
            drop(t, p, frames[i], DROP_PORT_DOWN);
        }
        return n;
    }
    for (unsigned i = 0; i < n; i++) {
        len[i] = frames[i]->pkt_len;
    }
    sent = n ? p->device->ops->tx(p->device, t->index, frames, (uint16_t) n) : 0;
    for (unsigned i = 0; i < sent; i++) {
        bytes += len[i];
    }
    queues_put_back(q, frames + sent, n - sent);
    counter_add(&p->threads[t->index + 1].counters.tx_packets, sent);
    counter_add(&p->threads[t->index + 1].counters.tx_bytes, bytes);
    return sent;
}

unsigned poll_serve(struct poll_thread *t, const struct poll_plan *plan)
{
    unsigned n = 0;
    for (unsigned i = 0; i < plan->n; i++) {
        struct port *p = plan->rxq[i].port;
        struct queues *q = plan->rxq[i].queue ? NULL : atomic_load_explicit(&p->queues, memory_order_acquire);
        n += q ? serve(t, p, q) : 0;
    }
    return n;
}

bool poll_waiting(const struct poll_plan *plan)
{
    for (unsigned i = 0; i < plan->n; i++) {
        const struct queues *q = plan->rxq[i].queue ? NULL : atomic_load_explicit(&plan->rxq[i].port->queues, memory_order_acquire);
        if (q && queues_waiting(q)) {
            return true;
        }
    }
    return false;
}

static __attribute__((noinline)) void flush_port(struct poll_thread *t, struct port *p)
{
    struct port_thread *pt = &p->threads[t->index + 1];
    unsigned n = pt->n_tx, sent = 0;
    uint64_t bytes = pt->tx_bytes;

    if (!n) {
        return;
    }
    perf_lap(t->perf, PERF_ACTIONS, 0);         /* A full buffer leaves while actions run. */
    pt->n_tx = 0;
    pt->tx_bytes = 0;
    struct capture_tap *tap = atomic_load_explicit(&p->tap, memory_order_acquire);
    if (__builtin_expect(tap != NULL, 0)) {
        capture_run(tap, pt->tx, n, true);
    }
    struct queues *q = atomic_load_explicit(&p->queues, memory_order_acquire);
    if (__builtin_expect(q != NULL, 0)) {
        enqueue(t, p, q, pt->tx, n);
        return;
    }
    for (unsigned tries = 0; sent < n && tries < FLUSH_TRIES; tries++) {
        unsigned k = p->device->ops->tx(p->device, t->index, pt->tx + sent, (uint16_t) (n - sent));
        if (!k) {
            break;
        }
        sent += k;
    }
    if (__builtin_expect(sent < n, 0)) {
        enum drop_reason reason = device_link_up(p->device) ? DROP_TX_FULL : DROP_PORT_DOWN;
        for (unsigned i = sent; i < n; i++) {
            bytes -= pt->tx[i]->pkt_len;
            drop(t, p, pt->tx[i], reason);
        }
    }
    counter_add(&pt->counters.tx_packets, sent);
    counter_add(&pt->counters.tx_bytes, bytes);
    perf_lap(t->perf, PERF_TX, n);
}

/* A frame of that length into the buffer, which has room afterwards. */
static inline void put(struct poll_thread *t, struct port *p, struct port_thread *pt, struct rte_mbuf *m, uint32_t len)
{
    pt->tx[pt->n_tx] = m;
    pt->tx_bytes += len;
    if (++pt->n_tx == DP_BATCH) {
        flush_port(t, p);
    }
}

/* The port will be flushed at the end of the round. */
static inline void note_dirty(struct poll_thread *t, struct port *p, struct port_thread *pt)
{
    if (!pt->dirty) {
        pt->dirty = true;
        t->dirty[t->n_dirty++] = p;
    }
}

void poll_output(struct poll_thread *t, struct port *p, struct rte_mbuf *m)
{
    struct port_thread *pt = &p->threads[t->index + 1];
    if (!device_link_up(p->device)) {
        drop(t, p, m, DROP_PORT_DOWN);
    } else if (!mbuf_fits_mtu(m, p->device->mtu)) {
        drop(t, p, m, DROP_TOO_LONG);
    } else {
        note_dirty(t, p, pt);
        put(t, p, pt, m, m->pkt_len);
    }
}

void poll_output_batch(struct poll_thread *t, struct port *p, struct packet **packets, unsigned n)
{
    struct port_thread *pt = &p->threads[t->index + 1];
    unsigned mtu = p->device->mtu;
    bool up = device_link_up(p->device);
    note_dirty(t, p, pt);
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = packets[i]->len;
        struct rte_mbuf *m = mbuf_from_packet(packets[i]);
        if (__builtin_expect(!up, 0)) {
            drop(t, p, m, DROP_PORT_DOWN);
        } else if (__builtin_expect(len > mtu + MBUF_L2, 0) && !mbuf_fits_tagged(m, mtu)) {
            drop(t, p, m, DROP_TOO_LONG);
        } else {
            put(t, p, pt, m, len);
        }
    }
}

void poll_flush(struct poll_thread *t)
{
    perf_begin(t->perf);
    for (unsigned i = 0; i < t->n_dirty; i++) {
        t->dirty[i]->threads[t->index + 1].dirty = false;
        flush_port(t, t->dirty[i]);
    }
    t->n_dirty = 0;
}
