/* The control side of groups: from buckets to programs, slots, and the liveness of groups that others watch. */
#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"
#include "vswitch/exec.h"

/* --- Slots --- */

struct group_slot *group_slot_get(struct dp *dp, uint32_t id)
{
    struct group_slot *slot;
    uint32_t hash = (uint32_t) hash_mix64(id);
    HMAP_FOR_EACH_WITH_HASH(slot, node, hash, &dp->group_slots) {
        if (slot->id == id) {
            slot->refs++;
            return slot;
        }
    }
    slot = XNEW(struct group_slot);
    slot->id = id;
    slot->refs = 1;
    list_init(&slot->watched);
    hmap_insert(&dp->group_slots, &slot->node, hash);
    return slot;
}

void group_slot_ref(struct group_slot *slot)
{
    slot->refs++;
}

void group_slot_put(struct dp *dp, struct group_slot *slot)
{
    assert(slot->refs);
    if (!--slot->refs) {
        hmap_remove(&dp->group_slots, &slot->node);
        dp_defer(free, slot, dp);
    }
}

static void watch(struct dp *dp, struct group_slot *slot)
{
    if (!slot->n_watchers++) {
        list_push_back(&dp->watched, &slot->watched);
    }
}

static void unwatch(struct group_slot *slot)
{
    if (!--slot->n_watchers) {
        list_remove(&slot->watched);
    }
}

/* One bucket's liveness by what is known of watched groups so far. */
static bool bucket_live_next(const struct dp *dp, const struct dp_group *g, const struct dp_bucket *b)
{
    if (b->watch_port == OFPP_ANY && !b->watch_group) {
        return g->type != OFPGT_FF;
    }
    return dp_port_state(dp, b->watch_port) & PORT_LIVE || (b->watch_group && b->watch_group->live_next);
}

static bool group_live_next(const struct dp *dp, const struct group_slot *slot)
{
    const struct dp_group *g = group_slot_read(slot, CLS_NEVER);
    for (unsigned i = 0; g && i < g->n_buckets; i++) {
        if (bucket_live_next(dp, g, &g->buckets[i])) {
            return true;
        }
    }
    return false;
}

/* The least fixed point: a ring of groups that watch only each other is dead.  Readers see the old value or the new one, never one in between. */
void dp_groups_refresh_liveness(struct dp *dp)
{
    struct group_slot *slot;
    LIST_FOR_EACH(slot, watched, &dp->watched) {
        slot->live_next = false;
    }
    for (bool changed = true; changed; ) {
        changed = false;
        LIST_FOR_EACH(slot, watched, &dp->watched) {
            if (!slot->live_next && group_live_next(dp, slot)) {
                slot->live_next = changed = true;
            }
        }
    }
    LIST_FOR_EACH(slot, watched, &dp->watched) {
        atomic_store_explicit(&slot->live, slot->live_next, memory_order_relaxed);
    }
}

/* --- Groups --- */

void dp_group_retire(struct dp *dp, struct dp_group *g)
{
    for (unsigned i = 0; i < g->n_buckets; i++) {
        struct dp_bucket *b = &g->buckets[i];
        program_retire(dp, b->program);
        if (b->counters) {
            counters_put(dp, b->counters);
        }
        if (b->watch_group) {
            unwatch(b->watch_group);
            group_slot_put(dp, b->watch_group);
        }
    }
    if (g->counters) {
        counters_put(dp, g->counters);
    }
    dp_defer(free, g, dp);
}

static struct of_error group_compile(struct dp *dp, const struct group *group, struct counters *counters, struct dp_group **out)
{
    struct dp_group *g = xcalloc(1, sizeof *g + group->n_buckets * sizeof g->buckets[0]);
    g->type = group->type;
    for (unsigned i = 0; i < group->n_buckets; i++) {
        const struct of_bucket *from = &group->buckets[i];
        struct dp_bucket *b = &g->buckets[i];
        struct of_error error;
        b->program = program_compile_set(dp, &from->actions, &error);
        if (!b->program) {
            dp_group_retire(dp, g);
            return error;
        }
        g->n_buckets = i + 1;
        b->weight = from->weight;
        b->watch_port = from->watch_port;
        cache_cover_bucket(dp, b->program);
        b->counters = counters_new(dp, COUNTER_NO_TABLE);
        if (from->watch_group != OFPG_ANY) {
            b->watch_group = group_slot_get(dp, from->watch_group);
            watch(dp, b->watch_group);
        }
    }
    if (!counters) {
        counters = counters_new(dp, COUNTER_NO_TABLE);
    } else {
        counters->refs++;
    }
    g->counters = counters;
    *out = g;
    return OF_OK;
}

static struct of_error insert(struct group *group, void *dp_)
{
    struct dp *dp = dp_;
    struct dp_group *g;
    struct of_error error = group_compile(dp, group, NULL, &g);
    if (of_ok(error)) {
        struct group_slot *slot = group_slot_get(dp, group->id);
        group->aux = slot;
        if (dp->stage) {
            dp_stage_group(dp, slot, g);
        } else {
            atomic_store_explicit(&slot->current, g, memory_order_release);
            cache_note_all(dp);
        }
        dp_groups_refresh_liveness(dp);
    }
    return error;
}

/* Section 6.5: "… that configuration, including its type and action buckets, must be removed, and the group entry must use the new
 * configuration": the group's own counters stay. */
static struct of_error modify(struct group *group, void *dp_)
{
    struct dp *dp = dp_;
    struct group_slot *slot = group->aux;
    struct dp_group *old = atomic_load_explicit(&slot->current, memory_order_relaxed), *g;
    struct of_error error = group_compile(dp, group, old->counters, &g);
    if (of_ok(error)) {
        dp_groups_refresh_liveness(dp);         /* What the new buckets watch has to be known before they are used. */
        if (dp->stage) {
            dp_stage_group(dp, slot, g);
            return OF_OK;
        }
        atomic_store_explicit(&slot->current, g, memory_order_release);
        cache_note_all(dp);
        dp_group_retire(dp, old);
        dp_groups_refresh_liveness(dp);
    }
    return error;
}

static void remove_group(struct group *group, void *dp_)
{
    struct dp *dp = dp_;
    struct group_slot *slot = group->aux;
    if (dp->stage) {
        dp_stage_group(dp, slot, NULL);
        flow_tables_group_deleted(dp->flows, group->id);
        return;
    }
    struct dp_group *old = atomic_load_explicit(&slot->current, memory_order_relaxed);
    atomic_store_explicit(&slot->current, NULL, memory_order_release);
    cache_note_all(dp);
    if (!dp->closing) {
        flow_tables_group_deleted(dp->flows, group->id);
    }
    dp_group_retire(dp, old);
    group_slot_put(dp, slot);
    dp_groups_refresh_liveness(dp);
}

const struct group_ops dp_group_ops = { .insert = insert, .modify = modify, .remove = remove_group };

bool dp_group_stats(struct dp *dp UNUSED, const struct group *group, struct of_group_stats *out)
{
    const struct group_slot *slot = group->aux;
    const struct dp_group *g = group_slot_read(slot, CLS_NEVER);
    uint64_t used;
    counters_sum(g->counters, &out->packet_count, &out->byte_count, &used);
    out->n_buckets = g->n_buckets;
    out->buckets = xcalloc(MAX(g->n_buckets, 1u), sizeof out->buckets[0]);
    for (unsigned i = 0; i < g->n_buckets; i++) {
        counters_sum(g->buckets[i].counters, &out->buckets[i].packet_count, &out->buckets[i].byte_count, &used);
    }
    return true;
}
