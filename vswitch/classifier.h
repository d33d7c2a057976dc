/*
 * One flow table as poll-mode threads read it: merged tuple space search.
 *
 * What.  Rules sit in *subtables*, each a hash table over some masked words of the flow key.  Plain tuple space search
 * has a subtable per distinct mask, so that a hundred masks cost a hundred probes.  Here a rule goes into a subtable
 * whose mask asks for less than its own (as TupleMerge does: Daly et al., 2019), as long as the chain that it joins is
 * short: whoever finds a chain compares each rule in it with the key.  Tables with few masks keep one subtable for
 * each; from CLS_EXACT_MASKS on new ones are made with wide masks (prefixes cut to a few lengths, ports and protocols
 * left out), so that most rules that come later find room there.  2,000 rules of 100 masks come to 9 subtables.
 * Masks that have no prefixes in common (bits here and there) get subtables of six bits or fewer from CLS_MANY_MASKS on: of
 * such masks, too, many have any given few bits.  4,000 rules with as many random masks over an address come to 125 subtables in
 * place of 3,210, 2,000 over parts of five fields to 121 in place of 1,438 (dp_bench --cache=0: 25 and 16 us, now 2.5 and 1.8).
 *
 * Structure.  A subtable's hash is open addressing over 64-bit slots (16 bits of hash, 48 of pointer), so a miss rarely
 * touches a rule.  All rules of one 32-bit hash hang behind one slot, best priority first; the first that matches is
 * the subtable's answer.  Subtables are visited by descending priority of their best rule; the search ends as soon as
 * no later one can do better.  They are a small vector, replaced as a whole when the order changes.
 *
 * Concurrency.  One writer, many readers, no locks.  Every slot and every vector is one release store by the writer and
 * one acquire load by a reader.  A rule that replaces another of equal match and priority is inserted first (it goes
 * before the old one) and the old one removed afterwards: at any moment a reader finds one of them.  What readers may
 * still hold (arrays, vectors, subtables) goes to `defer`; rules are the owner's to defer after classifier_remove().
 * Insert and remove are amortised O(1) in the number of rules: arrays double and halve; a subtable's best priority may
 * be overestimated for a while after removals (it only costs a probe) and is recounted after as many removals as there
 * are distinct priorities.
 */
/*
 * Versions.  A bundle (OpenFlow 1.4) changes many rules at once, and no packet may see a part of it.  Its new rules are
 * inserted with a version that nobody has yet, its removed ones are marked with it and stay; then the owner publishes
 * the version, by which packets that begin from now on see all of it, and takes the marked rules out after a grace
 * period.  A rule is seen from version `added` on and before `removed`.  Rules outside bundles have `added` 0 and come
 * and go by insert and remove alone.
 */
#ifndef VSWITCH_CLASSIFIER_H
#define VSWITCH_CLASSIFIER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/hmap.h"
#include "ofproto/match.h"

struct cls_subtable;

/* Embedded in the owner's rule; `match` and `priority` are the owner's, immutable while the rule is inserted. */
struct cls_rule {
    const struct minimatch *match;
    uint16_t priority;
    uint32_t hash;                      /* Writer's; read by readers. Set before publication. */
    _Atomic(struct cls_rule *) next;    /* Same subtable and hash, no higher priority. */
    struct cls_subtable *subtable;      /* Writer only. */
    uint64_t added;                     /* The owner's, set before insertion. */
    _Atomic uint64_t removed;           /* The owner's; CLS_NEVER but for rules that a bundle removes. */
};
#define CLS_NEVER UINT64_MAX
#define CLS_EXACT_MASKS 4       /* So many subtables have their rules' very masks. */
#define CLS_MANY_MASKS 32       /* From then on new ones have a few bits only. */
#define CLS_MAX_CHAIN 8         /* Rules behind a slot, of different masks or values; more with hundreds of subtables. */

struct cls_vector;

struct classifier {
    _Atomic(struct cls_vector *) vector;        /* Written by the control thread, read by all. NULL: no rules. */
    struct hmap subtables;                      /* Control. */
    struct list order;                          /* Control: all subtables. */
    unsigned n_rules;
    void (*defer)(void (*fn)(void *), void *arg, void *aux);
    void *aux;
};

/* [control] */
void classifier_init(struct classifier *, void (*defer)(void (*fn)(void *), void *arg, void *aux), void *aux);
void classifier_fini(struct classifier *);      /* No rule is left; nobody reads any more. */
void classifier_insert(struct classifier *, struct cls_rule *);
/* The rule stays readable until the grace period ends. */
void classifier_remove(struct classifier *, struct cls_rule *);
/* The newest rule of exactly that match and priority, or NULL. */
struct cls_rule *classifier_find(const struct classifier *, const struct minimatch *, uint16_t priority);

/* [any] A rule of the highest priority that covers the flow, or NULL.  Which one of equals is unspecified (section 6.4). */
struct cls_rule *classifier_lookup(const struct classifier *, const union flow_words *, uint64_t version);

/* --- Shared between the writer (classifier.c) and the reader (classifier_lookup.c) --- */
struct cls_array {
    size_t mask;
    _Atomic uint64_t slots[];
};
#define CLS_EMPTY UINT64_C(0)
#define CLS_TOMBSTONE UINT64_C(1)

struct cls_subtable {
    _Atomic(struct cls_array *) array;          /* Written by the control thread, read by all. */
    uint8_t n;                                  /* Immutable: words in the mask, */
    uint8_t index[FLOW_N_WORDS];                /* their place in the key, */
    uint64_t masks[FLOW_N_WORDS];               /* and their bits. */
    /* Control only. */
    struct hmap_node node;
    struct list order;
    unsigned n_bits;                            /* In the mask. */
    bool narrow;                                /* Made for masks that have little in common. */
    size_t n_heads, n_used;                     /* Slots with a rule; those plus tombstones. */
    struct hmap priorities;                     /* Priority → number of rules. */
    size_t n_priorities, n_stale;
    uint16_t max_priority;
};

struct cls_vector {
    unsigned n;
    struct { struct cls_subtable *subtable; uint32_t max_priority; } entries[];
};

/* Hash of a key's masked words, of which this is number i: a sum of products, which do not wait for each other. */
static inline uint64_t cls_hash_step(uint64_t h, unsigned i, uint64_t word)
{
    return h + (word ^ word >> 32) * (UINT64_C(0x9e3779b97f4a7c15) * (2 * i + 1));
}
static inline uint32_t cls_hash_finish(uint64_t h) { return (uint32_t) ((h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93) >> 32); }
static inline uint64_t cls_slot(const struct cls_rule *r) { return (uint64_t) (r->hash >> 16) << 48 | (uint64_t) (uintptr_t) r; }
static inline struct cls_rule *cls_slot_rule(uint64_t slot) { return (struct cls_rule *) (uintptr_t) (slot & UINT64_C(0xffffffffffff)); }
static inline bool cls_slot_is_rule(uint64_t slot) { return slot > CLS_TOMBSTONE; }

#endif
