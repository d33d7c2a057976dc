/* What is to be deleted: only what the switch has, and in a way that it tells what it had counted. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "controller/reconcile_rig.h"
#include "controller/ruleset_impl.h"
#include "tests/unit.h"

unit_suite_fn ruleset_test_suite;

/* One rule of owner 3, as a virtual entry's: put, or withdrawn. */
static void edit(struct reconcile_rig *b, uint64_t number, uint64_t cookie, bool put)
{
    struct rulesets *r = b->f.c.rulesets;
    struct match match;
    struct instructions in;
    match_init(&match);
    match_set_u64(&match, FIELD_ETH_DST, number);
    instructions_init(&in);
    ruleset_edit_begin(r, DATAPATH_ID, 3);
    if (put) {
        ruleset_flow_flags(r, 50, 1, &match, cookie, OFPFF_SEND_FLOW_REM | RULE_BEGINS, &in);
    } else {
        ruleset_flow_gone(r, 50, 1, &match, cookie);
    }
    ruleset_edit_end(r);
}

static unsigned n_dead(const struct reconcile_rig *b)
{
    const struct sw_rules *s = sw_rules_find(b->f.c.rulesets, DATAPATH_ID);
    const struct rule *rule;
    unsigned n = 0;
    LIST_FOR_EACH (rule, dirty, &s->dead) {
        n++;
    }
    return n + !list_empty(&s->dead_groups) + !list_empty(&s->dead_meters);
}

/* A program that changes on and on, of which nothing reaches the switch. */
static void change_on(struct reconcile_rig *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        edit(b, 1000 + i % 5000, 1000 + i, true);
        edit(b, 1000 + (i + 4999) % 5000, 1000 + i - 1, false);
        if (i % 100 == 0) {
            reconcile_rig_change(b);
            reconcile_rig_put_all(b);
        }
    }
    edit(b, 1000 + (n - 1) % 5000, 999 + n, false);
}

static void check_flat(struct reconcile_rig *b, unsigned most_dead)
{
    change_on(b, 1000);
    size_t before = mallinfo2().uordblks;
    change_on(b, 100000);
    CU_ASSERT_TRUE(n_dead(b) <= most_dead);
    CU_ASSERT_TRUE(mallinfo2().uordblks < before + (256u << 10));
}

/* While the switch is away, and while it takes nothing, 10^5 changes leave nothing behind but what it has; then it gets what is wanted. */
static void test_flat(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    reconcile_rig_change(&b);
    reconcile_rig_put_all(&b);
    reconcile_rig_settle(&b);
    reconcile_rig_unplug(&b);
    while (sw_rules_find(b.f.c.rulesets, DATAPATH_ID)->sw) {
        fixture_turn(&b.f, 1);
    }
    check_flat(&b, 0);
    reconcile_rig_plug(&b);
    reconcile_rig_settle(&b);
    reconcile_rig_check_equal(&b);
    check_flat(&b, N_KEYS + 2);                         /* The loop does not turn: nothing is sent. */
    reconcile_rig_settle(&b);
    reconcile_rig_check_equal(&b);
    reconcile_rig_fini(&b);
}

/* Who begins anew where another was has that one deleted, so that the switch tells what it had counted: also over a connection that is lost before, or when all
 * has been written to it. */
static void test_predecessors(void)
{
    struct reconcile_rig b;
    reconcile_rig_init(&b);
    for (unsigned lost = 0; lost < 3; lost++) {         /* Not at all; before; behind. */
        edit(&b, 5, 100, true);
        reconcile_rig_settle(&b);
        unsigned n = b.n_removes;
        if (lost == 1) {
            reconcile_rig_unplug(&b);
            fixture_turn(&b.f, 5);
        }
        edit(&b, 5, 100, false);
        edit(&b, 5, 101, true);
        if (lost == 2) {
            reconcile_flush(b.f.c.reconcile, DATAPATH_ID);
            reconcile_rig_unplug(&b);
            fixture_turn(&b.f, 5);
        }
        if (lost) {
            reconcile_rig_plug(&b);
        }
        reconcile_rig_settle(&b);
        CU_ASSERT_EQUAL(b.n_removes, n + 1);
        reconcile_rig_reconnect(&b);                                  /* It is there, and stays. */
        reconcile_rig_settle(&b);
        CU_ASSERT_EQUAL(b.n_removes, n + 1);
        edit(&b, 5, 101, false);
        reconcile_rig_settle(&b);
        CU_ASSERT_EQUAL(b.n_removes, n + 2);
        reconcile_rig_check_equal(&b);
    }
    reconcile_rig_fini(&b);
}

void ruleset_test_suite(void)
{
    UNIT_SUITE("ruleset", { "nothing gathers", test_flat }, { "what was there before", test_predecessors });
}
