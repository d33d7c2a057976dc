/*
 * Who has ids of interned pairs, and who may have more.
 *
 * A network's quota is shared by its ports, without a number for each: the port that has the most ids does not get the
 * last eighth, so that whatever one machine does there is room for what the others begin. From there on each new pair
 * drains an idle one of that port, the least recently used: one whose counters had not grown when they were last read.
 * Its place is free when the receivers have forgotten it, some seconds later. A pair that is drained and used again before
 * has its id back at once. Pairs that nobody answers have half of the quota, and in it the same holds for them. Who gets
 * no id is carried meanwhile (relay.c). Loop thread only.
 */
#include <stdlib.h>

#include "controller/fabric_impl.h"

#define RESERVED 8              /* One in so many is not for the port that has the most. */

static unsigned limit_of(const struct vsw *vsw, enum pair_kind kind)
{
    unsigned quota = vsw->controller->config.intern_pairs_per_network;
    return kind == PAIRS_ALL ? quota : quota - quota / 2;
}

static struct pair_holder *holder_find(const struct vsw *vsw, uint32_t in_port)
{
    struct pair_holder *h;
    LIST_FOR_EACH (h, node, &vsw->pair_holders) {
        if (h->in_port == in_port) {
            return h;
        }
    }
    return NULL;
}

static bool has_most(const struct vsw *vsw, const struct pair_holder *holder, enum pair_kind kind)
{
    const struct pair_holder *h;
    LIST_FOR_EACH (h, node, &vsw->pair_holders) {
        if (!holder || h->n[kind] > holder->n[kind]) {
            return false;
        }
    }
    return holder;
}

/* The holder's least recently used pair of the kind, if it is idle. */
static struct pair *idle_pair(const struct pair_holder *h, enum pair_kind kind)
{
    struct pair *pair;
    LIST_FOR_EACH (pair, by_use, &h->used) {
        if (kind == PAIRS_ALL || pair->unanswered) {
            return pair->idle ? pair : NULL;
        }
    }
    return NULL;
}

/* Of whoever has the most and does not use all of it. */
static struct pair *find_victim(const struct vsw *vsw, enum pair_kind kind)
{
    const struct pair_holder *h, *most = NULL;
    struct pair *victim = NULL;
    LIST_FOR_EACH (h, node, &vsw->pair_holders) {
        struct pair *idle = !most || h->n[kind] > most->n[kind] ? idle_pair(h, kind) : NULL;
        if (idle) {
            most = h;
            victim = idle;
        }
    }
    return victim;
}

static bool pressed(const struct vsw *vsw, enum pair_kind kind)
{
    unsigned limit = limit_of(vsw, kind);
    return vsw->n_pairs[kind] - vsw->n_draining[kind] + 1 > limit - limit / RESERVED;
}

bool intern_quota_pressed(const struct vsw *vsw) { return pressed(vsw, PAIRS_ALL) || pressed(vsw, PAIRS_UNANSWERED); }

bool intern_quota_allows(const struct vsw *vsw, uint32_t in_port, bool unanswered, struct pair **victim)
{
    const struct pair_holder *holder = holder_find(vsw, in_port);
    bool allows = true;
    *victim = NULL;
    for (int kind = unanswered ? PAIRS_UNANSWERED : PAIRS_ALL; kind >= PAIRS_ALL; kind--) {
        unsigned limit = limit_of(vsw, (enum pair_kind) kind);
        allows &= vsw->n_pairs[kind] < limit - (has_most(vsw, holder, (enum pair_kind) kind) ? limit / RESERVED : 0);
        if (!*victim && pressed(vsw, (enum pair_kind) kind)) {
            *victim = find_victim(vsw, (enum pair_kind) kind);
        }
    }
    return allows;
}

static void count(const struct pair *pair, unsigned counts[2], int delta)
{
    counts[PAIRS_ALL] += (unsigned) delta;
    counts[PAIRS_UNANSWERED] += pair->unanswered ? (unsigned) delta : 0;
}

void intern_quota_add(struct vsw *vsw, struct pair *pair, uint32_t in_port)
{
    struct pair_holder *h = holder_find(vsw, in_port);
    if (!h) {
        h = XNEW(struct pair_holder);
        h->in_port = in_port;
        list_init(&h->used);
        list_push_back(&vsw->pair_holders, &h->node);
    }
    pair->holder = h;
    list_push_back(&h->used, &pair->by_use);
    count(pair, vsw->n_pairs, +1);
    count(pair, h->n, +1);
}

void intern_quota_used(struct pair *pair)
{
    pair->idle = false;
    if (!list_empty(&pair->by_use)) {                   /* Else it drains. */
        list_remove(&pair->by_use);
        list_push_back(&pair->holder->used, &pair->by_use);
    }
}

void intern_quota_drain(struct vsw *vsw, struct pair *pair)
{
    list_remove(&pair->by_use);
    count(pair, vsw->n_draining, +1);
}

void intern_quota_revive(struct vsw *vsw, struct pair *pair)
{
    pair->idle = false;
    list_push_back(&pair->holder->used, &pair->by_use);
    count(pair, vsw->n_draining, -1);
}

void intern_quota_remove(struct vsw *vsw, struct pair *pair)
{
    struct pair_holder *h = pair->holder;
    if (pair->state == PAIR_DRAINING) {
        intern_quota_revive(vsw, pair);
    }
    list_remove(&pair->by_use);
    count(pair, vsw->n_pairs, -1);
    count(pair, h->n, -1);
    if (!h->n[PAIRS_ALL]) {
        list_remove(&h->node);
        free(h);
    }
}
