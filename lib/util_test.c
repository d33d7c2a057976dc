#include "lib/util.h"

#include <stdio.h>
#include <string.h>
#include "tests/unit.h"

unit_suite_fn util_test_suite;

static void test_memory(void)
{
    char *a = xstrdup("abc"), *b = xmemdup0("abcdef", 2), *c = xasprintf("%s-%d", a, 7), *z = xcalloc(3, 5);
    CU_ASSERT_STRING_EQUAL(a, "abc");
    CU_ASSERT_STRING_EQUAL(b, "ab");
    CU_ASSERT_STRING_EQUAL(c, "abc-7");
    for (int i = 0; i < 15; i++) {
        CU_ASSERT_EQUAL(z[i], 0);
    }
    a = xrealloc(a, 100);
    CU_ASSERT_STRING_EQUAL(a, "abc");
    free(a);
    free(b);
    free(c);
    free(z);
    free(xmalloc(0));
}

static void test_numbers(void)
{
    static const struct { const char *s; uint64_t max; bool ok; uint64_t x; } cases[] = {
        { "0", 9, true, 0 }, { "9", 9, true, 9 }, { "10", 9, false, 0 }, { "0x1F", 100, true, 31 }, { "0x0001", 1, true, 1 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX }, { "18446744073709551616", UINT64_MAX, false, 0 },
        { "0xffffffffffffffff", UINT64_MAX, true, UINT64_MAX }, { "0x10000000000000000", UINT64_MAX, false, 0 },
        { "", 9, false, 0 }, { "0x", 9, false, 0 }, { "010", 99, false, 0 }, { "+1", 9, false, 0 }, { "-1", 9, false, 0 },
        { " 1", 9, false, 0 }, { "1 ", 9, false, 0 }, { "1a", 99, false, 0 }, { "a", 99, false, 0 }, { "0xg", 99, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t x = 12345;
        bool ok = str_to_u64(cases[i].s, cases[i].max, &x);
        CU_ASSERT_EQUAL(ok, cases[i].ok);
        CU_ASSERT_EQUAL(x, ok ? cases[i].x : 12345);
    }
    uint64_t x;
    CU_ASSERT(str_to_hex("00fA", 4, &x) && x == 0xfa);
    CU_ASSERT_FALSE(str_to_hex("00fAb", 4, &x));
    CU_ASSERT_FALSE(str_to_hex("", 4, &x));
    CU_ASSERT_FALSE(str_to_hex("0x1", 4, &x));
}

static void test_numbers_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 20000; i++) {
        uint64_t want = rng_u64(&r) >> rng_below(&r, 64), got;
        char text[32];
        snprintf(text, sizeof text, i & 1 ? "%#llx" : "%llu", (unsigned long long) want);
        CU_ASSERT(want == 0 || (str_to_u64(text, want, &got) && got == want));
        CU_ASSERT(want == 0 || !str_to_u64(text, want - 1, &got));
    }
}

static void test_names(void)
{
    static const char *const good[] = { "a", "0", "web-1", "abcdefghijklmnopqrstuvwxyz012345" };
    static const char *const bad[] = { "", "-", "-a", "a-", "A", "a_b", "a.b", "a/b", "abcdefghijklmnopqrstuvwxyz0123456", "\xc3\xa9", " a" };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CU_ASSERT_TRUE(name_valid(good[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CU_ASSERT_FALSE(name_valid(bad[i]));
    }
    char out[4];
    CU_ASSERT_STRING_EQUAL(str_copy(out, sizeof out, "abcdef"), "abc");
    CU_ASSERT_STRING_EQUAL(str_copy(out, sizeof out, ""), "");
}

static void test_hash(void)
{
    uint8_t data[40];
    unsigned bits[32] = { 0 }, n = 0;
    struct rng r;
    rng_seed(&r, unit_seed());
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < sizeof data; i++) {
            data[i] = (uint8_t) rng_u64(&r);
        }
        size_t size = 1 + rng_below(&r, sizeof data);
        uint32_t before = hash_bytes(data, size, 7);
        CU_ASSERT_EQUAL(before, hash_bytes(data, size, 7));
        CU_ASSERT_NOT_EQUAL(before, hash_bytes(data, size, 8));
        for (size_t bit = 0; bit < size * 8; bit++, n++) {      /* One input bit flips half of the output bits. */
            data[bit / 8] ^= (uint8_t) (1 << bit % 8);
            uint32_t diff = before ^ hash_bytes(data, size, 7);
            data[bit / 8] ^= (uint8_t) (1 << bit % 8);
            for (unsigned j = 0; j < 32; j++) {
                bits[j] += diff >> j & 1;
            }
        }
    }
    for (unsigned j = 0; j < 32; j++) {
        CU_ASSERT(bits[j] > n / 100 * 45 && bits[j] < n / 100 * 55);
    }
}

static void test_cpulist(void)
{
    static const struct { const char *s; size_t n; unsigned cpus[6]; } good[] = {
        { "0", 1, { 0 } }, { "1,3-5", 4, { 1, 3, 4, 5 } }, { "5,1", 2, { 1, 5 } }, { "2-3,3,2", 2, { 2, 3 } }, { "7-7", 1, { 7 } },
    };
    static const char *const bad[] = { "", ",", "1,", ",1", "1-", "-1", "3-1", "a", "1 ", "1,,2", "0x1", "99999", "1-2-3", "0-6" };
    unsigned cpus[6];
    size_t n;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CU_ASSERT(cpulist_parse(good[i].s, cpus, 6, &n) && n == good[i].n && !memcmp(cpus, good[i].cpus, n * sizeof *cpus));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CU_ASSERT_FALSE(cpulist_parse(bad[i], cpus, 6, &n));
    }
}

/* Random sets, written with random ranges, come back as the sets. */
static void test_cpulist_round_trip(void)
{
    struct rng r;
    rng_seed(&r, unit_seed());
    for (int round = 0; round < 2000; round++) {
        bool set[64] = { false };
        char text[512] = "";
        size_t len = 0, n, want = 0;
        unsigned cpus[64];
        for (unsigned i = 0, parts = 1 + rng_below(&r, 4); i < parts; i++) {
            unsigned a = rng_below(&r, 64), b = a + rng_below(&r, 8);
            b = MIN(b, 63u);
            memset(set + a, true, b - a + 1);
            len += (size_t) snprintf(text + len, sizeof text - len, a == b && rng_below(&r, 2) ? "%s%u" : "%s%u-%u", i ? "," : "", a, b);
        }
        CU_ASSERT_TRUE(cpulist_parse(text, cpus, 64, &n));
        for (unsigned i = 0; i < 64; i++) {
            if (set[i]) {
                CU_ASSERT(want < n && cpus[want] == i);
                want++;
            }
        }
        CU_ASSERT_EQUAL(want, n);
    }
}

static void test_rng(void)
{
    struct rng a, b, c;
    unsigned seen[10] = { 0 };
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    /* xoshiro256** from the state 1, 2, 3, 4: the published reference sequence. */
    struct rng ref = { { 1, 2, 3, 4 } };
    CU_ASSERT_EQUAL(rng_u64(&ref), 11520);
    CU_ASSERT_EQUAL(rng_u64(&ref), 0);
    CU_ASSERT_EQUAL(rng_u64(&ref), 1509978240);
    CU_ASSERT_EQUAL(rng_u64(&ref), UINT64_C(1215971899390074240));
    for (int i = 0; i < 10000; i++) {
        uint64_t x = rng_u64(&a);
        CU_ASSERT_EQUAL(x, rng_u64(&b));
        CU_ASSERT_NOT_EQUAL(x, rng_u64(&c));
        seen[rng_below(&a, 10)]++;
        (void) rng_u64(&b);
    }
    for (int i = 0; i < 10; i++) {
        CU_ASSERT(seen[i] > 800 && seen[i] < 1200);
    }
    rng_seed_random(&a);
    rng_seed_random(&b);
    CU_ASSERT_NOT_EQUAL(rng_u64(&a), rng_u64(&b));
}

static void test_clock(void)
{
    struct clock c = clock_monotonic();
    uint64_t t = clock_now_ns(&c);
    CU_ASSERT(t > 0 && clock_now_ns(&c) >= t);
}

void util_test_suite(void)
{
    UNIT_SUITE("util", { "memory", test_memory }, { "strict numbers", test_numbers },
               { "numbers, round trip", test_numbers_round_trip }, { "names", test_names }, { "hash", test_hash },
               { "CPU lists", test_cpulist }, { "CPU lists, round trip", test_cpulist_round_trip }, { "rng", test_rng },
               { "clock", test_clock });
}
