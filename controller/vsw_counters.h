/*
 * Counters of a virtual switch as its tenant reads them: which of the edges' counters belong to which of its entries,
 * groups, meters and ports.  How they come home is vsw_stats.h's.
 *
 * Entries, groups and meters are told by cookie and physical id, and count on every edge. A port with a device has what
 * the device counts while the port is bound to it (port_sum.h). A virtual link has no device: what its end sent is what
 * the rules that deliver there have matched, told by cookies of their own (COOKIE_LINK), and what it received is what of
 * the other end's frames has come to its edge, which the rules there count that let them in. A table's lookups are what
 * its entries matched, and what the rule counted that stands for no match.
 *
 * All these rules tell their last counters when they leave (vsw_stats.h), so that nothing that was counted is missing in
 * a port's or table's sum. No switch is asked to reset what a tenant resets, either: see vsw_stats.h.
 */
#ifndef CONTROLLER_VSW_COUNTERS_H
#define CONTROLLER_VSW_COUNTERS_H 1

#include "controller/vsw_stats.h"
#include "ofproto/of_msg.h"

struct group;
struct meter;
struct vgroup;
struct vmeter;
struct vport;
struct vsw;

extern const struct vsw_stats_ops vsw_counters_ops;

/* For struct of_backend_ops (ofproto/agent.h). */
void vsw_counters_refresh(void *vsw, const struct of_multipart_msg *request, void (*done)(void *token), void *token);
void vsw_counters_table(void *vsw, uint8_t table, struct of_table_stats *);
bool vsw_counters_port(void *vsw, uint32_t port_no, struct of_port_stats *);
bool vsw_counters_group(void *vsw, struct group *, struct of_group_stats *);
/* For struct meter_ops. */
void vsw_counters_meter(const struct meter *, struct of_meter_stats *, void *vsw);

/* The buckets or bands are others from now on, and count from zero. */
void vgroup_counters_reset(struct vgroup *);
void vgroup_counters_fini(struct vgroup *);
void vmeter_counters_reset(struct vmeter *);
void vmeter_counters_fini(struct vmeter *);
/* Its device may be another: the former one is asked once more, and the new one where it begins, before any rule of theirs changes. */
void vport_counters_follow(struct vsw *, struct vport *);
void vport_counters_fini(struct vport *);

#endif
