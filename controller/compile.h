/*
 * Derives rules: a virtual switch on one edge, a switch's own rules. Pure but for the ruleset they end in. Tables:
 * edge_tables.h.
 */
#ifndef CONTROLLER_COMPILE_H
#define CONTROLLER_COMPILE_H 1

#include "controller/controller.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "controller/vsw.h"

/* A rule under construction, and where it goes. */
struct rule_builder {
    struct rulesets *rulesets;
    uint8_t table;
    uint16_t priority;
    unsigned flags;             /* As ruleset_flow_flags(). */
    bool withdraws;             /* rule_put() takes the rule away: what puts something is also what knows how it is told. */
    uint64_t cookie;
    struct match match;
    struct instructions instructions;
};
/* Flags of a rule of controllerd's own that counts for the tenant. */
#define COUNTING_RULE (OFPFF_SEND_FLOW_REM | RULE_BEGINS | RULE_TELLS)
void rule_start(struct rule_builder *, uint8_t table, uint16_t priority, uint64_t cookie);
struct actions *rule_apply(struct rule_builder *);
void rule_goto(struct rule_builder *, uint8_t table);
void rule_put(struct rule_builder *);

/* What a compile of one network on one edge needs to know. */
struct edge_context {
    struct controller *controller;
    const struct vsw *vsw;
    const struct edge *edge;
    struct sw *sw;              /* May be NULL or disconnected: device ports are unknown then. */
    struct rule_builder rule;
};
uint32_t edge_device_port(const struct edge_context *, const struct port *);      /* 0: the device does not exist (yet). */
void rule_drop(struct edge_context *, unsigned reason);

/* compile.c: the transport of a network on an edge where it has ports (rulesets are opened and closed inside). */
void compile_network(struct controller *, const struct vsw *, const struct edge *);
/* The same on an edge where only the other end of a virtual link is: what arrives from here is given back its addresses. */
void compile_network_guest(struct controller *, const struct vsw *, const struct edge *);
/* One interned pair, on all of its edges: edits. Each has what the pair's state wants, or nothing once it is `gone`. Nothing while vsw.dirty: all will be
 * compiled. O(edges), whatever else the network has. */
void compile_pair(struct vsw *, const struct pair *, bool gone);
/* Withdraws a network from a switch. */
void compile_network_gone(struct controller *, uint32_t network, uint64_t datapath_id);
/* compile_switch.c: a switch's own rules: uplinks, LLDP, fabric forwarding, table-misses. */
void compile_switch(struct controller *, const struct edge *, bool is_fabric);

/* transport.c: the translate transport. */
void transport_restore(struct edge_context *);
void transport_deliver(struct edge_context *);
void transport_translate(struct edge_context *);
/* Of an interned pair: on edges other than its sender's; on that one. */
void transport_restore_pair(struct edge_context *, const struct pair *);
void transport_translate_pair(struct edge_context *, const struct pair *);

/* compile_entry.c. The tenant's action list as the edge runs it, when something may still follow, or even be in the action set. */
enum compile_behind { BEHIND_NOTHING, BEHIND_MORE, BEHIND_SET };
void compile_actions(const struct vsw *, const struct actions *in, struct actions *out, enum compile_behind);
/* To the tenant's controller, within its rate. */
void compile_controller(const struct vsw *, struct actions *out);
/* All entries, groups and meters of a virtual switch on an edge. */
void compile_entries(struct vsw *, const struct edge *);
/* One of them, on all its edges: edits. Nothing while vsw.entries_dirty: all will be compiled. */
void compile_entry_put(struct vsw *, const struct flow_entry *, bool begins);   /* begins: counts from zero, whatever was there. */
/* Returns how many connected switches had a rule for it, and will tell its counters. */
unsigned compile_entry_gone(struct vsw *, const struct flow_entry *);
void compile_unmatched(struct vsw *, uint8_t table);            /* vsw.counts_unmatched changed. */
/* Which of the group's buckets the edge has: their indices into bucket_of (room for all), in order; returns their number. */
unsigned compile_group_buckets(struct vsw *, const struct edge *, const struct group *, unsigned *bucket_of);
void compile_group_put(struct vsw *, const struct group *);
void compile_group_gone(struct vsw *, const struct group *);
void compile_meter_put(struct vsw *, const struct meter *);
void compile_meter_gone(struct vsw *, const struct meter *);
void compile_groups_again(struct vsw *);        /* Liveness changed. */
#endif
