/*
 * The switch side of OpenFlow, once: an agent over a table of backend operations.
 *
 * The agent owns the connections to controllers (out and listening), roles and generation ids, asynchronous configuration, multipart segmentation,
 * barriers, errors; the backend answers questions and carries out changes.  vswitchd's backend is the datapath; controllerd's is a virtual switch of a slice.
 * Loop thread only.
 */
#ifndef OFPROTO_AGENT_H
#define OFPROTO_AGENT_H 1

#include "ofproto/flow_table.h"
#include "ofproto/meter_table.h"
#include "ofproto/of_conn.h"

/* Where a change came from, so that an error that is found later can be sent as if it had been found at once. */
struct of_request {
    uint64_t conn;              /* Of the agent's; never used again for another connection. */
    const uint8_t *raw;         /* The message, lent. */
    size_t size;
};

enum of_bundle_step { BUNDLE_BEGIN, BUNDLE_COMMIT, BUNDLE_ABORT };

struct of_limits {
    uint32_t flows, groups, meters;
    bool no_queues;             /* No action may name one. */
    bool (*has_field)(const struct field *, bool to_set);       /* In a match, or to be set. NULL: all that there are. */
};

struct of_backend_ops {         /* aux is the backend's. */
    void (*features)(void *aux, struct of_features *);
    void (*desc)(void *aux, struct of_desc *);
    struct flow_tables *(*flows)(void *aux);                    /* The agent calls flow_tables_* on it for flow-mod and statistics. */
    struct group_table *(*groups)(void *aux);
    void (*table_stats)(void *aux, uint8_t table, struct of_table_stats *);
    /* Each port once; ports in ascending number. */
    void (*ports)(void *aux, void (*fn)(const struct of_port *, void *fn_aux), void *fn_aux);
    bool (*port_stats)(void *aux, uint32_t port_no, struct of_port_stats *);
    /* The queues of all ports, by ascending port and id. NULL: there are none. */
    void (*queues)(void *aux, void (*fn)(const struct of_queue *, void *fn_aux), void *fn_aux);
    bool (*group_stats)(void *aux, struct group *, struct of_group_stats *);       /* Fills counters; id, refs, duration are the agent's. */
    /* The mask has OFPPC_* that the controller's version knows; OFPPC10_NO_FLOOD may be refused. */
    struct of_error (*port_mod)(void *aux, const struct of_port_mod *);
    struct of_error (*packet_out)(void *aux, const struct of_packet_out *);
    struct meter_table *(*meters)(void *aux);                   /* NULL: meters unsupported. */
    /* Everything sent before is in force when done() is called (at once, or later from the loop). */
    void (*barrier)(void *aux, void (*done)(void *token), void *token);
    /* One Polder request (JSON text) to its JSON reply text, malloc'd; NULL op: BAD_EXPERIMENTER. */
    char *(*polder_request)(void *aux, const char *json, size_t size);
    /* The number of connected controllers (equal or master) changed; for fail-secure/standalone. May be NULL. */
    void (*controllers_changed)(void *aux, unsigned n_up);
    /* Whether packets that no entry matches, not even a table-miss entry, are to be packet-ins of reason OFPR_IMPLICIT_MISS: there is a controller of OpenFlow 1.0,
     * where that is what a miss means.  May be NULL. */
    void (*misses_wanted)(void *aux, bool);
    /* Whether fragments are dropped (OFPC_FRAG_DROP, section 7.3.2).  NULL: that is refused. */
    void (*drop_fragments)(void *aux, bool);
    /* Between begin and commit or abort, what flows() and groups() do is prepared and seen by no packet; commit makes it visible in one step.  The agent has the
     * tables' own parts (flow_tables_begin() and so on) follow.  NULL: bundles unsupported. */
    void (*bundle)(void *aux, enum of_bundle_step);
    /* Whether what follows a barrier may be carried out before the barrier is done, because it cannot take effect before what is in front of the barrier
     * (which has to be true until that is done).  NULL: it may not; reading waits. */
    bool (*barrier_passes)(void *aux);
    /* A message that changes something is about to be carried out (of_agent_error() may follow, as late as its barrier).  May be NULL. */
    void (*request)(void *aux, const struct of_request *);
    /* Before statistics of flows, tables, ports, groups, queues or meters are answered: calls done() when the counters are as of now (at once, or later from the loop;
     * nothing else is read from that connection meanwhile).  NULL: they always are. */
    void (*refresh)(void *aux, const struct of_multipart_msg *request, void (*done)(void *token), void *token);
    /* Whether a connection that came in may stay; else it is closed at once, and no more are accepted for *pause_ms.  NULL: it may. */
    bool (*accept)(void *aux, unsigned *pause_ms);
    /* TLS: the certificate of a controller, called or calling, was refused.  May be NULL. */
    void (*peer_refused)(void *aux, const char *peer, const char *why);
    /* What there may be at most, where the backend itself refuses what is more: features say no more than that. NULL: the tables' own limits are all. */
    void (*limits)(void *aux, struct of_limits *);
};

struct of_agent_config {
    struct { const char *target; unsigned max_backoff_ms; } *controllers;
    unsigned n_controllers;
    const char **listen;
    unsigned n_listen;
    struct tls_config *tls;     /* May be NULL. */
    unsigned max_connections;   /* 0: 64. */
    unsigned max_monitors;      /* Flow monitors of a connection. 0: 1024. */
    unsigned max_bundles;       /* Open bundles of a connection. 0: 64. */
    size_t max_bundle_bytes;    /* What a bundle may take. 0: 64 MiB. */
    size_t max_unread;          /* Bytes that may wait for a peer that does not read; above that its connection ends. 0: 64 MiB. */
    uint32_t versions;          /* Bitmap of wire versions: OF10_VERSION, OF13_VERSION, OF14_VERSION. */
    unsigned packet_in_rate;    /* Per connection and second, burst the same; 0: 1000. Above it: dropped and counted, but a little is kept for each ingress port. */
    struct of_share *share;     /* What its connections may take of the loop; outlives the agent. NULL: all. */
};

struct of_agent;
struct of_agent *of_agent_new(struct event_base *, const struct of_agent_config *, struct clock, const struct of_backend_ops *, void *aux, struct err *);
void of_agent_free(struct of_agent *);
/* Other controllers and listeners; the connections of those that stay, stay. The rest of the configuration is as it was. On an error some of the new ones are
 * missing: it may be called again. */
bool of_agent_retarget(struct of_agent *, const struct of_agent_config *, struct err *);
/* Asynchronous messages, filtered by role, async config and, for packet-ins, the connection's controller id (NXT_SET_CONTROLLER_ID; 0 at first). */
bool of_agent_packet_in(struct of_agent *, const struct of_packet_in *);           /* False when no connection took it (limit, none up). */
void of_agent_flow_removed(struct of_agent *, const struct flow_entry *, uint8_t reason);
/* The same for an entry that has left already and had OFPFF_SEND_FLOW_REM. */
void of_agent_flow_removed_msg(struct of_agent *, const struct of_flow_removed *);
void of_agent_port_status(struct of_agent *, uint8_t reason, const struct of_port *);
/* Only OFPPC10_NO_FLOOD has changed, which 1.0 alone knows: others would be told of nothing. */
void of_agent_port_flood(struct of_agent *, const struct of_port *);
/* The error for a request that seemed to be fine; nothing when its connection has ended. */
void of_agent_error(struct of_agent *, const struct of_request *, struct of_error);
/* The share is no longer held: connections read again. */
void of_agent_resume(struct of_agent *);
/* For show: one line per connection: peer, role, state, counters. */
void of_agent_each_connection(struct of_agent *, void (*fn)(const char *peer, const char *role, const struct of_conn_counters *, bool outgoing, void *aux), void *aux);
unsigned of_agent_listen_port(struct of_agent *, unsigned i);

#endif
