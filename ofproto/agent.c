/* Connections of the agent: out and accepted, their life, and the messages that the switch sends on its own. */
#define LOG_MODULE "agent"
#include "ofproto/agent_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define NS_PER_S 1e9
#define DEFAULT_PACKET_IN_RATE 1000u
#define DEFAULT_MAX_CONNECTIONS 64u
#define DEFAULT_MAX_MONITORS 1024u
#define DEFAULT_MAX_BUNDLES 64u
#define DEFAULT_MAX_BUNDLE_BYTES ((size_t) 64 << 20)
#define DEFAULT_MAX_UNREAD ((size_t) 64 << 20)
#define DEFAULT_MISS_SEND_LEN 128
#define MAX_ASYNC_BACKLOG (1u << 20)    /* A peer that does not read gets no more packet-ins. */

void agent_update_read(struct agent_conn *ac)
{
    of_conn_read_enable(ac->conn, !ac->job.active && !ac->barrier_blocks && !ac->refresh);
}

bool agent_port_exists(struct of_agent *agent, uint32_t port_no)
{
    struct of_port_stats unused;
    return agent->ops->port_stats(agent->aux, port_no, &unused);
}

/* In 1.0 a packet that matches nothing goes to the controller (section 3.4 there); tools that look in do not ask for that. */
static bool wants_misses(const struct agent_conn *ac)
{
    return of_conn_is_up(ac->conn) && of_conn_version(ac->conn) == OF10_VERSION && ac->role != OFPCR_ROLE_SLAVE && (ac->outgoing || ac->configured);
}

/* Controllers that were configured count; where none is, whoever came in does. */
void agent_count_controllers(struct of_agent *agent)
{
    unsigned n = 0;
    bool misses = false;
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        misses |= wants_misses(ac);
        n += of_conn_is_up(ac->conn) && ac->role != OFPCR_ROLE_SLAVE && (ac->outgoing || !agent->n_controllers);
    }
    if (misses != agent->misses_wanted && agent->ops->misses_wanted) {
        agent->ops->misses_wanted(agent->aux, misses);
    }
    agent->misses_wanted = misses;
    if (n != agent->n_up) {
        agent->n_up = n;
        if (agent->ops->controllers_changed) {
            agent->ops->controllers_changed(agent->aux, n);
        }
    }
}

/* --- Connections --- */

/* What a connection starts with, each time it comes up. */
static void reset(struct agent_conn *ac)
{
    agent_job_cancel(ac);
    agent_barrier_forget(ac);
    agent_refresh_forget(ac);
    ac->number = ++ac->agent->last_number;
    agent_role_init(ac);
    ac->miss_send_len = DEFAULT_MISS_SEND_LEN;
    ac->configured = false;
    ac->common = (struct token_bucket) { ac->agent->packet_in_rate, clock_now_ns(&ac->agent->clock) };
    for (unsigned i = 0; i < AGENT_PORT_SHARES; i++) {
        ac->share[i] = (struct token_bucket) { 1, ac->common.filled_ns };
    }
    ac->request.active = false;
    agent_bundles_discard(ac);
    agent_monitors_discard(ac);
    ac->nxm = ac->flow_mod_table_id = false;
    ac->packet_in_format = NX_PACKET_IN_STANDARD;
    ac->controller_id = 0;
}

static void remove_conn(struct agent_conn *ac)
{
    agent_job_cancel(ac);
    agent_barrier_forget(ac);
    agent_refresh_forget(ac);
    agent_bundles_discard(ac);
    agent_monitors_discard(ac);
    list_remove(&ac->node);
    ac->agent->n_conns--;
    of_conn_close(ac->conn);
    free(ac);
}

static void on_up(struct of_conn *conn, void *ac_)
{
    struct agent_conn *ac = ac_;
    LOG(ac->outgoing ? LOG_INFO : LOG_DEBUG /* Tools come and go. */, "%s: connected, OpenFlow version 0x%02x", of_conn_peer(conn), of_conn_version(conn));
    reset(ac);
    agent_count_controllers(ac->agent);
}

static void on_down(struct of_conn *conn, const char *why, void *ac_)
{
    struct agent_conn *ac = ac_;
    struct of_agent *agent = ac->agent;
    if (agent->ops->peer_refused && of_conn_peer_refused(conn)) {
        agent->ops->peer_refused(agent->aux, of_conn_peer(conn), why);
    }
    if (ac->outgoing) {
        reset(ac);
    } else {
        remove_conn(ac);
    }
    agent_count_controllers(agent);
}

static void on_drained(struct of_conn *conn, void *ac_)
{
    struct agent_conn *ac = ac_;
    agent_monitor_catch_up(ac);
    if (ac->job.active) {
        of_conn_again(conn);
    }
}

static void on_again(struct of_conn *conn UNUSED, void *ac)
{
    agent_job_continue(ac);
}

static const struct of_conn_ops conn_ops = { on_up, agent_message, on_down, on_drained, on_again };

static struct agent_conn *conn_new(struct of_agent *agent, bool outgoing)
{
    struct agent_conn *ac = XNEW(struct agent_conn);
    ac->agent = agent;
    ac->outgoing = outgoing;
    list_init(&ac->barriers);
    reset(ac);
    list_push_back(&agent->conns, &ac->node);
    agent->n_conns++;
    return ac;
}

static void on_accept(struct stream *stream, void *listener_)
{
    const struct agent_listener *listener = listener_;
    struct of_agent *agent = listener->agent;
    unsigned pause_ms = 0;
    if (agent->ops->accept && !agent->ops->accept(agent->aux, &pause_ms)) {
        stream_close(stream);
        for (unsigned i = 0; i < agent->n_listeners; i++) {
            stream_listener_pause(agent->listeners[i]->stream, pause_ms);
        }
        return;
    }
    if (agent->n_conns >= agent->max_connections) {
        LOG_RATE(LOG_WARN, 5, "%s: refused, there are %u connections already", stream_peer(stream), agent->n_conns);
        stream_close(stream);
        return;
    }
    struct agent_conn *ac = conn_new(agent, false);
    ac->listener = listener;
    ac->conn = of_conn_accepted(agent->base, stream, &agent->options, &conn_ops, ac);
}

/* --- Targets --- */

static bool add_controller(struct of_agent *agent, const struct of_agent_config *config, unsigned i, struct err *err)
{
    char field[32];
    struct of_conn_options options = agent->options;
    options.max_backoff_ms = config->controllers[i].max_backoff_ms;
    struct agent_conn *ac = conn_new(agent, true);
    ac->conn = of_conn_connect(agent->base, config->controllers[i].target, config->tls, &options, &conn_ops, ac, err);
    if (!ac->conn) {
        remove_conn(ac);
        snprintf(field, sizeof field, "controllers[%u]", i);
        return err_prefix(err, field);
    }
    agent->n_controllers++;
    return true;
}

static bool add_listener(struct of_agent *agent, const struct of_agent_config *config, unsigned i, struct err *err)
{
    char field[32];
    struct agent_listener *listener = XNEW(struct agent_listener);
    listener->agent = agent;
    listener->stream = stream_listen(agent->base, config->listen[i], config->tls, on_accept, listener, err);
    if (!listener->stream) {
        free(listener);
        snprintf(field, sizeof field, "listen[%u]", i);
        return err_prefix(err, field);
    }
    listener->target = xstrdup(config->listen[i]);
    agent->listeners = xrealloc(agent->listeners, (agent->n_listeners + 1) * sizeof *agent->listeners);
    agent->listeners[agent->n_listeners++] = listener;
    return true;
}

static void listener_close(struct agent_listener *listener)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &listener->agent->conns) {
        if (ac->listener == listener) {
            remove_conn(ac);
        }
    }
    stream_listener_close(listener->stream);
    free(listener->target);
    free(listener);
}

static bool wants_controller(const struct of_agent_config *config, const char *target)
{
    for (unsigned i = 0; i < config->n_controllers; i++) {
        if (!strcmp(config->controllers[i].target, target)) {
            return true;
        }
    }
    return false;
}

static bool wants_listener(const struct of_agent_config *config, const char *target)
{
    for (unsigned i = 0; i < config->n_listen; i++) {
        if (!strcmp(config->listen[i], target)) {
            return true;
        }
    }
    return false;
}

static bool has_controller(const struct of_agent *agent, const char *target)
{
    const struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac->outgoing && !strcmp(of_conn_peer(ac->conn), target)) {
            return true;
        }
    }
    return false;
}

static bool has_listener(const struct of_agent *agent, const char *target)
{
    for (unsigned i = 0; i < agent->n_listeners; i++) {
        if (!strcmp(agent->listeners[i]->target, target)) {
            return true;
        }
    }
    return false;
}

bool of_agent_retarget(struct of_agent *agent, const struct of_agent_config *config, struct err *err)
{
    struct agent_conn *ac;
    unsigned n_kept = 0;
    bool ok = true;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac->outgoing && !wants_controller(config, of_conn_peer(ac->conn))) {
            remove_conn(ac);
            agent->n_controllers--;
        }
    }
    for (unsigned i = 0; i < agent->n_listeners; i++) {
        struct agent_listener *listener = agent->listeners[i];
        if (wants_listener(config, listener->target)) {
            agent->listeners[n_kept++] = listener;
        } else {
            listener_close(listener);
        }
    }
    agent->n_listeners = n_kept;
    for (unsigned i = 0; ok && i < config->n_controllers; i++) {
        ok = has_controller(agent, config->controllers[i].target) || add_controller(agent, config, i, err);
    }
    for (unsigned i = 0; ok && i < config->n_listen; i++) {
        ok = has_listener(agent, config->listen[i]) || add_listener(agent, config, i, err);
    }
    agent_count_controllers(agent);
    return ok;
}

struct of_agent *of_agent_new(struct event_base *base, const struct of_agent_config *config, struct clock clock,
                              const struct of_backend_ops *ops, void *aux, struct err *err)
{
    struct of_agent *agent = XNEW(struct of_agent);
    struct of_features features = { .n_tables = 0 };
    agent->base = base;
    agent->clock = clock;
    agent->ops = ops;
    agent->aux = aux;
    agent->tls = config->tls ? tls_config_ref(config->tls) : NULL;
    agent->max_connections = config->max_connections ? config->max_connections : DEFAULT_MAX_CONNECTIONS;
    agent->packet_in_rate = config->packet_in_rate ? config->packet_in_rate : DEFAULT_PACKET_IN_RATE;
    agent->max_monitors = config->max_monitors ? config->max_monitors : DEFAULT_MAX_MONITORS;
    agent->max_bundles = config->max_bundles ? config->max_bundles : DEFAULT_MAX_BUNDLES;
    agent->max_bundle_bytes = config->max_bundle_bytes ? config->max_bundle_bytes : DEFAULT_MAX_BUNDLE_BYTES;
    agent->options = (struct of_conn_options) {
        .versions = config->versions, .clock = clock, .max_unread = config->max_unread ? config->max_unread : DEFAULT_MAX_UNREAD,
        .share = config->share,
    };
    list_init(&agent->conns);
    ops->features(aux, &features);
    agent->n_tables = MIN(features.n_tables, OF_N_TABLES);
    agent_changes_init(agent);
    for (unsigned i = 0; i < config->n_controllers; i++) {
        if (!add_controller(agent, config, i, err)) {
            of_agent_free(agent);
            return NULL;
        }
    }
    for (unsigned i = 0; i < config->n_listen; i++) {
        if (!add_listener(agent, config, i, err)) {
            of_agent_free(agent);
            return NULL;
        }
    }
    return agent;
}

void of_agent_free(struct of_agent *agent)
{
    if (!agent) {
        return;
    }
    for (unsigned i = 0; i < agent->n_listeners; i++) {
        listener_close(agent->listeners[i]);
    }
    free(agent->listeners);
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        remove_conn(ac);
    }
    agent_changes_fini(agent);
    tls_config_unref(agent->tls);
    free(agent);
}

/* --- Asynchronous messages (section 7.4) --- */

static bool take_token(struct token_bucket *b, double rate, uint64_t now_ns)
{
    b->tokens = MIN(MAX(rate, 1), b->tokens + (double) (now_ns - b->filled_ns) * rate / NS_PER_S);
    b->filled_ns = now_ns;
    if (b->tokens < 1) {
        return false;
    }
    b->tokens -= 1;
    return true;
}

static bool may_send_packet_in(struct agent_conn *ac, uint32_t in_port)
{
    double rate = ac->agent->packet_in_rate;
    uint64_t now = clock_now_ns(&ac->agent->clock);
    if (of_conn_backlog(ac->conn) <= MAX_ASYNC_BACKLOG
        && (take_token(&ac->common, rate, now) || take_token(&ac->share[in_port % AGENT_PORT_SHARES], rate / AGENT_PORT_SHARES, now))) {
        return true;
    }
    ac->packet_ins_dropped++;
    return false;
}

bool of_agent_packet_in(struct of_agent *agent, const struct of_packet_in *pi)
{
    struct of_msg msg;
    struct agent_conn *ac;
    bool taken = false;
    of_msg_init(&msg, OFPT_PACKET_IN, 0);
    msg.packet_in = *pi;                /* Borrowed: there is no fini. */
    LIST_FOR_EACH (ac, node, &agent->conns) {
        bool miss = pi->reason == OFPR_IMPLICIT_MISS;
        uint8_t reason = miss ? (uint8_t) OFPR_NO_MATCH : pi->reason;
        if (reason > OFPR_INVALID_TTL && reason <= OFPR_PACKET_OUT && of_conn_is_up(ac->conn) && of_conn_version(ac->conn) < OF14_VERSION) {
            reason = OFPR_ACTION;       /* What 1.4 tells apart was one reason before. */
        }
        if (of_conn_is_up(ac->conn) && (!miss || wants_misses(ac)) && agent_wants(ac, ac->async.packet_in, reason)
            && ac->controller_id == pi->controller_id && may_send_packet_in(ac, be32_get(pi->match.value.flow.in_port))) {
            msg.packet_in.format = ac->packet_in_format;
            msg.packet_in.reason = reason;
            of_conn_send(ac->conn, &msg);
            taken = true;
        }
    }
    return taken;
}

uint8_t agent_removed_reason(uint8_t version, uint8_t reason)
{
    return reason > (version == OF10_VERSION ? OFPRR_DELETE : version < OF14_VERSION ? OFPRR_GROUP_DELETE : OFPRR_EVICTION) ? (uint8_t) OFPRR_DELETE : reason;
}

void of_agent_flow_removed(struct of_agent *agent, const struct flow_entry *e, uint8_t reason)
{
    if (!(e->flags & OFPFF_SEND_FLOW_REM)) {
        return;
    }
    struct of_flow_stats fs;
    flow_entry_stats(agent->ops->flows(agent->aux), e, &fs);
    of_agent_flow_removed_msg(agent, &(struct of_flow_removed) {
        .cookie = fs.cookie, .priority = fs.priority, .reason = reason, .table_id = fs.table_id,
        .duration_sec = fs.duration_sec, .duration_nsec = fs.duration_nsec, .idle_timeout = fs.idle_timeout, .hard_timeout = fs.hard_timeout,
        .packet_count = fs.packet_count, .byte_count = fs.byte_count, .match = fs.match,
    });
    of_flow_stats_fini(&fs);
}

void of_agent_flow_removed_msg(struct of_agent *agent, const struct of_flow_removed *removed)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_FLOW_REMOVED, 0);
    msg.flow_removed = *removed;
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        uint8_t version = of_conn_version(ac->conn);
        msg.flow_removed.reason = agent_removed_reason(version, removed->reason);
        if (of_conn_is_up(ac->conn) && agent_wants(ac, ac->async.flow_removed, msg.flow_removed.reason)) {
            msg.nicira = version == OF10_VERSION && ac->nxm;
            of_conn_send(ac->conn, &msg);
        }
    }
}

/* OpenFlow 1.4 section 7.4.6.  A group-mod and a meter-mod are the same bytes in every version that has them, but for the version's own. */
void agent_request_forward(struct of_agent *agent, const struct agent_conn *by, uint8_t reason, const uint8_t *raw, size_t size)
{
    struct agent_conn *ac;
    if (size > OF_MAX_MESSAGE - OF_HEADER_SIZE) {
        LOG_RATE(LOG_WARN, 5, "a request of %zu bytes is too long to be forwarded to other controllers", size);
        return;
    }
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac != by && of_conn_is_up(ac->conn) && of_conn_version(ac->conn) >= OF14_VERSION && agent_wants(ac, ac->async.requestforward, reason)) {
            struct of_msg msg;
            of_msg_init(&msg, OFPT_REQUESTFORWARD, 0);
            msg.requestforward.data = memcpy(xmalloc(size), raw, size);
            msg.requestforward.size = (unsigned) size;
            msg.requestforward.data[0] = of_conn_version(ac->conn);
            of_conn_send(ac->conn, &msg);
            of_msg_fini(&msg);
        }
    }
}

static void port_status(struct of_agent *agent, uint8_t reason, const struct of_port *port, bool to_all)
{
    struct of_msg msg;
    struct agent_conn *ac;
    of_msg_init(&msg, OFPT_PORT_STATUS, 0);
    msg.port_status.reason = reason;
    msg.port_status.port = *port;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (of_conn_is_up(ac->conn) && agent_wants(ac, ac->async.port_status, reason) && (to_all || of_conn_version(ac->conn) == OF10_VERSION)) {
            of_conn_send(ac->conn, &msg);
        }
    }
}

void of_agent_port_status(struct of_agent *agent, uint8_t reason, const struct of_port *port) { port_status(agent, reason, port, true); }
void of_agent_port_flood(struct of_agent *agent, const struct of_port *port) { port_status(agent, OFPPR_MODIFY, port, false); }

void of_agent_error(struct of_agent *agent, const struct of_request *request, struct of_error error)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac->number == request->conn && of_conn_is_up(ac->conn)) {
            of_conn_send_error(ac->conn, error, request->raw, request->size);
            return;
        }
    }
}

void of_agent_resume(struct of_agent *agent)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        of_conn_resume(ac->conn);
    }
}

/* --- Looking in --- */

void of_agent_each_connection(struct of_agent *agent, void (*fn)(const char *peer, const char *role, const struct of_conn_counters *, bool outgoing, void *aux),
                              void *aux)
{
    static const char *const roles[] = { "nochange", "equal", "master", "slave" };
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        struct of_conn_counters counters;
        of_conn_counters(ac->conn, &counters);
        counters.packet_ins_dropped = ac->packet_ins_dropped;
        counters.unread_bytes = of_conn_backlog(ac->conn);
        counters.monitors = ac->monitors.n;
        fn(of_conn_peer(ac->conn), roles[ac->role], &counters, ac->outgoing, aux);
    }
}

unsigned of_agent_listen_port(struct of_agent *agent, unsigned i)
{
    return i < agent->n_listeners ? stream_listener_port(agent->listeners[i]->stream) : 0;
}
