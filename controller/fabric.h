/*
 * The compiler's front: networks and substrate in, rulesets out. Hears of every change and recompiles what it touches,
 * no more.
 */
#ifndef CONTROLLER_FABRIC_H
#define CONTROLLER_FABRIC_H 1

#include "controller/substrate.h"
#include "ofproto/of_msg.h"

struct fabric;
struct fabric *fabric_new(struct controller *);
void fabric_free(struct fabric *);
void fabric_networks_changed(struct fabric *, const uint32_t *network_ids, unsigned n);    /* After commit; ids may be gone. */
void fabric_slice_changed(struct fabric *, const struct slice *);      /* After fabric_networks_changed(): its controllers may be others. */
void fabric_substrate_changed(struct fabric *);                 /* Model's edges or fabric switches. After substrate_model_changed(). */
void fabric_load(struct fabric *);                              /* Everything, at start. */
void fabric_sw_up(struct fabric *, struct sw *);
void fabric_sw_down(struct fabric *, struct sw *);
void fabric_ports_changed(struct fabric *, struct sw *);
void fabric_links_changed(struct fabric *);
void fabric_reach_changed(struct fabric *);                     /* Which edges reach each other. */
void fabric_packet_in(struct fabric *, struct sw *, struct of_packet_in *);
/* A switch refused an entry, group or meter of a virtual switch; number: the entry's, or the physical id of the group or meter. */
enum refused_kind { REFUSED_ENTRY, REFUSED_GROUP, REFUSED_METER };
void fabric_refused(struct fabric *, uint32_t network, enum refused_kind, uint32_t number, struct of_error);
/* Something is waiting to be compiled (the next loop turn does it). */
bool fabric_busy(const struct fabric *);
/* A reply that reconcile did not take (statistics that interning asked for). True if taken. */
bool fabric_reply(struct fabric *, struct sw *, struct of_msg *);
/* GET /v1/trace: asynchronous (asks the edges' vswitchds); result is the caller's to delete. `to`: an IP address; from a slice's port a MAC address, too. */
void fabric_trace(struct fabric *, const char *port, const char *to, void (*fn)(cJSON *result, const struct err *, void *aux), void *aux);
/* What compiling knows of API objects' status. Ports: {"state":"up|down|pending|edge-down|unbound","device","edge_port"}; networks: {"ports","ports_up","flow_entries",
 * "interned_pairs"}; NULL for other kinds. */
cJSON *fabric_status_json(struct fabric *, enum model_kind, const void *object);
/* Adds "pairs" to model_whois()'s answer about an interned id: each network has ids of its own, so several may have given it. */
void fabric_whois(const struct fabric *, cJSON *answer);
void fabric_metrics(struct fabric *, struct buf *);
#endif
