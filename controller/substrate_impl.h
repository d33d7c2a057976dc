/*
 * What substrate.c (registry, links), substrate_paths.c (paths), southbound.c (connections) and substrate_lldp.c
 * (discovery) share. Private to them and to their tests.
 *
 * Ownership: a `struct sw_impl` belongs to the registry and lives as long as its model object. A `struct sb_conn` is
 * one accepted connection; it belongs to the substrate's list, and points to its switch only once attached (handshake
 * done and datapath id known to the model). Ports belong to the connection that told of them; while attached, sw.ports
 * is a view of them. Loop thread only.
 *
 * A link's life. It is up from the first fresh frame. While both of its switches are connected it needs a frame every
 * interval (the short one, lldp.keepalive_ms) and dies after three missed ones; or after three times as many where
 * nothing replaces it: there a false alarm (a machine that stands still) costs all traffic, and to know late costs
 * nothing. While one of them is not connected no frame could come, and frames still flow through a switch that fails
 * secure: the link is kept for LINK_ORPHAN_NS, so that a short loss of the control connection cuts no traffic. A port
 * that goes down or away, at either end, kills it at once. Dead links are kept to be shown.
 *
 * Holding. After a restart of controllerd the switches still forward by the rules that they have, but no link is known:
 * to tell the layers below of a switch at once would make them take its paths away until LLDP comes round. So a switch
 * that comes with rules, for the first time in this run, is held: it is attached and takes part in discovery, and sw_up
 * is called for all held ones when all their uplinks have links both ways, or when that cannot be waited for
 * (hold_is_over()). One without rules has nothing to lose, and no rule that brings LLDP here; it is up at once.
 */
#ifndef CONTROLLER_SUBSTRATE_IMPL_H
#define CONTROLLER_SUBSTRATE_IMPL_H 1

#include <event2/event.h>
#include "controller/controller.h"
#include "controller/lldp.h"
#include "controller/paths.h"
#include "controller/substrate.h"

#define POLDER_TIMEOUT_NS UINT64_C(5000000000)
#define HANDSHAKE_TIMEOUT_NS UINT64_C(15000000000)
#define LINK_ORPHAN_NS UINT64_C(30000000000)
#define LINK_SOLE_PATIENCE 3
#define STARTUP_HOLD_NS UINT64_C(10000000000)   /* Longer than switches wait between attempts to connect. */
#define MAX_UNKNOWN 64          /* Connections of datapath ids that no model object has; the oldest goes first. */

struct polder_request {
    struct list node;           /* In sb_conn.requests. */
    uint32_t xid;
    uint64_t deadline_ns;
    void (*fn)(const cJSON *result, const struct err *, void *aux);
    void *aux;
};

struct lldp_port {              /* Sending side of one uplink candidate. */
    struct list node;           /* In sw_impl.lldp_ports. */
    uint32_t port_no;
    struct lldp_sent sent;
    uint64_t next_ns;
    uint64_t interval_ns;       /* As last chosen: short while there is a link. */
};

struct sw_device { uint32_t port_no; bool is_dpdk; char *path; };      /* path: of a vhost-user socket, or NULL. */

struct sb_conn {
    struct list node;           /* In substrate.conns, oldest first. */
    struct substrate *substrate;
    struct of_conn *conn;
    struct sw_impl *sw;         /* NULL until attached. */
    uint64_t datapath_id, since_ns;
    bool may_be;                /* Who is at the other end may be this switch: its certificate has been looked at. */
    bool has_features, has_ports, polder_known, devices_known, has_flow_count;
    bool is_vswitchd;
    bool lacks_failover;        /* Said that it has no fast-failover groups. */
    bool devices_asked;         /* A "ports" request is in flight. */
    bool devices_stale;         /* …and something changed since. */
    uint32_t ports_xid, flow_count_xid, groups_xid;
    uint32_t n_flows;           /* At connection. */
    struct sw_port *ports; unsigned n_ports;
    struct sw_device *devices; unsigned n_devices;              /* vswitchd's own account of its ports. */
    struct list requests;
};

struct sw_impl {
    struct sw pub;
    struct substrate *substrate;
    struct sb_conn *sb;         /* NULL unless attached. */
    bool held;                  /* Attached, but sw_up was not called yet. */
    bool was_up;                /* In this run. */
    uint64_t attached_ns;
    struct list lldp_ports;
    unsigned index;             /* In substrate.order. */
    uint64_t component;         /* Lowest datapath id of the edges that it is connected to; 0: to none. */
    bool in_model;              /* Mark of substrate_model_changed(). */
};

struct link_impl {
    struct hmap_node by_sender;
    struct link pub;
    uint64_t interval_ns;       /* In which LLDP is expected. */
    bool held;                  /* Up, but not used yet: see substrate_paths.c. */
    unsigned n_failures;        /* Since it was last in use for long. */
    uint64_t used_since_ns, release_ns;
};
#define LINK_NAME_SIZE (2 * (MODEL_NAME_SIZE + 11) + 2)

struct sb_route {               /* Of a virtual link, in one direction. */
    uint64_t from, to;          /* Datapath ids. */
    char **via; unsigned n_via; /* Names of switches. */
    uint8_t class;
    bool wanted;                /* Mark of substrate_set_routes(). */
    bool tried;                 /* `route` is what there is with the paths of now. */
    struct path_route *route;   /* NULL: none. */
};

struct bound_name { uint64_t datapath_id; char name[16]; };     /* An existing switch port that a tenant's port is bound to. */

enum lldp_fault { FAULT_MALFORMED, FAULT_FORGED, FAULT_STALE, FAULT_WRONG_PORT, N_LLDP_FAULTS };

struct substrate {
    struct controller *controller;
    struct substrate_ops ops;
    void *ops_aux;
    struct lldp_key key;
    struct hmap switches;       /* struct sw_impl by datapath id. */
    struct sw_impl **order; unsigned n_order;                   /* Ascending datapath id. */
    struct hmap links;          /* struct link_impl by (a, port_a). */
    struct paths *paths;        /* NULL: links changed since. */
    bool reach_changed;         /* ops.reach_changed is due. */
    struct sb_route *routes; unsigned n_routes, n_routes_refused;
    uint64_t n_path_computations, ticked_ns;
    uint64_t changed_ns;        /* When ops.links_changed was called last. */
    uint64_t path_ns, path_ns_before;           /* Time spent on paths, ever and until then. */
    unsigned n_uplinks;         /* Candidates that send LLDP in the short interval, as counted in the last round. */
    struct list conns; unsigned n_conns;
    uint64_t started_ns;        /* When listening began. */
    struct stream_listener **listeners; unsigned n_listeners;
    struct tls_config *tls;
    uint64_t n_others_names, n_no_names;        /* Switches refused because of what their certificates name, and do not name: southbound_names.c. */
    struct event *tick, *links_changed;
    struct bound_name *bound; unsigned n_bound;                 /* Sorted. */
    uint64_t n_lldp_sent, n_lldp_received, n_lldp_faults[N_LLDP_FAULTS], n_packet_ins, n_connects;
};

static inline struct sw_impl *sw_impl_of(const struct sw *sw) { return CONTAINER_OF(sw, struct sw_impl, pub); }
/* The place of the port among those of one switch, which ascend, or where it would be. */
static inline unsigned sw_port_place(const struct sw_port *ports, unsigned n, uint32_t port_no)
{
    unsigned low = 0, high = n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ports[middle].of.port_no < port_no) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
static inline uint64_t substrate_now(const struct substrate *s) { return clock_now_ns(&s->controller->clock); }
static inline bool sw_port_is_up(const struct sw_port *p) { return !(p->of.state & OFPPS_LINK_DOWN) && !(p->of.config & OFPPC_PORT_DOWN); }

/* substrate.c */
const char *sw_name(const struct sw *);
struct sw_impl *substrate_find_impl(struct substrate *, uint64_t datapath_id);
struct link_impl *link_find(struct substrate *, const struct sw *a, uint32_t port_a);
struct link_impl *link_reverse(struct substrate *, const struct link_impl *);   /* The other direction of the same cable, or NULL. */
bool link_is_canonical(const struct link_impl *);               /* Of a cable's two directions one is. */
void link_name(const struct link_impl *, char name[LINK_NAME_SIZE]);
void link_seen(struct substrate *, struct sw *a, struct lldp_port *sender, struct sw *b, uint32_t port_b);
void links_kill_port(struct substrate *, const struct sw *, uint32_t port_no);  /* At either end. */
void links_refresh(struct substrate *, struct sw *);            /* After (re)connection: kills those whose port is not there or down, gives the others a new interval. */
void links_expire(struct substrate *);
void links_forgive(struct substrate *, uint64_t gap_ns);        /* The loop stood still for so long. */
/* The links that are up in numbers of substrate.order, held ones only if told so.  The caller's. */
struct paths *substrate_graph(struct substrate *, bool with_held);
void substrate_paths_stale(struct substrate *);                 /* Computed anew before ops.links_changed, which comes soon. */
void substrate_tick(struct substrate *);                        /* What the timer does; tests call it with their own clock. */

/* substrate_paths.c */
struct paths *substrate_paths(struct substrate *);              /* The current ones. */
void substrate_forget_paths(struct substrate *);
void substrate_free_routes(struct substrate *);                 /* At the end. */
void link_failed(struct substrate *, struct link_impl *);       /* It went down. */
void link_back(struct substrate *, struct link_impl *);         /* It came up: held or not. */
void links_release_due(struct substrate *);
void substrate_path_metrics(struct substrate *, struct buf *);

/* southbound.c */
bool southbound_listen(struct substrate *, struct err *);
void southbound_detach(struct sw_impl *, const char *why);      /* sw_down, and the connection is closed. */
void southbound_attach_known(struct substrate *);               /* Connections that waited for the model to know them. */
void southbound_tick(struct substrate *);
void southbound_close(struct substrate *);

/* southbound_names.c: whether who is at the other end, and says so, may be this switch; logs and counts why not. */
bool southbound_may_be(const struct sb_conn *);

/* southbound_ports.c */
void sb_conn_show_ports(struct sb_conn *);                      /* In the switch that is attached, if one is. */
void sb_conn_review_ports(struct sb_conn *);                    /* Candidates again; calls ports_changed when they differ. */
void sb_conn_port_desc(struct sb_conn *, const struct of_msg *reply);
void sb_conn_port_status(struct sb_conn *, uint8_t reason, const struct of_port *);
void sb_conn_ask_devices(struct sb_conn *);                     /* vswitchd: what is behind its ports. */
void sb_conn_free_ports(struct sb_conn *);

/* southbound_request.c */
void polder_request_send(struct sb_conn *, const char *method, cJSON *params /* taken */, void (*fn)(const cJSON *, const struct err *, void *), void *aux);
struct polder_request *polder_request_take(struct sb_conn *, uint32_t xid);     /* Out of the list; to be ended by one of the next two. */
void polder_request_reply(struct polder_request *, const uint8_t *data, unsigned size);
void polder_request_end(struct polder_request *, const cJSON *result, const struct err *);
void polder_requests_fail(struct sb_conn *, enum err_code, const char *why);
void polder_requests_expire(struct sb_conn *);

/* substrate_lldp.c */
bool discovery_init(struct substrate *, struct err *);          /* The key. */
void discovery_review(struct sw_impl *);                        /* One lldp_port for each candidate. */
void discovery_forget(struct sw_impl *);
void discovery_tick(struct substrate *);
uint64_t discovery_keepalive_ns(const struct substrate *);      /* Between LLDP frames on a port that has a link. */
void discovery_hurry(struct substrate *, struct lldp_port *);   /* It has a link now. */
/* True if the frame was discovery's (also a bad one). */
bool discovery_packet_in(struct substrate *, struct sw_impl *, const struct of_packet_in *);
bool discovery_is_candidate(const struct sb_conn *, const struct of_port *);
void discovery_bindings_changed(struct substrate *);

#endif
