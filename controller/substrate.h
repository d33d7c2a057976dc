/*
 * The substrate: switches that connect southbound, their ports, links between them, paths.
 *
 * A `struct sw` exists for each edge and fabric switch of the model, connected or not (and only for those: a switch
 * with an unknown datapath id is kept waiting and shown as a hint in the API). OpenFlow 1.3. On connect: features, port
 * descriptions, Polder "features" request (vswitchd or not); then `sw_up`. Discovery: LLDP frames (IEEE 802.1AB) by
 * packet-out on every port that may be a physical link, with chassis = datapath id, port = port number, TTL, and an
 * organisationally specific TLV holding a sequence number and an HMAC-SHA-256 over all of these with the site's key: a
 * frame whose MAC does not verify, whose sequence is stale (replay), is no link and is counted. A link dies after three
 * missed intervals, in either direction, or at once with its port. Candidate ports: for vswitchd, ports of type "dpdk"
 * (from the Polder ports request); for others, all ports; never one bound to a tenant's port.
 */
#ifndef CONTROLLER_SUBSTRATE_H
#define CONTROLLER_SUBSTRATE_H 1

#include "controller/paths.h"
#include "lib/hmap.h"
#include "ofproto/of_conn.h"
#include "tenants/model.h"

struct controller;
struct substrate;

struct sw_port { struct of_port of; bool is_uplink_candidate; bool has_link; };  /* has_link: an authenticated link ends here. */
struct sw {
    struct hmap_node by_dpid;
    uint64_t datapath_id;
    struct edge *edge;          /* Model object (edge or fabric switch). */
    bool is_fabric;
    bool connected;             /* Handshake complete. */
    bool is_vswitchd;           /* Answered the Polder features request. */
    bool lacks_failover;        /* Has no fast-failover groups: they are optional in OpenFlow 1.3. */
    struct of_conn *conn;       /* NULL unless connected, or about to be (see substrate_impl.h, holding). */
    struct sw_port *ports; unsigned n_ports;                    /* Ascending port number. */
    char peer[64];
    uint64_t connected_ns;
    void *rules;                /* reconcile's state for the switch. */
};
struct link { struct sw *a, *b; uint32_t port_a, port_b; bool up; uint64_t last_seen_ns, since_ns; }; /* Directed: a/port_a → b/port_b was seen. */

struct substrate_ops {          /* What the layers below this one hear; aux is theirs. */
    void (*sw_up)(struct sw *, void *aux);
    void (*sw_down)(struct sw *, void *aux);
    void (*ports_changed)(struct sw *, void *aux);              /* Also uplink candidates. */
    void (*links_changed)(void *aux);
    void (*packet_in)(struct sw *, struct of_packet_in *, void *aux);     /* LLDP already taken out. */
    /* Replies and errors to what reconcile and others sent: matched by xid. Return true if taken. */
    bool (*reply)(struct sw *, struct of_msg *, void *aux);
    void (*reach_changed)(void *aux);                           /* Some edges reach each other that did not, or no longer. After links_changed. May be NULL. */
};

struct substrate *substrate_new(struct controller *, const struct substrate_ops *, void *aux, struct err *);
void substrate_free(struct substrate *);
void substrate_close(struct substrate *);                       /* At the end: stops listening, closes all connections (sw_down, requests fail). */
bool substrate_listen(struct substrate *, struct err *);        /* Starts listening on config.openflow_listen. */
void substrate_model_changed(struct substrate *);               /* Edges or fabric switches came or went. */
void substrate_forget(struct substrate *, uint64_t datapath_id);/* Before a commit that deletes the object: sw_down while sw->edge still lives, then the sw is freed. */
void substrate_bindings_changed(struct substrate *);            /* After a commit that bound or unbound ports: those are no uplink candidates. */
struct sw *substrate_find(struct substrate *, uint64_t datapath_id);
void substrate_each(struct substrate *, void (*fn)(struct sw *, void *aux), void *aux);
void substrate_each_link(struct substrate *, void (*fn)(const struct link *, void *aux), void *aux);
/* neighbours.c: the edges next to an edge, over links that are up in both directions; a model_neighbours_fn whose aux is the controller. */
void substrate_neighbours(const struct edge *from, void (*found)(const struct edge *, void *), void *found_aux, void *controller);
struct sw_port *sw_port_find(struct sw *, uint32_t port_no);
struct sw_port *sw_port_by_name(struct sw *, const char *name);
/* The vhost-user socket behind a vswitchd's port; NULL when there is none or it is not known (yet). */
const char *sw_port_socket(const struct sw *, uint32_t port_no);
/* Whether frames get from one edge to the other (true for from == to): over which class makes no difference, for a route that is cut gives way to the default path. */
bool substrate_reachable(struct substrate *, const struct sw *from, const struct sw *to);

/*
 * What a switch does with frames for the edge `to` that bear this path class: the first choice whose port is live
 * (controller/paths.h). `local`: those that the switch, an edge, sends itself; they leave with class `send_as`. Else
 * those that arrive on in_port, or (0) on a port that no other rule of the class names. A choice whose out_port is
 * in_port sends the frame back.
 */
struct path_rule { const struct edge *to; uint8_t class, send_as; bool local; uint32_t in_port; const struct path_choices *choices; };
void substrate_each_path(struct substrate *, const struct sw *at, void (*fn)(const struct path_rule *, void *aux), void *aux);
/* What class 0 stands for where `from` sends: 0 or 1. */
uint8_t substrate_default_class(struct substrate *, const struct sw *from, const struct sw *to);
/* The whole path of a class, for trace and status: hops from `from` (in_port 0) to `to` (out_port 0), both included; returns the number of hops, 0 when there is
 * no path. The backup of class 0 is class 1 and vice versa, a route's is the default. */
struct hop { struct sw *sw; uint32_t in_port, out_port; };
unsigned substrate_path(struct substrate *, const struct sw *from, const struct sw *to, uint8_t class, struct hop *out, unsigned max);
/* Links changed, and the layers below have not been told yet (the next loop turn does it). */
bool substrate_busy(const struct substrate *);

/*
 * Routes of virtual links, one for each direction: all that are wanted now. Equal ones share a class (2 to 255 of the
 * edge `to`), those that nobody wants any more are withdrawn. Strings are copied. Returns how many found no free
 * class; these take the default path.
 */
struct route_wish { const struct sw *from, *to; char *const *via; unsigned n_via; };
unsigned substrate_set_routes(struct substrate *, const struct route_wish *, unsigned n);
uint8_t substrate_route_class(struct substrate *, const struct sw *from, const struct sw *to, char *const *via, unsigned n_via);    /* 0: none, the default path. */
/* Uses a held cable from now on; name as in substrate_links_json(). ERR_NOT_FOUND. */
bool substrate_restore(struct substrate *, const char *name, struct err *);
/* A Polder request to a vswitchd: fn gets the result (or err) later, also when the switch goes away; 5 s time-out. */
void sw_polder_request(struct sw *, const char *method, cJSON *params /* taken, may be NULL */, void (*fn)(const cJSON *result, const struct err *, void *aux), void *aux);
/* Datapath ids that tried to connect and are in no model object, for `get edges`' hint. */
cJSON *substrate_unknown_json(struct substrate *);
cJSON *substrate_links_json(struct substrate *);
void substrate_metrics(struct substrate *, struct buf *);
#endif
