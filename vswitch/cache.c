/*
 * The table: sets of eight, two sets for each key.
 *
 * Eight 16-bit tags of a set are 16 bytes, compared at once, and lie apart from the entries: the tags of a million flows are 2 MiB.  A place in the tags is a place among
 * the entries, so there is no pointer in between.  With two sets to choose from, nine tenths of all places fill before anybody has to leave.
 */
#include "vswitch/cache.h"

#include <string.h>
#include "vswitch/dp_private.h"

#ifdef __SSE2__
#include <emmintrin.h>
/* A bit pair for each of the eight tags that is equal. */
static inline unsigned equal_tags(const uint16_t *tags, uint16_t tag)
{
    return (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi16(_mm_load_si128((const __m128i *) (const void *) tags), _mm_set1_epi16((short) tag)));
}
#else
static inline unsigned equal_tags(const uint16_t *tags, uint16_t tag)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < CACHE_WAYS; i++) {
        mask |= (tags[i] == tag ? 3u : 0u) << 2 * i;
    }
    return mask;
}
#endif

static const uint16_t *tags_of(const struct cache *c, uint32_t bucket)
{
    return c->tags + (size_t) bucket * CACHE_WAYS;
}

static void begin_anew(struct cache *c, const struct cache_plan *plan)
{
    size_t entries = (size_t) plan->stride * CACHE_WAYS, tags = CACHE_WAYS * sizeof(uint16_t);
    c->n_buckets = (uint32_t) (c->active->size / (entries + tags));
    c->entries = c->active->at;
    c->tags = (uint16_t *) (void *) (c->active->at + c->n_buckets * entries);
    c->serial = plan->serial;
    c->n_programs = 1;                  /* 0 is CACHE_GUIDED. */
    c->n_refused = 0;
    memset(&c->recent, 0, sizeof c->recent);
    atomic_store_explicit(&c->longest, 0, memory_order_relaxed);
    memset(c->program_index, 0, 2 * CACHE_MAX_PROGRAMS * sizeof c->program_index[0]);
    memset(c->tags, 0, (size_t) c->n_buckets * CACHE_WAYS * sizeof(uint16_t));
    count_add(&c->counters.resets, 1);
}

bool cache_ready(struct cache *c, const struct cache_plan *plan)
{
    struct cache_memory *m = atomic_load_explicit(&c->memory, memory_order_acquire);
    if (!m || !plan->usable) {
        return false;
    }
    if (__builtin_expect(m != c->active || plan->serial != c->serial, 0)) {
        c->active = m;
        begin_anew(c, plan);
    }
    return true;
}

struct cache_entry *cache_candidate(const struct cache *c, const struct cache_plan *plan, uint64_t hash)
{
    uint16_t tag = cache_tag(hash);
    uint32_t bucket = cache_bucket1(c, hash);
    unsigned equal = equal_tags(tags_of(c, bucket), tag);
    if (!equal) {
        bucket = cache_bucket2(c, hash);
        equal = equal_tags(tags_of(c, bucket), tag);
        if (!equal) {
            return NULL;
        }
    }
    return cache_at(c, plan, bucket, (unsigned) __builtin_ctz(equal) / 2);
}

struct cache_entry *cache_find(const struct cache *c, const struct cache_plan *plan, const struct cache_key *key, uint64_t hash, uint32_t in_port)
{
    uint32_t buckets[2] = { cache_bucket1(c, hash), cache_bucket2(c, hash) };
    for (unsigned b = 0; b < 2; b++) {
        for (unsigned equal = equal_tags(tags_of(c, buckets[b]), cache_tag(hash)); equal; equal &= equal - 1, equal &= equal - 1) {
            struct cache_entry *e = cache_at(c, plan, buckets[b], (unsigned) __builtin_ctz(equal) / 2);
            if (cache_key_equal(plan, e, key, in_port)) {
                return e;
            }
        }
    }
    return NULL;
}

bool cache_still_right(const struct cache_plan *plan, struct cache_entry *e, uint32_t gen)
{
    uint32_t of = e->gen;
    if (of < atomic_load_explicit(&plan->flush, memory_order_relaxed)) {
        return false;
    }
    const uint32_t *ids = cache_ids(plan, e);
    for (unsigned i = 0; i < e->n_rules; i++) {
        if (atomic_load_explicit(&plan->ids[ids[i] % CACHE_ID_SLOTS], memory_order_relaxed) > of) {
            return false;
        }
    }
    unsigned n = atomic_load_explicit(&plan->n_changes, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        if (atomic_load_explicit(&plan->latest[i], memory_order_relaxed) <= of) {
            continue;
        }
        const struct cache_change *ch = atomic_load_explicit(&plan->changes[i], memory_order_acquire);
        if (!(e->visited & UINT32_C(1) << (ch->table & 31))) {
            continue;
        }
        if (atomic_load_explicit(&ch->slots[cache_change_slot(plan, ch, e->key, e->in_port)], memory_order_relaxed) > of) {
            return false;
        }
    }
    e->gen = gen;
    return true;
}

/* A free way, or that of an entry which is worth nothing, or -1. */
static int free_way(const struct cache *c, uint32_t bucket)
{
    unsigned equal = equal_tags(tags_of(c, bucket), 0);
    return equal ? __builtin_ctz(equal) / 2 : -1;
}

bool cache_admits(struct cache *c, const struct cache_plan *plan, const struct cache_key *key, uint64_t hash, uint32_t in_port)
{
    /* A free place, or its own one, which is out of date. */
    if (free_way(c, cache_bucket1(c, hash)) >= 0 || free_way(c, cache_bucket2(c, hash)) >= 0 || cache_find(c, plan, key, hash, in_port)) {
        return true;
    }
    uint16_t *missed = &c->missed[hash >> 16 & (CACHE_MISSED - 1)], tag = cache_tag(hash);
    bool again = *missed == tag;
    *missed = tag;
    return again;
}

struct cache_entry *cache_place(struct cache *c, const struct cache_plan *plan, const struct cache_key *key, uint64_t hash, uint32_t in_port, uint32_t gen)
{
    struct cache_entry *e = cache_find(c, plan, key, hash, in_port);
    if (!e) {
        uint32_t bucket = cache_bucket1(c, hash);
        int way = free_way(c, bucket);
        if (way < 0) {
            bucket = cache_bucket2(c, hash);
            way = free_way(c, bucket);
        }
        if (way < 0) {                  /* Somebody has to leave: the next in turn, of either set. */
            way = (int) (c->hand++ % CACHE_WAYS);
            bucket = c->hand & CACHE_WAYS ? bucket : cache_bucket1(c, hash);
            count_add(&c->counters.evictions, 1);
        }
        c->tags[(size_t) bucket * CACHE_WAYS + (unsigned) way] = cache_tag(hash);
        e = cache_at(c, plan, bucket, (unsigned) way);
        memcpy(e->key, key->w, plan->n_key * sizeof key->w[0]);
        e->in_port = (uint16_t) in_port;
        count_add(&c->counters.inserts, 1);
    }
    e->gen = gen;
    return e;
}

uint32_t cache_intern(struct cache *c, const struct cache_program *p)
{
    uint32_t at = (uint32_t) p->hash % (2 * CACHE_MAX_PROGRAMS);
    for (; c->program_index[at]; at = (at + 1) % (2 * CACHE_MAX_PROGRAMS)) {
        if (!memcmp(&c->programs[c->program_index[at]], p, sizeof *p)) {
            return c->program_index[at];
        }
    }
    if (c->n_programs == CACHE_MAX_PROGRAMS) {
        if (++c->n_refused > c->active->n_flows) {      /* Most programs must be those of flows that are gone. */
            c->serial = 0;
        }
        return CACHE_GUIDED;
    }
    c->programs[c->n_programs] = *p;
    c->program_index[at] = c->n_programs;
    return c->n_programs++;
}
