/*
 * A slice between a tenant's controller and its edges: real connections on both sides, edges that are real but for their
 * wires (ofproto's agent over its own tables), and that refuse what the test says.
 */
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/ruleset.h"
#include "controller/slice.h"
#include "controller/store.h"
#include "controller/substrate.h"
#include "controller/test_fixture.h"
#include "ofproto/agent.h"
#include "ofproto/meter_table.h"
#include "ofproto/of_peer.h"
#include "tests/unit.h"

unit_suite_fn vsw_test_suite;

#define N_EDGES 2
#define REFUSED_TABLE (T_VIRT + 5)
#define REFUSED_MAC UINT64_C(0x02deadbeef00)

struct edge_sim {
    struct bench *bench;
    uint64_t datapath_id;
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct of_agent *agent;
    bool refuse_groups, defer_barriers;
    struct { void (*done)(void *); void *token; } deferred[16];
    unsigned n_deferred;
    struct of_packet_out last_out;
    unsigned n_packet_outs;
    uint32_t port_state;
};

struct bench {
    struct fixture f;
    char target[140];
    struct edge_sim edges[N_EDGES];
    struct of_peer *tenant;
    struct vsw *vsw;
};

/* --- An edge --- */

/* It sets a field to what this edge cannot do. */
static bool has_refused_action(const struct actions *actions)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_SET_FIELD && a->set_field.field == field_row(FIELD_ETH_SRC) && field_value_u64(&a->set_field.value) == REFUSED_MAC) {
            return true;
        }
    }
    return false;
}

static struct of_error verdict(const struct flow_entry *entry, const struct edge_sim *e)
{
    if (e->datapath_id == 2 && entry->table_id == REFUSED_TABLE) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    return e->datapath_id == 2 && has_refused_action(&entry->instructions.apply) ? OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT) : OF_OK;
}

static struct of_error on_insert(struct flow_entry *entry, void *e) { return verdict(entry, e); }
static struct of_error on_modify(struct flow_entry *entry, const struct instructions *old UNUSED, bool reset UNUSED, void *e) { return verdict(entry, e); }
static void on_remove(struct flow_entry *entry UNUSED, int reason UNUSED, void *e UNUSED) { }
static void on_counters(const struct flow_entry *entry, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *e UNUSED)
{
    *packets = *bytes = 0;
    *used_ns = entry->created_ns;
}
static struct of_error on_group(struct group *g, void *e_)
{
    struct edge_sim *e = e_;
    return e->refuse_groups && e->datapath_id == 2 && g->id <= TENANT_GROUP_MAX ? OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS) : OF_OK;
}
static void on_group_removed(struct group *g UNUSED, void *e UNUSED) { }
static struct of_error on_meter(struct meter *m UNUSED, void *e UNUSED) { return OF_OK; }
static void on_meter_removed(struct meter *m UNUSED, void *e UNUSED) { }
static void on_meter_counters(const struct meter *m UNUSED, struct of_meter_stats *out UNUSED, void *e UNUSED) { }

static void sw_features(void *e_, struct of_features *features)
{
    struct edge_sim *e = e_;
    features->datapath_id = e->datapath_id;
    features->n_tables = OF_N_TABLES;
}
static void sw_desc(void *e UNUSED, struct of_desc *desc) { str_copy(desc->mfr, sizeof desc->mfr, "test"); }
static struct flow_tables *sw_flows(void *e) { return ((struct edge_sim *) e)->flows; }
static struct group_table *sw_groups(void *e) { return ((struct edge_sim *) e)->groups; }
static struct meter_table *sw_meters(void *e) { return ((struct edge_sim *) e)->meters; }
static void sw_table_stats(void *e UNUSED, uint8_t table UNUSED, struct of_table_stats *stats UNUSED) { }
static void port_of(const struct edge_sim *e, uint32_t number, struct of_port *out)
{
    *out = (struct of_port) { .port_no = number, .hw_addr = mac_from_u64(0x020000000000 + number), .state = number == 1 ? e->port_state : 0 };
    snprintf(out->name, sizeof out->name, "d%u", number);
}
static void sw_ports(void *e, void (*fn)(const struct of_port *, void *), void *aux)
{
    for (uint32_t i = 1; i <= 2; i++) {
        struct of_port port;
        port_of(e, i, &port);
        fn(&port, aux);
    }
}
static bool sw_port_stats(void *e UNUSED, uint32_t port_no, struct of_port_stats *stats UNUSED) { return port_no && port_no <= 2; }
static bool sw_group_stats(void *e UNUSED, struct group *g UNUSED, struct of_group_stats *stats UNUSED) { return true; }
static struct of_error sw_port_mod(void *e UNUSED, const struct of_port_mod *mod UNUSED) { return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT); }
static struct of_error sw_packet_out(void *e_, const struct of_packet_out *po)
{
    struct edge_sim *e = e_;
    if (po->size >= 14 && wire_get16(po->data + 12) == 0x88cc) {
        return OF_OK;                                   /* Discovery's. */
    }
    actions_fini(&e->last_out.actions);
    e->last_out = *po;
    actions_copy(&e->last_out.actions, &po->actions);
    e->n_packet_outs++;
    return OF_OK;
}
static void sw_barrier(void *e_, void (*done)(void *), void *token)
{
    struct edge_sim *e = e_;
    if (!e->defer_barriers) {
        done(token);
        return;
    }
    CU_ASSERT_TRUE_FATAL(e->n_deferred < ARRAY_SIZE(e->deferred));
    e->deferred[e->n_deferred].done = done;
    e->deferred[e->n_deferred++].token = token;
}

static void release(struct edge_sim *e)
{
    e->defer_barriers = false;
    for (unsigned i = 0; i < e->n_deferred; i++) {
        e->deferred[i].done(e->deferred[i].token);
    }
    e->n_deferred = 0;
}

static void edge_init(struct bench *b, unsigned i)
{
    static const struct flow_table_ops flow_ops = { on_insert, on_modify, on_remove, on_counters };
    static const struct group_ops group_ops = { on_group, on_group, on_group_removed };
    static const struct meter_ops meter_ops = { on_meter, on_meter, on_meter_removed, on_meter_counters };
    static const struct of_backend_ops ops = {
        .features = sw_features, .desc = sw_desc, .flows = sw_flows, .groups = sw_groups, .meters = sw_meters, .table_stats = sw_table_stats, .ports = sw_ports,
        .port_stats = sw_port_stats, .group_stats = sw_group_stats, .port_mod = sw_port_mod, .packet_out = sw_packet_out, .barrier = sw_barrier,
    };
    struct edge_sim *e = &b->edges[i];
    struct of_agent_config config = { .n_controllers = 1, .versions = 1u << OF13_VERSION, .max_connections = 4 };
    struct err err = ERR_INIT;
    e->bench = b;
    e->datapath_id = i + 1;
    e->flows = flow_tables_new(10000, clock_monotonic(), &flow_ops, e);
    e->groups = group_table_new(1000, clock_monotonic(), &group_ops, e);
    e->meters = meter_table_new(1000, clock_monotonic(), &meter_ops, e);
    config.controllers = xcalloc(1, sizeof *config.controllers);
    config.controllers[0].target = b->target;
    config.controllers[0].max_backoff_ms = 20;
    e->agent = of_agent_new(b->f.c.base, &config, clock_monotonic(), &ops, e, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e->agent);
    free(config.controllers);
}

static void edge_fini(struct edge_sim *e)
{
    of_agent_free(e->agent);
    release(e);
    flow_tables_free(e->flows);
    group_table_free(e->groups);
    meter_table_free(e->meters);
    actions_fini(&e->last_out.actions);
}

/* --- controllerd without its API --- */

static void on_sw_up(struct sw *sw, void *b_)
{
    struct bench *b = b_;
    reconcile_sw_up(b->f.c.reconcile, sw);
    fabric_sw_up(b->f.c.fabric, sw);
}
static void on_sw_down(struct sw *sw, void *b_)
{
    struct bench *b = b_;
    reconcile_sw_down(b->f.c.reconcile, sw);
    fabric_sw_down(b->f.c.fabric, sw);
}
static bool on_reply(struct sw *sw, struct of_msg *msg, void *b_)
{
    struct bench *b = b_;
    return reconcile_reply(b->f.c.reconcile, sw, msg) || fabric_reply(b->f.c.fabric, sw, msg);
}
static void on_ports(struct sw *sw, void *b) { fabric_ports_changed(((struct bench *) b)->f.c.fabric, sw); }
static void on_links(void *b) { fabric_links_changed(((struct bench *) b)->f.c.fabric); }
static void on_packet_in(struct sw *sw, struct of_packet_in *pin, void *b) { fabric_packet_in(((struct bench *) b)->f.c.fabric, sw, pin); }

static unsigned free_port(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && !bind(fd, (struct sockaddr *) &addr, sizeof addr) && !getsockname(fd, (struct sockaddr *) &addr, &size));
    close(fd);
    return ntohs(addr.sin_port);
}

static bool all_in_sync(struct bench *b)
{
    for (unsigned i = 0; i < N_EDGES; i++) {
        if (flow_tables_count(b->edges[i].flows, OFPTT_ALL) != ruleset_count(b->f.c.rulesets, i + 1)) {
            return false;
        }
    }
    return !fabric_busy(b->f.c.fabric);
}

static void settle(struct bench *b)
{
    for (unsigned i = 0; i < 2000 && !all_in_sync(b); i++) {
        fixture_turn(&b->f, 1);
    }
    CU_ASSERT_TRUE(all_in_sync(b));
}

/* A big switch over both edges: ports 1 (edge 1, device d1) and 2 (edge 2, device d1), with room for few things. */
static void bench_init(struct bench *b)
{
    static const struct substrate_ops ops = { on_sw_up, on_sw_down, on_ports, on_links, on_packet_in, on_reply, NULL };
    static char *listen[1];
    struct err err = ERR_INIT;
    char path[128], document[1200], target[40];
    unsigned port = free_port();

    memset(b, 0, sizeof *b);
    fixture_init(&b->f);
    b->f.c.clock = clock_monotonic();
    b->f.c.config.intern_pairs_per_network = 100;
    b->f.c.config.intern_idle_s = 300;
    fixture_path(&b->f, "of.sock", path);
    snprintf(b->target, sizeof b->target, "punix:%s", path);
    listen[0] = b->target;
    b->f.c.config.openflow_listen = listen;
    b->f.c.config.n_openflow_listen = 1;
    snprintf(document, sizeof document,
             "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}],'tenants':[{'name':'red'}],"
             "'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':[{'name':'s1','datapath_id':'00000000000000aa','edges':['e1','e2'],"
             "'listen':['ptcp:%u:127.0.0.1'],'quota':{'flows':20,'groups':2,'meters':1},"
             "'ports':[{'name':'a','number':1,'edge':'e1','ofport_of':'d1'},{'name':'b','number':2,'edge':'e2','ofport_of':'d1'}]}]}]}", port);
    fixture_apply(&b->f, document);
    fixture_path(&b->f, "store.db", path);
    b->f.c.store = store_open(path, b->f.c.base, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.store);
    b->f.c.substrate = substrate_new(&b->f.c, &ops, b, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.substrate);
    b->f.c.rulesets = rulesets_new(&b->f.c);
    b->f.c.reconcile = reconcile_new(&b->f.c);
    b->f.c.fabric = fabric_new(&b->f.c);
    fabric_load(b->f.c.fabric);
    CU_ASSERT_TRUE_FATAL(substrate_listen(b->f.c.substrate, &err));
    memmove(b->target, b->target + 1, strlen(b->target));      /* unix:… for the switches. */
    for (unsigned i = 0; i < N_EDGES; i++) {
        edge_init(b, i);
    }
    const struct network *network = model_find(b->f.c.model, KIND_SWITCH, "red/lab/s1");
    b->vsw = fabric_find_vsw(b->f.c.fabric, network->id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->vsw->agent);
    for (unsigned i = 0; i < 3000 && (!substrate_find(b->f.c.substrate, 1)->connected || !substrate_find(b->f.c.substrate, 2)->connected); i++) {
        fixture_turn(&b->f, 1);
    }
    settle(b);
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    b->tenant = of_peer_new();
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", port);
    b->tenant->conn = of_conn_connect(b->f.c.base, target, NULL, &options, &of_peer_ops, b->tenant, &err);
    CU_ASSERT_TRUE_FATAL(loop_until(b->f.c.base, &b->tenant->n_up, 1));
}

static void bench_fini(struct bench *b)
{
    of_peer_free(b->tenant);
    for (unsigned i = 0; i < N_EDGES; i++) {
        edge_fini(&b->edges[i]);
    }
    substrate_free(b->f.c.substrate);
    b->f.c.substrate = NULL;
    reconcile_free(b->f.c.reconcile);
    b->f.c.reconcile = NULL;
    fabric_free(b->f.c.fabric);
    rulesets_free(b->f.c.rulesets);
    fixture_fini(&b->f);
}

/* --- What the tenant says --- */

static uint32_t say_flow(struct bench *b, enum of_flow_command command, uint8_t table, uint64_t cookie, const char *match, const char *actions)
{
    struct of_msg msg;
    struct err err = ERR_INIT;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = command;
    msg.flow_mod.table_id = table;
    msg.flow_mod.cookie = cookie;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &msg.flow_mod.match, &err) && instructions_parse(actions, &msg.flow_mod.instructions, &err));
    uint32_t xid = of_conn_send(b->tenant->conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

static uint32_t say_group(struct bench *b, enum of_group_command command, uint32_t id, uint32_t output)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_GROUP_MOD, 0);
    msg.group_mod = (struct of_group_mod) { .command = command, .type = OFPGT_ALL, .group_id = id, .n_buckets = 1, .buckets = xcalloc(1, sizeof(struct of_bucket)) };
    msg.group_mod.buckets[0].watch_port = OFPP_ANY;
    msg.group_mod.buckets[0].watch_group = OFPG_ANY;
    actions_output(&msg.group_mod.buckets[0].actions, output);
    uint32_t xid = of_conn_send(b->tenant->conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

static uint32_t say_meter(struct bench *b, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_METER_MOD, 0);
    msg.meter_mod = (struct of_meter_mod) { .command = OFPMC_ADD, .flags = OFPMF_PKTPS, .meter_id = id, .n_bands = 1, .bands = xcalloc(1, sizeof(struct of_meter_band)) };
    msg.meter_mod.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = 100 };
    uint32_t xid = of_conn_send(b->tenant->conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

static void say_barrier(struct bench *b)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BARRIER_REQUEST, 0);
    of_conn_send(b->tenant->conn, &msg);
}

static void expect_barrier(struct bench *b)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);
    of_msg_fini(&msg);
}

static void barrier(struct bench *b)
{
    say_barrier(b);
    expect_barrier(b);
}

/* With the xid and bytes of the message that it answers. */
static void expect_error(struct bench *b, uint32_t xid, enum of_type request, uint16_t type, uint16_t code)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_ERROR);
    CU_ASSERT_EQUAL(msg.xid, xid);
    CU_ASSERT_EQUAL(msg.error.error.type, type);
    CU_ASSERT_EQUAL(msg.error.error.code, code);
    CU_ASSERT_TRUE(msg.error.size >= 8 && msg.error.data[1] == request && wire_get32(msg.error.data + 4) == xid);
    of_msg_fini(&msg);
}

static struct flow_entry *entry(struct bench *b, uint8_t table, const char *match)
{
    struct match m;
    struct err err = ERR_INIT;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &m, &err));
    return flow_tables_find(b->vsw->flows, table, 0x8000, &m);
}

static bool does(const struct flow_entry *e, const char *actions)
{
    struct instructions in;
    struct err err = ERR_INIT;
    CU_ASSERT_TRUE_FATAL(instructions_parse(actions, &in, &err));
    bool equal = e && instructions_equal(&e->instructions, &in);
    instructions_fini(&in);
    return equal;
}

static void count_entry(struct flow_entry *e, void *n) { *(unsigned *) n += e->priority != 0; }

/* Without the rule that counts what nothing matches. */
static unsigned count_on(struct bench *b, unsigned edge, uint8_t virtual_table)
{
    struct of_flow_filter filter;
    unsigned n = 0;
    of_flow_filter_init(&filter);
    filter.table_id = (uint8_t) (T_VIRT + virtual_table);
    flow_tables_each(b->edges[edge].flows, &filter, false, count_entry, &n);
    return n;
}

/* --- Tests --- */

static void test_refused_add(void)
{
    struct bench b;
    bench_init(&b);
    uint32_t xid = say_flow(&b, OFPFC_ADD, 5, 1, "eth_dst=02:00:00:00:00:01", "output:1");
    say_barrier(&b);
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);    /* Before the barrier's reply. */
    expect_barrier(&b);
    CU_ASSERT_PTR_NULL(entry(&b, 5, "eth_dst=02:00:00:00:00:01"));
    settle(&b);
    CU_ASSERT_EQUAL(count_on(&b, 0, 5), 0);             /* Edge 1 had taken it. */
    CU_ASSERT_EQUAL(b.vsw->cost, 0);
    /* Where only edge 1 has to take it, it is fine. */
    say_flow(&b, OFPFC_ADD, 5, 1, "in_port=1", "output:2");
    barrier(&b);
    CU_ASSERT_EQUAL(count_on(&b, 0, 5), 1);
    CU_ASSERT_EQUAL(b.vsw->cost, 1);
    bench_fini(&b);
}

static void test_refused_change(void)
{
    static const char *match = "eth_dst=02:00:00:00:00:01", *bad = "set_field:02:de:ad:be:ef:00->eth_src,output:2";
    struct bench b;
    bench_init(&b);
    say_flow(&b, OFPFC_ADD, 0, 11, match, "output:1");
    barrier(&b);
    uint32_t xid = say_flow(&b, OFPFC_MODIFY, 0, 0, match, bad);
    say_barrier(&b);
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    expect_barrier(&b);
    CU_ASSERT_TRUE(does(entry(&b, 0, match), "output:1"));
    /* An add that takes its place: cookie and all come back. */
    xid = say_flow(&b, OFPFC_ADD, 0, 22, match, bad);
    say_barrier(&b);
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    expect_barrier(&b);
    CU_ASSERT_TRUE(does(entry(&b, 0, match), "output:1"));
    CU_ASSERT_EQUAL(entry(&b, 0, match)->cookie, 11);
    settle(&b);
    CU_ASSERT_EQUAL(count_on(&b, 0, 0), 1);
    CU_ASSERT_EQUAL(count_on(&b, 1, 0), 1);
    /* Added and changed in one go: it was not there before, so it is not there now. */
    say_flow(&b, OFPFC_ADD, 0, 33, "eth_dst=02:00:00:00:00:02", "output:1");
    xid = say_flow(&b, OFPFC_MODIFY, 0, 0, "eth_dst=02:00:00:00:00:02", bad);
    say_barrier(&b);
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_ACTION, OFPBAC_BAD_SET_ARGUMENT);
    expect_barrier(&b);
    CU_ASSERT_PTR_NULL(entry(&b, 0, "eth_dst=02:00:00:00:00:02"));
    CU_ASSERT_EQUAL(b.vsw->cost, 2);
    bench_fini(&b);
}

static void test_refused_group(void)
{
    struct bench b;
    bench_init(&b);
    say_group(&b, OFPGC_ADD, 1, 1);
    say_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "group:1");
    barrier(&b);
    b.edges[0].refuse_groups = b.edges[1].refuse_groups = true;
    uint32_t modify = say_group(&b, OFPGC_MODIFY, 1, 2), add = say_group(&b, OFPGC_ADD, 2, 2);
    uint32_t flow = say_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:02", "group:2");
    say_barrier(&b);
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
    expect_barrier(&b);
    struct group *g = group_table_find(b.vsw->groups, 1);
    CU_ASSERT_TRUE(g && g->n_buckets == 1 && g->buckets[0].actions.list[0].output.port == 1);
    CU_ASSERT_PTR_NULL(group_table_find(b.vsw->groups, 2));
    CU_ASSERT_PTR_NULL(entry(&b, 0, "eth_dst=02:00:00:00:00:02"));
    CU_ASSERT_PTR_NOT_NULL(entry(&b, 0, "eth_dst=02:00:00:00:00:01"));
    settle(&b);
    bench_fini(&b);
}

static void test_quotas(void)
{
    struct bench b;
    char match[40];
    bench_init(&b);
    for (unsigned i = 0; i < 10; i++) {                 /* Each on two edges. */
        snprintf(match, sizeof match, "eth_dst=02:00:00:00:01:%02x", i);
        say_flow(&b, OFPFC_ADD, 0, 1, match, "output:1");
    }
    uint32_t xid = say_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:02:00", "output:1");
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    say_flow(&b, OFPFC_ADD, 0, 2, match, "output:2");   /* In the place of one. */
    barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->cost, 20);
    say_flow(&b, OFPFC_DELETE, OFPTT_ALL, 0, "", "drop");
    say_group(&b, OFPGC_ADD, 1, 1);
    say_group(&b, OFPGC_ADD, 2, 1);
    xid = say_group(&b, OFPGC_ADD, 3, 1);
    expect_error(&b, xid, OFPT_GROUP_MOD, OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_GROUPS);
    say_meter(&b, 1);
    xid = say_meter(&b, 2);
    expect_error(&b, xid, OFPT_METER_MOD, OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS);
    barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->cost, 0);
    CU_ASSERT_EQUAL(count_on(&b, 0, 0), 0);
    bench_fini(&b);
}

/* A barrier is over when every edge has confirmed, and no earlier. */
static void test_barrier(void)
{
    struct bench b;
    bench_init(&b);
    barrier(&b);
    b.edges[1].defer_barriers = true;
    say_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:01", "output:1");
    say_barrier(&b);
    loop_for(b.f.c.base, 50);
    CU_ASSERT_EQUAL(count_on(&b, 0, 0), 1);
    CU_ASSERT_EQUAL(count_on(&b, 1, 0), 1);
    CU_ASSERT_EQUAL(b.tenant->n_got, 0);
    release(&b.edges[1]);
    expect_barrier(&b);
    CU_ASSERT_EQUAL(b.vsw->first_change, b.vsw->next_change);
    /* Nobody waits for an edge that is gone. */
    b.edges[1].defer_barriers = true;
    say_flow(&b, OFPFC_ADD, 0, 1, "eth_dst=02:00:00:00:00:02", "output:1");
    say_barrier(&b);
    loop_for(b.f.c.base, 20);
    CU_ASSERT_EQUAL(b.tenant->n_got, 0);
    of_agent_free(b.edges[1].agent);
    b.edges[1].agent = NULL;
    expect_barrier(&b);
    bench_fini(&b);
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
    struct bench b;
    bench_init(&b);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t xid = say_flow(&b, OFPFC_ADD, 0, 1, "in_port=1", rows[i].actions);
        expect_error(&b, xid, OFPT_FLOW_MOD, rows[i].type, rows[i].code);
    }
    uint32_t xid = say_flow(&b, OFPFC_ADD, 0, 1, "reg0=1", "output:1");
    expect_error(&b, xid, OFPT_FLOW_MOD, OFPET_BAD_MATCH, OFPBMC_BAD_FIELD);
    CU_ASSERT_EQUAL(flow_tables_count(b.vsw->flows, OFPTT_ALL), 0);
    bench_fini(&b);
}

static void test_packets(void)
{
    struct bench b;
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
    bench_init(&b);
    say_flow(&b, OFPFC_ADD, 0, 77, "", "CONTROLLER");
    barrier(&b);
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
    bench_fini(&b);
}

static void expect_port_status(struct bench *b, uint8_t reason, uint32_t port_no, uint32_t config, uint32_t state)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_PORT_STATUS);
    CU_ASSERT_TRUE(msg.port_status.reason == reason && msg.port_status.port.port_no == port_no);
    CU_ASSERT_EQUAL(msg.port_status.port.config, config);
    CU_ASSERT_EQUAL(msg.port_status.port.state, state);
    of_msg_fini(&msg);
}

static void test_ports(void)
{
    struct bench b;
    struct of_port port;
    struct of_msg msg;
    bench_init(&b);
    barrier(&b);
    b.edges[0].port_state = OFPPS_LINK_DOWN;
    port_of(&b.edges[0], 1, &port);
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    expect_port_status(&b, OFPPR_MODIFY, 1, 0, OFPPS_LINK_DOWN);
    port_of(&b.edges[0], 2, &port);                     /* No port of the tenant's. */
    port.state = OFPPS_LINK_DOWN;
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    b.edges[0].port_state = 0;
    port_of(&b.edges[0], 1, &port);
    of_agent_port_status(b.edges[0].agent, OFPPR_MODIFY, &port);
    expect_port_status(&b, OFPPR_MODIFY, 1, 0, OFPPS_LIVE);
    const struct vport *vport = vsw_port_find(b.vsw, 2);
    of_msg_init(&msg, OFPT_PORT_MOD, 0);
    msg.port_mod = (struct of_port_mod) { .port_no = 2, .hw_addr = vport->told.hw_addr, .config = OFPPC_NO_FWD, .mask = OFPPC_NO_FWD };
    of_conn_send(b.tenant->conn, &msg);
    expect_port_status(&b, OFPPR_MODIFY, 2, OFPPC_NO_FWD, OFPPS_LIVE);
    barrier(&b);
    /* An edge whose connection is lost still forwards: nobody hears of it. */
    of_agent_free(b.edges[0].agent);
    b.edges[0].agent = NULL;
    loop_for(b.f.c.base, 50);
    barrier(&b);
    bench_fini(&b);
}

/* More changes than the rate: no more is read until they are paid for, and then all of it is. */
static void test_flow_mod_rate(void)
{
    struct bench b;
    char text[64];
    bench_init(&b);
    barrier(&b);
    b.vsw->network->quota.flow_mod_rate = 100;
    uint64_t before = b.vsw->usage->n_changes;
    for (unsigned i = 0; i < 130; i++) {                /* A second's worth may come at once. */
        snprintf(text, sizeof text, "in_port=1,eth_src=02:00:00:00:00:%02x", i % 4);
        say_flow(&b, OFPFC_ADD, 0, i, text, "output:2");
    }
    for (unsigned i = 0; i < 1000 && !b.vsw->share.held; i++) {
        fixture_turn(&b.f, 1);
    }
    CU_ASSERT_TRUE(b.vsw->share.held && b.vsw->usage->n_changes >= before + 100 && b.vsw->usage->n_changes < before + 130);
    for (unsigned i = 0; i < 3000 && b.vsw->usage->n_changes < before + 130; i++) {
        fixture_turn(&b.f, 1);
    }
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, before + 130);
    barrier(&b);
    /* What cannot be decoded costs as much. */
    uint64_t changes = b.vsw->usage->n_changes;
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_REMOVED, 0);            /* Fine, but not for a switch: no change. */
    of_conn_send(b.tenant->conn, &msg);
    struct of_msg got = of_peer_take(b.f.c.base, b.tenant);
    CU_ASSERT_EQUAL(got.type, OFPT_ERROR);
    of_msg_fini(&got);
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, changes);
    b.vsw->share.garbage(&b.vsw->share);
    CU_ASSERT_EQUAL(b.vsw->usage->n_changes, changes + 1);
    bench_fini(&b);
}

/* An edge's meter is before every packet-in; controllerd drops what comes above the tenant's rate all the same. */
static void test_packet_in_rate(void)
{
    struct bench b;
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
    bench_init(&b);
    barrier(&b);
    const struct meter *meter = meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter);
    CU_ASSERT_PTR_NOT_NULL_FATAL(meter);
    CU_ASSERT_EQUAL(meter->bands[0].rate, b.vsw->network->quota.packet_in_rate);
    say_flow(&b, OFPFC_ADD, 0, 77, "", "CONTROLLER");
    barrier(&b);
    struct match mine;
    match_init(&mine);
    match_set_u64(&mine, R_VSW, b.vsw->id);
    const struct flow_entry *rule = flow_tables_find(b.edges[0].flows, T_VIRT, 0x8000, &mine);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rule);
    CU_ASSERT_TRUE(rule->instructions.apply.n == 1 && rule->instructions.apply.list[0].type == ACTION_CONTROLLER
                   && rule->instructions.apply.list[0].controller.meter == b.vsw->packet_in_meter);
    network_tenant(b.vsw->network)->quota.packet_in_rate = 20;
    struct of_packet_in pin = { .buffer_id = OFP_NO_BUFFER, .total_len = 60, .reason = OFPR_ACTION, .table_id = T_VIRT, .data = frame, .size = sizeof frame };
    match_set_u64(&pin.match, R_VSW, b.vsw->id);
    match_set_u64(&pin.match, R_IN, 1);
    uint64_t before = b.vsw->usage->n_packet_ins;
    for (unsigned i = 0; i < 50; i++) {
        fabric_packet_in(b.f.c.fabric, substrate_find(b.f.c.substrate, 1), &pin);
    }
    CU_ASSERT_EQUAL(b.vsw->usage->n_packet_ins - before, 20);
    CU_ASSERT_EQUAL(b.vsw->usage->n_packet_ins_dropped, 30);
    /* An edge without meters: rules go without. */
    fabric_refused(b.f.c.fabric, b.vsw->id, REFUSED_METER, b.vsw->packet_in_meter, OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS));
    settle(&b);
    rule = flow_tables_find(b.edges[0].flows, T_VIRT, 0x8000, &mine);
    CU_ASSERT_TRUE(rule && rule->instructions.apply.list[0].type == ACTION_OUTPUT);
    CU_ASSERT_PTR_NULL(meter_table_find(b.edges[0].meters, b.vsw->packet_in_meter));
    bench_fini(&b);
}

static void test_connection_rate(void)
{
    struct bench b;
    unsigned pause_ms = 0;
    bench_init(&b);
    network_tenant(b.vsw->network)->quota.connection_rate = 5;
    for (unsigned i = 0; i < 10 && !pause_ms; i++) {
        CU_ASSERT_EQUAL(limits_accept(b.vsw, &pause_ms), i < 4);        /* The tenant's own connection was the first. */
    }
    CU_ASSERT_TRUE(pause_ms && pause_ms <= 12);
    loop_for(b.f.c.base, 20);
    CU_ASSERT_TRUE(limits_accept(b.vsw, &pause_ms));
    CU_ASSERT_EQUAL(b.vsw->usage->n_connections_refused, 1);
    struct buf text = BUF_INIT;
    limits_metrics(b.f.c.fabric, &text);
    CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&text), "polder_tenant_connections_refused_total{tenant=\"red\"} 1\n"));
    buf_fini(&text);
    bench_fini(&b);
}

void vsw_test_suite(void)
{
    UNIT_SUITE("vsw", { "refused add", test_refused_add }, { "refused change", test_refused_change }, { "refused group", test_refused_group },
               { "quotas", test_quotas }, { "barrier", test_barrier }, { "what a plain switch has not", test_refused_by_name }, { "packets", test_packets },
               { "ports", test_ports }, { "flow-mod rate", test_flow_mod_rate }, { "packet-in rate", test_packet_in_rate },
               { "connection rate", test_connection_rate });
}
