#include "vswitch/counters.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"

/* Numbers below are the tables' misses. */
#define FIRST_ID OF_N_TABLES
#define CELLS_SIZE ((size_t) COUNTER_MAX_CHUNKS * COUNTER_CHUNK * sizeof(struct counter))

static void add_chunk(struct dp *dp, unsigned chunk)
{
    for (unsigned i = 0; i < dp->n_threads; i++) {
        void *cells = dp->threads[i]->cells.at + (size_t) chunk * COUNTER_CHUNK;
        if (mprotect(cells, COUNTER_CHUNK * sizeof(struct counter), PROT_READ | PROT_WRITE)) {
            abort();
        }
        memset(cells, 0, COUNTER_CHUNK * sizeof(struct counter));       /* The poll-mode thread will not wait for the kernel to do so. */
    }
    atomic_store_explicit(&dp->counters.owners[chunk], XNEW(struct counter_owners), memory_order_release);
}

void counter_space_init(struct dp *dp)
{
    struct counter_space *s = &dp->counters;
    for (unsigned i = 0; i < OF_N_TABLES; i++) {
        list_init(&s->of_table[i]);
    }
    for (unsigned i = 0; i < dp->n_threads; i++) {
        void *at = mmap(NULL, CELLS_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) {
            abort();
        }
        dp->threads[i]->cells.at = at;
    }
    s->n = FIRST_ID;
    add_chunk(dp, 0);
}

void counter_space_fini(struct dp *dp)
{
    for (unsigned i = 0; i < dp->n_threads; i++) {
        munmap(dp->threads[i]->cells.at, CELLS_SIZE);
    }
    for (unsigned k = 0; k < COUNTER_MAX_CHUNKS; k++) {
        free((void *) atomic_load_explicit(&dp->counters.owners[k], memory_order_relaxed));
    }
    free(dp->counters.free);
}

static void sum_raw(const struct dp *dp, uint32_t id, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns)
{
    *packets = *bytes = *used_ns = 0;
    for (unsigned i = 0; i < dp->n_threads; i++) {
        const struct counter *c = counter_cell(&dp->threads[i]->cells, id);
        uint64_t used = atomic_load_explicit(&c->used_ns, memory_order_relaxed);
        *packets += atomic_load_explicit(&c->packets, memory_order_relaxed);
        *bytes += atomic_load_explicit(&c->bytes, memory_order_relaxed);
        *used_ns = MAX(*used_ns, used);
    }
}

struct counters *counters_new(struct dp *dp, uint16_t table)
{
    struct counter_space *s = &dp->counters;
    struct counters *c = XNEW(struct counters);
    if (s->n_free) {
        c->id = s->free[--s->n_free];
    } else {
        c->id = s->n++;
        assert(c->id >> COUNTER_CHUNK_BITS < COUNTER_MAX_CHUNKS);
        if (!(c->id & (COUNTER_CHUNK - 1))) {
            add_chunk(dp, c->id >> COUNTER_CHUNK_BITS);
        }
    }
    c->refs = 1;
    c->table = table;
    c->dp = dp;
    list_init(&c->siblings);
    if (table < OF_N_TABLES) {
        list_push_back(&s->of_table[table], &c->siblings);
    }
    counters_reset(c);
    c->born_packets = c->base_packets;
    return c;
}

/* After the grace period: nobody counts any more. */
static void retire(void *counters)
{
    struct counters *c = counters;
    struct counter_space *s = &c->dp->counters;
    if (c->table < OF_N_TABLES) {
        uint64_t packets, bytes, used;
        sum_raw(c->dp, c->id, &packets, &bytes, &used);
        s->retired[c->table] += packets - c->born_packets;
        list_remove(&c->siblings);
    }
    if (s->n_free == s->room) {
        s->room = MAX(64, 2 * s->room);
        s->free = xrealloc(s->free, s->room * sizeof s->free[0]);
    }
    s->free[s->n_free++] = c->id;
    free(c);
}

void counters_put(struct dp *dp, struct counters *c)
{
    assert(c->refs);
    if (!--c->refs) {
        dp_defer(retire, c, dp);
    }
}

static _Atomic(struct dp_rule *) *owner(const struct counters *c)
{
    struct counter_owners *owners = atomic_load_explicit(&c->dp->counters.owners[c->id >> COUNTER_CHUNK_BITS], memory_order_relaxed);
    return &owners->rule[c->id & (COUNTER_CHUNK - 1)];
}

void counters_own(struct counters *c, struct dp_rule *rule)
{
    atomic_store_explicit(owner(c), rule, memory_order_release);
}

void counters_disown(struct counters *c, const struct dp_rule *former)
{
    if (atomic_load_explicit(owner(c), memory_order_relaxed) == former) {
        atomic_store_explicit(owner(c), NULL, memory_order_release);
    }
}

void counters_sum(const struct counters *c, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns)
{
    sum_raw(c->dp, c->id, packets, bytes, used_ns);
    *packets -= c->base_packets;
    *bytes -= c->base_bytes;
}

void counters_reset(struct counters *c)
{
    uint64_t used;
    sum_raw(c->dp, c->id, &c->base_packets, &c->base_bytes, &used);
}

void counters_table(struct dp *dp, uint8_t table, uint64_t *lookups, uint64_t *matches)
{
    uint64_t packets, bytes, used;
    const struct counters *c;
    *matches = dp->counters.retired[table];
    LIST_FOR_EACH (c, siblings, &dp->counters.of_table[table]) {
        sum_raw(dp, c->id, &packets, &bytes, &used);
        *matches += packets - c->born_packets;
    }
    sum_raw(dp, table, &packets, &bytes, &used);
    *lookups = *matches + packets;
}
