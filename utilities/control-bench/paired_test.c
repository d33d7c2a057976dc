/* Quantiles against a naive count; intervals that hold the truth, and exclude what is not true. */
#include "utilities/control-bench/paired.h"

#include <stdlib.h>

#include "tests/unit.h"

unit_suite_fn paired_test_suite;

static void test_quantile(void)
{
    struct paired p;
    paired_init(&p, 1);
    CU_ASSERT_EQUAL(paired_quantile(&p, 0, 0.99), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        paired_add(&p, 0, 0, i * 37 % 101);             /* 1 to 100 in some order. */
    }
    CU_ASSERT_EQUAL(paired_quantile(&p, 0, 0.5), 50);
    CU_ASSERT_EQUAL(paired_quantile(&p, 0, 0.99), 99);
    CU_ASSERT_EQUAL(paired_quantile(&p, 0, 1), 100);
    paired_add(&p, 0, 0, 1000);
    CU_ASSERT_EQUAL(paired_quantile(&p, 0, 1), 1000);
    paired_fini(&p);
}

enum { PAIRS = 60, EACH = 200 };

/* Side 1 is `percent` of side 0, whose windows are of differing height: what a busy machine looks like. */
static struct paired_ratio compare(unsigned percent, uint64_t seed)
{
    struct paired p;
    struct rng rng;
    rng_seed(&rng, seed);
    paired_init(&p, PAIRS);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        unsigned height = 1000 + rng_below(&rng, 500);
        for (unsigned i = 0; i < EACH; i++) {
            paired_add(&p, 0, pair, 100 * (height + rng_below(&rng, 300)));
            paired_add(&p, 1, pair, percent * (height + rng_below(&rng, 300)));
        }
    }
    struct paired_ratio r = paired_compare(&p, 0.99, seed);
    struct paired_ratio again = paired_compare(&p, 0.99, seed);
    CU_ASSERT(again.low == r.low && again.high == r.high);
    CU_ASSERT(r.low <= r.ratio && r.ratio <= r.high);
    paired_fini(&p);
    return r;
}

static void test_compare(void)
{
    const uint64_t seed = unit_seed();
    unsigned held = 0, n = 20;
    for (unsigned i = 0; i < n; i++) {
        struct paired_ratio same = compare(100, seed + i), worse = compare(120, seed + i);
        held += same.low <= 1 && same.high >= 1;
        CU_ASSERT(same.high < 1.1 && same.low > 0.9);
        CU_ASSERT(worse.low > 1.1 && worse.high < 1.3);
    }
    CU_ASSERT(held >= n * 3 / 4);       /* 95 % each. */
}

/* One window that went wrong makes the interval wide, instead of the ratio wrong without a word. */
static void test_burst(void)
{
    struct paired p;
    paired_init(&p, PAIRS);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        for (unsigned i = 0; i < EACH; i++) {
            paired_add(&p, 0, pair, 1000 + i);
            paired_add(&p, 1, pair, (pair ? 1000 : 5000) + i);
        }
    }
    struct paired_ratio r = paired_compare(&p, 0.99, 1);
    CU_ASSERT(r.ratio > 4 && r.low < 1.01);
    paired_fini(&p);
}

void paired_test_suite(void)
{
    UNIT_SUITE("paired", { "quantiles", test_quantile }, { "intervals", test_compare }, { "a burst", test_burst });
}
