#include "lib/util.h"

#include <string.h>
#include "tests/unit.h"

unit_suite_fn codec_test_suite;

static void random_bytes(struct rng *r, uint8_t *out, size_t n)
{
    while (n--) {
        *out++ = (uint8_t) rng_u64(r);
    }
}

static void test_hex(void)
{
    struct rng r;
    uint8_t in[70], out[70];
    char text[141];
    rng_seed(&r, unit_seed());
    for (size_t n = 0; n <= sizeof in; n++) {
        size_t size = n;
        random_bytes(&r, in, n);
        bytes_to_hex(in, n, text);
        CU_ASSERT(hex_to_bytes(text, out, &size) && size == n && !memcmp(in, out, n));
        size = n - 1;
        CU_ASSERT(n == 0 || !hex_to_bytes(text, out, &size));
    }
    static const char *const bad[] = { "0", "0g", "g0", "0x", " 0", "00 " };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t size = sizeof out;
        CU_ASSERT_FALSE(hex_to_bytes(bad[i], out, &size));
    }
}

static void test_base64(void)
{
    /* RFC 4648 section 10. */
    static const struct { const char *plain, *text; } vectors[] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    static const char *const bad[] = { "Z", "Zg", "Zg=", "=", "====", "Z===", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm-_" };
    uint8_t out[70];
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        size_t size = sizeof out, n = strlen(vectors[i].plain);
        char *text = base64_encode((const uint8_t *) vectors[i].plain, n);
        CU_ASSERT_STRING_EQUAL(text, vectors[i].text);
        CU_ASSERT(base64_decode(text, out, &size) && size == n && !memcmp(out, vectors[i].plain, n));
        free(text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t size = sizeof out;
        CU_ASSERT_FALSE(base64_decode(bad[i], out, &size));
    }
}

static void test_base64_round_trip(void)
{
    struct rng r;
    uint8_t in[70], out[70];
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 5000; i++) {
        size_t n = rng_below(&r, sizeof in + 1), size = n;
        random_bytes(&r, in, n);
        char *text = base64_encode(in, n);
        CU_ASSERT(base64_decode(text, out, &size) && size == n && !memcmp(in, out, n));
        size = n - 1;
        CU_ASSERT(n == 0 || !base64_decode(text, out, &size));
        /* A changed character either is refused or means other bytes: no two texts are one value. */
        if (n) {
            size = sizeof out;
            size_t at = rng_below(&r, (uint32_t) strlen(text));
            char was = text[at];
            text[at] = (char) (33 + rng_below(&r, 94));
            CU_ASSERT(text[at] == was || !base64_decode(text, out, &size) || size != n || memcmp(in, out, n));
        }
        free(text);
    }
}

/* Decodes code points and checks the ranges of RFC 3629 afterwards: slow, and unlike the real one. */
static bool naive_utf8(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; ) {
        unsigned len = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (!len || len > n - i) {
            return false;
        }
        uint32_t c = len == 1 ? p[i] : p[i] & (0xffu >> (len + 1));
        for (unsigned j = 1; j < len; j++) {
            if (p[i + j] >> 6 != 2) {
                return false;
            }
            c = c << 6 | (p[i + j] & 0x3f);
        }
        if (c < lowest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
            return false;
        }
        i += len;
    }
    return true;
}

static void test_utf8(void)
{
    static const uint8_t interesting[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
                                           0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
    enum { N = ARRAY_SIZE(interesting) };
    unsigned valid = 0, total = 0;
    for (unsigned i = 0; i < N * N * N * N; i++) {              /* Every string of four of them, and its prefixes. */
        uint8_t s[4] = { interesting[i % N], interesting[i / N % N], interesting[i / N / N % N], interesting[i / N / N / N] };
        for (size_t n = 1; n <= 4; n++) {
            bool ok = utf8_valid((const char *) s, n);
            if (ok != naive_utf8(s, n)) {
                CU_FAIL("utf8_valid differs from its twin");
                return;
            }
            valid += ok;
            total++;
        }
    }
    CU_ASSERT(valid > 1000 && valid < total / 2);
    CU_ASSERT_TRUE(utf8_valid("", 0));
    CU_ASSERT_TRUE(utf8_valid("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80", 15));
}

void codec_test_suite(void)
{
    UNIT_SUITE("codec", { "hexadecimal", test_hex }, { "base64", test_base64 }, { "base64, round trip", test_base64_round_trip },
               { "UTF-8 against its twin", test_utf8 });
}
