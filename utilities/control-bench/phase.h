/* How phases give their figures. */
#ifndef CONTROL_BENCH_PHASE_H
#define CONTROL_BENCH_PHASE_H 1

#include "lib/json.h"
#include "utilities/bench/latency.h"

#define SAMPLE_KEY 0xf00000u    /* Of entries that are added and deleted again; those of fill and rate are below. */

/* {"p50", "p99", "max", "mean"} of nanoseconds, in microseconds. */
static inline void phase_add_latency(cJSON *object, const char *key, const struct latency *l)
{
    cJSON *o = json_add_object(object, key);
    cJSON_AddNumberToObject(o, "p50", (double) latency_quantile(l, 0.5) / 1e3);
    cJSON_AddNumberToObject(o, "p99", (double) latency_quantile(l, 0.99) / 1e3);
    cJSON_AddNumberToObject(o, "max", (double) l->max / 1e3);
    cJSON_AddNumberToObject(o, "mean", l->n ? (double) l->sum / (double) l->n / 1e3 : 0);
}

/* A sum over the turns of one lane. */
struct phase_rate { uint64_t n, ns; double best; };

static inline void phase_rate_add(struct phase_rate *r, uint64_t n, uint64_t ns)
{
    double now = ns ? (double) n * 1e9 / (double) ns : 0;
    r->n += n;
    r->ns += ns;
    r->best = now > r->best ? now : r->best;
}

static inline void phase_rate_print(const struct phase_rate *r, cJSON *object)
{
    json_add_u64(object, "count", r->n);
    cJSON_AddNumberToObject(object, "seconds", (double) r->ns / 1e9);
    cJSON_AddNumberToObject(object, "per_second", r->ns ? (double) r->n * 1e9 / (double) r->ns : 0);
    cJSON_AddNumberToObject(object, "best_turn_per_second", r->best);
}

#endif
