/* Whose provider address is it? */
#include <stdio.h>
#include <string.h>

#include "lib/wire.h"
#include "tenants/model_impl.h"

static cJSON *describe_edge(const struct edge *e, const char *address, const char *what)
{
    cJSON *o = cJSON_CreateObject();
    json_add_string(o, "address", address);
    json_add_string(o, "what", what);
    json_add_string(o, "edge", e->name);
    return o;
}

static void describe_network(cJSON *o, const struct network *n)
{
    json_add_string(o, "tenant", network_tenant(n)->name);
    if (n->slice) {
        json_add_string(o, "slice", n->slice->name);
        json_add_string(o, "switch", n->name);
    } else {
        json_add_string(o, "network", n->name);
    }
}

static void describe_port(cJSON *o, const struct port *p)
{
    char text[MAC_STRLEN];
    describe_network(o, p->network);
    json_add_string(o, "port", p->name);
    if (p->link) {
        json_add_string(o, "link", p->link->name);
    }
    json_add_string(o, "mac", mac_format(p->mac, text));
}

/* A port or flood landing's number on an edge; one of the two is set, or none. */
static void find_local(const struct model *m, const struct edge *e, uint32_t n, const struct port **port, const struct network **network)
{
    *port = NULL;
    *network = NULL;
    for (unsigned k = 0; k < ARRAY_SIZE(network_kinds); k++) {
        const struct kind_index *networks = &m->kinds[network_kinds[k]];
        for (unsigned i = 0; i < networks->n; i++) {
            struct network_object *net = networks->sorted[i];
            struct landing_ref *ref = landing_find(net->refs, net->n_refs, e);
            if (ref && ref->landing == n) {
                *network = &net->network;
                return;
            }
            for (unsigned j = 0; ref && j < net->network.n_ports; j++) {
                if (net->network.ports[j]->edge == e && net->network.ports[j]->local == n) {
                    *port = net->network.ports[j];
                    return;
                }
            }
        }
    }
}

static cJSON *whois_landing(const struct model *m, uint64_t mac, const struct edge *e, const char *address)
{
    const struct port *port;
    const struct network *network;
    uint16_t landing = (uint16_t) mac;
    find_local(m, e, landing, &port, &network);
    cJSON *o = describe_edge(e, address, port && port->link ? "landing of a virtual link's end" : port ? "landing of a port"
                             : network && network->slice ? "flood landing of a virtual switch" : network ? "flood landing of a network"
                             : "landing of nothing at present");
    json_add_u64(o, "path_class", mac >> 16 & 0xff);
    json_add_u64(o, "landing", landing);
    if (port) {
        describe_port(o, port);
    } else if (network) {
        describe_network(o, network);
    }
    return o;
}

static cJSON *whois_source(const struct model *m, uint64_t mac, const struct edge *e, const char *address)
{
    const struct port *port = NULL;
    const struct network *network;
    uint32_t id = (uint32_t) (mac & 0xffffff);
    unsigned flags = (unsigned) (mac >> 42 & 0x3f);
    bool pair = flags & PROVIDER_PAIR;
    if (id < PROVIDER_FIRST_INTERNED) {
        find_local(m, e, id, &port, &network);
    }
    cJSON *o = describe_edge(e, address, id >= PROVIDER_FIRST_INTERNED ? "interned pair of source and destination" : !port ? "source of nothing at present"
                             : pair ? "source port, to broadcast" : "source port");
    json_add_u64(o, "id", id);
    json_add_u64(o, "flags", flags);
    if (port) {
        describe_port(o, port);
    }
    return o;
}

static cJSON *whois_mac(const struct model *m, struct mac address, const char *text, struct err *err)
{
    uint64_t mac = mac_u64(address);
    const struct edge *e = model_edge_by_index(m, (uint16_t) (mac >> 24));
    if ((address.b[0] & 3) != 2) {
        err_set(err, ERR_NOT_FOUND, NULL, "%s is not a provider address", text);
        err_hint(err, "the first byte of a provider MAC address ends in the bits 10");
        return NULL;
    }
    if (!e) {
        err_set(err, ERR_NOT_FOUND, NULL, "%s would be on edge number %u, which is none", text, (unsigned) (mac >> 24 & 0xffff));
        return NULL;
    }
    if (address.b[0] != 2) {
        return whois_source(m, mac, e, text);
    }
    /* 02 opens a landing's address, of any path class, and also the source of a frame without flags: that id is below PROVIDER_FIRST_INTERNED, as an
     * interned one stands for a pair. The numbers are the same space, so a port answers to both. */
    const struct port *port;
    const struct network *network;
    find_local(m, e, (uint16_t) mac, &port, &network);
    cJSON *o = whois_landing(m, mac, e, text);
    if (port && !port->link && !(mac >> 16 & 0xff)) {
        cJSON_ReplaceItemInObjectCaseSensitive(o, "what", cJSON_CreateString("port, as a destination (landing) or as a source"));
    }
    return o;
}

static const struct port *find_slot(const struct model *m, const struct edge *e, bool v4, uint64_t slot, const struct port_ip **ip)
{
    for (unsigned k = 0; slot && k < ARRAY_SIZE(port_kinds); k++) {
        const struct kind_index *ports = &m->kinds[port_kinds[k]];
        for (unsigned i = 0; i < ports->n; i++) {
            const struct port *p = ports->sorted[i];
            for (unsigned j = 0; p->edge == e && j < p->n_ips; j++) {
                if (p->ips[j].slot == slot && ip_is_v4(&p->ips[j].ip) == v4) {
                    *ip = &p->ips[j];
                    return p;
                }
            }
        }
    }
    return NULL;
}

static cJSON *whois_ip(const struct model *m, const struct ip *ip, const char *text, struct err *err)
{
    bool v4 = ip_is_v4(ip);
    const struct prefix *pool = v4 ? &m->provider.v4 : &m->provider.v6;
    char pool_text[PREFIX_STRLEN];
    if (!prefix_contains(pool, ip)) {
        err_set(err, ERR_NOT_FOUND, NULL, "%s is not in the provider's pool %s", text, prefix_format(pool, pool_text));
        return NULL;
    }
    uint32_t host = v4 ? ip_v4(ip) & (uint32_t) ((UINT64_C(1) << (32 - pool->len)) - 1) : 0;
    uint32_t index = v4 ? host >> m->slot_bits : wire_get16(ip->b + 6);
    uint64_t slot = v4 ? host & ((1u << m->slot_bits) - 1) : wire_get64(ip->b + 8);
    const struct edge *e = model_edge_by_index(m, (uint16_t) index);
    const struct port_ip *address = NULL;
    if (!e) {
        err_set(err, ERR_NOT_FOUND, NULL, "%s would be on edge number %u, which is none", text, index);
        return NULL;
    }
    struct ip made = model_provider_ip(m, e, v4, (uint32_t) slot);
    const struct port *p = slot > UINT32_MAX || !ip_equal(&made, ip) ? NULL : find_slot(m, e, v4, slot, &address);
    cJSON *o = describe_edge(e, text, p ? "address of a port" : "address of nothing at present");
    json_add_format(o, "slot", "%llu", (unsigned long long) slot);
    if (p) {
        char ip_text[IP_STRLEN];
        describe_port(o, p);
        json_add_string(o, "ip", ip_format(&address->ip, ip_text));
    }
    return o;
}

cJSON *model_whois(const struct model *m, const char *address, struct err *err)
{
    struct mac mac;
    struct ip ip;
    *err = ERR_INIT;
    if (mac_parse(address, &mac)) {
        return whois_mac(m, mac, address, err);
    }
    if (ip_parse(address, &ip)) {
        return whois_ip(m, &ip, address, err);
    }
    err_set(err, ERR_INVALID, NULL, "%.60s is neither a MAC nor an IP address", address);
    return NULL;
}
