/*
 * A counter that is kept in several places, each of which counts for itself and may start again from zero.
 *
 * What grew since the last reading is added, not what is read: a rule that was put again (a switch that restarted, an
 * edge that lost it) counts from zero, and the sum goes on from where it was. A reading below the last one is how that
 * is told; who knows that a place started again says so, as it may have passed the last reading since.
 *
 * A reset makes none of the places start again, for what they had counted since they were last read would be lost. The sum goes on, and `before` says how much of it
 * was counted before the reset: what it was when it was last read, and what grows until the places have been read once more. Readings are numbered for that.
 */
#ifndef CONTROLLER_COUNTER_SUM_H
#define CONTROLLER_COUNTER_SUM_H 1

#include <stdint.h>

/* A sum over edges. `edge` is the edge's index. Zeroed is empty. */
struct reading { uint16_t edge; uint64_t packets, bytes; };
struct counter_sum {
    uint64_t packets, bytes;
    struct { uint64_t packets, bytes, reading; } before;        /* The last reset; reading: the first one that was begun behind it. 0: none. */
    uint64_t used_ns;                           /* When it was last seen to have grown; 0: never. */
    struct reading *last;                       /* From each edge that ever answered. */
    unsigned n_last;
};
void counter_sum_read(struct counter_sum *, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns);
/* The same of something that may be reset; reading: its number, from 1. */
void counter_sum_read_numbered(struct counter_sum *, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns, uint64_t reading);
/* The last counters of something that is not on the edge any more. */
void counter_sum_final(struct counter_sum *, uint16_t edge, uint64_t packets, uint64_t bytes, uint64_t now_ns, uint64_t reading);
/* What is on the edge counts from zero again, or is gone with what it counted. */
void counter_sum_restarted(struct counter_sum *, uint16_t edge);
void counter_sum_reset(struct counter_sum *, uint64_t reading);         /* What this reading, which has not begun, will say was counted before. */
void counter_sum_fini(struct counter_sum *);

#endif
