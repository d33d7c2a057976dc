#define LOG_MODULE "capture"
#include "vswitch/capture.h"

#include <errno.h>
#include <event2/event.h>
#include <pcap/bpf.h>
#include <rte_errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/util.h"
#include "vswitch/vswitch.h"

#define MAX_CAPTURES 16
#define MAX_INSNS 4096
#define RING_SIZE 2048
#define DRAIN_BATCH 64                  /* Frames per turn of the loop. */

struct capture {
    struct vswitch *vs;
    struct list node;                   /* In vs->captures. */
    uint32_t port_no;
    /* Immutable while in a tap. */
    unsigned direction;
    uint32_t snaplen;
    struct bpf_insn *filter;            /* NULL: everything. */
    struct rte_ring *ring;              /* Producers: poll-mode threads; consumer: the loop. */
    int fd;
    atomic_bool signalled;
    _Atomic uint64_t lost;              /* Any thread. */
    /* Control thread only. */
    uint64_t limit, captured;           /* limit 0: endless. */
    const struct capture_ops *ops;
    void *aux;
    struct event *event;
    bool ended;
};

struct capture_tap {
    unsigned n;
    struct capture *captures[];
};

/* --- Poll-mode threads --- */

static void offer(struct capture *c, struct rte_mbuf *m, bool is_tx, uint64_t now_ns)
{
    const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
    if (c->filter && !bpf_filter(c->filter, data, m->pkt_len, m->data_len)) {
        return;
    }
    uint32_t size = RTE_MIN((uint32_t) m->data_len, c->snaplen);
    struct rte_mbuf *copy = mbuf_alloc(&c->vs->pools, size);
    if (copy) {
        memcpy(rte_pktmbuf_mtod(copy, void *), data, size);
        copy->data_len = (uint16_t) size;
        copy->pkt_len = size;
        struct mbuf_priv *priv = mbuf_priv(copy);
        priv->whole_len = m->pkt_len;
        priv->ts_ns = now_ns;
        priv->is_tx = is_tx;
    }
    if (!copy || rte_ring_mp_enqueue(c->ring, copy)) {
        rte_pktmbuf_free(copy);
        atomic_fetch_add_explicit(&c->lost, 1, memory_order_relaxed);
        return;
    }
    if (!atomic_exchange(&c->signalled, true)) {
        uint64_t one = 1;
        if (write(c->fd, &one, sizeof one) < 0) {
            atomic_store(&c->signalled, false);         /* The next frame tries again. */
        }
    }
}

void capture_run(const struct capture_tap *tap, struct rte_mbuf **mbufs, unsigned n, bool is_tx)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    uint64_t now_ns = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
    for (unsigned i = 0; i < tap->n; i++) {
        if (tap->captures[i]->direction & (is_tx ? CAPTURE_TX : CAPTURE_RX)) {
            for (unsigned k = 0; k < n; k++) {
                offer(tap->captures[i], mbufs[k], is_tx, now_ns);
            }
        }
    }
}

/* --- Control thread --- */

static void end(struct capture *c, const char *why)
{
    if (!c->ended) {
        c->ended = true;
        c->ops->done(why, c->aux);
    }
}

static void drain(struct capture *c)
{
    void *obj;
    for (unsigned i = 0; i < DRAIN_BATCH; i++) {
        if (c->ended || !c->ops->ready(c->aux)) {
            return;
        }
        if (rte_ring_sc_dequeue(c->ring, &obj)) {
            return;
        }
        struct rte_mbuf *m = obj;
        const struct mbuf_priv *priv = mbuf_priv(m);
        c->ops->frame(&(struct capture_frame) { priv->ts_ns, priv->whole_len, m->data_len, priv->is_tx, rte_pktmbuf_mtod(m, uint8_t *) }, c->aux);
        rte_pktmbuf_free(m);
        c->captured++;
        if (c->limit && c->captured == c->limit) {
            end(c, "count");
            return;
        }
    }
    event_active(c->event, EV_TIMEOUT, 1);
}

static void on_frames(evutil_socket_t fd, short what, void *c_)
{
    struct capture *c = c_;
    uint64_t count;
    (void) what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        LOG_RATE(LOG_WARN, 10, "cannot read the eventfd: %s", strerror(errno));
    }
    atomic_store(&c->signalled, false);
    drain(c);
}

/* Publishes the port's list of captures afresh; the old one is freed after a grace period. */
static void retap(struct vswitch *vs, uint32_t port_no)
{
    struct port *p = port_get(&vs->ports, port_no);
    struct capture *c;
    unsigned n = 0;
    if (!p) {
        return;
    }
    LIST_FOR_EACH (c, node, &vs->captures) {
        n += c->port_no == port_no;
    }
    struct capture_tap *tap = n ? xcalloc(1, sizeof *tap + n * sizeof tap->captures[0]) : NULL;
    LIST_FOR_EACH (c, node, &vs->captures) {
        if (c->port_no == port_no) {
            tap->captures[tap->n++] = c;
        }
    }
    struct capture_tap *old = atomic_exchange_explicit(&p->tap, tap, memory_order_acq_rel);
    if (old) {
        rcu_defer(&vs->rcu, free, old);
    }
}

static struct bpf_insn *read_filter(struct json_reader *params, struct err *err)
{
    struct json_reader array, insn, v;
    if (!json_array(params, "filter", false, &array)) {
        return NULL;
    }
    size_t n = json_array_size(&array);
    if (!n || n > MAX_INSNS) {
        json_fail(&array, NULL, "has %zu instructions; a filter has 1 to %d", n, MAX_INSNS);
        return NULL;
    }
    struct bpf_insn *filter = xcalloc(n, sizeof *filter);
    for (size_t i = 0; i < n && err->code == ERR_NONE; i++) {
        static const uint64_t max[4] = { UINT16_MAX, UINT8_MAX, UINT8_MAX, UINT32_MAX };
        uint64_t words[4] = { 0 };
        json_element(&array, i, &insn);
        if (json_array_size(&insn) != 4) {
            json_fail(&insn, NULL, "is not [code, jt, jf, k]");
        }
        for (unsigned k = 0; k < 4 && err->code == ERR_NONE; k++) {
            json_element(&insn, k, &v);
            if (!cJSON_IsNumber(v.value) || v.value->valuedouble < 0 || v.value->valuedouble > (double) max[k]
                || v.value->valuedouble != (double) (uint64_t) v.value->valuedouble) {
                json_fail(&v, NULL, "is not a whole number from 0 to %llu", (unsigned long long) max[k]);
            } else {
                words[k] = (uint64_t) v.value->valuedouble;
            }
        }
        filter[i] = (struct bpf_insn) { (u_short) words[0], (u_char) words[1], (u_char) words[2], (bpf_u_int32) words[3] };
    }
    if (err->code == ERR_NONE && !bpf_validate(filter, (int) n)) {
        json_fail(&array, NULL, "is not a valid BPF program (it must end with a return, and only jump forward)");
    }
    if (err->code) {
        free(filter);
        return NULL;
    }
    return filter;
}

static unsigned count_captures(struct vswitch *vs)
{
    unsigned n = 0;
    for (struct list *l = vs->captures.next; l != &vs->captures; l = l->next) {
        n++;
    }
    return n;
}

static bool read_params(struct capture *c, struct json_reader *r, struct err *err)
{
    const char *port = json_string(r, "port", NULL), *direction = json_string(r, "direction", "both");
    c->limit = json_u64(r, "count", 1, UINT64_MAX, 0);
    c->snaplen = (uint32_t) json_u64(r, "snaplen", 1, MBUF_JUMBO_ROOM, MBUF_JUMBO_ROOM);
    c->direction = !strcmp(direction, "rx") ? CAPTURE_RX : !strcmp(direction, "tx") ? CAPTURE_TX : !strcmp(direction, "both") ? CAPTURE_BOTH : 0;
    if (!c->direction) {
        json_fail(r, "direction", "\"%s\" is not rx, tx or both", direction);
    }
    c->filter = read_filter(r, err);
    if (!json_end(r)) {
        return false;
    }
    struct port *p = vswitch_port_lookup(c->vs, port, "port", err);
    c->port_no = p ? p->port_no : 0;
    return p;
}

static void capture_free(void *c_)
{
    struct capture *c = c_;
    void *m;
    while (c->ring && !rte_ring_sc_dequeue(c->ring, &m)) {
        rte_pktmbuf_free(m);
    }
    rte_ring_free(c->ring);
    if (c->fd >= 0) {
        close(c->fd);
    }
    free(c->filter);
    free(c);
}

struct capture *capture_start(struct vswitch *vs, struct json_reader *params, const struct capture_ops *ops, void *aux, struct err *err)
{
    char name[32];
    struct capture *c = XNEW(struct capture);
    c->vs = vs;
    c->ops = ops;
    c->aux = aux;
    c->fd = -1;
    if (!read_params(c, params, err)) {
        capture_free(c);
        return NULL;
    }
    if (count_captures(vs) >= MAX_CAPTURES) {
        err_set(err, ERR_CONFLICT, NULL, "%d captures run already", MAX_CAPTURES);
        capture_free(c);
        return NULL;
    }
    snprintf(name, sizeof name, "capture-%p", (void *) c);
    c->ring = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
    c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!c->ring || c->fd < 0) {
        err_set(err, ERR_FAILED, NULL, "cannot make the capture's queue: %s", c->ring ? strerror(errno) : rte_strerror(rte_errno));
        capture_free(c);
        return NULL;
    }
    c->event = event_new(vs->base, c->fd, EV_READ | EV_PERSIST, on_frames, c);
    event_add(c->event, NULL);
    list_push_back(&vs->captures, &c->node);
    retap(vs, c->port_no);
    return c;
}

void capture_stop(struct capture *c)
{
    event_free(c->event);
    list_remove(&c->node);
    retap(c->vs, c->port_no);
    rcu_defer(&c->vs->rcu, capture_free, c);
}

void capture_resume(struct capture *c)
{
    drain(c);
}

void capture_counts(const struct capture *c, uint64_t *captured, uint64_t *lost)
{
    *captured = c->captured;
    *lost = atomic_load_explicit(&c->lost, memory_order_relaxed) + (c->ended ? 0 : rte_ring_count(c->ring));
}

void capture_port_removed(struct vswitch *vs, uint32_t port_no)
{
    struct capture *c;
    struct port *p = port_get(&vs->ports, port_no);
    struct capture_tap *old = p ? atomic_exchange_explicit(&p->tap, NULL, memory_order_acq_rel) : NULL;
    if (old) {
        rcu_defer(&vs->rcu, free, old);
    }
    LIST_FOR_EACH (c, node, &vs->captures) {
        if (c->port_no == port_no) {
            c->port_no = 0;     /* The number may be another port's before this capture is stopped. */
            end(c, "port removed");
        }
    }
}
