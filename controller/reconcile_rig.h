/*
 * For tests: reconcile against a switch that is real but for its wires: ofproto's agent over its own flow and group tables,
 * connected by a unix socket to the substrate.
 *
 * It is a strict switch: what refers to a group or meter that is not there is refused, so is deleting a group that another
 * refers to, and deleting one that an entry refers to is an error of the test (Open vSwitch 3.1 aborts).
 */
#ifndef CONTROLLER_RECONCILE_RIG_H
#define CONTROLLER_RECONCILE_RIG_H 1

#include "controller/test_fixture.h"
#include "ofproto/agent.h"
#include "ofproto/meter_table.h"

#define DATAPATH_ID 1
#define REFUSING_TABLE 99
#define N_KEYS 60
#define N_GROUPS 8
#define N_METERS 3
#define MAX_TOKENS 200

struct reconcile_rig {
    struct fixture f;
    struct rng rng;
    char target[140];
    /* The switch: its tables live on while the agent comes and goes. */
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct of_agent *agent;
    unsigned n_inserts, n_removes, n_modifies, n_group_mods;
    unsigned refuse;            /* One change in so many is refused; 0: none. */
    bool late;                  /* Barriers wait for reconcile_rig_release(). */
    struct { void (*done)(void *); void *token; } tokens[MAX_TOKENS];
    unsigned n_tokens;
    unsigned n_errors;          /* That came to the controller, */
    unsigned n_never;           /* and those of them, or deletes, that there is never a reason for. */
    /* What is desired: content of each key, 0 for none. A group refers to those of its set that there are and that rank below it. */
    unsigned want[N_KEYS], want_group[N_GROUPS], want_meter[N_METERS], refers[N_GROUPS], rank[N_GROUPS];
};

void reconcile_rig_init(struct reconcile_rig *);
void reconcile_rig_fini(struct reconcile_rig *);
/* The switch's end of the connection. */
void reconcile_rig_plug(struct reconcile_rig *);
void reconcile_rig_unplug(struct reconcile_rig *);
void reconcile_rig_reconnect(struct reconcile_rig *);
void reconcile_rig_release(struct reconcile_rig *, unsigned n);         /* The oldest barriers are done. */
/* What is desired becomes something else; is stated, in a pass over all of it by two owners; is confirmed; is what the switch has. */
void reconcile_rig_change(struct reconcile_rig *);
void reconcile_rig_put_all(struct reconcile_rig *);
void reconcile_rig_settle(struct reconcile_rig *);
void reconcile_rig_check_equal(struct reconcile_rig *);
/* Of a key of `want`. */
void reconcile_rig_key(unsigned key, uint8_t *table, uint16_t *priority, struct match *);

#endif
