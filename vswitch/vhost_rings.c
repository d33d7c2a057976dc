#include "vswitch/vhost_rings.h"

#include <linux/membarrier.h>
#include <linux/virtio_net.h>
#include <rte_pause.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/util.h"

/* How messages of the vhost-user protocol begin, those with a ring's state. */
struct message { uint32_t request, flags, size, ring, state; };
#define SET_VRING_ENABLE 18u
#define SEND_RARP 19u

/* --- When they may be used --- */

static bool barrier(int command)
{
    return !syscall(SYS_membarrier, command, 0, 0);
}

/*
 * The library notes what it gives back in an array of the ring's size, and believes the guest when it says how much there is: asked for more frames at once
 * than may come of an honest ring, it writes behind that array.  A frame that the guest sends is one entry; one that it receives, in mergeable buffers of a
 * split ring, up to size - 1 of them.
 */
static uint16_t at_once(unsigned i, uint16_t size, uint64_t features)
{
    bool many = !(i & 1) && features & UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF && !(features & UINT64_C(1) << VIRTIO_F_RING_PACKED);
    return many ? 1 : size;
}

static void look_up(struct vhost_rings *r, int vid)
{
    unsigned n = rte_vhost_get_vring_num(vid);
    uint64_t features;
    if (rte_vhost_get_negotiated_features(vid, &features) || rte_vhost_get_mem_table(vid, &r->memory)) {
        return;
    }
    for (unsigned i = 0; i < VHOST_RINGS; i++) {
        struct rte_vhost_vring v = { .size = 0 };
        if (i < n) {
            rte_vhost_get_vhost_vring(vid, (uint16_t) i, &v);
        }
        vhost_ring_init(&r->ring[i], &v, features, r->memory);
        atomic_store_explicit(&r->at_once[i], at_once(i, v.size, features), memory_order_relaxed);
    }
    atomic_store_explicit(&r->open, true, memory_order_release);
}

void vhost_rings_start(struct vhost_rings *r, int vid)
{
    r->supported = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    if (r->supported) {
        look_up(r, vid);
    }
}

void vhost_rings_stop(struct vhost_rings *r)
{
    if (!atomic_load_explicit(&r->open, memory_order_relaxed)) {
        return;
    }
    atomic_store(&r->open, false);
    if (!barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
        abort();                /* It was registered for: nothing but a bug is left. */
    }
    for (unsigned i = 0; i < VHOST_RINGS; i++) {
        while (atomic_load_explicit(&r->use[i].busy, memory_order_acquire)) {
            rte_pause();
        }
    }
    free(r->memory);
    r->memory = NULL;
}

void vhost_rings_enable(struct vhost_rings *r, unsigned ring, bool enable)
{
    uint64_t bit = ring < 64 ? UINT64_C(1) << ring : 0;
    if (enable) {
        atomic_fetch_or(&r->enabled, bit);
    } else {
        atomic_fetch_and(&r->enabled, ~bit);
    }
}

void vhost_rings_after_message(struct vhost_rings *r, int vid, const void *msg)
{
    const struct message *m = msg;
    if (m->request == SET_VRING_ENABLE && !m->state) {
        vhost_rings_enable(r, m->ring, false);          /* The library tells of it later, but stops now. */
    } else if (m->request == SEND_RARP) {
        atomic_store(&r->announce, true);
    }
    if (r->supported) {
        look_up(r, vid);
    }
}

/* --- Bursts --- */

/* Whether the caller may use the ring; then it leaves it. */
static inline bool enter(struct vhost_rings *r, unsigned i)
{
    atomic_store_explicit(&r->use[i].busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);          /* The processor's part is the barrier in vhost_rings_stop(). */
    if (__builtin_expect(atomic_load_explicit(&r->open, memory_order_acquire) && r->ring[i].size && vhost_rings_enabled(r, i), 1)) {
        return true;
    }
    atomic_store_explicit(&r->use[i].busy, false, memory_order_release);
    return false;
}

static inline void leave(struct vhost_rings *r, unsigned i)
{
    atomic_store_explicit(&r->use[i].busy, false, memory_order_release);
}

/* How many frames the library may be asked to move in one call. */
static inline uint16_t at_most(const struct vhost_rings *r, unsigned i, uint16_t n)
{
    uint16_t most = i < VHOST_RINGS ? atomic_load_explicit(&r->at_once[i], memory_order_relaxed) : 1;
    return MIN(n, MAX(most, 1));
}

static uint16_t library_send(const struct vhost_rings *r, int vid, unsigned i, struct rte_mbuf **mbufs, uint16_t n)
{
    uint16_t sent = 0;
    while (sent < n) {
        uint16_t k = at_most(r, i, n - sent), done = rte_vhost_enqueue_burst(vid, (uint16_t) i, mbufs + sent, k);
        sent += done;
        if (done < k) {
            break;
        }
    }
    return sent;
}

/*
 * Calls the guest if it asked for that, once `used` says that the burst was given back.  By VIRTIO_RING_F_EVENT_IDX the library decides again, by what was
 * given back since it was asked last, modulo 2^16: it is asked often enough not to mistake a long way for a short one, which would be a lost wake-up.
 */
static inline void call(int vid, unsigned i, struct vhost_burst burst, uint16_t used)
{
    if (burst.call || (used ^ (uint16_t) (used - burst.n)) >> 14) {
        rte_vhost_vring_call(vid, (uint16_t) i);
    }
}

uint16_t vhost_rings_receive(struct vhost_rings *r, int vid, unsigned i, struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vhost_burst burst = { .n = 0 };
    struct vhost_position at = { .used = 0 };
    bool announce = atomic_load_explicit(&r->announce, memory_order_relaxed) && atomic_exchange(&r->announce, false);
    if (!announce && i < VHOST_RINGS && enter(r, i)) {
        if (!rte_vhost_get_vring_base(vid, (uint16_t) i, &at.avail, &at.used)) {
            burst = vhost_ring_receive(&r->ring[i], &at, pool, mbufs, n);
        }
        if (burst.n) {
            rte_vhost_set_vring_base(vid, (uint16_t) i, at.avail, at.used);
        }
        leave(r, i);
    }
    call(vid, i, burst, at.used);
    /* What is not plain may wait for the next burst, in which it comes first. */
    uint16_t got = burst.n || burst.plain ? burst.n : rte_vhost_dequeue_burst(vid, (uint16_t) i, pool, mbufs, at_most(r, i, n));
    if (announce && !got) {
        atomic_store(&r->announce, true);       /* The library was still in the message that brought it, or this ring is not enabled: it begins with its own frame. */
    }
    return got;
}

uint16_t vhost_rings_send(struct vhost_rings *r, int vid, unsigned i, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vhost_burst burst = { .n = 0 };
    struct vhost_position at = { .used = 0 };
    if (i < VHOST_RINGS && enter(r, i)) {
        if (!rte_vhost_get_vring_base(vid, (uint16_t) i, &at.avail, &at.used)) {
            burst = vhost_ring_send(&r->ring[i], &at, mbufs, n);
        }
        if (burst.n) {
            rte_vhost_set_vring_base(vid, (uint16_t) i, at.avail, at.used);
        }
        leave(r, i);
    }
    call(vid, i, burst, at.used);
    return burst.plain ? burst.n : (uint16_t) (burst.n + library_send(r, vid, i, mbufs + burst.n, n - burst.n));
}
