/* Slices: switches, ports and links of a tenant's own; what documents may say, what is allocated, what goes with what. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_fixture.h"
#include "tenants/yaml.h"
#include "tests/unit.h"

/* Two switches, one a big one over both edges, with ports and two links between them. */
#define LAB "{'slices':[{'name':'lab','tenant':'red','controllers':['tcp:192.0.2.9:6653'],'switches':[" \
    "{'name':'s1','datapath_id':'00000000000000a1','edges':['e1'],'listen':['ptcp:7001:127.0.0.1'],'ports':[{'name':'a','number':5},{'name':'b','mac':'52:54:00:00:00:0b'}]}," \
    "{'name':'s2','edges':['e2','e1'],'ports':[{'name':'a','edge':'e2','ips':['10.0.0.1'],'of_name':'eth0'}]}]," \
    "'links':[{'name':'l1','ends':['s1/up','s2/down']},{'name':'l2','ends':[{'switch':'s1','port':'up2','number':9},{'switch':'s2','port':'down2','edge':'e2'}]}]}]}"

static struct model *lab(void)
{
    struct model *m = test_model();
    struct err err;
    int n = test_apply(m, LAB, &err);
    if (n != 12) {
        fprintf(stderr, "%d: %s: %s\n", n, err.field, err.message);
    }
    CU_ASSERT_EQUAL_FATAL(n, 12);       /* A slice, 2 switches, 3 + 4 ports, 2 links. */
    test_invariants(m);
    return m;
}

static void test_create(void)
{
    struct model *m = lab();
    const struct slice *s = model_find(m, KIND_SLICE, "red/lab");
    const struct network *s1 = model_find(m, KIND_SWITCH, "red/lab/s1"), *s2 = model_find(m, KIND_SWITCH, "red/lab/s2");
    CU_ASSERT_FATAL(s && s1 && s2);
    CU_ASSERT(s->n_switches == 2 && s->switches[0] == s1 && s->switches[1] == s2 && s->n_links == 2);
    CU_ASSERT(s->n_controllers == 1 && !strcmp(s->controllers[0], "tcp:192.0.2.9:6653"));
    CU_ASSERT(!s1->vpc && s1->slice == s && s1->datapath_id == 0xa1 && s2->datapath_id == s2->id);
    CU_ASSERT(s1->n_listen == 1 && !strcmp(s1->listen[0], "ptcp:7001:127.0.0.1"));
    CU_ASSERT(s1->n_ports == 4 && s2->n_ports == 3 && s2->n_edges == 2 && !strcmp(s2->edges[0]->name, "e1"));
    const struct port *a = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/a"), *b = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/b");
    const struct port *up = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/up"), *up2 = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/up2");
    CU_ASSERT_FATAL(a && b && up && up2);
    CU_ASSERT(a->number == 5 && b->number == 1 && up->number == 2 && up2->number == 9);
    CU_ASSERT_PTR_EQUAL(network_port_by_number(s1, 9), up2);
    CU_ASSERT_PTR_NULL(network_port_by_number(s1, 3));
    CU_ASSERT(!strcmp(a->edge->name, "e1") && a->local && !a->anti_spoofing && !a->n_ips && b->n_ips == 1 && b->ips[0].link_local);
    const struct vlink *l1 = model_find(m, KIND_LINK, "red/lab/l1"), *l2 = model_find(m, KIND_LINK, "red/lab/l2");
    CU_ASSERT(up->link == l1 && l1->ends[0] == up && vlink_peer(up)->network == s2 && vlink_peer(up)->link == l1 && up->local && !up->n_ips);
    CU_ASSERT(!strcmp(l1->ends[1]->edge->name, "e1") && !strcmp(l2->ends[1]->edge->name, "e2"));
    CU_ASSERT(mac_u64(up->mac) == (UINT64_C(0x0e5000000000) | up->id) && mac_u64(b->mac) == UINT64_C(0x52540000000b));
    const struct port *far = model_find(m, KIND_SWITCH_PORT, "red/lab/s2/a");
    CU_ASSERT(!strcmp(far->of_name, "eth0") && far->n_ips == 1 && !far->ips[0].link_local && far->ips[0].slot);
    CU_ASSERT_PTR_EQUAL(model_network_by_id(m, s2->id), s2);
    CU_ASSERT_PTR_EQUAL(model_port_by_id(m, up->id), up);
    model_free(m);
}

static void test_delete_with_content(void)
{
    struct model *m = lab();
    struct err err;
    /* A link takes its two ports along, and no other. */
    CU_ASSERT_EQUAL(test_delete(m, KIND_SWITCH_PORT, "red/lab/s1/up", &err), -1);
    CU_ASSERT(err.code == ERR_CONFLICT && strstr(err.message, "red/lab/l1") && strstr(err.hint, "delete the link"));
    CU_ASSERT_EQUAL(test_delete(m, KIND_LINK, "red/lab/l1", &err), 3);
    CU_ASSERT(!model_find(m, KIND_SWITCH_PORT, "red/lab/s1/up") && !model_find(m, KIND_SWITCH_PORT, "red/lab/s2/down"));
    test_invariants(m);
    /* A switch its ports and the links that end there, with the ports at their far ends. */
    struct model_txn *t = model_delete(m, KIND_SWITCH, "red/lab/s2", NULL, 0, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    unsigned n_networks, n_slices, n;
    model_txn_changes(t, &n);
    model_txn_networks(t, &n_networks);
    const char *const *slices = model_txn_slices(t, &n_slices);
    CU_ASSERT(n == 5 && n_networks == 2 && n_slices == 1 && !strcmp(slices[0], "red/lab"));
    model_txn_commit(t);
    CU_ASSERT(model_count(m, KIND_LINK) == 0 && model_count(m, KIND_SWITCH) == 1 && model_count(m, KIND_SWITCH_PORT) == 2);
    test_invariants(m);
    /* What a tenant has keeps it; a slice goes as a whole, and then the edge is free. */
    CU_ASSERT_EQUAL(test_delete(m, KIND_EDGE, "e1", &err), -1);
    CU_ASSERT(err.code == ERR_CONFLICT && strstr(err.message, "red/lab/s1/a"));
    CU_ASSERT_EQUAL(test_delete(m, KIND_SLICE, "red/lab", &err), 4);
    CU_ASSERT(model_count(m, KIND_SLICE) + model_count(m, KIND_SWITCH) + model_count(m, KIND_SWITCH_PORT) == 0);
    CU_ASSERT_EQUAL(test_delete(m, KIND_EDGE, "e1", &err), 1);
    test_invariants(m);
    model_free(m);
}

static void test_store(void)
{
    struct model *m = test_model_empty();
    struct test_store store;
    struct err err;
    test_store_init(&store);
    static const char *const docs[] = {
        "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}],'tenants':[{'name':'red'}]}", LAB };
    for (unsigned i = 0; i < ARRAY_SIZE(docs); i++) {
        cJSON *doc = test_json(docs[i]);
        struct model_txn *t = model_apply(m, doc, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        test_store_txn(&store, t);
        model_txn_commit(t);
        cJSON_Delete(doc);
    }
    struct model *again = test_store_load(&store, &err);
    if (!again) {
        fprintf(stderr, "%s: %s\n", err.field, err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    char *a = test_dump(m), *b = test_dump(again);
    CU_ASSERT_STRING_EQUAL(a, b);
    test_invariants(again);
    CU_ASSERT_EQUAL(test_apply(again, LAB, &err), 0);           /* The same again changes nothing. */
    free(a);
    free(b);
    test_store_fini(&store);
    model_free(again);
    model_free(m);
}

/* --- What a document may not say, and where the error points --- */

#define SLICE(TEXT) "{'slices':[{'name':'lab','tenant':'red'," TEXT "}]}"
#define SWITCHES(TEXT) SLICE("'switches':[" TEXT "]")
#define S1(TEXT) SWITCHES("{'name':'s1'," TEXT "}")
#define PORTS(TEXT) S1("'ports':[" TEXT "]")
#define NEW_SWITCH(TEXT) SWITCHES("{'name':'s3','edges':['e1']," TEXT "}")
#define LINKS(TEXT) SLICE("'links':[" TEXT "]")
#define S "slices[0].switches[0]"

static const struct refusal { const char *doc, *field, *message; enum err_code code; } refusals[] = {
    { "{'slices':{}}", "slices", "must be an array", ERR_INVALID },
    { "{'slices':[{'tenant':'red'}]}", "slices[0].name", "is required", ERR_INVALID },
    { "{'slices':[{'name':'x'}]}", "slices[0].tenant", "is required", ERR_INVALID },
    { "{'slices':[{'name':'x','tenant':'green'}]}", "slices[0].tenant", "there is no tenant green", ERR_INVALID },
    { "{'slices':[{'name':'main','tenant':'red'}]}", "slices[0].name", "red/main is a VPC already", ERR_CONFLICT },
    { "{'vpcs':[{'name':'lab','tenant':'red'}]}", "vpcs[0].name", "red/lab is a slice already", ERR_CONFLICT },
    { SLICE("'networks':[]"), "slices[0].networks", "unknown key", ERR_INVALID },
    { SLICE("'controllers':['192.0.2.1:6653']"), "slices[0].controllers[0]", "not a target to connect to", ERR_INVALID },
    { SLICE("'controllers':['tcp:192.0.2.1:6653','tcp:192.0.2.1:6653']"), "slices[0].controllers[1]", "is given twice", ERR_INVALID },
    { SLICE("'controllers':'tcp:192.0.2.1:6653'"), "slices[0].controllers", "must be an array", ERR_INVALID },
    { SLICE("'edges':['e9']"), "slices[0].edges[0]", "there is no edge e9", ERR_INVALID },
    { SLICE("'topology':'ring'"), "slices[0].topology", "none that is known", ERR_INVALID },
    { SLICE("'topology':'mirror','edges':['e1']"), "slices[0].topology", "needs to know the physical links", ERR_INVALID },
    { SLICE("'topology':'one-switch','switches':[{'name':'s1'},{'name':'s2'}]"), "slices[0].switches", "are 2", ERR_INVALID },
    { SWITCHES("{'name':'S1'}"), S ".name", "is not a name", ERR_INVALID },
    { SWITCHES("{'name':'s3'}"), S ".edges", "is required", ERR_INVALID },
    { S1("'edges':[]"), S ".edges", "names no edge", ERR_INVALID },
    { S1("'edges':['e1','e1']"), S ".edges", "names edge e1 twice", ERR_INVALID },
    { S1("'edges':['e2']"), S ".edges", "port red/lab/s1/a is on e1", ERR_CONFLICT },
    { S1("'datapath_id':'a1'"), S ".datapath_id", "is not a datapath id", ERR_INVALID },
    { S1("'datapath_id':null"), S ".datapath_id", "cannot be taken away", ERR_INVALID },
    { S1("'datapath_id':'00000000000000a2'"), S ".datapath_id", "is 00000000000000a1, and stays so", ERR_CONFLICT },
    { NEW_SWITCH("'datapath_id':'00000000000000a1'"), S ".datapath_id", "is switch red/lab/s1's already", ERR_CONFLICT },
    { NEW_SWITCH("'listen':['ptcp:7001:127.0.0.1']"), S ".listen[0]", "is taken by red/lab/s1", ERR_CONFLICT },
    { NEW_SWITCH("'listen':['tcp:127.0.0.1:7001']"), S ".listen[0]", "is taken by red/lab/s1", ERR_CONFLICT },
    { NEW_SWITCH("'listen':['ptcp:x']"), S ".listen[0]", "the port is not a number", ERR_INVALID },
    { NEW_SWITCH("'listen':['ptcp:0']"), S ".listen[0]", "has no port", ERR_INVALID },
    { S1("'quota':{'tables':0}"), S ".quota.tables", "", ERR_INVALID },
    { S1("'quota':{'tables':225}"), S ".quota.tables", "", ERR_INVALID },
    { S1("'quota':{'flow':1}"), S ".quota.flow", "unknown key", ERR_INVALID },
    { S1("'subnet':'10.0.0.0/24'"), S ".subnet", "unknown key", ERR_INVALID },
    { PORTS("{'number':1}"), S ".ports[0].name", "is required", ERR_INVALID },
    { PORTS("{'name':'c','number':0}"), S ".ports[0].number", "", ERR_INVALID },
    { PORTS("{'name':'c','number':65280}"), S ".ports[0].number", "", ERR_INVALID },
    { PORTS("{'name':'c','number':5}"), S ".ports[0].number", "5 is port red/lab/s1/a's already", ERR_CONFLICT },
    { PORTS("{'name':'c','number':7},{'name':'d','number':7}"), S ".ports[1].number", "7 is port red/lab/s1/c's already", ERR_CONFLICT },
    { PORTS("{'name':'a','number':6}"), S ".ports[0].number", "has number 5, and keeps it", ERR_CONFLICT },
    { PORTS("{'name':'c','of_name':'b'}"), S ".ports[0].of_name", "b is port red/lab/s1/b's already", ERR_CONFLICT },
    { PORTS("{'name':'c','of_name':'0123456789abcdef'}"), S ".ports[0].of_name", "is not the name of a port", ERR_INVALID },
    { PORTS("{'name':'c','mac':'52:54:00:00:00:0b'}"), S ".ports[0].mac", "is port red/lab/s1/b's already", ERR_CONFLICT },
    { PORTS("{'name':'c','mac':'01:00:00:00:00:0b'}"), S ".ports[0].mac", "is a multicast address", ERR_INVALID },
    { PORTS("{'name':'c','ips':['224.0.0.1']}"), S ".ports[0].ips[0]", "is a multicast address", ERR_INVALID },
    { PORTS("{'name':'c','ips':['10.0.0.1','fe80::1']}"), S ".ports[0].ips[1]", "is a link-local address", ERR_INVALID },
    { PORTS("{'name':'c','edge':'e9'}"), S ".ports[0].edge", "there is no edge e9", ERR_INVALID },
    { PORTS("{'name':'c','edge':'e2'}"), S ".ports[0].edge", "e2 is not among the edges of switch red/lab/s1", ERR_CONFLICT },
    { SWITCHES("{'name':'s2','ports':[{'name':'c'}]}"), S ".ports[0].edge", "is required: the switch is on 2 edges", ERR_INVALID },
    { PORTS("{'name':'up','edge':null}"), S ".ports[0].edge", "an end of a virtual link is on an edge", ERR_INVALID },
    { PORTS("{'name':'up','ips':['10.0.0.9']}"), S ".ports[0].ips", "has no device and no address", ERR_INVALID },
    { PORTS("{'name':'up','mac':'52:54:00:00:00:99'}"), S ".ports[0].mac", "has no device and no address", ERR_INVALID },
    { PORTS("{'name':'up','ofport_of':'eth1'}"), S ".ports[0].ofport_of", "has no device and no address", ERR_INVALID },
    { PORTS("{'name':'up','vhost':{'queues':2}}"), S ".ports[0].vhost", "has no device and no address", ERR_INVALID },
    { PORTS("{'name':'c','edge':null,'ofport_of':'eth1'}"), S ".ports[0].ofport_of", "needs an edge", ERR_INVALID },
    { PORTS("{'name':'c','ofport_of':'eth1'},{'name':'d','ofport_of':'eth1'}"), S ".ports[1].ofport_of", "eth1 is port red/lab/s1/c's already", ERR_CONFLICT },
    { PORTS("{'name':'c'},{'name':'c'}"), S ".ports[1]", "is in the document twice", ERR_INVALID },
    { LINKS("{'name':'l3'}"), "slices[0].links[0].ends", "is required", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/x']}"), "slices[0].links[0].ends", "has 1 ports; a link joins two", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/x','s1/x']}"), "slices[0].links[0].ends", "are one port", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/x','s9/x']}"), "slices[0].links[0].ends[1]", "there is no switch red/lab/s9", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1','s2/x']}"), "slices[0].links[0].ends[0]", "is not SWITCH/PORT", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/a','s2/x']}"), "slices[0].links[0].ends[0]", "red/lab/s1/a is a port with a device", ERR_CONFLICT },
    { LINKS("{'name':'l3','ends':['s1/up','s2/x']}"), "slices[0].links[0].ends[0]", "is an end of virtual link red/lab/l1", ERR_CONFLICT },
    { LINKS("{'name':'l3','ends':['s1/x',{'switch':'s2','port':'y','edge':'e9'}]}"), "slices[0].links[0].ends[1].edge", "there is no edge e9", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/x',{'switch':'s2','port':'y','number':70000}]}"), "slices[0].links[0].ends[1].number", "", ERR_INVALID },
    { LINKS("{'name':'l3','ends':['s1/x',{'switch':'s1','port':'y','number':5}]}"), "slices[0].links[0].ends[1].number", "5 is port red/lab/s1/a's", ERR_CONFLICT },
    { LINKS("{'name':'l1','ends':[{'switch':'s1','port':'up','number':3},'s2/down']}"), "slices[0].links[0].ends[0].number", "keeps it", ERR_CONFLICT },
    { LINKS("{'name':'l1','via':['e9']}"), "slices[0].links[0].via[0]", "there is no edge and no fabric switch e9", ERR_INVALID },
    { LINKS("{'name':'l1','via':['e1','e1']}"), "slices[0].links[0].via[1]", "is there twice", ERR_INVALID },
    { LINKS("{'name':'l1','via':'e1'}"), "slices[0].links[0].via", "must be an array", ERR_INVALID },
    { LINKS("{'name':'l1','admin_down':1}"), "slices[0].links[0].admin_down", "", ERR_INVALID },
    { LINKS("{'name':'l1','cost':1}"), "slices[0].links[0].cost", "unknown key", ERR_INVALID },
    { LINKS("{'name':'l1'},{'name':'l1'}"), "slices[0].links[1]", "is in the document twice", ERR_INVALID },
    { SLICE("'switches':[{'name':'s1','ports':[{'name':'up','admin_down':true}]}],'links':[{'name':'l1','ends':['s1/x','s2/down']}]"),
      S ".ports[0]", "goes with the change of its link", ERR_CONFLICT },
    { "{'edges':[{'name':'e9','datapath_id':'0000000000000009'}],'slices':[{'name':'x','tenant':'red','switches':[{'name':'s','edges':['e9'],"
      "'ports':[{'name':'p'}]}]},{'name':'lab','tenant':'red','switches':[{'name':'s1','edges':['e1','e9']}],'links':[{'name':'l1','via':['e1']},"
      "{'name':'new','ends':['s1/n','s2/n']},{'name':'l2','ends':['s1/m','s1/a']}]}]}", "slices[1].links[2].ends[1]", "is a port with a device", ERR_CONFLICT },
};

static void test_refusals(void)
{
    struct model *m = lab();
    char *before = test_dump(m);
    for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct refusal *x = &refusals[i];
        struct err err;
        int n = test_apply(m, x->doc, &err);
        if (n != -1 || strcmp(err.field, x->field) || !strstr(err.message, x->message) || err.code != x->code) {
            fprintf(stderr, "\n%s\n%d: %s: %s, not %s: %s\n", x->doc, n, err.field, err.message, x->field, x->message);
        }
        CU_ASSERT(n == -1 && !strcmp(err.field, x->field) && strstr(err.message, x->message) && err.code == x->code);
        char *after = test_dump(m);
        CU_ASSERT_STRING_EQUAL(before, after);                  /* All or nothing. */
        free(after);
    }
    free(before);
    test_invariants(m);
    model_free(m);
}

/* --- What may change while the slice lives --- */

static int change(struct model *m, const char *doc)
{
    struct err err;
    int n = test_apply(m, doc, &err);
    if (n < 0) {
        fprintf(stderr, "\n%s\n%s: %s\n", doc, err.field, err.message);
    }
    test_invariants(m);
    return n;
}

static void test_changes(void)
{
    struct model *m = lab();
    const struct network *s1 = model_find(m, KIND_SWITCH, "red/lab/s1"), *s2 = model_find(m, KIND_SWITCH, "red/lab/s2");
    const struct port *a = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/a"), *far = model_find(m, KIND_SWITCH_PORT, "red/lab/s2/a");
    const struct port *down = model_find(m, KIND_SWITCH_PORT, "red/lab/s2/down");
    const struct vlink *l1 = model_find(m, KIND_LINK, "red/lab/l1");
    CU_ASSERT_EQUAL(change(m, LAB), 0);                         /* Nothing new. */
    uint32_t id = far->id, number = far->number;
    CU_ASSERT_EQUAL(change(m, SWITCHES("{'name':'s2','ports':[{'name':'a','edge':'e1'}]}")), 1);
    CU_ASSERT(!strcmp(far->edge->name, "e1") && far->id == id && far->number == number && far->ips[0].slot);
    /* A switch leaves an edge once its ports have, in one document; a link's end moves as a port does. */
    CU_ASSERT_EQUAL(change(m, SWITCHES("{'name':'s1','edges':['e2'],'ports':[{'name':'a','edge':'e2'},{'name':'b','edge':null},{'name':'up','edge':'e2'},"
                                       "{'name':'up2','edge':'e2'}]}")), 5);
    CU_ASSERT(s1->n_edges == 1 && s1->n_landings == 1 && !strcmp(a->edge->name, "e2"));
    CU_ASSERT_EQUAL(change(m, LINKS("{'name':'l1','ends':['s1/up',{'switch':'s2','port':'down','edge':'e2'}]}")), 1);
    CU_ASSERT(!strcmp(down->edge->name, "e2") && down->link == l1);
    /* Another end: its port comes, the old one goes; numbers are not handed on within a document. */
    CU_ASSERT_EQUAL(change(m, LINKS("{'name':'l1','ends':['s1/up','s2/down3']}")), 3);
    const struct port *down3 = model_find(m, KIND_SWITCH_PORT, "red/lab/s2/down3");
    CU_ASSERT_FATAL(down3 && !model_find(m, KIND_SWITCH_PORT, "red/lab/s2/down"));
    CU_ASSERT(l1->ends[1] == down3 && down3->link == l1 && down3->number == 4 && s2->n_ports == 3);
    CU_ASSERT_EQUAL(change(m, LINKS("{'name':'l1','admin_down':true,'via':['e2','e1']}")), 1);
    CU_ASSERT(l1->admin_down && l1->n_via == 2);
    CU_ASSERT_EQUAL(change(m, S1("'quota':{'flows':7},'listen':[],'ports':[{'name':'a','admin_down':true,'of_name':'b'},{'name':'b','of_name':'a'}]")), 3);
    CU_ASSERT(s1->quota.flows == 7 && s1->quota.groups == 1000 && !s1->n_listen && a->admin_down && !strcmp(a->of_name, "b"));
    /* A MAC address that was allocated, given: now its link-local address is known. */
    char *doc, text[MAC_STRLEN];
    doc = xasprintf(S1("'ports':[{'name':'a','mac':'%s'}]"), mac_format(a->mac, text));
    CU_ASSERT_EQUAL(change(m, doc), 1);
    CU_ASSERT(a->n_ips == 1 && a->ips[0].link_local && a->ips[0].slot);
    CU_ASSERT_EQUAL(change(m, doc), 0);
    free(doc);
    CU_ASSERT_EQUAL(change(m, SLICE("'controllers':['tls:[2001:db8::1]:6653','tcp:127.0.0.1:1']")), 1);
    CU_ASSERT_EQUAL(change(m, SLICE("'controllers':[]")), 1);
    model_free(m);
}

/* What the layers below hear of a change. */
static void check_heard(struct model *m, const char *text, const char *networks, unsigned n_slices)
{
    struct err err;
    cJSON *doc = test_json(text);
    struct model_txn *t = model_apply(m, doc, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    unsigned n, n_names;
    const uint32_t *ids = model_txn_networks(t, &n);
    const char *const *names = model_txn_slices(t, &n_names);
    char heard[64] = "";
    for (unsigned i = 0; i < n; i++) {
        const struct network *s = model_network_by_id(m, ids[i]);
        snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%s%s", i ? " " : "", strrchr(s->name, '/') + 1);
    }
    CU_ASSERT_STRING_EQUAL(heard, networks);
    CU_ASSERT(n_names == n_slices && (!n_names || !strcmp(names[0], "red/lab")));
    model_txn_commit(t);
    cJSON_Delete(doc);
}

static void test_heard(void)
{
    struct model *m = lab();
    check_heard(m, LAB, "", 0);
    check_heard(m, SLICE("'controllers':['tcp:192.0.2.8:6653']"), "", 1);
    check_heard(m, S1("'ports':[{'name':'a','admin_down':true}]"), "s1", 1);
    check_heard(m, S1("'quota':{'flows':5}"), "s1", 1);
    check_heard(m, S1("'ports':[{'name':'up','admin_down':true}]"), "s1 s2", 1);           /* An end of a link: the other end, too. */
    check_heard(m, LINKS("{'name':'l1','admin_down':true}"), "s1 s2", 1);
    check_heard(m, "{'edges':[{'name':'e2','datapath_id':'00000000000000e2'}]}", "s2", 1);
    model_free(m);
}

/* --- Quotas, and what a tenant's token may do --- */

static void test_quotas(void)
{
    struct model *m = lab();
    struct err err;
    static const struct { const char *quota, *doc, *field, *message; } rows[] = {
        { "'slices':1", "{'slices':[{'name':'two','tenant':'red'}]}", "slices[0]", "may have 1 slices" },
        { "'switches':2", SWITCHES("{'name':'s3','edges':['e1']}"), "slices[0].switches[0]", "may have 2 virtual switches" },
        { "'links':2", LINKS("{'name':'l3','ends':['s1/x','s2/x']}"), "slices[0].links[0]", "may have 2 virtual links" },
        { "'ports':7", PORTS("{'name':'c'}"), "slices[0].switches[0].ports[0]", "may have 7 ports" },
        { "'ports':8", LINKS("{'name':'l3','ends':['s1/x','s2/x']}"), "slices[0].links[0].ends[1]", "may have 8 ports" },
    };
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'switches':1}}]}", &err), -1);
    CU_ASSERT(!strcmp(err.field, "tenants[0].quota.switches") && strstr(err.message, "has 2 switches already"));
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'ports':6}}]}", &err), -1);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        char *doc = xasprintf("{'tenants':[{'name':'red','quota':{%s}}]}", rows[i].quota);
        CU_ASSERT_EQUAL(test_apply(m, doc, &err), 1);
        CU_ASSERT_EQUAL(test_apply(m, rows[i].doc, &err), -1);
        if (strcmp(err.field, rows[i].field) || !strstr(err.message, rows[i].message)) {
            fprintf(stderr, "\n%s: %s\n", err.field, err.message);
        }
        CU_ASSERT(err.code == ERR_CONFLICT && !strcmp(err.field, rows[i].field) && strstr(err.message, rows[i].message));
        CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'ports':100,'slices':10,'switches':10,'links':10}}]}", &err), 1);
        free(doc);
    }
    const struct tenant *red = model_find(m, KIND_TENANT, "red");
    CU_ASSERT_EQUAL(test_apply(m, "{'tenants':[{'name':'red','quota':{'flow_entries':5,'groups':6,'meters':7,'packet_in_rate':8,'flow_mod_rate':9,'connection_rate':10}}]}",
                               &err), 1);
    CU_ASSERT(red->quota.flow_entries == 5 && red->quota.groups == 6 && red->quota.meters == 7 && red->quota.packet_in_rate == 8 && red->quota.flow_mod_rate == 9
              && red->quota.connection_rate == 10);
    CU_ASSERT_EQUAL(test_delete(m, KIND_TENANT, "red", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "red still has"));
    model_free(m);
}

static void test_tenants(void)
{
    struct model *m = lab();
    struct err err;
    CU_ASSERT_EQUAL(test_apply_as(m, S1("'ports':[{'name':'c'}],'listen':['ptcp:7002']"), "red", &err), 2);
    CU_ASSERT_EQUAL(test_apply_as(m, "{'slices':[{'name':'own','controllers':['tcp:192.0.2.1:6653']}]}", "red", &err), 1);
    static const struct { const char *doc, *field; } denied[] = {
        { "{'slices':[{'name':'lab','tenant':'blue'}]}", "slices[0].tenant" },
        { PORTS("{'name':'c','ofport_of':'eth0'}"), "slices[0].switches[0].ports[0]" },
        { S1("'listen':['ptcp:22']"), "slices[0].switches[0].listen[0]" },
        { S1("'listen':['punix:/run/x']"), "slices[0].switches[0].listen[0]" },
        { SLICE("'controllers':['unix:/run/x']"), "slices[0].controllers[0]" },
        { LINKS("{'name':'l1','via':['e1']}"), "slices[0].links[0].via" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(denied); i++) {
        CU_ASSERT_EQUAL(test_apply_as(m, denied[i].doc, "red", &err), -1);
        CU_ASSERT(err.code == ERR_DENIED && !strcmp(err.field, denied[i].field));
    }
    CU_ASSERT_PTR_NULL(model_delete(m, KIND_SLICE, "red/lab", "blue", 0, &err));
    CU_ASSERT_EQUAL(err.code, ERR_DENIED);
    CU_ASSERT_EQUAL(test_apply_as(m, "{'slices':[{'name':'lab','tenant':'blue','switches':[{'name':'s1','edges':['e1'],'listen':['tcp:0.0.0.0:7002']}]}]}", "blue", &err), -1);
    CU_ASSERT(err.code == ERR_CONFLICT && strstr(err.message, "another switch") && !strstr(err.message, "red"));
    /* Both tenants' slices are called alike, and have the same datapath ids, numbers and addresses. */
    CU_ASSERT_EQUAL(test_apply_as(m, "{'slices':[{'name':'lab','tenant':'blue','switches':[{'name':'s1','edges':['e1'],'datapath_id':'00000000000000a1',"
                                  "'ports':[{'name':'b','number':5,'mac':'52:54:00:00:00:0b'}]}]}]}", "blue", &err), 3);
    test_invariants(m);
    model_free(m);
}

/* --- Presets --- */

/* e1 - e2, and e3 next to both. */
static void line(const struct edge *from, void (*found)(const struct edge *, void *), void *found_aux, void *m)
{
    for (unsigned i = 1; i <= 3; i++) {
        struct edge *e = model_edge_by_index(m, (uint16_t) i);
        if (e && e != from) {
            found(e, found_aux);
        }
    }
}

static void test_topologies(void)
{
    struct model *m = test_model();
    struct err err;
    model_set_neighbours(m, line, m);
    CU_ASSERT_EQUAL(change(m, SLICE("'topology':'one-switch','edges':['e1','e2']")), 2);
    const struct network *s1 = model_find(m, KIND_SWITCH, "red/lab/s1");
    CU_ASSERT_FATAL(s1 && s1->n_edges == 2);
    CU_ASSERT_EQUAL(change(m, SLICE("'topology':'one-switch','edges':['e1','e2']")), 0);
    CU_ASSERT_EQUAL(change(m, "{'slices':[{'name':'big','tenant':'red','topology':'one-switch','edges':['e2'],'switches':[{'name':'core','ports':[{'name':'a'}]}]}]}"), 3);
    CU_ASSERT_EQUAL(change(m, "{'slices':[{'name':'m','tenant':'red','topology':'mirror','edges':['e1','e2'],"
                              "'switches':[{'name':'e2','ports':[{'name':'vm'}]}]}]}"), 7);
    const struct vlink *l = model_find(m, KIND_LINK, "red/m/e1--e2");
    CU_ASSERT_FATAL(l && !strcmp(l->ends[0]->name, "red/m/e1/to-e2") && !strcmp(l->ends[1]->name, "red/m/e2/to-e1"));
    CU_ASSERT(l->ends[0]->edge->index == 1 && l->ends[1]->edge->index == 2);
    CU_ASSERT_EQUAL(change(m, "{'slices':[{'name':'m','tenant':'red','topology':'mirror','edges':['e1','e2']}]}"), 0);
    /* Another edge: what has become possible is added. */
    CU_ASSERT_EQUAL(change(m, "{'edges':[{'name':'e3-with-a-name-of-many-letters','datapath_id':'0000000000000003'}]}"), 1);
    CU_ASSERT_EQUAL(change(m, "{'slices':[{'name':'m','tenant':'red','topology':'mirror','edges':['e3-with-a-name-of-many-letters','e1','e2']}]}"), 7);
    CU_ASSERT_EQUAL(model_count(m, KIND_LINK), 3);
    CU_ASSERT_EQUAL(test_apply(m, SLICE("'topology':'mirror'"), &err), -1);
    CU_ASSERT_STRING_EQUAL(err.field, "slices[0].edges");
    CU_ASSERT_EQUAL(test_apply(m, SLICE("'topology':'mirror','edges':['e1','e7']"), &err), -1);
    CU_ASSERT_STRING_EQUAL(err.field, "slices[0].edges[1]");
    CU_ASSERT_EQUAL(test_apply(m, SLICE("'topology':'mirror','edges':['e1'],'links':{}"), &err), -1);
    CU_ASSERT_STRING_EQUAL(err.field, "slices[0].links");
    model_free(m);
}

/* --- The examples that are shipped --- */

static cJSON *example(const char *name)
{
    const char *top = getenv("srcdir");
    char *path = xasprintf("%s/examples/%s", top ? top : ".", name), text[8192];
    FILE *f = fopen(path, "re");
    struct err err;
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    CU_ASSERT_FATAL(n < sizeof text);
    cJSON *doc = yaml_load(text, n, name, NULL, &err);
    if (!doc) {
        fprintf(stderr, "%s\n", err.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    free(path);
    return doc;
}

static void test_examples(void)
{
    static const char *const names[] = { "quickstart/substrate.yaml", "quickstart/red.yaml", "quickstart/blue.yaml", "slice/big-switch.yaml", "slice/line.yaml",
        "slice/ring-topology.yaml" };
    struct model *m = test_model_empty();
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        cJSON *doc = example(names[i]);
        if (strstr(names[i], "topology")) {                     /* As "vpcctl create slice --topology" sends it. */
            cJSON *slice = doc, *edges = json_add_array(slice, "edges");
            json_add_string(slice, "name", "ring");
            json_add_string(slice, "tenant", "red");
            cJSON_AddItemToArray(edges, cJSON_CreateString("host1"));
            doc = cJSON_CreateObject();
            cJSON_AddItemToArray(json_add_array(doc, "slices"), slice);
        }
        struct err err;
        struct model_txn *t = model_apply(m, doc, NULL, &err);
        if (!t) {
            fprintf(stderr, "%s: %s: %s\n", names[i], err.field, err.message);
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        model_txn_commit(t);
        cJSON_Delete(doc);
    }
    CU_ASSERT(model_count(m, KIND_SWITCH) == 7 && model_count(m, KIND_LINK) == 5);
    test_invariants(m);
    model_free(m);
}

/* Slices that come and go take ids, numbers and memory, and give all but port ids back. */
static void test_cycles(void)
{
    struct model *m = test_model();
    struct err err;
    size_t before = 0;
    for (unsigned i = 0; i < 10000; i++) {
        CU_ASSERT_EQUAL_FATAL(test_apply(m, LAB, &err), 12);
        CU_ASSERT_EQUAL_FATAL(test_delete(m, KIND_SLICE, "red/lab", &err), 12);
        if (i == 99) {
            before = mallinfo2().uordblks;
        }
    }
    size_t after = mallinfo2().uordblks;
    printf("\n    10,000 slices: %zu bytes of heap before, %zu after\n", before, after);
    CU_ASSERT(after < before + 9900);   /* Less than a byte a slice: the allocator's own caches count, too. */
    CU_ASSERT_EQUAL(test_apply(m, LAB, &err), 12);
    const struct port *up = model_find(m, KIND_SWITCH_PORT, "red/lab/s1/up");
    CU_ASSERT(up && up->id > 70000 && up->local <= 5 && up->number == 2);
    test_invariants(m);
    model_free(m);
}

/* Network ids go in a circle, past those that are taken. */
static void test_network_ids(void)
{
    struct model *m = test_model();     /* Networks 1 and 2. */
    struct err err;
    model_loaded(m, 0, 1, (1u << 24) - 1);
    CU_ASSERT_EQUAL_FATAL(test_apply(m, LAB, &err), 12);
    const struct network *s1 = model_find(m, KIND_SWITCH, "red/lab/s1"), *s2 = model_find(m, KIND_SWITCH, "red/lab/s2");
    CU_ASSERT(s1->id == (1u << 24) - 1 && s2->id == 3);
    CU_ASSERT_EQUAL_FATAL(test_delete(m, KIND_SLICE, "red/lab", &err), 12);
    CU_ASSERT_EQUAL_FATAL(test_apply(m, LAB, &err), 12);
    s1 = model_find(m, KIND_SWITCH, "red/lab/s1");
    CU_ASSERT(s1 && s1->id == 4);       /* Not the one that has just come free. */
    test_invariants(m);
    model_free(m);
}

void slice_test_suite(void);
void slice_test_suite(void)
{
    UNIT_SUITE("slices", { "create", test_create }, { "delete", test_delete_with_content }, { "store", test_store }, { "refusals", test_refusals },
               { "changes", test_changes }, { "what others hear", test_heard }, { "quotas", test_quotas }, { "tenants", test_tenants },
               { "topologies", test_topologies }, { "examples", test_examples }, { "cycles", test_cycles }, { "network ids", test_network_ids });
}
