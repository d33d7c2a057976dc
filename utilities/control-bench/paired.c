/* See paired.h.  Samples are sorted once, from the largest: a quantile of a draw is found by adding up the weights of pairs from there. */
#include "utilities/control-bench/paired.h"

#include <assert.h>
#include <stdlib.h>

void paired_init(struct paired *p, unsigned n_pairs)
{
    *p = (struct paired) { .n_pairs = n_pairs };
}

void paired_fini(struct paired *p)
{
    free(p->sides[0].v);
    free(p->sides[1].v);
}

void paired_add(struct paired *p, unsigned side, unsigned pair, uint64_t ns)
{
    assert(pair < p->n_pairs);
    if (p->sides[side].n == p->sides[side].room) {
        p->sides[side].room = MAX(2 * p->sides[side].room, 1024u);
        p->sides[side].v = xrealloc(p->sides[side].v, p->sides[side].room * sizeof *p->sides[side].v);
    }
    p->sides[side].v[p->sides[side].n++] = (struct paired_sample) { ns, pair };
    p->sides[side].sorted = false;
}

static int larger_first(const void *a_, const void *b_)
{
    const struct paired_sample *a = a_, *b = b_;
    return a->ns < b->ns ? 1 : -(a->ns > b->ns);
}

static void sort(struct paired *p, unsigned side)
{
    if (!p->sides[side].sorted && p->sides[side].n) {
        qsort(p->sides[side].v, p->sides[side].n, sizeof *p->sides[side].v, larger_first);
        p->sides[side].sorted = true;
    }
}

/* weights: how often each pair is there; NULL: once. */
static uint64_t weighted_quantile(struct paired *p, unsigned side, double share, const unsigned *weights)
{
    const unsigned n = p->sides[side].n;
    const struct paired_sample *v = p->sides[side].v;
    uint64_t total = 0, above = 0;
    sort(p, side);
    for (unsigned i = 0; i < n; i++) {
        total += weights ? weights[v[i].pair] : 1;
    }
    const uint64_t allowed = (uint64_t) ((1 - share) * (double) total + 1e-6);     /* Samples that may be larger. */
    for (unsigned i = 0; i < n; i++) {
        above += weights ? weights[v[i].pair] : 1;
        if (above > allowed) {
            return v[i].ns;
        }
    }
    return 0;
}

uint64_t paired_quantile(struct paired *p, unsigned side, double share)
{
    return weighted_quantile(p, side, share, NULL);
}

static double ratio_of(struct paired *p, double share, const unsigned *weights)
{
    uint64_t base = weighted_quantile(p, 0, share, weights);
    return base ? (double) weighted_quantile(p, 1, share, weights) / (double) base : 0;
}

static int smaller_first(const void *a_, const void *b_)
{
    const double *a = a_, *b = b_;
    return *a < *b ? -1 : *a > *b;
}

struct paired_ratio paired_compare(struct paired *p, double share, uint64_t seed)
{
    double *draws = xcalloc(PAIRED_DRAWS, sizeof *draws);
    unsigned *weights = xcalloc(p->n_pairs + 1, sizeof *weights);
    struct rng rng;
    rng_seed(&rng, seed);
    for (unsigned i = 0; i < PAIRED_DRAWS; i++) {
        for (unsigned j = 0; j < p->n_pairs; j++) {
            weights[j] = 0;
        }
        for (unsigned j = 0; j < p->n_pairs; j++) {
            weights[rng_below(&rng, p->n_pairs)]++;
        }
        draws[i] = ratio_of(p, share, weights);
    }
    qsort(draws, PAIRED_DRAWS, sizeof *draws, smaller_first);
    const struct paired_ratio result = { ratio_of(p, share, NULL), draws[PAIRED_DRAWS * 25 / 1000], draws[PAIRED_DRAWS * 975 / 1000] };
    free(weights);
    free(draws);
    return result;
}
