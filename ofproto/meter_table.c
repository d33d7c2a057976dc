#include "ofproto/meter_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FAILED(CODE) OF_ERROR(OFPET_METER_MOD_FAILED, CODE)
#define NS_PER_S UINT64_C(1000000000)
#define N_DROP_PRECEDENCES 3    /* RFC 2597: what a dscp-remark band can tell apart. */

struct meter_table {
    struct hmap meters;
    unsigned max_meters;
    struct clock clock;
    const struct meter_ops *ops;
    void *aux;
    bool staging;               /* meter_table_begin() */
    struct meter_change *log;   /* While staging, in order. */
    size_t n_log, log_room;
};

enum change_kind { CHANGE_ADD, CHANGE_MODIFY, CHANGE_DELETE };
struct meter_change { enum change_kind kind; struct meter *meter; struct of_meter_mod config; /* MODIFY: what it is to be. */ };

static uint32_t id_hash(uint32_t id)
{
    return (uint32_t) hash_mix64(id);
}

struct meter_table *meter_table_new(unsigned max_meters, struct clock clock, const struct meter_ops *ops, void *aux)
{
    struct meter_table *mt = XNEW(struct meter_table);
    hmap_init(&mt->meters);
    mt->max_meters = max_meters;
    mt->clock = clock;
    mt->ops = ops;
    mt->aux = aux;
    return mt;
}

static struct meter_change *log_change(struct meter_table *mt, enum change_kind kind, struct meter *m)
{
    if (mt->n_log == mt->log_room) {
        mt->log_room = mt->log_room ? 2 * mt->log_room : 16;
        mt->log = xrealloc(mt->log, mt->log_room * sizeof *mt->log);
    }
    struct meter_change *c = &mt->log[mt->n_log++];
    *c = (struct meter_change) { .kind = kind, .meter = m };
    return c;
}

/* It is in the table no more. */
static void destroy_meter(struct meter_table *mt, struct meter *m)
{
    mt->ops->remove(m, mt->aux);
    free(m->bands);
    free(m);
}

static void remove_meter(struct meter_table *mt, struct meter *m)
{
    hmap_remove(&mt->meters, &m->node);
    if (mt->staging) {
        log_change(mt, CHANGE_DELETE, m);
    } else {
        destroy_meter(mt, m);
    }
}

static void remove_all(struct meter_table *mt)
{
    struct meter *m;
    HMAP_FOR_EACH (m, node, &mt->meters) {
        remove_meter(mt, m);
    }
}

void meter_table_free(struct meter_table *mt)
{
    if (mt) {
        remove_all(mt);
        hmap_fini(&mt->meters);
        free(mt);
    }
}

void meter_table_limit(struct meter_table *mt, unsigned max_meters)
{
    mt->max_meters = max_meters;
}

struct meter *meter_table_find(struct meter_table *mt, uint32_t id)
{
    struct meter *m;
    HMAP_FOR_EACH_WITH_HASH (m, node, id_hash(id), &mt->meters) {
        if (m->id == id) {
            return m;
        }
    }
    return NULL;
}

void meter_table_each(struct meter_table *mt, void (*fn)(struct meter *, void *aux), void *aux)
{
    struct meter *m;
    HMAP_FOR_EACH (m, node, &mt->meters) {
        fn(m, aux);
    }
}

/* --- Meter-mods --- */

static struct of_error check(const struct of_meter_mod *mm)
{
    if ((mm->flags & (OFPMF_KBPS | OFPMF_PKTPS)) == (OFPMF_KBPS | OFPMF_PKTPS)) {
        return FAILED(OFPMMFC_BAD_FLAGS);       /* The rates are one or the other. */
    }
    if (mm->n_bands > METER_MAX_BANDS) {
        return FAILED(OFPMMFC_OUT_OF_BANDS);
    }
    for (unsigned i = 0; i < mm->n_bands; i++) {
        if (!mm->bands[i].rate) {
            return FAILED(OFPMMFC_BAD_RATE);    /* Nothing is measured against no rate. */
        }
    }
    return OF_OK;
}

/* Swaps the configurations, so that the message frees the former one, or takes its own back. */
static void swap_config(struct meter *m, struct of_meter_mod *mm)
{
    struct meter old = *m;
    m->flags = mm->flags;
    m->bands = mm->bands;
    m->n_bands = mm->n_bands;
    mm->flags = old.flags;
    mm->bands = old.bands;
    mm->n_bands = old.n_bands;
}

static struct of_error add(struct meter_table *mt, struct of_meter_mod *mm)
{
    if (meter_table_find(mt, mm->meter_id)) {
        return FAILED(OFPMMFC_METER_EXISTS);
    }
    if (mt->meters.n >= mt->max_meters) {
        return FAILED(OFPMMFC_OUT_OF_METERS);
    }
    struct of_error error = check(mm);
    if (!of_ok(error)) {
        return error;
    }
    struct meter *m = XNEW(struct meter);
    m->id = mm->meter_id;
    m->created_ns = clock_now_ns(&mt->clock);
    swap_config(m, mm);
    error = mt->ops->insert(m, mt->aux);
    if (!of_ok(error)) {
        swap_config(m, mm);
        free(m);
        return error;
    }
    hmap_insert(&mt->meters, &m->node, id_hash(m->id));
    if (mt->staging) {
        log_change(mt, CHANGE_ADD, m);
    }
    return OF_OK;
}

static struct of_error modify(struct meter_table *mt, struct of_meter_mod *mm)
{
    struct meter *m = meter_table_find(mt, mm->meter_id);
    if (!m) {
        return FAILED(OFPMMFC_UNKNOWN_METER);
    }
    struct of_error error = check(mm);
    if (!of_ok(error)) {
        return error;
    }
    if (mt->staging) {
        log_change(mt, CHANGE_MODIFY, m)->config = *mm;
        mm->bands = NULL;
        mm->n_bands = 0;
        return OF_OK;
    }
    swap_config(m, mm);
    error = mt->ops->modify(m, mt->aux);
    if (!of_ok(error)) {
        swap_config(m, mm);
    }
    return error;
}

struct of_error meter_table_mod(struct meter_table *mt, struct of_meter_mod *mm)
{
    if (mm->command == OFPMC_DELETE && mm->meter_id == OFPM_ALL) {
        remove_all(mt);
        return OF_OK;
    }
    /* "Flow meters can use any number up to OFPM_MAX"; the virtual meters above it are optional, and not here. */
    if (!mm->meter_id || mm->meter_id > OFPM_MAX) {
        return FAILED(OFPMMFC_INVALID_METER);
    }
    struct meter *m;
    switch (mm->command) {
    case OFPMC_ADD:
        return add(mt, mm);
    case OFPMC_MODIFY:
        return modify(mt, mm);
    case OFPMC_DELETE:
        m = meter_table_find(mt, mm->meter_id);
        if (m) {                        /* As with groups, there is no error when there is none. */
            remove_meter(mt, m);
        }
        return OF_OK;
    }
    return FAILED(OFPMMFC_BAD_COMMAND);
}

/* --- Bundles --- */

static void end_staging(struct meter_table *mt)
{
    free(mt->log);
    mt->log = NULL;
    mt->n_log = mt->log_room = 0;
    mt->staging = false;
}

void meter_table_begin(struct meter_table *mt)
{
    assert(!mt->staging);
    mt->staging = true;
}

void meter_table_commit(struct meter_table *mt)
{
    for (size_t i = 0; i < mt->n_log; i++) {
        struct meter_change *c = &mt->log[i];
        if (c->kind == CHANGE_MODIFY) {
            swap_config(c->meter, &c->config);
            struct of_error error = mt->ops->modify(c->meter, mt->aux);
            assert(of_ok(error));
            (void) error;
            free(c->config.bands);
        } else if (c->kind == CHANGE_DELETE) {
            destroy_meter(mt, c->meter);
        }
    }
    end_staging(mt);
}

void meter_table_abort(struct meter_table *mt)
{
    for (size_t i = mt->n_log; i--; ) {
        struct meter_change *c = &mt->log[i];
        switch (c->kind) {
        case CHANGE_ADD:
            hmap_remove(&mt->meters, &c->meter->node);
            destroy_meter(mt, c->meter);
            break;
        case CHANGE_MODIFY:
            free(c->config.bands);
            break;
        case CHANGE_DELETE:
            hmap_insert(&mt->meters, &c->meter->node, id_hash(c->meter->id));
            break;
        }
    }
    end_staging(mt);
}

/* --- Questions --- */

void meter_table_features(const struct meter_table *mt, struct of_meter_features *mf)
{
    *mf = (struct of_meter_features) {
        .max_meter = mt->max_meters, .band_types = 1u << OFPMBT_DROP | 1u << OFPMBT_DSCP_REMARK,
        .capabilities = OFPMF_KBPS | OFPMF_PKTPS | OFPMF_BURST | OFPMF_STATS, .max_bands = METER_MAX_BANDS, .max_color = N_DROP_PRECEDENCES,
    };
}

void meter_table_stats(const struct meter_table *mt, const struct meter *m, struct of_meter_stats *ms)
{
    uint64_t age_ns = clock_now_ns(&mt->clock) - m->created_ns;
    *ms = (struct of_meter_stats) {
        .meter_id = m->id, .duration_sec = (uint32_t) (age_ns / NS_PER_S), .duration_nsec = (uint32_t) (age_ns % NS_PER_S), .n_bands = m->n_bands,
        .bands = xcalloc(m->n_bands ? m->n_bands : 1, sizeof *ms->bands),
    };
    mt->ops->counters(m, ms, mt->aux);
}

void meter_config(const struct meter *m, struct of_meter_mod *mm)
{
    *mm = (struct of_meter_mod) {
        .command = OFPMC_ADD, .flags = m->flags, .meter_id = m->id, .n_bands = m->n_bands,
        .bands = xcalloc(m->n_bands ? m->n_bands : 1, sizeof *mm->bands),
    };
    for (unsigned i = 0; i < m->n_bands; i++) {
        mm->bands[i] = m->bands[i];
    }
}
