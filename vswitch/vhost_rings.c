#include "vswitch/vhost_rings.h"

#include <linux/membarrier.h>
#include <rte_arp.h>
#include <rte_pause.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/util.h"

/* How messages of the vhost-user protocol begin: those with a ring's state, and those with a number or an address. */
struct message { uint32_t request, flags, size; union { struct { uint32_t ring, state; }; uint8_t address[8]; }; };
#define GET_FEATURES 1u
#define GET_PROTOCOL_FEATURES 15u
#define GET_QUEUE_NUM 17u
#define SET_VRING_ENABLE 18u
#define SEND_RARP 19u

#define ANNOUNCE (UINT64_C(1) << 63)
#define MAX_MESSAGES 64u        /* So many may come between a burst and its ring. */

/* --- When they may be used --- */

static bool barrier(int command)
{
    return !syscall(SYS_membarrier, command, 0, 0);
}

void vhost_rings_init(struct vhost_rings *r)
{
    r->no_barrier = !barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

static void look_up(struct vhost_rings *r, int vid)
{
    unsigned n = MIN(rte_vhost_get_vring_num(vid), VHOST_RINGS), old = r->n;
    uint64_t features;
    if (rte_vhost_get_negotiated_features(vid, &features) || rte_vhost_get_mem_table(vid, &r->memory)) {
        return;
    }
    r->n = n;
    for (unsigned i = 0; i < MAX(n, old); i++) {
        struct rte_vhost_vring v = { .size = 0 };
        if (i < n) {
            rte_vhost_get_vhost_vring(vid, (uint16_t) i, &v);
        }
        vhost_ring_init(&r->ring[i], vid, (uint16_t) i, &v, features, r->memory);
        r->use[i].known = 0;
    }
    atomic_store_explicit(&r->open, true, memory_order_release);
}

void vhost_rings_start(struct vhost_rings *r, int vid, const uint64_t enabled[VHOST_ENABLED_WORDS])
{
    for (unsigned i = 0; i < VHOST_ENABLED_WORDS; i++) {
        atomic_store(&r->enabled[i], enabled[i]);
    }
    atomic_store(&r->announce, 0);
    look_up(r, vid);
}

void vhost_rings_before_message(struct vhost_rings *r, const void *msg)
{
    const struct message *m = msg;
    if (m->request != GET_FEATURES && m->request != GET_PROTOCOL_FEATURES && m->request != GET_QUEUE_NUM) {
        vhost_rings_stop(r);    /* Those three change nothing, and the library takes no lock for them that a burst could wait for. */
    }
}

void vhost_rings_stop(struct vhost_rings *r)
{
    if (!atomic_load_explicit(&r->open, memory_order_relaxed)) {
        return;
    }
    atomic_store(&r->open, false);
    atomic_thread_fence(memory_order_seq_cst);
    if (!r->no_barrier && !barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
        abort();                /* It was registered for: nothing but a bug is left. */
    }
    for (unsigned i = 0; i < r->n; i++) {
        while (atomic_load_explicit(&r->use[i].busy, memory_order_acquire)) {
            rte_pause();
        }
    }
    free(r->memory);
    r->memory = NULL;
}

void vhost_rings_enable(struct vhost_rings *r, unsigned ring, bool enable)
{
    uint64_t bit = UINT64_C(1) << ring % 64;
    if (enable) {
        atomic_fetch_or(&r->enabled[ring / 64], bit);
    } else {
        atomic_fetch_and(&r->enabled[ring / 64], ~bit);
    }
}

void vhost_rings_after_message(struct vhost_rings *r, int vid, const void *msg)
{
    const struct message *m = msg;
    if (m->request == SET_VRING_ENABLE && !m->state && m->ring < VHOST_RINGS) {
        vhost_rings_enable(r, m->ring, false);          /* The library tells of it later, but stops now. */
    } else if (m->request == SEND_RARP) {
        uint64_t address = 0;
        memcpy(&address, m->address, RTE_ETHER_ADDR_LEN);
        atomic_store(&r->announce, address | ANNOUNCE);
    }
    if (!atomic_load_explicit(&r->open, memory_order_relaxed)) {
        look_up(r, vid);
    }
}

/* --- Bursts --- */

/* Whether the caller may use the ring; then it leaves it. */
static inline bool enter(struct vhost_rings *r, unsigned i)
{
    atomic_store_explicit(&r->use[i].busy, true, memory_order_relaxed);
    if (__builtin_expect(r->no_barrier, 0)) {
        atomic_thread_fence(memory_order_seq_cst);
    }
    atomic_signal_fence(memory_order_seq_cst);          /* The processor's part is the barrier in vhost_rings_stop(). */
    if (__builtin_expect(atomic_load_explicit(&r->open, memory_order_acquire) && r->ring[i].size && vhost_rings_enabled(r, i), 1)) {
        return true;
    }
    atomic_store_explicit(&r->use[i].busy, false, memory_order_release);
    return false;
}

static inline bool is_open(const struct vhost_rings *r)
{
    return atomic_load_explicit(&r->open, memory_order_relaxed);
}

/*
 * As enter(), behind a message that is under way: the library holds the rings' locks while it handles one, until the rings are open again and those enabled that
 * it disabled for a moment; this call takes the lock.  Else what is to be sent would be lost.  The next message may come first.  While a ring stops there is
 * nothing to wait for: the library holds no lock then, and may be waiting for this thread.
 */
static __attribute__((noinline)) bool enter_later(struct vhost_rings *r, int vid, unsigned i)
{
    unsigned n = 0;
    do {
        rte_vhost_avail_entries(vid, (uint16_t) i);
        if (enter(r, i)) {
            return true;
        }
    } while (++n < MAX_MESSAGES && !is_open(r));
    return false;
}

static inline void leave(struct vhost_rings *r, unsigned i)
{
    atomic_store_explicit(&r->use[i].busy, false, memory_order_release);
}

/*
 * Calls the guest if it asked for that, once `used` says that what came since `old` was given back.  By VIRTIO_RING_F_EVENT_IDX the library decides again, by
 * what was given back since it was asked last, modulo 2^16: it is asked often enough not to mistake a long way for a short one, which would be a lost wake-up.
 */
static inline void call(int vid, unsigned i, bool asked, uint16_t old, uint16_t used)
{
    if (asked || (used ^ old) >> 14) {
        rte_vhost_vring_call(vid, (uint16_t) i);
    }
}

/* The frame that announces the guest, if it is to be announced; 0: no. */
static uint16_t announce(struct vhost_rings *r, struct rte_mempool *pool, struct rte_mbuf **mbuf)
{
    uint64_t what = atomic_exchange(&r->announce, 0), nothing = 0;
    if (!what) {
        return 0;               /* Another thread does. */
    }
    struct rte_ether_addr address;
    memcpy(&address, &what, sizeof address);
    *mbuf = rte_net_make_rarp_packet(pool, &address);
    if (!*mbuf) {
        atomic_compare_exchange_strong(&r->announce, &nothing, what);       /* No buffers: later, unless there is news. */
        return 0;
    }
    return 1;
}

uint16_t vhost_rings_receive(struct vhost_rings *r, int vid, unsigned i, struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vhost_burst burst = { .n = 0 };
    struct vhost_position old = { .used = 0 }, at = old;
    if (__builtin_expect(atomic_load_explicit(&r->announce, memory_order_relaxed) != 0, 0)) {
        return announce(r, pool, mbufs);
    }
    if (enter(r, i) || (!is_open(r) && enter_later(r, vid, i))) {
        if (!rte_vhost_get_vring_base(vid, (uint16_t) i, &at.avail, &at.used)) {
            at.known = r->use[i].known;
            old = at;
            burst = vhost_ring_receive(&r->ring[i], &at, pool, mbufs, n);
            r->use[i].known = at.known;
        }
        if (at.used != old.used) {
            rte_vhost_set_vring_base(vid, (uint16_t) i, at.avail, at.used);
        }
        leave(r, i);
    }
    call(vid, i, burst.call, old.used, at.used);
    return burst.n;
}

uint16_t vhost_rings_send(struct vhost_rings *r, int vid, unsigned i, struct rte_mbuf *const *mbufs, uint16_t n)
{
    struct vhost_burst burst = { .n = 0 };
    struct vhost_position old = { .used = 0 }, at = old;
    if (enter(r, i) || enter_later(r, vid, i)) {
        if (!rte_vhost_get_vring_base(vid, (uint16_t) i, &at.avail, &at.used)) {
            at.known = r->use[i].known;
            old = at;
            burst = vhost_ring_send(&r->ring[i], &at, mbufs, n);
            r->use[i].known = at.known;
        }
        if (at.used != old.used) {
            rte_vhost_set_vring_base(vid, (uint16_t) i, at.avail, at.used);
        }
        leave(r, i);
    }
    call(vid, i, burst.call, old.used, at.used);
    return burst.n;
}
