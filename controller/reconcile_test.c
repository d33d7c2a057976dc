/*
 * Random desired states in many passes, while the switch loses its connection, is tampered with, and refuses rules. In
 * the end it holds exactly what is desired, and never more was sent than differed.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/reconcile_rig.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "tests/unit.h"

/* Somebody else's hand: deletes, changes, adds. Returns how many entries differ afterwards. */
static unsigned tamper(struct reconcile_rig *b)
{
    unsigned differ = 0;
    for (unsigned key = 0; key < N_KEYS; key += 1 + rng_below(&b->rng, 20)) {
        struct of_flow_mod mod;
        of_flow_mod_init(&mod);
        reconcile_rig_key(key, &mod.table_id, &mod.priority, &mod.match);
        if (b->want[key] && rng_below(&b->rng, 2)) {
            mod.command = OFPFC_DELETE_STRICT;
        } else {
            mod.cookie = 7;
            mod.instructions.has_apply = true;
            actions_output(&mod.instructions.apply, 77);
        }
        CU_ASSERT(of_ok(flow_tables_mod(b->flows, &mod)));
        instructions_fini(&mod.instructions);
        differ++;
    }
    return differ;
}

static void test_random(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    for (unsigned pass = 0; pass < 60; pass++) {
        reconcile_rig_change(&b);
        reconcile_rig_put_all(&b);
        switch (rng_below(&b.rng, 4)) {
        case 0:
            reconcile_rig_reconnect(&b);
            break;
        case 1:                                         /* Another change while the first is under way. */
            fixture_turn(&b.f, rng_below(&b.rng, 3));
            reconcile_rig_change(&b);
            reconcile_rig_put_all(&b);
            break;
        default:
            break;
        }
        reconcile_rig_settle(&b);
        reconcile_rig_check_equal(&b);
    }
    reconcile_rig_fini(&b);
}

static void test_smallest(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    for (unsigned i = 0; i < N_KEYS; i++) {
        b.want[i] = i % 3 ? 1 + rng_below(&b.rng, 40) : 0;
    }
    b.want_group[3] = 4;
    reconcile_rig_put_all(&b);
    reconcile_rig_settle(&b);
    reconcile_rig_check_equal(&b);
    unsigned inserts = b.n_inserts, removes = b.n_removes, groups = b.n_group_mods;
    reconcile_rig_put_all(&b);                                        /* The same again. */
    reconcile_rig_settle(&b);
    reconcile_rig_reconnect(&b);                                      /* And after a new connection. */
    reconcile_rig_settle(&b);
    CU_ASSERT_EQUAL(b.n_inserts, inserts);
    CU_ASSERT_EQUAL(b.n_removes, removes);
    CU_ASSERT_EQUAL(b.n_group_mods, groups);
    for (unsigned round = 0; round < 5; round++) {
        reconcile_rig_unplug(&b);
        fixture_turn(&b.f, 5);
        unsigned differ = tamper(&b);
        inserts = b.n_inserts;
        removes = b.n_removes;
        reconcile_rig_plug(&b);
        reconcile_rig_settle(&b);
        reconcile_rig_check_equal(&b);
        CU_ASSERT_EQUAL(b.n_inserts + b.n_removes - inserts - removes, differ);
    }
    reconcile_rig_fini(&b);
}

static void wait_failed(const struct err *err, void *done_)
{
    bool *done = done_;
    CU_ASSERT_PTR_NOT_NULL_FATAL(err);
    CU_ASSERT_EQUAL(err->code, ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err->message, "OFPFMFC_TABLE_FULL for table=99,priority=1,in_port=5"));
    *done = true;
}

/* A refused rule is named to whoever waits, and goes again when it is no longer wanted. */
static void test_refused(void)
{
    struct reconcile_rig b;
    struct match match;
    struct instructions in;
    bool done = false;

    reconcile_rig_init(&b);
    match_init(&match);
    match_set_u64(&match, FIELD_IN_PORT, 5);
    instructions_init(&in);
    ruleset_begin(b.f.c.rulesets, DATAPATH_ID, 3);
    ruleset_flow(b.f.c.rulesets, REFUSING_TABLE, 1, &match, 1, &in);
    ruleset_end(b.f.c.rulesets);
    reconcile_wait(b.f.c.reconcile, 0, 700, wait_failed, &done);
    CU_ASSERT_TRUE(fixture_run(&b.f, &done, 10));
    cJSON *json = reconcile_json(b.f.c.reconcile, substrate_find(b.f.c.substrate, DATAPATH_ID));
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(json, "state")->valuestring, "failed");
    cJSON_Delete(json);
    ruleset_begin(b.f.c.rulesets, DATAPATH_ID, 3);
    ruleset_end(b.f.c.rulesets);
    reconcile_rig_settle(&b);
    reconcile_rig_check_equal(&b);
    reconcile_rig_fini(&b);
}

/* Changes by the dozen before anything is sent, and while barriers are open, with now and then a new connection, or a switch that lost some or all. */
static void churn(struct reconcile_rig *b, unsigned n_passes)
{
    b->late = true;
    for (unsigned pass = 0; pass < n_passes; pass++) {
        for (unsigned n = 1 + rng_below(&b->rng, 3); n; n--) {
            reconcile_rig_change(b);
            reconcile_rig_put_all(b);
        }
        if (rng_below(&b->rng, 3)) {
            fixture_turn(&b->f, rng_below(&b->rng, 2));
        }
        if (!rng_below(&b->rng, 3)) {
            reconcile_rig_release(b, 1 + rng_below(&b->rng, 6));
        }
        if (!rng_below(&b->rng, 40)) {
            reconcile_rig_unplug(b);
            fixture_turn(&b->f, 5);
            if (rng_below(&b->rng, 2)) {
                unsigned n_never = b->n_never;
                struct of_group_mod all = { .command = OFPGC_DELETE, .group_id = OFPG_ALL };
                CU_ASSERT(of_ok(group_table_mod(b->groups, &all)));
                b->n_never = n_never;                   /* It is no message of ours. */
            }
            reconcile_rig_plug(b);
        }
    }
    b->late = false;
    reconcile_rig_release(b, MAX_TOKENS);
}

static void test_order(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    for (unsigned round = 0; round < 12; round++) {
        churn(&b, 60);
        reconcile_rig_settle(&b);
        reconcile_rig_check_equal(&b);
    }
    CU_ASSERT_EQUAL(b.n_errors, 0);
    CU_ASSERT_EQUAL(b.n_never, 0);
    reconcile_rig_fini(&b);
}

/* A switch that refuses some: what it does not take may refer to what is to go. */
static void test_order_refused(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    for (unsigned round = 0; round < 12; round++) {
        b.refuse = 6;
        churn(&b, 60);
        for (unsigned i = 0; i < 20; i++) {
            fixture_turn(&b.f, 1);
        }
        b.refuse = 0;
        reconcile_rig_reconnect(&b);
        reconcile_rig_settle(&b);
        reconcile_rig_check_equal(&b);
    }
    CU_ASSERT(b.n_errors > 100);
    CU_ASSERT_EQUAL(b.n_never, 0);
    reconcile_rig_fini(&b);
}

unit_suite_fn reconcile_test_suite;
void reconcile_test_suite(void)
{
    UNIT_SUITE("reconcile", { "random states, reconnects, changes under way", test_random }, { "never more than differs", test_smallest },
               { "a refused rule is named", test_refused }, { "groups, meters and what refers to them, in order", test_order },
               { "in order, when some are refused", test_order_refused });
}
