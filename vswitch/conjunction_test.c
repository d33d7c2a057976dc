/* Conjunctive matches: ovs-fields(7)'s sentences one by one, and random tables against a list of entries. */
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/conjunction.h"
#include "vswitch/dp_fixture.h"

unit_suite_fn conjunction_test_suite;

#define FRAME(SRC, DST, PORT) "tcp,ip_src=10.0.0." #SRC ",ip_dst=10.0.0." #DST ",tcp_src=1000,tcp_dst=" #PORT ",nw_ttl=64"

static void expect(struct fixture *fx, const char *frame, const char *ports)
{
    fixture_receive_flow(fx, 1, frame);
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), ports);
    if (strcmp(fixture_ports(fx), ports)) {
        printf("%s: %s, not %s\n", frame, fixture_ports(fx), ports);
    }
}

static void test_page(void)
{
    struct fixture fx;
    struct of_error error;
    fixture_init(&fx);
    fixture_add(&fx, "priority=10,ip,ip_src=10.0.0.1,actions=conjunction(7,1/2),note:01.02.03.04.05.06");
    fixture_add(&fx, "priority=10,ip,ip_src=10.0.0.2,actions=conjunction(9,1/2),conjunction(7,1/2)");
    fixture_add(&fx, "priority=10,ip,ip_dst=10.0.0.3,actions=conjunction(7,2/2)");
    fixture_add(&fx, "priority=10,ip,ip_dst=10.0.0.4/30,actions=conjunction(9,2/2)");
    fixture_add(&fx, "priority=1,actions=output:2");
    expect(&fx, FRAME(1, 3, 80), "2");                  /* "If the search with conj_id=id fails, … as if … had not matched at all" */
    fixture_add(&fx, "priority=3,conj_id=7,ip,actions=move:NXM_NX_CONJ_ID[]->NXM_NX_REG0[],output:3");
    fixture_add(&fx, "priority=3,conj_id=9,tcp,tcp_dst=80,actions=output:4");
    expect(&fx, FRAME(1, 3, 80), "3");
    expect(&fx, FRAME(2, 3, 80), "3");
    expect(&fx, FRAME(2, 6, 80), "4");
    expect(&fx, FRAME(2, 6, 81), "2");
    expect(&fx, FRAME(1, 6, 80), "2");
    expect(&fx, FRAME(5, 3, 80), "2");
    fixture_add(&fx, "priority=10,tcp,tcp_dst=80,ip_src=10.0.0.1,actions=output:2");           /* An ordinary one of the same priority wins, */
    expect(&fx, FRAME(1, 3, 80), "2");
    fixture_flow(&fx, OFPFC_DELETE, 0, "tcp,tcp_dst=80,ip_src=10.0.0.1,actions=drop", NULL);
    fixture_add(&fx, "priority=9,tcp,tcp_dst=80,ip_src=10.0.0.1,actions=output:2");            /* and one that is above the entry that conj_id finds. */
    expect(&fx, FRAME(1, 3, 80), "2");
    expect(&fx, FRAME(1, 3, 81), "3");
    fixture_flow(&fx, OFPFC_ADD, 0, "priority=2,actions=conjunction(1,1/2),output:1", &error);
    CU_ASSERT_TRUE(error.type == OFPET_NICIRA && error.code == NXE_BAD_CONJUNCTION);
    fixture_flow(&fx, OFPFC_ADD, 0, "priority=2,actions=conjunction(1,1/2),goto_table:4", &error);
    CU_ASSERT_TRUE(error.type == OFPET_NICIRA && error.code == NXE_BAD_CONJUNCTION);
    fixture_fini(&fx);
}

/* In a resubmit's table, under another in_port, 64 dimensions, an entry that is in two of them; and nothing is counted. */
static void test_dimensions(void)
{
    struct fixture fx;
    char text[128];
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=1,actions=resubmit(9,5),output:4");
    fixture_add(&fx, "table=5,priority=1,conj_id=4294967295,in_port=9,actions=output:2");
    for (unsigned i = 0; i < 63; i++) {
        expect(&fx, FRAME(1, 2, 255), "4");
        sprintf(text, "table=5,priority=8,tcp,tcp_dst=%u/%u,actions=conjunction(4294967295,%u/64)%s", i ? 1u << i % 8 : 0, i ? 1u << i % 8 | 1u << (8 + i / 8) : 0, i + 1,
                i ? "" : ",conjunction(4294967295,64/64)");
        fixture_add(&fx, text);
    }
    expect(&fx, FRAME(1, 2, 255), "2,4");
    fixture_flow(&fx, OFPFC_MODIFY, 0, "table=5,tcp,tcp_dst=0/0,actions=conjunction(5,1/2)", NULL);
    expect(&fx, FRAME(1, 2, 255), "4");
    struct of_table_stats stats;
    dp_table_stats(fx.dp, 5, &stats);
    CU_ASSERT_EQUAL(stats.active_count, 64);
    CU_ASSERT_EQUAL(stats.lookup_count, 65);
    CU_ASSERT_EQUAL(stats.matched_count, 1);
    fixture_fini(&fx);
}

/* No more masks than a lookup may cost; a mask that is there takes any number of entries. */
static void test_limit(void)
{
    struct fixture fx;
    struct of_error error;
    char text[128];
    fixture_init(&fx);
    for (unsigned i = 0; i <= CONJ_MAX_MASKS; i++) {
        sprintf(text, "priority=8,reg0=0/%u,actions=conjunction(1,1/2)", i + 1);
        fixture_flow(&fx, OFPFC_ADD, 0, text, &error);
        CU_ASSERT_EQUAL(of_ok(error), i < CONJ_MAX_MASKS);
    }
    CU_ASSERT_TRUE(error.type == OFPET_FLOW_MOD_FAILED && error.code == OFPFMFC_TABLE_FULL);
    fixture_add(&fx, "priority=8,reg0=1/1,actions=conjunction(1,2/2)");
    fixture_add(&fx, "priority=9,reg0=0/513,actions=conjunction(1,1/2)");
    fixture_add(&fx, "priority=8,reg0=0/513,actions=output:1");
    fixture_flow(&fx, OFPFC_MODIFY_STRICT, 0, "priority=8,reg0=0/513,actions=conjunction(1,1/2)", &error);
    CU_ASSERT_TRUE(error.type == OFPET_FLOW_MOD_FAILED && error.code == OFPFMFC_TABLE_FULL);
    fixture_fini(&fx);
}

/* --- Against a list --- */

struct entry { struct match match; uint16_t priority; uint64_t cookie; unsigned n_clauses; struct { uint32_t id; unsigned clause, n; } clauses[3]; };
struct twin { struct entry v[64]; unsigned n; };

/* The entries that may be the ordinary outcome: all of the best priority, as their cookies; the priority, or -1. */
static int twin_search(const struct twin *t, struct flow *flow, uint32_t conj_id, uint64_t *cookies, unsigned *n)
{
    int best = -1;
    flow->conj_id = be32_put(conj_id);
    for (unsigned i = *n = 0; i < t->n; i++) {
        const struct entry *e = &t->v[i];
        if (!e->n_clauses && e->priority >= best && match_covers_flow(&e->match, flow)) {
            *n = e->priority > best ? 0 : *n;
            best = e->priority;
            cookies[(*n)++] = e->cookie;
        }
    }
    flow->conj_id = be32_put(0);
    return best;
}

static bool twin_complete(const struct twin *t, const struct flow *flow, int priority, uint32_t id, unsigned n_dimensions)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < t->n; i++) {
        for (unsigned j = 0; t->v[i].priority == priority && j < t->v[i].n_clauses && match_covers_flow(&t->v[i].match, flow); j++) {
            seen |= t->v[i].clauses[j].id == id && t->v[i].clauses[j].n == n_dimensions ? 1u << t->v[i].clauses[j].clause : 0;
        }
    }
    return seen == (1u << n_dimensions) - 1;
}

enum { N_PRIORITIES = 6, N_IDS = 4, MAX_DIMENSIONS = 3 };

static void twin_lookup(const struct twin *t, struct flow *flow, uint64_t *cookies, unsigned *n)
{
    int best = twin_search(t, flow, 0, cookies, n);
    for (int priority = N_PRIORITIES - 1; priority > best; priority--) {
        for (uint32_t id = 0; id < N_IDS; id++) {
            for (unsigned dimensions = 2; dimensions <= MAX_DIMENSIONS; dimensions++) {
                if (twin_complete(t, flow, priority, id, dimensions) && twin_search(t, flow, id, cookies, n) >= 0) {
                    return;
                }
            }
        }
    }
    twin_search(t, flow, 0, cookies, n);
}

static struct entry *twin_find(struct twin *t, const struct entry *like)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (t->v[i].priority == like->priority && match_equal(&t->v[i].match, &like->match)) {
            return &t->v[i];
        }
    }
    return NULL;
}

/* A random entry and how it is written; `of`: with that one's priority and match. */
static void random_entry(struct rng *r, const struct entry *of, uint64_t cookie, struct entry *e, char *text, size_t size)
{
    static const char *const words[] = { "ip_src=10.0.0.", "ip_dst=10.0.0.", "tcp_src=", "tcp_dst=" };
    static const char *const masks[][2] = { { "", "" }, { "/255.255.255.254", "/0xfffe" }, { "/255.255.255.253", "/0xfffd" } };
    struct buf b = BUF_INIT, match = BUF_INIT;
    struct err err = ERR_INIT;
    *e = (struct entry) { .priority = of ? of->priority : (uint16_t) rng_below(r, N_PRIORITIES), .cookie = cookie };
    unsigned kind = rng_below(r, 4);    /* 0, 1: conjunctive; 2: for a conj_id; 3: ordinary. */
    if (of) {
        match_format(&of->match, &match);
        e->match = of->match;
    } else {
        buf_puts(&match, "tcp");
        for (unsigned i = 0, n = kind < 2 ? 1 : rng_below(r, 3), mask, field = rng_below(r, 4); i < n; i++, field = (field + 1) % 4) {
            mask = rng_below(r, 3);
            buf_printf(&match, ",%s%u%s", words[field], rng_below(r, 4) & (mask == 1 ? 2 : mask == 2 ? 1 : 3), masks[mask][field / 2]);
        }
        if (kind == 2) {
            buf_printf(&match, ",conj_id=%u", 1 + rng_below(r, N_IDS - 1));
        }
        match_init(&e->match);
        CU_ASSERT_TRUE_FATAL(match_parse(buf_cstr(&match), &e->match, &err));
    }
    buf_printf(&b, "priority=%u,cookie=%llu,%s,actions=", e->priority, (unsigned long long) cookie, buf_cstr(&match));
    if (kind < 2) {
        e->n_clauses = 1 + rng_below(r, 3);
        for (unsigned i = 0; i < e->n_clauses; i++) {
            e->clauses[i].id = rng_below(r, N_IDS);
            e->clauses[i].n = rng_below(r, 4) ? 2 : MAX_DIMENSIONS;
            e->clauses[i].clause = rng_below(r, e->clauses[i].n);
            buf_printf(&b, "%sconjunction(%u,%u/%u)", i ? "," : "", e->clauses[i].id, e->clauses[i].clause + 1, e->clauses[i].n);
        }
    } else {
        buf_puts(&b, "controller");
    }
    CU_ASSERT_TRUE_FATAL(b.size < size);
    strcpy(text, buf_cstr(&b));
    buf_fini(&b);
    buf_fini(&match);
}

static void random_change(struct fixture *fx, struct twin *t, struct rng *r, uint64_t cookie)
{
    struct entry e;
    char text[256];
    const struct entry *of = t->n && rng_below(r, 2) ? &t->v[rng_below(r, t->n)] : NULL;
    random_entry(r, of, cookie, &e, text, sizeof text);
    struct entry *old = twin_find(t, &e);
    if (old && rng_below(r, 3) == 0) {
        fixture_flow(fx, OFPFC_DELETE_STRICT, 0, text, NULL);
        *old = t->v[--t->n];
    } else if (old && rng_below(r, 2)) {
        fixture_flow(fx, OFPFC_MODIFY_STRICT, 0, text, NULL);
        e.cookie = old->cookie;
        *old = e;
    } else if (old || t->n < ARRAY_SIZE(t->v)) {
        fixture_flow(fx, OFPFC_ADD, 0, text, NULL);
        *(old ? old : &t->v[t->n++]) = e;
    }
}

static unsigned check_frame(struct fixture *fx, const struct twin *t, struct rng *r)
{
    char text[128];
    struct match m;
    struct err err = ERR_INIT;
    uint64_t cookies[ARRAY_SIZE(t->v)];
    unsigned n, ok = 0;
    snprintf(text, sizeof text, "tcp,ip_src=10.0.0.%u,ip_dst=10.0.0.%u,tcp_src=%u,tcp_dst=%u,nw_ttl=64", rng_below(r, 4), rng_below(r, 4), rng_below(r, 4), rng_below(r, 4));
    CU_ASSERT_TRUE_FATAL(match_parse(text, &m, &err));
    twin_lookup(t, &m.value.flow, cookies, &n);
    fixture_receive_flow(fx, 1, text);
    CU_ASSERT_EQUAL(fx->n_in, n ? 1 : 0);
    for (unsigned i = 0; i < n && fx->n_in; i++) {
        ok += fx->in[0].cookie == cookies[i];
    }
    CU_ASSERT_EQUAL(ok, n ? 1 : 0);
    uint64_t plain[ARRAY_SIZE(t->v)];
    unsigned n_plain;
    int best = twin_search(t, &m.value.flow, 0, plain, &n_plain);
    return n && (best < 0 || plain[0] != cookies[0]);           /* Whether a conjunction mattered. */
}

static void test_differential(void)
{
    struct fixture fx;
    struct rng rng;
    unsigned n_mattered = 0;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 60; round++) {
        struct twin t = { .n = 0 }, before;
        bool bundle = false;
        fixture_init(&fx);
        for (unsigned step = 1; step <= 400; step++) {
            if (!bundle && rng_below(&rng, 20) == 0) {
                before = t;
                bundle = true;
                dp_bundle_begin(fx.dp);
                flow_tables_begin(dp_flows(fx.dp));
            }
            random_change(&fx, &t, &rng, step);
            n_mattered += check_frame(&fx, bundle ? &before : &t, &rng);
            if (bundle && rng_below(&rng, 6) == 0) {
                bundle = false;
                if (rng_below(&rng, 2)) {
                    dp_bundle_commit(fx.dp);
                    flow_tables_commit(dp_flows(fx.dp));
                } else {
                    dp_bundle_abort(fx.dp);
                    flow_tables_abort(dp_flows(fx.dp));
                    t = before;
                }
            }
        }
        if (bundle) {
            dp_bundle_commit(fx.dp);
            flow_tables_commit(dp_flows(fx.dp));
        }
        fixture_fini(&fx);
    }
    CU_ASSERT_TRUE(n_mattered > 100);
}

void conjunction_test_suite(void)
{
    UNIT_SUITE("conjunction", { "as ovs-fields(7) says", test_page }, { "dimensions", test_dimensions }, { "limit", test_limit }, { "against a list", test_differential });
}
