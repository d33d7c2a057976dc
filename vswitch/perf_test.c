#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/perf.h"

unit_suite_fn perf_test_suite;

static void test_sizes(void)
{
    struct perf p = { .timed = false };
    struct perf_counts c;
    unsigned expected[PERF_N_SIZES] = { 0 };
    for (unsigned n = 1; n <= DP_BATCH; n++) {
        unsigned column = 0;
        while (column + 1 < PERF_N_SIZES && perf_size_least[column + 1] <= n) {
            column++;
        }
        expected[column]++;
        perf_batch(&p, n);
    }
    perf_read(&p, NULL, &c);
    CU_ASSERT_EQUAL(c.batches, DP_BATCH);
    CU_ASSERT_EQUAL(c.packets, DP_BATCH * (DP_BATCH + 1) / 2);
    for (unsigned i = 0; i < PERF_N_SIZES; i++) {
        CU_ASSERT_EQUAL(c.sizes[i], expected[i]);
    }
}

/* One round with frames in PERF_EVERY is timed; rounds without frames are not counted, and do not use a sample up. */
static void test_sample(void)
{
    struct perf p = { .timed = false };
    struct perf_counts c;
    unsigned timed = 0;
    for (unsigned i = 0; i < 10 * PERF_EVERY; i++) {
        perf_round(&p, false);
        timed += p.timed;
        perf_begin(&p);
        perf_lap(&p, PERF_WALK, 3);
        perf_round(&p, true);
    }
    perf_read(&p, NULL, &c);
    CU_ASSERT_EQUAL(timed, 10);
    CU_ASSERT_EQUAL(c.stages[PERF_WALK].packets, 30);
    CU_ASSERT_TRUE(c.stages[PERF_WALK].cycles > 0);
    CU_ASSERT_EQUAL(c.stages[PERF_RX].cycles, 0);
}

/* A lap charges what has passed since the one before, and nothing is lost between. */
static void test_laps(void)
{
    struct perf p = { .timed = true };
    struct perf_counts c;
    uint64_t sum = 0, before = perf_now();
    perf_begin(&p);
    for (unsigned i = 0; i < 1000; i++) {
        perf_lap(&p, i % PERF_N_STAGES, 1);
    }
    uint64_t after = perf_now();
    perf_read(&p, NULL, &c);
    for (unsigned i = 0; i < PERF_N_STAGES; i++) {
        sum += c.stages[i].cycles;
    }
    CU_ASSERT_TRUE(sum <= after - before);
    CU_ASSERT_EQUAL(c.stages[PERF_RX].packets + c.stages[PERF_TX].packets, 333);
}

static void test_base(void)
{
    struct perf p = { .timed = false };
    struct perf_counts base, c;
    perf_count(&p, PERF_CACHE_MISS, 5);
    perf_batch(&p, 4);
    perf_read(&p, NULL, &base);
    perf_count(&p, PERF_CACHE_MISS, 2);
    perf_read(&p, &base, &c);
    CU_ASSERT_EQUAL(c.events[PERF_CACHE_MISS], 2);
    CU_ASSERT_EQUAL(c.packets, 0);
    for (unsigned i = 0; i < PERF_N_EVENTS; i++) {
        CU_ASSERT_PTR_NOT_NULL(perf_event_names[i]);
    }
    for (unsigned i = 0; i < PERF_N_STAGES; i++) {
        CU_ASSERT_PTR_NOT_NULL(perf_stage_names[i]);
    }
}

void perf_test_suite(void)
{
    UNIT_SUITE("perf", { "batch sizes", test_sizes }, { "one round in so many is timed", test_sample }, { "laps", test_laps }, { "since when", test_base });
}
