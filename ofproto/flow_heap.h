/*
 * A binary heap of flow entries, least first.
 *
 * An entry can be in several heaps at once: each has a slot of its own in flow_entry.heap_pos, which holds the entry's
 * place, so that it is taken out or moved without a search.  What "least" means is the owner's (`before`); after a
 * change of what it looks at, flow_heap_update() puts the entry where it belongs.  One thread.
 */
#ifndef OFPROTO_FLOW_HEAP_H
#define OFPROTO_FLOW_HEAP_H 1

#include "ofproto/flow_table.h"

struct flow_heap {
    struct flow_entry **v;      /* v[0] is unused. */
    unsigned n, room, slot;
    bool (*before)(const struct flow_entry *, const struct flow_entry *, uint32_t arg);
    uint32_t arg;
};

void flow_heap_init(struct flow_heap *, unsigned slot, bool (*before)(const struct flow_entry *, const struct flow_entry *, uint32_t arg), uint32_t arg);
void flow_heap_fini(struct flow_heap *);        /* Entries that are still in it are left as they are. */
void flow_heap_insert(struct flow_heap *, struct flow_entry *);
/* Both do nothing for an entry that is not in it. */
void flow_heap_remove(struct flow_heap *, struct flow_entry *);
void flow_heap_update(struct flow_heap *, struct flow_entry *);

static inline struct flow_entry *flow_heap_top(const struct flow_heap *h)
{
    return h->n ? h->v[1] : NULL;
}

#endif
