/* Slices: switches, ports and links of a tenant's own; what documents may say, what is allocated, what goes with what. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_fixture.h"
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
    UNIT_SUITE("slices", { "create", test_create }, { "delete", test_delete_with_content }, { "store", test_store }, { "cycles", test_cycles },
               { "network ids", test_network_ids });
}
