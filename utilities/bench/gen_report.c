#include "utilities/bench/gen.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

static double ns(uint64_t cycles)
{
    return (double) cycles * 1e9 / (double) rte_get_tsc_hz();
}

static bool report_flows(const struct gen *g, struct err *err)
{
    const char *path = g->options.per_flow_path;
    FILE *file = fopen(path, "we");
    if (!file) {
        return err_set(err, ERR_FAILED, "--per-flow", "cannot write %s: %s", path, strerror(errno));
    }
    fputs("flow,weight,received,mean_latency_ns\n", file);
    for (size_t i = 0; i < g->flows.n; i++) {
        const struct gen_flow_count *c = &g->per_flow[i];
        fprintf(file, "%zu,%" PRIu32 ",%" PRIu64 ",%.0f\n", i, g->flows.weight[i], c->received,
                c->received ? ns(c->latency) / (double) c->received : 0.0);
    }
    bool failed = ferror(file);
    if (fclose(file) || failed) {
        return err_set(err, ERR_FAILED, "--per-flow", "cannot write %s: %s", path, strerror(errno));
    }
    return true;
}

static int by_count(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return x < y ? -1 : x > y;
}

/* Rate of the window that so large a share of the windows does not exceed. The windows are sorted. */
static double window_pps(const struct gen *g, double share)
{
    return g->n_windows ? g->windows[(size_t) (share * (double) (g->n_windows - 1))] / GEN_WINDOW_S : 0.0;
}

static int by_latency(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* The median over the parts in which frames came back. */
static double part_ns(const struct gen *g, double share)
{
    uint64_t *values = xcalloc(g->n_parts, sizeof values[0]);
    size_t n = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        if (g->parts[i].n) {
            values[n++] = latency_quantile(&g->parts[i], share);
        }
    }
    qsort(values, n, sizeof values[0], by_latency);
    double median = n ? ns(values[n / 2]) : 0;
    free(values);
    return median;
}

bool gen_report(const struct gen *g, struct err *err)
{
    const struct gen_counts *c = &g->counts;
    const struct latency *l = &g->latency;
    printf("{\"seconds\":%.6f,\"flows\":%zu,\"size\":%u,\"offered_pps\":%.0f", g->measured_s, g->flows.n, g->options.size, g->options.rate);
    printf(",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRId64, c->sent, c->received, g->lost);
    printf(",\"sent_pps\":%.0f,\"received_pps\":%.0f", (double) c->sent / g->measured_s, (double) c->received / g->measured_s);
    printf(",\"received_bps\":%.0f", (double) c->bytes * 8 / g->measured_s);
    qsort(g->windows, g->n_windows, sizeof g->windows[0], by_count);
    printf(",\"window_p50_pps\":%.0f,\"window_p90_pps\":%.0f", window_pps(g, 0.5), window_pps(g, 0.9));
    printf(",\"checked\":%" PRIu64 ",\"damaged\":%" PRIu64 ",\"reordered\":%" PRIu64, c->checked, c->damaged, c->reordered);
    const uint64_t *perf = g->perf.value;
    printf(",\"cpu_ns\":%" PRIu64 ",\"cycles\":%" PRIu64 ",\"instructions\":%" PRIu64, perf[GEN_PERF_CPU_NS], perf[GEN_PERF_CYCLES], perf[GEN_PERF_INSTRUCTIONS]);
    printf(",\"tsc_hz\":%" PRIu64, rte_get_tsc_hz());
    printf(",\"latency_ns\":{\"samples\":%" PRIu64 ",\"mean\":%.0f,\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"p999\":%.0f,\"max\":%.0f",
           l->n, l->n ? ns(l->sum) / (double) l->n : 0.0, ns(latency_quantile(l, 0.5)), ns(latency_quantile(l, 0.9)), ns(latency_quantile(l, 0.99)),
           ns(latency_quantile(l, 0.999)), ns(l->max));
    printf(",\"part_p50\":%.0f,\"part_p99\":%.0f,\"part_p999\":%.0f}}\n", part_ns(g, 0.5), part_ns(g, 0.99), part_ns(g, 0.999));
    return !g->per_flow || report_flows(g, err);
}
