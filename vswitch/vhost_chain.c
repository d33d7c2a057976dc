#include "vswitch/vhost_chain.h"

#include <assert.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "lib/util.h"
#include "vswitch/device_mbuf.h"

#define MAX_TAKEN (MBUF_JUMBO_ROOM + 1u)        /* Of a frame; the poll-mode thread drops, and counts, what is longer than MBUF_JUMBO_ROOM. */
#define MAX_SEGMENTS ((MAX_TAKEN + MBUF_ROOM - 1) / MBUF_ROOM)

struct piece { uint8_t *data; uint64_t at; uint32_t len; };     /* Ours, checked; `at` is the guest's name for it.  May be empty. */

struct pieces {
    uint64_t len;               /* Of all of them. */
    unsigned n;
    struct piece piece[VHOST_CHAIN_PIECES];
};

/* --- Descriptors --- */

/* Bytes of the guest's, which may be in several regions; false: some are in none. */
static bool read_guest(const struct rte_vhost_memory *memory, uint64_t at, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        uint64_t here;
        const uint8_t *from = vhost_memory_at(memory, at + done, &here);
        if (!from) {
            return false;
        }
        size_t n = MIN(here, size - done);
        memcpy((uint8_t *) to + done, from, n);
        done += n;
    }
    rte_compiler_barrier();     /* Or the compiler might look again, where the guest has written since. */
    return true;
}

static struct vring_desc read_desc(const struct vring_desc *d)
{
    return (struct vring_desc) {
        .addr = __atomic_load_n(&d->addr, __ATOMIC_RELAXED), .len = __atomic_load_n(&d->len, __ATOMIC_RELAXED),
        .flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED), .next = __atomic_load_n(&d->next, __ATOMIC_RELAXED),
    };
}

/* A descriptor's bytes; one that has none counts as a piece all the same.  False: some are in no region, or there are too many pieces. */
static bool add(const struct rte_vhost_memory *memory, struct pieces *p, uint64_t at, uint32_t len)
{
    do {
        uint64_t here = 0;
        uint8_t *data = len ? vhost_memory_at(memory, at, &here) : NULL;
        if (p->n == VHOST_CHAIN_PIECES || (len && !data)) {
            return false;
        }
        uint32_t n = (uint32_t) MIN(here, len);
        p->piece[p->n++] = (struct piece) { .data = data, .at = at, .len = n };
        p->len += n;
        at += n;
        len -= n;
    } while (len);
    return true;
}

/*
 * Adds what the chain that begins with descriptor `head` says.  `flags`: VRING_DESC_F_WRITE or 0 (section 2.6.5.1: "A device MUST NOT write to a
 * device-readable buffer, and a device SHOULD NOT read a device-writable buffer").  Section 2.6.5.3.2: of the descriptor that refers to an indirect table, that
 * flag is ignored; a table's descriptors name each other by their places in it, beginning with the first.  A loop ends when there are too many pieces.  False:
 * it cannot be understood; what was added is of no use.
 */
static bool add_chain(const struct vhost_ring *r, struct pieces *p, uint16_t head, uint16_t flags)
{
    if (head >= r->size) {
        return false;
    }
    struct vring_desc d = read_desc(&r->desc[head]);
    bool indirect = d.flags & VRING_DESC_F_INDIRECT;
    uint64_t table = d.addr;
    uint32_t n = indirect ? d.len / sizeof d : r->size;
    if (indirect && (!n || n > r->size || !read_guest(r->memory, table, &d, sizeof d))) {
        return false;           /* Section 2.6.5.3.1: no chain is longer than the queue. */
    }
    while ((d.flags & VRING_DESC_F_WRITE) == flags && add(r->memory, p, d.addr, d.len)) {
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        if (d.next >= n) {
            return false;
        }
        if (!indirect) {
            d = read_desc(&r->desc[d.next]);
        } else if (!read_guest(r->memory, table + d.next * sizeof d, &d, sizeof d)) {
            return false;
        }
    }
    return false;
}

static uint16_t head_at(const struct vhost_ring *r, uint16_t position)
{
    return __atomic_load_n(&r->avail->ring[position & (r->size - 1)], __ATOMIC_RELAXED);
}

static void use(const struct vhost_ring *r, struct vhost_position *at, struct vring_used_elem e)
{
    uint16_t i = at->used & (uint16_t) (r->size - 1);
    r->used->ring[i] = e;
    if (r->logged) {
        rte_vhost_log_used_vring(r->vid, r->number, offsetof(struct vring_used, ring[i]), sizeof e);
    }
    vhost_ring_move(at, 1);
}

/* --- Bytes --- */

struct place { const struct piece *piece; uint32_t offset; };

/* The next bytes of a piece, `len` at most, and at least one: there are so many left. */
static uint8_t *next_bytes(struct place *c, uint32_t *len)
{
    while (c->offset == c->piece->len) {
        c->piece++;
        c->offset = 0;
    }
    *len = MIN(*len, c->piece->len - c->offset);
    uint8_t *p = c->piece->data + c->offset;
    c->offset += *len;
    return p;
}

static void copy_from(struct place *c, uint8_t *to, uint32_t len)
{
    for (uint32_t n; len; to += n, len -= n) {
        n = len;
        const uint8_t *from = next_bytes(c, &n);
        memcpy(to, from, n);
    }
}

static void copy_to(struct place *c, const struct vhost_ring *r, const uint8_t *from, uint32_t len)
{
    for (uint32_t n; len; from += n, len -= n) {
        n = len;
        uint8_t *to = next_bytes(c, &n);
        memcpy(to, from, n);
        if (r->logged) {
            rte_vhost_log_write(r->vid, c->piece->at + c->offset - n, n);
        }
    }
}

static void skip(struct place *c, uint32_t len)
{
    for (uint32_t n; len; len -= n) {
        n = len;
        next_bytes(c, &n);
    }
}

/* --- Frames --- */

/* The `size` next bytes, size > 0, in as many buffers as they need; NULL: there are not so many. */
static struct rte_mbuf *to_mbufs(struct place *c, uint32_t size, struct rte_mempool *pool)
{
    struct rte_mbuf *segments[MAX_SEGMENTS];
    uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM, n = (size + room - 1) / room;
    assert(n <= MAX_SEGMENTS);
    if (rte_pktmbuf_alloc_bulk(pool, segments, n)) {
        return NULL;
    }
    segments[0]->pkt_len = size;
    segments[0]->nb_segs = (uint16_t) n;
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = MIN(size, room);
        copy_from(c, rte_pktmbuf_mtod(segments[i], uint8_t *), len);
        segments[i]->data_len = (uint16_t) len;
        segments[i]->next = i + 1 < n ? segments[i + 1] : NULL;
        size -= len;
    }
    return segments[0];
}

uint16_t vhost_chain_receive(const struct vhost_ring *r, struct vhost_position *at, unsigned n, struct rte_mempool *pool, struct rte_mbuf **mbufs)
{
    struct pieces p;
    uint16_t got = 0;
    for (; n; n--) {
        uint16_t head = head_at(r, at->avail);
        p.n = 0;
        p.len = 0;
        if (!add_chain(r, &p, head, 0)) {
            break;
        }
        if (p.len > r->header) {
            struct place c = { .piece = p.piece };
            skip(&c, r->header);
            mbufs[got] = to_mbufs(&c, (uint32_t) MIN(p.len - r->header, MAX_TAKEN), pool);
            if (!mbufs[got]) {
                break;
            }
            got++;
        }
        use(r, at, (struct vring_used_elem) { .id = head, .len = 0 });
    }
    return got;
}

/* As many chains as the frame needs, `there` at most; returns how many, and in `used` what of each will be used.  0: they do not suffice. */
static unsigned reserve(const struct vhost_ring *r, const struct vhost_position *at, uint32_t size, unsigned there, struct pieces *p,
                        struct vring_used_elem *used)
{
    unsigned n = 0;
    p->n = 0;
    p->len = 0;
    while (p->len < size) {
        if (n == there) {
            return 0;
        }
        uint16_t head = head_at(r, (uint16_t) (at->avail + n));
        uint64_t before = p->len;
        if (!add_chain(r, p, head, VRING_DESC_F_WRITE)) {
            return 0;
        }
        used[n++] = (struct vring_used_elem) { .id = head, .len = (uint32_t) MIN(p->len - before, size - before) };
    }
    return n;
}

uint16_t vhost_chain_send(const struct vhost_ring *r, struct vhost_position *at, struct rte_mbuf *const *mbufs, unsigned n)
{
    struct pieces p;
    struct vring_used_elem used[VHOST_CHAIN_PIECES];    /* Each chain is a piece at least. */
    uint16_t sent;
    for (sent = 0; sent < n; sent++) {
        unsigned k = reserve(r, at, r->header + mbufs[sent]->pkt_len, vhost_ring_available(r, at, r->max_chains), &p, used);
        if (!k) {
            break;
        }
        struct virtio_net_hdr_mrg_rxbuf header = { .num_buffers = (uint16_t) k };
        struct place c = { .piece = p.piece };
        copy_to(&c, r, (const uint8_t *) &header, r->header);
        for (const struct rte_mbuf *m = mbufs[sent]; m; m = m->next) {
            copy_to(&c, r, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
        }
        for (unsigned i = 0; i < k; i++) {
            use(r, at, used[i]);
        }
    }
    return sent;
}
