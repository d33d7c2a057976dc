/*
 * OpenFlow 1.0 (wire version 1): the 12-tuple match, its own actions, bodies and statistics.
 *
 * Everything is turned into the structs of of_msg.h, so nothing behind the codec knows 1.0. What those say and 1.0
 * cannot: a match keeps what fits the 12-tuple; an instruction list is its apply-actions, a goto is resubmit(,table) as
 * Open vSwitch writes it; actions of later versions go as Nicira's actions where there is one, else they are left out.
 * Controllers that want to see all of it use Nicira's forms (NXST_FLOW, NXT_FLOW_MOD). Pure; any thread.
 */
#ifndef OFPROTO_OF10_H
#define OFPROTO_OF10_H 1

#include "ofproto/of_msg.h"

#define OF10_MATCH_SIZE 40

void of10_match_decode(struct cursor *, struct match *);         /* A short cursor fails. */
void of10_match_encode(const struct match *, struct buf *);
/* The whole cursor; out is initialised, and empty on error. */
struct of_error of10_actions_decode(struct cursor, struct actions *);
void of10_actions_encode(const struct actions *, struct buf *);
/* All of the cursor, as an apply-actions instruction. */
struct of_error of10_instructions_decode(struct cursor, struct instructions *);
void of10_instructions_encode(const struct instructions *, struct buf *);
/* `command` of a flow-mod: the upper byte is a table for those that use NXT_FLOW_MOD_TABLE_ID. */
struct of_error of10_command_get(uint16_t command, struct of_flow_mod *);
/* What both forms of a flow-mod have behind the match: flags are checked, actions decoded. */
struct of_error of10_flow_mod_rest(struct cursor *, struct of_flow_mod *);
uint16_t of10_flags_put(uint16_t flags);

#endif
