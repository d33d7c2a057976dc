/*
 * Reconcile against a switch that is real but for its wires: ofproto's agent over its own flow and group tables,
 * connected by a unix socket to the substrate.
 *
 * Random desired states in many passes, while the switch loses its connection, is tampered with, and refuses rules. In
 * the end it holds exactly what is desired, and never more was sent than differed.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ruleset.h"
#include "controller/store.h"
#include "controller/substrate.h"
#include "controller/test_fixture.h"
#include "lib/json.h"
#include "ofproto/agent.h"
#include "tests/unit.h"

#define DATAPATH_ID 1
#define REFUSING_TABLE 99
#define N_KEYS 60
#define N_GROUPS 8

struct bench {
    struct fixture f;
    struct rng rng;
    char target[140];
    /* The switch: its tables live on while the agent comes and goes. */
    struct flow_tables *flows;
    struct group_table *groups;
    struct of_agent *agent;
    unsigned n_inserts, n_removes, n_modifies, n_group_mods;
    /* What is desired: content of each key, 0 for none. */
    unsigned want[N_KEYS], want_group[N_GROUPS];
};

/* --- The switch --- */

static struct of_error on_insert(struct flow_entry *entry, void *b_)
{
    struct bench *b = b_;
    if (entry->table_id == REFUSING_TABLE) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    b->n_inserts++;
    return OF_OK;
}
static struct of_error on_modify(struct flow_entry *e UNUSED, const struct instructions *old UNUSED, bool reset UNUSED, void *b_)
{
    ((struct bench *) b_)->n_modifies++;
    return OF_OK;
}
static void on_remove(struct flow_entry *e UNUSED, int reason, void *b_) { ((struct bench *) b_)->n_removes += reason != -1; }
static void on_counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *b_ UNUSED)
{
    *packets = *bytes = 0;
    *used_ns = e->created_ns;
}
static struct of_error on_group(struct group *g UNUSED, void *b_)
{
    ((struct bench *) b_)->n_group_mods++;
    return OF_OK;
}
static void on_group_removed(struct group *g, void *b_)
{
    struct bench *b = b_;
    b->n_group_mods++;
    flow_tables_group_deleted(b->flows, g->id);
}

static void sw_features(void *b_ UNUSED, struct of_features *features)
{
    features->datapath_id = DATAPATH_ID;
    features->n_tables = OF_N_TABLES;
    features->capabilities = OFPC_FLOW_STATS | OFPC_GROUP_STATS;
}
static void sw_desc(void *b_ UNUSED, struct of_desc *desc) { str_copy(desc->mfr, sizeof desc->mfr, "test"); }
static struct flow_tables *sw_flows(void *b_) { return ((struct bench *) b_)->flows; }
static struct group_table *sw_groups(void *b_) { return ((struct bench *) b_)->groups; }
static void sw_table_stats(void *b_ UNUSED, uint8_t table UNUSED, struct of_table_stats *stats UNUSED) { }
static void sw_ports(void *b_ UNUSED, void (*fn)(const struct of_port *, void *) UNUSED, void *aux UNUSED) { }
static bool sw_port_stats(void *b_ UNUSED, uint32_t port_no UNUSED, struct of_port_stats *stats UNUSED) { return false; }
static bool sw_group_stats(void *b_ UNUSED, struct group *g UNUSED, struct of_group_stats *stats UNUSED) { return true; }
static struct of_error sw_port_mod(void *b_ UNUSED, const struct of_port_mod *mod UNUSED) { return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT); }
static struct of_error sw_packet_out(void *b_ UNUSED, const struct of_packet_out *out UNUSED) { return OF_OK; }
static void sw_barrier(void *b_ UNUSED, void (*done)(void *), void *token) { done(token); }

static void plug(struct bench *b)
{
    static const struct of_backend_ops ops = {
        .features = sw_features, .desc = sw_desc, .flows = sw_flows, .groups = sw_groups, .table_stats = sw_table_stats, .ports = sw_ports,
        .port_stats = sw_port_stats, .group_stats = sw_group_stats, .port_mod = sw_port_mod, .packet_out = sw_packet_out, .barrier = sw_barrier,
    };
    struct of_agent_config config = { .n_controllers = 1, .versions = 1u << OF13_VERSION, .max_connections = 4 };
    struct err err = ERR_INIT;
    config.controllers = xcalloc(1, sizeof *config.controllers);
    config.controllers[0].target = b->target;
    config.controllers[0].max_backoff_ms = 20;
    b->agent = of_agent_new(b->f.c.base, &config, clock_monotonic(), &ops, b, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->agent);
    free(config.controllers);
}

static void unplug(struct bench *b)
{
    of_agent_free(b->agent);
    b->agent = NULL;
}

/* --- The controller --- */

static void on_sw_up(struct sw *sw, void *b_) { reconcile_sw_up(((struct bench *) b_)->f.c.reconcile, sw); }
static void on_sw_down(struct sw *sw, void *b_) { reconcile_sw_down(((struct bench *) b_)->f.c.reconcile, sw); }
static bool on_reply(struct sw *sw, struct of_msg *msg, void *b_) { return reconcile_reply(((struct bench *) b_)->f.c.reconcile, sw, msg); }
static void on_ports(struct sw *sw UNUSED, void *b_ UNUSED) { }
static void on_links(void *b_ UNUSED) { }
static void on_packet_in(struct sw *sw UNUSED, struct of_packet_in *pin UNUSED, void *b_ UNUSED) { }

static void bench_init(struct bench *b)
{
    static const struct flow_table_ops flow_ops = { on_insert, on_modify, on_remove, on_counters };
    static const struct group_ops group_ops = { on_group, on_group, on_group_removed };
    static const struct substrate_ops ops = { on_sw_up, on_sw_down, on_ports, on_links, on_packet_in, on_reply, NULL };
    static char *listen[1];
    struct err err = ERR_INIT;
    char path[128];

    memset(b, 0, sizeof *b);
    fixture_init(&b->f);
    rng_seed(&b->rng, unit_seed());
    b->f.c.clock = clock_monotonic();
    fixture_path(&b->f, "of.sock", path);
    snprintf(b->target, sizeof b->target, "punix:%s", path);
    listen[0] = b->target;
    b->f.c.config.openflow_listen = listen;
    b->f.c.config.n_openflow_listen = 1;
    fixture_apply(&b->f, "{'edges':[{'name':'e1','datapath_id':'0000000000000001'}]}");
    fixture_path(&b->f, "store.db", path);
    b->f.c.store = store_open(path, b->f.c.base, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.store);
    b->f.c.substrate = substrate_new(&b->f.c, &ops, b, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->f.c.substrate);
    b->f.c.rulesets = rulesets_new(&b->f.c);
    b->f.c.reconcile = reconcile_new(&b->f.c);
    CU_ASSERT_TRUE_FATAL(substrate_listen(b->f.c.substrate, &err));
    memmove(b->target, b->target + 1, strlen(b->target));      /* unix:… for the switch. */
    b->flows = flow_tables_new(10000, clock_monotonic(), &flow_ops, b);
    b->groups = group_table_new(1000, clock_monotonic(), &group_ops, b);
    plug(b);
}

static void bench_fini(struct bench *b)
{
    if (b->agent) {
        unplug(b);
    }
    substrate_free(b->f.c.substrate);           /* Tells reconcile that the switch is gone. */
    b->f.c.substrate = NULL;
    reconcile_free(b->f.c.reconcile);
    rulesets_free(b->f.c.rulesets);
    group_table_free(b->groups);                /* Its removals look into the flow tables. */
    flow_tables_free(b->flows);
    fixture_fini(&b->f);
}

/* --- Desired states --- */

static void key_match(unsigned key, uint8_t *table, uint16_t *priority, struct match *match)
{
    *table = (uint8_t) (key % 7);
    *priority = (uint16_t) (100 + key % 3);
    match_init(match);
    match_set_u64(match, FIELD_IN_PORT, 1 + key);
    if (key % 2) {
        match_set_u64(match, FIELD_ETH_TYPE, 0x0800);
    }
}

/* Content is a number: an output, or a group's id when it is a multiple of 5. */
static void content(unsigned number, const unsigned *groups, struct instructions *in)
{
    instructions_init(in);
    in->has_apply = true;
    if (number % 5 == 0 && groups[number % N_GROUPS]) {
        actions_group(&in->apply, 1 + number % N_GROUPS);
    } else {
        actions_output(&in->apply, number);
    }
}

/* A pass over all that is desired, by two owners. */
static void put_all(struct bench *b)
{
    for (uint32_t owner = 1; owner <= 2; owner++) {
        ruleset_begin(b->f.c.rulesets, DATAPATH_ID, owner);
        for (unsigned i = 0; i < N_GROUPS && owner == 1; i++) {
            struct of_bucket bucket = { .watch_port = OFPP_ANY, .watch_group = OFPG_ANY };
            if (b->want_group[i]) {
                actions_init(&bucket.actions);
                actions_output(&bucket.actions, b->want_group[i]);
                ruleset_group(b->f.c.rulesets, 1 + i, OFPGT_ALL, &bucket, 1);
                actions_fini(&bucket.actions);
            }
        }
        for (unsigned key = owner - 1; key < N_KEYS; key += 2) {
            uint8_t table;
            uint16_t priority;
            struct match match;
            struct instructions in;
            if (b->want[key]) {
                key_match(key, &table, &priority, &match);
                content(b->want[key], b->want_group, &in);
                ruleset_flow(b->f.c.rulesets, table, priority, &match, (uint64_t) owner << 32 | key, &in);
                instructions_fini(&in);
            }
        }
        ruleset_end(b->f.c.rulesets);
    }
}

static void wait_done(const struct err *err, void *done_)
{
    bool *done = done_;
    CU_ASSERT_PTR_NULL(err);
    *done = true;
}

static void settle(struct bench *b)
{
    bool done = false;
    reconcile_wait(b->f.c.reconcile, 0, 5000, wait_done, &done);
    CU_ASSERT_TRUE_FATAL(fixture_run(&b->f, &done, 10));
}

static void check_equal(struct bench *b)
{
    unsigned n = 0, n_groups = 0;
    for (unsigned key = 0; key < N_KEYS; key++) {
        uint8_t table;
        uint16_t priority;
        struct match match;
        struct instructions in;
        key_match(key, &table, &priority, &match);
        const struct flow_entry *entry = flow_tables_find(b->flows, table, priority, &match);
        CU_ASSERT_EQUAL(!entry, !b->want[key]);
        if (entry && b->want[key]) {
            content(b->want[key], b->want_group, &in);
            CU_ASSERT(instructions_equal(&entry->instructions, &in));
            instructions_fini(&in);
            n++;
        }
    }
    for (unsigned i = 0; i < N_GROUPS; i++) {
        const struct group *group = group_table_find(b->groups, 1 + i);
        CU_ASSERT_EQUAL(!group, !b->want_group[i]);
        CU_ASSERT(!group || !b->want_group[i] || group->buckets[0].actions.list[0].output.port == b->want_group[i]);
        n_groups += group != NULL;
    }
    CU_ASSERT_EQUAL(flow_tables_count(b->flows, OFPTT_ALL), n);
    CU_ASSERT_EQUAL(group_table_count(b->groups), n_groups);
}

static void random_change(struct bench *b)
{
    for (unsigned i = rng_below(&b->rng, 12); i > 0; i--) {
        b->want[rng_below(&b->rng, N_KEYS)] = rng_below(&b->rng, 3) ? 1 + rng_below(&b->rng, 40) : 0;
    }
    if (rng_below(&b->rng, 2)) {
        b->want_group[rng_below(&b->rng, N_GROUPS)] = rng_below(&b->rng, 3) ? 1 + rng_below(&b->rng, 9) : 0;
    }
}

/* Somebody else's hand: deletes, changes, adds. Returns how many entries differ afterwards. */
static unsigned tamper(struct bench *b)
{
    unsigned differ = 0;
    for (unsigned key = 0; key < N_KEYS; key += 1 + rng_below(&b->rng, 20)) {
        struct of_flow_mod mod;
        of_flow_mod_init(&mod);
        key_match(key, &mod.table_id, &mod.priority, &mod.match);
        if (b->want[key] && rng_below(&b->rng, 2)) {
            mod.command = OFPFC_DELETE_STRICT;
        } else {
            mod.cookie = 7;
            mod.instructions.has_apply = true;
            actions_output(&mod.instructions.apply, 77);
        }
        CU_ASSERT(of_ok(flow_tables_mod(b->flows, &mod)));
        instructions_fini(&mod.instructions);
        differ++;
    }
    return differ;
}

static void reconnect(struct bench *b)
{
    unplug(b);
    fixture_turn(&b->f, 5);
    plug(b);
}

static void test_random(void)
{
    struct bench b;
    bench_init(&b);
    for (unsigned pass = 0; pass < 60; pass++) {
        random_change(&b);
        put_all(&b);
        switch (rng_below(&b.rng, 4)) {
        case 0:
            reconnect(&b);
            break;
        case 1:                                         /* Another change while the first is under way. */
            fixture_turn(&b.f, rng_below(&b.rng, 3));
            random_change(&b);
            put_all(&b);
            break;
        default:
            break;
        }
        settle(&b);
        check_equal(&b);
    }
    bench_fini(&b);
}

static void test_smallest(void)
{
    struct bench b;
    bench_init(&b);
    for (unsigned i = 0; i < N_KEYS; i++) {
        b.want[i] = i % 3 ? 1 + rng_below(&b.rng, 40) : 0;
    }
    b.want_group[3] = 4;
    put_all(&b);
    settle(&b);
    check_equal(&b);
    unsigned inserts = b.n_inserts, removes = b.n_removes, groups = b.n_group_mods;
    put_all(&b);                                        /* The same again. */
    settle(&b);
    reconnect(&b);                                      /* And after a new connection. */
    settle(&b);
    CU_ASSERT_EQUAL(b.n_inserts, inserts);
    CU_ASSERT_EQUAL(b.n_removes, removes);
    CU_ASSERT_EQUAL(b.n_group_mods, groups);
    for (unsigned round = 0; round < 5; round++) {
        unplug(&b);
        fixture_turn(&b.f, 5);
        unsigned differ = tamper(&b);
        inserts = b.n_inserts;
        removes = b.n_removes;
        plug(&b);
        settle(&b);
        check_equal(&b);
        CU_ASSERT_EQUAL(b.n_inserts + b.n_removes - inserts - removes, differ);
    }
    bench_fini(&b);
}

static void wait_failed(const struct err *err, void *done_)
{
    bool *done = done_;
    CU_ASSERT_PTR_NOT_NULL_FATAL(err);
    CU_ASSERT_EQUAL(err->code, ERR_TIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err->message, "OFPFMFC_TABLE_FULL for table=99,priority=1,in_port=5"));
    *done = true;
}

/* A refused rule is named to whoever waits, and goes again when it is no longer wanted. */
static void test_refused(void)
{
    struct bench b;
    struct match match;
    struct instructions in;
    bool done = false;

    bench_init(&b);
    match_init(&match);
    match_set_u64(&match, FIELD_IN_PORT, 5);
    instructions_init(&in);
    ruleset_begin(b.f.c.rulesets, DATAPATH_ID, 3);
    ruleset_flow(b.f.c.rulesets, REFUSING_TABLE, 1, &match, 1, &in);
    ruleset_end(b.f.c.rulesets);
    reconcile_wait(b.f.c.reconcile, 0, 700, wait_failed, &done);
    CU_ASSERT_TRUE(fixture_run(&b.f, &done, 10));
    cJSON *json = reconcile_json(b.f.c.reconcile, substrate_find(b.f.c.substrate, DATAPATH_ID));
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItemCaseSensitive(json, "state")->valuestring, "failed");
    cJSON_Delete(json);
    ruleset_begin(b.f.c.rulesets, DATAPATH_ID, 3);
    ruleset_end(b.f.c.rulesets);
    settle(&b);
    check_equal(&b);
    bench_fini(&b);
}

unit_suite_fn reconcile_test_suite;
void reconcile_test_suite(void)
{
    UNIT_SUITE("reconcile", { "random states, reconnects, changes under way", test_random }, { "never more than differs", test_smallest },
               { "a refused rule is named", test_refused });
}
