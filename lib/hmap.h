/*
 * Intrusive hash map and doubly linked list, single-threaded.
 *
 * hmap: an array of singly linked chains of `struct hmap_node`, embedded in the owner's object; the map never owns
 * objects. It grows by doubling; duplicates of one hash are allowed and iteration order is unspecified. list: circular,
 * with a head node; an initialised node that is in no list points to itself.
 */
#ifndef LIB_HMAP_H
#define LIB_HMAP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/util.h"

struct hmap_node { uint32_t hash; struct hmap_node *next; };
struct hmap { struct hmap_node **buckets; size_t mask; size_t n; };

void hmap_init(struct hmap *);
void hmap_fini(struct hmap *);                          /* The map must be empty of objects that still matter. */
void hmap_insert(struct hmap *, struct hmap_node *, uint32_t hash);
void hmap_remove(struct hmap *, struct hmap_node *);
static inline struct hmap_node *hmap_first_with_hash(const struct hmap *m, uint32_t hash)
{
    struct hmap_node *n = m->buckets ? m->buckets[hash & m->mask] : NULL;
    while (n && n->hash != hash) { n = n->next; }
    return n;
}
static inline struct hmap_node *hmap_next_with_hash(const struct hmap_node *n)
{
    uint32_t hash = n->hash;
    do { n = n->next; } while (n && n->hash != hash);
    return (struct hmap_node *) n;
}
struct hmap_node *hmap_first(const struct hmap *);
struct hmap_node *hmap_next(const struct hmap *, const struct hmap_node *);

/* The macros' own variables bear the line's number, so that loops may nest. */
#define HMAP_PASTE2_(A, B) A##B
#define HMAP_PASTE_(A, B) HMAP_PASTE2_(A, B)
#define HMAP_FOR_EACH_WITH_HASH(OBJ, MEMBER, HASH, MAP) \
    HMAP_FOR_EACH_WITH_HASH_(OBJ, MEMBER, HASH, MAP, HMAP_PASTE_(n_, __LINE__))
#define HMAP_FOR_EACH_WITH_HASH_(OBJ, MEMBER, HASH, MAP, N) \
    for (struct hmap_node *N = hmap_first_with_hash(MAP, HASH); \
         N && ((OBJ) = CONTAINER_OF(N, __typeof__(*(OBJ)), MEMBER), true); N = hmap_next_with_hash(N))
/* OBJ may be removed and freed in the body; nothing else may be. */
#define HMAP_FOR_EACH(OBJ, MEMBER, MAP) \
    HMAP_FOR_EACH_(OBJ, MEMBER, MAP, HMAP_PASTE_(n_, __LINE__), HMAP_PASTE_(x_, __LINE__))
#define HMAP_FOR_EACH_(OBJ, MEMBER, MAP, N, X) \
    for (struct hmap_node *N = hmap_first(MAP), *X = N ? hmap_next(MAP, N) : NULL; \
         N && ((OBJ) = CONTAINER_OF(N, __typeof__(*(OBJ)), MEMBER), true); N = X, X = N ? hmap_next(MAP, N) : NULL)

struct list { struct list *prev, *next; };
static inline void list_init(struct list *l) { l->prev = l->next = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_insert_before(struct list *pos, struct list *n) { n->prev = pos->prev; n->next = pos; pos->prev->next = n; pos->prev = n; }
static inline void list_push_back(struct list *head, struct list *n) { list_insert_before(head, n); }
static inline void list_push_front(struct list *head, struct list *n) { list_insert_before(head->next, n); }
static inline void list_remove(struct list *n) { n->prev->next = n->next; n->next->prev = n->prev; list_init(n); }
/* OBJ may be removed in the body. */
#define LIST_FOR_EACH(OBJ, MEMBER, HEAD) \
    LIST_FOR_EACH_(OBJ, MEMBER, HEAD, HMAP_PASTE_(l_, __LINE__), HMAP_PASTE_(m_, __LINE__))
#define LIST_FOR_EACH_(OBJ, MEMBER, HEAD, L, M) \
    for (struct list *L = (HEAD)->next, *M = L->next; \
         L != (HEAD) && ((OBJ) = CONTAINER_OF(L, __typeof__(*(OBJ)), MEMBER), true); L = M, M = L->next)

#endif
