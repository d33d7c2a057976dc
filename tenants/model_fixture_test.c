#include "tenants/model_fixture.h"
#include "tests/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"

struct model *test_model_empty(void)
{
    struct provider p;
    struct err err = ERR_INIT;
    CU_ASSERT_FATAL(prefix_parse("100.64.0.0/10", &p.v4) && prefix_parse("fd64:706f:6c64::/48", &p.v6));
    CU_ASSERT_FATAL(provider_check(&p, &err));
    return model_new(&p);
}

struct model *test_model(void)
{
    struct model *m = test_model_empty();
    struct err err;
    int n = test_apply(m, "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}],"
                       "'tenants':[{'name':'red'},{'name':'blue'}],"
                       "'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','subnet':'10.0.0.0/24'}]},"
                       "{'name':'main','tenant':'blue','networks':[{'name':'web','subnet':'10.0.0.0/24'}]}]}", &err);
    CU_ASSERT_EQUAL_FATAL(n, 8);
    return m;
}

cJSON *test_json(const char *single_quoted)
{
    char *text = xstrdup(single_quoted);
    struct err err = ERR_INIT;
    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    cJSON *json = json_parse(text, strlen(text), 1 << 24, &err);
    if (!json) {
        fprintf(stderr, "%s\n%s\n", err.message, text);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    free(text);
    return json;
}

static int commit(struct model_txn *t)
{
    unsigned n;
    if (!t) {
        return -1;
    }
    model_txn_changes(t, &n);
    model_txn_commit(t);
    return (int) n;
}

int test_apply_as(struct model *m, const char *single_quoted, const char *tenant, struct err *err)
{
    cJSON *doc = test_json(single_quoted);
    int n = commit(model_apply(m, doc, tenant, err));
    cJSON_Delete(doc);
    return n;
}

int test_apply(struct model *m, const char *single_quoted, struct err *err)
{
    return test_apply_as(m, single_quoted, NULL, err);
}

int test_delete(struct model *m, enum model_kind kind, const char *name, struct err *err)
{
    return commit(model_delete(m, kind, name, NULL, 0, err));
}

char *test_dump(const struct model *m)
{
    struct buf out = BUF_INIT;
    buf_printf(&out, "revision %llu\n", (unsigned long long) model_revision(m));
    for (int k = 0; k < N_KINDS; k++) {
        for (unsigned i = 0; i < model_count(m, (enum model_kind) k); i++) {
            void *o = model_at(m, (enum model_kind) k, i);
            cJSON *spec = model_spec_json((enum model_kind) k, o), *alloc = model_alloc_json(m, (enum model_kind) k, o);
            char *spec_text = json_text(spec, false), *alloc_text = json_text(alloc, false);
            buf_printf(&out, "%s %s %llu %s %s\n", kind_name((enum model_kind) k), object_name((enum model_kind) k, o),
                       (unsigned long long) object_revision((enum model_kind) k, o), spec_text, alloc_text);
            free(spec_text);
            free(alloc_text);
            cJSON_Delete(spec);
            cJSON_Delete(alloc);
        }
    }
    return buf_steal_cstr(&out);
}

/* --- Invariants, checked without any index --- */

/* Networks and virtual switches, or VPCs' and slices' ports, in one array; free(). */
static void **all_of(const struct model *m, enum model_kind kind, enum model_kind other, unsigned *n)
{
    unsigned n_first = model_count(m, kind);
    *n = n_first + model_count(m, other);
    void **all = xcalloc(*n + 1, sizeof *all);
    for (unsigned i = 0; i < *n; i++) {
        all[i] = i < n_first ? model_at(m, kind, i) : model_at(m, other, i - n_first);
    }
    return all;
}

static void check_port(const struct model *m, const struct port *p)
{
    struct ip link_local = ip_link_local_eui64(p->mac);
    bool has_link_local = p->n_ips && p->ips[p->n_ips - 1].link_local;
    const struct network *n = p->network;
    CU_ASSERT_FATAL(!n->vpc != !n->slice && (has_link_local || n->slice));
    CU_ASSERT_FATAL(!has_link_local || ip_equal(&p->ips[p->n_ips - 1].ip, &link_local));
    CU_ASSERT_FATAL(!p->edge == !p->local && mac_u64(p->mac) && !mac_is_multicast(p->mac) && p->of_name[0]);
    CU_ASSERT_PTR_EQUAL_FATAL(model_port_by_id(m, p->id), p);
    CU_ASSERT_PTR_EQUAL_FATAL(network_port_by_number(n, p->number), p);
    CU_ASSERT_FATAL(n->slice ? p->number >= 1 && p->number <= PORT_MAX_NUMBER : p->number == p->id);
    CU_ASSERT_FATAL(!p->link || (n->slice && p->edge && !p->n_ips && !p->ofport_of[0] && p->link->slice == n->slice
                                 && (p->link->ends[0] == p || p->link->ends[1] == p)));
    bool landing = !p->edge, among_edges = !p->edge || n->vpc;
    for (unsigned i = 0; i < n->n_landings; i++) {
        landing |= n->landings[i].edge == p->edge;
    }
    for (unsigned i = 0; i < n->n_edges; i++) {
        among_edges |= n->edges[i] == p->edge;
    }
    CU_ASSERT_FATAL(landing && among_edges);
    for (unsigned i = 0; i < p->n_ips; i++) {
        CU_ASSERT_FATAL(!p->edge == !p->ips[i].slot);
    }
}

static void check_pair(const struct port *p, const struct port *q)
{
    CU_ASSERT_FATAL(p->id != q->id);
    if (p->network == q->network) {
        CU_ASSERT_FATAL(mac_u64(p->mac) != mac_u64(q->mac) && p->number != q->number);
        CU_ASSERT_FATAL(!p->network->slice || strcmp(p->of_name, q->of_name));
    }
    if (p->edge && p->edge == q->edge) {
        CU_ASSERT_FATAL(p->local != q->local && (!p->ofport_of[0] || strcmp(p->ofport_of, q->ofport_of)));
    }
    for (unsigned i = 0; i < p->n_ips; i++) {
        for (unsigned j = 0; j < q->n_ips; j++) {
            CU_ASSERT_FATAL(p->network != q->network || !ip_equal(&p->ips[i].ip, &q->ips[j].ip));
            CU_ASSERT_FATAL(!p->edge || p->edge != q->edge || ip_is_v4(&p->ips[i].ip) != ip_is_v4(&q->ips[j].ip) || p->ips[i].slot != q->ips[j].slot);
        }
    }
}

static void check_landings(const struct model *m, const struct network *n)
{
    unsigned n_ports, n_networks;
    void **ports = all_of(m, KIND_PORT, KIND_SWITCH_PORT, &n_ports), **networks = all_of(m, KIND_NETWORK, KIND_SWITCH, &n_networks);
    CU_ASSERT_PTR_EQUAL_FATAL(model_network_by_id(m, n->id), n);
    for (unsigned i = 0; i < n->n_landings; i++) {
        const struct network_landing *l = &n->landings[i];
        bool needed = false;
        CU_ASSERT_FATAL(l->landing && (!i || n->landings[i - 1].edge->index < l->edge->index));
        for (unsigned j = 0; j < n_ports; j++) {
            const struct port *p = ports[j];
            needed |= p->network == n && p->edge == l->edge;
            CU_ASSERT_FATAL(p->edge != l->edge || p->local != l->landing);
        }
        CU_ASSERT_FATAL(needed);
        for (unsigned j = 0; j < n_networks; j++) {
            const struct network *other = networks[j];
            for (unsigned k = 0; other != n && k < other->n_landings; k++) {
                CU_ASSERT_FATAL(other->landings[k].edge != l->edge || other->landings[k].landing != l->landing);
            }
        }
    }
    free(ports);
    free(networks);
}

static void check_slices(const struct model *m)
{
    unsigned n_switches = 0, n_links = 0;
    for (unsigned i = 0; i < model_count(m, KIND_SLICE); i++) {
        const struct slice *s = model_at(m, KIND_SLICE, i);
        n_switches += s->n_switches;
        n_links += s->n_links;
        for (unsigned j = 0; j < s->n_switches; j++) {
            const struct network *n = s->switches[j];
            CU_ASSERT_FATAL(n->slice == s && (!j || strcmp(s->switches[j - 1]->name, n->name) < 0) && n->n_edges && n->datapath_id);
            for (unsigned k = 0; k < j; k++) {
                CU_ASSERT_FATAL(s->switches[k]->datapath_id != n->datapath_id);
            }
            for (unsigned k = 1; k < n->n_edges; k++) {
                CU_ASSERT_FATAL(n->edges[k - 1]->index < n->edges[k]->index);
            }
        }
        for (unsigned j = 0; j < s->n_links; j++) {
            const struct vlink *l = s->links[j];
            CU_ASSERT_FATAL(l->slice == s && (!j || strcmp(s->links[j - 1]->name, l->name) < 0) && l->ends[0] != l->ends[1]);
            CU_ASSERT_FATAL(l->ends[0]->link == l && l->ends[1]->link == l && vlink_peer(l->ends[0]) == l->ends[1]);
        }
    }
    CU_ASSERT_FATAL(n_switches == model_count(m, KIND_SWITCH) && n_links == model_count(m, KIND_LINK));
}

void test_invariants(const struct model *m)
{
    unsigned n_ports, n_networks, in_networks = 0;
    void **ports = all_of(m, KIND_PORT, KIND_SWITCH_PORT, &n_ports), **networks = all_of(m, KIND_NETWORK, KIND_SWITCH, &n_networks);
    for (int k = 0; k < N_KINDS; k++) {
        for (unsigned i = 0; i < model_count(m, (enum model_kind) k); i++) {
            const char *name = object_name((enum model_kind) k, model_at(m, (enum model_kind) k, i));
            CU_ASSERT_PTR_EQUAL_FATAL(model_find(m, (enum model_kind) k, name), model_at(m, (enum model_kind) k, i));
            CU_ASSERT_FATAL(!i || strcmp(object_name((enum model_kind) k, model_at(m, (enum model_kind) k, i - 1)), name) < 0);
        }
    }
    for (unsigned i = 0; i < n_ports; i++) {
        check_port(m, ports[i]);
        for (unsigned j = 0; j < i; j++) {
            check_pair(ports[i], ports[j]);
        }
    }
    for (unsigned i = 0; i < n_networks; i++) {
        const struct network *n = networks[i];
        in_networks += n->n_ports;
        check_landings(m, n);
        for (unsigned j = 0; j < n->n_ports; j++) {
            CU_ASSERT_FATAL(n->ports[j]->network == n && (!j || strcmp(n->ports[j - 1]->name, n->ports[j]->name) < 0));
        }
    }
    CU_ASSERT_EQUAL_FATAL(in_networks, n_ports);
    check_slices(m);
    for (unsigned i = 0; i < model_count(m, KIND_EDGE); i++) {
        struct edge *e = model_at(m, KIND_EDGE, i);
        bool is_fabric = true;
        CU_ASSERT_FATAL(e->index && model_edge_by_index(m, e->index) == e);
        CU_ASSERT_FATAL(model_edge_by_datapath(m, e->datapath_id, &is_fabric) == e && !is_fabric);
    }
    free(ports);
    free(networks);
}

/* --- A store --- */

void test_store_init(struct test_store *s)
{
    *s = (struct test_store) { .next_port = 1, .next_network = 1 };
    for (int k = 0; k < N_KINDS; k++) {
        s->records[k] = cJSON_CreateObject();
    }
}

void test_store_fini(struct test_store *s)
{
    for (int k = 0; k < N_KINDS; k++) {
        cJSON_Delete(s->records[k]);
    }
}

void test_store_txn(struct test_store *s, const struct model_txn *t)
{
    unsigned n;
    const struct model_change *changes = model_txn_changes(t, &n);
    s->revision = model_txn_revision(t);
    model_txn_next_ids(t, &s->next_port, &s->next_network);
    for (unsigned i = 0; i < n; i++) {
        cJSON *records = s->records[changes[i].kind];
        cJSON_DeleteItemFromObjectCaseSensitive(records, changes[i].name);
        if (changes[i].action != MODEL_DELETE) {
            cJSON *o = json_add_object(records, changes[i].name);
            json_add_u64(o, "revision", s->revision);
            cJSON_AddItemToObject(o, "record", cJSON_Duplicate(changes[i].record, true));
        }
    }
}

struct model *test_store_load(const struct test_store *s, struct err *err)
{
    struct model *m = test_model_empty();
    for (unsigned k = 0; k < N_KINDS; k++) {
        for (const cJSON *o = s->records[model_load_order[k]]->child; o; o = o->next) {
            uint64_t revision = (uint64_t) cJSON_GetObjectItemCaseSensitive(o, "revision")->valuedouble;
            if (!model_load(m, model_load_order[k], o->string, revision, cJSON_GetObjectItemCaseSensitive(o, "record"), err)) {
                model_free(m);
                return NULL;
            }
        }
    }
    model_loaded(m, s->revision, s->next_port, s->next_network);
    return m;
}
