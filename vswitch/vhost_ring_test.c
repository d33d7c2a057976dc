/*
 * A guest's ring in memory of the test's: bursts against a twin that does the same frame by frame and byte by byte.  What a burst left in the guest's memory is
 * compared whole.  The rings of real devices, changed under traffic, are tests/system/test_vhost.py's.
 */
#include "vswitch/vhost_ring.h"

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tests/unit.h"
#include "vswitch/device_mbuf_test.h"

unit_suite_fn vhost_ring_test_suite;

#define MAX_SIZE 128u
#define N_REGIONS 2u
#define REGION_SIZE 0x8000u
#define FEATURE(N) (UINT64_C(1) << (N))

struct guest {                  /* All that the device can write to. */
    uint8_t memory[N_REGIONS][REGION_SIZE];
    struct { uint16_t flags, idx, ring[MAX_SIZE + 1]; } avail;
    struct { uint16_t flags, idx; struct vring_used_elem ring[MAX_SIZE]; } used;
    struct vring_desc desc[MAX_SIZE];
};

/* Guest addresses of the regions: a gap between them, though not in our memory. */
static const uint64_t region_at[N_REGIONS] = { 0x10000, 0x10000 + REGION_SIZE + 0x1000 };

struct bench {
    struct guest *guest, *twin;
    struct rte_vhost_memory *table;
    struct rte_mempool *pool;
    struct vhost_ring ring;
    uint64_t features;
    uint16_t size;
    struct rng rng;
};

static unsigned pick(struct bench *b, unsigned n)
{
    return (unsigned) rng_below(&b->rng, n);
}

/* --- The twin --- */

static uint8_t *byte_at(struct guest *g, uint64_t at, unsigned *region)
{
    for (unsigned i = 0; i < N_REGIONS; i++) {
        if (at >= region_at[i] && at - region_at[i] < REGION_SIZE) {
            *region = i;
            return &g->memory[i][at - region_at[i]];
        }
    }
    return NULL;
}

static unsigned header_size(const struct bench *b)
{
    return b->features & (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_NET_F_MRG_RXBUF)) ? 12 : 10;
}

/* The buffer that the ring's entry stands for, as far as that is one descriptor with these flags in one region. */
static bool twin_buffer(const struct bench *b, uint16_t position, uint16_t flags, uint16_t *id, uint64_t *at, uint32_t *len)
{
    struct guest *g = b->twin;
    unsigned first, region;
    *id = g->avail.ring[position % b->size];
    if (*id >= b->size || g->desc[*id].flags != flags || g->desc[*id].len <= header_size(b) || !byte_at(g, g->desc[*id].addr, &first)) {
        return false;
    }
    *at = g->desc[*id].addr;
    *len = g->desc[*id].len;
    for (uint32_t i = 0; i < *len; i++) {
        if (!byte_at(g, *at + i, &region) || region != first) {
            return false;
        }
    }
    return true;
}

static bool twin_wants_call(const struct bench *b, uint16_t old, uint16_t new)
{
    if (!(b->features & FEATURE(VIRTIO_RING_F_EVENT_IDX))) {
        return old != new && !(b->twin->avail.flags & VRING_AVAIL_F_NO_INTERRUPT);
    }
    bool call = false;
    for (uint16_t i = old; i != new; i++) {
        call = call || i == b->twin->avail.ring[b->size];
    }
    return call;
}

static void twin_give_back(struct bench *b, struct vhost_position *at, uint16_t id, uint32_t len)
{
    b->twin->used.ring[at->used % b->size] = (struct vring_used_elem) { .id = id, .len = len };
    at->avail++;
    at->used++;
}

/* One frame; false: not plain. */
static bool twin_receive(struct bench *b, struct vhost_position *at, uint8_t *frame, uint32_t *size)
{
    uint16_t id;
    uint64_t from;
    uint32_t len;
    unsigned region;
    if (!twin_buffer(b, at->avail, 0, &id, &from, &len) || len - header_size(b) > MBUF_ROOM) {
        return false;
    }
    *size = len - header_size(b);
    for (uint32_t i = 0; i < *size; i++) {
        frame[i] = *byte_at(b->twin, from + header_size(b) + i, &region);
    }
    twin_give_back(b, at, id, 0);
    return true;
}

static bool twin_send(struct bench *b, struct vhost_position *at, const struct rte_mbuf *m)
{
    uint16_t id;
    uint64_t to;
    uint32_t len, size = m->pkt_len + header_size(b);
    unsigned region;
    if (!twin_buffer(b, at->avail, VRING_DESC_F_WRITE, &id, &to, &len) || m->nb_segs != 1 || size > len) {
        return false;
    }
    for (uint32_t i = 0; i < size; i++) {
        uint8_t of_header = i == 10;            /* num_buffers, little-endian: 1. */
        *byte_at(b->twin, to + i, &region) = i < header_size(b) ? of_header : rte_pktmbuf_mtod(m, const uint8_t *)[i - header_size(b)];
    }
    twin_give_back(b, at, id, size);
    return true;
}

/* --- The guest --- */

static void make_descriptor(struct bench *b, struct vring_desc *d, uint16_t flags)
{
    static const uint32_t sizes[] = { 1, 13, 14, 42, 59, 60, 64, 128, 256, 1514, MBUF_ROOM - 1, MBUF_ROOM, MBUF_ROOM + 1 };
    uint32_t len = header_size(b) + sizes[pick(b, ARRAY_SIZE(sizes))];
    *d = (struct vring_desc) { .addr = region_at[pick(b, N_REGIONS)] + pick(b, REGION_SIZE - len + 1), .len = len, .flags = flags, .next = (uint16_t) pick(b, b->size) };
    switch (pick(b, 60)) {
    case 0: d->flags ^= VRING_DESC_F_WRITE; break;
    case 1: d->flags |= VRING_DESC_F_NEXT; break;
    case 2: d->flags |= VRING_DESC_F_INDIRECT; break;
    case 3: d->addr = region_at[pick(b, N_REGIONS)] + REGION_SIZE - pick(b, len + 1); break;        /* Over the end, mostly. */
    case 4: d->addr = rng_u64(&b->rng); break;
    case 5: d->len = pick(b, header_size(b) + 1); break;
    case 6: d->len = UINT32_MAX - pick(b, 4); break;
    case 7: d->addr = UINT64_MAX - pick(b, 100); break;
    default: break;
    }
}

static void make_guest(struct bench *b, const struct vhost_position *at, uint16_t flags)
{
    struct guest *g = b->guest;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        for (unsigned k = 0; k < REGION_SIZE; k++) {
            g->memory[i][k] = (uint8_t) (k * 7 + i);
        }
    }
    for (unsigned i = 0; i < MAX_SIZE; i++) {           /* Those behind the ring's end would do as well. */
        make_descriptor(b, &g->desc[i], flags);
    }
    for (unsigned i = 0; i < b->size; i++) {
        uint16_t bad = (uint16_t) (pick(b, 2) ? b->size : pick(b, 1 << 16));
        g->avail.ring[i] = pick(b, 100) ? (uint16_t) ((i + at->avail) % b->size) : bad;
    }
    g->avail.flags = (uint16_t) pick(b, 2);
    g->avail.ring[b->size] = (uint16_t) (at->used + pick(b, 80) - 8);       /* used_event */
    g->avail.idx = (uint16_t) (at->avail + (pick(b, 4) ? pick(b, b->size + 1u) : pick(b, 3)));
    g->used.idx = at->used;
    memcpy(b->twin, g, sizeof *g);
}

static void setup(struct bench *b, uint64_t seed)
{
    struct rte_mbuf *m = mbuf_test_make(1);
    *b = (struct bench) { .pool = m->pool, .guest = xcalloc(1, sizeof *b->guest), .twin = xcalloc(1, sizeof *b->twin) };
    rng_seed(&b->rng, seed);
    rte_pktmbuf_free(m);
    b->table = xcalloc(1, sizeof *b->table + N_REGIONS * sizeof b->table->regions[0]);
    b->table->nregions = N_REGIONS;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        b->table->regions[i] = (struct rte_vhost_mem_region) { .guest_phys_addr = region_at[i], .size = REGION_SIZE, .host_user_addr = (uintptr_t) b->guest->memory[i] };
    }
}

static void teardown(struct bench *b)
{
    free(b->guest);
    free(b->twin);
    free(b->table);
}

/* A ring of a random size with random features. */
static void make_ring(struct bench *b, struct vhost_position *at)
{
    static const unsigned features[] = { VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_IN_ORDER, VIRTIO_RING_F_INDIRECT_DESC };
    b->features = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        b->features |= pick(b, 2) ? FEATURE(features[i]) : 0;
    }
    b->size = (uint16_t) (1u << pick(b, 8));
    struct rte_vhost_vring v = { .size = b->size, .desc = b->guest->desc, .avail = (struct vring_avail *) &b->guest->avail, .used = (struct vring_used *) &b->guest->used };
    vhost_ring_init(&b->ring, &v, b->features, b->table);
    CU_ASSERT_EQUAL_FATAL(b->ring.size, b->size);
    *at = (struct vhost_position) { .avail = (uint16_t) (pick(b, 2) ? 0 - pick(b, 70) : pick(b, 1 << 16)), .used = (uint16_t) pick(b, 1 << 16) };
}

/* What is the same for both directions: positions, the guest's memory, how it ended. */
static bool same(struct bench *b, const struct vhost_burst *burst, const struct vhost_position *at, const struct vhost_position *begin, const struct vhost_position *twin,
                 unsigned n_twin, bool twin_plain)
{
    b->twin->used.idx = twin->used;
    return burst->n == n_twin && burst->plain == twin_plain && burst->call == twin_wants_call(b, begin->used, twin->used) && at->avail == twin->avail
           && at->used == twin->used && !memcmp(b->guest, b->twin, sizeof *b->guest);
}

static bool receive_once(struct bench *b)
{
    static uint8_t frame[MBUF_ROOM];
    struct rte_mbuf *mbufs[VHOST_RING_BURST];
    struct vhost_position at, begin, twin;
    make_ring(b, &at);
    make_guest(b, &at, 0);
    begin = twin = at;
    uint16_t n = (uint16_t) (1 + pick(b, VHOST_RING_BURST)), there = (uint16_t) (b->guest->avail.idx - at.avail), k = 0;
    struct vhost_burst burst = vhost_ring_receive(&b->ring, &at, b->pool, mbufs, n);
    bool plain = true, ok = true;
    for (k = 0; k < MIN(n, there); k++) {
        uint32_t size;
        plain = twin_receive(b, &twin, frame, &size);
        if (!plain) {
            break;
        }
        ok = ok && k < burst.n && mbufs[k]->pkt_len == size && mbufs[k]->data_len == size && mbufs[k]->nb_segs == 1 && !memcmp(rte_pktmbuf_mtod(mbufs[k], void *), frame, size);
    }
    ok = ok && same(b, &burst, &at, &begin, &twin, k, plain);
    rte_pktmbuf_free_bulk(mbufs, burst.n);
    return ok;
}

static bool send_once(struct bench *b)
{
    static const uint32_t sizes[] = { 1, 14, 42, 60, 64, 127, 128, 1514, MBUF_ROOM };
    struct rte_mbuf *mbufs[VHOST_RING_BURST];
    struct vhost_position at, begin, twin;
    make_ring(b, &at);
    make_guest(b, &at, VRING_DESC_F_WRITE);
    begin = twin = at;
    uint16_t n = (uint16_t) (1 + pick(b, VHOST_RING_BURST)), there = (uint16_t) (b->guest->avail.idx - at.avail), k;
    uint32_t most = pick(b, 2) ? ARRAY_SIZE(sizes) : 4;
    for (k = 0; k < n; k++) {
        mbufs[k] = mbuf_test_make(sizes[pick(b, most)]);
        if (!pick(b, 200)) {
            CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(mbufs[k], mbuf_test_make(60)), 0);
        }
    }
    struct vhost_burst burst = vhost_ring_send(&b->ring, &at, mbufs, n);
    bool plain = true;
    for (k = 0; k < MIN(n, there); k++) {
        plain = twin_send(b, &twin, mbufs[k]);
        if (!plain) {
            break;
        }
    }
    bool ok = same(b, &burst, &at, &begin, &twin, k, plain);
    rte_pktmbuf_free_bulk(mbufs, n);
    return ok;
}

static void test_against_twin(void)
{
    struct bench b;
    unsigned wrong = 0;
    setup(&b, unit_seed());
    for (unsigned i = 0; i < 2000; i++) {
        wrong += !receive_once(&b);
        wrong += !send_once(&b);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    teardown(&b);
}

/* Without buffers of its own nothing is taken from the guest. */
static void test_no_buffers(void)
{
    struct bench b;
    struct rte_mbuf *taken[2048], *got[4];
    struct vhost_position at = { 0, 0 };
    unsigned n = 0;
    setup(&b, 1);
    b.size = 4;
    struct rte_vhost_vring v = { .size = 4, .desc = b.guest->desc, .avail = (struct vring_avail *) &b.guest->avail, .used = (struct vring_used *) &b.guest->used };
    vhost_ring_init(&b.ring, &v, FEATURE(VIRTIO_F_VERSION_1), b.table);
    for (unsigned i = 0; i < 4; i++) {
        b.guest->desc[i] = (struct vring_desc) { .addr = region_at[0] + 100 * i, .len = 72 };
        b.guest->avail.ring[i] = (uint16_t) i;
    }
    b.guest->avail.idx = 4;
    while (n < ARRAY_SIZE(taken) && (taken[n] = rte_pktmbuf_alloc(b.pool))) {
        n++;
    }
    struct vhost_burst burst = vhost_ring_receive(&b.ring, &at, b.pool, got, 4);
    CU_ASSERT_EQUAL(burst.n, 0);
    CU_ASSERT_FALSE(burst.call);
    CU_ASSERT_EQUAL(b.guest->used.idx, 0);
    CU_ASSERT_EQUAL(at.avail, 0);
    rte_pktmbuf_free_bulk(taken, n);
    burst = vhost_ring_receive(&b.ring, &at, b.pool, got, 4);
    CU_ASSERT_EQUAL(burst.n, 4);
    CU_ASSERT_TRUE(burst.plain);
    CU_ASSERT_TRUE(burst.call);
    CU_ASSERT_EQUAL(b.guest->used.idx, 4);
    rte_pktmbuf_free_bulk(got, burst.n);
    teardown(&b);
}

static void test_not_plain(void)
{
    static const unsigned features[] = { VIRTIO_F_RING_PACKED, VIRTIO_F_IOMMU_PLATFORM, VHOST_F_LOG_ALL };
    struct bench b;
    setup(&b, 1);
    struct rte_vhost_vring v = { .size = 4, .desc = b.guest->desc, .avail = (struct vring_avail *) &b.guest->avail, .used = (struct vring_used *) &b.guest->used }, w = v;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        vhost_ring_init(&b.ring, &v, FEATURE(features[i]) | FEATURE(VIRTIO_F_VERSION_1), b.table);
        CU_ASSERT_EQUAL(b.ring.size, 0);
    }
    vhost_ring_init(&b.ring, &v, 0, NULL);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    w.used = NULL;
    vhost_ring_init(&b.ring, &w, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    w = v;
    w.size = 3;
    vhost_ring_init(&b.ring, &w, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    vhost_ring_init(&b.ring, &v, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 4);
    teardown(&b);
}

void vhost_ring_test_suite(void)
{
    UNIT_SUITE("vhost ring", { "bursts against a twin", test_against_twin }, { "no buffers", test_no_buffers }, { "rings that are not plain", test_not_plain });
}
