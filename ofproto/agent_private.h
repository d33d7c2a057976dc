/* What the agent's files share.  See agent.h. */
#ifndef OFPROTO_AGENT_PRIVATE_H
#define OFPROTO_AGENT_PRIVATE_H 1

#include "ofproto/agent.h"

/* A statistics reply that is sent piece by piece, as fast as the peer reads.  Reading from the peer is paused meanwhile, so there is one at most. */
struct stats_job {
    bool active;
    bool nicira;                /* As the request was. */
    uint16_t type;              /* OFPMP_FLOW, GROUP, GROUP_DESC, METER or METER_CONFIG. */
    uint32_t xid;
    struct flow_entry **flows;  /* Held. */
    uint32_t *ids;              /* Of groups or meters, which may go meanwhile. */
    size_t n, room, next;
};

#define AGENT_PORT_SHARES 64    /* Classes: in_port modulo this. Each is sure of 1/64 of the rate. */

struct refresh;                 /* The token of statistics whose counters are on their way. */
struct barrier;                 /* The token of a barrier that the backend has not done yet. */

struct agent_conn {
    struct list node;           /* In of_agent.conns. */
    struct of_agent *agent;
    struct of_conn *conn;
    bool outgoing;
    uint32_t role;
    struct of_async async;
    uint16_t miss_send_len;
    bool configured;            /* By a set-config: it is a controller, not somebody who looks in. */
    /* Packet-in limit: a bucket that fills at the agent's rate, and before it a small one for each class of ingress ports, so that no port (a VM that floods)
     * can use up what another (an uplink's LLDP) needs. */
    struct token_bucket { double tokens; uint64_t filled_ns; } common, share[AGENT_PORT_SHARES];
    uint64_t packet_ins_dropped;
    struct stats_job job;
    struct barrier *barrier;
    struct refresh *refresh;
    uint64_t number;            /* of_request.conn */
    /* A multipart request of which more segments will come. */
    struct { bool active, refused; uint16_t type; uint32_t xid; size_t size; } request;
    struct agent_bundle *bundles;
    /* Set by Nicira's messages. */
    bool nxm, flow_mod_table_id;        /* 1.0: flow-removed with NXM matches; tables in flow-mods. */
    uint8_t packet_in_format;           /* NX_PACKET_IN_* */
    uint16_t controller_id;
};

struct of_agent {
    struct event_base *base;
    struct clock clock;
    const struct of_backend_ops *ops;
    void *aux;
    struct tls_config *tls;
    struct of_conn_options options;
    struct stream_listener **listeners;
    unsigned n_listeners, n_controllers, max_connections, packet_in_rate;
    struct list conns;
    unsigned n_conns, n_up;
    bool misses_wanted;
    uint8_t n_tables;
    uint64_t last_number;       /* agent_conn.number */
    bool has_generation_id;     /* Section 6.3.6: none until the first master or slave request. */
    uint64_t generation_id;
};

/* agent.c */
void agent_count_controllers(struct of_agent *);
/* Reads from the peer unless a job, a barrier or a refresh is in the way. */
void agent_update_read(struct agent_conn *);
bool agent_port_exists(struct of_agent *, uint32_t port_no);

/* agent_message.c */
void agent_message(struct of_conn *, struct of_msg *, const uint8_t *raw, size_t size, void *agent_conn);
void agent_barrier_forget(struct agent_conn *);
struct of_error agent_flow_mod(struct agent_conn *, struct of_msg *);
struct of_error agent_group_mod(struct agent_conn *, struct of_group_mod *);
struct of_error agent_packet_out_check(struct agent_conn *, const struct of_packet_out *);

/* agent_bundle.c */
struct of_error agent_bundle_control(struct agent_conn *, const struct of_msg *);
struct of_error agent_bundle_add(struct agent_conn *, const struct of_msg *);
void agent_bundles_discard(struct agent_conn *);

/* agent_nicira.c */
struct of_error agent_nicira(struct agent_conn *, const struct of_msg *);
/* Makes a flow-mod of 1.0 one of today: which table, and what a modify of nothing means. */
struct of_error agent_of10_flow_mod(struct agent_conn *, struct of_flow_mod *);

/* agent_role.c */
void agent_role_init(struct agent_conn *);
struct of_error agent_set_async(struct agent_conn *, const struct of_msg *);
struct of_error agent_role_request(struct agent_conn *, const struct of_msg *);
bool agent_wants(const struct agent_conn *, const uint32_t mask[2], uint8_t reason);

/* agent_multipart.c */
void agent_ports(struct of_agent *, struct of_port **, unsigned *n);     /* All of them; the caller frees. */
struct of_error agent_multipart(struct agent_conn *, const struct of_msg *, const uint8_t *raw, size_t size);
void agent_job_continue(struct agent_conn *);
void agent_job_cancel(struct agent_conn *);
void agent_refresh_forget(struct agent_conn *);

/* agent_features.c */
void agent_table_features(struct of_agent *, struct buf *);     /* Appends ofp_table_features of every table. */
void agent_group_features(struct of_agent *, struct of_group_features *);

#endif
