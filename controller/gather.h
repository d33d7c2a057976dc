/*
 * Work that gathers while the loop turns, and is done once for all that asked for it.
 *
 * Usually that is in the loop's next turn.  What is asked for in a turn that a tenant beyond its share was given (ofproto/of_share.h: the loop's lowest
 * priority) has the same priority: it is done when nothing else is to be done, after GATHER_LATE_MS at the latest.  So what others want never waits for
 * compiling, encoding and sending what a flood changed, unless it goes to the same place; then it is done along with theirs.
 *
 * Loop thread only.
 */
#ifndef CONTROLLER_GATHER_H
#define CONTROLLER_GATHER_H 1

#include <stdbool.h>

#define GATHER_LATE_MS 20

struct event;
struct event_base;

struct gather {
    bool *idle_turn;
    struct event *soon, *idle;  /* soon is also the timer of what has waited for long. */
    void (*fn)(void *aux);
    void *aux;
    bool pending;
};

/* *idle_turn is true while what runs has the lowest priority; here it is set for what this does with that priority. Others' turns are their callers' to tell. */
void gather_init(struct gather *, struct event_base *, bool *idle_turn, void (*fn)(void *aux), void *aux);
void gather_fini(struct gather *);              /* What is pending is not done any more. */
/* Asks for fn. */
void gather_poke(struct gather *);

#endif
