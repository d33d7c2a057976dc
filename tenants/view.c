/* Names of kinds and objects, and the JSON that the API and the store see. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static const struct { const char *name, *plural; } kinds[N_KINDS] = {
    [KIND_TENANT] = { "tenant", "tenants" }, [KIND_VPC] = { "vpc", "vpcs" }, [KIND_NETWORK] = { "network", "networks" }, [KIND_PORT] = { "port", "ports" },
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

const char *object_name(enum model_kind kind, const void *object)
{
    switch (kind) {
    case KIND_TENANT: return ((const struct tenant *) object)->name;
    case KIND_VPC: return ((const struct vpc *) object)->name;
    case KIND_NETWORK: return ((const struct network *) object)->name;
    case KIND_PORT: return ((const struct port *) object)->name;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: return ((const struct edge *) object)->name;
    case N_KINDS: break;
    }
    abort();
}

uint64_t object_revision(enum model_kind kind, const void *object)
{
    switch (kind) {
    case KIND_TENANT: return ((const struct tenant *) object)->revision;
    case KIND_VPC: return ((const struct vpc *) object)->revision;
    case KIND_NETWORK: return ((const struct network *) object)->revision;
    case KIND_PORT: return ((const struct port *) object)->revision;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: return ((const struct edge *) object)->revision;
    case N_KINDS: break;
    }
    abort();
}

const char *object_tenant(enum model_kind kind, const void *object)
{
    switch (kind) {
    case KIND_TENANT: return ((const struct tenant *) object)->name;
    case KIND_VPC: return ((const struct vpc *) object)->tenant->name;
    case KIND_NETWORK: return ((const struct network *) object)->vpc->tenant->name;
    case KIND_PORT: return ((const struct port *) object)->network->vpc->tenant->name;
    case KIND_EDGE: case KIND_FABRIC_SWITCH: case N_KINDS: break;
    }
    return NULL;
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

static void port_spec(cJSON *o, const struct port *p)
{
    char text[IP_STRLEN];
    json_add_string(o, "mac", mac_format(p->mac, text));
    cJSON *ips = json_add_array(o, "ips");
    for (unsigned i = 0; i < p->n_ips; i++) {
        if (!p->ips[i].link_local) {
            add_item(ips, ip_format(&p->ips[i].ip, text));
        }
    }
    if (p->edge) {
        json_add_string(o, "edge", p->edge->name);
    }
    json_add_bool(o, "anti_spoofing", p->anti_spoofing);
    cJSON *vhost = json_add_object(o, "vhost");
    json_add_string(vhost, "role", p->vhost_role);
    json_add_u64(vhost, "queues", p->vhost_queues);
    if (p->ofport_of[0]) {
        json_add_string(o, "ofport_of", p->ofport_of);
    }
}

cJSON *model_spec_json(enum model_kind kind, const void *object)
{
    cJSON *o = cJSON_CreateObject();
    const char *full = object_name(kind, object), *slash = strrchr(full, '/');
    char text[PREFIX_STRLEN];
    json_add_string(o, "name", slash ? slash + 1 : full);
    if (kind == KIND_TENANT) {
        const struct quota *q = &((const struct tenant *) object)->quota;
        cJSON *quota = json_add_object(o, "quota");
        json_add_u64(quota, "ports", q->ports);
        json_add_u64(quota, "networks", q->networks);
        json_add_u64(quota, "vpcs", q->vpcs);
    } else if (kind == KIND_VPC) {
        json_add_string(o, "tenant", ((const struct vpc *) object)->tenant->name);
    } else if (kind == KIND_NETWORK) {
        const struct network *n = object;
        if (n->has_subnet) {
            json_add_string(o, "subnet", prefix_format(&n->subnet, text));
        }
        if (n->has_subnet6) {
            json_add_string(o, "subnet6", prefix_format(&n->subnet6, text));
        }
    } else if (kind == KIND_PORT) {
        port_spec(o, object);
    } else {
        json_add_format(o, "datapath_id", "%016" PRIx64, ((const struct edge *) object)->datapath_id);
    }
    return o;
}

/* A port's record has the network's flood landing on its edge, so that ports coming and going do not rewrite the network's record. */
cJSON *record_json(enum model_kind kind, const void *content, uint16_t landing)
{
    cJSON *o = model_spec_json(kind, content);
    if (kind == KIND_EDGE) {
        json_add_u64(o, "index", ((const struct edge *) content)->index);
    } else if (kind == KIND_NETWORK) {
        json_add_u64(o, "id", ((const struct network *) content)->id);
    } else if (kind == KIND_PORT) {
        const struct port *p = content;
        json_add_u64(o, "id", p->id);
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
    json_add_string(o, "device", port_device_name(p, device));
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

cJSON *model_alloc_json(const struct model *m, enum model_kind kind, const void *object)
{
    cJSON *o = cJSON_CreateObject();
    if (kind == KIND_TENANT) {
        const struct usage *used = &tenant_object(object)->used;
        json_add_u64(o, "ports", used->ports);
        json_add_u64(o, "networks", used->networks);
        json_add_u64(o, "vpcs", used->vpcs);
    } else if (kind == KIND_NETWORK) {
        const struct network *n = object;
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
    } else if (kind == KIND_PORT) {
        port_alloc(m, o, object);
    } else if (kind == KIND_EDGE) {
        edge_alloc(m, o, object);
    }
    return o;
}
