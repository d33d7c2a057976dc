/* See loop.h. */
#include "lib/loop.h"

#include <event2/event.h>

#include "lib/util.h"

static bool is_over(struct event_base *base)
{
    return event_base_got_exit(base) || event_base_got_break(base);
}

bool loop_run(struct event_base *base, unsigned busy_poll_us)
{
    struct clock clock = clock_monotonic();
    if (!busy_poll_us) {
        return !event_base_dispatch(base);
    }
    do {
        if (event_base_loop(base, EVLOOP_ONCE)) {
            return false;
        }
        const uint64_t until = clock_now_ns(&clock) + busy_poll_us * UINT64_C(1000);
        while (!is_over(base) && clock_now_ns(&clock) < until) {
            event_base_loop(base, EVLOOP_NONBLOCK);
        }
    } while (!is_over(base));
    return true;
}
