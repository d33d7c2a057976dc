/*
 * The test mode: each packet that the cache knows is also walked, on a copy, and both have to agree.
 *
 * Compared are the rules met, in order, what left by which ports, bytes and all, the packet-ins, and the reason of a drop.  Neither of the two copies sends or counts
 * anything; then the packet itself is run as always.  A meter takes nothing on either side (vswitch/meter.c), so both take the way of frames within the rate.
 */
#include "vswitch/cache_run.h"

#include <string.h>
#include "lib/util.h"
#include "vswitch/packet.h"

#define CHECK_MAX 64

/* What became of one copy. Outputs beyond CHECK_MAX are counted only. */
struct seen {
    const struct dp *dp;
    unsigned n_out, n_in, n_rules, n_drops;
    struct { uint32_t port, len, hash; } out[CHECK_MAX];
    uint32_t rules[CHECK_MAX];
    uint8_t drop;
    bool no_memory;                     /* A copy failed: nothing can be said. */
};

static void take(struct seen *s, struct dp_thread *t, struct packet *p, uint32_t port)
{
    if (s->n_out < CHECK_MAX) {
        s->out[s->n_out].port = port;
        s->out[s->n_out].len = p->len;
        s->out[s->n_out].hash = hash_bytes(p->data, p->len, 0);
    }
    s->n_out++;
    s->dp->ops.free(t, p, s->dp->aux);
}

static void output(struct dp_thread *t, struct packet *p, uint32_t port, void *seen)
{
    take(seen, t, p, port);
}

static void output_batch(struct dp_thread *t, struct packet **p, unsigned n, uint32_t port, void *seen)
{
    for (unsigned i = 0; i < n; i++) {
        take(seen, t, p[i], port);
    }
}

static struct packet *copy(struct dp_thread *t, const struct packet *p, void *seen)
{
    struct seen *s = seen;
    struct packet *c = s->dp->ops.copy(t, p, s->dp->aux);
    s->no_memory = s->no_memory || !c;
    return c;
}

static void free_packet(struct dp_thread *t, struct packet *p, void *seen)
{
    struct seen *s = seen;
    s->dp->ops.free(t, p, s->dp->aux);
}

static bool packet_in(struct dp_thread *t UNUSED, const struct packet *p UNUSED, const struct flow *f UNUSED, uint64_t cookie UNUSED, uint8_t table UNUSED, uint8_t reason UNUSED,
                      const struct dp_controller *controller UNUSED, void *seen)
{
    ((struct seen *) seen)->n_in++;
    return true;
}

static const struct dp_ops check_ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = free_packet, .packet_in = packet_in };

static void observe(struct exec *e, const struct exec_event *event)
{
    struct seen *s = e->observe_aux;
    if (event->type == EVENT_TABLE && s->n_rules < CHECK_MAX) {
        s->rules[s->n_rules++] = event->rule ? event->rule->counters->id : event->table;
    } else if (event->type == EVENT_DROP) {
        s->n_drops++;
        s->drop = event->reason;
    }
}

static void drop(struct cache_out *o, const struct packet *p UNUSED, uint8_t reason)
{
    struct seen *s = o->aux;
    s->n_drops++;
    s->drop = reason;
}

static void walk(struct cache_batch *b, struct packet *p, struct seen *s, struct guide *guide)
{
    struct exec e;
    exec_init(&e, b->out.thread, p, b->in_port, b->now_ns);
    e.version = b->version;
    e.guide = guide;
    e.ops = &check_ops;
    e.aux = s;
    e.observe = observe;
    e.observe_aux = s;
    exec_run(&e);
}

/* The cached way. */
static void replay(struct cache_batch *b, const struct cache_entry *entry, struct packet *p, struct seen *s)
{
    const uint32_t *ids = cache_ids(b->plan, entry);
    const struct cache_program *prog = &b->out.thread->cache.programs[entry->program];
    if (entry->program == CACHE_GUIDED) {
        struct guide guide = { ids, entry->n_ids, 0 };
        walk(b, p, s, &guide);
        return;
    }
    if (!cache_may_run(prog, p)) {
        walk(b, p, s, NULL);
        return;
    }
    struct cache_out o = { .ops = &check_ops, .thread = b->out.thread, .aux = s, .drop = drop, .trial = true, .now_ns = b->now_ns };
    cache_execute(&o, prog, p);
    cache_flush(&o);
    s->n_rules = MIN(entry->n_ids, CHECK_MAX);
    memcpy(s->rules, ids, s->n_rules * sizeof ids[0]);
}

/* Section 6.4: of overlapping entries of one priority either may be met.  So the two ways may part at such a pair, and then anything goes. */
static bool may_part(const struct seen *walked, const struct seen *cached)
{
    unsigned i = 0, n = MIN(walked->n_rules, cached->n_rules);
    while (i < n && walked->rules[i] == cached->rules[i]) {
        i++;
    }
    if (i == n || walked->rules[i] < OF_N_TABLES || cached->rules[i] < OF_N_TABLES) {
        return false;
    }
    const struct dp_rule *a = dp_rule_of_counter(walked->dp, walked->rules[i]), *b = dp_rule_of_counter(walked->dp, cached->rules[i]);
    return a && b && a->table == b->table && a->cls.priority == b->cls.priority;
}

static bool agree(const struct seen *walked, const struct seen *cached, bool plain)
{
    if (walked->no_memory || cached->no_memory || may_part(walked, cached)) {
        return true;
    }
    /* Of a plain entry the ids go on with groups and buckets. */
    bool rules = plain ? cached->n_rules >= walked->n_rules : cached->n_rules == walked->n_rules;
    return rules && !memcmp(walked->rules, cached->rules, walked->n_rules * sizeof walked->rules[0]) && walked->n_out == cached->n_out
        && !memcmp(walked->out, cached->out, MIN(walked->n_out, CHECK_MAX) * sizeof walked->out[0]) && walked->n_in == cached->n_in
        && walked->n_drops == cached->n_drops && walked->drop == cached->drop;
}

static struct packet *clone(struct cache_batch *b, const struct packet *p)
{
    struct packet *c = b->out.ops->copy(b->out.thread, p, b->out.aux);
    if (c) {
        c->in_port = p->in_port;
        c->l2_len = p->l2_len;
        c->l3_ofs = p->l3_ofs;
        c->l4_ofs = p->l4_ofs;
        c->queue = p->queue;
    }
    return c;
}

void cache_check_hit(struct cache_batch *b, struct cache_entry *entry, struct packet *p)
{
    struct dp_thread *t = b->out.thread;
    struct seen walked = { .dp = t->dp }, cached = { .dp = t->dp };
    struct packet *first = clone(b, p), *second = first ? clone(b, p) : NULL;
    if (second) {
        walk(b, first, &walked, NULL);
        replay(b, entry, second, &cached);
        if (!agree(&walked, &cached, entry->program != CACHE_GUIDED)) {
            count_add(&t->cache.counters.mismatches, 1);
        }
    } else if (first) {
        t->dp->ops.free(t, first, t->dp->aux);
    }
    cache_hit(b, entry, p);
}
