/*
 * controllerd's root: one event loop owns everything in here.
 *
 * Layers, each knowing only those above it in this list:
 *   model (tenants/)  the intent, changed by transactions
 *   store             SQLite off the loop, makes each transaction durable before it is committed
 *   substrate         the switches that are connected, their ports, the links found by LLDP, paths
 *   vsw, vpc          virtual switches (complete OpenFlow models), and the VPC application that programs them
 *   compile           derives each edge's and fabric switch's rules from the above
 *   ruleset           what each switch should hold, by owner
 *   reconcile         makes switches hold it: diff, send, barrier, repair; the only writer to switches
 *   rest              the API
 * Nothing in here is global; everything is reached from `struct controller`.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H 1

#include "lib/stream.h"
#include "lib/util.h"
#include "tenants/model.h"

struct controller_config {      /* Strings owned; see controllerd(8). */
    char *name, *run_dir, *store_path;
    char **openflow_listen; unsigned n_openflow_listen;
    char *of_key, *of_cert, *of_ca;
    bool of_require_id;         /* Switches' certificates must name their datapath id. */
    char *slice_key, *slice_cert, *slice_ca;            /* Towards tenants' controllers; NULL: as towards switches. */
    char *rest_unix, *rest_listen, *rest_key, *rest_cert, *rest_ca, *tokens_file;
    unsigned lldp_interval_ms, lldp_keepalive_ms;               /* keepalive 0: the interval. */
    unsigned restore_hold_ms;   /* Before a link that failed is used again. */
    bool restore_manual;        /* …only when the operator says so. */
    char *lldp_key_file;
    struct provider provider;
    unsigned intern_pairs_per_network, intern_idle_s;
    unsigned busy_poll_us;      /* lib/loop.h */
    unsigned slice_hold_s;      /* vsw_hold.h */
};

/* ruleset_sequence() just before the revision was compiled. */
struct revision_mark { uint64_t revision, sequence; };

struct controller {
    struct controller_config config;
    struct event_base *base;
    struct clock clock;
    struct rng rng;
    struct model *model;
    struct store *store;
    struct substrate *substrate;
    struct rulesets *rulesets;
    struct reconcile *reconcile;
    struct fabric *fabric;      /* compile of everything: see controller/fabric.h. */
    struct rest *rest;
    struct revision_mark revisions[64];         /* The last ones, by revision modulo the size. */
    struct commits *commits;    /* controller.c's queue. */
    bool idle_turn;             /* What runs now has the loop's lowest priority: gather.h. */
};

/* An event base whose lowest priority is served one callback at a time, when there is nothing else to do (ofproto/of_share.h). NULL: none can be had. */
struct event_base *controller_base_new(void);
/* Brings everything up, in the order above: `config`, `base`, `clock` and `rng` are set, the rest is NULL.  False and err (with the config's field) when anything fails;
 * controller_stop() then still takes down what was made.  After it returns true the daemon serves. */
bool controller_start(struct controller *, struct err *);
void controller_stop(struct controller *);

struct model_txn;
/* The end of a commit, on the loop: the networks that it touched are marked for the compiler by now. */
typedef void controller_commit_fn(const struct err *err /* NULL: done */, uint64_t revision, void *aux);
/* Takes the txn: makes it durable (store), commits it to the model, tells the layers below, then calls fn (later, from the loop).  Transactions are serialised. */
void controller_commit(struct controller *, struct model_txn *, controller_commit_fn *, void *aux);
/* True while a transaction is on its way to the store: a new one must wait (controller_when_idle). */
bool controller_busy(const struct controller *);
void controller_when_idle(struct controller *, void (*fn)(void *aux), void *aux);

/* For reconcile_wait(): what was desired before this revision; 0 when that is no longer known (everything is waited for). */
uint64_t controller_sequence_before(const struct controller *, uint64_t revision);

#endif
