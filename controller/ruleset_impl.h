/* The state that ruleset.c (desired) and reconcile*.c (sent, confirmed) share: one `struct sw_rules` per switch (sw_rules.c).  Private to them. */
#ifndef CONTROLLER_RULESET_IMPL_H
#define CONTROLLER_RULESET_IMPL_H 1

#include "controller/ruleset.h"
#include "controller/controller.h"
#include "lib/hmap.h"

/* What the parts of a batch are. */
enum desired_kind { DESIRED_RULE, DESIRED_GROUP, DESIRED_METER };

struct rule {
    struct hmap_node node;      /* In sw_rules.rules by identity, or in no map once dead. */
    struct list owned;          /* In owner_rules.rules. */
    struct list dirty;          /* In sw_rules.dirty (to add or change) or .dead (to delete), or alone. */
    uint32_t owner;
    uint8_t table;
    uint16_t priority, flags;
    uint64_t cookie;
    const struct minimatch *match;      /* In the same piece of memory, behind the rule. */
    struct instructions instructions;
    bool kept;                  /* Put in the current pass. */
    bool reset;                 /* Its counters begin anew when it is sent next. */
    uint64_t begun;             /* The cookie that it had when they last were to begin anew; 0: it goes on with whatever was there. */
    bool there;                 /* The switch may have one of this identity: it was read or sent on this connection, or on the last one. */
    bool tells;                 /* RULE_TELLS */
    bool failed;                /* The switch refused it on this connection. */
    bool seen;                  /* While reading back: the switch has it as it should be. */
    uint32_t xid;               /* Of the flow-mod that carried it last; a batch in flight may have it. */
};

struct rule_group {
    struct hmap_node node;
    struct list owned, dirty;
    uint32_t owner, id;
    enum of_group_type type;
    struct of_bucket *buckets;
    unsigned n_buckets;
    bool kept, sent, failed, seen;
    bool chained;               /* What the switch has may refer to other groups. */
    uint64_t buried;            /* In a grave: since this generation. */
    unsigned mark;              /* While a batch is put in order. */
    uint32_t xid;
};

struct rule_meter {
    struct hmap_node node;
    struct list owned, dirty;
    uint32_t owner, id;
    uint16_t flags;
    struct of_meter_band *bands;
    unsigned n_bands;
    bool kept, sent, failed, seen;
    bool foreign;               /* The switch has another's with this id: it goes first. */
    uint64_t buried;            /* As a group's. */
    uint32_t xid;
};

struct rule_port {
    struct list node;           /* In sw_rules.ports. */
    uint32_t owner;
    char name[33], role[8];
    unsigned queues;
    bool kept, requested, failed;
    char error[200];
};

struct owner_rules { struct hmap_node node; uint32_t owner; struct list rules, groups, meters; };

/*
 * Messages of one xid each, in a row, that end with a barrier. sent[i] belongs to xid first_xid + i; its object is NULL once it is gone from the ruleset, or has been
 * sent again with another xid (replaced), or if it is a delete.
 */
struct batch {
    struct list node;           /* In sw_rules.batches, oldest first. */
    uint32_t first_xid;
    uint64_t generation;        /* What is confirmed by the barrier. */
    unsigned n, room;
    struct sent {
        void *object;
        enum desired_kind kind;
        bool is_add, is_delete, replaced;
        uint32_t owner, number;         /* As fabric_refused() takes them. */
    } *sent;
};

enum sync_state { SYNC_DISCONNECTED, SYNC_READING, SYNC_STEADY };

struct sw_rules {
    struct hmap_node node;
    uint64_t datapath_id;
    struct hmap rules, groups, meters, owners;
    struct list ports;
    /* To send, to delete (owned by the list): of the latter only what a connected switch may have. The dead groups and meters are graves (reconcile_send.c). */
    struct list dirty, dead, dirty_groups, dead_groups, dirty_meters, dead_meters;
    uint64_t refused_generation;                /* Until this one is confirmed the switch may hold what it should not, as it refused a change: no grave is opened. */
    unsigned mark;
    uint64_t generation, sent_generation, acked_generation;     /* Of changes. */
    uint64_t changed;           /* rulesets.sequence of the last pass that changed what is desired here. */
    /* Reconcile's. */
    struct list work;           /* In reconcile.work_list while there is something to do. */
    struct list confirms;       /* struct confirm_part, by generation. */
    struct sw *sw;              /* While connected. */
    enum sync_state state;
    uint32_t read_flows_xid, read_groups_xid, read_meters_xid;  /* Outstanding reads, 0: none. */
    struct list batches;        /* In flight. */
    struct batch *spare;        /* One that is over, with its memory, for the next; NULL: none. */
    unsigned n_batches, n_failed;
    unsigned port_requests;     /* In flight. */
    bool ports_changed;         /* Of the desired vhost ports: run_ports() has to look. */
    bool known;                 /* It has been read in this life of ours: what it has is what we gave it. */
    bool read_again;            /* Reading is wanted, as after a connect. */
    bool audit;                 /* Reading because of the periodic audit, not of a connect. */
    bool ports_listed;
    char **stale_ports; unsigned n_stale_ports; /* On the switch, named p<number>, wanted by nobody. */
    uint64_t n_sent_adds, n_sent_deletes, n_errors, n_repairs, next_audit_ns;
    char last_error[400];
};

struct rulesets {
    struct controller *controller;
    struct hmap switches;       /* struct sw_rules by datapath id. */
    struct sw_rules *open;      /* Between begin and end. */
    struct owner_rules *open_owner;
    uint64_t open_generation;   /* The open switch's, at begin. */
    uint64_t sequence;          /* Counts passes that changed something, over all switches. */
};

/* --- sw_rules.c --- */
struct sw_rules *sw_rules_find(const struct rulesets *, uint64_t datapath_id);
struct sw_rules *sw_rules_get(struct rulesets *, uint64_t datapath_id);           /* Creates. */
void sw_rules_free(struct rulesets *, struct sw_rules *);
struct rule *sw_rules_find_rule(const struct sw_rules *, uint8_t table, uint16_t priority, const struct match *);
struct rule *sw_rules_find_mini(const struct sw_rules *, uint8_t table, uint16_t priority, const struct minimatch *);
void sw_rules_insert_rule(struct sw_rules *, struct rule *);              /* There is none with its identity. */
struct rule_group *sw_rules_find_group(const struct sw_rules *, uint32_t id);
struct rule_meter *sw_rules_find_meter(const struct sw_rules *, uint32_t id);
/* Zeroed but for identity, instructions and lists: in none. */
struct rule *rule_new(uint8_t table, uint16_t priority, const struct minimatch *);
/* Also forgets them in the batches in flight. */
void rule_free(struct sw_rules *, struct rule *);
void rule_group_free(struct sw_rules *, struct rule_group *);
void rule_meter_free(struct sw_rules *, struct rule_meter *);
void sw_rules_forget_dead(struct sw_rules *);          /* All that is to be deleted: if the switch has it, it will be read. */
struct batch *batch_new(struct sw_rules *);            /* The newest of those in flight, without a message. */
void batch_free(struct sw_rules *, struct batch *);
#define SPARE_NOTES 256u        /* A spare batch has room for at most as many. */
const struct rule *rule_successor(const struct sw_rules *, const struct rule *dead);    /* The desired one with its identity; NULL: there is none. */
void rule_set_failed(struct sw_rules *, bool *failed, bool value);
/* --- ruleset.c --- */
bool bands_equal(const struct of_meter_band *, unsigned, const struct of_meter_band *, unsigned);
bool buckets_refer(const struct of_bucket *, unsigned n);               /* To a group. */
bool buckets_equal(const struct of_bucket *, unsigned, const struct of_bucket *, unsigned);
/* There is something to send (reconcile schedules a batch). */
void reconcile_poke(struct reconcile *, struct sw_rules *);
#endif
