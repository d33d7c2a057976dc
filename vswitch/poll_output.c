/* Transmit side of a poll-mode thread: frames collect in a buffer per port and thread and leave in bursts at the end of each batch. */
#include "vswitch/capture.h"
#include "vswitch/poll.h"

#define FLUSH_TRIES 4           /* A guest that is taking frames makes room within a burst's time. */

static void drop(struct poll_thread *t, struct port *p, struct rte_mbuf *m, enum drop_reason reason)
{
    counter_add(&p->threads[t->index + 1].counters.tx_dropped, 1);
    dp_thread_drop(t->dp, mbuf_priv(m)->packet.in_port, reason);
    rte_pktmbuf_free(m);
}

static void flush_port(struct poll_thread *t, struct port *p)
{
    struct port_thread *pt = &p->threads[t->index + 1];
    uint32_t len[DP_BATCH];
    unsigned n = pt->n_tx, sent = 0;
    uint64_t bytes = 0;

    pt->n_tx = 0;
    struct capture_tap *tap = atomic_load_explicit(&p->tap, memory_order_acquire);
    if (tap) {
        capture_run(tap, pt->tx, n, true);
    }
    for (unsigned i = 0; i < n; i++) {
        len[i] = pt->tx[i]->pkt_len;
    }
    for (unsigned tries = 0; sent < n && tries < FLUSH_TRIES; tries++) {
        unsigned k = p->device->ops->tx(p->device, t->index, pt->tx + sent, (uint16_t) (n - sent));
        if (!k) {
            break;
        }
        sent += k;
    }
    for (unsigned i = 0; i < sent; i++) {
        bytes += len[i];
    }
    counter_add(&pt->counters.tx_packets, sent);
    counter_add(&pt->counters.tx_bytes, bytes);
    enum drop_reason reason = device_link_up(p->device) ? DROP_TX_FULL : DROP_PORT_DOWN;
    for (unsigned i = sent; i < n; i++) {
        drop(t, p, pt->tx[i], reason);
    }
}

static void put(struct poll_thread *t, struct port *p, struct port_thread *pt, struct rte_mbuf *m)
{
    if (!mbuf_fits_mtu(m, p->device->mtu)) {
        drop(t, p, m, DROP_TOO_LONG);
        return;
    }
    if (!pt->n_tx) {
        t->dirty[t->n_dirty++] = p;
    } else if (pt->n_tx == DP_BATCH) {
        flush_port(t, p);       /* Stays in the dirty list. */
    }
    pt->tx[pt->n_tx++] = m;
}

void poll_output(struct poll_thread *t, struct port *p, struct rte_mbuf *m)
{
    if (device_link_up(p->device)) {
        put(t, p, &p->threads[t->index + 1], m);
    } else {
        drop(t, p, m, DROP_PORT_DOWN);
    }
}

void poll_output_batch(struct poll_thread *t, struct port *p, struct packet **packets, unsigned n)
{
    struct port_thread *pt = &p->threads[t->index + 1];
    bool up = device_link_up(p->device);
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = mbuf_from_packet(packets[i]);
        if (up) {
            put(t, p, pt, m);
        } else {
            drop(t, p, m, DROP_PORT_DOWN);
        }
    }
}

void poll_flush(struct poll_thread *t)
{
    for (unsigned i = 0; i < t->n_dirty; i++) {
        flush_port(t, t->dirty[i]);
    }
    t->n_dirty = 0;
}
