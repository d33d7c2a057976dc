/* Bundles as a controller sees them, and the numbers that each version has for an error. */
#include <string.h>
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_bundle_test_suite;

enum { ONF_BUNDLE_FAILED = 2300 };

static void control(struct agent_rig *r, uint32_t id, uint16_t type, uint16_t flags)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BUNDLE_CONTROL, 0);
    msg.bundle.id = id;
    msg.bundle.type = type;
    msg.bundle.flags = flags;
    of_conn_send(r->peer[0]->conn, &msg);
}

static void expect_reply(struct agent_rig *r, uint32_t id, uint16_t type)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_BUNDLE_CONTROL && msg.bundle.id == id && msg.bundle.type == type);
    of_msg_fini(&msg);
}

/* 1.3 has these errors as the ONF's experimenter errors: the experimenter's id, then at least 64 bytes of the request, or all of it. */
static void expect_failed(struct agent_rig *r, uint16_t code)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[0]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_ERROR);
    CU_ASSERT_EQUAL(msg.error.error.type, 0xffff);
    CU_ASSERT_EQUAL(msg.error.error.code, ONF_BUNDLE_FAILED + code);
    CU_ASSERT_TRUE(msg.error.size >= 4 + 24 && msg.error.size <= 4 + 64);
    CU_ASSERT_EQUAL(wire_get32(msg.error.data), 0x4f4e4600);
    CU_ASSERT_TRUE(msg.error.data[4] == OF13_VERSION && wire_get32(msg.error.data + 8) == msg.xid);
    of_msg_fini(&msg);
}

static void add(struct agent_rig *r, uint32_t id, uint16_t flags, struct of_msg *inner, uint32_t xid, uint32_t inner_xid)
{
    struct of_msg msg;
    struct buf b = BUF_INIT;
    inner->xid = inner_xid;
    of_encode(inner, &b);
    of_msg_init(&msg, OFPT_BUNDLE_ADD_MESSAGE, xid);
    msg.bundle_add.id = id;
    msg.bundle_add.flags = flags;
    msg.bundle_add.size = (unsigned) b.size;
    msg.bundle_add.data = b.data;
    of_conn_send(r->peer[0]->conn, &msg);
    of_msg_fini(&msg);
    of_msg_fini(inner);
}

static void add_flow(struct agent_rig *r, uint32_t id, const char *match, const char *actions)
{
    struct of_msg inner;
    struct err err = ERR_INIT;
    of_msg_init(&inner, OFPT_FLOW_MOD, 0);
    CU_ASSERT_TRUE(match_parse(match, &inner.flow_mod.match, &err) && instructions_parse(actions, &inner.flow_mod.instructions, &err));
    add(r, id, OFPBF_ATOMIC, &inner, 77, 77);
}

static void test_commit(void)
{
    struct agent_rig r;
    agent_rig_init(&r, 100, 1, 0);
    agent_rig_flow_mod(&r, 0, OFPFC_ADD, "in_port=1", "output:1", 0);
    control(&r, 5, OFPBCT_OPEN_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 5, OFPBCT_OPEN_REPLY);
    add_flow(&r, 5, "in_port=2", "output:1");
    add_flow(&r, 5, "in_port=3", "output:1");
    agent_rig_barrier(&r, 0);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 1);
    control(&r, 5, OFPBCT_CLOSE_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 5, OFPBCT_CLOSE_REPLY);
    control(&r, 5, OFPBCT_COMMIT_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 5, OFPBCT_COMMIT_REPLY);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 3);
    CU_ASSERT_TRUE(r.fake.n_bundle_steps[BUNDLE_BEGIN] == 1 && r.fake.n_bundle_steps[BUNDLE_COMMIT] == 1 && !r.fake.n_bundle_steps[BUNDLE_ABORT]);
    /* One that fails is answered by its own error, and the commit by another; the bundle is gone. */
    add_flow(&r, 6, "in_port=4", "output:1");
    add_flow(&r, 6, "in_port=5", "group:9");
    control(&r, 6, OFPBCT_COMMIT_REQUEST, OFPBF_ATOMIC);
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_TRUE(msg.type == OFPT_ERROR && msg.xid == 77 && msg.error.error.type == OFPET_BAD_ACTION && msg.error.error.code == OFPBAC_BAD_OUT_GROUP);
    CU_ASSERT_TRUE(msg.error.size == 64 && msg.error.data[1] == OFPT_FLOW_MOD);
    of_msg_fini(&msg);
    expect_failed(&r, OFPBFC_MSG_FAILED);
    CU_ASSERT_EQUAL(r.fake.n_bundle_steps[BUNDLE_ABORT], 1);
    CU_ASSERT_EQUAL(flow_tables_count(r.fake.flows, OFPTT_ALL), 3);
    control(&r, 6, OFPBCT_DISCARD_REQUEST, OFPBF_ATOMIC);
    expect_failed(&r, OFPBFC_BAD_ID);
    agent_rig_fini(&r);
}

static void test_errors(void)
{
    struct agent_rig r;
    struct of_msg inner;
    agent_rig_init(&r, 100, 1, 0);
    control(&r, 1, OFPBCT_OPEN_REQUEST, 4);
    expect_failed(&r, OFPBFC_BAD_FLAGS);
    control(&r, 1, OFPBCT_OPEN_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 1, OFPBCT_OPEN_REPLY);
    control(&r, 1, OFPBCT_OPEN_REQUEST, OFPBF_ATOMIC);
    expect_failed(&r, OFPBFC_BUNDLE_EXIST);
    control(&r, 2, OFPBCT_CLOSE_REQUEST, 0);
    expect_failed(&r, OFPBFC_BAD_ID);
    control(&r, 1, OFPBCT_OPEN_REPLY, 0);
    expect_failed(&r, OFPBFC_BAD_TYPE);
    control(&r, 1, OFPBCT_CLOSE_REQUEST, 0);
    expect_failed(&r, OFPBFC_BAD_FLAGS);
    of_msg_init(&inner, OFPT_FLOW_MOD, 0);
    add(&r, 1, OFPBF_ORDERED, &inner, 7, 7);
    expect_failed(&r, OFPBFC_BAD_FLAGS);
    of_msg_init(&inner, OFPT_FLOW_MOD, 0);
    add(&r, 1, OFPBF_ATOMIC, &inner, 7, 8);
    expect_failed(&r, OFPBFC_MSG_BAD_XID);
    of_msg_init(&inner, OFPT_BARRIER_REQUEST, 0);
    add(&r, 1, OFPBF_ATOMIC, &inner, 7, 7);
    expect_failed(&r, OFPBFC_MSG_UNSUP);
    of_msg_init(&inner, OFPT_PORT_MOD, 0);
    add(&r, 1, OFPBF_ATOMIC, &inner, 7, 7);
    expect_failed(&r, OFPBFC_MSG_CONFLICT);
    control(&r, 1, OFPBCT_CLOSE_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 1, OFPBCT_CLOSE_REPLY);
    control(&r, 1, OFPBCT_CLOSE_REQUEST, OFPBF_ATOMIC);
    expect_failed(&r, OFPBFC_BUNDLE_CLOSED);
    of_msg_init(&inner, OFPT_FLOW_MOD, 0);
    add(&r, 1, OFPBF_ATOMIC, &inner, 7, 7);
    expect_failed(&r, OFPBFC_BUNDLE_CLOSED);
    control(&r, 1, OFPBCT_DISCARD_REQUEST, OFPBF_ATOMIC);
    expect_reply(&r, 1, OFPBCT_DISCARD_REPLY);
    for (uint32_t id = 100; id < 164; id++) {
        control(&r, id, OFPBCT_OPEN_REQUEST, 0);
        expect_reply(&r, id, OFPBCT_OPEN_REPLY);
    }
    control(&r, 164, OFPBCT_OPEN_REQUEST, 0);
    expect_failed(&r, OFPBFC_OUT_OF_BUNDLES);
    agent_rig_fini(&r);
}

static void expect_bytes(uint8_t version, struct of_error error, const char *hex)
{
    uint8_t request[80] = { version, OFPT_ECHO_REQUEST, 0, sizeof request, 0, 0, 0, 9 };
    struct buf got = BUF_INIT;
    char text[256];
    of_error_encode(error, request, sizeof request, &got);
    size_t size = strlen(hex) / 2;
    bytes_to_hex(got.data + OF_HEADER_SIZE, MIN(size, sizeof text / 2 - 1), text);
    CU_ASSERT_STRING_EQUAL(text, hex);
    CU_ASSERT_EQUAL_FATAL(got.size, OF_HEADER_SIZE + size + 64);
    CU_ASSERT_EQUAL(memcmp(got.data + got.size - 64, request, 64), 0);
    buf_fini(&got);
}

/* As ofp-errors.h of Open vSwitch and the specifications number them. */
static void test_numbers(void)
{
    static const struct { uint8_t version; uint16_t type, code; const char *hex; } cases[] = {
        { OF10_VERSION, OFPET_BAD_REQUEST, OFPBRC_BAD_LEN, "00010006" },
        { OF10_VERSION, OFPET_BAD_REQUEST, OFPBRC_IS_SLAVE, "00010005" },
        { OF10_VERSION, OFPET_BAD_ACTION, OFPBAC_BAD_QUEUE, "00020008" },
        { OF10_VERSION, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL, "00030000" },
        { OF10_VERSION, OFPET_FLOW_MOD_FAILED, OFPFMFC_OVERLAP, "00030001" },
        { OF10_VERSION, OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND, "00030004" },
        { OF10_VERSION, OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_HW_ADDR, "00040001" },
        { OF10_VERSION, OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_QUEUE, "00050001" },
        { OF10_VERSION, OFPET_BAD_MATCH, OFPBMC_BAD_PREREQ, "b0c200000000232000010104" },
        { OF10_VERSION, OFPET_BUNDLE_FAILED, OFPBFC_BAD_ID, "b0c200000000232000010209" },
        { OF13_VERSION, OFPET_FLOW_MOD_FAILED, OFPFMFC_OVERLAP, "00050003" },
        { OF13_VERSION, OFPET_TABLE_FEATURES_FAILED, OFPTFFC_BAD_LEN, "000d0003" },
        { OF13_VERSION, OFPET_BAD_PROPERTY, OFPBPC_BAD_VALUE, "000d0004" },
        { OF13_VERSION, OFPET_BUNDLE_FAILED, OFPBFC_BAD_ID, "ffff08fe4f4e4600" },
        { OF13_VERSION, OFPET_NICIRA, NXE_BAD_CONJUNCTION, "ffff000f00002320" },
        { OF14_VERSION, OFPET_TABLE_FEATURES_FAILED, OFPTFFC_BAD_LEN, "000e0001" },
        { OF14_VERSION, OFPET_BUNDLE_FAILED, OFPBFC_BAD_ID, "00110002" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        expect_bytes(cases[i].version, OF_ERROR(cases[i].type, cases[i].code), cases[i].hex);
    }
}

void agent_bundle_test_suite(void)
{
    UNIT_SUITE("bundles", { "commit", test_commit }, { "errors", test_errors }, { "numbers of errors", test_numbers });
}
