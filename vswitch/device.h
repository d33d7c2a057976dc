/*
 * Devices: where frames come from and go to.  vhost-user sockets and DPDK ethdevs behind one small table of operations.
 *
 * A device knows nothing of port numbers, the pipeline or threads' assignments: `struct port` owns one and adds those.
 * Receive queues are 0..n_rxq-1, each polled by exactly one poll-mode thread; any poll-mode thread may transmit, naming
 * itself, and the device serialises where its queues are fewer than the threads. The control thread never touches a
 * queue (frames it sends go through a poll-mode thread), so that closing a device needs nothing but an RCU grace
 * period.
 *
 * Link: `link_up` is written by the device (vhost's own thread, or the control thread) and read by anybody, relaxed;
 * after a change the device calls link_changed(), which any thread may do and which only wakes the loop.
 */
#ifndef VSWITCH_DEVICE_H
#define VSWITCH_DEVICE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <rte_spinlock.h>
#include "lib/addr.h"
#include "lib/err.h"
#include "vswitch/config.h"
#include "vswitch/device_mbuf.h"
#include "vswitch/rcu.h"

struct device;

enum device_sleep {
    DEVICE_SLEEP_POLL = -1,     /* No wake-up to be had: look at the queue from time to time. */
    DEVICE_SLEEP_NONE = -2,     /* Nothing can arrive at all (no VM). */
};

struct device_counters { uint64_t rx_missed, rx_errors, tx_errors; };   /* What the device itself lost. */

struct device_ops {
    /* [poll] Up to n frames from a queue; the caller owns them. */
    uint16_t (*rx)(struct device *, unsigned queue, struct rte_mbuf **, uint16_t n);
    /* [poll] Sends the first k of n frames and returns k; those are the device's (or freed), the rest stays the caller's. */
    uint16_t (*tx)(struct device *, unsigned thread, struct rte_mbuf **, uint16_t n);
    /* [poll] About to sleep: asks for a wake-up from the queue. Gives the descriptor that becomes readable, or one of enum device_sleep. */
    int (*sleep)(struct device *, unsigned queue);
    /* [poll] Slept, online again: notification off. Also called for queues whose sleep() was not. */
    void (*wake)(struct device *, unsigned queue);
    void (*counters)(struct device *, struct device_counters *);        /* [control] */
    void (*check_link)(struct device *);                                /* [control] Now and then; may be NULL. */
    /* [control] Stops the device's own threads' use of it, before the grace period; no callback afterwards. */
    void (*close)(struct device *);
    void (*free)(struct device *);                                      /* [control] After the grace period. */
};

struct device_env {             /* What devices are given; outlives them. */
    const struct mbuf_pools *pools;
    struct rcu *rcu;
    unsigned n_threads;         /* Poll-mode threads: `thread` in tx is 0..n_threads-1. */
    void (*link_changed)(void *aux);    /* Any thread. */
    void *aux;
};

/* A transmit queue's lock, on a cache line that no other queue's lock is on: threads with queues of their own do not wait for each other. */
struct device_lock { rte_spinlock_t lock; char pad[RTE_CACHE_LINE_SIZE - sizeof(rte_spinlock_t)]; };

struct device {
    const struct device_ops *ops;
    const struct device_env *env;
    unsigned n_rxq;
    unsigned mtu;
    struct mac mac;             /* Zero when the device has none of its own. */
    uint32_t speed_mbps;        /* 0: unknown. */
    atomic_bool link_up;
};

/* [control] NULL and `err` (fields as in struct config_port) when the device cannot be had. */
struct device *device_vhost_open(const struct config_port *, const struct device_env *, struct err *);
struct device *device_ethdev_open(const struct config_port *, const struct device_env *, struct err *);

static inline bool device_link_up(const struct device *d) { return atomic_load_explicit(&d->link_up, memory_order_relaxed); }

#endif
