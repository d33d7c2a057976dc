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
#include "vswitch/dp.h"

#define SITE_MAX_EDGES 4
#define SITE_UPLINK 1u

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
    struct site_delivery delivered[256];
    unsigned n_delivered;
    struct site_frame wire[256];
    unsigned n_wire, n_packet_in;
};

/* Edges e1…; the document is an apply document without them. */
struct site *site_new(unsigned n_edges);
void site_free(struct site *);
void site_apply(struct site *, const char *json);
/* Compiles, and loads every edge with what it should hold. */
void site_sync(struct site *);
/* Sends a frame from a device port of an edge and lets it run to the end. */
void site_send(struct site *, unsigned edge, uint32_t port_no, const void *data, unsigned size);
/* The device port that a model port has on its edge. */
uint32_t site_device(const struct site *, const struct port *);
#endif
