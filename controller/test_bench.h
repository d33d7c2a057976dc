/* A substrate on a loop and a clock that the test moves, and simulated switches that connect to it. */
#ifndef CONTROLLER_TEST_BENCH_H
#define CONTROLLER_TEST_BENCH_H 1

#include "controller/substrate_impl.h"
#include "controller/test_fixture.h"
#include "controller/test_switch.h"

struct heard { unsigned ups, downs, ports, links, packet_ins, replies, reach; struct sw *last; };       /* Of substrate_ops. */
struct bench { struct fixture f; struct heard heard; char target[140]; };

void bench_init(struct bench *, const char *document);
void bench_connect(struct bench *, struct fake *);
void advance(struct bench *, unsigned ms);      /* Moves the clock in steps of 100 ms, with loop turns and ticks in between. */
unsigned wait_ups(struct bench *, unsigned n);  /* Until so many switches came up, in bounded time; how many did. */
unsigned links_up(struct bench *);              /* Directed ones. */
struct sw *sw_of(struct bench *, uint64_t datapath_id);
void finish(struct bench *, struct fake *, unsigned n);        /* Closes the switches and the bench. */

#endif
