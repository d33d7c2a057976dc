/*
 * Paths of a substrate of simulated switches: two edges, two ways between them. Time is the test's.
 *
 *     e1:1 - fa:1  fa:2 - e2:1          e1:2 - fb:1  fb:2 - e2:2
 */
#include <stdlib.h>
#include <string.h>
#include "controller/test_bench.h"
#include "lib/json.h"
#include "tests/unit.h"

#define MODEL "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}]," \
              "'fabric_switches':[{'name':'fa','datapath_id':'00000000000000fa'},{'name':'fb','datapath_id':'00000000000000fb'}]}"
#define HOLD_MS 3000

static void diamond(struct bench *b, struct fake k[4])
{
    static const uint64_t ids[] = { 1, 2, 0xfa, 0xfb };
    bench_init(b, MODEL);
    b->f.c.config.restore_hold_ms = HOLD_MS;
    for (unsigned i = 0; i < 4; i++) {
        fake_ports(&k[i], ids[i], 2);
    }
    for (unsigned i = 0; i < 2; i++) {
        fake_plug(&k[i], 1, &k[2], i + 1);
        fake_plug(&k[i], 2, &k[3], i + 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        bench_connect(b, &k[i]);
    }
    CU_ASSERT_EQUAL_FATAL(wait_ups(b, 4), 4);
    advance(b, 1300);
    CU_ASSERT_EQUAL_FATAL(links_up(b), 8);
}

static unsigned hops(struct bench *b, uint8_t class, struct hop *out)
{
    return substrate_path(b->f.c.substrate, sw_of(b, 1), sw_of(b, 2), class, out, 8);
}

/* Datapath id of the fabric switch that frames from e1 to e2 take now. */
static uint64_t middle(struct bench *b)
{
    struct hop out[8];
    uint8_t class = substrate_default_class(b->f.c.substrate, sw_of(b, 1), sw_of(b, 2));
    return hops(b, class, out) == 3 ? out[1].sw->datapath_id : 0;
}

static bool reachable(struct bench *b) { return substrate_reachable(b->f.c.substrate, sw_of(b, 1), sw_of(b, 2)); }

static void expect_state(struct bench *b, const char *name, const char *state)
{
    cJSON *list = substrate_links_json(b->f.c.substrate), *link;
    bool found = false;
    cJSON_ArrayForEach(link, list) {
        const cJSON *status = cJSON_GetObjectItemCaseSensitive(link, "status");
        if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(link, "name")), name)) {
            found = true;
            CU_ASSERT_STRING_EQUAL(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(status, "state")), state);
        }
    }
    CU_ASSERT_TRUE(found);
    cJSON_Delete(list);
}

/* The port of e1 towards the fabric switch, and its link's name. */
static uint32_t port_to(uint64_t fabric) { return fabric == 0xfa ? 1 : 2; }
static const char *name_of(uint64_t fabric) { return fabric == 0xfa ? "e1:1-fa:1" : "e1:2-fb:1"; }

static void test_backup(void)
{
    struct bench b;
    struct fake k[4];
    diamond(&b, k);
    struct hop out[8];
    CU_ASSERT_EQUAL_FATAL(hops(&b, 0, out), 3);
    const uint64_t first = out[1].sw->datapath_id;
    CU_ASSERT_EQUAL_FATAL(hops(&b, 1, out), 3);
    CU_ASSERT_NOT_EQUAL(out[1].sw->datapath_id, first);
    CU_ASSERT_TRUE(reachable(&b));
    const unsigned reach = b.heard.reach;
    /* One way is cut: the other, at once; that nobody lost anybody is no news. */
    const uint64_t now = middle(&b);
    fake_set_down(&k[0], port_to(now), true);
    fixture_turn(&b.f, 20);
    CU_ASSERT_TRUE(middle(&b) && middle(&b) != now);
    CU_ASSERT_EQUAL(b.heard.reach, reach);
    /* Both. */
    fake_set_down(&k[0], port_to(middle(&b)), true);
    fixture_turn(&b.f, 20);
    CU_ASSERT_FALSE(reachable(&b));
    CU_ASSERT_EQUAL(b.heard.reach, reach + 1);
    CU_ASSERT_EQUAL(middle(&b), 0);
    /* One comes back: no hold, for nothing else leads there. */
    fake_set_down(&k[0], port_to(now), false);
    advance(&b, 2200);
    CU_ASSERT_TRUE(reachable(&b));
    CU_ASSERT_EQUAL(b.heard.reach, reach + 2);
    CU_ASSERT_EQUAL(middle(&b), now);
    expect_state(&b, name_of(now), "up");
    finish(&b, k, 4);
}

static void flap(struct bench *b, struct fake *k, uint32_t port)
{
    fake_set_down(k, port, true);
    fixture_turn(&b->f, 20);
    fake_set_down(k, port, false);
    for (unsigned i = 0; i < 25 && links_up(b) < 8; i++) {
        advance(b, 100);
    }
    CU_ASSERT_EQUAL(links_up(b), 8);
}

static void test_hold(void)
{
    struct bench b;
    struct fake k[4];
    diamond(&b, k);
    const uint64_t first = middle(&b);
    flap(&b, &k[0], port_to(first));
    CU_ASSERT_NOT_EQUAL(middle(&b), first);
    expect_state(&b, name_of(first), "held");
    advance(&b, HOLD_MS - 1500);
    expect_state(&b, name_of(first), "held");
    advance(&b, 2000);
    expect_state(&b, name_of(first), "up");
    CU_ASSERT_EQUAL(middle(&b), first);
    /* Again so soon: twice the time; and held, it is used when the other way goes. */
    flap(&b, &k[0], port_to(first));
    advance(&b, HOLD_MS + 1500);
    expect_state(&b, name_of(first), "held");
    const unsigned reach = b.heard.reach;
    fake_set_down(&k[0], port_to(middle(&b)), true);
    fixture_turn(&b.f, 20);
    CU_ASSERT_EQUAL(middle(&b), first);
    CU_ASSERT_EQUAL(b.heard.reach, reach);
    expect_state(&b, name_of(first), "up");
    finish(&b, k, 4);
}

static void test_manual(void)
{
    struct bench b;
    struct fake k[4];
    struct err err = ERR_INIT;
    diamond(&b, k);
    b.f.c.config.restore_manual = true;
    const uint64_t first = middle(&b);
    flap(&b, &k[0], port_to(first));
    advance(&b, 60000);
    expect_state(&b, name_of(first), "held");
    CU_ASSERT_FALSE(substrate_restore(b.f.c.substrate, "e1:9-fa:1", &err));
    CU_ASSERT_EQUAL(err.code, ERR_NOT_FOUND);
    CU_ASSERT_TRUE(substrate_restore(b.f.c.substrate, name_of(first), &err));
    expect_state(&b, name_of(first), "up");
    CU_ASSERT_EQUAL(middle(&b), first);
    finish(&b, k, 4);
}

/* Short intervals on cables, long ones elsewhere; a loop that stood still takes no link down. */
static void test_keepalive(void)
{
    struct bench b;
    struct fake k[4];
    diamond(&b, k);
    b.f.c.config.lldp_keepalive_ms = 200;
    advance(&b, 2000);
    const unsigned sent = k[0].n_lldp;
    advance(&b, 2000);
    CU_ASSERT_TRUE(k[0].n_lldp - sent >= 18 && k[0].n_lldp - sent <= 22);
    /* One direction is lost, silently: three and a half intervals. */
    k[0].plugs[0].to = NULL;
    advance(&b, 600);
    CU_ASSERT_EQUAL(links_up(&b), 8);
    advance(&b, 500);
    CU_ASSERT_EQUAL(links_up(&b), 7);
    expect_state(&b, "e1:1-fa:1", "one-way");
    CU_ASSERT_EQUAL(middle(&b), 0xfb);
    b.f.now_ns += UINT64_C(20000000000);
    substrate_tick(b.f.c.substrate);
    CU_ASSERT_EQUAL(links_up(&b), 7);
    advance(&b, 2000);
    CU_ASSERT_EQUAL(links_up(&b), 7);
    /* Now nothing replaces the other way: it has three times as long. */
    k[0].plugs[1].to = NULL;
    advance(&b, 1800);
    CU_ASSERT_EQUAL(links_up(&b), 7);
    advance(&b, 600);
    CU_ASSERT_EQUAL(links_up(&b), 6);
    finish(&b, k, 4);
}

/* Fast-failover groups are optional (section 7.3.5.9); who does not tell is believed to have them. */
static void test_group_features(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    for (unsigned i = 0; i < 3; i++) {
        fake_ports(&k[i], i ? 0xf9 + i : 1, 2);
        k[i].group_types = i == 1 ? (1u << OFPGT_ALL) : i ? (1u << OFPGT_ALL) | (1u << OFPGT_FF) : 0;
        bench_connect(&b, &k[i]);
    }
    CU_ASSERT_EQUAL_FATAL(wait_ups(&b, 3), 3);
    fixture_turn(&b.f, 20);
    CU_ASSERT_FALSE(sw_of(&b, 1)->lacks_failover);
    CU_ASSERT_TRUE(sw_of(&b, 0xfa)->lacks_failover);
    CU_ASSERT_FALSE(sw_of(&b, 0xfb)->lacks_failover);
    finish(&b, k, 3);
}

/* --- Routes --- */

struct seen { uint8_t class; unsigned n, first; };

static void see(const struct path_rule *rule, void *x_)
{
    struct seen *x = x_;
    if (rule->class == x->class && rule->local) {
        x->n++;
        x->first = rule->choices->step[0].out_port;
    }
}

static void test_routes(void)
{
    struct bench b;
    struct fake k[4];
    diamond(&b, k);
    struct substrate *s = b.f.c.substrate;
    struct sw *e1 = sw_of(&b, 1), *e2 = sw_of(&b, 2);
    char *over_a[] = { "fa" }, *over_b[] = { "fb" };
    struct route_wish wishes[] = { { e1, e2, over_a, 1 }, { e1, e2, over_b, 1 }, { e1, e2, over_a, 1 }, { e2, e1, over_a, 1 } };
    CU_ASSERT_EQUAL(substrate_set_routes(s, wishes, 4), 0);
    const uint8_t a = substrate_route_class(s, e1, e2, over_a, 1), c = substrate_route_class(s, e1, e2, over_b, 1);
    CU_ASSERT_TRUE(a >= 2 && c >= 2 && a != c);
    CU_ASSERT_EQUAL(substrate_route_class(s, e2, e1, over_b, 1), 0);
    struct hop out[8];
    CU_ASSERT_TRUE(hops(&b, a, out) == 3 && out[1].sw->datapath_id == 0xfa);
    CU_ASSERT_TRUE(hops(&b, c, out) == 3 && out[1].sw->datapath_id == 0xfb);
    struct seen x = { .class = c };
    substrate_each_path(s, e1, see, &x);
    CU_ASSERT_TRUE(x.n == 1 && x.first == 2);
    /* One is no longer wanted, the other keeps its number; cut, it takes the default path, and its own again. */
    CU_ASSERT_EQUAL(substrate_set_routes(s, wishes + 1, 1), 0);
    CU_ASSERT_EQUAL(substrate_route_class(s, e1, e2, over_b, 1), c);
    CU_ASSERT_EQUAL(substrate_route_class(s, e1, e2, over_a, 1), 0);
    fake_set_down(&k[0], 2, true);
    fixture_turn(&b.f, 20);
    x = (struct seen) { .class = c };
    substrate_each_path(s, e1, see, &x);
    CU_ASSERT_TRUE(x.n == 1 && x.first == 1);
    finish(&b, k, 4);
}

static void test_routes_used_up(void)
{
    struct bench b;
    struct fake k[4];
    diamond(&b, k);
    struct route_wish wishes[256];
    char *names[256];
    for (unsigned i = 0; i < 256; i++) {
        names[i] = xasprintf("x%u", i);
        wishes[i] = (struct route_wish) { sw_of(&b, 1), sw_of(&b, 2), &names[i], 1 };
    }
    CU_ASSERT_EQUAL(substrate_set_routes(b.f.c.substrate, wishes, 256), 2);
    CU_ASSERT_EQUAL(substrate_set_routes(b.f.c.substrate, wishes + 2, 254), 0);
    CU_ASSERT_TRUE(substrate_route_class(b.f.c.substrate, wishes[0].from, wishes[0].to, &names[255], 1) >= 2);
    for (unsigned i = 0; i < 256; i++) {
        free(names[i]);
    }
    finish(&b, k, 4);
}

void substrate_paths_test_suite(void);
void substrate_paths_test_suite(void)
{
    UNIT_SUITE("substrate's paths", { "two ways, one, none", test_backup }, { "what comes back is held", test_hold }, { "restored by hand", test_manual },
               { "keep-alive, one-way loss", test_keepalive },
               { "group features", test_group_features }, { "routes", test_routes }, { "more routes than classes", test_routes_used_up });
}
