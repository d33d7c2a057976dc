/* A thread's picture of the latest notes against the notes themselves: whoever it calls untouched is right still, and in quiet times it calls nearly all so. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit.h"
#include "vswitch/cache_recent.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"

unit_suite_fn cache_recent_test_suite;

enum { N_ENTRIES = 200, N_IDS = 6, ID_SPACE = 3000, VALUES = 200, N_TURNS = 20000 };

struct rig {
    struct fixture fx;
    struct rng rng;
    struct cache_recent recent;
    uint64_t serial;
    size_t size;
    uint8_t *entries;
    unsigned n_asked, n_untouched, n_right;     /* Of entries that were not of the newest generation. */
};

static const struct cache_plan *plan_of(struct rig *r)
{
    return atomic_load(&r->fx.dp->plan);
}

static struct cache_entry *entry(struct rig *r, unsigned i)
{
    return (struct cache_entry *) (void *) (r->entries + i * r->size);
}

/* As if a walk had just been recorded. */
static void record(struct rig *r, struct cache_entry *e, uint32_t gen)
{
    const struct cache_plan *plan = plan_of(r);
    struct buf frame = BUF_INIT;
    struct cache_key key;
    uint64_t hash;
    char text[100];
    snprintf(text, sizeof text, "dl_dst=02:00:00:00:00:%02x,ip,nw_dst=10.9.9.%u", rng_below(&r->rng, VALUES), rng_below(&r->rng, VALUES));
    fixture_compose(text, &frame);
    struct packet p = { .data = frame.data, .len = (uint32_t) frame.size }, *packet = &p;
    cache_keys(plan, &packet, 1, 1, &key, &hash);
    memcpy(e->key, key.w, plan->n_key * sizeof key.w[0]);
    e->in_port = 1;
    e->gen = gen;
    e->n_rules = e->n_ids = (uint8_t) MIN(plan->n_ids, 1 + rng_below(&r->rng, N_IDS));
    e->visited = rng_below(&r->rng, 4);
    for (unsigned i = 0; i < e->n_ids; i++) {
        cache_ids(plan, e)[i] = rng_below(&r->rng, ID_SPACE);
    }
    buf_fini(&frame);
}

static void begin_anew(struct rig *r)
{
    const struct cache_plan *plan = plan_of(r);
    free(r->entries);
    r->serial = plan->serial;
    r->size = plan->stride;
    r->entries = xcalloc(N_ENTRIES, r->size);
    memset(&r->recent, 0, sizeof r->recent);
    for (unsigned i = 0; i < N_ENTRIES; i++) {
        record(r, entry(r, i), atomic_load(&plan->gen));
    }
}

/* Some entries are met, as by cache_run(). */
static void meet(struct rig *r, unsigned n)
{
    const struct cache_plan *plan = plan_of(r);
    uint32_t gen = atomic_load(&plan->gen);
    if (plan->serial != r->serial) {
        begin_anew(r);
    }
    cache_recent_catch_up(&r->recent, plan, gen, r->fx.now_ns);
    for (; n; n--) {
        struct cache_entry *e = entry(r, rng_below(&r->rng, N_ENTRIES));
        if (e->gen == gen) {
            continue;
        }
        bool untouched = cache_untouched(&r->recent, plan, e), right = cache_still_right(plan, e, gen);
        CU_ASSERT_TRUE(right || !untouched);
        r->n_asked++;
        r->n_right += right;
        r->n_untouched += untouched;
        if (!right) {
            record(r, e, gen);
        }
    }
}

static void change(struct rig *r)
{
    struct dp *dp = r->fx.dp;
    char text[100];
    unsigned kind = rng_below(&r->rng, 100), x = rng_below(&r->rng, VALUES);
    if (kind < 50) {
        cache_note_id(dp, rng_below(&r->rng, ID_SPACE));
    } else if (kind < 97) {
        const unsigned match = rng_below(&r->rng, 4);
        if (match < 2) {
            snprintf(text, sizeof text, "table=1,priority=9,ip,nw_dst=10.9.9.%u", x);
        } else if (match == 2) {
            snprintf(text, sizeof text, "priority=9,dl_dst=02:00:00:00:00:%02x", x);
        } else {
            snprintf(text, sizeof text, "priority=9,in_port=%u,dl_dst=02:00:00:00:00:%02x", 1 + rng_below(&r->rng, 2), x);
        }
        fixture_flow(&r->fx, OFPFC_DELETE_STRICT, 0, text, NULL);
        strcat(text, ",actions=drop");
        fixture_add(&r->fx, text);
    } else if (kind < 99 && plan_of(r)->serial == r->serial) {             /* Noted, and met before it is published. */
        struct cache_plan *plan = dp->cache->plan;
        const uint32_t id = cache_ids(plan, entry(r, rng_below(&r->rng, N_ENTRIES)))[0], next = atomic_load(&plan->gen) + 2;
        atomic_store(&plan->ids[id % CACHE_ID_SLOTS], next);
        cache_log_id(plan, next, id);
        if (rng_below(&r->rng, 2)) {    /* As full as can be: it has to begin with nothing just now. */
            r->recent.n_notes = CACHE_RECENT_NOTES;
        }
        meet(r, N_ENTRIES);
        atomic_store(&plan->gen, next);
    } else {
        cache_bundle_begin(dp);
        for (unsigned n = rng_below(&r->rng, 10); n; n--) {
            cache_note_id(dp, rng_below(&r->rng, ID_SPACE));
        }
        cache_bundle_end(dp);
    }
}

static struct rig *rig_new(unsigned seed)
{
    struct rig *r = XNEW(struct rig);
    rng_seed(&r->rng, seed);
    fixture_init(&r->fx);
    fixture_add(&r->fx, "priority=5,dl_dst=02:00:00:00:00:01,actions=goto_table:1");
    fixture_add(&r->fx, "table=1,priority=5,ip,nw_dst=10.0.0.1,actions=drop");
    begin_anew(r);
    return r;
}

static void rig_free(struct rig *r)
{
    free(r->entries);
    fixture_fini(&r->fx);
    free(r);
}

/* Entries are met some ten changes later. */
static void test_random(void)
{
    struct rig *r = rig_new(1);
    for (unsigned turn = 0; turn < N_TURNS; turn++) {
        change(r);
        meet(r, 20);
        r->fx.now_ns += rng_below(&r->rng, 1000) ? 1000000 : 2 * CACHE_RECENT_IDLE_NS;
        if (turn % 1000 == 0) {
            cache_note_all(r->fx.dp);
        }
        if (turn % 3000 == 0) {         /* More than the log has. */
            for (unsigned i = 0; i < CACHE_LOG + 5; i++) {
                cache_note_id(r->fx.dp, rng_below(&r->rng, ID_SPACE));
            }
        }
    }
    CU_ASSERT_TRUE(r->n_asked > 100000);
    CU_ASSERT_TRUE(r->n_right > r->n_asked / 2);
    CU_ASSERT_TRUE(r->n_untouched > r->n_right / 20 * 19);
    rig_free(r);
}

/* When nothing changes any more, every entry becomes of the newest generation, and nobody asks. */
static void test_quiet(void)
{
    struct rig *r = rig_new(2);
    for (unsigned turn = 0; turn < 100; turn++) {
        change(r);
    }
    meet(r, 1);
    CU_ASSERT_TRUE(r->recent.n_notes > 0);
    r->fx.now_ns += CACHE_RECENT_IDLE_NS;
    meet(r, 1);
    CU_ASSERT_EQUAL(r->recent.n_notes, 0);
    meet(r, 100 * N_ENTRIES);
    const unsigned asked = r->n_asked;
    meet(r, 100 * N_ENTRIES);
    CU_ASSERT_EQUAL(r->n_asked, asked);
    rig_free(r);
}

void cache_recent_test_suite(void)
{
    UNIT_SUITE("cache recent", { "against the notes", test_random }, { "when all is quiet", test_quiet });
}
