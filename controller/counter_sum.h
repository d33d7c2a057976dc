/*
 * A counter that is kept in several places, each of which counts for itself and may start again from zero.
 *
 * What grew since the last reading is added, not what is read: a rule that was put again (a switch that restarted, an
 * edge that lost it) counts from zero, and the sum goes on from where it was. A reading below the last one is how that
 * is told; who knows that a place started again says so, as it may have passed the last reading since.
 */
#ifndef CONTROLLER_COUNTER_SUM_H
#define CONTROLLER_COUNTER_SUM_H 1

#include <stdint.h>

/* A sum over edges. `edge` is the edge's index. Zeroed is empty. */
struct reading { uint16_t edge; uint64_t packets, bytes; };
struct counter_sum {
    uint64_t packets, bytes;
    uint64_t used_ns;                           /* When it was last seen to have grown; 0: never. */
    struct reading *last;                       /* From each edge that ever answered. */
    unsigned n_last;
};
void counter_sum_read(struct counter_sum *, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns);
/* The last counters of something that is not on the edge any more. */
void counter_sum_final(struct counter_sum *, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns);
/* What is on the edge counts from zero again, or is gone with what it counted. */
void counter_sum_restarted(struct counter_sum *, uint16_t edge);
void counter_sum_reset(struct counter_sum *);   /* To zero, as are those on the edges. */
void counter_sum_fini(struct counter_sum *);

#endif
