/* A slice between a tenant's controller and its edges: errors, quotas, barriers, packets, ports, changes. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "controller/vsw_counters.h"
#include "controller/vsw_rig.h"
#include "lib/json.h"
#include "tests/unit.h"

unit_suite_fn vsw_test_suite;

/* --- Tests --- */

static void test_refused_add(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    uint32_t xid = vsw_rig_flow(&b, OFPFC_ADD, 5, 1, "eth_dst=02:00:00:00:00:01", "output:1");
    vsw_rig_ask_barrier(&b);
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);    /* Before the barrier's reply. */
    vsw_rig_expect_barrier(&b);
    CU_ASSERT_PTR_NULL(vsw_rig_entry(&b, 5, "eth_dst=02:00:00:00:00:01"));
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 5), 0);             /* Edge 1 had taken it. */
    CU_ASSERT_EQUAL(b.vsw->cost, 0);
    /* Where only edge 1 has to take it, it is fine. */
    vsw_rig_flow(&b, OFPFC_ADD, 5, 1, "in_port=1", "output:2");
    vsw_rig_barrier(&b);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 5), 1);
    CU_ASSERT_EQUAL(b.vsw->cost, 1);
    vsw_rig_fini(&b);
}

static void test_refused_change(void)
{
    static const char *match = "eth_dst=02:00:00:00:00:01", *bad = "set_field:02:de:ad:be:ef:00->eth_src,output:2";
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 11, match, "output:1");
    vsw_rig_barrier(&b);
    uint32_t xid = vsw_rig_flow(&b, OFPFC_MODIFY, 0, 0, match, bad);
    vsw_rig_ask_barrier(&b);
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    vsw_rig_expect_barrier(&b);
    CU_ASSERT_TRUE(vsw_rig_does(vsw_rig_entry(&b, 0, match), "output:1"));
    /* An add that takes its place: cookie and all come back. */
    xid = vsw_rig_flow(&b, OFPFC_ADD, 0, 22, match, bad);
    vsw_rig_ask_barrier(&b);
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    vsw_rig_expect_barrier(&b);
    CU_ASSERT_TRUE(vsw_rig_does(vsw_rig_entry(&b, 0, match), "output:1"));
    CU_ASSERT_EQUAL(vsw_rig_entry(&b, 0, match)->cookie, 11);
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0), 1);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 1, 0), 1);
    /* Added and changed in one go: it was not there before, so it is not there now. */
    vsw_rig_flow(&b, OFPFC_ADD, 0, 33, "eth_dst=02:00:00:00:00:02", "output:1");
    xid = vsw_rig_flow(&b, OFPFC_MODIFY, 0, 0, "eth_dst=02:00:00:00:00:02", bad);
    vsw_rig_ask_barrier(&b);
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    vsw_rig_expect_barrier(&b);
    CU_ASSERT_PTR_NULL(vsw_rig_entry(&b, 0, "eth_dst=02:00:00:00:00:02"));
    CU_ASSERT_EQUAL(b.vsw->cost, 2);
    vsw_rig_fini(&b);
}

static void test_refused_group(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_group(&b, OFPGC_ADD, 1, 1);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "group:1");
    vsw_rig_barrier(&b);
    b.edges[0].refuse_groups = b.edges[1].refuse_groups = true;
    uint32_t modify = vsw_rig_group(&b, OFPGC_MODIFY, 1, 2), add = vsw_rig_group(&b, OFPGC_ADD, 2, 2);
    uint32_t flow = vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:02", "group:2");
    vsw_rig_ask_barrier(&b);
    bool seen[3] = { false, false, false };
    for (unsigned i = 0; i < 3; i++) {
        struct of_msg msg = of_peer_take(b.f.c.base, b.tenant);
        CU_ASSERT_EQUAL(msg.type, OFPT_ERROR);
        seen[0] |= msg.xid == modify && msg.error.error.type == OFPET_GROUP_MOD_FAILED;
        seen[1] |= msg.xid == add && msg.error.error.type == OFPET_GROUP_MOD_FAILED;
        seen[2] |= msg.xid == flow && msg.error.error.type == OFPET_BAD_ACTION && msg.error.error.code == OFPBAC_BAD_OUT_GROUP;
        of_msg_fini(&msg);
    }
    CU_ASSERT_TRUE(seen[0] && seen[1] && seen[2]);
    vsw_rig_expect_barrier(&b);
    struct group *g = group_table_find(b.vsw->groups, 1);
    CU_ASSERT_TRUE(g && g->n_buckets == 1 && g->buckets[0].actions.list[0].output.port == 1);
    CU_ASSERT_PTR_NULL(group_table_find(b.vsw->groups, 2));
    CU_ASSERT_PTR_NULL(vsw_rig_entry(&b, 0, "eth_dst=02:00:00:00:00:02"));
    CU_ASSERT_PTR_NOT_NULL(vsw_rig_entry(&b, 0, "eth_dst=02:00:00:00:00:01"));
    vsw_rig_settle(&b);
    vsw_rig_fini(&b);
}

static struct of_msg ask_multipart(struct vsw_rig *b, enum of_multipart type)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = type;
    of_conn_send(b->tenant->conn, &msg);
    msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_TRUE_FATAL(msg.type == OFPT_MULTIPART_REPLY && msg.multipart.type == type);
    return msg;
}

/* What the switch says of itself is what it takes (the rig's quota). */
static void test_features(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    struct of_msg msg = ask_multipart(&b, OFPMP_GROUP_FEATURES);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(msg.multipart.group_features.max_groups[i], 2);
    }
    msg = ask_multipart(&b, OFPMP_METER_FEATURES);
    CU_ASSERT_EQUAL(msg.multipart.meter_features.max_meter, 1);
    msg = ask_multipart(&b, OFPMP_TABLE_FEATURES);
    CU_ASSERT_TRUE_FATAL(msg.multipart.raw.n >= 64);
    struct cursor c = cursor_make(msg.multipart.raw.v, msg.multipart.raw.n);
    cursor_skip(&c, 60);
    CU_ASSERT_EQUAL(cursor_be32(&c), 20);               /* max_entries of the first table. */
    unsigned n_in_port = 0, n_tun_id = 0, left = (unsigned) msg.multipart.raw.v[0] << 8 | msg.multipart.raw.v[1];
    for (left -= 64; left >= 4; left -= 4) {
        uint32_t word = cursor_be32(&c);
        n_in_port += word == 0x80000004;
        n_tun_id += word >> 9 == 0x80004c00 >> 9;
    }
    CU_ASSERT_TRUE(n_in_port == 2 && !n_tun_id);        /* May be matched, with or without; not set. */
    of_msg_fini(&msg);
    vsw_rig_fini(&b);
}

static void test_quotas(void)
{
    struct vsw_rig b;
    char match[40];
    vsw_rig_init(&b);
    for (unsigned i = 0; i < 10; i++) {                 /* Each on two edges. */
        snprintf(match, sizeof match, "eth_dst=02:00:00:00:01:%02x", i);
        vsw_rig_flow(&b, OFPFC_ADD, 0, 1, match, "output:1");
    }
    uint32_t xid = vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:02:00", "output:1");
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 2, match, "output:2");   /* In the place of one. */
    vsw_rig_barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->cost, 20);
    vsw_rig_flow(&b, OFPFC_DELETE, OFPTT_ALL, 0, "", "drop");
    vsw_rig_group(&b, OFPGC_ADD, 1, 1);
    vsw_rig_group(&b, OFPGC_ADD, 2, 1);
    xid = vsw_rig_group(&b, OFPGC_ADD, 3, 1);
    vsw_rig_expect_error(&b, xid, OFPT_GROUP_MOD, OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_GROUPS);
    vsw_rig_meter(&b, 1);
    xid = vsw_rig_meter(&b, 2);
    vsw_rig_expect_error(&b, xid, OFPT_METER_MOD, OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS);
    vsw_rig_barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->cost, 0);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0), 0);
    vsw_rig_fini(&b);
}

/* A barrier is over when every edge has confirmed, and no earlier. */
static void test_barrier(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_barrier(&b);
    b.edges[1].defer_barriers = true;
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "output:1");
    vsw_rig_ask_barrier(&b);
    loop_for(b.f.c.base, 50);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0), 1);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 1, 0), 1);
    CU_ASSERT_EQUAL(b.tenant->n_got, 0);
    vsw_rig_release(&b.edges[1]);
    vsw_rig_expect_barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->first_change, b.vsw->next_change);
    /* Nobody waits for an edge that is gone. */
    b.edges[1].defer_barriers = true;
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:02", "output:1");
    vsw_rig_ask_barrier(&b);
    loop_for(b.f.c.base, 20);
    CU_ASSERT_EQUAL(b.tenant->n_got, 0);
    of_agent_free(b.edges[1].agent);
    b.edges[1].agent = NULL;
    vsw_rig_expect_barrier(&b);
    vsw_rig_fini(&b);
}

static void test_refused_by_name(void)
{
    static const struct { const char *actions; uint16_t type, code; } rows[] = {
        { "NORMAL", OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT }, { "LOCAL", OFPET_BAD_ACTION, OFPBAC_BAD_OUT_PORT },
        { "resubmit(,3)", OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER }, { "load:1->NXM_NX_REG0[]", OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER },
        { "set_queue:1,output:1", OFPET_BAD_ACTION, OFPBAC_BAD_QUEUE }, { "group:9", OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP },
        { "set_field:2->reg3", OFPET_BAD_ACTION, OFPBAC_BAD_SET_TYPE }, { "clone(output:1)", OFPET_BAD_ACTION, OFPBAC_BAD_EXPERIMENTER },
        { "meter:9,output:1", OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER },
    };
    struct vsw_rig b;
    vsw_rig_init(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t xid = vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", rows[i].actions);
        vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, rows[i].type, rows[i].code);
    }
    uint32_t xid = vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "reg0=1", "output:1");
    vsw_rig_expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_MATCH, OFPBMC_BAD_FIELD);
    CU_ASSERT_EQUAL(flow_tables_count(b.vsw->flows, OFPTT_ALL), 0);
    vsw_rig_fini(&b);
}

static void test_packets(void)
{
    struct vsw_rig b;
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
    vsw_rig_init(&b);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 77, "", "CONTROLLER");
    vsw_rig_barrier(&b);
    struct of_flow_filter filter;
    of_flow_filter_init(&filter);
    struct match all;
    match_init(&all);
    const struct vflow *vflow = flow_tables_find(b.vsw->flows, 0, 0x8000, &all)->aux;
    struct of_packet_in pin = { .buffer_id = OFP_NO_BUFFER, .total_len = 60, .reason = OFPR_ACTION, .table_id = T_VIRT, .cookie = COOKIE(b.vsw->id, vflow->number) };
    match_set_u64(&pin.match, FIELD_IN_PORT, 1);
    match_set_u64(&pin.match, R_VSW, b.vsw->id);
    match_set_u64(&pin.match, R_IN, 2);
    match_set_u64(&pin.match, FIELD_METADATA, 5);
    pin.data = frame;
    pin.size = sizeof frame;
    b.tenant->n_packet_ins = 0;
    CU_ASSERT_TRUE(of_agent_packet_in(b.edges[1].agent, &pin));
    CU_ASSERT_TRUE(loop_until(b.f.c.base, &b.tenant->n_packet_ins, 1));
    /* Out: on the edge of the in-port, with the context that the tables need. */
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_OUT, 0);
    msg.packet_out = (struct of_packet_out) { .buffer_id = OFP_NO_BUFFER, .in_port = 2, .size = sizeof frame, .data = frame };
    actions_output(&msg.packet_out.actions, OFPP_FLOOD);
    of_conn_send(b.tenant->conn, &msg);
    actions_fini(&msg.packet_out.actions);
    CU_ASSERT_TRUE(loop_until(b.f.c.base, &b.edges[1].n_packet_outs, 1));
    const struct of_packet_out *out = &b.edges[1].last_out;
    CU_ASSERT_TRUE(out->in_port == OFPP_CONTROLLER && out->actions.n == 4 && out->actions.list[0].load.value == b.vsw->id && out->actions.list[1].load.value == 2
                   && out->actions.list[2].load.value == OFPP_FLOOD && out->actions.list[3].resubmit.table == T_DELIVER);
    CU_ASSERT_EQUAL(b.edges[0].n_packet_outs, 0);
    vsw_rig_fini(&b);
}

/* --- How the tenant's actions are compiled --- */

static void first_entry(struct flow_entry *e, void *found)
{
    if (e->priority) {
        *(struct flow_entry **) found = e;
    }
}

/* Of the one entry in the tenant's table 0, on edge 1. */
static void expect_compiled(struct vsw_rig *b, const char *wanted)
{
    struct flow_entry *e = NULL;
    struct of_flow_filter filter;
    struct buf text = BUF_INIT;
    of_flow_filter_init(&filter);
    filter.table_id = T_VIRT;
    vsw_rig_settle(b);
    flow_tables_each(b->edges[0].flows, &filter, false, first_entry, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    instructions_format(&e->instructions, &text);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&text), wanted);
    buf_fini(&text);
}

/* A packet-in from the action set bears the metadata that the same entry wrote (section 5.9). */
static void test_metadata_and_set(void)
{
    struct vsw_rig b;
    char wanted[300];
    vsw_rig_init(&b);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", "write_actions(CONTROLLER),write_metadata:0x25/0xf0f");
    vsw_rig_barrier(&b);
    unsigned number = ((const struct vflow *) vsw_rig_entry(&b, 0, "in_port=1")->aux)->number;
    snprintf(wanted, sizeof wanted, "set_field:0x5/0xf0f->metadata,load:%#x->NXM_NX_REG8[],load:0xfffffffd->NXM_NX_REG2[],resubmit(,240)", number);
    expect_compiled(&b, wanted);
    vsw_rig_flow(&b, OFPFC_MODIFY, 0, 1, "in_port=1", "write_actions(output:2),write_metadata:0x25");
    vsw_rig_barrier(&b);
    expect_compiled(&b, "set_field:0x25->metadata,load:0x2->NXM_NX_REG2[],resubmit(,240)");
    vsw_rig_fini(&b);
}

/* The edges here are no vswitchd: their buckets name no meter, and packet-ins from buckets are told apart by reg8. */
static void test_bucket_to_controller(void)
{
    struct vsw_rig b;
    char wanted[300];
    struct buf text = BUF_INIT;
    vsw_rig_init(&b);
    vsw_rig_group(&b, OFPGC_ADD, 1, OFPP_CONTROLLER);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", "group:1");
    vsw_rig_barrier(&b);
    uint32_t physical = vsw_physical_group(b.vsw, 1);
    const struct group *g = group_table_find(b.edges[0].groups, physical);
    CU_ASSERT_TRUE_FATAL(b.vsw->has_foreign_edge && g && g->n_buckets == 1);
    actions_format(&g->buckets[0].actions, &text);
    CU_ASSERT_STRING_EQUAL(buf_cstr(&text), "load:0xfffffffd->NXM_NX_REG2[],resubmit(,240)");
    buf_fini(&text);
    unsigned number = ((const struct vflow *) vsw_rig_entry(&b, 0, "in_port=1")->aux)->number;
    snprintf(wanted, sizeof wanted, "load:%#x->NXM_NX_REG8[],group:%u", number, physical);
    expect_compiled(&b, wanted);
    /* An edge that became known to be a vswitchd only now: as it compiles for those. */
    for (unsigned i = 0; i < N_EDGES; i++) {
        substrate_find(b.f.c.substrate, i + 1)->is_vswitchd = true;
    }
    fabric_sw_up(b.f.c.fabric, substrate_find(b.f.c.substrate, 1));
    CU_ASSERT_TRUE(b.vsw->entries_dirty);
    vsw_rig_settle(&b);
    vsw_rig_barrier(&b);
    CU_ASSERT_TRUE(!b.vsw->has_foreign_edge && g->n_buckets == 1 && g->buckets[0].actions.n == 1 && g->buckets[0].actions.list[0].type == ACTION_CONTROLLER);
    snprintf(wanted, sizeof wanted, "group:%u", physical);
    expect_compiled(&b, wanted);
    vsw_rig_fini(&b);
}

static void test_ports(void)
{
    struct vsw_rig b;
    struct of_port port;
    struct of_msg msg;
    vsw_rig_init(&b);
    vsw_rig_barrier(&b);
    b.edges[0].port_state = OFPPS_LINK_DOWN;
    vsw_rig_port(&b.edges[0], 1, &port);
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    vsw_rig_expect_port_status(&b, OFPPR_MODIFY, 1, 0, OFPPS_LINK_DOWN);
    vsw_rig_port(&b.edges[0], 2, &port);                     /* No port of the tenant's. */
    port.state = OFPPS_LINK_DOWN;
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    b.edges[0].port_state = 0;
    vsw_rig_port(&b.edges[0], 1, &port);
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    vsw_rig_expect_port_status(&b, OFPPR_MODIFY, 1, 0, OFPPS_LIVE);
    const struct vport *vport = vsw_port_find(b.vsw, 2);
    of_msg_init(&msg, OFPT_PORT_MOD, 0);
    msg.port_mod = (struct of_port_mod) { .port_no = 2, .hw_addr = vport->told.hw_addr, .config = OFPPC_NO_FWD, .mask = OFPPC_NO_FWD };
    of_conn_send(b.tenant->conn, &msg);
    vsw_rig_expect_port_status(&b, OFPPR_MODIFY, 2, OFPPC_NO_FWD, OFPPS_LIVE);
    vsw_rig_barrier(&b);
    /* An edge whose connection is lost still forwards: nobody hears of it. */
    of_agent_free(b.edges[0].agent);
    b.edges[0].agent = NULL;
    loop_for(b.f.c.base, 50);
    vsw_rig_barrier(&b);
    vsw_rig_fini(&b);
}

/* --- Changes of the slice while its controller is there --- */

static void commit(struct vsw_rig *b, struct model_txn *txn)
{
    unsigned n;
    CU_ASSERT_PTR_NOT_NULL_FATAL(txn);
    const uint32_t *ids = model_txn_networks(txn, &n);
    uint32_t *networks = xcalloc(n + 1, sizeof *networks);
    memcpy(networks, ids, n * sizeof *networks);
    model_txn_commit(txn);
    fabric_networks_changed(b->f.c.fabric, networks, n);
    free(networks);
}

static void apply(struct vsw_rig *b, const char *document)
{
    struct err err = ERR_INIT;
    char *text = fixture_quote(document);
    cJSON *tree = json_parse(text, strlen(text), 1 << 20, &err);
    commit(b, model_apply(b->f.c.model, tree, NULL, &err));
    cJSON_Delete(tree);
    free(text);
}

static void delete(struct vsw_rig *b, enum model_kind kind, const char *name)
{
    struct err err = ERR_INIT;
    commit(b, model_delete(b->f.c.model, kind, name, NULL, 0, &err));
}

static void count_tenants(uint8_t table UNUSED, uint16_t priority UNUSED, const struct match *m UNUSED, uint64_t cookie, const struct instructions *in UNUSED,
                          uint32_t owner UNUSED, void *n)
{
    *(unsigned *) n += cookie >> 32 != 0;
}

static unsigned tenant_rules(struct vsw_rig *b)
{
    unsigned n = 0;
    for (unsigned i = 0; i < N_EDGES; i++) {
        ruleset_each(b->f.c.rulesets, i + 1, count_tenants, &n);
    }
    return n;
}

#define IN_SLICE(SWITCHES, LINKS) "{'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':[" SWITCHES "],'links':[" LINKS "]}]}"

static void test_changes(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=3", "output:1");
    vsw_rig_flow(&b, OFPFC_ADD, 0, 2, "", "output:3");
    vsw_rig_barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->cost, 3);                    /* Port 3 is nowhere yet, and counts as one. */
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0) + vsw_rig_count(&b, 1, 0), 2);
    apply(&b, IN_SLICE("{'name':'s1','edges':['e1','e2'],'ports':[{'name':'c','number':3,'edge':'e2','ofport_of':'d2'}]}", ""));
    vsw_rig_expect_port_status(&b, OFPPR_ADD, 3, 0, OFPPS_LIVE);
    vsw_rig_barrier(&b);
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0), 1);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 1, 0), 2);             /* What was said of the port before it was there holds now. */
    /* A link to a second switch, on the other edge: its end is a port, down until the edges reach each other. */
    apply(&b, IN_SLICE("{'name':'s2','edges':['e2'],'ports':[]}", "{'name':'l1','ends':[{'switch':'s1','port':'x','number':9,'edge':'e1'},{'switch':'s2','port':'x'}]}"));
    vsw_rig_expect_port_status(&b, OFPPR_ADD, 9, 0, OFPPS_LINK_DOWN);
    vsw_rig_barrier(&b);
    delete(&b, KIND_LINK, "red/lab/l1");
    vsw_rig_expect_port_status(&b, OFPPR_DELETE, 9, 0, OFPPS_LINK_DOWN);
    delete(&b, KIND_SWITCH_PORT, "red/lab/s1/c");
    vsw_rig_expect_port_status(&b, OFPPR_DELETE, 3, 0, OFPPS_LIVE);
    vsw_rig_barrier(&b);
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 1, 0), 1);
    CU_ASSERT_PTR_NOT_NULL(vsw_rig_entry(&b, 0, "in_port=3"));  /* The model keeps what the tenant said. */
    CU_ASSERT_EQUAL(b.tenant->n_down, 0);
    delete(&b, KIND_SLICE, "red/lab");
    CU_ASSERT_TRUE(loop_until(b.f.c.base, &b.tenant->n_down, 1));
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(tenant_rules(&b), 0);
    CU_ASSERT_EQUAL(b.f.c.fabric->usages.n, 0);
    vsw_rig_fini(&b);
}

/* A slice that comes and goes leaves nothing: no rule, no group, no meter, no id. */
static void test_cycles(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    unsigned rules = tenant_rules(&b);
    for (unsigned i = 0; i < 300; i++) {
        apply(&b, "{'slices':[{'name':'more','tenant':'red','topology':'custom','switches':[{'name':'t1','edges':['e1','e2'],'ports':["
                  "{'name':'a','edge':'e1','ofport_of':'d2'}]},{'name':'t2','edges':['e2'],'ports':[{'name':'a','edge':'e2','ofport_of':'d2'}]}],"
                  "'links':[{'name':'l','ends':['t1/l','t2/l']}]}]}");
        if (i % 3) {
            fixture_turn(&b.f, 1);
        }
        delete(&b, KIND_SLICE, "red/more");
    }
    vsw_rig_settle(&b);
    CU_ASSERT_EQUAL(tenant_rules(&b), rules);
    CU_ASSERT_EQUAL(b.f.c.fabric->vsws.n, 1);
    vsw_rig_barrier(&b);                                        /* The other slice's controller noticed nothing. */
    CU_ASSERT_EQUAL(b.tenant->n_messages, 1);
    vsw_rig_fini(&b);
}

/* --- Counters of what has left --- */

static void now_read(void *read) { *(bool *) read = true; }

static void expect_table(struct vsw_rig *b, uint64_t lookups, uint64_t matched)
{
    struct of_table_stats stats;
    bool read = false;
    vsw_rig_settle(b);
    vsw_stats_refresh(b->f.c.fabric->stats, b->vsw, VSW_STATS_FLOWS, now_read, &read);
    CU_ASSERT_TRUE(fixture_run(&b->f, &read, 5));
    vsw_counters_table(b->vsw, 0, &stats);
    CU_ASSERT_EQUAL(stats.lookup_count, lookups);
    CU_ASSERT_EQUAL(stats.matched_count, matched);
}

/* Every rule that an edge has had, on either edge, has counted five frames when it leaves; nobody reads before. */
static void test_what_left_counts(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    for (unsigned i = 0; i < N_EDGES; i++) {
        b.edges[i].n_counted = 5;
    }
    expect_table(&b, 10, 0);                            /* The rule for what matches nothing. */
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "output:2");
    vsw_rig_barrier(&b);
    vsw_rig_flow(&b, OFPFC_DELETE, 0, 0, "eth_dst=02:00:00:00:00:01", "");
    vsw_rig_barrier(&b);
    expect_table(&b, 20, 10);
    for (unsigned round = 1; round <= 3; round++) {     /* In the place of the rule for what matches nothing, and that again. */
        struct of_flow_mod mod;
        of_flow_mod_init(&mod);
        mod.priority = 0;
        CU_ASSERT_TRUE(of_ok(vsw_flow_mod(b.vsw, &mod)));
        if (round < 3) {
            vsw_rig_settle(&b);
            fixture_turn(&b.f, 20);
        }
        mod.command = OFPFC_DELETE_STRICT;              /* In the third round nothing was sent, and nothing counted. */
        CU_ASSERT_TRUE(of_ok(vsw_flow_mod(b.vsw, &mod)));
        fixture_turn(&b.f, 20);
        expect_table(&b, round < 3 ? 20 + 20 * round : 70, 10 + 10 * MIN(round, 2u));
    }
    /* Deleted and put again at once: the one that is gone has told, before the new one began. */
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", "output:2");
    vsw_rig_barrier(&b);
    vsw_rig_flow(&b, OFPFC_DELETE, 0, 0, "in_port=1", "");
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", "output:2");
    vsw_rig_barrier(&b);
    expect_table(&b, 80, 40);
    vsw_rig_fini(&b);
}

static void reset(struct vsw_rig *b, enum of_flow_command command, const char *actions)
{
    struct of_msg msg;
    struct err err = ERR_INIT;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = command;
    msg.flow_mod.flags = OFPFF_RESET_COUNTS | OFPFF_SEND_FLOW_REM;
    CU_ASSERT_TRUE_FATAL(match_parse("eth_dst=02:00:00:00:00:01", &msg.flow_mod.match, &err) && instructions_parse(actions, &msg.flow_mod.instructions, &err));
    of_conn_send(b->tenant->conn, &msg);
    of_msg_fini(&msg);
}

static void expect_entry(struct vsw_rig *b, uint64_t packets)
{
    const struct flow_entry *e = vsw_rig_entry(b, 0, "eth_dst=02:00:00:00:00:01");
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    const struct counter_sum *sum = &((const struct vflow *) e->aux)->sum;
    CU_ASSERT_EQUAL(sum->packets - sum->before.packets, packets);
    CU_ASSERT_EQUAL(sum->bytes - sum->before.bytes, packets);
}

static void count_to(struct vsw_rig *b, uint64_t n)
{
    for (unsigned i = 0; i < N_EDGES; i++) {
        b->edges[i].n_counted = n;
    }
}

/* Nobody reads before a tenant resets an entry, by a modify and by an add: the entry begins at zero, its table misses nothing. */
static void test_resets(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "output:2");
    vsw_rig_barrier(&b);
    for (unsigned round = 0; round < 4; round++) {
        uint64_t n = 10 * round;
        count_to(&b, n + 5);
        reset(&b, round % 2 ? OFPFC_ADD : OFPFC_MODIFY, round < 2 ? "output:1" : "output:2");
        vsw_rig_barrier(&b);
        count_to(&b, n + 7);                            /* From now on the new count. */
        expect_entry(&b, 0);
        expect_table(&b, 4 * (n + 7), 2 * (n + 7));     /* As much by the rule for what matches nothing. */
        expect_entry(&b, 4);
    }
    /* What is deleted behind a reset tells what came since; the table all. */
    count_to(&b, 50);
    reset(&b, OFPFC_ADD, "output:1");
    vsw_rig_barrier(&b);
    count_to(&b, 53);
    vsw_rig_flow(&b, OFPFC_DELETE, 0, 0, "eth_dst=02:00:00:00:00:01", "");
    struct of_msg msg = of_peer_take(b.f.c.base, b.tenant);
    CU_ASSERT_TRUE(msg.type == OFPT_FLOW_REMOVED && msg.flow_removed.packet_count == 6 && msg.flow_removed.byte_count == 6);
    of_msg_fini(&msg);
    expect_table(&b, 212, 106);
    vsw_rig_fini(&b);
}

void vsw_test_suite(void)
{
    UNIT_SUITE("vsw", { "refused add", test_refused_add }, { "refused change", test_refused_change }, { "refused group", test_refused_group },
               { "features", test_features }, { "quotas", test_quotas }, { "barrier", test_barrier },
               { "what a plain switch has not", test_refused_by_name }, { "packets", test_packets },
               { "metadata and action set", test_metadata_and_set }, { "bucket to the controller", test_bucket_to_controller },
               { "ports", test_ports }, { "changes", test_changes }, { "cycles", test_cycles }, { "what left counts", test_what_left_counts },
               { "what was reset counts", test_resets });
}
