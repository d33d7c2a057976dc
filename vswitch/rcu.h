/*
 * Freeing what poll-mode threads may still be reading.
 *
 * A thin front to rte_rcu_qsbr: one writer (the control thread) retires objects with rcu_defer(); poll-mode threads say
 * once per iteration that they hold nothing (rcu_quiescent) and leave the protocol altogether while they sleep
 * (rcu_offline), so that a sleeping switch never delays the writer.  Deferred calls run on the control thread, in the
 * order they were deferred, never from within rcu_defer() itself: the caller may be walking the structure it retires
 * from.
 *
 * Thread ids are the datapath's: 1..n for poll-mode threads (0, the control thread, never reads unprotected).
 */
#ifndef VSWITCH_RCU_H
#define VSWITCH_RCU_H 1

#include <rte_rcu_qsbr.h>

struct event_base;
struct rcu_call;
struct rcu {
    struct rte_rcu_qsbr *qsbr;          /* Shared; the library's own atomics. */
    /* Control thread only. */
    struct event_base *base;
    struct event *soon, *later;
    struct rcu_call *calls;             /* A ring of `size` (a power of two) calls. */
    size_t head, tail, size;
};

/* [control] `base` may be NULL: then the caller runs rcu_run() itself. */
void rcu_init(struct rcu *, struct event_base *, unsigned n_threads);
/* [control] Runs what is left; every poll-mode thread has ended. */
void rcu_fini(struct rcu *);
/* [control] fn(arg) once no poll-mode thread can hold a reference taken before this call. */
void rcu_defer(struct rcu *, void (*fn)(void *), void *arg);
/* [control] Runs the calls that are due; returns how many are left. */
size_t rcu_run(struct rcu *);
/* [any thread but poll-mode ones] Returns when every poll-mode thread has passed a quiescent state or is offline. */
void rcu_synchronize(struct rcu *);

/* [poll] Between register and unregister the thread is online unless it says otherwise. */
void rcu_thread_register(struct rcu *, unsigned thread);
void rcu_thread_unregister(struct rcu *, unsigned thread);
static inline void rcu_quiescent(struct rcu *r, unsigned thread) { rte_rcu_qsbr_quiescent(r->qsbr, thread); }
static inline void rcu_offline(struct rcu *r, unsigned thread) { rte_rcu_qsbr_thread_offline(r->qsbr, thread); }
static inline void rcu_online(struct rcu *r, unsigned thread) { rte_rcu_qsbr_thread_online(r->qsbr, thread); }

#endif
