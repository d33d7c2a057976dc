/* Rebuilding the model from the store's records.  Nothing is taken on trust: a record that contradicts the others is an error, never a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

/* The object that a name's part before its last '/' names, or NULL and an error. */
static void *parent_of(struct model *m, enum model_kind kind, const char *name, struct err *err)
{
    char parent[MODEL_NAME_SIZE];
    const char *slash = strrchr(name, '/');
    str_copy(parent, slash ? MIN(sizeof parent, (size_t) (slash - name) + 1) : 1, name);
    void *found = model_find(m, kind, parent);
    if (!found) {
        err_set(err, ERR_INVALID, NULL, "%.140s: there is no %s \"%s\"", name, kind_name(kind), parent);
    }
    return found;
}

static bool load_edge(struct model *m, struct json_reader *r, struct object *o)
{
    struct edge *e = object_public(o);
    struct object *other;
    read_edge_spec(r, e, true);
    uint64_t index = o->kind == KIND_EDGE ? json_u64(r, "index", 1, m->indexes.max, 0) : 0;
    if (!json_end(r)) {
        return false;
    }
    if (o->kind == KIND_EDGE && (!index || numbers_taken(&m->indexes, (uint32_t) index))) {
        return json_fail(r, "index", "%u is missing or another edge's", (unsigned) index);
    }
    if (!claim_add(m, NULL, CLAIM_DPID, NULL, o, &e->datapath_id, sizeof e->datapath_id, &other)) {
        return json_fail(r, "datapath_id", "is another switch's");
    }
    if (index) {
        e->index = (uint16_t) index;
        numbers_take(&m->indexes, e->index);
        edge_by_index_set(m, e->index, edge_object(e));
    }
    return true;
}

static bool load_vpc(struct model *m, struct json_reader *r, struct object *o)
{
    struct vpc *v = object_public(o);
    const char *tenant = json_string(r, "tenant", NULL);
    if (!json_end(r) || !(v->tenant = parent_of(m, KIND_TENANT, v->name, r->err))) {
        return false;
    }
    if (strcmp(tenant, v->tenant->name)) {
        return json_fail(r, "tenant", "is %.40s, but the name is %s", tenant, v->name);
    }
    tenant_object(v->tenant)->used.vpcs++;
    tenant_object(v->tenant)->next.vpcs++;
    return true;
}

static bool load_network(struct model *m, struct json_reader *r, struct object *o)
{
    struct network *n = object_public(o);
    n->id = (uint32_t) json_u64(r, "id", 1, (1u << 24) - 1, 0);
    read_network_spec(r, n);
    if (!json_end(r) || !(n->vpc = parent_of(m, KIND_VPC, n->name, r->err))) {
        return false;
    }
    if (!n->id || model_network_by_id(m, n->id)) {
        return json_fail(r, "id", "%u is missing or another network's", n->id);
    }
    index_by_id(m, o);
    vpc_add_network(vpc_object(n->vpc), network_object(n));
    tenant_object(n->vpc->tenant)->used.networks++;
    tenant_object(n->vpc->tenant)->next.networks++;
    m->next_network_id = MAX(m->next_network_id, n->id + 1);
    return true;
}

/* The first port of a network on an edge brings the landing; the others must agree. */
static bool load_landing(struct json_reader *r, struct port *p, uint16_t landing)
{
    struct network_object *n = network_object(p->network);
    struct landing_ref *ref = landing_find(n->refs, n->n_refs, p->edge);
    if (ref) {
        ref->n_ports++;
        return ref->landing == landing || json_fail(r, "landing", "is %u, but the network's landing on edge %s is %u", landing, p->edge->name, ref->landing);
    }
    if (!numbers_take(&edge_object(p->edge)->locals, landing)) {
        return json_fail(r, "landing", "%u is missing or taken on edge %s", landing, p->edge->name);
    }
    unsigned i = 0;
    while (i < n->n_refs && n->refs[i].edge->edge.index < p->edge->index) {
        i++;
    }
    n->refs = xrealloc(n->refs, (n->n_refs + 1) * sizeof *n->refs);
    memmove(n->refs + i + 1, n->refs + i, (n->n_refs++ - i) * sizeof *n->refs);
    n->refs[i] = (struct landing_ref) { edge_object(p->edge), landing, 1 };
    network_landings(n);
    return true;
}

static bool load_binding(struct json_reader *r, struct port *p)
{
    struct edge_object *e = edge_object(p->edge);
    struct json_reader slots, slot;
    p->local = (uint16_t) json_u64(r, "local", 1, 0xfffe, 0);
    uint16_t landing = (uint16_t) json_u64(r, "landing", 1, 0xfffe, 0);
    if (!json_array(r, "slots", true, &slots)) {
        return false;
    }
    if (!numbers_take(&e->locals, p->local)) {
        return json_fail(r, "local", "%u is missing or taken on edge %s", p->local, e->edge.name);
    }
    if (json_array_size(&slots) != p->n_ips) {
        return json_fail(r, "slots", "has %zu numbers for %u addresses", json_array_size(&slots), p->n_ips);
    }
    for (unsigned i = 0; i < p->n_ips; i++) {
        struct numbers *space = ip_is_v4(&p->ips[i].ip) ? &e->slots4 : &e->slots6;
        json_element(&slots, i, &slot);
        double x = cJSON_IsNumber(slot.value) ? slot.value->valuedouble : 0;
        p->ips[i].slot = x >= 1 && x <= space->max ? (uint32_t) x : 0;
        if (!numbers_take(space, p->ips[i].slot)) {
            return json_fail(&slot, NULL, "is no free slot of edge %s", e->edge.name);
        }
    }
    return load_landing(r, p, landing);
}

static bool load_claims(struct model *m, struct json_reader *r, struct object *o)
{
    struct port *p = object_public(o);
    struct object *other;
    if (!claim_add(m, NULL, CLAIM_MAC, p->network, o, p->mac.b, sizeof p->mac.b, &other)) {
        return json_fail(r, "mac", "is port %s's too", object_name(KIND_PORT, object_public(other)));
    }
    for (unsigned i = 0; i < p->n_ips; i++) {
        if (!p->ips[i].link_local && !claim_add(m, NULL, CLAIM_IP, p->network, o, p->ips[i].ip.b, sizeof p->ips[i].ip.b, &other)) {
            return json_fail(r, "ips", "one is port %s's too", object_name(KIND_PORT, object_public(other)));
        }
    }
    if (p->edge && p->ofport_of[0] && !claim_add(m, NULL, CLAIM_DEVICE, p->edge, o, p->ofport_of, (uint8_t) strlen(p->ofport_of), &other)) {
        return json_fail(r, "ofport_of", "is port %s's too", object_name(KIND_PORT, object_public(other)));
    }
    return true;
}

static bool load_port(struct model *m, struct json_reader *r, struct object *o)
{
    struct port *p = object_public(o);
    struct port_given given = { .mac = false };
    str_copy(p->vhost_role, sizeof p->vhost_role, "client");
    p->id = (uint32_t) json_u64(r, "id", 1, INT32_MAX, 0);
    read_port_spec(r, p, &given);
    if (r->err->code || !(p->network = parent_of(m, KIND_NETWORK, p->name, r->err))) {
        return false;
    }
    if (!given.mac || !p->id || model_port_by_id(m, p->id)) {
        return json_fail(r, given.mac ? "id" : "mac", "is missing or another port's");
    }
    if (!check_port_ips(r, p->network, p)) {
        return false;
    }
    p->ips[p->n_ips++] = (struct port_ip) { .ip = ip_link_local_eui64(p->mac), .link_local = true };
    if (given.edge == DOC_STRING && !(p->edge = model_find(m, KIND_EDGE, given.edge_name))) {
        return json_fail(r, "edge", "there is no edge %.40s", given.edge_name);
    }
    if ((p->edge && !load_binding(r, p)) || !load_claims(m, r, o) || !json_end(r)) {
        return false;
    }
    index_by_id(m, o);
    void *added = p, **array = (void **) p->network->ports;
    sorted_merge(&array, &p->network->n_ports, &network_object(p->network)->ports_allocated, KIND_PORT, &added, 1);
    p->network->ports = (struct port **) array;
    if (p->edge) {
        edge_object(p->edge)->n_ports++;
    }
    tenant_object(p->network->vpc->tenant)->used.ports++;
    tenant_object(p->network->vpc->tenant)->next.ports++;
    m->next_port_id = MAX(m->next_port_id, p->id + 1);
    return true;
}

static bool load_spec(struct model *m, struct json_reader *r, struct object *o, uint64_t revision)
{
    void *public = object_public(o);
    switch (o->kind) {
    case KIND_TENANT:
        read_tenant_spec(r, public);
        ((struct tenant *) public)->revision = revision;
        return json_end(r);
    case KIND_VPC:
        ((struct vpc *) public)->revision = revision;
        return load_vpc(m, r, o);
    case KIND_NETWORK:
        ((struct network *) public)->revision = revision;
        return load_network(m, r, o);
    case KIND_PORT:
        ((struct port *) public)->revision = revision;
        return load_port(m, r, o);
    case KIND_EDGE:
    case KIND_FABRIC_SWITCH:
        ((struct edge *) public)->revision = revision;
        return load_edge(m, r, o);
    case N_KINDS:
        break;
    }
    abort();
}

bool model_load(struct model *m, enum model_kind kind, const char *name, uint64_t revision, const cJSON *record, struct err *err)
{
    struct json_reader r;
    char field[sizeof err->field];
    *err = ERR_INIT;
    snprintf(field, sizeof field, "%s %.100s", kind_name(kind), name);
    if (strlen(name) >= (strchr(name, '/') ? MODEL_NAME_SIZE : sizeof ((struct edge *) 0)->name) || model_lookup(m, kind, name)) {
        return err_set(err, ERR_INVALID, field, "the name is too long, or there twice");
    }
    json_root(&r, record, err);
    const char *last = json_is_object(&r) ? doc_name(&r, "name") : NULL;
    const char *slash = strrchr(name, '/');
    if (last && strcmp(last, slash ? slash + 1 : name)) {
        json_fail(&r, "name", "is %s, but the record is that of %.140s", last, name);
    }
    if (!err->code) {
        struct object *o = object_new(m, kind, name);
        if (load_spec(m, &r, o, revision)) {
            void *public = object_public(o);
            o->is_new = false;
            kind_insert(m, kind, &public, 1);
            return true;
        }
        /* The caller gives the model up now: parts of the object may be indexed, so it stays until model_free(). */
    }
    struct err inner = *err;
    err_set(err, inner.code, field, "%s%s%.300s", inner.field, inner.field[0] ? " " : "", inner.message);
    return false;
}

void model_loaded(struct model *m, uint64_t revision, uint32_t next_port_id, uint32_t next_network_id)
{
    m->revision = MAX(m->revision, revision);
    m->next_port_id = MAX(m->next_port_id, next_port_id);
    m->next_network_id = MAX(m->next_network_id, next_network_id);
}
