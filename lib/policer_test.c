/* Policers against an exact twin, at their ends, and under threads. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include "lib/policer.h"
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn policer_test_suite;

#define MS INT64_C(1000000)

/* A bucket as textbooks have it: a level, and the time when it was last brought up to date. */
struct twin { double rate, depth, level; int64_t last_ns; };

static bool twin_take(struct twin *t, double units, int64_t now_ns)
{
    t->level = fmin(t->depth, t->level + t->rate * (double) (now_ns - t->last_ns) / 1e9);
    t->last_ns = now_ns;
    if (t->level <= 0) {
        return false;
    }
    t->level -= units;
    return true;
}

/* True when the policer had to refuse some. */
static bool compare_with_twin(struct rng *r)
{
    static const uint64_t rates[] = { 1, 7, 1000, 1000000, 1000000000, 100000000000 };
    uint64_t rate = rates[rng_below(r, 6)] + rng_below(r, 100), burst = rng_below(r, 4) ? rate / (1 + rng_below(r, 50)) : 0;
    uint64_t size = 1 + rng_below(r, 12000), passed = 0, twin_passed = 0, offered = 0;
    struct policer p;
    struct twin t = { .rate = (double) rate, .depth = fmax((double) burst, 1e-9), .level = fmax((double) burst, 1e-9) };
    policer_init(&p, rate, burst);
    /* About twice the rate, in bursts. */
    double step_ns = 1e9 * (double) size / (double) rate / 2, now_ns = 0;
    for (unsigned i = 0; i < 20000; i++) {
        if (rng_below(r, 4) == 0) {
            now_ns += step_ns * (double) rng_below(r, 9);
        }
        uint64_t units = size + rng_below(r, 64);
        offered += units;
        int64_t ns = (int64_t) now_ns;
        passed += policer_take(&p, units, ns * POLICER_TICKS_PER_NS) ? units : 0;
        twin_passed += twin_take(&t, (double) units, ns) ? units : 0;
    }
    /* What the depth and the rate give, and a debt of one packet.  A cost of less than a nanosecond is rounded to 1/64 of one. */
    CU_ASSERT_TRUE((double) passed <= ((double) burst + (double) rate * now_ns / 1e9) * 1.005 + (double) (size + 64));
    CU_ASSERT_DOUBLE_EQUAL((double) passed, (double) twin_passed, 0.02 * (double) twin_passed + 6 * (double) size);
    if (fabs((double) passed - (double) twin_passed) > 0.02 * (double) twin_passed + 6 * (double) size) {
        printf("rate %llu burst %llu size %llu: %llu, twin %llu\n", (unsigned long long) rate, (unsigned long long) burst, (unsigned long long) size,
               (unsigned long long) passed, (unsigned long long) twin_passed);
    }
    return passed < offered;
}

static void test_twin(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    unsigned n_limited = 0;
    for (unsigned i = 0; i < 100; i++) {
        n_limited += compare_with_twin(&r);
    }
    CU_ASSERT_TRUE(n_limited > 50);     /* The others' bursts were larger than all that came. */
}

static void test_policer_ends(void)
{
    struct policer p;
    policer_init(&p, 10, 0);            /* No depth at all still gives the rate. */
    CU_ASSERT_TRUE(policer_take(&p, 1, 0));
    CU_ASSERT_FALSE(policer_take(&p, 1, 99 * MS * POLICER_TICKS_PER_NS));
    CU_ASSERT_TRUE(policer_take(&p, 1, 101 * MS * POLICER_TICKS_PER_NS));
    policer_init(&p, UINT64_C(4294967295000), UINT64_C(4294967295000));
    CU_ASSERT_TRUE(policer_take(&p, 12000, 0));
    policer_init(&p, 1, UINT32_MAX);    /* A depth of 136 years is cut, not wrapped. */
    CU_ASSERT_TRUE(p.depth > 0);
    CU_ASSERT_TRUE(policer_take(&p, 1, 0) && policer_take(&p, 1, -5));
}

struct hammer { struct policer *p; unsigned n_passed; };

static void *hammer(void *h_)
{
    struct hammer *h = h_;
    for (unsigned i = 0; i < 100000; i++) {
        h->n_passed += policer_take(h->p, 1, 0);
    }
    return NULL;
}

/* At one instant the bucket gives what is in it, to all threads together. */
static void test_threads(void)
{
    struct policer p;
    pthread_t threads[4];
    struct hammer h[4];
    unsigned n = 0;
    policer_init(&p, 1000000, 150000);
    for (unsigned i = 0; i < 4; i++) {
        h[i] = (struct hammer) { &p, 0 };
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, hammer, &h[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        n += h[i].n_passed;
    }
    CU_ASSERT_EQUAL(n, 150000);
}

void policer_test_suite(void)
{
    UNIT_SUITE("policer", { "as an exact twin", test_twin }, { "at its ends", test_policer_ends }, { "under threads", test_threads });
}
