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
/* A packet-in that a rule of a slice made; frames of no slice are dropped. */
void slice_packet_in(struct fabric *, const struct of_packet_in *);

/* slice.c: makes the agent what the model wants: none, or a new one when its targets changed. After a change of the network. */
void slice_agent_update(struct vsw *);
void slice_agent_close(struct vsw *);
/* Tries again what could not listen. */
void slice_agent_retry(struct fabric *);
/* {"datapath_id", "controllers": [{"peer","role","state",…}], "flow_entries", "groups", "meters", "physical_entries", …} into `json`. */
void slice_status_json(const struct vsw *, cJSON *json);
#endif
