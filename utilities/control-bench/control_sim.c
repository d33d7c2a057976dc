/* The command line, the loop, and the hooks that count what arrives where. */
#define LOG_MODULE "control-sim"
#include "utilities/control-bench/control_sim.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/log.h"

static const char usage[] =
    "usage: control-sim [OPTION…] PHASE[=N]…\n"
    "\n"
    "Simulated switches and tenants' controllers, for measuring controllerd (utilities/control-bench/README.md).\n"
    "\n"
    "  --openflow TARGET     where controllerd takes switches (unix:PATH, tcp:IP:PORT); without it the direct lane alone is measured\n"
    "  --edges N             simulated edges, datapath ids from 1 (default 1)\n"
    "  --devices N           ports d1 to dN of each (default 4)\n"
    "  --wiring KIND         alone (default), line, ring or star\n"
    "  --vswitchd            the switches answer Polder requests, as vswitchd does; else they are like Open vSwitch\n"
    "  --tenants N           tenants' controllers (default 1), listening on 127.0.0.1\n"
    "  --port N              the first one's port; each has the next (default 16600)\n"
    "  --switches N          virtual switches that each tenant has (default 1)\n"
    "  --flood-at TARGET     where tenant 1's switch listens (tcp:IP:PORT); given again: tenant 2's\n"
    "\n"
    "Phases, in the order given:\n"
    "  go                    waits for a line on standard input; time counts from then\n"
    "  connect               waits until every switch and virtual switch is connected\n"
    "  program=N             each tenant gives each of its switches N entries and a barrier as soon as it comes; waits for all\n"
    "  fill=N                tenant 0 adds N entries\n"
    "  latency=N             N flow-mods with barriers, one at a time, on both lanes in turns\n"
    "  rate=SECONDS          flow-mods, as many as the barriers let through\n"
    "  packet-in=SECONDS     packet-ins answered by flow-mods;  packet-out=SECONDS: by packet-outs\n"
    "  packet-in-latency=N   one at a time\n"
    "  clear                 tenant 0 deletes its entries\n"
    "  flood-KIND=N          flows of tenant 0 are set up in N windows while nobody else does anything, and in N windows between them while\n"
    "                        tenant 1 floods: flow-mods, packet-ins (its machine causes them), unmetered (the same at a switch without\n"
    "                        meters), stall (it asks for statistics and reads nothing), garbage, reconnect; unlimited: tenant 2's flow-mods\n"
    "  idle=SECONDS          nothing is done\n";

static const struct phase { const char *name; phase_fn *run; bool has_argument; } phases[] = {
    { "go", phase_go, false }, { "connect", phase_connect, false }, { "program", phase_program, true }, { "fill", phase_fill, true },
    { "latency", phase_latency, true }, { "rate", phase_rate, true }, { "packet-in", phase_packet_in, true },
    { "packet-out", phase_packet_out, true }, { "packet-in-latency", phase_packet_in_latency, true }, { "clear", phase_clear, false },
    { "idle", phase_idle, true }, { "flood-flow-mods", phase_flood_flow_mods, true }, { "flood-unlimited", phase_flood_unlimited, true },
    { "flood-packet-ins", phase_flood_packet_ins, true },
    { "flood-unmetered", phase_flood_unmetered, true }, { "flood-stall", phase_flood_stall, true }, { "flood-garbage", phase_flood_garbage, true },
    { "flood-reconnect", phase_flood_reconnect, true },
};

/* --- Hooks --- */

static bool lane_of(const struct bench *b, const struct tenant_conn *tc, enum lane *lane)
{
    for (*lane = 0; *lane < N_LANES; ++*lane) {
        if (b->conn[*lane] == tc) {
            return true;
        }
    }
    return false;
}

/* Priority 0 is a tenant's table-miss entry, or controllerd's own that counts what no entry of a slice's table matches: neither is one that a phase counts. */
static void on_changed(struct sim_switch *sw, const struct flow_entry *e, void *b_)
{
    struct bench *b = b_;
    enum lane lane = sw == b->direct ? LANE_DIRECT : LANE_SLICE;
    if (!e->priority || (lane == LANE_SLICE && b->network && e->cookie >> 32 != b->network)) {
        return;
    }
    b->n_changed[lane]++;
    b->changed_ns[lane] = bench_now();
}

static void on_packet_out(struct sim_switch *sw, const struct of_packet_out *po UNUSED, void *b_)
{
    struct bench *b = b_;
    enum lane lane = sw == b->direct ? LANE_DIRECT : LANE_SLICE;
    b->n_packet_outs[lane]++;
    b->packet_out_ns[lane] = bench_now();
}

static void on_ready(struct tenant_conn *tc, void *b_)
{
    struct bench *b = b_;
    if (!tc->tenant && tc->dpid == DIRECT_DPID) {
        b->conn[LANE_DIRECT] = tc;
    } else if (!tc->tenant && !b->conn[LANE_SLICE]) {
        b->conn[LANE_SLICE] = tc;
    }
    if (b->program && tc->dpid != DIRECT_DPID) {
        for (unsigned i = 0; i < b->program; i++) {
            tenant_add(tc, i, 1 + i % 2);
        }
        tenant_barrier(tc);
    }
}

static void on_gone(struct tenant_conn *tc, void *b_)
{
    struct bench *b = b_;
    enum lane lane;
    if (lane_of(b, tc, &lane)) {
        b->conn[lane] = NULL;
        b->lost = true;
    }
}

static void on_barrier(struct tenant_conn *tc, uint32_t xid UNUSED, void *b_)
{
    struct bench *b = b_;
    enum lane lane;
    b->barrier_ns = bench_now();
    if (b->program) {
        b->n_programmed++;
    } else if (lane_of(b, tc, &lane)) {
        b->n_barriers[lane]--;
    }
}

static void on_packet_in(struct tenant_conn *tc, const struct of_packet_in *in, void *b_)
{
    struct bench *b = b_;
    enum lane lane;
    if (!lane_of(b, tc, &lane)) {
        return;
    }
    b->n_packet_ins[lane]++;
    if ((b->answer == ANSWER_FLOW_MOD || b->answer == ANSWER_BOTH) && in->size >= 12) {
        tenant_add(tc, wire_get32(in->data + 8), 1);
    }
    if (b->answer == ANSWER_PACKET_OUT || b->answer == ANSWER_BOTH) {
        tenant_packet_out(tc, in, OFPP_IN_PORT);
    }
}

static void on_error(struct tenant_conn *tc UNUSED, struct of_error error, void *b_)
{
    struct bench *b = b_;
    b->n_errors++;
    b->last_error = error;
}

static const struct sim_hooks sim_hooks = { on_changed, on_packet_out };
static const struct tenant_hooks tenant_hooks = { on_ready, on_gone, on_barrier, on_packet_in, on_error };

/* --- The loop --- */

bool bench_wait(struct bench *b, bool (*done)(struct bench *, void *aux), void *aux, uint64_t limit_ns, bool spin)
{
    const uint64_t deadline = bench_now() + limit_ns;
    while (!done(b, aux)) {
        if (b->lost || bench_now() > deadline) {
            return false;
        }
        event_base_loop(b->base, spin ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
    }
    return true;
}

struct drain { enum lane lane; unsigned left; };

static bool is_drained(struct bench *b, void *d_)
{
    const struct drain *d = d_;
    return b->n_barriers[d->lane] <= d->left;
}

bool bench_drain(struct bench *b, enum lane lane, unsigned left)
{
    struct drain d = { lane, left };
    return bench_wait(b, is_drained, &d, WAIT_NS, false);
}

void bench_barrier(struct bench *b, enum lane lane)
{
    b->n_barriers[lane]++;
    tenant_barrier(b->conn[lane]);
}

bool bench_has_lane(const struct bench *b, enum lane lane)
{
    return lane == LANE_DIRECT || b->o->openflow;
}

bool bench_check_lanes(struct bench *b, struct err *err)
{
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane) && !b->conn[lane]) {
            return err_set(err, ERR_FAILED, NULL, "tenant 0 has no %s switch%s", lane_name(lane), b->lost ? " any more" : "; is there a phase connect before?");
        }
    }
    return true;
}

bool bench_late(const struct bench *b, enum lane lane, const char *what, struct err *err)
{
    return b->lost ? err_set(err, ERR_FAILED, NULL, "the connection to the %s switch is lost", lane_name(lane))
                   : err_set(err, ERR_TIMEOUT, NULL, "%s of the %s lane did not come within %u s", what, lane_name(lane), (unsigned) (WAIT_NS / 1000000000));
}

/* So that EVLOOP_ONCE comes back to look at deadlines. */
static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *aux UNUSED)
{
}

/* --- Main --- */

static bool parse_wiring(const char *text, enum sim_wiring *out)
{
    static const char *const names[] = { [SIM_ALONE] = "alone", [SIM_LINE] = "line", [SIM_RING] = "ring", [SIM_STAR] = "star" };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(text, names[i])) {
            *out = (enum sim_wiring) i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const char *text, uint64_t max, unsigned *out)
{
    uint64_t value;
    bool ok = str_to_u64(text, max, &value);
    *out = ok ? (unsigned) value : 0;
    return ok;
}

/* False: wrong usage. */
static bool parse_options(int argc, char **argv, struct sim_options *o)
{
    static const struct option options[] = {
        { "openflow", required_argument, NULL, 'o' }, { "edges", required_argument, NULL, 'e' }, { "devices", required_argument, NULL, 'd' },
        { "wiring", required_argument, NULL, 'w' }, { "vswitchd", no_argument, NULL, 'v' }, { "tenants", required_argument, NULL, 't' },
        { "port", required_argument, NULL, 'p' }, { "switches", required_argument, NULL, 's' },
        { "flood-at", required_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    *o = (struct sim_options) { .plan = { .n_edges = 1, .n_devices = 4 }, .n_tenants = 1, .first_port = 16600, .n_switches_each = 1 };
    bool ok = true;
    unsigned n_flooders = 0;
    for (int c; ok && (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'o': o->openflow = optarg; break;
        case 'e': ok = parse_number(optarg, 10000, &o->plan.n_edges); break;
        case 'd': ok = parse_number(optarg, 4096, &o->plan.n_devices); break;
        case 'w': ok = parse_wiring(optarg, &o->plan.wiring); break;
        case 'v': o->plan.vswitchd = true; break;
        case 't': ok = parse_number(optarg, 10000, &o->n_tenants) && o->n_tenants; break;
        case 'p': ok = parse_number(optarg, UINT16_MAX, &o->first_port) && o->first_port; break;
        case 's': ok = parse_number(optarg, 1000, &o->n_switches_each) && o->n_switches_each; break;
        case 'f':
            ok = n_flooders < MAX_FLOODERS;
            o->flood_at[ok ? ++n_flooders : 0] = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default: ok = false;
        }
    }
    return ok && o->plan.n_devices >= 2 && o->first_port + o->n_tenants <= UINT16_MAX + 1u;
}

static const struct phase *find_phase(const char *text, uint64_t *n)
{
    size_t length = strcspn(text, "=");
    for (unsigned i = 0; i < ARRAY_SIZE(phases); i++) {
        if (strlen(phases[i].name) == length && !strncmp(phases[i].name, text, length) && phases[i].has_argument == (text[length] == '=')) {
            return !text[length] || str_to_u64(text + length + 1, 10000000, n) ? &phases[i] : NULL;
        }
    }
    return NULL;
}

static bool run_phase(struct bench *b, const char *text, struct err *err)
{
    uint64_t n = 0;
    const struct phase *phase = find_phase(text, &n);
    cJSON *result = cJSON_CreateObject();
    const uint64_t errors = b->n_errors;
    json_add_string(result, "phase", phase->name);
    if (phase->has_argument) {
        json_add_u64(result, "n", n);
    }
    bool ok = phase->run(b, n, result, err);
    if (ok && b->n_errors != errors) {
        char scratch[32];
        ok = err_set(err, ERR_FAILED, NULL, "%llu OpenFlow errors, the last %s", (unsigned long long) (b->n_errors - errors),
                     of_error_name(b->last_error, scratch));
    }
    if (ok) {
        char *line = json_text(result, false);
        puts(line);
        fflush(stdout);
        free(line);
    }
    cJSON_Delete(result);
    return ok || err_prefix(err, phase->name);
}

static bool run(struct bench *b, char **names, int n, struct err *err)
{
    char *target = xasprintf("tcp:127.0.0.1:%u", b->o->first_port);
    bool ok = (b->tenants = tenants_new(b->base, b->o->n_tenants, b->o->first_port, &tenant_hooks, b, err))
              && sim_switch_connect(b->direct, target, err) && (!b->o->openflow || sim_net_connect(b->net, b->o->openflow, err));
    free(target);
    for (int i = 0; ok && i < n; i++) {
        ok = run_phase(b, names[i], err);
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct sim_options o;
    struct err err = ERR_INIT;
    uint64_t unused;
    bool ok = parse_options(argc, argv, &o) && optind < argc;
    for (int i = optind; ok && i < argc; i++) {
        ok = find_phase(argv[i], &unused);
        if (!ok) {
            fprintf(stderr, "control-sim: %s is no phase, or its number is missing\n", argv[i]);
        }
    }
    if (!ok) {
        fputs(usage, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_WARN);
    int error = raise_file_limit();
    if (error) {
        fprintf(stderr, "control-sim: limit of open files: %s\n", strerror(-error));
    }
    struct bench b = { .o = &o, .base = event_base_new(), .started_ns = bench_now() };
    struct timeval tick = { 0, 100000 };
    struct event *ticker = event_new(b.base, -1, EV_PERSIST, on_tick, NULL);
    event_add(ticker, &tick);
    b.net = sim_net_new(b.base, &o.plan, &sim_hooks, &b);
    b.direct = sim_switch_new(b.net, DIRECT_DPID, o.plan.n_devices);
    ok = run(&b, argv + optind, argc - optind, &err);
    if (!ok) {
        char text[700];
        fprintf(stderr, "control-sim: %s\n", err_format(&err, text, sizeof text));
    }
    tenants_free(b.tenants);
    sim_switch_free(b.direct);
    sim_net_free(b.net);
    event_free(ticker);
    event_base_free(b.base);
    return ok ? 0 : 1;
}
