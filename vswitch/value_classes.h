/*
 * Which values of 16 bits are one and the same to all rules.
 *
 * What.  A rule asks of 16 bits of a packet that they have some value under some mask.  Two values that every rule answers alike are of one class (as in recursive
 * flow classification: Gupta and McKeown, SIGCOMM 1999).  Rules that name two hundred ports make two hundred and one classes of 65,536 ports, and a flow
 * cache whose keys have the class in place of the port meets one flow where there were thousands.
 *
 * How.  Each value is mapped to one member of its class, which stands for all of it.  So what stands in a key is still a value of that field, which
 * matches what the packet matches: whoever compares keys with rules need not know of classes.  Classes are only ever split: the member that stands for
 * one stays in its part, the other part gets a member of its own that has stood for nobody before.
 *
 * Threads.  The control thread splits, poll-mode threads read; each value is one relaxed store and load.  While a split is under way a reader may see it half
 * done: it must not write down what it concludes then (`classes_seq` of vswitch/cache.h).
 */
#ifndef VSWITCH_VALUE_CLASSES_H
#define VSWITCH_VALUE_CLASSES_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_CLASSES_VALUES 65536u

struct value_classes {
    _Atomic uint16_t same[VALUE_CLASSES_VALUES];        /* By value: which one stands for it. Written by the control thread, read by all. */
    /* Control. */
    unsigned n;                                         /* Classes. */
    uint32_t members[VALUE_CLASSES_VALUES];             /* Of the class that the value stands for. */
    uint32_t *asked;                                    /* What has been told apart so far, mask << 16 | value; open addressing, 0: free. */
    size_t n_asked, mask_asked;
};

/* One class of all values. */
struct value_classes *value_classes_new(void);
void value_classes_free(void *);
/* Whether values with `value` under `mask` (not 0; no bits of `value` outside) are told from all others already. */
bool value_classes_tell(const struct value_classes *, uint16_t value, uint16_t mask);
/* From now on they are.  2 ^ (bits that the mask leaves open) steps; a pass over all values for what cuts a class away from the value that stands for it. */
void value_classes_split(struct value_classes *, uint16_t value, uint16_t mask);

/* [any] The value that stands for this one. */
static inline uint16_t value_classes_of(const struct value_classes *vc, uint16_t value)
{
    return atomic_load_explicit(&vc->same[value], memory_order_relaxed);
}

#endif
