#include "controller/lldp.h"

#include <string.h>
#include "lib/util.h"
#include "tests/unit.h"

static struct lldp_key key_of(const char *text)
{
    struct lldp_key key = { .size = strlen(text) };
    memcpy(key.b, text, key.size);
    return key;
}

static const struct mac source = { { 0x52, 0x54, 0, 1, 2, 3 } };

static void test_round_trip(void)
{
    struct rng rng;
    struct lldp_key key = key_of("0123456789abcdef"), other = key_of("0123456789abcdeF");
    rng_seed(&rng, unit_seed());
    for (int i = 0; i < 2000; i++) {
        struct lldp_info in = { rng_u64(&rng), (uint32_t) rng_u64(&rng), (uint16_t) rng_u64(&rng), rng_u64(&rng) }, out;
        struct buf frame = BUF_INIT;
        lldp_build(&key, &in, source, &frame);
        CU_ASSERT_TRUE(frame.size >= 60 && frame.size <= 1500);
        CU_ASSERT_EQUAL(wire_get16(frame.data + 12), LLDP_ETHERTYPE);
        CU_ASSERT_EQUAL(wire_get48(frame.data), UINT64_C(0x0180c200000e));
        CU_ASSERT_EQUAL(wire_get48(frame.data + 6), mac_u64(source));
        CU_ASSERT_EQUAL(lldp_parse(&key, frame.data, frame.size, &out), LLDP_OK);
        CU_ASSERT_EQUAL(out.datapath_id, in.datapath_id);
        CU_ASSERT_EQUAL(out.port, in.port);
        CU_ASSERT_EQUAL(out.ttl, in.ttl);
        CU_ASSERT_EQUAL(out.sequence, in.sequence);
        CU_ASSERT_EQUAL(lldp_parse(&other, frame.data, frame.size, &out), LLDP_FORGED);
        buf_fini(&frame);
    }
}

/* The frame by hand, from IEEE 802.1AB section 8: any LLDP agent can read its mandatory part. */
static void test_golden(void)
{
    static const uint8_t head[] = {
        0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xcc,
        0x02, 20, 7, 'o', 'f', ':', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', 'f', 'a',
        0x04, 3, 7, '4', '2', 0x06, 2, 0, 3, 0xfe, 44, 0x02, 'P', 'L', 1, 0, 0, 0, 0, 0, 0, 0, 9,
    };
    struct lldp_key key = key_of("0123456789abcdef");
    struct lldp_info in = { 0xfa, 42, 3, 9 };
    struct buf frame = BUF_INIT;
    lldp_build(&key, &in, source, &frame);
    CU_ASSERT_EQUAL_FATAL(frame.size, sizeof head + 32 + 2);
    CU_ASSERT_EQUAL(memcmp(frame.data, head, sizeof head), 0);
    CU_ASSERT_EQUAL(wire_get16(frame.data + frame.size - 2), 0);
    buf_fini(&frame);
}

/* Whoever changes one bit of what the signature covers has no link; cut short, likewise. */
static void test_forged(void)
{
    struct lldp_key key = key_of("0123456789abcdef");
    struct lldp_info in = { 0x1234, 7, 3, 99 }, out;
    struct buf frame = BUF_INIT;
    lldp_build(&key, &in, source, &frame);
    for (size_t bit = 12 * 8; bit < frame.size * 8; bit++) {
        frame.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        bool end_tlv = bit >= (frame.size - 2) * 8;     /* Behind the signed part; a longer frame is still ours. */
        enum lldp_verdict verdict = lldp_parse(&key, frame.data, frame.size, &out);
        /* Hex digits may change case. */
        bool same = verdict == LLDP_OK && out.datapath_id == in.datapath_id && out.port == in.port && out.sequence == in.sequence;
        CU_ASSERT_TRUE(verdict != LLDP_OK || end_tlv || same);
        frame.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    for (size_t size = 0; size < frame.size - 2; size++) {
        CU_ASSERT_NOT_EQUAL(lldp_parse(&key, frame.data, size, &out), LLDP_OK);
    }
    buf_fini(&frame);
}

static void test_foreign(void)
{
    static const uint8_t plain[] = {
        0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xcc, 0x02, 7, 4, 1, 2, 3, 4, 5, 6, 0x04, 3, 7, 'e', '0', 0x06, 2, 0, 120, 0, 0,
    };
    uint8_t arp[60] = { [12] = 8, [13] = 6 };
    struct lldp_key key = key_of("0123456789abcdef");
    struct lldp_info out;
    CU_ASSERT_EQUAL(lldp_parse(&key, plain, sizeof plain, &out), LLDP_FOREIGN);
    CU_ASSERT_EQUAL(lldp_parse(&key, arp, sizeof arp, &out), LLDP_FOREIGN);
    CU_ASSERT_EQUAL(lldp_parse(&key, plain, 0, &out), LLDP_FOREIGN);
}

static void test_replay(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    struct lldp_sent s;
    lldp_sent_init(&s, UINT64_MAX - 2);         /* Wraps. */
    CU_ASSERT_FALSE(lldp_fresh(&s, UINT64_MAX - 2));    /* Nothing was sent yet. */
    uint64_t first = lldp_sent_next(&s);
    CU_ASSERT_EQUAL(first, UINT64_MAX - 2);
    CU_ASSERT_FALSE(lldp_fresh(&s, first - 1));         /* An earlier run's. */
    CU_ASSERT_FALSE(lldp_fresh(&s, first + 1));         /* Not sent yet. */
    CU_ASSERT_TRUE(lldp_fresh(&s, first));
    CU_ASSERT_FALSE(lldp_fresh(&s, first));             /* Replayed. */
    for (int i = 0; i < 10; i++) {
        uint64_t a = lldp_sent_next(&s), b = lldp_sent_next(&s);
        CU_ASSERT_TRUE(lldp_fresh(&s, b));
        CU_ASSERT_FALSE(lldp_fresh(&s, a));             /* Overtaken. */
    }
    uint64_t old = lldp_sent_next(&s);
    for (int i = 0; i < LLDP_WINDOW; i++) {
        lldp_sent_next(&s);
    }
    CU_ASSERT_FALSE(lldp_fresh(&s, old));               /* Held back too long. */
    /* The naive twin: a set of what was sent and not yet accepted or overtaken. */
    lldp_sent_init(&s, rng_u64(&rng));
    uint64_t base = s.first, sent = 0, accepted = 0;    /* Counts: sequences base .. base + sent - 1 are out; those below base + accepted are used up. */
    for (int i = 0; i < 20000; i++) {
        if (rng_below(&rng, 2)) {
            CU_ASSERT_EQUAL(lldp_sent_next(&s), base + sent);
            sent++;
        } else {
            int64_t k = (int64_t) sent - 6 + (int64_t) rng_below(&rng, 9);
            bool expected = k >= 0 && k < (int64_t) sent && k >= (int64_t) accepted && k >= (int64_t) sent - LLDP_WINDOW;
            CU_ASSERT_EQUAL(lldp_fresh(&s, base + (uint64_t) k), expected);
            if (expected) {
                accepted = (uint64_t) k + 1;
            }
        }
    }
}

void lldp_test_suite(void);
void lldp_test_suite(void)
{
    UNIT_SUITE("lldp", { "round trip", test_round_trip }, { "golden bytes", test_golden }, { "forged", test_forged }, { "foreign", test_foreign },
               { "replay", test_replay });
}
