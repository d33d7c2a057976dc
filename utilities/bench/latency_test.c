#include "utilities/bench/latency.h"

#include "lib/util.h"
#include "tests/unit.h"

void latency_test_suite(void);

static void test_buckets(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned i = 0; i + 1 < LATENCY_N; i++) {
        if (latency_upper(i) == UINT64_MAX) {
            break;
        }
        CU_ASSERT_EQUAL(latency_index(latency_upper(i)), i);
        CU_ASSERT_EQUAL(latency_index(latency_upper(i) + 1), i + 1);
    }
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t v = rng_u64(&rng) >> rng_below(&rng, 64), upper = latency_upper(latency_index(v));
        CU_ASSERT(latency_index(v) < LATENCY_N);
        CU_ASSERT(upper >= v && upper - v <= v / LATENCY_SUB);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* Against sorting all samples, which two histograms shared. */
static void test_quantiles(void)
{
    static const double shares[] = { 0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0 };
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 50; round++) {
        struct latency l = { .n = 0 }, other = { .n = 0 };
        uint64_t sample[2000];
        unsigned n = 1 + rng_below(&rng, 2000);
        for (unsigned i = 0; i < n; i++) {
            sample[i] = rng_u64(&rng) >> (30 + rng_below(&rng, 34));
            latency_add(rng_below(&rng, 2) ? &l : &other, sample[i]);
        }
        latency_merge(&l, &other);
        CU_ASSERT_EQUAL(l.n, n);
        qsort(sample, n, sizeof sample[0], by_value);
        CU_ASSERT_EQUAL(l.max, sample[n - 1]);
        for (unsigned i = 0; i < ARRAY_SIZE(shares); i++) {
            unsigned rank = (unsigned) (shares[i] * n);
            rank += rank < shares[i] * n || !rank;
            uint64_t exact = sample[rank - 1], got = latency_quantile(&l, shares[i]);
            CU_ASSERT(got >= exact && got - exact <= exact / LATENCY_SUB);
        }
    }
    struct latency none = { .n = 0 };
    CU_ASSERT_EQUAL(latency_quantile(&none, 0.5), 0);
}

void latency_test_suite(void)
{
    UNIT_SUITE("latency", { "buckets", test_buckets }, { "quantiles against sorting", test_quantiles });
}
