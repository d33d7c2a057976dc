/* The writer's half of the classifier. */
#include "vswitch/classifier.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define MIN_SLOTS 16
#define SLOTS_PER_HEAD 4        /* At least half of that: most first slots that nobody is in are empty. */

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
    while (n_slots < SLOTS_PER_HEAD * (st->n_heads + 1)) {
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

/* The slot of that hash; NULL if none. `free_slot`, if given: where one could go. */
static _Atomic uint64_t *subtable_slot(struct cls_array *a, uint32_t hash, _Atomic uint64_t **free_slot)
{
    for (size_t i = hash & a->mask;; i = (i + 1) & a->mask) {
        uint64_t slot = atomic_load_explicit(&a->slots[i], memory_order_relaxed);
        if (!cls_slot_is_rule(slot) && free_slot && !*free_slot) {
            *free_slot = &a->slots[i];
        }
        if (slot == CLS_EMPTY) {
            return NULL;
        }
        if (slot != CLS_TOMBSTONE && cls_slot_rule(slot)->hash == hash) {
            return &a->slots[i];
        }
    }
}

/* --- Subtables by mask --- */

/* Masks as a whole key, for what is rare. */
static void expand_masks(const struct minimatch *m, union flow_words *w)
{
    unsigned k = 0;
    memset(w, 0, sizeof *w);
    for (uint64_t map = m->map; map; map &= map - 1) {
        w->w[__builtin_ctzll(map)] = minimatch_masks(m)[k++];
    }
}

static uint32_t mask_hash(const union flow_words *mask)
{
    return hash_bytes(mask, sizeof *mask, 0);
}

static struct cls_subtable *subtable_find(const struct classifier *cls, const union flow_words *mask)
{
    struct cls_subtable *st;
    HMAP_FOR_EACH_WITH_HASH(st, node, mask_hash(mask), &cls->subtables) {
        bool same = true;
        unsigned n = 0;
        for (unsigned i = 0; i < st->n; i++) {
            same = same && mask->w[st->index[i]] == st->masks[i];
        }
        for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
            n += !!mask->w[i];
        }
        if (same && n == st->n) {
            return st;
        }
    }
    return NULL;
}

static struct cls_subtable *subtable_new(struct classifier *cls, const union flow_words *mask)
{
    struct cls_subtable *st = XNEW(struct cls_subtable);
    for (unsigned i = 0; i < FLOW_N_WORDS; i++) {
        if (mask->w[i]) {
            st->index[st->n] = (uint8_t) i;
            st->masks[st->n++] = mask->w[i];
            st->n_bits += (unsigned) __builtin_popcountll(mask->w[i]);
        }
    }
    atomic_init(&st->array, array_new(MIN_SLOTS));
    hmap_init(&st->priorities);
    hmap_insert(&cls->subtables, &st->node, mask_hash(mask));
    list_push_back(&cls->order, &st->order);
    return st;
}

/* The hash of a rule's values under the subtable's mask; false: the rule leaves some of its bits open. */
static bool subtable_hash(const struct cls_subtable *st, const struct minimatch *m, uint32_t *hash)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < st->n; i++) {
        uint64_t bit = UINT64_C(1) << st->index[i];
        unsigned k = (unsigned) __builtin_popcountll(m->map & (bit - 1));
        if (!(m->map & bit) || st->masks[i] & ~minimatch_masks(m)[k]) {
            return false;
        }
        h = cls_hash_step(h, i, minimatch_values(m)[k] & st->masks[i]);
    }
    *hash = cls_hash_finish(h);
    return true;
}

/* The length of a hash's chain; `has`: a rule of that very match is in it. */
static unsigned chain_length(const struct cls_subtable *st, uint32_t hash, const struct minimatch *m, bool *has)
{
    _Atomic uint64_t *slot = subtable_slot(atomic_load_explicit(&st->array, memory_order_relaxed), hash, NULL);
    const struct cls_rule *r = slot ? cls_slot_rule(atomic_load_explicit(slot, memory_order_relaxed)) : NULL;
    unsigned n = 0;
    for (*has = false; r && !*has; n++) {
        *has = minimatch_equal(r->match, m);
        r = atomic_load_explicit(&r->next, memory_order_relaxed);
    }
    return n;
}

static be32 cut_prefix(be32 mask, unsigned *n_bits)
{
    static const uint8_t lengths[] = { 24, 16, 12, 8 };
    uint32_t m = be32_get(mask);
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        uint32_t prefix = UINT32_MAX << (32 - lengths[i]);
        if ((m & prefix) == prefix) {
            *n_bits += lengths[i];
            return be32_put(prefix);
        }
    }
    return be32_put(0);
}

/* A mask that asks for less, for others to join: IPv4 prefixes of few lengths, and nothing else of the packet's inner headers, as long as that leaves something to tell by. */
static void widen(union flow_words *mask)
{
    union flow_words w = *mask;
    unsigned n_bits = 0;
    w.flow.ipv4_src = cut_prefix(w.flow.ipv4_src, &n_bits);
    w.flow.ipv4_dst = cut_prefix(w.flow.ipv4_dst, &n_bits);
    if (n_bits >= 12) {
        w.flow.ip_proto = w.flow.ip_dscp = w.flow.ip_ecn = w.flow.ip_frag = w.flow.nw_ttl = 0;
        w.flow.tp_src = w.flow.tp_dst = w.flow.tcp_flags = be16_put(0);
        w.flow.icmp_type = w.flow.icmp_code = 0;
        *mask = w;
    }
}

/* What many rules have alike tells nothing apart. */
static const union flow_words dull = { .flow = { .eth_type = { UINT16_MAX }, .ip_proto = UINT8_MAX, .ip_frag = UINT8_MAX, .vlan_vid = { UINT16_MAX }, .in_port = { UINT32_MAX } } };

/*
 * A few bits of a mask, for others to join whose masks have little else in common: any few, since of random masks a part has those as well, but of one
 * field, since many masks have whole fields.  The more subtables there are the fewer, so that more find room.  False: no field has as many.
 */
static bool narrow(const struct classifier *cls, union flow_words *mask)
{
    unsigned n_subtables = (unsigned) cls->subtables.n, wanted = n_subtables < 96 ? 6 : n_subtables < 160 ? 5 : n_subtables < 224 ? 4 : 3, n = 0;
    uint64_t seed = hash_mix64(mask_hash(mask)), lane = 0;
    unsigned word = 0;
    for (unsigned i = 0; i < 4 * FLOW_N_WORDS; i++) {
        uint64_t bits = mask->w[i / 4] & ~dull.w[i / 4] & UINT64_C(0xffff) << 16 * (i % 4);
        if ((unsigned) __builtin_popcountll(bits) >= wanted && seed % ++n == 0) {       /* Each of the n so far is as likely. */
            lane = bits;
            word = i / 4;
        }
    }
    if (!n) {
        return false;
    }
    for (unsigned left = (unsigned) __builtin_popcountll(lane); left > wanted; left--) {
        uint64_t bits = lane;
        seed = hash_mix64(seed);
        for (unsigned skip = (unsigned) (seed % left); skip; skip--) {
            bits &= bits - 1;
        }
        lane &= ~(bits & -bits);
    }
    flow_init(&mask->flow);
    mask->w[word] = lane;
    return true;
}

/* How many rules may be behind a slot: more where there are very many subtables still. */
static unsigned max_chain(const struct classifier *cls)
{
    return CLS_MAX_CHAIN * (1 + (unsigned) cls->subtables.n / 64);
}

/* Where a rule goes, and its hash there.  Rules of one match share a subtable, so that the newest of them is found first. */
static struct cls_subtable *choose_subtable(struct classifier *cls, const struct minimatch *m, uint32_t *hash)
{
    union flow_words mask;
    expand_masks(m, &mask);
    struct cls_subtable *exact = subtable_find(cls, &mask), *best = exact, *st;
    bool merges = cls->subtables.n >= CLS_EXACT_MASKS, full = false, narrowed = false;
    unsigned longest = max_chain(cls);
    LIST_FOR_EACH(st, order, &cls->order) {
        uint32_t h;
        bool has;
        if (subtable_hash(st, m, &h)) {
            unsigned n = chain_length(st, h, m, &has);
            if (has) {
                *hash = h;
                return st;
            }
            if (!exact && merges && st->n && (!best || st->n_bits > best->n_bits) && n < longest) {
                best = st;
            }
            full = full || (st->narrow && n >= longest);
        }
    }
    if (!best && merges) {
        union flow_words wide = mask;
        widen(&wide);
        if (!full && cls->subtables.n >= CLS_MANY_MASKS) {
            narrowed = narrow(cls, &wide);      /* Nobody is where it could be. */
        }
        if (!subtable_find(cls, &wide)) {
            mask = wide;
        }
    }
    if (!best) {
        best = subtable_new(cls, &mask);
        best->narrow = narrowed;
    }
    bool fits = subtable_hash(best, m, hash);
    assert(fits);
    (void) fits;
    return best;
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
    size_t n_before = cls->subtables.n;
    struct cls_subtable *st = choose_subtable(cls, rule->match, &rule->hash);
    bool is_new = cls->subtables.n != n_before;
    atomic_init(&rule->removed, CLS_NEVER);
    rule->subtable = st;
    bool higher = priority_add(st, rule->priority);

    struct cls_array *a = atomic_load_explicit(&st->array, memory_order_relaxed);
    _Atomic uint64_t *free_slot = NULL, *slot = subtable_slot(a, rule->hash, &free_slot);
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
        if (SLOTS_PER_HEAD / 2 * (st->n_used + 1) > a->mask + 1) {
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
    _Atomic uint64_t *slot = subtable_slot(a, rule->hash, NULL);
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
        if (a->mask + 1 > MIN_SLOTS && 4 * SLOTS_PER_HEAD * st->n_heads < a->mask + 1) {
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
    struct cls_subtable *st;
    LIST_FOR_EACH(st, order, &cls->order) {
        uint32_t hash;
        _Atomic uint64_t *slot = subtable_hash(st, m, &hash) ? subtable_slot(atomic_load_explicit(&st->array, memory_order_relaxed), hash, NULL) : NULL;
        struct cls_rule *r = slot ? cls_slot_rule(atomic_load_explicit(slot, memory_order_relaxed)) : NULL;
        for (; r; r = next_of(r)) {
            if (r->priority == priority && minimatch_equal(r->match, m)) {
                return r;
            }
        }
    }
    return NULL;
}
