/* The agent over a backend in memory, spoken to by real connections on loopback. */
#include "ofproto/agent.h"

#include <string.h>
#include <unistd.h>
#include <event2/event.h>
#include "ofproto/agent_fake.h"
#include "ofproto/of_peer.h"
#include "ofproto/polder.h"
#include "tests/unit.h"

unit_suite_fn agent_test_suite;

enum { N_PEERS = 3 };

struct rig {
    struct event_base *base;
    struct fake fake;
    struct of_peer *peer[N_PEERS];
};

static void rig_connect(struct rig *r, unsigned i)
{
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    struct err err = ERR_INIT;
    char target[40];
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", of_agent_listen_port(r->fake.agent, 0));
    r->peer[i]->conn = of_conn_connect(r->base, target, NULL, &options, &of_peer_ops, r->peer[i], &err);
    CU_ASSERT_TRUE_FATAL(loop_until(r->base, &r->peer[i]->n_up, 1));
}

static void rig_init(struct rig *r, unsigned max_flows, unsigned n_peers, unsigned packet_in_rate)
{
    const char *listen[] = { "ptcp:0:127.0.0.1" };
    struct of_agent_config config = { .listen = listen, .n_listen = 1, .versions = 1u << OF13_VERSION, .packet_in_rate = packet_in_rate };
    struct err err = ERR_INIT;
    r->base = event_base_new();
    fake_init(&r->fake, max_flows, 4000);
    r->fake.agent = of_agent_new(r->base, &config, r->fake.clock, &fake_ops, &r->fake, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->fake.agent);
    for (unsigned i = 0; i < N_PEERS; i++) {
        r->peer[i] = of_peer_new();
        if (i < n_peers) {
            rig_connect(r, i);
        }
    }
    CU_ASSERT_TRUE(loop_until(r->base, &r->fake.last_n_up, n_peers));
}

static void rig_fini(struct rig *r)
{
    for (unsigned i = 0; i < N_PEERS; i++) {
        of_peer_free(r->peer[i]);
    }
    of_agent_free(r->fake.agent);
    fake_release(&r->fake);             /* A barrier that the agent forgot. */
    fake_fini(&r->fake);
    event_base_free(r->base);
}

static void say(struct rig *r, unsigned peer, enum of_type type)
{
    struct of_msg msg;
    of_msg_init(&msg, type, 0);
    of_conn_send(r->peer[peer]->conn, &msg);
}

/* A request without arguments, and its reply. */
static struct of_msg ask(struct rig *r, unsigned peer, enum of_type type, enum of_type reply)
{
    say(r, peer, type);
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_EQUAL_FATAL(msg.type, reply);
    return msg;
}

/* Everything sent so far is processed, and nothing but the reply has come. */
static void barrier(struct rig *r, unsigned peer)
{
    struct of_msg msg = ask(r, peer, OFPT_BARRIER_REQUEST, OFPT_BARRIER_REPLY);
    of_msg_fini(&msg);
}

static void flow_mod(struct rig *r, unsigned peer, enum of_flow_command command, const char *match, const char *actions, uint16_t flags)
{
    struct of_msg msg;
    struct err err = ERR_INIT;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.command = command;
    msg.flow_mod.flags = flags;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &msg.flow_mod.match, &err) && instructions_parse(actions, &msg.flow_mod.instructions, &err));
    of_conn_send(r->peer[peer]->conn, &msg);
    of_msg_fini(&msg);
}

static void group_mod(struct rig *r, unsigned peer, enum of_group_command command, uint32_t id, uint32_t to_group)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_GROUP_MOD, 0);
    msg.group_mod = (struct of_group_mod) { command, OFPGT_ALL, id, xcalloc(1, sizeof(struct of_bucket)), command == OFPGC_DELETE ? 0 : 1 };
    if (msg.group_mod.n_buckets) {
        msg.group_mod.buckets[0].watch_port = OFPP_ANY;
        msg.group_mod.buckets[0].watch_group = OFPG_ANY;
        if (to_group) {
            actions_group(&msg.group_mod.buckets[0].actions, to_group);
        } else {
            actions_output(&msg.group_mod.buckets[0].actions, 1);
        }
    }
    of_conn_send(r->peer[peer]->conn, &msg);
    of_msg_fini(&msg);
}

static void multipart(struct rig *r, unsigned peer, uint16_t type, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = type;
    if (type == OFPMP_FLOW || type == OFPMP_AGGREGATE) {
        of_flow_filter_init(&msg.multipart.filter);
    } else {
        msg.multipart.id = id;
    }
    of_conn_send(r->peer[peer]->conn, &msg);
}

static struct of_msg ask_multipart(struct rig *r, uint16_t type, uint32_t id)
{
    multipart(r, 0, type, id);
    struct of_msg msg = of_peer_take(r->base, r->peer[0]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_MULTIPART_REPLY);
    CU_ASSERT_EQUAL(msg.multipart.type, type);
    return msg;
}

static void expect_error(struct rig *r, unsigned peer, uint16_t type, uint16_t code)
{
    of_peer_expect_error(r->base, r->peer[peer], type, code);
}

/* --- Questions --- */

static void test_questions(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    struct of_msg msg = ask(&r, 0, OFPT_FEATURES_REQUEST, OFPT_FEATURES_REPLY);
    CU_ASSERT_TRUE(msg.features.datapath_id == 0xfa4e && msg.features.auxiliary_id == 0);
    msg = ask(&r, 0, OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY);
    CU_ASSERT_EQUAL(msg.config.miss_send_len, 128);
    of_msg_init(&msg, OFPT_SET_CONFIG, 0);
    msg.config.miss_send_len = 77;
    of_conn_send(r.peer[0]->conn, &msg);
    msg = ask(&r, 0, OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY);
    CU_ASSERT_EQUAL(msg.config.miss_send_len, 77);
    of_msg_init(&msg, OFPT_SET_CONFIG, 0);
    msg.config.flags = 1;
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_SWITCH_CONFIG_FAILED, OFPSCFC_BAD_FLAGS);
    of_msg_init(&msg, OFPT_QUEUE_GET_CONFIG_REQUEST, 0);
    msg.queue_config.port = 2;
    of_conn_send(r.peer[0]->conn, &msg);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_QUEUE_GET_CONFIG_REPLY && msg.queue_config.port == 2);
    of_msg_init(&msg, OFPT_QUEUE_GET_CONFIG_REQUEST, 0);
    msg.queue_config.port = 9;
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_PORT);
    say(&r, 0, OFPT_FEATURES_REPLY);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    barrier(&r, 0);
    rig_fini(&r);
}

static void test_multipart(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    struct of_msg msg = ask_multipart(&r, OFPMP_DESC, 0);
    CU_ASSERT_STRING_EQUAL(msg.multipart.desc->mfr, "Polder");
    of_msg_fini(&msg);
    msg = ask_multipart(&r, OFPMP_PORT_DESC, 0);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.ports.n, 3);
    CU_ASSERT_STRING_EQUAL(msg.multipart.ports.v[1].name, "port2");
    of_msg_fini(&msg);
    msg = ask_multipart(&r, OFPMP_PORT_STATS, OFPP_ANY);
    CU_ASSERT_EQUAL(msg.multipart.port_stats.n, 3);
    of_msg_fini(&msg);
    msg = ask_multipart(&r, OFPMP_PORT_STATS, 2);
    CU_ASSERT_TRUE(msg.multipart.port_stats.n == 1 && msg.multipart.port_stats.v[0].rx_packets == 14);
    of_msg_fini(&msg);
    multipart(&r, 0, OFPMP_PORT_STATS, 8);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PORT);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    r.fake.packets = 5;
    msg = ask_multipart(&r, OFPMP_TABLE, 0);
    CU_ASSERT_TRUE(msg.multipart.tables.n == OF_N_TABLES && msg.multipart.tables.v[0].active_count == 1);
    of_msg_fini(&msg);
    msg = ask_multipart(&r, OFPMP_AGGREGATE, 0);
    CU_ASSERT_TRUE(msg.multipart.aggregate.flow_count == 1 && msg.multipart.aggregate.byte_count == 500);
    msg = ask_multipart(&r, OFPMP_GROUP_FEATURES, 0);
    CU_ASSERT_TRUE(msg.multipart.group_features.types == 0xf && msg.multipart.group_features.max_groups[OFPGT_FF] == 4000);
    msg = ask_multipart(&r, OFPMP_METER_FEATURES, 0);
    CU_ASSERT_EQUAL(msg.multipart.meter_features.max_meter, 0);
    msg = ask_multipart(&r, OFPMP_METER, OFPM_ALL);
    CU_ASSERT_EQUAL(msg.multipart.meters.n, 0);
    of_msg_fini(&msg);
    of_msg_init(&msg, OFPT_METER_MOD, 0);
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = OFPMP_QUEUE;
    msg.multipart.queue.port_no = 1;
    msg.multipart.queue.queue_id = 4;
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_QUEUE);
    barrier(&r, 0);
    rig_fini(&r);
}

/* Every table once, over as many segments as it takes, each a list of whole ofp_table_features. */
static void test_table_features(void)
{
    struct rig r;
    bool more = true, seen[OF_N_TABLES] = { false };
    rig_init(&r, 100, 1, 0);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = OFPMP_TABLE_FEATURES;
    of_conn_send(r.peer[0]->conn, &msg);
    while (more) {
        msg = of_peer_take(r.base, r.peer[0]);
        CU_ASSERT_EQUAL_FATAL(msg.multipart.type, OFPMP_TABLE_FEATURES);
        more = msg.multipart.flags & OFPMPF_MORE;
        for (unsigned at = 0; at < msg.multipart.raw.n; at += wire_get16(msg.multipart.raw.v + at)) {
            unsigned table = msg.multipart.raw.v[at + 2];
            CU_ASSERT_TRUE_FATAL(table < OF_N_TABLES && !seen[table]);
            seen[table] = true;
        }
        of_msg_fini(&msg);
    }
    CU_ASSERT_PTR_NULL(memchr(seen, false, sizeof seen));
    rig_fini(&r);
}

/* --- Requests in segments --- */

static void send_segment(struct rig *r, uint16_t type, uint32_t xid, unsigned size, bool more)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, xid);
    msg.multipart.type = type;
    msg.multipart.flags = more ? OFPMPF_MORE : 0;
    if (type == OFPMP_EXPERIMENTER) {
        msg.multipart.raw.v = xcalloc(1, size);
        msg.multipart.raw.n = size;
    }
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
}

static void test_request_segments(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    send_segment(&r, OFPMP_PORT_DESC, 50, 0, true);     /* Has no body that could go on. */
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_MULTIPART_BUFFER_OVERFLOW);
    send_segment(&r, OFPMP_PORT_DESC, 50, 0, false);    /* Refused as a whole: no second error, no reply. */
    barrier(&r, 0);
    send_segment(&r, OFPMP_EXPERIMENTER, 51, 60000, true);
    send_segment(&r, OFPMP_EXPERIMENTER, 51, 60000, false);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    for (unsigned i = 0; i < 20; i++) {
        send_segment(&r, OFPMP_EXPERIMENTER, 52, 60000, i < 19);
    }
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_MULTIPART_BUFFER_OVERFLOW);   /* Beyond 1 MiB, once. */
    barrier(&r, 0);
    rig_fini(&r);
}

/* --- Changes --- */

static void test_flow_mods(void)
{
    struct rig r;
    struct of_msg msg;
    rig_init(&r, 2, 1, 0);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "group:5", 0);
    expect_error(&r, 0, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:5", 0);
    expect_error(&r, 0, OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST);
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.buffer_id = 3;
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BUFFER_UNKNOWN);
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.table_id = OF_N_TABLES;
    of_conn_send(r.peer[0]->conn, &msg);
    expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 0);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", OFPFF_SEND_FLOW_REM);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "output:2", 0);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=3", "output:2", 0);
    expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    r.fake.packets = 9;
    flow_mod(&r, 0, OFPFC_DELETE, "", "drop", 0);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_FLOW_REMOVED);
    CU_ASSERT_TRUE(msg.xid == 0 && msg.flow_removed.reason == OFPRR_DELETE && msg.flow_removed.packet_count == 9 && msg.flow_removed.byte_count == 900);
    barrier(&r, 0);                                     /* The other had not asked for it. */
    rig_fini(&r);
}

static void test_groups(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    group_mod(&r, 0, OFPGC_ADD, 1, 0);
    group_mod(&r, 0, OFPGC_ADD, 2, 1);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "group:1", 0);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "group:2", OFPFF_SEND_FLOW_REM);
    multipart(&r, 0, OFPMP_GROUP, 1);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_elements, 1));
    struct of_msg msg = ask_multipart(&r, OFPMP_GROUP_DESC, 0);
    CU_ASSERT_EQUAL(msg.multipart.group_descs.n, 2);
    of_msg_fini(&msg);
    group_mod(&r, 0, OFPGC_DELETE, 1, 0);               /* Group 2 forwards to it: neither it nor its flow goes. */
    expect_error(&r, 0, OFPET_GROUP_MOD_FAILED, OFPGMFC_CHAINED_GROUP);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 2);
    group_mod(&r, 0, OFPGC_DELETE, 2, 0);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_GROUP_DELETE);
    group_mod(&r, 0, OFPGC_DELETE, OFPG_ALL, 0);
    barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 0);
    CU_ASSERT_EQUAL(group_table_count(r.fake.groups), 0);
    rig_fini(&r);
}

static void packet_out(struct rig *r, uint32_t buffer_id, uint32_t in_port, unsigned size, uint32_t to)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, 0);
    msg.packet_out.buffer_id = buffer_id;
    msg.packet_out.in_port = in_port;
    msg.packet_out.data = xcalloc(1, size + 1);
    msg.packet_out.size = size;
    actions_output(&msg.packet_out.actions, to);
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
}

static void test_packet_out(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 60, OFPP_TABLE);
    packet_out(&r, OFP_NO_BUFFER, 1, 60, OFPP_FLOOD);
    barrier(&r, 0);
    CU_ASSERT_EQUAL(r.fake.n_packet_outs, 2);
    packet_out(&r, 1, OFPP_CONTROLLER, 60, 1);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BUFFER_UNKNOWN);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 13, 1);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PACKET);
    packet_out(&r, OFP_NO_BUFFER, OFPP_ANY, 60, 1);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PORT);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 60, OFPP_ANY);
    expect_error(&r, 0, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT);
    CU_ASSERT_EQUAL(r.fake.n_packet_outs, 2);
    rig_fini(&r);
}

/* --- Roles --- */

static void role_request(struct rig *r, unsigned peer, uint32_t role, uint64_t generation_id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_ROLE_REQUEST, 0);
    msg.role.role = role;
    msg.role.generation_id = generation_id;
    of_conn_send(r->peer[peer]->conn, &msg);
}

static void expect_role(struct rig *r, unsigned peer, uint32_t role, uint64_t generation_id)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_TRUE(msg.type == OFPT_ROLE_REPLY && msg.role.role == role && msg.role.generation_id == generation_id);
    of_msg_fini(&msg);
}

static void test_roles(void)
{
    struct rig r;
    struct of_msg msg;
    rig_init(&r, 100, 2, 0);
    role_request(&r, 0, OFPCR_ROLE_NOCHANGE, 0);
    expect_role(&r, 0, OFPCR_ROLE_EQUAL, UINT64_MAX);
    role_request(&r, 0, OFPCR_ROLE_MASTER, UINT64_MAX);
    expect_role(&r, 0, OFPCR_ROLE_MASTER, UINT64_MAX);
    role_request(&r, 1, OFPCR_ROLE_MASTER, UINT64_MAX - 1);
    expect_error(&r, 1, OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE);
    role_request(&r, 1, OFPCR_ROLE_MASTER, 0);          /* After the largest comes zero. */
    expect_role(&r, 1, OFPCR_ROLE_MASTER, 0);
    role_request(&r, 0, OFPCR_ROLE_NOCHANGE, 0);
    expect_role(&r, 0, OFPCR_ROLE_SLAVE, 0);            /* There is one master. */
    role_request(&r, 0, 4, 0);
    expect_error(&r, 0, OFPET_ROLE_REQUEST_FAILED, OFPRRFC_BAD_ROLE);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 1);
    static const enum of_type changes[] = { OFPT_FLOW_MOD, OFPT_PORT_MOD, OFPT_TABLE_MOD, OFPT_METER_MOD, OFPT_PACKET_OUT };
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        say(&r, 0, changes[i]);
        expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE);
    }
    group_mod(&r, 0, OFPGC_ADD, 1, 0);
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE);
    msg = ask(&r, 0, OFPT_FEATURES_REQUEST, OFPT_FEATURES_REPLY);       /* But it may ask. */
    of_msg_fini(&msg);
    flow_mod(&r, 1, OFPFC_ADD, "in_port=1", "output:2", 0);
    barrier(&r, 1);
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
    rig_fini(&r);
}

/* --- Asynchronous messages --- */

static bool packet_in(struct rig *r, uint8_t reason)
{
    struct of_packet_in pi = { .buffer_id = OFP_NO_BUFFER, .total_len = 60, .reason = reason };
    uint8_t data[60] = { 2 };
    match_set_u64(&pi.match, FIELD_IN_PORT, 1);
    pi.data = data;
    pi.size = sizeof data;
    return of_agent_packet_in(r->fake.agent, &pi);
}

static void port_status(struct rig *r, uint8_t reason)
{
    struct of_port port = { .port_no = 2, .name = "port2" };
    of_agent_port_status(r->fake.agent, reason, &port);
}

static void test_async(void)
{
    struct rig r;
    rig_init(&r, 100, 2, 0);
    struct of_msg msg = ask(&r, 0, OFPT_GET_ASYNC_REQUEST, OFPT_GET_ASYNC_REPLY);
    CU_ASSERT_TRUE(msg.async.packet_in[0] == 7 && msg.async.packet_in[1] == 0 && msg.async.port_status[0] == 7 && msg.async.port_status[1] == 7
                   && msg.async.flow_removed[0] == 15 && msg.async.flow_removed[1] == 0);
    role_request(&r, 1, OFPCR_ROLE_SLAVE, 1);
    expect_role(&r, 1, OFPCR_ROLE_SLAVE, 1);
    CU_ASSERT_TRUE(packet_in(&r, OFPR_ACTION));
    port_status(&r, OFPPR_MODIFY);
    for (unsigned i = 0; i < 2; i++) {
        msg = of_peer_take(r.base, r.peer[i]);          /* Both get it. */
        CU_ASSERT_TRUE(msg.type == OFPT_PORT_STATUS && msg.port_status.port.port_no == 2);
    }
    CU_ASSERT_TRUE(r.peer[0]->n_packet_ins == 1 && r.peer[1]->n_packet_ins == 0);
    of_msg_init(&msg, OFPT_SET_ASYNC, 0);
    msg.async = (struct of_async) { .packet_in = { 1 << OFPR_NO_MATCH, 0 } };
    of_conn_send(r.peer[0]->conn, &msg);
    barrier(&r, 0);
    CU_ASSERT_FALSE(packet_in(&r, OFPR_ACTION));        /* Nobody wants it. */
    CU_ASSERT_TRUE(packet_in(&r, OFPR_NO_MATCH));
    CU_ASSERT_FALSE(packet_in(&r, 77));
    port_status(&r, OFPPR_ADD);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_packet_ins, 2));
    barrier(&r, 0);                                     /* No port-status came. */
    rig_fini(&r);
}

static void add_dropped(const char *peer UNUSED, const char *role, const struct of_conn_counters *c, bool outgoing, void *sum)
{
    CU_ASSERT_STRING_EQUAL(role, "equal");
    CU_ASSERT_FALSE(outgoing);
    *(uint64_t *) sum += c->packet_ins_dropped;
}

static void test_packet_in_limit(void)
{
    struct rig r;
    unsigned n = 0;
    uint64_t dropped = 0;
    rig_init(&r, 100, 1, 50);
    for (unsigned i = 0; i < 200; i++) {
        n += packet_in(&r, OFPR_NO_MATCH);
    }
    CU_ASSERT_EQUAL(n, 50);
    r.fake.now_ns += 100000000;                         /* A tenth of a second: five more. */
    for (unsigned i = 0; i < 200; i++) {
        n += packet_in(&r, OFPR_NO_MATCH);
    }
    CU_ASSERT_EQUAL(n, 55);
    of_agent_each_connection(r.fake.agent, add_dropped, &dropped);
    CU_ASSERT_EQUAL(dropped, 345);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_packet_ins, 55));
    rig_fini(&r);
}

/* --- Order --- */

/* What follows a barrier waits until the backend has done it. */
static void test_barrier(void)
{
    struct rig r;
    struct of_msg msg;
    rig_init(&r, 100, 1, 0);
    r.fake.defer_barriers = true;
    flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    say(&r, 0, OFPT_BARRIER_REQUEST);
    flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "output:2", 0);
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
    barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 2);

    r.fake.defer_barriers = true;                       /* The connection goes before the barrier is done: rig_fini() does it afterwards. */
    say(&r, 0, OFPT_BARRIER_REQUEST);
    for (unsigned i = 0; i < 2000 && !r.fake.barrier_done; i++) {
        loop_for(r.base, 2);
    }
    CU_ASSERT_PTR_NOT_NULL(r.fake.barrier_done);
    rig_fini(&r);
}

/* Statistics of many flows come piece by piece while the tables change, and the next request waits. */
static void test_streaming(void)
{
    enum { N = 20000 };
    struct rig r;
    struct of_msg msg;
    rig_init(&r, N, 1, 0);
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
    multipart(&r, 0, OFPMP_FLOW, 0);
    say(&r, 0, OFPT_BARRIER_REQUEST);
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
    rig_fini(&r);
}

static void test_streaming_groups(void)
{
    enum { N = 3000 };
    struct rig r;
    rig_init(&r, 10, 1, 0);
    for (uint32_t i = 1; i <= N; i++) {
        group_mod(&r, 0, OFPGC_ADD, i, 0);
    }
    multipart(&r, 0, OFPMP_GROUP, OFPG_ALL);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_elements, N));
    CU_ASSERT_EQUAL(r.peer[0]->n_more, r.peer[0]->n_multipart - 1);
    rig_fini(&r);
}

static void close_midway(struct rig *r)
{
    of_conn_read_enable(r->peer[0]->conn, false);
    multipart(r, 0, OFPMP_FLOW, 0);
    loop_for(r->base, 100);
    of_conn_close(r->peer[0]->conn);
    r->peer[0]->conn = NULL;
    loop_for(r->base, 50);
}

/* A job whose peer leaves lets go of what it held (ASan would tell). */
static void test_streaming_cut(void)
{
    enum { N = 30000 };
    struct rig r;
    rig_init(&r, N, 1, 0);
    for (uint32_t i = 0; i < N; i++) {
        struct of_flow_mod fm;
        of_flow_mod_init(&fm);
        match_set_u64(&fm.match, FIELD_METADATA, i);
        CU_ASSERT_TRUE(of_ok(flow_tables_mod(r.fake.flows, &fm)));
    }
    close_midway(&r);
    CU_ASSERT_EQUAL(r.fake.last_n_up, 0);
    rig_fini(&r);
}

/* --- The rest --- */

static void experimenter(struct rig *r, uint32_t id, uint32_t type, const char *text)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_EXPERIMENTER, 1234);
    msg.experimenter.experimenter = id;
    msg.experimenter.exp_type = type;
    msg.experimenter.data = (uint8_t *) xstrdup(text);
    msg.experimenter.size = (unsigned) strlen(text);
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
}

static void test_experimenter(void)
{
    struct rig r;
    rig_init(&r, 100, 1, 0);
    experimenter(&r, POLDER_EXPERIMENTER, POLDER_REQUEST, "{}");
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE_FATAL(msg.type == OFPT_EXPERIMENTER && msg.experimenter.exp_type == POLDER_REPLY && msg.xid == 1234);
    CU_ASSERT_TRUE(msg.experimenter.size == 13 && !memcmp(msg.experimenter.data, "{\"result\":{}}", 13));
    of_msg_fini(&msg);
    experimenter(&r, POLDER_EXPERIMENTER, 99, "");
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXP_TYPE);
    experimenter(&r, 0x2320, 1, "");
    expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    rig_fini(&r);
}

static void test_config(void)
{
    struct event_base *base = event_base_new();
    struct fake fake;
    struct err err = ERR_INIT;
    const char *listen[] = { "ptcp:0:127.0.0.1", "ptcp:x" };
    struct of_agent_config config = { .listen = listen, .n_listen = 2, .versions = 1u << OF13_VERSION };
    fake_init(&fake, 10, 10);
    CU_ASSERT_PTR_NULL(of_agent_new(base, &config, fake.clock, &fake_ops, &fake, &err));
    CU_ASSERT_EQUAL(strncmp(err.field, "listen[1]", 9), 0);
    fake_fini(&fake);
    event_base_free(base);
}

/* Beyond max_connections nobody gets in, and who is in stays. */
static void test_max_connections(void)
{
    struct event_base *base = event_base_new();
    struct fake fake;
    struct err err = ERR_INIT;
    const char *listen[] = { "ptcp:0:127.0.0.1" };
    struct of_agent_config config = { .listen = listen, .n_listen = 1, .versions = 1u << OF13_VERSION, .max_connections = 1 };
    uint8_t in[16];
    fake_init(&fake, 10, 10);
    fake.agent = of_agent_new(base, &config, fake.clock, &fake_ops, &fake, &err);
    int first = raw_connect(of_agent_listen_port(fake.agent, 0));
    CU_ASSERT_EQUAL(raw_read(base, first, in, 16), 16);
    int second = raw_connect(of_agent_listen_port(fake.agent, 0));
    CU_ASSERT_EQUAL(raw_read(base, second, in, 16), 0);
    raw_send_hex(first, "04 00 0008 00000001");
    CU_ASSERT_TRUE(loop_until(base, &fake.last_n_up, 1));
    close(first);
    close(second);
    of_agent_free(fake.agent);
    fake_fini(&fake);
    event_base_free(base);
}

void agent_test_suite(void)
{
    UNIT_SUITE("agent", { "questions", test_questions }, { "multipart", test_multipart }, { "table features", test_table_features },
               { "requests in segments", test_request_segments }, { "flow-mods", test_flow_mods }, { "groups", test_groups },
               { "packet-out", test_packet_out }, { "roles", test_roles }, { "asynchronous messages", test_async },
               { "packet-in limit", test_packet_in_limit }, { "barrier", test_barrier }, { "streaming", test_streaming },
               { "streaming groups", test_streaming_groups }, { "streaming, cut", test_streaming_cut }, { "experimenter", test_experimenter },
               { "configuration errors", test_config }, { "max connections", test_max_connections });
}
