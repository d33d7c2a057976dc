/*
 * Meters in the datapath: measuring packets against bands, without locks.
 *
 * A policer is one token bucket in one atomic word.  Instead of a fill level and the time of the last refill it keeps
 * the instant at which all that has been taken will have been paid for (the virtual scheduling form of the same
 * algorithm, ITU-T I.371 annex A): a bucket of depth D is full while that instant is D or more in the past and empty
 * once it is not in the past at all.  A packet that finds anything in the bucket passes and may leave a debt, so that a
 * bucket that is smaller than a packet still gives its rate.  All threads share the word by compare and exchange, so
 * the rate holds for the whole switch however packets spread over threads.
 *
 * Time is counted in ticks of 1/64 ns since the meter was made.  That keeps a rate of 100 Gb/s of the smallest frames
 * exact to 0.3 % (costs are rounded down to a tick), and lasts for four years of one configuration.
 *
 * A meter is immutable once published but for its policers and counters; programs reach it through a slot, as they
 * reach groups.
 *
 * Specification: OpenFlow 1.3.5 sections 5.7 and 7.3.4.4.  "The meter applies the meter band with the highest
 * configured rate that is lower than the current measured rate"; a band's rate is exceeded when its bucket is empty.
 */
#ifndef VSWITCH_METER_H
#define VSWITCH_METER_H 1

#include <stdatomic.h>
#include "ofproto/meter_table.h"
#include "vswitch/dp.h"

#define METER_TICKS_PER_NS 64
#define METER_DEFAULT_BURST_MS 500      /* Depth of a bucket whose band gives no burst size: lumps from a busy host pass. */

struct counters;
struct exec;

struct policer {
    uint64_t ticks_per_unit;    /* Times 2^28.  A unit is a bit or a packet. */
    int64_t depth;              /* Ticks; at least one. */
    _Atomic int64_t paid_until; /* Ticks. */
};

/* units_per_s: 1 to 2^32 * 1000.  Full at the tick 0. */
void policer_init(struct policer *, uint64_t units_per_s, uint64_t burst_units);
/* [any thread] Takes `units` from the bucket as it is at that tick; false, and nothing is taken: it is empty. */
bool policer_take(struct policer *, uint64_t units, int64_t now);
/* Whether policer_take() would take; for a bucket with one user. */
static inline bool policer_open(const struct policer *p, int64_t now)
{
    return atomic_load_explicit(&p->paid_until, memory_order_relaxed) < now;
}

struct dp_meter_band {
    uint8_t type, prec_level;   /* OFPMBT_* */
    uint32_t rate;
    struct policer policer;
    struct counters *counters;
};

struct dp_meter {
    uint64_t epoch_ns;          /* Tick 0. */
    bool packets;               /* Units are packets, not bits. */
    unsigned n_bands;
    struct counters *counters;  /* Survive a modify; the bands' do not. */
    struct dp_meter_band bands[];
};

struct meter_slot {
    unsigned refs;              /* Control: programs and the meter itself. */
    _Atomic(struct dp_meter *) current;
};

extern const struct meter_ops dp_meter_ops;             /* aux: struct dp *. */
/* [control] A reference; NULL: there is no such meter. */
struct meter_slot *meter_slot_get(struct dp *, uint32_t id);
void meter_slot_ref(struct meter_slot *);
void meter_slot_put(struct dp *, struct meter_slot *);

/* A slot stays while it is referred to; once the meter is gone it measures nothing. */

/* [any thread] The meter instruction on the packet at work; false: a band has dropped it. */
bool exec_meter(struct exec *, struct meter_slot *);
/* [any thread] The same measure for a packet-in (the Nicira controller action's meter_id): false: not to be sent.
 * NULL allows.  The packet stays as it is. */
bool exec_meter_allows(struct exec *, struct meter_slot *);

#endif
