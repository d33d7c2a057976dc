/* Classes against their naive twin: the list of answers that each value gets. */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/value_classes.h"

unit_suite_fn value_classes_test_suite;

enum { ROUNDS = 12, ASKS = 60 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

static unsigned n_different(const uint64_t *answers)
{
    uint64_t *sorted = xcalloc(VALUE_CLASSES_VALUES, sizeof sorted[0]);
    unsigned n = 1;
    memcpy(sorted, answers, VALUE_CLASSES_VALUES * sizeof sorted[0]);
    qsort(sorted, VALUE_CLASSES_VALUES, sizeof sorted[0], compare);
    for (unsigned x = 1; x < VALUE_CLASSES_VALUES; x++) {
        n += sorted[x] != sorted[x - 1];
    }
    free(sorted);
    return n;
}

/* Who stands for a value has the same answers, and there are as many of those as there are different answers. */
static bool agree(const struct value_classes *vc, const uint64_t *answers)
{
    unsigned n = 0;
    uint32_t *members = xcalloc(VALUE_CLASSES_VALUES, sizeof members[0]);
    bool right = true;
    for (unsigned x = 0; x < VALUE_CLASSES_VALUES; x++) {
        uint16_t stands = value_classes_of(vc, (uint16_t) x);
        right = right && answers[stands] == answers[x] && value_classes_of(vc, stands) == stands;
        n += stands == x;
        members[stands]++;
    }
    right = right && !memcmp(members, vc->members, VALUE_CLASSES_VALUES * sizeof members[0]);
    free(members);
    return right && n == vc->n && n == n_different(answers);
}

/* As rules ask: mostly whole ports and prefixes, now and then anything. */
static uint16_t random_mask(struct rng *r)
{
    uint16_t any = (uint16_t) rng_below(r, 65536);
    switch (rng_below(r, 4)) {
    case 0: case 1: return 0xffff;
    case 2: return (uint16_t) (0xffff << rng_below(r, 16));
    default: return any ? any : 1;
    }
}

static void test_random(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    uint64_t *answers = xcalloc(VALUE_CLASSES_VALUES, sizeof answers[0]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct value_classes *vc = value_classes_new();
        bool *stood = xcalloc(VALUE_CLASSES_VALUES, sizeof *stood);
        memset(answers, 0, VALUE_CLASSES_VALUES * sizeof answers[0]);
        CU_ASSERT_TRUE(agree(vc, answers));
        for (unsigned ask = 0; ask < ASKS; ask++) {
            uint16_t mask = random_mask(&r), value = (uint16_t) (rng_below(&r, 2) ? rng_below(&r, 65536) : rng_below(&r, 4)) & mask;
            for (unsigned x = 0; x < VALUE_CLASSES_VALUES; x++) {
                answers[x] |= (uint64_t) ((x & mask) == value) << ask;
                stood[x] = value_classes_of(vc, (uint16_t) x) == x;
            }
            value_classes_split(vc, value, mask);
            CU_ASSERT_TRUE(value_classes_tell(vc, value, mask));
            bool kept = true;
            for (unsigned x = 0; x < VALUE_CLASSES_VALUES; x++) {
                kept = kept && (!stood[x] || value_classes_of(vc, (uint16_t) x) == x);
            }
            CU_ASSERT_TRUE(kept);       /* Whoever stood for a class goes on. */
            if (ask % 8 == 0 || ask == ASKS - 1) {
                CU_ASSERT_TRUE(agree(vc, answers));
            }
        }
        free(stood);
        value_classes_free(vc);
    }
    free(answers);
}

static void test_ports(void)
{
    struct value_classes *vc = value_classes_new();
    CU_ASSERT_FALSE(value_classes_tell(vc, 80, 0xffff));
    for (unsigned i = 0; i < 200; i++) {
        value_classes_split(vc, (uint16_t) (7 * i), 0xffff);
        value_classes_split(vc, (uint16_t) (7 * i), 0xffff);
    }
    CU_ASSERT_EQUAL(vc->n, 201);
    CU_ASSERT_EQUAL(value_classes_of(vc, 5000), value_classes_of(vc, 60001));
    CU_ASSERT_NOT_EQUAL(value_classes_of(vc, 70), value_classes_of(vc, 71));
    value_classes_split(vc, 0xf000, 0xf000);
    CU_ASSERT_EQUAL(vc->n, 202);
    CU_ASSERT_NOT_EQUAL(value_classes_of(vc, 5000), value_classes_of(vc, 0xf123));
    value_classes_free(vc);
}

void value_classes_test_suite(void)
{
    UNIT_SUITE("classes of values", { "ports", test_ports }, { "against lists of answers", test_random });
}
