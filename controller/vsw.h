/*
 * A virtual switch: a complete OpenFlow model that is in no place, until it is compiled.
 *
 * Flow tables are the same ofproto/flow_table.h that vswitchd uses; who programs them (the VPC application here, a
 * tenant's controller later) goes through vsw_flow_mod(). What a virtual switch cannot carry yet is refused there with
 * an OpenFlow error, so nothing is ever silently left out of a compile. Every change marks the switch dirty; compile.c
 * derives the edges' rules from it. A vsw is one network's; its ports are the network's ports, numbered by port id.
 */
#ifndef CONTROLLER_VSW_H
#define CONTROLLER_VSW_H 1

#include "lib/hmap.h"
#include "ofproto/flow_table.h"
#include "tenants/model.h"

struct controller;

/* An interned address pair: (edge, id) stands for (eth_src, eth_dst) on the fabric. */
enum pair_state {
    PAIR_SPREADING,             /* Receivers are getting it; frames wait. */
    PAIR_ACTIVE,                /* The sender uses it. */
    PAIR_DRAINING,              /* The sender has stopped; receivers keep it for a grace period. */
};
struct pair {
    struct list node;           /* In vsw.pairs. */
    uint16_t edge;              /* Index of the sending edge. */
    uint32_t id;
    struct mac src, dst;
    enum pair_state state;
    uint64_t used_ns, packets;  /* As last read from the sender. */
    uint64_t reading;           /* Sum so far of the reading under way. */
    uint64_t drain_ns;
};

struct vflow {                  /* flow_entry.aux */
    uint32_t number;            /* Cookie of its physical entries: COOKIE(network, number). */
    bool kept;                  /* By the VPC application's current pass. */
};

struct vsw {
    struct hmap_node node;      /* By id. */
    uint32_t id;                /* Network id. */
    struct network *network;
    struct flow_tables *flows;
    unsigned n_write_actions;   /* Entries with write-actions. */
    uint32_t next_number;
    bool dirty;                 /* To be compiled, on all its edges. */
    bool devices_dirty;         /* To be compiled on the edges of fabric.devices. */
    struct list pairs;
    unsigned n_pairs;
    uint32_t next_pair;         /* Where the search for a free pair id starts. */
    uint64_t *edges;            /* Datapath ids that hold rules of it. */
    unsigned n_edges;
    void (*changed)(struct vsw *, void *aux);
    void *aux;
};

/* The virtual port number of a port. */
static inline uint32_t vsw_port_no(const struct port *port) { return port->id; }

struct vsw *vsw_new(struct network *, struct clock, void (*changed)(struct vsw *, void *aux), void *aux);
void vsw_free(struct vsw *);
/* OpenFlow semantics in full; the errors are those a tenant's controller would see. */
struct of_error vsw_flow_mod(struct vsw *, const struct of_flow_mod *);
bool vsw_has_edge(const struct vsw *, const struct edge *);

/* vpc.c: programs the network's managed L2 behaviour: desired entries are put, others removed. */
void vpc_program(struct vsw *);
#endif
