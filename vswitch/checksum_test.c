/* Incremental checksums: bijections on all 65536 values, right where the old one was right. */
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/checksum.h"

unit_suite_fn checksum_test_suite;

/* For a delta and its inverse: each of the 65536 values comes back, no two meet, and the fixed point stays. */
static void check_bijection(uint16_t (*update)(uint16_t, uint32_t), uint16_t fixed, const uint8_t *a, const uint8_t *b, size_t n)
{
    static bool seen[65536];
    uint32_t there = checksum_delta(a, b, n, 0), back = checksum_delta(b, a, n, 0);
    unsigned bad = 0;
    memset(seen, 0, sizeof seen);
    for (uint32_t c = 0; c < 65536; c++) {
        uint16_t moved = update((uint16_t) c, there);
        bad += seen[moved] || update(moved, back) != c;
        seen[moved] = true;
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(update(fixed, there), fixed);
}

static void test_bijection(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 200; round++) {
        uint8_t a[16], b[16];
        for (unsigned i = 0; i < 16; i++) {
            a[i] = round % 5 ? (uint8_t) rng_u64(&rng) : 0;
            b[i] = round % 3 ? (uint8_t) rng_u64(&rng) : 0xff;
        }
        size_t n = 2u << rng_below(&rng, 4);
        check_bijection(checksum_update, 0xffff, a, b, n);
        check_bijection(checksum_update_udp, 0, a, b, n);
    }
}

/* Deltas of every single word, which hold every residue modulo 65535. */
static void test_every_delta(void)
{
    unsigned bad = 0;
    for (uint32_t word = 0; word < 65536; word++) {
        uint8_t a[2] = { 0, 0 }, b[2] = { (uint8_t) (word >> 8), (uint8_t) word };
        uint32_t there = checksum_delta(a, b, 2, 0), back = checksum_delta(b, a, 2, 0);
        static const uint16_t edges[] = { 0, 1, 2, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff };
        for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
            bad += checksum_update(checksum_update(edges[i], there), back) != edges[i];
            bad += checksum_update_udp(checksum_update_udp(edges[i], there), back) != edges[i];
        }
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_small(void)
{
    unsigned bad = 0;
    for (uint32_t c = 0; c <= 0xffff; c++) {
        for (uint32_t delta = 0; delta < 0xffff; delta += delta % 256 ? 255 : 1) {     /* Multiples of 256, as a TTL has them, and one above. */
            bad += checksum_update_small((uint16_t) c, (uint16_t) delta) != checksum_update((uint16_t) c, delta);
        }
        bad += checksum_update_small((uint16_t) c, 0xfffe) != checksum_update((uint16_t) c, 0xfffe);
    }
    CU_ASSERT_EQUAL(bad, 0);
}

/* Against a full computation, at even and odd offsets and lengths. */
static void test_against_full(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t data[64], old[64];
        size_t size = 2 + rng_below(&rng, 63), at = rng_below(&rng, (uint32_t) size), n = 1 + rng_below(&rng, (uint32_t) (size - at));
        for (unsigned i = 0; i < size; i++) {
            data[i] = (uint8_t) rng_u64(&rng);
        }
        data[size - 1] |= size > 1 && at + n < size;    /* Never all zeros. */
        data[0] |= 0x40;
        uint16_t before = checksum_full(data, size, 0);
        memcpy(old, data, sizeof data);
        for (size_t i = at; i < at + n; i++) {
            data[i] = (uint8_t) (rng_u64(&rng) | (i ? 0 : 0x40));
        }
        uint16_t after = checksum_full(data, size, 0), updated = checksum_update(before, checksum_delta(old + at, data + at, n, at & 1));
        CU_ASSERT_EQUAL(updated, after);
        /* UDP writes a sum of zero as 0xffff. */
        updated = checksum_update_udp(before ? before : 0xffff, checksum_delta(old + at, data + at, n, at & 1));
        CU_ASSERT_EQUAL(updated, after ? after : 0xffff);
    }
}

static void test_crc32c(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    CU_ASSERT_EQUAL(checksum_crc32c("123456789", 9), 0xe3069283);      /* The check value of CRC-32/ISCSI. */
    for (unsigned round = 0; round < 500; round++) {
        uint8_t data[1500];
        size_t size = 12 + rng_below(&rng, sizeof data - 12);
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t) rng_u64(&rng);
        }
        uint32_t before = checksum_crc32c(data, size);
        uint8_t diff[4];
        for (unsigned i = 0; i < 4; i++) {
            diff[i] = (uint8_t) rng_u64(&rng);
            data[i] ^= diff[i];
        }
        CU_ASSERT_EQUAL(before ^ checksum_crc32c_delta(diff, size - 4), checksum_crc32c(data, size));
    }
}

static void test_known(void)
{
    /* RFC 1071 section 3's example. */
    CU_ASSERT_EQUAL(checksum_full("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0), (uint16_t) ~0xddf2);
}

void checksum_test_suite(void)
{
    UNIT_SUITE("checksum",
        { "known values", test_known },
        { "bijection over all values", test_bijection },
        { "every delta", test_every_delta },
        { "small deltas", test_small },
        { "against a full computation", test_against_full },
        { "CRC32c", test_crc32c });
}
