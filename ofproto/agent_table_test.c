/* Tables as a controller of OpenFlow 1.4 configures them, and what is sent to a peer that does not read. */
#include <event2/event.h>
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_table_test_suite;

static void send_table_mod(struct agent_rig *r, unsigned peer, const struct of_table_config *config)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_TABLE_MOD, 0);
    msg.table_mod = *config;
    of_conn_send(r->peer[peer]->conn, &msg);
}

static void send_add(struct agent_rig *r, uint32_t in_port, uint16_t importance, uint16_t flags)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.importance = importance;
    msg.flow_mod.flags = flags;
    match_set_u64(&msg.flow_mod.match, FIELD_IN_PORT, in_port);
    of_conn_send(r->peer[0]->conn, &msg);
}

static void test_eviction(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF14_VERSION, OF13_VERSION }, 2, 100, NULL);
    flow_tables_limit(r.fake.flows, 0, 2);
    send_table_mod(&r, 0, &(struct of_table_config) { .table_id = 0, .config = OFPTC_EVICTION });
    struct of_msg msg = agent_rig_ask_multipart(&r, OFPMP_TABLE_DESC, 0);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.table_descs.n, OF_N_TABLES);
    const struct of_table_config *desc = msg.multipart.table_descs.v;
    CU_ASSERT_TRUE(desc[0].config == OFPTC_EVICTION && desc[0].eviction_flags == (OFPTMPEF_IMPORTANCE | OFPTMPEF_LIFETIME) && !desc[1].config);
    of_msg_fini(&msg);
    send_add(&r, 1, 5, OFPFF_SEND_FLOW_REM);
    send_add(&r, 2, 6, OFPFF_SEND_FLOW_REM);
    send_add(&r, 3, 4, 0);
    agent_rig_expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);  /* Less important than all that is there. */
    send_add(&r, 3, 5, 0);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_EVICTION && be32_get(msg.flow_removed.match.value.flow.in_port) == 1);
    msg = of_peer_take(r.base, r.peer[1]);              /* 1.3 has no such reason. */
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_DELETE);
    send_table_mod(&r, 0, &(struct of_table_config) { .table_id = OF_N_TABLES });
    agent_rig_expect_error(&r, 0, OFPET_TABLE_MOD_FAILED, OFPTMFC_BAD_TABLE);
    send_table_mod(&r, 0, &(struct of_table_config) { .table_id = 0, .config = 16 });
    agent_rig_expect_error(&r, 0, OFPET_TABLE_MOD_FAILED, OFPTMFC_BAD_CONFIG);
    send_table_mod(&r, 1, &(struct of_table_config) { .table_id = 0, .config = OFPTC_EVICTION });     /* 1.4's. */
    agent_rig_expect_error(&r, 1, OFPET_TABLE_MOD_FAILED, OFPTMFC_BAD_CONFIG);
    send_table_mod(&r, 0, &(struct of_table_config) { .table_id = 0, .has_eviction = true, .eviction_flags = 64 });
    agent_rig_expect_error(&r, 0, OFPET_BAD_PROPERTY, OFPBPC_BAD_VALUE);
    send_table_mod(&r, 0, &(struct of_table_config) { .table_id = OFPTT_ALL });
    send_add(&r, 4, 9, 0);
    agent_rig_expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);  /* It is off again. */
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

static void expect_table_status(struct agent_rig *r, unsigned peer, uint8_t reason, uint8_t vacancy)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_TABLE_STATUS);
    CU_ASSERT_TRUE(msg.table_status.reason == reason && msg.table_status.table.has_vacancy && msg.table_status.table.vacancy == vacancy);
}

static void test_vacancy(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF14_VERSION, OF14_VERSION, OF13_VERSION }, 3, 100, NULL);
    flow_tables_limit(r.fake.flows, 0, 4);
    of_msg_init(&msg, OFPT_SET_ASYNC, 0);               /* The other one of 1.4 wants to hear of one event only. */
    msg.async = (struct of_async) { .table_status = { 1 << OFPTR_VACANCY_UP, 0 }, .given = 1 << 9 };
    of_conn_send(r.peer[1]->conn, &msg);
    agent_rig_barrier(&r, 1);
    send_table_mod(&r, 0, &(struct of_table_config) { .config = OFPTC_VACANCY_EVENTS | OFPTC_EVICTION, .has_vacancy = true, .vacancy_down = 30, .vacancy_up = 60 });
    for (uint32_t in_port = 1; in_port <= 3; in_port++) {
        send_add(&r, in_port, 0, 0);
    }
    expect_table_status(&r, 0, OFPTR_VACANCY_DOWN, 25);
    send_add(&r, 4, 0, 0);
    send_add(&r, 5, 0, 0);                              /* Evicts: as full as before. */
    agent_rig_barrier(&r, 0);
    agent_rig_flow_mod(&r, 2, OFPFC_DELETE, "", "", 0);
    expect_table_status(&r, 0, OFPTR_VACANCY_UP, 100);
    expect_table_status(&r, 1, OFPTR_VACANCY_UP, 100);
    for (unsigned i = 0; i < 3; i++) {
        agent_rig_barrier(&r, i);
    }
    agent_rig_fini(&r);
}

/* Messages that may not be left out (flow-removed here) pile up for a peer that does not read, up to a limit; then it is let go. */
static void test_unread(void)
{
    struct agent_rig r;
    struct of_agent_config limits = { .max_unread = 2 << 20 };
    struct of_flow_mod fm;
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF13_VERSION, OF13_VERSION }, 2, 10, &limits);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_SET_ASYNC, 0);               /* The other one hears of none of it. */
    of_conn_send(r.peer[1]->conn, &msg);
    agent_rig_barrier(&r, 1);
    of_conn_read_enable(r.peer[0]->conn, false);
    unsigned n = 0;
    for (; n < 1000000 && r.fake.last_n_up == 2; n++) {
        of_flow_mod_init(&fm);
        fm.flags = OFPFF_SEND_FLOW_REM;
        match_set_u64(&fm.match, FIELD_IN_PORT, 1);
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
        fm.command = OFPFC_DELETE;
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
        if (n % 256 == 0) {
            loop_for(r.base, 1);
        }
    }
    CU_ASSERT_TRUE(n > 20000 && n < 1000000);           /* 56 bytes each at least, and what the sockets hold. */
    agent_rig_barrier(&r, 1);                           /* Who reads is none the worse. */
    agent_rig_fini(&r);
}

void agent_table_test_suite(void)
{
    UNIT_SUITE("agent_table", { "eviction", test_eviction }, { "vacancy events", test_vacancy }, { "a peer that does not read", test_unread });
}
