/* See reconcile_rig.h. */
#include "controller/reconcile_rig.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ruleset.h"
#include "controller/store.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "tests/unit.h"

/* --- The switch --- */

static bool refuses(struct reconcile_rig *b) { return b->refuse && !rng_below(&b->rng, b->refuse); }

static struct of_error check_instructions(struct reconcile_rig *b, const struct instructions *in)
{
    for (unsigned i = 0; i < in->apply.n; i++) {
        const struct action *a = &in->apply.list[i];
        if (a->type == ACTION_GROUP && !group_table_find(b->groups, a->group)) {
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
        }
    }
    if (in->has_meter && !meter_table_find(b->meters, in->meter)) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN_METER);
    }
    return refuses(b) ? OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_EPERM) : OF_OK;
}

static struct of_error on_insert(struct flow_entry *entry, void *b_)
{
    struct reconcile_rig *b = b_;
    if (entry->table_id == REFUSING_TABLE) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    b->n_inserts++;
    return check_instructions(b, &entry->instructions);
}
static struct of_error on_modify(struct flow_entry *e, const struct instructions *old UNUSED, bool reset UNUSED, void *b_)
{
    struct reconcile_rig *b = b_;
    b->n_modifies++;
    return check_instructions(b, &e->instructions);
}
static void on_remove(struct flow_entry *e UNUSED, int reason, void *b_) { ((struct reconcile_rig *) b_)->n_removes += reason != -1; }
static void on_counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *b_ UNUSED)
{
    *packets = *bytes = 0;
    *used_ns = e->created_ns;
}
/* Emptying one is never refused. */
static struct of_error on_group(struct group *g, void *b_)
{
    struct reconcile_rig *b = b_;
    b->n_group_mods++;
    return g->n_buckets && refuses(b) ? OF_ERROR(OFPET_GROUP_MOD_FAILED, OFPGMFC_OUT_OF_BUCKETS) : OF_OK;
}
static void on_group_removed(struct group *g, void *b_)
{
    struct reconcile_rig *b = b_;
    unsigned n = flow_tables_count(b->flows, OFPTT_ALL);
    b->n_group_mods++;
    flow_tables_group_deleted(b->flows, g->id);
    b->n_never += flow_tables_count(b->flows, OFPTT_ALL) != n;
}
static struct of_error on_meter(struct meter *m UNUSED, void *b) { return refuses(b) ? OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_BANDS) : OF_OK; }
static void on_meter_removed(struct meter *m, void *b_)
{
    struct reconcile_rig *b = b_;
    unsigned n = flow_tables_count(b->flows, OFPTT_ALL);
    flow_tables_meter_deleted(b->flows, m->id);
    b->n_never += flow_tables_count(b->flows, OFPTT_ALL) != n;
}
static void on_meter_counters(const struct meter *m UNUSED, struct of_meter_stats *stats UNUSED, void *b_ UNUSED) { }

static void sw_features(void *b_ UNUSED, struct of_features *features)
{
    features->datapath_id = DATAPATH_ID;
    features->n_tables = OF_N_TABLES;
    features->capabilities = OFPC_FLOW_STATS | OFPC_GROUP_STATS;
}
static void sw_desc(void *b_ UNUSED, struct of_desc *desc) { str_copy(desc->mfr, sizeof desc->mfr, "test"); }
static struct flow_tables *sw_flows(void *b_) { return ((struct reconcile_rig *) b_)->flows; }
static struct group_table *sw_groups(void *b_) { return ((struct reconcile_rig *) b_)->groups; }
static void sw_table_stats(void *b_ UNUSED, uint8_t table UNUSED, struct of_table_stats *stats UNUSED) { }
static void sw_ports(void *b_ UNUSED, void (*fn)(const struct of_port *, void *) UNUSED, void *aux UNUSED) { }
static bool sw_port_stats(void *b_ UNUSED, uint32_t port_no UNUSED, struct of_port_stats *stats UNUSED) { return false; }
static bool sw_group_stats(void *b_ UNUSED, struct group *g UNUSED, struct of_group_stats *stats UNUSED) { return true; }
static struct of_error sw_port_mod(void *b_ UNUSED, const struct of_port_mod *mod UNUSED) { return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT); }
static struct of_error sw_packet_out(void *b_ UNUSED, const struct of_packet_out *out UNUSED) { return OF_OK; }
static struct meter_table *sw_meters(void *b_) { return ((struct reconcile_rig *) b_)->meters; }
static bool sw_barrier_passes(void *b_) { return ((struct reconcile_rig *) b_)->late; }
static void sw_barrier(void *b_, void (*done)(void *), void *token)
{
    struct reconcile_rig *b = b_;
    if (!b->late || b->n_tokens == MAX_TOKENS) {
        done(token);
        return;
    }
    b->tokens[b->n_tokens].done = done;
    b->tokens[b->n_tokens++].token = token;
}

/* The oldest barriers are done. */
void reconcile_rig_release(struct reconcile_rig *b, unsigned n)
{
    n = MIN(n, b->n_tokens);
    for (unsigned i = 0; i < n; i++) {
        b->tokens[i].done(b->tokens[i].token);
    }
    b->n_tokens -= n;
    memmove(b->tokens, b->tokens + n, b->n_tokens * sizeof b->tokens[0]);
}

void reconcile_rig_plug(struct reconcile_rig *b)
{
    static const struct of_backend_ops ops = {
        .features = sw_features, .desc = sw_desc, .flows = sw_flows, .groups = sw_groups, .table_stats = sw_table_stats, .ports = sw_ports,
        .port_stats = sw_port_stats, .group_stats = sw_group_stats, .port_mod = sw_port_mod, .packet_out = sw_packet_out, .barrier = sw_barrier,
        .barrier_passes = sw_barrier_passes, .meters = sw_meters,
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

void reconcile_rig_unplug(struct reconcile_rig *b)
{
    reconcile_rig_release(b, MAX_TOKENS);
    of_agent_free(b->agent);
    b->agent = NULL;
}

/* --- The controller --- */

static void on_sw_up(struct sw *sw, void *b_) { reconcile_sw_up(((struct reconcile_rig *) b_)->f.c.reconcile, sw); }
static void on_sw_down(struct sw *sw, void *b_) { reconcile_sw_down(((struct reconcile_rig *) b_)->f.c.reconcile, sw); }
static bool on_reply(struct sw *sw, struct of_msg *msg, void *b_)
{
    struct reconcile_rig *b = b_;
    if (msg->type == OFPT_ERROR) {
        struct of_error e = msg->error.error;
        b->n_errors += e.type != OFPET_SWITCH_CONFIG_FAILED;     /* It knows no OFPC_FRAG_NX_MATCH (southbound.c). */
        b->n_never += (e.type == OFPET_GROUP_MOD_FAILED && (e.code == OFPGMFC_GROUP_EXISTS || e.code == OFPGMFC_CHAINED_GROUP))
                      || (e.type == OFPET_METER_MOD_FAILED && e.code == OFPMMFC_METER_EXISTS);
    }
    return reconcile_reply(b->f.c.reconcile, sw, msg);
}
static void on_ports(struct sw *sw UNUSED, void *b_ UNUSED) { }
static void on_links(void *b_ UNUSED) { }
static void on_packet_in(struct sw *sw UNUSED, struct of_packet_in *pin UNUSED, void *b_ UNUSED) { }

void reconcile_rig_init(struct reconcile_rig *b)
{
    static const struct flow_table_ops flow_ops = { on_insert, on_modify, on_remove, on_counters };
    static const struct group_ops group_ops = { on_group, on_group, on_group_removed };
    static const struct meter_ops meter_ops = { on_meter, on_meter, on_meter_removed, on_meter_counters };
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
    b->meters = meter_table_new(1000, clock_monotonic(), &meter_ops, b);
    reconcile_rig_plug(b);
}

void reconcile_rig_fini(struct reconcile_rig *b)
{
    if (b->agent) {
        reconcile_rig_unplug(b);
    }
    substrate_free(b->f.c.substrate);           /* Tells reconcile that the switch is gone. */
    b->f.c.substrate = NULL;
    reconcile_free(b->f.c.reconcile);
    rulesets_free(b->f.c.rulesets);
    group_table_free(b->groups);                /* Its removals look into the flow tables. */
    meter_table_free(b->meters);
    flow_tables_free(b->flows);
    fixture_fini(&b->f);
}

/* --- Desired states --- */

void reconcile_rig_key(unsigned key, uint8_t *table, uint16_t *priority, struct match *match)
{
    *table = (uint8_t) (key % 7);
    *priority = (uint16_t) (100 + key % 3);
    match_init(match);
    match_set_u64(match, FIELD_IN_PORT, 1 + key);
    if (key % 2) {
        match_set_u64(match, FIELD_ETH_TYPE, 0x0800);
    }
}

/* Content is a number: an output, or a group's id when it is a multiple of 5; metered when it is one of 3. */
static void content(const struct reconcile_rig *b, unsigned number, struct instructions *in)
{
    instructions_init(in);
    in->has_apply = true;
    in->has_meter = number % 3 == 0 && b->want_meter[number % N_METERS];
    in->meter = in->has_meter ? 1 + number % N_METERS : 0;
    if (number % 5 == 0 && b->want_group[number % N_GROUPS]) {
        actions_group(&in->apply, 1 + number % N_GROUPS);
    } else {
        actions_output(&in->apply, number);
    }
}

/* The first bucket outputs to the group's number; each group that it refers to has one more, which forwards to it or watches it. Fails over when its number is above 6. */
static enum of_group_type group_content(const struct reconcile_rig *b, unsigned i, struct of_bucket *buckets, unsigned *n)
{
    bool fails_over = b->want_group[i] > 6;
    struct of_bucket bucket = { .watch_port = fails_over ? 1 : OFPP_ANY, .watch_group = OFPG_ANY };
    actions_init(&bucket.actions);
    actions_output(&bucket.actions, b->want_group[i]);
    buckets[0] = bucket;
    *n = 1;
    for (unsigned j = 0; j < N_GROUPS; j++) {
        if (b->refers[i] >> j & 1 && b->want_group[j] && b->rank[j] < b->rank[i]) {
            bucket.watch_port = OFPP_ANY;
            bucket.watch_group = fails_over ? 1 + j : OFPG_ANY;
            actions_init(&bucket.actions);
            if (!fails_over) {
                actions_group(&bucket.actions, 1 + j);
            }
            buckets[(*n)++] = bucket;
        }
    }
    return fails_over ? OFPGT_FF : OFPGT_ALL;
}

static void put_group(struct reconcile_rig *b, unsigned i)
{
    struct of_bucket buckets[N_GROUPS + 1];
    unsigned n;
    enum of_group_type type = group_content(b, i, buckets, &n);
    ruleset_group(b->f.c.rulesets, 1 + i, type, buckets, n);
    while (n) {
        actions_fini(&buckets[--n].actions);
    }
}

/* A pass over all that is desired, by two owners. */
void reconcile_rig_put_all(struct reconcile_rig *b)
{
    for (uint32_t owner = 1; owner <= 2; owner++) {
        ruleset_begin(b->f.c.rulesets, DATAPATH_ID, owner);
        for (unsigned i = 0; i < N_GROUPS && owner == 1; i++) {
            if (b->want_group[i]) {
                put_group(b, i);
            }
        }
        for (unsigned i = 0; i < N_METERS && owner == 1; i++) {
            const struct of_meter_band band = { .type = OFPMBT_DROP, .rate = b->want_meter[i] };
            if (b->want_meter[i]) {
                ruleset_meter(b->f.c.rulesets, 1 + i, OFPMF_KBPS, &band, 1);
            }
        }
        for (unsigned key = owner - 1; key < N_KEYS; key += 2) {
            uint8_t table;
            uint16_t priority;
            struct match match;
            struct instructions in;
            if (b->want[key]) {
                reconcile_rig_key(key, &table, &priority, &match);
                content(b, b->want[key], &in);
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

void reconcile_rig_settle(struct reconcile_rig *b)
{
    bool done = false;
    reconcile_wait(b->f.c.reconcile, 0, 5000, wait_done, &done);
    CU_ASSERT_TRUE_FATAL(fixture_run(&b->f, &done, 10));
}

static void check_group(struct reconcile_rig *b, unsigned i, const struct group *group)
{
    struct of_bucket buckets[N_GROUPS + 1];
    unsigned n;
    enum of_group_type type = group_content(b, i, buckets, &n);
    CU_ASSERT(group->type == type && group->n_buckets == n);
    while (n) {
        n--;
        CU_ASSERT(n >= group->n_buckets || (actions_equal(&group->buckets[n].actions, &buckets[n].actions) && group->buckets[n].watch_group == buckets[n].watch_group));
        actions_fini(&buckets[n].actions);
    }
}

void reconcile_rig_check_equal(struct reconcile_rig *b)
{
    unsigned n = 0, n_groups = 0;
    for (unsigned key = 0; key < N_KEYS; key++) {
        uint8_t table;
        uint16_t priority;
        struct match match;
        struct instructions in;
        reconcile_rig_key(key, &table, &priority, &match);
        const struct flow_entry *entry = flow_tables_find(b->flows, table, priority, &match);
        CU_ASSERT_EQUAL(!entry, !b->want[key]);
        if (entry && b->want[key]) {
            content(b, b->want[key], &in);
            CU_ASSERT(instructions_equal(&entry->instructions, &in));
            instructions_fini(&in);
            n++;
        }
    }
    for (unsigned i = 0; i < N_GROUPS; i++) {
        const struct group *group = group_table_find(b->groups, 1 + i);
        CU_ASSERT_EQUAL(!group, !b->want_group[i]);
        n_groups += group != NULL;
        if (group && b->want_group[i]) {
            check_group(b, i, group);
        }
    }
    for (unsigned i = 0; i < N_METERS; i++) {
        const struct meter *meter = meter_table_find(b->meters, 1 + i);
        CU_ASSERT_EQUAL(meter ? meter->bands[0].rate : 0, b->want_meter[i]);
    }
    CU_ASSERT_EQUAL(flow_tables_count(b->flows, OFPTT_ALL), n);
    CU_ASSERT_EQUAL(group_table_count(b->groups), n_groups);
}

void reconcile_rig_change(struct reconcile_rig *b)
{
    for (unsigned i = rng_below(&b->rng, 12); i > 0; i--) {
        b->want[rng_below(&b->rng, N_KEYS)] = rng_below(&b->rng, 3) ? 1 + rng_below(&b->rng, 40) : 0;
    }
    if (rng_below(&b->rng, 2)) {
        b->want_group[rng_below(&b->rng, N_GROUPS)] = rng_below(&b->rng, 3) ? 1 + rng_below(&b->rng, 9) : 0;
    }
    if (rng_below(&b->rng, 2)) {
        b->refers[rng_below(&b->rng, N_GROUPS)] = rng_below(&b->rng, 1 << N_GROUPS);
        b->rank[rng_below(&b->rng, N_GROUPS)] = rng_below(&b->rng, N_GROUPS);
    }
    if (!rng_below(&b->rng, 3)) {
        b->want_meter[rng_below(&b->rng, N_METERS)] = rng_below(&b->rng, 3) ? 1 + rng_below(&b->rng, 9) : 0;
    }
}

void reconcile_rig_reconnect(struct reconcile_rig *b)
{
    reconcile_rig_unplug(b);
    fixture_turn(&b->f, 5);
    reconcile_rig_plug(b);
}
