/*
 * Flow-table semantics (OpenFlow 1.3.5 sections 5, 6.4): add, modify, delete, strict or not, overlap, cookies, filters, timeouts.
 *
 * A `struct flow_tables` is the control side's picture of one switch: vswitchd's datapath and controllerd's virtual switches each own one and hang their own
 * state on entries through `aux`.  The owner is told of each change by ops, in an order that never leaves a gap: a modify keeps the entry, an add that replaces
 * first inserts, then removes.  Counters are the owner's (ops->counters).  One thread.
 */
#ifndef OFPROTO_FLOW_TABLE_H
#define OFPROTO_FLOW_TABLE_H 1

#include "lib/hmap.h"
#include "ofproto/of_msg.h"

#define OF_N_TABLES 254

struct flow_entry {
    struct hmap_node node;      /* By hash of (priority, minimatch) in its table. */
    struct minimatch *match;    /* In the same piece of memory, behind the entry. */
    uint16_t priority, idle_timeout, hard_timeout, flags, importance;
    uint8_t table_id;
    uint64_t cookie;
    struct instructions instructions;
    uint64_t created_ns, modified_ns;
    void *aux;                  /* The owner's. */
    /* During ops->insert of an add: the entry that this one replaces and whose counters it takes over (section 6.4); else NULL. */
    const struct flow_entry *replaces;
    const struct flow_entry *resets;            /* The same, of one whose counters it does not take over (OFPFF_RESET_COUNTS). */
    /* Of the changes (flow_tables_seq) that made it and that modified it last, and that made the first of those that have replaced each other up to it. */
    uint64_t added_seq, changed_seq, first_seq;
    /* Private to flow_table*.c. */
    uint64_t expires_ns;        /* Not before this; UINT64_MAX: it has no timeout. */
    unsigned heap_pos[2];       /* flow_heap.h; 1-based, 0: not in the heap. */
    unsigned n_holds;           /* flow_entry_hold() */
    bool removed;               /* Left the tables; lives on for its holders, who may only look at this and release it. */
    struct flow_link *links;    /* To the groups and the meter that it uses. */
};

struct flow_table_ops {
    /* Makes the entry effective. An error refuses the flow-mod (table full, a group that does not exist) and the entry is freed again. */
    struct of_error (*insert)(struct flow_entry *, void *aux);
    /* instructions are already the new ones; `old` are the former. Clears counters when reset_counts. */
    struct of_error (*modify)(struct flow_entry *, const struct instructions *old, bool reset_counts, void *aux);
    /* The entry leaves (it is freed afterwards); reason is an OFPRR_*, or -1 when replaced by an add or the tables go away. Owner sends flow-removed. */
    void (*remove)(struct flow_entry *, int reason, void *aux);
    /* Packets, bytes, and when last hit (ns of the tables' clock; creation if never). */
    void (*counters)(const struct flow_entry *, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *aux);
};

struct flow_tables;
struct flow_tables *flow_tables_new(unsigned max_flows, struct clock, const struct flow_table_ops *, void *aux);
void flow_tables_free(struct flow_tables *);                    /* Removes every entry (reason -1). */

/*
 * Who watches is told of each change of an entry after it is made, bundles included: what it is told while one is at work may be taken back, and the entries stay until commit or
 * abort.  An add that replaces an entry is one change, ADDED.  A modify that changes no instruction is none.
 */
enum flow_change { FLOW_ADDED, FLOW_MODIFIED, FLOW_REMOVED };
/* `reason`: an OFPRR_*, for REMOVED.  `old`: the former instructions, for MODIFIED. `seq`: of the change.  May not change the tables. */
typedef void flow_watch_fn(struct flow_entry *, enum flow_change, int reason, const struct instructions *old, uint64_t seq, void *aux);
void flow_tables_watch(struct flow_tables *, flow_watch_fn *, void *aux);       /* NULL: nobody. */
uint64_t flow_tables_seq(const struct flow_tables *);           /* Number of the latest change; the first is 1. */

/*
 * Tables' limits, eviction and vacancy events (OpenFlow 1.4 sections 5.5, 7.3.3 and 7.4.5).  An add to a full table puts out the entry of least importance, of those the
 * one that would expire first, of those the oldest (each as far as the eviction flags say), but never one of more importance than the new one.
 */
void flow_tables_limit(struct flow_tables *, uint8_t table, unsigned max);      /* OFPTT_ALL: each of them.  0: as many as all together. */
unsigned flow_tables_table_max(const struct flow_tables *, uint8_t table);
uint64_t flow_tables_evicted(const struct flow_tables *);       /* Entries that made room for others so far, aborted bundles included. */
struct of_error flow_tables_configure(struct flow_tables *, const struct of_table_config *);    /* A table-mod; the table exists, or is OFPTT_ALL. */
void flow_tables_config(const struct flow_tables *, uint8_t table, struct of_table_config *);
/* The OFPTR_VACANCY_* that the table's present vacancy gives cause for, once; 0: none. */
uint8_t flow_tables_vacancy_event(struct flow_tables *, uint8_t table);

/*
 * Bundles.  Between begin and commit or abort every change is provisional: the owner's insert and remove are called as
 * always (a modify becomes the insert of a new entry and the remove of the old one), but entries that left are kept, so
 * that abort restores the tables as they were at begin.  The owner has to undo its own part before abort, or to complete it
 * before commit: it may look at the entries that it was told of until then.
 */
void flow_tables_begin(struct flow_tables *);
void flow_tables_commit(struct flow_tables *);
void flow_tables_abort(struct flow_tables *);

struct of_error flow_tables_mod(struct flow_tables *, const struct of_flow_mod *);      /* All of it or nothing. Validates instructions against the match. */
unsigned flow_tables_count(const struct flow_tables *, uint8_t table);   /* OFPTT_ALL: all. */
struct flow_entry *flow_tables_find(struct flow_tables *, uint8_t table, uint16_t priority, const struct match *);
/* Entries that pass the filter (section 7.3.5.2); table order, then priority descending when `sorted`. fn may not change the tables. */
void flow_tables_each(struct flow_tables *, const struct of_flow_filter *, bool sorted, void (*fn)(struct flow_entry *, void *aux), void *aux);
bool flow_tables_any(struct flow_tables *, const struct of_flow_filter *);       /* Whether one passes. */
void flow_entry_stats(struct flow_tables *, const struct flow_entry *, struct of_flow_stats *);    /* Owned by the caller (of_flow_stats_fini). */
void of_flow_stats_fini(struct of_flow_stats *);
/* Keeps the memory of an entry while the tables change (a statistics reply that is sent piece by piece). */
struct flow_entry *flow_entry_hold(struct flow_entry *);
void flow_entry_release(struct flow_entry *);
/* Entries that use a group or a meter. */
unsigned flow_tables_group_refs(const struct flow_tables *, uint32_t group);
unsigned flow_tables_meter_refs(const struct flow_tables *, uint32_t meter);
/* Expires; returns ns until the next look is due (UINT64_MAX: none has a timeout). */
uint64_t flow_tables_expire(struct flow_tables *);
/* Deletes entries that refer to a group (section 6.5) or a meter (OFPM_ALL: to any). */
void flow_tables_group_deleted(struct flow_tables *, uint32_t group);
void flow_tables_meter_deleted(struct flow_tables *, uint32_t meter);

/* Groups: the same split. */
struct group { struct hmap_node node; uint32_t id; uint8_t type; struct of_bucket *buckets; unsigned n_buckets; uint64_t created_ns; void *aux;
               unsigned n_users;        /* Buckets of other groups that name this one. */
               uint64_t mark;           /* Private to group_table.c. */ };
struct group_ops {
    struct of_error (*insert)(struct group *, void *aux);
    /* `group` already holds the new type and buckets. */
    struct of_error (*modify)(struct group *, void *aux);
    void (*remove)(struct group *, void *aux);
};
struct group_table;
struct group_table *group_table_new(unsigned max_groups, struct clock, const struct group_ops *, void *aux);
void group_table_free(struct group_table *);
struct of_error group_table_mod(struct group_table *, struct of_group_mod *);    /* May move buckets out of the message. Loops, chaining, watch rules per section 6.5. */
/* As flow_tables_begin() and so on; the owner's ops are called as always. */
void group_table_begin(struct group_table *);
void group_table_commit(struct group_table *);
void group_table_abort(struct group_table *);
struct group *group_table_find(struct group_table *, uint32_t id);
void group_table_each(struct group_table *, void (*fn)(struct group *, void *aux), void *aux);
/* Whether a delete would be refused because another group forwards to it. */
bool group_table_is_chained(const struct group_table *, uint32_t id);
unsigned group_table_count(const struct group_table *);
unsigned group_table_max(const struct group_table *);
unsigned flow_tables_max(const struct flow_tables *);

#endif
