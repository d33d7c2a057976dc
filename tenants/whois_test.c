#include <string.h>

#include "tenants/model_fixture.h"
#include "tests/unit.h"

static char *ask(const struct model *m, const char *address, struct err *err)
{
    cJSON *o = model_whois(m, address, err);
    char *text = o ? json_text(o, false) : NULL;
    cJSON_Delete(o);
    return text;
}

static void expect(const struct model *m, const char *address, const char *const *parts, unsigned n)
{
    struct err err;
    char *text = ask(m, address, &err);
    for (unsigned i = 0; i < n; i++) {
        if (!text || !strstr(text, parts[i])) {
            fprintf(stderr, "\n%s -> %s, without %s\n", address, text ? text : err.message, parts[i]);
            CU_FAIL("whois");
        }
    }
    free(text);
}
#define EXPECT(M, ADDRESS, ...) do { static const char *const p_[] = { __VA_ARGS__ }; expect(M, ADDRESS, p_, ARRAY_SIZE(p_)); } while (0)

static void test_whois(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, "{'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','ports':[{'name':'a','edge':'e1'},"
        "{'name':'b','edge':'e2'},{'name':'c'}]}]}]}", &err), 3);
    /* On each edge the port is 1 and the flood landing 2. */
    EXPECT(m, "02:00:01:00:00:01", "\"edge\":\"e1\"", "\"port\":\"red/main/web/a\"", "\"mac\":\"52:54:00:00:00:01\"", "port, as a destination");
    EXPECT(m, "02:00:02:00:00:02", "\"edge\":\"e2\"", "flood landing of a network", "\"network\":\"red/main/web\"");
    EXPECT(m, "02:00:02:00:00:09", "landing of nothing");
    EXPECT(m, "06:00:01:00:00:01", "source port, to broadcast", "red/main/web/a");                  /* Flag PAIR. */
    EXPECT(m, "0a:00:01:00:00:01", "\"source port\"", "\"flags\":2", "red/main/web/a");
    EXPECT(m, "06:00:01:01:00:00", "interned pair", "\"id\":65536");
    EXPECT(m, "100.64.32.1", "\"ip\":\"10.0.0.3\"", "red/main/web/b");
    EXPECT(m, "100.64.32.2", "address of nothing");
    EXPECT(m, "fd64:706f:6c64:1::1", "\"ip\":\"fe80::5054:ff:fe00:1\"", "red/main/web/a");
    EXPECT(m, "fd64:706f:6c64:1:1::1", "address of nothing");
    static const struct { const char *address, *message; enum err_code code; } bad[] = {
        { "50:54:00:00:00:01", "is not a provider address", ERR_NOT_FOUND }, { "02:00:07:00:00:01", "edge number 7", ERR_NOT_FOUND },
        { "10.0.0.1", "not in the provider's pool 100.64.0.0/10", ERR_NOT_FOUND }, { "100.127.0.1", "edge number", ERR_NOT_FOUND },
        { "fd00::1", "not in the provider's pool", ERR_NOT_FOUND }, { "red", "neither a MAC nor an IP", ERR_INVALID },
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CU_ASSERT_PTR_NULL(model_whois(m, bad[i].address, &err));
        CU_ASSERT(err.code == bad[i].code && strstr(err.message, bad[i].message));
    }
    model_free(m);
}

static void test_slice(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, "{'slices':[{'name':'lab','tenant':'red','switches':[{'name':'s1','edges':['e1'],'ports':[{'name':'a','ips':['10.0.0.9']}]},"
        "{'name':'s2','edges':['e2']}],'links':[{'name':'l1','ends':['s1/up','s2/down']}]}]}", &err), 7);
    /* On e1: a is 1, the flood landing 2, up 3; on e2: down is 1, the flood landing 2. */
    EXPECT(m, "02:00:01:00:00:01", "\"tenant\":\"red\"", "\"slice\":\"red/lab\"", "\"switch\":\"red/lab/s1\"", "\"port\":\"red/lab/s1/a\"", "port, as a destination");
    EXPECT(m, "02:00:01:00:00:02", "flood landing of a virtual switch", "\"switch\":\"red/lab/s1\"");
    EXPECT(m, "02:00:01:00:00:03", "landing of a virtual link's end", "\"port\":\"red/lab/s1/up\"", "\"link\":\"red/lab/l1\"");
    EXPECT(m, "02:00:02:05:00:01", "landing of a virtual link's end", "\"path_class\":5", "\"port\":\"red/lab/s2/down\"");
    EXPECT(m, "02:00:01:01:00:01", "landing of a port", "\"path_class\":1", "red/lab/s1/a");
    EXPECT(m, "06:00:01:00:00:01", "source port, to broadcast", "red/lab/s1/a");
    EXPECT(m, "100.64.16.1", "\"ip\":\"10.0.0.9\"", "red/lab/s1/a");
    model_free(m);
}

/* Every provider address of every port leads back to it. */
static void test_inverse(void)
{
    struct model *m = test_model();
    struct err err;
    CU_ASSERT_EQUAL(test_apply(m, "{'vpcs':[{'name':'main','tenant':'red','networks':[{'name':'web','subnet6':'fd00::/64',"
        "'ports':[{'name':'a','edge':'e1'},{'name':'b','edge':'e2'},"
                               "{'name':'c','edge':'e2'}]}]},{'name':'main','tenant':'blue','networks':[{'name':'web','ports':[{'name':'a',"
                                   "'edge':'e1'},{'name':'b','edge':'e2'}]}]}]}", &err), 6);
    for (unsigned i = 0; i < model_count(m, KIND_PORT); i++) {
        const struct port *p = model_at(m, KIND_PORT, i);
        char text[IP_STRLEN], name[MODEL_NAME_SIZE + 20];
        snprintf(name, sizeof name, "\"port\":\"%s\"", p->name);
        const char *parts[] = { name };
        expect(m, mac_format(mac_from_u64(provider_landing_mac(p->edge->index, 0, p->local)), text), parts, 1);
        expect(m, mac_format(mac_from_u64(provider_source_mac(PROVIDER_SRC_IP, p->edge->index, p->local)), text), parts, 1);
        for (unsigned j = 0; j < p->n_ips; j++) {
            struct ip ip = model_provider_ip(m, p->edge, ip_is_v4(&p->ips[j].ip), p->ips[j].slot);
            expect(m, ip_format(&ip, text), parts, 1);
        }
    }
    model_free(m);
}

void whois_test_suite(void);
void whois_test_suite(void)
{
    UNIT_SUITE("whois", { "addresses", test_whois }, { "slice", test_slice }, { "inverse of the plan", test_inverse });
}
