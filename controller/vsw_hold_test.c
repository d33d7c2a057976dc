/* A restart of controllerd takes no tenant's entries away before the tenant could write them again. */
#include "controller/fabric_impl.h"
#include "controller/vsw_hold.h"

#include <stdlib.h>
#include <string.h>

#include "controller/vsw_rig.h"
#include "tests/unit.h"

static unsigned n_groups(struct vsw_rig *b, unsigned edge)
{
    unsigned n = 0;
    for (uint32_t id = 1; id < 3; id++) {               /* As the pool of before the restart gave them. */
        n += group_table_find(b->edges[edge].groups, b->group_ids[id - 1]) != NULL;
    }
    return n;
}

static void turns(struct vsw_rig *b) { fixture_turn(&b->f, 100); }

static void program(struct vsw_rig *b)
{
    vsw_rig_group(b, OFPGC_ADD, 1, 2);
    vsw_rig_group(b, OFPGC_ADD, 2, 2);
    vsw_rig_flow(b, OFPFC_ADD, 0, 1, "in_port=1", "group:1");
    vsw_rig_flow(b, OFPFC_ADD, 0, 2, "eth_dst=02:00:00:00:00:02", "output:2");
    vsw_rig_flow(b, OFPFC_ADD, 1, 3, "eth_dst=02:00:00:00:00:03", "output:1");
    vsw_rig_barrier(b);
    for (uint32_t id = 1; id < 3; id++) {
        b->group_ids[id - 1] = vsw_physical_group(b->vsw, id);
    }
}

static void restart_with(struct vsw_rig *b, unsigned hold_s, void (*before_edges)(struct vsw_rig *))
{
    b->f.c.config.slice_hold_s = hold_s;
    vsw_rig_restart_with(b, before_edges);
    CU_ASSERT_TRUE_FATAL(loop_until(b->f.c.base, &b->tenant->n_up, 1));
    turns(b);
    while (b->tenant->n_got) {                          /* Its ports came up with the edges. */
        struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
        CU_ASSERT_EQUAL(msg.type, OFPT_PORT_STATUS);
        of_msg_fini(&msg);
    }
}

static void restart(struct vsw_rig *b, unsigned hold_s) { restart_with(b, hold_s, NULL); }

/* All at once what HOLD_QUIET_NS and the time limit bring. */
static void end_hold(struct vsw_rig *b)
{
    vsw_hold_tick(b->f.c.fabric);
    for (unsigned i = 0; i < 30 && !(vsw_rig_count(b, 0, 1) == 0 && vsw_rig_count(b, 1, 1) == 0); i++) {
        turns(b);
    }
    vsw_rig_settle(b);
}

static void test_held(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    program(&b);
    uint32_t number = ((struct vflow *) vsw_rig_entry(&b, 0, "in_port=1")->aux)->number;
    restart(&b, 60);
    CU_ASSERT_TRUE(vsw_is_held(b.vsw));
    CU_ASSERT_EQUAL(flow_tables_count(b.vsw->flows, OFPTT_ALL), 0);
    CU_ASSERT_TRUE(vsw_rig_count(&b, 0, 0) == 2 && vsw_rig_count(&b, 1, 0) == 1 && vsw_rig_count(&b, 0, 1) == 1 && vsw_rig_count(&b, 1, 1) == 1);
    CU_ASSERT_EQUAL(n_groups(&b, 0), 2);

    /* The tenant writes one of them again, under a number that none of the held ones has. */
    vsw_rig_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", "output:2");
    vsw_rig_barrier(&b);
    CU_ASSERT_TRUE(((struct vflow *) vsw_rig_entry(&b, 0, "in_port=1")->aux)->number > number + 3);
    CU_ASSERT_TRUE(vsw_rig_count(&b, 0, 0) == 2 && vsw_rig_count(&b, 0, 1) == 1);
    vsw_hold_tick(b.f.c.fabric);
    CU_ASSERT_TRUE(vsw_is_held(b.vsw));                 /* It has only just changed something. */

    b.vsw->hold_quiet_ns = 1;
    end_hold(&b);
    CU_ASSERT_FALSE(vsw_is_held(b.vsw));
    CU_ASSERT_TRUE(vsw_rig_count(&b, 0, 0) == 1 && vsw_rig_count(&b, 1, 0) == 0 && vsw_rig_count(&b, 0, 1) == 0);
    CU_ASSERT_EQUAL(n_groups(&b, 0), 0);
    vsw_rig_fini(&b);
}

/* --- Meters of an earlier life --- */

#define OTHERS_RATE 7777

/* Edge 1 still has another's meter under the number that the virtual switch's has now, and an entry that goes through it. */
static void leave_meter(struct vsw_rig *b)
{
    struct edge_sim *e = &b->edges[0];
    struct of_meter_mod meter = { .command = OFPMC_ADD, .flags = OFPMF_PKTPS, .meter_id = b->vsw->packet_in_meter, .bands = xcalloc(1, sizeof *meter.bands), .n_bands = 1 };
    meter.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = OTHERS_RATE };
    struct of_flow_mod flow;
    CU_ASSERT_TRUE(of_ok(meter_table_mod(e->meters, &meter)));
    of_flow_mod_init(&flow);
    flow.table_id = T_VIRT + 3;
    flow.cookie = COOKIE(b->vsw->id, 4711);
    match_set_u64(&flow.match, R_VSW, b->vsw->id);
    flow.instructions.has_meter = true;
    flow.instructions.meter = b->vsw->packet_in_meter;
    CU_ASSERT_TRUE(of_ok(flow_tables_mod(e->flows, &flow)));
}

static void test_meters(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    vsw_rig_meter(&b, 1);
    vsw_rig_flow(&b, OFPFC_ADD, 3, 1, "in_port=1", "meter:1,output:2");
    vsw_rig_barrier(&b);
    uint32_t mine = vsw_physical_meter(b.vsw, 1);
    restart_with(&b, 60, leave_meter);
    CU_ASSERT_TRUE_FATAL(mine != b.vsw->packet_in_meter);
    const struct meter *m = meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter), *held = meter_table_find(b.edges[0].meters, mine);
    CU_ASSERT_TRUE_FATAL(m && held);
    CU_ASSERT_EQUAL(m->bands[0].rate, b.vsw->network->quota.packet_in_rate);
    CU_ASSERT_EQUAL(held->bands[0].rate, 100);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 3), 1);        /* The tenant's own, which is held; the other's does not go through a meter that is not its own. */
    /* Read again: by now it is what the edge was given. */
    reconcile_read_again(b.f.c.reconcile, 1);
    loop_for(b.f.c.base, 1200);
    CU_ASSERT_PTR_EQUAL(meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter), m);
    b.vsw->hold_quiet_ns = 1;
    end_hold(&b);
    CU_ASSERT_PTR_NULL(meter_table_find(b.edges[0].meters, mine));
    vsw_rig_fini(&b);
}

/* Numbers are given out from anywhere, all of them, and none twice. */
static void test_pool(void)
{
    struct id_pool pool;
    bool had[11] = { false };
    id_pool_init(&pool, 10);
    id_pool_start(&pool, 7);
    for (unsigned i = 0; i < 10; i++) {
        CU_ASSERT_FALSE(id_pool_empty(&pool));
        uint32_t id = id_pool_get(&pool);
        CU_ASSERT_TRUE_FATAL(id >= 1 && id <= 10 && !had[id]);
        CU_ASSERT_TRUE(i || id == 7);
        had[id] = true;
    }
    CU_ASSERT_TRUE(id_pool_empty(&pool));
    id_pool_put(&pool, 3);
    CU_ASSERT_TRUE(!id_pool_empty(&pool) && id_pool_get(&pool) == 3 && id_pool_empty(&pool));
    id_pool_fini(&pool);
}

/* No controller comes: the time ends it. */
static void test_time_limit(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    program(&b);
    restart(&b, 60);
    CU_ASSERT_EQUAL(vsw_rig_count(&b, 0, 0), 2);
    b.vsw->hold_end_ns = 1;
    b.vsw->hold_quiet_ns = 0;
    end_hold(&b);
    CU_ASSERT_TRUE(vsw_rig_count(&b, 0, 0) == 0 && vsw_rig_count(&b, 1, 0) == 0);
    vsw_rig_fini(&b);
}

static void test_not_held(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    program(&b);
    restart(&b, 0);
    vsw_rig_settle(&b);
    CU_ASSERT_FALSE(vsw_is_held(b.vsw));
    CU_ASSERT_TRUE(vsw_rig_count(&b, 0, 0) == 0 && vsw_rig_count(&b, 1, 0) == 0);
    vsw_rig_fini(&b);
}

/* OpenFlow 1.0's NO_FLOOD: out of the group of FLOOD, named one by one in what ALL does. */
struct flood { struct vsw_rig *b; uint32_t port; bool flooded, all; };

static bool delivers(const struct actions *actions, uint32_t port)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_CLONE ? delivers(&a->nested, port) : a->type == ACTION_LOAD && a->load.dst.field == field_row(R_OUT) && a->load.value == port) {
            return true;
        }
    }
    return false;
}

static void look_at_group(uint32_t id, enum of_group_type type UNUSED, const struct of_bucket *buckets, unsigned n, uint32_t owner UNUSED, void *flood_)
{
    struct flood *flood = flood_;
    for (unsigned i = 0; i < n && id == FLOOD_GROUP(flood->b->vsw->id); i++) {
        flood->flooded |= delivers(&buckets[i].actions, flood->port);
    }
}

static void look_at_rule(uint8_t table, uint16_t priority UNUSED, const struct match *match, uint64_t cookie UNUSED, const struct instructions *in,
                         uint32_t owner UNUSED, void *flood_)
{
    struct flood *flood = flood_;
    if (table == T_DELIVER && be32_get(match->value.flow.regs[R_OUT - FIELD_REG0]) == OFPP_ALL) {
        flood->all |= delivers(&in->apply, flood->port);
    }
}

static void set_no_flood(struct vsw_rig *b, uint32_t port, bool on)
{
    const struct vport *vport = vsw_port_find(b->vsw, port);
    struct of_port_mod mod = { .port_no = port, .hw_addr = vport->port->mac, .config = on ? OFPPC10_NO_FLOOD : 0, .mask = OFPPC10_NO_FLOOD };
    CU_ASSERT_TRUE(of_ok(vsw_port_mod(b->vsw, &mod)));
    vsw_rig_settle(b);
}

static void expect_flood(struct vsw_rig *b, bool flooded)
{
    struct flood flood = { .b = b, .port = 1 };
    ruleset_each_group(b->f.c.rulesets, 1, look_at_group, &flood);
    ruleset_each(b->f.c.rulesets, 1, look_at_rule, &flood);
    CU_ASSERT_EQUAL(flood.flooded, flooded);
    CU_ASSERT_EQUAL(flood.all, !flooded);
}

static void test_no_flood(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    expect_flood(&b, true);
    set_no_flood(&b, 1, true);
    expect_flood(&b, false);
    set_no_flood(&b, 1, false);
    expect_flood(&b, true);
    vsw_rig_fini(&b);
}

unit_suite_fn vsw_hold_test_suite;
void vsw_hold_test_suite(void)
{
    UNIT_SUITE("vsw_hold", { "entries, groups and meters outlive a restart", test_held }, { "but not for ever", test_time_limit },
               { "nor where the operator does not want that", test_not_held }, { "meters under others' numbers", test_meters }, { "numbers", test_pool });
    UNIT_SUITE("vsw_ports", { "OpenFlow 1.0's NO_FLOOD", test_no_flood });
}
