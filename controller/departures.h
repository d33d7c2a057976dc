/*
 * Entries of a virtual switch that have left it and that its edges have not all told the last counters of (vsw_stats.h).
 *
 * Each has as long for it, so the first to come is the first whose time is over: a list in that order beside the index by number, and nothing walks what is not due.
 *
 * Loop thread only.
 */
#ifndef CONTROLLER_DEPARTURES_H
#define CONTROLLER_DEPARTURES_H 1

#include "controller/counter_sum.h"
#include "lib/hmap.h"
#include "ofproto/flow_table.h"

#define DEPART_TIMEOUT_NS UINT64_C(1000000000)

struct departures {
    struct hmap by_number;
    struct list by_deadline;    /* The same. */
};

struct departure {
    struct hmap_node node;      /* In departures.by_number. */
    struct list by_deadline;
    uint32_t number;
    uint8_t table;
    struct counter_sum sum;
    struct of_flow_removed *msg;        /* NULL: nobody wants it. */
    unsigned n_left;            /* Edges that have not told. */
    uint64_t deadline_ns;
};

void departures_init(struct departures *);
void departures_fini(struct departures *);      /* They go unheard. */
/* What the sum holds is taken over, and it is left empty.  With a reason (OFPRR_*; -1: none) there will be a message. */
struct departure *departures_add(struct departures *, const struct flow_entry *, uint32_t number, struct counter_sum *, int reason, unsigned n_edges, uint64_t now_ns);
struct departure *departures_find(const struct departures *, uint32_t number);          /* NULL: it has not left, or is gone. */
struct departure *departures_overdue(const struct departures *, uint64_t now_ns);       /* The longest overdue; NULL: none is. */
/* It is gone; returns its message with the true counters, the caller's to free, or NULL. */
struct of_flow_removed *departures_end(struct departures *, struct departure *);

#endif
