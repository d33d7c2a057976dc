/* What a table is told about itself: how much it holds, who goes when it is full, and when to warn of that. */
#include "ofproto/flow_table_private.h"

#include <assert.h>

enum { ALL_FLAGS = OFPTMPEF_OTHER | OFPTMPEF_IMPORTANCE | OFPTMPEF_LIFETIME, DEFAULT_FLAGS = OFPTMPEF_IMPORTANCE | OFPTMPEF_LIFETIME };

/* Who goes first.  Age is what is left when the rest is equal (OFPTMPEF_OTHER: "using other factors"). */
static bool goes_before(const struct flow_entry *a, const struct flow_entry *b, uint32_t flags)
{
    if (flags & OFPTMPEF_IMPORTANCE && a->importance != b->importance) {
        return a->importance < b->importance;
    }
    if (flags & OFPTMPEF_LIFETIME && a->expires_ns != b->expires_ns) {
        return a->expires_ns < b->expires_ns;
    }
    return a->added_seq < b->added_seq;
}

void flow_table_state_init(struct table_state *s)
{
    *s = (struct table_state) { .eviction_flags = DEFAULT_FLAGS };
    flow_heap_init(&s->victims, HEAP_EVICTION, goes_before, DEFAULT_FLAGS);
}

void flow_table_state_fini(struct table_state *s)
{
    flow_heap_fini(&s->victims);
}

struct flow_entry *flow_table_victim(struct flow_tables *ft, uint8_t table, uint16_t importance)
{
    struct table_state *s = &ft->states[table];
    struct flow_entry *e = s->evicts ? flow_heap_top(&s->victims) : NULL;
    /* Lifetimes only grow when they are looked at, so the first one that stays at the top is right. */
    while (e && s->eviction_flags & OFPTMPEF_LIFETIME) {
        flow_table_refresh(ft, e);
        if (flow_heap_top(&s->victims) == e) {
            break;
        }
        e = flow_heap_top(&s->victims);
    }
    return e && s->eviction_flags & OFPTMPEF_IMPORTANCE && e->importance > importance ? NULL : e;
}

/* --- Limits --- */

void flow_tables_limit(struct flow_tables *ft, uint8_t table, unsigned max)
{
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        if (table == OFPTT_ALL || i == table) {
            ft->states[i].max = max;
        }
    }
}

unsigned flow_tables_table_max(const struct flow_tables *ft, uint8_t table)
{
    assert(table < OF_N_TABLES);
    unsigned max = ft->states[table].max;
    return max && max < ft->max_flows ? max : ft->max_flows;
}

uint64_t flow_tables_evicted(const struct flow_tables *ft)
{
    return ft->n_evicted;
}

/* --- Table-mod and table-desc (sections 7.3.3 and 7.3.5.15) --- */

/* Per cent of the table that is free. */
static uint8_t vacancy(const struct flow_tables *ft, uint8_t table)
{
    uint64_t max = flow_tables_table_max(ft, table), n = ft->tables[table].n;
    return (uint8_t) (n < max ? (max - n) * 100 / max : 0);
}

static void configure_eviction(struct flow_tables *ft, uint8_t table, bool on, uint32_t flags)
{
    struct table_state *s = &ft->states[table];
    if (on == s->evicts && flags == s->eviction_flags) {
        return;
    }
    struct flow_entry *e;
    HMAP_FOR_EACH (e, node, &ft->tables[table]) {
        e->heap_pos[HEAP_EVICTION] = 0;
    }
    flow_heap_fini(&s->victims);
    flow_heap_init(&s->victims, HEAP_EVICTION, goes_before, flags);
    s->evicts = on;
    s->eviction_flags = flags;
    HMAP_FOR_EACH (e, node, &ft->tables[table]) {
        if (on) {
            flow_heap_insert(&s->victims, e);
        }
    }
}

static void configure(struct flow_tables *ft, uint8_t table, const struct of_table_config *c)
{
    struct table_state *s = &ft->states[table];
    configure_eviction(ft, table, c->config & OFPTC_EVICTION, c->has_eviction && c->eviction_flags ? c->eviction_flags : DEFAULT_FLAGS);
    s->vacancy_events = c->config & OFPTC_VACANCY_EVENTS;
    if (c->has_vacancy) {
        s->vacancy_down = c->vacancy_down;
        s->vacancy_up = c->vacancy_up;
    }
    /* "If, when enabling vacancy events on the table, the current vacancy is less than vacancy_up, the vacancy up event must be enabled and the vacancy down event disabled." */
    s->armed = vacancy(ft, table) < s->vacancy_up ? OFPTR_VACANCY_UP : OFPTR_VACANCY_DOWN;
}

struct of_error flow_tables_configure(struct flow_tables *ft, const struct of_table_config *c)
{
    if (c->has_eviction && c->eviction_flags & ~(uint32_t) ALL_FLAGS) {
        return OF_ERROR(OFPET_BAD_PROPERTY, OFPBPC_BAD_VALUE);
    }
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        if (c->table_id == OFPTT_ALL || i == c->table_id) {
            configure(ft, (uint8_t) i, c);
        }
    }
    return OF_OK;
}

void flow_tables_config(const struct flow_tables *ft, uint8_t table, struct of_table_config *c)
{
    const struct table_state *s = &ft->states[table];
    *c = (struct of_table_config) {
        .table_id = table, .config = (s->evicts ? OFPTC_EVICTION : 0) | (s->vacancy_events ? OFPTC_VACANCY_EVENTS : 0),
        .has_eviction = true, .eviction_flags = s->eviction_flags,
        .has_vacancy = s->vacancy_events, .vacancy_down = s->vacancy_down, .vacancy_up = s->vacancy_up, .vacancy = vacancy(ft, table),
    };
}

uint8_t flow_tables_vacancy_event(struct flow_tables *ft, uint8_t table)
{
    struct table_state *s = &ft->states[table];
    if (!s->vacancy_events) {
        return 0;
    }
    uint8_t now = vacancy(ft, table);
    if (s->armed == OFPTR_VACANCY_DOWN ? now >= s->vacancy_down : now <= s->vacancy_up) {
        return 0;
    }
    uint8_t event = s->armed;
    s->armed = event == OFPTR_VACANCY_DOWN ? OFPTR_VACANCY_UP : OFPTR_VACANCY_DOWN;
    return event;
}
