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

/* The best rule of the subtable that is better than `best`, else `best`; `i`: the first slot that is not empty. */
static struct cls_rule *search(const struct cls_array *a, size_t i, uint32_t hash, const union flow_words *flow, uint64_t version, struct cls_rule *best)
{
    for (;; i = (i + 1) & a->mask) {
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

/*
 * In two passes over a block of subtables: first all hashes and first slots, without a branch that depends on the
 * packet; then those whose slot was not empty, which are few. One pass costs a mispredicted branch or two for each
 * subtable.
 */
#define BLOCK 32

struct cls_rule *classifier_lookup(const struct classifier *cls, const union flow_words *flow, uint64_t version)
{
    const struct cls_vector *v = atomic_load_explicit(&cls->vector, memory_order_acquire);
    struct cls_rule *best = NULL;
    for (unsigned first = 0; v && first < v->n; first += BLOCK) {
        struct { const struct cls_array *array; uint32_t hash; uint32_t max_priority; } found[BLOCK];
        unsigned n = v->n - first < BLOCK ? v->n - first : BLOCK, n_found = 0;
        if (best && best->priority >= v->entries[first].max_priority) {
            break;
        }
        for (unsigned k = 0; k < n; k++) {
            const struct cls_subtable *st = v->entries[first + k].subtable;
            uint64_t h = 0;
            for (unsigned i = 0; i < st->n; i++) {
                h = cls_hash_step(h, i, flow->w[st->index[i]] & st->masks[i]);
            }
            const struct cls_array *a = atomic_load_explicit(&st->array, memory_order_acquire);
            found[n_found].array = a;
            found[n_found].hash = cls_hash_finish(h);
            found[n_found].max_priority = v->entries[first + k].max_priority;
            n_found += atomic_load_explicit(&a->slots[found[n_found].hash & a->mask], memory_order_relaxed) != CLS_EMPTY;
        }
        for (unsigned k = 0; k < n_found && (!best || best->priority < found[k].max_priority); k++) {
            best = search(found[k].array, found[k].hash & found[k].array->mask, found[k].hash, flow, version, best);
        }
    }
    return best;
}
