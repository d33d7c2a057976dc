/*
 * Bundles in the datapath: many changes that become visible in one store.
 *
 * While a bundle is at work, what the flow and group tables do is carried out under the next version
 * (vswitch/classifier.h): new rules are in the classifier but seen by nobody, removed ones are marked and stay, groups
 * lie over the former ones in their slots.  A list remembers each step in order.  Commit publishes the version and then
 * retires what it removed; abort walks the list backwards.  Between the two nothing else happens on the control thread,
 * so no other change comes in between.
 *
 * A rule that a committed bundle removed is taken out of the classifier after the grace period only: a packet on its
 * way with the former version still finds it.
 */
#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"

enum step_kind { STEP_INSERT, STEP_REMOVE, STEP_GROUP };

struct step {
    enum step_kind kind;
    int reason;                 /* REMOVE */
    struct flow_entry *entry;
    struct dp_rule *rule;
    struct group_slot *slot;
    struct dp_group *group;     /* GROUP: what was put on top, */
    struct dp_group *replaced;  /* and the group (no marker) that it lies over, or NULL. */
    bool gone;                  /* GROUP: `group` is the marker of a deletion. */
};

struct dp_stage { uint64_t version; struct step *v; size_t n, room; };

static struct step *add_step(struct dp *dp, enum step_kind kind)
{
    struct dp_stage *st = dp->stage;
    if (st->n == st->room) {
        st->room = st->room ? 2 * st->room : 64;
        st->v = xrealloc(st->v, st->room * sizeof st->v[0]);
    }
    struct step *s = &st->v[st->n++];
    *s = (struct step) { .kind = kind };
    return s;
}

uint64_t dp_stage_version(const struct dp *dp)
{
    return dp->stage ? dp->stage->version : 0;
}

void dp_stage_insert(struct dp *dp, struct flow_entry *entry)
{
    struct step *s = add_step(dp, STEP_INSERT);
    s->entry = entry;
    s->rule = entry->aux;
}

void dp_stage_remove(struct dp *dp, struct flow_entry *entry, int reason)
{
    struct step *s = add_step(dp, STEP_REMOVE);
    s->entry = entry;
    s->rule = entry->aux;
    s->reason = reason;
    atomic_store_explicit(&s->rule->cls.removed, dp->stage->version, memory_order_relaxed);
}

void dp_stage_group(struct dp *dp, struct group_slot *slot, struct dp_group *g)
{
    if (!g) {
        g = XNEW(struct dp_group);
        g->gone = true;
        g->type = OFPGT_ALL;
    }
    g->version = dp->stage->version;
    g->previous = atomic_load_explicit(&slot->current, memory_order_relaxed);
    struct step *s = add_step(dp, STEP_GROUP);
    s->slot = slot;
    s->group = g;
    s->gone = g->gone;
    s->replaced = g->previous && !g->previous->gone ? g->previous : NULL;
    atomic_store_explicit(&slot->current, g, memory_order_release);
}

void dp_bundle_begin(struct dp *dp)
{
    assert(!dp->stage);
    dp->stage = XNEW(struct dp_stage);
    dp->stage->version = atomic_load_explicit(&dp->version, memory_order_relaxed) + 1;
}

static void end_stage(struct dp *dp)
{
    free(dp->stage->v);
    free(dp->stage);
    dp->stage = NULL;
}

/* After the grace period. */
struct leaving { struct dp *dp; struct dp_rule *rule; struct group_slot *slot; struct dp_group *marker; };

static void rule_leaves(void *leaving_)
{
    struct leaving *l = leaving_;
    dp_rule_unlink(l->dp, l->rule);
    dp_rule_retire(l->dp, l->rule);
    free(l);
}

/* The slot is empty again, unless a later group has come on top of the marker. */
static void marker_leaves(void *leaving_)
{
    struct leaving *l = leaving_;
    struct dp_group *top = l->marker;
    atomic_compare_exchange_strong(&l->slot->current, &top, NULL);
    dp_defer(free, l->marker, l->dp);
    group_slot_put(l->dp, l->slot);
    free(l);
}

static struct leaving *leaving_new(struct dp *dp)
{
    struct leaving *l = XNEW(struct leaving);
    l->dp = dp;
    return l;
}

static void complete(struct dp *dp, const struct step *s)
{
    struct leaving *l;
    switch (s->kind) {
    case STEP_INSERT:
        break;
    case STEP_REMOVE:
        if (s->reason >= 0 && s->entry->flags & OFPFF_SEND_FLOW_REM && dp->ops.flow_removed) {
            dp->ops.flow_removed(s->entry, (uint8_t) s->reason, dp->aux);
        }
        l = leaving_new(dp);
        l->rule = s->rule;
        dp_defer(rule_leaves, l, dp);
        break;
    case STEP_GROUP:
        if (s->replaced) {              /* Only what the step itself noted: a later step may have retired s->group. */
            dp_group_retire(dp, s->replaced);
        }
        if (s->gone) {           /* Takes over the reference that the group had on its slot. */
            l = leaving_new(dp);
            l->slot = s->slot;
            l->marker = s->group;
            dp_defer(marker_leaves, l, dp);
        }
        break;
    }
}

/* Tells the cache of a step that is about to be seen. */
static void note(struct dp *dp, const struct step *s)
{
    switch (s->kind) {
    case STEP_INSERT: dp_rule_begins(dp, s->rule); break;
    case STEP_REMOVE: dp_rule_ends(dp, s->rule); break;
    case STEP_GROUP: cache_note_all(dp); break;
    }
}

void dp_bundle_commit(struct dp *dp)
{
    struct dp_stage *st = dp->stage;
    cache_bundle_begin(dp);
    for (size_t i = 0; i < st->n; i++) {
        note(dp, &st->v[i]);
    }
    atomic_store_explicit(&dp->version, st->version, memory_order_release);
    cache_bundle_end(dp);
    for (size_t i = 0; i < st->n; i++) {
        complete(dp, &st->v[i]);
    }
    end_stage(dp);
    dp_groups_refresh_liveness(dp);
}

static void undo(struct dp *dp, const struct step *s)
{
    switch (s->kind) {
    case STEP_INSERT:
        dp_rule_unlink(dp, s->rule);
        dp_rule_retire(dp, s->rule);
        break;
    case STEP_REMOVE:
        atomic_store_explicit(&s->rule->cls.removed, CLS_NEVER, memory_order_relaxed);
        break;
    case STEP_GROUP:
        atomic_store_explicit(&s->slot->current, s->group->previous, memory_order_release);
        if (s->group->gone) {
            dp_defer(free, s->group, dp);
        } else {
            bool first = !s->group->previous || s->group->previous->gone;       /* An add, which took a reference. */
            dp_group_retire(dp, s->group);
            if (first) {
                group_slot_put(dp, s->slot);
            }
        }
        break;
    }
}

void dp_bundle_abort(struct dp *dp)
{
    for (size_t i = dp->stage->n; i--; ) {
        undo(dp, &dp->stage->v[i]);
    }
    end_stage(dp);
    dp_groups_refresh_liveness(dp);
}
