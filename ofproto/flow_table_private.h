/* What flow_table.c and flow_table_config.c share. */
#ifndef OFPROTO_FLOW_TABLE_PRIVATE_H
#define OFPROTO_FLOW_TABLE_PRIVATE_H 1

#include "ofproto/flow_heap.h"

enum { HEAP_TIMEOUTS, HEAP_EVICTION };

/* One table as the owner and table-mods have configured it. */
struct table_state {
    unsigned max;               /* Entries; 0: as many as the whole may have. */
    bool evicts;                /* OFPTC_EVICTION; `victims` is kept up then only. */
    uint32_t eviction_flags;    /* OFPTMPEF_* */
    struct flow_heap victims;   /* All entries, those that go first first. */
    bool vacancy_events;        /* OFPTC_VACANCY_EVENTS */
    uint8_t vacancy_down, vacancy_up;   /* Per cent. */
    uint8_t armed;              /* The OFPTR_VACANCY_* that comes next. */
};

struct flow_tables {
    struct hmap tables[OF_N_TABLES];
    struct table_state states[OF_N_TABLES];
    struct hmap refs;           /* struct flow_ref */
    unsigned n, max_flows;
    uint64_t seq;               /* Of the latest change. */
    uint64_t n_evicted;
    struct clock clock;
    const struct flow_table_ops *ops;
    void *aux;
    flow_watch_fn *watch;       /* May be NULL. */
    void *watch_aux;
    struct flow_heap timeouts;  /* Entries that have one, by expires_ns. */
    bool staging;               /* flow_tables_begin() */
    struct change { struct flow_entry *entry; bool added; } *log;       /* While staging, in order. */
    size_t n_log, log_room;
};

/*
 * When the entry's timeouts would remove it, were it not hit again; UINT64_MAX: never.  Hits are not told to us, so
 * `expires_ns` may be earlier than that. This asks the owner, notes what it says, and puts the entry in its places in
 * the heaps.
 */
uint64_t flow_table_refresh(struct flow_tables *, struct flow_entry *);

/* flow_table_config.c */
void flow_table_state_init(struct table_state *);
void flow_table_state_fini(struct table_state *);
/* The entry that an add of that importance puts out when there is no room; NULL: none, the table is full. */
struct flow_entry *flow_table_victim(struct flow_tables *, uint8_t table, uint16_t importance);

#endif
