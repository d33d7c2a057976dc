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

static unsigned receive(struct poll_thread *t, struct port *p, unsigned queue)
{
    struct rte_mbuf *mbufs[DP_BATCH];
    struct packet *packets[DP_BATCH];
    unsigned n = p->device->ops->rx(p->device, queue, mbufs, DP_BATCH), k = 0;
    if (!n) {
        return 0;
    }
    uint64_t bytes = 0;
    struct port_thread *pt = &p->threads[t->index + 1];
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = mbufs[i]->pkt_len;
        struct rte_mbuf *m = mbuf_linearise(t->poll->pools, mbufs[i]);
        if (!m) {
            counter_add(&pt->counters.rx_dropped, 1);
            dp_thread_drop(t->dp, p->port_no, len > MBUF_JUMBO_ROOM ? DROP_TOO_LONG : DROP_NO_MEMORY);
            continue;
        }
        bytes += len;
        mbufs[k] = m;
        packets[k++] = mbuf_to_packet(m, p->port_no);
    }
    counter_add(&pt->counters.rx_packets, k);
    counter_add(&pt->counters.rx_bytes, bytes);
    struct capture_tap *tap = atomic_load_explicit(&p->tap, memory_order_acquire);
    if (tap) {
        capture_run(tap, mbufs, k, false);
    }
    if (k) {
        dp_receive(t->dp, packets, k, p->port_no, clock_now_ns(&t->poll->clock));
        poll_flush(t);
    }
    counter_add(&t->counters.packets, n);
    counter_add(&t->counters.batches, 1);
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
    if (n) {
        poll_flush(t);
    }
    return n;
}

static unsigned iterate(struct poll_thread *t)
{
    struct poll_plan *plan = atomic_load_explicit(&t->plan, memory_order_acquire);
    unsigned n = drain_control(t);
    for (unsigned i = 0; i < plan->n; i++) {
        n += receive(t, plan->rxq[i].port, plan->rxq[i].queue);
    }
    if (atomic_load_explicit(&t->poll->n_queued, memory_order_relaxed)) {
        n += poll_serve(t, plan);
    }
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
    atomic_store(&t->sleeping, true);           /* Sequentially consistent, against poll_wake(). */
    unsigned n = iterate(t);
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
        unsigned n = iterate(t);
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
    struct poll_plan *plan = xcalloc(1, sizeof *plan + (n + more) * sizeof plan->rxq[0]);
    plan->n = n;
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
