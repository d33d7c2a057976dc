/*
 * Conjunctive matches: Open vSwitch's conjunction(id,k/n) and conj_id.
 *
 * What.  An entry whose actions are conjunction(id,k/n) is no entry for itself: it is one value of the k-th of n
 * dimensions.  A packet that matches an entry in each dimension of id, all of one priority, is looked up once more with
 * conj_id=id, and that entry, ordinary and of whatever priority, is the outcome.  So "source in S and destination in D"
 * takes |S| + |D| entries instead of their product.
 *
 * Semantics, as ovs-fields(7), "Conjunctive match fields", gives them.  An ordinary entry wins over conjunctions of the
 * same and of lower priorities.  The search with conj_id ignores conjunctive entries; where it finds nothing, the
 * conjunction counts as not matched and the search goes on at lower priorities.  Conjunctive entries count no packets.
 * Where two conjunctions are complete at one priority (the page calls that unpredictable) the lower id is tried first.
 * Entries of one id that disagree on n belong to different conjunctions.
 *
 * Structure.  Conjunctive entries are not in the table's classifier.  A *set* is a small classifier of the entries of
 * one priority and one mask: at most one of them matches a packet, and which one is one probe.  A table has a vector of
 * its sets by descending priority, replaced as a whole; NULL in a table without conjunctive entries, which is all that
 * such a table pays.  A lookup takes, priority by priority down to that of the best ordinary entry, the entry that each
 * set yields.  Their clauses are sorted by (id, n), so one merge of these lists finds what is complete, in place:
 * O(clauses × entries found) and no memory.  A priority has at most CONJ_MAX_MASKS sets, so the merge's positions are
 * on the stack and the cost of a packet is bounded.
 *
 * Concurrency as in vswitch/classifier.h, versions included: one writer, many readers, no locks; replaced vectors and
 * empty sets go to dp_defer().  An entry that turns from conjunctive to ordinary or back is a new rule (vswitch/dp.c).
 */
#ifndef VSWITCH_CONJUNCTION_H
#define VSWITCH_CONJUNCTION_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "vswitch/classifier.h"

struct conj_vector;
struct dp;
struct dp_rule;
struct op;
struct program;

#define CONJ_MAX_MASKS 512      /* Of conjunctive entries of one table and priority. */

struct conjunctions {
    _Atomic(struct conj_vector *) vector;       /* Written by the control thread, read by all. NULL: no such entries. */
    struct dp *dp;
};

/* --- [control] --- */
void conjunctions_init(struct conjunctions *, struct dp *);
void conjunctions_fini(struct conjunctions *);          /* No entry is left; nobody reads any more. */
/* The rule's program is conjunctive.  False: CONJ_MAX_MASKS are there already. */
bool conjunctions_insert(struct conjunctions *, struct dp_rule *);
/* The rule stays readable until the grace period ends. */
void conjunctions_remove(struct conjunctions *, struct dp_rule *);
/* Puts OP_CONJUNCTION ops into the order that lookups expect. */
void conjunction_sort(struct op *, unsigned n);
/* [any] Whether its entry is a part of conjunctions. */
bool program_is_conjunctive(const struct program *);

/* --- [any] --- */
static inline bool conjunctions_any(const struct conjunctions *c)
{
    return atomic_load_explicit(&c->vector, memory_order_relaxed) != NULL;
}
/*
 * The table's outcome, given `best`, the ordinary lookup's (or NULL).  *conj_id is set when the outcome is another
 * search's, and else left alone.  The flow's conj_id changes meanwhile and is restored.
 */
struct cls_rule *conjunctions_lookup(const struct conjunctions *, const struct classifier *, union flow_words *, uint64_t version, struct cls_rule *best,
                                     uint32_t *conj_id);

#endif
