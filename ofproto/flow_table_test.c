/*
 * Flow-table semantics against a naive twin: an array of entries and a literal reading of section 6.4, with whole
 * matches and no index. Both get the same random flow-mods, hits, time and group deletions, out of a small world in
 * which requests often meet.
 */
#include "ofproto/flow_table.h"

#include <string.h>
#include "ofproto/flow_table_filter.h"
#include "ofproto/random_model.h"
#include "tests/unit.h"

unit_suite_fn flow_table_test_suite;

#define NS_PER_S UINT64_C(1000000000)
enum { MAX_FLOWS = 40, N_MATCHES = 14, N_TABLES = 3, N_GROUPS = 3 };

/* --- The owner of both --- */

struct counters { uint64_t packets, used_ns; };
struct events { unsigned n[6]; uint64_t sum; };         /* By reason + 1; `sum` mixes who and why, in any order. */

struct world {
    struct flow_tables *ft;
    uint64_t now_ns;
    struct events events;
    bool refuse;                /* Inserts and the third modify. */
    unsigned n_modifies;
    unsigned n_live;
};

static void note(struct events *ev, uint64_t cookie, uint16_t priority, uint64_t packets, int reason)
{
    ev->n[reason + 1]++;
    ev->sum += hash_mix64(cookie ^ hash_mix64(priority * 31u + (uint64_t) (reason + 2)) ^ hash_mix64(packets + 1));
}

static struct of_error on_insert(struct flow_entry *e, void *w_)
{
    struct world *w = w_;
    if (w->refuse) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_UNKNOWN);
    }
    struct counters *c = e->aux = XNEW(struct counters);
    c->used_ns = e->created_ns;
    if (e->replaces) {
        c->packets = ((struct counters *) e->replaces->aux)->packets;
    }
    w->n_live++;
    return OF_OK;
}

static struct of_error on_modify(struct flow_entry *e, const struct instructions *old UNUSED, bool reset_counts, void *w_)
{
    struct world *w = w_;
    if (w->refuse && ++w->n_modifies == 3) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_UNKNOWN);
    }
    if (reset_counts) {
        ((struct counters *) e->aux)->packets = 0;
    }
    return OF_OK;
}

static void on_remove(struct flow_entry *e, int reason, void *w_)
{
    struct world *w = w_;
    struct counters *c = e->aux;
    note(&w->events, e->cookie, e->priority, c->packets, reason);
    free(c);
    w->n_live--;
}

static void get_counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *w UNUSED)
{
    const struct counters *c = e->aux;
    *packets = c->packets;
    *bytes = 100 * c->packets;
    *used_ns = c->used_ns;
}

static const struct flow_table_ops ops = { on_insert, on_modify, on_remove, get_counters };

static uint64_t world_now(void *w)
{
    return ((struct world *) w)->now_ns;
}

static void world_init(struct world *w, unsigned max_flows)
{
    *w = (struct world) { .now_ns = 5 * NS_PER_S };
    w->ft = flow_tables_new(max_flows, (struct clock) { world_now, w }, &ops, w);
}

static void world_fini(struct world *w)
{
    flow_tables_free(w->ft);
    CU_ASSERT_EQUAL(w->n_live, 0);
}

/* --- The twin --- */

struct naive_entry {
    bool present;
    uint8_t table;
    uint16_t priority, idle, hard;
    uint64_t cookie, created_ns, used_ns, packets;
    struct match match;
    struct instructions instructions;
};

struct naive { struct naive_entry e[MAX_FLOWS]; struct events events; };

static void naive_remove(struct naive *nv, struct naive_entry *e, int reason)
{
    note(&nv->events, e->cookie, e->priority, e->packets, reason);
    instructions_fini(&e->instructions);
    e->present = false;
}

static bool names(const struct actions *as, bool group, uint32_t id)
{
    for (unsigned i = 0; i < as->n; i++) {
        const struct action *a = &as->list[i];
        if ((a->type == ACTION_OUTPUT && !group && a->output.port == id) || (a->type == ACTION_GROUP && group && a->group == id)
            || (a->type == ACTION_CLONE && names(&a->nested, group, id))) {
            return true;
        }
    }
    return false;
}

static bool uses(const struct naive_entry *e, bool group, uint32_t id)
{
    return names(&e->instructions.apply, group, id) || names(&e->instructions.write, group, id);
}

static bool naive_selects(const struct of_flow_mod *fm, const struct naive_entry *e)
{
    bool strict = fm->command == OFPFC_MODIFY_STRICT || fm->command == OFPFC_DELETE_STRICT, deletes = fm->command >= OFPFC_DELETE;
    if (!e->present || (fm->table_id != OFPTT_ALL && e->table != fm->table_id) || (e->cookie & fm->cookie_mask) != (fm->cookie & fm->cookie_mask)) {
        return false;
    }
    if (strict ? e->priority != fm->priority || !match_equal(&e->match, &fm->match) : !match_subsumes(&fm->match, &e->match)) {
        return false;
    }
    return !deletes || ((fm->out_port == OFPP_ANY || uses(e, false, fm->out_port)) && (fm->out_group == OFPG_ANY || uses(e, true, fm->out_group)));
}

static struct of_error naive_add(struct naive *nv, const struct of_flow_mod *fm, uint64_t now_ns)
{
    struct naive_entry *same = NULL, *free_slot = NULL;
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        struct naive_entry *e = &nv->e[i];
        if (!e->present) {
            free_slot = free_slot ? free_slot : e;
        } else if (e->table == fm->table_id && e->priority == fm->priority) {
            if (fm->flags & OFPFF_CHECK_OVERLAP && match_overlaps(&e->match, &fm->match)) {
                return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_OVERLAP);
            }
            same = match_equal(&e->match, &fm->match) ? e : same;
        }
    }
    uint64_t packets = same && !(fm->flags & OFPFF_RESET_COUNTS) ? same->packets : 0;
    if (same) {
        naive_remove(nv, same, -1);
        free_slot = same;
    }
    if (!free_slot) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    *free_slot = (struct naive_entry) { true, fm->table_id, fm->priority, fm->idle_timeout, fm->hard_timeout, fm->cookie, now_ns, now_ns, packets,
                                        fm->match, { .clear = false } };
    instructions_copy(&free_slot->instructions, &fm->instructions);
    return OF_OK;
}

static struct of_error naive_mod(struct naive *nv, const struct of_flow_mod *fm, uint64_t now_ns)
{
    bool deletes = fm->command >= OFPFC_DELETE;
    if (fm->table_id > 253 && (fm->command == OFPFC_ADD || fm->table_id != OFPTT_ALL)) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
    }
    if (fm->command == OFPFC_ADD) {
        return naive_add(nv, fm, now_ns);
    }
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        struct naive_entry *e = &nv->e[i];
        if (!naive_selects(fm, e)) {
            continue;
        }
        if (deletes) {
            naive_remove(nv, e, OFPRR_DELETE);
        } else {
            instructions_fini(&e->instructions);
            instructions_copy(&e->instructions, &fm->instructions);
            e->packets = fm->flags & OFPFF_RESET_COUNTS ? 0 : e->packets;
        }
    }
    return OF_OK;
}

static void naive_expire(struct naive *nv, uint64_t now_ns)
{
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        struct naive_entry *e = &nv->e[i];
        if (e->present && e->hard && now_ns - e->created_ns >= e->hard * NS_PER_S) {
            naive_remove(nv, e, OFPRR_HARD_TIMEOUT);
        } else if (e->present && e->idle && now_ns - e->used_ns >= e->idle * NS_PER_S) {
            naive_remove(nv, e, OFPRR_IDLE_TIMEOUT);
        }
    }
}

static void naive_group_deleted(struct naive *nv, uint32_t group)
{
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        if (nv->e[i].present && uses(&nv->e[i], true, group)) {
            naive_remove(nv, &nv->e[i], OFPRR_GROUP_DELETE);
        }
    }
}

/* --- Random requests --- */

static void small_match(struct rng *r, struct match *m)
{
    uint32_t kind = rng_below(r, N_MATCHES);
    match_init(m);
    if (kind & 1) {
        match_set_u64(m, FIELD_IN_PORT, 1 + rng_below(r, 2));
    }
    if (kind & 2) {
        unsigned len = 8 * rng_below(r, 3);
        match_set_u64(m, FIELD_ETH_TYPE, 0x0800);
        match_set_u64_masked(m, FIELD_IPV4_DST, 0x0a000000u | rng_below(r, 2) << 16, len ? ~UINT64_C(0) << (32 - len) & 0xffffffffu : 0);
    }
    if (kind & 4) {
        match_set_u64_masked(m, FIELD_METADATA, rng_below(r, 4), 1 + rng_below(r, 3));
    }
}

static void small_instructions(struct rng *r, struct instructions *is)
{
    instructions_init(is);
    if (rng_below(r, 2)) {
        is->has_apply = true;
        actions_output(&is->apply, 1 + rng_below(r, 3));
        if (rng_below(r, 4) == 0) {
            actions_group(actions_clone(&is->apply), 1 + rng_below(r, N_GROUPS));
        }
    }
    if (rng_below(r, 2)) {
        is->has_write = true;
        if (rng_below(r, 2)) {
            actions_group(&is->write, 1 + rng_below(r, N_GROUPS));
        } else {
            actions_output(&is->write, 1 + rng_below(r, 3));
        }
    }
}

static void random_mod(struct rng *r, struct of_flow_mod *fm)
{
    of_flow_mod_init(fm);
    fm->command = rng_below(r, 2) ? OFPFC_ADD : (enum of_flow_command) rng_below(r, 5);
    fm->table_id = (uint8_t) rng_below(r, N_TABLES);
    if (rng_below(r, 12) == 0) {
        fm->table_id = rng_below(r, 2) ? 254 : OFPTT_ALL;
    }
    fm->priority = (uint16_t) rng_below(r, 3);
    fm->cookie = rng_below(r, 8);
    fm->cookie_mask = rng_below(r, 3) ? 0 : rng_below(r, 8);
    fm->flags = rng_below(r, 4) ? 0 : OFPFF_CHECK_OVERLAP;
    fm->flags |= rng_below(r, 4) ? 0 : OFPFF_RESET_COUNTS;
    fm->idle_timeout = (uint16_t) (rng_below(r, 3) ? 0 : 1 + rng_below(r, 10));
    fm->hard_timeout = (uint16_t) (rng_below(r, 3) ? 0 : 1 + rng_below(r, 20));
    fm->out_port = rng_below(r, 3) ? OFPP_ANY : 1 + rng_below(r, 3);
    fm->out_group = rng_below(r, 4) ? OFPG_ANY : 1 + rng_below(r, N_GROUPS);
    small_match(r, &fm->match);
    small_instructions(r, &fm->instructions);
}

/* --- Comparing --- */

struct hits { const struct naive *nv; unsigned n; uint8_t last_table; uint16_t last_priority; bool sorted; };

static void count_hit(struct flow_entry *e, void *h_)
{
    struct hits *h = h_;
    h->sorted &= !h->n || e->table_id > h->last_table || (e->table_id == h->last_table && e->priority <= h->last_priority);
    h->last_table = e->table_id;
    h->last_priority = e->priority;
    h->n++;
}

static void compare_filter(struct world *w, const struct naive *nv, struct rng *r)
{
    struct of_flow_mod fm;
    random_mod(r, &fm);
    fm.command = OFPFC_DELETE;          /* Statistics select as deletes do. */
    struct of_flow_filter f = { fm.table_id, fm.out_port, fm.out_group, fm.cookie, fm.cookie_mask, fm.match };
    struct hits h = { .sorted = true };
    unsigned expected = 0;
    flow_tables_each(w->ft, &f, true, count_hit, &h);
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        expected += naive_selects(&fm, &nv->e[i]);
    }
    CU_ASSERT_EQUAL(h.n, expected);
    CU_ASSERT_TRUE(h.sorted);
    instructions_fini(&fm.instructions);
}

static void compare(struct world *w, const struct naive *nv)
{
    unsigned n = 0, n_table[N_TABLES] = { 0 }, n_group[N_GROUPS + 1] = { 0 };
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        const struct naive_entry *a = &nv->e[i];
        if (!a->present) {
            continue;
        }
        struct flow_entry *b = flow_tables_find(w->ft, a->table, a->priority, &a->match);
        CU_ASSERT_PTR_NOT_NULL_FATAL(b);
        CU_ASSERT_EQUAL(a->cookie, b->cookie);
        CU_ASSERT_EQUAL(a->created_ns, b->created_ns);
        CU_ASSERT_EQUAL(a->packets, ((struct counters *) b->aux)->packets);
        CU_ASSERT_TRUE(instructions_equal(&a->instructions, &b->instructions));
        n++;
        n_table[a->table]++;
        for (uint32_t g = 1; g <= N_GROUPS; g++) {
            n_group[g] += uses(a, true, g);
        }
    }
    CU_ASSERT_EQUAL(flow_tables_count(w->ft, OFPTT_ALL), n);
    for (unsigned i = 0; i < N_TABLES; i++) {
        CU_ASSERT_EQUAL(flow_tables_count(w->ft, (uint8_t) i), n_table[i]);
    }
    for (uint32_t g = 1; g <= N_GROUPS; g++) {
        CU_ASSERT_EQUAL(flow_tables_group_refs(w->ft, g), n_group[g]);
    }
    CU_ASSERT_EQUAL(w->events.sum, nv->events.sum);
    CU_ASSERT_EQUAL(memcmp(w->events.n, nv->events.n, sizeof w->events.n), 0);
}

static void random_hit(struct world *w, struct naive *nv, struct rng *r)
{
    struct naive_entry *a = &nv->e[rng_below(r, MAX_FLOWS)];
    if (a->present) {
        struct counters *c = flow_tables_find(w->ft, a->table, a->priority, &a->match)->aux;
        c->packets = ++a->packets;
        c->used_ns = a->used_ns = w->now_ns;
    }
}

static void compare_expiry(struct world *w, struct naive *nv)
{
    uint64_t wait = flow_tables_expire(w->ft);
    naive_expire(nv, w->now_ns);
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        const struct naive_entry *e = &nv->e[i];
        if (e->present && e->hard) {
            CU_ASSERT_TRUE(w->now_ns + wait <= e->created_ns + e->hard * NS_PER_S);
        }
        if (e->present && e->idle) {
            CU_ASSERT_TRUE(w->now_ns + wait <= e->used_ns + e->idle * NS_PER_S);
        }
    }
    CU_ASSERT_TRUE(wait > 0);
}

static void test_random(void)
{
    struct rng r;
    struct world w;
    struct naive *nv = XNEW(struct naive);
    unsigned n_ok = 0, n_errors = 0;
    rng_seed(&r, unit_seed());
    world_init(&w, MAX_FLOWS);
    for (unsigned i = 0; i < 20000; i++) {
        struct of_flow_mod fm;
        switch (rng_below(&r, 16)) {
        case 0:
            w.now_ns += rng_below(&r, 2000) * (NS_PER_S / 1000);
            compare_expiry(&w, nv);
            break;
        case 1:
        case 2:
            random_hit(&w, nv, &r);
            break;
        case 3:
            if (rng_below(&r, 8) == 0) {
                uint32_t group = 1 + rng_below(&r, N_GROUPS);
                flow_tables_group_deleted(w.ft, group);
                naive_group_deleted(nv, group);
            }
            break;
        case 4:
            compare_filter(&w, nv, &r);
            break;
        default:
            random_mod(&r, &fm);
            struct of_error a = flow_tables_mod(w.ft, &fm), b = naive_mod(nv, &fm, w.now_ns);
            CU_ASSERT_TRUE_FATAL(a.type == b.type && a.code == b.code);
            n_ok += of_ok(a);
            n_errors += !of_ok(a);
            instructions_fini(&fm.instructions);
        }
        if (i % 8 == 0) {
            compare(&w, nv);
        }
    }
    CU_ASSERT_TRUE(n_ok > 1000 && n_errors > 100);      /* The world was neither empty nor stuck. */
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_TRUE(i == OFPRR_GROUP_DELETE + 2 || nv->events.n[i] > 0);
    }
    world_fini(&w);
    for (unsigned i = 0; i < MAX_FLOWS; i++) {
        if (nv->e[i].present) {
            instructions_fini(&nv->e[i].instructions);
        }
    }
    free(nv);
}

/* minimatch_subsumes/overlaps against the whole matches. */
static void test_minimatch(void)
{
    struct rng r;
    unsigned n_subsumed = 0, n_overlapping = 0;
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 20000; i++) {
        struct match a, b;
        if (rng_below(&r, 4)) {
            small_match(&r, &a);
            small_match(&r, &b);
        } else {
            random_match(&r, &a);
            random_match(&r, &b);
        }
        struct minimatch *ma = minimatch_new(&a), *mb = minimatch_new(&b);
        CU_ASSERT_EQUAL(minimatch_subsumes(ma, mb), match_subsumes(&a, &b));
        CU_ASSERT_EQUAL(minimatch_overlaps(ma, mb), match_overlaps(&a, &b));
        CU_ASSERT_TRUE(minimatch_subsumes(ma, ma) && minimatch_overlaps(ma, ma));
        n_subsumed += minimatch_subsumes(ma, mb);
        n_overlapping += minimatch_overlaps(ma, mb);
        free(ma);
        free(mb);
    }
    CU_ASSERT_TRUE(n_subsumed > 100 && n_overlapping > n_subsumed && n_overlapping < 20000);
}

static struct of_error add(struct world *w, const char *match, const char *actions, uint16_t priority)
{
    struct of_flow_mod fm;
    struct err err = ERR_INIT;
    of_flow_mod_init(&fm);
    fm.priority = priority;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &fm.match, &err));
    CU_ASSERT_TRUE_FATAL(instructions_parse(actions, &fm.instructions, &err));
    struct of_error error = flow_tables_mod(w->ft, &fm);
    instructions_fini(&fm.instructions);
    return error;
}

/* A refused change leaves everything as it was. */
static void test_refused(void)
{
    struct world w;
    struct of_flow_mod fm;
    world_init(&w, 3);
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=1", "output:1,group:4", 1)));
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=2", "output:1", 1)));
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=3", "output:1", 1)));
    CU_ASSERT_EQUAL(add(&w, "in_port=4", "output:1", 1).code, OFPFMFC_TABLE_FULL);
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=3", "output:3", 1)));        /* Replaces: needs no room. */
    w.refuse = true;
    CU_ASSERT_EQUAL(add(&w, "in_port=3", "output:2", 1).code, OFPFMFC_UNKNOWN);
    CU_ASSERT_EQUAL(w.n_live, 3);
    of_flow_mod_init(&fm);
    fm.command = OFPFC_MODIFY;
    fm.instructions.has_apply = true;
    actions_group(&fm.instructions.apply, 9);
    w.n_modifies = 0;
    CU_ASSERT_EQUAL(flow_tables_mod(w.ft, &fm).code, OFPFMFC_UNKNOWN);  /* At the third entry. */
    instructions_fini(&fm.instructions);
    CU_ASSERT_EQUAL(flow_tables_group_refs(w.ft, 9), 0);
    CU_ASSERT_EQUAL(flow_tables_group_refs(w.ft, 4), 1);
    struct match m;
    struct err err = ERR_INIT;
    CU_ASSERT_TRUE(match_parse("in_port=3", &m, &err));
    CU_ASSERT_EQUAL(flow_tables_find(w.ft, 0, 1, &m)->instructions.apply.list[0].output.port, 3);
    world_fini(&w);
}

static void test_checks(void)
{
    struct world w;
    world_init(&w, 10);
    CU_ASSERT_EQUAL(add(&w, "in_port=1", "goto_table:0", 1).type, OFPET_BAD_INSTRUCTION);
    CU_ASSERT_EQUAL(add(&w, "in_port=1", "set_field:10.0.0.1->ip_src,output:1", 1).code, OFPBAC_MATCH_INCONSISTENT);
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=1,ip", "set_field:10.0.0.1->ip_src,output:1", 1)));
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=2", "meter:7,output:1", 1)));
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=3", "meter:8,output:1", 1)));
    CU_ASSERT_EQUAL(flow_tables_meter_refs(w.ft, 7), 1);
    flow_tables_meter_deleted(w.ft, 7);
    CU_ASSERT_EQUAL(flow_tables_count(w.ft, OFPTT_ALL), 2);
    flow_tables_meter_deleted(w.ft, OFPM_ALL);
    CU_ASSERT_EQUAL(flow_tables_count(w.ft, OFPTT_ALL), 1);
    world_fini(&w);
}

static void hold(struct flow_entry *e, void *held_)
{
    *(struct flow_entry **) held_ = flow_entry_hold(e);
}

static void test_hold(void)
{
    struct world w;
    struct flow_entry *held = NULL;
    struct of_flow_filter all;
    world_init(&w, 10);
    of_flow_filter_init(&all);
    CU_ASSERT_TRUE(of_ok(add(&w, "in_port=1", "output:1", 1)));
    flow_tables_each(w.ft, &all, false, hold, &held);
    CU_ASSERT_FALSE_FATAL(held->removed);
    world_fini(&w);
    CU_ASSERT_TRUE(held->removed);      /* Memory that ASan would complain about, were it gone. */
    flow_entry_release(held);
}

void flow_table_test_suite(void)
{
    UNIT_SUITE("flow_table", { "against the naive twin", test_random }, { "minimatch filters", test_minimatch },
               { "refused changes", test_refused }, { "checks and meters", test_checks }, { "held entries", test_hold });
}
