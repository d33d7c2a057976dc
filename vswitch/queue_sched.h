/*
 * Which of a port's queues sends next: deficit round robin weighted by minimum rates, under maximum rates.
 *
 * What.  A class is a queue as the scheduler sees it: a weight, perhaps a ceiling, and the size of the frame at its
 * head.  Each round gives every class with a frame weight × SCHED_QUANTUM bytes of credit, and a class sends while its
 * credit covers its head; so classes that always have frames share the port in proportion to their weights, whatever
 * the sizes of their frames, and what one does not use is the others'.  With minimum rates as weights, and their sum at
 * most the port's rate, each class has its minimum.  A ceiling (a class's, or the port's) is a token bucket,
 * lib/policer.h's: a class whose bucket is empty is passed over and keeps its credit.
 *
 * Why rounds are not run one by one: a class of weight 1 needs 47 of them for a frame of 1,500 bytes.  When a round has
 * sent nothing, the number of rounds until somebody can is known, and their credit is given at once.  So a pick costs
 * two or three passes over the classes.
 *
 * No time passes in here and no frame is known; the caller (vswitch/queue.c) keeps `head` up to date.  One thread.
 * Reference: Shreedhar and Varghese, "Efficient fair queuing using deficit round robin", 1995.
 */
#ifndef VSWITCH_QUEUE_SCHED_H
#define VSWITCH_QUEUE_SCHED_H 1

#include "lib/policer.h"

#define SCHED_QUANTUM 32        /* Bytes per weight and round. */
#define SCHED_BURST_MS 10       /* Depth of the buckets: what the thread may oversleep without losing rate; */
#define SCHED_BURST_BYTES (8 * 1514)    /* at least this much: a slow class may wait so long for its turns after it might have sent. */

struct sched_class {
    uint16_t weight;            /* 1 to 1000. */
    bool limited;
    struct policer max;         /* If limited. */
    uint64_t credit;            /* Bytes. */
    uint32_t head;              /* Bytes of the first frame; 0: none. The caller's to write. */
};

struct sched {
    uint64_t epoch_ns;          /* The buckets' tick 0. */
    bool limited;
    struct policer rate;        /* Of all together, if limited. */
    unsigned n, turn;
    struct sched_class classes[];
};

/* n classes of weight 1 without a ceiling. bps 0: none for all together. free() */
struct sched *sched_new(unsigned n, uint64_t bps, uint64_t now_ns);
void sched_class_set(struct sched_class *, uint16_t weight, uint64_t max_bps /* 0: none */);
/* The class whose head goes now (it is paid for, and `head` is the caller's to replace), or -1: there is none, or it is too early. */
int sched_pick(struct sched *, uint64_t now_ns);

#endif
