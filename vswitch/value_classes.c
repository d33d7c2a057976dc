#include "vswitch/value_classes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"

#define FIRST_ASKED 64u

struct value_classes *value_classes_new(void)
{
    struct value_classes *vc = xcalloc(1, sizeof *vc);          /* Zero stands for all. */
    vc->n = 1;
    vc->members[0] = VALUE_CLASSES_VALUES;
    vc->mask_asked = FIRST_ASKED - 1;
    vc->asked = xcalloc(FIRST_ASKED, sizeof vc->asked[0]);
    return vc;
}

void value_classes_free(void *vc_)
{
    struct value_classes *vc = vc_;
    if (vc) {
        free(vc->asked);
        free(vc);
    }
}

/* --- What has been asked --- */

static uint32_t *asked_slot(uint32_t *asked, size_t mask, uint32_t key)
{
    size_t i = (key * UINT32_C(0x9e3779b1) >> 8) & mask;
    while (asked[i] && asked[i] != key) {
        i = (i + 1) & mask;
    }
    return &asked[i];
}

static void asked_add(struct value_classes *vc, uint32_t key)
{
    if (2 * (vc->n_asked + 1) > vc->mask_asked) {
        size_t mask = 2 * vc->mask_asked + 1;
        uint32_t *more = xcalloc(mask + 1, sizeof more[0]);
        for (size_t i = 0; i <= vc->mask_asked; i++) {
            if (vc->asked[i]) {
                *asked_slot(more, mask, vc->asked[i]) = vc->asked[i];
            }
        }
        free(vc->asked);
        vc->asked = more;
        vc->mask_asked = mask;
    }
    *asked_slot(vc->asked, vc->mask_asked, key) = key;
    vc->n_asked++;
}

bool value_classes_tell(const struct value_classes *vc, uint16_t value, uint16_t mask)
{
    return *asked_slot(vc->asked, vc->mask_asked, (uint32_t) mask << 16 | value);
}

/* --- Splitting --- */

/* A class that has members on both sides. */
struct cut { uint16_t stands; uint32_t inside; bool stands_inside; int successor; };

/* Calls for each value inside, which are those of `value` with all ways to fill the open bits. */
#define FOR_EACH_INSIDE(X, SUB, VALUE, OPEN) \
    for (unsigned SUB = 0, X = (VALUE), more_ = 1; more_; more_ = SUB != (OPEN), SUB = (SUB - (OPEN)) & (OPEN), X = (VALUE) | SUB)

static void move(struct value_classes *vc, uint16_t x, struct cut *cut)
{
    if (cut->successor < 0) {
        cut->successor = x;
        vc->n++;
    }
    atomic_store_explicit(&vc->same[x], (uint16_t) cut->successor, memory_order_relaxed);
    vc->members[cut->successor]++;
    vc->members[cut->stands]--;
}

void value_classes_split(struct value_classes *vc, uint16_t value, uint16_t mask)
{
    unsigned open = (uint16_t) ~mask, n_cuts = 0;
    bool outside = false;               /* Members outside have to move. */
    assert(mask && !(value & open));
    if (value_classes_tell(vc, value, mask)) {
        return;
    }
    asked_add(vc, (uint32_t) mask << 16 | value);
    /* By the value that stands for a class: one more than its place among the cuts. */
    uint32_t *at = xcalloc(VALUE_CLASSES_VALUES, sizeof at[0]);
    struct cut *cuts = xcalloc(MIN(vc->n, open + 1), sizeof cuts[0]);
    FOR_EACH_INSIDE(x, sub, value, open) {
        uint16_t stands = value_classes_of(vc, (uint16_t) x);
        if (!at[stands]) {
            cuts[n_cuts] = (struct cut) { .stands = stands, .stands_inside = (stands & mask) == value, .successor = -1 };
            at[stands] = ++n_cuts;
        }
        cuts[at[stands] - 1].inside++;
    }
    for (unsigned i = 0; i < n_cuts; i++) {
        if (cuts[i].inside == vc->members[cuts[i].stands]) {
            at[cuts[i].stands] = 0;     /* Wholly inside. */
        } else {
            outside = outside || cuts[i].stands_inside;
        }
    }
    FOR_EACH_INSIDE(x, sub, value, open) {
        uint16_t stands = value_classes_of(vc, (uint16_t) x);
        if (at[stands] && !cuts[at[stands] - 1].stands_inside) {
            move(vc, (uint16_t) x, &cuts[at[stands] - 1]);
        }
    }
    for (unsigned x = 0; outside && x < VALUE_CLASSES_VALUES; x++) {
        uint16_t stands = value_classes_of(vc, (uint16_t) x);
        if ((x & mask) != value && at[stands] && cuts[at[stands] - 1].stands_inside) {
            move(vc, (uint16_t) x, &cuts[at[stands] - 1]);
        }
    }
    free(cuts);
    free(at);
}
