/*
 * Phases about a bad neighbour: how long tenant 0's flows take to be set up while another tenant floods, beside how long while it does not.
 *
 * A flow is set up when its first frame has come to the switch as a packet-in, and the tenant's controller has answered by a flow-mod and a packet-out, and
 * both are at the switch.  Tenant 0's machines open a flow every PERIOD_NS, whatever happens.  Windows of WINDOW_SAMPLES flows alternate (flood, quiet,
 * quiet, flood and so on), so both are of the same seconds, and paired.h compares them.
 *
 * What must not be measured is this process, which has one CPU for the switches, both controllers and the flood.  So all of it is one thread, which
 * never sleeps and leaves nothing to the machine's scheduler: the flood is made between samples, as much as controllerd takes, which so has a flood to read
 * all the time; then whatever has come is done; then the same flow is set up on the direct lane, which brings this CPU's caches back to what a
 * sample needs, flood or not; then comes the sample.  The entries are deleted at the end of the window.
 *
 * A window begins with WARM_SAMPLES flows that are not counted: a flood that had nothing to do meanwhile may begin with more than its rate (budget.h).
 */
#include "utilities/control-bench/control_sim.h"

#include <stdlib.h>
#include <event2/event.h>

#include "lib/json.h"
#include "utilities/control-bench/flood.h"
#include "utilities/control-bench/paired.h"

enum { WINDOW_SAMPLES = 400, WARM_SAMPLES = 200, MAX_CATCH_UP = 16 };
#define PERIOD_NS UINT64_C(250000)
#define SETTLE_NS UINT64_C(20000000)    /* Until a flood that has ended is forgotten: GATHER_LATE_MS. */

enum { QUIET, FLOOD };
struct measurement {
    struct packet_source sources[N_LANES];
    struct paired lanes[N_LANES];
    struct flood *flood;
    uint64_t flooding_ns, n_late;       /* n_late: flows that began after their time, for the one before was not done. */
};

/* The switch and the tenants' controllers do what has come for them: each would have a CPU of its own, and not begin a sample with a queue. */
static void catch_up(struct bench *b)
{
    uint64_t before = UINT64_MAX;
    for (unsigned i = 0; i < MAX_CATCH_UP && before != b->net->switches[0]->n_changed; i++) {
        before = b->net->switches[0]->n_changed;
        event_base_loop(b->base, EVLOOP_NONBLOCK);
    }
}

static bool one_flow(struct bench *b, struct measurement *m, unsigned pair, unsigned side, bool counted, struct err *err)
{
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        uint64_t ns;
        if (!sample_set_up(b, lane, &m->sources[lane], &ns, err)) {
            return false;
        }
        if (counted) {
            paired_add(&m->lanes[lane], side, pair, ns);
        }
    }
    return true;
}

static bool end_window(struct bench *b, struct measurement *m, struct err *err)
{
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        for (unsigned i = 0; i < WARM_SAMPLES + WINDOW_SAMPLES; i++) {
            tenant_delete(b->conn[lane], packet_source_key(&m->sources[lane], i));
        }
        bench_barrier(b, lane);
        if (!bench_drain(b, lane, 0)) {
            return bench_late(b, lane, "a barrier", err);
        }
    }
    return true;
}

static bool is_heard(struct bench *b UNUSED, void *flood)
{
    return flood_is_heard(flood);
}

static bool window(struct bench *b, struct measurement *m, unsigned pair, unsigned side, struct err *err)
{
    bool ok = true;
    if (side == FLOOD) {
        flood_begin(m->flood);
        if (!bench_wait(b, is_heard, m->flood, WAIT_NS, true)) {
            return err_set(err, ERR_TIMEOUT, NULL, "controllerd did not greet the flooding tenant's connections");
        }
        flood_start(m->flood);
    }
    uint64_t begun = bench_now(), due = begun;
    for (unsigned i = 0; ok && i < WARM_SAMPLES + WINDOW_SAMPLES; i++) {
        due += PERIOD_NS;
        if (side == FLOOD) {
            flood_make(m->flood, due);
        }
        while (bench_now() < due) { }
        m->n_late += bench_now() > due + PERIOD_NS;
        due = MAX(due, bench_now() - PERIOD_NS);
        catch_up(b);
        ok = one_flow(b, m, pair, side, i >= WARM_SAMPLES, err);
    }
    if (side == FLOOD) {
        flood_end(m->flood);
        m->flooding_ns += bench_now() - begun;
    }
    return ok && end_window(b, m, err);
}

static bool is_later(struct bench *b UNUSED, void *until)
{
    return bench_now() >= *(uint64_t *) until;
}

static void print(struct measurement *m, cJSON *result)
{
    static const struct { const char *name; double share; } quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 } };
    static const char *const sides[] = { "quiet", "flood" };
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        cJSON *object = json_add_object(result, lane_name(lane));
        for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++) {
            cJSON *o = json_add_object(object, quantiles[i].name);
            for (unsigned side = 0; side < 2; side++) {
                cJSON_AddNumberToObject(o, sides[side], (double) paired_quantile(&m->lanes[lane], side, quantiles[i].share) / 1e3);
            }
            struct paired_ratio r = paired_compare(&m->lanes[lane], quantiles[i].share, 1);
            cJSON_AddNumberToObject(o, "ratio", r.ratio);
            cJSON_AddNumberToObject(o, "low", r.low);
            cJSON_AddNumberToObject(o, "high", r.high);
        }
    }
    const double seconds = (double) m->flooding_ns / 1e9;
    cJSON_AddNumberToObject(result, "flooding_seconds", seconds);
    cJSON_AddNumberToObject(result, "offered_per_second", (double) m->flood->offered / seconds);
    if (m->flood->message_size) {
        cJSON_AddNumberToObject(result, "written_per_second", (double) m->flood->written_bytes / m->flood->message_size / seconds);
    }
    json_add_u64(result, "late", m->n_late);
}

static bool measure(struct bench *b, struct flood *f, uint64_t n_pairs, cJSON *result, struct err *err)
{
    struct measurement *m = XNEW(struct measurement);
    const unsigned n = (unsigned) MAX(n_pairs, 1u);
    m->flood = f;
    paired_init(&m->lanes[LANE_DIRECT], n);
    paired_init(&m->lanes[LANE_SLICE], n);
    bool ok = packet_sources_prepare(b, m->sources, err);
    for (unsigned i = 0; ok && i < 2 * n; i++) {
        uint64_t settled = bench_now() + SETTLE_NS;
        ok = (bench_wait(b, is_later, &settled, WAIT_NS, true) || bench_late(b, LANE_SLICE, "the end of a flood", err))
             && window(b, m, i / 2, i % 4 == 0 || i % 4 == 3 ? FLOOD : QUIET, err);
    }
    if (ok) {
        print(m, result);
    }
    paired_fini(&m->lanes[LANE_DIRECT]);
    paired_fini(&m->lanes[LANE_SLICE]);
    free(m);
    return ok;
}

/* --- Phases --- */

/* Tenant 1 has the usual quotas, tenant 2 has plenty of everything. */
static struct tenant_conn *flooder(struct bench *b, unsigned tenant)
{
    return tenant < b->tenants->n ? tenant_switch(b->tenants, tenant, 0, DIRECT_DPID) : NULL;
}

static bool has_flooder(struct bench *b, void *tenant)
{
    return flooder(b, *(unsigned *) tenant);
}

static bool find_flooder(struct bench *b, unsigned tenant, struct target *at, struct err *err)
{
    if (!b->o->openflow || tenant >= b->tenants->n || !b->o->flood_at[tenant]) {
        return err_set(err, ERR_USAGE, NULL, "this flood needs controllerd, --tenants %u, and --flood-at for each flooding tenant", tenant + 1);
    }
    return target_parse(b->o->flood_at[tenant], false, at, err)
           && (bench_wait(b, has_flooder, &tenant, WAIT_NS, false) || err_set(err, ERR_TIMEOUT, NULL, "tenant %u has no switch", tenant));
}

static bool flood_phase(struct bench *b, void (*init)(struct flood *, const struct target *), unsigned tenant, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    struct target at;
    if (!find_flooder(b, tenant, &at, err)) {
        return false;
    }
    init(&f, &at);
    bool ok = measure(b, &f, n, result, err);
    flood_fini(&f);
    return ok;
}

bool phase_flood_flow_mods(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_phase(b, flood_init_flow_mods, 1, n, result, err);
}

bool phase_flood_unlimited(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_phase(b, flood_init_flow_mods, 2, n, result, err);
}

bool phase_flood_stall(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct target at;
    if (!find_flooder(b, 1, &at, err)) {
        return false;
    }
    flood_put_entries(flooder(b, 1));
    return flood_phase(b, flood_init_questions, 1, n, result, err);
}

bool phase_flood_garbage(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_phase(b, flood_init_garbage, 1, n, result, err);
}

bool phase_flood_reconnect(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_phase(b, flood_init_connections, 1, n, result, err);
}

static bool has_source(struct bench *b, void *source)
{
    return packet_source_find(b, LANE_SLICE, b->network, source);
}

static bool flood_packets(struct bench *b, bool metered, uint64_t n, cJSON *result, struct err *err)
{
    struct flood f;
    struct target at;
    struct packet_source source, sources[N_LANES];
    if (!find_flooder(b, 1, &at, err) || !packet_sources_prepare(b, sources, err)) {    /* Tenant 0's are to be told from tenant 1's. */
        return false;
    }
    tenant_miss(flooder(b, 1));
    if (!bench_wait(b, has_source, &source, WAIT_NS, false)) {
        return err_set(err, ERR_TIMEOUT, NULL, "no frame of tenant 1's machine becomes a packet-in");
    }
    if (metered && !source.packet.meter_id) {
        return err_set(err, ERR_FAILED, NULL, "controllerd has given packet-ins no meter");
    }
    source.packet.meter_id = metered ? source.packet.meter_id : 0;
    flood_init_packet_ins(&f, &source);
    const uint64_t passed = source.sw->n_packet_ins;
    bool ok = measure(b, &f, n, result, err);
    json_add_u64(result, "passed", source.sw->n_packet_ins - passed);
    flood_fini(&f);
    return ok;
}

bool phase_flood_packet_ins(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_packets(b, true, n, result, err);
}

bool phase_flood_unmetered(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    return flood_packets(b, false, n, result, err);
}
