/* Packet-ins: from whichever thread found them to the OpenFlow agent on the loop. */
#define LOG_MODULE "packet-in"
#include "vswitch/backend.h"

#include <errno.h>
#include <event2/event.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/log.h"
#include "vswitch/vswitch.h"

#define PUNT_BATCH 64                   /* Per turn of the loop, so that a flood of packet-ins does not starve controllers' messages. */

struct punt {
    struct flow flow;
    uint64_t cookie;
    uint32_t in_port;
    uint8_t table, reason;
    uint16_t controller_id, userdata_size;
    uint8_t userdata[DP_MAX_USERDATA];  /* A copy: the action may go while this waits. */
    struct rte_mbuf *frame;
};

static void signal_loop(struct punt_queue *q)
{
    if (!atomic_exchange(&q->signalled, true)) {
        uint64_t one = 1;
        if (write(q->fd, &one, sizeof one) < 0) {
            atomic_store(&q->signalled, false);         /* The next packet-in tries again. */
        }
    }
}

/* One port may put so many frames into the queue per window, of 2^28 cycles (about a tenth of a second): a VM that floods leaves room for others' packet-ins, and costs the
 * thread nothing above that. */
#define PUNT_PORT_MAX 128u
#define PUNT_WINDOW_SHIFT 28

static bool within_share(struct vswitch *vs, unsigned thread, uint32_t in_port)
{
    struct port *port = port_get(&vs->ports, in_port);
    uint64_t window = rte_rdtsc() >> PUNT_WINDOW_SHIFT;
    if (!port || !thread) {             /* The control thread's are a controller's own packet-outs. */
        return true;
    }
    struct port_thread *pt = &port->threads[thread];
    if (pt->punt_window != window) {
        pt->punt_window = window;
        pt->n_punted = 0;
    }
    return pt->n_punted++ < PUNT_PORT_MAX;
}

bool punt_put(struct vswitch *vs, unsigned thread, const struct packet *p, const struct flow *flow, uint64_t cookie, uint8_t table, uint8_t reason,
              const struct dp_controller *controller)
{
    struct punt_queue *q = &vs->punts;
    void *obj;
    if (!within_share(vs, thread, p->in_port) || rte_mempool_get(q->pool, &obj)) {
        return false;
    }
    struct punt *punt = obj;
    struct packet *copy = mbuf_copy_packet(&vs->pools, p);
    if (!copy) {
        rte_mempool_put(q->pool, punt);
        return false;
    }
    punt->flow = *flow;
    punt->cookie = cookie;
    punt->in_port = p->in_port;
    punt->table = table;
    punt->reason = reason;
    punt->controller_id = controller->id;
    punt->userdata_size = controller->userdata_size;
    if (controller->userdata_size) {
        memcpy(punt->userdata, controller->userdata, controller->userdata_size);
    }
    punt->frame = mbuf_of_packet(copy);
    if (rte_ring_mp_enqueue(q->ring, punt)) {
        rte_pktmbuf_free(punt->frame);
        rte_mempool_put(q->pool, punt);
        return false;
    }
    signal_loop(q);
    return true;
}

/* The pipeline fields that section 7.2.3.9 lists, and the registers, where they are not zero. */
static void pipeline_match(const struct flow *flow, struct match *m)
{
    static const enum field_id ids[] = { FIELD_METADATA, FIELD_TUNNEL_ID };
    union field_value v;
    match_init(m);
    field_get(&fields[FIELD_IN_PORT], flow, &v);
    match_set(m, FIELD_IN_PORT, &v, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(ids) + FLOW_N_REGS; i++) {
        enum field_id id = i < ARRAY_SIZE(ids) ? ids[i] : (enum field_id) (FIELD_REG0 + (i - ARRAY_SIZE(ids)));
        field_get(&fields[id], flow, &v);
        if (field_value_u64(&v)) {
            match_set(m, id, &v, NULL);
        }
    }
}

static void deliver(struct vswitch *vs, struct punt *punt)
{
    struct of_packet_in pin = {
        .buffer_id = OFP_NO_BUFFER, .total_len = (uint16_t) punt->frame->pkt_len, .reason = punt->reason, .table_id = punt->table,
        .cookie = punt->cookie, .data = rte_pktmbuf_mtod(punt->frame, uint8_t *), .size = punt->frame->pkt_len,
        .controller_id = punt->controller_id, .userdata = punt->userdata, .userdata_size = punt->userdata_size,
    };
    pipeline_match(&punt->flow, &pin.match);
    if (of_agent_packet_in(vs->agent, &pin)) {
        vs->punts.delivered++;
    } else {
        vs->punts.refused++;
        dp_thread_drop(dp_thread(vs->dp, 0), punt->in_port, DROP_PACKET_IN_LIMIT);
    }
}

static void on_punts(evutil_socket_t fd, short what, void *vs_)
{
    struct vswitch *vs = vs_;
    struct punt_queue *q = &vs->punts;
    void *objs[PUNT_BATCH];
    uint64_t count;
    (void) what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        LOG_RATE(LOG_WARN, 10, "cannot read the eventfd: %s", strerror(errno));
    }
    atomic_store(&q->signalled, false);
    unsigned n = rte_ring_sc_dequeue_burst(q->ring, objs, PUNT_BATCH, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct punt *punt = objs[i];
        deliver(vs, punt);
        rte_pktmbuf_free(punt->frame);
        rte_mempool_put(q->pool, punt);
    }
    if (n == PUNT_BATCH) {
        signal_loop(q);
    }
}

bool punt_init(struct vswitch *vs, struct err *err)
{
    struct punt_queue *q = &vs->punts;
    q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    q->ring = rte_ring_create("packet-ins", PUNT_QUEUE_SIZE * 2, SOCKET_ID_ANY, RING_F_SC_DEQ);
    q->pool = rte_mempool_create("packet-ins", PUNT_QUEUE_SIZE - 1, sizeof(struct punt), 0, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
    if (q->fd < 0 || !q->ring || !q->pool) {
        return err_set(err, ERR_FAILED, "dpdk.memory_mb", "cannot make the packet-in queue: %s", q->fd < 0 ? strerror(errno) : rte_strerror(rte_errno));
    }
    q->event = event_new(vs->base, q->fd, EV_READ | EV_PERSIST, on_punts, vs);
    event_add(q->event, NULL);
    return true;
}

void punt_fini(struct vswitch *vs)
{
    struct punt_queue *q = &vs->punts;
    void *obj;
    if (q->event) {
        event_free(q->event);
    }
    while (q->ring && !rte_ring_sc_dequeue(q->ring, &obj)) {
        rte_pktmbuf_free(((struct punt *) obj)->frame);
        rte_mempool_put(q->pool, obj);
    }
    rte_ring_free(q->ring);
    rte_mempool_free(q->pool);
    if (q->fd >= 0) {
        close(q->fd);
    }
    memset(q, 0, sizeof *q);
    q->fd = -1;
}
