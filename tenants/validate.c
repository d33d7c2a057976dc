/* Reading an apply document: the top level, the substrate, tenants and VPCs.  Networks and ports: validate_port.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static const struct quota default_quota = { .vpcs = 10, .networks = 100, .ports = 1000 };

enum doc_value doc_string(struct json_reader *r, const char *key, const char **out)
{
    struct json_reader v;
    *out = "";
    if (!json_member(r, key, false, &v)) {
        return DOC_ABSENT;
    }
    if (cJSON_IsNull(v.value)) {
        return DOC_NULL;
    }
    if (cJSON_IsNumber(v.value) || cJSON_IsBool(v.value)) {
        if (!r->err->code) {
            json_fail(r, key, "must be a string");
            err_hint(r->err, "put it in quotes: without them YAML reads it as a %s", cJSON_IsNumber(v.value) ? "number" : "truth value");
        }
        return DOC_ABSENT;
    }
    *out = json_value_string(&v);
    return DOC_STRING;
}

const char *doc_name(struct json_reader *r, const char *key)
{
    const char *name;
    enum doc_value v = doc_string(r, key, &name);
    if (v != DOC_STRING) {
        json_fail(r, key, "is required");
        return NULL;
    }
    if (!name_valid(name)) {
        if (!r->err->code) {
            json_fail(r, key, "%.40s is not a name", name);
            err_hint(r->err, "names are 1 to 32 of a-z, 0-9 and '-', with no '-' at either end");
        }
        return NULL;
    }
    return name;
}

/* Calls `read` for each element of the array `key` of the top level. */
typedef bool read_fn(struct reading *, struct json_reader *, enum model_kind);
static bool each(struct reading *d, struct json_reader *top, const char *key, bool operator_only, read_fn *read, enum model_kind kind)
{
    struct json_reader array, e;
    if (!json_array(top, key, false, &array)) {
        return !d->err->code;
    }
    if (operator_only && d->tenant) {
        return err_set(d->err, ERR_DENIED, key, "only an operator may change %s", key);
    }
    for (size_t i = 0; i < json_array_size(&array); i++) {
        json_element(&array, i, &e);
        if (!json_is_object(&e) || !read(d, &e, kind)) {
            return false;
        }
    }
    return true;
}

/* --- Edges and fabric switches --- */

void read_edge_spec(struct json_reader *r, struct edge *c, bool required)
{
    const char *text;
    uint64_t id;
    switch (doc_string(r, "datapath_id", &text)) {
    case DOC_STRING:
        if (strlen(text) != 16 || !str_to_hex(text, 16, &id) || !id) {
            json_fail(r, "datapath_id", "%.40s is not a datapath id", text);
            err_hint(r->err, "give 16 hexadecimal digits, not all zero, in quotes");
        } else {
            c->datapath_id = id;
        }
        break;
    case DOC_NULL:
        json_fail(r, "datapath_id", "cannot be taken away");
        break;
    case DOC_ABSENT:
        if (required) {
            json_fail(r, "datapath_id", "is required");
        }
        break;
    }
}

static bool read_edge(struct reading *d, struct json_reader *r, enum model_kind kind)
{
    const char *name = doc_name(r, "name");
    if (!name) {
        return false;
    }
    enum model_kind other = kind == KIND_EDGE ? KIND_FABRIC_SWITCH : KIND_EDGE;
    if (model_lookup(d->model, other, name)) {
        json_fail(r, "name", "%s is the name of %s already", name, other == KIND_EDGE ? "an edge" : "a fabric switch");
        d->err->code = ERR_CONFLICT;
        return false;
    }
    struct object *o = model_lookup(d->model, kind, name);
    bool create = !o;
    if (create) {
        o = txn_create(d->txn, kind, name);
    }
    struct staged *st = txn_stage(d->txn, o, r->path, d->err);
    if (!st) {
        return false;
    }
    if (create && kind == KIND_EDGE) {
        st->c.edge.index = (uint16_t) txn_number(d->txn, &d->model->indexes);
        if (!st->c.edge.index) {
            err_set(d->err, ERR_CONFLICT, r->path, "no more than %u edges fit into the provider's IPv4 pool", d->model->indexes.max);
            return err_hint(d->err, "give controllerd a larger provider.ipv4_pool");
        }
        ((struct edge *) object_public(o))->index = st->c.edge.index;       /* Orders landings; nobody else sees it yet. */
    }
    read_edge_spec(r, &st->c.edge, create);
    st->changed = create || st->c.edge.datapath_id != ((struct edge *) object_public(o))->datapath_id;
    d->txn->substrate_changed |= st->changed;
    return json_end(r);
}

/* Two passes, so that two switches may swap their ids. */
static bool claim_datapaths(struct reading *d)
{
    struct model_txn *t = d->txn;
    for (unsigned i = 0; i < t->n_staged; i++) {
        struct staged *st = t->staged[i];
        if (st->changed && !st->o->is_new) {
            struct edge *old = object_public(st->o);
            claim_drop(t, CLAIM_DPID, NULL, st->o, &old->datapath_id, sizeof old->datapath_id);
        }
    }
    for (unsigned i = 0; i < t->n_staged; i++) {
        struct staged *st = t->staged[i];
        struct object *other;
        if (st->changed && !claim_add(t->model, t, CLAIM_DPID, NULL, st->o, &st->c.edge.datapath_id, sizeof st->c.edge.datapath_id, &other)) {
            char field[160];
            snprintf(field, sizeof field, "%.120s.datapath_id", st->path);
            return err_set(d->err, ERR_CONFLICT, field, "%016" PRIx64 " is %s %s's already", st->c.edge.datapath_id, kind_name(other->kind),
                           object_name(other->kind, object_public(other)));
        }
    }
    return true;
}

/* --- Tenants --- */

void read_tenant_spec(struct json_reader *r, struct tenant *c)
{
    struct json_reader q;
    if (json_member(r, "quota", false, &q) && json_is_object(&q)) {
        c->quota.ports = (uint32_t) json_u64(&q, "ports", 0, 10000000, c->quota.ports);
        c->quota.networks = (uint32_t) json_u64(&q, "networks", 0, 1000000, c->quota.networks);
        c->quota.vpcs = (uint32_t) json_u64(&q, "vpcs", 0, 100000, c->quota.vpcs);
        json_end(&q);
    }
}

static bool quota_holds(struct reading *d, const char *path, const char *what, uint32_t used, uint32_t quota)
{
    char field[160];
    if (used <= quota) {
        return true;
    }
    snprintf(field, sizeof field, "%.120s.quota.%s", path, what);
    err_set(d->err, ERR_CONFLICT, field, "the tenant has %u %s already", used, what);
    return err_hint(d->err, "delete some first, or set at least %u", used);
}

static bool read_tenant(struct reading *d, struct json_reader *r, enum model_kind kind)
{
    const char *name = doc_name(r, "name");
    if (!name) {
        return false;
    }
    struct object *o = model_lookup(d->model, kind, name);
    bool create = !o;
    if (create) {
        o = txn_create(d->txn, kind, name);
    }
    struct staged *st = txn_stage(d->txn, o, r->path, d->err);
    if (!st) {
        return false;
    }
    struct tenant_object *t = object_public(o);
    if (create) {
        st->c.tenant.quota = default_quota;
    }
    read_tenant_spec(r, &st->c.tenant);
    const struct quota *q = &st->c.tenant.quota, *old = &t->tenant.quota;
    st->changed = create || q->vpcs != old->vpcs || q->networks != old->networks || q->ports != old->ports;
    return json_end(r)
        && (!st->changed || (quota_holds(d, r->path, "ports", t->used.ports, q->ports)
                             && quota_holds(d, r->path, "networks", t->used.networks, q->networks)
                             && quota_holds(d, r->path, "vpcs", t->used.vpcs, q->vpcs)));
}

/* --- VPCs --- */

/* The tenant that a VPC names, who must exist and be the caller's own. */
static struct tenant_object *vpc_tenant(struct reading *d, struct json_reader *r)
{
    const char *name;
    enum doc_value v = doc_string(r, "tenant", &name);
    if (v == DOC_ABSENT && d->tenant) {
        name = d->tenant;
    } else if (v != DOC_STRING) {
        json_fail(r, "tenant", "is required");
        return NULL;
    }
    if (d->tenant && strcmp(name, d->tenant)) {
        if (!d->err->code) {
            json_fail(r, "tenant", "%.40s is not yours to change", name);
            d->err->code = ERR_DENIED;
        }
        return NULL;
    }
    struct object *o = d->err->code ? NULL : model_lookup(d->model, KIND_TENANT, name);
    if (!o && !d->err->code) {
        json_fail(r, "tenant", "there is no tenant %.40s", name);
        err_hint(d->err, "create it first (vpcctl create tenant), or name it in the document's tenants");
    }
    return o ? object_public(o) : NULL;
}

static bool read_vpc(struct reading *d, struct json_reader *r, enum model_kind kind)
{
    char full[MODEL_NAME_SIZE];
    const char *name = doc_name(r, "name");
    struct tenant_object *tenant = name ? vpc_tenant(d, r) : NULL;
    if (!tenant) {
        return false;
    }
    snprintf(full, sizeof full, "%s/%s", tenant->tenant.name, name);
    struct object *o = model_lookup(d->model, kind, full);
    bool create = !o;
    if (create) {
        if (tenant->next.vpcs >= tenant_view(tenant)->quota.vpcs) {
            return err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u VPCs and has them", tenant->tenant.name, tenant_view(tenant)->quota.vpcs);
        }
        o = txn_create(d->txn, kind, full);
        ((struct vpc *) object_public(o))->tenant = &tenant->tenant;
        tenant->next.vpcs++;
    }
    struct staged *st = txn_stage(d->txn, o, r->path, d->err);
    if (!st) {
        return false;
    }
    st->changed = create;
    return read_networks(d, r, object_public(o)) && json_end(r);
}

/* --- The whole --- */

/* Over all staged objects of a kind, changed ones only. */
static bool each_staged(struct reading *d, enum model_kind kind, bool (*step)(struct reading *, struct staged *))
{
    for (unsigned i = 0; i < d->txn->n_staged; i++) {
        struct staged *st = d->txn->staged[i];
        if (st->o->kind == kind && st->changed && !step(d, st)) {
            return false;
        }
    }
    return true;
}

static bool step_drop(struct reading *d, struct staged *st) { port_drop_claims(d->txn, st); return true; }
static bool step_add(struct reading *d, struct staged *st) { return port_add_claims(d->txn, st, d->err); }
static bool step_auto(struct reading *d, struct staged *st) { return port_auto_addresses(d->txn, st, d->err); }
static bool step_bind(struct reading *d, struct staged *st) { return port_bind(d->txn, st, d->err); }
static bool step_network(struct reading *d, struct staged *st) { return check_network(d, st); }

bool read_document(struct reading *d, const cJSON *document)
{
    struct json_reader top;
    json_root(&top, document, d->err);
    return json_is_object(&top)
        && each(d, &top, "edges", true, read_edge, KIND_EDGE)
        && each(d, &top, "fabric_switches", true, read_edge, KIND_FABRIC_SWITCH)
        && claim_datapaths(d)
        && each(d, &top, "tenants", true, read_tenant, KIND_TENANT)
        && each(d, &top, "vpcs", false, read_vpc, KIND_VPC)
        && json_end(&top)
        && each_staged(d, KIND_NETWORK, step_network)
        && each_staged(d, KIND_PORT, step_drop)
        && each_staged(d, KIND_PORT, step_add)
        && each_staged(d, KIND_PORT, step_auto)
        && each_staged(d, KIND_PORT, step_bind);
}
