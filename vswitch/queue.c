#include "vswitch/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "lib/util.h"
#include "vswitch/port.h"

static struct rte_ring *ring_new(void)
{
    struct rte_ring *ring = aligned_alloc(RTE_CACHE_LINE_SIZE, ROUND_UP((size_t) rte_ring_get_memsize(2 * QUEUE_LENGTH), (size_t) RTE_CACHE_LINE_SIZE));
    if (!ring || rte_ring_init(ring, "queue", QUEUE_LENGTH, RING_F_SC_DEQ | RING_F_EXACT_SZ)) {
        abort();
    }
    return ring;
}

struct queues *queues_new(const struct config_qos *qos, unsigned speed_mbps, uint64_t now_ns)
{
    if (!qos->n && !qos->rate_mbps) {
        return NULL;
    }
    struct queues *qs = XNEW(struct queues);
    uint64_t bps = (qos->rate_mbps ? qos->rate_mbps : speed_mbps ? speed_mbps : QUEUE_DEFAULT_MBPS) * UINT64_C(1000000);
    qs->created_ns = now_ns;
    qs->implied = !qos->n || qos->v[0].id;      /* They are in ascending order. */
    qs->n = qos->n + qs->implied;
    qs->v = xcalloc(qs->n, sizeof qs->v[0]);
    qs->sched = sched_new(qs->n, qos->rate_mbps ? bps : 0, now_ns);
    for (unsigned i = 0; i < qs->n; i++) {
        qs->v[i].ring = ring_new();
        if (i >= qs->implied) {
            const struct config_queue *from = &qos->v[i - qs->implied];
            qs->v[i].id = from->id;
            sched_class_set(&qs->sched->classes[i], from->min_rate == OF_RATE_NONE ? 1 : from->min_rate, from->max_rate == OF_RATE_NONE ? 0 : bps / 1000 * from->max_rate);
        }
    }
    return qs;
}

struct rte_mbuf *queues_drain(struct queues *qs)
{
    if (qs->n_back) {
        return qs->back[--qs->n_back];
    }
    for (unsigned i = 0; i < qs->n; i++) {
        struct queue *q = &qs->v[i];
        void *m;
        if (q->at < q->n) {
            return q->stage[q->at++];
        }
        if (!rte_ring_sc_dequeue(q->ring, &m)) {
            return m;
        }
    }
    return NULL;
}

void queues_free(struct queues *qs)
{
    if (!qs) {
        return;
    }
    for (struct rte_mbuf *m; (m = queues_drain(qs)); ) {
        rte_pktmbuf_free(m);
    }
    for (unsigned i = 0; i < qs->n; i++) {
        free(qs->v[i].ring);
    }
    free(qs->sched);
    free(qs->v);
    free(qs);
}

void queues_stats(const struct queues *qs, unsigned i, uint64_t now_ns, struct of_queue *out)
{
    const struct queue *q = &qs->v[i];
    uint64_t age = now_ns - qs->created_ns;
    *out = (struct of_queue) {
        .id = q->id, .min_rate = OF_RATE_NONE, .max_rate = OF_RATE_NONE, .tx_packets = counter_get(&q->tx_packets), .tx_bytes = counter_get(&q->tx_bytes),
        .tx_errors = atomic_load_explicit(&q->dropped, memory_order_relaxed), .duration_sec = (uint32_t) (age / 1000000000), .duration_nsec = (uint32_t) (age % 1000000000),
    };
}

/* --- Poll-mode threads --- */

bool queues_put(struct queues *qs, struct rte_mbuf *m, uint32_t id)
{
    struct queue *q = &qs->v[0];
    for (unsigned i = qs->implied; i < qs->n; i++) {
        if (qs->v[i].id == id) {
            q = &qs->v[i];
            break;
        }
    }
    if (rte_ring_mp_enqueue(q->ring, m)) {
        atomic_fetch_add_explicit(&q->dropped, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

/* The scheduler learns the size of the frame that is next. */
static void look(struct queues *qs, unsigned i)
{
    struct queue *q = &qs->v[i];
    if (q->at == q->n) {
        q->at = 0;
        q->n = rte_ring_sc_dequeue_burst(q->ring, (void **) q->stage, DP_BATCH, NULL);
    }
    qs->sched->classes[i].head = q->at < q->n ? q->stage[q->at]->pkt_len : 0;
}

unsigned queues_get(struct queues *qs, uint64_t now_ns, struct rte_mbuf *out[DP_BATCH])
{
    unsigned n = qs->n_back;
    memcpy(out, qs->back, n * sizeof out[0]);
    qs->n_back = 0;
    for (unsigned i = 0; n < DP_BATCH && i < qs->n; i++) {
        look(qs, i);
    }
    for (int i; n < DP_BATCH && (i = sched_pick(qs->sched, now_ns)) >= 0; n++) {
        struct queue *q = &qs->v[i];
        out[n] = q->stage[q->at++];
        counter_add(&q->tx_packets, 1);
        counter_add(&q->tx_bytes, out[n]->pkt_len);
        look(qs, (unsigned) i);
    }
    return n;
}

void queues_put_back(struct queues *qs, struct rte_mbuf **frames, unsigned k)
{
    assert(!qs->n_back && k <= DP_BATCH);
    memcpy(qs->back, frames, k * sizeof frames[0]);
    qs->n_back = k;
}

bool queues_waiting(const struct queues *qs)
{
    for (unsigned i = 0; i < qs->n; i++) {
        if (qs->v[i].at < qs->v[i].n || !rte_ring_empty(qs->v[i].ring)) {
            return true;
        }
    }
    return qs->n_back;
}
