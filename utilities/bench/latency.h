/*
 * A histogram of latencies: 32 buckets per power of two, so a percentile is at most 3.2 % too high, in 15 KB, with a few cycles per sample.
 * Values are whatever the caller counts in (the generator: TSC cycles).  One thread.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H 1

#include <stdint.h>

#define LATENCY_SUB_BITS 5
#define LATENCY_SUB (1u << LATENCY_SUB_BITS)
#define LATENCY_N ((64 - LATENCY_SUB_BITS + 1) * LATENCY_SUB)

struct latency { uint64_t n, sum, max, bucket[LATENCY_N]; };

static inline unsigned latency_index(uint64_t v)
{
    if (v < LATENCY_SUB) {
        return (unsigned) v;
    }
    unsigned shift = 63u - (unsigned) __builtin_clzll(v) - LATENCY_SUB_BITS;
    return (shift << LATENCY_SUB_BITS) + (unsigned) (v >> shift);
}

/* The largest value that falls into a bucket. */
static inline uint64_t latency_upper(unsigned index)
{
    if (index < 2 * LATENCY_SUB) {
        return index;
    }
    unsigned shift = (index >> LATENCY_SUB_BITS) - 1;
    return (((uint64_t) (index & (LATENCY_SUB - 1)) + LATENCY_SUB + 1) << shift) - 1;
}

static inline void latency_add(struct latency *l, uint64_t v)
{
    l->n++;
    l->sum += v;
    l->max = v > l->max ? v : l->max;
    l->bucket[latency_index(v)]++;
}

static inline void latency_merge(struct latency *l, const struct latency *more)
{
    l->n += more->n;
    l->sum += more->sum;
    l->max = more->max > l->max ? more->max : l->max;
    for (unsigned i = 0; i < LATENCY_N; i++) {
        l->bucket[i] += more->bucket[i];
    }
}

/* The smallest bucket bound that at least `share` (0..1) of the samples do not exceed, never above the maximum; 0 without samples. */
static inline uint64_t latency_quantile(const struct latency *l, double share)
{
    uint64_t want = (uint64_t) (share * (double) l->n), seen = 0;
    if ((double) want < share * (double) l->n || !want) {
        want++;
    }
    for (unsigned i = 0; l->n && i < LATENCY_N; i++) {
        seen += l->bucket[i];
        if (seen >= want) {
            uint64_t v = latency_upper(i);
            return v < l->max ? v : l->max;
        }
    }
    return l->max;
}

#endif
