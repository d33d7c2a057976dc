/* A port's queues: which frame goes where, what a full queue refuses, the order of what comes out and goes back, several threads that put. */
#include "vswitch/queue.h"

#include <pthread.h>
#include "lib/util.h"
#include "tests/unit.h"
#include "vswitch/device_mbuf_test.h"

unit_suite_fn queue_test_suite;

#define NS_PER_MS UINT64_C(1000000)

static unsigned take_all(struct queues *qs, uint64_t now_ns)
{
    struct rte_mbuf *out[DP_BATCH];
    unsigned n = 0;
    for (unsigned k; (k = queues_get(qs, now_ns, out)); n += k) {
        for (unsigned i = 0; i < k; i++) {
            rte_pktmbuf_free(out[i]);
        }
    }
    return n;
}

static struct of_queue stats_of(const struct queues *qs, unsigned i)
{
    struct of_queue q;
    queues_stats(qs, i, qs->created_ns + 1500 * NS_PER_MS, &q);
    return q;
}

static void test_none(void)
{
    struct config_qos qos = { .rate_mbps = 0 };
    CU_ASSERT_PTR_NULL(queues_new(&qos, 1000, 1));
    queues_free(NULL);
}

static void put(struct queues *qs, uint32_t size, uint32_t id, bool fits)
{
    struct rte_mbuf *m = mbuf_test_make(size);
    bool taken = queues_put(qs, m, id);
    CU_ASSERT_EQUAL(taken, fits);
    if (!taken) {
        rte_pktmbuf_free(m);
    }
}

static void test_which(void)
{
    struct config_qos qos = { .n = 2, .v = { { 3, 100, OF_RATE_NONE }, { 9, 300, 500 } } };
    struct queues *qs = queues_new(&qos, 0, 5);
    CU_ASSERT_FALSE(queues_waiting(qs));
    put(qs, 100, 3, true);
    put(qs, 200, 9, true);
    put(qs, 300, 0, true);              /* Names none: the implied one. */
    put(qs, 400, 7, true);              /* Names one that is not there: the same. */
    CU_ASSERT_TRUE(queues_waiting(qs));
    CU_ASSERT_EQUAL(take_all(qs, 10), 4);
    CU_ASSERT_FALSE(queues_waiting(qs));
    CU_ASSERT_TRUE(stats_of(qs, 0).tx_packets == 2 && stats_of(qs, 0).tx_bytes == 700);
    CU_ASSERT_TRUE(stats_of(qs, 1).id == 3 && stats_of(qs, 1).tx_packets == 1 && stats_of(qs, 1).tx_bytes == 100);
    CU_ASSERT_TRUE(stats_of(qs, 2).id == 9 && stats_of(qs, 2).tx_bytes == 200 && stats_of(qs, 2).duration_sec == 1 && stats_of(qs, 2).duration_nsec == 500000000);
    queues_free(qs);
    qos = (struct config_qos) { .n = 1, .v = { { 0, 100, OF_RATE_NONE } } };
    qs = queues_new(&qos, 0, 5);
    put(qs, 100, 77, true);
    CU_ASSERT_TRUE(qs->n == 1 && take_all(qs, 10) == 1 && stats_of(qs, 0).tx_packets == 1);
    queues_free(qs);
}

static void test_full(void)
{
    struct config_qos qos = { .n = 2, .v = { { 1, OF_RATE_NONE, OF_RATE_NONE }, { 2, OF_RATE_NONE, OF_RATE_NONE } } };
    struct queues *qs = queues_new(&qos, 0, 5);
    for (unsigned i = 0; i < QUEUE_LENGTH + 3; i++) {
        put(qs, 60, 1, i < QUEUE_LENGTH);
    }
    put(qs, 60, 2, true);               /* The others have their own room. */
    CU_ASSERT_EQUAL(stats_of(qs, 1).tx_errors, 3);
    CU_ASSERT_EQUAL(stats_of(qs, 2).tx_errors, 0);
    CU_ASSERT_EQUAL(take_all(qs, 10), QUEUE_LENGTH + 1);
    put(qs, 60, 1, true);
    queues_free(qs);                    /* With what is left; the suite's end counts buffers. */
}

/* What the device does not take goes first the next time, and is not counted again; the port's ceiling counts it once. */
static void test_put_back(void)
{
    struct config_qos qos = { .rate_mbps = 8, .n = 1, .v = { { 0, OF_RATE_NONE, OF_RATE_NONE } } };
    struct queues *qs = queues_new(&qos, 0, 0);
    struct rte_mbuf *out[DP_BATCH];
    uint32_t size = 60;
    for (unsigned i = 0; i < DP_BATCH + 8; i++) {
        put(qs, size + i, 0, true);
    }
    unsigned n = queues_get(qs, NS_PER_MS, out);
    CU_ASSERT_EQUAL_FATAL(n, DP_BATCH);
    queues_put_back(qs, out + 2, n - 2);
    rte_pktmbuf_free(out[0]);
    rte_pktmbuf_free(out[1]);
    CU_ASSERT_TRUE(queues_waiting(qs));
    n = queues_get(qs, NS_PER_MS, out);
    CU_ASSERT_EQUAL_FATAL(n, DP_BATCH);
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(out[i]->pkt_len, size + 2 + i);
        rte_pktmbuf_free(out[i]);
    }
    CU_ASSERT_EQUAL(stats_of(qs, 0).tx_packets, DP_BATCH + 2);
    CU_ASSERT_EQUAL(take_all(qs, NS_PER_MS), 6);
    /* 8 Mb/s are 1,000 bytes a millisecond; the bucket begins full. */
    for (unsigned i = 0; i < 30; i++) {
        put(qs, 1000, 0, true);
    }
    take_all(qs, NS_PER_MS);
    unsigned before = (unsigned) stats_of(qs, 0).tx_packets;
    CU_ASSERT_EQUAL(take_all(qs, 6 * NS_PER_MS), 5);
    CU_ASSERT_EQUAL(stats_of(qs, 0).tx_packets, before + 5);
    while (queues_waiting(qs)) {
        rte_pktmbuf_free(queues_drain(qs));
    }
    CU_ASSERT_PTR_NULL(queues_drain(qs));
    queues_free(qs);
}

enum { N_PUTTERS = 3, N_PUT = 20000 };
struct putter { struct queues *qs; struct rte_mbuf *m; _Atomic unsigned *n_live; unsigned refused; pthread_t thread; };

/* One buffer each, by reference: the pool's cache is not for threads that the EAL does not know. */
static void *putter(void *putter_)
{
    struct putter *p = putter_;
    for (unsigned i = 0; i < N_PUT; i++) {
        p->refused += !queues_put(p->qs, p->m, 1 + i % 2);
    }
    atomic_fetch_sub(p->n_live, 1);
    return NULL;
}

static void test_threads(void)
{
    struct config_qos qos = { .n = 2, .v = { { 1, 1, OF_RATE_NONE }, { 2, 900, OF_RATE_NONE } } };
    struct queues *qs = queues_new(&qos, 0, 0);
    _Atomic unsigned n_live = N_PUTTERS;
    struct putter putters[N_PUTTERS];
    struct rte_mbuf *out[DP_BATCH], *m = mbuf_test_make(60);
    unsigned taken = 0, refused = 0;
    for (unsigned i = 0; i < N_PUTTERS; i++) {
        putters[i] = (struct putter) { .qs = qs, .m = m, .n_live = &n_live };
        CU_ASSERT_EQUAL_FATAL(pthread_create(&putters[i].thread, NULL, putter, &putters[i]), 0);
    }
    while (atomic_load(&n_live) || queues_waiting(qs)) {
        taken += queues_get(qs, 1, out);
    }
    for (unsigned i = 0; i < N_PUTTERS; i++) {
        pthread_join(putters[i].thread, NULL);
        refused += putters[i].refused;
    }
    CU_ASSERT_EQUAL(taken + refused, N_PUTTERS * N_PUT);
    CU_ASSERT_EQUAL(stats_of(qs, 1).tx_packets + stats_of(qs, 2).tx_packets, taken);
    CU_ASSERT_EQUAL(stats_of(qs, 1).tx_errors + stats_of(qs, 2).tx_errors, refused);
    rte_pktmbuf_free(m);
    queues_free(qs);
}

void queue_test_suite(void)
{
    UNIT_SUITE("queues", { "none", test_none }, { "which queue", test_which }, { "full", test_full }, { "put back", test_put_back }, { "threads", test_threads });
}
