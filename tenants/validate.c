/* Reading an apply document: the top level, the substrate, tenants and VPCs.  Networks and ports: validate_port.c; slices: validate_slice.c. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

const struct quota default_quota = {
    .vpcs = 10, .networks = 100, .ports = 1000, .slices = 10, .switches = 100, .links = 200,
    .flow_entries = 100000, .edge_entries = 100, .groups = 10000, .meters = 10000, .packet_in_rate = 20000, .flow_mod_rate = 50000, .connection_rate = 100,
};

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

void read_edge_spec(struct json_reader *r, struct edge *c, bool required, enum model_kind kind)
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
    if (kind == KIND_EDGE) {
        c->flow_entries = (uint32_t) json_u64(r, "flow_entries", 0, 100000000, c->flow_entries);
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
    const struct edge *old = object_public(o);
    st->c.edge.flow_entries = create && kind == KIND_EDGE ? DEFAULT_EDGE_ENTRIES : st->c.edge.flow_entries;
    read_edge_spec(r, &st->c.edge, create, kind);
    bool other_id = create || st->c.edge.datapath_id != old->datapath_id;
    st->changed = other_id || st->c.edge.flow_entries != old->flow_entries;
    d->txn->substrate_changed |= other_id;
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

/* What a quota limits, or edge_entries guarantees: its member in the document, its place, the most that may be set, and the kind that is counted (N_KINDS:
 * nothing of the model). */
const struct quota_row quota_rows[N_QUOTA_ROWS] = {
    { "ports", offsetof(struct quota, ports), 10000000, KIND_PORT },
    { "networks", offsetof(struct quota, networks), 1000000, KIND_NETWORK },
    { "vpcs", offsetof(struct quota, vpcs), 100000, KIND_VPC },
    { "slices", offsetof(struct quota, slices), 100000, KIND_SLICE },
    { "switches", offsetof(struct quota, switches), 1000000, KIND_SWITCH },
    { "links", offsetof(struct quota, links), 1000000, KIND_LINK },
    { "flow_entries", offsetof(struct quota, flow_entries), 100000000, N_KINDS },
    { "edge_entries", offsetof(struct quota, edge_entries), 100000000, N_KINDS },
    { "groups", offsetof(struct quota, groups), 10000000, N_KINDS },
    { "meters", offsetof(struct quota, meters), 10000000, N_KINDS },
    { "packet_in_rate", offsetof(struct quota, packet_in_rate), 100000000, N_KINDS },
    { "flow_mod_rate", offsetof(struct quota, flow_mod_rate), 100000000, N_KINDS },
    { "connection_rate", offsetof(struct quota, connection_rate), 1000000, N_KINDS },
};

uint32_t *quota_at(const struct quota *q, unsigned row)
{
    return (uint32_t *) ((char *) q + quota_rows[row].offset);
}

void read_tenant_spec(struct json_reader *r, struct tenant *c)
{
    struct json_reader q;
    if (json_member(r, "quota", false, &q) && json_is_object(&q)) {
        for (unsigned i = 0; i < N_QUOTA_ROWS; i++) {
            uint32_t *value = quota_at(&c->quota, i);
            *value = (uint32_t) json_u64(&q, quota_rows[i].name, 0, quota_rows[i].max, *value);
        }
        json_end(&q);
    }
}

/* No quota below what the tenant has. */
static bool quotas_hold(struct reading *d, const char *path, const struct tenant_object *t, const struct quota *q)
{
    struct usage used = t->used;
    for (unsigned i = 0; i < N_QUOTA_ROWS; i++) {
        const struct quota_row *row = &quota_rows[i];
        uint32_t has = row->kind == N_KINDS ? 0 : *usage_of(&used, row->kind);
        char field[160];
        if (has > *quota_at(q, i)) {
            snprintf(field, sizeof field, "%.120s.quota.%s", path, row->name);
            err_set(d->err, ERR_CONFLICT, field, "the tenant has %u %s already", has, row->name);
            return err_hint(d->err, "delete some first, or set at least %u", has);
        }
    }
    return true;
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
    st->changed = create || memcmp(&st->c.tenant.quota, &t->tenant.quota, sizeof t->tenant.quota);
    return json_end(r) && (!st->changed || quotas_hold(d, r->path, t, &st->c.tenant.quota));
}

/* --- VPCs --- */

struct tenant_object *read_owner(struct reading *d, struct json_reader *r)
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

/* A VPC and a slice of a tenant are not called alike: so a port's name says which port, whatever its kind. */
bool name_is_free(struct reading *d, struct json_reader *r, enum model_kind other, const char *full)
{
    if (model_lookup(d->model, other, full)) {
        json_fail(r, "name", "%s is a %s already", full, other == KIND_VPC ? "VPC" : "slice");
        d->err->code = ERR_CONFLICT;
        return false;
    }
    return true;
}

static bool read_vpc(struct reading *d, struct json_reader *r, enum model_kind kind)
{
    char full[MODEL_NAME_SIZE];
    const char *name = doc_name(r, "name");
    struct tenant_object *tenant = name ? read_owner(d, r) : NULL;
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
        if (!name_is_free(d, r, KIND_SLICE, full)) {
            return false;
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

/* Over all staged objects of a kind that change and stay. */
static bool each_staged(struct reading *d, enum model_kind kind, bool (*step)(struct reading *, struct staged *))
{
    for (unsigned i = 0; i < d->txn->n_staged; i++) {
        struct staged *st = d->txn->staged[i];
        if (st->kind == kind && st->changed && !st->doomed && !step(d, st)) {
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
static bool step_switch_ports(struct reading *d, struct staged *st) { return switch_check_ports(st, d->err); }
static bool step_switch_drop(struct reading *d, struct staged *st) { switch_drop_claims(d->txn, st); return true; }
static bool step_switch_add(struct reading *d, struct staged *st) { return switch_add_claims(d->txn, st, d->err); }
static bool step_switch_auto(struct reading *d, struct staged *st) { return switch_auto(d->txn, st); }
static bool step_place(struct reading *d, struct staged *st) { return switch_port_place(d->txn, st, d->err); }
static bool step_number(struct reading *d, struct staged *st) { return switch_port_auto(d->txn, st, d->err); }

/* Dropped and added before anything is allocated, so that two objects may swap what they have. */
static bool plan(struct reading *d)
{
    return each_staged(d, KIND_NETWORK, step_network)
        && each_staged(d, KIND_SWITCH, step_switch_ports)
        && each_staged(d, KIND_SWITCH_PORT, step_place)
        && each_staged(d, KIND_SWITCH, step_switch_drop)
        && each_staged(d, KIND_PORT, step_drop)
        && each_staged(d, KIND_SWITCH_PORT, step_drop)
        && each_staged(d, KIND_SWITCH, step_switch_add)
        && each_staged(d, KIND_PORT, step_add)
        && each_staged(d, KIND_SWITCH_PORT, step_add)
        && each_staged(d, KIND_SWITCH, step_switch_auto)
        && each_staged(d, KIND_SWITCH_PORT, step_number)
        && each_staged(d, KIND_PORT, step_auto)
        && each_staged(d, KIND_SWITCH_PORT, step_auto)
        && each_staged(d, KIND_PORT, step_bind)
        && each_staged(d, KIND_SWITCH_PORT, step_bind);
}

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
        && each(d, &top, "slices", false, read_slice, KIND_SLICE)
        && json_end(&top)
        && plan(d);
}
