#include "tenants/numbers.h"

#include "lib/util.h"
#include "tests/unit.h"

static void test_bounds(void)
{
    struct numbers s;
    numbers_init(&s, 3);
    CU_ASSERT(!numbers_take(&s, 0) && !numbers_take(&s, 4) && numbers_take(&s, 2) && !numbers_take(&s, 2));
    CU_ASSERT_EQUAL(numbers_alloc(&s), 1);
    CU_ASSERT_EQUAL(numbers_alloc(&s), 3);
    CU_ASSERT_EQUAL(numbers_alloc(&s), 0);
    numbers_release(&s, 2);
    CU_ASSERT_EQUAL(numbers_alloc(&s), 2);
    numbers_fini(&s);
}

/* Against an array of booleans. */
static void test_random(void)
{
    enum { MAX_NUMBER = 300 };
    struct rng rng;
    struct numbers s;
    bool taken[MAX_NUMBER + 1] = { true };
    rng_seed(&rng, unit_seed());
    numbers_init(&s, MAX_NUMBER);
    for (int i = 0; i < 20000; i++) {
        uint32_t n = rng_below(&rng, MAX_NUMBER + 1), lowest = 0;
        switch (rng_below(&rng, 3)) {
        case 0:
            while (lowest <= MAX_NUMBER && taken[lowest]) {
                lowest++;
            }
            lowest = lowest > MAX_NUMBER ? 0 : lowest;
            CU_ASSERT_EQUAL_FATAL(numbers_alloc(&s), lowest);
            taken[lowest] = true;
            break;
        case 1:
            CU_ASSERT_EQUAL_FATAL(numbers_take(&s, n), !taken[n]);
            taken[n] = true;
            break;
        case 2:
            CU_ASSERT_EQUAL_FATAL(n ? numbers_taken(&s, n) : true, taken[n]);
            if (n && taken[n] && rng_below(&rng, 4)) {
                numbers_release(&s, n);
                taken[n] = false;
            }
        }
    }
    numbers_fini(&s);
}

void numbers_test_suite(void);
void numbers_test_suite(void)
{
    UNIT_SUITE("numbers", { "bounds", test_bounds }, { "random against naive", test_random });
}
