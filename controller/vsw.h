/*
 * A virtual switch: a complete OpenFlow model that is in no place, until it is compiled.
 *
 * Flow tables, groups and meters are the same ofproto/ ones that vswitchd uses. Two kinds of programmers go through the
 * same calls: the VPC application (vpc.c) states all entries of a network in passes, which are compiled in a pass; a
 * tenant's controller (vsw_agent.c) changes one entry at a time, and each change is compiled at once, as an edit of the
 * rulesets of the edges where the entry can match. What cannot be carried is refused with an OpenFlow error, so nothing
 * is ever silently left out.
 *
 * Changes that are under way. A tenant's message that changed something is remembered (vsw_changes.c) until every edge
 * that it touched has confirmed. When an edge refuses a rule meanwhile, the change is undone, and the error goes to the
 * connection that the message came from, with its xid and bytes.
 *
 * Numbers. An entry has a number that is the lower half of its physical cookies (COOKIE()); a group or meter has a
 * physical id, the same on all edges, from the fabric's pools. All are found by these in O(1), as they come home in
 * errors, packet-ins and statistics. Loop thread only.
 */
#ifndef CONTROLLER_VSW_H
#define CONTROLLER_VSW_H 1

#include "controller/budget.h"
#include "controller/counter_sum.h"
#include "controller/edge_tables.h"
#include "controller/port_sum.h"
#include "lib/hmap.h"
#include "ofproto/flow_table.h"
#include "ofproto/meter_table.h"
#include "ofproto/of_share.h"
#include "tenants/model.h"

struct controller;
struct fabric;
struct of_agent;

/* An interned address pair: (edge, id) stands for (eth_src, eth_dst) on the fabric. */
enum pair_state {
    PAIR_SPREADING,             /* Receivers are getting it; frames wait. */
    PAIR_ACTIVE,                /* The sender uses it. */
    PAIR_DRAINING,              /* The sender has stopped; receivers keep it for a grace period. */
};
struct pair {
    struct list node;           /* In vsw.pairs. */
    struct hmap_node by_addresses, by_id;
    struct pair_holder *holder; /* The port whose frames made it. */
    struct list by_use;         /* In holder.used, while active. */
    bool unanswered;            /* Nobody had sent to its source when it got the id. */
    uint16_t edge;              /* Index of the sending edge. */
    uint32_t id;
    struct mac src, dst;
    enum pair_state state;
    uint64_t used_ns, packets;  /* As last read from the sender. */
    uint64_t reading;           /* Sum so far of the latest reading, */
    bool was_read;              /* if the sender has told any of it. */
    bool idle;                  /* It did not grow. */
    uint64_t drain_ns;
};
/* intern_quota.c: a port that has ids. n by enum pair_kind; used: the active ones, least recently used first. */
struct pair_holder { struct list node; uint32_t in_port; unsigned n[2]; struct list used; };

/* What an unconfirmed change took the place of. */
struct former {
    struct list node;           /* In vsw.formers, oldest first. */
    uint64_t change;
    struct vflow *vflow;        /* NULL: it has left since. */
    bool replaced;              /* By an add: cookie, flags and timeouts count, too. */
    uint64_t cookie;
    uint16_t flags, idle_timeout, hard_timeout, importance;
    struct instructions instructions;
};

struct vflow {                  /* flow_entry.aux */
    struct hmap_node node;      /* In vsw.numbers. */
    struct flow_entry *entry;
    uint32_t number;            /* Cookie of its physical entries: COOKIE(network, number). */
    bool kept;                  /* By the VPC application's current pass. */
    bool took_over;             /* It goes on with the counters of the entry that it replaced. */
    uint32_t cost;              /* Edges that have a rule for it. */
    uint32_t where;             /* room.h */
    uint64_t change;            /* The latest of vsw.changes that touched it; 0: none. */
    struct former *former;
    struct counter_sum sum;     /* vsw_stats.h */
};

struct vgroup {                 /* group.aux */
    struct hmap_node node;      /* In vsw.group_ids. */
    struct group *group;
    uint32_t physical;
    struct counter_sum sum, *buckets;           /* vsw_counters.c; one for each of the group's buckets, NULL: none read yet. */
    unsigned n_buckets;
    uint64_t change;            /* The latest of vsw.changes that touched it; 0: none. */
    struct group_content { uint8_t type; struct of_bucket *buckets; unsigned n; } now, former;  /* former.buckets NULL: there was none before `change`. */
};

struct vmeter {                 /* meter.aux */
    struct hmap_node node;      /* In vsw.meter_ids. */
    struct meter *meter;
    uint32_t physical;
    struct counter_sum sum, *bands;             /* As a group's. */
    unsigned n_bands;
    uint64_t change;
};

/* Rules of a link that count, by the port that sends: what leaves for the other end's edge (deliver_remote() has three kinds), what crosses inside of the edge,
 * and what has come to the other end's edge. */
enum link_rule { LINK_LEAVES, LINK_CROSSES = 3, LINK_LANDS, LINK_RULES };

/* A port as the tenant sees it, beside what the model says. */
struct vport {
    struct hmap_node node;      /* In vsw.ports, by number. */
    uint32_t number;
    struct port *port;          /* The model's, until its next commit that touches the network. */
    uint32_t config;            /* OFPPC_*, as the tenant's port-mods left it. */
    struct of_port told;        /* What controllers know of it. */
    uint64_t since_ns;
    struct port_sum sum;        /* vsw_counters.c: of devices. */
    struct counter_sum link[LINK_RULES];        /* Of a link's end. */
    bool seen;                  /* In the review under way. */
};

/* A tenant's message whose effect is not confirmed. */
struct change { uint64_t conn; uint16_t size; uint8_t raw[64]; };

/* room.c: what a tenant has on an edge; what a virtual switch has there; what there is on an edge (`used` by all; `taken` counts while the generation is fabric's). */
struct room_share { uint32_t used, n_switches; };
struct room_edge { uint32_t index, used; };
struct room { uint64_t used, taken, generation; };

/* Physical cost and objects of a tenant, over its virtual switches, and what it asks of controllerd (limits.h). */
struct usage {
    struct hmap_node node;
    char tenant[33];
    unsigned n_refs;
    uint64_t entries;
    unsigned groups, meters;
    uint32_t guaranteed;        /* Entries on each edge where it has a virtual switch. */
    struct room_share *shares; unsigned n_shares;       /* By the edge's index. */
    struct of_share_group group;
    struct budget changes, packet_ins, connections;
    uint64_t collections_paid_ns;       /* When the time that reading its counters took is paid for (vsw_stats.h). */
    uint64_t n_changes, n_packet_ins, n_packet_ins_dropped, n_connections_refused, n_certificates_refused, held_ns, compile_ns;
};

struct vsw {
    struct hmap_node node;      /* By id. */
    struct list work;           /* In fabric.work_list while something is to be done. */
    uint32_t id;                /* Network id. */
    struct controller *controller;
    struct fabric *fabric;
    struct network *network;
    bool is_slice;
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct hmap numbers, group_ids, meter_ids, ports;
    unsigned n_write_goto;      /* Entries that write actions and go on: the action set is not known when they are compiled. */
    unsigned n_ff_groups;
    uint32_t packet_in_meter;   /* Physical id, on each of its edges; 0: none was left. */
    uint32_t next_number, first_number;         /* The latest, and what it was when this life of ours began. */
    bool numbers_again;         /* They began anew: one may be in use. */
    /* By table: entries, those of priority 0, those that go there, whether a rule counts what no entry matches, and what entries had matched that are gone. */
    uint32_t n_entries[VIRT_N_TABLES], n_lowest[VIRT_N_TABLES], n_gotos[VIRT_N_TABLES];
    bool counts_unmatched[VIRT_N_TABLES];
    uint64_t gone_matched[VIRT_N_TABLES];
    struct counter_sum *unmatched;              /* VIRT_N_TABLES, or NULL: vsw_counters.c. */
    uint64_t hold_end_ns, hold_quiet_ns;        /* vsw_hold.h; 0: not held; no controller is connected. */
    bool misses;                /* A controller of OpenFlow 1.0 is there: what matches nothing goes to it. */
    bool dirty;                 /* Transport to be compiled, on all its edges. */
    bool entries_dirty;         /* Entries, groups and meters, too. */
    bool devices_dirty;         /* Transport to be compiled on the edges of fabric.devices. */
    bool ports_dirty;           /* What the tenant sees of its ports may have changed. */
    struct list pairs, pair_holders;
    struct hmap pair_addresses, pair_ids;       /* Of them: by (eth_src, eth_dst); by (edge, id). */
    unsigned n_pairs[2], n_draining[2];         /* By enum pair_kind. */
    uint64_t pairs_asked_ns;    /* When the senders were last asked what they use; 0: never. */
    struct relay *relay;        /* relay.c; NULL: no frame of a new pair has come for long. */
    uint64_t *port_keys; unsigned n_port_keys;  /* Addresses of its ports and their edges, in order: intern.c. */
    uint32_t next_pair;         /* Where the search for a free pair id starts. */
    uint64_t *edges;            /* Datapath ids that hold rules of it. */
    unsigned n_edges;
    /* Of slices. */
    struct of_agent *agent;     /* slice.c; NULL: no controller is wanted. */
    char *agent_targets, *agent_identity;       /* What it was made from. */
    char agent_error[200];      /* Why there is none. */
    struct usage *usage;
    struct of_share share;
    struct budget changes_budget;
    struct { struct list node; uint64_t until_ns, since_ns; } hold;     /* limits.c, while share.held. */
    bool has_foreign_edge;      /* One that is no vswitchd, as far as is known: compile_entry.c has what that changes. As of when entries were last compiled. */
    bool unmetered;             /* An edge has refused one of controllerd's own: packet-ins are limited by the edge's agent and here only. */
    uint64_t cost;              /* Sum over its entries. */
    struct room_edge *room_edges; unsigned n_room_edges;
    bool undoing;               /* A change is being taken back: nothing is told, counted against quotas or remembered. */
    struct change *changes;     /* A ring: change n at n % size. Of numbers [first_change, next_change). */
    unsigned changes_size;
    uint64_t first_change, next_change;
    uint64_t current;           /* The change that is being carried out; 0: none. */
    struct list formers;
    struct list waits;          /* struct vsw_wait, vsw_changes.c */
    struct list barriers;       /* struct barrier_token: asked for in this turn. */
    bool resets;                /* Counters were reset in this turn: */
    unsigned n_reading_resets;  /* collections that say of what was counted before. */
    bool confirming;            /* One of the waits covers changes. */
};

/* The virtual port number of a port. */
static inline uint32_t vsw_port_no(const struct port *port) { return port->number; }

struct vsw *vsw_new(struct fabric *, struct network *);
void vsw_free(struct vsw *);
/* OpenFlow semantics in full; the errors are those a tenant's controller would see. */
struct of_error vsw_flow_mod(struct vsw *, const struct of_flow_mod *);
void vsw_review_cost(struct vsw *, struct flow_entry *);         /* After its ports or edges changed, and room_vsw_update(). */
bool vsw_has_edge(const struct vsw *, const struct edge *);
struct vflow *vsw_find_number(const struct vsw *, uint32_t number);
/* Whether a rule of this virtual port number's in_port belongs on the edge: the port is there, or is no port of an edge at all (CONTROLLER). */
bool vsw_in_port_on(const struct vsw *, uint32_t number, const struct edge *);
/* Whether a tenant may set the field, or match it. */
bool vsw_has_field(const struct field *, bool to_set);
/* Whether the actions can be carried; packet_out: OFPP_TABLE, too. */
struct of_error vsw_check_actions(const struct vsw *, const struct actions *, bool packet_out);

/* vsw_groups.c: the tables of groups and meters, of slices only. */
void vsw_groups_init(struct vsw *);
void vsw_groups_fini(struct vsw *);
/* Physical ids; 0: the tenant has no such group or meter. */
uint32_t vsw_physical_group(const struct vsw *, uint32_t id);
uint32_t vsw_physical_meter(const struct vsw *, uint32_t id);
struct vgroup *vsw_find_group(const struct vsw *, uint32_t physical);
struct vmeter *vsw_find_meter(const struct vsw *, uint32_t physical);

/* vsw_changes.c: what is not confirmed yet. */
void vsw_changes_init(struct vsw *);
void vsw_changes_fini(struct vsw *);
/* Remembers the message that is about to be carried out; what it changes bears vsw.current. */
void vsw_change_begin(struct vsw *, uint64_t conn, const uint8_t *raw, size_t size);
/* The entry had these instructions (taken) before the current change; replaced: it was this other entry. */
void vsw_change_former(struct vsw *, struct vflow *, const struct instructions *, const struct flow_entry *replaced);
void vflow_forget_former(struct vflow *);
/* An edge refused. */
void vsw_refused_entry(struct vsw *, uint32_t number, struct of_error);
void vsw_refused_group(struct vsw *, uint32_t physical, struct of_error);
void vsw_refused_meter(struct vsw *, uint32_t physical, struct of_error);
/* Calls done(token) when all that was changed before is in force on every connected edge. */
void vsw_barrier(struct vsw *, void (*done)(void *token), void *token);
/* Once per loop turn, after compiling: starts to wait for what was changed in it. */
void vsw_changes_turn(struct vsw *);

/* vsw_ports.c: ports as the tenant sees them. */
struct vport *vsw_port_find(const struct vsw *, uint32_t number);
/* Compares with what was told and tells what changed: after a change of the network, of device ports, links or connections. */
void vsw_ports_review(struct vsw *);
void vsw_ports_fini(struct vsw *);
void vport_describe(const struct vsw *, const struct vport *, struct of_port *);
struct of_error vsw_port_mod(struct vsw *, const struct of_port_mod *);
/* Whether frames may enter by, or leave through, the port: administration, not liveness. */
bool vsw_port_receives(const struct vsw *, const struct port *);
bool vsw_port_forwards(const struct vsw *, const struct port *);
bool vsw_port_floods(const struct vsw *, const struct port *);          /* OpenFlow 1.0's OFPP_FLOOD goes there; OFPP_ALL does anyway. */
bool vsw_port_down(const struct vsw *, const struct port *);            /* OFPPC_PORT_DOWN; one that only forwards nothing is live (section 6.5). */
bool vsw_port_live(const struct vsw *, const struct port *);

/* vpc.c: programs the network's managed L2 behaviour: desired entries are put, others removed. */
void vpc_program(struct vsw *);
#endif
