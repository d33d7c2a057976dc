/*
 * Meters in the datapath: what is measured against whose bands (ofproto/meter_bands.h), and what becomes of the packet.
 *
 * A meter is immutable once published but for its policers and counters; programs reach it through a slot, as they
 * reach groups.  Policers are shared by all threads, so a rate holds for the whole switch however packets spread.
 */
#ifndef VSWITCH_METER_H
#define VSWITCH_METER_H 1

#include <stdatomic.h>
#include "ofproto/meter_bands.h"
#include "vswitch/dp.h"

struct counters;
struct exec;

struct dp_meter {
    struct meter_bands *bands;
    struct counters *counters;  /* Survive a modify; the bands' do not. */
    struct counters *band_counters[];
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
/* [that thread] The same for a packet of so many bytes whose walk is replayed, by a meter that had bands of no other kind than drop when it was written down. */
bool meter_allows(struct dp_thread *, struct meter_slot *, uint32_t len, uint64_t now_ns);
/* [any thread] The same measure for a packet-in (the Nicira controller action's meter_id): false: not to be sent.
 * NULL allows.  The packet stays as it is. */
bool exec_meter_allows(struct exec *, struct meter_slot *);

#endif
