/* The model's objects and their indexes; what changes them is in txn.c and load.c. */
#include "tenants/model.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"
#include "tenants/model_impl.h"

#define LOCAL_MAX 0xfffe
#define SLOT6_MAX (1u << 24)    /* More than LOCAL_MAX ports with PORT_MAX_IPS addresses each. */

bool provider_check(const struct provider *p, struct err *err)
{
    if (!p->v4.is_v4 || p->v4.len > 20) {
        return err_set(err, ERR_INVALID, "ipv4_pool", "must be an IPv4 prefix of at most 20 bits, as 100.64.0.0/10 is");
    }
    if (p->v6.is_v4 || p->v6.len > 48) {
        return err_set(err, ERR_INVALID, "ipv6_pool", "must be an IPv6 prefix of at most 48 bits, as fd64:706f:6c64::/48 is");
    }
    return true;
}

struct model *model_new(const struct provider *provider)
{
    struct model *m = XNEW(struct model);
    unsigned bits = prefix_host_bits(&provider->v4);
    assert(provider->v4.is_v4 && bits >= 12 && !provider->v6.is_v4 && provider->v6.len <= 48);
    m->provider = *provider;
    m->index_bits = MIN((bits - 2) / 2, 16u);
    m->slot_bits = MIN(bits - m->index_bits, 24u);
    m->next_port_id = m->next_network_id = 1;
    for (int k = 0; k < N_KINDS; k++) {
        hmap_init(&m->kinds[k].by_name);
    }
    hmap_init(&m->ports_by_id);
    hmap_init(&m->networks_by_id);
    hmap_init(&m->claims);
    numbers_init(&m->indexes, (1u << m->index_bits) - 1);
    return m;
}

static void free_parts(struct object *o)
{
    if (kind_is_edge(o->kind)) {
        struct edge_object *e = CONTAINER_OF(o, struct edge_object, o);
        numbers_fini(&e->locals);
        numbers_fini(&e->slots4);
        numbers_fini(&e->slots6);
    } else if (o->kind == KIND_VPC) {
        free(CONTAINER_OF(o, struct vpc_object, o)->networks);
    } else if (o->kind == KIND_SLICE) {
        struct slice_object *s = CONTAINER_OF(o, struct slice_object, o);
        free(s->slice.switches);
        free(s->slice.links);
    } else if (kind_is_network(o->kind)) {
        struct network_object *n = CONTAINER_OF(o, struct network_object, o);
        free(n->network.landings);
        free(n->network.ports);
        free(n->refs);
        free(n->next_refs);
        hmap_fini(&n->by_number);
        numbers_fini(&n->numbers);
    }
    content_free(o->kind, object_public(o));
}

void object_free(struct model *m, struct object *o)
{
    hmap_remove(&m->kinds[o->kind].by_name, &o->node);
    free_parts(o);
    free(object_public(o));
}

void model_free(struct model *m)
{
    if (!m) {
        return;
    }
    if (m->open) {
        model_txn_abort(m->open);
    }
    for (int k = 0; k < N_KINDS; k++) {
        struct object *o;
        HMAP_FOR_EACH (o, node, &m->kinds[k].by_name) {
            free_parts(o);
            free(object_public(o));
        }
        hmap_fini(&m->kinds[k].by_name);
        free(m->kinds[k].sorted);
    }
    struct claim *c;
    HMAP_FOR_EACH (c, node, &m->claims) {
        free(c);
    }
    hmap_fini(&m->claims);
    hmap_fini(&m->ports_by_id);
    hmap_fini(&m->networks_by_id);
    numbers_fini(&m->indexes);
    free(m->edges_by_index);
    free(m);
}

uint64_t model_revision(const struct model *m)
{
    return m->revision;
}

const struct provider *model_provider(const struct model *m)
{
    return &m->provider;
}

/* --- Objects of any kind --- */

/* The public struct is each object's first member, and the name that one's. */
#define LAYOUT(OBJECT, MEMBER) { sizeof(struct OBJECT), offsetof(struct OBJECT, o), sizeof ((struct OBJECT *) 0)->MEMBER.name }
static const struct { size_t size, head, name_size; } layouts[N_KINDS] = {
    [KIND_TENANT] = LAYOUT(tenant_object, tenant), [KIND_VPC] = LAYOUT(vpc_object, vpc),
    [KIND_NETWORK] = LAYOUT(network_object, network), [KIND_PORT] = LAYOUT(port_object, port),
    [KIND_SLICE] = LAYOUT(slice_object, slice), [KIND_SWITCH] = LAYOUT(network_object, network),
    [KIND_SWITCH_PORT] = LAYOUT(port_object, port), [KIND_LINK] = LAYOUT(link_object, link),
    [KIND_EDGE] = LAYOUT(edge_object, edge), [KIND_FABRIC_SWITCH] = LAYOUT(edge_object, edge),
};
const size_t kind_content_size[N_KINDS] = {
    [KIND_TENANT] = sizeof(struct tenant), [KIND_VPC] = sizeof(struct vpc), [KIND_NETWORK] = sizeof(struct network), [KIND_PORT] = sizeof(struct port),
    [KIND_SLICE] = sizeof(struct slice), [KIND_SWITCH] = sizeof(struct network), [KIND_SWITCH_PORT] = sizeof(struct port), [KIND_LINK] = sizeof(struct vlink),
    [KIND_EDGE] = sizeof(struct edge), [KIND_FABRIC_SWITCH] = sizeof(struct edge),
};
const enum model_kind network_kinds[2] = { KIND_NETWORK, KIND_SWITCH }, port_kinds[2] = { KIND_PORT, KIND_SWITCH_PORT };

void *object_public(struct object *o)
{
    return (char *) o - layouts[o->kind].head;
}

struct object *object_head(enum model_kind kind, const void *public)
{
    return (struct object *) ((char *) public + layouts[kind].head);
}

uint64_t *content_revision(enum model_kind kind, void *content)
{
    switch (kind) {
    case KIND_TENANT: return &((struct tenant *) content)->revision;
    case KIND_VPC: return &((struct vpc *) content)->revision;
    case KIND_NETWORK: case KIND_SWITCH: return &((struct network *) content)->revision;
    case KIND_PORT: case KIND_SWITCH_PORT: return &((struct port *) content)->revision;
    case KIND_SLICE: return &((struct slice *) content)->revision;
    case KIND_LINK: return &((struct vlink *) content)->revision;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: return &((struct edge *) content)->revision;
    case N_KINDS: break;
    }
    abort();
}

char **strings_copy(char *const *from, unsigned n)
{
    char **to = n ? xmalloc(n * sizeof *to) : NULL;
    for (unsigned i = 0; i < n; i++) {
        to[i] = xstrdup(from[i]);
    }
    return to;
}

void strings_free(char **strings, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        free(strings[i]);
    }
    free(strings);
}

bool strings_equal(char *const *a, unsigned n_a, char *const *b, unsigned n_b)
{
    unsigned same = 0;
    while (same < n_a && same < n_b && !strcmp(a[same], b[same])) {
        same++;
    }
    return same == n_a && same == n_b;
}

void content_copy(enum model_kind kind, void *content)
{
    if (kind == KIND_SLICE) {
        struct slice *s = content;
        s->controllers = strings_copy(s->controllers, s->n_controllers);
    } else if (kind == KIND_SWITCH) {
        struct network *n = content;
        struct edge **edges = xmalloc(n->n_edges * sizeof *edges);
        if (n->n_edges) {
            memcpy(edges, n->edges, n->n_edges * sizeof *edges);
        }
        n->edges = edges;
        n->listen = strings_copy(n->listen, n->n_listen);
    } else if (kind == KIND_LINK) {
        struct vlink *l = content;
        l->via = strings_copy(l->via, l->n_via);
    }
}

void content_free(enum model_kind kind, void *content)
{
    if (kind == KIND_SLICE) {
        struct slice *s = content;
        strings_free(s->controllers, s->n_controllers);
    } else if (kind == KIND_SWITCH) {
        struct network *n = content;
        free(n->edges);
        strings_free(n->listen, n->n_listen);
    } else if (kind == KIND_LINK) {
        struct vlink *l = content;
        strings_free(l->via, l->n_via);
    }
}

static uint32_t name_hash(const char *name)
{
    return hash_bytes(name, strlen(name), 0x706f6c64);
}

struct object *model_lookup(const struct model *m, enum model_kind kind, const char *name)
{
    struct object *o;
    HMAP_FOR_EACH_WITH_HASH (o, node, name_hash(name), &m->kinds[kind].by_name) {
        if (!strcmp(object_name(kind, object_public(o)), name)) {
            return o;
        }
    }
    return NULL;
}

struct object *object_new(struct model *m, enum model_kind kind, const char *name)
{
    void *public = xcalloc(1, layouts[kind].size);
    struct object *o = object_head(kind, public);
    str_copy(public, layouts[kind].name_size, name);
    if (kind == KIND_EDGE) {
        struct edge_object *e = public;
        numbers_init(&e->locals, LOCAL_MAX);
        numbers_init(&e->slots4, (1u << m->slot_bits) - 2);     /* Neither all zeros nor all ones. */
        numbers_init(&e->slots6, SLOT6_MAX);
    } else if (kind_is_network(kind)) {
        struct network_object *n = public;
        hmap_init(&n->by_number);
        numbers_init(&n->numbers, PORT_MAX_NUMBER);
    }
    o->kind = kind;
    o->is_new = true;
    hmap_insert(&m->kinds[kind].by_name, &o->node, name_hash(name));
    return o;
}

/* --- Sorted arrays --- */

static unsigned lower_bound(void *const *array, unsigned n, enum model_kind kind, const char *name)
{
    unsigned low = 0;
    while (low < n) {
        unsigned middle = low + (n - low) / 2;
        if (strcmp(object_name(kind, array[middle]), name) < 0) {
            low = middle + 1;
        } else {
            n = middle;
        }
    }
    return low;
}

void sorted_merge(void ***array, unsigned *n_array, unsigned *allocated, enum model_kind kind, void **added, unsigned n)
{
    unsigned total = *n_array + n;
    if (total > *allocated) {
        *allocated = MAX(total, *allocated * 2);
        *array = xrealloc(*array, *allocated * sizeof **array);
    }
    unsigned left = *n_array, out = total;
    while (n) {                 /* From the end, so that nothing is overwritten before it has moved. */
        unsigned at = lower_bound(*array, left, kind, object_name(kind, added[--n]));
        out -= left - at;
        memmove(*array + out, *array + at, (left - at) * sizeof **array);
        left = at;
        (*array)[--out] = added[n];
    }
    *n_array = total;
}

void sorted_remove(void **array, unsigned *n, enum model_kind kind, const void *object)
{
    unsigned i = lower_bound(array, *n, kind, object_name(kind, object));
    assert(i < *n && array[i] == object);
    memmove(array + i, array + i + 1, (*n - i - 1) * sizeof *array);
    --*n;
}

void kind_insert(struct model *m, enum model_kind kind, void **added, unsigned n)
{
    struct kind_index *x = &m->kinds[kind];
    sorted_merge(&x->sorted, &x->n, &x->allocated, kind, added, n);
}

static uint32_t id_hash(uint32_t id)
{
    return (uint32_t) hash_mix64(id);
}

void network_add_port(struct network_object *n, void **ports, unsigned n_ports)
{
    void **array = (void **) n->network.ports;
    sorted_merge(&array, &n->network.n_ports, &n->ports_allocated, KIND_PORT, ports, n_ports);
    n->network.ports = (struct port **) array;
    for (unsigned i = 0; i < n_ports; i++) {
        struct port_object *p = ports[i];
        hmap_insert(&n->by_number, &p->by_number, id_hash(p->port.number));
    }
}

void network_remove_port(struct network_object *n, struct port_object *p)
{
    sorted_remove((void **) n->network.ports, &n->network.n_ports, KIND_PORT, p);
    hmap_remove(&n->by_number, &p->by_number);
}

struct port *network_port_by_number(const struct network *n, uint32_t number)
{
    struct port_object *p;
    HMAP_FOR_EACH_WITH_HASH (p, by_number, id_hash(number), &network_object(n)->by_number) {
        if (p->port.number == number) {
            return &p->port;
        }
    }
    return NULL;
}

void vpc_add_network(struct vpc_object *v, struct network_object *n)
{
    GROW(v->networks, v->n_networks, v->networks_allocated);
    v->networks[v->n_networks++] = n;
}

/* From the end: an abort takes them back in the reverse order. */
void vpc_remove_network(struct vpc_object *v, struct network_object *n)
{
    unsigned i = v->n_networks;
    while (v->networks[--i] != n) {
        assert(i);
    }
    memmove(v->networks + i, v->networks + i + 1, (v->n_networks - i - 1) * sizeof *v->networks);
    v->n_networks--;
}

void edge_by_index_set(struct model *m, uint16_t index, struct edge_object *e)
{
    if (index >= m->n_edges_by_index) {
        unsigned n = MAX(index + 1u, m->n_edges_by_index * 2);
        m->edges_by_index = xrealloc(m->edges_by_index, n * sizeof *m->edges_by_index);
        memset(m->edges_by_index + m->n_edges_by_index, 0, (n - m->n_edges_by_index) * sizeof *m->edges_by_index);
        m->n_edges_by_index = n;
    }
    m->edges_by_index[index] = e;
}

/* --- Lookup --- */

void *model_find(const struct model *m, enum model_kind kind, const char *name)
{
    struct object *o = model_lookup(m, kind, name);
    return o && !o->is_new ? object_public(o) : NULL;
}

unsigned model_count(const struct model *m, enum model_kind kind)
{
    return m->kinds[kind].n;
}

void *model_at(const struct model *m, enum model_kind kind, unsigned i)
{
    assert(i < m->kinds[kind].n);
    return m->kinds[kind].sorted[i];
}

struct edge *model_edge_by_datapath(const struct model *m, uint64_t datapath_id, bool *is_fabric)
{
    struct claim *c = claim_find_committed(m, CLAIM_DPID, NULL, &datapath_id, sizeof datapath_id);
    if (!c) {
        return NULL;
    }
    *is_fabric = c->owner->kind == KIND_FABRIC_SWITCH;
    return object_public(c->owner);
}

struct edge *model_edge_by_index(const struct model *m, uint16_t index)
{
    return index < m->n_edges_by_index && m->edges_by_index[index] ? &m->edges_by_index[index]->edge : NULL;
}

void index_by_id(struct model *m, struct object *o)
{
    if (kind_is_port(o->kind)) {
        struct port_object *p = CONTAINER_OF(o, struct port_object, o);
        hmap_insert(&m->ports_by_id, &p->by_id, id_hash(p->port.id));
    } else {
        struct network_object *n = CONTAINER_OF(o, struct network_object, o);
        hmap_insert(&m->networks_by_id, &n->by_id, id_hash(n->network.id));
    }
}

void unindex_by_id(struct model *m, struct object *o)
{
    if (kind_is_port(o->kind)) {
        hmap_remove(&m->ports_by_id, &CONTAINER_OF(o, struct port_object, o)->by_id);
    } else {
        hmap_remove(&m->networks_by_id, &CONTAINER_OF(o, struct network_object, o)->by_id);
    }
}

struct port *model_port_by_id(const struct model *m, uint32_t id)
{
    struct port_object *p;
    HMAP_FOR_EACH_WITH_HASH (p, by_id, id_hash(id), &m->ports_by_id) {
        if (p->port.id == id) {
            return &p->port;
        }
    }
    return NULL;
}

struct network *model_network_by_id(const struct model *m, uint32_t id)
{
    struct network_object *n;
    HMAP_FOR_EACH_WITH_HASH (n, by_id, id_hash(id), &m->networks_by_id) {
        if (n->network.id == id) {
            return &n->network;
        }
    }
    return NULL;
}

uint32_t network_id_next(struct model *m)
{
    for (uint32_t i = 0; i < NETWORK_MAX_ID; i++) {
        uint32_t id = m->next_network_id > NETWORK_MAX_ID ? 1 : m->next_network_id;
        m->next_network_id = id + 1;
        if (!model_network_by_id(m, id)) {
            return id;
        }
    }
    return 0;
}

struct ip model_provider_ip(const struct model *m, const struct edge *e, bool v4, uint32_t slot)
{
    if (v4) {
        return ip_from_v4(ip_v4(&m->provider.v4.ip) | (uint32_t) e->index << m->slot_bits | slot);
    }
    struct ip ip = m->provider.v6.ip;
    wire_put16(ip.b + 6, e->index);
    wire_put64(ip.b + 8, slot);
    return ip;
}
