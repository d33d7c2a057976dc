/*
 * Running one packet through the pipeline.
 *
 * `struct exec` is one packet's trip: the packet, its key, the action set, and what happened so far. It lives on the
 * caller's stack. The same code serves the poll path, packet-outs and traces; they differ in `ops` (who takes outputs)
 * and `observe` (NULL on the poll path; a trace counts nothing and watches).
 *
 * Copies. An output, a clone or a bucket copies the packet unless nothing can follow it; then it takes the packet
 * itself. "Nothing follows" is known exactly: the op is the last of its list, that list's entry neither writes actions
 * nor goes on to a table, so on outwards, and the action set is empty at that moment.
 *
 * State. resubmit keeps every change to packet and key; clone and group buckets work on a copy and restore the packet,
 * registers and the action set behind them, as Open vSwitch documents. The action set runs once, at the end; a clone's
 * copy of it at the clone's end, with what was written there (Open vSwitch does so, and says nothing of it).
 *
 * Ends. Each op says whether this copy of the packet goes on. A drop action, an expired TTL, a table miss (section 5.4)
 * and too deep a nesting end it, up to the enclosing clone, bucket or packet; the action set of what ended is not run.
 * A packet that got nowhere counts one drop, by the most telling reason noted on its way: a drop action's, then what
 * went wrong, then a miss, then nothing at all.
 *
 * Specification: OpenFlow 1.3.5 sections 5.1 to 5.10, 5.12, 6.7 and 7.2.5.
 */
#ifndef VSWITCH_EXEC_H
#define VSWITCH_EXEC_H 1

#include "vswitch/dp_private.h"
#include "vswitch/exec_record.h"

#define ACTION_SET_MAX 96       /* Set-fields, loads, moves and extensions in one action set; a packet with more notes bad-action for each one left out. */

struct action_set {
    uint32_t used;              /* Bit per set_slot with an op in `single`. */
    uint16_t n;
    const struct op *single[N_SET_SLOTS];
    const struct op *list[ACTION_SET_MAX];      /* SLOT_SETS and SLOT_OTHERS as they came. */
};

enum exec_event_type { EVENT_TABLE, EVENT_BUCKET, EVENT_OUTPUT, EVENT_CONTROLLER, EVENT_NOTE, EVENT_DROP, EVENT_CLONE, EVENT_ACTION_SET, EVENT_LEARNED };
struct exec_event {
    enum exec_event_type type;
    uint8_t table;                      /* TABLE */
    const struct dp_rule *rule;         /* TABLE; NULL: a miss */
    uint32_t conj_id;                   /* TABLE: of the conjunction that led to the rule, or 0 */
    uint32_t group, bucket, port;
    uint32_t queue;                     /* OUTPUT */
    uint8_t reason;                     /* CONTROLLER: OFPR_*; NOTE, DROP: enum drop_reason */
};

struct exec {
    struct dp *dp;
    struct dp_thread *thread;
    const struct dp_ops *ops;
    void *aux;
    void (*observe)(struct exec *, const struct exec_event *);  /* NULL on the poll path. */
    void *observe_aux;
    struct recorder *rec;               /* Listens, if not NULL (exec_record.h). */
    struct guide *guide;                /* The rules of the lookups to come; NULL: look up. */
    uint64_t now_ns;
    uint64_t version;                   /* Of rules and groups; the whole trip has one (vswitch/classifier.h). */
    struct packet *packet;              /* NULL once an output has taken it. */
    union flow_words flow;
    struct action_set set;
    uint32_t len;                       /* Of the packet as it came, which is what entries and groups count, whatever has been pushed since (as Open vSwitch does). */
    uint32_t in_port;                   /* Where the frame came from, for drop counters; the key's may have been loaded over. */
    uint64_t cookie;                    /* Of the entry at work, for packet-ins; all ones in a packet-out. */
    uint8_t table;
    bool packet_out;
    uint8_t origin;                     /* What a packet-in of an output to the controller is, OFPR_* (1.4 section 7.4.1). */
    uint16_t depth;
    uint32_t n_nested;                  /* Resubmits, clones and buckets so far. */
    uint32_t n_sent;                    /* Outputs and packet-ins. */
    bool counted;                       /* A drop has been counted already (no-memory, packet-in-limit). */
    uint8_t reason, rank;               /* The most telling reason so far. */
};

/* The trip's start: pipeline fields set, nothing parsed yet. `packet` has at least an Ethernet header. */
void exec_init(struct exec *, struct dp_thread *, struct packet *, uint32_t in_port, uint64_t now_ns);
/* Parses, runs the whole pipeline, takes the packet. */
void exec_run(struct exec *);
/* Parses, runs an action list in order (packet-out), takes the packet. */
void exec_list(struct exec *, const struct program *);

/* --- Between the executor's files --- */
enum { RANK_NOTHING, RANK_NO_MATCH, RANK_WENT_WRONG, RANK_DROP_ACTION };
void exec_note(struct exec *, enum drop_reason, unsigned rank);
void exec_count_drop(struct exec *, enum drop_reason);
static inline void exec_event(struct exec *e, const struct exec_event *event)
{
    if (__builtin_expect(e->observe != NULL, 0)) {
        e->observe(e, event);
    }
}
/* What happens now may be different for other packets of the same key. */
static inline void exec_diverged(struct exec *e)
{
    e->guide = NULL;
    if (e->rec) {
        e->rec->cacheable = false;
    }
}
/* No plain step says what happens now. */
static inline void exec_not_plain(struct exec *e)
{
    if (e->rec) {
        e->rec->plain = false;
    }
}
/* Section 7.4.1: the cookie is all ones when none "can be associated with a particular flow. For example, if the
 * packet-in was generated in a group bucket or from the action set". */
static inline void exec_no_entry(struct exec *e, uint8_t origin)
{
    e->cookie = UINT64_MAX;
    e->origin = origin;
}
/* Runs ops on the packet; `tail`: nothing follows. False: this copy has ended. */
bool exec_ops(struct exec *, const struct op *, unsigned n, bool tail);
bool exec_op(struct exec *, const struct op *, bool tail);
/* The packet itself when nothing follows, else a copy; NULL (counted): no memory. */
struct packet *exec_take_or_copy(struct exec *, bool tail);
/* What a clone, a bucket or a packet-out's trip through the tables does on a packet and state of its own.  False: not entered (noted), do not leave. */
struct exec_scope { bool inner; struct packet *outer; union flow_words flow; struct action_set set; };
bool exec_scope_enter(struct exec *, struct exec_scope *, bool tail);
void exec_scope_leave(struct exec *, const struct exec_scope *);
void exec_scoped(struct exec *, const struct op *, unsigned n, bool tail);
/* From that table on, goto by goto; the first lookup sees `as_port` as in_port. */
bool exec_tables(struct exec *, uint8_t table, uint32_t as_port, bool resubmitted, bool tail);
bool exec_pipeline(struct exec *, bool tail);
/* exec_output.c */
void exec_output(struct exec *, uint32_t port, uint16_t max_len, bool tail);
void exec_packet_in(struct exec *, uint8_t reason, const struct dp_controller *);
/* exec_group.c */
void exec_group(struct exec *, struct group_slot *, bool tail);
bool exec_bucket_usable(const struct dp *, const struct dp_group *, const struct dp_bucket *);
/* exec_set.c */
static inline bool action_set_empty(const struct action_set *s) { return !s->used && !s->n; }
static inline void action_set_clear(struct action_set *s) { s->used = 0; s->n = 0; }
void action_set_copy(struct action_set *dst, const struct action_set *src);
void exec_set_write(struct exec *, const struct op *, unsigned n);
void exec_set_clear(struct exec *);
bool exec_set_run(struct exec *, bool tail);

#endif
