/*
 * Lanes: the parts of a key, 16 bits each, in which a value stands for all that the rules answer alike.
 *
 * Only addresses of layer 3 and ports have lanes, since there flows differ in more than rules ask.  Of each lane that some rule asks for there are the classes of its
 * values, whichever table asks: that may tell more apart than one walk does, never less.  They only ever get more, until they are worked out anew;
 * a lane with too many of them is left as it is.
 *
 * A lane costs a load for each packet: eight nanoseconds for six of them, of forty for a packet through six tables.  So plans have lanes only when it pays: when
 * for half a second more than an eighth of all packets met no entry.  After a minute it is tried without them; whenever they had to come back soon, the next
 * trial waits twice as long.
 */
#include "vswitch/cache.h"

#include <assert.h>
#include "vswitch/dp_private.h"

#define LANE_MASK UINT64_C(0xffff)
#define MIN_BITS 8              /* That rules ask for; with fewer there is little to gain. */
#define MISS_NS UINT64_C(100000)        /* A miss in so long, as a mean: many. */
#define PATIENCE_NS UINT64_C(500000000)
#define LOOK_NS UINT64_C(10000000)      /* In less there is too little to see: news of a link make the control thread look twice. */
#define HOLD_NS UINT64_C(60000000000)
#define MAX_HOLD_NS (64 * HOLD_NS)
#define SOON_NS UINT64_C(10000000000)
#define SLACK 1024              /* So many values may be asked for anew before it is looked whether the old ones still are. */

static const union flow_words has_lanes = { .flow = {
    .ipv4_src = { UINT32_MAX }, .ipv4_dst = { UINT32_MAX }, .tp_src = { UINT16_MAX }, .tp_dst = { UINT16_MAX },
    .ipv6_src = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
    .ipv6_dst = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } } } };

static unsigned shift_of(unsigned lane)
{
    return 16 * lane;
}

static void retire(struct cache_control *cc, struct value_classes **classes)
{
    if (*classes) {
        assert(cc->n_retiring < FLOW_N_WORDS * CACHE_WORD_LANES);
        cc->retiring[cc->n_retiring++] = *classes;
        *classes = NULL;
    }
}

/* A rule asks for a value in a lane.  True: the lane may be chosen now, or may no longer. */
static bool ask(struct cache_control *cc, unsigned word, unsigned lane, uint16_t value, uint16_t mask)
{
    struct value_classes **classes = &cc->classes[word][lane];
    bool first = !*classes;
    if (cc->wide[word][lane] || (!first && value_classes_tell(*classes, value, mask))) {
        return false;
    }
    if (first) {
        *classes = value_classes_new();
    }
    cc->n_asked++;
    atomic_store_explicit(&cc->plan->classes_seq, atomic_load_explicit(&cc->plan->classes_seq, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    value_classes_split(*classes, value, mask);
    atomic_store_explicit(&cc->plan->classes_seq, atomic_load_explicit(&cc->plan->classes_seq, memory_order_relaxed) + 1, memory_order_release);
    if ((*classes)->n > CACHE_MAX_CLASSES) {
        cc->wide[word][lane] = true;
        retire(cc, classes);
        return true;
    }
    return first;
}

bool cache_lanes_cover(struct dp *dp, const struct minimatch *m)
{
    bool differs = false;
    unsigned k = 0;
    for (uint64_t map = m->map; map; map &= map - 1, k++) {
        unsigned word = (unsigned) __builtin_ctzll(map);
        for (unsigned lane = 0; lane < CACHE_WORD_LANES && has_lanes.w[word]; lane++) {
            uint64_t bits = LANE_MASK << shift_of(lane), mask = minimatch_masks(m)[k] & bits;
            if (mask && (has_lanes.w[word] & bits) == bits) {
                differs |= ask(dp->cache, word, lane, (uint16_t) (minimatch_values(m)[k] >> shift_of(lane)), (uint16_t) (mask >> shift_of(lane)));
            }
        }
    }
    return differs;
}

void cache_lanes_choose(const struct cache_control *cc, struct cache_plan *p, const union flow_words *reads)
{
    for (unsigned k = 0; k < p->n_words && (cc->lanes.on || cc->check); k++) {
        for (unsigned lane = 0; lane < CACHE_WORD_LANES && p->n_lanes < CACHE_MAX_LANES; lane++) {
            unsigned word = p->index[k];
            uint64_t bits = LANE_MASK << shift_of(lane);
            if (cc->classes[word][lane] && !(reads->w[word] & bits) && __builtin_popcountll(p->mask[k] & bits) >= MIN_BITS) {
                p->lanes[p->n_lanes].word = (uint8_t) k;
                p->lanes[p->n_lanes].shift = (uint8_t) shift_of(lane);
                p->lanes[p->n_lanes++].classes = cc->classes[word][lane];
            }
        }
    }
}

uint64_t cache_lanes_answerable(const struct cache_plan *p, unsigned word, uint64_t mask, uint64_t asks)
{
    for (unsigned i = 0; i < p->n_lanes; i++) {
        uint64_t bits = LANE_MASK << p->lanes[i].shift;
        if (p->lanes[i].word == word && (mask ^ asks) & bits) {
            asks &= ~bits;              /* Of part of a rule's mask the classes know nothing. */
        }
    }
    return asks;
}

bool cache_lanes_are_stale(const struct cache_control *cc, size_t n_rules)
{
    for (unsigned word = 0; word < FLOW_N_WORDS; word++) {
        for (unsigned lane = 0; lane < CACHE_WORD_LANES; lane++) {
            if (cc->wide[word][lane] && n_rules <= CACHE_MAX_CLASSES / 2) {
                return true;
            }
        }
    }
    return cc->n_asked > 2 * cc->n_asked_counted + SLACK;
}

static void turn(struct dp *dp, bool on, uint64_t now)
{
    struct cache_lanes *l = &dp->cache->lanes;
    if (on) {
        bool soon = l->hold_ns && now - l->turned_ns < SOON_NS;
        l->hold_ns = soon ? MIN(2 * l->hold_ns, MAX_HOLD_NS) : HOLD_NS;
    }
    l->on = on;
    l->turned_ns = now;
    l->good_ns = now;
    cache_replan(dp);
}

void cache_lanes_tick(struct dp *dp, uint64_t now)
{
    struct cache_lanes *l = &dp->cache->lanes;
    uint64_t hits = 0, misses = 0, elapsed = now - l->looked_ns;
    if (elapsed < LOOK_NS) {
        return;
    }
    for (unsigned i = 1; i < dp->n_threads; i++) {
        hits += atomic_load_explicit(&dp->threads[i]->cache.counters.hits, memory_order_relaxed);
        misses += atomic_load_explicit(&dp->threads[i]->cache.counters.misses, memory_order_relaxed);
    }
    uint64_t missed = misses - l->misses;
    bool bad = missed >= elapsed / MISS_NS && 7 * missed > hits - l->hits;
    l->good_ns = bad ? l->good_ns : now;
    l->looked_ns = now;
    l->hits = hits;
    l->misses = misses;
    if (!l->on && now - l->good_ns >= PATIENCE_NS) {
        turn(dp, true, now);
    } else if (l->on && now - l->turned_ns > l->hold_ns) {
        turn(dp, false, now);
    }
}

void cache_lanes_clear(struct cache_control *cc)
{
    for (unsigned word = 0; word < FLOW_N_WORDS; word++) {
        for (unsigned lane = 0; lane < CACHE_WORD_LANES; lane++) {
            retire(cc, &cc->classes[word][lane]);
            cc->wide[word][lane] = false;
        }
    }
    cc->n_asked = 0;
}

void cache_lanes_free_retired(struct dp *dp)
{
    struct cache_control *cc = dp->cache;
    while (cc->n_retiring) {
        dp_defer(value_classes_free, cc->retiring[--cc->n_retiring], dp);
    }
}

void cache_lanes_init(struct cache_control *cc, uint64_t now)
{
    cc->lanes.looked_ns = cc->lanes.good_ns = now;
}

void cache_lanes_fini(struct cache_control *cc)
{
    cache_lanes_clear(cc);
    while (cc->n_retiring) {
        value_classes_free(cc->retiring[--cc->n_retiring]);
    }
}
