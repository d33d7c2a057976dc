/* Transactions: staging, the list of changes, commit and abort. */
#include <assert.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static const size_t content_size[N_KINDS] = {
    [KIND_TENANT] = sizeof(struct tenant), [KIND_VPC] = sizeof(struct vpc), [KIND_NETWORK] = sizeof(struct network), [KIND_PORT] = sizeof(struct port),
    [KIND_EDGE] = sizeof(struct edge), [KIND_FABRIC_SWITCH] = sizeof(struct edge),
};

static struct model_txn *txn_new(struct model *m)
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
    st->path = xstrdup(path);
    memcpy(&st->c, object_public(o), content_size[o->kind]);
    o->staged = st;
    GROW(t->staged, t->n_staged, t->staged_allocated);
    t->staged[t->n_staged++] = st;
    return st;
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

static void set_revision(struct staged *st, uint64_t revision)
{
    switch (st->o->kind) {
    case KIND_TENANT: st->c.tenant.revision = revision; break;
    case KIND_VPC: st->c.vpc.revision = revision; break;
    case KIND_NETWORK: st->c.network.revision = revision; break;
    case KIND_PORT: st->c.port.revision = revision; break;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: st->c.edge.revision = revision; break;
    case N_KINDS: abort();
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
    if (kind == KIND_PORT && st->c.port.edge) {
        struct network_object *n = network_object(st->c.port.network);
        landing = landing_find(n->next_refs, n->n_next_refs, st->c.port.edge)->landing;
    }
    change->new_spec = model_spec_json(kind, &st->c);
    change->record = record_json(kind, &st->c, landing);
}

/* Networks on an edge whose datapath id changes have to be compiled for another switch. */
static void touch_networks_on(struct model_txn *t, const struct edge *edge)
{
    const struct kind_index *networks = &t->model->kinds[KIND_NETWORK];
    for (unsigned i = 0; i < networks->n; i++) {
        struct network_object *n = networks->sorted[i];
        if (landing_find(n->refs, n->n_refs, edge)) {
            txn_touch(t, &n->network);
        }
    }
}

static struct model_txn *complete(struct model_txn *t)
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
            set_revision(t->staged[i], t->revision);
            describe(&t->changes[t->n_changes++], t->staged[i]);
        }
    }
    t->networks = xmalloc(t->n_touched * sizeof *t->networks);
    for (unsigned i = 0; i < t->n_touched; i++) {
        t->networks[t->n_networks++] = t->touched[i]->network.id;
    }
    return t;
}

struct model_txn *model_apply(struct model *m, const cJSON *document, const char *tenant, struct err *err)
{
    struct model_txn *t = txn_new(m);
    struct reading d = { .model = m, .txn = t, .tenant = tenant, .err = err };
    *err = ERR_INIT;
    if (!read_document(&d, document)) {
        assert(err->code != ERR_NONE);
        model_txn_abort(t);
        return NULL;
    }
    return complete(t);
}

/* --- Deletes --- */

static bool in_use(struct err *err, const char *name, unsigned n, enum model_kind by, const char *first)
{
    err_set(err, ERR_CONFLICT, NULL, "%s still has %u %s, %s%s", name, n, n == 1 ? kind_name(by) : kind_plural(by), n == 1 ? "" : "such as ", first);
    return err_hint(err, "delete %s first", n == 1 ? "it" : "them");
}

static bool edge_unused(struct model *m, const struct edge_object *e, struct err *err)
{
    const struct kind_index *ports = &m->kinds[KIND_PORT];
    for (unsigned i = 0; e->n_ports && i < ports->n; i++) {
        const struct port *p = ports->sorted[i];
        if (p->edge == &e->edge) {
            in_use(err, e->edge.name, e->n_ports, KIND_PORT, p->name);
            return err_hint(err, "bind %s to another edge, or delete %s, first", e->n_ports == 1 ? "it" : "them", e->n_ports == 1 ? "it" : "them");
        }
    }
    return true;
}

/* Nothing depends on the object. */
static bool unused(struct model *m, struct object *o, struct err *err)
{
    void *public = object_public(o);
    const char *name = object_name(o->kind, public);
    if (o->kind == KIND_TENANT && tenant_object(public)->used.vpcs) {
        const struct kind_index *vpcs = &m->kinds[KIND_VPC];
        for (unsigned i = 0; i < vpcs->n; i++) {
            const struct vpc *v = vpcs->sorted[i];
            if (v->tenant == public) {
                return in_use(err, name, tenant_object(public)->used.vpcs, KIND_VPC, v->name);
            }
        }
    }
    if (o->kind == KIND_VPC && vpc_object(public)->n_networks) {
        return in_use(err, name, vpc_object(public)->n_networks, KIND_NETWORK, vpc_object(public)->networks[0]->network.name);
    }
    if (o->kind == KIND_NETWORK && ((struct network *) public)->n_ports) {
        return in_use(err, name, ((struct network *) public)->n_ports, KIND_PORT, ((struct network *) public)->ports[0]->name);
    }
    return o->kind != KIND_EDGE || edge_unused(m, public, err);
}

static void stage_delete(struct model_txn *t, struct object *o, struct err *err)
{
    struct staged *st = txn_stage(t, o, "", err);
    void *public = object_public(o);
    st->doomed = st->changed = true;
    if (o->kind == KIND_PORT) {
        port_drop_claims(t, st);
        port_unbind(t, public);
    } else if (o->kind == KIND_NETWORK) {
        txn_touch(t, public);
    } else if (o->kind == KIND_EDGE || o->kind == KIND_FABRIC_SWITCH) {
        struct edge *e = public;
        claim_drop(t, CLAIM_DPID, NULL, o, &e->datapath_id, sizeof e->datapath_id);
        t->substrate_changed = true;
        if (e->index) {
            txn_release(t, &t->model->indexes, e->index);
        }
    }
}

static bool owned_by(enum model_kind kind, const char *name, const char *tenant)
{
    size_t n = strlen(tenant);
    return (kind == KIND_VPC || kind == KIND_NETWORK || kind == KIND_PORT) && !strncmp(name, tenant, n) && name[n] == '/';
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
    stage_delete(t, o, err);
    return complete(t);
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
    free(t);
}

/* The tenant's counter of the object's kind, or NULL when it is not counted. */
static uint32_t *counter(struct object *o, bool next)
{
    void *public = object_public(o);
    if (o->kind == KIND_VPC) {
        struct tenant_object *t = tenant_object(((struct vpc *) public)->tenant);
        return next ? &t->next.vpcs : &t->used.vpcs;
    } else if (o->kind == KIND_NETWORK) {
        struct tenant_object *t = tenant_object(((struct network *) public)->vpc->tenant);
        return next ? &t->next.networks : &t->used.networks;
    } else if (o->kind == KIND_PORT) {
        struct tenant_object *t = tenant_object(((struct port *) public)->network->vpc->tenant);
        return next ? &t->next.ports : &t->used.ports;
    }
    return NULL;
}

/* The staged content becomes the object's; what the object holds for others (a network's arrays) stays its own. */
static void install(struct model *m, struct staged *st)
{
    struct object *o = st->o;
    if (o->kind == KIND_NETWORK) {
        struct network *n = object_public(o);
        st->c.network.ports = n->ports;
        st->c.network.n_ports = n->n_ports;
        st->c.network.landings = n->landings;
        st->c.network.n_landings = n->n_landings;
    } else if (o->kind == KIND_PORT) {
        struct port *p = object_public(o);
        if (!o->is_new && p->edge) {
            edge_object(p->edge)->n_ports--;
        }
        if (st->c.port.edge) {
            edge_object(st->c.port.edge)->n_ports++;
        }
    }
    memcpy(object_public(o), &st->c, content_size[o->kind]);
    if (!o->is_new) {
        return;
    }
    o->is_new = false;
    if (o->kind == KIND_PORT || o->kind == KIND_NETWORK) {
        index_by_id(m, o);
    } else if (o->kind == KIND_EDGE) {
        edge_by_index_set(m, st->c.edge.index, object_public(o));
    }
    uint32_t *used = counter(o, false);
    if (used) {
        ++*used;
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
    if (o->kind == KIND_PORT) {
        struct port *p = public;
        if (p->edge) {
            edge_object(p->edge)->n_ports--;
        }
        sorted_remove((void **) p->network->ports, &p->network->n_ports, KIND_PORT, p);
        unindex_by_id(m, o);
    } else if (o->kind == KIND_NETWORK) {
        vpc_remove_network(vpc_object(((struct network *) public)->vpc), public);
        unindex_by_id(m, o);
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

/* New ports, sorted by name: those of one network are neighbours, as they share its name and a '/'. */
static void insert_into_networks(void **ports, unsigned n)
{
    for (unsigned i = 0, end; i < n; i = end) {
        struct network_object *network = network_object(((struct port *) ports[i])->network);
        for (end = i + 1; end < n && ((struct port *) ports[end])->network == &network->network; end++) { }
        void **array = (void **) network->network.ports;
        sorted_merge(&array, &network->network.n_ports, &network->ports_allocated, KIND_PORT, ports + i, end - i);
        network->network.ports = (struct port **) array;
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
        if (kind == KIND_PORT) {
            insert_into_networks(scratch, n);
        }
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
