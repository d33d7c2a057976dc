/* Meter-mods and their errors; the owner's view of each change. */
#include "ofproto/meter_table.h"
#include <string.h>
#include "tests/unit.h"

unit_suite_fn meter_table_test_suite;

struct owner { unsigned n_inserts, n_modifies, n_removes; bool refuse; uint64_t now_ns; };

static struct of_error on_insert(struct meter *m, void *o_)
{
    struct owner *o = o_;
    CU_ASSERT_EQUAL(m->aux, NULL);
    o->n_inserts += !o->refuse;
    return o->refuse ? OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN) : OF_OK;
}

static struct of_error on_modify(struct meter *m UNUSED, void *o_)
{
    struct owner *o = o_;
    o->n_modifies += !o->refuse;
    return o->refuse ? OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_UNKNOWN) : OF_OK;
}

static void on_remove(struct meter *m UNUSED, void *o)
{
    ((struct owner *) o)->n_removes++;
}

static void on_counters(const struct meter *m, struct of_meter_stats *ms, void *o UNUSED)
{
    ms->packet_in_count = m->id;
    ms->bands[0].packet_count = 7;
}

static uint64_t now(void *o)
{
    return ((struct owner *) o)->now_ns;
}

static const struct meter_ops ops = { on_insert, on_modify, on_remove, on_counters };

static struct meter_table *table_new(struct owner *o, unsigned max)
{
    *o = (struct owner) { .now_ns = 5 };
    return meter_table_new(max, (struct clock) { now, o }, &ops, o);
}

/* `n` drop bands of that rate.  The code, or -1. */
static int mod(struct meter_table *mt, enum of_meter_command command, uint32_t id, uint16_t flags, uint32_t rate, unsigned n)
{
    struct of_meter_mod mm = { .command = command, .flags = flags, .meter_id = id, .n_bands = n, .bands = n ? xcalloc(n, sizeof *mm.bands) : NULL };
    for (unsigned i = 0; i < n; i++) {
        mm.bands[i] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = rate };
    }
    struct of_error error = meter_table_mod(mt, &mm);
    free(mm.bands);
    CU_ASSERT_TRUE(of_ok(error) || error.type == OFPET_METER_MOD_FAILED);
    return of_ok(error) ? -1 : error.code;
}

static void test_errors(void)
{
    struct owner o;
    struct meter_table *mt = table_new(&o, 2);
    static const struct { enum of_meter_command command; uint32_t id; uint16_t flags; uint32_t rate; unsigned n; int code; } rows[] = {
        { OFPMC_ADD, 0, 0, 1, 1, OFPMMFC_INVALID_METER }, { OFPMC_ADD, OFPM_MAX + 1, 0, 1, 1, OFPMMFC_INVALID_METER },
        { OFPMC_ADD, OFPM_ALL, 0, 1, 1, OFPMMFC_INVALID_METER }, { OFPMC_MODIFY, OFPM_ALL, 0, 1, 1, OFPMMFC_INVALID_METER },
        { OFPMC_MODIFY, 1, 0, 1, 1, OFPMMFC_UNKNOWN_METER }, { OFPMC_ADD, 1, OFPMF_KBPS | OFPMF_PKTPS, 1, 1, OFPMMFC_BAD_FLAGS },
        { OFPMC_ADD, 1, 0, 0, 1, OFPMMFC_BAD_RATE }, { OFPMC_ADD, 1, 0, 1, METER_MAX_BANDS + 1, OFPMMFC_OUT_OF_BANDS },
        { OFPMC_ADD, 1, 0, 1, METER_MAX_BANDS, -1 }, { OFPMC_ADD, 1, 0, 1, 1, OFPMMFC_METER_EXISTS },
        { OFPMC_MODIFY, 1, 0, 0, 1, OFPMMFC_BAD_RATE }, { OFPMC_ADD, OFPM_MAX, 0, 1, 1, -1 }, { OFPMC_ADD, 3, 0, 1, 1, OFPMMFC_OUT_OF_METERS },
        { OFPMC_DELETE, 7, 0, 0, 0, -1 }, { OFPMC_DELETE, 0, 0, 0, 0, OFPMMFC_INVALID_METER }, { (enum of_meter_command) 9, 1, 0, 1, 1, OFPMMFC_BAD_COMMAND },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CU_ASSERT_EQUAL(mod(mt, rows[i].command, rows[i].id, rows[i].flags, rows[i].rate, rows[i].n), rows[i].code);
    }
    CU_ASSERT_TRUE(o.n_inserts == 2 && !o.n_modifies && !o.n_removes);
    CU_ASSERT_EQUAL(meter_table_find(mt, 1)->n_bands, METER_MAX_BANDS);
    meter_table_limit(mt, 3);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_ADD, 3, 0, 1, 1), -1);
    meter_table_free(mt);
    CU_ASSERT_EQUAL(o.n_removes, 3);
}

static void count(struct meter *m UNUSED, void *n)
{
    ++*(unsigned *) n;
}

static void test_changes(void)
{
    struct owner o;
    struct meter_table *mt = table_new(&o, 10);
    unsigned n = 0;
    CU_ASSERT_EQUAL(mod(mt, OFPMC_ADD, 4, OFPMF_PKTPS, 100, 1), -1);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_ADD, 5, 0, 100, 1), -1);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_MODIFY, 4, OFPMF_STATS, 200, 2), -1);
    struct of_meter_mod config;
    meter_config(meter_table_find(mt, 4), &config);
    CU_ASSERT_TRUE(config.meter_id == 4 && config.flags == OFPMF_STATS && config.n_bands == 2 && config.bands[1].rate == 200);
    free(config.bands);
    /* The owner's refusal changes nothing. */
    o.refuse = true;
    CU_ASSERT_EQUAL(mod(mt, OFPMC_MODIFY, 4, 0, 300, 1), OFPMMFC_UNKNOWN);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_ADD, 6, 0, 300, 1), OFPMMFC_UNKNOWN);
    CU_ASSERT_TRUE(meter_table_find(mt, 4)->n_bands == 2 && !meter_table_find(mt, 6));
    o.now_ns += UINT64_C(2000000003);
    struct of_meter_stats ms;
    meter_table_stats(mt, meter_table_find(mt, 5), &ms);
    CU_ASSERT_TRUE(ms.meter_id == 5 && ms.packet_in_count == 5 && ms.n_bands == 1 && ms.bands[0].packet_count == 7);
    CU_ASSERT_TRUE(ms.duration_sec == 2 && ms.duration_nsec == 3);
    free(ms.bands);
    struct of_meter_features mf;
    meter_table_features(mt, &mf);
    CU_ASSERT_TRUE(mf.max_meter == 10 && mf.band_types == 6 && mf.capabilities == 15 && mf.max_bands == METER_MAX_BANDS);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_DELETE, 4, 0, 0, 0), -1);
    meter_table_each(mt, count, &n);
    CU_ASSERT_TRUE(n == 1 && o.n_removes == 1);
    CU_ASSERT_EQUAL(mod(mt, OFPMC_DELETE, OFPM_ALL, 0, 0, 0), -1);
    CU_ASSERT_TRUE(!meter_table_find(mt, 5) && o.n_removes == 2);
    meter_table_free(mt);
}

enum { N_IDS = 6, MAX_METERS = 4 };

/* The twin: rates by number, 0 for none. */
static int naive_mod(uint32_t *rates, enum of_meter_command command, uint32_t id, uint32_t rate)
{
    unsigned n = 0;
    for (unsigned i = 1; i <= N_IDS; i++) {
        n += rates[i] != 0;
    }
    switch (command) {
    case OFPMC_ADD:
        if (rates[id] || n >= MAX_METERS) {
            return rates[id] ? OFPMMFC_METER_EXISTS : OFPMMFC_OUT_OF_METERS;
        }
        rates[id] = rate;
        return -1;
    case OFPMC_MODIFY:
        if (!rates[id]) {
            return OFPMMFC_UNKNOWN_METER;
        }
        rates[id] = rate;
        return -1;
    case OFPMC_DELETE:
        rates[id] = 0;
        return -1;
    }
    return 0;
}

static void compare(struct meter_table *mt, const uint32_t *rates)
{
    for (uint32_t id = 1; id <= N_IDS; id++) {
        const struct meter *m = meter_table_find(mt, id);
        CU_ASSERT_EQUAL(m ? m->bands[0].rate : 0, rates[id]);
    }
}

/* Bundles of random changes, committed or taken back; the owner hears of modified and deleted ones at the commit only. */
static void test_bundles(void)
{
    struct owner o;
    struct rng r;
    struct meter_table *mt = table_new(&o, MAX_METERS);
    uint32_t now[N_IDS + 1] = { 0 }, next[N_IDS + 1];
    unsigned n_aborts = 0;
    rng_seed(&r, unit_seed());
    for (unsigned round = 0; round < 5000; round++) {
        struct owner before = o;
        bool commit = rng_below(&r, 2);
        memcpy(next, now, sizeof now);
        meter_table_begin(mt);
        for (unsigned n = rng_below(&r, 8); n; n--) {
            enum of_meter_command command = (enum of_meter_command) rng_below(&r, 3);
            uint32_t id = 1 + rng_below(&r, N_IDS), rate = 1 + rng_below(&r, 1000);
            CU_ASSERT_EQUAL(mod(mt, command, id, 0, rate, command != OFPMC_DELETE), naive_mod(next, command, id, rate));
        }
        CU_ASSERT_TRUE(o.n_modifies == before.n_modifies && o.n_removes == before.n_removes);
        if (commit) {
            meter_table_commit(mt);
            memcpy(now, next, sizeof now);
        } else {
            meter_table_abort(mt);
            CU_ASSERT_TRUE(o.n_modifies == before.n_modifies && o.n_removes - before.n_removes == o.n_inserts - before.n_inserts);
            n_aborts++;
        }
        compare(mt, now);
    }
    CU_ASSERT_TRUE(n_aborts > 1000 && o.n_modifies > 1000 && o.n_removes > 1000);
    meter_table_free(mt);
    CU_ASSERT_EQUAL(o.n_inserts, o.n_removes);
}

void meter_table_test_suite(void)
{
    UNIT_SUITE("meter_table", { "errors", test_errors }, { "changes", test_changes }, { "bundles against a twin", test_bundles });
}
