/* Transactions: staging, the list of changes, commit and abort. */
#include <assert.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

struct model_txn *txn_new(struct model *m)
{
    struct model_txn *t = XNEW(struct model_txn);
    assert(!m->open);
    m->open = t;
    t->model = m;
    t->revision = m->revision + 1;
    t->old_next_port_id = m->next_port_id;
    t->old_next_network_id = m->next_network_id;
    return t;
}

struct staged *txn_stage(struct model_txn *t, struct object *o, const char *path, struct err *err)
{
    if (o->staged) {
        err_set(err, ERR_INVALID, path, "%s %s is in the document twice", kind_name(o->kind), object_name(o->kind, object_public(o)));
        err_hint(err, "its first place is %s", o->staged->path);
        return NULL;
    }
    struct staged *st = XNEW(struct staged);
    st->o = o;
    st->kind = o->kind;
    st->path = xstrdup(path);
    memcpy(&st->c, object_public(o), kind_content_size[o->kind]);
    content_copy(o->kind, &st->c);
    o->staged = st;
    GROW(t->staged, t->n_staged, t->staged_allocated);
    t->staged[t->n_staged++] = st;
    return st;
}

char *staged_field(const struct staged *st, const char *member, char out[160])
{
    snprintf(out, 160, "%.120s%s%s", st->path, *st->path ? "." : "", member);
    return out;
}

struct object *txn_create(struct model_txn *t, enum model_kind kind, const char *name)
{
    return object_new(t->model, kind, name);
}

/* --- Completing a transaction --- */

/* Ports that moved away may have left landings that nobody needs. */
static void settle_landings(struct model_txn *t)
{
    for (unsigned i = 0; i < t->n_touched; i++) {
        struct network_object *n = t->touched[i];
        unsigned kept = 0;
        for (unsigned j = 0; j < n->n_next_refs; j++) {
            struct landing_ref *ref = &n->next_refs[j];
            if (ref->n_ports) {
                n->next_refs[kept++] = *ref;
            } else {
                txn_release(t, &ref->edge->locals, ref->landing);
            }
        }
        n->n_next_refs = kept;
    }
}

static void describe(struct model_change *change, const struct staged *st)
{
    enum model_kind kind = st->o->kind;
    const void *old = st->o->is_new ? NULL : object_public(st->o);
    uint16_t landing = 0;
    change->action = st->doomed ? MODEL_DELETE : st->o->is_new ? MODEL_CREATE : MODEL_UPDATE;
    change->kind = kind;
    str_copy(change->name, sizeof change->name, object_name(kind, object_public(st->o)));
    change->old_spec = old ? model_spec_json(kind, old) : NULL;
    if (st->doomed) {
        return;
    }
    if (kind_is_port(kind) && st->c.port.edge) {
        struct network_object *n = network_object(st->c.port.network);
        landing = landing_find(n->next_refs, n->n_next_refs, st->c.port.edge)->landing;
    }
    change->new_spec = model_spec_json(kind, &st->c);
    change->record = record_json(kind, &st->c, landing);
}

/* Networks on an edge whose datapath id changes have to be compiled for another switch. */
static void touch_networks_on(struct model_txn *t, const struct edge *edge)
{
    for (unsigned k = 0; k < ARRAY_SIZE(network_kinds); k++) {
        const struct kind_index *networks = &t->model->kinds[network_kinds[k]];
        for (unsigned i = 0; i < networks->n; i++) {
            struct network_object *n = networks->sorted[i];
            if (landing_find(n->refs, n->n_refs, edge)) {
                txn_touch(t, &n->network);
            }
        }
    }
}

void txn_touch_slice(struct model_txn *t, const struct slice *slice)
{
    struct slice_object *s = slice_object(slice);
    if (!s->touched) {
        GROW(t->touched_slices, t->n_touched_slices, t->touched_slices_allocated);
        t->touched_slices[t->n_touched_slices++] = s;
        s->touched = true;
    }
}

struct model_txn *txn_complete(struct model_txn *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_staged; i++) {
        struct staged *st = t->staged[i];
        n += st->changed;
        if (st->changed && st->o->kind == KIND_EDGE && !st->o->is_new && !st->doomed) {
            touch_networks_on(t, object_public(st->o));
        }
    }
    settle_landings(t);
    t->changes = xcalloc(n, sizeof *t->changes);
    for (unsigned i = 0; i < t->n_staged; i++) {
        if (t->staged[i]->changed) {
            *content_revision(t->staged[i]->o->kind, &t->staged[i]->c) = t->revision;
            describe(&t->changes[t->n_changes++], t->staged[i]);
        }
    }
    t->networks = xmalloc(t->n_touched * sizeof *t->networks);
    for (unsigned i = 0; i < t->n_touched; i++) {
        t->networks[t->n_networks++] = t->touched[i]->network.id;
    }
    t->slices = xmalloc(t->n_touched_slices * sizeof *t->slices);
    for (unsigned i = 0; i < t->n_touched_slices; i++) {
        t->slices[t->n_slices++] = t->touched_slices[i]->slice.name;
    }
    return t;
}

struct model_txn *model_apply(struct model *m, const cJSON *document, const char *tenant, struct err *err)
{
    struct model_txn *t = txn_new(m);
    struct reading d = { .model = m, .txn = t, .tenant = tenant, .err = err };
    *err = ERR_INIT;
    if (!read_document(&d, document) || !guarantees_fit(&d)) {
        assert(err->code != ERR_NONE);
        model_txn_abort(t);
        return NULL;
    }
    return txn_complete(t);
}

/* --- Looking at it --- */

const struct model_change *model_txn_changes(const struct model_txn *t, unsigned *n)
{
    *n = t->n_changes;
    return t->changes;
}

uint64_t model_txn_revision(const struct model_txn *t)
{
    return t->n_changes ? t->revision : t->model->revision;
}

const uint32_t *model_txn_networks(const struct model_txn *t, unsigned *n)
{
    *n = t->n_networks;
    return t->networks;
}

const char *const *model_txn_slices(const struct model_txn *t, unsigned *n)
{
    *n = t->n_slices;
    return t->slices;
}

bool model_txn_substrate_changed(const struct model_txn *t)
{
    return t->substrate_changed;
}

void model_txn_next_ids(const struct model_txn *t, uint32_t *port, uint32_t *network)
{
    *port = t->model->next_port_id;
    *network = t->model->next_network_id;
}

/* --- Commit and abort --- */

static void txn_free(struct model_txn *t)
{
    for (unsigned i = 0; i < t->n_staged; i++) {
        content_free(t->staged[i]->kind, &t->staged[i]->c);
        free(t->staged[i]->path);
        free(t->staged[i]);
    }
    for (unsigned i = 0; i < t->n_changes; i++) {
        cJSON_Delete(t->changes[i].old_spec);
        cJSON_Delete(t->changes[i].new_spec);
        cJSON_Delete(t->changes[i].record);
    }
    t->model->open = NULL;
    free(t->staged);
    free(t->changes);
    free(t->networks);
    free(t->touched);
    free(t->slices);
    free(t->touched_slices);
    free(t);
}

/* The tenant's counter of the object's kind, or NULL when it is not counted. */
static uint32_t *counter(struct object *o, bool next)
{
    void *public = object_public(o);
    struct tenant *owner = object_owner(o->kind, public);
    if (!owner || o->kind == KIND_TENANT) {
        return NULL;
    }
    struct usage *u = next ? &tenant_object(owner)->next : &tenant_object(owner)->used;
    return usage_of(u, o->kind);
}

uint32_t *usage_of(struct usage *u, enum model_kind kind)
{
    switch (kind) {
    case KIND_VPC: return &u->vpcs;
    case KIND_NETWORK: return &u->networks;
    case KIND_PORT: case KIND_SWITCH_PORT: return &u->ports;
    case KIND_SLICE: return &u->slices;
    case KIND_SWITCH: return &u->switches;
    case KIND_LINK: return &u->links;
    case KIND_TENANT: case KIND_EDGE: case KIND_FABRIC_SWITCH: case N_KINDS: break;
    }
    abort();
}

/* The staged content becomes the object's; what the object holds of others (a network's and a slice's arrays) stays its own. */
static void install(struct model *m, struct staged *st)
{
    struct object *o = st->o;
    if (kind_is_network(o->kind)) {
        struct network *n = object_public(o);
        st->c.network.ports = n->ports;
        st->c.network.n_ports = n->n_ports;
        st->c.network.landings = n->landings;
        st->c.network.n_landings = n->n_landings;
    } else if (o->kind == KIND_SLICE) {
        struct slice *s = object_public(o);
        st->c.slice.switches = s->switches;
        st->c.slice.n_switches = s->n_switches;
        st->c.slice.links = s->links;
        st->c.slice.n_links = s->n_links;
    } else if (kind_is_port(o->kind)) {
        struct port *p = object_public(o);
        if (!o->is_new && p->edge) {
            edge_object(p->edge)->n_ports--;
        }
        if (st->c.port.edge) {
            edge_object(st->c.port.edge)->n_ports++;
        }
    }
    char old[sizeof st->c];                     /* Swapped: txn_free() then frees what the object had. */
    memcpy(old, object_public(o), kind_content_size[o->kind]);
    memcpy(object_public(o), &st->c, kind_content_size[o->kind]);
    memcpy(&st->c, old, kind_content_size[o->kind]);
    if (!o->is_new) {
        return;
    }
    o->is_new = false;
    if (kind_is_port(o->kind) || kind_is_network(o->kind)) {
        index_by_id(m, o);
    } else if (o->kind == KIND_EDGE) {
        edge_by_index_set(m, ((struct edge *) object_public(o))->index, object_public(o));
    }
    uint32_t *used = counter(o, false);
    if (used) {
        ++*used;
    }
}

void object_count(struct object *o)
{
    uint32_t *used = counter(o, false), *next = counter(o, true);
    if (used) {
        ++*used;
        ++*next;
    }
}

static void uninstall(struct model *m, struct object *o)
{
    void *public = object_public(o);
    uint32_t *used = counter(o, false), *next = counter(o, true);
    if (used) {
        --*used;
        --*next;
    }
    if (kind_is_port(o->kind)) {
        struct port *p = public;
        if (p->edge) {
            edge_object(p->edge)->n_ports--;
        }
        network_remove_port(network_object(p->network), port_object(p));
        unindex_by_id(m, o);
    } else if (kind_is_network(o->kind)) {
        struct network *n = public;
        if (n->slice) {
            sorted_remove((void **) n->slice->switches, &n->slice->n_switches, KIND_SWITCH, n);
        } else {
            vpc_remove_network(vpc_object(n->vpc), public);
        }
        unindex_by_id(m, o);
    } else if (o->kind == KIND_LINK) {
        struct vlink *l = public;
        sorted_remove((void **) l->slice->links, &l->slice->n_links, KIND_LINK, l);
    } else if (o->kind == KIND_EDGE) {
        edge_by_index_set(m, ((struct edge *) public)->index, NULL);
    }
    sorted_remove(m->kinds[o->kind].sorted, &m->kinds[o->kind].n, o->kind, public);
    object_free(m, o);
}

/* Of pointers to objects of any kind: each begins with its name. */
_Static_assert(!offsetof(struct tenant, name) && !offsetof(struct vpc, name) && !offsetof(struct network, name) && !offsetof(struct port, name)
               && !offsetof(struct edge, name), "objects begin with their names");
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* What holds the object: its network or slice, or NULL. */
static void *holder(enum model_kind kind, const void *object)
{
    return kind_is_port(kind) ? (void *) ((const struct port *) object)->network
         : kind == KIND_SWITCH ? (void *) ((const struct network *) object)->slice
         : kind == KIND_LINK ? (void *) ((const struct vlink *) object)->slice : NULL;
}

static void hold(enum model_kind kind, void *parent, void **objects, unsigned n)
{
    struct slice_object *s = parent;
    void **array;
    if (kind_is_port(kind)) {
        network_add_port(parent, objects, n);
    } else if (kind == KIND_SWITCH) {
        array = (void **) s->slice.switches;
        sorted_merge(&array, &s->slice.n_switches, &s->switches_allocated, kind, objects, n);
        s->slice.switches = (struct network **) array;
    } else {
        array = (void **) s->slice.links;
        sorted_merge(&array, &s->slice.n_links, &s->links_allocated, kind, objects, n);
        s->slice.links = (struct vlink **) array;
    }
}

void insert_into_holders(enum model_kind kind, void **objects, unsigned n)
{
    for (unsigned i = 0, end; i < n && holder(kind, objects[i]); i = end) {
        void *parent = holder(kind, objects[i]);
        for (end = i + 1; end < n && holder(kind, objects[end]) == parent; end++) { }
        hold(kind, parent, objects + i, end - i);
    }
}

static void insert_created(struct model *m, const struct model_txn *t, enum model_kind kind, void **scratch)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->n_staged; i++) {
        if (t->staged[i]->o->kind == kind && t->staged[i]->o->is_new) {
            scratch[n++] = object_public(t->staged[i]->o);
        }
    }
    if (n) {
        qsort(scratch, n, sizeof *scratch, compare_names);
        kind_insert(m, kind, scratch, n);
        insert_into_holders(kind, scratch, n);
    }
}

static void install_landings(struct model_txn *t)
{
    for (unsigned i = 0; i < t->n_touched; i++) {
        struct network_object *n = t->touched[i];
        free(n->refs);
        n->refs = n->next_refs;
        n->n_refs = n->n_next_refs;
        n->next_refs = NULL;
        n->n_next_refs = 0;
        n->touched = false;
        network_landings(n);
    }
    for (unsigned i = 0; i < t->n_touched_slices; i++) {
        t->touched_slices[i]->touched = false;
    }
}

void network_landings(struct network_object *n)
{
    n->network.landings = xrealloc(n->network.landings, n->n_refs * sizeof *n->network.landings);
    n->network.n_landings = n->n_refs;
    for (unsigned i = 0; i < n->n_refs; i++) {
        n->network.landings[i] = (struct network_landing) { &n->refs[i].edge->edge, n->refs[i].landing };
    }
}

void model_txn_commit(struct model_txn *t)
{
    struct model *m = t->model;
    void **scratch = xmalloc(t->n_staged * sizeof *scratch);
    m->revision = model_txn_revision(t);
    claims_end(t, true);
    numbers_end(t, true);
    for (int k = 0; k < N_KINDS; k++) {
        insert_created(m, t, (enum model_kind) k, scratch);
    }
    free(scratch);
    for (unsigned i = 0; i < t->n_staged; i++) {
        struct staged *st = t->staged[i];
        st->o->staged = NULL;
        if (st->changed && !st->doomed) {
            install(m, st);
        }
    }
    install_landings(t);
    for (unsigned i = 0; i < t->n_staged; i++) {
        if (t->staged[i]->doomed) {
            uninstall(m, t->staged[i]->o);
        }
    }
    txn_free(t);
}

void model_txn_abort(struct model_txn *t)
{
    struct model *m = t->model;
    claims_end(t, false);
    numbers_end(t, false);
    for (unsigned i = 0; i < t->n_touched; i++) {
        struct network_object *n = t->touched[i];
        free(n->next_refs);
        n->next_refs = NULL;
        n->touched = false;
    }
    for (unsigned i = 0; i < t->n_touched_slices; i++) {
        t->touched_slices[i]->touched = false;
    }
    for (unsigned i = t->n_staged; i--; ) {
        struct object *o = t->staged[i]->o;
        o->staged = NULL;
        if (!o->is_new) {
            continue;
        }
        uint32_t *next = counter(o, true);
        if (next) {
            --*next;
        }
        if (o->kind == KIND_NETWORK) {
            struct network *n = object_public(o);
            vpc_remove_network(vpc_object(n->vpc), network_object(n));
        }
        object_free(m, o);
    }
    m->next_port_id = t->old_next_port_id;
    m->next_network_id = t->old_next_network_id;
    txn_free(t);
}
