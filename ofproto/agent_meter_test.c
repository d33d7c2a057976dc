/* Meters as a controller sees them: mods, entries that use them, statistics, configuration, features. */
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_meter_test_suite;

static void meter_mod(struct agent_rig *r, enum of_meter_command command, uint32_t id, uint16_t flags)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_METER_MOD, 0);
    msg.meter_mod = (struct of_meter_mod) { .command = command, .flags = flags, .meter_id = id };
    if (command != OFPMC_DELETE) {
        msg.meter_mod.n_bands = 2;
        msg.meter_mod.bands = xcalloc(2, sizeof *msg.meter_mod.bands);
        msg.meter_mod.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = 10 * id, .burst_size = 3 };
        msg.meter_mod.bands[1] = (struct of_meter_band) { .type = OFPMBT_DSCP_REMARK, .rate = 5 * id, .prec_level = 1 };
    }
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
}

static void test_mods(void)
{
    struct agent_rig r;
    agent_rig_init_ops(&r, &fake_meter_ops, 100, 1, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:5,output:1", 0);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
    meter_mod(&r, OFPMC_MODIFY, 5, 0);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN_METER);
    meter_mod(&r, OFPMC_ADD, 5, 0);
    meter_mod(&r, OFPMC_ADD, 6, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:5,output:1", 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "meter:6,output:1", 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=3", "output:1", 0);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 3);
    meter_mod(&r, OFPMC_ADD, 5, 0);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_METER_EXISTS);
    /* Entries go with their meter. */
    meter_mod(&r, OFPMC_DELETE, 5, 0);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 2);
    CU_ASSERT_PTR_NULL(meter_table_find(r.fake.meters, 5));
    meter_mod(&r, OFPMC_DELETE, OFPM_ALL, 0);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 1);
    agent_rig_fini(&r);
}

static void test_questions(void)
{
    struct agent_rig r;
    agent_rig_init_ops(&r, &fake_meter_ops, 100, 1, 0);
    meter_mod(&r, OFPMC_ADD, 5, OFPMF_PKTPS | OFPMF_BURST);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:5,output:1", 0);
    r.fake.packets = 9;
    struct of_msg msg = agent_rig_ask_multipart(&r, OFPMP_METER, OFPM_ALL);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.meters.n, 1);
    const struct of_meter_stats *ms = &msg.multipart.meters.v[0];
    CU_ASSERT_TRUE(ms->meter_id == 5 && ms->flow_count == 1 && ms->packet_in_count == 9 && ms->byte_in_count == 900 && ms->n_bands == 2);
    of_msg_fini(&msg);
    msg = agent_rig_ask_multipart(&r, OFPMP_METER_CONFIG, 5);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.meter_configs.n, 1);
    const struct of_meter_mod *mm = &msg.multipart.meter_configs.v[0];
    CU_ASSERT_TRUE(mm->meter_id == 5 && mm->flags == (OFPMF_PKTPS | OFPMF_BURST) && mm->n_bands == 2);
    CU_ASSERT_TRUE(mm->bands[0].type == OFPMBT_DROP && mm->bands[0].rate == 50 && mm->bands[0].burst_size == 3);
    CU_ASSERT_TRUE(mm->bands[1].type == OFPMBT_DSCP_REMARK && mm->bands[1].prec_level == 1);
    of_msg_fini(&msg);
    agent_rig_multipart(&r, 0, OFPMP_METER, 6);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN_METER);
    agent_rig_multipart(&r, 0, OFPMP_METER_CONFIG, 6);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN_METER);
    msg = agent_rig_ask_multipart(&r, OFPMP_METER_FEATURES, 0);
    CU_ASSERT_TRUE(msg.multipart.meter_features.max_meter == 4000 && msg.multipart.meter_features.max_bands == METER_MAX_BANDS);
    of_msg_fini(&msg);
    agent_rig_fini(&r);
}

/* More than fits one message. */
static void test_segments(void)
{
    struct agent_rig r;
    unsigned n = 0;
    bool more = true;
    agent_rig_init_ops(&r, &fake_meter_ops, 100, 1, 0);
    for (uint32_t id = 1; id <= 2000; id++) {
        meter_mod(&r, OFPMC_ADD, id, 0);
    }
    agent_rig_barrier(&r, 0);
    agent_rig_multipart(&r, 0, OFPMP_METER, OFPM_ALL);
    while (more) {
        struct of_msg msg = of_peer_take(r.base, r.peer[0]);
        CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_MULTIPART_REPLY);
        n += msg.multipart.meters.n;
        more = msg.multipart.flags & OFPMPF_MORE;
        of_msg_fini(&msg);
    }
    CU_ASSERT_EQUAL(n, 2000);
    agent_rig_fini(&r);
}

void agent_meter_test_suite(void)
{
    UNIT_SUITE("agent meters", { "mods", test_mods }, { "questions", test_questions }, { "segments", test_segments });
}
