/*
 * What a tenant's flow-mods cost controllerd itself: from the bytes of the tenant's message to the bytes for the edge, without a socket.
 *
 * A real controller around one big switch on one edge: decode, virtual switch, compile, ruleset, reconcile, encode. The edge's
 * connection never comes up, so that encoded batches go nowhere; what an edge answers is handed in here, at the end of each
 * loop turn: a flow-removed for each rule that was deleted, encoded, and the barrier. Without these an entry that left would
 * be kept for a second, a hundred thousand at a time. A turn has 64 flow-mods, about what one read from a busy tenant has.
 *
 *     tests/bench/vsw_bench [RULES...]           in front of how many rules to measure; 0 1000 10000 100000 unless given
 *
 *     tests/bench/vsw_bench silent [RULES...]    the same with an edge that never tells of what was deleted
 *
 *     tests/bench/vsw_bench pairs                what an address pair costs that gets an id on the fabric (intern.c), by how many there are, and by the network's ports
 *
 * One line each: flow-mods per second of CPU time: of adds, modifies and deletes in turn, the time of a turn with one flow-mod (p50 and
 * p99), and what a rule takes of the heap.
 */
#define _GNU_SOURCE 1           /* nftw */
#include <assert.h>
#include <event2/event.h>
#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/compile.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset_impl.h"
#include "controller/store.h"
#include "controller/substrate.h"
#include "lib/json.h"
#include "lib/log.h"
#include "utilities/bench/latency.h"

#define TURN 64u
#define MEASURE_NS UINT64_C(1000000000)
#define N_SINGLE 20000u
#define N_BURST 8192u           /* Entries that come, change and go behind the standing ones. */

struct bench {
    char dir[64];
    struct controller c;
    struct sw *sw;
    struct sw_rules *rules;
    struct vsw *vsw;
    uint32_t xid;
    uint64_t n_errors;
    struct buf removed;         /* A flow-removed, for what left[] names: the cookies of rules that were deleted in this turn. */
    bool is_silent;
    uint64_t left[TURN];
    unsigned n_left;
    uint32_t *numbers;          /* Of the virtual entries, by the tenant's cookie. */
};

static const char document[] =
    "{\"edges\":[{\"name\":\"e1\",\"datapath_id\":\"0000000000000001\"},{\"name\":\"e2\",\"datapath_id\":\"0000000000000002\"}],"
    "\"tenants\":[{\"name\":\"red\",\"quota\":{\"ports\":1000,\"flow_entries\":4000000,\"flow_mod_rate\":4000000}}],"
    "\"slices\":[{\"name\":\"lab\",\"tenant\":\"red\",\"topology\":\"custom\",\"switches\":[{\"name\":\"s1\",\"datapath_id\":\"00000000000000aa\","
    "\"edges\":[\"e1\"],\"quota\":{\"flows\":2000000},"
    "\"ports\":[{\"name\":\"a\",\"number\":1,\"edge\":\"e1\",\"ofport_of\":\"d1\"},{\"name\":\"b\",\"number\":2,\"edge\":\"e1\",\"ofport_of\":\"d2\"}]}]}]}";

static void fail(const char *what, const struct err *err)
{
    fprintf(stderr, "vsw_bench: %s: %s %s\n", what, err->field, err->message);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct clock clock = clock_monotonic();
    return clock_now_ns(&clock);
}

/* Of this process: with others on the machine the wall clock tells more of them. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

/* --- controllerd, and an edge that has everything at once --- */

static void conn_up(struct of_conn *conn UNUSED, void *aux UNUSED) { }
static void conn_message(struct of_conn *conn UNUSED, struct of_msg *msg UNUSED, const uint8_t *raw UNUSED, size_t size UNUSED, void *aux UNUSED) { }
static void conn_down(struct of_conn *conn UNUSED, const char *why UNUSED, void *aux UNUSED) { }

static void edge_reply(struct bench *b, enum of_multipart type, uint32_t xid)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REPLY, xid);
    msg.multipart.type = (uint16_t) type;
    reconcile_reply(b->c.reconcile, b->sw, &msg);
}

static void edge_tell_removed(struct bench *b)
{
    for (unsigned i = 0; i < b->n_left; i++) {
        struct of_msg msg;
        wire_put64(b->removed.data + OF_HEADER_SIZE, b->left[i]);
        if (!of_ok(of_decode(b->removed.data, b->removed.size, &msg)) || !fabric_reply(b->c.fabric, b->sw, &msg)) {
            abort();
        }
        of_msg_fini(&msg);
    }
    b->n_left = 0;
}

static void edge_answer_barriers(struct bench *b)
{
    while (!list_empty(&b->rules->batches)) {
        const struct batch *batch = CONTAINER_OF(b->rules->batches.next, struct batch, node);
        struct of_msg msg;
        of_msg_init(&msg, OFPT_BARRIER_REPLY, batch->first_xid + batch->n - 1);
        reconcile_reply(b->c.reconcile, b->sw, &msg);
    }
}

static void turn(struct bench *b)
{
    event_base_loop(b->c.base, EVLOOP_NONBLOCK);
    edge_tell_removed(b);
    edge_answer_barriers(b);
}

static void apply(struct controller *c, const char *text)
{
    struct err err = ERR_INIT;
    cJSON *tree = json_parse(text, strlen(text), 1 << 20, &err);
    struct model_txn *txn = tree ? model_apply(c->model, tree, NULL, &err) : NULL;
    if (!txn) {
        fail("the model", &err);
    }
    model_txn_commit(txn);
    cJSON_Delete(tree);
}

static void bench_init(struct bench *b)
{
    static const struct of_conn_ops conn_ops = { .up = conn_up, .message = conn_message, .down = conn_down };
    static const struct substrate_ops ops = { 0 };
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    struct err err = ERR_INIT;
    char target[100];

    memset(b, 0, sizeof *b);
    log_set_level(LOG_ERROR);
    snprintf(b->dir, sizeof b->dir, "/tmp/vsw_bench-XXXXXX");
    if (!mkdtemp(b->dir)) {
        perror(b->dir);
        exit(1);
    }
    struct controller *c = &b->c;
    c->base = event_base_new();
    c->clock = clock_monotonic();
    rng_seed(&c->rng, 1);
    c->config.run_dir = b->dir;
    c->config.lldp_interval_ms = 1000;
    c->config.intern_pairs_per_network = 1u << 20;
    c->config.intern_idle_s = 300;
    if (!prefix_parse("100.64.0.0/10", &c->config.provider.v4) || !prefix_parse("fd64:706f:6c64::/48", &c->config.provider.v6)) {
        abort();
    }
    c->model = model_new(&c->config.provider);
    apply(c, document);
    snprintf(target, sizeof target, "%s/store.db", b->dir);
    c->store = store_open(target, c->base, &err);
    if (!c->store) {
        fail(target, &err);
    }
    c->substrate = substrate_new(c, &ops, NULL, &err);
    if (!c->substrate) {
        fail("the substrate", &err);
    }
    c->rulesets = rulesets_new(c);
    c->reconcile = reconcile_new(c);
    c->fabric = fabric_new(c);
    fabric_load(c->fabric);
    b->sw = substrate_find(c->substrate, 1);
    snprintf(target, sizeof target, "unix:%s/nobody", b->dir);
    b->sw->conn = of_conn_connect(c->base, target, NULL, &options, &conn_ops, NULL, &err);
    if (!b->sw->conn) {
        fail(target, &err);
    }
    reconcile_sw_up(c->reconcile, b->sw);
    b->rules = sw_rules_find(c->rulesets, 1);
    edge_reply(b, OFPMP_METER_CONFIG, b->rules->read_meters_xid);
    edge_reply(b, OFPMP_GROUP_DESC, b->rules->read_groups_xid);
    edge_reply(b, OFPMP_FLOW, b->rules->read_flows_xid);
    b->vsw = fabric_find_vsw(c->fabric, ((const struct network *) model_find(c->model, KIND_SWITCH, "red/lab/s1"))->id);
    for (unsigned i = 0; i < 5; i++) {
        turn(b);
    }
}

static int remove_path(const char *path, const struct stat *st UNUSED, int flag UNUSED, struct FTW *ftw UNUSED) { return remove(path); }

static void bench_fini(struct bench *b)
{
    struct of_conn *conn = b->sw->conn;
    buf_fini(&b->removed);
    free(b->numbers);
    reconcile_sw_down(b->c.reconcile, b->sw);
    b->sw->conn = NULL;
    of_conn_close(conn);
    substrate_free(b->c.substrate);
    reconcile_free(b->c.reconcile);
    b->c.reconcile = NULL;
    fabric_free(b->c.fabric);
    rulesets_free(b->c.rulesets);
    store_close(b->c.store);
    model_free(b->c.model);
    event_base_free(b->c.base);
    nftw(b->dir, remove_path, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- The tenant --- */

/* What a learning controller writes: in_port, addresses, output. */
static void encode(struct buf *out, enum of_flow_command command, uint32_t number, uint32_t port)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.version = OF13_VERSION;
    of_flow_mod_init(&msg.flow_mod);
    msg.flow_mod.command = command;
    msg.flow_mod.priority = 10;
    msg.flow_mod.cookie = number;
    match_set_u64(&msg.flow_mod.match, FIELD_IN_PORT, 1);
    match_set_u64(&msg.flow_mod.match, FIELD_ETH_SRC, 0x020000000001);
    match_set_u64(&msg.flow_mod.match, FIELD_ETH_DST, 0x020001000000 + number);
    if (command != OFPFC_DELETE_STRICT) {
        msg.flow_mod.instructions.has_apply = true;
        actions_output(&msg.flow_mod.instructions.apply, port);
    }
    of_encode(&msg, out);
    of_msg_fini(&msg);
}

/* What an edge will say of the rule: as the tenant's, and whose it is. */
static void encode_removed(struct bench *b)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_REMOVED, 0);
    msg.version = OF13_VERSION;
    msg.flow_removed.reason = OFPRR_DELETE;
    msg.flow_removed.packet_count = 10;
    msg.flow_removed.byte_count = 1000;
    match_set_u64(&msg.flow_removed.match, FIELD_ETH_SRC, 0x020000000001);
    match_set_u64(&msg.flow_removed.match, FIELD_ETH_DST, 0x020001000000);
    match_set_u64(&msg.flow_removed.match, R_VSW, b->vsw->id);
    match_set_u64(&msg.flow_removed.match, R_IN, 1);
    of_encode(&msg, &b->removed);
}

/* Which rule comes, or will be told to have left. */
static void note(struct bench *b, const struct of_flow_mod *mod)
{
    if (mod->command == OFPFC_ADD) {
        b->numbers[mod->cookie] = b->vsw->next_number;
    } else if (mod->command == OFPFC_DELETE_STRICT && !b->is_silent) {
        b->left[b->n_left++] = COOKIE(b->vsw->id, b->numbers[mod->cookie]);
    }
}

/* As the agent does with what it reads; `raw` gets an xid, as each message of a tenant has its own. */
static void take(struct bench *b, uint8_t *raw, size_t size)
{
    struct of_msg msg;
    wire_put32(raw + 4, ++b->xid);
    struct of_error error = of_decode(raw, size, &msg);
    if (of_ok(error)) {
        vsw_change_begin(b->vsw, 1, raw, size);
        error = vsw_flow_mod(b->vsw, &msg.flow_mod);
        note(b, &msg.flow_mod);
        of_msg_fini(&msg);
    }
    b->n_errors += !of_ok(error);
}

/* All messages of the buffer, in turns. */
static void take_all(struct bench *b, struct buf *messages, unsigned per_turn)
{
    unsigned n = 0;
    for (size_t at = 0; at < messages->size; ) {
        size_t size = of_frame_length(messages->data + at, messages->size - at);
        take(b, messages->data + at, size);
        at += size;
        if (++n % per_turn == 0) {
            turn(b);
        }
    }
    turn(b);
}

/* --- Measuring --- */

static size_t heap_used(void) { return mallinfo2().uordblks; }

static void fill(struct bench *b, unsigned from, unsigned to)
{
    struct buf messages = BUF_INIT;
    for (unsigned i = from; i < to; i++) {
        encode(&messages, OFPFC_ADD, i, 2);
    }
    take_all(b, &messages, TURN);
    buf_fini(&messages);
}

/* Adds, modifies and deletes of entries behind the standing ones: messages of each per second, made before. */
static void measure_rate(struct bench *b, unsigned n_rules)
{
    static const struct { enum of_flow_command command; uint32_t port; } kinds[] = { { OFPFC_ADD, 2 }, { OFPFC_MODIFY_STRICT, 1 }, { OFPFC_DELETE_STRICT, 0 } };
    struct buf messages[ARRAY_SIZE(kinds)] = { BUF_INIT };
    uint64_t n[ARRAY_SIZE(kinds)] = { 0 }, ns[ARRAY_SIZE(kinds)] = { 0 }, all = 0, all_ns = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (unsigned i = 0; i < N_BURST; i++) {
            encode(&messages[k], kinds[k].command, n_rules + i, kinds[k].port);
        }
    }
    for (uint64_t end = cpu_ns() + MEASURE_NS; cpu_ns() < end; ) {
        for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
            uint64_t start = cpu_ns();
            take_all(b, &messages[k], TURN);
            ns[k] += cpu_ns() - start;
            n[k] += N_BURST;
        }
    }
    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        all += n[k];
        all_ns += ns[k];
        buf_fini(&messages[k]);
    }
    printf("  flow-mods/s %7.0f (adds %7.0f, modifies %7.0f, deletes %7.0f)", (double) all * 1e9 / (double) all_ns, (double) n[0] * 1e9 / (double) ns[0],
           (double) n[1] * 1e9 / (double) ns[1], (double) n[2] * 1e9 / (double) ns[2]);
}

/* One flow-mod and its barrier at a time. */
static void measure_latency(struct bench *b, unsigned n_rules)
{
    static struct latency latency;
    struct buf add = BUF_INIT, delete = BUF_INIT;
    memset(&latency, 0, sizeof latency);
    encode(&add, OFPFC_ADD, n_rules, 2);
    encode(&delete, OFPFC_DELETE_STRICT, n_rules, 0);
    for (unsigned i = 0; i < N_SINGLE; i++) {
        uint64_t start = now_ns();
        take(b, add.data, add.size);
        turn(b);
        latency_add(&latency, now_ns() - start);
        take(b, delete.data, delete.size);
        turn(b);
    }
    printf("  one at a time p50 %5.1f us p99 %5.1f us", (double) latency_quantile(&latency, 0.5) / 1e3, (double) latency_quantile(&latency, 0.99) / 1e3);
    buf_fini(&add);
    buf_fini(&delete);
}

/* --- Address pairs --- */

/* A switch of so many ports, half of them on an edge that is away. */
static struct vsw *make_switch(struct bench *b, unsigned n_ports)
{
    struct buf text = BUF_INIT;
    char name[32];
    buf_printf(&text, "{\"slices\":[{\"name\":\"p%u\",\"tenant\":\"red\",\"topology\":\"custom\",\"switches\":[{\"name\":\"s\",\"edges\":[\"e1\",\"e2\"],\"ports\":[", n_ports);
    for (unsigned i = 1; i <= n_ports; i++) {
        buf_printf(&text, "%s{\"name\":\"p%u\",\"number\":%u,\"edge\":\"e%u\",\"ofport_of\":\"q%u-%u\"}", i > 1 ? "," : "", i, i, 1 + i % 2, n_ports, i);
    }
    buf_puts(&text, "]}]}]}");
    apply(&b->c, buf_cstr(&text));
    buf_fini(&text);
    snprintf(name, sizeof name, "red/p%u/s", n_ports);
    const struct network *network = model_find(b->c.model, KIND_SWITCH, name);
    fabric_networks_changed(b->c.fabric, &network->id, 1);
    for (unsigned i = 0; i < 5; i++) {
        turn(b);
    }
    return fabric_find_vsw(b->c.fabric, network->id);
}

static void unknown_pair(struct bench *b, struct vsw *vsw, uint64_t src, uint64_t dst)
{
    const struct port *to = network_port_by_number(vsw->network, 1);
    uint8_t frame[60] = { 0 };
    struct of_packet_in pin = { .cookie = COOKIE(vsw->id, COOKIE_INTERN), .table_id = T_X_SRC, .data = frame, .size = sizeof frame };
    wire_put48(frame, dst);
    wire_put48(frame + 6, src);
    match_init(&pin.match);
    match_set_u64(&pin.match, R_IN, 2);
    match_set_u64(&pin.match, R_PDST, provider_landing_mac(to->edge->index, 0, to->local));
    match_set_u64(&pin.match, R_FLAGS, PROVIDER_PAIR);
    intern_packet_in(b->c.fabric->intern, b->sw, &pin);
}

/* Pairs that answer each other, one conversation a turn, until there are so many. Behind port 2, whose edge is connected. */
static void make_pairs(struct bench *b, struct vsw *vsw, unsigned n)
{
    for (unsigned i = vsw->n_pairs[PAIRS_ALL] / 2; i < n / 2; i++) {
        uint64_t one = 0x525400000000 + 2 * i, other = one + 1;
        unknown_pair(b, vsw, one, other);
        unknown_pair(b, vsw, other, one);
        unknown_pair(b, vsw, one, other);
        for (unsigned turns = 0; turns < 4; turns++) {
            turn(b);
        }
    }
    const struct pair *last = CONTAINER_OF(vsw->pairs.prev, struct pair, node);
    if (vsw->n_pairs[PAIRS_ALL] != n || (n && last->state != PAIR_ACTIVE)) {
        fprintf(stderr, "vsw_bench: %u pairs instead of %u\n", vsw->n_pairs[PAIRS_ALL], n);
        exit(1);
    }
}

static void measure_pairs(struct bench *b)
{
    enum { N = 500 };
    static const unsigned ports[] = { 2, 200 }, standing[] = { 0, 1000, 4000 };
    for (unsigned p = 0; p < ARRAY_SIZE(ports); p++) {
        struct vsw *vsw = make_switch(b, ports[p]);
        for (unsigned i = 0; i < ARRAY_SIZE(standing); i++) {
            make_pairs(b, vsw, standing[i]);
            uint64_t start = cpu_ns();
            make_pairs(b, vsw, standing[i] + N);
            printf("%4u ports, %5u pairs: %8.1f us of CPU for one more\n", ports[p], standing[i], (double) (cpu_ns() - start) / 1e3 / N);
            fflush(stdout);
        }
    }
}

static const unsigned usual[] = { 0, 1000, 10000, 100000 };

static unsigned wanted_rules(int argc, char **argv, unsigned i) { return argc > 1 ? (unsigned) strtoul(argv[i + 1], NULL, 10) : usual[i]; }

int main(int argc, char **argv)
{
    struct bench b;
    unsigned n_rules = 0, n;
    bench_init(&b);
    if (argc > 1 && !strcmp(argv[1], "pairs")) {
        measure_pairs(&b);
        bench_fini(&b);
        return 0;
    }
    if (argc > 1 && !strcmp(argv[1], "silent")) {
        b.is_silent = true;
        argc--;
        argv++;
    }
    n = argc > 1 ? (unsigned) argc - 1 : ARRAY_SIZE(usual);
    encode_removed(&b);
    unsigned most = 0;
    for (unsigned i = 0; i < n; i++) {
        most = MAX(most, wanted_rules(argc, argv, i));
    }
    b.numbers = xcalloc(most + N_BURST, sizeof b.numbers[0]);
    size_t empty = heap_used();
    for (unsigned i = 0; i < n; i++) {
        unsigned wanted = wanted_rules(argc, argv, i);
        fill(&b, n_rules, wanted);
        n_rules = MAX(n_rules, wanted);
        size_t used = heap_used() - empty;
        printf("%7u rules", n_rules);
        measure_rate(&b, n_rules);
        measure_latency(&b, n_rules);
        if (n_rules) {
            printf("  %zu bytes/rule", used / n_rules);
        }
        printf("\n");
        fflush(stdout);
        if (b.n_errors || ruleset_count(b.c.rulesets, 1) < n_rules) {
            fprintf(stderr, "vsw_bench: %llu flow-mods were refused\n", (unsigned long long) b.n_errors);
            return 1;
        }
    }
    bench_fini(&b);
    return 0;
}
