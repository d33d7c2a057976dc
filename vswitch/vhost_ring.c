#include "vswitch/vhost_ring.h"

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <rte_memcpy.h>
#include <rte_prefetch.h>
#include <string.h>

#include "lib/util.h"
#include "vswitch/vhost_chain.h"

#define FEATURE(N) (UINT64_C(1) << (N))
#define NOT_SERVED (FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_F_IOMMU_PLATFORM))

struct piece { uint8_t *data; uint32_t len; uint16_t id; };     /* A descriptor as it was when it was looked at. */

void vhost_ring_init(struct vhost_ring *r, int vid, uint16_t number, const struct rte_vhost_vring *v, uint64_t features, const struct rte_vhost_memory *memory)
{
    *r = (struct vhost_ring) { .size = 0 };
    if (!memory || features & NOT_SERVED || !v->desc || !v->avail || !v->used || v->size & (v->size - 1)) {
        return;
    }
    /* Section 5.1.6: num_buffers is there with either of the two. */
    bool with_num_buffers = features & (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_MRG_RXBUF));
    *r = (struct vhost_ring) {
        .size = v->size, .desc = v->desc, .avail = v->avail, .used = v->used, .memory = memory, .event_idx = features & FEATURE(VIRTIO_RING_F_EVENT_IDX),
        .logged = features & FEATURE(VHOST_F_LOG_ALL), .vid = vid, .number = number,
        /* As many as rte_vhost tries. */
        .max_chains = features & FEATURE(VIRTIO_NET_F_MRG_RXBUF) ? (uint16_t) MAX(v->size - 1, 1) : 1,
        .header = with_num_buffers ? sizeof(struct virtio_net_hdr_mrg_rxbuf) : sizeof(struct virtio_net_hdr),
    };
}

/*
 * Asks for a line to be ours alone.  The compiler's builtin asks for a copy to read unless it may assume a newer processor than we build for; this
 * instruction is a hint, which processors that do not have it pass over (Intel's and AMD's manuals, PREFETCHW).
 */
static inline void prefetch_to_write(const void *p)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m" (*(const char *) p));
#else
    __builtin_prefetch(p, 1, 3);
#endif
}

/* Where the guest's bytes [at, at + len) are; NULL: in no region, or in more than one. */
static inline uint8_t *translate(const struct rte_vhost_memory *memory, uint64_t at, uint64_t len)
{
    uint64_t here;
    uint8_t *p = vhost_memory_at(memory, at, &here);
    return p && len <= here ? p : NULL;
}

/* Asks for the entries of the used ring that are filled next: while one is waited for, no later write is done (x86 writes in order). */
static inline void prefetch_used(const struct vhost_ring *r, const struct vhost_position *at, unsigned n)
{
    uint16_t mask = (uint16_t) (r->size - 1);
    for (unsigned k = 0; k < n; k += RTE_CACHE_LINE_SIZE / sizeof r->used->ring[0]) {
        prefetch_to_write(&r->used->ring[(uint16_t) (at->used + k) & mask]);
    }
    if (n) {
        prefetch_to_write(&r->used->ring[(uint16_t) (at->used + n - 1) & mask]);
    }
}

/*
 * The next n descriptors, as far as each is plain: a whole buffer with these flags (VRING_DESC_F_WRITE or 0), inside one region, of more than a header and at
 * most `max` bytes behind it.  Their memory is on its way when this returns.
 */
static unsigned gather(const struct vhost_ring *r, const struct vhost_position *at, unsigned n, uint16_t flags, uint32_t max, struct piece *pieces)
{
    uint16_t mask = (uint16_t) (r->size - 1);
    unsigned k;
    prefetch_used(r, at, n);
    for (k = 0; k < n; k++) {
        uint16_t id = __atomic_load_n(&r->avail->ring[(uint16_t) (at->avail + k) & mask], __ATOMIC_RELAXED);
        if (id >= r->size) {
            break;
        }
        pieces[k].id = id;
        rte_prefetch0(&r->desc[id]);
    }
    n = k;
    for (k = 0; k < n; k++) {
        const struct vring_desc *d = &r->desc[pieces[k].id];
        uint64_t addr = __atomic_load_n(&d->addr, __ATOMIC_RELAXED);
        uint32_t len = __atomic_load_n(&d->len, __ATOMIC_RELAXED);
        uint16_t is = __atomic_load_n(&d->flags, __ATOMIC_RELAXED);
        uint8_t *data = is == flags && len > r->header && len - r->header <= max ? translate(r->memory, addr, len) : NULL;
        if (!data) {
            break;
        }
        pieces[k].data = data;
        pieces[k].len = len;
        if (flags) {
            prefetch_to_write(data);
            prefetch_to_write(data + r->header);
        } else {
            rte_prefetch0(data + r->header);
        }
    }
    return k;
}

/* Gives back what was taken since `old`; returns whether the guest wants to be told (sections 2.6.7 and 2.6.8). */
static bool give_back(const struct vhost_ring *r, const struct vhost_position *at, uint16_t old)
{
    if (at->used == old) {
        return false;
    }
    __atomic_store_n(&r->used->idx, at->used, __ATOMIC_RELEASE);
    if (r->logged) {
        rte_vhost_log_used_vring(r->vid, r->number, offsetof(struct vring_used, idx), sizeof r->used->idx);
    }
    /* The index first, then the question: else the guest could ask, see the old index and sleep. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return r->event_idx ? vring_need_event(__atomic_load_n(&r->avail->ring[r->size], __ATOMIC_RELAXED), at->used, old)
                        : !(__atomic_load_n(&r->avail->flags, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
}

struct vhost_burst vhost_ring_receive(const struct vhost_ring *r, struct vhost_position *at, struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t n)
{
    struct piece pieces[VHOST_RING_BURST];
    uint16_t mask = (uint16_t) (r->size - 1);
    uint16_t old = at->used;
    unsigned there = vhost_ring_available(r, at, MIN(n, VHOST_RING_BURST));
    unsigned k = r->logged ? 0 : gather(r, at, there, 0, rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM, pieces);
    struct vhost_burst burst = { .n = (uint16_t) k };
    if (k && rte_pktmbuf_alloc_bulk(pool, mbufs, k)) {
        return (struct vhost_burst) { .n = 0 };
    }
    for (unsigned i = 0; i < k; i++) {
        uint32_t len = pieces[i].len - r->header;
        rte_memcpy(rte_pktmbuf_mtod(mbufs[i], void *), pieces[i].data + r->header, len);
        mbufs[i]->data_len = (uint16_t) len;
        mbufs[i]->pkt_len = len;
        r->used->ring[(uint16_t) (at->used + i) & mask] = (struct vring_used_elem) { .id = pieces[i].id, .len = 0 };
    }
    vhost_ring_move(at, k);
    if (__builtin_expect(k < there, 0)) {
        burst.n = (uint16_t) (burst.n + vhost_chain_receive(r, at, there - k, pool, mbufs + k));
    }
    burst.call = give_back(r, at, old);
    return burst;
}

/* Section 5.1.6.4: no offload, one buffer. */
static inline void write_header(uint8_t *to, uint16_t size)
{
    memset(to, 0, sizeof(struct virtio_net_hdr));
    if (size == sizeof(struct virtio_net_hdr_mrg_rxbuf)) {
        uint16_t num_buffers = 1;
        memcpy(to + offsetof(struct virtio_net_hdr_mrg_rxbuf, num_buffers), &num_buffers, sizeof num_buffers);
    }
}

struct vhost_burst vhost_ring_send(const struct vhost_ring *r, struct vhost_position *at, struct rte_mbuf *const *mbufs, uint16_t n)
{
    struct piece pieces[VHOST_RING_BURST];
    uint16_t mask = (uint16_t) (r->size - 1);
    uint16_t old = at->used;
    unsigned there = vhost_ring_available(r, at, MIN(n, VHOST_RING_BURST)), k;
    unsigned ready = r->logged ? 0 : gather(r, at, there, VRING_DESC_F_WRITE, UINT32_MAX, pieces);
    for (k = 0; k < ready; k++) {
        const struct rte_mbuf *m = mbufs[k];
        const struct piece *to = &pieces[k];
        if (m->nb_segs != 1 || to->len - r->header < m->data_len) {
            break;
        }
        write_header(to->data, r->header);
        rte_memcpy(to->data + r->header, rte_pktmbuf_mtod(m, const void *), m->data_len);
        r->used->ring[(uint16_t) (at->used + k) & mask] = (struct vring_used_elem) { .id = to->id, .len = (uint32_t) m->data_len + r->header };
    }
    struct vhost_burst burst = { .n = (uint16_t) k };
    vhost_ring_move(at, k);
    if (__builtin_expect(k < there, 0)) {
        burst.n = (uint16_t) (burst.n + vhost_chain_send(r, at, mbufs + k, n - k));
    }
    burst.call = give_back(r, at, old);
    return burst;
}
