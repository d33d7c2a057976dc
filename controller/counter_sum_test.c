/* Sums over places that count, restart and go: what was counted in all is what the sum says. */
#include "controller/counter_sum.h"

#include "lib/util.h"
#include "tests/unit.h"

#define N_EDGES 5

/* Each edge counts; it may restart, which is told, or leave, with its last counters. */
static void test_random(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 200; round++) {
        struct counter_sum sum = { 0 };
        uint64_t counts[N_EDGES] = { 0 }, total = 0, now = 0, grown_ns = 0;
        for (unsigned step = 0; step < 300; step++) {
            unsigned edge = (unsigned) (rng_u64(&rng) % N_EDGES);
            uint64_t more = rng_u64(&rng) % 4 ? rng_u64(&rng) % 100 : 0;
            counts[edge] += more;
            total += more;
            now++;
            uint64_t before = sum.packets;
            switch (rng_u64(&rng) % 8) {
            case 0:
                counter_sum_final(&sum, (uint16_t) (edge + 1), counts[edge], counts[edge] * 64, now, 1);
                counts[edge] = 0;
                break;
            case 1:                                     /* Read first, so that nothing is lost. */
                counter_sum_read(&sum, (uint16_t) (edge + 1), counts[edge], counts[edge] * 64, now);
                counter_sum_restarted(&sum, (uint16_t) (edge + 1));
                counts[edge] = 0;
                break;
            default:
                counter_sum_read(&sum, (uint16_t) (edge + 1), counts[edge], counts[edge] * 64, now);
            }
            grown_ns = sum.packets > before ? now : grown_ns;
            CU_ASSERT_EQUAL(sum.packets, total);
            CU_ASSERT_EQUAL(sum.bytes, total * 64);
            CU_ASSERT_EQUAL(sum.used_ns, grown_ns);
        }
        CU_ASSERT_TRUE(sum.n_last <= N_EDGES);
        counter_sum_fini(&sum);
    }
}

static void test_restart_by_itself(void)
{
    struct counter_sum sum = { 0 };
    counter_sum_read(&sum, 1, 10, 640, 1);
    counter_sum_read(&sum, 1, 3, 192, 2);               /* Below the last reading: counted from zero. */
    CU_ASSERT_EQUAL(sum.packets, 13);
    CU_ASSERT_EQUAL(sum.bytes, 832);
    counter_sum_fini(&sum);
}

/* The sum goes on; what had been counted before the reset is known when all have been read behind it. */
static void test_reset(void)
{
    struct counter_sum sum = { 0 };
    counter_sum_read_numbered(&sum, 1, 10, 640, 1, 1);
    CU_ASSERT_TRUE(sum.packets == 10 && !sum.before.packets);
    counter_sum_reset(&sum, 3);
    counter_sum_read_numbered(&sum, 1, 12, 768, 2, 2);  /* One that was under way. */
    counter_sum_read_numbered(&sum, 2, 5, 320, 3, 3);
    counter_sum_read_numbered(&sum, 1, 13, 832, 4, 3);
    CU_ASSERT_TRUE(sum.packets == 18 && sum.before.packets == 18 && sum.before.bytes == 18 * 64);
    counter_sum_read_numbered(&sum, 1, 17, 1088, 5, 4);
    CU_ASSERT_TRUE(sum.packets == 22 && sum.before.packets == 18 && sum.bytes - sum.before.bytes == 4 * 64);
    counter_sum_final(&sum, 2, 6, 384, 6, 4);
    CU_ASSERT_TRUE(sum.packets == 23 && sum.before.packets == 18);
    counter_sum_fini(&sum);
}

void counter_sum_test_suite(void);
void counter_sum_test_suite(void)
{
    UNIT_SUITE("counter sums", { "random edges against the whole", test_random }, { "a restart that nobody told", test_restart_by_itself },
               { "reset", test_reset });
}
