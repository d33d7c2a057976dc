/* Virtual links on simulated switches: who is next to whom, and which way a link's frames go. */
#include "controller/link_routes.h"

#include <string.h>
#include "controller/substrate.h"
#include "controller/test_bench.h"
#include "lib/json.h"
#include "tests/unit.h"

/* e1 and e2 have two fabric switches between them, e3 hangs at the first, and e4 behind e3. */
#define MODEL "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}," \
    "{'name':'e3','datapath_id':'0000000000000003'},{'name':'e4','datapath_id':'0000000000000004'}]," \
    "'fabric_switches':[{'name':'fa','datapath_id':'00000000000000fa'},{'name':'fb','datapath_id':'00000000000000fb'}],'tenants':[{'name':'red'}]}"
#define SLICE "{'slices':[{'name':'lab','tenant':'red','switches':[{'name':'s1','edges':['e1']},{'name':'s2','edges':['e2']}]," \
    "'links':[{'name':'a','ends':['s1/a','s2/a'],'via':['fa']},{'name':'b','ends':['s2/b','s1/b'],'via':['fb']},{'name':'c','ends':['s1/c','s2/c']}," \
    "{'name':'d','ends':['s1/d','s1/e']}]}]}"
enum { E1, E2, E3, E4, FA, FB, N };

static void start(struct bench *b, struct fake k[N])
{
    static const struct { unsigned a, port_a, b, port_b; } cables[] = {
        { E1, 1, FA, 1 }, { E2, 1, FA, 2 }, { E3, 1, FA, 3 }, { E1, 2, FB, 1 }, { E2, 2, FB, 2 }, { E3, 2, E4, 1 },
    };
    static const uint64_t ids[N] = { 1, 2, 3, 4, 0xfa, 0xfb };
    bench_init(b, MODEL);
    for (unsigned i = 0; i < N; i++) {
        fake_ports(&k[i], ids[i], 3);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cables); i++) {
        fake_plug(&k[cables[i].a], cables[i].port_a, &k[cables[i].b], cables[i].port_b);
    }
    for (unsigned i = 0; i < N; i++) {
        bench_connect(b, &k[i]);
    }
    CU_ASSERT_EQUAL_FATAL(wait_ups(b, N), N);
    advance(b, 1500);
    CU_ASSERT_EQUAL_FATAL(links_up(b), 2 * ARRAY_SIZE(cables));
}

static void note(const struct edge *e, void *text_)
{
    char *text = text_;
    strcat(text, e->name);
}

static void check_neighbours(struct bench *b, const char *edge, const char *first, const char *second)
{
    char found[32] = "";
    substrate_neighbours(model_find(b->f.c.model, KIND_EDGE, edge), note, found, &b->f.c);
    CU_ASSERT(strlen(found) == strlen(first) + strlen(second) && strstr(found, first) && strstr(found, second));
}

static void test_neighbours(void)
{
    struct bench b;
    struct fake k[N];
    start(&b, k);
    check_neighbours(&b, "e1", "e2", "e3");     /* Over fabric switches, not through e3. */
    check_neighbours(&b, "e2", "e1", "e3");
    check_neighbours(&b, "e4", "e3", "");
    fake_set_down(&k[E3], 1, true);
    fixture_turn(&b.f, 5);
    check_neighbours(&b, "e1", "e2", "");
    check_neighbours(&b, "e3", "e4", "");
    finish(&b, k, N);
}

static void check_path(struct bench *b, const char *link, const char *want)
{
    cJSON *path = link_path_json(&b->f.c, model_find(b->f.c.model, KIND_LINK, link)), *hop;
    char text[64] = "";
    cJSON_ArrayForEach (hop, path) {
        strcat(text, hop->valuestring);
    }
    CU_ASSERT_STRING_EQUAL(text, want);
    cJSON_Delete(path);
}

static uint8_t class_of(struct bench *b, const char *port)
{
    return link_route_class(&b->f.c, model_find(b->f.c.model, KIND_SWITCH_PORT, port));
}

static void test_routes(void)
{
    struct bench b;
    struct fake k[N];
    start(&b, k);
    fixture_apply(&b.f, SLICE);
    link_routes_update(&b.f.c);
    check_path(&b, "red/lab/a", "e1fae2");
    check_path(&b, "red/lab/b", "e2fbe1");
    check_path(&b, "red/lab/d", "e1");          /* Both ends on one edge. */
    CU_ASSERT(class_of(&b, "red/lab/s1/a") >= 2 && class_of(&b, "red/lab/s2/a") >= 2);
    CU_ASSERT(class_of(&b, "red/lab/s1/a") != class_of(&b, "red/lab/s1/b"));        /* Two ways to e2 have two classes. */
    CU_ASSERT(!class_of(&b, "red/lab/s1/c") && !class_of(&b, "red/lab/s1/d"));
    /* Another way, at run time; and none any more. */
    fixture_apply(&b.f, "{'slices':[{'name':'lab','tenant':'red','links':[{'name':'a','via':['fb']}]}]}");
    link_routes_update(&b.f.c);
    check_path(&b, "red/lab/a", "e1fbe2");
    CU_ASSERT_EQUAL(class_of(&b, "red/lab/s1/a"), class_of(&b, "red/lab/s1/b"));    /* The same route as b's back. */
    fixture_apply(&b.f, "{'slices':[{'name':'lab','tenant':'red','links':[{'name':'a','via':[]}]}]}");
    link_routes_update(&b.f.c);
    CU_ASSERT_EQUAL(class_of(&b, "red/lab/s1/a"), 0);
    check_path(&b, "red/lab/b", "e2fbe1");
    finish(&b, k, N);
}

void link_routes_test_suite(void);
void link_routes_test_suite(void)
{
    UNIT_SUITE("link routes", { "neighbours", test_neighbours }, { "routes", test_routes });
}
