/*
 * Meters (OpenFlow 1.3.5 sections 5.7, 7.3.4.4 and 7.3.5.12 to 7.3.5.14): what a switch has been told of them.
 *
 * The same split as for groups (ofproto/flow_table.h): the table knows identifiers, bands, limits and errors; its owner
 * is told of each change and hangs what measures packets on `aux`.  An entry that names a meter is the flow tables' to
 * look after (flow_tables_meter_deleted).  One thread.
 */
#ifndef OFPROTO_METER_TABLE_H
#define OFPROTO_METER_TABLE_H 1

#include "lib/hmap.h"
#include "lib/util.h"
#include "ofproto/of_msg.h"

#define METER_MAX_BANDS 16

struct meter {
    struct hmap_node node;
    uint32_t id;
    uint16_t flags;             /* OFPMF_* */
    struct of_meter_band *bands;
    unsigned n_bands;
    uint64_t created_ns;
    void *aux;                  /* The owner's. */
};

struct meter_ops {
    struct of_error (*insert)(struct meter *, void *aux);
    /* `meter` already holds the new flags and bands; an error leaves it as it was. */
    struct of_error (*modify)(struct meter *, void *aux);
    /* The meter leaves, and with it every flow entry that uses it (but not those that use a new one of the same number, after a bundle). */
    void (*remove)(struct meter *, void *aux);
    /* Fills packet_in_count, byte_in_count and the n_bands counters of `bands`, which are there and zero. */
    void (*counters)(const struct meter *, struct of_meter_stats *, void *aux);
};

struct meter_table;
struct meter_table *meter_table_new(unsigned max_meters, struct clock, const struct meter_ops *, void *aux);
void meter_table_free(struct meter_table *);            /* Removes every meter. */
void meter_table_limit(struct meter_table *, unsigned max_meters);      /* For those added from now on. */
/* May move the bands out of the message. */
struct of_error meter_table_mod(struct meter_table *, struct of_meter_mod *);
/*
 * Bundles, as flow_tables_begin() and so on.  A meter that is added is there at once: whatever uses it is not seen yet.
 * Modified and deleted ones are the owner's to carry out at the commit, and to be told of then; it may not refuse to
 * modify.  Begin, commit and abort stand outside of the flow tables'.
 */
void meter_table_begin(struct meter_table *);
void meter_table_commit(struct meter_table *);
void meter_table_abort(struct meter_table *);
struct meter *meter_table_find(struct meter_table *, uint32_t id);
void meter_table_each(struct meter_table *, void (*fn)(struct meter *, void *aux), void *aux);  /* fn may not change the table. */
void meter_table_features(const struct meter_table *, struct of_meter_features *);
/* All but flow_count.  `bands` is the caller's to free. */
void meter_table_stats(const struct meter_table *, const struct meter *, struct of_meter_stats *);
/* The meter as the message that would make it; `bands` is the caller's to free. */
void meter_config(const struct meter *, struct of_meter_mod *);

#endif
