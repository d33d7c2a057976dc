#define LOG_MODULE "poll"
#include "vswitch/poll.h"

#include <errno.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/util.h"
#include "vswitch/capture.h"

/* --- The thread --- */

/* The clock, read once per POLL_CLOCK_US; between, the time stamp counter says how much has passed.  Never goes back. */
static uint64_t now_ns(struct poll_thread *t, uint64_t tsc)
{
    if (tsc - t->clock_tsc > t->clock_ticks) {
        t->clock_ns = RTE_MAX(clock_now_ns(&t->poll->clock), t->now_ns);
        t->clock_tsc = tsc;
    }
    t->now_ns = RTE_MAX(t->now_ns, t->clock_ns + ((tsc - t->clock_tsc) * t->clock_scale >> 32));
    return t->now_ns;
}

/* What a device delivered in several segments becomes one buffer; returns how many of the n frames are left. */
static unsigned linearise(struct poll_thread *t, struct port *p, struct rte_mbuf **mbufs, unsigned n)
{
    unsigned k = 0;
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = mbufs[i]->pkt_len;
        mbufs[k] = mbuf_linearise(t->poll->pools, mbufs[i]);
        if (mbufs[k]) {
            k++;
        } else {
            counter_add(&p->threads[t->index + 1].counters.rx_dropped, 1);
            dp_thread_drop(t->dp, p->port_no, len > MBUF_JUMBO_ROOM ? DROP_TOO_LONG : DROP_NO_MEMORY);
        }
    }
    return k;
}

static unsigned receive(struct poll_thread *t, struct port *p, unsigned queue, uint64_t tsc)
{
    struct rte_mbuf *mbufs[DP_BATCH];
    struct packet *packets[DP_BATCH];
    struct perf *perf = t->perf;
    perf_begin(perf);
    unsigned n = p->device->ops->rx(p->device, queue, mbufs, DP_BATCH), n_segments = 0;
    if (!n) {
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        n_segments += mbufs[i]->nb_segs;
    }
    unsigned k = __builtin_expect(n_segments == n, 1) ? n : linearise(t, p, mbufs, n);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < k; i++) {
        bytes += mbufs[i]->pkt_len;
        packets[i] = mbuf_to_packet(mbufs[i], p->port_no);
    }
    struct port_counters *c = &p->threads[t->index + 1].counters;
    counter_add(&c->rx_packets, k);
    counter_add(&c->rx_bytes, bytes);
    perf_batch(perf, n);
    struct capture_tap *tap = atomic_load_explicit(&p->tap, memory_order_acquire);
    if (__builtin_expect(tap != NULL, 0)) {
        capture_run(tap, mbufs, k, false);
    }
    perf_lap(perf, PERF_RX, n);
    if (k) {
        dp_receive(t->dp, packets, k, p->port_no, now_ns(t, tsc));
        perf_lap(perf, PERF_ACTIONS, k);
    }
    return n;
}

/* Frames that the control thread sends. */
static unsigned drain_control(struct poll_thread *t)
{
    void *objs[DP_BATCH];
    unsigned n = rte_ring_sc_dequeue_burst(t->from_control, objs, DP_BATCH, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct rte_mbuf *m = objs[i];
        struct port *p = port_get(t->poll->ports, mbuf_priv(m)->out_port);
        if (p) {
            poll_output(t, p, m);
        } else {
            dp_thread_drop(t->dp, mbuf_priv(m)->packet.in_port, DROP_NO_PORT);
            rte_pktmbuf_free(m);
        }
    }
    return n;
}

/* One round over all queues, begun at `tsc`; returns the number of frames.  What was sent leaves at its end, or earlier if it would have to wait for long. */
static unsigned iterate(struct poll_thread *t, uint64_t tsc)
{
    struct poll_plan *plan = atomic_load_explicit(&t->plan, memory_order_acquire);
    unsigned n = rte_ring_empty(t->from_control) ? 0 : drain_control(t), flushed = 0, round = t->n_busy_rounds;
    for (unsigned i = 0; i < plan->n; i++) {
        if (plan->quiet[i] == POLL_QUIET_ROUNDS && round && (round + i) % POLL_QUIET_EVERY) {
            continue;
        }
        unsigned got = receive(t, plan->rxq[i].port, plan->rxq[i].queue, tsc);
        plan->quiet[i] = got ? 0 : RTE_MIN(plan->quiet[i] + 1, POLL_QUIET_ROUNDS);
        n += got;
        if (n - flushed >= POLL_FLUSH_EVERY) {
            poll_flush(t);
            flushed = n;
        }
    }
    if (n != flushed) {
        poll_flush(t);
    }
    if (atomic_load_explicit(&t->poll->n_queued, memory_order_relaxed)) {
        n += poll_serve(t, plan);
    }
    t->n_busy_rounds = n ? round + 1 : 0;
    perf_round(t->perf, n);
    return n;
}

/* Turns the queues' wake-ups on; returns how long to sleep at most. */
static unsigned arm(struct poll_thread *t, unsigned *n_fds)
{
    struct poll_plan *plan = atomic_load_explicit(&t->plan, memory_order_acquire);
    bool waking = true;
    t->fds[0] = (struct pollfd) { .fd = t->wake_fd, .events = POLLIN };
    *n_fds = 1;
    for (unsigned i = 0; i < plan->n; i++) {
        struct device *d = plan->rxq[i].port->device;
        int fd = *n_fds < 1 + POLL_MAX_WAITS ? d->ops->sleep(d, plan->rxq[i].queue) : DEVICE_SLEEP_POLL;
        if (fd >= 0) {
            t->fds[(*n_fds)++] = (struct pollfd) { .fd = fd, .events = POLLIN };
        } else if (fd == DEVICE_SLEEP_POLL) {
            waking = false;
        }
    }
    if (atomic_load_explicit(&t->poll->n_queued, memory_order_relaxed) && poll_waiting(plan)) {
        return POLL_STEP_MIN_US;        /* Frames whose time will come. */
    }
    if (waking) {
        return POLL_SLEEP_MAX_US;
    }
    unsigned us = t->step_us;
    t->step_us = MIN(us * 2, POLL_STEP_MAX_US);
    return us;
}

static void disarm(struct poll_thread *t)
{
    struct poll_plan *plan = atomic_load_explicit(&t->plan, memory_order_acquire);
    for (unsigned i = 0; i < plan->n; i++) {
        struct device *d = plan->rxq[i].port->device;
        d->ops->wake(d, plan->rxq[i].queue);
    }
}

/* Returns the number of frames that the last look before sleeping found; then it did not sleep. */
static unsigned idle(struct poll_thread *t)
{
    unsigned n_fds, us = arm(t, &n_fds);
    t->n_busy_rounds = 0;                       /* The last look is one at every queue. */
    atomic_store(&t->sleeping, true);           /* Sequentially consistent, against poll_wake(). */
    unsigned n = iterate(t, rte_rdtsc());
    if (!n && !atomic_load(&t->poll->stop)) {
        rcu_offline(t->poll->rcu, t->index + 1);
        struct timespec ts = { .tv_nsec = (long) us * 1000 };
        int rc = ppoll(t->fds, n_fds, &ts, NULL);
        rcu_online(t->poll->rcu, t->index + 1);
        if (rc > 0 && t->fds[0].revents) {
            uint64_t count;
            while (read(t->wake_fd, &count, sizeof count) < 0 && errno == EINTR) {
                continue;
            }
        }
    }
    atomic_store(&t->sleeping, false);
    disarm(t);
    return n;
}

static int poll_main(void *thread)
{
    struct poll_thread *t = thread;
    struct poll_counters *c = &t->counters;
    uint64_t spin = rte_get_tsc_hz() / 1000000 * POLL_SPIN_US;
    char name[16];
    snprintf(name, sizeof name, "poll-%u", t->index + 1);
    pthread_setname_np(pthread_self(), name);
    rcu_thread_register(t->poll->rcu, t->index + 1);
    uint64_t then = rte_rdtsc(), last_frame = then;
    while (!atomic_load_explicit(&t->poll->stop, memory_order_relaxed)) {
        unsigned n = iterate(t, then);
        uint64_t now = rte_rdtsc();
        counter_add(&c->iterations, 1);
        counter_add(n ? &c->busy_tsc : &c->idle_tsc, now - then);
        then = now;
        rcu_quiescent(t->poll->rcu, t->index + 1);
        if (n) {
            last_frame = now;
            t->step_us = POLL_STEP_MIN_US;
        } else if (t->poll->idle_sleep && now - last_frame > spin) {
            if (idle(t)) {
                last_frame = now;
            }
            now = rte_rdtsc();
            counter_add(&c->sleeps, 1);
            counter_add(&c->sleep_tsc, now - then);
            then = now;
        }
    }
    rcu_thread_unregister(t->poll->rcu, t->index + 1);
    atomic_store_explicit(&t->ended, true, memory_order_release);
    return 0;
}

/* --- The control thread's side --- */

static void wake(struct poll_thread *t)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&t->sleeping)) {
        uint64_t one = 1;
        if (write(t->wake_fd, &one, sizeof one) < 0) {
            LOG_RATE(LOG_WARN, 10, "cannot wake thread %u: %s", t->index + 1, strerror(errno));
        }
    }
}

void poll_wake(struct poll *poll, unsigned thread)
{
    wake(poll->threads[thread]);
}

bool poll_send(struct poll *poll, struct port *p, struct rte_mbuf *m)
{
    struct poll_thread *t = poll->threads[p->rx_thread[0]];
    mbuf_priv(m)->out_port = p->port_no;
    if (rte_ring_sp_enqueue(t->from_control, m)) {
        return false;
    }
    wake(t);
    return true;
}

void poll_count(const struct poll_thread *t, struct poll_counters *out)
{
    const struct poll_counters *c = &t->counters, *base = &t->base_load;
    *out = (struct poll_counters) {
        .iterations = counter_get(&c->iterations) - base->iterations, .sleeps = counter_get(&c->sleeps) - base->sleeps,
        .busy_tsc = counter_get(&c->busy_tsc) - base->busy_tsc, .idle_tsc = counter_get(&c->idle_tsc) - base->idle_tsc,
        .sleep_tsc = counter_get(&c->sleep_tsc) - base->sleep_tsc,
    };
}

void poll_count_reset(struct poll_thread *t)
{
    t->base_load = (struct poll_counters) { .iterations = 0 };
    poll_count(t, &t->base_load);
    perf_read(t->perf, NULL, &t->base_counts);
}

static void publish(struct poll *poll, struct poll_thread *t, struct poll_plan *plan)
{
    struct poll_plan *old = atomic_exchange_explicit(&t->plan, plan, memory_order_acq_rel);
    if (old) {
        rcu_defer(poll->rcu, free, old);
    }
}

static struct poll_plan *plan_with_room(const struct poll_plan *old, unsigned more)
{
    unsigned n = old ? old->n : 0;
    struct poll_plan *plan = xcalloc(1, sizeof *plan + (n + more) * (sizeof plan->rxq[0] + sizeof plan->quiet[0]));
    plan->n = n;
    plan->quiet = (uint8_t *) &plan->rxq[n + more];
    if (n) {
        memcpy(plan->rxq, old->rxq, n * sizeof plan->rxq[0]);
    }
    return plan;
}

void poll_add_port(struct poll *poll, struct port *p)
{
    for (unsigned q = 0; q < p->device->n_rxq; q++) {
        struct poll_thread *least = poll->threads[0];
        for (unsigned i = 1; i < poll->n; i++) {
            if (atomic_load(&poll->threads[i]->plan)->n < atomic_load(&least->plan)->n) {
                least = poll->threads[i];
            }
        }
        struct poll_plan *plan = plan_with_room(atomic_load(&least->plan), 1);
        plan->rxq[plan->n].port = p;
        plan->rxq[plan->n++].queue = q;
        p->rx_thread[q] = least->index;
        publish(poll, least, plan);
        wake(least);
    }
}

void poll_remove_port(struct poll *poll, struct port *p)
{
    for (unsigned i = 0; i < poll->n; i++) {
        struct poll_plan *old = atomic_load(&poll->threads[i]->plan), *plan = plan_with_room(old, 0);
        plan->n = 0;
        for (unsigned k = 0; k < old->n; k++) {
            if (old->rxq[k].port != p) {
                plan->rxq[plan->n++] = old->rxq[k];
            }
        }
        publish(poll, poll->threads[i], plan);
    }
}

static bool thread_new(struct poll *poll, unsigned i, unsigned cpu, unsigned lcore, struct err *err)
{
    char name[32];
    struct poll_thread *t = aligned_alloc(64, ROUND_UP(sizeof *t, 64));
    if (!t) {
        abort();
    }
    memset(t, 0, sizeof *t);
    poll->threads[i] = t;
    poll->n = i + 1;
    t->poll = poll;
    t->index = i;
    t->cpu = cpu;
    t->lcore = lcore;
    t->step_us = POLL_STEP_MIN_US;
    t->dp = dp_thread(poll->dp, i + 1);
    t->perf = dp_thread_perf(t->dp);
    t->clock_ticks = rte_get_tsc_hz() / 1000000 * POLL_CLOCK_US;
    t->clock_scale = (uint64_t) (1e9 / (double) rte_get_tsc_hz() * (double) (UINT64_C(1) << 32));
    dp_thread_set_aux(t->dp, t);
    atomic_store(&t->plan, plan_with_room(NULL, 0));
    t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    snprintf(name, sizeof name, "control-%u", i);
    t->from_control = rte_ring_create(name, POLL_RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (t->wake_fd < 0 || !t->from_control) {
        return err_set(err, ERR_FAILED, "cpus.poll", "cannot make a poll-mode thread: %s", t->wake_fd < 0 ? strerror(errno) : rte_strerror(rte_errno));
    }
    return true;
}

bool poll_init(struct poll *poll, const struct config_cpus *cpus, const unsigned *lcores, struct err *err)
{
    for (unsigned i = 0; i < cpus->n; i++) {
        if (!thread_new(poll, i, cpus->cpu[i], lcores[i], err)) {
            return false;
        }
    }
    return true;
}

void poll_fini(struct poll *poll)
{
    for (unsigned i = 0; i < poll->n; i++) {
        struct poll_thread *t = poll->threads[i];
        void *m;
        while (t->from_control && !rte_ring_sc_dequeue(t->from_control, &m)) {
            rte_pktmbuf_free(m);
        }
        rte_ring_free(t->from_control);
        if (t->wake_fd >= 0) {
            close(t->wake_fd);
        }
        free(atomic_load(&t->plan));
        free(t);
    }
    poll->n = 0;
}

bool poll_start(struct poll *poll, struct err *err)
{
    atomic_store(&poll->stop, false);
    poll->running = true;
    for (unsigned i = 0; i < poll->n; i++) {
        int rc = rte_eal_remote_launch(poll_main, poll->threads[i], poll->threads[i]->lcore);
        if (rc) {
            poll_stop(poll);
            return err_set(err, ERR_FAILED, "cpus.poll", "cannot start a thread on CPU %u: %s", poll->threads[i]->cpu, rte_strerror(-rc));
        }
    }
    return true;
}

void poll_stop(struct poll *poll)
{
    if (!poll->running) {
        return;
    }
    atomic_store(&poll->stop, true);
    for (unsigned i = 0; i < poll->n; i++) {
        wake(poll->threads[i]);
    }
    for (unsigned i = 0; i < poll->n; i++) {
        rte_eal_wait_lcore(poll->threads[i]->lcore);
        /* Orders what the thread did before what comes now; DPDK's own ordering is not for ThreadSanitizer to see.  False for one that never began. */
        (void) atomic_load_explicit(&poll->threads[i]->ended, memory_order_acquire);
    }
    poll->running = false;
}
