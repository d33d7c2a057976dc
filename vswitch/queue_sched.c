#include "vswitch/queue_sched.h"

#include "lib/util.h"

static void bucket(struct policer *p, uint64_t bps)
{
    policer_init(p, bps, MAX(bps * SCHED_BURST_MS / 1000, SCHED_BURST_BYTES * 8));
}

struct sched *sched_new(unsigned n, uint64_t bps, uint64_t now_ns)
{
    struct sched *s = xcalloc(1, sizeof *s + n * sizeof s->classes[0]);
    s->epoch_ns = now_ns;
    s->n = n;
    s->limited = bps;
    if (bps) {
        bucket(&s->rate, bps);
    }
    for (unsigned i = 0; i < n; i++) {
        s->classes[i].weight = 1;
    }
    return s;
}

void sched_class_set(struct sched_class *c, uint16_t weight, uint64_t max_bps)
{
    c->weight = MAX(weight, 1);
    c->limited = max_bps;
    if (max_bps) {
        bucket(&c->max, max_bps);
    }
}

static void pay(struct sched *s, struct sched_class *c, int64_t now)
{
    uint64_t bits = 8 * (uint64_t) c->head;
    c->credit -= c->head;
    if (c->limited) {
        policer_take(&c->max, bits, now);
    }
    if (s->limited) {
        policer_take(&s->rate, bits, now);
    }
}

static bool may_send(const struct sched_class *c, int64_t now)
{
    return c->head && (!c->limited || policer_open(&c->max, now));
}

/* Gives the credit of as many rounds as it takes until one class can send; false: none may. */
static bool wind(struct sched *s, int64_t now)
{
    uint64_t rounds = UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++) {
        const struct sched_class *c = &s->classes[i];
        if (may_send(c, now)) {
            uint64_t quantum = c->weight * (uint64_t) SCHED_QUANTUM, lacking = c->head > c->credit ? c->head - c->credit : 0;
            rounds = MIN(rounds, (lacking + quantum - 1) / quantum);
        }
    }
    for (unsigned i = 0; rounds != UINT64_MAX && i < s->n; i++) {
        struct sched_class *c = &s->classes[i];
        c->credit += may_send(c, now) ? rounds * c->weight * SCHED_QUANTUM : 0;
    }
    return rounds != UINT64_MAX;
}

int sched_pick(struct sched *s, uint64_t now_ns)
{
    int64_t now = (int64_t) ((now_ns - s->epoch_ns) * POLICER_TICKS_PER_NS);
    if (s->limited && !policer_open(&s->rate, now)) {
        return -1;
    }
    do {
        for (unsigned i = 0; i < s->n; i++, s->turn = (s->turn + 1) % s->n) {
            struct sched_class *c = &s->classes[s->turn];
            if (!c->head) {
                c->credit = 0;
            } else if (may_send(c, now)) {
                if (c->credit >= c->head) {
                    pay(s, c, now);
                    return (int) s->turn;
                }
                c->credit += c->weight * (uint64_t) SCHED_QUANTUM;      /* For its next turn. */
            }
        }
    } while (wind(s, now));
    return -1;
}
