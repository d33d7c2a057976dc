/* The reader's half of the classifier: no locks, no allocation. */
#include "vswitch/classifier.h"

static bool is_seen(const struct cls_rule *r, uint64_t version)
{
    return r->added <= version && version < atomic_load_explicit(&r->removed, memory_order_relaxed);
}

static inline bool covers(const struct minimatch *m, const union flow_words *flow)
{
    const uint64_t *masks = minimatch_masks(m), *values = minimatch_values(m);
    for (uint64_t map = m->map; map; map &= map - 1) {
        if ((flow->w[__builtin_ctzll(map)] & *masks++) != *values++) {
            return false;
        }
    }
    return true;
}

/* The best rule of the subtable that is better than `best`, else `best`. */
static inline struct cls_rule *subtable_lookup(const struct cls_subtable *st, const union flow_words *flow, uint64_t version, struct cls_rule *best)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < st->n; i++) {
        h = cls_hash_step(h, flow->w[st->index[i]] & st->masks[i]);
    }
    uint32_t hash = cls_hash_finish(h);
    const struct cls_array *a = atomic_load_explicit(&st->array, memory_order_acquire);
    for (size_t i = hash & a->mask;; i = (i + 1) & a->mask) {
        uint64_t slot = atomic_load_explicit(&a->slots[i], memory_order_acquire);
        if (slot == CLS_EMPTY) {
            return best;
        }
        if (slot == CLS_TOMBSTONE || slot >> 48 != hash >> 16) {
            continue;
        }
        struct cls_rule *r = cls_slot_rule(slot);
        if (r->hash != hash) {
            continue;
        }
        for (; r && (!best || r->priority > best->priority); r = atomic_load_explicit(&r->next, memory_order_acquire)) {
            if (covers(r->match, flow) && __builtin_expect(is_seen(r, version), 1)) {
                return r;
            }
        }
        return best;
    }
}

struct cls_rule *classifier_lookup(const struct classifier *cls, const union flow_words *flow, uint64_t version)
{
    const struct cls_vector *v = atomic_load_explicit(&cls->vector, memory_order_acquire);
    struct cls_rule *best = NULL;
    for (unsigned i = 0; v && i < v->n; i++) {
        if (best && best->priority >= v->entries[i].max_priority) {
            break;
        }
        best = subtable_lookup(v->entries[i].subtable, flow, version, best);
    }
    return best;
}
