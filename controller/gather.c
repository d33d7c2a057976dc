/* See gather.h. */
#include "controller/gather.h"

#include <event2/event.h>

#include "lib/util.h"

static void run(struct gather *g)
{
    event_del(g->soon);
    event_del(g->idle);
    g->pending = false;
    g->fn(g->aux);
}

static void on_soon(evutil_socket_t fd UNUSED, short what UNUSED, void *g)
{
    run(g);
}

static void on_idle(evutil_socket_t fd UNUSED, short what UNUSED, void *g_)
{
    struct gather *g = g_;
    *g->idle_turn = true;
    run(g);
    *g->idle_turn = false;
}

void gather_poke(struct gather *g)
{
    static const struct timeval late = { .tv_usec = GATHER_LATE_MS * 1000 };
    if (!*g->idle_turn) {
        event_active(g->soon, EV_TIMEOUT, 0);
    } else if (!g->pending) {
        event_active(g->idle, EV_TIMEOUT, 0);
        event_add(g->soon, &late);
    }
    g->pending = true;
}

void gather_init(struct gather *g, struct event_base *base, bool *idle_turn, void (*fn)(void *aux), void *aux)
{
    *g = (struct gather) { .idle_turn = idle_turn, .fn = fn, .aux = aux };
    g->soon = evtimer_new(base, on_soon, g);
    g->idle = event_new(base, -1, 0, on_idle, g);
    event_priority_set(g->idle, event_base_get_npriorities(base) - 1);
}

void gather_fini(struct gather *g)
{
    event_free(g->soon);
    event_free(g->idle);
}
