/*
 * What every CUnit program shares: suites register themselves through foo_test_suite(), main() is UNIT_MAIN(list…).
 * A randomized test takes its seed from unit_seed() (POLDER_TEST_SEED, else from the clock) and the seed is printed.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H 1

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <CUnit/Basic.h>

typedef void unit_suite_fn(void);

static inline uint64_t unit_seed(void)
{
    static uint64_t seed;
    if (!seed) {
        const char *s = getenv("POLDER_TEST_SEED");
        seed = s ? strtoull(s, NULL, 0) : (uint64_t) time(NULL);
        printf("\nseed: POLDER_TEST_SEED=%llu\n", (unsigned long long) seed);
    }
    return seed;
}

/* Registers a suite of tests: UNIT_SUITE("json", { "strict numbers", test_numbers }, …). */
struct unit_case { const char *name; CU_TestFunc fn; };
static inline void unit_register(const char *suite, const struct unit_case *cases, unsigned n)
{
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        if (!s || !CU_add_test(s, cases[i].name, cases[i].fn)) {
            fprintf(stderr, "cannot register %s/%s: %s\n", suite, cases[i].name, CU_get_error_msg());
            exit(99);
        }
    }
}
#define UNIT_SUITE(NAME, ...) do { static const struct unit_case c_[] = { __VA_ARGS__ }; \
    unit_register(NAME, c_, sizeof c_ / sizeof c_[0]); } while (0)

/* Runs all; exit status 0 only if at least one test ran and none failed.  Prints CUnit's own summary. */
static inline int unit_run(unit_suite_fn *const *suites, unsigned n)
{
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return 99;
    }
    for (unsigned i = 0; i < n; i++) {
        suites[i]();
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_tests_failed(), ran = CU_get_number_of_tests_run();
    printf("unit: %u passed, %u failed\n", ran - failed, failed);
    CU_cleanup_registry();
    return failed || !ran ? 1 : 0;
}
#define UNIT_MAIN(...) int main(void) { static unit_suite_fn *const s_[] = { __VA_ARGS__ }; \
    return unit_run(s_, sizeof s_ / sizeof s_[0]); }

#endif
