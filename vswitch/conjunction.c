/* Conjunctive matches: the writer's half first, then the reader's. */
#include "vswitch/conjunction.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"

struct conj_set {
    struct classifier cls;
    struct minimatch *shape;    /* Control: of the first entry; its masks are everyone's. */
};

struct conj_vector {            /* Immutable once published. */
    unsigned n;
    struct { struct conj_set *set; uint16_t priority; } entries[];
};

void conjunctions_init(struct conjunctions *c, struct dp *dp)
{
    atomic_init(&c->vector, NULL);
    c->dp = dp;
}

void conjunctions_fini(struct conjunctions *c)
{
    assert(!conjunctions_any(c));
}

static bool has_masks(const struct conj_set *set, const struct minimatch *m)
{
    return set->shape->map == m->map && !memcmp(minimatch_masks(set->shape), minimatch_masks(m), m->n * sizeof m->words[0]);
}

/* The first place whose priority is not higher. */
static unsigned place(const struct conj_vector *v, uint16_t priority)
{
    unsigned low = 0, high = v ? v->n : 0;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (v->entries[middle].priority > priority) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The rule's set is at *at, or would go there; *n_masks: sets of its priority passed on the way. */
static struct conj_set *find_set(const struct conj_vector *v, const struct cls_rule *rule, unsigned *at, unsigned *n_masks)
{
    *at = place(v, rule->priority);
    for (*n_masks = 0; v && *at < v->n && v->entries[*at].priority == rule->priority; ++*at, ++*n_masks) {
        if (has_masks(v->entries[*at].set, rule->match)) {
            return v->entries[*at].set;
        }
    }
    return NULL;
}

static void publish(struct conjunctions *c, struct conj_vector *v)
{
    struct conj_vector *old = atomic_load_explicit(&c->vector, memory_order_relaxed);
    atomic_store_explicit(&c->vector, v, memory_order_release);
    if (old) {
        dp_defer(free, old, c->dp);
    }
}

static struct conj_vector *vector_new(unsigned n)
{
    struct conj_vector *v = xcalloc(1, sizeof *v + n * sizeof v->entries[0]);
    v->n = n;
    return v;
}

static void set_free(void *set_)
{
    struct conj_set *set = set_;
    classifier_fini(&set->cls);
    free(set->shape);
    free(set);
}

bool conjunctions_insert(struct conjunctions *c, struct dp_rule *rule)
{
    const struct conj_vector *old = atomic_load_explicit(&c->vector, memory_order_relaxed);
    unsigned at, n_masks, n = old ? old->n : 0;
    struct conj_set *set = find_set(old, &rule->cls, &at, &n_masks);
    if (set) {
        classifier_insert(&set->cls, &rule->cls);
        return true;
    }
    if (n_masks >= CONJ_MAX_MASKS) {
        return false;
    }
    set = XNEW(struct conj_set);
    classifier_init(&set->cls, dp_defer, c->dp);
    set->shape = minimatch_clone(rule->cls.match);
    classifier_insert(&set->cls, &rule->cls);
    struct conj_vector *v = vector_new(n + 1);
    v->entries[at].set = set;
    v->entries[at].priority = rule->cls.priority;
    for (unsigned i = 0; i < n; i++) {
        v->entries[i + (i >= at)] = old->entries[i];
    }
    publish(c, v);
    return true;
}

void conjunctions_remove(struct conjunctions *c, struct dp_rule *rule)
{
    const struct conj_vector *old = atomic_load_explicit(&c->vector, memory_order_relaxed);
    unsigned at, n_masks;
    struct conj_set *set = find_set(old, &rule->cls, &at, &n_masks);
    classifier_remove(&set->cls, &rule->cls);
    if (set->cls.n_rules) {
        return;
    }
    struct conj_vector *v = old->n > 1 ? vector_new(old->n - 1) : NULL;
    for (unsigned i = 0; v && i < v->n; i++) {
        v->entries[i] = old->entries[i + (i >= at)];
    }
    publish(c, v);
    dp_defer(set_free, set, c->dp);
}

static int by_id(const void *a_, const void *b_)
{
    const struct op *a = a_, *b = b_;
    uint32_t x = a->conjunction.id, y = b->conjunction.id;
    return x != y ? (x > y) - (x < y) : a->conjunction.n_clauses - b->conjunction.n_clauses;
}

void conjunction_sort(struct op *ops, unsigned n)
{
    qsort(ops, n, sizeof ops[0], by_id);
}

bool program_is_conjunctive(const struct program *p)
{
    return p->n_apply && p->ops[0].code == OP_CONJUNCTION;
}

/* --- Readers --- */

struct hit { const struct program *program; unsigned at; };     /* at: the first clause not looked at yet. */

static const struct op *clause_of(const struct hit *h)
{
    return h->at < h->program->n_apply ? &h->program->ops[h->at] : NULL;
}

/* The next complete conjunction of the hits, in the order of ids. */
static bool next_complete(struct hit *hits, unsigned n, uint32_t *id)
{
    for (;;) {
        const struct op *least = NULL;
        for (unsigned i = 0; i < n; i++) {
            const struct op *op = clause_of(&hits[i]);
            if (op && (!least || by_id(op, least) < 0)) {
                least = op;
            }
        }
        if (!least) {
            return false;
        }
        uint64_t missing = UINT64_MAX >> (64 - least->conjunction.n_clauses);
        for (unsigned i = 0; i < n; i++) {
            for (const struct op *op; (op = clause_of(&hits[i])) && !by_id(op, least); hits[i].at++) {
                missing &= ~(UINT64_C(1) << op->conjunction.clause);
            }
        }
        if (!missing) {
            *id = least->conjunction.id;
            return true;
        }
    }
}

struct cls_rule *conjunctions_lookup(const struct conjunctions *c, const struct classifier *cls, union flow_words *flow, uint64_t version, struct cls_rule *best,
                                     uint32_t *conj_id)
{
    const struct conj_vector *v = atomic_load_explicit(&c->vector, memory_order_acquire);
    struct hit hits[CONJ_MAX_MASKS];
    for (unsigned i = 0; v && i < v->n && (!best || v->entries[i].priority > best->priority); ) {
        uint16_t priority = v->entries[i].priority;
        unsigned n = 0;
        for (; i < v->n && v->entries[i].priority == priority; i++) {
            const struct cls_rule *found = classifier_lookup(&v->entries[i].set->cls, flow, version);
            if (found) {
                const struct dp_rule *rule = CONTAINER_OF(found, const struct dp_rule, cls);
                hits[n++] = (struct hit) { atomic_load_explicit(&rule->program, memory_order_acquire), 0 };
            }
        }
        for (uint32_t id; next_complete(hits, n, &id); ) {
            be32 own = flow->flow.conj_id;
            flow->flow.conj_id = be32_put(id);
            struct cls_rule *outcome = classifier_lookup(cls, flow, version);
            flow->flow.conj_id = own;
            if (outcome) {
                *conj_id = id;
                return outcome;
            }
        }
    }
    return best;
}
