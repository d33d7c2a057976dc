/*
 * What each switch should hold, by owner; and the diff line that makes it so.
 *
 * A rule's identity on a switch is (table, priority, match); a group's is its id. Each is put by one owner (a network,
 * the substrate's own rules), and an owner replaces its whole contribution to one switch in a pass: ruleset_begin(),
 * ruleset_flow()/ruleset_group() …, ruleset_end(), which keeps what did not change, and hands what did to reconcile as
 * add, change, delete. Two owners with one identity is a bug of the compiler (assert): every tenant rule matches its
 * own virtual switch.
 *
 * An owner whose content is large and changes a little at a time (the entries of a virtual switch) edits it instead:
 * ruleset_edit_begin(), any of ruleset_flow(), ruleset_flow_gone() …, ruleset_edit_end(); what is not named stays. The
 * entries of a network have an owner of their own, OWNER_ENTRIES, so that a pass over its transport does not sweep them.
 *
 * Reconcile (reconcile.c) is the only writer to switches. For each connected switch: groups before the groups and flows
 * that use them, adds before deletes, in one batch closed by a barrier; a few batches may be in flight; groups and meters
 * are deleted once the switch has confirmed that nothing uses them; errors come home by xid. On connect the switch's flows,
 * groups and meters are read and the smallest diff is sent; the same audit runs now and then.
 * Desired vhost ports are reconciled by Polder requests in the same way.
 */
#ifndef CONTROLLER_RULESET_H
#define CONTROLLER_RULESET_H 1

#include <cjson/cJSON.h>
#include "ofproto/of_msg.h"

struct sw;
struct controller;
struct rulesets;
struct reconcile;

struct rulesets *rulesets_new(struct controller *);
void rulesets_free(struct rulesets *);
#define OWNER_SUBSTRATE 0u      /* Owners above are network ids (below 2^24), or */
#define OWNER_ENTRIES(NETWORK) (UINT32_C(0x80000000) | (NETWORK))
#define OWNER_NETWORK(OWNER) ((OWNER) & UINT32_C(0x7fffffff))
void ruleset_begin(struct rulesets *, uint64_t datapath_id, uint32_t owner);
/* Content is copied. cookie: any number, 0 excluded. */
void ruleset_flow(struct rulesets *, uint8_t table, uint16_t priority, const struct match *, uint64_t cookie, const struct instructions *);
/* The same with flow-mod flags: OFPFF_SEND_FLOW_REM makes the switch tell the rule's counters when it leaves; OFPFF_RESET_COUNTS
 * has the rule sent, changed or not, and count from zero; RULE_BEGINS: what takes the place of another cookie's rule counts from zero, else it goes on with
 * that one's counters.  A reset holds until it is sent, whatever is put meanwhile. */
#define RULE_BEGINS 0x8000
/* With both: when another cookie's rule takes its place and counts from zero, it is deleted first, so that the switch tells what it had counted (an add that
 * replaces is silent, section 6.4). For rules in whose absence the same happens to frames as in their presence, or to which what comes next is new. */
#define RULE_TELLS 0x4000
void ruleset_flow_flags(struct rulesets *, uint8_t table, uint16_t priority, const struct match *, uint64_t cookie, uint16_t flags, const struct instructions *);
/* The same; takes what the instructions own, and leaves them empty. */
void ruleset_flow_take(struct rulesets *, uint8_t table, uint16_t priority, const struct match *, uint64_t cookie, uint16_t flags, struct instructions *);
void ruleset_group(struct rulesets *, uint32_t group_id, enum of_group_type, const struct of_bucket *, unsigned n);
void ruleset_meter(struct rulesets *, uint32_t meter_id, uint16_t flags, const struct of_meter_band *, unsigned n);
/* A vhost-user port that the switch (a vswitchd) should have. */
void ruleset_port(struct rulesets *, const char *name, const char *role, unsigned queues);
void ruleset_end(struct rulesets *);
void ruleset_edit_begin(struct rulesets *, uint64_t datapath_id, uint32_t owner);
/* Withdraws the owner's rule if it has this cookie: not when another entry with the same identity has taken its place.
 * True if the switch is connected and has the rule, or is about to: it will tell when the rule is gone, if OFPFF_SEND_FLOW_REM is among its flags. */
bool ruleset_flow_gone(struct rulesets *, uint8_t table, uint16_t priority, const struct match *, uint64_t cookie);
void ruleset_group_gone(struct rulesets *, uint32_t group_id);
void ruleset_meter_gone(struct rulesets *, uint32_t meter_id);
void ruleset_edit_end(struct rulesets *);
void ruleset_drop_switch(struct rulesets *, uint64_t datapath_id);         /* The switch left the model. */
unsigned ruleset_count(const struct rulesets *, uint64_t datapath_id);
/* All desired flows of a switch, for tests and the oracle. */
void ruleset_each(const struct rulesets *, uint64_t datapath_id, void (*fn)(uint8_t table, uint16_t priority, const struct match *, uint64_t cookie,
                  const struct instructions *, uint32_t owner, void *aux), void *aux);

void ruleset_each_group(const struct rulesets *, uint64_t datapath_id,
                        void (*fn)(uint32_t id, enum of_group_type, const struct of_bucket *, unsigned n, uint32_t owner, void *aux), void *aux);
void ruleset_each_meter(const struct rulesets *, uint64_t datapath_id,
                        void (*fn)(uint32_t id, uint16_t flags, const struct of_meter_band *, unsigned n, uint32_t owner, void *aux), void *aux);

struct reconcile *reconcile_new(struct controller *);
void reconcile_free(struct reconcile *);
void reconcile_sw_up(struct reconcile *, struct sw *);
void reconcile_sw_down(struct reconcile *, struct sw *);
bool reconcile_reply(struct reconcile *, struct sw *, struct of_msg *);    /* From substrate_ops.reply. */
void reconcile_kick(struct reconcile *);                        /* Look again at what waits. */
/* Counts the passes that changed something: what is desired now, for reconcile_wait(). */
uint64_t ruleset_sequence(const struct rulesets *);
/* Every switch that any change after `since` (a ruleset_sequence()) touched has confirmed all that it should hold (fn
 * with err NULL), or the time is over (ERR_TIMEOUT naming a switch and what it lacks). A switch that nothing touched
 * keeps nobody waiting, connected or not. since 0: all switches. */
void reconcile_wait(struct reconcile *, uint64_t since, unsigned timeout_ms, void (*fn)(const struct err *, void *aux),
                    void *aux);
/* The same for one owner's rules on the switches that are connected now: what is not connected cannot forward either. */
void reconcile_wait_owner(struct reconcile *, uint32_t owner, unsigned timeout_ms, void (*fn)(const struct err *, void *aux), void *aux);
/* Whether everything that is desired of the switch from now on reaches it behind what was desired before: it is connected and has been read, and nothing is to be
 * deleted that has not been sent, as a batch deletes last, and what takes the room in a full table must not be in the same one. */
bool reconcile_in_order(const struct reconcile *, uint64_t datapath_id);
/* Compares what the switch has with what it should have, soon. */
void reconcile_read_again(struct reconcile *, uint64_t datapath_id);
/* Sends what is to be sent to the switch now, not at the end of the loop turn: a packet-out follows. */
void reconcile_flush(struct reconcile *, uint64_t datapath_id);
/* A confirmation: fn is called, from the loop or at once, when each of the switches has confirmed what it should hold by now. A switch that is not connected, or loses
 * its connection meanwhile, is not waited for. O(n) here and O(1) per switch later, however many rules and other waits there are. */
struct confirm;
struct confirm *reconcile_confirm(struct reconcile *, const uint64_t *datapath_ids, unsigned n, void (*fn)(void *aux), void *aux);   /* NULL: fn was called already. */
void confirm_cancel(struct confirm *);
/* Per switch: {"state":"in-sync|syncing|failed|disconnected","rules":N,"groups":N,"failed":N}, "missing" while syncing, "last_error" while rules are refused. */
cJSON *reconcile_json(struct reconcile *, const struct sw *);
void reconcile_metrics(struct reconcile *, struct buf *);
#endif
