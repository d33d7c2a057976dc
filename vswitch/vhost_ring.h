/*
 * Bursts of frames from and to a guest's split virtqueue (virtio 1.1, section 2.6).
 *
 * rte_vhost would serve every ring that there can be, one frame after the other; more than half of a forwarded frame's time went there, most of it waiting for
 * lines that are in the guest's core's cache.  Here a burst of plain frames, of one descriptor each, is taken at once: what its descriptors, and then its
 * buffers, point to is asked for before anything is copied, buffers of the guest's for writing, and the index that gives the burst back is a plain store (only
 * the device writes it) in place of a locked addition.  Six tables, 1,000 flows, one round each of the bench: 9.36 Mpps with the library alone,
 * 10.78 with buffers asked for as if to be read, 13.21 as it is.
 *
 * What is not plain is vhost_chain.h's, one frame after the other, from the first such frame of a burst to its end: chains and indirect tables, frames larger
 * than one buffer, rings whose writes are logged for a migration.  None of it is the library's, for it must not be: in 22.11 a guest whose receive buffers cut
 * the header in three makes it write behind them, and one that changes an indirect descriptor while it is read makes it read behind the table.
 *
 * Rings that are packed or behind an IOMMU are not served (device_vhost.c does not offer them).
 *
 * A guest may write to its memory at any time: what is read of a descriptor is read once, then checked, then used.
 */
#ifndef VSWITCH_VHOST_RING_H
#define VSWITCH_VHOST_RING_H 1

#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <stdbool.h>
#include <stdint.h>

#define VHOST_RING_BURST 64u

struct vhost_ring {
    uint16_t size;              /* A power of two; 0: it cannot be served. */
    uint16_t header;            /* Bytes before each frame: struct virtio_net_hdr, with num_buffers or without. */
    uint16_t max_chains;        /* A frame for the guest goes to so many at most. */
    bool event_idx;             /* VIRTIO_RING_F_EVENT_IDX was negotiated. */
    bool logged;                /* What is written to the guest is told to the library, as ring `number` of device `vid`. */
    uint16_t number;
    int vid;
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    const struct rte_vhost_memory *memory;      /* Not owned. */
};

/*
 * Where the device is in a ring: how many descriptors it has taken, and given back, modulo 2^16.  `known`: how many the guest is known to have made available
 * beyond those; while they suffice its index, which is in its core's cache, is not read.  0 is always right.
 */
struct vhost_position { uint16_t avail, used, known; };

struct vhost_burst {            /* What a burst came to. */
    uint16_t n;                 /* Frames. */
    bool call;                  /* The guest asked to be told of what was given back. */
};

/*
 * Ring `number` of device `vid` as the library has mapped it, with what was negotiated; ring->size is 0 when it cannot be served.  `memory` (NULL: none) must
 * live as long as the ring.
 */
void vhost_ring_init(struct vhost_ring *, int vid, uint16_t number, const struct rte_vhost_vring *, uint64_t features, const struct rte_vhost_memory *);

/* How many chains there are to take, n at most. */
static inline unsigned vhost_ring_available(const struct vhost_ring *r, struct vhost_position *at, unsigned n)
{
    if (at->known < n) {
        at->known = (uint16_t) (__atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) - at->avail);
    }
    return at->known < n ? at->known : n;
}

/* The position moves over n of them, whose entries in the used ring are filled. */
static inline void vhost_ring_move(struct vhost_position *at, unsigned n)
{
    at->avail = (uint16_t) (at->avail + n);
    at->used = (uint16_t) (at->used + n);
    at->known = (uint16_t) (at->known - n);
}

/*
 * Takes up to n chains (at most VHOST_RING_BURST) that the guest sends, into buffers of `pool`, which has MBUF_ROOM in each; a frame that does not fit comes in
 * segments.  Moves the position by all that was given back, which may be more than there are frames (vhost_chain.h).  [poll]
 */
struct vhost_burst vhost_ring_receive(const struct vhost_ring *, struct vhost_position *, struct rte_mempool *pool, struct rte_mbuf **, uint16_t n);

/* Copies the first of n frames to the guest, as many as it has buffers for; all n stay the caller's.  [poll] */
struct vhost_burst vhost_ring_send(const struct vhost_ring *, struct vhost_position *, struct rte_mbuf *const *, uint16_t n);

#endif
