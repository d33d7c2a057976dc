/* The simulated network against what a real one would do: wiring, discovery frames across cables, packet-ins with their registers, rules that are kept. */
#include "utilities/control-bench/sim.h"

#include <event2/event.h>
#include <string.h>

#include "ofproto/text.h"
#include "tests/unit.h"
#include "utilities/control-bench/tenant.h"

#define LIMIT_NS UINT64_C(5000000000)

struct rig {
    struct event_base *base;
    struct sim_net *net;
    struct tenants *tenants;
    unsigned n_packet_ins, n_packet_outs, n_changed, n_barriers, n_errors;
    uint64_t from_dpid;         /* Of the last packet-in. */
    uint32_t in_port;
    struct event *ticker;
};

static void on_changed(struct sim_switch *sw UNUSED, const struct flow_entry *e UNUSED, void *r) { ((struct rig *) r)->n_changed++; }
static void on_packet_out(struct sim_switch *sw UNUSED, const struct of_packet_out *po UNUSED, void *r) { ((struct rig *) r)->n_packet_outs++; }
static void on_ready(struct tenant_conn *tc UNUSED, void *r UNUSED) { }
static void on_barrier(struct tenant_conn *tc UNUSED, uint32_t xid UNUSED, void *r) { ((struct rig *) r)->n_barriers++; }
static void on_error(struct tenant_conn *tc UNUSED, struct of_error e UNUSED, void *r) { ((struct rig *) r)->n_errors++; }

static void on_packet_in(struct tenant_conn *tc, const struct of_packet_in *in, void *r_)
{
    struct rig *r = r_;
    r->n_packet_ins++;
    r->from_dpid = tc->dpid;
    r->in_port = be32_get(in->match.value.flow.in_port);
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *aux UNUSED)
{
}

static const struct sim_hooks sim_hooks = { on_changed, on_packet_out };
static const struct tenant_hooks tenant_hooks = { on_ready, on_ready, on_barrier, on_packet_in, on_error };

static void rig_init(struct rig *r, struct sim_plan plan)
{
    struct err err = ERR_INIT;
    struct timeval tick = { 0, 10000 };
    memset(r, 0, sizeof *r);
    r->base = event_base_new();
    r->ticker = event_new(r->base, -1, EV_PERSIST, on_tick, NULL);
    event_add(r->ticker, &tick);
    r->net = sim_net_new(r->base, &plan, &sim_hooks, r);
    r->tenants = tenants_new(r->base, 1, 0, &tenant_hooks, r, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->tenants);
    char *target = xasprintf("tcp:127.0.0.1:%u", tenants_port(r->tenants, 0));
    CU_ASSERT_FATAL(sim_net_connect(r->net, target, &err));
    free(target);
}

static void rig_fini(struct rig *r)
{
    tenants_free(r->tenants);
    sim_net_free(r->net);
    event_free(r->ticker);
    event_base_free(r->base);
}

static bool reaches(struct rig *r, const unsigned *what, unsigned at_least)
{
    struct clock clock = clock_monotonic();
    uint64_t deadline = clock_now_ns(&clock) + LIMIT_NS;
    while (*what < at_least && clock_now_ns(&clock) < deadline) {
        event_base_loop(r->base, EVLOOP_ONCE);
    }
    return *what >= at_least;
}

/* All of the network's switches are the one tenant's here. */
static void wait_ready(struct rig *r)
{
    CU_ASSERT_FATAL(reaches(r, &r->tenants->n_ready, r->net->n_switches));
}

static void add(struct sim_switch *sw, uint8_t table, uint16_t priority, uint64_t cookie, const char *match, const char *actions)
{
    struct of_flow_mod fm;
    struct err err = ERR_INIT;
    of_flow_mod_init(&fm);
    fm.table_id = table;
    fm.priority = priority;
    fm.cookie = cookie;
    CU_ASSERT_FATAL(match_parse(match, &fm.match, &err));
    CU_ASSERT_FATAL(instructions_parse(actions, &fm.instructions, &err));
    CU_ASSERT(of_ok(flow_tables_mod(sw->flows, &fm)));
    instructions_fini(&fm.instructions);
}

static void test_wiring(void)
{
    static const struct { enum sim_wiring wiring; unsigned n, n_switches, n_cable_ends; } rows[] = {
        { SIM_ALONE, 3, 3, 0 }, { SIM_LINE, 3, 3, 4 }, { SIM_RING, 3, 3, 6 }, { SIM_RING, 2, 2, 2 }, { SIM_STAR, 3, 4, 6 }, { SIM_LINE, 1, 1, 0 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct event_base *base = event_base_new();
        struct sim_net *net = sim_net_new(base, &(struct sim_plan) { .n_edges = rows[i].n, .n_devices = 2, .wiring = rows[i].wiring }, &sim_hooks, NULL);
        unsigned n = 0;
        CU_ASSERT_EQUAL(net->n_switches, rows[i].n_switches);
        for (unsigned s = 0; s < net->n_switches; s++) {
            const struct sim_switch *sw = net->switches[s];
            for (unsigned p = 0; p < sw->n_ports; p++) {
                const struct sim_port *port = &sw->ports[p];
                CU_ASSERT_EQUAL(port->of.port_no, p + 1);
                CU_ASSERT((port->peer != NULL) == (p >= sw->n_devices));
                if (port->peer) {
                    const struct sim_port *back = &port->peer->ports[port->peer_port - 1];
                    CU_ASSERT(back->peer == sw && back->peer_port == p + 1);
                    n++;
                }
            }
        }
        CU_ASSERT_EQUAL(n, rows[i].n_cable_ends);
        sim_net_free(net);
        event_base_free(base);
    }
}

/* A discovery frame goes out of a cable and comes up at its other end, if a rule says so; other packet-outs go nowhere. */
static void test_discovery(void)
{
    struct rig r;
    rig_init(&r, (struct sim_plan) { .n_edges = 3, .n_devices = 2, .wiring = SIM_LINE });
    wait_ready(&r);
    add(r.net->switches[1], 0, 10, 1, "dl_type=0x88cc", "CONTROLLER");
    uint8_t frame[60] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc };
    struct of_packet_in in = { .data = frame, .size = sizeof frame };
    match_init(&in.match);
    struct tenant_conn *first = tenant_switch(r.tenants, 0, 1, 0);
    tenant_packet_out(first, &in, 3);           /* No in_port: refused. */
    CU_ASSERT(reaches(&r, &r.n_errors, 1));
    match_set_u64(&in.match, FIELD_IN_PORT, 1);
    tenant_packet_out(first, &in, 3);           /* u1 of switch 1. */
    CU_ASSERT(reaches(&r, &r.n_packet_ins, 1));
    CU_ASSERT_EQUAL(r.from_dpid, 2);
    CU_ASSERT_EQUAL(r.in_port, 3);
    tenant_packet_out(tenant_switch(r.tenants, 0, 3, 0), &in, 3);       /* u1 of switch 3 is cabled to u2 of switch 2. */
    CU_ASSERT(reaches(&r, &r.n_packet_ins, 2));
    CU_ASSERT_EQUAL(r.in_port, 4);
    wire_put16(frame + 12, 0x0800);
    tenant_packet_out(first, &in, 3);
    CU_ASSERT(reaches(&r, &r.n_packet_outs, 1));
    CU_ASSERT_EQUAL(r.n_packet_ins, 2);
    CU_ASSERT_EQUAL(r.net->switches[0]->n_packet_outs, 1);
    rig_fini(&r);
}

/* The way of a tenant's frame: context in registers, then the tenant's table, by goto and by resubmit, highest priority first. */
static void test_example(void)
{
    struct event_base *base = event_base_new();
    struct sim_net *net = sim_net_new(base, &(struct sim_plan) { .n_edges = 1, .n_devices = 3 }, &sim_hooks, &(struct rig) { .base = base });
    struct sim_switch *sw = net->switches[0];
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x08, 0x06 };
    struct sim_packet_in got;
    const struct of_packet_in *in = &got.in;
    CU_ASSERT_FALSE(sim_packet_in_example(sw, 1, frame, sizeof frame, &got));
    add(sw, 0, 100, 1, "in_port=1", "load:5->NXM_NX_REG0[],load:9->NXM_NX_REG1[],goto_table:16");
    add(sw, 0, 100, 1, "in_port=2", "set_field:6->reg0,resubmit(,16),clone(load:1->NXM_NX_REG0[]),resubmit(,17)");
    add(sw, 16, 0, UINT64_C(0x500000010), "reg0=5", "CONTROLLER");
    add(sw, 16, 7, 3, "reg0=5,dl_dst=02:00:00:00:00:09,dl_type=0x800", "drop");
    add(sw, 17, 1, UINT64_C(0x600000011), "reg0=6", "CONTROLLER");
    CU_ASSERT_FATAL(sim_packet_in_example(sw, 1, frame, sizeof frame, &got));
    CU_ASSERT_EQUAL(in->cookie, UINT64_C(0x500000010));
    CU_ASSERT_EQUAL(in->table_id, 16);
    CU_ASSERT_EQUAL(be32_get(in->match.value.flow.regs[0]), 5);
    CU_ASSERT_EQUAL(be32_get(in->match.value.flow.regs[1]), 9);
    CU_ASSERT_EQUAL(be32_get(in->match.value.flow.in_port), 1);
    CU_ASSERT(in->data == frame && in->size == sizeof frame);
    CU_ASSERT_FATAL(sim_packet_in_example(sw, 2, frame, sizeof frame, &got));
    CU_ASSERT_EQUAL(in->cookie, UINT64_C(0x600000011));
    CU_ASSERT_EQUAL(be32_get(in->match.value.flow.regs[0]), 6);
    CU_ASSERT_FALSE(sim_packet_in_example(sw, 3, frame, sizeof frame, &got));
    wire_put16(frame + 12, 0x0800);             /* Now the entry of priority 7 is in front of it. */
    CU_ASSERT_FALSE(sim_packet_in_example(sw, 1, frame, sizeof frame, &got));
    sim_net_free(net);
    event_base_free(base);
}

/* A rule that goes in a circle ends. */
static void test_loop(void)
{
    struct event_base *base = event_base_new();
    struct sim_net *net = sim_net_new(base, &(struct sim_plan) { .n_edges = 1, .n_devices = 1 }, &sim_hooks, &(struct rig) { .base = base });
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9 };
    struct sim_packet_in in;
    add(net->switches[0], 0, 1, 1, "in_port=1", "resubmit(,0)");
    CU_ASSERT_FALSE(sim_packet_in_example(net->switches[0], 1, frame, sizeof frame, &in));
    sim_net_free(net);
    event_base_free(base);
}

/* A packet-in of an action with a meter passes at the meter's rate; one without passes always, and so does each when the meter is gone. */
static void test_meter(void)
{
    enum { RATE = 10, BURST = 20, MANY = 1000 };
    struct rig r;
    rig_init(&r, (struct sim_plan) { .n_edges = 1, .n_devices = 2 });
    wait_ready(&r);
    struct sim_switch *sw = r.net->switches[0];
    struct of_meter_band band = { .type = OFPMBT_DROP, .rate = RATE, .burst_size = BURST };
    struct of_meter_mod mod = { .command = OFPMC_ADD, .flags = OFPMF_PKTPS | OFPMF_BURST, .meter_id = 7, .bands = memcpy(xmalloc(sizeof band), &band, sizeof band), .n_bands = 1 };
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x08, 0x06 };
    struct sim_packet_in metered, plain;
    CU_ASSERT_FATAL(of_ok(meter_table_mod(sw->meters, &mod)));
    add(sw, 0, 1, 1, "in_port=1", "controller(reason=action,meter_id=7)");
    add(sw, 0, 1, 1, "in_port=2", "CONTROLLER");
    CU_ASSERT_FATAL(sim_packet_in_example(sw, 1, frame, sizeof frame, &metered) && sim_packet_in_example(sw, 2, frame, sizeof frame, &plain));
    CU_ASSERT(metered.meter_id == 7 && !plain.meter_id);
    const uint64_t begun = clock_now_ns(&sw->net->clock);
    for (unsigned i = 0; i < MANY; i++) {
        sim_switch_packet_in(sw, &metered);
    }
    const uint64_t most = BURST + 1 + (clock_now_ns(&sw->net->clock) - begun) * RATE / 1000000000;
    CU_ASSERT(sw->n_packet_ins >= BURST && sw->n_packet_ins <= most);
    CU_ASSERT_EQUAL(sw->n_packet_ins + sw->n_metered, MANY);
    const uint64_t before = sw->n_packet_ins;
    for (unsigned i = 0; i < MANY; i++) {
        sim_switch_packet_in(sw, &plain);
    }
    CU_ASSERT_EQUAL(sw->n_packet_ins, before + MANY);
    mod = (struct of_meter_mod) { .command = OFPMC_DELETE, .meter_id = 7 };
    CU_ASSERT(of_ok(meter_table_mod(sw->meters, &mod)));
    sim_switch_packet_in(sw, &metered);
    CU_ASSERT_EQUAL(sw->n_packet_ins, before + MANY + 1);
    CU_ASSERT(reaches(&r, &r.n_packet_ins, (unsigned) sw->n_packet_ins));
    rig_fini(&r);
}

/* What a tenant says is what the tables hold afterwards; hooks tell of tenants' tables only. */
static void test_rules(void)
{
    struct rig r;
    rig_init(&r, (struct sim_plan) { .n_edges = 1, .n_devices = 2 });
    struct sim_switch *sw = r.net->switches[0];
    wait_ready(&r);
    struct tenant_conn *tc = tenant_switch(r.tenants, 0, 0, 99);
    CU_ASSERT_FATAL(tc && tc->dpid == 1 && !tenant_switch(r.tenants, 0, 0, 1));
    for (unsigned i = 0; i < 100; i++) {
        tenant_add(tc, i, 1);
    }
    tenant_add(tc, 5, 2);
    tenant_delete(tc, 6);
    tenant_miss(tc);
    tenant_barrier(tc);
    CU_ASSERT(reaches(&r, &r.n_barriers, 1));
    CU_ASSERT_EQUAL(flow_tables_count(sw->flows, 0), 100);
    CU_ASSERT_EQUAL(r.n_changed, 0);            /* Table 0 is none of a tenant's on the network's switches. */
    add(sw, 16, 1, 1, "", "drop");
    CU_ASSERT_EQUAL(r.n_changed, 1);
    add(sw, 240, 1, 1, "", "drop");             /* Nor are those behind tenants' tables. */
    CU_ASSERT_EQUAL(r.n_changed, 1);
    tenant_delete_all(tc);
    tenant_barrier(tc);
    CU_ASSERT(reaches(&r, &r.n_barriers, 2));
    CU_ASSERT_EQUAL(flow_tables_count(sw->flows, 0), 0);
    CU_ASSERT_EQUAL(r.n_errors, 0);
    rig_fini(&r);
}

void sim_test_suite(void), paired_test_suite(void);
void sim_test_suite(void)
{
    UNIT_SUITE("simulated network", { "wiring", test_wiring }, { "discovery frames cross cables", test_discovery }, { "an example packet-in", test_example },
               { "a circle ends", test_loop }, { "a meter limits packet-ins", test_meter }, { "rules are kept", test_rules });
}

UNIT_MAIN(sim_test_suite, paired_test_suite)
