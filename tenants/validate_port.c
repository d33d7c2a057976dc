/* Reading the networks and ports of an apply document. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

#define MAX_QUEUES 16           /* Queue pairs of a vhost-user device: vswitchd's limit. */

/* --- Networks --- */

static void read_subnet(struct json_reader *r, const char *key, bool v4, bool *has, struct prefix *out)
{
    static const char *const reserved[] = { "224.0.0.0/3", "0.0.0.0/8", "127.0.0.0/8", "ff00::/8", "fe80::/10", "::/127" };
    const char *text;
    struct prefix p, never;
    switch (doc_string(r, key, &text)) {
    case DOC_ABSENT:
        return;
    case DOC_NULL:
        *has = false;
        *out = (struct prefix) { .len = 0 };
        return;
    case DOC_STRING:
        break;
    }
    if (!prefix_parse(text, &p)) {
        const char *slash = strchr(text, '/');
        char ip_text[IP_STRLEN];
        struct ip ip;
        uint64_t len;
        str_copy(ip_text, MIN(sizeof ip_text, slash ? (size_t) (slash - text) + 1 : 1), text);
        json_fail(r, key, "%.60s is not a prefix", text);
        if (!ip_parse(text, &ip) && slash && ip_parse(ip_text, &ip) && str_to_u64(slash + 1, v4 ? 32 : 128, &len)) {
            err_hint(r->err, "the bits behind the prefix length must be zero");
        }
        return;
    }
    if (p.is_v4 != v4) {
        json_fail(r, key, "%.60s is not an %s prefix", text, v4 ? "IPv4" : "IPv6");
        err_hint(r->err, "IPv4 goes into subnet, IPv6 into subnet6");
        return;
    }
    if (prefix_host_bits(&p) < 2) {
        json_fail(r, key, "%.60s has no room for hosts", text);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (prefix_parse(reserved[i], &never) && prefix_overlaps(&p, &never)) {
            json_fail(r, key, "%.60s overlaps %s, where no hosts are", text, reserved[i]);
            return;
        }
    }
    *has = true;
    *out = p;
}

void read_network_spec(struct json_reader *r, struct network *c)
{
    read_subnet(r, "subnet", true, &c->has_subnet, &c->subnet);
    read_subnet(r, "subnet6", false, &c->has_subnet6, &c->subnet6);
    if (!c->has_subnet && !c->has_subnet6) {
        json_fail(r, NULL, "has no subnet");
        if (r->err->code == ERR_INVALID && !strcmp(r->err->message, "has no subnet")) {
            err_hint(r->err, "give subnet (IPv4), subnet6 (IPv6), or both");
        }
    }
}

static bool same_subnet(bool has_a, const struct prefix *a, bool has_b, const struct prefix *b)
{
    return has_a == has_b && (!has_a || (a->len == b->len && ip_equal(&a->ip, &b->ip)));
}

static bool read_ports(struct reading *, struct json_reader *, struct network_object *);

/* The network is there, or made if the quota allows. */
static struct object *network_get(struct reading *d, struct json_reader *r, struct vpc_object *vpc, const char *full)
{
    struct object *o = model_lookup(d->model, KIND_NETWORK, full);
    struct tenant_object *tenant = tenant_object(vpc->vpc.tenant);
    if (o) {
        return o;
    }
    if (tenant->next.networks >= tenant_view(tenant)->quota.networks) {
        err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u networks and has them", tenant->tenant.name, tenant_view(tenant)->quota.networks);
        return NULL;
    }
    uint32_t id = network_id_next(d->model);
    if (!id) {
        err_set(d->err, ERR_CONFLICT, r->path, "all network numbers are taken");
        return NULL;
    }
    o = txn_create(d->txn, KIND_NETWORK, full);
    struct network_object *n = object_public(o);
    n->network.vpc = &vpc->vpc;
    n->network.id = id;
    vpc_add_network(vpc, n);
    tenant->next.networks++;
    return o;
}

bool read_networks(struct reading *d, struct json_reader *vpc_reader, struct vpc_object *vpc)
{
    struct json_reader array, r;
    if (!json_array(vpc_reader, "networks", false, &array)) {
        return !d->err->code;
    }
    for (size_t i = 0; i < json_array_size(&array); i++) {
        char full[MODEL_NAME_SIZE];
        json_element(&array, i, &r);
        const char *name = json_is_object(&r) ? doc_name(&r, "name") : NULL;
        if (!name) {
            return false;
        }
        snprintf(full, sizeof full, "%.100s/%s", vpc->vpc.name, name);
        struct object *o = network_get(d, &r, vpc, full);
        struct staged *st = o ? txn_stage(d->txn, o, r.path, d->err) : NULL;
        if (!st) {
            return false;
        }
        struct network_object *n = object_public(o);
        struct network *c = &st->c.network;
        read_network_spec(&r, c);
        st->changed = o->is_new || !same_subnet(c->has_subnet, &c->subnet, n->network.has_subnet, &n->network.subnet)
            || !same_subnet(c->has_subnet6, &c->subnet6, n->network.has_subnet6, &n->network.subnet6);
        if (st->changed) {
            txn_touch(d->txn, &n->network);
        }
        if (!read_ports(d, &r, n) || !json_end(&r)) {
            return false;
        }
    }
    return true;
}

/* --- A changed network against its neighbours and its ports --- */

const char *host_problem(const struct network *n, const struct ip *ip)
{
    bool v4 = ip_is_v4(ip);
    const struct prefix *p = v4 ? &n->subnet : &n->subnet6;
    if (!(v4 ? n->has_subnet : n->has_subnet6) || !prefix_contains(p, ip)) {
        return v4 ? "is outside of the network's subnet" : "is outside of the network's subnet6";
    }
    if (ip_equal(ip, &p->ip)) {
        return v4 ? "is the network address" : "is the routers' anycast address";
    }
    struct ip last = ip_from_v4(ip_v4(&p->ip) | (v4 ? (uint32_t) ((UINT64_C(1) << prefix_host_bits(p)) - 1) : 0));
    return v4 && ip_equal(ip, &last) ? "is the broadcast address" : NULL;
}

static bool check_stranded(struct reading *d, const struct staged *st, const struct network *c)
{
    const struct network *old = object_public(st->o);
    char text[IP_STRLEN], field[160];
    for (unsigned i = 0; i < old->n_ports; i++) {
        const struct port *p = port_view(port_object(old->ports[i]));
        for (unsigned j = 0; j < p->n_ips; j++) {
            const struct ip *ip = &p->ips[j].ip;
            const char *problem = p->ips[j].link_local ? NULL : host_problem(c, ip);
            if (problem) {
                snprintf(field, sizeof field, "%.120s.%s", st->path, ip_is_v4(ip) ? "subnet" : "subnet6");
                err_set(d->err, ERR_CONFLICT, field, "port %s has %s, which %s", old->ports[i]->name, ip_format(ip, text), problem);
                return err_hint(d->err, "give the port another address in the same document, or delete it first");
            }
        }
    }
    return true;
}

struct subnet_of { struct prefix prefix; const struct network_object *network; };

/* By address, wider prefixes first: two prefixes overlap only if some two neighbours do. */
static int compare_subnets(const void *a_, const void *b_)
{
    const struct subnet_of *a = a_, *b = b_;
    int c = memcmp(a->prefix.ip.b, b->prefix.ip.b, sizeof a->prefix.ip.b);
    return c ? c : (int) a->prefix.len - (int) b->prefix.len;
}

static bool check_overlaps(struct reading *d, const struct vpc_object *vpc)
{
    struct subnet_of *all = xmalloc((2 * vpc->n_networks + 1) * sizeof *all);
    size_t n = 0;
    bool ok = true;
    for (unsigned i = 0; i < vpc->n_networks; i++) {
        const struct network *c = network_view(vpc->networks[i]);
        if (c->has_subnet) {
            all[n++] = (struct subnet_of) { c->subnet, vpc->networks[i] };
        }
        if (c->has_subnet6) {
            all[n++] = (struct subnet_of) { c->subnet6, vpc->networks[i] };
        }
    }
    qsort(all, n, sizeof *all, compare_subnets);
    for (size_t i = 1; i < n && ok; i++) {
        if (!prefix_overlaps(&all[i - 1].prefix, &all[i].prefix)) {
            continue;
        }
        /* The one that the document changes is to blame; the later one if it changes both. */
        struct subnet_of *mine = &all[i], *other = &all[i - 1];
        const struct staged *a = mine->network->o.staged, *b = other->network->o.staged;
        if (!a || !a->changed || (b && b->changed && other->network->network.id > mine->network->network.id)) {
            struct subnet_of *swap = mine;
            mine = other;
            other = swap;
        }
        char field[160], text[PREFIX_STRLEN], other_text[PREFIX_STRLEN];
        snprintf(field, sizeof field, "%.120s.%s", mine->network->o.staged->path, mine->prefix.is_v4 ? "subnet" : "subnet6");
        err_set(d->err, ERR_CONFLICT, field, "%s overlaps %s of network %s", prefix_format(&mine->prefix, text),
                prefix_format(&other->prefix, other_text), other->network->network.name);
        ok = err_hint(d->err, "networks of one VPC share its address space; another VPC has its own");
    }
    free(all);
    return ok;
}

bool check_network(struct reading *d, const struct staged *st)
{
    return check_overlaps(d, vpc_object(((struct network *) object_public(st->o))->vpc)) && check_stranded(d, st, &st->c.network);
}

/* --- Ports --- */

static void read_mac(struct json_reader *r, struct port *c, struct port_given *given)
{
    const char *text;
    struct mac mac;
    enum doc_value v = doc_string(r, "mac", &text);
    if (v == DOC_NULL) {
        json_fail(r, "mac", "cannot be taken away");
    } else if (v == DOC_STRING && !mac_parse(text, &mac)) {
        json_fail(r, "mac", "%.40s is not a MAC address", text);
    } else if (v == DOC_STRING && (mac_is_multicast(mac) || !mac_u64(mac))) {
        json_fail(r, "mac", "%.40s is %s", text, mac_u64(mac) ? "a multicast address" : "all zeros");
    } else if (v == DOC_STRING) {
        c->mac = mac;
        given->mac = true;
    }
}

static void read_ips(struct json_reader *r, struct port *c, struct port_given *given)
{
    struct json_reader array, e;
    if (!json_array(r, "ips", false, &array)) {
        return;
    }
    given->ips = true;
    c->n_ips = 0;
    if (json_array_size(&array) >= PORT_MAX_IPS) {
        json_fail(r, "ips", "has %zu addresses; a port has at most %d", json_array_size(&array), PORT_MAX_IPS - 1);
        return;
    }
    for (size_t i = 0; i < json_array_size(&array) && !r->err->code; i++) {
        struct ip ip;
        json_element(&array, i, &e);
        const char *text = json_value_string(&e);
        if (!r->err->code && !ip_parse(text, &ip)) {
            json_fail(&e, NULL, "%.60s is not an IP address", text);
            return;
        }
        for (unsigned j = 0; j < c->n_ips && !r->err->code; j++) {
            if (ip_equal(&c->ips[j].ip, &ip)) {
                json_fail(&e, NULL, "%.60s is given twice", text);
            }
        }
        c->ips[c->n_ips++] = (struct port_ip) { .ip = ip };
    }
}

static void read_vhost(struct json_reader *r, struct port *c)
{
    struct json_reader v;
    if (json_member(r, "vhost", false, &v) && json_is_object(&v)) {
        const char *role = json_string(&v, "role", c->vhost_role);
        if (strcmp(role, "client") && strcmp(role, "server")) {
            json_fail(&v, "role", "%.20s is neither client nor server", role);
        }
        str_copy(c->vhost_role, sizeof c->vhost_role, role);
        c->vhost_queues = (uint16_t) json_u64(&v, "queues", 1, MAX_QUEUES, c->vhost_queues);
        json_end(&v);
    }
}

/* Names "p<number>" are those of the ports that controllerd makes. */
static bool device_reserved(const char *name)
{
    return name[0] == 'p' && name[1] && name[1 + strspn(name + 1, "0123456789")] == '\0';
}

static void read_device(struct json_reader *r, struct port *c)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const char *text;
    switch (doc_string(r, "ofport_of", &text)) {
    case DOC_ABSENT:
        return;
    case DOC_NULL:
        break;
    case DOC_STRING:
        if (!*text || strlen(text) >= sizeof c->ofport_of || text[strspn(text, allowed)]) {
            json_fail(r, "ofport_of", "%.40s is not the name of a switch port", text);
        } else if (device_reserved(text)) {
            json_fail(r, "ofport_of", "%.40s is a name of controllerd's own ports", text);
        }
    }
    str_copy(c->ofport_of, sizeof c->ofport_of, text);
}

void read_port_spec(struct json_reader *r, struct port *c, struct port_given *given)
{
    read_mac(r, c, given);
    read_ips(r, c, given);
    given->edge = doc_string(r, "edge", &given->edge_name);
    c->anti_spoofing = json_bool(r, "anti_spoofing", c->anti_spoofing);
    read_vhost(r, c);
    read_device(r, c);
}

bool check_port_ips(struct json_reader *r, const struct network *n, const struct port *c)
{
    for (unsigned i = 0; i < c->n_ips; i++) {
        const char *problem = c->ips[i].link_local ? NULL : host_problem(n, &c->ips[i].ip);
        char key[24], text[IP_STRLEN];
        if (problem) {
            snprintf(key, sizeof key, "ips[%u]", i);
            return json_fail(r, key, "%s %s", ip_format(&c->ips[i].ip, text), problem);
        }
    }
    return true;
}

bool port_place(struct reading *d, struct json_reader *r, struct staged *st, const struct port_given *given)
{
    struct port *c = &st->c.port;
    const struct port *old = object_public(st->o);
    if (given->edge == DOC_NULL) {
        c->edge = NULL;
    } else if (given->edge == DOC_STRING) {
        struct object *o = model_lookup(d->model, KIND_EDGE, given->edge_name);
        if (!o) {
            json_fail(r, "edge", "there is no edge %.40s", given->edge_name);
            return err_hint(d->err, "vpcctl get edges lists them");
        }
        c->edge = object_public(o);
    }
    if (c->ofport_of[0] && !c->edge && st->kind == KIND_PORT) {         /* A slice's port may have its switch's edge. */
        return json_fail(r, "ofport_of", "needs an edge, whose port it names");
    }
    if (d->tenant && c->ofport_of[0] && (strcmp(c->ofport_of, old->ofport_of) || c->edge != old->edge)) {
        return err_set(d->err, ERR_DENIED, r->path, "only an operator may bind a port to an existing switch port (ofport_of)");
    }
    return true;
}

bool port_differs(const struct port *a, const struct port *b)
{
    return mac_u64(a->mac) != mac_u64(b->mac) || a->edge != b->edge || a->anti_spoofing != b->anti_spoofing || strcmp(a->vhost_role, b->vhost_role)
        || a->vhost_queues != b->vhost_queues || strcmp(a->ofport_of, b->ofport_of) || !port_ip_equal(a, b);
}

struct object *port_new(struct reading *d, const char *path, enum model_kind kind, struct network *n, const char *full)
{
    if (d->model->next_port_id > INT32_MAX) {
        err_set(d->err, ERR_CONFLICT, path, "all port numbers have been used");
        return NULL;
    }
    struct object *o = txn_create(d->txn, kind, full);
    struct port *p = object_public(o);
    p->network = n;
    p->id = d->model->next_port_id++;
    str_copy(p->vhost_role, sizeof p->vhost_role, "client");
    p->vhost_queues = 1;
    return o;
}

static struct object *port_get(struct reading *d, struct json_reader *r, struct network_object *n, const char *full)
{
    struct object *o = model_lookup(d->model, KIND_PORT, full);
    struct tenant_object *tenant = tenant_object(n->network.vpc->tenant);
    if (o) {
        return o;
    }
    if (tenant->next.ports >= tenant_view(tenant)->quota.ports) {
        err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u ports and has them", tenant->tenant.name, tenant_view(tenant)->quota.ports);
        return NULL;
    }
    o = port_new(d, r->path, KIND_PORT, &n->network, full);
    if (o) {
        struct port *p = object_public(o);
        p->anti_spoofing = true;
        p->number = p->id;
        port_of_name(p);
        tenant->next.ports++;
    }
    return o;
}

static bool read_ports(struct reading *d, struct json_reader *network_reader, struct network_object *n)
{
    struct json_reader array, r;
    if (!json_array(network_reader, "ports", false, &array)) {
        return !d->err->code;
    }
    for (size_t i = 0; i < json_array_size(&array); i++) {
        char full[MODEL_NAME_SIZE];
        json_element(&array, i, &r);
        const char *name = json_is_object(&r) ? doc_name(&r, "name") : NULL;
        if (!name) {
            return false;
        }
        snprintf(full, sizeof full, "%.106s/%s", n->network.name, name);
        struct object *o = port_get(d, &r, n, full);
        struct staged *st = o ? txn_stage(d->txn, o, r.path, d->err) : NULL;
        if (!st) {
            return false;
        }
        struct port *c = &st->c.port;
        struct port_given given = { .mac = false };
        c->n_ips -= c->n_ips && c->ips[c->n_ips - 1].link_local;        /* Comes back when the port is bound. */
        read_port_spec(&r, c, &given);
        if (!json_end(&r) || !port_place(d, &r, st, &given) || (given.ips && !check_port_ips(&r, network_view(n), c))) {
            return false;
        }
        st->link_local = true;
        st->auto_mac = o->is_new && !given.mac;
        st->auto_ips = o->is_new && !given.ips;
        st->changed = o->is_new || port_differs(c, object_public(o));
    }
    return true;
}
