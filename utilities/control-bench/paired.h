/*
 * Two sides that are measured in windows which alternate, and how their quantiles compare: a ratio, and how sure it is.
 *
 * A window of each side makes a pair, of neighbouring moments, so what the machine does at times falls on both. Samples of a window are not independent
 * of each other (a machine that stands still spoils many in a row), pairs nearly are: the confidence interval is a bootstrap over pairs. Pairs are drawn
 * again, as many as there are, with replacement, and the ratio of the quantiles of all their samples is taken, PAIRED_DRAWS times. Everything is exact:
 * no histogram.
 */
#ifndef CONTROL_BENCH_PAIRED_H
#define CONTROL_BENCH_PAIRED_H 1

#include <stdint.h>

#include "lib/util.h"

#define PAIRED_DRAWS 2000

struct paired_sample { uint64_t ns; uint32_t pair; };
struct paired {
    unsigned n_pairs;
    struct { struct paired_sample *v; unsigned n, room; bool sorted; } sides[2];
};
struct paired_ratio { double ratio, low, high; };       /* low, high: bounds of the 95 % interval. */

void paired_init(struct paired *, unsigned n_pairs);
void paired_fini(struct paired *);
/* pair: below n_pairs. */
void paired_add(struct paired *, unsigned side, unsigned pair, uint64_t ns);
/* The smallest sample that at least `share` (0..1) of the side's do not exceed; 0 without samples. */
uint64_t paired_quantile(struct paired *, unsigned side, double share);
/* Side 1's quantile as a multiple of side 0's. Each pair should have samples on both sides. The same seed draws the same. */
struct paired_ratio paired_compare(struct paired *, double share, uint64_t seed);

#endif
