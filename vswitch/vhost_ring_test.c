/*
 * A guest's ring in memory of the test's: bursts against a twin that does the same frame by frame and byte by byte.  What a burst left in the guest's memory is
 * compared whole.  The rings of real devices, changed under traffic, with rte_vhost as the twin, are tests/system/test_vhost.py's.
 */
#include "vswitch/vhost_ring.h"

#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tests/unit.h"
#include "vswitch/device_mbuf_test.h"
#include "vswitch/vhost_chain.h"

unit_suite_fn vhost_ring_test_suite;

#define MAX_SIZE 512u
#define N_REGIONS 3u
#define REGION_SIZE 0x8000u
#define BESIDE 64u              /* Bytes behind each region that are none of the guest's. */
#define FEATURE(N) (UINT64_C(1) << (N))

struct guest {                  /* All that the device can write to. */
    uint8_t memory[N_REGIONS][REGION_SIZE + BESIDE];
    struct { uint16_t flags, idx, ring[MAX_SIZE + 1]; } avail;
    struct { uint16_t flags, idx; struct vring_used_elem ring[MAX_SIZE]; } used;
    struct vring_desc desc[MAX_SIZE];
};

/* Guest addresses of the regions: the first is right behind the third, though not in our memory; the second is right behind the first in our memory alone. */
static const uint64_t region_at[N_REGIONS] = { 0x10000 + REGION_SIZE, 0x40000, 0x10000 };

struct bench {
    struct guest *guest, *twin;
    struct rte_vhost_memory *table;
    struct rte_mempool *pool;
    struct vhost_ring ring;
    uint64_t features;
    uint16_t size;
    bool chains;                /* The guest makes them; else most of its buffers are plain. */
    unsigned n_merged;          /* Frames over several chains, or behind such. */
    struct rng rng;
};

static unsigned pick(struct bench *b, unsigned n)
{
    return (unsigned) rng_below(&b->rng, n);
}

/* --- The twin --- */

#define MAX_TAKEN (MBUF_JUMBO_ROOM + 1)

struct bytes {                  /* Of a chain, or several. */
    uint64_t at[2 * MAX_TAKEN];                 /* Where the first of them are. */
    uint64_t n;
    unsigned pieces;
};

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

static bool add_bytes(struct guest *g, struct bytes *bytes, uint64_t at, uint32_t len)
{
    unsigned last = N_REGIONS, region;
    bytes->pieces += !len;
    for (uint32_t i = 0; i < len; i++) {
        if (!byte_at(g, at + i, &region)) {
            return false;
        }
        bytes->pieces += region != last;
        last = region;
        if (bytes->n < ARRAY_SIZE(bytes->at)) {
            bytes->at[bytes->n] = at + i;
        }
        bytes->n++;
    }
    return bytes->pieces <= VHOST_CHAIN_PIECES;
}

/* Descriptor i of the ring, or of the table at `table`. */
static bool desc_at(struct guest *g, bool indirect, uint64_t table, unsigned i, struct vring_desc *d)
{
    if (!indirect) {
        *d = g->desc[i];
        return true;
    }
    for (unsigned k = 0; k < sizeof *d; k++) {
        unsigned region;
        const uint8_t *byte = byte_at(g, table + sizeof *d * i + k, &region);
        if (!byte) {
            return false;
        }
        ((uint8_t *) d)[k] = *byte;
    }
    return true;
}

/* What the ring's entry stands for, as far as all of it can be understood and is for reading, or all of it for writing. */
static bool twin_chain(const struct bench *b, uint16_t position, bool writable, uint16_t *id, struct bytes *bytes)
{
    struct guest *g = b->twin;
    struct vring_desc d;
    *id = g->avail.ring[position % b->size];
    if (*id >= b->size) {
        return false;
    }
    bool indirect = g->desc[*id].flags & VRING_DESC_F_INDIRECT;
    uint64_t table = g->desc[*id].addr;
    unsigned n = indirect ? g->desc[*id].len / sizeof d : b->size, next = indirect ? 0 : *id;
    if (n > b->size) {
        return false;
    }
    for (unsigned i = 0; i < n && next < n; i++) {
        if (!desc_at(g, indirect, table, next, &d) || !!(d.flags & VRING_DESC_F_WRITE) != writable || !add_bytes(g, bytes, d.addr, d.len)) {
            return false;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        next = d.next;
    }
    return false;
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

/* One entry of the ring; *size is 0 when it is no frame.  False: it stands still. */
static bool twin_receive(struct bench *b, struct vhost_position *at, uint8_t *frame, uint32_t *size)
{
    static struct bytes bytes;
    uint16_t id;
    unsigned region;
    bytes.n = bytes.pieces = 0;
    if (!twin_chain(b, at->avail, false, &id, &bytes)) {
        return false;
    }
    *size = bytes.n > header_size(b) ? (uint32_t) MIN(bytes.n - header_size(b), MAX_TAKEN) : 0;
    for (uint32_t i = 0; i < *size; i++) {
        frame[i] = *byte_at(b->twin, bytes.at[header_size(b) + i], &region);
    }
    twin_give_back(b, at, id, 0);
    return true;
}

static bool twin_send(struct bench *b, struct vhost_position *at, const struct rte_mbuf *m)
{
    static struct bytes bytes;
    uint16_t there = (uint16_t) (b->twin->avail.idx - at->avail), n = 0, most = b->features & FEATURE(VIRTIO_NET_F_MRG_RXBUF) ? MAX(b->size - 1, 1) : 1;
    struct { uint16_t id; uint64_t end; } chains[MAX_SIZE];
    uint32_t size = m->pkt_len + header_size(b);
    for (bytes.n = bytes.pieces = 0; bytes.n < size; n++) {
        if (n == there || n == most || !twin_chain(b, (uint16_t) (at->avail + n), true, &chains[n].id, &bytes)) {
            return false;
        }
        chains[n].end = MIN(bytes.n, size);
    }
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = i == 10 ? n & 0xff : i == 11 ? n >> 8 : 0;       /* num_buffers, little-endian. */
        unsigned region;
        if (i >= header_size(b)) {
            byte = *(const uint8_t *) rte_pktmbuf_read(m, i - header_size(b), 1, &byte);
        }
        *byte_at(b->twin, bytes.at[i], &region) = byte;
    }
    for (unsigned i = 0; i < n; i++) {
        twin_give_back(b, at, chains[i].id, (uint32_t) (chains[i].end - (i ? chains[i - 1].end : 0)));
    }
    return true;
}

/* --- The guest --- */

/* Somewhere in memory, most likely whole. */
static uint64_t place(struct bench *b, uint32_t len)
{
    if (!pick(b, 8)) {
        return region_at[0] - pick(b, MIN(len, REGION_SIZE) + 1);       /* Over the border of two regions. */
    }
    return region_at[pick(b, N_REGIONS)] + pick(b, REGION_SIZE - MIN(len, REGION_SIZE) + 1);
}

static void spoil(struct bench *b, struct vring_desc *d)
{
    switch (pick(b, 10)) {
    case 0: d->flags ^= VRING_DESC_F_WRITE; break;
    case 1: d->flags |= VRING_DESC_F_NEXT; break;
    case 2: d->flags |= VRING_DESC_F_INDIRECT; break;
    case 3: d->addr = region_at[pick(b, N_REGIONS)] + REGION_SIZE - pick(b, d->len + 1); break;         /* Over the end, mostly. */
    case 4: d->addr = rng_u64(&b->rng); break;
    case 5: d->len = pick(b, header_size(b) + 1); break;
    case 6: d->len = UINT32_MAX - pick(b, 4); break;
    case 7: d->addr = UINT64_MAX - pick(b, 100); break;
    case 8: d->next = (uint16_t) (pick(b, 2) ? b->size : pick(b, 1 << 16)); break;
    default: d->next = (uint16_t) pick(b, b->size); break;
    }
}

/* A piece of a chain: descriptor i of n. */
static struct vring_desc make_piece(struct bench *b, uint16_t flags, unsigned i, unsigned n)
{
    static const uint32_t sizes[] = { 0, 1, 1, 4, 9, 10, 11, 12, 13, 30, 60, 200, 1000, MBUF_ROOM, 5000, 9300 };
    uint32_t len = sizes[pick(b, ARRAY_SIZE(sizes))];
    bool next = pick(b, 3) && i + 1 < n;
    struct vring_desc d = { .addr = place(b, len), .len = len, .flags = (uint16_t) (flags | (next ? VRING_DESC_F_NEXT : 0)), .next = (uint16_t) (i + 1) };
    if (!pick(b, 200)) {
        spoil(b, &d);
    }
    return d;
}

/* A descriptor that stands for a table, which is written to the guest's memory as far as there is any. */
static struct vring_desc make_table(struct bench *b, uint16_t flags)
{
    unsigned n = 1 + pick(b, MIN(b->size, 8u)), region;
    uint32_t len = n * (uint32_t) sizeof(struct vring_desc);
    struct vring_desc d = { .addr = place(b, len), .len = len + (pick(b, 8) ? 0 : pick(b, 20)), .flags = VRING_DESC_F_INDIRECT | (pick(b, 2) ? flags : 0) };
    for (unsigned i = 0; i < n; i++) {
        struct vring_desc piece = make_piece(b, flags, i, n);
        for (unsigned k = 0; k < sizeof piece; k++) {
            uint8_t *byte = byte_at(b->guest, d.addr + i * sizeof piece + k, &region);
            if (byte) {
                *byte = ((const uint8_t *) &piece)[k];
            }
        }
    }
    if (!pick(b, 50)) {
        spoil(b, &d);
    }
    if (!pick(b, 100)) {
        d.len = pick(b, 2) ? pick(b, 16) : (b->size + 1u) * (uint32_t) sizeof d;
    }
    return d;
}

static void make_descriptor(struct bench *b, unsigned i, uint16_t flags)
{
    static const uint32_t sizes[] = { 1, 13, 14, 42, 59, 60, 64, 128, 256, 1514, MBUF_ROOM - 1, MBUF_ROOM, MBUF_ROOM + 1, MBUF_JUMBO_ROOM, MBUF_JUMBO_ROOM + 2 };
    struct vring_desc *d = &b->guest->desc[i];
    if (b->chains && pick(b, 4)) {
        *d = pick(b, 4) ? make_piece(b, flags, i, b->size) : make_table(b, flags);
        return;
    }
    uint32_t len = header_size(b) + sizes[pick(b, ARRAY_SIZE(sizes))];
    *d = (struct vring_desc) { .addr = place(b, len), .len = len, .flags = flags, .next = (uint16_t) pick(b, b->size) };
    if (!pick(b, 100)) {
        spoil(b, d);
    }
}

static void make_guest(struct bench *b, struct vhost_position *at, uint16_t flags)
{
    struct guest *g = b->guest;
    for (unsigned i = 0; i < N_REGIONS; i++) {
        for (unsigned k = 0; k < REGION_SIZE + BESIDE; k++) {
            g->memory[i][k] = (uint8_t) (k * 7 + i);
        }
    }
    for (unsigned i = 0; i < MAX_SIZE; i++) {           /* Those behind the ring's end would do as well. */
        make_descriptor(b, i, flags);
    }
    for (unsigned i = 0; i < b->size; i++) {
        uint16_t bad = (uint16_t) (pick(b, 2) ? b->size : pick(b, 1 << 16));
        g->avail.ring[i] = pick(b, 100) ? (uint16_t) ((i + at->avail) % b->size) : bad;
    }
    g->avail.flags = (uint16_t) pick(b, 2);
    g->avail.ring[b->size] = (uint16_t) (at->used + pick(b, 80) - 8);       /* used_event */
    g->avail.idx = (uint16_t) (at->avail + (pick(b, 4) ? pick(b, b->size + 1u) : pick(b, 3)));
    g->used.idx = at->used;
    at->known = (uint16_t) pick(b, (uint16_t) (g->avail.idx - at->avail) + 1u);
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
    b->size = (uint16_t) (1u << pick(b, 10));
    b->chains = pick(b, 2);
    struct rte_vhost_vring v = { .size = b->size, .desc = b->guest->desc, .avail = (struct vring_avail *) &b->guest->avail, .used = (struct vring_used *) &b->guest->used };
    vhost_ring_init(&b->ring, 0, 0, &v, b->features, b->table);
    CU_ASSERT_EQUAL_FATAL(b->ring.size, b->size);
    *at = (struct vhost_position) { .avail = (uint16_t) (pick(b, 2) ? 0 - pick(b, 70) : pick(b, 1 << 16)), .used = (uint16_t) pick(b, 1 << 16) };
}

/* What is the same for both directions: positions, the guest's memory, how it ended.  No more is known than there is. */
static bool same(struct bench *b, const struct vhost_burst *burst, const struct vhost_position *at, const struct vhost_position *begin, const struct vhost_position *twin,
                 unsigned n_twin)
{
    b->twin->used.idx = twin->used;
    return burst->n == n_twin && burst->call == twin_wants_call(b, begin->used, twin->used) && at->avail == twin->avail && at->used == twin->used
           && at->known <= (uint16_t) (b->guest->avail.idx - at->avail)
           && !memcmp(b->guest, b->twin, sizeof *b->guest);
}

/* The mbuf as one that a device delivers: of as many segments as needed. */
static bool is_frame(const struct rte_mbuf *m, const uint8_t *frame, uint32_t size)
{
    static uint8_t buffer[MAX_TAKEN];
    unsigned n = 0;
    uint32_t sum = 0;
    for (const struct rte_mbuf *s = m; s; s = s->next, n++) {
        sum += s->data_len;
    }
    return m->pkt_len == size && sum == size && m->nb_segs == n && n == (size + MBUF_ROOM - 1) / MBUF_ROOM && !memcmp(rte_pktmbuf_read(m, 0, size, buffer), frame, size);
}

static bool receive_once(struct bench *b)
{
    static uint8_t frame[MAX_TAKEN];
    struct rte_mbuf *mbufs[VHOST_RING_BURST];
    struct vhost_position at, begin, twin;
    make_ring(b, &at);
    make_guest(b, &at, 0);
    begin = twin = at;
    uint16_t n = (uint16_t) (1 + pick(b, VHOST_RING_BURST)), there = (uint16_t) (b->guest->avail.idx - at.avail), k = 0;
    struct vhost_burst burst = vhost_ring_receive(&b->ring, &at, b->pool, mbufs, n);
    bool ok = true;
    uint32_t size;
    for (unsigned i = 0; i < MIN(n, there) && twin_receive(b, &twin, frame, &size); i++) {
        if (size) {
            ok = ok && k < burst.n && is_frame(mbufs[k], frame, size);
            k++;
        }
    }
    ok = ok && same(b, &burst, &at, &begin, &twin, k);
    rte_pktmbuf_free_bulk(mbufs, burst.n);
    return ok;
}

static bool send_once(struct bench *b)
{
    static const uint32_t sizes[] = { 1, 14, 42, 60, 64, 127, 128, 1514, MBUF_ROOM, MBUF_ROOM + 1, 4000, MBUF_JUMBO_ROOM };
    struct rte_mbuf *mbufs[VHOST_RING_BURST];
    struct vhost_position at, begin, twin;
    make_ring(b, &at);
    make_guest(b, &at, VRING_DESC_F_WRITE);
    begin = twin = at;
    uint16_t n = (uint16_t) (1 + pick(b, 32)), k;
    uint32_t most = pick(b, 2) ? ARRAY_SIZE(sizes) : 4;
    for (k = 0; k < n; k++) {
        mbufs[k] = mbuf_test_make(sizes[pick(b, most)]);
        if (!pick(b, 50)) {
            CU_ASSERT_EQUAL_FATAL(rte_pktmbuf_chain(mbufs[k], mbuf_test_make(60)), 0);
        }
    }
    struct vhost_burst burst = vhost_ring_send(&b->ring, &at, mbufs, n);
    for (k = 0; k < n && twin_send(b, &twin, mbufs[k]); k++) {
        b->n_merged += (uint16_t) (twin.used - begin.used) > k + 1;
    }
    bool ok = same(b, &burst, &at, &begin, &twin, k);
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
    CU_ASSERT_TRUE(b.n_merged > 20);
    teardown(&b);
}

static void make_plain_ring(struct bench *b, uint16_t size, uint64_t features)
{
    b->size = size;
    b->features = features | FEATURE(VIRTIO_F_VERSION_1);
    struct rte_vhost_vring v = { .size = size, .desc = b->guest->desc, .avail = (struct vring_avail *) &b->guest->avail, .used = (struct vring_used *) &b->guest->used };
    vhost_ring_init(&b->ring, 0, 0, &v, b->features, b->table);
    for (uint16_t i = 0; i < size; i++) {
        b->guest->avail.ring[i] = i;
    }
    b->guest->avail.idx = size;
}

/* rte_vhost took the second piece to be large enough for what was left of the header, and wrote behind it as much as the frame was long. */
static void test_header_in_pieces(void)
{
    struct bench b;
    struct rte_mbuf *m = mbuf_test_make(2000);
    setup(&b, 1);
    for (unsigned cut = 1; cut < 11; cut++) {           /* One byte, `cut` bytes, the rest: at the very end of a region. */
        struct vhost_position at = { .known = 0 };
        memset(b.guest, 0xee, sizeof *b.guest);
        make_plain_ring(&b, 4, FEATURE(VIRTIO_NET_F_MRG_RXBUF));
        b.guest->desc[0] = (struct vring_desc) { .addr = region_at[1], .len = 1, .flags = VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, .next = 1 };
        b.guest->desc[1] = (struct vring_desc) { .addr = region_at[1] + REGION_SIZE - cut, .len = cut, .flags = VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, .next = 2 };
        b.guest->desc[2] = (struct vring_desc) { .addr = region_at[0], .len = 9000, .flags = VRING_DESC_F_WRITE };
        struct vhost_burst burst = vhost_ring_send(&b.ring, &at, &m, 1);
        CU_ASSERT_EQUAL(burst.n, 1);
        CU_ASSERT_EQUAL(b.guest->used.idx, 1);
        CU_ASSERT_EQUAL(b.guest->used.ring[0].len, 2012);
        CU_ASSERT_EQUAL(b.guest->memory[0][11 - cut], 0);               /* The frame's first byte. */
        CU_ASSERT_EQUAL(b.guest->memory[0][11 - cut + 1999], 1999 & 0xff);
        CU_ASSERT_EQUAL(b.guest->memory[0][11 - cut + 2000], 0xee);
        for (unsigned i = 0; i < BESIDE; i++) {
            CU_ASSERT_EQUAL(b.guest->memory[1][REGION_SIZE + i], 0xee);
        }
        CU_ASSERT_EQUAL(b.guest->memory[1][1], 0xee);
    }
    rte_pktmbuf_free(m);
    teardown(&b);
}

/* As many pieces as a frame may have, and one more: by chains, and by buffers of a byte, or none, in one chain, and in a loop. */
static void test_too_many_pieces(void)
{
    struct bench b;
    struct rte_mbuf *m = mbuf_test_make(VHOST_CHAIN_PIECES * 20 - 12), *got[4];
    setup(&b, 1);
    for (unsigned more = 0; more < 2; more++) {
        struct vhost_position at = { .known = 0 };
        make_plain_ring(&b, 512, FEATURE(VIRTIO_NET_F_MRG_RXBUF));
        for (unsigned i = 0; i < 512; i++) {
            b.guest->desc[i] = (struct vring_desc) { .addr = region_at[0], .len = i || !more ? 20 : 0, .flags = VRING_DESC_F_WRITE };
        }
        CU_ASSERT_EQUAL(vhost_ring_send(&b.ring, &at, &m, 1).n, !more);
        CU_ASSERT_EQUAL(at.used, more ? 0 : VHOST_CHAIN_PIECES);

        at = (struct vhost_position) { .known = 0 };
        for (unsigned i = 0; i < 512; i++) {
            b.guest->desc[i] = (struct vring_desc) { .addr = region_at[0], .len = i > 3, .flags = VRING_DESC_F_NEXT, .next = (uint16_t) (i + 1) };
        }
        b.guest->desc[VHOST_CHAIN_PIECES - 1 + more].flags = 0;
        struct vhost_burst burst = vhost_ring_receive(&b.ring, &at, b.pool, got, 1);
        CU_ASSERT_EQUAL(burst.n, !more);
        if (burst.n) {
            CU_ASSERT_EQUAL(got[0]->pkt_len, VHOST_CHAIN_PIECES - 4 - 12);
            rte_pktmbuf_free(got[0]);
        }
    }
    struct vhost_position at = { .known = 0 };
    b.guest->desc[0] = (struct vring_desc) { .addr = region_at[0], .len = 100, .flags = VRING_DESC_F_NEXT, .next = 1 };
    b.guest->desc[1] = (struct vring_desc) { .flags = VRING_DESC_F_NEXT, .next = 0 };
    CU_ASSERT_EQUAL(vhost_ring_receive(&b.ring, &at, b.pool, got, 1).n, 0);
    CU_ASSERT_EQUAL(at.used, 0);
    rte_pktmbuf_free(m);
    teardown(&b);
}

/* Changes descriptors, whole or in part, as long as it may. */
struct changer { struct bench *b; struct rng rng; atomic_bool stop; };

static void *change(void *aux)
{
    struct changer *c = aux;
    while (!atomic_load_explicit(&c->stop, memory_order_relaxed)) {
        struct vring_desc *d = &c->b->guest->desc[rng_below(&c->rng, c->b->size)];
        uint64_t what = rng_u64(&c->rng);
        uint32_t len = (uint32_t) (what >> 8 & 0xff);
        switch (what & 7) {
        case 0: __atomic_store_n(&d->len, len, __ATOMIC_RELAXED); break;
        case 1: __atomic_store_n(&d->len, what & 0x10000 ? UINT32_MAX : REGION_SIZE, __ATOMIC_RELAXED); break;
        case 2: __atomic_store_n(&d->next, (uint16_t) (what >> 16), __ATOMIC_RELAXED); break;
        case 3: __atomic_store_n(&d->addr, region_at[len % N_REGIONS] + REGION_SIZE - len % 64, __ATOMIC_RELAXED); break;
        case 4: __atomic_store_n(&d->flags, (uint16_t) (what >> 16 & 7), __ATOMIC_RELAXED); break;
        default:
            __atomic_store_n(&d->addr, region_at[len % N_REGIONS] + (what >> 16) % (REGION_SIZE - 256), __ATOMIC_RELAXED);
            __atomic_store_n(&d->len, len, __ATOMIC_RELAXED);
            __atomic_store_n(&d->next, (uint16_t) ((what >> 32) % c->b->size), __ATOMIC_RELAXED);
            break;
        }
    }
    return NULL;
}

/* A guest that changes descriptors while they are read harms nothing but its own memory. */
static void test_changing_guest(void)
{
    struct bench b;
    struct rte_mbuf *mbufs[32], *got[32];
    pthread_t thread;
    unsigned n_sent = 0, n_got = 0;
    setup(&b, 1);
    memset(b.guest, 0xee, sizeof *b.guest);
    make_plain_ring(&b, 64, FEATURE(VIRTIO_NET_F_MRG_RXBUF));
    for (unsigned i = 0; i < 64; i++) {
        b.guest->desc[i] = (struct vring_desc) { .addr = region_at[i % N_REGIONS], .len = 100, .flags = i & 1 ? VRING_DESC_F_WRITE : 0 };
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mbufs); i++) {
        mbufs[i] = mbuf_test_make(60 + 10 * i);
    }
    struct changer c = { .b = &b };
    rng_seed(&c.rng, unit_seed());
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, change, &c), 0);
    for (unsigned i = 0; i < 20000; i++) {
        struct vhost_position at = { .avail = (uint16_t) i, .used = (uint16_t) i };
        b.guest->avail.idx = (uint16_t) (i + 64);
        if (i & 1) {
            n_sent += vhost_ring_send(&b.ring, &at, mbufs, ARRAY_SIZE(mbufs)).n;
        } else {
            struct vhost_burst burst = vhost_ring_receive(&b.ring, &at, b.pool, got, ARRAY_SIZE(got));
            rte_pktmbuf_free_bulk(got, burst.n);
            n_got += burst.n;
        }
    }
    atomic_store(&c.stop, true);
    pthread_join(thread, NULL);
    CU_ASSERT_TRUE(n_sent > 0 && n_got > 0);
    for (unsigned i = 0; i < N_REGIONS; i++) {
        for (unsigned k = 0; k < BESIDE; k++) {
            CU_ASSERT_EQUAL(b.guest->memory[i][REGION_SIZE + k], 0xee);
        }
    }
    rte_pktmbuf_free_bulk(mbufs, ARRAY_SIZE(mbufs));
    teardown(&b);
}

/* Without buffers of its own nothing is taken from the guest. */
static void test_no_buffers(void)
{
    struct bench b;
    struct rte_mbuf *taken[2048], *got[4];
    struct vhost_position at = { .known = 0 };
    unsigned n = 0;
    setup(&b, 1);
    b.size = 4;
    struct rte_vhost_vring v = { .size = 4, .desc = b.guest->desc, .avail = (struct vring_avail *) &b.guest->avail, .used = (struct vring_used *) &b.guest->used };
    vhost_ring_init(&b.ring, 0, 0, &v, FEATURE(VIRTIO_F_VERSION_1), b.table);
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
    CU_ASSERT_TRUE(burst.call);
    CU_ASSERT_EQUAL(b.guest->used.idx, 4);
    rte_pktmbuf_free_bulk(got, burst.n);
    teardown(&b);
}

static void test_not_served(void)
{
    static const unsigned features[] = { VIRTIO_F_RING_PACKED, VIRTIO_F_IOMMU_PLATFORM };
    struct bench b;
    setup(&b, 1);
    struct rte_vhost_vring v = { .size = 4, .desc = b.guest->desc, .avail = (struct vring_avail *) &b.guest->avail, .used = (struct vring_used *) &b.guest->used }, w = v;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        vhost_ring_init(&b.ring, 0, 0, &v, FEATURE(features[i]) | FEATURE(VIRTIO_F_VERSION_1), b.table);
        CU_ASSERT_EQUAL(b.ring.size, 0);
    }
    vhost_ring_init(&b.ring, 0, 0, &v, 0, NULL);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    w.used = NULL;
    vhost_ring_init(&b.ring, 0, 0, &w, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    w = v;
    w.size = 3;
    vhost_ring_init(&b.ring, 0, 0, &w, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 0);
    vhost_ring_init(&b.ring, 0, 0, &v, 0, b.table);
    CU_ASSERT_EQUAL(b.ring.size, 4);
    teardown(&b);
}

void vhost_ring_test_suite(void)
{
    UNIT_SUITE("vhost ring", { "bursts against a twin", test_against_twin }, { "a header in pieces", test_header_in_pieces }, { "too many pieces", test_too_many_pieces },
               { "a guest that changes", test_changing_guest }, { "no buffers", test_no_buffers }, { "rings that are not served", test_not_served });
}
