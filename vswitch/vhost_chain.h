/*
 * A guest's frames one by one, whatever its driver made of them: what vhost_ring.h's bursts come upon and do not take.
 *
 * A frame from a guest is one chain of descriptors, in the ring's own table or in an indirect one (virtio 1.1, section 2.6.5); a frame for a guest goes to
 * one chain, or over several with VIRTIO_NET_F_MRG_RXBUF (section 5.1.6.3.1).  Where its header ends and its data begins is nobody's business (section 2.6.4.2):
 * the header may lie in any number of pieces.  So do rings whose writes are logged: this way tells the library of each page that it wrote to.
 *
 * The guest is not trusted, and writes to all of this while it is read.  Each descriptor is copied once; only the copy is looked at, and what it says of memory
 * is translated, region by region, before the first byte moves.  A frame has VHOST_CHAIN_PIECES pieces at most, and an empty descriptor is one: so there is an end
 * to loops.  What cannot be understood is left where it is, and the ring stands still: a device that cannot tell what a chain was has nothing to give back.
 */
#ifndef VSWITCH_VHOST_CHAIN_H
#define VSWITCH_VHOST_CHAIN_H 1

#include "vswitch/vhost_ring.h"

#define VHOST_CHAIN_PIECES 256u         /* As many as rte_vhost takes. */

/* Where the guest's byte `at` is, and how many bytes from there on lie behind each other; NULL: in no region. */
static inline uint8_t *vhost_memory_at(const struct rte_vhost_memory *memory, uint64_t at, uint64_t *len)
{
    for (uint32_t i = 0; i < memory->nregions; i++) {
        const struct rte_vhost_mem_region *m = &memory->regions[i];
        uint64_t offset = at - m->guest_phys_addr;
        if (offset < m->size) {
            *len = m->size - offset;
            return (uint8_t *) (uintptr_t) (m->host_user_addr + offset);
        }
    }
    return NULL;
}

/*
 * Takes n chains that the guest has made available, as far as they can be understood and buffers of `pool` (of MBUF_ROOM) suffice; returns how many frames they
 * were.  A chain with nothing behind its header is none, and of a frame that is too long for any port only so much is taken that it is longer than
 * MBUF_JUMBO_ROOM.  Moves the position and fills the used ring; to publish that is the caller's.  [poll]
 */
uint16_t vhost_chain_receive(const struct vhost_ring *, struct vhost_position *, unsigned n, struct rte_mempool *pool, struct rte_mbuf **);

/* Copies the first of n frames to the guest, as many as it has chains for; the rest as above.  [poll] */
uint16_t vhost_chain_send(const struct vhost_ring *, struct vhost_position *, struct rte_mbuf *const *, unsigned n);

#endif
