#include "vswitch/meter.h"

#include <stdlib.h>
#include "lib/util.h"
#include "vswitch/exec.h"
#include "vswitch/packet.h"

/* --- The control side --- */

static void meter_free(void *m_)
{
    struct dp_meter *m = m_;
    free(m->bands);
    free(m);
}

static void meter_retire(struct dp *dp, struct dp_meter *m)
{
    for (unsigned i = 0; i < m->bands->n; i++) {
        counters_put(dp, m->band_counters[i]);
    }
    counters_put(dp, m->counters);
    dp_defer(meter_free, m, dp);
}

static struct dp_meter *meter_build(struct dp *dp, const struct meter *meter, struct counters *counters)
{
    struct dp_meter *m = xcalloc(1, sizeof *m + meter->n_bands * sizeof m->band_counters[0]);
    m->bands = meter_bands_new(meter, clock_now_ns(&dp->clock));
    m->counters = counters;
    for (unsigned i = 0; i < meter->n_bands; i++) {
        m->band_counters[i] = counters_new(dp, COUNTER_NO_TABLE);
    }
    return m;
}

static struct of_error insert(struct meter *meter, void *dp_)
{
    struct dp *dp = dp_;
    struct meter_slot *slot = XNEW(struct meter_slot);
    slot->refs = 1;
    atomic_init(&slot->current, meter_build(dp, meter, counters_new(dp, COUNTER_NO_TABLE)));
    meter->aux = slot;
    return OF_OK;
}

static struct of_error modify(struct meter *meter, void *dp_)
{
    struct dp *dp = dp_;
    struct meter_slot *slot = meter->aux;
    struct dp_meter *old = atomic_load_explicit(&slot->current, memory_order_relaxed);
    old->counters->refs++;
    atomic_store_explicit(&slot->current, meter_build(dp, meter, old->counters), memory_order_release);
    cache_note_all(dp);
    meter_retire(dp, old);
    return OF_OK;
}

static void remove_meter(struct meter *meter, void *dp_)
{
    struct dp *dp = dp_;
    struct meter_slot *slot = meter->aux;
    struct dp_meter *old = atomic_load_explicit(&slot->current, memory_order_relaxed);
    if (!dp->closing && !meter_table_find(dp->meters, meter->id)) {     /* A bundle may have put another in its place. */
        flow_tables_meter_deleted(dp->flows, meter->id);
    }
    /* A thread that is still running one of those entries measures nothing any more. */
    atomic_store_explicit(&slot->current, NULL, memory_order_release);
    cache_note_all(dp);
    meter_retire(dp, old);
    meter_slot_put(dp, slot);
}

static void counters(const struct meter *meter, struct of_meter_stats *out, void *dp UNUSED)
{
    const struct meter_slot *slot = meter->aux;
    const struct dp_meter *m = atomic_load_explicit(&slot->current, memory_order_relaxed);
    uint64_t used;
    counters_sum(m->counters, &out->packet_in_count, &out->byte_in_count, &used);
    for (unsigned i = 0; i < m->bands->n; i++) {
        counters_sum(m->band_counters[i], &out->bands[i].packet_count, &out->bands[i].byte_count, &used);
    }
}

const struct meter_ops dp_meter_ops = { .insert = insert, .modify = modify, .remove = remove_meter, .counters = counters };

struct meter_slot *meter_slot_get(struct dp *dp, uint32_t id)
{
    struct meter *meter = meter_table_find(dp->meters, id);
    struct meter_slot *slot = meter ? meter->aux : NULL;
    if (slot) {
        slot->refs++;
    }
    return slot;
}

void meter_slot_ref(struct meter_slot *slot)
{
    slot->refs++;
}

void meter_slot_put(struct dp *dp, struct meter_slot *slot)
{
    if (!--slot->refs) {
        dp_defer(free, slot, dp);
    }
}

/* --- On the packet path --- */

/*
 * "The drop precedence of the DSCP field in the IP header" is that of assured forwarding (RFC 2597): code points 8 *
 * class + 2 * precedence with classes 1 to 4 and precedences 1 to 3, of which 3 is dropped first.  Other code points
 * have none and stay; so do frames without an IP header.
 */
static void raise_precedence(struct exec *e, unsigned by)
{
    struct flow *f = &e->flow.flow;
    unsigned dscp = f->ip_dscp, class = dscp >> 3, precedence = dscp >> 1 & 3;
    if (class >= 1 && class <= 4 && precedence && !(dscp & 1)) {
        packet_set_u8(e->packet, f, FIELD_IP_DSCP, (uint8_t) (class << 3 | MIN(precedence + by, 3u) << 1));
    }
}

/* Counts the packet and gives the band that applies to it, if any. */
static const struct meter_band *measure(struct dp_thread *t, struct meter_slot *slot, uint32_t len, uint64_t now_ns)
{
    struct dp_meter *m = atomic_load_explicit(&slot->current, memory_order_acquire);
    if (!m) {
        return NULL;
    }
    count_packets(&t->cells, m->counters->id, 1, len, now_ns);
    const struct meter_band *band = meter_bands_measure(m->bands, len, now_ns);
    if (band) {
        count_packets(&t->cells, m->band_counters[band - m->bands->band]->id, 1, len, now_ns);
    }
    return band;
}

/* A trace takes nothing from anybody's rate. */
static const struct meter_band *measure_packet(struct exec *e, struct meter_slot *slot)
{
    return e->observe ? NULL : measure(e->thread, slot, e->packet->len, e->now_ns);
}

bool meter_allows(struct dp_thread *t, struct meter_slot *slot, uint32_t len, uint64_t now_ns)
{
    const struct meter_band *band = measure(t, slot, len, now_ns);
    return !band || band->type != OFPMBT_DROP;
}

bool exec_meter_allows(struct exec *e, struct meter_slot *slot)
{
    const struct meter_band *band = slot ? measure_packet(e, slot) : NULL;
    return !band || band->type != OFPMBT_DROP;
}

/* What it does to others of the same key: they may be dropped, which a step can say, or get other fields. */
static void record(struct exec *e, struct meter_slot *slot)
{
    const struct dp_meter *m = atomic_load_explicit(&slot->current, memory_order_acquire);
    bool remarks = false;
    for (unsigned i = 0; m && i < m->bands->n; i++) {
        remarks = remarks || m->bands->band[i].type == OFPMBT_DSCP_REMARK;
    }
    if (remarks) {
        e->rec->tainted = true;
        e->rec->plain = false;
    } else {
        recorder_meter(e->rec, slot, e->n_sent, e->rank >= RANK_DROP_ACTION);
    }
}

bool exec_meter(struct exec *e, struct meter_slot *slot)
{
    if (e->rec) {
        record(e, slot);
    }
    const struct meter_band *band = measure_packet(e, slot);
    if (!band) {
        return true;
    }
    if (band->type == OFPMBT_DSCP_REMARK) {
        raise_precedence(e, band->prec_level);
        return true;
    }
    exec_diverged(e);
    exec_note(e, DROP_METER, RANK_DROP_ACTION);
    return false;
}
