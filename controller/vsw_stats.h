/*
 * Counters of virtual switches: they live on the edges; here they come home.
 *
 * A tenant's entry is one rule on each edge where it can match, so its counters are sums over edges. A collection asks
 * every connected edge of a virtual switch for the counters of its rules (told by the cookie's upper half), adds what
 * grew since the last reading, and then calls who waited: what a tenant reads was asked of the switches after the
 * tenant asked. Requests that come while one is under way wait for the next one together. An edge that does not answer
 * within COLLECT_TIMEOUT_NS is read as it was last.
 *
 * Reading many counters takes milliseconds, in the loop and on the connection that an edge has for all tenants. So a tenant's collections are paid for at
 * 1/COLLECT_SHARE of the time: one begins at once as long as no more than COLLECT_AHEAD_NS are owed, and else waits, together with whatever is asked
 * meanwhile, COLLECT_WAIT_NS at most. Whoever asks now and then does not notice; who asks without end is not answered without end.
 *
 * What is added is what grew since the last reading (counter_sum.h). A rule that leaves a switch sends its last counters by itself
 * (OFPFF_SEND_FLOW_REM on every physical rule that counts for a tenant, whether it asked to hear of it or not: that costs a
 * message for each delete, and nothing for adds and modifies): until every edge has told, or DEPART_TIMEOUT_NS (departures.h) is over,
 * the entry is departing. What it counted meanwhile is added to its table's counters as it comes, and when all is told
 * the tenant hears of the entry, if it asked for that, once and with the true sum.
 *
 * What a tenant resets (OFPFF_RESET_COUNTS) is reset here only, and no switch resets a rule's counters, so that its table's counters miss nothing: the next collection
 * says how much had been counted until then (counter_sum.h). It is begun in the same turn, and barriers that come behind the reset wait for it.
 *
 * Idle and hard timeouts are decided here, as physical rules carry none: an entry is in use as long as its sum grows on
 * any edge. While a virtual switch has entries with an idle timeout it is read ten times in the shortest of them, but
 * not more often than every IDLE_POLL_MIN_NS; an entry lives at most that much longer than it should.
 *
 * Loop thread only.
 */
#ifndef CONTROLLER_VSW_STATS_H
#define CONTROLLER_VSW_STATS_H 1

#include "controller/counter_sum.h"
#include "ofproto/flow_table.h"

#define COLLECT_TIMEOUT_NS UINT64_C(800000000)      /* With what the timer may be late: nothing is a second old when it is answered. */
#define COLLECT_SHARE 200
#define COLLECT_AHEAD_NS UINT64_C(250000000)
#define COLLECT_WAIT_NS UINT64_C(1000000000)
#define IDLE_POLL_MIN_NS UINT64_C(500000000)

struct edge;
struct fabric;
struct sw;
struct vsw;
struct vsw_stats;

enum vsw_stats_kind { VSW_STATS_FLOWS = 1, VSW_STATS_GROUPS = 2, VSW_STATS_METERS = 4, VSW_STATS_PORTS = 8 };

/* The virtual switch's side. `edge` is an edge's index, `now_ns` when the answer came. */
struct vsw_stats_ops {
    /* Which groups, meters or ports of the edge's switch to ask for; malloc'd, NULL when n is 0. */
    uint32_t *(*ids)(struct vsw *, const struct edge *, enum vsw_stats_kind, unsigned *n);
    /* Where the rules with this number count (the lower half of their cookie); NULL: nothing has it. */
    struct counter_sum *(*flow)(struct vsw *, uint32_t number);
    void (*group)(struct vsw *, uint16_t edge, const struct of_group_stats *, uint64_t now_ns);
    void (*meter)(struct vsw *, uint16_t edge, const struct of_meter_stats *, uint64_t now_ns);
    void (*port)(struct vsw *, uint16_t edge, const struct of_port_stats *, uint64_t now_ns);
    /* An entry of this table that is departing has counted so many packets more than its sum had. */
    void (*late)(struct vsw *, uint8_t table, uint64_t packets);
    /* An entry that departed has left everywhere: the message for the tenant, with the true counters. */
    void (*gone)(struct vsw *, const struct of_flow_removed *);
};

struct vsw_stats *vsw_stats_new(struct fabric *, const struct vsw_stats_ops *);
void vsw_stats_free(struct vsw_stats *);

/* Reads counters of these kinds (bits) and calls done(token), from the loop or at once when there is nobody to ask. */
void vsw_stats_refresh(struct vsw_stats *, struct vsw *, unsigned kinds, void (*done)(void *token), void *token);
/* Reads one port of the (connected) edge now; what it says comes by ops->port, collection or not. */
void vsw_stats_ask_port(struct vsw_stats *, struct vsw *, const struct edge *, struct sw *, uint32_t port_no);
/* The number of the next collection of flows to begin. */
uint64_t vsw_stats_next(struct vsw_stats *, struct vsw *);
/* Calls done(token) behind all that was to be read by now; at once if nothing was. Asks for nothing. */
void vsw_stats_after(struct vsw_stats *, struct vsw *, void (*done)(void *token), void *token);
/* From substrate_ops.reply: true if it was asked here. */
bool vsw_stats_reply(struct vsw_stats *, struct sw *, const struct of_msg *);
void vsw_stats_sw_down(struct vsw_stats *, struct sw *);        /* It will not answer. */

/*
 * An entry leaves the virtual switch: its rules are being withdrawn from n_edges connected switches, which will tell their
 * counters. With a reason (OFPRR_*; -1: nobody asked for it) the virtual switch's owner hears of it by `gone` when all
 * have told, at once if n_edges is 0. Takes over what the sum holds and leaves it empty.
 */
void vsw_stats_depart(struct vsw_stats *, struct vsw *, const struct flow_entry *, uint32_t number, struct counter_sum *,
                      int reason, unsigned n_edges);
/* From a switch: the rule of a virtual entry is gone from it. */
void vsw_stats_flow_removed(struct vsw_stats *, struct sw *, const struct of_flow_removed *);
/* The virtual switch got an entry with a timeout: expires it when it is due. */
void vsw_stats_timeouts(struct vsw_stats *, struct vsw *, const struct flow_entry *);
void vsw_stats_tick(struct vsw_stats *);        /* What the timer does; tests call it with their own clock. */
/* Before it is freed: departing entries go unheard, waiters are called. */
void vsw_stats_vsw_gone(struct vsw_stats *, struct vsw *);
void vsw_stats_metrics(const struct vsw_stats *, struct buf *);

#endif
