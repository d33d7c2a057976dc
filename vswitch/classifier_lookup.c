/* The reader's half of the classifier: no locks, no allocation. */
#include "vswitch/classifier.h"

static bool is_seen(const struct cls_rule *r, uint64_t version)
{
    return r->added <= version && version < atomic_load_explicit(&r->removed, memory_order_relaxed);
}

static struct cls_rule *subtable_lookup(const struct cls_subtable *st, const union flow_words *flow, uint64_t version)
{
    uint64_t masked[FLOW_N_WORDS], h = 0;
    for (unsigned i = 0; i < st->n; i++) {
        masked[i] = flow->w[st->index[i]] & st->masks[i];
        h = cls_hash_step(h, masked[i]);
    }
    uint32_t hash = cls_hash_finish(h);
    const struct cls_array *a = atomic_load_explicit(&st->array, memory_order_acquire);
    for (size_t i = hash & a->mask;; i = (i + 1) & a->mask) {
        uint64_t slot = atomic_load_explicit(&a->slots[i], memory_order_acquire);
        if (slot == CLS_EMPTY) {
            return NULL;
        }
        if (slot == CLS_TOMBSTONE || slot >> 48 != hash >> 16) {
            continue;
        }
        struct cls_rule *r = cls_slot_rule(slot);
        if (!memcmp(minimatch_values(r->match), masked, st->n * sizeof masked[0])) {
            while (__builtin_expect(r && !is_seen(r, version), 0)) {
                r = atomic_load_explicit(&r->next, memory_order_acquire);
            }
            return r;
        }
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
        struct cls_rule *r = subtable_lookup(v->entries[i].subtable, flow, version);
        if (r && (!best || r->priority > best->priority)) {
            best = r;
        }
    }
    return best;
}
