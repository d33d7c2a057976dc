/* The agent over a backend in memory: roles, asynchronous messages, and what happens in which order. */
#include <string.h>
#include <event2/event.h>
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_async_test_suite;

/* --- Roles --- */

static void role_request(struct agent_rig *r, unsigned peer, uint32_t role, uint64_t generation_id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_ROLE_REQUEST, 0);
    msg.role.role = role;
    msg.role.generation_id = generation_id;
    of_conn_send(r->peer[peer]->conn, &msg);
}

static void expect_role(struct agent_rig *r, unsigned peer, uint32_t role, uint64_t generation_id)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_TRUE(msg.type == OFPT_ROLE_REPLY && msg.role.role == role && msg.role.generation_id == generation_id);
    of_msg_fini(&msg);
}

static void test_roles(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init(&r, 100, 2, 0);
    role_request(&r, 0, OFPCR_ROLE_NOCHANGE, 0);
    expect_role(&r, 0, OFPCR_ROLE_EQUAL, UINT64_MAX);
    role_request(&r, 0, OFPCR_ROLE_MASTER, UINT64_MAX);
    expect_role(&r, 0, OFPCR_ROLE_MASTER, UINT64_MAX);
    role_request(&r, 1, OFPCR_ROLE_MASTER, UINT64_MAX - 1);
    agent_rig_expect_error(&r, 1, OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE);
    role_request(&r, 1, OFPCR_ROLE_MASTER, 0);          /* After the largest comes zero. */
    expect_role(&r, 1, OFPCR_ROLE_MASTER, 0);
    role_request(&r, 0, OFPCR_ROLE_NOCHANGE, 0);
    expect_role(&r, 0, OFPCR_ROLE_SLAVE, 0);            /* There is one master. */
    role_request(&r, 0, 4, 0);
    agent_rig_expect_error(&r, 0, OFPET_ROLE_REQUEST_FAILED, OFPRRFC_BAD_ROLE);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 1);
    static const enum of_type changes[] = { OFPT_FLOW_MOD, OFPT_PORT_MOD, OFPT_TABLE_MOD, OFPT_METER_MOD, OFPT_PACKET_OUT };
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        agent_rig_say(&r, 0, changes[i]);
        agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE);
    }
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 1, 0);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE);
    msg = agent_rig_ask(&r, 0, OFPT_FEATURES_REQUEST, OFPT_FEATURES_REPLY);       /* But it may ask. */
    of_msg_fini(&msg);
    agent_rig_flow_mod(&r, 1, OFPFC_ADD, "in_port=1", "output:2", 0);
    agent_rig_barrier(&r, 1);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 1);
    of_conn_close(r.peer[1]->conn);
    r.peer[1]->conn = NULL;
    for (unsigned i = 0; i < 1000 && r.fake.last_n_up; i++) {
        loop_for(r.base, 2);
    }
    CU_ASSERT_EQUAL(r.fake.last_n_up, 0);               /* Slaves do not count. */
    role_request(&r, 0, OFPCR_ROLE_EQUAL, 0);
    expect_role(&r, 0, OFPCR_ROLE_EQUAL, 0);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 1);
    agent_rig_fini(&r);
}

/* --- Asynchronous messages --- */

static bool packet_in_from(struct agent_rig *r, uint32_t in_port, uint8_t reason)
{
    struct of_packet_in pi = { .buffer_id = OFP_NO_BUFFER, .total_len = 60, .reason = reason };
    uint8_t data[60] = { 2 };
    match_set_u64(&pi.match, FIELD_IN_PORT, in_port);
    pi.data = data;
    pi.size = sizeof data;
    return of_agent_packet_in(r->fake.agent, &pi);
}

static bool packet_in(struct agent_rig *r, uint8_t reason)
{
    return packet_in_from(r, 1, reason);
}

static void port_status(struct agent_rig *r, uint8_t reason)
{
    struct of_port port = { .port_no = 2, .name = "port2" };
    of_agent_port_status(r->fake.agent, reason, &port);
}

static void test_async(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 2, 0);
    struct of_msg msg = agent_rig_ask(&r, 0, OFPT_GET_ASYNC_REQUEST, OFPT_GET_ASYNC_REPLY);
    CU_ASSERT_TRUE(msg.async.packet_in[0] == 7 && msg.async.packet_in[1] == 0 && msg.async.port_status[0] == 7 && msg.async.port_status[1] == 7
                   && msg.async.flow_removed[0] == 15 && msg.async.flow_removed[1] == 0);
    role_request(&r, 1, OFPCR_ROLE_SLAVE, 1);
    expect_role(&r, 1, OFPCR_ROLE_SLAVE, 1);
    CU_ASSERT_TRUE(packet_in(&r, OFPR_ACTION));
    of_agent_port_flood(r.fake.agent, &(struct of_port) { .port_no = 2, .name = "port2" });       /* Is not for them. */
    port_status(&r, OFPPR_MODIFY);
    for (unsigned i = 0; i < 2; i++) {
        msg = of_peer_take(r.base, r.peer[i]);          /* Both get it. */
        CU_ASSERT_TRUE(msg.type == OFPT_PORT_STATUS && msg.port_status.port.port_no == 2);
    }
    CU_ASSERT_TRUE(r.peer[0]->n_packet_ins == 1 && r.peer[1]->n_packet_ins == 0);
    of_msg_init(&msg, OFPT_SET_ASYNC, 0);
    msg.async = (struct of_async) { .packet_in = { 1 << OFPR_NO_MATCH, 0 } };
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_FALSE(packet_in(&r, OFPR_ACTION));        /* Nobody wants it. */
    CU_ASSERT_TRUE(packet_in(&r, OFPR_NO_MATCH));
    CU_ASSERT_FALSE(packet_in(&r, 77));
    port_status(&r, OFPPR_ADD);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_packet_ins, 2));
    agent_rig_barrier(&r, 0);                                     /* No port-status came. */
    agent_rig_fini(&r);
}

static void add_dropped(const char *peer UNUSED, const char *role, const struct of_conn_counters *c, bool outgoing, void *sum)
{
    CU_ASSERT_STRING_EQUAL(role, "equal");
    CU_ASSERT_FALSE(outgoing);
    *(uint64_t *) sum += c->packet_ins_dropped;
}

static void test_packet_in_limit(void)
{
    struct agent_rig r;
    unsigned n = 0;
    uint64_t dropped = 0;
    agent_rig_init(&r, 100, 1, 50);
    for (unsigned i = 0; i < 200; i++) {
        n += packet_in(&r, OFPR_NO_MATCH);
    }
    CU_ASSERT_EQUAL(n, 51);                             /* The common bucket, and the port's own share. */
    CU_ASSERT_TRUE(packet_in_from(&r, 2, OFPR_NO_MATCH));      /* A port that floods leaves another one its share. */
    CU_ASSERT_FALSE(packet_in_from(&r, 2, OFPR_NO_MATCH));
    r.fake.now_ns += 100000000;                         /* A tenth of a second: five more. */
    for (unsigned i = 0; i < 200; i++) {
        n += packet_in(&r, OFPR_NO_MATCH);
    }
    CU_ASSERT_EQUAL(n, 56);
    of_agent_each_connection(r.fake.agent, add_dropped, &dropped);
    CU_ASSERT_EQUAL(dropped, 345);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_packet_ins, 57));
    agent_rig_fini(&r);
}

/* --- Order --- */

/* What follows a barrier waits until the backend has done it. */
static void test_barrier(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init(&r, 100, 1, 0);
    r.fake.defer_barriers = true;
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    agent_rig_say(&r, 0, OFPT_BARRIER_REQUEST);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "output:2", 0);
    for (unsigned i = 0; i < 2000 && !r.fake.barrier_done; i++) {
        loop_for(r.base, 2);
    }
    loop_for(r.base, 50);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 1);
    CU_ASSERT_EQUAL(r.peer[0]->n_messages, 0);
    fake_release(&r.fake);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);
    r.fake.defer_barriers = false;
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 2);

    r.fake.defer_barriers = true;                       /* The connection goes before the barrier is done: agent_rig_fini() does it afterwards. */
    agent_rig_say(&r, 0, OFPT_BARRIER_REQUEST);
    for (unsigned i = 0; i < 2000 && !r.fake.barrier_done; i++) {
        loop_for(r.base, 2);
    }
    CU_ASSERT_PTR_NOT_NULL(r.fake.barrier_done);
    agent_rig_fini(&r);
}

/* Statistics of many flows come piece by piece while the tables change, and the next request waits. */
static void test_streaming(void)
{
    enum { N = 20000 };
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init(&r, N, 1, 0);
    for (uint32_t i = 0; i < N; i++) {
        struct of_flow_mod fm;
        of_flow_mod_init(&fm);
        match_set_u64(&fm.match, FIELD_METADATA, i);
        fm.instructions.has_apply = true;
        actions_output(&fm.instructions.apply, 1);
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
        instructions_fini(&fm.instructions);
    }
    of_conn_read_enable(r.peer[0]->conn, false);        /* The peer is slow … */
    agent_rig_multipart(&r, 0, OFPMP_FLOW, 0);
    agent_rig_say(&r, 0, OFPT_BARRIER_REQUEST);
    loop_for(r.base, 300);
    struct of_flow_mod fm;
    of_flow_mod_init(&fm);                              /* … and meanwhile another clears the tables. */
    fm.command = OFPFC_DELETE;
    fm.table_id = OFPTT_ALL;
    CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
    of_conn_read_enable(r.peer[0]->conn, true);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);      /* After all of the statistics. */
    CU_ASSERT_TRUE(r.peer[0]->n_multipart > 5 && r.peer[0]->n_more == r.peer[0]->n_multipart - 1);
    CU_ASSERT_TRUE(r.peer[0]->n_elements <= N);
    agent_rig_fini(&r);
}

static void test_streaming_groups(void)
{
    enum { N = 3000 };
    struct agent_rig r;
    agent_rig_init(&r, 10, 1, 0);
    for (uint32_t i = 1; i <= N; i++) {
        agent_rig_group_mod(&r, 0, OFPGC_ADD, i, 0);
    }
    agent_rig_multipart(&r, 0, OFPMP_GROUP, OFPG_ALL);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_elements, N));
    CU_ASSERT_EQUAL(r.peer[0]->n_more, r.peer[0]->n_multipart - 1);
    agent_rig_fini(&r);
}

static void close_midway(struct agent_rig *r)
{
    of_conn_read_enable(r->peer[0]->conn, false);
    agent_rig_multipart(r, 0, OFPMP_FLOW, 0);
    loop_for(r->base, 100);
    of_conn_close(r->peer[0]->conn);
    r->peer[0]->conn = NULL;
    loop_for(r->base, 50);
}

/* A job whose peer leaves lets go of what it held (ASan would tell). */
static void test_streaming_cut(void)
{
    enum { N = 30000 };
    struct agent_rig r;
    agent_rig_init(&r, N, 1, 0);
    for (uint32_t i = 0; i < N; i++) {
        struct of_flow_mod fm;
        of_flow_mod_init(&fm);
        match_set_u64(&fm.match, FIELD_METADATA, i);
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
    }
    close_midway(&r);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 0);
    agent_rig_fini(&r);
}

/* An error that the backend finds later bears the request's xid and bytes; when the connection is another one by then it is nobody's. */
static void test_late_error(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 2, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    agent_rig_barrier(&r, 0);
    uint32_t xid = wire_get32(r.fake.request_raw + 4);
    of_agent_error(r.fake.agent, &r.fake.request, OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL));
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_ERROR && msg.xid == xid && msg.error.error.code == OFPFMFC_TABLE_FULL && msg.error.size == r.fake.request.size);
    CU_ASSERT_EQUAL(memcmp(msg.error.data, r.fake.request_raw, msg.error.size), 0);
    of_msg_fini(&msg);
    struct of_request gone = r.fake.request;
    gone.conn += 1000;
    of_agent_error(r.fake.agent, &gone, OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL));
    agent_rig_barrier(&r, 0);
    agent_rig_barrier(&r, 1);
    agent_rig_fini(&r);
}

/* Statistics wait for the backend's counters, and what comes behind them waits, too. */
static void test_refresh(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    agent_rig_barrier(&r, 0);
    r.fake.defer_refresh = true;
    agent_rig_multipart(&r, 0, OFPMP_FLOW, 0);
    agent_rig_say(&r, 0, OFPT_BARRIER_REQUEST);
    for (unsigned i = 0; i < 1000 && !r.fake.refresh_token; i++) {
        loop_for(r.base, 2);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(r.fake.refresh_token);
    loop_for(r.base, 20);
    CU_ASSERT_EQUAL(r.peer[0]->n_messages, 1);          /* The first barrier's. */
    r.fake.packets = 77;
    r.fake.refresh_done(r.fake.refresh_token);
    r.fake.refresh_token = NULL;
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);        /* Statistics are counted, not kept. */
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);
    of_msg_fini(&msg);
    CU_ASSERT_EQUAL(r.peer[0]->n_multipart, 1);
    agent_rig_multipart(&r, 0, OFPMP_GROUP, 99);
    for (unsigned i = 0; i < 1000 && !r.fake.refresh_token; i++) {
        loop_for(r.base, 2);
    }
    of_conn_close(r.peer[0]->conn);
    r.peer[0]->conn = NULL;
    for (unsigned i = 0; i < 1000 && r.fake.last_n_up; i++) {
        loop_for(r.base, 2);
    }
    r.fake.refresh_done(r.fake.refresh_token);          /* Nobody is there any more. */
    agent_rig_fini(&r);
}

void agent_async_test_suite(void)
{
    UNIT_SUITE("agent_async", { "roles", test_roles }, { "asynchronous messages", test_async }, { "packet-in limit", test_packet_in_limit },
               { "barrier", test_barrier }, { "streaming", test_streaming }, { "streaming groups", test_streaming_groups },
               { "streaming, cut", test_streaming_cut }, { "late error", test_late_error },
               { "refresh", test_refresh });
}
