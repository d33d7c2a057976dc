/*
 * Batches through the cache: keys, candidates, then one packet after the other in order, so that frames of a flow never overtake each other.
 *
 * Three passes, so that memory is asked early: (1) keys and hashes, and the tags' lines; (2) tags, and the entries' lines; (3) keys compared, programs run.
 * What leaves for one port, one packet after the other, leaves together.
 */
#include "vswitch/cache_run.h"

#include <string.h>
#include "vswitch/cache_recent.h"
#include "vswitch/checksum.h"
#include "vswitch/meter.h"
#include "vswitch/packet.h"

#define PROGRAM_AHEAD 4u        /* The program of the packet so many places behind, and its first counter, are asked for. */

/* --- Outputs --- */

void cache_flush(struct cache_out *o)
{
    if (o->n) {
        o->ops->output_batch(o->thread, o->packets, o->n, o->port, o->aux);
        o->n = 0;
    }
}

static inline void put(struct cache_out *o, struct packet *p, uint32_t port)
{
    if (o->port != port || o->n == DP_BATCH) {
        cache_flush(o);
        o->port = port;
    }
    o->packets[o->n++] = p;
}

static __attribute__((noinline)) void output_copy(struct cache_out *o, const struct packet *p, uint32_t port)
{
    struct packet *copy = o->ops->copy(o->thread, p, o->aux);
    if (!copy) {
        o->drop(o, p, DROP_NO_MEMORY);
        return;
    }
    copy->in_port = p->in_port;
    copy->l2_len = p->l2_len;
    copy->l3_ofs = p->l3_ofs;
    copy->l4_ofs = p->l4_ofs;
    copy->queue = p->queue;
    put(o, copy, port);
}

/* --- OFPP_NORMAL --- */

static void unsent(struct cache_out *o, struct packet *p, uint8_t reason)
{
    o->drop(o, p, reason);
    o->ops->free(o->thread, p, o->aux);
}

static __attribute__((noinline)) void flood(struct cache_out *o, struct packet *p)
{
    const struct dp *dp = o->thread->dp;
    const struct port_list *list = atomic_load_explicit(&dp->port_list, memory_order_acquire);
    unsigned at = 0;
    uint32_t port = dp_flood_next(dp, list, &at, p->in_port, OFPPC10_NO_FLOOD), next;
    if (!port) {
        unsent(o, p, DROP_IN_PORT);
        return;
    }
    for (; (next = dp_flood_next(dp, list, &at, p->in_port, OFPPC10_NO_FLOOD)); port = next) {
        output_copy(o, p, port);
    }
    put(o, p, port);
}

/* As exec_output() does. */
static __attribute__((noinline)) void normal(struct cache_out *o, struct packet *p)
{
    struct dp *dp = o->thread->dp;
    struct mac macs[2];
    memcpy(macs, p->data, sizeof macs);
    if (!o->trial) {
        dp_learn(dp, macs[1], p->in_port, o->now_ns);
    }
    const uint32_t port = dp_station(dp, macs[0], o->now_ns), state = dp_port_state(dp, port);
    if (port == OFPP_FLOOD) {
        flood(o, p);
    } else if (port == p->in_port) {
        unsent(o, p, DROP_IN_PORT);
    } else if (state & (OFPPC_PORT_DOWN | OFPPC_NO_FWD)) {
        unsent(o, p, state & OFPPC_PORT_DOWN ? DROP_PORT_DOWN : DROP_PORT_CONFIG);
    } else {
        put(o, p, port);
    }
}

/* --- Programs --- */

static inline void write_macs(uint8_t *d, const struct cache_step *cells)
{
    uint64_t value, mask, x;
    uint32_t value2, mask2, y;
    memcpy(&value, cells, 8);
    memcpy(&value2, cells + 2, 4);
    memcpy(&mask, cells + 3, 8);
    memcpy(&mask2, cells + 5, 4);
    memcpy(&x, d, 8);
    memcpy(&y, d + 8, 4);
    x = (x & ~mask) | value;
    y = (y & ~mask2) | value2;
    memcpy(d, &x, 8);
    memcpy(d + 8, &y, 4);
}

/* The TTL of an IPv4 header is eight bytes into it, a hop limit of IPv6 seven; which it is the header says itself. */
static inline void take_ttl(uint8_t *d, unsigned ofs, unsigned n)
{
    uint8_t *h = d + ofs - 8;
    if (__builtin_expect(*h >> 4 == 4, 1)) {
        wire_put16(h + 10, checksum_update_small(wire_get16(h + 10), (uint16_t) (256u * n)));
    }
    d[ofs] = (uint8_t) (d[ofs] - n);
}

static __attribute__((noinline)) void finish_unsent(struct cache_out *o, const struct cache_program *prog, struct packet *p)
{
    if (prog->drop != CACHE_SENT) {
        o->drop(o, p, prog->drop);
    }
    o->ops->free(o->thread, p, o->aux);
}

/* Up to the output that takes the packet, or all. */
static inline unsigned last_cell(const struct cache_program *prog)
{
    return prog->takes ? prog->n_cells - 1u : prog->n_cells;
}

static inline __attribute__((always_inline)) void run_cells(struct cache_out *o, const struct cache_program *prog, struct packet *p, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        const struct cache_step *s = &prog->cells[i];
        if (s->code == STEP_MACS) {
            write_macs(p->data, s + 1);
            i += CACHE_MACS_CELLS;
        } else if (s->code == STEP_TTL) {
            take_ttl(p->data, s->port, s->n);
        } else if (s->code == STEP_OUTPUT) {
            output_copy(o, p, s->port);
        } else {
            i += cache_edit(p, s);
        }
    }
}

static inline void end(struct cache_out *o, const struct cache_program *prog, struct packet *p)
{
    if (!prog->takes) {
        finish_unsent(o, prog, p);
    } else if (__builtin_expect(prog->port == CACHE_NORMAL, 0)) {
        normal(o, p);
    } else {
        put(o, p, prog->port);
    }
}

static inline __attribute__((always_inline)) void execute(struct cache_out *o, const struct cache_program *prog, struct packet *p)
{
    run_cells(o, prog, p, 0, last_cell(prog));
    end(o, prog, p);
}

/* With a meter; returns how many of n_ids counters count this packet: those of rules that it met before it was dropped, or all. */
static __attribute__((noinline)) unsigned execute_metered(struct cache_out *o, const struct cache_program *prog, struct packet *p, unsigned n_ids)
{
    unsigned at = prog->meter - 1u;
    const struct cache_step *s = &prog->cells[at];
    struct meter_slot *slot;
    memcpy(&slot, s + 1, sizeof slot);
    run_cells(o, prog, p, 0, at);
    if (!o->trial && !meter_allows(o->thread, slot, p->len, o->now_ns)) {
        if (!s->port) {
            o->drop(o, p, DROP_METER);
        }
        o->ops->free(o->thread, p, o->aux);
        return s->n;
    }
    run_cells(o, prog, p, at + 1 + CACHE_METER_CELLS, last_cell(prog));
    end(o, prog, p);
    return n_ids;
}

void cache_execute(struct cache_out *o, const struct cache_program *prog, struct packet *p)
{
    if (prog->meter) {
        execute_metered(o, prog, p, 0);
    } else {
        execute(o, prog, p);
    }
}

/* --- Counters --- */

static inline void count_ids(struct dp_thread *t, const uint32_t *ids, unsigned n_ids, uint64_t packets, uint64_t bytes, uint64_t now_ns)
{
    const struct counter_cells cells = t->cells;        /* Our own stores might change the thread's, for all that the compiler knows. */
    for (unsigned i = 0; i < n_ids; i++) {
        count_packets(&cells, ids[i], packets, bytes, now_ns);
    }
}

static void drop(struct cache_out *o, const struct packet *p, uint8_t reason)
{
    dp_thread_drop(o->thread, p->in_port, reason);
}

/* --- Walks --- */

/* The generation and the version that belong together; false: a bundle is just being published. */
static bool begin(const struct cache_plan *plan, const struct dp *dp, uint32_t *gen, uint64_t *version)
{
    *gen = atomic_load_explicit(&plan->gen, memory_order_acquire);
    *version = atomic_load_explicit(&dp->version, memory_order_acquire);
    return !(*gen & 1) && atomic_load_explicit(&plan->gen, memory_order_acquire) == *gen;
}

void cache_walk(struct cache_batch *b, struct packet *p, struct recorder *rec, struct guide *guide)
{
    struct exec e;
    exec_init(&e, b->out.thread, p, b->in_port, b->now_ns);
    e.version = b->version;
    e.rec = rec;
    e.guide = guide;
    exec_run(&e);
}

static void miss(struct cache_batch *b, struct packet *p, const struct cache_key *key, uint64_t hash)
{
    struct cache *c = &b->out.thread->cache;
    struct recorder rec;
    struct perf *perf = &b->out.thread->perf;
    perf_lap(perf, PERF_ACTIONS, 0);
    count_add(&c->counters.misses, 1);
    perf_count(perf, PERF_CACHE_MISS, 1);
    if (!cache_admits(c, b->plan, key, hash, b->in_port)) {
        cache_walk(b, p, NULL, NULL);
        perf_lap(perf, PERF_WALK, 1);
        return;
    }
    recorder_init(&rec, b->plan->shape ? key->w[b->plan->n_words] : 0);
    cache_walk(b, p, &rec, NULL);
    perf_lap(perf, PERF_WALK, 1);
    unsigned n = rec.n_rules + (rec.plain ? rec.n_counts : 0);
    if (rec.cacheable && n > b->plan->n_ids && n <= CACHE_MAX_IDS && n > atomic_load_explicit(&c->longest, memory_order_relaxed)) {
        atomic_store_explicit(&c->longest, n, memory_order_relaxed);
    }
    if (!rec.cacheable || rec.n_rules > b->plan->n_ids) {
        count_add(&c->counters.uncached, 1);
        perf_count(perf, PERF_UNCACHED, 1);
        return;
    }
    /* Whoever met a rule whose classes were not split when the keys were made learns of it here. */
    if (b->classes_seq & 1 || atomic_load_explicit(&b->plan->classes_seq, memory_order_acquire) != b->classes_seq) {
        return;
    }
    uint32_t program = rec.plain && n <= b->plan->n_ids ? cache_intern(c, &rec.program) : CACHE_GUIDED;
    if (program == CACHE_GUIDED) {      /* Which counts groups and buckets itself. */
        n = rec.n_rules;
    }
    struct cache_entry *entry = cache_place(c, b->plan, key, hash, b->in_port, b->gen);
    entry->program = program;
    entry->visited = rec.visited;
    entry->n_ids = (uint8_t) n;
    entry->n_rules = (uint8_t) rec.n_rules;
    uint32_t *ids = cache_ids(b->plan, entry);
    memcpy(ids, rec.rules, rec.n_rules * sizeof ids[0]);
    memcpy(ids + rec.n_rules, rec.counts, (n - rec.n_rules) * sizeof ids[0]);
    perf_lap(perf, PERF_CACHE, 0);
}

/* --- Hits --- */

static __attribute__((noinline)) bool still_right(struct cache_batch *b, struct cache_entry *e)
{
    if (!cache_untouched(&b->out.thread->cache.recent, b->plan, e)) {
        return cache_still_right(b->plan, e, b->gen);
    }
    e->gen = b->gen;
    return true;
}

/* The entry, if it is one for this key and still right. */
static inline struct cache_entry *verified(struct cache_batch *b, struct cache_entry *e, const struct cache_key *key, uint64_t hash)
{
    struct cache *c = &b->out.thread->cache;
    if (!e || !cache_key_equal(b->plan, e, key, b->in_port)) {
        /* Another flow's tag, or a flow that came in earlier in this batch. */
        e = cache_find(c, b->plan, key, hash, b->in_port);
        if (!e) {
            return NULL;
        }
    }
    if (__builtin_expect(e->gen != b->gen, 0) && !still_right(b, e)) {
        count_add(&c->counters.stale, 1);
        perf_count(&b->out.thread->perf, PERF_CACHE_STALE, 1);
        return NULL;
    }
    return e;
}

static __attribute__((noinline)) void hit_guided(struct cache_batch *b, const struct cache_entry *e, struct packet *p)
{
    struct guide guide = { cache_ids(b->plan, e), e->n_ids, 0 };
    cache_flush(&b->out);
    cache_walk(b, p, NULL, &guide);
    b->n_guided++;
}

static __attribute__((noinline)) void hit_unfit(struct cache_batch *b, struct packet *p)
{
    cache_flush(&b->out);
    cache_walk(b, p, NULL, NULL);
}

static __attribute__((noinline)) void hit_metered(struct cache_batch *b, const struct cache_entry *e, const struct cache_program *prog, struct packet *p)
{
    uint32_t len = p->len;
    unsigned n = execute_metered(&b->out, prog, p, e->n_ids);
    count_ids(b->out.thread, cache_ids(b->plan, e), n, 1, len, b->now_ns);
}

/* A good third of what a hit costs is here: one piece of code per loop over a batch, what is rare kept out of it. */
static inline __attribute__((always_inline)) void hit(struct cache_batch *b, const struct cache_entry *e, struct packet *p)
{
    struct dp_thread *t = b->out.thread;
    if (__builtin_expect(e->program == CACHE_GUIDED, 0)) {
        hit_guided(b, e, p);
        return;
    }
    const struct cache_program *prog = &t->cache.programs[e->program];
    if (prog->plain) {
        count_ids(t, cache_ids(b->plan, e), e->n_ids, 1, p->len, b->now_ns);
        put(&b->out, p, prog->port);
    } else if (__builtin_expect(!cache_may_run(prog, p), 0)) {
        hit_unfit(b, p);
    } else if (__builtin_expect(prog->meter, 0)) {
        hit_metered(b, e, prog, p);
    } else {
        count_ids(t, cache_ids(b->plan, e), e->n_ids, 1, p->len, b->now_ns);
        execute(&b->out, prog, p);
    }
}

void cache_hit(struct cache_batch *b, const struct cache_entry *e, struct packet *p)
{
    hit(b, e, p);
}

static inline void known(struct cache_batch *b, struct cache_entry *e, struct packet *p)
{
    b->n_hits++;
    if (__builtin_expect(b->check, 0)) {
        cache_check_hit(b, e, p);
    } else {
        hit(b, e, p);
    }
}

/* All packets of a batch in one entry: nothing but the port counts. */
static void run_port(struct cache_batch *b, struct packet **packets, unsigned n)
{
    struct dp_thread *t = b->out.thread;
    struct cache *c = &t->cache;
    struct cache_key key;
    uint64_t hash, bytes = 0;
    cache_keys(b->plan, packets, 1, b->in_port, &key, &hash);
    perf_lap(&t->perf, PERF_PARSE, n);
    struct cache_entry *e = verified(b, cache_candidate(c, b->plan, hash), &key, hash);
    unsigned i = 0;
    perf_lap(&t->perf, PERF_CACHE, n);
    if (!e) {
        miss(b, packets[i++], &key, hash);
        e = verified(b, NULL, &key, hash);
    }
    const struct cache_program *prog = e ? &c->programs[e->program] : NULL;
    if (!e || e->program == CACHE_GUIDED || !prog->plain || b->check) {
        for (; i < n; i++) {
            if (e) {
                known(b, e, packets[i]);
            } else {
                miss(b, packets[i], &key, hash);
            }
        }
        return;
    }
    for (unsigned k = i; k < n; k++) {
        bytes += packets[k]->len;
    }
    b->n_hits += n - i;
    count_ids(t, cache_ids(b->plan, e), e->n_ids, n - i, bytes, b->now_ns);
    if (n > i) {
        b->out.ops->output_batch(t, packets + i, n - i, prog->port, b->out.aux);
    }
}

static void run_keys(struct cache_batch *b, struct packet **packets, unsigned n)
{
    struct cache *c = &b->out.thread->cache;
    struct cache_key keys[DP_BATCH];
    uint64_t hashes[DP_BATCH];
    struct cache_entry *found[DP_BATCH];
    cache_keys(b->plan, packets, n, b->in_port, keys, hashes);
    perf_lap(&b->out.thread->perf, PERF_PARSE, n);
    for (unsigned i = 0; i < n; i++) {
        __builtin_prefetch(c->tags + (size_t) cache_bucket1(c, hashes[i]) * CACHE_WAYS);
    }
    for (unsigned i = 0; i < n; i++) {
        found[i] = cache_candidate(c, b->plan, hashes[i]);
        if (found[i]) {
            __builtin_prefetch(found[i]);
            if (b->plan->stride > 64) {
                __builtin_prefetch((const char *) found[i] + 64);
                __builtin_prefetch((const char *) found[i] + b->plan->stride - 1);
            }
        }
    }
    perf_lap(&b->out.thread->perf, PERF_CACHE, n);
    for (unsigned i = 0; i < n; i++) {
        if (i + PROGRAM_AHEAD < n && found[i + PROGRAM_AHEAD]) {
            const struct cache_entry *later = found[i + PROGRAM_AHEAD];
            __builtin_prefetch(&c->programs[later->program]);
            __builtin_prefetch(counter_cell(&b->out.thread->cells, cache_ids(b->plan, later)[0]), 1);
        }
        struct cache_entry *e = verified(b, found[i], &keys[i], hashes[i]);
        if (e) {
            known(b, e, packets[i]);
        } else {
            cache_flush(&b->out);
            miss(b, packets[i], &keys[i], hashes[i]);
        }
    }
}

void cache_run(struct dp_thread *t, struct packet **packets, unsigned n, uint32_t in_port, uint64_t now_ns)
{
    struct dp *dp = t->dp;
    struct cache *c = &t->cache;
    const struct cache_plan *plan = atomic_load_explicit(&dp->plan, memory_order_acquire);
    struct cache_batch b;
    b.plan = plan;
    b.in_port = in_port;
    b.now_ns = now_ns;
    b.n_hits = b.n_guided = 0;
    b.check = dp->cache->check;
    b.out.ops = &dp->ops;
    b.out.thread = t;
    b.out.aux = dp->aux;
    b.out.drop = drop;
    b.out.n = b.out.port = 0;
    b.out.trial = false;
    b.out.now_ns = now_ns;
    b.classes_seq = atomic_load_explicit(&plan->classes_seq, memory_order_acquire);
    if (!begin(plan, dp, &b.gen, &b.version) || !cache_ready(c, plan)) {
        for (unsigned i = 0; i < n; i++) {
            cache_walk(&b, packets[i], NULL, NULL);
        }
        return;
    }
    cache_recent_catch_up(&c->recent, plan, b.gen, now_ns);
    uint64_t inserts = atomic_load_explicit(&c->counters.inserts, memory_order_relaxed), evictions = atomic_load_explicit(&c->counters.evictions, memory_order_relaxed);
    if (!plan->n_key) {
        run_port(&b, packets, n);
    } else {
        run_keys(&b, packets, n);
    }
    cache_flush(&b.out);
    count_add(&c->counters.hits, b.n_hits);
    count_add(&c->counters.guided, b.n_guided);
    perf_count(&t->perf, PERF_CACHE_HIT, b.n_hits);
    if (b.n_hits != n) {
        perf_count(&t->perf, PERF_CACHE_INSERT, atomic_load_explicit(&c->counters.inserts, memory_order_relaxed) - inserts);
        perf_count(&t->perf, PERF_CACHE_EVICT, atomic_load_explicit(&c->counters.evictions, memory_order_relaxed) - evictions);
    }
}
