/*
 * The datapath core: packets in, pipeline, packets out.  No DPDK in here.
 *
 * The core sees a packet through `struct packet`, a thin view (data pointer, length, room) that the device layer keeps
 * in the mbuf's private area, and reaches the outside only through `struct dp_ops` (output, copy, free, packet-in). So
 * the whole pipeline is tested without ports, and the control thread runs packet-outs and traces through the very code
 * that the poll-mode threads run.
 *
 * Threads. One control thread writes (every function marked [control]); any number of poll-mode threads read (marked
 * [poll]), each with a `struct dp_thread` of its own. Published objects (rules, action programs, groups, ports, tables)
 * are immutable but for counters, which are per thread, so that no counter is shared or atomic. Retired objects go to
 * dp_ops.defer(), which frees them after every poll-mode thread has passed a quiescent state (rte_rcu_qsbr in the
 * device layer; immediate in tests).
 *
 * Pipeline: OpenFlow 1.3.5 section 5: table 0, instructions, action set at the end. Table-miss without a miss entry
 * drops (reason no-match), section 5.4.
 */
#ifndef VSWITCH_DP_H
#define VSWITCH_DP_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/buf.h"
#include "lib/util.h"
#include "ofproto/flow_table.h"
#include "ofproto/meter_table.h"
#include "ofproto/polder.h"

struct dp;
struct dp_thread;
struct perf;

#define DP_MAX_THREADS 17       /* Thread 0 is the control thread's. */
#define DP_MAX_PORTS 4096       /* Port numbers handed out are 1..DP_MAX_PORTS-1; an array serves as the map. */
#define DP_MAX_METERS 65536
#define DP_BATCH 64
#define DP_MAX_DEPTH 64         /* Nested resubmits, groups and clones. */
#define DP_MAX_RESUBMITS 4096   /* Per packet in all. */

/* One packet. `data` may move down (push) or up (pop) within the buffer; the device layer puts it back into its mbuf. */
struct packet {
    uint8_t *data;
    uint32_t len;
    uint32_t headroom, tailroom;        /* Bytes free before and behind. */
    uint32_t in_port;
    uint32_t queue;                     /* Of the port that it is output to: set_queue's, else 0. */
    uint16_t l3_ofs, l4_ofs;            /* From data; 0 when there is none. Set by packet_extract(). */
    uint16_t l2_len;                    /* Ethernet header with VLAN tags (offset of the innermost ethertype's payload). */
};

/* What the action that makes a packet-in says of it (Nicira's controller action; an output to the controller sets max_len only).  Userdata is valid for the call. */
#define DP_MAX_USERDATA 256
struct dp_controller { uint16_t max_len, id, userdata_size; const uint8_t *userdata; };

/* Device layer's side. `thread` is who calls. */
struct dp_ops {
    /* Takes the packet. Counting tx (and its drops: port-down, tx-full, too-long) is the device layer's, with dp_thread_drop(). */
    void (*output)(struct dp_thread *, struct packet *, uint32_t port_no, void *aux);
    /* [poll] The same for n packets that leave by one port, in this order; at most DP_BATCH. */
    void (*output_batch)(struct dp_thread *, struct packet **, unsigned n, uint32_t port_no, void *aux);
    struct packet *(*copy)(struct dp_thread *, const struct packet *, void *aux);     /* NULL: no memory (the core counts the drop). */
    void (*free)(struct dp_thread *, struct packet *, void *aux);
    /* Does not take the packet. False: queue full (the core counts packet-in-limit). cookie, table, reason as OpenFlow has them; `flow` carries the pipeline fields. */
    bool (*packet_in)(struct dp_thread *, const struct packet *, const struct flow *, uint64_t cookie, uint8_t table, uint8_t reason, const struct dp_controller *,
                      void *aux);
    /* [control] Calls fn(arg) when no poll-mode thread can still hold a reference. */
    void (*defer)(void (*fn)(void *), void *arg, void *aux);
    /* [control] An entry with OFPFF_SEND_FLOW_REM left; counters are still valid. */
    void (*flow_removed)(struct flow_entry *, uint8_t reason, void *aux);
};

/* --- Life [control] --- */
struct dp *dp_new(unsigned n_threads, unsigned max_flows, unsigned max_groups, struct clock, const struct dp_ops *, void *aux);
void dp_free(struct dp *);                              /* No poll-mode thread may run any more. */
struct flow_tables *dp_flows(struct dp *);              /* Changes through these take effect for the next batch. */
struct group_table *dp_groups(struct dp *);
struct meter_table *dp_meters(struct dp *);             /* At most DP_MAX_METERS, unless meter_table_limit() says otherwise. */
void dp_table_stats(struct dp *, uint8_t table, struct of_table_stats *);
bool dp_group_stats(struct dp *, const struct group *, struct of_group_stats *);
struct dp_thread *dp_thread(struct dp *, unsigned i);   /* i < n_threads; storage belongs to dp. */
unsigned dp_thread_index(const struct dp_thread *);
struct perf *dp_thread_perf(struct dp_thread *);        /* vswitch/perf.h */
void *dp_thread_aux(const struct dp_thread *);          /* For the device layer: set once before the thread runs. */
void dp_thread_set_aux(struct dp_thread *, void *);

/* Ports as the pipeline knows them: number, OFPPC_* config, liveness (fast failover, FLOOD). Replaces what was known. [control] */
void dp_port_set(struct dp *, uint32_t port_no, uint32_t config, bool live);
void dp_port_remove(struct dp *, uint32_t port_no);
/*
 * Bundles [control]: between begin and commit or abort, changes through dp_flows() and dp_groups() are prepared and seen by no
 * packet.  Commit makes them all visible in one step: a packet's whole trip is before it or behind it.  Abort takes them back; the
 * tables have a begin, commit and abort of their own (ofproto/flow_table.h), and are told after the datapath.
 */
void dp_bundle_begin(struct dp *);
void dp_bundle_commit(struct dp *);
void dp_bundle_abort(struct dp *);
/* Fail-standalone: while true, packets that miss in table 0 with no entries at all are bridged by a learning table (section 6.3.3). [control] */
void dp_set_standalone(struct dp *, bool);
/* While true, fragments that come from ports are dropped before any table sees them (section 7.3.2: OFPC_FRAG_DROP). [control] */
void dp_set_drop_fragments(struct dp *, bool);
/* While true, packets that match no entry are packet-ins of reason OFPR_IMPLICIT_MISS, as OpenFlow 1.0 has it. [control] */
void dp_set_misses(struct dp *, bool);

/*
 * The flow cache (vswitch/cache.h) [control]: room for so many flows per poll-mode thread, 0: none, as at first.  Before threads run.
 * `check`: each packet that the cache knows takes the walk, too, on a copy, and both are compared (dp_cache_stats.mismatches).
 */
void dp_set_cache(struct dp *, size_t n_flows, bool check);
/* What is due now and then, a few times a second: caches that are full grow, masks shrink after rules have left. [control] */
void dp_tick(struct dp *);
struct dp_cache_stats {
    uint64_t hits, guided;              /* Packets that the cache knew, and those of them whose actions ran live. */
    uint64_t misses, uncached;          /* That walked, and those of them whose walk depends on more than can be cached. */
    uint64_t inserts, evictions;        /* Entries made; of use when they had to make room. */
    uint64_t stale;                     /* Entries that a change of rules made worthless. */
    uint64_t resets, mismatches;
    uint64_t n_flows, bytes;            /* Room now. */
    unsigned key_words, stride;         /* Of the key, in eight bytes; bytes of an entry. */
    unsigned lanes;                     /* Parts of the key, of 16 bits, that have classes. */
};
void dp_cache_stats(struct dp *, unsigned thread, struct dp_cache_stats *);     /* [control] */

/* --- Work --- */
/* [poll] Runs up to DP_BATCH packets received on one port through the pipeline; takes them all. now_ns: the batch's time. */
void dp_receive(struct dp_thread *, struct packet **, unsigned n, uint32_t in_port, uint64_t now_ns);
/* [control, thread 0] Packet-out: executes the action list (output:TABLE runs the pipeline). Takes the packet. */
void dp_execute(struct dp_thread *, struct packet *, uint32_t in_port, const struct actions *, uint64_t now_ns);
/* Counts a drop on the port where the packet came from (0: unknown). */
void dp_thread_drop(struct dp_thread *, uint32_t in_port, enum drop_reason);
/* [control] Sum over threads; port 0: of all ports. */
uint64_t dp_drops(const struct dp *, uint32_t port_no, enum drop_reason);
/* [control] Clears a removed port's drop counters. */
void dp_drops_clear(struct dp *, uint32_t port_no);

/* --- Looking in [control] --- */
/* What would happen to this packet now: nothing is sent, no counter moves. The steps as JSON:
 * {"input":"…flow text…","steps":[{"depth","table","conj_id" (of the conjunction that led there),"match":"priority=…,…" |
 * "miss","cookie","actions"}|{"depth","group","bucket"}|{"depth","output" (and "queue")|"drop"|"controller"|…, "flow": text when
 * changed}…],
 *  "verdict":{"outputs":[{"port":N,"packet":"hex"}],"drops":[{"reason":"anti-spoof","text":"…"}],"controller":N},"final_flow":"…"} */
struct cJSON *dp_trace(struct dp *, const struct packet *, uint32_t in_port);

/* --- packet.c: parse and build; pure --- */
/* Fills every packet-derived field of `flow` (pipeline fields are left alone) and the packet's offsets.  Bounds are checked at every header; what is cut off is left zero. */
void packet_extract(struct packet *, struct flow *);
/* A minimal well-formed frame for a flow key (trace FLOW): inverse of packet_extract() for what the key says. Appends to buf. */
void packet_compose(const struct flow *, struct buf *, unsigned payload_size);

#endif
