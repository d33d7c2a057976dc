/* The classifier against a list of rules, and against readers that never stop. */
#include <pthread.h>
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/classifier.h"

unit_suite_fn classifier_test_suite;

/* The naive twin: every rule in an array, the whole key compared. */
struct rule { struct cls_rule cls; struct match match; unsigned id; bool dead; };
struct twin { struct rule **rules; unsigned n, room; };

struct deferred { void (*fn)(void *); void *arg; };
struct graveyard { struct deferred *v; size_t n, room; };

static void bury(void (*fn)(void *), void *arg, void *graveyard)
{
    struct graveyard *g = graveyard;
    if (g->n == g->room) {
        g->room = MAX(64, 2 * g->room);
        g->v = xrealloc(g->v, g->room * sizeof g->v[0]);
    }
    g->v[g->n++] = (struct deferred) { fn, arg };
}

static void bury_all(struct graveyard *g)
{
    for (size_t i = 0; i < g->n; i++) {
        g->v[i].fn(g->v[i].arg);
    }
    g->n = 0;
}

static void rule_free(void *rule_)
{
    struct rule *rule = rule_;
    free((void *) rule->cls.match);
    free(rule);
}

/* Few values and few masks, so that rules meet. */
static void random_match(struct rng *r, struct match *m)
{
    match_init(m);
    if (rng_below(r, 2)) {
        match_set_u64(m, FIELD_IN_PORT, rng_below(r, 3));
    }
    if (rng_below(r, 2)) {
        uint64_t masks[] = { 0xff, 0xf, 0xf0, 0xffffffff };
        uint64_t mask = masks[rng_below(r, 4)];
        match_set_u64_masked(m, FIELD_REG0 + rng_below(r, 3), rng_below(r, 300) & mask, mask);
    }
    if (rng_below(r, 3) == 0) {
        match_set_u64(m, FIELD_ETH_TYPE, 0x800);
        match_set_u64_masked(m, FIELD_IPV4_DST, 0x0a000000 | (rng_below(r, 4) << 8), rng_below(r, 2) ? 0xffffff00 : 0xffffffff);
    }
    if (rng_below(r, 4) == 0) {
        match_set_u64(m, FIELD_METADATA, rng_below(r, 5));
    }
}

static void random_flow(struct rng *r, union flow_words *w)
{
    flow_init(&w->flow);
    w->flow.in_port = be32_put(rng_below(r, 3));
    for (unsigned i = 0; i < 3; i++) {
        w->flow.regs[i] = be32_put(rng_below(r, 300));
    }
    w->flow.eth_type = be16_put(rng_below(r, 2) ? 0x800 : 0x86dd);
    w->flow.ipv4_dst = be32_put(0x0a000000 | (rng_below(r, 4) << 8) | rng_below(r, 2));
    w->flow.metadata = be64_put(rng_below(r, 5));
}

static struct rule *rule_new(const struct match *m, uint16_t priority, unsigned id)
{
    struct rule *rule = XNEW(struct rule);
    rule->match = *m;
    rule->cls.match = minimatch_new(m);
    rule->cls.priority = priority;
    rule->id = id;
    return rule;
}

static void twin_add(struct twin *t, struct rule *rule)
{
    if (t->n == t->room) {
        t->room = MAX(64, 2 * t->room);
        t->rules = xrealloc(t->rules, t->room * sizeof(struct rule *));
    }
    t->rules[t->n++] = rule;
}

static int twin_best(const struct twin *t, const union flow_words *w)
{
    int best = -1;
    for (unsigned i = 0; i < t->n; i++) {
        if (t->rules[i]->cls.priority > best && match_covers_flow(&t->rules[i]->match, &w->flow)) {
            best = t->rules[i]->cls.priority;
        }
    }
    return best;
}

static void check_lookup(struct classifier *cls, const struct twin *t, struct rng *rng)
{
    union flow_words w;
    random_flow(rng, &w);
    const struct cls_rule *got = classifier_lookup(cls, &w, 0);
    int want = twin_best(t, &w);
    CU_ASSERT_EQUAL(got ? got->priority : -1, want);
    if (got) {
        const struct rule *rule = CONTAINER_OF(got, struct rule, cls);
        CU_ASSERT_FALSE(rule->dead);
        CU_ASSERT_TRUE(match_covers_flow(&rule->match, &w.flow));
        /* Of equal match and priority the newest one counts. */
        for (unsigned i = 0; i < t->n; i++) {
            if (t->rules[i]->cls.priority == got->priority && match_equal(&t->rules[i]->match, &rule->match)) {
                CU_ASSERT_TRUE(t->rules[i]->id <= rule->id);
            }
        }
    }
}

static void test_differential(void)
{
    struct rng rng;
    struct graveyard g = { NULL, 0, 0 };
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 40; round++) {
        struct classifier cls;
        struct twin t = { NULL, 0, 0 };
        unsigned n_priorities = 1 + rng_below(&rng, round % 2 ? 500 : 6), target = 1 + rng_below(&rng, 200);
        classifier_init(&cls, bury, &g);
        for (unsigned step = 0; step < 1500; step++) {
            if (t.n < target ? rng_below(&rng, 4) : !rng_below(&rng, 4)) {
                struct match m;
                random_match(&rng, &m);
                struct rule *rule = rule_new(&m, (uint16_t) rng_below(&rng, n_priorities), step);
                classifier_insert(&cls, &rule->cls);
                twin_add(&t, rule);
                CU_ASSERT_PTR_EQUAL(classifier_find(&cls, rule->cls.match, rule->cls.priority), &rule->cls);
            } else if (t.n) {
                unsigned i = rng_below(&rng, t.n);
                struct rule *rule = t.rules[i];
                t.rules[i] = t.rules[--t.n];
                classifier_remove(&cls, &rule->cls);
                rule->dead = true;
                bury(rule_free, rule, &g);
            }
            check_lookup(&cls, &t, &rng);
            if (step % 64 == 0) {
                bury_all(&g);
            }
        }
        CU_ASSERT_EQUAL(cls.n_rules, t.n);
        while (t.n) {
            struct rule *rule = t.rules[--t.n];
            classifier_remove(&cls, &rule->cls);
            bury(rule_free, rule, &g);
            check_lookup(&cls, &t, &rng);
        }
        CU_ASSERT_PTR_NULL(atomic_load(&cls.vector));
        classifier_fini(&cls);
        bury_all(&g);
        free(t.rules);
    }
    free(g.v);
}

/* Many rules of one mask: what grows stays findable, and emptying gives the memory back. */
static void test_many(void)
{
    enum { N = 50000 };
    struct graveyard g = { NULL, 0, 0 };
    struct classifier cls;
    struct rule **rules = xcalloc(N, sizeof(struct rule *));
    union flow_words w;
    unsigned missing = 0;
    classifier_init(&cls, bury, &g);
    for (unsigned i = 0; i < N; i++) {
        struct match m;
        match_init(&m);
        match_set_u64(&m, FIELD_REG0, i);
        rules[i] = rule_new(&m, (uint16_t) i, i);
        classifier_insert(&cls, &rules[i]->cls);
    }
    for (unsigned i = 0; i < N; i++) {
        flow_init(&w.flow);
        w.flow.regs[0] = be32_put(i);
        missing += classifier_lookup(&cls, &w, 0) != &rules[i]->cls;
    }
    CU_ASSERT_EQUAL(missing, 0);
    const struct cls_subtable *st = rules[0]->cls.subtable;
    for (unsigned i = 0; i < N - 1; i++) {
        classifier_remove(&cls, &rules[N - 1 - i]->cls);
        rule_free(rules[N - 1 - i]);
    }
    CU_ASSERT_TRUE(atomic_load(&st->array)->mask < 64);
    CU_ASSERT_EQUAL(st->max_priority, 0);
    classifier_remove(&cls, &rules[0]->cls);
    rule_free(rules[0]);
    bury_all(&g);
    classifier_fini(&cls);
    free(g.v);
    free(rules);
}

/* A mask of bits here and there, more of them set than not. */
static void random_bits(struct rng *r, struct match *m, enum field_id id, unsigned width, uint64_t key)
{
    uint64_t all = UINT64_MAX >> (64 - width), mask = (rng_u64(r) | rng_u64(r)) & all;
    match_set_u64_masked(m, id, key & mask, mask);
}

/* As many masks as rules, of one field or of some of five: few subtables, and what a list says. */
static void test_masks(void)
{
    enum { N = 2000, N_LOOKUPS = 300 };
    static const struct { enum field_id id; unsigned width; } fields_asked[] = {
        { FIELD_IPV4_DST, 32 }, { FIELD_IPV4_SRC, 32 }, { FIELD_TCP_SRC, 16 }, { FIELD_TCP_DST, 16 }, { FIELD_ETH_SRC, 48 },
    };
    struct rng rng;
    struct graveyard g = { NULL, 0, 0 };
    rng_seed(&rng, unit_seed());
    for (unsigned n_fields = 1; n_fields <= ARRAY_SIZE(fields_asked); n_fields += 4) {
        struct classifier cls;
        struct twin t = { NULL, 0, 0 };
        union flow_words *keys = xcalloc(N, sizeof keys[0]);
        unsigned wrong = 0;
        classifier_init(&cls, bury, &g);
        for (unsigned i = 0; i < N; i++) {
            struct match m;
            match_init(&m);
            match_set_u64(&m, FIELD_ETH_TYPE, 0x800);
            match_set_u64(&m, FIELD_IP_PROTO, 6);
            flow_init(&keys[i].flow);
            keys[i].flow.eth_type = be16_put(0x800);
            keys[i].flow.ip_proto = 6;
            for (unsigned k = 0; k < n_fields; k++) {
                uint64_t key = rng_u64(&rng) & UINT64_MAX >> (64 - fields_asked[k].width);
                union field_value v = { .w = { 0, be64_put(key).v } };
                field_set(field_row(fields_asked[k].id), &keys[i].flow, &v);
                if (n_fields == 1 || rng_below(&rng, 10) < 6) {
                    random_bits(&rng, &m, fields_asked[k].id, fields_asked[k].width, key);
                }
            }
            struct rule *rule = rule_new(&m, (uint16_t) (1 + i), i);
            classifier_insert(&cls, &rule->cls);
            twin_add(&t, rule);
        }
        CU_ASSERT_TRUE(cls.subtables.n < 250);
        for (unsigned i = 0; i < N_LOOKUPS; i++) {
            const union flow_words *key = &keys[rng_below(&rng, N)];
            const struct cls_rule *got = classifier_lookup(&cls, key, 0);
            wrong += (got ? got->priority : -1) != twin_best(&t, key);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        while (t.n) {
            struct rule *rule = t.rules[--t.n];
            CU_ASSERT_PTR_EQUAL(classifier_find(&cls, rule->cls.match, rule->cls.priority), &rule->cls);
            classifier_remove(&cls, &rule->cls);
            rule_free(rule);
        }
        bury_all(&g);
        classifier_fini(&cls);
        free(t.rules);
        free(keys);
    }
    free(g.v);
}

/* --- Readers beside a writer --- */

enum { N_READERS = 2, N_KEYS = 64 };

struct stress {
    struct classifier cls;
    _Atomic bool stop;
    _Atomic unsigned missed, wrong;
    _Atomic uint64_t lookups;
};

static void *reader(void *stress_)
{
    struct stress *s = stress_;
    uint64_t n = 0;
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        union flow_words w;
        unsigned key = (unsigned) (hash_mix64(n) % N_KEYS);
        flow_init(&w.flow);
        w.flow.regs[0] = be32_put(key);
        const struct cls_rule *r = classifier_lookup(&s->cls, &w, 0);
        if (!r) {
            atomic_fetch_add(&s->missed, 1);
        } else {
            atomic_fetch_add(&s->wrong, wire_get32((const uint8_t *) minimatch_values(r->match)) != key);
        }
        n++;
    }
    atomic_fetch_add(&s->lookups, n);
    return NULL;
}

/* Each key's rule is replaced over and over, among rules of other masks that come and go; no reader may ever miss one. */
static void test_readers(void)
{
    struct stress *s = XNEW(struct stress);
    struct graveyard g = { NULL, 0, 0 };
    struct rule *current[N_KEYS], *other[256] = { NULL };
    pthread_t threads[N_READERS];
    struct rng rng;
    unsigned id = 0;
    rng_seed(&rng, unit_seed());
    classifier_init(&s->cls, bury, &g);
    for (unsigned i = 0; i < N_KEYS; i++) {
        struct match m;
        match_init(&m);
        match_set_u64(&m, FIELD_REG0, i);
        current[i] = rule_new(&m, 100, id++);
        classifier_insert(&s->cls, &current[i]->cls);
    }
    for (unsigned i = 0; i < N_READERS; i++) {
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, reader, s), 0);
    }
    for (unsigned step = 0; step < 30000; step++) {
        unsigned i = rng_below(&rng, N_KEYS), j = rng_below(&rng, ARRAY_SIZE(other));
        struct rule *rule = rule_new(&current[i]->match, 100, id++);
        classifier_insert(&s->cls, &rule->cls);
        classifier_remove(&s->cls, &current[i]->cls);
        bury(rule_free, current[i], &g);
        current[i] = rule;
        if (other[j]) {
            classifier_remove(&s->cls, &other[j]->cls);
            bury(rule_free, other[j], &g);
            other[j] = NULL;
        } else {
            /* The same mask, to make its table grow and shrink, or another one. */
            struct match m;
            match_init(&m);
            match_set_u64(&m, j % 4 ? FIELD_REG0 : FIELD_REG0 + 1 + j % 8, 100000 + j);
            other[j] = rule_new(&m, (uint16_t) rng_below(&rng, 300), id++);
            classifier_insert(&s->cls, &other[j]->cls);
        }
    }
    atomic_store(&s->stop, true);
    for (unsigned i = 0; i < N_READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(s->missed, 0);
    CU_ASSERT_EQUAL(s->wrong, 0);
    CU_ASSERT_TRUE(s->lookups > 0);
    for (unsigned i = 0; i < N_KEYS; i++) {
        classifier_remove(&s->cls, &current[i]->cls);
        rule_free(current[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
        if (other[i]) {
            classifier_remove(&s->cls, &other[i]->cls);
            rule_free(other[i]);
        }
    }
    bury_all(&g);
    classifier_fini(&s->cls);
    free(g.v);
    free(s);
}

void classifier_test_suite(void)
{
    UNIT_SUITE("classifier",
        { "against a list", test_differential },
        { "many rules", test_many },
        { "many masks", test_masks },
        { "readers never miss", test_readers });
}
