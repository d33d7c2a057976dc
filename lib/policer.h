/*
 * A policer: one token bucket in one atomic word, without locks.
 *
 * Instead of a fill level and the time of the last refill it keeps the instant at which all that has been taken will
 * have been paid for (the virtual scheduling form of the same algorithm, ITU-T I.371 annex A): a bucket of depth D is
 * full while that instant is D or more in the past and empty once it is not in the past at all.  A packet that finds
 * anything in the bucket passes and may leave a debt, so that a bucket that is smaller than a packet still gives its
 * rate.  All threads share the word by compare and exchange, so the rate holds for all of them together.
 *
 * Time is counted in ticks of 1/64 ns since whatever instant the owner likes.  That keeps a rate of 100 Gb/s of the
 * smallest frames exact to 0.3 % (costs are rounded down to a tick), and lasts for four years.
 */
#ifndef LIB_POLICER_H
#define LIB_POLICER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define POLICER_TICKS_PER_NS 64

struct policer {
    uint64_t ticks_per_unit;    /* Times 2^28.  A unit is a bit or a packet. */
    int64_t depth;              /* Ticks; at least one. */
    _Atomic int64_t paid_until; /* Ticks. */
};

/* units_per_s: 1 to 2^32 * 1000.  Full at the tick 0. */
void policer_init(struct policer *, uint64_t units_per_s, uint64_t burst_units);
/* [any thread] Takes `units` from the bucket as it is at that tick; false, and nothing is taken: it is empty. */
bool policer_take(struct policer *, uint64_t units, int64_t now);
/* Whether policer_take() would take; for a bucket with one user. */
static inline bool policer_open(const struct policer *p, int64_t now)
{
    return atomic_load_explicit(&p->paid_until, memory_order_relaxed) < now;
}

#endif
