#include "lib/hmap.h"

#include <assert.h>
#include <stdlib.h>

void hmap_init(struct hmap *m)
{
    *m = (struct hmap) { .buckets = NULL };
}

void hmap_fini(struct hmap *m)
{
    free(m->buckets);
    hmap_init(m);
}

static void hmap_grow(struct hmap *m)
{
    size_t n_buckets = m->buckets ? (m->mask + 1) * 2 : 8;
    struct hmap_node **buckets = xcalloc(n_buckets, sizeof *buckets);
    for (size_t i = 0; m->buckets && i <= m->mask; i++) {
        for (struct hmap_node *n = m->buckets[i], *next; n; n = next) {
            struct hmap_node **b = &buckets[n->hash & (n_buckets - 1)];
            next = n->next;
            n->next = *b;
            *b = n;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->mask = n_buckets - 1;
}

void hmap_insert(struct hmap *m, struct hmap_node *n, uint32_t hash)
{
    if (!m->buckets || m->n > m->mask) {
        hmap_grow(m);
    }
    struct hmap_node **b = &m->buckets[hash & m->mask];
    n->hash = hash;
    n->next = *b;
    *b = n;
    m->n++;
}

void hmap_remove(struct hmap *m, struct hmap_node *n)
{
    assert(m->buckets);
    struct hmap_node **p = &m->buckets[n->hash & m->mask];
    while (*p != n) {
        assert(*p);             /* Removing what is not in the map. */
        p = &(*p)->next;
    }
    *p = n->next;
    m->n--;
}

static struct hmap_node *first_from(const struct hmap *m, size_t bucket)
{
    for (; m->buckets && bucket <= m->mask; bucket++) {
        if (m->buckets[bucket]) {
            return m->buckets[bucket];
        }
    }
    return NULL;
}

struct hmap_node *hmap_first(const struct hmap *m)
{
    return first_from(m, 0);
}

struct hmap_node *hmap_next(const struct hmap *m, const struct hmap_node *n)
{
    return n->next ? n->next : first_from(m, (n->hash & m->mask) + 1);
}
