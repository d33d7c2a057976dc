/*
 * A port's queues: OpenFlow's set_queue on the way out.
 *
 * A port without queues has none of this (struct port's `queues` is NULL) and sends as ever.  A port with queues has
 * one bounded ring for each, and one for the frames that name none of them, which is queue 0 if that is configured.
 * Any poll-mode thread puts frames in, without locks; a full ring drops the newcomer (drop reason queue-full). One
 * thread, the one that polls the port's first receive queue, takes them out as vswitch/queue_sched.h says and hands
 * them to the device.  What the device does not take waits; so with a slow guest queues fill and the scheduler decides
 * who is served, where a port without queues drops what does not fit (tx-full).
 *
 * Lifetime: made by the control thread, published in struct port, replaced as a whole; after a grace period its frames
 * are taken out and sent through what replaced it. Rates are in 1/10 % of the port's speed (OpenFlow 1.3.5 section
 * 7.2.2), which is `rate_mbps` if configured, else the device's, else QUEUE_DEFAULT_MBPS.
 */
#ifndef VSWITCH_QUEUE_H
#define VSWITCH_QUEUE_H 1

#include <stdatomic.h>
#include <rte_ring.h>
#include "ofproto/of_msg.h"
#include "vswitch/config_qos.h"
#include "vswitch/device_mbuf.h"
#include "vswitch/queue_sched.h"

#define QUEUE_LENGTH 512        /* Frames, besides up to DP_BATCH that are next in turn. */
#define QUEUE_DEFAULT_MBPS 10000

struct queue {
    uint32_t id;                /* Immutable, like the ring itself. */
    struct rte_ring *ring;      /* Producers: poll-mode threads; consumer: the port's thread. */
    /* Written by the port's thread, counters read by all. */
    uint64_t tx_packets, tx_bytes;
    unsigned at, n;             /* stage[at..n) are next. */
    struct rte_mbuf *stage[DP_BATCH];
    _Atomic uint64_t dropped;   /* Written by all, when the ring is full. */
};

struct queues {
    uint64_t created_ns;
    bool implied;               /* v[0] is no configured queue but the place of frames that name none. */
    unsigned n;
    struct queue *v;            /* v[0]: queue 0 or the implied one. */
    struct sched *sched;        /* The port's thread's, as the rest: */
    unsigned n_back;            /* Frames that the device did not take, first in turn. */
    struct rte_mbuf *back[DP_BATCH];
};

/* [control] NULL when nothing is configured. */
struct queues *queues_new(const struct config_qos *, unsigned speed_mbps, uint64_t now_ns);
void queues_free(struct queues *);      /* With the frames that are left. */
/* [control] A frame that is left, after the grace period; NULL: none. */
struct rte_mbuf *queues_drain(struct queues *);
/* [control] i < n. The port and the rates are the caller's to fill. */
void queues_stats(const struct queues *, unsigned i, uint64_t now_ns, struct of_queue *);

/* [poll] Takes the frame unless the queue is full. */
bool queues_put(struct queues *, struct rte_mbuf *, uint32_t id);
/* [port's thread] Up to DP_BATCH frames whose time has come; and the last k of those back again. */
unsigned queues_get(struct queues *, uint64_t now_ns, struct rte_mbuf *[DP_BATCH]);
void queues_put_back(struct queues *, struct rte_mbuf **, unsigned k);
/* [port's thread] Whether a frame waits. */
bool queues_waiting(const struct queues *);

#endif
