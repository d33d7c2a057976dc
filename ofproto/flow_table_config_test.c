/* Limits, eviction and vacancy events; who is put out, against a naive twin that looks at every entry each time. */
#include "ofproto/flow_table.h"

#include "tests/unit.h"

unit_suite_fn flow_table_config_test_suite;

#define NS_PER_S UINT64_C(1000000000)
enum { N_IDS = 64, MAX = 20, TABLE = 2 };

/* The owner, and the twin: what each entry is, by the metadata that it matches. */
struct world {
    struct flow_tables *ft;
    uint64_t now_ns;
    struct twin { bool present; uint16_t importance, idle, hard; uint64_t created_ns, used_ns, order; } twins[N_IDS];
    uint64_t n_adds;
    unsigned n_evicted, last_evicted, n_other;
};

static struct of_error on_insert(struct flow_entry *e UNUSED, void *w UNUSED)
{
    return OF_OK;
}

static struct of_error on_modify(struct flow_entry *e UNUSED, const struct instructions *old UNUSED, bool reset UNUSED, void *w UNUSED)
{
    return OF_OK;
}

static unsigned id_of(const struct flow_entry *e)
{
    struct match m;
    minimatch_expand(e->match, &m);
    return (unsigned) be64_get(m.value.flow.metadata);
}

static void on_remove(struct flow_entry *e, int reason, void *w_)
{
    struct world *w = w_;
    if (reason == OFPRR_EVICTION) {
        w->n_evicted++;
        w->last_evicted = id_of(e);
    } else if (reason >= 0) {
        w->n_other++;
        w->twins[id_of(e)].present = false;
    }
}

static void counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *w_)
{
    *packets = *bytes = 0;
    *used_ns = ((struct world *) w_)->twins[id_of(e)].used_ns;
}

static const struct flow_table_ops ops = { on_insert, on_modify, on_remove, counters };

static uint64_t world_now(void *w)
{
    return ((struct world *) w)->now_ns;
}

static void world_init(struct world *w, unsigned max_flows)
{
    *w = (struct world) { .now_ns = 5 * NS_PER_S };
    w->ft = flow_tables_new(max_flows, (struct clock) { world_now, w }, &ops, w);
}

static struct of_error add(struct world *w, uint8_t table, unsigned id, uint16_t importance, uint16_t idle, uint16_t hard)
{
    struct of_flow_mod fm;
    of_flow_mod_init(&fm);
    fm.table_id = table;
    fm.importance = importance;
    fm.idle_timeout = idle;
    fm.hard_timeout = hard;
    match_set_u64(&fm.match, FIELD_METADATA, id);
    return flow_tables_mod(w->ft, &fm);
}

static void configure(struct world *w, uint8_t table, uint32_t config, uint32_t flags)
{
    struct of_table_config c = { .table_id = table, .config = config, .has_eviction = flags, .eviction_flags = flags };
    CU_ASSERT_TRUE(of_ok(flow_tables_configure(w->ft, &c)));
}

static void test_limits(void)
{
    struct world w;
    world_init(&w, 3);
    flow_tables_limit(w.ft, OFPTT_ALL, 2);
    flow_tables_limit(w.ft, 1, 9);
    CU_ASSERT_TRUE(flow_tables_table_max(w.ft, 0) == 2 && flow_tables_table_max(w.ft, 1) == 3);        /* Never more than all together. */
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 1, 0, 0, 0)) && of_ok(add(&w, 0, 2, 0, 0, 0)));
    CU_ASSERT_EQUAL(add(&w, 0, 3, 0, 0, 0).code, OFPFMFC_TABLE_FULL);
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 2, 0, 0, 0)));      /* Replaces. */
    CU_ASSERT_TRUE(of_ok(add(&w, 1, 1, 0, 0, 0)));
    CU_ASSERT_EQUAL(add(&w, 1, 2, 0, 0, 0).code, OFPFMFC_TABLE_FULL);   /* The whole is full. */
    configure(&w, 2, OFPTC_EVICTION, 0);
    CU_ASSERT_EQUAL(add(&w, 2, 2, 9, 0, 0).code, OFPFMFC_TABLE_FULL);   /* Nobody in it to put out. */
    configure(&w, 1, OFPTC_EVICTION, 0);
    CU_ASSERT_TRUE(of_ok(add(&w, 1, 2, 0, 0, 0)));
    CU_ASSERT_TRUE(w.n_evicted == 1 && w.last_evicted == 1);
    flow_tables_free(w.ft);
}

/* --- Eviction --- */

static uint64_t expires(const struct twin *t)
{
    uint64_t hard = t->hard ? t->created_ns + t->hard * NS_PER_S : UINT64_MAX, idle = t->idle ? t->used_ns + t->idle * NS_PER_S : UINT64_MAX;
    return MIN(hard, idle);
}

static bool goes_first(const struct twin *a, const struct twin *b, uint32_t flags)
{
    if (flags & OFPTMPEF_IMPORTANCE && a->importance != b->importance) {
        return a->importance < b->importance;
    }
    if (flags & OFPTMPEF_LIFETIME && expires(a) != expires(b)) {
        return expires(a) < expires(b);
    }
    return a->order < b->order;
}

/* Whom a new entry of that importance puts out; N_IDS: nobody may go. */
static unsigned naive_victim(const struct world *w, uint32_t flags, uint16_t importance)
{
    unsigned best = N_IDS;
    for (unsigned i = 0; i < N_IDS; i++) {
        if (w->twins[i].present && (best == N_IDS || goes_first(&w->twins[i], &w->twins[best], flags))) {
            best = i;
        }
    }
    return best < N_IDS && flags & OFPTMPEF_IMPORTANCE && w->twins[best].importance > importance ? N_IDS : best;
}

static void random_add(struct world *w, struct rng *r, uint32_t flags)
{
    unsigned id = rng_below(r, N_IDS), n = flow_tables_count(w->ft, TABLE), before = w->n_evicted;
    uint16_t importance = (uint16_t) rng_below(r, 4), idle = (uint16_t) (rng_below(r, 2) * rng_below(r, 9)), hard = (uint16_t) (rng_below(r, 2) * rng_below(r, 9));
    bool full = n == MAX && !w->twins[id].present;
    unsigned victim = full ? naive_victim(w, flags, importance) : N_IDS;
    struct twin kept = w->twins[id];
    w->twins[id] = (struct twin) { true, importance, idle, hard, w->now_ns, w->now_ns, ++w->n_adds };
    struct of_error error = add(w, TABLE, id, importance, idle, hard);
    if (full && victim == N_IDS) {
        CU_ASSERT_EQUAL(error.code, OFPFMFC_TABLE_FULL);
        w->twins[id] = kept;
        return;
    }
    CU_ASSERT_TRUE(of_ok(error));
    CU_ASSERT_EQUAL(w->n_evicted - before, full);
    if (full) {
        CU_ASSERT_EQUAL(w->last_evicted, victim);
        w->twins[victim].present = false;
    }
}

static void random_step(struct world *w, struct rng *r, uint32_t *flags)
{
    unsigned id = rng_below(r, N_IDS);
    struct match m;
    struct of_flow_mod fm;
    switch (rng_below(r, 12)) {
    case 0:
        w->now_ns += rng_below(r, 1000) * (NS_PER_S / 1000);
        flow_tables_expire(w->ft);
        break;
    case 1: case 2: case 3:
        w->twins[id].used_ns = w->twins[id].present ? w->now_ns : w->twins[id].used_ns;
        break;
    case 4:
        of_flow_mod_init(&fm);
        fm.table_id = TABLE;
        fm.command = OFPFC_DELETE_STRICT;
        match_init(&m);
        match_set_u64(&m, FIELD_METADATA, id);
        fm.match = m;
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(w->ft, &fm)));
        break;
    case 5:
        if (!rng_below(r, 40)) {
            *flags = 1 + rng_below(r, 7);
            configure(w, TABLE, rng_below(r, 2) ? OFPTC_EVICTION : 0, *flags);
            configure(w, TABLE, OFPTC_EVICTION, *flags);
        }
        break;
    default:
        random_add(w, r, *flags);
    }
}

static void test_eviction(void)
{
    struct rng r;
    struct world w;
    uint32_t flags = OFPTMPEF_IMPORTANCE | OFPTMPEF_LIFETIME;
    rng_seed(&r, unit_seed());
    world_init(&w, 1000);
    flow_tables_limit(w.ft, TABLE, MAX);
    configure(&w, TABLE, OFPTC_EVICTION, flags);
    for (unsigned i = 0; i < 30000; i++) {
        random_step(&w, &r, &flags);
    }
    CU_ASSERT_TRUE(w.n_evicted > 1000 && w.n_other > 1000);
    CU_ASSERT_EQUAL(flow_tables_evicted(w.ft), w.n_evicted);
    flow_tables_free(w.ft);
}

/* What a bundle puts out comes back when it is aborted, and may be put out again. */
static void test_bundle(void)
{
    struct world w;
    world_init(&w, 10);
    flow_tables_limit(w.ft, 0, 2);
    configure(&w, 0, OFPTC_EVICTION, 0);
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 1, 1, 0, 0)) && of_ok(add(&w, 0, 2, 2, 0, 0)));
    flow_tables_begin(w.ft);
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 3, 3, 0, 0)) && of_ok(add(&w, 0, 4, 4, 0, 0)));
    CU_ASSERT_TRUE(w.n_evicted == 2 && w.last_evicted == 2);
    flow_tables_abort(w.ft);
    CU_ASSERT_EQUAL(flow_tables_count(w.ft, 0), 2);
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 5, 1, 0, 0)));
    CU_ASSERT_EQUAL(w.last_evicted, 1);
    flow_tables_begin(w.ft);
    CU_ASSERT_TRUE(of_ok(add(&w, 0, 6, 2, 0, 0)));
    flow_tables_commit(w.ft);
    CU_ASSERT_TRUE(w.n_evicted == 4 && w.last_evicted == 5);
    flow_tables_free(w.ft);
}

/* --- Vacancy --- */

static void test_vacancy(void)
{
    struct world w;
    struct of_table_config c = { .table_id = 0, .config = OFPTC_VACANCY_EVENTS, .has_vacancy = true, .vacancy_down = 20, .vacancy_up = 50 }, now;
    world_init(&w, 10);
    CU_ASSERT_EQUAL(flow_tables_vacancy_event(w.ft, 0), 0);
    CU_ASSERT_TRUE(of_ok(flow_tables_configure(w.ft, &c)));
    unsigned downs = 0;
    for (unsigned id = 0; id < 10; id++) {
        CU_ASSERT_TRUE(of_ok(add(&w, 0, id, 0, 0, 0)));
        uint8_t event = flow_tables_vacancy_event(w.ft, 0);
        CU_ASSERT_EQUAL(event, id == 8 ? OFPTR_VACANCY_DOWN : 0);       /* One of ten is free. */
        downs += event == OFPTR_VACANCY_DOWN;
    }
    CU_ASSERT_EQUAL(downs, 1);
    flow_tables_config(w.ft, 0, &now);
    CU_ASSERT_TRUE(now.config == OFPTC_VACANCY_EVENTS && now.has_vacancy && now.vacancy == 0 && now.vacancy_down == 20 && now.vacancy_up == 50);
    struct of_flow_mod fm;
    of_flow_mod_init(&fm);
    fm.command = OFPFC_DELETE;
    for (unsigned id = 0; id < 10; id++) {
        match_set_u64(&fm.match, FIELD_METADATA, id);
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(w.ft, &fm)));
        CU_ASSERT_EQUAL(flow_tables_vacancy_event(w.ft, 0), id == 5 ? OFPTR_VACANCY_UP : 0);    /* More than half is free. */
    }
    /* Enabled when nearly full: the event that comes next is up. */
    for (unsigned id = 0; id < 9; id++) {
        CU_ASSERT_TRUE(of_ok(add(&w, 0, id, 0, 0, 0)));
    }
    CU_ASSERT_TRUE(of_ok(flow_tables_configure(w.ft, &c)));
    CU_ASSERT_EQUAL(flow_tables_vacancy_event(w.ft, 0), 0);
    c = (struct of_table_config) { .table_id = 0, .config = OFPTC_EVICTION, .has_eviction = true, .eviction_flags = 8 };
    CU_ASSERT_EQUAL(flow_tables_configure(w.ft, &c).type, OFPET_BAD_PROPERTY);
    flow_tables_free(w.ft);
}

void flow_table_config_test_suite(void)
{
    UNIT_SUITE("flow_table_config", { "limits", test_limits }, { "eviction against the naive twin", test_eviction }, { "eviction in bundles", test_bundle },
               { "vacancy", test_vacancy });
}
