/* Names of kinds and objects, and the JSON that the API and the store see. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static const struct { const char *name, *plural; } kinds[N_KINDS] = {
    [KIND_TENANT] = { "tenant", "tenants" }, [KIND_VPC] = { "vpc", "vpcs" }, [KIND_NETWORK] = { "network", "networks" }, [KIND_PORT] = { "port", "ports" },
    [KIND_SLICE] = { "slice", "slices" }, [KIND_SWITCH] = { "switch", "switches" }, [KIND_SWITCH_PORT] = { "switch-port", "switch-ports" },
    [KIND_LINK] = { "virtual-link", "virtual-links" },
    [KIND_EDGE] = { "edge", "edges" }, [KIND_FABRIC_SWITCH] = { "fabric-switch", "fabric-switches" },
};

const char *kind_name(enum model_kind kind)
{
    return kinds[kind].name;
}

const char *kind_plural(enum model_kind kind)
{
    return kinds[kind].plural;
}

bool kind_from_name(const char *name, enum model_kind *out)
{
    for (int k = 0; k < N_KINDS; k++) {
        if (!strcmp(name, kinds[k].name) || !strcmp(name, kinds[k].plural)) {
            *out = (enum model_kind) k;
            return true;
        }
    }
    return false;
}

const char *object_name(enum model_kind kind UNUSED, const void *object)
{
    return object;                              /* Each begins with its name. */
}

uint64_t object_revision(enum model_kind kind, const void *object)
{
    return *content_revision(kind, (void *) object);
}

struct tenant *object_owner(enum model_kind kind, const void *object)
{
    switch (kind) {
    case KIND_TENANT: return (struct tenant *) object;
    case KIND_VPC: return ((const struct vpc *) object)->tenant;
    case KIND_NETWORK: case KIND_SWITCH: return network_tenant(object);
    case KIND_PORT: case KIND_SWITCH_PORT: return network_tenant(((const struct port *) object)->network);
    case KIND_SLICE: return ((const struct slice *) object)->tenant;
    case KIND_LINK: return ((const struct vlink *) object)->slice->tenant;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: case N_KINDS: break;
    }
    return NULL;
}

const char *object_tenant(enum model_kind kind, const void *object)
{
    const struct tenant *t = object_owner(kind, object);
    return t ? t->name : NULL;
}

char *port_device_name(const struct port *p, char *out)
{
    if (p->ofport_of[0]) {
        return str_copy(out, sizeof p->ofport_of, p->ofport_of);
    }
    snprintf(out, sizeof p->ofport_of, "p%u", p->id);
    return out;
}

static void add_item(cJSON *array, const char *text)
{
    cJSON *item = cJSON_CreateString(text);
    if (!item || !cJSON_AddItemToArray(array, item)) {
        abort();
    }
}

/* How a port of another object is written inside of its slice: "s1/p1". */
static const char *inside_slice(const char *name)
{
    return strchr(strchr(name, '/') + 1, '/') + 1;
}

static void add_strings(cJSON *o, const char *key, char *const *strings, unsigned n)
{
    cJSON *array = json_add_array(o, key);
    for (unsigned i = 0; i < n; i++) {
        add_item(array, strings[i]);
    }
}

static bool has_link_local(const struct port *p)
{
    return p->n_ips && p->ips[p->n_ips - 1].link_local;
}

static void port_spec(cJSON *o, const struct port *p)
{
    char text[IP_STRLEN];
    if (has_link_local(p)) {                    /* Else it was allocated, and is status. */
        json_add_string(o, "mac", mac_format(p->mac, text));
    }
    if (!p->link) {
        cJSON *ips = json_add_array(o, "ips");
        for (unsigned i = 0; i < p->n_ips; i++) {
            if (!p->ips[i].link_local) {
                add_item(ips, ip_format(&p->ips[i].ip, text));
            }
        }
    }
    if (p->edge) {
        json_add_string(o, "edge", p->edge->name);
    } else if (p->network->slice) {
        cJSON_AddItemToObject(o, "edge", cJSON_CreateNull());   /* Not where the switch is, should that be one edge. */
    }
    json_add_bool(o, "anti_spoofing", p->anti_spoofing);
    if (!p->link) {
        cJSON *vhost = json_add_object(o, "vhost");
        json_add_string(vhost, "role", p->vhost_role);
        json_add_u64(vhost, "queues", p->vhost_queues);
    }
    if (p->ofport_of[0]) {
        json_add_string(o, "ofport_of", p->ofport_of);
    }
}

static void switch_port_spec(cJSON *o, const struct port *p)
{
    json_add_u64(o, "number", p->number);
    json_add_string(o, "of_name", p->of_name);
    json_add_bool(o, "admin_down", p->admin_down);
    port_spec(o, p);
}

static void switch_spec(cJSON *o, const struct network *n)
{
    json_add_format(o, "datapath_id", "%016" PRIx64, n->datapath_id);
    cJSON *edges = json_add_array(o, "edges");
    for (unsigned i = 0; i < n->n_edges; i++) {
        add_item(edges, n->edges[i]->name);
    }
    add_strings(o, "listen", n->listen, n->n_listen);
    cJSON *quota = json_add_object(o, "quota");
    json_add_u64(quota, "flows", n->quota.flows);
    json_add_u64(quota, "groups", n->quota.groups);
    json_add_u64(quota, "meters", n->quota.meters);
    json_add_u64(quota, "tables", n->quota.tables);
    json_add_u64(quota, "packet_in_rate", n->quota.packet_in_rate);
    json_add_u64(quota, "flow_mod_rate", n->quota.flow_mod_rate);
}

static void link_spec(cJSON *o, const struct vlink *l)
{
    cJSON *ends = json_add_array(o, "ends");
    add_item(ends, inside_slice(l->ends[0]->name));
    add_item(ends, inside_slice(l->ends[1]->name));
    json_add_bool(o, "admin_down", l->admin_down);
    add_strings(o, "via", l->via, l->n_via);
}

static void network_spec(cJSON *o, const struct network *n)
{
    char text[PREFIX_STRLEN];
    if (n->has_subnet) {
        json_add_string(o, "subnet", prefix_format(&n->subnet, text));
    }
    if (n->has_subnet6) {
        json_add_string(o, "subnet6", prefix_format(&n->subnet6, text));
    }
}

static void tenant_spec(cJSON *o, const struct tenant *t)
{
    cJSON *quota = json_add_object(o, "quota");
    for (unsigned i = 0; i < N_QUOTA_ROWS; i++) {
        json_add_u64(quota, quota_rows[i].name, *quota_at(&t->quota, i));
    }
}

static void slice_spec(cJSON *o, const struct slice *s)
{
    json_add_string(o, "tenant", s->tenant->name);
    add_strings(o, "controllers", s->controllers, s->n_controllers);
}

static void edge_spec(cJSON *o, const struct edge *e, enum model_kind kind)
{
    json_add_format(o, "datapath_id", "%016" PRIx64, e->datapath_id);
    if (kind == KIND_EDGE) {
        json_add_u64(o, "flow_entries", e->flow_entries);
    }
}

cJSON *model_spec_json(enum model_kind kind, const void *object)
{
    cJSON *o = cJSON_CreateObject();
    const char *full = object_name(kind, object), *slash = strrchr(full, '/');
    json_add_string(o, "name", slash ? slash + 1 : full);
    switch (kind) {
    case KIND_TENANT: tenant_spec(o, object); break;
    case KIND_VPC: json_add_string(o, "tenant", ((const struct vpc *) object)->tenant->name); break;
    case KIND_NETWORK: network_spec(o, object); break;
    case KIND_PORT: port_spec(o, object); break;
    case KIND_SLICE: slice_spec(o, object); break;
    case KIND_SWITCH: switch_spec(o, object); break;
    case KIND_SWITCH_PORT: switch_port_spec(o, object); break;
    case KIND_LINK: link_spec(o, object); break;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: edge_spec(o, object, kind); break;
    case N_KINDS: abort();
    }
    return o;
}

/* A port's record has the network's flood landing on its edge, so that ports coming and going do not rewrite the network's record. */
cJSON *record_json(enum model_kind kind, const void *content, uint16_t landing)
{
    cJSON *o = model_spec_json(kind, content);
    if (kind == KIND_EDGE) {
        json_add_u64(o, "index", ((const struct edge *) content)->index);
    } else if (kind_is_network(kind)) {
        json_add_u64(o, "id", ((const struct network *) content)->id);
    } else if (kind_is_port(kind)) {
        const struct port *p = content;
        char text[MAC_STRLEN];
        json_add_u64(o, "id", p->id);
        if (!has_link_local(p)) {
            json_add_string(o, "allocated_mac", mac_format(p->mac, text));
        }
        if (p->edge) {
            json_add_u64(o, "local", p->local);
            json_add_u64(o, "landing", landing);
            cJSON *slots = json_add_array(o, "slots");
            for (unsigned i = 0; i < p->n_ips; i++) {
                cJSON_AddItemToArray(slots, cJSON_CreateNumber(p->ips[i].slot));
            }
        }
    }
    return o;
}

static void port_alloc(const struct model *m, cJSON *o, const struct port *p)
{
    char text[IP_STRLEN], device[sizeof p->ofport_of];
    json_add_u64(o, "id", p->id);
    if (p->network->slice) {
        json_add_string(o, "mac", mac_format(p->mac, text));
    }
    if (p->link) {
        json_add_string(o, "link", p->link->name);
        json_add_string(o, "peer", vlink_peer(p)->name);
    } else {
        json_add_string(o, "device", port_device_name(p, device));
    }
    if (p->edge) {
        json_add_u64(o, "landing", p->local);
        json_add_string(o, "provider_mac", mac_format(mac_from_u64(provider_landing_mac(p->edge->index, 0, p->local)), text));
    }
    cJSON *addresses = json_add_array(o, "addresses");
    for (unsigned i = 0; i < p->n_ips; i++) {
        cJSON *a = json_append_object(addresses);
        json_add_string(a, "ip", ip_format(&p->ips[i].ip, text));
        if (p->edge) {
            struct ip provider = model_provider_ip(m, p->edge, ip_is_v4(&p->ips[i].ip), p->ips[i].slot);
            json_add_string(a, "provider", ip_format(&provider, text));
        }
    }
}

static void edge_alloc(const struct model *m, cJSON *o, const struct edge *e)
{
    struct prefix p4 = { .ip = model_provider_ip(m, e, true, 0), .len = (uint8_t) (32 - m->slot_bits), .is_v4 = true };
    struct prefix p6 = { .ip = model_provider_ip(m, e, false, 0), .len = 64 };
    char text[PREFIX_STRLEN];
    json_add_u64(o, "index", e->index);
    json_add_string(o, "provider_ipv4", prefix_format(&p4, text));
    json_add_string(o, "provider_ipv6", prefix_format(&p6, text));
    json_add_u64(o, "ports", edge_object(e)->n_ports);
}

static void network_alloc(cJSON *o, const struct network *n)
{
    char text[MAC_STRLEN];
    json_add_u64(o, "id", n->id);
    json_add_u64(o, "ports", n->n_ports);
    cJSON *landings = json_add_array(o, "landings");
    for (unsigned i = 0; i < n->n_landings; i++) {
        cJSON *l = json_append_object(landings);
        json_add_string(l, "edge", n->landings[i].edge->name);
        json_add_u64(l, "landing", n->landings[i].landing);
        json_add_string(l, "provider_mac", mac_format(mac_from_u64(provider_landing_mac(n->landings[i].edge->index, 0, n->landings[i].landing)), text));
    }
}

cJSON *model_alloc_json(const struct model *m, enum model_kind kind, const void *object)
{
    cJSON *o = cJSON_CreateObject();
    if (kind == KIND_TENANT) {
        struct usage used = tenant_object(object)->used;
        for (unsigned i = 0; i < N_QUOTA_ROWS; i++) {
            if (quota_rows[i].kind != N_KINDS) {
                json_add_u64(o, quota_rows[i].name, *usage_of(&used, quota_rows[i].kind));
            }
        }
    } else if (kind == KIND_SLICE) {
        json_add_u64(o, "switches", ((const struct slice *) object)->n_switches);
        json_add_u64(o, "links", ((const struct slice *) object)->n_links);
    } else if (kind_is_network(kind)) {
        network_alloc(o, object);
    } else if (kind_is_port(kind)) {
        port_alloc(m, o, object);
    } else if (kind == KIND_EDGE) {
        edge_alloc(m, o, object);
    }
    return o;
}
