/*
 * The rings of one vhost-user device, served by vhost_ring.h.
 *
 * rte_vhost stays the owner: it speaks with the driver, maps its memory and calls it.  Its positions are read before each burst and written back after it, so
 * that a driver that stops a ring is told the truth.  Its own bursts are never asked for (vhost_ring.h says why).  What it may do with a ring it does while it
 * handles a message of the driver's: map memory anew, move or stop a ring, begin to log writes for a migration.  Bursts are kept away by closing the rings before
 * each message and opening them, looked up anew, behind it (rte_vhost_extern_callback_register()); a burst that comes meanwhile waits for the library's lock.
 * Behind a message that the library refuses it does not call: the rings stay closed until the next one that it accepts.
 *
 * Closing waits for bursts that are under way.  A burst says that it is with a plain store before it looks whether the rings are open, and the closing thread,
 * having closed them, makes every other thread pass a full barrier (membarrier(2)) before it looks for bursts: either the burst sees that they are closed, or
 * it is seen.  So a burst costs no barrier of its own.  It cannot deadlock: nothing inside a burst waits, least of all for the library's locks, which the
 * closing thread may hold; calls to the library come before or behind it, but for such as take none.  Where the kernel has no such barrier each burst passes
 * one.
 */
#ifndef VSWITCH_VHOST_RINGS_H
#define VSWITCH_VHOST_RINGS_H 1

#include <stdatomic.h>

#include "vswitch/vhost_ring.h"

#define VHOST_RINGS 256u        /* As many as the library lets a driver have. */
#define VHOST_ENABLED_WORDS (VHOST_RINGS / 64)

struct vhost_ring_use {
    atomic_bool busy;
    uint16_t known;             /* struct vhost_position's.  [poll, while busy] */
    char pad[RTE_CACHE_LINE_SIZE - 2 * sizeof(uint16_t)];
};

struct vhost_rings {
    bool no_barrier;            /* The kernel does not have it.  Constant. */
    atomic_bool open;
    _Atomic uint64_t announce;  /* A machine that has come by migration wants to be announced: its address, as in the message, and ANNOUNCE. */
    _Atomic uint64_t enabled[VHOST_ENABLED_WORDS];      /* Bit i: the driver has enabled ring i. */
    struct rte_vhost_memory *memory;            /* While open; owned. */
    unsigned n;                                 /* Rings that were looked up last; all others have no size.  [vhost] */
    struct vhost_ring ring[VHOST_RINGS];
    struct vhost_ring_use use[VHOST_RINGS];     /* A ring is served by one thread at a time. */
};

/* Before all else; the memory is zero. */
void vhost_rings_init(struct vhost_rings *);

/*
 * [vhost] On the thread that handles the device's messages.  start(): the device runs, with these rings enabled.  stop(): no burst is under way when it
 * returns; when the device ends, also for rings that are stopped.  before_message(), after_message(): around each message of a device that runs, `msg` as the
 * library hands it to its callbacks.  enable(): the driver has enabled or disabled a ring, open or not; there are VHOST_RINGS at most.
 */
void vhost_rings_start(struct vhost_rings *, int vid, const uint64_t enabled[VHOST_ENABLED_WORDS]);
void vhost_rings_stop(struct vhost_rings *);
void vhost_rings_before_message(struct vhost_rings *, const void *msg);
void vhost_rings_after_message(struct vhost_rings *, int vid, const void *msg);
void vhost_rings_enable(struct vhost_rings *, unsigned ring, bool enable);

/* Up to n frames that the guest sends by ring `ring`, in buffers of `pool` as vhost_ring_receive() wants it; its announcement is one.  [poll] */
uint16_t vhost_rings_receive(struct vhost_rings *, int vid, unsigned ring, struct rte_mempool *pool, struct rte_mbuf **, uint16_t n);
/* The first k of n frames are copied to the guest; all stay the caller's.  [poll] */
uint16_t vhost_rings_send(struct vhost_rings *, int vid, unsigned ring, struct rte_mbuf *const *, uint16_t n);

static inline bool vhost_rings_enabled(const struct vhost_rings *r, unsigned ring)
{
    return atomic_load_explicit(&r->enabled[ring / 64], memory_order_relaxed) >> ring % 64 & 1;
}

#endif
