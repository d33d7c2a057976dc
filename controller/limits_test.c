/* Budgets against a bucket that is filled and emptied step by step; a virtual switch that is kept within its rates. */
#include "controller/limits.h"

#include <string.h>
#include "controller/vsw_rig.h"
#include "tests/unit.h"

void limits_test_suite(void);

#define NS_PER_S UINT64_C(1000000000)

/* The naive twin: tokens, of which there are `rate` at most, and fewer than none in debt. */
struct twin { double tokens; uint64_t at_ns; };

static void twin_pass(struct twin *t, uint32_t rate, uint64_t now)
{
    t->tokens += (double) (now - t->at_ns) / 1e9 * rate;
    t->tokens = MIN(t->tokens, (double) rate);
    t->at_ns = now;
}

static void test_random(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 300; round++) {
        static const uint32_t rates[] = { 1, 3, 7, 100, 999, 20000, 123457, 1000000, 9999999 };
        uint32_t rate = rates[rng_below(&rng, ARRAY_SIZE(rates))];
        uint64_t now = 5 * NS_PER_S;
        struct budget b = { 0 };
        struct twin t = { rate, now };
        for (unsigned step = 0; step < 400; step++) {
            now += rng_below(&rng, 3) ? rng_below(&rng, (uint32_t) MIN(2 * NS_PER_S / rate + 2, UINT64_C(2000000000))) : 0;
            twin_pass(&t, rate, now);
            if (rng_below(&rng, 2)) {
                uint64_t paid = budget_take(&b, rate, now);
                t.tokens -= 1;
                double wait_ns = t.tokens < 0 ? -t.tokens * 1e9 / rate : 0;
                CU_ASSERT_TRUE((double) (paid > now ? paid - now : 0) <= wait_ns * 1.01 + 500);
                CU_ASSERT_TRUE((double) (paid > now ? paid - now : 0) >= wait_ns * 0.99 - 500);
            } else {
                bool near = t.tokens > 0.98 && t.tokens < 1.02;         /* Rounding may decide. */
                bool may = budget_may(&b, rate, now);
                CU_ASSERT_TRUE(near || may == (t.tokens >= 1));
                t.tokens -= may;
            }
        }
    }
}

/* Over a long time it is the rate, to a tenth of a percent, and a second's worth at once. */
static void test_rate(void)
{
    static const uint32_t rates[] = { 1, 7, 20000, 7000000 };
    for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
        struct budget b = { 0 };
        uint64_t now = 100 * NS_PER_S, n = 0;
        while (budget_take(&b, rates[i], now) <= now) {
            n++;
        }
        CU_ASSERT_TRUE(n >= rates[i] && (double) n <= rates[i] * 1.001 + 1);
        const uint64_t begun = now;
        for (n = 0; n < 20000; n++) {
            uint64_t paid = budget_take(&b, rates[i], now);
            now = MAX(now, paid);
        }
        double expected = 20000.0 / rates[i];
        CU_ASSERT_DOUBLE_EQUAL((double) (now - begun) / 1e9, expected, expected * 0.001 + 1e-6);
    }
}

static void test_none(void)
{
    struct budget b = { 0 };
    CU_ASSERT_EQUAL(budget_take(&b, 0, NS_PER_S), BUDGET_NEVER);
    CU_ASSERT_FALSE(budget_may(&b, 0, 50 * NS_PER_S));
    CU_ASSERT_TRUE(budget_may(&b, 1, 50 * NS_PER_S));
}

/* --- A virtual switch --- */

/* More changes than the rate: no more is read until they are paid for, and then all of it is. */
static void test_flow_mod_rate(void)
{
    struct vsw_rig b;
    char text[64];
    vsw_rig_init(&b);
    vsw_rig_barrier(&b);
    b.vsw->network->quota.flow_mod_rate = 100;
    uint64_t before = b.vsw->usage->n_changes;
    for (unsigned i = 0; i < 130; i++) {                /* A second's worth may come at once. */
        snprintf(text, sizeof text, "in_port=1,eth_src=02:00:00:00:00:%02x", i % 4);
        vsw_rig_flow(&b, OFPFC_ADD, 0, i, text, "output:2");
    }
    for (unsigned i = 0; i < 1000 && !b.vsw->share.held; i++) {
        fixture_turn(&b.f, 1);
    }
    CU_ASSERT_TRUE(b.vsw->share.held && b.vsw->usage->n_changes >= before + 100 && b.vsw->usage->n_changes < before + 130);
    for (unsigned i = 0; i < 3000 && b.vsw->usage->n_changes < before + 130; i++) {
        fixture_turn(&b.f, 1);
    }
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, before + 130);
    vsw_rig_barrier(&b);
    /* What cannot be decoded costs as much. */
    uint64_t changes = b.vsw->usage->n_changes;
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_REMOVED, 0);            /* Fine, but not for a switch: no change. */
    of_conn_send(b.tenant->conn, &msg);
    struct of_msg got = of_peer_take(b.f.c.base, b.tenant);
    CU_ASSERT_EQUAL(got.type, OFPT_ERROR);
    of_msg_fini(&got);
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, changes);
    b.vsw->share.garbage(&b.vsw->share);
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, changes + 1);
    vsw_rig_fini(&b);
}

/* An edge's meter is before every packet-in; controllerd drops what comes above the tenant's rate all the same. */
static void test_packet_in_rate(void)
{
    struct vsw_rig b;
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
    vsw_rig_init(&b);
    vsw_rig_barrier(&b);
    const struct meter *meter = meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter);
    CU_ASSERT_PTR_NOT_NULL_FATAL(meter);
    CU_ASSERT_EQUAL(meter->bands[0].rate, b.vsw->network->quota.packet_in_rate);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 77, "", "CONTROLLER");
    vsw_rig_barrier(&b);
    struct match mine;
    match_init(&mine);
    match_set_u64(&mine, R_VSW, b.vsw->id);
    const struct flow_entry *rule = flow_tables_find(b.edges[0].flows, T_VIRT, 0x8000, &mine);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rule);
    CU_ASSERT_TRUE(rule->instructions.apply.n == 1 && rule->instructions.apply.list[0].type == ACTION_CONTROLLER
                   && rule->instructions.apply.list[0].controller.meter == b.vsw->packet_in_meter);
    network_tenant(b.vsw->network)->quota.packet_in_rate = 20;
    struct of_packet_in pin = { .buffer_id = OFP_NO_BUFFER, .total_len = 60, .reason = OFPR_ACTION, .table_id = T_VIRT, .data = frame, .size = sizeof frame };
    match_set_u64(&pin.match, R_VSW, b.vsw->id);
    match_set_u64(&pin.match, R_IN, 1);
    uint64_t before = b.vsw->usage->n_packet_ins;
    for (unsigned i = 0; i < 50; i++) {
        fabric_packet_in(b.f.c.fabric, substrate_find(b.f.c.substrate, 1), &pin);
    }
    CU_ASSERT_EQUAL(b.vsw->usage->n_packet_ins - before, 20);
    CU_ASSERT_EQUAL(b.vsw->usage->n_packet_ins_dropped, 30);
    /* An edge without meters: rules go without. */
    fabric_refused(b.f.c.fabric, b.vsw->id, REFUSED_METER, b.vsw->packet_in_meter, OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS));
    vsw_rig_settle(&b);
    vsw_rig_barrier(&b);                /* As many rules as before, so settling did not wait for the edge. */
    rule = flow_tables_find(b.edges[0].flows, T_VIRT, 0x8000, &mine);
    CU_ASSERT_TRUE(rule && rule->instructions.apply.list[0].type == ACTION_CONTROLLER && !rule->instructions.apply.list[0].controller.meter);
    CU_ASSERT_PTR_NULL(meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter));
    vsw_rig_fini(&b);
}

static void test_connection_rate(void)
{
    struct vsw_rig b;
    unsigned pause_ms = 0;
    vsw_rig_init(&b);
    network_tenant(b.vsw->network)->quota.connection_rate = 5;
    for (unsigned i = 0; i < 10 && !pause_ms; i++) {
        CU_ASSERT_EQUAL(limits_accept(b.vsw, &pause_ms), i < 4);        /* The tenant's own connection was the first. */
    }
    CU_ASSERT_TRUE(pause_ms && pause_ms <= 12);
    loop_for(b.f.c.base, 20);
    CU_ASSERT_TRUE(limits_accept(b.vsw, &pause_ms));
    CU_ASSERT_EQUAL(b.vsw->usage->n_connections_refused, 1);
    struct buf text = BUF_INIT;
    limits_metrics(b.f.c.fabric, &text);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&text), "polder_tenant_connections_refused_total{tenant=\"red\"} 1\n"));
    buf_fini(&text);
    vsw_rig_fini(&b);
}

void limits_test_suite(void)
{
    UNIT_SUITE("limits", { "budget: random against tokens", test_random }, { "budget: rate and burst", test_rate }, { "budget: none", test_none },
               { "flow-mod rate", test_flow_mod_rate }, { "packet-in rate", test_packet_in_rate }, { "connection rate", test_connection_rate });
}
