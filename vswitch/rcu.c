#include "vswitch/rcu.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct rcu_call {
    uint64_t token;
    void (*fn)(void *);
    void *arg;
};

/* How long the loop waits on the spot for busy poll-mode threads, whose iterations take a few microseconds: cheaper and
 * sooner than a timer, and short beside anything else the loop does. */
#define RCU_SPIN_CHECKS 200
#define RCU_LATER_US 200

static void rcu_on_event(evutil_socket_t fd, short what, void *rcu_)
{
    struct rcu *r = rcu_;
    (void) fd;
    (void) what;
    size_t left = rcu_run(r);
    for (int i = 0; left && i < RCU_SPIN_CHECKS; i++) {
        rte_pause();
        left = rcu_run(r);
    }
    if (left) {
        event_add(r->later, &(struct timeval) { .tv_usec = RCU_LATER_US });
    }
}

void rcu_init(struct rcu *r, struct event_base *base, unsigned n_threads)
{
    memset(r, 0, sizeof *r);
    size_t size = rte_rcu_qsbr_get_memsize(n_threads);
    r->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, ROUND_UP(size, RTE_CACHE_LINE_SIZE));
    if (!r->qsbr) {
        abort();
    }
    int rc = rte_rcu_qsbr_init(r->qsbr, n_threads);
    assert(rc == 0);
    (void) rc;
    r->size = 256;
    r->calls = xcalloc(r->size, sizeof *r->calls);
    r->base = base;
    if (base) {
        r->soon = event_new(base, -1, 0, rcu_on_event, r);
        r->later = event_new(base, -1, 0, rcu_on_event, r);
    }
}

void rcu_fini(struct rcu *r)
{
    size_t left = rcu_run(r);
    assert(left == 0);
    (void) left;
    if (r->soon) {
        event_free(r->soon);
        event_free(r->later);
    }
    free(r->calls);
    free(r->qsbr);
    memset(r, 0, sizeof *r);
}

void rcu_defer(struct rcu *r, void (*fn)(void *), void *arg)
{
    if (r->tail - r->head == r->size) {
        struct rcu_call *bigger = xcalloc(r->size * 2, sizeof *bigger);
        for (size_t i = r->head; i != r->tail; i++) {
            bigger[i & (r->size * 2 - 1)] = r->calls[i & (r->size - 1)];
        }
        free(r->calls);
        r->calls = bigger;
        r->size *= 2;
    }
    r->calls[r->tail++ & (r->size - 1)] = (struct rcu_call) { rte_rcu_qsbr_start(r->qsbr), fn, arg };
    if (r->base) {
        event_active(r->soon, EV_TIMEOUT, 1);
    }
}

size_t rcu_run(struct rcu *r)
{
    while (r->head != r->tail) {
        struct rcu_call c = r->calls[r->head & (r->size - 1)];
        if (rte_rcu_qsbr_check(r->qsbr, c.token, false) != 1) {
            break;
        }
        r->head++;              /* Before the call, which may defer again and so move the ring. */
        c.fn(c.arg);
    }
    return r->tail - r->head;
}

void rcu_synchronize(struct rcu *r)
{
    rte_rcu_qsbr_check(r->qsbr, rte_rcu_qsbr_start(r->qsbr), true);
}

void rcu_thread_register(struct rcu *r, unsigned thread)
{
    int rc = rte_rcu_qsbr_thread_register(r->qsbr, thread);
    assert(rc == 0);
    (void) rc;
    rte_rcu_qsbr_thread_online(r->qsbr, thread);
}

void rcu_thread_unregister(struct rcu *r, unsigned thread)
{
    rte_rcu_qsbr_thread_offline(r->qsbr, thread);
    rte_rcu_qsbr_thread_unregister(r->qsbr, thread);
}
