/*
 * Tenants' entries across a restart of controllerd.
 *
 * The store has what the operator and the tenants asked the API for, but not what tenants' controllers wrote into their
 * virtual switches: that comes again when they connect. Until then the switches still forward by what they have, so a
 * virtual switch that is there when controllerd starts is *held*: physical entries with its cookies that nobody wants
 * are left alone when a switch is read, and so are groups and meters. The hold ends when the tenant's controller is connected and
 * has changed nothing for HOLD_QUIET_NS, at the latest slices.hold_s after the start. Then the switches are read
 * again, and what the tenant has not written anew goes.
 *
 * Numbers of entries, groups and meters begin at random places after a start, so that the held ones are not taken for new
 * ones (packet-ins, counters), and no new group takes a held one's id. Meters' ids are few on some switches, so a new one may
 * all the same have a held one's: when the switch is first read, that one is deleted, and the held entries that pass
 * through it with it, before the new one is added (reconcile.c). Nobody's frames pass through another's meter. Loop thread only.
 */
#ifndef CONTROLLER_VSW_HOLD_H
#define CONTROLLER_VSW_HOLD_H 1

#include "controller/vsw.h"

#define HOLD_QUIET_NS (5 * UINT64_C(1000000000))

static inline bool vsw_is_held(const struct vsw *vsw) { return vsw->hold_end_ns != 0; }
void vsw_hold_begin(struct vsw *);              /* At the start of controllerd; config.slice_hold_s 0: not at all. */
void vsw_hold_connected(struct vsw *, bool);    /* Whether a controller is. */
void vsw_hold_touched(struct vsw *);            /* The tenant changed something. */
void vsw_hold_tick(struct fabric *);            /* Every few seconds: ends what is to end. */
/* Whether an entry that nobody wants is to stay: of a held virtual switch's tables. */
bool vsw_hold_keeps_flow(const struct fabric *, uint8_t table, uint64_t cookie);
/* …a group or a meter. */
bool vsw_hold_keeps_others(const struct fabric *);
#endif
