/*
 * Deletes. What others depend on stays, with an error that names one of them; but a slice, a virtual switch and a
 * virtual link are one thing each to whoever made them, and go with what is in them.
 */
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static bool in_use(struct err *err, const char *name, unsigned n, enum model_kind by, const char *first)
{
    err_set(err, ERR_CONFLICT, NULL, "%s still has %u %s, %s%s", name, n, n == 1 ? kind_name(by) : kind_plural(by), n == 1 ? "" : "such as ", first);
    return err_hint(err, "delete %s first", n == 1 ? "it" : "them");
}

static bool no_ports_on(struct model *m, const struct edge_object *e, enum model_kind kind, struct err *err)
{
    const struct kind_index *ports = &m->kinds[kind];
    for (unsigned i = 0; e->n_ports && i < ports->n; i++) {
        const struct port *p = ports->sorted[i];
        if (p->edge == &e->edge) {
            in_use(err, e->edge.name, e->n_ports, kind, p->name);
            return err_hint(err, "bind %s to another edge, or delete %s, first", e->n_ports == 1 ? "it" : "them", e->n_ports == 1 ? "it" : "them");
        }
    }
    return true;
}

/* No virtual switch may have ports on the edge, no link goes by it or by the fabric switch. */
static bool no_slice_names(struct model *m, const struct edge *e, struct err *err)
{
    const struct kind_index *switches = &m->kinds[KIND_SWITCH], *links = &m->kinds[KIND_LINK];
    for (unsigned i = 0; i < switches->n; i++) {
        const struct network *n = switches->sorted[i];
        for (unsigned j = 0; j < n->n_edges; j++) {
            if (n->edges[j] == e) {
                err_set(err, ERR_CONFLICT, NULL, "switch %s may have ports on %s", n->name, e->name);
                return err_hint(err, "take it out of the switch's edges first");
            }
        }
    }
    for (unsigned i = 0; i < links->n; i++) {
        const struct vlink *l = links->sorted[i];
        for (unsigned j = 0; j < l->n_via; j++) {
            if (!strcmp(l->via[j], e->name)) {
                err_set(err, ERR_CONFLICT, NULL, "virtual link %s goes by %s", l->name, e->name);
                return err_hint(err, "give the link another via first");
            }
        }
    }
    return true;
}

static bool tenant_unused(struct model *m, const struct tenant_object *t, struct err *err)
{
    static const enum model_kind kinds[] = { KIND_VPC, KIND_SLICE };
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        const struct kind_index *x = &m->kinds[kinds[k]];
        for (unsigned i = 0; i < x->n; i++) {
            if (object_owner(kinds[k], x->sorted[i]) == &t->tenant) {
                struct usage used = t->used;
                return in_use(err, t->tenant.name, *usage_of(&used, kinds[k]), kinds[k], object_name(kinds[k], x->sorted[i]));
            }
        }
    }
    return true;
}

/* Nothing depends on the object. */
static bool unused(struct model *m, struct object *o, struct err *err)
{
    void *public = object_public(o);
    const char *name = object_name(o->kind, public);
    if (o->kind == KIND_TENANT) {
        return tenant_unused(m, public, err);
    } else if (o->kind == KIND_VPC && vpc_object(public)->n_networks) {
        return in_use(err, name, vpc_object(public)->n_networks, KIND_NETWORK, vpc_object(public)->networks[0]->network.name);
    } else if (o->kind == KIND_NETWORK && ((struct network *) public)->n_ports) {
        return in_use(err, name, ((struct network *) public)->n_ports, KIND_PORT, ((struct network *) public)->ports[0]->name);
    } else if (o->kind == KIND_SWITCH_PORT && ((struct port *) public)->link) {
        err_set(err, ERR_CONFLICT, NULL, "%s is an end of virtual link %s", name, ((struct port *) public)->link->name);
        return err_hint(err, "delete the link, and its two ports go with it");
    } else if (o->kind == KIND_EDGE) {
        return no_ports_on(m, public, KIND_PORT, err) && no_ports_on(m, public, KIND_SWITCH_PORT, err) && no_slice_names(m, public, err);
    }
    return o->kind != KIND_FABRIC_SWITCH || no_slice_names(m, public, err);
}

void stage_delete(struct model_txn *t, struct object *o, const char *path)
{
    struct err none;
    struct staged *st = txn_stage(t, o, path, &none);           /* The callers see that it is staged once. */
    void *public = object_public(o);
    st->doomed = st->changed = true;
    if (kind_is_port(o->kind)) {
        struct port *p = public;
        port_drop_claims(t, st);
        port_unbind(t, p);
        if (o->kind == KIND_SWITCH_PORT) {
            txn_release(t, &network_object(p->network)->numbers, p->number);
        }
    } else if (kind_is_network(o->kind)) {
        txn_touch(t, public);
        switch_drop_claims(t, st);
    } else if (o->kind == KIND_SLICE) {
        txn_touch_slice(t, public);
    } else if (kind_is_edge(o->kind)) {
        struct edge *e = public;
        claim_drop(t, CLAIM_DPID, NULL, o, &e->datapath_id, sizeof e->datapath_id);
        t->substrate_changed = true;
        if (e->index) {
            txn_release(t, &t->model->indexes, e->index);
        }
    }
}

/* --- What goes with it, what is held before its holder --- */

static void delete_link(struct model_txn *t, struct vlink *l)
{
    if (!link_object(l)->o.staged) {
        stage_delete(t, &link_object(l)->o, "");
        stage_delete(t, &port_object(l->ends[0])->o, "");
        stage_delete(t, &port_object(l->ends[1])->o, "");
    }
}

static void delete_switch(struct model_txn *t, struct network *n)
{
    for (unsigned i = 0; i < n->n_ports; i++) {
        if (n->ports[i]->link) {
            delete_link(t, n->ports[i]->link);
        } else {
            stage_delete(t, &port_object(n->ports[i])->o, "");
        }
    }
    stage_delete(t, &network_object(n)->o, "");
}

static void delete_with_content(struct model_txn *t, struct object *o)
{
    void *public = object_public(o);
    if (o->kind == KIND_SLICE) {
        struct slice *s = public;
        for (unsigned i = 0; i < s->n_links; i++) {
            delete_link(t, s->links[i]);
        }
        for (unsigned i = 0; i < s->n_switches; i++) {
            delete_switch(t, s->switches[i]);
        }
        stage_delete(t, o, "");
    } else if (o->kind == KIND_SWITCH) {
        delete_switch(t, public);
    } else if (o->kind == KIND_LINK) {
        delete_link(t, public);
    } else {
        stage_delete(t, o, "");
    }
}

static bool owned_by(enum model_kind kind, const char *name, const char *tenant)
{
    size_t n = strlen(tenant);
    return kind != KIND_TENANT && !kind_is_edge(kind) && !strncmp(name, tenant, n) && name[n] == '/';
}

struct model_txn *model_delete(struct model *m, enum model_kind kind, const char *name, const char *tenant, uint64_t if_revision, struct err *err)
{
    *err = ERR_INIT;
    if (tenant && !owned_by(kind, name, tenant)) {
        err_set(err, ERR_DENIED, NULL, "%s %.140s is not tenant %s's to delete", kind_name(kind), name, tenant);
        return NULL;
    }
    struct object *o = model_lookup(m, kind, name);
    if (!o) {
        err_set(err, ERR_NOT_FOUND, NULL, "there is no %s %.140s", kind_name(kind), name);
        return NULL;
    }
    uint64_t revision = object_revision(kind, object_public(o));
    if (if_revision && if_revision != revision) {
        err_set(err, ERR_CONFLICT, NULL, "%s %s is at revision %llu, not %llu", kind_name(kind), name, (unsigned long long) revision, (unsigned long long) if_revision);
        err_hint(err, "read it again");
        return NULL;
    }
    if (!unused(m, o, err)) {
        return NULL;
    }
    struct model_txn *t = txn_new(m);
    delete_with_content(t, o);
    return txn_complete(t);
}
