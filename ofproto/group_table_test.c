/* Group-mods: each rule of sections 5.6 and 6.5 once, and random mods that must never leave a loop or a dangling reference. */
#include <string.h>
#include "ofproto/flow_table.h"
#include "ofproto/of_msg_codec.h"
#include "tests/unit.h"

unit_suite_fn group_table_test_suite;

struct owner { unsigned n_inserted, n_modified, n_removed; bool refuse; };

static struct of_error on_insert(struct group *g UNUSED, void *o_)
{
    struct owner *o = o_;
    if (o->refuse) {
        return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS);
    }
    o->n_inserted++;
    return OF_OK;
}

static struct of_error on_modify(struct group *g UNUSED, void *o_)
{
    struct owner *o = o_;
    if (o->refuse) {
        return OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS);
    }
    o->n_modified++;
    return OF_OK;
}

static void on_remove(struct group *g UNUSED, void *o_)
{
    ((struct owner *) o_)->n_removed++;
}

static const struct group_ops ops = { on_insert, on_modify, on_remove };

struct bucket_spec { uint16_t weight; uint32_t watch_port, watch_group, output, group; };
#define PLAIN(PORT) { 0, OFPP_ANY, OFPG_ANY, PORT, 0 }
#define TO_GROUP(GROUP) { 0, OFPP_ANY, OFPG_ANY, 0, GROUP }

static struct of_error mod(struct group_table *gt, enum of_group_command command, uint8_t type, uint32_t id, const struct bucket_spec *specs, unsigned n)
{
    struct of_group_mod gm = { command, type, id, xcalloc(n + 1u, sizeof *gm.buckets), n };
    for (unsigned i = 0; i < n; i++) {
        gm.buckets[i] = (struct of_bucket) { .weight = specs[i].weight, .watch_port = specs[i].watch_port, .watch_group = specs[i].watch_group };
        if (specs[i].output) {
            actions_output(&gm.buckets[i].actions, specs[i].output);
        }
        if (specs[i].group) {
            actions_group(&gm.buckets[i].actions, specs[i].group);
        }
    }
    struct of_error error = group_table_mod(gt, &gm);
    of_buckets_free(gm.buckets, gm.n_buckets);
    return error;
}

static void expect(struct of_error error, uint16_t type, uint16_t code)
{
    if (error.type != type || error.code != code) {
        char scratch[32];
        printf("got %s\n", of_error_name(error, scratch));
    }
    CU_ASSERT_TRUE(error.type == type && error.code == code);
}

#define BUCKETS(...) (const struct bucket_spec[]) { __VA_ARGS__ }, sizeof((struct bucket_spec[]) { __VA_ARGS__ }) / sizeof(struct bucket_spec)
#define OK 0xffff, 0xffff
#define FAILED(CODE) OFPET_GROUP_MOD_FAILED, CODE

static void test_rules(void)
{
    struct owner o = { .refuse = false };
    struct group_table *gt = group_table_new(4, clock_monotonic(), &ops, &o);
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 1, BUCKETS(PLAIN(1), PLAIN(2))), OK);
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 1, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_GROUP_EXISTS));
    expect(mod(gt, OFPGC_MODIFY, OFPGT_ALL, 2, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_UNKNOWN_GROUP));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, OFPG_ALL, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_INVALID_GROUP));
    expect(mod(gt, OFPGC_ADD, 4, 2, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_BAD_TYPE));
    expect(mod(gt, OFPGC_ADD, OFPGT_INDIRECT, 2, BUCKETS(PLAIN(1), PLAIN(2))), FAILED(OFPGMFC_INVALID_GROUP));
    expect(mod(gt, OFPGC_ADD, OFPGT_INDIRECT, 2, NULL, 0), FAILED(OFPGMFC_INVALID_GROUP));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS({ 5, OFPP_ANY, OFPG_ANY, 1, 0 })), FAILED(OFPGMFC_INVALID_GROUP));
    expect(mod(gt, OFPGC_ADD, OFPGT_FF, 2, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_BAD_WATCH));
    expect(mod(gt, OFPGC_ADD, OFPGT_FF, 2, BUCKETS({ 0, OFPP_ANY, 77, 1, 0 })), FAILED(OFPGMFC_BAD_WATCH));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS({ 0, 1, OFPG_ANY, 1, 0 })), FAILED(OFPGMFC_WATCH_UNSUPPORTED));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS(TO_GROUP(9))), OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS(TO_GROUP(2))), FAILED(OFPGMFC_LOOP));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS(PLAIN(OFPP_ANY))), OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT);
    expect(mod(gt, OFPGC_ADD, OFPGT_SELECT, 2, BUCKETS({ 3, OFPP_ANY, OFPG_ANY, 1, 0 }, TO_GROUP(1))), OK);
    expect(mod(gt, OFPGC_ADD, OFPGT_FF, 3, BUCKETS({ 0, 1, OFPG_ANY, 1, 0 }, { 0, OFPP_ANY, 2, 0, 2 })), OK);
    expect(mod(gt, OFPGC_MODIFY, OFPGT_ALL, 1, BUCKETS(TO_GROUP(3))), FAILED(OFPGMFC_LOOP));
    expect(mod(gt, OFPGC_MODIFY, OFPGT_FF, 1, BUCKETS({ 0, OFPP_ANY, 3, 1, 0 })), FAILED(OFPGMFC_LOOP));   /* By liveness. */
    CU_ASSERT_EQUAL(group_table_find(gt, 1)->n_buckets, 2);             /* As it was. */
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 4, NULL, 0), OK);              /* No buckets: drops. */
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 5, BUCKETS(PLAIN(1))), FAILED(OFPGMFC_OUT_OF_GROUPS));
    expect(mod(gt, OFPGC_DELETE, 0, 5, NULL, 0), OK);
    expect(mod(gt, OFPGC_DELETE, 0, 1, NULL, 0), FAILED(OFPGMFC_CHAINED_GROUP));
    CU_ASSERT_TRUE(group_table_is_chained(gt, 1) && !group_table_is_chained(gt, 3) && !group_table_is_chained(gt, 99));
    expect(mod(gt, OFPGC_MODIFY, OFPGT_ALL, 2, BUCKETS(PLAIN(1))), OK); /* Lets go of 1. */
    expect(mod(gt, OFPGC_DELETE, 0, 1, NULL, 0), OK);
    expect(mod(gt, (enum of_group_command) 7, 0, 1, NULL, 0), FAILED(OFPGMFC_BAD_COMMAND));
    expect(mod(gt, OFPGC_DELETE, 0, OFPG_ALL, NULL, 0), OK);
    CU_ASSERT_EQUAL(group_table_count(gt), 0);
    CU_ASSERT_EQUAL(o.n_inserted, 4);
    CU_ASSERT_EQUAL(o.n_modified, 1);
    CU_ASSERT_EQUAL(o.n_removed, 4);
    group_table_free(gt);
}

/* Zero in both watch fields is nobody's port and not group 0, except where a bucket has to watch something; what was written is what is read. */
static void test_unset_watch(void)
{
    static const struct { uint8_t type; uint16_t weight; } types[] = { { OFPGT_ALL, 0 }, { OFPGT_INDIRECT, 0 }, { OFPGT_SELECT, 1 } };
    struct owner o = { .refuse = false };
    struct group_table *gt = group_table_new(4, clock_monotonic(), &ops, &o);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        struct bucket_spec zero = { types[i].weight, 0, 0, 1, 0 };
        expect(mod(gt, OFPGC_ADD, types[i].type, 0, &zero, 1), OK);     /* Nor a loop. */
        expect(mod(gt, OFPGC_ADD, types[i].type, 1, &zero, 1), OK);
        expect(mod(gt, OFPGC_MODIFY, types[i].type, 0, &zero, 1), OK);
        CU_ASSERT_FALSE(group_table_is_chained(gt, 0));
        const struct group *g = group_table_find(gt, 1);
        CU_ASSERT_TRUE(g->buckets[0].watch_port == OFPP_ANY && g->buckets[0].watch_group == OFPG_ANY);
        struct buf b = BUF_INIT;
        of_buckets_put(&b, g->buckets, 1);
        CU_ASSERT_TRUE(b.size == 32 && wire_get32(b.data + 4) == 0 && wire_get32(b.data + 8) == 0);
        buf_fini(&b);
        expect(mod(gt, OFPGC_DELETE, 0, OFPG_ALL, NULL, 0), OK);
    }
    expect(mod(gt, OFPGC_ADD, OFPGT_FF, 1, BUCKETS({ 0, 0, 0, 1, 0 })), FAILED(OFPGMFC_BAD_WATCH));
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 0, BUCKETS(PLAIN(1))), OK);
    expect(mod(gt, OFPGC_ADD, OFPGT_FF, 1, BUCKETS({ 0, 0, 0, 1, 0 })), OK);
    CU_ASSERT_TRUE(group_table_is_chained(gt, 0));
    group_table_free(gt);
}

static void test_refused(void)
{
    struct owner o = { .refuse = false };
    struct group_table *gt = group_table_new(4, clock_monotonic(), &ops, &o);
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 1, BUCKETS(PLAIN(1))), OK);
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 2, BUCKETS(PLAIN(1))), OK);
    o.refuse = true;
    expect(mod(gt, OFPGC_ADD, OFPGT_ALL, 3, BUCKETS(TO_GROUP(1))), FAILED(OFPGMFC_OUT_OF_BUCKETS));
    expect(mod(gt, OFPGC_MODIFY, OFPGT_SELECT, 2, BUCKETS(TO_GROUP(1))), FAILED(OFPGMFC_OUT_OF_BUCKETS));
    CU_ASSERT_EQUAL(group_table_find(gt, 2)->type, OFPGT_ALL);
    CU_ASSERT_FALSE(group_table_is_chained(gt, 1));
    CU_ASSERT_PTR_NULL(group_table_find(gt, 3));
    group_table_free(gt);
}

/* Naively: is `to` reachable from `from`, in at most `depth` steps? */
static bool reaches(struct group_table *gt, uint32_t from, uint32_t to, unsigned depth)
{
    struct group *g = group_table_find(gt, from);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);            /* Dangling otherwise. */
    for (unsigned i = 0; i < g->n_buckets; i++) {
        for (unsigned j = 0; j < g->buckets[i].actions.n; j++) {
            const struct action *a = &g->buckets[i].actions.list[j];
            if (a->type == ACTION_GROUP && (a->group == to || (depth && reaches(gt, a->group, to, depth - 1)))) {
                return true;
            }
        }
    }
    return false;
}

static void test_random(void)
{
    enum { N = 6 };
    struct rng r;
    struct owner o = { .refuse = false };
    struct group_table *gt = group_table_new(N, clock_monotonic(), &ops, &o);
    unsigned n_loops = 0, n_chained = 0, n_ok = 0;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 20000; i++) {
        struct bucket_spec specs[3];
        unsigned n = rng_below(&r, 4);
        uint32_t id = 1 + rng_below(&r, N);
        for (unsigned j = 0; j < n; j++) {
            specs[j] = rng_below(&r, 2) ? (struct bucket_spec) PLAIN(1) : (struct bucket_spec) TO_GROUP(1 + rng_below(&r, N));
        }
        struct of_error error = mod(gt, (enum of_group_command) rng_below(&r, 3), OFPGT_ALL, id, specs, n);
        n_ok += of_ok(error);
        n_loops += error.type == OFPET_GROUP_MOD_FAILED && error.code == OFPGMFC_LOOP;
        n_chained += error.type == OFPET_GROUP_MOD_FAILED && error.code == OFPGMFC_CHAINED_GROUP;
        for (uint32_t g = 1; g <= N; g++) {
            if (group_table_find(gt, g)) {
                CU_ASSERT_FALSE_FATAL(reaches(gt, g, g, N));
            }
        }
    }
    CU_ASSERT_TRUE(n_ok > 100 && n_loops > 100 && n_chained > 100);
    group_table_free(gt);
    CU_ASSERT_EQUAL(o.n_inserted, o.n_removed);
}

void group_table_test_suite(void)
{
    UNIT_SUITE("group_table", { "rules", test_rules }, { "unset watch fields", test_unset_watch }, { "refused changes", test_refused },
               { "random: no loops, nothing dangling", test_random });
}
