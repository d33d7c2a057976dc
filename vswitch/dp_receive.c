/* Where packets enter the datapath: batches from ports, packet-outs. */
#include "vswitch/exec.h"
#include "vswitch/packet.h"

#include <string.h>

void dp_thread_drop(struct dp_thread *t, uint32_t in_port, enum drop_reason reason)
{
    count_add(&t->drops[in_port < DP_MAX_PORTS ? in_port : 0][reason < DROP_N_REASONS ? reason : DROP_NO_OUTPUT], 1);
}

/* Fragments are rarely refused, so what it costs to look for them twice is paid only then. */
static bool is_fragment(struct packet *p)
{
    struct flow flow;
    memset(&flow, 0, sizeof flow);
    packet_extract(p, &flow);
    return flow.ip_frag;
}

/* DROP_N_REASONS: it is taken. */
enum drop_reason dp_refuses(const struct dp *dp, struct packet *p, uint32_t port_state)
{
    return port_state & (OFPPC_PORT_DOWN | OFPPC_NO_RECV) ? DROP_PORT_CONFIG : p->len < ETH_HEADER_SIZE ? DROP_RUNT
           : __builtin_expect(atomic_load_explicit(&dp->drop_fragments, memory_order_relaxed), 0) && is_fragment(p) ? DROP_FRAGMENT : DROP_N_REASONS;
}

void dp_receive(struct dp_thread *t, struct packet **packets, unsigned n, uint32_t in_port, uint64_t now_ns)
{
    const struct dp *dp = t->dp;
    uint32_t port_state = dp_port_state(dp, in_port);
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        struct packet *p = packets[i];
        enum drop_reason refused = dp_refuses(dp, p, port_state);
        if (__builtin_expect(refused != DROP_N_REASONS, 0)) {
            dp_thread_drop(t, in_port, refused);
            dp->ops.free(t, p, dp->aux);
        } else {
            p->in_port = in_port;
            packets[kept++] = p;
        }
    }
    if (kept) {
        cache_run(t, packets, kept, in_port, now_ns);
    }
}

void dp_execute(struct dp_thread *t, struct packet *packet, uint32_t in_port, const struct actions *actions, uint64_t now_ns)
{
    struct dp *dp = t->dp;
    if (packet->len < ETH_HEADER_SIZE) {
        dp_thread_drop(t, in_port, DROP_RUNT);
        dp->ops.free(t, packet, dp->aux);
        return;
    }
    struct program *program = program_compile_list(dp, actions);
    struct exec e;
    exec_init(&e, t, packet, in_port, now_ns);
    exec_list(&e, program);
    program_retire(dp, program);
}
