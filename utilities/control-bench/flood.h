/*
 * What a bad neighbour does to controllerd (README.md, "The bad neighbour").
 *
 * A flood of messages comes over several connections of its own to where the tenant's switch listens, as bytes that were encoded before: it offers so
 * many messages a second, whoever waits; what a socket does not take at once is dropped, and counts as offered only.  Nothing is read.  Connections end
 * with a reset, so that nothing of a flood is left when it is over.  All is made in flood_make(), by the caller's thread, in the time that it has for it.
 */
#ifndef CONTROL_BENCH_FLOOD_H
#define CONTROL_BENCH_FLOOD_H 1

#include "lib/buf.h"
#include "lib/target.h"
#include "utilities/control-bench/control_sim.h"

#define FLOOD_KEYS 4096         /* Entries that it changes, or asks for. */
#define FLOOD_MAX_CONNECTIONS 64

struct flood {
    void (*make)(struct flood *);       /* What is due. */
    struct target at;           /* Where the tenant's switch listens. */
    int fds[FLOOD_MAX_CONNECTIONS];     /* -1: none. */
    size_t offsets[FLOOD_MAX_CONNECTIONS];      /* In `bytes`, of what the connection sends next. */
    unsigned n_connections, next;
    struct buf bytes;           /* Messages of one size, sent again and again. */
    unsigned message_size;
    uint64_t per_second;        /* Messages offered, or connections made. */
    uint64_t renew_ns, renewed_ns;      /* How long a connection lives; 0: as long as the flood. */
    uint64_t begun_ns, due;     /* Since then so many messages have been due. */
    uint64_t offered, written_bytes;    /* Of all windows. */
    struct packet_source source;
};

/* The kinds. */
void flood_init_flow_mods(struct flood *, const struct target *at);
void flood_init_questions(struct flood *, const struct target *at);
void flood_init_garbage(struct flood *, const struct target *at);
void flood_init_connections(struct flood *, const struct target *at);
/* source: of packet-ins, found by packet_source_find(). */
void flood_init_packet_ins(struct flood *, const struct packet_source *source);
void flood_fini(struct flood *);

void flood_begin(struct flood *);
/* Whether each connection that says anything has been greeted: until then the switch has not accepted them all (a tenant has a quota of new ones a second,
 * which the flood before may have spent). One that was refused comes again. */
bool flood_is_heard(struct flood *);
/* From now on messages are due. */
void flood_start(struct flood *);
/* Makes what is due, again and again until `until_ns`. */
void flood_make(struct flood *, uint64_t until_ns);
void flood_end(struct flood *);
/* An entry for each question of the flood to find: written by the tenant's own controller. */
void flood_put_entries(struct tenant_conn *);

#endif
