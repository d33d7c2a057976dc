/* Slices in the API: kinds, status, presets from discovered links, restart, counts. */
#include <string.h>

#include "controller/test_rest.h"
#include "tests/unit.h"

#define SITE "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}],'tenants':[{'name':'red'},{'name':'blue'}]}"
#define LAB "{'slices':[{'name':'lab','tenant':'red','switches':[{'name':'s1','edges':['e1'],'ports':[{'name':'a','number':7}]}," \
    "{'name':'s2','edges':['e1','e2']}],'links':[{'name':'l1','ends':['s1/up','s2/up'],'via':['e1']},{'name':'l2','ends':['s1/far',{'switch':'s2','port':'far','edge':'e2'}]}]}]}"

static const cJSON *member(const cJSON *o, const char *a, const char *b)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, a), b);
}

/* A member of an object, which is text. */
static void check_text(struct server *s, const char *path, const char *a, const char *b, const char *want)
{
    struct response r = ask(s, "GET", path, NULL);
    const char *text = cJSON_GetStringValue(member(r.body, a, b));
    if (!text || strcmp(text, want)) {
        fprintf(stderr, "%s: %s.%s is not %s in %s\n", path, a, b, want, r.text ? r.text : "");
    }
    CU_ASSERT(r.code == 200 && text && !strcmp(text, want));
    response_fini(&r);
}

static void check_count(struct server *s, const char *path, int want)
{
    struct response r = ask(s, "GET", path, NULL);
    CU_ASSERT_EQUAL(r.code, 200);
    CU_ASSERT_EQUAL(n_items(&r, "items"), want);
    response_fini(&r);
}

static void test_slices(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", SITE, 200, "");
    struct response r = ask(&s, "POST", "/v1/apply?dry_run=1", LAB);
    CU_ASSERT_TRUE(r.code == 200 && n_items(&r, "changes") == 10);
    response_fini(&r);
    check_count(&s, "/v1/slices", 0);
    expect(&s, "POST", "/v1/apply", LAB, 200, "");
    check_count(&s, "/v1/slices", 1);
    check_count(&s, "/v1/switches", 2);
    check_count(&s, "/v1/switch-ports?tenant=red", 5);
    check_count(&s, "/v1/virtual-links", 2);
    check_count(&s, "/v1/virtual-links?tenant=blue", 0);
    check_count(&s, "/v1/links", 0);            /* The physical ones. */
    check_text(&s, "/v1/virtual-links/red/lab/l1", "status", "state", "down");
    check_text(&s, "/v1/switch-ports/red/lab/s1/up", "status", "state", "edge-down");
    check_text(&s, "/v1/switch-ports/red/lab/s1/up", "status", "peer", "red/lab/s2/up");
    check_text(&s, "/v1/switch-ports/red/lab/s1/a", "status", "state", "edge-down");
    check_text(&s, "/v1/switches/red/lab/s1", "spec", "datapath_id", "0000000000000001");
    expect(&s, "POST", "/v1/apply", "{'slices':[{'name':'lab','tenant':'red','links':[{'name':'l1','admin_down':true}]}]}", 200, "");
    check_text(&s, "/v1/virtual-links/red/lab/l1", "status", "state", "admin-down");
    r = ask(&s, "GET", "/v1/virtual-links/red/lab/l1", NULL);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(member(r.body, "spec", "via")), 1);
    response_fini(&r);
    r = ask(&s, "POST", "/v1/apply", "{'slices':[{'name':'lab','tenant':'red','switches':[{'name':'s1','ports':[{'name':'b','number':7}]}]}]}");
    CU_ASSERT_EQUAL(r.code, 409);
    CU_ASSERT_STRING_EQUAL(error_field(&r), "slices[0].switches[0].ports[0].number");
    response_fini(&r);
    r = ask(&s, "GET", "/v1/tenants/red", NULL);
    CU_ASSERT_EQUAL(member(r.body, "status", "switches")->valueint, 2);
    CU_ASSERT_EQUAL(cJSON_GetObjectItemCaseSensitive(member(r.body, "spec", "quota"), "links")->valueint, 200);
    response_fini(&r);
    r = ask(&s, "GET", "/metrics", NULL);
    CU_ASSERT_TRUE(r.text && strstr(r.text, "polder_objects{kind=\"switch\"} 2\n") && strstr(r.text, "polder_objects{kind=\"virtual-link\"} 2\n")
                   && strstr(r.text, "polder_objects{kind=\"slice\"} 1\n") && strstr(r.text, "polder_objects{kind=\"switch-port\"} 5\n"));
    response_fini(&r);
    controller_stop(&s.f.c);                    /* And again, from the store. */
    server_start(&s);
    check_count(&s, "/v1/switch-ports", 5);
    check_text(&s, "/v1/virtual-links/red/lab/l1", "status", "state", "admin-down");
    expect(&s, "POST", "/v1/apply", LAB, 200, "");
    expect(&s, "DELETE", "/v1/switch-ports/red/lab/s1/up", NULL, 409, "conflict");
    expect(&s, "DELETE", "/v1/virtual-links/red/lab/l1", NULL, 200, "");
    check_count(&s, "/v1/switch-ports", 3);
    expect(&s, "DELETE", "/v1/slices/red/lab", NULL, 200, "");
    check_count(&s, "/v1/switch-ports", 0);
    check_count(&s, "/v1/virtual-links", 0);
    expect(&s, "DELETE", "/v1/edges/e2", NULL, 200, "");
    server_fini(&s);
}

static int n_controllers(struct server *s, const char *path)
{
    struct response r = ask(s, "GET", path, NULL);
    int n = cJSON_GetArraySize(member(r.body, "status", "controllers"));
    response_fini(&r);
    return n;
}

/* Controllers that come and go later, alone in their document: nothing else of the slice changes. */
static void test_controllers(void)
{
    struct server s;
    server_init(&s);
    server_start(&s);
    expect(&s, "POST", "/v1/apply", SITE, 200, "");
    expect(&s, "POST", "/v1/apply", LAB, 200, "");
    CU_ASSERT_EQUAL(n_controllers(&s, "/v1/switches/red/lab/s1"), 0);
    expect(&s, "POST", "/v1/apply", "{'slices':[{'name':'lab','tenant':'red','controllers':['tcp:127.0.0.1:9','tcp:127.0.0.1:10']}]}", 200, "");
    CU_ASSERT_EQUAL(n_controllers(&s, "/v1/switches/red/lab/s1"), 2);
    CU_ASSERT_EQUAL(n_controllers(&s, "/v1/switches/red/lab/s2"), 2);
    expect(&s, "POST", "/v1/apply", "{'slices':[{'name':'lab','tenant':'red','controllers':[]}]}", 200, "");
    CU_ASSERT_EQUAL(n_controllers(&s, "/v1/switches/red/lab/s2"), 0);
    server_fini(&s);
}

void rest_slice_test_suite(void);
void rest_slice_test_suite(void)
{
    UNIT_SUITE("rest, slices", { "slices", test_slices }, { "controllers", test_controllers });
}
