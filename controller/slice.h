/*
 * Slices: the tenant's side of virtual switches.
 *
 * Each virtual switch has one OpenFlow agent (ofproto/agent.h): connections out to the slice's controllers, and
 * listening where the virtual switch says. Its backend (vsw_agent.c) is the virtual switch; packet-ins of its rules and
 * groups come in here, attributed by what the switch tells of the frame's context (registers), never by what is in the
 * frame. Loop thread only.
 */
#ifndef CONTROLLER_SLICE_H
#define CONTROLLER_SLICE_H 1

#include <cjson/cJSON.h>
#include "controller/vsw.h"
#include "ofproto/agent.h"

struct fabric;

/* vsw_agent.c */
extern const struct of_backend_ops vsw_backend_ops;             /* aux: the vsw. */
/* Where a packet-out runs (NULL: nowhere now), and the actions that the edge gets, appended. */
struct of_error vsw_packet_out(const struct vsw *, const struct of_packet_out *, const struct edge **, struct actions *);
/* What a packet-in of an edge is to the tenant; data stays lent. NULL: it is no slice's, or its port wants none. */
struct vsw *slice_packet_in_read(const struct fabric *, const struct of_packet_in *, struct of_packet_in *out);
/* Hands it to the virtual switch's controllers. */
void slice_packet_in(struct fabric *, const struct of_packet_in *);

/* slice.c: makes the agent what the model wants, after a change of the network: none, a new one when what it tells of the switch changed, or the same with other
 * controllers and listeners, and the connections of those that stay. */
void slice_agent_update(struct vsw *);
void slice_agent_close(struct vsw *);
/* Tries again what could not listen. */
void slice_agent_retry(struct fabric *);
/* {"datapath_id", "controllers": [{"peer","role","state",…}], "flow_entries", "groups", "meters", "physical_entries", …} into `json`. */
void slice_status_json(const struct vsw *, cJSON *json);
#endif
