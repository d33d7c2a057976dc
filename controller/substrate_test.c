/*
 * The substrate against simulated switches: each is a real OpenFlow connection over a unix socket on the same loop, and
 * cables carry packet-outs of one to packet-ins of another, as the wires would. Time is the test's.
 */
#include "controller/substrate_impl.h"

#include <string.h>
#include "controller/store.h"
#include "controller/test_bench.h"
#include "tests/unit.h"

#define MODEL "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}]," \
              "'fabric_switches':[{'name':'f1','datapath_id':'00000000000000fa'}]}"

/* e1:1 - f1:1, f1:2 - e2:1; e1:2 and e2:2 lead to VMs. */
static void line_switches(struct fake k[3])
{
    fake_ports(&k[0], 1, 2);
    fake_ports(&k[1], 2, 2);
    fake_ports(&k[2], 0xfa, 2);
    for (unsigned i = 0; i < 2; i++) {
        k[i].is_vswitchd = true;
        k[i].types[0] = "dpdk";
    }
    fake_plug(&k[0], 1, &k[2], 1);
    fake_plug(&k[1], 1, &k[2], 2);
}

static void connect_line(struct bench *b, struct fake k[3])
{
    for (unsigned i = 0; i < 3; i++) {
        bench_connect(b, &k[i]);
    }
    CU_ASSERT_EQUAL_FATAL(wait_ups(b, 3), 3);
}

static void line(struct bench *b, struct fake k[3])
{
    line_switches(k);
    connect_line(b, k);
}

static void note_first(const struct path_rule *rule, void *port_)
{
    struct { const struct edge *to; uint32_t port; } *x = port_;
    if (rule->to == x->to && !rule->in_port && !x->port) {
        x->port = rule->choices->step[0].out_port;
    }
}

static uint32_t next_hop(struct bench *b, const struct sw *from, const struct sw *to)
{
    struct { const struct edge *to; uint32_t port; } x = { to->edge, 0 };
    substrate_each_path(b->f.c.substrate, from, note_first, &x);
    return x.port;
}

static void test_discovery(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line(&b, k);
    CU_ASSERT_TRUE(sw_of(&b, 1)->is_vswitchd && !sw_of(&b, 0xfa)->is_vswitchd);
    CU_ASSERT_TRUE(sw_port_find(sw_of(&b, 1), 1)->is_uplink_candidate);
    CU_ASSERT_FALSE(sw_port_find(sw_of(&b, 1), 2)->is_uplink_candidate);
    CU_ASSERT_PTR_NULL(sw_port_find(sw_of(&b, 1), 3));
    CU_ASSERT_TRUE(sw_port_socket(sw_of(&b, 1), 2) && !strcmp(sw_port_socket(sw_of(&b, 1), 2), "/vhost/2"));
    CU_ASSERT_PTR_NULL(sw_port_socket(sw_of(&b, 1), 1));
    CU_ASSERT_PTR_NULL(sw_port_socket(sw_of(&b, 0xfa), 1));
    CU_ASSERT_PTR_EQUAL(sw_port_by_name(sw_of(&b, 1), "port2"), sw_port_find(sw_of(&b, 1), 2));
    advance(&b, 1200);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    CU_ASSERT_TRUE(b.heard.links >= 1 && b.heard.links <= 4);
    CU_ASSERT_TRUE(sw_port_find(sw_of(&b, 1), 1)->has_link);
    CU_ASSERT_FALSE(sw_port_find(sw_of(&b, 1), 2)->has_link);
    struct hop hops[8];
    CU_ASSERT_EQUAL(next_hop(&b, sw_of(&b, 1), sw_of(&b, 2)), 1);
    CU_ASSERT_EQUAL(substrate_path(b.f.c.substrate, sw_of(&b, 1), sw_of(&b, 2), 0, hops, 8), 3);
    CU_ASSERT_TRUE(hops[0].sw == sw_of(&b, 1) && hops[0].in_port == 0 && hops[0].out_port == 1);
    CU_ASSERT_TRUE(hops[1].sw == sw_of(&b, 0xfa) && hops[1].in_port == 1 && hops[1].out_port == 2);
    CU_ASSERT_TRUE(hops[2].sw == sw_of(&b, 2) && hops[2].in_port == 1 && hops[2].out_port == 0);
    CU_ASSERT_EQUAL(substrate_path(b.f.c.substrate, sw_of(&b, 1), sw_of(&b, 2), 0, hops, 2), 0);
    CU_ASSERT_EQUAL(b.heard.packet_ins, 0);
    cJSON *json = substrate_links_json(b.f.c.substrate);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(json), 2);
    cJSON_Delete(json);
    /* It stays up while frames come. */
    advance(&b, 10000);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    /* Between a link's change and the turn in which the others hear of it nobody may say that all is done. */
    CU_ASSERT_FALSE(substrate_busy(b.f.c.substrate));
    links_kill_port(b.f.c.substrate, sw_of(&b, 1), 1);
    CU_ASSERT_TRUE(substrate_busy(b.f.c.substrate));
    fixture_turn(&b.f, 2);
    CU_ASSERT_FALSE(substrate_busy(b.f.c.substrate));
    finish(&b, k, 3);
}

static void test_link_ends(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line(&b, k);
    advance(&b, 1200);
    CU_ASSERT_EQUAL_FATAL(links_up(&b), 4);
    /* A port that goes down kills both directions at once, without a tick. */
    unsigned before = b.heard.links;
    fake_set_down(&k[0], 1, true);
    fixture_turn(&b.f, 20);
    CU_ASSERT_EQUAL(links_up(&b), 2);
    CU_ASSERT_EQUAL(b.heard.links, before + 1);
    CU_ASSERT_EQUAL(next_hop(&b, sw_of(&b, 1), sw_of(&b, 2)), 0);
    fake_set_down(&k[0], 1, false);
    advance(&b, 2200);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    /* Deleted: likewise. */
    fake_port_status(&k[2], OFPPR_DELETE, &k[2].ports[1]);
    fixture_turn(&b.f, 20);
    CU_ASSERT_EQUAL(links_up(&b), 2);
    /* A cable that was cut where no port notices: three times three and a half intervals of 1 s, for nothing replaces it. */
    k[0].plugs[0].to = NULL;
    k[2].plugs[0].to = NULL;
    advance(&b, 9500);
    CU_ASSERT_EQUAL(links_up(&b), 2);
    advance(&b, 2500);
    CU_ASSERT_EQUAL(links_up(&b), 0);
    finish(&b, k, 3);
}

/* A VM that has seen a frame cannot make a link of it. */
static void test_attacks(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line(&b, k);
    advance(&b, 1200);
    CU_ASSERT_EQUAL_FATAL(links_up(&b), 4);
    struct substrate *s = b.f.c.substrate;
    uint8_t frame[256];
    unsigned size = k[0].last_size;
    memcpy(frame, k[0].last_frame, size);
    CU_ASSERT_TRUE_FATAL(size >= 60);
    /* Replayed on another uplink: stale, the links stay as they are. */
    fake_packet_in(&k[1], 1, frame, size);
    fixture_turn(&b.f, 10);
    CU_ASSERT_EQUAL(s->n_lldp_faults[FAULT_STALE], 1);
    /* On a VM's port. */
    fake_packet_in(&k[1], 2, frame, size);
    fixture_turn(&b.f, 10);
    CU_ASSERT_EQUAL(s->n_lldp_faults[FAULT_WRONG_PORT], 1);
    /* With another key. */
    struct lldp_key key = { .size = 32 };
    struct lldp_info info = { .datapath_id = 1, .port = 1, .ttl = 3, .sequence = 1 };
    struct buf forged = BUF_INIT;
    lldp_build(&key, &info, k[0].ports[0].hw_addr, &forged);
    fake_packet_in(&k[1], 1, forged.data, (unsigned) forged.size);
    fixture_turn(&b.f, 10);
    CU_ASSERT_EQUAL(s->n_lldp_faults[FAULT_FORGED], 1);
    buf_fini(&forged);
    /* Somebody else's LLDP is the layers' below. */
    static const uint8_t plain[] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc, 0x02, 2, 7, 'x', 0x04, 2, 7, 'y', 0x06, 2, 0, 9, 0, 0 };
    fake_packet_in(&k[1], 1, plain, sizeof plain);
    fixture_turn(&b.f, 10);
    CU_ASSERT_EQUAL(b.heard.packet_ins, 1);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    finish(&b, k, 3);
}

static void test_replug(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line(&b, k);
    advance(&b, 1200);
    CU_ASSERT_EQUAL_FATAL(links_up(&b), 4);
    /* The two cables change places at the fabric switch. */
    fake_plug(&k[0], 1, &k[2], 2);
    fake_plug(&k[1], 1, &k[2], 1);
    advance(&b, 2200);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    CU_ASSERT_EQUAL(next_hop(&b, sw_of(&b, 0xfa), sw_of(&b, 1)), 2);
    CU_ASSERT_EQUAL(next_hop(&b, sw_of(&b, 0xfa), sw_of(&b, 2)), 1);
    finish(&b, k, 3);
}

/* Losing the control connection cuts no link for a while; a second connection of one switch takes over. */
static void test_reconnect(void)
{
    struct bench b;
    struct fake k[4];
    bench_init(&b, MODEL);
    line(&b, k);
    advance(&b, 1200);
    fake_close(&k[2]);
    fixture_turn(&b.f, 20);
    CU_ASSERT_EQUAL(b.heard.downs, 1);
    CU_ASSERT_FALSE(sw_of(&b, 0xfa)->connected);
    advance(&b, 6000);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    bench_connect(&b, &k[2]);
    CU_ASSERT_EQUAL(wait_ups(&b, 4), 4);
    advance(&b, 5000);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    CU_ASSERT_TRUE(sw_port_find(sw_of(&b, 0xfa), 1)->has_link);
    struct of_conn *old = sw_of(&b, 0xfa)->conn;
    k[3] = k[2];
    k[3].conn = NULL;
    k[3].up = false;
    bench_connect(&b, &k[3]);
    CU_ASSERT_EQUAL(wait_ups(&b, 5), 5);
    CU_ASSERT_EQUAL(b.heard.downs, 2);
    CU_ASSERT_TRUE(sw_of(&b, 0xfa)->connected && sw_of(&b, 0xfa)->conn != old);
    fake_close(&k[2]);
    /* Gone for good: in the end the links go too. */
    fake_close(&k[3]);
    fixture_turn(&b.f, 20);
    advance(&b, 32000);
    CU_ASSERT_EQUAL(links_up(&b), 0);
    finish(&b, k, 4);
}

static void test_unknown(void)
{
    struct bench b;
    struct fake k;
    bench_init(&b, MODEL);
    fake_ports(&k, 0x77, 1);
    bench_connect(&b, &k);
    cJSON *unknown = NULL;
    for (unsigned i = 0; i < 500 && !cJSON_GetArraySize(unknown); i++) {
        fixture_turn(&b.f, 1);
        cJSON_Delete(unknown);
        unknown = substrate_unknown_json(b.f.c.substrate);
    }
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(unknown, 0), "datapath_id");
    CU_ASSERT_TRUE_FATAL(cJSON_IsString(id));
    CU_ASSERT_STRING_EQUAL(id->valuestring, "0000000000000077");
    cJSON_Delete(unknown);
    CU_ASSERT_EQUAL(b.heard.ups, 0);
    /* The model learns of it: the waiting connection is taken. */
    fixture_turn(&b.f, 20);
    fixture_apply(&b.f, "{'edges':[{'name':'e77','datapath_id':'0000000000000077'}]}");
    substrate_model_changed(b.f.c.substrate);
    CU_ASSERT_EQUAL(wait_ups(&b, 1), 1);
    CU_ASSERT_STRING_EQUAL(b.heard.last->edge->name, "e77");
    /* And forgets: sw_down while the object lives. */
    substrate_forget(b.f.c.substrate, 0x77);
    CU_ASSERT_EQUAL(b.heard.downs, 1);
    CU_ASSERT_PTR_NULL(sw_of(&b, 0x77));
    finish(&b, &k, 1);
}

/* Tenants' entries match first fragments alike on every edge (section 7.3.2 knows no value that Open vSwitch takes for that), and every edge tells of expired TTLs. */
static void test_foreign_edge(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line_switches(k);
    k[1].is_vswitchd = false;
    connect_line(&b, k);
    fixture_turn(&b.f, 20);
    for (unsigned i = 0; i < 3; i++) {
        bool foreign = i == 1;
        CU_ASSERT_EQUAL(k[i].config_flags, foreign ? 3 : 0);            /* OFPC_FRAG_NX_MATCH */
        CU_ASSERT_EQUAL(k[i].async.packet_in[0], foreign ? 1 << OFPR_NO_MATCH | 1 << OFPR_ACTION | 1 << OFPR_INVALID_TTL : 0);
        CU_ASSERT_EQUAL(k[i].async.port_status[0], foreign ? 7 : 0);
        CU_ASSERT_EQUAL(k[i].async.flow_removed[0], foreign ? 15 : 0);
    }
    finish(&b, k, 3);
}

/* After a restart switches come with rules, and in any order: the layers below hear of them when the links are known again. */
static void test_holding(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line_switches(k);
    for (unsigned i = 0; i < 3; i++) {
        k[i].n_flows = 20;
    }
    bench_connect(&b, &k[0]);
    bench_connect(&b, &k[1]);
    advance(&b, 6000);
    CU_ASSERT_EQUAL(b.heard.ups, 0);            /* The fabric switch may still come. */
    CU_ASSERT_FALSE(sw_of(&b, 1)->connected);
    bench_connect(&b, &k[2]);
    advance(&b, 1500);
    CU_ASSERT_EQUAL(links_up(&b), 4);
    CU_ASSERT_EQUAL(b.heard.ups, 3);
    CU_ASSERT_TRUE(sw_of(&b, 1)->connected);
    /* In the same run it is not held again. */
    fake_close(&k[1]);
    fixture_turn(&b.f, 20);
    bench_connect(&b, &k[1]);
    CU_ASSERT_EQUAL(wait_ups(&b, 4), 4);
    CU_ASSERT_EQUAL(b.heard.downs, 1);
    finish(&b, k, 3);
    /* Nobody else comes: not for ever. */
    bench_init(&b, MODEL);
    bench_connect(&b, &k[0]);
    advance(&b, 8000);
    CU_ASSERT_EQUAL(b.heard.ups, 0);
    advance(&b, 4000);
    CU_ASSERT_EQUAL(b.heard.ups, 1);
    /* One that leaves while it is held was never there. */
    bench_connect(&b, &k[1]);
    fixture_turn(&b.f, 50);
    fake_close(&k[1]);
    fixture_turn(&b.f, 20);
    CU_ASSERT_TRUE(b.heard.ups == 1 && b.heard.downs == 0);
    finish(&b, k, 2);
}

static void test_misbehaviour(void)
{
    struct bench b;
    struct fake k[3];
    struct of_msg late;
    bench_init(&b, MODEL);
    line(&b, k);
    /* An attached switch that says it is an auxiliary connection is let go, and may come back. */
    of_msg_init(&late, OFPT_FEATURES_REPLY, 7);
    late.features.datapath_id = 0xfa;
    late.features.auxiliary_id = 1;
    of_conn_send(k[2].conn, &late);
    for (unsigned i = 0; !b.heard.downs && i < 2000; i++) {
        fixture_turn(&b.f, 1);
    }
    CU_ASSERT_EQUAL(b.heard.downs, 1);
    CU_ASSERT_FALSE(sw_of(&b, 0xfa)->connected);
    CU_ASSERT_EQUAL_FATAL(wait_ups(&b, 4), 4);
    /* Ports without an end, the highest numbers first: there is a limit, and the order is kept. */
    struct of_port port = k[2].ports[0];
    for (uint32_t number = 20000; number > 8000; number--) {
        port.port_no = number;
        fake_port_status(&k[2], OFPPR_ADD, &port);
    }
    const struct sw *sw = sw_of(&b, 0xfa);
    for (unsigned i = 0; sw->n_ports < 8192 && i < 5000; i++) {
        fixture_turn(&b.f, 1);
    }
    fixture_turn(&b.f, 50);
    CU_ASSERT_EQUAL(sw->n_ports, 8192);
    for (unsigned i = 1; i < sw->n_ports; i++) {
        CU_ASSERT_TRUE(sw->ports[i - 1].of.port_no < sw->ports[i].of.port_no);
    }
    CU_ASSERT_TRUE(sw_of(&b, 1)->connected && sw_of(&b, 2)->connected);
    finish(&b, k, 3);
}

struct answer { bool done; enum err_code code; char name[40]; };
static void on_answer(const cJSON *result, const struct err *err, void *a_)
{
    struct answer *a = a_;
    CU_ASSERT_FALSE(a->done);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "name"));
    a->done = true;
    a->code = err ? err->code : ERR_NONE;
    str_copy(a->name, sizeof a->name, name ? name : "");
}

static void test_polder_requests(void)
{
    struct bench b;
    struct fake k[3];
    bench_init(&b, MODEL);
    line(&b, k);
    struct answer a = { .done = false };
    sw_polder_request(sw_of(&b, 1), "features", NULL, on_answer, &a);
    CU_ASSERT_TRUE(fixture_run(&b.f, &a.done, 5));
    CU_ASSERT_TRUE(a.code == ERR_NONE && !strcmp(a.name, "fake"));
    a = (struct answer) { .done = false };
    sw_polder_request(sw_of(&b, 1), "sing", cJSON_CreateObject(), on_answer, &a);
    CU_ASSERT_TRUE(fixture_run(&b.f, &a.done, 5));
    CU_ASSERT_EQUAL(a.code, ERR_NOT_FOUND);
    a = (struct answer) { .done = false };      /* Another vendor's switch refuses. */
    sw_polder_request(sw_of(&b, 0xfa), "features", NULL, on_answer, &a);
    CU_ASSERT_TRUE(fixture_run(&b.f, &a.done, 5));
    CU_ASSERT_EQUAL(a.code, ERR_FAILED);
    k[0].mute_polder = true;                    /* No answer. */
    a = (struct answer) { .done = false };
    sw_polder_request(sw_of(&b, 1), "features", NULL, on_answer, &a);
    advance(&b, 4000);
    CU_ASSERT_FALSE(a.done);
    advance(&b, 2000);
    CU_ASSERT_TRUE(a.done && a.code == ERR_TIMEOUT);
    a = (struct answer) { .done = false };      /* The switch leaves meanwhile. */
    sw_polder_request(sw_of(&b, 1), "features", NULL, on_answer, &a);
    fake_close(&k[0]);
    CU_ASSERT_TRUE(fixture_run(&b.f, &a.done, 5));
    CU_ASSERT_EQUAL(a.code, ERR_UNREACHABLE);
    a = (struct answer) { .done = false };      /* It is not there: later, not now. */
    sw_polder_request(sw_of(&b, 1), "features", cJSON_CreateObject(), on_answer, &a);
    CU_ASSERT_FALSE(a.done);
    CU_ASSERT_TRUE(fixture_run(&b.f, &a.done, 5));
    CU_ASSERT_EQUAL(a.code, ERR_UNREACHABLE);
    finish(&b, k, 3);
}

/* On a switch of another make all ports may be uplinks, except those that tenants' ports are bound to. */
static void test_bound_ports(void)
{
    struct bench b;
    struct fake k;
    bench_init(&b, MODEL);
    fake_ports(&k, 1, 3);
    strcpy(k.ports[1].name, "p1");
    bench_connect(&b, &k);
    CU_ASSERT_EQUAL_FATAL(wait_ups(&b, 1), 1);
    for (unsigned i = 1; i <= 3; i++) {
        CU_ASSERT_TRUE(sw_port_find(sw_of(&b, 1), i)->is_uplink_candidate);
    }
    unsigned before = b.heard.ports;
    fixture_apply(&b.f, "{'tenants':[{'name':'red'}],'vpcs':[{'name':'v','tenant':'red','networks':[{'name':'n','subnet':'10.0.0.0/24','ports':["
                        "{'name':'a','edge':'e1'},{'name':'b','edge':'e1','ofport_of':'port3'}]}]}]}");
    const struct port *a = model_find(b.f.c.model, KIND_PORT, "red/v/n/a");
    CU_ASSERT_EQUAL_FATAL(a->id, 1);
    substrate_bindings_changed(b.f.c.substrate);
    CU_ASSERT_TRUE(sw_port_find(sw_of(&b, 1), 1)->is_uplink_candidate);
    CU_ASSERT_FALSE(sw_port_find(sw_of(&b, 1), 2)->is_uplink_candidate);
    CU_ASSERT_FALSE(sw_port_find(sw_of(&b, 1), 3)->is_uplink_candidate);
    CU_ASSERT_EQUAL(b.heard.ports, before + 1);
    unsigned sent = k.n_lldp;
    advance(&b, 5000);
    CU_ASSERT_TRUE(k.n_lldp - sent >= 4 && k.n_lldp - sent <= 6);       /* One port's. */
    finish(&b, &k, 1);
}

void substrate_test_suite(void);
void substrate_test_suite(void)
{
    UNIT_SUITE("substrate", { "discovery", test_discovery }, { "links end", test_link_ends }, { "attacks", test_attacks }, { "misbehaviour", test_misbehaviour },
               { "cables change places", test_replug }, { "reconnects", test_reconnect }, { "unknown switches", test_unknown },
               { "an edge that is no vswitchd", test_foreign_edge }, { "holding", test_holding },
               { "Polder requests", test_polder_requests }, { "bound ports", test_bound_ports });
}
