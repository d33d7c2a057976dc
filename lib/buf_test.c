#include "lib/buf.h"

#include <string.h>
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn buf_test_suite;

static void test_put(void)
{
    static const uint8_t want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0 };
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 1);
    buf_put_be16(&b, 0x0203);
    buf_put_be32(&b, 0x04050607);
    buf_put_be64(&b, UINT64_C(0x08090a0b0c0d0e0f));
    buf_pad(&b, 1, 8);
    CU_ASSERT_EQUAL(b.size, 17);
    buf_pad(&b, 1, 8);
    CU_ASSERT_EQUAL(b.size, 17);
    buf_put_zeros(&b, 1);
    CU_ASSERT(b.size == sizeof want && !memcmp(b.data, want, b.size));
    buf_set_be16(&b, 16, 0xabcd);
    buf_set_be32(&b, 0, 0x11223344);
    CU_ASSERT(b.data[16] == 0xab && b.data[17] == 0xcd && b.data[0] == 0x11 && b.data[3] == 0x44);
    buf_consume(&b, 16);
    CU_ASSERT(b.size == 2 && b.data[0] == 0xab);
    buf_consume(&b, 2);
    CU_ASSERT_EQUAL(b.size, 0);
    buf_fini(&b);
    buf_put(&b, "x", 1);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "x");
    buf_fini(&b);
}

static void test_text(void)
{
    struct buf b = BUF_INIT;
    char *long_text = xcalloc(1, 1001);
    memset(long_text, 'y', 1000);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "");
    buf_puts(&b, "a=");
    buf_printf(&b, "%d", 42);
    CU_ASSERT(b.size == 4 && b.data[4] == '\0');
    buf_printf(&b, "%s", long_text);            /* Longer than what was allocated. */
    CU_ASSERT(b.size == 1004 && b.data[1004] == '\0' && b.data[1003] == 'y');
    char *s = buf_steal_cstr(&b);
    CU_ASSERT(strlen(s) == 1004 && !b.data && !b.size);
    free(s);
    s = buf_steal_cstr(&b);
    CU_ASSERT_STRING_EQUAL(s, "");
    free(s);
    free(long_text);
}

static void test_cursor(void)
{
    static const uint8_t data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    uint8_t out[3] = { 9, 9, 9 };
    struct cursor c = cursor_make(data, sizeof data);
    CU_ASSERT(cursor_u8(&c) == 1 && cursor_be16(&c) == 0x0203 && cursor_be32(&c) == 0x04050607);
    CU_ASSERT(cursor_left(&c) == 2 && !c.failed);
    CU_ASSERT(cursor_be32(&c) == 0 && c.failed);
    CU_ASSERT(cursor_u8(&c) == 0 && c.failed);          /* Stays failed though a byte is left. */
    cursor_copy(&c, out, sizeof out);
    CU_ASSERT(!out[0] && !out[1] && !out[2]);

    c = cursor_make(data, sizeof data);
    struct cursor sub = cursor_sub(&c, 8);
    CU_ASSERT(cursor_be64(&sub) == UINT64_C(0x0102030405060708) && !cursor_left(&sub) && !sub.failed);
    CU_ASSERT(cursor_left(&c) == 1);
    sub = cursor_sub(&c, 2);
    CU_ASSERT(sub.failed && c.failed && !cursor_left(&sub));
    c = cursor_make(data, sizeof data);
    cursor_skip(&c, sizeof data);
    CU_ASSERT(!c.failed && !cursor_left(&c));
}

/* Random puts and consumes against a plain array. */
static void test_model(void)
{
    static uint8_t model[1 << 16];
    size_t size = 0;
    struct buf b = BUF_INIT;
    struct rng r;
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 20000; i++) {
        uint8_t chunk[64];
        size_t n = rng_below(&r, sizeof chunk);
        if (rng_below(&r, 3) && size + n < sizeof model) {
            memset(chunk, (int) rng_below(&r, 256), n);
            buf_put(&b, chunk, n);
            memcpy(model + size, chunk, n);
            size += n;
        } else {
            n = rng_below(&r, (uint32_t) size + 1);
            buf_consume(&b, n);
            memmove(model, model + n, size - n);
            size -= n;
        }
        CU_ASSERT_FATAL(b.size == size && (!size || !memcmp(b.data, model, size)));
    }
    buf_fini(&b);
}

void buf_test_suite(void)
{
    UNIT_SUITE("buf", { "put and patch", test_put }, { "text", test_text }, { "cursor", test_cursor }, { "against an array", test_model });
}
