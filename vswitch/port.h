/*
 * Ports: a device with a number, a name and counters.
 *
 * The table is the control thread's; poll-mode threads reach a port by number through an array of pointers that the
 * control thread publishes (release/acquire).  A removed port is unpublished first, then its device closed, then all of
 * it freed after a grace period. Counters and transmit buffers are per thread (`threads[]`): only their own thread
 * writes them, anybody reads counters, relaxed.
 */
#ifndef VSWITCH_PORT_H
#define VSWITCH_PORT_H 1

#include "ofproto/of_msg.h"
#include "vswitch/config.h"
#include "vswitch/device.h"

struct capture_tap;
struct queues;

struct port_counters { uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_dropped; };

struct port_thread {            /* One thread's share. */
    struct port_counters counters;      /* Written by the thread, read by the control thread. */
    unsigned n_tx;                      /* The rest is the thread's alone. */
    uint32_t tx_bytes;                  /* Of the frames in tx. */
    bool dirty;                         /* In the thread's list of ports to flush. */
    uint32_t n_punted;                  /* Packet-ins of the window `punt_window`. */
    uint64_t punt_window;
    struct rte_mbuf *tx[DP_BATCH];
} __attribute__((aligned(64)));

struct port {
    struct config_port config;          /* Immutable after port_table_add(), but for `qos`, which is the control thread's. */
    uint32_t port_no;
    struct device *device;
    _Atomic(struct capture_tap *) tap;  /* NULL: nobody captures. Written by the control thread. */
    _Atomic(struct queues *) queues;    /* NULL: none. Written by the control thread. */
    /* Control thread only. */
    struct mac mac;
    uint32_t of_config;                 /* OFPPC_*. */
    bool link_reported;                 /* The link state that the datapath and the controllers know. */
    uint64_t created_ns, link_changes;
    unsigned rx_thread[CONFIG_MAX_QUEUES];      /* Which poll-mode thread (0..) polls each queue; [0] also sends the control thread's frames. */
    struct port_thread threads[];       /* One per datapath thread: 0 is the control thread's. */
};

struct port_table {
    _Atomic(struct port *) by_number[DP_MAX_PORTS];     /* Written by the control thread. */
    unsigned n;                         /* Control thread only, like the rest. */
};

/* [poll] NULL when there is no such port; valid until the caller's next quiescent state. */
static inline struct port *port_get(struct port_table *t, uint32_t port_no)
{
    return port_no < DP_MAX_PORTS ? atomic_load_explicit(&t->by_number[port_no], memory_order_acquire) : NULL;
}

/* [control] Ports in ascending number; `p` may be removed in the body. */
#define PORT_FOR_EACH(P, TABLE) \
    for (uint32_t no_ = 1; no_ < DP_MAX_PORTS; no_++) \
        if (((P) = port_get(TABLE, no_)) != NULL)

struct port *port_find(struct port_table *, const char *name);
/* Opens the device and gives the port a number (config->ofport, or the lowest free); not yet published. NULL and `err` otherwise: conflict when the name
 * or number is taken. `n_threads`: datapath threads, the control thread included. */
struct port *port_open(struct port_table *, const struct config_port *, const struct device_env *, unsigned n_threads, uint64_t datapath_id,
                       uint64_t now_ns, struct err *);
void port_publish(struct port_table *, struct port *);
/* Makes poll-mode threads unable to find the port any more and closes its device; the caller port_free()s it after a grace period. */
void port_unpublish(struct port_table *, struct port *);
void port_free(void *port);             /* For rcu_defer(). */

static inline bool port_is_live(const struct port *p) { return p->link_reported && !(p->of_config & OFPPC_PORT_DOWN); }
/* OpenFlow's speed, which queues' rates are thousandths of; 0: unknown. */
unsigned port_speed_mbps(const struct port *);
void port_describe(const struct port *, struct of_port *);              /* OpenFlow's port description. */
/* Sums over threads, without what the device itself lost. */
void port_count(const struct port *, unsigned n_threads, struct port_counters *);
/* Of the i-th configured queue, i < config.qos.n: counters, rates and port. */
void port_queue_stats(const struct port *, unsigned i, uint64_t now_ns, struct of_queue *);
void port_stats(const struct port *, unsigned n_threads, uint64_t now_ns, struct of_port_stats *);

/* [its thread] Counter increments that a reader in another thread sees whole. */
static inline void counter_add(uint64_t *c, uint64_t n)
{
    __atomic_store_n(c, __atomic_load_n(c, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline uint64_t counter_get(const uint64_t *c) { return __atomic_load_n(c, __ATOMIC_RELAXED); }

#endif
