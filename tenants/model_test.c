#include "tenants/model.h"

#include <string.h>

#include "lib/buf.h"
#include "tenants/model_fixture.h"
#include "tests/unit.h"

#define PORT_A "{'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','ports':[{'name':'a',%s}]}]}]}"

/* A document with one port a of red/main/web, its members given. */
static int apply_a(struct model *m, const char *members, struct err *err)
{
    char *doc = xasprintf(PORT_A, members);
    int n = test_apply(m, doc, err);
    free(doc);
    return n;
}

static void test_defaults(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, "{'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','subnet6':'fd00:1::/64','ports':[{'name':'a'},"
                               "{'name':'b','edge':'e2'},{'name':'c','mac':'52:54:00:00:00:04'},{'name':'d'}]}]}]}", &err), 5);
    struct port *a = model_find(m, KIND_PORT, "red/main/web/a"), *b = model_find(m, KIND_PORT, "red/main/web/b"), *d = model_find(m, KIND_PORT, "red/main/web/d");
    char text[IP_STRLEN], device[33];
    CU_ASSERT_FATAL(a && b && d);
    CU_ASSERT_STRING_EQUAL(mac_format(a->mac, text), "52:54:00:00:00:01");
    CU_ASSERT_STRING_EQUAL(mac_format(d->mac, text), "52:54:00:00:00:05");                  /* c has the one of d's id. */
    CU_ASSERT_EQUAL(a->n_ips, 3);
    CU_ASSERT_STRING_EQUAL(ip_format(&a->ips[0].ip, text), "10.0.0.2");
    CU_ASSERT_STRING_EQUAL(ip_format(&a->ips[1].ip, text), "fd00:1::2");
    CU_ASSERT_STRING_EQUAL(ip_format(&a->ips[2].ip, text), "fe80::5054:ff:fe00:1");
    CU_ASSERT(!a->edge && !a->local && a->anti_spoofing && a->vhost_queues == 1 && !strcmp(a->vhost_role, "client"));
    CU_ASSERT(b->edge && b->local == 1 && b->network->n_landings == 1 && b->network->landings[0].landing == 2);
    CU_ASSERT(b->ips[0].slot == 1 && b->ips[1].slot == 1 && b->ips[2].slot == 2);
    CU_ASSERT_STRING_EQUAL(port_device_name(b, device), "p2");
    struct ip provider = model_provider_ip(m, b->edge, true, 1), provider6 = model_provider_ip(m, b->edge, false, 2);
    CU_ASSERT_STRING_EQUAL(ip_format(&provider, text), "100.64.32.1");
    CU_ASSERT_STRING_EQUAL(ip_format(&provider6, text), "fd64:706f:6c64:2::2");
    CU_ASSERT_EQUAL(provider_landing_mac(b->edge->index, 0, b->local), UINT64_C(0x020002000001));
    test_invariants(m);
    model_free(m);
}

static void test_update(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(apply_a(m, "'mac':'52:54:00:00:00:01','ips':['10.0.0.11'],'edge':'e1','anti_spoofing':false", &err), 1);
    struct port *a = model_find(m, KIND_PORT, "red/main/web/a");
    uint64_t revision = model_revision(m);
    CU_ASSERT_EQUAL(apply_a(m, "'edge':'e1'", &err), 0);                                    /* Nothing new. */
    CU_ASSERT_EQUAL(model_revision(m), revision);
    CU_ASSERT_EQUAL(apply_a(m, "'edge':'e2','ips':['10.0.0.12','10.0.0.11']", &err), 1);
    CU_ASSERT_PTR_EQUAL(model_find(m, KIND_PORT, "red/main/web/a"), a);
    CU_ASSERT(!strcmp(a->edge->name, "e2") && !a->anti_spoofing && a->revision == revision + 1 && a->n_ips == 3 && a->network->n_landings == 1);
    CU_ASSERT_EQUAL(apply_a(m, "'edge':null", &err), 1);
    CU_ASSERT(!a->edge && !a->local && a->network->n_landings == 0);
    test_invariants(m);
    /* Two ports swap their addresses in one document, and two edges their datapath ids. */
    CU_ASSERT_EQUAL(test_apply(m, "{'edges':[{'name':'e1','datapath_id':'0000000000000002'},{'name':'e2','datapath_id':'0000000000000001'}],"
                               "'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','ports':[{'name':'b',"
                                   "'mac':'52:54:00:00:00:09','ips':['10.0.0.19']}]}]}]}", &err), 3);
    CU_ASSERT_EQUAL(test_apply(m, "{'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','ports':[{'name':'a','mac':'52:54:00:00:00:09','ips':['10.0.0.19']},"
                               "{'name':'b','mac':'52:54:00:00:00:01','ips':['10.0.0.12','10.0.0.11']}]}]}]}", &err), 2);
    test_invariants(m);
    model_free(m);
}

/* What a document may not say, and where the error points. */
static void test_refusals(void)
{
#define NETWORKS(TEXT) "{'vpcs':[{'name':'main','tenant':'red','networks':[" TEXT "]}]}"
#define PORTS(TEXT) NETWORKS("{'name':'web','ports':[" TEXT "]}")
    static const struct { const char *doc, *field, *message; enum err_code code; } cases[] = {
        { "[]", "", "must be an object", ERR_INVALID },
        { "{'vpc':[]}", "vpc", "unknown key", ERR_INVALID },
        { "{'vpcs':{}}", "vpcs", "must be an array", ERR_INVALID },
        { "{'vpcs':[3]}", "vpcs[0]", "must be an object", ERR_INVALID },
        { "{'edges':[{'name':'e3'}]}", "edges[0].datapath_id", "is required", ERR_INVALID },
        { "{'edges':[{'name':'e3','datapath_id':1}]}", "edges[0].datapath_id", "must be a string", ERR_INVALID },
        { "{'edges':[{'name':'e3','datapath_id':'1'}]}", "edges[0].datapath_id", "1 is not a datapath id", ERR_INVALID },
        { "{'edges':[{'name':'e3','datapath_id':'0000000000000001'}]}", "edges[0].datapath_id", "0000000000000001 is edge e1's already", ERR_CONFLICT },
        { "{'fabric_switches':[{'name':'f','datapath_id':'0000000000000001'}]}", "fabric_switches[0].datapath_id", "is edge e1's already", ERR_CONFLICT },
        { "{'fabric_switches':[{'name':'e1','datapath_id':'0000000000000009'}]}", "fabric_switches[0].name", "is the name of an edge already", ERR_CONFLICT },
        { "{'edges':[{'name':'e3','datapath_id':'0000000000000003'},{'name':'e3','datapath_id':'0000000000000004'}]}", "edges[1]", "in the document twice", ERR_INVALID },
        { "{'tenants':[{'name':'Red'}]}", "tenants[0].name", "Red is not a name", ERR_INVALID },
        { "{'tenants':[{'name':'a','quota':{'port':1}}]}", "tenants[0].quota.port", "unknown key", ERR_INVALID },
        { "{'tenants':[{'name':'red','quota':{'networks':0}}]}", "tenants[0].quota.networks", "has 1 networks already", ERR_CONFLICT },
        { "{'vpcs':[{'name':'x','tenant':'green'}]}", "vpcs[0].tenant", "there is no tenant green", ERR_INVALID },
        { "{'vpcs':[{'name':'x'}]}", "vpcs[0].tenant", "is required", ERR_INVALID },
        { NETWORKS("{'name':'n'}"), "vpcs[0].networks[0]", "has no subnet", ERR_INVALID },
        { NETWORKS("{'name':'web'},{'name':'n','subnet':'10.1.0.0/33'}"), "vpcs[0].networks[1].subnet", "10.1.0.0/33 is not a prefix", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet':'10.1.0.1/24'}"), "vpcs[0].networks[0].subnet", "10.1.0.1/24 is not a prefix", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet':'10.1.0.1/32'}"), "vpcs[0].networks[0].subnet", "no room for hosts", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet':'fd00::/64'}"), "vpcs[0].networks[0].subnet", "is not an IPv4 prefix", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet6':'10.1.0.0/24'}"), "vpcs[0].networks[0].subnet6", "is not an IPv6 prefix", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet':'224.0.0.0/8'}"), "vpcs[0].networks[0].subnet", "overlaps 224.0.0.0/3", ERR_INVALID },
        { NETWORKS("{'name':'n','subnet':'10.0.0.128/25'}"), "vpcs[0].networks[0].subnet", "overlaps 10.0.0.0/24 of network red/main/web", ERR_CONFLICT },
        { NETWORKS("{'name':'web','subnet':'10.0.1.0/24'}"), "vpcs[0].networks[0].subnet", "port red/main/web/z has 10.0.0.99, which is outside", ERR_CONFLICT },
        { PORTS("{'name':'a','mac':'52:54'}"), "vpcs[0].networks[0].ports[0].mac", "52:54 is not a MAC address", ERR_INVALID },
        { PORTS("{'name':'a','mac':'01:00:5e:00:00:01'}"), "vpcs[0].networks[0].ports[0].mac", "is a multicast address", ERR_INVALID },
        { PORTS("{'name':'a','mac':'00:00:00:00:00:00'}"), "vpcs[0].networks[0].ports[0].mac", "is all zeros", ERR_INVALID },
        { PORTS("{'name':'a','mac':'52:54:00:00:00:99'}"), "vpcs[0].networks[0].ports[0].mac", "is port red/main/web/z's already", ERR_CONFLICT },
        { PORTS("{'name':'a','ips':['10.0.0.0']}"), "vpcs[0].networks[0].ports[0].ips[0]", "is the network address", ERR_INVALID },
        { PORTS("{'name':'a','ips':['10.0.0.255']}"), "vpcs[0].networks[0].ports[0].ips[0]", "is the broadcast address", ERR_INVALID },
        { PORTS("{'name':'a','ips':['10.0.0.5','10.0.1.5']}"), "vpcs[0].networks[0].ports[0].ips[1]", "is outside of the network's subnet", ERR_INVALID },
        { PORTS("{'name':'a','ips':['fd00::5']}"), "vpcs[0].networks[0].ports[0].ips[0]", "is outside of the network's subnet6", ERR_INVALID },
        { PORTS("{'name':'a','ips':['10.0.0.5','10.0.0.5']}"), "vpcs[0].networks[0].ports[0].ips[1]", "is given twice", ERR_INVALID },
        { PORTS("{'name':'a','ips':['10.0.0.5']},{'name':'b','ips':['10.0.0.6','10.0.0.5']}"), "vpcs[0].networks[0].ports[1].ips[1]",
            "is port red/main/web/a's already", ERR_CONFLICT },
        { PORTS("{'name':'a','edge':'e9'}"), "vpcs[0].networks[0].ports[0].edge", "there is no edge e9", ERR_INVALID },
        { PORTS("{'name':'a','vhost':{'role':'both'}}"), "vpcs[0].networks[0].ports[0].vhost.role", "is neither client nor server", ERR_INVALID },
        { PORTS("{'name':'a','ofport_of':'vm1'}"), "vpcs[0].networks[0].ports[0].ofport_of", "needs an edge", ERR_INVALID },
        { PORTS("{'name':'a','edge':'e1','ofport_of':'p7'}"), "vpcs[0].networks[0].ports[0].ofport_of", "controllerd's own", ERR_INVALID },
        { PORTS("{'name':'a','edge':'e1','ofport_of':'vm1'},{'name':'b','edge':'e1','ofport_of':'vm1'}"), "vpcs[0].networks[0].ports[1].ofport_of",
            "is port red/main/web/a's already", ERR_CONFLICT },
        { PORTS("{'name':'a','anti_spoofing':'yes'}"), "vpcs[0].networks[0].ports[0].anti_spoofing", "must be true or false", ERR_INVALID },
    };
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'z','mac':'52:54:00:00:00:99','ips':['10.0.0.99'],'edge':'e1'}"), &err), 1);
    char *before = test_dump(m);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int n = test_apply(m, cases[i].doc, &err);
        if (n != -1 || strcmp(err.field, cases[i].field) || !strstr(err.message, cases[i].message) || err.code != cases[i].code) {
            fprintf(stderr, "\n%s\n -> %d %s | %s | %s\n", cases[i].doc, n, err_code_name(err.code), err.field, err.message);
            CU_FAIL("refusal");
        }
    }
    char *after = test_dump(m);
    CU_ASSERT_STRING_EQUAL(before, after);
    test_invariants(m);
    free(before);
    free(after);
    model_free(m);
}

static void test_tenant_rights(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply_as(m, "{'vpcs':[{'name':'main','networks':[{'name':'web','ports':[{'name':'a','edge':'e1'}]}]}]}", "red", &err), 1);
    CU_ASSERT_EQUAL(test_apply_as(m, "{'vpcs':[{'name':'main','tenant':'blue','networks':[{'name':'web','ports':[{'name':'a'}]}]}]}", "red", &err), -1);
    CU_ASSERT(err.code == ERR_DENIED && !strcmp(err.field, "vpcs[0].tenant"));
    CU_ASSERT_EQUAL(test_apply_as(m, "{'tenants':[{'name':'red','quota':{'ports':7}}]}", "red", &err), -1);
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    CU_ASSERT_EQUAL(test_apply_as(m, "{'edges':[]}", "red", &err), -1);
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    CU_ASSERT_EQUAL(test_apply_as(m, "{'vpcs':[{'name':'main','networks':[{'name':'web','ports':[{'name':'a','edge':'e1','ofport_of':'uplink0'}]}]}]}", "red", &err), -1);
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    CU_ASSERT_PTR_NULL(model_delete(m, KIND_NETWORK, "blue/main/web", "red", 0, &err));
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    CU_ASSERT_PTR_NULL(model_delete(m, KIND_EDGE, "e1", "red", 0, &err));
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    struct model_txn *t = model_delete(m, KIND_PORT, "red/main/web/a", "red", 0, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    model_txn_commit(t);
    model_free(m);
}

static void test_quotas(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'ports':2,'networks':2,'vpcs':1}}]}", &err), 1);
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'a'},{'name':'b'},{'name':'c'}"), &err), -1);
    CU_ASSERT(err.code == ERR_CONFLICT && !strcmp(err.field, "vpcs[0].networks[0].ports[2]"));
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'a'},{'name':'b'}"), &err), 2);            /* The failed attempt used nothing up. */
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'c'}"), &err), -1);
    CU_ASSERT_EQUAL(test_delete(m, KIND_PORT, "red/main/web/a", &err), 1);
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'c'}"), &err), 1);
    CU_ASSERT_EQUAL(test_apply(m, "{'vpcs':[{'name':'two','tenant':'red'}]}", &err), -1);
    CU_ASSERT_EQUAL(test_apply(m, NETWORKS("{'name':'n2','subnet':'10.2.0.0/24'},{'name':'n3','subnet':'10.3.0.0/24'}"), &err), -1);
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'ports':3}}],'vpcs':[{'name':'main','tenant':'red',"
        "'networks':[{'name':'web','ports':[{'name':'d'}]}]}]}", &err), 2);
    model_free(m);
}

static void test_deletes(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'a','edge':'e1','mac':'52:54:00:00:00:09'}"), &err), 1);
    static const struct { enum model_kind kind; const char *name, *message; enum err_code code; } refused[] = {
        { KIND_TENANT, "red", "still has 1 vpc, red/main", ERR_CONFLICT }, { KIND_VPC, "red/main", "still has 1 network, red/main/web", ERR_CONFLICT },
        { KIND_NETWORK, "red/main/web", "still has 1 port, red/main/web/a", ERR_CONFLICT }, { KIND_EDGE, "e1", "still has 1 port, red/main/web/a", ERR_CONFLICT },
        { KIND_PORT, "red/main/web/x", "there is no port red/main/web/x", ERR_NOT_FOUND },
    };
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        CU_ASSERT_EQUAL(test_delete(m, refused[i].kind, refused[i].name, &err), -1);
        CU_ASSERT(err.code == refused[i].code && strstr(err.message, refused[i].message));
    }
    CU_ASSERT_PTR_NULL(model_delete(m, KIND_PORT, "red/main/web/a", NULL, 1, &err));
    CU_ASSERT_EQUAL(err.code, ERR_CONFLICT);
    struct port *a = model_find(m, KIND_PORT, "red/main/web/a");
    uint32_t id = a->id, network_id = a->network->id;
    struct model_txn *t = model_delete(m, KIND_PORT, "red/main/web/a", NULL, a->revision, &err);
    unsigned n;
    const uint32_t *networks = model_txn_networks(t, &n);
    CU_ASSERT(n == 1 && networks[0] == network_id);
    CU_ASSERT_PTR_EQUAL(model_find(m, KIND_PORT, "red/main/web/a"), a);                     /* Readers still see it. */
    model_txn_commit(t);
    CU_ASSERT_PTR_NULL(model_find(m, KIND_PORT, "red/main/web/a"));
    CU_ASSERT_PTR_NULL(model_port_by_id(m, id));
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'a','edge':'e1','mac':'52:54:00:00:00:09'}"), &err), 1);
    a = model_find(m, KIND_PORT, "red/main/web/a");
    CU_ASSERT(a->id == id + 1 && a->local == 1);                                            /* Ids are not reused, edge numbers are. */
    static const struct { enum model_kind kind; const char *name; } order[] = {
        { KIND_PORT, "red/main/web/a" }, { KIND_NETWORK, "red/main/web" }, { KIND_VPC, "red/main" }, { KIND_TENANT, "red" }, { KIND_EDGE, "e1" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        CU_ASSERT_EQUAL(test_delete(m, order[i].kind, order[i].name, &err), 1);
        test_invariants(m);
    }
    bool is_fabric;
    CU_ASSERT_PTR_NULL(model_edge_by_datapath(m, 1, &is_fabric));
    CU_ASSERT_PTR_NULL(model_edge_by_index(m, 1));
    model_free(m);
}

/* Until commit a reader sees the old revision, whatever the transaction holds. */
static void test_isolation(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, PORTS("{'name':'a','edge':'e1'}"), &err), 1);
    char *before = test_dump(m);
    cJSON *doc = test_json("{'edges':[{'name':'e3','datapath_id':'0000000000000003'},{'name':'e1','datapath_id':'0000000000000011'}],'tenants':[{'name':'new'}],"
                           "'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','subnet6':'fd00::/64','ports':[{'name':'a','edge':'e3'},{'name':'b','edge':'e3'}]},"
                           "{'name':'db','subnet':'10.9.0.0/24'}]}]}");
    bool is_fabric;
    for (int round = 0; round < 2; round++) {
        struct model_txn *t = model_apply(m, doc, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        char *during = test_dump(m);
        CU_ASSERT_STRING_EQUAL(before, during);
        free(during);
        CU_ASSERT_PTR_NULL(model_find(m, KIND_EDGE, "e3"));
        CU_ASSERT_PTR_NULL(model_edge_by_datapath(m, 3, &is_fabric));
        CU_ASSERT_PTR_NULL(model_edge_by_datapath(m, 0x11, &is_fabric));
        CU_ASSERT_PTR_NOT_NULL(model_edge_by_datapath(m, 1, &is_fabric));
        CU_ASSERT_PTR_NULL(model_edge_by_index(m, 3));
        unsigned n;
        model_txn_changes(t, &n);
        CU_ASSERT_EQUAL(n, 7);
        CU_ASSERT(model_txn_substrate_changed(t));
        if (round == 0) {
            model_txn_abort(t);
            char *after = test_dump(m);
            CU_ASSERT_STRING_EQUAL(before, after);
            test_invariants(m);
            free(after);
        } else {
            model_txn_commit(t);
        }
    }
    CU_ASSERT_PTR_NOT_NULL(model_edge_by_datapath(m, 0x11, &is_fabric));
    CU_ASSERT_EQUAL(((struct port *) model_find(m, KIND_PORT, "red/main/web/b"))->id, 2);   /* The abort gave the id back. */
    test_invariants(m);
    cJSON_Delete(doc);
    free(before);
    model_free(m);
}

static void test_exhaustion(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, NETWORKS("{'name':'tiny','subnet':'10.5.0.0/30','ports':[{'name':'a'}]}"), &err), 2);
    CU_ASSERT_EQUAL(test_apply(m, NETWORKS("{'name':'tiny','ports':[{'name':'b'}]}"), &err), -1);
    CU_ASSERT(err.code == ERR_CONFLICT && strstr(err.message, "10.5.0.0/30 has no free address left"));
    CU_ASSERT_EQUAL(test_apply(m, NETWORKS("{'name':'tiny','ports':[{'name':'b','ips':['10.5.0.1']}]}"), &err), 1);
    CU_ASSERT_EQUAL(test_delete(m, KIND_PORT, "red/main/tiny/a", &err), 1);
    CU_ASSERT_EQUAL(test_apply(m, NETWORKS("{'name':'tiny','ports':[{'name':'c'}]}"), &err), 1);
    model_free(m);
}

static void test_bad_records(void)
{
    static const struct { enum model_kind kind; const char *name, *record; } bad[] = {
        { KIND_EDGE, "e1", "{'name':'e1','datapath_id':'0000000000000009','index':9}" },
        { KIND_EDGE, "e9", "{'name':'e9','datapath_id':'0000000000000001','index':9}" },
        { KIND_EDGE, "e9", "{'name':'e9','datapath_id':'0000000000000009','index':1}" },
        { KIND_EDGE, "e9", "{'name':'e8','datapath_id':'0000000000000009','index':9}" },
        { KIND_VPC, "green/v", "{'name':'v','tenant':'green'}" },
        { KIND_VPC, "v", "{'name':'v','tenant':'red'}" },
        { KIND_NETWORK, "red/main/n", "{'name':'n','subnet':'10.8.0.0/24','id':1}" },
        { KIND_NETWORK, "red/main/n", "{'name':'n','subnet':'10.8.0.0/24'}" },
        { KIND_PORT, "red/main/web/a", "{'name':'a','id':7,'ips':[],'mac':'52:54:00:00:00:01','edge':'e1','local':1,'landing':1,'slots':[1]}" },
        { KIND_PORT, "red/main/web/a", "{'name':'a','id':7,'ips':[],'mac':'52:54:00:00:00:01','edge':'e1','local':1,'landing':2,'slots':[]}" },
        { KIND_PORT, "red/main/web/a", "{'name':'a','id':7,'ips':['10.9.9.9'],'mac':'52:54:00:00:00:01'}" },
        { KIND_PORT, "red/main/web/a", "{'name':'a','id':7,'ips':[],'mac':'52:54:00:00:00:01','extra':1}" },
        { KIND_PORT, "red/main/web/a", "3" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct model *m = test_model();
        cJSON *record = test_json(bad[i].record);
        struct err err;
        CU_ASSERT(!model_load(m, bad[i].kind, bad[i].name, 1, record, &err));
        if (err.code != ERR_INVALID || !strstr(err.field, bad[i].name)) {
            fprintf(stderr, "%s: %d %s %s\n", bad[i].record, err.code, err.field, err.message);
            CU_FAIL("bad record");
        }
        cJSON_Delete(record);
        model_free(m);
    }
}

static char *many_ports(unsigned first, unsigned n)
{
    struct buf b = BUF_INIT;
    buf_puts(&b, "{'tenants':[{'name':'red','quota':{'ports':1000000}}],'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'big','subnet':'10.128.0.0/9','ports':[");
    for (unsigned i = first; i < first + n; i++) {
        buf_printf(&b, "%s{'name':'p%u'%s}", i > first ? "," : "", i, i % 25 ? "" : ",'edge':'e1'");
    }
    buf_puts(&b, "]}]}]}");
    return buf_steal_cstr(&b);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

/* Nothing quadratic: figures are printed, and the bounds are wide enough for sanitizers. */
static void test_scale(void)
{
    struct model *m = test_model();
    struct err err;
    char *doc = many_ports(0, 10000);
    double start = seconds();
    CU_ASSERT_EQUAL(test_apply(m, doc, &err), 10002);
    double ten_thousand = seconds() - start;
    start = seconds();
    CU_ASSERT_EQUAL(test_apply(m, doc, &err), 0);
    double again = seconds() - start;
    free(doc);
    doc = many_ports(10000, 90000);
    CU_ASSERT_EQUAL(test_apply(m, doc, &err), 90000);
    free(doc);
    double one = 0;
    for (unsigned i = 0; i < 20; i++) {
        doc = many_ports(100000 + i, 1);
        start = seconds();
        CU_ASSERT_EQUAL(test_apply(m, doc, &err), 1);
        one += (seconds() - start) / 20;
        free(doc);
    }
    printf("\n    10,000 ports %.0f ms, again %.0f ms, one more to 100,000 %.2f ms\n", ten_thousand * 1e3, again * 1e3, one * 1e3);
    CU_ASSERT(ten_thousand < 5 && again < 3 && one < 0.1);
    model_free(m);
}

void model_test_suite(void);
void model_test_suite(void)
{
    UNIT_SUITE("model", { "defaults", test_defaults }, { "updates", test_update }, { "refusals", test_refusals }, { "rights of tenants", test_tenant_rights },
               { "quotas", test_quotas }, { "deletes", test_deletes }, { "isolation of a transaction", test_isolation }, { "exhaustion", test_exhaustion },
               { "bad records", test_bad_records }, { "scale", test_scale });
}
