/* The generator's loop.  Frames are made in bursts from their flows' heads; what the ring does not take waits, so no frame is made twice. */
#include "utilities/bench/gen.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "lib/util.h"
#include "utilities/bench/probe.h"

#define FIRST_FRAME_S 10        /* Until the switch must have answered; a client of vhost-user connects again every second. */
#define DRAIN_S 0.1
#define AHEAD 8                 /* Flows whose heads are fetched before they are needed. */
#define SEQUENCE_BITS 28        /* The rest names the queue. */
#define SEQUENCE_MASK ((UINT32_C(1) << SEQUENCE_BITS) - 1)

static unsigned frame_size(const struct gen *g, uint32_t sequence)
{
    static const uint16_t imix[12] = { 60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 60, 590 };
    return g->options.size != GEN_IMIX ? g->options.size : imix[sequence % ARRAY_SIZE(imix)];
}

/* The next place in the schedule: queue i of n sends places i, i + n, …, so that a flow stays on one queue. */
static void step(const struct gen *g, struct gen_queue *q, unsigned index)
{
    q->at += g->options.queues;
    if (q->at >= g->flows.n_schedule) {
        q->at = index % g->flows.n_schedule;
        q->pass++;
    }
}

static void make_captured(const struct gen *g, struct gen_queue *q, unsigned index, struct rte_mbuf *m)
{
    const struct flows *f = &g->flows;
    uint32_t frame = f->schedule[q->at];
    uint16_t size = (uint16_t) (f->start[frame + 1] - f->start[frame]);
    memcpy(rte_pktmbuf_mtod(m, void *), f->bytes + f->start[frame], size);
    m->data_len = size;
    m->pkt_len = size;
    size_t ahead = q->at + AHEAD * g->options.queues;
    if (ahead < f->n_schedule) {
        rte_prefetch0(f->bytes + f->start[f->schedule[ahead]]);
    }
    step(g, q, index);
}

static void make_frame(struct gen *g, struct gen_queue *q, unsigned index, struct rte_mbuf *m, uint32_t stamp)
{
    const struct flows *f = &g->flows;
    uint32_t flow = f->schedule[q->at];
    uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
    memcpy(frame, f->head[flow], FLOWS_HEAD);
    unsigned size = frame_size(g, q->sequence), l3 = frame[12] == 0x81 ? PROBE_L2 + PROBE_TAG : PROBE_L2;
    size = MAX(size, l3 + PROBE_IPV4 + PROBE_END);
    if (g->options.size == GEN_IMIX) {
        flows_set_size(frame, size);
    }
    if (g->options.fresh) {
        uint8_t *port = frame + l3 + PROBE_IPV4;
        wire_put16(port, (uint16_t) (wire_get16(port) + q->pass));
    }
    struct probe probe = { flow, index << SEQUENCE_BITS | (q->sequence++ & SEQUENCE_MASK), stamp };
    probe_write(frame, l3, &probe);
    m->data_len = (uint16_t) size;
    m->pkt_len = size;
    size_t ahead = q->at + AHEAD * g->options.queues;
    if (ahead < f->n_schedule) {
        rte_prefetch0(f->head[f->schedule[ahead]]);
    }
    step(g, q, index);
}

static void fetch_line(const void *line)
{
#ifdef __x86_64__
    __asm__ volatile ("prefetchw %0" : : "m" (*(const char *) line));   /* The builtin is one for reading, where the build is for any x86-64. */
#else
    __builtin_prefetch(line, 1);
#endif
}

/* Buffers for the next burst: the switch read these lines last, and so long before they are written they are asked back from its core. */
static void fetch(struct gen *g, struct gen_queue *q)
{
    unsigned n = GEN_BURST - q->n_fetched;
    if (n < GEN_BURST / 2 || rte_pktmbuf_alloc_bulk(g->tx_pool, q->fetched + q->n_fetched, n)) {
        return;                 /* All buffers are on their way: the next round finds some. */
    }
    for (unsigned i = q->n_fetched; i < GEN_BURST; i++) {
        char *frame = rte_pktmbuf_mtod(q->fetched[i], char *);
        fetch_line(frame - RTE_CACHE_LINE_SIZE);        /* virtio's header. */
        fetch_line(frame);
    }
    q->n_fetched = GEN_BURST;
}

/* Up to n frames of one queue. */
static void send_some(struct gen *g, unsigned index, unsigned n)
{
    struct gen_queue *q = &g->queues[index];
    if (q->first == q->n) {
        q->first = q->n = 0;
        n = MIN(n, q->n_fetched);
        memcpy(q->pending, q->fetched + q->n_fetched - n, n * sizeof q->pending[0]);
        q->n_fetched -= n;
        if (!n) {
            fetch(g, q);
            return;
        }
        uint32_t stamp = (uint32_t) rte_rdtsc();
        for (unsigned i = 0; i < n; i++) {
            if (g->flows.head) {
                make_frame(g, q, index, q->pending[i], stamp);
            } else {
                make_captured(g, q, index, q->pending[i]);
            }
        }
        q->n = n;
        g->due_sent += n;
    }
    uint16_t sent = rte_eth_tx_burst(g->tx_port, (uint16_t) index, q->pending + q->first, (uint16_t) (q->n - q->first));
    q->first += sent;
    g->counts.sent += sent;
    fetch(g, q);
}

/* Frames that are due by now and not made yet, at most a burst. */
static unsigned due(const struct gen *g)
{
    if (!g->options.rate) {
        return GEN_BURST;
    }
    double want = (double) (rte_rdtsc() - g->due_origin) / (double) rte_get_tsc_hz() * g->options.rate - (double) g->due_sent;
    return want <= 0 ? 0 : want < GEN_BURST ? (unsigned) want : GEN_BURST;
}

static void check_frame(struct gen *g, const struct rte_mbuf *m, uint64_t now)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    struct probe p;
    g->counts.checked++;
    if (!probe_read(frame, m->data_len, &p) || p.flow >= g->flows.n) {
        g->counts.damaged++;
        return;
    }
    unsigned l3 = probe_l3(frame, m->data_len), tag = probe_l3(g->flows.head[p.flow], FLOWS_HEAD);
    if (m->nb_segs != 1 || !flows_ip_checksum_ok(frame, l3) || !flows_fill_ok(frame + l3 - tag, m->data_len - l3 + tag)) {
        g->counts.damaged++;
        return;
    }
    struct gen_queue *q = &g->queues[(p.seq >> SEQUENCE_BITS) % GEN_MAX_QUEUES];
    uint32_t step = (p.seq - q->last_seen) & SEQUENCE_MASK;
    if (q->seen && (!step || step > SEQUENCE_MASK / 2)) {
        g->counts.reordered++;
    } else {
        q->last_seen = p.seq;
        q->seen = true;
    }
    uint32_t latency = (uint32_t) now - p.stamp;
    latency_add(g->part, latency);
    if (g->per_flow) {
        g->per_flow[p.flow].received++;
        g->per_flow[p.flow].latency += latency;
    }
}

static unsigned receive_some(struct gen *g, unsigned index)
{
    struct rte_mbuf *mbufs[2 * GEN_BURST];
    unsigned n = rte_eth_rx_burst(g->rx_port, (uint16_t) index, mbufs, ARRAY_SIZE(mbufs)), every = g->options.check;
    if (!n) {
        return 0;
    }
    g->counts.received += n;
    for (unsigned i = 0; i < n; i++) {
        g->counts.bytes += mbufs[i]->pkt_len;
    }
    if (every) {
        uint64_t now = rte_rdtsc();
        for (; g->check_at < n; g->check_at += every) {
            check_frame(g, mbufs[g->check_at], now);
        }
        g->check_at -= n;
    }
    rte_pktmbuf_free_bulk(mbufs, n);
    return n;
}

/* The window at work; a round that takes long (the thread was preempted) may span several, which share what came. */
struct window { uint64_t end, length, received; size_t room; };

static void window_ends(struct gen *g, struct window *w, uint64_t now)
{
    uint64_t n = (now - w->end) / w->length + 1, frames = (g->counts.received - w->received) / n;
    for (uint64_t i = 0; i < n && g->n_windows < w->room; i++) {
        g->windows[g->n_windows++] = (uint32_t) frames;
    }
    g->part = &g->parts[MIN(g->n_windows / GEN_PART_WINDOWS, g->n_parts - 1)];
    w->end += n * w->length;
    w->received = g->counts.received;
}

/* Sends (unless `quiet`) and receives until the time is up, or until a frame has come if `until_frame`.  With `w`, counts in windows.  Returns
 * the seconds it took. */
static double run_for(struct gen *g, double seconds, bool quiet, bool until_frame, struct window *w)
{
    uint64_t begun = rte_rdtsc(), now = begun, length = (uint64_t) (seconds * (double) rte_get_tsc_hz());
    while (now - begun < length) {
        for (unsigned i = 0; i < g->options.queues; i++) {
            if (!quiet) {
                send_some(g, i, until_frame ? 1 : due(g));
            }
            receive_some(g, i);
        }
        if (until_frame && g->counts.received) {
            break;
        }
        if (until_frame) {
            rte_delay_us_sleep(1000);
        }
        now = rte_rdtsc();
        if (w && now >= w->end) {
            window_ends(g, w, now);
        }
    }
    return (double) (rte_rdtsc() - begun) / (double) rte_get_tsc_hz();
}

static void reset(struct gen *g)
{
    g->counts = (struct gen_counts) { .sent = 0 };
    g->latency = (struct latency) { .n = 0 };
    g->part = &g->latency;
    g->due_origin = rte_rdtsc();
    g->due_sent = 0;
    for (unsigned i = 0; g->per_flow && i < g->flows.n; i++) {
        g->per_flow[i] = (struct gen_flow_count) { .received = 0 };
    }
}

/* What is still in the rings or pending belongs to the phase before: let it pass, so that the next one's counts are its own. */
static void drain(struct gen *g)
{
    for (unsigned i = 0; i < g->options.queues; i++) {
        struct gen_queue *q = &g->queues[i];
        rte_pktmbuf_free_bulk(q->pending + q->first, q->n - q->first);
        q->first = q->n = 0;
    }
    uint64_t before;
    do {
        before = g->counts.received;
        run_for(g, DRAIN_S, true, false, NULL);
    } while (g->counts.received != before);
}

/* SCHED_RR for this thread: what else is on its CPU gets what the kernel keeps back. */
static bool go_first(struct err *err)
{
    struct sched_param first = { .sched_priority = 1 };
    return !sched_setscheduler(0, SCHED_RR, &first) || err_set(err, ERR_FAILED, "--realtime", "no realtime class: %s", strerror(errno));
}

bool gen_run(struct gen *g, struct err *err)
{
    gen_perf_open(&g->perf, g->options.perf_tid);
    for (unsigned i = 0; i < g->options.queues; i++) {
        g->queues[i].at = i % g->flows.n_schedule;
    }
    reset(g);
    run_for(g, FIRST_FRAME_S, false, true, NULL);
    if (!g->counts.received) {
        err_set(err, ERR_TIMEOUT, NULL, "no frame came back within %d s of %llu that were sent", FIRST_FRAME_S, (unsigned long long) g->counts.sent);
        return err_hint(err, "does a rule of the switch lead these flows from the first port to the second?");
    }
    drain(g);
    reset(g);
    run_for(g, g->options.warmup, false, false, NULL);
    if (g->options.realtime && !go_first(err)) {
        return false;
    }
    /* With a rate the measurement starts on empty rings; without one they are to stay as full as they are. */
    if (g->options.rate) {
        drain(g);
        reset(g);
    }
    struct gen_counts before = g->counts;
    g->latency = (struct latency) { .n = 0 };
    struct window w = { .length = (uint64_t) (GEN_WINDOW_S * (double) rte_get_tsc_hz()), .received = before.received,
                        .room = (size_t) (g->options.seconds / GEN_WINDOW_S) };
    g->windows = xcalloc(w.room + 1, sizeof g->windows[0]);
    g->n_parts = MAX(w.room / GEN_PART_WINDOWS, 1);
    g->parts = xmalloc(g->n_parts * sizeof g->parts[0]);
    memset(g->parts, 0, g->n_parts * sizeof g->parts[0]);       /* Its pages are there before they are needed. */
    g->part = g->parts;
    gen_perf_start(&g->perf);
    w.end = rte_rdtsc() + w.length;
    g->measured_s = run_for(g, g->options.seconds, false, false, &w);
    gen_perf_stop(&g->perf);
    struct gen_counts at_end = g->counts;
    drain(g);
    for (size_t i = 0; i < g->n_parts; i++) {
        latency_merge(&g->latency, &g->parts[i]);
    }
    g->lost = (int64_t) (g->counts.sent - g->counts.received);
    /* Throughput is what came within the time; the checks and the loss take in the warm-up (without a rate) and late frames. */
    g->counts.sent = at_end.sent - before.sent;
    g->counts.received = at_end.received - before.received;
    g->counts.bytes = at_end.bytes - before.bytes;
    return true;
}
