/* Groups (OpenFlow 1.3.5 sections 5.6, 6.5 and 7.3.4.2). */
#include "ofproto/flow_table.h"

#include <assert.h>
#include <stdlib.h>

#define FAILED(CODE) OF_ERROR(OFPET_GROUP_MOD_FAILED, CODE)

struct group_table {
    struct hmap groups;
    unsigned max_groups;
    uint64_t mark;              /* Of the latest walk; groups that it has seen carry it. */
    struct clock clock;
    const struct group_ops *ops;
    void *aux;
    bool staging;               /* group_table_begin() */
    struct group_change *log;   /* While staging, in order. */
    size_t n_log, log_room;
};

enum change_kind { CHANGE_ADD, CHANGE_MODIFY, CHANGE_DELETE };
struct group_change { enum change_kind kind; struct group *group; uint8_t type; struct of_bucket *buckets; unsigned n_buckets; /* MODIFY: the former. */ };

struct id_list { uint32_t *v; unsigned n, room; };

static void id_list_add(struct id_list *l, uint32_t id)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 8;
        l->v = xrealloc(l->v, l->room * sizeof *l->v);
    }
    l->v[l->n++] = id;
}

static uint32_t id_hash(uint32_t id)
{
    return (uint32_t) hash_mix64(id);
}

struct group_table *group_table_new(unsigned max_groups, struct clock clock, const struct group_ops *ops, void *aux)
{
    struct group_table *gt = XNEW(struct group_table);
    hmap_init(&gt->groups);
    gt->max_groups = max_groups;
    gt->clock = clock;
    gt->ops = ops;
    gt->aux = aux;
    return gt;
}

static struct group_change *log_change(struct group_table *gt, enum change_kind kind, struct group *g)
{
    if (gt->n_log == gt->log_room) {
        gt->log_room = gt->log_room ? 2 * gt->log_room : 16;
        gt->log = xrealloc(gt->log, gt->log_room * sizeof *gt->log);
    }
    struct group_change *c = &gt->log[gt->n_log++];
    *c = (struct group_change) { .kind = kind, .group = g };
    return c;
}

static void remove_group(struct group_table *gt, struct group *g)
{
    hmap_remove(&gt->groups, &g->node);
    gt->ops->remove(g, gt->aux);
    if (gt->staging) {
        log_change(gt, CHANGE_DELETE, g);
        return;
    }
    of_buckets_free(g->buckets, g->n_buckets);
    free(g);
}

static void remove_all(struct group_table *gt)
{
    struct group *g;
    HMAP_FOR_EACH (g, node, &gt->groups) {
        remove_group(gt, g);
    }
}

void group_table_free(struct group_table *gt)
{
    if (gt) {
        remove_all(gt);
        hmap_fini(&gt->groups);
        free(gt);
    }
}

struct group *group_table_find(struct group_table *gt, uint32_t id)
{
    struct group *g;
    HMAP_FOR_EACH_WITH_HASH (g, node, id_hash(id), &gt->groups) {
        if (g->id == id) {
            return g;
        }
    }
    return NULL;
}

void group_table_each(struct group_table *gt, void (*fn)(struct group *, void *aux), void *aux)
{
    struct group *g;
    HMAP_FOR_EACH (g, node, &gt->groups) {
        fn(g, aux);
    }
}

unsigned group_table_count(const struct group_table *gt)
{
    return (unsigned) gt->groups.n;
}

unsigned group_table_max(const struct group_table *gt)
{
    return gt->max_groups;
}

bool group_table_is_chained(const struct group_table *gt, uint32_t id)
{
    const struct group *g;
    HMAP_FOR_EACH_WITH_HASH (g, node, id_hash(id), &gt->groups) {
        if (g->id == id) {
            return g->n_users > 0;
        }
    }
    return false;
}

/* --- What buckets refer to --- */

static void add_id(uint32_t id, void *list)
{
    id_list_add(list, id);
}

static void count_users(struct group_table *gt, const struct of_bucket *buckets, unsigned n, int delta)
{
    struct id_list ids = { NULL, 0, 0 };
    of_buckets_each_group(buckets, n, add_id, &ids);
    for (unsigned i = 0; i < ids.n; i++) {
        struct group *g = group_table_find(gt, ids.v[i]);
        assert(g);
        g->n_users += (unsigned) delta;
    }
    free(ids.v);
}

static bool has_watch(const struct of_bucket *b)
{
    return b->watch_port != OFPP_ANY || b->watch_group != OFPG_ANY;
}

/* Does anything that the buckets lead to lead back to `id`?  Watching counts: liveness is followed along it. */
static struct of_error check_references(struct group_table *gt, uint32_t id, const struct of_bucket *buckets, unsigned n)
{
    struct id_list stack = { NULL, 0, 0 };
    struct of_error error = OF_OK;
    gt->mark++;
    of_buckets_each_group(buckets, n, add_id, &stack);
    while (of_ok(error) && stack.n) {
        uint32_t next = stack.v[--stack.n];
        struct group *g = group_table_find(gt, next);
        if (next == id) {
            error = FAILED(OFPGMFC_LOOP);
        } else if (!g) {
            error = OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
        } else if (g->mark != gt->mark) {
            g->mark = gt->mark;
            of_buckets_each_group(g->buckets, g->n_buckets, add_id, &stack);
        }
    }
    free(stack.v);
    return error;
}

static struct of_error check_bucket(struct group_table *gt, uint8_t type, const struct of_bucket *b)
{
    /* "If a specified group type is invalid (ie: includes fields such as weight that are undefined for the specified group type) …" */
    if (b->weight && type != OFPGT_SELECT) {
        return FAILED(OFPGMFC_INVALID_GROUP);
    }
    if (has_watch(b) && (type == OFPGT_ALL || type == OFPGT_INDIRECT)) {
        return FAILED(OFPGMFC_WATCH_UNSUPPORTED);
    }
    if (!has_watch(b) && type == OFPGT_FF) {
        return FAILED(OFPGMFC_BAD_WATCH);       /* Never live: a mistake. */
    }
    if (b->watch_group != OFPG_ANY && !group_table_find(gt, b->watch_group)) {
        return FAILED(OFPGMFC_BAD_WATCH);
    }
    /* What packets come is not known here; tables check the matches of the entries that lead here. */
    return actions_check(&b->actions, NULL, 0, false);
}

/*
 * Only fast failover needs the watch fields, so libraries and controllers leave both at 0 elsewhere.  No port has that
 * number, and group 0 is not what they mean: such a bucket watches nothing.
 */
static void unset_watches(const struct of_group_mod *gm)
{
    for (unsigned i = 0; i < gm->n_buckets && gm->type != OFPGT_FF; i++) {
        struct of_bucket *b = &gm->buckets[i];
        if (!b->watch_port && !b->watch_group) {
            b->watch_port = OFPP_ANY;
            b->watch_group = OFPG_ANY;
            b->watch_unset = true;
        }
    }
}

static struct of_error check(struct group_table *gt, const struct of_group_mod *gm)
{
    unset_watches(gm);
    if (gm->type > OFPGT_FF) {
        return FAILED(OFPGMFC_BAD_TYPE);
    }
    if (gm->type == OFPGT_INDIRECT && gm->n_buckets != 1) {
        return FAILED(OFPGMFC_INVALID_GROUP);
    }
    struct of_error error = OF_OK;
    for (unsigned i = 0; of_ok(error) && i < gm->n_buckets; i++) {
        error = check_bucket(gt, gm->type, &gm->buckets[i]);
    }
    return of_ok(error) ? check_references(gt, gm->group_id, gm->buckets, gm->n_buckets) : error;
}

/* --- Group-mods --- */

static struct of_error add(struct group_table *gt, struct of_group_mod *gm)
{
    if (group_table_find(gt, gm->group_id)) {
        return FAILED(OFPGMFC_GROUP_EXISTS);
    }
    if (gt->groups.n >= gt->max_groups) {
        return FAILED(OFPGMFC_OUT_OF_GROUPS);
    }
    struct of_error error = check(gt, gm);
    if (!of_ok(error)) {
        return error;
    }
    struct group *g = XNEW(struct group);
    g->id = gm->group_id;
    g->type = gm->type;
    g->buckets = gm->buckets;
    g->n_buckets = gm->n_buckets;
    g->created_ns = clock_now_ns(&gt->clock);
    error = gt->ops->insert(g, gt->aux);
    if (!of_ok(error)) {
        free(g);                        /* The buckets stay the message's. */
        return error;
    }
    gm->buckets = NULL;
    gm->n_buckets = 0;
    hmap_insert(&gt->groups, &g->node, id_hash(g->id));
    count_users(gt, g->buckets, g->n_buckets, +1);
    if (gt->staging) {
        log_change(gt, CHANGE_ADD, g);
    }
    return OF_OK;
}

static void swap_buckets(struct group *g, struct of_group_mod *gm)
{
    struct group old = *g;
    g->type = gm->type;
    g->buckets = gm->buckets;
    g->n_buckets = gm->n_buckets;
    gm->type = old.type;
    gm->buckets = old.buckets;
    gm->n_buckets = old.n_buckets;
}

static struct of_error modify(struct group_table *gt, struct of_group_mod *gm)
{
    struct group *g = group_table_find(gt, gm->group_id);
    if (!g) {
        return FAILED(OFPGMFC_UNKNOWN_GROUP);
    }
    struct of_error error = check(gt, gm);
    if (!of_ok(error)) {
        return error;
    }
    swap_buckets(g, gm);                /* The message frees the former ones. */
    error = gt->ops->modify(g, gt->aux);
    if (!of_ok(error)) {
        swap_buckets(g, gm);
        return error;
    }
    count_users(gt, g->buckets, g->n_buckets, +1);
    count_users(gt, gm->buckets, gm->n_buckets, -1);
    if (gt->staging) {                  /* Kept instead of left to the message. */
        struct group_change *c = log_change(gt, CHANGE_MODIFY, g);
        c->type = gm->type;
        c->buckets = gm->buckets;
        c->n_buckets = gm->n_buckets;
        gm->buckets = NULL;
        gm->n_buckets = 0;
    }
    return OF_OK;
}

static struct of_error delete(struct group_table *gt, uint32_t id)
{
    struct group *g = group_table_find(gt, id);
    if (!g) {
        return OF_OK;                   /* "no error is recorded, and no group table modification occurs" */
    }
    if (g->n_users) {
        return FAILED(OFPGMFC_CHAINED_GROUP);
    }
    count_users(gt, g->buckets, g->n_buckets, -1);
    remove_group(gt, g);
    return OF_OK;
}

struct of_error group_table_mod(struct group_table *gt, struct of_group_mod *gm)
{
    if (gm->command == OFPGC_DELETE && gm->group_id == OFPG_ALL) {
        remove_all(gt);
        return OF_OK;
    }
    if (gm->group_id > OFPG_MAX) {
        return FAILED(OFPGMFC_INVALID_GROUP);
    }
    switch (gm->command) {
    case OFPGC_ADD:
        return add(gt, gm);
    case OFPGC_MODIFY:
        return modify(gt, gm);
    case OFPGC_DELETE:
        return delete(gt, gm->group_id);
    }
    return FAILED(OFPGMFC_BAD_COMMAND);
}

/* --- Bundles --- */

static void discard(struct group *g)
{
    of_buckets_free(g->buckets, g->n_buckets);
    free(g);
}

static void end_staging(struct group_table *gt)
{
    free(gt->log);
    gt->log = NULL;
    gt->n_log = gt->log_room = 0;
    gt->staging = false;
}

void group_table_begin(struct group_table *gt)
{
    assert(!gt->staging);
    gt->staging = true;
}

void group_table_commit(struct group_table *gt)
{
    for (size_t i = 0; i < gt->n_log; i++) {
        struct group_change *c = &gt->log[i];
        if (c->kind == CHANGE_DELETE) {
            discard(c->group);
        } else if (c->kind == CHANGE_MODIFY) {
            of_buckets_free(c->buckets, c->n_buckets);
        }
    }
    end_staging(gt);
}

/* Numbers of users are counted anew: deleting all groups at once does not keep them up. */
static void recount(struct group_table *gt)
{
    struct group *g;
    HMAP_FOR_EACH (g, node, &gt->groups) {
        g->n_users = 0;
    }
    HMAP_FOR_EACH (g, node, &gt->groups) {
        count_users(gt, g->buckets, g->n_buckets, +1);
    }
}

void group_table_abort(struct group_table *gt)
{
    for (size_t i = gt->n_log; i--; ) {
        struct group_change *c = &gt->log[i];
        switch (c->kind) {
        case CHANGE_ADD:
            hmap_remove(&gt->groups, &c->group->node);
            discard(c->group);
            break;
        case CHANGE_MODIFY:
            of_buckets_free(c->group->buckets, c->group->n_buckets);
            c->group->type = c->type;
            c->group->buckets = c->buckets;
            c->group->n_buckets = c->n_buckets;
            break;
        case CHANGE_DELETE:
            hmap_insert(&gt->groups, &c->group->node, id_hash(c->group->id));
            break;
        }
    }
    recount(gt);
    end_staging(gt);
}
