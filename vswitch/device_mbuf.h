/*
 * Between DPDK's mbufs and the datapath core's packets.
 *
 * Each mbuf's private area holds its `struct packet`; the core moves data/len within the buffer, and mbuf_from_packet()
 * writes that back before the frame leaves. The core wants contiguous frames: what a device delivers in several
 * segments is copied into one buffer of the jumbo pool. Threads: pools are DPDK's (per-lcore caches); a packet belongs
 * to one thread at a time.
 */
#ifndef VSWITCH_DEVICE_MBUF_H
#define VSWITCH_DEVICE_MBUF_H 1

#include <rte_mbuf.h>

#include "vswitch/dp.h"

#define MBUF_ROOM 2048                  /* Frames up to this size travel in one small buffer. */
#define MBUF_JUMBO_ROOM (9216 + 64)     /* CONFIG_MAX_MTU and its Ethernet header with room for tags. */

struct mbuf_pools { struct rte_mempool *small, *jumbo; };

struct mbuf_priv {
    struct packet packet;
    uint32_t out_port;          /* While queued from the control thread to a poll-mode thread. */
    /* Of a capture's copy. */
    uint32_t whole_len;
    uint64_t ts_ns;
    bool is_tx;
} __attribute__((aligned(RTE_CACHE_LINE_SIZE)));
/* One line: then a frame behind DPDK's headroom begins on a line, too, and one of 60 bytes is on no other. */
_Static_assert(sizeof(struct mbuf_priv) == RTE_CACHE_LINE_SIZE && RTE_PKTMBUF_HEADROOM % RTE_CACHE_LINE_SIZE == 0, "frames would begin within a cache line");

static inline struct mbuf_priv *mbuf_priv(struct rte_mbuf *m)
{
    return rte_mbuf_to_priv(m);
}

/* The packet view of a single-segment mbuf; header offsets are packet_extract()'s to fill. */
static inline struct packet *mbuf_to_packet(struct rte_mbuf *m, uint32_t in_port)
{
    struct packet *p = &mbuf_priv(m)->packet;
    *p = (struct packet) {
        .data = rte_pktmbuf_mtod(m, uint8_t *), .len = m->pkt_len, .headroom = rte_pktmbuf_headroom(m),
        .tailroom = rte_pktmbuf_tailroom(m), .in_port = in_port,
    };
    return p;
}

/* The mbuf that holds the packet, its data offset and lengths untouched. */
static inline struct rte_mbuf *mbuf_of_packet(const struct packet *p)
{
    return RTE_PTR_SUB(p, sizeof(struct rte_mbuf) + offsetof(struct mbuf_priv, packet));
}

/* The mbuf with the packet's data offset and length written back; ready for a device. */
static inline struct rte_mbuf *mbuf_from_packet(const struct packet *p)
{
    struct rte_mbuf *m = mbuf_of_packet(p);
    m->data_off = (uint16_t) (p->data - (uint8_t *) m->buf_addr);
    m->data_len = (uint16_t) p->len;
    m->pkt_len = p->len;
    m->ol_flags = 0;
    return m;
}

/* Both pools; false and `err` when memory does not suffice. [control] */
bool mbuf_pools_init(struct mbuf_pools *, unsigned n_mbufs, struct err *);
void mbuf_pools_fini(struct mbuf_pools *);
/* A fresh mbuf of one segment with room for `size` bytes behind the standard headroom; NULL: none free, or too large. */
struct rte_mbuf *mbuf_alloc(const struct mbuf_pools *, uint32_t size);
/* A packet of its own with the same bytes, view and offsets; NULL: none free. */
struct packet *mbuf_copy_packet(const struct mbuf_pools *, const struct packet *);
/* The frame in one segment: `m` itself, or a copy (then `m` is freed). NULL: too large or no buffer (`m` is freed). */
struct rte_mbuf *mbuf_linearise(const struct mbuf_pools *, struct rte_mbuf *m);

/* Frees n buffers, most likely all of one segment and one pool; n > 0. */
static inline void mbuf_free_burst(struct rte_mbuf **mbufs, unsigned n)
{
    struct rte_mempool *pool = mbufs[0]->pool;
    for (unsigned i = 0; i < n; i++) {
        const struct rte_mbuf *m = mbufs[i];
        if (__builtin_expect(m->pool != pool || rte_mbuf_refcnt_read(m) != 1 || m->nb_segs != 1 || m->next || !RTE_MBUF_DIRECT(m), 0)) {
            rte_pktmbuf_free_bulk(mbufs, n);
            return;
        }
    }
    rte_mempool_put_bulk(pool, (void *const *) mbufs, n);       /* As rte_mbuf_raw_free() does for one. */
}

#define MBUF_L2 14u             /* Ethernet header without tags. */
bool mbuf_fits_tagged(const struct rte_mbuf *, unsigned mtu);
/* Whether the frame (one segment) fits an MTU, which does not count the Ethernet header and VLAN tags. */
static inline bool mbuf_fits_mtu(const struct rte_mbuf *m, unsigned mtu)
{
    return __builtin_expect(m->data_len <= mtu + MBUF_L2, 1) || mbuf_fits_tagged(m, mtu);
}

#endif
