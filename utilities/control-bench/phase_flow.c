/* Phases about flow-mods: how long one takes, and how many a second. */
#include "utilities/control-bench/control_sim.h"

#include <stdlib.h>
#include <event2/event.h>

#include "lib/json.h"
#include "utilities/control-bench/phase.h"

enum {
    BATCH = 64,                 /* Flow-mods in front of each barrier. */
    WINDOW = 64,                /* Barriers that may be open. */
    RATE_KEYS = 16384,          /* More than the window holds: no entry is changed twice on its way. */
};
#define SLICE_NS UINT64_C(250000000)            /* The lanes take turns of that length. */

/* --- Latency --- */

struct sample { enum lane lane; uint64_t changed; };

static bool has_arrived(struct bench *b, void *s_)
{
    const struct sample *s = s_;
    return !b->n_barriers[s->lane] && b->n_changed[s->lane] > s->changed;
}

bool sample_flow_mod(struct bench *b, enum lane lane, uint32_t key, struct latency *to_switch, struct latency *to_barrier, struct err *err)
{
    struct sample s = { lane, b->n_changed[lane] };
    const uint64_t begun = bench_now();
    tenant_add(b->conn[lane], key, 1);
    bench_barrier(b, lane);
    if (!bench_wait(b, has_arrived, &s, WAIT_NS, true)) {
        return bench_late(b, lane, "a flow-mod or its barrier", err);
    }
    latency_add(to_switch, b->changed_ns[lane] - begun);
    latency_add(to_barrier, b->barrier_ns - begun);
    tenant_delete(b->conn[lane], key);
    bench_barrier(b, lane);
    return bench_drain(b, lane, 0) || bench_late(b, lane, "a barrier", err);
}

bool phase_latency(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct { struct latency to_switch, to_barrier; } *l = xcalloc(N_LANES, sizeof *l);
    bool ok = bench_check_lanes(b, err);
    json_add_u64(result, "rules", flow_tables_count(b->direct->flows, OFPTT_ALL));
    for (uint64_t i = 0; ok && i < n; i++) {
        for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
            ok = !bench_has_lane(b, lane) || sample_flow_mod(b, lane, SAMPLE_KEY + (uint32_t) (i % 0x1000), &l[lane].to_switch, &l[lane].to_barrier, err);
        }
    }
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane)) {
            cJSON *o = json_add_object(result, lane_name(lane));
            phase_add_latency(o, "to_switch_us", &l[lane].to_switch);
            phase_add_latency(o, "to_barrier_us", &l[lane].to_barrier);
        }
    }
    free(l);
    return ok;
}

/* --- Throughput --- */

/* Sends one batch when the window has room; waits for room otherwise. */
static bool send_batch(struct bench *b, enum lane lane, uint32_t *key, uint32_t n_keys, unsigned n, uint32_t out_port, struct err *err)
{
    if (!bench_drain(b, lane, WINDOW - 1)) {
        return bench_late(b, lane, "a barrier", err);
    }
    for (unsigned i = 0; i < n; i++) {
        tenant_add(b->conn[lane], *key, out_port);
        *key = (*key + 1) % n_keys;
    }
    bench_barrier(b, lane);
    event_base_loop(b->base, EVLOOP_NONBLOCK);          /* What is written leaves, and answers are seen, after each batch. */
    return !b->lost || bench_late(b, lane, "", err);
}

bool phase_fill(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    bool ok = bench_check_lanes(b, err);
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (!bench_has_lane(b, lane)) {
            continue;
        }
        uint32_t key = 0;
        const uint64_t begun = bench_now(), before = b->n_changed[lane];
        while (ok && key < n) {
            ok = send_batch(b, lane, &key, UINT32_MAX, (unsigned) MIN((uint64_t) BATCH, n - key), 2, err);
        }
        ok = ok && (bench_drain(b, lane, 0) || bench_late(b, lane, "a barrier", err));
        if (ok) {
            cJSON *o = json_add_object(result, lane_name(lane));
            double seconds = (double) (bench_now() - begun) / 1e9;
            json_add_u64(o, "at_switches", b->n_changed[lane] - before);
            cJSON_AddNumberToObject(o, "seconds", seconds);
            cJSON_AddNumberToObject(o, "per_second", (double) n / seconds);
        }
    }
    return ok;
}

/* The lanes in turns: each turn sends for SLICE_NS, drains, and is counted at the switches. */
bool phase_rate(struct bench *b, uint64_t seconds, cJSON *result, struct err *err)
{
    struct phase_rate rate[N_LANES] = { 0 };
    struct { uint32_t key, out_port; } at[N_LANES] = { { 0, 1 }, { 0, 1 } };
    bool ok = bench_check_lanes(b, err);
    const uint64_t turns = MAX(1u, seconds * 1000000000 / SLICE_NS);
    for (uint64_t turn = 0; ok && turn < turns; turn++) {
        for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
            if (!bench_has_lane(b, lane)) {
                continue;
            }
            const uint64_t begun = bench_now(), before = b->n_changed[lane];
            while (ok && bench_now() - begun < SLICE_NS) {
                ok = send_batch(b, lane, &at[lane].key, RATE_KEYS, BATCH, at[lane].out_port, err);
                at[lane].out_port ^= at[lane].key ? 0 : 3;      /* Ports 1 and 2 by turns: each flow-mod changes the entry. */
            }
            ok = ok && (bench_drain(b, lane, 0) || bench_late(b, lane, "a barrier", err));
            phase_rate_add(&rate[lane], b->n_changed[lane] - before, bench_now() - begun);
        }
    }
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane)) {
            phase_rate_print(&rate[lane], json_add_object(result, lane_name(lane)));
        }
    }
    return ok;
}

bool phase_clear(struct bench *b, uint64_t n UNUSED, cJSON *result, struct err *err)
{
    bool ok = bench_check_lanes(b, err);
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane)) {
            const uint64_t begun = bench_now();
            tenant_delete_all(b->conn[lane]);
            bench_barrier(b, lane);
            ok = bench_drain(b, lane, 0) || bench_late(b, lane, "a barrier", err);
            cJSON_AddNumberToObject(json_add_object(result, lane_name(lane)), "seconds", (double) (bench_now() - begun) / 1e9);
        }
    }
    return ok;
}
