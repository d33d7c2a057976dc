/* What the agent's files share.  See agent.h. */
#ifndef OFPROTO_AGENT_PRIVATE_H
#define OFPROTO_AGENT_PRIVATE_H 1

#include "ofproto/agent.h"

/* A statistics reply that is sent piece by piece, as fast as the peer reads.  Reading from the peer is paused meanwhile, so there is one at most. */
struct stats_job {
    bool active;
    bool unasked;               /* Flow monitor's updates that were held back, not a reply. */
    bool nicira;                /* As the request was. */
    uint16_t type;              /* OFPMP_FLOW, FLOW_MONITOR, GROUP, GROUP_DESC, METER or METER_CONFIG. */
    uint32_t xid;
    struct flow_entry **flows;  /* Held. */
    uint8_t *marks;             /* FLOW_MONITOR: for each flow, agent_monitor.c's. */
    uint32_t *ids;              /* Of groups or meters, which may go meanwhile. */
    size_t n, room, next;
};

#define AGENT_JOB_BACKLOG (512u << 10)  /* Above it a job and monitors wait; above the low mark of the connection, so that `drained` wakes them. */

/* A connection's flow monitors (agent_monitor.c). */
struct agent_monitors {
    struct monitor *first;
    unsigned n;
    bool held, paused;          /* Changes after `held_since` have not been told; and the peer knows. */
    uint64_t held_since;
    struct of_monitor_update *pending;
    unsigned n_pending;
    bool abbreviated;           /* The message at hand has been told of in short, with this xid. */
    uint32_t abbreviated_xid;
};

struct agent_change {
    struct flow_entry *entry;
    enum flow_change what;
    uint8_t reason;             /* REMOVED */
    const struct instructions *old;     /* MODIFIED */
    uint64_t seq;
    struct agent_conn *by;      /* Whose message did it; NULL: nobody's. */
    uint32_t xid;
};

#define AGENT_PORT_SHARES 64    /* Classes: in_port modulo this. Each is sure of 1/64 of the rate. */

struct refresh;                 /* The token of statistics whose counters are on their way. */
struct barrier;                 /* The token of a barrier that the backend has not done yet. */

struct agent_conn {
    struct list node;           /* In of_agent.conns. */
    struct of_agent *agent;
    struct of_conn *conn;
    bool outgoing;
    const struct agent_listener *listener;      /* That accepted it; NULL: outgoing. */
    uint32_t role;
    struct of_async async;
    uint16_t miss_send_len;
    bool configured;            /* By a set-config: it is a controller, not somebody who looks in. */
    /* Packet-in limit: a bucket that fills at the agent's rate, and before it a small one for each class of ingress ports, so that no port (a VM that floods)
     * can use up what another (an uplink's LLDP) needs. */
    struct token_bucket { double tokens; uint64_t filled_ns; } common, share[AGENT_PORT_SHARES];
    uint64_t packet_ins_dropped;
    struct stats_job job;
    struct list barriers;       /* Struct barrier, in order. */
    unsigned n_barriers;
    bool barrier_blocks;        /* Nothing is read until all of them are done. */
    struct refresh *refresh;
    uint64_t number;            /* of_request.conn */
    /* A multipart request of which more segments will come. */
    struct { bool active, refused; uint16_t type; uint32_t xid; size_t size; } request;
    struct agent_bundle *bundles;
    struct agent_monitors monitors;
    /* Set by Nicira's messages. */
    bool nxm, flow_mod_table_id;        /* 1.0: flow-removed with NXM matches; tables in flow-mods. */
    uint8_t packet_in_format;           /* NX_PACKET_IN_* */
    uint16_t controller_id;
};

struct agent_listener { struct of_agent *agent; char *target; struct stream_listener *stream; };

struct of_agent {
    struct event_base *base;
    struct clock clock;
    const struct of_backend_ops *ops;
    void *aux;
    struct tls_config *tls;
    struct of_conn_options options;
    struct agent_listener **listeners;
    unsigned n_listeners, n_controllers, max_connections, packet_in_rate;
    struct list conns;
    unsigned n_conns, n_up;
    unsigned max_monitors, max_bundles; /* Per connection. */
    size_t max_bundle_bytes;
    struct agent_changes {
        struct agent_conn *by;  /* Whose message is at hand, and its xid. */
        uint32_t xid;
        bool staging;
        struct agent_change *v; /* While staging. */
        size_t n, room;
        uint64_t touched[4];    /* Tables whose entries have changed, a bit each. */
    } changes;
    bool misses_wanted;
    uint8_t n_tables;
    uint64_t last_number;       /* agent_conn.number */
    bool has_generation_id;     /* Section 6.3.6: none until the first master or slave request. */
    uint64_t generation_id;
    bool drops_fragments;       /* OFPC_FRAG_DROP, by whichever controller set it last. */
};

/* agent.c */
void agent_count_controllers(struct of_agent *);
/* Reads from the peer unless a job, a barrier or a refresh is in the way. */
void agent_update_read(struct agent_conn *);
bool agent_port_exists(struct of_agent *, uint32_t port_no);
/* To the others that asked for it: `by` has had that request, the whole message at raw, carried out. `reason`: OFPRFR_* */
void agent_request_forward(struct of_agent *, const struct agent_conn *by, uint8_t reason, const uint8_t *raw, size_t size);
/* Earlier versions have fewer reasons; all of those are deletions. */
uint8_t agent_removed_reason(uint8_t version, uint8_t reason);

/* agent_message.c */
void agent_message(struct of_conn *, struct of_msg *, const uint8_t *raw, size_t size, void *agent_conn);
void agent_barrier_forget(struct agent_conn *);
struct of_error agent_flow_mod(struct agent_conn *, struct of_msg *);
struct of_error agent_group_mod(struct agent_conn *, struct of_group_mod *);
struct of_error agent_meter_mod(struct agent_conn *, struct of_meter_mod *);
struct of_error agent_packet_out_check(struct agent_conn *, struct of_packet_out *);      /* OFPP_ANY becomes OFPP_CONTROLLER. */
struct of_error agent_packet_out(struct of_agent *, const struct of_packet_out *);          /* One that was checked. */
struct of_error agent_port_mod(struct of_agent *, const struct of_msg *);

/* agent_change.c */
void agent_changes_init(struct of_agent *);
void agent_changes_fini(struct of_agent *);
/* While a bundle is committed; end before the tables' own commit or abort. */
void agent_changes_begin(struct of_agent *);
void agent_changes_end(struct of_agent *, bool commit);
void agent_changes_flush(struct of_agent *);    /* At the end of a message. */

/* agent_monitor.c */
struct of_error agent_monitor_request(struct agent_conn *, const struct of_msg *);
struct of_error agent_monitor_cancel(struct agent_conn *, uint32_t id);
void agent_monitors_discard(struct agent_conn *);
void agent_monitor_tell(struct agent_conn *, const struct agent_change *);
void agent_monitor_flush(struct agent_conn *);
/* Fills up to `max` updates of the job at hand. */
void agent_monitor_chunk(struct agent_conn *, struct of_multipart_msg *, unsigned max);
/* Starts a job with what has been held back, if there is anything and it is time. */
void agent_monitor_catch_up(struct agent_conn *);

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
void agent_job_add_flow(struct stats_job *, struct flow_entry *, uint8_t mark);

/* agent_queue.c */
/* Those of a port (OFPP_ANY: of all) with that id (OFPQ_ALL: any); the caller frees. */
struct of_error agent_queues(struct of_agent *, uint32_t port_no, uint32_t queue_id, struct of_queue **, unsigned *n);
struct of_error agent_queue_config(struct agent_conn *, const struct of_msg *);

/* agent_features.c */
void agent_table_features(struct of_agent *, struct buf *);     /* Appends ofp_table_features of every table. */
void agent_group_features(struct of_agent *, struct of_group_features *);
void agent_meter_features(struct of_agent *, struct of_meter_features *);      /* All zero without support. */
uint32_t agent_table_max(struct of_agent *, uint8_t table);    /* Entries. */

#endif
