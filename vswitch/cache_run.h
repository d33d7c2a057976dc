/* Between cache_run.c and cache_check.c: one batch on its way. */
#ifndef VSWITCH_CACHE_RUN_H
#define VSWITCH_CACHE_RUN_H 1

#include "vswitch/exec.h"
#include "vswitch/exec_record.h"

/* Who takes outputs and drops; frames for one port are kept together. */
struct cache_out {
    const struct dp_ops *ops;
    struct dp_thread *thread;
    void *aux;
    void (*drop)(struct cache_out *, const struct packet *, uint8_t reason);
    bool trial;                         /* Meters measure nothing. */
    uint64_t now_ns;
    uint32_t port;
    unsigned n;
    struct packet *packets[DP_BATCH];
};

struct cache_batch {
    const struct cache_plan *plan;
    uint32_t in_port, gen, classes_seq;
    uint64_t version, now_ns;
    unsigned n_hits, n_guided;
    bool check;
    struct cache_out out;
};

void cache_flush(struct cache_out *);
/* Runs a program's steps, takes the packet. */
void cache_execute(struct cache_out *, const struct cache_program *, struct packet *);
void cache_walk(struct cache_batch *, struct packet *, struct recorder *, struct guide *);
void cache_hit(struct cache_batch *, const struct cache_entry *, struct packet *);
/* As a hit, but walks, too, and compares. */
void cache_check_hit(struct cache_batch *, struct cache_entry *, struct packet *);

#endif
