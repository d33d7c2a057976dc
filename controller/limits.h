/*
 * What a tenant's controllers and machines may ask of controllerd: its rates, and its share of the loop.
 *
 * Each tenant has budgets (budget.h) for changes, packet-ins and connections, each virtual switch one more for changes. A change is a message that
 * alters something, a packet-out, or one that cannot be decoded. When a budget is in debt, the virtual switch's connections are held: nothing is read
 * until the debt is paid (for 10 ms at least: letting go has its price, too), so the sender is slowed down by TCP and costs nothing. Packet-ins above
 * the rate are dropped: first by a meter on each edge (compile.c), so that a flood does not reach controllerd at all, and here, over all edges.
 * Connections above the rate are closed at once, and the listener rests. Beside the rates, the time that handling messages takes is shared
 * (ofproto/of_share.h), by tenant.
 */
#ifndef CONTROLLER_LIMITS_H
#define CONTROLLER_LIMITS_H 1

#include "controller/vsw.h"
#include "lib/buf.h"

struct limits;
struct limits *limits_new(struct fabric *);
void limits_free(struct limits *);
void limits_tenant_init(struct fabric *, struct usage *);
/* Before the virtual switch's agent is made, and after it is gone. */
void limits_vsw_init(struct vsw *);
void limits_vsw_fini(struct vsw *);
/* A change has been read, or is about to be carried out: may hold the virtual switch. */
void limits_change(struct vsw *);
/* Whether a packet-in may be handed to the tenant; else it is counted as dropped. */
bool limits_packet_in(struct vsw *);
/* Whether a connection may stay; else none is accepted for *pause_ms. */
bool limits_accept(struct vsw *, unsigned *pause_ms);
/* A controller's certificate was refused: counted and logged. */
void limits_peer_refused(struct vsw *, const char *peer, const char *why);
/* The packet-ins a second that an edge's meter lets through for the virtual switch. */
uint32_t limits_packet_in_rate(const struct vsw *);
/* Into a virtual switch's status: "held", and "packet_ins_dropped" of the tenant. */
void limits_status_json(const struct vsw *, cJSON *);
void limits_metrics(struct fabric *, struct buf *);
#endif
