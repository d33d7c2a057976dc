/* An in-memory backend for tests of the agent: tables whose entries have counters that the test sets, ports, and a record of what was asked of it. */
#ifndef OFPROTO_AGENT_FAKE_H
#define OFPROTO_AGENT_FAKE_H 1

#include "ofproto/agent.h"

struct fake {
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct clock clock;
    uint64_t now_ns;            /* Of the clock; the test advances it. */
    struct of_agent *agent;     /* NULL: flow-removed goes nowhere. */
    unsigned n_ports;           /* Numbered from 1. */
    bool misses_wanted;
    unsigned n_packet_outs, n_port_mods, n_removed, last_n_up, n_controllers_changed, n_bundle_steps[3];
    bool drops_fragments;
    uint32_t port_mod_mask; /* Of the last one. */
    uint32_t packet_out_port;   /* in_port of the last one. */
    uint64_t packets;           /* What every entry has counted. */
    bool defer_barriers;        /* Keep tokens in `barrier_*` until fake_release(). */
    void (*barrier_done)(void *);
    void *barrier_token;
    bool refuse_inserts;
    struct of_request request;  /* The last one; raw is request_raw, cut to its size. */
    uint8_t request_raw[64];
    bool defer_refresh;         /* Keep the token until the test calls refresh_done(refresh_token). */
    void (*refresh_done)(void *);
    void *refresh_token;
};

extern const struct of_backend_ops fake_ops;            /* Without meters. */
extern const struct of_backend_ops fake_meter_ops;
void fake_init(struct fake *, unsigned max_flows, unsigned max_groups);
void fake_fini(struct fake *);
void fake_release(struct fake *);

#endif
