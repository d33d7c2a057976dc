/*
 * Whether edges' tables hold what their tenants are guaranteed, once the open transaction is committed.
 *
 * A tenant is guaranteed its quota edge_entries on each edge where a virtual switch of its own has ports. The sum over tenants and Polder's own rules on
 * the edge (as of now) must fit into edge.flow_entries, where that is known. Refused is what makes it worse: a guarantee more on the edge or a smaller table. What does not fit
 * already, because Polder's own rules have become more or an older release admitted it, stops nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

/* A tenant's guarantee on an edge, before the transaction and behind it. */
struct promise { struct edge_object *edge; const struct tenant_object *tenant; bool before, after; };
struct promises { struct promise *v; unsigned n, allocated; };

void model_set_own_rules(struct model *m, model_own_rules_fn *fn, void *aux)
{
    m->own_rules = fn;
    m->own_rules_aux = aux;
}

static void promise(struct promises *p, struct edge_object *edge, const struct tenant_object *tenant, bool before, bool after)
{
    GROW(p->v, p->n, p->allocated);
    p->v[p->n++] = (struct promise) { edge, tenant, before, after };
}

static void add_switch(struct promises *p, const struct network_object *n)
{
    const struct tenant_object *tenant = tenant_object(object_owner(KIND_SWITCH, n));
    for (unsigned i = 0; i < n->n_refs; i++) {
        promise(p, n->refs[i].edge, tenant, true, !n->touched);
    }
    for (unsigned i = 0; n->touched && i < n->n_next_refs; i++) {
        if (n->next_refs[i].n_ports) {
            promise(p, n->next_refs[i].edge, tenant, false, true);
        }
    }
}

static int by_edge_and_tenant(const void *a_, const void *b_)
{
    const struct promise *a = a_, *b = b_;
    if (a->edge->edge.index != b->edge->edge.index) {
        return a->edge->edge.index < b->edge->edge.index ? -1 : 1;
    }
    return strcmp(a->tenant->tenant.name, b->tenant->tenant.name);
}

/* Of all virtual switches, the transaction's new ones, too; a tenant that has several on an edge is there once. */
static void collect(const struct reading *d, struct promises *p)
{
    const struct kind_index *switches = &d->model->kinds[KIND_SWITCH];
    unsigned n = 0;
    for (unsigned i = 0; i < switches->n; i++) {
        add_switch(p, switches->sorted[i]);
    }
    for (unsigned i = 0; i < d->txn->n_staged; i++) {
        const struct staged *st = d->txn->staged[i];
        if (st->kind == KIND_SWITCH && st->o->is_new) {
            add_switch(p, object_public(st->o));
        }
    }
    if (p->n) {
        qsort(p->v, p->n, sizeof *p->v, by_edge_and_tenant);
    }
    for (unsigned i = 0; i < p->n; i++) {
        struct promise *last = n ? &p->v[n - 1] : NULL;
        if (last && last->edge == p->v[i].edge && last->tenant == p->v[i].tenant) {
            last->before |= p->v[i].before;
            last->after |= p->v[i].after;
        } else {
            p->v[n++] = p->v[i];
        }
    }
    p->n = n;
}

static uint32_t entries_before(const struct promise *p) { return p->before && !p->tenant->o.is_new ? p->tenant->tenant.quota.edge_entries : 0; }
static uint32_t entries_after(const struct promise *p) { return p->after ? tenant_view(p->tenant)->quota.edge_entries : 0; }

/* What of the document asks for more on this edge. */
static void blame(const struct reading *d, const struct promise *p, unsigned n, char field[160])
{
    const struct edge_object *edge = p->edge;
    str_copy(field, 160, "");
    if (edge->o.staged && edge->o.staged->changed && edge->o.staged->c.edge.flow_entries != edge->edge.flow_entries) {
        staged_field(edge->o.staged, "flow_entries", field);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct staged *st = p[i].tenant->o.staged;
        if (st && st->changed && p[i].before && entries_after(&p[i]) > entries_before(&p[i])) {
            staged_field(st, "quota.edge_entries", field);
            return;
        }
    }
    for (unsigned i = 0; i < d->txn->n_staged; i++) {
        const struct staged *st = d->txn->staged[i];
        if (st->kind == KIND_SWITCH_PORT && st->c.port.edge == &edge->edge) {
            staged_field(st, "edge", field);
            return;
        }
    }
}

/* p: all promises on one edge. */
static bool edge_holds(const struct reading *d, const struct promise *p, unsigned n)
{
    struct edge_object *e = p->edge;
    const struct edge *after = e->o.staged ? &e->o.staged->c.edge : &e->edge;
    uint32_t size = after->flow_entries, size_before = e->o.is_new ? size : e->edge.flow_entries;
    uint32_t own = d->model->own_rules && !e->o.is_new ? d->model->own_rules(&e->edge, d->model->own_rules_aux) : 0;
    uint64_t sum = 0, sum_before = 0;
    char field[160];
    for (unsigned i = 0; i < n; i++) {
        sum += entries_after(&p[i]);
        sum_before += entries_before(&p[i]);
    }
    bool worse = sum > sum_before || (sum && size != size_before && (!size_before || size < size_before));
    if (!size || !worse || sum + own <= size) {
        return true;
    }
    blame(d, p, n, field);
    err_set(d->err, ERR_CONFLICT, field, "edge %.40s takes %u entries: %u are Polder's own, and tenants would be guaranteed %llu", e->edge.name, size, own,
            (unsigned long long) sum);
    return err_hint(d->err, "lower tenants' quota.edge_entries, use another edge, or raise the edge's flow_entries if its switch takes more");
}

/* Otherwise no edge can be worse off. */
static bool is_concerned(const struct model_txn *t)
{
    bool is = false;
    for (unsigned i = 0; i < t->n_staged && !is; i++) {
        const struct staged *st = t->staged[i];
        const struct tenant *old = st->kind == KIND_TENANT && !st->o->is_new ? object_public(st->o) : NULL;
        is = st->changed && (st->kind == KIND_EDGE || (old && old->quota.edge_entries < st->c.tenant.quota.edge_entries));
    }
    for (unsigned i = 0; i < t->n_touched && !is; i++) {
        const struct network_object *n = t->touched[i];
        for (unsigned j = 0; n->o.kind == KIND_SWITCH && j < n->n_next_refs && !is; j++) {
            is = !landing_find(n->refs, n->n_refs, &n->next_refs[j].edge->edge);
        }
    }
    return is;
}

bool guarantees_fit(struct reading *d)
{
    struct promises p = { NULL, 0, 0 };
    bool fit = true;
    if (!is_concerned(d->txn)) {
        return true;
    }
    collect(d, &p);
    for (unsigned i = 0, n; fit && i < p.n; i += n) {
        for (n = 1; i + n < p.n && p.v[i + n].edge == p.v[i].edge; n++) {
        }
        fit = edge_holds(d, &p.v[i], n);
    }
    free(p.v);
    return fit;
}
