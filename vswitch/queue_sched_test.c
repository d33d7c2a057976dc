/* The scheduler against what a fluid would do: each class's rate by water filling, for random weights, ceilings, loads and frame sizes. */
#include <math.h>
#include "tests/unit.h"
#include "lib/util.h"
#include "vswitch/queue_sched.h"

unit_suite_fn queue_sched_test_suite;

enum { MAX_CLASSES = 12 };
#define NS_PER_S UINT64_C(1000000000)

struct load {
    double weight, max_bps, offered_bps;        /* max_bps 0: no ceiling. */
    double ideal_bps;                           /* The fluid's. */
    uint64_t backlog, sent;                     /* Bytes. */
    uint32_t min_size, max_size;
    double arrived;
};

static double wants(const struct load *l)
{
    return l->max_bps ? fmin(l->max_bps, l->offered_bps) : l->offered_bps;
}

/* Weighted max-min fairness, the naive way: share what is left by weight, let those go who want less than their share, and again. */
static void water_fill(struct load *l, unsigned n, double bps)
{
    bool done[MAX_CLASSES] = { false }, again = true;
    while (again) {
        double weights = 0;
        again = false;
        for (unsigned i = 0; i < n; i++) {
            weights += done[i] ? 0 : l[i].weight;
        }
        for (unsigned i = 0; i < n && !again; i++) {
            if (!done[i] && wants(&l[i]) <= bps * l[i].weight / weights) {
                l[i].ideal_bps = wants(&l[i]);
                bps -= l[i].ideal_bps;
                done[i] = again = true;
            } else if (!done[i]) {
                l[i].ideal_bps = bps * l[i].weight / weights;
            }
        }
    }
}

static void arrive(struct load *l, struct sched_class *c, double seconds, struct rng *rng)
{
    for (l->arrived += l->offered_bps / 8 * seconds; l->arrived > 0; ) {
        uint32_t size = l->min_size + rng_below(rng, l->max_size - l->min_size + 1);
        l->arrived -= size;
        l->backlog += size;
    }
    if (!c->head && l->backlog) {
        c->head = (uint32_t) MIN(l->backlog, l->max_size);
    }
}

static void sent(struct load *l, struct sched_class *c)
{
    l->sent += c->head;
    l->backlog -= c->head;
    c->head = (uint32_t) MIN(l->backlog, l->max_size);
}

/* Two simulated seconds after a warm-up, on a port that the scheduler's own ceiling limits. */
static void run(struct sched *s, struct load *l, double bps, uint64_t step_ns, struct rng *rng)
{
    for (uint64_t now = 0, end = 5 * NS_PER_S / 2; now < end; now += step_ns) {
        if (now >= NS_PER_S / 2 && now < NS_PER_S / 2 + step_ns) {
            for (unsigned i = 0; i < s->n; i++) {
                l[i].sent = 0;
            }
        }
        for (unsigned i = 0; i < s->n; i++) {
            arrive(&l[i], &s->classes[i], (double) step_ns / 1e9, rng);
        }
        for (int k; (k = sched_pick(s, now)) >= 0; ) {
            sent(&l[k], &s->classes[k]);
        }
    }
    for (unsigned i = 0; i < s->n; i++) {
        double got = (double) l[i].sent * 8 / 2;
        bool near = fabs(got - l[i].ideal_bps) <= 0.02 * l[i].ideal_bps + 0.003 * bps;
        CU_ASSERT_TRUE(near);
        if (!near) {
            printf("class %u of %u: weight %.0f ceiling %.0f offered %.0f: %.0f b/s, ideally %.0f\n", i, s->n, l[i].weight, l[i].max_bps, l[i].offered_bps, got,
                   l[i].ideal_bps);
        }
    }
}

static void test_fluid(void)
{
    struct rng rng;
    rng_seed(&rng, unit_seed());
    for (unsigned round = 0; round < 60; round++) {
        struct load l[MAX_CLASSES] = { { 0 } };
        unsigned n = 1 + rng_below(&rng, MAX_CLASSES);
        double bps = 2e7 * (1 + rng_below(&rng, 10));
        struct sched *s = sched_new(n, (uint64_t) bps, 0);
        for (unsigned i = 0; i < n; i++) {
            l[i].weight = 1 + rng_below(&rng, rng_below(&rng, 2) ? 20 : 400);
            l[i].max_bps = rng_below(&rng, 3) ? 0 : bps * (1 + rng_below(&rng, 1000)) / 1000;
            /* Far from what it would get, so that a queue neither builds up nor drains for ever near the limit. */
            l[i].offered_bps = rng_below(&rng, 2) ? 10 * bps : bps * rng_below(&rng, 200) / 1000;
            l[i].min_size = 60;
            l[i].max_size = 60 + rng_below(&rng, 1455);
            sched_class_set(&s->classes[i], (uint16_t) l[i].weight, (uint64_t) l[i].max_bps);
        }
        water_fill(l, n, bps);
        run(s, l, bps, 50000, &rng);
        free(s);
    }
}

/* Small and large frames of equal weight share bytes, not frames; an emptied class saves no credit up. */
static void test_bytes(void)
{
    struct sched *s = sched_new(2, 0, 0);
    uint64_t bytes[2] = { 0, 0 };
    sched_class_set(&s->classes[0], 10, 0);
    sched_class_set(&s->classes[1], 10, 0);
    for (unsigned i = 0; i < 100000; i++) {
        s->classes[0].head = 64;
        s->classes[1].head = 9000;
        int k = sched_pick(s, 1);
        bytes[k] += s->classes[k].head;
    }
    CU_ASSERT_TRUE(bytes[0] * 100 / bytes[1] >= 99 && bytes[1] * 100 / bytes[0] >= 99);
    s->classes[0].head = 0;
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(sched_pick(s, 1), 1);
        s->classes[1].head = 9000;
    }
    CU_ASSERT_EQUAL(s->classes[0].credit, 0);
    s->classes[1].head = 0;
    CU_ASSERT_EQUAL(sched_pick(s, 1), -1);
    free(s);
}

/* A sleep of up to the bucket's depth loses no rate, and a first burst is no longer than that. */
static void test_sleep(void)
{
    struct sched *s = sched_new(1, 80000000, 0);
    uint64_t sent_bytes = 0;
    for (uint64_t ms = 0; ms <= 1000; ms += SCHED_BURST_MS) {
        do {
            s->classes[0].head = 1000;
            sent_bytes += 1000;
        } while (sched_pick(s, ms * 1000000) == 0);
        sent_bytes -= 1000;
    }
    CU_ASSERT_TRUE(sent_bytes >= 10000000 && sent_bytes <= 10000000 + 10000 * SCHED_BURST_MS + 2000);
    free(s);
}

void queue_sched_test_suite(void)
{
    UNIT_SUITE("queue scheduler", { "against a fluid", test_fluid }, { "bytes, not frames", test_bytes }, { "sleeping", test_sleep });
}
