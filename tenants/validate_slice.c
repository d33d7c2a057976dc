/* Reading the slices of an apply document: their switches and ports.  Virtual links: validate_link.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/target.h"
#include "tenants/model_impl.h"

static const struct switch_quota default_switch_quota = {
    .flows = 10000, .groups = 1000, .meters = 1000, .tables = SWITCH_MAX_TABLES, .packet_in_rate = 5000, .flow_mod_rate = 20000,
};

/* --- Lists --- */

/* The caller frees *out; on an error in the reader there is nothing to free. */
static bool read_targets(struct json_reader *r, const char *key, char *(*read)(struct json_reader *), char ***out, unsigned *n)
{
    struct json_reader array, e;
    if (!json_array(r, key, false, &array)) {
        return false;
    }
    size_t size = json_array_size(&array);
    if (size > SWITCH_MAX_TARGETS) {
        return json_fail(r, key, "has %zu targets; there may be %d", size, SWITCH_MAX_TARGETS);
    }
    char **list = xcalloc(size + 1, sizeof *list);
    for (unsigned i = 0; i < size; i++) {
        json_element(&array, i, &e);
        list[i] = read(&e);
        for (unsigned j = 0; list[i] && j < i; j++) {
            if (!strcmp(list[i], list[j])) {
                json_fail(&e, NULL, "%.120s is given twice", list[i]);
            }
        }
        if (r->err->code) {
            strings_free(list, i + 1);
            return false;
        }
    }
    *out = list;
    *n = (unsigned) size;
    return true;
}

static char *read_controller(struct json_reader *e)
{
    const char *text = json_value_string(e);
    struct err why = ERR_INIT;
    struct target t;
    char out[TARGET_STRLEN];
    if (e->err->code) {
        return NULL;
    }
    if (!target_parse(text, false, &t, &why)) {
        json_fail(e, NULL, "%s", why.message);
        err_hint(e->err, "%s", why.hint);
        return NULL;
    }
    return xstrdup(target_format(&t, out));
}

/* Either spelling of lib/target.h, kept as a listener's: "ptcp:PORT:IP". */
static char *read_listener(struct json_reader *e)
{
    const char *text = json_value_string(e);
    struct err why = ERR_INIT, ignored = ERR_INIT;
    struct target t;
    char out[TARGET_STRLEN], host[TARGET_STRLEN];
    if (e->err->code) {
        return NULL;
    }
    if (!target_parse(text, true, &t, &why) && !target_parse(text, false, &t, &ignored)) {
        json_fail(e, NULL, "%s", why.message);
        err_hint(e->err, "%s", why.hint);
        return NULL;
    }
    target_format(&t, out);
    if (!strncmp(out, "unix:", 5)) {
        return xasprintf("p%s", out);
    }
    if (!target_port(&t)) {
        json_fail(e, NULL, "%.120s has no port", text);
        return NULL;
    }
    const char *begin = out + 4, *end = strrchr(out, ':');
    str_copy(host, (size_t) (end - begin) + 1, begin);
    return xasprintf("p%.3s:%s:%s", out, end + 1, host);
}

static int compare_edges(const void *a, const void *b)
{
    return (int) (*(struct edge *const *) a)->index - (int) (*(struct edge *const *) b)->index;
}

/* As read_targets(): edges by name, sorted by index. */
static bool read_edge_list(struct json_reader *r, const struct model *m, const char *key, struct edge ***out, unsigned *n)
{
    struct json_reader array, e;
    if (!json_array(r, key, false, &array)) {
        return false;
    }
    size_t size = json_array_size(&array);
    struct edge **edges = xcalloc(size + 1, sizeof *edges);
    for (size_t i = 0; i < size && !r->err->code; i++) {
        json_element(&array, i, &e);
        const char *name = json_value_string(&e);
        struct object *o = r->err->code ? NULL : model_lookup(m, KIND_EDGE, name);
        if (o) {
            edges[i] = object_public(o);
        } else if (!r->err->code) {
            json_fail(&e, NULL, "there is no edge %.40s", name);
            err_hint(r->err, "vpcctl get edges lists them");
        }
    }
    if (!r->err->code) {
        qsort(edges, size, sizeof *edges, compare_edges);
        for (size_t i = 1; i < size; i++) {
            if (edges[i] == edges[i - 1]) {
                json_fail(r, key, "names edge %s twice", edges[i]->name);
            }
        }
    }
    if (r->err->code) {
        free(edges);
        return false;
    }
    *out = edges;
    *n = (unsigned) size;
    return true;
}

/* --- Specs --- */

void read_slice_spec(struct json_reader *r, struct slice *c)
{
    char **list;
    unsigned n;
    if (read_targets(r, "controllers", read_controller, &list, &n)) {
        strings_free(c->controllers, c->n_controllers);
        c->controllers = list;
        c->n_controllers = n;
    }
}

static void read_switch_quota(struct json_reader *r, struct switch_quota *q)
{
    struct json_reader v;
    if (json_member(r, "quota", false, &v) && json_is_object(&v)) {
        q->flows = (uint32_t) json_u64(&v, "flows", 0, 10000000, q->flows);
        q->groups = (uint32_t) json_u64(&v, "groups", 0, 1000000, q->groups);
        q->meters = (uint32_t) json_u64(&v, "meters", 0, 1000000, q->meters);
        q->tables = (uint32_t) json_u64(&v, "tables", 1, SWITCH_MAX_TABLES, q->tables);
        q->packet_in_rate = (uint32_t) json_u64(&v, "packet_in_rate", 0, 10000000, q->packet_in_rate);
        q->flow_mod_rate = (uint32_t) json_u64(&v, "flow_mod_rate", 0, 10000000, q->flow_mod_rate);
        json_end(&v);
    }
}

void read_switch_spec(struct json_reader *r, const struct model *m, struct network *c)
{
    const char *text;
    uint64_t id = 0;
    enum doc_value v = doc_string(r, "datapath_id", &text);
    if (v == DOC_NULL) {
        json_fail(r, "datapath_id", "cannot be taken away");
    } else if (v == DOC_STRING && (strlen(text) != 16 || !str_to_hex(text, 16, &id) || !id)) {
        json_fail(r, "datapath_id", "%.40s is not a datapath id", text);
        err_hint(r->err, "give 16 hexadecimal digits, not all zero, in quotes");
    } else if (v == DOC_STRING) {
        c->datapath_id = id;
    }
    struct edge **edges;
    char **list;
    unsigned n;
    if (read_edge_list(r, m, "edges", &edges, &n)) {
        free(c->edges);
        c->edges = edges;
        c->n_edges = n;
        if (!n) {
            json_fail(r, "edges", "names no edge");
        }
    }
    if (read_targets(r, "listen", read_listener, &list, &n)) {
        strings_free(c->listen, c->n_listen);
        c->listen = list;
        c->n_listen = n;
    }
    read_switch_quota(r, &c->quota);
}

void read_switch_port_spec(struct json_reader *r, struct port *c, struct port_given *given)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@/";
    const char *text;
    read_port_spec(r, c, given);
    c->admin_down = json_bool(r, "admin_down", c->admin_down);
    given->number = (uint32_t) json_u64(r, "number", 1, PORT_MAX_NUMBER, 0);
    given->of_name = doc_string(r, "of_name", &text) == DOC_STRING;
    if (given->of_name && (!*text || strlen(text) >= sizeof c->of_name || text[strspn(text, allowed)])) {
        json_fail(r, "of_name", "%.40s is not the name of a port in OpenFlow", text);
        err_hint(r->err, "such a name has 1 to %zu letters, digits, or characters of -_.:@/", sizeof c->of_name - 1);
    } else if (given->of_name) {
        str_copy(c->of_name, sizeof c->of_name, text);
    }
    for (unsigned i = 0; i < c->n_ips; i++) {
        const struct ip *ip = &c->ips[i].ip;
        char key[24], ip_text[IP_STRLEN];
        const char *problem = c->ips[i].link_local ? NULL : address_problem(ip);
        if (problem) {
            snprintf(key, sizeof key, "ips[%u]", i);
            json_fail(r, key, "%s %s", ip_format(ip, ip_text), problem);
        }
    }
}

const char *address_problem(const struct ip *ip)
{
    static const struct { const char *prefix, *problem; } never[] = {
        { "224.0.0.0/4", "is a multicast address" }, { "ff00::/8", "is a multicast address" },
        { "0.0.0.0/8", "is no host's address" }, { "255.255.255.255/32", "is the broadcast address" }, { "::/128", "is no host's address" },
        { "fe80::/10", "is a link-local address: that of the port's MAC address is known without being named" },
    };
    struct prefix p;
    for (unsigned i = 0; i < ARRAY_SIZE(never); i++) {
        if (prefix_parse(never[i].prefix, &p) && p.is_v4 == ip_is_v4(ip) && prefix_contains(&p, ip)) {
            return never[i].problem;
        }
    }
    return NULL;
}

/* --- Ports --- */

struct object *switch_port_new(struct reading *d, const char *path, struct network_object *n, const char *full)
{
    struct tenant_object *tenant = tenant_object(n->network.slice->tenant);
    if (tenant->next.ports >= tenant_view(tenant)->quota.ports) {
        err_set(d->err, ERR_CONFLICT, path, "tenant %s may have %u ports and has them", tenant->tenant.name, tenant_view(tenant)->quota.ports);
        return NULL;
    }
    struct object *o = port_new(d, path, KIND_SWITCH_PORT, &n->network, full);
    if (o) {
        tenant->next.ports++;
    }
    return o;
}

bool switch_port_number(struct reading *d, struct staged *st, uint32_t number)
{
    const struct port *old = object_public(st->o);
    struct network_object *n = network_object(st->c.port.network);
    char field[160];
    snprintf(field, sizeof field, "%.120s.number", st->path);
    if (!number || number == st->c.port.number) {
        return true;
    }
    if (!st->o->is_new || st->c.port.number) {
        err_set(d->err, ERR_CONFLICT, field, "port %s has number %u, and keeps it while it lives", old->name, st->c.port.number);
        return err_hint(d->err, "leave the number out, or delete the port first");
    }
    if (!txn_take(d->txn, &n->numbers, number)) {
        const char *whose = "a port that goes";
        const struct port *p = network_port_by_number(&n->network, number);
        for (unsigned i = 0; !p && i < d->txn->n_staged; i++) {
            const struct staged *other = d->txn->staged[i];
            if (other->kind == KIND_SWITCH_PORT && other->c.port.network == &n->network && other->c.port.number == number) {
                p = object_public(other->o);
            }
        }
        return err_set(d->err, ERR_CONFLICT, field, "%u is port %s's already", number, p ? p->name : whose);
    }
    switch_port_numbered(st, number);
    return true;
}

/* The port's own struct has it, too, as commit sorts ports in before it installs them; nobody else sees it yet. */
void switch_port_numbered(struct staged *st, uint32_t number)
{
    st->c.port.number = number;
    ((struct port *) object_public(st->o))->number = number;
}

static bool read_switch_port(struct reading *d, struct json_reader *r, struct network_object *n)
{
    char full[MODEL_NAME_SIZE];
    const char *name = json_is_object(r) ? doc_name(r, "name") : NULL;
    if (!name) {
        return false;
    }
    snprintf(full, sizeof full, "%.106s/%s", n->network.name, name);
    struct object *o = model_lookup(d->model, KIND_SWITCH_PORT, full);
    if (!o && !(o = switch_port_new(d, r->path, n, full))) {
        return false;
    }
    struct staged *st = txn_stage(d->txn, o, r->path, d->err);
    if (!st) {
        return false;
    }
    struct port *c = &st->c.port;
    const struct port *old = object_public(o);
    struct port_given given = { .mac = false };
    bool had_link_local = c->n_ips && c->ips[c->n_ips - 1].link_local;
    c->n_ips -= had_link_local;                 /* Comes back when the port is bound. */
    read_switch_port_spec(r, c, &given);
    if (!json_end(r) || !switch_port_number(d, st, given.number) || !port_place(d, r, st, &given)) {
        return false;
    }
    st->link_local = had_link_local || given.mac;
    st->auto_edge = o->is_new && given.edge == DOC_ABSENT;
    st->auto_mac = o->is_new && !given.mac;
    st->auto_number = o->is_new && !given.number;
    st->auto_of_name = o->is_new && !given.of_name;
    st->changed = o->is_new || port_differs(c, old) || st->link_local != had_link_local || c->admin_down != old->admin_down
        || strcmp(c->of_name, old->of_name);
    return true;
}

/* --- Switches --- */

static struct object *switch_new(struct reading *d, struct json_reader *r, struct slice_object *slice, const char *full)
{
    struct tenant_object *tenant = tenant_object(slice->slice.tenant);
    if (tenant->next.switches >= tenant_view(tenant)->quota.switches) {
        err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u virtual switches and has them", tenant->tenant.name,
                tenant_view(tenant)->quota.switches);
        return NULL;
    }
    uint32_t id = network_id_next(d->model);
    if (!id) {
        err_set(d->err, ERR_CONFLICT, r->path, "all network numbers are taken");
        return NULL;
    }
    struct object *o = txn_create(d->txn, KIND_SWITCH, full);
    struct network *n = object_public(o);
    n->slice = &slice->slice;
    n->id = id;
    n->quota = default_switch_quota;
    tenant->next.switches++;
    return o;
}

static bool same_edges(const struct network *a, const struct network *b)
{
    return a->n_edges == b->n_edges && (!a->n_edges || !memcmp(a->edges, b->edges, a->n_edges * sizeof *a->edges));
}

/* What a tenant's token may not choose. */
static bool listen_allowed(struct reading *d, const struct staged *st)
{
    const struct network *c = &st->c.network, *old = object_public(st->o);
    if (!d->tenant || strings_equal(c->listen, c->n_listen, old->listen, old->n_listen)) {
        return true;
    }
    for (unsigned i = 0; i < c->n_listen; i++) {
        uint64_t port = strtoull(c->listen[i] + strlen("ptcp:"), NULL, 10);
        if (!strncmp(c->listen[i], "punix:", 6) || port < 1024) {
            char field[160];
            snprintf(field, sizeof field, "%.120s.listen[%u]", st->path, i);
            return err_set(d->err, ERR_DENIED, field, "only an operator may have a switch listen on %.60s", c->listen[i]);
        }
    }
    return true;
}

static bool read_switch(struct reading *d, struct json_reader *r, struct slice_object *slice, struct edge *const *edges, unsigned n_edges)
{
    char full[MODEL_NAME_SIZE];
    struct json_reader array, e;
    const char *name = json_is_object(r) ? doc_name(r, "name") : NULL;
    if (!name) {
        return false;
    }
    snprintf(full, sizeof full, "%.100s/%s", slice->slice.name, name);
    struct object *o = model_lookup(d->model, KIND_SWITCH, full);
    if (!o && !(o = switch_new(d, r, slice, full))) {
        return false;
    }
    struct staged *st = txn_stage(d->txn, o, r->path, d->err);
    if (!st) {
        return false;
    }
    struct network *c = &st->c.network, *old = object_public(o);
    read_switch_spec(r, d->model, c);
    if (r->err->code) {
        return false;
    }
    if (!c->n_edges && n_edges) {
        free(c->edges);
        c->edges = xmalloc(n_edges * sizeof *c->edges);
        memcpy(c->edges, edges, n_edges * sizeof *c->edges);
        c->n_edges = n_edges;
    }
    if (!c->n_edges) {
        json_fail(r, "edges", "is required");
        return err_hint(d->err, "name the edges where the switch may have ports, here or as the slice's edges");
    }
    if (!o->is_new && c->datapath_id != old->datapath_id) {
        json_fail(r, "datapath_id", "is %016" PRIx64 ", and stays so while the switch lives", old->datapath_id);
        d->err->code = ERR_CONFLICT;
        return err_hint(d->err, "leave it out, or delete the switch first");
    }
    st->auto_datapath_id = !c->datapath_id;
    st->changed = o->is_new || !same_edges(c, old) || memcmp(&c->quota, &old->quota, sizeof c->quota)
        || !strings_equal(c->listen, c->n_listen, old->listen, old->n_listen);
    if (st->changed) {
        txn_touch(d->txn, old);
    }
    if (!listen_allowed(d, st)) {
        return false;
    }
    if (json_array(r, "ports", false, &array)) {
        for (size_t i = 0; i < json_array_size(&array); i++) {
            json_element(&array, i, &e);
            if (!read_switch_port(d, &e, network_object(old))) {
                return false;
            }
        }
    }
    return json_end(r);
}

/* --- Slices --- */

static struct object *slice_get(struct reading *d, struct json_reader *r, struct tenant_object *tenant, const char *full)
{
    struct object *o = model_lookup(d->model, KIND_SLICE, full);
    if (o) {
        return o;
    }
    if (tenant->next.slices >= tenant_view(tenant)->quota.slices) {
        err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u slices and has them", tenant->tenant.name, tenant_view(tenant)->quota.slices);
        return NULL;
    }
    if (!name_is_free(d, r, KIND_VPC, full)) {
        return NULL;
    }
    o = txn_create(d->txn, KIND_SLICE, full);
    ((struct slice *) object_public(o))->tenant = &tenant->tenant;
    tenant->next.slices++;
    return o;
}

static bool read_switches(struct reading *d, struct json_reader *r, struct slice_object *slice)
{
    struct edge **edges = NULL;
    unsigned n_edges = 0;
    struct json_reader array, e;
    read_edge_list(r, d->model, "edges", &edges, &n_edges);
    bool ok = !d->err->code;
    if (ok && json_array(r, "switches", false, &array)) {
        for (size_t i = 0; ok && i < json_array_size(&array); i++) {
            json_element(&array, i, &e);
            ok = read_switch(d, &e, slice, edges, n_edges);
        }
    }
    free(edges);
    return ok && !d->err->code;
}

static bool read_whole_slice(struct reading *d, struct json_reader *r)
{
    char full[MODEL_NAME_SIZE];
    const char *name = doc_name(r, "name");
    struct tenant_object *tenant = name ? read_owner(d, r) : NULL;
    if (!tenant) {
        return false;
    }
    snprintf(full, sizeof full, "%s/%s", tenant->tenant.name, name);
    struct object *o = slice_get(d, r, tenant, full);
    struct staged *st = o ? txn_stage(d->txn, o, r->path, d->err) : NULL;
    if (!st) {
        return false;
    }
    struct slice *c = &st->c.slice, *old = object_public(o);
    read_slice_spec(r, c);
    st->changed = o->is_new || !strings_equal(c->controllers, c->n_controllers, old->controllers, old->n_controllers);
    if (st->changed) {
        txn_touch_slice(d->txn, old);
    }
    for (unsigned i = 0; d->tenant && st->changed && i < c->n_controllers; i++) {
        if (!strncmp(c->controllers[i], "unix:", 5)) {
            char field[160];
            snprintf(field, sizeof field, "%.120s.controllers[%u]", st->path, i);
            return err_set(d->err, ERR_DENIED, field, "only an operator may give a controller by a path");
        }
    }
    return read_switches(d, r, slice_object(old)) && read_links(d, r, slice_object(old)) && json_end(r);
}

bool read_slice(struct reading *d, struct json_reader *r, enum model_kind kind UNUSED)
{
    cJSON *expanded;
    bool ok = topology_expand(d, r, &expanded) && read_whole_slice(d, r);
    cJSON_Delete(expanded);
    return ok;
}
