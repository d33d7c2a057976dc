#include "lib/hmap.h"

#include "tests/unit.h"

unit_suite_fn hmap_test_suite;

struct item { struct hmap_node node; struct list link; unsigned key; bool in; };

enum { N = 500 };

static uint32_t weak_hash(unsigned key)
{
    return key % 97;            /* Many duplicates of one hash. */
}

static void test_model(void)
{
    static struct item items[N];
    struct hmap m;
    struct rng r;
    struct item *it;
    size_t n_in = 0;
    hmap_init(&m);
    CU_ASSERT_PTR_NULL(hmap_first(&m));
    CU_ASSERT_PTR_NULL(hmap_first_with_hash(&m, 1));
    rng_seed(&r, unit_seed());
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = rng_below(&r, N);
        items[k].key = k;
        if (items[k].in) {
            hmap_remove(&m, &items[k].node);
            n_in--;
        } else {
            hmap_insert(&m, &items[k].node, weak_hash(k));
            n_in++;
        }
        items[k].in = !items[k].in;
        CU_ASSERT_EQUAL(m.n, n_in);
        unsigned probe = rng_below(&r, N), found = 0;
        HMAP_FOR_EACH_WITH_HASH (it, node, weak_hash(probe), &m) {
            CU_ASSERT_EQUAL(weak_hash(it->key), weak_hash(probe));
            found += it->key == probe;
        }
        CU_ASSERT_EQUAL(found, items[probe].in);
    }
    size_t seen = 0;
    HMAP_FOR_EACH (it, node, &m) {
        CU_ASSERT_TRUE(it->in);
        it->in = false;         /* Seen once. */
        seen++;
        struct item *inner;
        size_t others = 0;
        HMAP_FOR_EACH (inner, node, &m) {       /* Loops nest. */
            others++;
        }
        CU_ASSERT_EQUAL(others, m.n);
        hmap_remove(&m, &it->node);
    }
    CU_ASSERT(seen == n_in && m.n == 0 && !hmap_first(&m));
    hmap_fini(&m);
}

static void test_list(void)
{
    struct item a = { .key = 1 }, b = { .key = 2 }, c = { .key = 3 }, *it;
    struct list head;
    unsigned order = 0;
    list_init(&head);
    CU_ASSERT_TRUE(list_empty(&head));
    list_push_back(&head, &b.link);
    list_push_front(&head, &a.link);
    list_insert_before(&head, &c.link);
    LIST_FOR_EACH (it, link, &head) {
        order = order * 10 + it->key;
    }
    CU_ASSERT_EQUAL(order, 123);
    LIST_FOR_EACH (it, link, &head) {
        if (it->key != 2) {
            list_remove(&it->link);
        }
    }
    CU_ASSERT(head.next == &b.link && head.prev == &b.link && list_empty(&a.link));
    list_remove(&b.link);
    list_remove(&b.link);       /* A removed node is an empty list of its own. */
    CU_ASSERT_TRUE(list_empty(&head));
}

void hmap_test_suite(void)
{
    UNIT_SUITE("hmap", { "against an array", test_model }, { "list", test_list });
}
