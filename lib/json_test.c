#include "lib/json.h"

#include <math.h>
#include <string.h>
#include <unistd.h>
#include "lib/buf.h"
#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn json_test_suite;

static cJSON *parse(const char *text, struct err *err)
{
    *err = ERR_INIT;
    return json_parse(text, strlen(text), 1 << 20, err);
}

/* Parses, prints compactly, compares. */
static void expect_text(const char *in, const char *out)
{
    struct err err;
    cJSON *v = parse(in, &err);
    if (!v) {
        printf("refused %s: %s\n", in, err.message);
        CU_FAIL("refused good JSON");
        return;
    }
    char *text = json_text(v, false);
    CU_ASSERT_STRING_EQUAL(text, out);
    free(text);
    cJSON_Delete(v);
}

static void test_good(void)
{
    expect_text(" { \"a\" : [ 1 , -2 , 0.5, true,false , null ] }\r\n\t", "{\"a\":[1,-2,0.5,true,false,null]}");
    expect_text("\"x\"", "\"x\"");
    expect_text("[]", "[]");
    expect_text("{}", "{}");
    expect_text("[-0, 0e5, 1E2, 1e+2, 1e-2, 12.50]", "[0,0,100,100,0.01,12.5]");
    expect_text("[0.002900709962737045, 0.00012345678901234567]", "[0.002900709962737045,0.00012345678901234567]");   /* 17 digits that count. */
    expect_text("[9007199254740992, -9007199254740992, 1000000000000000]", "[9007199254740992,-9007199254740992,1000000000000000]");
    expect_text("\"\\u00e9 \\ud83d\\ude00 \\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u001f\"", "\"\xc3\xa9 \xf0\x9f\x98\x80 \\\" \\\\ / \\b\\f\\n\\r\\t \\u001f\"");
    expect_text("{\"a\":1,\"A\":2,\"\":3,\"ab\":{\"a\":4}}", "{\"a\":1,\"A\":2,\"\":3,\"ab\":{\"a\":4}}");
}

static void test_bad(void)
{
    static const struct { const char *text, *message; } cases[] = {
        { "", "line 1, column 1: the text ends where a value should be" },
        { "{} x", "line 1, column 4: more text after the end of the document" },
        { "{}{}", "line 1, column 3: more text after" },
        { "{\n  \"a\": 1,\n  \"a\": 2\n}", "line 3, column 3: duplicate key \"a\"" },
        { "{\"a\":1,\"b\":2,\"\\u0061\":3}", "line 1, column 14: duplicate key \"a\"" },
        { "[{\"x\":{\"k\":1,\"k\":1}}]", "line 1, column 14: duplicate key \"k\"" },
        { "{\"a\":1,}", "line 1, column 8: '}' where a key in double quotes should be" },
        { "[1,]", "line 1, column 4: ']' where a value should be" },
        { "[1 2]", "line 1, column 4: '2' where ',' or ']' should be" },
        { "{\"a\" 1}", "line 1, column 6: '1' where ':' should be" },
        { "{a:1}", "'a' where a key in double quotes should be" },
        { "'a'", "line 1, column 1: ''' where a value should be" },
        { "[1", "the text ends where ',' or ']' should be" },
        { "{\"a\":1", "the text ends where ',' or '}' should be" },
        { "\"abc", "line 1, column 1: this string never ends" },
        { "\"a\nb\"", "line 1, column 3: control characters in strings must be escaped" },
        { "\"\\x\"", "an escape that JSON does not have" },
        { "\"\\u12g4\"", "\\u needs four hexadecimal digits" },
        { "\"\\u12", "\\u needs four hexadecimal digits" },
        { "\"\\u0000\"", "line 1, column 2: the character U+0000 is not allowed" },
        { "\"\\ud800\"", "half of a surrogate pair" },
        { "\"\\ud800\\u0041\"", "half of a surrogate pair" },
        { "\"\\udc00\"", "half of a surrogate pair" },
        { "\"\xc3\"", "this string is not valid UTF-8" },
        { "\"\xed\xa0\x80\"", "this string is not valid UTF-8" },
        { "{\"\xff\":1}", "this string is not valid UTF-8" },
        { "\xef\xbb\xbf{}", "line 1, column 1: byte 0xef where a value should be" },
        { "01", "more text after" }, { "-", "where a digit should be" }, { "1.", "where a digit should be" }, { "1e", "where a digit should be" },
        { ".5", "where a value should be" }, { "+1", "where a value should be" }, { "0x1", "more text after" }, { "NaN", "where a value should be" },
        { "Infinity", "where a value should be" }, { "nul", "where a value should be" }, { "True", "where a value should be" }, { "truex", "more text after" },
        { "9007199254740993", "beyond 2^53" }, { "-9007199254740993", "beyond 2^53" }, { "9007199254740993.0", "beyond 2^53" },
        { "1e400", "beyond 2^53" }, { "1e16", "beyond 2^53" }, { "1.00000000000000000001", "too many digits" },
        { "/* c */ 1", "'/' where a value should be" }, { "[1,,2]", "',' where a value should be" },
    };
    struct err err;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cJSON *v = parse(cases[i].text, &err);
        if (v || err.code != ERR_INVALID || !strstr(err.message, cases[i].message)) {
            printf("%s: %s, not %s\n", cases[i].text, v ? "accepted" : err.message, cases[i].message);
            CU_FAIL("bad JSON");
        }
        cJSON_Delete(v);
    }
    CU_ASSERT_PTR_NULL(json_parse("{}\0", 3, 100, &err));              /* A NUL is a trailing byte. */
    CU_ASSERT_PTR_NULL(json_parse("\"a\0b\"", 5, 100, &err));
    CU_ASSERT_PTR_NULL(json_parse("[1,2,3]", 7, 6, &err));
    CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(err.message, "too long"));
}

static void test_depth(void)
{
    char text[2 * JSON_MAX_DEPTH + 3];
    struct err err;
    for (int depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t) depth);
        memset(text + depth, ']', (size_t) depth);
        text[2 * depth] = '\0';
        cJSON *v = parse(text, &err);
        CU_ASSERT_EQUAL(v != NULL, depth == JSON_MAX_DEPTH);
        cJSON_Delete(v);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "levels deep"));
    /* Far too deep must be refused before anything recurses. */
    size_t n = 1 << 19;
    char *deep = xmalloc(n);
    memset(deep, '[', n);
    CU_ASSERT_PTR_NULL(json_parse(deep, n, 1 << 20, &err));
    free(deep);
}

/* A random tree, built with cJSON. */
static cJSON *random_tree(struct rng *r, unsigned depth)
{
    char text[16];
    switch (rng_below(r, depth ? 7 : 5)) {
    case 0: return cJSON_CreateNull();
    case 1: return cJSON_CreateBool(rng_below(r, 2));
    case 2: return cJSON_CreateNumber((double) rng_below(r, 2000) - 1000);
    case 3: return cJSON_CreateNumber(((double) rng_below(r, 1 << 30) - (1 << 29)) / 1024);
    case 4: {
        size_t n = 0;
        for (unsigned left = rng_below(r, 5); left--; ) {
            static const char *const pieces[] = { "a", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xf0\x9f\x98\x80", "/", "\x7f" };
            n += strlen(strcpy(text + n, pieces[rng_below(r, ARRAY_SIZE(pieces) - 3 * (n > 7))]));
        }
        text[n] = '\0';
        return cJSON_CreateString(text);
    }
    default: {
        bool object = rng_below(r, 2);
        cJSON *v = object ? cJSON_CreateObject() : cJSON_CreateArray();
        for (unsigned i = 0, n = rng_below(r, 5); i < n; i++) {
            snprintf(text, sizeof text, "%s%u", i & 1 ? "k\n" : "K", i);
            if (object) {
                cJSON_AddItemToObject(v, text, random_tree(r, depth - 1));
            } else {
                cJSON_AddItemToArray(v, random_tree(r, depth - 1));
            }
        }
        return v;
    }
    }
}

/* Print and parse are inverse; and a damaged text is refused, or cJSON accepts it too and prints back what means the same. */
static void test_differential(void)
{
    struct rng r;
    unsigned accepted = 0, refused = 0;
    rng_seed(&r, unit_seed());
    for (int i = 0; i < 3000; i++) {
        struct err err = ERR_INIT;
        cJSON *tree = random_tree(&r, 5), *back;
        char *text = json_text(tree, i & 1);
        size_t n = strlen(text);
        back = json_parse(text, n, n, &err);
        if (!back || !cJSON_Compare(tree, back, true)) {
            printf("%s: %s\n", text, err.message);
            CU_FAIL("print and parse differ");
        }
        cJSON_Delete(back);
        for (unsigned flips = 1 + rng_below(&r, 2); flips--; ) {
            text[rng_below(&r, (uint32_t) n)] = (char) ("{}[]:,\"\\u0019-.eE tn\xc3\xff"[rng_below(&r, 22)]);
        }
        back = json_parse(text, n, n, &err);
        if (back) {
            cJSON *lax = cJSON_ParseWithLength(text, n);
            CU_ASSERT_TRUE(cJSON_Compare(back, lax, true));
            cJSON_Delete(lax);
        }
        accepted += back != NULL;
        refused += !back;
        cJSON_Delete(back);
        cJSON_Delete(tree);
        free(text);
    }
    CU_ASSERT(accepted > 100 && refused > 1000);
}

static void test_print(void)
{
    cJSON *o = cJSON_CreateObject();
    json_add_u64(o, "small", UINT64_C(1) << 53);
    json_add_u64(o, "large", UINT64_MAX);
    json_add_string(o, "bad", "a\xff" "b\xc3");
    json_add_format(o, "f", "%d/%s", 1, "x");
    json_add_bool(o, "yes", true);
    json_add_array(o, "none");
    json_add_string(json_append_object(json_add_array(json_add_object(o, "sub"), "list")), "k", "v");
    cJSON_AddNumberToObject(o, "nan", NAN);
    char *text = json_text(o, false);
    CU_ASSERT_STRING_EQUAL(text, "{\"small\":9007199254740992,\"large\":\"18446744073709551615\",\"bad\":\"a\\ufffdb\\ufffd\",\"f\":\"1/x\","
                                 "\"yes\":true,\"none\":[],\"sub\":{\"list\":[{\"k\":\"v\"}]},\"nan\":null}");
    free(text);
    text = json_text(cJSON_GetObjectItemCaseSensitive(o, "sub"), true);
    CU_ASSERT_STRING_EQUAL(text, "{\n  \"list\": [\n    {\n      \"k\": \"v\"\n    }\n  ]\n}");
    free(text);
    cJSON_Delete(o);
}

static void test_errors(void)
{
    struct err e = ERR_INIT, back = ERR_INIT;
    err_set(&e, ERR_CONFLICT, "vpcs[0].name", "exists");
    err_hint(&e, "choose another");
    cJSON *v = json_from_err(&e);
    char *text = json_text(v, false);
    CU_ASSERT_STRING_EQUAL(text, "{\"error\":{\"code\":\"conflict\",\"field\":\"vpcs[0].name\",\"message\":\"vpcs[0].name: exists\","
                                 "\"hint\":\"choose another\"}}");
    CU_ASSERT_TRUE(json_to_err(v, &back));
    CU_ASSERT(back.code == ERR_CONFLICT && !strcmp(back.field, e.field) && !strcmp(back.message, "exists") && !strcmp(back.hint, e.hint));
    free(text);
    cJSON_Delete(v);
    v = cJSON_Parse("{\"error\":{}}");
    CU_ASSERT_FALSE(json_to_err(v, &back));
    cJSON_Delete(v);
    v = cJSON_Parse("{\"result\":1}");
    CU_ASSERT_FALSE(json_to_err(v, &back));
    cJSON_Delete(v);
}

/* Reads a document as a configuration would, into `out` as text. */
static bool read_config(const cJSON *v, struct err *err, char *out, size_t size)
{
    struct json_reader root, ports, sub;
    size_t n = 0;
    json_root(&root, v, err);
    const char *name = json_string(&root, "name", NULL), *opt = json_string_opt(&root, "opt");
    uint64_t count = json_u64(&root, "count", 1, UINT64_MAX, 7);
    bool flag = json_bool(&root, "flag", true);
    n += (size_t) snprintf(out + n, size - n, "%s %s %llu %d", name, opt ? opt : "-", (unsigned long long) count, flag);
    if (json_member(&root, "sub", false, &sub)) {
        n += (size_t) snprintf(out + n, size - n, " sub:%s", json_string(&sub, "x", "dflt"));
        json_end(&sub);
    }
    json_array(&root, "ports", true, &ports);
    for (size_t i = 0; i < json_array_size(&ports); i++) {
        struct json_reader port;
        json_element(&ports, i, &port);
        json_is_object(&port);
        n += (size_t) snprintf(out + n, size - n, " %s", json_string(&port, "name", NULL));
        json_end(&port);
    }
    return json_end(&root);
}

static void test_reader(void)
{
    static const struct { const char *text, *result, *field, *message; } cases[] = {
        { "{\"name\":\"n\",\"ports\":[]}", "n - 7 1", NULL, NULL },
        { "{\"name\":\"n\",\"opt\":\"o\",\"count\":\"18446744073709551615\",\"flag\":false,\"sub\":{},\"ports\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
          "n o 18446744073709551615 0 sub:dflt a b", NULL, NULL },
        { "{\"name\":\"n\",\"ports\":[],\"count\":1e3}", "n - 1000 1", NULL, NULL },
        { "[]", NULL, "", "must be an object, not an array" },
        { "{\"ports\":[]}", NULL, "name", "is required" },
        { "{\"name\":\"n\"}", NULL, "ports", "is required" },
        { "{\"Name\":\"n\",\"ports\":[]}", NULL, "name", "is required" },
        { "{\"name\":1,\"ports\":[]}", NULL, "name", "must be a string, not a number" },
        { "{\"name\":null,\"ports\":[]}", NULL, "name", "must be a string, not null" },
        { "{\"name\":\"n\",\"ports\":{}}", NULL, "ports", "must be an array, not an object" },
        { "{\"name\":\"n\",\"ports\":[1]}", NULL, "ports[0]", "must be an object, not a number" },
        { "{\"name\":\"n\",\"ports\":[{\"name\":\"a\"},{}]}", NULL, "ports[1].name", "is required" },
        { "{\"name\":\"n\",\"ports\":[{\"name\":\"a\",\"x\":1}]}", NULL, "ports[0].x", "unknown key" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":0}", NULL, "count", "must be a whole number from 1 to 18446744073709551615" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":1.5}", NULL, "count", "must be a whole number" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":-1}", NULL, "count", "must be a whole number" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":\"0x10\"}", NULL, "count", "must be a whole number" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":\"\"}", NULL, "count", "must be a whole number" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":\"18446744073709551616\"}", NULL, "count", "must be a whole number" },
        { "{\"name\":\"n\",\"ports\":[],\"count\":[]}", NULL, "count", "must be a number, not an array" },
        { "{\"name\":\"n\",\"ports\":[],\"flag\":1}", NULL, "flag", "must be true or false, not a number" },
        { "{\"name\":\"n\",\"ports\":[],\"sub\":3}", NULL, "sub", "must be an object, not a number" },
        { "{\"name\":\"n\",\"ports\":[],\"sub\":{\"y\":3}}", NULL, "sub.y", "unknown key" },
        { "{\"name\":\"n\",\"ports\":[],\"nmae\":3}", NULL, "nmae", "unknown key" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err;
        char out[200];
        cJSON *v = parse(cases[i].text, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(v);
        bool ok = read_config(v, &err, out, sizeof out);
        CU_ASSERT_EQUAL(ok, cases[i].result != NULL);
        if (cases[i].result) {
            CU_ASSERT_STRING_EQUAL(out, cases[i].result);
        } else if (strcmp(err.field, cases[i].field) || strncmp(err.message, cases[i].message, strlen(cases[i].message))) {
            printf("%s: \"%s\" \"%s\"\n", cases[i].text, err.field, err.message);
            CU_FAIL("another error");
        }
        cJSON_Delete(v);
    }
}

static void test_reader_details(void)
{
    struct err err;
    struct json_reader r, list, e, absent;
    cJSON *v = parse("{\"list\":[\"a\",\"b\",\"c\",4],\"zz\":1}", &err);
    json_root(&r, v, &err);
    CU_ASSERT_TRUE(json_array(&r, "list", true, &list));
    CU_ASSERT_EQUAL(json_array_size(&list), 4);
    static const size_t order[] = { 2, 0, 1, 1 };
    static const char *const want[] = { "c", "a", "b", "b" };
    for (size_t i = 0; i < 4; i++) {            /* Any order. */
        json_element(&list, order[i], &e);
        CU_ASSERT_STRING_EQUAL(json_value_string(&e), want[i]);
    }
    json_element(&list, 9, &e);
    CU_ASSERT_PTR_NULL(e.value);
    CU_ASSERT_FALSE(json_member(&r, "sub", false, &absent));
    CU_ASSERT_EQUAL(json_u64(&absent, "x", 1, 9, 5), 5);        /* What is absent has defaults only. */
    CU_ASSERT_STRING_EQUAL(json_string(&absent, "s", NULL), "");
    CU_ASSERT_EQUAL(err.code, ERR_NONE);
    CU_ASSERT_FALSE(json_end(&r));
    CU_ASSERT_STRING_EQUAL(err.hint, "known keys: list, sub");
    json_element(&list, 3, &e);
    CU_ASSERT_STRING_EQUAL(json_value_string(&e), "");
    CU_ASSERT_STRING_EQUAL(err.field, "zz");                    /* The first error sticks. */
    err = ERR_INIT;
    json_fail(&e, NULL, "is %d", 4);
    CU_ASSERT_STRING_EQUAL(err.field, "list[3]");
    err = ERR_INIT;
    json_fail(&e, "key", "no");
    CU_ASSERT_STRING_EQUAL(err.field, "list[3].key");
    cJSON_Delete(v);
}

static void test_load(void)
{
    char path[] = "/tmp/polder-json-XXXXXX";
    struct err err = ERR_INIT;
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "{\"a\":1}\n", 8) == 8);
    cJSON *v = json_load(path, 8, &err);
    CU_ASSERT_PTR_NOT_NULL(v);
    cJSON_Delete(v);
    CU_ASSERT(!json_load(path, 7, &err) && strstr(err.message, path) && strstr(err.message, "longer than"));
    CU_ASSERT(write(fd, "x", 1) == 1 && !json_load(path, 100, &err));
    CU_ASSERT(strstr(err.message, path) && strstr(err.message, "line 2, column 1"));
    close(fd);
    unlink(path);
    CU_ASSERT(!json_load(path, 100, &err) && strstr(err.message, path) && strstr(err.message, "No such file"));
    CU_ASSERT(!json_load("/", 100, &err) && strstr(err.message, "Is a directory"));
}

void json_test_suite(void)
{
    UNIT_SUITE("json", { "good texts", test_good }, { "bad texts", test_bad }, { "depth", test_depth },
               { "print, damage, parse", test_differential }, { "builders and printer", test_print }, { "errors", test_errors },
               { "readers", test_reader }, { "readers, details", test_reader_details }, { "files", test_load });
}
