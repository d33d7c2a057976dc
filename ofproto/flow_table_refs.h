/*
 * Which entries use which group or meter, so that deleting one of them touches its users only.
 *
 * One flow_ref per group or meter that some entry uses; it is made with the first link and goes with the last.  An
 * entry has one link to each, however often its actions name it.  Owned by struct flow_tables; one thread.
 */
#ifndef OFPROTO_FLOW_TABLE_REFS_H
#define OFPROTO_FLOW_TABLE_REFS_H 1

#include "ofproto/flow_table.h"

enum flow_ref_kind { REF_GROUP, REF_METER };

struct flow_ref {
    struct hmap_node node;
    enum flow_ref_kind kind;
    uint32_t id;
    struct list links;
    unsigned n;
};

struct flow_link {
    struct flow_link *next;     /* Of the same entry. */
    struct flow_ref *ref;
    struct flow_entry *entry;
    struct list in_ref;
};

struct flow_ref *flow_ref_find(const struct hmap *refs, enum flow_ref_kind, uint32_t id);
void flow_refs_add(struct hmap *refs, struct flow_entry *);             /* By the entry's instructions as they are now. */
void flow_refs_remove(struct hmap *refs, struct flow_entry *);

#endif
