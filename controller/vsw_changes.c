/*
 * Changes that the edges have not confirmed: who made them, and the way back.
 *
 * A ring remembers each message that changed something, numbered in order. Once per loop turn a wait begins for all that
 * was changed by then (one at a time, so that a stream of flow-mods costs a wait per round trip, not per message); when
 * it is over those numbers are forgotten. Barriers wait likewise, all of a turn together. A change's error comes before
 * the barrier reply of the batch that carried it, so it is always still remembered, unless more than MAX_CHANGES are
 * under way: then the oldest are forgotten, and their errors reach only the log.
 *
 * The way back leads to what was confirmed last: an entry that was added and modified since then leaves altogether.
 */
#define LOG_MODULE "vsw"
#include "controller/vsw.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "controller/vsw_hold.h"
#include "controller/vsw_stats.h"
#include "lib/log.h"
#include "ofproto/agent.h"

#define MAX_CHANGES 16384u

struct barrier_token { struct list node; void (*done)(void *token); void *token; };

struct vsw_wait {
    struct list node;           /* In vsw.waits. */
    struct vsw *vsw;
    struct confirm *confirm;
    bool covers_changes;
    uint64_t end;               /* Changes below it. */
    struct list barriers;
};

void vsw_changes_init(struct vsw *vsw)
{
    list_init(&vsw->formers);
    list_init(&vsw->waits);
    list_init(&vsw->barriers);
    vsw->first_change = vsw->next_change = 1;
}

static void former_free(struct former *former)
{
    if (former->vflow) {
        former->vflow->former = NULL;
    }
    list_remove(&former->node);
    instructions_fini(&former->instructions);
    free(former);
}

void vflow_forget_former(struct vflow *vflow)
{
    if (vflow->former) {
        former_free(vflow->former);
    }
}

static void forget_below(struct vsw *vsw, uint64_t end)
{
    struct former *former;
    vsw->first_change = MAX(vsw->first_change, end);
    LIST_FOR_EACH (former, node, &vsw->formers) {
        if (former->change >= vsw->first_change) {
            break;
        }
        former_free(former);
    }
    if (vsw->first_change == vsw->next_change && vsw->changes_size > 64) {
        free(vsw->changes);
        vsw->changes = NULL;
        vsw->changes_size = 0;
    }
}

static void grow(struct vsw *vsw)
{
    unsigned size = vsw->changes_size ? 2 * vsw->changes_size : 16;
    struct change *changes = xcalloc(size, sizeof *changes);
    for (uint64_t i = vsw->first_change; i < vsw->next_change; i++) {
        changes[i % size] = vsw->changes[i % vsw->changes_size];
    }
    free(vsw->changes);
    vsw->changes = changes;
    vsw->changes_size = size;
}

void vsw_change_begin(struct vsw *vsw, uint64_t conn, const uint8_t *raw, size_t size)
{
    if (vsw->next_change - vsw->first_change == MAX_CHANGES) {
        forget_below(vsw, vsw->first_change + 1);
    }
    if (vsw->next_change - vsw->first_change == vsw->changes_size) {
        grow(vsw);
    }
    struct change *change = &vsw->changes[vsw->next_change % vsw->changes_size];
    change->conn = conn;
    change->size = (uint16_t) MIN(size, sizeof change->raw);
    memcpy(change->raw, raw, change->size);
    vsw->current = vsw->next_change++;
    vsw_hold_touched(vsw);
    fabric_work(vsw);
}

void vsw_change_former(struct vsw *vsw, struct vflow *vflow, const struct instructions *old, const struct flow_entry *replaced)
{
    const struct vflow *before = replaced ? replaced->aux : vflow;
    struct former *former = before->former;
    if (before->change >= vsw->first_change) {          /* Not confirmed itself: its base is this one's, too. */
        if (!former) {
            return;
        }
        list_remove(&former->node);
        former->vflow->former = NULL;
    } else {
        former = XNEW(struct former);
        instructions_copy(&former->instructions, old);
        if (replaced) {
            former->cookie = replaced->cookie;
            former->flags = replaced->flags;
            former->idle_timeout = replaced->idle_timeout;
            former->hard_timeout = replaced->hard_timeout;
            former->importance = replaced->importance;
        }
    }
    former->replaced |= replaced != NULL;
    former->change = vsw->current;
    former->vflow = vflow;
    vflow->former = former;
    list_push_back(&vsw->formers, &former->node);
}

/* --- The way back --- */

/* False when the change is not remembered: nobody is to be told. */
static bool tell(struct vsw *vsw, uint64_t number, struct of_error error)
{
    if (number < vsw->first_change || !vsw->agent) {
        return number >= vsw->first_change;
    }
    const struct change *change = &vsw->changes[number % vsw->changes_size];
    of_agent_error(vsw->agent, &(struct of_request) { change->conn, change->raw, change->size }, error);
    return true;
}

static void undo_entry(struct vsw *vsw, struct flow_entry *entry, const struct former *former)
{
    struct of_flow_mod mod;
    of_flow_mod_init(&mod);
    minimatch_expand(entry->match, &mod.match);
    mod.table_id = entry->table_id;
    mod.priority = entry->priority;
    mod.command = !former ? OFPFC_DELETE_STRICT : former->replaced ? OFPFC_ADD : OFPFC_MODIFY_STRICT;
    if (former) {
        instructions_copy(&mod.instructions, &former->instructions);
        mod.cookie = former->cookie;
        mod.flags = former->flags;
        mod.idle_timeout = former->idle_timeout;
        mod.hard_timeout = former->hard_timeout;
        mod.importance = former->importance;
    }
    vsw->undoing = true;
    struct of_error error = flow_tables_mod(vsw->flows, &mod);
    if (!of_ok(error)) {                                /* A group that it used is gone meanwhile: then so is the entry. */
        mod.command = OFPFC_DELETE_STRICT;
        flow_tables_mod(vsw->flows, &mod);
    }
    vsw->undoing = false;
    instructions_fini(&mod.instructions);
}

void vsw_refused_entry(struct vsw *vsw, uint32_t number, struct of_error error)
{
    struct vflow *vflow = vsw_find_number(vsw, number);
    if (!vflow || !tell(vsw, vflow->change, error)) {
        return;                                         /* Undone already, or nobody's change: reconcile shows the rule as failed. */
    }
    vflow->change = 0;
    undo_entry(vsw, vflow->entry, vflow->former);
}

struct users { struct vsw *vsw; uint32_t *numbers; unsigned n; };

static void collect_user(struct flow_entry *entry, void *users_)
{
    struct users *users = users_;
    users->numbers = xrealloc(users->numbers, (users->n + 1) * sizeof *users->numbers);
    users->numbers[users->n++] = ((const struct vflow *) entry->aux)->number;
}

void vsw_refused_group(struct vsw *vsw, uint32_t physical, struct of_error error)
{
    struct vgroup *vgroup = vsw_find_group(vsw, physical);
    if (!vgroup || !tell(vsw, vgroup->change, error)) {
        return;
    }
    struct of_group_mod mod = { .command = OFPGC_MODIFY, .group_id = vgroup->group->id, .type = vgroup->former.type };
    if (vgroup->former.buckets) {
        mod.buckets = vgroup->former.buckets;
        mod.n_buckets = vgroup->former.n;
        vgroup->former = (struct group_content) { 0 };
    } else {
        struct of_flow_filter filter;
        struct users users = { .vsw = vsw };
        of_flow_filter_init(&filter);
        filter.out_group = vgroup->group->id;
        flow_tables_each(vsw->flows, &filter, false, collect_user, &users);
        for (unsigned i = 0; i < users.n; i++) {
            vsw_refused_entry(vsw, users.numbers[i], OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP));
        }
        free(users.numbers);
        mod.command = OFPGC_DELETE;
    }
    vgroup->change = 0;
    vsw->undoing = true;
    struct of_error undone = group_table_mod(vsw->groups, &mod);
    vsw->undoing = false;
    of_buckets_free(mod.buckets, mod.n_buckets);
    if (!of_ok(undone)) {
        LOG_RATE(LOG_WARN, 10, "%s: group %u, which an edge refused, is still used by another", vsw->network->name, mod.group_id);
    }
}

void vsw_refused_meter(struct vsw *vsw, uint32_t physical, struct of_error error)
{
    if (physical == vsw->packet_in_meter || physical > TENANT_METER_MAX) {
        if (!vsw->unmetered) {
            LOG(LOG_WARN, "%s: an edge takes no meter for packet-ins; they are limited by its own limit only, and by controllerd", vsw->network->name);
            vsw->unmetered = vsw->dirty = true;
            fabric_entries_changed(vsw);
        }
        return;
    }
    struct vmeter *vmeter = vsw_find_meter(vsw, physical);
    if (!vmeter || !tell(vsw, vmeter->change, error)) {
        return;
    }
    struct of_meter_mod mod = { .command = OFPMC_DELETE, .meter_id = vmeter->meter->id };
    vmeter->change = 0;
    vsw->undoing = true;
    flow_tables_meter_deleted(vsw->flows, mod.meter_id);
    meter_table_mod(vsw->meters, &mod);
    vsw->undoing = false;
}

/* --- Waiting --- */

static void end_barriers(struct list *barriers)
{
    struct barrier_token *barrier;
    LIST_FOR_EACH (barrier, node, barriers) {
        list_remove(&barrier->node);
        barrier->done(barrier->token);
        free(barrier);
    }
}

static void confirmed(void *wait_)
{
    struct vsw_wait *wait = wait_;
    struct vsw *vsw = wait->vsw;
    list_remove(&wait->node);
    if (wait->covers_changes) {
        vsw->confirming = false;
        forget_below(vsw, wait->end);
        if (vsw->first_change < vsw->next_change) {
            fabric_work(vsw);
        }
    }
    end_barriers(&wait->barriers);
    free(wait);
}

void vsw_barrier(struct vsw *vsw, void (*done)(void *token), void *token)
{
    struct barrier_token *barrier = XNEW(struct barrier_token);
    barrier->done = done;
    barrier->token = token;
    list_push_back(&vsw->barriers, &barrier->node);
    fabric_work(vsw);
}

/* Takes the barriers. */
static void move_barriers(struct list *from, struct list *to)
{
    struct barrier_token *barrier;
    LIST_FOR_EACH (barrier, node, from) {
        list_remove(&barrier->node);
        list_push_back(to, &barrier->node);
    }
}

static void wait_for_edges(struct vsw *vsw, struct list *barriers, bool changes)
{
    struct vsw_wait *wait = XNEW(struct vsw_wait);
    wait->vsw = vsw;
    wait->covers_changes = changes;
    wait->end = vsw->next_change;
    vsw->confirming |= changes;
    list_init(&wait->barriers);
    move_barriers(barriers, &wait->barriers);
    list_push_back(&vsw->waits, &wait->node);
    struct confirm *confirm = reconcile_confirm(vsw->controller->reconcile, vsw->edges, vsw->n_edges, confirmed, wait);
    if (confirm) {
        wait->confirm = confirm;
    }
}

/* --- Resets of counters --- */

static void reset_is_read(void *vsw) { ((struct vsw *) vsw)->n_reading_resets--; }

/* Barriers behind a reset: until then what was counted before could be taken for what is counted since. */
struct behind_reset { struct vsw *vsw; struct list barriers; };

static void before_is_known(void *behind_)
{
    struct behind_reset *behind = behind_;
    wait_for_edges(behind->vsw, &behind->barriers, false);
    free(behind);
}

static void read_resets(struct vsw *vsw)
{
    if (vsw->resets) {
        vsw->n_reading_resets++;
        vsw_stats_refresh(vsw->fabric->stats, vsw, VSW_STATS_FLOWS, reset_is_read, vsw);
        vsw->resets = false;
    }
    if (vsw->n_reading_resets && !list_empty(&vsw->barriers)) {
        struct behind_reset *behind = XNEW(struct behind_reset);
        behind->vsw = vsw;
        list_init(&behind->barriers);
        move_barriers(&vsw->barriers, &behind->barriers);
        vsw_stats_after(vsw->fabric->stats, vsw, before_is_known, behind);
    }
}

void vsw_changes_turn(struct vsw *vsw)
{
    bool changes = !vsw->confirming && vsw->first_change < vsw->next_change;
    vsw->current = 0;
    read_resets(vsw);
    if (changes || !list_empty(&vsw->barriers)) {
        wait_for_edges(vsw, &vsw->barriers, changes);
    }
}

void vsw_changes_fini(struct vsw *vsw)
{
    struct vsw_wait *wait;
    LIST_FOR_EACH (wait, node, &vsw->waits) {
        confirm_cancel(wait->confirm);
        list_remove(&wait->node);
        end_barriers(&wait->barriers);                  /* The agent has forgotten them. */
        free(wait);
    }
    end_barriers(&vsw->barriers);
    forget_below(vsw, vsw->next_change);
    assert(list_empty(&vsw->formers));
    free(vsw->changes);
}
