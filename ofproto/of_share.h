/*
 * What a group of connections (a tenant's) may take of the loop, so that one that floods keeps nobody else waiting.
 *
 * Deficit round robin by measured cost. Handling a message is timed. As long as a group has used little lately, its messages are handled as they
 * come, at the loop's usual priority. Above a quantum its connections yield: no more is read, what was read is kept (one read of OF_SHARE_READ at most), and each waits
 * for a turn at low priority, which it gets when the loop has found nothing else to do; after each turn the loop looks for new events first. A
 * turn is OF_SHARE_TURN_NS or one message: what others wait at most. A group that has been alone for a while has longer ones, up to a quantum, reads more
 * at once, and is answered sooner: it gets more done. When several connections of a group wait a turn is no more than a quantum divided by
 * their number: more connections are no more turns. What a group has used is forgotten with time,
 * at 1/2^OF_SHARE_DECAY of the clock, so that a controller that sends a message now and then never yields, however long it lives. When others leave
 * no room at all, a connection has its turn all the same after OF_SHARE_LATE_MS.
 *
 * A share that is held reads nothing: backpressure, when a rate is used up (its owner says until when). What comes when that is over has to wait for turns
 * (of_share_exhaust()): it has been too much already, however little time it took.
 *
 * The base should have OF_SHARE_PRIORITIES priorities, and look for new events after each callback of the lowest one
 * (event_config_set_max_dispatch_interval()); with fewer, turns come once per turn of the loop. Loop thread only.
 */
#ifndef OFPROTO_OF_SHARE_H
#define OFPROTO_OF_SHARE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

#define OF_SHARE_PRIORITIES 3   /* Of the event base; connections' usual one is the middle. */
#define OF_SHARE_DECAY 2        /* A group may use a quarter of the time before it counts as busy. */
#define OF_SHARE_LATE_MS 20
#define OF_SHARE_TURN_NS 5000
#define OF_SHARE_ALONE_NS UINT64_C(10000000)
#define OF_SHARE_READ 4096      /* Bytes at a time: some tens of flow-mods, a few turns. What waits is the kernel's, and the sender's. */

struct of_share_group;

/* Groups that share a loop: whose messages have been handled lately. */
struct of_share_company { const struct of_share_group *last; uint64_t since_ns; };      /* Nobody else's since then. `last` is only compared. */

struct of_share_group {
    uint64_t quantum_ns;
    struct of_share_company *company;   /* NULL: there may be others at any time. */
    unsigned n_waiting;         /* Connections that wait for a turn. */
    uint64_t recent_ns, at_ns;  /* Used lately, as of then. At most two quanta. */
    uint64_t busy_ns;           /* Used ever. */
    uint64_t n_turns;           /* Given ever. */
    uint64_t n_garbage;         /* Messages that could not be decoded. */
};

struct of_share {               /* Of one agent's connections. */
    struct of_share_group *group;
    bool held;
    /* A message could not be decoded; may hold the share. May be NULL. */
    void (*garbage)(struct of_share *);
    /* A turn at low priority begins, or ends: what it causes has time until nothing else is to be done. May be NULL. */
    void (*turn)(struct of_share *, bool begins);
};

/* Forgets. */
static inline void of_share_pass(struct of_share_group *g, uint64_t now_ns)
{
    uint64_t forgotten = (now_ns - g->at_ns) >> OF_SHARE_DECAY;
    g->recent_ns -= MIN(forgotten, g->recent_ns);
    g->at_ns = now_ns;
}

static inline bool of_share_alone(const struct of_share_group *g, uint64_t now_ns)
{
    return g->company && g->company->last == g && now_ns - g->company->since_ns >= OF_SHARE_ALONE_NS;
}

/* So much has been used, until now. */
static inline void of_share_use(struct of_share_group *g, uint64_t ns, uint64_t now_ns)
{
    if (g->company && g->company->last != g) {
        *g->company = (struct of_share_company) { g, now_ns };
    }
    g->busy_ns += ns;
    g->recent_ns = MIN(g->recent_ns + ns, 2 * g->quantum_ns);
}

/* As if much had been used: what comes next waits for turns. */
static inline void of_share_exhaust(struct of_share_group *g, uint64_t now_ns)
{
    of_share_pass(g, now_ns);
    g->recent_ns = 2 * g->quantum_ns;
}

#endif
