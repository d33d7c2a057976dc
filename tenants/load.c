/* Rebuilding the model from the store's records.  Nothing is taken on trust: a record that contradicts the others is an error, never a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

const enum model_kind model_load_order[N_KINDS] = {
    KIND_EDGE, KIND_FABRIC_SWITCH, KIND_TENANT, KIND_VPC, KIND_NETWORK, KIND_PORT, KIND_SLICE, KIND_SWITCH, KIND_SWITCH_PORT, KIND_LINK,
};

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
    e->flow_entries = o->kind == KIND_EDGE ? DEFAULT_EDGE_ENTRIES : 0;
    read_edge_spec(r, e, true, o->kind);
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
    return true;
}

static bool load_slice(struct model *m, struct json_reader *r, struct object *o)
{
    struct slice *s = object_public(o);
    const char *tenant = json_string(r, "tenant", NULL);
    read_slice_spec(r, s);
    if (!json_end(r) || !(s->tenant = parent_of(m, KIND_TENANT, s->name, r->err))) {
        return false;
    }
    return !strcmp(tenant, s->tenant->name) || json_fail(r, "tenant", "is %.40s, but the name is %s", tenant, s->name);
}

static bool load_id(struct model *m, struct json_reader *r, struct object *o)
{
    struct network *n = object_public(o);
    if (!n->id || model_network_by_id(m, n->id)) {
        return json_fail(r, "id", "%u is missing or another network's", n->id);
    }
    index_by_id(m, o);
    m->next_network_id = MAX(m->next_network_id, n->id + 1);
    return true;
}

static bool load_switch(struct model *m, struct json_reader *r, struct object *o)
{
    struct network *n = object_public(o);
    struct object *other;
    n->id = (uint32_t) json_u64(r, "id", 1, NETWORK_MAX_ID, 0);
    read_switch_spec(r, m, n);
    if (!json_end(r) || !(n->slice = parent_of(m, KIND_SLICE, n->name, r->err))) {
        return false;
    }
    if (!n->datapath_id || !n->n_edges) {
        return json_fail(r, n->n_edges ? "datapath_id" : "edges", "is missing");
    }
    if (!claim_add(m, NULL, CLAIM_SWITCH_DPID, n->slice, o, &n->datapath_id, sizeof n->datapath_id, &other)) {
        return json_fail(r, "datapath_id", "is switch %s's too", object_name(other->kind, object_public(other)));
    }
    for (unsigned i = 0; i < n->n_listen; i++) {
        if (!claim_add(m, NULL, CLAIM_LISTEN, NULL, o, n->listen[i], (uint8_t) strlen(n->listen[i]), &other)) {
            return json_fail(r, "listen", "%s is switch %s's too", n->listen[i], object_name(other->kind, object_public(other)));
        }
    }
    return load_id(m, r, o);
}

/* An end that the record names, which is no other link's and has no device. */
static struct port *load_end(struct model *m, struct json_reader *e, const struct vlink *l)
{
    char full[MODEL_NAME_SIZE];
    const char *text = json_value_string(e);
    if (e->err->code) {
        return NULL;
    }
    snprintf(full, sizeof full, "%.70s/%.66s", l->slice->name, text);
    struct port *p = model_find(m, KIND_SWITCH_PORT, full);
    if (!p || p->link || p->n_ips || p->ofport_of[0] || !p->edge) {
        json_fail(e, NULL, "%.66s cannot be the link's end", text);
        return NULL;
    }
    return p;
}

static bool load_link(struct model *m, struct json_reader *r, struct object *o)
{
    struct vlink *l = object_public(o);
    struct json_reader array, e;
    if (!(l->slice = parent_of(m, KIND_SLICE, l->name, r->err)) || !json_array(r, "ends", true, &array)) {
        return false;
    }
    if (json_array_size(&array) != 2) {
        return json_fail(r, "ends", "are not two");
    }
    read_link_spec(r, m, l);
    for (unsigned i = 0; i < 2; i++) {
        json_element(&array, i, &e);
        l->ends[i] = load_end(m, &e, l);
        if (!l->ends[i]) {
            return false;
        }
        l->ends[i]->link = l;
    }
    return json_end(r);
}

static bool load_network(struct model *m, struct json_reader *r, struct object *o)
{
    struct network *n = object_public(o);
    n->id = (uint32_t) json_u64(r, "id", 1, NETWORK_MAX_ID, 0);
    read_network_spec(r, n);
    if (!json_end(r) || !(n->vpc = parent_of(m, KIND_VPC, n->name, r->err))) {
        return false;
    }
    vpc_add_network(vpc_object(n->vpc), network_object(n));
    return load_id(m, r, o);
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
    if (p->network->slice && !claim_add(m, NULL, CLAIM_OF_NAME, p->network, o, p->of_name, (uint8_t) strlen(p->of_name), &other)) {
        return json_fail(r, "of_name", "is port %s's too", object_name(KIND_PORT, object_public(other)));
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

/* What is a VPC's port's own, and what a slice's. */
static bool load_port_spec(struct model *m, struct json_reader *r, struct object *o, struct port_given *given)
{
    struct port *p = object_public(o);
    const char *text;
    str_copy(p->vhost_role, sizeof p->vhost_role, "client");
    p->vhost_queues = 1;
    p->id = (uint32_t) json_u64(r, "id", 1, INT32_MAX, 0);
    if (o->kind == KIND_PORT) {
        read_port_spec(r, p, given);
        p->number = p->id;
        port_of_name(p);
        return !r->err->code && (p->network = parent_of(m, KIND_NETWORK, p->name, r->err));
    }
    read_switch_port_spec(r, p, given);
    p->number = given->number;
    if (!given->mac && doc_string(r, "allocated_mac", &text) == DOC_STRING && !mac_parse(text, &p->mac)) {
        return json_fail(r, "allocated_mac", "is no MAC address");
    }
    if (r->err->code || !(p->network = parent_of(m, KIND_SWITCH, p->name, r->err))) {
        return false;
    }
    if (!p->of_name[0] || !numbers_take(&network_object(p->network)->numbers, p->number)) {
        return json_fail(r, p->of_name[0] ? "number" : "of_name", "is missing or another port's");
    }
    return true;
}

static bool load_port(struct model *m, struct json_reader *r, struct object *o)
{
    struct port *p = object_public(o);
    struct port_given given = { .mac = false };
    if (!load_port_spec(m, r, o, &given)) {
        return false;
    }
    if (!mac_u64(p->mac) || !p->id || model_port_by_id(m, p->id)) {
        return json_fail(r, mac_u64(p->mac) ? "id" : "mac", "is missing or another port's");
    }
    if (p->network->vpc && !check_port_ips(r, p->network, p)) {
        return false;
    }
    if (given.mac) {
        p->ips[p->n_ips++] = (struct port_ip) { .ip = ip_link_local_eui64(p->mac), .link_local = true };
    }
    if (given.edge == DOC_STRING && !(p->edge = model_find(m, KIND_EDGE, given.edge_name))) {
        return json_fail(r, "edge", "there is no edge %.40s", given.edge_name);
    }
    if ((p->edge && !load_binding(r, p)) || !load_claims(m, r, o) || !json_end(r)) {
        return false;
    }
    index_by_id(m, o);
    if (p->edge) {
        edge_object(p->edge)->n_ports++;
    }
    m->next_port_id = MAX(m->next_port_id, p->id + 1);
    return true;
}

static bool load_spec(struct model *m, struct json_reader *r, struct object *o)
{
    struct tenant *t = object_public(o);
    switch (o->kind) {
    case KIND_TENANT:
        t->quota = default_quota;               /* A store may be older than some of them. */
        read_tenant_spec(r, t);
        return json_end(r);
    case KIND_VPC: return load_vpc(m, r, o);
    case KIND_NETWORK: return load_network(m, r, o);
    case KIND_PORT: case KIND_SWITCH_PORT: return load_port(m, r, o);
    case KIND_SLICE: return load_slice(m, r, o);
    case KIND_SWITCH: return load_switch(m, r, o);
    case KIND_LINK: return load_link(m, r, o);
    case KIND_EDGE: case KIND_FABRIC_SWITCH: return load_edge(m, r, o);
    case N_KINDS: break;
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
        if (load_spec(m, &r, o)) {
            void *public = object_public(o);
            o->is_new = false;
            *content_revision(kind, public) = revision;
            kind_insert(m, kind, &public, 1);
            insert_into_holders(kind, &public, 1);
            object_count(o);
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
    m->next_network_id = next_network_id;       /* Where the circle stands: there may be greater ids. */
}
