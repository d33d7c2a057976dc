/* The agent over a backend in memory: questions, changes, experimenter requests, limits. */
#include <string.h>
#include <unistd.h>
#include <event2/event.h>
#include "ofproto/agent_rig.h"
#include "ofproto/polder.h"
#include "tests/unit.h"

unit_suite_fn agent_test_suite;

/* --- Questions --- */

static void test_questions(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    struct of_msg msg = agent_rig_ask(&r, 0, OFPT_FEATURES_REQUEST, OFPT_FEATURES_REPLY);
    CU_ASSERT_TRUE(msg.features.datapath_id == 0xfa4e && msg.features.auxiliary_id == 0);
    msg = agent_rig_ask(&r, 0, OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY);
    CU_ASSERT_EQUAL(msg.config.miss_send_len, 128);
    of_msg_init(&msg, OFPT_SET_CONFIG, 0);
    msg.config.miss_send_len = 77;
    of_conn_send(r.peer[0]->conn, &msg);
    msg = agent_rig_ask(&r, 0, OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY);
    CU_ASSERT_EQUAL(msg.config.miss_send_len, 77);
    of_msg_init(&msg, OFPT_SET_CONFIG, 0);
    msg.config.flags = 1;               /* OFPC_FRAG_DROP: one setting for all connections. */
    msg.config.miss_send_len = 78;
    of_conn_send(r.peer[0]->conn, &msg);
    msg = agent_rig_ask(&r, 0, OFPT_GET_CONFIG_REQUEST, OFPT_GET_CONFIG_REPLY);
    CU_ASSERT_TRUE(r.fake.drops_fragments && msg.config.flags == 1 && msg.config.miss_send_len == 78);
    for (uint16_t flags = 2; flags < 8; flags++) {
        of_msg_init(&msg, OFPT_SET_CONFIG, 0);
        msg.config.flags = flags;
        of_conn_send(r.peer[0]->conn, &msg);
        agent_rig_expect_error(&r, 0, OFPET_SWITCH_CONFIG_FAILED, OFPSCFC_BAD_FLAGS);
    }
    agent_rig_say(&r, 0, OFPT_SET_CONFIG);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_FALSE(r.fake.drops_fragments);
    of_msg_init(&msg, OFPT_QUEUE_GET_CONFIG_REQUEST, 0);
    msg.queue_config.port = 2;
    of_conn_send(r.peer[0]->conn, &msg);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_QUEUE_GET_CONFIG_REPLY && msg.queue_config.port == 2);
    CU_ASSERT_TRUE_FATAL(msg.queue_config.n == 2);
    CU_ASSERT_TRUE(msg.queue_config.v[0].min_rate == 300 && msg.queue_config.v[0].max_rate == OF_RATE_NONE && msg.queue_config.v[0].port_no == 2);
    CU_ASSERT_TRUE(msg.queue_config.v[1].id == 0xfffffffe && msg.queue_config.v[1].max_rate == 1000);
    of_msg_fini(&msg);
    of_msg_init(&msg, OFPT_QUEUE_GET_CONFIG_REQUEST, 0);
    msg.queue_config.port = 9;
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_PORT);
    agent_rig_say(&r, 0, OFPT_FEATURES_REPLY);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

static void test_multipart(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    struct of_msg msg = agent_rig_ask_multipart(&r, OFPMP_DESC, 0);
    CU_ASSERT_STRING_EQUAL(msg.multipart.desc->mfr, "Polder");
    of_msg_fini(&msg);
    msg = agent_rig_ask_multipart(&r, OFPMP_PORT_DESC, 0);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.ports.n, 3);
    CU_ASSERT_STRING_EQUAL(msg.multipart.ports.v[1].name, "port2");
    of_msg_fini(&msg);
    msg = agent_rig_ask_multipart(&r, OFPMP_PORT_STATS, OFPP_ANY);
    CU_ASSERT_EQUAL(msg.multipart.port_stats.n, 3);
    of_msg_fini(&msg);
    msg = agent_rig_ask_multipart(&r, OFPMP_PORT_STATS, 2);
    CU_ASSERT_TRUE(msg.multipart.port_stats.n == 1 && msg.multipart.port_stats.v[0].rx_packets == 14);
    of_msg_fini(&msg);
    agent_rig_multipart(&r, 0, OFPMP_PORT_STATS, 8);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PORT);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", 0);
    r.fake.packets = 5;
    msg = agent_rig_ask_multipart(&r, OFPMP_TABLE, 0);
    CU_ASSERT_TRUE(msg.multipart.tables.n == OF_N_TABLES && msg.multipart.tables.v[0].active_count == 1);
    of_msg_fini(&msg);
    msg = agent_rig_ask_multipart(&r, OFPMP_AGGREGATE, 0);
    CU_ASSERT_TRUE(msg.multipart.aggregate.flow_count == 1 && msg.multipart.aggregate.byte_count == 500);
    msg = agent_rig_ask_multipart(&r, OFPMP_GROUP_FEATURES, 0);
    CU_ASSERT_TRUE(msg.multipart.group_features.types == 0xf && msg.multipart.group_features.max_groups[OFPGT_FF] == 4000);
    msg = agent_rig_ask_multipart(&r, OFPMP_METER_FEATURES, 0);
    CU_ASSERT_EQUAL(msg.multipart.meter_features.max_meter, 0);
    msg = agent_rig_ask_multipart(&r, OFPMP_METER, OFPM_ALL);
    CU_ASSERT_EQUAL(msg.multipart.meters.n, 0);
    of_msg_fini(&msg);
    of_msg_init(&msg, OFPT_METER_MOD, 0);
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_TYPE);
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = OFPMP_QUEUE;
    msg.multipart.queue.port_no = 1;
    msg.multipart.queue.queue_id = 4;
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_QUEUE);
    msg.multipart.queue.port_no = 77;
    msg.multipart.queue.queue_id = OFPQ_ALL;
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_PORT);
    msg.multipart.queue.port_no = 1;        /* None, and none was named: an empty answer. */
    of_conn_send(r.peer[0]->conn, &msg);
    struct of_msg reply = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(reply.type == OFPT_MULTIPART_REPLY && !reply.multipart.queues.n);
    of_msg_fini(&reply);
    msg.multipart.queue.port_no = OFPP_ANY;
    msg.multipart.queue.queue_id = 1;
    of_conn_send(r.peer[0]->conn, &msg);
    reply = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE_FATAL(reply.type == OFPT_MULTIPART_REPLY && reply.multipart.queues.n == 2);
    CU_ASSERT_TRUE(reply.multipart.queues.v[0].port_no == 2 && reply.multipart.queues.v[0].tx_bytes == 500 && reply.multipart.queues.v[1].port_no == 3);
    of_msg_fini(&reply);
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

/* Every table once, over as many segments as it takes, each a list of whole ofp_table_features. */
static void test_table_features(void)
{
    struct agent_rig r;
    bool more = true, seen[OF_N_TABLES] = { false };
    agent_rig_init(&r, 100, 1, 0);
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
    agent_rig_fini(&r);
}

/* --- Requests in segments --- */

static void send_segment(struct agent_rig *r, uint16_t type, uint32_t xid, unsigned size, bool more)
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
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    send_segment(&r, OFPMP_PORT_DESC, 50, 0, true);     /* Has no body that could go on. */
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_MULTIPART_BUFFER_OVERFLOW);
    send_segment(&r, OFPMP_PORT_DESC, 50, 0, false);    /* Refused as a whole: no second error, no reply. */
    agent_rig_barrier(&r, 0);
    send_segment(&r, OFPMP_EXPERIMENTER, 51, 60000, true);
    send_segment(&r, OFPMP_EXPERIMENTER, 51, 60000, false);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    for (unsigned i = 0; i < 20; i++) {
        send_segment(&r, OFPMP_EXPERIMENTER, 52, 60000, i < 19);
    }
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_MULTIPART_BUFFER_OVERFLOW);   /* Beyond 1 MiB, once. */
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

/* --- Changes --- */

static void test_flow_mods(void)
{
    struct agent_rig r;
    struct of_msg msg;
    agent_rig_init(&r, 2, 1, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "group:5", 0);
    agent_rig_expect_error(&r, 0, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "meter:5", 0);
    agent_rig_expect_error(&r, 0, OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST);
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.buffer_id = 3;
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BUFFER_UNKNOWN);
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.table_id = OF_N_TABLES;
    of_conn_send(r.peer[0]->conn, &msg);
    agent_rig_expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:2", OFPFF_SEND_FLOW_REM);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "output:2", 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=3", "output:2", 0);
    agent_rig_expect_error(&r, 0, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    r.fake.packets = 9;
    agent_rig_flow_mod(&r, 0, OFPFC_DELETE, "", "drop", 0);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_FLOW_REMOVED);
    CU_ASSERT_TRUE(msg.xid == 0 && msg.flow_removed.reason == OFPRR_DELETE && msg.flow_removed.packet_count == 9 && msg.flow_removed.byte_count == 900);
    agent_rig_barrier(&r, 0);                                     /* The other had not asked for it. */
    agent_rig_fini(&r);
}

static void test_groups(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 1, 0);
    agent_rig_group_mod(&r, 0, OFPGC_ADD, 2, 1);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "group:1", 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=2", "group:2", OFPFF_SEND_FLOW_REM);
    agent_rig_multipart(&r, 0, OFPMP_GROUP, 1);
    CU_ASSERT_TRUE(loop_until(r.base, &r.peer[0]->n_elements, 1));
    struct of_msg msg = agent_rig_ask_multipart(&r, OFPMP_GROUP_DESC, 0);
    CU_ASSERT_EQUAL(msg.multipart.group_descs.n, 2);
    of_msg_fini(&msg);
    agent_rig_group_mod(&r, 0, OFPGC_DELETE, 1, 0);               /* Group 2 forwards to it: neither it nor its flow goes. */
    agent_rig_expect_error(&r, 0, OFPET_GROUP_MOD_FAILED, OFPGMFC_CHAINED_GROUP);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 2);
    agent_rig_group_mod(&r, 0, OFPGC_DELETE, 2, 0);
    msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.reason == OFPRR_GROUP_DELETE);
    agent_rig_group_mod(&r, 0, OFPGC_DELETE, OFPG_ALL, 0);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 0);
    CU_ASSERT_EQUAL(group_table_count(r.fake.groups), 0);
    agent_rig_fini(&r);
}

static void packet_out(struct agent_rig *r, uint32_t buffer_id, uint32_t in_port, unsigned size, uint32_t to)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, 0);
    msg.packet_out.buffer_id = buffer_id;
    msg.packet_out.in_port = in_port;
    msg.packet_out.data = xcalloc(1, size + 1);
    msg.packet_out.size = size;
    if (to) {
        actions_output(&msg.packet_out.actions, to);
    }
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
}

static void test_packet_out(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 60, OFPP_TABLE);
    packet_out(&r, OFP_NO_BUFFER, 1, 60, OFPP_FLOOD);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(r.fake.n_packet_outs, 2);
    packet_out(&r, 1, OFPP_CONTROLLER, 60, 1);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BUFFER_UNKNOWN);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 13, 1);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PACKET);
    packet_out(&r, OFP_NO_BUFFER, OFPP_MAX + 1, 60, 1);
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_PORT);
    packet_out(&r, OFP_NO_BUFFER, OFPP_CONTROLLER, 60, OFPP_ANY);
    agent_rig_expect_error(&r, 0, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT);
    CU_ASSERT_EQUAL(r.fake.n_packet_outs, 2);
    packet_out(&r, OFP_NO_BUFFER, OFPP_ANY, 60, 1);         /* As 1.0 says "none". */
    agent_rig_barrier(&r, 0);
    CU_ASSERT_TRUE(r.fake.n_packet_outs == 3 && r.fake.packet_out_port == OFPP_CONTROLLER);
    packet_out(&r, OFP_NO_BUFFER, 0, 0, 0);                 /* Nothing to do, so nothing to refuse. */
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(r.fake.n_packet_outs, 3);
    agent_rig_fini(&r);
}

static void port_mod(struct agent_rig *r, unsigned peer, uint32_t mask)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PORT_MOD, 0);
    msg.port_mod = (struct of_port_mod) { .port_no = 1, .config = mask, .mask = mask };
    of_conn_send(r->peer[peer]->conn, &msg);
}

/* 1.0 has bits that later versions have not; two of them mean nothing to a switch without a spanning tree. */
static void test_port_mod(void)
{
    static const uint8_t versions[] = { OF10_VERSION, OF13_VERSION };
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, versions, 2, 100, NULL);
    port_mod(&r, 0, OFPPC10_NO_FLOOD | OFPPC10_NO_STP | OFPPC10_NO_RECV_STP | OFPPC_ALL);
    agent_rig_barrier(&r, 0);
    CU_ASSERT_TRUE(r.fake.n_port_mods == 1 && r.fake.port_mod_mask == (OFPPC10_NO_FLOOD | OFPPC_ALL));
    port_mod(&r, 0, 0x80);
    agent_rig_expect_error(&r, 0, 0xb0c2, 0);               /* Nicira's: 1.0 has no code for that. */
    port_mod(&r, 1, OFPPC_ALL);
    agent_rig_barrier(&r, 1);
    CU_ASSERT_EQUAL(r.fake.n_port_mods, 2);
    for (unsigned bit = 0; bit < 32; bit++) {
        if (!(OFPPC_ALL & 1u << bit)) {
            port_mod(&r, 1, 1u << bit);
            agent_rig_expect_error(&r, 1, OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_CONFIG);
        }
    }
    CU_ASSERT_EQUAL(r.fake.n_port_mods, 2);
    agent_rig_fini(&r);
}

/* --- The rest --- */

static void experimenter(struct agent_rig *r, uint32_t id, uint32_t type, const char *text)
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
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    experimenter(&r, POLDER_EXPERIMENTER, POLDER_REQUEST, "{}");
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE_FATAL(msg.type == OFPT_EXPERIMENTER && msg.experimenter.exp_type == POLDER_REPLY && msg.xid == 1234);
    CU_ASSERT_TRUE(msg.experimenter.size == 13 && !memcmp(msg.experimenter.data, "{\"result\":{}}", 13));
    of_msg_fini(&msg);
    experimenter(&r, POLDER_EXPERIMENTER, 99, "");
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXP_TYPE);
    experimenter(&r, 0x2320, 1, "");
    agent_rig_expect_error(&r, 0, OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER);
    agent_rig_fini(&r);
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
               { "packet-out", test_packet_out }, { "port-mod", test_port_mod }, { "experimenter", test_experimenter },
               { "configuration errors", test_config }, { "max connections", test_max_connections });
}
