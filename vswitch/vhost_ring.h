/*
 * The plain case of a guest's virtqueue: one descriptor a frame, in a split ring (virtio 1.1, section 2.6).
 *
 * rte_vhost serves every ring that there can be, one frame after the other; more than half of a forwarded frame's time went there, most of it waiting for
 * lines that are in the guest's core's cache.  Here a burst is taken at once: what its descriptors, and then its buffers, point to is asked for before
 * anything is copied, buffers of the guest's for writing, and the index that gives the burst back is a plain store (only the device writes it) in place of
 * a locked addition.  Six tables, 1,000 flows, one round each of the bench: 9.36 Mpps with the library alone, 10.78 with buffers asked for as if to be read,
 * 13.21 as it is.
 *
 * Not plain, and left to the library (vhost_rings.h): chains and indirect tables, frames larger than one buffer, rings that are packed, behind an IOMMU, or
 * logged for a migration.
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
    uint16_t size;              /* A power of two; 0: not plain. */
    uint16_t header;            /* Bytes before each frame: struct virtio_net_hdr, with num_buffers or without. */
    bool event_idx;             /* VIRTIO_RING_F_EVENT_IDX was negotiated. */
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    const struct rte_vhost_memory *memory;      /* Not owned. */
};

/* Where the device is in a ring: how many descriptors it has taken, and given back, modulo 2^16. */
struct vhost_position { uint16_t avail, used; };

struct vhost_burst {            /* What a burst came to. */
    uint16_t n;                 /* Frames. */
    bool plain;                 /* It ended because there were no more descriptors, or frames.  False: the library must look at what comes next. */
    bool call;                  /* The guest asked to be told. */
};

/* The ring as the library has mapped it, with what was negotiated; ring->size is 0 when it is not plain.  `memory` (NULL: none) must live as long as the ring. */
void vhost_ring_init(struct vhost_ring *, const struct rte_vhost_vring *, uint64_t features, const struct rte_vhost_memory *);

/* Takes up to n frames (at most VHOST_RING_BURST) that the guest sends into buffers of `pool`; moves the position by as many.  [poll] */
struct vhost_burst vhost_ring_receive(const struct vhost_ring *, struct vhost_position *, struct rte_mempool *pool, struct rte_mbuf **, uint16_t n);

/* Copies the first of n frames to the guest, as many as it has buffers for; all n stay the caller's.  [poll] */
struct vhost_burst vhost_ring_send(const struct vhost_ring *, struct vhost_position *, struct rte_mbuf *const *, uint16_t n);

#endif
