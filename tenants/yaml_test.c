#include "tenants/yaml.h"

#include <string.h>

#include "lib/json.h"
#include "tenants/model_fixture.h"
#include "tests/unit.h"

static char *load_text(const char *yaml, struct err *err)
{
    cJSON *json = yaml_load(yaml, strlen(yaml), "x.yaml", NULL, err);
    char *text = json ? json_text(json, false) : NULL;
    cJSON_Delete(json);
    return text;
}

static void test_values(void)
{
    static const struct { const char *yaml, *json; } cases[] = {
        { "", "{}" }, { "# nothing\n", "{}" }, { "---\n...\n", "{}" },
        { "a: 1\nb: true\nc: ~\nd: text here\ne: -7\nf:\n", "{\"a\":1,\"b\":true,\"c\":null,\"d\":\"text here\",\"e\":-7,\"f\":null}" },
        { "mac: 52:54:00:00:00:01\nip: 10.0.0.1\nsubnet: 10.0.0.0/24\nv6: fd00::1\nno: no\non: on\n",
          "{\"mac\":\"52:54:00:00:00:01\",\"ip\":\"10.0.0.1\",\"subnet\":\"10.0.0.0/24\",\"v6\":\"fd00::1\",\"no\":\"no\",\"on\":\"on\"}" },
        { "id: \"0000000000000001\"\nn: '12'\n", "{\"id\":\"0000000000000001\",\"n\":\"12\"}" },
        { "a: [1, {b: c}, [], {}]\n", "{\"a\":[1,{\"b\":\"c\"},[],{}]}" },
        { "{\"a\": [1, \"x\\u00e9\"]}", "{\"a\":[1,\"x\xc3\xa9\"]}" },
        { "a: &x {k: [1, 2]}\nb: *x\n", "{\"a\":{\"k\":[1,2]},\"b\":{\"k\":[1,2]}}" },
        { "t: [{name: a}]\n---\nt: [{name: b}]\nu: [1]\n", "{\"t\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"u\":[1]}" },
        { "t:\n---\nt: [1]\n---\nt:\n", "{\"t\":[1]}" },
        { "text: |\n  one\n  two\n", "{\"text\":\"one\\ntwo\\n\"}" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err;
        char *text = load_text(cases[i].yaml, &err);
        if (!text || strcmp(text, cases[i].json)) {
            fprintf(stderr, "\n%s -> %s (%s)\n", cases[i].yaml, text ? text : "error", text ? "" : err.message);
            CU_FAIL("value");
        }
        free(text);
    }
}

static void test_errors(void)
{
    static const struct { const char *yaml, *message; } cases[] = {
        { "a: 1\nb: 2\na: 3\n", "x.yaml:3:1: the key a is here twice" },
        { "datapath_id: 0000000000000001\n", "x.yaml:1:14: 0000000000000001 reads as a number" },
        { "a:\n- 99999999999999999999\n", "x.yaml:2:3: 99999999999999999999 reads as a number" },
        { "a: 1e3\n", "put it in quotes" }, { "a: 1.5\n", "put it in quotes" }, { "a: 0x10\n", "put it in quotes" }, { "a: .inf\n", "put it in quotes" },
        { "a: +5\n", "put it in quotes" },
        { "a: !!str 1\n", "x.yaml:1:10: tags are not allowed" },
        { "a: *nowhere\n", "there is no anchor nowhere" },
        { "a: &x [*x]\n", "there is no anchor x before this" },
        { "a: &x 1\n---\nb: *x\n", "there is no anchor x" },
        { "? [1]\n: 2\n", "a key must be a plain text" },
        { "- 1\n", "x.yaml:1:1: a document must be a mapping" },
        { "a: 1\n---\na: 2\n", "is given by two documents" },
        { "a: \"x\\0y\"\n", "a NUL character" },
        { "a: [1\n", "x.yaml:" }, { "a: b: c\n", "x.yaml:1:" }, { "\ta: 1\n", "x.yaml:1:" },
        { "a: \xff\n", "x.yaml: not valid UTF-8" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err;
        char *text = load_text(cases[i].yaml, &err);
        if (text || !strstr(err.message, cases[i].message)) {
            fprintf(stderr, "\n%s -> %s %s\n", cases[i].yaml, text ? text : "error", text ? "" : err.message);
            CU_FAIL("error");
        }
        free(text);
    }
}

static void test_bounds(void)
{
    struct buf b = BUF_INIT;
    struct err err;
    for (int i = 0; i < 200; i++) {
        buf_puts(&b, "{a: ");
    }
    buf_puts(&b, "1");
    for (int i = 0; i < 200; i++) {
        buf_puts(&b, "}");
    }
    CU_ASSERT_PTR_NULL(yaml_load(buf_cstr(&b), b.size, "deep", NULL, &err));
    /* The billion laughs. */
    buf_clear(&b);
    buf_puts(&b, "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    CU_ASSERT_PTR_NULL(yaml_load(buf_cstr(&b), b.size, "laughs", NULL, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "aliases copy too much"));
    buf_clear(&b);
    for (int i = 0; i < YAML_MAX_KEYS + 1; i++) {
        buf_printf(&b, "k%d: 1\n", i);
    }
    CU_ASSERT_PTR_NULL(yaml_load(buf_cstr(&b), b.size, "keys", NULL, &err));
    buf_fini(&b);
}

static void test_places(void)
{
    static const char text[] = "tenants:\n- name: red\nvpcs:\n- name: main\n  networks:\n  - name: web\n    subnet: 10.0.0.0/24\n  - name: db\n    subnet: bad\n";
    struct yaml_places *places = yaml_places_new();
    struct err err;
    char out[40];
    cJSON *first = yaml_load("vpcs: [{name: zero}]\n", 21, "0.yaml", places, &err), *second = yaml_load(text, strlen(text), "1.yaml", places, &err);
    CU_ASSERT_FATAL(first && second && yaml_merge(first, second, &err));
    CU_ASSERT(yaml_place(places, first, "vpcs[1].networks[1].subnet", out, sizeof out) && !strcmp(out, "1.yaml:9"));
    CU_ASSERT(yaml_place(places, first, "vpcs[1].networks[1].subnet6", out, sizeof out) && !strcmp(out, "1.yaml:8"));
    CU_ASSERT(yaml_place(places, first, "vpcs[0].name", out, sizeof out) && !strcmp(out, "0.yaml:1"));
    CU_ASSERT(yaml_place(places, first, "tenants[0].name", out, sizeof out) && !strcmp(out, "1.yaml:2"));
    CU_ASSERT(!yaml_place(places, first, "nothing", out, sizeof out));
    CU_ASSERT(!yaml_place(places, first, "", out, sizeof out));
    cJSON_Delete(first);
    yaml_places_free(places);
}

/* Nodes of later texts sit where those of deleted ones were. */
static void test_places_again(void)
{
    struct yaml_places *places = yaml_places_new();
    struct buf text = BUF_INIT;
    struct err err;
    for (unsigned lines = 0; lines < 60; lines++) {
        char want[40], out[40];
        buf_clear(&text);
        for (unsigned i = 0; i < lines; i++) {
            buf_puts(&text, "\n");
        }
        buf_puts(&text, "vpcs:\n- name: a\n- name: b\n- name: c\n- name: d\n");
        cJSON *root = yaml_load(buf_cstr(&text), text.size, "x", places, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(root);
        for (unsigned i = 0; i < 4; i++) {
            char path[40];
            snprintf(path, sizeof path, "vpcs[%u].name", i);
            snprintf(want, sizeof want, "x:%u", lines + 2 + i);
            CU_ASSERT_FATAL(yaml_place(places, root, path, out, sizeof out));
            CU_ASSERT_STRING_EQUAL_FATAL(out, want);
        }
        cJSON_Delete(root);
    }
    buf_fini(&text);
    yaml_places_free(places);
}

static cJSON *random_tree(struct rng *rng, unsigned depth)
{
    static const char *const strings[] = { "", "a", "yes", "null", "1", "1e3", "52:54:00:00:00:01", "a: b", "- x", "#", "x\ny", "tab\t", "\xc3\xa9",
        "'", "\"", "a/b.c", "~", "*a", "&a", "!t" };
    switch (rng_below(rng, depth > 4 ? 4 : 6)) {
    case 0: return cJSON_CreateNull();
    case 1: return cJSON_CreateBool(rng_below(rng, 2));
    case 2: return cJSON_CreateNumber((double) rng_below(rng, 100000) - 50000);
    case 3: return cJSON_CreateString(strings[rng_below(rng, ARRAY_SIZE(strings))]);
    }
    bool object = rng_below(rng, 2);
    cJSON *node = object ? cJSON_CreateObject() : cJSON_CreateArray();
    for (unsigned i = rng_below(rng, 4); i--; ) {
        if (object && !cJSON_GetObjectItemCaseSensitive(node, strings[i + 1])) {
            cJSON_AddItemToObject(node, strings[rng_below(rng, 5) + 4 * i], random_tree(rng, depth + 1));
        } else if (!object) {
            cJSON_AddItemToArray(node, random_tree(rng, depth + 1));
        }
    }
    return node;
}

/* What yaml_write() writes, yaml_load() reads as the same. */
static void test_round_trip(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (int i = 0; i < 2000; i++) {
        struct buf out = BUF_INIT;
        struct err err;
        cJSON *tree = cJSON_CreateObject();
        cJSON_AddItemToObject(tree, "root", random_tree(&rng, 0));
        yaml_write(&out, tree);
        char *text = json_text(tree, false), *again = load_text(buf_cstr(&out), &err);
        cJSON *checked = json_parse(text, strlen(text), 1 << 20, &err);         /* Random keys may collide: then the tree itself is not valid. */
        if (checked && (!again || strcmp(text, again))) {
            fprintf(stderr, "\n%s\n%s\n%s\n", text, buf_cstr(&out), again ? again : err.message);
            CU_FAIL("round trip");
        }
        cJSON_Delete(checked);
        cJSON_Delete(tree);
        free(text);
        free(again);
        buf_fini(&out);
    }
}

void yaml_test_suite(void);
void yaml_test_suite(void)
{
    UNIT_SUITE("yaml", { "values", test_values }, { "errors", test_errors }, { "bounds", test_bounds }, { "places", test_places },
               { "places again", test_places_again }, { "round trip", test_round_trip });
}
