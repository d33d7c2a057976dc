/*
 * Simulated OpenFlow switches and the cables between them, for measuring controllerd.
 *
 * A simulated switch is the real switch side of OpenFlow (ofproto/agent.h: handshake, roles, barriers, errors, statistics of every kind) over tables
 * that forget nothing (ofproto/flow_table.h and its siblings), without a datapath: no frame is ever edited.  What arrives is looked up by a pass
 * over all entries of a table, the slow and obvious way, and only for what a controller cannot do without: its discovery frames, which cross cables
 * and come back as packet-ins, and one example of each packet-in that a phase repeats (sim_packet_in_example()).  Meters measure packet-ins, with
 * vswitchd's own code (ofproto/meter_bands.h).
 *
 * A switch has `n_devices` ports without a cable (d1, d2 …, for tenants' ports to be bound to) with numbers from 1, then as many uplinks (u1, u2 …) as
 * the wiring gives it.  To controllerd it is an Open vSwitch (it knows no Polder request), or with `vswitchd` one of ours.  One thread: the loop's.
 */
#ifndef CONTROL_BENCH_SIM_H
#define CONTROL_BENCH_SIM_H 1

#include "lib/hmap.h"
#include "ofproto/agent.h"

struct event;
struct event_base;
struct sim_switch;

enum sim_wiring {
    SIM_ALONE,                  /* No cables. */
    SIM_LINE, SIM_RING,         /* Each edge to the next. */
    SIM_STAR,                   /* Every edge to a fabric switch, which is switches[n_edges]. */
};
#define SIM_FABRIC_DPID UINT64_C(0xfab)

struct sim_port { struct of_port of; struct sim_switch *peer; uint32_t peer_port; };    /* peer NULL: no cable. */

struct sim_hooks {              /* Each may be NULL; aux is the bench's. */
    /* An entry of a tenant's table was added or changed. */
    void (*changed)(struct sim_switch *, const struct flow_entry *, void *aux);
    /* A packet-out that is not link discovery (EtherType 0x88cc); it is counted and goes nowhere. */
    void (*packet_out)(struct sim_switch *, const struct of_packet_out *, void *aux);
};

struct sim_switch {
    struct sim_net *net;
    uint64_t dpid;
    struct of_agent *agent;
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct sim_port *ports; unsigned n_ports;           /* ports[i] is number i + 1. */
    unsigned n_devices;
    uint8_t first_counted, last_counted;                /* Tenants' tables: on the network's switches as controller/edge_tables.h has them, on one outside all. */
    unsigned n_controllers;     /* That are connected. */
    uint64_t n_changed, n_removed, n_packet_outs, n_packet_ins, n_metered;      /* n_metered: packet-ins that a meter dropped. */
};

struct sim_packet_in { struct of_packet_in in; uint32_t meter_id; };        /* meter_id: of the action that sends it (Nicira's controller action); 0: none. */

struct sim_net {
    struct event_base *base;
    struct clock clock;
    struct sim_hooks hooks;
    void *hooks_aux;
    bool vswitchd;
    struct sim_switch **switches; unsigned n_switches;  /* Edges first; edge i has datapath id i + 1. */
    unsigned n_edges;
    struct list in_flight;      /* Frames on cables: they arrive in the next turn of the loop. */
    struct event *arrive;
};

struct sim_plan { unsigned n_edges, n_devices; enum sim_wiring wiring; bool vswitchd; };

/* The switches, cabled, not yet connected to anybody. */
struct sim_net *sim_net_new(struct event_base *, const struct sim_plan *, const struct sim_hooks *, void *aux);
void sim_net_free(struct sim_net *);
/* All of them connect to the target (and again whenever the connection ends).  False and err: the target is malformed. */
bool sim_net_connect(struct sim_net *, const char *target, struct err *);
unsigned sim_net_n_connected(const struct sim_net *);
uint64_t sim_net_n_changed(const struct sim_net *);     /* Sum over the switches of tenants' entries added or changed so far. */
uint64_t sim_net_n_flows(const struct sim_net *);       /* Entries that they hold. */

/* One more switch, outside the network's cables, with `n_devices` ports: what a tenant would have without controllerd. */
struct sim_switch *sim_switch_new(struct sim_net *, uint64_t dpid, unsigned n_devices);
bool sim_switch_connect(struct sim_switch *, const char *target, struct err *);
void sim_switch_free(struct sim_switch *);

/* What the switch does with a frame: packet-ins go to its controllers, outputs to cables. */
void sim_switch_receive(struct sim_switch *, uint32_t in_port, const uint8_t *data, unsigned size);
/* The packet-in that the switch's tables make of a frame, not sent; false when they make none.  `out->in.data` is the caller's `data`. */
bool sim_packet_in_example(struct sim_switch *, uint32_t in_port, const uint8_t *data, unsigned size, struct sim_packet_in *out);
/* Sends it to the controllers, as long as its meter lets it pass. */
void sim_switch_packet_in(struct sim_switch *, const struct sim_packet_in *);

#endif
