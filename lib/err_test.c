#include "lib/err.h"

#include <string.h>
#include "tests/unit.h"

unit_suite_fn err_test_suite;

static void test_fill(void)
{
    struct err e = ERR_INIT;
    char text[200];
    CU_ASSERT_FALSE(err_set(&e, ERR_INVALID, "subnet", "%s is not a prefix", "10/8"));
    CU_ASSERT_EQUAL(e.code, ERR_INVALID);
    CU_ASSERT_STRING_EQUAL(err_format(&e, text, sizeof text), "subnet: 10/8 is not a prefix");
    CU_ASSERT_FALSE(err_hint(&e, "write %s", "10.0.0.0/8"));
    CU_ASSERT_STRING_EQUAL(err_format(&e, text, sizeof text), "subnet: 10/8 is not a prefix (write 10.0.0.0/8)");
    CU_ASSERT_STRING_EQUAL(err_format(&e, text, 8), "subnet:");
    err_set(&e, ERR_FAILED, NULL, "no");
    CU_ASSERT_STRING_EQUAL(err_format(&e, text, sizeof text), "no");
}

static void test_prefix(void)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_INVALID, NULL, "bad");
    CU_ASSERT_FALSE(err_prefix(&e, "name"));
    CU_ASSERT_STRING_EQUAL(e.field, "name");
    err_prefix(&e, "ports[3]");
    CU_ASSERT_STRING_EQUAL(e.field, "ports[3].name");
    err_set(&e, ERR_INVALID, "[2].x", "bad");
    err_prefix(&e, "vpcs");
    CU_ASSERT_STRING_EQUAL(e.field, "vpcs[2].x");
    err_prefix(&e, "");
    CU_ASSERT_STRING_EQUAL(e.field, "vpcs[2].x");
    for (int i = 0; i < 100; i++) {             /* Truncated, never overrun. */
        err_prefix(&e, "longer");
    }
    CU_ASSERT_EQUAL(strlen(e.field), sizeof e.field - 1);
}

static void test_codes(void)
{
    static const int exits[] = { 0, 1, 1, 2, 3, 4, 5, 6, 7 };
    for (int c = ERR_NONE; c <= ERR_UNREACHABLE; c++) {
        CU_ASSERT_EQUAL(err_exit_code((enum err_code) c), exits[c]);
        CU_ASSERT_EQUAL((int) err_code_from_name(err_code_name((enum err_code) c)), c);
    }
    CU_ASSERT_EQUAL(err_code_from_name("nonsense"), ERR_FAILED);
    CU_ASSERT_STRING_EQUAL(err_code_name(ERR_NOT_FOUND), "not_found");
}

void err_test_suite(void)
{
    UNIT_SUITE("err", { "fill and format", test_fill }, { "field prefixes", test_prefix }, { "codes", test_codes });
}
