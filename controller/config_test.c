#include "controller/config.h"

#include <string.h>
#include <sys/stat.h>
#include "controller/auth.h"
#include "controller/test_fixture.h"
#include "tests/unit.h"

#define OF "'openflow':{'listen':['ptcp:6653:127.0.0.1']}"
#define HEAD "'name':'ctl','run_dir':'/run/polder/ctl',"

static bool load(struct fixture *f, const char *quoted, struct controller_config *c, struct err *err)
{
    char path[128], *text = fixture_quote(quoted);
    enum log_level level = LOG_INFO;
    fixture_write(f, "config", text);
    free(text);
    fixture_path(f, "config", path);
    *err = ERR_INIT;
    return config_load(path, c, &level, err);
}

static void test_defaults(void)
{
    struct fixture f;
    struct controller_config c;
    struct err err;
    fixture_init(&f);
    CU_ASSERT_TRUE_FATAL(load(&f, "{" HEAD OF "}", &c, &err));
    CU_ASSERT_STRING_EQUAL(c.store_path, "/run/polder/ctl/polder.db");
    CU_ASSERT_STRING_EQUAL(c.rest_unix, "/run/polder/ctl/api.sock");
    CU_ASSERT_TRUE(c.lldp_interval_ms == 1000 && c.intern_pairs_per_network == 4096 && c.intern_idle_s == 300 && c.slice_hold_s == 60 && c.busy_poll_us == 50);
    CU_ASSERT_TRUE(c.provider.v4.is_v4 && c.provider.v4.len == 10 && c.provider.v6.len == 48);
    CU_ASSERT_TRUE(c.n_openflow_listen == 1 && !c.rest_listen && !c.tokens_file);
    CU_ASSERT_TRUE(config_check(&c, &err));
    config_fini(&c);
    CU_ASSERT_TRUE_FATAL(load(&f, "{" HEAD "'openflow':{'listen':['ptcp:6653:127.0.0.1','punix:/x/of']},'store':'/s/db','log_level':'debug','busy_poll_us':7,"
                                  "'lldp':{'interval_ms':200},'provider':{'ipv4_pool':'10.64.0.0/12','ipv6_pool':'fd00::/40'},"
                                  "'intern':{'pairs_per_network':7,'idle_s':5},'slices':{'hold_s':0},'rest':{'unix':'/x/api'}}", &c, &err));
    CU_ASSERT_TRUE(c.n_openflow_listen == 2 && c.lldp_interval_ms == 200 && c.intern_pairs_per_network == 7 && c.intern_idle_s == 5 && c.slice_hold_s == 0 && c.busy_poll_us == 7);
    CU_ASSERT_TRUE(c.provider.v4.len == 12 && c.provider.v6.len == 40);
    CU_ASSERT_STRING_EQUAL(c.store_path, "/s/db");
    CU_ASSERT_STRING_EQUAL(c.rest_unix, "/x/api");
    config_fini(&c);
    fixture_fini(&f);
}

/* Each names its key. */
static void test_faults(void)
{
    static const struct { const char *text, *field; } rows[] = {
        { "{'run_dir':'/r'," OF "}", "name" }, { "{'name':'Ctl','run_dir':'/r'," OF "}", "name" }, { "{'name':'c'," OF "}", "run_dir" },
        { "{'name':'c','run_dir':'r'," OF "}", "run_dir" }, { "{'name':'c','run_dir':'/r'}", "openflow" }, { "{" HEAD "'openflow':{}}", "openflow.listen" },
        { "{" HEAD "'openflow':{'listen':[]}}", "openflow.listen" }, { "{" HEAD "'openflow':{'listen':['ptcp:1','tcp:1.2.3.4:5']}}", "openflow.listen[1]" },
        { "{" HEAD "'openflow':{'listen':['ptls:6653']}}", "openflow.tls" },
        { "{" HEAD "'openflow':{'listen':['ptls:6653'],'tls':{'private_key':'k','certificate':'c'}}}", "openflow.tls.ca_certificate" },
        { "{" HEAD "'openflow':{'listen':['ptls:6653'],'tls':{'private_key':'k','certificate':'c','ca_certificate':'a','require_datapath_id':1}}}",
          "openflow.tls.require_datapath_id" },
        { "{" HEAD OF ",'slices':{'tls':{'private_key':'k','certificate':'c','ca_certificate':'a','require_datapath_id':true}}}", "slices.tls.require_datapath_id" },
        { "{" HEAD OF ",'frog':1}", "frog" }, { "{" HEAD OF ",'log_level':'loud'}", "log_level" },
        { "{" HEAD OF ",'busy_poll_us':-1}", "busy_poll_us" }, { "{" HEAD OF ",'lldp':{'interval_ms':1}}", "lldp.interval_ms" },
        { "{" HEAD OF ",'lldp':{'interval_s':1}}", "lldp.interval_s" }, { "{" HEAD OF ",'provider':{'ipv4_pool':'fd00::/8'}}", "provider.ipv4_pool" },
        { "{" HEAD OF ",'provider':{'ipv4_pool':'10.0.0.0/24'}}", "provider.ipv4_pool" }, { "{" HEAD OF ",'provider':{'ipv6_pool':'fd00::/64'}}", "provider.ipv6_pool" },
        { "{" HEAD OF ",'slices':{'tls':{'private_key':'k','certificate':'c'}}}", "slices.tls.ca_certificate" }, { "{" HEAD OF ",'slices':{'tsl':{}}}", "slices.tsl" },
        { "{" HEAD OF ",'rest':{'listen':'127.0.0.1:8443'}}", "rest.tls" },
        { "{" HEAD OF ",'rest':{'listen':'127.0.0.1:8443','tls':{'private_key':'k','certificate':'c'}}}", "rest.tokens" },
        { "{" HEAD OF ",'intern':{'idle_s':0}}", "intern.idle_s" }, { "{" HEAD OF ",'store':7}", "store" },
    };
    struct fixture f;
    fixture_init(&f);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct controller_config c;
        struct err err;
        bool ok = load(&f, rows[i].text, &c, &err);
        CU_ASSERT_FALSE(ok);
        if (strcmp(err.field, rows[i].field)) {
            fprintf(stderr, "%s: %s: %s\n", rows[i].text, err.field, err.message);
        }
        CU_ASSERT_STRING_EQUAL(err.field, rows[i].field);
        CU_ASSERT_TRUE(*err.message);
    }
    fixture_fini(&f);
}

static void test_lldp_key(void)
{
    struct fixture f;
    struct err err = ERR_INIT;
    struct lldp_key key;
    char path[128];
    fixture_init(&f);
    fixture_path(&f, "key", path);
    CU_ASSERT_FALSE(config_lldp_key(path, &key, &err));
    CU_ASSERT_STRING_EQUAL(err.field, "lldp.key_file");
    fixture_write(&f, "key", "0123456789abcdef\n");
    CU_ASSERT_TRUE(config_lldp_key(path, &key, &err));
    CU_ASSERT_TRUE(key.size == 16 && !memcmp(key.b, "0123456789abcdef", 16));
    fixture_write(&f, "key", "short\n");
    CU_ASSERT_FALSE(config_lldp_key(path, &key, &err));
    fixture_write(&f, "key", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    CU_ASSERT_FALSE(config_lldp_key(path, &key, &err));
    fixture_fini(&f);
}

static void test_tokens(void)
{
    static const struct { const char *text, *field; } rows[] = {
        { "{}", "" }, { "[{'token':'short','name':'x','role':'operator'}]", "[0].token" }, { "[{'token':'0123456789abcdef ','name':'x','role':'operator'}]", "[0].token" },
        { "[{'token':'0123456789abcdef','name':'','role':'operator'}]", "[0].name" }, { "[{'token':'0123456789abcdef','name':'x','role':'king'}]", "[0].role" },
        { "[{'token':'0123456789abcdef','name':'x','role':'tenant'}]", "[0].tenant" },
        { "[{'token':'0123456789abcdef','name':'x','role':'operator','tenant':'red'}]", "[0].tenant" },
        { "[{'token':'0123456789abcdef','name':'x','role':'operator','frog':1}]", "[0].frog" },
        { "[{'token':'0123456789abcdef','name':'x','role':'operator'},{'token':'0123456789abcdef','name':'y','role':'operator'}]", "[1].token" },
    };
    struct fixture f;
    char path[128];
    fixture_init(&f);
    fixture_path(&f, "tokens", path);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct err err = ERR_INIT;
        char *text = fixture_quote(rows[i].text);
        fixture_write(&f, "tokens", text);
        CU_ASSERT_PTR_NULL(tokens_load(path, &err));
        CU_ASSERT_STRING_EQUAL(err.field, rows[i].field);
        free(text);
    }
    struct err err = ERR_INIT;
    char *text = fixture_quote("[{'token':'0123456789abcdef','name':'x','role':'operator'},{'token':'0123456789abcdeF=','name':'y','role':'tenant','tenant':'red'}]");
    fixture_write(&f, "tokens", text);
    free(text);
    struct tokens *t = tokens_load(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    const struct principal *p = tokens_find(t, "Bearer 0123456789abcdef");
    CU_ASSERT_TRUE(p && !strcmp(p->name, "x") && !*p->tenant);
    p = tokens_find(t, "bearer  0123456789abcdeF=");
    CU_ASSERT_TRUE(p && !strcmp(p->name, "y") && !strcmp(p->tenant, "red"));
    static const char *const wrong[] = { NULL, "", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0" };
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        CU_ASSERT_PTR_NULL(tokens_find(t, wrong[i]));
    }
    tokens_free(t);
    /* Readable by all: refused. */
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    CU_ASSERT_PTR_NULL(tokens_load(path, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "chmod"));
    fixture_fini(&f);
}

void config_test_suite(void);
void config_test_suite(void)
{
    UNIT_SUITE("config", { "defaults", test_defaults }, { "faults", test_faults }, { "LLDP key file", test_lldp_key }, { "tokens", test_tokens });
}
