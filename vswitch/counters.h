/*
 * Packet and byte counters of rules, groups, buckets and meters: numbers, and one dense array per thread.
 *
 * Why numbers.  The flow cache counts without touching a rule: an entry holds the numbers of what its packets hit, and
 * a thread's counters for them lie in an array of its own, 32 bytes each.  So a thousand rules that are in use are 32
 * KiB, which stay in the first-level cache, and no two threads ever write one line.  An array has the address space
 * for all numbers from the start, so a number is an offset; its memory comes in chunks that the control thread makes
 * before a number is given out.
 *
 * Exactness.  Everything is counted where it happens; nothing is folded later.  A counter only ever grows: clearing
 * one, and giving its number to somebody else, remembers what it stood at.  A table's lookups and matches are sums over
 * its rules' counters, those of rules that are gone, and the table's misses, which have counters of their own (numbers
 * 0 to OF_N_TABLES - 1).
 *
 * Threads: a thread writes its own cells with relaxed stores; the control thread reads them all, and writes everything
 * else.
 *
 * Packets and bytes move with one aligned SSE2 store of 16 bytes in place of two of eight (figures: vswitch/cache.h).  A reader looks at eight bytes at a time and must see
 * each old or new.  Intel's manual lets an SSE instruction of more than a quadword "be implemented using multiple memory accesses" (SDM volume 3A, "Guaranteed Atomic
 * Operations"), and does not say that these are quadwords; but no x86-64 processor has a path to its cache that is narrower, and whoever looked for tearing found none within
 * eight bytes (https://rigtorp.se/isatomic/).  ThreadSanitizer, and processors that are not x86, get C's own atomics.
 */
#ifndef VSWITCH_COUNTERS_H
#define VSWITCH_COUNTERS_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/hmap.h"
#include "ofproto/flow_table.h"

struct dp;
struct dp_thread;

#define COUNTER_CHUNK_BITS 12
#define COUNTER_CHUNK (1u << COUNTER_CHUNK_BITS)
#define COUNTER_MAX_CHUNKS 4096u
#define COUNTER_NO_TABLE OF_N_TABLES

struct counter { _Atomic uint64_t packets, bytes, used_ns; uint64_t pad; } __attribute__((aligned(32)));
#if defined __SSE2__ && !defined __SANITIZE_THREAD__
#define COUNTER_PAIRS 1
typedef uint64_t counter_pair __attribute__((vector_size(16), may_alias));         /* `packets` and `bytes`. */
#endif

struct counters {
    uint32_t id;                                /* Immutable. */
    uint16_t table;                             /* Whose lookups these are, or COUNTER_NO_TABLE.  Immutable. */
    unsigned refs;                              /* Control. Shared by an entry and the one that replaces it (section 6.4: counters are copied). */
    uint64_t base_packets, base_bytes;          /* Control: what counts as zero, */
    uint64_t born_packets;                      /* and what the number stood at when it was given out. */
    struct list siblings;                       /* Control: of one table. */
    struct dp *dp;
};

struct dp_rule;
struct counter_owners { _Atomic(struct dp_rule *) rule[COUNTER_CHUNK]; };

/* Control, but for `owners`, which all read. */
struct counter_space {
    uint32_t n;                                 /* Numbers given out so far, of which */
    uint32_t *free;                             /* these are back. */
    size_t n_free, room;
    struct list of_table[OF_N_TABLES];          /* Live counters. */
    uint64_t retired[OF_N_TABLES];              /* Packets of those that are gone. */
    _Atomic(struct counter_owners *) owners[COUNTER_MAX_CHUNKS];        /* Rules by number, NULL for what is none. */
};

/* A thread's: address space for all numbers there may ever be; what is behind the chunks in use may not be touched.  Immutable. */
struct counter_cells { struct counter *at; };

static inline void count_add(_Atomic uint64_t *x, uint64_t n)
{
    atomic_store_explicit(x, atomic_load_explicit(x, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline struct counter *counter_cell(const struct counter_cells *cells, uint32_t id)
{
    return cells->at + id;
}

/* [poll, of its own cells] */
static inline void count_packets(const struct counter_cells *cells, uint32_t id, uint64_t packets, uint64_t bytes, uint64_t now_ns)
{
    struct counter *c = counter_cell(cells, id);
#ifdef COUNTER_PAIRS
    *(counter_pair *) c += (counter_pair) { packets, bytes };
#else
    count_add(&c->packets, packets);
    count_add(&c->bytes, bytes);
#endif
    atomic_store_explicit(&c->used_ns, now_ns, memory_order_relaxed);
}

/* All below: [control]. */
void counter_space_init(struct dp *);           /* Threads are there. */
void counter_space_fini(struct dp *);           /* Every counter is gone. */
/* All zero. `table`: COUNTER_NO_TABLE unless it is a flow entry's. */
struct counters *counters_new(struct dp *, uint16_t table);
/* The last reference gives the number back after the grace period. */
void counters_put(struct dp *, struct counters *);
/* The rule in force that counts with it; NULL: none any more, if it still is `former`. */
void counters_own(struct counters *, struct dp_rule *);
void counters_disown(struct counters *, const struct dp_rule *former);
void counters_sum(const struct counters *, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns);
void counters_reset(struct counters *);
/* What a table was asked and what it found, ever. */
void counters_table(struct dp *, uint8_t table, uint64_t *lookups, uint64_t *matches);

#endif
