/* See vsw_rig.h. */
#include "controller/vsw_rig.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/store.h"
#include "tests/unit.h"

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

/* Of what its entries have counted, so much was before they were reset. */
static struct of_error on_insert(struct flow_entry *entry, void *e_)
{
    const struct edge_sim *e = e_;
    uint64_t before = entry->resets ? e->n_counted : entry->replaces ? (uintptr_t) entry->replaces->aux : 0;
    entry->aux = (void *) (uintptr_t) before;
    return verdict(entry, e);
}
static struct of_error on_modify(struct flow_entry *entry, const struct instructions *old UNUSED, bool reset, void *e_)
{
    const struct edge_sim *e = e_;
    entry->aux = reset ? (void *) (uintptr_t) e->n_counted : entry->aux;
    return verdict(entry, e);
}
static void on_remove(struct flow_entry *entry, int reason, void *e)
{
    if (reason >= 0 && entry->flags & OFPFF_SEND_FLOW_REM) {
        of_agent_flow_removed(((struct edge_sim *) e)->agent, entry, (uint8_t) reason);
    }
}
static void on_counters(const struct flow_entry *entry, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *e)
{
    *packets = *bytes = ((const struct edge_sim *) e)->n_counted - (uintptr_t) entry->aux;
    *used_ns = entry->created_ns;
}
static struct of_error on_group(struct group *g, void *e_)
{
    struct edge_sim *e = e_;
    return e->refuse_groups && e->datapath_id == 2 && g->id <= TENANT_GROUP_MAX ? OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS) : OF_OK;
}
static void on_group_removed(struct group *g UNUSED, void *e UNUSED) { }
static struct of_error on_meter(struct meter *m UNUSED, void *e UNUSED) { return OF_OK; }
static void on_meter_removed(struct meter *m, void *e) { flow_tables_meter_deleted(((struct edge_sim *) e)->flows, m->id); }
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
void vsw_rig_port(const struct edge_sim *e, uint32_t number, struct of_port *out)
{
    *out = (struct of_port) { .port_no = number, .hw_addr = mac_from_u64(0x020000000000 + number), .state = number == 1 ? e->port_state : 0 };
    snprintf(out->name, sizeof out->name, "d%u", number);
}
static void sw_ports(void *e, void (*fn)(const struct of_port *, void *), void *aux)
{
    for (uint32_t i = 1; i <= 2; i++) {
        struct of_port port;
        vsw_rig_port(e, i, &port);
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

void vsw_rig_release(struct edge_sim *e)
{
    e->defer_barriers = false;
    for (unsigned i = 0; i < e->n_deferred; i++) {
        e->deferred[i].done(e->deferred[i].token);
    }
    e->n_deferred = 0;
}

static void edge_init(struct vsw_rig *b, unsigned i)
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
    vsw_rig_release(e);
    group_table_free(e->groups);
    meter_table_free(e->meters);                /* Its removals look into the flow tables. */
    flow_tables_free(e->flows);
    actions_fini(&e->last_out.actions);
}

/* --- controllerd without its API --- */

static void on_sw_up(struct sw *sw, void *b_)
{
    struct vsw_rig *b = b_;
    reconcile_sw_up(b->f.c.reconcile, sw);
    fabric_sw_up(b->f.c.fabric, sw);
}
static void on_sw_down(struct sw *sw, void *b_)
{
    struct vsw_rig *b = b_;
    reconcile_sw_down(b->f.c.reconcile, sw);
    fabric_sw_down(b->f.c.fabric, sw);
}
static bool on_reply(struct sw *sw, struct of_msg *msg, void *b_)
{
    struct vsw_rig *b = b_;
    return reconcile_reply(b->f.c.reconcile, sw, msg) || fabric_reply(b->f.c.fabric, sw, msg);
}
static void on_ports(struct sw *sw, void *b) { fabric_ports_changed(((struct vsw_rig *) b)->f.c.fabric, sw); }
static void on_links(void *b) { fabric_links_changed(((struct vsw_rig *) b)->f.c.fabric); }
static void on_packet_in(struct sw *sw, struct of_packet_in *pin, void *b) { fabric_packet_in(((struct vsw_rig *) b)->f.c.fabric, sw, pin); }

static unsigned free_port(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_TRUE_FATAL(fd >= 0 && !bind(fd, (struct sockaddr *) &addr, sizeof addr) && !getsockname(fd, (struct sockaddr *) &addr, &size));
    close(fd);
    return ntohs(addr.sin_port);
}

static bool all_in_sync(struct vsw_rig *b)
{
    for (unsigned i = 0; i < N_EDGES; i++) {
        if (flow_tables_count(b->edges[i].flows, OFPTT_ALL) != ruleset_count(b->f.c.rulesets, i + 1)) {
            return false;
        }
    }
    return !fabric_busy(b->f.c.fabric);
}

void vsw_rig_settle(struct vsw_rig *b)
{
    for (unsigned i = 0; i < 2000 && !all_in_sync(b); i++) {
        fixture_turn(&b->f, 1);
    }
    CU_ASSERT_TRUE(all_in_sync(b));
}

/* What a start of controllerd makes from the model. */
static void start(struct vsw_rig *b)
{
    static const struct substrate_ops ops = { on_sw_up, on_sw_down, on_ports, on_links, on_packet_in, on_reply, NULL };
    struct err err = ERR_INIT;
    b->f.c.substrate = substrate_new(&b->f.c, &ops, b, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.substrate);
    b->f.c.rulesets = rulesets_new(&b->f.c);
    b->f.c.reconcile = reconcile_new(&b->f.c);
    b->f.c.fabric = fabric_new(&b->f.c);
    fabric_load(b->f.c.fabric);
    CU_ASSERT_TRUE_FATAL(substrate_listen(b->f.c.substrate, &err));
    b->vsw = fabric_find_vsw(b->f.c.fabric, ((const struct network *) model_find(b->f.c.model, KIND_SWITCH, "red/lab/s1"))->id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->vsw->agent);
}

static void stop(struct vsw_rig *b)
{
    substrate_free(b->f.c.substrate);
    b->f.c.substrate = NULL;
    reconcile_free(b->f.c.reconcile);
    b->f.c.reconcile = NULL;
    fabric_free(b->f.c.fabric);
    b->f.c.fabric = NULL;
    rulesets_free(b->f.c.rulesets);
}

static void await_edges(struct vsw_rig *b)
{
    for (unsigned i = 0; i < 3000 && (!substrate_find(b->f.c.substrate, 1)->connected || !substrate_find(b->f.c.substrate, 2)->connected); i++) {
        fixture_turn(&b->f, 1);
    }
}

void vsw_rig_restart_with(struct vsw_rig *b, void (*before_edges)(struct vsw_rig *))
{
    stop(b);
    b->tenant->n_up = 0;
    start(b);
    if (before_edges) {
        before_edges(b);
    }
    await_edges(b);
}

void vsw_rig_restart(struct vsw_rig *b) { vsw_rig_restart_with(b, NULL); }

/* A big switch over both edges: ports 1 (edge 1, device d1) and 2 (edge 2, device d1), with room for few things. */
void vsw_rig_init(struct vsw_rig *b)
{
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
    snprintf(b->listen, sizeof b->listen, "punix:%s", path);
    snprintf(b->target, sizeof b->target, "unix:%s", path);
    listen[0] = b->listen;
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
    start(b);
    for (unsigned i = 0; i < N_EDGES; i++) {
        edge_init(b, i);
    }
    await_edges(b);
    vsw_rig_settle(b);
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    b->tenant = of_peer_new();
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", port);
    b->tenant->conn = of_conn_connect(b->f.c.base, target, NULL, &options, &of_peer_ops, b->tenant, &err);
    CU_ASSERT_TRUE_FATAL(loop_until(b->f.c.base, &b->tenant->n_up, 1));
}

void vsw_rig_fini(struct vsw_rig *b)
{
    of_peer_free(b->tenant);
    for (unsigned i = 0; i < N_EDGES; i++) {
        edge_fini(&b->edges[i]);
    }
    stop(b);
    fixture_fini(&b->f);
}

/* --- What the tenant says --- */

uint32_t vsw_rig_flow(struct vsw_rig *b, enum of_flow_command command, uint8_t table, uint64_t cookie, const char *match, const char *actions)
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

uint32_t vsw_rig_group(struct vsw_rig *b, enum of_group_command command, uint32_t id, uint32_t output)
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

uint32_t vsw_rig_meter(struct vsw_rig *b, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_METER_MOD, 0);
    msg.meter_mod = (struct of_meter_mod) { .command = OFPMC_ADD, .flags = OFPMF_PKTPS, .meter_id = id, .n_bands = 1, .bands = xcalloc(1, sizeof(struct of_meter_band)) };
    msg.meter_mod.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = 100 };
    uint32_t xid = of_conn_send(b->tenant->conn, &msg);
    of_msg_fini(&msg);
    return xid;
}

void vsw_rig_ask_barrier(struct vsw_rig *b)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BARRIER_REQUEST, 0);
    of_conn_send(b->tenant->conn, &msg);
}

void vsw_rig_expect_barrier(struct vsw_rig *b)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);
    of_msg_fini(&msg);
}

void vsw_rig_barrier(struct vsw_rig *b)
{
    vsw_rig_ask_barrier(b);
    vsw_rig_expect_barrier(b);
}

/* With the xid and bytes of the message that it answers. */
void vsw_rig_expect_error(struct vsw_rig *b, uint32_t xid, enum of_type request, uint16_t type, uint16_t code)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_ERROR);
    CU_ASSERT_EQUAL(msg.xid, xid);
    CU_ASSERT_EQUAL(msg.error.error.type, type);
    CU_ASSERT_EQUAL(msg.error.error.code, code);
    CU_ASSERT_TRUE(msg.error.size >= 8 && msg.error.data[1] == request && wire_get32(msg.error.data + 4) == xid);
    of_msg_fini(&msg);
}

struct flow_entry *vsw_rig_entry(struct vsw_rig *b, uint8_t table, const char *match)
{
    struct match m;
    struct err err = ERR_INIT;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &m, &err));
    return flow_tables_find(b->vsw->flows, table, 0x8000, &m);
}

bool vsw_rig_does(const struct flow_entry *e, const char *actions)
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
unsigned vsw_rig_count(struct vsw_rig *b, unsigned edge, uint8_t virtual_table)
{
    struct of_flow_filter filter;
    unsigned n = 0;
    of_flow_filter_init(&filter);
    filter.table_id = (uint8_t) (T_VIRT + virtual_table);
    flow_tables_each(b->edges[edge].flows, &filter, false, count_entry, &n);
    return n;
}

void vsw_rig_expect_port_status(struct vsw_rig *b, uint8_t reason, uint32_t port_no, uint32_t config, uint32_t state)
{
    struct of_msg msg = of_peer_take(b->f.c.base, b->tenant);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_PORT_STATUS);
    CU_ASSERT_TRUE(msg.port_status.reason == reason && msg.port_status.port.port_no == port_no);
    CU_ASSERT_EQUAL(msg.port_status.port.config, config);
    CU_ASSERT_EQUAL(msg.port_status.port.state, state);
    of_msg_fini(&msg);
}
