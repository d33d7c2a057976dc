/* Queues as controllers ask for them (OpenFlow 1.3.5 sections 7.3.5.8 and 7.3.6, 1.4 section 7.3.5.19). */
#include "ofproto/agent_private.h"

#include <stdlib.h>

#define MAX_CONFIG_QUEUES 1024  /* A queue takes at most 48 bytes, and a configuration is one message of 64 KB. */

struct wanted { uint32_t port_no, id; struct of_queue *v; unsigned n, room; };

static void add_queue(const struct of_queue *q, void *wanted)
{
    struct wanted *w = wanted;
    if ((w->port_no != OFPP_ANY && w->port_no != q->port_no) || (w->id != OFPQ_ALL && w->id != q->id)) {
        return;
    }
    if (w->n == w->room) {
        w->room = w->room ? 2 * w->room : 8;
        w->v = xrealloc(w->v, w->room * sizeof w->v[0]);
    }
    w->v[w->n++] = *q;
}

struct of_error agent_queues(struct of_agent *agent, uint32_t port_no, uint32_t queue_id, struct of_queue **v, unsigned *n)
{
    struct wanted w = { .port_no = port_no, .id = queue_id };
    if (port_no != OFPP_ANY && !agent_port_exists(agent, port_no)) {
        return OF_ERROR(OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_PORT);
    }
    if (agent->ops->queues) {
        agent->ops->queues(agent->aux, add_queue, &w);
    }
    *v = w.v;
    *n = w.n;
    return queue_id != OFPQ_ALL && !w.n ? OF_ERROR(OFPET_QUEUE_OP_FAILED, OFPQOFC_BAD_QUEUE) : OF_OK;
}

struct of_error agent_queue_config(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_msg reply;
    of_msg_init(&reply, OFPT_QUEUE_GET_CONFIG_REPLY, msg->xid);
    reply.queue_config.port = msg->queue_config.port;
    struct of_error error = agent_queues(ac->agent, msg->queue_config.port, OFPQ_ALL, &reply.queue_config.v, &reply.queue_config.n);
    if (of_ok(error)) {
        /* 1.0 has no word for all ports, and 1.3's OFPP_ANY of a switch with more queues than fit has the first ones; each port by itself fits. */
        reply.queue_config.n = MIN(reply.queue_config.n, MAX_CONFIG_QUEUES);
        of_conn_send(ac->conn, &reply);
    }
    of_msg_fini(&reply);
    return error;
}
