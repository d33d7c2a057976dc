/*
 * Measuring packets against a meter's bands: what the meter table (ofproto/meter_table.h) leaves to its owner, for every switch of ours, with and without a datapath.
 *
 * The bands are immutable once made but for their policers, so any number of threads may measure at once; a modified meter gets new ones.
 *
 * Specification: OpenFlow 1.3.5 sections 5.7 and 7.3.4.4.  "The meter applies the meter band with the highest
 * configured rate that is lower than the current measured rate"; a band's rate is exceeded when its bucket is empty.
 */
#ifndef OFPROTO_METER_BANDS_H
#define OFPROTO_METER_BANDS_H 1

#include "lib/policer.h"
#include "ofproto/meter_table.h"

#define METER_DEFAULT_BURST_MS 500      /* Depth of a bucket whose band gives no burst size: lumps from a busy host pass. */

struct meter_band { uint8_t type, prec_level; uint32_t rate; struct policer policer; };        /* type: OFPMBT_* */

struct meter_bands {
    uint64_t epoch_ns;          /* The policers' tick 0. */
    bool packets;               /* Units are packets, not bits. */
    unsigned n;
    struct meter_band band[];
};

/* As the meter says now, with full buckets.  free() frees. */
struct meter_bands *meter_bands_new(const struct meter *, uint64_t now_ns);

/* [any thread] Measures a packet of that many bytes; gives the band that applies to it, or NULL. */
static inline const struct meter_band *meter_bands_measure(struct meter_bands *m, unsigned bytes, uint64_t now_ns)
{
    int64_t now = (int64_t) (now_ns - m->epoch_ns) * POLICER_TICKS_PER_NS;
    uint64_t units = m->packets ? 1 : bytes * UINT64_C(8);
    const struct meter_band *applies = NULL;
    for (unsigned i = 0; i < m->n; i++) {
        if (!policer_take(&m->band[i].policer, units, now) && (!applies || m->band[i].rate > applies->rate)) {
            applies = &m->band[i];
        }
    }
    return applies;
}

#endif
