/* The control side of the datapath: its life, flow entries, ports, counters. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"
#include "vswitch/meter.h"

void dp_defer(void (*fn)(void *), void *arg, void *dp_)
{
    struct dp *dp = dp_;
    if (dp->closing) {
        fn(arg);
    } else {
        dp->ops.defer(fn, arg, dp->aux);
    }
}

/* --- Flow entries --- */

struct minimatch *minimatch_clone(const struct minimatch *m)
{
    size_t size = sizeof *m + 2 * m->n * sizeof m->words[0];
    struct minimatch *copy = xmalloc(size);
    memcpy(copy, m, size);
    return copy;
}

/* Takes the program; the counters are shared with `former` when there is one. */
static struct dp_rule *rule_new(struct dp *dp, struct flow_entry *entry, struct program *program, const struct dp_rule *former)
{
    /* The rule and its match side by side: whoever looks at one looks at the other.  The entry's own goes with the entry; readers may outlive it. */
    size_t size = sizeof *entry->match + 2 * entry->match->n * sizeof entry->match->words[0];
    struct dp_rule *rule = xcalloc(1, sizeof *rule + size);
    rule->cls.match = memcpy(rule + 1, entry->match, size);
    rule->cls.priority = entry->priority;
    rule->cls.added = dp_stage_version(dp);
    atomic_init(&rule->program, program);
    rule->cookie = entry->cookie;
    rule->table = entry->table_id;
    rule->is_miss = !entry->priority && !entry->match->n;
    rule->entry = entry;
    if (former) {
        rule->counters = former->counters;
        rule->counters->refs++;
    } else {
        rule->counters = counters_new(dp, entry->table_id);
    }
    return rule;
}

static bool is_conjunctive(const struct dp_rule *rule)
{
    return program_is_conjunctive(atomic_load_explicit(&rule->program, memory_order_relaxed));
}

/* Makes the rule visible; false (and the rule is gone again): there is no room for one more mask. */
static bool rule_link(struct dp *dp, struct dp_rule *rule)
{
    cache_cover_rule(dp, rule->table, rule->cls.match, atomic_load_explicit(&rule->program, memory_order_relaxed));
    if (!is_conjunctive(rule)) {
        classifier_insert(&dp->tables[rule->table], &rule->cls);
    } else if (!conjunctions_insert(&dp->conjunctions[rule->table], rule)) {
        dp_rule_retire(dp, rule);
        return false;
    }
    rule->entry->aux = rule;
    return true;
}

void dp_rule_unlink(struct dp *dp, struct dp_rule *rule)
{
    if (is_conjunctive(rule)) {
        conjunctions_remove(&dp->conjunctions[rule->table], rule);
    } else {
        classifier_remove(&dp->tables[rule->table], &rule->cls);
    }
}

/* The cache is told that a rule is not what it was.  Conjunctive ones count nothing, so no cached walk names them: whoever matches may be concerned. */
static void note_change(struct dp *dp, struct dp_rule *rule)
{
    if (is_conjunctive(rule)) {
        cache_note_added(dp, rule->table, rule->cls.match);
    }
    cache_note_id(dp, rule->counters->id);
}

static struct of_error insert(struct flow_entry *entry, void *dp_)
{
    struct dp *dp = dp_;
    struct of_error error;
    struct program *program = program_compile(dp, &entry->instructions, &error);
    if (!program) {
        return error;
    }
    if (!rule_link(dp, rule_new(dp, entry, program, entry->replaces ? entry->replaces->aux : NULL))) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
    }
    if (dp->stage) {
        dp_stage_insert(dp, entry);
    } else {
        dp_rule_begins(dp, entry->aux);
    }
    return OF_OK;
}

static struct of_error modify(struct flow_entry *entry, const struct instructions *old UNUSED, bool reset_counts, void *dp_)
{
    struct dp *dp = dp_;
    struct dp_rule *rule = entry->aux;
    struct of_error error;
    struct program *program = program_compile(dp, &entry->instructions, &error);
    if (!program) {
        return error;
    }
    struct program *former = atomic_load_explicit(&rule->program, memory_order_relaxed);
    if (program_is_conjunctive(program) != program_is_conjunctive(former)) {
        /* It moves to another structure: the new one is there before the old one leaves. */
        if (!rule_link(dp, rule_new(dp, entry, program, rule))) {
            return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_TABLE_FULL);
        }
        dp_rule_begins(dp, entry->aux);
        dp_rule_unlink(dp, rule);
        dp_rule_ends(dp, rule);
        dp_rule_retire(dp, rule);
        rule = entry->aux;
    } else {
        cache_cover_rule(dp, rule->table, rule->cls.match, program);
        atomic_store_explicit(&rule->program, program, memory_order_release);
        note_change(dp, rule);
        program_retire(dp, former);
    }
    if (reset_counts) {
        counters_reset(rule->counters);
    }
    return OF_OK;
}

static void remove_entry(struct flow_entry *entry, int reason, void *dp_)
{
    struct dp *dp = dp_;
    struct dp_rule *rule = entry->aux;
    if (dp->stage) {
        dp_stage_remove(dp, entry, reason);
        return;
    }
    dp_rule_unlink(dp, rule);
    dp_rule_ends(dp, rule);
    if (reason >= 0 && entry->flags & OFPFF_SEND_FLOW_REM && dp->ops.flow_removed) {
        dp->ops.flow_removed(entry, (uint8_t) reason, dp->aux);
    }
    dp_rule_retire(dp, rule);
}

void dp_rule_begins(struct dp *dp, struct dp_rule *rule)
{
    counters_own(rule->counters, rule);
    cache_note_added(dp, rule->table, rule->cls.match);
}

void dp_rule_ends(struct dp *dp, struct dp_rule *rule)
{
    counters_disown(rule->counters, rule);
    note_change(dp, rule);
}

void dp_rule_retire(struct dp *dp, struct dp_rule *rule)
{
    program_retire(dp, atomic_load_explicit(&rule->program, memory_order_relaxed));
    counters_put(dp, rule->counters);
    dp_defer(free, rule, dp);
}

static void counters(const struct flow_entry *entry, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *dp UNUSED)
{
    const struct dp_rule *rule = entry->aux;
    counters_sum(rule->counters, packets, bytes, used_ns);
    *used_ns = MAX(*used_ns, entry->created_ns);
}

const struct flow_table_ops dp_flow_ops = { .insert = insert, .modify = modify, .remove = remove_entry, .counters = counters };

/* --- Life --- */

struct dp *dp_new(unsigned n_threads, unsigned max_flows, unsigned max_groups, struct clock clock, const struct dp_ops *ops, void *aux)
{
    assert(n_threads && n_threads <= DP_MAX_THREADS);
    struct dp *dp = xcalloc(1, sizeof *dp + n_threads * sizeof dp->threads[0]);
    dp->n_threads = n_threads;
    dp->clock = clock;
    dp->ops = *ops;
    dp->aux = aux;
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        classifier_init(&dp->tables[i], dp_defer, dp);
        conjunctions_init(&dp->conjunctions[i], dp);
    }
    hmap_init(&dp->group_slots);
    list_init(&dp->watched);
    dp->stations = dp_stations_new();
    dp->drop_base = xcalloc(DP_MAX_PORTS, sizeof dp->drop_base[0]);
    for (unsigned i = 0; i < n_threads; i++) {
        dp->threads[i] = XNEW(struct dp_thread);
        dp->threads[i]->dp = dp;
        dp->threads[i]->index = i;
    }
    counter_space_init(dp);
    cache_init(dp);
    dp->flows = flow_tables_new(max_flows, clock, &dp_flow_ops, dp);
    dp->groups = group_table_new(max_groups, clock, &dp_group_ops, dp);
    dp->meters = meter_table_new(DP_MAX_METERS, clock, &dp_meter_ops, dp);
    return dp;
}

void dp_free(struct dp *dp)
{
    if (!dp) {
        return;
    }
    dp->closing = true;
    flow_tables_free(dp->flows);
    group_table_free(dp->groups);
    meter_table_free(dp->meters);
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        classifier_fini(&dp->tables[i]);
        conjunctions_fini(&dp->conjunctions[i]);
    }
    assert(!dp->group_slots.n);
    hmap_fini(&dp->group_slots);
    cache_fini(dp);
    counter_space_fini(dp);
    for (unsigned i = 0; i < dp->n_threads; i++) {
        free(dp->threads[i]);
    }
    free(atomic_load_explicit(&dp->port_list, memory_order_relaxed));
    free(dp->stations);
    free(dp->drop_base);
    free(dp);
}

struct flow_tables *dp_flows(struct dp *dp)
{
    return dp->flows;
}

struct group_table *dp_groups(struct dp *dp)
{
    return dp->groups;
}

struct meter_table *dp_meters(struct dp *dp)
{
    return dp->meters;
}

struct dp_thread *dp_thread(struct dp *dp, unsigned i)
{
    assert(i < dp->n_threads);
    return dp->threads[i];
}

unsigned dp_thread_index(const struct dp_thread *t)
{
    return t->index;
}

struct perf *dp_thread_perf(struct dp_thread *t)
{
    return &t->perf;
}

void *dp_thread_aux(const struct dp_thread *t)
{
    return t->aux;
}

void dp_thread_set_aux(struct dp_thread *t, void *aux)
{
    t->aux = aux;
}

/* --- Ports --- */

static void publish_ports(struct dp *dp)
{
    struct port_list *old = atomic_load_explicit(&dp->port_list, memory_order_relaxed), *list;
    unsigned n = 0;
    for (uint32_t i = 1; i < DP_MAX_PORTS; i++) {
        n += !!(dp_port_state(dp, i) & PORT_PRESENT);
    }
    list = xcalloc(1, sizeof *list + n * sizeof list->ports[0]);
    for (uint32_t i = 1; i < DP_MAX_PORTS; i++) {
        if (dp_port_state(dp, i) & PORT_PRESENT) {
            list->ports[list->n++] = i;
        }
    }
    atomic_store_explicit(&dp->port_list, list, memory_order_release);
    if (old) {
        dp_defer(free, old, dp);
    }
}

static void set_port(struct dp *dp, uint32_t port_no, uint32_t state)
{
    assert(port_no && port_no < DP_MAX_PORTS);
    uint32_t old = dp_port_state(dp, port_no);
    atomic_store_explicit(&dp->ports[port_no], state, memory_order_relaxed);
    if ((old ^ state) & PORT_PRESENT) {
        publish_ports(dp);
    }
    dp_groups_refresh_liveness(dp);
    cache_note_all(dp);
}

void dp_port_set(struct dp *dp, uint32_t port_no, uint32_t config, bool live)
{
    set_port(dp, port_no, PORT_PRESENT | (live ? PORT_LIVE : 0) | (config & ~(PORT_PRESENT | PORT_LIVE)));
}

void dp_port_remove(struct dp *dp, uint32_t port_no)
{
    set_port(dp, port_no, 0);
}

void dp_set_misses(struct dp *dp, bool on)
{
    atomic_store_explicit(&dp->misses, on, memory_order_relaxed);
    cache_note_all(dp);
}

void dp_set_drop_fragments(struct dp *dp, bool on)
{
    atomic_store_explicit(&dp->drop_fragments, on, memory_order_relaxed);
}

void dp_set_standalone(struct dp *dp, bool on)
{
    atomic_store_explicit(&dp->standalone, on, memory_order_relaxed);
    cache_note_all(dp);
}

/* --- Statistics --- */

void dp_table_stats(struct dp *dp, uint8_t table, struct of_table_stats *out)
{
    assert(table < OF_N_TABLES);
    *out = (struct of_table_stats) { .table_id = table, .active_count = flow_tables_count(dp->flows, table) };
    counters_table(dp, table, &out->lookup_count, &out->matched_count);
}

static uint64_t raw_drops(const struct dp *dp, uint32_t port_no, unsigned reason)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < dp->n_threads; i++) {
        sum += atomic_load_explicit(&dp->threads[i]->drops[port_no][reason], memory_order_relaxed);
    }
    return sum;
}

uint64_t dp_drops(const struct dp *dp, uint32_t port_no, enum drop_reason reason)
{
    if ((unsigned) reason >= DROP_N_REASONS || port_no >= DP_MAX_PORTS) {
        return 0;
    }
    if (port_no) {
        return raw_drops(dp, port_no, reason) - dp->drop_base[port_no][reason];
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < DP_MAX_PORTS; i++) {
        sum += raw_drops(dp, i, reason) - dp->drop_base[i][reason];
    }
    return sum;
}

void dp_drops_clear(struct dp *dp, uint32_t port_no)
{
    for (unsigned reason = 0; port_no < DP_MAX_PORTS && reason < DROP_N_REASONS; reason++) {
        dp->drop_base[port_no][reason] = raw_drops(dp, port_no, reason);
    }
}
