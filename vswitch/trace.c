/*
 * dp_trace(): the poll path's executor, watched.
 *
 * The packet is a copy in plain memory, outputs end in this file's `struct dp_ops`, and the observer turns every event into a JSON step.  Nothing is sent, counted or learned
 * (but for OFPP_NORMAL's table, which would learn the same from the real packet).
 */
#include <stdlib.h>
#include "lib/json.h"
#include "lib/util.h"
#include "ofproto/match.h"
#include "vswitch/exec.h"
#include "vswitch/packet.h"

#define TRACE_ROOM 512          /* For tags that the pipeline pushes. */

struct trace {
    cJSON *steps, *outputs, *drops;
    unsigned n_packet_ins;
    union flow_words shown;     /* The key as the latest step showed it. */
    bool has_final;
    union flow_words final;     /* The key when a packet last left. */
};

static struct packet *plain_packet(const uint8_t *data, uint32_t len)
{
    uint8_t *memory = xmalloc(sizeof(struct packet) + TRACE_ROOM + len);
    struct packet *p = (struct packet *) (void *) memory;
    *p = (struct packet) { .data = memory + sizeof *p + TRACE_ROOM, .len = len, .headroom = TRACE_ROOM };
    memcpy(p->data, data, len);
    return p;
}

static char *flow_text(const union flow_words *w)
{
    struct match m;
    struct buf b = BUF_INIT;
    match_init(&m);
    for (unsigned id = 0; id < N_FIELDS; id++) {
        const struct field *f = field_row((enum field_id) id);
        union field_value v;
        field_get(f, &w->flow, &v);
        /* xreg and xxreg are the same bytes as reg; in_phy_port and actset_output say nothing unless they differ from their rest. */
        if ((id >= FIELD_XREG0 && id <= FIELD_XXREG3) || id == FIELD_IN_PHY_PORT || id == FIELD_ACTSET_OUTPUT || (!v.w[0] && !v.w[1]) || !field_present(f->prereq, &w->flow)) {
            continue;
        }
        match_set(&m, (enum field_id) id, &v, NULL);
    }
    match_format(&m, &b);
    char *text = xstrdup(buf_cstr(&b));
    buf_fini(&b);
    return text;
}

static void add_flow(cJSON *object, const char *key, const union flow_words *w)
{
    char *text = flow_text(w);
    json_add_string(object, key, text);
    free(text);
}

static void add_rule(cJSON *step, const struct dp_rule *rule)
{
    struct match m;
    struct buf b = BUF_INIT;
    minimatch_expand(rule->cls.match, &m);
    buf_printf(&b, "priority=%u", rule->cls.priority);
    if (rule->cls.match->n) {
        buf_puts(&b, ",");
        match_format(&m, &b);
    }
    json_add_string(step, "match", buf_cstr(&b));
    json_add_format(step, "cookie", "0x%llx", (unsigned long long) rule->cookie);
    buf_clear(&b);
    instructions_format(&rule->entry->instructions, &b);
    json_add_string(step, "actions", buf_cstr(&b));
    buf_fini(&b);
}

static void observe(struct exec *e, const struct exec_event *event)
{
    struct trace *t = e->observe_aux;
    const char *reason = drop_reason_name(event->reason);
    if (event->type == EVENT_DROP) {
        cJSON *drop = json_append_object(t->drops);
        json_add_string(drop, "reason", reason ? reason : "unknown");
        json_add_string(drop, "text", drop_reason_text(event->reason) ? drop_reason_text(event->reason) : "a reason that this switch has no text for");
        return;
    }
    if (event->type == EVENT_NOTE && event->reason == DROP_NO_MATCH) {
        return;                 /* The table's own step says so. */
    }
    cJSON *step = json_append_object(t->steps);
    json_add_u64(step, "depth", e->depth);
    switch (event->type) {
    case EVENT_TABLE:
        json_add_u64(step, "table", event->table);
        if (event->conj_id) {
            json_add_u64(step, "conj_id", event->conj_id);
        }
        if (event->rule) {
            add_rule(step, event->rule);
        } else {
            json_add_string(step, "match", "miss");
        }
        break;
    case EVENT_BUCKET: json_add_u64(step, "group", event->group); json_add_u64(step, "bucket", event->bucket); break;
    case EVENT_OUTPUT:
        json_add_u64(step, "output", event->port);
        if (event->queue) {
            json_add_u64(step, "queue", event->queue);
        }
        break;
    case EVENT_CONTROLLER: json_add_u64(step, "controller", event->reason); break;
    case EVENT_NOTE: json_add_string(step, "drop", reason ? reason : "unknown"); break;
    case EVENT_CLONE: json_add_bool(step, "clone", true); break;
    case EVENT_ACTION_SET: json_add_bool(step, "action_set", true); break;
    case EVENT_LEARNED: json_add_u64(step, "learned", event->port); break;
    case EVENT_DROP: break;
    }
    if (memcmp(&t->shown, &e->flow, sizeof t->shown)) {
        t->shown = e->flow;
        add_flow(step, "flow", &e->flow);
    }
    if (event->type == EVENT_OUTPUT || event->type == EVENT_CONTROLLER) {
        t->final = e->flow;
        t->has_final = true;
    }
}

/* --- The outside of a traced packet --- */

static void trace_output(struct dp_thread *thread UNUSED, struct packet *p, uint32_t port_no, void *trace)
{
    struct trace *t = trace;
    cJSON *output = json_append_object(t->outputs);
    char *hex = xmalloc(2 * (size_t) p->len + 1);
    bytes_to_hex(p->data, p->len, hex);
    json_add_u64(output, "port", port_no);
    json_add_string(output, "packet", hex);
    free(hex);
    free(p);
}

static void trace_output_batch(struct dp_thread *thread, struct packet **packets, unsigned n, uint32_t port_no, void *trace)
{
    for (unsigned i = 0; i < n; i++) {
        trace_output(thread, packets[i], port_no, trace);
    }
}

static struct packet *trace_copy(struct dp_thread *thread UNUSED, const struct packet *p, void *trace UNUSED)
{
    return plain_packet(p->data, p->len);
}

static void trace_free(struct dp_thread *thread UNUSED, struct packet *p, void *trace UNUSED)
{
    free(p);
}

static bool trace_packet_in(struct dp_thread *thread UNUSED, const struct packet *p UNUSED, const struct flow *flow UNUSED, uint64_t cookie UNUSED, uint8_t table UNUSED,
                            uint8_t reason UNUSED, const struct dp_controller *controller UNUSED, void *trace)
{
    ((struct trace *) trace)->n_packet_ins++;
    return true;
}

cJSON *dp_trace(struct dp *dp, const struct packet *packet, uint32_t in_port)
{
    static const struct dp_ops ops = { .output = trace_output, .output_batch = trace_output_batch, .copy = trace_copy, .free = trace_free,
                                       .packet_in = trace_packet_in };
    cJSON *result = cJSON_CreateObject();
    struct trace t = { .n_packet_ins = 0 };
    struct packet *p = plain_packet(packet->data, packet->len);
    struct exec e;
    exec_init(&e, dp->threads[0], p, in_port, clock_now_ns(&dp->clock));
    e.ops = &ops;
    e.aux = &t;
    e.observe = observe;
    e.observe_aux = &t;
    packet_extract(p, &e.flow.flow);
    t.shown = e.flow;
    add_flow(result, "input", &e.flow);
    t.steps = json_add_array(result, "steps");
    cJSON *verdict = json_add_object(result, "verdict");
    t.outputs = json_add_array(verdict, "outputs");
    t.drops = json_add_array(verdict, "drops");

    enum drop_reason refused = dp_refuses(dp, p, dp_port_state(dp, in_port));
    if (refused != DROP_N_REASONS) {
        exec_count_drop(&e, refused);
        free(p);
    } else {
        exec_run(&e);
    }
    json_add_u64(verdict, "controller", t.n_packet_ins);
    add_flow(result, "final_flow", t.has_final ? &t.final : &e.flow);
    return result;
}
