/*
 * Where poll-mode threads spend their time: cycles per stage, sizes of batches, what the flow cache did.
 *
 * Each thread has a `struct perf` of its own (dp_thread_perf()), written by that thread alone; the control thread reads
 * it, relaxed, and sums. Nothing here is ever cleared by a reader: who wants to start anew remembers what he read.
 *
 * Counts (batches, their sizes, events) are exact and added once per batch. Times are a sample: in one round of the
 * polling loop out of PERF_EVERY that had frames the thread notes the time stamp counter at the end of each stage and
 * charges the stage with what has passed since the end of the one before ("lap"). In all other rounds a lap is one test
 * of a flag that is in the first cache line of the thread's own structure, so all of it costs well under one percent
 * (utilities/bench/README.md has the figures). A stage may be lapped once per batch or many times; the packets given
 * with the laps say how many it worked on, so that cycles per packet of a stage that few packets reach (a walk of the
 * tables, say) are right, too.
 *
 *     perf_begin(p);  n = rx();  perf_lap(p, PERF_RX, n);  extract all;  perf_lap(p, PERF_PARSE, n);  …
 */
#ifndef VSWITCH_PERF_H
#define VSWITCH_PERF_H 1

#include <stdbool.h>
#include <stdint.h>
#ifdef __x86_64__
#include <x86intrin.h>
#else
#include <time.h>
#endif

#define PERF_EVERY 64           /* One round with frames in so many is timed. */

enum perf_stage {
    PERF_RX,                    /* Taking a batch from its device. */
    PERF_PARSE,                 /* Headers to keys. */
    PERF_CACHE,                 /* Looking the keys up in the flow cache, and putting new ones in. */
    PERF_WALK,                  /* Walking the tables with what the cache does not know. */
    PERF_ACTIONS,               /* Running action programs; counting. */
    PERF_TX,                    /* Handing bursts to devices. */
    PERF_N_STAGES
};

enum perf_event {
    PERF_CACHE_HIT,             /* Packets whose program the cache knew. */
    PERF_CACHE_MISS,            /* Packets that it did not know; they walked the tables. */
    PERF_CACHE_STALE,           /* Of the misses: known, but made under rules that have changed. */
    PERF_CACHE_INSERT,          /* Flows put in. */
    PERF_CACHE_EVICT,           /* Flows that had to go for others. */
    PERF_UNCACHED,              /* Packets of which the cache may know nothing (several outputs, a controller, …), and so walked. */
    PERF_N_EVENTS
};

/* Batches of 1, 2, 3 to 4, 5 to 8, 9 to 16, 17 to 32, and 33 to 64 packets. */
#define PERF_N_SIZES 7

struct perf_counts {            /* Of uint64_t only. */
    uint64_t batches, packets;  /* Received. */
    uint64_t sizes[PERF_N_SIZES];
    uint64_t events[PERF_N_EVENTS];
    struct { uint64_t cycles, packets; } stages[PERF_N_STAGES];         /* Of timed rounds only. */
};

struct perf {
    bool timed;                 /* This round is a sample. */
    uint8_t until;              /* Rounds with frames until the next sample. */
    uint64_t mark;              /* Time stamp of the latest lap. */
    struct perf_counts counts;  /* Read by any thread. */
};

extern const char *const perf_stage_names[PERF_N_STAGES], *const perf_event_names[PERF_N_EVENTS];
/* The least batch of a histogram's column, packets. */
extern const uint8_t perf_size_least[PERF_N_SIZES];

/* The time stamp counter, in ticks of unknown but constant length. */
static inline uint64_t perf_now(void)
{
#ifdef __x86_64__
    return __rdtsc();
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
#endif
}

/* [its thread] Adds so that a reader in another thread sees the old or the new value. */
static inline void perf_add(uint64_t *x, uint64_t n)
{
    __atomic_store_n(x, __atomic_load_n(x, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* [its thread] What comes next is charged from here on. */
static inline void perf_begin(struct perf *p)
{
    if (__builtin_expect(p->timed, 0)) {
        p->mark = perf_now();
    }
}

/* [its thread] Ends a stage that worked on n packets (of which it may have none: then they are counted elsewhere). */
static inline void perf_lap(struct perf *p, enum perf_stage stage, unsigned n)
{
    if (__builtin_expect(p->timed, 0)) {
        uint64_t now = perf_now();
        perf_add(&p->counts.stages[stage].cycles, now - p->mark);
        perf_add(&p->counts.stages[stage].packets, n);
        p->mark = now;
    }
}

static inline void perf_count(struct perf *p, enum perf_event event, uint64_t n)
{
    perf_add(&p->counts.events[event], n);
}

/* [its thread] A batch of n packets, 1 to 32, was received. */
static inline void perf_batch(struct perf *p, unsigned n)
{
    perf_add(&p->counts.batches, 1);
    perf_add(&p->counts.packets, n);
    perf_add(&p->counts.sizes[n > 1 ? 32 - __builtin_clz(n - 1) : 0], 1);
}

/* [its thread] The round ends; `any`: it had frames. */
static inline void perf_round(struct perf *p, bool any)
{
    if (any) {
        p->timed = !p->until;
        p->until = (uint8_t) (p->until ? p->until - 1 : PERF_EVERY - 1);
    }
}

/* [any thread] What was counted since `base`, an earlier result for the same thread; NULL: since the start. */
void perf_read(const struct perf *, const struct perf_counts *base, struct perf_counts *out);

#endif
