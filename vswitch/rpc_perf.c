/* "perf": what the poll-mode threads spend their time on (perf.h), since the start or the latest reset. */
#include <rte_cycles.h>

#include "vswitch/perf.h"
#include "vswitch/rpc.h"
#include "vswitch/vswitch.h"

static void add_sizes(cJSON *thread, const struct perf_counts *counts)
{
    cJSON *array = json_add_array(thread, "batch_sizes");
    for (unsigned i = 0; i < PERF_N_SIZES; i++) {
        cJSON *o = json_append_object(array);
        json_add_u64(o, "from", perf_size_least[i]);
        json_add_u64(o, "to", i + 1 < PERF_N_SIZES ? perf_size_least[i + 1] - 1u : DP_BATCH);
        json_add_u64(o, "batches", counts->sizes[i]);
    }
}

static void add_stages(cJSON *thread, const struct perf_counts *counts)
{
    cJSON *array = json_add_array(thread, "stages");
    for (unsigned i = 0; i < PERF_N_STAGES; i++) {
        cJSON *o = json_append_object(array);
        json_add_string(o, "stage", perf_stage_names[i]);
        json_add_u64(o, "packets", counts->stages[i].packets);
        json_add_u64(o, "cycles", counts->stages[i].cycles);
    }
}

static void add_thread(cJSON *thread, const struct poll_thread *t)
{
    struct perf_counts counts;
    struct poll_counters load;
    uint64_t per_us = rte_get_tsc_hz() / 1000000;
    perf_read(t->perf, &t->base_counts, &counts);
    poll_count(t, &load);
    json_add_u64(thread, "thread", t->index + 1);
    json_add_u64(thread, "cpu", t->cpu);
    json_add_u64(thread, "packets", counts.packets);
    json_add_u64(thread, "batches", counts.batches);
    json_add_u64(thread, "iterations", load.iterations);
    json_add_u64(thread, "sleeps", load.sleeps);
    json_add_u64(thread, "busy_us", load.busy_tsc / per_us);
    json_add_u64(thread, "idle_us", load.idle_tsc / per_us);
    json_add_u64(thread, "asleep_us", load.sleep_tsc / per_us);
    add_sizes(thread, &counts);
    add_stages(thread, &counts);
    cJSON *cache = json_add_object(thread, "cache");
    for (unsigned i = 0; i < PERF_N_EVENTS; i++) {
        json_add_u64(cache, perf_event_names[i], counts.events[i]);
    }
}

cJSON *rpc_perf(struct vswitch *vs, struct json_reader *p)
{
    bool reset = json_bool(p, "reset", false);
    if (!json_end(p)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_u64(o, "tsc_hz", rte_get_tsc_hz());
    json_add_u64(o, "timed_every", PERF_EVERY);
    cJSON *threads = json_add_array(o, "poll_threads");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        add_thread(json_append_object(threads), vs->poll.threads[i]);
        if (reset) {
            poll_count_reset(vs->poll.threads[i]);
        }
    }
    return o;
}
