/* See policer.h. */
#include "lib/policer.h"

#include "lib/util.h"

#define FRACTION_BITS 28
#define TICKS_PER_S (POLICER_TICKS_PER_NS * UINT64_C(1000000000))
#define MAX_DEPTH (INT64_C(1) << 61)

static int64_t ticks_for(const struct policer *p, uint64_t units)
{
    unsigned __int128 ticks = (unsigned __int128) units * p->ticks_per_unit >> FRACTION_BITS;
    return ticks < MAX_DEPTH ? (int64_t) ticks : MAX_DEPTH;
}

void policer_init(struct policer *p, uint64_t units_per_s, uint64_t burst_units)
{
    p->ticks_per_unit = (uint64_t) (((unsigned __int128) TICKS_PER_S << FRACTION_BITS) / units_per_s);
    p->depth = MAX(ticks_for(p, burst_units), 1);
    atomic_init(&p->paid_until, -p->depth);
}

bool policer_take(struct policer *p, uint64_t units, int64_t now)
{
    int64_t cost = ticks_for(p, units), until = atomic_load_explicit(&p->paid_until, memory_order_relaxed), from;
    do {
        from = MAX(until, now - p->depth);
        if (from >= now) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&p->paid_until, &until, from + cost, memory_order_relaxed, memory_order_relaxed));
    return true;
}
