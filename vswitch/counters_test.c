#include "vswitch/counters.h"

#include "tests/unit.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"

unit_suite_fn counters_test_suite;

#define MANY (2 * COUNTER_CHUNK + 10)

static void check_sum(const struct counters *c, uint64_t packets, uint64_t bytes, uint64_t used_ns)
{
    uint64_t got[3];
    counters_sum(c, &got[0], &got[1], &got[2]);
    CU_ASSERT_TRUE(got[0] == packets && got[1] == bytes && got[2] == used_ns);
}

/* Every number counts for itself, in more than one chunk of memory, and beyond 32 bits. */
static void test_numbers(void)
{
    struct fixture fx;
    static struct counters *all[MANY];
    fixture_init(&fx);
    for (unsigned i = 0; i < MANY; i++) {
        all[i] = counters_new(fx.dp, COUNTER_NO_TABLE);
    }
    const struct counter_cells *cells = &dp_thread(fx.dp, 0)->cells;
    for (unsigned i = 0; i < MANY; i += 3) {
        count_packets(cells, all[i]->id, i, 60 * i, i);
        count_packets(cells, all[i]->id, 1, UINT64_C(0xfffffffff0), i + 7);
    }
    for (unsigned i = 0; i < MANY; i++) {
        bool counted = i % 3 == 0;
        check_sum(all[i], counted ? i + 1 : 0, counted ? 60 * i + UINT64_C(0xfffffffff0) : 0, counted ? i + 7 : 0);
    }
    for (unsigned i = 0; i < MANY; i++) {
        counters_put(fx.dp, all[i]);
    }
    fixture_fini(&fx);
}

/* A sum is over all threads; what the number counted for somebody else before is left out. */
static void test_threads(void)
{
    struct fixture fx;
    fixture_init(&fx);
    struct counters *c = counters_new(fx.dp, COUNTER_NO_TABLE);
    count_packets(&dp_thread(fx.dp, 0)->cells, c->id, 1, 100, 50);
    count_packets(&dp_thread(fx.dp, 1)->cells, c->id, 2, 200, 40);
    check_sum(c, 3, 300, 50);
    counters_reset(c);
    check_sum(c, 0, 0, 50);
    uint32_t id = c->id;
    counters_put(fx.dp, c);
    c = counters_new(fx.dp, COUNTER_NO_TABLE);
    CU_ASSERT_EQUAL(c->id, id);
    count_packets(&dp_thread(fx.dp, 1)->cells, c->id, 5, 6, 60);
    check_sum(c, 5, 6, 60);
    counters_put(fx.dp, c);
    fixture_fini(&fx);
}

void counters_test_suite(void)
{
    UNIT_SUITE("counters",
        { "many numbers", test_numbers },
        { "several threads, and a number's next life", test_threads });
}
