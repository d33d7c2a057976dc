/*
 * Poll-mode threads: receive, run the pipeline, transmit; sleep when nothing comes.
 *
 * Each thread has a plan (the receive queues it polls), replaced whole by the control thread and read once per
 * iteration. A queue belongs to one thread from port-add to port-del, so no queue ever has two readers, however plans
 * change. Frames that the control thread sends (packet-out) go through a ring per poll-mode thread: queues of devices
 * are touched by poll-mode threads only.
 *
 * Idle: after POLL_SPIN_US without a frame a thread turns on the wake-ups of its queues, looks once more (a frame that
 * came before the wake-up was on is seen by that look), leaves the RCU protocol and waits in ppoll(). vhost queues wake
 * it by the guest's kick; a queue without a descriptor (an ethdev) bounds the wait, 50 µs at first and doubling to 1
 * ms. With all queues waking, the wait is bounded by POLL_SLEEP_MAX_US all the same.
 *
 * Busy: a look at an empty vhost queue costs about as much as forwarding a frame to the end, so beside busy queues
 * those that have been empty for long are looked at in one round out of POLL_QUIET_EVERY, each in another. A round
 * without any frame is followed by one that looks everywhere.
 */
#ifndef VSWITCH_POLL_H
#define VSWITCH_POLL_H 1

#include <poll.h>
#include <rte_ring.h>

#include "vswitch/perf.h"
#include "vswitch/port.h"

#define POLL_SPIN_US 1000
#define POLL_STEP_MIN_US 50
#define POLL_STEP_MAX_US 1000
#define POLL_SLEEP_MAX_US 10000
#define POLL_MAX_WAITS 1024
#define POLL_RING_SIZE 2048
#define POLL_CLOCK_US 1000              /* How long the time stamp counter stands in for the clock. */
#define POLL_QUIET_ROUNDS 64            /* A queue that was empty for so many rounds is looked at in one of … */
#define POLL_QUIET_EVERY 8              /* … so many, while others have frames. */
#define POLL_FLUSH_EVERY (2 * DP_BATCH) /* Frames received before what was sent must leave, when there are many queues. */

struct poll_plan {
    unsigned n;
    uint8_t *quiet;             /* The thread's, one per queue: rounds in a row in which it had no frame, at most POLL_QUIET_ROUNDS. In the same block. */
    struct { struct port *port; unsigned queue; } rxq[];
};

struct poll_counters {          /* Written by the thread, read by the control thread; frames and batches are in struct perf. */
    uint64_t iterations, sleeps;
    uint64_t busy_tsc, idle_tsc, sleep_tsc;     /* Time stamp counter ticks: with frames, without, asleep. */
};

struct poll_thread {
    struct poll *poll;
    unsigned index;             /* 0..n-1; the datapath's thread is index + 1. */
    unsigned cpu, lcore;
    struct dp_thread *dp;
    struct perf *perf;                  /* dp's. */
    struct rte_ring *from_control;      /* One producer (control), one consumer (this). */
    int wake_fd;
    atomic_bool ended;          /* Written by the thread: its last act. */
    atomic_bool sleeping;       /* Written by the thread; the control thread writes wake_fd when it is set. */
    _Atomic(struct poll_plan *) plan;   /* Written by the control thread. */
    /* The thread's alone. */
    struct port *dirty[DP_MAX_PORTS];   /* Ports with frames in their transmit buffer of this thread. */
    unsigned n_dirty;
    unsigned n_busy_rounds;             /* In a row, with frames. */
    unsigned step_us;
    uint64_t clock_ns, clock_tsc, now_ns;       /* The clock at that time stamp; what the latest batch was given. */
    uint64_t clock_ticks, clock_scale;          /* POLL_CLOCK_US in ticks; nanoseconds per tick, times 2^32.  Immutable. */
    struct pollfd fds[1 + POLL_MAX_WAITS];
    struct poll_counters counters __attribute__((aligned(64)));
    /* The control thread's alone: what was counted when somebody asked for a new start. */
    struct poll_counters base_load __attribute__((aligned(64)));
    struct perf_counts base_counts;
};

struct poll {
    struct port_table *ports;
    struct mbuf_pools *pools;
    struct rcu *rcu;
    struct dp *dp;
    struct clock clock;
    bool idle_sleep;
    atomic_bool stop;
    atomic_uint n_queued;       /* Ports with queues (vswitch/queue.h). Written by the control thread. */
    bool running;
    unsigned n;
    struct poll_thread *threads[CONFIG_MAX_POLL];
};

/* [control] Threads' state and rings; nothing runs yet. lcores[i] is the EAL lcore of cpus->cpu[i]. */
bool poll_init(struct poll *, const struct config_cpus *cpus, const unsigned *lcores, struct err *);
void poll_fini(struct poll *);
bool poll_start(struct poll *, struct err *);
void poll_stop(struct poll *);          /* Returns when every thread has ended. */
/* [control] Gives the queues of a new port to the least loaded threads, or takes those of a port away, and publishes the plans. */
void poll_add_port(struct poll *, struct port *);
void poll_remove_port(struct poll *, struct port *);
/* [control] Hands a frame to the port's thread; false when the ring is full (the frame stays the caller's). */
bool poll_send(struct poll *, struct port *, struct rte_mbuf *);

/* [control] A thread's load since the latest reset, and that reset (which takes in t->perf). */
void poll_count(const struct poll_thread *, struct poll_counters *);
void poll_count_reset(struct poll_thread *);

/* poll_output.c [poll] Puts a frame into the port's transmit buffer of this thread; takes it. */
void poll_output(struct poll_thread *, struct port *, struct rte_mbuf *);
/* The same for n packets, at most DP_BATCH; the link is looked at once. */
void poll_output_batch(struct poll_thread *, struct port *, struct packet **, unsigned n);
void poll_flush(struct poll_thread *);
/* [poll] Sends what is due of the queues of ports whose first receive queue is in the thread's plan; returns the number of frames. */
unsigned poll_serve(struct poll_thread *, const struct poll_plan *);
/* [poll] Whether frames wait in such queues. */
bool poll_waiting(const struct poll_plan *);
/* [any] Wakes a thread that sleeps. */
void poll_wake(struct poll *, unsigned thread);

#endif
