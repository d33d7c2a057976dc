/* The writer's half of the classifier. */
#include "vswitch/classifier.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"

#define MIN_SLOTS 8

struct priority_count { struct hmap_node node; uint16_t priority; size_t n; };

void classifier_init(struct classifier *cls, void (*defer)(void (*fn)(void *), void *arg, void *aux), void *aux)
{
    *cls = (struct classifier) { .defer = defer, .aux = aux };
    atomic_init(&cls->vector, NULL);
    hmap_init(&cls->subtables);
    list_init(&cls->order);
}

void classifier_fini(struct classifier *cls)
{
    assert(!cls->n_rules);
    free(atomic_load_explicit(&cls->vector, memory_order_relaxed));
    hmap_fini(&cls->subtables);
}

/* --- A subtable's hash --- */

static struct cls_array *array_new(size_t n_slots)
{
    struct cls_array *a = xcalloc(1, sizeof *a + n_slots * sizeof a->slots[0]);
    a->mask = n_slots - 1;
    return a;
}

/* Only for arrays that nobody reads yet, or at slots that hold no rule. */
static void array_put(struct cls_array *a, uint64_t slot, uint32_t hash)
{
    size_t i = hash & a->mask;
    while (atomic_load_explicit(&a->slots[i], memory_order_relaxed) != CLS_EMPTY) {
        i = (i + 1) & a->mask;
    }
    atomic_store_explicit(&a->slots[i], slot, memory_order_relaxed);
}

/* A new array of fitting size without tombstones; published whole. */
static void subtable_rebuild(struct classifier *cls, struct cls_subtable *st)
{
    size_t n_slots = MIN_SLOTS;
    while (n_slots < 2 * (st->n_heads + 1)) {
        n_slots *= 2;
    }
    struct cls_array *old = atomic_load_explicit(&st->array, memory_order_relaxed), *a = array_new(n_slots);
    for (size_t i = 0; i <= old->mask; i++) {
        uint64_t slot = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (cls_slot_is_rule(slot)) {
            array_put(a, slot, cls_slot_rule(slot)->hash);
        }
    }
    st->n_used = st->n_heads;
    atomic_store_explicit(&st->array, a, memory_order_release);
    cls->defer(free, old, cls->aux);
}

static bool same_values(const struct minimatch *a, const struct minimatch *b)
{
    return !memcmp(minimatch_values(a), minimatch_values(b), a->n * sizeof(uint64_t));
}

/* The slot whose rules have these values; NULL if none. `free_slot`, if given: where one could go. */
static _Atomic uint64_t *subtable_slot(struct cls_array *a, uint32_t hash, const struct minimatch *m, _Atomic uint64_t **free_slot)
{
    for (size_t i = hash & a->mask;; i = (i + 1) & a->mask) {
        uint64_t slot = atomic_load_explicit(&a->slots[i], memory_order_relaxed);
        if (!cls_slot_is_rule(slot) && free_slot && !*free_slot) {
            *free_slot = &a->slots[i];
        }
        if (slot == CLS_EMPTY) {
            return NULL;
        }
        if (slot != CLS_TOMBSTONE && slot >> 48 == hash >> 16 && same_values(cls_slot_rule(slot)->match, m)) {
            return &a->slots[i];
        }
    }
}

static uint32_t minimatch_values_hash(const struct minimatch *m)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < m->n; i++) {
        h = cls_hash_step(h, minimatch_values(m)[i]);
    }
    return cls_hash_finish(h);
}

/* --- Subtables by mask --- */

static uint32_t mask_hash(const struct minimatch *m)
{
    return hash_bytes(minimatch_masks(m), m->n * sizeof(uint64_t), (uint32_t) (m->map ^ m->map >> 32));
}

static struct cls_subtable *subtable_find(const struct classifier *cls, const struct minimatch *m)
{
    struct cls_subtable *st;
    HMAP_FOR_EACH_WITH_HASH(st, node, mask_hash(m), &cls->subtables) {
        if (st->map == m->map && !memcmp(st->masks, minimatch_masks(m), m->n * sizeof(uint64_t))) {
            return st;
        }
    }
    return NULL;
}

static struct cls_subtable *subtable_new(struct classifier *cls, const struct minimatch *m)
{
    struct cls_subtable *st = XNEW(struct cls_subtable);
    st->map = m->map;
    uint64_t map = m->map;
    for (; map; map &= map - 1) {
        st->index[st->n] = (uint8_t) __builtin_ctzll(map);
        st->masks[st->n] = minimatch_masks(m)[st->n];
        st->n++;
    }
    atomic_init(&st->array, array_new(MIN_SLOTS));
    hmap_init(&st->priorities);
    hmap_insert(&cls->subtables, &st->node, mask_hash(m));
    list_push_back(&cls->order, &st->order);
    return st;
}

static void subtable_free(void *st_)
{
    struct cls_subtable *st = st_;
    free(atomic_load_explicit(&st->array, memory_order_relaxed));
    hmap_fini(&st->priorities);
    free(st);
}

static struct priority_count *priority_find(const struct cls_subtable *st, uint16_t priority)
{
    struct priority_count *c;
    HMAP_FOR_EACH_WITH_HASH(c, node, priority * UINT32_C(0x9e3779b1), &st->priorities) {
        if (c->priority == priority) {
            return c;
        }
    }
    return NULL;
}

static int by_priority(const void *a_, const void *b_)
{
    const struct cls_subtable *a = *(struct cls_subtable *const *) a_, *b = *(struct cls_subtable *const *) b_;
    return a->max_priority < b->max_priority ? 1 : a->max_priority > b->max_priority ? -1 : 0;
}

/* Publishes the subtables in the order of their best priorities. */
static void vector_publish(struct classifier *cls)
{
    size_t n = cls->subtables.n, i = 0;
    struct cls_vector *old = atomic_load_explicit(&cls->vector, memory_order_relaxed), *v = NULL;
    if (n) {
        struct cls_subtable **sorted = xcalloc(n, sizeof(struct cls_subtable *)), *st;
        LIST_FOR_EACH(st, order, &cls->order) {
            sorted[i++] = st;
        }
        qsort(sorted, n, sizeof(struct cls_subtable *), by_priority);
        v = xcalloc(1, sizeof *v + n * sizeof v->entries[0]);
        v->n = (unsigned) n;
        for (i = 0; i < n; i++) {
            v->entries[i].subtable = sorted[i];
            v->entries[i].max_priority = sorted[i]->max_priority;
        }
        free(sorted);
    }
    atomic_store_explicit(&cls->vector, v, memory_order_release);
    if (old) {
        cls->defer(free, old, cls->aux);
    }
}

static bool priority_add(struct cls_subtable *st, uint16_t priority)
{
    struct priority_count *c = priority_find(st, priority);
    if (!c) {
        c = XNEW(struct priority_count);
        c->priority = priority;
        hmap_insert(&st->priorities, &c->node, priority * UINT32_C(0x9e3779b1));
        st->n_priorities++;
    }
    bool higher = !st->n_heads || priority > st->max_priority;
    c->n++;
    if (higher) {
        st->max_priority = priority;
        st->n_stale = 0;
    }
    return higher;
}

/* True when the best priority is known to have sunk. */
static bool priority_remove(struct cls_subtable *st, uint16_t priority)
{
    struct priority_count *c = priority_find(st, priority);
    if (--c->n) {
        return false;
    }
    hmap_remove(&st->priorities, &c->node);
    free(c);
    st->n_priorities--;
    if (priority_find(st, st->max_priority) || ++st->n_stale < st->n_priorities) {
        return false;
    }
    st->n_stale = 0;
    uint16_t max = 0;
    HMAP_FOR_EACH(c, node, &st->priorities) {
        max = MAX(max, c->priority);
    }
    bool sunk = max < st->max_priority;
    st->max_priority = max;
    return sunk;
}

/* --- Rules --- */

static struct cls_rule *next_of(const struct cls_rule *r)
{
    return atomic_load_explicit(&r->next, memory_order_relaxed);
}

void classifier_insert(struct classifier *cls, struct cls_rule *rule)
{
    assert(!((uintptr_t) rule >> 48));
    struct cls_subtable *st = subtable_find(cls, rule->match);
    bool is_new = !st;
    if (is_new) {
        st = subtable_new(cls, rule->match);
    }
    atomic_init(&rule->removed, CLS_NEVER);
    rule->hash = minimatch_values_hash(rule->match);
    rule->subtable = st;
    bool higher = priority_add(st, rule->priority);

    struct cls_array *a = atomic_load_explicit(&st->array, memory_order_relaxed);
    _Atomic uint64_t *free_slot = NULL, *slot = subtable_slot(a, rule->hash, rule->match, &free_slot);
    if (slot) {
        struct cls_rule *head = cls_slot_rule(atomic_load_explicit(slot, memory_order_relaxed));
        if (rule->priority >= head->priority) {
            atomic_init(&rule->next, head);
            atomic_store_explicit(slot, cls_slot(rule), memory_order_release);
        } else {
            while (next_of(head) && next_of(head)->priority > rule->priority) {
                head = next_of(head);
            }
            atomic_init(&rule->next, next_of(head));
            atomic_store_explicit(&head->next, rule, memory_order_release);
        }
    } else {
        atomic_init(&rule->next, NULL);
        st->n_used += atomic_load_explicit(free_slot, memory_order_relaxed) == CLS_EMPTY;
        st->n_heads++;
        atomic_store_explicit(free_slot, cls_slot(rule), memory_order_release);
        /* At least a quarter of the slots stays empty, so that probes end. */
        if (4 * (st->n_used + 1) > 3 * (a->mask + 1)) {
            subtable_rebuild(cls, st);
        }
    }
    cls->n_rules++;
    if (is_new || higher) {
        vector_publish(cls);
    }
}

static void subtable_retire(struct classifier *cls, struct cls_subtable *st)
{
    hmap_remove(&cls->subtables, &st->node);
    list_remove(&st->order);
    vector_publish(cls);
    cls->defer(subtable_free, st, cls->aux);
}

void classifier_remove(struct classifier *cls, struct cls_rule *rule)
{
    struct cls_subtable *st = rule->subtable;
    struct cls_array *a = atomic_load_explicit(&st->array, memory_order_relaxed);
    _Atomic uint64_t *slot = subtable_slot(a, rule->hash, rule->match, NULL);
    struct cls_rule *head = cls_slot_rule(atomic_load_explicit(slot, memory_order_relaxed));
    if (head != rule) {
        while (next_of(head) != rule) {
            head = next_of(head);
        }
        atomic_store_explicit(&head->next, next_of(rule), memory_order_release);
    } else if (next_of(rule)) {
        atomic_store_explicit(slot, cls_slot(next_of(rule)), memory_order_release);
    } else {
        atomic_store_explicit(slot, CLS_TOMBSTONE, memory_order_release);
        st->n_heads--;
        if (a->mask + 1 > MIN_SLOTS && 8 * st->n_heads < a->mask + 1) {
            subtable_rebuild(cls, st);
        }
    }
    rule->subtable = NULL;
    cls->n_rules--;
    bool sunk = priority_remove(st, rule->priority);
    if (!st->n_heads) {
        subtable_retire(cls, st);
    } else if (sunk) {
        vector_publish(cls);
    }
}

struct cls_rule *classifier_find(const struct classifier *cls, const struct minimatch *m, uint16_t priority)
{
    struct cls_subtable *st = subtable_find(cls, m);
    if (!st) {
        return NULL;
    }
    _Atomic uint64_t *slot = subtable_slot(atomic_load_explicit(&st->array, memory_order_relaxed), minimatch_values_hash(m), m, NULL);
    struct cls_rule *r = slot ? cls_slot_rule(atomic_load_explicit(slot, memory_order_relaxed)) : NULL;
    while (r && r->priority > priority) {
        r = next_of(r);
    }
    return r && r->priority == priority ? r : NULL;
}
