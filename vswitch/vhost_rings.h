/*
 * The rings of one vhost-user device: plain ones are served by vhost_ring.h, all others, and whatever is not plain in them, by rte_vhost.
 *
 * The library stays the owner.  Its positions are read before each burst and written back after it, so that either may serve the next one, and a driver that
 * stops a ring is told the truth.  What it may do with a ring it does while it handles a message of the driver's: map memory anew, move or stop a ring, begin
 * to log writes for a migration.  It keeps its own bursts away by locks of its own; ours are kept away by closing the rings before each message and opening
 * them, looked up anew, behind it (rte_vhost_extern_callback_register()).
 *
 * Closing waits for bursts that are under way.  A burst says that it is with a plain store before it looks whether the rings are open, and the closing thread,
 * having closed them, makes every other thread pass a full barrier (membarrier(2)) before it looks for bursts: either the burst sees that they are closed, or
 * it is seen.  So a burst costs no barrier of its own.  It cannot deadlock: nothing inside a burst waits, least of all for the library's locks, which the
 * closing thread may hold; calls to the library come before or behind it.  Where the kernel has no such barrier all rings are the library's.
 */
#ifndef VSWITCH_VHOST_RINGS_H
#define VSWITCH_VHOST_RINGS_H 1

#include <stdatomic.h>

#include "vswitch/config.h"
#include "vswitch/vhost_ring.h"

#define VHOST_RINGS (2 * CONFIG_MAX_QUEUES)     /* Further ones are the library's. */

struct vhost_ring_use { atomic_bool busy; char pad[RTE_CACHE_LINE_SIZE - sizeof(atomic_bool)]; };

struct vhost_rings {
    bool supported;             /* The kernel has the barrier.  [vhost] */
    atomic_bool open;
    atomic_bool announce;       /* The library has a frame of its own to deliver (a RARP announcement, after a migration). */
    _Atomic uint64_t enabled;   /* Bit i: the driver has enabled ring i. */
    struct rte_vhost_memory *memory;            /* While open; owned. */
    struct vhost_ring ring[VHOST_RINGS];
    _Atomic uint16_t at_once[VHOST_RINGS];      /* Frames that the library may be asked for in one call.  Written by [vhost], read by [poll]. */
    struct vhost_ring_use use[VHOST_RINGS];     /* A ring is served by one thread at a time. */
};

/*
 * [vhost] On the thread that handles the device's messages.  start(): the device runs.  stop(): no burst is in a plain ring when it returns; before each
 * message and when the device ends, also for rings that are stopped.  after_message(): behind each message of a device that runs, `msg` as the library hands
 * it to its callbacks.  enable(): the driver has enabled or disabled a ring, open or not; one beyond 63 is never enabled here.
 */
void vhost_rings_start(struct vhost_rings *, int vid);
void vhost_rings_stop(struct vhost_rings *);
void vhost_rings_after_message(struct vhost_rings *, int vid, const void *msg);
void vhost_rings_enable(struct vhost_rings *, unsigned ring, bool enable);

/* As rte_vhost_dequeue_burst(): up to n frames that the guest sends by ring `ring`, in buffers of `pool`.  [poll] */
uint16_t vhost_rings_receive(struct vhost_rings *, int vid, unsigned ring, struct rte_mempool *pool, struct rte_mbuf **, uint16_t n);
/* As rte_vhost_enqueue_burst(): the first k of n frames are copied to the guest; all stay the caller's.  [poll] */
uint16_t vhost_rings_send(struct vhost_rings *, int vid, unsigned ring, struct rte_mbuf **, uint16_t n);

static inline bool vhost_rings_enabled(const struct vhost_rings *r, unsigned ring)
{
    return ring < 64 && atomic_load_explicit(&r->enabled, memory_order_relaxed) >> ring & 1;
}

#endif
