/* When gathered work is done: in the next turn, or, if a turn of the lowest priority asked for it, after everything else, but not for ever after. */
#include "controller/gather.h"

#include <event2/event.h>
#include <string.h>

#include "controller/controller.h"
#include "ofproto/of_share.h"
#include "tests/unit.h"

unit_suite_fn gather_test_suite;

struct rig {
    struct event_base *base;
    struct gather gather;
    struct event *low, *other;  /* Of the lowest and of the usual priority. */
    unsigned n_done, n_other, n_other_before;   /* n_other_before: when the work was done. */
    unsigned n_again;           /* Times that `other` asks for another turn of its own. */
    bool other_pokes, idle_turn;
};

static void on_work(void *r_)
{
    struct rig *r = r_;
    r->n_done++;
    r->n_other_before = r->n_other;
}

/* A tenant's turn, and meanwhile something of another's comes. */
static void on_low(evutil_socket_t fd UNUSED, short what UNUSED, void *r_)
{
    struct rig *r = r_;
    r->idle_turn = true;
    gather_poke(&r->gather);
    gather_poke(&r->gather);
    r->idle_turn = false;
    event_active(r->other, EV_TIMEOUT, 0);
}

static void on_other(evutil_socket_t fd UNUSED, short what UNUSED, void *r_)
{
    struct rig *r = r_;
    r->n_other++;
    if (r->other_pokes) {
        gather_poke(&r->gather);
    }
    if (r->n_again && r->n_again--) {
        static const struct timeval now = { 0 };
        event_add(r->other, &now);
    }
}

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->base = controller_base_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->base);
    gather_init(&r->gather, r->base, &r->idle_turn, on_work, r);
    r->other = evtimer_new(r->base, on_other, r);
    r->low = event_new(r->base, -1, 0, on_low, r);
    event_priority_set(r->low, OF_SHARE_PRIORITIES - 1);
}

static void rig_fini(struct rig *r)
{
    gather_fini(&r->gather);
    event_free(r->low);
    event_free(r->other);
    event_base_free(r->base);
}

static void turn(struct rig *r) { event_base_loop(r->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); }

static void test_usual(void)
{
    struct rig r;
    rig_init(&r);
    r.other_pokes = true;
    event_active(r.other, EV_TIMEOUT, 0);
    turn(&r);
    turn(&r);
    turn(&r);
    CU_ASSERT_EQUAL(r.n_done, 1);
    rig_fini(&r);
    rig_init(&r);
    gather_poke(&r.gather);                     /* From outside of the loop. */
    gather_poke(&r.gather);
    CU_ASSERT_EQUAL(r.n_done, 0);
    turn(&r);
    turn(&r);
    CU_ASSERT_EQUAL(r.n_done, 1);
    rig_fini(&r);
}

static void test_idle(void)
{
    struct rig r;
    rig_init(&r);
    r.n_again = 5;
    event_active(r.low, 0, 0);
    for (unsigned i = 0; i < 20; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.n_done, 1);
    CU_ASSERT(r.n_other_before >= 1);           /* Others' turn came first. */
    rig_fini(&r);
    rig_init(&r);
    r.other_pokes = true;
    event_active(r.low, 0, 0);
    for (unsigned i = 0; i < 20; i++) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.n_done, 1);               /* One for both. */
    CU_ASSERT_EQUAL(r.n_other_before, 1);
    rig_fini(&r);
}

/* When others never leave room. */
static void test_late(void)
{
    struct rig r;
    struct clock clock = clock_monotonic();
    rig_init(&r);
    r.n_again = UINT32_MAX;
    event_active(r.low, 0, 0);
    const uint64_t begun = clock_now_ns(&clock);
    while (!r.n_done && clock_now_ns(&clock) - begun < UINT64_C(5000000000)) {
        turn(&r);
    }
    CU_ASSERT_EQUAL(r.n_done, 1);
    rig_fini(&r);
}

void gather_test_suite(void)
{
    UNIT_SUITE("gathered work", { "in the next turn", test_usual }, { "when there is nothing else", test_idle }, { "late", test_late });
}
