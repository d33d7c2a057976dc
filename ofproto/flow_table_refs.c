#include "ofproto/flow_table_refs.h"

#include <stdlib.h>

static uint32_t ref_hash(enum flow_ref_kind kind, uint32_t id)
{
    return (uint32_t) hash_mix64((uint64_t) kind << 32 | id);
}

struct flow_ref *flow_ref_find(const struct hmap *refs, enum flow_ref_kind kind, uint32_t id)
{
    struct flow_ref *r;
    HMAP_FOR_EACH_WITH_HASH (r, node, ref_hash(kind, id), refs) {
        if (r->kind == kind && r->id == id) {
            return r;
        }
    }
    return NULL;
}

static void link_to(struct hmap *refs, struct flow_entry *e, enum flow_ref_kind kind, uint32_t id)
{
    for (const struct flow_link *l = e->links; l; l = l->next) {
        if (l->ref->kind == kind && l->ref->id == id) {
            return;
        }
    }
    struct flow_ref *r = flow_ref_find(refs, kind, id);
    if (!r) {
        r = XNEW(struct flow_ref);
        r->kind = kind;
        r->id = id;
        list_init(&r->links);
        hmap_insert(refs, &r->node, ref_hash(kind, id));
    }
    struct flow_link *l = XNEW(struct flow_link);
    l->ref = r;
    l->entry = e;
    l->next = e->links;
    e->links = l;
    list_push_back(&r->links, &l->in_ref);
    r->n++;
}

static void link_actions(struct hmap *refs, struct flow_entry *e, const struct actions *actions)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_GROUP) {
            link_to(refs, e, REF_GROUP, a->group);
        } else if (a->type == ACTION_CLONE) {
            link_actions(refs, e, &a->nested);
        }
    }
}

void flow_refs_add(struct hmap *refs, struct flow_entry *e)
{
    link_actions(refs, e, &e->instructions.apply);
    link_actions(refs, e, &e->instructions.write);
    if (e->instructions.has_meter) {
        link_to(refs, e, REF_METER, e->instructions.meter);
    }
}

void flow_refs_remove(struct hmap *refs, struct flow_entry *e)
{
    while (e->links) {
        struct flow_link *l = e->links;
        e->links = l->next;
        list_remove(&l->in_ref);
        if (!--l->ref->n) {
            hmap_remove(refs, &l->ref->node);
            free(l->ref);
        }
        free(l);
    }
}
