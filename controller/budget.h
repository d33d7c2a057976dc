/*
 * A rate that may be used up: a token bucket that goes into debt, kept as one number.
 *
 * `due` is the time at which everything that was taken is paid for; each unit moves it on by 1/rate. In the past it is what may be taken at once, at most
 * one second's worth (the burst). In the future it is the debt: the owner takes first and then waits until it is paid, since what has been received
 * cannot be sent back. Pure: the time is a parameter (ns of any monotonic clock that does not run for longer than 36 years).
 */
#ifndef CONTROLLER_BUDGET_H
#define CONTROLLER_BUDGET_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

#define BUDGET_BURST_NS UINT64_C(1000000000)
#define BUDGET_NEVER UINT64_MAX

struct budget { uint64_t due; };        /* In 1/16 ns, so that rates of millions a second are exact to 0.1 %. */

/* When all that was taken is paid for. */
static inline uint64_t budget_paid_at(const struct budget *b)
{
    return (b->due + 15) >> 4;
}

/* Takes one. Returns when it is paid for: <= now_ns: within the rate. rate (a second) 0: nothing may be taken, BUDGET_NEVER. */
static inline uint64_t budget_take(struct budget *b, uint32_t rate, uint64_t now_ns)
{
    const uint64_t floor = now_ns > BUDGET_BURST_NS ? (now_ns - BUDGET_BURST_NS) << 4 : 0;
    if (!rate) {
        return BUDGET_NEVER;
    }
    b->due = MAX(b->due, floor) + (UINT64_C(1000000000) << 4) / rate;
    return budget_paid_at(b);
}

/* When one may be taken without debt: <= now_ns: now. */
static inline uint64_t budget_free_at(const struct budget *b, uint32_t rate)
{
    return rate ? (b->due + (UINT64_C(1000000000) << 4) / rate + 15) >> 4 : BUDGET_NEVER;
}

/* Takes one if there is one: no debt, for what can be refused. */
static inline bool budget_may(struct budget *b, uint32_t rate, uint64_t now_ns)
{
    if (budget_free_at(b, rate) > now_ns) {
        return false;
    }
    budget_take(b, rate, now_ns);
    return true;
}

#endif
