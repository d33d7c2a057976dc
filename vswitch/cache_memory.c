/*
 * The caches' memory and their life [control].
 *
 * Growth: a cache begins with room for CACHE_FIRST flows; when a sixteenth of its entries have had to make room of late it is replaced by one sixteen
 * times as large, up to the configured size.  What was cached is walked again once.  Memory is touched here, so that no poll-mode thread meets a page
 * fault, and asks for huge pages: with a million flows an address translation costs as much as the line itself.
 */
#include "vswitch/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"

#define CACHE_FIRST ((size_t) 8192)
#define CACHE_GROWTH 16
#define FORGET_NS UINT64_C(2500000000)  /* In so long evictions are forgotten but for 1/e of them: a few now and then make no cache grow. */
#define HUGE_PAGE ((size_t) 2 << 20)
#define FLOW_BYTES 124                  /* Of a flow, its tag and its share of free places; programs and the table of misses come to less than four more at a million. */
#define RECOUNT_NS UINT64_C(5000000000)

static void memory_free(void *memory)
{
    struct cache_memory *m = memory;
    munmap(m->at, m->size);
    free(m);
}

/* NULL: no memory. */
static struct cache_memory *memory_new(size_t n_flows)
{
    struct cache_memory *m = XNEW(struct cache_memory);
    m->n_flows = n_flows;
    m->size = ROUND_UP(n_flows * FLOW_BYTES, 4096);
    bool huge = m->size >= HUGE_PAGE;
    size_t size = huge ? m->size / HUGE_PAGE * HUGE_PAGE : m->size, extra = huge ? HUGE_PAGE : 0;
    uint8_t *at = mmap(NULL, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        free(m);
        return NULL;
    }
    if (huge) {                         /* Aligned, the rest given back. */
        uint8_t *aligned = (uint8_t *) ROUND_UP((uintptr_t) at, HUGE_PAGE);
        if (aligned != at) {
            munmap(at, (size_t) (aligned - at));
        }
        if (aligned + size != at + size + extra) {
            munmap(aligned + size, (size_t) (at + extra - aligned));
        }
        at = aligned;
        madvise(at, size, MADV_HUGEPAGE);       /* Without it: slower, no worse. */
    }
    m->size = size;
    m->at = at;
    memset(at, 0, m->size);
    return m;
}

static void cache_grow(struct dp *dp, struct cache *c, size_t n_flows)
{
    struct cache_memory *old = atomic_load_explicit(&c->memory, memory_order_relaxed), *m = memory_new(n_flows);
    if (m) {
        atomic_store_explicit(&c->memory, m, memory_order_release);
        if (old) {
            dp_defer(memory_free, old, dp);
        }
    }
}

static void cache_free(struct cache *c)
{
    struct cache_memory *m = atomic_load_explicit(&c->memory, memory_order_relaxed);
    if (m) {
        memory_free(m);
    }
    free(c->programs);
    free(c->program_index);
    free(c->missed);
}

static void cache_begin(struct dp *dp, struct cache *c, size_t n_flows)
{
    c->programs = aligned_alloc(64, CACHE_MAX_PROGRAMS * sizeof c->programs[0]);
    c->program_index = xcalloc(2 * CACHE_MAX_PROGRAMS, sizeof c->program_index[0]);
    c->missed = xcalloc(CACHE_MISSED, sizeof c->missed[0]);
    if (!c->programs) {
        abort();
    }
    memset(c->programs, 0, CACHE_MAX_PROGRAMS * sizeof c->programs[0]);
    cache_grow(dp, c, n_flows);
}

void dp_set_cache(struct dp *dp, size_t n_flows, bool check)
{
    dp->cache->max_flows = n_flows;
    dp->cache->check = check;
    cache_replan(dp);
    for (unsigned i = 1; n_flows && i < dp->n_threads; i++) {
        if (!atomic_load_explicit(&dp->threads[i]->cache.memory, memory_order_relaxed)) {
            cache_begin(dp, &dp->threads[i]->cache, MIN(n_flows, CACHE_FIRST));
        }
    }
}

void cache_init(struct dp *dp)
{
    struct rng rng;
    dp->cache = XNEW(struct cache_control);
    dp->cache->ticked_ns = clock_now_ns(&dp->clock);
    cache_lanes_init(dp->cache, dp->cache->ticked_ns);
    rng_seed_random(&rng);
    for (unsigned i = 0; i < CACHE_MAX_WORDS + 2; i++) {
        dp->cache->seeds[i] = rng_u64(&rng) | 1;
    }
    cache_replan(dp);
}

void cache_fini(struct dp *dp)
{
    for (unsigned i = 0; i < dp->n_threads; i++) {
        cache_free(&dp->threads[i]->cache);
    }
    cache_plan_free(dp->cache->plan);
    cache_lanes_fini(dp->cache);
    free(dp->cache);
}

/* Walks that found no room get it. */
static void longer_walks(struct dp *dp)
{
    struct cache_control *cc = dp->cache;
    unsigned longest = 0;
    for (unsigned i = 1; i < dp->n_threads; i++) {
        longest = MAX(longest, atomic_load_explicit(&dp->threads[i]->cache.longest, memory_order_relaxed));
    }
    if (longest > MAX(cc->plan->n_ids, cc->n_ids)) {
        cc->n_ids = longest;
        cache_replan(dp);
    }
}

void dp_tick(struct dp *dp)
{
    struct cache_control *cc = dp->cache;
    uint64_t now = clock_now_ns(&dp->clock);
    if (cc->shrunk && now - cc->counted_ns >= RECOUNT_NS) {
        cc->counted_ns = now;
        cache_recount(dp);
    }
    cache_lanes_tick(dp, now);
    longer_walks(dp);
    double forgotten = (double) MIN(now - cc->ticked_ns, FORGET_NS) / (double) FORGET_NS;
    cc->ticked_ns = now;
    for (unsigned i = 1; i < dp->n_threads; i++) {
        struct cache *c = &dp->threads[i]->cache;
        const struct cache_memory *m = atomic_load_explicit(&c->memory, memory_order_relaxed);
        uint64_t evictions = atomic_load_explicit(&c->counters.evictions, memory_order_relaxed), of_late = evictions - c->seen_evictions;
        if (m && of_late > m->n_flows / 16 && m->n_flows < cc->max_flows) {
            cache_grow(dp, c, MIN(m->n_flows * CACHE_GROWTH, cc->max_flows));
            of_late = 0;
        }
        c->seen_evictions = evictions - (uint64_t) ((1 - forgotten) * (double) of_late);
    }
}

void dp_cache_stats(struct dp *dp, unsigned thread, struct dp_cache_stats *out)
{
    struct cache *c = &dp->threads[thread]->cache;
    const struct cache_memory *m = atomic_load_explicit(&c->memory, memory_order_relaxed);
    const struct cache_plan *p = dp->cache->plan;
    *out = (struct dp_cache_stats) {
        .hits = atomic_load_explicit(&c->counters.hits, memory_order_relaxed), .guided = atomic_load_explicit(&c->counters.guided, memory_order_relaxed),
        .misses = atomic_load_explicit(&c->counters.misses, memory_order_relaxed), .uncached = atomic_load_explicit(&c->counters.uncached, memory_order_relaxed),
        .inserts = atomic_load_explicit(&c->counters.inserts, memory_order_relaxed), .evictions = atomic_load_explicit(&c->counters.evictions, memory_order_relaxed),
        .stale = atomic_load_explicit(&c->counters.stale, memory_order_relaxed), .resets = atomic_load_explicit(&c->counters.resets, memory_order_relaxed),
        .mismatches = atomic_load_explicit(&c->counters.mismatches, memory_order_relaxed),
        .n_flows = m ? m->n_flows : 0, .key_words = p->usable ? p->n_key : 0, .lanes = p->n_lanes, .stride = p->stride,
    };
    if (m) {
        out->bytes = m->size + CACHE_MISSED * sizeof c->missed[0] + CACHE_MAX_PROGRAMS * (sizeof c->programs[0] + 2 * sizeof c->program_index[0]);
    }
}
