/* What one controller hears of another (OpenFlow 1.4 section 7.4), the reasons of packet-ins in each version, and meters in bundles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_others_test_suite;

static void set_async(struct agent_rig *r, unsigned peer, const struct of_async *async)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_SET_ASYNC, 0);
    msg.async = *async;
    of_conn_send(r->peer[peer]->conn, &msg);
    agent_rig_barrier(r, peer);
}

static void meter_mod(struct of_msg *msg, enum of_meter_command command, uint32_t id, uint32_t rate)
{
    of_msg_init(msg, OFPT_METER_MOD, 0);
    msg->meter_mod = (struct of_meter_mod) { .command = command, .flags = OFPMF_KBPS, .meter_id = id };
    if (command != OFPMC_DELETE) {
        msg->meter_mod.n_bands = 1;
        msg->meter_mod.bands = xcalloc(1, sizeof *msg->meter_mod.bands);
        msg->meter_mod.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = rate };
    }
}

static void expect_forwarded(struct agent_rig *r, unsigned peer, uint8_t type, uint32_t id)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]), inner;
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_REQUESTFORWARD);
    CU_ASSERT_TRUE_FATAL(of_ok(of_decode(msg.requestforward.data, msg.requestforward.size, &inner)));
    CU_ASSERT_TRUE(inner.version == OF14_VERSION && inner.type == type);
    CU_ASSERT_EQUAL(type == OFPT_GROUP_MOD ? inner.group_mod.group_id : inner.meter_mod.meter_id, id);
    of_msg_fini(&inner);
    of_msg_fini(&msg);
}

/* Group-mods and meter-mods that were carried out go to the others that asked for them, and to nobody else. */
static void test_requestforward(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init_versions(&r, &fake_meter_ops, (uint8_t[]) { OF13_VERSION, OF14_VERSION, OF14_VERSION }, 3, 100, NULL);
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 1, 0);        /* Nobody has asked. */
    agent_rig_barrier(&r, 0);
    set_async(&r, 1, &(struct of_async) { .requestforward = { 1 << OFPRFR_GROUP_MOD | 1 << OFPRFR_METER_MOD, 0 }, .given = 1 << 11 });
    set_async(&r, 2, &(struct of_async) { .requestforward = { 1 << OFPRFR_METER_MOD, 0 }, .given = 1 << 11 });
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 1, 0);        /* Fails. */
    agent_rig_expect_error(&r, 0, OFPET_GROUP_MOD_FAILED, OFPGMFC_GROUP_EXISTS);
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 2, 0);
    expect_forwarded(&r, 1, OFPT_GROUP_MOD, 2);
    agent_rig_group_mod(&r, 1, OFPGC_ADD, 3, 0);        /* One's own do not come back. */
    meter_mod(&msg, OFPMC_ADD, 4, 9);
    of_conn_send(r.peer[0]->conn, &msg);
    of_msg_fini(&msg);
    expect_forwarded(&r, 1, OFPT_METER_MOD, 4);
    expect_forwarded(&r, 2, OFPT_METER_MOD, 4);
    for (unsigned i = 0; i < 3; i++) {
        agent_rig_barrier(&r, i);
    }
    agent_rig_fini(&r);
}

static void send_role(struct agent_rig *r, unsigned peer, uint32_t role, uint64_t generation)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_ROLE_REQUEST, 0);
    msg.role.role = role;
    msg.role.generation_id = generation;
    of_conn_send(r->peer[peer]->conn, &msg);
    msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_TRUE(msg.type == OFPT_ROLE_REPLY && msg.role.role == role);
}

static void test_role_status(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF14_VERSION, OF14_VERSION, OF13_VERSION }, 3, 100, NULL);
    send_role(&r, 0, OFPCR_ROLE_MASTER, 5);
    send_role(&r, 2, OFPCR_ROLE_MASTER, 6);
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_ROLE_STATUS && msg.role_status.role == OFPCR_ROLE_SLAVE && msg.role_status.reason == OFPCRR_MASTER_REQUEST);
    CU_ASSERT_EQUAL(msg.role_status.generation_id, 6);
    send_role(&r, 1, OFPCR_ROLE_MASTER, 7);             /* 1.3 is not told. */
    set_async(&r, 1, &(struct of_async) { .given = 1 << 7 });
    send_role(&r, 0, OFPCR_ROLE_MASTER, 8);             /* Nor who does not want to hear of it. */
    for (unsigned i = 0; i < 3; i++) {
        agent_rig_barrier(&r, i);
    }
    agent_rig_fini(&r);
}

static struct of_msg packet_in(struct agent_rig *r, unsigned peer)
{
    for (unsigned i = 0; i < 2000 && !r->peer[peer]->n_got; i++) {
        loop_for(r->base, 1);
    }
    return of_peer_take(r->base, r->peer[peer]);
}

/* 1.4 tells more reasons apart than 1.3, each with a bit of its own; for others all of those are actions. */
static void test_packet_in_reasons(void)
{
    struct agent_rig r;
    uint8_t frame[60] = { 2 };
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF14_VERSION, OF13_VERSION, OF10_VERSION }, 3, 100, NULL);
    for (unsigned i = 0; i < 3; i++) {
        r.peer[i]->keep_packet_ins = true;
    }
    for (uint8_t reason = OFPR_NO_MATCH; reason <= OFPR_PACKET_OUT; reason++) {
        struct of_packet_in pi = { .reason = reason, .buffer_id = OFP_NO_BUFFER, .data = frame, .size = sizeof frame, .total_len = sizeof frame };
        match_init(&pi.match);
        match_set_u64(&pi.match, FIELD_IN_PORT, 1);
        CU_ASSERT_TRUE(of_agent_packet_in(r.fake.agent, &pi));
        for (unsigned i = 0; i < 3; i++) {
            struct of_msg msg = packet_in(&r, i);
            CU_ASSERT_EQUAL(msg.type, OFPT_PACKET_IN);
            CU_ASSERT_EQUAL(msg.packet_in.reason, i && reason > OFPR_INVALID_TTL ? OFPR_ACTION : reason);
            of_msg_fini(&msg);
        }
    }
    /* The bit of 1.4's own reason counts there, that of OFPR_ACTION elsewhere. */
    set_async(&r, 0, &(struct of_async) { .packet_in = { 1 << OFPR_GROUP, 0 }, .given = 1 << 1 });
    set_async(&r, 1, &(struct of_async) { .packet_in = { 1 << OFPR_GROUP, 0 } });
    set_async(&r, 2, &(struct of_async) { .packet_in = { 1 << OFPR_NO_MATCH, 0 } });
    struct of_packet_in pi = { .reason = OFPR_GROUP, .buffer_id = OFP_NO_BUFFER, .data = frame, .size = sizeof frame, .total_len = sizeof frame };
    match_init(&pi.match);
    CU_ASSERT_TRUE(of_agent_packet_in(r.fake.agent, &pi));
    pi.reason = OFPR_ACTION_SET;
    CU_ASSERT_FALSE(of_agent_packet_in(r.fake.agent, &pi));
    struct of_msg msg = packet_in(&r, 0);
    CU_ASSERT_EQUAL(msg.packet_in.reason, OFPR_GROUP);
    of_msg_fini(&msg);
    for (unsigned i = 0; i < 3; i++) {
        agent_rig_barrier(&r, i);
    }
    agent_rig_fini(&r);
}

/* An entry that goes with its meter: a reason of its own in 1.4, a deletion before. */
static void test_meter_delete(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init_versions(&r, &fake_meter_ops, (uint8_t[]) { OF13_VERSION, OF14_VERSION }, 2, 100, NULL);
    meter_mod(&msg, OFPMC_ADD, 4, 9);
    of_conn_send(r.peer[0]->conn, &msg);
    of_msg_fini(&msg);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:4,output:1", OFPFF_SEND_FLOW_REM);
    meter_mod(&msg, OFPMC_DELETE, 4, 0);
    of_conn_send(r.peer[0]->conn, &msg);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_DELETE);
    msg = of_peer_take(r.base, r.peer[1]);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_METER_DELETE);
    agent_rig_fini(&r);
}

/* --- Meters in bundles --- */

static void bundle_add(struct agent_rig *r, uint32_t id, struct of_msg *inner)
{
    struct of_msg msg;
    struct buf b = BUF_INIT;
    inner->version = OF14_VERSION;
    inner->xid = 77;
    of_encode(inner, &b);
    of_msg_init(&msg, OFPT_BUNDLE_ADD_MESSAGE, inner->xid);
    msg.bundle_add.id = id;
    msg.bundle_add.flags = OFPBF_ATOMIC;
    msg.bundle_add.data = b.data;
    msg.bundle_add.size = (unsigned) b.size;
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
    of_msg_fini(inner);
}

static void bundle_meter(struct agent_rig *r, uint32_t id, enum of_meter_command command, uint32_t meter, uint32_t rate)
{
    struct of_msg inner;
    meter_mod(&inner, command, meter, rate);
    bundle_add(r, id, &inner);
}

static void bundle_flow(struct agent_rig *r, uint32_t id, const char *match, const char *actions)
{
    struct of_msg inner;
    struct err err = ERR_INIT;
    of_msg_init(&inner, OFPT_FLOW_MOD, 0);
    CU_ASSERT_TRUE(match_parse(match, &inner.flow_mod.match, &err) && instructions_parse(actions, &inner.flow_mod.instructions, &err));
    bundle_add(r, id, &inner);
}

static void commit(struct agent_rig *r, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BUNDLE_CONTROL, 0);
    msg.bundle.id = id;
    msg.bundle.type = OFPBCT_COMMIT_REQUEST;
    msg.bundle.flags = OFPBF_ATOMIC;
    of_conn_send(r->peer[0]->conn, &msg);
}

static uint32_t rate_of(struct agent_rig *r, uint32_t id)
{
    const struct meter *m = meter_table_find(r->fake.meters, id);
    return m ? m->bands[0].rate : 0;
}

static void expect_committed(struct agent_rig *r)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[0]);
    CU_ASSERT_EQUAL(msg.type, OFPT_BUNDLE_CONTROL);
    of_msg_fini(&msg);
}

static void test_meters_in_bundles(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_meter_ops, (uint8_t[]) { OF14_VERSION, OF14_VERSION }, 2, 100, NULL);
    set_async(&r, 1, &(struct of_async) { .requestforward = { 1 << OFPRFR_METER_MOD, 0 }, .given = 1 << 11 });
    bundle_meter(&r, 1, OFPMC_ADD, 1, 10);
    bundle_meter(&r, 1, OFPMC_ADD, 2, 20);
    bundle_flow(&r, 1, "in_port=1", "meter:1,output:2");
    commit(&r, 1);
    expect_committed(&r);
    expect_forwarded(&r, 1, OFPT_METER_MOD, 1);         /* Not before the commit. */
    expect_forwarded(&r, 1, OFPT_METER_MOD, 2);
    CU_ASSERT_TRUE(rate_of(&r, 1) == 10 && flow_tables_meter_refs(r.fake.flows, 1) == 1);
    /* All of this is taken back: the last message names a group that is not there. */
    bundle_meter(&r, 2, OFPMC_MODIFY, 1, 11);
    bundle_meter(&r, 2, OFPMC_DELETE, 2, 0);
    bundle_meter(&r, 2, OFPMC_ADD, 3, 30);
    bundle_meter(&r, 2, OFPMC_DELETE, 1, 0);
    bundle_flow(&r, 2, "in_port=2", "group:9");
    commit(&r, 2);
    agent_rig_expect_error(&r, 0, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    agent_rig_expect_error(&r, 0, OFPET_BUNDLE_FAILED, OFPBFC_MSG_FAILED);
    CU_ASSERT_TRUE(rate_of(&r, 1) == 10 && rate_of(&r, 2) == 20 && !rate_of(&r, 3));
    CU_ASSERT_EQUAL(flow_tables_meter_refs(r.fake.flows, 1), 1);
    /* A meter that is deleted and made again has lost the entries that used the former one. */
    bundle_meter(&r, 3, OFPMC_MODIFY, 2, 21);
    bundle_meter(&r, 3, OFPMC_DELETE, 1, 0);
    bundle_meter(&r, 3, OFPMC_ADD, 1, 12);
    bundle_flow(&r, 3, "in_port=3", "meter:1,output:2");
    commit(&r, 3);
    expect_committed(&r);
    CU_ASSERT_TRUE(rate_of(&r, 1) == 12 && rate_of(&r, 2) == 21);
    CU_ASSERT_TRUE(flow_tables_count(r.fake.flows, OFPTT_ALL) == 1 && flow_tables_meter_refs(r.fake.flows, 1) == 1);
    bundle_meter(&r, 4, OFPMC_DELETE, OFPM_ALL, 0);
    bundle_flow(&r, 4, "in_port=4", "meter:1,output:2");
    commit(&r, 4);
    agent_rig_expect_error(&r, 0, OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
    agent_rig_expect_error(&r, 0, OFPET_BUNDLE_FAILED, OFPBFC_MSG_FAILED);
    CU_ASSERT_TRUE(rate_of(&r, 1) == 12 && rate_of(&r, 2) == 21);
    agent_rig_fini(&r);
}

/* Other listeners: who came in by one that stays hears nothing of it. */
static void test_retarget(void)
{
    const char *listen[] = { "ptcp:0:127.0.0.1", "ptcp:0:127.0.0.2" };
    struct of_agent_config both = { .listen = listen, .n_listen = 2 }, first = { .listen = listen, .n_listen = 1 }, second = { .listen = listen + 1, .n_listen = 1 };
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    struct agent_rig r;
    struct err err = ERR_INIT;
    char target[40];
    agent_rig_init(&r, 100, 2, 0);
    CU_ASSERT_TRUE_FATAL(of_agent_retarget(r.fake.agent, &both, &err));
    snprintf(target, sizeof target, "tcp:127.0.0.2:%u", of_agent_listen_port(r.fake.agent, 1));
    r.peer[2]->conn = of_conn_connect(r.base, target, NULL, &options, &of_peer_ops, r.peer[2], &err);
    CU_ASSERT_TRUE_FATAL(loop_until(r.base, &r.peer[2]->n_up, 1));
    for (unsigned i = 0; i < 3; i++) {
        agent_rig_barrier(&r, i);
    }
    CU_ASSERT_TRUE(of_agent_retarget(r.fake.agent, &first, &err));
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[2]->n_down, 1));
    CU_ASSERT_EQUAL(of_agent_listen_port(r.fake.agent, 1), 0);
    agent_rig_barrier(&r, 0);
    agent_rig_barrier(&r, 1);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 2);

    /* Connections out, likewise: this one reaches the agent itself. */
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", of_agent_listen_port(r.fake.agent, 0));
    first.n_controllers = 1;
    first.controllers = xcalloc(1, sizeof *first.controllers);
    first.controllers[0].target = target;
    CU_ASSERT_TRUE(of_agent_retarget(r.fake.agent, &first, &err));
    CU_ASSERT_TRUE(loop_until(r.base, &r.fake.last_n_up, 1));
    agent_rig_barrier(&r, 0);
    CU_ASSERT_TRUE(of_agent_retarget(r.fake.agent, &second, &err));
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_down, 1) && loop_until(r.base, &r.peer[1]->n_down, 1));
    listen[1] = "nonsense";
    CU_ASSERT_FALSE(of_agent_retarget(r.fake.agent, &second, &err));
    CU_ASSERT_STRING_EQUAL(err.field, "listen[0]");
    free(first.controllers);
    agent_rig_fini(&r);
}

void agent_others_test_suite(void)
{
    UNIT_SUITE("agent_others", { "requests forwarded", test_requestforward }, { "role status", test_role_status }, { "reasons of packet-ins", test_packet_in_reasons },
               { "a meter deleted", test_meter_delete },
               { "meters in bundles", test_meters_in_bundles }, { "other targets", test_retarget });
}
