/* Budgets against a bucket that is filled and emptied step by step. */
#include "controller/budget.h"

#include "tests/unit.h"

void limits_test_suite(void);

#define NS_PER_S UINT64_C(1000000000)

/* The naive twin: tokens, of which there are `rate` at most, and fewer than none in debt. */
struct twin { double tokens; uint64_t at_ns; };

static void twin_pass(struct twin *t, uint32_t rate, uint64_t now)
{
    t->tokens += (double) (now - t->at_ns) / 1e9 * rate;
    t->tokens = MIN(t->tokens, (double) rate);
    t->at_ns = now;
}

static void test_random(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 300; round++) {
        static const uint32_t rates[] = { 1, 3, 7, 100, 999, 20000, 123457, 1000000, 9999999 };
        uint32_t rate = rates[rng_below(&rng, ARRAY_SIZE(rates))];
        uint64_t now = 5 * NS_PER_S;
        struct budget b = { 0 };
        struct twin t = { rate, now };
        for (unsigned step = 0; step < 400; step++) {
            now += rng_below(&rng, 3) ? rng_below(&rng, (uint32_t) MIN(2 * NS_PER_S / rate + 2, UINT64_C(2000000000))) : 0;
            twin_pass(&t, rate, now);
            if (rng_below(&rng, 2)) {
                uint64_t paid = budget_take(&b, rate, now);
                t.tokens -= 1;
                double wait_ns = t.tokens < 0 ? -t.tokens * 1e9 / rate : 0;
                CU_ASSERT_TRUE((double) (paid > now ? paid - now : 0) <= wait_ns * 1.01 + 500);
                CU_ASSERT_TRUE((double) (paid > now ? paid - now : 0) >= wait_ns * 0.99 - 500);
            } else {
                bool near = t.tokens > 0.98 && t.tokens < 1.02;         /* Rounding may decide. */
                bool may = budget_may(&b, rate, now);
                CU_ASSERT_TRUE(near || may == (t.tokens >= 1));
                t.tokens -= may;
            }
        }
    }
}

/* Over a long time it is the rate, to a tenth of a percent, and a second's worth at once. */
static void test_rate(void)
{
    static const uint32_t rates[] = { 1, 7, 20000, 7000000 };
    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        struct budget b = { 0 };
        uint64_t now = 100 * NS_PER_S, n = 0;
        while (budget_take(&b, rates[i], now) <= now) {
            n++;
        }
        CU_ASSERT_TRUE(n >= rates[i] && (double) n <= rates[i] * 1.001 + 1);
        const uint64_t begun = now;
        for (n = 0; n < 20000; n++) {
            uint64_t paid = budget_take(&b, rates[i], now);
            now = MAX(now, paid);
        }
        double expected = 20000.0 / rates[i];
        CU_ASSERT_DOUBLE_EQUAL((double) (now - begun) / 1e9, expected, expected * 0.001 + 1e-6);
    }
}

static void test_none(void)
{
    struct budget b = { 0 };
    CU_ASSERT_EQUAL(budget_take(&b, 0, NS_PER_S), BUDGET_NEVER);
    CU_ASSERT_FALSE(budget_may(&b, 0, 50 * NS_PER_S));
    CU_ASSERT_TRUE(budget_may(&b, 1, 50 * NS_PER_S));
}

void limits_test_suite(void)
{
    UNIT_SUITE("budget", { "random against tokens", test_random }, { "rate and burst", test_rate }, { "none", test_none });
}
