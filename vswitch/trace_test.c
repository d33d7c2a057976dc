/* A trace says what the packet path does, and does nothing itself. */
#include "tests/unit.h"
#include "lib/json.h"
#include "lib/util.h"
#include "vswitch/dp_fixture.h"

unit_suite_fn trace_test_suite;

#define TCP "tcp,eth_src=00:00:00:00:00:01,eth_dst=00:00:00:00:00:02,ip_src=10.0.0.1,ip_dst=10.0.0.2,tcp_src=1000,tcp_dst=80,nw_ttl=64"

static cJSON *trace(struct fixture *fx, uint32_t in_port, const char *match)
{
    struct buf b = BUF_INIT;
    fixture_compose(match, &b);
    struct packet p = { .data = b.data, .len = (uint32_t) b.size };
    cJSON *result = dp_trace(fx->dp, &p, in_port);
    buf_fini(&b);
    return result;
}

static const cJSON *step(const cJSON *result, int i)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(result, "steps"), i);
}

static const char *text(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(v) ? v->valuestring : "(none)";
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

static const cJSON *verdict(const cJSON *result, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(result, "verdict"), key);
}

static void test_steps(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=7,cookie=0x12,tcp,actions=load:5->NXM_NX_REG0[],clone(output:2),resubmit(,3),output:4");
    fixture_add(&fx, "table=3,priority=8,reg0=5,actions=set_field:00:00:00:00:00:dd->eth_dst");
    cJSON *r = trace(&fx, 1, TCP);
    CU_ASSERT_PTR_NOT_NULL(strstr(text(r, "input"), "tcp"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text(step(r, 0), "match"), "priority=7,"));
    CU_ASSERT_STRING_EQUAL(text(step(r, 0), "cookie"), "0x12");
    CU_ASSERT_PTR_NOT_NULL(strstr(text(step(r, 0), "actions"), "clone("));
    CU_ASSERT_EQUAL(number(step(r, 2), "output"), 2);
    CU_ASSERT_EQUAL(number(step(r, 2), "depth"), 1);
    CU_ASSERT_EQUAL(number(step(r, 3), "table"), 3);
    CU_ASSERT_EQUAL(number(step(r, 4), "output"), 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(text(step(r, 4), "flow"), "dd"));
    CU_ASSERT_EQUAL(cJSON_GetArraySize(verdict(r, "outputs")), 2);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(verdict(r, "drops")), 0);
    CU_ASSERT_FALSE(strncmp(text(cJSON_GetArrayItem(verdict(r, "outputs"), 1), "packet"), "0000000000dd000000000001", 24));
    CU_ASSERT_PTR_NOT_NULL(strstr(text(r, "final_flow"), "reg0=0x5"));
    cJSON_Delete(r);
    /* Nothing moved. */
    struct of_table_stats stats;
    dp_table_stats(fx.dp, 0, &stats);
    CU_ASSERT_EQUAL(stats.lookup_count, 0);
    CU_ASSERT_EQUAL(fx.n_out, 0);
    CU_ASSERT_EQUAL(fx.n_live, 0);
    CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), "");
    fixture_fini(&fx);
}

static void check_drop(struct fixture *fx, uint32_t in_port, const char *match, const char *reason)
{
    cJSON *r = trace(fx, in_port, match);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(verdict(r, "drops")), 1);
    CU_ASSERT_STRING_EQUAL(text(cJSON_GetArrayItem(verdict(r, "drops"), 0), "reason"), reason);
    cJSON_Delete(r);
    CU_ASSERT_STRING_EQUAL(fixture_drop(fx), "");
}

static void test_drops(void)
{
    struct fixture fx;
    fixture_init(&fx);
    check_drop(&fx, 1, TCP, "no-match");
    fixture_add(&fx, "priority=1,tcp,actions=drop(anti-spoof)");
    check_drop(&fx, 1, TCP, "anti-spoof");
    dp_port_set(fx.dp, 2, OFPPC_NO_RECV, true);
    check_drop(&fx, 2, TCP, "port-config");
    fixture_add(&fx, "priority=1,arp,actions=CONTROLLER");
    cJSON *r = trace(&fx, 1, "arp");
    CU_ASSERT_EQUAL(verdict(r, "controller")->valueint, 1);
    CU_ASSERT_EQUAL(fx.n_in, 0);
    cJSON_Delete(r);
    fixture_fini(&fx);
}

/* For random pipelines: what the trace says goes out is what goes out. */
static void test_same_as_packet_path(void)
{
    static const char *const actions[] = {
        "output:2", "output:3,output:4", "FLOOD", "IN_PORT", "drop", "drop(no-path)", "resubmit(,1),output:2", "resubmit(,1),resubmit(,2)", "clone(dec_ttl,output:2),output:3",
        "goto_table:1",
        "write_actions(output:4),goto_table:2", "push_vlan:0x8100,output:2", "set_field:10.9.8.7->ip_dst,output:3", "CONTROLLER", "group:1",
        "write_actions(group:2)", "output:9",
    };
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 300; round++) {
        struct fixture fx;
        fixture_init(&fx);
        fixture_group(&fx, OFPGC_ADD, 1, OFPGT_ALL, (const char *const []) { "-|-|-|output:2", "-|-|-|resubmit(,2)" }, 2, NULL);
        fixture_group(&fx, OFPGC_ADD, 2, OFPGT_SELECT, (const char *const []) { "1|-|-|output:3", "1|4|-|output:4" }, 2, NULL);
        dp_port_set(fx.dp, 2 + rng_below(&rng, 3), rng_below(&rng, 2) ? OFPPC_NO_FWD : 0, rng_below(&rng, 2));
        for (unsigned table = 0; table < 3; table++) {
            const char *a = actions[rng_below(&rng, ARRAY_SIZE(actions))];
            char flow[200];
            struct of_error ignored;
            snprintf(flow, sizeof flow, "table=%u,priority=1,ip,actions=%s", table, a);
            fixture_flow(&fx, OFPFC_ADD, 0, flow, &ignored);    /* A goto downwards is refused; then there is a miss to follow. */
        }
        cJSON *r = trace(&fx, 1, TCP);
        fixture_receive_flow(&fx, 1, TCP);
        const cJSON *outputs = verdict(r, "outputs"), *drops = verdict(r, "drops");
        CU_ASSERT_EQUAL((unsigned) cJSON_GetArraySize(outputs), fx.n_out);
        CU_ASSERT_EQUAL((unsigned) verdict(r, "controller")->valueint, fx.n_in);
        for (unsigned i = 0; i < MIN(fx.n_out, FIXTURE_MAX) && i < (unsigned) cJSON_GetArraySize(outputs); i++) {
            char hex[4097];
            bytes_to_hex(fx.out[i].data, fx.out[i].len, hex);
            CU_ASSERT_EQUAL(number(cJSON_GetArrayItem(outputs, (int) i), "port"), fx.out[i].port);
            CU_ASSERT_STRING_EQUAL(text(cJSON_GetArrayItem(outputs, (int) i), "packet"), hex);
        }
        CU_ASSERT_EQUAL(cJSON_GetArraySize(drops) == 0, fx.n_out + fx.n_in > 0);
        CU_ASSERT_STRING_EQUAL(fixture_drop(&fx), cJSON_GetArraySize(drops) ? text(cJSON_GetArrayItem(drops, 0), "reason") : "");
        cJSON_Delete(r);
        fixture_fini(&fx);
    }
}

/* What a traced frame says of its source is nobody's word. */
static void test_teaches_nothing(void)
{
    struct fixture fx;
    fixture_init(&fx);
    fixture_add(&fx, "table=0,priority=0,actions=NORMAL");
    cJSON_Delete(trace(&fx, 3, "eth_src=02:00:00:00:00:02,eth_dst=02:00:00:00:00:01"));
    fixture_receive_flow(&fx, 1, "eth_src=02:00:00:00:00:01,eth_dst=02:00:00:00:00:02");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "2,3,4");
    fixture_receive_flow(&fx, 3, "eth_src=02:00:00:00:00:02,eth_dst=02:00:00:00:00:01");
    CU_ASSERT_STRING_EQUAL(fixture_ports(&fx), "1");
    fixture_fini(&fx);
}

void trace_test_suite(void)
{
    UNIT_SUITE("trace",
        { "steps", test_steps },
        { "drops", test_drops },
        { "same as the packet path", test_same_as_packet_path },
        { "teaches nothing", test_teaches_nothing });
}
