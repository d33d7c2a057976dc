/* The loop ends when it is told to, and is awake for as long as it should. */
#include "lib/loop.h"

#include <event2/event.h>
#include <time.h>

#include "lib/util.h"
#include "tests/unit.h"

unit_suite_fn loop_test_suite;

enum { WAKES = 20, POLL_US = 1000 };

struct rig { struct event_base *base; struct event *timer; unsigned n_left; bool breaks; };

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *r_)
{
    struct rig *r = r_;
    if (--r->n_left) {
        event_add(r->timer, &(struct timeval) { .tv_usec = 3 * POLL_US });
    } else if (r->breaks) {
        event_base_loopbreak(r->base);
    } else {
        event_base_loopexit(r->base, &(struct timeval) { .tv_usec = 1000 });
    }
}

/* CPU time that it took, in us. */
static uint64_t run(unsigned busy_poll_us, bool breaks)
{
    struct rig r = { .base = event_base_new(), .n_left = WAKES, .breaks = breaks };
    struct timespec before, after;
    r.timer = evtimer_new(r.base, on_timer, &r);
    event_add(r.timer, &(struct timeval) { .tv_usec = 1000 });
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    CU_ASSERT(loop_run(r.base, busy_poll_us));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    CU_ASSERT_EQUAL(r.n_left, 0);
    event_free(r.timer);
    event_base_free(r.base);
    return (uint64_t) (after.tv_sec - before.tv_sec) * 1000000 + (uint64_t) (after.tv_nsec / 1000) - (uint64_t) (before.tv_nsec / 1000);
}

static void test_ends(void)
{
    run(0, false);
    run(0, true);
    run(POLL_US, false);
    run(POLL_US, true);
    struct event_base *base = event_base_new();
    CU_ASSERT_FALSE(loop_run(base, POLL_US));           /* Nothing to wait for. */
    event_base_free(base);
}

/* A machine that does something else meanwhile takes some of the time away. */
static void test_awake(void)
{
    uint64_t polling = 0, sleeping = UINT64_MAX;
    for (unsigned i = 0; i < 5 && (polling < WAKES * POLL_US / 2 || sleeping > WAKES * POLL_US / 4); i++) {
        polling = MAX(polling, run(POLL_US, false));
        sleeping = MIN(sleeping, run(0, false));
    }
    CU_ASSERT(polling >= WAKES * POLL_US / 2);
    CU_ASSERT(sleeping <= WAKES * POLL_US / 4);
}

void loop_test_suite(void)
{
    UNIT_SUITE("loop", { "ends", test_ends }, { "is awake", test_awake });
}
