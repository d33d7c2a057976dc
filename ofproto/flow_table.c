/*
 * One hash map per table, keyed by (priority, match), so that a strict request is a look-up; non-strict requests walk their table.
 * Entries with timeouts are in a heap by the earliest time at which they could expire.  Hits are not told to us: when an entry comes to the top, the owner is
 * asked when it was last used, and it goes back down if it has been.
 */
#include "ofproto/flow_table_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "ofproto/flow_table_filter.h"
#include "ofproto/flow_table_refs.h"

#define NS_PER_S UINT64_C(1000000000)
#define BAD_TABLE OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID)

/* Some entries, gathered before any is changed. A strict request has one at most: that takes no memory. */
struct selection { struct flow_entry **v, *one; size_t n, room; };

/* --- Timeouts --- */

static bool expires_before(const struct flow_entry *a, const struct flow_entry *b, uint32_t arg UNUSED)
{
    return a->expires_ns < b->expires_ns;
}

static uint64_t timeout_ns(uint64_t since, uint16_t seconds)
{
    return seconds ? since + seconds * NS_PER_S : UINT64_MAX;
}

uint64_t flow_table_refresh(struct flow_tables *ft, struct flow_entry *e)
{
    uint64_t packets, bytes, used_ns = e->created_ns;
    if (e->idle_timeout) {
        ft->ops->counters(e, &packets, &bytes, &used_ns, ft->aux);
    }
    uint64_t hard_ns = timeout_ns(e->created_ns, e->hard_timeout), idle_ns = timeout_ns(MAX(used_ns, e->created_ns), e->idle_timeout);
    uint64_t expires_ns = MIN(hard_ns, idle_ns);
    if (expires_ns != e->expires_ns) {
        e->expires_ns = expires_ns;
        flow_heap_update(&ft->timeouts, e);
        flow_heap_update(&ft->states[e->table_id].victims, e);
    }
    return expires_ns;
}

/* --- Entries --- */

static uint32_t entry_hash(uint16_t priority, const struct minimatch *match)
{
    return (uint32_t) hash_mix64((uint64_t) priority << 32 | match->hash);
}

static struct flow_entry *find_strict(const struct flow_tables *ft, uint8_t table, uint16_t priority, const struct minimatch *match)
{
    struct flow_entry *e;
    HMAP_FOR_EACH_WITH_HASH (e, node, entry_hash(priority, match), &ft->tables[table]) {
        if (e->priority == priority && minimatch_equal(e->match, match)) {
            return e;
        }
    }
    return NULL;
}

static void entry_destroy(struct flow_entry *e)
{
    instructions_fini(&e->instructions);
    e->match = NULL;
    if (!e->n_holds) {
        free(e);
    }
}

struct flow_entry *flow_entry_hold(struct flow_entry *e)
{
    e->n_holds++;
    return e;
}

void flow_entry_release(struct flow_entry *e)
{
    assert(e->n_holds);
    if (!--e->n_holds && e->removed) {
        free(e);
    }
}

static void link_entry(struct flow_tables *ft, struct flow_entry *e)
{
    hmap_insert(&ft->tables[e->table_id], &e->node, entry_hash(e->priority, e->match));
    ft->n++;
    if (e->expires_ns != UINT64_MAX) {
        flow_heap_insert(&ft->timeouts, e);
    }
    if (ft->states[e->table_id].evicts) {
        flow_heap_insert(&ft->states[e->table_id].victims, e);
    }
    flow_refs_add(&ft->refs, e);
}

static void unlink_entry(struct flow_tables *ft, struct flow_entry *e)
{
    hmap_remove(&ft->tables[e->table_id], &e->node);
    ft->n--;
    flow_heap_remove(&ft->timeouts, e);
    flow_heap_remove(&ft->states[e->table_id].victims, e);
    flow_refs_remove(&ft->refs, e);
}

static void log_change(struct flow_tables *ft, struct flow_entry *e, bool added)
{
    if (ft->n_log == ft->log_room) {
        ft->log_room = ft->log_room ? 2 * ft->log_room : 64;
        ft->log = xrealloc(ft->log, ft->log_room * sizeof *ft->log);
    }
    ft->log[ft->n_log++] = (struct change) { e, added };
}

static void tell(struct flow_tables *ft, struct flow_entry *e, enum flow_change change, int reason, const struct instructions *old)
{
    if (ft->watch) {
        ft->watch(e, change, reason, old, ft->seq, ft->watch_aux);
    }
}

/* The owner has it already. */
static void insert_entry(struct flow_tables *ft, struct flow_entry *e)
{
    link_entry(ft, e);
    if (ft->staging) {
        log_change(ft, e, true);
    }
}

static void remove_entry(struct flow_tables *ft, struct flow_entry *e, int reason)
{
    unlink_entry(ft, e);
    e->removed = !ft->staging;
    ft->ops->remove(e, reason, ft->aux);
    if (reason >= 0) {
        ft->seq++;
        tell(ft, e, FLOW_REMOVED, reason, NULL);
    }
    if (ft->staging) {
        log_change(ft, e, false);
    } else {
        entry_destroy(e);
    }
}

static void discard(struct flow_entry *e)
{
    e->removed = true;
    entry_destroy(e);
}

void flow_tables_begin(struct flow_tables *ft)
{
    assert(!ft->staging);
    ft->staging = true;
}

static void end_staging(struct flow_tables *ft)
{
    free(ft->log);
    ft->log = NULL;
    ft->n_log = ft->log_room = 0;
    ft->staging = false;
}

void flow_tables_commit(struct flow_tables *ft)
{
    for (size_t i = 0; i < ft->n_log; i++) {
        if (!ft->log[i].added) {
            discard(ft->log[i].entry);
        }
    }
    end_staging(ft);
}

void flow_tables_abort(struct flow_tables *ft)
{
    for (size_t i = ft->n_log; i--; ) {
        struct flow_entry *e = ft->log[i].entry;
        if (ft->log[i].added) {
            unlink_entry(ft, e);
            discard(e);
        } else {
            link_entry(ft, e);
        }
    }
    end_staging(ft);
}

struct flow_tables *flow_tables_new(unsigned max_flows, struct clock clock, const struct flow_table_ops *ops, void *aux)
{
    struct flow_tables *ft = XNEW(struct flow_tables);
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        hmap_init(&ft->tables[i]);
        flow_table_state_init(&ft->states[i]);
    }
    hmap_init(&ft->refs);
    flow_heap_init(&ft->timeouts, HEAP_TIMEOUTS, expires_before, 0);
    ft->max_flows = max_flows;
    ft->clock = clock;
    ft->ops = ops;
    ft->aux = aux;
    return ft;
}

void flow_tables_free(struct flow_tables *ft)
{
    if (!ft) {
        return;
    }
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        struct flow_entry *e;
        HMAP_FOR_EACH (e, node, &ft->tables[i]) {
            remove_entry(ft, e, -1);
        }
        hmap_fini(&ft->tables[i]);
        flow_table_state_fini(&ft->states[i]);
    }
    hmap_fini(&ft->refs);
    flow_heap_fini(&ft->timeouts);
    free(ft);
}

void flow_tables_watch(struct flow_tables *ft, flow_watch_fn *watch, void *aux)
{
    ft->watch = watch;
    ft->watch_aux = aux;
}

uint64_t flow_tables_seq(const struct flow_tables *ft)
{
    return ft->seq;
}

unsigned flow_tables_count(const struct flow_tables *ft, uint8_t table)
{
    return table == OFPTT_ALL ? ft->n : table < OF_N_TABLES ? (unsigned) ft->tables[table].n : 0;
}

unsigned flow_tables_max(const struct flow_tables *ft)
{
    return ft->max_flows;
}

struct flow_entry *flow_tables_find(struct flow_tables *ft, uint8_t table, uint16_t priority, const struct match *match)
{
    if (table >= OF_N_TABLES) {
        return NULL;
    }
    union minimatch_room room;
    return find_strict(ft, table, priority, minimatch_build(&room, match));
}

/* --- Selecting --- */

static void selection_init(struct selection *s)
{
    *s = (struct selection) { .v = &s->one, .room = 1 };
}

static void selection_fini(struct selection *s)
{
    if (s->v != &s->one) {
        free(s->v);
    }
}

static void selection_add(struct selection *s, struct flow_entry *e)
{
    if (s->n == s->room) {
        struct flow_entry **former = s->v == &s->one ? NULL : s->v;
        s->room = former ? 2 * s->room : 16;
        s->v = xrealloc(former, s->room * sizeof *s->v);
        s->v[0] = former ? s->v[0] : s->one;
    }
    s->v[s->n++] = e;
}

static void select_each(struct flow_tables *ft, const struct of_flow_filter *f, struct selection *out)
{
    union minimatch_room room;
    const struct minimatch *match = minimatch_build(&room, &f->match);
    unsigned first = f->table_id == OFPTT_ALL ? 0 : f->table_id;
    unsigned end = f->table_id == OFPTT_ALL ? OF_N_TABLES : f->table_id >= OF_N_TABLES ? first : first + 1u;
    for (unsigned i = first; i < end; i++) {
        struct flow_entry *e;
        HMAP_FOR_EACH (e, node, &ft->tables[i]) {
            if (minimatch_subsumes(match, e->match) && flow_entry_passes(e, f->cookie, f->cookie_mask, f->out_port, f->out_group)) {
                selection_add(out, e);
            }
        }
    }
}

/* What a modify or delete applies to.  `cookie_mask` is ignored by adds only (section 6.4). */
static void select_for_mod(struct flow_tables *ft, const struct of_flow_mod *fm, struct selection *out)
{
    bool delete = fm->command == OFPFC_DELETE || fm->command == OFPFC_DELETE_STRICT;
    uint32_t out_port = delete ? fm->out_port : OFPP_ANY, out_group = delete ? fm->out_group : OFPG_ANY;
    if (fm->command == OFPFC_MODIFY || fm->command == OFPFC_DELETE) {
        struct of_flow_filter f = { fm->table_id, out_port, out_group, fm->cookie, fm->cookie_mask, fm->match };
        select_each(ft, &f, out);
        return;
    }
    union minimatch_room room;
    const struct minimatch *match = minimatch_build(&room, &fm->match);
    unsigned first = fm->table_id == OFPTT_ALL ? 0 : fm->table_id, end = fm->table_id == OFPTT_ALL ? OF_N_TABLES : first + 1u;
    for (unsigned i = first; i < end; i++) {
        struct flow_entry *e = find_strict(ft, (uint8_t) i, fm->priority, match);
        if (e && flow_entry_passes(e, fm->cookie, fm->cookie_mask, out_port, out_group)) {
            selection_add(out, e);
        }
    }
}

static int by_table_and_priority(const void *a_, const void *b_)
{
    const struct flow_entry *a = *(struct flow_entry *const *) a_, *b = *(struct flow_entry *const *) b_;
    if (a->table_id != b->table_id) {
        return a->table_id < b->table_id ? -1 : 1;
    }
    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    return a->created_ns < b->created_ns ? -1 : a->created_ns > b->created_ns;
}

void flow_tables_each(struct flow_tables *ft, const struct of_flow_filter *f, bool sorted, void (*fn)(struct flow_entry *, void *aux), void *aux)
{
    struct selection s;
    selection_init(&s);
    select_each(ft, f, &s);
    if (sorted && s.n > 1) {
        qsort(s.v, s.n, sizeof *s.v, by_table_and_priority);
    }
    for (size_t i = 0; i < s.n; i++) {
        fn(s.v[i], aux);
    }
    selection_fini(&s);
}

bool flow_tables_any(struct flow_tables *ft, const struct of_flow_filter *f)
{
    struct selection s;
    selection_init(&s);
    select_each(ft, f, &s);
    selection_fini(&s);
    return s.n;
}

/* --- Flow-mods (section 6.4) --- */

/* One add could match a packet that an entry of the same priority matches too. */
static bool overlaps(const struct flow_tables *ft, const struct of_flow_mod *fm, const struct minimatch *match)
{
    const struct flow_entry *e;
    HMAP_FOR_EACH (e, node, &ft->tables[fm->table_id]) {
        if (e->priority == fm->priority && minimatch_overlaps(e->match, match)) {
            return true;
        }
    }
    return false;
}

/* Zeroed but for the match. */
static struct flow_entry *entry_alloc(const struct minimatch *match)
{
    const size_t size = minimatch_size(match);
    struct flow_entry *e = xmalloc(sizeof *e + size);
    memset(e, 0, sizeof *e);
    e->match = memcpy(e + 1, match, size);
    return e;
}

static struct flow_entry *entry_new(const struct flow_tables *ft, const struct of_flow_mod *fm, const struct minimatch *match)
{
    struct flow_entry *e = entry_alloc(match);
    e->priority = fm->priority;
    e->idle_timeout = fm->idle_timeout;
    e->hard_timeout = fm->hard_timeout;
    e->flags = fm->flags & (uint16_t) ~OFPFF_RESET_COUNTS;
    e->importance = fm->importance;
    e->table_id = fm->table_id;
    e->cookie = fm->cookie;
    instructions_copy(&e->instructions, &fm->instructions);
    e->created_ns = e->modified_ns = clock_now_ns(&ft->clock);
    e->expires_ns = MIN(timeout_ns(e->created_ns, e->hard_timeout), timeout_ns(e->created_ns, e->idle_timeout));
    return e;
}

static struct of_error add(struct flow_tables *ft, const struct of_flow_mod *fm)
{
    union minimatch_room room;
    const struct minimatch *match = minimatch_build(&room, &fm->match);
    struct of_error error = OF_OK;
    if ((fm->flags & OFPFF_CHECK_OVERLAP) && overlaps(ft, fm, match)) {
        error = OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_OVERLAP);
    }
    struct flow_entry *old = find_strict(ft, fm->table_id, fm->priority, match), *victim = NULL;
    if (of_ok(error) && !old && (ft->n >= ft->max_flows || ft->tables[fm->table_id].n >= flow_tables_table_max(ft, fm->table_id))) {
        victim = flow_table_victim(ft, fm->table_id, fm->importance);
        error = victim ? OF_OK : OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    if (!of_ok(error)) {
        return error;
    }
    struct flow_entry *e = entry_new(ft, fm, match);
    /* "If the OFPFF_RESET_COUNTS flag is set, the flow entry counters must be cleared, otherwise they should be copied from the replaced flow entry." */
    *(fm->flags & OFPFF_RESET_COUNTS ? &e->resets : &e->replaces) = old;
    error = ft->ops->insert(e, ft->aux);
    e->replaces = e->resets = NULL;
    if (!of_ok(error)) {
        entry_destroy(e);
        return error;
    }
    uint64_t first_seq = old ? old->first_seq : 0;
    if (old) {
        remove_entry(ft, old, -1);
    }
    if (victim) {
        remove_entry(ft, victim, OFPRR_EVICTION);
        ft->n_evicted++;
    }
    e->added_seq = e->changed_seq = ++ft->seq;          /* Before the heap of victims looks at it. */
    e->first_seq = old ? first_seq : ft->seq;
    insert_entry(ft, e);
    tell(ft, e, FLOW_ADDED, -1, NULL);
    return OF_OK;
}

static void note_modified(struct flow_tables *ft, struct flow_entry *e, const struct instructions *old)
{
    if (!instructions_equal(&e->instructions, old)) {
        e->changed_seq = ++ft->seq;
        tell(ft, e, FLOW_MODIFIED, -1, old);
    }
}

/* While staging: a new entry with the new instructions takes the place of each. */
static struct of_error modify_staged(struct flow_tables *ft, const struct of_flow_mod *fm, struct flow_entry *old)
{
    struct flow_entry *e = entry_alloc(old->match);
    *e = (struct flow_entry) {
        .match = e->match, .priority = old->priority, .idle_timeout = old->idle_timeout, .hard_timeout = old->hard_timeout,
        .flags = old->flags, .importance = old->importance, .table_id = old->table_id, .cookie = old->cookie, .created_ns = old->created_ns,
        .expires_ns = old->expires_ns, .modified_ns = clock_now_ns(&ft->clock), .added_seq = old->added_seq, .changed_seq = old->changed_seq, .first_seq = old->first_seq,
        .replaces = fm->flags & OFPFF_RESET_COUNTS ? NULL : old, .resets = fm->flags & OFPFF_RESET_COUNTS ? old : NULL,
    };
    instructions_copy(&e->instructions, &fm->instructions);
    struct of_error error = ft->ops->insert(e, ft->aux);
    e->replaces = e->resets = NULL;
    if (!of_ok(error)) {
        entry_destroy(e);
        return error;
    }
    remove_entry(ft, old, -1);
    insert_entry(ft, e);
    note_modified(ft, e, &old->instructions);
    return OF_OK;
}

static struct of_error modify(struct flow_tables *ft, const struct of_flow_mod *fm)
{
    struct selection s;
    struct of_error error = OF_OK;
    selection_init(&s);
    select_for_mod(ft, fm, &s);
    if (ft->staging) {
        for (size_t i = 0; of_ok(error) && i < s.n; i++) {
            error = modify_staged(ft, fm, s.v[i]);
        }
        selection_fini(&s);
        return error;
    }
    struct instructions one, *olds = s.n > 1 ? xcalloc(s.n, sizeof *olds) : &one;
    size_t n_done = 0;
    while (n_done < s.n) {
        struct flow_entry *e = s.v[n_done];
        olds[n_done] = e->instructions;
        instructions_copy(&e->instructions, &fm->instructions);
        error = ft->ops->modify(e, &olds[n_done], fm->flags & OFPFF_RESET_COUNTS, ft->aux);
        if (!of_ok(error)) {
            instructions_fini(&e->instructions);
            e->instructions = olds[n_done];
            break;
        }
        n_done++;
    }
    if (of_ok(error)) {
        uint64_t now = clock_now_ns(&ft->clock);
        for (size_t i = 0; i < n_done; i++) {
            s.v[i]->modified_ns = now;
            flow_refs_remove(&ft->refs, s.v[i]);
            flow_refs_add(&ft->refs, s.v[i]);
            note_modified(ft, s.v[i], &olds[i]);
            instructions_fini(&olds[i]);
        }
    } else {
        while (n_done--) {              /* What was valid before is valid again; a refusal now would be the owner's bug. */
            struct flow_entry *e = s.v[n_done];
            struct instructions new = e->instructions;
            e->instructions = olds[n_done];
            struct of_error undone = ft->ops->modify(e, &new, false, ft->aux);
            assert(of_ok(undone));
            (void) undone;
            instructions_fini(&new);
        }
    }
    if (olds != &one) {
        free(olds);
    }
    selection_fini(&s);
    return error;
}

static void delete(struct flow_tables *ft, const struct of_flow_mod *fm)
{
    struct selection s;
    selection_init(&s);
    select_for_mod(ft, fm, &s);
    for (size_t i = 0; i < s.n; i++) {
        remove_entry(ft, s.v[i], OFPRR_DELETE);
    }
    selection_fini(&s);
}

struct of_error flow_tables_mod(struct flow_tables *ft, const struct of_flow_mod *fm)
{
    bool deletes = fm->command == OFPFC_DELETE || fm->command == OFPFC_DELETE_STRICT;
    /* A modify in all tables is 1.0's, where entries have no table. */
    if (fm->table_id >= OF_N_TABLES && (fm->command == OFPFC_ADD || fm->table_id != OFPTT_ALL)) {
        return BAD_TABLE;
    }
    if (deletes) {
        delete(ft, fm);
        return OF_OK;
    }
    struct of_error error = instructions_check(&fm->instructions, &fm->match, fm->table_id == OFPTT_ALL ? 0 : fm->table_id);
    if (!of_ok(error)) {
        return error;
    }
    switch (fm->command) {
    case OFPFC_ADD:
        return add(ft, fm);
    case OFPFC_MODIFY:
    case OFPFC_MODIFY_STRICT:
        return modify(ft, fm);
    default:
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND);
    }
}

/* --- Statistics, time, references --- */

void flow_entry_stats(struct flow_tables *ft, const struct flow_entry *e, struct of_flow_stats *out)
{
    uint64_t used_ns, age_ns = clock_now_ns(&ft->clock) - e->created_ns;
    *out = (struct of_flow_stats) {
        .table_id = e->table_id, .priority = e->priority, .idle_timeout = e->idle_timeout, .hard_timeout = e->hard_timeout,
        .flags = e->flags, .importance = e->importance, .cookie = e->cookie,
        .duration_sec = (uint32_t) (age_ns / NS_PER_S), .duration_nsec = (uint32_t) (age_ns % NS_PER_S),
    };
    ft->ops->counters(e, &out->packet_count, &out->byte_count, &used_ns, ft->aux);
    minimatch_expand(e->match, &out->match);
    instructions_copy(&out->instructions, &e->instructions);
}

void of_flow_stats_fini(struct of_flow_stats *fs)
{
    instructions_fini(&fs->instructions);
}

uint64_t flow_tables_expire(struct flow_tables *ft)
{
    uint64_t now = clock_now_ns(&ft->clock);
    struct flow_entry *e;
    while ((e = flow_heap_top(&ft->timeouts)) && e->expires_ns <= now) {
        if (flow_table_refresh(ft, e) <= now) {
            remove_entry(ft, e, timeout_ns(e->created_ns, e->hard_timeout) <= now ? OFPRR_HARD_TIMEOUT : OFPRR_IDLE_TIMEOUT);
        }
    }
    return e ? e->expires_ns - now : UINT64_MAX;
}

static void delete_users(struct flow_tables *ft, enum flow_ref_kind kind, uint32_t id, int reason)
{
    struct flow_ref *r;
    while ((r = flow_ref_find(&ft->refs, kind, id)) != NULL) {
        remove_entry(ft, CONTAINER_OF(r->links.next, struct flow_link, in_ref)->entry, reason);
    }
}

void flow_tables_group_deleted(struct flow_tables *ft, uint32_t group)
{
    delete_users(ft, REF_GROUP, group, OFPRR_GROUP_DELETE);
}

void flow_tables_meter_deleted(struct flow_tables *ft, uint32_t meter)
{
    if (meter != OFPM_ALL) {
        delete_users(ft, REF_METER, meter, OFPRR_METER_DELETE);
        return;
    }
    struct id_list { uint32_t id; struct id_list *next; } *ids = NULL;
    struct flow_ref *r;
    HMAP_FOR_EACH (r, node, &ft->refs) {
        if (r->kind == REF_METER) {
            struct id_list *one = XNEW(struct id_list);
            *one = (struct id_list) { r->id, ids };
            ids = one;
        }
    }
    while (ids) {
        struct id_list *next = ids->next;
        delete_users(ft, REF_METER, ids->id, OFPRR_METER_DELETE);
        free(ids);
        ids = next;
    }
}

unsigned flow_tables_group_refs(const struct flow_tables *ft, uint32_t group)
{
    const struct flow_ref *r = flow_ref_find(&ft->refs, REF_GROUP, group);
    return r ? r->n : 0;
}

unsigned flow_tables_meter_refs(const struct flow_tables *ft, uint32_t meter)
{
    const struct flow_ref *r = flow_ref_find(&ft->refs, REF_METER, meter);
    return r ? r->n : 0;
}
