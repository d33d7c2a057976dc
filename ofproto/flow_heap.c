#include "ofproto/flow_heap.h"

#include <stdlib.h>

void flow_heap_init(struct flow_heap *h, unsigned slot, bool (*before)(const struct flow_entry *, const struct flow_entry *, uint32_t arg), uint32_t arg)
{
    *h = (struct flow_heap) { .slot = slot, .before = before, .arg = arg };
}

void flow_heap_fini(struct flow_heap *h)
{
    free(h->v);
    h->v = NULL;
    h->n = h->room = 0;
}

static void put(struct flow_heap *h, unsigned pos, struct flow_entry *e)
{
    h->v[pos] = e;
    e->heap_pos[h->slot] = pos;
}

static void settle(struct flow_heap *h, unsigned pos, struct flow_entry *e)
{
    for (; pos > 1 && h->before(e, h->v[pos / 2], h->arg); pos /= 2) {
        put(h, pos, h->v[pos / 2]);
    }
    for (unsigned child; (child = 2 * pos) <= h->n; pos = child) {
        if (child < h->n && h->before(h->v[child + 1], h->v[child], h->arg)) {
            child++;
        }
        if (!h->before(h->v[child], e, h->arg)) {
            break;
        }
        put(h, pos, h->v[child]);
    }
    put(h, pos, e);
}

void flow_heap_insert(struct flow_heap *h, struct flow_entry *e)
{
    if (h->n + 1 >= h->room) {
        h->room = h->room ? 2 * h->room : 16;
        h->v = xrealloc(h->v, h->room * sizeof *h->v);
    }
    h->n++;
    settle(h, h->n, e);
}

void flow_heap_remove(struct flow_heap *h, struct flow_entry *e)
{
    unsigned pos = e->heap_pos[h->slot];
    if (!pos) {
        return;
    }
    e->heap_pos[h->slot] = 0;
    struct flow_entry *last = h->v[h->n--];
    if (last != e) {
        settle(h, pos, last);
    }
}

void flow_heap_update(struct flow_heap *h, struct flow_entry *e)
{
    if (e->heap_pos[h->slot]) {
        settle(h, e->heap_pos[h->slot], e);
    }
}
