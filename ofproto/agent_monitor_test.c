/* Flow monitors in the three forms, and what follows from changes of the tables. */
#include <string.h>
#include <event2/event.h>
#include "ofproto/agent_rig.h"
#include "tests/unit.h"

unit_suite_fn agent_monitor_test_suite;

enum { ALL_EVENTS = OFPFMF_INITIAL | OFPFMF_ADD | OFPFMF_REMOVED | OFPFMF_MODIFY };
static const uint8_t of14_twice[] = { OF14_VERSION, OF14_VERSION };

static struct of_monitor monitor(uint32_t id, unsigned flags)
{
    struct of_monitor m = { .id = id, .out_port = OFPP_ANY, .out_group = OFPG_ANY, .flags = (uint16_t) flags, .table_id = OFPTT_ALL };
    match_init(&m.match);
    return m;
}

static void send_monitor(struct agent_rig *r, unsigned peer, const struct of_monitor *m, uint32_t xid)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, xid);
    msg.multipart.type = OFPMP_FLOW_MONITOR;
    msg.multipart.monitors.v = (struct of_monitor *) m;         /* Borrowed: there is no fini. */
    msg.multipart.monitors.n = 1;
    of_conn_send(r->peer[peer]->conn, &msg);
}

/* The updates in the next message, which has that xid. */
static struct of_msg take(struct agent_rig *r, unsigned peer, uint32_t xid, unsigned n)
{
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_TRUE_FATAL(msg.type == OFPT_MULTIPART_REPLY && msg.multipart.type == OFPMP_FLOW_MONITOR);
    CU_ASSERT_EQUAL(msg.xid, xid);
    CU_ASSERT_EQUAL_FATAL(msg.multipart.updates.n, n);
    return msg;
}

static void add_monitor(struct agent_rig *r, unsigned peer, const struct of_monitor *m, unsigned n_initial)
{
    send_monitor(r, peer, m, 99);
    struct of_msg msg = take(r, peer, 99, n_initial);
    of_msg_fini(&msg);
}

static void expect_update(struct agent_rig *r, unsigned peer, uint8_t event, uint32_t in_port, uint32_t output)
{
    struct of_msg msg = take(r, peer, 0, 1);
    const struct of_monitor_update *u = &msg.multipart.updates.v[0];
    CU_ASSERT_EQUAL(u->event, event);
    CU_ASSERT_EQUAL(be32_get(u->match.value.flow.in_port), in_port);
    CU_ASSERT_EQUAL(u->instructions.apply.n, output ? 1 : 0);
    if (output && u->instructions.apply.n) {
        CU_ASSERT_EQUAL(u->instructions.apply.list[0].output.port, output);
    }
    of_msg_fini(&msg);
}

static void expect_abbreviation(struct agent_rig *r, unsigned peer, uint32_t xid)
{
    struct of_msg msg = take(r, peer, 0, 1);
    CU_ASSERT_TRUE(msg.multipart.updates.v[0].event == OFPFME_ABBREV && msg.multipart.updates.v[0].xid == xid);
    of_msg_fini(&msg);
}

static void flow_mod(struct agent_rig *r, unsigned peer, enum of_flow_command command, uint32_t in_port, uint32_t output, uint32_t xid)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, xid);
    msg.flow_mod.command = command;
    if (in_port) {
        match_set_u64(&msg.flow_mod.match, FIELD_IN_PORT, in_port);
    }
    if (output) {
        msg.flow_mod.instructions.has_apply = true;
        actions_output(&msg.flow_mod.instructions.apply, output);
    }
    of_conn_send(r->peer[peer]->conn, &msg);
    of_msg_fini(&msg);
}

/* What is there, then what another controller does, before its barrier is answered. */
static void test_events(void)
{
    static const uint8_t versions[] = { OF10_VERSION, OF13_VERSION, OF14_VERSION };
    for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
        struct agent_rig r;
        bool of14 = versions[i] == OF14_VERSION;
        agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { versions[i], OF13_VERSION }, 2, 100, NULL);
        flow_mod(&r, 1, OFPFC_ADD, 1, 2, 1);
        agent_rig_barrier(&r, 1);
        struct of_monitor m = monitor(7, ALL_EVENTS | OFPFMF_INSTRUCTIONS);
        send_monitor(&r, 0, &m, 5);
        struct of_msg msg = take(&r, 0, 5, 1);
        CU_ASSERT_EQUAL(msg.multipart.updates.v[0].event, of14 ? OFPFME_INITIAL : OFPFME_ADDED);
        CU_ASSERT_EQUAL(msg.multipart.updates.v[0].instructions.apply.list[0].output.port, 2);
        of_msg_fini(&msg);
        flow_mod(&r, 1, OFPFC_ADD, 3, 1, 2);
        expect_update(&r, 0, OFPFME_ADDED, 3, 1);
        flow_mod(&r, 1, OFPFC_ADD, 3, 2, 3);            /* Replaced: one event. */
        expect_update(&r, 0, OFPFME_ADDED, 3, 2);
        flow_mod(&r, 1, OFPFC_MODIFY, 3, 2, 4);         /* Changes nothing. */
        flow_mod(&r, 1, OFPFC_MODIFY, 3, 1, 4);
        expect_update(&r, 0, OFPFME_MODIFIED, 3, 1);
        flow_mod(&r, 1, OFPFC_DELETE, 3, 0, 5);
        expect_update(&r, 0, OFPFME_REMOVED, 3, 1);
        /* All that a message does is told at once. */
        flow_mod(&r, 1, OFPFC_ADD, 4, 1, 6);
        expect_update(&r, 0, OFPFME_ADDED, 4, 1);
        flow_mod(&r, 1, OFPFC_DELETE, 0, 0, 7);
        msg = take(&r, 0, 0, 2);
        CU_ASSERT_TRUE(msg.multipart.updates.v[1].event == OFPFME_REMOVED && msg.multipart.updates.v[1].reason == OFPRR_DELETE);
        of_msg_fini(&msg);
        agent_rig_barrier(&r, 0);                       /* And nothing else came. */
        agent_rig_fini(&r);
    }
}

/* The controller's own changes: in short, once for each message and before the barrier's reply, unless it asks for more. */
static void test_own(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, of14_twice, 2, 100, NULL);
    struct of_monitor m = monitor(1, ALL_EVENTS);
    add_monitor(&r, 0, &m, 0);
    flow_mod(&r, 0, OFPFC_ADD, 1, 2, 21);
    agent_rig_say(&r, 0, OFPT_BARRIER_REQUEST);
    expect_abbreviation(&r, 0, 21);
    struct of_msg msg = of_peer_take(r.base, r.peer[0]);
    CU_ASSERT_EQUAL(msg.type, OFPT_BARRIER_REPLY);
    flow_mod(&r, 0, OFPFC_ADD, 2, 2, 22);
    expect_abbreviation(&r, 0, 22);
    flow_mod(&r, 0, OFPFC_DELETE, 0, 0, 23);            /* Two entries, one abbreviation. */
    expect_abbreviation(&r, 0, 23);
    struct of_monitor own = monitor(2, ALL_EVENTS | OFPFMF_NO_ABBREV | OFPFMF_ONLY_OWN), change = monitor(1, 0);
    add_monitor(&r, 0, &own, 0);
    change.command = OFPFMC_DELETE;
    add_monitor(&r, 0, &change, 0);
    flow_mod(&r, 1, OFPFC_ADD, 1, 2, 24);               /* Another's. */
    agent_rig_barrier(&r, 1);
    flow_mod(&r, 0, OFPFC_ADD, 3, 2, 25);
    expect_update(&r, 0, OFPFME_ADDED, 3, 0);
    own = monitor(2, OFPFMF_REMOVED);
    own.command = OFPFMC_MODIFY;
    add_monitor(&r, 0, &own, 0);
    flow_mod(&r, 1, OFPFC_DELETE, 1, 0, 26);
    expect_update(&r, 0, OFPFME_REMOVED, 1, 0);
    r.fake.now_ns += UINT64_C(1000000000);
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

static void test_selection(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, of14_twice, 2, 100, NULL);
    struct of_monitor table = monitor(1, ALL_EVENTS), port = monitor(2, ALL_EVENTS), match = monitor(3, ALL_EVENTS | OFPFMF_INSTRUCTIONS);
    table.table_id = 3;
    port.out_port = 5;
    match_set_u64(&match.match, FIELD_IN_PORT, 6);
    add_monitor(&r, 0, &table, 0);
    add_monitor(&r, 0, &port, 0);
    add_monitor(&r, 0, &match, 0);
    flow_mod(&r, 1, OFPFC_ADD, 1, 2, 1);                /* None's. */
    flow_mod(&r, 1, OFPFC_ADD, 2, 5, 2);
    expect_update(&r, 0, OFPFME_ADDED, 2, 0);
    flow_mod(&r, 1, OFPFC_MODIFY, 2, 1, 3);             /* It left by that port before. */
    expect_update(&r, 0, OFPFME_MODIFIED, 2, 0);
    flow_mod(&r, 1, OFPFC_DELETE, 2, 0, 4);             /* And now it does not. */
    flow_mod(&r, 1, OFPFC_ADD, 6, 5, 5);                /* Two monitors, one update, with what either asks for. */
    expect_update(&r, 0, OFPFME_ADDED, 6, 5);
    agent_rig_barrier(&r, 0);
    agent_rig_fini(&r);
}

static void test_errors(void)
{
    struct agent_rig r;
    struct of_agent_config limits = { .max_monitors = 2 };
    agent_rig_init_versions(&r, &fake_ops, (uint8_t[]) { OF14_VERSION, OF10_VERSION }, 2, 100, &limits);
    struct of_monitor m = monitor(1, OFPFMF_INSTRUCTIONS);
    static const struct { unsigned flags; uint8_t table, command; uint32_t id, out_port, out_group; uint16_t code; } cases[] = {
        { OFPFMF_INSTRUCTIONS, 0, OFPFMC_ADD, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_BAD_FLAGS },
        { OFPFMF_ADD, 254, OFPFMC_ADD, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_BAD_TABLE_ID },
        { OFPFMF_ADD, 0, OFPFMC_ADD, 1, 0, OFPG_ANY, OFPMOFC_BAD_OUT },
        { OFPFMF_ADD, 0, OFPFMC_ADD, 1, OFPP_ANY, OFPG_ALL, OFPMOFC_BAD_OUT },
        { OFPFMF_ADD, 0, OFPFMC_MODIFY, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_UNKNOWN_MONITOR },
        { OFPFMF_ADD, 0, OFPFMC_DELETE, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_UNKNOWN_MONITOR },
        { OFPFMF_ADD, 0, OFPFMC_DELETE + 1, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_BAD_COMMAND },
        { 0x80, 0, OFPFMC_ADD, 1, OFPP_ANY, OFPG_ANY, OFPMOFC_BAD_FLAGS },
        { OFPFMF_ADD, 0, OFPFMC_ADD, 8, OFPP_ANY, OFPG_ANY, OFPMOFC_MONITOR_EXISTS },
    };
    m = monitor(8, OFPFMF_ADD);
    add_monitor(&r, 0, &m, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        m = monitor(cases[i].id, cases[i].flags);
        m.table_id = cases[i].table;
        m.command = cases[i].command;
        m.out_port = cases[i].out_port;
        m.out_group = cases[i].out_group;
        send_monitor(&r, 0, &m, 50);
        agent_rig_expect_error(&r, 0, OFPET_FLOW_MONITOR_FAILED, cases[i].code);
    }
    m = monitor(9, OFPFMF_ADD);
    add_monitor(&r, 0, &m, 0);
    m.id = 10;
    send_monitor(&r, 0, &m, 50);
    agent_rig_expect_error(&r, 0, OFPET_FLOW_MONITOR_FAILED, OFPMOFC_UNKNOWN);  /* Too many. */
    /* Nicira's: several in one request are added all or none; cancel. */
    struct of_monitor two[] = { monitor(1, OFPFMF_ADD), monitor(1, OFPFMF_ADD) };
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 60);
    msg.multipart.type = OFPMP_FLOW_MONITOR;
    msg.multipart.monitors.v = two;
    msg.multipart.monitors.n = 2;
    of_conn_send(r.peer[1]->conn, &msg);
    msg = of_peer_take(r.base, r.peer[1]);
    CU_ASSERT_TRUE(msg.type == OFPT_ERROR && msg.xid == 60);
    of_msg_fini(&msg);
    add_monitor(&r, 1, &two[0], 0);
    for (unsigned i = 0; i < 2; i++) {
        of_msg_init(&msg, OFPT_NX_MONITOR_CANCEL, 61 + i);
        msg.nx_value = 1;
        of_conn_send(r.peer[1]->conn, &msg);
    }
    msg = of_peer_take(r.base, r.peer[1]);
    CU_ASSERT_TRUE(msg.type == OFPT_ERROR && msg.xid == 62);
    of_msg_fini(&msg);
    agent_rig_fini(&r);
}

/* --- Bundles --- */

static void bundle_control(struct agent_rig *r, uint16_t type)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_BUNDLE_CONTROL, 0);
    msg.bundle.id = 1;
    msg.bundle.type = type;
    of_conn_send(r->peer[1]->conn, &msg);
}

static void bundle_add(struct agent_rig *r, enum of_flow_command command, uint32_t in_port, uint32_t output, uint32_t xid)
{
    struct of_msg inner, msg;
    struct buf b = BUF_INIT;
    of_msg_init(&inner, OFPT_FLOW_MOD, xid);
    inner.version = OF14_VERSION;
    inner.flow_mod.command = command;
    match_set_u64(&inner.flow_mod.match, FIELD_IN_PORT, in_port);
    inner.flow_mod.instructions.has_apply = output;
    if (output > OFPP_MAX) {
        actions_group(&inner.flow_mod.instructions.apply, 77);          /* There is no such group. */
    } else if (output) {
        actions_output(&inner.flow_mod.instructions.apply, output);
    }
    of_encode(&inner, &b);
    of_msg_init(&msg, OFPT_BUNDLE_ADD_MESSAGE, xid);
    msg.bundle_add.id = 1;
    msg.bundle_add.data = b.data;
    msg.bundle_add.size = (unsigned) b.size;
    of_conn_send(r->peer[1]->conn, &msg);
    of_msg_fini(&msg);
    of_msg_fini(&inner);
}

static void test_bundle(void)
{
    struct agent_rig r;
    agent_rig_init_versions(&r, &fake_ops, of14_twice, 2, 100, NULL);
    struct of_monitor m = monitor(1, ALL_EVENTS | OFPFMF_INSTRUCTIONS);
    add_monitor(&r, 0, &m, 0);
    add_monitor(&r, 1, &m, 0);
    flow_mod(&r, 0, OFPFC_ADD, 1, 1, 40);
    expect_abbreviation(&r, 0, 40);
    expect_update(&r, 1, OFPFME_ADDED, 1, 1);
    bundle_add(&r, OFPFC_DELETE, 1, 0, 31);
    bundle_add(&r, OFPFC_ADD, 9, OFPP_ANY, 32);         /* Fails: nothing has happened. */
    bundle_control(&r, OFPBCT_COMMIT_REQUEST);
    agent_rig_expect_error(&r, 1, OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    agent_rig_expect_error(&r, 1, OFPET_BUNDLE_FAILED, OFPBFC_MSG_FAILED);
    agent_rig_barrier(&r, 0);
    bundle_add(&r, OFPFC_ADD, 2, 1, 31);
    bundle_add(&r, OFPFC_MODIFY, 2, 3, 32);
    bundle_add(&r, OFPFC_DELETE, 1, 0, 33);
    bundle_control(&r, OFPBCT_COMMIT_REQUEST);
    struct of_msg msg = take(&r, 0, 0, 3);
    const struct of_monitor_update *u = msg.multipart.updates.v;
    CU_ASSERT_TRUE(u[0].event == OFPFME_ADDED && u[0].instructions.apply.list[0].output.port == 1);
    CU_ASSERT_TRUE(u[1].event == OFPFME_MODIFIED && u[1].instructions.apply.list[0].output.port == 3);
    CU_ASSERT_TRUE(u[2].event == OFPFME_REMOVED && be32_get(u[2].match.value.flow.in_port) == 1);
    of_msg_fini(&msg);
    msg = take(&r, 1, 0, 3);
    CU_ASSERT_TRUE(msg.multipart.updates.v[0].xid == 31 && msg.multipart.updates.v[2].xid == 33);
    of_msg_fini(&msg);
    msg = of_peer_take(r.base, r.peer[1]);
    CU_ASSERT_EQUAL(msg.type, OFPT_BUNDLE_CONTROL);     /* Afterwards. */
    agent_rig_fini(&r);
}

/* --- A peer that reads now and then --- */

enum { N_IDS = 200, N_PADDING = 150 };

/* What the updates say that the tables hold, by the metadata that an entry matches. */
struct mirror {
    struct of_conn *conn;
    unsigned n_up, n_barriers, n_paused, n_resumed, n_initial, n_updates;
    bool present[N_IDS];
    uint64_t cookie[N_IDS];
    uint32_t output[N_IDS];
};

static void mirror_update(struct mirror *mi, const struct of_monitor_update *u)
{
    uint64_t id = be64_get(u->match.value.flow.metadata);
    mi->n_updates++;
    if (u->event == OFPFME_PAUSED || u->event == OFPFME_RESUMED) {
        mi->n_paused += u->event == OFPFME_PAUSED;
        mi->n_resumed += u->event == OFPFME_RESUMED;
        return;
    }
    CU_ASSERT_TRUE_FATAL(id < N_IDS);
    mi->n_initial += u->event == OFPFME_INITIAL;
    mi->present[id] = u->event != OFPFME_REMOVED;
    mi->cookie[id] = u->cookie;
    mi->output[id] = u->event == OFPFME_REMOVED ? 0 : u->instructions.apply.list[u->instructions.apply.n - 1].output.port;
}

static void mirror_up(struct of_conn *conn UNUSED, void *mi)
{
    ((struct mirror *) mi)->n_up++;
}

static void mirror_message(struct of_conn *conn UNUSED, struct of_msg *msg, const uint8_t *raw UNUSED, size_t size UNUSED, void *mi_)
{
    struct mirror *mi = mi_;
    mi->n_barriers += msg->type == OFPT_BARRIER_REPLY;
    mi->n_paused += msg->type == OFPT_NX_MONITOR_PAUSED;
    mi->n_resumed += msg->type == OFPT_NX_MONITOR_RESUMED;
    for (unsigned i = 0; msg->type == OFPT_MULTIPART_REPLY && i < msg->multipart.updates.n; i++) {
        mirror_update(mi, &msg->multipart.updates.v[i]);
    }
}

static void mirror_down(struct of_conn *conn UNUSED, const char *why UNUSED, void *mi UNUSED)
{
    CU_FAIL("the mirror's connection went down");
}

static void random_change(struct agent_rig *r, struct rng *rng)
{
    struct of_flow_mod fm;
    of_flow_mod_init(&fm);
    fm.command = (enum of_flow_command []) { OFPFC_ADD, OFPFC_ADD, OFPFC_MODIFY, OFPFC_DELETE }[rng_below(rng, 4)];
    fm.cookie = rng_below(rng, 1000);
    match_set_u64(&fm.match, FIELD_METADATA, rng_below(rng, N_IDS));
    fm.instructions.has_apply = true;
    for (unsigned i = 0; i < N_PADDING; i++) {          /* So that the sockets fill up soon. */
        actions_output(&fm.instructions.apply, 9);
    }
    actions_output(&fm.instructions.apply, 1 + rng_below(rng, 8));
    CU_ASSERT_TRUE(of_ok(flow_tables_mod(r->fake.flows, &fm)));
    instructions_fini(&fm.instructions);
}

static bool same(struct agent_rig *r, const struct mirror *mi)
{
    bool same = true;
    for (uint64_t id = 0; id < N_IDS; id++) {
        struct match m;
        match_init(&m);
        match_set_u64(&m, FIELD_METADATA, id);
        const struct flow_entry *e = flow_tables_find(r->fake.flows, 0, 0x8000, &m);
        same &= mi->present[id] == (e != NULL)
                && (!e || (mi->cookie[id] == e->cookie && mi->output[id] == e->instructions.apply.list[e->instructions.apply.n - 1].output.port));
    }
    return same;
}

static void settle(struct agent_rig *r, struct mirror *mi)
{
    struct of_msg barrier;
    of_conn_read_enable(mi->conn, true);
    of_msg_init(&barrier, OFPT_BARRIER_REQUEST, 0);
    of_conn_send(mi->conn, &barrier);
    CU_ASSERT_TRUE_FATAL(loop_until(r->base, &mi->n_barriers, 1));
    for (unsigned i = 0; i < 4000 && (mi->n_resumed < mi->n_paused || !same(r, mi)); i++) {
        loop_for(r->base, 1);
    }
    CU_ASSERT_TRUE(same(r, mi));
    CU_ASSERT_EQUAL(mi->n_resumed, mi->n_paused);
    mi->n_barriers = 0;
}

/* However slowly it reads: after it has caught up it knows what the tables hold. */
static void test_mirror(void)
{
    static const struct of_conn_ops mirror_ops = { .up = mirror_up, .message = mirror_message, .down = mirror_down };
    static const uint8_t versions[] = { OF10_VERSION, OF13_VERSION, OF14_VERSION };
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned v = 0; v < ARRAY_SIZE(versions); v++) {
        struct agent_rig r;
        struct mirror mi = { .conn = NULL };
        struct of_conn_options options = { .versions = 1u << versions[v] };
        struct err err = ERR_INIT;
        char target[40];
        agent_rig_init(&r, N_IDS, 0, 0);
        for (unsigned i = 0; i < N_IDS; i++) {
            random_change(&r, &rng);
        }
        snprintf(target, sizeof target, "tcp:127.0.0.1:%u", of_agent_listen_port(r.fake.agent, 0));
        mi.conn = of_conn_connect(r.base, target, NULL, &options, &mirror_ops, &mi, &err);
        CU_ASSERT_TRUE_FATAL(loop_until(r.base, &mi.n_up, 1));
        struct of_monitor m = monitor(1, ALL_EVENTS | OFPFMF_INSTRUCTIONS);
        struct of_msg msg;
        of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 5);
        msg.multipart.type = OFPMP_FLOW_MONITOR;
        msg.multipart.monitors.v = &m;
        msg.multipart.monitors.n = 1;
        of_conn_send(mi.conn, &msg);
        settle(&r, &mi);
        unsigned most = 0;
        for (unsigned round = 0; round < 6; round++) {
            of_conn_read_enable(mi.conn, round % 3 == 2);
            unsigned n = round % 2 ? 8000 : 300;
            for (unsigned i = 0; i < n; i++) {
                random_change(&r, &rng);
                if (i % 64 == 0) {
                    loop_for(r.base, 1);
                }
            }
            unsigned before = mi.n_updates;
            settle(&r, &mi);
            most = MAX(most, mi.n_updates - before);
        }
        CU_ASSERT_TRUE(mi.n_paused > 0);
        CU_ASSERT_TRUE(most < 8000);            /* It was told less than all that happened meanwhile. */
        of_conn_close(mi.conn);
        agent_rig_fini(&r);
    }
}

void agent_monitor_test_suite(void)
{
    UNIT_SUITE("agent_monitor", { "events", test_events }, { "own changes", test_own }, { "selection", test_selection }, { "errors", test_errors },
               { "bundles", test_bundle }, { "a mirror that reads now and then", test_mirror });
}
