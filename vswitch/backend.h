/*
 * vswitchd as the OpenFlow agent's backend and as the datapath core's outside.
 *
 * Two const tables: dp_ops (what the core calls: output, copy, free, packet-in, defer) and of_backend_ops (what the
 * agent calls). Packet-ins travel from poll-mode threads to the loop through a bounded ring, woken by one eventfd; what
 * does not fit is the core's to count (packet-in-limit).
 */
#ifndef VSWITCH_BACKEND_H
#define VSWITCH_BACKEND_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include "lib/err.h"
#include "ofproto/agent.h"
#include "vswitch/dp.h"

struct event;
struct rte_mempool;
struct rte_ring;
struct vswitch;

#define PUNT_QUEUE_SIZE 1024            /* Packet-ins on their way to the loop, at most. */

struct punt_queue {
    struct rte_ring *ring;              /* Producers: all threads; consumer: the loop. */
    struct rte_mempool *pool;           /* Of struct punt. */
    int fd;                             /* eventfd. */
    atomic_bool signalled;              /* fd has been written and not yet been read. */
    struct event *event;
    uint64_t delivered, refused;        /* Loop only: what the agent took and did not take. */
};

extern const struct dp_ops backend_dp_ops;              /* aux: struct vswitch *. */
extern const struct of_backend_ops backend_of_ops;      /* aux: struct vswitch *. */

/* [control] */
bool punt_init(struct vswitch *, struct err *);
void punt_fini(struct vswitch *);
/* [any thread] `thread`: whose, an index of dp threads. False: queue full, or the port had its share. */
bool punt_put(struct vswitch *, unsigned thread, const struct packet *, const struct flow *, uint64_t cookie, uint8_t table, uint8_t reason,
              const struct dp_controller *);

#endif
