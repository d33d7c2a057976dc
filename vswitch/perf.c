#include "vswitch/perf.h"

#include <stddef.h>

const char *const perf_stage_names[PERF_N_STAGES] = {
    [PERF_RX] = "rx", [PERF_PARSE] = "parse", [PERF_CACHE] = "cache", [PERF_WALK] = "walk", [PERF_ACTIONS] = "actions", [PERF_TX] = "tx",
};
const char *const perf_event_names[PERF_N_EVENTS] = {
    [PERF_CACHE_HIT] = "hits", [PERF_CACHE_MISS] = "misses", [PERF_CACHE_STALE] = "stale", [PERF_CACHE_INSERT] = "inserts", [PERF_CACHE_EVICT] = "evictions",
    [PERF_UNCACHED] = "uncached",
};
const uint8_t perf_size_least[PERF_N_SIZES] = { 1, 2, 3, 5, 9, 17, 33 };

void perf_read(const struct perf *p, const struct perf_counts *base, struct perf_counts *out)
{
    const uint64_t *from = &p->counts.batches, *less = base ? &base->batches : NULL;
    uint64_t *to = &out->batches;
    _Static_assert(offsetof(struct perf_counts, batches) == 0 && sizeof *out % sizeof *to == 0, "an array of uint64_t");
    for (size_t i = 0; i < sizeof *out / sizeof *to; i++) {
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED) - (less ? less[i] : 0);
    }
}
