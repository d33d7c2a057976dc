/*
 * Inside the datapath: what dp.c, the executor and the trace share.  Nobody else includes this.
 *
 * Who writes what: the control thread writes everything here but the counters; `_Atomic` members are those that poll-mode threads read while it does.
 * Counters: vswitch/counters.h.
 */
#ifndef VSWITCH_DP_PRIVATE_H
#define VSWITCH_DP_PRIVATE_H 1

#include <stdatomic.h>
#include "lib/hmap.h"
#include "vswitch/cache.h"
#include "vswitch/classifier.h"
#include "vswitch/counters.h"
#include "vswitch/conjunction.h"
#include "vswitch/dp.h"
#include "vswitch/perf.h"
#include "vswitch/program.h"

#define OFPP_UNSET UINT32_C(0xfffffff7)         /* ONF extension: the action set has no output. */

/* --- Rules --- */
struct dp_rule {
    struct cls_rule cls;
    _Atomic(struct program *) program;
    uint64_t cookie;                            /* Immutable, as all below. */
    uint8_t table;
    bool is_miss;                               /* Table-miss entry, section 5.4: priority 0, matches all. */
    struct counters *counters;
    struct flow_entry *entry;                   /* Control only. */
};

/* --- Groups --- */
struct dp_bucket {
    uint16_t weight;
    uint32_t watch_port;
    struct group_slot *watch_group;             /* NULL: none. */
    struct program *program;
    struct counters *counters;
};

struct dp_group {                               /* Immutable once published. */
    uint64_t version;                           /* Of the bundle that made it; 0: none. Before that, `previous` holds. */
    struct dp_group *previous;                  /* Not looked at any more once `version` is published and a grace period is over. */
    bool gone;                                  /* Nothing else counts: a bundle removes the group. */
    uint8_t type;
    unsigned n_buckets;
    struct counters *counters;                  /* Survive a modify (section 6.5); the buckets' do not. */
    struct dp_bucket buckets[];
};

/* What programs hold: a place that a group of that id may or may not fill. */
struct group_slot {
    struct hmap_node node;
    uint32_t id;
    unsigned refs;                              /* Control: programs, watchers and the group itself. */
    _Atomic(struct dp_group *) current;
    /* Only kept up while a bucket watches this group: */
    unsigned n_watchers;                        /* Control. */
    struct list watched;                        /* Control: in dp.watched. */
    bool live_next;                             /* Control, while liveness is worked out. */
    _Atomic bool live;                          /* Read by all. Section 6.5: "a group is live if at least one of its buckets is live". */
};
struct group_slot *group_slot_get(struct dp *, uint32_t id);    /* Makes it if need be; a reference. */
void group_slot_ref(struct group_slot *);
void group_slot_put(struct dp *, struct group_slot *);
/* The group as of a version; NULL: none. */
static inline const struct dp_group *group_slot_read(const struct group_slot *slot, uint64_t version)
{
    const struct dp_group *g = atomic_load_explicit(&slot->current, memory_order_acquire);
    while (__builtin_expect(g && g->version > version, 0)) {
        g = g->previous;
    }
    return g && !g->gone ? g : NULL;
}

/* --- Ports --- */
#define PORT_PRESENT UINT32_C(0x80000000)
#define PORT_LIVE UINT32_C(0x40000000)          /* The low bits are OFPPC_*. */
struct port_list { unsigned n; uint32_t ports[]; };

/* --- The learning table (dp_learn.c) --- */
#define DP_STATION_SETS 4096
#define DP_STATION_WAYS 4
struct station { _Atomic uint64_t word; _Atomic uint32_t used_s; };
struct station_set { _Alignas(64) struct station at[DP_STATION_WAYS]; };
_Static_assert(sizeof(struct station_set) == 64, "a cache line");

/* --- The whole --- */
struct dp_thread {
    struct dp *dp;
    unsigned index;
    void *aux;                                  /* The device layer's. */
    struct cache cache;
    struct counter_cells cells;                 /* vswitch/counters.h */
    struct perf perf;
    _Atomic uint64_t drops[DP_MAX_PORTS][DROP_N_REASONS];
};

struct dp {
    unsigned n_threads;
    struct clock clock;
    struct dp_ops ops;
    void *aux;
    bool closing;                               /* Nobody reads any more: nothing is deferred. */
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    _Atomic uint64_t version;                   /* What packets that begin now see (vswitch/classifier.h). */
    struct dp_stage *stage;                     /* Control: a bundle at work (dp_bundle.c), else NULL. */
    struct classifier tables[OF_N_TABLES];
    struct counter_space counters;
    struct cache_control *cache;
    _Atomic(struct cache_plan *) plan;          /* Never NULL. */
    struct conjunctions conjunctions[OF_N_TABLES];
    struct hmap group_slots;
    struct list watched;                        /* Group slots that some bucket watches. */
    _Atomic uint32_t ports[DP_MAX_PORTS];
    _Atomic(struct port_list *) port_list;
    _Atomic bool standalone;
    _Atomic bool misses;                        /* dp_set_misses() */
    _Atomic bool drop_fragments;                /* dp_set_drop_fragments() */
    struct station_set *stations;               /* dp_learn.c; DP_STATION_SETS, written by every thread. */
    uint64_t (*drop_base)[DROP_N_REASONS];      /* Control: per port, what was cleared. */
    struct dp_thread *threads[];
};

/* The grace period: dp_ops.defer, or at once when the datapath is being freed.  `dp` is passed as void * so that a classifier can call it. */
void dp_defer(void (*fn)(void *), void *arg, void *dp);
struct minimatch *minimatch_clone(const struct minimatch *);    /* free() */

/* --- Bundles (dp_bundle.c) [control] --- */
/* The version that new rules and groups are to have: the one that the bundle at work will publish, else 0. */
uint64_t dp_stage_version(const struct dp *);
/* While a bundle is at work: notes what was done, so that it can be completed or undone. */
void dp_stage_insert(struct dp *, struct flow_entry *);
void dp_stage_remove(struct dp *, struct flow_entry *, int reason);
/* Puts `g` (NULL: a marker that the group is gone) over the slot's current group. */
void dp_stage_group(struct dp *, struct group_slot *, struct dp_group *g);
/* dp.c, dp_group.c: for dp_bundle.c. */
void dp_rule_begins(struct dp *, struct dp_rule *);     /* It is in its table, and from now on seen: the cache is told. */
void dp_rule_ends(struct dp *, struct dp_rule *);       /* It is not seen any more: before it is retired. */
void dp_rule_unlink(struct dp *, struct dp_rule *);     /* Out of its table's classifier or conjunctions. */
void dp_rule_retire(struct dp *, struct dp_rule *);     /* Unlinked before. */
void dp_group_retire(struct dp *, struct dp_group *);

void dp_groups_refresh_liveness(struct dp *);      /* After a port or a group has changed. */
extern const struct flow_table_ops dp_flow_ops;
extern const struct group_ops dp_group_ops;

/* [any] The rule that counts with a number, while it is in force; NULL. */
static inline const struct dp_rule *dp_rule_of_counter(const struct dp *dp, uint32_t id)
{
    const struct counter_owners *owners = atomic_load_explicit(&dp->counters.owners[id >> COUNTER_CHUNK_BITS], memory_order_acquire);
    return atomic_load_explicit(&owners->rule[id & (COUNTER_CHUNK - 1)], memory_order_acquire);
}

static inline uint32_t dp_port_state(const struct dp *dp, uint32_t port_no)
{
    return port_no < DP_MAX_PORTS ? atomic_load_explicit(&dp->ports[port_no], memory_order_relaxed) : 0;
}

/* dp_receive.c [any]: why a packet that came from a port in that state is not even looked at; DROP_N_REASONS: it is. */
enum drop_reason dp_refuses(const struct dp *, struct packet *, uint32_t port_state);
/* dp_learn.c [control]: a table that knows nobody; free(). */
struct station_set *dp_stations_new(void);
/* [any] Notes where eth_src lives; */
void dp_learn(struct dp *, struct mac src, uint32_t in_port, uint64_t now_ns);
/* says where eth_dst does: a port, or OFPP_FLOOD. */
uint32_t dp_station(const struct dp *, struct mac dst, uint64_t now_ns);
/*
 * Section 7.2.1: ALL is every standard port but the ingress port and those configured not to forward.  FLOOD and NORMAL leave out those that 1.0's NO_FLOOD names, too
 * (section 5.2.1 there: `excluded` is OFPPC10_NO_FLOOD); no port is ever blocked here.  The next port from place *at of the list on, 0: no more.
 */
uint32_t dp_flood_next(const struct dp *, const struct port_list *, unsigned *at, uint32_t ingress, uint32_t excluded);

#endif
