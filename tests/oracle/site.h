/*
 * A whole site in one process: the real model, VPC application, compiler and datapath cores; only the switches'
 * connections and the wires are the test's.
 *
 * Each edge is a `struct dp` (vswitch/dp.h) that holds exactly what the rulesets say; port 1 is its uplink, and a frame
 * that leaves by it arrives at the uplink of the edge that its provider MAC names.
 */
#ifndef TESTS_ORACLE_SITE_H
#define TESTS_ORACLE_SITE_H 1

#include "controller/controller.h"
#include "controller/fabric.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"
#include "ofproto/meter_table.h"
#include "vswitch/dp.h"

#define SITE_MAX_EDGES 4
#define SITE_UPLINK 1u
#define SITE_MAX_FRAMES 1024

struct site_frame { uint8_t data[1600]; unsigned size; };
struct site_delivery { unsigned edge; uint32_t port_no; struct site_frame frame; };

struct site_edge {
    struct site *site;
    unsigned index;             /* In site.edges. */
    struct sw sw;
    struct dp *dp;
    struct dp_ops ops;
};

struct site {
    struct controller controller;
    struct site_edge edges[SITE_MAX_EDGES];
    unsigned n_edges;
    uint64_t now_ns;
    /* What the last site_send() did. */
    struct site_delivery delivered[SITE_MAX_FRAMES];
    unsigned n_delivered;
    struct site_frame wire[SITE_MAX_FRAMES];
    unsigned n_wire, n_packet_in;               /* n_packet_in: of frames whose addresses had to be interned. */
    bool overflow;              /* There were more frames than fit. */
    /* Another packet-in: a slice's. May be NULL. */
    void (*slice_packet_in)(struct site_edge *, struct of_packet_in *, void *aux);
    void *slice_aux;
};

/* Edges e1…; the document is an apply document without them. */
struct site *site_new(unsigned n_edges);
void site_free(struct site *);
void site_apply(struct site *, const char *json);
/* Compiles, and loads every edge with what it should hold. */
void site_sync(struct site *);
/* Sends a frame from a device port of an edge and lets it run to the end. */
void site_send(struct site *, unsigned edge, uint32_t port_no, const void *data, unsigned size);
/* A packet-out of a controller, as the edge gets it. */
void site_execute(struct site *, unsigned edge, const void *data, unsigned size, const struct actions *);
/* The device port that a model port has on its edge. */
uint32_t site_device(const struct site *, const struct port *);
#endif
